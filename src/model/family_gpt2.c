/* family_gpt2.c - gpt2: learned positions, LayerNorm, biases everywhere; its matrices are stored transposed. */
#include <string.h>

#include "file/json.h"
#include "model/config_keys.h"
#include "model/family.h"

/* ---- config.json ----------------------------------------------------------------------------- */

static const struct activation_name {
    const char *name;
    enum activation_kind kind;
} activations[] = {
    {"gelu_new", ACTIVATION_GELU_TANH}, /* the first of a kind is the one that is written */
    {"gelu_pytorch_tanh", ACTIVATION_GELU_TANH},
    {"gelu_fast", ACTIVATION_GELU_TANH},
    {"relu2", ACTIVATION_RELU2},
};
enum { N_ACTIVATIONS = sizeof activations / sizeof *activations };

static bool get_activation(const json_t *c, struct arch *a, struct talc_error *err) {
    const char *name;
    if (!json_get_string(c, "activation_function", "gelu_new", &name, err)) return false;
    for (int i = 0; i < N_ACTIVATIONS; i++)
        if (strcmp(activations[i].name, name) == 0) {
            a->activation = activations[i].kind;
            return true;
        }
    return talc_fail(err, "activation_function is '%.40s', which talc does not do", name);
}

static bool read_gpt2(const json_t *c, struct arch *a, struct talc_error *err) {
    bool bias;
    int n_ctx;
    if (!config_get_size(c, "vocab_size", 50257, &a->vocab_size, err) ||
        !config_get_size(c, "n_embd", 768, &a->hidden_size, err) ||
        !config_get_size(c, "n_layer", 12, &a->n_layers, err) || !config_get_size(c, "n_head", 12, &a->n_heads, err) ||
        !config_get_size(c, "n_ctx", 1024, &n_ctx, err) ||
        !config_get_size(c, "n_positions", n_ctx, &a->context_length, err) ||
        !config_get_size(c, "n_inner", 4 * a->hidden_size, &a->intermediate_size, err) ||
        !config_get_float(c, "layer_norm_epsilon", 1e-5, &a->norm_epsilon, err) || !get_activation(c, a, err) ||
        !config_need_bool(c, "scale_attn_weights", true, err) ||
        !config_need_bool(c, "scale_attn_by_inverse_layer_idx", false, err) ||
        !config_need_bool(c, "add_cross_attention", false, err) || !config_get_dropout(c, "attn_pdrop", 0.1, a, err) ||
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

static void write_gpt2(json_t *o, const struct arch *a) {
    bool windows = false;
    for (int l = 0; l < a->n_layers; l++) windows = windows || a->layers[l].window > 0;
    config_set_int(o, "n_embd", a->hidden_size);
    config_set_int(o, "n_layer", a->n_layers);
    config_set_int(o, "n_head", a->n_heads);
    config_set_int(o, "n_inner", a->intermediate_size);
    config_set_int(o, "n_positions", a->context_length);
    config_set_int(o, "n_ctx", a->context_length);
    for (int i = N_ACTIVATIONS - 1; i >= 0; i--)
        if (activations[i].kind == a->activation) config_set_text(o, "activation_function", activations[i].name);
    config_set_float(o, "layer_norm_epsilon", a->norm_epsilon);
    config_set_float(o, "attn_pdrop", a->dropout);
    if (!a->qkv_bias) config_set_bool(o, "bias", false);
    if (windows) config_set_windows(o, a);
}

/* ---- tensors --------------------------------------------------------------------------------- */

static const struct name_rule outer[] = {
    {"embedding.weight", "transformer.wte.weight", ALL, false},
    {"positions.weight", "transformer.wpe.weight", ALL, false},
    {"final_norm.weight", "transformer.ln_f.weight", ALL, false},
    {"final_norm.bias", "transformer.ln_f.bias", ALL, false},
    {"head.weight", "lm_head.weight", ALL, false},
    {0},
};
static const struct name_rule block[] = {
    {"attention_norm.weight", "ln_1.weight", ALL, false},
    {"attention_norm.bias", "ln_1.bias", ALL, false},
    {"qkv.weight", "attn.c_attn.weight", ALL, true},
    {"qkv.bias", "attn.c_attn.bias", ALL, false},
    {"out.weight", "attn.c_proj.weight", ALL, true},
    {"out.bias", "attn.c_proj.bias", ALL, false},
    {"mlp_norm.weight", "ln_2.weight", ALL, false},
    {"mlp_norm.bias", "ln_2.bias", ALL, false},
    {"up.weight", "mlp.c_fc.weight", ALL, true},
    {"up.bias", "mlp.c_fc.bias", ALL, false},
    {"down.weight", "mlp.c_proj.weight", ALL, true},
    {"down.bias", "mlp.c_proj.bias", ALL, false},
    {0},
};

const struct family family_gpt2 = {
    .name = "gpt2",
    .architecture = "GPT2LMHeadModel",
    .read = read_gpt2,
    .read_layers = config_get_windows,
    .write = write_gpt2,
    .prefix = "transformer.",
    .blocks = "transformer.h.",
    .outer = outer,
    .block = block,
    .always_biases = true,
};
