/* head.c - from the final hidden states to logits, statistics and back. Logits exist for head_chunk rows at a time. */
#include "model/run_internal.h"

/* Rows [first, first + n) of what the chunk needs. */
struct chunk {
    struct tensor hidden, logits, stats, grads, targets, d_hidden;
};

static struct chunk chunk_at(const struct run *run, int64_t first, int64_t *n) {
    int64_t left = run->batch.n_tokens - first;
    *n = left < run->logits.rows ? left : run->logits.rows;
    struct chunk c = {.hidden = tensor_rows(run->hidden, first, *n),
                      .logits = first_rows(run->logits, *n),
                      .stats = tensor_rows(run->stats, first, *n),
                      .grads = tensor_rows(run->stat_grads, first, *n),
                      .targets = tensor_cols(run->targets, first, *n)};
    if (run->options.training) c.d_hidden = tensor_rows(run->workspace->d_hidden, first, *n);
    return c;
}

static bool check_targets(const struct run *run, struct talc_error *err) {
    return run->batch.targets ? true : talc_fail(err, "the batch has no targets");
}

bool run_logits(struct run *run, float *logits, struct talc_error *err) {
    struct model *m = run->model;
    const struct ops *ops = run->stream->ops;
    int rows = run->batch.n_head_rows;
    if (rows > run->logits.rows)
        return talc_fail(err, "logits of %d rows were asked for; the run has room for %lld", rows, (long long)run->logits.rows);
    struct tensor picked = first_rows(run->workspace->delta, rows), out = first_rows(run->logits, rows);
    ops->gather_rows(run->stream, picked, run->hidden, run->head_rows);
    linear_forward(run, &m->head, out, picked);
    run->stream->backend->copy_out(run->stream, logits, out.data, (size_t)rows * (size_t)out.cols * sizeof *logits);
    return stream_synchronize(run->stream, err);
}

static bool copy_stats(struct run *run, float *stats, struct talc_error *err) {
    run->stream->backend->copy_out(run->stream, stats, run->stats.data,
                                   (size_t)run->batch.n_tokens * TOKEN_STATS * sizeof *stats);
    return stream_synchronize(run->stream, err);
}

bool run_stats(struct run *run, float inverse_temperature, float *stats, struct talc_error *err) {
    if (!check_targets(run, err)) return false;
    for (int64_t first = 0, n; first < run->batch.n_tokens; first += n) {
        struct chunk c = chunk_at(run, first, &n);
        linear_forward(run, &run->model->head, c.logits, c.hidden);
        run->stream->ops->stats_forward(run->stream, c.stats, c.logits, c.targets, inverse_temperature);
    }
    return copy_stats(run, stats, err);
}

/* From d_hidden of the final norm's output down to the embedding. */
static void body_backward(struct run *run) {
    struct model *m = run->model;
    const struct ops *ops = run->stream->ops;
    int64_t n = run->batch.n_tokens;
    struct workspace *w = run->workspace;
    struct tensor d_residual = first_rows(w->d_residual, n);
    ops->zero(run->stream, d_residual);
    ops->norm_backward(run->stream, (struct norm_options){m->arch.norm, m->arch.norm_epsilon}, d_residual,
                       gradient_of(m->final_norm.weight), gradient_of(m->final_norm.bias), first_rows(w->d_hidden, n),
                       first_rows(w->final_input, n), value_of(m->final_norm.weight), first_rows(w->final_stats, n));
    for (int layer = m->arch.n_layers - 1; layer >= 0; layer--) {
        block_backward(run, layer);
        if (run->after_layer_backward) run->after_layer_backward(run->hook_context, layer);
    }
    if (run->dropout && m->arch.dropout > 0)
        ops->dropout(run->stream, (struct dropout_options){m->arch.dropout, 0}, d_residual, run->rng);
    ops->embedding_backward(run->stream, m->embedding->gradient, run->tokens, gradient_of(m->positions), run->positions,
                            d_residual);
}

/* Every chunk: logits, statistics where they are not known yet, then the gradients of logits, hidden and head. */
static bool head_backward(struct run *run, float inverse_temperature, const float *stat_grads, bool with_stats,
                          struct talc_error *err) {
    const struct ops *ops = run->stream->ops;
    if (!check_targets(run, err)) return false;
    if (!run->options.training) return talc_fail(err, "this run keeps no activations: it cannot go backward");
    run->stream->backend->copy_in(run->stream, run->stat_grads.data, stat_grads,
                                  (size_t)run->batch.n_tokens * TOKEN_STATS * sizeof *stat_grads);
    for (int64_t first = 0, n; first < run->batch.n_tokens; first += n) {
        struct chunk c = chunk_at(run, first, &n);
        linear_forward(run, &run->model->head, c.logits, c.hidden);
        if (with_stats) ops->stats_forward(run->stream, c.stats, c.logits, c.targets, inverse_temperature);
        ops->stats_backward(run->stream, c.logits, c.stats, c.grads, c.targets, inverse_temperature);
        linear_backward(run, &run->model->head, c.d_hidden, c.logits, c.hidden);
    }
    body_backward(run);
    return true;
}

bool run_backward(struct run *run, float inverse_temperature, const float *stat_grads, struct talc_error *err) {
    return head_backward(run, inverse_temperature, stat_grads, false, err) && stream_synchronize(run->stream, err);
}

bool run_stats_backward(struct run *run, float inverse_temperature, const float *stat_grads, float *stats,
                        struct talc_error *err) {
    return head_backward(run, inverse_temperature, stat_grads, true, err) && copy_stats(run, stats, err);
}
