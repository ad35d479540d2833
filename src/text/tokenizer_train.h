/* tokenizer_train.h - making a tokenizer from text: byte-level BPE with the merges that Hugging Face's BpeTrainer would
 * choose, or one token for every character of the text. The result depends neither on the number of threads nor on the
 * order of the texts.
 *
 *     trainer = tokenizer_trainer_open(&options, err);
 *     tokenizer_trainer_add(trainer, text, n_bytes, err);       as often as there are texts
 *     tok = tokenizer_trainer_finish(trainer, err);
 *     tokenizer_trainer_close(trainer); */
#ifndef TALC_TEXT_TOKENIZER_TRAIN_H
#define TALC_TEXT_TOKENIZER_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/thread_pool.h"
#include "text/pretokenize.h"
#include "text/tokenizer.h"

struct tokenizer_train_options {
    bool characters;                /* one token a character; the next three do not matter then */
    enum pretokenizer pretokenizer; /* how words are cut (it covers text); merges do not cross them */
    int32_t vocab_size; /* tokens wanted, 256 bytes and special tokens included; fewer if the text gives fewer */
    int64_t min_count;  /* a pair that is seen less often is not merged */
    const char *const *special_tokens; /* [n_special_tokens]; their ids follow all others, in this order */
    size_t n_special_tokens;
    size_t max_memory;        /* bytes; what takes more is refused; 0: no bound */
    struct thread_pool *pool; /* NULL: only the calling thread */
    bool (*progress)(void *context, int32_t n_tokens, int32_t vocab_size); /* now and then; false stops; may be NULL */
    void *progress_context;
};

/* 8,192 tokens by the Qwen2 pattern with the special tokens of tokenizer.h; for characters no special tokens. */
struct tokenizer_train_options tokenizer_train_defaults(bool characters);

struct tokenizer_trainer;

/* NULL on failure: a vocabulary too small for bytes and special tokens, or bad special tokens. The arrays of `options`
 * must live as long as the trainer. */
struct tokenizer_trainer *tokenizer_trainer_open(const struct tokenizer_train_options *options, struct talc_error *err);
void tokenizer_trainer_close(struct tokenizer_trainer *trainer); /* NULL is fine */

/* Counts one text, a document or a file: words do not reach over its ends. For characters it must be valid UTF-8
 * without U+0000 (which tokenizer.json cannot hold). */
bool tokenizer_trainer_add(struct tokenizer_trainer *trainer, const char *text, size_t n_bytes, struct talc_error *err);

/* What training takes. */
struct tokenizer_train_estimate {
    double n_words, word_bytes; /* different words, and the bytes of all of them; n_words 0: too little text was seen */
    double memory_bytes;        /* at most, the program itself among them */
    double learning_seconds;    /* after all text was read */
};

/* Judges by how the number of different words grew so far (as a power of the bytes of text: Heaps' law) what training
 * takes once n_bytes of text are there; of what has been added already the words are counted, not guessed. */
bool tokenizer_trainer_estimate(struct tokenizer_trainer *trainer, double n_bytes,
                                struct tokenizer_train_estimate *estimate, struct talc_error *err);

/* The tokenizer of all texts so far. NULL on failure, or when `progress` stopped it. Call it once. */
struct tokenizer *tokenizer_trainer_finish(struct tokenizer_trainer *trainer, struct talc_error *err);

#endif
