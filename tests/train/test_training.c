/* Training end to end in memory: a tiny model learns a repeating text, to the same bits on any number of threads; what is not
 * finite stops it by name; a masked batch teaches nothing and breaks nothing. */
#include "support/cmocka_all.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "train/recipe.h"
#include "train/training.h"

enum { VOCAB = 11, CONTEXT = 16, ROWS = 4 };

struct setup {
    struct thread_pool *pool;
    struct stream stream;
    struct model model;
    struct trainer trainer;
    struct row_batch batch;
};

static void open_setup(struct setup *s, int threads, int micro_batch_rows) {
    struct arch arch;
    struct talc_error err = {0};
    memset(s, 0, sizeof *s);
    s->pool = thread_pool_open(threads, &err);
    assert_true(stream_open(&s->stream, "cpu", s->pool, &err));
    assert_true(arch_from_depth(2, VOCAB, &arch, &err));
    arch.context_length = CONTEXT;
    struct recipe r = recipe_for(&arch, NULL);
    r.trainer.micro_batch_rows = micro_batch_rows;
    assert_true(model_open(&s->model, &arch, &s->stream, true, &err));
    assert_true(model_initialize(&s->model, r.init, 5, &err));
    assert_true(trainer_open(&s->trainer, &s->model, &r.trainer, &err));
    assert_true(row_batch_open(&s->batch, ROWS, CONTEXT, &err));
}

static void close_setup(struct setup *s) {
    row_batch_close(&s->batch);
    trainer_close(&s->trainer);
    model_close(&s->model);
    stream_close(&s->stream);
    thread_pool_close(s->pool);
}

/* Rows of 0 1 2 ... that begin anywhere: every target follows from its token. */
static void fill(struct row_batch *b, struct rng *rng) {
    row_batch_begin(b);
    for (int r = 0; r < b->n_rows; r++) {
        int first = (int)rng_below(rng, VOCAB);
        for (int i = 0; i < b->row_tokens; i++) {
            int at = r * b->row_tokens + i;
            b->tokens[at] = (first + i) % VOCAB;
            b->targets[at] = (first + i + 1) % VOCAB;
            b->weights[at] = 1;
        }
        row_batch_add_sequence(b, r, 0, b->row_tokens);
    }
    row_batch_end(b);
}

static double train(struct setup *s, int steps) {
    struct objective o = objective_cross_entropy("test");
    struct update_report report = {0};
    struct rng rng = rng_make(3, 3);
    struct talc_error err = {0};
    for (int i = 0; i < steps; i++) {
        fill(&s->batch, &rng);
        assert_true(trainer_accumulate(&s->trainer, &s->batch, &o, &err));
        assert_true(trainer_update(&s->trainer, 1, &report, &err));
        if (i == 0) assert_true(fabs(report.loss - log(VOCAB)) < 0.02); /* the head begins near zero */
    }
    return report.loss;
}

static void it_learns(void **state) {
    (void)state;
    struct setup s;
    open_setup(&s, 2, ROWS);
    assert_true(train(&s, 60) < 0.1);
    close_setup(&s);
}

static void threads_give_the_same_bits(void **state) {
    (void)state;
    struct setup one, other;
    open_setup(&one, 1, ROWS);
    train(&one, 8);
    for (int threads = 2; threads <= 4; threads += 2) {
        open_setup(&other, threads, ROWS);
        train(&other, 8);
        assert_memory_equal(one.model.values.data, other.model.values.data, (size_t)one.model.values.cols * sizeof(float));
        close_setup(&other);
    }
    close_setup(&one);
}

static void accumulation_is_a_large_batch(void **state) {
    (void)state;
    struct setup whole, pieces;
    struct objective o = objective_cross_entropy("test");
    struct rng a = rng_make(3, 3), b = a;
    open_setup(&whole, 2, ROWS);
    open_setup(&pieces, 2, 1);
    fill(&whole.batch, &a);
    fill(&pieces.batch, &b);
    assert_true(trainer_accumulate(&whole.trainer, &whole.batch, &o, NULL));
    assert_true(trainer_accumulate(&pieces.trainer, &pieces.batch, &o, NULL));
    const float *x = whole.model.gradients.data, *y = pieces.model.gradients.data;
    float largest = 0, difference = 0;
    for (int64_t i = 0; i < whole.model.gradients.cols; i++) {
        largest = fmaxf(largest, fabsf(x[i]));
        difference = fmaxf(difference, fabsf(x[i] - y[i]));
    }
    assert_true(largest > 0 && difference / largest < 1e-6f);
    close_setup(&whole);
    close_setup(&pieces);
}

