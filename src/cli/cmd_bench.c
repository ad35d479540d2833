/* cmd_bench.c - talc bench: how fast this machine trains, and multiplies, and what share of its measured peak that is. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "cli/cli.h"
#include "train/recipe.h"
#include "train/training.h"

struct bench {
    const char *device, *preset, *dtype;
    int64_t depth, vocab_size, rows, context, steps, threads;
    bool json;
    struct cli_device opened;
};

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int n) {
    qsort(x, (size_t)n, sizeof *x, by_size);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

static void print_row(const struct bench *b, const char *name, double value, const char *unit, double limit) {
    if (b->json && limit > 0)
        printf("{\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\", \"limit\": %.6g, \"share\": %.4f}\n", name, value, unit,
               limit, value / limit);
    else if (b->json) printf("{\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"}\n", name, value, unit);
    else if (limit > 0) printf("%-36s %10.4g %s  (%.0f%% of %.4g)\n", name, value, unit, 100 * value / limit, limit);
    else printf("%-36s %10.4g %s\n", name, value, unit);
}

static bool choose_compute(const struct bench *b, enum dtype *compute, struct talc_error *err) {
    *compute = strcmp(b->dtype, "bf16") == 0 ? DTYPE_BF16 : DTYPE_F32;
    if (*compute == DTYPE_F32 && strcmp(b->dtype, "f32") != 0)
        return talc_fail(err, "--dtype must be f32 or bf16, not '%s'", b->dtype);
    return true;
}

/* ---- matrix products --------------------------------------------------------------------------------------------------- */

struct shape {
    const char *name;
    enum matmul_layout layout;
    int64_t m, n, k;
};
static const struct shape shapes[] = {
    {"768x384x128 NT", MATMUL_NT, 768, 384, 128},     {"768x128x384 NN", MATMUL_NN, 768, 128, 384},
    {"384x128x768 TN", MATMUL_TN, 384, 128, 768},     {"768x1024x128 NT", MATMUL_NT, 768, 1024, 128},
    {"256x2304x768 NT", MATMUL_NT, 256, 2304, 768},   {"256x768x3072 NT", MATMUL_NT, 256, 768, 3072},
    {"256x3072x768 NN", MATMUL_NN, 256, 3072, 768},   {"3072x768x256 TN", MATMUL_TN, 3072, 768, 256},
    {"1024x2304x768 NT", MATMUL_NT, 1024, 2304, 768}, {"1024x3072x768 NT", MATMUL_NT, 1024, 3072, 768},
};

static struct tensor random_tensor(struct stream *s, int64_t rows, int64_t cols, struct rng *rng, struct talc_error *err) {
    float *host = malloc((size_t)(rows * cols) * sizeof *host);
    void *memory = host ? s->backend->memory_take(s, (size_t)(rows * cols) * sizeof *host, err) : NULL;
    if (memory) {
        for (int64_t i = 0; i < rows * cols; i++) host[i] = (float)rng_uniform(rng) - 0.5f;
        s->backend->copy_in(s, memory, host, (size_t)(rows * cols) * sizeof *host);
    }
    free(host);
    return memory ? tensor_view(memory, DTYPE_F32, rows, cols) : tensor_absent();
}

static double time_matmul(struct stream *s, const struct matmul_options *o, struct tensor c, struct tensor a,
                          struct tensor b, double flops) {
    double seconds[15];
    int repeat = (int)(5e9 / flops) + 1;
    for (int i = -1; i < 15; i++) { /* the first is a warm-up */
        double start = clock_seconds();
        for (int r = 0; r < repeat; r++) s->ops->matmul(s, o, c, a, b);
        s->backend->synchronize(s, NULL);
        if (i >= 0) seconds[i] = (clock_seconds() - start) / repeat;
    }
    return median(seconds, 15);
}

static bool bench_gemm(struct bench *b, struct talc_error *err) {
    struct stream *s = &b->opened.stream;
    struct rng rng = rng_make(1, 0);
    enum dtype compute;
    if (!choose_compute(b, &compute, err)) return false;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const struct shape *g = &shapes[i];
        bool a_turned = g->layout == MATMUL_TN, b_turned = g->layout == MATMUL_NT;
        struct tensor x = random_tensor(s, a_turned ? g->k : g->m, a_turned ? g->m : g->k, &rng, err);
        struct tensor y = random_tensor(s, b_turned ? g->n : g->k, b_turned ? g->k : g->n, &rng, err);
        struct tensor c = random_tensor(s, g->m, g->n, &rng, err);
        bool ok = tensor_present(x) && tensor_present(y) && tensor_present(c);
        double flops = 2.0 * (double)g->m * (double)g->n * (double)g->k;
        struct matmul_options o = {.layout = g->layout, .compute = compute};
        if (ok) print_row(b, g->name, flops / time_matmul(s, &o, c, x, y, flops) / 1e9, "GFLOP/s", 0);
        if (tensor_present(x)) s->backend->memory_give(s, x.data);
        if (tensor_present(y)) s->backend->memory_give(s, y.data);
        if (tensor_present(c)) s->backend->memory_give(s, c.data);
        if (!ok) return false;
    }
    return true;
}

