/* matmul.c - packed, blocked, threaded matrix products; and the gradient of a bias.
 *
 * K is cut into blocks of BLOCK_K. For each block, b is packed into panels of TILE_COLS columns (a panel is read in order by
 * every tile of rows), then tasks of some rows pack their part of a and run the micro-kernel, which keeps a TILE_ROWS x
 * TILE_COLS piece of c in registers over the whole block. Every element of c is a chain of fused multiply-adds over
 * ascending k within a block, and the blocks are added in order: the bits depend on nothing else. */
#include "tensor/cpu/cpu.h"
#include "tensor/cpu/isa/kernels.h"
#include "tensor/cpu/isa/simd.h"

#define BLOCK_K 512
#if defined(ISA_AVX512)
#define TILE_ROWS 8
#define TILE_VECTORS 3
#elif defined(ISA_AVX2)
#define TILE_ROWS 4
#define TILE_VECTORS 3
#else
#define TILE_ROWS 4
#define TILE_VECTORS 2
#endif
#define TILE_COLS (TILE_VECTORS * VF_LANES)
#define TASK_TILES 4 /* tiles of rows that one task takes */

struct product {
    struct stream *stream;
    const struct matmul_options *o;
    struct tensor c, a, b;
    int64_t m, n, k;
    int64_t k0, kc; /* the block of K */
    bool first, last;
    float *packed_b; /* [panels][kc][TILE_COLS] */
};

static inline float load_any(struct tensor t, int64_t i) {
    switch (t.dtype) {
    case DTYPE_BF16: return bf16_to_f32(((const uint16_t *)t.data)[i]);
    case DTYPE_F16: return f16_to_f32(((const uint16_t *)t.data)[i]);
    default: return ((const float *)t.data)[i];
    }
}

static inline float round_operand(const struct product *p, float x) {
    return p->o->compute == DTYPE_BF16 ? bf16_to_f32(f32_to_bf16(x)) : x;
}

/* Rows [k0, k0 + kc) x columns [j, j + width) of a matrix of any type, into out[kc][padded]; the rest of a row is 0. With
 * `turned` the matrix holds the transpose. */
static void pack(const struct product *p, struct tensor t, bool turned, int64_t j, int64_t width, int64_t padded,
                 float *out) {
    bool plain = t.dtype == DTYPE_F32 && p->o->compute != DTYPE_BF16;
    const float *data = t.data;
    if (width < padded) memset(out, 0, (size_t)(p->kc * padded) * sizeof *out);
    const float *first = data + p->k0 * t.stride + j;
    if (plain && !turned && width == TILE_COLS && padded == TILE_COLS) { /* sizes the compiler knows: no calls */
        for (int64_t k = 0; k < p->kc; k++) memcpy(out + k * TILE_COLS, first + k * t.stride, TILE_COLS * sizeof *out);
    } else if (plain && !turned && width == TILE_ROWS && padded == TILE_ROWS) {
        for (int64_t k = 0; k < p->kc; k++) memcpy(out + k * TILE_ROWS, first + k * t.stride, TILE_ROWS * sizeof *out);
    } else if (plain && !turned) {
        for (int64_t k = 0; k < p->kc; k++) memcpy(out + k * padded, first + k * t.stride, (size_t)width * sizeof *out);
    } else if (plain) {
        for (int64_t k0 = 0; k0 < p->kc; k0 += 16) { /* a cache line of every row at a time */
            int64_t n = p->kc - k0 < 16 ? p->kc - k0 : 16;
            for (int64_t i = 0; i < width; i++) {
                const float *row = data + (j + i) * t.stride + p->k0 + k0;
                for (int64_t k = 0; k < n; k++) out[(k0 + k) * padded + i] = row[k];
            }
        }
    } else {
        for (int64_t i = 0; i < width; i++)
            for (int64_t k = 0; k < p->kc; k++) {
                int64_t at = turned ? (j + i) * t.stride + p->k0 + k : (p->k0 + k) * t.stride + j + i;
                out[k * padded + i] = round_operand(p, load_any(t, at));
            }
    }
}

static void pack_b_panel(void *context, int panel, int worker) {
    (void)worker;
    const struct product *p = context;
    int64_t j = (int64_t)panel * TILE_COLS, width = p->n - j < TILE_COLS ? p->n - j : TILE_COLS;
    pack(p, p->b, p->o->layout == MATMUL_NT, j, width, TILE_COLS, p->packed_b + (int64_t)panel * p->kc * TILE_COLS);
}

/* out[TILE_ROWS][TILE_COLS] = packed a [kc][TILE_ROWS] by packed b [kc][TILE_COLS]. */
static inline void micro_kernel(const float *a, const float *b, int64_t kc, vf acc[TILE_ROWS][TILE_VECTORS]) {
#pragma GCC unroll 8
    for (int r = 0; r < TILE_ROWS; r++)
#pragma GCC unroll 3
        for (int v = 0; v < TILE_VECTORS; v++) acc[r][v] = vf_set(0);
    for (int64_t k = 0; k < kc; k++, a += TILE_ROWS, b += TILE_COLS) {
        vf bv[TILE_VECTORS];
#pragma GCC unroll 3
        for (int v = 0; v < TILE_VECTORS; v++) bv[v] = vf_load(b + v * VF_LANES);
#pragma GCC unroll 8
        for (int r = 0; r < TILE_ROWS; r++) {
            vf av = vf_set(a[r]);
#pragma GCC unroll 3
            for (int v = 0; v < TILE_VECTORS; v++) acc[r][v] = vf_fma(av, bv[v], acc[r][v]);
        }
    }
}

