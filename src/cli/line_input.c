/* line_input.c - see line_input.h. */
#include "cli/line_input.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

#ifdef HAVE_LIBEDIT
#include <histedit.h>
#endif

#define MAX_LINE_BYTES ((size_t)1 << 20)

struct line_input {
    const char *prompt;
    bool terminal;
#ifdef HAVE_LIBEDIT
    EditLine *edit;
    History *history;
#endif
};

#ifdef HAVE_LIBEDIT
static char *edit_prompt(EditLine *edit) {
    struct line_input *input = NULL;
    el_get(edit, EL_CLIENTDATA, &input);
    return (char *)(uintptr_t)input->prompt;
}

static void open_editor(struct line_input *input) {
    HistEvent event;
    input->edit = el_init("talc", stdin, stdout, stderr);
    input->history = history_init();
    if (!input->edit || !input->history) return;
    history(input->history, &event, H_SETSIZE, 1000);
    el_set(input->edit, EL_CLIENTDATA, input);
    el_set(input->edit, EL_PROMPT, edit_prompt);
    el_set(input->edit, EL_EDITOR, "emacs");
    el_set(input->edit, EL_HIST, history, input->history);
}

static enum line_result edit_line(struct line_input *input, struct buffer *line) {
    int n;
    HistEvent event;
    const char *text = el_gets(input->edit, &n);
    if (!text) return errno == EINTR ? LINE_INTERRUPTED : LINE_END;
    if (n > 1) history(input->history, &event, H_ENTER, text);
    buffer_append(line, text, n > 0 && text[n - 1] == '\n' ? (size_t)n - 1 : (size_t)n);
    return LINE_READ;
}
#endif

struct line_input *line_input_open(const char *prompt) {
    struct line_input *input = calloc(1, sizeof *input);
    if (!input) return NULL;
    input->prompt = prompt;
    input->terminal = isatty(0) && isatty(1);
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
    int c;
    errno = 0;
    while ((c = getchar()) != EOF && c != '\n' && line->length < MAX_LINE_BYTES) buffer_append_char(line, (char)c);
    if (c == EOF && errno == EINTR) {
        clearerr(stdin);
        return LINE_INTERRUPTED;
    }
    return c == EOF && line->length == 0 ? LINE_END : LINE_READ;
}

enum line_result line_input_read(struct line_input *input, struct buffer *line) {
    buffer_clear(line);
#ifdef HAVE_LIBEDIT
    if (input->edit && input->history) return edit_line(input, line);
#endif
    return plain_line(input, line);
}
