/* Runs: a token at a time through the cache gives the bits of the whole text at once; rows together are rows
 * accumulated; the gradient is the slope of the loss, dropout included; a batch that does not fit is refused. */
#include "support/model_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/layout.h"
#include "support/cmocka_all.h"

/* Grouped heads, QK-norm, a window in the second layer. */
static struct arch small_qwen3(void) {
    struct arch a;
    assert_true(arch_from_depth(2, 61, &a, NULL));
    a.n_heads = 4;
    a.context_length = 160;
    a.layers[1].window = 20;
    return a;
}

static struct arch small_gpt2(void) {
    struct arch a;
    assert_true(arch_preset("gpt2-124m", &a, NULL));
    a.vocab_size = 61;
    a.context_length = 160;
    a.n_layers = 2;
    a.n_heads = a.n_kv_heads = 3;
    a.head_dim = 16;
    a.hidden_size = 48;
    a.intermediate_size = 100;
    return a;
}

/* What the other families bring: biases beside rotary positions and a gated MLP, heads of which a part turns, stretched
 * frequencies of which two layers have different ones. */
static struct arch small_others(void) {
    struct arch a = small_qwen3();
    a.qk_norm = false;
    a.qkv_bias = a.out_bias = a.mlp_bias = true;
    a.rotary_dim = a.head_dim / 4 * 3;
    a.layers[0].scaling = (struct rope_scaling){
        .kind = ROPE_YARN, .factor = 4, .low = 1, .high = 32, .original_context = 40, .attention_factor = 1.25f};
    a.layers[1].scaling = (struct rope_scaling){.kind = ROPE_LINEAR, .factor = 2};
    return a;
}

/* All that Gemma adds, its layers' kinds, and caps so low that they bend. */
static struct arch small_gemma(void) {
    struct arch a = small_qwen3();
    a.activation = ACTIVATION_GEGLU;
    a.post_norms = a.scale_embedding = a.tie_embeddings = true;
    a.query_pre_attn_scalar = 20;
    a.attention_softcap = 3;
    a.logit_softcap = 0.3f;
    a.layers[0] = (struct layer_arch){.window = 20, .rope_base = 10000};
    a.layers[1] = (struct layer_arch){.window = 0, .rope_base = 1e6f};
    return a;
}

enum { N_ARCHS = 4 };
static struct arch small_arch(int i) {
    return i == 0 ? small_qwen3() : i == 1 ? small_gpt2() : i == 2 ? small_others() : small_gemma();
}

static void open_model(struct model *m, const struct arch *a, struct stream *stream) {
    struct talc_error err = {0};
    if (!model_open(m, a, stream, &(struct model_options){.gradients = true}, &err) ||
        !model_initialize(m, INIT_GPT2, 11, &err))
        fail_msg("%s", err.message);
}

/* ---- the cache ------------------------------------------------------------------------------- */

enum { BLOCK = 16, BLOCKS = 24, BLOCKS_PER_SEQUENCE = 10 };

/* Logits of every token of one text, without a cache. */
static float *logits_at_once(struct model *m, const struct text_case *t) {
    struct run run;
    struct talc_error err = {0};
    int n = t->batch.n_tokens;
    int32_t *rows = calloc((size_t)n, sizeof *rows);
    float *logits = malloc((size_t)n * (size_t)m->arch.vocab_size * sizeof *logits);
    for (int i = 0; i < n; i++) rows[i] = i;
    struct batch batch = t->batch;
    batch.head_rows = rows;
    batch.n_head_rows = n;
    run_case_open(&run, m, t, false);
    if (!run_forward(&run, &batch, &err) || !run_logits(&run, logits, &err)) fail_msg("%s", err.message);
    run_close(&run);
    free(rows);
    return logits;
}

