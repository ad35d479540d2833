/* run_internal.h - what the files of a forward and backward pass share. */
#ifndef TALC_MODEL_RUN_INTERNAL_H
#define TALC_MODEL_RUN_INTERNAL_H

#include "model/model.h"

/* What backward needs of one layer. Inference has one of these, used by every layer in turn. */
struct layer_activations {
    struct tensor input;          /* [n, h]: the residual stream that the attention norm saw */
    struct tensor attention_stats; /* [n, 2] */
    struct tensor normed;         /* [n, h]: after the attention norm */
    struct tensor qkv;            /* [n, (H+2G)d]: before norms and rope */
    struct tensor head_stats;     /* [n, H+G] */
    struct tensor q, k, v;        /* after them */
    struct tensor attended, lse;  /* [n, Hd], [n, H] */
    struct tensor middle;         /* [n, h]: the residual stream that the MLP norm saw */
    struct tensor mlp_stats;
    struct tensor mlp_normed;     /* [n, h] */
    struct tensor up, activated;  /* [n, f or 2f], [n, f] */
};

/* Buffers that every layer uses and none keeps. */
struct workspace {
    struct tensor delta;   /* [n, h]: what a branch adds to the residual stream */
    struct tensor final_input, final_stats; /* residual stream before the final norm, and its statistics */
    /* backward */
    struct tensor d_residual; /* [n, h] */
    struct tensor d_hidden;   /* [n, h]: of the normed stream, and of branches */
    struct tensor d_wide;     /* [n, f or 2f] */
    struct tensor d_inner;    /* [n, f], also the gradient of `attended` */
    struct tensor d_qkv, d_q, d_k, d_v;
};

/* Sites of dropout in one step: 0 is the embedding; a layer has three. */
static inline uint32_t dropout_site(int layer, int use) { return (uint32_t)(1 + layer * 3 + use); }

void block_forward(struct run *run, int layer);
void block_backward(struct run *run, int layer);

void linear_forward(struct run *run, const struct linear *linear, struct tensor out, struct tensor x);
/* d_x = (or nothing where absent); the parameters' gradients +=. */
void linear_backward(struct run *run, const struct linear *linear, struct tensor d_x, struct tensor d_out, struct tensor x);

/* The first n rows of a tensor: what the current batch uses of it. */
static inline struct tensor first_rows(struct tensor t, int64_t n) {
    if (tensor_present(t)) t.rows = n;
    return t;
}
static inline struct tensor value_of(const struct parameter *p) { return p ? p->value : tensor_absent(); }
static inline struct tensor gradient_of(const struct parameter *p) { return p ? p->gradient : tensor_absent(); }

#endif
