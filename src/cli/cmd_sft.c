/* cmd_sft.c - talc sft: teach a model to answer, from chats. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/stage.h"
#include "data/chat_documents.h"
#include "file/atomic.h"
#include "file/run_folder.h"
#include "infer/assistant.h"

struct sft {
    struct stage_values stage;
    const char *model, *template_path;
    struct option_list data, replay;
    double validation_share;
    int64_t context;
    bool show_mask;
    const volatile sig_atomic_t *stop;
    /* opened */
    struct tokenizer *tokenizer;
    struct chat_template *chat_template;
    struct model weights;
    struct chat_documents documents;
    struct loader train_rows, validation_rows;
    struct recipe recipe;
    struct token_list sample_prompt;
};

/* The template: --template, else the tokenizer's, else the one whose special tokens it has. */
static bool open_template(struct sft *s, struct talc_error *err) {
    char *text = NULL;
    size_t n;
    bool ok = true;
    if (s->template_path) {
        text = file_read(s->template_path, TEMPLATE_MAX_SOURCE, &n, err);
        ok = text && tokenizer_set_chat_template(s->tokenizer, text, err);
    } else if (!tokenizer_chat_template(s->tokenizer)) {
        const char *known = chat_template_for(s->tokenizer);
        if (!known)
            return talc_fail(
                err, "the model has no chat template and no special tokens of a known one; give --template FILE");
        ok = tokenizer_set_chat_template(s->tokenizer, known, err);
    }
    free(text);
    const char *source = ok ? tokenizer_chat_template(s->tokenizer) : NULL;
    return source && (s->chat_template = chat_template_parse(source, strlen(source), err)) != NULL;
}

static bool open_model(struct sft *s, struct stream *stream, struct talc_error *err) {
    if (!s->model && !s->stage.resume)
        return talc_fail(err, "%s: has no checkpoint yet and its settings name no model to begin with; give -m MODEL",
                         s->stage.out);
    char *folder = run_folder_find_model(s->stage.resume ? s->stage.out : s->model, s->stage.resume, err);
    struct model_options options = stage_model_options(&s->stage);
    bool ok = folder && (s->tokenizer = tokenizer_load(folder, err)) && open_template(s, err) &&
              model_load(&s->weights, folder, stream, &options, err);
    ok = ok && model_fits_tokenizer(&s->weights, s->tokenizer, folder, err);
    free(folder);
    if (!ok) return false;
    struct arch arch = s->weights.arch; /* as it is trained; what is saved keeps the length that it can read */
    if (s->context > arch.context_length)
        return talc_fail(err, "--context %lld is more than the %d tokens that the model can read",
                         (long long)s->context, arch.context_length);
    if (s->context > 0)
        arch.context_length = (int)s->context;
    else if (arch.context_length > RECIPE_TUNING_ROW_TOKENS)
        arch.context_length = RECIPE_TUNING_ROW_TOKENS;
    s->recipe = recipe_for(&arch, NULL);
    recipe_tune(&s->recipe, &arch);
    return true;
}

/* ---- what is learnt, in colours -------------------------------------------------------------- */

/* Runs of tokens of a kind, printed as one: a character may have several tokens. */
static bool print_masked(const struct sft *s, const struct chat_document *d, struct talc_error *err) {
    static const char *const colours[] = {"\033[0m\033[90m", "\033[0m\033[30;42m"};
    bool colour = cli_colour(1);
    struct buffer run = {0};
    for (size_t i = 0, end; i < d->ids.count; i = end) {
        bool learn = d->learn.data[i] != 0;
        buffer_clear(&run);
        for (end = i; end < d->ids.count && (d->learn.data[end] != 0) == learn; end++) {
            size_t n;
            const char *bytes = tokenizer_token_bytes(s->tokenizer, d->ids.ids[end], &n);
            buffer_append(&run, bytes, n);
        }
        fputs(colour ? colours[learn] : learn ? "[[" : "", stdout);
        if (run.length) cli_print_text(stdout, run.data, run.length);
        if (learn && !colour) fputs("]]", stdout);
        if (!buffer_ok(&run)) break;
    }
    fputs(colour ? "\033[0m\n" : "\n", stdout);
    bool ok = buffer_ok(&run) || talc_fail(err, "out of memory for the text of a chat");
    buffer_free(&run);
    return ok;
}

