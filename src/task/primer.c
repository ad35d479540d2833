/* primer.c - writing the corpus: what is made how often, in which order, into which file; see primer.h. */
#include "task/primer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "file/atomic.h"
#include "file/json.h"
#include "task/primer_prose.h"
#include "task/primer_words.h"
#include "task/skill.h"

/* At scale 1: dialogs of the skills that do not depend on the world. */
enum { N_CODE = 18500, N_MEMORY = 6000, N_OUTLINE = 8500, N_TALK = 2500 };
enum {
    ACQUAINTANCES = 12,   /* "who is X" asked for each thing */
    UNKNOWN_PERCENT = 25, /* of all dialogs: enough to refuse, not so many that what is known is refused */
    LONGEST_DIALOG = 12,  /* messages */
    CHAT_BYTES = 500,     /* a conversation that is longer gets no further dialog: it must fit in a context */
    REPLAY_SHARE = 3,     /* one in three as many texts again for the second stage */
    N_VALID_BIOS = 200,
    N_VALID_TEXTS = 100,
    MAX_TEST_DRAWS = 1000, /* for one test prompt */
};
/* Numbers are drawn from streams of their own, so that a change in one file leaves the others alone. */
enum stream { STREAM_PRETRAIN = 16, STREAM_VALID, STREAM_REPLAY, STREAM_CHATS, STREAM_TESTS, STREAM_ORDER };

struct primer_options primer_defaults(void) {
    return (struct primer_options){
        .seed = 1, .n_entities = 500, .exposures = 13, .bios = 35, .n_texts = 4500, .n_tests = 200, .scale = 1};
}

/* One record to make: `make` says which text or skill, `subject` of what. */
struct job {
    uint16_t make;
    uint32_t subject, index;
};
struct job_list {
    struct job *items;
    size_t n, capacity;
    bool failed;
};

struct writer {
    struct primer_options options;
    struct world world;
    struct atomic_folder folder;
    const struct primer_progress *progress;
    struct primer_report report;
    struct dialog dialog;
    struct buffer line, text;
    struct word_list words, name;          /* of the record at hand, of a name in it */
    struct hash_set sequences, vocabulary; /* of everything that is trained on */
    struct hash_set prompts;               /* of tests so far */
};

/* ---- jobs ------------------------------------------------------------------------------------ */

static void job_add(struct job_list *jobs, int make, int subject) {
    if (jobs->n == jobs->capacity) {
        size_t capacity = jobs->capacity ? 2 * jobs->capacity : 4096;
        struct job *items = jobs->failed ? NULL : checked_realloc(jobs->items, capacity, sizeof *items);
        if (!items) {
            jobs->failed = true;
            return;
        }
        jobs->items = items;
        jobs->capacity = capacity;
    }
    jobs->items[jobs->n] = (struct job){(uint16_t)make, (uint32_t)subject, (uint32_t)jobs->n};
    jobs->n++;
}

static void job_add_many(struct job_list *jobs, int make, int n_subjects, int times) {
    for (int t = 0; t < times; t++)
        for (int s = 0; s < n_subjects; s++) job_add(jobs, make, s);
}

/* A job's numbers depend on its place in the plan, not on its place in the file. */
static struct rng job_rng(const struct writer *w, enum stream stream, const struct job *job) {
    return rng_make(w->options.seed, (uint64_t)stream << 40 | job->index);
}

static void jobs_shuffle(const struct writer *w, enum stream stream, struct job_list *jobs) {
    struct rng rng = rng_make(w->options.seed, (uint64_t)STREAM_ORDER << 40 | stream);
    rng_shuffle(&rng, jobs->items, jobs->n, sizeof *jobs->items);
}

/* ---- files ----------------------------------------------------------------------------------- */

struct record_file {
    FILE *stream;
    char *path;
};

static bool record_file_open(struct writer *w, struct record_file *f, const char *name, struct talc_error *err) {
    f->path = path_join(w->folder.temporary, name);
    if (!f->path) return talc_fail(err, "primer: out of memory");
    f->stream = fopen(f->path, "wb");
    if (f->stream) return true;
    talc_fail_errno(err, "%s: cannot be made", f->path);
    free(f->path);
    return false;
}

