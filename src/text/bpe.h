/* bpe.h - byte pair encoding (Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", ACL 2016)
 * over bytes: a word begins as one token a byte; the adjacent pair with the lowest rank is merged, the leftmost first,
 * until no pair has a merge. Words of a few bytes are merged by scanning; long ones with a heap, so that n bytes cost
 * O(n log n). */
#ifndef TALC_TEXT_BPE_H
#define TALC_TEXT_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "text/vocabulary.h"

#define BPE_MAX_WORD_BYTES ((size_t)64 << 20) /* a word without a break; its heap takes 32 bytes a byte */

struct bpe_merge {
    int32_t left, right, result; /* token ids */
    uint32_t rank;               /* lower goes first; equal ranks: leftmost first */
};

struct bpe {
    struct bpe_merge *merges; /* [n_merges] in order of rank */
    size_t n_merges, merges_capacity;
    struct bpe_merge *slots; /* hash table by (left, right); left -1 is empty; n_slots is a power of two */
    size_t n_slots;
    int32_t byte_ids[256]; /* the token of one byte, -1: none */
    bool whole_words;      /* a word that is in the vocabulary is that token, whatever the merges say */
};

/* Appends a merge; ranks must not fall. False: out of memory. */
bool bpe_add_merge(struct bpe *bpe, struct bpe_merge merge);

/* After all merges are there: builds the tables and finds the tokens that are `direct`. A pair that is listed twice has
 * its last rank, as in Hugging Face's `tokenizers`. */
bool bpe_finish(struct bpe *bpe, struct vocabulary *v, struct talc_error *err);
void bpe_free(struct bpe *bpe);

/* The ids of a word of n_bytes > 0: writes at most n_bytes of them to ids and their number to *n_ids. Fails when a byte
 * has no token, when the word is longer than BPE_MAX_WORD_BYTES, or out of memory. */
bool bpe_encode_word(const struct bpe *bpe, const struct vocabulary *v, const char *word, size_t n_bytes, int32_t *ids,
                     size_t *n_ids, struct talc_error *err);

#endif
