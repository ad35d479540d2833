/* dtype.h - the number types of tensors, their sizes and their names in safetensors files. */
#ifndef TALC_BASE_DTYPE_H
#define TALC_BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum dtype {
    DTYPE_NONE, /* an absent tensor */
    DTYPE_F64,
    DTYPE_F32,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_I64,
    DTYPE_I32,
    DTYPE_U16,
    DTYPE_U8,
    DTYPE_BOOL,
    DTYPE_COUNT,
};

size_t dtype_size(enum dtype dtype);          /* bytes an element; 0 for DTYPE_NONE */
const char *dtype_name(enum dtype dtype);     /* "F32", as safetensors writes it */
enum dtype dtype_from_name(const char *name); /* DTYPE_NONE when unknown */

/* bf16 is the upper half of an fp32; rounding is to nearest, ties to even; NaN stays NaN. */
static inline float bf16_to_f32(uint16_t x) {
    uint32_t bits = (uint32_t)x << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
static inline uint16_t f32_to_bf16(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/* n floats rounded in place, to the nearest, to DTYPE_BF16 or DTYPE_F16, which then take the first half of their bytes;
 * any other dtype leaves them what they are. */
void f32_narrow(float *x, size_t n, enum dtype dtype);

/* How many floats there are before one that is NaN or infinite; n when there is none. */
size_t f32_finite_prefix(const float *x, size_t n);

/* IEEE 754 binary16. */
float f16_to_f32(uint16_t x);
uint16_t f32_to_f16(float f);

#endif
