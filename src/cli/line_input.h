/* line_input.h - reads what a person types: with editing and history on a terminal (libedit), plainly elsewhere. */
#ifndef TALC_CLI_LINE_INPUT_H
#define TALC_CLI_LINE_INPUT_H

#include <signal.h>

#include "base/buffer.h"

struct line_input;

/* `interrupted` becomes nonzero in a signal handler (cli_catch_interrupt). Sets LC_CTYPE to a UTF-8 locale: what is
 * typed is UTF-8. NULL: out of memory. */
struct line_input *line_input_open(const char *prompt, const volatile sig_atomic_t *interrupted);
void line_input_close(struct line_input *input);

#define LINE_INPUT_BYTES ((size_t)1 << 20)

enum line_result { LINE_READ, LINE_TOO_LONG, LINE_INTERRUPTED, LINE_FAILED, LINE_END };
/* One line without its end, into *line (cleared first); of one of more than LINE_INPUT_BYTES the rest is passed over,
 * and it gives LINE_TOO_LONG. End of file gives LINE_END, input that cannot be read
 * LINE_FAILED and errno; SIGINT and SIGTERM give LINE_INTERRUPTED, whenever they come:
 * also when they came just before the call. */
enum line_result line_input_read(struct line_input *input, struct buffer *line);

#endif
