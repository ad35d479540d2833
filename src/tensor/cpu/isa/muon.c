/* muon.c - the elementwise parts of Muon: one pass over memory each, limited by it. */
#include "tensor/cpu/isa/kernels.h"
#include "tensor/cpu/isa/rows.h"
#include "tensor/cpu/isa/simd.h"

/* Two matrices of one shape and what is done to their elements, a run of rows a task. */
struct pair_work {
    struct tensor x, y, m;
    float a, b, rate;
    void (*row)(const struct pair_work *w, int64_t r);
};

static void pair_task(void *context, int task, int worker) {
    (void)worker;
    const struct pair_work *w = context;
    for (int64_t r = task_begin(task); r < task_end(task, w->x.rows); r++) w->row(w, r);
}

static void run_pair(struct stream *s, struct pair_work w) { cpu_run(s, row_tasks(w.x.rows), pair_task, &w); }

/* x = out, y = gradient; a = momentum, b = scale of the gradient */
static void nesterov_row(const struct pair_work *w, int64_t r) {
    float *out = row_f32(w->x, r), *m = row_f32(w->m, r), keep = w->a, take = 1 - w->a;
    const float *gradient = row_f32(w->y, r);
    for (int64_t c = 0; c < w->x.cols; c++) {
        float g = take * (w->b * gradient[c]);
        m[c] = keep * m[c] + g;
        out[c] = keep * m[c] + g;
    }
}

void ISA_NAME(cpu_nesterov)(struct stream *s, struct tensor out, struct tensor gradient, struct tensor m,
                            struct tensor step) {
    const float *numbers = step.data;
    run_pair(s, (struct pair_work){.x = out,
                                   .y = gradient,
                                   .m = m,
                                   .a = numbers[STEP_MOMENTUM],
                                   .b = numbers[STEP_GRAD_SCALE],
                                   .row = nesterov_row});
}

static void scale_row(const struct pair_work *w, int64_t r) {
    float *x = row_f32(w->x, r);
    for (int64_t c = 0; c < w->x.cols; c++) x[c] *= w->a;
}

void ISA_NAME(cpu_normalize)(struct stream *s, struct tensor x, struct tensor sum, float slack, float epsilon) {
    double length = (1 + (double)slack) * sqrt(*(const double *)sum.data) + (double)epsilon;
    run_pair(s, (struct pair_work){.x = x, .a = (float)(1 / length), .row = scale_row});
}

static void scale_add_row(const struct pair_work *w, int64_t r) {
    float *x = row_f32(w->x, r);
    const float *y = row_f32(w->y, r);
    for (int64_t c = 0; c < w->x.cols; c++) x[c] = w->a * x[c] + w->b * y[c];
}

void ISA_NAME(cpu_scale_add)(struct stream *s, struct tensor dst, float a, struct tensor src, float b) {
    run_pair(s, (struct pair_work){.x = dst, .y = src, .a = a, .b = b, .row = scale_add_row});
}

/* x = parameter, y = update; a = scale, b = weight decay */
static void descend_row(const struct pair_work *w, int64_t r) {
    float *x = row_f32(w->x, r);
    const float *y = row_f32(w->y, r);
    for (int64_t c = 0; c < w->x.cols; c++) x[c] -= w->rate * (w->a * y[c] + w->b * x[c]);
}

void ISA_NAME(cpu_descend)(struct stream *s, struct tensor parameter, struct tensor update, float scale,
                           float weight_decay, struct tensor step) {
    run_pair(s, (struct pair_work){.x = parameter,
                                   .y = update,
                                   .a = scale,
                                   .b = weight_decay,
                                   .rate = ((const float *)step.data)[STEP_LEARNING_RATE],
                                   .row = descend_row});
}
