/* blocks.h - the number types of ggml's files, unpacked to floats. A row of weights is cut into blocks of `elements`
 * numbers that share scales, `bytes` bytes each; the plain types are blocks of one. What comes out is, to the bit, what
 * ggml's dequantize_row_* gives (github.com/ggml-org/ggml, ggml-common.h and ggml-quants.c).
 *
 * Layouts, in the order of the bytes; all little-endian, f16 is IEEE binary16, x[n] are n bytes. q is a number's code:
 *
 *   Q4_0    f16 d; qs[16]                          d (q - 8): q is the low four bits of qs[i] for number i of the first
 *                                                  16, the high four for number 16 + i. So are those of all "qs[16]"
 *   Q4_1    f16 d, m; qs[16]                       d q + m
 *   Q5_0    f16 d; qh[4]; qs[16]                   d (q - 16): bit i of qh is the fifth bit of number i
 *   Q5_1    f16 d, m; qh[4]; qs[16]                d q + m
 *   Q8_0    f16 d; i8 qs[32]                       d q
 *   IQ4_NL  f16 d; qs[16]                          d table[q]
 *   MXFP4   e8m0 d; qs[16]                         d e2m1[q] (OCP Microscaling Formats 1.0)
 *
 * Types of 256 numbers have scales of their own for each 16 or 32 of them, in multiples of d (and minima, of m):
 *
 *   Q2_K    scales[16]; qs[64]; f16 d, m           d s q - m t: s the low, t the high four bits of a scale, 16 numbers
 *   Q3_K    hmask[32]; qs[64]; scales[12]; f16 d   d (s - 32) (q - 4): 16 numbers
 *   Q4_K    f16 d, m; scales[12]; qs[128]          d s q - m t: 32 numbers
 *   Q5_K    f16 d, m; scales[12]; qh[32]; qs[128]  the same with five bits
 *   Q6_K    ql[128]; qh[64]; i8 scales[16]; f16 d  d s (q - 32): 16 numbers
 *   IQ4_XS  f16 d; u16 sh; sl[4]; qs[128]          d (s - 32) table[q]: 32 numbers
 *
 * Their bytes of low bits serve numbers that are 32 (of six bits: 64) apart, from the low bits up. */
#ifndef TALC_TENSOR_BLOCKS_H
#define TALC_TENSOR_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

enum { BLOCK_MAX_ELEMENTS = 256 };

/* Numbers that ggml gives the plain types. */
enum { BLOCK_F32 = 0, BLOCK_F16 = 1, BLOCK_F64 = 28, BLOCK_BF16 = 30 };

struct block_type {
    const char *name; /* "Q4_K" */
    size_t elements, bytes;
    /* One block, not aligned, to `elements` floats; NULL: a type that talc does not unpack. */
    void (*unpack)(const unsigned char *block, float *out);
};

/* The type that ggml gives this number; NULL: none, or one that it no longer has. */
const struct block_type *block_type_of(uint32_t number);

/* n_blocks blocks that follow each other. */
void blocks_unpack(const struct block_type *type, const void *blocks, size_t n_blocks, float *out);

#endif
