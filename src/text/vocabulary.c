/* vocabulary.c - see vocabulary.h. */
#include "text/vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "text/hash.h"

#define TOKEN_MAX_BYTES ((size_t)1 << 20)

static bool has_bytes(const struct vocabulary *v, int32_t id, const char *bytes, size_t n) {
    const struct vocabulary_token *token = &v->tokens[id];
    return token->n_bytes == n && memcmp(vocabulary_bytes(v, token), bytes, n) == 0;
}

/* Where these bytes are in the table, or the empty slot where they would go. */
static size_t find_slot(const struct vocabulary *v, const char *bytes, size_t n) {
    size_t mask = v->n_slots - 1, i = hash_bytes(bytes, n) & mask;
    while (v->slots[i] >= 0 && !has_bytes(v, v->slots[i], bytes, n)) i = (i + 1) & mask;
    return i;
}

/* Keeps the table at most half full. */
static bool index_reserve(struct vocabulary *v) {
    if (v->n_indexed * 2 < v->n_slots) return true;
    size_t n_slots = v->n_slots ? v->n_slots * 2 : 1024;
    int32_t *slots = malloc(n_slots * sizeof *slots);
    if (!slots) return false;
    memset(slots, 0xff, n_slots * sizeof *slots);
    free(v->slots);
    v->slots = slots;
    v->n_slots = n_slots;
    for (int32_t id = 0; id < v->size; id++) {
        const struct vocabulary_token *token = &v->tokens[id];
        if (token->kind == TOKEN_TEXT) slots[find_slot(v, vocabulary_bytes(v, token), token->n_bytes)] = id;
    }
    return true;
}

static bool tokens_reserve(struct vocabulary *v, int32_t size) {
    if (size > v->capacity) {
        int32_t capacity = v->capacity ? v->capacity : 512;
        while (capacity < size) capacity *= 2;
        struct vocabulary_token *tokens = realloc(v->tokens, (size_t)capacity * sizeof *tokens);
        if (!tokens) return false;
        memset(tokens + v->capacity, 0, (size_t)(capacity - v->capacity) * sizeof *tokens);
        v->tokens = tokens;
        v->capacity = capacity;
    }
    if (size > v->size) v->size = size;
    return true;
}

static bool place_token(struct vocabulary *v, int32_t id, const char *bytes, size_t n_bytes, enum token_kind kind) {
    if (!tokens_reserve(v, id + 1) || (kind == TOKEN_TEXT && !index_reserve(v))) return false;
    size_t offset = v->bytes.length;
    buffer_append(&v->bytes, bytes, n_bytes);
    if (!buffer_ok(&v->bytes) || v->bytes.length > UINT32_MAX) return false;
    v->tokens[id] = (struct vocabulary_token){(uint32_t)offset, (uint32_t)n_bytes, kind};
    v->n_tokens++;
    if (kind == TOKEN_TEXT) {
        v->slots[find_slot(v, bytes, n_bytes)] = id;
        v->n_indexed++;
    }
    return true;
}

bool vocabulary_add(struct vocabulary *v, int64_t id, const char *bytes, size_t n_bytes, enum token_kind kind,
                    struct talc_error *err) {
    int shown = n_bytes > 40 ? 40 : (int)n_bytes;
    if (n_bytes == 0) return talc_fail(err, "token %lld is empty", (long long)id);
    if (n_bytes > TOKEN_MAX_BYTES)
        return talc_fail(err, "token %lld has %zu bytes; at most %zu are supported", (long long)id, n_bytes,
                         TOKEN_MAX_BYTES);
    if (id < 0 || id >= VOCABULARY_MAX_SIZE)
        return talc_fail(err, "token \"%.*s\" has id %lld; ids must be between 0 and %d", shown, bytes, (long long)id,
                         VOCABULARY_MAX_SIZE - 1);
    if (vocabulary_token(v, (int32_t)id)->kind != TOKEN_ABSENT)
        return talc_fail(err, "two tokens have the id %lld (the second is \"%.*s\")", (long long)id, shown, bytes);
    if (kind == TOKEN_TEXT && vocabulary_find(v, bytes, n_bytes) >= 0)
        return talc_fail(err, "two tokens are \"%.*s\" (ids %d and %lld)", shown, bytes,
                         (int)vocabulary_find(v, bytes, n_bytes), (long long)id);
    if (!place_token(v, (int32_t)id, bytes, n_bytes, kind)) return talc_fail(err, "out of memory for the vocabulary");
    return true;
}

void vocabulary_free(struct vocabulary *v) {
    free(v->tokens);
    free(v->slots);
    buffer_free(&v->bytes);
    *v = (struct vocabulary){0};
}

const struct vocabulary_token *vocabulary_token(const struct vocabulary *v, int32_t id) {
    static const struct vocabulary_token absent = {0};
    return id >= 0 && id < v->size ? &v->tokens[id] : &absent;
}

int32_t vocabulary_find(const struct vocabulary *v, const char *bytes, size_t n_bytes) {
    return v->n_slots ? v->slots[find_slot(v, bytes, n_bytes)] : -1;
}
