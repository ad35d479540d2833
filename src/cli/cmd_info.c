/* cmd_info.c - talc info: what a model is and needs, what presets there are, what this machine has. */
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "cli/cli.h"
#include "file/atomic.h"
#include "file/json.h"
#include "file/run_folder.h"
#include "file/safetensors.h"
#include "infer/engine.h"
#include "model/gguf_tensors.h"
#include "model/model.h"
#include "tensor/device.h"
#include "text/tokenizer.h"

struct info {
    const char *model, *preset;
    int64_t depth, vocab_size, batch_rows, context;
    bool cpu, json, paper_attention, recompute;
    enum dtype weights; /* that a folder's are kept in to generate */
};

/* Of a row, and of the KV cache. */
static int context_of(const struct info *i, const struct arch *a) {
    return i->context > 0 ? (int)i->context : a->context_length;
}

/* Of the training batch; a batch cannot have more than an int counts. */
static int train_tokens(const struct info *i, const struct arch *a) {
    int64_t tokens = i->batch_rows * context_of(i, a);
    return tokens > INT_MAX ? INT_MAX : (int)tokens;
}

static struct memory_table training_memory(const struct info *i, const struct arch *a) {
    struct run_options o = {.max_tokens = train_tokens(i, a),
                            .max_sequences = train_tokens(i, a),
                            .training = true,
                            .recompute = i->recompute};
    return model_memory(a, &o, DTYPE_F32);
}

static struct memory_table serving_memory(const struct info *i, const struct arch *a) {
    return engine_memory(a, &(struct engine_options){.n_streams = 1, .context_length = (int)i->context}, i->weights);
}

static void print_row(const char *label, size_t training, size_t serving) {
    char a[32], b[32];
    printf("  %-12s %14s %14s\n", label, training ? format_bytes((double)training, a) : "-",
           serving ? format_bytes((double)serving, b) : "-");
}

static void print_memory(const struct info *i, const struct arch *a) {
    struct memory_table t = training_memory(i, a), s = serving_memory(i, a);
    printf("\nmemory (fp32)       to train    to generate\n");
    printf("%20lld x %d tokens  %d tokens\n", (long long)i->batch_rows, context_of(i, a), context_of(i, a));
    print_row("parameters", t.parameters, s.parameters);
    print_row("gradients", t.gradients, 0);
    print_row("optimizer", t.optimizer, 0);
    print_row("activations", t.activations, s.activations);
    print_row("workspace", t.workspace, s.workspace);
    print_row("logits", t.logits, s.logits);
    print_row("KV cache", 0, s.kv_cache);
    print_row("total", t.total, s.total);
    if (i->weights == DTYPE_BF16 || i->weights == DTYPE_F16)
        printf("to generate, weights are kept in %s\n", dtype_name(i->weights));
}

static const char *activation_name(enum activation_kind kind) {
    static const char *const names[] = {"GELU (tanh)", "SwiGLU", "ReLU squared", "GEGLU (tanh)"};
    return names[kind];
}

static void print_angles(const struct arch *a, const struct layer_arch *layer) {
    static const char *const kinds[] = {"", "linear", "dynamic", "llama3", "yarn", "longrope"};
    const struct rope_scaling *s = &layer->scaling;
    printf("base %g", (double)layer->rope_base);
    if (s->kind == ROPE_LONG)
        printf(", longrope's short factors (its long ones, to %d tokens, are not done)", a->rope_long.full_context);
    else if (s->kind != ROPE_PLAIN)
        printf(", %s scaling by %g", kinds[s->kind], (double)s->factor);
}

static void print_rotary(const struct arch *a) {
    int other = 0;
    printf("positions         rotary, ");
    print_angles(a, &a->layers[0]);
    if (a->rotary_dim) printf(", of %d of %d in a head", a->rotary_dim, a->head_dim);
    while (other < a->n_layers && a->layers[other].rope_base == a->layers[0].rope_base) other++;
    if (other < a->n_layers) {
        printf("; in other layers ");
        print_angles(a, &a->layers[other]);
    }
    putchar('\n');
}

