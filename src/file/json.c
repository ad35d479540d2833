/* json.c - jansson behind talc's errors; see json.h. */
#include "file/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/atomic.h"

#define DEFAULT_MAX_BYTES ((size_t)256 << 20)

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The end of the number, or string, or one other byte, that begins at `i`. */
static size_t token_end(const char *text, size_t n_bytes, size_t i) {
    const char *of_numbers = "0123456789+-.eE";
    bool number = text[i] == '-' || is_digit(text[i]), string = text[i] == '"';
    for (i++; number && i < n_bytes && text[i] && strchr(of_numbers, text[i]);) i++;
    for (; string && i < n_bytes && text[i] != '"'; i++) i += text[i] == '\\';
    return i + string < n_bytes ? i + string : n_bytes;
}

/* The text with a fraction behind every integer of more than 18 digits that int64 does not hold, so that it is read as
 * a double: Python writes such integers (transformers: "model_max_length" 10^30). */
static bool widen_integers(const char *text, size_t n_bytes, struct buffer *out) {
    for (size_t i = 0, end; i < n_bytes; i = end) {
        char digits[24] = "";
        end = token_end(text, n_bytes, i);
        size_t n = end - i;
        bool integer = n > 18 && (text[i] == '-' || is_digit(text[i]));
        for (size_t k = i + 1; integer && k < end; k++) integer = is_digit(text[k]);
        if (integer && n < sizeof digits) memcpy(digits, text + i, n);
        errno = 0;
        bool too_big = integer && (n >= sizeof digits || (strtoll(digits, NULL, 10), errno == ERANGE));
        buffer_append(out, text + i, n);
        if (too_big) buffer_append(out, ".0", 2);
    }
    return buffer_ok(out);
}

static json_t *load(const char *text, size_t n_bytes, json_error_t *error) {
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    json_t *value = json_loadb(text, n_bytes, flags, error);
    if (value || json_error_code(error) != json_error_numeric_overflow) return value;
    struct buffer wide = {0};
    if (widen_integers(text, n_bytes, &wide)) value = json_loadb(wide.data, wide.length, flags, error);
    buffer_free(&wide);
    return value;
}

json_t *json_parse(const char *text, size_t n_bytes, const char *where, struct talc_error *err) {
    json_error_t error;
    json_t *value = load(text, n_bytes, &error);
    if (value) return value;
    if (error.line > 1)
        talc_fail(err, "%s: not valid JSON at line %d, column %d: %s", where, error.line, error.column, error.text);
    else
        talc_fail(err, "%s: not valid JSON at column %d: %s", where, error.column, error.text);
    return NULL;
}

json_t *json_read_file(const char *path, size_t max_bytes, struct talc_error *err) {
    size_t n_bytes;
    char *text = file_read(path, max_bytes ? max_bytes : DEFAULT_MAX_BYTES, &n_bytes, err);
    if (!text) return NULL;
    json_t *value = json_parse(text, n_bytes, path, err);
    free(text);
    return value;
}

bool json_write_file(const char *path, const json_t *value, struct talc_error *err) {
    struct atomic_file f;
    if (!atomic_file_open(&f, path, err)) return false;
    if (json_dumpf(value, f.stream, JSON_INDENT(2)) != 0 && !ferror(f.stream)) {
        atomic_file_abort(&f);
        return talc_fail(err, "%s: cannot be written as JSON (a string that is not UTF-8, or no memory)", path);
    }
    fputc('\n', f.stream);
    return atomic_file_commit(&f, err);
}

static int append_to_buffer(const char *data, size_t n_bytes, void *context) {
    struct buffer *b = context;
    buffer_append(b, data, n_bytes);
    return buffer_ok(b) ? 0 : -1;
}

bool json_append_line(struct buffer *out, const json_t *value, struct talc_error *err) {
    if (json_dump_callback(value, append_to_buffer, out, JSON_COMPACT | JSON_ENCODE_ANY) == 0) return true;
    return talc_fail(err, "a value cannot be written as JSON (a string that is not UTF-8, or no memory)");
}

/* NULL when the key is absent or null: then the fallback holds. */
static const json_t *present(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return value && !json_is_null(value) ? value : NULL;
}

static const char *type_name(const json_t *value) {
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string", [JSON_INTEGER] = "a number",
        [JSON_REAL] = "a number",    [JSON_TRUE] = "true",      [JSON_FALSE] = "false",     [JSON_NULL] = "null",
    };
    return names[json_typeof(value)];
}

bool json_get_int(const json_t *object, const char *key, int64_t fallback, int64_t min, int64_t max, int64_t *out,
                  struct talc_error *err) {
    const json_t *value = present(object, key);
    if (!value) {
        *out = fallback;
        return true;
    }
    int64_t n;
    if (json_is_integer(value)) {
        n = json_integer_value(value);
    } else if (json_is_real(value)) { /* some writers store counts as 1024.0 */
        double x = json_real_value(value);
        if (x != floor(x)) return talc_fail(err, "\"%s\" must be a whole number, not %g", key, x);
        if (fabs(x) > 0x1p53)
            return talc_fail(err, "\"%s\" is %g, but must be between %lld and %lld", key, x, (long long)min,
                             (long long)max);
        n = (int64_t)x;
    } else {
        return talc_fail(err, "\"%s\" must be a whole number, not %s", key, type_name(value));
    }
    if (n < min || n > max)
        return talc_fail(err, "\"%s\" is %lld, but must be between %lld and %lld", key, (long long)n, (long long)min,
                         (long long)max);
    *out = n;
    return true;
}

bool json_get_number(const json_t *object, const char *key, double fallback, double *out, struct talc_error *err) {
    const json_t *value = present(object, key);
    if (value && !json_is_number(value))
        return talc_fail(err, "\"%s\" must be a number, not %s", key, type_name(value));
    *out = value ? json_number_value(value) : fallback;
    return true;
}

bool json_get_bool(const json_t *object, const char *key, bool fallback, bool *out, struct talc_error *err) {
    const json_t *value = present(object, key);
    if (value && !json_is_boolean(value))
        return talc_fail(err, "\"%s\" must be true or false, not %s", key, type_name(value));
    *out = value ? json_is_true(value) : fallback;
    return true;
}

bool json_get_string(const json_t *object, const char *key, const char *fallback, const char **out,
                     struct talc_error *err) {
    const json_t *value = present(object, key);
    if (value && !json_is_string(value))
        return talc_fail(err, "\"%s\" must be a string, not %s", key, type_name(value));
    if (value && strlen(json_string_value(value)) != json_string_length(value))
        return talc_fail(err, "\"%s\" holds a NUL character", key);
    *out = value ? json_string_value(value) : fallback;
    return true;
}

const char *json_text(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}
