/* Every operation x back end x instruction set x odd shapes and options, against the reference.
 *
 * The cases are those of tests/support/op_table.c. A result may differ from the reference (sums in double) by 1e-5 of
 * the largest number of its tensor, half-precision stores by one step of their type, moves not at all; op_table.c says
 * where a tensor is measured otherwise and why. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/op_devices.h"
#include "support/op_table.h"
#include "tensor/ref/ref.h"

#define LARGEST_SIZE 1030
#define MOST_FAILURES 20 /* printed of one test */

/* Calls check for every case; returns how many failed. */
static int walk(struct op_devices *d, bool (*check)(struct op_devices *d, struct op_case *c)) {
    int n_failed = 0;
    for (const struct op_maker *maker = op_makers; maker->op; maker++)
        for (int i = 0; i < maker->n_cases && n_failed < MOST_FAILURES; i++) {
            struct op_case c;
            op_case_begin(&c, maker->op, (uint64_t)i, LARGEST_SIZE, false);
            maker->make(&c);
            n_failed += !check(d, &c);
            op_case_end(&c);
        }
    return n_failed;
}

static bool matches_reference(struct op_devices *d, struct op_case *c) {
    struct op_result expected, got;
    bool same = op_case_run(c, &d->reference, "ref", true, -1, &expected);
    for (int i = 0; i < d->n_devices; i++) {
        struct op_device *device = &d->devices[i];
        bool ran = op_case_run(c, &device->streams[THREADS_2], device->name, true, -1, &got);
        same &= ran && op_case_compare(c, device->name, &expected, &got);
        op_result_free(&got);
    }
    op_result_free(&expected);
    return same;
}

static void every_operation_matches_the_reference(void **state) {
    assert_int_equal(walk(*state, matches_reference), 0);
}

static bool threads_agree_on(struct op_device *device, const struct op_case *c) {
    struct op_result one, more;
    bool same = op_case_run(c, &device->streams[THREADS_1], device->name, true, -1, &one);
    for (int j = THREADS_2; same && j < N_THREAD_COUNTS; j++) {
        same = op_case_run(c, &device->streams[j], device->name, true, -1, &more) &&
               op_case_same_bits(c, device->name, "the number of threads", -1, &one, &more);
        op_result_free(&more);
    }
    op_result_free(&one);
    return same;
}

static bool threads_agree(struct op_devices *d, struct op_case *c) {
    bool same = true;
    for (int i = 0; i < d->n_devices; i++) same &= threads_agree_on(&d->devices[i], c);
    return same;
}

static void threads_do_not_change_the_bits(void **state) { assert_int_equal(walk(*state, threads_agree), 0); }

/* How many tokens a case has, if any operand has a row a token. */
static int64_t n_tokens(const struct op_case *c) {
    for (int i = 0; i < c->n_operands; i++)
        if (c->operands[i].per_token) {
            struct tensor view = c->operands[i].view;
            return view.dtype == DTYPE_I32 ? view.cols : view.rows;
        }
    return 0;
}

static bool token_alone_agrees_on(struct op_device *device, const struct op_case *c, const int64_t rows[3]) {
    struct stream *stream = &device->streams[THREADS_2];
    struct op_result all, alone;
    bool same = op_case_run(c, stream, device->name, true, -1, &all);
    for (int j = 0; same && j < 3; j++) {
        same = op_case_run(c, stream, device->name, true, rows[j], &alone) &&
               op_case_same_bits(c, device->name, "computing a token alone", rows[j], &all, &alone);
        op_result_free(&alone);
    }
    op_result_free(&all);
    return same;
}

static bool token_alone_agrees(struct op_devices *d, struct op_case *c) {
    int64_t n = n_tokens(c);
    if (n == 0) return true;
    int64_t rows[] = {0, n - 1, op_case_below(c, (int)n)};
    bool same = true;
    for (int i = 0; i < d->n_devices; i++) same &= token_alone_agrees_on(&d->devices[i], c, rows);
    return same;
}

static void a_token_alone_has_the_bits_it_has_in_a_batch(void **state) {
    assert_int_equal(walk(*state, token_alone_agrees), 0);
}

