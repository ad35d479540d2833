/* block.c - one transformer block, forward and backward, for training and inference.
 *
 *   middle = input + out(attention(qkv(norm(input))))
 *   output = middle + down(activation(up(norm(middle))))
 *
 * The additions are done by the norm that follows (ops.h): a block hands on its input stream and a delta, and the next block
 * (or the final norm) adds them. */
#include <math.h>

#include "model/run_internal.h"

static struct norm_options norm_options(const struct arch *a) {
    return (struct norm_options){.kind = a->norm, .epsilon = a->norm_epsilon};
}

static struct qkv_options qkv_options(const struct arch *a) {
    return (struct qkv_options){a->n_heads, a->n_kv_heads, a->head_dim, a->norm_epsilon};
}

static struct attention_options attention_options(const struct run *run, int layer) {
    const struct arch *a = &run->model->arch;
    bool cached = run->batch.lengths != NULL;
    return (struct attention_options){.n_heads = a->n_heads,
                                      .n_kv_heads = a->n_kv_heads,
                                      .head_dim = a->head_dim,
                                      .scale = 1 / sqrtf((float)a->head_dim),
                                      .window = a->layers[layer].window,
                                      .n_sequences = run->batch.n_sequences,
                                      .max_length = run->max_length,
                                      .block_tokens = cached ? run->options.kv_block_tokens : 0,
                                      .dropout = run->dropout ? a->dropout : 0,
                                      .dropout_site = dropout_site(layer, 0)};
}

static void drop(const struct run *run, struct tensor x, int layer, int use) {
    float p = run->dropout ? run->model->arch.dropout : 0;
    if (p > 0)
        run->stream->ops->dropout(run->stream, (struct dropout_options){p, dropout_site(layer, use)}, x, run->rng);
}

/* The activations of a layer, cut to the rows of the batch. */
static struct layer_activations current(const struct run *run, int layer) {
    struct layer_activations a = run->layers[run->options.training ? layer : 0];
    int64_t n = run->batch.n_tokens;
    struct tensor *all[] = {&a.input, &a.attention_stats, &a.normed, &a.qkv, &a.head_stats, &a.q, &a.k, &a.v, &a.attended,
                            &a.lse, &a.middle, &a.mlp_stats, &a.mlp_normed, &a.up, &a.activated};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) *all[i] = first_rows(*all[i], n);
    if (run->batch.lengths) { /* keys and values live in the cache */
        a.k = run->keys[layer];
        a.v = run->values[layer];
    }
    return a;
}

static struct qkv_tensors qkv_tensors(const struct run *run, int layer, const struct layer_activations *a) {
    const struct block *b = &run->model->blocks[layer];
    return (struct qkv_tensors){.qkv = a->qkv,
                                .q_norm = value_of(b->q_norm),
                                .k_norm = value_of(b->k_norm),
                                .norm_stats = a->head_stats,
                                .positions = run->positions,
                                .rope = run->model->rope ? run->model->rope[layer] : tensor_absent(),
                                .slots = run->batch.lengths ? run->slots : tensor_absent()};
}

static struct attention_tensors attention_tensors(const struct run *run, const struct layer_activations *a) {
    return (struct attention_tensors){.q = a->q,
                                      .k = a->k,
                                      .v = a->v,
                                      .starts = run->starts,
                                      .lengths = run->lengths,
                                      .blocks = run->batch.lengths ? run->blocks : tensor_absent(),
                                      .positions = run->positions,
                                      .rng = run->rng,
                                      .out = a->attended,
                                      .lse = a->lse};
}

/* input (and the delta of the block before) -> delta of attention, in workspace->delta */
static void attention_forward(struct run *run, int layer, const struct layer_activations *a) {
    const struct arch *arch = &run->model->arch;
    const struct block *b = &run->model->blocks[layer];
    const struct ops *ops = run->stream->ops;
    struct tensor delta = first_rows(run->workspace->delta, run->batch.n_tokens);
    struct tensor x = layer == 0 ? a->input : first_rows(run->layers[run->options.training ? layer - 1 : 0].middle, a->input.rows);
    ops->norm_forward(run->stream, norm_options(arch), a->normed, a->input, x, layer == 0 ? tensor_absent() : delta,
                      value_of(b->attention_norm.weight), value_of(b->attention_norm.bias), a->attention_stats);
    linear_forward(run, &b->qkv, a->qkv, a->normed);
    struct qkv_options qkv = qkv_options(arch);
    struct qkv_tensors t = qkv_tensors(run, layer, a);
    ops->qkv_forward(run->stream, &qkv, &t, a->q, a->k, a->v);
    struct attention_options attention = attention_options(run, layer);
    struct attention_tensors at = attention_tensors(run, a);
    ops->attention_forward(run->stream, &attention, &at);
    linear_forward(run, &b->out, delta, a->attended);
    drop(run, delta, layer, 1);
}

