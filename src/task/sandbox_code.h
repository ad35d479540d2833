/* sandbox_code.h - compiles and runs generated C, and runs generated Python, in the sandbox. */
#ifndef TALC_TASK_SANDBOX_CODE_H
#define TALC_TASK_SANDBOX_CODE_H

#include "task/checker.h"

/* For struct code_runner (context is not used): "c" or "python". */
bool sandbox_run_code(void *context, const char *language, const char *program, size_t n_bytes, struct code_outcome *outcome,
                      struct talc_error *err);

#endif
