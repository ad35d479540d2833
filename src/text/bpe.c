/* bpe.c - see bpe.h. */
#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "text/hash.h"

#define NO_MERGE UINT32_MAX
#define SHORT_WORD_BYTES 48 /* up to here scanning all pairs after every merge beats a heap */

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
    free(bpe->slots);
    *bpe = (struct bpe){0};
}

/* The slot of a pair, or the empty one where it would go. */
static inline size_t find_slot(const struct bpe *bpe, int32_t left, int32_t right) {
    size_t mask = bpe->n_slots - 1;
    size_t i = hash_u64((uint64_t)(uint32_t)left << 32 | (uint32_t)right) & mask;
    while (bpe->slots[i].left >= 0 && (bpe->slots[i].left != left || bpe->slots[i].right != right)) i = (i + 1) & mask;
    return i;
}

/* The rank of a pair's merge (NO_MERGE: none) and, where there is one, the token it makes. */
static inline uint32_t pair_rank(const struct bpe *bpe, int32_t left, int32_t right, int32_t *result) {
    const struct bpe_merge *slot = &bpe->slots[find_slot(bpe, left, right)];
    if (slot->left < 0) return NO_MERGE;
    *result = slot->result;
    return slot->rank;
}

/* ==== short words ================================================================================ */

static size_t merge_short(const struct bpe *bpe, int32_t *ids, size_t n) {
    uint32_t ranks[SHORT_WORD_BYTES];
    int32_t results[SHORT_WORD_BYTES];
    for (size_t i = 0; i + 1 < n; i++) ranks[i] = pair_rank(bpe, ids[i], ids[i + 1], &results[i]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (ranks[i] < ranks[best]) best = i;
        if (ranks[best] == NO_MERGE) break;
        ids[best] = results[best];
        memmove(ids + best + 1, ids + best + 2, (n - best - 2) * sizeof *ids);
        if (best + 2 < n) { /* pair i is (i, i + 1): pair best + 1 is gone */
            memmove(ranks + best + 1, ranks + best + 2, (n - best - 2) * sizeof *ranks);
            memmove(results + best + 1, results + best + 2, (n - best - 2) * sizeof *results);
        }
        n--;
        if (best > 0) ranks[best - 1] = pair_rank(bpe, ids[best - 1], ids[best], &results[best - 1]);
        if (best + 1 < n) ranks[best] = pair_rank(bpe, ids[best], ids[best + 1], &results[best]);
    }
    return n;
}

/* ==== long words: a list of tokens and a heap of the pairs that have a merge ===================== */

