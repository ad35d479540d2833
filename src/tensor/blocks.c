/* blocks.c - see blocks.h. Plain loops over bytes: a product is rounded before a sum, and scales are multiplied with
 * each other first, as ggml does it. */
#include "tensor/blocks.h"

#include <string.h>

#include "base/dtype.h"
#include "base/little_endian.h"

static float f16_at(const unsigned char *p) { return f16_to_f32((uint16_t)little_endian_load(p, 2)); }

static float f32_from_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* ---- plain ----------------------------------------------------------------------------------- */

static void unpack_f32(const unsigned char *b, float *out) { *out = f32_from_bits((uint32_t)little_endian_load(b, 4)); }

static void unpack_f16(const unsigned char *b, float *out) { *out = f16_at(b); }

static void unpack_bf16(const unsigned char *b, float *out) { *out = bf16_to_f32((uint16_t)little_endian_load(b, 2)); }

static void unpack_f64(const unsigned char *b, float *out) {
    uint64_t bits = little_endian_load(b, 8);
    double wide;
    memcpy(&wide, &bits, sizeof wide);
    *out = (float)wide;
}

/* ---- 32 numbers ------------------------------------------------------------------------------ */

/* Code i < 32 of the 16 bytes at qs. */
static int nibble(const unsigned char *qs, int i) { return i < 16 ? qs[i] & 15 : qs[i - 16] >> 4; }

/* Bit i of little-endian bytes. */
static int bit(const unsigned char *bits, int i) { return bits[i / 8] >> i % 8 & 1; }

static void unpack_q4_0(const unsigned char *b, float *out) {
    float d = f16_at(b);
    for (int i = 0; i < 32; i++) out[i] = (float)(nibble(b + 2, i) - 8) * d;
}

static void unpack_q4_1(const unsigned char *b, float *out) {
    float d = f16_at(b), m = f16_at(b + 2);
    for (int i = 0; i < 32; i++) out[i] = (float)nibble(b + 4, i) * d + m;
}

static void unpack_q5_0(const unsigned char *b, float *out) {
    float d = f16_at(b);
    for (int i = 0; i < 32; i++) out[i] = (float)((nibble(b + 6, i) | bit(b + 2, i) << 4) - 16) * d;
}

static void unpack_q5_1(const unsigned char *b, float *out) {
    float d = f16_at(b), m = f16_at(b + 2);
    for (int i = 0; i < 32; i++) out[i] = (float)(nibble(b + 8, i) | bit(b + 4, i) << 4) * d + m;
}

static void unpack_q8_0(const unsigned char *b, float *out) {
    float d = f16_at(b);
    for (int i = 0; i < 32; i++) out[i] = (float)(int8_t)b[2 + i] * d;
}

