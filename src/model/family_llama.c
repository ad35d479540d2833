/* family_llama.c - the families with RMSNorm, rotary positions and a gated MLP whose config.json and tensors have
 * Llama's names: qwen3. */
#include <string.h>

#include "file/json.h"
#include "model/config_keys.h"
#include "model/family.h"

/* ---- config.json ----------------------------------------------------------------------------- */

/* transformers 5 keeps all of it in rope_parameters, 4 in rope_theta and rope_scaling. */
static bool get_rope(const json_t *c, struct arch *a, struct talc_error *err) {
    const char *keys[] = {"rope_parameters", "rope_scaling"}, *type, *old_type;
    float base, part = 1;
    if (!config_get_float(c, "rope_theta", 10000, &base, err)) return false;
    for (int i = 0; i < 2; i++) {
        const json_t *rope = json_object_get(c, keys[i]);
        if (!rope || json_is_null(rope)) continue;
        if (!json_is_object(rope)) return talc_fail(err, "%s is not an object", keys[i]);
        if (!json_get_string(rope, "type", "default", &old_type, err) ||
            !json_get_string(rope, "rope_type", old_type, &type, err) ||
            !config_get_float(rope, "rope_theta", (double)base, &base, err) ||
            !config_get_float(rope, "partial_rotary_factor", 1, &part, err))
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
    if (!config_get_size(c, "vocab_size", 0, &a->vocab_size, err) ||
        !config_get_size(c, "hidden_size", 0, &a->hidden_size, err) ||
        !config_get_size(c, "num_hidden_layers", 0, &a->n_layers, err) ||
        !config_get_size(c, "num_attention_heads", 0, &a->n_heads, err) ||
        !config_get_size(c, "num_key_value_heads", a->n_heads, &a->n_kv_heads, err) ||
        !config_get_size(c, "head_dim", 128, &a->head_dim, err) ||
        !config_get_size(c, "intermediate_size", 0, &a->intermediate_size, err) ||
        !config_get_size(c, "max_position_embeddings", 32768, &a->context_length, err) ||
        !config_get_float(c, "rms_norm_eps", 1e-6, &a->norm_epsilon, err) ||
        !json_get_string(c, "hidden_act", "silu", &activation, err) ||
        !json_get_bool(c, "attention_bias", false, &a->qkv_bias, err) ||
        !json_get_bool(c, "tie_word_embeddings", false, &a->tie_embeddings, err) ||
        !config_get_dropout(c, "attention_dropout", 0, a, err))
        return false;
    if (strcmp(activation, "silu") != 0 && strcmp(activation, "swish") != 0)
        return talc_fail(err, "hidden_act is '%.40s', which talc does not do", activation);
    a->out_bias = a->qkv_bias;
    a->norm = NORM_RMS;
    a->activation = ACTIVATION_SWIGLU;
    a->qk_norm = true;
    return true;
}

static void write_qwen3(json_t *o, const struct arch *a) {
    config_set_int(o, "hidden_size", a->hidden_size);
    config_set_int(o, "num_hidden_layers", a->n_layers);
    config_set_int(o, "num_attention_heads", a->n_heads);
    config_set_int(o, "num_key_value_heads", a->n_kv_heads);
    config_set_int(o, "head_dim", a->head_dim);
    config_set_int(o, "intermediate_size", a->intermediate_size);
    config_set_int(o, "max_position_embeddings", a->context_length);
    config_set_text(o, "hidden_act", "silu");
    config_set_float(o, "rms_norm_eps", a->norm_epsilon);
    config_set_float(o, "rope_theta", a->layers[0].rope_base);
    json_object_set_new(o, "rope_scaling", json_null());
    config_set_bool(o, "attention_bias", a->qkv_bias);
    config_set_float(o, "attention_dropout", a->dropout);
    config_set_windows(o, a);
}

/* ---- tensors --------------------------------------------------------------------------------- */

static const struct name_rule outer[] = {
    {"embedding.weight", "model.embed_tokens.weight", ALL, false},
    {"final_norm.weight", "model.norm.weight", ALL, false},
    {"head.weight", "lm_head.weight", ALL, false},
    {0},
};
static const struct name_rule block[] = {
    {"attention_norm.weight", "input_layernorm.weight", ALL, false},
    {"qkv.weight", "self_attn.q_proj.weight", PART_Q, false},
    {"qkv.weight", "self_attn.k_proj.weight", PART_K, false},
    {"qkv.weight", "self_attn.v_proj.weight", PART_V, false},
    {"qkv.bias", "self_attn.q_proj.bias", PART_Q, false},
    {"qkv.bias", "self_attn.k_proj.bias", PART_K, false},
    {"qkv.bias", "self_attn.v_proj.bias", PART_V, false},
    {"q_norm.weight", "self_attn.q_norm.weight", ALL, false},
    {"k_norm.weight", "self_attn.k_norm.weight", ALL, false},
    {"out.weight", "self_attn.o_proj.weight", ALL, false},
    {"out.bias", "self_attn.o_proj.bias", ALL, false},
    {"mlp_norm.weight", "post_attention_layernorm.weight", ALL, false},
    {"up.weight", "mlp.gate_proj.weight", PART_GATE, false},
    {"up.weight", "mlp.up_proj.weight", PART_UP, false},
    {"down.weight", "mlp.down_proj.weight", ALL, false},
    {0},
};

const struct family family_qwen3 = {
    .name = "qwen3",
    .architecture = "Qwen3ForCausalLM",
    .read = read_qwen3,
    .read_rope = get_rope,
    .write = write_qwen3,
    .prefix = "model.",
    .blocks = "model.layers.",
    .outer = outer,
    .block = block,
};
