/* skill_code.c - small functions in C and Python: a template ("add up over a list"), an operation ("square") and a name
 * that the prompt gives. A ninth of all (template, operation, language) never occurs in training, nor does a fifth of
 * the wordings, nor the names that tests use. Tests of a function come with the prompt: see append_tests. */
#include "task/primer_phrases.h"
#include "task/skill.h"

#include <ctype.h>
#include <string.h>

/* ---- operations ------------------------------------------------------------------------------ */

enum language { LANGUAGE_C, LANGUAGE_PYTHON, N_LANGUAGES };
static const char *const language_names[N_LANGUAGES] = {"C", "Python"}, *const fences[N_LANGUAGES] = {"c", "python"};

static int apply_double(int x) { return x * 2; }
static int apply_triple(int x) { return x * 3; }
static int apply_quadruple(int x) { return x * 4; }
static int apply_quintuple(int x) { return x * 5; }
static int apply_sextuple(int x) { return x * 6; }
static int apply_half(int x) { return x / 2; }
static int apply_square(int x) { return x * x; }
static int apply_cube(int x) { return x * x * x; }
static int apply_negative(int x) { return -x; }
static int apply_successor(int x) { return x + 1; }
static int apply_predecessor(int x) { return x - 1; }
static int apply_parity(int x) { return x % 2; }
static int apply_last_digit(int x) { return x % 10; }

/* Of numbers that are not negative: there / and % are alike in both languages. {v} is the operand. */
struct operation {
    const char *noun, *plural, *expression[N_LANGUAGES];
    int (*apply)(int x);
};
static const struct operation operations[] = {
    {"double", "doubles", {"{v} * 2", "{v} * 2"}, apply_double},
    {"triple", "triples", {"{v} * 3", "{v} * 3"}, apply_triple},
    {"quadruple", "quadruples", {"{v} * 4", "{v} * 4"}, apply_quadruple},
    {"quintuple", "quintuples", {"{v} * 5", "{v} * 5"}, apply_quintuple},
    {"sextuple", "sextuples", {"{v} * 6", "{v} * 6"}, apply_sextuple},
    {"half", "halves", {"{v} / 2", "{v} // 2"}, apply_half},
    {"square", "squares", {"{v} * {v}", "{v} ** 2"}, apply_square},
    {"cube", "cubes", {"{v} * {v} * {v}", "{v} ** 3"}, apply_cube},
    {"negative", "negatives", {"{v} * -1", "{v} * -1"}, apply_negative},
    {"successor", "successors", {"{v} + 1", "{v} + 1"}, apply_successor},
    {"predecessor", "predecessors", {"{v} - 1", "{v} - 1"}, apply_predecessor},
    {"parity", "parities", {"{v} % 2", "{v} % 2"}, apply_parity},
    {"last digit", "last digits", {"{v} % 10", "{v} % 10"}, apply_last_digit},
};
enum { N_OPERATIONS = sizeof operations / sizeof operations[0] };

/* ---- templates ------------------------------------------------------------------------------- */

enum shape { TAKES_ONE, TAKES_TWO, TAKES_LIST, CHANGES_LIST };

/* What a function must return for two numbers (x, y), or for a list of n numbers. */
static int value_of(const struct operation *op, const int *a, int n) { return n ? op->apply(a[0]) : 0; }
static int sum_to(const struct operation *op, const int *a, int n) {
    int sum = 0;
    for (int i = 1; n && i <= a[0]; i++) sum += op->apply(i);
    return sum;
}
static int sum_of(const struct operation *op, const int *a, int n) {
    int sum = 0;
    for (int i = 0; i < n; i++) sum += op->apply(a[i]);
    return sum;
}
static int difference_of(const struct operation *op, const int *a, int n) {
    return n > 1 ? op->apply(a[0]) - op->apply(a[1]) : 0;
}
static int of_larger(const struct operation *op, const int *a, int n) {
    return n > 1 ? op->apply(a[0] > a[1] ? a[0] : a[1]) : 0;
}
static int largest_of(const struct operation *op, const int *a, int n) {
    int largest = op->apply(a[0]);
    for (int i = 1; i < n; i++)
        if (op->apply(a[i]) > largest) largest = op->apply(a[i]);
    return largest;
}
static int count_over_ten(const struct operation *op, const int *a, int n) {
    int count = 0;
    for (int i = 0; i < n; i++) count += op->apply(a[i]) > 10;
    return count;
}

