/* run.c - plans and takes the memory of a run; checks and copies batches; the pass over all layers. */
#include <stdlib.h>
#include <string.h>

#include "model/run_internal.h"

/* ---- memory ------------------------------------------------------------------------------------------------------------ */

static struct tensor take(struct arena *arena, enum dtype dtype, int64_t rows, int64_t cols) {
    size_t bytes = 0;
    if (__builtin_mul_overflow((size_t)rows, (size_t)cols * dtype_size(dtype), &bytes)) arena->overflow = true;
    return tensor_view(arena_take(arena, bytes), dtype, rows, cols);
}

static int64_t wide_cols(const struct arch *a) {
    return (a->activation == ACTIVATION_SWIGLU ? 2 : 1) * (int64_t)a->intermediate_size;
}

static int default_head_chunk(const struct arch *a, const struct run_options *o) {
    int rows = o->head_chunk > 0 ? o->head_chunk : (1 << 22) / a->vocab_size; /* some 16 MiB of logits */
    if (rows < 16) rows = 16;
    return rows < o->max_tokens ? rows : o->max_tokens;
}

static void plan_layer(struct layer_activations *l, struct arena *arena, const struct arch *a, const struct run_options *o) {
    int64_t n = o->max_tokens, h = a->hidden_size, d = a->head_dim, q = (int64_t)a->n_heads * d, kv = (int64_t)a->n_kv_heads * d;
    l->input = take(arena, DTYPE_F32, n, h);
    l->normed = take(arena, DTYPE_F32, n, h);
    l->qkv = take(arena, DTYPE_F32, n, q + 2 * kv);
    l->q = take(arena, DTYPE_F32, n, q);
    l->attended = take(arena, DTYPE_F32, n, q);
    l->middle = take(arena, DTYPE_F32, n, h);
    l->mlp_normed = take(arena, DTYPE_F32, n, h);
    l->up = take(arena, DTYPE_F32, n, wide_cols(a));
    l->activated = take(arena, DTYPE_F32, n, a->intermediate_size);
    if (o->kv_blocks == 0) {
        l->k = take(arena, DTYPE_F32, n, kv);
        l->v = take(arena, DTYPE_F32, n, kv);
    }
    if (!o->training) return;
    l->attention_stats = take(arena, DTYPE_F32, n, 2);
    l->mlp_stats = take(arena, DTYPE_F32, n, 2);
    l->lse = take(arena, DTYPE_F32, n, a->n_heads);
    if (a->qk_norm) l->head_stats = take(arena, DTYPE_F32, n, a->n_heads + a->n_kv_heads);
}

static void plan_workspace(struct workspace *w, struct arena *arena, const struct arch *a, const struct run_options *o) {
    int64_t n = o->max_tokens, h = a->hidden_size, d = a->head_dim, q = (int64_t)a->n_heads * d, kv = (int64_t)a->n_kv_heads * d;
    w->delta = take(arena, DTYPE_F32, n, h);
    w->final_input = take(arena, DTYPE_F32, n, h);
    w->final_stats = take(arena, DTYPE_F32, n, 2);
    if (!o->training) return;
    w->d_residual = take(arena, DTYPE_F32, n, h);
    w->d_hidden = take(arena, DTYPE_F32, n, h);
    w->d_wide = take(arena, DTYPE_F32, n, wide_cols(a));
    w->d_inner = take(arena, DTYPE_F32, n, a->intermediate_size > q ? a->intermediate_size : q);
    w->d_qkv = take(arena, DTYPE_F32, n, q + 2 * kv);
    w->d_q = take(arena, DTYPE_F32, n, q);
    w->d_k = take(arena, DTYPE_F32, n, kv);
    w->d_v = take(arena, DTYPE_F32, n, kv);
}

static void plan_batch(struct run *run, struct arena *arena, const struct run_options *o) {
    run->tokens = take(arena, DTYPE_I32, 1, o->max_tokens);
    run->positions = take(arena, DTYPE_I32, 1, o->max_tokens);
    run->targets = take(arena, DTYPE_I32, 1, o->max_tokens);
    run->slots = take(arena, DTYPE_I32, 1, o->max_tokens);
    run->starts = take(arena, DTYPE_I32, 1, (int64_t)o->max_sequences + 1);
    run->lengths = take(arena, DTYPE_I32, 1, o->max_sequences);
    run->head_rows = take(arena, DTYPE_I32, 1, o->max_tokens);
    run->rng = take(arena, DTYPE_I64, 1, 2);
    if (o->blocks_per_sequence > 0) run->blocks = take(arena, DTYPE_I32, o->max_sequences, o->blocks_per_sequence);
}

