/* block.c - one transformer block, forward and backward, for training and inference.
 *
 *   middle = input + out(attention(qkv(norm(input))))
 *   output = middle + down(activation(up(norm(middle))))
 *
 * With post norms what is added is normed beforehand. The additions are done by the norm that follows (ops.h): a block
 * leaves `middle` and a delta, and the next block (or the final norm) adds them. The last block goes on after its
 * attention with the rows that the head wants: of a chat only the answers are learnt, of a prompt only the last token
 * is asked. */
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
    return (struct attention_options){
        .n_heads = a->n_heads,
        .n_kv_heads = a->n_kv_heads,
        .head_dim = a->head_dim,
        .scale = 1 / sqrtf((float)(a->query_pre_attn_scalar ? a->query_pre_attn_scalar : a->head_dim)),
        .softcap = a->attention_softcap,
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

/* A branch beside the residual stream: what is added to it is dropout(norm(linear(x))), the norm where there is one. */
struct branch {
    const struct linear *linear;
    const struct norm *post_norm;
    struct tensor x, given, stats; /* given: what the linear layer gave and the norm saw */
    uint32_t site;                 /* of its dropout */
};

static struct branch attention_branch(const struct run *run, int layer, const struct layer_activations *a) {
    const struct block *b = &run->model->blocks[layer];
    return (struct branch){.linear = &b->out,
                           .post_norm = &b->attention_post_norm,
                           .x = a->out_attended,
                           .given = a->attention_branch,
                           .stats = a->attention_post_stats,
                           .site = dropout_site(layer, DROPOUT_OUT)};
}

static struct branch mlp_branch(const struct run *run, int layer, const struct layer_activations *a) {
    const struct block *b = &run->model->blocks[layer];
    return (struct branch){.linear = &b->down,
                           .post_norm = &b->mlp_post_norm,
                           .x = a->activated,
                           .given = a->mlp_branch,
                           .stats = a->mlp_post_stats,
                           .site = dropout_site(layer, DROPOUT_DOWN)};
}

static void branch_forward(struct run *run, struct branch b, struct tensor delta) {
    bool normed = b.post_norm->weight != NULL;
    linear_forward(run, b.linear, normed ? b.given : delta, b.x);
    if (normed) norm_forward(run, b.post_norm, delta, b.given, b.given, tensor_absent(), b.stats);
    apply_dropout(run, delta, b.site);
}

static void up_forward(struct run *run, int layer, const struct layer_activations *a, struct tensor delta) {
    const struct block *b = &run->model->blocks[layer];
    norm_forward(run, &b->mlp_norm, a->mlp_normed, a->middle, a->out_input, delta, a->mlp_stats);
    linear_forward(run, &b->up, a->up, a->mlp_normed);
    run->stream->ops->activation_forward(run->stream, run->model->arch.activation, a->activated, a->up);
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
    branch_forward(run, attention_branch(run, layer, &a), delta);
    up_forward(run, layer, &a, delta);
    branch_forward(run, mlp_branch(run, layer, &a), delta);
}

/* The bits of forward: the same operations on the same input, with the same masks. What the block added last to the
 * stream is not needed, but by the gradient of a norm of it. */
void block_recompute(struct run *run, int layer) {
    struct layer_activations a = layer_rows(run, layer);
    struct tensor delta = workspace_rows(run, a.middle.rows).delta;
    attention_forward(run, layer, &a, a.input, tensor_absent());
    branch_forward(run, attention_branch(run, layer, &a), delta);
    up_forward(run, layer, &a, delta);
    if (run->model->arch.post_norms) branch_forward(run, mlp_branch(run, layer, &a), delta);
}

/* ---- backward -------------------------------------------------------------------------------- */

/* d_x, the gradient of a branch's input, from that of the stream; where the branch was dropped, from a masked copy. */
static void branch_backward(struct run *run, struct branch b, const struct workspace *w, struct tensor d_x) {
    struct tensor d = w->d_residual;
    if (run->pass->dropout > 0) {
        run->stream->ops->copy(run->stream, w->delta, d);
        apply_dropout(run, w->delta, b.site);
        d = w->delta;
    }
    if (b.post_norm->weight) {
        run->stream->ops->zero(run->stream, w->d_hidden);
        norm_backward(run, b.post_norm, w->d_hidden, d, b.given, b.stats);
        d = w->d_hidden;
    }
    linear_backward(run, b.linear, d_x, d, b.x, run->fresh);
}

static void mlp_backward(struct run *run, int layer, const struct layer_activations *a, const struct workspace *w) {
    const struct block *b = &run->model->blocks[layer];
    branch_backward(run, mlp_branch(run, layer, a), w, w->d_activated);
    run->stream->ops->activation_backward(run->stream, run->model->arch.activation, w->d_up, w->d_activated, a->up);
    linear_backward(run, &b->up, w->d_hidden, w->d_up, a->mlp_normed, run->fresh);
    norm_backward(run, &b->mlp_norm, w->d_residual, w->d_hidden, a->middle, a->mlp_stats);
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
    branch_backward(run, attention_branch(run, layer, &a), &w, w.d_attended);
    if (picks_rows(run, layer)) unpick_rows(run, &w, &all);
    attention_backward(run, layer, &a, &all);
}
