/* config.c - Hugging Face's config.json to an arch and back. What a file asks for and talc does not do is refused by name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/json.h"
#include "model/arch.h"

static bool get_size(const json_t *c, const char *key, int fallback, int *out, struct talc_error *err) {
    int64_t x;
    if (!json_get_int(c, key, fallback, 1, 1 << 24, &x, err)) return false;
    if (x < 1) return talc_fail(err, "%s is missing", key);
    *out = (int)x;
    return true;
}

static bool get_float(const json_t *c, const char *key, double fallback, float *out, struct talc_error *err) {
    double x;
    if (!json_get_number(c, key, fallback, &x, err)) return false;
    *out = (float)x;
    return true;
}

/* An id, or a list of ids of which the first counts. */
static bool get_id(const json_t *c, const char *key, int *out, struct talc_error *err) {
    const json_t *value = json_object_get(c, key);
    *out = -1;
    if (!value || json_is_null(value)) return true;
    if (json_is_array(value)) value = json_array_get(value, 0);
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) >= 1 << 24)
        return talc_fail(err, "%s is no token id", key);
    *out = (int)json_integer_value(value);
    return true;
}

static bool need_false(const json_t *c, const char *key, struct talc_error *err) {
    bool on;
    if (!json_get_bool(c, key, false, &on, err)) return false;
    return !on ? true : talc_fail(err, "%s is true, which talc does not do", key);
}

static bool get_ids(const json_t *c, struct arch *a, struct talc_error *err) {
    return get_id(c, "bos_token_id", &a->bos_id, err) && get_id(c, "eos_token_id", &a->eos_id, err) &&
           get_id(c, "pad_token_id", &a->pad_id, err);
}

static bool need_text(const json_t *c, const char *key, const char *expected, const char *also, struct talc_error *err) {
    const char *text;
    if (!json_get_string(c, key, expected, &text, err)) return false;
    if (strcmp(text, expected) == 0 || (also && strcmp(text, also) == 0)) return true;
    return talc_fail(err, "%s is '%s'; talc does '%s'", key, text, expected);
}

static bool read_gpt2(const json_t *c, struct arch *a, struct talc_error *err) {
    bool scale, tie, bias;
    float attention_dropout, embedding_dropout;
    if (!get_size(c, "n_embd", 768, &a->hidden_size, err) || !get_size(c, "n_layer", 12, &a->n_layers, err) ||
        !get_size(c, "n_head", 12, &a->n_heads, err) || !get_size(c, "n_positions", 1024, &a->context_length, err) ||
        !get_size(c, "n_inner", 4 * a->hidden_size, &a->intermediate_size, err) ||
        !get_float(c, "layer_norm_epsilon", 1e-5, &a->norm_epsilon, err) ||
        !need_text(c, "activation_function", "gelu_new", "gelu_pytorch_tanh", err) ||
        !json_get_bool(c, "scale_attn_weights", true, &scale, err) || !need_false(c, "scale_attn_by_inverse_layer_idx", err) ||
        !need_false(c, "add_cross_attention", err) || !json_get_bool(c, "tie_word_embeddings", true, &tie, err) ||
        !json_get_bool(c, "bias", true, &bias, err) || !get_float(c, "resid_pdrop", 0.1, &a->dropout, err) ||
        !get_float(c, "embd_pdrop", (double)a->dropout, &embedding_dropout, err) ||
        !get_float(c, "attn_pdrop", (double)a->dropout, &attention_dropout, err))
        return false;
    if (!scale) return talc_fail(err, "scale_attn_weights is false, which talc does not do");
    if (a->hidden_size % a->n_heads) return talc_fail(err, "n_embd %d is not a multiple of n_head %d", a->hidden_size, a->n_heads);
    a->head_dim = a->hidden_size / a->n_heads;
    a->n_kv_heads = a->n_heads;
    a->norm = NORM_LAYER;
    a->activation = ACTIVATION_GELU_TANH;
    a->learned_positions = true;
    a->norm_bias = a->qkv_bias = a->out_bias = a->mlp_bias = bias;
    a->tie_embeddings = tie;
    return true;
}

/* transformers 5 keeps it in rope_parameters, 4 in rope_theta and rope_scaling. */
static bool read_rope(const json_t *c, struct arch *a, struct talc_error *err) {
    const json_t *parameters = json_object_get(c, "rope_parameters"), *scaling = json_object_get(c, "rope_scaling");
    float base;
    if (json_is_object(parameters)) {
        if (!need_text(parameters, "rope_type", "default", NULL, err)) return talc_fail_in(err, "rope_parameters");
        c = parameters;
    } else if (json_is_object(scaling)) {
        return talc_fail(err, "rope_scaling is set, which talc does not do yet for this family");
    }
    if (!get_float(c, "rope_theta", 10000, &base, err)) return false;
    for (int l = 0; l < a->n_layers; l++) a->layers[l].rope_base = base;
    return true;
}

/* Sliding windows: layer_types says which layers have one. */
static bool read_windows(const json_t *c, struct arch *a, struct talc_error *err) {
    const json_t *types = json_object_get(c, "layer_types");
    bool use;
    int64_t window;
    if (!json_get_bool(c, "use_sliding_window", false, &use, err) ||
        !json_get_int(c, "sliding_window", 0, 0, 1 << 24, &window, err))
        return false;
    if (!json_is_array(types)) return !use ? true : talc_fail(err, "use_sliding_window is true, but layer_types is missing");
    if (json_array_size(types) != (size_t)a->n_layers)
        return talc_fail(err, "layer_types has %zu entries for %d layers", json_array_size(types), a->n_layers);
    for (int l = 0; l < a->n_layers; l++) {
        const char *type = json_string_value(json_array_get(types, (size_t)l));
        if (type && strcmp(type, "sliding_attention") == 0) a->layers[l].window = (int)window;
        else if (!type || strcmp(type, "full_attention") != 0) return talc_fail(err, "layer_types[%d] is not known", l);
    }
    return true;
}

