/* op_table.c - random cases of every operation; see op_table.h. Each maker lists its operands by number, makes them,
 * and gives the call; those with a backward make its operands too and pair inputs with gradients. */
#include "op_table.h"

#include <math.h>

#include "tensor/ref/ref.h"

static void change(struct operand *x, double scale, double offset) {
    for (int64_t r = 0; r < x->view.rows; r++)
        for (int64_t i = 0; i < x->view.cols; i++) ref_store(x->view, r, i, ref_load(x->view, r, i) * scale + offset);
}

/* Rows and columns of an elementwise operation; sometimes one long row, as all parameters together are. */
static void any_shape(struct op_case *c, int *rows, int *cols) {
    bool vector = c->limit > 1000 && op_case_below(c, 5) == 0;
    *rows = vector ? 1 : op_case_size(c, 65);
    *cols = vector ? 70001 : op_case_size(c, 300);
}

/* ---- moving ---------------------------------------------------------------------------------- */

enum { MOVE_DST, MOVE_SRC, MOVE_ROWS };

static void zero_call(struct stream *s, const struct op_case *c, const struct tensor *t) {
    (void)c;
    s->ops->zero(s, t[MOVE_DST]);
}

static void make_zero(struct op_case *c) {
    int rows, cols;
    any_shape(c, &rows, &cols);
    c->forward = zero_call;
    operand_numbers(c, MOVE_DST, "x", OPERAND_OUT, op_case_float(c), rows, cols)->tolerance = 0;
    op_case_say(c, " [%d, %d] %s", rows, cols, dtype_name(c->operands[MOVE_DST].view.dtype));
}

static void copy_call(struct stream *s, const struct op_case *c, const struct tensor *t) {
    (void)c;
    s->ops->copy(s, t[MOVE_DST], t[MOVE_SRC]);
}

static void make_copy(struct op_case *c) {
    int rows, cols;
    any_shape(c, &rows, &cols);
    enum dtype to = op_case_float(c), from = op_case_float(c);
    c->forward = copy_call;
    c->tolerance = 0;
    operand_numbers(c, MOVE_DST, "dst", OPERAND_OUT, to, rows, cols)->tolerance = 0;
    operand_numbers(c, MOVE_SRC, "src", OPERAND_IN, from, rows, cols);
    ref_store(c->operands[MOVE_SRC].view, 0, 0, op_case_coin(c) ? 70000.0 : -1e-7); /* F16: infinite, subnormal */
    op_case_say(c, " [%d, %d] %s to %s", rows, cols, dtype_name(from), dtype_name(to));
}

static void add_call(struct stream *s, const struct op_case *c, const struct tensor *t) {
    (void)c;
    s->ops->add(s, t[MOVE_DST], t[MOVE_SRC]);
}

static void make_add(struct op_case *c) {
    int rows, cols;
    any_shape(c, &rows, &cols);
    c->forward = add_call;
    c->tolerance = 0;
    operand_numbers(c, MOVE_DST, "dst", OPERAND_INOUT, DTYPE_F32, rows, cols);
    operand_numbers(c, MOVE_SRC, "src", OPERAND_IN, DTYPE_F32, rows, cols);
    op_case_say(c, " [%d, %d]", rows, cols);
}

static void gather_call(struct stream *s, const struct op_case *c, const struct tensor *t) {
    (void)c;
    s->ops->gather_rows(s, t[MOVE_DST], t[MOVE_SRC], t[MOVE_ROWS]);
}

static void make_gather(struct op_case *c) {
    int n = op_case_size(c, 65), rows = op_case_size(c, 65), cols = op_case_size(c, 255);
    c->forward = gather_call;
    c->tolerance = 0;
    operand_numbers(c, MOVE_DST, "out", OPERAND_OUT, DTYPE_F32, n, cols)->per_token = true;
    operand_numbers(c, MOVE_SRC, "x", OPERAND_IN, DTYPE_F32, rows, cols);
    op_case_indices(c, operand_integers(c, MOVE_ROWS, "rows", 1, n), n, rows, false);
    c->operands[MOVE_ROWS].per_token = true;
    op_case_say(c, " %d of %d rows of %d", n, rows, cols);
}

static void scatter_call(struct stream *s, const struct op_case *c, const struct tensor *t) {
    (void)c;
    s->ops->scatter_add_rows(s, t[MOVE_DST], t[MOVE_SRC], t[MOVE_ROWS]);
}

