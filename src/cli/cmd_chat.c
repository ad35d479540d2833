/* cmd_chat.c - talc chat: a conversation in the terminal. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cli/line_input.h"
#include "cli/sampling_options.h"
#include "file/json.h"
#include "infer/assistant.h"

struct chat {
    const char *model, *device, *system, *prompt;
    char *own_system; /* what /system set */
    int64_t threads, max_tokens, context;
    bool verbose;
    struct sampling_values sampling;
    const volatile sig_atomic_t *interrupted;
    struct assistant assistant;
    json_t *messages;   /* all of the conversation */
    size_t n_forgotten; /* of them, behind the instructions, that are no longer read */
    bool colour, begun; /* colours are wanted; the answer has begun, in its colour */
};

static const char help_text[] =
    "  /clear          forget the conversation\n"
    "  /system TEXT    forget it, and set the instructions that stand before the next\n"
    "  /save FILE      write the conversation as a line of JSON that talc sft can learn from\n"
    "  /exit           leave (Ctrl-D too)\n"
    "Ctrl-C stops an answer. A line of \"\"\" begins and ends a message of several lines.\n";

static bool print_piece(void *context, const char *text, size_t n_bytes) {
    struct chat *c = context;
    if (c->colour && !c->begun)
        fputs("\033[36m", stdout); /* not before: a prompt that is slow to read may be given up */
    c->begun = true;
    cli_print_text(stdout, text, n_bytes);
    fflush(stdout);
    return !*c->interrupted && !ferror(stdout);
}

static void add_message(struct chat *c, const char *role, const char *text, size_t n) {
    json_array_append_new(c->messages, json_pack("{s:s, s:s%}", "role", role, "content", text ? text : "", n));
}

static void clear_messages(struct chat *c) {
    json_array_clear(c->messages);
    c->n_forgotten = 0;
    if (c->system && *c->system) add_message(c, "system", c->system, strlen(c->system));
}

static void report(const struct chat *c, const struct generation *answer, double seconds) {
    int context = engine_context_length(c->assistant.engine), used = answer->n_prompt + (int)answer->tokens.count;
    if (answer->finish == FINISH_CONTEXT)
        fprintf(stderr, "(the context of %d tokens is full and the answer ends here)\n", context);
    else if (answer->finish == FINISH_LENGTH)
        fprintf(stderr, "(stopped after %lld tokens, as --max-tokens says)\n", (long long)c->max_tokens);
    if (c->verbose)
        fprintf(stderr, "(%zu tokens, %.0f tokens/s, context %d of %d, %d from the cache)\n", answer->tokens.count,
                (double)answer->tokens.count / (seconds > 0 ? seconds : 1), used, context, answer->n_cached);
}

/* ---- what fits in the context ----------------------------------------------------------------- */

/* The conversation without what is forgotten, as tokens. */
static bool encode_messages(const struct chat *c, struct token_list *ids, struct talc_error *err) {
    json_t *kept = json_array(), *message;
    bool has_system = c->system && *c->system;
    size_t i;
    json_array_foreach(c->messages, i, message) {
        if ((i == 0 && has_system) || i >= c->n_forgotten + has_system) json_array_append(kept, message);
    }
    token_list_clear(ids);
    bool ok = assistant_encode_chat(&c->assistant, kept, ids, err);
    json_decref(kept);
    return ok;
}

/* Forgets the oldest questions, with their answers, until there is room for an answer: for as many tokens as it may
 * have, a quarter of the context at most. */
