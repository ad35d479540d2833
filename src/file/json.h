/* json.h - reading and writing JSON through jansson, with errors that name the place. An integer that int64 does not
 * hold is read as a double.
 *
 * Input is untrusted: duplicate keys are refused, depth is bounded by jansson (2048), sizes by the caller. A string
 * value may hold U+0000 (texts do): where that matters take its length from json_string_length, not strlen. */
#ifndef TALC_FILE_JSON_H
#define TALC_FILE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* Parses a whole text, an object or an array. `where` ("config.json", "chats.jsonl:17") begins the error message. NULL
 * on failure; the caller owns the result (json_decref). */
json_t *json_parse(const char *text, size_t n_bytes, const char *where, struct talc_error *err);

/* Reads and parses a file of at most max_bytes (0: 256 MiB). */
json_t *json_read_file(const char *path, size_t max_bytes, struct talc_error *err);

/* Writes `value` to a file atomically, indented by two spaces, with a final newline. */
bool json_write_file(const char *path, const json_t *value, struct talc_error *err);

/* Appends `value` to a buffer on one line without a newline (compact, non-ASCII kept as UTF-8). On failure the buffer
 * may hold a part of it. */
bool json_append_line(struct buffer *out, const json_t *value, struct talc_error *err);

/* Typed fields of an object. Absent (or null) gives the fallback; a wrong type, or a number outside [min, max],
 * fails and names the key. */
bool json_get_int(const json_t *object, const char *key, int64_t fallback, int64_t min, int64_t max, int64_t *out,
                  struct talc_error *err);
bool json_get_number(const json_t *object, const char *key, double fallback, double *out, struct talc_error *err);
bool json_get_bool(const json_t *object, const char *key, bool fallback, bool *out, struct talc_error *err);
/* *out borrows from the object (or is the fallback); a string that holds a NUL character is refused. */
bool json_get_string(const json_t *object, const char *key, const char *fallback, const char **out,
                     struct talc_error *err);
/* The string of a key, "" when it is absent, null or no string; borrowed. */
const char *json_text(const json_t *object, const char *key);

#endif
