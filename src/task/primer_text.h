/* primer_text.h - the phrases of the primer: tables of wordings of which a fifth is held out, and filling slots. */
#ifndef TALC_TASK_PRIMER_TEXT_H
#define TALC_TASK_PRIMER_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/rng.h"

/* Training may use only what is not held out, tests only what is. */
enum split { SPLIT_TRAIN, SPLIT_TEST };

struct phrases {
    const char *const *items;
    int n;
};
#define PHRASES(array) ((struct phrases){(array), (int)(sizeof(array) / sizeof((array)[0]))})

/* A table that ends with NULL (or is full at `capacity`). */
struct phrases phrases_until_null(const char *const *items, int capacity);

/* FNV-1a with a final mix; never depends on the seed, so that what is held out is the same in every corpus. */
uint64_t text_hash(const char *text);

/* A fifth of a table (at least one phrase of two or more) is held out: the phrases whose hashes are smallest. */
bool phrase_is_held_out(struct phrases set, int index);

/* A phrase of that side of the split, each equally likely. A table of one phrase has no held-out side. */
const char *phrase_pick(struct phrases set, enum split split, struct rng *rng);

/* Any phrase of a table nobody splits (statements, value pools). */
const char *phrase_any(struct phrases set, struct rng *rng);

/* A name in braces in a template is replaced by its value; the list ends with a NULL name. A slot that is not in the
 * list stays as it is, braces included. */
struct slot {
    const char *name, *value;
};
void text_fill(struct buffer *out, const char *template, const struct slot *slots);

/* "a, b and c" */
void text_join(struct buffer *out, const char *const *items, int n);

/* Makes the ASCII letter at data[at] upper case. */
void text_capitalise(struct buffer *b, size_t at);

#endif
