/* ref_attention.c - queries, keys and values out of a fused projection (QK-norm, rotary embedding); scaled dot-product
 * attention over a ragged batch, and the gradients of both. */
#include "tensor/ref/ref.h"

#include <math.h>

/* ---- qkv: a head of a token is split off, normed, rotated --------------------------------------------------------
 *
 * Head i of qkv is a query for i < H, a key for i < H + G, else a value. Values are neither normed nor rotated. */

/* Rotary position embedding (Su et al. 2021) of the first n = rope.cols numbers: pair (x[i], x[i + n/2]) turns by the
 * i-th angle of the position; with direction -1 it turns back, which is the gradient. */
static void rotate(double *x, struct tensor rope, int64_t position, double direction) {
    int64_t half = rope.cols / 2;
    for (int64_t i = 0; i < half; i++) {
        double cosine = ref_load(rope, position, i), sine = direction * ref_load(rope, position, half + i);
        double x1 = x[i], x2 = x[i + half];
        x[i] = x1 * cosine - x2 * sine;
        x[i + half] = x2 * cosine + x1 * sine;
    }
}

static double inverse_rms(struct tensor x, int64_t r, int64_t first, int n, double epsilon) {
    double square = 0;
    for (int c = 0; c < n; c++) square += ref_load(x, r, first + c) * ref_load(x, r, first + c);
    return 1.0 / sqrt(square / n + epsilon);
}

/* The norm weights of head i; absent for values. */
static struct tensor head_norm(const struct qkv_options *o, const struct qkv_tensors *t, int i) {
    if (i < o->n_heads) return t->q_norm;
    return i < o->n_heads + o->n_kv_heads ? t->k_norm : tensor_absent();
}

/* The rope row of token r for head i, or -1 where it is not rotated. */
static int64_t head_position(struct stream *s, const struct qkv_options *o, const struct qkv_tensors *t, int64_t r,
                             int i) {
    if (!tensor_present(t->rope) || i >= o->n_heads + o->n_kv_heads) return -1;
    return ref_index(s, t->positions, r, t->rope.rows, "position of token");
}

/* Where head i of token r goes: sets the tensor, its row and first column. False if the slot is out of range. */
static bool head_place(struct stream *s, const struct qkv_options *o, const struct qkv_tensors *t, int64_t r, int i,
                       struct tensor *dst, int64_t *row, int64_t *column, struct tensor q, struct tensor k,
                       struct tensor v) {
    int d = o->head_dim, key = i - o->n_heads, value = key - o->n_kv_heads;
    *row = r;
    *dst = key < 0 ? q : value < 0 ? k : v;
    *column = (int64_t)d * (key < 0 ? i : value < 0 ? key : value);
    if (key >= 0 && tensor_present(t->slots)) *row = ref_index(s, t->slots, r, dst->rows, "slot of token");
    return *row >= 0;
}

static void head_forward(struct stream *s, const struct qkv_options *o, const struct qkv_tensors *t, int64_t r, int i,
                         double *x, struct tensor q, struct tensor k, struct tensor v) {
    int d = o->head_dim;
    struct tensor norm = head_norm(o, t, i), dst;
    int64_t row, column, position = head_position(s, o, t, r, i);
    if (!head_place(s, o, t, r, i, &dst, &row, &column, q, k, v) || s->failed) return;
    double scale = tensor_present(norm) ? inverse_rms(t->qkv, r, (int64_t)i * d, d, (double)o->norm_epsilon) : 1;
    if (tensor_present(norm) && tensor_present(t->norm_stats)) ref_store(t->norm_stats, r, i, scale);
    for (int c = 0; c < d; c++) {
        x[c] = ref_load(t->qkv, r, (int64_t)i * d + c) * scale;
        if (tensor_present(norm)) x[c] *= ref_load(norm, 0, c);
    }
    if (position >= 0) rotate(x, t->rope, position, 1);
    for (int c = 0; c < d; c++) ref_store(dst, row, column + c, x[c]);
}

