/* step.h - how long one training step takes, from the shapes of its products, the bytes of the rest, and the messages.
 *
 * Every product costs its tiles in waves over the chip's units; what is not a product costs its traffic; collectives
 * cost 2(n-1)/n or (n-1)/n of their bytes over the slowest link plus their hops; a pipeline costs its fullest stage
 * once a micro-batch and one pass over all stages (divided by v with interleaving). Not one number depends on a run or
 * a product name: eleven constants, fitted to published runs, say what datasheets do not. */
#ifndef TALC_PLAN_STEP_H
#define TALC_PLAN_STEP_H

#include <stddef.h>

#include "plan/layout.h"

enum plan_constant {
    CONSTANT_MATMUL,     /* rate of large products in training, of the highest measured rate */
    CONSTANT_FILL,       /* seconds that filling and draining a tile's pipeline costs */
    CONSTANT_MISALIGNED, /* rate when rows are not multiples of 16 bytes, for each halving */
    CONSTANT_TRAFFIC,    /* memory rate of element-wise kernels, of the peak */
    CONSTANT_OPERANDS, /* share of the time to bring a tile's operands through the cache, at the memory's rate, that is
                          not hidden */
    CONSTANT_NETWORK,  /* rate of collectives between islands, of the cards' peak */
    CONSTANT_HIDDEN,   /* cost of communication that is hidden behind compute, of its own time */
    CONSTANT_FLASH,    /* rate of flash attention, of large products */
    CONSTANT_FP8,      /* rate of FP8 products in training, of CONSTANT_MATMUL times the highest */
    CONSTANT_JITTER,   /* share of a step lost to the slowest, for each doubling of the islands that reduce gradients
                          together */
    CONSTANT_BATCHED,  /* rate of the batched products of attention that goes through memory, of large products */
    CONSTANT_COUNT
};
struct plan_constants {
    double value[CONSTANT_COUNT];
};
struct plan_constant_note {
    const char *name, *meaning;
};
extern const struct plan_constant_note plan_constant_notes[CONSTANT_COUNT];
/* Fitted to the published runs of tests/plan/published.tsv without the eight of Korthikanti et al.; see
 * docs/planning.md. */
extern const struct plan_constants plan_fitted;

struct plan_step {
    double seconds;
    /* Parts of it, of the fullest stage; they add up to `seconds`. */
    double matmul, attention, elementwise, recompute, tensor_comm, pipeline_comm, expert_comm, data_comm, context_comm,
        bubble, optimizer, waiting;
    double forward, backward; /* of a micro-batch on the fullest stage, for the timeline */
    double model_flops;       /* of a step, full attention; hardware_flops adds recomputation */
    double hardware_flops;
    double six_n_flops, causal_flops;
};

/* The parts by name: of a JSON key, and of what people read. */
struct plan_part {
    const char *key, *label;
    size_t offset; /* of a double in plan_step, or in plan_memory */
};
enum { PLAN_STEP_PARTS = 12 };
extern const struct plan_part plan_step_parts[PLAN_STEP_PARTS];
/* `whole`: the plan_step or plan_memory whose part it is. */
static inline double plan_part_value(const struct plan_part *part, const void *whole) {
    return *(const double *)((const char *)whole + part->offset);
}

struct plan_step plan_step_of(const struct plan_job *job, const struct plan_layout *layout,
                              const struct plan_constants *constants);

#endif
