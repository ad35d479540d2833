/* layout.c - see layout.h. Here too: the counts of arch.h, which are sums over the list. */
#include "model/layout.h"

#include <stddef.h>
#include <string.h>

/* Cutting a matrix by rows cuts its bias by columns; cutting it by columns leaves the bias whole. */
enum { BY_ROWS = 0, BY_COLS = 1, WHOLE = -1 };

void layout_before(const struct arch *a, struct layout_entry out[LAYOUT_BEFORE]) {
    const int64_t h = a->hidden_size, v = a->vocab_size, context = a->context_length;
    const struct layout_entry entries[LAYOUT_BEFORE] = {
        {"embedding.weight", ROLE_EMBEDDING, BY_ROWS, true, v, h, offsetof(struct model, embedding), {0}},
        {"positions.weight",
         ROLE_POSITION,
         WHOLE,
         a->learned_positions,
         context,
         h,
         offsetof(struct model, positions),
         {0}},
    };
    memcpy(out, entries, sizeof entries);
}

void layout_block(const struct arch *a, struct layout_entry out[LAYOUT_BLOCK]) {
    const int64_t h = a->hidden_size, f = a->intermediate_size, d = a->head_dim;
    const int64_t q = a->n_heads * d, kv = a->n_kv_heads * d, qkv = q + 2 * kv,
                  up = activation_is_gated(a->activation) ? 2 * f : f;
    const struct layout_entry entries[LAYOUT_BLOCK] = {
        {"attention_norm.weight", ROLE_NORM, WHOLE, true, 1, h, offsetof(struct block, attention_norm.weight), {0}},
        {"attention_norm.bias", ROLE_BIAS, WHOLE, a->norm_bias, 1, h, offsetof(struct block, attention_norm.bias), {0}},
        {"qkv.weight", ROLE_MATRIX, BY_ROWS, true, qkv, h, offsetof(struct block, qkv.weight), {q, kv, kv}},
        {"qkv.bias", ROLE_BIAS, BY_COLS, a->qkv_bias, 1, qkv, offsetof(struct block, qkv.bias), {0}},
        {"q_norm.weight", ROLE_NORM, WHOLE, a->qk_norm, 1, d, offsetof(struct block, q_norm), {0}},
        {"k_norm.weight", ROLE_NORM, WHOLE, a->qk_norm, 1, d, offsetof(struct block, k_norm), {0}},
        {"out.weight", ROLE_MATRIX, BY_COLS, true, h, q, offsetof(struct block, out.weight), {0}},
        {"out.bias", ROLE_BIAS, WHOLE, a->out_bias, 1, h, offsetof(struct block, out.bias), {0}},
        {"attention_post_norm.weight",
         ROLE_NORM,
         WHOLE,
         a->post_norms,
         1,
         h,
         offsetof(struct block, attention_post_norm.weight),
         {0}},
        {"attention_post_norm.bias",
         ROLE_BIAS,
         WHOLE,
         a->post_norms && a->norm_bias,
         1,
         h,
         offsetof(struct block, attention_post_norm.bias),
         {0}},
        {"mlp_norm.weight", ROLE_NORM, WHOLE, true, 1, h, offsetof(struct block, mlp_norm.weight), {0}},
        {"mlp_norm.bias", ROLE_BIAS, WHOLE, a->norm_bias, 1, h, offsetof(struct block, mlp_norm.bias), {0}},
        {"up.weight", ROLE_MATRIX, BY_ROWS, true, up, h, offsetof(struct block, up.weight), {f, up - f}},
        {"up.bias", ROLE_BIAS, BY_COLS, a->mlp_bias, 1, up, offsetof(struct block, up.bias), {0}},
        {"down.weight", ROLE_MATRIX, BY_COLS, true, h, f, offsetof(struct block, down.weight), {0}},
        {"down.bias", ROLE_BIAS, WHOLE, a->mlp_bias, 1, h, offsetof(struct block, down.bias), {0}},
        {"mlp_post_norm.weight",
         ROLE_NORM,
         WHOLE,
         a->post_norms,
         1,
         h,
         offsetof(struct block, mlp_post_norm.weight),
         {0}},
        {"mlp_post_norm.bias",
         ROLE_BIAS,
         WHOLE,
         a->post_norms && a->norm_bias,
         1,
         h,
         offsetof(struct block, mlp_post_norm.bias),
         {0}},
    };
    memcpy(out, entries, sizeof entries);
}

