/* family_gemma.c - gemma, gemma2 and gemma3 (its text; of a gemma3 with images, the text_config): RMSNorms that the
 * file has less 1, GEGLU, an embedding times sqrt(hidden_size); from gemma2 on norms after attention and MLP and layers
 * with a window among those without; gemma2 caps scores and logits, gemma3 norms queries and keys and has rotary
 * positions of its own for each kind of layer. */
#include <string.h>

#include "file/json.h"
#include "model/config_keys.h"
#include "model/family.h"

/* ---- config.json: reading -------------------------------------------------------------------- */

enum { DEFAULT_WINDOW = 4096 };

/* What an absent key means: files leave out much. */
struct defaults {
    int vocab, hidden, layers, heads, kv_heads, inner, context;
};

/* `alias`, where it is not NULL, means the same. */
static bool need_text(const json_t *c, const char *key, const char *needed, const char *alias, struct talc_error *err) {
    const char *text;
    if (!json_get_string(c, key, needed, &text, err)) return false;
    if (strcmp(text, needed) == 0 || (alias && strcmp(text, alias) == 0)) return true;
    return talc_fail(err, "%s is '%.40s', which talc does not do", key, text);
}

static bool read_shared(const json_t *c, struct defaults d, struct arch *a, struct talc_error *err) {
    if (!config_get_size(c, "vocab_size", d.vocab, &a->vocab_size, err) ||
        !config_get_size(c, "hidden_size", d.hidden, &a->hidden_size, err) ||
        !config_get_size(c, "num_hidden_layers", d.layers, &a->n_layers, err) ||
        !config_get_size(c, "num_attention_heads", d.heads, &a->n_heads, err) ||
        !config_get_size(c, "num_key_value_heads", d.kv_heads, &a->n_kv_heads, err) ||
        !config_get_size(c, "head_dim", 256, &a->head_dim, err) ||
        !config_get_size(c, "intermediate_size", d.inner, &a->intermediate_size, err) ||
        !config_get_size(c, "max_position_embeddings", d.context, &a->context_length, err) ||
        !config_get_float(c, "rms_norm_eps", 1e-6, &a->norm_epsilon, err) ||
        !need_text(c, "hidden_activation", "gelu_pytorch_tanh", NULL, err) ||
        !json_get_bool(c, "tie_word_embeddings", true, &a->tie_embeddings, err) ||
        !json_get_bool(c, "attention_bias", false, &a->qkv_bias, err) ||
        !config_need_bool(c, "use_bidirectional_attention", false, err) ||
        !config_get_dropout(c, "attention_dropout", 0, a, err))
        return false;
    a->out_bias = a->qkv_bias;
    a->norm = NORM_RMS;
    a->activation = ACTIVATION_GEGLU;
    a->scale_embedding = true;
    return true;
}

/* The first files say "gelu" and mean the approximation by tanh. */
static bool read_gemma(const json_t *c, struct arch *a, struct talc_error *err) {
    const struct defaults d = {256000, 3072, 28, 16, 16, 24576, 8192};
    return read_shared(c, d, a, err) && need_text(c, "hidden_act", "gelu_pytorch_tanh", "gelu", err);
}

/* Null turns a cap off; so does, with a fallback of 0, its absence. */
static bool get_cap(const json_t *c, const char *key, double fallback, float *cap, struct talc_error *err) {
    const json_t *given = json_object_get(c, key);
    *cap = given ? 0 : (float)fallback;
    if (!given || json_is_null(given)) return true;
    return config_get_float(c, key, 0, cap, err) &&
           (*cap > 0 || talc_fail(err, "%s is %g; it must be above 0", key, (double)*cap));
}

static bool read_gemma2(const json_t *c, struct arch *a, struct talc_error *err) {
    const struct defaults d = {256000, 2304, 26, 8, 4, 9216, 8192};
    a->post_norms = true;
    return read_shared(c, d, a, err) &&
           config_get_size(c, "query_pre_attn_scalar", 256, &a->query_pre_attn_scalar, err) &&
           get_cap(c, "attn_logit_softcapping", 50, &a->attention_softcap, err) &&
           get_cap(c, "final_logit_softcapping", 30, &a->logit_softcap, err);
}

static bool read_gemma3(const json_t *c, struct arch *a, struct talc_error *err) {
    const struct defaults d = {262208, 2304, 26, 8, 4, 9216, 131072};
    a->post_norms = a->qk_norm = true;
    return read_shared(c, d, a, err) &&
           config_get_size(c, "query_pre_attn_scalar", 256, &a->query_pre_attn_scalar, err) &&
           config_need_null(c, "attn_logit_softcapping", err) && /* transformers passes it over */
           get_cap(c, "final_logit_softcapping", 0, &a->logit_softcap, err);
}

