/* checker_baseline.h - what a test is worth: the score of one that has learnt nothing but looks up the most similar
 * training prompt (BM25 over all that is said before an answer) and gives its answer. */
#ifndef TALC_TASK_CHECKER_BASELINE_H
#define TALC_TASK_CHECKER_BASELINE_H

#include <signal.h>

#include "base/error.h"
#include "file/json.h"

struct baseline;
/* Reads a file of {"messages"}; every answer of the assistant is kept with what was said before it. `stop` as in
 * data/input_stream.h. */
struct baseline *baseline_open(const char *path, const volatile sig_atomic_t *stop, struct talc_error *err);
void baseline_close(struct baseline *baseline); /* NULL is fine */

/* The answer for these messages, "" when nothing is alike; owned by the baseline. NULL: out of memory. */
const char *baseline_answer(struct baseline *baseline, const json_t *messages, struct talc_error *err);

#endif
