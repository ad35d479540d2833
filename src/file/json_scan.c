/* json_scan.c - see json_scan.h. */
#include "file/json_scan.h"

#include <string.h>

#include "base/utf8.h"
#include "file/json.h"

#define MAX_DEPTH 512

static bool fail_here(const struct json_scan *s, const char *what, struct talc_error *err) {
    size_t line = 1, start = 0;
    for (size_t i = 0; i < s->at && i < s->n_bytes; i++) {
        if (s->text[i] != '\n') continue;
        line++;
        start = i + 1;
    }
    return talc_fail(err, "not valid JSON at line %zu, column %zu: %s", line, s->at - start + 1, what);
}

/* Bytes up to the first that is not UTF-8. Most are ASCII, and are skipped eight at a time. */
static size_t valid_prefix(const char *text, size_t n) {
    size_t i = 0;
    while (i < n) {
        uint64_t eight;
        int32_t codepoint;
        for (; n - i >= sizeof eight; i += sizeof eight) {
            memcpy(&eight, text + i, sizeof eight);
            if (eight & 0x8080808080808080u) break;
        }
        for (size_t end = n - i < sizeof eight ? n : i + sizeof eight; i < end;) {
            int length = utf8_decode(text + i, n - i, &codepoint);
            if (codepoint < 0) return i;
            i += (size_t)length;
        }
    }
    return n;
}

bool json_scan_open(struct json_scan *s, const char *text, size_t n_bytes, struct talc_error *err) {
    *s = (struct json_scan){.text = text, .n_bytes = n_bytes, .first = true};
    s->at = valid_prefix(text, n_bytes);
    if (s->at < n_bytes) return fail_here(s, "not UTF-8", err);
    s->at = 0;
    return true;
}

void json_scan_close(struct json_scan *s) { buffer_free(&s->string); }

static void skip_space(struct json_scan *s) {
    while (s->at < s->n_bytes) {
        char c = s->text[s->at];
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r') return;
        s->at++;
    }
}

char json_scan_peek(struct json_scan *s) {
    skip_space(s);
    return s->at < s->n_bytes ? s->text[s->at] : 0;
}

static bool expect(struct json_scan *s, char c, const char *what, struct talc_error *err) {
    if (json_scan_peek(s) != c) return fail_here(s, what, err);
    s->at++;
    return true;
}

bool json_scan_object(struct json_scan *s, struct talc_error *err) {
    s->first = true;
    return expect(s, '{', "an object is expected", err);
}

bool json_scan_array(struct json_scan *s, struct talc_error *err) {
    s->first = true;
    return expect(s, '[', "an array is expected", err);
}

/* At the closing bracket *more is false; else a comma is read where one is due. */
static bool next_entry(struct json_scan *s, char closing, bool *more, struct talc_error *err) {
    *more = json_scan_peek(s) != closing;
    bool first = s->first;
    s->first = false;
    if (!*more) {
        s->at++;
        return true;
    }
    return first || expect(s, ',', "a comma is expected", err);
}

bool json_scan_item(struct json_scan *s, bool *more, struct talc_error *err) { return next_entry(s, ']', more, err); }

bool json_scan_key(struct json_scan *s, const char **key, size_t *n_bytes, bool *more, struct talc_error *err) {
    if (!next_entry(s, '}', more, err)) return false;
    if (!*more) return true;
    return json_scan_string(s, key, n_bytes, err) && expect(s, ':', "a colon is expected", err);
}

/* ==== strings ================================================================================= */