/* Tokens [first, first + n) through a cache whose blocks are scattered; their logits to `out`. */
static void feed_cache(struct run *run, const struct text_case *t, int first, int n, float *out) {
    struct talc_error err = {0};
    int32_t starts[2] = {0, n}, length = first + n, blocks[BLOCKS_PER_SEQUENCE], slots[256], rows[256];
    for (int b = 0; b < BLOCKS_PER_SEQUENCE; b++) blocks[b] = (7 * b + 5) % BLOCKS;
    for (int i = 0; i < n; i++) {
        slots[i] = blocks[(first + i) / BLOCK] * BLOCK + (first + i) % BLOCK;
        rows[i] = i;
    }
    struct batch batch = {.n_tokens = n,
                          .n_sequences = 1,
                          .tokens = t->tokens + first,
                          .positions = t->positions + first,
                          .starts = starts,
                          .lengths = &length,
                          .slots = slots,
                          .blocks = blocks,
                          .head_rows = rows,
                          .n_head_rows = n};
    if (!run_forward(run, &batch, &err) || !run_logits(run, out, &err)) fail_msg("%s", err.message);
}

static void a_token_at_a_time_gives_the_bits_of_all_at_once(void **state) {
    (void)state;
    static const int pieces[][4] = {{1, 1, 1, 1}, {37, 1, 90, 1}, {150, 1, 1, 1}};
    struct device_case device;
    device_case_open(&device, "cpu");
    for (int k = 0; k < N_ARCHS; k++) {
        struct arch a = small_arch(k);
        struct model m;
        struct text_case t;
        struct run run;
        const int length = 150, v = a.vocab_size;
        struct run_options o = {.max_tokens = 150,
                                .max_sequences = 2,
                                .head_chunk = 64,
                                .kv_block_tokens = BLOCK,
                                .kv_blocks = BLOCKS,
                                .blocks_per_sequence = BLOCKS_PER_SEQUENCE};
        open_model(&m, &a, &device.stream);
        text_case_random(&t, v, 1, &length, 5);
        float *whole = logits_at_once(&m, &t), *parts = malloc((size_t)length * (size_t)v * sizeof *parts);
        for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
            assert_true(run_open(&run, &m, &o, NULL));
            for (int first = 0, i = 0; first < length; i++) {
                int n = pieces[p][i % 4] < length - first ? pieces[p][i % 4] : length - first;
                feed_cache(&run, &t, first, n, parts + (size_t)first * (size_t)v);
                first += n;
            }
            assert_memory_equal(whole, parts, (size_t)length * (size_t)v * sizeof *whole);
            run_close(&run);
        }
        free(whole);
        free(parts);
        text_case_free(&t);
        model_close(&m);
    }
    device_case_close(&device);
}

/* ---- training -------------------------------------------------------------------------------- */

static void rows_together_are_rows_accumulated(void **state) {
    (void)state;
    static const int lengths[8] = {24, 24, 24, 24, 24, 24, 24, 24};
    struct device_case device;
    device_case_open(&device, "cpu");
    for (int k = 0; k < N_ARCHS; k++) {
        struct arch a = small_arch(k);
        struct model m;
        struct text_case t;
        struct run run;
        open_model(&m, &a, &device.stream);
        text_case_random(&t, a.vocab_size, 8, lengths, 6);
        run_case_open(&run, &m, &t, true);
        double together = run_case_step(&run, &t, 192), apart = 0;
        float *x = tensor_case_read(m.stream, m.gradients);
        m.stream->ops->zero(m.stream, m.gradients);
        for (int row = 0; row < 8; row++) {
            struct text_case one;
            text_case_part(&one, &t, row, 1);
            apart += run_case_step(&run, &one, 192);
            text_case_free(&one);
        }
        float *y = tensor_case_read(m.stream, m.gradients);
        assert_true(relative_error(x, y, (size_t)m.gradients.cols) < 1e-6);
        assert_true(fabs(together - apart) < 1e-6 * fabs(together));
        free(x);
        free(y);
        run_close(&run);
        text_case_free(&t);
        model_close(&m);
    }
    device_case_close(&device);
}

static void fill_gradients(struct model *m, float x) {
    for (int i = 0; i < m->n_parameters; i++) {
        struct tensor g = m->parameters[i].gradient;
        for (int64_t j = 0; j < g.rows * g.cols; j++) ((float *)g.data)[j] = x;
    }
}

