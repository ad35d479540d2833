/* bm25.c - the inverted index and its scores; see bm25.h. Texts are first kept as runs of (word, text) pairs, one for
 * each word that a text has; building sorts the pairs by word and works out what each gives to a score. */
#include "task/bm25.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "task/primer_words.h"

static const double k1 = 1.2, b = 0.75;

/* While texts are added. */
struct pair {
    uint64_t word;
    uint32_t text, count; /* how often the text has the word */
};
struct posting {
    uint32_t text;
    float weight; /* count (k1 + 1) / (count + k1 (1 - b + b length / mean)) */
};
/* The postings of one word. */
struct entry {
    uint64_t word;
    size_t first, n;
};

struct bm25 {
    struct pair *pairs;
    size_t n_pairs, pairs_capacity;
    struct posting *postings;
    uint32_t *lengths; /* words of each text */
    size_t n_texts, texts_capacity;
    struct entry *entries; /* sorted by word */
    size_t n_entries;
    float *scores; /* of the query at hand */
    struct word_list words;
};

struct bm25 *bm25_open(struct talc_error *err) {
    struct bm25 *index = calloc(1, sizeof *index);
    if (!index) talc_fail(err, "out of memory for an index of texts");
    return index;
}

void bm25_close(struct bm25 *index) {
    if (!index) return;
    free(index->pairs);
    free(index->postings);
    free(index->lengths);
    free(index->entries);
    free(index->scores);
    word_list_free(&index->words);
    free(index);
}

static int compare_words(const void *x, const void *y) {
    uint64_t p = *(const uint64_t *)x, q = *(const uint64_t *)y;
    return p < q ? -1 : p > q;
}

/* Room for one more element of an array that doubles. */
static bool reserve(void *array, size_t *capacity, size_t n, size_t size) {
    if (n < *capacity) return true;
    size_t larger = *capacity ? 2 * *capacity : 1024;
    void *memory = checked_realloc(*(void **)array, larger, size);
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
        ok = reserve(&index->pairs, &index->pairs_capacity, index->n_pairs, sizeof *index->pairs);
        if (ok)
            index->pairs[index->n_pairs++] =
                (struct pair){index->words.words[i], (uint32_t)index->n_texts, (uint32_t)n};
    }
    if (!ok) return talc_fail(err, "out of memory for an index of %zu texts", index->n_texts);
    index->lengths[index->n_texts++] = (uint32_t)index->words.n;
    return true;
}

static int compare_pairs(const void *x, const void *y) {
    const struct pair *p = x, *q = y;
    if (p->word != q->word) return p->word < q->word ? -1 : 1;
    return p->text < q->text ? -1 : p->text > q->text;
}

static float posting_weight(const struct bm25 *index, const struct pair *p, double mean_length) {
    double count = p->count, length = index->lengths[p->text];
    return (float)(count * (k1 + 1) / (count + k1 * (1 - b + b * length / mean_length)));
}

bool bm25_build(struct bm25 *index, struct talc_error *err) {
    if (index->n_pairs > 0) qsort(index->pairs, index->n_pairs, sizeof *index->pairs, compare_pairs);
    size_t n_words = 0;
    for (size_t i = 0; i < index->n_pairs; i++) n_words += i == 0 || index->pairs[i].word != index->pairs[i - 1].word;
    index->entries = calloc(n_words + 1, sizeof *index->entries);
    index->postings = calloc(index->n_pairs + 1, sizeof *index->postings);
    index->scores = calloc(index->n_texts + 1, sizeof *index->scores);
    if (!index->entries || !index->postings || !index->scores)
        return talc_fail(err, "out of memory for an index of %zu texts", index->n_texts);
    double total = 0;
    for (size_t i = 0; i < index->n_texts; i++) total += index->lengths[i];
    for (size_t i = 0; i < index->n_pairs; i++) {
        const struct pair *p = &index->pairs[i];
        if (i == 0 || p->word != p[-1].word) index->entries[index->n_entries++] = (struct entry){p->word, i, 0};
        index->entries[index->n_entries - 1].n++;
        index->postings[i] = (struct posting){p->text, posting_weight(index, p, total / (double)index->n_texts)};
    }
    free(index->pairs);
    index->pairs = NULL;
    return true;
}

/* Adds what one word of the query, which has it n_in_query times, gives to every text that has it. */
static void score_word(struct bm25 *index, uint64_t word, size_t n_in_query) {
    struct entry *e = bsearch(&word, index->entries, index->n_entries, sizeof *e, compare_words);
    if (!e) return;
    double n_with = (double)e->n, idf = log(1 + ((double)index->n_texts - n_with + 0.5) / (n_with + 0.5));
    float weight = (float)(idf * (double)n_in_query);
    for (const struct posting *p = &index->postings[e->first], *end = p + e->n; p < end; p++)
        index->scores[p->text] += weight * p->weight;
}

bool bm25_best(struct bm25 *index, const char *query, size_t n_bytes, int64_t *best, double *score,
               struct talc_error *err) {
    *best = -1;
    memset(index->scores, 0, index->n_texts * sizeof *index->scores);
    if (!read_words(index, query, n_bytes)) return talc_fail(err, "out of memory for the words of a query");
    for (size_t i = 0, n; i < index->words.n; i += n) {
        n = run_length(&index->words, i);
        score_word(index, index->words.words[i], n);
    }
    float highest = 0;
    for (size_t i = 0; i < index->n_texts; i++)
        if (index->scores[i] > highest) {
            highest = index->scores[i];
            *best = (int64_t)i;
        }
    if (score) *score = highest;
    return true;
}
