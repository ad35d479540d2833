/* qkv.c - splits a fused projection into heads; norms and rotates those of q and k; and backward. */
#include "tensor/cpu/isa/rows.h"
#include "tensor/cpu/isa/kernels.h"
#include "tensor/cpu/isa/simd.h"

struct qkv_work {
    const struct qkv_options *o;
    const struct qkv_tensors *t;
    struct tensor q, k, v;
    struct tensor d_qkv;
    float *partial; /* [tasks][2][d] */
};

static const float *norm_weight(const struct qkv_work *w, int head) {
    return vector_f32(head < w->o->n_heads ? w->t->q_norm : w->t->k_norm);
}

/* n floats, which may be there already. */
static inline void copy_floats(float *to, const float *from, int n) {
    if (to != from) memcpy(to, from, (size_t)n * sizeof *to);
}

/* (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin) of the first numbers of a head, as many as the table has; with sign -1
 * the other way round. */
static inline void rotate(struct tensor rope, int position, int d, float sign, const float *x, float *out) {
    const float *angles = row_f32(rope, position);
    int turned = (int)rope.cols, half = turned / 2;
    for (int i = 0; i < half; i += VF_LANES) {
        int left = half - i;
        vf c = vf_load_some(angles + i, left), s = vf_set(sign) * vf_load_some(angles + half + i, left);
        vf a = vf_load_some(x + i, left), b = vf_load_some(x + half + i, left);
        vf_store_some(out + i, left, a * c - b * s);
        vf_store_some(out + half + i, left, b * c + a * s);
    }
    if (turned < d) copy_floats(out + turned, x + turned, d - turned);
}

static void forward_head(const struct qkv_work *w, int64_t r, int head, const float *x, float *out) {
    int d = w->o->head_dim;
    const float *weight = norm_weight(w, head);
    float normed[MOST_HEAD_DIM];
    if (weight) {
        vf sum = vf_set(0);
        for (int i = 0; i < d; i += VF_LANES) {
            vf some = vf_load_some(x + i, d - i);
            sum = vf_fma(some, some, sum);
        }
        float scale = 1 / sqrtf(vf_sum(sum) / (float)d + w->o->norm_epsilon);
        for (int i = 0; i < d; i += VF_LANES)
            vf_store_some(normed + i, d - i,
                          vf_load_some(x + i, d - i) * vf_set(scale) * vf_load_some(weight + i, d - i));
        if (tensor_present(w->t->norm_stats)) row_f32(w->t->norm_stats, r)[head] = scale;
        x = normed;
    }
    if (tensor_present(w->t->rope))
        rotate(w->t->rope, vector_i32(w->t->positions)[r], d, 1, x, out);
    else
        copy_floats(out, x, d);
}

/* Writes d floats of a head into a cache row, in the cache's number type. */
static void store_head(struct tensor cache, int64_t row, int first, const float *x, int d) {
    if (cache.dtype == DTYPE_F32) {
        copy_floats(row_f32(cache, row) + first, x, d);
        return;
    }
    uint16_t *to = (uint16_t *)cache.data + row * cache.stride + first;
    for (int i = 0; i < d; i++) to[i] = cache.dtype == DTYPE_BF16 ? f32_to_bf16(x[i]) : f32_to_f16(x[i]);
}

static void forward_task(void *context, int task, int worker) {
    (void)worker;
    const struct qkv_work *w = context;
    int d = w->o->head_dim, n_q = w->o->n_heads, n_kv = w->o->n_kv_heads;
    for (int64_t r = task_begin(task); r < task_end(task, w->t->qkv.rows); r++) {
        const float *x = row_f32(w->t->qkv, r);
        int64_t slot = tensor_present(w->t->slots) ? vector_i32(w->t->slots)[r] : r;
        for (int h = 0; h < n_q; h++) forward_head(w, r, h, x + h * d, row_f32(w->q, r) + h * d);
        for (int h = 0; h < n_kv; h++) {
            float key[MOST_HEAD_DIM];
            forward_head(w, r, n_q + h, x + (n_q + h) * d, key);
            store_head(w->k, slot, h * d, key, d);
            store_head(w->v, slot, h * d, x + (n_q + n_kv + h) * d, d);
        }
    }
}

static bool check(struct stream *s, const struct qkv_options *o) {
    if (o->head_dim > MOST_HEAD_DIM) stream_fail(s, "heads of %d are wider than %d", o->head_dim, MOST_HEAD_DIM);
    return !s->failed;
}

