/* attention.c - flash attention (Dao et al. 2022; backward as in FlashAttention-2): scores live a tile of keys at a time.
 *
 * A task owns one (sequence, key/value head) and all query heads that share it, so that nothing is added by two threads. It
 * packs the keys (and, backward, the values) transposed: scores of VF_LANES keys are then one chain of fused multiply-adds
 * over the head. Queries go in groups of GROUP rows, which share every load; a row's own arithmetic does not depend on its
 * group: key tiles count from key 0, and a tile that a row does not see leaves its state as it is. */
#include <stdlib.h>

#include "base/rng.h"
#include "tensor/cpu/cpu.h"
#include "tensor/cpu/isa/kernels.h"
#include "tensor/cpu/isa/simd.h"

#define GROUP 4
#define TILE ATTENTION_KEY_TILE
#define TILE_VECTORS (TILE / VF_LANES)

struct attention {
    struct stream *stream;
    const struct attention_options *o;
    const struct attention_tensors *t;
    const struct attention_gradients *g; /* NULL: forward */
    int width;                           /* head_dim, padded to whole vectors */
};

/* One (sequence, key/value head), packed. Rows are `width` floats, transposed ones `keys_padded`. */
struct packed {
    int64_t first_row, n_rows; /* queries */
    int64_t n_keys, keys_padded;
    float *k, *v;              /* [keys_padded][width] */
    float *k_turned, *v_turned; /* [width][keys_padded]; v_turned backward only */
    float *dk, *dv;            /* [keys_padded][width], backward only */
    float *q, *out, *d_out, *dq; /* [GROUP][width] */
};

static size_t packed_floats(const struct attention *a) {
    size_t keys = ((size_t)a->o->max_length + TILE - 1) / TILE * TILE, width = (size_t)a->width;
    return keys * width * (a->g ? 6 : 3) + 4 * GROUP * width + 64;
}

static void lay_out(const struct attention *a, struct packed *p, float *memory) {
    size_t block = (size_t)p->keys_padded * (size_t)a->width, rows = (size_t)GROUP * (size_t)a->width;
    float **all[] = {&p->k, &p->v, &p->k_turned, &p->v_turned, &p->dk, &p->dv};
    for (int i = 0; i < (a->g ? 6 : 3); i++, memory += block) *all[i] = memory;
    p->q = memory;
    p->out = memory + rows;
    p->d_out = memory + 2 * rows;
    p->dq = memory + 3 * rows;
}

static int64_t key_row(const struct attention *a, int seq, int64_t first_row, int64_t j) {
    if (!tensor_present(a->t->blocks)) return first_row + j;
    const int32_t *blocks = (const int32_t *)a->t->blocks.data + (int64_t)seq * a->t->blocks.stride;
    return (int64_t)blocks[j / a->o->block_tokens] * a->o->block_tokens + j % a->o->block_tokens;
}

static void load_row(const struct attention *a, struct tensor t, int64_t row, int head, float *out) {
    int d = a->o->head_dim;
    int64_t at = row * t.stride + (int64_t)head * d;
    if (t.dtype == DTYPE_F32) memcpy(out, (const float *)t.data + at, (size_t)d * sizeof *out);
    else
        for (int i = 0; i < d; i++) {
            uint16_t half = ((const uint16_t *)t.data)[at + i];
            out[i] = t.dtype == DTYPE_BF16 ? bf16_to_f32(half) : f16_to_f32(half);
        }
    for (int i = d; i < a->width; i++) out[i] = 0;
}

static void turn(const float *rows, int64_t n_rows, int width, float *out) {
    for (int64_t r = 0; r < n_rows; r += 16) /* 16 rows: whole cache lines of the output */
        for (int c = 0; c < width; c++)
            for (int64_t i = r; i < r + 16; i++) out[c * n_rows + i] = rows[i * width + c];
}