static const float iq4_table[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

static void unpack_iq4_nl(const unsigned char *b, float *out) {
    float d = f16_at(b);
    for (int i = 0; i < 32; i++) out[i] = d * iq4_table[nibble(b + 2, i)];
}

/* The table is doubled and the power of two halved, so that all of it are whole numbers. */
static void unpack_mxfp4(const unsigned char *b, float *out) {
    static const float e2m1_doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    float half = f32_from_bits(b[0] < 2 ? 0x00200000u << b[0] : (uint32_t)(b[0] - 1) << 23);
    for (int i = 0; i < 32; i++) out[i] = half * e2m1_doubled[nibble(b + 1, i)];
}

/* ---- 256 numbers ----------------------------------------------------------------------------- */

static void unpack_q2_k(const unsigned char *b, float *out) {
    const unsigned char *scales = b, *qs = b + 16;
    float d = f16_at(b + 80), m = f16_at(b + 82);
    for (int g = 0; g < 16; g++) { /* bytes 0-15, 16-31, of their next bits, ... and again with the other 32 bytes */
        const unsigned char *q = qs + g / 8 * 32 + g % 2 * 16;
        float scale = d * (float)(scales[g] & 15), minimum = m * (float)(scales[g] >> 4);
        for (int i = 0; i < 16; i++) *out++ = scale * (float)(q[i] >> g % 8 / 2 * 2 & 3) - minimum;
    }
}

/* Scale g: four low bits in the first eight bytes, two high ones in the last four. */
static int q3_k_scale(const unsigned char *scales, int g) {
    int low = g < 8 ? scales[g] & 15 : scales[g - 8] >> 4;
    return (low | (scales[8 + g % 4] >> g / 4 * 2 & 3) << 4) - 32;
}

static void unpack_q3_k(const unsigned char *b, float *out) {
    const unsigned char *hmask = b, *qs = b + 32, *scales = b + 96;
    float d = f16_at(b + 108);
    for (int g = 0; g < 16; g++) {
        const unsigned char *q = qs + g / 8 * 32 + g % 2 * 16, *high = hmask + g % 2 * 16;
        float scale = d * (float)q3_k_scale(scales, g);
        for (int i = 0; i < 16; i++) {
            int code = (q[i] >> g % 8 / 2 * 2 & 3) | (high[i] >> g / 2 & 1) << 2;
            *out++ = scale * (float)(code - 4);
        }
    }
}

/* Scale s and minimum t of group g < 8, six bits each, of Q4_K and Q5_K: the first four as they are; of the others the
 * low bits are in the last four bytes and the high ones above the first four's. */
static void k_scale(const unsigned char *scales, int g, int *s, int *t) {
    if (g < 4) {
        *s = scales[g] & 63;
        *t = scales[g + 4] & 63;
    } else {
        *s = (scales[g + 4] & 15) | scales[g - 4] >> 6 << 4;
        *t = scales[g + 4] >> 4 | scales[g] >> 6 << 4;
    }
}

/* high: of Q5_K the fifth bits; NULL: of Q4_K. */
static void unpack_k(const unsigned char *b, const unsigned char *high, const unsigned char *qs, float *out) {
    float d = f16_at(b), m = f16_at(b + 2);
    for (int g = 0; g < 8; g++) {
        const unsigned char *q = qs + g / 2 * 32;
        int s, t;
        k_scale(b + 4, g, &s, &t);
        float scale = d * (float)s, minimum = m * (float)t;
        for (int i = 0; i < 32; i++) {
            int code = (q[i] >> g % 2 * 4 & 15) | (high ? (high[i] >> g & 1) << 4 : 0);
            *out++ = scale * (float)code - minimum;
        }
    }
}

static void unpack_q4_k(const unsigned char *b, float *out) { unpack_k(b, NULL, b + 16, out); }
static void unpack_q5_k(const unsigned char *b, float *out) { unpack_k(b, b + 16, b + 48, out); }

static void unpack_q6_k(const unsigned char *b, float *out) {
    const unsigned char *ql = b, *qh = b + 128, *scales = b + 192;
    float d = f16_at(b + 208);
    for (int g = 0; g < 16; g++) { /* halves of 128 numbers: four times 32, of which 64 share a byte of low bits */
        int half = g / 8, quarter = g % 8 / 2, at = g % 2 * 16;
        const unsigned char *low = ql + half * 64 + quarter % 2 * 32 + at, *high = qh + half * 32 + at;
        float scale = d * (float)(int8_t)scales[g];
        for (int i = 0; i < 16; i++) {
            int code = (low[i] >> quarter / 2 * 4 & 15) | (high[i] >> quarter * 2 & 3) << 4;
            *out++ = scale * (float)(code - 32);
        }
    }
}

static void unpack_iq4_xs(const unsigned char *b, float *out) {
    float d = f16_at(b);
    unsigned high = (unsigned)little_endian_load(b + 2, 2);
    for (int g = 0; g < 8; g++) {
        int s = (b[4 + g / 2] >> g % 2 * 4 & 15) | (high >> 2 * g & 3) << 4;
        float scale = d * (float)(s - 32);
        for (int i = 0; i < 32; i++) *out++ = scale * iq4_table[nibble(b + 8 + g * 16, i)];
    }
}

/* ---- all ------------------------------------------------------------------------------------- */

/* By their numbers in the file. The gaps are types that ggml has given up. */
static const struct block_type types[] = {
    [BLOCK_F32] = {"F32", 1, 4, unpack_f32},
    [BLOCK_F16] = {"F16", 1, 2, unpack_f16},
    [2] = {"Q4_0", 32, 18, unpack_q4_0},
    [3] = {"Q4_1", 32, 20, unpack_q4_1},
    [6] = {"Q5_0", 32, 22, unpack_q5_0},
    [7] = {"Q5_1", 32, 24, unpack_q5_1},
    [8] = {"Q8_0", 32, 34, unpack_q8_0},
    [9] = {"Q8_1", 32, 36, NULL},
    [10] = {"Q2_K", 256, 84, unpack_q2_k},
    [11] = {"Q3_K", 256, 110, unpack_q3_k},
    [12] = {"Q4_K", 256, 144, unpack_q4_k},
    [13] = {"Q5_K", 256, 176, unpack_q5_k},
    [14] = {"Q6_K", 256, 210, unpack_q6_k},
    [15] = {"Q8_K", 256, 292, NULL},
    [16] = {"IQ2_XXS", 256, 66, NULL},
    [17] = {"IQ2_XS", 256, 74, NULL},
    [18] = {"IQ3_XXS", 256, 98, NULL},
    [19] = {"IQ1_S", 256, 50, NULL},
    [20] = {"IQ4_NL", 32, 18, unpack_iq4_nl},
    [21] = {"IQ3_S", 256, 110, NULL},
    [22] = {"IQ2_S", 256, 82, NULL},
    [23] = {"IQ4_XS", 256, 136, unpack_iq4_xs},
    [24] = {"I8", 1, 1, NULL},
    [25] = {"I16", 1, 2, NULL},
    [26] = {"I32", 1, 4, NULL},
    [27] = {"I64", 1, 8, NULL},
    [BLOCK_F64] = {"F64", 1, 8, unpack_f64},
    [29] = {"IQ1_M", 256, 56, NULL},
    [BLOCK_BF16] = {"BF16", 1, 2, unpack_bf16},
    [34] = {"TQ1_0", 256, 54, NULL},
    [35] = {"TQ2_0", 256, 66, NULL},
    [39] = {"MXFP4", 32, 17, unpack_mxfp4},
    [40] = {"NVFP4", 64, 36, NULL},
    [41] = {"Q1_0", 128, 18, NULL},
};

const struct block_type *block_type_of(uint32_t number) {
    return number < sizeof types / sizeof *types && types[number].name ? &types[number] : NULL;
}

void blocks_unpack(const struct block_type *type, const void *blocks, size_t n_blocks, float *out) {
    const unsigned char *b = blocks;
    for (size_t i = 0; i < n_blocks; i++) type->unpack(b + i * type->bytes, out + i * type->elements);
}