static void print_arch(const struct arch *a) {
    char n[32], b[32], f[32];
    int64_t parameters = arch_parameters(a), in_blocks = arch_block_parameters(a);
    printf("family            %s\n", a->family);
    printf("parameters        %lld (%s; %s in blocks)\n", (long long)parameters, format_count((double)parameters, n),
           format_count((double)in_blocks, b));
    printf("layers            %d\nhidden size       %d\nheads             %d of %d", a->n_layers, a->hidden_size,
           a->n_heads, a->head_dim);
    if (a->n_kv_heads != a->n_heads) printf(", %d for keys and values", a->n_kv_heads);
    printf("\nintermediate size %d, %s\n", a->intermediate_size, activation_name(a->activation));
    printf("norm              %s, epsilon %g%s%s\n", a->norm == NORM_RMS ? "RMSNorm" : "LayerNorm",
           (double)a->norm_epsilon, a->qk_norm ? ", queries and keys too" : "",
           a->post_norms ? ", after attention and MLP too" : "");
    if (a->attention_softcap > 0) printf("soft cap          of scores, %g\n", (double)a->attention_softcap);
    if (a->logit_softcap > 0) printf("soft cap          of logits, %g\n", (double)a->logit_softcap);
    if (a->learned_positions)
        printf("positions         learned\n");
    else
        print_rotary(a);
    int banded = 0;
    for (int l = 0; l < a->n_layers; l++) banded += a->layers[l].window > 0;
    if (banded) printf("banded layers     %d of %d\n", banded, a->n_layers);
    printf("vocabulary        %d%s\ncontext           %d tokens\n", a->vocab_size,
           a->tie_embeddings ? ", embedding and head tied" : "", a->context_length);
    printf("training          %sFLOP a token\n", format_count(arch_train_flops(a, a->context_length), f));
}

static json_t *memory_json(struct memory_table t) {
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "parameters", (json_int_t)t.parameters, "gradients",
                     (json_int_t)t.gradients, "optimizer", (json_int_t)t.optimizer, "activations",
                     (json_int_t)t.activations, "workspace", (json_int_t)t.workspace, "logits", (json_int_t)t.logits,
                     "kv_cache", (json_int_t)t.kv_cache, "total", (json_int_t)t.total);
}

static bool print_json(const struct info *i, const struct arch *a, json_t *facts, struct talc_error *err) {
    json_t *o =
        json_pack("{s:s,s:I,s:I,s:f,s:o,s:o,s:o}", "family", a->family, "parameters", (json_int_t)arch_parameters(a),
                  "block_parameters", (json_int_t)arch_block_parameters(a), "train_flops_per_token",
                  arch_train_flops(a, a->context_length), "memory_to_train", memory_json(training_memory(i, a)),
                  "memory_to_generate", memory_json(serving_memory(i, a)), "config", arch_to_config(a));
    if (o && facts) json_object_update(o, facts);
    return cli_print_json(stdout, o, err);
}

/* ---- a model ---------------------------------------------------------------------------------- */

static void add_tensor(json_t *types, const char *type, size_t n_bytes) {
    json_t *sum = json_object_get(types, type);
    if (!sum) json_object_set_new(types, type, sum = json_pack("{s:i,s:i}", "tensors", 0, "bytes", 0));
    json_int_t tensors = json_integer_value(json_object_get(sum, "tensors")),
               bytes = json_integer_value(json_object_get(sum, "bytes"));
    json_object_set_new(sum, "tensors", json_integer(tensors + 1));
    json_object_set_new(sum, "bytes", json_integer(bytes + (json_int_t)n_bytes));
}

static bool add_safetensors(json_t *types, const char *folder, struct talc_error *err) {
    struct safetensors *st = safetensors_open_folder(folder, err);
    for (size_t i = 0; st && i < safetensors_count(st); i++)
        add_tensor(types, safetensors_at(st, i)->dtype_text, safetensors_at(st, i)->n_bytes);
    safetensors_close(st);
    return st;
}

static bool add_gguf(json_t *types, const char *path, struct talc_error *err) {
    struct gguf_model *g = gguf_model_open(path, err);
    for (size_t i = 0; g && i < gguf_model_count(g); i++)
        add_tensor(types, gguf_model_at(g, i)->type->name, gguf_model_at(g, i)->n_bytes);
    gguf_model_close(g);
    return g;
}

/* How many tensors there are of each type, and their bytes: {"F32": {"tensors": 3, "bytes": 1000}}. */
static json_t *weights_json(const char *place, struct talc_error *err) {
    json_t *types = json_object();
    if (!types) talc_fail(err, "out of memory");
    if (types && (folder_exists(place) ? add_safetensors : add_gguf)(types, place, err)) return types;
    json_decref(types);
    return NULL;
}

static json_t *tokenizer_json(const char *folder, struct talc_error *err) {
    struct tokenizer *tok = tokenizer_load(folder, err);
    json_t *o = tok ? json_pack("{s:i,s:s,s:b}", "tokens", tokenizer_vocab_size(tok), "kind",
                                tokenizer_description(tok), "chat_template", tokenizer_chat_template(tok) != NULL)
                    : NULL;
    tokenizer_free(tok);
    return o;
}

