/* The cases that code is tested with: what a test calls is read from the program it runs, and no program with a likely
 * mistake gives the same results for these calls as the right one. */
#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file/atomic.h"
#include "task/checker.h"
#include "task/code_cases.h"
#include "task/primer.h"

/* Up to `most` numbers divided by ", "; returns what follows them. */
static const char *read_numbers(const char *at, int most, int *out, int *n) {
    for (*n = 0; *n < most; at += 2) {
        char *end;
        out[(*n)++] = (int)strtol(at, &end, 10);
        assert_true(end > at);
        at = end;
        if (strncmp(at, ", ", 2) != 0) break;
    }
    return at;
}

/* The calls of `function` in the program that judges it. In C a list stands before its call, with one number more. */
static struct test_cases read_cases(enum code_template t, bool c, const char *program, const char *function) {
    struct test_cases cases = {0};
    bool list = code_shape(t) == TAKES_LIST || code_shape(t) == CHANGES_LIST;
    char call[80];
    snprintf(call, sizeof call, list && c ? "int a[] = {" : t == CODE_EACH ? "a = [" : list ? "%s([" : "%s(", function);
    for (const char *at = program; (at = strstr(at, call));) {
        assert_true(cases.n < MOST_CASES);
        struct test_case *item = &cases.items[cases.n++];
        at = read_numbers(at + strlen(call), LONGEST_LIST + 1, item->a, &item->n);
        if (!list || !c) continue;
        snprintf(call, sizeof call, "%s(a, ", function);
        assert_non_null(at = strstr(at, call));
        assert_int_equal(strtol(at + strlen(call), NULL, 10), --item->n);
        snprintf(call, sizeof call, "int a[] = {");
    }
    return cases;
}

static bool tells(enum code_template t, const struct code_program *right, const struct code_program *wrong,
                  const struct test_case *c) {
    struct code_result x = code_run(t, right, c), y = code_run(t, wrong, c);
    return !code_same_result(&x, &y);
}

/* Looks further than those who chose the cases. */
static bool some_number_tells(enum code_template t, const struct code_program *right,
                              const struct code_program *wrong) {
    struct rng rng = rng_make(11, 12);
    for (int i = 0; i < 5000; i++) {
        struct test_case c = code_draw_case(t, &rng);
        if (tells(t, right, wrong, &c)) return true;
    }
    return false;
}

static const struct operation *operation_called(const char *noun) {
    for (int o = 0; o < N_OPERATIONS; o++)
        if (strcmp(code_operations[o].noun, noun) == 0) return &code_operations[o];
    fail_msg("no operation \"%s\"", noun);
    return NULL;
}

static void expect_mistakes_to_be_told(const json_t *check, int n_told[N_CODE_TEMPLATES]) {
    enum code_template t = (enum code_template)json_integer_value(json_object_get(check, "template"));
    const char *language = json_string_value(json_object_get(check, "language")),
               *tests = json_string_value(json_object_get(check, "tests"));
    const struct operation *op = operation_called(json_string_value(json_object_get(check, "operation")));
    bool c = strcmp(language, "c") == 0;
    struct test_cases cases = read_cases(t, c, tests, json_string_value(json_object_get(check, "function")));
    struct code_program right = code_right_program(t, op), wrong[MOST_WRONG_PROGRAMS];
    assert_true(cases.n >= 6);
    assert_false(code_result_is_constant(t, op)); /* then "return 0" would be right */
    int n_wrong = code_wrong_programs(t, op, wrong);
    for (int w = 0; w < n_wrong; w++) {
        if (!c && wrong[w].beyond > 0) continue; /* fails by itself */
        bool told = false;
        for (int i = 0; i < cases.n; i++) told |= tells(t, &right, &wrong[w], &cases.items[i]);
        if (!told && some_number_tells(t, &right, &wrong[w]))
            fail_msg("template %d, %s, in %s: \"%s\" passes:\n%s", t, op->noun, language, wrong[w].name, tests);
        n_told[t] += told;
    }
}

static void no_likely_mistake_passes(void **state) {
    (void)state;
    static const struct primer_options options = {
        .seed = 5, .n_entities = 20, .exposures = 1, .bios = 1, .n_texts = 40, .n_tests = 800, .scale = 0.05};
    char folder[] = "/tmp/talc-test-cases-XXXXXX";
    struct talc_error err = {0};
    struct checker checker;
    int n_told[N_CODE_TEMPLATES] = {0}, n = 0;
    assert_non_null(mkdtemp(folder));
    if (!primer_write(&options, folder, NULL, NULL, &err)) fail_msg("%s", err.message);
    char *path = path_join(folder, "eval.jsonl");
    assert_true(checker_load(&checker, path, NULL, NULL));
    for (size_t i = 0; i < checker.n_items; i++) {
        if (strcmp(checker.items[i].skill, "code") != 0) continue;
        expect_mistakes_to_be_told(checker.items[i].check, n_told);
        n++;
    }
    assert_int_equal(n, options.n_tests);
    for (int t = 0; t < N_CODE_TEMPLATES; t++) assert_true(n_told[t] > 500);
    checker_free(&checker);
    free(path);
    assert_true(folder_remove(folder, NULL));
}

/* All of them, not only what a primer holds out. */
static void cases_are_few_and_tell_all_for_every_task(void **state) {
    (void)state;
    for (int i = 0; i < N_CODE_TEMPLATES * N_OPERATIONS; i++) {
        enum code_template t = (enum code_template)(i / N_OPERATIONS);
        const struct operation *op = &code_operations[i % N_OPERATIONS];
        struct code_program right = code_right_program(t, op), wrong[MOST_WRONG_PROGRAMS];
        struct rng rng = rng_make(3, (uint64_t)i);
        struct test_cases cases;
        code_choose_cases(t, op, &rng, &cases);
        assert_in_range(cases.n, 6, MOST_CASES);
        for (int k = 1; k < cases.n; k++)
            assert_memory_not_equal(cases.items[k].a, cases.items[k - 1].a, (size_t)cases.items[k].n * sizeof(int));
        for (int w = code_wrong_programs(t, op, wrong) - 1; w >= 0; w--) {
            int k = 0;
            while (k < cases.n && !tells(t, &right, &wrong[w], &cases.items[k])) k++;
            if (k == cases.n && some_number_tells(t, &right, &wrong[w]))
                fail_msg("template %d, %s: \"%s\" passes", t, op->noun, wrong[w].name);
        }
    }
}

static void tasks_whose_result_is_constant_are_known(void **state) {
    (void)state;
    for (int i = 0; i < N_CODE_TEMPLATES * N_OPERATIONS; i++) {
        enum code_template t = (enum code_template)(i / N_OPERATIONS);
        const struct operation *op = &code_operations[i % N_OPERATIONS];
        bool expected = t == CODE_COUNT && (strcmp(op->noun, "negative") == 0 || strcmp(op->noun, "parity") == 0 ||
                                            strcmp(op->noun, "last digit") == 0);
        assert_int_equal(code_result_is_constant(t, op), expected);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_likely_mistake_passes),
        cmocka_unit_test(cases_are_few_and_tell_all_for_every_task),
        cmocka_unit_test(tasks_whose_result_is_constant_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
