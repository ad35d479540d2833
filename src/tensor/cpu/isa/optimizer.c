/* optimizer.c - AdamW in one pass, over numbers kept in fp32 or bf16; the sum of squares behind the gradient's norm. */
#include "tensor/cpu/isa/random.h"
#include "tensor/cpu/isa/rows.h"
#include "tensor/cpu/isa/kernels.h"
#include "tensor/cpu/isa/simd.h"
#include "tensor/rounding.h"

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
    for (int i = 0; i < 4; i++) *all[i] = tensor_view(all[i]->data, all[i]->dtype, 1, rows * cols);
    return p;
}

static int64_t pieces_of_row(const struct adamw_part *p) { return (p->parameter.cols + PIECE - 1) / PIECE; }

static void step_floats(const struct adamw_part *part, float *p, const float *g, float *m, float *v, int64_t n) {
    const float *step = part->step.data;
    float rate = step[STEP_LEARNING_RATE], c1 = step[STEP_CORRECTION1], c2 = step[STEP_CORRECTION2];
    float scale = step[STEP_GRAD_SCALE], b1 = part->options.beta1, b2 = part->options.beta2;
    float epsilon = part->options.epsilon, decay = part->options.weight_decay;
    for (int64_t c = 0; c < n; c++) {
        float x = g[c] * scale, first_moment = b1 * m[c] + (1 - b1) * x, second = b2 * v[c] + (1 - b2) * x * x;
        m[c] = first_moment;
        v[c] = second;
        p[c] -= rate * (first_moment * c1 / (sqrtf(second * c2) + epsilon) + decay * p[c]);
    }
}

#define CHUNK 256 /* of numbers that are widened, stepped and rounded again */

/* Floats of [first, first + n) of row r: where they are, or a copy of bf16. */
static float *widened(struct tensor t, int64_t r, int64_t first, int64_t n, float *copy) {
    if (t.dtype == DTYPE_F32) return row_f32(t, r) + first;
    const uint16_t *from = (const uint16_t *)t.data + r * t.stride + first;
    for (int64_t i = 0; i < n; i++) copy[i] = bf16_to_f32(from[i]);
    return copy;
}

/* Back from the copy; random bits of element i are those of words[i] from `shift` up. */
static void store_rounded(struct tensor t, int64_t r, int64_t first, int64_t n, const float *copy,
                          const uint32_t *words, int shift) {
    if (t.dtype == DTYPE_F32) return;
    uint16_t *to = (uint16_t *)t.data + r * t.stride + first;
    for (int64_t i = 0; i < n; i++) to[i] = bf16_round_stochastic(copy[i], words[i] >> shift);
}

#define CHUNK_WORDS (CHUNK + RANDOM_WORDS + 4)

/* What rounding_words gives for the elements [begin, begin + n), n at most CHUNK; they lie in `memory`. */
static uint32_t *chunk_words(struct tensor rng, uint32_t site, int64_t begin, int64_t n, uint32_t memory[CHUNK_WORDS]) {
    int64_t first = begin - begin % 4;
    for (int64_t i = first; i < begin + n; i += RANDOM_WORDS)
        random_words(rng.data, site, (uint64_t)i / 4, memory + (i - first));
    return memory + (begin - first);
}

static void step_chunk(const struct adamw_part *part, int64_t r, int64_t first, int64_t n) {
    float p_copy[CHUNK], m_copy[CHUNK], v_copy[CHUNK];
    float *p = widened(part->parameter, r, first, n, p_copy), *m = widened(part->m, r, first, n, m_copy);
    float *v = widened(part->v, r, first, n, v_copy);
    uint32_t memory[CHUNK_WORDS],
        *words = chunk_words(part->rng, part->site, r * part->parameter.cols + first, n, memory);
    step_floats(part, p, row_f32(part->gradient, r) + first, m, v, n);
    store_rounded(part->parameter, r, first, n, p, words, 0);
    store_rounded(part->m, r, first, n, m, words, 16);
    store_rounded(part->v, r, first, n, v, words, 16);
}

static void step_piece(const struct adamw_part *part, int64_t r, int64_t first, int64_t n) {
    if (tensor_present(part->rng)) {
        for (int64_t i = 0; i < n; i += CHUNK) step_chunk(part, r, first + i, n - i < CHUNK ? n - i : CHUNK);
        return;
    }
    step_floats(part, row_f32(part->parameter, r) + first, row_f32(part->gradient, r) + first,
                row_f32(part->m, r) + first, row_f32(part->v, r) + first, n);
}

static void adamw_task(void *context, int task, int worker) {
    (void)worker;
    const struct adamw_work *w = context;
    int low = 0, high = w->n_parts;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (w->first[middle] <= task)
            low = middle;
        else
            high = middle;
    }
    struct adamw_part part = as_long_rows(&w->parts[low]);
    int64_t pieces = pieces_of_row(&part), piece = task - w->first[low], r = piece / pieces,
            first = piece % pieces * PIECE;
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
    cpu_run(s, (int)w.first[n_parts], adamw_task, &w);
}

struct rounding_work {
    struct tensor dst, src, rng;
    uint32_t site;
};

static void rounding_task(void *context, int task, int worker) {
    (void)worker;
    const struct rounding_work *w = context;
    uint32_t memory[CHUNK_WORDS];
    for (int64_t r = task_begin(task); r < task_end(task, w->dst.rows); r++)
        for (int64_t c = 0; c < w->dst.cols; c += CHUNK) {
            int64_t n = w->dst.cols - c < CHUNK ? w->dst.cols - c : CHUNK;
            const uint32_t *words = chunk_words(w->rng, w->site, r * w->dst.cols + c, n, memory);
            store_rounded(w->dst, r, c, n, row_f32(w->src, r) + c, words, 0);
        }
}

void ISA_NAME(cpu_copy_rounded)(struct stream *s, struct tensor dst, struct tensor src, struct tensor rng,
                                uint32_t site) {
    struct rounding_work w = {dst, src, rng, site};
    cpu_run(s, row_tasks(dst.rows), rounding_task, &w);
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
    struct squares_work w = {.x = x,
                             .partial = s->failed ? NULL : cpu_scratch_shared(s, (size_t)tasks * sizeof(double))};
    if (!w.partial) return;
    cpu_run(s, tasks, squares_task, &w);
    for (int i = 0; i < tasks; i++) *(double *)sum.data += w.partial[i];
}
