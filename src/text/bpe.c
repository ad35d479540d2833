/* bpe.c - see bpe.h. */
#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/bpe_borders.h"
#include "text/hash.h"
#include "text/pages.h"

#define NO_MERGE INT32_MAX
#define SHORT_SYMBOLS 64 /* up to here scanning all pairs after every merge beats a heap */
#define N_BMP 0x10000

bool bpe_add_merge(struct bpe *bpe, struct bpe_merge merge) {
    if (bpe->n_merges == bpe->merges_capacity) {
        size_t capacity = bpe->merges_capacity ? bpe->merges_capacity * 2 : 1024;
        struct bpe_merge *merges = realloc(bpe->merges, capacity * sizeof *merges);
        if (!merges) return false;
        bpe->merges = merges;
        bpe->merges_capacity = capacity;
    }
    bpe->merges[bpe->n_merges++] = merge;
    return true;
}

void bpe_free(struct bpe *bpe) {
    free(bpe->merges);
    pages_free(bpe->slots, bpe->n_slots * sizeof *bpe->slots);
    pages_free(bpe->rights, bpe->n_rights * sizeof *bpe->rights);
    free(bpe->byte_pairs);
    free(bpe->characters);
    free(bpe->splits);
    bpe_borders_free(bpe->borders);
    *bpe = (struct bpe){0};
}

void bpe_scratch_free(struct bpe_scratch *scratch) {
    free(scratch->nodes);
    free(scratch->heap);
    *scratch = (struct bpe_scratch){0};
}

/* The slot of a pair, or the empty one where it would go. */
static inline size_t find_slot(const struct bpe *bpe, int32_t left, int32_t right) {
    size_t mask = bpe->n_slots - 1;
    size_t i = hash_u64((uint64_t)(uint32_t)left << 32 | (uint32_t)right) & mask;
    while (bpe->slots[i].left >= 0 && (bpe->slots[i].left != left || bpe->slots[i].right != right)) i = (i + 1) & mask;
    return i;
}

static inline uint64_t filter_bit(int32_t right) { return (uint64_t)1 << ((uint32_t)right * 0x9e3779b1u >> 26); }

/* The rank of a pair's merge (NO_MERGE: none) and, where there is one, the token it makes. */
static inline int32_t pair_rank(const struct bpe *bpe, int32_t left, int32_t right, int32_t *result) {
    if (bpe->rights && !(bpe->rights[left] & filter_bit(right))) return NO_MERGE;
    const struct bpe_merge *slot = &bpe->slots[find_slot(bpe, left, right)];
    if (slot->left < 0) return NO_MERGE;
    *result = slot->result;
    if (bpe->rights) __builtin_prefetch(&bpe->rights[slot->result]); /* what is asked first once they are merged */
    return (int32_t)slot->rank;
}

/* ==== few symbols ============================================================================= */

/* Symbols and then tokens by the place where they begin: n of them at first. */
struct short_list {
    int32_t *ids;
    /* Of the pair that begins here; NO_MERGE: none, or no token. */
    int32_t ranks[SHORT_SYMBOLS], results[SHORT_SYMBOLS];
    uint8_t previous[SHORT_SYMBOLS + 1], next[SHORT_SYMBOLS];
};

/* The first of the pairs of lowest rank, below n; n when no pair has a merge. Lists are so short that branches of a
 * better search cost more than it saves. */
static inline size_t lowest_pair(const struct short_list *list, size_t n) {
    const uint64_t none = (uint64_t)NO_MERGE << 32;
    uint64_t lowest = none;
    for (size_t i = 0; i < n; i++) {
        uint64_t pair = (uint64_t)(uint32_t)list->ranks[i] << 32 | i;
        lowest = pair < lowest ? pair : lowest;
    }
    return lowest == none ? n : (uint32_t)lowest;
}

static size_t merge_pairs(const struct bpe *bpe, struct short_list *list, size_t n) {
    int32_t *ids = list->ids, *ranks = list->ranks, *results = list->results;
    ranks[n - 1] = NO_MERGE;
    for (size_t i = 0; i < n; i++) {
        list->previous[i] = (uint8_t)(i - 1);
        list->next[i] = (uint8_t)(i + 1);
    }
    for (size_t i; (i = lowest_pair(list, n)) < n;) {
        size_t gone = list->next[i], after = list->next[gone], before = list->previous[i];
        ids[i] = results[i];
        ranks[gone] = ranks[i] = NO_MERGE;
        list->next[i] = (uint8_t)after;
        list->previous[after] = (uint8_t)i;
        if (after < n) ranks[i] = pair_rank(bpe, ids[i], ids[after], &results[i]);
        if (i > 0) ranks[before] = pair_rank(bpe, ids[before], ids[i], &results[before]);
    }
    size_t count = 0;
    for (size_t i = 0; i < n; i = list->next[i]) ids[count++] = ids[i];
    return count;
}

