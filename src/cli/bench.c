/* bench.c - timing and printing for the parts of `talc bench`; see bench.h. */
#include "cli/bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define SAMPLES 15
#define SAMPLE_SECONDS 0.02

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *x, int n) {
    qsort(x, (size_t)n, sizeof *x, by_size);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

void bench_row(const struct bench *b, const char *name, double value, const char *unit, double limit) {
    if (b->json && limit > 0)
        printf("{\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\", \"limit\": %.6g, \"share\": %.4f}\n", name, value,
               unit, limit, value / limit);
    else if (b->json)
        printf("{\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"}\n", name, value, unit);
    else if (limit > 0)
        printf("%-36s %10.4g %-9s %3.0f%% of %.4g\n", name, value, unit, 100 * value / limit, limit);
    else
        printf("%-36s %10.4g %s\n", name, value, unit);
    fflush(stdout);
}

struct tensor bench_random(struct bench *b, int64_t rows, int64_t cols, struct rng *rng, struct talc_error *err) {
    struct stream *s = &b->opened.stream;
    size_t n_bytes = (size_t)(rows * cols) * sizeof(float);
    float *host = malloc(n_bytes);
    void *memory = host ? s->backend->memory_take(s, n_bytes, err) : NULL;
    if (!host) talc_fail(err, "out of memory for a matrix of %zu bytes", n_bytes);
    if (memory) {
        for (int64_t i = 0; i < rows * cols; i++) host[i] = (float)rng_uniform(rng) - 0.5f;
        s->backend->copy_in(s, memory, host, n_bytes);
    }
    free(host);
    return memory ? tensor_view(memory, DTYPE_F32, rows, cols) : tensor_absent();
}

void bench_give(struct bench *b, struct tensor t) {
    if (tensor_present(t)) b->opened.stream.backend->memory_give(&b->opened.stream, t.data);
}

static double time_of(struct bench *b, int repeat, void (*work)(void *), void *context) {
    struct stream *s = &b->opened.stream;
    double start = clock_seconds();
    for (int i = 0; i < repeat; i++) work(context);
    s->backend->synchronize(s, NULL);
    return (clock_seconds() - start) / repeat;
}

static double peak_of(struct bench *b, enum dtype compute) {
    struct stream *s = &b->opened.stream;
    return s->backend->peak_flops ? s->backend->peak_flops(s, compute) : 0;
}

#define FASTEST_SECONDS 0.5
#define FASTEST_CALLS 16 /* between two measurements of the peak */

static void fastest_rate(struct bench *b, enum dtype compute, double flops, void (*work)(void *), void *context,
                         double *rate, double *limit) {
    double start = clock_seconds();
    *rate = 0;
    do {
        for (int i = 0; i < FASTEST_CALLS; i++) {
            double sample = flops / time_of(b, 1, work, context);
            if (sample > *rate) *rate = sample;
        }
        double peak = peak_of(b, compute);
        if (peak > b->highest_peak) b->highest_peak = peak;
    } while (clock_seconds() - start < FASTEST_SECONDS);
    *limit = b->highest_peak;
}

void bench_rate(struct bench *b, enum dtype compute, double flops, void (*work)(void *), void *context, double *rate,
                double *limit) {
    if (b->fastest) {
        fastest_rate(b, compute, flops, work, context, rate, limit);
        return;
    }
    double rates[SAMPLES], limits[SAMPLES];
    double once = time_of(b, 1, work, context), peak = peak_of(b, compute); /* also warms up */
    once = time_of(b, 1, work, context);
    int repeat = once < SAMPLE_SECONDS ? (int)(SAMPLE_SECONDS / once) + 1 : 1;
    for (int i = 0; i < SAMPLES; i++) {
        rates[i] = flops / time_of(b, repeat, work, context);
        double after = peak_of(b, compute);
        limits[i] = (peak + after) / 2;
        peak = after;
    }
    *rate = bench_median(rates, SAMPLES);
    *limit = bench_median(limits, SAMPLES);
}
