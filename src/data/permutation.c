/* permutation.c - see permutation.h. */
#include "data/permutation.h"

#include "base/rng.h"

#define ROUNDS 8

struct permutation permutation_make(uint64_t n, uint64_t seed, uint64_t stream) {
    struct permutation p = {.n = n, .seed = seed, .stream = stream, .half_bits = 1};
    while (((uint64_t)1 << (2 * p.half_bits)) < n) p.half_bits++;
    return p;
}

static uint64_t feistel(const struct permutation *p, uint64_t x) {
    uint32_t mask = (uint32_t)(((uint64_t)1 << p->half_bits) - 1);
    uint32_t left = (uint32_t)(x >> p->half_bits) & mask, right = (uint32_t)x & mask;
    uint32_t key[2] = {(uint32_t)p->seed, (uint32_t)(p->seed >> 32)};
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t counter[4] = {right, round, (uint32_t)p->stream, (uint32_t)(p->stream >> 32)}, word[4];
        philox4x32(counter, key, word);
        uint32_t next = left ^ (word[0] & mask);
        left = right;
        right = next;
    }
    return (uint64_t)left << p->half_bits | right;
}

uint64_t permutation_at(const struct permutation *p, uint64_t i) {
    do i = feistel(p, i);
    while (i >= p->n);
    return i;
}