static size_t merge_short(const struct bpe *bpe, int32_t *ids, size_t n) {
    struct short_list list;
    list.ids = ids;
    for (size_t i = 0; i + 1 < n; i++) list.ranks[i] = pair_rank(bpe, ids[i], ids[i + 1], &list.results[i]);
    return merge_pairs(bpe, &list, n);
}

/* As merge_short, for symbols that are the bytes of `word`, all of which have tokens. */
static size_t merge_short_bytes(const struct bpe *bpe, const char *word, int32_t *ids, size_t n) {
    struct short_list list;
    const unsigned char *bytes = (const unsigned char *)word;
    list.ids = ids;
    for (size_t i = 0; i + 1 < n; i++) {
        struct bpe_byte_pair pair = bpe->byte_pairs[bytes[i] << 8 | bytes[i + 1]];
        list.ranks[i] = pair.rank;
        list.results[i] = pair.result;
        __builtin_prefetch(&bpe->rights[pair.result]);
    }
    return merge_pairs(bpe, &list, n);
}

/* ==== many symbols: a list of tokens and a heap of the pairs that have a merge ================ */

struct bpe_node {
    int32_t id;
    uint32_t previous, next; /* n_nodes past the end, UINT32_MAX before the start */
    int32_t rank;            /* of the pair that begins here: a heap entry of another rank is out of date */
};

struct pair_heap {
    uint64_t *entries; /* rank << 32 | node: the order of the merges; smallest first */
    size_t count;
};

static void heap_sift_down(struct pair_heap *heap, size_t i) {
    uint64_t entry = heap->entries[i];
    for (size_t child; (child = 2 * i + 1) < heap->count; i = child) {
        if (child + 1 < heap->count && heap->entries[child + 1] < heap->entries[child]) child++;
        if (heap->entries[child] >= entry) break;
        heap->entries[i] = heap->entries[child];
    }
    heap->entries[i] = entry;
}

static void heap_push(struct pair_heap *heap, uint64_t entry) {
    size_t i = heap->count++;
    for (; i > 0 && heap->entries[(i - 1) / 2] > entry; i = (i - 1) / 2) heap->entries[i] = heap->entries[(i - 1) / 2];
    heap->entries[i] = entry;
}

static uint64_t heap_pop(struct pair_heap *heap) {
    uint64_t top = heap->entries[0];
    heap->entries[0] = heap->entries[--heap->count];
    if (heap->count) heap_sift_down(heap, 0);
    return top;
}

/* Ranks the pair that begins at node i anew. */
static void update_pair(const struct bpe *bpe, struct bpe_node *nodes, size_t n, uint32_t i, struct pair_heap *heap) {
    int32_t result;
    uint32_t next = nodes[i].next;
    nodes[i].rank = next < n ? pair_rank(bpe, nodes[i].id, nodes[next].id, &result) : NO_MERGE;
    if (nodes[i].rank != NO_MERGE) heap_push(heap, (uint64_t)nodes[i].rank << 32 | i);
}

/* The heap holds at most 2n entries: n - 1 at first, and a merge takes one and brings two. */
static size_t merge_with_heap(const struct bpe *bpe, struct bpe_node *nodes, size_t n, uint64_t *entries,
                              int32_t *ids) {
    struct pair_heap heap = {entries, 0};
    for (uint32_t i = 0; i < n; i++) nodes[i] = (struct bpe_node){ids[i], i - 1, i + 1, NO_MERGE};
    for (uint32_t i = 0; i < n; i++) update_pair(bpe, nodes, n, i, &heap);
    while (heap.count) {
        uint64_t top = heap_pop(&heap);
        uint32_t i = (uint32_t)top;
        if ((uint32_t)nodes[i].rank != top >> 32) continue;
        uint32_t next = nodes[i].next, after = nodes[next].next;
        pair_rank(bpe, nodes[i].id, nodes[next].id, &nodes[i].id);
        nodes[i].next = after;
        nodes[next].rank = NO_MERGE;
        if (after < n) nodes[after].previous = i;
        update_pair(bpe, nodes, n, i, &heap);
        if (nodes[i].previous != UINT32_MAX) update_pair(bpe, nodes, n, nodes[i].previous, &heap);
    }
    size_t n_ids = 0;
    for (uint32_t i = 0; i < n; i = nodes[i].next) ids[n_ids++] = nodes[i].id;
    return n_ids;
}