void ref_qkv_forward(struct stream *s, const struct qkv_options *o, const struct qkv_tensors *t, struct tensor q,
                     struct tensor k, struct tensor v) {
    double *x = s->failed ? NULL : ref_scratch(s, (size_t)o->head_dim);
    if (!x) return;
    for (int64_t r = 0; r < t->qkv.rows; r++)
        for (int i = 0; i < o->n_heads + 2 * o->n_kv_heads; i++) head_forward(s, o, t, r, i, x, q, k, v);
}

/* Turns g, the gradient of a head after its norm, into that of the fused projection; the gradient of the norm's weights
 * is added to d_norm [d]. The formula is that of ref_norm.c. */
static void head_backward(const struct qkv_options *o, const struct qkv_tensors *t, int64_t r, int i, double *g,
                          double *d_norm) {
    int d = o->head_dim;
    int64_t first = (int64_t)i * d;
    struct tensor norm = head_norm(o, t, i);
    if (!tensor_present(norm)) return;
    double scale = inverse_rms(t->qkv, r, first, d, (double)o->norm_epsilon), sum = 0;
    for (int c = 0; c < d; c++) {
        double y = ref_load(t->qkv, r, first + c) * scale;
        d_norm[c] += g[c] * y;
        g[c] *= ref_load(norm, 0, c);
        sum += g[c] * y;
    }
    for (int c = 0; c < d; c++) g[c] = scale * (g[c] - ref_load(t->qkv, r, first + c) * scale * sum / d);
}

void ref_qkv_backward(struct stream *s, const struct qkv_options *o, const struct qkv_tensors *t, struct tensor d_qkv,
                      struct tensor d_q_norm, struct tensor d_k_norm, struct tensor d_q, struct tensor d_k,
                      struct tensor d_v) {
    int d = o->head_dim;
    double *g = s->failed ? NULL : ref_scratch(s, 3 * (size_t)d);
    if (!g) return;
    double *sums[2] = {g + d, g + 2 * d}; /* of d_q_norm, of d_k_norm */
    for (int64_t r = 0; r < t->qkv.rows && !s->failed; r++)
        for (int i = 0; i < o->n_heads + 2 * o->n_kv_heads; i++) {
            struct tensor src;
            int64_t row, column, position = head_position(s, o, t, r, i);
            if (s->failed || !head_place(s, o, t, r, i, &src, &row, &column, d_q, d_k, d_v)) return;
            for (int c = 0; c < d; c++) g[c] = ref_load(src, row, column + c);
            if (position >= 0) rotate(g, t->rope, position, -1);
            head_backward(o, t, r, i, g, sums[i >= o->n_heads]);
            for (int c = 0; c < d; c++) ref_store(d_qkv, r, (int64_t)i * d + c, g[c]);
        }
    for (int c = 0; c < d; c++) {
        if (tensor_present(d_q_norm)) ref_add(d_q_norm, 0, c, sums[0][c]);
        if (tensor_present(d_k_norm)) ref_add(d_k_norm, 0, c, sums[1][c]);
    }
}

/* ---- attention: out[r] = sum over j of p[j] v[j], p = softmax(scale * q[r] k[j]), the scores perhaps capped ---- */

/* One query row of one head, and the keys [first, end) that it sees. */
struct query {
    int64_t sequence, row;
    int head;
    int64_t column, kv_column; /* where the head starts in q and out, in k and v */
    int64_t first, end;
};

static struct query query_at(const struct attention_options *o, const struct attention_tensors *t, int64_t sequence,
                             int64_t row, int head) {
    struct query x = {.sequence = sequence, .row = row, .head = head};
    int64_t position = ref_integer(t->positions, row), length = ref_integer(t->lengths, sequence);
    x.column = (int64_t)head * o->head_dim;
    /* Heads in groups share a key/value head (grouped-query attention, Ainslie et al. 2023). */
    x.kv_column = (int64_t)(head / (o->n_heads / o->n_kv_heads)) * o->head_dim;
    x.end = position + 1 < length ? position + 1 : length;
    if (tensor_present(t->wanted) && !ref_integer(t->wanted, row)) x.end = 0;
    x.first = o->window > 0 && position + 1 > o->window ? position + 1 - o->window : 0;
    return x;
}

