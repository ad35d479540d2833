/* random.h - Philox (base/rng.h) many blocks at a time, for stochastic rounding and dropout, which draw a word for each
 * element. */
#ifndef TALC_TENSOR_CPU_ISA_RANDOM_H
#define TALC_TENSOR_CPU_ISA_RANDOM_H

#include "base/rng.h"
#include "tensor/cpu/isa/simd.h"

/* Lanes of 64 bits with a word of 32 in the lower half of each; what the upper half holds does not matter. */
#if defined(ISA_AVX512)
typedef uint64_t random_lanes __attribute__((vector_size(64)));
static inline random_lanes random_product(random_lanes a, uint32_t b) {
    return (random_lanes)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(b));
}
#elif defined(ISA_AVX2)
typedef uint64_t random_lanes __attribute__((vector_size(32)));
static inline random_lanes random_product(random_lanes a, uint32_t b) {
    return (random_lanes)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(b));
}
#elif defined(ISA_NEON)
typedef uint64_t random_lanes __attribute__((vector_size(16)));
static inline random_lanes random_product(random_lanes a, uint32_t b) {
    return (random_lanes)vmull_n_u32(vmovn_u64((uint64x2_t)a), b);
}
#else
typedef uint64_t random_lanes __attribute__((vector_size(16)));
static inline random_lanes random_product(random_lanes a, uint32_t b) {
    return (random_lanes){(uint64_t)(uint32_t)a[0] * b, (uint64_t)(uint32_t)a[1] * b};
}
#endif
#define RANDOM_LANES ((int)(sizeof(random_lanes) / sizeof(uint64_t)))
#define RANDOM_VECTORS 2 /* side by side, as each instruction waits for the one before */
#define RANDOM_WORDS 64  /* of a call */

static const uint64_t random_numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* RANDOM_VECTORS vectors of blocks from `first` on: (a, b, c, d) of each. */
static inline void random_blocks(const uint64_t rng[2], uint32_t site, uint64_t first, uint32_t *words) {
    random_lanes a[RANDOM_VECTORS], b[RANDOM_VECTORS], c[RANDOM_VECTORS], d[RANDOM_VECTORS];
    uint32_t key[2] = {(uint32_t)rng[0], (uint32_t)(rng[0] >> 32)};
    UNROLL
    for (int v = 0; v < RANDOM_VECTORS; v++) {
        memcpy(&a[v], random_numbers + v * RANDOM_LANES, sizeof a[v]);
        a[v] = a[v] + first;
        b[v] = a[v] >> 32;
        c[v] = (random_lanes){0} + site;
        d[v] = (random_lanes){0} + (uint32_t)rng[1];
    }
    UNROLL
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        UNROLL
        for (int v = 0; v < RANDOM_VECTORS; v++) {
            random_lanes x = random_product(a[v], PHILOX_MULTIPLIER_0), y = random_product(c[v], PHILOX_MULTIPLIER_1);
            a[v] = (y >> 32) ^ b[v] ^ key[0], b[v] = y;
            c[v] = (x >> 32) ^ d[v] ^ key[1], d[v] = x;
        }
        key[0] += PHILOX_KEY_STEP_0, key[1] += PHILOX_KEY_STEP_1;
    }
    for (int v = 0; v < RANDOM_VECTORS; v++)
        for (int i = 0; i < RANDOM_LANES; i++, words += 4)
            words[0] = (uint32_t)a[v][i], words[1] = (uint32_t)b[v][i], words[2] = (uint32_t)c[v][i],
            words[3] = (uint32_t)d[v][i];
}

/* The words of blocks `first`, `first` + 1, ...: key = the seed, counter words = (block, its upper half, site, low half
 * of the counter). */
static inline void random_words(const uint64_t rng[2], uint32_t site, uint64_t first, uint32_t words[RANDOM_WORDS]) {
    const int blocks = RANDOM_VECTORS * RANDOM_LANES;
    for (int i = 0; i < RANDOM_WORDS / 4; i += blocks) random_blocks(rng, site, first + (uint64_t)i, words + 4 * i);
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
