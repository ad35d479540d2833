/* Recipes: what tuning makes of that of pretraining. */
#include "support/cmocka_all.h"

#include <math.h>
#include <string.h>

#include "train/recipe.h"

static struct recipe tuned(int hidden_size, int context, const char *family) {
    struct arch a;
    assert_true(arch_from_depth(4, 1024, &a, NULL));
    a.hidden_size = hidden_size;
    a.intermediate_size = 3 * hidden_size;
    a.n_heads = a.n_kv_heads = hidden_size / a.head_dim;
    a.context_length = context;
    snprintf(a.family, sizeof a.family, "%s", family);
    struct recipe r = recipe_for(&a, NULL);
    recipe_tune(&r, &a);
    return r;
}

static double rate_of(const struct recipe *r, enum parameter_role role) {
    return (double)r->trainer.groups[role].learning_rate;
}

static void small_models_are_tuned_as_they_were_trained(void **state) {
    (void)state;
    struct arch a;
    assert_true(arch_from_depth(4, 1024, &a, NULL));
    assert_int_equal(a.hidden_size, 128);
    struct recipe first = recipe_for(&a, NULL), r = first;
    recipe_tune(&r, &a);
    for (int role = 0; role < PARAMETER_ROLES; role++)
        assert_true(r.trainer.groups[role].learning_rate == first.trainer.groups[role].learning_rate);
    assert_int_equal(r.rows_per_step, first.rows_per_step);
    assert_int_equal(r.trainer.row_tokens, first.trainer.row_tokens);
}

static void large_models_are_tuned_gently(void **state) {
    (void)state;
    const int widths[] = {768, 2048, 4096};
    const double rates[] = {1.36e-4, 3.1e-5, 1.1e-5};
    for (int i = 0; i < 3; i++) {
        struct recipe r = tuned(widths[i], 2048, "llama");
        double matrix = rate_of(&r, ROLE_MATRIX);
        assert_true(fabs(matrix / rates[i] - 1) < 0.03);
        assert_true(rate_of(&r, ROLE_EMBEDDING) >= matrix && rate_of(&r, ROLE_EMBEDDING) < 1.4 * matrix);
        assert_int_equal(r.rows_per_step, 16); /* 32,768 tokens */
        assert_int_equal(r.trainer.micro_batch_rows, 16);
    }
    struct recipe gpt2 = tuned(768, 1024, "gpt2");
    assert_true(rate_of(&gpt2, ROLE_MATRIX) > 5e-5 && rate_of(&gpt2, ROLE_MATRIX) < 2e-4);
    assert_int_equal(gpt2.rows_per_step, 32);
    assert_int_equal(tuned(4096, 65536, "llama").rows_per_step, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_models_are_tuned_as_they_were_trained),
        cmocka_unit_test(large_models_are_tuned_gently),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
