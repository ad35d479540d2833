/* muon.c - see muon.h. */
#include "train/muon.h"

#include <math.h>

#include "model/layout.h"

float muon_momentum(const struct muon_options *o, int64_t t) {
    const double first = 0.85;
    double done = o->warmup_steps > 0 && t < o->warmup_steps ? (double)t / (double)o->warmup_steps : 1;
    return (float)(first + done * ((double)o->momentum - first));
}

/* ---- memory ---------------------------------------------------------------------------------- */

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

void muon_workspace_take(struct muon_workspace *w, struct arena *arena, const struct arch *arch) {
    struct layout_entry block[LAYOUT_BLOCK];
    int64_t floats = 0, side = 0;
    layout_block(arch, block);
    for (int i = 0; i < LAYOUT_BLOCK; i++) {
        const struct layout_entry *e = &block[i];
        if (!e->present || e->role != ROLE_MATRIX) continue;
        int64_t rows = e->parts[0] ? larger(larger(e->parts[0], e->parts[1]), e->parts[2]) : e->rows;
        floats = larger(floats, rows * e->cols);
        side = larger(side, rows < e->cols ? rows : e->cols);
    }
    struct tensor *const matrices[] = {&w->x, &w->next}, *const squares[] = {&w->gram, &w->powers};
    for (int i = 0; i < 2; i++) {
        *matrices[i] = tensor_view(arena_take(arena, (size_t)floats * sizeof(float)), DTYPE_F32, 1, floats);
        *squares[i] = tensor_view(arena_take(arena, (size_t)(side * side) * sizeof(float)), DTYPE_F32, 1, side * side);
    }
    w->sum = tensor_view(arena_take(arena, sizeof(double)), DTYPE_F64, 1, 1);
}

static struct tensor shaped(struct tensor memory, int64_t rows, int64_t cols) {
    return tensor_view(memory.data, DTYPE_F32, rows, cols);
}

/* ---- the iteration --------------------------------------------------------------------------- */

/* Step i takes a singular value s to a s + b s^3 + c s^5. From 0.01 and up five of them end near 1; what is to be made
 * orthogonal is first divided by a little more than its norm, so that no singular value is above 1. */
static const struct {
    float a, b, c;
} polar_express[] = {
    {8.156554524902461f, -22.48329292557795f, 15.878769915207462f},
    {4.042929935166739f, -2.808917465908714f, 0.5000178451051316f},
    {3.8916678022926607f, -2.772484153217685f, 0.5060648178503393f},
    {3.285753657755655f, -2.3681294933425376f, 0.46449024233003106f},
    {2.3465413258596377f, -1.7097828382687081f, 0.42323551169305323f},
};

static void multiply(struct stream *s, enum matmul_layout layout, bool symmetric, struct tensor c, struct tensor a,
                     struct tensor b) {
    s->ops->matmul(s, &(struct matmul_options){.layout = layout, .symmetric = symmetric}, c, a, b);
}

void muon_orthogonalize(struct muon_workspace *w, struct stream *s, struct tensor *x) {
    bool wide = x->rows <= x->cols;
    int64_t side = wide ? x->rows : x->cols;
    struct tensor gram = shaped(w->gram, side, side), powers = shaped(w->powers, side, side);
    s->ops->zero(s, w->sum);
    s->ops->sum_of_squares(s, w->sum, *x);
    s->ops->normalize(s, *x, w->sum, 0.02f, 1e-6f);
    for (size_t i = 0; i < sizeof polar_express / sizeof *polar_express; i++) {
        struct tensor next = shaped(x->data == w->x.data ? w->next : w->x, x->rows, x->cols);
        multiply(s, wide ? MATMUL_NT : MATMUL_TN, true, gram, *x, *x); /* on the shorter side */
        multiply(s, MATMUL_NN, true, powers, gram, gram);
        s->ops->scale_add(s, powers, polar_express[i].c, gram, polar_express[i].b);
        multiply(s, MATMUL_NN, false, next, wide ? powers : *x, wide ? *x : powers);
        s->ops->scale_add(s, next, 1, *x, polar_express[i].a);
        *x = next;
    }
}

/* m, and out, from the gradient. A momentum in bf16 is widened for it, and rounded again. */
static void momentum_step(struct muon_workspace *w, struct stream *s, struct tensor out, struct tensor gradient,
                          struct tensor m, const struct muon_update *u, uint32_t site) {
    if (m.dtype == DTYPE_F32) {
        s->ops->nesterov(s, out, gradient, m, u->step);
        return;
    }
    struct tensor wide = shaped(w->next, m.rows, m.cols);
    s->ops->copy(s, wide, m);
    s->ops->nesterov(s, out, gradient, wide, u->step);
    s->ops->copy_rounded(s, m, wide, u->rng, site);
}

/* The same for a parameter; `x` is the step. */
static void descend(struct muon_workspace *w, struct stream *s, struct tensor p, struct tensor x, float scale,
                    const struct muon_update *u, uint32_t site) {
    if (p.dtype == DTYPE_F32) {
        s->ops->descend(s, p, x, scale, u->weight_decay, u->step);
        return;
    }
    struct tensor wide = shaped(x.data == w->x.data ? w->next : w->x, p.rows, p.cols);
    s->ops->copy(s, wide, p);
    s->ops->descend(s, wide, x, scale, u->weight_decay, u->step);
    s->ops->copy_rounded(s, p, wide, u->rng, site);
}

void muon_step(struct muon_workspace *w, struct stream *s, const struct parameter *p, struct tensor m,
               const struct muon_update *u) {
    int64_t whole[MAX_PARTS] = {p->value.rows}, first = 0;
    const int64_t *parts = p->parts[0] ? p->parts : whole;
    for (int i = 0; i < MAX_PARTS && parts[i] > 0; first += parts[i++]) {
        struct tensor x = shaped(w->x, parts[i], p->value.cols);
        momentum_step(w, s, x, tensor_rows(p->gradient, first, parts[i]), tensor_rows(m, first, parts[i]), u,
                      u->site + (uint32_t)i);
        muon_orthogonalize(w, s, &x);
        /* A tall matrix has fewer directions than rows: its steps are made longer, so that its outputs move alike. */
        double tall = (double)parts[i] / (double)p->value.cols;
        descend(w, s, tensor_rows(p->value, first, parts[i]), x, (float)sqrt(tall > 1 ? tall : 1), u,
                u->site + (uint32_t)(MAX_PARTS + i));
    }
}