static bool read_qwen3(const json_t *c, struct arch *a, struct talc_error *err) {
    if (!get_size(c, "hidden_size", 0, &a->hidden_size, err) || !get_size(c, "num_hidden_layers", 0, &a->n_layers, err))
        return false;
    if (a->n_layers > ARCH_MAX_LAYERS) return talc_fail(err, "num_hidden_layers is %d; talc does %d", a->n_layers, ARCH_MAX_LAYERS);
    if (!get_size(c, "num_attention_heads", 0, &a->n_heads, err) ||
        !get_size(c, "num_key_value_heads", a->n_heads, &a->n_kv_heads, err) ||
        !get_size(c, "head_dim", a->hidden_size / a->n_heads, &a->head_dim, err) ||
        !get_size(c, "intermediate_size", 0, &a->intermediate_size, err) ||
        !get_size(c, "max_position_embeddings", 32768, &a->context_length, err) ||
        !get_float(c, "rms_norm_eps", 1e-6, &a->norm_epsilon, err) || !need_text(c, "hidden_act", "silu", NULL, err) ||
        !need_false(c, "attention_bias", err) || !json_get_bool(c, "tie_word_embeddings", false, &a->tie_embeddings, err))
        return false;
    a->norm = NORM_RMS;
    a->activation = ACTIVATION_SWIGLU;
    a->qk_norm = true;
    return read_rope(c, a, err) && read_windows(c, a, err);
}

bool arch_from_config(const json_t *c, struct arch *a, struct talc_error *err) {
    const char *type;
    memset(a, 0, sizeof *a);
    if (!json_is_object(c)) return talc_fail(err, "config.json: not a JSON object");
    if (!json_get_string(c, "model_type", "", &type, err)) return talc_fail_in(err, "config.json");
    bool gpt2 = strcmp(type, "gpt2") == 0;
    if (!gpt2 && strcmp(type, "qwen3") != 0)
        return talc_fail(err, "config.json: model_type '%.40s' is not supported; talc opens gpt2 and qwen3", type);
    memcpy(a->family, type, strlen(type) + 1);
    if (!get_size(c, "vocab_size", gpt2 ? 50257 : 0, &a->vocab_size, err) || !get_ids(c, a, err) ||
        !(gpt2 ? read_gpt2(c, a, err) : read_qwen3(c, a, err)) || !arch_check(a, err))
        return talc_fail_in(err, "config.json");
    return true;
}

/* ---- writing ------------------------------------------------------------------------------------------------------------ */

static void set_int(json_t *o, const char *key, int64_t x) { json_object_set_new(o, key, json_integer(x)); }
static void set_id(json_t *o, const char *key, int id) { json_object_set_new(o, key, id >= 0 ? json_integer(id) : json_null()); }
static void set_text(json_t *o, const char *key, const char *x) { json_object_set_new(o, key, json_string(x)); }
/* The shortest decimal that gives the same float back: 1e-6 and not 9.99999997e-07. */
static void set_float(json_t *o, const char *key, float x) {
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x) break;
    }
    json_object_set_new(o, key, json_real(strtod(text, NULL)));
}

static void write_gpt2(json_t *o, const struct arch *a) {
    json_object_set_new(o, "architectures", json_pack("[s]", "GPT2LMHeadModel"));
    set_int(o, "n_embd", a->hidden_size);
    set_int(o, "n_layer", a->n_layers);
    set_int(o, "n_head", a->n_heads);
    set_int(o, "n_inner", a->intermediate_size);
    set_int(o, "n_positions", a->context_length);
    set_int(o, "n_ctx", a->context_length);
    set_text(o, "activation_function", "gelu_new");
    set_float(o, "layer_norm_epsilon", a->norm_epsilon);
    set_float(o, "resid_pdrop", a->dropout);
    set_float(o, "embd_pdrop", a->dropout);
    set_float(o, "attn_pdrop", a->dropout);
    json_object_set_new(o, "bias", json_boolean(a->qkv_bias));
}

static void write_qwen3(json_t *o, const struct arch *a) {
    json_t *types = json_array();
    int window = 0;
    for (int l = 0; l < a->n_layers; l++) {
        json_array_append_new(types, json_string(a->layers[l].window ? "sliding_attention" : "full_attention"));
        if (a->layers[l].window) window = a->layers[l].window;
    }
    json_object_set_new(o, "architectures", json_pack("[s]", "Qwen3ForCausalLM"));
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
    json_object_set_new(o, "attention_bias", json_false());
    set_float(o, "attention_dropout", a->dropout);
    json_object_set_new(o, "use_sliding_window", json_boolean(window > 0));
    json_object_set_new(o, "sliding_window", window ? json_integer(window) : json_null());
    json_object_set_new(o, "layer_types", types);
}

json_t *arch_to_config(const struct arch *a) {
    json_t *o = json_object();
    if (!o) return NULL;
    set_text(o, "model_type", a->family);
    set_int(o, "vocab_size", a->vocab_size);
    if (strcmp(a->family, "gpt2") == 0) write_gpt2(o, a);
    else write_qwen3(o, a);
    json_object_set_new(o, "tie_word_embeddings", json_boolean(a->tie_embeddings));
    set_id(o, "bos_token_id", a->bos_id);
    set_id(o, "eos_token_id", a->eos_id);
    set_id(o, "pad_token_id", a->pad_id);
    set_text(o, "torch_dtype", "float32");
    json_object_set_new(o, "use_cache", json_true());
    return o;
}
