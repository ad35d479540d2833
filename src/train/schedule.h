/* schedule.h - the learning rate over the steps of a run, as a factor of its peak; the batch over them. */
#ifndef TALC_TRAIN_SCHEDULE_H
#define TALC_TRAIN_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

enum schedule_kind {
    SCHEDULE_CONSTANT,
    SCHEDULE_COSINE, /* to final_factor over all steps (Loshchilov & Hutter 2017) */
    SCHEDULE_LINEAR, /* to final_factor over all steps */
    SCHEDULE_WSD,    /* warmup, stable, linear decay over the last decay_fraction (Hu et al. 2024) */
};

struct schedule {
    enum schedule_kind kind;
    int64_t warmup_steps, total_steps;
    double final_factor;   /* factor at the last step */
    double decay_fraction; /* of total_steps; WSD only */
    int64_t turn_step;     /* 0, or where a linear decay was planned anew: */
    double turn_factor;    /* its factor there */
};

/* Factor for step 0 .. total_steps - 1. Warmup is linear and its first step is not zero. */
double schedule_factor(const struct schedule *s, int64_t step);

/* Changes the total before step `step` is taken, leaving no jump: a linear decay that has begun by the old total or
 * by the new one goes on from where the factor is. A cosine that has begun stays as planned. */
void schedule_replan(struct schedule *s, int64_t step, int64_t total_steps);

/* A batch that grows: from first_rows at the first step in a straight line to all rows after `share` of the steps
 * (Brown et al. 2020). Early gradients point the same way whatever the batch; small ones buy more steps. first_rows 0:
 * it does not grow. */
struct batch_ramp {
    int first_rows;
    double share;
};

/* Rows of the batch at a step; the first ones while the number of steps is not known yet (total_steps 0). */
int batch_ramp_rows(const struct batch_ramp *ramp, int rows, int64_t step, int64_t total_steps);
/* Mean of the rows over the steps [step, total_steps), as a share of `rows`. */
double batch_ramp_mean(const struct batch_ramp *ramp, int rows, int64_t step, int64_t total_steps);

bool schedule_kind_parse(const char *name, enum schedule_kind *out); /* "cosine", ... */
const char *schedule_kind_name(enum schedule_kind kind);

#endif
