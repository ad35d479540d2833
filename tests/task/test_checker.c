/* Checkers: right answers pass, wrong ones do not; scores, the free-text check, BM25 and the baseline. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "file/atomic.h"
#include "task/bm25.h"
#include "task/checker.h"
#include "task/checker_baseline.h"

struct file {
    char path[64];
};

static struct file file_of(const char *text) {
    struct file f = {"/tmp/talc-test-checker-XXXXXX"};
    int descriptor = mkstemp(f.path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, text, strlen(text)), strlen(text));
    close(descriptor);
    return f;
}

#define TEST_LINE(skill, answer, check)                                                                                \
    "{\"skill\":\"" skill "\",\"messages\":[{\"role\":\"user\",\"content\":\"?\"}],\"answer\":\"" answer               \
    "\",\"check\":" check "}\n"

static struct checker load(const char *text) {
    struct file f = file_of(text);
    struct checker checker;
    struct talc_error err = {0};
    if (!checker_load(&checker, f.path, NULL, &err)) fail_msg("%s", err.message);
    unlink(f.path);
    return checker;
}

static struct checker_result judge(const struct checker *checker, const char *answer,
                                   const struct code_runner *runner) {
    struct checker_result result;
    assert_true(checker_score(&checker->items[0], answer, strlen(answer), runner, &result, NULL));
    assert_int_equal(result.verdict == VERDICT_RIGHT, result.why[0] == '\0');
    return result;
}

/* The verdict on each answer; both lists end with NULL. */
static void expect(const char *line, const char *const *right, const char *const *wrong) {
    struct checker checker = load(line);
    for (; *right; right++) {
        struct checker_result result = judge(&checker, *right, NULL);
        if (result.verdict != VERDICT_RIGHT) fail_msg("refused \"%s\": %s", *right, result.why);
    }
    for (; *wrong; wrong++)
        if (judge(&checker, *wrong, NULL).verdict != VERDICT_WRONG) fail_msg("accepted \"%s\"", *wrong);
    checker_free(&checker);
}
#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void facts_are_compared_as_sentences(void **state) {
    (void)state;
    expect(TEST_LINE("fact", "Mubim is led by captain Pike.", "{\"type\":\"fact\"}"),
           TEXTS("Mubim is led by captain Pike.", " Mubim is led by  captain Pike\n"),
           TEXTS("Mubim is led by captain Fisk.", "Mubim is led by captain Pike. It has two masts.", "Pike", ""));
}

static void lists_hold_exactly_the_items(void **state) {
    (void)state;
    expect(TEST_LINE("list", "- A b.\\n- C d.", "{\"type\":\"list\",\"items\":[\"A b.\",\"C d.\"]}"),
           TEXTS("- A b.\n- C d.", "* C d\n* A b", "1. A b.\n2. C d.\n"),
           TEXTS("- A b.", "- A b.\n- A b.", "- A b.\n- C d.\n- E f.", "- A b.\nC d.", "Here:\n- A b.\n- C d.",
                 "- A b.\n- C e.", "-A b.\n- C d.", "-:A b.\n- C d.", "1.A b.\n2. C d.", ""));
}

static void outlines_have_heading_and_sections_in_order(void **state) {
    (void)state;
    expect(TEST_LINE("outline", "",
                     "{\"type\":\"outline\",\"topic\":\"the art of tea\",\"sections\":[\"Summary\",\"Facts\"]}"),
           TEXTS("# The art of tea\n1. Summary\n2. Facts", "# The art of tea\n\n1. Summary\n2. Facts\n"),
           TEXTS("# The art of bees\n1. Summary\n2. Facts", "# The art of tea\n1. Facts\n2. Summary",
                 "# The art of tea\n1. Summary", "# The art of tea\n1. Summary\n2. Facts\n3. More",
                 "The art of tea\n1. Summary\n2. Facts", "# The art of tea\n- Summary\n- Facts", ""));
}

static void a_name_is_spelt_as_told(void **state) {
    (void)state;
    expect(TEST_LINE("memory", "Your name is Zorin.", "{\"type\":\"memory\",\"name\":\"Zorin\"}"),
           TEXTS("Your name is Zorin.", "Your name is Zorin"),
           TEXTS("Your name is zorin.", "Your name is Zorinda.", "Zorin is nice.", "You have not told me your name."));
}

