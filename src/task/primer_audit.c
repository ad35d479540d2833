/* primer_audit.c - does training give anything away that the tests of a primer folder ask for? Everything is read from
 * the files alone: what the generator meant to hold out plays no part. Tests are read first and say what to look for;
 * the training files are then read once, and what they have of it is noted. See primer.h. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "data/chat_reader.h"
#include "file/atomic.h"
#include "task/checker.h"
#include "task/primer.h"
#include "task/primer_lines.h"
#include "task/primer_words.h"

enum { MAX_SOUGHT_WORDS = 64, MAX_MARKS = 32 };
/* No words of any text: the byte does not start a character. */
static const char mark_word[] = "\x80mark", message_end[] = "\x80"
                                                            "end";

/* ---- sequences of words that are looked for -------------------------------------------------- */

struct sought {
    struct hash_set wanted, found;
    bool lengths[MAX_SOUGHT_WORDS + 1];
};

static void sought_add(struct sought *s, const uint64_t *words, size_t n) {
    if (n == 0 || n > MAX_SOUGHT_WORDS) return;
    s->lengths[n] = true;
    hash_set_add(&s->wanted, word_sequence_hash(words, n));
}

static void sought_scan(struct sought *s, const struct word_list *text) {
    for (size_t n = 1; n <= MAX_SOUGHT_WORDS; n++)
        for (size_t i = 0; s->lengths[n] && i + n <= text->n; i++) {
            uint64_t hash = word_sequence_hash(text->words + i, n);
            if (hash_set_has(&s->wanted, hash)) hash_set_add(&s->found, hash);
        }
}

static bool sought_has(const struct sought *s, const uint64_t *words, size_t n) {
    return n > 0 && hash_set_has(&s->found, word_sequence_hash(words, n));
}

static void sought_free(struct sought *s) {
    hash_set_free(&s->wanted);
    hash_set_free(&s->found);
}

/* ---- what stands out in a record ------------------------------------------------------------- */

struct marks {
    struct word_list words[MAX_MARKS];
    bool is_name[MAX_MARKS]; /* a name to remember, an unknown thing, a function; not a topic */
    int n;
};

/* One test or one training text. */
struct record {
    struct word_list words, messages; /* of all that is shown; with a word between messages */
    struct word_list first, last;     /* of the first and last message of the user */
    struct marks marks;               /* names and topics that the answers give */
    struct word_list masked, masked_first, masked_last;
    struct hash_set topics, lists, functions; /* that the answers hold */
    bool failed;                              /* there was no memory for some record */
};

enum { RECORD_LISTS = 7 + MAX_MARKS, RECORD_SETS = 3 };
static void record_parts(struct record *r, struct word_list *lists[RECORD_LISTS], struct hash_set *sets[RECORD_SETS]) {
    struct word_list *all[] = {&r->words,  &r->messages,     &r->first,      &r->last,
                               &r->masked, &r->masked_first, &r->masked_last};
    for (int i = 0; i < RECORD_LISTS; i++) lists[i] = i < 7 ? all[i] : &r->marks.words[i - 7];
    sets[0] = &r->topics, sets[1] = &r->lists, sets[2] = &r->functions;
}

static bool record_failed(struct record *r) {
    struct word_list *lists[RECORD_LISTS];
    struct hash_set *sets[RECORD_SETS];
    record_parts(r, lists, sets);
    for (int i = 0; i < RECORD_LISTS; i++) r->failed |= lists[i]->failed;
    for (int i = 0; i < RECORD_SETS; i++) r->failed |= sets[i]->failed;
    return r->failed;
}

static void record_clear(struct record *r) {
    struct word_list *lists[RECORD_LISTS];
    struct hash_set *sets[RECORD_SETS];
    record_failed(r); /* which the sets forget */
    record_parts(r, lists, sets);
    for (int i = 0; i < RECORD_LISTS; i++) word_list_clear(lists[i]);
    for (int i = 0; i < RECORD_SETS; i++) hash_set_free(sets[i]);
    r->marks.n = 0;
}

