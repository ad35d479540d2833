/* error.h - how a failure travels: one line that says what, where and what to do.
 *
 * Library functions that can fail return bool (or a pointer, NULL on failure) and take a
 * `struct talc_error *` as their last argument. They never print and never exit. On failure the message is
 * set; on success it is left untouched. `err` may be NULL when the caller does not
 * want the text. */
#ifndef TALC_BASE_ERROR_H
#define TALC_BASE_ERROR_H

#include <stdbool.h>

struct talc_error {
    char message[1024]; /* one line, no newline, always terminated; control characters are shown as ? */
};

/* Sets the message and returns false, so that `return talc_fail(err, "...");` reads as one step. */
bool talc_fail(struct talc_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As talc_fail, and appends ": " and the text of errno (call it before anything can change errno). */
bool talc_fail_errno(struct talc_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "context: " before the message that is already there (where it happened); returns false. */
bool talc_fail_in(struct talc_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
