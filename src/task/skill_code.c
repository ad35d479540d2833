/* skill_code.c - small functions in C and Python: a template ("add up over a list"), an operation ("square") and a name
 * that the prompt gives. A ninth of all (template, operation, language) never occurs in training, nor does a fifth of
 * the wordings, nor the names that tests use. Tests of a function come with the prompt: see append_tests. */
#include "task/code_cases.h"
#include "task/primer_phrases.h"
#include "task/skill.h"

#include <ctype.h>
#include <string.h>

static const char *const language_names[N_LANGUAGES] = {"C", "Python"}, *const fences[N_LANGUAGES] = {"c", "python"};

/* ---- templates ------------------------------------------------------------------------------- */

/* {f} the name; {x}, {y}, {m}, {e} the operation on x, y, m and on a list's element. */
struct template {
    const char *body[N_LANGUAGES];
    enum phrase_table descriptions;
};
static const struct template templates[N_CODE_TEMPLATES] = {
    [CODE_VALUE] = {{"int {f}(int x) {\n    return {x};\n}", "def {f}(x):\n    return {x}"}, PHRASES_VALUE},
    [CODE_SUM_TO] =
        {{"int {f}(int n) {\n    int s = 0;\n    for (int x = 1; x <= n; x++)\n        s += {x};\n    return s;\n}",
          "def {f}(n):\n    return sum({x} for x in range(1, n + 1))"},
         PHRASES_SUM_TO},
    [CODE_SUM_OF_LIST] = {{"int {f}(const int *a, int n) {\n    int s = 0;\n    for (int i = 0; i < n; i++)\n        s "
                           "+= {e};\n    return "
                           "s;\n}",
                           "def {f}(a):\n    return sum({x} for x in a)"},
                          PHRASES_SUM_OF_LIST},
    [CODE_LARGEST] =
        {{"int {f}(const int *a, int n) {\n    int m = 0;\n    for (int i = 0; i < n; i++) {\n        int v = {e};\n"
          "        if (i == 0 || v > m)\n            m = v;\n    }\n    return m;\n}",
          "def {f}(a):\n    return max({x} for x in a)"},
         PHRASES_LARGEST},
    [CODE_SUM_OF_TWO] = {{"int {f}(int x, int y) {\n    return ({x}) + ({y});\n}",
                          "def {f}(x, y):\n    return ({x}) + ({y})"},
                         PHRASES_SUM_OF_TWO},
    [CODE_COUNT] =
        {{"int {f}(const int *a, int n) {\n    int c = 0;\n    for (int i = 0; i < n; i++)\n        if ({e} > 10)\n"
          "            c++;\n    return c;\n}",
          "def {f}(a):\n    return sum(1 for x in a if {x} > 10)"},
         PHRASES_COUNT},
    [CODE_EACH] = {{"void {f}(int *a, int n) {\n    for (int i = 0; i < n; i++)\n        a[i] = {e};\n}",
                    "def {f}(a):\n    return [{x} for x in a]"},
                   PHRASES_EACH},
    [CODE_OF_LARGER] = {{"int {f}(int x, int y) {\n    int m = x > y ? x : y;\n    return {m};\n}",
                         "def {f}(x, y):\n    m = max(x, y)\n    return {m}"},
                        PHRASES_OF_LARGER},
    [CODE_DIFFERENCE] = {{"int {f}(int x, int y) {\n    return ({x}) - ({y});\n}",
                          "def {f}(x, y):\n    return ({x}) - ({y})"},
                         PHRASES_DIFFERENCE},
};

static const char *const verbs[] = {"calc", "make",  "find", "get",  "do",   "run",  "my",   "new",
                                    "fast", "quick", "the",  "best", "tiny", "test", "work", "help",
                                    "main", "try",   "next", "all",  "one",  "first"};
static const char *const nouns[] = {"total", "value", "result", "step",   "task", "job",  "thing",
                                    "func",  "score", "item",   "number", "list", "part", "answer",
                                    "count", "block", "rule",   "piece",  "part", "data"};

/* As in a Latin square: of every operation in a language one template is missing, which the other language has, and of
 * every template one operation or two (nine places apart in the table). */
