/* attention.c - flash attention (Dao et al. 2022; backward as in FlashAttention-2): scores live a tile of keys at a
 * time.
 *
 * A task owns one (sequence, key/value head) with all query heads that share it - forward perhaps only some of its rows
 * - so that nothing is added by two threads. It packs keys and values into panels, then takes its queries in blocks:
 * every product of a block of queries with a tile of keys is a small matrix product by the micro-kernel of matmul.
 *
 * Queries are multiplied by the scale and by log2(e) when they are loaded, so that weights are powers of 2. Where
 * scores are capped, that is a pass over a tile's scores before their softmax.
 *
 * A query's own arithmetic does not depend on its block: key tiles count from key 0, scores and weighted sums are
 * chains of fused multiply-adds over the head and over the keys, a tile that a query does not see leaves its state as
 * it is. */
#include "tensor/cpu/cpu.h"
#include "tensor/cpu/isa/kernels.h"
#include "tensor/cpu/isa/pack.h"
#include "tensor/cpu/isa/random.h"

#define TILE ATTENTION_KEY_TILE
/* Queries of a block, multiples of TILE_ROWS: many share the loads of a tile; backward has more in the first-level
 * cache. */
#define FORWARD_QUERIES 72
#define BACKWARD_QUERIES 24
#define QUERIES FORWARD_QUERIES /* that there is room for */
#define VECTORS 2
#define PANEL (VECTORS * VF_LANES)
_Static_assert(PANEL % TILE_ROWS == 0 || PANEL % TILE_ROWS == 4, "what add_outer expects of whole panels");
_Static_assert(FORWARD_QUERIES % TILE_ROWS == 0 && BACKWARD_QUERIES % TILE_ROWS == 0 && TILE % PANEL == 0,
               "whole tiles and panels");

struct attention {
    struct stream *stream;
    const struct attention_options *o;
    const struct attention_tensors *t;
    const struct attention_gradients *g; /* NULL: forward */
    int width;                           /* head_dim, padded to whole panels */
    int chunks, chunk_rows;              /* a sequence's query rows are cut into so many tasks */
};

#define LOG2_E 1.44269504088896341f
#define LN_2 0.69314718055994531f

/* Keys [low, high). */
struct keys {
    int64_t low, high;
};

/* A query of a block: its row and head, and the keys that it sees. */
struct query {
    int64_t row;
    int head;
    struct keys seen;
};

/* One (sequence, key/value head), packed from key `first_key` (a whole tile) on. Panels of a tile lie one after the
 * other. */
struct packed {
    int seq, kv_head;
    int64_t first_row, n_rows;  /* queries of this task */
    int64_t first_key, n_keys;  /* keys from the first tile that any query sees, and the end of all keys */
    float *k_turned, *v_turned; /* [panel of keys][head_dim][PANEL]; v_turned backward only */
    float *k, *v;               /* [tile][panel of the head][TILE][PANEL]; k backward only, v forward only */
    float *dk, *dv;             /* [keys][width], backward only */
    float *gathered;            /* [TILE][width]: rows that do not lie in order or are not floats */
    /* of the block of queries: */
    float *q, *out, *d_out, *dq; /* [QUERIES][width] */
    float *weights, *slopes;     /* [QUERIES][TILE] */
    struct query queries[QUERIES];
    struct keys seen[QUERIES / TILE_ROWS], seen_by_any; /* by the queries of each tile of rows, and by all */
    int n; /* those after it stand in for missing ones: they repeat the last and are not stored */
};

/* ---- memory ---------------------------------------------------------------------------------- */

static int64_t tiles_up(int64_t n) { return (n + TILE - 1) / TILE; }

static size_t packed_floats(const struct attention *a) {
    size_t keys = (size_t)tiles_up(a->o->max_length) * TILE, width = (size_t)a->width;
    return keys * width * (a->g ? 5 : 2) + TILE * width + 4 * (QUERIES + TILE_ROWS) * width + 2 * QUERIES * TILE + SIDE;
}