static bool record_file_close(struct record_file *f, bool ok, struct talc_error *err) {
    bool failed = ferror(f->stream) != 0;
    failed |= fclose(f->stream) != 0;
    if (ok && failed) ok = talc_fail_errno(err, "%s: cannot be written", f->path);
    free(f->path);
    return ok;
}

/* Takes the reference to `record`; NULL: there was no memory to make it. */
static bool write_record(struct writer *w, struct record_file *f, json_t *record, struct talc_error *err) {
    if (!record) return talc_fail(err, "primer: out of memory");
    buffer_clear(&w->line);
    bool ok = json_append_line(&w->line, record, err);
    json_decref(record);
    if (!ok) return false;
    buffer_append_char(&w->line, '\n');
    if (!buffer_ok(&w->line)) return talc_fail(err, "primer: out of memory");
    fwrite(w->line.data, 1, w->line.length, f->stream); /* errors are found when the file is closed */
    return true;
}

static bool report_progress(const struct writer *w, const char *what, size_t n_done, size_t n_total,
                            struct talc_error *err) {
    if (!w->progress || (n_done % 256 != 0 && n_done != n_total)) return true;
    return w->progress->report(w->progress->context, what, n_done, n_total) ||
           talc_fail(err, "stopped; %s was not made", w->folder.path);
}

/* What tests must not share with what is trained on. */
static bool remember_words(struct writer *w, struct talc_error *err) {
    hash_set_add_sequences(&w->sequences, &w->words, OVERLAP_WORDS);
    hash_set_add_sequences(&w->vocabulary, &w->words, 1); /* names have one or two words */
    hash_set_add_sequences(&w->vocabulary, &w->words, 2);
    if (w->words.failed || w->sequences.failed || w->vocabulary.failed) return talc_fail(err, "primer: out of memory");
    return true;
}

/* ---- texts ----------------------------------------------------------------------------------- */

enum { MAKE_BIO, MAKE_STORY, MAKE_NOTE };

static void plan_texts(const struct writer *w, int bios_each, int n_bios, int n_texts, struct job_list *jobs) {
    job_add_many(jobs, MAKE_BIO, w->options.n_entities, bios_each);
    for (int i = 0; i < n_bios; i++) job_add(jobs, MAKE_BIO, i);
    for (int i = 0; i < n_texts; i++) job_add(jobs, i % 5 < 3 ? MAKE_STORY : MAKE_NOTE, 0);
}

static bool write_texts(struct writer *w, const char *name, enum stream stream, struct job_list *jobs, size_t *n_bytes,
                        struct talc_error *err) {
    struct record_file f = {0};
    if (jobs->failed) return talc_fail(err, "primer: out of memory");
    if (!record_file_open(w, &f, name, err)) return false;
    jobs_shuffle(w, stream, jobs);
    bool ok = true;
    for (size_t i = 0; i < jobs->n && ok; i++) {
        struct rng rng = job_rng(w, stream, &jobs->items[i]);
        buffer_clear(&w->text);
        if (jobs->items[i].make == MAKE_BIO)
            prose_append_bio(&w->world, (int)jobs->items[i].subject, &rng, &w->text);
        else
            (jobs->items[i].make == MAKE_STORY ? prose_append_story : prose_append_note)(&rng, &w->text);
        ok = buffer_ok(&w->text) ? write_record(w, &f, json_pack("{s:s}", "text", w->text.data), err)
                                 : talc_fail(err, "primer: out of memory");
        if (!ok) break;
        *n_bytes += w->text.length;
        word_list_clear(&w->words);
        word_list_append(&w->words, w->text.data, w->text.length);
        if (stream != STREAM_VALID) ok = remember_words(w, err);
        ok = ok && report_progress(w, name, i + 1, jobs->n, err);
    }
    return record_file_close(&f, ok, err);
}

