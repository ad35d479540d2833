/* cmd_train.c - talc train: pretrain a model on token shards. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/stage.h"
#include "data/windows.h"
#include "file/run_folder.h"

struct train {
    struct stage_values stage;
    const char *data, *preset, *prompt;
    int64_t depth, context, hidden_size, n_heads, n_kv_heads, intermediate_size;
    double dropout;
    bool paper_attention, no_document_mask;
    const volatile sig_atomic_t *stop;
    /* opened */
    struct data_info info;
    struct token_source tokens, validation_tokens;
    struct loader train_rows, validation_rows;
    struct tokenizer *tokenizer;
    struct model model;
    struct recipe recipe;
    struct token_list sample_prompt;
};

static bool open_data(struct train *t, struct talc_error *err) {
    if (!data_info_read(&t->info, t->data, err) || !(t->tokenizer = tokenizer_load(t->data, err)) ||
        !token_source_open(&t->tokens, t->data, "train", &t->info, err))
        return false;
    if (t->info.vocab_size != tokenizer_vocab_size(t->tokenizer))
        return talc_fail(err, "%s: the shards were made with %lld tokens, the tokenizer there has %d", t->data,
                         (long long)t->info.vocab_size, tokenizer_vocab_size(t->tokenizer));
    char hash[sizeof t->info.tokenizer_hash];
    snprintf(hash, sizeof hash, "%016" PRIx64, tokenizer_hash(t->tokenizer));
    if (*t->info.tokenizer_hash && strcmp(hash, t->info.tokenizer_hash) != 0)
        return talc_fail(err, "%s: the shards were made with another tokenizer than the one there; prepare it again",
                         t->data);
    return t->info.val.n_tokens < 2 || token_source_open(&t->validation_tokens, t->data, "val", &t->info, err);
}

/* Sizes that were asked for instead of those of the shape; what hangs on them follows. */
static bool choose_sizes(const struct train *t, struct arch *a, struct talc_error *err) {
    bool shared = a->n_kv_heads < a->n_heads;
    if (t->hidden_size > 0) {
        a->hidden_size = (int)t->hidden_size;
        a->n_heads = a->n_kv_heads = (a->hidden_size + a->head_dim - 1) / a->head_dim;
    }
    if (t->n_heads > 0) {
        if (a->hidden_size % t->n_heads != 0)
            return talc_fail(err, "--n-heads %lld does not divide a hidden size of %d", (long long)t->n_heads,
                             a->hidden_size);
        a->n_heads = a->n_kv_heads = (int)t->n_heads;
        a->head_dim = a->hidden_size / a->n_heads;
    }
    if (t->n_kv_heads > 0)
        a->n_kv_heads = (int)t->n_kv_heads;
    else if (shared && a->n_heads % 2 == 0)
        a->n_kv_heads = a->n_heads / 2;
    if (t->intermediate_size > 0) a->intermediate_size = (int)t->intermediate_size;
    return true;
}

static bool choose_arch(const struct train *t, struct arch *arch, struct talc_error *err) {
    int vocab = (int)t->info.vocab_size;
    if (t->preset ? !arch_preset(t->preset, arch, err) : !arch_from_depth((int)t->depth, vocab, arch, err))
        return false;
    if (!choose_sizes(t, arch, err)) return false;
    arch->vocab_size = vocab;
    arch->bos_id = tokenizer_bos_id(t->tokenizer);
    arch->eos_id = tokenizer_eos_id(t->tokenizer);
    arch->pad_id = tokenizer_pad_id(t->tokenizer);
    if (t->context > 0) arch->context_length = (int)t->context;
    if (t->dropout >= 0) arch->dropout = (float)t->dropout;
    if (t->paper_attention) arch_paper_attention(arch);
    return arch_check(arch, err);
}

/* Numbers of another tokenizer would mean other texts. */
static bool check_same_tokenizer(const struct train *t, const char *folder, struct talc_error *err) {
    struct tokenizer *own = tokenizer_load(folder, err);
    bool ok = own != NULL;
    if (ok && tokenizer_hash(own) != tokenizer_hash(t->tokenizer))
        ok = talc_fail(err, "%s was made with another tokenizer than the run in %s; prepare it with -t %s", t->data,
                       t->stage.out, folder);
    tokenizer_free(own);
    return ok;
}

