/* gguf_config.c - the metadata of a GGUF file as a config.json: keys of the same meaning are a table; what has no key
 * in the file (a head that is tied, biases) is read off its tensors. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/gguf_arch.h"

struct translation {
    const struct gguf_model *model;
    const struct gguf_file *file;
    const struct gguf_arch *arch;
    json_t *config;
    int64_t head_dim, rotary_dim; /* the numbers of a head, and how many of them turn */
    bool ok;                      /* false: a value could not be put for want of memory */
};

/* ---- keys ------------------------------------------------------------------------------------ */

enum kind { WHOLE, NUMBER };

/* "llama.SUFFIX" and what config.json calls it. */
struct key {
    const char *suffix, *theirs;
    enum kind kind;
    bool needed;
};

static const struct key gpt2_keys[] = {
    {"context_length", "n_positions", WHOLE, true},
    {"embedding_length", "n_embd", WHOLE, true},
    {"block_count", "n_layer", WHOLE, true},
    {"feed_forward_length", "n_inner", WHOLE, true},
    {"attention.head_count", "n_head", WHOLE, true},
    {"attention.layer_norm_epsilon", "layer_norm_epsilon", NUMBER, true},
    {0},
};

static const struct key rotary_keys[] = {
    {"context_length", "max_position_embeddings", WHOLE, true},
    {"embedding_length", "hidden_size", WHOLE, true},
    {"block_count", "num_hidden_layers", WHOLE, true},
    {"feed_forward_length", "intermediate_size", WHOLE, true},
    {"attention.head_count", "num_attention_heads", WHOLE, true},
    {"attention.head_count_kv", "num_key_value_heads", WHOLE, false},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps", NUMBER, true},
    {"rope.freq_base", "rope_theta", NUMBER, false},
    {0},
};

/* Of gemma2 and gemma3 besides; what is absent means what it means in their config.json. */
static const struct key gemma_keys[] = {
    {"attn_logit_softcapping", "attn_logit_softcapping", NUMBER, false},
    {"final_logit_softcapping", "final_logit_softcapping", NUMBER, false},
    {"attention.sliding_window", "sliding_window", WHOLE, false},
    {"attention.sliding_window_pattern", "sliding_window_pattern", WHOLE, false},
    {"rope.freq_base_swa", "rope_local_base_freq", NUMBER, false},
    {0},
};
static const struct key no_keys[] = {{0}};

/* Read elsewhere in this file, of models with rotary positions. */
static const char *const rotary_settings[] = {"attention.key_length",
                                              "attention.value_length",
                                              "attention.sliding_window",
                                              "rope.dimension_count",
                                              "rope.scale_linear",
                                              "rope.scaling.type",
                                              "rope.scaling.factor",
                                              "rope.scaling.attn_factor",
                                              "rope.scaling.original_context_length",
                                              NULL};

/* Without effect on the arithmetic, or said by the tensors too. */
static const char *const harmless[] = {"vocab_size", "tensor_data_layout", "rope.scaling.finetuned", NULL};

/* What talc does in one way only. */
static const struct {
    const char *suffix;
    double value;
} fixed[] = {{"expert_count", 0},     {"expert_used_count", 0},   {"use_parallel_residual", 0},
             {"attention.causal", 1}, {"attention.clamp_kqv", 0}, {"attention.max_alibi_bias", 0}};
enum { N_FIXED = sizeof fixed / sizeof *fixed };

/* Two lists. */
static const struct key *keys_of(const struct translation *t, int list) {
    if (list) return t->arch->gemma ? gemma_keys : no_keys;
    return t->arch->learned_positions ? gpt2_keys : rotary_keys;
}

static const char *full_key(const struct translation *t, const char *suffix, char key[128]) {
    snprintf(key, 128, "%s.%s", t->arch->name, suffix);
    return key;
}

