/* sampler.h - from logits to the next token.
 *
 * In order: repetition penalty, temperature, top-k, top-p, min-p, then one draw. Temperature 0 is greedy (ties: lowest
 * id). */
#ifndef TALC_INFER_SAMPLER_H
#define TALC_INFER_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/rng.h"

struct sampling {
    float temperature;        /* >= 0; 0: the most likely token */
    int top_k;                /* only the k most likely; 0: all */
    float top_p;              /* the smallest set whose probability reaches p (Holtzman et al. 2020); 1: all */
    float min_p;              /* tokens at least this share of the most likely one's probability; 0: all */
    float repetition_penalty; /* logits of tokens in the context are divided (negative: multiplied) by it (Keskar et al.
                                 2019); 1: none */
    uint64_t seed;
};

struct sampling sampling_defaults(void); /* temperature 0.7, top-p 0.95, min-p 0.05, no other */
bool sampling_check(const struct sampling *s, struct talc_error *err);

struct sampler; /* scratch for one vocabulary */
struct sampler *sampler_open(int vocab_size, struct talc_error *err);
void sampler_close(struct sampler *sampler);

/* Draws a token from `logits` [vocab_size]; `context` are the tokens so far. *logp (may be NULL) is the natural
 * logarithm of the token's probability under the model itself (temperature 1, nothing cut off). */
int32_t sampler_pick(struct sampler *sampler, const struct sampling *options, const float *logits,
                     const int32_t *context, int n_context, struct rng *rng, float *logp);

#endif
