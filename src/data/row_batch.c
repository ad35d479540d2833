/* row_batch.c - memory and sequences of a batch; see row_batch.h. */
#include "data/row_batch.h"

#include <stdlib.h>
#include <string.h>

bool row_batch_open(struct row_batch *batch, int n_rows, int row_tokens, struct talc_error *err) {
    *batch = (struct row_batch){.n_rows = n_rows, .row_tokens = row_tokens};
    if (n_rows < 1 || row_tokens < 1 || n_rows > (INT32_MAX - 1) / row_tokens)
        return talc_fail(err, "a batch of %d rows of %d tokens is not possible", n_rows, row_tokens);
    size_t n = (size_t)n_rows * (size_t)row_tokens;
    batch->tokens = calloc(n, sizeof *batch->tokens);
    batch->targets = calloc(n, sizeof *batch->targets);
    batch->positions = calloc(n, sizeof *batch->positions);
    batch->weights = calloc(n, sizeof *batch->weights);
    batch->sequence_starts = calloc(n + 1, sizeof *batch->sequence_starts);
    if (batch->tokens && batch->targets && batch->positions && batch->weights && batch->sequence_starts) return true;
    row_batch_close(batch);
    return talc_fail(err, "out of memory for a batch of %d rows of %d tokens", n_rows, row_tokens);
}

void row_batch_close(struct row_batch *batch) {
    free(batch->tokens);
    free(batch->targets);
    free(batch->positions);
    free(batch->weights);
    free(batch->sequence_starts);
    *batch = (struct row_batch){0};
}

void row_batch_begin(struct row_batch *batch) { batch->n_sequences = 0; }

void row_batch_add_sequence(struct row_batch *batch, int row, int begin, int n) {
    int32_t start = row * batch->row_tokens + begin;
    batch->sequence_starts[batch->n_sequences++] = start;
    for (int i = 0; i < n; i++) batch->positions[start + i] = i;
}

void row_batch_pad(struct row_batch *batch, int row, int begin) {
    int n = batch->row_tokens - begin;
    if (n == 0) return;
    size_t start = (size_t)row * (size_t)batch->row_tokens + (size_t)begin, count = (size_t)n;
    memset(batch->tokens + start, 0, count * sizeof *batch->tokens);
    memset(batch->targets + start, 0, count * sizeof *batch->targets);
    memset(batch->weights + start, 0, count * sizeof *batch->weights);
    row_batch_add_sequence(batch, row, begin, n);
}

void row_batch_end(struct row_batch *batch) {
    batch->sequence_starts[batch->n_sequences] = batch->n_rows * batch->row_tokens;
}