static void abstention_names_the_thing(void **state) {
    (void)state;
    expect(TEST_LINE("unknown", "I do not know Qarx.", "{\"type\":\"unknown\",\"thing\":\"Qarx\"}"),
           TEXTS("I do not know Qarx.", "I don't know Qarx.", "I don\xe2\x80\x99t know Qarx.",
                 "\n I do not know Qarx! \n"),
           TEXTS("I do not know.", "I do not know Qarxon.", "Qarx lives in Brun.", "",
                 "Qarx lives in Brun. I do not know more.", "I do not know Brun. Qarx is a town.",
                 "I do not know Qarx.\nQarx is a town.", "I do not know Qarx\nQarx is a town",
                 "Do I not know Qarx? I do not know Qarx."));
}

/* ---- code ------------------------------------------------------------------------------------ */

#define CODE_LINE                                                                                                      \
    TEST_LINE("code", "",                                                                                              \
              "{\"type\":\"code\",\"language\":\"c\",\"tests\":\"int main(void) { }\",\"output\":\"17\\n[1, 2]\\n\"}")

struct fake {
    struct code_outcome outcome;
    bool fails;
    char language[16], program[256];
};

static bool fake_run(void *context, const char *language, const char *program, size_t n_bytes,
                     struct code_outcome *outcome, struct talc_error *err) {
    struct fake *fake = context;
    snprintf(fake->language, sizeof fake->language, "%s", language);
    snprintf(fake->program, sizeof fake->program, "%.*s", (int)n_bytes, program);
    *outcome = fake->outcome;
    return !fake->fails || talc_fail(err, "no sandbox here");
}

static void code_is_taken_from_its_fence_and_run_with_the_tests(void **state) {
    (void)state;
    struct checker checker = load(CODE_LINE);
    struct fake fake = {.outcome = {true, "noise\n17\n[1, 2]\n", NULL}};
    struct code_runner runner = {fake_run, &fake};
    assert_int_equal(judge(&checker, "Here:\n```c\nint f;\n```\nDone.", &runner).verdict, VERDICT_RIGHT);
    assert_string_equal(fake.language, "c");
    assert_string_equal(fake.program, "\nint f;\n\nint main(void) { }");
    assert_int_equal(judge(&checker, "int f;", &runner).verdict, VERDICT_RIGHT);
    assert_string_equal(fake.program, "int f;\nint main(void) { }");
    checker_free(&checker);
}

/* Where an answer has more than the code, and where its fences are. */
static void code_is_found_in_its_fence(void **state) {
    (void)state;
    static const char *const answers[][2] = {
        {"```sh\ncc t.c\n```\nwith\n```c\nint f;\n```", "\nint f;\n"},
        {"```\n$ cc t.c\n```\n```C\nint f;\n```", "\nint f;\n"},
        {"```sh\ncc t.c\n```\n```\nint f;\n```", "\nint f;\n"},
        {"```cpp\nint f;\n```\n```sh\ncc t.c\n```", "\nint f;\n"},
        {"```c\nint f;\n```\n```c\nint g;\n```", "\nint f;\n"},
        {"~~~c\nint f;\n~~~\n", "\nint f;\n"},
        {"~~~~ c\nint f;\n~~~~\n", "\nint f;\n"},
        {"```sh\n~~~\n```\n~~~c\nchar *s = \"```\";\n~~~", "\nchar *s = \"```\";\n"},
        {"1. So:\n\n   ```c\n   if\n\n     a\n   ```\n", "\nif\n\n  a\n"},
        {"- ```c\n\tif\n\t\ta\n  ```", "\nif\n\ta\n"},
        {"    ```c\nif\n  a\n```", "\nif\n  a\n"},
        {"```c\nint f;", "\nint f;"},
        {"```c\nint f;```\nGives:\n```\n17\n```", "\nint f;"},
        {"```c\nint f;\n``` Done.", "\nint f;\n"},
        {"Here: ```c\nint f;\n```", "\nint f;\n"},
        {"Call ```f(2)``` so:\n\n```c\nint f;\n```", "\nint f;\n"},
        {"Call ```f(2)``` so", "Call ```f(2)``` so"},
        {"// ~~~~\nint f;\n// ~~~~\n", "// ~~~~\nint f;\n// ~~~~\n"},
        {"```c\n// ```\nint f;\n```", "\n// ```\nint f;\n"},
        {"````c\n```\nint f;\n`````\r\n```c\nint g;\n```", "\n```\nint f;\n"},
        {"1) ```\n   int f;\n   ```", "\nint f;\n"},
        {"```cpp\nint f;\n```\n```\nf is 4\n```", "\nint f;\n"},
        {"```\nf is 4\n```\n```c++17\nint f;\n```", "\nint f;\n"},
        {"```cpp\nint f;\n```\n```C11\nint g;\n```", "\nint g;\n"},
        {"```c", ""},
        {"```", ""},
    };
    struct checker checker = load(CODE_LINE);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct fake fake = {.outcome = {true, "17\n[1, 2]\n", NULL}};
        struct code_runner runner = {fake_run, &fake};
        char *tests = NULL;
        assert_int_equal(judge(&checker, answers[i][0], &runner).verdict, VERDICT_RIGHT);
        assert_non_null(tests = strstr(fake.program, "\nint main(void)"));
        *tests = '\0';
        assert_string_equal(fake.program, answers[i][1]);
    }
    checker_free(&checker);
}

