/* training.h - the loop of a training stage: batches in, checkpoints out. Pretraining and SFT are this loop over
 * different sources; what it wants to say or sample goes through callbacks. */
#ifndef TALC_TRAIN_TRAINING_H
#define TALC_TRAIN_TRAINING_H

#include <signal.h>

#include "data/loader.h"
#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/schedule.h"

/* Where rows come from. */
struct training_data {
    struct loader *train;
    struct loader *validation; /* in order; NULL: no validation */
    int rows_per_step;         /* rows of the batch of one update, once it has grown */
    double validation_bytes;   /* of text behind the scored tokens, for bits per byte; 0: unknown */
};

struct training_options {
    const char *out;          /* run folder; it exists */
    struct schedule schedule; /* total_steps 0: as many as fit in `minutes` */
    double warmup_share;      /* of the steps, as they are planned first: the warmup takes no more; 0: it is as given */
    struct batch_ramp ramp;
    double minutes;       /* time to fill when total_steps is 0; the number of steps is planned anew after each */
    int64_t eval_every;   /* full validation every so many steps; 0: at the end only; -1: as planned (see below) */
    int64_t save_every;   /* likewise */
    int64_t sample_every; /* 0: never */
    int keep;             /* checkpoints to keep besides the best */
    const volatile sig_atomic_t *stop; /* set by a signal: save and end, also in the middle of an update (which is then
                                          not made) or of a validation (made when the run goes on); may be NULL */

    /* Any may be NULL. */
    void (*on_step)(void *context, const struct train_state *state, const struct metrics_line *line);
    void (*on_evaluation)(void *context, const struct train_state *state, double bits_per_byte);
    bool (*on_sample)(void *context, const struct train_state *state, struct talc_error *err);
    void *context;
};

/* Steps between validations and between checkpoints; 0: at the end only. What the options leave open is a tenth of the
 * run; but validations are fewer where they would together take more than a twentieth of its time. A function of
 * numbers of rows alone: the same on every machine. With total_steps 0 (not known yet): 0. */
struct training_intervals {
    int64_t eval, save;
};
bool training_plan_intervals(const struct training_options *options, const struct training_data *data,
                             int64_t total_steps, struct training_intervals *out, struct talc_error *err);

/* Trains from `state` (zeroed with training_state_new, or resumed) to its last step or a stop. *stopped tells which. */
bool training_run(struct trainer *trainer, const struct objective *objective, const struct training_data *data,
                  const struct tokenizer *tokenizer, const struct training_options *options, struct train_state *state,
                  bool *stopped, struct talc_error *err);

struct train_state training_state_new(void);

/* Measures before anything is trained: seconds of an update and of a whole validation (0 without one). */
bool training_estimate(struct trainer *trainer, const struct objective *objective, const struct training_data *data,
                       const struct train_state *state, double *update_seconds, double *validation_seconds,
                       struct talc_error *err);

/* Loss (mean over weights) of the whole validation split, and bits per byte (NaN when unknown). */
bool training_validate(struct trainer *trainer, const struct objective *objective, const struct training_data *data,
                       double *loss, double *bits_per_byte, struct talc_error *err);

#endif
