/* sandbox.h - runs untrusted programs, such as code that a model wrote, so that they can neither harm the machine nor
 * read what is anybody's on it (what is installed under /usr and how much memory and disk are free can be seen). Linux
 * with libseccomp only; elsewhere nothing is ever run.
 *
 * A job runs in namespaces of its own (processes, mounts, network, IPC, host name; without root also users), as a user
 * who owns nothing, without capabilities, behind a list of allowed system calls, under resource limits. It sees /usr
 * and /lib read-only, /dev/null, /dev/zero, /dev/urandom and one small writable folder, /work, that is gone
 * afterwards: no /proc, no /home, no network. When the job's first process ends, so does every other.
 *
 * Safe to call from several threads at once; each call blocks its thread. */
#ifndef TALC_TASK_SANDBOX_H
#define TALC_TASK_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

struct sandbox_file {
    const char *name; /* in /work: one component, no '/' */
    const char *text;
    size_t n_bytes;
};

struct sandbox_limits {
    double wall_seconds;
    int cpu_seconds;     /* of each process */
    int n_processes;     /* at one time, threads included */
    size_t memory_bytes; /* address space of a process, and resident memory of all together */
    size_t file_bytes;   /* of one file */
    size_t disk_bytes;   /* of /work, which lies in memory */
    size_t output_bytes; /* stdout and stderr together; a job that writes more is ended */
};

struct sandbox_job {
    const struct sandbox_file *files;
    size_t n_files;
    const char *const *argv; /* ends with NULL; argv[0] is an absolute path as the job sees it; runs in /work */
    struct sandbox_limits limits;
};

enum sandbox_end {
    SANDBOX_EXITED,      /* value: exit code */
    SANDBOX_SIGNALED,    /* value: signal */
    SANDBOX_TIMED_OUT,   /* wall_seconds passed */
    SANDBOX_OVER_MEMORY, /* all processes together held more than memory_bytes */
    SANDBOX_OVER_OUTPUT, /* more than output_bytes were written; `output` has the first of them */
};

struct sandbox_result {
    enum sandbox_end end;
    int value;
    double seconds;       /* wall clock */
    struct buffer output; /* stdout and stderr as they came; the caller frees it with buffer_free */
};

/* 10 s, 512 MiB, 32 processes, 64 MiB of files, 1 MiB of output. */
struct sandbox_limits sandbox_default_limits(void);

/* True when a sandbox can be set up here (a do-nothing job is run); otherwise `why` says what is missing. */
bool sandbox_available(struct talc_error *why);

/* Runs the job and waits for its end, however it ends. False when the sandbox could not be set up, and then nothing
 * of the job has run. Initializes *result, which needs no buffer_free after false. */
bool sandbox_run(const struct sandbox_job *job, struct sandbox_result *result, struct talc_error *err);

#endif
