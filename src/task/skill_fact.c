/* skill_fact.c - facts of the world asked for one by one, and things that are not of the world. A question is a frame
 * that fits every attribute ("What is the {a} of {X}?") or a wording of that attribute ("Where does {X} live?"). */
#include "task/skill.h"

/* {a} the attribute's noun, {X} the name. No frame is a part of another one. */
static const char *const frames[] = {
    "What is the {a} of {X}?",
    "Tell me the {a} of {X}.",
    "Please give the {a} of {X}.",
    "Which {a} belongs to {X}?",
    "What {a} does {X} have?",
    "I would like to know the {a} of {X}.",
    "Can you tell me {X}'s {a}?",
    "What is {X}'s {a}?",
    "Could you say which {a} {X} has?",
    "The {a} of {X}, please.",
    "Do you know the {a} of {X}?",
    "What do you know about the {a} of {X}?",
    "I forgot the {a} of {X}.",
    "Look up the {a} of {X}.",
    "As for {X}, what is the {a}?",
    "Regarding {X}, name the {a}.",
    "Let me know {X}'s {a}.",
    "What would you say is the {a} of {X}?",
    "Remind me of the {a} of {X}.",
    "Somebody asked me for the {a} of {X}.",
    "State the {a} of {X}.",
    "My question is about {X}: which {a}?",
    "Speaking of {X}, which {a} is it?",
    "Find the {a} that {X} has.",
    "About {X}: what is the {a}?",
    "Give me {X}'s {a}.",
    "Which is the {a} of {X}?",
    "How about the {a} of {X}?",
    "What can you say on {X}'s {a}?",
    "For {X}, I need the {a}.",
    "I wonder what {a} {X} has.",
    "Is the {a} of {X} known to you?",
    "Help me with the {a} of {X}.",
    "{X} has which {a}?",
    "Write down the {a} of {X}.",
    "Say the {a} of {X} in one sentence.",
    "Any idea about the {a} of {X}?",
    "We talked about {X}. Which {a} was it?",
    "I must learn the {a} of {X} by heart.",
    "Concerning the {a}, what holds for {X}?",
};

static const char *const acquaintance[] = {
    "Do you know {X}?",
    "Who is {X}?",
    "What is {X}?",
    "Have you heard of {X}?",
    "Is {X} known to you?",
    "Does {X} exist?",
    "Who or what is {X}?",
    "What about {X}?",
    "Ever met {X}?",
    "Is there a {X}?",
    "Can you place {X}?",
    "What does the word {X} mean?",
    "Tell me who {X} is.",
    "Say what {X} is.",
    "What kind of thing is {X}?",
    "I do not recall {X}. Who is it?",
    "Is {X} a person or a place?",
    "Does the name {X} tell you something?",
};

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
    struct slot slots[] = {{"X", name}, {"a", attribute->nouns[rng_below(rng, 4) == 0]}, {NULL, NULL}};
    struct phrases wordings = phrases_until_null(attribute->questions, MAX_WORDINGS);
    text_fill(out, phrase_pick(rng_below(rng, 2) ? PHRASES(frames) : wordings, split, rng), slots);
}

static void add_fact(const struct world *world, int subject, enum split split, struct rng *rng, struct dialog *dialog,
                     json_t *check) {
    int entity = subject / N_ATTRIBUTES, attribute = subject % N_ATTRIBUTES;
    struct buffer *prompt = dialog_next(dialog);
    question_append_fact(world_attribute(world, entity, attribute), world->entities[entity].name, split, rng, prompt);
    prompt_finish(prompt, split, rng);
    world_append_fact(world, entity, attribute, dialog_next(dialog));
    if (check) json_object_set_new(check, "value", json_string(world_value(world, entity, attribute)));
}

static void append_any_question(const char *name, enum split split, struct rng *rng, struct buffer *out) {
    const struct kind *kind = &primer_kinds[rng_below(rng, N_KINDS)];
    uint64_t form = rng_below(rng, 10);
    if (form < 7) {
        question_append_fact(&kind->attributes[rng_below(rng, N_ATTRIBUTES)], name, split, rng, out);
    } else if (form < 8) {
        question_append_everything(name, split, rng, out);
    } else if (form < 9) {
        int order[N_ATTRIBUTES] = {0, 1, 2, 3, 4, 5};
        rng_shuffle(rng, order, N_ATTRIBUTES, sizeof order[0]);
        question_append_list(kind, order, 2 + (int)rng_below(rng, 3), name, split, rng, out);
    } else {
        struct slot slots[] = {{"X", name}, {NULL, NULL}};
        text_fill(out, phrase_pick(PHRASES(acquaintance), split, rng), slots);
    }
}

static void add_unknown(const struct world *world, int subject, enum split split, struct rng *rng,
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
}

static void add_acquaintance(const struct world *world, int subject, enum split split, struct rng *rng,
                             struct dialog *dialog, json_t *check) {
    (void)check;
    const struct entity *e = &world->entities[subject];
    struct slot slots[] = {{"X", e->name}, {NULL, NULL}};
    struct buffer *prompt = dialog_next(dialog);
    text_fill(prompt, phrase_pick(PHRASES(acquaintance), split, rng), slots);
    prompt_finish(prompt, split, rng);
    buffer_printf(dialog_next(dialog), "%s is %s %s.", e->name, primer_kinds[e->kind].article,
                  primer_kinds[e->kind].noun);
}

const struct skill skill_acquaintance = {"acquaintance", add_acquaintance};
const struct skill skill_fact = {"fact", add_fact};
const struct skill skill_unknown = {"unknown", add_unknown};
