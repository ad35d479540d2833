/* matmul.c - blocked, threaded matrix products (Goto & van de Geijn 2008).
 *
 * A task owns a rectangle of c. It goes through K in blocks of BLOCK_STEPS; for each it packs its columns of b into
 * panels of TILE_COLS (a panel stays in the first-level cache, all of them in the second), and multiplies tile after
 * tile of TILE_ROWS rows by them, keeping a TILE_ROWS x TILE_COLS piece of c in registers over the whole block. Rows of
 * a whose numbers lie side by side along K are read where they are; others are packed too. No task waits for another;
 * one that follows another of the same columns on the same thread finds them packed.
 *
 * Every element of c is a chain of fused multiply-adds over ascending k within a block, and the blocks are added in
 * order: the bits depend on nothing else. With pairs of bf16 for cells (simd.h) a step is two of k, the second added
 * first. */
#include "tensor/cpu/cpu.h"
#include "tensor/cpu/isa/kernels.h"
#include "tensor/cpu/isa/pack.h"
#include "tensor/cpu/isa/tile.h"

#if defined(ISA_AVX512)
#define TILE_VECTORS 3
#define BLOCK_STEPS 384
#elif defined(ISA_NEON)
#define TILE_VECTORS 3
#define BLOCK_STEPS 256
#else
#define TILE_VECTORS 2
#define BLOCK_STEPS 256
#endif
#define TILE_COLS (TILE_VECTORS * VF_LANES)
#define BLOCK_ROWS                                                                                                     \
    (16 * TILE_ROWS) /* rows of a that are used again and again while they are in the second-level cache */
#define MOST_COLS ((256 + TILE_COLS - 1) / TILE_COLS * TILE_COLS) /* of a task: their block of b is there too */
#define CELLS_HELD                                                                                                     \
    (2 * BLOCK_B) /* of panels of b that a thread keeps from task to task: more would not stay in the second-level     \
                     cache */

struct product {
    struct stream *stream;
    const struct matmul_options *o;
    struct tensor c, a, b;
    int64_t m, n, k;
    enum source a_source, b_source;
    bool pack_a, holds_b;         /* the panels of a task's columns are kept for the next task */
    struct held *held;            /* [workers] */
    int64_t task_rows, task_cols; /* the rectangle of a task */
    int tasks_down;               /* tasks that share columns */
};

/* Cells of a packed block of a, with a cache line for what a tile is written too far, and of b, which begins
 * on a line. */
#define BLOCK_A (BLOCK_STEPS * BLOCK_ROWS + 16)
#define BLOCK_B (BLOCK_STEPS * MOST_COLS)
_Static_assert(SIDE <= 16 && BLOCK_A % 16 == 0 && BLOCK_B % 16 == 0, "whole cache lines");

/* The first of the columns that a thread has packed, of this product; -1: none. In cache lines of its own. */
struct held {
    _Alignas(64) int64_t j0;
};

/* The piece of work between two stores of c: a block of K. */
struct block {
    int64_t k0, depth, steps;
    bool add;          /* onto what c holds */
    const float *bias; /* joins with the last block */
};

/* ---- the micro-kernel ------------------------------------------------------------------------ */

INLINE void store_tile(tile_sums acc, float *c, int64_t stride, int64_t width, const struct block *block,
                       const float *bias, const int rows) {
    if (width >= TILE_COLS) {
        UNROLL
        for (int r = 0; r < rows; r++) UNROLL
        for (int v = 0; v < TILE_VECTORS; v++) {
            float *to = c + r * stride + v * VF_LANES;
            vf x = acc[r][v];
            if (block->add) x = vf_load(to) + x;
            if (bias) x = x + vf_load(bias + v * VF_LANES);
            vf_store(to, x);
        }
        return;
    }
    float row[TILE_COLS];
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < TILE_VECTORS; v++) vf_store(row + v * VF_LANES, acc[r][v]);
        float *to = c + r * stride;
        for (int64_t j = 0; j < width; j++) {
            float x = row[j];
            if (block->add) x = to[j] + x;
            to[j] = bias ? x + bias[j] : x;
        }
    }
}