/* One plan for the table, the total and the taking. `run` has its host arrays already. */
static void plan(struct run *run, struct arena *arena, const struct arch *a, const struct run_options *o,
                 struct memory_table *table) {
    size_t mark = arena->used;
    plan_batch(run, arena, o);
    plan_workspace(run->workspace, arena, a, o);
    run->hidden = take(arena, DTYPE_F32, o->max_tokens, a->hidden_size);
    run->stats = take(arena, DTYPE_F32, o->max_tokens, TOKEN_STATS);
    run->stat_grads = take(arena, DTYPE_F32, o->max_tokens, TOKEN_STATS);
    table->workspace = arena->used - mark, mark = arena->used;
    for (int l = 0; l < (o->training ? a->n_layers : 1); l++) plan_layer(&run->layers[l], arena, a, o);
    table->activations = arena->used - mark, mark = arena->used;
    run->logits = take(arena, DTYPE_F32, default_head_chunk(a, o), a->vocab_size);
    table->logits = arena->used - mark, mark = arena->used;
    for (int l = 0; o->kv_blocks > 0 && l < a->n_layers; l++) {
        int64_t rows = (int64_t)o->kv_blocks * o->kv_block_tokens, cols = (int64_t)a->n_kv_heads * a->head_dim;
        run->keys[l] = take(arena, DTYPE_F32, rows, cols);
        run->values[l] = take(arena, DTYPE_F32, rows, cols);
    }
    table->kv_cache = arena->used - mark;
}

static bool take_host(struct run *run, int n_layers) {
    run->layers = calloc((size_t)n_layers, sizeof *run->layers);
    run->workspace = calloc(1, sizeof *run->workspace);
    run->keys = calloc((size_t)n_layers, sizeof *run->keys);
    run->values = calloc((size_t)n_layers, sizeof *run->values);
    return run->layers && run->workspace && run->keys && run->values;
}

static void give_host(struct run *run) {
    free(run->layers);
    free(run->workspace);
    free(run->keys);
    free(run->values);
}

struct memory_table model_memory(const struct arch *a, const struct run_options *o) {
    struct memory_table table = {0};
    struct arena arena = {0};
    struct run run = {0};
    if (take_host(&run, a->n_layers)) plan(&run, &arena, a, o, &table);
    give_host(&run);
    table.parameters = (size_t)arch_parameters(a) * sizeof(float);
    if (o->training) {
        table.gradients = table.parameters;
        table.optimizer = 2 * table.parameters;
    }
    table.total = table.parameters + table.gradients + table.optimizer + arena.used;
    return table;
}

size_t run_bytes(const struct arch *arch, const struct run_options *options) {
    struct memory_table t = model_memory(arch, options);
    return t.activations + t.workspace + t.logits + t.kv_cache;
}

bool run_open(struct run *run, struct model *model, const struct run_options *options, struct talc_error *err) {
    *run = (struct run){.model = model, .stream = model->stream, .options = *options};
    struct arena planned = {0};
    struct memory_table table;
    if (!take_host(run, model->arch.n_layers)) {
        give_host(run);
        return talc_fail(err, "out of memory for %d layers", model->arch.n_layers);
    }
    plan(run, &planned, &model->arch, options, &table);
    void *memory = planned.overflow ? NULL : model->stream->backend->memory_take(model->stream, planned.used, err);
    if (!memory) {
        give_host(run);
        *run = (struct run){0};
        return planned.overflow ? talc_fail(err, "a batch of %d tokens needs more memory than can be addressed", options->max_tokens)
                                : false;
    }
    run->arena = (struct arena){.memory = memory, .capacity = planned.used};
    plan(run, &run->arena, &model->arch, options, &table);
    return true;
}

void run_close(struct run *run) {
    if (!run->model) return;
    run->stream->backend->memory_give(run->stream, run->arena.memory);
    give_host(run);
    *run = (struct run){0};
}

/* ---- batches ------------------------------------------------------------------------------------------------------------ */

static bool check_sequences(const struct run *run, const struct batch *b, struct talc_error *err) {
    int64_t slots = (int64_t)run->options.kv_blocks * run->options.kv_block_tokens;
    if (b->starts[0] != 0 || b->starts[b->n_sequences] != b->n_tokens) return talc_fail(err, "the sequences do not cover the batch");
    for (int s = 0; s < b->n_sequences; s++)
        if (b->starts[s] > b->starts[s + 1]) return talc_fail(err, "sequence %d begins after it ends", s);
    for (int i = 0; b->lengths && i < b->n_tokens; i++)
        if (b->slots[i] < 0 || b->slots[i] >= slots)
            return talc_fail(err, "cache slot %d of token %d is outside 0..%lld", b->slots[i], i, (long long)slots - 1);
    for (int i = 0; i < b->n_head_rows; i++)
        if (b->head_rows[i] < 0 || b->head_rows[i] >= b->n_tokens) return talc_fail(err, "head row %d is outside the batch", i);
    return true;
}

