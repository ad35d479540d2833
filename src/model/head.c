/* head.c - from the final hidden states to logits, statistics and back. Logits exist for head_chunk rows at a time. */
#include "model/run_internal.h"

/* Head rows [first, first + n) of the batch. */
struct chunk {
    int64_t first, n;
    struct tensor hidden, logits, stats, grads, targets, d_hidden;
};

static struct chunk chunk_at(const struct run *run, int64_t first) {
    int64_t left = run->pass->n_head_rows - first, n = left < run->logits.rows ? left : run->logits.rows;
    struct chunk c = {.first = first,
                      .n = n,
                      .hidden = tensor_rows(run->hidden, first, n),
                      .logits = first_rows(run->logits, n),
                      .stats = tensor_rows(run->stats, first, n),
                      .targets = tensor_cols(run->targets, first, n)};
    if (run->options.training) {
        c.grads = tensor_rows(run->stat_grads, first, n);
        c.d_hidden = tensor_rows(run->workspace->d_hidden, first, n);
    }
    return c;
}

static bool check_pass(const struct run *run, bool targets, struct talc_error *err) {
    if (run->pass->n_tokens == 0) return talc_fail(err, "there has been no forward pass");
    return !targets || run->pass->has_targets || talc_fail(err, "the batch has no targets");
}

static void logits_forward(struct run *run, const struct chunk *c) {
    float cap = run->model->arch.logit_softcap;
    linear_forward(run, &run->model->head, c->logits, c->hidden);
    if (cap > 0) run->stream->ops->softcap(run->stream, c->logits, cap);
}

bool run_logits(struct run *run, float *logits, struct talc_error *err) {
    if (!check_pass(run, false, err)) return false;
    for (struct chunk c = {0}; c.first + c.n < run->pass->n_head_rows;) {
        c = chunk_at(run, c.first + c.n);
        logits_forward(run, &c);
        run->stream->backend->copy_out(run->stream, logits + c.first * c.logits.cols, c.logits.data,
                                       (size_t)(c.n * c.logits.cols) * sizeof *logits);
    }
    return stream_synchronize(run->stream, err);
}

static bool copy_stats(struct run *run, float inverse_temperature, float *stats, struct talc_error *err) {
    run->stream->backend->copy_out(run->stream, stats, run->stats.data,
                                   (size_t)run->pass->n_head_rows * TOKEN_STATS * sizeof *stats);
    run->pass->has_stats = stream_synchronize(run->stream, err);
    run->pass->stats_temperature = inverse_temperature;
    return run->pass->has_stats;
}

bool run_stats(struct run *run, float inverse_temperature, float *stats, struct talc_error *err) {
    if (!check_pass(run, true, err)) return false;
    for (struct chunk c = {0}; c.first + c.n < run->pass->n_head_rows;) {
        c = chunk_at(run, c.first + c.n);
        logits_forward(run, &c);
        run->stream->ops->stats_forward(run->stream, c.stats, c.logits, c.targets, inverse_temperature);
    }
    return copy_stats(run, inverse_temperature, stats, err);
}

/* Of a pass that overwrites gradients: 0 where the passes below only add. The weights of a linear layer are overwritten
 * by the product that makes their gradient, which no memory is read or written for beforehand. */
static void begin_gradients(struct run *run) {
    const struct model *m = run->model;
    for (int i = 0; run->fresh && i < m->n_parameters; i++) {
        const struct parameter *p = &m->parameters[i];
        bool by_product = p->role == ROLE_MATRIX || (p == m->head.weight && run->pass->n_head_rows > 0);
        if (!by_product) run->stream->ops->zero(run->stream, p->gradient);
    }
}

/* Every chunk: logits, statistics where they are not known yet, then the gradients of logits, hidden
 * states and head. */
static bool head_backward(struct run *run, float inverse_temperature, const float *stat_grads, bool with_stats,
                          struct talc_error *err) {
    const struct ops *ops = run->stream->ops;
    if (!check_pass(run, true, err)) return false;
    if (!run->options.training) return talc_fail(err, "this run keeps no activations: it cannot go backward");
    begin_gradients(run);
    run->stream->backend->copy_in(run->stream, run->stat_grads.data, stat_grads,
                                  (size_t)run->pass->n_head_rows * TOKEN_STATS * sizeof *stat_grads);
    for (struct chunk c = {0}; c.first + c.n < run->pass->n_head_rows;) {
        c = chunk_at(run, c.first + c.n);
        logits_forward(run, &c);
        if (with_stats) ops->stats_forward(run->stream, c.stats, c.logits, c.targets, inverse_temperature);
        ops->stats_backward(run->stream, c.logits, c.stats, c.grads, c.targets, inverse_temperature,
                            run->model->arch.logit_softcap);
        linear_backward(run, &run->model->head, c.d_hidden, c.logits, c.hidden, run->fresh && c.first == 0);
    }
    return true;
}

bool run_backward(struct run *run, float inverse_temperature, const float *stat_grads, struct talc_error *err) {
    if (!run->pass->has_stats || run->pass->stats_temperature != inverse_temperature)
        return talc_fail(err, "backward needs run_stats of the same batch and temperature before it");
    if (!head_backward(run, inverse_temperature, stat_grads, false, err)) return false;
    body_backward(run);
    return stream_synchronize(run->stream, err);
}

bool run_stats_backward(struct run *run, float inverse_temperature, const float *stat_grads, float *stats,
                        struct talc_error *err) {
    if (!head_backward(run, inverse_temperature, stat_grads, true, err)) return false;
    body_backward(run);
    return copy_stats(run, inverse_temperature, stats, err);
}