static bool merge_long(const struct bpe *bpe, struct bpe_scratch *s, int32_t *ids, size_t n, size_t *n_ids,
                       struct talc_error *err) {
    if (n > s->capacity) {
        size_t capacity = n > 1024 ? n : 1024;
        free(s->nodes);
        free(s->heap);
        s->nodes = malloc(capacity * sizeof *s->nodes);
        s->heap = malloc(2 * capacity * sizeof *s->heap);
        s->capacity = s->nodes && s->heap ? capacity : 0;
        if (!s->capacity) return talc_fail(err, "out of memory for a word of %zu symbols", n);
    }
    *n_ids = merge_with_heap(bpe, s->nodes, n, s->heap, ids);
    return true;
}

/* ==== symbols ================================================================================= */

static bool byte_symbols(const struct bpe *bpe, const char *word, size_t n, int32_t *ids, bool *all_known,
                         struct talc_error *err) {
    *all_known = true;
    for (size_t i = 0; i < n; i++) {
        ids[i] = bpe->byte_ids[(unsigned char)word[i]];
        if (ids[i] >= 0) continue;
        *all_known = false;
        ids[i] = bpe->unknown_id;
        if (ids[i] < 0)
            return talc_fail(err, "the tokenizer has no token for byte 0x%02x, so it cannot encode this text",
                             (unsigned char)word[i]);
    }
    return true;
}

/* The symbols of a character without a token. */
static bool fallback(const struct bpe *bpe, const char *text, size_t n, int32_t *ids, size_t *n_ids,
                     struct talc_error *err) {
    bool all = true;
    for (size_t i = 0; i < n; i++) all = all && bpe->byte_ids[(unsigned char)text[i]] >= 0;
    for (size_t i = 0; all && i < n; i++) ids[(*n_ids)++] = bpe->byte_ids[(unsigned char)text[i]];
    if (all) return true;
    ids[(*n_ids)++] = bpe->unknown_id;
    return bpe->unknown_id >= 0 ||
           talc_fail(err, "the tokenizer has no token for the character \"%.*s\"", (int)n, text);
}

static bool character_symbols(const struct bpe *bpe, const struct vocabulary *v, const char *word, size_t n,
                              int32_t *ids, size_t *n_ids, struct talc_error *err) {
    *n_ids = 0;
    for (size_t i = 0; i < n;) {
        int32_t codepoint;
        size_t length = (size_t)utf8_decode(word + i, n - i, &codepoint);
        int32_t id = codepoint < 0       ? -1
                     : codepoint < N_BMP ? bpe->characters[codepoint]
                                         : vocabulary_find(v, word + i, length);
        if (id >= 0)
            ids[(*n_ids)++] = id;
        else if (!fallback(bpe, word + i, length, ids, n_ids, err))
            return false;
        i += length;
    }
    return true;
}

bool bpe_merge_text(const struct bpe *bpe, const struct vocabulary *v, struct bpe_scratch *s, const char *text,
                    size_t n, int32_t *ids, size_t *n_ids, struct talc_error *err) {
    bool all_known = false;
    if (bpe->symbols == BPE_BYTES) {
        if (!byte_symbols(bpe, text, n, ids, &all_known, err)) return false;
        *n_ids = n;
    } else if (!character_symbols(bpe, v, text, n, ids, n_ids, err)) {
        return false;
    }
    if (*n_ids > SHORT_SYMBOLS) return merge_long(bpe, s, ids, *n_ids, n_ids, err);
    *n_ids = all_known && bpe->byte_pairs ? merge_short_bytes(bpe, text, ids, n) : merge_short(bpe, ids, *n_ids);
    return true;
}

/* ==== neighbours ============================================================================== */

size_t bpe_token_bytes(const struct bpe *bpe, const struct vocabulary *v, int32_t id, const char *text, size_t n) {
    if (id != bpe->unknown_id) return v->tokens[id].n_bytes;
    if (bpe->symbols == BPE_BYTES) return 1;
    int32_t codepoint;
    size_t length = 1;
    while (length < 4 && length < n && ((unsigned char)text[n - length] & 0xc0) == 0x80) length++;
    return (size_t)utf8_decode(text + n - length, length, &codepoint) == length ? length : 1;
}