/* What gradients held before a pass that overwrites them does not matter, with several chunks of logits, head rows
 * among others, or none; a second pass adds. */
static void a_fresh_pass_overwrites_gradients(void **state) {
    (void)state;
    static const int lengths[3] = {17, 1, 40};
    static const int32_t rows[3] = {3, 17, 50};
    float stats[58 * TOKEN_STATS], grads[58 * TOKEN_STATS] = {0};
    for (int i = 0; i < 58; i++) grads[i * TOKEN_STATS + STAT_LOGP] = -1.0f / (float)(i + 1);
    for (int k = 0; k < 2 * N_ARCHS * 3; k++) {
        struct device_case device;
        struct arch a = small_arch(k % N_ARCHS);
        struct model m;
        struct text_case t;
        struct run run;
        struct talc_error err = {0};
        device_case_open(&device, k / N_ARCHS % 2 ? "ref" : "cpu");
        open_model(&m, &a, &device.stream);
        text_case_random(&t, a.vocab_size, 3, lengths, 9);
        run_case_open(&run, &m, &t, true);
        if (k / N_ARCHS / 2 > 0) {
            t.batch.head_rows = rows;
            t.batch.n_head_rows = k / N_ARCHS / 2 == 1 ? 3 : 0;
        }
        assert_true(run_forward(&run, &t.batch, &err) && run_stats_backward(&run, 1, grads, stats, &err));
        float *added = tensor_case_read(m.stream, m.gradients);
        fill_gradients(&m, NAN);
        run.fresh = true;
        assert_true(run_forward(&run, &t.batch, &err) && run_stats_backward(&run, 1, grads, stats, &err));
        float *fresh = tensor_case_read(m.stream, m.gradients);
        assert_true(relative_error(fresh, added, (size_t)m.gradients.cols) == 0);
        run.fresh = false;
        assert_true(run_forward(&run, &t.batch, &err) && run_stats_backward(&run, 1, grads, stats, &err));
        for (int64_t i = 0; i < m.gradients.cols; i++) added[i] *= 2;
        float *twice = tensor_case_read(m.stream, m.gradients);
        assert_true(relative_error(twice, added, (size_t)m.gradients.cols) < 1e-6);
        free(added), free(fresh), free(twice);
        run_close(&run);
        text_case_free(&t);
        model_close(&m);
        device_case_close(&device);
    }
}

/* Tokens that nothing is asked of need not go through the second half of the last block: the others get the same bits,
 * and the gradients are those of all tokens with zeros for them. */
static void picked_rows_are_as_among_all(void **state) {
    (void)state;
    static const int lengths[3] = {17, 1, 40}, n_tokens = 58;
    struct device_case device;
    device_case_open(&device, "cpu");
    for (int k = 0; k < N_ARCHS; k++) {
        struct arch a = small_arch(k);
        struct model m;
        struct text_case t;
        struct run run;
        struct talc_error err = {0};
        float stats[58 * TOKEN_STATS], picked_stats[58 * TOKEN_STATS], grads[58 * TOKEN_STATS] = {0},
                                                                                  some[58 * TOKEN_STATS] = {0};
        int32_t rows[58], targets[58];
        int n = 0;
        open_model(&m, &a, &device.stream);
        text_case_random(&t, a.vocab_size, 3, lengths, 9);
        run_case_open(&run, &m, &t, true);
        for (int i = 0; i < n_tokens; i++) {
            if (i % 3 != 1 && i != n_tokens - 1) continue;
            grads[i * TOKEN_STATS + STAT_LOGP] = some[n * TOKEN_STATS + STAT_LOGP] = -1.0f / (float)(i + 1);
            targets[n] = t.targets[i];
            rows[n++] = i;
        }
        assert_true(run_forward(&run, &t.batch, &err) && run_stats_backward(&run, 1, grads, stats, &err));
        float *whole = tensor_case_read(m.stream, m.gradients);
        m.stream->ops->zero(m.stream, m.gradients);
        struct batch b = t.batch;
        b.head_rows = rows;
        b.n_head_rows = n;
        b.targets = targets;
        if (!run_forward(&run, &b, &err) || !run_stats_backward(&run, 1, some, picked_stats, &err))
            fail_msg("%s", err.message);
        float *picked = tensor_case_read(m.stream, m.gradients);
        for (int i = 0; i < n; i++)
            assert_memory_equal(picked_stats + i * TOKEN_STATS, stats + rows[i] * TOKEN_STATS, 3 * sizeof *stats);
        assert_true(relative_error(picked, whole, (size_t)m.gradients.cols) < 1e-6);
        rows[1] = rows[0];
        assert_false(run_forward(&run, &b, &err));
        assert_non_null(strstr(err.message, "head row 1"));
        free(whole);
        free(picked);
        run_close(&run);
        text_case_free(&t);
        model_close(&m);
    }
    device_case_close(&device);
}

