/* What an update does to every parameter, against the same in plain double arithmetic; what recipes ask it to do. */
#include "support/cmocka_all.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/tiny_training.h"

/* ---- AdamW ----------------------------------------------------------------------------------- */

/* A parameter and its moments as they should be. */
struct expected {
    double *p, *m, *v;
};

static void expect(struct expected *e, const struct parameter *p) {
    size_t n = (size_t)(p->value.rows * p->value.cols);
    e->p = malloc(n * sizeof *e->p);
    e->m = calloc(n, sizeof *e->m);
    e->v = calloc(n, sizeof *e->v);
    for (size_t i = 0; i < n; i++) e->p[i] = (double)((const float *)p->value.data)[i];
}

static double norm_of(const struct model *model) {
    double sum = 0;
    for (int k = 0; k < model->n_parameters; k++) {
        struct tensor g = model->parameters[k].gradient;
        for (int64_t i = 0; i < g.rows * g.cols; i++)
            sum += (double)((const float *)g.data)[i] * (double)((const float *)g.data)[i];
    }
    return sqrt(sum);
}

/* Step t, counted from 1, of a parameter whose gradient is there. */
static void step(struct expected *e, const struct parameter *p, const struct trainer_options *o, int t, double factor,
                 double scale) {
    double b1 = (double)o->beta1, b2 = (double)o->beta2, rate = (double)o->groups[p->role].learning_rate * factor;
    for (int64_t i = 0; i < p->value.rows * p->value.cols; i++) {
        double g = scale * (double)((const float *)p->gradient.data)[i];
        e->m[i] = b1 * e->m[i] + (1 - b1) * g;
        e->v[i] = b2 * e->v[i] + (1 - b2) * g * g;
        double m = e->m[i] / (1 - pow(b1, t)), v = e->v[i] / (1 - pow(b2, t));
        e->p[i] -= rate * (m / (sqrt(v) + (double)o->epsilon) + (double)o->groups[p->role].weight_decay * e->p[i]);
    }
}

static void check(const struct expected *e, const struct parameter *p, double rate) {
    for (int64_t i = 0; i < p->value.rows * p->value.cols; i++) {
        double got = (double)((const float *)p->value.data)[i];
        if (fabs(got - e->p[i]) > 1e-4 * rate + 3e-7 * fabs(e->p[i]))
            fail_msg("%s [%lld] is %.9g, not %.9g", p->name, (long long)i, got, e->p[i]);
    }
}

/* Each role has a rate and a decay of its own; the first update is clipped, the others are not; the rate changes. */
static void every_role_is_stepped_as_it_is_written(void **state) {
    (void)state;
    struct tiny_training t;
    struct trainer_options options = tiny_training_options();
    struct update_report report;
    struct talc_error err = {0};
    int seen[PARAMETER_ROLES] = {0};
    for (int role = 0; role < PARAMETER_ROLES; role++)
        options.groups[role] = (struct group_options){.learning_rate = 0.01f * (float)(role + 1),
                                                      .weight_decay = 0.3f / (float)(role + 1)};
    options.epsilon = 1e-6f;
    tiny_training_open_as(&t, 2, &options);
    const struct model *model = &t.model;
    struct expected *expected = calloc((size_t)model->n_parameters, sizeof *expected);
    for (int k = 0; k < model->n_parameters; k++) expect(&expected[k], &model->parameters[k]);
    for (int s = 1; s <= 4; s++) {
        double factor = 1.0 / s, scale = 1;
        tiny_training_accumulate(&t);
        double norm = norm_of(model);
        if (s == 1) {
            t.trainer.options.gradient_clip = (float)(norm / 4);
            scale = (double)t.trainer.options.gradient_clip / norm;
        } else {
            t.trainer.options.gradient_clip = s == 2 ? 0 : (float)(norm * 1.5);
        }
        for (int k = 0; k < model->n_parameters; k++)
            step(&expected[k], &model->parameters[k], &options, s, factor, scale);
        if (!trainer_update(&t.trainer, factor, &report, &err)) fail_msg("%s", err.message);
        assert_true(fabs(report.gradient_norm - norm) < 1e-6 * norm);
        for (int k = 0; k < model->n_parameters; k++) {
            enum parameter_role role = model->parameters[k].role;
            check(&expected[k], &model->parameters[k], (double)options.groups[role].learning_rate);
            seen[role]++;
        }
    }
    assert_true(seen[ROLE_EMBEDDING] && seen[ROLE_MATRIX] && seen[ROLE_HEAD] && seen[ROLE_NORM]);
    for (int k = 0; k < model->n_parameters; k++) free(expected[k].p), free(expected[k].m), free(expected[k].v);
    free(expected);
    tiny_training_close(&t);
}

/* Norms and biases are not pulled to 0, whatever the family. */
static void recipes_decay_matrices(void **state) {
    (void)state;
    struct arch arch;
    for (int i = 0; i < 2; i++) {
        assert_true(i ? arch_preset("gpt2-124m", &arch, NULL) : arch_from_depth(4, 1000, &arch, NULL));
        struct recipe r = recipe_for(&arch, NULL);
        assert_true(r.trainer.groups[ROLE_NORM].weight_decay == 0 && r.trainer.groups[ROLE_BIAS].weight_decay == 0);
        assert_true(r.trainer.groups[ROLE_MATRIX].weight_decay > 0 && r.trainer.gradient_clip == 1);
    }
}

