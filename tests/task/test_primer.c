/* The primer: the same seed gives the same bytes, tests share nothing with training, every fact is taught. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "data/chat_reader.h"
#include "file/atomic.h"
#include "task/checker.h"
#include "task/primer.h"
#include "task/primer_phrases.h"
#include "task/primer_prose.h"
#include "task/primer_words.h"
#include "task/skill.h"

static const struct primer_options small = {
    .seed = 7, .n_entities = 40, .exposures = 3, .bios = 4, .n_texts = 400, .n_tests = 25, .scale = 0.05};

struct folder {
    char path[64];
};

static void write_small(struct folder *f, uint64_t seed) {
    struct talc_error err = {0};
    struct primer_options options = small;
    options.seed = seed;
    strcpy(f->path, "/tmp/talc-test-primer-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    if (!primer_write(&options, f->path, NULL, NULL, &err)) fail_msg("%s", err.message);
}

static int setup(void **state) {
    struct folder *f = malloc(sizeof *f);
    write_small(f, small.seed);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct folder *f = *state;
    assert_true(folder_remove(f->path, NULL));
    free(f);
    return 0;
}

static char *read_file(const struct folder *f, const char *name, size_t *n_bytes) {
    char *path = path_join(f->path, name);
    char *text = file_read(path, (size_t)64 << 20, n_bytes, NULL);
    assert_non_null(text);
    free(path);
    return text;
}

static const char *const files[] = {"pretrain.jsonl", "replay.jsonl", "valid.jsonl",
                                    "chats.jsonl",    "eval.jsonl",   "world.jsonl"};
enum { N_FILES = sizeof files / sizeof files[0] };

static void same_seed_gives_same_bytes(void **state) {
    struct folder again;
    write_small(&again, small.seed);
    for (int i = 0; i < N_FILES; i++) {
        size_t n, n_again;
        char *a = read_file(*state, files[i], &n), *b = read_file(&again, files[i], &n_again);
        assert_int_equal(n, n_again);
        assert_memory_equal(a, b, n);
        free(a);
        free(b);
    }
    assert_true(folder_remove(again.path, NULL));
}

static void another_seed_gives_another_world(void **state) {
    struct folder other;
    write_small(&other, small.seed + 1);
    for (int i = 0; i < N_FILES; i++) {
        size_t n, n_other;
        char *a = read_file(*state, files[i], &n), *b = read_file(&other, files[i], &n_other);
        assert_true(n != n_other || memcmp(a, b, n) != 0);
        free(a);
        free(b);
    }
    assert_true(folder_remove(other.path, NULL));
}

/* ---- the audit ------------------------------------------------------------------------------- */

static struct primer_audit audit_of(const struct folder *f) {
    struct talc_error err = {0};
    struct primer_audit audit;
    if (!primer_audit(f->path, NULL, &audit, &err)) fail_msg("%s", err.message);
    return audit;
}

static void tests_share_nothing_with_training(void **state) {
    struct primer_audit audit = audit_of(*state);
    assert_int_equal(audit.n_tests, 6 * small.n_tests);
    assert_true(audit.n_training > 1000);
    assert_int_equal(primer_audit_total(&audit), 0);
}

/* The first test of a skill. */
static const struct checker_item *test_of(const struct checker *tests, const char *skill) {
    for (size_t i = 0; i < tests->n_items; i++)
        if (strcmp(tests->items[i].skill, skill) == 0) return &tests->items[i];
    fail_msg("no test of %s", skill);
    return NULL;
}

/* Adds one chat to the training of a copy of the corpus and audits that. */
static struct primer_audit audit_with(const struct folder *f, const char *prompt, const char *answer) {
    size_t n_bytes;
    char *chats = read_file(f, "chats.jsonl", &n_bytes), *path = path_join(f->path, "chats.jsonl");
    struct buffer text = {0};
    json_t *chat = json_pack("{s:[{s:s, s:s}, {s:s, s:s}]}", "messages", "role", "user", "content", prompt, "role",
                             "assistant", "content", answer);
    buffer_append(&text, chats, n_bytes);
    assert_true(json_append_line(&text, chat, NULL));
    assert_true(atomic_write_file(path, text.data, text.length, NULL));
    struct primer_audit audit = audit_of(f);
    assert_true(atomic_write_file(path, chats, n_bytes, NULL));
    json_decref(chat);
    buffer_free(&text);
    free(chats);
    free(path);
    return audit;
}