static bool halves_agree_on(struct op_device *device, struct op_case *c) {
    struct op_result half, whole;
    bool same = op_case_run(c, &device->streams[THREADS_2], device->name, false, -1, &half);
    c->matmul.symmetric = false;
    same = op_case_run(c, &device->streams[THREADS_2], device->name, false, -1, &whole) && same &&
           op_case_same_bits(c, device->name, "computing half of what is symmetric", -1, &half, &whole);
    c->matmul.symmetric = true;
    op_result_free(&half);
    op_result_free(&whole);
    return same;
}

static bool halves_agree(struct op_devices *d, struct op_case *c) {
    bool same = true;
    for (int i = 0; c->matmul.symmetric && i < d->n_devices; i++) same &= halves_agree_on(&d->devices[i], c);
    return same;
}

static void half_of_what_is_symmetric_gives_the_bits_of_all(void **state) {
    assert_int_equal(walk(*state, halves_agree), 0);
}

/* ---- what the table does not say ------------------------------------------------------------- */

/* Rounding its operands to bf16 changes a product by up to 2^-8; over a sum of k products of either sign that is under
 * 1e-2 of the largest result (or of sqrt(k), where all happen to be small), and more than fp32 would leave. */
static void bf16_products_are_near_fp32_and_not_fp32(void **state) {
    struct op_devices *d = *state;
    const struct op_maker *maker = op_makers;
    while (strcmp(maker->op, "matmul")) maker++;
    for (int number = 0; number < 30; number++) {
        struct op_case c;
        struct op_result fp32, bf16;
        op_case_begin(&c, maker->op, (uint64_t)number, LARGEST_SIZE, true);
        maker->make(&c);
        c.matmul.compute = DTYPE_F32;
        assert_true(op_case_run(&c, &d->reference, "ref", false, -1, &fp32));
        c.matmul.compute = DTYPE_BF16;
        op_case_say(&c, ", as BF16");
        c.operands[0].tolerance = 1e-2;
        c.operands[0].floor *= 10; /* from 0.1 sqrt(k) */
        for (int i = 0; i < d->n_devices; i++) {
            struct op_device *device = &d->devices[i];
            assert_true(op_case_run(&c, &device->streams[THREADS_2], device->name, false, -1, &bf16));
            assert_true(op_case_compare(&c, device->name, &fp32, &bf16));
            assert_int_not_equal(memcmp(fp32.images[0], bf16.images[0], c.operands[0].n_bytes), 0);
            op_result_free(&bf16);
        }
        op_result_free(&fp32);
        op_case_end(&c);
    }
}

static void put(const struct operand *x, int64_t row, int64_t col, double value) {
    ref_store(x->view, row, col, value);
}

/* Against the reference on the same rounded operands: only the order of the sum may differ. The tolerance is the
 * table's, 1e-5 of the largest result (or of sqrt(k) / 10); for k = 1030, where that is some 4 sqrt(k), 2e-6 of the sum
 * of |a| |b|, which is 0.64 k. Infinities and NaN are where the reference has them: whoever trains looks for those. */
static void bf16_products_match_the_reference_at_odd_shapes(void **state) {
    struct op_devices *d = *state;
    const struct op_maker *maker = op_makers;
    while (strcmp(maker->op, "matmul")) maker++;
    for (int number = 0; number < 60; number++) {
        struct op_case c;
        struct op_result expected, got;
        op_case_begin(&c, maker->op, 1000 + (uint64_t)number, LARGEST_SIZE, false);
        maker->make(&c);
        c.matmul.compute = DTYPE_BF16;
        op_case_say(&c, ", as BF16");
        const struct operand *a = &c.operands[1], *b = &c.operands[2];
        if (number % 4 == 0) put(a, a->view.rows - 1, a->view.cols - 1, number % 8 ? INFINITY : NAN);
        if (number % 4 == 1) put(b, b->view.rows - 1, 0, -INFINITY);
        assert_true(op_case_run(&c, &d->reference, "ref", false, -1, &expected));
        for (int i = 0; i < d->n_devices; i++) {
            struct op_device *device = &d->devices[i];
            assert_true(op_case_run(&c, &device->streams[THREADS_2], device->name, false, -1, &got));
            assert_true(op_case_compare(&c, device->name, &expected, &got));
            op_result_free(&got);
        }
        op_result_free(&expected);
        op_case_end(&c);
    }
}

