/* cmd_perplexity.c - talc perplexity: how well a model predicts a text. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "cli/cli.h"
#include "data/text_reader.h"
#include "file/json.h"
#include "file/run_folder.h"
#include "infer/assistant.h"

enum { USUAL_WINDOW = 2048 }; /* of models that could take more */

struct perplexity {
    const char *model, *device;
    int64_t context, threads;
    bool json, quiet;
    struct model weights;
    struct tokenizer *tokenizer;
    struct run run;
    double loss; /* sum of -log p */
    int64_t scored, n_bytes;
    const volatile sig_atomic_t *stop; /* NULL while there is nothing to say of it */
    bool interrupted;
};

static bool read_tokens(struct perplexity *p, const char *path, struct token_list *ids, struct talc_error *err) {
    struct text_reader *r = text_reader_open(path, false, NULL, err);
    struct text_piece piece;
    bool ok = r != NULL;
    if (ok) text_reader_cut_at(r, tokenizer_cuts(p->tokenizer));
    if (ok && tokenizer_adds_bos(p->tokenizer)) /* once, as before a prompt */
        ok = token_list_append(ids, tokenizer_bos_id(p->tokenizer)) || talc_fail(err, "out of memory for tokens");
    while (ok && (ok = text_reader_next(r, &piece, err)) && piece.text) {
        ok = tokenizer_encode_part(p->tokenizer, piece.text, piece.n_bytes, !piece.starts_document,
                                   !piece.ends_document, ids, err);
        p->n_bytes += (int64_t)piece.n_bytes;
    }
    text_reader_close(r);
    return ok;
}

/* Tokens [at, at + n + 1): the last n are predicted from those before them in the window. */
static bool score_window(struct perplexity *p, const int32_t *tokens, int n, float *stats, int32_t *positions,
                         struct talc_error *err) {
    int32_t starts[2] = {0, n};
    for (int i = 0; i < n; i++) positions[i] = i;
    struct batch batch = {.n_tokens = n,
                          .n_sequences = 1,
                          .tokens = tokens,
                          .positions = positions,
                          .starts = starts,
                          .targets = tokens + 1};
    if (!run_forward(&p->run, &batch, err) || !run_stats(&p->run, 1, stats, err)) return false;
    for (int i = 0; i < n; i++) p->loss -= (double)stats[i * TOKEN_STATS + STAT_LOGP];
    p->scored += n;
    return true;
}

static bool score(struct perplexity *p, const struct token_list *ids, struct talc_error *err) {
    int most = p->weights.arch.context_length, usual = most < USUAL_WINDOW ? most : USUAL_WINDOW,
        window = p->context > 0 ? (int)p->context : usual;
    struct run_options o = {.max_tokens = window, .max_sequences = 1};
    struct progress progress;
    float *stats = calloc((size_t)window * TOKEN_STATS, sizeof *stats);
    int32_t *positions = calloc((size_t)window, sizeof *positions);
    bool ok = stats && positions ? true : talc_fail(err, "out of memory for a window of %d tokens", window);
    if (window > most) ok = talc_fail(err, "--context %d is more than the model's %d", window, most);
    if (ids->count < 2) ok = talc_fail(err, "the text has %zu tokens; two at least are needed", ids->count);
    ok = ok && run_open(&p->run, &p->weights, &o, err);
    p->stop = cli_catch_interrupt();
    progress_start(&progress, "perplexity", "token", 0, (double)ids->count, p->quiet);
    for (size_t at = 0; ok && at + 1 < ids->count; at += (size_t)window) {
        size_t left = ids->count - 1 - at;
        ok = score_window(p, ids->ids + at, left < (size_t)window ? (int)left : window, stats, positions, err);
        if (ok && *p->stop && left > (size_t)window) { /* the last window makes it whole */
            p->interrupted = true;
            ok = talc_fail(err, "interrupted after %lld of %zu tokens", (long long)p->scored, ids->count - 1);
        }
        progress_update(&progress, (double)at, NULL);
    }
    progress_clear(&progress);
    if (p->run.model) run_close(&p->run);
    free(stats);
    free(positions);
    return ok;
}

static bool print_result(const struct perplexity *p, struct talc_error *err) {
    double loss = p->loss / (double)p->scored, bits = p->loss / log(2) / (double)p->n_bytes;
    if (!isfinite(loss)) return talc_fail(err, "the loss is not finite: the model's weights are damaged");
    if (p->json)
        return cli_print_json(stdout,
                              json_pack("{s:o,s:I,s:o,s:o}", "perplexity", cli_json_number(exp(loss)), "tokens",
                                        (json_int_t)p->scored, "loss", cli_json_number(loss), "bits_per_byte",
                                        cli_json_number(bits)),
                              err);
    printf("perplexity %.4f over %lld tokens (loss %.4f, %.4f bits per byte)\n", exp(loss), (long long)p->scored, loss,
           bits);
    return true;
}

static bool measure(struct perplexity *p, const char *path, struct stream *stream, struct talc_error *err) {
    struct token_list ids = {0};
    struct cli_loading loading = {0};
    const struct model_options model = cli_loading_options(&loading, p->quiet);
    char *folder = run_folder_find_model(p->model, false, err);
    bool ok = folder && model_load(&p->weights, folder, stream, &model, err) &&
              (p->tokenizer = tokenizer_load(folder, err)) &&
              model_fits_tokenizer(&p->weights, p->tokenizer, folder, err) && read_tokens(p, path, &ids, err) &&
              score(p, &ids, err);
    ok = ok && print_result(p, err);
    token_list_free(&ids);
    tokenizer_free(p->tokenizer);
    if (p->weights.memory) model_close(&p->weights);
    free(folder);
    return ok;
}

int cmd_perplexity(int argc, char **argv) {
    struct perplexity p = {0};
    /* clang-format off */
    struct option options[] = {
        {.name = "model", .letter = 'm', .kind = OPTION_TEXT, .value = &p.model, .argument = "DIR",
         .help = "model or run folder, or a GGUF file"},
        {.name = "context", .letter = 'c', .kind = OPTION_INT, .value = &p.context, .argument = "N",
         .help = "windows of N tokens (default: the model's context, at most 2048)", .min = 1, .max = 1e7},
        {.name = "json", .kind = OPTION_FLAG, .value = &p.json, .help = "one JSON object"},
        {.name = "quiet", .letter = 'q', .kind = OPTION_FLAG, .value = &p.quiet, .help = "no progress"},
        OPTION_DEVICE(p.device, p.threads),
    };
    /* clang-format on */
    struct command_line line = {.command = "perplexity",
                                .summary = "perplexity of a text under a model",
                                .arguments = "FILE",
                                .example = "talc perplexity -m run/ book.txt",
                                .options = options,
                                .n_options = OPTIONS_COUNT(options),
                                .min_operands = 1,
                                .max_operands = 1};
    int code = options_parse(&line, argc, argv);
    if (code >= 0) return code;
    struct talc_error err = {0};
    struct cli_device device;
    cli_end_on_interrupt(); /* while model and text are read */
    if (!p.model)
        code = cli_usage("perplexity", "which model? give -m DIR");
    else {
        bool ok = cli_device_open(&device, p.device, p.threads, &err);
        if (ok) {
            ok = measure(&p, line.operands[0], &device.stream, &err);
            cli_device_close(&device);
        }
        code = ok ? EXIT_DONE : cli_fail("perplexity", &err);
        if (p.interrupted) code = EXIT_INTERRUPTED;
    }
    options_free(&line);
    return code;
}