static void make_scatter(struct op_case *c) {
    int rows = op_case_size(c, 65), n = 1 + op_case_below(c, rows), cols = op_case_size(c, 255);
    c->forward = scatter_call;
    c->tolerance = 0;
    operand_numbers(c, MOVE_DST, "x", OPERAND_INOUT, DTYPE_F32, rows, cols);
    operand_numbers(c, MOVE_SRC, "y", OPERAND_IN, DTYPE_F32, n, cols);
    op_case_indices(c, operand_integers(c, MOVE_ROWS, "rows", 1, n), n, rows, true);
    op_case_say(c, " %d of %d rows of %d", n, rows, cols);
}

/* ---- embedding ------------------------------------------------------------------------------- */

enum {
    EMB_OUT,
    EMB_TABLE,
    EMB_TOKENS,
    EMB_POSITION_TABLE,
    EMB_POSITIONS,
    EMB_D_OUT,
    EMB_D_TABLE,
    EMB_D_POSITION_TABLE
};

static void embedding_call(struct stream *s, const struct op_case *c, const struct tensor *t) {
    s->ops->embedding_forward(s, t[EMB_OUT], t[EMB_TABLE], c->embedding_scale, t[EMB_TOKENS], t[EMB_POSITION_TABLE],
                              t[EMB_POSITIONS]);
}

static void embedding_back(struct stream *s, const struct op_case *c, const struct tensor *t) {
    s->ops->embedding_backward(s, t[EMB_D_TABLE], c->embedding_scale, t[EMB_TOKENS], t[EMB_D_POSITION_TABLE],
                               t[EMB_POSITIONS], t[EMB_D_OUT]);
}

static void make_embedding(struct op_case *c) {
    int n = op_case_size(c, 129), vocab = op_case_size(c, 65), h = op_case_size(c, 255), places = op_case_size(c, 33);
    bool with_positions = op_case_coin(c);
    enum dtype dtype = op_case_float(c);
    c->forward = embedding_call;
    c->backward = embedding_back;
    c->embedding_scale = op_case_coin(c) ? 1 : 5.6568542f;
    c->tolerance = c->embedding_scale == 1 ? 0 : 1e-6;
    operand_numbers(c, EMB_OUT, "out", OPERAND_OUT, DTYPE_F32, n, h)->per_token = true;
    operand_numbers(c, EMB_TABLE, "table", OPERAND_IN, dtype, vocab, h);
    op_case_indices(c, operand_integers(c, EMB_TOKENS, "tokens", 1, n), n, vocab, false); /* often repeated */
    c->operands[EMB_TOKENS].per_token = true;
    operand_numbers(c, EMB_D_OUT, "d_out", OPERAND_IN, DTYPE_F32, n, h)->per_token = true;
    operand_numbers(c, EMB_D_TABLE, "d_table", OPERAND_INOUT, DTYPE_F32, vocab, h);
    op_case_output(c, EMB_OUT, EMB_D_OUT);
    op_case_gradient(c, EMB_TABLE, EMB_D_TABLE, true);
    if (with_positions) {
        operand_numbers(c, EMB_POSITION_TABLE, "position_table", OPERAND_IN, dtype, places, h);
        op_case_indices(c, operand_integers(c, EMB_POSITIONS, "positions", 1, n), n, places, false);
        c->operands[EMB_POSITIONS].per_token = true;
        operand_numbers(c, EMB_D_POSITION_TABLE, "d_position_table", OPERAND_INOUT, DTYPE_F32, places, h);
        op_case_gradient(c, EMB_POSITION_TABLE, EMB_D_POSITION_TABLE, true);
    }
    op_case_say(c, " n=%d V=%d h=%d x%g %s%s", n, vocab, h, (double)c->embedding_scale, dtype_name(dtype),
                if_so(with_positions, " positions"));
}

/* ---- normalisation --------------------------------------------------------------------------- */

enum {
    NORM_OUT,
    NORM_RESIDUAL,
    NORM_X,
    NORM_DELTA,
    NORM_WEIGHT,
    NORM_BIAS,
    NORM_STATS,
    NORM_D_OUT,
    NORM_D_X,
    NORM_D_WEIGHT,
    NORM_D_BIAS
};

/* The residual is x itself where it is absent from the case. */
static struct tensor norm_residual(const struct tensor *t) {
    return tensor_present(t[NORM_RESIDUAL]) ? t[NORM_RESIDUAL] : t[NORM_X];
}

static void norm_call(struct stream *s, const struct op_case *c, const struct tensor *t) {
    s->ops->norm_forward(s, c->norm, t[NORM_OUT], norm_residual(t), t[NORM_X], t[NORM_DELTA], t[NORM_WEIGHT],
                         t[NORM_BIAS], t[NORM_STATS]);
}

