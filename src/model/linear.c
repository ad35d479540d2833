/* linear.c - the only multiplication by weights, and the norms. */
#include "model/run_internal.h"

void linear_forward(struct run *run, const struct linear *linear, struct tensor out, struct tensor x) {
    struct matmul_options o = {.layout = MATMUL_NT, .bias = value_of(linear->bias), .compute = run->options.compute};
    run->stream->ops->matmul(run->stream, &o, out, x, linear->weight->value);
}

void linear_backward(struct run *run, const struct linear *linear, struct tensor d_x, struct tensor d_out,
                     struct tensor x, bool fresh) {
    const struct ops *ops = run->stream->ops;
    struct matmul_options to_x = {.layout = MATMUL_NN, .compute = run->options.compute};
    struct matmul_options to_weight = {.layout = MATMUL_TN, .accumulate = !fresh, .compute = run->options.compute};
    ops->matmul(run->stream, &to_x, d_x, d_out, linear->weight->value);
    ops->matmul(run->stream, &to_weight, linear->weight->gradient, d_out, x);
    if (linear->bias) ops->bias_backward(run->stream, linear->bias->gradient, d_out);
}

static struct norm_options norm_options(const struct arch *a) {
    return (struct norm_options){.kind = a->norm, .epsilon = a->norm_epsilon};
}

void norm_forward(struct run *run, const struct norm *norm, struct tensor out, struct tensor residual, struct tensor x,
                  struct tensor delta, struct tensor stats) {
    run->stream->ops->norm_forward(run->stream, norm_options(&run->model->arch), out, residual, x, delta,
                                   value_of(norm->weight), value_of(norm->bias), stats);
}

void norm_backward(struct run *run, const struct norm *norm, struct tensor d_x, struct tensor d_out, struct tensor x,
                   struct tensor stats) {
    run->stream->ops->norm_backward(run->stream, norm_options(&run->model->arch), d_x, gradient_of(norm->weight),
                                    gradient_of(norm->bias), d_out, x, value_of(norm->weight), stats);
}
