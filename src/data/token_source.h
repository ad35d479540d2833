/* token_source.h - all shards of one split of a prepared folder as one long array of tokens. */
#ifndef TALC_DATA_TOKEN_SOURCE_H
#define TALC_DATA_TOKEN_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "data/data_info.h"
#include "file/token_shard.h"

struct token_source {
    struct token_shard *shards;
    uint64_t *starts; /* [n_shards + 1]: index of each shard's first token */
    size_t n_shards;
    uint64_t n_tokens;
    uint32_t vocab_size;
};

/* Maps FOLDER/SPLIT-00000.bin and so on ("train" or "val"); fails when they do not hold as many tokens as `info` says.
 * Reading is safe from several threads. */
bool token_source_open(struct token_source *source, const char *folder, const char *split, const struct data_info *info,
                       struct talc_error *err);
void token_source_close(struct token_source *source);

/* Tokens [first, first + n), which must lie in the source; a token that is not below the vocabulary size fails, naming
 * its file. */
bool token_source_read(const struct token_source *source, uint64_t first, size_t n, int32_t *out,
                       struct talc_error *err);

/* The file name of shard i ("train-00000.bin"); returns out. */
char *token_source_name(const char *split, size_t i, char out[64]);

#endif