static void norm_back(struct stream *s, const struct op_case *c, const struct tensor *t) {
    s->ops->norm_backward(s, c->norm, t[NORM_D_X], t[NORM_D_WEIGHT], t[NORM_D_BIAS], t[NORM_D_OUT], norm_residual(t),
                          t[NORM_WEIGHT], t[NORM_STATS]);
}

static void make_norm(struct op_case *c) {
    int n = op_case_size(c, 129), h = op_case_size(c, 521);
    bool layer = op_case_coin(c), delta = op_case_coin(c), in_place = op_case_coin(c), stats = op_case_below(c, 4);
    bool weight = op_case_below(c, 4), bias = layer && weight && op_case_coin(c);
    /* A mean of 50 deviations: x - mean keeps 5 digits of 7, and a variance taken as E[x^2] - mean^2 none. */
    bool far = !c->smooth && h > 16 && op_case_below(c, 3) == 0;
    if (far) c->tolerance = 1e-4;
    c->norm = (struct norm_options){layer ? NORM_LAYER : NORM_RMS, op_case_epsilon(c)};
    c->forward = norm_call;
    c->backward = stats ? norm_back : NULL;
    operand_numbers(c, NORM_OUT, "out", OPERAND_OUT, DTYPE_F32, n, h)->per_token = true;
    if (!in_place) operand_numbers(c, NORM_RESIDUAL, "residual", OPERAND_OUT, DTYPE_F32, n, h)->per_token = true;
    struct operand *x = operand_numbers(c, NORM_X, "x", in_place ? OPERAND_INOUT : OPERAND_IN, DTYPE_F32, n, h);
    x->per_token = true;
    if (far) change(x, 2, 100);
    if (delta) operand_numbers(c, NORM_DELTA, "delta", OPERAND_IN, DTYPE_F32, n, h)->per_token = true;
    if (weight) operand_numbers(c, NORM_WEIGHT, "weight", OPERAND_IN, DTYPE_F32, 1, h);
    if (bias) operand_numbers(c, NORM_BIAS, "bias", OPERAND_IN, DTYPE_F32, 1, h);
    if (stats) operand_numbers(c, NORM_STATS, "stats", OPERAND_OUT, DTYPE_F32, n, 2)->per_token = true;
    operand_numbers(c, NORM_D_OUT, "d_out", OPERAND_IN, DTYPE_F32, n, h)->per_token = true;
    operand_numbers(c, NORM_D_X, "d_x", OPERAND_INOUT, DTYPE_F32, n, h)->per_token = true;
    if (weight) operand_numbers(c, NORM_D_WEIGHT, "d_weight", OPERAND_INOUT, DTYPE_F32, 1, h);
    if (bias) operand_numbers(c, NORM_D_BIAS, "d_bias", OPERAND_INOUT, DTYPE_F32, 1, h);
    op_case_output(c, NORM_OUT, NORM_D_OUT);
    op_case_gradient(c, NORM_X, NORM_D_X, true);
    if (delta) op_case_gradient(c, NORM_DELTA, NORM_D_X, true);
    if (weight) op_case_gradient(c, NORM_WEIGHT, NORM_D_WEIGHT, true);
    if (bias) op_case_gradient(c, NORM_BIAS, NORM_D_BIAS, true);
    op_case_say(c, " %s n=%d h=%d%s%s%s%s%s%s", layer ? "layer" : "rms", n, h, if_so(delta, " delta"),
                if_so(in_place, " in-place"), if_so(weight, " weight"), if_so(bias, " bias"),
                if_so(!stats, " no-stats"), if_so(far, " far"));
}

/* ---- linear ---------------------------------------------------------------------------------- */

enum { MM_C, MM_A, MM_B, MM_BIAS, MM_D_C, MM_D_A, MM_D_B, MM_D_BIAS };

static void matmul_call(struct stream *s, const struct op_case *c, const struct tensor *t) {
    struct matmul_options o = c->matmul;
    o.bias = t[MM_BIAS];
    s->ops->matmul(s, &o, t[MM_C], t[MM_A], t[MM_B]);
}

