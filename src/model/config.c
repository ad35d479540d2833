/* config.c - Hugging Face's config.json to an arch and back. What a file asks for and talc does not do is refused by
 * name. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/json.h"
#include "model/arch.h"

/* ---- reading one key ------------------------------------------------------------------------- */

/* A size; a fallback of 0 means that the key must be there. Limits that depend on meaning are arch_check's. */
static bool get_size(const json_t *c, const char *key, int fallback, int *out, struct talc_error *err) {
    int64_t x;
    if (!json_get_int(c, key, fallback, 1, 1 << 24, &x, err)) return false;
    *out = (int)x;
    return x > 0 ? true : talc_fail(err, "%s is missing", key);
}

static bool get_float(const json_t *c, const char *key, double fallback, float *out, struct talc_error *err) {
    double x;
    if (!json_get_number(c, key, fallback, &x, err)) return false;
    *out = (float)x;
    return true;
}

/* An id, or a list of ids of which the first counts; one that the vocabulary does not have is none. */
static bool get_id(const json_t *c, const char *key, int vocab_size, int *out, struct talc_error *err) {
    const json_t *value = json_object_get(c, key);
    *out = -1;
    if (json_is_array(value)) value = json_array_get(value, 0);
    if (!value || json_is_null(value)) return true;
    if (!json_is_integer(value)) return talc_fail(err, "%s is no whole number", key);
    json_int_t id = json_integer_value(value);
    if (id >= 0 && id < vocab_size) *out = (int)id;
    return true;
}

static bool need_bool(const json_t *c, const char *key, bool needed, struct talc_error *err) {
    bool x;
    if (!json_get_bool(c, key, needed, &x, err)) return false;
    return x == needed ? true : talc_fail(err, "%s is %s, which talc does not do", key, x ? "true" : "false");
}

static bool need_null(const json_t *c, const char *key, struct talc_error *err) {
    const json_t *value = json_object_get(c, key);
    return !value || json_is_null(value) ? true : talc_fail(err, "%s is set, which talc does not do", key);
}

/* Dropout has three keys and talc has one. */
static bool get_dropout(const json_t *c, const char *attention_key, double fallback, struct arch *a,
                        struct talc_error *err) {
    float embedding, residual;
    if (!get_float(c, attention_key, fallback, &a->dropout, err) ||
        !get_float(c, "embd_pdrop", fallback, &embedding, err) ||
        !get_float(c, "resid_pdrop", fallback, &residual, err))
        return false;
    if (a->dropout == embedding && a->dropout == residual) return true;
    return talc_fail(err, "%s %g, embd_pdrop %g and resid_pdrop %g differ; talc has one dropout: set all three to it",
                     attention_key, (double)a->dropout, (double)embedding, (double)residual);
}

/* Sliding windows: layer_types names them, or, in older files, all layers from max_window_layers on have one. */
static bool get_windows(const json_t *c, struct arch *a, struct talc_error *err) {
    const json_t *types = json_object_get(c, "layer_types");
    bool use;
    int64_t window, first;
    if (!json_get_bool(c, "use_sliding_window", false, &use, err) ||
        !json_get_int(c, "sliding_window", 0, 1, 1 << 24, &window, err) ||
        !json_get_int(c, "max_window_layers", 28, 0, 1 << 24, &first, err))
        return false;
    if (!use) window = 0;
    if (types && !json_is_null(types) && json_array_size(types) != (size_t)a->n_layers)
        return talc_fail(err, "layer_types has %zu entries for %d layers", json_array_size(types), a->n_layers);
    for (int l = 0; l < a->n_layers; l++) {
        const char *type = json_string_value(json_array_get(types, (size_t)l));
        bool slides = json_is_array(types) ? type && strcmp(type, "sliding_attention") == 0 : window > 0 && l >= first;
        if (json_is_array(types) && !slides && (!type || strcmp(type, "full_attention") != 0))
            return talc_fail(err, "layer_types[%d] is '%.40s', which talc does not do", l,
                             type ? type : "not a string");
        if (slides && window == 0)
            return talc_fail(
                err, "layer %d has sliding_attention, but use_sliding_window and sliding_window give no window", l);
        a->layers[l].window = slides ? (int)window : 0;
    }
    return true;
}

