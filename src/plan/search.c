/* search.c - enumerates and ranks layouts; see search.h. */
#include "plan/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool same_kind(const struct plan_layout *a, const struct plan_layout *b) {
    return a->tp == b->tp && a->pp == b->pp && a->zero == b->zero && a->recompute == b->recompute && a->cp == b->cp &&
           a->ep == b->ep;
}

/* Keeps the fastest of each kind, in order. */
static void keep(struct plan_candidate *list, int *n, const struct plan_candidate *c) {
    int same = -1;
    for (int i = 0; i < *n; i++)
        if (same_kind(&list[i].layout, &c->layout)) same = i;
    if (same >= 0) {
        if (list[same].tokens_per_second >= c->tokens_per_second) return;
        memmove(&list[same], &list[same + 1], (size_t)(*n - same - 1) * sizeof *list);
        --*n;
    }
    int at = *n;
    while (at > 0 && list[at - 1].tokens_per_second < c->tokens_per_second) at--;
    if (at == PLAN_KEPT) return;
    if (*n == PLAN_KEPT) --*n;
    memmove(&list[at + 1], &list[at], (size_t)(*n - at) * sizeof *list);
    list[at] = *c;
    ++*n;
}

struct search {
    struct plan_job *job; /* a copy, with the chips that a layout uses */
    const struct plan_wish *wish;
    const struct plan_constants *constants;
    struct plan_ranking *ranking;
};

/* Times the memory there is: what needs more is not worth timing. */
#define HOPELESS 3

/* False when it needs hopelessly much memory. */
static bool try_layout(struct search *s, const struct plan_layout *l) {
    struct plan_candidate c = {.layout = *l, .chips = s->job->chips};
    struct plan_ranking *ranking = s->ranking;
    if (!plan_layout_check(s->job, l, NULL)) return true;
    c.memory = plan_memory_of(s->job, l);
    c.fits = s->wish->ignore_memory || c.memory.total <= plan_memory_limit(s->job->chip);
    if (ranking->n_tried++ == 0 || c.memory.total < ranking->smallest.memory.total) ranking->smallest = c;
    if (!c.fits && c.memory.total > HOPELESS * plan_memory_limit(s->job->chip)) return false;
    c.step = plan_step_of(s->job, l, s->constants);
    c.tokens_per_second = (double)plan_true_batch(s->job, l) * s->job->sequence / c.step.seconds;
    ranking->n_fit += c.fits;
    if (c.fits)
        keep(ranking->best, &ranking->n_best, &c);
    else
        keep(ranking->lost, &ranking->n_lost, &c);
    return true;
}

/* The usual divisions of a stage's layers into chunks. False once even one chunk is hopeless: larger
 * micro-batches are too. */
static bool try_chunks(struct search *s, struct plan_layout l) {
    static const int chunks[] = {1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20};
    int layers = (s->job->model->layers + l.pp - 1) / l.pp;
    if (s->wish->vpp) {
        l.vpp = s->wish->vpp;
        return try_layout(s, &l);
    }
    for (size_t k = 0; k < sizeof chunks / sizeof *chunks; k++) {
        l.vpp = chunks[k];
        if (l.vpp > 1 && (!s->job->software->interleave || l.pp == 1)) break;
        if (layers % l.vpp == 0 && !try_layout(s, &l)) return l.vpp > 1;
    }
    return true;
}

static void try_micro_batches(struct search *s, struct plan_layout l) {
    static const int sizes[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        l.micro_batch = s->wish->micro_batch ? s->wish->micro_batch : sizes[i];
        if ((int64_t)l.micro_batch * l.dp > s->job->batch * 1.1 || !try_chunks(s, l) || s->wish->micro_batch) break;
    }
}

/* ZeRO-2 is left to those who ask: with pipelines it reduces gradients every micro-batch, without them stage 3 needs
 * less. */
static void try_details(struct search *s, struct plan_layout l) {
    const struct plan_wish *w = s->wish;
    l.offload = w->offload > 0;
    for (l.zero = 0; l.zero <= 3; l.zero++) {
        bool usual = l.zero == 1 || (l.zero == 3 && l.pp == 1);
        if (w->zero >= 0 ? l.zero != w->zero : !usual) continue;
        for (int r = RECOMPUTE_NONE; r <= RECOMPUTE_FULL; r++) {
            l.recompute = (enum plan_recompute)r;
            if (w->recompute < 0 || r == w->recompute) try_micro_batches(s, l);
        }
    }
}