static bool get_whole(const struct translation *t, const char *suffix, int64_t fallback, int64_t *out,
                      struct talc_error *err) {
    char key[128];
    return gguf_get_int(t->file, full_key(t, suffix, key), fallback, out, err);
}

static bool get_number(const struct translation *t, const char *suffix, double fallback, double *out,
                       struct talc_error *err) {
    char key[128];
    return gguf_get_number(t->file, full_key(t, suffix, key), fallback, out, err);
}

static void put_in(struct translation *t, json_t *object, const char *key, json_t *value) {
    t->ok &= json_object_set_new(object, key, value) == 0;
}

static void put(struct translation *t, const char *key, json_t *value) { put_in(t, t->config, key, value); }

static bool put_key(struct translation *t, const struct key *k, struct talc_error *err) {
    char name[128];
    int64_t whole;
    double number;
    if (!gguf_find(t->file, full_key(t, k->suffix, name)))
        return !k->needed || talc_fail(err, "\"%s\" is missing", name);
    if (!(k->kind == WHOLE ? gguf_get_int(t->file, name, 0, &whole, err)
                           : gguf_get_number(t->file, name, 0, &number, err)))
        return false;
    put(t, k->theirs, k->kind == WHOLE ? json_integer(whole) : json_real(number));
    return true;
}

static bool put_keys(struct translation *t, struct talc_error *err) {
    for (int list = 0; list < 2; list++)
        for (const struct key *k = keys_of(t, list); k->suffix; k++)
            if (!put_key(t, k, err)) return false;
    return true;
}

static bool check_fixed(const struct translation *t, const struct gguf_value *v, size_t i, struct talc_error *err) {
    char key[128];
    bool flag = false;
    double x = 0;
    full_key(t, fixed[i].suffix, key);
    if (!(v->type == GGUF_BOOL ? gguf_get_bool(t->file, key, false, &flag, err)
                               : gguf_get_number(t->file, key, 0, &x, err)))
        return false;
    if (v->type == GGUF_BOOL) x = flag;
    return x == fixed[i].value || talc_fail(err, "\"%s\" is %g, which talc does not do", key, x);
}

static bool is_listed(const char *const *list, struct gguf_string suffix) {
    while (*list && !gguf_string_is(suffix, *list)) list++;
    return *list;
}

/* A setting of the architecture, which must be one that is read. */
static bool check_setting(const struct translation *t, const struct gguf_value *v, struct gguf_string suffix,
                          struct talc_error *err) {
    for (int list = 0; list < 2; list++)
        for (const struct key *k = keys_of(t, list); k->suffix; k++)
            if (gguf_string_is(suffix, k->suffix)) return true;
    for (size_t i = 0; i < N_FIXED; i++)
        if (gguf_string_is(suffix, fixed[i].suffix)) return check_fixed(t, v, i, err);
    if (is_listed(harmless, suffix) || (!t->arch->learned_positions && is_listed(rotary_settings, suffix))) return true;
    return talc_fail(err, "\"%.*s\" is a setting that talc does not do", v->key.n_bytes > 80 ? 80 : (int)v->key.n_bytes,
                     v->key.data);
}

static bool check_settings(const struct translation *t, struct talc_error *err) {
    size_t n = strlen(t->arch->name);
    for (size_t i = 0; i < t->file->n_values; i++) {
        struct gguf_string key = t->file->values[i].key;
        if (key.n_bytes <= n || memcmp(key.data, t->arch->name, n) != 0 || key.data[n] != '.') continue;
        struct gguf_string suffix = {key.data + n + 1, key.n_bytes - n - 1};
        if (!check_setting(t, &t->file->values[i], suffix, err)) return false;
    }
    return true;
}

/* ---- rotary positions ------------------------------------------------------------------------ */

/* A tensor of factors, one for each frequency. */
static const struct gguf_weight *factors_named(const struct translation *t, const char *name) {
    return gguf_model_find(t->model, name);
}