/* Sum of (logp + 0.3 lse - 0.2 entropy) over the batch: an objective that uses every gradient. */
static double objective(struct run *run, const struct text_case *t, float *stats) {
    struct talc_error err = {0};
    double sum = 0;
    if (!run_forward(run, &t->batch, &err) || !run_stats(run, 0.7f, stats, &err)) fail_msg("%s", err.message);
    for (int i = 0; i < t->batch.n_tokens; i++) {
        const float *s = stats + i * TOKEN_STATS;
        sum += (double)s[STAT_LOGP] + 0.3 * (double)s[STAT_LSE] - 0.2 * (double)s[STAT_ENTROPY];
    }
    return sum;
}

static void objective_backward(struct run *run, const struct text_case *t, float *stats) {
    struct talc_error err = {0};
    int n = t->batch.n_tokens;
    float *grads = calloc((size_t)n * TOKEN_STATS, sizeof *grads);
    objective(run, t, stats);
    for (int i = 0; i < n; i++) {
        grads[i * TOKEN_STATS + STAT_LOGP] = 1;
        grads[i * TOKEN_STATS + STAT_LSE] = 0.3f;
        grads[i * TOKEN_STATS + STAT_ENTROPY] = -0.2f;
    }
    if (!run_backward(run, 0.7f, grads, &err)) fail_msg("%s", err.message);
    free(grads);
}

/* The slope of the objective along the gradient of one parameter, from differences of the loss, against its length. */
static void assert_slope(struct run *run, const struct text_case *t, const struct parameter *p, float *stats) {
    size_t n = (size_t)(p->value.rows * p->value.cols);
    float *gradient = tensor_case_read(run->stream, p->gradient), *value = tensor_case_read(run->stream, p->value);
    float *moved = p->value.data; /* ref and cpu are in host memory */
    double square = 0, sides[2];
    for (size_t i = 0; i < n; i++) square += (double)gradient[i] * (double)gradient[i];
    if (!(square > 0)) fail_msg("%s has no gradient", p->name);
    for (int side = 0; side < 2; side++) {
        double step = (side ? -4e-3 : 4e-3) / sqrt(square);
        for (size_t i = 0; i < n; i++) moved[i] = (float)((double)value[i] + step * (double)gradient[i]);
        sides[side] = objective(run, t, stats);
    }
    memcpy(moved, value, n * sizeof *value);
    double slope = (sides[0] - sides[1]) / 8e-3, expected = sqrt(square);
    if (fabs(slope - expected) > 5e-3 * expected)
        fail_msg("%s: the loss rises by %g, its gradient is %g long", p->name, slope, expected);
    free(gradient);
    free(value);
}

