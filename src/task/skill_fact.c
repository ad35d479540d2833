/* skill_fact.c - facts of the world asked for one by one, and things that are not of the world. A question is a frame
 * that fits every attribute ("What is the {a} of {X}?") or a wording of that attribute ("Where does {X} live?"). */
#include "task/primer_phrases.h"
#include "task/skill.h"

/* Of the real world, so that a newcomer who asks for it gets an honest answer. */
static const char *const real_things[] = {
    "France",  "Paris",    "London",  "Einstein", "Napoleon", "Jupiter", "Mars",   "China", "Shakespeare", "Germany",
    "Berlin",  "Tokyo",    "Japan",   "Mozart",   "Newton",   "America", "Russia", "Venus", "Europe",      "Africa",
    "India",   "Picasso",  "Darwin",  "Rome",     "Italy",    "Spain",   "Madrid", "Plato", "Caesar",      "Hamlet",
    "Beijing", "New York", "Neptune", "Pluto",    "Everest",  "Canada",  "Brazil", "Egypt", "Cleopatra",   "Beethoven",
};

/* Half frames, half wordings: a table with its own held-out fifth each. */
void question_append_fact(const struct attribute *attribute, const char *name, enum split split, struct rng *rng,
                          struct buffer *out) {
    bool first = rng_below(rng, 2) == 0; /* half the time, since lists have no other */
    const char *noun = attribute->nouns[first ? 0 : 1 + rng_below(rng, N_NOUNS - 1)];
    struct slot slots[] = {{"X", name}, {"a", noun}, {NULL, NULL}};
    struct phrases wordings = phrases_until_null(attribute->questions, MAX_WORDINGS);
    text_fill(out, phrase_pick(rng_below(rng, 2) ? primer_phrases[PHRASES_FACT] : wordings, split, rng), slots);
}

static bool add_fact(const struct world *world, int subject, enum split split, struct rng *rng, struct dialog *dialog,
                     json_t *check) {
    int entity = subject / N_ATTRIBUTES, attribute = subject % N_ATTRIBUTES;
    struct buffer *prompt = dialog_next(dialog);
    question_append_fact(world_attribute(world, entity, attribute), world->entities[entity].name, split, rng, prompt);
    prompt_finish(prompt, split, rng);
    world_append_fact(world, entity, attribute, dialog_next(dialog));
    if (check) json_object_set_new(check, "value", json_string(world_value(world, entity, attribute)));
    return true;
}

static void append_any_question(const char *name, enum split split, struct rng *rng, struct buffer *out) {
    const struct kind *kind = primer_kinds[rng_below(rng, N_KINDS)];
    uint64_t form = rng_below(rng, 10);
    if (form < 7) {
        question_append_fact(&kind->attributes[rng_below(rng, N_ATTRIBUTES)], name, split, rng, out);
    } else if (form < 8) {
        question_append_everything(name, split, rng, out);
    } else if (form < 9) {
        int order[N_ATTRIBUTES] = {0, 1, 2, 3, 4, 5};
        rng_shuffle(rng, order, N_ATTRIBUTES, sizeof order[0]);
        question_append_list(kind, order, 2 + (int)rng_below(rng, 2), name, split, rng, out);
    } else {
        struct slot slots[] = {{"X", name}, {NULL, NULL}};
        text_fill(out, phrase_pick(primer_phrases[PHRASES_ACQUAINTANCE], split, rng), slots);
    }
}

static bool add_unknown(const struct world *world, int subject, enum split split, struct rng *rng,
                        struct dialog *dialog, json_t *check) {
    (void)subject;
    char drawn[MAX_NAME];
    const char *name = drawn;
    name_draw(world, split, rng, drawn);
    if (split == SPLIT_TRAIN && rng_below(rng, 8) == 0) name = phrase_any(PHRASES(real_things), rng);
    struct buffer *prompt = dialog_next(dialog);
    append_any_question(name, split, rng, prompt);
    prompt_finish(prompt, split, rng);
    buffer_printf(dialog_next(dialog), "I do not know %s.", name);
    if (check) json_object_set_new(check, "thing", json_string(name));
    return true;
}

static bool add_acquaintance(const struct world *world, int subject, enum split split, struct rng *rng,
                             struct dialog *dialog, json_t *check) {
    (void)check;
    const struct entity *e = &world->entities[subject];
    struct slot slots[] = {{"X", e->name}, {NULL, NULL}};
    struct buffer *prompt = dialog_next(dialog);
    text_fill(prompt, phrase_pick(primer_phrases[PHRASES_ACQUAINTANCE], split, rng), slots);
    prompt_finish(prompt, split, rng);
    entity_append_kind(e, dialog_next(dialog));
    return true;
}

const struct skill skill_acquaintance = {"acquaintance", add_acquaintance};
const struct skill skill_fact = {"fact", add_fact};
const struct skill skill_unknown = {"unknown", add_unknown};
