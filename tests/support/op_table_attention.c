/* op_table_attention.c - random cases of qkv and attention; see op_table.h and op_table.c. */
#include "op_table.h"

#include <math.h>

#include "tensor/ref/ref.h"

/* Query heads, key/value heads. */
static const int head_shapes[][2] = {{1, 1}, {2, 2}, {4, 2}, {6, 2}, {5, 1}, {3, 3}, {8, 4}};
#define N_HEAD_SHAPES (int)(sizeof head_shapes / sizeof *head_shapes)

enum {
    QKV_Q,
    QKV_K,
    QKV_V,
    QKV_QKV,
    QKV_Q_NORM,
    QKV_K_NORM,
    QKV_STATS,
    QKV_POSITIONS,
    QKV_ROPE,
    QKV_SLOTS,
    QKV_D_Q,
    QKV_D_K,
    QKV_D_V,
    QKV_D_QKV,
    QKV_D_Q_NORM,
    QKV_D_K_NORM
};

static struct qkv_tensors qkv_tensors_of(const struct tensor *t) {
    return (struct qkv_tensors){.qkv = t[QKV_QKV],
                                .q_norm = t[QKV_Q_NORM],
                                .k_norm = t[QKV_K_NORM],
                                .norm_stats = t[QKV_STATS],
                                .positions = t[QKV_POSITIONS],
                                .rope = t[QKV_ROPE],
                                .slots = t[QKV_SLOTS]};
}

static void qkv_call(struct stream *s, const struct op_case *c, const struct tensor *t) {
    struct qkv_tensors tensors = qkv_tensors_of(t);
    s->ops->qkv_forward(s, &c->qkv, &tensors, t[QKV_Q], t[QKV_K], t[QKV_V]);
}

static void qkv_back(struct stream *s, const struct op_case *c, const struct tensor *t) {
    struct qkv_tensors tensors = qkv_tensors_of(t);
    s->ops->qkv_backward(s, &c->qkv, &tensors, t[QKV_D_QKV], t[QKV_D_Q_NORM], t[QKV_D_K_NORM], t[QKV_D_Q], t[QKV_D_K],
                         t[QKV_D_V]);
}

/* What is done on the way: norms, rotation. */
static void make_qkv_options(struct op_case *c, int n, bool norms, bool stats, int turned) {
    int places = op_case_size(c, 129), d = c->qkv.head_dim;
    op_case_indices(c, operand_integers(c, QKV_POSITIONS, "positions", 1, n), n, places, false);
    c->operands[QKV_POSITIONS].per_token = true;
    if (turned) operand_numbers(c, QKV_ROPE, "rope", OPERAND_IN, DTYPE_F32, places, turned);
    if (!norms) return;
    operand_numbers(c, QKV_Q_NORM, "q_norm", OPERAND_IN, DTYPE_F32, 1, d);
    operand_numbers(c, QKV_K_NORM, "k_norm", OPERAND_IN, DTYPE_F32, 1, d);
    if (stats)
        operand_numbers(c, QKV_STATS, "norm_stats", OPERAND_OUT, DTYPE_F32, n, c->qkv.n_heads + c->qkv.n_kv_heads)
            ->per_token = true;
}

static void make_qkv_backward(struct op_case *c, int n, bool norms) {
    int d = c->qkv.head_dim, q = c->qkv.n_heads * d, kv = c->qkv.n_kv_heads * d;
    c->backward = qkv_back;
    operand_numbers(c, QKV_D_Q, "d_q", OPERAND_IN, DTYPE_F32, n, q)->per_token = true;
    operand_numbers(c, QKV_D_K, "d_k", OPERAND_IN, DTYPE_F32, n, kv)->per_token = true;
    operand_numbers(c, QKV_D_V, "d_v", OPERAND_IN, DTYPE_F32, n, kv)->per_token = true;
    struct operand *d_qkv = operand_numbers(c, QKV_D_QKV, "d_qkv", OPERAND_OUT, DTYPE_F32, n, q + 2 * kv);
    d_qkv->per_token = true;
    d_qkv->floor = 0.1;
    op_case_output(c, QKV_Q, QKV_D_Q);
    op_case_output(c, QKV_K, QKV_D_K);
    op_case_output(c, QKV_V, QKV_D_V);
    op_case_gradient(c, QKV_QKV, QKV_D_QKV, false);
    if (!norms) return;
    operand_numbers(c, QKV_D_Q_NORM, "d_q_norm", OPERAND_INOUT, DTYPE_F32, 1, d);
    operand_numbers(c, QKV_D_K_NORM, "d_k_norm", OPERAND_INOUT, DTYPE_F32, 1, d);
    op_case_gradient(c, QKV_Q_NORM, QKV_D_Q_NORM, true);
    op_case_gradient(c, QKV_K_NORM, QKV_D_K_NORM, true);
}

