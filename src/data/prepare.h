/* prepare.h - text files in, a folder for training out: token shards (train-00000.bin ..., val-00000.bin ...),
 * data.json and the tokenizer's files. The folder appears when it is complete. */
#ifndef TALC_DATA_PREPARE_H
#define TALC_DATA_PREPARE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/thread_pool.h"
#include "data/data_info.h"
#include "text/tokenizer.h"

/* How text is divided: by document, chosen by a hash of (seed, number of the document), where there are twenty
 * documents or more and that gives validation ten of them, or they are short (32 KiB on average); else the last part of
 * every document is for validation (for one file: its first int(n_bytes * (1 - val_fraction)) bytes train, as in
 * nanoGPT). Where there is more than one document, the tokenizer's end-of-text token (if it has one) follows each, also
 * where one was divided, and the token that begins a text (if it is another) comes before each. */
struct prepare_options {
    const char *const *paths; /* what text_reader.h reads */
    size_t n_paths;
    const struct tokenizer *tokenizer;
    const char *out;     /* an existing folder is replaced only if it is empty or one of ours */
    double val_fraction; /* in [0, 1); 0: no validation split */
    uint64_t seed;
    bool allow_invalid;       /* bytes that are not UTF-8 become U+FFFD */
    int64_t shard_tokens;     /* most tokens of a file; 0: 100 million */
    struct thread_pool *pool; /* encodes in parallel; NULL: the caller alone. The result is the same */

    /* Called now and then with bytes of input read and their total; false stops, as a failure. May be NULL. */
    bool (*on_progress)(void *context, uint64_t n_done, uint64_t n_total);
    void *context;
    const volatile sig_atomic_t *stop; /* as in input_stream.h; may be NULL */
};

/* Makes the folder; *info (may be NULL) is what its data.json says. */
bool prepare_data(const struct prepare_options *options, struct data_info *info, struct talc_error *err);

#endif
