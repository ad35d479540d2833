/* run_internal.h - what the files of a forward and backward pass share. */
#ifndef TALC_MODEL_RUN_INTERNAL_H
#define TALC_MODEL_RUN_INTERNAL_H

#include "model/model.h"

/* What backward needs of one layer. Inference has one of these, used by every layer in turn; where activations are
 * computed again all layers share one, except for `input`. */
struct layer_activations {
    struct tensor input;           /* [n, h]: the residual stream that the attention norm saw */
    struct tensor attention_stats; /* [n, 2] */
    struct tensor normed;          /* [n, h]: after the attention norm */
    struct tensor qkv;        /* [n, (H+2G)d]: before norms and rope, which work in place but in training with norms */
    struct tensor head_stats; /* [n, H+G] */
    struct tensor q, k, v;    /* after them; columns of qkv where they work in place, as v always is; or the cache */
    struct tensor attended, lse; /* [n, Hd], [n, H] */
    /* From here on the last layer has the head rows only. */
    struct tensor out_input, out_attended; /* rows of input and attended that go on */
    struct tensor attention_branch,
        attention_post_stats; /* [n, h], [n, 2]: what its post norm saw; absent without one */
    struct tensor middle;     /* [n, h]: the residual stream that the MLP norm saw */
    struct tensor mlp_stats;
    struct tensor mlp_normed;    /* [n, h] */
    struct tensor up, activated; /* [n, f or 2f], [n, f] */
    struct tensor mlp_branch, mlp_post_stats;
};

/* Buffers that every layer uses and none keeps; all but those that say so are for backward. */
struct workspace {
    struct tensor delta; /* [n, h]: what a branch adds to the residual stream (forward too) */
    struct tensor head_input,
        head_attended; /* [n, h], [n, Hd]: the last layer's, where not all rows go on (forward too) */
    struct tensor qkv; /* [n, (H+2G)d]: of forward, and its gradient (forward too) */
    struct tensor final_input, final_stats; /* residual stream before the final norm, and its statistics (forward) */
    struct tensor d_residual;               /* [n, h] */
    struct tensor d_hidden;                 /* [n, h]: of the normed stream */
    struct tensor d_up;                     /* [n, f or 2f] */
    struct tensor d_activated;              /* [n, f] */
    struct tensor d_attended;               /* [n, Hd] */
};

/* The columns of a qkv tensor. */
struct heads {
    struct tensor q, k, v;
};
static inline struct heads heads_of(const struct arch *a, struct tensor qkv) {
    int64_t q = (int64_t)a->n_heads * a->head_dim, kv = (int64_t)a->n_kv_heads * a->head_dim;
    return (struct heads){tensor_cols(qkv, 0, q), tensor_cols(qkv, q, kv), tensor_cols(qkv, q + kv, kv)};
}

/* What the run remembers of the current batch on the host. */
struct pass {
    int n_tokens, n_sequences, n_head_rows; /* n_tokens 0: no batch yet */
    bool all_rows;                          /* every token is a head row: none is picked */
    int max_length;                         /* longest sequence, in keys */
    bool cached, has_targets;
    float dropout;           /* that the forward pass had */
    bool has_stats;          /* run_stats has been there ... */
    float stats_temperature; /* ... with this inverse temperature */
    int32_t *lengths;        /* room for max_sequences */
    int32_t *wanted;         /* room for max_tokens: 1 for each head row */
};

/* Plans (with an arena without memory) or takes what a run needs; the tables' rows are those of the largest batch. The
 * arrays of `run` must be there, or `layers`, `keys` and `values` NULL to plan only. */
void run_plan(struct run *run, struct arena *arena, const struct arch *arch, const struct run_options *options,
              struct memory_table *table);

/* The activations of a layer, cut to the rows of the batch; and the workspace, cut to n rows. */
struct layer_activations layer_rows(const struct run *run, int layer);
struct workspace workspace_rows(const struct run *run, int64_t n);
/* Whether rows are picked in this layer's middle: in the last one, unless all go on. */
bool picks_rows(const struct run *run, int layer);

/* Uses of dropout in a layer; each has masks of its own, as the embedding has. */
enum dropout_use { DROPOUT_ATTENTION, DROPOUT_OUT, DROPOUT_DOWN, DROPOUT_USES };
enum { DROPOUT_SITE_EMBEDDING = 0 };
static inline uint32_t dropout_site(int layer, enum dropout_use use) {
    return (uint32_t)(1 + layer * DROPOUT_USES + (int)use);
}
/* Masks x if this pass has dropout; the same call on a gradient is its backward. */
void apply_dropout(const struct run *run, struct tensor x, uint32_t site);

void block_forward(struct run *run, int layer);
void block_backward(struct run *run, int layer);
/* What block_forward left for backward, again from `input`; not for the last layer, whose activations
 * are still there. */
void block_recompute(struct run *run, int layer);
/* From workspace.d_hidden, the gradient of run->hidden, through all blocks to the embedding. */
void body_backward(struct run *run);

void linear_forward(struct run *run, const struct linear *linear, struct tensor out, struct tensor x);
/* d_x =; the bias's gradient +=; the weight's = where `fresh`, else +=. */
void linear_backward(struct run *run, const struct linear *linear, struct tensor d_x, struct tensor d_out,
                     struct tensor x, bool fresh);

/* out = norm(residual), residual = x + delta; its backward adds to d_x and to the gradients of the parameters. */
void norm_forward(struct run *run, const struct norm *norm, struct tensor out, struct tensor residual, struct tensor x,
                  struct tensor delta, struct tensor stats);
void norm_backward(struct run *run, const struct norm *norm, struct tensor d_x, struct tensor d_out, struct tensor x,
                   struct tensor stats);

static inline struct tensor first_rows(struct tensor t, int64_t n) {
    if (tensor_present(t)) t.rows = n;
    return t;
}
static inline struct tensor value_of(const struct parameter *p) { return p ? p->value : tensor_absent(); }
static inline struct tensor gradient_of(const struct parameter *p) { return p ? p->gradient : tensor_absent(); }

#endif