/* `rows` rows of c by one panel. Element (r, k) of a is a[r * row + k * step]. */
INLINE void tile_of(const float *a, int64_t row, int64_t step, const float *panel, float *c, int64_t stride,
                    int64_t width, const struct block *block, const float *bias, const int rows) {
    tile_sums acc;
    UNROLL
    for (int r = 0; r < rows; r++) UNROLL
    for (int v = 0; v < TILE_VECTORS; v++) acc[r][v] = vf_set(0);
    UNROLL
    for (int r = 0; r < rows; r++) __builtin_prefetch(c + r * stride, 1);
    tile_multiply(acc, a, row, step, panel, TILE_COLS, block->steps, rows, TILE_VECTORS);
    store_tile(acc, c, stride, width, block, bias, rows);
}

#define TILE_CASE(rows)                                                                                                \
    case rows: tile_of(a, row, step, panel, c, stride, width, block, bias, rows); break;

static void multiply_tile(const float *a, int64_t row, int64_t step, const float *panel, float *c, int64_t stride,
                          int64_t width, const struct block *block, const float *bias, int rows) {
    switch (rows) {
        TILE_CASE(1)
        TILE_CASE(2)
        TILE_CASE(3)
        TILE_CASE(4)
#if TILE_ROWS > 4
        TILE_CASE(5)
        TILE_CASE(6)
#endif
#if TILE_ROWS > 6
        TILE_CASE(7)
        TILE_CASE(8)
#endif
    default: break;
    }
}

/* ---- packing --------------------------------------------------------------------------------- */

static enum source source_of(enum dtype stored, enum dtype compute) {
    if (stored == DTYPE_BF16) return SOURCE_BF16;
    if (stored == DTYPE_F16) return compute == DTYPE_BF16 ? SOURCE_F16_AS_BF16 : SOURCE_F16;
    return compute == DTYPE_BF16 ? SOURCE_F32_AS_BF16 : SOURCE_F32;
}

#define PACK_CASE(source, padded)                                                                                      \
    case source:                                                                                                       \
        if (CELL_DEPTH == 2 && (source == SOURCE_F32 || source == SOURCE_F16)) break; /* only bf16 makes pairs */      \
        if (turned)                                                                                                    \
            pack_turned(source, data, at, stride, (int)width, padded, depth, out);                                     \
        else                                                                                                           \
            pack_straight(source, data, at, stride, width, padded, depth, out);                                        \
        break;

#define PACK_FUNCTION(name, padded)                                                                                    \
    static void name(enum source source, bool turned, const void *data, int64_t at, int64_t stride, int64_t width,     \
                     int64_t depth, float *out) {                                                                      \
        switch (source) {                                                                                              \
            PACK_CASE(SOURCE_F32, padded)                                                                              \
            PACK_CASE(SOURCE_F32_AS_BF16, padded)                                                                      \
            PACK_CASE(SOURCE_BF16, padded)                                                                             \
            PACK_CASE(SOURCE_F16, padded)                                                                              \
            PACK_CASE(SOURCE_F16_AS_BF16, padded)                                                                      \
        }                                                                                                              \
    }
PACK_FUNCTION(pack_cols, TILE_COLS)
PACK_FUNCTION(pack_rows, TILE_ROWS)

/* Columns [j0, j1), TILE_COLS at a time; a turned matrix one panel a call, just before its first use. */
static void pack_b_panels(const struct product *p, const struct block *block, int64_t j0, int64_t j1, float *out) {
    bool turned = p->o->layout == MATMUL_NT;
    int64_t at = turned ? j0 * p->b.stride + block->k0 : block->k0 * p->b.stride + j0;
    pack_cols(p->b_source, turned, p->b.data, at, p->b.stride, j1 - j0, block->depth, out);
}

static void pack_a_tiles(const struct product *p, const struct block *block, int64_t i0, int64_t i1, float *out) {
    if (p->o->layout == MATMUL_TN) {
        pack_rows(p->a_source, false, p->a.data, block->k0 * p->a.stride + i0, p->a.stride, i1 - i0, block->depth, out);
        return;
    }
    for (int64_t i = i0; i < i1; i += TILE_ROWS, out += block->steps * TILE_ROWS)
        pack_rows(p->a_source, true, p->a.data, i * p->a.stride + block->k0, p->a.stride,
                  i1 - i < TILE_ROWS ? i1 - i : TILE_ROWS, block->depth, out);
}