static bool read_factors(const struct translation *t, const struct gguf_weight *w, float *out, struct talc_error *err) {
    if (w->n_elements != (size_t)t->rotary_dim / 2 || w->type->elements != 1)
        return talc_fail(err, "tensor \"%s\" has %zu factors for heads of which %" PRId64 " numbers turn", w->name,
                         w->n_elements, t->rotary_dim);
    return gguf_weight_read_f32(w, 0, w->n_elements, out, err);
}

static json_t *factor_list(struct translation *t, const float *factors) {
    json_t *list = json_array();
    for (int64_t i = 0; i < t->rotary_dim / 2; i++)
        t->ok &= json_array_append_new(list, json_real((double)factors[i])) == 0;
    return list;
}

/* Llama 3.1's scaling leaves no trace but the factors that it gives: those of its only published settings (factors of
 * 8, 32 and others; the rest is always the same) are known again. */
static const struct { double low, high, original_context; } llama3 = {1, 4, 8192};

static bool is_llama3(const struct translation *t, const float *factors, double base) {
    int64_t half = t->rotary_dim / 2;
    double most = (double)factors[half - 1];
    for (int64_t i = 0; i < half; i++) {
        double wavelength = 2 * 3.14159265358979323846 * pow(base, (double)i / (double)half), expected = 1;
        double turns = llama3.original_context / wavelength, mean = (turns - llama3.low) / (llama3.high - llama3.low);
        if (turns < llama3.low)
            expected = most;
        else if (turns <= llama3.high)
            expected = 1 / ((1 - mean) / most + mean);
        if (fabs((double)factors[i] - expected) > 1e-4 * expected) return false;
    }
    return true;
}

static bool put_llama3(struct translation *t, json_t *rope, const struct gguf_weight *w, struct talc_error *err) {
    float factors[MOST_HEAD_DIM / 2];
    double base;
    if (!get_number(t, "rope.freq_base", 10000, &base, err) || !read_factors(t, w, factors, err)) return false;
    if (!is_llama3(t, factors, base))
        return talc_fail(err, "tensor \"%s\" is not the scaling of Llama 3.1, the only one of this kind that is known",
                         w->name);
    put_in(t, rope, "rope_type", json_string("llama3"));
    put_in(t, rope, "factor", json_real((double)factors[t->rotary_dim / 2 - 1]));
    put_in(t, rope, "low_freq_factor", json_real(llama3.low));
    put_in(t, rope, "high_freq_factor", json_real(llama3.high));
    put_in(t, rope, "original_max_position_embeddings", json_integer((json_int_t)llama3.original_context));
    return true;
}

/* Phi-3's: factors for contexts up to the original one, and for longer ones. */
static bool put_longrope(struct translation *t, json_t *rope, int64_t original, struct talc_error *err) {
    static const char *const names[] = {"rope_factors_short.weight", "rope_factors_long.weight"};
    static const char *const keys[] = {"short_factor", "long_factor"};
    float factors[MOST_HEAD_DIM / 2];
    double attention;
    for (int i = 0; i < 2; i++) {
        const struct gguf_weight *w = factors_named(t, names[i]);
        if (!w) return talc_fail(err, "tensor \"%s\" is missing", names[i]);
        if (!read_factors(t, w, factors, err)) return false;
        put_in(t, rope, keys[i], factor_list(t, factors));
    }
    if (original < 1) return talc_fail(err, "\"%s.rope.scaling.original_context_length\" is missing", t->arch->name);
    if (!get_number(t, "rope.scaling.attn_factor", 1, &attention, err)) return false;
    put_in(t, rope, "rope_type", json_string("longrope"));
    put_in(t, rope, "attention_factor", json_real(attention));
    put_in(t, rope, "original_max_position_embeddings", json_integer(original));
    put(t, "original_max_position_embeddings", json_integer(original));
    return true;
}