/* ---- families -------------------------------------------------------------------------------- */

static const struct activation_name {
    const char *name;
    enum activation_kind kind;
} gpt2_activations[] = {
    {"gelu_new", ACTIVATION_GELU_TANH}, /* the first of a kind is the one that is written */
    {"gelu_pytorch_tanh", ACTIVATION_GELU_TANH},
    {"gelu_fast", ACTIVATION_GELU_TANH},
    {"relu2", ACTIVATION_RELU2},
};
enum { N_GPT2_ACTIVATIONS = sizeof gpt2_activations / sizeof *gpt2_activations };

static bool get_gpt2_activation(const json_t *c, struct arch *a, struct talc_error *err) {
    const char *name;
    if (!json_get_string(c, "activation_function", "gelu_new", &name, err)) return false;
    for (int i = 0; i < N_GPT2_ACTIVATIONS; i++)
        if (strcmp(gpt2_activations[i].name, name) == 0) {
            a->activation = gpt2_activations[i].kind;
            return true;
        }
    return talc_fail(err, "activation_function is '%.40s', which talc does not do", name);
}

static bool read_gpt2(const json_t *c, struct arch *a, struct talc_error *err) {
    bool bias;
    int n_ctx;
    if (!get_size(c, "vocab_size", 50257, &a->vocab_size, err) || !get_size(c, "n_embd", 768, &a->hidden_size, err) ||
        !get_size(c, "n_layer", 12, &a->n_layers, err) || !get_size(c, "n_head", 12, &a->n_heads, err) ||
        !get_size(c, "n_ctx", 1024, &n_ctx, err) || !get_size(c, "n_positions", n_ctx, &a->context_length, err) ||
        !get_size(c, "n_inner", 4 * a->hidden_size, &a->intermediate_size, err) ||
        !get_float(c, "layer_norm_epsilon", 1e-5, &a->norm_epsilon, err) || !get_gpt2_activation(c, a, err) ||
        !need_bool(c, "scale_attn_weights", true, err) ||
        !need_bool(c, "scale_attn_by_inverse_layer_idx", false, err) ||
        !need_bool(c, "add_cross_attention", false, err) || !get_dropout(c, "attn_pdrop", 0.1, a, err) ||
        !json_get_bool(c, "tie_word_embeddings", true, &a->tie_embeddings, err) ||
        !json_get_bool(c, "bias", true, &bias, err))
        return false;
    if (a->hidden_size % a->n_heads != 0)
        return talc_fail(err, "n_embd %d is not a multiple of n_head %d", a->hidden_size, a->n_heads);
    a->head_dim = a->hidden_size / a->n_heads;
    a->n_kv_heads = a->n_heads;
    a->norm = NORM_LAYER;
    a->learned_positions = true;
    a->norm_bias = a->qkv_bias = a->out_bias = a->mlp_bias = bias;
    return true;
}

/* transformers 5 keeps all of it in rope_parameters, 4 in rope_theta and rope_scaling. */
static bool get_rope(const json_t *c, struct arch *a, struct talc_error *err) {
    const char *keys[] = {"rope_parameters", "rope_scaling"}, *type, *old_type;
    float base, part = 1;
    if (!get_float(c, "rope_theta", 10000, &base, err)) return false;
    for (int i = 0; i < 2; i++) {
        const json_t *rope = json_object_get(c, keys[i]);
        if (!rope || json_is_null(rope)) continue;
        if (!json_is_object(rope)) return talc_fail(err, "%s is not an object", keys[i]);
        if (!json_get_string(rope, "type", "default", &old_type, err) ||
            !json_get_string(rope, "rope_type", old_type, &type, err) ||
            !get_float(rope, "rope_theta", (double)base, &base, err) ||
            !get_float(rope, "partial_rotary_factor", 1, &part, err))
            return talc_fail_in(err, "%s", keys[i]);
        if (strcmp(type, "default") != 0)
            return talc_fail(err, "%s asks for '%.40s', which talc does not do", keys[i], type);
        if (part != 1) return talc_fail(err, "%s rotates a part of a head, which talc does not do", keys[i]);
        if (json_object_get(rope, "full_attention") || json_object_get(rope, "sliding_attention"))
            return talc_fail(err, "%s differs from layer to layer, which talc does not do for this family", keys[i]);
    }
    for (int l = 0; l < a->n_layers; l++) a->layers[l].rope_base = base;
    return true;
}

