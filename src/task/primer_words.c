/* primer_words.c - words and sets of hashes; see primer_words.h. */
#include "task/primer_words.h"

#include <stdlib.h>

#include "base/checked.h"

bool is_word_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (unsigned char)c >= 128;
}

static uint64_t mix(uint64_t h) {
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
    return h ^ h >> 33;
}

static uint64_t hash_letters(const char *text, size_t n) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        h = (h ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * 0x100000001b3u;
    }
    return mix(h);
}

uint64_t word_hash(const char *word) {
    size_t n = 0;
    while (word[n]) n++;
    return hash_letters(word, n);
}

static bool word_list_reserve(struct word_list *list) {
    if (list->n < list->capacity) return true;
    size_t capacity = list->capacity ? 2 * list->capacity : 256;
    uint64_t *words = list->failed ? NULL : checked_realloc(list->words, capacity, sizeof *words);
    if (!words) {
        list->failed = true;
        return false;
    }
    list->words = words;
    list->capacity = capacity;
    return true;
}

void word_list_append(struct word_list *list, const char *text, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes;) {
        while (i < n_bytes && !is_word_byte(text[i])) i++;
        size_t start = i;
        while (i < n_bytes && is_word_byte(text[i])) i++;
        if (i > start) {
            if (!word_list_reserve(list)) return;
            list->words[list->n++] = hash_letters(text + start, i - start);
        }
    }
}

void word_list_clear(struct word_list *list) { list->n = 0; }

void word_list_free(struct word_list *list) {
    free(list->words);
    *list = (struct word_list){0};
}

uint64_t word_sequence_hash(const uint64_t *words, size_t n) {
    uint64_t h = n;
    for (size_t i = 0; i < n; i++) h = (h ^ words[i]) * 0x9e3779b97f4a7c15u + (h >> 29);
    return mix(h);
}

/* ---- sets: open addressing, at most half full; 0 marks a free slot --------------------------- */

static size_t slot_of(const struct hash_set *set, uint64_t hash) {
    size_t at = hash & (set->n_slots - 1);
    while (set->slots[at] && set->slots[at] != hash) at = (at + 1) & (set->n_slots - 1);
    return at;
}

static bool hash_set_grow(struct hash_set *set) {
    struct hash_set larger = {.n_slots = set->n_slots ? 2 * set->n_slots : 1024};
    larger.slots = set->failed ? NULL : calloc(larger.n_slots, sizeof *larger.slots);
    if (!larger.slots) {
        set->failed = true;
        return false;
    }
    for (size_t i = 0; i < set->n_slots; i++)
        if (set->slots[i]) larger.slots[slot_of(&larger, set->slots[i])] = set->slots[i];
    free(set->slots);
    set->slots = larger.slots;
    set->n_slots = larger.n_slots;
    return true;
}

bool hash_set_add(struct hash_set *set, uint64_t hash) {
    if (hash == 0) {
        bool added = !set->has_zero;
        set->has_zero = true;
        set->n += added;
        return added;
    }
    if (2 * (set->n + 1) > set->n_slots && !hash_set_grow(set)) return false;
    size_t at = slot_of(set, hash);
    if (set->slots[at]) return false;
    set->slots[at] = hash;
    set->n++;
    return true;
}

bool hash_set_has(const struct hash_set *set, uint64_t hash) {
    if (hash == 0) return set->has_zero;
    return set->n_slots > 0 && set->slots[slot_of(set, hash)] != 0;
}

void hash_set_free(struct hash_set *set) {
    free(set->slots);
    *set = (struct hash_set){0};
}

void hash_set_add_sequences(struct hash_set *set, const struct word_list *list, size_t n) {
    for (size_t i = 0; i + n <= list->n; i++) hash_set_add(set, word_sequence_hash(list->words + i, n));
}

bool hash_set_has_sequence(const struct hash_set *set, const struct word_list *list, size_t n) {
    for (size_t i = 0; i + n <= list->n; i++)
        if (hash_set_has(set, word_sequence_hash(list->words + i, n))) return true;
    return false;
}
