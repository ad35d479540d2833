/* sampling_options.h - the options of the commands that let a model write. */
#ifndef TALC_CLI_SAMPLING_OPTIONS_H
#define TALC_CLI_SAMPLING_OPTIONS_H

#include "cli/cli.h"
#include "infer/sampler.h"

struct sampling_values {
    double temperature, top_p, min_p, repetition_penalty;
    int64_t top_k, seed;
    struct option_list stops;
};
static inline struct sampling_values sampling_values_defaults(void) {
    struct sampling s = sampling_defaults();
    return (struct sampling_values){.temperature = (double)s.temperature,
                                    .top_p = (double)s.top_p,
                                    .min_p = (double)s.min_p,
                                    .repetition_penalty = (double)s.repetition_penalty,
                                    .top_k = s.top_k,
                                    .seed = 1};
}
static inline struct sampling sampling_from(const struct sampling_values *v) {
    return (struct sampling){.temperature = (float)v->temperature,
                             .top_k = (int)v->top_k,
                             .top_p = (float)v->top_p,
                             .min_p = (float)v->min_p,
                             .repetition_penalty = (float)v->repetition_penalty,
                             .seed = (uint64_t)v->seed};
}

/* clang-format off */
#define OPTIONS_SAMPLING(v)                                                                                          \
    {.name = "temp", .kind = OPTION_NUMBER, .value = &(v).temperature, .argument = "T",                              \
     .help = "temperature; 0: always the likeliest token (default 0.7)", .min = 0, .max = 100},                      \
    {.name = "top-k", .kind = OPTION_INT, .value = &(v).top_k, .argument = "K",                                      \
     .help = "only the K likeliest tokens; 0: all", .min = 0, .max = 1e9},                                           \
    {.name = "top-p", .kind = OPTION_NUMBER, .value = &(v).top_p, .argument = "P",                                   \
     .help = "the likeliest tokens that make up P (default 0.95)", .min = 1e-6, .max = 1},                            \
    {.name = "min-p", .kind = OPTION_NUMBER, .value = &(v).min_p, .argument = "P",                                   \
     .help = "tokens at least P times as likely as the likeliest", .min = 0, .max = 1},                              \
    {.name = "repetition-penalty", .kind = OPTION_NUMBER, .value = &(v).repetition_penalty, .argument = "X",         \
     .help = "above 1: repeat less", .min = 0.01, .max = 100},                                                       \
    {.name = "seed", .kind = OPTION_INT, .value = &(v).seed, .argument = "N",                                        \
     .help = "the same seed gives the same text (default 1)", .min = 0, .max = 9e18},                                \
    {.name = "stop", .kind = OPTION_LIST, .value = &(v).stops, .argument = "TEXT",                                   \
     .help = "end the answer before this text (may be given again)"}
#define OPTION_CONTEXT(context)                                                                                      \
    {.name = "context", .letter = 'c', .kind = OPTION_INT, .value = &(context), .argument = "N",                     \
     .help = "most tokens of prompt and answer; fewer take less memory (default: the model's, at most 8192)",        \
     .min = 1, .max = 1e7}
/* clang-format on */

#endif
