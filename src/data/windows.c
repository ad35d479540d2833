/* windows.c - see windows.h. */
#include "data/windows.h"

#include <stdlib.h>

#include "base/rng.h"
#include "data/permutation.h"

/* Streams of the seed, so that phases and orders of all epochs are independent. */
enum { STREAM_PHASE = 1, STREAM_ORDER = 2, STREAMS = 4 };

struct windows {
    const struct token_source *source;
    struct window_options options;
};

/* The first token of the first window; at least one window fits behind it. */
static uint64_t epoch_phase(const struct windows *w, uint64_t epoch) {
    if (w->options.in_order) return 0;
    uint64_t row = (uint64_t)w->options.row_tokens, room = w->source->n_tokens - row;
    struct rng rng = rng_make(w->options.seed, epoch * STREAMS + STREAM_PHASE);
    return rng_below(&rng, room < row ? room : row);
}

static uint64_t count_windows(const struct windows *w, uint64_t epoch) {
    uint64_t row = (uint64_t)w->options.row_tokens, n_targets = w->source->n_tokens - 1;
    if (w->options.in_order) return n_targets / row + (n_targets % row != 0);
    return (n_targets - epoch_phase(w, epoch)) / row;
}

static bool count_rows(void *context, uint64_t epoch, uint64_t *n, struct talc_error *err) {
    (void)err;
    *n = count_windows(context, epoch);
    return true;
}

/* Sequences of a row whose first n tokens are there: one, or with a document mask one for each document. */
static void add_sequences(const struct window_options *o, struct row_batch *batch, int row, int n) {
    const int32_t *tokens = batch->tokens + (size_t)row * (size_t)batch->row_tokens;
    int begin = 0;
    for (int i = 1; o->document_mask && i < n; i++) {
        if (tokens[i] != o->text_start) continue;
        row_batch_add_sequence(batch, row, begin, i - begin);
        begin = i;
    }
    row_batch_add_sequence(batch, row, begin, n - begin);
}

static bool fill_row(void *context, uint64_t epoch, uint64_t index, struct row_batch *batch, int row,
                     struct talc_error *err) {
    const struct windows *w = context;
    if (!w->options.in_order) {
        struct permutation order =
            permutation_make(count_windows(w, epoch), w->options.seed, epoch * STREAMS + STREAM_ORDER);
        index = permutation_at(&order, index);
    }
    size_t at = (size_t)row * (size_t)batch->row_tokens, n = (size_t)batch->row_tokens;
    uint64_t first = epoch_phase(w, epoch) + index * n, n_targets = w->source->n_tokens - 1 - first;
    if (n > n_targets) n = (size_t)n_targets;
    if (!token_source_read(w->source, first, n, batch->tokens + at, err) ||
        !token_source_read(w->source, first + 1, n, batch->targets + at, err))
        return false;
    for (size_t i = 0; i < n; i++) batch->weights[at + i] = 1;
    add_sequences(&w->options, batch, row, (int)n);
    row_batch_pad(batch, row, (int)n);
    return true;
}

bool windows_open(struct loader *loader, const struct token_source *source, const struct window_options *options,
                  struct talc_error *err) {
    *loader = (struct loader){0};
    uint64_t n_needed = options->in_order ? 2 : (uint64_t)options->row_tokens + 1;
    if (options->row_tokens < 1) return talc_fail(err, "rows of %d tokens are not possible", options->row_tokens);
    if (source->n_tokens < n_needed)
        return talc_fail(err,
                         "the data has %llu tokens, but %llu are needed for one row; give more text or a shorter "
                         "context",
                         (unsigned long long)source->n_tokens, (unsigned long long)n_needed);
    struct windows *w = malloc(sizeof *w);
    if (!w) return talc_fail(err, "out of memory");
    *w = (struct windows){source, *options};
    *loader = (struct loader){.row_tokens = options->row_tokens,
                              .in_order = options->in_order,
                              .context = w,
                              .count_rows = count_rows,
                              .fill_row = fill_row,
                              .close = free};
    return true;
}