static const char *last_prompt(const struct checker_item *item) {
    const json_t *last = json_array_get(item->messages, json_array_size(item->messages) - 1);
    return json_string_value(json_object_get(last, "content"));
}

static struct checker load_tests(const struct folder *f) {
    struct checker tests;
    struct talc_error err = {0};
    char *path = path_join(f->path, "eval.jsonl");
    if (!checker_load(&tests, path, NULL, &err)) fail_msg("%s", err.message);
    free(path);
    return tests;
}

static void planted_prompts_are_found(void **state) {
    struct checker tests = load_tests(*state);
    for (size_t i = 0; i < tests.n_items; i += 10) {
        struct primer_audit audit = audit_with(*state, last_prompt(&tests.items[i]), "Yes.");
        assert_true(audit.prompts > 0);
    }
    checker_free(&tests);
}

static void planted_sequences_are_found(void **state) {
    struct checker tests = load_tests(*state);
    const char *prompt = last_prompt(test_of(&tests, "code"));
    struct buffer middle = {0}; /* eight words of the prompt, within other words */
    struct word_list words = {0};
    word_list_append(&words, prompt, strlen(prompt));
    assert_true(words.n >= OVERLAP_WORDS);
    buffer_printf(&middle, "Some say: %s And so on", prompt);
    struct primer_audit audit = audit_with(*state, middle.data, "Yes.");
    assert_true(audit.sequences > 0);
    buffer_free(&middle);
    word_list_free(&words);
    checker_free(&tests);
}

/* `from` with every `old` replaced. */
static char *replaced(const char *from, const char *old, const char *new) {
    struct buffer out = {0};
    for (const char *at; (at = strstr(from, old)); from = at + strlen(old)) {
        buffer_append(&out, from, (size_t)(at - from));
        buffer_append_text(&out, new);
    }
    buffer_append_text(&out, from);
    return out.data;
}

static void planted_frames_are_found_under_other_names(void **state) {
    struct checker tests = load_tests(*state);
    const struct checker_item *item = test_of(&tests, "unknown");
    char *prompt = replaced(last_prompt(item), json_string_value(json_object_get(item->check, "thing")), "Qarx");
    struct primer_audit audit = audit_with(*state, prompt, "I do not know Qarx.");
    assert_true(audit.frames > 0);
    assert_int_equal(audit.names, 0);
    free(prompt);
    checker_free(&tests);
}

static void planted_names_are_found(void **state) {
    static const char *const keys[][2] = {{"memory", "name"}, {"unknown", "thing"}, {"code", "function"}};
    struct checker tests = load_tests(*state);
    for (int i = 0; i < 3; i++) {
        const char *name = json_string_value(json_object_get(test_of(&tests, keys[i][0])->check, keys[i][1]));
        struct primer_audit audit = audit_with(*state, name, "Yes.");
        assert_true(audit.names > 0);
    }
    checker_free(&tests);
}

static void planted_topics_lists_and_functions_are_found(void **state) {
    struct checker tests = load_tests(*state);
    assert_true(audit_with(*state, "Go.", test_of(&tests, "outline")->answer).topics > 0);
    assert_true(audit_with(*state, "Go.", test_of(&tests, "list")->answer).lists > 0);
    const struct checker_item *code = test_of(&tests, "code");
    char *renamed = replaced(code->answer, json_string_value(json_object_get(code->check, "function")), "other");
    struct primer_audit audit = audit_with(*state, "Go.", renamed);
    assert_true(audit.functions > 0);
    assert_int_equal(audit.names, 0);
    free(renamed);
    checker_free(&tests);
}

static void an_audit_of_nothing_fails(void **state) {
    (void)state;
    struct primer_audit audit;
    struct talc_error err = {0};
    assert_false(primer_audit("/tmp/talc-no-such-folder", NULL, &audit, &err));
    assert_non_null(strstr(err.message, "world.jsonl"));
}

/* ---- what is taught -------------------------------------------------------------------------- */

