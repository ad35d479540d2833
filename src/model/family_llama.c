/* family_llama.c - the families with RMSNorm, rotary positions and a gated MLP whose config.json and tensors have
 * Llama's names: llama, mistral, qwen2, qwen3 and phi3. They differ in biases, norms of queries and keys, windows, and
 * in what a key means that is absent. */
#include <string.h>

#include "file/json.h"
#include "model/config_keys.h"
#include "model/family.h"

/* ---- config.json ----------------------------------------------------------------------------- */

/* What an absent key means. */
struct defaults {
    int context, head_dim; /* head_dim 0: the hidden size is shared out */
    double epsilon;
};

static bool get_head_dim(const json_t *c, int fallback, struct arch *a, struct talc_error *err) {
    const json_t *given = json_object_get(c, "head_dim");
    if (fallback == 0 && (!given || json_is_null(given)) && a->hidden_size % a->n_heads != 0)
        return talc_fail(err, "hidden_size %d is not a multiple of num_attention_heads %d", a->hidden_size, a->n_heads);
    return config_get_size(c, "head_dim", fallback ? fallback : a->hidden_size / a->n_heads, &a->head_dim, err);
}

static bool read_shared(const json_t *c, struct defaults d, struct arch *a, struct talc_error *err) {
    const char *activation;
    if (!config_get_size(c, "vocab_size", 0, &a->vocab_size, err) ||
        !config_get_size(c, "hidden_size", 0, &a->hidden_size, err) ||
        !config_get_size(c, "num_hidden_layers", 0, &a->n_layers, err) ||
        !config_get_size(c, "num_attention_heads", 0, &a->n_heads, err) ||
        !config_get_size(c, "num_key_value_heads", a->n_heads, &a->n_kv_heads, err) ||
        !get_head_dim(c, d.head_dim, a, err) ||
        !config_get_size(c, "intermediate_size", 0, &a->intermediate_size, err) ||
        !config_get_size(c, "max_position_embeddings", d.context, &a->context_length, err) ||
        !config_get_float(c, "rms_norm_eps", d.epsilon, &a->norm_epsilon, err) ||
        !json_get_string(c, "hidden_act", "silu", &activation, err) ||
        !json_get_bool(c, "tie_word_embeddings", false, &a->tie_embeddings, err) ||
        !config_get_dropout(c, "attention_dropout", 0, a, err))
        return false;
    if (strcmp(activation, "silu") != 0 && strcmp(activation, "swish") != 0)
        return talc_fail(err, "hidden_act is '%.40s', which talc does not do", activation);
    a->norm = NORM_RMS;
    a->activation = ACTIVATION_SWIGLU;
    return true;
}

/* attention_bias means the biases of q, k, v and out. */
static bool get_attention_bias(const json_t *c, struct arch *a, struct talc_error *err) {
    bool ok = json_get_bool(c, "attention_bias", false, &a->qkv_bias, err);
    a->out_bias = a->qkv_bias;
    return ok;
}

static bool read_llama(const json_t *c, struct arch *a, struct talc_error *err) {
    return read_shared(c, (struct defaults){.context = 2048, .epsilon = 1e-6}, a, err) &&
           get_attention_bias(c, a, err) && json_get_bool(c, "mlp_bias", false, &a->mlp_bias, err);
}

static bool read_mistral(const json_t *c, struct arch *a, struct talc_error *err) {
    return read_shared(c, (struct defaults){.context = 131072, .epsilon = 1e-6}, a, err);
}

static bool read_qwen2(const json_t *c, struct arch *a, struct talc_error *err) {
    a->qkv_bias = true;
    return read_shared(c, (struct defaults){.context = 32768, .epsilon = 1e-6}, a, err);
}

static bool read_qwen3(const json_t *c, struct arch *a, struct talc_error *err) {
    a->qk_norm = true;
    return read_shared(c, (struct defaults){.context = 32768, .head_dim = 128, .epsilon = 1e-6}, a, err) &&
           get_attention_bias(c, a, err);
}

static bool read_phi3(const json_t *c, struct arch *a, struct talc_error *err) {
    return read_shared(c, (struct defaults){.context = 4096, .epsilon = 1e-5}, a, err);
}

static bool read_qwen_layers(const json_t *c, struct arch *a, struct talc_error *err) {
    return config_get_whole_rope(c, a, err) && config_get_windows(c, a, err);
}

static bool read_mistral_layers(const json_t *c, struct arch *a, struct talc_error *err) {
    return config_get_whole_rope(c, a, err) && config_get_window(c, 4096, a, err) &&
           config_get_layer_types(c, a->layers[0].window, a, err);
}

