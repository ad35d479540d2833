/* sandbox.c - the caller's side of a sandbox: checks the job, starts the new process in its namespaces, gathers the
 * output, ends everything when a limit is reached, and says how it ended. */
#include "task/sandbox.h"

#include <string.h>

struct sandbox_limits sandbox_default_limits(void) {
    return (struct sandbox_limits){.wall_seconds = 10,
                                   .cpu_seconds = 10,
                                   .n_processes = 32,
                                   .memory_bytes = (size_t)512 << 20,
                                   .file_bytes = (size_t)32 << 20,
                                   .disk_bytes = (size_t)64 << 20,
                                   .output_bytes = (size_t)1 << 20};
}

bool sandbox_available(struct talc_error *why) {
    static const char *const nothing[] = {"/bin/sh", "-c", ":", NULL};
    struct sandbox_job job = {.argv = nothing, .limits = sandbox_default_limits()};
    struct sandbox_result result;
    if (!sandbox_run(&job, &result, why)) return false;
    buffer_free(&result.output);
    if (result.end == SANDBOX_EXITED && result.value == 0) return true;
    return talc_fail(why, "sandbox: a shell that does nothing did not end well in it");
}

#if defined(__linux__) && defined(HAVE_LIBSECCOMP)

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "task/sandbox_internal.h"

#define FIRST_JOB_ID 2000000000u /* above every user and every range that containers are given */
#define JOB_IDS 100000000u

static bool check_job(const struct sandbox_job *job, struct talc_error *err) {
    const struct sandbox_limits *l = &job->limits;
    if (!job->argv || !job->argv[0] || job->argv[0][0] != '/')
        return talc_fail(err, "sandbox: the program must be an absolute path, as /bin/sh");
    if (!(l->wall_seconds > 0) || !(l->wall_seconds < 1e6) || l->cpu_seconds <= 0 || l->n_processes <= 0 ||
        l->n_processes > 4096 || !l->memory_bytes || !l->file_bytes || !l->disk_bytes || !l->output_bytes)
        return talc_fail(err, "sandbox: every limit must be set (start from sandbox_default_limits)");
    for (size_t i = 0; i < job->n_files; i++) {
        const char *name = job->files[i].name;
        if (!name[0] || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
            return talc_fail(err, "sandbox: '%s' is no file name", name);
    }
    return true;
}

/* A copy of this process as the first of new namespaces; as fork, 0 in the copy. *pidfd becomes readable at its end. */
static pid_t clone_into_namespaces(bool user_namespace, int *pidfd) {
    unsigned long flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
                          CLONE_PIDFD | SIGCHLD;
    if (user_namespace) flags |= CLONE_NEWUSER;
    return (pid_t)syscall(SYS_clone, flags, NULL, pidfd, NULL, NULL);
}

/* True when this process may give a child that user: not every id exists in a container. */
static bool id_exists(uid_t id) {
    char text[4096];
    int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    for (char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL) {
        char *end;
        unsigned long first = strtoul(line, &end, 10);
        strtoul(end, &end, 10);
        unsigned long count = strtoul(end, &end, 10);
        if (id >= first && id - first < count) return true;
    }
    return false;
}

/* Root gives the job a user id of its own; others, and root in a container that lacks the right, a user namespace. */
static pid_t start(struct sandbox_plan *plan, int *pidfd, struct talc_error *err) {
    plan->uid = geteuid();
    plan->gid = getegid();
    plan->user_namespace = plan->uid != 0;
    plan->job_id = FIRST_JOB_ID + (unsigned)syscall(SYS_gettid) % JOB_IDS; /* this thread waits for this job alone */
    if (!id_exists(plan->job_id)) plan->job_id = SANDBOX_NOBODY;
    pid_t child = clone_into_namespaces(plan->user_namespace, pidfd);
    if (child < 0 && errno == EPERM && !plan->user_namespace) {
        plan->user_namespace = true;
        child = clone_into_namespaces(true, pidfd);
    }
    if (child == 0) sandbox_child(plan);
    if (child < 0)
        talc_fail_errno(err, "sandbox: no new namespaces (they need root, or user namespaces for all users)");
    return child;
}

/* ---- the run, seen from outside ---- */

struct run {
    const struct sandbox_limits *limits;
    struct sandbox_result *result;
    pid_t child;
    int pidfd, output_fd, report_fd; /* output_fd: -1 when all was read */
    bool killed;                     /* by us; result->end says why */
};

static void end_run(struct run *run, enum sandbox_end why) {
    if (run->killed) return;
    run->killed = true;
    run->result->end = why;
    kill(run->child, SIGKILL); /* the kernel ends the whole process namespace with its first process */
}

/* Takes what is in the pipe now; beyond output_bytes it is thrown away. */
static void read_output(struct run *run) {
    char block[16384];
    struct buffer *output = &run->result->output;
    for (;;) {
        ssize_t n = read(run->output_fd, block, sizeof block);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            close(run->output_fd);
            run->output_fd = -1;
            return;
        }
        size_t room = run->limits->output_bytes - output->length;
        buffer_append(output, block, (size_t)n < room ? (size_t)n : room);
        if ((size_t)n > room) {
            end_run(run, SANDBOX_OVER_OUTPUT);
            return;
        }
    }
}

