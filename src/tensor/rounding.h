/* rounding.h - stochastic rounding to bf16 (Gupta et al. 2015): to one of the two neighbours, each as likely as it is
 * near, so that steps too small for the format add up to what they should on average. */
#ifndef TALC_TENSOR_ROUNDING_H
#define TALC_TENSOR_ROUNDING_H

#include <stdint.h>
#include <string.h>

#include "base/rng.h"

/* `random`: 16 uniform bits; higher ones are ignored. Infinities and NaN stay what they are. */
static inline uint16_t bf16_round_stochastic(float x, uint32_t random) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)((bits + (random & 0xffffu)) >> 16);
}

/* A random word each for the elements i to i + 3 of a tensor, i a multiple of 4, of Philox4x32-10: key = the seed,
 * counter words = (i / 4, its upper half, site, low half of counter). */
static inline void rounding_words(const uint64_t rng[2], uint32_t site, int64_t i, uint32_t words[4]) {
    const uint32_t key[2] = {(uint32_t)rng[0], (uint32_t)(rng[0] >> 32)};
    const uint32_t counter[4] = {(uint32_t)(i / 4), (uint32_t)((uint64_t)(i / 4) >> 32), site, (uint32_t)rng[1]};
    philox4x32(counter, key, words);
}

#endif
