/* objective.h - what a training stage minimises, as a function of per-token statistics (never of logits).
 *
 * An objective first weighs a batch (the denominator of its mean, summed over micro-batches), then answers with the
 * gradients of its loss with respect to the statistics (see enum token_stat). */
#ifndef TALC_TRAIN_OBJECTIVE_H
#define TALC_TRAIN_OBJECTIVE_H

#include <stdbool.h>

#include "data/row_batch.h"

struct objective {
    const char *name;
    bool gradients_known; /* evaluate() needs no statistics: forward and backward of the classifier become one pass */
    float inverse_temperature;

    /* The batch's share of the denominator. */
    double (*weigh)(const struct objective *self, const struct row_batch *batch);
    /* Writes stat_grads [n_tokens, TOKEN_STATS] for rows [first_row, first_row + n_rows) of the batch, already divided
     * by the denominator. `stats` covers the same tokens; NULL where gradients are known. */
    void (*evaluate)(const struct objective *self, const struct row_batch *batch, int first_row, int n_rows,
                     const float *stats, double denominator, float *stat_grads);
    /* Sum of the loss over those rows, not divided. */
    double (*loss)(const struct objective *self, const struct row_batch *batch, int first_row, int n_rows,
                   const float *stats);
};

/* Mean over tokens of weight * -log p(target): pretraining (weights 1) and SFT (1 on the assistant's tokens). */
struct objective objective_cross_entropy(const char *name);

#endif