/* ---- training ---------------------------------------------------------------------------------------------------------- */

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

static bool time_steps(struct bench *b, struct trainer *t, const struct row_batch *batch, double *seconds,
                       struct talc_error *err) {
    struct objective o = objective_cross_entropy("bench");
    for (int64_t i = -2; i < b->steps; i++) {
        double start = clock_seconds();
        if (!trainer_accumulate(t, batch, &o, err) || !trainer_update(t, 0.1, NULL, err)) return false;
        if (i >= 0) seconds[i] = clock_seconds() - start;
    }
    return true;
}

static bool bench_train(struct bench *b, struct talc_error *err) {
    struct arch arch;
    struct model model = {0};
    struct trainer trainer = {0};
    struct row_batch batch = {0};
    enum dtype compute;
    bool ok = choose_compute(b, &compute, err) && (b->preset ? arch_preset(b->preset, &arch, err)
                        : arch_from_depth((int)b->depth, (int)b->vocab_size, &arch, err));
    if (!ok) return false;
    if (b->context > 0) arch.context_length = (int)b->context;
    struct recipe r = recipe_for(&arch, b->preset);
    r.trainer.micro_batch_rows = b->rows > 0 ? (int)b->rows : r.rows_per_step;
    r.trainer.compute = compute;
    double *seconds = calloc((size_t)b->steps, sizeof *seconds);
    struct rng rng = rng_make(1, 0);
    ok = seconds && model_open(&model, &arch, &b->opened.stream, true, err) &&
         model_initialize(&model, r.init, 1, err) && trainer_open(&trainer, &model, &r.trainer, err) &&
         row_batch_open(&batch, r.trainer.micro_batch_rows, r.trainer.row_tokens, err);
    if (ok) random_rows(&batch, arch.vocab_size, &rng);
    ok = ok && time_steps(b, &trainer, &batch, seconds, err);
    if (ok) {
        double step = median(seconds, (int)b->steps), tokens = (double)batch.n_rows * batch.row_tokens;
        print_row(b, "training step", step * 1e3, "ms", 0);
        print_row(b, "training", tokens / step, "tokens/s", 0);
        print_row(b, "arithmetic", tokens / step * arch_train_flops(&arch, arch.context_length) / 1e9, "GFLOP/s", 0);
    }
    row_batch_close(&batch);
    trainer_close(&trainer);
    if (model.memory) model_close(&model);
    free(seconds);
    return ok;
}

int cmd_bench(int argc, char **argv) {
    struct bench b = {.depth = 4, .vocab_size = 1024, .steps = 20, .dtype = "f32"};
    struct option options[] = {
        {.name = "depth", .kind = OPTION_INT, .value = &b.depth, .argument = "N", .help = "train: the shape (default 4)", .min = 1, .max = 512},
        {.name = "preset", .kind = OPTION_TEXT, .value = &b.preset, .argument = "NAME", .help = "train: a known shape"},
        {.name = "vocab-size", .kind = OPTION_INT, .value = &b.vocab_size, .argument = "N", .help = "train: with --depth (default 1024)", .min = 1, .max = 1e7},
        {.name = "batch", .kind = OPTION_INT, .value = &b.rows, .argument = "ROWS", .help = "train: rows in a step", .min = 0, .max = 1e6},
        {.name = "context", .kind = OPTION_INT, .value = &b.context, .argument = "N", .help = "train: tokens in a row", .min = 0, .max = 1e6},
        {.name = "steps", .kind = OPTION_INT, .value = &b.steps, .argument = "N", .help = "train: steps to time (default 20)", .min = 1, .max = 1e5},
        {.name = "dtype", .kind = OPTION_TEXT, .value = &b.dtype, .argument = "TYPE", .help = "f32 or bf16: of matrix products"},
        {.name = "json", .kind = OPTION_FLAG, .value = &b.json, .help = "one JSON object a row"},
        OPTION_DEVICE(b.device, b.threads),
    };
    struct command_line line = {.command = "bench", .summary = "measure training and matrix products (medians)", .arguments = "train|gemm",
                                .example = "talc bench train --preset gpt2-124m --batch 4 --context 64", .options = options,
                                .n_options = OPTIONS_COUNT(options), .min_operands = 1, .max_operands = 1};
    int code = options_parse(&line, argc, argv);
    if (code >= 0) return code;
    struct talc_error err = {0};
    const char *what = line.operands[0];
    bool train = strcmp(what, "train") == 0;
    if (!train && strcmp(what, "gemm") != 0) {
        code = cli_usage("bench", "measures train or gemm, not '%s'", what);
    } else if (!cli_device_open(&b.opened, b.device, b.threads, &err)) {
        code = cli_fail("bench", &err);
    } else {
        bool ok = train ? bench_train(&b, &err) : bench_gemm(&b, &err);
        cli_device_close(&b.opened);
        code = ok ? EXIT_DONE : cli_fail("bench", &err);
    }
    options_free(&line);
    return code;
}
