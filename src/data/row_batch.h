/* row_batch.h - what a loader hands to training: rows of packed tokens in host memory.
 *
 * Token i of row r is element r * row_tokens + i of the arrays. A sequence (a document, or a whole row) never crosses a
 * row; positions restart with each. The loss of a token is that of predicting `targets` there. */
#ifndef TALC_DATA_ROW_BATCH_H
#define TALC_DATA_ROW_BATCH_H

#include <stdint.h>

struct row_batch {
    int n_rows, row_tokens;
    int32_t *tokens, *targets, *positions; /* [n_rows * row_tokens] */
    float *weights;                        /* [n_rows * row_tokens]: of each target's loss; 0: masked */
    int n_sequences;
    int32_t *sequence_starts; /* [n_sequences + 1], over the flattened tokens */
};

#endif
