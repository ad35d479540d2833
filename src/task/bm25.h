/* bm25.h - finding the most similar of many texts. Okapi BM25 (S. Robertson and H. Zaragoza, "The Probabilistic
 * Relevance Framework: BM25 and Beyond", 2009) with k1 = 1.2, b = 0.75 and idf = ln(1 + (N - df + 0.5) / (df + 0.5)),
 * over an inverted index. Words are those of primer_words.h: case and punctuation do not count. */
#ifndef TALC_TASK_BM25_H
#define TALC_TASK_BM25_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct bm25;
struct bm25 *bm25_open(struct talc_error *err);
void bm25_close(struct bm25 *index); /* NULL is fine */

/* Adds a text; the first is number 0. At most 2^31 texts, all added before bm25_build. */
bool bm25_add(struct bm25 *index, const char *text, size_t n_bytes, struct talc_error *err);
bool bm25_build(struct bm25 *index, struct talc_error *err);

/* *best: the text with the highest score (of equal ones the first), -1 when no text shares a word with the query.
 * `score` may be NULL. Only after bm25_build; not from several threads at once. Fails only for want of memory. */
bool bm25_best(struct bm25 *index, const char *query, size_t n_bytes, int64_t *best, double *score,
               struct talc_error *err);

#endif
