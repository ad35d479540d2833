/* Training end to end in memory: a tiny model learns a repeating text, to the same bits on any number of threads; what
 * is not finite stops it by name; a masked batch teaches nothing and breaks nothing. */
#include "support/cmocka_all.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/tiny_training.h"

static void it_learns(void **state) {
    (void)state;
    struct tiny_training s;
    tiny_training_open(&s, 2, TINY_ROWS);
    assert_true(tiny_training_run(&s, 60) < 0.1);
    tiny_training_close(&s);
}

static void threads_give_the_same_bits(void **state) {
    (void)state;
    struct tiny_training one, other;
    static const enum dtype computes[] = {DTYPE_F32, DTYPE_BF16};
    for (int c = 0; c < 2; c++) {
        struct trainer_options options = tiny_training_options();
        options.compute = computes[c];
        tiny_training_open_as(&one, 1, &options);
        tiny_training_run(&one, 8);
        for (int threads = 2; threads <= 4; threads += 2) {
            tiny_training_open_as(&other, threads, &options);
            tiny_training_run(&other, 8);
            assert_memory_equal(one.model.values.data, other.model.values.data,
                                (size_t)one.model.values.cols * sizeof(float));
            tiny_training_close(&other);
        }
        tiny_training_close(&one);
    }
}

static void accumulation_is_a_large_batch(void **state) {
    (void)state;
    struct tiny_training whole, pieces;
    struct objective o = objective_cross_entropy("test");
    struct rng a = rng_make(3, 3), b = a;
    tiny_training_open(&whole, 2, TINY_ROWS);
    tiny_training_open(&pieces, 2, 1);
    tiny_training_fill(&whole.batch, &a);
    tiny_training_fill(&pieces.batch, &b);
    assert_true(trainer_accumulate(&whole.trainer, &whole.batch, &o, NULL));
    assert_true(trainer_accumulate(&pieces.trainer, &pieces.batch, &o, NULL));
    const float *x = whole.model.gradients.data, *y = pieces.model.gradients.data;
    float largest = 0, difference = 0;
    for (int64_t i = 0; i < whole.model.gradients.cols; i++) {
        largest = fmaxf(largest, fabsf(x[i]));
        difference = fmaxf(difference, fabsf(x[i] - y[i]));
    }
    assert_true(largest > 0 && difference / largest < 1e-6f);
    tiny_training_close(&whole);
    tiny_training_close(&pieces);
}

static void every_micro_batch_of_training_has_a_number_of_its_own(void **state) {
    (void)state;
    struct tiny_training t;
    struct objective o = objective_cross_entropy("test");
    double loss, weight;
    tiny_training_open(&t, 1, 1);
    tiny_training_run(&t, 3);
    assert_int_equal(t.trainer.run.counter, 3 * TINY_ROWS);
    assert_true(trainer_evaluate(&t.trainer, &t.batch, &o, &loss, &weight, NULL));
    assert_int_equal(t.trainer.run.counter, 3 * TINY_ROWS);
    tiny_training_close(&t);
}

static void read_gradients(struct tiny_training *t, float *out) {
    memcpy(out, t->model.gradients.data, (size_t)t->model.gradients.cols * sizeof *out);
}

/* After an update that was made, or skipped, or measured, gradients are those of what is accumulated next, even where
 * the first rows have nothing to learn from. */