static void try_experts(struct search *s, struct plan_layout l) {
    const struct plan_model *m = s->job->model;
    if (s->wish->ep || !m->experts) {
        l.ep = s->wish->ep ? s->wish->ep : 1;
        try_details(s, l);
        return;
    }
    for (l.ep = 1; l.ep <= m->experts && l.ep <= l.dp * l.cp * l.tp; l.ep *= 2)
        if (m->experts % l.ep == 0 && l.dp * l.cp * l.tp % l.ep == 0) try_details(s, l);
}

static bool allowed(int wish, int value) { return wish == 0 || wish == value; }

/* Whether so many stages are worth leaving chips idle for: they share the layers evenly, or nearly. */
static bool even_stages(int layers, int pp) {
    int most = (layers + pp - 1) / pp;
    return most * pp - layers <= 2;
}

static void try_stages(struct search *s, int chips, int tp, int cp, int pp) {
    const struct plan_wish *w = s->wish;
    int dp = w->dp ? w->dp : chips / tp / cp / pp, most = (int)(1.1 * s->job->batch);
    if (!w->dp && dp > most) dp = most; /* more replicas than sequences: the rest stays idle */
    int64_t used = (int64_t)tp * cp * pp * dp;
    if (dp < 1 || used > chips) return;
    if (used != chips && (w->all_chips || used < 0.95 * chips || !even_stages(s->job->model->layers, pp))) return;
    s->job->chips = (int)used;
    struct plan_layout l = {
        .tp = tp, .pp = pp, .cp = cp, .dp = dp, .sequence_parallel = s->job->software->sequence_parallel && tp > 1};
    try_experts(s, l);
}

static void try_all(struct search *s) {
    const struct plan_wish *w = s->wish;
    int chips = s->job->chips, island = s->job->network->island;
    int tp_most = w->tp ? w->tp : island < 16 ? island : 16;
    for (int tp = 1; tp <= tp_most; tp++) {
        if (!allowed(w->tp, tp) || s->job->model->heads % tp || (!w->tp && (tp & (tp - 1)))) continue;
        for (int cp = 1; cp <= 64; cp++) {
            if (!allowed(w->cp, cp) || (!w->cp && ((cp & (cp - 1)) || (cp > 1 && s->job->sequence / cp < 4096))))
                continue;
            for (int pp = 1; pp <= s->job->model->layers && pp <= 512; pp++)
                if (allowed(w->pp, pp)) try_stages(s, chips, tp, cp, pp);
        }
    }
}

static void none_found(const struct plan_job *job, const struct plan_wish *w, const struct plan_ranking *ranking,
                       struct talc_error *err) {
    if (ranking->n_tried > 0) {
        char text[128];
        plan_layout_text(&ranking->smallest.layout, text);
        talc_fail(err, "%s does not fit on %d x %s: the smallest of %ld layouts (%s) needs %.1f GiB a chip of %.1f",
                  job->model->name, job->chips, job->chip->name, ranking->n_tried, text,
                  ranking->smallest.memory.total / (1 << 30), plan_memory_limit(job->chip) / (1 << 30));
        return;
    }
    bool wished = w->tp || w->pp || w->dp || w->cp || w->ep || w->vpp || w->micro_batch || w->zero >= 0;
    talc_fail(err, "no layout%s keeps %d chips at work on a batch of %d sequences of %d, %d layers and %d heads; %s",
              wished ? " as wished" : "", job->chips, job->batch, job->sequence, job->model->layers, job->model->heads,
              wished ? "fix less, or what divides them" : "take a larger --batch, or fewer --gpus");
}

bool plan_search(const struct plan_job *job, const struct plan_wish *wish, const struct plan_constants *constants,
                 struct plan_ranking *ranking, struct talc_error *err) {
    *ranking = (struct plan_ranking){.best = calloc(PLAN_KEPT + 1, sizeof *ranking->best),
                                     .lost = calloc(PLAN_KEPT + 1, sizeof *ranking->lost)};
    struct plan_job own = *job;
    struct search s = {&own, wish, constants, ranking};
    if (!ranking->best || !ranking->lost) {
        plan_ranking_free(ranking);
        return talc_fail(err, "out of memory");
    }
    try_all(&s);
    if (ranking->n_best > 0) return true;
    none_found(job, wish, ranking, err);
    plan_ranking_free(ranking);
    return false;
}

void plan_ranking_free(struct plan_ranking *r) {
    free(r->best);
    free(r->lost);
    *r = (struct plan_ranking){0};
}
