/* trie.h - all keys that a text begins with, in one walk: a double-array trie over bytes (Aoe, "An Efficient Digital
 * Search Algorithm by Using a Double-Array Structure", 1989). Built once, then read-only. */
#ifndef TALC_TEXT_TRIE_H
#define TALC_TEXT_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trie_key {
    const char *bytes;
    uint32_t n_bytes; /* at least 1 */
    int32_t value;    /* at least 0 */
};

struct trie_node {
    int32_t base;   /* the child by byte c is node base + c, if its parent is this one */
    int32_t parent; /* -1: no node */
    int32_t value;  /* of the key that ends here, -1: none */
};

struct trie {
    struct trie_node *nodes; /* node 0 is the root */
    size_t n_nodes;
};

/* Sorts the keys, of which no two are the same. False: out of memory. */
bool trie_build(struct trie *trie, struct trie_key *keys, size_t n_keys);
void trie_free(struct trie *trie);

/* The child of a node by a byte, -1: there is none. */
static inline int32_t trie_step(const struct trie *trie, int32_t node, char byte) {
    size_t child = (size_t)trie->nodes[node].base + (unsigned char)byte;
    return child < trie->n_nodes && trie->nodes[child].parent == node ? (int32_t)child : -1;
}

#endif
