/* Muon: its steps are orthogonal, parts of fused matrices step by themselves, and a model learns by it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "support/model_case.h"
#include "train/muon.h"

enum { LARGEST = 96 };

static float *random_floats(int64_t n, uint64_t seed) {
    float *x = malloc((size_t)n * sizeof *x);
    struct rng rng = rng_make(seed, 0);
    for (int64_t i = 0; i < n; i++) x[i] = (float)rng_normal(&rng);
    return x;
}

/* A workspace with memory, for matrices of up to LARGEST x LARGEST. */
static void workspace_open(struct muon_workspace *w, struct arena *arena) {
    struct arch a = {
        .hidden_size = LARGEST, .intermediate_size = LARGEST, .n_heads = 1, .n_kv_heads = 1, .head_dim = LARGEST};
    for (int pass = 0; pass < 2; pass++) {
        if (pass) *arena = (struct arena){.memory = aligned_alloc(64, arena->used), .capacity = arena->used};
        muon_workspace_take(w, arena, &a);
    }
}

/* Singular values of what comes out are those of a rotation, within the iteration's error: x x^T on the shorter side is
 * near the identity. */
static void a_step_is_orthogonal(void **state) {
    (void)state;
    static const int shapes[][2] = {{1, 1}, {1, 7}, {16, 16}, {24, 96}, {96, 24}, {31, 33}, {96, 96}};
    struct device_case device;
    struct muon_workspace w;
    struct arena arena = {0};
    device_case_open(&device, "cpu");
    workspace_open(&w, &arena);
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        int rows = shapes[k][0], cols = shapes[k][1], side = rows < cols ? rows : cols;
        float *numbers = random_floats((int64_t)rows * cols, k);
        struct tensor x = tensor_view(w.x.data, DTYPE_F32, rows, cols);
        memcpy(x.data, numbers, (size_t)(rows * cols) * sizeof *numbers);
        muon_orthogonalize(&w, &device.stream, &x);
        const float *out = x.data;
        double off = 0, along = 0;
        for (int i = 0; i < side; i++)
            for (int j = 0; j < side; j++) {
                double sum = 0;
                for (int l = 0; l < rows + cols - side; l++)
                    sum += rows < cols ? (double)out[i * cols + l] * (double)out[j * cols + l]
                                       : (double)out[l * cols + i] * (double)out[l * cols + j];
                off += (sum - (i == j)) * (sum - (i == j));
            }
        for (int i = 0; i < rows * cols; i++) along += (double)out[i] * (double)numbers[i];
        /* A square random matrix has a few singular values that five steps do not lift all the way. */
        if (sqrt(off / side) > 0.25) fail_msg("%d x %d: x x^T is %g from the identity", rows, cols, sqrt(off / side));
        assert_true(along > 0); /* turned, not reflected */
        free(numbers);
    }
    free(arena.memory);
    device_case_close(&device);
}