static void the_gradient_is_the_slope_of_the_loss_with_dropout(void **state) {
    (void)state;
    static const int lengths[] = {9, 14};
    for (int k = 0; k < 2 * N_ARCHS; k++) {
        struct device_case device;
        struct arch a = small_arch(k / 2);
        struct model m;
        struct text_case t;
        struct run run;
        float stats[32 * TOKEN_STATS];
        device_case_open(&device, k % 2 ? "cpu" : "ref");
        a.dropout = 0.25f;
        open_model(&m, &a, &device.stream);
        text_case_random(&t, a.vocab_size, 2, lengths, 8);
        run_case_open(&run, &m, &t, true);
        run.dropout = true;
        run.seed = 3;
        run.counter = 41;
        objective_backward(&run, &t, stats);
        for (int i = 0; i < m.n_parameters; i++) {
            const struct parameter *p = &m.parameters[i];
            bool attention_shift = p == m.blocks[0].qkv.bias || p == m.blocks[1].qkv.bias; /* its keys' part is 0 */
            if (p->layer <= 0 || attention_shift) assert_slope(&run, &t, p, stats);
        }
        run_close(&run);
        text_case_free(&t);
        model_close(&m);
        device_case_close(&device);
    }
}

static void dropout_is_the_counters_and_off_when_not_asked_for(void **state) {
    (void)state;
    static const int length = 20;
    struct device_case device;
    struct arch a = small_gpt2();
    struct model m;
    struct text_case t;
    struct run run;
    float stats[20 * TOKEN_STATS];
    a.dropout = 0.25f;
    device_case_open(&device, "cpu");
    open_model(&m, &a, &device.stream);
    text_case_random(&t, a.vocab_size, 1, &length, 8);
    run_case_open(&run, &m, &t, true);
    double off = objective(&run, &t, stats);
    run.dropout = true;
    double first = objective(&run, &t, stats), again = objective(&run, &t, stats);
    run.counter++;
    double next = objective(&run, &t, stats);
    assert_true(first == again && first != next && first != off && next != off);
    run_close(&run);
    text_case_free(&t);
    model_close(&m);
    device_case_close(&device);
}

/* Elements of two neighbours of the residual stream that are equal: what was added there is 0. All of the first where
 * `before` is NULL. */
static void read_mask(const struct run *run, const char *before, const char *after, bool *mask, int n) {
    const float *x = NULL, *y = NULL;
    char name[64];
    struct tensor t;
    for (int i = 0; run_activation(run, i, name, &t); i++) {
        if (before && !strcmp(name, before)) x = t.data;
        if (!strcmp(name, after)) y = t.data;
    }
    assert_true(y && (x || !before));
    int n_dropped = 0;
    for (int i = 0; i < n; i++) n_dropped += mask[i] = y[i] == (x ? x[i] : 0);
    assert_true(n_dropped > n / 8 && n_dropped < n / 2); /* of a probability of a quarter */
}

static void every_use_of_dropout_has_masks_of_its_own(void **state) {
    (void)state;
    enum { LENGTH = 20, WIDTH = 48, USES = 4, N = LENGTH * WIDTH };
    static const char *const uses[USES][2] = {{NULL, "blocks.0.input"},
                                              {"blocks.0.input", "blocks.0.middle"},
                                              {"blocks.0.middle", "blocks.1.input"},
                                              {"blocks.1.input", "blocks.1.middle"}};
    static bool masks[2 * USES][N];
    static const int length = LENGTH;
    struct device_case device;
    struct arch a = small_gpt2();
    struct model m;
    struct text_case t;
    struct run run;
    struct talc_error err = {0};
    a.dropout = 0.25f;
    device_case_open(&device, "cpu");
    open_model(&m, &a, &device.stream);
    text_case_random(&t, a.vocab_size, 1, &length, 8);
    run_case_open(&run, &m, &t, true);
    run.dropout = true;
    for (int i = 0; i < 2 * USES; i++) {
        run.counter = (uint64_t)(i / USES);
        assert_true(run_forward(&run, &t.batch, &err));
        read_mask(&run, uses[i % USES][0], uses[i % USES][1], masks[i], N);
        for (int j = 0; j < i; j++) assert_memory_not_equal(masks[i], masks[j], sizeof masks[i]);
    }
    run_close(&run);
    text_case_free(&t);
    model_close(&m);
    device_case_close(&device);
}

