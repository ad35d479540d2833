/* ref_matmul.c - matrix multiplication in its three layouts, and the gradient of a bias. */
#include "tensor/ref/ref.h"

/* Writes operand x to `out` in double as [outer, k]: row r of x is row r of out, or, transposed, column r of x is. */
static void unpack(double *out, struct tensor x, bool transposed, bool round_to_bf16) {
    int64_t outer = transposed ? x.cols : x.rows, k = transposed ? x.rows : x.cols;
    for (int64_t r = 0; r < outer; r++)
        for (int64_t i = 0; i < k; i++) {
            double value = transposed ? ref_load(x, i, r) : ref_load(x, r, i);
            out[r * k + i] = round_to_bf16 ? bf16_to_f32(f32_to_bf16((float)value)) : value;
        }
}

/* c[i, j] = sum over k of a[i, k] b[j, k] once both operands have k as their last axis. */
void ref_matmul(struct stream *s, const struct matmul_options *o, struct tensor c, struct tensor a, struct tensor b) {
    bool a_transposed = o->layout == MATMUL_TN, b_transposed = o->layout != MATMUL_NT;
    bool round_to_bf16 = o->compute == DTYPE_BF16;
    int64_t n_k = a_transposed ? a.rows : a.cols;
    double *left = s->failed ? NULL : ref_scratch(s, (size_t)((c.rows + c.cols) * n_k));
    if (!left) return;
    double *right = left + c.rows * n_k;
    unpack(left, a, a_transposed, round_to_bf16);
    unpack(right, b, b_transposed, round_to_bf16);
    for (int64_t i = 0; i < c.rows; i++)
        for (int64_t j = 0; j < c.cols; j++) {
            double sum = o->accumulate ? ref_load(c, i, j) : 0;
            for (int64_t k = 0; k < n_k; k++) sum += left[i * n_k + k] * right[j * n_k + k];
            if (tensor_present(o->bias)) sum += ref_load(o->bias, 0, j);
            ref_store(c, i, j, sum);
        }
}

void ref_bias_backward(struct stream *s, struct tensor d_bias, struct tensor d_out) {
    if (s->failed) return;
    for (int64_t c = 0; c < d_out.cols; c++) {
        double sum = 0;
        for (int64_t r = 0; r < d_out.rows; r++) sum += ref_load(d_out, r, c);
        ref_add(d_bias, 0, c, sum);
    }
}