/* Takes the last merges of both texts back, the later one first, and looks whether the tokens that then meet at the
 * seam would have been merged before, or at first by a rank below `limit`. */
static bool seam_holds(const struct bpe *bpe, int32_t left, int32_t right, int32_t limit) {
    int32_t result;
    for (;;) {
        if (pair_rank(bpe, left, right, &result) < limit) return false;
        const struct bpe_split *a = &bpe->splits[left], *b = &bpe->splits[right];
        if (a->rank < 0 && b->rank < 0) return true;
        if (a->rank > b->rank) {
            limit = a->rank;
            left = a->right;
        } else { /* of equal ranks the left one was first, and so would be a merge over the seam */
            limit = b->rank + 1;
            right = b->left;
        }
    }
}

bool bpe_are_neighbours(const struct bpe *bpe, const struct vocabulary *v, struct bpe_scratch *scratch, int32_t left,
                        int32_t right) {
    if (bpe->splits[left].simple && bpe->splits[right].simple) return seam_holds(bpe, left, right, NO_MERGE);
    if (left == bpe->unknown_id || right == bpe->unknown_id) return true; /* no merge has it */
    const struct vocabulary_token *a = vocabulary_token(v, left), *b = vocabulary_token(v, right);
    size_t n = (size_t)a->n_bytes + b->n_bytes, n_ids = 0;
    char small[256], *text = n <= sizeof small ? small : malloc(n);
    int32_t small_ids[256], *ids = n <= sizeof small ? small_ids : malloc(n * sizeof *ids);
    bool same = false;
    if (text && ids) {
        memcpy(text, vocabulary_bytes(v, a), a->n_bytes);
        memcpy(text + a->n_bytes, vocabulary_bytes(v, b), b->n_bytes);
        same = bpe_merge_text(bpe, v, scratch, text, n, ids, &n_ids, NULL) && n_ids == 2 && ids[0] == left &&
               ids[1] == right;
    }
    if (text != small) free(text);
    if (ids != small_ids) free(ids);
    return same;
}

/* ==== tables ================================================================================== */

static bool build_slots(struct bpe *bpe, size_t n_merges) {
    pages_free(bpe->slots, bpe->n_slots * sizeof *bpe->slots);
    bpe->n_slots = 16;
    while (bpe->n_slots < n_merges * 2) bpe->n_slots *= 2;
    bpe->slots = pages_new(bpe->n_slots * sizeof *bpe->slots);
    if (!bpe->slots) return false;
    memset(bpe->slots, 0xff, bpe->n_slots * sizeof *bpe->slots); /* left is -1 */
    for (size_t i = 0; i < bpe->n_merges; i++)
        bpe->slots[find_slot(bpe, bpe->merges[i].left, bpe->merges[i].right)] = bpe->merges[i];
    return true;
}

/* Leaves each pair only its last place in the list, the one that counts. */
static void drop_repeated(struct bpe *bpe) {
    size_t kept = 0;
    for (size_t i = 0; i < bpe->n_merges; i++) {
        const struct bpe_merge *merge = &bpe->merges[i];
        if (bpe->slots[find_slot(bpe, merge->left, merge->right)].rank == merge->rank) bpe->merges[kept++] = *merge;
    }
    bpe->n_merges = kept;
}

/* The byte that a token is, -1 when it is none or not the token of that byte. */
static int byte_of(const struct bpe *bpe, const struct vocabulary *v, int32_t id) {
    const struct vocabulary_token *token = vocabulary_token(v, id);
    if (token->n_bytes != 1) return -1;
    unsigned char byte = (unsigned char)*vocabulary_bytes(v, token);
    return bpe->byte_ids[byte] == id ? byte : -1;
}

static bool list_byte_pairs(struct bpe *bpe, const struct vocabulary *v) {
    bpe->byte_pairs = malloc(65536 * sizeof *bpe->byte_pairs);
    if (!bpe->byte_pairs) return false;
    for (size_t i = 0; i < 65536; i++) bpe->byte_pairs[i] = (struct bpe_byte_pair){NO_MERGE, 0};
    for (size_t i = 0; i < bpe->n_merges; i++) {
        const struct bpe_merge *m = &bpe->merges[i];
        int left = byte_of(bpe, v, m->left), right = byte_of(bpe, v, m->right);
        if (left >= 0 && right >= 0)
            bpe->byte_pairs[left << 8 | right] = (struct bpe_byte_pair){(int32_t)m->rank, m->result};
    }
    return true;
}