void make_qkv(struct op_case *c) {
    static const int even[] = {2, 4, 6, 16, 32, 64, 128};
    const int *heads = head_shapes[op_case_below(c, c->smooth ? 3 : N_HEAD_SHAPES)];
    bool norms = op_case_coin(c), stats = op_case_below(c, 4), rope = op_case_coin(c);
    bool slots = !c->smooth && op_case_coin(c);
    int n = op_case_size(c, 65), d = rope ? even[op_case_below(c, c->smooth ? 3 : 7)] : op_case_size(c, 64);
    int turned = !rope ? 0 : op_case_coin(c) ? d : 2 * op_case_size(c, d / 2); /* numbers of a head */
    int n_slots = slots ? n + op_case_below(c, 9) : n;
    enum dtype dtype = slots ? op_case_float(c) : DTYPE_F32;
    c->qkv = (struct qkv_options){heads[0], heads[1], d, op_case_epsilon(c)};
    c->forward = qkv_call;
    operand_numbers(c, QKV_Q, "q", OPERAND_OUT, DTYPE_F32, n, heads[0] * d)->per_token = true;
    operand_numbers(c, QKV_K, "k", slots ? OPERAND_INOUT : OPERAND_OUT, dtype, n_slots, heads[1] * d);
    operand_numbers(c, QKV_V, "v", slots ? OPERAND_INOUT : OPERAND_OUT, dtype, n_slots, heads[1] * d);
    c->operands[QKV_K].per_token = c->operands[QKV_V].per_token = !slots;
    operand_numbers(c, QKV_QKV, "qkv", OPERAND_IN, DTYPE_F32, n, (heads[0] + 2 * heads[1]) * d)->per_token = true;
    make_qkv_options(c, n, norms, stats, turned);
    if (slots) {
        op_case_indices(c, operand_integers(c, QKV_SLOTS, "slots", 1, n), n, n_slots, true);
        c->operands[QKV_SLOTS].per_token = true;
    } else if (!norms || stats) {
        make_qkv_backward(c, n, norms);
    }
    op_case_say(c, " n=%d H=%d G=%d d=%d turned=%d kv=%s%s%s", n, heads[0], heads[1], d, turned, dtype_name(dtype),
                if_so(norms, stats ? " norms+stats" : " norms"), if_so(slots, " slots"));
}

enum {
    ATT_OUT,
    ATT_LSE,
    ATT_Q,
    ATT_K,
    ATT_V,
    ATT_STARTS,
    ATT_LENGTHS,
    ATT_BLOCKS,
    ATT_POSITIONS,
    ATT_RNG,
    ATT_D_OUT,
    ATT_D_Q,
    ATT_D_K,
    ATT_D_V,
    ATT_WANTED
};

static struct attention_tensors attention_tensors_of(const struct tensor *t) {
    return (struct attention_tensors){.q = t[ATT_Q],
                                      .k = t[ATT_K],
                                      .v = t[ATT_V],
                                      .starts = t[ATT_STARTS],
                                      .lengths = t[ATT_LENGTHS],
                                      .blocks = t[ATT_BLOCKS],
                                      .positions = t[ATT_POSITIONS],
                                      .wanted = t[ATT_WANTED],
                                      .rng = t[ATT_RNG],
                                      .out = t[ATT_OUT],
                                      .lse = t[ATT_LSE]};
}

static void attention_call(struct stream *s, const struct op_case *c, const struct tensor *t) {
    struct attention_tensors tensors = attention_tensors_of(t);
    s->ops->attention_forward(s, &c->attention, &tensors);
}

static void attention_back(struct stream *s, const struct op_case *c, const struct tensor *t) {
    struct attention_tensors tensors = attention_tensors_of(t);
    struct attention_gradients g = {t[ATT_D_OUT], t[ATT_D_Q], t[ATT_D_K], t[ATT_D_V]};
    s->ops->attention_backward(s, &c->attention, &tensors, &g);
}

