/* cmd_generate.c - talc generate: continue a text. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/sampling_options.h"
#include "file/json.h"
#include "infer/assistant.h"

struct generate {
    const char *model, *prompt, *device;
    int64_t n, context, threads;
    bool ignore_eos, logprobs, json;
    struct sampling_values sampling;
    const volatile sig_atomic_t *interrupted;
};

/* Prints pieces as they come; an interrupt ends the text there. */
static bool print_piece(void *context, const char *text, size_t n_bytes) {
    const struct generate *g = context;
    if (!g->json) {
        cli_print_text(stdout, text, n_bytes);
        fflush(stdout);
    }
    return !*g->interrupted && !ferror(stdout);
}

/* '' is a text that has only begun. */
static bool encode_prompt(const struct assistant *a, const char *prompt, struct token_list *ids,
                          struct talc_error *err) {
    if (!cli_check_text("the prompt", prompt, err)) return false;
    if (*prompt) return tokenizer_encode_prompt(a->tokenizer, prompt, strlen(prompt), false, ids, err);
    int32_t first = tokenizer_text_start_id(a->tokenizer);
    if (first < 0) return talc_fail(err, "this model has no token that begins a text; give a prompt with -p");
    return token_list_append(ids, first) ? true : talc_fail(err, "out of memory");
}

static bool print_json(const struct generation *answer, bool logprobs, struct talc_error *err) {
    json_t *ids = json_array(), *probabilities = json_array();
    const float *logp = (const float *)(const void *)answer->logprobs.data;
    for (size_t i = 0; i < answer->tokens.count; i++) {
        json_array_append_new(ids, json_integer(answer->tokens.ids[i]));
        if (logprobs) json_array_append_new(probabilities, cli_json_number((double)logp[i]));
    }
    json_t *o = json_pack("{s:s%, s:o, s:i, s:s}", "text", answer->text.data ? answer->text.data : "",
                          answer->text.length, "token_ids", ids, "prompt_tokens", answer->n_prompt, "finish_reason",
                          finish_reason_name(answer->finish));
    if (o && logprobs) json_object_set(o, "logprobs", probabilities);
    json_decref(probabilities);
    return cli_print_json(stdout, o, err);
}

static bool generate(const struct generate *g, struct assistant *a, struct talc_error *err) {
    struct token_list ids = {0};
    struct generation answer = {.max_new_tokens = (int)g->n,
                                .sampling = sampling_from(&g->sampling),
                                .stops = g->sampling.stops.items,
                                .n_stops = g->sampling.stops.n,
                                .ignore_eos = g->ignore_eos,
                                .want_logprobs = g->logprobs,
                                .on_text = print_piece,
                                .context = (void *)g,
                                .stop = g->interrupted};
    bool ok = encode_prompt(a, g->prompt, &ids, err);
    answer.prompt = ids.ids;
    answer.n_prompt = (int)ids.count;
    ok = ok && engine_check(a->engine, &answer, err); /* before anything is printed */
    if (ok && !g->json) cli_print_text(stdout, g->prompt, strlen(g->prompt));
    ok = ok && engine_generate(a->engine, &answer, err);
    if (ok && g->json) ok = print_json(&answer, g->logprobs, err);
    if (ok && !g->json) putchar('\n');
    if (ok && answer.finish == FINISH_CONTEXT)
        cli_say(false, "(the context of %d tokens is full: the text ends here)\n", engine_context_length(a->engine));
    generation_free(&answer);
    token_list_free(&ids);
    return ok;
}

int cmd_generate(int argc, char **argv) {
    struct generate g = {.prompt = "", .n = 256, .sampling = sampling_values_defaults()};
    /* clang-format off */
    struct option options[] = {
        {.name = "model", .letter = 'm', .kind = OPTION_TEXT, .value = &g.model, .argument = "DIR",
         .help = "model or run folder, or a GGUF file"},
        {.name = "prompt", .letter = 'p', .kind = OPTION_TEXT, .value = &g.prompt, .argument = "TEXT",
         .help = "the beginning; '' starts a new text"},
        {.name = "max-tokens", .letter = 'n', .kind = OPTION_INT, .value = &g.n, .argument = "N",
         .help = "at most N new tokens (default 256)", .min = 1, .max = 1e9},
        OPTION_CONTEXT(g.context),
        OPTIONS_SAMPLING(g.sampling),
        {.name = "ignore-eos", .kind = OPTION_FLAG, .value = &g.ignore_eos, .help = "go on past the end of a text"},
        {.name = "json", .kind = OPTION_FLAG, .value = &g.json, .help = "one JSON object instead of text"},
        {.name = "logprobs", .kind = OPTION_FLAG, .value = &g.logprobs,
         .help = "with --json: log-probability of each token"},
        OPTION_DEVICE(g.device, g.threads),
    };
    /* clang-format on */
    struct command_line line = {.command = "generate",
                                .summary = "continue a text",
                                .arguments = "",
                                .example = "talc generate -m run/ -p \"Once upon a time\" -n 64 --temp 0.8 --seed 1",
                                .options = options,
                                .n_options = OPTIONS_COUNT(options)};
    int code = options_parse(&line, argc, argv);
    if (code >= 0) return code;
    if (!g.model) {
        options_free(&line);
        return cli_usage("generate", "which model? give -m DIR");
    }
    if (g.logprobs && !g.json) {
        options_free(&line);
        return cli_usage("generate", "--logprobs are shown with --json only");
    }
    struct talc_error err = {0};
    struct cli_device device;
    struct assistant a = {0};
    cli_end_on_interrupt(); /* while the model is loaded */
    bool ok = cli_device_open(&device, g.device, g.threads, &err);
    if (ok) {
        const struct engine_options engine = {.n_streams = 1, .context_length = (int)g.context};
        struct cli_loading loading = {0};
        const struct model_options model = cli_loading_options(&loading, g.json);
        ok = assistant_open(&a, g.model, &device.stream, &model, &engine, &err);
        g.interrupted = cli_catch_interrupt();
        ok = ok && generate(&g, &a, &err);
        assistant_close(&a);
        cli_device_close(&device);
    }
    options_free(&line);
    if (g.interrupted && *g.interrupted) return EXIT_INTERRUPTED;
    return ok ? EXIT_DONE : cli_fail("generate", &err);
}