struct calls {
    char text[64];
};
static void note_fetch(void *context, int layer) {
    struct calls *c = context;
    snprintf(c->text + strlen(c->text), sizeof c->text - strlen(c->text), "f%d ", layer);
}
static void note_sent(void *context, int layer) {
    struct calls *c = context;
    snprintf(c->text + strlen(c->text), sizeof c->text - strlen(c->text), "s%d ", layer);
}

static void hooks_surround_the_layers(void **state) {
    (void)state;
    static const int length = 5;
    struct device_case device;
    struct arch a = small_gpt2();
    struct model m;
    struct text_case t;
    struct run run;
    struct calls calls = {""};
    device_case_open(&device, "cpu");
    open_model(&m, &a, &device.stream);
    text_case_random(&t, a.vocab_size, 1, &length, 8);
    run_case_open(&run, &m, &t, true);
    run.before_layer = note_fetch;
    run.after_layer_backward = note_sent;
    run.hook_context = &calls;
    run_case_step(&run, &t, 1);
    assert_string_equal(calls.text, "f0 f1 f1 s1 f0 s0 ");
    run_close(&run);
    text_case_free(&t);
    model_close(&m);
    device_case_close(&device);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void assert_batch_refused(struct run *run, const struct batch *b, const char *why) {
    struct talc_error err = {0};
    if (run_forward(run, b, &err)) fail_msg("accepted; expected: %s", why);
    if (!strstr(err.message, why)) fail_msg("want \"%s\" in: %s", why, err.message);
    assert_false(run_logits(run, NULL, &err)); /* nothing is left of it */
}

static void batches_that_do_not_fit_are_refused(void **state) {
    (void)state;
    static const int lengths[] = {4, 3};
    struct device_case device;
    struct arch a = small_gpt2();
    struct model m;
    struct text_case t;
    struct run run;
    device_case_open(&device, "cpu");
    open_model(&m, &a, &device.stream);
    text_case_random(&t, a.vocab_size, 2, lengths, 8);
    run_case_open(&run, &m, &t, true);
    struct batch b = t.batch;
    int32_t one = 1;
#define WITH(target, value, why)                                                                                       \
    do {                                                                                                               \
        int32_t before_ = (target);                                                                                    \
        (target) = (value);                                                                                            \
        assert_batch_refused(&run, &b, why);                                                                           \
        (target) = before_;                                                                                            \
    } while (0)
    WITH(t.tokens[2], 61, "token 2 of the batch is 61, outside 0..60");
    WITH(t.tokens[6], -1, "token 6");
    WITH(t.targets[0], 61, "target 0");
    WITH(t.positions[1], 160, "position 1");
    WITH(t.positions[5], 2, "count from 0");
    WITH(t.starts[0], 1, "cover");
    WITH(t.starts[2], 6, "cover");
    WITH(t.starts[1], 9, "begins after it ends");
    WITH(b.n_tokens, 8, "does not fit a run of 7");
    WITH(b.n_tokens, 0, "does not fit");
    WITH(b.n_sequences, 3, "does not fit a run of 2");
#undef WITH
    b.lengths = b.slots = b.blocks = &one;
    assert_batch_refused(&run, &b, "no cache");
    run_close(&run);
    text_case_free(&t);
    model_close(&m);
    device_case_close(&device);
}

static void cached_batches_that_do_not_fit_are_refused(void **state) {
    (void)state;
    struct device_case device;
    struct arch a = small_qwen3();
    struct model m;
    struct run run;
    struct run_options o = {
        .max_tokens = 4, .max_sequences = 1, .kv_block_tokens = 4, .kv_blocks = 3, .blocks_per_sequence = 2};
    device_case_open(&device, "cpu");
    open_model(&m, &a, &device.stream);
    assert_true(run_open(&run, &m, &o, NULL));
    int32_t tokens[2] = {1, 2}, positions[2] = {3, 4}, starts[2] = {0, 2}, length = 5, slots[2] = {3, 8},
            blocks[2] = {0, 2}, row = 1;
    struct batch b = {.n_tokens = 2,
                      .n_sequences = 1,
                      .tokens = tokens,
                      .positions = positions,
                      .starts = starts,
                      .lengths = &length,
                      .slots = slots,
                      .blocks = blocks,
                      .head_rows = &row,
                      .n_head_rows = 1};
    float logits[61];
    assert_true(run_forward(&run, &b, NULL) && run_logits(&run, logits, NULL));
    length = 9, assert_batch_refused(&run, &b, "room for 8");
    length = 4, assert_batch_refused(&run, &b, "position 1");
    length = 5, blocks[1] = 3, assert_batch_refused(&run, &b, "block 1");
    blocks[1] = 2, slots[0] = 12, assert_batch_refused(&run, &b, "cache slot 0");
    slots[0] = 3, row = 2, assert_batch_refused(&run, &b, "head row 0");
    row = 1, b.blocks = NULL, assert_batch_refused(&run, &b, "needs lengths, slots and blocks");
    run_close(&run);
    model_close(&m);
    device_case_close(&device);
}

static void runs_that_cannot_be_are_refused(void **state) {
    (void)state;
    struct device_case device;
    struct arch a = small_qwen3();
    struct model m;
    struct run run;
    struct talc_error err = {0};
    float stats[TOKEN_STATS * 4], grads[TOKEN_STATS * 4] = {0};
    device_case_open(&device, "cpu");
    assert_true(model_open(&m, &a, &device.stream, NULL, NULL));
    assert_false(
        run_open(&run, &m, &(struct run_options){.max_tokens = 4, .max_sequences = 1, .training = true}, &err));
    assert_non_null(strstr(err.message, "without gradients"));
    assert_false(run_open(&run, &m, &(struct run_options){.max_tokens = 0, .max_sequences = 1}, &err));
    assert_false(
        run_open(&run, &m, &(struct run_options){.max_tokens = 4, .max_sequences = 1, .kv_block_tokens = 4}, &err));
    assert_true(run_open(&run, &m, &(struct run_options){.max_tokens = 4, .max_sequences = 1}, &err));
    assert_false(run_stats(&run, 1, stats, &err));
    assert_non_null(strstr(err.message, "no forward pass"));
    struct text_case t;
    text_case_random(&t, a.vocab_size, 1, (const int[]){4}, 1);
    assert_true(run_forward(&run, &t.batch, &err) && run_stats(&run, 1, stats, &err));
    assert_false(run_backward(&run, 0.5f, grads, &err));
    assert_non_null(strstr(err.message, "same batch and temperature"));
    assert_false(run_backward(&run, 1, grads, &err));
    assert_non_null(strstr(err.message, "keeps no activations"));
    text_case_free(&t);
    run_close(&run);
    model_close(&m);
    device_case_close(&device);
}

/* Statistics and gradients of a pass with dropout that picks rows, with four layers; `stats` holds those
 * of all tokens. */
static float *gradients_of(struct model *m, const struct text_case *t, bool recompute, float *stats) {
    struct run run;
    struct talc_error err = {0};
    struct run_options o = {.max_tokens = t->batch.n_tokens,
                            .max_sequences = t->batch.n_sequences,
                            .training = true,
                            .head_chunk = 16,
                            .recompute = recompute};
    float grads[64 * TOKEN_STATS] = {0};
    int32_t rows[64], targets[64];
    struct batch b = t->batch;
    b.head_rows = rows;
    b.targets = targets;
    for (int i = 0; i < b.n_tokens; i += 2) {
        grads[b.n_head_rows * TOKEN_STATS + STAT_LOGP] = -1.0f / (float)(i + 1);
        targets[b.n_head_rows] = t->targets[i];
        rows[b.n_head_rows++] = i;
    }
    m->stream->ops->zero(m->stream, m->gradients);
    assert_true(run_open(&run, m, &o, &err));
    run.dropout = true;
    run.seed = 5;
    run.counter = 6;
    for (int pass = 0; pass < 2; pass++) /* the second finds what the first has left behind */
        if (!run_forward(&run, &b, &err) || !run_stats_backward(&run, 1, grads, stats, &err))
            fail_msg("%s", err.message);
    float *gradients = tensor_case_read(m->stream, m->gradients);
    run_close(&run);
    return gradients;
}

static void activations_computed_again_have_the_same_bits(void **state) {
    (void)state;
    static const int lengths[3] = {17, 1, 40};
    struct device_case device;
    device_case_open(&device, "cpu");
    for (int k = 0; k < N_ARCHS; k++) {
        struct arch a = small_arch(k);
        struct model m;
        struct text_case t;
        float kept_stats[64 * TOKEN_STATS] = {0}, again_stats[64 * TOKEN_STATS] = {0};
        a.n_layers = 4;
        for (int l = 2; l < a.n_layers; l++) a.layers[l] = a.layers[l - 2];
        a.dropout = 0.25f;
        open_model(&m, &a, &device.stream);
        text_case_random(&t, a.vocab_size, 3, lengths, 9);
        float *kept = gradients_of(&m, &t, false, kept_stats), *again = gradients_of(&m, &t, true, again_stats);
        assert_memory_equal(kept_stats, again_stats, sizeof kept_stats);
        assert_memory_equal(kept, again, (size_t)m.gradients.cols * sizeof *kept);
        free(kept);
        free(again);
        text_case_free(&t);
        model_close(&m);
    }
    device_case_close(&device);
}

/* The table is what is taken: of a model with gradients, and of a run. Computed again, all layers but one cost their
 * input only. */
static void the_memory_table_is_what_is_taken(void **state) {
    (void)state;
    struct device_case device;
    device_case_open(&device, "cpu");
    for (int k = 0; k < 2 * N_ARCHS; k++) {
        struct arch a = small_arch(k % N_ARCHS);
        struct model m;
        struct run run;
        struct run_options o = {.max_tokens = 33, .max_sequences = 3, .training = true, .recompute = k >= N_ARCHS},
                           one = o;
        struct memory_table t = model_memory(&a, &o, DTYPE_F32);
        struct arch deeper = a;
        deeper.n_layers++;
        one.recompute = true;
        size_t input = (size_t)(o.max_tokens * a.hidden_size + 15) / 16 * 16 * sizeof(float);
        assert_int_equal(model_memory(&deeper, &one, DTYPE_F32).activations,
                         model_memory(&a, &one, DTYPE_F32).activations + input);
        open_model(&m, &a, &device.stream);
        assert_true(run_open(&run, &m, &o, NULL));
        size_t rope = m.rope ? (size_t)rope_floats(&a) * sizeof(float) : 0;
        assert_int_equal(run.arena.used, run_bytes(&a, &o));
        assert_int_equal(run.arena.used, run.arena.capacity);
        assert_int_equal(t.parameters, (size_t)m.values.cols * sizeof(float));
        assert_int_equal(t.total, run.arena.used + 4 * t.parameters + rope);
        run_close(&run);
        model_close(&m);
    }
    device_case_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_at_a_time_gives_the_bits_of_all_at_once),
        cmocka_unit_test(rows_together_are_rows_accumulated),
        cmocka_unit_test(a_fresh_pass_overwrites_gradients),
        cmocka_unit_test(picked_rows_are_as_among_all),
        cmocka_unit_test(the_gradient_is_the_slope_of_the_loss_with_dropout),
        cmocka_unit_test(dropout_is_the_counters_and_off_when_not_asked_for),
        cmocka_unit_test(every_use_of_dropout_has_masks_of_its_own),
        cmocka_unit_test(hooks_surround_the_layers),
        cmocka_unit_test(batches_that_do_not_fit_are_refused),
        cmocka_unit_test(cached_batches_that_do_not_fit_are_refused),
        cmocka_unit_test(runs_that_cannot_be_are_refused),
        cmocka_unit_test(activations_computed_again_have_the_same_bits),
        cmocka_unit_test(the_memory_table_is_what_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