static void lay_out(const struct attention *a, struct packed *p, float *memory) {
    size_t block = (size_t)tiles_up(p->n_keys - p->first_key) * TILE * (size_t)a->width,
           rows = (QUERIES + TILE_ROWS) * (size_t)a->width;
    float **forward[] = {&p->k_turned, &p->v}, **backward[] = {&p->k_turned, &p->v_turned, &p->k, &p->dk, &p->dv};
    for (int i = 0; i < (a->g ? 5 : 2); i++, memory += block) *(a->g ? backward : forward)[i] = memory;
    p->gathered = memory;
    memory += TILE * (size_t)a->width;
    float **queries[] = {&p->q, &p->out, &p->d_out, &p->dq};
    for (int i = 0; i < 4; i++, memory += rows) *queries[i] = memory;
    p->weights = memory;
    p->slopes = memory + QUERIES * TILE;
}

/* ---- packing --------------------------------------------------------------------------------- */

static int64_t key_row(const struct attention *a, int seq, int64_t j) {
    if (!tensor_present(a->t->blocks)) return ((const int32_t *)a->t->starts.data)[seq] + j;
    const int32_t *blocks = (const int32_t *)a->t->blocks.data + (int64_t)seq * a->t->blocks.stride;
    return (int64_t)blocks[j / a->o->block_tokens] * a->o->block_tokens + j % a->o->block_tokens;
}

/* A head of n rows from `row` on, F32, times `scale`, as rows of the padded width with zeros at the end. Rows of a head
 * are far apart and few lines long, which the hardware does not foresee: those that come `ahead` rows later are
 * fetched. */
static void load_rows(const struct attention *a, struct tensor t, int64_t row, int head, int n, int ahead, float scale,
                      float *out) {
    int d = a->o->head_dim, whole = d / VF_LANES * VF_LANES, width = a->width;
    const float *x = (const float *)t.data + row * t.stride + (int64_t)head * d;
    int64_t left = t.rows - row - ahead, n_fetched = left < n ? left : n;
    for (int i = 0; i < n_fetched; i++)
        for (int c = 0; c < d; c += 16) __builtin_prefetch(x + (i + ahead) * t.stride + c);
    for (int i = 0; i < n; i++, x += t.stride, out += width) {
        for (int c = 0; c < whole; c += VF_LANES) vf_store(out + c, vf_load(x + c) * vf_set(scale));
        for (int c = whole; c < width; c += VF_LANES)
            vf_store(out + c, vf_load_part(x + c, d > c ? d - c : 0, 0) * vf_set(scale));
    }
}

/* A head of a row of a cache, as floats; zeros up to the padded width. */
static void load_cached(const struct attention *a, struct tensor t, int64_t row, int head, float *out) {
    int64_t at = row * t.stride + (int64_t)head * a->o->head_dim;
    enum source source = t.dtype == DTYPE_BF16 ? SOURCE_BF16 : t.dtype == DTYPE_F16 ? SOURCE_F16 : SOURCE_F32;
    if (source == SOURCE_F32) load_rows(a, t, row, head, 1, 0, 1, out);
    for (int c = 0; source != SOURCE_F32 && c < a->width; c++)
        out[c] = c < a->o->head_dim ? source_one(source, t.data, at + c) : 0;
}

/* A tile's rows of k or v: where they lie, if they lie there as floats, one after the other; or gathered. */
static const float *tile_rows(const struct attention *a, const struct packed *p, struct tensor t, int64_t tile, int n,
                              int64_t *stride) {
    int64_t first = tile * TILE;
    *stride = t.stride;
    if (t.dtype == DTYPE_F32 && !tensor_present(a->t->blocks))
        return (const float *)t.data + key_row(a, p->seq, first) * t.stride + (int64_t)p->kv_head * a->o->head_dim;
    *stride = a->width;
    for (int i = 0; i < n; i++)
        load_cached(a, t, key_row(a, p->seq, first + i), p->kv_head, p->gathered + i * a->width);
    return p->gathered;
}

/* Panels of keys: for each number of the head, PANEL keys side by side. */
static void pack_turned_tile(const struct attention *a, const float *rows, int64_t stride, int n, float *out) {
    int d = a->o->head_dim;
    for (int i = 0; i < n; i += PANEL)
        pack_turned(SOURCE_F32, rows, i * stride, stride, n - i < PANEL ? n - i : PANEL, PANEL, d, out + i * d);
}

