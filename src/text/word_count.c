/* word_count.c - see word_count.h. */
#include "text/word_count.h"

#include <stdlib.h>
#include <string.h>

#include "text/hash.h"

static size_t find_slot(const struct word_counts *c, const char *word, size_t n, uint32_t hash) {
    size_t mask = c->n_slots - 1, i = hash & mask;
    for (; c->slots[i]; i = (i + 1) & mask) {
        const struct counted_word *w = &c->words[c->slots[i] - 1];
        if (w->hash == hash && w->n_bytes == n && memcmp(c->bytes.data + w->offset, word, n) == 0) break;
    }
    return i;
}

static bool slots_reserve(struct word_counts *c) {
    if (c->n_words * 2 < c->n_slots) return true;
    size_t n_slots = c->n_slots ? c->n_slots * 2 : 4096;
    uint32_t *slots = calloc(n_slots, sizeof *slots);
    if (!slots) return false;
    for (size_t w = 0; w < c->n_words; w++) {
        size_t i = c->words[w].hash & (n_slots - 1);
        while (slots[i]) i = (i + 1) & (n_slots - 1);
        slots[i] = (uint32_t)w + 1;
    }
    free(c->slots);
    c->slots = slots;
    c->n_slots = n_slots;
    return true;
}

static bool words_reserve(struct word_counts *c) {
    if (c->n_words < c->capacity) return true;
    size_t capacity = c->capacity ? c->capacity * 2 : 4096;
    if (capacity > (size_t)1 << 31) return false;
    struct counted_word *words = realloc(c->words, capacity * sizeof *words);
    if (!words) return false;
    c->words = words;
    c->capacity = capacity;
    return true;
}

bool word_counts_add(struct word_counts *c, const char *word, size_t n_bytes, int64_t count) {
    if (n_bytes > UINT32_MAX || !slots_reserve(c)) return false;
    uint32_t hash = (uint32_t)hash_bytes(word, n_bytes);
    size_t slot = find_slot(c, word, n_bytes, hash);
    if (c->slots[slot]) {
        c->words[c->slots[slot] - 1].count += count;
        return true;
    }
    size_t offset = c->bytes.length;
    buffer_append(&c->bytes, word, n_bytes);
    if (!buffer_ok(&c->bytes) || !words_reserve(c)) return false;
    c->words[c->n_words++] = (struct counted_word){offset, (uint32_t)n_bytes, hash, count};
    c->slots[slot] = (uint32_t)c->n_words;
    return true;
}

bool word_counts_add_text(struct word_counts *counts, enum pretokenizer pretokenizer, const char *text,
                          size_t n_bytes) {
    while (n_bytes > 0) {
        size_t length = pretokenize_next(pretokenizer, text, n_bytes);
        if (!word_counts_add(counts, text, length, 1)) return false;
        text += length;
        n_bytes -= length;
    }
    return true;
}

bool word_counts_merge(struct word_counts *into, const struct word_counts *from) {
    for (size_t i = 0; i < from->n_words; i++) {
        const struct counted_word *w = &from->words[i];
        if (!word_counts_add(into, from->bytes.data + w->offset, w->n_bytes, w->count)) return false;
    }
    return true;
}

size_t word_counts_memory(const struct word_counts *c) {
    return c->capacity * sizeof *c->words + c->n_slots * sizeof *c->slots + c->bytes.capacity;
}

static int compare_words(const void *a, const void *b, void *context) {
    const struct counted_word *x = a, *y = b;
    const char *bytes = context;
    uint32_t shorter = x->n_bytes < y->n_bytes ? x->n_bytes : y->n_bytes;
    int order = memcmp(bytes + x->offset, bytes + y->offset, shorter);
    return order ? order : (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

#ifdef __APPLE__ /* the context comes first there */
static int compare_words_in(void *context, const void *a, const void *b) { return compare_words(a, b, context); }
#define SORT_WORDS(words, n, bytes) qsort_r(words, n, sizeof *(words), bytes, compare_words_in)
#else
#define SORT_WORDS(words, n, bytes) qsort_r(words, n, sizeof *(words), compare_words, bytes)
#endif

void word_counts_sort(struct word_counts *counts) {
    free(counts->slots);
    counts->slots = NULL;
    counts->n_slots = 0;
    if (counts->n_words) SORT_WORDS(counts->words, counts->n_words, counts->bytes.data);
}

void word_counts_free(struct word_counts *counts) {
    free(counts->words);
    free(counts->slots);
    buffer_free(&counts->bytes);
    *counts = (struct word_counts){0};
}