/* Where a row of the tile goes: added to what earlier blocks (or the caller) left; the bias joins at the end. */
static inline void store_row(const struct product *p, float *c, const float *bias, const vf *acc, int64_t width) {
    bool add = !p->first || p->o->accumulate;
    for (int v = 0; v < TILE_VECTORS; v++) {
        int64_t left = width - v * VF_LANES;
        if (left <= 0) return;
        float *to = c + v * VF_LANES;
        vf x = acc[v];
        if (left >= VF_LANES) {
            if (add) x = vf_load(to) + x;
            if (bias) x = x + vf_load(bias + v * VF_LANES);
            vf_store(to, x);
        } else {
            if (add) x = vf_load_part(to, left, 0) + x;
            if (bias) x = x + vf_load_part(bias + v * VF_LANES, left, 0);
            vf_store_part(to, left, x);
        }
    }
}

static void multiply_tile(const struct product *p, const float *a, int64_t i, int64_t rows) {
    const float *bias = p->last && tensor_present(p->o->bias) ? p->o->bias.data : NULL;
    for (int64_t j = 0; j < p->n; j += TILE_COLS) {
        int64_t width = p->n - j < TILE_COLS ? p->n - j : TILE_COLS;
        vf acc[TILE_ROWS][TILE_VECTORS];
        micro_kernel(a, p->packed_b + j * p->kc, p->kc, acc);
        float *c = (float *)p->c.data + i * p->c.stride + j;
#pragma GCC unroll 8
        for (int r = 0; r < TILE_ROWS; r++)
            if (r < rows) store_row(p, c + r * p->c.stride, bias ? bias + j : NULL, acc[r], width);
    }
}

static void multiply_rows(void *context, int task, int worker) {
    const struct product *p = context;
    float *a = cpu_scratch_own(p->stream, worker);
    for (int t = 0; t < TASK_TILES; t++) {
        int64_t i = ((int64_t)task * TASK_TILES + t) * TILE_ROWS, rows = p->m - i < TILE_ROWS ? p->m - i : TILE_ROWS;
        if (rows <= 0) return;
        pack(p, p->a, p->o->layout != MATMUL_TN, i, rows, TILE_ROWS, a);
        multiply_tile(p, a, i, rows);
    }
}

void ISA_NAME(cpu_matmul)(struct stream *s, const struct matmul_options *o, struct tensor c, struct tensor a,
                          struct tensor b) {
    struct product p = {.stream = s, .o = o, .c = c, .a = a, .b = b, .m = c.rows, .n = c.cols,
                        .k = o->layout == MATMUL_TN ? a.rows : a.cols};
    int panels = (int)((p.n + TILE_COLS - 1) / TILE_COLS);
    int tasks = (int)((p.m + TILE_ROWS * TASK_TILES - 1) / (TILE_ROWS * TASK_TILES));
    int64_t most = p.k < BLOCK_K ? p.k : BLOCK_K;
    if (s->failed || p.m == 0 || p.n == 0) return;
    p.packed_b = cpu_scratch_shared(s, (size_t)panels * (size_t)most * TILE_COLS * sizeof(float) + 64);
    if (!p.packed_b || !cpu_scratch_reserve(s, (size_t)most * TILE_ROWS * sizeof(float) + 64)) return;
    for (p.k0 = 0; p.k0 < p.k || p.k0 == 0; p.k0 += BLOCK_K) {
        p.kc = p.k - p.k0 < BLOCK_K ? p.k - p.k0 : BLOCK_K;
        p.first = p.k0 == 0;
        p.last = p.k0 + p.kc >= p.k;
        thread_pool_run(s->pool, panels, pack_b_panel, &p);
        thread_pool_run(s->pool, tasks, multiply_rows, &p);
    }
}

struct bias_sum {
    struct tensor d_bias, d_out;
};

/* A strip of columns: rows are added in order. */
static void sum_columns(void *context, int task, int worker) {
    (void)worker;
    const struct bias_sum *b = context;
    int64_t j = (int64_t)task * 64, end = j + 64 < b->d_out.cols ? j + 64 : b->d_out.cols;
    float sum[64] = {0}, *to = b->d_bias.data;
    for (int64_t i = 0; i < b->d_out.rows; i++) {
        const float *row = (const float *)b->d_out.data + i * b->d_out.stride;
        for (int64_t c = j; c < end; c++) sum[c - j] += row[c];
    }
    for (int64_t c = j; c < end; c++) to[c] += sum[c - j];
}

void ISA_NAME(cpu_bias_backward)(struct stream *s, struct tensor d_bias, struct tensor d_out) {
    struct bias_sum b = {d_bias, d_out};
    thread_pool_run(s->pool, (int)((d_out.cols + 63) / 64), sum_columns, &b);
}