static bool read_qwen3(const json_t *c, struct arch *a, struct talc_error *err) {
    const char *activation;
    if (!get_size(c, "vocab_size", 0, &a->vocab_size, err) || !get_size(c, "hidden_size", 0, &a->hidden_size, err) ||
        !get_size(c, "num_hidden_layers", 0, &a->n_layers, err) ||
        !get_size(c, "num_attention_heads", 0, &a->n_heads, err) ||
        !get_size(c, "num_key_value_heads", a->n_heads, &a->n_kv_heads, err) ||
        !get_size(c, "head_dim", 128, &a->head_dim, err) ||
        !get_size(c, "intermediate_size", 0, &a->intermediate_size, err) ||
        !get_size(c, "max_position_embeddings", 32768, &a->context_length, err) ||
        !get_float(c, "rms_norm_eps", 1e-6, &a->norm_epsilon, err) ||
        !json_get_string(c, "hidden_act", "silu", &activation, err) ||
        !json_get_bool(c, "attention_bias", false, &a->qkv_bias, err) ||
        !json_get_bool(c, "tie_word_embeddings", false, &a->tie_embeddings, err) ||
        !get_dropout(c, "attention_dropout", 0, a, err))
        return false;
    if (strcmp(activation, "silu") != 0 && strcmp(activation, "swish") != 0)
        return talc_fail(err, "hidden_act is '%.40s', which talc does not do", activation);
    a->out_bias = a->qkv_bias;
    a->norm = NORM_RMS;
    a->activation = ACTIVATION_SWIGLU;
    a->qk_norm = true;
    return true;
}

static void set_int(json_t *o, const char *key, int64_t x) { json_object_set_new(o, key, json_integer(x)); }
static void set_bool(json_t *o, const char *key, bool x) { json_object_set_new(o, key, json_boolean(x)); }
static void set_text(json_t *o, const char *key, const char *x) { json_object_set_new(o, key, json_string(x)); }
static void set_id(json_t *o, const char *key, int id) {
    json_object_set_new(o, key, id >= 0 ? json_integer(id) : json_null());
}

/* The shortest decimal that gives the same float back: 1e-6 and not 9.99999997e-07. */
static void set_float(json_t *o, const char *key, float x) {
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x) break;
    }
    json_object_set_new(o, key, json_real(strtod(text, NULL)));
}

static void set_windows(json_t *o, const struct arch *a) {
    json_t *types = json_array();
    int window = 0;
    for (int l = 0; l < a->n_layers; l++) {
        json_array_append_new(types, json_string(a->layers[l].window ? "sliding_attention" : "full_attention"));
        if (a->layers[l].window) window = a->layers[l].window;
    }
    set_bool(o, "use_sliding_window", window > 0);
    json_object_set_new(o, "sliding_window", window ? json_integer(window) : json_null());
    json_object_set_new(o, "layer_types", types);
}

static void write_gpt2(json_t *o, const struct arch *a) {
    bool windows = false;
    for (int l = 0; l < a->n_layers; l++) windows = windows || a->layers[l].window > 0;
    set_int(o, "n_embd", a->hidden_size);
    set_int(o, "n_layer", a->n_layers);
    set_int(o, "n_head", a->n_heads);
    set_int(o, "n_inner", a->intermediate_size);
    set_int(o, "n_positions", a->context_length);
    set_int(o, "n_ctx", a->context_length);
    for (int i = N_GPT2_ACTIVATIONS - 1; i >= 0; i--)
        if (gpt2_activations[i].kind == a->activation) set_text(o, "activation_function", gpt2_activations[i].name);
    set_float(o, "layer_norm_epsilon", a->norm_epsilon);
    set_float(o, "attn_pdrop", a->dropout);
    if (!a->qkv_bias) set_bool(o, "bias", false);
    if (windows) set_windows(o, a);
}

