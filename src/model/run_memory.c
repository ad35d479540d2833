/* run_memory.c - what a run needs, planned and taken by one function; the memory table. */
#include <stdlib.h>

#include "model/layout.h"
#include "model/run_internal.h"

static struct tensor take(struct arena *arena, enum dtype dtype, int64_t rows, int64_t cols) {
    size_t bytes;
    if (__builtin_mul_overflow((size_t)rows, (size_t)cols * dtype_size(dtype), &bytes)) {
        arena->overflow = true;
        bytes = 0;
    }
    return tensor_view(arena_take(arena, bytes), dtype, rows, cols);
}

/* Columns of the activations. */
struct widths {
    int64_t hidden, q, kv, qkv, up, inner, heads, kv_heads;
};

static struct widths widths_of(const struct arch *a) {
    struct widths w = {
        .hidden = a->hidden_size, .inner = a->intermediate_size, .heads = a->n_heads, .kv_heads = a->n_kv_heads};
    w.q = w.heads * a->head_dim;
    w.kv = w.kv_heads * a->head_dim;
    w.qkv = w.q + 2 * w.kv;
    w.up = activation_is_gated(a->activation) ? 2 * w.inner : w.inner;
    return w;
}

/* Rows of logits at a time: some 64 MiB, or what was asked for. Every chunk reads the whole head once more, so few is
 * slow; many only take memory. */
static int head_chunk(const struct arch *a, const struct run_options *o) {
    int rows = o->head_chunk > 0 ? o->head_chunk : (16 << 20) / a->vocab_size;
    if (rows < 64 && o->head_chunk <= 0) rows = 64;
    return rows < o->max_tokens ? rows : o->max_tokens;
}

static void plan_batch(struct run *run, struct arena *arena, const struct run_options *o) {
    run->tokens = take(arena, DTYPE_I32, 1, o->max_tokens);
    run->positions = take(arena, DTYPE_I32, 1, o->max_tokens);
    run->targets = take(arena, DTYPE_I32, 1, o->max_tokens);
    run->starts = take(arena, DTYPE_I32, 1, (int64_t)o->max_sequences + 1);
    run->lengths = take(arena, DTYPE_I32, 1, o->max_sequences);
    run->head_rows = take(arena, DTYPE_I32, 1, o->max_tokens);
    run->wanted = take(arena, DTYPE_I32, 1, o->max_tokens);
    run->rng = take(arena, DTYPE_I64, 1, 2);
    if (o->kv_block_tokens == 0) return;
    run->slots = take(arena, DTYPE_I32, 1, o->max_tokens);
    run->blocks = take(arena, DTYPE_I32, o->max_sequences, o->blocks_per_sequence);
}

static void plan_workspace(struct workspace *w, struct arena *arena, const struct arch *a,
                           const struct run_options *o) {
    struct widths c = widths_of(a);
    int64_t n = o->max_tokens;
    w->delta = take(arena, DTYPE_F32, n, c.hidden);
    w->qkv = take(arena, DTYPE_F32, n, c.qkv);
    w->final_input = take(arena, DTYPE_F32, n, c.hidden);
    w->head_input = take(arena, DTYPE_F32, n, c.hidden);
    w->head_attended = take(arena, DTYPE_F32, n, c.q);
    if (!o->training) return;
    w->final_stats = take(arena, DTYPE_F32, n, 2);
    w->d_residual = take(arena, DTYPE_F32, n, c.hidden);
    w->d_hidden = take(arena, DTYPE_F32, n, c.hidden);
    w->d_up = take(arena, DTYPE_F32, n, c.up);
    w->d_activated = take(arena, DTYPE_F32, n, c.inner);
    w->d_attended = take(arena, DTYPE_F32, n, c.q);
}

/* All but `input`. Inference shares the workspace's qkv; training with norms keeps q and k twice: as they were before,
 * for the gradient, and after. */
