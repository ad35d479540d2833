/* ref_norm.c - RMSNorm (Zhang & Sennrich 2019) and LayerNorm (Ba et al. 2016), with the residual sum before them.
 *
 * Both are y = (x - mean) * scale * w + b, with scale = 1/sqrt(variance + epsilon); RMSNorm takes mean = 0, so that its
 * "variance" is the mean square. */
#include "tensor/ref/ref.h"

#include <math.h>

struct moments {
    double mean, scale;
};

static struct moments row_moments(struct norm_options o, struct tensor x, int64_t r) {
    double sum = 0, square = 0;
    if (o.kind == NORM_LAYER)
        for (int64_t c = 0; c < x.cols; c++) sum += ref_load(x, r, c);
    double mean = sum / (double)x.cols;
    for (int64_t c = 0; c < x.cols; c++) {
        double centred = ref_load(x, r, c) - mean;
        square += centred * centred;
    }
    return (struct moments){.mean = mean, .scale = 1.0 / sqrt(square / (double)x.cols + (double)o.epsilon)};
}

void ref_norm_forward(struct stream *s, struct norm_options o, struct tensor out, struct tensor residual,
                      struct tensor x, struct tensor delta, struct tensor weight, struct tensor bias,
                      struct tensor stats) {
    if (s->failed) return;
    for (int64_t r = 0; r < x.rows; r++) {
        for (int64_t c = 0; c < x.cols; c++)
            ref_store(residual, r, c, ref_load(x, r, c) + (tensor_present(delta) ? ref_load(delta, r, c) : 0));
        struct moments m = row_moments(o, residual, r); /* of the sum as stored: that is what backward will see */
        for (int64_t c = 0; c < x.cols; c++) {
            double y = (ref_load(residual, r, c) - m.mean) * m.scale;
            if (tensor_present(weight)) y *= ref_load(weight, 0, c);
            if (tensor_present(bias)) y += ref_load(bias, 0, c);
            ref_store(out, r, c, y);
        }
        if (!tensor_present(stats)) continue;
        ref_store(stats, r, 0, m.mean);
        ref_store(stats, r, 1, m.scale);
    }
}

/* With y = (x - mean) * scale and g = d_out * w:
 * d_x = scale * (g - y * mean(g * y) - mean(g)), the last term for LayerNorm only. */
static void row_backward(struct norm_options o, struct tensor d_x, struct tensor d_out, struct tensor x,
                         struct tensor weight, int64_t r) {
    struct moments m = row_moments(o, x, r);
    double n = (double)x.cols, sum_g = 0, sum_gy = 0;
    for (int64_t c = 0; c < x.cols; c++) {
        double g = ref_load(d_out, r, c) * (tensor_present(weight) ? ref_load(weight, 0, c) : 1);
        sum_g += g;
        sum_gy += g * (ref_load(x, r, c) - m.mean) * m.scale;
    }
    for (int64_t c = 0; c < x.cols; c++) {
        double g = ref_load(d_out, r, c) * (tensor_present(weight) ? ref_load(weight, 0, c) : 1);
        double y = (ref_load(x, r, c) - m.mean) * m.scale;
        ref_add(d_x, r, c, m.scale * (g - y * sum_gy / n - (o.kind == NORM_LAYER ? sum_g / n : 0)));
    }
}

/* Mean and scale are computed again, in double, rather than read from `stats`. */
void ref_norm_backward(struct stream *s, struct norm_options o, struct tensor d_x, struct tensor d_weight,
                       struct tensor d_bias, struct tensor d_out, struct tensor x, struct tensor weight,
                       struct tensor stats) {
    (void)stats;
    double *sums = s->failed ? NULL : ref_scratch(s, 2 * (size_t)x.cols); /* of d_weight, then of d_bias */
    if (!sums) return;
    for (int64_t r = 0; r < x.rows; r++) {
        struct moments m = row_moments(o, x, r);
        for (int64_t c = 0; c < x.cols; c++) {
            sums[c] += ref_load(d_out, r, c) * (ref_load(x, r, c) - m.mean) * m.scale;
            sums[x.cols + c] += ref_load(d_out, r, c);
        }
        row_backward(o, d_x, d_out, x, weight, r);
    }
    for (int64_t c = 0; c < x.cols; c++) {
        if (tensor_present(d_weight)) ref_add(d_weight, 0, c, sums[c]);
        if (tensor_present(d_bias)) ref_add(d_bias, 0, c, sums[x.cols + c]);
    }
}