static bool pack_keys(const struct attention *a, int task, int worker, struct packed *p, int *kv_head) {
    const int32_t *starts = a->t->starts.data, *lengths = a->t->lengths.data;
    int seq = task / a->o->n_kv_heads;
    *kv_head = task % a->o->n_kv_heads;
    *p = (struct packed){.first_row = starts[seq], .n_rows = starts[seq + 1] - starts[seq], .n_keys = lengths[seq]};
    p->keys_padded = (p->n_keys + TILE - 1) / TILE * TILE;
    if (p->n_rows == 0) return false;
    lay_out(a, p, cpu_scratch_own(a->stream, worker));
    size_t block = (size_t)p->keys_padded * (size_t)a->width * sizeof(float);
    for (int64_t j = 0; j < p->n_keys; j++) {
        int64_t row = key_row(a, seq, p->first_row, j);
        load_row(a, a->t->k, row, *kv_head, p->k + j * a->width);
        load_row(a, a->t->v, row, *kv_head, p->v + j * a->width);
    }
    size_t used = (size_t)p->n_keys * (size_t)a->width * sizeof(float);
    memset((char *)p->k + used, 0, block - used);
    memset((char *)p->v + used, 0, block - used);
    turn(p->k, p->keys_padded, a->width, p->k_turned);
    if (a->g) {
        turn(p->v, p->keys_padded, a->width, p->v_turned);
        memset(p->dk, 0, block);
        memset(p->dv, 0, block);
    }
    return true;
}

/* out[r][keys of the tile] = rows[r] . columns of `turned`, for GROUP rows. */
static inline void tile_products(const float *rows, const float *turned, int64_t stride, int64_t tile, int width,
                                 float out[GROUP][TILE]) {
    for (int v = 0; v < TILE_VECTORS; v++) {
        vf acc[GROUP];
#pragma GCC unroll 4
        for (int r = 0; r < GROUP; r++) acc[r] = vf_set(0);
        const float *column = turned + tile * TILE + v * VF_LANES;
        for (int c = 0; c < width; c++) {
            vf x = vf_load(column + c * stride);
#pragma GCC unroll 4
            for (int r = 0; r < GROUP; r++) acc[r] = vf_fma(vf_set(rows[r * width + c]), x, acc[r]);
        }
#pragma GCC unroll 4
        for (int r = 0; r < GROUP; r++) vf_store(&out[r][v * VF_LANES], acc[r]);
    }
}

/* Keys [low, high) of the tile that a query at `position` sees. */
static inline void visible(const struct attention *a, int64_t position, int64_t n_keys, int64_t tile, int *low, int *high) {
    int64_t first = a->o->window > 0 && position >= a->o->window ? position - a->o->window + 1 : 0;
    int64_t last = position + 1 < n_keys ? position + 1 : n_keys;
    int64_t from = first - tile * TILE, to = last - tile * TILE;
    *low = from < 0 ? 0 : from > TILE ? TILE : (int)from;
    *high = to < 0 ? 0 : to > TILE ? TILE : (int)to;
    if (*high < *low) *high = *low;
}

