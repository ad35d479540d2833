/* pack.h - copies pieces of matrices of any number type into the order in which the micro-kernels read them.
 *
 * A panel [steps][width] holds, for each step of the summed dimension, one cell of each of `width` rows (or columns). A
 * cell is a float; or, where instructions multiply those, a pair of bf16 (the first element in the lower half; an odd
 * last one has 0 beside it), and a step then two elements deep. The matrix holds a panel either "straight" (the
 * elements of one depth lie side by side: a copy) or "turned" (the elements of one row lie side by side: blocks are
 * transposed in registers). */
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

/* ---- cells ----------------------------------------------------------------------------------- */

INLINE int64_t pack_steps(int64_t depth) { return (depth + CELL_DEPTH - 1) / CELL_DEPTH; }

/* The cell of an element and, where cells are pairs, of the one `second` behind it (0: there is none). A SIDE of cells:
 * side by side, each with its second as before (straight); or of the elements from `at` on, none of which is missing
 * (turned). */
#if CELL_DEPTH == 2
/* 8 elements and one, rounded to bf16 by the one instruction: what it makes of subnormal numbers and NaN does not
 * depend on where an element lies. */
INLINE __m128i bf16_eight(enum source source, const void *data, int64_t i) {
    const uint16_t *h = data;
    if (source == SOURCE_BF16) return _mm_loadu_si128((const __m128i *)(h + i));
    return (__m128i)_mm256_cvtneps_pbh(source_side(source == SOURCE_F16_AS_BF16 ? SOURCE_F16 : SOURCE_F32, data, i));
}
INLINE uint32_t bf16_one(enum source source, const void *data, int64_t i) {
    const uint16_t *h = data;
    if (source == SOURCE_BF16) return h[i];
    float x = source_one(source == SOURCE_F16_AS_BF16 ? SOURCE_F16 : SOURCE_F32, data, i);
    return (uint32_t)_mm_cvtsi128_si32((__m128i)_mm_cvtneps_pbh(_mm_set_ss(x))) & 0xffffu;
}
INLINE float cell_one(enum source source, const void *data, int64_t at, int64_t second) {
    uint32_t bits = bf16_one(source, data, at) | (second ? bf16_one(source, data, at + second) << 16 : 0);
    float cell;
    memcpy(&cell, &bits, sizeof cell);
    return cell;
}
INLINE side cells_straight(enum source source, const void *data, int64_t at, int64_t second) {
    __m128i low = bf16_eight(source, data, at),
            high = second ? bf16_eight(source, data, at + second) : _mm_setzero_si128();
    return (side)_mm256_set_m128i(_mm_unpackhi_epi16(low, high), _mm_unpacklo_epi16(low, high));
}
INLINE side cells_turned(enum source source, const void *data, int64_t at) {
    return (side)_mm256_set_m128i(bf16_eight(source, data, at + 8), bf16_eight(source, data, at));
}
#else
INLINE float cell_one(enum source source, const void *data, int64_t at, int64_t second) {
    (void)second;
    return source_one(source, data, at);
}
INLINE side cells_straight(enum source source, const void *data, int64_t at, int64_t second) {
    (void)second;
    return source_side(source, data, at);
}
INLINE side cells_turned(enum source source, const void *data, int64_t at) { return source_side(source, data, at); }
#endif

/* ---- panels ---------------------------------------------------------------------------------- */

/* One step of a panel of a width that the compiler knows. A panel narrower than a SIDE is copied as a whole one unless
 * `exact`: what is too much is overwritten by the next step. */
INLINE void copy_step(enum source source, const void *data, int64_t at, int64_t second, int padded, bool exact,
                      float *out) {
    int i = 0;
    for (; i + SIDE <= padded; i += SIDE) side_store(out + i, cells_straight(source, data, at + i, second));
    if (i < padded && !exact) side_store(out + i, cells_straight(source, data, at + i, second));
    for (; exact && i < padded; i++) out[i] = cell_one(source, data, at + i, second);
}

#define STEPS_AT_ONCE                                                                                                  \
    (8 / CELL_DEPTH) /* read of all panels: long pieces of few lines, which the hardware fetches ahead */

/* Panels, one after the other, of the rows [0, width): out[panel][step * padded + i] = cell (row panel * padded + i,
 * step), and 0 for rows from `width` on. `at` is the element of row 0, depth 0; lines of the matrix
 * are `stride` apart. */
INLINE void pack_straight(enum source source, const void *data, int64_t at, int64_t stride, int64_t width, int padded,
                          int64_t depth, float *out) {
    int64_t whole = width / padded, left = width % padded, steps = pack_steps(depth);
    for (int64_t s0 = 0; s0 < steps; s0 += STEPS_AT_ONCE) {
        int64_t s1 = s0 + STEPS_AT_ONCE < steps ? s0 + STEPS_AT_ONCE : steps;
        for (int64_t p = 0; p < whole; p++)
            for (int64_t s = s0; s < s1; s++)
                copy_step(source, data, at + s * CELL_DEPTH * stride + p * padded,
                          s * CELL_DEPTH + 1 < depth ? stride : 0, padded, s + 1 == steps,
                          out + (p * steps + s) * padded);
    }
    if (left == 0) return;
    out += whole * steps * padded;
    at += whole * padded;
    for (int64_t s = 0; s < steps; s++, at += CELL_DEPTH * stride, out += padded)
        for (int64_t i = 0; i < padded; i++)
            out[i] = i < left ? cell_one(source, data, at + i, s * CELL_DEPTH + 1 < depth ? stride : 0) : 0;
}

/* A block of SIDE steps of `rows` <= SIDE rows; the last row stands in for those that are missing, whose cells are
 * overwritten later. */
INLINE void turn_block(enum source source, const void *data, int64_t at, int64_t stride, int rows, int padded,
                       float *out) {
    side r[SIDE];
    UNROLL
    for (int i = 0; i < SIDE; i++) r[i] = cells_turned(source, data, at + (i < rows ? i : rows - 1) * stride);
    side_turn(r);
    UNROLL
    for (int i = 0; i < SIDE; i++) side_store(out + (int64_t)i * padded, r[i]);
}

/* The same for one panel where the elements of a row lie side by side. Blocks of rows in pairs of blocks of steps:
 * whole cache lines are read, few of them at once. Of a panel narrower than a SIDE up to SIDE cells behind it are
 * overwritten too. */
INLINE void pack_turned(enum source source, const void *data, int64_t at, int64_t stride, int width, int padded,
                        int64_t depth, float *out) {
    int64_t s = 0, steps = pack_steps(depth), full = depth / CELL_DEPTH;
    int blocks = width == padded && padded < SIDE ? width : width / SIDE * SIDE, rows = padded < SIDE ? padded : SIDE;
    for (; blocks && s + 2 * SIDE <= full; s += 2 * SIDE)
        for (int i = 0; i < blocks; i += SIDE) {
            int64_t from = at + i * stride + s * CELL_DEPTH;
            turn_block(source, data, from, stride, rows, padded, out + s * padded + i);
            turn_block(source, data, from + SIDE * CELL_DEPTH, stride, rows, padded, out + (s + SIDE) * padded + i);
        }
    for (int64_t rest = s; rest < steps; rest++)
        for (int i = 0; i < blocks; i++)
            out[rest * padded + i] = cell_one(source, data, at + i * stride + rest * CELL_DEPTH, rest < full);
    for (int64_t step = 0; blocks < padded && step < steps; step++)
        for (int i = blocks; i < padded; i++)
            out[step * padded + i] =
                i < width ? cell_one(source, data, at + i * stride + step * CELL_DEPTH, step < full) : 0;
}

#endif
