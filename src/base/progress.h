/* progress.h - progress of long work on stderr: share done, rate, time left. On a terminal one line that is redrawn,
 * cut to its width; otherwise a plain line now and then. For commands only: library code takes a callback instead. */
#ifndef TALC_BASE_PROGRESS_H
#define TALC_BASE_PROGRESS_H

#include <stdbool.h>

struct progress {
    const char *label, *unit; /* "pretraining", "step" */
    double total;             /* units of work; 0 when unknown */
    double start, last_drawn; /* clock_seconds */
    double first;             /* units done before this run began (a resumed run) */
    bool terminal, quiet;
};

void progress_start(struct progress *p, const char *label, const char *unit, double done, double total, bool quiet);
/* Cheap to call often: draws at most 10 times a second on a terminal, once in 10 s elsewhere. `note` may be NULL. */
void progress_update(struct progress *p, double done, const char *note);
/* Wipes the drawn line, so that other output can be printed; the next update draws it again. */
void progress_clear(struct progress *p);

/* "1.2k", "3.4M" for rates and counts; "12 s", "3 min 20 s", "2 h 5 min" for times. Return out. */
char *format_count(double n, char out[32]);
char *format_seconds(double seconds, char out[32]);
char *format_bytes(double n, char out[32]);

#endif