/* How far the run has come whose checkpoint this is. NULL: it is none. */
static json_t *run_json(const char *folder, struct talc_error *err) {
    static const char *const numbers[] = {"seconds", "train_loss", "val_loss", "best_loss"}, *const counts[] = {
                                                                                                 "step", "total_steps",
                                                                                                 "tokens", "best_step"};
    char *path = path_join(folder, "trainer.json");
    json_t *state = path && file_exists(path) ? json_read_file(path, 1 << 20, err) : NULL, *o = NULL;
    bool ok = state != NULL;
    if (ok) o = json_object();
    for (int i = 0; ok && i < 4; i++) {
        int64_t n;
        ok = json_get_int(state, counts[i], -1, -1, INT64_MAX, &n, err);
        if (ok && n >= 0) json_object_set_new(o, counts[i], json_integer(n));
    }
    for (int i = 0; ok && i < 4; i++) {
        double x;
        ok = json_get_number(state, numbers[i], (double)NAN, &x, err);
        if (ok) json_object_set_new(o, numbers[i], cli_json_number(x));
    }
    if (!ok && state) talc_fail_in(err, "%s", path);
    if (!ok) json_decref(o);
    json_decref(state);
    free(path);
    return ok ? o : NULL;
}

static void print_weights(const json_t *weights) {
    const char *type, *between = "";
    json_t *sum;
    char bytes[32];
    json_object_foreach((json_t *)weights, type, sum) {
        json_int_t tensors = json_integer_value(json_object_get(sum, "tensors"));
        format_bytes((double)json_integer_value(json_object_get(sum, "bytes")), bytes);
        printf("%s%s, %lld tensor%s, %s", between, type, tensors, tensors == 1 ? "" : "s", bytes);
        between = "; ";
    }
    putchar('\n');
}

static void print_loss(const json_t *run, const char *key, const char *name) {
    const json_t *x = json_object_get(run, key);
    if (json_is_real(x)) printf(", %s %.4f", name, json_real_value(x));
}

static void print_run(const json_t *run) {
    char tokens[32], time[32];
    const json_t *best = json_object_get(run, "best_step");
    printf("%lld of %lld steps, %s tokens, %s", json_integer_value(json_object_get(run, "step")),
           json_integer_value(json_object_get(run, "total_steps")),
           format_count((double)json_integer_value(json_object_get(run, "tokens")), tokens),
           format_seconds(json_number_value(json_object_get(run, "seconds")), time));
    print_loss(run, "train_loss", "training loss");
    print_loss(run, "val_loss", "validation loss");
    print_loss(run, "best_loss", "the best");
    if (best && json_is_real(json_object_get(run, "best_loss"))) printf(" at step %lld", json_integer_value(best));
    putchar('\n');
}

static void print_tokenizer(const json_t *tokenizer) {
    printf("%lld tokens, %s%s\n", json_integer_value(json_object_get(tokenizer, "tokens")),
           json_string_value(json_object_get(tokenizer, "kind")),
           json_is_true(json_object_get(tokenizer, "chat_template")) ? ", with a chat template" : "");
}

/* What there is besides the shape, into *facts; what cannot be read is said in its place, for the shape can. */
static void read_facts(const struct info *i, const char *folder, json_t *facts) {
    static const struct {
        const char *key, *label;
        json_t *(*read)(const char *folder, struct talc_error *err);
        void (*print)(const json_t *value);
    } parts[] = {{"tokenizer", "tokenizer", tokenizer_json, print_tokenizer},
                 {"weights", "weights", weights_json, print_weights},
                 {"run", "trained", run_json, print_run}};
    if (!i->json) printf("model             %s\n", folder);
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        struct talc_error err = {0};
        json_t *value = parts[p].read(folder, &err);
        bool absent = !value && !*err.message;
        if (!i->json && !absent) printf("%-17s ", parts[p].label);
        if (!i->json && value) parts[p].print(value);
        if (!i->json && !value && !absent) printf("cannot be read: %s\n", err.message);
        json_object_set_new(facts, parts[p].key, value ? value : json_null());
    }
}

static bool read_model(struct info *i, struct arch *arch, json_t *facts, struct talc_error *err) {
    char *place = run_folder_find_model(i->model, false, err);
    bool ok = place && model_read_arch(place, arch, err);
    if (ok) read_facts(i, place, facts);
    if (ok && !model_stored_weights(place, &i->weights, NULL)) i->weights = DTYPE_F32; /* read_facts said why */
    free(place);
    return ok;
}

/* ---- presets, this machine -------------------------------------------------------------------- */

static bool list_presets(const struct info *i, struct talc_error *err) {
    json_t *list = json_array();
    if (!i->json) printf("presets (talc info --preset NAME):\n");
    for (const struct preset *p = presets; p->name; p++) {
        if (!i->json) printf("  %-22s %s\n", p->name, p->summary);
        json_array_append_new(list, json_pack("{s:s,s:s}", "name", p->name, "summary", p->summary));
    }
    if (i->json) return cli_print_json(stdout, json_pack("{s:o}", "presets", list), err);
    json_decref(list);
    return true;
}