static void make_matmul(struct op_case *c) {
    static const char *const layouts[] = {"NT", "NN", "TN"};
    static const enum dtype computes[] = {DTYPE_NONE, DTYPE_F32, DTYPE_BF16};
    int m, n, k, most = op_case_below(c, 16) ? 2000000 : 30000000;
    do {
        m = op_case_size(c, 300);
        n = op_case_size(c, 521);
        k = op_case_size(c, 1030);
    } while ((int64_t)m * n * k > most);
    enum matmul_layout layout = (enum matmul_layout)op_case_below(c, 3);
    bool bias = op_case_coin(c);
    enum dtype dtype = op_case_float(c);
    c->matmul = (struct matmul_options){
        .layout = layout, .accumulate = op_case_coin(c), .compute = computes[op_case_below(c, 3)]};
    c->forward = matmul_call;
    enum operand_role role = c->matmul.accumulate ? OPERAND_INOUT : OPERAND_OUT;
    struct operand *out = operand_numbers(c, MM_C, "c", role, DTYPE_F32, m, n);
    out->floor = 0.1 * sqrt(k); /* k terms of either sign */
    struct operand *a =
        operand_numbers(c, MM_A, "a", OPERAND_IN, DTYPE_F32, layout == MATMUL_TN ? k : m, layout == MATMUL_TN ? m : k);
    operand_numbers(c, MM_B, "b", OPERAND_IN, dtype, layout == MATMUL_NT ? n : k, layout == MATMUL_NT ? k : n);
    if (bias) operand_numbers(c, MM_BIAS, "bias", OPERAND_IN, DTYPE_F32, 1, n);
    out->per_token = a->per_token = layout != MATMUL_TN;
    op_case_say(c, " %s m=%d n=%d k=%d b=%s compute=%s%s%s", layouts[layout], m, n, k, dtype_name(dtype),
                dtype_name(c->matmul.compute), if_so(c->matmul.accumulate, " accumulate"), if_so(bias, " bias"));
}

/* What its caller knows to be symmetric: x x^T, x^T x, or the square of what is. */
static void make_symmetric(struct op_case *c) {
    static const char *const layouts[] = {"NT", "NN", "TN"};
    int n = op_case_size(c, 300), k = op_case_size(c, 300);
    enum matmul_layout layout = (enum matmul_layout)op_case_below(c, 3);
    if (layout == MATMUL_NN) k = n;
    int rows = layout == MATMUL_TN ? k : n, cols = layout == MATMUL_TN ? n : k;
    c->matmul = (struct matmul_options){
        .layout = layout, .symmetric = true, .compute = op_case_coin(c) ? DTYPE_BF16 : DTYPE_F32};
    c->forward = matmul_call;
    operand_numbers(c, MM_C, "c", OPERAND_OUT, DTYPE_F32, n, n)->floor = 0.1 * sqrt(k);
    struct tensor a = operand_numbers(c, MM_A, "a", OPERAND_IN, DTYPE_F32, rows, cols)->view;
    struct tensor b = operand_numbers(c, MM_B, "b", OPERAND_IN, DTYPE_F32, rows, cols)->view;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < cols; i++) {
            if (layout == MATMUL_NN && i < r) ref_store(a, r, i, ref_load(a, i, r));
            ref_store(b, r, i, ref_load(a, r, i));
        }
    op_case_say(c, " %s n=%d k=%d compute=%s", layouts[layout], n, k, dtype_name(c->matmul.compute));
}

/* A linear layer: c = a b^T + bias, and the two matmuls and the sum that are its backward. */
static void linear_back(struct stream *s, const struct op_case *c, const struct tensor *t) {
    struct matmul_options d_a = {.layout = MATMUL_NN, .compute = c->matmul.compute};
    struct matmul_options d_b = {.layout = MATMUL_TN, .compute = c->matmul.compute, .accumulate = true};
    s->ops->matmul(s, &d_a, t[MM_D_A], t[MM_D_C], t[MM_B]);
    s->ops->matmul(s, &d_b, t[MM_D_B], t[MM_D_C], t[MM_A]);
    s->ops->bias_backward(s, t[MM_D_BIAS], t[MM_D_C]);
}

