/* cli.c - messages, colours, signals and the device, for all commands; see cli.h. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "file/json.h"

int cli_fail(const char *command, const struct talc_error *err) {
    fprintf(stderr, "talc %s: %s\n", command, err->message);
    return EXIT_FAILED;
}

int cli_usage(const char *command, const char *format, ...) {
    va_list args;
    fprintf(stderr, "talc %s: ", command);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return EXIT_USAGE;
}

void cli_say(bool quiet, const char *format, ...) {
    if (quiet) return;
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fflush(stderr);
}

bool cli_print_json(FILE *out, json_t *value, struct talc_error *err) {
    struct buffer line = {0};
    bool ok = value ? json_append_line(&line, value, err) : talc_fail(err, "out of memory for the answer");
    buffer_append_char(&line, '\n');
    if (ok && !buffer_ok(&line)) ok = talc_fail(err, "out of memory for the answer");
    if (ok) fwrite(line.data, 1, line.length, out);
    buffer_free(&line);
    json_decref(value);
    return ok;
}

bool cli_check_text(const char *what, const char *text, struct talc_error *err) {
    size_t n = strlen(text), valid = utf8_valid_prefix(text, n);
    return valid == n ? true : talc_fail(err, "%s is not valid UTF-8 text: byte %zu of it", what, valid + 1);
}

/* Unicode's format controls (Cf) that have no shape of their own, and its line and paragraph separators; not the
 * joiners U+200C and U+200D, without which Persian, Indic scripts and emoji are misspelt. */
static bool is_unseen(int32_t c) {
    static const int32_t ranges[][2] = {{0xad, 0xad},     {0x61c, 0x61c},     {0x180e, 0x180e},   {0x200b, 0x200b},
                                        {0x200e, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},   {0xfeff, 0xfeff},
                                        {0xfff9, 0xfffb}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe007f}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1]) return true;
    return false;
}

void cli_print_visible(FILE *out, const char *text, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes;) {
        int32_t codepoint;
        size_t length = (size_t)utf8_decode(text + i, n_bytes - i, &codepoint);
        if (codepoint == '\n' || codepoint == '\t' || (codepoint >= 160 && !is_unseen(codepoint)) ||
            (codepoint >= 32 && codepoint < 127))
            fwrite(text + i, 1, length, out);
        else
            for (size_t j = 0; j < length; j++) fprintf(out, "<%02x>", (unsigned char)text[i + j]);
        i += length;
    }
}

void cli_print_text(FILE *out, const char *text, size_t n_bytes) {
    if (isatty(fileno(out)))
        cli_print_visible(out, text, n_bytes);
    else
        fwrite(text, 1, n_bytes, out);
}

json_t *cli_json_number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

void cli_open_standard_files(void) {
    for (int fd = 0; fd <= 2; fd++) /* the lowest free number is given; for reading, so that a write to it fails */
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0) _exit(EXIT_FAILED);
}

static void on_bus_error(int signal) {
    static const char text[] = "talc: a file that is being read was cut short, or its disk failed\n";
    (void)signal;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(EXIT_FAILED);
    _exit(EXIT_FAILED);
}

void cli_catch_bus_error(void) {
    struct sigaction action = {.sa_handler = on_bus_error};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

/* A pipe whose reader went away: it has seen what it wanted. */
static bool reader_left(void) {
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

int cli_close_stdout(const char *command, int code) {
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    if (code == EXIT_DONE && !reader_left())
        fprintf(stderr, "talc %s: the output could not be written%s%s\n", command, errno ? ": " : "",
                errno ? strerror(errno) : "");
    return code == EXIT_DONE ? EXIT_FAILED : code;
}

bool cli_colour(int fd) {
    const char *none = getenv("NO_COLOR"), *wish = getenv("TALC_COLOR"), *term = getenv("TERM");
    if (wish && strcmp(wish, "always") == 0) return true;
    if ((wish && strcmp(wish, "never") == 0) || (none && *none) || (term && strcmp(term, "dumb") == 0)) return false;
    return isatty(fd);
}

/* A signal handler can reach nothing but a static: the one exception to having no globals. */
static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal) {
    if (interrupted && signal == SIGINT) _exit(EXIT_INTERRUPTED);
    interrupted = signal;
}

static void end_at_once(int signal) {
    (void)signal;
    _exit(EXIT_INTERRUPTED);
}

static void on_signals(void (*handler)(int)) {
    /* SA_RESTART: a write to a terminal that is slow to take it goes on behind the signal. */
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

const volatile sig_atomic_t *cli_catch_interrupt(void) {
    on_signals(on_interrupt);
    return &interrupted;
}

void cli_end_on_interrupt(void) { on_signals(end_at_once); }

void cli_clear_interrupt(void) {
    sigset_t both, before;
    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &both, &before);
    if (interrupted == SIGINT) interrupted = 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

bool cli_device_open(struct cli_device *device, const char *name, int64_t threads, struct talc_error *err) {
    *device = (struct cli_device){.pool = thread_pool_open((int)threads, err)};
    if (device->pool && stream_open(&device->stream, name ? name : "cpu", device->pool, err)) return true;
    thread_pool_close(device->pool);
    device->pool = NULL;
    return false;
}

void cli_device_close(struct cli_device *device) {
    if (device->pool) stream_close(&device->stream);
    thread_pool_close(device->pool);
    *device = (struct cli_device){0};
}

enum dtype cli_float_type(const char *name) { return strcmp(name, "bf16") == 0 ? DTYPE_BF16 : DTYPE_F32; }

/* ---- loading --------------------------------------------------------------------------------- */

static void on_loaded(void *context, double done, double total) {
    struct cli_loading *l = context;
    bool shown = l->progress.label != NULL;
    if (!shown && done < total && clock_seconds() - l->begun > 0.5) {
        progress_start(&l->progress, "loading", "weight", done, total, false);
        shown = true;
    }
    if (shown && done < total) progress_update(&l->progress, done, NULL);
    if (shown && done >= total) progress_clear(&l->progress);
}

struct model_options cli_loading_options(struct cli_loading *l, bool quiet) {
    l->begun = clock_seconds();
    return (struct model_options){.as_stored = true, .progress = quiet ? NULL : on_loaded, .progress_context = l};
}
