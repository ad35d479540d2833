/* buffer.h - a growable string of bytes. Running out of memory latches: later appends do nothing and
 * buffer_ok() is false, so a writer checks once at the end. */
#ifndef TALC_BASE_BUFFER_H
#define TALC_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *data;      /* owned; terminated with a NUL past `length` whenever it is not NULL */
    size_t length;   /* bytes in use */
    size_t capacity; /* bytes allocated */
    bool failed;
};

void buffer_append(struct buffer *b, const void *data, size_t n_bytes);
void buffer_append_text(struct buffer *b, const char *text);
void buffer_append_char(struct buffer *b, char c);
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool buffer_reserve(struct buffer *b, size_t extra); /* room for `extra` more bytes and a NUL */
void buffer_clear(struct buffer *b);                 /* length 0; keeps the memory and clears `failed` */
void buffer_free(struct buffer *b);
static inline bool buffer_ok(const struct buffer *b) { return !b->failed; }

#endif