static bool make_texts(struct writer *w, struct talc_error *err) {
    const struct primer_options *o = &w->options;
    int n_texts = (int)lround(o->n_texts * o->scale), replayed = (o->bios + REPLAY_SHARE - 1) / REPLAY_SHARE;
    int n_valid = o->n_entities < N_VALID_BIOS ? o->n_entities : N_VALID_BIOS;
    struct job_list pretrain = {0}, replay = {0}, valid = {0};
    size_t valid_bytes = 0;
    plan_texts(w, o->bios, 0, n_texts, &pretrain);
    plan_texts(w, replayed, 0, n_texts / REPLAY_SHARE, &replay);
    plan_texts(w, 0, n_valid, N_VALID_TEXTS, &valid);
    bool ok = write_texts(w, "pretrain.jsonl", STREAM_PRETRAIN, &pretrain, &w->report.pretrain_bytes, err) &&
              write_texts(w, "replay.jsonl", STREAM_REPLAY, &replay, &w->report.replay_bytes, err) &&
              write_texts(w, "valid.jsonl", STREAM_VALID, &valid, &valid_bytes, err);
    w->report.n_texts = pretrain.n;
    w->report.n_replayed = replay.n;
    free(pretrain.items);
    free(replay.items);
    free(valid.items);
    return ok;
}

/* ---- chats ----------------------------------------------------------------------------------- */

enum { CHAT_FACT, CHAT_LIST, CHAT_ACQUAINTANCE, CHAT_CODE, CHAT_MEMORY, CHAT_OUTLINE, CHAT_TALK, CHAT_UNKNOWN };
static const struct skill *const chat_skills[] = {
    [CHAT_FACT] = &skill_fact, [CHAT_LIST] = &skill_list,       [CHAT_ACQUAINTANCE] = &skill_acquaintance,
    [CHAT_CODE] = &skill_code, [CHAT_MEMORY] = &skill_memory,   [CHAT_OUTLINE] = &skill_outline,
    [CHAT_TALK] = &skill_talk, [CHAT_UNKNOWN] = &skill_unknown,
};

static void plan_chats(const struct writer *w, struct job_list *jobs) {
    const struct primer_options *o = &w->options;
    job_add_many(jobs, CHAT_FACT, o->n_entities * N_ATTRIBUTES, o->exposures);
    job_add_many(jobs, CHAT_LIST, o->n_entities, o->exposures * 5 / 2); /* what they hold varies most */
    job_add_many(jobs, CHAT_ACQUAINTANCE, o->n_entities, ACQUAINTANCES);
    job_add_many(jobs, CHAT_CODE, 1, (int)lround(N_CODE * o->scale));
    job_add_many(jobs, CHAT_MEMORY, 1, (int)lround(N_MEMORY * o->scale));
    job_add_many(jobs, CHAT_OUTLINE, 1, (int)lround(N_OUTLINE * o->scale));
    job_add_many(jobs, CHAT_TALK, 1, (int)lround(N_TALK * o->scale));
    job_add_many(jobs, CHAT_UNKNOWN, 1, (int)(jobs->n * UNKNOWN_PERCENT / (100 - UNKNOWN_PERCENT)));
}

/* How many dialogs one conversation holds: people go on, and a question in the middle of a conversation is answered
 * like one at its beginning. */
static int draw_length(struct rng *rng) {
    uint64_t percent = rng_below(rng, 100);
    if (percent < 70) return 1;
    if (percent < 86) return 2;
    return percent < 96 ? 3 + (int)rng_below(rng, 2) : 5 + (int)rng_below(rng, 4);
}

static size_t dialog_bytes(const struct dialog *dialog) {
    size_t n = 0;
    for (int i = 0; i < dialog->n; i++) n += dialog->messages[i].length;
    return n;
}

/* The first n messages as JSON; their words go to w->words. NULL when there is no memory. */
static json_t *dialog_to_json(struct writer *w, int n) {
    json_t *messages = json_array();
    word_list_clear(&w->words);
    for (int i = 0; i < n; i++) {
        const struct buffer *m = &w->dialog.messages[i];
        json_t *message =
            buffer_ok(m) ? json_pack("{s:s, s:s}", "role", i % 2 ? "assistant" : "user", "content", m->data) : NULL;
        if (!message || json_array_append_new(messages, message) != 0) {
            json_decref(messages);
            return NULL;
        }
        word_list_append(&w->words, m->data, m->length);
    }
    return messages;
}

/* Jobs [first, *next) as one conversation: as many as were drawn, while they fit. Whoever told a name once keeps it, so
 * there is one such dialog at most. */