static bool code_is_held_out(int template, int operation, int language) {
    return (template + 2 * operation + 4 * language) % N_CODE_TEMPLATES == 0;
}

static void draw_function_name(const struct world *world, enum split split, struct rng *rng, char out[MAX_NAME]) {
    if (rng_below(rng, 10) < 7) {
        name_draw(world, split, rng, out);
        out[0] = (char)tolower((unsigned char)out[0]);
        return;
    }
    do {
        const char *verb = phrase_any(PHRASES(verbs), rng), *noun = phrase_any(PHRASES(nouns), rng);
        char *end = stpcpy(stpcpy(out, verb), "_");
        strcpy(end, noun); /* both are short: at most 5 + 1 + 6 letters */
    } while (name_is_held_out(out) != (split == SPLIT_TEST));
}

/* ---- answers --------------------------------------------------------------------------------- */

static void fill_expression(const struct operation *op, int language, const char *operand, struct buffer *out) {
    struct slot slots[] = {{"v", operand}, {NULL, NULL}};
    text_fill(out, op->expression[language], slots);
}

static void append_function(const struct template *t, const struct operation *op, int language, const char *name,
                            struct buffer *out) {
    static const char *const operands[][2] = {{"x", "x"}, {"y", "y"}, {"m", "m"}, {"e", "a[i]"}};
    enum { N_OPERANDS = sizeof operands / sizeof operands[0] };
    struct buffer expressions[N_OPERANDS] = {0};
    struct slot slots[N_OPERANDS + 2] = {{"f", name}};
    for (int i = 0; i < N_OPERANDS; i++) {
        fill_expression(op, language, operands[i][1], &expressions[i]);
        slots[i + 1] = (struct slot){operands[i][0], expressions[i].data ? expressions[i].data : ""};
        if (!buffer_ok(&expressions[i])) out->failed = true;
    }
    text_fill(out, t->body[language], slots);
    for (int i = 0; i < N_OPERANDS; i++) buffer_free(&expressions[i]);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void append_numbers(const int *a, int n, struct buffer *out) {
    for (int i = 0; i < n; i++) buffer_printf(out, "%s%d", i > 0 ? ", " : "", a[i]);
}

/* In C a list is the beginning of an array: what follows the list must not be read, nor changed. */
static void append_c_case(enum code_template t, const char *name, const struct test_case *c, struct buffer *out) {
    if (code_shape(t) == TAKES_ONE || code_shape(t) == TAKES_TWO) {
        buffer_printf(out, "    printf(\"%%d\\n\", %s(", name);
        append_numbers(c->a, c->n, out);
        buffer_append_text(out, "));\n");
        return;
    }
    buffer_append_text(out, "    {\n        int a[] = {");
    append_numbers(c->a, c->n + 1, out);
    if (code_shape(t) == TAKES_LIST) {
        buffer_printf(out, "};\n        printf(\"%%d\\n\", %s(a, %d));\n    }\n", name, c->n);
        return;
    }
    buffer_printf(out, "};\n        %s(a, %d);\n        printf(\"[", name, c->n);
    for (int i = 0; i <= c->n; i++) buffer_append_text(out, i > 0 ? ", %d" : "%d");
    buffer_append_text(out, "]\\n\"");
    for (int i = 0; i <= c->n; i++) buffer_printf(out, ", a[%d]", i);
    buffer_append_text(out, ");\n    }\n");
}

/* A function that changes a list may do so in place, or give another list, a tuple or a generator: a request says
 * only what becomes of the numbers. */
static void append_python_case(enum code_template t, const char *name, const struct test_case *c, struct buffer *out) {
    if (code_shape(t) == CHANGES_LIST) {
        buffer_append_text(out, "a = [");
        append_numbers(c->a, c->n, out);
        buffer_printf(out, "]\nb = %s(a)\nprint(list(a if b is None else b))\n", name);
        return;
    }
    bool list = code_shape(t) == TAKES_LIST;
    buffer_printf(out, "print(%s(%s", name, list ? "[" : "");
    append_numbers(c->a, c->n, out);
    buffer_printf(out, "%s))\n", list ? "]" : "");
}

/* What is printed for a case: the number, or the changed list and, in C, what follows it. */
static void append_expected(enum code_template t, const struct operation *op, int language, const struct test_case *c,
                            struct buffer *out) {
    struct code_program right = code_right_program(t, op);
    struct code_result result = code_run(t, &right, c);
    bool list = code_shape(t) == CHANGES_LIST;
    if (list) buffer_append_text(out, "[");
    append_numbers(result.values, list && language == LANGUAGE_PYTHON ? c->n : result.n, out);
    buffer_append_text(out, list ? "]\n" : "\n");
}

/* The program that calls the function, which is put before it, and prints what it gives; and what it should print. */
static void append_tests(enum code_template t, const struct operation *op, int language, const char *name,
                         struct rng *rng, struct buffer *program, struct buffer *output) {
    struct test_cases cases;
    code_choose_cases(t, op, rng, &cases);
    if (language == LANGUAGE_C) buffer_append_text(program, "int printf(const char *format, ...);\nint main(void) {\n");
    for (int i = 0; i < cases.n; i++) {
        (language == LANGUAGE_C ? append_c_case : append_python_case)(t, name, &cases.items[i], program);
        append_expected(t, op, language, &cases.items[i], output);
    }
    if (language == LANGUAGE_C) buffer_append_text(program, "    return 0;\n}\n");
}

static void add_check(enum code_template t, const struct operation *op, int language, const char *name, struct rng *rng,
                      json_t *check) {
    struct buffer tests = {0}, output = {0};
    append_tests(t, op, language, name, rng, &tests, &output);
    json_object_set_new(check, "language", json_string(fences[language]));
    json_object_set_new(check, "function", json_string(name));
    json_object_set_new(check, "template", json_integer(t));
    json_object_set_new(check, "operation", json_string(op->noun));
    if (buffer_ok(&tests) && buffer_ok(&output)) {
        json_object_set_new(check, "tests", json_string(tests.data));
        json_object_set_new(check, "output", json_string(output.data));
    }
    buffer_free(&tests);
    buffer_free(&output);
}

/* ---- dialogs --------------------------------------------------------------------------------- */

static void append_request(const struct template *t, const struct operation *op, int language, const char *name,
                           enum split split, struct rng *rng, struct buffer *out) {
    struct slot words[] = {{"o", op->noun}, {"O", op->plural}, {NULL, NULL}};
    struct buffer description = {0};
    text_fill(&description, phrase_pick(primer_phrases[t->descriptions], split, rng), words);
    if (buffer_ok(&description)) {
        struct slot slots[] = {{"L", language_names[language]}, {"f", name}, {"d", description.data}, {NULL, NULL}};
        text_fill(out, phrase_pick(primer_phrases[PHRASES_CODE], split, rng), slots);
    } else {
        out->failed = true;
    }
    buffer_free(&description);
}

static bool add_code(const struct world *world, int subject, enum split split, struct rng *rng, struct dialog *dialog,
                     json_t *check) {
    (void)subject;
    int template, operation, language;
    do {
        template = (int)rng_below(rng, N_CODE_TEMPLATES);
        operation = (int)rng_below(rng, N_OPERATIONS);
        language = (int)rng_below(rng, N_LANGUAGES);
    } while (code_is_held_out(template, operation, language) != (split == SPLIT_TEST) ||
             (split == SPLIT_TEST && code_result_is_constant(template, &code_operations[operation])));
    const struct template *t = &templates[template];
    const struct operation *op = &code_operations[operation];
    char name[MAX_NAME];
    draw_function_name(world, split, rng, name);
    struct buffer *prompt = dialog_next(dialog), *answer = dialog_next(dialog);
    append_request(t, op, language, name, split, rng, prompt);
    prompt_finish(prompt, split, rng);
    buffer_printf(answer, "```%s\n", fences[language]);
    append_function(t, op, language, name, answer);
    buffer_append_text(answer, "\n```");
    if (check) add_check(template, op, language, name, rng, check);
    return true;
}

const struct skill skill_code = {"code", add_code};
