/* cpu_backend.c - opens the CPU back end: picks the instruction set, owns the scratch memory. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "base/clock.h"
#include "tensor/cpu/cpu.h"

extern const struct backend backend_cpu;

static bool always(void) { return true; }
#if defined(__x86_64__)
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#if defined(HAVE_AVX512BF16)
static bool has_avx512bf16(void) { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }
static void matmul_avx512bf16(struct stream *s, const struct matmul_options *o, struct tensor c, struct tensor a,
                              struct tensor b) {
    (o->compute == DTYPE_BF16 ? cpu_matmul_avx512bf16 : cpu_ops_avx512.matmul)(s, o, c, a, b);
}
#endif
#endif

#define AVX512 "AVX-512, 16 floats at a time, products in tiles of 8 x 48"

static const struct instruction_set {
    const char *name, *description;
    bool (*available)(void);
    const struct ops *ops;
    float (*multiply_adds)(int64_t n); /* the limit, see peak.c */
    /* Where instructions multiply bf16: products of both types, and what there is to say of bf16. */
    const char *description_bf16;
    void (*matmul)(struct stream *s, const struct matmul_options *o, struct tensor c, struct tensor a, struct tensor b);
    float (*multiply_adds_bf16)(int64_t n);
} instruction_sets[] = {
#if defined(__x86_64__)
#if defined(HAVE_AVX512BF16)
    {"avx512bf16", AVX512, has_avx512bf16, &cpu_ops_avx512, cpu_multiply_adds_avx512,
     "AVX-512 BF16, 32 numbers at a time, products in tiles of 8 x 48", matmul_avx512bf16,
     cpu_multiply_adds_avx512bf16},
#endif
    {"avx512", AVX512, has_avx512, &cpu_ops_avx512, cpu_multiply_adds_avx512, NULL, NULL, NULL},
    {"avx2", "AVX2 with FMA, 8 floats at a time, products in tiles of 6 x 16", has_avx2, &cpu_ops_avx2,
     cpu_multiply_adds_avx2, NULL, NULL, NULL},
#elif defined(__aarch64__)
    {"neon", "NEON, 4 floats at a time, products in tiles of 8 x 12", always, &cpu_ops_neon, cpu_multiply_adds_neon,
     NULL, NULL, NULL},
#endif
    {"portable", "portable C, 4 floats at a time, products in tiles of 4 x 8", always, &cpu_ops_portable,
     cpu_multiply_adds_portable, NULL, NULL, NULL},
};

static const struct instruction_set *choose(const char *variant, struct talc_error *err) {
    size_t n = sizeof instruction_sets / sizeof *instruction_sets;
    for (size_t i = 0; i < n; i++) {
        const struct instruction_set *set = &instruction_sets[i];
        if (!variant && set->available()) return set;
        if (!variant || strcmp(variant, set->name) != 0) continue;
        if (set->available()) return set;
        talc_fail(err, "this machine has no %s; say --device cpu to use what it has", variant);
        return NULL;
    }
    talc_fail(err,
              "device 'cpu' has no variant '%s'; there are avx512bf16, avx512 and avx2 (x86-64), neon (ARM64) and "
              "portable",
              variant);
    return NULL;
}

static bool cpu_open(struct stream *stream, const char *variant, struct thread_pool *pool, struct talc_error *err) {
    const struct instruction_set *set = choose(variant, err);
    if (!set) return false;
    struct cpu_state *state = calloc(1, sizeof *state);
    if (state) state->own = calloc((size_t)thread_pool_size(pool), sizeof *state->own);
    if (!state || !state->own) {
        free(state);
        return talc_fail(err, "out of memory opening device 'cpu'");
    }
    state->set = set;
    state->ops = *set->ops;
    if (set->matmul) state->ops.matmul = set->matmul;
    state->n_workers = thread_pool_size(pool);
    *stream = (struct stream){.backend = &backend_cpu, .ops = &state->ops, .pool = pool, .state = state};
    return true;
}

static void cpu_close(struct stream *stream) {
    struct cpu_state *state = stream->state;
    for (int i = 0; i < state->n_workers; i++) free(state->own[i].memory);
    free(state->shared.memory);
    free(state->own);
    free(state);
}