static void make_linear(struct op_case *c) {
    int m = op_case_size(c, 129), n = op_case_size(c, 129), k = op_case_size(c, 129);
    c->matmul = (struct matmul_options){.layout = MATMUL_NT, .compute = DTYPE_F32};
    c->forward = matmul_call;
    c->backward = linear_back;
    operand_numbers(c, MM_C, "c", OPERAND_OUT, DTYPE_F32, m, n)->floor = 0.1 * sqrt(k);
    operand_numbers(c, MM_A, "a", OPERAND_IN, DTYPE_F32, m, k)->per_token = true;
    operand_numbers(c, MM_B, "b", OPERAND_IN, DTYPE_F32, n, k);
    operand_numbers(c, MM_BIAS, "bias", OPERAND_IN, DTYPE_F32, 1, n);
    operand_numbers(c, MM_D_C, "d_c", OPERAND_IN, DTYPE_F32, m, n)->per_token = true;
    operand_numbers(c, MM_D_A, "d_a", OPERAND_OUT, DTYPE_F32, m, k)->floor = 0.1 * sqrt(n);
    operand_numbers(c, MM_D_B, "d_b", OPERAND_INOUT, DTYPE_F32, n, k)->floor = 0.1 * sqrt(m);
    operand_numbers(c, MM_D_BIAS, "d_bias", OPERAND_INOUT, DTYPE_F32, 1, n)->floor = 0.1 * sqrt(m);
    c->operands[MM_C].per_token = c->operands[MM_D_A].per_token = true;
    op_case_output(c, MM_C, MM_D_C);
    op_case_gradient(c, MM_A, MM_D_A, false);
    op_case_gradient(c, MM_B, MM_D_B, true);
    op_case_gradient(c, MM_BIAS, MM_D_BIAS, true);
    op_case_say(c, " m=%d n=%d k=%d", m, n, k);
}

/* ---- feed-forward ---------------------------------------------------------------------------- */

enum { ACT_OUT, ACT_X, ACT_D_OUT, ACT_D_X };

static void activation_call(struct stream *s, const struct op_case *c, const struct tensor *t) {
    s->ops->activation_forward(s, c->activation, t[ACT_OUT], t[ACT_X]);
}

static void activation_back(struct stream *s, const struct op_case *c, const struct tensor *t) {
    s->ops->activation_backward(s, c->activation, t[ACT_D_X], t[ACT_D_OUT], t[ACT_X]);
}

static void make_activation(struct op_case *c) {
    static const char *const names[] = {"gelu", "swiglu", "relu2", "geglu"};
    static const double scales[] = {1, 4, 60};
    int kind = op_case_below(c, 4), n = op_case_size(c, 65), f = op_case_size(c, 521);
    int width = activation_is_gated((enum activation_kind)kind) ? 2 * f : f;
    double scale = scales[op_case_below(c, c->smooth ? 1 : 3)];
    c->activation = (enum activation_kind)kind;
    c->forward = activation_call;
    c->backward = activation_back;
    operand_numbers(c, ACT_OUT, "out", OPERAND_OUT, DTYPE_F32, n, f)->per_token = true;
    struct operand *x = operand_numbers(c, ACT_X, "x", OPERAND_IN, DTYPE_F32, n, width);
    x->per_token = true;
    change(x, scale, 0);
    for (int64_t r = 0; c->smooth && r < n; r++) /* away from the kink of relu2 at 0 */
        for (int64_t i = 0; i < width; i++) ref_add(x->view, r, i, ref_load(x->view, r, i) < 0 ? -0.25 : 0.25);
    operand_numbers(c, ACT_D_OUT, "d_out", OPERAND_IN, DTYPE_F32, n, f)->per_token = true;
    operand_numbers(c, ACT_D_X, "d_x", OPERAND_OUT, DTYPE_F32, n, width)->per_token = true;
    op_case_output(c, ACT_OUT, ACT_D_OUT);
    op_case_gradient(c, ACT_X, ACT_D_X, false);
    op_case_say(c, " %s n=%d f=%d x%g", names[kind], n, f, scale);
}

enum { DROP_X, DROP_D, DROP_RNG };

static void dropout_call(struct stream *s, const struct op_case *c, const struct tensor *t) {
    s->ops->dropout(s, c->dropout, t[DROP_X], t[DROP_RNG]);
}

static void dropout_back(struct stream *s, const struct op_case *c, const struct tensor *t) {
    s->ops->dropout(s, c->dropout, t[DROP_D], t[DROP_RNG]);
}

static void make_dropout(struct op_case *c) {
    static const float probabilities[] = {0, 0.1f, 0.5f, 0.9f};
    int rows = op_case_size(c, 65), cols = op_case_size(c, 255);
    c->dropout = (struct dropout_options){probabilities[op_case_below(c, 4)], (uint32_t)op_case_below(c, 1000)};
    c->forward = dropout_call;
    c->backward = dropout_back;
    operand_numbers(c, DROP_X, "x", OPERAND_INOUT, DTYPE_F32, rows, cols);
    operand_numbers(c, DROP_D, "d", OPERAND_INOUT, DTYPE_F32, rows, cols);
    operand_rng(c, DROP_RNG);
    op_case_output(c, DROP_X, DROP_D);
    op_case_gradient(c, DROP_X, DROP_D, false);
    op_case_say(c, " [%d, %d] p=%g site=%u", rows, cols, (double)c->dropout.probability, c->dropout.site);
}

