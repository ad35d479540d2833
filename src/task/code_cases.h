/* code_cases.h - what the functions that code tasks ask for give for numbers, and the numbers that tests call them
 * with: chosen so that no wrong program of a list of likely ones gives the same results as the right one. */
#ifndef TALC_TASK_CODE_CASES_H
#define TALC_TASK_CODE_CASES_H

#include <stdbool.h>

#include "base/rng.h"

enum language { LANGUAGE_C, LANGUAGE_PYTHON, N_LANGUAGES };

/* Of numbers that are not negative: there / and % are alike in both languages. {v} is the operand. */
struct operation {
    const char *noun, *plural, *expression[N_LANGUAGES];
    int (*apply)(int x);
};
enum { N_OPERATIONS = 13 };
extern const struct operation code_operations[N_OPERATIONS];

enum code_template {
    CODE_VALUE,
    CODE_SUM_TO,
    CODE_SUM_OF_LIST,
    CODE_LARGEST,
    CODE_SUM_OF_TWO,
    CODE_COUNT,
    CODE_EACH,
    CODE_OF_LARGER,
    CODE_DIFFERENCE,
    N_CODE_TEMPLATES
};
enum shape { TAKES_ONE, TAKES_TWO, TAKES_LIST, CHANGES_LIST };
enum shape code_shape(enum code_template t);

/* The numbers of one call: n of them, as arguments or as a list, by the shape. In C a list is followed by a[n], which
 * no right program reads or changes. */
enum { LONGEST_LIST = 5, MOST_CASES = 8 };
struct test_case {
    int a[LONGEST_LIST + 1], n;
};
struct test_cases {
    struct test_case items[MOST_CASES];
    int n;
};

/* What a program gives: one number, or (CHANGES_LIST) the list and what follows it. */
struct code_result {
    int values[LONGEST_LIST + 1], n;
};

/* A program, right or wrong: a function over the elements (or arguments) from `skipped` to `beyond` after the last; for
 * CHANGES_LIST each of them becomes what the function gives for it. */
struct code_program {
    const char *name; /* what is wrong, for messages */
    const struct operation *op;
    int (*function)(const struct operation *op, const int *a, int n);
    int skipped, beyond;
};
struct code_program code_right_program(enum code_template t, const struct operation *op);

/* The likely wrong programs. Some may be right for all numbers: (x + 1) - (y + 1) needs no operation. */
enum { MOST_WRONG_PROGRAMS = 64 };
int code_wrong_programs(enum code_template t, const struct operation *op, struct code_program out[MOST_WRONG_PROGRAMS]);

struct code_result code_run(enum code_template t, const struct code_program *program, const struct test_case *c);
bool code_same_result(const struct code_result *x, const struct code_result *y);

/* A case as tests have them. */
struct test_case code_draw_case(enum code_template t, struct rng *rng);

/* Six cases or a few more that tell the right program from all wrong ones that any number tells. */
void code_choose_cases(enum code_template t, const struct operation *op, struct rng *rng, struct test_cases *out);

/* The right program gives the same for all numbers ("how many parities are over ten"): a test of it tests nothing. */
bool code_result_is_constant(enum code_template t, const struct operation *op);

#endif