void ISA_NAME(cpu_qkv_forward)(struct stream *s, const struct qkv_options *o, const struct qkv_tensors *t,
                               struct tensor q, struct tensor k, struct tensor v) {
    struct qkv_work w = {.o = o, .t = t, .q = q, .k = k, .v = v};
    if (check(s, o)) cpu_run(s, row_tasks(t->qkv.rows), forward_task, &w);
}

/* The rotation is undone on the gradient; then the gradient of x / rms(x) * weight. */
static void backward_head(const struct qkv_work *w, int64_t r, int head, const float *x, const float *d_out, float *d_x,
                          float *d_weight) {
    int d = w->o->head_dim;
    float turned[MOST_HEAD_DIM]; /* turned back */
    const float *weight = norm_weight(w, head);
    if (tensor_present(w->t->rope))
        rotate(w->t->rope, vector_i32(w->t->positions)[r], d, -1, d_out, turned);
    else
        memcpy(turned, d_out, (size_t)d * sizeof *turned);
    if (!weight) {
        memcpy(d_x, turned, (size_t)d * sizeof *d_x);
        return;
    }
    float scale = row_f32(w->t->norm_stats, r)[head];
    vf sum = vf_set(0);
    for (int i = 0; i < d; i += VF_LANES) {
        vf g = vf_load_some(turned + i, d - i) * vf_load_some(weight + i, d - i);
        sum = vf_fma(g, vf_load_some(x + i, d - i) * vf_set(scale), sum);
    }
    float mean = vf_sum(sum) / (float)d;
    for (int i = 0; i < d; i += VF_LANES) {
        int left = d - i;
        vf g = vf_load_some(turned + i, left), y = vf_load_some(x + i, left) * vf_set(scale);
        vf_store_some(d_weight + i, left, vf_load_some(d_weight + i, left) + g * y);
        vf_store_some(d_x + i, left, vf_set(scale) * (g * vf_load_some(weight + i, left) - y * vf_set(mean)));
    }
}

static void backward_task(void *context, int task, int worker) {
    (void)worker;
    const struct qkv_work *w = context;
    int d = w->o->head_dim, n_q = w->o->n_heads, n_kv = w->o->n_kv_heads;
    float *d_q_norm = w->partial + (int64_t)task * 2 * d, *d_k_norm = d_q_norm + d;
    memset(d_q_norm, 0, (size_t)d * 2 * sizeof *d_q_norm);
    for (int64_t r = task_begin(task); r < task_end(task, w->t->qkv.rows); r++) {
        const float *x = row_f32(w->t->qkv, r);
        float *d_x = row_f32(w->d_qkv, r);
        for (int h = 0; h < n_q; h++)
            backward_head(w, r, h, x + h * d, row_f32(w->q, r) + h * d, d_x + h * d, d_q_norm);
        for (int h = 0; h < n_kv; h++)
            backward_head(w, r, n_q + h, x + (n_q + h) * d, row_f32(w->k, r) + h * d, d_x + (n_q + h) * d, d_k_norm);
        copy_floats(d_x + (n_q + n_kv) * d, row_f32(w->v, r), n_kv * d);
    }
}

void ISA_NAME(cpu_qkv_backward)(struct stream *s, const struct qkv_options *o, const struct qkv_tensors *t,
                                struct tensor d_qkv, struct tensor d_q_norm, struct tensor d_k_norm, struct tensor d_q,
                                struct tensor d_k, struct tensor d_v) {
    int tasks = row_tasks(t->qkv.rows), d = o->head_dim;
    struct qkv_work w = {.o = o, .t = t, .q = d_q, .k = d_k, .v = d_v, .d_qkv = d_qkv};
    w.partial = check(s, o) ? cpu_scratch_shared(s, (size_t)tasks * 2 * (size_t)d * sizeof(float)) : NULL;
    if (!w.partial) return;
    cpu_run(s, tasks, backward_task, &w);
    for (int task = 0; task < tasks; task++)
        for (int i = 0; i < d; i++) {
            if (tensor_present(d_q_norm)) ((float *)d_q_norm.data)[i] += w.partial[(int64_t)task * 2 * d + i];
            if (tensor_present(d_k_norm)) ((float *)d_k_norm.data)[i] += w.partial[(int64_t)task * 2 * d + d + i];
        }
}
