/* published_runs.c - reads, predicts and fits published runs; see published_runs.h. */
#include "published_runs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "file/atomic.h"

static int whole(const struct table *t, int row, const char *column, int fallback) {
    double x = fallback;
    table_number(t, row, column, fallback, &x, NULL);
    return (int)x;
}

static void read_model(struct plan_model *m, const struct table *t, int row) {
    *m = (struct plan_model){.layers = whole(t, row, "layers", 0),
                             .hidden = whole(t, row, "hidden", 0),
                             .heads = whole(t, row, "heads", 0),
                             .kv_heads = whole(t, row, "kv_heads", 0),
                             .head_dim = whole(t, row, "head_dim", 0),
                             .ffn = whole(t, row, "ffn", 0),
                             .vocab = whole(t, row, "vocab", 0),
                             .context = whole(t, row, "sequence", 0),
                             .gated = whole(t, row, "gated", 0),
                             .tied = whole(t, row, "tied", 1),
                             .biases = whole(t, row, "biases", 1),
                             .parallel_block = whole(t, row, "parallel", 0),
                             .window = whole(t, row, "window", 0)};
    m->learned_positions = m->biases;
    snprintf(m->name, sizeof m->name, "%.60s", table_text(t, row, "name"));
}

static bool read_run(struct published_runs *p, int row, struct talc_error *err) {
    const struct table *t = &p->table;
    struct published_run *r = &p->runs[row];
    snprintf(r->name, sizeof r->name, "%s", table_text(t, row, "name"));
    r->system = table_text(t, row, "system"), r->group = table_text(t, row, "group"),
    r->source = table_text(t, row, "source");
    read_model(&r->model, t, row);
    if (!catalog_chip(&p->catalog, table_text(t, row, "chip"), &r->chip, err) ||
        !catalog_network(&p->catalog, table_text(t, row, "network"), &r->network, err) ||
        !catalog_software(&p->catalog, table_text(t, row, "software"), &r->software, err) ||
        !plan_model_check(&r->model, err))
        return talc_fail_in(err, "row %d", row + 1);
    r->job = (struct plan_job){.model = &r->model,
                               .chip = &r->chip,
                               .network = &r->network,
                               .software = &r->software,
                               .chips = whole(t, row, "gpus", 0),
                               .batch = whole(t, row, "batch", 0),
                               .sequence = whole(t, row, "sequence", 0)};
    if (!precision_find(table_text(t, row, "precision"), &r->job.precision, err)) return false;
    r->wish = (struct plan_wish){.tp = whole(t, row, "tp", 0),
                                 .pp = whole(t, row, "pp", 0),
                                 .vpp = whole(t, row, "vpp", 0),
                                 .cp = whole(t, row, "cp", 0),
                                 .micro_batch = whole(t, row, "micro_batch", 0),
                                 .zero = whole(t, row, "zero", -1),
                                 .recompute = whole(t, row, "recompute", -1),
                                 .offload = whole(t, row, "offload", 0),
                                 .all_chips = true};
    r->out_of_memory = strcmp(table_text(t, row, "memory_gb"), "oom") == 0;
    if (!r->out_of_memory) table_number(t, row, "memory_gb", 0, &r->memory_gb, NULL);
    table_number(t, row, "seconds", 0, &r->seconds, NULL);
    r->repeats = whole(t, row, "n", 1);
    return true;
}

bool published_open(struct published_runs *p, const char *path, struct talc_error *err) {
    size_t n_bytes;
    *p = (struct published_runs){0};
    char *text = file_read(path, 1 << 24, &n_bytes, err);
    bool ok = text && table_parse(&p->table, text, path, err) && catalog_open(&p->catalog, NULL, err);
    free(text);
    p->runs = calloc((size_t)p->table.n_rows + 1, sizeof *p->runs);
    for (p->n = 0; ok && p->runs && p->n < p->table.n_rows; p->n++) ok = read_run(p, p->n, err);
    for (int i = 0; ok && i < p->n; i++)
        for (int k = 0; k < p->n; k++) p->runs[i].rows_of_system += strcmp(p->runs[i].system, p->runs[k].system) == 0;
    if (!ok) published_close(p);
    return ok;
}

void published_close(struct published_runs *p) {
    table_free(&p->table);
    catalog_close(&p->catalog);
    free(p->runs);
    *p = (struct published_runs){0};
}

void published_choose(struct published_runs *p, const struct plan_constants *c) {
    for (int i = 0; i < p->n; i++) {
        struct published_run *r = &p->runs[i];
        struct plan_ranking ranking;
        struct plan_wish wish = r->wish;
        r->has_layout = plan_search(&r->job, &wish, c, &ranking, NULL);
        if (r->has_layout)
            r->layout = ranking.best[0].layout;
        else if (!r->out_of_memory) { /* it did fit: only what is not stated may be at fault */
            plan_ranking_free(&ranking);
            wish.ignore_memory = true;
            r->has_layout = plan_search(&r->job, &wish, c, &ranking, NULL);
            if (r->has_layout) r->layout = ranking.best[0].layout;
        }
        plan_ranking_free(&ranking);
    }
}