static void record_free(struct record *r) {
    struct word_list *lists[RECORD_LISTS];
    struct hash_set *sets[RECORD_SETS];
    record_parts(r, lists, sets);
    for (int i = 0; i < RECORD_LISTS; i++) word_list_free(lists[i]);
    for (int i = 0; i < RECORD_SETS; i++) hash_set_free(sets[i]);
}

static void marks_add(struct marks *marks, const char *text, size_t n_bytes, bool is_name) {
    if (marks->n == MAX_MARKS) return;
    struct word_list *words = &marks->words[marks->n];
    word_list_append(words, text, n_bytes);
    if (words->n > 0) marks->is_name[marks->n++] = is_name;
}

static uint64_t hash_bytes(const char *text, size_t n, uint64_t h) {
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
    return h;
}

/* The lines of a list in any order: their hashes are added up. */
static uint64_t list_key(const char *text) {
    uint64_t sum = 0;
    while (*text) {
        size_t n = strcspn(text, "\n");
        uint64_t h = hash_bytes(text, n, 0xcbf29ce484222325u);
        sum += (h ^ h >> 29) * 0xbf58476d1ce4e5b9u;
        text += n + (text[n] == '\n');
    }
    return sum;
}

/* What an answer tells by its form: how it starts, and where what follows ends. */
static const struct form {
    const char *start, *stop;
    enum { FORM_NAME, FORM_TOPIC, FORM_FUNCTION, FORM_LIST } form;
} forms[] = {
    {"I do not know ", ".", FORM_NAME},      {"Nice to meet you, ", ".", FORM_NAME},
    {"Your name is ", ".", FORM_NAME},       {"# On ", "\n", FORM_TOPIC},
    {"```c\nint ", "(", FORM_FUNCTION},      {"```c\nvoid ", "(", FORM_FUNCTION},
    {"```python\ndef ", "(", FORM_FUNCTION}, {"- ", "", FORM_LIST},
};

static void record_add_answer(struct record *r, const char *text) {
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        const struct form *f = &forms[i];
        if (strncmp(text, f->start, strlen(f->start)) != 0) continue;
        const char *middle = text + strlen(f->start);
        size_t n = strcspn(middle, f->stop);
        if (f->form == FORM_NAME && islower((unsigned char)*middle)) return; /* "I do not know that." names nothing */
        if (f->form == FORM_LIST) {
            hash_set_add(&r->lists, list_key(text));
        } else {
            marks_add(&r->marks, middle, n, f->form != FORM_TOPIC);
            if (f->form == FORM_TOPIC) hash_set_add(&r->topics, hash_bytes(middle, n, 0));
            if (f->form == FORM_FUNCTION) /* the same function whatever it is called */
                hash_set_add(&r->functions, hash_bytes(middle + n, strlen(middle + n), i));
        }
        return;
    }
}

