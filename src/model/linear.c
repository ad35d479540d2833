/* linear.c - the only multiplication by weights. */
#include "model/run_internal.h"

void linear_forward(struct run *run, const struct linear *linear, struct tensor out, struct tensor x) {
    struct matmul_options o = {.layout = MATMUL_NT, .bias = value_of(linear->bias), .compute = run->options.compute};
    run->stream->ops->matmul(run->stream, &o, out, x, linear->weight->value);
}

void linear_backward(struct run *run, const struct linear *linear, struct tensor d_x, struct tensor d_out, struct tensor x) {
    const struct ops *ops = run->stream->ops;
    struct matmul_options to_x = {.layout = MATMUL_NN, .compute = run->options.compute};
    struct matmul_options to_weight = {.layout = MATMUL_TN, .accumulate = true, .compute = run->options.compute};
    if (tensor_present(d_x)) ops->matmul(run->stream, &to_x, d_x, d_out, linear->weight->value);
    ops->matmul(run->stream, &to_weight, linear->weight->gradient, d_out, x);
    if (linear->bias) ops->bias_backward(run->stream, linear->bias->gradient, d_out);
}