/* ---- classifier ------------------------------------------------------------------------------ */

enum { CLS_STATS, CLS_LOGITS, CLS_TARGETS, CLS_GRADS };

static void softcap_call(struct stream *s, const struct op_case *c, const struct tensor *t) {
    s->ops->softcap(s, t[CLS_LOGITS], c->cap);
}

static void make_softcap(struct op_case *c) {
    static const double scales[] = {1e-3, 1, 30, 1000};
    int rows, cols;
    double scale = scales[op_case_below(c, 4)];
    any_shape(c, &rows, &cols);
    c->cap = op_case_coin(c) ? 30 : 0.7f;
    c->forward = softcap_call;
    c->tolerance = 1e-6;
    struct operand *x = operand_numbers(c, CLS_LOGITS, "x", OPERAND_INOUT, DTYPE_F32, rows, cols);
    x->per_token = true;
    change(x, scale, 0);
    op_case_say(c, " [%d, %d] x%g cap %g", rows, cols, scale, (double)c->cap);
}

/* With a cap the logits go through it first, as the gradient goes back through it. */
static void stats_call(struct stream *s, const struct op_case *c, const struct tensor *t) {
    if (c->cap > 0) s->ops->softcap(s, t[CLS_LOGITS], c->cap);
    s->ops->stats_forward(s, t[CLS_STATS], t[CLS_LOGITS], t[CLS_TARGETS], c->inverse_temperature);
}

static void stats_back(struct stream *s, const struct op_case *c, const struct tensor *t) {
    s->ops->stats_backward(s, t[CLS_LOGITS], t[CLS_STATS], t[CLS_GRADS], t[CLS_TARGETS], c->inverse_temperature,
                           c->cap);
}

/* Some logits of a row at -1e4 or +1e4. With `ties` several share the top: lse in F32 is then too coarse for the
 * gradients, so there is no backward. */
static void make_extreme(struct op_case *c, struct tensor logits, bool ties) {
    for (int64_t r = 0; r < logits.rows; r++) {
        for (int64_t j = 0; j < logits.cols; j++)
            if (op_case_coin(c)) ref_store(logits, r, j, ties && op_case_coin(c) ? 1e4 : -1e4);
        ref_store(logits, r, op_case_below(c, (int)logits.cols), 1e4);
    }
}

static void make_stats(struct op_case *c) {
    static const char *const kinds[] = {"", " wide", " extreme", " extreme with ties"};
    int n = op_case_size(c, 33), vocab = op_case_size(c, 1030), kind = c->smooth ? 0 : op_case_below(c, 4);
    c->inverse_temperature = op_case_coin(c) ? 1.0f : 0.7f;
    if (kind < 2 && op_case_coin(c)) c->cap = op_case_coin(c) ? 30 : 2;
    c->forward = stats_call;
    c->backward = kind < 3 ? stats_back : NULL;
    struct operand *stats = operand_numbers(c, CLS_STATS, "stats", OPERAND_INOUT, DTYPE_F32, n, TOKEN_STATS);
    stats->by_column = true;
    stats->floor = 1;
    struct operand *logits = operand_numbers(c, CLS_LOGITS, "logits", OPERAND_INOUT, DTYPE_F32, n, vocab);
    logits->floor = 0.1;
    if (kind == 1) change(logits, 5, -3);
    if (kind >= 2) make_extreme(c, logits->view, kind == 3);
    op_case_indices(c, operand_integers(c, CLS_TARGETS, "targets", 1, n), n, vocab, false);
    operand_numbers(c, CLS_GRADS, "grads", OPERAND_IN, DTYPE_F32, n, TOKEN_STATS);
    for (int i = CLS_STATS; i <= CLS_GRADS; i++) c->operands[i].per_token = true;
    op_case_output(c, CLS_STATS, CLS_GRADS);
    op_case_gradient(c, CLS_LOGITS, CLS_LOGITS, false);
    op_case_say(c, " n=%d V=%d t=%g cap=%g%s", n, vocab, (double)c->inverse_temperature, (double)c->cap, kinds[kind]);
}

/* ---- optimizer ------------------------------------------------------------------------------- */

enum { SQ_SUM, SQ_X };

static void squares_call(struct stream *s, const struct op_case *c, const struct tensor *t) {
    (void)c;
    s->ops->sum_of_squares(s, t[SQ_SUM], t[SQ_X]);
}

