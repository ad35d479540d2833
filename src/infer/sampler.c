/* sampler.c - see sampler.h. */
#include "infer/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct candidate {
    float logit, probability;
    int32_t id;
};

struct sampler {
    int vocab_size;
    struct candidate *candidates; /* [vocab_size] */
    int n_left;                   /* of them that have no rank yet */
    unsigned char *seen;          /* [vocab_size]: penalised already */
};

struct sampling sampling_defaults(void) {
    return (struct sampling){.temperature = 0.7f, .top_p = 0.95f, .min_p = 0.05f, .repetition_penalty = 1};
}

bool sampling_check(const struct sampling *s, struct talc_error *err) {
    if (!(s->temperature >= 0 && s->temperature <= 100)) return talc_fail(err, "temperature must be 0 to 100");
    if (s->top_k < 0) return talc_fail(err, "top-k must be 0 (off) or more");
    if (!(s->top_p > 0 && s->top_p <= 1)) return talc_fail(err, "top-p must be above 0 and at most 1");
    if (!(s->min_p >= 0 && s->min_p <= 1)) return talc_fail(err, "min-p must be 0 to 1");
    if (!(s->repetition_penalty > 0 && s->repetition_penalty <= 100))
        return talc_fail(err, "repetition penalty must be above 0 and at most 100");
    return true;
}

struct sampler *sampler_open(int vocab_size, struct talc_error *err) {
    struct sampler *s = calloc(1, sizeof *s);
    if (s) {
        s->vocab_size = vocab_size;
        s->candidates = calloc((size_t)vocab_size, sizeof *s->candidates);
        s->seen = calloc((size_t)vocab_size, 1);
    }
    if (!s || !s->candidates || !s->seen) {
        sampler_close(s);
        talc_fail(err, "out of memory for sampling over %d tokens", vocab_size);
        return NULL;
    }
    return s;
}

void sampler_close(struct sampler *s) {
    if (!s) return;
    free(s->candidates);
    free(s->seen);
    free(s);
}

static void penalise(struct sampler *s, float penalty, const int32_t *context, int n_context) {
    if (penalty == 1) return;
    for (int i = 0; i < n_context; i++) {
        struct candidate *c = &s->candidates[context[i]];
        if (s->seen[context[i]]) continue;
        s->seen[context[i]] = 1;
        c->logit = c->logit > 0 ? c->logit / penalty : c->logit * penalty;
    }
    for (int i = 0; i < n_context; i++) s->seen[context[i]] = 0;
}

static int32_t most_likely(const struct candidate *candidates, int n) {
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (candidates[i].logit > candidates[best].logit) best = i;
    return best;
}

static float log_probability(const float *logits, int n, int32_t id) {
    float max = logits[0];
    for (int i = 1; i < n; i++) max = logits[i] > max ? logits[i] : max;
    double sum = 0;
    for (int i = 0; i < n; i++) sum += exp((double)(logits[i] - max));
    return (float)((double)(logits[id] - max) - log(sum));
}

/* ---- candidates in order, as far as they are needed ------------------------------------------ */

/* Equal ones by id, so that the order is one. */
static bool is_likelier(const struct candidate *a, const struct candidate *b) {
    return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

/* c[0..n) is a heap, the likeliest on top, but for c[i], which goes down to its place. */
static void sift_down(struct candidate *c, int n, int i) {
    struct candidate moved = c[i];
    for (int child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && is_likelier(&c[child + 1], &c[child])) child++;
        if (!is_likelier(&c[child], &moved)) break;
        c[i] = c[child];
    }
    c[i] = moved;
}

static void rank_begin(struct sampler *s) {
    s->n_left = s->vocab_size;
    for (int i = s->n_left / 2 - 1; i >= 0; i--) sift_down(s->candidates, s->n_left, i);
}

/* The candidate that is rank-th, from 0: those before it have been asked for. They stand at the end of the array, the
 * heap of the others before them; of a large vocabulary few are ever asked for. */
static struct candidate *ranked(struct sampler *s, int rank) {
    struct candidate *c = s->candidates;
    if (s->vocab_size - s->n_left <= rank) {
        struct candidate top = c[0];
        c[0] = c[--s->n_left];
        sift_down(c, s->n_left, 0);
        c[s->n_left] = top;
    }
    return &c[s->vocab_size - 1 - rank];
}

/* ---- drawing --------------------------------------------------------------------------------- */

static double weigh(struct candidate *c, float best, float temperature) {
    c->probability = (float)exp((double)((c->logit - best) / temperature));
    return (double)c->probability;
}

/* How many of the likeliest candidates survive top-k, top-p and min-p; *total of their probabilities, that of the
 * likeliest being 1. */
static int cut_off(struct sampler *s, const struct sampling *o, double *total) {
    float best = s->candidates[0].logit; /* of a heap */
    int n = o->top_k > 0 && o->top_k < s->vocab_size ? o->top_k : s->vocab_size, kept = 0;
    double sum = 0, cumulative = 0;
    if (n < s->vocab_size)
        for (int i = 0; i < n; i++) sum += weigh(ranked(s, i), best, o->temperature);
    else
        for (int i = 0; i < n; i++) sum += weigh(&s->candidates[i], best, o->temperature);
    for (; kept < n; kept++) {
        float p = ranked(s, kept)->probability;
        if (kept && (cumulative >= (double)o->top_p * sum || p < o->min_p)) break;
        cumulative += (double)p;
    }
    *total = cumulative;
    return kept;
}

static int32_t draw(struct sampler *s, const struct sampling *o, struct rng *rng) {
    double total;
    rank_begin(s);
    int kept = cut_off(s, o, &total);
    double left = rng_uniform(rng) * total;
    for (int i = 0; i < kept - 1; i++) {
        left -= (double)ranked(s, i)->probability;
        if (left < 0) return ranked(s, i)->id;
    }
    return ranked(s, kept - 1)->id;
}

int32_t sampler_pick(struct sampler *s, const struct sampling *o, const float *logits, const int32_t *context,
                     int n_context, struct rng *rng, float *logp) {
    for (int i = 0; i < s->vocab_size; i++) s->candidates[i] = (struct candidate){.logit = logits[i], .id = i};
    penalise(s, o->repetition_penalty, context, n_context);
    int32_t id = o->temperature == 0 ? most_likely(s->candidates, s->vocab_size) : draw(s, o, rng);
    if (logp) *logp = log_probability(logits, s->vocab_size, id);
    return id;
}
