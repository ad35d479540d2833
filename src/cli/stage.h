/* stage.h - what talc train and talc sft have in common: options, settings, progress, the end. */
#ifndef TALC_CLI_STAGE_H
#define TALC_CLI_STAGE_H

#include "base/progress.h"
#include "cli/cli.h"
#include "train/recipe.h"
#include "train/training.h"

/* Values of the options. Those that were not given, and then follow the recipe, are 0, or -1 where 0 can be said. */
struct stage_values {
    const char *out, *device, *dtype, *moments, *weights, *schedule, *optimizer;
    int64_t steps, batch_rows, micro_batch_rows, warmup, eval_every, save_every, sample_every, keep, seed, threads;
    int64_t batch_start;
    double minutes, learning_rate, decay_fraction, batch_ramp, skip_outliers;
    bool recompute, resume, json, quiet;
    int n_folders_made; /* of --out and its parents, by stage_open_folder */
};
struct stage_values stage_values_defaults(void);

/* clang-format off */
#define OPTIONS_STAGE(v)                                                                                               \
    {.name = "out", .kind = OPTION_TEXT, .value = &(v).out, .argument = "DIR", .help = "run folder to make"},          \
    {.name = "resume", .kind = OPTION_FLAG, .value = &(v).resume, .help = "go on with the run in --out"},              \
    {.name = "steps", .kind = OPTION_INT, .value = &(v).steps, .argument = "N",                                        \
     .help = "updates (default: train by size, sft three times through the chats)", .min = 1, .max = TRAIN_MAX_STEPS},                                          \
    {.name = "minutes", .kind = OPTION_NUMBER, .instead_of = "steps", .value = &(v).minutes, .argument = "M",          \
     .help = "as many updates as fit in M minutes", .min = 0.001, .max = 1e7},                                         \
    {.name = "batch", .kind = OPTION_INT, .value = &(v).batch_rows, .argument = "ROWS",                                \
     .help = "rows in one update (default: by size)", .min = 1, .max = 1e7},                                           \
    {.name = "batch-start", .kind = OPTION_INT, .value = &(v).batch_start, .argument = "ROWS",                         \
     .help = "rows in the first update, from where the batch grows to --batch by accumulation (default: it does not grow)", \
     .min = 1, .max = 1e7},                                                                                            \
    {.name = "batch-ramp", .kind = OPTION_NUMBER, .value = &(v).batch_ramp, .argument = "X",                           \
     .help = "share of the steps in which it grows (default 0.5)", .min = 0, .max = 1},                                \
    {.name = "skip-outliers", .kind = OPTION_NUMBER, .value = &(v).skip_outliers, .argument = "Z",                     \
     .help = "make no update whose loss or gradient norm lies more than Z standard deviations above the last 128 (default 0: make all)", \
     .min = 0, .max = 1e6},                                                                                            \
    {.name = "micro-batch", .kind = OPTION_INT, .value = &(v).micro_batch_rows, .argument = "ROWS",                    \
     .help = "rows at a time; fewer take less memory (default: all of the first batch)", .min = 1, .max = 1e7},        \
    {.name = "learning-rate", .kind = OPTION_NUMBER, .value = &(v).learning_rate, .argument = "X",                     \
     .help = "peak rate of the matrices; others keep their ratio to it (default: by shape)", .min = 0, .max = 10},     \
    {.name = "optimizer", .kind = OPTION_TEXT, .value = &(v).optimizer, .argument = "NAME",                            \
     .choices = "adamw|muon",                                                                                          \
     .help = "adamw (default), or muon for the matrices of the blocks"},                                               \
    {.name = "warmup", .kind = OPTION_INT, .value = &(v).warmup, .argument = "N",                                      \
     .help = "steps of warmup (default: by shape, a tenth of the steps at most)", .min = 0, .max = 1e9},                                             \
    {.name = "schedule", .kind = OPTION_TEXT, .value = &(v).schedule, .argument = "KIND",                              \
     .choices = "constant|cosine|linear|wsd",                                                                          \
     .help = "constant, cosine, linear or wsd"},                                                                       \
    {.name = "decay-fraction", .kind = OPTION_NUMBER, .value = &(v).decay_fraction, .argument = "X",                   \
     .help = "wsd: share of the steps in which the rate falls (default: by shape)", .min = 0, .max = 1},               \
    {.name = "eval-every", .kind = OPTION_INT, .value = &(v).eval_every, .argument = "N",                              \
     .help = "steps between validations; 0: at the end only (default: a tenth of the run, or so that they take no more than 5% of it)", \
     .min = 0, .max = 1e12},                                                                                           \
    {.name = "save-every", .kind = OPTION_INT, .value = &(v).save_every, .argument = "N",                              \
     .help = "steps between checkpoints; 0: at the end only (default: a tenth of the run)", .min = 0, .max = 1e12},    \
    {.name = "sample-every", .kind = OPTION_INT, .value = &(v).sample_every, .argument = "N",                          \
     .help = "steps between sample texts (default 0: at the end)", .min = 0, .max = 1e12},                             \
    {.name = "keep", .kind = OPTION_INT, .value = &(v).keep, .argument = "K",                                          \
     .help = "checkpoints to keep besides the best (default 2)", .min = 1, .max = 4096},                               \
    {.name = "recompute", .kind = OPTION_FLAG, .value = &(v).recompute,                                                \
     .help = "activations again in backward: less memory, more time, the same bits"},                                  \
    {.name = "dtype", .kind = OPTION_TEXT, .value = &(v).dtype, .argument = "TYPE",                                    \
     .choices = "f32|bf16",                                                                                             \
     .help = "f32 or bf16: of matrix products"},                                                                       \
    {.name = "moments", .kind = OPTION_TEXT, .value = &(v).moments, .argument = "TYPE",                                \
     .choices = "f32|bf16",                                                                                             \
     .help = "f32 or bf16 (rounded stochastically, half the memory): of the optimizer's moments"},                     \
    {.name = "weights", .kind = OPTION_TEXT, .value = &(v).weights, .argument = "TYPE",                                \
     .choices = "f32|bf16",                                                                                             \
     .help = "f32 or bf16 (rounded stochastically, half the memory): of matrices and tables"},                         \
    {.name = "seed", .kind = OPTION_INT, .value = &(v).seed, .argument = "N",                                          \
     .help = "of weights, order and dropout (default 1)", .min = 0, .max = 9e18},                                      \
    {.name = "json", .kind = OPTION_FLAG, .value = &(v).json, .help = "the result as one JSON object"},                \
    {.name = "quiet", .letter = 'q', .kind = OPTION_FLAG, .value = &(v).quiet, .help = "no progress"},                 \
    OPTION_DEVICE((v).device, (v).threads)
