/* tile.h - the micro-kernel under matrix products and attention: a few rows by a few vectors of
 * columns, in registers. */
#ifndef TALC_TENSOR_CPU_ISA_TILE_H
#define TALC_TENSOR_CPU_ISA_TILE_H

#include "tensor/cpu/isa/simd.h"

#define INLINE static inline __attribute__((always_inline))

/* Rows of a tile: with the vectors of a step, as many as there are registers for. */
#if defined(ISA_AVX512) || defined(ISA_NEON)
#define TILE_ROWS 8
#elif defined(ISA_AVX2)
#define TILE_ROWS 6
#else
#define TILE_ROWS 4
#endif
#define TILE_MOST_VECTORS 3

typedef vf tile_sums[TILE_ROWS][TILE_MOST_VECTORS];

/* sums[r][...] += a[r * row + k * step] * b[k * b_step ...] for k in [0, depth), one after the other: cells, of one
 * element each but in products of bf16 pairs. `rows` and `vectors` are numbers that the compiler knows. Rows of a are
 * addressed from three bases, which needs few registers. */
INLINE void tile_multiply(tile_sums sums, const float *a, int64_t row, int64_t step, const float *b, int64_t b_step,
                          int64_t depth, const int rows, const int vectors) {
    const float *base[3] = {a, a + (rows > 3 ? 3 * row : 0), a + (rows > 6 ? 6 * row : 0)};
    UNROLL_BY_4
    for (int64_t k = 0; k < depth; k++) {
        vf column[TILE_MOST_VECTORS];
        UNROLL
        for (int v = 0; v < vectors; v++) column[v] = vf_load(b + v * VF_LANES);
        UNROLL
        for (int r = 0; r < rows; r++) {
            vf x = vf_set(base[r / 3][r % 3 * row]);
            UNROLL
            for (int v = 0; v < vectors; v++) sums[r][v] = vf_fma_cells(x, column[v], sums[r][v]);
        }
        base[0] += step;
        base[1] += step;
        base[2] += step;
        b += b_step;
    }
}

#endif
