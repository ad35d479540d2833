/* Stochastic rounding: right on average, still where it can be exact; weights and moments kept in bf16 learn, to the
 * same bits on any number of threads, in half the memory. */
#include "support/cmocka_all.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/tiny_training.h"
#include "tensor/rounding.h"

/* Over all random numbers there are, each once. */
static void the_mean_is_what_was_rounded(void **state) {
    (void)state;
    static const float values[] = {1, 1.0001f, -0.3f, 3.14159265f, -1e-20f, 1e30f, 0x1.fffffep0f, 0x1p-130f, 0};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        double sum = 0, x = (double)values[i];
        for (uint32_t random = 0; random < 65536; random++)
            sum += (double)bf16_to_f32(bf16_round_stochastic(values[i], random));
        assert_true(fabs(sum / 65536 - x) <= 1e-12 * fabs(x));
    }
    assert_true(bf16_to_f32(bf16_round_stochastic(INFINITY, 0xffff)) == INFINITY);
    assert_true(bf16_to_f32(bf16_round_stochastic(-INFINITY, 0xffff)) == -INFINITY);
    assert_true(isnan(bf16_to_f32(bf16_round_stochastic(NAN, 0xffff))));
}

/* A parameter and a second moment of 1 in bf16, a thousand steps of which none is a tenth of the distance to its
 * neighbour. */
static void small_steps_add_up(void **state) {
    (void)state;
    enum { N = 4096 };
    struct tiny_training t;
    static uint16_t parameter[N], m[N], v[N];
    static float gradient[N];
    float step[UPDATE_STEP] = {
        [STEP_LEARNING_RATE] = 1e-4f, [STEP_CORRECTION1] = 1, [STEP_CORRECTION2] = 1, [STEP_GRAD_SCALE] = 1};
    uint64_t rng[2] = {3, 0};
    tiny_training_open(&t, 2, TINY_ROWS);
    for (int i = 0; i < N; i++) parameter[i] = v[i] = f32_to_bf16(1);
    struct adamw_part part = {.options = {0, 0.9999f, 0, 0},
                              .parameter = tensor_view(parameter, DTYPE_BF16, 1, N),
                              .gradient = tensor_view(gradient, DTYPE_F32, 1, N),
                              .m = tensor_view(m, DTYPE_BF16, 1, N),
                              .v = tensor_view(v, DTYPE_BF16, 1, N),
                              .step = tensor_view(step, DTYPE_F32, 1, UPDATE_STEP),
                              .rng = tensor_view(rng, DTYPE_I64, 1, 2)};
    for (int i = 0; i < 1000; i++, rng[1]++) {
        for (int k = 0; k < N; k++) gradient[k] = 1;
        t.stream.ops->adamw(&t.stream, &part, 1);
    }
    double sum = 0, squares = 0;
    for (int i = 0; i < N; i++) sum += (double)bf16_to_f32(parameter[i]) / N, squares += (double)bf16_to_f32(v[i]) / N;
    assert_true(fabs(sum - 0.9) < 3e-3);   /* 1 - 1000 * 1e-4 */
    assert_true(fabs(squares - 1) < 3e-3); /* b2 * 1 + (1 - b2) * 1 */
    tiny_training_close(&t);
}

/* Moments, weights, or both in bf16; by AdamW, or by Muon. */
enum { VARIANTS = 6 };
static struct trainer_options variant_of(int variant) {
    struct recipe r = {.trainer = tiny_training_options()};
    if (variant >= 3) recipe_use_muon(&r);
    r.trainer.moments = variant % 3 != 1 ? DTYPE_BF16 : DTYPE_F32;
    r.trainer.weights = variant % 3 != 0 ? DTYPE_BF16 : DTYPE_F32;
    return r.trainer;
}

static void open_variant(struct tiny_training *t, int variant, int threads) {
    struct trainer_options options = variant_of(variant);
    tiny_training_open_as(t, threads, &options);
    t->trainer.run.seed = 9;
}