static bool fit_conversation(struct chat *c, struct token_list *ids, struct talc_error *err) {
    int context = engine_context_length(c->assistant.engine), room = context / 4, n_pairs = 0;
    size_t n_system = c->system && *c->system;
    if (c->max_tokens > 0 && c->max_tokens < room) room = (int)c->max_tokens;
    if (!encode_messages(c, ids, err)) return false;
    while ((int64_t)ids->count + room > context && n_system + c->n_forgotten + 2 < json_array_size(c->messages)) {
        c->n_forgotten += 2;
        n_pairs++;
        if (!encode_messages(c, ids, err)) return false;
    }
    if ((int64_t)ids->count >= context)
        return talc_fail(
            err, "the message has %zu tokens, with what must stand before it, and the context holds %d; shorten it",
            ids->count, context);
    if (n_pairs == 1)
        fprintf(stderr, "(the context of %d tokens is full: one question and its answer are forgotten)\n", context);
    else if (n_pairs > 1)
        fprintf(stderr, "(the context of %d tokens is full: %d questions and their answers are forgotten)\n", context,
                n_pairs);
    return true;
}

/* ---- a turn ----------------------------------------------------------------------------------- */

/* Answers the conversation so far and adds the answer to it. A turn that fails is taken back. */
static bool answer_turn(struct chat *c, struct talc_error *err) {
    struct token_list ids = {0};
    struct generation answer = {.max_new_tokens = (int)c->max_tokens,
                                .sampling = sampling_from(&c->sampling),
                                .stops = c->sampling.stops.items,
                                .n_stops = c->sampling.stops.n,
                                .on_text = print_piece,
                                .context = c,
                                .stop = c->interrupted};
    double start = clock_seconds();
    size_t n_forgotten = c->n_forgotten;
    c->begun = false;
    bool ok = fit_conversation(c, &ids, err);
    answer.prompt = ids.ids;
    answer.n_prompt = (int)ids.count;
    ok = ok && engine_generate(c->assistant.engine, &answer, err);
    if (c->begun && c->colour) fputs("\033[0m", stdout);
    if (ok) {
        putchar('\n');
        fflush(stdout);
        report(c, &answer, clock_seconds() - start);
    }
    /* A turn that was stopped before a word of it is as if it had not been. */
    if (ok && (answer.text.length > 0 || answer.finish != FINISH_CANCELLED)) {
        add_message(c, "assistant", answer.text.data, answer.text.length);
    } else {
        json_array_remove(c->messages, json_array_size(c->messages) - 1);
        c->n_forgotten = n_forgotten;
    }
    generation_free(&answer);
    token_list_free(&ids);
    return ok;
}

/* Begins a line at the end of a file open with "a+": whoever wrote it may have left the last one without its end. */
static bool begin_line(FILE *f) {
    if (fseek(f, 0, SEEK_END) != 0) return false;
    long length = ftell(f);
    if (length <= 0) return length == 0;
    if (fseek(f, -1, SEEK_END) != 0) return false;
    int last = fgetc(f);
    return last != EOF && fseek(f, 0, SEEK_END) == 0 && (last == '\n' || fputc('\n', f) != EOF);
}

static void save_conversation(const struct chat *c, const char *path) {
    struct talc_error err = {0};
    struct stat st;
    FILE *f = NULL;
    bool ok = false;
    if (!*path)
        talc_fail(&err, "give the name of a file after /save");
    else if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        talc_fail(&err, "%s: is not a regular file; give another name", path);
    else if (!(f = fopen(path, "a+")))
        talc_fail_errno(&err, "%s: cannot be written", path);
    else if (!begin_line(f))
        talc_fail_errno(&err, "%s: cannot be added to", path);
    else
        ok = cli_print_json(f, json_pack("{s:O}", "messages", c->messages), &err);
    if (f && fclose(f) != 0 && ok) ok = talc_fail_errno(&err, "%s: cannot be written", path);
    if (ok)
        fprintf(stderr, "(added to %s)\n", path);
    else
        fprintf(stderr, "%s\n", err.message);
}

static void set_system(struct chat *c, const char *text) {
    struct talc_error err = {0};
    char *own = cli_check_text("what follows /system", text, &err) ? strdup(text) : NULL;
    if (!own) {
        fprintf(stderr, "%s\n", *err.message ? err.message : "out of memory");
        return;
    }
    free(c->own_system);
    c->system = c->own_system = own;
    clear_messages(c);
    fprintf(stderr, "(the conversation is forgotten; %s)\n",
            *own ? "the next has these instructions" : "the next has no instructions");
}

