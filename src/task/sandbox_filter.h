/* sandbox_filter.h - the filter of system calls for sandboxed programs (seccomp). */
#ifndef TALC_TASK_SANDBOX_FILTER_H
#define TALC_TASK_SANDBOX_FILTER_H

#include <stdbool.h>

bool sandbox_filter_supported(void);
/* Applies to the calling process and its children for good. False when it could not be. */
bool sandbox_filter_apply(void);

#endif
