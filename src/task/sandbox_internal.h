/* sandbox_internal.h - what the two sides of a sandbox share: sandbox.c (the caller's side), sandbox_child.c (the new
 * process, up to the job's execve) and sandbox_filter.c (the allowed system calls). */
#ifndef TALC_TASK_SANDBOX_INTERNAL_H
#define TALC_TASK_SANDBOX_INTERNAL_H

#include <linux/filter.h>
#include <stdint.h>
#include <sys/types.h>

#include "task/sandbox.h"

/* Everything the new process needs; made before the clone, because afterwards only system calls are allowed: the
 * caller may have other threads, whose locks are frozen in the copy. */
struct sandbox_plan {
    const struct sandbox_job *job;
    struct sock_fprog filter;
    int output_fd, report_fd; /* write ends */
    bool user_namespace;      /* no root here: the namespace maps our own user to a powerless one */
    uid_t uid;                /* the caller's, for the map */
    gid_t gid;
    uid_t job_id; /* with root: user and group of the job, one that nothing else uses */
};

#define SANDBOX_NOBODY 65534

/* What the new process says through report_fd; each is written at once (shorter than PIPE_BUF). */
struct sandbox_report {
    enum { REPORT_FAILED, REPORT_STARTED, REPORT_ENDED, REPORT_OVER_MEMORY } kind;
    int32_t value; /* FAILED: errno; ENDED: the status of waitpid */
    char what[56]; /* FAILED: the step */
};

/* First process of the job's namespaces: builds the walls, starts the job, watches it. */
_Noreturn void sandbox_child(const struct sandbox_plan *plan);

/* The filter as a program for seccomp(2); free(filter->filter) afterwards. */
bool sandbox_filter_make(struct sock_fprog *filter, struct talc_error *err);

#endif