static void gather(struct run *run, double start_seconds) {
    double deadline = start_seconds + run->limits->wall_seconds;
    for (;;) {
        double left = deadline - clock_seconds();
        if (left <= 0) end_run(run, SANDBOX_TIMED_OUT);
        struct pollfd wait_for[2] = {{.fd = run->pidfd, .events = POLLIN},
                                     {.fd = run->killed ? -1 : run->output_fd, .events = POLLIN}};
        int timeout = run->killed ? -1 : left > 3600 ? 3600000 : (int)(left * 1000) + 1;
        if (poll(wait_for, 2, timeout) < 0) continue; /* interrupted */
        if (wait_for[1].revents) read_output(run);
        if (wait_for[0].revents) break;
    }
    if (run->output_fd >= 0 && !run->killed) read_output(run); /* the processes are gone; the rest is in the pipe */
}

/* How it ended: from the reports, or from our having killed it, or from the first process's own end. */
static bool judge(struct run *run, int status, struct talc_error *err) {
    struct sandbox_result *result = run->result;
    struct sandbox_report report;
    bool started = false, ended = false;
    while (read(run->report_fd, &report, sizeof report) == (ssize_t)sizeof report) {
        report.what[sizeof report.what - 1] = 0;
        if (report.kind == REPORT_FAILED) {
            errno = report.value;
            return talc_fail_errno(err, "sandbox: cannot %s", report.what);
        }
        if (report.kind == REPORT_STARTED) started = true;
        if (report.kind == REPORT_STARTED || run->killed) continue;
        ended = true;
        result->end = report.kind == REPORT_OVER_MEMORY ? SANDBOX_OVER_MEMORY
                      : WIFEXITED(report.value)         ? SANDBOX_EXITED
                                                        : SANDBOX_SIGNALED;
        if (result->end == SANDBOX_EXITED) result->value = WEXITSTATUS(report.value);
        if (result->end == SANDBOX_SIGNALED) result->value = WTERMSIG(report.value);
    }
    if (ended || run->killed) return true;
    if (!started) return talc_fail(err, "sandbox: its first process ended before the job could start");
    result->end = SANDBOX_SIGNALED; /* the watcher was killed, as by the kernel when the machine is out of memory */
    result->value = WIFSIGNALED(status) ? WTERMSIG(status) : SIGKILL;
    return true;
}

static bool run_plan(struct sandbox_plan *plan, struct run *run, struct talc_error *err) {
    int output[2], reports[2];
    if (pipe2(output, O_CLOEXEC)) return talc_fail_errno(err, "sandbox: no pipe");
    if (pipe2(reports, O_CLOEXEC)) {
        close(output[0]);
        close(output[1]);
        return talc_fail_errno(err, "sandbox: no pipe");
    }
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    fcntl(reports[0], F_SETFL, O_NONBLOCK);
    plan->output_fd = output[1];
    plan->report_fd = reports[1];
    run->output_fd = output[0];
    run->report_fd = reports[0];
    double start_seconds = clock_seconds();
    run->child = start(plan, &run->pidfd, err);
    close(output[1]);
    close(reports[1]);
    bool ok = run->child > 0;
    if (ok) {
        int status = 0;
        gather(run, start_seconds);
        while (waitpid(run->child, &status, 0) < 0 && errno == EINTR) continue;
        run->result->seconds = clock_seconds() - start_seconds;
        ok = judge(run, status, err);
        close(run->pidfd);
    }
    if (run->output_fd >= 0) close(run->output_fd);
    close(run->report_fd);
    return ok;
}

bool sandbox_run(const struct sandbox_job *job, struct sandbox_result *result, struct talc_error *err) {
    *result = (struct sandbox_result){0};
    struct sandbox_plan plan = {.job = job};
    struct run run = {.limits = &job->limits, .result = result};
    if (!check_job(job, err) || !sandbox_filter_make(&plan.filter, err)) return false;
    bool ok = run_plan(&plan, &run, err);
    free(plan.filter.filter);
    if (ok && !buffer_ok(&result->output)) ok = talc_fail(err, "sandbox: out of memory for the output");
    if (!ok) buffer_free(&result->output);
    return ok;
}

#else

bool sandbox_run(const struct sandbox_job *job, struct sandbox_result *result, struct talc_error *err) {
    (void)job;
    *result = (struct sandbox_result){0};
    return talc_fail(err, "sandbox: this talc was built without one; code runs only on Linux with libseccomp");
}

#endif