static bool write_chat(struct writer *w, struct record_file *f, const struct job_list *jobs, size_t first, size_t *next,
                       struct talc_error *err) {
    struct rng draws = job_rng(w, STREAM_CHATS, &jobs->items[first]);
    int length = draw_length(&draws);
    bool named = false;
    dialog_clear(&w->dialog);
    for (*next = first; *next < jobs->n && length > 0; ++*next, length--) {
        const struct job *job = &jobs->items[*next];
        bool names = job->make == CHAT_MEMORY;
        if (*next > first &&
            ((named && names) || w->dialog.n + LONGEST_DIALOG > MAX_TURNS || dialog_bytes(&w->dialog) > CHAT_BYTES))
            break;
        struct rng rng = *next > first ? job_rng(w, STREAM_CHATS, job) : draws;
        named |=
            chat_skills[job->make]->add(&w->world, (int)job->subject, SPLIT_TRAIN, &rng, &w->dialog, NULL) && names;
    }
    if (w->dialog.n == 0) return true; /* nothing of its only subject may be trained on */
    json_t *messages = dialog_to_json(w, w->dialog.n);
    if (!write_record(w, f, messages ? json_pack("{s:o}", "messages", messages) : NULL, err)) return false;
    w->report.chats_bytes += dialog_bytes(&w->dialog);
    w->report.n_dialogs++;
    return remember_words(w, err);
}

