/* simd.h - a vector of floats and what the kernels do with it, for the instruction set that a file is compiled for. */
#ifndef TALC_TENSOR_CPU_ISA_SIMD_H
#define TALC_TENSOR_CPU_ISA_SIMD_H

/* Before a short loop over registers: repeated, not looped, early enough that arrays of vectors become registers. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define UNROLL_BY_4 _Pragma("clang loop unroll_count(4)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#define UNROLL_BY_4 _Pragma("GCC unroll 4")
#endif

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(ISA_AVX512)
#include <immintrin.h>
#define VF_LANES 16
typedef float vf __attribute__((vector_size(64), may_alias));
typedef int32_t vi __attribute__((vector_size(64), may_alias));
static inline vf vf_set(float x) { return (vf)_mm512_set1_ps(x); }
static inline vf vf_fma(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
static inline vf vf_max(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
static inline vf vf_min(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
#elif defined(ISA_AVX2)
#include <immintrin.h>
#define VF_LANES 8
typedef float vf __attribute__((vector_size(32), may_alias));
typedef int32_t vi __attribute__((vector_size(32), may_alias));
static inline vf vf_set(float x) { return (vf)_mm256_set1_ps(x); }
static inline vf vf_fma(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
static inline vf vf_max(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
static inline vf vf_min(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
#elif defined(ISA_NEON)
#include <arm_neon.h>
#define VF_LANES 4
typedef float vf __attribute__((vector_size(16), may_alias));
typedef int32_t vi __attribute__((vector_size(16), may_alias));
static inline vf vf_set(float x) { return (vf)vdupq_n_f32(x); }
static inline vf vf_fma(vf a, vf b, vf c) { return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
static inline vf vf_max(vf a, vf b) { return (vf)vmaxq_f32((float32x4_t)a, (float32x4_t)b); }
static inline vf vf_min(vf a, vf b) { return (vf)vminq_f32((float32x4_t)a, (float32x4_t)b); }
#else
#define VF_LANES 4
typedef float vf __attribute__((vector_size(16), may_alias));
typedef int32_t vi __attribute__((vector_size(16), may_alias));
static inline vf vf_set(float x) { return (vf){x, x, x, x}; }
static inline vf vf_fma(vf a, vf b, vf c) { return a * b + c; } /* not fused: few machines without the above could */
static inline vf vf_max(vf a, vf b) { return (vf)(((vi)a & (a > b)) | ((vi)b & ~(a > b))); }
static inline vf vf_min(vf a, vf b) { return (vf)(((vi)a & (a < b)) | ((vi)b & ~(a < b))); }
#endif

/* What products multiply: CELL_DEPTH elements in each lane. Floats; or pairs of bf16: sum + both products, the upper
 * pair's first, rounded after each, subnormal numbers as 0 (Intel's VDPBF16PS). */
#if defined(ISA_AVX512BF16)
#define CELL_DEPTH 2
static inline vf vf_fma_cells(vf a, vf b, vf sum) {
    return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}
#else
#define CELL_DEPTH 1
static inline vf vf_fma_cells(vf a, vf b, vf sum) { return vf_fma(a, b, sum); }
#endif

#define ISA_NAME_(name, suffix) name##_##suffix
#define ISA_NAME__(name, suffix) ISA_NAME_(name, suffix)
#define ISA_NAME(name) ISA_NAME__(name, ISA_SUFFIX)

typedef float vf_unaligned __attribute__((vector_size(4 * VF_LANES), aligned(4), may_alias));

static inline vf vf_load(const float *p) { return *(const vf_unaligned *)p; }
static inline void vf_store(float *p, vf x) { *(vf_unaligned *)p = x; }
static const int32_t vf_lane_numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static inline vi vf_lanes(void) {
    vi numbers;
    memcpy(&numbers, vf_lane_numbers, sizeof numbers);
    return numbers;
}

/* The first n < VF_LANES floats; the other lanes are `rest`. */
static inline vf vf_load_part(const float *p, int64_t n, float rest) {
#if defined(ISA_AVX512)
    return (vf)_mm512_mask_loadu_ps(_mm512_set1_ps(rest), (__mmask16)((1u << n) - 1), p);
#elif defined(ISA_AVX2)
    vi mask = vf_lanes() < (int32_t)n;
    return (vf)_mm256_blendv_ps(_mm256_set1_ps(rest), _mm256_maskload_ps(p, (__m256i)mask), (__m256)(vf)mask);
#else
    float lanes[VF_LANES];
    for (int i = 0; i < VF_LANES; i++) lanes[i] = i < n ? p[i] : rest;
    return vf_load(lanes);
#endif
}
static inline void vf_store_part(float *p, int64_t n, vf x) {
#if defined(ISA_AVX512)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)x);
#elif defined(ISA_AVX2)
    _mm256_maskstore_ps(p, (__m256i)(vf_lanes() < (int32_t)n), (__m256)x);
#else
    float lanes[VF_LANES];
    vf_store(lanes, x);
    memcpy(p, lanes, (size_t)n * sizeof(float));
#endif
}

/* A vector of a row of which `left` floats are left: all of it, or what there is and zeros. */
static inline vf vf_load_some(const float *p, int64_t left) {
    return left >= VF_LANES ? vf_load(p) : vf_load_part(p, left, 0);
}
static inline void vf_store_some(float *p, int64_t left, vf x) {
    if (left >= VF_LANES)
        vf_store(p, x);
    else
        vf_store_part(p, left, x);
}

