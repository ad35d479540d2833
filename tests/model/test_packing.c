/* A text does not notice what else is in the batch: packed with others, or decoded a token at a time together with
 * others through one cache, it gives the bits that it gives alone. */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "support/model_case.h"

#define FOLDER TEST_DIR "/golden/model/"

static const char *const names[] = {"gpt2", "qwen3", "qwen3-tied"};
enum { N_MODELS = 3, CONTEXT = 24 };

struct setup {
    struct device_case device;
    struct model model;
};

static void open_setup(struct setup *s, const char *device, const char *name) {
    struct talc_error err = {0};
    char folder[128];
    device_case_open(&s->device, device);
    strcpy(folder, FOLDER);
    strcat(folder, name);
    if (!model_load_folder(&s->model, folder, &s->device.stream, NULL, &err)) fail_msg("%s", err.message);
}

static void close_setup(struct setup *s) {
    model_close(&s->model);
    device_case_close(&s->device);
}

static float *allocate(size_t n) {
    float *out = calloc(n, sizeof *out);
    assert_non_null(out);
    return out;
}

/* ---- batches --------------------------------------------------------------------------------- */

/* Statistics of every token. */
static float *stats_of(struct setup *s, const struct text_case *t) {
    struct run run;
    struct talc_error err = {0};
    float *stats = allocate((size_t)t->batch.n_tokens * TOKEN_STATS);
    run_case_open(&run, &s->model, t, false);
    if (!run_forward(&run, &t->batch, &err) || !run_stats(&run, 1, stats, &err)) fail_msg("%s", err.message);
    run_close(&run);
    return stats;
}

static void a_token_has_the_same_loss_alone_and_packed(void **state) {
    (void)state;
    const int lengths[] = {7, 1, 24, 2, 13};
    for (int m = 0; m < N_MODELS; m++) {
        struct setup s;
        struct text_case whole, part;
        open_setup(&s, "cpu", names[m]);
        text_case_random(&whole, s.model.arch.vocab_size, 5, lengths, 3);
        float *packed = stats_of(&s, &whole);
        for (int d = 0; d < 5; d++) {
            text_case_part(&part, &whole, d, 1);
            float *alone = stats_of(&s, &part);
            size_t bytes = (size_t)lengths[d] * TOKEN_STATS * sizeof *alone;
            if (memcmp(alone, packed + whole.starts[d] * TOKEN_STATS, bytes) != 0)
                fail_msg("%s: document %d of %d tokens differs when it is packed", names[m], d, lengths[d]);
            free(alone);
            text_case_free(&part);
        }
        free(packed);
        text_case_free(&whole);
        close_setup(&s);
    }
}

/* ---- the cache ------------------------------------------------------------------------------- */

enum { BLOCK = 4, TABLE = CONTEXT / BLOCK, TEXTS = 3, KV_BLOCKS = TEXTS * TABLE + 5 };

/* Texts that are decoded together, each with its blocks anywhere. */
struct decoding {
    int32_t blocks[KV_BLOCKS]; /* [TEXTS, TABLE] of it is used */
    int32_t tokens[TEXTS], positions[TEXTS], starts[TEXTS + 1], lengths[TEXTS], slots[TEXTS], head_rows[TEXTS];
    int32_t table[TEXTS * TABLE];
    int text_of_row[TEXTS];
};

/* The next token of every text that has one; returns how many there are. */
static int next_tokens(struct decoding *d, const struct text_case *t, int position) {
    int n = 0;
    for (int i = 0; i < TEXTS; i++) {
        if (position >= t->starts[i + 1] - t->starts[i]) continue;
        memcpy(d->table + n * TABLE, d->blocks + i * TABLE, TABLE * sizeof *d->table);
        d->tokens[n] = t->tokens[t->starts[i] + position];
        d->positions[n] = position;
        d->lengths[n] = position + 1;
        d->slots[n] = d->blocks[i * TABLE + position / BLOCK] * BLOCK + position % BLOCK;
        d->head_rows[n] = d->starts[n] = n;
        d->text_of_row[n++] = i;
    }
    d->starts[n] = n;
    return n;
}

/* Logits of every token, from one pass over the texts without a cache. */
static float *logits_of(struct setup *s, const struct text_case *t) {
    struct run run;
    struct talc_error err = {0};
    struct batch b = t->batch;
    int32_t *rows = calloc((size_t)b.n_tokens, sizeof *rows);
    float *logits = allocate((size_t)b.n_tokens * (size_t)s->model.arch.vocab_size);
    for (int i = 0; i < b.n_tokens; i++) rows[i] = i;
    b.head_rows = rows;
    b.n_head_rows = b.n_tokens;
    run_case_open(&run, &s->model, t, false);
    if (!run_forward(&run, &b, &err) || !run_logits(&run, logits, &err)) fail_msg("%s", err.message);
    run_close(&run);
    free(rows);
    return logits;
}

static void check_decoding(struct setup *s, const char *name, const struct text_case *t, const float *expected) {
    struct decoding d;
    struct run run;
    struct rng rng = rng_make(8, 0);
    struct talc_error err = {0};
    size_t vocab = (size_t)s->model.arch.vocab_size;
    float *logits = allocate(TEXTS * vocab);
    struct run_options o = {.max_tokens = TEXTS,
                            .max_sequences = TEXTS,
                            .kv_block_tokens = BLOCK,
                            .kv_blocks = KV_BLOCKS,
                            .blocks_per_sequence = TABLE};
    for (int i = 0; i < KV_BLOCKS; i++) d.blocks[i] = i;
    rng_shuffle(&rng, d.blocks, KV_BLOCKS, sizeof *d.blocks);
    if (!run_open(&run, &s->model, &o, &err)) fail_msg("%s", err.message);
    for (int position = 0, n; (n = next_tokens(&d, t, position)) > 0; position++) {
        struct batch b = {.n_tokens = n,
                          .n_sequences = n,
                          .tokens = d.tokens,
                          .positions = d.positions,
                          .starts = d.starts,
                          .lengths = d.lengths,
                          .slots = d.slots,
                          .blocks = d.table,
                          .head_rows = d.head_rows,
                          .n_head_rows = n};
        if (!run_forward(&run, &b, &err) || !run_logits(&run, logits, &err)) fail_msg("%s", err.message);
        for (int row = 0; row < n; row++) {
            const float *want = expected + (size_t)(t->starts[d.text_of_row[row]] + position) * vocab;
            if (memcmp(logits + (size_t)row * vocab, want, vocab * sizeof *want) != 0)
                fail_msg("%s: text %d differs at position %d", name, d.text_of_row[row], position);
        }
    }
    run_close(&run);
    free(logits);
}

static void texts_decoded_together_give_the_bits_of_the_whole_texts(void **state) {
    (void)state;
    const int lengths[TEXTS] = {CONTEXT, 1, 17};
    for (int m = 0; m < N_MODELS; m++) {
        struct setup s;
        struct text_case t;
        open_setup(&s, "cpu", names[m]);
        text_case_random(&t, s.model.arch.vocab_size, TEXTS, lengths, 6);
        float *expected = logits_of(&s, &t);
        check_decoding(&s, names[m], &t, expected);
        free(expected);
        text_case_free(&t);
        close_setup(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_has_the_same_loss_alone_and_packed),
        cmocka_unit_test(texts_decoded_together_give_the_bits_of_the_whole_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