/* Panels of the head: for each key, PANEL numbers of it. Keys that are missing are 0. */
static void pack_straight_tile(const struct attention *a, const float *rows, int64_t stride, int n, float *out) {
    int d = a->o->head_dim;
    for (int c = 0; c < d; c += PANEL, out += TILE * PANEL) {
        pack_straight(SOURCE_F32, rows, c, stride, d - c < PANEL ? d - c : PANEL, PANEL, n, out);
        memset(out + n * PANEL, 0, (size_t)(TILE - n) * PANEL * sizeof *out);
    }
}

static void pack_keys(const struct attention *a, struct packed *p) {
    for (int64_t tile = p->first_key / TILE; tile * TILE < p->n_keys; tile++) {
        int64_t at = (tile * TILE - p->first_key) * a->width, stride;
        int n = p->n_keys - tile * TILE < TILE ? (int)(p->n_keys - tile * TILE) : TILE;
        const float *rows = tile_rows(a, p, a->t->k, tile, n, &stride);
        pack_turned_tile(a, rows, stride, n, p->k_turned + at);
        if (a->g) pack_straight_tile(a, rows, stride, n, p->k + at);
        rows = tile_rows(a, p, a->t->v, tile, n, &stride);
        if (a->g)
            pack_turned_tile(a, rows, stride, n, p->v_turned + at);
        else
            pack_straight_tile(a, rows, stride, n, p->v + at);
    }
}

/* Keys that the query of a row sees. */
static struct keys visible(const struct attention *a, int64_t row, int64_t n_keys) {
    int64_t position = ((const int32_t *)a->t->positions.data)[row];
    if (tensor_present(a->t->wanted) && !((const int32_t *)a->t->wanted.data)[row]) return (struct keys){0, 0};
    struct keys k = {0, position + 1 < n_keys ? position + 1 : n_keys};
    if (a->o->window > 0 && position >= a->o->window) k.low = position - a->o->window + 1;
    if (k.high < 0) k.high = 0;
    if (k.low > k.high) k.low = k.high;
    return k;
}

/* The least range that holds both; a range without keys counts for nothing. */
static struct keys join(struct keys a, struct keys b) {
    if (a.low >= a.high) return b;
    if (b.low >= b.high) return a;
    return (struct keys){a.low < b.low ? a.low : b.low, a.high > b.high ? a.high : b.high};
}

/* False where the task has no queries. */
static bool begin_task(const struct attention *a, int task, int worker, struct packed *p) {
    const int32_t *starts = a->t->starts.data, *lengths = a->t->lengths.data;
    int chunk = task % a->chunks;
    *p = (struct packed){.kv_head = task / a->chunks % a->o->n_kv_heads, .seq = task / a->chunks / a->o->n_kv_heads};
    int64_t end = starts[p->seq + 1];
    p->first_row = starts[p->seq] + (int64_t)chunk * a->chunk_rows;
    if (p->first_row + a->chunk_rows < end) end = p->first_row + a->chunk_rows;
    p->n_rows = end - p->first_row;
    if (p->n_rows <= 0) return false;
    struct keys all = {0, 0};
    for (int64_t r = p->first_row; r < end; r++) all = join(all, visible(a, r, lengths[p->seq]));
    if (a->g) all = (struct keys){0, lengths[p->seq]}; /* backward writes gradients of all keys */
    p->n_keys = all.high;
    p->first_key = all.low / TILE * TILE;
    lay_out(a, p, cpu_scratch_own(a->stream, worker));
    pack_keys(a, p);
    return true;
}

/* ---- blocks of queries ----------------------------------------------------------------------- */

