/* Generated code, judged for real in the sandbox: the primer's own answers are right, and programs that would have
 * themselves judged right without giving the results are not. Skipped where programs cannot be isolated. */
#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "file/atomic.h"
#include "task/checker.h"
#include "task/primer.h"
#include "task/sandbox.h"
#include "task/sandbox_code.h"

static const struct code_runner runner = {sandbox_run_code, NULL};
static bool has_python(void) { return access("/usr/bin/python3", X_OK) == 0; }

static struct checker_result judge(const struct checker_item *item, const char *answer) {
    struct checker_result result;
    struct talc_error err = {0};
    if (!checker_score(item, answer, strlen(answer), &runner, &result, &err)) fail_msg("%s", err.message);
    return result;
}

static struct checker tests_of_primer(const struct primer_options *options) {
    char folder[] = "/tmp/talc-test-code-XXXXXX";
    struct talc_error err = {0};
    struct checker checker;
    assert_non_null(mkdtemp(folder));
    if (!primer_write(options, folder, NULL, NULL, &err)) fail_msg("%s", err.message);
    char *path = path_join(folder, "eval.jsonl");
    assert_true(checker_load(&checker, path, NULL, NULL));
    free(path);
    assert_true(folder_remove(folder, NULL));
    return checker;
}

static bool can_be_judged(const struct checker_item *item) {
    const char *language = json_string_value(json_object_get(item->check, "language"));
    return language && (strcmp(language, "python") != 0 || has_python());
}

static void the_primers_answers_are_right(void **state) {
    (void)state;
    static const struct primer_options options = {
        .seed = 7, .n_entities = 40, .exposures = 3, .bios = 4, .n_texts = 400, .n_tests = 25, .scale = 0.05};
    struct checker checker = tests_of_primer(&options);
    int n_judged = 0;
    for (size_t i = 0; i < checker.n_items; i++) {
        const struct checker_item *item = &checker.items[i];
        if (!can_be_judged(item)) continue;
        struct checker_result result = judge(item, item->answer);
        if (result.verdict != VERDICT_RIGHT) fail_msg("%s\nis judged wrong: %s", item->answer, result.why);
        n_judged++;
    }
    assert_true(n_judged > 5);
    checker_free(&checker);
}

/* `from` with the first `old` replaced; NULL when it has none. */
static char *with_change(const char *from, const char *old, const char *new) {
    const char *at = strstr(from, old);
    struct buffer out = {0};
    if (!at) return NULL;
    buffer_append(&out, from, (size_t)(at - from));
    buffer_printf(&out, "%s%s", new, at + strlen(old));
    return out.data;
}

static void mistakes_in_the_primers_answers_are_wrong(void **state) {
    (void)state;
    static const char *const mistakes[][2] = {
        {"i < n", "i <= n"}, {"i < n", "i < n - 1"},       {"int i = 0", "int i = 1"},
        {"x <= n", "x < n"}, {"(n):", "(n):\n    n -= 1"}, {"in a)", "in a[1:])"},
        {"x > y", "x < y"},  {"max(x, y)", "min(x, y)"},   {"i == 0 ||", "i == 1 ||"}};
    enum { N_MISTAKES = sizeof mistakes / sizeof mistakes[0] };
    static const struct primer_options options = {
        .seed = 9, .n_entities = 20, .exposures = 1, .bios = 1, .n_texts = 40, .n_tests = 40, .scale = 0.05};
    struct checker checker = tests_of_primer(&options);
    int n_judged = 0;
    for (size_t i = 0; i < checker.n_items * N_MISTAKES; i++) {
        const struct checker_item *item = &checker.items[i / N_MISTAKES];
        const char *const *mistake = mistakes[i % N_MISTAKES];
        if (!can_be_judged(item)) continue;
        char *answer = with_change(item->answer, mistake[0], mistake[1]);
        if (answer && judge(item, answer).verdict == VERDICT_RIGHT) fail_msg("%s\nis judged right", answer);
        n_judged += answer != NULL;
        free(answer);
    }
    assert_true(n_judged > 30);
    checker_free(&checker);
}

