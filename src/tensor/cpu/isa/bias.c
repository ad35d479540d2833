/* bias.c - the gradient of a bias. */
#include "tensor/cpu/isa/kernels.h"

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
    cpu_run(s, (int)((d_out.cols + 63) / 64), sum_columns, &b);
}
