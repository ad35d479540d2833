/* primer_words.h - texts as sequences of words, for asking what of one text occurs in another. A word is a run of
 * letters and digits, in lower case; bytes above 127 count as letters. Words and sequences of words are kept as 64-bit
 * hashes. */
#ifndef TALC_TASK_PRIMER_WORDS_H
#define TALC_TASK_PRIMER_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OVERLAP_WORDS = 8 }; /* a sequence of this many words in common is an overlap */

/* Whether a byte is a part of a word. */
bool is_word_byte(char byte);

/* The words of one or more texts, in order. Zero is an empty list; running out of memory latches `failed`. */
struct word_list {
    uint64_t *words;
    size_t n, capacity;
    bool failed;
};
void word_list_append(struct word_list *list, const char *text, size_t n_bytes);
void word_list_clear(struct word_list *list);
void word_list_free(struct word_list *list);

uint64_t word_hash(const char *word); /* of one word */

/* The hash of n words in a row. */
uint64_t word_sequence_hash(const uint64_t *words, size_t n);

/* A set of hashes. Zero is an empty set; running out of memory latches `failed`. */
struct hash_set {
    uint64_t *slots;
    size_t n_slots, n;
    bool has_zero, failed;
};
bool hash_set_add(struct hash_set *set, uint64_t hash); /* true when it was not there yet */
bool hash_set_has(const struct hash_set *set, uint64_t hash);
void hash_set_free(struct hash_set *set);

/* Adds every sequence of n words of the list. */
void hash_set_add_sequences(struct hash_set *set, const struct word_list *list, size_t n);
/* True when a sequence of n words of the list is in the set. */
bool hash_set_has_sequence(const struct hash_set *set, const struct word_list *list, size_t n);

#endif
