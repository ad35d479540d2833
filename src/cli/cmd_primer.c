/* cmd_primer.c - talc primer: writes the demo's corpus and tests, and audits what was written. */
#include <stdio.h>
#include <stdlib.h>

#include "base/progress.h"
#include "cli/cli.h"
#include "file/atomic.h"
#include "file/json.h"
#include "task/primer.h"

struct primer_command {
    const char *out;
    int64_t seed, entities, exposures, bios, documents, tests;
    double scale;
    bool audit, json, quiet;
    struct progress progress;
    const char *shown; /* the file whose progress is shown */
    const volatile sig_atomic_t *stop;
};

static bool on_progress(void *context, const char *what, size_t n_done, size_t n_total) {
    struct primer_command *p = context;
    if (p->shown != what) progress_start(&p->progress, what, "record", 0, (double)n_total, p->quiet);
    p->shown = what;
    progress_update(&p->progress, (double)n_done, NULL);
    if (n_done == n_total) progress_clear(&p->progress);
    return !*p->stop;
}

/* Numbers with a name each, as a table or as one JSON object. */
struct count {
    const char *key, *text;
    size_t n;
};

static bool print_counts(const struct primer_command *p, const char *title, const struct count *counts, int n,
                         struct talc_error *err) {
    json_t *object = json_object();
    if (!p->json) printf("%s\n", title);
    for (int i = 0; i < n; i++) {
        if (!p->json) printf("  %9zu  %s\n", counts[i].n, counts[i].text);
        json_object_set_new(object, counts[i].key, json_integer((json_int_t)counts[i].n));
    }
    json_object_set_new(object, "out", json_string(p->out));
    if (p->json) return cli_print_json(stdout, object, err);
    json_decref(object);
    return true;
}

static bool write_corpus(struct primer_command *p, struct talc_error *err) {
    struct primer_options options = {.seed = (uint64_t)p->seed,
                                     .n_entities = (int)p->entities,
                                     .exposures = (int)p->exposures,
                                     .bios = (int)p->bios,
                                     .n_texts = (int)p->documents,
                                     .n_tests = (int)p->tests,
                                     .scale = p->scale};
    struct primer_progress progress = {on_progress, p};
    struct primer_report r;
    if (!primer_write(&options, p->out, &progress, &r, err)) return false;
    const struct count counts[] = {
        {"facts", "facts of the world (world.jsonl)", 6 * (size_t)p->entities},
        {"texts", "texts to pretrain on (pretrain.jsonl)", r.n_texts},
        {"pretrain_bytes", "bytes of text in them", r.pretrain_bytes},
        {"dialogs", "chats to learn to answer from (chats.jsonl)", r.n_dialogs},
        {"chats_bytes", "bytes of text in them", r.chats_bytes},
        {"replayed", "texts to mix in with the chats (replay.jsonl)", r.n_replayed},
        {"replay_bytes", "bytes of text in them", r.replay_bytes},
        {"tests", "held-out tests (eval.jsonl)", r.n_tests},
    };
    char title[512];
    snprintf(title, sizeof title, "%s: a world of %d things", p->out, options.n_entities);
    return print_counts(p, title, counts, sizeof counts / sizeof counts[0], err);
}

/* *shared: tests share something with training that they must not. */
static bool audit_corpus(const struct primer_command *p, bool *shared, struct talc_error *err) {
    struct primer_audit a;
    if (!primer_audit(p->out, p->stop, &a, err)) return false;
    const struct count counts[] = {
        {"sequences", "prompts that share eight words in a row with training", a.sequences},
        {"prompts", "questions that occur whole in training", a.prompts},
        {"frames", "questions that do so under other names", a.frames},
        {"names", "names, unknown things and functions that training names", a.names},
        {"topics", "outline topics that training has", a.topics},
        {"lists", "lists that training has", a.lists},
        {"functions", "functions that training has under another name", a.functions},
        {"duplicates", "prompts that an earlier test has", a.duplicates},
    };
    char title[512];
    snprintf(title, sizeof title, "audit: what %zu tests share with %zu records of training (all must be 0)", a.n_tests,
             a.n_training);
    *shared = primer_audit_total(&a) > 0;
    return print_counts(p, title, counts, sizeof counts / sizeof counts[0], err);
}

