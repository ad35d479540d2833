/* bm25.c - the inverted index and its scores; see bm25.h. Texts are first kept as runs of (word, text) pairs, one for
 * each word that a text has; building sorts the pairs by word, which makes them the postings. */
#include "task/bm25.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "task/primer_words.h"

static const double k1 = 1.2, b = 0.75;

struct posting {
    uint64_t word;
    uint32_t text, count; /* how often the text has the word */
};
/* The postings of one word. */
struct entry {
    uint64_t word;
    size_t first, n;
};

struct bm25 {
    struct posting *postings;
    size_t n_postings, postings_capacity;
    uint32_t *lengths; /* words of each text */
    size_t n_texts, texts_capacity;
    struct entry *entries; /* sorted by word */
    size_t n_entries;
    float *length_factors, *scores; /* k1 (1 - b + b length / mean); of the query at hand */
    struct word_list words;
};

struct bm25 *bm25_open(struct talc_error *err) {
    struct bm25 *index = calloc(1, sizeof *index);
    if (!index) talc_fail(err, "out of memory for an index of texts");
    return index;
}

void bm25_close(struct bm25 *index) {
    if (!index) return;
    free(index->postings);
    free(index->lengths);
    free(index->entries);
    free(index->length_factors);
    free(index->scores);
    word_list_free(&index->words);
    free(index);
}

size_t bm25_count(const struct bm25 *index) { return index->n_texts; }

static int compare_words(const void *x, const void *y) {
    uint64_t p = *(const uint64_t *)x, q = *(const uint64_t *)y;
    return p < q ? -1 : p > q;
}

/* Room for one more element of an array that doubles. */
static bool reserve(void *array, size_t *capacity, size_t n, size_t size) {
    if (n < *capacity) return true;
    size_t larger = *capacity ? 2 * *capacity : 1024;
    void *memory = reallocarray(*(void **)array, larger, size);
    if (!memory) return false;
    *(void **)array = memory;
    *capacity = larger;
    return true;
}

/* The words of a text, sorted, so that equal ones stand together. */
static bool read_words(struct bm25 *index, const char *text, size_t n_bytes) {
    word_list_clear(&index->words);
    word_list_append(&index->words, text, n_bytes);
    if (index->words.n > 0) qsort(index->words.words, index->words.n, sizeof *index->words.words, compare_words);
    return !index->words.failed;
}

static size_t run_length(const struct word_list *words, size_t at) {
    size_t end = at + 1;
    while (end < words->n && words->words[end] == words->words[at]) end++;
    return end - at;
}

bool bm25_add(struct bm25 *index, const char *text, size_t n_bytes, struct talc_error *err) {
    bool ok = read_words(index, text, n_bytes) && index->n_texts < INT32_MAX &&
              reserve(&index->lengths, &index->texts_capacity, index->n_texts, sizeof *index->lengths);
    for (size_t i = 0, n; ok && i < index->words.n; i += n) {
        n = run_length(&index->words, i);
        ok = reserve(&index->postings, &index->postings_capacity, index->n_postings, sizeof *index->postings);
        if (ok)
            index->postings[index->n_postings++] =
                (struct posting){index->words.words[i], (uint32_t)index->n_texts, (uint32_t)n};
    }
    if (!ok) return talc_fail(err, "out of memory for an index of %zu texts", index->n_texts);
    index->lengths[index->n_texts++] = (uint32_t)index->words.n;
    return true;
}

static int compare_postings(const void *x, const void *y) {
    const struct posting *p = x, *q = y;
    if (p->word != q->word) return p->word < q->word ? -1 : 1;
    return p->text < q->text ? -1 : p->text > q->text;
}

bool bm25_build(struct bm25 *index, struct talc_error *err) {
    if (index->n_postings > 0) qsort(index->postings, index->n_postings, sizeof *index->postings, compare_postings);
    size_t n_words = 0;
    for (size_t i = 0; i < index->n_postings; i++)
        n_words += i == 0 || index->postings[i].word != index->postings[i - 1].word;
    index->entries = calloc(n_words + 1, sizeof *index->entries);
    index->length_factors = calloc(index->n_texts + 1, sizeof *index->length_factors);
    index->scores = calloc(index->n_texts + 1, sizeof *index->scores);
    if (!index->entries || !index->length_factors || !index->scores)
        return talc_fail(err, "out of memory for an index of %zu texts", index->n_texts);
    for (size_t i = 0; i < index->n_postings; i++) {
        if (i == 0 || index->postings[i].word != index->postings[i - 1].word)
            index->entries[index->n_entries++] = (struct entry){index->postings[i].word, i, 0};
        index->entries[index->n_entries - 1].n++;
    }
    double total = 0;
    for (size_t i = 0; i < index->n_texts; i++) total += index->lengths[i];
    double mean = total > 0 ? total / (double)index->n_texts : 1;
    for (size_t i = 0; i < index->n_texts; i++)
        index->length_factors[i] = (float)(k1 * (1 - b + b * index->lengths[i] / mean));
    return true;
}

/* Adds what one word of the query, which has it n_in_query times, gives to every text that has it. */
static void score_word(struct bm25 *index, uint64_t word, size_t n_in_query) {
    struct entry *e = bsearch(&word, index->entries, index->n_entries, sizeof *e, compare_words);
    if (!e) return;
    double n_with = (double)e->n, idf = log(1 + ((double)index->n_texts - n_with + 0.5) / (n_with + 0.5));
    float weight = (float)(idf * (k1 + 1) * (double)n_in_query);
    for (size_t i = e->first; i < e->first + e->n; i++) {
        const struct posting *p = &index->postings[i];
        index->scores[p->text] += weight * (float)p->count / ((float)p->count + index->length_factors[p->text]);
    }
}

int64_t bm25_best(struct bm25 *index, const char *query, size_t n_bytes, double *score) {
    memset(index->scores, 0, index->n_texts * sizeof *index->scores);
    read_words(index, query, n_bytes);
    for (size_t i = 0, n; i < index->words.n; i += n) {
        n = run_length(&index->words, i);
        score_word(index, index->words.words[i], n);
    }
    int64_t best = -1;
    float highest = 0;
    for (size_t i = 0; i < index->n_texts; i++)
        if (index->scores[i] > highest) {
            highest = index->scores[i];
            best = (int64_t)i;
        }
    if (score) *score = highest;
    return best;
}