static bool read_phi3_layers(const json_t *c, struct arch *a, struct talc_error *err) {
    if (!config_get_rope(c, a, err) || !config_get_window(c, 0, a, err)) return false;
    enum rope_kind kind = a->layers[0].scaling.kind;
    return kind == ROPE_PLAIN || kind == ROPE_LONG ||
           talc_fail(err, "rope_scaling asks for another type than longrope, which this family does not have");
}

static void write_shared(json_t *o, const struct arch *a) {
    config_set_int(o, "hidden_size", a->hidden_size);
    config_set_int(o, "num_hidden_layers", a->n_layers);
    config_set_int(o, "num_attention_heads", a->n_heads);
    config_set_int(o, "num_key_value_heads", a->n_kv_heads);
    config_set_int(o, "head_dim", a->head_dim);
    config_set_int(o, "intermediate_size", a->intermediate_size);
    config_set_text(o, "hidden_act", "silu");
    config_set_float(o, "rms_norm_eps", a->norm_epsilon);
    config_set_float(o, "attention_dropout", a->dropout);
    config_set_rope(o, a);
}

static void write_llama(json_t *o, const struct arch *a) {
    write_shared(o, a);
    config_set_bool(o, "attention_bias", a->qkv_bias);
    config_set_bool(o, "mlp_bias", a->mlp_bias);
}

static void write_qwen2(json_t *o, const struct arch *a) {
    write_shared(o, a);
    config_set_windows(o, a);
}

static void write_qwen3(json_t *o, const struct arch *a) {
    write_qwen2(o, a);
    config_set_bool(o, "attention_bias", a->qkv_bias);
}

/* Mistral and Phi-3: one window for all layers; some of Mistral's files name layers without. */
static void write_one_window(json_t *o, const struct arch *a) {
    int window = a->layers[0].window;
    bool alike = true;
    for (int l = 1; l < a->n_layers; l++) alike = alike && a->layers[l].window == window;
    write_shared(o, a);
    if (alike)
        json_object_set_new(o, "sliding_window", window ? json_integer(window) : json_null());
    else
        config_set_layer_types(o, a);
}

/* ---- tensors --------------------------------------------------------------------------------- */

const struct name_rule llama_outer[] = {
    {"embedding.weight", "model.embed_tokens.weight", ALL, false},
    {"final_norm.weight", "model.norm.weight", ALL, false},
    {"head.weight", "lm_head.weight", ALL, false},
    {0},
};
const struct name_rule llama_block[] = {
    LLAMA_ATTENTION_RULES,
    {"mlp_norm.weight", "post_attention_layernorm.weight", ALL, false},
    {"up.weight", "mlp.gate_proj.weight", PART_GATE, false},
    {"up.weight", "mlp.up_proj.weight", PART_UP, false},
    {"up.bias", "mlp.gate_proj.bias", PART_GATE, false},
    {"up.bias", "mlp.up_proj.bias", PART_UP, false},
    {"down.weight", "mlp.down_proj.weight", ALL, false},
    {"down.bias", "mlp.down_proj.bias", ALL, false},
    {0},
};
/* What Phi-3 has fused is fused in the order of layout.h. */
static const struct name_rule phi3_block[] = {
    {"attention_norm.weight", "input_layernorm.weight", ALL, false},
    {"qkv.weight", "self_attn.qkv_proj.weight", ALL, false},
    {"out.weight", "self_attn.o_proj.weight", ALL, false},
    {"mlp_norm.weight", "post_attention_layernorm.weight", ALL, false},
    {"up.weight", "mlp.gate_up_proj.weight", ALL, false},
    {"down.weight", "mlp.down_proj.weight", ALL, false},
    {0},
};

#define TENSORS .prefix = "model.", .blocks = "model.layers.", .outer = llama_outer

const struct family family_llama = {"llama", "LlamaForCausalLM",  read_llama, config_get_whole_rope, write_llama,
                                    TENSORS, .block = llama_block};
const struct family family_mistral = {"mistral",           "MistralForCausalLM", read_mistral,
                                      read_mistral_layers, write_one_window,     TENSORS,
                                      .block = llama_block};
const struct family family_qwen2 = {"qwen2", "Qwen2ForCausalLM",  read_qwen2, read_qwen_layers, write_qwen2,
                                    TENSORS, .block = llama_block};
const struct family family_qwen3 = {"qwen3", "Qwen3ForCausalLM",  read_qwen3, read_qwen_layers, write_qwen3,
                                    TENSORS, .block = llama_block};
const struct family family_phi3 = {"phi3",           "Phi3ForCausalLM", read_phi3,          read_phi3_layers,
                                   write_one_window, TENSORS,           .block = phi3_block};
