/* arch.h - what a family of models is, as data. The model code reads this and knows no family by name; a family is
 * known only to its family_*.c (family.h) and to presets.c. */
#ifndef TALC_MODEL_ARCH_H
#define TALC_MODEL_ARCH_H

#include <jansson.h>

#include "tensor/ops.h"

#define ARCH_MAX_LAYERS 512
#define ARCH_MAX_DEPTH 256 /* of arch_from_depth */

struct layer_arch {
    int window;      /* keys a token sees (itself included); 0: all before it */
    float rope_base; /* of the rotary angles; unused with learned positions */
};

struct arch {
    char family[32]; /* Hugging Face's model_type: "gpt2", "qwen3" */
    int vocab_size, context_length;
    int hidden_size, n_layers, n_heads, n_kv_heads, head_dim, intermediate_size;
    enum norm_kind norm;
    bool norm_bias; /* LayerNorm only */
    float norm_epsilon;
    enum activation_kind activation;
    bool learned_positions; /* a position table added to the embedding; else rotary */
    bool qkv_bias, out_bias, mlp_bias;
    bool qk_norm;               /* RMS norm of every query and key head, before rope */
    bool tie_embeddings;        /* the head's weight is the embedding table */
    float dropout;              /* of embedding, both residual branches and attention weights; training only */
    int bos_id, eos_id, pad_id; /* -1: none */
    struct layer_arch layers[ARCH_MAX_LAYERS];
};

/* Checks every field against the others (positive sizes, heads that divide, a size that can be addressed). */
bool arch_check(const struct arch *arch, struct talc_error *err);

/* Numbers of trainable parameters: all; those in matrices of the blocks (what most of the arithmetic is). */
int64_t arch_parameters(const struct arch *arch);
int64_t arch_block_parameters(const struct arch *arch);
/* Floating-point operations to train on one token at this context: 6 per parameter that multiplies (head included,
 * tables not) and, a layer, 12 n_heads head_dim times the mean number of keys, which is context/2 without a window; a
 * third of it for a forward pass. */
double arch_train_flops(const struct arch *arch, int context);

/* Presets: "gpt2-124m" ... "gpt2-1558m", "gpt3-125m" ...
 * "gpt3-175b", "shakespeare-char-cpu", "shakespeare-char-gpu". */
struct preset {
    const char *name, *summary, *note; /* note: a slip of the paper that is mended here, or NULL */
};
extern const struct preset presets[]; /* ended by a NULL name */
bool arch_preset(const char *name, struct arch *arch, struct talc_error *err);
/* GPT-3's alternating dense and banded layers (Brown et al. 2020, 2.1; Child et al. 2019). */
void arch_paper_attention(struct arch *arch);
/* The one dial for new models, Qwen3-shaped; every derivation is written beside its line. The ids are left at none. */
bool arch_from_depth(int depth, int vocab_size, struct arch *arch, struct talc_error *err);

/* Hugging Face's config.json, both ways (keys of transformers 4 and 5 are read; a setting that talc does not do is
 * refused by name). Ids outside the vocabulary count as none; of a list of ids the first counts. Three things that
 * GPT-2's files cannot say are written as keys of talc's own, which transformers ignores: "bias" false (then the file's
 * biases are zeros), the windows of its layers, in Qwen3's keys, and, for Qwen3, "embd_pdrop" and "resid_pdrop". */
bool arch_from_config(const json_t *config, struct arch *arch, struct talc_error *err);
json_t *arch_to_config(const struct arch *arch); /* new reference; NULL when out of memory */

#endif
