/* checkpoint.h - a run folder and the checkpoints in it.
 *
 *   RUN/settings.json            how the run was started: what --resume needs
 *   RUN/metrics.jsonl, loss.svg  what happened so far
 *   RUN/checkpoints/step-N/      a Hugging Face folder, plus optimizer.safetensors and trainer.json; complete or absent
 *   RUN/latest, RUN/best         symbolic links into checkpoints,
 * swapped by rename */
#ifndef TALC_TRAIN_CHECKPOINT_H
#define TALC_TRAIN_CHECKPOINT_H

#include "data/loader.h"
#include "text/tokenizer.h"
#include "train/trainer.h"

#define TRAIN_MAX_STEPS 1000000000000 /* of a run */

/* Where a run stands, besides weights and moments. All of it is in trainer.json. */
struct train_state {
    int64_t step, total_steps; /* updates done; updates planned */
    int64_t warmup_steps;      /* as chosen when the number of steps was first known; -1: not yet */
    double minutes;            /* that the run was to take; 0: it goes by steps */
    int64_t turn_step;         /* of the schedule, as it was planned last */
    double turn_factor;
    struct loader_state position; /* in the data */
    double best_loss;             /* lowest validation loss so far; infinity before the first */
    int64_t best_step;
    double seconds;              /* spent training, over all resumes */
    int64_t tokens;              /* trained on */
    double train_loss, val_loss; /* the last ones; NaN before */
    bool validation_due;         /* at this step; a stop came before it or in it */
};

/* The highest N of the checkpoints/step-N, or -1: what a run can go on with where its `latest` was lost. */
int64_t checkpoint_newest(const char *run_folder);

/* Whether every step-N beyond `latest`, where a run that goes on will write, may be replaced, and `latest` and `best`
 * are links, which it will point anew. */
bool checkpoint_check_later(const char *run_folder, struct talc_error *err);

/* Removes checkpoints that a run which was killed left half written. */
void checkpoint_sweep(const char *run_folder);

/* Makes RUN/latest point to checkpoints/step-`step`. */
bool checkpoint_point_latest(const char *run_folder, int64_t step, struct talc_error *err);

/* Makes RUN/best point to the checkpoint of state->best_step, where that is there: it may be lost, or be of another
 * step in a run that was killed between two links. */
bool checkpoint_point_best(const char *run_folder, const struct train_state *state, struct talc_error *err);

/* Writes step-N and points `best` and `latest`, in this order; then removes all but the last `keep` and the best. */
bool checkpoint_save(const char *run_folder, const struct trainer *trainer, const struct tokenizer *tokenizer,
                     const struct train_state *state, int keep, struct talc_error *err);

/* Reads trainer.json and the moments of RUN/latest into an open trainer, whose model was loaded from the same folder,
 * and those of its parameters that the folder rounds. */
bool checkpoint_resume(const char *run_folder, struct trainer *trainer, struct train_state *state,
                       struct talc_error *err);

#endif