/* Four hex digits at text[at], -1 if they are not. */
static int32_t hex4(const struct json_scan *s, size_t at) {
    int32_t value = 0;
    for (size_t i = at; i < at + 4; i++) {
        char c = i < s->n_bytes ? s->text[i] : 0;
        int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (digit < 0) return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* The escape whose letter is at s->at. */
static bool read_escape(struct json_scan *s, struct talc_error *err) {
    static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    char c = s->at < s->n_bytes ? s->text[s->at] : 0;
    const char *found = c ? strchr(letters, c) : NULL;
    if (found) {
        buffer_append_char(&s->string, values[found - letters]);
        s->at++;
        return true;
    }
    int32_t high = c == 'u' ? hex4(s, s->at + 1) : -1, low = -1;
    if (high < 0) return fail_here(s, "an escape that does not exist", err);
    s->at += 5;
    if (high >= 0xd800 && high < 0xdc00 && s->at + 1 < s->n_bytes && s->text[s->at] == '\\' &&
        s->text[s->at + 1] == 'u')
        low = hex4(s, s->at + 2);
    if (low >= 0xdc00 && low < 0xe000) {
        high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        s->at += 6;
    }
    if (high == 0 || (high >= 0xd800 && high < 0xe000)) return fail_here(s, "an escape that is no character", err);
    char character[4];
    buffer_append(&s->string, character, (size_t)utf8_encode(high, character));
    return true;
}

bool json_scan_string(struct json_scan *s, const char **value, size_t *n_bytes, struct talc_error *err) {
    if (!expect(s, '"', "a string is expected", err)) return false;
    size_t begin = s->at;
    bool escaped = false;
    for (;; s->at++) {
        unsigned char c = s->at < s->n_bytes ? (unsigned char)s->text[s->at] : 0;
        if (c == '"') break;
        if (c < 32) return fail_here(s, "a string without an end, or with a control character", err);
        if (c != '\\') {
            if (escaped) buffer_append_char(&s->string, (char)c);
            continue;
        }
        if (!escaped) {
            buffer_clear(&s->string);
            buffer_append(&s->string, s->text + begin, s->at - begin);
            escaped = true;
        }
        s->at++;
        if (!read_escape(s, err)) return false;
        s->at--;
    }
    *value = escaped ? s->string.data : s->text + begin;
    *n_bytes = escaped ? s->string.length : s->at - begin;
    s->at++;
    return buffer_ok(&s->string) || talc_fail(err, "out of memory for a string");
}

bool json_scan_integer(struct json_scan *s, int64_t *value, struct talc_error *err) {
    char c = json_scan_peek(s);
    bool negative = c == '-', fits = true;
    size_t at = s->at + negative, begin = at;
    int64_t n = 0;
    for (; at < s->n_bytes && s->text[at] >= '0' && s->text[at] <= '9'; at++) {
        int digit = s->text[at] - '0';
        fits = fits && !__builtin_mul_overflow(n, 10, &n) &&
               !(negative ? __builtin_sub_overflow(n, digit, &n) : __builtin_add_overflow(n, digit, &n));
    }
    char after = at < s->n_bytes ? s->text[at] : 0;
    bool leading_zero = at - begin > 1 && s->text[begin] == '0';
    if (at == begin || leading_zero || !fits || after == '.' || after == 'e' || after == 'E')
        return fail_here(s, "not a whole number in range", err);
    s->at = at;
    *value = n;
    return true;
}

/* ==== values ================================================================================== */

static bool skip_string(struct json_scan *s, struct talc_error *err) {
    for (s->at++; s->at < s->n_bytes && s->text[s->at] != '"'; s->at++)
        if (s->text[s->at] == '\\') s->at++;
    if (s->at >= s->n_bytes) return fail_here(s, "a string without an end", err);
    s->at++;
    return true;
}

bool json_scan_skip(struct json_scan *s, size_t *begin, size_t *end, struct talc_error *err) {
    char closing[MAX_DEPTH];
    int depth = 0;
    json_scan_peek(s);
    *begin = s->at;
    do {
        char c = json_scan_peek(s);
        if (c == 0) return fail_here(s, "the end of the text", err);
        if (c == '"') {
            if (!skip_string(s, err)) return false;
        } else if (c == '{' || c == '[') {
            if (depth == MAX_DEPTH) return fail_here(s, "too deep", err);
            closing[depth++] = c == '{' ? '}' : ']';
            s->at++;
        } else if (c == '}' || c == ']') {
            if (depth == 0 || closing[--depth] != c) return fail_here(s, "a bracket that closes nothing", err);
            s->at++;
        } else if (depth && (c == ',' || c == ':')) {
            s->at++;
        } else {
            size_t start = s->at;
            while (s->at < s->n_bytes && !strchr(",:]}[{\" \n\r\t", s->text[s->at])) s->at++;
            if (s->at == start) return fail_here(s, "a value is expected", err);
        }
    } while (depth);
    *end = s->at;
    s->first = false;
    return true;
}

/* json_parse wants an object or an array, so that the value is put into one. */
bool json_scan_parse(struct json_scan *s, const char *name, json_t **out, struct talc_error *err) {
    size_t begin, end;
    struct buffer text = {0};
    if (*out) return talc_fail(err, "duplicate object key \"%s\"", name);
    if (!json_scan_skip(s, &begin, &end, err)) return false;
    buffer_append_char(&text, '[');
    buffer_append(&text, s->text + begin, end - begin);
    buffer_append_char(&text, ']');
    json_t *list = buffer_ok(&text) ? json_parse(text.data, text.length, name, err) : NULL;
    bool ok = buffer_ok(&text) ? list != NULL : talc_fail(err, "out of memory for \"%s\"", name);
    buffer_free(&text);
    if (ok && json_array_size(list) != 1) ok = talc_fail(err, "\"%s\" is not one value", name);
    if (ok) *out = json_incref(json_array_get(list, 0));
    json_decref(list);
    return ok;
}

bool json_scan_end(struct json_scan *s, struct talc_error *err) {
    return json_scan_peek(s) == 0 && s->at == s->n_bytes ? true : fail_here(s, "more text behind the end", err);
}
