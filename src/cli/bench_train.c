/* bench_train.c - talc bench train: a training step, by operation if asked, beside the peak of multiply-adds; and talc
 * bench memory: what it takes. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "cli/bench_profile.h"
#include "train/recipe.h"
#include "train/training.h"

/* A model with its trainer, and a batch of random tokens. */
struct training_bench {
    struct arch arch;
    struct model model;
    struct trainer trainer;
    struct row_batch batch;
};

static void random_rows(struct row_batch *batch, int vocab, struct rng *rng) {
    int64_t n = (int64_t)batch->n_rows * batch->row_tokens;
    for (int64_t i = 0; i < n; i++) {
        batch->tokens[i] = (int32_t)rng_below(rng, (uint64_t)vocab);
        batch->targets[i] = (int32_t)rng_below(rng, (uint64_t)vocab);
        batch->weights[i] = 1;
    }
    row_batch_begin(batch);
    for (int row = 0; row < batch->n_rows; row++) row_batch_add_sequence(batch, row, 0, batch->row_tokens);
    row_batch_end(batch);
}

static void training_close(struct training_bench *t) {
    row_batch_close(&t->batch);
    trainer_close(&t->trainer);
    if (t->model.memory) model_close(&t->model);
}

static bool training_open(struct training_bench *t, struct bench *b, struct talc_error *err) {
    *t = (struct training_bench){0};
    bool ok = b->preset ? arch_preset(b->preset, &t->arch, err)
                        : arch_from_depth((int)b->depth, (int)b->vocab_size, &t->arch, err);
    if (!ok) return false;
    if (b->context > 0) t->arch.context_length = (int)b->context;
    struct recipe r = recipe_for(&t->arch, b->preset);
    struct rng rng = rng_make(1, 0);
    r.trainer.micro_batch_rows = b->rows > 0 ? (int)b->rows : r.rows_per_step;
    r.trainer.compute = b->compute;
    r.trainer.moments = b->kept_moments;
    r.trainer.weights = b->kept_weights;
    r.trainer.recompute = b->recompute;
    ok = model_open(&t->model, &t->arch, &b->opened.stream,
                    &(struct model_options){.gradients = true, .weights = b->kept_weights}, err) &&
         model_initialize(&t->model, r.init, 1, err) && trainer_open(&t->trainer, &t->model, &r.trainer, err) &&
         row_batch_open(&t->batch, r.trainer.micro_batch_rows, r.trainer.row_tokens, err);
    if (ok)
        random_rows(&t->batch, t->arch.vocab_size, &rng);
    else
        training_close(t);
    return ok;
}

static bool step(struct training_bench *t, double *seconds, struct talc_error *err) {
    struct objective o = objective_cross_entropy("bench");
    double start = clock_seconds();
    bool ok = trainer_accumulate(&t->trainer, &t->batch, &o, err) && trainer_update(&t->trainer, 0.1, NULL, err);
    *seconds = clock_seconds() - start;
    return ok;
}

/* Median seconds of a step and of the peaks beside the steps. */
static bool time_steps(struct bench *b, struct training_bench *t, struct profile *profile, double *median_step,
                       double *median_peak, struct talc_error *err) {
    struct stream *s = &b->opened.stream;
    double *seconds = calloc((size_t)b->steps * 2, sizeof *seconds), *peaks = seconds + b->steps, warm_up;
    bool ok = seconds != NULL || talc_fail(err, "out of memory for %lld timings", (long long)b->steps);
    for (int i = 0; ok && i < 2; i++) ok = step(t, &warm_up, err);
    if (profile) profile_clear(profile);
    for (int64_t i = 0; ok && i < b->steps; i++) {
        ok = step(t, &seconds[i], err);
        peaks[i] = s->backend->peak_flops ? s->backend->peak_flops(s, b->compute) : 0;
    }
    if (ok) {
        *median_step = bench_median(seconds, (int)b->steps);
        *median_peak = bench_median(peaks, (int)b->steps);
    }
    free(seconds);
    return ok;
}

bool bench_train(struct bench *b, struct talc_error *err) {
    struct training_bench t;
    struct profile *profile = NULL;
    double seconds = 0, peak = 0;
    if (!training_open(&t, b, err)) return false;
    bool ok = !b->profile || (profile = profile_open(&b->opened.stream, err));
    ok = ok && time_steps(b, &t, profile, &seconds, &peak, err);
    if (ok) {
        double tokens = (double)t.batch.n_rows * t.batch.row_tokens,
               flops = arch_train_flops(&t.arch, t.arch.context_length);
        bench_row(b, "training step", seconds * 1e3, "ms", 0);
        bench_row(b, "training", tokens / seconds, "tokens/s", 0);
        bench_row(b, "arithmetic", tokens / seconds * flops / 1e9, "GFLOP/s", peak / 1e9);
    }
    if (ok && profile) profile_print(profile, b, b->steps);
    profile_close(profile, &b->opened.stream);
    training_close(&t);
    return ok;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Largest part of memory that the process ever had resident, in bytes; 0 where the system does not say. */
static double peak_resident(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
#ifdef __APPLE__
    return (double)usage.ru_maxrss;
#else
    return (double)usage.ru_maxrss * 1024;
#endif
}

static void memory_row(const struct bench *b, const char *name, size_t n_bytes) {
    if (n_bytes) bench_row(b, name, (double)n_bytes / 1048576, "MiB", 0);
}

bool bench_memory(struct bench *b, struct talc_error *err) {
    struct training_bench t;
    double seconds, before = peak_resident();
    if (!training_open(&t, b, err)) return false;
    bool ok = true;
    for (int i = 0; ok && i < 2; i++) ok = step(&t, &seconds, err);
    if (ok) {
        struct memory_table m = trainer_memory(&t.arch, &t.trainer.options);
        memory_row(b, "parameters", m.parameters);
        memory_row(b, "gradients", m.gradients);
        memory_row(b, "optimizer", m.optimizer);
        memory_row(b, "activations", m.activations);
        memory_row(b, "workspace", m.workspace);
        memory_row(b, "logits", m.logits);
        memory_row(b, "planned", m.total);
        memory_row(b, "resident before", (size_t)before);
        bench_row(b, "resident at the peak, of a step", (peak_resident() - before) / 1048576, "MiB",
                  (double)m.total / 1048576);
    }
    training_close(&t);
    return ok;
}
