/* dtype.c - sizes, names and half-precision conversions; see dtype.h. */
#include "base/dtype.h"

static const struct {
    const char *name;
    size_t size;
} dtypes[DTYPE_COUNT] = {
    [DTYPE_NONE] = {"none", 0}, [DTYPE_F64] = {"F64", 8},   [DTYPE_F32] = {"F32", 4}, [DTYPE_F16] = {"F16", 2},
    [DTYPE_BF16] = {"BF16", 2}, [DTYPE_I64] = {"I64", 8},   [DTYPE_I32] = {"I32", 4}, [DTYPE_U16] = {"U16", 2},
    [DTYPE_U8] = {"U8", 1},     [DTYPE_BOOL] = {"BOOL", 1},
};

size_t dtype_size(enum dtype dtype) { return dtypes[dtype].size; }

const char *dtype_name(enum dtype dtype) { return dtypes[dtype].name; }

enum dtype dtype_from_name(const char *name) {
    for (int i = DTYPE_NONE + 1; i < DTYPE_COUNT; i++)
        if (strcmp(name, dtypes[i].name) == 0) return (enum dtype)i;
    return DTYPE_NONE;
}

size_t f32_finite_prefix(const float *x, size_t n) {
    const uint32_t exponent = 0x7f800000u;
    uint32_t bits, bad = 0;
    for (size_t i = 0; i < n; i++) bad |= (*(uint32_t *)memcpy(&bits, &x[i], sizeof bits) & exponent) == exponent;
    size_t at = bad ? 0 : n;
    while (at < n && (*(uint32_t *)memcpy(&bits, &x[at], sizeof bits) & exponent) != exponent) at++;
    return at;
}

float f16_to_f32(uint16_t x) {
    uint32_t sign = (uint32_t)(x & 0x8000u) << 16, exponent = (x >> 10) & 0x1fu, mantissa = x & 0x3ffu, bits;
    if (exponent == 31) {
        bits = sign | 0x7f800000u | (mantissa << 13);
    } else if (exponent) {
        bits = sign | ((exponent + 112) << 23) | (mantissa << 13);
    } else if (mantissa) { /* subnormal: shift until the hidden bit appears */
        int shift = __builtin_clz(mantissa) - 21;
        bits = sign | ((uint32_t)(113 - shift) << 23) | (((mantissa << shift) & 0x3ffu) << 13);
    } else {
        bits = sign;
    }
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

uint16_t f32_to_f16(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    uint32_t sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
    if (magnitude >= 0x47800000u) return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x33000000u) return (uint16_t)sign;
    uint32_t exponent = magnitude >> 23, mantissa = magnitude & 0x7fffffu;
    uint32_t value, rest, half;
    if (exponent < 113) { /* becomes a subnormal: round at the shifted position */
        uint32_t shift = 126 - exponent;
        mantissa |= 0x800000u;
        value = mantissa >> shift;
        rest = mantissa & ((1u << shift) - 1);
        half = 1u << (shift - 1);
    } else {
        value = ((exponent - 112) << 10) | (mantissa >> 13);
        rest = mantissa & 0x1fffu;
        half = 0x1000u;
    }
    if (rest > half || (rest == half && (value & 1))) value++; /* a carry into the exponent is right, up to infinity */
    return (uint16_t)(sign | value);
}

void f32_narrow(float *x, size_t n, enum dtype dtype) {
    if (dtype != DTYPE_BF16 && dtype != DTYPE_F16) return;
    for (size_t i = 0; i < n; i++) { /* a number never reaches one that is still to be read */
        uint16_t half = dtype == DTYPE_F16 ? f32_to_f16(x[i]) : f32_to_bf16(x[i]);
        memcpy((char *)x + i * sizeof half, &half, sizeof half);
    }
}
