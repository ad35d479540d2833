/* bpe_borders.h - places in text that no merge reaches over, whatever else the text holds.
 *
 * A merge joins two tokens. Over the border between two characters X and Y only one can reach whose left token ends as
 * text ends behind X, and whose right token begins as text begins with Y. Where the vocabulary has no such merge, what
 * lies before the border and what lies behind it are encoded each on its own. So sentences without spaces (Chinese,
 * Japanese) fall into parts of one or a few characters: of the first the encodings are listed, the others come again
 * and again.
 *
 * Known for characters of three bytes (U+0800 to U+FFFF). */
#ifndef TALC_TEXT_BPE_BORDERS_H
#define TALC_TEXT_BPE_BORDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bpe;
struct vocabulary;

/* Which part of a character a token has that ends (begins) with it. */
enum bpe_end { BPE_END_WHOLE, BPE_END_TWO_BYTES, BPE_END_ONE_BYTE, BPE_END_COUNT };

/* A character, in the four numbers that one load brings. `ends`: how many ids it has (bits 0-1; 0: not a character that
 * borders are known for), and, as bits of enum bpe_end, the ends of it that left tokens of merges have, those that left
 * tokens have of merges whose right token begins with it as a whole, and of those whose right token begins with a part
 * of it. */
struct bpe_wide {
    uint32_t ends;
    int32_t ids[3];
};
#define BPE_WIDE_IDS(ends) ((ends)&3)
#define BPE_WIDE_LEFT(ends) ((ends) >> 2 & 7)
#define BPE_WIDE_LEFT_OF(ends) ((ends) >> 5 & 7)
#define BPE_WIDE_LEFT_OF_PART(ends) ((ends) >> 8 & 7)

/* Two characters side by side that a merge may join. */
struct bpe_wide_pair {
    uint32_t characters; /* x << 16 | y; 0: empty */
    int32_t ids[2];      /* their encoding; ids[1] -1: one id */
};

struct bpe_borders {
    struct bpe_wide *wide;       /* [65536] by codepoint */
    uint64_t *bits;              /* one, by hash, for each pair of ends that a merge brings together */
    int shift;                   /* 64 - log2(bits) */
    struct bpe_wide_pair *pairs; /* hash table; pairs that are 1 or 2 ids */
    size_t n_pair_slots;         /* a power of two */
};

/* After the tables of `bpe` are built. NULL: out of memory. */
struct bpe_borders *bpe_borders_new(const struct bpe *bpe, const struct vocabulary *v);
void bpe_borders_free(struct bpe_borders *borders); /* NULL is fine */

/* The character of three bytes, lowest byte first; -1 when these are none (what no UTF-8 can be has no ids). */
static inline int32_t bpe_wide_of(uint32_t bytes) {
    if ((bytes & 0xc0c0f0) != 0x8080e0) return -1;
    return (int32_t)((bytes & 15) << 12 | (bytes >> 2 & 0xfc0) | (bytes >> 16 & 63));
}

/* The character of three bytes at text[at..n), -1 when there is none. */
static inline int32_t bpe_wide_at(const char *text, size_t n, size_t at) {
    const unsigned char *t = (const unsigned char *)text + at;
    if (n - at < 3) return -1;
    return bpe_wide_of((uint32_t)t[0] | (uint32_t)t[1] << 8 | (uint32_t)t[2] << 16);
}

/* The same for at > 0: the byte before it makes it four that one load brings. */
static inline int32_t bpe_wide_behind(const char *text, size_t n, size_t at) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint32_t bytes;
    if (n - at < 3) return -1;
    memcpy(&bytes, text + at - 1, sizeof bytes);
    return bpe_wide_of(bytes >> 8);
#else
    return bpe_wide_at(text, n, at);
#endif
}

/* The key of one end of the character `codepoint`. */
static inline uint32_t bpe_left_end(uint32_t codepoint, enum bpe_end end) {
    return end == BPE_END_WHOLE       ? codepoint
           : end == BPE_END_TWO_BYTES ? 0x10000 | (codepoint & 0xfff)
                                      : 0x20000 | (codepoint & 0x3f);
}
static inline uint32_t bpe_right_end(uint32_t codepoint, enum bpe_end end) {
    return end == BPE_END_WHOLE       ? codepoint
           : end == BPE_END_TWO_BYTES ? 0x10000 | codepoint >> 6
                                      : 0x20000 | codepoint >> 12;
}

static inline size_t bpe_border_bit(const struct bpe_borders *b, uint32_t left, uint32_t right) {
    return (size_t)(((uint64_t)left << 18 | right) * 0x9e3779b97f4a7c15u >> b->shift);
}

/* As bpe_may_merge, for every pair of their ends. */
bool bpe_ends_merge(const struct bpe_borders *b, int32_t x, uint32_t ends_x, int32_t y, uint32_t ends_y);

/* False: no merge reaches over the border between the characters x and y, whose ends these are. Without branches but
 * the seldom one: whether two characters merge cannot be foreseen. */
static inline bool bpe_may_merge(const struct bpe_borders *b, int32_t x, uint32_t ends_x, int32_t y, uint32_t ends_y) {
    unsigned left = BPE_WIDE_LEFT(ends_x), left_of = BPE_WIDE_LEFT_OF(ends_y);
    size_t bit = bpe_border_bit(b, (uint32_t)x, (uint32_t)y); /* of both as a whole */
    unsigned whole = (unsigned)(b->bits[bit / 64] >> (bit % 64)) & left & left_of & 1;
    unsigned others = left & ((left_of & ~1u) | BPE_WIDE_LEFT_OF_PART(ends_y));
    return __builtin_expect(others != 0, false) ? whole || bpe_ends_merge(b, x, ends_x, y, ends_y) : whole;
}

static inline size_t bpe_pair_slot(const struct bpe_borders *b, uint32_t characters) {
    size_t mask = b->n_pair_slots - 1, i = (characters * 0x9e3779b1u >> 7) & mask;
    while (b->pairs[i].characters != characters && b->pairs[i].characters) i = (i + 1) & mask;
    return i;
}

/* The encoding of x and y alone, NULL when it is not listed. */
static inline const struct bpe_wide_pair *bpe_wide_pair(const struct bpe_borders *b, int32_t x, int32_t y) {
    const struct bpe_wide_pair *pair = &b->pairs[bpe_pair_slot(b, (uint32_t)x << 16 | (uint32_t)y)];
    return pair->characters ? pair : NULL;
}

#endif
