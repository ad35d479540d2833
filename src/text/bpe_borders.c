/* bpe_borders.c - see bpe_borders.h. */
#include "text/bpe_borders.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/bpe.h"

#define N_BMP 0x10000
#define BITS_A_MERGE 16 /* of so many borders one is taken for one that a merge may reach over */

/* Which ends occur in merges at all, by key: as left ones; and as right ones behind which of the left ones (bits). */
struct ends {
    bool left[3 << 16];
    uint8_t left_of[3 << 16];
};

static bool is_continuation(char c) { return ((unsigned char)c & 0xc0) == 0x80; }

/* The codepoint of a character of three bytes, -1 when these are none. */
static int32_t wide_codepoint(const char *bytes) {
    int32_t codepoint;
    return utf8_decode(bytes, 3, &codepoint) == 3 ? codepoint : -1;
}

/* The key of what a token has of the character of three bytes that it ends with; -1: it does not end with one. */
static int32_t key_of_left(const char *bytes, size_t n) {
    if (n == 1 && is_continuation(bytes[0])) return 0x20000 | (bytes[0] & 63);
    if (n == 2 && is_continuation(bytes[0]) && is_continuation(bytes[1]))
        return 0x10000 | (bytes[0] & 63) << 6 | (bytes[1] & 63);
    return n >= 3 ? wide_codepoint(bytes + n - 3) : -1;
}

static int32_t key_of_right(const char *bytes, size_t n) {
    bool leads = ((unsigned char)bytes[0] & 0xf0) == 0xe0;
    if (n == 1 && leads) return 0x20000 | (bytes[0] & 15);
    if (n == 2 && leads && is_continuation(bytes[1])) return 0x10000 | (bytes[0] & 15) << 6 | (bytes[1] & 63);
    return n >= 3 ? wide_codepoint(bytes) : -1;
}

/* Both keys of a merge over a border; false: it reaches over none between characters of three bytes. */
static bool merge_keys(const struct vocabulary *v, const struct bpe_merge *merge, uint32_t *left, uint32_t *right) {
    const struct vocabulary_token *a = vocabulary_token(v, merge->left), *b = vocabulary_token(v, merge->right);
    int32_t x = key_of_left(vocabulary_bytes(v, a), a->n_bytes), y = key_of_right(vocabulary_bytes(v, b), b->n_bytes);
    *left = (uint32_t)x;
    *right = (uint32_t)y;
    return x >= 0 && y >= 0;
}

static size_t count_borders(const struct bpe *bpe, const struct vocabulary *v) {
    uint32_t left, right;
    size_t count = 0;
    for (size_t i = 0; i < bpe->n_merges; i++) count += merge_keys(v, &bpe->merges[i], &left, &right);
    return count;
}

static void note_merges(struct bpe_borders *b, struct ends *ends, const struct bpe *bpe, const struct vocabulary *v) {
    uint32_t left, right;
    for (size_t i = 0; i < bpe->n_merges; i++) {
        if (!merge_keys(v, &bpe->merges[i], &left, &right)) continue;
        size_t bit = bpe_border_bit(b, left, right);
        b->bits[bit / 64] |= (uint64_t)1 << (bit % 64);
        ends->left[left] = true;
        ends->left_of[right] |= (uint8_t)(1 << (left >> 16));
    }
}

static uint32_t wide_ends(const struct ends *ends, uint32_t codepoint, size_t n_ids) {
    uint32_t left = 0, left_of = ends->left_of[codepoint], left_of_part = 0;
    for (int end = 0; end < BPE_END_COUNT; end++) {
        left |= (uint32_t)ends->left[bpe_left_end(codepoint, (enum bpe_end)end)] << end;
        if (end != BPE_END_WHOLE) left_of_part |= ends->left_of[bpe_right_end(codepoint, (enum bpe_end)end)];
    }
    return (uint32_t)n_ids | left << 2 | left_of << 5 | left_of_part << 8;
}

