/* gguf_arch.c - the table of architectures of GGUF files and the names of their tensors. */
#include "model/gguf_arch.h"

#include <stdio.h>
#include <string.h>

/* ---- names ----------------------------------------------------------------------------------- */

static const struct name_rule outer[] = {
    {"embedding.weight", "token_embd.weight", ALL, false},
    {"positions.weight", "position_embd.weight", ALL, false},
    {"final_norm.weight", "output_norm.weight", ALL, false},
    {"final_norm.bias", "output_norm.bias", ALL, false},
    {"head.weight", "output.weight", ALL, false},
    {0},
};

/* All have these. */
#define COMMON_RULES                                                                                                   \
    {"attention_norm.weight", "attn_norm.weight", ALL, false}, {"attention_norm.bias", "attn_norm.bias", ALL, false},  \
        {"q_norm.weight", "attn_q_norm.weight", ALL, false}, {"k_norm.weight", "attn_k_norm.weight", ALL, false},      \
        {"out.weight", "attn_output.weight", ALL, false}, {"out.bias", "attn_output.bias", ALL, false},                \
        {"attention_post_norm.weight", "post_attention_norm.weight", ALL, false},                                      \
        {"mlp_post_norm.weight", "post_ffw_norm.weight", ALL, false},                                                  \
        {"mlp_norm.weight", "ffn_norm.weight", ALL, false}, {"mlp_norm.bias", "ffn_norm.bias", ALL, false},            \
        {"down.weight", "ffn_down.weight", ALL, false}, {                                                              \
        "down.bias", "ffn_down.bias", ALL, false                                                                       \
    }

/* One tensor for q, k and v, and one for gate and up (where there is a gate). */
static const struct name_rule fused[] = {
    COMMON_RULES,
    {"qkv.weight", "attn_qkv.weight", ALL, false},
    {"qkv.bias", "attn_qkv.bias", ALL, false},
    {"up.weight", "ffn_up.weight", ALL, false},
    {"up.bias", "ffn_up.bias", ALL, false},
    {0},
};

static const struct name_rule apart[] = {
    COMMON_RULES,
    {"qkv.weight", "attn_q.weight", PART_Q, false},
    {"qkv.weight", "attn_k.weight", PART_K, false},
    {"qkv.weight", "attn_v.weight", PART_V, false},
    {"qkv.bias", "attn_q.bias", PART_Q, false},
    {"qkv.bias", "attn_k.bias", PART_K, false},
    {"qkv.bias", "attn_v.bias", PART_V, false},
    {"up.weight", "ffn_gate.weight", PART_GATE, false},
    {"up.weight", "ffn_up.weight", PART_UP, false},
    {"up.bias", "ffn_gate.bias", PART_GATE, false},
    {"up.bias", "ffn_up.bias", PART_UP, false},
    {0},
};

/* ---- architectures --------------------------------------------------------------------------- */

#define NAMES(block_rules)                                                                                             \
    { .blocks = "blk.", .outer = outer, .block = block_rules }

/* Mistral's models are written as llama's. Gemma's norms are as they are used here, not less 1 as in its folders. */
static const struct gguf_arch arches[] = {
    {.name = "gemma", .model_type = "gemma", .names = NAMES(apart)},
    {.name = "gemma2", .model_type = "gemma2", .names = NAMES(apart), .gemma = true},
    {.name = "gemma3", .model_type = "gemma3_text", .names = NAMES(apart), .gemma = true},
    {.name = "gpt2", .model_type = "gpt2", .names = NAMES(fused), .learned_positions = true},
    {.name = "llama", .model_type = "llama", .names = NAMES(apart), .pairs = true},
    {.name = "phi3", .model_type = "phi3", .names = NAMES(fused)},
    {.name = "qwen2", .model_type = "qwen2", .names = NAMES(apart)},
    {.name = "qwen3", .model_type = "qwen3", .names = NAMES(apart)},
};
enum { N_ARCHES = sizeof arches / sizeof *arches };

const struct gguf_arch *gguf_arch_of(const struct gguf_model *g, struct talc_error *err) {
    char names[256] = "";
    size_t used = 0;
    struct gguf_string name, type;
    const struct gguf_file *f = gguf_model_metadata(g);
    if (!gguf_get_string(f, "general.architecture", (struct gguf_string){0}, &name, err) ||
        !gguf_get_string(f, "general.type", (struct gguf_string){"model", 5}, &type, err))
        return NULL;
    for (int i = 0; i < N_ARCHES; i++) {
        if (gguf_string_is(name, arches[i].name) && gguf_string_is(type, "model")) return &arches[i];
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", arches[i].name);
    }
    if (!gguf_string_is(type, "model"))
        talc_fail(err, "the file holds no model, but the kind '%.*s' (general.type)",
                  type.n_bytes > 40 ? 40 : (int)type.n_bytes, type.data);
    else
        talc_fail(err, "general.architecture '%.*s' is not supported; talc opens %s",
                  name.n_bytes > 40 ? 40 : (int)name.n_bytes, name.data ? name.data : "", names);
    return NULL;
}

bool gguf_is_rope_factors(const char *name) {
    return strcmp(name, "rope_freqs.weight") == 0 || strcmp(name, "rope_factors_long.weight") == 0 ||
           strcmp(name, "rope_factors_short.weight") == 0;
}

bool gguf_has_head(const struct gguf_model *g) {
    const struct gguf_weight *head = gguf_model_find(g, "output.weight"),
                             *embedding = gguf_model_find(g, "token_embd.weight");
    bool copy = head && embedding && head->type == embedding->type && head->n_bytes == embedding->n_bytes &&
                memcmp(head->data, embedding->data, head->n_bytes) == 0;
    return head && !copy;
}
