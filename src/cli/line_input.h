/* line_input.h - reads what a person types: with editing and history on a terminal (libedit), plainly elsewhere. */
#ifndef TALC_CLI_LINE_INPUT_H
#define TALC_CLI_LINE_INPUT_H

#include "base/buffer.h"

struct line_input;

struct line_input *line_input_open(const char *prompt);
void line_input_close(struct line_input *input);

enum line_result { LINE_READ, LINE_INTERRUPTED, LINE_END };
/* One line without its end, into *line (cleared first). Ctrl-C gives LINE_INTERRUPTED, end of file LINE_END. */
enum line_result line_input_read(struct line_input *input, struct buffer *line);

#endif
