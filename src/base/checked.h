/* checked.h - arithmetic on sizes that come from files and sockets: every step says whether it overflowed. */
#ifndef TALC_BASE_CHECKED_H
#define TALC_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Each returns true and stores the result, or returns false when it does not fit. */
static inline bool checked_add_size(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline bool checked_mul_size(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }

/* realloc for n elements; NULL (and `array` as it was) when there is no memory for them. */
static inline void *checked_realloc(void *array, size_t n, size_t element_bytes) {
    size_t n_bytes;
    return checked_mul_size(n, element_bytes, &n_bytes) ? realloc(array, n_bytes) : NULL;
}

/* True when [offset, offset+length) lies inside [0, total). */
static inline bool checked_range(size_t offset, size_t length, size_t total) {
    return offset <= total && length <= total - offset;
}

static inline size_t round_up_size(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

#endif