static bool has_same_windows(const struct arch *a, const struct arch *b) {
    for (int l = 0; l < a->n_layers; l++)
        if (a->layers[l].window != b->layers[l].window) return false;
    return true;
}

/* The options of a resumed run are those it began with; one that says otherwise would be passed over in silence. */
static bool check_same_shape(const struct train *t, struct talc_error *err) {
    const struct arch *own = &t->model.arch;
    struct arch asked;
    if (!choose_arch(t, &asked, err)) return false;
    if (asked.n_layers == own->n_layers && asked.hidden_size == own->hidden_size && asked.n_heads == own->n_heads &&
        asked.n_kv_heads == own->n_kv_heads && asked.intermediate_size == own->intermediate_size &&
        asked.context_length == own->context_length && has_same_windows(&asked, own))
        return true;
    bool banded = !has_same_windows(own, &(struct arch){0});
    return talc_fail(err, "%s has %d layers of width %d%s and rows of %d tokens; a run that goes on keeps its shape",
                     t->stage.out, own->n_layers, own->hidden_size, banded ? ", banded," : "", own->context_length);
}

static bool open_model(struct train *t, struct stream *stream, struct talc_error *err) {
    struct model_options options = stage_model_options(&t->stage);
    if (t->stage.resume) {
        char *folder = run_folder_find_model(t->stage.out, true, err);
        bool ok = folder && check_same_tokenizer(t, folder, err) &&
                  model_load_folder(&t->model, folder, stream, &options, err) && check_same_shape(t, err);
        free(folder);
        if (ok && t->dropout >= 0) t->model.arch.dropout = (float)t->dropout;
        if (ok) t->recipe = recipe_for(&t->model.arch, t->preset);
        return ok;
    }
    struct arch arch;
    if (!choose_arch(t, &arch, err)) return false;
    t->recipe = recipe_for(&arch, t->preset);
    return model_open(&t->model, &arch, stream, &options, err) &&
           model_initialize(&t->model, t->recipe.init, (uint64_t)t->stage.seed, err);
}

static bool open_rows(struct train *t, struct talc_error *err) {
    struct window_options w = {.row_tokens = t->model.arch.context_length,
                               .seed = (uint64_t)t->stage.seed,
                               .text_start = (int32_t)t->info.text_start,
                               .document_mask =
                                   t->info.text_start >= 0 && t->info.train.n_documents > 1 && !t->no_document_mask};
    if (!windows_open(&t->train_rows, &t->tokens, &w, err)) return false;
    w.in_order = true;
    return t->validation_tokens.n_tokens == 0 || windows_open(&t->validation_rows, &t->validation_tokens, &w, err);
}

/* '' begins a new text, as in talc generate; so does no prompt, or a line where no token begins a text. */
static bool encode_prompt(struct train *t, struct talc_error *err) {
    struct token_list *ids = &t->sample_prompt;
    int32_t start = tokenizer_text_start_id(t->tokenizer);
    if (t->prompt && !cli_check_text("--sample-prompt", t->prompt, err)) return false;
    if ((!t->prompt || !*t->prompt) && start >= 0)
        return token_list_append(ids, start) ? true : talc_fail(err, "out of memory");
    if (!t->prompt && !tokenizer_encode(t->tokenizer, "\n", 1, false, ids, NULL)) return true; /* then no samples */
    if (t->prompt && !tokenizer_encode_prompt(t->tokenizer, t->prompt, strlen(t->prompt), false, ids, err))
        return talc_fail_in(err, "--sample-prompt");
    if ((int64_t)ids->count < t->model.arch.context_length) return true;
    return talc_fail(err, "--sample-prompt has %zu tokens and the context holds %d", ids->count,
                     t->model.arch.context_length);
}

static int train(struct train *t, struct cli_device *device, struct command_line *line, struct talc_error *err) {
    struct stage_values *v = &t->stage;
    if (!stage_open_folder(v, err) || !open_data(t, err) || !stage_goes_on(t->stop, err) ||
        !open_model(t, &device->stream, err) || !open_rows(t, err) || !encode_prompt(t, err) ||
        !stage_apply(v, &t->recipe, err) || !stage_goes_on(t->stop, err) || !stage_save_settings(line, v->out, err))
        return cli_fail("train", err);
    bool validate = t->validation_tokens.n_tokens > 0;
    struct stage stage = {.command = "train",
                          .values = v,
                          .device = device,
                          .model = &t->model,
                          .tokenizer = t->tokenizer,
                          .sample_prompt = t->sample_prompt,
                          .recipe = t->recipe,
                          .data = {.train = &t->train_rows,
                                   .validation = validate ? &t->validation_rows : NULL,
                                   .rows_per_step = t->recipe.rows_per_step,
                                   .validation_bytes = (double)t->info.val.n_bytes},
                          .objective = objective_cross_entropy("pretrain"),
                          .stop = t->stop};
    return stage_run(&stage, err);
}