static bool show_mask(struct sft *s, struct talc_error *err) {
    printf("Learnt: %s; the rest is only read.\n", cli_colour(1) ? "\033[30;42mgreen\033[0m" : "between [[ and ]]");
    for (int i = 0; i < s->data.n; i++) {
        struct chat_reader *reader = chat_reader_open(s->data.items[i], s->stop, err);
        struct chat_record record;
        struct chat_document document = {0};
        bool ok = reader && chat_reader_next(reader, &record, err) &&
                  (record.where || talc_fail(err, "%s: every text in it is empty", s->data.items[i])) &&
                  chat_document_encode(&s->documents, &record, &document, err);
        if (ok) {
            printf("--- %s (%s), %zu tokens\n", record.where, chat_format_name(record.format), document.ids.count);
            ok = print_masked(s, &document, err);
        }
        chat_document_free(&document);
        chat_reader_close(reader);
        if (!ok) return false;
    }
    return true;
}

/* ---- data ------------------------------------------------------------------------------------ */

static void on_bytes(void *context, double bytes) { progress_update(context, bytes, NULL); }

static bool read_files(struct sft *s, const struct option_list *files, const char *label, double validation_share,
                       struct talc_error *err) {
    for (int i = 0; i < files->n; i++) {
        struct progress progress;
        struct stat st; /* of a packed file as much of it is read */
        double size = stat(files->items[i], &st) == 0 && S_ISREG(st.st_mode) ? (double)st.st_size : 0;
        progress_start(&progress, label, "byte", 0, size, s->stage.quiet);
        bool ok = chat_documents_read(&s->documents, files->items[i], validation_share, on_bytes, &progress, err);
        progress_clear(&progress);
        if (!ok) return false;
    }
    return true;
}

static void say_counts(const struct sft *s) {
    const struct chat_documents *d = &s->documents;
    if (d->train.n_documents == 0) return; /* the error says it */
    for (int f = 0; f < CHAT_FORMATS; f++)
        if (d->n_records[f])
            cli_say(s->stage.quiet, "%zu records of %s\n", d->n_records[f], chat_format_name((enum chat_format)f));
    if (d->n_too_long)
        cli_say(false, "talc sft: %zu chats do not fit in a row of %d tokens (--context) and are left out\n",
                d->n_too_long, d->row_tokens);
    if (d->n_nothing_to_learn)
        cli_say(false, "talc sft: %zu records hold nothing to learn and are left out\n", d->n_nothing_to_learn);
}

static bool open_rows(struct sft *s, struct talc_error *err) {
    struct pack_options o = {.row_tokens = s->documents.row_tokens, .seed = (uint64_t)s->stage.seed, .skip_long = true};
    /* Validation is of chats alone: what is replayed would only blur it. */
    if (!read_files(s, &s->data, "reading chats", s->validation_share, err) ||
        !read_files(s, &s->replay, "reading replay", 0, err))
        return false;
    say_counts(s);
    const struct chat_documents *d = &s->documents;
    if (d->train.n_documents == 0)
        return talc_fail(err,
                         "there is nothing to train on: %zu records do not fit in a row of %d tokens, %zu hold "
                         "nothing to learn",
                         d->n_too_long, d->row_tokens, d->n_nothing_to_learn);
    if (!documents_open(&s->train_rows, &s->documents.train, &o, NULL, err)) return false;
    o.in_order = true;
    return s->documents.validation.n_documents == 0 ||
           documents_open(&s->validation_rows, &s->documents.validation, &o, NULL, err);
}

/* Unless --steps or --minutes says it. */
static bool set_steps(struct sft *s, struct talc_error *err) {
    uint64_t rows, at_once = (uint64_t)(s->stage.batch_rows > 0 ? s->stage.batch_rows : s->recipe.rows_per_step);
    if (!loader_count_rows(&s->train_rows, 0, &rows, err)) return false;
    uint64_t steps = (RECIPE_TUNING_PASSES * rows + at_once - 1) / at_once;
    s->recipe.steps = steps < TRAIN_MAX_STEPS ? (int64_t)steps : TRAIN_MAX_STEPS;
    return true;
}

/* Samples while training answer this. */
static bool encode_greeting(struct sft *s, struct talc_error *err) {
    json_t *messages = json_pack("[{s:s,s:s}]", "role", "user", "content", "Hello!");
    struct chat_options options = {.add_generation_prompt = true};
    bool ok = messages ? chat_encode(s->tokenizer, s->chat_template, messages, &options, &s->sample_prompt, NULL, err)
                       : talc_fail(err, "out of memory");
    json_decref(messages);
    if (s->sample_prompt.count >= (size_t)s->recipe.trainer.row_tokens)
        s->sample_prompt.count = 0; /* no room for any */
    return ok;
}

