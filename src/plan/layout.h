/* layout.h - a job (what is trained, on what) and a layout (how it is cut over the chips).
 *
 * Symbols as in the papers: t tensor parallel, p pipeline stages, v chunks of layers a stage, d data parallel, c
 * context parallel, e expert parallel; t p d c = chips; e divides t d c. m = batch / (d micro_batch) micro-batches a
 * step. */
#ifndef TALC_PLAN_LAYOUT_H
#define TALC_PLAN_LAYOUT_H

#include "plan/catalog.h"

/* What the backward pass computes again: nothing; the cheap parts (attention where it goes through memory, else norms
 * and activation functions); whole layers. */
enum plan_recompute { RECOMPUTE_NONE, RECOMPUTE_SELECTIVE, RECOMPUTE_FULL };
extern const char *const recompute_names[3];

struct plan_layout {
    int tp, pp, vpp, dp, cp, ep, micro_batch;
    int zero; /* ZeRO stage 0..3: optimizer, gradients, weights shared out over data parallel ranks */
    enum plan_recompute recompute;
    bool sequence_parallel; /* activations between the tensor-parallel products are cut too */
    bool offload;           /* optimizer in the host's memory */
};

struct plan_job {
    const struct plan_model *model;
    const struct plan_chip *chip;
    const struct plan_network *network;
    const struct plan_software *software;
    enum plan_precision precision;
    const struct arch *own; /* trained by talc itself on this machine: memory as its trainer takes it; NULL: not so */
    int chips, batch, sequence; /* batch: sequences a step */
};

/* Micro-batches a step of one replica (at least 1), and the sequences that all replicas then take: the multiple of
 * d micro_batch nearest to the job's batch. */
int plan_micro_batches(const struct plan_job *job, const struct plan_layout *layout);
int plan_true_batch(const struct plan_job *job, const struct plan_layout *layout);
/* Layers of stage i: the fullest hold ceil(layers/p); where that leaves room, the last and then the first stage hold
 * one less, as they also hold the vocabulary. Software that balances counts the vocabulary as the layers whose work it
 * is. */
int plan_stage_layers(const struct plan_job *job, const struct plan_layout *layout, int stage);
int plan_fullest_layers(const struct plan_job *job, const struct plan_layout *layout); /* of all stages */
/* Of an element of the gradients that are summed: 4 in fp32, else as the software does. */
double plan_gradient_bytes(const struct plan_job *job);
/* Tensor-parallel ranks that share one expert: all where the expert-parallel group lies across data-parallel ranks,
 * none where it also spans tensor-parallel ranks (each then holds whole experts). */
int plan_expert_tp(const struct plan_layout *layout);
/* Parameters of one layer (with experts, in a model that has them) on one chip, before ZeRO. */
double plan_layer_share(const struct plan_model *model, const struct plan_layout *layout);
/* Whether the layout is one at all (divides what it must); else why not. */
bool plan_layout_check(const struct plan_job *job, const struct plan_layout *layout, struct talc_error *err);
/* "TP8 PP16 v2 DP8 ZeRO-1 mbs 1 selective" */
void plan_layout_text(const struct plan_layout *layout, char out[128]);

#endif
