/* loader.c - rows into batches, epoch after epoch; see loader.h. */
#include "data/loader.h"

void loader_close(struct loader *loader) {
    if (loader->close) loader->close(loader->context);
    *loader = (struct loader){0};
}

bool loader_count_rows(struct loader *loader, uint64_t epoch, uint64_t *n, struct talc_error *err) {
    return loader->count_rows(loader->context, epoch, n, err);
}

bool loader_next(struct loader *loader, struct loader_state *state, struct row_batch *batch, struct talc_error *err) {
    if (batch->row_tokens != loader->row_tokens)
        return talc_fail(err, "a batch has rows of %d tokens, its loader of %d", batch->row_tokens, loader->row_tokens);
    struct loader_state at = *state;
    uint64_t n_rows;
    if (!loader_count_rows(loader, at.epoch, &n_rows, err)) return false;
    row_batch_begin(batch);
    for (int row = 0; row < batch->n_rows; row++) {
        if (at.next >= n_rows && loader->in_order) {
            row_batch_pad(batch, row, 0);
            continue;
        }
        if (at.next >= n_rows) {
            at = (struct loader_state){.epoch = at.epoch + 1};
            if (!loader_count_rows(loader, at.epoch, &n_rows, err)) return false;
        }
        if (!loader->fill_row(loader->context, at.epoch, at.next, batch, row, err)) return false;
        at.next++;
    }
    row_batch_end(batch);
    if (at.next >= n_rows) at = (struct loader_state){.epoch = at.epoch + 1};
    *state = at;
    return true;
}
