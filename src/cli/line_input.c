/* line_input.c - see line_input.h.
 *
 * A signal that comes between two reads must not be lost: while a line is read SIGINT and SIGTERM are blocked, except
 * within pselect, which lets them in and waits for input in one step. */
#include "cli/line_input.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>
#include <wchar.h>

#include "cli/cli.h"

#ifdef HAVE_LIBEDIT
#include <histedit.h>
#endif

struct line_input {
    const char *prompt;
    const volatile sig_atomic_t *interrupted;
    bool terminal;
    sigset_t unblocked; /* the mask while waiting */
    char bytes[4096];   /* read, not yet used: [next, end) */
    size_t next, end;
#ifdef HAVE_LIBEDIT
    EditLine *edit;
    History *history;
#endif
};

/* Waits until standard input can be read. False with errno EINTR: a signal came. */
static bool wait_for_input(struct line_input *input) {
    while (!*input->interrupted) {
        fd_set in;
        FD_ZERO(&in);
        FD_SET(STDIN_FILENO, &in);
        if (pselect(STDIN_FILENO + 1, &in, NULL, NULL, NULL, &input->unblocked) > 0) return true;
        if (errno != EINTR) return false;
    }
    errno = EINTR;
    return false;
}

/* The next byte: 1, or 0 at the end of the input, or -1 with errno. */
static int next_byte(struct line_input *input, char *byte) {
    if (input->next == input->end) {
        ssize_t n;
        do {
            if (!wait_for_input(input)) return -1;
            n = read(STDIN_FILENO, input->bytes, sizeof input->bytes);
        } while (n < 0 && errno == EAGAIN);
        if (n <= 0) return (int)n;
        input->next = 0;
        input->end = (size_t)n;
    }
    *byte = input->bytes[input->next++];
    return 1;
}

#ifdef HAVE_LIBEDIT
static struct line_input *input_of(EditLine *edit) {
    struct line_input *input = NULL;
    el_get(edit, EL_CLIENTDATA, &input);
    return input;
}

static char *edit_prompt(EditLine *edit) { return (char *)(uintptr_t)input_of(edit)->prompt; }

/* What libedit asks for each key. Bytes that are no character are passed over. */
static int edit_key(EditLine *edit, wchar_t *key) {
    struct line_input *input = input_of(edit);
    mbstate_t state = {0};
    for (;;) {
        char byte;
        int n = next_byte(input, &byte);
        if (n <= 0) return n;
        size_t used = mbrtowc(key, &byte, 1, &state);
        if (used == (size_t)-1)
            state = (mbstate_t){0};
        else if (used != (size_t)-2)
            return 1;
    }
}

static void open_editor(struct line_input *input) {
    HistEvent event;
    input->edit = el_init("talc", stdin, stdout, stderr);
    input->history = history_init();
    if (!input->edit || !input->history) return;
    history(input->history, &event, H_SETSIZE, 1000);
    el_set(input->edit, EL_CLIENTDATA, input);
    el_set(input->edit, EL_PROMPT, edit_prompt);
    el_set(input->edit, EL_GETCFN, edit_key);
    el_set(input->edit, EL_EDITOR, "emacs");
    el_set(input->edit, EL_HIST, history, input->history);
}

static enum line_result edit_line(struct line_input *input, struct buffer *line) {
    int n = 0;
    HistEvent event;
    const char *text = el_gets(input->edit, &n);
    if (*input->interrupted) return LINE_INTERRUPTED;
    if (!text || n <= 0) return n < 0 ? LINE_FAILED : LINE_END;
    size_t length = text[n - 1] == '\n' ? (size_t)n - 1 : (size_t)n;
    if (length > LINE_INPUT_BYTES) return LINE_TOO_LONG;
    if (length > 0) history(input->history, &event, H_ENTER, text);
    buffer_append(line, text, length);
    return LINE_READ;
}
#endif

struct line_input *line_input_open(const char *prompt, const volatile sig_atomic_t *interrupted) {
    struct line_input *input = calloc(1, sizeof *input);
    if (!input) return NULL;
    input->prompt = prompt;
    input->interrupted = interrupted;
    input->terminal = isatty(0) && isatty(1);
    if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");
#ifdef HAVE_LIBEDIT
    if (input->terminal) open_editor(input);
#endif
    return input;
}

void line_input_close(struct line_input *input) {
    if (!input) return;
#ifdef HAVE_LIBEDIT
    if (input->edit) el_end(input->edit);
    if (input->history) history_end(input->history);
#endif
    free(input);
}

static enum line_result plain_line(struct line_input *input, struct buffer *line) {
    if (input->terminal) {
        fputs(input->prompt, stdout);
        fflush(stdout);
    }
    char c = 0;
    int n;
    bool too_long = false;
    while ((n = next_byte(input, &c)) == 1 && c != '\n') {
        if (line->length < LINE_INPUT_BYTES)
            buffer_append_char(line, c);
        else
            too_long = true;
    }
    if (*input->interrupted) return LINE_INTERRUPTED;
    if (n < 0) return LINE_FAILED;
    if (too_long) return LINE_TOO_LONG;
    return n == 0 && line->length == 0 ? LINE_END : LINE_READ;
}

enum line_result line_input_read(struct line_input *input, struct buffer *line) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, &input->unblocked);
    buffer_clear(line);
    enum line_result result;
#ifdef HAVE_LIBEDIT
    if (input->edit && input->history)
        result = edit_line(input, line);
    else
#endif
        result = plain_line(input, line);
    pthread_sigmask(SIG_SETMASK, &input->unblocked, NULL);
    if (result == LINE_INTERRUPTED) input->next = input->end; /* what was typed before is dropped, as by the terminal */
    return result;
}
