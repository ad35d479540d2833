/* cmd_bench.c - talc bench: how fast this machine trains, and multiplies, and what share of its measured
 * peak that is. */
#include <string.h>

#include "cli/bench.h"
#include "cli/bench_tokenizer.h"
#include "model/arch.h"

static const struct part {
    const char *name;
    bool (*run)(struct bench *b, struct talc_error *err);
} parts[] = {{"train", bench_train},
             {"gemm", bench_gemm},
             {"attention", bench_attention},
             {"memory", bench_memory},
             {"machine", bench_machine}};

static const struct part *find_part(const char *name) {
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcmp(parts[i].name, name) == 0) return &parts[i];
    return NULL;
}

int cmd_bench(int argc, char **argv) {
    if (argc > 0 && strcmp(argv[0], "tokenizer") == 0) return bench_tokenizer(argc - 1, argv + 1);
    struct bench b = {.depth = 4, .vocab_size = 1024, .steps = 20, .dtype = "f32", .moments = "f32", .weights = "f32"};
    /* clang-format off */
    struct option options[] = {
        {.name = "depth", .kind = OPTION_INT, .value = &b.depth, .argument = "N",
         .help = "train, memory: the shape (default 4)", .min = 1, .max = ARCH_MAX_DEPTH},
        {.name = "preset", .kind = OPTION_TEXT, .instead_of = "depth", .value = &b.preset, .argument = "NAME",
         .help = "train, memory: a known shape"},
        {.name = "vocab-size", .kind = OPTION_INT, .value = &b.vocab_size, .argument = "N",
         .help = "train, memory: with --depth (default 1024)", .min = 1, .max = 1e7},
        {.name = "batch", .kind = OPTION_INT, .value = &b.rows, .argument = "ROWS",
         .help = "train, memory: rows in a step (default: by size)", .min = 1, .max = 1e6},
        {.name = "context", .kind = OPTION_INT, .value = &b.context, .argument = "N",
         .help = "train, memory: tokens in a row (default: by shape)", .min = 1, .max = 1e6},
        {.name = "steps", .kind = OPTION_INT, .value = &b.steps, .argument = "N",
         .help = "train: steps to time (default 20)", .min = 1, .max = 1e5},
        {.name = "dtype", .kind = OPTION_TEXT, .value = &b.dtype, .argument = "TYPE",
         .choices = "f32|bf16",
         .help = "f32 or bf16: of matrix products"},
        {.name = "moments", .kind = OPTION_TEXT, .value = &b.moments, .argument = "TYPE",
         .choices = "f32|bf16",
         .help = "train, memory: f32 or bf16, of the optimizer's moments"},
        {.name = "weights", .kind = OPTION_TEXT, .value = &b.weights, .argument = "TYPE",
         .choices = "f32|bf16",
         .help = "train, memory: f32 or bf16, of matrices and tables"},
        {.name = "recompute", .kind = OPTION_FLAG, .value = &b.recompute,
         .help = "train, memory: activations again in backward"},
        {.name = "profile", .kind = OPTION_FLAG, .value = &b.profile, .help = "train: also the time of each operation"},
        {.name = "fastest", .kind = OPTION_FLAG, .value = &b.fastest,
         .help = "gemm, attention: the fastest of many calls beside the highest peak, for a machine with other work"},
        {.name = "json", .kind = OPTION_FLAG, .value = &b.json, .help = "one JSON object a row"},
        OPTION_DEVICE(b.device, b.threads),
    };
    /* clang-format on */
    struct command_line line = {.command = "bench",
                                .summary = "measure training, its kernels and its memory (medians)",
                                .arguments = "train|gemm|attention|memory|machine|tokenizer",
                                .example = "talc bench train --preset gpt2-124m --batch 4 --context 64",
                                .options = options,
                                .n_options = OPTIONS_COUNT(options),
                                .min_operands = 1,
                                .max_operands = 1};
    int code = options_parse(&line, argc, argv);
    if (code >= 0) return code;
    b.compute = cli_float_type(b.dtype);
    b.kept_moments = cli_float_type(b.moments);
    b.kept_weights = cli_float_type(b.weights);
    struct talc_error err = {0};
    const struct part *part = find_part(line.operands[0]);
    if (!part) {
        code = cli_usage("bench", "measures train, gemm, attention, memory, machine or tokenizer, not '%s'",
                         line.operands[0]);
    } else if (!cli_device_open(&b.opened, b.device, b.threads, &err)) {
        code = cli_fail("bench", &err);
    } else {
        bool ok = part->run(&b, &err);
        cli_device_close(&b.opened);
        code = ok ? EXIT_DONE : cli_fail("bench", &err);
    }
    options_free(&line);
    return code;
}