/* Where layer_types does not say it, every `pattern`-th layer sees all keys and the others have the window. */
static bool get_windows(const json_t *c, int pattern, struct arch *a, struct talc_error *err) {
    int64_t window = json_object_get(c, "sliding_window") ? 0 : DEFAULT_WINDOW;
    if (!json_get_int(c, "sliding_window", window, 1, 1 << 24, &window, err)) return false;
    if (window == 0 && pattern > 1 && !json_array_size(json_object_get(c, "layer_types")))
        return talc_fail(err, "sliding_window is null, but layers of this family have one");
    for (int l = 0; l < a->n_layers; l++) a->layers[l].window = (l + 1) % pattern ? (int)window : 0;
    return config_get_layer_types(c, (int)window, a, err);
}

static bool read_gemma2_layers(const json_t *c, struct arch *a, struct talc_error *err) {
    return config_get_whole_rope(c, a, err) && get_windows(c, 2, a, err);
}

/* The two kinds of layers of gemma3, and where their rotary positions are: transformers 5 has an object for each in
 * rope_parameters; 4 a base for each, and rope_scaling for those that see all keys. */
static const struct layer_kind {
    const char *type, *base_key, *scaling_key;
    double base;
} layer_kinds[2] = {{"full_attention", "rope_theta", "rope_scaling", 1e6},
                    {"sliding_attention", "rope_local_base_freq", NULL, 1e4}};

static bool get_kind_rope(const json_t *c, const struct layer_kind *kind, struct layer_arch *layer, struct arch *a,
                          struct talc_error *err) {
    const json_t *both = json_object_get(c, "rope_parameters"), *rope = json_object_get(both, kind->type);
    double part;
    if (kind->scaling_key && !rope) rope = json_object_get(c, kind->scaling_key);
    if (rope && !json_is_null(rope) && !json_is_object(rope)) return talc_fail(err, "%s is not an object", kind->type);
    if (!config_get_float(c, kind->base_key, kind->base, &layer->rope_base, err) ||
        !json_get_number(c, "partial_rotary_factor", 1, &part, err) ||
        !json_get_number(rope, "partial_rotary_factor", part, &part, err) ||
        !config_get_rope_of(c, rope, layer, a, err))
        return talc_fail_in(err, "rotary positions of %s", kind->type);
    if (part != 1 || layer->scaling.kind == ROPE_LONG)
        return talc_fail(err, "rotary positions of %s ask for %s, which talc does not do for this family", kind->type,
                         part != 1 ? "a part of a head" : "longrope");
    if (layer->scaling.kind == ROPE_YARN && !layer->scaling.whole) /* transformers 4 heeds it, 5 does not */
        return talc_fail(err, "rotary positions of %s have truncate false, which talc does not do for this family",
                         kind->type);
    return true;
}

static bool read_gemma3_layers(const json_t *c, struct arch *a, struct talc_error *err) {
    const json_t *both = json_object_get(c, "rope_parameters");
    struct layer_arch kinds[2] = {0};
    int pattern;
    if (both && !json_is_null(both) && !json_is_object(both)) return talc_fail(err, "rope_parameters is not an object");
    if (json_object_size(both) > 0 && !json_object_get(both, layer_kinds[0].type) &&
        !json_object_get(both, layer_kinds[1].type))
        return talc_fail(err, "rope_parameters has neither full_attention nor sliding_attention");
    if (!config_get_size(c, "sliding_window_pattern", 6, &pattern, err) || !get_windows(c, pattern, a, err) ||
        !get_kind_rope(c, &layer_kinds[0], &kinds[0], a, err) || !get_kind_rope(c, &layer_kinds[1], &kinds[1], a, err))
        return false;
    for (int l = 0; l < a->n_layers; l++) {
        const struct layer_arch *kind = &kinds[a->layers[l].window > 0];
        a->layers[l].rope_base = kind->rope_base;
        a->layers[l].scaling = kind->scaling;
    }
    return true;
}

/* ---- config.json: writing -------------------------------------------------------------------- */

static void write_shared(json_t *o, const struct arch *a) {
    config_set_int(o, "hidden_size", a->hidden_size);
    config_set_int(o, "num_hidden_layers", a->n_layers);
    config_set_int(o, "num_attention_heads", a->n_heads);
    config_set_int(o, "num_key_value_heads", a->n_kv_heads);
    config_set_int(o, "head_dim", a->head_dim);
    config_set_int(o, "intermediate_size", a->intermediate_size);
    config_set_text(o, "hidden_activation", "gelu_pytorch_tanh");
    config_set_float(o, "rms_norm_eps", a->norm_epsilon);
    config_set_bool(o, "attention_bias", a->qkv_bias);
    config_set_float(o, "attention_dropout", a->dropout);
}

static void write_gemma(json_t *o, const struct arch *a) {
    write_shared(o, a);
    config_set_text(o, "hidden_act", "gelu_pytorch_tanh");
    config_set_rope(o, a);
}

