/* move.c - zero, copy, add, rows by index, embeddings, dropout. */
#include "tensor/cpu/isa/random.h"
#include "tensor/cpu/isa/rows.h"
#include "tensor/cpu/isa/kernels.h"
#include "tensor/cpu/isa/simd.h"

struct move {
    struct tensor a, b, c, d, e;
    float scale; /* of embeddings */
    struct dropout_options dropout;
};

static void zero_rows(void *context, int task, int worker) {
    (void)worker;
    const struct tensor x = ((const struct move *)context)->a;
    size_t size = dtype_size(x.dtype);
    for (int64_t r = task_begin(task); r < task_end(task, x.rows); r++)
        memset((char *)x.data + (size_t)(r * x.stride) * size, 0, (size_t)x.cols * size);
}

/* A vector of all parameters is one row, and by one thread: in one piece it does not go through the caches. */
void ISA_NAME(cpu_zero)(struct stream *s, struct tensor x) {
    struct move m = {.a = x};
    cpu_run(s, row_tasks(x.rows), zero_rows, &m);
}

static double load_element(struct tensor t, int64_t r, int64_t c) {
    int64_t i = r * t.stride + c;
    switch (t.dtype) {
    case DTYPE_BF16: return bf16_to_f32(((const uint16_t *)t.data)[i]);
    case DTYPE_F16: return f16_to_f32(((const uint16_t *)t.data)[i]);
    case DTYPE_F64: return ((const double *)t.data)[i];
    default: return ((const float *)t.data)[i];
    }
}

static void store_element(struct tensor t, int64_t r, int64_t c, double x) {
    int64_t i = r * t.stride + c;
    switch (t.dtype) {
    case DTYPE_BF16: ((uint16_t *)t.data)[i] = f32_to_bf16((float)x); break;
    case DTYPE_F16: ((uint16_t *)t.data)[i] = f32_to_f16((float)x); break;
    case DTYPE_F64: ((double *)t.data)[i] = x; break;
    default: ((float *)t.data)[i] = (float)x; break;
    }
}

static void copy_rows(void *context, int task, int worker) {
    (void)worker;
    const struct move *m = context;
    size_t size = dtype_size(m->a.dtype);
    for (int64_t r = task_begin(task); r < task_end(task, m->a.rows); r++) {
        if (m->a.dtype == m->b.dtype)
            memmove((char *)m->a.data + (size_t)(r * m->a.stride) * size,
                    (char *)m->b.data + (size_t)(r * m->b.stride) * size, (size_t)m->a.cols * size);
        else
            for (int64_t c = 0; c < m->a.cols; c++) store_element(m->a, r, c, load_element(m->b, r, c));
    }
}

void ISA_NAME(cpu_copy)(struct stream *s, struct tensor dst, struct tensor src) {
    struct move m = {.a = dst, .b = src};
    cpu_run(s, row_tasks(dst.rows), copy_rows, &m);
}

/* to += scale * from */
static inline void add_row(float *to, float scale, const float *from, int64_t n) {
    int64_t c = 0;
    for (; c + VF_LANES <= n; c += VF_LANES) vf_store(to + c, vf_load(to + c) + vf_load(from + c) * vf_set(scale));
    for (; c < n; c++) to[c] += from[c] * scale;
}

static void add_rows(void *context, int task, int worker) {
    (void)worker;
    const struct move *m = context;
    for (int64_t r = task_begin(task); r < task_end(task, m->a.rows); r++)
        add_row(row_f32(m->a, r), 1, row_f32(m->b, r), m->a.cols);
}

void ISA_NAME(cpu_add)(struct stream *s, struct tensor dst, struct tensor src) {
    struct move m = {.a = dst, .b = src};
    cpu_run(s, row_tasks(dst.rows), add_rows, &m);
}

/* Latches an error where an index lies outside [0, limit). */
static bool indices_fit(struct stream *s, struct tensor indices, int64_t n, int64_t limit, const char *what) {
    for (int64_t i = 0; i < n; i++)
        if (vector_i32(indices)[i] < 0 || vector_i32(indices)[i] >= limit) {
            stream_fail(s, "%s %lld is %d, outside 0..%lld", what, (long long)i, vector_i32(indices)[i],
                        (long long)limit - 1);
            return false;
        }
    return true;
}

static void gather(void *context, int task, int worker) {
    (void)worker;
    const struct move *m = context;
    for (int64_t i = task_begin(task); i < task_end(task, m->a.rows); i++)
        memcpy(row_f32(m->a, i), row_f32(m->b, vector_i32(m->c)[i]), (size_t)m->a.cols * sizeof(float));
}

void ISA_NAME(cpu_gather_rows)(struct stream *s, struct tensor out, struct tensor x, struct tensor rows) {
    struct move m = {.a = out, .b = x, .c = rows};
    if (!s->failed && indices_fit(s, rows, out.rows, x.rows, "row")) cpu_run(s, row_tasks(out.rows), gather, &m);
}

