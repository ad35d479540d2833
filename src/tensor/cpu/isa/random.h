/* random.h - Philox (base/rng.h) many blocks at a time, for stochastic rounding and dropout, which draw a word for each
 * element. */
#ifndef TALC_TENSOR_CPU_ISA_RANDOM_H
#define TALC_TENSOR_CPU_ISA_RANDOM_H

#include <math.h>

#include "base/rng.h"

#define RANDOM_BLOCKS 16 /* side by side: the compiler makes vectors of them */
#define RANDOM_WORDS (4 * RANDOM_BLOCKS)

/* The words of blocks `first`, `first` + 1, ...: key = the seed, counter words = (block, its upper half, site, low half
 * of the counter). */
static inline void random_words(const uint64_t rng[2], uint32_t site, uint64_t first, uint32_t words[RANDOM_WORDS]) {
    uint32_t a[RANDOM_BLOCKS], b[RANDOM_BLOCKS], c[RANDOM_BLOCKS], d[RANDOM_BLOCKS];
    uint32_t key[2] = {(uint32_t)rng[0], (uint32_t)(rng[0] >> 32)};
    for (int i = 0; i < RANDOM_BLOCKS; i++) {
        a[i] = (uint32_t)(first + (uint64_t)i), b[i] = (uint32_t)((first + (uint64_t)i) >> 32);
        c[i] = site, d[i] = (uint32_t)rng[1];
    }
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        for (int i = 0; i < RANDOM_BLOCKS; i++) {
            uint64_t x = (uint64_t)PHILOX_MULTIPLIER_0 * a[i], y = (uint64_t)PHILOX_MULTIPLIER_1 * c[i];
            a[i] = (uint32_t)(y >> 32) ^ b[i] ^ key[0], b[i] = (uint32_t)y;
            c[i] = (uint32_t)(x >> 32) ^ d[i] ^ key[1], d[i] = (uint32_t)x;
        }
        key[0] += PHILOX_KEY_STEP_0, key[1] += PHILOX_KEY_STEP_1;
    }
    for (int i = 0; i < RANDOM_BLOCKS; i++)
        words[4 * i] = a[i], words[4 * i + 1] = b[i], words[4 * i + 2] = c[i], words[4 * i + 3] = d[i];
}

/* What elements (row, first) to (row, first + RANDOM_WORDS - 1) are multiplied by under dropout (ops.h); `first` is a
 * multiple of 4. */
static inline void dropout_factors(const uint64_t rng[2], float probability, uint32_t site, uint32_t row, int64_t first,
                                   float factors[RANDOM_WORDS]) {
    uint32_t words[RANDOM_WORDS], limit = (uint32_t)ceil((double)probability * 0x1p32); /* word / 2^32 < probability */
    float keep = 1 / (1 - probability);
    random_words(rng, site, (uint64_t)row << 32 | (uint32_t)(first / 4), words);
    for (int i = 0; i < RANDOM_WORDS; i++) factors[i] = words[i] < limit ? 0 : keep;
}

#endif
