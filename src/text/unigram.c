/* unigram.c - see unigram.h. */
#include "text/unigram.h"

#include <stdlib.h>

#define UNKNOWN_PENALTY 10.0
#define UNKNOWN (-1)
#define MAX_PIECE_BYTES 4096 /* a walk from each place of a text is as long as the longest piece at most */

/* The best way to a place in the text. */
struct unigram_node {
    double score;
    uint32_t begin; /* of its last piece; UINT32_MAX: no way leads here yet */
    int32_t id;     /* of its last piece */
};

bool unigram_build(struct unigram *u, const struct vocabulary *v, double lowest_score, struct talc_error *err) {
    struct trie_key *keys = malloc(((size_t)v->size + 1) * sizeof *keys);
    size_t n = 0;
    for (int32_t id = 0; keys && id < v->size; id++) {
        const struct vocabulary_token *token = &v->tokens[id];
        if (token->kind == TOKEN_TEXT && token->n_bytes > MAX_PIECE_BYTES) {
            free(keys);
            return talc_fail(err, "piece %d has %u bytes; at most %d are read", (int)id, token->n_bytes,
                             MAX_PIECE_BYTES);
        }
        if (token->kind == TOKEN_TEXT) keys[n++] = (struct trie_key){vocabulary_bytes(v, token), token->n_bytes, id};
    }
    bool ok = keys && trie_build(&u->trie, keys, n);
    u->unknown_score = lowest_score - UNKNOWN_PENALTY;
    if (u->single_precision) u->unknown_score = (float)lowest_score - (float)UNKNOWN_PENALTY;
    free(keys);
    return ok || talc_fail(err, "out of memory for a vocabulary of %d pieces", (int)v->size);
}

void unigram_free(struct unigram *u) { trie_free(&u->trie); }

void unigram_scratch_free(struct unigram_scratch *scratch) {
    free(scratch->nodes);
    *scratch = (struct unigram_scratch){0};
}

static bool make_room(struct unigram_scratch *scratch, size_t n, struct talc_error *err) {
    if (n >= UINT32_MAX) return talc_fail(err, "a text of %zu bytes without a break is too long", n);
    if (n + 1 > scratch->capacity) {
        size_t capacity = n + 1 > 1024 ? n + 1 : 1024;
        free(scratch->nodes);
        scratch->nodes = malloc(capacity * sizeof *scratch->nodes);
        scratch->capacity = scratch->nodes ? capacity : 0;
    }
    return scratch->capacity || talc_fail(err, "out of memory for a text of %zu bytes", n);
}

/* By the first byte alone, as others do. */
static size_t character_bytes(const char *text, size_t n) {
    static const unsigned char lengths[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4};
    size_t length = lengths[(unsigned char)*text >> 4];
    return length < n ? length : n;
}

static inline void offer(const struct unigram *u, struct unigram_node *node, double score, size_t begin, int32_t id) {
    if (u->single_precision) score = (float)score;
    if (node->begin == UINT32_MAX || score > node->score) *node = (struct unigram_node){score, (uint32_t)begin, id};
}

static void find_best(const struct unigram *u, struct unigram_node *nodes, const char *text, size_t n) {
    for (size_t i = 1; i <= n; i++) nodes[i].begin = UINT32_MAX;
    for (size_t begin = 0, length; begin < n; begin += length) {
        double before = nodes[begin].score;
        bool whole_character = false;
        length = character_bytes(text + begin, n - begin);
        for (size_t end = begin, node = 0; end < n;) {
            int32_t next = trie_step(&u->trie, (int32_t)node, text[end++]);
            if (next < 0) break;
            node = (size_t)next;
            int32_t id = u->trie.nodes[node].value;
            if (id < 0) continue;
            offer(u, &nodes[end], before + u->scores[id], begin, id);
            whole_character = whole_character || end - begin == length;
        }
        if (!whole_character) offer(u, &nodes[begin + length], before + u->unknown_score, begin, UNKNOWN);
    }
}

/* The ids of unknown text[begin..end), from behind: each byte, if all have a piece, else one unknown. */
static bool put_unknown(const struct unigram *u, const char *text, size_t begin, size_t end, int32_t *ids, size_t *at,
                        struct talc_error *err) {
    bool all = u->byte_ids != NULL;
    for (size_t i = begin; all && i < end; i++) all = u->byte_ids[(unsigned char)text[i]] >= 0;
    for (size_t i = end; all && i > begin; i--) ids[--*at] = u->byte_ids[(unsigned char)text[i - 1]];
    if (all) return true;
    ids[--*at] = u->unknown_id;
    return u->unknown_id >= 0 || talc_fail(err, "the tokenizer has no piece for \"%.*s\"",
                                           end - begin > 12 ? 12 : (int)(end - begin), text + begin);
}

bool unigram_encode(const struct unigram *u, struct unigram_scratch *scratch, const char *text, size_t n, double *score,
                    int32_t *ids, size_t *n_ids, struct talc_error *err) {
    if (!make_room(scratch, n, err)) return false;
    struct unigram_node *nodes = scratch->nodes;
    nodes[0] = (struct unigram_node){*score, 0, UNKNOWN};
    find_best(u, nodes, text, n);
    *score = nodes[n].score;
    size_t at = n; /* ids are filled from behind */
    for (size_t end = n; end > 0;) {
        size_t begin = nodes[end].begin;
        if (nodes[end].id == UNKNOWN) { /* unknown characters side by side are one */
            while (begin > 0 && nodes[begin].id == UNKNOWN) begin = nodes[begin].begin;
            if (!put_unknown(u, text, begin, end, ids, &at, err)) return false;
        } else {
            ids[--at] = nodes[end].id;
        }
        end = begin;
    }
    *n_ids = n - at;
    for (size_t i = 0; i < *n_ids; i++) ids[i] = ids[at + i];
    return true;
}
