/* trainer.h - gradients and updates. Two verbs: accumulate a batch under an objective, update the parameters. The
 * pretraining loop is one caller; a stage with several objectives in one update calls accumulate more than once. */
#ifndef TALC_TRAIN_TRAINER_H
#define TALC_TRAIN_TRAINER_H

#include <signal.h>

#include "data/row_batch.h"
#include "model/model.h"
#include "train/muon.h"
#include "train/objective.h"
#include "train/outlier.h"

/* Settings of one group of parameters (by role). A rate of Muon is in units of its own: the length of the step. */
struct group_options {
    float learning_rate; /* at the peak of the schedule */
    float weight_decay;
};

#define PARAMETER_ROLES (ROLE_BIAS + 1)

struct trainer_options {
    int row_tokens;
    int micro_batch_rows; /* rows in one forward and backward */
    float beta1, beta2, epsilon;
    float gradient_clip; /* largest norm of the whole gradient; 0: no clipping */
    float skip_outliers; /* an update whose loss or gradient norm lies more standard deviations than this above the last
                            OUTLIER_WINDOW is not made; 0: all are made */
    bool use_muon;       /* for the matrices of the blocks; AdamW for the rest */
    struct muon_options muon;
    struct group_options groups[PARAMETER_ROLES];
    enum dtype compute; /* of matrix products */
    enum dtype weights; /* of the model, as it is opened (the trainer goes by the model): those in bf16 are rounded
                           stochastically */
    enum dtype moments; /* DTYPE_BF16: the optimizer's moments are kept in bf16, rounded stochastically; else fp32 */
    bool recompute;     /* activations, in backward: see run_options */
};

/* Rows as the model gets them. */
enum { MICRO_BATCH_ARRAYS = 6 };
struct micro_batch {
    int32_t *memory; /* of the arrays, each for the tokens of a micro-batch and one more */
    int32_t *tokens, *positions, *starts;
    int32_t *head_rows,
        *head_tokens; /* the tokens whose loss counts: their rows in the model's batch, and in the rows given */
    int32_t *targets; /* of those */
};

struct trainer {
    struct model *model;
    struct trainer_options options;
    struct run run;
    struct tensor m, v; /* [1, n]: AdamW's moments, m laid out like model->gradients; v without Muon's matrices */
    int64_t *v_offsets; /* [n_parameters] */
    struct muon_workspace muon;
    struct tensor steps, norm; /* small device tensors; steps: a row of update_step numbers for each role */
    struct tensor rng;         /* I64 [1, 2]: seed and number of the update, of stochastic rounding */
    struct adamw_part *parts;  /* [n_parameters], filled anew by each update */
    void *memory;
    int64_t updates;                     /* done so far: the optimizers' t */
    int64_t skipped;                     /* updates that were not made, as outliers */
    struct outlier_window losses, norms; /* of the last updates, where outliers are skipped */
    /* Host, a micro-batch. The model sees only tokens whose loss counts as its head rows; objectives see all tokens,
     * with zeros for the others. */
    float *stats, *stat_grads, *head_stats;
    struct micro_batch micro;
    double loss_sum, weight_sum; /* of what was accumulated since the last update */
    bool accumulated; /* something was: else the gradients are an earlier update's, and the next pass overwrites them */
    const volatile sig_atomic_t *stop; /* looked at before every micro-batch; may be NULL */
    bool interrupted;                  /* the last accumulate or evaluate failed because *stop was set */
};

/* What an update did. */
struct update_report {
    double loss;          /* mean over what was accumulated */
    double gradient_norm; /* before clipping */
    bool skipped;         /* an outlier: parameters and moments are as they were */
};

bool trainer_open(struct trainer *trainer, struct model *model, const struct trainer_options *options,
                  struct talc_error *err);
void trainer_close(struct trainer *trainer);

/* Adds the gradient of the objective's mean over `batch` (cut into micro-batches here). Failing, it drops all that
 * was accumulated since the last update; interrupted, the caller puts run.counter back to where it was then. */
bool trainer_accumulate(struct trainer *trainer, const struct row_batch *batch, const struct objective *objective,
                        struct talc_error *err);

/* Clips, steps the optimizer at learning_rate_factor of each group's peak, unless the update is an outlier; what is
 * accumulated next begins from 0. A loss or gradient that is not finite fails and names the tensor; nothing is changed
 * then. */
bool trainer_update(struct trainer *trainer, double learning_rate_factor, struct update_report *report,
                    struct talc_error *err);

/* Seconds that an update of such a batch takes, measured: one micro-batch (the better of two, where it is quick)
 * forward and backward, and an update that changes nothing. Not between accumulate and update. */
bool trainer_measure(struct trainer *trainer, const struct row_batch *batch, const struct objective *objective,
                     double *seconds, struct talc_error *err);

/* Sum of the objective's loss over a batch, and its weight, without gradients (validation). */
bool trainer_evaluate(struct trainer *trainer, const struct row_batch *batch, const struct objective *objective,
                      double *loss_sum, double *weight_sum, struct talc_error *err);

/* What is kept of a parameter's first or second moment; absent: nothing. */
struct tensor trainer_moment(const struct trainer *trainer, bool second, const struct parameter *p);

/* What a model, its trainer and a run of it take, by component: what is planned is what is taken. */
struct memory_table trainer_memory(const struct arch *arch, const struct trainer_options *options);

#endif