/* "Changes every number in a list to its square" does not say how the list is given back. */
static void a_list_in_python_is_changed_in_any_way(void **state) {
    (void)state;
    static const char *const bodies[][2] = {{"return (", " for x in a)"},
                                            {"return tuple(", " for x in a)"},
                                            {"return map(lambda x: ", ", a)"},
                                            {"a[:] = [", " for x in a]"},
                                            {"for i, x in enumerate(a): a[i] = ", ""},
                                            {"[", " for x in a]"},
                                            {"return [", " for x in a[1:]]"},
                                            {"return str([", " for x in a])"},
                                            {"return a and {", " for x in a}"}};
    enum { N_BODIES = sizeof bodies / sizeof bodies[0], N_RIGHT = 5 };
    static const struct primer_options options = {
        .seed = 3, .n_entities = 20, .exposures = 1, .bios = 1, .n_texts = 40, .n_tests = 150, .scale = 0.05};
    if (!has_python()) return;
    struct checker checker = tests_of_primer(&options);
    int n_judged = 0;
    for (size_t i = 0; i < checker.n_items * N_BODIES; i++) {
        const char *answer = checker.items[i / N_BODIES].answer, *const *body = bodies[i % N_BODIES];
        char *begun = with_change(answer, "return [", body[0]), *changed = NULL;
        if (begun && strstr(answer, "(a)")) changed = with_change(begun, " for x in a]", body[1]);
        bool right = changed && judge(&checker.items[i / N_BODIES], changed).verdict == VERDICT_RIGHT;
        if (changed && right != (i % N_BODIES < N_RIGHT)) fail_msg("judged %d: %s", right, changed);
        n_judged += changed != NULL;
        free(begun);
        free(changed);
    }
    assert_true(n_judged >= N_BODIES);
    checker_free(&checker);
}

static struct checker item_of(const char *language, const char *tests) {
    char path[] = "/tmp/talc-test-code-XXXXXX";
    struct checker checker;
    struct talc_error err = {0};
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    dprintf(
        descriptor,
        "{\"skill\":\"code\",\"messages\":[{\"role\":\"user\",\"content\":\"?\"}],\"answer\":\"\",\"check\":{\"type\":"
        "\"code\",\"language\":\"%s\",\"function\":\"twice\",\"tests\":\"%s\",\"output\":\"14\\n86\\n\"}}\n",
        language, tests);
    close(descriptor);
    if (!checker_load(&checker, path, NULL, &err)) fail_msg("%s", err.message);
    unlink(path);
    return checker;
}

/* The first answer is right, no other is. */
static void expect_first(const char *language, const char *tests, const char *const *answers, size_t n) {
    struct checker checker = item_of(language, tests);
    for (size_t i = 0; i < n; i++) {
        enum verdict verdict = judge(&checker.items[0], answers[i]).verdict;
        if ((verdict == VERDICT_RIGHT) != (i == 0)) fail_msg("judged %d: %s", verdict, answers[i]);
    }
    checker_free(&checker);
}

static void c_that_gives_no_results_is_wrong(void **state) {
    (void)state;
    static const char *const answers[] = {
        "int twice(int x) { return 2 * x; }",
        "int twice(int x) { return x; }",
        "int twice(int x) { int y = 2 * x; }", /* on many machines y is where a result would be */
        "#define if(...) if (0)\nint twice(int x) { return x; }",
        "#define main other\nint twice(int x) { return x; }\n#undef main\nint main(void) { return 0; }\n#define main "
        "other",
        "#define return (void)\nint twice(int x) { return x; }",
        "#include <stdlib.h>\n__attribute__((constructor)) int twice(int x) { exit(0); return x; }",
        "#include <stdio.h>\nint twice(int x) { FILE *f = fopen(\"t.c\", \"r\"); int c; while ((c = getc(f)) != EOF) "
        "putchar(c); return "
        "x; }",
    };
    expect_first("c",
                 "int printf(const char *, ...);\\nint main(void) { printf(\\\"%d\\\\n%d\\\\n\\\", twice(7), "
                 "twice(43)); return 0; }\\n",
                 answers, sizeof answers / sizeof *answers);
}

static void python_that_gives_no_results_is_wrong(void **state) {
    (void)state;
    static const char *const answers[] = {
        "def twice(x):\n    return 2 * x",
        "def twice(x):\n    return x",
        "class Any:\n    def __eq__(self, other):\n        return True\ndef twice(x):\n    return Any()",
        "def twice(x):\n    print(open('t.py').read())\n    return x",
        "def twice(x):\n    return x\nraise SystemExit(0)",
        "def twice(x):\n    import os\n    os._exit(0)",
        "def print(*a):\n    pass\ndef twice(x):\n    return x",
    };
    if (!has_python()) return;
    expect_first("python", "print(twice(7))\\nprint(twice(43))\\n", answers, sizeof answers / sizeof *answers);
}

int main(void) {
    struct talc_error why = {0};
    if (!sandbox_available(&why)) {
        printf("SKIPPED: %s\n", why.message);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_primers_answers_are_right),
        cmocka_unit_test(mistakes_in_the_primers_answers_are_wrong),
        cmocka_unit_test(a_list_in_python_is_changed_in_any_way),
        cmocka_unit_test(c_that_gives_no_results_is_wrong),
        cmocka_unit_test(python_that_gives_no_results_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