/* {f} the name; {x}, {y}, {m}, {e} the operation on x, y, m and on a list's element. */
struct template {
    enum shape shape;
    int (*expected)(const struct operation *op, const int *a, int n); /* CHANGES_LIST: of one element */
    const char *body[N_LANGUAGES];
    enum phrase_table descriptions;
};
static const struct template templates[] = {
    {TAKES_ONE, value_of, {"int {f}(int x) {\n    return {x};\n}", "def {f}(x):\n    return {x}"}, PHRASES_VALUE},
    {TAKES_ONE,
     sum_to,
     {"int {f}(int n) {\n    int s = 0;\n    for (int x = 1; x <= n; x++)\n        s += {x};\n    return s;\n}",
      "def {f}(n):\n    return sum({x} for x in range(1, n + 1))"},
     PHRASES_SUM_TO},
    {TAKES_LIST,
     sum_of,
     {"int {f}(const int *a, int n) {\n    int s = 0;\n    for (int i = 0; i < n; i++)\n        s += {e};\n    return "
      "s;\n}",
      "def {f}(a):\n    return sum({x} for x in a)"},
     PHRASES_SUM_OF_LIST},
    {TAKES_LIST,
     largest_of,
     {"int {f}(const int *a, int n) {\n    int m = 0;\n    for (int i = 0; i < n; i++) {\n        int v = {e};\n"
      "        if (i == 0 || v > m)\n            m = v;\n    }\n    return m;\n}",
      "def {f}(a):\n    return max({x} for x in a)"},
     PHRASES_LARGEST},
    {TAKES_TWO,
     sum_of,
     {"int {f}(int x, int y) {\n    return ({x}) + ({y});\n}", "def {f}(x, y):\n    return ({x}) + ({y})"},
     PHRASES_SUM_OF_TWO},
    {TAKES_LIST,
     count_over_ten,
     {"int {f}(const int *a, int n) {\n    int c = 0;\n    for (int i = 0; i < n; i++)\n        if ({e} > 10)\n"
      "            c++;\n    return c;\n}",
      "def {f}(a):\n    return sum(1 for x in a if {x} > 10)"},
     PHRASES_COUNT},
    {CHANGES_LIST,
     value_of,
     {"void {f}(int *a, int n) {\n    for (int i = 0; i < n; i++)\n        a[i] = {e};\n}",
      "def {f}(a):\n    return [{x} for x in a]"},
     PHRASES_EACH},
    {TAKES_TWO,
     of_larger,
     {"int {f}(int x, int y) {\n    int m = x > y ? x : y;\n    return {m};\n}",
      "def {f}(x, y):\n    m = max(x, y)\n    return {m}"},
     PHRASES_OF_LARGER},
    {TAKES_TWO,
     difference_of,
     {"int {f}(int x, int y) {\n    return ({x}) - ({y});\n}", "def {f}(x, y):\n    return ({x}) - ({y})"},
     PHRASES_DIFFERENCE},
};
enum { N_TEMPLATES = sizeof templates / sizeof templates[0] };

static const char *const verbs[] = {"calc", "make",  "find", "get",  "do",   "run",  "my",   "new",
                                    "fast", "quick", "the",  "best", "tiny", "test", "work", "help",
                                    "main", "try",   "next", "all",  "one",  "first"};
static const char *const nouns[] = {"total", "value", "result", "step",   "task", "job",  "thing",
                                    "func",  "score", "item",   "number", "list", "part", "answer",
                                    "count", "block", "rule",   "piece",  "part", "data"};

/* As in a Latin square: of every operation in a language one template is missing, which the other language has, and of
 * every template one operation or two (nine places apart in the table). */
