/* bench.h - what the parts of `talc bench` share. Every figure is a median, unless --fastest asks for more; limits are
 * measured beside what they limit. */
#ifndef TALC_CLI_BENCH_H
#define TALC_CLI_BENCH_H

#include "base/rng.h"
#include "cli/cli.h"
#include "tensor/ops.h"

struct bench {
    const char *device, *preset, *dtype, *moments, *weights;
    int64_t depth, vocab_size, rows, context, steps, threads;
    bool json, profile, recompute, fastest;
    enum dtype compute;                    /* of matrix products: what --dtype says */
    enum dtype kept_moments, kept_weights; /* what --moments and --weights say */
    double highest_peak;                   /* with --fastest: seen so far */
    struct cli_device opened;
};

/* One line of the table, or one JSON object {"name", "value", "unit", "limit", "share"}; limit 0: none is known. */
void bench_row(const struct bench *b, const char *name, double value, const char *unit, double limit);
double bench_median(double *x, int n); /* sorts x */

/* Zero to one, minus one half; absent when there is no memory. Given back with the back end's memory_give. */
struct tensor bench_random(struct bench *b, int64_t rows, int64_t cols, struct rng *rng, struct talc_error *err);
void bench_give(struct bench *b, struct tensor t);

/* Calls work(context) until a sample lasts some tens of milliseconds, several samples long. Between samples the
 * device's peak in products of the type `compute` is measured: *rate and *limit are medians over the samples of
 * operations a second, and of the mean of the peaks before and after (0 where the device knows none). With --fastest
 * both are the best of many short calls: what the machine does where other work on it leaves it alone. */
void bench_rate(struct bench *b, enum dtype compute, double flops, void (*work)(void *context), void *context,
                double *rate, double *limit);

bool bench_gemm(struct bench *b, struct talc_error *err);
bool bench_attention(struct bench *b, struct talc_error *err);
bool bench_train(struct bench *b, struct talc_error *err);
bool bench_memory(struct bench *b, struct talc_error *err);
bool bench_machine(struct bench *b, struct talc_error *err);

#endif