static void make_squares(struct op_case *c) {
    static const double specials[] = {NAN, INFINITY, -INFINITY, 1e25, 0};
    int rows, cols, special = op_case_below(c, 10);
    any_shape(c, &rows, &cols);
    c->forward = squares_call;
    c->tolerance = 1e-6;
    operand_numbers(c, SQ_SUM, "sum", OPERAND_INOUT, DTYPE_F64, 1, 1);
    struct operand *x = operand_numbers(c, SQ_X, "x", OPERAND_IN, DTYPE_F32, rows, cols);
    if (special < 5) ref_store(x->view, op_case_below(c, rows), op_case_below(c, cols), specials[special]);
    op_case_say(c, " [%d, %d]", rows, cols);
    if (special < 5) op_case_say(c, " one is %g", specials[special]);
}

enum { ADAM_PARAMETER, ADAM_GRADIENT, ADAM_M, ADAM_V, ADAM_STEPS, ADAM_RNG };

/* Two parts: the first rows, and the others with another decay and step. */
static void adamw_call(struct stream *s, const struct op_case *c, const struct tensor *t) {
    int64_t rows = t[ADAM_PARAMETER].rows, first = rows / 3;
    struct adamw_part parts[2];
    for (int i = 0; i < 2; i++) {
        int64_t begin = i ? first : 0, n = i ? rows - first : first;
        struct adamw_options options = c->adamw;
        if (i) options.weight_decay = 0.2f;
        parts[i] = (struct adamw_part){options,
                                       tensor_rows(t[ADAM_PARAMETER], begin, n),
                                       tensor_rows(t[ADAM_GRADIENT], begin, n),
                                       tensor_rows(t[ADAM_M], begin, n),
                                       tensor_rows(t[ADAM_V], begin, n),
                                       tensor_rows(t[ADAM_STEPS], i, 1),
                                       t[ADAM_RNG],
                                       (uint32_t)(7 + i)};
    }
    s->ops->adamw(s, parts, 2);
}

static void make_adamw(struct op_case *c) {
    int rows, cols, step = 1 + op_case_below(c, 50);
    any_shape(c, &rows, &cols);
    c->adamw = (struct adamw_options){0.9f, 0.95f, 1e-8f, op_case_coin(c) ? 0.1f : 0};
    c->forward = adamw_call;
    static const enum dtype kept[][3] = {{DTYPE_F32, DTYPE_F32, DTYPE_F32},
                                         {DTYPE_F32, DTYPE_BF16, DTYPE_BF16},
                                         {DTYPE_BF16, DTYPE_BF16, DTYPE_BF16},
                                         {DTYPE_BF16, DTYPE_F32, DTYPE_F32}};
    const enum dtype *dtypes = kept[c->smooth ? 0 : op_case_below(c, 4)];
    bool rounded = dtypes[0] == DTYPE_BF16 || dtypes[1] == DTYPE_BF16;
    operand_numbers(c, ADAM_PARAMETER, "parameter", OPERAND_INOUT, dtypes[0], rows, cols);
    operand_numbers(c, ADAM_GRADIENT, "gradient", OPERAND_IN, DTYPE_F32, rows, cols);
    operand_numbers(c, ADAM_M, "m", OPERAND_INOUT, dtypes[1], rows, cols);
    struct tensor v = operand_numbers(c, ADAM_V, "v", OPERAND_INOUT, dtypes[2], rows, cols)->view;
    if (rounded) operand_rng(c, ADAM_RNG);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < cols; i++) ref_store(v, r, i, fabs(ref_load(v, r, i)));
    struct tensor steps = operand_numbers(c, ADAM_STEPS, "steps", OPERAND_IN, DTYPE_F32, 2, UPDATE_STEP)->view;
    for (int i = 0; i < 2; i++) {
        ref_store(steps, i, STEP_LEARNING_RATE, 0.01 + 0.02 * i);
        ref_store(steps, i, STEP_CORRECTION1, 1 / (1 - pow((double)c->adamw.beta1, step)));
        ref_store(steps, i, STEP_CORRECTION2, 1 / (1 - pow((double)c->adamw.beta2, step)));
        ref_store(steps, i, STEP_GRAD_SCALE, op_case_coin(c) ? 1 : 0.3);
    }
    op_case_say(c, " [%d, %d] step %d decay %g, parameter %s, m %s, v %s", rows, cols, step,
                (double)c->adamw.weight_decay, dtype_name(dtypes[0]), dtype_name(dtypes[1]), dtype_name(dtypes[2]));
}

