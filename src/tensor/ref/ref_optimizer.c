/* ref_optimizer.c - the norm of the gradients, the AdamW step (Loshchilov & Hutter 2019), the elementwise parts of
 * Muon. */
#include "tensor/ref/ref.h"

#include <math.h>

#include "tensor/rounding.h"

void ref_sum_of_squares(struct stream *s, struct tensor sum, struct tensor x) {
    if (s->failed) return;
    double total = 0;
    for (int64_t r = 0; r < x.rows; r++)
        for (int64_t c = 0; c < x.cols; c++) total += ref_load(x, r, c) * ref_load(x, r, c);
    ref_add(sum, 0, 0, total);
}

static void store_rounded(struct tensor t, int64_t r, int64_t c, double x, uint32_t random) {
    if (t.dtype == DTYPE_BF16)
        ((uint16_t *)t.data)[r * t.stride + c] = bf16_round_stochastic((float)x, random);
    else
        ref_store(t, r, c, x);
}

static void step_element(const struct adamw_part *a, int64_t r, int64_t c) {
    double beta1 = a->options.beta1, beta2 = a->options.beta2, learning_rate = ref_load(a->step, 0, STEP_LEARNING_RATE);
    double g = ref_load(a->gradient, r, c) * ref_load(a->step, 0, STEP_GRAD_SCALE), p = ref_load(a->parameter, r, c);
    double mean = beta1 * ref_load(a->m, r, c) + (1 - beta1) * g;
    double square = beta2 * ref_load(a->v, r, c) + (1 - beta2) * g * g;
    double mean_hat = mean * ref_load(a->step, 0, STEP_CORRECTION1);
    double square_hat = square * ref_load(a->step, 0, STEP_CORRECTION2);
    double update = mean_hat / (sqrt(square_hat) + (double)a->options.epsilon) + (double)a->options.weight_decay * p;
    uint32_t words[4] = {0};
    int64_t element = r * a->parameter.cols + c, at = element % 4;
    if (tensor_present(a->rng)) rounding_words(a->rng.data, a->site, element - at, words);
    store_rounded(a->parameter, r, c, p - learning_rate * update, words[at]);
    store_rounded(a->m, r, c, mean, words[at] >> 16);
    store_rounded(a->v, r, c, square, words[at] >> 16);
}

void ref_adamw(struct stream *s, const struct adamw_part *parts, int n_parts) {
    if (s->failed) return;
    for (int i = 0; i < n_parts; i++)
        for (int64_t r = 0; r < parts[i].parameter.rows; r++)
            for (int64_t c = 0; c < parts[i].parameter.cols; c++) step_element(&parts[i], r, c);
}

void ref_copy_rounded(struct stream *s, struct tensor dst, struct tensor src, struct tensor rng, uint32_t site) {
    if (s->failed) return;
    for (int64_t r = 0; r < dst.rows; r++)
        for (int64_t c = 0; c < dst.cols; c++) {
            uint32_t words[4];
            int64_t element = r * dst.cols + c;
            rounding_words(rng.data, site, element - element % 4, words);
            store_rounded(dst, r, c, ref_load(src, r, c), words[element % 4]);
        }
}

void ref_nesterov(struct stream *s, struct tensor out, struct tensor gradient, struct tensor m, struct tensor step) {
    if (s->failed) return;
    double momentum = ref_load(step, 0, STEP_MOMENTUM), scale = ref_load(step, 0, STEP_GRAD_SCALE);
    for (int64_t r = 0; r < m.rows; r++)
        for (int64_t c = 0; c < m.cols; c++) {
            double g = scale * ref_load(gradient, r, c), mean = momentum * ref_load(m, r, c) + (1 - momentum) * g;
            ref_store(m, r, c, mean);
            ref_store(out, r, c, momentum * mean + (1 - momentum) * g);
        }
}

void ref_normalize(struct stream *s, struct tensor x, struct tensor sum, float slack, float epsilon) {
    if (s->failed) return;
    double length = (1 + (double)slack) * sqrt(ref_load(sum, 0, 0)) + (double)epsilon;
    for (int64_t r = 0; r < x.rows; r++)
        for (int64_t c = 0; c < x.cols; c++) ref_store(x, r, c, ref_load(x, r, c) / length);
}

void ref_scale_add(struct stream *s, struct tensor dst, float a, struct tensor src, float b) {
    if (s->failed) return;
    for (int64_t r = 0; r < dst.rows; r++)
        for (int64_t c = 0; c < dst.cols; c++)
            ref_store(dst, r, c, (double)a * ref_load(dst, r, c) + (double)b * ref_load(src, r, c));
}

void ref_descend(struct stream *s, struct tensor parameter, struct tensor update, float scale, float weight_decay,
                 struct tensor step) {
    if (s->failed) return;
    double learning_rate = ref_load(step, 0, STEP_LEARNING_RATE);
    for (int64_t r = 0; r < parameter.rows; r++)
        for (int64_t c = 0; c < parameter.cols; c++) {
            double p = ref_load(parameter, r, c), u = (double)scale * ref_load(update, r, c);
            ref_store(parameter, r, c, p - learning_rate * (u + (double)weight_decay * p));
        }
}
