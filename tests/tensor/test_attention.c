/* However attention comes to a token, its bits are the same: a whole text at once with the keys in order (training),
 * the same over a cache whose blocks lie anywhere, in chunks, a token at a time (decoding), alone or among others. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/op_case.h"
#include "support/op_devices.h"
#include "tensor/ref/ref.h"

/* One text: queries, keys and values of all its tokens. */
struct scene {
    int n_heads, n_kv_heads, head_dim, window, block_tokens, length;
    float softcap;
    enum dtype dtype; /* of the cache */
    struct tensor q, k, v;
};

/* A sequence of a batch: the last `n_rows` tokens of the first `length` of a text. */
struct piece {
    int length, n_rows;
};

enum { OUT, LSE, Q, K, V, STARTS, LENGTHS, BLOCKS, POSITIONS };

static void call(struct stream *s, const struct op_case *c, const struct tensor *t) {
    struct attention_tensors tensors = {.q = t[Q],
                                        .k = t[K],
                                        .v = t[V],
                                        .starts = t[STARTS],
                                        .lengths = t[LENGTHS],
                                        .blocks = t[BLOCKS],
                                        .positions = t[POSITIONS],
                                        .out = t[OUT],
                                        .lse = t[LSE]};
    s->ops->attention_forward(s, &c->attention, &tensors);
}

static void copy_row(struct tensor dst, int64_t to, struct tensor src, int64_t from) {
    for (int64_t c = 0; c < src.cols; c++) ref_store(dst, to, c, ref_load(src, from, c));
}

/* A table in which block i of sequence s is somewhere, no two at one place; returns how many a sequence has. */
static int fill_blocks(struct op_case *c, int n_pieces) {
    int width = c->attention.max_length / c->attention.block_tokens + 2, n = n_pieces * width;
    int32_t *blocks = operand_integers(c, BLOCKS, "blocks", n_pieces, width);
    for (int i = 0; i < n; i++) blocks[i] = i;
    rng_shuffle(&c->rng, blocks, (size_t)n, sizeof *blocks);
    return width;
}

/* Options and index tensors of a batch; returns how many rows it has. */
static int fill_batch(struct op_case *c, const struct scene *x, const struct piece *pieces, int n_pieces) {
    int n = 0, longest = 0;
    int32_t *starts = operand_integers(c, STARTS, "starts", 1, n_pieces + 1);
    int32_t *lengths = operand_integers(c, LENGTHS, "lengths", 1, n_pieces);
    for (int i = 0; i < n_pieces; i++) {
        starts[i] = n;
        lengths[i] = pieces[i].length;
        n += pieces[i].n_rows;
        if (lengths[i] > longest) longest = lengths[i];
    }
    starts[n_pieces] = n;
    int32_t *positions = operand_integers(c, POSITIONS, "positions", 1, n);
    for (int i = 0; i < n_pieces; i++)
        for (int j = 0; j < pieces[i].n_rows; j++) positions[starts[i] + j] = lengths[i] - pieces[i].n_rows + j;
    c->forward = call;
    c->attention = (struct attention_options){.n_heads = x->n_heads,
                                              .n_kv_heads = x->n_kv_heads,
                                              .head_dim = x->head_dim,
                                              .scale = 1 / sqrtf((float)x->head_dim),
                                              .softcap = x->softcap,
                                              .window = x->window,
                                              .n_sequences = n_pieces,
                                              .max_length = longest,
                                              .block_tokens = x->block_tokens};
    return n;
}

/* What no token has been written to may hold anything. */
static void spoil_unused(struct op_case *c, const struct scene *x, const struct piece *pieces, int n_pieces,
                         struct tensor k, struct tensor v) {
    const struct tensor *table = &c->operands[BLOCKS].view;
    const int32_t *blocks = table->data;
    for (int i = 0; i < n_pieces; i++)
        for (int64_t j = pieces[i].length; j < table->cols * x->block_tokens; j++) {
            int64_t slot =
                (int64_t)blocks[i * table->cols + j / x->block_tokens] * x->block_tokens + j % x->block_tokens;
            for (int64_t d = 0; d < k.cols; d++) {
                ref_store(k, slot, d, NAN);
                ref_store(v, slot, d, NAN);
            }
        }
}

