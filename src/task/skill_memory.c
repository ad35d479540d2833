/* skill_memory.c - remembering a name over the turns of a conversation. */
#include "task/skill.h"

/* {N} the name. */
static const char *const tellings[] = {
    "My name is {N}.",
    "I am {N}.",
    "Call me {N}.",
    "You can call me {N}.",
    "I am called {N}.",
    "People call me {N}.",
    "Hello, my name is {N}.",
    "{N} is my name.",
    "They named me {N}.",
    "This is {N} speaking.",
    "Let me introduce myself: {N}.",
    "The name is {N}.",
    "I go by the name of {N}.",
    "My friends say {N} to me.",
    "Please call me {N} from now on.",
    "Good day, I am {N}.",
    "Remember that I am called {N}.",
    "Hi, {N} here.",
    "My parents named me {N}.",
    "You are talking to {N}.",
    "I would like to be called {N}.",
    "Note that my name is {N}.",
    "By the way, I am {N}.",
    "Nice to meet you, I am {N}.",
    "Keep in mind: I am {N}.",
};

static const char *const askings[] = {
    "What is my name?",
    "Do you remember my name?",
    "Who am I?",
    "What am I called?",
    "Can you say my name?",
    "Tell me my name.",
    "Which name did I give you?",
    "How did I introduce myself?",
    "By what name should you call me?",
    "What was my name again?",
    "Say my name.",
    "Have you kept my name in mind?",
    "What do people call me?",
    "Please repeat my name.",
    "Whom are you talking to?",
    "What name do I go by?",
    "Did you note my name?",
    "Which name is mine?",
    "Recall my name, please.",
    "Under what name do you know me?",
    "Give me my name back.",
    "Do you still know who I am?",
    "And my name was?",
    "How do you address me?",
    "I forgot my own name. What is it?",
};

/* A turn between telling and asking: mostly a fact, else small talk. Of a test too: then with a held-out question. */
static void add_distraction(const struct world *world, enum split split, struct rng *rng, struct dialog *dialog) {
    if (rng_below(rng, 3) == 0) {
        skill_talk.add(world, 0, split, rng, dialog, NULL);
    } else {
        int fact = (int)rng_below(rng, (uint64_t)world->n_entities * N_ATTRIBUTES);
        skill_fact.add(world, fact, split, rng, dialog, NULL);
    }
}

static void add_memory(const struct world *world, int subject, enum split split, struct rng *rng, struct dialog *dialog,
                       json_t *check) {
    (void)subject;
    char drawn[MAX_NAME];
    const char *name = drawn;
    name_draw(world, split, rng, drawn);
    if (rng_below(rng, 6) == 0) name = name_of_people(split, rng);
    bool told = split == SPLIT_TEST || rng_below(rng, 12) > 0;
    if (told) {
        struct slot slots[] = {{"N", name}, {NULL, NULL}};
        struct buffer *prompt = dialog_next(dialog);
        text_fill(prompt, phrase_pick(PHRASES(tellings), split, rng), slots);
        buffer_printf(dialog_next(dialog), "Nice to meet you, %s.", name);
    }
    int n_distractions = (int)rng_below(rng, told ? 4 : 2);
    for (int i = 0; i < n_distractions; i++) add_distraction(world, split, rng, dialog);
    struct buffer *prompt = dialog_next(dialog);
    buffer_append_text(prompt, phrase_pick(PHRASES(askings), split, rng));
    prompt_finish(prompt, split, rng);
    if (told)
        buffer_printf(dialog_next(dialog), "Your name is %s.", name);
    else
        buffer_append_text(dialog_next(dialog), "You have not told me your name.");
    if (check) json_object_set_new(check, "name", json_string(name));
}

const struct skill skill_memory = {"memory", add_memory};