static const char *cpu_describe(const struct stream *stream, enum dtype compute) {
    const struct instruction_set *set = ((const struct cpu_state *)stream->state)->set;
    if (compute != DTYPE_BF16) return set->description;
    return set->description_bf16 ? set->description_bf16 : "operands rounded to bf16, multiplied in fp32";
}

static bool grow(struct stream *s, struct cpu_scratch *scratch, size_t n_bytes) {
    if (n_bytes <= scratch->capacity) return true;
    size_t capacity = round_up_size(n_bytes + n_bytes / 4, 4096);
    char *memory = capacity > n_bytes ? aligned_alloc(64, capacity) : NULL;
    if (!memory) {
        stream_fail(s, "out of memory: a kernel needs %zu bytes of scratch", n_bytes);
        return false;
    }
    free(scratch->memory);
    *scratch = (struct cpu_scratch){memory, capacity};
    return true;
}

void *cpu_scratch_shared(struct stream *s, size_t n_bytes) {
    struct cpu_state *state = s->state;
    return grow(s, &state->shared, n_bytes) ? state->shared.memory : NULL;
}

bool cpu_scratch_reserve(struct stream *s, size_t n_bytes_each) {
    struct cpu_state *state = s->state;
    for (int i = 0; i < state->n_workers; i++)
        if (!grow(s, &state->own[i], n_bytes_each)) return false;
    return true;
}

#define HUGE_PAGE ((size_t)2 << 20)

/* Large pieces lie in huge pages where the system has them: rows of matrices are often a page or more apart. The last
 * page counts whole, so smaller pieces would hold notably more than they were asked for. */
static void *cpu_memory_take(struct stream *stream, size_t n_bytes, struct talc_error *err) {
    (void)stream;
    size_t alignment = n_bytes >= 20 * HUGE_PAGE ? HUGE_PAGE : 64,
           size = round_up_size(n_bytes ? n_bytes : 1, alignment);
    void *memory = size >= n_bytes ? aligned_alloc(alignment, size) : NULL;
#ifdef MADV_HUGEPAGE
    if (memory && alignment == HUGE_PAGE) madvise(memory, size, MADV_HUGEPAGE);
#endif
    if (!memory) {
        talc_fail(err, "out of memory: %.1f MiB are needed; use a smaller model, batch or context",
                  (double)n_bytes / 1048576);
        return NULL;
    }
    memset(memory, 0, n_bytes);
    return memory;
}

static void cpu_memory_give(struct stream *stream, void *memory) {
    (void)stream;
    free(memory);
}

static void cpu_copy(struct stream *stream, void *to, const void *from, size_t n_bytes) {
    if (!stream->failed && n_bytes) memcpy(to, from, n_bytes);
}

struct peak_work {
    float (*multiply_adds)(int64_t n);
    int64_t n;
};

static void multiply_adds(void *context, int task, int worker) {
    (void)task, (void)worker;
    const struct peak_work *w = context;
    w->multiply_adds(w->n);
}

/* On every thread at once, some milliseconds long: long enough not to see the pool, short enough to sit right beside
 * what is measured on a machine whose clock wanders. */
static double cpu_peak_flops(struct stream *stream, enum dtype compute) {
    const struct cpu_state *state = stream->state;
    struct peak_work w = {state->set->multiply_adds, 40 << 20};
    if (compute == DTYPE_BF16 && state->set->multiply_adds_bf16)
        w = (struct peak_work){state->set->multiply_adds_bf16, 80 << 20};
    double start = clock_seconds();
    thread_pool_run(stream->pool, state->n_workers, multiply_adds, &w);
    return 2.0 * (double)w.n * state->n_workers / (clock_seconds() - start);
}

static bool cpu_synchronize(struct stream *stream, struct talc_error *err) {
    return stream->failed ? talc_fail(err, "%s", stream->error.message) : true;
}

const struct backend backend_cpu = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .describe = cpu_describe,
    .memory_take = cpu_memory_take,
    .memory_give = cpu_memory_give,
    .copy_in = cpu_copy,
    .copy_out = cpu_copy,
    .synchronize = cpu_synchronize,
    .peak_flops = cpu_peak_flops,
};
