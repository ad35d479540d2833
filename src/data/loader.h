/* loader.h - batches of rows in an order that a seed decides, without replacement: every row of an epoch comes once
 * before any comes again. What a loader gives at a state is a pure function of (data, options, state), so saving the
 * state is all that resuming takes. Rows come from a token stream (windows.h) or from whole documents (pack.h). */
#ifndef TALC_DATA_LOADER_H
#define TALC_DATA_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "data/row_batch.h"

/* The row that comes next. Starts as zero. */
struct loader_state {
    uint64_t epoch, next;
};

/* Filled by windows_open or documents_open. Not for several threads at once. */
struct loader {
    int row_tokens;
    bool in_order; /* for validation: rows in their order, every token scored once an epoch */
    void *context;
    bool (*count_rows)(void *context, uint64_t epoch, uint64_t *n, struct talc_error *err);
    bool (*fill_row)(void *context, uint64_t epoch, uint64_t index, struct row_batch *batch, int row,
                     struct talc_error *err);
    void (*close)(void *context);
};
void loader_close(struct loader *loader);

/* Rows of an epoch; epochs may differ, except in order. */
bool loader_count_rows(struct loader *loader, uint64_t epoch, uint64_t *n, struct talc_error *err);

/* Fills the batch (made with the loader's row_tokens) and moves the state on. After the last row of an epoch come the
 * first ones of the next; in order the rest of the batch is padding instead, and the state is {epoch + 1, 0}, so that
 * `for (state = {0}; state.epoch == 0;)` sees everything once. */
bool loader_next(struct loader *loader, struct loader_state *state, struct row_batch *batch, struct talc_error *err);

#endif