static void code_of_the_function_is_preferred(void **state) {
    (void)state;
    static const char *const answers[][3] = {
        {"c", "```c\nint gf(void);\n```\n```\nint f;\n```", "\nint f;\n"},
        {"c", "```c\nint f;\n```\n```c\nint main(void) { return f; }\n```", "\nint f;\n"},
        {"python", "```\nf(2) is 4\n```\n```python3.10\ndef f(x): pass\n```", "\ndef f(x): pass\n"},
        {"python", "```\nf(2) is 4\n```\n```py3\ndef f(x): pass\n```", "\ndef f(x): pass\n"},
    };
    static const char line[] = TEST_LINE(
        "code", "", "{\"type\":\"code\",\"language\":\"%s\",\"function\":\"f\",\"tests\":\"TEST\",\"output\":\"17\"}");
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        char text[sizeof line + 16];
        int n = snprintf(text, sizeof text, line, answers[i][0]);
        assert_in_range(n, 1, sizeof text - 1);
        struct checker checker = load(text);
        struct fake fake = {.outcome = {true, "17\n", NULL}};
        struct code_runner runner = {fake_run, &fake};
        char *tests = NULL;
        assert_int_equal(judge(&checker, answers[i][1], &runner).verdict, VERDICT_RIGHT);
        assert_non_null(tests = strstr(fake.program, "\nTEST"));
        *tests = '\0';
        assert_string_equal(fake.program, answers[i][2]);
        checker_free(&checker);
    }
}

static void code_passes_only_with_status_and_output(void **state) {
    (void)state;
    static const struct code_outcome outcomes[] = {{false, "17\n[1, 2]\n", NULL}, {true, "", NULL},
                                                   {true, "17\n", NULL},          {true, "[1, 2]\n", NULL},
                                                   {true, "18\n[1, 2]\n", NULL},  {true, "17\n[1, 2]\nmore\n", NULL},
                                                   {true, "[1, 2]\n17\n", NULL},  {true, "-17\n[1, 2]\n", NULL}};
    struct checker checker = load(CODE_LINE);
    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        struct fake fake = {.outcome = outcomes[i]};
        struct code_runner runner = {fake_run, &fake};
        assert_int_equal(judge(&checker, "int f;", &runner).verdict, VERDICT_WRONG);
    }
    checker_free(&checker);
}

static void code_without_the_function_is_not_run(void **state) {
    (void)state;
    struct checker checker = load(TEST_LINE(
        "code", "", "{\"type\":\"code\",\"language\":\"c\",\"function\":\"twice\",\"tests\":\"\",\"output\":\"17\"}"));
    struct fake fake = {.outcome = {true, "17\n", NULL}};
    struct code_runner runner = {fake_run, &fake};
    assert_int_equal(judge(&checker, "int thrice;", &runner).verdict, VERDICT_WRONG);
    assert_string_equal(fake.program, "");
    assert_int_equal(judge(&checker, "int twice;", &runner).verdict, VERDICT_RIGHT);
    assert_string_not_equal(fake.program, "");
    checker_free(&checker);
}

static void code_is_skipped_without_a_runner(void **state) {
    (void)state;
    struct checker checker = load(CODE_LINE);
    struct checker_result result = judge(&checker, "int f;", NULL);
    struct score_table table = {0};
    assert_int_equal(result.verdict, VERDICT_SKIPPED);
    assert_true(score_table_add(&table, &checker.items[0], &result));
    assert_int_equal(table.skills[0].n, 0);
    assert_int_equal(table.skills[0].skipped, 1);
    checker_free(&checker);
}

