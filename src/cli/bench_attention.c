/* bench_attention.c - talc bench attention: causal attention, forward and backward, beside the
 * peak of multiply-adds. */
#include <math.h>
#include <stdio.h>

#include "cli/bench.h"

/* Sequences of `length` tokens, all heads with keys of their own. The first are of training steps; the last show how
 * time and memory grow with the length. */
static const struct attention_shape {
    int sequences, length, heads, head_dim;
} shapes[] = {{4, 256, 4, 32},  {4, 64, 12, 64},  {1, 1024, 12, 64},
              {1, 2048, 4, 64}, {1, 4096, 4, 64}, {1, 8192, 4, 64}};

enum { Q, K, V, OUT, D_OUT, D_Q, D_K, D_V, LSE, N_FLOAT_TENSORS };

struct attention_bench {
    struct stream *stream;
    struct attention_options o;
    struct attention_tensors t;
    struct attention_gradients g;
    struct tensor floats[N_FLOAT_TENSORS], indices;
};

static void forward(void *context) {
    struct attention_bench *a = context;
    a->stream->ops->attention_forward(a->stream, &a->o, &a->t);
}

static void backward(void *context) {
    struct attention_bench *a = context;
    a->stream->ops->attention_backward(a->stream, &a->o, &a->t, &a->g);
}

/* starts, lengths and positions, one after the other. */
static void fill_indices(struct attention_bench *a, const struct attention_shape *s, int32_t *host) {
    int n = s->sequences * s->length;
    for (int i = 0; i <= s->sequences; i++) host[i] = i * s->length;
    for (int i = 0; i < s->sequences; i++) host[s->sequences + 1 + i] = s->length;
    for (int i = 0; i < n; i++) host[2 * s->sequences + 1 + i] = i % s->length;
    a->stream->backend->copy_in(a->stream, a->indices.data, host, (size_t)(2 * s->sequences + 1 + n) * sizeof *host);
    struct tensor all = tensor_view(a->indices.data, DTYPE_I32, 1, 2 * s->sequences + 1 + n);
    a->t.starts = tensor_cols(all, 0, s->sequences + 1);
    a->t.lengths = tensor_cols(all, s->sequences + 1, s->sequences);
    a->t.positions = tensor_cols(all, 2 * s->sequences + 1, n);
}

static bool attention_open(struct attention_bench *a, struct bench *b, const struct attention_shape *s,
                           struct talc_error *err) {
    struct rng rng = rng_make(1, 0);
    int64_t n = (int64_t)s->sequences * s->length, width = (int64_t)s->heads * s->head_dim;
    int32_t host[2 * 8192 + 64];
    *a = (struct attention_bench){.stream = &b->opened.stream};
    a->o = (struct attention_options){.n_heads = s->heads,
                                      .n_kv_heads = s->heads,
                                      .head_dim = s->head_dim,
                                      .scale = 1 / sqrtf((float)s->head_dim),
                                      .n_sequences = s->sequences,
                                      .max_length = s->length};
    a->indices = bench_random(b, 1, 2 * s->sequences + 1 + n, &rng, err);
    bool ok = tensor_present(a->indices);
    for (int i = 0; ok && i < N_FLOAT_TENSORS; i++) {
        a->floats[i] = bench_random(b, n, i == LSE ? s->heads : width, &rng, err);
        ok = tensor_present(a->floats[i]);
    }
    if (!ok) return false;
    fill_indices(a, s, host);
    a->t.q = a->floats[Q], a->t.k = a->floats[K], a->t.v = a->floats[V];
    a->t.out = a->floats[OUT], a->t.lse = a->floats[LSE];
    a->g = (struct attention_gradients){a->floats[D_OUT], a->floats[D_Q], a->floats[D_K], a->floats[D_V]};
    return true;
}

static void attention_close(struct attention_bench *a, struct bench *b) {
    for (int i = 0; i < N_FLOAT_TENSORS; i++) bench_give(b, a->floats[i]);
    bench_give(b, a->indices);
}

/* Operations: a score and a weighted sum are head_dim multiply-adds each a visible pair; backward has five such
 * products. What a kernel computes of masked pairs does not count. */
static void print_shape(struct bench *b, struct attention_bench *a, const struct attention_shape *s) {
    double pairs = (double)s->sequences * s->length * (s->length + 1) / 2 * s->heads,
           tokens = (double)s->sequences * s->length;
    double products = 2.0 * s->head_dim * pairs, rate, limit;
    char name[64];
    bench_rate(b, DTYPE_F32, 2 * products, forward, a, &rate, &limit);
    snprintf(name, sizeof name, "%dx%d, %d heads of %d, forward", s->sequences, s->length, s->heads, s->head_dim);
    bench_row(b, name, rate / 1e9, "GFLOP/s", limit / 1e9);
    double seconds = 2 * products / rate;
    bench_rate(b, DTYPE_F32, 5 * products, backward, a, &rate, &limit);
    snprintf(name, sizeof name, "%dx%d, %d heads of %d, backward", s->sequences, s->length, s->heads, s->head_dim);
    bench_row(b, name, rate / 1e9, "GFLOP/s", limit / 1e9);
    seconds += 5 * products / rate;
    snprintf(name, sizeof name, "%dx%d, both, a token and key", s->sequences, s->length);
    bench_row(b, name, seconds / tokens / s->length * 1e9, "ns", 0);
}

bool bench_attention(struct bench *b, struct talc_error *err) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct attention_bench a;
        bool ok = attention_open(&a, b, &shapes[i], err);
        if (ok) print_shape(b, &a, &shapes[i]);
        attention_close(&a, b);
        if (!ok) return false;
    }
    return true;
}