static int sft(struct sft *s, struct cli_device *device, struct command_line *line, struct talc_error *err) {
    struct stage_values *v = &s->stage;
    if (!s->show_mask && !stage_open_folder(v, err)) return cli_fail("sft", err);
    if (!open_model(s, &device->stream, err) || !stage_goes_on(s->stop, err)) return cli_fail("sft", err);
    s->documents = (struct chat_documents){.tokenizer = s->tokenizer,
                                           .chat_template = s->chat_template,
                                           .pool = device->pool,
                                           .stop = s->stop,
                                           .row_tokens = s->recipe.trainer.row_tokens};
    if (s->show_mask) return show_mask(s, err) ? EXIT_DONE : cli_fail("sft", err);
    if (!open_rows(s, err) || !set_steps(s, err) || !encode_greeting(s, err) || !stage_apply(v, &s->recipe, err) ||
        !stage_goes_on(s->stop, err) || !stage_save_settings(line, v->out, err))
        return cli_fail("sft", err);
    struct stage stage = {.command = "sft",
                          .values = v,
                          .device = device,
                          .model = &s->weights,
                          .tokenizer = s->tokenizer,
                          .sample_prompt = s->sample_prompt,
                          .recipe = s->recipe,
                          .data = {.train = &s->train_rows,
                                   .validation = s->validation_rows.close ? &s->validation_rows : NULL,
                                   .rows_per_step = s->recipe.rows_per_step},
                          .objective = objective_cross_entropy("sft"),
                          .stop = s->stop};
    return stage_run(&stage, err);
}

static void close_all(struct sft *s) {
    if (s->train_rows.close) loader_close(&s->train_rows);
    if (s->validation_rows.close) loader_close(&s->validation_rows);
    chat_documents_free(&s->documents);
    chat_template_free(s->chat_template);
    if (s->weights.memory) model_close(&s->weights);
    tokenizer_free(s->tokenizer);
    token_list_free(&s->sample_prompt);
}

int cmd_sft(int argc, char **argv) {
    struct sft s = {.stage = stage_values_defaults(), .validation_share = 0.01};
    /* clang-format off */
    struct option options[] = {
        {.name = "model", .letter = 'm', .kind = OPTION_TEXT, .value = &s.model, .argument = "DIR",
         .help = "model or run folder, or a GGUF file, to begin with"},
        {.name = "data", .kind = OPTION_LIST, .value = &s.data, .argument = "FILE",
         .help = "chats: .jsonl or .json (may be given again)"},
        {.name = "replay", .kind = OPTION_LIST, .value = &s.replay, .argument = "FILE",
         .help = "text of the pretraining ({\"text\"} rows), mixed in so that it is not forgotten"},
        {.name = "template", .kind = OPTION_TEXT, .value = &s.template_path, .argument = "FILE",
         .help = "chat template (Jinja); default: the model's, else by its special tokens"},
        {.name = "val-fraction", .kind = OPTION_NUMBER, .value = &s.validation_share, .argument = "X",
         .help = "share of the chats to validate on (default 0.01)", .min = 0, .max = 0.9},
        {.name = "context", .kind = OPTION_INT, .value = &s.context, .argument = "N",
         .help = "tokens in a row; fewer take less memory, longer chats are left out (default: the model's, at most 2048)",
         .min = 1, .max = 1e7},
        {.name = "show-mask", .kind = OPTION_FLAG, .value = &s.show_mask,
         .help = "print the first chat of each file, learnt tokens marked, and end"},
        OPTIONS_STAGE(s.stage),
    };
    /* clang-format on */
    struct command_line line = {.command = "sft",
                                .summary = "teach a model to answer, from chats",
                                .arguments = "",
                                .example = "talc sft -m run/ --data chats.jsonl --out sft/ --minutes 5",
                                .options = options,
                                .n_options = OPTIONS_COUNT(options)};
    int code = stage_parse(&line, &s.stage, argc, argv);
    if (code >= 0) return code;
    struct talc_error err = {0};
    struct cli_device device;
    s.stop = cli_catch_interrupt();
    if (!s.data.n || (!s.model && !s.stage.resume))
        code = cli_usage("sft", "needs -m MODEL and --data FILE");
    else if (!s.stage.out && !s.show_mask)
        code = cli_usage("sft", "needs --out DIR (or --show-mask)");
    else if (!cli_device_open(&device, s.stage.device, s.stage.threads, &err))
        code = cli_fail("sft", &err);
    else {
        code = sft(&s, &device, &line, &err);
        if (code == EXIT_FAILED && *s.stop) code = EXIT_INTERRUPTED;
        close_all(&s);
        stage_close_folder(&s.stage);
        cli_device_close(&device);
    }
    options_free(&line);
    return code;
}
