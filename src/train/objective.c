/* objective.c - cross-entropy, the objective of pretraining and SFT; see objective.h. */
#include "train/objective.h"

#include <stddef.h>
#include <string.h>

#include "tensor/ops.h"

static double cross_entropy_weigh(const struct objective *self, const struct row_batch *batch) {
    (void)self;
    double sum = 0;
    for (int64_t i = 0; i < (int64_t)batch->n_rows * batch->row_tokens; i++) sum += (double)batch->weights[i];
    return sum;
}

static void cross_entropy_evaluate(const struct objective *self, const struct row_batch *batch, int first_row,
                                   int n_rows, const float *stats, double denominator, float *stat_grads) {
    (void)self, (void)stats;
    const float *weights = batch->weights + (int64_t)first_row * batch->row_tokens;
    int64_t n = (int64_t)n_rows * batch->row_tokens;
    memset(stat_grads, 0, (size_t)n * TOKEN_STATS * sizeof *stat_grads);
    if (denominator == 0) return; /* nothing to learn in a fully masked batch, and nothing to divide by */
    for (int64_t i = 0; i < n; i++)
        stat_grads[i * TOKEN_STATS + STAT_LOGP] = (float)(-(double)weights[i] / denominator);
}

static double cross_entropy_loss(const struct objective *self, const struct row_batch *batch, int first_row, int n_rows,
                                 const float *stats) {
    (void)self;
    const float *weights = batch->weights + (int64_t)first_row * batch->row_tokens;
    double sum = 0;
    for (int64_t i = 0; i < (int64_t)n_rows * batch->row_tokens; i++)
        if (weights[i] != 0) sum -= (double)weights[i] * (double)stats[i * TOKEN_STATS + STAT_LOGP];
    return sum;
}

struct objective objective_cross_entropy(const char *name) {
    return (struct objective){.name = name,
                              .gradients_known = true,
                              .inverse_temperature = 1,
                              .weigh = cross_entropy_weigh,
                              .evaluate = cross_entropy_evaluate,
                              .loss = cross_entropy_loss};
}