static void plan_layer(struct layer_activations *l, struct tensor workspace_qkv, struct arena *arena,
                       const struct arch *a, const struct run_options *o) {
    struct widths c = widths_of(a);
    int64_t n = o->max_tokens;
    l->normed = take(arena, DTYPE_F32, n, c.hidden);
    l->qkv = o->training ? take(arena, DTYPE_F32, n, c.qkv) : workspace_qkv;
    if (o->training && a->qk_norm) {
        l->q = take(arena, DTYPE_F32, n, c.q);
        l->k = take(arena, DTYPE_F32, n, c.kv);
    }
    l->attended = take(arena, DTYPE_F32, n, c.q);
    l->middle = take(arena, DTYPE_F32, n, c.hidden);
    l->mlp_normed = take(arena, DTYPE_F32, n, c.hidden);
    l->up = take(arena, DTYPE_F32, n, c.up);
    l->activated = take(arena, DTYPE_F32, n, c.inner);
    if (a->post_norms) l->attention_branch = take(arena, DTYPE_F32, n, c.hidden);
    if (a->post_norms) l->mlp_branch = o->training ? take(arena, DTYPE_F32, n, c.hidden) : l->attention_branch;
    if (!o->training) return;
    l->attention_stats = take(arena, DTYPE_F32, n, 2);
    l->mlp_stats = take(arena, DTYPE_F32, n, 2);
    if (a->post_norms) l->attention_post_stats = take(arena, DTYPE_F32, n, 2);
    if (a->post_norms) l->mlp_post_stats = take(arena, DTYPE_F32, n, 2);
    l->lse = take(arena, DTYPE_F32, n, c.heads);
    if (a->qk_norm) l->head_stats = take(arena, DTYPE_F32, n, c.heads + c.kv_heads);
}

/* One of everything serves layers that follow each other; training keeps one for each, or only each layer's input, from
 * which the rest is computed again (Chen et al. 2016). */
static void plan_layers(struct run *run, struct arena *arena, const struct arch *a, const struct run_options *o) {
    struct layer_activations l = {0};
    for (int i = 0; i < (o->training ? a->n_layers : 1); i++) {
        if (i == 0 || !o->recompute) plan_layer(&l, run->workspace->qkv, arena, a, o);
        l.input = take(arena, DTYPE_F32, o->max_tokens, a->hidden_size);
        if (run->layers) run->layers[i] = l;
    }
}

static void plan_cache(struct run *run, struct arena *arena, const struct arch *a, const struct run_options *o) {
    int64_t rows = (int64_t)o->kv_blocks * o->kv_block_tokens, cols = widths_of(a).kv;
    for (int l = 0; o->kv_block_tokens > 0 && l < a->n_layers; l++) {
        struct tensor keys = take(arena, DTYPE_F32, rows, cols), values = take(arena, DTYPE_F32, rows, cols);
        if (!run->keys) continue;
        run->keys[l] = keys;
        run->values[l] = values;
    }
}

void run_plan(struct run *run, struct arena *arena, const struct arch *a, const struct run_options *o,
              struct memory_table *table) {
    size_t mark = arena->used;
    plan_batch(run, arena, o);
    plan_workspace(run->workspace, arena, a, o);
    run->hidden = take(arena, DTYPE_F32, o->max_tokens, a->hidden_size);
    run->stats = take(arena, DTYPE_F32, o->max_tokens, TOKEN_STATS);
    if (o->training) run->stat_grads = take(arena, DTYPE_F32, o->max_tokens, TOKEN_STATS);
    table->workspace = arena->used - mark, mark = arena->used;
    plan_layers(run, arena, a, o);
    table->activations = arena->used - mark, mark = arena->used;
    run->logits = take(arena, DTYPE_F32, head_chunk(a, o), a->vocab_size);
    table->logits = arena->used - mark, mark = arena->used;
    plan_cache(run, arena, a, o);
    table->kv_cache = arena->used - mark;
}

/* ---- without a run --------------------------------------------------------------------------- */

static size_t plan_only(const struct arch *a, const struct run_options *o, struct memory_table *table) {
    struct workspace workspace = {0};
    struct run run = {.workspace = &workspace};
    struct arena arena = {0};
    run_plan(&run, &arena, a, o, table);
    return arena.overflow ? SIZE_MAX : arena.used;
}

size_t run_bytes(const struct arch *a, const struct run_options *o) {
    struct memory_table table = {0};
    return plan_only(a, o, &table);
}

struct memory_table model_memory(const struct arch *a, const struct run_options *o, enum dtype weights) {
    struct memory_table table = {0};
    size_t of_run = plan_only(a, o, &table), gradients = (size_t)layout_floats(a) * sizeof(float);
    size_t rope = (size_t)rope_floats(a) * sizeof(float);
    table.parameters = layout_bytes(a, weights);
    table.gradients = o->training ? gradients : 0;
    table.optimizer = o->training ? 2 * gradients : 0;
    table.workspace += rope;
    size_t of_model = table.parameters + table.gradients + table.optimizer + rope;
    table.total = of_run > SIZE_MAX - of_model ? SIZE_MAX : of_run + of_model;
    return table;
}
