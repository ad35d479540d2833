/* bpe.h - byte pair encoding (Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", ACL
 * 2016): a word begins as one token a symbol (a byte, or a character); the adjacent pair with the lowest rank is
 * merged, the leftmost first, until no pair has a merge.
 *
 * Here texts are merged all at once: short ones by scanning, longer ones with a heap. bpe_join.h puts the encodings of
 * parts together. */
#ifndef TALC_TEXT_BPE_H
#define TALC_TEXT_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "text/vocabulary.h"

struct bpe_merge {
    int32_t left, right, result; /* token ids */
    uint32_t rank;               /* lower goes first; equal ranks: leftmost first; below 2^31 */
};

/* How a word becomes symbols, and what a symbol without a token becomes. */
enum bpe_symbols {
    BPE_BYTES,
    BPE_CHARACTERS, /* a character without a token: the tokens of its bytes, if all are there, else unknown_id */
};

/* The two tokens that a token was merged from, and when. */
struct bpe_split {
    int32_t left, right;
    int32_t rank; /* -1: a symbol, or never made by merging */
    bool simple;  /* this is the only way that leads to the token, and so it is with its parts */
};

struct bpe_byte_pair {
    int32_t rank, result; /* rank INT32_MAX: they have no merge */
};

struct bpe {
    struct bpe_merge *merges; /* [n_merges] in order of rank */
    size_t n_merges, merges_capacity;
    struct bpe_merge *slots; /* hash table by (left, right); left -1 is empty; n_slots is a power of two */
    size_t n_slots;
    struct bpe_byte_pair *byte_pairs; /* [65536] BPE_BYTES: the merge of two bytes */
    int32_t *characters;              /* [65536] BPE_CHARACTERS: the token of a character below U+10000, -1: none */
    struct bpe_borders *borders;      /* see bpe_borders.h */
    struct bpe_split *splits;         /* [tokens of the vocabulary] by id */
    uint64_t *rights; /* [tokens of the vocabulary] a bit, by hash, for each token it merges with as the left one */
    size_t n_rights;
    enum bpe_symbols symbols;
    int32_t byte_ids[256];  /* the token of one byte (BPE_CHARACTERS: its fallback), -1: none */
    int32_t unknown_id;     /* -1: a symbol without a token is an error */
    bool fuse_unknown;      /* unknown symbols side by side are one token */
    bool whole_words;       /* a word that is in the vocabulary is that token, whatever the merges say */
    bool other_lengths;     /* a merge makes a token whose bytes are not those of its parts (an added one, as it is
                             * written): its length says nothing of the text, so words are merged at once */
    uint32_t longest_other; /* whole_words: bytes of the longest token that merges alone do not lead to; 0: none */
    uint64_t others[256];   /* a bit, by bpe_other_bit, for each such token */
};

/* 0 to 2^14 - 1, by some of the bytes of a text of n > 0. */
static inline size_t bpe_other_bit(const char *text, size_t n) {
    const unsigned char *t = (const unsigned char *)text;
    uint32_t some = (uint32_t)n ^ (uint32_t)t[n - 1] << 8 ^ (uint32_t)t[n / 2] << 16 ^ (uint32_t)t[n > 2 ? 2 : 0] << 24;
    return some * 0x9e3779b1u >> 18;
}

/* Appends a merge; ranks must not fall. False: out of memory. */
bool bpe_add_merge(struct bpe *bpe, struct bpe_merge merge);

/* After all merges are there: builds the tables. A pair that is listed twice has its last rank, as in Hugging Face's
 * `tokenizers`. */
bool bpe_finish(struct bpe *bpe, const struct vocabulary *v, struct talc_error *err);
void bpe_free(struct bpe *bpe);

/* Room to work in, kept from word to word; all zero is none. For one thread. */
struct bpe_scratch {
    struct bpe_node *nodes;
    uint64_t *heap;
    size_t capacity; /* symbols */
};
void bpe_scratch_free(struct bpe_scratch *scratch);

/* The ids of a text of n > 0 bytes by merges alone, all of it at once: writes at most n of them to ids and their number
 * to *n_ids. Unknown symbols are not fused. Fails when a symbol has no token, or out of memory (a long text takes 32
 * bytes a byte). */
bool bpe_merge_text(const struct bpe *bpe, const struct vocabulary *v, struct bpe_scratch *scratch, const char *text,
                    size_t n, int32_t *ids, size_t *n_ids, struct talc_error *err);

/* True when the text of the two tokens is encoded as these two: no merge reaches over the border between them. */
bool bpe_are_neighbours(const struct bpe *bpe, const struct vocabulary *v, struct bpe_scratch *scratch, int32_t left,
                        int32_t right);

/* Bytes of a token that is the last of the encoding of text[0..n). */
size_t bpe_token_bytes(const struct bpe *bpe, const struct vocabulary *v, int32_t id, const char *text, size_t n);

/* Adds the merges of a vocabulary in which any two neighbours merge whose text is a token (tiktoken, SentencePiece).
 * `order` lists the tokens by rank, lowest first, and ranks[i] is the rank of order[i]. Where merges of lower rank lead
 * a token's own text to two parts, only these two ever make it: in any text, what happens inside the place of a token
 * is what happens in its own text alone. */
bool bpe_imply_merges(struct bpe *bpe, const struct vocabulary *v, const int32_t *order, const uint32_t *ranks,
                      size_t n_tokens, struct talc_error *err);

#endif