double published_ratio(const struct published_run *r, const struct plan_constants *c) {
    struct plan_step step = plan_step_of(&r->job, &r->layout, c);
    return step.seconds * r->job.batch / plan_true_batch(&r->job, &r->layout) / r->seconds;
}

/* ---- fit ----------------------------------------------------------------------------------------------------------
 */

static const double bounds[CONSTANT_COUNT][2] = {
    [CONSTANT_MATMUL] = {0.6, 1.2},  [CONSTANT_FILL] = {1e-7, 3e-5},   [CONSTANT_MISALIGNED] = {0.01, 1},
    [CONSTANT_TRAFFIC] = {0.3, 1},   [CONSTANT_OPERANDS] = {0.001, 1}, [CONSTANT_NETWORK] = {0.1, 1},
    [CONSTANT_HIDDEN] = {0.005, 1},  [CONSTANT_FLASH] = {0.1, 1},      [CONSTANT_FP8] = {0.3, 1.1},
    [CONSTANT_JITTER] = {1e-4, 0.1}, [CONSTANT_BATCHED] = {0.05, 1.1},
};

static bool fitted(const struct published_run *r, const char *without) {
    return strcmp(r->group, "fit") == 0 && r->has_layout && r->seconds > 0 &&
           (!without || strcmp(r->system, without) != 0);
}

/* Where the fit starts, and what it leans on: several constants trade off (a faster product against dearer operands),
 * so that rows alone leave a valley of equally good fits. Round values: of products 95% of the best measured rate, of
 * memory and network 80%. */
const struct plan_constants published_prior = {{0.95, 1e-6, 0.1, 0.8, 0.1, 0.8, 0.2, 0.4, 1.0, 0.005, 0.5}};
#define PRIOR_WEIGHT 0.005

static double away_from_prior(const struct plan_constants *c) {
    double total = 0;
    for (int k = 0; k < CONSTANT_COUNT; k++) total += pow(log(c->value[k] / published_prior.value[k]), 2);
    return total / CONSTANT_COUNT;
}

/* The mean over rows, where a system's rows together weigh as the square root of their number: else the two systems
 * with half of all rows would decide alone. */
static double loss(const struct published_runs *p, const struct plan_constants *c, const char *without) {
    double total = 0, weights = 0;
    for (int i = 0; i < p->n; i++) {
        const struct published_run *r = &p->runs[i];
        if (!fitted(r, without)) continue;
        double e = fabs(log(published_ratio(r, c))), weight = 1 / sqrt(r->rows_of_system);
        total += weight * (e < 0.6 ? e : 0.6);
        weights += weight;
    }
    return total / weights + PRIOR_WEIGHT * away_from_prior(c);
}

/* Random directions over one to three constants at a time, as they trade off against one another; the same seed, the
 * same fit. */
struct plan_constants published_fit(const struct published_runs *p, struct plan_constants from, const char *without,
                                    int rounds) {
    struct rng rng = rng_make(17, 0);
    double best = loss(p, &from, without), stride = 0.15;
    for (int round = 0; round < rounds; round++) {
        struct plan_constants c = from;
        int n = 1 + (int)rng_below(&rng, 3);
        for (int i = 0; i < n; i++) {
            int k = (int)rng_below(&rng, CONSTANT_COUNT);
            double step = stride * (rng_uniform(&rng) + rng_uniform(&rng) + rng_uniform(&rng) - 1.5) * 2;
            c.value[k] =
                fmin(fmax(c.value[k] * exp(k == CONSTANT_MATMUL ? step / 4 : step), bounds[k][0]), bounds[k][1]);
        }
        double l = loss(p, &c, without);
        if (l < best)
            best = l, from = c, stride *= 1.1;
        else
            stride *= 0.99;
        stride = fmin(fmax(stride, 0.01), 0.5);
    }
    return from;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct published_errors published_errors(const struct published_runs *p, const struct plan_constants *c,
                                         bool (*take)(const struct published_run *, const void *),
                                         const void *context) {
    struct published_errors e = {0};
    double *all = malloc(((size_t)p->n + 1) * sizeof *all);
    for (int i = 0; all && i < p->n; i++) {
        const struct published_run *r = &p->runs[i];
        if (!r->has_layout || r->seconds <= 0 || !take(r, context)) continue;
        double error = fabs(published_ratio(r, c) - 1);
        all[e.n++] = error;
        e.mean += error;
        if (error > e.max) e.max = error;
    }
    if (e.n > 0) {
        qsort(all, (size_t)e.n, sizeof *all, by_value);
        e.mean /= e.n;
        e.median = e.n % 2 ? all[e.n / 2] : (all[e.n / 2 - 1] + all[e.n / 2]) / 2;
    }
    free(all);
    return e;
}
