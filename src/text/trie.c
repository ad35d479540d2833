/* trie.c - see trie.h. Nodes are placed breadth first, each at the first place where its children fit; the search for
 * it leaves behind what is nearly full. */
#include "text/trie.h"

#include <stdlib.h>
#include <string.h>

#define LONGEST_SEARCH 16384 /* places that no node has fitted for so long are given up: building stays linear */
#define FULL_SHARE 0.95

/* Keys [first, last) begin with the bytes that lead to `node`, `depth` of them. */
struct range {
    size_t first, last;
    uint32_t depth;
    int32_t node;
};

struct building {
    struct trie *trie;
    const struct trie_key *keys;
    struct range *queue;
    size_t n_queued, capacity, search_from;
};

static int compare_keys(const void *a, const void *b) {
    const struct trie_key *x = a, *y = b;
    uint32_t shorter = x->n_bytes < y->n_bytes ? x->n_bytes : y->n_bytes;
    int order = memcmp(x->bytes, y->bytes, shorter);
    return order ? order : (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

static bool grow_nodes(struct trie *trie, size_t n) {
    if (n <= trie->n_nodes) return true;
    size_t size = trie->n_nodes + trie->n_nodes / 2 > n ? trie->n_nodes + trie->n_nodes / 2 : n;
    struct trie_node *nodes = size <= INT32_MAX ? realloc(trie->nodes, size * sizeof *nodes) : NULL;
    if (!nodes) return false;
    for (size_t i = trie->n_nodes; i < size; i++) nodes[i] = (struct trie_node){0, -1, -1};
    trie->nodes = nodes;
    trie->n_nodes = size;
    return true;
}

static bool queue_range(struct building *b, struct range range) {
    if (b->n_queued == b->capacity) {
        size_t capacity = b->capacity ? b->capacity * 2 : 4096;
        struct range *queue = realloc(b->queue, capacity * sizeof *queue);
        if (!queue) return false;
        b->queue = queue;
        b->capacity = capacity;
    }
    b->queue[b->n_queued++] = range;
    return true;
}

/* A base at which all children are free; 0: out of memory. */
static int32_t find_base(struct building *b, const unsigned char *children, int n_children) {
    size_t place = b->search_from > children[0] ? b->search_from : (size_t)children[0] + 1, n_taken = 0;
    for (bool first = true;; place++) {
        if (!grow_nodes(b->trie, place + 257)) return 0;
        if (b->trie->nodes[place].parent >= 0) {
            n_taken++;
            continue;
        }
        if (first) b->search_from = place;
        first = false;
        int i = 1;
        while (i < n_children && b->trie->nodes[place - children[0] + children[i]].parent < 0) i++;
        if (i == n_children) break;
    }
    size_t searched = place - b->search_from + 1;
    if (searched > LONGEST_SEARCH || (double)n_taken >= FULL_SHARE * (double)searched) b->search_from = place;
    return (int32_t)(place - children[0]);
}

static bool place_children(struct building *b, struct range range) {
    unsigned char children[256];
    int n_children = 0;
    size_t i = range.first;
    if (b->keys[i].n_bytes == range.depth) b->trie->nodes[range.node].value = b->keys[i++].value;
    for (size_t k = i; k < range.last; k++) {
        unsigned char byte = (unsigned char)b->keys[k].bytes[range.depth];
        if (n_children == 0 || children[n_children - 1] != byte) children[n_children++] = byte;
    }
    if (n_children == 0) return true;
    int32_t base = find_base(b, children, n_children);
    if (base <= 0) return false;
    b->trie->nodes[range.node].base = base;
    for (int c = 0; c < n_children; c++) b->trie->nodes[base + children[c]].parent = range.node;
    for (int c = 0; c < n_children; c++) {
        size_t first = i;
        while (i < range.last && (unsigned char)b->keys[i].bytes[range.depth] == children[c]) i++;
        if (!queue_range(b, (struct range){first, i, range.depth + 1, base + children[c]})) return false;
    }
    return true;
}

bool trie_build(struct trie *trie, struct trie_key *keys, size_t n_keys) {
    struct building b = {.trie = trie, .keys = keys, .search_from = 1};
    *trie = (struct trie){0};
    if (n_keys) qsort(keys, n_keys, sizeof *keys, compare_keys);
    bool ok = grow_nodes(trie, 1024);
    /* Taken; no child is node 0, as bases are above 0: also that of a root without children. */
    if (ok) trie->nodes[0] = (struct trie_node){.base = 1, .parent = 0, .value = -1};
    ok = ok && (n_keys == 0 || queue_range(&b, (struct range){0, n_keys, 0, 0}));
    for (size_t i = 0; ok && i < b.n_queued; i++) ok = place_children(&b, b.queue[i]);
    free(b.queue);
    if (!ok) trie_free(trie);
    return ok;
}

void trie_free(struct trie *trie) {
    free(trie->nodes);
    *trie = (struct trie){0};
}
