/* cmd_eval.c - talc eval: scores a model on held-out tests, with intervals, beside a baseline. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/progress.h"
#include "cli/cli.h"
#include "cli/sampling_options.h"
#include "file/atomic.h"
#include "file/json.h"
#include "infer/assistant.h"
#include "task/checker.h"
#include "task/checker_baseline.h"
#include "task/sandbox.h"
#include "task/sandbox_code.h"

struct free_text {
    size_t n, repeats, n_words, n_known;
};

struct eval {
    const char *model, *task, *data, *device, *answers, *baseline;
    struct option_list vocabulary;
    int64_t streams, max_tokens, context, free_text, seed, threads;
    size_t n_too_long; /* tests without room for an answer */
    bool json, quiet;
    /* opened */
    struct assistant assistant;
    struct checker tests;
    struct score_table scores, baseline_scores;
    struct code_runner runner;
    struct atomic_file answers_file; /* where --answers is given */
    struct baseline *neighbours;     /* where --baseline is given */
    struct word_set *words;          /* that are known; where --free-text is given */
    struct free_text samples;
    const volatile sig_atomic_t *stop; /* NULL while nothing can be lost */
    bool interrupted;
};

/* A text on its way through the engine: the answer of a test, or a sample of free text. */
struct attempt {
    struct generation generation;
    struct token_list prompt;
    size_t item;
    bool active;
};

/* Many of them: begin sets prompt and generation of a->item, finish looks at what came. */
struct attempts {
    const char *what, *unit;
    size_t n_items;
    bool (*begin)(struct eval *e, struct attempt *a, struct talc_error *err);
    bool (*finish)(struct eval *e, struct attempt *a, struct talc_error *err);
};

static void end_attempt(struct attempt *a) {
    generation_free(&a->generation);
    token_list_free(&a->prompt);
    *a = (struct attempt){0};
}

static bool begin_attempt(struct eval *e, const struct attempts *all, struct attempt *a, size_t item,
                          struct talc_error *err) {
    a->item = item;
    a->active = true;
    if (!all->begin(e, a, err)) return false;
    a->generation.prompt = a->prompt.ids;
    a->generation.n_prompt = (int)a->prompt.count;
    a->generation.stream = -1;
    if (a->generation.n_prompt < engine_context_length(e->assistant.engine))
        return engine_submit(e->assistant.engine, &a->generation, err);
    a->generation.finish = FINISH_CONTEXT; /* no room for an answer: there is none */
    e->n_too_long++;
    return true;
}

