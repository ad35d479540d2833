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

struct bpe;
struct vocabulary;

/* Which part of a character a token has that ends (begins) with it. */
enum bpe_end { BPE_END_WHOLE, BPE_END_TWO_BYTES, BPE_END_ONE_BYTE, BPE_END_COUNT };

/* A character: its first id, how many ids it has, the ends of it that left tokens of merges have (bits of enum
 * bpe_end), those that left tokens have of merges whose right token has an end of it, and whether that end may be a
 * part of it. So small that those of a text stay in the nearest caches. */
#define BPE_WIDE_ID(wide) ((int32_t)((wide) & 0x3fffff))
#define BPE_WIDE_IDS(wide) ((wide) >> 22 & 3) /* 1 to 3; 0: not a character that borders are known for */
#define BPE_WIDE_LEFT(wide) ((wide) >> 24 & 7)
#define BPE_WIDE_LEFT_OF(wide) ((wide) >> 27 & 7)
#define BPE_WIDE_PARTS ((uint32_t)1 << 30)

/* Two characters side by side that a merge may join. */
struct bpe_wide_pair {
    uint32_t characters; /* x << 16 | y; 0: empty */
    int32_t ids[2];      /* their encoding; ids[1] -1: one id */
};

struct bpe_borders {
    uint32_t *wide;              /* [65536] by codepoint */
    int32_t (*more)[2];          /* [65536] the second and the third id */
    uint64_t *bits;              /* one, by hash, for each pair of ends that a merge brings together */
    int shift;                   /* 64 - log2(bits) */
    struct bpe_wide_pair *pairs; /* hash table; pairs that are 1 or 2 ids */
    size_t n_pair_slots;         /* a power of two */
};

/* After the tables of `bpe` are built. NULL: out of memory. */
struct bpe_borders *bpe_borders_new(const struct bpe *bpe, const struct vocabulary *v);
void bpe_borders_free(struct bpe_borders *borders); /* NULL is fine */

/* The character of three bytes at text[at..n), -1 when there is none (what no UTF-8 can be has no ids). */
static inline int32_t bpe_wide_at(const char *text, size_t n, size_t at) {
    const unsigned char *t = (const unsigned char *)text + at;
    if (n - at < 3 || (t[0] & 0xf0) != 0xe0 || (t[1] & 0xc0) != 0x80 || (t[2] & 0xc0) != 0x80) return -1;
    return (t[0] & 15) << 12 | (t[1] & 63) << 6 | (t[2] & 63);
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
bool bpe_ends_merge(const struct bpe_borders *b, int32_t x, int32_t y, unsigned left_ends);

/* False: no merge reaches over the border between the characters x and y. */
static inline bool bpe_may_merge(const struct bpe_borders *b, int32_t x, uint32_t wide_x, int32_t y, uint32_t wide_y) {
    unsigned left_ends = BPE_WIDE_LEFT(wide_x) & BPE_WIDE_LEFT_OF(wide_y);
    if (!left_ends) return false;
    size_t bit = bpe_border_bit(b, (uint32_t)x, (uint32_t)y); /* of both as a whole */
    return (b->bits[bit / 64] >> (bit % 64) & 1) ||
           ((left_ends > 1 || (wide_y & BPE_WIDE_PARTS)) && bpe_ends_merge(b, x, y, left_ends));
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
