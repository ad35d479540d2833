/* row_batch.h - what a loader hands to training: rows of packed tokens in host memory.
 *
 * Token i of row r is element r * row_tokens + i of the arrays. A sequence (a document, or a whole row) never crosses a
 * row; positions restart with each. The loss of a token is that of predicting `targets` there. */
#ifndef TALC_DATA_ROW_BATCH_H
#define TALC_DATA_ROW_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct row_batch {
    int n_rows, row_tokens;
    int32_t *tokens, *targets, *positions; /* [n_rows * row_tokens] */
    float *weights;                        /* [n_rows * row_tokens]: of each target's loss; 0: masked */
    int n_sequences;
    int32_t *sequence_starts; /* [n_sequences + 1], over the flattened tokens; room for a sequence a token */
};

/* Takes zeroed memory for n_rows x row_tokens tokens (fewer than 2^31). */
bool row_batch_open(struct row_batch *batch, int n_rows, int row_tokens, struct talc_error *err);
void row_batch_close(struct row_batch *batch);

/* Filling, from the first row to the last and from left to right: row_batch_begin empties the batch;
 * row_batch_add_sequence says that tokens [begin, begin + n) of a row are the next sequence and sets their positions;
 * row_batch_pad makes the rest of a row, from token `begin` on, a sequence of its own with weight 0; row_batch_end
 * closes the list of sequences. */
void row_batch_begin(struct row_batch *batch);
void row_batch_add_sequence(struct row_batch *batch, int row, int begin, int n);
void row_batch_pad(struct row_batch *batch, int row, int begin);
void row_batch_end(struct row_batch *batch);

#endif