void block_forward(struct run *run, int layer) {
    struct layer_activations a = current(run, layer);
    const struct block *b = &run->model->blocks[layer];
    const struct ops *ops = run->stream->ops;
    struct tensor delta = first_rows(run->workspace->delta, run->batch.n_tokens);
    attention_forward(run, layer, &a);
    ops->norm_forward(run->stream, norm_options(&run->model->arch), a.mlp_normed, a.middle, a.input, delta,
                      value_of(b->mlp_norm.weight), value_of(b->mlp_norm.bias), a.mlp_stats);
    linear_forward(run, &b->up, a.up, a.mlp_normed);
    ops->activation_forward(run->stream, run->model->arch.activation, a.activated, a.up);
    linear_forward(run, &b->down, delta, a.activated);
    drop(run, delta, layer, 2);
}

/* The workspace's gradients, cut to the rows of the batch. */
static struct workspace current_workspace(const struct run *run) {
    struct workspace w = *run->workspace;
    struct tensor *all[] = {&w.delta, &w.d_residual, &w.d_hidden, &w.d_wide, &w.d_inner, &w.d_qkv, &w.d_q, &w.d_k, &w.d_v};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) *all[i] = first_rows(*all[i], run->batch.n_tokens);
    return w;
}

/* A dropped branch needs a copy of the stream's gradient to mask; one that is not uses the stream's own. */
static struct tensor branch_gradient(struct run *run, const struct workspace *w, int layer, int use) {
    if (!run->dropout || run->model->arch.dropout == 0) return w->d_residual;
    run->stream->ops->copy(run->stream, w->delta, w->d_residual);
    drop(run, w->delta, layer, use);
    return w->delta;
}

static void mlp_backward(struct run *run, int layer, const struct layer_activations *a, const struct workspace *w) {
    const struct block *b = &run->model->blocks[layer];
    const struct ops *ops = run->stream->ops;
    struct tensor d_inner = tensor_cols(w->d_inner, 0, a->activated.cols);
    linear_backward(run, &b->down, d_inner, branch_gradient(run, w, layer, 2), a->activated);
    ops->activation_backward(run->stream, run->model->arch.activation, w->d_wide, d_inner, a->up);
    linear_backward(run, &b->up, w->d_hidden, w->d_wide, a->mlp_normed);
    ops->norm_backward(run->stream, norm_options(&run->model->arch), w->d_residual, gradient_of(b->mlp_norm.weight),
                       gradient_of(b->mlp_norm.bias), w->d_hidden, a->middle, value_of(b->mlp_norm.weight), a->mlp_stats);
}

void block_backward(struct run *run, int layer) {
    struct layer_activations a = current(run, layer);
    struct workspace w = current_workspace(run);
    const struct arch *arch = &run->model->arch;
    const struct block *b = &run->model->blocks[layer];
    const struct ops *ops = run->stream->ops;
    mlp_backward(run, layer, &a, &w);
    struct tensor d_attended = tensor_cols(w.d_inner, 0, a.attended.cols);
    linear_backward(run, &b->out, d_attended, branch_gradient(run, &w, layer, 1), a.attended);
    struct attention_options attention = attention_options(run, layer);
    struct attention_tensors at = attention_tensors(run, &a);
    struct attention_gradients g = {d_attended, w.d_q, w.d_k, w.d_v};
    ops->attention_backward(run->stream, &attention, &at, &g);
    struct qkv_options qkv = qkv_options(arch);
    struct qkv_tensors t = qkv_tensors(run, layer, &a);
    ops->qkv_backward(run->stream, &qkv, &t, w.d_qkv, gradient_of(b->q_norm), gradient_of(b->k_norm), w.d_q, w.d_k, w.d_v);
    linear_backward(run, &b->qkv, w.d_hidden, w.d_qkv, a.normed);
    ops->norm_backward(run->stream, norm_options(arch), w.d_residual, gradient_of(b->attention_norm.weight),
                       gradient_of(b->attention_norm.bias), w.d_hidden, a.input, value_of(b->attention_norm.weight),
                       a.attention_stats);
}
