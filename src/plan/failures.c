/* failures.c - checkpoints, failures, goodput; see failures.h. */
#include "plan/failures.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"

enum { TRIALS = 64, MOST_FAILURES = 20000, MOST_SPARES = 4096 };

struct simulated {
    double wall;
    int waits;
};

static double exponential(struct rng *rng, double mean) { return -mean * log(1 - rng_uniform(rng)); }

/* Nodes in repair: when each is back. The earliest is taken when the reserve is empty. */
struct reserve {
    double back[MOST_SPARES];
    int n, size;
};

/* Takes a spare node at time `now`; returns how long that has to wait. */
static double take_spare(struct reserve *r, double now, double repair) {
    int kept = 0, first = 0;
    for (int i = 0; i < r->n; i++)
        if (r->back[i] > now) r->back[kept++] = r->back[i];
    r->n = kept;
    double wait = 0;
    if (r->n >= r->size && r->n > 0) {
        for (int i = 1; i < r->n; i++)
            if (r->back[i] < r->back[first]) first = i;
        wait = r->back[first] - now;
        r->back[first] = r->back[--r->n];
    }
    if (r->n < MOST_SPARES) r->back[r->n++] = now + wait + repair;
    return wait;
}

/* One run: work goes on in pieces of `interval`, each closed by a checkpoint; a failure throws away what came after the
 * last. */
static struct simulated simulate(const struct failure_model *m, const struct failure_plan *p, double work,
                                 struct rng *rng, struct reserve *spares) {
    struct simulated out = {0};
    double done = 0, piece = p->interval_seconds + p->checkpoint_seconds;
    spares->n = 0;
    spares->size = (int)fmin(MOST_SPARES, fmax(1, ceil(p->nodes * m->spare_share)));
    for (int failures = 0; done < work; failures++) {
        double until = exponential(rng, p->mttf_seconds), needed = (work - done) / p->interval_seconds * piece;
        if (failures >= MOST_FAILURES || until >= needed) { /* the rest without a failure, or without counting on */
            out.wall += failures >= MOST_FAILURES ? (work - done) / p->goodput : needed;
            return out;
        }
        done += floor(until / piece) * p->interval_seconds;
        out.wall += until;
        double wait = take_spare(spares, out.wall, m->repair_seconds);
        out.waits += wait > 0;
        out.wall += wait + m->restart_seconds;
    }
    return out;
}

static int by_wall(const void *a, const void *b) {
    double x = ((const struct simulated *)a)->wall, y = ((const struct simulated *)b)->wall;
    return (x > y) - (x < y);
}

static void simulate_all(const struct failure_model *m, struct failure_plan *p, double work) {
    struct simulated runs[TRIALS];
    struct rng rng = rng_make(20240731, 0);
    struct reserve *spares = malloc(sizeof *spares);
    double total = 0;
    if (!spares) return;
    /* Fewer trials of very long runs: their spread is small. */
    int trials = p->failures > 2000 ? 8 : TRIALS;
    for (int i = 0; i < trials; i++) {
        runs[i] = simulate(m, p, work, &rng, spares);
        total += runs[i].wall;
        p->waits_for_spares += (double)runs[i].waits / trials;
    }
    free(spares);
    qsort(runs, (size_t)trials, sizeof *runs, by_wall);
    p->simulated_goodput = work * trials / total;
    p->wall_p10 = runs[trials / 10].wall;
    p->wall_p90 = runs[trials - 1 - trials / 10].wall;
}

struct failure_plan failures_plan(const struct failure_model *m, double chips, double work, double checkpoint_bytes) {
    struct failure_plan p = {.nodes = ceil(chips / FAILURE_NODE_CHIPS), .checkpoint_bytes = checkpoint_bytes};
    p.checkpoint_seconds = checkpoint_bytes / (p.nodes * m->store_rate);
    if (m->per_1000_node_days <= 0) {
        p.mttf_seconds = INFINITY, p.interval_seconds = fmax(3600, p.checkpoint_seconds);
        p.goodput = p.young_goodput = p.simulated_goodput =
            p.interval_seconds / (p.interval_seconds + p.checkpoint_seconds);
        p.wall_seconds = p.wall_p10 = p.wall_p90 = work / p.goodput;
        return p;
    }
    double mttf = p.mttf_seconds = 86400 * 1000 / (p.nodes * m->per_1000_node_days), c = p.checkpoint_seconds;
    p.interval_seconds = sqrt(2 * c * mttf);
    if (p.interval_seconds > mttf) p.interval_seconds = mttf; /* Daly: beyond c = mttf/2 */
    if (p.interval_seconds < 1) p.interval_seconds = 1;
    double tau = p.interval_seconds;
    p.young_goodput = 1 - c / tau - (tau / 2 + m->restart_seconds) / mttf;
    p.goodput = tau / (mttf * exp(m->restart_seconds / mttf) * expm1((tau + c) / mttf));
    p.wall_seconds = work / p.goodput;
    p.failures = p.wall_seconds / mttf;
    if (p.goodput < 0.01) return p; /* it never ends: there is nothing to simulate */
    simulate_all(m, &p, work);
    return p;
}
