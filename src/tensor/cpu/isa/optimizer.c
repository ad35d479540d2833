/* optimizer.c - AdamW in one pass; the sum of squares behind the gradient's norm. */
#include "tensor/cpu/isa/rows.h"
#include "tensor/cpu/isa/kernels.h"
#include "tensor/cpu/isa/simd.h"

#define PIECE 4096 /* elements a task takes: fixed, so that sums do not depend on the threads */

/* Parts cut into pieces. Of a part whose rows lie end to end the piece may go over their ends. */
struct adamw_work {
    const struct adamw_part *parts;
    int64_t *first; /* [n_parts + 1]: the number of the first piece of each part, and of all pieces */
    int n_parts;
};

/* The part as a matrix whose rows are cut into pieces. */
static struct adamw_part as_long_rows(const struct adamw_part *part) {
    struct adamw_part p = *part;
    struct tensor *const all[] = {&p.parameter, &p.gradient, &p.m, &p.v};
    int64_t rows = p.parameter.rows, cols = p.parameter.cols;
    for (int i = 0; i < 4; i++)
        if (all[i]->stride != cols) return p;
    for (int i = 0; i < 4; i++) *all[i] = tensor_view(all[i]->data, DTYPE_F32, 1, rows * cols);
    return p;
}

static int64_t pieces_of_row(const struct adamw_part *p) { return (p->parameter.cols + PIECE - 1) / PIECE; }

static void step_piece(const struct adamw_part *part, int64_t r, int64_t first, int64_t n) {
    float *p = row_f32(part->parameter, r) + first, *g = row_f32(part->gradient, r) + first;
    float *m = row_f32(part->m, r) + first, *v = row_f32(part->v, r) + first;
    const float *step = part->step.data;
    float rate = step[STEP_LEARNING_RATE], c1 = step[STEP_CORRECTION1], c2 = step[STEP_CORRECTION2];
    float scale = step[STEP_GRAD_SCALE], b1 = part->options.beta1, b2 = part->options.beta2;
    float epsilon = part->options.epsilon, decay = part->options.weight_decay;
    for (int64_t c = 0; c < n; c++) {
        float x = g[c] * scale, first_moment = b1 * m[c] + (1 - b1) * x, second = b2 * v[c] + (1 - b2) * x * x;
        m[c] = first_moment;
        v[c] = second;
        p[c] -= rate * (first_moment * c1 / (sqrtf(second * c2) + epsilon) + decay * p[c]);
        g[c] = 0;
    }
}

static void adamw_task(void *context, int task, int worker) {
    (void)worker;
    const struct adamw_work *w = context;
    int low = 0, high = w->n_parts;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (w->first[middle] <= task) low = middle;
        else high = middle;
    }
    struct adamw_part part = as_long_rows(&w->parts[low]);
    int64_t pieces = pieces_of_row(&part), piece = task - w->first[low], r = piece / pieces, first = piece % pieces * PIECE;
    step_piece(&part, r, first, part.parameter.cols - first < PIECE ? part.parameter.cols - first : PIECE);
}

void ISA_NAME(cpu_adamw)(struct stream *s, const struct adamw_part *parts, int n_parts) {
    struct adamw_work w = {.parts = parts, .n_parts = n_parts};
    if (s->failed) return;
    w.first = cpu_scratch_shared(s, ((size_t)n_parts + 1) * sizeof *w.first);
    if (!w.first) return;
    w.first[0] = 0;
    for (int i = 0; i < n_parts; i++) {
        struct adamw_part part = as_long_rows(&parts[i]);
        w.first[i + 1] = w.first[i] + part.parameter.rows * pieces_of_row(&part);
    }
    thread_pool_run(s->pool, (int)w.first[n_parts], adamw_task, &w);
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
