/* peak.c - the limit that kernels are measured against: multiply-adds from registers alone. */
#include "tensor/cpu/isa/kernels.h"
#include "tensor/cpu/isa/simd.h"

/* Chains enough to hide the latency of an addition (4 cycles, two units), few enough to stay in registers. */
#if defined(ISA_AVX512) || defined(ISA_NEON)
#define CHAINS 16
#else
#define CHAINS 12
#endif

float ISA_NAME(cpu_multiply_adds)(int64_t n) {
    vf sums[CHAINS], x = vf_set(0.5f), y = vf_set(0.25f), total = vf_set(0);
    UNROLL
    for (int i = 0; i < CHAINS; i++) sums[i] = vf_set((float)i);
    for (int64_t i = 0; i < n; i += CHAINS * VF_LANES * CELL_DEPTH) {
        UNROLL
        for (int j = 0; j < CHAINS; j++)
            sums[j] = CELL_DEPTH == 2 ? vf_fma_cells(x, y, sums[j]) : vf_fma(sums[j], x, y);
        __asm__ volatile("" ::: "memory"); /* the loop has no other effect: this keeps it as it is */
    }
    UNROLL
    for (int i = 0; i < CHAINS; i++) total = total + sums[i];
    return vf_sum(total);
}
