/* wordpiece.c - see wordpiece.h. */
#include "text/wordpiece.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

static int32_t walk(const struct trie *trie, const char *text, size_t n) {
    int32_t node = 0;
    for (size_t i = 0; i < n && node >= 0; i++) node = trie_step(trie, node, text[i]);
    return node;
}

bool wordpiece_build(struct wordpiece *w, const struct vocabulary *v, struct talc_error *err) {
    struct trie_key *keys = malloc(((size_t)v->size + 1) * sizeof *keys);
    size_t n = 0;
    for (int32_t id = 0; keys && id < v->size; id++) {
        const struct vocabulary_token *token = &v->tokens[id];
        if (token->kind == TOKEN_TEXT) keys[n++] = (struct trie_key){vocabulary_bytes(v, token), token->n_bytes, id};
    }
    bool ok = keys && trie_build(&w->trie, keys, n);
    free(keys);
    if (ok) w->inner = walk(&w->trie, w->prefix, strlen(w->prefix));
    return ok || talc_fail(err, "out of memory for a vocabulary of %d tokens", (int)v->size);
}

void wordpiece_free(struct wordpiece *w) {
    trie_free(&w->trie);
    free(w->prefix);
    w->prefix = NULL;
}

static size_t count_characters(const char *text, size_t n) {
    size_t count = 0;
    int32_t codepoint;
    for (size_t i = 0; i < n; count++) i += (size_t)utf8_decode(text + i, n - i, &codepoint);
    return count;
}

/* The longest piece at text from a node of the trie on: its id, -1 for none. */
static int32_t longest_piece(const struct wordpiece *w, int32_t node, const char *text, size_t n, size_t *length) {
    int32_t id = -1;
    for (size_t i = 0; i < n && (node = trie_step(&w->trie, node, text[i])) >= 0; i++) {
        if (w->trie.nodes[node].value < 0) continue;
        id = w->trie.nodes[node].value;
        *length = i + 1;
    }
    return id;
}

bool wordpiece_encode(const struct wordpiece *w, const char *word, size_t n, int32_t *ids, size_t *n_ids,
                      struct talc_error *err) {
    bool known = n <= w->max_characters || count_characters(word, n) <= w->max_characters;
    size_t length = 0;
    *n_ids = 0;
    for (size_t i = 0; known && i < n; i += length) {
        int32_t node = i ? w->inner : 0, id = node < 0 ? -1 : longest_piece(w, node, word + i, n - i, &length);
        known = id >= 0;
        if (known) ids[(*n_ids)++] = id;
    }
    if (known) return true;
    ids[0] = w->unknown_id;
    *n_ids = 1;
    return w->unknown_id >= 0 ||
           talc_fail(err, "the tokenizer has no tokens for the word \"%.*s\"", n > 40 ? 40 : (int)n, word);
}

const char *wordpiece_text(const struct wordpiece *w, const char *token, size_t *n, bool *space) {
    size_t n_prefix = strlen(w->prefix);
    bool inner = n_prefix && *n >= n_prefix && memcmp(token, w->prefix, n_prefix) == 0;
    *space = !inner && !(w->cleanup && *n == 1 && strchr(".?!,", *token));
    if (!inner) return token;
    *n -= n_prefix;
    return token + n_prefix;
}
