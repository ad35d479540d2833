/* model_case.c - see model_case.h. */
#include "model_case.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "file/safetensors.h"
#include "cmocka_all.h"

void device_case_open(struct device_case *d, const char *device) {
    struct talc_error err = {0};
    d->pool = thread_pool_open(2, &err);
    if (!d->pool || !stream_open(&d->stream, device, d->pool, &err)) fail_msg("%s", err.message);
}

void device_case_close(struct device_case *d) {
    stream_close(&d->stream);
    thread_pool_close(d->pool);
}

static void take(struct text_case *t, int n_tokens, int n_documents) {
    *t = (struct text_case){.tokens = calloc((size_t)n_tokens, sizeof(int32_t)),
                            .targets = calloc((size_t)n_tokens, sizeof(int32_t)),
                            .positions = calloc((size_t)n_tokens, sizeof(int32_t)),
                            .starts = calloc((size_t)n_documents + 1, sizeof(int32_t))};
    assert_true(t->tokens && t->targets && t->positions && t->starts);
    t->batch = (struct batch){.n_tokens = n_tokens,
                              .n_sequences = n_documents,
                              .tokens = t->tokens,
                              .targets = t->targets,
                              .positions = t->positions,
                              .starts = t->starts};
}

static void count_positions(struct text_case *t) {
    for (int d = 0; d < t->batch.n_sequences; d++)
        for (int i = t->starts[d]; i < t->starts[d + 1]; i++) t->positions[i] = i - t->starts[d];
}

void text_case_random(struct text_case *t, int vocab_size, int n_documents, const int *lengths, uint64_t seed) {
    struct rng rng = rng_make(seed, 0);
    int n_tokens = 0;
    for (int d = 0; d < n_documents; d++) n_tokens += lengths[d];
    take(t, n_tokens, n_documents);
    for (int d = 0; d < n_documents; d++) t->starts[d + 1] = t->starts[d] + lengths[d];
    for (int i = 0; i < n_tokens; i++) {
        t->tokens[i] = (int32_t)rng_below(&rng, (uint64_t)vocab_size);
        t->targets[i] = (int32_t)rng_below(&rng, (uint64_t)vocab_size);
    }
    count_positions(t);
}

static void read_ints(const struct safetensors *st, const char *name, int32_t *out, size_t n) {
    const struct safetensor *t = safetensors_find(st, name);
    assert_true(t && t->dtype == DTYPE_I32 && t->n_elements == n);
    memcpy(out, t->data, t->n_bytes);
}

void text_case_read(struct text_case *t, const char *path) {
    struct talc_error err = {0};
    struct safetensors *st = safetensors_open(path, &err);
    if (!st) fail_msg("%s", err.message);
    size_t n_tokens = safetensors_find(st, "ids")->n_elements, n_starts = safetensors_find(st, "starts")->n_elements;
    take(t, (int)n_tokens, (int)n_starts - 1);
    read_ints(st, "ids", t->tokens, n_tokens);
    read_ints(st, "targets", t->targets, n_tokens);
    read_ints(st, "starts", t->starts, n_starts);
    count_positions(t);
    safetensors_close(st);
}

void text_case_part(struct text_case *t, const struct text_case *whole, int first, int n) {
    int begin = whole->starts[first], n_tokens = whole->starts[first + n] - begin;
    take(t, n_tokens, n);
    memcpy(t->tokens, whole->tokens + begin, (size_t)n_tokens * sizeof(int32_t));
    memcpy(t->targets, whole->targets + begin, (size_t)n_tokens * sizeof(int32_t));
    for (int d = 0; d <= n; d++) t->starts[d] = whole->starts[first + d] - begin;
    count_positions(t);
}

void text_case_free(struct text_case *t) {
    free(t->tokens);
    free(t->targets);
    free(t->positions);
    free(t->starts);
    *t = (struct text_case){0};
}

void run_case_open(struct run *run, struct model *model, const struct text_case *t, bool training) {
    struct talc_error err = {0};
    struct run_options o = {
        .max_tokens = t->batch.n_tokens, .max_sequences = t->batch.n_sequences, .training = training, .head_chunk = 16};
    if (!run_open(run, model, &o, &err)) fail_msg("%s", err.message);
}

double run_case_step(struct run *run, const struct text_case *t, double denominator) {
    struct talc_error err = {0};
    int n = t->batch.n_tokens;
    float *stats = calloc((size_t)n * TOKEN_STATS, sizeof *stats),
          *grads = calloc((size_t)n * TOKEN_STATS, sizeof *grads);
    assert_true(stats && grads);
    for (int i = 0; i < n; i++) grads[i * TOKEN_STATS + STAT_LOGP] = (float)(-1 / denominator);
    if (!run_forward(run, &t->batch, &err) || !run_stats_backward(run, 1, grads, stats, &err))
        fail_msg("%s", err.message);
    double loss = 0;
    for (int i = 0; i < n; i++) loss -= (double)stats[i * TOKEN_STATS + STAT_LOGP] / denominator;
    free(stats);
    free(grads);
    return loss;
}

float *tensor_case_read(struct stream *stream, struct tensor t) {
    size_t n = (size_t)(t.rows * t.cols);
    float *out = malloc(n * sizeof *out);
    assert_true(out && t.stride == t.cols && t.dtype == DTYPE_F32);
    stream->backend->copy_out(stream, out, t.data, n * sizeof *out);
    return out;
}

double relative_error(const float *a, const float *b, size_t n) {
    double difference = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(a[i])) return INFINITY;
        difference = fmax(difference, fabs((double)a[i] - (double)b[i]));
        largest = fmax(largest, fabs((double)b[i]));
    }
    return difference == 0 ? 0 : difference / largest;
}
