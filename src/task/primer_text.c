/* primer_text.c - picking phrases and filling slots; see primer_text.h. */
#include "task/primer_text.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

struct phrases phrases_until_null(const char *const *items, int capacity) {
    int n = 0;
    while (n < capacity && items[n]) n++;
    return (struct phrases){items, n};
}

uint64_t text_hash(const char *text) {
    uint64_t h = 0xcbf29ce484222325u;
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 0x100000001b3u;
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
    return h ^ h >> 33;
}

static int n_held_out(int n) {
    int fifth = (n + 2) / 5;
    return fifth > 0 ? fifth : n > 1;
}

bool phrase_is_held_out(struct phrases set, int index) {
    uint64_t own = text_hash(set.items[index]);
    int n_smaller = 0;
    for (int i = 0; i < set.n; i++) n_smaller += text_hash(set.items[i]) < own;
    return n_smaller < n_held_out(set.n);
}

const char *phrase_pick(struct phrases set, enum split split, struct rng *rng) {
    assert(set.n > (split == SPLIT_TEST));
    for (;;) {
        int i = (int)rng_below(rng, (uint64_t)set.n);
        if (phrase_is_held_out(set, i) == (split == SPLIT_TEST)) return set.items[i];
    }
}

const char *phrase_any(struct phrases set, struct rng *rng) { return set.items[rng_below(rng, (uint64_t)set.n)]; }

static const struct slot *slot_find(const struct slot *slots, const char *name, size_t length) {
    for (; slots->name; slots++)
        if (strlen(slots->name) == length && memcmp(slots->name, name, length) == 0) return slots;
    return NULL;
}

void text_fill(struct buffer *out, const char *template, const struct slot *slots) {
    while (*template) {
        size_t plain = strcspn(template, "{");
        buffer_append(out, template, plain);
        template += plain;
        if (!*template) return;
        size_t length = strcspn(template + 1, "}");
        const struct slot *slot = template[1 + length] ? slot_find(slots, template + 1, length) : NULL;
        if (slot) {
            buffer_append_text(out, slot->value);
            template += length + 2;
        } else {
            buffer_append_char(out, *template ++);
        }
    }
}

void text_join(struct buffer *out, const char *const *items, int n) {
    for (int i = 0; i < n; i++) {
        if (i > 0) buffer_append_text(out, i == n - 1 ? " and " : ", ");
        buffer_append_text(out, items[i]);
    }
}

void text_capitalise(struct buffer *b, size_t at) {
    if (at < b->length) b->data[at] = (char)toupper((unsigned char)b->data[at]);
}