static void parts_step_by_themselves(void **state) {
    (void)state;
    enum { ROWS = 48, COLS = 32, HALF = 24 };
    struct device_case device;
    struct muon_workspace w;
    struct arena arena = {0};
    device_case_open(&device, "cpu");
    workspace_open(&w, &arena);
    float *gradient = random_floats(ROWS * COLS, 1), *whole = random_floats(ROWS * COLS, 2),
          *half = random_floats(ROWS * COLS, 2);
    float *m = calloc(ROWS * COLS, sizeof *m), *m_half = calloc(ROWS * COLS, sizeof *m_half);
    float numbers[UPDATE_STEP] = {[STEP_LEARNING_RATE] = 0.02f, [STEP_GRAD_SCALE] = 1, [STEP_MOMENTUM] = 0.9f};
    struct tensor step = tensor_view(numbers, DTYPE_F32, 1, UPDATE_STEP);
    for (int i = 0; i < HALF * COLS; i++) gradient[i] *= 100; /* the loud half must not drown the other */
    struct parameter fused = {.value = tensor_view(whole, DTYPE_F32, ROWS, COLS),
                              .gradient = tensor_view(gradient, DTYPE_F32, ROWS, COLS),
                              .parts = {HALF, HALF}};
    struct muon_update u = {.weight_decay = 0.1f, .step = step};
    muon_step(&w, &device.stream, &fused, tensor_view(m, DTYPE_F32, ROWS, COLS), &u);
    for (int first = 0; first < ROWS; first += HALF) {
        struct parameter one = {.value = tensor_view(half + first * COLS, DTYPE_F32, HALF, COLS),
                                .gradient = tensor_view(gradient + first * COLS, DTYPE_F32, HALF, COLS)};
        muon_step(&w, &device.stream, &one, tensor_view(m_half + first * COLS, DTYPE_F32, HALF, COLS), &u);
    }
    assert_memory_equal(whole, half, ROWS * COLS * sizeof *whole);
    assert_memory_equal(m, m_half, ROWS * COLS * sizeof *m);
    float *again = random_floats(ROWS * COLS, 2);
    double moved = 0;
    for (int i = HALF * COLS; i < ROWS * COLS; i++) moved += fabs((double)whole[i] - (double)again[i]);
    assert_true(moved > 0.001 * HALF * COLS);
    free(again), free(gradient), free(whole), free(half), free(m), free(m_half);
    free(arena.memory);
    device_case_close(&device);
}

/* How far one step moves a matrix of a random gradient. */
static double length_of_step(struct device_case *device, struct muon_workspace *w, int rows, int cols) {
    float *gradient = random_floats(rows * cols, 5), *value = calloc((size_t)(rows * cols), sizeof *value),
          *m = calloc((size_t)(rows * cols), sizeof *m);
    float numbers[UPDATE_STEP] = {[STEP_LEARNING_RATE] = 0.02f, [STEP_GRAD_SCALE] = 1, [STEP_MOMENTUM] = 0.9f};
    struct parameter p = {.value = tensor_view(value, DTYPE_F32, rows, cols),
                          .gradient = tensor_view(gradient, DTYPE_F32, rows, cols)};
    struct muon_update u = {.step = tensor_view(numbers, DTYPE_F32, 1, UPDATE_STEP)};
    double sum = 0;
    muon_step(w, &device->stream, &p, tensor_view(m, DTYPE_F32, rows, cols), &u);
    for (int i = 0; i < rows * cols; i++) sum += (double)value[i] * (double)value[i];
    free(gradient), free(value), free(m);
    return sqrt(sum) / (double)numbers[STEP_LEARNING_RATE];
}

/* Singular values near 1, as many as the shorter side; a tall matrix moves further by the root of its sides' ratio. */
static void a_tall_matrix_takes_longer_steps(void **state) {
    (void)state;
    struct device_case device;
    struct muon_workspace w;
    struct arena arena = {0};
    device_case_open(&device, "cpu");
    workspace_open(&w, &arena);
    double wide = length_of_step(&device, &w, 8, 32), tall = length_of_step(&device, &w, 32, 8);
    if (fabs(wide - sqrt(8)) > 0.3 || fabs(tall - sqrt(8) * 2) > 0.6) print_error("%g and %g\n", wide, tall);
    assert_true(fabs(wide - sqrt(8)) < 0.3);
    assert_true(fabs(tall - sqrt(8) * 2) < 0.6);
    free(arena.memory);
    device_case_close(&device);
}

static void momentum_rises_to_its_end(void **state) {
    (void)state;
    struct muon_options o = {.momentum = 0.95f, .warmup_steps = 100};
    assert_true(fabs((double)muon_momentum(&o, 50) - 0.90) < 1e-6);
    assert_true(fabs((double)muon_momentum(&o, 100) - 0.95) < 1e-6);
    assert_true(fabs((double)muon_momentum(&o, 100000) - 0.95) < 1e-6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_orthogonal),
        cmocka_unit_test(parts_step_by_themselves),
        cmocka_unit_test(a_tall_matrix_takes_longer_steps),
        cmocka_unit_test(momentum_rises_to_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