/* Every name of the world, and every mark of the record, becomes one word. */
static void mask(const struct word_list *words, const struct marks *marks, const struct hash_set *world,
                 struct word_list *out) {
    for (size_t i = 0; i < words->n;) {
        size_t skip = hash_set_has(world, words->words[i]);
        for (int m = 0; m < marks->n; m++) {
            const struct word_list *mark = &marks->words[m];
            if (mark->n > skip && mark->n <= words->n - i &&
                memcmp(mark->words, words->words + i, mark->n * sizeof *words->words) == 0)
                skip = mark->n;
        }
        size_t at = out->n;
        word_list_append(out, mark_word, strlen(mark_word));
        if (skip == 0 && out->n > at) out->words[at] = words->words[i];
        i += skip ? skip : 1;
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

struct auditor {
    struct hash_set world; /* words of the names of the world's things */
    struct sought sequences, prompts, frames, names;
    struct hash_set topics, lists, functions, seen; /* of training; prompts of tests */
    struct record record;
    struct primer_audit *audit;
};

/* `shown`: how many of the messages are prompt (the others are answer). */
static void record_read(struct auditor *a, const json_t *messages, size_t shown, const char *answer) {
    struct record *r = &a->record;
    record_clear(r);
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *message = json_array_get(messages, i), *content = json_object_get(message, "content");
        const char *role = json_string_value(json_object_get(message, "role")), *text = json_string_value(content);
        if (!text || !role) continue;
        size_t n_bytes = json_string_length(content);
        if (i < shown) {
            word_list_append(&r->words, text, n_bytes);
            word_list_append(&r->messages, text, n_bytes);
            word_list_append(&r->messages, message_end, strlen(message_end));
        }
        if (strcmp(role, "assistant") == 0) {
            record_add_answer(r, text);
        } else if (i < shown) {
            if (r->first.n == 0) word_list_append(&r->first, text, n_bytes);
            word_list_clear(&r->last);
            word_list_append(&r->last, text, n_bytes);
        }
    }
    if (answer) record_add_answer(r, answer);
    mask(&r->messages, &r->marks, &a->world, &r->masked);
    mask(&r->first, &r->marks, &a->world, &r->masked_first);
    mask(&r->last, &r->marks, &a->world, &r->masked_last);
}

static bool out_of_memory(struct auditor *a, struct talc_error *err) {
    const struct sought *s[] = {&a->sequences, &a->prompts, &a->frames, &a->names};
    bool failed = a->topics.failed || a->lists.failed || a->functions.failed || a->seen.failed || a->world.failed;
    for (size_t i = 0; i < sizeof s / sizeof s[0]; i++) failed |= s[i]->wanted.failed || s[i]->found.failed;
    failed |= record_failed(&a->record);
    return failed && !talc_fail(err, "primer: out of memory while comparing tests with training");
}

static bool add_world_name(void *context, json_t *object, const char *where, struct talc_error *err) {
    struct auditor *a = context;
    const char *name;
    if (!json_get_string(object, "name", NULL, &name, err)) return talc_fail_in(err, "%s", where);
    if (!name) return talc_fail(err, "%s: a thing without a \"name\"", where);
    hash_set_add(&a->world, word_hash(name));
    return true;
}

/* ---- tests: what to look for, and then what was found ---------------------------------------- */

static void seek_test(struct auditor *a) {
    const struct record *r = &a->record;
    for (size_t i = 0; i + OVERLAP_WORDS <= r->words.n; i++)
        sought_add(&a->sequences, r->words.words + i, OVERLAP_WORDS);
    sought_add(&a->prompts, r->last.words, r->last.n);
    sought_add(&a->frames, r->masked_last.words, r->masked_last.n);
    sought_add(&a->frames, r->masked_first.words, r->masked_first.n);
    for (int i = 0; i < r->marks.n; i++)
        if (r->marks.is_name[i]) sought_add(&a->names, r->marks.words[i].words, r->marks.words[i].n);
}

static bool sets_meet(const struct hash_set *a, const struct hash_set *b) {
    for (size_t i = 0; i < a->n_slots; i++)
        if (a->slots[i] && hash_set_has(b, a->slots[i])) return true;
    return false;
}

static void count_test(struct auditor *a) {
    const struct record *r = &a->record;
    struct primer_audit *audit = a->audit;
    bool sequence = false, name = false;
    for (size_t i = 0; i + OVERLAP_WORDS <= r->words.n; i++)
        sequence |= sought_has(&a->sequences, r->words.words + i, OVERLAP_WORDS);
    for (int i = 0; i < r->marks.n; i++)
        name |= r->marks.is_name[i] && sought_has(&a->names, r->marks.words[i].words, r->marks.words[i].n);
    audit->n_tests++;
    audit->sequences += sequence;
    audit->names += name;
    audit->prompts += sought_has(&a->prompts, r->last.words, r->last.n);
    audit->frames += sought_has(&a->frames, r->masked_last.words, r->masked_last.n) ||
                     sought_has(&a->frames, r->masked_first.words, r->masked_first.n);
    audit->topics += sets_meet(&r->topics, &a->topics);
    audit->lists += sets_meet(&r->lists, &a->lists);
    audit->functions += sets_meet(&r->functions, &a->functions);
    audit->duplicates += !hash_set_add(&a->seen, word_sequence_hash(r->words.words, r->words.n));
}

static bool each_test(struct auditor *a, const struct checker *tests, void (*use)(struct auditor *a),
                      struct talc_error *err) {
    for (size_t i = 0; i < tests->n_items; i++) {
        const struct checker_item *item = &tests->items[i];
        record_read(a, item->messages, json_array_size(item->messages), item->answer);
        use(a);
    }
    return !out_of_memory(a, err);
}

/* ---- training -------------------------------------------------------------------------------- */

static void add_all(struct hash_set *to, const struct hash_set *from) {
    for (size_t i = 0; i < from->n_slots; i++)
        if (from->slots[i]) hash_set_add(to, from->slots[i]);
}

static void scan_training(struct auditor *a) {
    const struct record *r = &a->record;
    sought_scan(&a->sequences, &r->words);
    sought_scan(&a->prompts, &r->messages);
    sought_scan(&a->frames, &r->masked);
    sought_scan(&a->names, &r->words);
    add_all(&a->topics, &r->topics);
    add_all(&a->lists, &r->lists);
    add_all(&a->functions, &r->functions);
    a->audit->n_training++;
}

static bool scan_file(struct auditor *a, const char *folder, const char *name, const volatile sig_atomic_t *stop,
                      struct talc_error *err) {
    char *path = path_join(folder, name);
    if (!path) return talc_fail(err, "out of memory");
    struct chat_reader *reader = chat_reader_open(path, stop, err);
    struct chat_record record;
    bool ok = reader != NULL;
    while (ok && (ok = chat_reader_next(reader, &record, err)) && record.where) {
        if (record.messages) {
            record_read(a, record.messages, json_array_size(record.messages), NULL);
        } else {
            record_clear(&a->record);
            word_list_append(&a->record.words, record.text, record.n_bytes);
            word_list_append(&a->record.messages, record.text, record.n_bytes);
            mask(&a->record.messages, &a->record.marks, &a->world, &a->record.masked);
        }
        scan_training(a);
    }
    chat_reader_close(reader);
    free(path);
    return ok && !out_of_memory(a, err);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool read_world_and_tests(struct auditor *a, const char *folder, struct checker *tests,
                                 const volatile sig_atomic_t *stop, struct talc_error *err) {
    char *world = path_join(folder, "world.jsonl"), *eval = path_join(folder, "eval.jsonl");
    bool ok = world && eval
                  ? json_lines_read(world, stop, add_world_name, a, err) && checker_load(tests, eval, stop, err)
                  : talc_fail(err, "out of memory");
    free(world);
    free(eval);
    return ok && each_test(a, tests, seek_test, err);
}

bool primer_audit(const char *folder, const volatile sig_atomic_t *stop, struct primer_audit *audit,
                  struct talc_error *err) {
    struct auditor *a = calloc(1, sizeof *a);
    struct checker tests = {0};
    if (!a) return talc_fail(err, "out of memory");
    a->audit = audit;
    *audit = (struct primer_audit){0};
    bool ok = read_world_and_tests(a, folder, &tests, stop, err) && scan_file(a, folder, "pretrain.jsonl", stop, err) &&
              scan_file(a, folder, "replay.jsonl", stop, err) && scan_file(a, folder, "chats.jsonl", stop, err) &&
              each_test(a, &tests, count_test, err);
    checker_free(&tests);
    record_free(&a->record);
    struct sought *sought[] = {&a->sequences, &a->prompts, &a->frames, &a->names};
    for (size_t i = 0; i < sizeof sought / sizeof sought[0]; i++) sought_free(sought[i]);
    struct hash_set *sets[] = {&a->world, &a->topics, &a->lists, &a->functions, &a->seen};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) hash_set_free(sets[i]);
    free(a);
    return ok;
}

size_t primer_audit_total(const struct primer_audit *audit) {
    return audit->sequences + audit->prompts + audit->frames + audit->names + audit->topics + audit->lists +
           audit->functions + audit->duplicates;
}