/* Queries of a block and what stands in for missing ones: whole tiles of rows. */
static int filled_up(const struct packed *p) { return (p->n + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS; }

static int64_t n_queries(const struct attention *a, const struct packed *p) {
    return a->o->n_heads / a->o->n_kv_heads * p->n_rows;
}

/* The rows of a block in t, a head a run: rows follow each other within a head. Then the last again, to
 * fill its tile. */
static void load_queries(const struct attention *a, const struct packed *p, struct tensor t, float scale, float *out) {
    int size = a->g ? BACKWARD_QUERIES : FORWARD_QUERIES, n;
    for (int i = 0; i < p->n; i += n) {
        const struct query *q = &p->queries[i];
        int64_t left = p->first_row + p->n_rows - q->row;
        n = left < p->n - i ? (int)left : p->n - i;
        load_rows(a, t, q->row, q->head, n, size, scale, out + i * a->width);
    }
    for (int i = p->n; i < filled_up(p); i++)
        memcpy(out + i * a->width, out + (p->n - 1) * a->width, (size_t)a->width * sizeof *out);
}

/* Queries are numbered head by head, in a head row by row. The last tile of rows is filled up. */
static void begin_block(const struct attention *a, struct packed *p, int64_t first) {
    int size = a->g ? BACKWARD_QUERIES : FORWARD_QUERIES, group = a->o->n_heads / a->o->n_kv_heads;
    int64_t left = n_queries(a, p) - first, head = first / p->n_rows, row = first % p->n_rows;
    p->n = left < size ? (int)left : size;
    for (int i = 0; i < filled_up(p); i++) {
        int64_t at = p->first_row + row;
        p->queries[i] = (struct query){at, p->kv_head * group + (int)head, visible(a, at, p->n_keys)};
        if (i + 1 < p->n && ++row == p->n_rows) {
            row = 0;
            head++;
        }
    }
    p->seen_by_any = (struct keys){0, 0};
    for (int i = 0; i < p->n; i += TILE_ROWS) {
        struct keys *seen = &p->seen[i / TILE_ROWS];
        *seen = p->queries[i].seen;
        for (int r = 1; r < TILE_ROWS; r++) *seen = join(*seen, p->queries[i + r].seen);
        p->seen_by_any = join(p->seen_by_any, *seen);
    }
    load_queries(a, p, a->t->q, a->o->scale * LOG2_E, p->q);
}

/* The part of a range that lies in a tile, counted from the tile's first key; 0 to 0 where there is none. */
struct span {
    int low, high;
};
static inline struct span span_in(struct keys k, int64_t tile) {
    int64_t low = k.low - tile * TILE, high = k.high - tile * TILE;
    if (low < 0) low = 0;
    if (high > TILE) high = TILE;
    return high > low ? (struct span){(int)low, (int)high} : (struct span){0, 0};
}

_Static_assert(RANDOM_WORDS == TILE, "dropout takes a tile at a time");

/* Factors of a query's weights of a tile under dropout. */
static void drop_factors(const struct attention *a, const struct query *q, int64_t tile, float factors[TILE]) {
    uint32_t row = (uint32_t)(q->row * a->o->n_heads + q->head);
    dropout_factors(a->t->rng.data, a->o->dropout, a->o->dropout_site, row, tile * TILE, factors);
}

/* ---- small products -------------------------------------------------------------------------- */

enum start { START_ZERO, START_OUT, START_OUT_SCALED }; /* what the sums begin with: 0, out, factor[r] * out */

/* out[r][PANEL] = start + a b; element (r, k) of a is a[r * row + k * step], rows of b are b_step apart. */
INLINE void small_product(enum start start, const float *factor, const float *a, int64_t row, int64_t step,
                          const float *b, int64_t b_step, int64_t depth, float *out, int64_t stride, const int rows) {
    tile_sums sums;
    UNROLL
    for (int r = 0; r < rows; r++) UNROLL
    for (int v = 0; v < VECTORS; v++) {
        sums[r][v] = vf_set(0);
        if (start != START_ZERO) sums[r][v] = vf_load(out + r * stride + v * VF_LANES);
        if (start == START_OUT_SCALED) sums[r][v] = sums[r][v] * vf_set(factor[r]);
    }
    tile_multiply(sums, a, row, step, b, b_step, depth, rows, VECTORS);
    UNROLL
    for (int r = 0; r < rows; r++) UNROLL
    for (int v = 0; v < VECTORS; v++) vf_store(out + r * stride + v * VF_LANES, sums[r][v]);
}

/* scores[r][keys of the span's panels] = rows by the tile's turned panels. */
static void score_products(const struct attention *a, const float *rows, const float *turned, struct span s,
                           float *scores) {
    int d = a->o->head_dim;
    for (int k = s.low / PANEL * PANEL; k < s.high; k += PANEL)
        small_product(START_ZERO, NULL, rows, a->width, 1, turned + k * d, PANEL, d, scores + k, TILE, TILE_ROWS);
}

/* Scores of TILE_ROWS queries, in the span's vectors, capped; they are to base 2, and so is the cap. */
static void cap_scores(const struct attention *a, float *scores, struct span s) {
    vf cap = vf_set(a->o->softcap * LOG2_E), inverse = vf_set(1 / (a->o->softcap * LOG2_E));
    for (int r = 0; r < TILE_ROWS; r++, scores += TILE)
        for (int k = s.low / VF_LANES * VF_LANES; k < s.high; k += VF_LANES)
            vf_store(scores + k, vf_softcap(vf_load(scores + k), cap, inverse));
}

/* out[r] = start + weights[r] by the span's keys, whose panels of the head are in `x`. */
INLINE void weighted_sums(const struct attention *a, enum start start, const float *factor, const float *weights,
                          const float *x, struct span s, float *out) {
    for (int c = 0; c < a->width; c += PANEL, x += TILE * PANEL)
        small_product(start, factor, weights + s.low, TILE, 1, x + s.low * PANEL, PANEL, s.high - s.low, out + c,
                      a->width, TILE_ROWS);
}

/* ---- forward --------------------------------------------------------------------------------- */

struct softmax_state {
    float max, sum;
};

/* Lanes of vector v of a tile's row that lie in [low, high). */
static inline vi lanes_between(int v, int low, int high) {
    vi lanes = vf_lanes() + v * VF_LANES;
    return (lanes >= low) & (lanes < high);
}

/* x in the keys of vectors [first, end) of a tile's row that lie outside a span. */
static inline void fill_outside(float *row, int first, int end, struct span s, float x) {
    for (int v = first; v * VF_LANES < s.low; v++)
        vf_store(row + v * VF_LANES,
                 vf_choose(lanes_between(v, s.low, s.high), vf_load(row + v * VF_LANES), vf_set(x)));
    for (int v = s.high / VF_LANES; v < end; v++)
        vf_store(row + v * VF_LANES,
                 vf_choose(lanes_between(v, s.low, s.high), vf_load(row + v * VF_LANES), vf_set(x)));
}

/* Turns a row of scores into weights, moves the state on, returns what the output so far is multiplied by. The row is
 * read and written where the span `all` goes, which holds `seen`. A key that is not seen adds 2^-126 to a sum of at
 * least 1: nothing. */
static inline float softmax_row(struct softmax_state *s, float *row, struct span seen, struct span all) {
    int first = all.low / VF_LANES, end = (all.high + VF_LANES - 1) / VF_LANES;
    if (seen.high == 0) {
        memset(row + first * VF_LANES, 0, (size_t)(end - first) * VF_LANES * sizeof *row);
        return 1;
    }
    vf most = vf_set(-INFINITY), sum = vf_set(0);
    fill_outside(row, first, end, seen, -INFINITY);
    for (int v = first; v < end; v++) most = vf_max(most, vf_load(row + v * VF_LANES));
    float max = vf_larger(vf_largest(most), s->max);
    for (int v = first; v < end; v++) {
        vf p = vf_exp2(vf_load(row + v * VF_LANES) - vf_set(max));
        vf_store(row + v * VF_LANES, p);
        sum = sum + p;
    }
    fill_outside(row, first, end, seen, 0);
    float factor = s->max == max ? 1 : s->max == -INFINITY ? 0 : vf_exp2(vf_set(s->max - max))[0];
    s->sum = s->sum * factor + vf_sum(sum);
    s->max = max;
    return factor;
}

static void drop_weights(const struct attention *a, const struct query *q, int64_t tile, struct span s, float *row) {
    float factors[TILE];
    drop_factors(a, q, tile, factors);
    for (int k = s.low; k < s.high; k++) row[k] *= factors[k];
}

/* One tile of keys for the queries of a tile of rows, from query `first` on. */
static void forward_tile(const struct attention *a, struct packed *p, int first, int64_t tile,
                         struct softmax_state *state) {
    struct span all = span_in(p->seen[first / TILE_ROWS], tile);
    if (all.high == 0) return;
    int64_t at = (tile * TILE - p->first_key) * a->width;
    float factor[TILE_ROWS];
    score_products(a, p->q + first * a->width, p->k_turned + at, all, p->weights);
    if (a->o->softcap > 0) cap_scores(a, p->weights, all);
    for (int r = 0; r < TILE_ROWS; r++) {
        struct span own = span_in(p->queries[first + r].seen, tile);
        factor[r] = softmax_row(&state[first + r], p->weights + r * TILE, own, all);
        if (a->o->dropout > 0 && own.high > 0)
            drop_weights(a, &p->queries[first + r], tile, own, p->weights + r * TILE);
    }
    weighted_sums(a, START_OUT_SCALED, factor, p->weights, p->v + at, all, p->out + first * a->width);
}

static void store_queries(const struct attention *a, const struct packed *p, const struct softmax_state *s) {
    int d = a->o->head_dim;
    for (int i = 0; i < p->n; i++) {
        const struct query *q = &p->queries[i];
        float *out = (float *)a->t->out.data + q->row * a->t->out.stride + (int64_t)q->head * d;
        float inverse = s[i].sum > 0 ? 1 / s[i].sum : 0; /* a query that sees no key: 0, and lse -inf */
        for (int c = 0; c < d; c += VF_LANES)
            vf_store_some(out + c, d - c, vf_load(p->out + i * a->width + c) * vf_set(inverse));
        if (tensor_present(a->t->lse))
            ((float *)a->t->lse.data)[q->row * a->t->lse.stride + q->head] =
                s[i].sum > 0 ? s[i].max * LN_2 + logf(s[i].sum) : -INFINITY;
    }
}

static void forward_task(void *context, int task, int worker) {
    const struct attention *a = context;
    struct packed p;
    if (!begin_task(a, task, worker, &p)) return;
    for (int64_t first = 0; first < n_queries(a, &p); first += FORWARD_QUERIES) {
        struct softmax_state state[QUERIES + TILE_ROWS];
        begin_block(a, &p, first);
        for (int i = 0; i < p.n + TILE_ROWS; i++) state[i] = (struct softmax_state){-INFINITY, 0};
        memset(p.out, 0, (size_t)(p.n + TILE_ROWS) * (size_t)a->width * sizeof(float));
        for (int64_t tile = p.seen_by_any.low / TILE; tile < tiles_up(p.seen_by_any.high); tile++)
            for (int i = 0; i < p.n; i += TILE_ROWS) forward_tile(a, &p, i, tile, state);
        store_queries(a, &p, state);
    }
}

/* ---- backward -------------------------------------------------------------------------------- */

/* What backward needs of each query besides q and d_out: dot = d_out . out. */
struct query_facts {
    float lse[BACKWARD_QUERIES], dot[BACKWARD_QUERIES]; /* lse to base 2, as the scores are */
};

/* Dots are summed as scores are: where out is one value's row, d_out . v - dot is then exactly 0. */
static void load_facts(const struct attention *a, struct packed *p, struct query_facts *f) {
    load_queries(a, p, a->g->d_out, 1, p->d_out);
    load_queries(a, p, a->t->out, 1, p->out);
    for (int i = 0; i < filled_up(p); i++) {
        const struct query *q = &p->queries[i];
        f->lse[i] = ((const float *)a->t->lse.data)[q->row * a->t->lse.stride + q->head] * LOG2_E;
    }
    for (int first = 0; first < filled_up(p); first += 8) { /* rows of earlier blocks may lie behind the last */
        vf sums[8];
        for (int i = 0; i < 8; i++) sums[i] = vf_set(0);
        for (int c = 0; c < a->o->head_dim; c++) UNROLL
        for (int i = 0; i < 8; i++) {
            int64_t at = (int64_t)(first + i) * a->width + c;
            sums[i] = vf_fma(vf_set(p->d_out[at]), vf_set(p->out[at]), sums[i]);
        }
        for (int i = 0; i < 8; i++) f->dot[first + i] = sums[i][0];
    }
}

/* weights = softmax of the scores (with dropout); slopes, which hold d_out . v beforehand, the gradient by the scaled
 * scores. Both are 0 where the query does not see the key. */
static inline void slopes_row(const struct attention *a, const struct query *q, float lse, float dot, int64_t tile,
                              struct span seen, float *weights, float *slopes) {
    float drop[TILE];
    vf inverse_cap = vf_set(a->o->softcap > 0 ? 1 / (a->o->softcap * LOG2_E) : 0);
    if (a->o->dropout > 0 && seen.high > 0) drop_factors(a, q, tile, drop);
    for (int v = 0; v < TILE / VF_LANES; v++) {
        float *w = weights + v * VF_LANES, *x = slopes + v * VF_LANES;
        if (v * VF_LANES >= seen.high || (v + 1) * VF_LANES <= seen.low) {
            vf_store(w, vf_set(0));
            vf_store(x, vf_set(0));
            continue;
        }
        vi mask = lanes_between(v, seen.low, seen.high);
        vf score = vf_load(w), weight = vf_exp2(score - vf_set(lse)), slope = vf_load(x);
        vf factor = vf_set(1);
        if (a->o->dropout > 0) factor = vf_load(drop + v * VF_LANES);
        slope = weight * (slope * factor - vf_set(dot));
        if (a->o->softcap > 0) slope = slope * vf_softcap_slope(score, inverse_cap);
        weight = weight * factor;
        vf_store(w, vf_choose(mask, weight, vf_set(0)));
        vf_store(x, vf_choose(mask, slope, vf_set(0)));
    }
}

/* sums[k] += weights[..][k] by the block's n_rows rows, queries in ascending order, for keys k from `first` on. */
INLINE void add_outer_rows(const struct attention *a, const float *weights, const float *rows, int n_rows, int first,
                           float *sums, const int n) {
    for (int c = 0; c < a->width; c += PANEL)
        small_product(START_OUT, NULL, weights + first, 1, TILE, rows + c, a->width, n_rows,
                      sums + first * a->width + c, a->width, n);
}

/* The keys of a span of whole panels of a tile: a multiple of TILE_ROWS, or 2 or 4 more. Queries before the first that
 * sees any of a few keys are left out: on the diagonal that is half of them. */
static void add_outer(const struct attention *a, const struct packed *p, const float *weights, const float *rows,
                      int64_t tile, struct span s, float *sums) {
    int skipped = 0;
    for (int k = s.low; k < s.high; k += TILE_ROWS) {
        while (skipped < p->n && p->seen[skipped / TILE_ROWS].high <= tile * TILE + k) skipped += TILE_ROWS;
        const float *w = weights + skipped * TILE, *x = rows + skipped * a->width;
        int n_rows = filled_up(p) - skipped;
        if (k + TILE_ROWS <= s.high)
            add_outer_rows(a, w, x, n_rows, k, sums, TILE_ROWS);
        else if (k + 4 <= s.high)
            add_outer_rows(a, w, x, n_rows, k, sums, 4);
        else
            add_outer_rows(a, w, x, n_rows, k, sums, 2);
    }
}

static void backward_tile(const struct attention *a, struct packed *p, const struct query_facts *f, int64_t tile) {
    struct span all = span_in(p->seen_by_any, tile);
    int64_t at = tile * TILE * a->width;
    if (all.high == 0) return;
    for (int first = 0; first < p->n; first += TILE_ROWS) {
        struct span some = span_in(p->seen[first / TILE_ROWS], tile);
        float *weights = p->weights + first * TILE, *slopes = p->slopes + first * TILE;
        score_products(a, p->q + first * a->width, p->k_turned + at, some, weights);
        score_products(a, p->d_out + first * a->width, p->v_turned + at, some, slopes);
        if (a->o->softcap > 0) cap_scores(a, weights, some);
        for (int i = first; i < first + TILE_ROWS; i++) {
            struct span own = i < p->n ? span_in(p->queries[i].seen, tile) : (struct span){0, 0};
            slopes_row(a, &p->queries[i], f->lse[i], f->dot[i], tile, own, p->weights + i * TILE, p->slopes + i * TILE);
        }
        if (some.high) weighted_sums(a, START_OUT, NULL, slopes, p->k + at, some, p->dq + first * a->width);
    }
    all.low = all.low / PANEL * PANEL;
    all.high = (all.high + PANEL - 1) / PANEL * PANEL;
    add_outer(a, p, p->slopes, p->q, tile, all, p->dk + at);
    add_outer(a, p, p->weights, p->d_out, tile, all, p->dv + at);
}

static void store_scaled(const struct attention *a, struct tensor t, int64_t row, int head, float scale,
                         const float *x) {
    float *to = (float *)t.data + row * t.stride + (int64_t)head * a->o->head_dim;
    for (int c = 0; c < a->o->head_dim; c += VF_LANES)
        vf_store_some(to + c, a->o->head_dim - c, vf_load(x + c) * vf_set(scale));
}

static void backward_task(void *context, int task, int worker) {
    const struct attention *a = context;
    struct packed p;
    struct query_facts facts;
    if (!begin_task(a, task, worker, &p)) return;
    memset(p.dk, 0, (size_t)tiles_up(p.n_keys) * TILE * (size_t)a->width * sizeof(float));
    memset(p.dv, 0, (size_t)tiles_up(p.n_keys) * TILE * (size_t)a->width * sizeof(float));
    for (int64_t first = 0; first < n_queries(a, &p); first += BACKWARD_QUERIES) {
        begin_block(a, &p, first);
        load_facts(a, &p, &facts);
        memset(p.dq, 0, BACKWARD_QUERIES * (size_t)a->width * sizeof(float));
        for (int64_t tile = p.seen_by_any.low / TILE; tile < tiles_up(p.seen_by_any.high); tile++)
            backward_tile(a, &p, &facts, tile);
        for (int i = 0; i < p.n; i++)
            store_scaled(a, a->g->d_q, p.queries[i].row, p.queries[i].head, a->o->scale, p.dq + i * a->width);
    }
    for (int64_t j = 0; j < p.n_keys; j++) { /* q carried the scale and log2(e) into d_k */
        store_scaled(a, a->g->d_k, p.first_row + j, p.kv_head, LN_2, p.dk + j * a->width);
        store_scaled(a, a->g->d_v, p.first_row + j, p.kv_head, 1, p.dv + j * a->width);
    }
}

/* ---- both ------------------------------------------------------------------------------------ */

#define LEAST_CHUNK_ROWS 256 /* fewer would not pay for packing the keys again */

/* Forward, rows are cut where there are too few heads to keep every thread busy. */
static void cut_rows(struct attention *a) {
    const int32_t *starts = a->t->starts.data;
    int64_t tasks = (int64_t)a->o->n_sequences * a->o->n_kv_heads, wanted = 2 * thread_pool_size(a->stream->pool),
            most = 1;
    for (int i = 0; i < a->o->n_sequences; i++)
        if (starts[i + 1] - starts[i] > most) most = starts[i + 1] - starts[i];
    a->chunks = 1;
    if (!a->g && tasks < wanted) {
        int64_t chunks = (wanted + tasks - 1) / tasks, limit = (most + LEAST_CHUNK_ROWS - 1) / LEAST_CHUNK_ROWS;
        a->chunks = (int)(chunks < limit ? chunks : limit);
    }
    a->chunk_rows = (int)((most + a->chunks - 1) / a->chunks);
}

static void run_attention(struct stream *s, const struct attention_options *o, const struct attention_tensors *t,
                          const struct attention_gradients *g) {
    struct attention a = {.stream = s, .o = o, .t = t, .g = g, .width = (o->head_dim + PANEL - 1) / PANEL * PANEL};
    if (s->failed || !cpu_scratch_reserve(s, packed_floats(&a) * sizeof(float))) return;
    cut_rows(&a);
    cpu_run(s, o->n_sequences * o->n_kv_heads * a.chunks, g ? backward_task : forward_task, &a);
}

void ISA_NAME(cpu_attention_forward)(struct stream *s, const struct attention_options *o,
                                     const struct attention_tensors *t) {
    run_attention(s, o, t, NULL);
}

void ISA_NAME(cpu_attention_backward)(struct stream *s, const struct attention_options *o,
                                      const struct attention_tensors *t, const struct attention_gradients *g) {
    run_attention(s, o, t, g);
}
