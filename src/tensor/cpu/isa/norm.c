/* norm.c - RMSNorm and LayerNorm with the residual addition before them, and their backward. */
#include "tensor/cpu/isa/rows.h"
#include "tensor/cpu/isa/kernels.h"
#include "tensor/cpu/isa/simd.h"

struct norm_work {
    struct norm_options o;
    struct tensor out, residual, x, delta, weight, bias, stats;
    struct tensor d_x, d_weight, d_bias, d_out;
    float *partial; /* [tasks][2][h]: sums for d_weight and d_bias over the rows of a task */
};

static float row_sum(const float *x, int64_t n) {
    vf sum = vf_set(0);
    int64_t c = 0;
    for (; c + VF_LANES <= n; c += VF_LANES) sum = sum + vf_load(x + c);
    if (c < n) sum = sum + vf_load_part(x + c, n - c, 0);
    return vf_sum(sum);
}

static float row_squares(const float *x, int64_t n, float mean) {
    vf sum = vf_set(0), m = vf_set(mean);
    int64_t c = 0;
    for (; c + VF_LANES <= n; c += VF_LANES) {
        vf d = vf_load(x + c) - m;
        sum = vf_fma(d, d, sum);
    }
    if (c < n) {
        vf d = vf_load_part(x + c, n - c, mean) - m;
        sum = vf_fma(d, d, sum);
    }
    return vf_sum(sum);
}

static void norm_row(const struct norm_work *w, int64_t r) {
    int64_t h = w->x.cols;
    const float *x = row_f32(w->x, r), *weight = vector_f32(w->weight), *bias = vector_f32(w->bias);
    float *residual = row_f32(w->residual, r), *out = row_f32(w->out, r);
    if (tensor_present(w->delta)) {
        const float *delta = row_f32(w->delta, r);
        for (int64_t c = 0; c < h; c += VF_LANES)
            vf_store_some(residual + c, h - c, vf_load_some(x + c, h - c) + vf_load_some(delta + c, h - c));
    } else if (residual != x) {
        memcpy(residual, x, (size_t)h * sizeof *x);
    }
    float mean = w->o.kind == NORM_LAYER ? row_sum(residual, h) / (float)h : 0;
    float scale = 1 / sqrtf(row_squares(residual, h, mean) / (float)h + w->o.epsilon);
    for (int64_t c = 0; c < h; c += VF_LANES) {
        vf y = (vf_load_some(residual + c, h - c) - vf_set(mean)) * vf_set(scale);
        if (weight) y = y * vf_load_some(weight + c, h - c);
        if (bias) y = y + vf_load_some(bias + c, h - c);
        vf_store_some(out + c, h - c, y);
    }
    if (tensor_present(w->stats)) {
        row_f32(w->stats, r)[0] = mean;
        row_f32(w->stats, r)[1] = scale;
    }
}

static void norm_task(void *context, int task, int worker) {
    (void)worker;
    const struct norm_work *w = context;
    for (int64_t r = task_begin(task); r < task_end(task, w->x.rows); r++) norm_row(w, r);
}

void ISA_NAME(cpu_norm_forward)(struct stream *s, struct norm_options o, struct tensor out, struct tensor residual,
                                struct tensor x, struct tensor delta, struct tensor weight, struct tensor bias,
                                struct tensor stats) {
    struct norm_work w = {.o = o,
                          .out = out,
                          .residual = residual,
                          .x = x,
                          .delta = delta,
                          .weight = weight,
                          .bias = bias,
                          .stats = stats};
    cpu_run(s, row_tasks(x.rows), norm_task, &w);
}

/* With y = (x - mean) * scale and g = d_out * weight: d_x += scale * (g - mean(g) - y * mean(g * y)); RMS has no
 * mean(g). */
static void norm_backward_row(const struct norm_work *w, int64_t r, float *d_weight, float *d_bias) {
    int64_t h = w->x.cols;
    const float *x = row_f32(w->x, r), *d_out = row_f32(w->d_out, r), *weight = vector_f32(w->weight);
    float mean = row_f32(w->stats, r)[0], scale = row_f32(w->stats, r)[1], *d_x = row_f32(w->d_x, r);
    vf sum = vf_set(0), product = vf_set(0);
    for (int64_t c = 0; c < h; c += VF_LANES) {
        int64_t left = h - c;
        vf g = vf_load_some(d_out + c, left), y = (vf_load_some(x + c, left) - vf_set(mean)) * vf_set(scale);
        if (weight) g = g * vf_load_some(weight + c, left); /* 0 in the lanes past the end, whatever y is there */
        sum = sum + g;
        product = vf_fma(g, y, product);
    }
    float mean_g = w->o.kind == NORM_LAYER ? vf_sum(sum) / (float)h : 0, mean_gy = vf_sum(product) / (float)h;
    for (int64_t c = 0; c < h; c += VF_LANES) {
        int64_t left = h - c;
        vf d = vf_load_some(d_out + c, left), y = (vf_load_some(x + c, left) - vf_set(mean)) * vf_set(scale), g = d;
        if (weight) g = g * vf_load_some(weight + c, left);
        vf change = vf_set(scale) * (g - vf_set(mean_g) - y * vf_set(mean_gy));
        vf_store_some(d_x + c, left, vf_load_some(d_x + c, left) + change);
        vf_store_some(d_weight + c, left, vf_load_some(d_weight + c, left) + d * y);
        if (w->o.kind == NORM_LAYER) vf_store_some(d_bias + c, left, vf_load_some(d_bias + c, left) + d);
    }
}

static void norm_backward_task(void *context, int task, int worker) {
    (void)worker;
    const struct norm_work *w = context;
    float *partial = w->partial + (int64_t)task * 2 * w->x.cols;
    memset(partial, 0, (size_t)w->x.cols * 2 * sizeof *partial);
    for (int64_t r = task_begin(task); r < task_end(task, w->x.rows); r++)
        norm_backward_row(w, r, partial, partial + w->x.cols);
}

/* sum += the tasks' sums, in their order. */
static void add_partials(struct tensor sum, const float *partial, int tasks, int64_t n) {
    for (int task = 0; tensor_present(sum) && task < tasks; task++, partial += 2 * n)
        for (int64_t c = 0; c < n; c += VF_LANES) {
            float *to = (float *)sum.data + c;
            vf_store_some(to, n - c, vf_load_some(to, n - c) + vf_load_some(partial + c, n - c));
        }
}

void ISA_NAME(cpu_norm_backward)(struct stream *s, struct norm_options o, struct tensor d_x, struct tensor d_weight,
                                 struct tensor d_bias, struct tensor d_out, struct tensor x, struct tensor weight,
                                 struct tensor stats) {
    int tasks = row_tasks(x.rows);
    struct norm_work w = {.o = o,
                          .d_x = d_x,
                          .d_weight = d_weight,
                          .d_bias = d_bias,
                          .d_out = d_out,
                          .x = x,
                          .weight = weight,
                          .stats = stats};
    w.partial = s->failed ? NULL : cpu_scratch_shared(s, (size_t)tasks * 2 * (size_t)x.cols * sizeof(float));
    if (!w.partial) return;
    cpu_run(s, tasks, norm_backward_task, &w);
    add_partials(d_weight, w.partial, tasks, x.cols);
    add_partials(d_bias, w.partial + x.cols, tasks, x.cols);
}
