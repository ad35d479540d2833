/* tiny_training.h - a model of two small layers with its trainer, and rows that count: what tests of training share. */
#ifndef TALC_TESTS_SUPPORT_TINY_TRAINING_H
#define TALC_TESTS_SUPPORT_TINY_TRAINING_H

#include "base/rng.h"
#include "train/recipe.h"
#include "train/trainer.h"

enum { TINY_VOCAB = 11, TINY_CONTEXT = 16, TINY_ROWS = 4 };

struct tiny_training {
    struct thread_pool *pool;
    struct stream stream;
    struct model model;
    struct trainer trainer;
    struct row_batch batch; /* TINY_ROWS x TINY_CONTEXT */
    struct rng rng;         /* of the rows */
};

/* The options of a trainer for such a model: the recipe's, with TINY_ROWS rows at a time. */
struct trainer_options tiny_training_options(void);
/* On the fast CPU back end. Fails the test when it cannot be opened. */
void tiny_training_open(struct tiny_training *t, int threads, int micro_batch_rows);
/* Of another shape, with TINY_VOCAB tokens. */
void tiny_training_open_arch(struct tiny_training *t, const struct arch *arch, int threads,
                             const struct trainer_options *options);
void tiny_training_open_as(struct tiny_training *t, int threads, const struct trainer_options *options);
void tiny_training_close(struct tiny_training *t);

/* Rows of 0 1 2 ... that begin anywhere: every target follows from its token. */
void tiny_training_fill(struct row_batch *batch, struct rng *rng);
/* Accumulates the gradient of the next rows. */
void tiny_training_accumulate(struct tiny_training *t);
/* So many updates at the full rate; the last one's loss. */
double tiny_training_run(struct tiny_training *t, int steps);

#endif