static void write_qwen3(json_t *o, const struct arch *a) {
    set_int(o, "hidden_size", a->hidden_size);
    set_int(o, "num_hidden_layers", a->n_layers);
    set_int(o, "num_attention_heads", a->n_heads);
    set_int(o, "num_key_value_heads", a->n_kv_heads);
    set_int(o, "head_dim", a->head_dim);
    set_int(o, "intermediate_size", a->intermediate_size);
    set_int(o, "max_position_embeddings", a->context_length);
    set_text(o, "hidden_act", "silu");
    set_float(o, "rms_norm_eps", a->norm_epsilon);
    set_float(o, "rope_theta", a->layers[0].rope_base);
    json_object_set_new(o, "rope_scaling", json_null());
    set_bool(o, "attention_bias", a->qkv_bias);
    set_float(o, "attention_dropout", a->dropout);
    set_windows(o, a);
}

static const struct family {
    const char *name, *architecture;
    bool (*read)(const json_t *config, struct arch *arch, struct talc_error *err);
    bool (*read_rope)(const json_t *config, struct arch *arch, struct talc_error *err); /* NULL: learned positions */
    void (*write)(json_t *config, const struct arch *arch);
} families[] = {
    {"gpt2", "GPT2LMHeadModel", read_gpt2, NULL, write_gpt2},
    {"qwen3", "Qwen3ForCausalLM", read_qwen3, get_rope, write_qwen3},
};
enum { N_FAMILIES = sizeof families / sizeof *families };

static const struct family *find_family(const char *name) {
    for (int i = 0; i < N_FAMILIES; i++)
        if (strcmp(families[i].name, name) == 0) return &families[i];
    return NULL;
}

/* ---- the file -------------------------------------------------------------------------------- */

static bool read_config(const json_t *c, struct arch *a, struct talc_error *err) {
    const char *type;
    if (!json_is_object(c)) return talc_fail(err, "not a JSON object");
    if (!json_get_string(c, "model_type", "", &type, err)) return false;
    const struct family *family = find_family(type);
    if (!family) return talc_fail(err, "model_type '%.40s' is not supported; talc opens gpt2 and qwen3", type);
    snprintf(a->family, sizeof a->family, "%s", family->name);
    if (!need_null(c, "quantization_config", err) || !family->read(c, a, err)) return false;
    if (a->n_layers > ARCH_MAX_LAYERS) return talc_fail(err, "%d layers; talc does %d", a->n_layers, ARCH_MAX_LAYERS);
    return (!family->read_rope || family->read_rope(c, a, err)) && get_windows(c, a, err) &&
           get_id(c, "bos_token_id", a->vocab_size, &a->bos_id, err) &&
           get_id(c, "eos_token_id", a->vocab_size, &a->eos_id, err) &&
           get_id(c, "pad_token_id", a->vocab_size, &a->pad_id, err) && arch_check(a, err);
}

bool arch_from_config(const json_t *config, struct arch *a, struct talc_error *err) {
    memset(a, 0, sizeof *a);
    return read_config(config, a, err) || talc_fail_in(err, "config.json");
}

json_t *arch_to_config(const struct arch *a) {
    const struct family *family = find_family(a->family);
    json_t *o = family ? json_object() : NULL;
    if (!o) return NULL;
    set_text(o, "model_type", family->name);
    json_object_set_new(o, "architectures", json_pack("[s]", family->architecture));
    set_int(o, "vocab_size", a->vocab_size);
    family->write(o, a);
    set_float(o, "embd_pdrop", a->dropout);
    set_float(o, "resid_pdrop", a->dropout);
    set_bool(o, "tie_word_embeddings", a->tie_embeddings);
    set_id(o, "bos_token_id", a->bos_id);
    set_id(o, "eos_token_id", a->eos_id);
    set_id(o, "pad_token_id", a->pad_id);
    set_text(o, "torch_dtype", "float32");
    set_bool(o, "use_cache", true);
    return o;
}