/* As many at a time as the engine has streams; each is looked at as it ends. */
static bool run_attempts(struct eval *e, const struct attempts *all, struct talc_error *err) {
    size_t next = 0, done = 0;
    struct progress progress;
    struct attempt *attempts = calloc((size_t)e->streams, sizeof *attempts);
    bool ok = attempts ? true : talc_fail(err, "out of memory");
    progress_start(&progress, all->what, all->unit, 0, (double)all->n_items, e->quiet);
    while (ok && done < all->n_items) {
        int running;
        for (int i = 0; ok && i < e->streams && next < all->n_items; i++)
            if (!attempts[i].active) ok = begin_attempt(e, all, &attempts[i], next++, err);
        ok = ok && engine_step(e->assistant.engine, &running, err);
        for (int i = 0; ok && i < e->streams; i++)
            if (attempts[i].active && attempts[i].generation.finish != FINISH_NONE) {
                ok = all->finish(e, &attempts[i], err);
                end_attempt(&attempts[i]);
                done++;
            }
        if (ok && *e->stop) ok = talc_fail(err, "interrupted after %zu of %zu %ss", done, all->n_items, all->unit);
        progress_update(&progress, (double)done, NULL);
    }
    progress_clear(&progress);
    for (int i = 0; attempts && i < e->streams; i++) {
        if (attempts[i].active) engine_cancel(e->assistant.engine, &attempts[i].generation);
        end_attempt(&attempts[i]);
    }
    free(attempts);
    return ok;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static bool begin_test(struct eval *e, struct attempt *a, struct talc_error *err) {
    a->generation = (struct generation){.max_new_tokens = (int)e->max_tokens,
                                        .sampling = {.temperature = 0, .top_p = 1, .repetition_penalty = 1}};
    return assistant_encode_chat(&e->assistant, e->tests.items[a->item].messages, &a->prompt, err);
}

static bool note_answer(struct eval *e, const struct checker_item *item, const char *answer, size_t n_bytes,
                        const struct checker_result *r, struct talc_error *err) {
    if (!e->answers_file.stream) return true;
    static const char *const verdicts[] = {"wrong", "right", "skipped"};
    json_t *o = json_pack("{s:s,s:s,s:s%,s:s,s:s,s:O}", "skill", item->skill, "verdict", verdicts[r->verdict], "answer",
                          answer, n_bytes, "expected", item->answer, "why", r->why, "messages", item->messages);
    return cli_print_json(e->answers_file.stream, o, err); /* whether it could be written is found at the end */
}

static bool finish_test(struct eval *e, struct attempt *a, struct talc_error *err) {
    const struct checker_item *item = &e->tests.items[a->item];
    const char *answer = a->generation.text.data ? a->generation.text.data : "";
    size_t n = a->generation.text.length;
    struct checker_result result;
    if (!checker_score(item, answer, n, e->runner.run ? &e->runner : NULL, &result, err) ||
        !note_answer(e, item, answer, n, &result, err))
        return false;
    return score_table_add(&e->scores, item, &result); /* there is place for its skill */
}

static bool run_tests(struct eval *e, struct talc_error *err) {
    const struct attempts all = {"eval", "test", e->tests.n_items, begin_test, finish_test};
    if (!run_attempts(e, &all, err)) return false;
    if (e->n_too_long)
        cli_say(e->quiet, "talc eval: %zu tests do not fit in the context of %d tokens and count as wrong\n",
                e->n_too_long, engine_context_length(e->assistant.engine));
    return true;
}

/* The same tests answered by the most similar training prompt: what a skill is worth that only remembers. */
static bool run_baseline(struct eval *e, struct talc_error *err) {
    struct progress progress;
    struct score_table scores = {0};
    bool ok = true;
    if (!e->neighbours) return true;
    progress_start(&progress, "baseline", "test", 0, (double)e->tests.n_items, e->quiet);
    for (size_t i = 0; ok && i < e->tests.n_items; i++) {
        struct checker_result result;
        const char *answer = baseline_answer(e->neighbours, e->tests.items[i].messages, err);
        ok = answer &&
             checker_score(&e->tests.items[i], answer, strlen(answer), e->runner.run ? &e->runner : NULL, &result, err);
        ok = ok && score_table_add(&scores, &e->tests.items[i], &result);
        if (ok && *e->stop) ok = talc_fail(err, "interrupted after %zu tests of the baseline", i);
        progress_update(&progress, (double)i, NULL);
    }
    progress_clear(&progress);
    if (ok) e->baseline_scores = scores; /* half of the tests say nothing beside all of them */
    return ok;
}

/* ---- free text ------------------------------------------------------------------------------- */

static bool begin_sample(struct eval *e, struct attempt *a, struct talc_error *err) {
    a->generation = (struct generation){.max_new_tokens = 150, .sampling = sampling_defaults()};
    a->generation.sampling.seed = (uint64_t)e->seed + a->item;
    return token_list_append(&a->prompt, tokenizer_text_start_id(e->assistant.tokenizer)) ||
           talc_fail(err, "out of memory");
}

static bool finish_sample(struct eval *e, struct attempt *a, struct talc_error *err) {
    struct text_quality quality = {0};
    const struct buffer *text = &a->generation.text;
    bool cut = a->generation.finish != FINISH_STOP;
    if (!text_quality_measure(e->words, text->data ? text->data : "", text->length, cut, &quality))
        return talc_fail(err, "out of memory");
    e->samples.n++;
    e->samples.repeats += quality.repeats;
    e->samples.n_words += quality.n_words;
    e->samples.n_known += quality.n_known;
    return true;
}

static bool run_free_text(struct eval *e, struct talc_error *err) {
    if (e->free_text == 0) return true;
    const struct attempts all = {"free text", "sample", (size_t)e->free_text, begin_sample, finish_sample};
    return run_attempts(e, &all, err);
}

/* ---- results --------------------------------------------------------------------------------- */

static double overall(const struct score_table *t, size_t *n) {
    double passed = 0;
    *n = 0;
    for (int i = 0; i < t->n_skills; i++) {
        passed += (double)t->skills[i].passed;
        *n += t->skills[i].n;
    }
    return *n ? passed / (double)*n : NAN;
}

static const struct skill_score *baseline_of(const struct eval *e, const char *skill) {
    for (int i = 0; i < e->baseline_scores.n_skills; i++)
        if (strcmp(e->baseline_scores.skills[i].name, skill) == 0) return &e->baseline_scores.skills[i];
    return NULL;
}

/* In a column of 12; it comes from a file, and a terminal would obey what it may hold. */
static void print_skill(const char *name) {
    int width = 0;
    for (const char *c = name; *c; c++) width += ((unsigned char)*c & 0xc0) != 0x80;
    cli_print_visible(stdout, name, strlen(name));
    printf("%*s", width < 12 ? 12 - width : 0, "");
}

static void print_table(const struct eval *e) {
    const struct free_text *f = &e->samples;
    printf("%-12s %7s %17s %6s%s\n", "skill", "right", "95% interval", "tests",
           e->baseline ? "  nearest neighbour" : "");
    for (int i = 0; i < e->scores.n_skills; i++) {
        const struct skill_score *s = &e->scores.skills[i];
        if (s->n + s->skipped == 0) continue; /* it was interrupted before them */
        print_skill(s->name);
        if (s->n == 0) {
            printf(" skipped: generated code cannot be run safely here\n");
            continue;
        }
        printf(" %6.1f%% %7.1f%% .. %5.1f%% %6zu", 100.0 * (double)s->passed / (double)s->n, 100 * s->low,
               100 * s->high, s->n);
        const struct skill_score *b = baseline_of(e, s->name);
        if (b && b->n) printf("  %16.1f%%", 100.0 * (double)b->passed / (double)b->n);
        if (s->skipped) printf("   (%zu skipped)", s->skipped);
        if (s->refused) printf("   (%.1f%% refused that should not be)", 100.0 * (double)s->refused / (double)s->n);
        putchar('\n');
    }
    if (f->n)
        printf("free text    %6.2f%% known words of %zu; %zu of %zu samples say eight words twice\n",
               f->n_words ? 100.0 * (double)f->n_known / (double)f->n_words : 0, f->n_words, f->repeats, f->n);
}

static bool print_json(const struct eval *e, struct talc_error *err) {
    const struct free_text *f = &e->samples;
    size_t n;
    json_t *parts = json_object(), *intervals = json_object(), *baseline = json_object();
    double score = overall(&e->scores, &n);
    for (int i = 0; i < e->scores.n_skills; i++) {
        const struct skill_score *s = &e->scores.skills[i];
        if (s->n == 0) continue;
        json_object_set_new(parts, s->name, json_real((double)s->passed / (double)s->n));
        const struct skill_score *b = baseline_of(e, s->name);
        if (b && b->n) json_object_set_new(baseline, s->name, json_real((double)b->passed / (double)b->n));
        json_object_set_new(intervals, s->name, json_pack("[f,f]", s->low, s->high));
    }
    json_t *o = json_pack("{s:s,s:o,s:o,s:o,s:I}", "task", e->task, "score", cli_json_number(score), "parts", parts,
                          "intervals", intervals, "n", (json_int_t)n);
    if (e->neighbours) json_object_set(o, "baseline", baseline);
    json_decref(baseline);
    if (f->n) {
        json_object_set_new(o, "known_words", json_real(f->n_words ? (double)f->n_known / (double)f->n_words : 0));
        json_object_set_new(o, "repeating_samples", json_integer((json_int_t)f->repeats));
        json_object_set_new(o, "samples", json_integer((json_int_t)f->n));
    }
    if (e->interrupted) json_object_set_new(o, "interrupted", json_true());
    return cli_print_json(stdout, o, err);
}

/* Generated code is run only where it can be isolated. */
static void open_runner(struct eval *e) {
    static const char *const languages[] = {"c", "python"};
    struct talc_error why;
    if (!sandbox_available(&why)) {
        cli_say(e->quiet, "talc eval: code is skipped: %s\n", why.message);
        return;
    }
    e->runner.run = sandbox_run_code;
    for (size_t i = 0; i < sizeof languages / sizeof languages[0]; i++) {
        const char *lacks = sandbox_code_lacks(languages[i]);
        if (lacks) cli_say(e->quiet, "talc eval: code in %s is skipped: there is no %s\n", languages[i], lacks);
    }
}

static bool is_same_file(const char *a, const char *b) {
    struct stat x, y;
    return a && b && stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool check_not_read(const struct eval *e, const char *option, const char *path, struct talc_error *err) {
    return !is_same_file(e->answers, path) ||
           talc_fail(err, "--answers %s is the file given as %s, which would be lost; choose another name", e->answers,
                     option);
}

/* Answers replace those of before, but no file that is read. */
static bool check_answers(const struct eval *e, struct talc_error *err) {
    bool ok = check_not_read(e, "--data", e->data, err) && check_not_read(e, "--baseline", e->baseline, err);
    for (int i = 0; ok && i < e->vocabulary.n; i++) ok = check_not_read(e, "--words", e->vocabulary.items[i], err);
    return ok;
}

static bool open_tests(struct eval *e, struct talc_error *err) {
    bool ok = checker_load(&e->tests, e->data, NULL, err);
    for (size_t i = 0; ok && i < e->tests.n_items; i++)
        ok = score_table_add_skill(&e->scores, e->tests.items[i].skill) ||
             talc_fail(err, "%s: the tests have more than %d skills", e->data, MAX_SKILLS);
    return ok;
}

static bool open_free_text(struct eval *e, struct talc_error *err) {
    if (e->free_text == 0) return true;
    if (tokenizer_text_start_id(e->assistant.tokenizer) < 0)
        return talc_fail(err, "--free-text: this model has no token that begins a text");
    e->words = word_set_open();
    bool ok = e->words ? true : talc_fail(err, "out of memory");
    for (int i = 0; ok && i < e->vocabulary.n; i++) ok = word_set_add_file(e->words, e->vocabulary.items[i], NULL, err);
    return ok;
}

/* All that can fail before the tests are run, so that no result is lost for it. */
static bool open_all(struct eval *e, struct stream *stream, struct talc_error *err) {
    const struct engine_options options = {.n_streams = (int)e->streams, .context_length = (int)e->context};
    struct cli_loading loading = {0};
    const struct model_options model = cli_loading_options(&loading, e->quiet);
    open_runner(e);
    bool ok = check_answers(e, err) && open_tests(e, err) &&
              assistant_open(&e->assistant, e->model, stream, &model, &options, err) &&
              assistant_can_chat(&e->assistant, err) &&
              (!e->baseline || (e->neighbours = baseline_open(e->baseline, NULL, err))) && open_free_text(e, err);
    e->stop = cli_catch_interrupt();
    return ok && (!e->answers || atomic_file_open(&e->answers_file, e->answers, err));
}

static bool print_results(const struct eval *e, struct talc_error *err) {
    if (e->json) return print_json(e, err);
    print_table(e);
    return true;
}

/* What was scored until an interrupt is printed; it fails all the same. */
static bool evaluate(struct eval *e, struct talc_error *err) {
    struct talc_error why = {0};
    bool ok = run_tests(e, &why);
    e->interrupted = !ok && *e->stop;
    if ((ok || e->interrupted) && e->answers && !atomic_file_commit(&e->answers_file, err)) return false;
    ok = ok && run_baseline(e, &why) && run_free_text(e, &why);
    e->interrupted = !ok && *e->stop;
    if ((ok || e->interrupted) && !print_results(e, err)) return false;
    return ok || talc_fail(err, "%s", why.message);
}

static void close_all(struct eval *e) {
    assistant_close(&e->assistant);
    checker_free(&e->tests);
    baseline_close(e->neighbours);
    if (e->words) word_set_close(e->words);
    atomic_file_abort(&e->answers_file);
}

int cmd_eval(int argc, char **argv) {
    struct eval e = {.task = "primer", .streams = 16, .max_tokens = 160, .seed = 1};
    /* clang-format off */
    struct option options[] = {
        {.name = "model", .letter = 'm', .kind = OPTION_TEXT, .value = &e.model, .argument = "DIR",
         .help = "model or run folder, or a GGUF file"},
        {.name = "task", .kind = OPTION_TEXT, .value = &e.task, .argument = "NAME", .choices = "primer",
         .help = "primer"},
        {.name = "data", .kind = OPTION_TEXT, .value = &e.data, .argument = "FILE",
         .help = "the tests: eval.jsonl of talc primer, or your own (docs/eval.md)"},
        {.name = "free-text", .kind = OPTION_INT, .value = &e.free_text, .argument = "N",
         .help = "also look at N samples of free text", .min = 0, .max = 1e6},
        {.name = "words", .kind = OPTION_LIST, .value = &e.vocabulary, .argument = "FILE",
         .help = "training texts, as JSON lines: which words are known (may be given again)"},
        {.name = "baseline", .kind = OPTION_TEXT, .value = &e.baseline, .argument = "FILE",
         .help = "training chats: also score the answer of the most similar prompt in them"},
        {.name = "answers", .kind = OPTION_TEXT, .value = &e.answers, .argument = "FILE",
         .help = "write every answer and its verdict here"},
        {.name = "streams", .kind = OPTION_INT, .value = &e.streams, .argument = "N",
         .help = "tests at a time (default 16)", .min = 1, .max = 1024},
        {.name = "max-tokens", .letter = 'n', .kind = OPTION_INT, .value = &e.max_tokens, .argument = "N",
         .help = "longest answer (default 160)", .min = 1, .max = 1e6},
        OPTION_CONTEXT(e.context),
        {.name = "seed", .kind = OPTION_INT, .value = &e.seed, .argument = "N",
         .help = "of the free text (answers are greedy)", .min = 0, .max = 9e18},
        {.name = "json", .kind = OPTION_FLAG, .value = &e.json, .help = "one JSON object"},
        {.name = "quiet", .letter = 'q', .kind = OPTION_FLAG, .value = &e.quiet, .help = "no progress"},
        OPTION_DEVICE(e.device, e.threads),
    };
    /* clang-format on */
    struct command_line line = {.command = "eval",
                                .summary = "score a model on held-out tests",
                                .arguments = "",
                                .example = "talc eval -m demo/sft --task primer --data demo/primer/eval.jsonl",
                                .options = options,
                                .n_options = OPTIONS_COUNT(options)};
    int code = options_parse(&line, argc, argv);
    if (code >= 0) return code;
    struct talc_error err = {0};
    struct cli_device device;
    cli_end_on_interrupt(); /* while everything is opened */
    if (!e.model || !e.data)
        code = cli_usage("eval", "needs -m DIR and --data FILE");
    else if (e.free_text > 0 && e.vocabulary.n == 0)
        code = cli_usage("eval", "--free-text needs the training texts: --words FILE");
    else if (e.free_text == 0 && e.vocabulary.n > 0)
        code = cli_usage("eval", "--words goes with --free-text N, which looks for them");
    else if (!cli_device_open(&device, e.device, e.threads, &err))
        code = cli_fail("eval", &err);
    else {
        code = open_all(&e, &device.stream, &err) && evaluate(&e, &err) ? EXIT_DONE : cli_fail("eval", &err);
        if (e.interrupted) code = EXIT_INTERRUPTED;
        close_all(&e);
        cli_device_close(&device);
    }
    options_free(&line);
    return code;
}