/* clang-format on */

/* Parses, and for --resume parses again over the settings that the run was started with. Returns as options_parse. */
int stage_parse(struct command_line *line, struct stage_values *values, int argc, char **argv);
/* Writes the values of all options to OUT/settings.json, but of those that follow the recipe. */
bool stage_save_settings(const struct command_line *line, const char *out, struct talc_error *err);

/* Lets the options overrule the recipe. */
bool stage_apply(const struct stage_values *values, struct recipe *recipe, struct talc_error *err);

/* How the model of the stage is opened: to be trained, its weights kept as --weights says. */
struct model_options stage_model_options(const struct stage_values *values);

/* Makes the run folder and takes it for this process alone. One that holds a run already must be resumed; a run to
 * resume that was killed before its first checkpoint begins anew (`resume` is then false). A folder of something else
 * is refused. */
bool stage_open_folder(struct stage_values *values, struct talc_error *err);
/* False once a signal has asked to stop: before the training begins there is nothing to save. */
bool stage_goes_on(const volatile sig_atomic_t *stop, struct talc_error *err);
/* At the end: what stage_open_folder made and nothing was put into is removed again. */
void stage_close_folder(const struct stage_values *values);

struct stage {
    const char *command;
    const struct stage_values *values;
    struct cli_device *device;
    struct model *model;
    struct tokenizer *tokenizer;
    struct token_list sample_prompt; /* of samples while training; none: no samples */
    struct recipe recipe;
    struct training_data data;
    struct objective objective;
    struct progress progress;
    const volatile sig_atomic_t *stop;
};

/* Says what will be trained, how long and in how much memory; trains; says how it ended. */
int stage_run(struct stage *stage, struct talc_error *err);

#endif
