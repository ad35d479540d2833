/* sandbox.h - runs a program that nobody trusts (code that a model wrote), on Linux, also when talc itself is root.
 *
 * It gets namespaces of its own (processes, mounts, network, IPC, host name; users where talc is not root), an unprivileged
 * user without capabilities, a read-only view of /usr and nothing else of the machine, a small folder in memory to work in, a
 * filter of system calls, and limits on time, memory, files, processes and output. When its first process ends, or the time
 * is over, all of its processes are killed. Where any of this cannot be had nothing is run. */
#ifndef TALC_TASK_SANDBOX_H
#define TALC_TASK_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

struct sandbox_file {
    const char *name; /* in the working folder; no slashes */
    const char *text;
    size_t n_bytes;
};

struct sandbox_limits {
    double wall_seconds;
    int cpu_seconds, processes;
    size_t memory_bytes;  /* address space of a process */
    size_t folder_bytes;  /* of the working folder, and of a file */
    size_t output_bytes;  /* kept of stdout and stderr; the rest is dropped */
};
struct sandbox_limits sandbox_limits_defaults(void); /* 10 s, 5 s of CPU, 24 processes, 512 MiB, 16 MiB, 64 KiB */

struct sandbox_job {
    const struct sandbox_file *files;
    size_t n_files;
    const char *const *argv; /* ended by NULL; argv[0] is a path */
    struct sandbox_limits limits;
};

struct sandbox_result {
    bool timed_out;
    int exit_code; /* -1: ended by a signal, or by the time limit */
    int signal;
    struct buffer output; /* stdout and stderr together, terminated; free with buffer_free */
};

/* False, with the reason, where programs cannot be isolated. */
bool sandbox_available(struct talc_error *why);

/* False when the program could not be run isolated; what the program itself did is in *result. */
bool sandbox_run(const struct sandbox_job *job, struct sandbox_result *result, struct talc_error *err);

#endif