/* The batch of the pieces, where number `ours` is of the scene's text and the others are of noise. Without a table the
 * keys lie in order. */
static void make_batch(struct op_case *c, const struct scene *x, const struct piece *pieces, int n_pieces, int ours,
                       bool table) {
    op_case_begin(c, "attention", (uint64_t)pieces[ours].length, 1, false);
    int n = fill_batch(c, x, pieces, n_pieces), width = table ? fill_blocks(c, n_pieces) : 0;
    operand_numbers(c, OUT, "out", OPERAND_OUT, DTYPE_F32, n, x->q.cols);
    operand_numbers(c, LSE, "lse", OPERAND_OUT, DTYPE_F32, n, x->n_heads);
    struct tensor q = operand_numbers(c, Q, "q", OPERAND_IN, DTYPE_F32, n, x->q.cols)->view;
    int64_t n_slots = table ? (int64_t)n_pieces * width * x->block_tokens : n;
    struct tensor k = operand_numbers(c, K, "k", OPERAND_IN, x->dtype, n_slots, x->k.cols)->view;
    struct tensor v = operand_numbers(c, V, "v", OPERAND_IN, x->dtype, n_slots, x->k.cols)->view;
    const int32_t *starts = c->operands[STARTS].view.data, *blocks = table ? c->operands[BLOCKS].view.data : NULL;
    for (int i = 0; i < pieces[ours].n_rows; i++)
        copy_row(q, starts[ours] + i, x->q, pieces[ours].length - pieces[ours].n_rows + i);
    for (int j = 0; j < pieces[ours].length; j++) {
        int64_t slot = starts[ours] + j;
        if (table) slot = (int64_t)blocks[ours * width + j / x->block_tokens] * x->block_tokens + j % x->block_tokens;
        copy_row(k, slot, x->k, j);
        copy_row(v, slot, x->v, j);
    }
    if (table) spoil_unused(c, x, pieces, n_pieces, k, v);
    op_case_say(c, " H=%d G=%d d=%d window=%d block=%d %s, %d rows of %d among %d sequences%s", x->n_heads,
                x->n_kv_heads, x->head_dim, x->window, x->block_tokens, dtype_name(x->dtype), pieces[ours].n_rows,
                pieces[ours].length, n_pieces, table ? ", table" : "");
}

/* What attention gave each token of the text: [length, Hd] and [length, H]. */
struct answer {
    float *out, *lse;
};

/* Runs the batch; the rows of our text are written to `into`, or, where it is NULL, compared with `known`. */
static void run_batch(const struct scene *x, struct op_device *device, const struct piece *pieces, int n_pieces,
                      int ours, bool table, struct answer *into, const struct answer *known) {
    struct op_case c;
    struct op_result result;
    make_batch(&c, x, pieces, n_pieces, ours, table);
    assert_true(op_case_run(&c, &device->streams[THREADS_2], device->name, false, -1, &result));
    struct tensor out = op_result_tensor(&c, &result, OUT), lse = op_result_tensor(&c, &result, LSE);
    const int32_t *starts = c.operands[STARTS].view.data;
    for (int i = 0; i < pieces[ours].n_rows; i++) {
        int token = pieces[ours].length - pieces[ours].n_rows + i;
        float *out_row = tensor_rows(out, starts[ours] + i, 1).data;
        float *lse_row = tensor_rows(lse, starts[ours] + i, 1).data;
        size_t out_bytes = (size_t)out.cols * sizeof(float), lse_bytes = (size_t)lse.cols * sizeof(float);
        if (into) {
            memcpy(into->out + token * out.cols, out_row, out_bytes);
            memcpy(into->lse + token * lse.cols, lse_row, lse_bytes);
        } else if (memcmp(known->out + token * out.cols, out_row, out_bytes) ||
                   memcmp(known->lse + token * lse.cols, lse_row, lse_bytes)) {
            fail_msg("%s on %s: token %d differs from when the text was run at once; its first number: %.9g, now %.9g",
                     c.text, device->name, token, (double)known->out[token * out.cols], (double)out_row[0]);
        }
    }
    op_result_free(&result);
    op_case_end(&c);
}