static bool check_batch(const struct run *run, const struct batch *b, struct talc_error *err) {
    const struct arch *a = &run->model->arch;
    if (b->n_tokens < 1 || b->n_tokens > run->options.max_tokens)
        return talc_fail(err, "a batch of %d tokens does not fit a run of %d", b->n_tokens, run->options.max_tokens);
    if (b->n_sequences < 1 || b->n_sequences > run->options.max_sequences)
        return talc_fail(err, "a batch of %d sequences does not fit a run of %d", b->n_sequences, run->options.max_sequences);
    if (b->lengths && run->options.kv_blocks == 0) return talc_fail(err, "this run has no cache");
    for (int i = 0; i < b->n_tokens; i++) {
        if (b->tokens[i] < 0 || b->tokens[i] >= a->vocab_size)
            return talc_fail(err, "token %d of the batch is %d, outside the vocabulary of %d", i, b->tokens[i], a->vocab_size);
        if (b->positions[i] < 0 || b->positions[i] >= a->context_length)
            return talc_fail(err, "position %d of the batch is %d, outside the context of %d", i, b->positions[i], a->context_length);
        if (b->targets && (b->targets[i] < 0 || b->targets[i] >= a->vocab_size))
            return talc_fail(err, "target %d of the batch is %d, outside the vocabulary of %d", i, b->targets[i], a->vocab_size);
    }
    return check_sequences(run, b, err);
}

static void copy_ints(struct run *run, struct tensor *to, const int32_t *from, int64_t n) {
    if (!from) return;
    to->cols = n;
    run->stream->backend->copy_in(run->stream, to->data, from, (size_t)n * sizeof *from);
}

static void copy_batch(struct run *run, const struct batch *b) {
    run->batch = *b;
    run->max_length = 0;
    copy_ints(run, &run->tokens, b->tokens, b->n_tokens);
    copy_ints(run, &run->positions, b->positions, b->n_tokens);
    copy_ints(run, &run->targets, b->targets, b->n_tokens);
    copy_ints(run, &run->slots, b->slots, b->n_tokens);
    copy_ints(run, &run->starts, b->starts, (int64_t)b->n_sequences + 1);
    copy_ints(run, &run->head_rows, b->head_rows, b->n_head_rows);
    if (b->blocks)
        run->stream->backend->copy_in(run->stream, run->blocks.data, b->blocks,
                                      (size_t)b->n_sequences * (size_t)run->options.blocks_per_sequence * sizeof(int32_t));
    for (int s = 0; s < b->n_sequences; s++) {
        int32_t length = b->lengths ? b->lengths[s] : b->starts[s + 1] - b->starts[s];
        if (length > run->max_length) run->max_length = length;
        run->stream->backend->copy_in(run->stream, (int32_t *)run->lengths.data + s, &length, sizeof length);
    }
    int64_t rng[2] = {(int64_t)run->seed, (int64_t)run->counter};
    run->stream->backend->copy_in(run->stream, run->rng.data, rng, sizeof rng);
}

/* ---- the pass ------------------------------------------------------------------------------------------------------------ */

bool run_forward(struct run *run, const struct batch *batch, struct talc_error *err) {
    struct model *m = run->model;
    const struct ops *ops = run->stream->ops;
    if (!check_batch(run, batch, err)) return false;
    copy_batch(run, batch);
    int64_t n = batch->n_tokens;
    struct tensor x = first_rows(run->layers[0].input, n), delta = first_rows(run->workspace->delta, n);
    ops->embedding_forward(run->stream, x, m->embedding->value, run->tokens, value_of(m->positions), run->positions);
    if (run->dropout && m->arch.dropout > 0)
        ops->dropout(run->stream, (struct dropout_options){m->arch.dropout, 0}, x, run->rng);
    for (int layer = 0; layer < m->arch.n_layers; layer++) {
        if (run->before_layer) run->before_layer(run->hook_context, layer);
        block_forward(run, layer);
    }
    struct tensor last = first_rows(run->layers[run->options.training ? m->arch.n_layers - 1 : 0].middle, n);
    run->hidden.rows = n;
    ops->norm_forward(run->stream, (struct norm_options){m->arch.norm, m->arch.norm_epsilon}, run->hidden,
                      first_rows(run->workspace->final_input, n), last, delta, value_of(m->final_norm.weight),
                      value_of(m->final_norm.bias), first_rows(run->workspace->final_stats, n));
    return stream_synchronize(run->stream, err);
}
