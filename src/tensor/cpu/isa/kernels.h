/* kernels.h - the operations as this instruction set names them (a suffix each), for table.c. */
#ifndef TALC_TENSOR_CPU_ISA_KERNELS_H
#define TALC_TENSOR_CPU_ISA_KERNELS_H

#include "tensor/cpu/cpu.h"
#include "tensor/cpu/isa/simd.h"

/* At least n multiply-adds on one core, nothing else. */
float ISA_NAME(cpu_multiply_adds)(int64_t n);

void ISA_NAME(cpu_matmul)(struct stream *s, const struct matmul_options *o, struct tensor c, struct tensor a,
                          struct tensor b);
void ISA_NAME(cpu_bias_backward)(struct stream *s, struct tensor d_bias, struct tensor d_out);
void ISA_NAME(cpu_attention_forward)(struct stream *s, const struct attention_options *o,
                                     const struct attention_tensors *t);
void ISA_NAME(cpu_attention_backward)(struct stream *s, const struct attention_options *o,
                                      const struct attention_tensors *t, const struct attention_gradients *g);
void ISA_NAME(cpu_zero)(struct stream *s, struct tensor x);
void ISA_NAME(cpu_copy)(struct stream *s, struct tensor dst, struct tensor src);
void ISA_NAME(cpu_add)(struct stream *s, struct tensor dst, struct tensor src);
void ISA_NAME(cpu_gather_rows)(struct stream *s, struct tensor out, struct tensor x, struct tensor rows);
void ISA_NAME(cpu_scatter_add_rows)(struct stream *s, struct tensor x, struct tensor y, struct tensor rows);
void ISA_NAME(cpu_embedding_forward)(struct stream *s, struct tensor out, struct tensor table, float scale,
                                     struct tensor tokens, struct tensor position_table, struct tensor positions);
void ISA_NAME(cpu_embedding_backward)(struct stream *s, struct tensor d_table, float scale, struct tensor tokens,
                                      struct tensor d_position_table, struct tensor positions, struct tensor d_out);
void ISA_NAME(cpu_dropout)(struct stream *s, struct dropout_options o, struct tensor x, struct tensor rng);
void ISA_NAME(cpu_norm_forward)(struct stream *s, struct norm_options o, struct tensor out, struct tensor residual,
                                struct tensor x, struct tensor delta, struct tensor weight, struct tensor bias,
                                struct tensor stats);
void ISA_NAME(cpu_norm_backward)(struct stream *s, struct norm_options o, struct tensor d_x, struct tensor d_weight,
                                 struct tensor d_bias, struct tensor d_out, struct tensor x, struct tensor weight,
                                 struct tensor stats);
void ISA_NAME(cpu_qkv_forward)(struct stream *s, const struct qkv_options *o, const struct qkv_tensors *t,
                               struct tensor q, struct tensor k, struct tensor v);
void ISA_NAME(cpu_qkv_backward)(struct stream *s, const struct qkv_options *o, const struct qkv_tensors *t,
                                struct tensor d_qkv, struct tensor d_q_norm, struct tensor d_k_norm, struct tensor d_q,
                                struct tensor d_k, struct tensor d_v);
void ISA_NAME(cpu_activation_forward)(struct stream *s, enum activation_kind kind, struct tensor out, struct tensor x);
void ISA_NAME(cpu_activation_backward)(struct stream *s, enum activation_kind kind, struct tensor d_x,
                                       struct tensor d_out, struct tensor x);
void ISA_NAME(cpu_softcap)(struct stream *s, struct tensor x, float cap);
void ISA_NAME(cpu_stats_forward)(struct stream *s, struct tensor stats, struct tensor logits, struct tensor targets,
                                 float inverse_temperature);
void ISA_NAME(cpu_stats_backward)(struct stream *s, struct tensor logits, struct tensor stats, struct tensor grads,
                                  struct tensor targets, float inverse_temperature, float cap);
void ISA_NAME(cpu_copy_rounded)(struct stream *s, struct tensor dst, struct tensor src, struct tensor rng,
                                uint32_t site);
void ISA_NAME(cpu_nesterov)(struct stream *s, struct tensor out, struct tensor gradient, struct tensor m,
                            struct tensor step);
void ISA_NAME(cpu_normalize)(struct stream *s, struct tensor x, struct tensor sum, float slack, float epsilon);
void ISA_NAME(cpu_scale_add)(struct stream *s, struct tensor dst, float a, struct tensor src, float b);
void ISA_NAME(cpu_descend)(struct stream *s, struct tensor parameter, struct tensor update, float scale,
                           float weight_decay, struct tensor step);
void ISA_NAME(cpu_adamw)(struct stream *s, const struct adamw_part *parts, int n_parts);
void ISA_NAME(cpu_sum_of_squares)(struct stream *s, struct tensor sum, struct tensor x);

#endif
