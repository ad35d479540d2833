/* error.c - formats error messages into the caller's struct; see error.h. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* A file name or a JSON string may hold anything: keep the message one printable line. Controls are those of ASCII and
 * U+0080 to U+009F, which some terminals obey as a byte too. A character that was cut at the end is dropped. */
static void escape_controls(char *text) {
    size_t n = utf8_complete_prefix(text, strlen(text)), kept = 0;
    for (size_t i = 0; i < n;) {
        int32_t c;
        size_t length = (size_t)utf8_decode(text + i, n - i, &c);
        if (c < 0) c = (unsigned char)text[i];
        if (c < 0x20 || (c >= 0x7f && c < 0xa0))
            text[kept++] = '?';
        else
            for (size_t j = 0; j < length; j++) text[kept++] = text[i + j];
        i += length;
    }
    text[kept] = '\0';
}

bool talc_fail(struct talc_error *err, const char *format, ...) {
    if (!err) return false;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    escape_controls(err->message);
    return false;
}

bool talc_fail_errno(struct talc_error *err, const char *format, ...) {
    int code = errno;
    if (!err) return false;
    char text[768];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    escape_controls(text);
    return talc_fail(err, "%s: %s", text, strerror(code));
}

bool talc_fail_in(struct talc_error *err, const char *format, ...) {
    if (!err) return false;
    char context[256], old[sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    escape_controls(context);
    memcpy(old, err->message, sizeof old);
    return talc_fail(err, "%s: %.760s", context, old);
}
