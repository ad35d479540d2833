/* code_cases.c - right and wrong programs of code tasks, and cases that tell them apart; see code_cases.h. */
#include "task/code_cases.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- operations ------------------------------------------------------------------------------ */

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
static int apply_nothing(int x) { return x; }

const struct operation code_operations[N_OPERATIONS] = {
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
static const struct operation no_operation = {.noun = "number", .apply = apply_nothing};

/* ---- functions, right ones of some templates and wrong ones of others ------------------------ */

static int zero(const struct operation *op, const int *a, int n) { return (void)op, (void)a, (void)n, 0; }

static int of_first(const struct operation *op, const int *a, int n) { return (void)n, op->apply(a[0]); }
static int of_last(const struct operation *op, const int *a, int n) { return op->apply(a[n - 1]); }

static int sum_between(const struct operation *op, int first, int last) {
    int sum = 0;
    for (int i = first; i <= last; i++) sum += op->apply(i);
    return sum;
}
static int sum_to(const struct operation *op, const int *a, int n) { return (void)n, sum_between(op, 1, a[0]); }
static int sum_below(const struct operation *op, const int *a, int n) { return (void)n, sum_between(op, 1, a[0] - 1); }
static int sum_from_zero(const struct operation *op, const int *a, int n) { return (void)n, sum_between(op, 0, a[0]); }
static int of_sum_to(const struct operation *op, const int *a, int n) {
    return (void)n, op->apply(sum_between(&no_operation, 1, a[0]));
}

static int sum_of(const struct operation *op, const int *a, int n) {
    int sum = 0;
    for (int i = 0; i < n; i++) sum += op->apply(a[i]);
    return sum;
}
static int of_sum(const struct operation *op, const int *a, int n) { return op->apply(sum_of(&no_operation, a, n)); }

static int largest_of(const struct operation *op, const int *a, int n) {
    int largest = op->apply(a[0]);
    for (int i = 1; i < n; i++)
        if (op->apply(a[i]) > largest) largest = op->apply(a[i]);
    return largest;
}
static int smallest_of(const struct operation *op, const int *a, int n) {
    int smallest = op->apply(a[0]);
    for (int i = 1; i < n; i++)
        if (op->apply(a[i]) < smallest) smallest = op->apply(a[i]);
    return smallest;
}
static int largest_or_zero(const struct operation *op, const int *a, int n) {
    int largest = largest_of(op, a, n);
    return largest > 0 ? largest : 0;
}
static int of_larger(const struct operation *op, const int *a, int n) {
    return op->apply(largest_of(&no_operation, a, n));
}
static int of_smaller(const struct operation *op, const int *a, int n) {
    return op->apply(smallest_of(&no_operation, a, n));
}

static int count_from(const struct operation *op, const int *a, int n, int least) {
    int count = 0;
    for (int i = 0; i < n; i++) count += op->apply(a[i]) >= least;
    return count;
}
static int count_over_ten(const struct operation *op, const int *a, int n) { return count_from(op, a, n, 11); }
static int count_from_ten(const struct operation *op, const int *a, int n) { return count_from(op, a, n, 10); }
static int count_over_eleven(const struct operation *op, const int *a, int n) { return count_from(op, a, n, 12); }
static int count_up_to_ten(const struct operation *op, const int *a, int n) { return n - count_from(op, a, n, 11); }
static int count_all(const struct operation *op, const int *a, int n) { return (void)op, (void)a, n; }
static int sum_over_ten(const struct operation *op, const int *a, int n) {
    int sum = 0;
    for (int i = 0; i < n; i++) sum += op->apply(a[i]) > 10 ? op->apply(a[i]) : 0;
    return sum;
}

/* The elements without those that occurred before; how many they are. */
static int without_duplicates(const int *a, int n, int out[LONGEST_LIST + 1]) {
    int n_out = 0;
    for (int i = 0; i < n; i++) {
        int earlier = 0;
        while (earlier < n_out && out[earlier] != a[i]) earlier++;
        if (earlier == n_out) out[n_out++] = a[i];
    }
    return n_out;
}
static int sum_of_set(const struct operation *op, const int *a, int n) {
    int set[LONGEST_LIST + 1];
    return sum_of(op, set, without_duplicates(a, n, set));
}
static int count_of_set(const struct operation *op, const int *a, int n) {
    int set[LONGEST_LIST + 1];
    return count_over_ten(op, set, without_duplicates(a, n, set));
}
static int sum_of_result_set(const struct operation *op, const int *a, int n) {
    int results[LONGEST_LIST + 1];
    for (int i = 0; i < n; i++) results[i] = op->apply(a[i]);
    return sum_of_set(&no_operation, results, n);
}

/* Of two arguments. */
static int sum_first_only(const struct operation *op, const int *a, int n) { return (void)n, op->apply(a[0]) + a[1]; }
static int sum_last_only(const struct operation *op, const int *a, int n) { return (void)n, a[0] + op->apply(a[1]); }
static int difference_of(const struct operation *op, const int *a, int n) {
    return (void)n, op->apply(a[0]) - op->apply(a[1]);
}
static int difference_reversed(const struct operation *op, const int *a, int n) { return -difference_of(op, a, n); }
static int difference_without_sign(const struct operation *op, const int *a, int n) {
    return abs(difference_of(op, a, n));
}
static int difference_first_only(const struct operation *op, const int *a, int n) {
    return (void)n, op->apply(a[0]) - a[1];
}
static int difference_last_only(const struct operation *op, const int *a, int n) {
    return (void)n, a[0] - op->apply(a[1]);
}
/* Told apart where x >= y: / and % of a negative number are not alike in both languages. */
static int of_difference(const struct operation *op, const int *a, int n) {
    return a[0] >= a[1] ? op->apply(a[0] - a[1]) : difference_of(op, a, n);
}

/* ---- programs -------------------------------------------------------------------------------- */

struct named_function {
    const char *name;
    int (*function)(const struct operation *op, const int *a, int n);
};
static const struct {
    enum shape shape;
    int (*right)(const struct operation *op, const int *a, int n); /* CHANGES_LIST: of one element */
    struct named_function wrong[8];                                /* ends with NULL */
} semantics[N_CODE_TEMPLATES] = {
    [CODE_VALUE] = {TAKES_ONE, of_first, {{NULL, NULL}}},
    [CODE_SUM_TO] = {TAKES_ONE,
                     sum_to,
                     {{"without n itself", sum_below},
                      {"from zero", sum_from_zero},
                      {"of n alone", of_first},
                      {"the operation of the sum", of_sum_to}}},
    [CODE_SUM_OF_LIST] = {TAKES_LIST,
                          sum_of,
                          {{"the operation of the sum", of_sum},
                           {"duplicates once", sum_of_set},
                           {"equal results once", sum_of_result_set},
                           {"the first only", of_first},
                           {"the last only", of_last},
                           {"the largest only", largest_of}}},
    [CODE_LARGEST] = {TAKES_LIST,
                      largest_of,
                      {{"the operation of the largest", of_larger},
                       {"the smallest", smallest_of},
                       {"the largest, but not below zero", largest_or_zero},
                       {"the first only", of_first},
                       {"the last only", of_last},
                       {"the sum", sum_of}}},
    [CODE_SUM_OF_TWO] = {TAKES_TWO,
                         sum_of,
                         {{"the operation of the first only", sum_first_only},
                          {"the operation of the second only", sum_last_only},
                          {"the operation of the sum", of_sum},
                          {"the difference", difference_of},
                          {"the first alone", of_first},
                          {"the second alone", of_last}}},
    [CODE_COUNT] = {TAKES_LIST,
                    count_over_ten,
                    {{"of ten too", count_from_ten},
                     {"over eleven", count_over_eleven},
                     {"those not over ten", count_up_to_ten},
                     {"duplicates once", count_of_set},
                     {"all", count_all},
                     {"the sum of those over ten", sum_over_ten}}},
    [CODE_EACH] = {CHANGES_LIST, of_first, {{NULL, NULL}}},
    [CODE_OF_LARGER] = {TAKES_TWO,
                        of_larger,
                        {{"of the first", of_first},
                         {"of the second", of_last},
                         {"of the smaller", of_smaller},
                         {"the larger of the results", largest_of}}},
    [CODE_DIFFERENCE] = {TAKES_TWO,
                         difference_of,
                         {{"the operation of the first only", difference_first_only},
                          {"the operation of the second only", difference_last_only},
                          {"the operation of the difference", of_difference},
                          {"the other way round", difference_reversed},
                          {"without the sign", difference_without_sign},
                          {"the sum", sum_of}}},
};

enum shape code_shape(enum code_template t) { return semantics[t].shape; }

static bool has_list(enum code_template t) {
    return semantics[t].shape == TAKES_LIST || semantics[t].shape == CHANGES_LIST;
}

struct code_program code_right_program(enum code_template t, const struct operation *op) {
    return (struct code_program){.name = "right", .op = op, .function = semantics[t].right};
}

int code_wrong_programs(enum code_template t, const struct operation *op,
                        struct code_program out[MOST_WRONG_PROGRAMS]) {
    static const struct code_program loops[] = {
        {.name = "without the first element", .skipped = 1},
        {.name = "without the last element", .beyond = -1},
        {.name = "one beyond the last element", .beyond = 1},
        {.name = "from the second element to one beyond", .skipped = 1, .beyond = 1},
    };
    struct code_program right = code_right_program(t, op);
    int n = 0;
    for (int o = 0; o < N_OPERATIONS; o++)
        if (&code_operations[o] != op)
            out[n++] = (struct code_program){code_operations[o].noun, &code_operations[o], right.function, 0, 0};
    out[n++] = (struct code_program){"without the operation", &no_operation, right.function, 0, 0};
    out[n++] = (struct code_program){"always zero", op, zero, 0, 0};
    for (size_t i = 0; has_list(t) && i < sizeof loops / sizeof loops[0]; i++) {
        out[n] = loops[i];
        out[n].op = op;
        out[n++].function = right.function;
    }
    for (const struct named_function *f = semantics[t].wrong; f->name; f++)
        out[n++] = (struct code_program){f->name, op, f->function, 0, 0};
    return n;
}

struct code_result code_run(enum code_template t, const struct code_program *program, const struct test_case *c) {
    struct code_result result = {.n = 1};
    int first = program->skipped, end = c->n + program->beyond;
    if (semantics[t].shape != CHANGES_LIST) {
        result.values[0] = program->function(program->op, c->a + first, end - first);
        return result;
    }
    result.n = c->n + 1;
    memcpy(result.values, c->a, (size_t)result.n * sizeof *c->a);
    for (int i = first; i < end; i++) result.values[i] = program->function(program->op, c->a + i, 1);
    return result;
}

bool code_same_result(const struct code_result *x, const struct code_result *y) {
    return x->n == y->n && memcmp(x->values, y->values, (size_t)x->n * sizeof *x->values) == 0;
}

/* ---- cases ----------------------------------------------------------------------------------- */

enum { N_CASE_NUMBERS = 40 };

struct test_case code_draw_case(enum code_template t, struct rng *rng) {
    struct test_case c = {.n = semantics[t].shape == TAKES_ONE ? 1 : 2};
    if (has_list(t)) c.n = 2 + (int)rng_below(rng, LONGEST_LIST - 1);
    for (int i = 0; i <= c.n; i++) c.a[i] = (int)rng_below(rng, N_CASE_NUMBERS);
    return c;
}

static int count_bits(uint64_t set) { return __builtin_popcountll(set); }

static bool has_case(const struct test_cases *cases, const struct test_case *c) {
    int i = 0;
    while (i < cases->n &&
           (cases->items[i].n != c->n || memcmp(cases->items[i].a, c->a, (size_t)c->n * sizeof *c->a) != 0))
        i++;
    return i < cases->n;
}

/* A greedy cover: the case that tells most wrong programs comes first, then the one that tells most of the rest. What
 * no candidate tells is taken for right. */
void code_choose_cases(enum code_template t, const struct operation *op, struct rng *rng, struct test_cases *out) {
    enum { N_CANDIDATES = 192, FEWEST_CASES = 6 };
    struct code_program right = code_right_program(t, op), wrong[MOST_WRONG_PROGRAMS];
    struct test_case candidates[N_CANDIDATES];
    uint64_t told[N_CANDIDATES] = {0}, rest = 0; /* bit w: of wrong program w */
    int n_wrong = code_wrong_programs(t, op, wrong);
    for (int i = 0; i < N_CANDIDATES; i++) {
        candidates[i] = code_draw_case(t, rng);
        struct code_result expected = code_run(t, &right, &candidates[i]);
        for (int w = 0; w < n_wrong; w++) {
            struct code_result result = code_run(t, &wrong[w], &candidates[i]);
            told[i] |= (uint64_t)!code_same_result(&expected, &result) << w;
        }
        rest |= told[i];
    }
    out->n = 0;
    while (out->n < MOST_CASES && (rest || out->n < FEWEST_CASES)) {
        int best = 0;
        for (int i = 1; rest && i < N_CANDIDATES; i++)
            if (count_bits(told[i] & rest) > count_bits(told[best] & rest)) best = i;
        while (!rest && best + 1 < N_CANDIDATES && has_case(out, &candidates[best])) best++; /* any new one */
        rest &= ~told[best];
        out->items[out->n++] = candidates[best];
    }
}

bool code_result_is_constant(enum code_template t, const struct operation *op) {
    struct code_program right = code_right_program(t, op);
    struct test_case c = {.n = semantics[t].shape == TAKES_TWO ? 2 : 1};
    struct code_result first = code_run(t, &right, &c);
    for (c.a[0] = 1; c.a[0] < N_CASE_NUMBERS; c.a[0]++) {
        struct code_result result = code_run(t, &right, &c);
        if (!code_same_result(&first, &result)) return false;
    }
    return true;
}