static void gradients_begin_anew_after_an_update(void **state) {
    (void)state;
    struct tiny_training t;
    struct objective o = objective_cross_entropy("test");
    struct update_report report;
    double seconds;
    for (int variant = 0; variant < 4; variant++) {
        struct trainer_options options = tiny_training_options();
        options.micro_batch_rows = 1;
        for (int i = 0; i < PARAMETER_ROLES; i++)
            options.groups[i].learning_rate = 0; /* the next pass sees the same weights */
        options.use_muon = variant == 1;
        tiny_training_open_as(&t, 2, &options);
        size_t n = (size_t)t.model.gradients.cols;
        float *first = malloc(n * sizeof *first), *next = malloc(n * sizeof *next);
        tiny_training_fill(&t.batch, &t.rng);
        for (int i = 0; i < TINY_CONTEXT; i++) t.batch.weights[i] = 0;
        assert_true(trainer_accumulate(&t.trainer, &t.batch, &o, NULL));
        read_gradients(&t, first);
        if (variant == 2) {
            t.trainer.options.skip_outliers = 1;
            for (int i = 0; i < OUTLIER_WINDOW; i++) outlier_score(&t.trainer.losses, i % 2 * 1e-3);
        }
        assert_true(trainer_update(&t.trainer, 1, &report, NULL));
        assert_true(report.skipped == (variant == 2));
        if (variant == 3) assert_true(trainer_measure(&t.trainer, &t.batch, &o, &seconds, NULL));
        assert_true(trainer_accumulate(&t.trainer, &t.batch, &o, NULL));
        read_gradients(&t, next);
        assert_memory_equal(first, next, n * sizeof *first);
        memset(t.batch.weights, 0, TINY_ROWS * TINY_CONTEXT * sizeof(float));
        assert_true(trainer_update(&t.trainer, 1, &report, NULL));
        assert_true(trainer_accumulate(&t.trainer, &t.batch, &o, NULL)); /* nothing: no gradient of before is used */
        t.trainer.options.skip_outliers = 0;
        assert_true(trainer_update(&t.trainer, 1, &report, NULL) && report.gradient_norm == 0);
        free(first), free(next);
        tiny_training_close(&t);
    }
}

static void a_masked_batch_changes_nothing_but_decay(void **state) {
    (void)state;
    struct tiny_training s;
    struct objective o = objective_cross_entropy("test");
    struct update_report report;
    struct rng rng = rng_make(1, 1);
    tiny_training_open(&s, 1, TINY_ROWS);
    tiny_training_fill(&s.batch, &rng);
    memset(s.batch.weights, 0, TINY_ROWS * TINY_CONTEXT * sizeof(float));
    assert_true(trainer_accumulate(&s.trainer, &s.batch, &o, NULL));
    assert_true(trainer_update(&s.trainer, 1, &report, NULL));
    assert_true(report.loss == 0 && report.gradient_norm == 0);
    tiny_training_close(&s);
}

/* Rows: the first 5 tokens count; none; all but the first 4; all. */
static void what_comes_after_the_last_target_is_not_computed(void **state) {
    (void)state;
    struct tiny_training s;
    struct rng rng = rng_make(3, 3);
    struct talc_error err = {0};
    struct objective o = objective_cross_entropy("test");
    float all[TINY_ROWS * TINY_CONTEXT * TOKEN_STATS];
    double loss, weight, expected = 0;
    tiny_training_open(&s, 1, TINY_ROWS);
    tiny_training_run(&s, 3);
    tiny_training_fill(&s.batch, &rng);
    assert_true(trainer_evaluate(&s.trainer, &s.batch, &o, &loss, &weight, &err));
    memcpy(all, s.trainer.stats, sizeof all);
    for (int i = 0; i < TINY_ROWS * TINY_CONTEXT; i++) {
        int row = i / TINY_CONTEXT, at = i % TINY_CONTEXT;
        if ((row == 0 && at >= 5) || row == 1 || (row == 2 && at < 4))
            s.batch.weights[i] = 0;
        else
            expected -= (double)all[i * TOKEN_STATS + STAT_LOGP];
    }
    assert_true(trainer_evaluate(&s.trainer, &s.batch, &o, &loss, &weight, &err));
    assert_int_equal(s.trainer.run.tokens.cols, 5 + 0 + TINY_CONTEXT + TINY_CONTEXT);
    assert_true(loss == expected);
    assert_true(weight == 5 + TINY_CONTEXT - 4 + TINY_CONTEXT);
    for (int i = 0; i < TINY_ROWS * TINY_CONTEXT; i++) {
        const float *stats = s.trainer.stats + i * TOKEN_STATS;
        if (s.batch.weights[i] != 0)
            assert_memory_equal(stats, all + i * TOKEN_STATS, TOKEN_STATS * sizeof *stats);
        else
            assert_true(stats[STAT_LOGP] == 0);
    }
    tiny_training_close(&s);
}

