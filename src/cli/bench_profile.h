/* bench_profile.h - time by operation: a stream's table of operations is replaced by one that times each call. */
#ifndef TALC_CLI_BENCH_PROFILE_H
#define TALC_CLI_BENCH_PROFILE_H

#include "cli/bench.h"

struct profile;

/* From here on the operations of the stream are timed, until profile_close puts its own table back. */
struct profile *profile_open(struct stream *stream, struct talc_error *err);
void profile_clear(struct profile *profile);
/* A row for each operation that ran, the longest first: milliseconds a step and share of all. */
void profile_print(const struct profile *profile, const struct bench *b, int64_t steps);
void profile_close(struct profile *profile, struct stream *stream); /* NULL is fine */

#endif
