/* op_case.c - makes, runs and compares calls of operations; see op_case.h. */
#include "op_case.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tensor/ref/ref.h"

/* ---- making ---------------------------------------------------------------------------------- */

#define GUARD_BYTES 64
#define GUARD_VALUE 0xA5

void op_case_begin(struct op_case *c, const char *op, uint64_t number, int limit, bool smooth) {
    uint64_t stream = number;
    for (const char *letter = op; *letter; letter++) stream = stream * 131 + (uint64_t)*letter;
    *c = (struct op_case){.rng = rng_make(20, stream), .limit = limit, .smooth = smooth, .tolerance = 1e-5};
    op_case_say(c, "%s case %d:", op, (int)number);
}

void op_case_end(struct op_case *c) {
    for (int i = 0; i < c->n_operands; i++) free(c->operands[i].image);
}

void op_case_say(struct op_case *c, const char *format, ...) {
    size_t used = strlen(c->text);
    va_list args;
    va_start(args, format);
    vsnprintf(c->text + used, sizeof c->text - used, format, args);
    va_end(args);
}

int op_case_below(struct op_case *c, int n) { return (int)rng_below(&c->rng, (uint64_t)n); }

bool op_case_coin(struct op_case *c) { return rng_below(&c->rng, 2); }

int op_case_size(struct op_case *c, int most) {
    static const int sizes[] = {1, 2, 3, 5, 7, 17, 31, 33, 63, 64, 65, 127, 129, 255, 300, 521, 1030};
    int n = 0;
    if (most > c->limit) most = c->limit;
    while (n < (int)(sizeof sizes / sizeof *sizes) && sizes[n] <= most) n++;
    return sizes[op_case_below(c, n)];
}

enum dtype op_case_float(struct op_case *c) {
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};
    return c->smooth ? DTYPE_F32 : dtypes[op_case_below(c, 3)];
}

/* A norm of few elements bends sharply where they are all small, unless epsilon is large. */
float op_case_epsilon(struct op_case *c) { return c->smooth ? 0.5f : op_case_coin(c) ? 1e-5f : 1e-2f; }

void op_case_indices(struct op_case *c, int32_t *x, int n, int limit, bool distinct) {
    for (int i = 0; i < n; i++) {
        bool again;
        do {
            x[i] = op_case_below(c, limit);
            again = false;
            for (int j = 0; distinct && j < i; j++) again |= x[j] == x[i];
        } while (again);
    }
}

/* Memory for rows x cols elements between guards; the first element is `offset` elements off alignment. */
static struct operand *operand_make(struct op_case *c, int index, const char *name, struct tensor view, int offset) {
    assert(index < MAX_OPERANDS && !c->operands[index].image);
    if (index >= c->n_operands) c->n_operands = index + 1;
    struct operand *x = &c->operands[index];
    size_t size = dtype_size(view.dtype), start = GUARD_BYTES + (size_t)offset * size;
    x->name = name;
    x->n_bytes = start + (size_t)(view.rows * view.stride) * size + GUARD_BYTES;
    x->image = malloc(x->n_bytes);
    assert(x->image);
    memset(x->image, GUARD_VALUE, x->n_bytes);
    view.data = x->image + start;
    x->view = view;
    return x;
}

/* Four normal numbers of one block of the generator: much of a test's time would go into drawing them one by one. */
static void four_normals(struct rng *rng, double out[4]) {
    uint32_t counter[4] = {(uint32_t)rng->counter++, 1, (uint32_t)rng->stream, (uint32_t)(rng->stream >> 32)};
    uint32_t key[2] = {(uint32_t)rng->seed, (uint32_t)(rng->seed >> 32)}, words[4];
    philox4x32(counter, key, words);
    for (int i = 0; i < 4; i += 2) { /* Box & Muller 1958 */
        double radius = sqrt(-2 * log((words[i] + 1.0) * 0x1p-32));
        double angle = words[i + 1] * (6.283185307179586 * 0x1p-32);
        out[i] = radius * cos(angle);
        out[i + 1] = radius * sin(angle);
    }
}

static void fill_normal(struct op_case *c, struct tensor x) {
    double four[4];
    for (int64_t r = 0, n = 0; r < x.rows; r++)
        for (int64_t i = 0; i < x.cols; i++, n++) {
            if (n % 4 == 0) four_normals(&c->rng, four);
            ref_store(x, r, i, four[n % 4]);
        }
}

