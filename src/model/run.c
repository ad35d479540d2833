/* run.c - opens and closes a run; checks and copies batches; the pass over all layers, forward and backward. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/run_internal.h"

/* ---- opening --------------------------------------------------------------------------------- */

static bool check_options(const struct run_options *o, struct talc_error *err) {
    if (o->max_tokens < 1 || o->max_sequences < 1)
        return talc_fail(err, "a run of %d tokens in %d sequences is not possible", o->max_tokens, o->max_sequences);
    if (o->kv_block_tokens == 0) return true;
    if (o->training) return talc_fail(err, "a run for training has no cache");
    if (o->kv_block_tokens < 0 || o->kv_blocks < 1 || o->blocks_per_sequence < 1 ||
        o->kv_blocks > INT32_MAX / o->kv_block_tokens || o->blocks_per_sequence > INT32_MAX / o->kv_block_tokens)
        return talc_fail(err, "a cache of %d blocks of %d tokens, %d a sequence, is not possible", o->kv_blocks,
                         o->kv_block_tokens, o->blocks_per_sequence);
    return true;
}

static bool take_host(struct run *run, const struct arch *a, struct talc_error *err) {
    size_t layers = (size_t)a->n_layers;
    run->layers = calloc(layers, sizeof *run->layers);
    run->keys = calloc(layers, sizeof *run->keys);
    run->values = calloc(layers, sizeof *run->values);
    run->workspace = calloc(1, sizeof *run->workspace);
    run->pass = calloc(1, sizeof *run->pass);
    if (run->pass) run->pass->lengths = calloc((size_t)run->options.max_sequences, sizeof *run->pass->lengths);
    if (run->pass) run->pass->wanted = calloc((size_t)run->options.max_tokens, sizeof *run->pass->wanted);
    if (run->layers && run->keys && run->values && run->workspace && run->pass && run->pass->lengths &&
        run->pass->wanted)
        return true;
    return talc_fail(err, "out of memory for the lists of a run");
}

static bool take_device(struct run *run, const struct arch *a, struct talc_error *err) {
    struct memory_table table = {0};
    size_t bytes = run_bytes(a, &run->options);
    if (bytes == SIZE_MAX)
        return talc_fail(err, "a batch of %d tokens needs more memory than can be addressed", run->options.max_tokens);
    run->arena = (struct arena){.memory = stream_memory_take(run->stream, bytes, err), .capacity = bytes};
    if (!run->arena.memory) return talc_fail_in(err, "a batch of %d tokens", run->options.max_tokens);
    run_plan(run, &run->arena, a, &run->options, &table);
    return true;
}

bool run_open(struct run *run, struct model *model, const struct run_options *options, struct talc_error *err) {
    *run = (struct run){.model = model, .stream = model->stream, .options = *options};
    bool ok = !options->training || tensor_present(model->gradients) ||
              talc_fail(err, "a model that was opened without gradients cannot be trained");
    if (ok && check_options(options, err) && take_host(run, &model->arch, err) && take_device(run, &model->arch, err))
        return true;
    run_close(run);
    return false;
}

void run_close(struct run *run) {
    if (!run->model) return;
    if (run->arena.memory) run->stream->backend->memory_give(run->stream, run->arena.memory);
    if (run->pass) free(run->pass->lengths), free(run->pass->wanted);
    free(run->pass);
    free(run->layers);
    free(run->keys);
    free(run->values);
    free(run->workspace);
    *run = (struct run){0};
}

/* ---- batches --------------------------------------------------------------------------------- */

static bool check_range(const char *what, int i, int64_t x, int64_t limit, struct talc_error *err) {
    if (x >= 0 && x < limit) return true;
    return talc_fail(err, "%s %d of the batch is %lld, outside 0..%lld", what, i, (long long)x, (long long)limit - 1);
}

static bool check_tokens(const struct run *run, const struct batch *b, struct talc_error *err) {
    const struct arch *a = &run->model->arch;
    for (int i = 0; i < b->n_tokens; i++)
        if (!check_range("token", i, b->tokens[i], a->vocab_size, err) ||
            !check_range("position", i, b->positions[i], a->context_length, err))
            return false;
    return true;
}

static int n_head_rows(const struct batch *b) { return b->head_rows ? b->n_head_rows : b->n_tokens; }

static bool check_head_rows(const struct run *run, const struct batch *b, struct talc_error *err) {
    if (b->head_rows && (b->n_head_rows < 0 || b->n_head_rows > b->n_tokens))
        return talc_fail(err, "a batch of %d tokens cannot have %d head rows", b->n_tokens, b->n_head_rows);
    for (int i = 0; i < n_head_rows(b); i++) {
        if (b->head_rows && !check_range("head row", i, b->head_rows[i], b->n_tokens, err)) return false;
        if (b->head_rows && i > 0 && b->head_rows[i] <= b->head_rows[i - 1])
            return talc_fail(err, "head row %d of the batch does not come after the one before", i);
        if (b->targets && !check_range("target", i, b->targets[i], run->model->arch.vocab_size, err)) return false;
    }
    return true;
}