/* The row of k and v that holds key j; -1 and a latched error where there is no such row. */
static int64_t key_row(struct stream *s, const struct attention_options *o, const struct attention_tensors *t,
                       struct query x, int64_t j) {
    int64_t row = ref_integer(t->starts, x.sequence) + j;
    if (tensor_present(t->blocks)) {
        int64_t block = ref_integer(t->blocks, x.sequence * t->blocks.stride + j / o->block_tokens);
        row = block * o->block_tokens + j % o->block_tokens;
    }
    if (row >= 0 && row < t->k.rows) return row;
    stream_fail(s, "attention: key %lld of sequence %lld is row %lld of a cache of %lld", (long long)j,
                (long long)x.sequence, (long long)row, (long long)t->k.rows);
    return -1;
}

/* Row `row` of a times row `key` of b, over one head. */
static double head_dot(int head_dim, struct tensor a, int64_t row, int64_t column, struct tensor b, int64_t key,
                       int64_t kv_column) {
    double sum = 0;
    for (int c = 0; c < head_dim; c++) sum += ref_load(a, row, column + c) * ref_load(b, key, kv_column + c);
    return sum;
}

/* The scaled score of row `key` of k. */
static double score_of(const struct attention_options *o, const struct attention_tensors *t, struct query x,
                       int64_t key) {
    return (double)o->scale * head_dot(o->head_dim, t->q, x.row, x.column, t->k, key, x.kv_column);
}

/* A scaled score as it goes into the softmax, and the slope of that by the scaled score. */
static double capped(const struct attention_options *o, double score) {
    return o->softcap > 0 ? (double)o->softcap * tanh(score / (double)o->softcap) : score;
}
static double capped_slope(const struct attention_options *o, double score) {
    double t = o->softcap > 0 ? tanh(score / (double)o->softcap) : 0;
    return 1 - t * t;
}

/* Writes the attention weights of the keys that x sees to p[first..end), before dropout, and the log of the sum of
 * exponentials to lse. False if it sees none (lse is then -inf) or a key is out of range. */
static bool attention_weights(struct stream *s, const struct attention_options *o, const struct attention_tensors *t,
                              struct query x, double *p, double *lse) {
    double max = -INFINITY, sum = 0;
    *lse = -INFINITY;
    for (int64_t j = x.first; j < x.end; j++) {
        int64_t key = key_row(s, o, t, x, j);
        if (key < 0) return false;
        p[j] = capped(o, score_of(o, t, x, key));
        max = fmax(max, p[j]);
    }
    if (x.first >= x.end) return false;
    for (int64_t j = x.first; j < x.end; j++) sum += exp(p[j] - max);
    *lse = max + log(sum);
    for (int64_t j = x.first; j < x.end; j++) p[j] = exp(p[j] - *lse);
    return true;
}

/* What dropout multiplies weight j of x by. */
static double weight_factor(const struct attention_options *o, const struct attention_tensors *t, struct query x,
                            int64_t j) {
    if (!(o->dropout > 0)) return 1;
    return ref_dropout_factor(t->rng, (double)o->dropout, o->dropout_site, x.row * o->n_heads + x.head, j);
}

/* `work` has room for a weight a key, and a head. */
static void query_forward(struct stream *s, const struct attention_options *o, const struct attention_tensors *t,
                          struct query x, double *work) {
    double *sum = work, *p = work + o->head_dim, lse;
    bool sees = attention_weights(s, o, t, x, p, &lse);
    for (int c = 0; c < o->head_dim; c++) sum[c] = 0;
    for (int64_t j = x.first; sees && j < x.end; j++) {
        int64_t key = key_row(s, o, t, x, j);
        double weight = p[j] * weight_factor(o, t, x, j);
        for (int c = 0; c < o->head_dim; c++) sum[c] += weight * ref_load(t->v, key, x.kv_column + c);
    }
    if (s->failed) return;
    for (int c = 0; c < o->head_dim; c++) ref_store(t->out, x.row, x.column + c, sum[c]);
    if (tensor_present(t->lse)) ref_store(t->lse, x.row, x.head, lse);
}