/* Muon has one moment of a matrix; what has two keeps them apart. */
static void muon_keeps_no_second_moment(void **state) {
    (void)state;
    struct tiny_training t;
    struct trainer_options options = tiny_training_options(), adamw = options;
    options.use_muon = true;
    options.muon = (struct muon_options){.momentum = 0.95f};
    tiny_training_open_as(&t, 2, &options);
    tiny_training_run(&t, 3);
    int64_t matrices = 0, n = 0;
    const char *end = t.trainer.v.data;
    for (int k = 0; k < t.model.n_parameters; k++) {
        const struct parameter *p = &t.model.parameters[k];
        struct tensor v = trainer_moment(&t.trainer, true, p);
        assert_true(tensor_present(trainer_moment(&t.trainer, false, p)));
        assert_true(tensor_present(v) == (p->role != ROLE_MATRIX));
        if (!tensor_present(v)) {
            matrices += p->value.rows * p->value.cols;
            continue;
        }
        assert_true((const char *)v.data >= end); /* behind the one before, and not all zero */
        end = (const char *)v.data + v.rows * v.cols * (int64_t)sizeof(float);
        double sum = 0;
        for (int64_t i = 0; i < v.rows * v.cols; i++) sum += (double)((const float *)v.data)[i];
        assert_true(sum > 0);
        n++;
    }
    assert_true(end <= (const char *)t.trainer.v.data + t.trainer.v.cols * (int64_t)sizeof(float));
    assert_true(n > 5 && t.trainer.v.cols == t.trainer.m.cols - matrices);
    struct arch gpt2; /* where the workspace, of the largest matrix, is small beside what is saved */
    assert_true(arch_preset("gpt2-124m", &gpt2, NULL));
    assert_true(trainer_memory(&gpt2, &options).optimizer < trainer_memory(&gpt2, &adamw).optimizer - 250000000);
    tiny_training_close(&t);
}

/* ---- outliers -------------------------------------------------------------------------------- */

/* A loss that stands out is enough, and so is a norm. */
static void either_of_both_makes_an_outlier(void **state) {
    (void)state;
    for (int by_loss = 0; by_loss < 2; by_loss++) {
        struct tiny_training t;
        struct update_report report;
        tiny_training_open(&t, 1, TINY_ROWS);
        t.trainer.options.skip_outliers = 6;
        tiny_training_accumulate(&t);
        assert_true(trainer_update(&t.trainer, 0, &report, NULL) && !report.skipped);
        for (int i = 0; i < OUTLIER_WINDOW; i++) { /* far above, or just about, what is to come */
            outlier_score(&t.trainer.losses, report.loss * (by_loss ? 0.5 + 0.001 * (i % 2) : 1 + 0.5 * (i % 2)));
            outlier_score(&t.trainer.norms,
                          report.gradient_norm * (by_loss ? 1 + 0.5 * (i % 2) : 0.1 + 0.001 * (i % 2)));
        }
        tiny_training_accumulate(&t);
        assert_true(trainer_update(&t.trainer, 0, &report, NULL));
        assert_true(report.skipped);
        tiny_training_close(&t);
    }
}

/* ---- objectives ------------------------------------------------------------------------------ */

static const struct objective *plain;
static void evaluate_from_statistics(const struct objective *self, const struct row_batch *batch, int first_row,
                                     int n_rows, const float *stats, double denominator, float *stat_grads) {
    (void)self;
    assert_non_null(stats);
    for (int64_t i = 0; i < (int64_t)n_rows * batch->row_tokens; i++)
        assert_true(batch->weights[(int64_t)first_row * batch->row_tokens + i] == 0 ||
                    stats[i * TOKEN_STATS + STAT_LOGP] < 0);
    plain->evaluate(plain, batch, first_row, n_rows, NULL, denominator, stat_grads);
}

/* An objective that wants the statistics first gets them, and the same gradients as one that does not. */
static void an_objective_of_statistics_has_the_same_gradient(void **state) {
    (void)state;
    struct tiny_training known, measured;
    struct objective o = objective_cross_entropy("known"), of_statistics = o;
    struct update_report a, b;
    plain = &o;
    of_statistics.gradients_known = false;
    of_statistics.evaluate = evaluate_from_statistics;
    tiny_training_open(&known, 1, 2);
    tiny_training_open(&measured, 1, 2);
    tiny_training_fill(&known.batch, &known.rng);
    tiny_training_fill(&measured.batch, &measured.rng);
    for (int i = 0; i < 7; i++) known.batch.weights[5 + 3 * i] = measured.batch.weights[5 + 3 * i] = 0;
    assert_true(trainer_accumulate(&known.trainer, &known.batch, &o, NULL));
    assert_true(trainer_accumulate(&measured.trainer, &measured.batch, &of_statistics, NULL));
    const float *x = known.model.gradients.data, *y = measured.model.gradients.data;
    float largest = 0, difference = 0;
    for (int64_t i = 0; i < known.model.gradients.cols; i++) {
        largest = fmaxf(largest, fabsf(x[i]));
        difference = fmaxf(difference, fabsf(x[i] - y[i]));
    }
    if (!(difference <= 1e-5f * largest)) print_error("%g of %g\n", (double)difference, (double)largest);
    assert_true(largest > 0 && difference <= 1e-5f * largest);
    assert_true(trainer_update(&known.trainer, 1, &a, NULL) && trainer_update(&measured.trainer, 1, &b, NULL));
    assert_true(fabs(a.loss - b.loss) < 1e-6);
    tiny_training_close(&known);
    tiny_training_close(&measured);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_role_is_stepped_as_it_is_written),
        cmocka_unit_test(recipes_decay_matrices),
        cmocka_unit_test(muon_keeps_no_second_moment),
        cmocka_unit_test(either_of_both_makes_an_outlier),
        cmocka_unit_test(an_objective_of_statistics_has_the_same_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
