/* block.c - one transformer block, forward and backward, for training and inference.
 *
 *   middle = input + out(attention(qkv(norm(input))))
 *   output = middle + down(activation(up(norm(middle))))
 *
 * The additions are done by the norm that follows (ops.h): a block leaves `middle` and a delta, and the next block (or
 * the final norm) adds them. The last block goes on after its attention with the rows that the head wants: of a chat
 * only the answers are learnt, of a prompt only the last token is asked. */
#include <math.h>

#include "model/run_internal.h"

static struct qkv_options qkv_options(const struct arch *a) {
    return (struct qkv_options){
        .n_heads = a->n_heads, .n_kv_heads = a->n_kv_heads, .head_dim = a->head_dim, .norm_epsilon = a->norm_epsilon};
}

static struct qkv_tensors qkv_tensors(const struct run *run, int layer, const struct layer_activations *a) {
    const struct block *b = &run->model->blocks[layer];
    return (struct qkv_tensors){.qkv = a->qkv,
                                .q_norm = value_of(b->q_norm),
                                .k_norm = value_of(b->k_norm),
                                .norm_stats = a->head_stats,
                                .positions = run->positions,
                                .rope = run->model->rope ? run->model->rope[layer] : tensor_absent(),
                                .slots = run->pass->cached ? run->slots : tensor_absent()};
}

/* Whether heads are normed or turned; else they are what the projection gives. */
static bool changes_heads(const struct qkv_tensors *t) {
    return tensor_present(t->q_norm) || tensor_present(t->k_norm) || tensor_present(t->rope);
}

static struct attention_options attention_options(const struct run *run, int layer) {
    const struct arch *a = &run->model->arch;
    return (struct attention_options){.n_heads = a->n_heads,
                                      .n_kv_heads = a->n_kv_heads,
                                      .head_dim = a->head_dim,
                                      .scale = 1 / sqrtf((float)a->head_dim),
                                      .window = a->layers[layer].window,
                                      .n_sequences = run->pass->n_sequences,
                                      .max_length = run->pass->max_length,
                                      .block_tokens = run->options.kv_block_tokens,
                                      .dropout = run->pass->dropout,
                                      .dropout_site = dropout_site(layer, DROPOUT_ATTENTION)};
}

static struct attention_tensors attention_tensors(const struct run *run, int layer, const struct layer_activations *a) {
    return (struct attention_tensors){.q = a->q,
                                      .k = a->k,
                                      .v = a->v,
                                      .starts = run->starts,
                                      .lengths = run->lengths,
                                      .blocks = run->pass->cached ? run->blocks : tensor_absent(),
                                      .positions = run->positions,
                                      .wanted = picks_rows(run, layer) ? run->wanted : tensor_absent(),
                                      .rng = run->rng,
                                      .out = a->attended,
                                      .lse = a->lse};
}

/* ---- forward --------------------------------------------------------------------------------- */

/* input = x + delta, which may be absent. */
static void attention_forward(struct run *run, int layer, const struct layer_activations *a, struct tensor x,
                              struct tensor delta) {
    const struct block *b = &run->model->blocks[layer];
    norm_forward(run, &b->attention_norm, a->normed, a->input, x, delta, a->attention_stats);
    linear_forward(run, &b->qkv, a->qkv, a->normed);
    struct qkv_options qkv = qkv_options(&run->model->arch);
    struct qkv_tensors heads = qkv_tensors(run, layer, a);
    if (run->pass->cached || changes_heads(&heads))
        run->stream->ops->qkv_forward(run->stream, &qkv, &heads, a->q, a->k, a->v);
    struct attention_options attention = attention_options(run, layer);
    struct attention_tensors tensors = attention_tensors(run, layer, a);
    run->stream->ops->attention_forward(run->stream, &attention, &tensors);
}

static void pick_rows(struct run *run, const struct layer_activations *a) {
    run->stream->ops->gather_rows(run->stream, a->out_input, a->input, run->head_rows);
    run->stream->ops->gather_rows(run->stream, a->out_attended, a->attended, run->head_rows);
}

static void out_forward(struct run *run, int layer, const struct layer_activations *a, struct tensor delta) {
    linear_forward(run, &run->model->blocks[layer].out, delta, a->out_attended);
    apply_dropout(run, delta, dropout_site(layer, DROPOUT_OUT));
}

static void up_forward(struct run *run, int layer, const struct layer_activations *a, struct tensor delta) {
    const struct block *b = &run->model->blocks[layer];
    norm_forward(run, &b->mlp_norm, a->mlp_normed, a->middle, a->out_input, delta, a->mlp_stats);
    linear_forward(run, &b->up, a->up, a->mlp_normed);
    run->stream->ops->activation_forward(run->stream, run->model->arch.activation, a->activated, a->up);
}

static void down_forward(struct run *run, int layer, const struct layer_activations *a, struct tensor delta) {
    linear_forward(run, &run->model->blocks[layer].down, delta, a->activated);
    apply_dropout(run, delta, dropout_site(layer, DROPOUT_DOWN));
}

