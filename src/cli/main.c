/* main.c - finds the command and runs it. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

const struct command commands[] = {
    {"tokenizer", "train a tokenizer; encode, decode and show text with one", cmd_tokenizer},
    {"prepare", "turn text files into token shards", cmd_prepare},
    {"train", "pretrain a model on token shards", cmd_train},
    {"sft", "teach a model to answer, from chats", cmd_sft},
    {"eval", "score a model on a task", cmd_eval},
    {"perplexity", "perplexity of a text under a model", cmd_perplexity},
    {"generate", "continue a text", cmd_generate},
    {"chat", "talk to a model in the terminal", cmd_chat},
    {"info", "what is in a model, a preset; what this machine has", cmd_info},
    {"bench", "measure training and matrix products on this machine", cmd_bench},
    {"plan", "what a run costs on a cluster, before it starts", cmd_plan},
    {"primer", "write the demo corpus: text, chats, tests", cmd_primer},
    {NULL, NULL, NULL},
};

static void print_commands(FILE *out) {
    fprintf(out, "talc %s: a whole ChatGPT in one C program\n\nUsage: talc COMMAND [options]\n\nCommands:\n",
            TALC_VERSION);
    for (const struct command *c = commands; c->name; c++) fprintf(out, "  %-12s %s\n", c->name, c->summary);
    fprintf(out, "\ntalc COMMAND --help explains one. make demo shows the whole road.\n");
}

/* What needs no command. */
static int say_of_itself(bool version) {
    if (version)
        printf("talc %s\n", TALC_VERSION);
    else
        print_commands(stdout);
    return cli_close_stdout(version ? "--version" : "--help", EXIT_DONE);
}

static const struct command *find_command(const char *name) {
    for (const struct command *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0) return c;
    return NULL;
}

int main(int argc, char **argv) {
    cli_open_standard_files();
    cli_catch_bus_error();
    signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error of the write, not the end of a training run */
    signal(SIGXFSZ, SIG_IGN); /* so is a file that has reached ulimit -f */
    if (argc < 2) {
        print_commands(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) return say_of_itself(true);
    bool help = strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0;
    if (help && argc < 3) return say_of_itself(false);
    const struct command *c = find_command(argv[help ? 2 : 1]);
    if (!c) {
        struct talc_error err = {0};
        talc_fail(&err, "there is no command '%s'; talc --help lists them", argv[help ? 2 : 1]);
        fprintf(stderr, "talc: %s\n", err.message);
        return EXIT_USAGE;
    }
    int code = help ? c->run(1, (char *[]){(char *)"--help"}) : c->run(argc - 2, argv + 2);
    return cli_close_stdout(c->name, code);
}
