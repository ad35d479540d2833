/* bench_tokenizer.c - talc bench tokenizer: a cold process, one pass over a text that is not repeated, and back: what
 * users of a tokenizer wait for. Then, each in a process of its own, with nothing kept of words and
 * with all threads. */
#include "cli/bench_tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread_pool.h"
#include "cli/cli.h"
#include "file/atomic.h"
#include "text/tokenizer.h"

#define MAX_TEXT_BYTES ((size_t)4 << 30)

struct tokenizer_bench {
    const char *tokenizer;
    int64_t threads;
    bool json;
};

static void print_row(const struct tokenizer_bench *b, const char *what, double value, const char *unit) {
    if (b->json)
        printf("{\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"}\n", what, value, unit);
    else
        printf("  %-34s %10.1f %s\n", what, value, unit);
    fflush(stdout);
}

/* One pass over a text, and what it took. */
struct pass {
    int threads;
    bool keep_words, decode;
    double opening_seconds, encode_seconds, decode_seconds;
    uint64_t n_ids;
    bool ok;
    struct talc_error err;
};

static bool encode_once(const char *tokenizer, const char *text, size_t n, struct pass *pass) {
    struct token_list ids = {0};
    struct buffer back = {0};
    struct talc_error *err = &pass->err;
    double start = clock_seconds();
    struct tokenizer *tok = tokenizer_load(tokenizer, err);
    struct thread_pool *pool = pass->threads > 1 && tok ? thread_pool_open(pass->threads, err) : NULL;
    bool ok = tok && (pool || pass->threads == 1);
    pass->opening_seconds = clock_seconds() - start;
    if (ok && !pass->keep_words) tokenizer_use_cache(tok, false);
    start = clock_seconds();
    ok = ok && tokenizer_encode_parallel(tok, pool, text, n, false, &ids, err);
    pass->encode_seconds = clock_seconds() - start;
    pass->n_ids = ids.count;
    start = clock_seconds();
    if (ok && pass->decode) ok = tokenizer_decode(tok, ids.ids, ids.count, false, &back, err);
    pass->decode_seconds = clock_seconds() - start;
    buffer_free(&back);
    token_list_free(&ids);
    thread_pool_close(pool);
    tokenizer_free(tok);
    return ok;
}

/* In a process of its own: what the pass before it learnt or took of memory is not there. */
static bool run_pass(const char *tokenizer, const char *text, size_t n, struct pass *pass, struct talc_error *err) {
    int ends[2];
    if (pipe(ends) != 0) return talc_fail_errno(err, "a pipe cannot be made");
    pid_t child = fork();
    if (child == 0) {
        pass->ok = encode_once(tokenizer, text, n, pass);
        ssize_t written = write(ends[1], pass, sizeof *pass);
        _exit(written == (ssize_t)sizeof *pass ? 0 : 1);
    }
    close(ends[1]);
    ssize_t got = child > 0 ? read(ends[0], pass, sizeof *pass) : -1;
    close(ends[0]);
    if (child < 0) return talc_fail_errno(err, "a process cannot be started");
    waitpid(child, NULL, 0);
    if (got != (ssize_t)sizeof *pass) return talc_fail(err, "the process that encoded ended early");
    return pass->ok || talc_fail(err, "%s", pass->err.message);
}

static bool measure(const struct tokenizer_bench *b, const char *path, int threads, struct talc_error *err) {
    struct pass cold = {.threads = 1, .keep_words = true, .decode = true}, nothing_kept = {.threads = 1};
    struct pass all = {.threads = threads, .keep_words = true};
    char name[64];
    size_t n;
    char *text = file_read(path, MAX_TEXT_BYTES, &n, err);
    double megabytes = text ? (double)n / 1e6 : 0;
    bool ok = text && run_pass(b->tokenizer, text, n, &cold, err);
    if (ok) {
        print_row(b, "opening the tokenizer", cold.opening_seconds * 1e3, "ms");
        print_row(b, "encode, 1 thread, cold", megabytes / cold.encode_seconds, "MB/s");
        print_row(b, "bytes a token", cold.n_ids ? (double)n / (double)cold.n_ids : 0, "");
        print_row(b, "decode", megabytes / cold.decode_seconds, "MB/s");
    }
    ok = ok && run_pass(b->tokenizer, text, n, &nothing_kept, err);
    if (ok) print_row(b, "encode, 1 thread, nothing kept", megabytes / nothing_kept.encode_seconds, "MB/s");
    snprintf(name, sizeof name, "encode, %d thread%s, cold", threads, threads == 1 ? "" : "s");
    ok = ok && (threads == 1 || run_pass(b->tokenizer, text, n, &all, err));
    if (ok && threads > 1) print_row(b, name, megabytes / all.encode_seconds, "MB/s");
    free(text);
    return ok;
}

int bench_tokenizer(int argc, char **argv) {
    struct tokenizer_bench b = {0};
    /* clang-format off */
    struct option options[] = {
        {.name = "tokenizer", .letter = 't', .kind = OPTION_TEXT, .value = &b.tokenizer, .argument = "TOK",
         .help = "a folder or file, as for talc tokenizer encode"},
        {.name = "threads", .kind = OPTION_INT, .value = &b.threads, .argument = "N",
         .help = "for the last row (default: one per core)", .min = 1, .max = 4096},
        {.name = "json", .kind = OPTION_FLAG, .value = &b.json, .help = "one JSON object a row"},
    };
    /* clang-format on */
    struct command_line line = {.command = "bench tokenizer",
                                .summary = "measure a tokenizer on a text",
                                .arguments = "FILE",
                                .example = "talc bench tokenizer -t tok/ book.txt",
                                .options = options,
                                .n_options = OPTIONS_COUNT(options),
                                .min_operands = 1,
                                .max_operands = 1};
    int code = options_parse(&line, argc, argv);
    if (code >= 0) return code;
    struct talc_error err = {0};
    if (!b.threads) b.threads = cpu_count();
    if (!b.tokenizer)
        code = cli_usage("bench tokenizer", "needs -t TOK, a tokenizer's folder or file");
    else if (!measure(&b, line.operands[0], (int)b.threads, &err))
        code = cli_fail("bench tokenizer", &err);
    else
        code = EXIT_DONE;
    options_free(&line);
    return code;
}
