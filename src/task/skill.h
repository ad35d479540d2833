/* skill.h - the skills that the primer teaches and tests. Each makes dialogs: for training from the phrases, names and
 * combinations that may be trained on, for a test from those that are held out. */
#ifndef TALC_TASK_SKILL_H
#define TALC_TASK_SKILL_H

#include <jansson.h>
#include <stdbool.h>

#include "task/primer_world.h"

enum { MAX_TURNS = 40 };

/* Messages in turn: user, assistant, user, ... A test ends with the expected answer. */
struct dialog {
    struct buffer messages[MAX_TURNS];
    int n;
};
void dialog_clear(struct dialog *dialog); /* keeps the memory */
void dialog_free(struct dialog *dialog);
struct buffer *dialog_next(struct dialog *dialog); /* the next message, empty */

/* Puts a greeting or a thanks around some of the prompts of training, and leaves out the last mark of a few. */
void prompt_finish(struct buffer *prompt, enum split split, struct rng *rng);

struct skill {
    const char *name;
    /* Appends one question and answer (memory: a whole conversation). `subject` names the fact, the entity, ... that is
     * asked for, where the skill has such; any number >= 0 is fine for the others. For a test `check` is an object to
     * which the skill adds what a checker needs; it is NULL in training. False, and nothing appended: there is nothing
     * on that side of the split to ask about this subject. */
    bool (*add)(const struct world *world, int subject, enum split split, struct rng *rng, struct dialog *dialog,
                json_t *check);
};

/* subject = entity * N_ATTRIBUTES + attribute; the fact in its canonical sentence. */
extern const struct skill skill_fact;
/* "X is a town.": who or what a thing of the world is; subject = entity. Taught, not tested. */
extern const struct skill skill_acquaintance;
/* "I do not know X." where X is not of the world. */
extern const struct skill skill_unknown;
/* subject = entity: some of its facts, or all, as a Markdown list. */
extern const struct skill skill_list;
/* A Markdown outline of a talk, an essay, ... on a topic. */
extern const struct skill skill_outline;
/* A small function in C or Python under a name that the prompt gives. */
extern const struct skill skill_code;
/* A name, told one to four turns before it is asked for. */
extern const struct skill skill_memory;
/* Greetings, thanks, what the assistant is. Taught, not tested. */
extern const struct skill skill_talk;

/* The skills that are tested; NULL ends the list. */
extern const struct skill *const skills_tested[];

/* Questions that fact and unknown share: a frame or a wording of that side, about the thing called `name`. */
void question_append_fact(const struct attribute *attribute, const char *name, enum split split, struct rng *rng,
                          struct buffer *out);
/* "Tell me all about X." */
void question_append_everything(const char *name, enum split split, struct rng *rng, struct buffer *out);
/* "List the home town, craft and pet of X." */
void question_append_list(const struct kind *kind, const int *attributes, int n, const char *name, enum split split,
                          struct rng *rng, struct buffer *out);

#endif