static void copy_rounded_call(struct stream *s, const struct op_case *c, const struct tensor *t) {
    (void)c;
    s->ops->copy_rounded(s, t[MOVE_DST], t[MOVE_SRC], t[MOVE_ROWS], 3);
}

static void make_copy_rounded(struct op_case *c) {
    int rows, cols;
    any_shape(c, &rows, &cols);
    c->forward = copy_rounded_call;
    operand_numbers(c, MOVE_DST, "dst", OPERAND_OUT, DTYPE_BF16, rows, cols)->tolerance = 0;
    struct tensor src = operand_numbers(c, MOVE_SRC, "src", OPERAND_IN, DTYPE_F32, rows, cols)->view;
    operand_rng(c, MOVE_ROWS);
    ref_store(src, 0, 0, op_case_coin(c) ? (double)INFINITY : -1e-40);
    op_case_say(c, " [%d, %d]", rows, cols);
}

/* The parts of Muon: nesterov, then normalize, scale_add and descend over what it left. */
enum { MUON_OUT, MUON_GRADIENT, MUON_M, MUON_SUM, MUON_SUMMED, MUON_PARAMETER, MUON_STEP };

static void muon_call(struct stream *s, const struct op_case *c, const struct tensor *t) {
    float a = c->inverse_temperature;
    s->ops->nesterov(s, t[MUON_OUT], t[MUON_GRADIENT], t[MUON_M], t[MUON_STEP]);
    s->ops->sum_of_squares(s, t[MUON_SUM], t[MUON_OUT]);
    s->ops->normalize(s, t[MUON_OUT], t[MUON_SUM], 0.02f, 1e-6f);
    s->ops->scale_add(s, t[MUON_SUMMED], a, t[MUON_OUT], 1 - 2 * a);
    s->ops->descend(s, t[MUON_PARAMETER], t[MUON_SUMMED], 1.5f, a, t[MUON_STEP]);
}

static void make_muon(struct op_case *c) {
    int rows, cols;
    any_shape(c, &rows, &cols);
    c->forward = muon_call;
    c->inverse_temperature = 0.25f * (float)op_case_below(c, 5);
    operand_numbers(c, MUON_OUT, "out", OPERAND_OUT, DTYPE_F32, rows, cols);
    operand_numbers(c, MUON_GRADIENT, "gradient", OPERAND_IN, DTYPE_F32, rows, cols);
    operand_numbers(c, MUON_M, "m", OPERAND_INOUT, DTYPE_F32, rows, cols);
    struct tensor sum = operand_numbers(c, MUON_SUM, "sum", OPERAND_INOUT, DTYPE_F64, 1, 1)->view;
    ref_store(sum, 0, 0, 0);
    operand_numbers(c, MUON_SUMMED, "summed", OPERAND_INOUT, DTYPE_F32, rows, cols);
    operand_numbers(c, MUON_PARAMETER, "parameter", OPERAND_INOUT, DTYPE_F32, rows, cols);
    struct tensor numbers = operand_numbers(c, MUON_STEP, "step", OPERAND_IN, DTYPE_F32, 1, UPDATE_STEP)->view;
    ref_store(numbers, 0, STEP_LEARNING_RATE, 0.02);
    ref_store(numbers, 0, STEP_GRAD_SCALE, op_case_coin(c) ? 1 : 0.3);
    ref_store(numbers, 0, STEP_MOMENTUM, 0.95);
    op_case_say(c, " [%d, %d] %g", rows, cols, (double)c->inverse_temperature);
}

const struct op_maker op_makers[] = {
    {"zero", 10, make_zero},
    {"copy", 30, make_copy},
    {"add", 20, make_add},
    {"gather_rows", 20, make_gather},
    {"scatter_add_rows", 20, make_scatter},
    {"embedding", 30, make_embedding},
    {"norm", 60, make_norm},
    {"matmul", 150, make_matmul},
    {"symmetric", 40, make_symmetric},
    {"linear", 20, make_linear},
    {"qkv", 60, make_qkv},
    {"attention", 60, make_attention},
    {"attention_cache", 60, make_attention_cache},
    {"activation", 50, make_activation},
    {"dropout", 20, make_dropout},
    {"softcap", 20, make_softcap},
    {"stats", 80, make_stats},
    {"sum_of_squares", 30, make_squares},
    {"adamw", 20, make_adamw},
    {"copy_rounded", 20, make_copy_rounded},
    {"muon", 20, make_muon},
    {NULL, 0, NULL},
};
