/* host.c - this machine, measured; see host.h. */
#include "plan/host.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "train/trainer.h"

/* A product of a size that training has, large enough for every core. */
enum { M = 1024, N = 1024, K = 768 };

static bool take(struct stream *s, struct tensor *t, int64_t rows, int64_t cols, struct talc_error *err) {
    size_t n = (size_t)(rows * cols);
    float *host = malloc(n * sizeof *host);
    void *memory = host ? s->backend->memory_take(s, n * sizeof *host, err) : NULL;
    for (size_t i = 0; memory && i < n; i++) host[i] = (float)(i % 13) / 13 - 0.5f;
    if (memory) s->backend->copy_in(s, memory, host, n * sizeof *host);
    free(host);
    *t = memory ? tensor_view(memory, DTYPE_F32, rows, cols) : tensor_absent();
    return memory || talc_fail(err, "out of memory to measure this machine");
}

/* The best of what fits in 0.05 s: other work on the machine only ever slows a product down. */
static double product_rate(struct stream *s, struct tensor c, struct tensor a, struct tensor b, enum dtype compute) {
    struct matmul_options o = {.layout = MATMUL_NT, .compute = compute};
    double start = clock_seconds(), best = 1e30;
    do {
        double begin = clock_seconds();
        s->ops->matmul(s, &o, c, a, b);
        s->backend->synchronize(s, NULL);
        double seconds = clock_seconds() - begin;
        if (seconds < best) best = seconds;
    } while (clock_seconds() - start < 0.05);
    return 2.0 * M * N * K / best;
}

struct copy {
    char *to, *from;
    size_t part;
};

static void copy_part(void *context, int i, int worker) {
    struct copy *c = context;
    (void)worker;
    memcpy(c->to + (size_t)i * c->part, c->from + (size_t)i * c->part, c->part);
}

/* Bytes a second, read and written, by copying what no cache holds. */
static bool copy_rate(struct thread_pool *pool, double *rate, struct talc_error *err) {
    int n = thread_pool_size(pool);
    struct copy c = {.part = (size_t)32 << 20};
    double best = INFINITY;
    c.to = malloc((size_t)n * c.part), c.from = malloc((size_t)n * c.part);
    bool ok = c.to && c.from;
    if (ok) {
        memset(c.from, 1, (size_t)n * c.part);
        memset(c.to, 2, (size_t)n * c.part);
        for (int i = 0; i < 3; i++) {
            double begin = clock_seconds();
            thread_pool_run(pool, n, copy_part, &c);
            best = fmin(best, clock_seconds() - begin);
        }
        *rate = 2.0 * n * (double)c.part / best;
    }
    free(c.to);
    free(c.from);
    return ok || talc_fail(err, "out of memory to measure this machine");
}

bool host_measure(struct stream *s, struct thread_pool *pool, struct plan_chip *out, struct talc_error *err) {
    struct tensor a, b, c;
    *out = (struct plan_chip){.name = HOST_CHIP,
                              .software = "talc",
                              .network = "one-machine",
                              .units = thread_pool_size(pool),
                              .scale_up_rate = 1e9,
                              .source = "measured just now, as talc bench machine does"};
    bool ok = take(s, &a, M, K, err);
    ok = take(s, &b, N, K, ok ? err : NULL) && ok;
    ok = take(s, &c, M, N, ok ? err : NULL) && ok;
    if (ok) {
        product_rate(s, c, a, b, DTYPE_F32); /* clocks and caches */
        out->matmul[PRECISION_FP32] = product_rate(s, c, a, b, DTYPE_F32);
        out->matmul[PRECISION_BF16] = product_rate(s, c, a, b, DTYPE_BF16);
        out->memory = memory_available() < SIZE_MAX ? (double)memory_available()
                                                    : (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
        ok = copy_rate(pool, &out->memory_rate, err);
    }
    memcpy(out->peak, out->matmul, sizeof out->peak);
    struct tensor *all[] = {&a, &b, &c};
    for (int i = 0; i < 3; i++)
        if (tensor_present(*all[i])) s->backend->memory_give(s, all[i]->data);
    return ok;
}

struct plan_memory host_memory(const struct arch *arch, int micro_batch, int row_tokens, bool recompute) {
    if ((int64_t)micro_batch * row_tokens > 1 << 28) return (struct plan_memory){.total = INFINITY};
    struct trainer_options o = {.row_tokens = row_tokens, .micro_batch_rows = micro_batch, .recompute = recompute};
    struct memory_table t = trainer_memory(arch, &o);
    return (struct plan_memory){.weights = (double)t.parameters,
                                .gradients = (double)t.gradients,
                                .optimizer = (double)t.optimizer,
                                .activations = (double)t.activations,
                                .logits = (double)t.logits,
                                .buffers = (double)t.workspace,
                                .total = (double)t.total};
}