/* A folder that is there and asked for by nothing but its name is audited as it stands. */
static bool only_audit(const struct primer_command *p, const struct command_line *line) {
    static const char *const options[] = {"seed", "entities", "exposures", "bios", "documents", "tests", "scale"};
    bool given = false;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) given |= option_given(line, options[i]);
    char *eval = p->audit && !given ? path_join(p->out, "eval.jsonl") : NULL;
    bool there = eval && file_exists(eval);
    free(eval);
    return there;
}

static int run(struct primer_command *p, const struct command_line *line) {
    struct talc_error err = {0};
    bool shared = false;
    if (!p->out) return cli_usage("primer", "needs --out DIR");
    bool ok = only_audit(p, line) || write_corpus(p, &err);
    if (ok && p->audit) ok = audit_corpus(p, &shared, &err);
    if (!ok && *p->stop) return cli_fail("primer", &err), EXIT_INTERRUPTED;
    return !ok ? cli_fail("primer", &err) : shared ? EXIT_FAILED : EXIT_DONE;
}

int cmd_primer(int argc, char **argv) {
    const struct primer_options d = primer_defaults();
    struct primer_command p = {.seed = (int64_t)d.seed,
                               .entities = d.n_entities,
                               .exposures = d.exposures,
                               .bios = d.bios,
                               .documents = d.n_texts,
                               .tests = d.n_tests,
                               .scale = d.scale};
    /* clang-format off */
    struct option options[] = {
        {.name = "out", .kind = OPTION_TEXT, .value = &p.out, .argument = "DIR",
         .help = "folder to write; a primer that is there is replaced"},
        {.name = "seed", .kind = OPTION_INT, .value = &p.seed, .argument = "N",
         .help = "which world (default 1)", .min = 0, .max = 9e18},
        {.name = "entities", .kind = OPTION_INT, .value = &p.entities, .argument = "N",
         .help = "things in the world, six facts each (default 500)", .min = 20, .max = 20000},
        {.name = "exposures", .kind = OPTION_INT, .value = &p.exposures, .argument = "N",
         .help = "how often training asks for each fact (default 13)", .min = 1, .max = 200},
        {.name = "bios", .kind = OPTION_INT, .value = &p.bios, .argument = "N",
         .help = "texts about each thing (default 35)", .min = 1, .max = 200},
        {.name = "documents", .kind = OPTION_INT, .value = &p.documents, .argument = "N",
         .help = "stories and notes (default 4500)", .min = 0, .max = 1e6},
        {.name = "scale", .kind = OPTION_NUMBER, .value = &p.scale, .argument = "X",
         .help = "of what does not depend on the world: code, memory, outlines, talk, stories (default 1)",
         .min = 0.01, .max = 100},
        {.name = "tests", .kind = OPTION_INT, .value = &p.tests, .argument = "N",
         .help = "held-out tests a skill (default 200)", .min = 1, .max = 2000},
        {.name = "audit", .kind = OPTION_FLAG, .value = &p.audit,
         .help = "count what tests share with training; a folder that is there is read as it stands unless the corpus's options are given"},
        {.name = "json", .kind = OPTION_FLAG, .value = &p.json, .help = "the counts as one JSON object a line"},
        {.name = "quiet", .letter = 'q', .kind = OPTION_FLAG, .value = &p.quiet, .help = "no progress"},
    };
    /* clang-format on */
    struct command_line line = {.command = "primer",
                                .summary = "write the demo corpus: texts, chats, held-out tests",
                                .arguments = "",
                                .example = "talc primer --out primer/ --seed 1 --audit",
                                .options = options,
                                .n_options = OPTIONS_COUNT(options)};
    int code = options_parse(&line, argc, argv);
    if (code >= 0) return code;
    p.stop = cli_catch_interrupt();
    code = run(&p, &line);
    options_free(&line);
    return code;
}
