/* skill.c - dialogs, and what may stand around a prompt; see skill.h. */
#include "task/skill.h"

#include <string.h>

const struct skill *const skills_tested[] = {&skill_fact,    &skill_list, &skill_outline, &skill_code, &skill_memory,
                                             &skill_unknown, NULL};

void dialog_clear(struct dialog *dialog) { dialog->n = 0; }

void dialog_free(struct dialog *dialog) {
    for (int i = 0; i < MAX_TURNS; i++) buffer_free(&dialog->messages[i]);
    dialog->n = 0;
}

struct buffer *dialog_next(struct dialog *dialog) {
    struct buffer *message = &dialog->messages[dialog->n++];
    buffer_clear(message);
    return message;
}

/* An opener and a frame together must never read like another frame: none of them starts a request. */
static const char *const openers[] = {
    "Hello.",          "Hi there.",          "Good morning.",   "Good evening.",  "Excuse me.",       "A question:",
    "Quick question:", "I have a question.", "One more thing.", "Next one.",      "Now this:",        "Listen.",
    "Hello again.",    "My turn.",           "Something else.", "I am learning.", "Let us continue.", "Hey.",
    "I am back.",      "Dear assistant,",
};
static const char *const closers[] = {
    "Thank you.",           "Thanks.",        "Thanks a lot.",
    "I am curious.",        "Keep it short.", "Take your time.",
    "That would help.",     "Many thanks.",   "It is for my homework.",
    "I hope you can help.", "No hurry.",      "Thank you in advance.",
};

void prompt_finish(struct buffer *prompt, enum split split, struct rng *rng) {
    if (split == SPLIT_TEST) return;
    bool opened = rng_below(rng, 100) < 25, closed = rng_below(rng, 100) < 15, bare = rng_below(rng, 100) < 6;
    if (bare && !closed && prompt->length > 0 && strchr("?.", prompt->data[prompt->length - 1]))
        prompt->data[--prompt->length] = '\0';
    if (closed) {
        buffer_append_char(prompt, ' ');
        buffer_append_text(prompt, phrase_any(PHRASES(closers), rng));
    }
    if (opened) {
        const char *opener = phrase_any(PHRASES(openers), rng);
        size_t n = strlen(opener);
        if (!buffer_reserve(prompt, n + 1)) return;
        memmove(prompt->data + n + 1, prompt->data, prompt->length + 1);
        memcpy(prompt->data, opener, n);
        prompt->data[n] = ' ';
        prompt->length += n + 1;
    }
}