/* rope.scaling.*, of which "none" is as good as absent. */
static bool put_named_scaling(struct translation *t, json_t *rope, struct gguf_string type, double factor,
                              int64_t original, struct talc_error *err) {
    double attention;
    char *name = strndup(type.data, type.n_bytes);
    if (!name) return talc_fail(err, "out of memory");
    put_in(t, rope, "rope_type", json_string(name));
    free(name);
    put_in(t, rope, "factor", json_real(factor));
    if (original > 0) put_in(t, rope, "original_max_position_embeddings", json_integer(original));
    if (!get_number(t, "rope.scaling.attn_factor", 1, &attention, err)) return false;
    return attention == 1 ||
           talc_fail(err, "\"%s.rope.scaling.attn_factor\" is %g, which talc does not do", t->arch->name, attention);
}

static bool put_scaling(struct translation *t, struct talc_error *err) {
    char key[128];
    struct gguf_string type;
    double linear, factor;
    int64_t original;
    const struct gguf_weight *freqs = factors_named(t, "rope_freqs.weight");
    bool by_length = factors_named(t, "rope_factors_short.weight") || factors_named(t, "rope_factors_long.weight");
    if (!gguf_get_string(t->file, full_key(t, "rope.scaling.type", key), (struct gguf_string){"none", 4}, &type, err) ||
        !get_number(t, "rope.scale_linear", 1, &linear, err) ||
        !get_number(t, "rope.scaling.factor", linear, &factor, err) ||
        !get_whole(t, "rope.scaling.original_context_length", 0, &original, err))
        return false;
    if (gguf_string_is(type, "none") && factor != 1 && !by_length) type = (struct gguf_string){"linear", 6};
    bool named = !gguf_string_is(type, "none") && !gguf_string_is(type, "longrope");
    if (named + by_length + (freqs != NULL) > 1)
        return talc_fail(err, "rotary frequencies are scaled in two ways at once, which talc does not do");
    if (!named && !by_length && !freqs) return true;
    json_t *rope = json_object();
    if (!rope) return talc_fail(err, "out of memory");
    bool ok = freqs       ? put_llama3(t, rope, freqs, err)
              : by_length ? put_longrope(t, rope, original, err)
                          : put_named_scaling(t, rope, type, factor, original, err);
    put(t, "rope_scaling", rope);
    return ok;
}

/* Heads as wide as the file says, or as fits the width; values as wide as keys; how much of them turns. */
static bool put_heads(struct translation *t, struct talc_error *err) {
    int64_t hidden, n_heads, value;
    if (!get_whole(t, "embedding_length", 0, &hidden, err) || !get_whole(t, "attention.head_count", 0, &n_heads, err))
        return false;
    if (n_heads < 1 || hidden < 1) return talc_fail(err, "%" PRId64 " heads and a width of %" PRId64, n_heads, hidden);
    if (!get_whole(t, "attention.key_length", hidden / n_heads, &t->head_dim, err) ||
        !get_whole(t, "attention.value_length", t->head_dim, &value, err) ||
        !get_whole(t, "rope.dimension_count", t->head_dim, &t->rotary_dim, err))
        return false;
    if (t->head_dim < 2 || t->head_dim > MOST_HEAD_DIM || t->head_dim % 2 != 0)
        return talc_fail(err, "heads of %" PRId64 " numbers; talc does even sizes up to %d", t->head_dim,
                         MOST_HEAD_DIM);
    if (value != t->head_dim)
        return talc_fail(err, "values of %" PRId64 " numbers for keys of %" PRId64 ", which talc does not do", value,
                         t->head_dim);
    if (t->rotary_dim < 2 || t->rotary_dim > t->head_dim || t->rotary_dim % 2 != 0 ||
        (t->arch->pairs && t->rotary_dim != t->head_dim))
        return talc_fail(err,
                         "\"%s.rope.dimension_count\" is %" PRId64 " for heads of %" PRId64 ", which talc does not do",
                         t->arch->name, t->rotary_dim, t->head_dim);
    put(t, "head_dim", json_integer(t->head_dim));
    if (t->rotary_dim != t->head_dim)
        put(t, "partial_rotary_factor", json_real((double)t->rotary_dim / (double)t->head_dim));
    return true;
}

