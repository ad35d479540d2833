/* Learning rates over a run. */
#include "support/cmocka_all.h"

#include <math.h>

#include "train/schedule.h"

static void near(double a, double b) { assert_true(fabs(a - b) < 1e-12); }

static void warmup_is_linear_and_starts_above_zero(void **state) {
    (void)state;
    struct schedule s = {.kind = SCHEDULE_COSINE, .warmup_steps = 4, .total_steps = 100};
    near(schedule_factor(&s, 0), 0.25);
    near(schedule_factor(&s, 3), 1);
    near(schedule_factor(&s, 4), 1);
}

static void cosine_ends_at_the_final_factor(void **state) {
    (void)state;
    struct schedule s = {.kind = SCHEDULE_COSINE, .warmup_steps = 0, .total_steps = 100, .final_factor = 0.1};
    near(schedule_factor(&s, 50), 0.55);
    near(schedule_factor(&s, 100), 0.1);
    assert_true(schedule_factor(&s, 99) < 0.101);
}

static void wsd_holds_and_then_falls_to_zero(void **state) {
    (void)state;
    struct schedule s = {.kind = SCHEDULE_WSD, .warmup_steps = 10, .total_steps = 100, .decay_fraction = 0.4};
    near(schedule_factor(&s, 59), 1);
    near(schedule_factor(&s, 60), 1);
    near(schedule_factor(&s, 80), 0.5);
    near(schedule_factor(&s, 99), 1.0 / 40);
}

static void an_open_end_keeps_the_peak(void **state) {
    (void)state;
    struct schedule s = {.kind = SCHEDULE_LINEAR, .warmup_steps = 2, .total_steps = 0};
    near(schedule_factor(&s, 11), 1);
}

static void a_new_plan_leaves_no_jump(void **state) {
    (void)state;
    struct schedule s = {.kind = SCHEDULE_WSD, .warmup_steps = 10, .total_steps = 100, .decay_fraction = 0.4};
    schedule_replan(&s, 20, 200); /* before the decay: as if it had been so from the beginning */
    near(schedule_factor(&s, 119), 1);
    near(schedule_factor(&s, 160), 0.5);
    schedule_replan(&s, 160, 260); /* in it: from a half to nothing in 100 steps instead of 40 */
    near(schedule_factor(&s, 160), 0.5);
    near(schedule_factor(&s, 210), 0.25);
    schedule_replan(&s, 210, 212);
    near(schedule_factor(&s, 210), 0.25);
    near(schedule_factor(&s, 211), 0.125);
    near(schedule_factor(&s, 212), 0);
    struct schedule cosine = {.kind = SCHEDULE_COSINE, .warmup_steps = 10, .total_steps = 100};
    schedule_replan(&cosine, 50, 200);
    assert_int_equal(cosine.total_steps, 100);
    struct schedule constant = {.kind = SCHEDULE_CONSTANT, .warmup_steps = 10, .total_steps = 100};
    schedule_replan(&constant, 50, 200);
    near(schedule_factor(&constant, 150), 1);
}

/* A longer plan may have its decay begin later than where the rate falls already. */
static void a_decay_that_has_begun_goes_on_under_a_longer_plan(void **state) {
    (void)state;
    struct schedule s = {.kind = SCHEDULE_WSD, .warmup_steps = 10, .total_steps = 200, .decay_fraction = 0.4};
    schedule_replan(&s, 120, 260); /* of 260 steps the last 104 would decay: from 156 on */
    near(schedule_factor(&s, 120), 1);
    double factor = schedule_factor(&s, 140);
    near(factor, 1 - 20.0 / 140);
    schedule_replan(&s, 140, 240);
    near(schedule_factor(&s, 140), factor);
    near(schedule_factor(&s, 190), factor / 2);
    near(schedule_factor(&s, 240), 0);
}

/* A shorter plan may have its decay begin before where the rate is held still; so may the first plan. */
static void a_shorter_plan_falls_from_where_the_rate_is(void **state) {
    (void)state;
    struct schedule s = {.kind = SCHEDULE_WSD, .warmup_steps = 10, .total_steps = 1000, .decay_fraction = 0.5};
    schedule_replan(&s, 200, 300); /* the last 150 of 300 steps would decay */
    near(schedule_factor(&s, 200), 1);
    near(schedule_factor(&s, 250), 0.5);
    near(schedule_factor(&s, 300), 0);
    struct schedule open = {.kind = SCHEDULE_LINEAR, .warmup_steps = 10};
    schedule_replan(&open, 50, 100);
    near(schedule_factor(&open, 50), 1);
    near(schedule_factor(&open, 75), 0.5);
}

static void a_batch_grows_in_a_straight_line(void **state) {
    (void)state;
    struct batch_ramp ramp = {.first_rows = 4, .share = 0.5}, none = {0};
    assert_int_equal(batch_ramp_rows(&ramp, 20, 0, 100), 4);
    assert_int_equal(batch_ramp_rows(&ramp, 20, 25, 100), 12);
    assert_int_equal(batch_ramp_rows(&ramp, 20, 49, 100), 19);
    assert_int_equal(batch_ramp_rows(&ramp, 20, 50, 100), 20);
    assert_int_equal(batch_ramp_rows(&ramp, 20, 99, 100), 20);
    assert_int_equal(batch_ramp_rows(&ramp, 20, 7, 0), 4); /* not planned yet */
    assert_int_equal(batch_ramp_rows(&none, 20, 0, 100), 20);
    double rows = 0;
    for (int step = 10; step < 100; step++) rows += batch_ramp_rows(&ramp, 20, step, 100);
    assert_true(fabs(batch_ramp_mean(&ramp, 20, 10, 100) - rows / 90 / 20) < 0.03);
    near(batch_ramp_mean(&ramp, 20, 60, 100), 1);
    near(batch_ramp_mean(&none, 20, 0, 100), 1);
}

static void names_round_trip(void **state) {
    (void)state;
    enum schedule_kind kind;
    for (int i = SCHEDULE_CONSTANT; i <= SCHEDULE_WSD; i++) {
        assert_true(schedule_kind_parse(schedule_kind_name((enum schedule_kind)i), &kind));
        assert_int_equal(kind, i);
    }
    assert_false(schedule_kind_parse("sinus", &kind));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warmup_is_linear_and_starts_above_zero),
        cmocka_unit_test(cosine_ends_at_the_final_factor),
        cmocka_unit_test(wsd_holds_and_then_falls_to_zero),
        cmocka_unit_test(an_open_end_keeps_the_peak),
        cmocka_unit_test(a_batch_grows_in_a_straight_line),
        cmocka_unit_test(a_new_plan_leaves_no_jump),
        cmocka_unit_test(a_decay_that_has_begun_goes_on_under_a_longer_plan),
        cmocka_unit_test(a_shorter_plan_falls_from_where_the_rate_is),
        cmocka_unit_test(names_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