/* What follows the name of a command, or NULL if `text` is another command. */
static const char *argument_of(const char *text, const char *command) {
    size_t n = strlen(command);
    if (strncmp(text, command, n) != 0 || (text[n] && text[n] != ' ')) return NULL;
    return text[n] ? text + n + 1 : text + n;
}

/* A line that begins with '/'. False: there is no such command. */
static bool run_command(struct chat *c, const char *text, bool *leave, struct talc_error *err) {
    const char *argument;
    *leave = false;
    if (argument_of(text, "/exit") || argument_of(text, "/bye")) {
        *leave = true;
    } else if (argument_of(text, "/clear")) {
        clear_messages(c);
        fputs("(forgotten)\n", stderr);
    } else if ((argument = argument_of(text, "/system"))) {
        set_system(c, argument);
    } else if ((argument = argument_of(text, "/save"))) {
        save_conversation(c, argument);
    } else if (argument_of(text, "/help")) {
        fputs(help_text, stderr);
    } else {
        return talc_fail(err,
                         "there is no command '%.*s'; /help lists them; a message may begin with / between two lines "
                         "of \"\"\"",
                         (int)strcspn(text, " "), text);
    }
    return true;
}

/* One message: a line, or the lines between two of """, which are never a command. */
static enum line_result read_message(struct line_input *input, struct buffer *line, struct buffer *message,
                                     bool *is_command) {
    buffer_clear(message);
    enum line_result result = line_input_read(input, line);
    *is_command = line->length > 0 && line->data[0] == '/';
    if (result != LINE_READ || strcmp(line->data ? line->data : "", "\"\"\"") != 0) {
        if (result == LINE_READ && line->data) buffer_append(message, line->data, line->length);
        return result;
    }
    while ((result = line_input_read(input, line)) == LINE_READ &&
           strcmp(line->data ? line->data : "", "\"\"\"") != 0) {
        if (message->length) buffer_append_char(message, '\n');
        buffer_append(message, line->data ? line->data : "", line->length);
    }
    /* A message that the end of the input closes is one all the same. */
    return result == LINE_END && message->length ? LINE_READ : result;
}

/* Sends one message and shows the answer. */
static bool say(struct chat *c, const char *message, size_t n_bytes, struct talc_error *err) {
    if (utf8_valid_prefix(message, n_bytes) != n_bytes)
        return talc_fail(err, "that is not valid UTF-8 text; nothing was sent");
    add_message(c, "user", message, n_bytes);
    return answer_turn(c, err);
}

/* An interrupt ends a line or an answer; where nobody is there to type something else, the conversation too. */
static bool is_ended(const struct chat *c, bool terminal) {
    return *c->interrupted == SIGTERM || (*c->interrupted && !terminal);
}

static bool converse(struct chat *c, struct talc_error *err) {
    bool terminal = isatty(0);
    struct line_input *input = line_input_open("> ", c->interrupted);
    struct buffer line = {0}, message = {0};
    bool ok = input ? true : talc_fail(err, "out of memory");
    if (terminal) fprintf(stderr, "Talk to %s. /help lists commands, Ctrl-D leaves.\n", c->model);
    while (ok && !ferror(stdout) && !is_ended(c, terminal)) {
        bool is_command, leave = false;
        enum line_result result = read_message(input, &line, &message, &is_command);
        if (result == LINE_FAILED) ok = talc_fail_errno(err, "standard input cannot be read");
        if (result == LINE_FAILED || result == LINE_END || is_ended(c, terminal)) break;
        if (result == LINE_INTERRUPTED)
            fputc('\n', stderr);
        else if (result == LINE_TOO_LONG)
            ok = talc_fail(err, "a line is longer than %zu bytes; nothing was sent", LINE_INPUT_BYTES);
        else if (message.length > 0 && is_command)
            ok = run_command(c, message.data, &leave, err);
        else if (message.length > 0)
            ok = say(c, message.data, message.length, err);
        if (leave) break;
        if (!ok && terminal) { /* it is said, and the conversation goes on */
            fprintf(stderr, "%s\n", err->message);
            ok = true;
        }
        if (terminal) cli_clear_interrupt(); /* it ended the line or the answer, and nothing after */
    }
    if (terminal) fputc('\n', stderr);
    line_input_close(input);
    buffer_free(&line);
    buffer_free(&message);
    return ok;
}

