/* The sampler draws from exactly the tokens its options leave, with their probabilities. */
#include "support/cmocka_all.h"

#include <math.h>
#include <stdlib.h>

#include "infer/sampler.h"

enum { V = 5, DRAWS = 40000 };
static const float logits[V] = {1.0f, 3.0f, 2.0f, -1.0f, 3.0f};

static void count_draws(struct sampling o, const int32_t *context, int n_context, double share[V]) {
    struct sampler *s = sampler_open(V, NULL);
    struct rng rng = rng_make(9, 0);
    int counts[V] = {0};
    for (int i = 0; i < DRAWS; i++) counts[sampler_pick(s, &o, logits, context, n_context, &rng, NULL)]++;
    for (int i = 0; i < V; i++) share[i] = (double)counts[i] / DRAWS;
    sampler_close(s);
}

static void expect_softmax(const double share[V], const float *l, const int *kept) {
    double sum = 0;
    for (int i = 0; i < V; i++) sum += kept[i] ? exp((double)l[i]) : 0;
    for (int i = 0; i < V; i++) {
        double p = kept[i] ? exp((double)l[i]) / sum : 0;
        assert_true(fabs(share[i] - p) < 0.012);
        if (!kept[i]) assert_true(share[i] == 0);
    }
}

static void greedy_takes_the_likeliest_and_the_lowest_id(void **state) {
    (void)state;
    double share[V];
    count_draws((struct sampling){.temperature = 0, .top_p = 1, .repetition_penalty = 1}, NULL, 0, share);
    assert_true(share[1] == 1);
}

static void plain_draws_follow_softmax(void **state) {
    (void)state;
    double share[V];
    count_draws((struct sampling){.temperature = 1, .top_p = 1, .repetition_penalty = 1}, NULL, 0, share);
    expect_softmax(share, logits, (int[V]){1, 1, 1, 1, 1});
}

static void temperature_divides_logits(void **state) {
    (void)state;
    double share[V];
    float halved[V];
    for (int i = 0; i < V; i++) halved[i] = logits[i] / 2;
    count_draws((struct sampling){.temperature = 2, .top_p = 1, .repetition_penalty = 1}, NULL, 0, share);
    expect_softmax(share, halved, (int[V]){1, 1, 1, 1, 1});
}

static void cuts_leave_the_right_tokens(void **state) {
    (void)state;
    double share[V];
    count_draws((struct sampling){.temperature = 1, .top_k = 3, .top_p = 1, .repetition_penalty = 1}, NULL, 0, share);
    expect_softmax(share, logits, (int[V]){0, 1, 1, 0, 1});
    /* probabilities: .054 .397 .146 .007 .397: 0.8 needs the two likeliest and one more */
    count_draws((struct sampling){.temperature = 1, .top_p = 0.8f, .repetition_penalty = 1}, NULL, 0, share);
    expect_softmax(share, logits, (int[V]){0, 1, 1, 0, 1});
    count_draws((struct sampling){.temperature = 1, .top_p = 0.7f, .repetition_penalty = 1}, NULL, 0, share);
    expect_softmax(share, logits, (int[V]){0, 1, 0, 0, 1});
    count_draws((struct sampling){.temperature = 1, .top_p = 1, .min_p = 0.1f, .repetition_penalty = 1}, NULL, 0,
                share);
    expect_softmax(share, logits, (int[V]){1, 1, 1, 0, 1});
}

/* Each cut is made of what those before it left: top-p of the probabilities among the k likeliest, min-p of those that
 * the temperature gives. */
static void cuts_are_made_in_order(void **state) {
    (void)state;
    double share[V];
    float halved[V];
    for (int i = 0; i < V; i++) halved[i] = logits[i] / 2;
    /* .397 .397 of all, but .42 .42 of three: two are enough for 0.8 */
    count_draws((struct sampling){.temperature = 1, .top_k = 3, .top_p = 0.8f, .repetition_penalty = 1}, NULL, 0,
                share);
    expect_softmax(share, logits, (int[V]){0, 1, 0, 0, 1});
    /* beside the likeliest: exp(-2) = .135 at temperature 1, exp(-1) = .368 at 2 */
    count_draws((struct sampling){.temperature = 2, .top_p = 1, .min_p = 0.2f, .repetition_penalty = 1}, NULL, 0,
                share);
    expect_softmax(share, halved, (int[V]){1, 1, 1, 0, 1});
}

