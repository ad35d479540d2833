/* vocabulary.h - the tokens of a tokenizer: id -> bytes, and bytes -> id for those that text is made of. Filled once,
 * then read-only and usable from several threads. */
#ifndef TALC_TEXT_VOCABULARY_H
#define TALC_TEXT_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define VOCABULARY_MAX_SIZE (1 << 22) /* ids a file may use: an id costs memory here and a row in the model */

enum token_kind {
    TOKEN_ABSENT,   /* no token has this id */
    TOKEN_TEXT,     /* made by merging bytes; or a character */
    TOKEN_UNUSABLE, /* in the file's vocabulary, but no text leads to it; it can only be decoded */
    TOKEN_ADDED,    /* found whole in the text before it is cut; an ordinary word for decoding (special: false) */
    TOKEN_SPECIAL,  /* stands for no text: found only where special tokens are asked for */
    TOKEN_BYTE,     /* one byte of a character that has no token (SentencePiece's byte fallback) */
};

struct vocabulary_token {
    uint32_t offset, n_bytes; /* in `bytes` */
    enum token_kind kind;
};

struct vocabulary {
    struct vocabulary_token *tokens; /* [size], by id */
    int32_t size, capacity;          /* size: one more than the largest id */
    int32_t n_tokens;                /* ids that have a token */
    struct buffer bytes;             /* of all tokens */
    int32_t *slots;                  /* hash table of TOKEN_TEXT: ids, -1 empty; n_slots is a power of two */
    size_t n_slots, n_indexed;
};

/* Gives `id` its bytes (copied; 1 to 2^20 of them). Fails, naming the token, when the id is out of range or taken, or
 * when another TOKEN_TEXT has the same bytes. */
bool vocabulary_add(struct vocabulary *v, int64_t id, const char *bytes, size_t n_bytes, enum token_kind kind,
                    struct talc_error *err);
void vocabulary_free(struct vocabulary *v);

/* The token of an id: never NULL; kind TOKEN_ABSENT for one that does not exist. */
const struct vocabulary_token *vocabulary_token(const struct vocabulary *v, int32_t id);
static inline const char *vocabulary_bytes(const struct vocabulary *v, const struct vocabulary_token *token) {
    return v->bytes.data + token->offset;
}

static inline bool token_is_added(const struct vocabulary_token *token) {
    return token->kind == TOKEN_ADDED || token->kind == TOKEN_SPECIAL;
}

/* The TOKEN_TEXT with these bytes, -1 for none. */
int32_t vocabulary_find(const struct vocabulary *v, const char *bytes, size_t n_bytes);

#endif
