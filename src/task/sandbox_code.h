/* sandbox_code.h - compiles and runs generated C, and runs generated Python, in the sandbox. */
#ifndef TALC_TASK_SANDBOX_CODE_H
#define TALC_TASK_SANDBOX_CODE_H

#include "task/checker.h"

/* What this machine lacks to run a language, as a reader should install it ("/usr/bin/python3"); NULL: nothing. */
const char *sandbox_code_lacks(const char *language);

/* For struct code_runner (context is not used): "c" or "python". False when nothing could be run; a program that does
 * not compile, crashes or meets a limit (sandbox_default_limits) has only not ended well. */
bool sandbox_run_code(void *context, const char *language, const char *program, size_t n_bytes,
                      struct code_outcome *outcome, struct talc_error *err);

#endif