/* Against a plain sort: with many tokens, some alike, every option leaves the ones it should. */
static int by_logit(const void *a, const void *b) {
    const float *x = a, *y = b;
    if (x[0] != y[0]) return x[0] < y[0] ? 1 : -1;
    return x[1] < y[1] ? -1 : 1;
}

static void many_tokens_are_cut_as_in_a_sort(void **state) {
    (void)state;
    enum { N = 1000 };
    static float many[N], sorted[N][2];
    struct rng rng = rng_make(3, 0);
    struct sampler *s = sampler_open(N, NULL);
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < N; i++) sorted[i][0] = many[i] = (float)rng_below(&rng, 40) / 4, sorted[i][1] = (float)i;
        qsort(sorted, N, sizeof *sorted, by_logit);
        struct sampling o = {
            .temperature = 1, .top_k = 1 + (int)rng_below(&rng, N), .top_p = 1, .repetition_penalty = 1};
        if (round % 3 == 1) o.top_k = 0, o.top_p = (float)rng_uniform(&rng) * 0.999f + 0.001f;
        if (round % 3 == 2) o.top_k = 0, o.min_p = (float)rng_uniform(&rng);
        double sum = 0, cumulative = 0;
        for (int i = 0; i < N; i++) sum += exp((double)(sorted[i][0] - sorted[0][0]));
        int kept = 0;
        for (; kept < (o.top_k ? o.top_k : N); kept++) {
            double p = exp((double)(sorted[kept][0] - sorted[0][0]));
            if (kept && (cumulative >= (double)o.top_p * sum * (1 + 1e-7) || p < (double)o.min_p * (1 - 1e-6))) break;
            cumulative += p;
        }
        for (int i = 0; i < 50; i++) {
            int32_t id = sampler_pick(s, &o, many, NULL, 0, &rng, NULL);
            int rank = 0;
            while ((int32_t)sorted[rank][1] != id) rank++;
            if (rank >= kept)
                fail_msg("token of rank %d of %d drawn (top-k %d, top-p %g, min-p %g)", rank, kept, o.top_k,
                         (double)o.top_p, (double)o.min_p);
        }
    }
    sampler_close(s);
}

static void repetition_penalty_counts_a_token_once(void **state) {
    (void)state;
    double share[V];
    float penalised[V] = {1.0f, 1.5f, 2.0f, -2.0f, 3.0f};
    count_draws((struct sampling){.temperature = 1, .top_p = 1, .repetition_penalty = 2}, (int32_t[]){1, 3, 1, 1}, 4,
                share);
    expect_softmax(share, penalised, (int[V]){1, 1, 1, 1, 1});
}

static void logp_is_the_models_own(void **state) {
    (void)state;
    struct sampler *s = sampler_open(V, NULL);
    struct rng rng = rng_make(1, 0);
    float logp;
    struct sampling o = {.temperature = 0, .top_p = 1, .repetition_penalty = 3};
    assert_int_equal(sampler_pick(s, &o, logits, (int32_t[]){1}, 1, &rng, &logp), 4);
    double sum = 0;
    for (int i = 0; i < V; i++) sum += exp((double)logits[i]);
    assert_true(fabs((double)logp - (3.0 - log(sum))) < 1e-6);
    sampler_close(s);
}

static void bad_settings_are_refused(void **state) {
    (void)state;
    struct sampling good = sampling_defaults(), bad = good;
    assert_true(sampling_check(&good, NULL));
    bad.temperature = -1;
    assert_false(sampling_check(&bad, NULL));
    bad = good, bad.top_p = 0;
    assert_false(sampling_check(&bad, NULL));
    bad = good, bad.min_p = NAN;
    assert_false(sampling_check(&bad, NULL));
    bad = good, bad.repetition_penalty = 0;
    assert_false(sampling_check(&bad, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_likeliest_and_the_lowest_id),
        cmocka_unit_test(plain_draws_follow_softmax),
        cmocka_unit_test(temperature_divides_logits),
        cmocka_unit_test(cuts_leave_the_right_tokens),
        cmocka_unit_test(cuts_are_made_in_order),
        cmocka_unit_test(many_tokens_are_cut_as_in_a_sort),
        cmocka_unit_test(repetition_penalty_counts_a_token_once),
        cmocka_unit_test(logp_is_the_models_own),
        cmocka_unit_test(bad_settings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
