/* ref.h - shared by the files of the reference back end: element access, index checks, scratch, dropout, the op list.
 *
 * The reference says what each operation of ops.h means, as plainly as C allows: loops over elements, one thread, every
 * sum in double and rounded to the tensor's type once, when it is stored. It is slow and it is what others are checked
 * against. */
#ifndef TALC_TENSOR_REF_REF_H
#define TALC_TENSOR_REF_REF_H

#include "base/rng.h"
#include "tensor/ops.h"

extern const struct backend backend_ref;

/* Element (r, c), whatever the number type. */
static inline double ref_load(struct tensor t, int64_t r, int64_t c) {
    int64_t i = r * t.stride + c;
    switch (t.dtype) {
    case DTYPE_F32: return ((const float *)t.data)[i];
    case DTYPE_BF16: return bf16_to_f32(((const uint16_t *)t.data)[i]);
    case DTYPE_F16: return f16_to_f32(((const uint16_t *)t.data)[i]);
    default: return ((const double *)t.data)[i]; /* F64 */
    }
}

static inline void ref_store(struct tensor t, int64_t r, int64_t c, double x) {
    int64_t i = r * t.stride + c;
    switch (t.dtype) {
    case DTYPE_F32: ((float *)t.data)[i] = (float)x; break;
    case DTYPE_BF16: ((uint16_t *)t.data)[i] = f32_to_bf16((float)x); break;
    case DTYPE_F16: ((uint16_t *)t.data)[i] = f32_to_f16((float)x); break;
    default: ((double *)t.data)[i] = x; break; /* F64 */
    }
}

static inline void ref_add(struct tensor t, int64_t r, int64_t c, double x) {
    ref_store(t, r, c, ref_load(t, r, c) + x);
}

/* Element i of an I32 vector. */
static inline int64_t ref_integer(struct tensor t, int64_t i) { return ((const int32_t *)t.data)[i]; }

/* Element i of an I32 vector that must lie in [0, limit); otherwise latches "WHAT i is X, outside 0..limit-1" and
 * returns -1. */
int64_t ref_index(struct stream *s, struct tensor indices, int64_t i, int64_t limit, const char *what);

/* n zeroed doubles, valid until the next call; NULL and a latched error when there is no memory. */
double *ref_scratch(struct stream *s, size_t n);

/* What element (r, c) is multiplied by under dropout: 0 or 1 / (1 - probability). */
double ref_dropout_factor(struct tensor rng, double probability, uint32_t site, int64_t r, int64_t c);

/* The operations, with the arguments that ops.h gives them. */
void ref_zero(struct stream *s, struct tensor x);
void ref_copy(struct stream *s, struct tensor dst, struct tensor src);
void ref_add_tensor(struct stream *s, struct tensor dst, struct tensor src);
void ref_gather_rows(struct stream *s, struct tensor out, struct tensor x, struct tensor rows);
void ref_scatter_add_rows(struct stream *s, struct tensor x, struct tensor y, struct tensor rows);
void ref_embedding_forward(struct stream *s, struct tensor out, struct tensor table, float scale, struct tensor tokens,
                           struct tensor position_table, struct tensor positions);
void ref_embedding_backward(struct stream *s, struct tensor d_table, float scale, struct tensor tokens,
                            struct tensor d_position_table, struct tensor positions, struct tensor d_out);
void ref_norm_forward(struct stream *s, struct norm_options o, struct tensor out, struct tensor residual,
                      struct tensor x, struct tensor delta, struct tensor weight, struct tensor bias,
                      struct tensor stats);
void ref_norm_backward(struct stream *s, struct norm_options o, struct tensor d_x, struct tensor d_weight,
                       struct tensor d_bias, struct tensor d_out, struct tensor x, struct tensor weight,
                       struct tensor stats);
void ref_matmul(struct stream *s, const struct matmul_options *o, struct tensor c, struct tensor a, struct tensor b);
void ref_bias_backward(struct stream *s, struct tensor d_bias, struct tensor d_out);
void ref_qkv_forward(struct stream *s, const struct qkv_options *o, const struct qkv_tensors *t, struct tensor q,
                     struct tensor k, struct tensor v);
void ref_qkv_backward(struct stream *s, const struct qkv_options *o, const struct qkv_tensors *t, struct tensor d_qkv,
                      struct tensor d_q_norm, struct tensor d_k_norm, struct tensor d_q, struct tensor d_k,
                      struct tensor d_v);
void ref_attention_forward(struct stream *s, const struct attention_options *o, const struct attention_tensors *t);
void ref_attention_backward(struct stream *s, const struct attention_options *o, const struct attention_tensors *t,
                            const struct attention_gradients *g);
void ref_activation_forward(struct stream *s, enum activation_kind kind, struct tensor out, struct tensor x);
void ref_activation_backward(struct stream *s, enum activation_kind kind, struct tensor d_x, struct tensor d_out,
                             struct tensor x);
void ref_dropout(struct stream *s, struct dropout_options o, struct tensor x, struct tensor rng);
void ref_softcap(struct stream *s, struct tensor x, float cap);
void ref_stats_forward(struct stream *s, struct tensor stats, struct tensor logits, struct tensor targets,
                       float inverse_temperature);
void ref_stats_backward(struct stream *s, struct tensor logits, struct tensor stats, struct tensor grads,
                        struct tensor targets, float inverse_temperature, float cap);
void ref_sum_of_squares(struct stream *s, struct tensor sum, struct tensor x);
void ref_copy_rounded(struct stream *s, struct tensor dst, struct tensor src, struct tensor rng, uint32_t site);
void ref_nesterov(struct stream *s, struct tensor out, struct tensor gradient, struct tensor m, struct tensor step);
void ref_normalize(struct stream *s, struct tensor x, struct tensor sum, float slack, float epsilon);
void ref_scale_add(struct stream *s, struct tensor dst, float a, struct tensor src, float b);
void ref_descend(struct stream *s, struct tensor parameter, struct tensor update, float scale, float weight_decay,
                 struct tensor step);
void ref_adamw(struct stream *s, const struct adamw_part *parts, int n_parts);

#endif