/* Of a negative number GELU is the small difference of what its formula adds: digits of it must be left. */
static void gelu_of_negative_numbers_keeps_its_digits(void **state) {
    struct op_devices *d = *state;
    enum { N = 1000 };
    for (int i = 0; i < d->n_devices; i++) {
        struct stream *s = &d->devices[i].streams[THREADS_1];
        float numbers[N], results[N];
        float *memory = s->backend->memory_take(s, 2 * sizeof numbers, NULL);
        assert_non_null(memory);
        for (int j = 0; j < N; j++) numbers[j] = -5 * (float)(j + 1) / N;
        s->backend->copy_in(s, memory, numbers, sizeof numbers);
        s->ops->activation_forward(s, ACTIVATION_GELU_TANH, tensor_view(memory + N, DTYPE_F32, 1, N),
                                   tensor_view(memory, DTYPE_F32, 1, N));
        s->backend->copy_out(s, results, memory + N, sizeof results);
        for (int j = 0; j < N; j++) {
            double x = (double)numbers[j], inner = sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
            double expected = x / (1 + exp(-2 * inner));
            assert_true(fabs((double)results[j] - expected) < 1e-5 * fabs(expected));
        }
        s->backend->memory_give(s, memory);
    }
}

/* By a stream that has failed; `x` is in memory of the host. */
static void assert_nothing_is_done(struct stream *s, struct tensor x) {
    float before[64], other[64], *now = x.data;
    size_t n = (size_t)(x.rows * x.cols);
    struct norm_options norm = {NORM_RMS, 1e-5f};
    struct tensor none = tensor_absent(), from = tensor_view(other, DTYPE_F32, x.rows, x.cols);
    assert_true(n <= 64);
    for (size_t i = 0; i < n; i++) before[i] = now[i] = 2 + (float)i, other[i] = 1;
    s->ops->zero(s, x);
    s->ops->copy(s, x, from);
    s->ops->add(s, x, from);
    s->ops->norm_forward(s, norm, x, from, from, none, none, none, none);
    s->ops->activation_forward(s, ACTIVATION_RELU2, x, from);
    s->ops->activation_backward(s, ACTIVATION_RELU2, x, from, from);
    s->ops->bias_backward(s, tensor_rows(x, 0, 1), from);
    s->ops->matmul(s, &(struct matmul_options){.layout = MATMUL_NN}, tensor_cols(tensor_rows(x, 0, 1), 0, 1),
                   tensor_cols(tensor_rows(from, 0, 1), 0, 1), tensor_cols(tensor_rows(from, 0, 1), 0, 1));
    int64_t rng[2] = {1, 2};
    s->ops->dropout(s, (struct dropout_options){0.9f, 1}, x, tensor_view(rng, DTYPE_I64, 1, 2));
    s->backend->copy_in(s, now, other, n * sizeof *now);
    assert_memory_equal(now, before, n * sizeof *now);
    s->backend->copy_out(s, other, now, n * sizeof *now);
    assert_true(other[0] == 1);
}

/* A token outside the vocabulary is an error that names it, stops what follows, and stays. */
static void a_token_outside_the_vocabulary_latches_an_error(void **state) {
    struct op_devices *d = *state;
    static const int32_t wrong[] = {-1, 5, 1000000};
    for (int i = 0; i < d->n_devices; i++)
        for (int j = 0; j < 3; j++) {
            int32_t tokens[3] = {4, wrong[j], 0};
            char number[16];
            struct stream s;
            struct talc_error err = {{0}};
            assert_true(stream_open(&s, d->devices[i].name, d->pools[THREADS_2], &err));
            float *memory = s.backend->memory_take(&s, 1024, &err);
            assert_non_null(memory);
            char *at = (char *)memory;
            struct tensor out = tensor_view(at, DTYPE_F32, 3, 7), table = tensor_view(at + 256, DTYPE_F32, 5, 7);
            struct tensor indices = tensor_view(at + 512, DTYPE_I32, 1, 3);
            s.backend->copy_in(&s, indices.data, tokens, sizeof tokens);
            assert_true(stream_synchronize(&s, &err));
            s.ops->embedding_forward(&s, out, table, 1, indices, tensor_absent(), tensor_absent());
            assert_nothing_is_done(&s, table);
            assert_false(stream_synchronize(&s, &err));
            snprintf(number, sizeof number, "%d", wrong[j]);
            assert_non_null(strstr(err.message, number));
            assert_false(stream_synchronize(&s, &err));
            s.backend->memory_give(&s, memory);
            stream_close(&s);
        }
}

