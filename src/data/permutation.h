/* permutation.h - a random order of 0 .. n-1 without storing it: the i-th element is computed. A Feistel network,
 * keyed by (seed, stream) through Philox, permutes the next power of four; elements outside [0, n) are walked over
 * (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). */
#ifndef TALC_DATA_PERMUTATION_H
#define TALC_DATA_PERMUTATION_H

#include <stdint.h>

struct permutation {
    uint64_t n, seed, stream;
    int half_bits; /* the domain is [0, 4^half_bits) */
};

/* n is between 1 and 2^62. */
struct permutation permutation_make(uint64_t n, uint64_t seed, uint64_t stream);
uint64_t permutation_at(const struct permutation *p, uint64_t i); /* i < n */

#endif
