/* cli.h - what the commands share: options, messages, opening a model. Only this layer prints and exits.
 *
 * Exit codes: 0 done, 1 failed, 2 usage, 130 interrupted. Results go to stdout, everything else to stderr. */
#ifndef TALC_CLI_CLI_H
#define TALC_CLI_CLI_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/progress.h"
#include "base/thread_pool.h"
#include "model/model.h"
#include "tensor/device.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

/* ---- options --------------------------------------------------------------------------------- */

enum option_kind { OPTION_FLAG, OPTION_INT, OPTION_NUMBER, OPTION_TEXT, OPTION_LIST };

/* A list option may be given several times. */
struct option_list {
    const char **items;
    int n;
};

/* One option: where its value goes and how it is explained. The value holds the default beforehand; a number outside of
 * the bounds stands for "not given" there, where the default is found later (by the shape, the machine), and cannot be
 * said. Flags are bool, ints int64_t, numbers double, text const char *, lists struct option_list. */
struct option {
    const char *name; /* "vocab-size", given as --vocab-size */
    char letter;      /* 'm' for -m; 0: none */
    enum option_kind kind;
    void *value;
    const char *argument; /* "N" in the help; NULL for flags */
    const char *help;
    const char *choices;    /* of a text that must be one of these: "f32|bf16"; NULL: any */
    const char *instead_of; /* the option that this one excludes: one source (but for the settings of a run, which name
                               all) may give only one of them; where each has its own, the stronger one holds */
    double min, max;        /* ints and numbers; unless min < max there are no bounds */
    bool given;             /* set by options_parse */
    int source;             /* options_parse's own: where the value came from last */
    union option_default {
        bool flag;
        int64_t integer;
        double number;
        const char *text;
    } initial; /* options_parse's own: the value beforehand */
    bool has_initial;
};

struct command_line {
    const char *command, *summary, *arguments; /* "train", one sentence, "FILE..." or "" */
    const char *example;                       /* shown by --help */
    struct option *options;
    int n_options;
    const char **operands; /* set by options_parse: what is not an option (NULL when none); n_operands */
    int n_operands;
    int min_operands, max_operands;      /* -1: any number */
    const char *settings;                /* a JSON object of option names that comes before all else, or NULL */
    json_t *settings_root, *config_root; /* JSON of it and of --config: texts are borrowed from it until options_free */
};

/* Fills the values: settings < configuration file < environment (TALC_VOCAB_SIZE) < command line. A list replaces the
 * list of a weaker source, an empty one too. Returns -1 to go on, or the exit code (help was shown: 0; a mistake was
 * reported: 2). */
int options_parse(struct command_line *line, int argc, char **argv);
void options_free(struct command_line *line);
/* clang-format off */
#define OPTIONS_COUNT(options) ((int)(sizeof(options) / sizeof *(options)))
/* clang-format on */
bool option_given(const struct command_line *line, const char *name);
bool option_in_bounds(const struct option *o, double x); /* of an int or a number */

/* ---- messages -------------------------------------------------------------------------------- */

/* "talc train: message" on stderr; returns EXIT_FAILED (EXIT_USAGE for the second). */
int cli_fail(const char *command, const struct talc_error *err);
int cli_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_say(bool quiet, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* `value`, which is taken (NULL: there was no memory for it), as a line of JSON. */
bool cli_print_json(FILE *out, json_t *value, struct talc_error *err);
/* JSON has no NaN and no infinity: null. */
json_t *cli_json_number(double x);

/* Text that a model is to read, given as `what` ("--system"): must be valid UTF-8. */
bool cli_check_text(const char *what, const char *text, struct talc_error *err);
/* Text of a model or of a file, as it is; on a terminal, which obeys control characters, those but for line ends and
 * tabs are shown as <1b>, and so are bytes that are no UTF-8 and characters that cannot be seen but change what is seen
 * (format controls: of direction, of width nought, tags). */
void cli_print_text(FILE *out, const char *text, size_t n_bytes);
void cli_print_visible(FILE *out, const char *text, size_t n_bytes); /* so wherever it goes */

/* Colours for stdout (1) or stderr (2): only on a terminal, unless NO_COLOR or --color (TALC_COLOR) says otherwise. */
bool cli_colour(int fd);

/* Before anything is opened: descriptors 0 to 2 are made to exist, so that no file gets the number of a closed one. */
void cli_open_standard_files(void);
/* A mapped file that somebody cuts short ends the program with a line, not with a signal. */
void cli_catch_bus_error(void);
/* At the end: whether all results reached stdout; says so if not, unless the command failed and has said why. Returns
 * the code to exit with. */
int cli_close_stdout(const char *command, int code);

/* SIGINT and SIGTERM set a flag to their number; a second SIGINT ends the process with 130. */
const volatile sig_atomic_t *cli_catch_interrupt(void);
/* Until then, while nothing can be lost: they end the process with EXIT_INTERRUPTED at once. */
void cli_end_on_interrupt(void);
void cli_clear_interrupt(void); /* forgets a SIGINT; a SIGTERM stays */

/* How a model is loaded to infer: what takes more than half a second is shown. Zero before, and there until the model
 * is loaded. */
struct cli_loading {
    double begun; /* clock_seconds */
    struct progress progress;
};
struct model_options cli_loading_options(struct cli_loading *loading, bool quiet);

/* ---- device ---------------------------------------------------------------------------------- */

struct cli_device {
    struct thread_pool *pool;
    struct stream stream;
};
bool cli_device_open(struct cli_device *device, const char *name, int64_t threads, struct talc_error *err);
void cli_device_close(struct cli_device *device);

/* clang-format off */
#define OPTION_DEVICE(device_value, threads_value)                                                                  \
    {.name = "device", .kind = OPTION_TEXT, .value = &(device_value), .argument = "NAME",                           \
     .help = "cpu (default), cpu:avx2, cpu:avx512, cpu:avx512bf16, cpu:neon, cpu:portable, ref"},                    \
    {.name = "threads", .kind = OPTION_INT, .value = &(threads_value), .argument = "N",                             \
     .help = "threads to use (default: one per core)", .min = 1, .max = 4096}
/* clang-format on */

/* Of an option with the choices "f32|bf16". */
enum dtype cli_float_type(const char *name);

/* ---- commands: each takes what follows its name ---------------------------------------------- */

struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
};
extern const struct command commands[]; /* ended by a NULL name */

int cmd_tokenizer(int argc, char **argv);
int cmd_prepare(int argc, char **argv);
int cmd_train(int argc, char **argv);
int cmd_sft(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_perplexity(int argc, char **argv);
int cmd_generate(int argc, char **argv);
int cmd_chat(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_primer(int argc, char **argv);

#endif
