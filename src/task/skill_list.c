/* skill_list.c - collecting what is known of a thing into a Markdown list: the facts that were asked for, in that
 * order, or all six. A fifth of all (thing, set of facts) never occurs in training, in whatever order. */
#include <stdlib.h>

#include "task/skill.h"

/* {L} "home town, craft and pet", {X} the name. */
static const char *const list_frames[] = {
    "List the {L} of {X}.",
    "Make a list with the {L} of {X}.",
    "Give me a list: {L} of {X}.",
    "I need {L} of {X} as a list.",
    "Collect the {L} of {X}.",
    "For {X}, list the {L}.",
    "Put the {L} of {X} into a list.",
    "Write {X}'s {L} as a list.",
    "As bullet points: {L} of {X}.",
    "Could you list {X}'s {L}?",
    "Show me {X}'s {L} in a list.",
    "Note down for {X}: {L}.",
    "Which {L} has {X}? Answer with a list.",
    "A short list, please: {L} of {X}.",
    "Gather {X}'s {L} in bullet points.",
    "Sum up {L} of {X} line by line.",
    "What are {L} of {X}? Use bullet points.",
    "Bring together the {L} of {X}.",
    "{X}: list {L}.",
    "One line each: the {L} of {X}.",
    "I want bullets with {L} of {X}.",
    "Arrange {X}'s {L} as bullets.",
    "Tell me {L} of {X}, one per line.",
    "Compile the {L} for {X}.",
    "Please itemise the {L} of {X}.",
    "In a list, what are {X}'s {L}?",
    "Set out {L} of {X} point by point.",
    "Draw up a list of the {L} of {X}.",
    "With bullets, give {X}'s {L}.",
    "May I have a list of {X}'s {L}?",
};

static const char *const everything_frames[] = {
    "Tell me all about {X}.",
    "List everything you know about {X}.",
    "What do you know about {X}?",
    "Collect all facts about {X}.",
    "Make a list of all you know of {X}.",
    "Give me all facts on {X}.",
    "Describe {X} in a list.",
    "Write a list about {X}.",
    "Everything about {X}, please.",
    "What can you tell me about {X}?",
    "Please describe {X} fully.",
    "Sum up what is known of {X}.",
    "I want to know everything about {X}.",
    "Put all facts about {X} into a list.",
    "Introduce {X} to me.",
    "Say all that you know of {X}.",
    "Gather what is known about {X}.",
    "Bullet points on {X}, all of them.",
    "Which facts do you have on {X}?",
    "Write a profile of {X}.",
    "Report on {X} in full.",
    "All there is to know about {X}?",
    "Present {X} with bullets.",
    "Show all facts you have about {X}.",
    "Make a fact sheet for {X}.",
    "Teach me about {X}.",
    "Explain {X} point by point.",
    "A full list on {X}, please.",
    "Give me a profile of {X}.",
    "Show me a profile of {X}.",
    "Prepare a fact sheet about {X}.",
    "I need a fact sheet on {X}.",
};

static int compare_ints(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static bool list_is_held_out(const char *name, const int *attributes, int n) {
    int sorted[N_ATTRIBUTES];
    for (int i = 0; i < n; i++) sorted[i] = attributes[i];
    qsort(sorted, (size_t)n, sizeof sorted[0], compare_ints);
    struct buffer key = {0};
    buffer_append_text(&key, name);
    for (int i = 0; i < n; i++) buffer_printf(&key, "/%d", sorted[i]);
    bool held_out = buffer_ok(&key) && text_hash(key.data) % 5 == 0;
    buffer_free(&key);
    return held_out;
}

void question_append_list(const struct kind *kind, const int *attributes, int n, const char *name, enum split split,
                          struct rng *rng, struct buffer *out) {
    const char *nouns[N_ATTRIBUTES];
    for (int i = 0; i < n; i++) nouns[i] = kind->attributes[attributes[i]].nouns[0];
    struct buffer list = {0};
    text_join(&list, nouns, n);
    if (buffer_ok(&list)) {
        struct slot slots[] = {{"L", list.data}, {"X", name}, {NULL, NULL}};
        text_fill(out, phrase_pick(PHRASES(list_frames), split, rng), slots);
    }
    buffer_free(&list);
}

void question_append_everything(const char *name, enum split split, struct rng *rng, struct buffer *out) {
    struct slot slots[] = {{"X", name}, {NULL, NULL}};
    text_fill(out, phrase_pick(PHRASES(everything_frames), split, rng), slots);
}

/* Draws which facts to ask for, in which order; the last resort after many tries is one fact fewer or more, since for
 * some things the hash may put every set of a size on one side. */
static int choose_facts(const char *name, enum split split, struct rng *rng, int order[N_ATTRIBUTES]) {
    for (;;) {
        int n = rng_below(rng, 4) == 0 ? N_ATTRIBUTES : 2 + (int)rng_below(rng, 3);
        for (int i = 0; i < N_ATTRIBUTES; i++) order[i] = i;
        if (n < N_ATTRIBUTES) rng_shuffle(rng, order, N_ATTRIBUTES, sizeof order[0]);
        if (list_is_held_out(name, order, n) == (split == SPLIT_TEST)) return n;
    }
}

static void add_list(const struct world *world, int subject, enum split split, struct rng *rng, struct dialog *dialog,
                     json_t *check) {
    const struct entity *e = &world->entities[subject];
    int order[N_ATTRIBUTES];
    int n = choose_facts(e->name, split, rng, order);
    struct buffer *prompt = dialog_next(dialog);
    if (n == N_ATTRIBUTES)
        question_append_everything(e->name, split, rng, prompt);
    else
        question_append_list(&primer_kinds[e->kind], order, n, e->name, split, rng, prompt);
    prompt_finish(prompt, split, rng);
    struct buffer *answer = dialog_next(dialog);
    json_t *items = check ? json_array() : NULL;
    for (int i = 0; i < n; i++) {
        buffer_append_text(answer, i > 0 ? "\n- " : "- ");
        size_t at = answer->length;
        world_append_fact(world, subject, order[i], answer);
        if (items && buffer_ok(answer)) json_array_append_new(items, json_string(answer->data + at));
    }
    if (check) json_object_set_new(check, "items", items);
}

const struct skill skill_list = {"list", add_list};