static void set_cap(json_t *o, const char *key, float cap) {
    if (cap > 0)
        config_set_float(o, key, cap);
    else
        json_object_set_new(o, key, json_null());
}

static void write_second(json_t *o, const struct arch *a) {
    write_shared(o, a);
    config_set_int(o, "query_pre_attn_scalar", a->query_pre_attn_scalar);
    set_cap(o, "attn_logit_softcapping", a->attention_softcap);
    set_cap(o, "final_logit_softcapping", a->logit_softcap);
    config_set_layer_types(o, a);
    if (json_is_null(json_object_get(o, "sliding_window"))) /* transformers 5 wants one even where no layer has it */
        config_set_int(o, "sliding_window", DEFAULT_WINDOW);
}

static void write_gemma2(json_t *o, const struct arch *a) {
    write_second(o, a);
    config_set_rope(o, a);
}

/* The pattern whose last layers see all keys, for programs that do not know layer_types; 0: there is none. */
static int pattern_of(const struct arch *a) {
    for (int pattern = 1; pattern <= a->n_layers + 1; pattern++) {
        int l = 0;
        while (l < a->n_layers && (a->layers[l].window > 0) == ((l + 1) % pattern != 0)) l++;
        if (l == a->n_layers) return pattern;
    }
    return 0;
}

/* The layers of one kind, alike in their rotary positions; where there are none, what absent keys mean. */
static struct layer_arch layer_of_kind(const struct arch *a, int k) {
    for (int l = 0; l < a->n_layers; l++)
        if ((a->layers[l].window > 0) == k) return a->layers[l];
    return (struct layer_arch){.rope_base = (float)layer_kinds[k].base};
}

/* transformers 4 has no key for a stretching of layers with a window: such models are written for 5 alone. */
static void write_kinds_rope(json_t *o, const struct arch *a, const struct layer_arch kinds[2]) {
    json_t *both = json_object();
    for (int k = 0; k < 2; k++) {
        json_t *rope = config_rope_of(a, &kinds[k]);
        if (json_is_null(rope)) rope = json_pack("{ss}", "rope_type", "default");
        config_set_float(rope, "rope_theta", kinds[k].rope_base);
        json_object_set_new(both, layer_kinds[k].type, rope);
    }
    json_object_set_new(o, "rope_parameters", both);
}

static void write_gemma3(json_t *o, const struct arch *a) {
    const struct layer_arch kinds[2] = {layer_of_kind(a, 0), layer_of_kind(a, 1)};
    int pattern = pattern_of(a);
    write_second(o, a);
    config_set_int(o, "max_position_embeddings", a->context_length);
    if (pattern) config_set_int(o, "sliding_window_pattern", pattern);
    if (kinds[1].scaling.kind != ROPE_PLAIN) {
        write_kinds_rope(o, a, kinds);
        return;
    }
    for (int k = 0; k < 2; k++) {
        config_set_float(o, layer_kinds[k].base_key, kinds[k].rope_base);
        if (layer_kinds[k].scaling_key)
            json_object_set_new(o, layer_kinds[k].scaling_key, config_rope_of(a, &kinds[k]));
    }
}

/* ---- tensors --------------------------------------------------------------------------------- */

/* gemma's are Llama's. From gemma2 on post_attention_layernorm is not the norm before the MLP but that of what
 * attention gives. */
static const struct name_rule post_norm_block[] = {
    LLAMA_ATTENTION_RULES,
    {"attention_post_norm.weight", "post_attention_layernorm.weight", ALL, false},
    {"mlp_norm.weight", "pre_feedforward_layernorm.weight", ALL, false},
    {"up.weight", "mlp.gate_proj.weight", PART_GATE, false},
    {"up.weight", "mlp.up_proj.weight", PART_UP, false},
    {"down.weight", "mlp.down_proj.weight", ALL, false},
    {"mlp_post_norm.weight", "post_feedforward_layernorm.weight", ALL, false},
    {0},
};

#define TENSORS .prefix = "model.", .blocks = "model.layers.", .outer = llama_outer, .norms_less_one = true

const struct family family_gemma = {"gemma", "GemmaForCausalLM",  read_gemma, config_get_whole_rope, write_gemma,
                                    TENSORS, .block = llama_block};
const struct family family_gemma2 = {"gemma2", "Gemma2ForCausalLM",     read_gemma2, read_gemma2_layers, write_gemma2,
                                     TENSORS,  .block = post_norm_block};
const struct family family_gemma3_text = {
    "gemma3_text",
    "Gemma3ForCausalLM",
    read_gemma3,
    read_gemma3_layers,
    write_gemma3,
    TENSORS,
    .block = post_norm_block,
    .other_prefixes = {"language_model.model.", "model.language_model."},
    .passed_over = {"vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."}};
const struct family family_gemma3 = {.name = "gemma3", .text = &family_gemma3_text};
