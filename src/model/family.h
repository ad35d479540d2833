/* family.h - what is known of a family of models by its name: how its config.json is read and written and what its
 * tensors are called. One file a family (family_*.c); the table of them is in family.c. Everything else reads the arch.
 */
#ifndef TALC_MODEL_FAMILY_H
#define TALC_MODEL_FAMILY_H

#include "model/arch.h"

/* Which rows of the parameter a tensor of the file holds. */
enum part { ALL, PART_Q, PART_K, PART_V, PART_GATE, PART_UP };

/* A tensor of the file. Several may make up one parameter, stacked by rows. */
struct name_rule {
    const char *ours;   /* the parameter, as layout.h calls it */
    const char *theirs; /* of a block: after the family's `blocks`, the number and a dot */
    enum part part;
    bool turned; /* stored [in, out] */
};

/* Llama's names, which others share. */
extern const struct name_rule llama_outer[], llama_block[];
/* What begins every list of a block's tensors with Llama's names. */
/* clang-format off */
#define LLAMA_ATTENTION_RULES \
    {"attention_norm.weight", "input_layernorm.weight", ALL, false},  \
    {"qkv.weight", "self_attn.q_proj.weight", PART_Q, false},  \
    {"qkv.weight", "self_attn.k_proj.weight", PART_K, false},  \
    {"qkv.weight", "self_attn.v_proj.weight", PART_V, false},  \
    {"qkv.bias", "self_attn.q_proj.bias", PART_Q, false},  \
    {"qkv.bias", "self_attn.k_proj.bias", PART_K, false},  \
    {"qkv.bias", "self_attn.v_proj.bias", PART_V, false},  \
    {"q_norm.weight", "self_attn.q_norm.weight", ALL, false},  \
    {"k_norm.weight", "self_attn.k_norm.weight", ALL, false},  \
    {"out.weight", "self_attn.o_proj.weight", ALL, false},  \
    {"out.bias", "self_attn.o_proj.bias", ALL, false}
/* clang-format on */

struct family {
    const char *name;         /* model_type of config.json, and arch.family */
    const char *architecture; /* the class that transformers opens it with */

    /* config.json to arch, all but what the families share (config.c): ids, dropout's other keys; and back. The arch is
     * zero before but for its family. `read_layers` is called after `read`, once the number of layers is known to fit:
     * it sets what is of each layer (windows, rotary bases and scaling) and what hangs on it. `write` adds keys to an
     * object. */
    bool (*read)(const json_t *config, struct arch *arch, struct talc_error *err);
    bool (*read_layers)(const json_t *config, struct arch *arch, struct talc_error *err);
    void (*write)(json_t *config, const struct arch *arch);

    /* Tensors of the file: rules outside the blocks and inside them, each list ended by a NULL name. Rules of
     * parameters that the arch does not have are passed over. */
    const char *prefix; /* of names outside the head; base models are saved without it */
    const char *blocks; /* before the number of a block */
    const struct name_rule *outer, *block;
    bool always_biases;  /* the format has all biases: a model without them is written with zeros */
    bool norms_less_one; /* the file has norms less 1. The difference is rounded to a float, so that a norm below 1/2
                            may come back 2^-25 off (model_folder_is_exact) */
    const char *other_prefixes[2]; /* that files have instead of `prefix`; NULL: none */
    const char *passed_over[4];    /* what begins with one of these is none of the model's tensors */

    /* Of a model that is more than its text: what opens its text_config, and no more is done of it; the fields after
     * `name` are empty. */
    const struct family *text;
};

extern const struct family family_gpt2, family_llama, family_mistral, family_qwen2, family_qwen3, family_phi3,
    family_gemma, family_gemma2, family_gemma3_text, family_gemma3;

/* NULL: there is none of that name. */
const struct family *family_find(const char *name);
/* All names, for a message: "gpt2 and qwen3"; cut where they do not fit. */
void family_names(char *text, size_t size);

#endif
