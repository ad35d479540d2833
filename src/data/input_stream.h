/* input_stream.h - the bytes of an input file, unpacked if its name ends in .zst, and its lines, in bounded memory. */
#ifndef TALC_DATA_INPUT_STREAM_H
#define TALC_DATA_INPUT_STREAM_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"

/* Tells whether a file is still the one that was opened. What is no regular file has none: all zero. */
struct file_version {
    uint64_t n_bytes;
    struct timespec modified;
};
bool file_version_equal(const struct file_version *a, const struct file_version *b);
bool fail_file_changed(const char *path, struct talc_error *err); /* the error that it is not; returns false */

/* An open file. A UTF-8 byte order mark at its beginning is left out. A regular file that, when its end is reached, is
 * not of the version it was opened with fails: what was read of it is neither the old nor the new. Once *stop (set by a
 * signal; `stop` may be NULL) is not zero, reading fails, also while it waits for a pipe: a small packed file can hold
 * terabytes. */
struct input_stream;
struct input_stream *input_stream_open(const char *path, const volatile sig_atomic_t *stop, struct talc_error *err);
void input_stream_close(struct input_stream *s); /* NULL is fine */

/* Reads n_bytes, fewer only at the end of the file. */
bool input_stream_read(struct input_stream *s, void *out, size_t n_bytes, size_t *n_read, struct talc_error *err);

struct file_version input_stream_version(const struct input_stream *s); /* when it was opened */
uint64_t input_stream_position(const struct input_stream *s); /* bytes of the file read so far, still packed */
uint64_t input_stream_offset(const struct input_stream *s);   /* bytes of text handed out, with the byte order mark */

/* True when `path` ends in `extension` ("jsonl"), perhaps followed by .zst; case does not matter. */
bool path_has_extension(const char *path, const char *extension);

/* Lines end at \n only: JSON strings may hold other line ends. */
#define LINE_MAX_BYTES ((size_t)64 << 20)

struct line_reader {
    struct input_stream *stream;
    const char *path; /* owned */
    char *bytes;      /* what was read and not yet handed out is bytes[begin .. end) */
    size_t begin, end, capacity;
    size_t line; /* number of the line handed out last, from 1 */
    bool at_end;
};
bool line_reader_open(struct line_reader *r, const char *path, const volatile sig_atomic_t *stop,
                      struct talc_error *err);
/* The next line without its \n (and \r), good until the next call; *line is NULL at the end of the file. A line of more
 * than LINE_MAX_BYTES fails, naming it. */
bool line_reader_next(struct line_reader *r, const char **line, size_t *n_bytes, struct talc_error *err);
void line_reader_close(struct line_reader *r);
bool line_is_blank(const char *line, size_t n_bytes); /* spaces and tabs only */

#endif