static void memory_is_zeroed_and_aligned(void **state) {
    struct op_devices *d = *state;
    for (int i = 0; i < d->n_devices; i++) {
        struct stream *s = &d->devices[i].streams[THREADS_1];
        char host[1000];
        for (int round = 0; round < 3; round++) {
            memset(host, 1, sizeof host);
            void *memory = s->backend->memory_take(s, sizeof host, NULL);
            assert_int_equal((uintptr_t)memory % 64, 0);
            s->backend->copy_out(s, host, memory, sizeof host);
            for (size_t j = 0; j < sizeof host; j++) assert_int_equal(host[j], 0);
            memset(host, 1, sizeof host);
            s->backend->copy_in(s, memory, host, sizeof host);
            s->backend->memory_give(s, memory);
        }
        struct talc_error err = {{0}};
        assert_null(s->backend->memory_take(s, SIZE_MAX - 8, &err));
        assert_true(err.message[0]);
    }
}

/* A peak that is measured is one that a product of the same moment does not pass: 20% are for a clock that wanders. */
static bool peak_holds(struct stream *s, enum dtype compute) {
    const int n = 192;
    float *memory = s->backend->memory_take(s, sizeof(float) * 3 * n * n, NULL);
    assert_non_null(memory);
    struct tensor a = tensor_view(memory, DTYPE_F32, n, n), b = a, c = a;
    b.data = memory + n * n;
    c.data = memory + 2 * n * n;
    struct matmul_options o = {.layout = MATMUL_NN, .compute = compute};
    double peak = 0, best = 0;
    for (int round = 0; round < 10; round++) {
        double start = clock_seconds();
        s->ops->matmul(s, &o, c, a, b);
        best = fmax(best, 2.0 * n * n * n / (clock_seconds() - start));
        double now = s->backend->peak_flops(s, compute);
        peak = fmax(peak, now);
    }
    s->backend->memory_give(s, memory);
    return peak > 0 && best < 1.2 * peak;
}

static void products_do_not_pass_the_measured_peak(void **state) {
    struct op_devices *d = *state;
    int n_measured = 0;
    if (getenv("RUNNER")) skip(); /* under an emulator times say nothing */
    for (int i = 0; i < d->n_devices; i++) {
        struct stream *s = &d->devices[i].streams[THREADS_1];
        if (!s->backend->peak_flops) continue;
        assert_true(peak_holds(s, DTYPE_F32));
        assert_true(peak_holds(s, DTYPE_BF16));
        n_measured++;
    }
    assert_true(n_measured > 0);
}

static void names_that_do_not_exist_are_refused(void **state) {
    (void)state;
    static const char *const names[] = {"", "gpu", "cp", "cpux", "cpu:", "cpu:mmx", "ref:avx2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct stream s;
        struct talc_error err = {{0}};
        assert_false(stream_open(&s, names[i], NULL, &err));
        assert_true(err.message[0]);
    }
}

static int open_devices(void **state) {
    struct op_devices *d = malloc(sizeof *d);
    *state = d;
    return d && op_devices_open(d) ? 0 : -1;
}

static int close_devices(void **state) {
    op_devices_close(*state);
    free(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_matches_the_reference),
        cmocka_unit_test(threads_do_not_change_the_bits),
        cmocka_unit_test(a_token_alone_has_the_bits_it_has_in_a_batch),
        cmocka_unit_test(half_of_what_is_symmetric_gives_the_bits_of_all),
        cmocka_unit_test(bf16_products_are_near_fp32_and_not_fp32),
        cmocka_unit_test(bf16_products_match_the_reference_at_odd_shapes),
        cmocka_unit_test(gelu_of_negative_numbers_keeps_its_digits),
        cmocka_unit_test(a_token_outside_the_vocabulary_latches_an_error),
        cmocka_unit_test(memory_is_zeroed_and_aligned),
        cmocka_unit_test(products_do_not_pass_the_measured_peak),
        cmocka_unit_test(names_that_do_not_exist_are_refused),
    };
    return cmocka_run_group_tests(tests, open_devices, close_devices);
}