static void every_way_agrees(const struct scene *x, struct op_device *device) {
    struct answer whole = {calloc((size_t)(x->length * x->q.cols), sizeof(float)),
                           calloc((size_t)(x->length * x->n_heads), sizeof(float))};
    struct piece all = {x->length, x->length};
    run_batch(x, device, &all, 1, 0, false, &whole, NULL);
    run_batch(x, device, &all, 1, 0, true, NULL, &whole);
    struct piece crowd[] = {{70, 3}, all, {33, 33}, {130, 1}};
    run_batch(x, device, crowd, 4, 1, true, NULL, &whole);
    for (int done = 0, n = 1; done < x->length; done += n, n = n * 2 + 1) { /* chunks of 1, 3, 7, ... */
        struct piece chunk = {done + n < x->length ? done + n : x->length, 0};
        chunk.n_rows = chunk.length - done;
        run_batch(x, device, &chunk, 1, 0, true, NULL, &whole);
    }
    int step = x->length > 40 ? 13 : 1; /* decoding: all tokens of a short text, some of a long one */
    for (int token = 0; token < x->length; token += step) {
        struct piece last = {token + 1, 1}, batch[] = {{5, 5}, {64, 1}, last};
        run_batch(x, device, &last, 1, 0, true, NULL, &whole);
        if (token % 2) run_batch(x, device, batch, 3, 2, true, NULL, &whole);
    }
    free(whole.out);
    free(whole.lse);
}

static struct tensor random_numbers(struct rng *rng, int rows, int cols) {
    float *x = malloc(sizeof *x * (size_t)rows * (size_t)cols);
    assert_non_null(x);
    for (int i = 0; i < rows * cols; i++) x[i] = (float)rng_normal(rng);
    return tensor_view(x, DTYPE_F32, rows, cols);
}

static void every_way_to_a_token_gives_the_same_bits(void **state) {
    struct op_devices *d = *state;
    static const struct scene scenes[] = {
        /* H, G, d, window, block, length, cap, cache */
        {2, 2, 16, 0, 16, 37, 0, DTYPE_F32, {0}, {0}, {0}},
        {4, 2, 5, 0, 3, 150, 0, DTYPE_F32, {0}, {0}, {0}},
        {6, 2, 33, 0, 1, 129, 0, DTYPE_BF16, {0}, {0}, {0}},
        {4, 1, 64, 70, 16, 200, 0, DTYPE_F32, {0}, {0}, {0}},
        {2, 1, 128, 5, 64, 65, 0, DTYPE_F16, {0}, {0}, {0}},
        {3, 3, 2, 64, 5, 193, 0, DTYPE_BF16, {0}, {0}, {0}},
        {4, 2, 16, 20, 16, 150, 1.5f, DTYPE_F32, {0}, {0}, {0}},
        /* few heads and many rows, which are cut into several tasks */
        {2, 1, 16, 0, 16, 601, 0, DTYPE_F32, {0}, {0}, {0}},
        {2, 1, 8, 70, 16, 601, 0, DTYPE_F32, {0}, {0}, {0}},
    };
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
        struct scene x = scenes[i];
        struct rng rng = rng_make(5, i);
        x.q = random_numbers(&rng, x.length, x.n_heads * x.head_dim);
        x.k = random_numbers(&rng, x.length, x.n_kv_heads * x.head_dim);
        x.v = random_numbers(&rng, x.length, x.n_kv_heads * x.head_dim);
        for (int j = 0; j < d->n_devices; j++) every_way_agrees(&x, &d->devices[j]);
        free(x.q.data);
        free(x.k.data);
        free(x.v.data);
    }
}

static int open_devices(void **state) {
    struct op_devices *d = malloc(sizeof *d);
    *state = d;
    return d && op_devices_open(d) ? 0 : -1;
}

static int close_devices(void **state) {
    op_devices_close(*state);
    free(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_way_to_a_token_gives_the_same_bits)};
    return cmocka_run_group_tests(tests, open_devices, close_devices);
}
