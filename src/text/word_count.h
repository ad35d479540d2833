/* word_count.h - how often each word occurs: what BPE is learnt from. A hash table whose words keep the order in which
 * they were first seen. For one thread. */
#ifndef TALC_TEXT_WORD_COUNT_H
#define TALC_TEXT_WORD_COUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "text/pretokenize.h"

struct counted_word {
    size_t offset; /* in `bytes` */
    uint32_t n_bytes;
    uint32_t hash; /* low half, so that growing needs no bytes */
    int64_t count;
};

struct word_counts {
    struct counted_word *words; /* [n_words] */
    size_t n_words, capacity;
    struct buffer bytes;
    uint32_t *slots; /* index of a word + 1; 0 is empty; n_slots is a power of two */
    size_t n_slots;
};

/* False: out of memory, or more than 2^31 words or a word of 4 GiB. */
bool word_counts_add(struct word_counts *counts, const char *word, size_t n_bytes, int64_t count);
/* The words of a text, by a pretokenizer that covers it. */
bool word_counts_add_text(struct word_counts *counts, enum pretokenizer pretokenizer, const char *text, size_t n_bytes);
bool word_counts_merge(struct word_counts *into, const struct word_counts *from);

size_t word_counts_memory(const struct word_counts *counts); /* bytes */

/* Orders the words by their bytes; nothing can be added afterwards. */
void word_counts_sort(struct word_counts *counts);
void word_counts_free(struct word_counts *counts);

#endif