static void every_fact_is_asked_for_often_enough(void **state) {
    const struct folder *f = *state;
    struct world world;
    assert_true(world_open(&world, small.seed, small.n_entities, NULL));
    int n_facts = small.n_entities * N_ATTRIBUTES, *asked = calloc((size_t)n_facts, sizeof *asked);
    char **sentences = calloc((size_t)n_facts, sizeof *sentences);
    for (int i = 0; i < n_facts; i++) {
        struct buffer fact = {0};
        world_append_fact(&world, i / N_ATTRIBUTES, i % N_ATTRIBUTES, &fact);
        sentences[i] = fact.data;
    }
    char *path = path_join(f->path, "chats.jsonl");
    struct chat_reader *reader = chat_reader_open(path, NULL, NULL);
    struct chat_record record;
    while (chat_reader_next(reader, &record, NULL) && record.where) {
        for (size_t m = 1; m < json_array_size(record.messages); m += 2) {
            const char *answer = json_string_value(json_object_get(json_array_get(record.messages, m), "content"));
            for (int i = 0; i < n_facts; i++) asked[i] += strcmp(answer, sentences[i]) == 0;
        }
    }
    for (int i = 0; i < n_facts; i++) {
        if (asked[i] < small.exposures) fail_msg("%s asked for %d times", sentences[i], asked[i]);
        free(sentences[i]);
    }
    chat_reader_close(reader);
    free(path);
    free(asked);
    free(sentences);
    world_close(&world);
}

static void dialogs_alternate_and_are_short(void **state) {
    const struct folder *f = *state;
    char *path = path_join(f->path, "chats.jsonl");
    struct chat_reader *reader = chat_reader_open(path, NULL, NULL);
    struct chat_record record;
    size_t longest = 0;
    while (chat_reader_next(reader, &record, NULL) && record.where) {
        size_t n = json_array_size(record.messages), n_bytes = 0;
        assert_true(n >= 2 && n % 2 == 0);
        for (size_t i = 0; i < n; i++) {
            const json_t *message = json_array_get(record.messages, i);
            const char *text = json_string_value(json_object_get(message, "content"));
            const char *role = json_string_value(json_object_get(message, "role"));
            assert_string_equal(role, i % 2 ? "assistant" : "user");
            struct word_list words = {0};
            word_list_append(&words, text, strlen(text));
            if (i % 2 == 0 && (words.n > 27 || strchr(text, '{'))) fail_msg("%s", text);
            assert_true(words.n > 0);
            word_list_free(&words);
            n_bytes += strlen(text);
        }
        assert_true(n_bytes < 1000); /* fits in a context of 512 tokens */
        longest = n > longest ? n : longest;
    }
    assert_true(longest >= 10); /* some conversations are long */
    chat_reader_close(reader);
    free(path);
}

static void a_corpus_has_the_planned_shares(void **state) {
    (void)state;
    struct primer_options options = primer_defaults();
    struct primer_report r;
    char path[] = "/tmp/talc-test-primer-XXXXXX";
    options.n_entities = 100;
    options.scale = 0.2;
    assert_non_null(mkdtemp(path));
    assert_true(primer_write(&options, path, NULL, &r, NULL));
    double total = (double)(r.pretrain_bytes + r.chats_bytes), share = (double)r.pretrain_bytes / total;
    assert_true(total > 0.2 * 15e6 && total < 0.2 * 20e6);
    assert_true(share > 0.25 && share < 0.35);
    assert_int_equal(r.n_tests, 6 * 200);
    assert_true(folder_remove(path, NULL));
}

/* Of the 20 things of seed 30, Kealtgrol has no set of facts that is held out. */
static void a_thing_without_a_held_out_list_is_passed_over(void **state) {
    (void)state;
    struct primer_options options = small;
    struct folder f = {"/tmp/talc-test-primer-XXXXXX"};
    struct talc_error err = {0};
    options.seed = 30;
    options.n_entities = 20;
    assert_non_null(mkdtemp(f.path));
    alarm(60); /* rather than never */
    if (!primer_write(&options, f.path, NULL, NULL, &err)) fail_msg("%s", err.message);
    alarm(0);
    struct checker tests = load_tests(&f);
    for (size_t i = 0; i < tests.n_items; i++)
        if (strcmp(tests.items[i].skill, "list") == 0) assert_null(strstr(last_prompt(&tests.items[i]), "Kealtgrol"));
    checker_free(&tests);
    assert_true(folder_remove(f.path, NULL));
}

static bool stop_at_tests(void *context, const char *what, size_t n_done, size_t n_total) {
    *(size_t *)context = n_total;
    return strcmp(what, "eval.jsonl") != 0 || n_done < n_total;
}

static void writing_tests_can_be_stopped(void **state) {
    (void)state;
    size_t n_total = 0;
    struct primer_progress progress = {stop_at_tests, &n_total};
    struct talc_error err = {0};
    assert_false(primer_write(&small, "/tmp/talc-test-primer-never", &progress, NULL, &err));
    assert_string_equal(err.message, "stopped; /tmp/talc-test-primer-never was not made");
    assert_int_equal(n_total, 6 * small.n_tests);
    assert_false(folder_exists("/tmp/talc-test-primer-never"));
}

