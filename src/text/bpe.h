/* bpe.h - byte pair encoding (Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", ACL 2016):
 * a word begins as one token a symbol (a byte, or a character); the adjacent pair with the lowest rank is merged, the
 * leftmost first, until no pair has a merge.
 *
 * Short texts are merged by scanning. Long ones are merged in windows, in time linear in their length. That is exact:
 * tokens t1..tn are the encoding of a text if and only if every two neighbours are the encoding of their own text. (The
 * first merge over a border between neighbours would also happen in their text alone: all before it lie inside one of
 * the two.) So windows may be joined wherever the two tokens at the seam encode as themselves; where they do not, the
 * window begins a token earlier and is longer. */
#ifndef TALC_TEXT_BPE_H
#define TALC_TEXT_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "text/vocabulary.h"

#define BPE_MAX_WINDOW_BYTES ((size_t)64 << 20) /* what no join was found in; its heap takes 32 bytes a byte */

struct bpe_merge {
    int32_t left, right, result; /* token ids */
    uint32_t rank;               /* lower goes first; equal ranks: leftmost first; below 2^31 */
};

/* How a word becomes symbols, and what a symbol without a token becomes. */
enum bpe_symbols {
    BPE_BYTES,
    BPE_CHARACTERS, /* a character without a token: the tokens of its bytes, if all are there, else unknown_id */
};

struct bpe {
    struct bpe_merge *merges; /* [n_merges] in order of rank */
    size_t n_merges, merges_capacity;
    struct bpe_merge *slots; /* hash table by (left, right); left -1 is empty; n_slots is a power of two */
    size_t n_slots;
    uint32_t *byte_pairs; /* [65536] BPE_BYTES: index + 1 of the merge of two bytes, 0: none */
    int32_t *characters;  /* [65536] BPE_CHARACTERS: the token of a character below U+10000, -1: none */
    enum bpe_symbols symbols;
    int32_t byte_ids[256]; /* the token of one byte (BPE_CHARACTERS: its fallback), -1: none */
    int32_t unknown_id;    /* -1: a symbol without a token is an error */
    bool fuse_unknown;     /* unknown symbols side by side are one token */
    bool whole_words;      /* a word that is in the vocabulary is that token, whatever the merges say */
};

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
    int32_t *window; /* [window_capacity] ids */
    size_t window_capacity;
};
void bpe_scratch_free(struct bpe_scratch *scratch);

/* The ids of a text of n_bytes > 0: writes at most n_bytes of them to ids and their number to *n_ids. Fails when a symbol
 * has no token, or out of memory. */
bool bpe_encode_word(const struct bpe *bpe, const struct vocabulary *v, struct bpe_scratch *scratch, const char *word,
                     size_t n_bytes, int32_t *ids, size_t *n_ids, struct talc_error *err);

/* Adds the merges of a vocabulary in which any two neighbours merge whose text is a token (tiktoken, SentencePiece).
 * `order` lists the tokens by rank, lowest first, and ranks[i] is the rank of order[i]. Where merges of lower rank lead a
 * token's own text to two parts, only these two ever make it: in any text, what happens inside the place of a token is
 * what happens in its own text alone. */
bool bpe_imply_merges(struct bpe *bpe, const struct vocabulary *v, const int32_t *order, const uint32_t *ranks,
                      size_t n_tokens, struct talc_error *err);

#endif
