/* little_endian.h - whole numbers of 1 to 8 bytes in the byte order of files. */
#ifndef TALC_BASE_LITTLE_ENDIAN_H
#define TALC_BASE_LITTLE_ENDIAN_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t little_endian_load(const void *bytes, size_t n_bytes) {
    uint64_t x = 0;
    for (size_t i = 0; i < n_bytes; i++) x |= (uint64_t)((const unsigned char *)bytes)[i] << 8 * i;
    return x;
}

static inline void little_endian_store(void *bytes, size_t n_bytes, uint64_t x) {
    for (size_t i = 0; i < n_bytes; i++) ((unsigned char *)bytes)[i] = (unsigned char)(x >> 8 * i);
}

#endif
