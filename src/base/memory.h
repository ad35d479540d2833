/* memory.h - how much memory this machine can still give. */
#ifndef TALC_BASE_MEMORY_H
#define TALC_BASE_MEMORY_H

#include <stddef.h>

/* Bytes that can be taken without swapping or being killed: what the kernel calls available, or what is left of the
 * limit of the control group (where pages of files that can be given up are not counted as used), whichever is less.
 * SIZE_MAX where the system does not say. */
size_t memory_available(void);
/* The same of the system whose /proc and /sys stand under this folder. */
size_t memory_available_under(const char *root);

#endif
