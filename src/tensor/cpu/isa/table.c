/* table.c - the operation table of one instruction set. */
#include "tensor/cpu/isa/kernels.h"

const struct ops ISA_NAME(cpu_ops) = {
    .matmul = ISA_NAME(cpu_matmul),
    .bias_backward = ISA_NAME(cpu_bias_backward),
    .attention_forward = ISA_NAME(cpu_attention_forward),
    .attention_backward = ISA_NAME(cpu_attention_backward),
    .zero = ISA_NAME(cpu_zero),
    .copy = ISA_NAME(cpu_copy),
    .add = ISA_NAME(cpu_add),
    .gather_rows = ISA_NAME(cpu_gather_rows),
    .scatter_add_rows = ISA_NAME(cpu_scatter_add_rows),
    .embedding_forward = ISA_NAME(cpu_embedding_forward),
    .embedding_backward = ISA_NAME(cpu_embedding_backward),
    .dropout = ISA_NAME(cpu_dropout),
    .norm_forward = ISA_NAME(cpu_norm_forward),
    .norm_backward = ISA_NAME(cpu_norm_backward),
    .qkv_forward = ISA_NAME(cpu_qkv_forward),
    .qkv_backward = ISA_NAME(cpu_qkv_backward),
    .activation_forward = ISA_NAME(cpu_activation_forward),
    .activation_backward = ISA_NAME(cpu_activation_backward),
    .stats_forward = ISA_NAME(cpu_stats_forward),
    .stats_backward = ISA_NAME(cpu_stats_backward),
    .adamw = ISA_NAME(cpu_adamw),
    .sum_of_squares = ISA_NAME(cpu_sum_of_squares),
};