/* A window as long as the context is none. One of llama's is Mistral's. */
static bool put_window(struct translation *t, struct talc_error *err) {
    int64_t context, window;
    if (t->arch->gemma) return true;
    if (!get_whole(t, "context_length", 0, &context, err) || !get_whole(t, "attention.sliding_window", 0, &window, err))
        return false;
    if (window <= 0 || window >= context) return true;
    bool llama = strcmp(t->arch->name, "llama") == 0;
    if (!llama && strcmp(t->arch->name, "phi3") != 0)
        return talc_fail(err, "\"%s.attention.sliding_window\" is %" PRId64 ", which talc does not do", t->arch->name,
                         window);
    if (llama) put(t, "model_type", json_string("mistral"));
    put(t, "sliding_window", json_integer(window));
    return true;
}

/* The scale of scores has no key: it is the head's size, but in the largest model of either family, which llama.cpp
 * knows by its layers, the width shared out to the heads. */
static bool put_score_scale(struct translation *t, struct talc_error *err) {
    int64_t layers, hidden, heads;
    if (!t->arch->gemma) return true;
    if (!get_whole(t, "block_count", 0, &layers, err) || !get_whole(t, "embedding_length", 0, &hidden, err) ||
        !get_whole(t, "attention.head_count", 1, &heads, err))
        return false;
    bool largest = layers == (strcmp(t->arch->name, "gemma2") == 0 ? 46 : 62);
    put(t, "query_pre_attn_scalar", json_integer(largest ? hidden / heads : t->head_dim));
    return true;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool has_tensor(const struct translation *t, const char *name) { return gguf_model_find(t->model, name); }

static bool put_tensors(struct translation *t, struct talc_error *err) {
    const struct gguf_weight *embedding = gguf_model_find(t->model, "token_embd.weight");
    if (!embedding || embedding->n_dims != 2) return talc_fail(err, "tensor \"token_embd.weight\" is missing");
    put(t, "vocab_size", json_integer(embedding->shape[0]));
    put(t, "tie_word_embeddings", json_boolean(!gguf_has_head(t->model)));
    if (t->arch->learned_positions) return true;
    put(t, "attention_bias", json_boolean(has_tensor(t, "blk.0.attn_q.bias")));
    put(t, "mlp_bias", json_boolean(has_tensor(t, "blk.0.ffn_up.bias")));
    return true;
}

static bool put_ids(struct translation *t, struct talc_error *err) {
    static const struct {
        const char *ours, *theirs;
    } ids[] = {{"tokenizer.ggml.bos_token_id", "bos_token_id"},
               {"tokenizer.ggml.eos_token_id", "eos_token_id"},
               {"tokenizer.ggml.padding_token_id", "pad_token_id"}};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        int64_t id;
        if (!gguf_get_int(t->file, ids[i].ours, -1, &id, err)) return false;
        put(t, ids[i].theirs, id >= 0 && id < INT32_MAX ? json_integer(id) : json_null());
    }
    return true;
}

json_t *gguf_to_config(const struct gguf_model *g, const struct gguf_arch *arch, struct talc_error *err) {
    struct translation t = {.model = g, .file = gguf_model_metadata(g), .arch = arch, .ok = true};
    t.config = json_object();
    put(&t, "model_type", json_string(arch->model_type));
    bool ok = check_settings(&t, err) && put_keys(&t, err) && put_tensors(&t, err) && put_ids(&t, err);
    if (ok && !arch->learned_positions)
        ok = put_heads(&t, err) && put_window(&t, err) && put_score_scale(&t, err) && put_scaling(&t, err);
    if (ok && !t.ok) ok = talc_fail(err, "out of memory for the settings of the model");
    if (ok) return t.config;
    json_decref(t.config);
    return NULL;
}