/* Sequence s brings all its keys: they are the rows of the batch, from position 0 on. */
static bool check_whole(const struct batch *b, int s, struct talc_error *err) {
    for (int i = b->starts[s]; i < b->starts[s + 1]; i++)
        if (b->positions[i] != i - b->starts[s])
            return talc_fail(err, "token %d of sequence %d is at position %d; without a cache they count from 0",
                             i - b->starts[s], s, b->positions[i]);
    return true;
}

/* Sequence s has keys in the cache. */
static bool check_cached(const struct run *run, const struct batch *b, int s, struct talc_error *err) {
    const struct run_options *o = &run->options;
    int limit = o->blocks_per_sequence * o->kv_block_tokens, length = b->lengths[s];
    if (length < 1 || length > limit)
        return talc_fail(err, "sequence %d has %d keys; the table of blocks has room for %d", s, length, limit);
    for (int j = 0; j <= (length - 1) / o->kv_block_tokens; j++)
        if (!check_range("block", j, b->blocks[(int64_t)s * o->blocks_per_sequence + j], o->kv_blocks, err))
            return false;
    for (int i = b->starts[s]; i < b->starts[s + 1]; i++)
        if (!check_range("cache slot", i, b->slots[i], (int64_t)o->kv_blocks * o->kv_block_tokens, err) ||
            !check_range("position", i, b->positions[i], length, err))
            return false;
    return true;
}

static bool check_batch(const struct run *run, const struct batch *b, struct talc_error *err) {
    const struct run_options *o = &run->options;
    bool cached = o->kv_block_tokens > 0;
    if (b->n_tokens < 1 || b->n_tokens > o->max_tokens)
        return talc_fail(err, "a batch of %d tokens does not fit a run of %d", b->n_tokens, o->max_tokens);
    if (b->n_sequences < 1 || b->n_sequences > o->max_sequences)
        return talc_fail(err, "a batch of %d sequences does not fit a run of %d", b->n_sequences, o->max_sequences);
    if (cached != (b->lengths && b->slots && b->blocks))
        return talc_fail(err, cached ? "this run has a cache: a batch needs lengths, slots and blocks"
                                     : "this run has no cache: a batch has no lengths, slots or blocks");
    if (b->starts[0] != 0 || b->starts[b->n_sequences] != b->n_tokens)
        return talc_fail(err, "the sequences do not cover the batch");
    for (int s = 0; s < b->n_sequences; s++) /* all, before any is used to index */
        if (b->starts[s] > b->starts[s + 1]) return talc_fail(err, "sequence %d begins after it ends", s);
    if (!check_tokens(run, b, err) || !check_head_rows(run, b, err)) return false;
    for (int s = 0; s < b->n_sequences; s++)
        if (!(cached ? check_cached(run, b, s, err) : check_whole(b, s, err))) return false;
    return true;
}

/* The first n of a vector of integers, which is cut to them. */
static void copy_ints(struct run *run, struct tensor *to, const int32_t *from, int64_t n) {
    to->cols = n;
    if (from) run->stream->backend->copy_in(run->stream, to->data, from, (size_t)n * sizeof *from);
}

static void copy_batch(struct run *run, const struct batch *b) {
    struct pass *p = run->pass;
    p->n_tokens = b->n_tokens;
    p->n_sequences = b->n_sequences;
    p->n_head_rows = n_head_rows(b);
    p->all_rows = p->n_head_rows == p->n_tokens;
    p->cached = run->options.kv_block_tokens > 0;
    p->has_targets = b->targets != NULL;
    p->dropout = run->dropout ? run->model->arch.dropout : 0;
    p->has_stats = false;
    p->max_length = 0;
    for (int s = 0; s < b->n_sequences; s++) {
        p->lengths[s] = p->cached ? b->lengths[s] : b->starts[s + 1] - b->starts[s];
        if (p->lengths[s] > p->max_length) p->max_length = p->lengths[s];
    }
    copy_ints(run, &run->tokens, b->tokens, b->n_tokens);
    copy_ints(run, &run->positions, b->positions, b->n_tokens);
    copy_ints(run, &run->targets, b->targets, p->n_head_rows);
    copy_ints(run, &run->starts, b->starts, (int64_t)b->n_sequences + 1);
    copy_ints(run, &run->lengths, p->lengths, b->n_sequences);
    copy_ints(run, &run->head_rows, b->head_rows, p->n_head_rows);
    if (!p->all_rows) {
        memset(p->wanted, 0, (size_t)b->n_tokens * sizeof *p->wanted);
        for (int i = 0; i < p->n_head_rows; i++) p->wanted[b->head_rows[i]] = 1;
        copy_ints(run, &run->wanted, p->wanted, b->n_tokens);
    }
    if (p->cached) {
        copy_ints(run, &run->slots, b->slots, b->n_tokens);
        run->blocks.rows = b->n_sequences;
        run->stream->backend->copy_in(run->stream, run->blocks.data, b->blocks,
                                      (size_t)(run->blocks.rows * run->blocks.cols) * sizeof(int32_t));
    }
    uint64_t rng[2] = {run->seed, run->counter};
    run->stream->backend->copy_in(run->stream, run->rng.data, rng, sizeof rng);
}