struct node {
    int32_t id;
    uint32_t previous, next; /* n_nodes past the end, UINT32_MAX before the start */
    uint32_t rank;           /* of the pair that begins here: a heap entry of another rank is out of date */
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
static void update_pair(const struct bpe *bpe, struct node *nodes, size_t n, uint32_t i, struct pair_heap *heap) {
    int32_t result;
    uint32_t next = nodes[i].next;
    nodes[i].rank = next < n ? pair_rank(bpe, nodes[i].id, nodes[next].id, &result) : NO_MERGE;
    if (nodes[i].rank != NO_MERGE) heap_push(heap, (uint64_t)nodes[i].rank << 32 | i);
}

/* The heap holds at most 2n entries: n - 1 at first, and a merge takes one and brings two. */
static size_t merge_with_heap(const struct bpe *bpe, struct node *nodes, size_t n, struct pair_heap *heap,
                              int32_t *ids) {
    for (uint32_t i = 0; i < n; i++) nodes[i] = (struct node){ids[i], i - 1, i + 1, NO_MERGE};
    for (uint32_t i = 0; i < n; i++) update_pair(bpe, nodes, n, i, heap);
    while (heap->count) {
        uint64_t top = heap_pop(heap);
        uint32_t i = (uint32_t)top;
        if (nodes[i].rank != top >> 32) continue;
        uint32_t next = nodes[i].next, after = nodes[next].next;
        pair_rank(bpe, nodes[i].id, nodes[next].id, &nodes[i].id);
        nodes[i].next = after;
        nodes[next].rank = NO_MERGE;
        if (after < n) nodes[after].previous = i;
        update_pair(bpe, nodes, n, i, heap);
        if (nodes[i].previous != UINT32_MAX) update_pair(bpe, nodes, n, nodes[i].previous, heap);
    }
    size_t n_ids = 0;
    for (uint32_t i = 0; i < n; i = nodes[i].next) ids[n_ids++] = nodes[i].id;
    return n_ids;
}

static bool merge_long(const struct bpe *bpe, int32_t *ids, size_t n, size_t *n_ids, struct talc_error *err) {
    if (n > BPE_MAX_WORD_BYTES)
        return talc_fail(
            err, "%zu bytes without a place to cut a word: at most %zu are supported; break the text into lines", n,
            BPE_MAX_WORD_BYTES);
    struct node *nodes = malloc(n * sizeof *nodes);
    struct pair_heap heap = {malloc(2 * n * sizeof *heap.entries), 0};
    bool ok = nodes && heap.entries;
    if (ok) *n_ids = merge_with_heap(bpe, nodes, n, &heap, ids);
    free(nodes);
    free(heap.entries);
    return ok || talc_fail(err, "out of memory for a word of %zu bytes", n);
}

/* ==== words ====================================================================================== */

static bool merge_word(const struct bpe *bpe, const char *word, size_t n, int32_t *ids, size_t *n_ids,
                       struct talc_error *err) {
    for (size_t i = 0; i < n; i++) {
        ids[i] = bpe->byte_ids[(unsigned char)word[i]];
        if (ids[i] < 0)
            return talc_fail(err, "the tokenizer has no token for byte 0x%02x, so it cannot encode this text",
                             (unsigned char)word[i]);
    }
    if (n > SHORT_WORD_BYTES) return merge_long(bpe, ids, n, n_ids, err);
    *n_ids = merge_short(bpe, ids, n);
    return true;
}

bool bpe_encode_word(const struct bpe *bpe, const struct vocabulary *v, const char *word, size_t n_bytes, int32_t *ids,
                     size_t *n_ids, struct talc_error *err) {
    int32_t id = vocabulary_find(v, word, n_bytes);
    if (id >= 0 && vocabulary_token(v, id)->direct) {
        ids[0] = id;
        *n_ids = 1;
        return true;
    }
    return merge_word(bpe, word, n_bytes, ids, n_ids, err);
}

static bool build_slots(struct bpe *bpe) {
    bpe->n_slots = 16;
    while (bpe->n_slots < bpe->n_merges * 2) bpe->n_slots *= 2;
    bpe->slots = malloc(bpe->n_slots * sizeof *bpe->slots);
    if (!bpe->slots) return false;
    for (size_t i = 0; i < bpe->n_slots; i++) bpe->slots[i].left = -1;
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

/* A token that merging its own bytes leads back to needs no merging when a word is just that. */
static bool find_direct(const struct bpe *bpe, struct vocabulary *v, struct talc_error *err) {
    int32_t *ids = NULL;
    size_t capacity = 0;
    bool ok = true;
    for (int32_t id = 0; ok && id < v->size; id++) {
        struct vocabulary_token *token = &v->tokens[id];
        if (token->kind != TOKEN_TEXT) continue;
        if (token->n_bytes > capacity) {
            free(ids);
            capacity = (size_t)token->n_bytes + 64;
            ids = malloc(capacity * sizeof *ids);
            if (!ids) ok = talc_fail(err, "out of memory for the vocabulary");
        }
        size_t n_ids = 0;
        token->direct = ok && (bpe->whole_words ||
                               (merge_word(bpe, vocabulary_bytes(v, token), token->n_bytes, ids, &n_ids, NULL) &&
                                n_ids == 1 && ids[0] == id));
    }
    free(ids);
    return ok;
}

bool bpe_finish(struct bpe *bpe, struct vocabulary *v, struct talc_error *err) {
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        bpe->byte_ids[byte] = vocabulary_find(v, &c, 1);
    }
    if (!build_slots(bpe)) return talc_fail(err, "out of memory for %zu merges", bpe->n_merges);
    drop_repeated(bpe);
    return find_direct(bpe, v, err);
}
