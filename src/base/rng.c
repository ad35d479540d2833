/* rng.c - Philox 4x32-10 and what is drawn from it; see rng.h. */
#include "base/rng.h"

#include <assert.h>
#include <math.h>
#include <string.h>

void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)PHILOX_MULTIPLIER_0 * c0, p1 = (uint64_t)PHILOX_MULTIPLIER_1 * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0;
        c1 = (uint32_t)p1;
        c2 = n2;
        c3 = (uint32_t)p0;
        k0 += PHILOX_KEY_STEP_0;
        k1 += PHILOX_KEY_STEP_1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

struct rng rng_make(uint64_t seed, uint64_t stream) {
    return (struct rng){.seed = seed, .stream = stream};
}

uint32_t rng_u32(struct rng *rng) {
    uint64_t block = rng->counter / 4;
    uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)rng->stream,
                           (uint32_t)(rng->stream >> 32)};
    uint32_t key[2] = {(uint32_t)rng->seed, (uint32_t)(rng->seed >> 32)}, out[4];
    philox4x32(counter, key, out);
    return out[rng->counter++ % 4];
}

uint64_t rng_u64(struct rng *rng) {
    uint64_t low = rng_u32(rng);
    return low | (uint64_t)rng_u32(rng) << 32;
}

uint64_t rng_below(struct rng *rng, uint64_t bound) {
    assert(bound > 0);
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound, x;
    do x = rng_u64(rng);
    while (x >= limit);
    return x % bound;
}

double rng_uniform(struct rng *rng) { return (double)(rng_u64(rng) >> 11) * 0x1p-53; }

double rng_normal(struct rng *rng) {
    double u = 1.0 - rng_uniform(rng), v = rng_uniform(rng); /* u in (0, 1]: the logarithm is finite */
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

void rng_shuffle(struct rng *rng, void *items, size_t n, size_t size) {
    char swap[256], *base = items;
    assert(size <= sizeof swap);
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)rng_below(rng, i);
        if (j == i - 1) continue;
        memcpy(swap, base + j * size, size);
        memcpy(base + j * size, base + (i - 1) * size, size);
        memcpy(base + (i - 1) * size, swap, size);
    }
}
