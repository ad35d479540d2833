/* published_runs.h - the published runs of tests/plan/published.tsv, predicted; and the fit of
 * the planner's constants. */
#ifndef TALC_TESTS_SUPPORT_PUBLISHED_RUNS_H
#define TALC_TESTS_SUPPORT_PUBLISHED_RUNS_H

#include "plan/search.h"

struct published_run {
    char name[96];
    const char *system, *group, *source; /* borrowed from the table */
    struct plan_model model;
    struct plan_chip chip;
    struct plan_network network;
    struct plan_software software;
    struct plan_job job;
    struct plan_wish wish;
    struct plan_layout layout; /* as stated; where not, as the planner would choose */
    bool has_layout, out_of_memory;
    double seconds, memory_gb; /* reported; 0: not */
    int repeats, rows_of_system;
};

struct published_runs {
    struct table table;
    struct catalog catalog;
    struct published_run *runs;
    int n;
};
bool published_open(struct published_runs *p, const char *path, struct talc_error *err);
void published_close(struct published_runs *p);

/* Lets the planner choose what the sources do not state. */
void published_choose(struct published_runs *p, const struct plan_constants *c);
/* Predicted seconds over reported ones. */
double published_ratio(const struct published_run *run, const struct plan_constants *c);

extern const struct plan_constants published_prior;

/* Which rows are fitted: all of group "fit" but those of `without` (a system; NULL: none). Minimises the mean of |log
 * ratio|, weighted by system, (at most 0.6 a row), each constant within its bounds, in `rounds` steps. */
struct plan_constants published_fit(const struct published_runs *p, struct plan_constants from, const char *without,
                                    int rounds);

struct published_errors {
    int n;
    double mean, median, max;
};
/* Relative errors of the step time of rows that `take` says yes to. */
struct published_errors published_errors(const struct published_runs *p, const struct plan_constants *c,
                                         bool (*take)(const struct published_run *, const void *), const void *context);

#endif
