/* token_shard.h - files of tokens in llm.c's .bin layout: 256 int32 of header (magic, version, number of tokens), then
 * the tokens, little-endian: 16 bits each (magic 20240520, version 1) for vocabularies of up to 65,536 tokens, or 32
 * bits each (magic 20240801, version 7, as llm.c writes for Llama 3) for larger ones. Documents follow one another; a
 * separator token (end of text) stands between them. */
#ifndef TALC_FILE_TOKEN_SHARD_H
#define TALC_FILE_TOKEN_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "file/atomic.h"

#define TOKEN_SHARD_HEADER_BYTES 1024
#define TOKEN_SHARD_MAX_TOKENS INT32_MAX /* the count is an int32 */

/* A shard mapped for reading; may be used from several threads. */
struct token_shard {
    struct file_map map;
    char *path;
    const unsigned char *tokens; /* behind the header; use token_shard_get or token_shard_read */
    size_t n_tokens;
    int token_bytes; /* 2 or 4 */
};

/* Checks magic, version and that the count is what the size of the file says. */
bool token_shard_open(struct token_shard *shard, const char *path, struct talc_error *err);
void token_shard_close(struct token_shard *shard);

/* Token i < n_tokens, without a check. */
static inline uint32_t token_shard_get(const struct token_shard *shard, size_t i) {
    const unsigned char *at = shard->tokens + i * (size_t)shard->token_bytes;
    uint32_t low = at[0] | (uint32_t)at[1] << 8;
    return shard->token_bytes == 2 ? low : low | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Tokens [first, first + n) as int32; the range must lie in the shard. What a damaged file holds may be any
 * int32, also negative: who uses tokens compares them with the vocabulary. */
void token_shard_read(const struct token_shard *shard, size_t first, size_t n, int32_t *out);

/* A shard being written: it appears, with its count filled in, at commit. Tokens are 2 bytes wide when
 * vocab_size <= 65,536, else 4. */
struct token_shard_writer {
    struct atomic_file file;
    uint32_t vocab_size;
    size_t n_tokens;
};
bool token_shard_writer_open(struct token_shard_writer *w, const char *path, uint32_t vocab_size,
                             struct talc_error *err);
/* Fails at a token that is negative or not below vocab_size, and past TOKEN_SHARD_MAX_TOKENS. */
bool token_shard_writer_append(struct token_shard_writer *w, const int32_t *tokens, size_t n, struct talc_error *err);
bool token_shard_writer_commit(struct token_shard_writer *w, struct talc_error *err);
void token_shard_writer_abort(struct token_shard_writer *w);

#endif