struct operand *operand_numbers(struct op_case *c, int index, const char *name, enum operand_role role,
                                enum dtype dtype, int64_t rows, int64_t cols) {
    bool padded = op_case_below(c, 3) == 0;
    struct tensor view = tensor_view(NULL, dtype, rows, cols);
    if (padded) view.stride += 1 + op_case_below(c, 9);
    struct operand *x = operand_make(c, index, name, view, padded ? op_case_below(c, 3) : 0);
    x->role = role;
    x->tolerance = dtype == DTYPE_BF16 ? 0x1p-7 : dtype == DTYPE_F16 ? 0x1p-10 : c->tolerance;
    if (role != OPERAND_OUT) fill_normal(c, x->view);
    for (int64_t r = 0; role == OPERAND_OUT && r < rows; r++)
        for (int64_t i = 0; i < cols; i++) ref_store(x->view, r, i, NAN);
    return x;
}

int32_t *operand_integers(struct op_case *c, int index, const char *name, int64_t rows, int64_t cols) {
    struct operand *x = operand_make(c, index, name, tensor_view(NULL, DTYPE_I32, rows, cols), 0);
    return x->view.data;
}

void operand_rng(struct op_case *c, int index) {
    struct operand *x = operand_make(c, index, "rng", tensor_view(NULL, DTYPE_I64, 1, 2), 0);
    uint64_t *seed_and_counter = x->view.data;
    seed_and_counter[0] = rng_u64(&c->rng);
    seed_and_counter[1] = rng_u64(&c->rng) >> 1;
}

void op_case_gradient(struct op_case *c, int input, int gradient, bool accumulated) {
    assert(c->n_gradients < (int)(sizeof c->gradients / sizeof *c->gradients));
    c->gradients[c->n_gradients++] = (struct gradient_pair){input, gradient, accumulated};
}

void op_case_output(struct op_case *c, int output, int d_output) {
    assert(c->n_outputs < (int)(sizeof c->outputs / sizeof *c->outputs));
    c->outputs[c->n_outputs++] = (struct output_pair){output, d_output};
}

/* ---- running --------------------------------------------------------------------------------- */

void op_result_free(struct op_result *r) {
    for (int i = 0; i < MAX_OPERANDS; i++) free(r->images[i]);
    *r = (struct op_result){0};
}

static struct tensor moved(struct tensor view, const void *from, void *to) {
    if (tensor_present(view)) view.data = (char *)to + ((char *)view.data - (const char *)from);
    return view;
}

struct tensor op_result_tensor(const struct op_case *c, const struct op_result *r, int i) {
    return moved(c->operands[i].view, c->operands[i].image, r->images[i]);
}

/* The part of an operand that a run for one token sees. */
static struct tensor token_part(const struct operand *x, struct tensor view, int64_t row) {
    if (row < 0 || !x->per_token || !tensor_present(view)) return view;
    return view.dtype == DTYPE_I32 ? tensor_cols(view, row, 1) : tensor_rows(view, row, 1);
}

/* With the outputs put back to what they were before, everything must be as it was. */
static bool nothing_else_changed(const struct op_case *c, const char *device, int64_t row,
                                 const struct op_result *result) {
    for (int i = 0; i < c->n_operands; i++) {
        const struct operand *x = &c->operands[i];
        if (!x->image) continue;
        uint8_t *copy = malloc(x->n_bytes);
        assert(copy);
        memcpy(copy, result->images[i], x->n_bytes);
        struct tensor part = token_part(x, x->view, row), to = moved(part, x->image, copy);
        size_t row_bytes = (size_t)part.cols * dtype_size(part.dtype);
        for (int64_t r = 0; x->role != OPERAND_IN && r < part.rows; r++)
            memcpy(tensor_rows(to, r, 1).data, tensor_rows(part, r, 1).data, row_bytes);
        size_t at = 0, start = (size_t)((uint8_t *)x->view.data - x->image);
        while (at < x->n_bytes && copy[at] == x->image[at]) at++;
        free(copy);
        if (at == x->n_bytes) continue;
        fprintf(stderr, "%s on %s%s: %s %s, %ld bytes from its first element\n", c->text, device,
                row < 0 ? "" : ", one token", x->role == OPERAND_IN ? "changed its input" : "wrote outside its output",
                x->name, (long)at - (long)start);
        return false;
    }
    return true;
}

