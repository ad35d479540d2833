/* bench_profile.c - see bench_profile.h. The table is the first member of `struct profile`, so that an operation finds
 * the profile through the stream that it is given. */
#include "cli/bench_profile.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define T struct tensor
#define STRUCT(name) const struct name *

/* Name, parameters after the stream, and the same as arguments. */
#define OPERATIONS(X)                                                                                                  \
    X(zero, (struct stream * s, T x), (s, x))                                                                          \
    X(copy, (struct stream * s, T dst, T src), (s, dst, src))                                                          \
    X(add, (struct stream * s, T dst, T src), (s, dst, src))                                                           \
    X(gather_rows, (struct stream * s, T out, T x, T rows), (s, out, x, rows))                                         \
    X(scatter_add_rows, (struct stream * s, T x, T y, T rows), (s, x, y, rows))                                        \
    X(embedding_forward, (struct stream * s, T out, T table, float scale, T tokens, T position_table, T positions),    \
      (s, out, table, scale, tokens, position_table, positions))                                                       \
    X(embedding_backward,                                                                                              \
      (struct stream * s, T d_table, float scale, T tokens, T d_position_table, T positions, T d_out),                 \
      (s, d_table, scale, tokens, d_position_table, positions, d_out))                                                 \
    X(norm_forward,                                                                                                    \
      (struct stream * s, struct norm_options o, T out, T residual, T x, T delta, T weight, T bias, T stats),          \
      (s, o, out, residual, x, delta, weight, bias, stats))                                                            \
    X(norm_backward,                                                                                                   \
      (struct stream * s, struct norm_options o, T d_x, T d_weight, T d_bias, T d_out, T x, T weight, T stats),        \
      (s, o, d_x, d_weight, d_bias, d_out, x, weight, stats))                                                          \
    X(matmul, (struct stream * s, STRUCT(matmul_options) o, T c, T a, T b), (s, o, c, a, b))                           \
    X(bias_backward, (struct stream * s, T d_bias, T d_out), (s, d_bias, d_out))                                       \
    X(qkv_forward, (struct stream * s, STRUCT(qkv_options) o, STRUCT(qkv_tensors) t, T q, T k, T v),                   \
      (s, o, t, q, k, v))                                                                                              \
    X(qkv_backward,                                                                                                    \
      (struct stream * s, STRUCT(qkv_options) o, STRUCT(qkv_tensors) t, T d_qkv, T d_q_norm, T d_k_norm, T d_q, T d_k, \
       T d_v),                                                                                                         \
      (s, o, t, d_qkv, d_q_norm, d_k_norm, d_q, d_k, d_v))                                                             \
    X(attention_forward, (struct stream * s, STRUCT(attention_options) o, STRUCT(attention_tensors) t), (s, o, t))     \
    X(attention_backward,                                                                                              \
      (struct stream * s, STRUCT(attention_options) o, STRUCT(attention_tensors) t, STRUCT(attention_gradients) g),    \
      (s, o, t, g))                                                                                                    \
    X(activation_forward, (struct stream * s, enum activation_kind kind, T out, T x), (s, kind, out, x))               \
    X(activation_backward, (struct stream * s, enum activation_kind kind, T d_x, T d_out, T x),                        \
      (s, kind, d_x, d_out, x))                                                                                        \
    X(dropout, (struct stream * s, struct dropout_options o, T x, T rng), (s, o, x, rng))                              \
    X(softcap, (struct stream * s, T x, float cap), (s, x, cap))                                                       \
    X(stats_forward, (struct stream * s, T stats, T logits, T targets, float t), (s, stats, logits, targets, t))       \
    X(stats_backward, (struct stream * s, T logits, T stats, T grads, T targets, float t, float cap),                  \
      (s, logits, stats, grads, targets, t, cap))                                                                      \
    X(sum_of_squares, (struct stream * s, T sum, T x), (s, sum, x))                                                    \
    X(adamw, (struct stream * s, STRUCT(adamw_part) parts, int n_parts), (s, parts, n_parts))                          \
    X(copy_rounded, (struct stream * s, T dst, T src, T rng, uint32_t site), (s, dst, src, rng, site))                 \
    X(nesterov, (struct stream * s, T out, T gradient, T m, T step), (s, out, gradient, m, step))                      \
    X(normalize, (struct stream * s, T x, T sum, float slack, float epsilon), (s, x, sum, slack, epsilon))             \
    X(scale_add, (struct stream * s, T dst, float a, T src, float b), (s, dst, a, src, b))                             \
    X(descend, (struct stream * s, T parameter, T update, float scale, float weight_decay, T step),                    \
      (s, parameter, update, scale, weight_decay, step))

enum operation {
#define NUMBER(name, parameters, arguments) OPERATION_##name,
    OPERATIONS(NUMBER) N_OPERATIONS
};

struct profile {
    struct ops timed; /* first: a stream's `ops` points here */
    const struct ops *own;
    double seconds[N_OPERATIONS];
    int64_t calls[N_OPERATIONS];
};

static const char *const names[N_OPERATIONS] = {
#define NAME(name, parameters, arguments) #name,
    OPERATIONS(NAME)};

static struct profile *profile_of(const struct stream *s) { return (struct profile *)(void *)s->ops; }

#define TIMED(name, parameters, arguments)                                                                             \
    static void timed_##name parameters {                                                                              \
        struct profile *p = profile_of(s);                                                                             \
        double start = clock_seconds();                                                                                \
        p->own->name arguments;                                                                                        \
        p->seconds[OPERATION_##name] += clock_seconds() - start;                                                       \
        p->calls[OPERATION_##name]++;                                                                                  \
    }
OPERATIONS(TIMED)

struct profile *profile_open(struct stream *stream, struct talc_error *err) {
    struct profile *p = calloc(1, sizeof *p);
    if (!p) {
        talc_fail(err, "out of memory for the profile");
        return NULL;
    }
    p->own = stream->ops;
#define ENTER(name, parameters, arguments) p->timed.name = timed_##name;
    OPERATIONS(ENTER)
    stream->ops = &p->timed;
    return p;
}

void profile_clear(struct profile *p) {
    for (int i = 0; i < N_OPERATIONS; i++) {
        p->seconds[i] = 0;
        p->calls[i] = 0;
    }
}

void profile_print(const struct profile *p, const struct bench *b, int64_t steps) {
    double left[N_OPERATIONS], total = 0;
    for (int i = 0; i < N_OPERATIONS; i++) total += left[i] = p->seconds[i];
    for (;;) {
        int longest = 0;
        for (int i = 1; i < N_OPERATIONS; i++)
            if (left[i] > left[longest]) longest = i;
        if (left[longest] <= 0) return;
        left[longest] = 0;
        char name[64];
        snprintf(name, sizeof name, "%s, %lld calls", names[longest], (long long)(p->calls[longest] / steps));
        bench_row(b, name, p->seconds[longest] / (double)steps * 1e3, "ms", total / (double)steps * 1e3);
    }
}

void profile_close(struct profile *p, struct stream *stream) {
    if (!p) return;
    stream->ops = p->own;
    free(p);
}