/* Before anything is read: a conversation that could not be had is not begun. */
static bool check_chat(const struct chat *c, struct talc_error *err) {
    return assistant_can_chat(&c->assistant, err) && (!c->system || cli_check_text("--system", c->system, err)) &&
           (!c->prompt || cli_check_text("--prompt", c->prompt, err));
}

static bool chat(struct chat *c, struct stream *stream, struct talc_error *err) {
    const struct engine_options options = {.n_streams = 1, .context_length = (int)c->context};
    struct cli_loading loading = {0};
    const struct model_options model = cli_loading_options(&loading, false);
    cli_end_on_interrupt(); /* while the model is loaded */
    if (!assistant_open(&c->assistant, c->model, stream, &model, &options, err) || !check_chat(c, err)) return false;
    c->interrupted = cli_catch_interrupt();
    clear_messages(c);
    return c->prompt ? say(c, c->prompt, strlen(c->prompt), err) : converse(c, err);
}

int cmd_chat(int argc, char **argv) {
    struct chat c = {.sampling = sampling_values_defaults()};
    /* clang-format off */
    struct option options[] = {
        {.name = "model", .letter = 'm', .kind = OPTION_TEXT, .value = &c.model, .argument = "DIR",
         .help = "model or run folder, or a GGUF file"},
        {.name = "prompt", .letter = 'p', .kind = OPTION_TEXT, .value = &c.prompt, .argument = "TEXT",
         .help = "answer this one message and end"},
        {.name = "system", .kind = OPTION_TEXT, .value = &c.system, .argument = "TEXT",
         .help = "instructions before the conversation"},
        OPTION_CONTEXT(c.context),
        {.name = "max-tokens", .letter = 'n', .kind = OPTION_INT, .value = &c.max_tokens, .argument = "N",
         .help = "longest answer; 0: to the end of the context", .min = 0, .max = 1e9},
        OPTIONS_SAMPLING(c.sampling),
        {.name = "verbose", .kind = OPTION_FLAG, .value = &c.verbose,
         .help = "tokens, speed and context after each answer"},
        OPTION_DEVICE(c.device, c.threads),
    };
    /* clang-format on */
    struct command_line line = {.command = "chat",
                                .summary = "talk to a model in the terminal",
                                .arguments = "",
                                .example = "talc chat -m sft/ --temp 0",
                                .options = options,
                                .n_options = OPTIONS_COUNT(options)};
    int code = options_parse(&line, argc, argv);
    if (code >= 0) return code;
    if (!c.model) {
        options_free(&line);
        return cli_usage("chat", "which model? give -m DIR");
    }
    if (c.prompt && !*c.prompt) {
        options_free(&line);
        return cli_usage("chat", "--prompt is empty; give a message, or leave it out to talk");
    }
    struct talc_error err = {0};
    struct cli_device device;
    c.messages = json_array();
    c.colour = cli_colour(1);
    bool ok = cli_device_open(&device, c.device, c.threads, &err);
    if (ok) {
        ok = chat(&c, &device.stream, &err);
        assistant_close(&c.assistant);
        cli_device_close(&device);
    }
    json_decref(c.messages);
    free(c.own_system);
    options_free(&line);
    if (ok && *c.interrupted) return EXIT_INTERRUPTED;
    return ok ? EXIT_DONE : cli_fail("chat", &err);
}
