/* primer_world.h - the small world that the primer tells of: things of five kinds, six facts each, and the names that
 * are kept for tests. Everything is invented; a world is a pure function of its seed and size. */
#ifndef TALC_TASK_PRIMER_WORLD_H
#define TALC_TASK_PRIMER_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "task/primer_text.h"

enum { KIND_PERSON, KIND_TOWN, KIND_BEAST, KIND_PLANET, KIND_SHIP, N_KINDS };
enum { N_ATTRIBUTES = 6, N_NOUNS = 3, N_STATEMENTS = 5, MAX_WORDINGS = 24, MAX_NAME = 24 };

/* Where the values of an attribute come from: a table, or names of towns of the world itself. */
enum value_source { VALUES_TABLE, VALUES_FIRST_TOWNS, VALUES_LAST_TOWNS };

/* Slots: {X} the name, {S} the name or a pronoun, {v} the value. */
struct attribute {
    const char *nouns[N_NOUNS];           /* "home town": the first one is used in lists */
    const char *answer;                   /* the one canonical sentence */
    const char *statements[N_STATEMENTS]; /* how texts put it besides the canonical sentence */
    const char *questions[MAX_WORDINGS];  /* wordings of this attribute alone; fewer end with NULL */
    struct phrases values;
    enum value_source source;
};

struct kind {
    const char *noun, *article; /* "person", "a" */
    struct attribute attributes[N_ATTRIBUTES];
};
extern const struct kind *const primer_kinds[N_KINDS];

struct entity {
    char name[MAX_NAME];
    int kind;
    bool female;
    int values[N_ATTRIBUTES]; /* index into the attribute's values */
};

struct world {
    struct entity *entities; /* the kinds in turn: entity i has kind i % N_KINDS */
    int n_entities;
    int *table; /* open addressing over the names: index + 1, 0 when empty */
    size_t n_slots;
};

bool world_open(struct world *world, uint64_t seed, int n_entities, struct talc_error *err);
void world_close(struct world *world);

const struct attribute *world_attribute(const struct world *world, int entity, int attribute);
const char *world_value(const struct world *world, int entity, int attribute);
bool world_knows(const struct world *world, const char *name);

/* "X is a town." */
void entity_append_kind(const struct entity *e, struct buffer *out);

/* The canonical sentence of a fact. */
void world_append_fact(const struct world *world, int entity, int attribute, struct buffer *out);

/* Names not of the world. A fifth of all names, by hash, is kept for tests. */
bool name_is_held_out(const char *name);
void name_draw(const struct world *world, enum split split, struct rng *rng, char out[MAX_NAME]);
/* A name people have; of these too a fifth is kept for tests. */
const char *name_of_people(enum split split, struct rng *rng);

#endif