static int64_t longest_sequence(const struct attention_options *o, const struct attention_tensors *t) {
    int64_t longest = 0;
    for (int64_t i = 0; i < o->n_sequences; i++)
        if (ref_integer(t->lengths, i) > longest) longest = ref_integer(t->lengths, i);
    return longest;
}

void ref_attention_forward(struct stream *s, const struct attention_options *o, const struct attention_tensors *t) {
    if (s->failed) return;
    double *work = ref_scratch(s, (size_t)(longest_sequence(o, t) + o->head_dim));
    for (int64_t i = 0; work && i < o->n_sequences; i++)
        for (int64_t r = ref_integer(t->starts, i); r < ref_integer(t->starts, i + 1); r++)
            for (int h = 0; h < o->n_heads; h++) query_forward(s, o, t, query_at(o, t, i, r, h), work);
}

/* Room of a backward pass, in double. */
struct backward_work {
    double *d_k, *d_v; /* [keys, Gd]: sums over all queries */
    double *p, *d_p;   /* [longest]: of one query */
    double *d_q;       /* [d] */
};

/* With p the weights, m the dropout factors and s the scaled (and capped) scores: d_p = m * (d_out . v), and through
 * the softmax d_s[j] = p[j] * (d_p[j] - sum over i of p[i] d_p[i]). The weights are computed again in double, not from
 * `lse`. */
static void query_backward(struct stream *s, const struct attention_options *o, const struct attention_tensors *t,
                           const struct attention_gradients *g, struct query x, struct backward_work w) {
    double lse, mean = 0;
    bool sees = attention_weights(s, o, t, x, w.p, &lse);
    for (int c = 0; c < o->head_dim; c++) w.d_q[c] = 0;
    for (int64_t j = x.first; sees && j < x.end; j++) {
        int64_t key = key_row(s, o, t, x, j);
        double factor = weight_factor(o, t, x, j), *d_v = w.d_v + key * t->v.cols + x.kv_column;
        w.d_p[j] = factor * head_dot(o->head_dim, g->d_out, x.row, x.column, t->v, key, x.kv_column);
        mean += w.p[j] * w.d_p[j];
        for (int c = 0; c < o->head_dim; c++) d_v[c] += w.p[j] * factor * ref_load(g->d_out, x.row, x.column + c);
    }
    for (int64_t j = x.first; sees && j < x.end; j++) {
        int64_t key = key_row(s, o, t, x, j);
        double d_score = (double)o->scale * w.p[j] * (w.d_p[j] - mean), *d_k = w.d_k + key * t->k.cols + x.kv_column;
        d_score *= capped_slope(o, score_of(o, t, x, key));
        for (int c = 0; c < o->head_dim; c++) {
            w.d_q[c] += d_score * ref_load(t->k, key, x.kv_column + c);
            d_k[c] += d_score * ref_load(t->q, x.row, x.column + c);
        }
    }
    for (int c = 0; c < o->head_dim; c++) ref_store(g->d_q, x.row, x.column + c, w.d_q[c]);
}

void ref_attention_backward(struct stream *s, const struct attention_options *o, const struct attention_tensors *t,
                            const struct attention_gradients *g) {
    if (s->failed) return;
    int64_t longest = longest_sequence(o, t), n_keys = t->k.rows * t->k.cols;
    struct backward_work w = {.d_k = ref_scratch(s, (size_t)(2 * n_keys + 2 * longest + o->head_dim))};
    if (!w.d_k) return;
    w.d_v = w.d_k + n_keys;
    w.p = w.d_v + n_keys;
    w.d_p = w.p + longest;
    w.d_q = w.d_p + longest;
    for (int64_t i = 0; i < o->n_sequences; i++)
        for (int64_t r = ref_integer(t->starts, i); r < ref_integer(t->starts, i + 1); r++)
            for (int h = 0; h < o->n_heads; h++) query_backward(s, o, t, g, query_at(o, t, i, r, h), w);
    for (int64_t r = 0; r < t->k.rows && !s->failed; r++)
        for (int64_t c = 0; c < t->k.cols; c++) {
            ref_store(g->d_k, r, c, w.d_k[r * t->k.cols + c]);
            ref_store(g->d_v, r, c, w.d_v[r * t->k.cols + c]);
        }
}