/* Sums and maxima over lanes, always in the same order: pairs at half the distance each time. */
typedef float vf_four __attribute__((vector_size(16), may_alias));
static inline float vf_four_sum(vf_four x) { return (x[0] + x[2]) + (x[1] + x[3]); }
static inline float vf_larger(float a, float b) { return a > b ? a : b; }
static inline float vf_four_largest(vf_four x) { return vf_larger(vf_larger(x[0], x[2]), vf_larger(x[1], x[3])); }
#if defined(ISA_AVX512) || defined(ISA_AVX2)
#if defined(ISA_AVX512)
static inline __m256 vf_low(vf x) { return _mm512_castps512_ps256((__m512)x); }
static inline __m256 vf_high(vf x) { return _mm512_extractf32x8_ps((__m512)x, 1); }
static inline __m256 vf_half_sum(vf x) { return _mm256_add_ps(vf_low(x), vf_high(x)); }
static inline __m256 vf_half_largest(vf x) { return _mm256_max_ps(vf_low(x), vf_high(x)); }
#else
static inline __m256 vf_half_sum(vf x) { return (__m256)x; }
static inline __m256 vf_half_largest(vf x) { return (__m256)x; }
#endif
static inline float vf_sum(vf x) {
    __m256 half = vf_half_sum(x);
    return vf_four_sum((vf_four)_mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
}
static inline float vf_largest(vf x) {
    __m256 half = vf_half_largest(x);
    return vf_four_largest((vf_four)_mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
}
#else
static inline float vf_sum(vf x) { return vf_four_sum((vf_four)x); }
static inline float vf_largest(vf x) { return vf_four_largest((vf_four)x); }
#endif
static inline vf vf_choose(vi mask, vf yes, vf no) { return (vf)(((vi)yes & mask) | ((vi)no & ~mask)); }

/* e^x with relative error under 3e-7: 2^n times a polynomial of the rest in [-ln2/2, ln2/2] (minimax with the terms 1 +
 * x given, so that e^0 is 1). Below -87.3 it is 0; above 88 it stays at e^88; NaN stays NaN. */
static inline vf vf_exp(vf x) {
    const vf shift = vf_set(0x1.8p23f); /* added, it leaves n in the lowest bits */
    vi tiny = x < vf_set(-87.3f);
    x = vf_min(vf_set(88.0f), vf_max(vf_set(-87.3f), x));
    vf t = vf_fma(x, vf_set(1.44269504088896341f), shift), n = t - shift;
    x = vf_fma(n, vf_set(-0.693359375f), x);
    x = vf_fma(n, vf_set(2.12194440e-4f), x);
    vf y = vf_fma(vf_set(8.312501013e-3f), x, vf_set(4.189033061e-2f));
    y = vf_fma(y, x, vf_set(1.666711569e-1f));
    y = vf_fma(y, x, vf_set(4.999923110e-1f));
    y = vf_fma(y, x * x, x) + vf_set(1.0f);
    return (vf)(((vi)y + ((vi)t << 23)) & ~tiny);
}

/* 2^x for x < 127 with relative error under 2e-7 (a minimax polynomial of the rest; 2^0 is 1); x below -126 counts as
 * -126. */
static inline vf vf_exp2(vf x) {
    const vf shift = vf_set(0x1.8p23f);
    x = vf_max(vf_set(-126.0f), x);
    vf t = x + shift, y = vf_set(1.326467260e-3f);
    x = x - (t - shift);
    y = vf_fma(y, x, vf_set(9.671554901e-3f));
    y = vf_fma(y, x, vf_set(5.550734326e-2f));
    y = vf_fma(y, x, vf_set(2.402224094e-1f));
    y = vf_fma(y, x, vf_set(6.931470037e-1f));
    y = vf_fma(y, x, vf_set(1.0f));
    return (vf)((vi)y + ((vi)t << 23));
}

static inline vf vf_sigmoid(vf x) { return vf_set(1) / (vf_set(1) + vf_exp(-x)); }

/* tanh with relative error under 4e-7: an odd polynomial (minimax) below 0.625, where 1 - 2 / (e^2x + 1) would lose
 * digits. */
static inline vf vf_tanh(vf x) {
    const vi sign = (vi)x & (vi)vf_set(-0.0f);
    vf size = (vf)((vi)x ^ sign), z = x * x, far = vf_set(1) - vf_set(2) / (vf_exp(size + size) + vf_set(1));
    vf y = vf_fma(vf_set(-5.70498872745e-3f), z, vf_set(2.06390887954e-2f));
    y = vf_fma(y, z, vf_set(-5.37397155531e-2f));
    y = vf_fma(y, z, vf_set(1.33314422036e-1f));
    y = vf_fma(y, z, vf_set(-3.33332819422e-1f));
    y = vf_fma(y * z, x, x);
    return vf_choose(size < vf_set(0.625f), y, (vf)((vi)far | sign));
}

/* x capped softly, given 1 / cap; and the slope there, of what was capped, from the capped value. */
static inline vf vf_softcap(vf x, vf cap, vf inverse) { return cap * vf_tanh(x * inverse); }
static inline vf vf_softcap_slope(vf capped, vf inverse) {
    vf t = capped * inverse;
    return vf_set(1) - t * t;
}

#endif