/* Heads, scale and window; returns the number of sequences. */
static int make_attention_options(struct op_case *c) {
    static const int windows[] = {0, 0, 1, 5, 64, 100}, dims[] = {2, 3, 5, 16, 33, 64, 128};
    const int *heads = head_shapes[op_case_below(c, c->smooth ? 4 : N_HEAD_SHAPES)];
    int n_sequences = 1 + op_case_below(c, 4), d = dims[op_case_below(c, c->smooth ? 3 : 7)];
    int window = windows[op_case_below(c, c->smooth ? 4 : 6)];
    float sharper = c->smooth || op_case_coin(c) ? 1 : 3, cap = op_case_coin(c) ? 0 : op_case_coin(c) ? 50 : 1.5f;
    c->attention = (struct attention_options){.n_heads = heads[0],
                                              .n_kv_heads = heads[1],
                                              .head_dim = d,
                                              .scale = sharper / sqrtf((float)d),
                                              .softcap = cap,
                                              .window = window,
                                              .n_sequences = n_sequences,
                                              .max_length = 1};
    c->forward = attention_call;
    op_case_say(c, " H=%d G=%d d=%d window=%d scale=%g cap=%g", heads[0], heads[1], d, window,
                (double)c->attention.scale, (double)cap);
    return n_sequences;
}

static void make_attention_queries(struct op_case *c, int n, bool lse) {
    int width = c->attention.n_heads * c->attention.head_dim;
    operand_numbers(c, ATT_OUT, "out", OPERAND_OUT, DTYPE_F32, n, width)->floor = 0.1;
    operand_numbers(c, ATT_Q, "q", OPERAND_IN, DTYPE_F32, n, width);
    if (lse) operand_numbers(c, ATT_LSE, "lse", OPERAND_OUT, DTYPE_F32, n, c->attention.n_heads)->floor = 1;
}

static void make_attention_backward(struct op_case *c, int n) {
    int q = c->attention.n_heads * c->attention.head_dim, kv = c->attention.n_kv_heads * c->attention.head_dim;
    c->backward = attention_back;
    operand_numbers(c, ATT_D_OUT, "d_out", OPERAND_IN, DTYPE_F32, n, q);
    /* With one key the weight is 1 whatever the score, and these are 0 but for rounding of terms of this size. */
    double terms = (double)c->attention.scale * sqrt(c->attention.head_dim);
    operand_numbers(c, ATT_D_Q, "d_q", OPERAND_OUT, DTYPE_F32, n, q)->floor = terms;
    operand_numbers(c, ATT_D_K, "d_k", OPERAND_OUT, DTYPE_F32, n, kv)->floor = terms;
    operand_numbers(c, ATT_D_V, "d_v", OPERAND_OUT, DTYPE_F32, n, kv);
    op_case_output(c, ATT_OUT, ATT_D_OUT);
    op_case_gradient(c, ATT_Q, ATT_D_Q, false);
    op_case_gradient(c, ATT_K, ATT_D_K, false);
    op_case_gradient(c, ATT_V, ATT_D_V, false);
}

/* Sometimes only some rows are asked for: runs of them, and single ones. */
static void make_wanted(struct op_case *c, int n) {
    if (op_case_below(c, 3)) return;
    int32_t *wanted = operand_integers(c, ATT_WANTED, "wanted", 1, n);
    for (int i = 0; i < n; i++) wanted[i] = i && op_case_below(c, 8) ? wanted[i - 1] : op_case_coin(c);
    op_case_say(c, " some wanted");
}

/* Training: every sequence brings all its keys. */
void make_attention(struct op_case *c) {
    int n_sequences = make_attention_options(c), n = 0, kv = c->attention.n_kv_heads * c->attention.head_dim;
    int32_t *starts = operand_integers(c, ATT_STARTS, "starts", 1, n_sequences + 1);
    int32_t *lengths = operand_integers(c, ATT_LENGTHS, "lengths", 1, n_sequences);
    for (int i = 0; i < n_sequences; i++) {
        lengths[i] = op_case_size(c, 129);
        starts[i] = n;
        n += lengths[i];
        if (lengths[i] > c->attention.max_length) c->attention.max_length = lengths[i];
        op_case_say(c, "%s%d", i ? "+" : " lengths ", lengths[i]);
    }
    starts[n_sequences] = n;
    int32_t *positions = operand_integers(c, ATT_POSITIONS, "positions", 1, n);
    for (int i = 0; i < n_sequences; i++)
        for (int j = 0; j < lengths[i]; j++) positions[starts[i] + j] = j;
    bool backward = c->smooth || op_case_below(c, 4);
    make_attention_queries(c, n, backward || op_case_coin(c));
    operand_numbers(c, ATT_K, "k", OPERAND_IN, DTYPE_F32, n, kv);
    operand_numbers(c, ATT_V, "v", OPERAND_IN, DTYPE_F32, n, kv);
    if (op_case_below(c, 3) == 0) {
        c->attention.dropout = 0.25f;
        c->attention.dropout_site = 7;
        operand_rng(c, ATT_RNG);
        op_case_say(c, " dropout");
    }
    make_wanted(c, n);
    if (backward) make_attention_backward(c, n);
}