static void print_note(const char *name) {
    for (const struct preset *p = presets; p->name; p++)
        if (strcmp(p->name, name) == 0 && p->note) printf("note              %s\n", p->note);
}

static bool print_cpu(const struct info *i, struct talc_error *err) {
    struct cli_device device;
    if (!cli_device_open(&device, "cpu", 0, err)) return false;
    const char *kernels = device.stream.backend->describe(&device.stream, DTYPE_F32);
    const char *bf16 = device.stream.backend->describe(&device.stream, DTYPE_BF16);
    bool ok = true;
    if (i->json)
        ok = cli_print_json(
            stdout, json_pack("{s:i,s:s,s:s}", "cores", cpu_count(), "kernels", kernels, "bf16_products", bf16), err);
    else
        printf("cores             %d\nkernels           %s\nbf16 products     %s\n", cpu_count(), kernels, bf16);
    cli_device_close(&device);
    return ok;
}

static bool show(struct info *i, struct talc_error *err) {
    struct arch arch;
    if (i->cpu) return print_cpu(i, err);
    bool ok = true;
    json_t *facts = json_object();
    if (i->model) {
        ok = read_model(i, &arch, facts, err);
    } else if (i->preset) {
        ok = arch_preset(i->preset, &arch, err);
    } else if (i->depth > 0) {
        ok = arch_from_depth((int)i->depth, (int)i->vocab_size, &arch, err);
    } else {
        json_decref(facts);
        return list_presets(i, err);
    }
    if (ok && i->paper_attention) arch_paper_attention(&arch);
    if (ok && i->context > arch.context_length)
        ok = talc_fail(err, "--context %lld is more than the model's %d", (long long)i->context, arch.context_length);
    if (ok && i->json) {
        ok = print_json(i, &arch, facts, err);
    } else if (ok) {
        print_arch(&arch);
        if (i->preset) print_note(i->preset);
        print_memory(i, &arch);
    }
    json_decref(facts);
    return ok;
}

int cmd_info(int argc, char **argv) {
    struct info i = {.vocab_size = 8192, .batch_rows = 1};
    /* clang-format off */
    struct option options[] = {
        {.name = "model", .letter = 'm', .kind = OPTION_TEXT, .value = &i.model, .argument = "DIR",
         .help = "model or run folder, or a GGUF file"},
        {.name = "preset", .kind = OPTION_TEXT, .value = &i.preset, .argument = "NAME",
         .help = "a known shape (talc info alone lists them)"},
        {.name = "depth", .kind = OPTION_INT, .value = &i.depth, .argument = "N",
         .help = "the shape of talc train --depth N", .min = 1, .max = ARCH_MAX_DEPTH},
        {.name = "vocab-size", .kind = OPTION_INT, .value = &i.vocab_size, .argument = "N",
         .help = "with --depth (default 8192)", .min = 1, .max = 1e7},
        {.name = "batch", .kind = OPTION_INT, .value = &i.batch_rows, .argument = "ROWS",
         .help = "rows of the training batch in the memory table (default 1)", .min = 1, .max = 1e5},
        {.name = "context", .letter = 'c', .kind = OPTION_INT, .value = &i.context, .argument = "N",
         .help = "tokens of a row and of the KV cache in it (default: the model's context)", .min = 1, .max = 1e7},
        {.name = "recompute", .kind = OPTION_FLAG, .value = &i.recompute,
         .help = "the memory table as talc train --recompute takes it"},
        {.name = "paper-attention", .kind = OPTION_FLAG, .value = &i.paper_attention,
         .help = "GPT-3's alternating banded layers"},
        {.name = "cpu", .kind = OPTION_FLAG, .value = &i.cpu, .help = "cores and chosen instruction set"},
        {.name = "json", .kind = OPTION_FLAG, .value = &i.json, .help = "one JSON object"},
    };
    /* clang-format on */
    struct command_line line = {.command = "info",
                                .summary = "what a model is and needs; presets; this machine",
                                .arguments = "",
                                .example = "talc info --preset gpt3-175b",
                                .options = options,
                                .n_options = OPTIONS_COUNT(options)};
    int code = options_parse(&line, argc, argv);
    if (code >= 0) return code;
    if ((i.model != NULL) + (i.preset != NULL) + (i.depth > 0) + i.cpu > 1) {
        options_free(&line);
        return cli_usage("info", "one of -m, --preset, --depth and --cpu at a time");
    }
    if (i.depth == 0 && option_given(&line, "vocab-size")) {
        options_free(&line);
        return cli_usage("info", "--vocab-size goes with --depth; a model and a preset have their own");
    }
    struct talc_error err = {0};
    bool ok = show(&i, &err);
    options_free(&line);
    return ok ? EXIT_DONE : cli_fail("info", &err);
}