static void code_is_skipped_where_its_language_is_not_installed(void **state) {
    (void)state;
    struct checker checker = load(CODE_LINE);
    struct fake fake = {.outcome = {.lacks = "/usr/bin/python3"}};
    struct code_runner runner = {fake_run, &fake};
    struct checker_result result = judge(&checker, "int f;", &runner);
    assert_int_equal(result.verdict, VERDICT_SKIPPED);
    assert_string_equal(result.why, "not run: there is no /usr/bin/python3");
    checker_free(&checker);
}

static void a_runner_that_fails_is_an_error(void **state) {
    (void)state;
    struct checker checker = load(CODE_LINE);
    struct fake fake = {.fails = true};
    struct code_runner runner = {fake_run, &fake};
    struct checker_result result;
    struct talc_error err = {0};
    assert_false(checker_score(&checker.items[0], "int f;", 6, &runner, &result, &err));
    assert_string_equal(err.message, "no sandbox here");
    checker_free(&checker);
}

/* ---- loading --------------------------------------------------------------------------------- */

static void malformed_tests_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "no tests"},
        {"[]\n", ":1: not a JSON object"},
        {"{\"skill\":\"fact\"}\n", ":1: a test needs \"skill\" and \"answer\""},
        {"{\"skill\":\"fact\",\"answer\":\"a\",\"messages\":[]}\n", "does not end with one of the user"},
        {"{\"skill\":\"fact\",\"answer\":\"a\",\"messages\":[{\"role\":\"assistant\",\"content\":\"x\"}]}\n",
         "does not end with one of the user"},
        {TEST_LINE("fact", "a", "{\"type\":\"poem\"}"), "has no \"type\" that is known"},
        {TEST_LINE("fact", "a", "7"), "has no \"type\" that is known"},
        {TEST_LINE("memory", "a", "{\"type\":\"memory\",\"name\":7}"), "has no \"name\" that is a string"},
        {TEST_LINE("list", "a", "{\"type\":\"list\",\"items\":[]}"), "has no \"items\" that is a list"},
        {TEST_LINE("list", "a", "{\"type\":\"list\",\"items\":[1]}"), "has no \"items\" that is a list"},
        {TEST_LINE("code", "a", "{\"type\":\"code\",\"language\":\"c\",\"tests\":\"\"}"), "has no \"output\""},
        {TEST_LINE("code", "a", "{\"type\":\"code\",\"language\":\"c\",\"tests\":\"\",\"output\":\" \\n\"}"),
         "is empty"},
        {TEST_LINE("code", "a", "{\"type\":\"code\",\"language\":\"ada\",\"tests\":\"\",\"output\":\"1\"}"),
         "is 'ada'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct file f = file_of(cases[i].text);
        struct checker checker;
        struct talc_error err = {0};
        assert_false(checker_load(&checker, f.path, NULL, &err));
        if (!strstr(err.message, cases[i].message)) fail_msg("\"%s\" lacks \"%s\"", err.message, cases[i].message);
        unlink(f.path);
    }
}

/* ---- scores ---------------------------------------------------------------------------------- */

