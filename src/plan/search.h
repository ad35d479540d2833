/* search.h - layouts of a job ranked by time. What the user fixed stays; 0 (or -1) is searched: tensor and context
 * parallelism in powers of two, every number of stages, the usual numbers of chunks and sizes of micro-batches, ZeRO-1
 * and (without stages) 3. */
#ifndef TALC_PLAN_SEARCH_H
#define TALC_PLAN_SEARCH_H

#include "plan/memory.h"
#include "plan/step.h"

struct plan_wish {
    int tp, pp, vpp, dp, cp, ep, micro_batch; /* 0: any */
    int zero, recompute, offload;             /* -1: any */
    bool all_chips;     /* none may stay idle; else up to 5% may, where that gives a better layout */
    bool ignore_memory; /* for runs that are known to have fitted */
};
#define PLAN_WISH_ANY ((struct plan_wish){.zero = -1, .recompute = -1, .offload = 0})

struct plan_candidate {
    int chips; /* in use */
    struct plan_layout layout;
    struct plan_memory memory;
    struct plan_step step;
    double tokens_per_second;
    bool fits;
};

struct plan_ranking {
    struct plan_candidate
        *best; /* owned: at most PLAN_KEPT, fastest first, each of another TP, PP, ZeRO or recompute */
    int n_best;
    struct plan_candidate *lost; /* owned: the fastest that do not fit, likewise */
    int n_lost;
    struct plan_candidate smallest; /* of all that were tried, in memory */
    long n_tried, n_fit;
};
enum { PLAN_KEPT = 12 };

/* Fails when no layout divides the chips, or none fits (err then says by how much the smallest misses); *ranking then
 * holds nothing to free. */
bool plan_search(const struct plan_job *job, const struct plan_wish *wish, const struct plan_constants *constants,
                 struct plan_ranking *ranking, struct talc_error *err);
void plan_ranking_free(struct plan_ranking *ranking);

#endif
