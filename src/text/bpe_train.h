/* bpe_train.h - learning merges from counted words: again and again the pair of adjacent tokens that occurs most often
 * becomes a token; of pairs that occur equally often the one with the smaller (left id, right id). */
#ifndef TALC_TEXT_BPE_TRAIN_H
#define TALC_TEXT_BPE_TRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "text/bpe.h"
#include "text/vocabulary.h"
#include "text/word_count.h"

#define BPE_TRAIN_MAX_WORD_BYTES ((size_t)16 << 20)

struct bpe_train_options {
    int32_t vocab_size; /* stop at so many tokens */
    int64_t min_count;  /* stop when the best pair occurs less often */
    bool (*progress)(void *context, int32_t n_tokens, int32_t vocab_size); /* false stops; may be NULL */
    void *progress_context;
};

/* Adds tokens to `v`, which holds the 256 bytes and nothing else, and merges to `bpe`. The words' order does not
 * matter; they are freed as soon as they have been read. */
bool bpe_train(struct word_counts *words, const struct bpe_train_options *options, struct vocabulary *v,
               struct bpe *bpe, struct talc_error *err);

#endif