/* Rows of the cache that belong to nobody hold large numbers, which would show. */
static void fill_strangers(struct op_case *c, struct tensor cache) {
    struct tensor table = c->operands[ATT_BLOCKS].view;
    const int32_t *blocks = table.data, *lengths = c->operands[ATT_LENGTHS].view.data;
    int block = c->attention.block_tokens;
    for (int64_t row = 0; row < cache.rows; row++) {
        bool owned = false;
        for (int64_t i = 0; i < table.rows * table.cols; i++)
            owned |= blocks[i] == row / block && i % table.cols * block + row % block < lengths[i / table.cols];
        for (int64_t i = 0; !owned && i < cache.cols; i++) ref_store(cache, row, i, 1e4);
    }
}

/* Serving: keys lie in blocks of a cache, and there are more of them than queries. */
void make_attention_cache(struct op_case *c) {
    static const int block_sizes[] = {1, 3, 16, 64};
    int n_sequences = make_attention_options(c), block = block_sizes[op_case_below(c, 4)], n = 0, most_blocks = 1;
    int32_t *starts = operand_integers(c, ATT_STARTS, "starts", 1, n_sequences + 1);
    int32_t *lengths = operand_integers(c, ATT_LENGTHS, "lengths", 1, n_sequences), rows[4];
    for (int i = 0; i < n_sequences; i++) {
        lengths[i] = op_case_below(c, 8) ? op_case_size(c, 300) : 0; /* no keys: zeros come out */
        rows[i] = lengths[i] == 0 || op_case_coin(c) ? 1 : 1 + op_case_below(c, lengths[i] < 64 ? lengths[i] : 64);
        if (i && op_case_below(c, 8) == 0) rows[i] = 0; /* a sequence that has nothing to ask */
        starts[i] = n;
        n += rows[i];
        if (lengths[i] > c->attention.max_length) c->attention.max_length = lengths[i];
        if ((lengths[i] + block - 1) / block > most_blocks) most_blocks = (lengths[i] + block - 1) / block;
        op_case_say(c, "%s%d/%d", i ? "+" : " rows/lengths ", rows[i], lengths[i]);
    }
    starts[n_sequences] = n;
    int n_blocks = n_sequences * most_blocks + 1;
    int32_t *blocks = operand_integers(c, ATT_BLOCKS, "blocks", n_sequences, most_blocks);
    int32_t *positions = operand_integers(c, ATT_POSITIONS, "positions", 1, n);
    op_case_indices(c, blocks, n_sequences * most_blocks, n_blocks, true);
    for (int i = 0; i < n_sequences * most_blocks; i++) /* entries past the end must not be followed */
        if (i % most_blocks * block >= lengths[i / most_blocks]) blocks[i] = -1000000;
    for (int i = 0; i < n_sequences; i++)
        for (int j = 0; j < rows[i]; j++) positions[starts[i] + j] = lengths[i] ? lengths[i] - rows[i] + j : 0;
    make_attention_queries(c, n, op_case_coin(c));
    enum dtype dtype = op_case_float(c);
    c->attention.block_tokens = block;
    int64_t n_slots = (int64_t)n_blocks * block, width = (int64_t)c->attention.n_kv_heads * c->attention.head_dim;
    fill_strangers(c, operand_numbers(c, ATT_K, "k", OPERAND_IN, dtype, n_slots, width)->view);
    fill_strangers(c, operand_numbers(c, ATT_V, "v", OPERAND_IN, dtype, n_slots, width)->view);
    op_case_say(c, " blocks of %d, %s", block, dtype_name(dtype));
}