/* Factor of one attention weight under dropout. */
static float dropout_factor(const struct attention *a, int64_t row, int head, int64_t key) {
    const int64_t *rng = a->t->rng.data;
    uint64_t seed = (uint64_t)rng[0];
    uint32_t counter[4] = {(uint32_t)(key / 4), (uint32_t)(row * a->o->n_heads + head), a->o->dropout_site, (uint32_t)rng[1]};
    uint32_t seed_words[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, words[4];
    philox4x32(counter, seed_words, words);
    return words[key % 4] * 0x1p-32 < (double)a->o->dropout ? 0 : 1 / (1 - a->o->dropout);
}

/* ---- forward ---------------------------------------------------------------------------------------------------------- */

struct softmax_state {
    float max, sum;
};

/* Turns a row of products into weights, moves the state on, returns what the output so far is multiplied by. */
static inline float softmax_tile(const struct attention *a, struct softmax_state *s, float *row, int low, int high) {
    vf most = vf_set(-INFINITY), sum = vf_set(0);
    for (int i = 0; i < TILE; i++) row[i] = i >= low && i < high ? row[i] * a->o->scale : -INFINITY;
    if (low >= high) {
        memset(row, 0, TILE * sizeof *row);
        return 1;
    }
    for (int v = 0; v < TILE_VECTORS; v++) most = vf_max(most, vf_load(row + v * VF_LANES));
    float max = vf_largest(most);
    if (max < s->max) max = s->max;
    for (int v = 0; v < TILE_VECTORS; v++) {
        vf p = vf_exp(vf_load(row + v * VF_LANES) - vf_set(max));
        vf_store(row + v * VF_LANES, p);
        sum = sum + p;
    }
    float factor = s->max == -INFINITY ? 0 : vf_exp(vf_set(s->max - max))[0];
    s->sum = s->sum * factor + vf_sum(sum);
    s->max = max;
    return factor;
}

/* rows[r] = rows[r] * factor[r] + weights[r] by the tile's rows of `x`, for GROUP rows. */
static inline void add_weighted(float *rows, const float *factor, float weights[GROUP][TILE], const float *x, int high,
                                int width) {
    for (int c = 0; c < width; c += VF_LANES) {
        vf acc[GROUP];
#pragma GCC unroll 4
        for (int r = 0; r < GROUP; r++) acc[r] = vf_load(rows + r * width + c) * vf_set(factor[r]);
        for (int k = 0; k < high; k++) {
            vf value = vf_load(x + (int64_t)k * width + c);
#pragma GCC unroll 4
            for (int r = 0; r < GROUP; r++) acc[r] = vf_fma(vf_set(weights[r][k]), value, acc[r]);
        }
#pragma GCC unroll 4
        for (int r = 0; r < GROUP; r++) vf_store(rows + r * width + c, acc[r]);
    }
}

/* Loads GROUP query rows from `first` on; rows past the end repeat the last one and are not stored. */
static int load_group(const struct attention *a, const struct packed *p, int64_t first, struct tensor t, int head, float *out) {
    int n = p->n_rows - first < GROUP ? (int)(p->n_rows - first) : GROUP;
    for (int r = 0; r < GROUP; r++) load_row(a, t, p->first_row + first + (r < n ? r : n - 1), head, out + r * a->width);
    return n;
}

static int64_t position_of(const struct attention *a, const struct packed *p, int64_t first, int n, int r) {
    return ((const int32_t *)a->t->positions.data)[p->first_row + first + (r < n ? r : n - 1)];
}

static int64_t tiles_of_group(const struct attention *a, const struct packed *p, int64_t first, int n) {
    int64_t last = 0;
    for (int r = 0; r < n; r++) {
        int64_t position = position_of(a, p, first, n, r);
        if (position > last) last = position;
    }
    if (last >= p->n_keys) last = p->n_keys - 1;
    return last < 0 ? 0 : last / TILE + 1;
}

static void store_group(const struct attention *a, const struct packed *p, int64_t first, int n, int head,
                        const struct softmax_state *s) {
    int d = a->o->head_dim;
    for (int r = 0; r < n; r++) {
        int64_t row = p->first_row + first + r;
        float *out = (float *)a->t->out.data + row * a->t->out.stride + (int64_t)head * d;
        float inverse = s[r].sum > 0 ? 1 / s[r].sum : 0; /* a query that sees no key: 0, and lse -inf */
        for (int c = 0; c < d; c++) out[c] = p->out[r * a->width + c] * inverse;
        if (tensor_present(a->t->lse))
            ((float *)a->t->lse.data)[row * a->t->lse.stride + head] =
                s[r].sum > 0 ? s[r].max + logf(s[r].sum) : -INFINITY;
    }
}

static void forward_group(const struct attention *a, const struct packed *p, int64_t first, int head) {
    int n = load_group(a, p, first, a->t->q, head, p->q);
    int64_t tiles = tiles_of_group(a, p, first, n);
    struct softmax_state state[GROUP];
    for (int r = 0; r < GROUP; r++) state[r] = (struct softmax_state){-INFINITY, 0};
    memset(p->out, 0, (size_t)GROUP * (size_t)a->width * sizeof(float));
    for (int64_t tile = 0; tile < tiles; tile++) {
        float weights[GROUP][TILE], factor[GROUP];
        int most = 0;
        tile_products(p->q, p->k_turned, p->keys_padded, tile, a->width, weights);
        for (int r = 0; r < GROUP; r++) {
            int low, high;
            visible(a, position_of(a, p, first, n, r), p->n_keys, tile, &low, &high);
            factor[r] = softmax_tile(a, &state[r], weights[r], low, high);
            if (high > most) most = high;
            for (int k = low; a->o->dropout > 0 && r < n && k < high; k++)
                weights[r][k] *= dropout_factor(a, p->first_row + first + r, head, tile * TILE + k);
        }
        add_weighted(p->out, factor, weights, p->v + tile * TILE * a->width, most, a->width);
    }
    store_group(a, p, first, n, head, state);
}

static void forward_task(void *context, int task, int worker) {
    const struct attention *a = context;
    struct packed p;
    int kv_head, heads = a->o->n_heads / a->o->n_kv_heads;
    if (!pack_keys(a, task, worker, &p, &kv_head)) return;
    for (int h = 0; h < heads; h++)
        for (int64_t first = 0; first < p.n_rows; first += GROUP) forward_group(a, &p, first, kv_head * heads + h);
}

/* ---- backward --------------------------------------------------------------------------------------------------------- */

/* What backward needs of each row of the group besides q and d_out. */
struct row_facts {
    float lse[GROUP], dot[GROUP]; /* dot = d_out . out */
    int64_t position[GROUP];
    int n;
};

static void load_facts(const struct attention *a, const struct packed *p, int64_t first, int head, struct row_facts *f) {
    load_group(a, p, first, a->g->d_out, head, p->d_out);
    f->n = load_group(a, p, first, a->t->out, head, p->out);
    for (int r = 0; r < GROUP; r++) {
        int64_t row = p->first_row + first + (r < f->n ? r : f->n - 1);
        vf sum = vf_set(0); /* summed as tile_products does: where out is one value's row, the difference is then exactly 0 */
        for (int c = 0; c < a->width; c++)
            sum = vf_fma(vf_set(p->d_out[r * a->width + c]), vf_set(p->out[r * a->width + c]), sum);
        f->dot[r] = sum[0];
        f->lse[r] = ((const float *)a->t->lse.data)[row * a->t->lse.stride + head];
        f->position[r] = position_of(a, p, first, f->n, r);
    }
}

/* weights = softmax of the products (with dropout), scores' gradients in `slopes` (which holds d_out . v beforehand). */
static void slopes_of_tile(const struct attention *a, const struct packed *p, const struct row_facts *f, int64_t first,
                           int head, int64_t tile, float weights[GROUP][TILE], float slopes[GROUP][TILE], int *most) {
    *most = 0;
    for (int r = 0; r < GROUP; r++) {
        int low = 0, high = 0;
        if (r < f->n) visible(a, f->position[r], p->n_keys, tile, &low, &high);
        if (high > *most && high > low) *most = high;
        for (int v = 0; v < TILE_VECTORS; v++) {
            float *w = &weights[r][v * VF_LANES];
            vf x = vf_exp(vf_load(w) * vf_set(a->o->scale) - vf_set(f->lse[r]));
            vf_store(w, x);
        }
        for (int k = 0; k < TILE; k++) {
            bool seen = k >= low && k < high;
            float drop = seen && a->o->dropout > 0 ? dropout_factor(a, p->first_row + first + r, head, tile * TILE + k) : 1;
            float weight = seen ? weights[r][k] : 0;
            slopes[r][k] = seen ? weight * (slopes[r][k] * drop - f->dot[r]) * a->o->scale : 0;
            weights[r][k] = weight * drop;
        }
    }
}

/* sums[k] += weights[r][k] * rows[r], rows in ascending order, for the tile's keys. */
static inline void add_outer(float *sums, float weights[GROUP][TILE], const float *rows, int high, int width) {
    for (int c = 0; c < width; c += VF_LANES) {
        vf row[GROUP];
#pragma GCC unroll 4
        for (int r = 0; r < GROUP; r++) row[r] = vf_load(rows + r * width + c);
        for (int k = 0; k < high; k++) {
            float *to = sums + (int64_t)k * width + c;
            vf acc = vf_load(to);
#pragma GCC unroll 4
            for (int r = 0; r < GROUP; r++) acc = vf_fma(vf_set(weights[r][k]), row[r], acc);
            vf_store(to, acc);
        }
    }
}

static void backward_group(const struct attention *a, const struct packed *p, int64_t first, int head) {
    static const float ones[GROUP] = {1, 1, 1, 1};
    struct row_facts f;
    load_group(a, p, first, a->t->q, head, p->q);
    load_facts(a, p, first, head, &f);
    memset(p->dq, 0, (size_t)GROUP * (size_t)a->width * sizeof(float));
    int64_t tiles = tiles_of_group(a, p, first, f.n);
    for (int64_t tile = 0; tile < tiles; tile++) {
        float weights[GROUP][TILE], slopes[GROUP][TILE];
        int most;
        tile_products(p->q, p->k_turned, p->keys_padded, tile, a->width, weights);
        tile_products(p->d_out, p->v_turned, p->keys_padded, tile, a->width, slopes);
        slopes_of_tile(a, p, &f, first, head, tile, weights, slopes, &most);
        int64_t at = tile * TILE * a->width;
        add_weighted(p->dq, ones, slopes, p->k + at, most, a->width);
        add_outer(p->dk + at, slopes, p->q, most, a->width);
        add_outer(p->dv + at, weights, p->d_out, most, a->width);
    }
    for (int r = 0; r < f.n; r++)
        memcpy((float *)a->g->d_q.data + (p->first_row + first + r) * a->g->d_q.stride + (int64_t)head * a->o->head_dim,
               p->dq + r * a->width, (size_t)a->o->head_dim * sizeof(float));
}

static void backward_task(void *context, int task, int worker) {
    const struct attention *a = context;
    struct packed p;
    int kv_head, heads = a->o->n_heads / a->o->n_kv_heads, d = a->o->head_dim;
    if (!pack_keys(a, task, worker, &p, &kv_head)) return;
    for (int h = 0; h < heads; h++)
        for (int64_t first = 0; first < p.n_rows; first += GROUP) backward_group(a, &p, first, kv_head * heads + h);
    for (int64_t j = 0; j < p.n_keys; j++) {
        int64_t row = p.first_row + j;
        memcpy((float *)a->g->d_k.data + row * a->g->d_k.stride + (int64_t)kv_head * d, p.dk + j * a->width, (size_t)d * sizeof(float));
        memcpy((float *)a->g->d_v.data + row * a->g->d_v.stride + (int64_t)kv_head * d, p.dv + j * a->width, (size_t)d * sizeof(float));
    }
}

static void run_attention(struct stream *s, const struct attention_options *o, const struct attention_tensors *t,
                          const struct attention_gradients *g) {
    struct attention a = {s, o, t, g, (o->head_dim + VF_LANES - 1) / VF_LANES * VF_LANES};
    if (s->failed || !cpu_scratch_reserve(s, packed_floats(&a) * sizeof(float))) return;
    thread_pool_run(s->pool, o->n_sequences * o->n_kv_heads, g ? backward_task : forward_task, &a);
}

void ISA_NAME(cpu_attention_forward)(struct stream *s, const struct attention_options *o,
                                     const struct attention_tensors *t) {
    run_attention(s, o, t, NULL);
}

void ISA_NAME(cpu_attention_backward)(struct stream *s, const struct attention_options *o,
                                      const struct attention_tensors *t, const struct attention_gradients *g) {
    run_attention(s, o, t, g);
}