static void scatter(void *context, int task, int worker) {
    (void)worker;
    const struct move *m = context;
    for (int64_t i = task_begin(task); i < task_end(task, m->b.rows); i++)
        add_row(row_f32(m->a, vector_i32(m->c)[i]), 1, row_f32(m->b, i), m->b.cols);
}

void ISA_NAME(cpu_scatter_add_rows)(struct stream *s, struct tensor x, struct tensor y, struct tensor rows) {
    struct move m = {.a = x, .b = y, .c = rows};
    if (!s->failed && indices_fit(s, rows, y.rows, x.rows, "row")) cpu_run(s, row_tasks(y.rows), scatter, &m);
}

/* ---- embedding ------------------------------------------------------------------------------- */

static void embed(void *context, int task, int worker) {
    (void)worker;
    const struct move *m = context; /* a: out, b: table, c: tokens, d: position table, e: positions */
    for (int64_t i = task_begin(task); i < task_end(task, m->a.rows); i++) {
        float *out = row_f32(m->a, i);
        int32_t token = vector_i32(m->c)[i];
        if (m->b.dtype == DTYPE_F32)
            memcpy(out, row_f32(m->b, token), (size_t)m->a.cols * sizeof *out);
        else
            for (int64_t c = 0; c < m->a.cols; c++) out[c] = (float)load_element(m->b, token, c);
        for (int64_t c = 0; m->scale != 1 && c < m->a.cols; c++) out[c] *= m->scale;
        if (!tensor_present(m->d)) continue;
        int32_t position = vector_i32(m->e)[i];
        if (m->d.dtype == DTYPE_F32)
            add_row(out, 1, row_f32(m->d, position), m->a.cols);
        else
            for (int64_t c = 0; c < m->a.cols; c++) out[c] += (float)load_element(m->d, position, c);
    }
}

void ISA_NAME(cpu_embedding_forward)(struct stream *s, struct tensor out, struct tensor table, float scale,
                                     struct tensor tokens, struct tensor position_table, struct tensor positions) {
    struct move m = {.a = out, .b = table, .c = tokens, .d = position_table, .e = positions, .scale = scale};
    if (s->failed || !indices_fit(s, tokens, out.rows, table.rows, "token")) return;
    if (tensor_present(position_table) && !indices_fit(s, positions, out.rows, position_table.rows, "position")) return;
    cpu_run(s, row_tasks(out.rows), embed, &m);
}

/* A task owns a strip of columns of both tables, and so adds rows in order without meeting another. */
static void embed_backward(void *context, int task, int worker) {
    (void)worker;
    const struct move *m = context; /* a: d_table, b: d_position_table, c: tokens, d: d_out, e: positions */
    int64_t first = (int64_t)task * 32, n = m->d.cols - first < 32 ? m->d.cols - first : 32;
    for (int64_t i = 0; i < m->d.rows; i++) {
        const float *from = row_f32(m->d, i) + first;
        add_row(row_f32(m->a, vector_i32(m->c)[i]) + first, m->scale, from, n);
        if (tensor_present(m->b)) add_row(row_f32(m->b, vector_i32(m->e)[i]) + first, 1, from, n);
    }
}

void ISA_NAME(cpu_embedding_backward)(struct stream *s, struct tensor d_table, float scale, struct tensor tokens,
                                      struct tensor d_position_table, struct tensor positions, struct tensor d_out) {
    struct move m = {.a = d_table, .b = d_position_table, .c = tokens, .d = d_out, .e = positions, .scale = scale};
    if (s->failed || !indices_fit(s, tokens, d_out.rows, d_table.rows, "token")) return;
    if (tensor_present(d_position_table) && !indices_fit(s, positions, d_out.rows, d_position_table.rows, "position"))
        return;
    cpu_run(s, (int)((d_out.cols + 31) / 32), embed_backward, &m);
}

/* ---- dropout --------------------------------------------------------------------------------- */

static void drop(void *context, int task, int worker) {
    (void)worker;
    const struct move *m = context;
    float factors[RANDOM_WORDS];
    for (int64_t r = task_begin(task); r < task_end(task, m->a.rows); r++)
        for (int64_t c = 0; c < m->a.cols; c += RANDOM_WORDS) {
            float *x = row_f32(m->a, r) + c;
            int64_t n = m->a.cols - c < RANDOM_WORDS ? m->a.cols - c : RANDOM_WORDS;
            dropout_factors(m->b.data, m->dropout.probability, m->dropout.site, (uint32_t)r, c, factors);
            for (int64_t i = 0; i < n; i++) x[i] *= factors[i];
        }
}

void ISA_NAME(cpu_dropout)(struct stream *s, struct dropout_options o, struct tensor x, struct tensor rng) {
    struct move m = {.a = x, .b = rng, .dropout = o};
    if (o.probability > 0) cpu_run(s, row_tasks(x.rows), drop, &m);
}
