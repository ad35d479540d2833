/* arch.h - what a family of models is, as data. The model code reads this and knows no family by name; a family is
 * known only to its family_*.c (family.h) and to presets.c. */
#ifndef TALC_MODEL_ARCH_H
#define TALC_MODEL_ARCH_H

#include <jansson.h>

#include "tensor/ops.h"

#define ARCH_MAX_LAYERS 512
#define ARCH_MAX_DEPTH 256 /* of arch_from_depth */

/* How rotary frequencies are stretched for contexts longer than those of training; d = numbers of a head that turn,
 * f = base^(-2i/d) for i < d/2, p = original_context.
 * ROPE_LINEAR: f / factor (Chen et al. 2023).
 * ROPE_DYNAMIC: f, as all of the context is within what was trained; only contexts beyond it would change f.
 * ROPE_LLAMA3: f where its wavelength is below p / high; f / factor where it is above p / low; in between a mean of the
 *   two, by p / wavelength (Llama 3.1).
 * ROPE_YARN: f, f / factor, and a ramp between them in i where an angle turns `high` and `low` times in p
 *   (Peng et al. 2023).
 * ROPE_LONG: f / short_factor[i] (Ding et al. 2024): the factors of contexts up to p, and talc's context ends there. */
enum rope_kind { ROPE_PLAIN, ROPE_LINEAR, ROPE_DYNAMIC, ROPE_LLAMA3, ROPE_YARN, ROPE_LONG };

struct rope_scaling {
    enum rope_kind kind;
    float factor;
    float low, high;        /* see above */
    bool whole;             /* ROPE_YARN: the ramp begins and ends at whole i */
    int original_context;   /* tokens of training before the stretching */
    float attention_factor; /* ROPE_YARN, ROPE_LONG: cos and sin are multiplied by it */
};

struct layer_arch {
    int window;      /* keys a token sees (itself included); 0: all before it */
    float rope_base; /* of the rotary angles; unused with learned positions, as is: */
    struct rope_scaling scaling;
};

/* Of ROPE_LONG, for all layers. */
struct rope_long {
    int full_context; /* that the long factors would reach; kept for the file */
    float short_factor[MOST_HEAD_DIM / 2], long_factor[MOST_HEAD_DIM / 2];
};

struct arch {
    char family[32]; /* Hugging Face's model_type, one of family.c */
    int vocab_size, context_length;
    int hidden_size, n_layers, n_heads, n_kv_heads, head_dim, intermediate_size;
    enum norm_kind norm;
    bool norm_bias; /* LayerNorm only */
    float norm_epsilon;
    enum activation_kind activation;
    bool learned_positions; /* a position table added to the embedding; else rotary */
    int rotary_dim;         /* the first numbers of a head turn, the others stay; 0: all turn */
    bool qkv_bias, out_bias, mlp_bias;
    bool qk_norm;               /* RMS norm of every query and key head, before rope */
    bool post_norms;            /* what attention and MLP give is normed too, before it is added to the stream */
    bool scale_embedding;       /* times sqrt(hidden_size) */
    int query_pre_attn_scalar;  /* scores are q k^T / sqrt(this); 0: / sqrt(head_dim) */
    float attention_softcap;    /* of scores, cap tanh(x / cap); 0: none */
    float logit_softcap;        /* of logits */
    bool tie_embeddings;        /* the head's weight is the embedding table */
    float dropout;              /* of embedding, both residual branches and attention weights; training only */
    int bos_id, eos_id, pad_id; /* -1: none */
    struct rope_long rope_long;
    struct layer_arch layers[ARCH_MAX_LAYERS];
};

/* Numbers of a head that turn. */
static inline int arch_rotary_dim(const struct arch *a) { return a->rotary_dim ? a->rotary_dim : a->head_dim; }

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
 * refused by name). Ids outside the vocabulary count as none; of a list of ids the first counts. What files of a family
 * cannot say is written as keys of talc's own, which transformers ignores: of GPT-2 "bias" false (then the file's
 * biases are zeros) and the windows of its layers, in Qwen3's keys; of families with one dropout "embd_pdrop" and
 * "resid_pdrop". */
bool arch_from_config(const json_t *config, struct arch *arch, struct talc_error *err);
json_t *arch_to_config(const struct arch *arch); /* new reference; NULL when out of memory */

#endif
