/* memory.h - bytes of the fullest chip while training, by component. Activations follow Korthikanti et al. 2205.05198,
 * extended to grouped queries, gated layers, flash attention and experts; the rest ZeRO (1910.02054) and Megatron's
 * conventions. */
#ifndef TALC_PLAN_MEMORY_H
#define TALC_PLAN_MEMORY_H

#include "plan/step.h"

struct plan_memory {
    double weights, gradients, optimizer, activations, logits, buffers, context, total;
    double host; /* of one chip's share, with offload */
    int stage;   /* the pipeline stage that this is */
};

/* The components that `total` is the sum of, by name. */
enum { PLAN_MEMORY_PARTS = 7 };
extern const struct plan_part plan_memory_parts[PLAN_MEMORY_PARTS];

/* The stage whose total is largest. */
struct plan_memory plan_memory_of(const struct plan_job *job, const struct plan_layout *layout);
/* Those of one stage. */
struct plan_memory plan_stage_memory(const struct plan_job *job, const struct plan_layout *layout, int stage);

/* Bytes that one layer keeps for its backward pass, for one micro-batch, on one chip. */
double plan_layer_activations(const struct plan_job *job, const struct plan_layout *layout);
/* Layers' worth of micro-batches kept at once on a stage: micro-batches in flight times layers, 1F1B or interleaved. */
double plan_layers_in_flight(const struct plan_job *job, const struct plan_layout *layout, int stage);

/* What a chip can give to a job: all but what the driver keeps. */
double plan_memory_limit(const struct plan_chip *chip);

#endif