static bool list_characters(struct bpe *bpe, const struct vocabulary *v) {
    bpe->characters = malloc(N_BMP * sizeof *bpe->characters);
    if (!bpe->characters) return false;
    for (int32_t codepoint = 0; codepoint < N_BMP; codepoint++) {
        char bytes[4];
        bool exists = codepoint < 0xd800 || codepoint > 0xdfff;
        int n = utf8_encode(codepoint, bytes);
        bpe->characters[codepoint] = exists ? vocabulary_find(v, bytes, (size_t)n) : -1;
    }
    return true;
}

/* Which two tokens each one was merged from. A token is not simple when that is not known from itself: more than one
 * merge makes it, a part of it comes after it, or other merges have its rank. */
static bool list_splits(struct bpe *bpe, const struct vocabulary *v) {
    bpe->splits = malloc(((size_t)v->size + 1) * sizeof *bpe->splits);
    bpe->n_rights = (size_t)v->size + 1;
    bpe->rights = pages_new(bpe->n_rights * sizeof *bpe->rights);
    if (!bpe->splits || !bpe->rights) return false;
    for (int32_t id = 0; id < v->size; id++) bpe->splits[id] = (struct bpe_split){id, id, -1, id != bpe->unknown_id};
    for (size_t i = 0; i < bpe->n_merges; i++) {
        const struct bpe_merge *m = &bpe->merges[i];
        struct bpe_split *split = &bpe->splits[m->result];
        const struct bpe_split *left = &bpe->splits[m->left], *right = &bpe->splits[m->right];
        bool tied = (i > 0 && bpe->merges[i - 1].rank == m->rank) ||
                    (i + 1 < bpe->n_merges && bpe->merges[i + 1].rank == m->rank);
        /* a split that came before m has a lower rank; one that comes after it makes both not simple */
        bool first = split->rank < 0 && split->simple;
        *split = (struct bpe_split){m->left, m->right, (int32_t)m->rank,
                                    first && !tied && left->simple && right->simple && m->left != m->result &&
                                        m->right != m->result};
        bpe->rights[m->left] |= filter_bit(m->right);
        uint64_t n_bytes = (uint64_t)v->tokens[m->left].n_bytes + v->tokens[m->right].n_bytes;
        if (n_bytes != v->tokens[m->result].n_bytes || m->result == bpe->unknown_id) bpe->other_lengths = true;
    }
    return true;
}

/* A token that became not simple, or was merged first, after another was made of it. */
static void spread_not_simple(struct bpe *bpe) {
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < bpe->n_merges; i++) {
            struct bpe_split *split = &bpe->splits[bpe->merges[i].result];
            const struct bpe_split *left = &bpe->splits[split->left], *right = &bpe->splits[split->right];
            bool later = left->rank >= split->rank || right->rank >= split->rank;
            if (!split->simple || (left->simple && right->simple && !later)) continue;
            split->simple = false;
            changed = true;
        }
    }
}

/* Which tokens' own text is encoded as something else: what `whole_words` changes. Of one that is not simple that is
 * not known. */
static bool list_others(struct bpe *bpe, const struct vocabulary *v) {
    bool *made = calloc((size_t)v->size + 1, sizeof *made);
    if (!made) return false;
    for (int byte = 0; byte < 256; byte++)
        if (bpe->byte_ids[byte] >= 0) made[bpe->byte_ids[byte]] = true;
    for (size_t i = 0; i < bpe->n_merges; i++) {
        const struct bpe_split *split = &bpe->splits[bpe->merges[i].result];
        made[bpe->merges[i].result] = split->simple && made[split->left] && made[split->right] &&
                                      seam_holds(bpe, split->left, split->right, split->rank);
    }
    for (int32_t id = 0; id < v->size; id++) {
        const struct vocabulary_token *token = &v->tokens[id];
        if (token->kind != TOKEN_TEXT || made[id]) continue;
        size_t bit = bpe_other_bit(vocabulary_bytes(v, token), token->n_bytes);
        bpe->others[bit / 64] |= (uint64_t)1 << (bit % 64);
        if (token->n_bytes > bpe->longest_other) bpe->longest_other = token->n_bytes;
    }
    free(made);
    return true;
}

