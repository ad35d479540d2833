/* The loop of a run over rows of the test's own: it keeps to its time, stops in the middle of an update and goes on as
 * if it had not, and what it leaves in its folder is whole. */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file/atomic.h"
#include "file/json.h"
#include "support/tiny_training.h"
#include "text/tokenizer_train.h"
#include "train/training.h"

static char folder[64];

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/talc-test-loop-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}
static int remove_folder(void **state) {
    (void)state;
    return folder_remove(folder, NULL) ? 0 : -1;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Rows that count up from where their number says; a row may take its time, or ask to stop. */
struct rows {
    uint64_t n;
    double seconds; /* that a row takes */
    int64_t stop_at, n_given;
    volatile sig_atomic_t *stop; /* set when row number stop_at is given */
};

static bool count_rows(void *context, uint64_t epoch, uint64_t *n, struct talc_error *err) {
    (void)epoch, (void)err;
    *n = ((struct rows *)context)->n;
    return true;
}

static bool fill_row(void *context, uint64_t epoch, uint64_t index, struct row_batch *b, int row,
                     struct talc_error *err) {
    struct rows *rows = context;
    (void)err;
    if (rows->seconds > 0) usleep((useconds_t)(rows->seconds * 1e6));
    for (int i = 0; i < b->row_tokens; i++) {
        int at = row * b->row_tokens + i;
        b->tokens[at] = (int)((index * 5 + epoch + (uint64_t)i) % TINY_VOCAB);
        b->targets[at] = (b->tokens[at] + 1) % TINY_VOCAB;
        b->weights[at] = 1;
    }
    row_batch_add_sequence(b, row, 0, b->row_tokens);
    if (rows->stop && ++rows->n_given == rows->stop_at) *rows->stop = 1;
    return true;
}

static struct loader loader_of(struct rows *rows, bool in_order) {
    return (struct loader){.row_tokens = TINY_CONTEXT,
                           .in_order = in_order,
                           .context = rows,
                           .count_rows = count_rows,
                           .fill_row = fill_row};
}

/* ---- a run ----------------------------------------------------------------------------------- */

struct test_run {
    struct tiny_training training;
    struct rows rows, validation_rows;
    struct loader train, validation;
    struct tokenizer *tokenizer;
    struct training_data data;
    struct training_options options;
    struct train_state state;
    volatile sig_atomic_t stop;
    bool stopped;
    int n_saves;
};

static struct tokenizer *make_tokenizer(void) {
    struct tokenizer_train_options o = tokenizer_train_defaults(true);
    struct tokenizer_trainer *trainer = tokenizer_trainer_open(&o, NULL);
    assert_true(tokenizer_trainer_add(trainer, "abcdefghijk", 11, NULL));
    struct tokenizer *tok = tokenizer_trainer_finish(trainer, NULL);
    tokenizer_trainer_close(trainer);
    assert_non_null(tok);
    return tok;
}

/* A row at a time, TINY_ROWS an update; 10 steps, nothing saved or validated before the end. */
static void open_run(struct test_run *r, const char *name) {
    static char out[256];
    *r = (struct test_run){.rows.n = 64, .validation_rows.n = 3};
    tiny_training_open(&r->training, 1, 1);
    r->tokenizer = make_tokenizer();
    r->train = loader_of(&r->rows, false);
    r->validation = loader_of(&r->validation_rows, true);
    r->data = (struct training_data){.train = &r->train, .rows_per_step = TINY_ROWS};
    snprintf(out, sizeof out, "%s/%s", folder, name);
    assert_true(folder_create(out, NULL));
    r->options = (struct training_options){
        .out = out, .schedule = {.kind = SCHEDULE_LINEAR, .total_steps = 10}, .keep = 2, .stop = &r->stop};
    r->state = training_state_new();
}

static void close_run(struct test_run *r) {
    tiny_training_close(&r->training);
    tokenizer_free(r->tokenizer);
}

static void run(struct test_run *r) {
    struct talc_error err = {0};
    struct objective o = objective_cross_entropy("test");
    if (!training_run(&r->training.trainer, &o, &r->data, r->tokenizer, &r->options, &r->state, &r->stopped, &err))
        fail_msg("%s", err.message);
}

static void resume(struct test_run *r) {
    struct talc_error err = {0};
    char path[320];
    struct model model;
    snprintf(path, sizeof path, "%s/latest", r->options.out);
    struct model_options o = {.gradients = true};
    if (!model_load_folder(&model, path, &r->training.stream, &o, &err)) fail_msg("%s", err.message);
    assert_int_equal(model.values.cols, r->training.model.values.cols);
    memcpy(r->training.model.values.data, model.values.data, (size_t)model.values.cols * sizeof(float));
    model_close(&model);
    if (!checkpoint_resume(r->options.out, &r->training.trainer, &r->state, &err)) fail_msg("%s", err.message);
}

static const void *weights_of(const struct test_run *r, size_t *n_bytes) {
    *n_bytes = (size_t)r->training.model.values.cols * sizeof(float);
    return r->training.model.values.data;
}

static void assert_same_weights(const struct test_run *a, const struct test_run *b) {
    size_t n, m;
    const void *x = weights_of(a, &n), *y = weights_of(b, &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
}

/* ---- time ------------------------------------------------------------------------------------ */

static double last_rate, last_seconds;
static void note_rate(void *context, const struct train_state *s, const struct metrics_line *line) {
    (void)context, (void)s;
    last_rate = line->learning_rate_factor;
    last_seconds = line->seconds;
}

/* Updates of 0.2 s and more: a run of a second is no run of the twelve that are measured where there is time. */
static void slow_updates_keep_to_the_time(void **state) {
    (void)state;
    struct test_run r;
    open_run(&r, "slow");
    r.rows.seconds = 0.2 / TINY_ROWS;
    r.options.minutes = 1.0 / 60;
    r.options.schedule = (struct schedule){.kind = SCHEDULE_LINEAR};
    r.options.on_step = note_rate;
    run(&r);
    assert_true(r.state.step >= 1 && r.state.step <= 5);
    assert_true(last_seconds < 2.4);
    assert_int_equal(r.state.total_steps, r.state.step);
    close_run(&r);
}

/* One update alone takes longer than there is time. */
static void an_update_longer_than_the_time_is_the_only_one(void **state) {
    (void)state;
    struct test_run r;
    open_run(&r, "one");
    r.rows.seconds = 0.05;
    r.options.minutes = 0.1 / 60;
    r.options.schedule = (struct schedule){.kind = SCHEDULE_LINEAR};
    run(&r);
    assert_int_equal(r.state.step, 1);
    assert_false(r.stopped);
    close_run(&r);
}

static void run_for(struct test_run *r, const char *name, double seconds, const struct schedule *schedule) {
    open_run(r, name);
    r->rows.seconds = 0.005;
    r->options.minutes = seconds / 60;
    r->options.schedule = *schedule;
    r->options.warmup_share = 0.1;
    r->options.on_step = note_rate;
    run(r);
}

/* Quick ones fill the time, and the rate has fallen to (nearly) nothing at its end. A busy machine that lets a run
 * stand just before its end spoils one try. */
static void quick_updates_fill_the_time(void **state) {
    (void)state;
    static const struct schedule schedules[] = {{.kind = SCHEDULE_LINEAR, .warmup_steps = 700},
                                                {.kind = SCHEDULE_WSD, .decay_fraction = 0.5}};
    for (int i = 0; i < 2; i++) {
        bool good = false;
        for (int tries = 0; tries < 8 && !good; tries++) {
            struct test_run r;
            char name[32];
            snprintf(name, sizeof name, "quick_%d_%d", i, tries);
            run_for(&r, name, 1.5, &schedules[i]);
            good = last_seconds > 1.2 && last_seconds < 1.8 && last_rate > 0 && last_rate < 3.0 / (double)r.state.step;
            print_message("%g s, %lld steps, rate %g\n", last_seconds, (long long)r.state.step, last_rate);
            if (schedules[i].warmup_steps > 0) assert_true(r.state.warmup_steps >= 0 && r.state.warmup_steps < 15);
            close_run(&r);
        }
        assert_true(good);
    }
}

/* A warmup for long runs takes a tenth of a short one, as its first plan says, whatever gives its length; resumed with
 * another length it stays. One that was asked for is as it is. */
static void a_warmup_takes_a_tenth_at_most(void **state) {
    (void)state;
    struct test_run r;
    open_run(&r, "warmup");
    r.options.schedule = (struct schedule){.kind = SCHEDULE_WSD, .warmup_steps = 700, .decay_fraction = 0.5};
    r.options.schedule.total_steps = 30;
    r.options.warmup_share = 0.1;
    r.options.on_step = note_rate;
    run(&r);
    assert_int_equal(r.state.warmup_steps, 3);
    assert_true(last_rate < 0.1);
    close_run(&r);
    open_run(&r, "warmup");
    r.options.schedule = (struct schedule){.kind = SCHEDULE_WSD, .warmup_steps = 700, .total_steps = 1000};
    r.options.warmup_share = 0.1;
    r.options.on_step = note_rate;
    resume(&r);
    r.rows.stop = &r.stop;
    r.rows.stop_at = TINY_ROWS + 1;
    run(&r);
    assert_int_equal(r.state.step, 31);
    assert_int_equal(r.state.warmup_steps, 3);
    assert_true(last_rate == 1);
    close_run(&r);
    open_run(&r, "warmup");
    r.options.schedule = (struct schedule){.kind = SCHEDULE_WSD, .warmup_steps = 700, .total_steps = 32};
    r.options.on_step = note_rate;
    resume(&r);
    run(&r);
    assert_true(last_rate == 32.0 / 700);
    close_run(&r);
}

/* A run by the clock whose slow updates ended it early is done, until it has more time; then it is not warmed up again.
 */
static void a_run_that_ended_early_is_done(void **state) {
    (void)state;
    struct test_run r;
    struct schedule schedule = {.kind = SCHEDULE_WSD, .warmup_steps = 700, .decay_fraction = 0.5};
    for (int turn = 0; turn < 3; turn++) {
        open_run(&r, "early");
        r.rows.seconds = 0.1; /* a row */
        r.options.minutes = (turn < 2 ? 0.15 * TINY_ROWS : 3.0 * TINY_ROWS) / 60;
        r.options.schedule = schedule;
        r.options.warmup_share = 0.1;
        r.options.on_step = note_rate;
        if (turn == 2) r.rows.stop = &r.stop, r.rows.stop_at = TINY_ROWS + 1;
        if (turn > 0) resume(&r);
        run(&r);
        assert_int_equal(r.state.step, turn < 2 ? 1 : 2);
        if (turn == 2) assert_true(last_rate == 1);
        close_run(&r);
    }
}

/* ---- a stop ---------------------------------------------------------------------------------- */

/* The signal comes with the second row of the fifth update: the update is not made, and is made anew later. */
static void a_stop_in_an_update_drops_it(void **state) {
    (void)state;
    struct test_run whole, parts;
    open_run(&whole, "whole");
    run(&whole);
    assert_int_equal(whole.state.step, 10);
    open_run(&parts, "parts");
    parts.rows.stop = &parts.stop;
    parts.rows.stop_at = 4 * TINY_ROWS + 2;
    run(&parts);
    assert_true(parts.stopped);
    assert_int_equal(parts.state.step, 4);
    assert_int_equal(parts.training.trainer.run.counter, 4 * TINY_ROWS);
    assert_int_equal(parts.state.position.next, 4 * TINY_ROWS);
    assert_false(parts.training.trainer.accumulated);
    close_run(&parts);
    open_run(&parts, "parts");
    resume(&parts);
    assert_int_equal(parts.state.step, 4);
    run(&parts);
    assert_false(parts.stopped);
    assert_int_equal(parts.state.step, 10);
    assert_same_weights(&whole, &parts);
    close_run(&whole);
    close_run(&parts);
}

/* A run of a model whose file has its norms less 1, which are small enough here to lose digits there. */
static void open_gemma_run(struct test_run *r, const char *name) {
    struct trainer_options options = tiny_training_options();
    open_run(r, name);
    struct arch arch = r->training.model.arch;
    tiny_training_close(&r->training);
    strcpy(arch.family, "gemma3_text");
    arch.activation = ACTIVATION_GEGLU;
    arch.post_norms = arch.scale_embedding = true;
    arch.query_pre_attn_scalar = 20;
    options.micro_batch_rows = 1;
    tiny_training_open_arch(&r->training, &arch, 1, &options);
    struct model *m = &r->training.model;
    for (int i = 0; i < m->n_parameters; i++)
        for (int64_t j = 0; m->parameters[i].role == ROLE_NORM && j < m->parameters[i].value.cols; j++)
            ((float *)m->parameters[i].value.data)[j] = 0.1f + 0.01f * (float)(j % 30);
}

static void norms_that_a_file_has_less_one_go_on_to_the_bit(void **state) {
    (void)state;
    struct test_run whole, parts;
    open_gemma_run(&whole, "gemma-whole");
    run(&whole);
    open_gemma_run(&parts, "gemma-parts");
    parts.rows.stop = &parts.stop;
    parts.rows.stop_at = 4 * TINY_ROWS + 2;
    run(&parts);
    assert_int_equal(parts.state.step, 4);
    close_run(&parts);
    open_gemma_run(&parts, "gemma-parts");
    resume(&parts);
    run(&parts);
    assert_int_equal(parts.state.step, 10);
    assert_same_weights(&whole, &parts);
    close_run(&whole);
    close_run(&parts);
}

/* Before anything was learnt there is nothing to save. */
static void a_stop_in_the_first_update_saves_nothing(void **state) {
    (void)state;
    struct test_run r;
    char path[320];
    open_run(&r, "first");
    r.rows.stop = &r.stop;
    r.rows.stop_at = 1;
    run(&r);
    assert_true(r.stopped && r.state.step == 0);
    snprintf(path, sizeof path, "%s/latest", r.options.out);
    assert_false(folder_exists(path));
    close_run(&r);
}

static int n_validations;
static void count_validation(void *context, const struct train_state *s, double bits) {
    (void)context, (void)s, (void)bits;
    n_validations++;
}

/* A validation does not hold up a stop; it is made when the run goes on, also where it was the last thing to do. */
static void a_stop_in_a_validation_puts_it_off(void **state) {
    (void)state;
    struct test_run r;
    for (int at = 5; at <= 10; at += 5) {
        open_run(&r, at == 5 ? "validation" : "last_validation");
        r.data.validation = &r.validation;
        r.options.eval_every = 5;
        r.options.on_evaluation = count_validation;
        r.validation_rows.stop = &r.stop;
        r.validation_rows.stop_at = at == 5 ? 2 : 5; /* of three rows each time */
        n_validations = 0;
        run(&r);
        assert_true(r.stopped);
        assert_int_equal(r.state.step, at);
        assert_int_equal(n_validations, at / 5 - 1);
        close_run(&r);
        open_run(&r, at == 5 ? "validation" : "last_validation");
        r.data.validation = &r.validation;
        r.options.eval_every = 5;
        r.options.on_evaluation = count_validation;
        resume(&r);
        run(&r);
        assert_false(r.stopped);
        assert_int_equal(n_validations, 2);
        assert_true(r.state.val_loss > 0 && r.state.best_step > 0);
        close_run(&r);
    }
}

/* ---- how often ------------------------------------------------------------------------------- */

static int64_t every_validation(struct test_run *r, uint64_t rows, int64_t total) {
    struct training_intervals every;
    r->validation_rows.n = rows;
    assert_true(training_plan_intervals(&r->options, &r->data, total, &every, NULL));
    assert_int_equal(every.save, (total + 9) / 10);
    return every.eval;
}

/* A tenth of the run, but that validations of many rows, each a third of the work of training on it, take 5% at most.
 */
static void validations_take_a_twentieth_at_most(void **state) {
    (void)state;
    struct test_run r;
    open_run(&r, "intervals");
    r.options.eval_every = r.options.save_every = -1;
    r.data.validation = &r.validation;
    r.data.rows_per_step = 12;
    assert_int_equal(every_validation(&r, 3, 2000), 200);
    assert_int_equal(every_validation(&r, 146 * 12, 2000), 1000); /* 48.7 updates' worth each: two of them in 100 */
    assert_int_equal(every_validation(&r, 146 * 12, 100), 0);     /* at the end only */
    assert_int_equal(every_validation(&r, 146 * 12, 10000), 1000);
    assert_int_equal(every_validation(&r, 3, 11), 2);
    assert_int_equal(every_validation(&r, 3, 0), 0);                   /* not known yet */
    r.options.ramp = (struct batch_ramp){.first_rows = 2, .share = 1}; /* less work in all */
    assert_int_equal(every_validation(&r, 146 * 12, 2000), 2000);
    r.data.validation = NULL;
    every_validation(&r, 3, 100);
    close_run(&r);
}

static void count_saves(void *context, const struct train_state *s, const struct metrics_line *line) {
    struct test_run *r = context;
    char path[320];
    (void)line;
    snprintf(path, sizeof path, "%s/checkpoints/step-%d", r->options.out, (int)s->step - 1);
    if (s->step > 1 && folder_exists(path)) r->n_saves++;
}

/* Some ten, in a run by the clock too, whose length is planned anew all the time; and in one that is made
 * longer as many as its new length asks for. */
static void a_run_by_the_clock_saves_some_ten_times(void **state) {
    (void)state;
    struct test_run r;
    open_run(&r, "saves");
    r.rows.seconds = 0.003;
    r.options.minutes = 2.0 / 60;
    r.options.schedule = (struct schedule){.kind = SCHEDULE_LINEAR};
    r.options.eval_every = r.options.save_every = -1;
    r.options.keep = 1000;
    r.options.on_step = count_saves;
    r.options.context = &r;
    run(&r);
    print_message("%d saves in %d steps\n", r.n_saves, (int)r.state.step);
    assert_true(r.n_saves >= 1 && r.n_saves <= 20); /* a busy machine changes its plans a good deal */
    close_run(&r);
    open_run(&r, "longer");
    run(&r);
    close_run(&r);
    open_run(&r, "longer");
    r.options.schedule.total_steps = 100;
    r.options.eval_every = r.options.save_every = -1;
    r.options.keep = 1000;
    r.options.on_step = count_saves;
    r.options.context = &r;
    resume(&r);
    run(&r);
    assert_int_equal(r.n_saves, 9); /* 10, 20 .. 90; 100 is seen by no step after it */
    close_run(&r);
}

/* ---- links ----------------------------------------------------------------------------------- */

/* Where RUN/best points; "" when it is no link. */
static const char *best_of(const struct test_run *r) {
    static char target[256];
    char path[320];
    snprintf(path, sizeof path, "%s/best", r->options.out);
    ssize_t n = readlink(path, target, sizeof target - 1);
    target[n > 0 ? n : 0] = '\0';
    return target;
}

/* A kill between the two links, or a copy without them, leaves `best` elsewhere than trainer.json says. */
static void best_is_pointed_anew(void **state) {
    (void)state;
    struct test_run r;
    char path[320], expected[64];
    open_run(&r, "best");
    r.data.validation = &r.validation;
    r.options.eval_every = 2;
    r.options.save_every = 2;
    r.options.keep = 10;
    run(&r);
    assert_true(r.state.best_step > 2);
    snprintf(expected, sizeof expected, "checkpoints/step-%d", (int)r.state.best_step);
    assert_string_equal(best_of(&r), expected);
    close_run(&r);
    snprintf(path, sizeof path, "%s/best", r.options.out);
    for (int lost = 0; lost < 2; lost++) {
        if (lost)
            assert_int_equal(unlink(path), 0);
        else
            assert_true(atomic_symlink("checkpoints/step-2", path, NULL));
        open_run(&r, "best");
        resume(&r);
        run(&r); /* which has nothing left to do */
        assert_string_equal(best_of(&r), expected);
        close_run(&r);
    }
    assert_true(atomic_symlink("checkpoints/step-2", path, NULL));
    open_run(&r, "best");
    resume(&r);
    r.options.schedule.total_steps = 11;
    r.state.best_loss = 0; /* this one is not better */
    run(&r);
    assert_string_equal(best_of(&r), expected);
    close_run(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_updates_keep_to_the_time),
        cmocka_unit_test(an_update_longer_than_the_time_is_the_only_one),
        cmocka_unit_test(quick_updates_fill_the_time),
        cmocka_unit_test(a_warmup_takes_a_tenth_at_most),
        cmocka_unit_test(a_run_that_ended_early_is_done),
        cmocka_unit_test(a_stop_in_an_update_drops_it),
        cmocka_unit_test(norms_that_a_file_has_less_one_go_on_to_the_bit),
        cmocka_unit_test(a_stop_in_the_first_update_saves_nothing),
        cmocka_unit_test(a_stop_in_a_validation_puts_it_off),
        cmocka_unit_test(validations_take_a_twentieth_at_most),
        cmocka_unit_test(a_run_by_the_clock_saves_some_ten_times),
        cmocka_unit_test(best_is_pointed_anew),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