static void wilson_gives_known_values(void **state) {
    (void)state;
    static const struct {
        size_t passed, n;
        double low, high;
    } cases[] = {/* as prop.test of R gives without continuity correction */
                 {0, 10, 0.0000000, 0.2775328},    {8, 10, 0.4901625, 0.9433178},    {50, 100, 0.4038315, 0.5961685},
                 {190, 200, 0.9104219, 0.9726174}, {200, 200, 0.9811547, 1.0000000}, {0, 0, 0, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double low, high;
        wilson_interval(cases[i].passed, cases[i].n, &low, &high);
        assert_true(fabs(low - cases[i].low) < 1e-6);
        assert_true(fabs(high - cases[i].high) < 1e-6);
    }
}

/* What is said of a wrong answer is cut at a character; an answer is all of its bytes. */
static void what_is_cut_is_still_text(void **state) {
    (void)state;
    char line[1024], text[601] = "";
    for (int i = 0; i < 300; i++) strcat(text, "\xc3\xa9");
    for (int odd = 0; odd < 2; odd++) {
        snprintf(
            line, sizeof line,
            "{\"skill\":\"fact\",\"messages\":[{\"role\":\"user\",\"content\":\"?\"}],\"answer\":\"%s%s\",\"check\":{"
            "\"type\":\"fact\"}}\n",
            odd ? "x" : "", text);
        struct checker checker = load(line);
        struct checker_result result = judge(&checker, "no", NULL);
        assert_int_equal(utf8_valid_prefix(result.why, strlen(result.why)), strlen(result.why));
        assert_true(strlen(result.why) > 250);
        checker_free(&checker);
    }
    struct checker checker = load(TEST_LINE("fact", "Paris", "{\"type\":\"fact\"}"));
    struct checker_result result;
    assert_true(checker_score(&checker.items[0], "Paris\0junk", 10, NULL, &result, NULL));
    assert_int_equal(result.verdict, VERDICT_WRONG);
    checker_free(&checker);
}

/* Two names that begin alike are two skills. */
static void names_of_skills_are_whole(void **state) {
    (void)state;
#define LONG_NAME "a skill whose name is longer than many"
    struct checker checker =
        load(TEST_LINE(LONG_NAME "1", "A", "{\"type\":\"fact\"}") TEST_LINE(LONG_NAME "2", "A", "{\"type\":\"fact\"}"));
    struct score_table table = {0};
    struct checker_result result = judge(&checker, "A", NULL);
    for (int i = 0; i < 2; i++) assert_true(score_table_add(&table, &checker.items[i], &result));
    assert_int_equal(table.n_skills, 2);
    assert_string_equal(table.skills[1].name, LONG_NAME "2");
    checker_free(&checker);
}

static void scores_count_by_skill_and_count_false_refusals(void **state) {
    (void)state;
    struct checker checker = load(TEST_LINE("fact", "A is b.", "{\"type\":\"fact\"}") TEST_LINE(
        "unknown", "I do not know Q.", "{\"type\":\"unknown\",\"thing\":\"Q\"}"));
    static const char *const answers[][2] = {{"A is b.", "I do not know Q."}, {"I do not know A.", "Q is b."}};
    struct score_table table = {0};
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++) {
            struct checker_result result;
            assert_true(checker_score(&checker.items[j], answers[i][j], strlen(answers[i][j]), NULL, &result, NULL));
            assert_true(score_table_add(&table, &checker.items[j], &result));
        }
    assert_int_equal(table.n_skills, 2);
    assert_string_equal(table.skills[0].name, "fact");
    assert_int_equal(table.skills[0].n, 2);
    assert_int_equal(table.skills[0].passed, 1);
    assert_int_equal(table.skills[0].refused, 1);
    assert_int_equal(table.skills[1].passed, 1);
    assert_int_equal(table.skills[1].refused, 0);
    assert_true(table.skills[0].low < 0.5 && table.skills[0].high > 0.5);
    checker_free(&checker);
}

/* ---- free text ------------------------------------------------------------------------------- */

static void unknown_words_and_repetitions_are_seen(void **state) {
    (void)state;
    static const char taught[] = "One two three four five six seven eight nine.";
    struct file f = file_of("{\"text\":\"ten\"}\n{\"messages\":[{\"role\":\"user\",\"content\":\"Eleven?\"},"
                            "{\"role\":\"assistant\",\"content\":\"Twelve.\"}]}\n");
    struct word_set *v = word_set_open();
    struct text_quality q;
    struct talc_error err = {0};
    assert_true(word_set_add(v, taught, strlen(taught)));
    assert_true(word_set_add_file(v, f.path, NULL, &err));
    unlink(f.path);
#define MEASURE(text, cut) assert_true(text_quality_measure(v, text, strlen(text), cut, &q))
    MEASURE("ONE two, twelve eleven ten xyzzy", false);
    assert_int_equal(q.n_words, 6);
    assert_int_equal(q.n_known, 5);
    MEASURE("one two thr", true);
    assert_int_equal(q.n_words, 2);
    MEASURE("one two three four five six seven eight nine one two three four five six seven", false);
    assert_false(q.repeats);
    MEASURE("one two three four five six seven eight nine one two three four five six seven eight", false);
    assert_true(q.repeats);
    MEASURE("", true);
    assert_int_equal(q.n_words, 0);
    word_set_close(v);
}

/* ---- BM25 ------------------------------------------------------------------------------------ */

static struct bm25 *index_of(const char *const *texts) {
    struct bm25 *index = bm25_open(NULL);
    for (; *texts; texts++) assert_true(bm25_add(index, *texts, strlen(*texts), NULL));
    assert_true(bm25_build(index, NULL));
    return index;
}