static void list_characters(struct bpe_borders *b, const struct ends *ends, const struct bpe *bpe,
                            const struct vocabulary *v) {
    struct bpe_scratch scratch = {0};
    for (int32_t codepoint = 0x800; codepoint < N_BMP; codepoint++) {
        char bytes[4];
        int32_t ids[4];
        size_t n_ids;
        if (codepoint >= 0xd800 && codepoint <= 0xdfff) continue;
        int n = utf8_encode(codepoint, bytes);
        if (!bpe_merge_text(bpe, v, &scratch, bytes, (size_t)n, ids, &n_ids, NULL)) continue;
        b->wide[codepoint].ends = wide_ends(ends, (uint32_t)codepoint, n_ids);
        memcpy(b->wide[codepoint].ids, ids, n_ids * sizeof *ids);
    }
    bpe_scratch_free(&scratch);
}

/* The pairs that merges join with both characters as a whole: nearly all that are joined. */
static void list_pairs(struct bpe_borders *b, const struct bpe *bpe, const struct vocabulary *v) {
    struct bpe_scratch scratch = {0};
    uint32_t left, right;
    for (size_t i = 0; i < bpe->n_merges; i++) {
        char bytes[8];
        int32_t ids[8];
        size_t n_ids;
        if (!merge_keys(v, &bpe->merges[i], &left, &right) || left >> 16 || right >> 16) continue;
        uint32_t characters = left << 16 | right;
        struct bpe_wide_pair *pair = &b->pairs[bpe_pair_slot(b, characters)];
        int n = utf8_encode((int32_t)left, bytes);
        n += utf8_encode((int32_t)right, bytes + n);
        if (pair->characters || !bpe_merge_text(bpe, v, &scratch, bytes, (size_t)n, ids, &n_ids, NULL) || n_ids > 2)
            continue;
        *pair = (struct bpe_wide_pair){characters, {ids[0], n_ids == 2 ? ids[1] : -1}};
    }
    bpe_scratch_free(&scratch);
}

bool bpe_ends_merge(const struct bpe_borders *b, int32_t x, uint32_t ends_x, int32_t y, uint32_t ends_y) {
    unsigned left_ends = BPE_WIDE_LEFT(ends_x) & (BPE_WIDE_LEFT_OF(ends_y) | BPE_WIDE_LEFT_OF_PART(ends_y));
    for (int i = 0; i < BPE_END_COUNT; i++) {
        for (int j = 0; (left_ends >> i & 1) && j < BPE_END_COUNT; j++) {
            size_t bit = bpe_border_bit(b, bpe_left_end((uint32_t)x, (enum bpe_end)i),
                                        bpe_right_end((uint32_t)y, (enum bpe_end)j));
            if (b->bits[bit / 64] >> (bit % 64) & 1) return true;
        }
    }
    return false;
}

static bool take_memory(struct bpe_borders *b, size_t n_merges) {
    size_t n_bits = 4096;
    while (n_bits < n_merges * BITS_A_MERGE) n_bits *= 2;
    b->shift = 64 - __builtin_ctzll(n_bits);
    b->n_pair_slots = 64;
    while (b->n_pair_slots * 2 < n_merges * 3) b->n_pair_slots *= 2; /* at most two thirds are full */
    b->wide = calloc(N_BMP, sizeof *b->wide);
    b->bits = calloc(n_bits / 64, sizeof *b->bits);
    b->pairs = calloc(b->n_pair_slots, sizeof *b->pairs);
    return b->wide && b->bits && b->pairs;
}

struct bpe_borders *bpe_borders_new(const struct bpe *bpe, const struct vocabulary *v) {
    struct bpe_borders *b = calloc(1, sizeof *b);
    struct ends *ends = calloc(1, sizeof *ends);
    bool ok = b && ends && take_memory(b, count_borders(bpe, v));
    if (ok) {
        note_merges(b, ends, bpe, v);
        list_characters(b, ends, bpe, v);
        list_pairs(b, bpe, v);
    } else {
        bpe_borders_free(b);
    }
    free(ends);
    return ok ? b : NULL;
}

void bpe_borders_free(struct bpe_borders *borders) {
    if (!borders) return;
    free(borders->wide);
    free(borders->bits);
    free(borders->pairs);
    free(borders);
}
