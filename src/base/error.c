/* error.c - formats error messages into the caller's struct; see error.h. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A file name or a JSON string may hold anything: keep the message one printable line. */
static void escape_controls(char *text) {
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
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
    return talc_fail(err, "%s: %s", text, strerror(code));
}

bool talc_fail_in(struct talc_error *err, const char *format, ...) {
    if (!err) return false;
    char context[256], old[sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    memcpy(old, err->message, sizeof old);
    return talc_fail(err, "%s: %.760s", context, old);
}
