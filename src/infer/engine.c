/* engine.c - the scheduler: streams, batches, sampling; see engine.h. */
#include "infer/engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/stream_text.h"

#define BLOCK_TOKENS 64

struct slot {
    struct generation *generation; /* NULL: free */
    int32_t *tokens;               /* [context]: prompt, then what was generated */
    int n_tokens;
    int n_computed; /* tokens whose keys and values are in the cache; kept when the slot is free */
};

struct engine {
    struct model *model;
    const struct tokenizer *tokenizer;
    struct run run;
    struct sampler *sampler;
    struct slot *slots;
    int n_streams, context, batch_tokens, blocks_per_stream;
    float *logits; /* [n_streams, V] */
    /* the batch being built */
    int32_t *tokens, *positions, *cache_slots; /* [batch_tokens] */
    int32_t *starts, *lengths, *head_rows;     /* [n_streams + 1], ... */
    int32_t *blocks;                           /* [n_streams, blocks_per_stream] */
    int *batch_slot, *head_slot;               /* [n_streams]: which slot a sequence, a row of logits, belongs to */
};

const char *finish_reason_name(enum finish_reason reason) {
    static const char *const names[] = {"none", "stop", "length", "context", "cancelled"};
    return names[reason];
}

static int context_of(const struct arch *arch, const struct engine_options *options) {
    if (options->context_length > 0) return options->context_length;
    return arch->context_length < ENGINE_USUAL_CONTEXT ? arch->context_length : ENGINE_USUAL_CONTEXT;
}

static struct run_options run_options_of(const struct arch *arch, const struct engine_options *options) {
    int n_streams = options->n_streams > 0 ? options->n_streams : 1;
    int tokens = options->batch_tokens > 0 ? options->batch_tokens : 512;
    int blocks = (context_of(arch, options) + BLOCK_TOKENS - 1) / BLOCK_TOKENS;
    return (struct run_options){.max_tokens = tokens > n_streams ? tokens : n_streams,
                                .max_sequences = n_streams,
                                .head_chunk = n_streams,
                                .kv_block_tokens = BLOCK_TOKENS,
                                .kv_blocks = n_streams * blocks,
                                .blocks_per_sequence = blocks};
}

struct memory_table engine_memory(const struct arch *arch, const struct engine_options *options, enum dtype weights) {
    struct run_options run = run_options_of(arch, options);
    return model_memory(arch, &run, weights);
}

static bool take_host_memory(struct engine *e) {
    size_t n = (size_t)e->n_streams, t = (size_t)e->batch_tokens;
    e->slots = calloc(n, sizeof *e->slots);
    e->logits = calloc(n * (size_t)e->model->arch.vocab_size, sizeof *e->logits);
    e->tokens = calloc(t, sizeof *e->tokens);
    e->positions = calloc(t, sizeof *e->positions);
    e->cache_slots = calloc(t, sizeof *e->cache_slots);
    e->starts = calloc(n + 1, sizeof *e->starts);
    e->lengths = calloc(n, sizeof *e->lengths);
    e->head_rows = calloc(n, sizeof *e->head_rows);
    e->blocks = calloc(n * (size_t)e->blocks_per_stream, sizeof *e->blocks);
    e->batch_slot = calloc(n, sizeof *e->batch_slot);
    e->head_slot = calloc(n, sizeof *e->head_slot);
    if (!e->slots || !e->logits || !e->tokens || !e->positions || !e->cache_slots || !e->starts || !e->lengths ||
        !e->head_rows || !e->blocks || !e->batch_slot || !e->head_slot)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!(e->slots[i].tokens = calloc((size_t)e->context, sizeof(int32_t)))) return false;
    return true;
}

struct engine *engine_open(struct model *model, const struct tokenizer *tokenizer, const struct engine_options *options,
                           struct talc_error *err) {
    struct engine *e = calloc(1, sizeof *e);
    if (!e) {
        talc_fail(err, "out of memory for the engine");
        return NULL;
    }
    e->model = model;
    e->tokenizer = tokenizer;
    struct run_options run = run_options_of(&model->arch, options);
    e->context = context_of(&model->arch, options);
    e->n_streams = run.max_sequences;
    e->batch_tokens = run.max_tokens;
    e->blocks_per_stream = run.blocks_per_sequence;
    if (e->context > model->arch.context_length) {
        talc_fail(err, "a context of %d tokens was asked for; the model has %d", e->context,
                  model->arch.context_length);
    } else if (!take_host_memory(e)) {
        talc_fail(err, "out of memory for %d streams of %d tokens", e->n_streams, e->context);
    } else if ((e->sampler = sampler_open(model->arch.vocab_size, err)) && run_open(&e->run, model, &run, err)) {
        return e;
    }
    engine_close(e);
    return NULL;
}

void engine_close(struct engine *e) {
    if (!e) return;
    if (e->run.model) run_close(&e->run);
    sampler_close(e->sampler);
    for (int i = 0; e->slots && i < e->n_streams; i++) free(e->slots[i].tokens);
    free(e->slots);
    free(e->logits);
    free(e->tokens);
    free(e->positions);
    free(e->cache_slots);
    free(e->starts);
    free(e->lengths);
    free(e->head_rows);
    free(e->blocks);
    free(e->batch_slot);
    free(e->head_slot);
    free(e);
}