static void options_out_of_range_are_refused(void **state) {
    (void)state;
    struct talc_error err = {0};
    struct primer_options options = small;
    options.n_entities = 3;
    assert_false(primer_write(&options, "/tmp/talc-test-primer-never", NULL, NULL, &err));
    assert_string_equal(err.message, "primer: 3 entities; give a number from 20 to 20000");
    options = small;
    options.scale = 0;
    assert_false(primer_write(&options, "/tmp/talc-test-primer-never", NULL, NULL, &err));
    assert_false(folder_exists("/tmp/talc-test-primer-never"));
}

/* ---- phrases, prose -------------------------------------------------------------------------- */

static void a_fifth_of_the_phrases_is_held_out(void **state) {
    (void)state;
    static const char *const items[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    struct phrases set = PHRASES(items);
    int n = 0;
    for (int i = 0; i < set.n; i++) n += phrase_is_held_out(set, i);
    assert_int_equal(n, 2);
    struct rng rng = rng_make(1, 1);
    for (int i = 0; i < 500; i++) {
        const char *train = phrase_pick(set, SPLIT_TRAIN, &rng), *test = phrase_pick(set, SPLIT_TEST, &rng);
        assert_false(phrase_is_held_out(set, train[0] - 'a'));
        assert_true(phrase_is_held_out(set, test[0] - 'a'));
    }
}

static void wordings_of_an_attribute_are_many_and_differ(void **state) {
    (void)state;
    for (int k = 0; k < N_KINDS; k++)
        for (int a = 0; a < N_ATTRIBUTES; a++) {
            const struct attribute *attribute = &primer_kinds[k]->attributes[a];
            struct phrases wordings = phrases_until_null(attribute->questions, MAX_WORDINGS);
            assert_true(wordings.n >= 20);
            for (int i = 0; i < wordings.n; i++) {
                assert_non_null(strstr(wordings.items[i], "{X}"));
                for (int j = 0; j < i; j++) assert_string_not_equal(wordings.items[i], wordings.items[j]);
            }
        }
}

/* A table of phrases, and texts that teach its words too (of an attribute: nouns, answer, statements). */
struct table {
    char where[64];
    struct phrases phrases;
    const char *others[16];
    int n_others;
};
enum { MAX_TABLES = N_PHRASE_TABLES + N_KINDS * N_ATTRIBUTES };

static int collect_tables(struct table tables[MAX_TABLES]) {
    int n = 0;
    for (int i = 0; i < N_PHRASE_TABLES; i++, n++) {
        tables[n] = (struct table){.phrases = primer_phrases[i]};
        snprintf(tables[n].where, sizeof tables[n].where, "table %d", i);
    }
    for (int i = 0; i < N_KINDS * N_ATTRIBUTES; i++, n++) {
        const struct attribute *a = &primer_kinds[i / N_ATTRIBUTES]->attributes[i % N_ATTRIBUTES];
        struct table *t = &tables[n];
        *t = (struct table){.phrases = phrases_until_null(a->questions, MAX_WORDINGS)};
        snprintf(t->where, sizeof t->where, "%s, %s", primer_kinds[i / N_ATTRIBUTES]->noun, a->nouns[0]);
        t->others[t->n_others++] = a->answer;
        for (int k = 0; k < N_NOUNS; k++) t->others[t->n_others++] = a->nouns[k];
        for (int k = 0; k < N_STATEMENTS; k++) t->others[t->n_others++] = a->statements[k];
    }
    return n;
}

/* The next word outside braces, in lower case; false at the end. */
static bool next_word(const char **at, char word[32]) {
    size_t n = 0;
    for (; **at && !isalpha((unsigned char)**at); (*at)++)
        if (**at == '{') *at += strcspn(*at, "}");
    for (; isalpha((unsigned char)**at) && n < 31; (*at)++) word[n++] = (char)tolower((unsigned char)**at);
    word[n] = '\0';
    return n > 0;
}

static bool has_word(const char *text, const char *word) {
    char other[32];
    while (next_word(&text, other))
        if (strcmp(word, other) == 0) return true;
    return false;
}

/* Words that any text has, and the names of parameters. */
static const char function_words[] =
    "a an the this that it its they them one i me my mine myself we us our you your he she who whom whose what which "
    "where "
    "when why how do does did is are was were be been being am has have had can could will would shall should may "
    "might "
    "must let of in on at by to from for with without about as into out up down over under after before between "
    "through "
    "than then so if or and but not no nor any some all every each many much more most there here now again too also "
    "only just everything something anything nothing somebody someone anyone please regarding concerning ever never "
    "own s "
    "m d ll hello hi x y n ten";

/* In how many phrases of that side of a table, and other texts, the word occurs. */
static int count_phrases_with(const struct table *t, const char *word, bool held_out_too) {
    int n = 0;
    for (int i = 0; i < t->phrases.n; i++)
        n += (held_out_too || !phrase_is_held_out(t->phrases, i)) && has_word(t->phrases.items[i], word);
    for (int i = 0; i < t->n_others; i++) n += has_word(t->others[i], word);
    return n;
}

static void a_held_out_phrase_has_no_new_words(void **state) {
    (void)state;
    struct table tables[MAX_TABLES];
    int n_tables = collect_tables(tables), n_new = 0, n_rare = 0;
    for (int i = 0; i < n_tables; i++)
        for (int p = 0; p < tables[i].phrases.n; p++) {
            const char *phrase = tables[i].phrases.items[p], *at = phrase;
            bool held_out = phrase_is_held_out(tables[i].phrases, p);
            for (char word[32]; next_word(&at, word);) {
                if (has_word(function_words, word)) continue;
                bool new = held_out &&count_phrases_with(&tables[i], word, false) == 0;
                bool rare = count_phrases_with(&tables[i], word, true) < 3;
                if (new || rare)
                    print_error("%s: \"%s\" of \"%s\" is %s\n", tables[i].where, word, phrase, new ? "new" : "rare");
                n_new += new;
                n_rare += rare;
            }
        }
    assert_int_equal(n_new, 0);
    assert_int_equal(n_rare, 0);
}

/* Words of a phrase, a slot being a word too; all names are the same one. */
static struct word_list words_with_slots(const char *phrase) {
    struct buffer text = {0};
    struct word_list words = {0};
    struct slot slots[] = {{"X", "zn"}, {"N", "zn"}, {"f", "zn"}, {"a", "za"}, {"L", "zl"},
                           {"K", "zk"}, {"k", "zo"}, {"t", "zt"}, {"d", "zd"}, {NULL, NULL}};
    text_fill(&text, phrase, slots);
    word_list_append(&words, text.data, text.length);
    buffer_free(&text);
    return words;
}

static bool is_part_of(const char *phrase, const char *other) {
    struct word_list a = words_with_slots(phrase), b = words_with_slots(other);
    bool found = false;
    for (size_t i = 0; i + a.n <= b.n; i++) found |= memcmp(a.words, b.words + i, a.n * sizeof *a.words) == 0;
    word_list_free(&a);
    word_list_free(&b);
    return found;
}

static void a_held_out_phrase_is_no_part_of_a_trained_one(void **state) {
    (void)state;
    struct table tables[MAX_TABLES];
    int n_tables = collect_tables(tables), n_parts = 0;
    for (int i = 0; i < n_tables; i++)
        for (int p = 0; p < tables[i].phrases.n; p++) {
            if (!phrase_is_held_out(tables[i].phrases, p)) continue;
            for (int j = 0; j < n_tables; j++)
                for (int q = 0; q < tables[j].phrases.n; q++) {
                    const char *phrase = tables[i].phrases.items[p], *other = tables[j].phrases.items[q];
                    if (phrase_is_held_out(tables[j].phrases, q) || !is_part_of(phrase, other)) continue;
                    print_error("%s: \"%s\" is a part of \"%s\"\n", tables[i].where, phrase, other);
                    n_parts++;
                }
        }
    assert_int_equal(n_parts, 0);
}

/* "What is the {a} of {X}?" with a noun, against the questions of the attribute itself. */
static void a_frame_with_a_noun_is_no_question_of_its_own(void **state) {
    (void)state;
    const struct phrases frames = primer_phrases[PHRASES_FACT];
    int n_parts = 0;
    for (int i = 0; i < N_KINDS * N_ATTRIBUTES * N_NOUNS; i++) {
        const struct attribute *a = &primer_kinds[i / N_NOUNS / N_ATTRIBUTES]->attributes[i / N_NOUNS % N_ATTRIBUTES];
        const struct phrases questions = phrases_until_null(a->questions, MAX_WORDINGS);
        const struct slot slots[] = {{"a", a->nouns[i % N_NOUNS]}, {NULL, NULL}};
        for (int f = 0; f < frames.n; f++) {
            struct buffer frame = {0};
            text_fill(&frame, frames.items[f], slots);
            for (int q = 0; q < questions.n; q++) {
                bool held_out = phrase_is_held_out(frames, f);
                if (held_out == phrase_is_held_out(questions, q)) continue;
                const char *question = questions.items[q];
                if (!is_part_of(held_out ? frame.data : question, held_out ? question : frame.data)) continue;
                print_error("\"%s\" and \"%s\": the held-out one is a part of the other\n", question, frame.data);
                n_parts++;
            }
            buffer_free(&frame);
        }
    }
    assert_int_equal(n_parts, 0);
}

/* What stands around prompts is for training; a test asks plainly. */
static void prompts_of_tests_are_not_dressed(void **state) {
    (void)state;
    struct rng rng = rng_make(1, 1);
    int n_dressed = 0;
    for (int i = 0; i < 400; i++) {
        enum split split = i % 2 ? SPLIT_TEST : SPLIT_TRAIN;
        struct buffer prompt = {0};
        buffer_append_text(&prompt, "Who is X?");
        prompt_finish(&prompt, split, &rng);
        bool dressed = strcmp(prompt.data, "Who is X?") != 0;
        assert_false(dressed && split == SPLIT_TEST);
        n_dressed += dressed;
        buffer_free(&prompt);
    }
    assert_true(n_dressed > 40);
}

static void names_are_split_and_not_of_the_world(void **state) {
    (void)state;
    struct world world;
    struct rng rng = rng_make(3, 3);
    char name[MAX_NAME];
    assert_true(world_open(&world, 1, 500, NULL));
    for (int i = 0; i < 2000; i++) {
        enum split split = i % 2 ? SPLIT_TEST : SPLIT_TRAIN;
        name_draw(&world, split, &rng, name);
        assert_false(world_knows(&world, name));
        assert_int_equal(name_is_held_out(name), split == SPLIT_TEST);
    }
    for (int i = 0; i < world.n_entities; i++) assert_true(world_knows(&world, world.entities[i].name));
    world_close(&world);
}

static void no_text_says_eight_words_twice(void **state) {
    (void)state;
    struct world world;
    assert_true(world_open(&world, 1, 50, NULL));
    struct word_set *vocabulary = word_set_open();
    for (int i = 0; i < 3000; i++) {
        struct rng rng = rng_make(1, (uint64_t)i);
        struct buffer text = {0};
        struct text_quality quality;
        if (i % 3 == 0) prose_append_bio(&world, i % 50, &rng, &text);
        if (i % 3 == 1) prose_append_story(&rng, &text);
        if (i % 3 == 2) prose_append_note(&rng, &text);
        assert_true(text_quality_measure(vocabulary, text.data, text.length, false, &quality));
        if (quality.repeats || strchr(text.data, '{')) fail_msg("%s", text.data);
        buffer_free(&text);
    }
    word_set_close(vocabulary);
    world_close(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_gives_same_bytes),
        cmocka_unit_test(another_seed_gives_another_world),
        cmocka_unit_test(tests_share_nothing_with_training),
        cmocka_unit_test(planted_prompts_are_found),
        cmocka_unit_test(planted_sequences_are_found),
        cmocka_unit_test(planted_frames_are_found_under_other_names),
        cmocka_unit_test(planted_names_are_found),
        cmocka_unit_test(planted_topics_lists_and_functions_are_found),
        cmocka_unit_test(an_audit_of_nothing_fails),
        cmocka_unit_test(every_fact_is_asked_for_often_enough),
        cmocka_unit_test(dialogs_alternate_and_are_short),
        cmocka_unit_test(a_corpus_has_the_planned_shares),
        cmocka_unit_test(a_thing_without_a_held_out_list_is_passed_over),
        cmocka_unit_test(writing_tests_can_be_stopped),
        cmocka_unit_test(options_out_of_range_are_refused),
        cmocka_unit_test(a_fifth_of_the_phrases_is_held_out),
        cmocka_unit_test(wordings_of_an_attribute_are_many_and_differ),
        cmocka_unit_test(a_held_out_phrase_has_no_new_words),
        cmocka_unit_test(a_held_out_phrase_is_no_part_of_a_trained_one),
        cmocka_unit_test(a_frame_with_a_noun_is_no_question_of_its_own),
        cmocka_unit_test(prompts_of_tests_are_not_dressed),
        cmocka_unit_test(names_are_split_and_not_of_the_world),
        cmocka_unit_test(no_text_says_eight_words_twice),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