static void close_all(struct train *t) {
    if (t->train_rows.close) loader_close(&t->train_rows);
    if (t->validation_rows.close) loader_close(&t->validation_rows);
    token_source_close(&t->tokens);
    token_source_close(&t->validation_tokens);
    if (t->model.memory) model_close(&t->model);
    tokenizer_free(t->tokenizer);
    token_list_free(&t->sample_prompt);
}

int cmd_train(int argc, char **argv) {
    struct train t = {.stage = stage_values_defaults(), .depth = 4, .dropout = -1};
    /* clang-format off */
    struct option options[] = {
        {.name = "data", .kind = OPTION_TEXT, .value = &t.data, .argument = "DIR", .help = "what talc prepare made"},
        {.name = "depth", .kind = OPTION_INT, .value = &t.depth, .argument = "N",
         .help = "layers; width, heads, rates and batch follow (default 4)", .min = 1, .max = ARCH_MAX_DEPTH},
        {.name = "preset", .kind = OPTION_TEXT, .instead_of = "depth", .value = &t.preset, .argument = "NAME",
         .help = "a known shape instead (talc info lists them)"},
        {.name = "hidden-size", .kind = OPTION_INT, .value = &t.hidden_size, .argument = "N",
         .help = "width (default: by shape)", .min = 1, .max = 1 << 20},
        {.name = "n-heads", .kind = OPTION_INT, .value = &t.n_heads, .argument = "N",
         .help = "query heads (default: by width)", .min = 1, .max = 1 << 14},
        {.name = "n-kv-heads", .kind = OPTION_INT, .value = &t.n_kv_heads, .argument = "N",
         .help = "key and value heads (default: by shape)", .min = 1, .max = 1 << 14},
        {.name = "intermediate-size", .kind = OPTION_INT, .value = &t.intermediate_size, .argument = "N",
         .help = "of the MLP (default: by shape)", .min = 1, .max = 1 << 22},
        {.name = "context", .kind = OPTION_INT, .value = &t.context, .argument = "N",
         .help = "tokens in a row (default: by shape)", .min = 1, .max = 1e7},
        {.name = "dropout", .kind = OPTION_NUMBER, .value = &t.dropout, .argument = "P",
         .help = "probability (default: by shape)", .min = 0, .max = 0.99},
        {.name = "paper-attention", .kind = OPTION_FLAG, .value = &t.paper_attention,
         .help = "GPT-3's alternating banded layers"},
        {.name = "no-document-mask", .kind = OPTION_FLAG, .value = &t.no_document_mask,
         .help = "let a document see the one before it"},
        {.name = "sample-prompt", .kind = OPTION_TEXT, .value = &t.prompt, .argument = "TEXT",
         .help = "beginning of sample texts; '' starts a new text"},
        OPTIONS_STAGE(t.stage),
    };
    /* clang-format on */
    struct command_line line = {.command = "train",
                                .summary = "pretrain a model on token shards",
                                .arguments = "",
                                .example = "talc train --data data/ --out run/ --depth 4 --minutes 5",
                                .options = options,
                                .n_options = OPTIONS_COUNT(options)};
    int code = stage_parse(&line, &t.stage, argc, argv);
    if (code >= 0) return code;
    struct talc_error err = {0};
    struct cli_device device;
    t.stop = cli_catch_interrupt();
    if (!t.data || !t.stage.out)
        code = cli_usage("train", "needs --data DIR (from talc prepare) and --out DIR");
    else if (!cli_device_open(&device, t.stage.device, t.stage.threads, &err))
        code = cli_fail("train", &err);
    else {
        code = train(&t, &device, &line, &err);
        if (code == EXIT_FAILED && *t.stop) code = EXIT_INTERRUPTED;
        close_all(&t);
        stage_close_folder(&t.stage);
        cli_device_close(&device);
    }
    options_free(&line);
    return code;
}
