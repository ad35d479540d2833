/* model_case.h - what tests of models share: a device, a ragged batch that owns its numbers, and comparisons. */
#ifndef TALC_TESTS_SUPPORT_MODEL_CASE_H
#define TALC_TESTS_SUPPORT_MODEL_CASE_H

#include "model/model.h"

/* A stream on a back end with two threads. */
struct device_case {
    struct thread_pool *pool;
    struct stream stream;
};
void device_case_open(struct device_case *d, const char *device);
void device_case_close(struct device_case *d);

/* Documents laid end to end, without a cache. Fails the test when it cannot be made. */
struct text_case {
    struct batch batch;
    int32_t *tokens, *targets, *positions, *starts;
};
/* Documents of `lengths` with random tokens and targets. */
void text_case_random(struct text_case *t, int vocab_size, int n_documents, const int *lengths, uint64_t seed);
/* `ids`, `targets` and `starts` of a safetensors file. */
void text_case_read(struct text_case *t, const char *path);
/* Documents [first, first + n) of another one. */
void text_case_part(struct text_case *t, const struct text_case *whole, int first, int n);
void text_case_free(struct text_case *t);

/* Opens a run that fits the batch, with a small head chunk, so that several are needed. */
void run_case_open(struct run *run, struct model *model, const struct text_case *t, bool training);

/* Forward and backward of sum(-logp) / denominator; returns that sum (of this batch). Gradients are added to. */
double run_case_step(struct run *run, const struct text_case *t, double denominator);

/* A tensor copied to the host (malloc'ed). */
float *tensor_case_read(struct stream *stream, struct tensor t);

/* max|a-b| / max|b| */
double relative_error(const float *a, const float *b, size_t n);

#endif
