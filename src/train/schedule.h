/* schedule.h - the learning rate over the steps of a run, as a factor of its peak. */
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
};

/* Factor for step 0 .. total_steps - 1. Warmup is linear and its first step is not zero. */
double schedule_factor(const struct schedule *s, int64_t step);

/* The first step whose factor is below that of the step before: until then the total may still change. */
int64_t schedule_decay_start(const struct schedule *s);

bool schedule_kind_parse(const char *name, enum schedule_kind *out); /* "cosine", ... */
const char *schedule_kind_name(enum schedule_kind kind);

#endif
