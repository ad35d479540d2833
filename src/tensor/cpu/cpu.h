/* cpu.h - shared by the CPU back end: its state, and the operation table of each instruction set. */
#ifndef TALC_TENSOR_CPU_CPU_H
#define TALC_TENSOR_CPU_CPU_H

#include "tensor/ops.h"

extern const struct ops cpu_ops_portable;
float cpu_multiply_adds_portable(int64_t n);
#if defined(__x86_64__)
extern const struct ops cpu_ops_avx2, cpu_ops_avx512;
float cpu_multiply_adds_avx2(int64_t n), cpu_multiply_adds_avx512(int64_t n);
#if defined(HAVE_AVX512BF16) /* the compiler's, not the machine's; products of DTYPE_BF16 only */
void cpu_matmul_avx512bf16(struct stream *s, const struct matmul_options *o, struct tensor c, struct tensor a,
                           struct tensor b);
float cpu_multiply_adds_avx512bf16(int64_t n);
#endif
#elif defined(__aarch64__)
extern const struct ops cpu_ops_neon;
float cpu_multiply_adds_neon(int64_t n);
#endif

struct cpu_scratch {
    char *memory;
    size_t capacity;
};

struct cpu_state {
    const struct instruction_set *set;
    struct ops ops;
    struct cpu_scratch shared; /* one piece for the whole operation, e.g. a packed matrix */
    struct cpu_scratch *own;   /* one a worker */
    int n_workers;
};

/* The tasks of an operation; none after a failure (device.h). */
static inline void cpu_run(struct stream *s, int n_tasks, void (*task)(void *, int, int), void *context) {
    if (!s->failed) thread_pool_run(s->pool, n_tasks, task, context);
}

/* At least n_bytes, 64-byte aligned, good until the next call for the same place; NULL (and a latched error) when there
 * is no memory. Grown rarely and kept. The second is for worker `worker` inside a task. */
void *cpu_scratch_shared(struct stream *s, size_t n_bytes);
bool cpu_scratch_reserve(struct stream *s, size_t n_bytes_each); /* for every worker; before the tasks run */
static inline void *cpu_scratch_own(struct stream *s, int worker) {
    return ((struct cpu_state *)s->state)->own[worker].memory;
}

#endif