static bool list_symbols(struct bpe *bpe, const struct vocabulary *v, struct talc_error *err) {
    for (int byte = 0; bpe->symbols == BPE_BYTES && byte < 256; byte++) {
        char c = (char)byte;
        bpe->byte_ids[byte] = vocabulary_find(v, &c, 1);
    }
    bool ok = bpe->symbols == BPE_BYTES || bpe->characters || list_characters(bpe, v);
    return ok || talc_fail(err, "out of memory for a vocabulary");
}

bool bpe_finish(struct bpe *bpe, const struct vocabulary *v, struct talc_error *err) {
    if (!list_symbols(bpe, v, err)) return false;
    bool ok = build_slots(bpe, bpe->n_merges);
    if (ok) drop_repeated(bpe);
    if (ok && (ok = list_splits(bpe, v))) spread_not_simple(bpe);
    if (!ok || (bpe->symbols == BPE_BYTES && !list_byte_pairs(bpe, v)))
        return talc_fail(err, "out of memory for %zu merges", bpe->n_merges);
    if (bpe->whole_words && !list_others(bpe, v)) return talc_fail(err, "out of memory for a vocabulary");
    bpe->borders = bpe_borders_new(bpe, v);
    return bpe->borders || talc_fail(err, "out of memory for the borders of characters");
}

/* ==== merges that a vocabulary implies ======================================================== */

enum { MAX_IMPLIED_BYTES = 4096 }; /* of a token: trying every cut takes the square of it */

/* Adds (left, right) -> id, at once to the table too. */
static bool imply_merge(struct bpe *bpe, int32_t left, int32_t right, int32_t id, uint32_t rank) {
    struct bpe_merge merge = {left, right, id, rank};
    if (!bpe_add_merge(bpe, merge)) return false;
    if (bpe->n_merges * 2 > bpe->n_slots) return build_slots(bpe, bpe->n_merges * 2);
    bpe->slots[find_slot(bpe, left, right)] = merge;
    return true;
}

/* Every pair of tokens that makes up this one. */
static bool imply_all_pairs(struct bpe *bpe, const struct vocabulary *v, int32_t id, uint32_t rank) {
    const struct vocabulary_token *token = vocabulary_token(v, id);
    const char *bytes = vocabulary_bytes(v, token);
    for (uint32_t cut = 1; cut < token->n_bytes; cut++) {
        int32_t left = vocabulary_find(v, bytes, cut);
        int32_t right = left < 0 ? -1 : vocabulary_find(v, bytes + cut, token->n_bytes - cut);
        if (right >= 0 && !imply_merge(bpe, left, right, id, rank)) return false;
    }
    return true;
}

bool bpe_imply_merges(struct bpe *bpe, const struct vocabulary *v, const int32_t *order, const uint32_t *ranks,
                      size_t n_tokens, struct talc_error *err) {
    struct bpe_scratch scratch = {0};
    size_t longest = 2;
    for (size_t i = 0; i < n_tokens; i++)
        if (vocabulary_token(v, order[i])->n_bytes > longest) longest = vocabulary_token(v, order[i])->n_bytes;
    if (longest > MAX_IMPLIED_BYTES)
        return talc_fail(err, "a token has %zu bytes; merges are implied for up to %d", longest, MAX_IMPLIED_BYTES);
    int32_t *ids = malloc(longest * sizeof *ids);
    bool ok = ids && build_slots(bpe, n_tokens) && list_symbols(bpe, v, err);
    for (size_t i = 0; ok && i < n_tokens; i++) {
        const struct vocabulary_token *token = vocabulary_token(v, order[i]);
        bool tied = (i > 0 && ranks[i - 1] == ranks[i]) || (i + 1 < n_tokens && ranks[i + 1] == ranks[i]);
        size_t n_ids = 0;
        if (tied || !bpe_merge_text(bpe, v, &scratch, vocabulary_bytes(v, token), token->n_bytes, ids, &n_ids, NULL))
            n_ids = 0; /* also where a symbol of it has no token */
        ok = n_ids == 2   ? imply_merge(bpe, ids[0], ids[1], order[i], ranks[i])
             : n_ids == 1 ? true
                          : imply_all_pairs(bpe, v, order[i], ranks[i]);
    }
    bpe_scratch_free(&scratch);
    free(ids);
    return ok || talc_fail(err, "out of memory for a vocabulary of %zu tokens", n_tokens);
}
