/* cmd_prepare.c - talc prepare: text files to token shards. */
#include <stdio.h>

#include "base/progress.h"
#include "cli/cli.h"
#include "data/prepare.h"

struct prepare {
    const char *tokenizer, *out;
    double val_fraction;
    int64_t seed, threads;
    bool allow_invalid, json, quiet;
    struct progress progress;
    const volatile sig_atomic_t *stop;
};

static bool on_progress(void *context, uint64_t n_done, uint64_t n_total) {
    struct prepare *p = context;
    p->progress.total = (double)n_total;
    progress_update(&p->progress, (double)n_done, NULL);
    return !*p->stop;
}

static void print_split(const char *name, const struct split_info *s) {
    if (s->n_tokens > 0)
        printf("%s: %lld tokens of %lld documents, %.2f bytes a token\n", name, (long long)s->n_tokens,
               (long long)s->n_documents, (double)s->n_bytes / (double)s->n_tokens);
}

static bool prepare(struct prepare *p, struct command_line *line, struct talc_error *err) {
    struct tokenizer *tok = tokenizer_load(p->tokenizer, err);
    struct thread_pool *pool = tok ? thread_pool_open((int)p->threads, err) : NULL;
    struct data_info info;
    p->stop = cli_catch_interrupt();
    struct prepare_options o = {.paths = line->operands,
                                .n_paths = (size_t)line->n_operands,
                                .tokenizer = tok,
                                .out = p->out,
                                .val_fraction = p->val_fraction,
                                .seed = (uint64_t)p->seed,
                                .allow_invalid = p->allow_invalid,
                                .pool = pool,
                                .on_progress = on_progress,
                                .context = p,
                                .stop = p->stop};
    progress_start(&p->progress, "prepare", "byte", 0, 0, p->quiet);
    bool ok = pool && prepare_data(&o, &info, err);
    progress_clear(&p->progress);
    if (ok && p->json) {
        ok = cli_print_json(stdout,
                            json_pack("{s:I,s:I,s:I,s:s}", "train_tokens", (json_int_t)info.train.n_tokens,
                                      "val_tokens", (json_int_t)info.val.n_tokens, "vocab_size",
                                      (json_int_t)info.vocab_size, "out", p->out),
                            err);
    } else if (ok) {
        print_split("train", &info.train);
        print_split("val", &info.val);
    }
    thread_pool_close(pool);
    tokenizer_free(tok);
    return ok;
}

int cmd_prepare(int argc, char **argv) {
    struct prepare p = {.val_fraction = 0.01, .seed = 1};
    /* clang-format off */
    struct option options[] = {
        {.name = "tokenizer", .letter = 't', .kind = OPTION_TEXT, .value = &p.tokenizer, .argument = "TOK",
         .help = "tokenizer folder or file"},
        {.name = "out", .kind = OPTION_TEXT, .value = &p.out, .argument = "DIR", .help = "folder to make"},
        {.name = "val-fraction", .kind = OPTION_NUMBER, .value = &p.val_fraction, .argument = "X",
         .help = "share held out for validation (default 0.01)", .min = 0, .max = 0.99},
        {.name = "seed", .kind = OPTION_INT, .value = &p.seed, .argument = "N",
         .help = "which documents are held out (default 1)", .min = 0, .max = 9e18},
        {.name = "allow-invalid", .kind = OPTION_FLAG, .value = &p.allow_invalid,
         .help = "replace bytes that are not UTF-8 instead of failing"},
        {.name = "json", .kind = OPTION_FLAG, .value = &p.json, .help = "the result as one JSON object"},
        {.name = "quiet", .letter = 'q', .kind = OPTION_FLAG, .value = &p.quiet, .help = "no progress"},
        {.name = "threads", .kind = OPTION_INT, .value = &p.threads, .argument = "N",
         .help = "threads to use (default: one per core)", .min = 1, .max = 4096},
    };
    /* clang-format on */
    struct command_line line = {.command = "prepare",
                                .summary = "text files to token shards",
                                .arguments = "FILE...",
                                .example = "talc prepare -t tok/ --out data/ book.txt more.jsonl.zst",
                                .options = options,
                                .n_options = OPTIONS_COUNT(options),
                                .min_operands = 1,
                                .max_operands = -1};
    int code = options_parse(&line, argc, argv);
    if (code >= 0) return code;
    struct talc_error err = {0};
    if (!p.tokenizer || !p.out)
        code = cli_usage("prepare", "needs -t TOK and --out DIR");
    else {
        code = prepare(&p, &line, &err) ? EXIT_DONE : cli_fail("prepare", &err);
        if (*p.stop && code != EXIT_DONE) code = EXIT_INTERRUPTED;
    }
    options_free(&line);
    return code;
}
