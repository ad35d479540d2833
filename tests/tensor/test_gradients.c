/* Every backward of the reference is the derivative of its forward, by finite differences.
 *
 * The loss is sum(output * d_output). Its slope along one input element is taken at four points (x +- h, x +- 2h),
 * whose error falls with h^4: truncation is about h^4/30 of the fifth derivative, while outputs stored as F32 leave
 * noise of about 1e-7/h. h = 1/16, a power of two so that x +- h loses few bits, makes both 1e-5 for inputs of unit
 * size, and up to 1e-4 for a norm of one element or attention over few keys, which bend most. 2e-4 of the largest
 * gradient is asked for; a wrong formula misses by far more. Cases are made `smooth`: no 16-bit numbers, no kink within
 * 2h of an input, a large epsilon. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/op_table.h"
#include "tensor/ref/ref.h"

#define STEP 0x1p-4
#define TOLERANCE 2e-4
#define N_CASES 40
#define LARGEST_SIZE 7

static double loss(const struct op_case *c, struct stream *s) {
    struct op_result result;
    double sum = 0;
    assert_true(op_case_run(c, s, "ref", false, -1, &result));
    for (int i = 0; i < c->n_outputs; i++) {
        struct tensor out = op_result_tensor(c, &result, c->outputs[i].output);
        struct tensor d_out = c->operands[c->outputs[i].d_output].view;
        for (int64_t r = 0; r < out.rows; r++)
            for (int64_t j = 0; j < out.cols; j++) sum += ref_load(out, r, j) * ref_load(d_out, r, j);
    }
    op_result_free(&result);
    return sum;
}

/* The slope of the loss along element (r, j) of operand `input`. */
static double slope(const struct op_case *c, struct stream *s, int input, int64_t r, int64_t j) {
    struct tensor x = c->operands[input].view;
    double middle = ref_load(x, r, j), at[5] = {0};
    for (int i = -2; i <= 2; i++) {
        ref_store(x, r, j, middle + i * STEP);
        if (i) at[i + 2] = loss(c, s);
    }
    ref_store(x, r, j, middle);
    return (at[0] - 8 * at[1] + 8 * at[3] - at[4]) / (12 * STEP);
}

static bool gradient_is_slope(const struct op_case *c, struct stream *s, struct gradient_pair pair,
                              const struct op_result *result) {
    const struct operand *input = &c->operands[pair.input], *gradient = &c->operands[pair.gradient];
    struct tensor after = op_result_tensor(c, result, pair.gradient);
    double largest = 0.1, worst = -1, expected = 0, got = 0;
    int64_t at_row = 0, at_col = 0;
    for (int64_t r = 0; r < after.rows; r++)
        for (int64_t j = 0; j < after.cols; j++) {
            double numeric = slope(c, s, pair.input, r, j);
            double ours = ref_load(after, r, j) - (pair.accumulated ? ref_load(gradient->view, r, j) : 0);
            double error = isfinite(ours) ? fabs(numeric - ours) : INFINITY;
            largest = fmax(largest, fabs(numeric));
            if (error <= worst) continue;
            worst = error;
            at_row = r;
            at_col = j;
            expected = numeric;
            got = ours;
        }
    if (worst <= TOLERANCE * largest) return true;
    fprintf(stderr, "%s: %s[%d, %d]: the slope along %s is %.7g, backward says %.7g (largest %.3g)\n", c->text,
            gradient->name, (int)at_row, (int)at_col, input->name, expected, got, largest);
    return false;
}

static bool case_is_right(const struct op_maker *maker, int number, struct stream *s, int *n_checked) {
    struct op_case c;
    struct op_result result;
    op_case_begin(&c, maker->op, (uint64_t)number, LARGEST_SIZE, true);
    maker->make(&c);
    bool right = true;
    if (c.backward) {
        right = op_case_run(&c, s, "ref", true, -1, &result);
        for (int i = 0; right && i < c.n_gradients; i++, ++*n_checked)
            right = gradient_is_slope(&c, s, c.gradients[i], &result);
        op_result_free(&result);
    }
    op_case_end(&c);
    return right;
}

static void backward_is_the_slope_of_forward(void **state) {
    (void)state;
    struct stream s;
    int n_wrong = 0, n_operations = 0;
    assert_true(backend_ref.open(&s, NULL, NULL, NULL));
    for (const struct op_maker *maker = op_makers; maker->op; maker++) {
        int n_checked = 0;
        for (int i = 0; i < N_CASES; i++) n_wrong += !case_is_right(maker, i, &s, &n_checked);
        n_operations += n_checked > 0;
    }
    stream_close(&s);
    assert_int_equal(n_operations, 8); /* embedding, norm, linear, qkv, attention, activation, dropout, stats */
    assert_int_equal(n_wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(backward_is_the_slope_of_forward)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
