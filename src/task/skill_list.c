/* skill_list.c - collecting what is known of a thing into a Markdown list: the facts that were asked for, in that
 * order, or what it is and all six. A fifth of all (thing, set of facts) never occurs in training,
 * in whatever order. */
#include <stdlib.h>

#include "task/primer_phrases.h"
#include "task/skill.h"

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
        text_fill(out, phrase_pick(primer_phrases[PHRASES_LIST], split, rng), slots);
    } else {
        out->failed = true;
    }
    buffer_free(&list);
}

void question_append_everything(const char *name, enum split split, struct rng *rng, struct buffer *out) {
    struct slot slots[] = {{"X", name}, {NULL, NULL}};
    text_fill(out, phrase_pick(primer_phrases[PHRASES_EVERYTHING], split, rng), slots);
}

/* Draws which facts to ask for, in which order; 0 where the hash has put every set of this thing on the other side (of
 * three things in ten thousand none is held out). A set that is there comes up in one draw of 60 at least, so as many
 * draws miss it once in 10^14. */
static int choose_facts(const char *name, enum split split, struct rng *rng, int order[N_ATTRIBUTES]) {
    for (int draw = 0; draw < 2000; draw++) {
        int n = rng_below(rng, 3) == 0 ? N_ATTRIBUTES : 2 + (int)rng_below(rng, 2);
        for (int i = 0; i < N_ATTRIBUTES; i++) order[i] = i;
        if (n < N_ATTRIBUTES) rng_shuffle(rng, order, N_ATTRIBUTES, sizeof order[0]);
        if (list_is_held_out(name, order, n) == (split == SPLIT_TEST)) return n;
    }
    return 0;
}

static bool add_list(const struct world *world, int subject, enum split split, struct rng *rng, struct dialog *dialog,
                     json_t *check) {
    const struct entity *e = &world->entities[subject];
    int order[N_ATTRIBUTES];
    int n = choose_facts(e->name, split, rng, order);
    if (n == 0) return false;
    struct buffer *prompt = dialog_next(dialog);
    if (n == N_ATTRIBUTES)
        question_append_everything(e->name, split, rng, prompt);
    else
        question_append_list(primer_kinds[e->kind], order, n, e->name, split, rng, prompt);
    prompt_finish(prompt, split, rng);
    struct buffer *answer = dialog_next(dialog);
    json_t *items = check ? json_array() : NULL;
    bool all = n == N_ATTRIBUTES; /* begins with what kind of thing it is, from which the facts to tell follow */
    for (int i = all ? -1 : 0; i < n; i++) {
        buffer_append_text(answer, answer->length > 0 ? "\n- " : "- ");
        size_t at = answer->length;
        if (i < 0)
            entity_append_kind(e, answer);
        else
            world_append_fact(world, subject, order[i], answer);
        if (items && buffer_ok(answer)) json_array_append_new(items, json_string(answer->data + at));
    }
    if (check) json_object_set_new(check, "items", items);
    return true;
}

const struct skill skill_list = {"list", add_list};