static void what_is_not_finite_is_named(void **state) {
    (void)state;
    struct tiny_training s;
    struct objective o = objective_cross_entropy("test");
    struct rng rng = rng_make(1, 1);
    struct talc_error err = {0};
    tiny_training_open(&s, 1, TINY_ROWS);
    tiny_training_fill(&s.batch, &rng);
    assert_true(trainer_accumulate(&s.trainer, &s.batch, &o, &err));
    ((float *)s.model.blocks[1].down.weight->gradient.data)[3] = NAN;
    assert_false(trainer_update(&s.trainer, 1, NULL, &err));
    assert_non_null(strstr(err.message, "step 1"));
    assert_non_null(strstr(err.message, "blocks.1.down.weight"));
    s.trainer.updates = 3, s.trainer.skipped = 2; /* the steps of a run are both */
    tiny_training_accumulate(&s);
    ((float *)s.model.blocks[1].down.weight->gradient.data)[3] = NAN;
    assert_false(trainer_update(&s.trainer, 1, NULL, &err));
    assert_non_null(strstr(err.message, "step 6"));
    tiny_training_close(&s);
}

/* A loss that is not finite is traced to the first thing that is not: a weight, or what was computed from weights. */
static void where_a_loss_went_wrong_is_named(void **state) {
    (void)state;
    struct tiny_training s;
    struct objective o = objective_cross_entropy("test");
    struct rng rng = rng_make(1, 1);
    struct talc_error err = {0};
    tiny_training_open(&s, 1, 1); /* a row at a time */
    tiny_training_fill(&s.batch, &rng);
    float *weight = s.model.blocks[1].qkv.weight->value.data, kept = *weight;
    *weight = NAN;
    assert_true(trainer_accumulate(&s.trainer, &s.batch, &o, &err));
    assert_false(trainer_update(&s.trainer, 1, NULL, &err));
    assert_non_null(strstr(err.message, "step 1"));
    if (!strstr(err.message, "blocks.1.qkv.weight")) print_error("%s\n", err.message);
    assert_non_null(strstr(err.message, "blocks.1.qkv.weight"));
    *weight = kept;
    struct parameter *up = s.model.blocks[1].up.weight; /* finite, but its product with anything is not */
    for (int64_t i = 0; i < up->value.rows * up->value.cols; i++) ((float *)up->value.data)[i] = 3e38f;
    assert_true(trainer_accumulate(&s.trainer, &s.batch, &o, &err));
    assert_false(trainer_update(&s.trainer, 1, NULL, &err));
    assert_non_null(strstr(err.message, "step 1"));
    if (!strstr(err.message, "the output of blocks.1.up")) print_error("%s\n", err.message);
    assert_non_null(strstr(err.message, "the output of blocks.1.up"));
    tiny_training_close(&s);
}

/* Rows and tokens whose product no int holds. */
static void a_batch_that_cannot_be_counted_is_refused(void **state) {
    (void)state;
    struct tiny_training s;
    struct talc_error err = {0};
    tiny_training_open(&s, 1, TINY_ROWS);
    struct trainer other;
    struct trainer_options options = s.trainer.options;
    options.micro_batch_rows = 1 << 29;
    assert_false(trainer_open(&other, &s.model, &options, &err));
    assert_non_null(strstr(err.message, "too many"));
    tiny_training_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_learns),
        cmocka_unit_test(threads_give_the_same_bits),
        cmocka_unit_test(accumulation_is_a_large_batch),
        cmocka_unit_test(every_micro_batch_of_training_has_a_number_of_its_own),
        cmocka_unit_test(gradients_begin_anew_after_an_update),
        cmocka_unit_test(a_masked_batch_changes_nothing_but_decay),
        cmocka_unit_test(what_comes_after_the_last_target_is_not_computed),
        cmocka_unit_test(what_is_not_finite_is_named),
        cmocka_unit_test(where_a_loss_went_wrong_is_named),
        cmocka_unit_test(a_batch_that_cannot_be_counted_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
