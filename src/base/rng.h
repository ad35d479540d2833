/* rng.h - counter-based random numbers: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
 * SC 2011). The n-th number of a (seed, stream) is a pure function of n, so results do not depend on
 * threads or order. */
#ifndef TALC_BASE_RNG_H
#define TALC_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

#define PHILOX_ROUNDS 10
#define PHILOX_MULTIPLIER_0 0xD2511F53u
#define PHILOX_MULTIPLIER_1 0xCD9E8D57u
#define PHILOX_KEY_STEP_0 0x9E3779B9u
#define PHILOX_KEY_STEP_1 0xBB67AE85u

/* Four independent 32-bit words for a 128-bit counter under a 64-bit key. */
void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

struct rng {
    uint64_t seed;    /* the key */
    uint64_t stream;  /* upper half of the counter: separate uses of one seed do not overlap */
    uint64_t counter; /* words drawn so far; the whole state, save it to resume */
};

struct rng rng_make(uint64_t seed, uint64_t stream);
uint32_t rng_u32(struct rng *rng);
uint64_t rng_u64(struct rng *rng);
uint64_t rng_below(struct rng *rng, uint64_t bound);                   /* uniform in [0, bound), without modulo bias */
double rng_uniform(struct rng *rng);                                   /* [0, 1), 53 bits */
double rng_normal(struct rng *rng);                                    /* mean 0, variance 1 (Box-Muller) */
void rng_shuffle(struct rng *rng, void *items, size_t n, size_t size); /* Fisher-Yates; size <= 256 bytes */

#endif
