/* training.h - a training run planned as a whole: layout, time, failures, money, energy, and what to be warned of. */
#ifndef TALC_PLAN_TRAINING_H
#define TALC_PLAN_TRAINING_H

#include "base/buffer.h"
#include "plan/failures.h"
#include "plan/search.h"

struct plan_prices {
    struct plan_price rent; /* US dollars a chip-hour */
    double purchase;        /* US dollars a chip with its share of server and network */
    double per_usd;         /* of the currency that is shown */
    char currency[8];
};

struct plan_request {
    struct plan_job job; /* job.chips: those there are; a plan may use fewer */
    struct plan_wish wish;
    double tokens;
    struct failure_model failures;
    struct plan_prices prices;
    struct plan_grid energy;
    const char *preset_note; /* of the model's source; NULL: none */
};

struct plan_cost {
    double chip_hours, low, mid, high, purchase; /* US dollars */
    double mwh, co2_tonnes;
};

enum { PLAN_WARNINGS = 24 };
struct plan_warnings {
    char text[PLAN_WARNINGS][320];
    int n;
};

struct training_plan {
    struct plan_job job;
    struct plan_ranking ranking; /* owned */
    struct plan_candidate best;
    double steps, compute_seconds; /* without failures */
    struct failure_plan failures;
    struct plan_cost cost;
    struct plan_warnings warnings;
    double mfu, hfu, mfu_causal, mfu_six_n; /* of the peak in the job's precision */
};

bool plan_training(const struct plan_request *request, struct training_plan *plan, struct talc_error *err);
void training_plan_free(struct training_plan *plan);

/* Why candidate `c` is slower than `best`, in a few words. */
void plan_reason(const struct plan_candidate *best, const struct plan_candidate *c, double memory_limit, char out[160]);

/* A batch as GPT-3's table 2.1 chose them by size: 0.5M tokens up to 1B parameters ... 3.2M for 175B and 4M above. */
int plan_default_batch(const struct plan_model *model, int sequence);

/* The same run on other numbers of chips. days is 0 where it does not fit. */
struct plan_point {
    int chips;
    double days, cost_mid, mfu;
    struct plan_layout layout;
};
enum { PLAN_POINTS = 24 };
/* 1, 2, 4 ... 65536 and 100,000 chips; returns how many points. */
int plan_scaling(const struct plan_request *request, struct plan_point points[PLAN_POINTS]);

#endif
