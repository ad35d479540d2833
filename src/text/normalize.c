/* normalize.c - Unicode normal form C, for tokenizer files that ask for it; see tokenizer_parts.h. */
#include "text/tokenizer_parts.h"

#include <stdlib.h>

#include "base/utf8.h"

#ifdef HAVE_UTF8PROC
#include <utf8proc.h>

bool normalize_nfc_available(void) { return true; }

/* Characters below U+0300 (lead bytes below 0xcc) never compose with each other. */
static bool needs_no_work(const char *text, size_t n) {
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] >= 0xcc) return false;
    return true;
}

static bool normalize_valid(const char *text, size_t n, struct buffer *out, struct talc_error *err) {
    utf8proc_uint8_t *result = NULL;
    utf8proc_ssize_t length =
        utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n, &result, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (length < 0) return talc_fail(err, "text cannot be normalised: %s", utf8proc_errmsg(length));
    buffer_append(out, result, (size_t)length);
    free(result);
    return true;
}

bool normalize_nfc(const char *text, size_t n_bytes, struct buffer *out, struct talc_error *err) {
    if (needs_no_work(text, n_bytes)) {
        buffer_append(out, text, n_bytes);
        n_bytes = 0;
    }
    for (size_t i = 0; i < n_bytes;) {
        size_t valid = utf8_valid_prefix(text + i, n_bytes - i);
        if (valid && !normalize_valid(text + i, valid, out, err)) return false;
        i += valid;
        if (i < n_bytes) buffer_append_char(out, text[i++]);
    }
    return buffer_ok(out) || talc_fail(err, "out of memory while normalising text");
}

#else

bool normalize_nfc_available(void) { return false; }

bool normalize_nfc(const char *text, size_t n_bytes, struct buffer *out, struct talc_error *err) {
    (void)text, (void)n_bytes, (void)out;
    return talc_fail(err, "this talc was built without utf8proc and cannot normalise text (NFC)");
}

#endif
