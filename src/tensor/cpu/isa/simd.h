/* simd.h - a vector of floats and what the kernels do with it, for the instruction set that a file is compiled for. */
#ifndef TALC_TENSOR_CPU_ISA_SIMD_H
#define TALC_TENSOR_CPU_ISA_SIMD_H

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
static inline vf vf_round(vf a) { return (vf)_mm512_roundscale_ps((__m512)a, 8); }
static inline vi vf_to_int(vf a) { return (vi)_mm512_cvtps_epi32((__m512)a); }
static inline vf vf_sqrt(vf a) { return (vf)_mm512_sqrt_ps((__m512)a); }
#elif defined(ISA_AVX2)
#include <immintrin.h>
#define VF_LANES 8
typedef float vf __attribute__((vector_size(32), may_alias));
typedef int32_t vi __attribute__((vector_size(32), may_alias));
static inline vf vf_set(float x) { return (vf)_mm256_set1_ps(x); }
static inline vf vf_fma(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
static inline vf vf_max(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
static inline vf vf_min(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
static inline vf vf_round(vf a) { return (vf)_mm256_round_ps((__m256)a, 8); }
static inline vi vf_to_int(vf a) { return (vi)_mm256_cvtps_epi32((__m256)a); }
static inline vf vf_sqrt(vf a) { return (vf)_mm256_sqrt_ps((__m256)a); }
#else
#define VF_LANES 4
typedef float vf __attribute__((vector_size(16), may_alias));
typedef int32_t vi __attribute__((vector_size(16), may_alias));
static inline vf vf_set(float x) { return (vf){x, x, x, x}; }
static inline vf vf_fma(vf a, vf b, vf c) { return a * b + c; } /* not fused: few machines without the above could */
static inline vf vf_max(vf a, vf b) { return (vf)(((vi)a & (a > b)) | ((vi)b & ~(a > b))); }
static inline vf vf_min(vf a, vf b) { return (vf)(((vi)a & (a < b)) | ((vi)b & ~(a < b))); }
static inline vf vf_round(vf a) { return (vf){rintf(a[0]), rintf(a[1]), rintf(a[2]), rintf(a[3])}; }
static inline vi vf_to_int(vf a) { return (vi){(int32_t)a[0], (int32_t)a[1], (int32_t)a[2], (int32_t)a[3]}; }
static inline vf vf_sqrt(vf a) { return (vf){sqrtf(a[0]), sqrtf(a[1]), sqrtf(a[2]), sqrtf(a[3])}; }
#endif

#define ISA_NAME_(name, suffix) name##_##suffix
#define ISA_NAME__(name, suffix) ISA_NAME_(name, suffix)
#define ISA_NAME(name) ISA_NAME__(name, ISA_SUFFIX)

typedef float vf_unaligned __attribute__((vector_size(4 * VF_LANES), aligned(4), may_alias));

static inline vf vf_load(const float *p) { return *(const vf_unaligned *)p; }
static inline void vf_store(float *p, vf x) { *(vf_unaligned *)p = x; }
/* The first n < VF_LANES floats; the other lanes are `rest`. */
static inline vf vf_load_part(const float *p, int64_t n, float rest) {
    float lanes[VF_LANES];
    for (int i = 0; i < VF_LANES; i++) lanes[i] = i < n ? p[i] : rest;
    return vf_load(lanes);
}
static inline void vf_store_part(float *p, int64_t n, vf x) {
    float lanes[VF_LANES];
    vf_store(lanes, x);
    memcpy(p, lanes, (size_t)n * sizeof(float));
}
/* Sums and maxima over lanes, always in the same order: pairs at half the distance each time. */
static inline float vf_sum(vf x) {
    float l[VF_LANES];
    vf_store(l, x);
    for (int n = VF_LANES / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++) l[i] += l[i + n];
    return l[0];
}
static inline float vf_largest(vf x) {
    float l[VF_LANES];
    vf_store(l, x);
    for (int n = VF_LANES / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++) l[i] = l[i] > l[i + n] ? l[i] : l[i + n];
    return l[0];
}
static inline vf vf_choose(vi mask, vf yes, vf no) { return (vf)(((vi)yes & mask) | ((vi)no & ~mask)); }

/* e^x with relative error under 2e-7: 2^n times a polynomial of the rest in [-ln2/2, ln2/2] (Cephes' expf). Below -87.3 it
 * is 0; above 88 it stays at e^88. */
static inline vf vf_exp(vf x) {
    vi tiny = x < vf_set(-87.3f);
    x = vf_min(vf_max(x, vf_set(-87.3f)), vf_set(88.0f));
    vf n = vf_round(x * vf_set(1.44269504088896341f));
    x = vf_fma(n, vf_set(-0.693359375f), x);
    x = vf_fma(n, vf_set(2.12194440e-4f), x);
    vf y = vf_set(1.9875691500e-4f);
    y = vf_fma(y, x, vf_set(1.3981999507e-3f));
    y = vf_fma(y, x, vf_set(8.3334519073e-3f));
    y = vf_fma(y, x, vf_set(4.1665795894e-2f));
    y = vf_fma(y, x, vf_set(1.6666665459e-1f));
    y = vf_fma(y, x, vf_set(5.0000001201e-1f));
    y = vf_fma(y, x * x, x + vf_set(1.0f));
    vi power = (vf_to_int(n) + 127) << 23;
    return vf_choose(tiny, vf_set(0), y * (vf)power);
}

/* tanh(x) = 1 - 2 / (e^2x + 1): absolute error under 2e-7. */
static inline vf vf_tanh(vf x) { return vf_set(1) - vf_set(2) / (vf_exp(x + x) + vf_set(1)); }
static inline vf vf_sigmoid(vf x) { return vf_set(1) / (vf_set(1) + vf_exp(-x)); }

#endif