/* The stream that the block before left (its delta is in the workspace), or the embedding. */
void block_forward(struct run *run, int layer) {
    struct layer_activations a = layer_rows(run, layer);
    bool first = layer == 0;
    attention_forward(run, layer, &a, first ? a.input : layer_rows(run, layer - 1).middle,
                      first ? tensor_absent() : workspace_rows(run, run->pass->n_tokens).delta);
    if (picks_rows(run, layer)) pick_rows(run, &a);
    struct tensor delta = workspace_rows(run, a.middle.rows).delta;
    if (delta.rows == 0) return; /* only keys and values were wanted */
    out_forward(run, layer, &a, delta);
    up_forward(run, layer, &a, delta);
    down_forward(run, layer, &a, delta);
}

/* The bits of forward: the same operations on the same input, with the same masks. What the block added last to the
 * stream is not needed. */
void block_recompute(struct run *run, int layer) {
    struct layer_activations a = layer_rows(run, layer);
    struct tensor delta = workspace_rows(run, a.middle.rows).delta;
    attention_forward(run, layer, &a, a.input, tensor_absent());
    out_forward(run, layer, &a, delta);
    up_forward(run, layer, &a, delta);
}

/* ---- backward -------------------------------------------------------------------------------- */

/* The gradient of a branch's output: the stream's own, or, where the branch was dropped, a masked copy. */
static struct tensor branch_gradient(struct run *run, const struct workspace *w, uint32_t site) {
    if (!(run->pass->dropout > 0)) return w->d_residual;
    run->stream->ops->copy(run->stream, w->delta, w->d_residual);
    apply_dropout(run, w->delta, site);
    return w->delta;
}

static void mlp_backward(struct run *run, int layer, const struct layer_activations *a, const struct workspace *w) {
    const struct block *b = &run->model->blocks[layer];
    struct tensor d_down = branch_gradient(run, w, dropout_site(layer, DROPOUT_DOWN));
    linear_backward(run, &b->down, w->d_activated, d_down, a->activated, run->fresh);
    run->stream->ops->activation_backward(run->stream, run->model->arch.activation, w->d_up, w->d_activated, a->up);
    linear_backward(run, &b->up, w->d_hidden, w->d_up, a->mlp_normed, run->fresh);
    norm_backward(run, &b->mlp_norm, w->d_residual, w->d_hidden, a->middle, a->mlp_stats);
}

static void out_backward(struct run *run, int layer, const struct layer_activations *a, const struct workspace *w) {
    struct tensor d_out = branch_gradient(run, w, dropout_site(layer, DROPOUT_OUT));
    linear_backward(run, &run->model->blocks[layer].out, w->d_attended, d_out, a->out_attended, run->fresh);
}

/* The gradients of the picked rows go back to their places; the other rows have none yet. `all` is the workspace of all
 * tokens; what lies in it is moved aside first. */
static void unpick_rows(struct run *run, const struct workspace *picked, const struct workspace *all) {
    const struct ops *ops = run->stream->ops;
    struct stream *s = run->stream;
    ops->copy(s, picked->d_hidden, picked->d_residual);
    struct tensor d_attended = heads_of(&run->model->arch, picked->qkv).q;
    ops->copy(s, d_attended, picked->d_attended);
    ops->zero(s, all->d_residual);
    ops->zero(s, all->d_attended);
    ops->scatter_add_rows(s, all->d_residual, picked->d_hidden, run->head_rows);
    ops->scatter_add_rows(s, all->d_attended, d_attended, run->head_rows);
}

static void attention_backward(struct run *run, int layer, const struct layer_activations *a,
                               const struct workspace *w) {
    const struct block *b = &run->model->blocks[layer];
    struct attention_options attention = attention_options(run, layer);
    struct attention_tensors tensors = attention_tensors(run, layer, a);
    struct heads d = heads_of(&run->model->arch, w->qkv);
    struct attention_gradients gradients = {.d_out = w->d_attended, .d_q = d.q, .d_k = d.k, .d_v = d.v};
    run->stream->ops->attention_backward(run->stream, &attention, &tensors, &gradients);
    struct qkv_options qkv = qkv_options(&run->model->arch);
    struct qkv_tensors heads = qkv_tensors(run, layer, a);
    if (changes_heads(&heads))
        run->stream->ops->qkv_backward(run->stream, &qkv, &heads, w->qkv, gradient_of(b->q_norm),
                                       gradient_of(b->k_norm), d.q, d.k, d.v);
    linear_backward(run, &b->qkv, w->d_hidden, w->qkv, a->normed, run->fresh);
    norm_backward(run, &b->attention_norm, w->d_residual, w->d_hidden, a->input, a->attention_stats);
}

void block_backward(struct run *run, int layer) {
    struct layer_activations a = layer_rows(run, layer);
    struct workspace all = workspace_rows(run, run->pass->n_tokens), w = workspace_rows(run, a.middle.rows);
    mlp_backward(run, layer, &a, &w);
    out_backward(run, layer, &a, &w);
    if (picks_rows(run, layer)) unpick_rows(run, &w, &all);
    attention_backward(run, layer, &a, &all);
}