int engine_context_length(const struct engine *e) { return e->context; }

/* ---- taking a request ------------------------------------------------------------------------ */

static int common_prefix(const struct slot *slot, const int32_t *prompt, int n) {
    int most = slot->n_computed < n ? slot->n_computed : n, i = 0;
    while (i < most && slot->tokens[i] == prompt[i]) i++;
    return i;
}

/* The free slot whose cache begins with most of the prompt; among equals the one that would lose least. */
static int choose_slot(const struct engine *e, const struct generation *g, int *n_common) {
    int best = -1;
    *n_common = 0;
    for (int i = 0; i < e->n_streams; i++) {
        const struct slot *slot = &e->slots[i];
        if (slot->generation) continue;
        int common = common_prefix(slot, g->prompt, g->n_prompt);
        if (best < 0 || common > *n_common || (common == *n_common && slot->n_computed < e->slots[best].n_computed)) {
            best = i;
            *n_common = common;
        }
    }
    return best;
}

bool engine_check(const struct engine *e, const struct generation *g, struct talc_error *err) {
    if (g->n_prompt < 1) return talc_fail(err, "the prompt is empty");
    if (g->n_prompt >= e->context)
        return talc_fail(err, "the prompt has %d tokens and the context holds %d; shorten it", g->n_prompt, e->context);
    for (int i = 0; i < g->n_prompt; i++)
        if (g->prompt[i] < 0 || g->prompt[i] >= e->model->arch.vocab_size)
            return talc_fail(err, "token %d of the prompt is %d, outside the vocabulary of %d", i, g->prompt[i],
                             e->model->arch.vocab_size);
    return sampling_check(&g->sampling, err);
}

bool engine_submit(struct engine *e, struct generation *g, struct talc_error *err) {
    int common, i;
    if (!engine_check(e, g, err)) return false;
    if ((i = choose_slot(e, g, &common)) < 0) return talc_fail(err, "all %d streams are busy", e->n_streams);
    struct slot *slot = &e->slots[i];
    if (common == g->n_prompt) common--; /* the last token is computed again: its logits are needed */
    memcpy(slot->tokens, g->prompt, (size_t)g->n_prompt * sizeof *slot->tokens);
    slot->n_tokens = g->n_prompt;
    slot->n_computed = common;
    slot->generation = g;
    g->stream = i;
    g->n_cached = common;
    g->finish = FINISH_NONE;
    token_list_clear(&g->tokens);
    buffer_clear(&g->text);
    buffer_clear(&g->pending);
    buffer_clear(&g->logprobs);
    g->rng = rng_make(g->sampling.seed, 0x73616d70u);
    return true;
}

/* ---- finishing ------------------------------------------------------------------------------- */

static void finish(struct engine *e, struct generation *g, enum finish_reason reason) {
    e->slots[g->stream].generation = NULL;
    g->stream = -1;
    g->finish = reason;
    buffer_free(&g->pending);
}

/* Hands out the first n pending bytes; false when the receiver wants no more. */
static bool release(struct generation *g, size_t n) {
    if (n == 0) return true;
    size_t before = g->text.length;
    stream_text_append(&g->text, g->pending.data, n);
    memmove(g->pending.data, g->pending.data + n, g->pending.length - n + 1);
    g->pending.length -= n;
    return !g->on_text || g->on_text(g->context, g->text.data + before, g->text.length - before);
}

static void finish_with_text(struct engine *e, struct generation *g, enum finish_reason reason) {
    release(g, g->pending.length); /* no stop string can complete any more */
    finish(e, g, reason);
}

void engine_cancel(struct engine *e, struct generation *g) {
    if (g->stream >= 0 && g->stream < e->n_streams && e->slots[g->stream].generation == g)
        finish(e, g, FINISH_CANCELLED);
}

/* Takes the token that was just drawn for slot i. False: out of memory. */
static bool accept_token(struct engine *e, int i, int32_t id, float logp) {
    struct slot *slot = &e->slots[i];
    struct generation *g = slot->generation;
    if (!g->ignore_eos && tokenizer_is_end(e->tokenizer, id)) {
        finish_with_text(e, g, FINISH_STOP);
        return buffer_ok(&g->text);
    }
    bool ok = token_list_append(&g->tokens, id);
    if (g->want_logprobs) buffer_append(&g->logprobs, &logp, sizeof logp);
    slot->tokens[slot->n_tokens++] = id;
    size_t n_bytes, n_ready;
    const char *bytes = tokenizer_token_bytes(e->tokenizer, id, &n_bytes);
    if (!tokenizer_is_special(e->tokenizer, id)) buffer_append(&g->pending, bytes, n_bytes);
    ok = ok && buffer_ok(&g->pending) && buffer_ok(&g->logprobs);
    bool stopped = stream_text_ready(&g->pending, g->stops, g->n_stops, &n_ready);
    if (!release(g, n_ready))
        finish(e, g, FINISH_CANCELLED);
    else if (stopped)
        finish(e, g, FINISH_STOP);
    else if (g->max_new_tokens > 0 && (int)g->tokens.count >= g->max_new_tokens)
        finish_with_text(e, g, FINISH_LENGTH);
    else if (slot->n_tokens >= e->context)
        finish_with_text(e, g, FINISH_CONTEXT);
    return ok && buffer_ok(&g->text);
}

