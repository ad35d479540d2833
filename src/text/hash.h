/* hash.h - hashes for the tables of this folder (not against an adversary, not written to files except where said). */
#ifndef TALC_TEXT_HASH_H
#define TALC_TEXT_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Finalizer of MurmurHash3: every bit of x moves every bit of the result. */
static inline uint64_t hash_u64(uint64_t x) {
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdu;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53u;
    return x ^ x >> 33;
}

/* Eight bytes at a time; words are short. */
static inline uint64_t hash_bytes(const char *bytes, size_t n) {
    uint64_t h = 0x9e3779b97f4a7c15u ^ n;
    for (; n >= 8; n -= 8, bytes += 8) {
        uint64_t chunk;
        memcpy(&chunk, bytes, 8);
        h = (h ^ chunk) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    uint64_t rest = 0;
    if (n) memcpy(&rest, bytes, n);
    return hash_u64(h ^ rest);
}

#endif