static void a_masked_batch_changes_nothing_but_decay(void **state) {
    (void)state;
    struct setup s;
    struct objective o = objective_cross_entropy("test");
    struct update_report report;
    struct rng rng = rng_make(1, 1);
    open_setup(&s, 1, ROWS);
    fill(&s.batch, &rng);
    memset(s.batch.weights, 0, ROWS * CONTEXT * sizeof(float));
    assert_true(trainer_accumulate(&s.trainer, &s.batch, &o, NULL));
    assert_true(trainer_update(&s.trainer, 1, &report, NULL));
    assert_true(report.loss == 0 && report.gradient_norm == 0);
    close_setup(&s);
}

/* Rows: the first 5 tokens count; none; all but the first 4; all. */
static void what_comes_after_the_last_target_is_not_computed(void **state) {
    (void)state;
    struct setup s;
    struct rng rng = rng_make(3, 3);
    struct talc_error err = {0};
    struct objective o = objective_cross_entropy("test");
    float all[ROWS * CONTEXT * TOKEN_STATS];
    double loss, weight, expected = 0;
    open_setup(&s, 1, ROWS);
    train(&s, 3);
    fill(&s.batch, &rng);
    assert_true(trainer_evaluate(&s.trainer, &s.batch, &o, &loss, &weight, &err));
    memcpy(all, s.trainer.stats, sizeof all);
    for (int i = 0; i < ROWS * CONTEXT; i++) {
        int row = i / CONTEXT, at = i % CONTEXT;
        if ((row == 0 && at >= 5) || row == 1 || (row == 2 && at < 4)) s.batch.weights[i] = 0;
        else expected -= (double)all[i * TOKEN_STATS + STAT_LOGP];
    }
    assert_true(trainer_evaluate(&s.trainer, &s.batch, &o, &loss, &weight, &err));
    assert_int_equal(s.trainer.run.tokens.cols, 5 + 0 + CONTEXT + CONTEXT);
    assert_true(loss == expected);
    assert_true(weight == 5 + CONTEXT - 4 + CONTEXT);
    for (int i = 0; i < ROWS * CONTEXT; i++) {
        const float *stats = s.trainer.stats + i * TOKEN_STATS;
        if (s.batch.weights[i] != 0) assert_memory_equal(stats, all + i * TOKEN_STATS, TOKEN_STATS * sizeof *stats);
        else assert_true(stats[STAT_LOGP] == 0);
    }
    close_setup(&s);
}

static void what_is_not_finite_is_named(void **state) {
    (void)state;
    struct setup s;
    struct objective o = objective_cross_entropy("test");
    struct rng rng = rng_make(1, 1);
    struct talc_error err = {0};
    open_setup(&s, 1, ROWS);
    fill(&s.batch, &rng);
    assert_true(trainer_accumulate(&s.trainer, &s.batch, &o, &err));
    ((float *)s.model.blocks[1].down.weight->gradient.data)[3] = NAN;
    assert_false(trainer_update(&s.trainer, 1, NULL, &err));
    assert_non_null(strstr(err.message, "step 1"));
    assert_non_null(strstr(err.message, "blocks.1.down.weight"));
    close_setup(&s);
}

/* A loss that is not finite is traced to the first thing that is not: a weight, or what was computed from weights. */
static void where_a_loss_went_wrong_is_named(void **state) {
    (void)state;
    struct setup s;
    struct objective o = objective_cross_entropy("test");
    struct rng rng = rng_make(1, 1);
    struct talc_error err = {0};
    open_setup(&s, 1, 1); /* a row at a time */
    fill(&s.batch, &rng);
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
    close_setup(&s);
}

/* Rows and tokens whose product no int holds. */
static void a_batch_that_cannot_be_counted_is_refused(void **state) {
    (void)state;
    struct setup s;
    struct talc_error err = {0};
    open_setup(&s, 1, ROWS);
    struct trainer other;
    struct trainer_options options = s.trainer.options;
    options.micro_batch_rows = 1 << 29;
    assert_false(trainer_open(&other, &s.model, &options, &err));
    assert_non_null(strstr(err.message, "too many"));
    close_setup(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_learns),
        cmocka_unit_test(threads_give_the_same_bits),
        cmocka_unit_test(accumulation_is_a_large_batch),
        cmocka_unit_test(a_masked_batch_changes_nothing_but_decay),
        cmocka_unit_test(what_comes_after_the_last_target_is_not_computed),
        cmocka_unit_test(what_is_not_finite_is_named),
        cmocka_unit_test(where_a_loss_went_wrong_is_named),
        cmocka_unit_test(a_batch_that_cannot_be_counted_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
