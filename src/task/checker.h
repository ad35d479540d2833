/* checker.h - held-out prompts and programs that judge the answers: no model judges, and the same answer always gets
 * the same verdict. A test file has one test a line:
 *
 *   {"skill": "fact", "messages": [..., {"role": "user", ...}], "answer": "the expected one", "check": {"type": ...}}
 *
 *   type      right is
 *   fact      the expected sentence (case, spacing and a final full stop do not count)
 *   list      a list ("- ", "* " or "1. ") of exactly check.items, in any order, and nothing else
 *   outline   "# " check.topic, then "1. ", "2. ", ... check.sections in order, and nothing else
 *   memory    the expected sentence, with check.name spelt as it was told
 *   unknown   one sentence, and no other, that says "do not know" and names check.thing
 *   code      a function in check.language (alone, or in a fence: one that names the function goes before others, then
 * one of the language) with which check.tests, put behind it, ends well and prints check.output as its last lines. What
 * is expected stands nowhere in the program, so code that is made to pass has to give it. Where the test names the
 * function (check.function), an answer without the name is wrong and not run */
#ifndef TALC_TASK_CHECKER_H
#define TALC_TASK_CHECKER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "file/json.h"

struct checker_item {
    const char *skill, *answer; /* owned by `record` */
    json_t *messages, *check;   /* borrowed from `record` */
    json_t *record;
};
struct checker {
    struct checker_item *items;
    size_t n_items, capacity;
};
/* Loads a test file. What is missing or malformed fails, naming file and line. `stop` as in data/input_stream.h. */
bool checker_load(struct checker *checker, const char *path, const volatile sig_atomic_t *stop, struct talc_error *err);
void checker_free(struct checker *checker);

/* How code is run. `language` is "c" or "python"; the program is whole. The runner fails (and says why) only when
 * programs cannot be run safely here at all. */
struct code_outcome {
    bool ended_well;   /* compiled, ended by itself with status 0 */
    char output[1024]; /* the end of its output, terminated; messages of the compiler when it did not compile */
    const char *lacks; /* what must be installed to run this language, and nothing was run; NULL: it was run */
};
struct code_runner {
    bool (*run)(void *context, const char *language, const char *program, size_t n_bytes, struct code_outcome *outcome,
                struct talc_error *err);
    void *context;
};

enum verdict { VERDICT_WRONG, VERDICT_RIGHT, VERDICT_SKIPPED };
struct checker_result {
    enum verdict verdict; /* skipped: code that cannot be run here */
    bool refusal;         /* the answer says that it does not know */
    char why[256];        /* one line of UTF-8 about a wrong or skipped answer, else "" */
};
/* Judges the text that a model answered (terminated; one that holds a NUL besides is wrong). runner may be NULL: then
 * code is skipped. Fails only if the runner does. */
bool checker_score(const struct checker_item *item, const char *answer, size_t n_bytes,
                   const struct code_runner *runner, struct checker_result *result, struct talc_error *err);

/* ---- scores ---------------------------------------------------------------------------------- */

enum { MAX_SKILLS = 16 };
struct skill_score {
    const char *name;                   /* borrowed from the first item of the skill */
    size_t n, passed, skipped, refused; /* n: judged; refused: of all that should have been answered */
    double low, high;                   /* 95% Wilson interval of passed / n */
};
struct score_table {
    struct skill_score skills[MAX_SKILLS];
    int n_skills;
};
/* Makes a place for a skill, so that the table has them in this order; false when there are more than it holds. */
bool score_table_add_skill(struct score_table *table, const char *name);
/* Counts a result; false when there are more skills than a table holds. */
bool score_table_add(struct score_table *table, const struct checker_item *item, const struct checker_result *result);

/* E. B. Wilson, "Probable inference, the law of succession, and statistical inference" (1927): where the true share
 * lies with 95% confidence when `passed` of n passed. [0, 1] for n = 0. */
void wilson_interval(size_t passed, size_t n, double *low, double *high);

/* ---- free text ------------------------------------------------------------------------------- */

/* The words of training texts, to tell words from noise in what a model writes freely. */
struct word_set;
struct word_set *word_set_open(void);
/* Adds the words of a file: {"text"} or {"messages"} a line. */
bool word_set_add_file(struct word_set *vocabulary, const char *path, const volatile sig_atomic_t *stop,
                       struct talc_error *err);
bool word_set_add(struct word_set *vocabulary, const char *text, size_t n_bytes); /* false: out of memory */
void word_set_close(struct word_set *vocabulary);

struct text_quality {
    size_t n_words, n_known;
    bool repeats; /* some eight words in a row come twice */
};
/* The last word is left out when the text ends inside it (`cut`). False: out of memory. */
bool text_quality_measure(const struct word_set *vocabulary, const char *text, size_t n_bytes, bool cut,
                          struct text_quality *out);

#endif
