/* primer_lines.h - files of one JSON object a line, as the primer writes them. */
#ifndef TALC_TASK_PRIMER_LINES_H
#define TALC_TASK_PRIMER_LINES_H

#include <signal.h>

#include "file/json.h"

/* Calls use(context, object, where) for every line that is not blank, until one fails; `where` is "FILE:LINE", for
 * messages. A line that is no JSON object fails. `stop` as in data/input_stream.h. */
bool json_lines_read(const char *path, const volatile sig_atomic_t *stop,
                     bool (*use)(void *context, json_t *object, const char *where, struct talc_error *err),
                     void *context, struct talc_error *err);

#endif