/* ---- a step ---------------------------------------------------------------------------------- */

/* Adds up to `room` uncomputed tokens of slot i to the batch. */
static int add_to_batch(struct engine *e, struct batch *batch, int i, int room) {
    struct slot *slot = &e->slots[i];
    int n = slot->n_tokens - slot->n_computed, s = batch->n_sequences, at = batch->n_tokens;
    if (n > room) n = room;
    if (n == 0) return 0;
    for (int t = 0; t < n; t++) {
        int position = slot->n_computed + t;
        e->tokens[at + t] = slot->tokens[position];
        e->positions[at + t] = position;
        e->cache_slots[at + t] = (i * e->blocks_per_stream) * BLOCK_TOKENS + position;
    }
    for (int b = 0; b < e->blocks_per_stream; b++)
        e->blocks[s * e->blocks_per_stream + b] = i * e->blocks_per_stream + b;
    slot->n_computed += n;
    e->starts[s] = at;
    e->starts[s + 1] = at + n;
    e->lengths[s] = slot->n_computed;
    e->batch_slot[s] = i;
    if (slot->n_computed == slot->n_tokens) {
        e->head_slot[batch->n_head_rows] = i;
        e->head_rows[batch->n_head_rows++] = at + n - 1;
    }
    batch->n_sequences++;
    batch->n_tokens += n;
    return n;
}

/* Answers come first (one token each), so that a long prompt does not hold them up; prompts share the rest. */
static void build_batch(struct engine *e, struct batch *batch) {
    *batch = (struct batch){.tokens = e->tokens,
                            .positions = e->positions,
                            .starts = e->starts,
                            .lengths = e->lengths,
                            .slots = e->cache_slots,
                            .blocks = e->blocks,
                            .head_rows = e->head_rows};
    int room = e->batch_tokens;
    for (int reading = 0; reading < 2; reading++)
        for (int i = 0; i < e->n_streams; i++) {
            struct slot *slot = &e->slots[i];
            if (slot->generation && (slot->n_tokens - slot->n_computed > 1) == reading)
                room -= add_to_batch(e, batch, i, room);
        }
}

static int count_running(const struct engine *e) {
    int n = 0;
    for (int i = 0; i < e->n_streams; i++) n += e->slots[i].generation != NULL;
    return n;
}

/* A NaN would be drawn from like any number: what damaged weights give must not look like an answer. */
static bool check_logits(const float *logits, int n, struct talc_error *err) {
    bool bad = false;
    for (int i = 0; i < n; i++) bad |= !(logits[i] < INFINITY);
    return !bad || talc_fail(err, "the model computes logits that are not finite: its weights are damaged");
}

/* Draws the next token of every text whose last one was in the batch. */
static bool draw_tokens(struct engine *e, int n_rows, struct talc_error *err) {
    int vocab = e->model->arch.vocab_size;
    for (int row = 0; row < n_rows; row++) {
        struct slot *slot = &e->slots[e->head_slot[row]];
        struct generation *g = slot->generation;
        const float *logits = e->logits + (size_t)row * (size_t)vocab;
        float logp = 0;
        if (!check_logits(logits, vocab, err)) return false;
        int32_t id = sampler_pick(e->sampler, &g->sampling, logits, slot->tokens, slot->n_tokens, &g->rng,
                                  g->want_logprobs ? &logp : NULL);
        if (!accept_token(e, e->head_slot[row], id, logp)) return talc_fail(err, "out of memory for the answer");
    }
    return true;
}

bool engine_step(struct engine *e, int *n_running, struct talc_error *err) {
    struct batch batch;
    build_batch(e, &batch);
    bool ok = batch.n_tokens == 0 || run_forward(&e->run, &batch, err);
    ok = ok &&
         (batch.n_head_rows == 0 || (run_logits(&e->run, e->logits, err) && draw_tokens(e, batch.n_head_rows, err)));
    /* What is in the cache now is not known: nothing of it is used again. */
    for (int i = 0; !ok && i < e->n_streams; i++) e->slots[i].n_computed = 0;
    *n_running = count_running(e);
    return ok;
}

bool engine_generate(struct engine *e, struct generation *g, struct talc_error *err) {
    int running;
    if (!engine_submit(e, g, err)) return false;
    while (g->finish == FINISH_NONE)
        if (g->stop && *g->stop)
            engine_cancel(e, g); /* also while a long prompt is read and no text comes */
        else if (!engine_step(e, &running, err)) {
            engine_cancel(e, g);
            return false;
        }
    return true;
}

void generation_free(struct generation *g) {
    buffer_free(&g->text);
    buffer_free(&g->pending);
    buffer_free(&g->logprobs);
    token_list_free(&g->tokens);
}
