/* bench_tokenizer.c - talc bench tokenizer: a cold process, one pass over a text that is not repeated: what users of a
 * tokenizer wait for. Then the same with nothing kept of words, with all threads, and back. */
#include "cli/bench_tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
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
        printf("{\"what\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"}\n", what, value, unit);
    else
        printf("  %-34s %10.1f %s\n", what, value, unit);
    fflush(stdout);
}

/* Seconds of one encoding; the ids of the first one are kept in *ids. */
static bool time_encode(const struct tokenizer *tok, struct thread_pool *pool, const char *text, size_t n,
                        struct token_list *ids, double *seconds, struct talc_error *err) {
    token_list_free(ids);
    double start = clock_seconds();
    bool ok = tokenizer_encode_parallel(tok, pool, text, n, false, ids, err);
    *seconds = clock_seconds() - start;
    return ok;
}

static bool measure(const struct tokenizer_bench *b, const char *path, struct thread_pool *pool,
                    struct talc_error *err) {
    struct token_list ids = {0};
    struct buffer back = {0};
    size_t n;
    double seconds, start = clock_seconds(), megabytes;
    struct tokenizer *tok = tokenizer_load(b->tokenizer, err);
    double opened = clock_seconds() - start;
    char *text = tok ? file_read(path, MAX_TEXT_BYTES, &n, err) : NULL;
    bool ok = text;
    if (!ok) goto done;
    megabytes = (double)n / 1e6;
    print_row(b, "opening the tokenizer", opened * 1e3, "ms");
    ok = time_encode(tok, NULL, text, n, &ids, &seconds, err);
    if (!ok) goto done;
    print_row(b, "encode, 1 thread, cold", megabytes / seconds, "MB/s");
    print_row(b, "bytes a token", ids.count ? (double)n / (double)ids.count : 0, "");
    start = clock_seconds();
    ok = tokenizer_decode(tok, ids.ids, ids.count, false, &back, err);
    print_row(b, "decode", megabytes / (clock_seconds() - start), "MB/s");
    tokenizer_use_cache(tok, false);
    ok = ok && time_encode(tok, NULL, text, n, &ids, &seconds, err);
    if (ok) print_row(b, "encode, 1 thread, nothing kept", megabytes / seconds, "MB/s");
    tokenizer_free(tok);
    tok = ok ? tokenizer_load(b->tokenizer, err) : NULL;
    ok = tok && time_encode(tok, pool, text, n, &ids, &seconds, err);
    char name[64];
    snprintf(name, sizeof name, "encode, %d threads, cold", thread_pool_size(pool));
    if (ok) print_row(b, name, megabytes / seconds, "MB/s");
done:
    token_list_free(&ids);
    buffer_free(&back);
    tokenizer_free(tok);
    free(text);
    return ok;
}

int bench_tokenizer(int argc, char **argv) {
    struct tokenizer_bench b = {0};
    struct option options[] = {
        {.name = "tokenizer", .letter = 't', .kind = OPTION_TEXT, .value = &b.tokenizer, .argument = "TOK",
         .help = "a folder or file, as for talc tokenizer encode"},
        {.name = "threads", .kind = OPTION_INT, .value = &b.threads, .argument = "N",
         .help = "for the last row (default: one per core)", .min = 1, .max = 4096},
        {.name = "json", .kind = OPTION_FLAG, .value = &b.json, .help = "one JSON object a row"},
    };
    struct command_line line = {.command = "bench tokenizer", .summary = "measure a tokenizer on a text",
                                .arguments = "FILE", .example = "talc bench tokenizer -t tok/ book.txt",
                                .options = options, .n_options = OPTIONS_COUNT(options), .min_operands = 1,
                                .max_operands = 1};
    int code = options_parse(&line, argc, argv);
    if (code >= 0) return code;
    struct talc_error err = {0};
    struct thread_pool *pool = NULL;
    if (!b.tokenizer)
        code = cli_usage("bench tokenizer", "needs -t TOK, a tokenizer's folder or file");
    else if (!(pool = thread_pool_open((int)b.threads, &err)) || !measure(&b, line.operands[0], pool, &err))
        code = cli_fail("bench tokenizer", &err);
    else
        code = EXIT_DONE;
    thread_pool_close(pool);
    options_free(&line);
    return code;
}
