/* buffer.c - see buffer.h. */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

bool buffer_reserve(struct buffer *b, size_t extra) {
    size_t need;
    if (b->failed || !checked_add_size(b->length, extra, &need) || !checked_add_size(need, 1, &need)) {
        b->failed = true;
        return false;
    }
    if (need <= b->capacity) return true;
    size_t capacity = b->capacity < 64 ? 64 : b->capacity;
    while (capacity < need)
        if (!checked_mul_size(capacity, 2, &capacity)) capacity = need;
    char *data = realloc(b->data, capacity);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->capacity = capacity;
    return true;
}

void buffer_append(struct buffer *b, const void *data, size_t n_bytes) {
    if (!buffer_reserve(b, n_bytes)) return;
    if (n_bytes) memcpy(b->data + b->length, data, n_bytes);
    b->length += n_bytes;
    b->data[b->length] = 0;
}

void buffer_append_text(struct buffer *b, const char *text) { buffer_append(b, text, strlen(text)); }

void buffer_append_char(struct buffer *b, char c) { buffer_append(b, &c, 1); }

void buffer_printf(struct buffer *b, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n >= 0 && buffer_reserve(b, (size_t)n)) {
        vsnprintf(b->data + b->length, (size_t)n + 1, format, again);
        b->length += (size_t)n;
    } else {
        b->failed = true;
    }
    va_end(again);
}

void buffer_clear(struct buffer *b) {
    b->length = 0;
    b->failed = false;
    if (b->data) b->data[0] = 0;
}

void buffer_free(struct buffer *b) {
    free(b->data);
    *b = (struct buffer){0};
}
