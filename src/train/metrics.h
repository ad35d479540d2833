/* metrics.h - what a run records while it goes: metrics.jsonl, a line a step, and loss.svg, its curve. */
#ifndef TALC_TRAIN_METRICS_H
#define TALC_TRAIN_METRICS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

struct metrics {
    FILE *file;
    char *folder;
};

/* Opens RUN/metrics.jsonl for appending, after dropping every line of a step above `step` (and a torn last line): a
 * resumed run does not say things twice. */
bool metrics_open(struct metrics *m, const char *run_folder, int64_t step, struct talc_error *err);
void metrics_close(struct metrics *m);

/* NaN leaves a field out. */
struct metrics_line {
    int64_t step, tokens;
    double train_loss, val_loss, val_bits_per_byte, learning_rate_factor, gradient_norm, seconds, tokens_per_second;
    bool skipped; /* the update was an outlier and was not made */
};
bool metrics_append(struct metrics *m, const struct metrics_line *line, struct talc_error *err);

/* Draws training and validation loss over steps into RUN/loss.svg, from metrics.jsonl. */
bool metrics_plot(const struct metrics *m, struct talc_error *err);

#endif