void layout_after(const struct arch *a, struct layout_entry out[LAYOUT_AFTER]) {
    const int64_t h = a->hidden_size, v = a->vocab_size;
    const struct layout_entry entries[LAYOUT_AFTER] = {
        {"final_norm.weight", ROLE_NORM, WHOLE, true, 1, h, offsetof(struct model, final_norm.weight), {0}},
        {"final_norm.bias", ROLE_BIAS, WHOLE, a->norm_bias, 1, h, offsetof(struct model, final_norm.bias), {0}},
        {"head.weight", ROLE_HEAD, BY_ROWS, !a->tie_embeddings, v, h, offsetof(struct model, head.weight), {0}},
    };
    memcpy(out, entries, sizeof entries);
}

/* ---- sums ------------------------------------------------------------------------------------ */

enum measure { COUNT_ALL, COUNT_MATRICES, COUNT_PADDED, COUNT_BYTES, COUNT_BYTES_NARROW };

enum dtype layout_dtype(enum parameter_role role, enum dtype weights) {
    bool narrow = (weights == DTYPE_BF16 || weights == DTYPE_F16) && role != ROLE_NORM && role != ROLE_BIAS;
    return narrow ? weights : DTYPE_F32;
}

size_t layout_entry_bytes(const struct layout_entry *e, enum dtype weights) {
    return (size_t)layout_entry_floats(e) * dtype_size(layout_dtype(e->role, weights));
}

static int64_t measure_of(const struct layout_entry *e, enum measure measure) {
    switch (measure) {
    case COUNT_ALL: return e->rows * e->cols;
    case COUNT_MATRICES: return e->role == ROLE_MATRIX ? e->rows * e->cols : 0;
    case COUNT_PADDED: return layout_entry_floats(e);
    case COUNT_BYTES: return (int64_t)layout_entry_bytes(e, DTYPE_F32);
    default: return (int64_t)layout_entry_bytes(e, DTYPE_BF16);
    }
}

static int64_t sum(const struct layout_entry *entries, int n, enum measure measure) {
    int64_t total = 0;
    for (int i = 0; i < n; i++)
        if (entries[i].present) total += measure_of(&entries[i], measure);
    return total;
}

static int64_t sum_of_all(const struct arch *a, enum measure measure) {
    struct layout_entry before[LAYOUT_BEFORE], block[LAYOUT_BLOCK], after[LAYOUT_AFTER];
    layout_before(a, before);
    layout_block(a, block);
    layout_after(a, after);
    return sum(before, LAYOUT_BEFORE, measure) + a->n_layers * sum(block, LAYOUT_BLOCK, measure) +
           sum(after, LAYOUT_AFTER, measure);
}

size_t layout_bytes(const struct arch *a, enum dtype weights) {
    return (size_t)sum_of_all(a, layout_dtype(ROLE_MATRIX, weights) == DTYPE_F32 ? COUNT_BYTES : COUNT_BYTES_NARROW);
}
int64_t layout_floats(const struct arch *a) { return sum_of_all(a, COUNT_PADDED); }
int64_t arch_parameters(const struct arch *a) { return sum_of_all(a, COUNT_ALL); }
int64_t arch_block_parameters(const struct arch *a) { return sum_of_all(a, COUNT_MATRICES); }

static bool same_rope(const struct layer_arch *a, const struct layer_arch *b) {
    const struct rope_scaling *x = &a->scaling, *y = &b->scaling;
    return a->rope_base == b->rope_base && x->kind == y->kind && x->factor == y->factor && x->low == y->low &&
           x->high == y->high && x->whole == y->whole && x->original_context == y->original_context &&
           x->attention_factor == y->attention_factor;
}

int rope_owner(const struct arch *a, int layer) {
    for (int l = 0; l < layer; l++)
        if (same_rope(&a->layers[l], &a->layers[layer])) return l;
    return layer;
}

int64_t rope_floats(const struct arch *a) {
    int64_t tables = 0;
    if (a->learned_positions) return 0;
    for (int l = 0; l < a->n_layers; l++) tables += rope_owner(a, l) == l;
    return tables * a->context_length * arch_rotary_dim(a);
}