static bool make_chats(struct writer *w, struct talc_error *err) {
    struct record_file f = {0};
    if (!record_file_open(w, &f, "chats.jsonl", err)) return false;
    struct job_list jobs = {0};
    plan_chats(w, &jobs);
    bool ok = !jobs.failed || talc_fail(err, "primer: out of memory");
    if (ok) jobs_shuffle(w, STREAM_CHATS, &jobs);
    for (size_t i = 0, next; i < jobs.n && ok; i = next) {
        ok = write_chat(w, &f, &jobs, i, &next, err) && report_progress(w, "chats.jsonl", next, jobs.n, err);
    }
    free(jobs.items);
    return record_file_close(&f, ok, err);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static bool name_is_new(struct writer *w, const char *name) {
    word_list_clear(&w->name);
    word_list_append(&w->name, name, strlen(name));
    return !hash_set_has(&w->vocabulary, word_sequence_hash(w->name.words, w->name.n));
}

/* What is held out is new by construction; what is left are eight words that come together by chance, a drawn
 * name that is a word of some sentence, and the same prompt twice. */
static bool test_is_new(struct writer *w, const json_t *check) {
    static const char *const names[] = {"name", "thing", "function"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *name = json_string_value(json_object_get(check, names[i]));
        if (name && !name_is_new(w, name)) return false;
    }
    if (hash_set_has_sequence(&w->sequences, &w->words, OVERLAP_WORDS)) return false;
    return hash_set_add(&w->prompts, word_sequence_hash(w->words.words, w->words.n));
}

static bool write_test(struct writer *w, struct record_file *f, const struct skill *skill, struct rng *rng,
                       struct talc_error *err) {
    int n_subjects = w->options.n_entities * (skill == &skill_fact ? N_ATTRIBUTES : 1);
    for (int draw = 0; draw < MAX_TEST_DRAWS; draw++) {
        dialog_clear(&w->dialog);
        json_t *check = json_pack("{s:s}", "type", skill->name);
        if (!check) return talc_fail(err, "primer: out of memory");
        if (!skill->add(&w->world, (int)rng_below(rng, (uint64_t)n_subjects), SPLIT_TEST, rng, &w->dialog, check)) {
            json_decref(check);
            continue;
        }
        json_t *messages = dialog_to_json(w, w->dialog.n - 1);
        const struct buffer *answer = &w->dialog.messages[w->dialog.n - 1];
        if (!messages || !buffer_ok(answer) || w->words.failed || w->name.failed) {
            json_decref(check);
            json_decref(messages);
            return talc_fail(err, "primer: out of memory");
        }
        if (test_is_new(w, check)) {
            json_t *record = json_pack("{s:s, s:o, s:s, s:o}", "skill", skill->name, "messages", messages, "answer",
                                       answer->data, "check", check);
            return write_record(w, f, record, err);
        }
        json_decref(check);
        json_decref(messages);
    }
    return talc_fail(err,
                     "primer: no more prompts for the skill \"%s\" that training does not have; ask for fewer tests",
                     skill->name);
}

static bool make_tests(struct writer *w, struct talc_error *err) {
    struct record_file f = {0};
    if (!record_file_open(w, &f, "eval.jsonl", err)) return false;
    bool ok = true;
    size_t n_skills = 0;
    while (skills_tested[n_skills]) n_skills++;
    for (size_t s = 0; s < n_skills && ok; s++) {
        struct rng rng = rng_make(w->options.seed, (uint64_t)STREAM_TESTS << 40 | (uint64_t)s);
        for (int i = 0; i < w->options.n_tests && ok; i++)
            ok = write_test(w, &f, skills_tested[s], &rng, err) &&
                 report_progress(w, "eval.jsonl", ++w->report.n_tests, n_skills * (size_t)w->options.n_tests, err);
    }
    return record_file_close(&f, ok, err);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool make_world(struct writer *w, struct talc_error *err) {
    struct record_file f = {0};
    if (!record_file_open(w, &f, "world.jsonl", err)) return false;
    bool ok = true;
    for (int e = 0; e < w->world.n_entities && ok; e++) {
        json_t *facts = json_array();
        for (int a = 0; a < N_ATTRIBUTES; a++) {
            buffer_clear(&w->text);
            world_append_fact(&w->world, e, a, &w->text);
            json_array_append_new(facts, buffer_ok(&w->text) ? json_string(w->text.data) : NULL);
        }
        const struct entity *entity = &w->world.entities[e];
        ok = write_record(w, &f,
                          json_pack("{s:s, s:s, s:o}", "name", entity->name, "kind", primer_kinds[entity->kind]->noun,
                                    "facts", facts),
                          err);
    }
    return record_file_close(&f, ok, err);
}

static bool check_options(const struct primer_options *o, struct talc_error *err) {
    const struct {
        const char *name;
        int value, min, max;
    } ranges[] = {{"entities", o->n_entities, 20, 20000},
                  {"exposures", o->exposures, 1, 200},
                  {"bios", o->bios, 1, 200},
                  {"texts", o->n_texts, 0, 1000000},
                  {"tests", o->n_tests, 1, 2000}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (ranges[i].value < ranges[i].min || ranges[i].value > ranges[i].max)
            return talc_fail(err, "primer: %d %s; give a number from %d to %d", ranges[i].value, ranges[i].name,
                             ranges[i].min, ranges[i].max);
    if (!(o->scale >= 0.01 && o->scale <= 100))
        return talc_fail(err, "primer: a scale of %g; give a number from 0.01 to 100", o->scale);
    return true;
}

bool primer_write(const struct primer_options *options, const char *folder, const struct primer_progress *progress,
                  struct primer_report *report, struct talc_error *err) {
    static const char *const names[] = {"pretrain.jsonl", "replay.jsonl", "valid.jsonl", "chats.jsonl",
                                        "eval.jsonl",     "world.jsonl",  NULL};
    static const struct folder_kind kind = {"world.jsonl", "\"facts\"", names, .replaced = true};
    if (!check_options(options, err)) return false;
    struct writer w = {.options = *options, .progress = progress};
    if (!world_open(&w.world, options->seed, options->n_entities, err)) return false;
    bool ok = atomic_folder_open(&w.folder, folder, &kind, err);
    if (ok) {
        ok = make_world(&w, err) && make_texts(&w, err) && make_chats(&w, err) && make_tests(&w, err);
        if (ok)
            ok = atomic_folder_commit(&w.folder, err);
        else
            atomic_folder_abort(&w.folder);
    }
    if (ok && report) *report = w.report;
    world_close(&w.world);
    dialog_free(&w.dialog);
    buffer_free(&w.line);
    buffer_free(&w.text);
    word_list_free(&w.words);
    word_list_free(&w.name);
    hash_set_free(&w.sequences);
    hash_set_free(&w.vocabulary);
    hash_set_free(&w.prompts);
    return ok;
}
