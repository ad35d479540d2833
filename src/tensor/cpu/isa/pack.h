/* pack.h - copies pieces of matrices of any number type into the order in which the micro-kernels read them, as floats.
 *
 * A panel [depth][width] holds, for each step of the summed dimension, one number of each of `width` rows (or columns). The
 * matrix holds it either "straight" (the numbers of one step lie side by side: a copy) or "turned" (the steps of one row lie
 * side by side: blocks are transposed in registers). */
#ifndef TALC_TENSOR_CPU_ISA_PACK_H
#define TALC_TENSOR_CPU_ISA_PACK_H

#include "tensor/cpu/isa/tile.h"
#include "tensor/tensor.h"

/* A short vector: the side of the block that is transposed at once. */
#if defined(ISA_AVX512) || defined(ISA_AVX2)
#define SIDE 8
typedef __m256 side;
INLINE side side_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void side_store(float *p, side x) { _mm256_storeu_ps(p, x); }
INLINE side side_from_bf16(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
INLINE side side_from_f16(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
/* To the nearest bf16, ties to even, as f32_to_bf16 does; a NaN stays one. */
INLINE side side_round_bf16(side x) {
    __m256i bits = _mm256_castps_si256(x), odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i nan = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    __m256 is_nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    __m256i rounded = _mm256_castps_si256(_mm256_blendv_ps(_mm256_castsi256_ps(up), _mm256_castsi256_ps(nan), is_nan));
    return _mm256_castsi256_ps(_mm256_and_si256(rounded, _mm256_set1_epi32((int)0xffff0000)));
}
/* 8 rows of 8, transposed in place: pairs, then fours, then halves change places. */
INLINE void side_turn(side r[SIDE]) {
    side a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        b[i] = _mm256_shuffle_ps(a[i], a[i + 2], 0x44);
        b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], 0xee);
        b[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        b[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
    }
}
#else
#define SIDE 4
typedef vf side;
INLINE side side_load(const float *p) { return vf_load(p); }
INLINE void side_store(float *p, side x) { vf_store(p, x); }
INLINE side side_from_bf16(const uint16_t *p) { return (side)((vi){p[0], p[1], p[2], p[3]} << 16); }
#if defined(ISA_NEON)
INLINE side side_from_f16(const uint16_t *p) { return (side)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
#else
INLINE side side_from_f16(const uint16_t *p) {
    return (side){f16_to_f32(p[0]), f16_to_f32(p[1]), f16_to_f32(p[2]), f16_to_f32(p[3])};
}
#endif
INLINE side side_round_bf16(side x) {
    vi bits = (vi)x, up = bits + ((bits >> 16) & 1) + 0x7fff, nan = bits | 0x400000, is_nan = x != x;
    return (side)(((nan & is_nan) | (up & ~is_nan)) & (int32_t)0xffff0000);
}
INLINE void side_turn(side r[SIDE]) {
    side a = r[0], b = r[1], c = r[2], d = r[3];
    for (int i = 0; i < SIDE; i++) r[i] = (side){a[i], b[i], c[i], d[i]};
}
#endif

/* How numbers are read. */
enum source { SOURCE_F32, SOURCE_F32_AS_BF16, SOURCE_BF16, SOURCE_F16, SOURCE_F16_AS_BF16 };

INLINE float source_one(enum source source, const void *data, int64_t i) {
    const float *f = data;
    const uint16_t *h = data;
    switch (source) {
    case SOURCE_F32: return f[i];
    case SOURCE_F32_AS_BF16: return bf16_to_f32(f32_to_bf16(f[i]));
    case SOURCE_BF16: return bf16_to_f32(h[i]);
    case SOURCE_F16: return f16_to_f32(h[i]);
    default: return bf16_to_f32(f32_to_bf16(f16_to_f32(h[i])));
    }
}

INLINE side source_side(enum source source, const void *data, int64_t i) {
    const float *f = data;
    const uint16_t *h = data;
    switch (source) {
    case SOURCE_F32: return side_load(f + i);
    case SOURCE_F32_AS_BF16: return side_round_bf16(side_load(f + i));
    case SOURCE_BF16: return side_from_bf16(h + i);
    case SOURCE_F16: return side_from_f16(h + i);
    default: return side_round_bf16(side_from_f16(h + i));
    }
}

/* One step of a panel of a width that the compiler knows. A panel narrower than a SIDE is copied as a whole one unless `exact`:
 * what is too much is overwritten by the next step. */
INLINE void copy_step(enum source source, const void *data, int64_t at, int padded, bool exact, float *out) {
    int i = 0;
    for (; i + SIDE <= padded; i += SIDE) side_store(out + i, source_side(source, data, at + i));
    if (i < padded && !exact) side_store(out + i, source_side(source, data, at + i));
    for (; exact && i < padded; i++) out[i] = source_one(source, data, at + i);
}

#define STEPS_AT_ONCE 8 /* read of all panels: long pieces of few lines, which the hardware fetches ahead */

/* Panels, one after the other, of the rows [0, width): out[panel][k * padded + i] = element (row panel * padded + i, step k),
 * and 0 for rows from `width` on. `at` is the element of row 0, step 0; lines of the matrix are `stride` apart. */
INLINE void pack_straight(enum source source, const void *data, int64_t at, int64_t stride, int64_t width, int padded,
                          int64_t depth, float *out) {
    int64_t whole = width / padded, left = width % padded;
    for (int64_t k0 = 0; k0 < depth; k0 += STEPS_AT_ONCE) {
        int64_t k1 = k0 + STEPS_AT_ONCE < depth ? k0 + STEPS_AT_ONCE : depth;
        for (int64_t p = 0; p < whole; p++)
            for (int64_t k = k0; k < k1; k++)
                copy_step(source, data, at + k * stride + p * padded, padded, k + 1 == depth, out + (p * depth + k) * padded);
    }
    if (left == 0) return;
    out += whole * depth * padded;
    at += whole * padded;
    for (int64_t k = 0; k < depth; k++, at += stride, out += padded)
        for (int64_t i = 0; i < padded; i++) out[i] = i < left ? source_one(source, data, at + i) : 0;
}

/* A block of SIDE steps of `rows` <= SIDE rows; the last row stands in for those that are missing, whose numbers are
 * overwritten later. */
INLINE void turn_block(enum source source, const void *data, int64_t at, int64_t stride, int rows, int padded, float *out) {
    side r[SIDE];
UNROLL
    for (int i = 0; i < SIDE; i++) r[i] = source_side(source, data, at + (i < rows ? i : rows - 1) * stride);
    side_turn(r);
UNROLL
    for (int i = 0; i < SIDE; i++) side_store(out + (int64_t)i * padded, r[i]);
}

/* The same for one panel where steps lie side by side. Blocks of rows in pairs of blocks of steps: whole cache lines are read,
 * few of them at once. Of a panel narrower than a SIDE up to SIDE numbers behind it are overwritten too. */
INLINE void pack_turned(enum source source, const void *data, int64_t at, int64_t stride, int width, int padded,
                        int64_t depth, float *out) {
    int64_t k = 0;
    int blocks = width == padded && padded < SIDE ? width : width / SIDE * SIDE, rows = padded < SIDE ? padded : SIDE;
    for (; blocks && k + 2 * SIDE <= depth; k += 2 * SIDE)
        for (int i = 0; i < blocks; i += SIDE) {
            turn_block(source, data, at + i * stride + k, stride, rows, padded, out + k * padded + i);
            turn_block(source, data, at + i * stride + k + SIDE, stride, rows, padded, out + (k + SIDE) * padded + i);
        }
    for (int64_t rest = k; rest < depth; rest++)
        for (int i = 0; i < blocks; i++) out[rest * padded + i] = source_one(source, data, at + i * stride + rest);
    for (int64_t step = 0; blocks < padded && step < depth; step++)
        for (int i = blocks; i < padded; i++)
            out[step * padded + i] = i < width ? source_one(source, data, at + i * stride + step) : 0;
}

#endif
