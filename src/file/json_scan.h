/* json_scan.h - reading a large JSON text from front to back without building a tree: for the parts of a file that are
 * too big for one (a vocabulary of hundreds of thousands of entries). Small parts are skipped here and parsed by
 * json_parse. Everything is checked as strictly as there; a string that holds U+0000 is refused. */
#ifndef TALC_FILE_JSON_SCAN_H
#define TALC_FILE_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buffer.h"
#include "base/error.h"

struct json_scan {
    const char *text; /* valid UTF-8 (json_scan_open checks) */
    size_t n_bytes, at;
    bool first;           /* no comma is due */
    struct buffer string; /* the last string that had escapes */
};

/* `text` must live as long as the scan. json_scan_close frees the rest. */
bool json_scan_open(struct json_scan *s, const char *text, size_t n_bytes, struct talc_error *err);
void json_scan_close(struct json_scan *s);

/* The first character of the next value or key; 0 at the end of the text. */
char json_scan_peek(struct json_scan *s);

/* Each fails unless it is what comes next. After json_scan_object call json_scan_key until *more is false, and read or
 * skip a value after each key; after json_scan_array call json_scan_item likewise. */
bool json_scan_object(struct json_scan *s, struct talc_error *err);
bool json_scan_key(struct json_scan *s, const char **key, size_t *n_bytes, bool *more, struct talc_error *err);
bool json_scan_array(struct json_scan *s, struct talc_error *err);
bool json_scan_item(struct json_scan *s, bool *more, struct talc_error *err);

/* A string: NUL-terminated or not, good until the next string is read. */
bool json_scan_string(struct json_scan *s, const char **value, size_t *n_bytes, struct talc_error *err);
/* A number without a fraction or exponent that fits. */
bool json_scan_integer(struct json_scan *s, int64_t *value, struct talc_error *err);

/* Any value: text[*begin..*end). Brackets and strings are checked, the rest is for whoever parses it. */
bool json_scan_skip(struct json_scan *s, size_t *begin, size_t *end, struct talc_error *err);

/* Any value, parsed on its own: *out, which must be NULL before (a second value of one key is refused), is the
 * caller's. */
bool json_scan_parse(struct json_scan *s, const char *name, json_t **out, struct talc_error *err);

/* Only white space is left. */
bool json_scan_end(struct json_scan *s, struct talc_error *err);

#endif
