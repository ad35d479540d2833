/* unigram.h - the unigram language model (Kudo, "Subword Regularization", ACL 2018): of all ways to cut a text into
 * pieces the one with the highest sum of scores (log-probabilities), found by Viterbi's algorithm. A character without
 * a piece is unknown, at the lowest score less 10. */
#ifndef TALC_TEXT_UNIGRAM_H
#define TALC_TEXT_UNIGRAM_H

#include "base/error.h"
#include "text/trie.h"
#include "text/vocabulary.h"

struct unigram {
    struct trie trie;     /* of every TOKEN_TEXT */
    const double *scores; /* by id; borrowed */
    double unknown_score;
    int32_t unknown_id;      /* -1: a character without a piece is an error */
    const int32_t *byte_ids; /* [256] pieces of single bytes for what is unknown, -1: none; borrowed */
    bool single_precision;   /* sums are rounded to float, as SentencePiece does, not as `tokenizers` does */
};

/* lowest_score: of the pieces. */
bool unigram_build(struct unigram *u, const struct vocabulary *v, double lowest_score, struct talc_error *err);
void unigram_free(struct unigram *u);

/* Room to work in, kept from text to text; all zero is none. For one thread. */
struct unigram_scratch {
    struct unigram_node *nodes;
    size_t capacity;
};
void unigram_scratch_free(struct unigram_scratch *scratch);

/* The pieces of a text of n > 0 bytes: writes at most n ids to ids and their number to *n_ids. *score is what the sum
 * is before the text, and then behind it (it decides how sums are rounded). */
bool unigram_encode(const struct unigram *u, struct unigram_scratch *scratch, const char *text, size_t n, double *score,
                    int32_t *ids, size_t *n_ids, struct talc_error *err);

#endif