static int64_t best_of(struct bm25 *index, const char *query, double *score) {
    int64_t best;
    assert_true(bm25_best(index, query, strlen(query), &best, score, NULL));
    return best;
}

static void bm25_scores_by_the_formula(void **state) {
    (void)state;
    struct bm25 *index = index_of(TEXTS("the cat sat", "the dog sat down", "a bird"));
    double score;
    assert_int_equal(best_of(index, "Cat?", &score), 0);
    /* one of three texts has the word; length 3, which is the mean: the length factor is k1 */
    assert_true(fabs(score - log(1 + 2.5 / 1.5) * 2.2 / (1 + 1.2)) < 1e-6);
    assert_int_equal(best_of(index, "the the dog", &score), 1);
    double idf_the = log(1 + 1.5 / 2.5), idf_dog = log(1 + 2.5 / 1.5), factor = 1.2 * (0.25 + 0.75 * 4 / 3.0);
    assert_true(fabs(score - (2 * idf_the + idf_dog) * 2.2 / (1 + factor)) < 1e-6);
    bm25_close(index);
}

static void bm25_prefers_the_first_of_equals_and_knows_nothing_of_new_words(void **state) {
    (void)state;
    struct bm25 *index = index_of(TEXTS("red apple", "green pear", "red apple"));
    assert_int_equal(best_of(index, "apple", NULL), 0);
    assert_int_equal(best_of(index, "plum", NULL), -1);
    assert_int_equal(best_of(index, "", NULL), -1);
    bm25_close(index);
    index = index_of((const char *const[]){NULL});
    assert_int_equal(best_of(index, "apple", NULL), -1);
    bm25_close(index);
}

static void the_baseline_gives_the_nearest_answer(void **state) {
    (void)state;
    struct file f =
        file_of("{\"messages\":[{\"role\":\"user\",\"content\":\"Where is "
                "Bru?\"},{\"role\":\"assistant\",\"content\":\"In Tal.\"},"
                "{\"role\":\"user\",\"content\":\"And thanks\"},{\"role\":\"assistant\",\"content\":\"Bye.\"}]}\n"
                "{\"messages\":[{\"role\":\"user\",\"content\":\"Where is "
                "Zor?\"},{\"role\":\"assistant\",\"content\":\"In Mek.\"}]}\n");
    struct baseline *b = baseline_open(f.path, NULL, NULL);
    assert_non_null(b);
    static const char *const cases[][2] = {
        {"Tell me where Zor is", "In Mek."}, {"Where is Bru", "In Tal."}, {"thanks", "Bye."}, {"xyz", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", cases[i][0]);
        assert_string_equal(baseline_answer(b, messages, NULL), cases[i][1]);
        json_decref(messages);
    }
    baseline_close(b);
    unlink(f.path);
    assert_null(baseline_open("/tmp/talc-no-such-file", NULL, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_are_compared_as_sentences),
        cmocka_unit_test(lists_hold_exactly_the_items),
        cmocka_unit_test(outlines_have_heading_and_sections_in_order),
        cmocka_unit_test(a_name_is_spelt_as_told),
        cmocka_unit_test(abstention_names_the_thing),
        cmocka_unit_test(code_is_taken_from_its_fence_and_run_with_the_tests),
        cmocka_unit_test(code_is_found_in_its_fence),
        cmocka_unit_test(code_of_the_function_is_preferred),
        cmocka_unit_test(code_passes_only_with_status_and_output),
        cmocka_unit_test(code_without_the_function_is_not_run),
        cmocka_unit_test(code_is_skipped_without_a_runner),
        cmocka_unit_test(code_is_skipped_where_its_language_is_not_installed),
        cmocka_unit_test(a_runner_that_fails_is_an_error),
        cmocka_unit_test(malformed_tests_are_refused),
        cmocka_unit_test(wilson_gives_known_values),
        cmocka_unit_test(what_is_cut_is_still_text),
        cmocka_unit_test(names_of_skills_are_whole),
        cmocka_unit_test(scores_count_by_skill_and_count_false_refusals),
        cmocka_unit_test(unknown_words_and_repetitions_are_seen),
        cmocka_unit_test(bm25_scores_by_the_formula),
        cmocka_unit_test(bm25_prefers_the_first_of_equals_and_knows_nothing_of_new_words),
        cmocka_unit_test(the_baseline_gives_the_nearest_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
