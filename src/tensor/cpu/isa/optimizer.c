/* optimizer.c - AdamW in one pass; the sum of squares behind the gradient's norm. */
#include "tensor/cpu/isa/rows.h"
#include "tensor/cpu/isa/kernels.h"
#include "tensor/cpu/isa/simd.h"

#define PIECE 4096 /* elements a task takes: fixed, so that sums do not depend on the threads */

struct adamw_work {
    struct adamw_options o;
    struct tensor parameter, gradient, m, v;
    const float *step;
};

static void adamw_row(const struct adamw_work *w, int64_t r, int64_t first, int64_t n) {
    float *p = row_f32(w->parameter, r) + first, *m = row_f32(w->m, r) + first, *v = row_f32(w->v, r) + first;
    const float *g = row_f32(w->gradient, r) + first;
    float rate = w->step[STEP_LEARNING_RATE], c1 = w->step[STEP_CORRECTION1], c2 = w->step[STEP_CORRECTION2];
    float scale = w->step[STEP_GRAD_SCALE], b1 = w->o.beta1, b2 = w->o.beta2;
    for (int64_t c = 0; c < n; c++) {
        float x = g[c] * scale, first_moment = b1 * m[c] + (1 - b1) * x, second = b2 * v[c] + (1 - b2) * x * x;
        m[c] = first_moment;
        v[c] = second;
        p[c] -= rate * (first_moment * c1 / (sqrtf(second * c2) + w->o.epsilon) + w->o.weight_decay * p[c]);
    }
}

static void adamw_task(void *context, int task, int worker) {
    (void)worker;
    const struct adamw_work *w = context;
    int64_t pieces = (w->parameter.cols + PIECE - 1) / PIECE, r = task / pieces, first = task % pieces * PIECE;
    adamw_row(w, r, first, w->parameter.cols - first < PIECE ? w->parameter.cols - first : PIECE);
}

void ISA_NAME(cpu_adamw)(struct stream *s, struct adamw_options o, struct tensor parameter, struct tensor gradient,
                         struct tensor m, struct tensor v, struct tensor step) {
    struct adamw_work w = {o, parameter, gradient, m, v, step.data};
    int64_t n = parameter.rows * parameter.cols;
    bool dense = parameter.stride == parameter.cols && gradient.stride == gradient.cols && m.stride == m.cols &&
                 v.stride == v.cols;
    if (dense) {
        w.parameter = tensor_view(parameter.data, DTYPE_F32, 1, n);
        w.gradient = tensor_view(gradient.data, DTYPE_F32, 1, n);
        w.m = tensor_view(m.data, DTYPE_F32, 1, n);
        w.v = tensor_view(v.data, DTYPE_F32, 1, n);
    }
    thread_pool_run(s->pool, (int)(w.parameter.rows * ((w.parameter.cols + PIECE - 1) / PIECE)), adamw_task, &w);
}

struct squares_work {
    struct tensor x;
    double *partial;
};

static void squares_task(void *context, int task, int worker) {
    (void)worker;
    const struct squares_work *w = context;
    int64_t pieces = (w->x.cols + PIECE - 1) / PIECE, first = task % pieces * PIECE;
    const float *x = row_f32(w->x, task / pieces) + first;
    int64_t n = w->x.cols - first < PIECE ? w->x.cols - first : PIECE;
    double sums[16] = {0};
    int64_t whole = n / 16 * 16;
    for (int64_t c = 0; c < whole; c += 16) /* 16 chains, side by side: the compiler makes vectors of them */
        for (int i = 0; i < 16; i++) sums[i] += (double)x[c + i] * (double)x[c + i];
    for (int64_t c = whole; c < n; c++) sums[c - whole] += (double)x[c] * (double)x[c];
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) sums[i] += sums[i + half];
    w->partial[task] = sums[0];
}

void ISA_NAME(cpu_sum_of_squares)(struct stream *s, struct tensor sum, struct tensor x) {
    int tasks = (int)(x.rows * ((x.cols + PIECE - 1) / PIECE));
    struct squares_work w = {.x = x, .partial = s->failed ? NULL : cpu_scratch_shared(s, (size_t)tasks * sizeof(double))};
    if (!w.partial) return;
    thread_pool_run(s->pool, tasks, squares_task, &w);
    for (int i = 0; i < tasks; i++) *(double *)sum.data += w.partial[i];
}
