/* primer.h - the demo's corpus, made from nothing but a seed: texts to pretrain on, chats to learn to answer from, and
 * held-out prompts with what a checker needs to judge the answers. The same options give the same bytes everywhere.
 *
 * The folder that primer_write fills:
 *   pretrain.jsonl  {"text"}: bios of the world's things, stories, notes
 *   valid.jsonl     {"text"}: the same kinds of text, other draws, for bits per byte
 *   chats.jsonl     {"messages"}: every skill, short; every fact is asked for `exposures` times
 *   replay.jsonl    {"text"}: more bios, to mix into the second stage, which otherwise forgets them
 *   eval.jsonl      {"skill", "messages" (ends with the user), "answer", "check"}: see checker.h
 *   world.jsonl     {"name", "kind", "facts": [six sentences]}: what there is to ask about
 *
 * What tests ask never occurs in training, by construction (skill.h): a fifth of the frames and wordings, names,
 * unknown things, topics and sets of facts to list, each chosen by hash, and combinations of template, operation and
 * language, chosen as in a Latin square (skill_code.c). */
#ifndef TALC_TASK_PRIMER_H
#define TALC_TASK_PRIMER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct primer_options {
    uint64_t seed;
    int n_entities; /* things in the world: 20 to 20000, six facts each */
    int exposures;  /* how often training asks for each fact: 1 to 200 */
    int bios;       /* texts about each thing in pretrain.jsonl: 1 to 200 */
    int n_texts;    /* stories and notes in pretrain.jsonl: 0 to 1e6 */
    int n_tests;    /* prompts a skill in eval.jsonl: 1 to 2000 */
    double
        scale; /* of what does not depend on the world (code, memory, outlines, talk, stories and notes): 0.01 to 100 */
};
struct primer_options primer_defaults(void);

struct primer_progress {
    bool (*report)(void *context, const char *what, size_t n_done, size_t n_total); /* false: stop */
    void *context;
};

struct primer_report {
    size_t n_texts, n_dialogs, n_replayed, n_tests;   /* records of pretrain, chats, replay and eval */
    size_t pretrain_bytes, chats_bytes, replay_bytes; /* of text, without JSON */
};

/* Writes the folder whole or not at all. One that is there is replaced if it is empty or holds a primer. `progress` and
 * `report` may be NULL. */
bool primer_write(const struct primer_options *options, const char *folder, const struct primer_progress *progress,
                  struct primer_report *report, struct talc_error *err);

/* How many tests of a folder share something with its training texts that they must not; read from the files alone. */
struct primer_audit {
    size_t n_tests, n_training; /* what was compared */
    size_t sequences;           /* prompts with eight words in a row that training has */
    size_t prompts;             /* whose last message occurs whole inside a training text */
    size_t frames;              /* the same after every name is replaced by one mark */
    size_t names;               /* names to remember, unknown things, functions that training names */
    size_t topics;              /* outline topics that training has outlines of */
    size_t lists;               /* lists with exactly the items of a training list */
    size_t functions;           /* functions that training has under another name */
    size_t duplicates;          /* tests whose prompt is that of an earlier test */
};
/* `stop` as in data/input_stream.h. */
bool primer_audit(const char *folder, const volatile sig_atomic_t *stop, struct primer_audit *audit,
                  struct talc_error *err);
size_t primer_audit_total(const struct primer_audit *audit); /* 0: nothing is shared */

#endif
