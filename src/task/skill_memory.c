/* skill_memory.c - remembering a name over the turns of a conversation. */
#include "task/primer_phrases.h"
#include "task/skill.h"

/* A turn between telling and asking: mostly a fact, else small talk. Of a test too: then with a held-out question. */
static void add_distraction(const struct world *world, enum split split, struct rng *rng, struct dialog *dialog) {
    if (rng_below(rng, 3) == 0) {
        skill_talk.add(world, 0, split, rng, dialog, NULL);
    } else {
        int fact = (int)rng_below(rng, (uint64_t)world->n_entities * N_ATTRIBUTES);
        skill_fact.add(world, fact, split, rng, dialog, NULL);
    }
}

static bool add_memory(const struct world *world, int subject, enum split split, struct rng *rng, struct dialog *dialog,
                       json_t *check) {
    (void)subject;
    char drawn[MAX_NAME];
    const char *name = drawn;
    name_draw(world, split, rng, drawn);
    if (rng_below(rng, 4) == 0) name = name_of_people(split, rng);
    bool told = split == SPLIT_TEST || rng_below(rng, 12) > 0;
    if (told) {
        struct slot slots[] = {{"N", name}, {NULL, NULL}};
        struct buffer *prompt = dialog_next(dialog);
        text_fill(prompt, phrase_pick(primer_phrases[PHRASES_TELLING], split, rng), slots);
        prompt_finish(prompt, split, rng);
        buffer_printf(dialog_next(dialog), "Nice to meet you, %s.", name);
    }
    int n_distractions = (int)rng_below(rng, told ? 4 : 2);
    for (int i = 0; i < n_distractions; i++) add_distraction(world, split, rng, dialog);
    struct buffer *prompt = dialog_next(dialog);
    buffer_append_text(prompt, phrase_pick(primer_phrases[PHRASES_ASKING], split, rng));
    prompt_finish(prompt, split, rng);
    if (told)
        buffer_printf(dialog_next(dialog), "Your name is %s.", name);
    else
        buffer_append_text(dialog_next(dialog), "You have not told me your name.");
    if (check) json_object_set_new(check, "name", json_string(name));
    return true;
}

const struct skill skill_memory = {"memory", add_memory};
