/* Outliers among losses and gradient norms: scored against a full window, found in training, and left
 * without a trace. */
#include "support/cmocka_all.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/tiny_training.h"
#include "train/outlier.h"

static void a_score_counts_standard_deviations_of_a_full_window(void **state) {
    (void)state;
    struct outlier_window w = {0};
    for (int i = 0; i < OUTLIER_WINDOW; i++)
        assert_true(outlier_score(&w, i % 2 ? 3 : 1) == 0); /* mean 2, deviation 1 */
    assert_true(fabs(outlier_score(&w, 7) - 5) < 1e-12);
    double mean = (126.0 * 2 + 3 + 7) / 128; /* the 7 has taken the place of the first 1 */
    double variance = (63 * (1 - mean) * (1 - mean) + 64 * (3 - mean) * (3 - mean) + (7 - mean) * (7 - mean)) / 128;
    assert_true(fabs(outlier_score(&w, 0) - (0 - mean) / sqrt(variance)) < 1e-12);
}

static void a_new_level_stops_standing_out(void **state) {
    (void)state;
    struct outlier_window w = {0};
    for (int i = 0; i < OUTLIER_WINDOW; i++) outlier_score(&w, i % 2 ? 3 : 1);
    assert_true(outlier_score(&w, 100) > 50);
    for (int i = 0; i < OUTLIER_WINDOW; i++) outlier_score(&w, i % 2 ? 101 : 99);
    assert_true(fabs(outlier_score(&w, 101)) < 2);
    for (int i = 0; i < OUTLIER_WINDOW; i++) outlier_score(&w, 5);
    assert_true(outlier_score(&w, 6) == 0); /* no deviation to count in */
}

/* A resumed run is given the last values again, the oldest first: its scores are the same to the last bit. */
static void a_window_filled_anew_gives_the_same_bits(void **state) {
    (void)state;
    struct outlier_window w = {0}, again = {0};
    double values[OUTLIER_WINDOW + 77];
    for (int i = 0; i < OUTLIER_WINDOW + 77; i++) outlier_score(&w, values[i] = sin(i * 12.9898) * exp(cos(i * 3.7)));
    for (int i = 77; i < OUTLIER_WINDOW + 77; i++) outlier_score(&again, values[i]);
    for (int i = 0; i < 500; i++) assert_true(outlier_score(&w, sin(i * 7.1)) == outlier_score(&again, sin(i * 7.1)));
}

/* An update with a gradient many times as long as all before it. */
static void an_update_that_stands_out_changes_nothing(void **state) {
    (void)state;
    struct tiny_training t;
    struct update_report report;
    struct talc_error err = {0};
    tiny_training_open(&t, 1, 4);
    t.trainer.options.skip_outliers = 6;
    for (int i = 0; i < 4; i++) {
        tiny_training_accumulate(&t);
        assert_true(trainer_update(&t.trainer, 0.01, &report, &err));
        assert_false(report.skipped);
    }
    for (int i = 0; i < OUTLIER_WINDOW; i++) { /* as if there had been many of the same */
        outlier_score(&t.trainer.losses, report.loss * (1 + 0.02 * (i % 2)));
        outlier_score(&t.trainer.norms, report.gradient_norm * (1 + 0.5 * (i % 2)));
    }
    tiny_training_accumulate(&t);
    assert_true(trainer_update(&t.trainer, 0.01, &report, &err) && !report.skipped);
    size_t n = (size_t)t.model.values.cols * sizeof(float);
    float *values = malloc(n), *m = malloc(n);
    memcpy(values, t.model.values.data, n);
    memcpy(m, t.trainer.m.data, n);
    int64_t updates = t.trainer.updates;
    tiny_training_accumulate(&t);
    ((float *)t.model.gradients.data)[5] += 1e4f;
    assert_true(trainer_update(&t.trainer, 0.01, &report, &err));
    assert_true(report.skipped && t.trainer.skipped == 1 && t.trainer.updates == updates);
    assert_memory_equal(values, t.model.values.data, n);
    assert_memory_equal(m, t.trainer.m.data, n);
    tiny_training_accumulate(&t); /* nothing of that gradient is left in this one */
    assert_true(trainer_update(&t.trainer, 0.01, &report, &err));
    assert_true(!report.skipped && t.trainer.updates == updates + 1 && report.gradient_norm < 1e3);
    free(values);
    free(m);
    tiny_training_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_score_counts_standard_deviations_of_a_full_window),
        cmocka_unit_test(a_new_level_stops_standing_out),
        cmocka_unit_test(a_window_filled_anew_gives_the_same_bits),
        cmocka_unit_test(an_update_that_stands_out_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