bool op_case_run(const struct op_case *c, struct stream *s, const char *device, bool backward, int64_t row,
                 struct op_result *result) {
    struct tensor t[MAX_OPERANDS] = {0};
    void *memory[MAX_OPERANDS] = {0};
    struct talc_error err = {{0}};
    *result = (struct op_result){0};
    for (int i = 0; i < c->n_operands; i++) {
        const struct operand *x = &c->operands[i];
        if (!x->image) continue;
        memory[i] = s->backend->memory_take(s, x->n_bytes, &err);
        result->images[i] = malloc(x->n_bytes);
        assert(memory[i] && result->images[i]);
        s->backend->copy_in(s, memory[i], x->image, x->n_bytes);
        t[i] = token_part(x, moved(x->view, x->image, memory[i]), row);
    }
    c->forward(s, c, t);
    if (backward && c->backward) c->backward(s, c, t);
    for (int i = 0; i < c->n_operands; i++) {
        if (!memory[i]) continue;
        s->backend->copy_out(s, result->images[i], memory[i], c->operands[i].n_bytes);
        s->backend->memory_give(s, memory[i]);
    }
    if (!stream_synchronize(s, &err)) {
        fprintf(stderr, "%s on %s: failed: %s\n", c->text, device, err.message);
        return false;
    }
    return nothing_else_changed(c, device, row, result);
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* Infinities must be equal, and NaN met with NaN; other differences are numbers. */
static double difference(double expected, double got) {
    if (isnan(expected) || isnan(got)) return isnan(expected) && isnan(got) ? 0 : INFINITY;
    return expected == got ? 0 : fabs(got - expected);
}

static bool columns_agree(const struct op_case *c, const char *device, const struct operand *x, struct tensor expected,
                          struct tensor got, int64_t first, int64_t end) {
    double largest = x->floor, worst = 0;
    int64_t worst_r = 0, worst_c = first;
    for (int64_t r = 0; r < expected.rows; r++)
        for (int64_t i = first; i < end; i++) {
            double e = ref_load(expected, r, i), d = difference(e, ref_load(got, r, i));
            if (isfinite(e)) largest = fmax(largest, fabs(e));
            if (d <= worst) continue;
            worst = d;
            worst_r = r;
            worst_c = i;
        }
    if (worst <= x->tolerance * largest) return true;
    fprintf(stderr, "%s on %s: %s[%d, %d] of [%d, %d]: expected %.9g, got %.9g: off by %.3g of %.3g, allowed %.3g\n",
            c->text, device, x->name, (int)worst_r, (int)worst_c, (int)expected.rows, (int)expected.cols,
            ref_load(expected, worst_r, worst_c), ref_load(got, worst_r, worst_c), worst, largest,
            x->tolerance * largest);
    return false;
}

bool op_case_compare(const struct op_case *c, const char *device, const struct op_result *expected,
                     const struct op_result *got) {
    bool same = true;
    for (int i = 0; i < c->n_operands; i++) {
        const struct operand *x = &c->operands[i];
        if (!x->image || x->role == OPERAND_IN) continue;
        struct tensor e = op_result_tensor(c, expected, i), g = op_result_tensor(c, got, i);
        int64_t width = x->by_column ? 1 : e.cols;
        for (int64_t first = 0; first < e.cols; first += width)
            same &= columns_agree(c, device, x, e, g, first, first + width);
    }
    return same;
}

bool op_case_same_bits(const struct op_case *c, const char *device, const char *what, int64_t row,
                       const struct op_result *a, const struct op_result *b) {
    for (int i = 0; i < c->n_operands; i++) {
        const struct operand *x = &c->operands[i];
        if (!x->image || x->role == OPERAND_IN || (row >= 0 && !x->per_token)) continue;
        struct tensor ta = token_part(x, op_result_tensor(c, a, i), row);
        struct tensor tb = token_part(x, op_result_tensor(c, b, i), row);
        size_t size = dtype_size(ta.dtype);
        for (int64_t r = 0; r < ta.rows; r++)
            for (int64_t j = 0; j < ta.cols; j++) {
                if (!memcmp((char *)ta.data + (size_t)(r * ta.stride + j) * size,
                            (char *)tb.data + (size_t)(r * tb.stride + j) * size, size))
                    continue;
                fprintf(stderr, "%s on %s: %s changes the bits of %s[%d, %d]: %.9g and %.9g\n", c->text, device, what,
                        x->name, (int)(row < 0 ? r : row), (int)j, ref_load(ta, r, j), ref_load(tb, r, j));
                return false;
            }
    }
    return true;
}
