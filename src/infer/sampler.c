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

/* Most likely first; equal ones by id, so that the order does not depend on the sort. */
static int by_logit(const void *a, const void *b) {
    const struct candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit < y->logit ? 1 : -1;
    return x->id < y->id ? -1 : 1;
}

/* How many of the sorted candidates survive top-k, top-p and min-p; fills their probabilities and *total of them. */
static int cut_off(struct sampler *s, const struct sampling *o, double *total) {
    struct candidate *c = s->candidates;
    int n = o->top_k > 0 && o->top_k < s->vocab_size ? o->top_k : s->vocab_size, kept = 0;
    double sum = 0, cumulative = 0;
    for (int i = 0; i < n; i++) {
        c[i].probability = (float)exp((double)((c[i].logit - c[0].logit) / o->temperature));
        sum += (double)c[i].probability;
    }
    while (kept < n) {
        if (kept && (cumulative >= (double)o->top_p * sum || c[kept].probability < o->min_p * c[0].probability)) break;
        cumulative += (double)c[kept++].probability;
    }
    *total = cumulative;
    return kept;
}

static int32_t draw(struct sampler *s, const struct sampling *o, struct rng *rng) {
    double total;
    qsort(s->candidates, (size_t)s->vocab_size, sizeof *s->candidates, by_logit);
    int kept = cut_off(s, o, &total);
    double left = rng_uniform(rng) * total;
    for (int i = 0; i < kept - 1; i++) {
        left -= (double)s->candidates[i].probability;
        if (left < 0) return s->candidates[i].id;
    }
    return s->candidates[kept - 1].id;
}

int32_t sampler_pick(struct sampler *s, const struct sampling *o, const float *logits, const int32_t *context,
                     int n_context, struct rng *rng, float *logp) {
    for (int i = 0; i < s->vocab_size; i++) s->candidates[i] = (struct candidate){.logit = logits[i], .id = i};
    penalise(s, o->repetition_penalty, context, n_context);
    int32_t id = o->temperature == 0 ? most_likely(s->candidates, s->vocab_size) : draw(s, o, rng);
    if (logp) *logp = log_probability(logits, s->vocab_size, id);
    return id;
}