static bool code_is_held_out(int template, int operation, int language) {
    return (template + 2 * operation + 4 * language) % N_TEMPLATES == 0;
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

/* The numbers that a function is called with: as arguments or as a list, by its shape. */
enum { N_CASES = 6, CASE_LENGTH = 4, N_CASE_NUMBERS = 40 };
struct test_case {
    int a[CASE_LENGTH], n;
};

static void append_numbers(const struct test_case *c, struct buffer *out) {
    for (int i = 0; i < c->n; i++) buffer_printf(out, "%s%d", i > 0 ? ", " : "", c->a[i]);
}

static void append_c_case(const struct template *t, const char *name, const struct test_case *c, struct buffer *out) {
    if (t->shape == TAKES_ONE || t->shape == TAKES_TWO) {
        buffer_printf(out, "    printf(\"%%d\\n\", %s(", name);
        append_numbers(c, out);
        buffer_append_text(out, "));\n");
        return;
    }
    buffer_append_text(out, "    {\n        int a[] = {");
    append_numbers(c, out);
    if (t->shape == TAKES_LIST) {
        buffer_printf(out, "};\n        printf(\"%%d\\n\", %s(a, %d));\n    }\n", name, c->n);
        return;
    }
    buffer_printf(out, "};\n        %s(a, %d);\n        printf(\"[", name, c->n);
    for (int i = 0; i < c->n; i++) buffer_append_text(out, i > 0 ? ", %d" : "%d");
    buffer_append_text(out, "]\\n\"");
    for (int i = 0; i < c->n; i++) buffer_printf(out, ", a[%d]", i);
    buffer_append_text(out, ");\n    }\n");
}

static void append_python_case(const struct template *t, const char *name, const struct test_case *c,
                               struct buffer *out) {
    bool list = t->shape == TAKES_LIST || t->shape == CHANGES_LIST;
    buffer_printf(out, "print(%s(%s", name, list ? "[" : "");
    append_numbers(c, out);
    buffer_printf(out, "%s))\n", list ? "]" : "");
}

/* What either language prints for a case: the number, or the changed list. */
static void append_expected(const struct template *t, const struct operation *op, const struct test_case *c,
                            struct buffer *out) {
    if (t->shape != CHANGES_LIST) {
        buffer_printf(out, "%d\n", t->expected(op, c->a, c->n));
        return;
    }
    for (int i = 0; i < c->n; i++) buffer_printf(out, "%s%d", i > 0 ? ", " : "[", t->expected(op, c->a + i, 1));
    buffer_append_text(out, "]\n");
}

struct test_cases {
    struct test_case items[N_CASES];
};

static void draw_cases(const struct template *t, struct rng *rng, struct test_cases *cases) {
    for (int i = 0; i < N_CASES; i++) {
        struct test_case *c = &cases->items[i];
        c->n = t->shape == TAKES_ONE ? 1 : t->shape == TAKES_TWO ? 2 : CASE_LENGTH;
        for (int k = 0; k < c->n; k++) c->a[k] = (int)rng_below(rng, N_CASE_NUMBERS);
    }
}

static bool same_result(const struct template *t, const struct operation *x, const struct operation *y,
                        const struct test_case *c) {
    if (t->shape != CHANGES_LIST) return t->expected(x, c->a, c->n) == t->expected(y, c->a, c->n);
    for (int i = 0; i < c->n; i++)
        if (t->expected(x, c->a + i, 1) != t->expected(y, c->a + i, 1)) return false;
    return true;
}

/* How many other operations give the same results in all cases. */
static int count_alike(const struct template *t, const struct operation *op, const struct test_cases *cases) {
    int n_alike = 0;
    for (int o = 0; o < N_OPERATIONS; o++) {
        int same = 0;
        while (same < N_CASES && same_result(t, op, &operations[o], &cases->items[same])) same++;
        n_alike += same == N_CASES;
    }
    return n_alike - 1; /* itself */
}

/* Cases that tell as many other operations from this one as they can (some cannot be told: no parity is over ten, nor a
 * last digit). */
static void choose_cases(const struct template *t, const struct operation *op, struct rng *rng,
                         struct test_cases *best) {
    enum { N_DRAWS = 20 };
    int fewest = N_OPERATIONS;
    for (int draw = 0; draw < N_DRAWS && fewest > 0; draw++) {
        struct test_cases cases;
        draw_cases(t, rng, &cases);
        int n_alike = count_alike(t, op, &cases);
        if (n_alike < fewest) fewest = n_alike, *best = cases;
    }
}

/* The program that calls the function, which is put before it, and prints what it gives; and what it should print. */
static void append_tests(const struct template *t, const struct operation *op, int language, const char *name,
                         struct rng *rng, struct buffer *program, struct buffer *output) {
    struct test_cases cases;
    choose_cases(t, op, rng, &cases);
    if (language == LANGUAGE_C) buffer_append_text(program, "int printf(const char *format, ...);\nint main(void) {\n");
    for (int i = 0; i < N_CASES; i++) {
        (language == LANGUAGE_C ? append_c_case : append_python_case)(t, name, &cases.items[i], program);
        append_expected(t, op, &cases.items[i], output);
    }
    if (language == LANGUAGE_C) buffer_append_text(program, "    return 0;\n}\n");
}

static void add_check(const struct template *t, const struct operation *op, int language, const char *name,
                      struct rng *rng, json_t *check) {
    struct buffer tests = {0}, output = {0};
    append_tests(t, op, language, name, rng, &tests, &output);
    json_object_set_new(check, "language", json_string(fences[language]));
    json_object_set_new(check, "function", json_string(name));
    json_object_set_new(check, "template", json_integer(t - templates));
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

static void add_code(const struct world *world, int subject, enum split split, struct rng *rng, struct dialog *dialog,
                     json_t *check) {
    (void)subject;
    int template, operation, language;
    do {
        template = (int)rng_below(rng, N_TEMPLATES);
        operation = (int)rng_below(rng, N_OPERATIONS);
        language = (int)rng_below(rng, N_LANGUAGES);
    } while (code_is_held_out(template, operation, language) != (split == SPLIT_TEST));
    const struct template *t = &templates[template];
    const struct operation *op = &operations[operation];
    char name[MAX_NAME];
    draw_function_name(world, split, rng, name);
    struct buffer *prompt = dialog_next(dialog), *answer = dialog_next(dialog);
    append_request(t, op, language, name, split, rng, prompt);
    prompt_finish(prompt, split, rng);
    buffer_printf(answer, "```%s\n", fences[language]);
    append_function(t, op, language, name, answer);
    buffer_append_text(answer, "\n```");
    if (check) add_check(t, op, language, name, rng, check);
}

const struct skill skill_code = {"code", add_code};