static void what_is_kept_in_bf16_learns(void **state) {
    (void)state;
    for (int variant = 0; variant < VARIANTS; variant++) {
        struct tiny_training t;
        open_variant(&t, variant, 1);
        double loss = tiny_training_run(&t, 60);
        if (!(loss < 0.1)) fail_msg("variant %d: a loss of %g is left", variant, loss);
        tiny_training_close(&t);
    }
}

static void threads_round_to_the_same_bits(void **state) {
    (void)state;
    for (int variant = 0; variant < VARIANTS; variant++) {
        struct tiny_training one, other;
        open_variant(&one, variant, 1);
        tiny_training_run(&one, 4);
        for (int threads = 2; threads <= 4; threads += 2) {
            open_variant(&other, variant, threads);
            tiny_training_run(&other, 4);
            struct tensor a = one.model.values, b = one.trainer.m;
            assert_memory_equal(a.data, other.model.values.data, (size_t)a.cols * dtype_size(a.dtype));
            assert_memory_equal(b.data, other.trainer.m.data, (size_t)b.cols * dtype_size(b.dtype));
            tiny_training_close(&other);
        }
        tiny_training_close(&one);
    }
}

static void measuring_an_update_changes_nothing(void **state) {
    (void)state;
    for (int variant = 0; variant < VARIANTS; variant++) {
        struct tiny_training t;
        struct objective o = objective_cross_entropy("test");
        double seconds;
        open_variant(&t, variant, 2);
        tiny_training_run(&t, 3);
        struct tensor all[] = {t.model.values, t.trainer.m, t.trainer.v};
        void *before[3];
        size_t n_bytes[3];
        for (int i = 0; i < 3; i++) {
            n_bytes[i] = (size_t)all[i].cols * dtype_size(all[i].dtype);
            before[i] = malloc(n_bytes[i]);
            memcpy(before[i], all[i].data, n_bytes[i]);
        }
        assert_true(trainer_measure(&t.trainer, &t.batch, &o, &seconds, NULL) && seconds > 0);
        for (int i = 0; i < 3; i++) {
            assert_memory_equal(before[i], all[i].data, n_bytes[i]);
            free(before[i]);
        }
        assert_true(t.trainer.updates == 3);
        tiny_training_close(&t);
    }
}

static void a_weight_in_bf16_that_is_not_finite_is_named(void **state) {
    (void)state;
    struct tiny_training t;
    struct trainer_options options = tiny_training_options();
    struct talc_error err = {0};
    options.weights = DTYPE_BF16;
    tiny_training_open_as(&t, 1, &options);
    ((uint16_t *)t.model.blocks[1].up.weight->value.data)[3] = f32_to_bf16(NAN);
    tiny_training_accumulate(&t);
    assert_false(trainer_update(&t.trainer, 1, NULL, &err));
    assert_non_null(strstr(err.message, "the value of blocks.1.up.weight"));
    tiny_training_close(&t);
}

static void what_is_kept_in_bf16_takes_half_the_memory(void **state) {
    (void)state;
    struct arch arch;
    struct trainer_options full = tiny_training_options(), half = full, narrow = full;
    half.moments = DTYPE_BF16;
    narrow.weights = DTYPE_BF16;
    assert_true(arch_from_depth(2, TINY_VOCAB, &arch, NULL));
    struct memory_table a = trainer_memory(&arch, &full), b = trainer_memory(&arch, &half);
    assert_true(a.total - b.total == a.parameters); /* two bytes less for each of two moments */
    assert_true(a.optimizer - b.optimizer == a.parameters);
    struct memory_table c = trainer_memory(&arch, &narrow); /* all but norms and biases */
    assert_true(a.total - c.total == a.parameters - c.parameters && 2 * c.parameters < 1.02 * (double)a.parameters);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mean_is_what_was_rounded),
        cmocka_unit_test(small_steps_add_up),
        cmocka_unit_test(what_is_kept_in_bf16_learns),
        cmocka_unit_test(threads_round_to_the_same_bits),
        cmocka_unit_test(measuring_an_update_changes_nothing),
        cmocka_unit_test(a_weight_in_bf16_that_is_not_finite_is_named),
        cmocka_unit_test(what_is_kept_in_bf16_takes_half_the_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