/* ---- the pass -------------------------------------------------------------------------------- */

bool picks_rows(const struct run *run, int layer) {
    return layer == run->model->arch.n_layers - 1 && !run->pass->all_rows;
}

struct layer_activations layer_rows(const struct run *run, int layer) {
    struct layer_activations a = run->layers[run->options.training ? layer : 0];
    bool picked = picks_rows(run, layer);
    struct heads heads = heads_of(&run->model->arch, a.qkv);
    if (!tensor_present(a.q)) a.q = heads.q, a.k = heads.k;
    a.v = heads.v;
    a.out_input = picked ? run->workspace->head_input : a.input;
    a.out_attended = picked ? run->workspace->head_attended : a.attended;
    struct tensor *const first_half[] = {&a.input, &a.attention_stats, &a.normed, &a.qkv, &a.head_stats, &a.q, &a.k,
                                         &a.v,     &a.attended,        &a.lse};
    struct tensor *const second_half[] = {&a.out_input, &a.out_attended, &a.attention_branch, &a.attention_post_stats,
                                          &a.middle,    &a.mlp_stats,    &a.mlp_normed,       &a.up,
                                          &a.activated, &a.mlp_branch,   &a.mlp_post_stats};
    int64_t n = run->pass->n_tokens, n_picked = picked ? run->pass->n_head_rows : n;
    for (size_t i = 0; i < sizeof first_half / sizeof *first_half; i++) *first_half[i] = first_rows(*first_half[i], n);
    for (size_t i = 0; i < sizeof second_half / sizeof *second_half; i++)
        *second_half[i] = first_rows(*second_half[i], n_picked);
    if (run->pass->cached) {
        a.k = run->keys[layer];
        a.v = run->values[layer];
    }
    return a;
}

struct workspace workspace_rows(const struct run *run, int64_t n) {
    struct workspace w = *run->workspace;
    struct tensor *const all[] = {&w.delta,    &w.qkv,  &w.final_input, &w.final_stats, &w.d_residual,
                                  &w.d_hidden, &w.d_up, &w.d_activated, &w.d_attended};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) *all[i] = first_rows(*all[i], n);
    return w;
}

void apply_dropout(const struct run *run, struct tensor x, uint32_t site) {
    struct dropout_options o = {.probability = run->pass->dropout, .site = site};
    if (o.probability > 0) run->stream->ops->dropout(run->stream, o, x, run->rng);
}

static float embedding_scale(const struct arch *a) { return a->scale_embedding ? sqrtf((float)a->hidden_size) : 1; }

static void body_forward(struct run *run) {
    struct model *m = run->model;
    struct tensor embedded = layer_rows(run, 0).input;
    run->stream->ops->embedding_forward(run->stream, embedded, m->embedding->value, embedding_scale(&m->arch),
                                        run->tokens, value_of(m->positions), run->positions);
    apply_dropout(run, embedded, DROPOUT_SITE_EMBEDDING);
    for (int layer = 0; layer < m->arch.n_layers; layer++) {
        if (run->before_layer) run->before_layer(run->hook_context, layer);
        block_forward(run, layer);
    }
    struct workspace w = workspace_rows(run, run->pass->n_head_rows);
    run->hidden.rows = run->pass->n_head_rows;
    if (run->hidden.rows > 0)
        norm_forward(run, &m->final_norm, run->hidden, w.final_input, layer_rows(run, m->arch.n_layers - 1).middle,
                     w.delta, w.final_stats);
}

void body_backward(struct run *run) {
    struct model *m = run->model;
    struct workspace w = workspace_rows(run, run->pass->n_head_rows);
    run->stream->ops->zero(run->stream, w.d_residual);
    norm_backward(run, &m->final_norm, w.d_residual, w.d_hidden, w.final_input, w.final_stats);
    for (int layer = m->arch.n_layers - 1; layer >= 0; layer--) {
        if (run->before_layer) run->before_layer(run->hook_context, layer);
        if (run->options.recompute && layer < m->arch.n_layers - 1) block_recompute(run, layer);
        block_backward(run, layer);
        if (run->after_layer_backward) run->after_layer_backward(run->hook_context, layer);
    }
    struct tensor d_embedded = first_rows(w.d_residual, run->pass->n_tokens);
    apply_dropout(run, d_embedded, DROPOUT_SITE_EMBEDDING);
    run->stream->ops->embedding_backward(run->stream, m->embedding->gradient, embedding_scale(&m->arch), run->tokens,
                                         gradient_of(m->positions), run->positions, d_embedded);
}

bool run_forward(struct run *run, const struct batch *batch, struct talc_error *err) {
    run->pass->n_tokens = 0;
    if (!check_batch(run, batch, err)) return false;
    copy_batch(run, batch);
    body_forward(run);
    return run->stream->failed ? talc_fail(err, "%s", run->stream->error.message) : true;
}
