/* ref_feedforward.c - activations and dropout. */
#include "tensor/ref/ref.h"

#include <math.h>

static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

#define SQRT_2_OVER_PI 0.79788456080286535588

static double gelu(double x) { return 0.5 * x * (1.0 + tanh(SQRT_2_OVER_PI * (x + 0.044715 * x * x * x))); }

static double gelu_slope(double x) {
    double t = tanh(SQRT_2_OVER_PI * (x + 0.044715 * x * x * x));
    return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * SQRT_2_OVER_PI * (1.0 + 3 * 0.044715 * x * x);
}

static double relu2(double x) { return x > 0 ? x * x : 0; }

static double relu2_slope(double x) { return x > 0 ? 2 * x : 0; }

static double silu(double x) { return x * sigmoid(x); }

static double silu_slope(double x) { return sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x))); }

void ref_activation_forward(struct stream *s, enum activation_kind kind, struct tensor out, struct tensor x) {
    if (s->failed) return;
    for (int64_t r = 0; r < out.rows; r++)
        for (int64_t c = 0; c < out.cols; c++) {
            double gate = ref_load(x, r, c), y;
            switch (kind) {
            case ACTIVATION_GELU_TANH: y = gelu(gate); break;
            case ACTIVATION_SWIGLU: y = silu(gate) * ref_load(x, r, out.cols + c); break;
            case ACTIVATION_GEGLU: y = gelu(gate) * ref_load(x, r, out.cols + c); break;
            default: y = relu2(gate); break;
            }
            ref_store(out, r, c, y);
        }
}

void ref_activation_backward(struct stream *s, enum activation_kind kind, struct tensor d_x, struct tensor d_out,
                             struct tensor x) {
    if (s->failed) return;
    for (int64_t r = 0; r < d_out.rows; r++)
        for (int64_t c = 0; c < d_out.cols; c++) {
            double gate = ref_load(x, r, c), d = ref_load(d_out, r, c);
            switch (kind) {
            case ACTIVATION_GELU_TANH: ref_store(d_x, r, c, d * gelu_slope(gate)); break;
            case ACTIVATION_SWIGLU:
                ref_store(d_x, r, c, d * ref_load(x, r, d_out.cols + c) * silu_slope(gate));
                ref_store(d_x, r, d_out.cols + c, d * silu(gate));
                break;
            case ACTIVATION_GEGLU:
                ref_store(d_x, r, c, d * ref_load(x, r, d_out.cols + c) * gelu_slope(gate));
                ref_store(d_x, r, d_out.cols + c, d * gelu(gate));
                break;
            default: ref_store(d_x, r, c, d * relu2_slope(gate)); break;
            }
        }
}

void ref_dropout(struct stream *s, struct dropout_options o, struct tensor x, struct tensor rng) {
    if (s->failed) return;
    for (int64_t r = 0; r < x.rows; r++)
        for (int64_t c = 0; c < x.cols; c++)
            ref_store(x, r, c, ref_load(x, r, c) * ref_dropout_factor(rng, (double)o.probability, o.site, r, c));
}