/* ---- a task ---------------------------------------------------------------------------------- */

/* Rows [i0, i1) of a block of K by one panel of columns from j on. */
static void multiply_panel(const struct product *p, const struct block *block, int64_t i0, int64_t i1, int64_t j,
                           const float *packed_a, const float *panel) {
    const float *a = packed_a ? packed_a : (const float *)p->a.data + i0 * p->a.stride + block->k0;
    int64_t row = packed_a ? 1 : p->a.stride, step = packed_a ? TILE_ROWS : 1;
    int64_t next = packed_a ? block->steps * TILE_ROWS : TILE_ROWS * p->a.stride;
    float *c = (float *)p->c.data + i0 * p->c.stride + j;
    const float *bias = block->bias ? block->bias + j : NULL;
    for (int64_t i = i0; i < i1; i += TILE_ROWS, a += next, c += TILE_ROWS * p->c.stride) {
        if (p->o->symmetric && i + TILE_ROWS <= j) continue; /* above the diagonal */
        int rows = i1 - i < TILE_ROWS ? (int)(i1 - i) : TILE_ROWS;
        multiply_tile(a, row, step, panel, c, p->c.stride, p->n - j, block, bias, rows);
    }
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* A block of K for rows [i0, i1) and columns [j0, j1). `fresh`: the panels are not packed yet. */
static void multiply_block(const struct product *p, const struct block *block, int64_t i0, int64_t i1, int64_t j0,
                           int64_t j1, float *panels, float *packed_a, bool fresh) {
    bool b_turned = p->o->layout == MATMUL_NT;
    for (int64_t i = i0; i < i1; i += BLOCK_ROWS) {
        int64_t end = least(i + BLOCK_ROWS, i1);
        bool pack = fresh && i == i0;
        if (packed_a) pack_a_tiles(p, block, i, end, packed_a);
        if (pack && !b_turned) pack_b_panels(p, block, j0, j1, panels);
        for (int64_t j = j0; j < j1; j += TILE_COLS) {
            float *panel = panels + (j - j0) * block->steps;
            if (pack && b_turned) pack_b_panels(p, block, j, least(j + TILE_COLS, j1), panel);
            multiply_panel(p, block, i, end, j, packed_a, panel);
        }
    }
}

static void multiply_task(void *context, int task, int worker) {
    const struct product *p = context;
    int64_t i0 = task % p->tasks_down * p->task_rows, i1 = least(i0 + p->task_rows, p->m);
    int64_t j0 = task / p->tasks_down * p->task_cols, j1 = least(j0 + p->task_cols, p->n);
    float *packed_a = cpu_scratch_own(p->stream, worker), *panels = packed_a + BLOCK_A;
    bool fresh = !p->holds_b || p->held[worker].j0 != j0;
    struct block block = {.k0 = 0};
    do { /* once also where K is 0: c is then 0, or what it was, plus the bias */
        block.depth = least(p->k - block.k0, BLOCK_STEPS * CELL_DEPTH);
        block.steps = pack_steps(block.depth);
        block.add = block.k0 > 0 || p->o->accumulate;
        block.bias = block.k0 + block.depth >= p->k && tensor_present(p->o->bias) ? p->o->bias.data : NULL;
        multiply_block(p, &block, i0, i1, j0, j1, panels, p->pack_a ? packed_a : NULL, fresh);
        if (p->holds_b) panels += BLOCK_STEPS * p->task_cols;
        block.k0 += block.depth;
    } while (block.k0 < p->k);
    p->held[worker].j0 = j0;
}

/* ---- the other half of what is symmetric ------------------------------------------------------ */

/* SIDE rows of c, right of the diagonal, from what lies below it: blocks are transposed in registers. */
static void mirror_task(void *context, int task, int worker) {
    (void)worker;
    const struct product *p = context;
    int64_t i0 = (int64_t)task * SIDE, stride = p->c.stride, n = p->n;
    float *c = p->c.data;
    for (int64_t j0 = i0; j0 < n; j0 += SIDE)
        if (j0 > i0 && j0 + SIDE <= n) {
            side block[SIDE];
            for (int i = 0; i < SIDE; i++) block[i] = side_load(c + (j0 + i) * stride + i0);
            side_turn(block);
            for (int i = 0; i < SIDE; i++) side_store(c + (i0 + i) * stride + j0, block[i]);
        } else {
            for (int64_t i = i0; i < least(i0 + SIDE, n); i++)
                for (int64_t j = j0; j < least(j0 + SIDE, n); j++)
                    if (j > i) c[i * stride + j] = c[j * stride + i];
        }
}

/* ---- cutting c ------------------------------------------------------------------------------- */

#define TASKS_PER_THREAD 8 /* so that a thread that is held up leaves its share to others */
#define TASKS_PER_THREAD_UNHELD 2
#define LEAST_TASK_ROWS 64 /* fewer rows would not pay for packing their columns of b again */
#define LEAST_TASK_COLS (4 * TILE_COLS)

static int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t round_up_to(int64_t a, int64_t b) { return divide_up(a, b) * b; }

/* Pieces of the columns. With one for each thread b is packed once; but where a is packed, that is done for each piece:
 * then only if it is less. */
static int64_t cut_columns(const struct product *p, int64_t threads) {
    int64_t least_pieces = divide_up(p->n, MOST_COLS);
    int64_t pieces = least(round_up_to(least_pieces, threads), divide_up(p->n, LEAST_TASK_COLS));
    if (pieces <= least_pieces) return least_pieces;
    bool repeats_less = !p->pack_a || pieces * p->m + p->n <= least_pieces * p->m + threads * p->n;
    return repeats_less ? pieces : least_pieces;
}

/* Tasks whose panels of b are not held pack them again and again: of those there are only as many as share the work
 * evenly. */
static int cut(struct product *p) {
    int64_t threads = thread_pool_size(p->stream->pool);
    p->task_cols = round_up_to(divide_up(p->n, cut_columns(p, threads)), TILE_COLS);
    p->holds_b = round_up_to(pack_steps(p->k), BLOCK_STEPS) * p->task_cols <= CELLS_HELD;
    int64_t wanted = threads == 1 ? 1 : threads * (p->holds_b ? TASKS_PER_THREAD : TASKS_PER_THREAD_UNHELD);
    int64_t across = divide_up(p->n, p->task_cols);
    int64_t least_rows = p->holds_b ? 2 * TILE_ROWS : LEAST_TASK_ROWS;
    int64_t down = across < wanted ? least(divide_up(wanted, across), divide_up(p->m, least_rows)) : 1;
    p->task_rows = round_up_to(divide_up(p->m, down), TILE_ROWS);
    p->tasks_down = (int)divide_up(p->m, p->task_rows);
    return (int)across * p->tasks_down;
}

void ISA_NAME(cpu_matmul)(struct stream *s, const struct matmul_options *o, struct tensor c, struct tensor a,
                          struct tensor b) {
    struct product p = {.stream = s,
                        .o = o,
                        .c = c,
                        .a = a,
                        .b = b,
                        .m = c.rows,
                        .n = c.cols,
                        .k = o->layout == MATMUL_TN ? a.rows : a.cols};
    if (s->failed || p.m == 0 || p.n == 0) return;
    p.a_source = source_of(a.dtype, o->compute);
    p.b_source = source_of(b.dtype, o->compute);
    /* Rows a multiple of 4 KiB apart would fall into the same few lines of the first-level cache. */
    p.pack_a = o->layout == MATMUL_TN || p.a_source != SOURCE_F32 || (a.stride % 1024 == 0 && p.m > 1);
    int workers = thread_pool_size(s->pool);
    p.held = cpu_scratch_shared(s, (size_t)workers * sizeof *p.held);
    if (!p.held || !cpu_scratch_reserve(s, (BLOCK_A + CELLS_HELD + SIDE) * sizeof(float))) return;
    for (int i = 0; i < workers; i++) p.held[i].j0 = -1;
    int tasks = cut(&p);
    cpu_run(s, tasks, multiply_task, &p);
    if (o->symmetric) cpu_run(s, (int)divide_up(p.n, SIDE), mirror_task, &p);
}
