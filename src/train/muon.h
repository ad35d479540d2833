/* muon.h - Muon, for matrices inside a model: the momentum of the gradient, made orthogonal, is the step (K. Jordan et
 * al., "Muon: an optimizer for hidden layers", 2024). Every direction of a matrix moves alike, where AdamW's steps are
 * ruled by the few in which gradients are large. Orthogonal up to a few percent by five steps of a polynomial
 * iteration, with the coefficients of "The Polar Express" (Amsel et al. 2025). Costs some 5 rows^2 (3 cols + rows)
 * operations a matrix and step, rows the shorter side: little beside a large batch, more than the batch itself beside a
 * small one. */
#ifndef TALC_TRAIN_MUON_H
#define TALC_TRAIN_MUON_H

#include "base/arena.h"
#include "model/model.h"

struct muon_options {
    float momentum;       /* after warmup */
    int64_t warmup_steps; /* from 0.85 linearly */
};
/* Of step `t`, counted from 1. */
float muon_momentum(const struct muon_options *o, int64_t t);

/* Where a step computes; floats for the largest matrix. One serves all matrices in turn. */
struct muon_workspace {
    struct tensor x, next, gram, powers; /* views are made in their memory */
    struct tensor sum;
};
/* Plans (an arena without memory) or takes it, for the matrices of this arch. */
void muon_workspace_take(struct muon_workspace *w, struct arena *arena, const struct arch *arch);

#define MUON_SITES (2 * MAX_PARTS)
struct muon_update {
    float weight_decay;
    struct tensor step; /* F32 [1, UPDATE_STEP]: rate, scale and momentum */
    struct tensor rng;  /* I64 [1, 2], of what is kept in bf16; absent where nothing is */
    uint32_t site;      /* the first of MUON_SITES of rounding */
};
/* One step of a parameter (each of its parts by itself). m: as large as its value. Both are F32 or BF16
 * (rounded stochastically). */
void muon_step(struct muon_workspace *w, struct stream *s, const struct parameter *p, struct tensor m,
               const struct muon_update *update);

/* x [r, c] becomes nearly orthogonal: singular values near 1. The result is in *x, which may be another view of the
 * workspace. */
void muon_orthogonalize(struct muon_workspace *w, struct stream *s, struct tensor *x);

#endif
