/* sandbox.c - see sandbox.h. Three processes: the caller, which keeps the time and reads the output; the first process of the
 * new namespaces, which sets them up and waits; and the program, as its child. */
#include "task/sandbox.h"

#include "task/sandbox_filter.h"

#ifdef __linux__
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define NOBODY 65534

struct sandbox_limits sandbox_limits_defaults(void) {
    return (struct sandbox_limits){.wall_seconds = 10, .cpu_seconds = 5, .processes = 24, .memory_bytes = (size_t)512 << 20,
                                   .folder_bytes = (size_t)16 << 20, .output_bytes = (size_t)64 << 10};
}

/* What the first process tells the caller: how the program ended, or which step of setting up failed. */
struct report {
    char failed_step[64]; /* "" when the program was run */
    int error, status;
};

struct box {
    const struct sandbox_job *job;
    char root[64];                        /* a folder of the host: where the new root is mounted, in the new namespace only */
    int output[2], report[2], go[2];      /* pipes */
    bool own_users;                       /* a user namespace: the caller is not root */
};

/* ---- inside, before the program ------------------------------------------------------------------------------------------- */

static void tell(const struct box *box, const char *step, int status) {
    struct report r = {.error = errno, .status = status};
    snprintf(r.failed_step, sizeof r.failed_step, "%s", step);
    ssize_t n = write(box->report[1], &r, sizeof r);
    (void)n;
}

static bool make_folder(const char *root, const char *name, char out[160]) {
    snprintf(out, 160, "%s%s", root, name);
    return mkdir(out, 0755) == 0 || errno == EEXIST;
}

/* Shows a folder or device of the host at the same place; folders read-only. */
static bool show(const char *root, const char *name, bool device) {
    char place[160];
    struct stat st;
    snprintf(place, sizeof place, "%s%s", root, name);
    if (lstat(name, &st) != 0) return true; /* the host has none */
    if (S_ISLNK(st.st_mode)) {
        char target[160];
        ssize_t n = readlink(name, target, sizeof target - 1);
        if (n < 0) return false;
        target[n] = 0;
        return symlink(target, place) == 0;
    }
    if (device) {
        int fd = open(place, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
        if (fd < 0) return false;
        close(fd);
    } else if (mkdir(place, 0755) != 0 && errno != EEXIST) {
        return false;
    }
    unsigned long flags = MS_BIND | (device ? 0 : MS_REC);
    if (mount(name, place, NULL, flags, NULL) != 0) return false;
    return mount(NULL, place, NULL, MS_BIND | MS_REMOUNT | MS_NOSUID | (device ? 0 : MS_RDONLY | MS_NODEV), NULL) == 0;
}

static bool write_files(const struct box *box) {
    for (size_t i = 0; i < box->job->n_files; i++) {
        const struct sandbox_file *f = &box->job->files[i];
        char path[240];
        snprintf(path, sizeof path, "%s/work/%s", box->root, f->name);
        int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
        bool ok = fd >= 0 && write(fd, f->text, f->n_bytes) == (ssize_t)f->n_bytes;
        if (fd >= 0) close(fd);
        if (!ok) return false;
    }
    return true;
}

/* The name of the step that failed, or NULL. */
static const char *build_root(const struct box *box) {
    static const char *const folders[] = {"/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives"};
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/urandom"};
    char place[160], options[64];
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return "making mounts private";
    if (mount("tmpfs", box->root, "tmpfs", MS_NOSUID, "size=1m,mode=755") != 0) return "mounting a new root";
    if (!make_folder(box->root, "/etc", place) || !make_folder(box->root, "/dev", place)) return "making folders";
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (!show(box->root, folders[i], false)) return folders[i];
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        if (!show(box->root, devices[i], true)) return devices[i];
    if (!make_folder(box->root, "/work", place)) return "making the working folder";
    snprintf(options, sizeof options, "size=%zu,mode=777,nr_inodes=4096", box->job->limits.folder_bytes);
    if (mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, options) != 0) return "mounting the working folder";
    if (!write_files(box)) return "writing the program's files";
    snprintf(place, sizeof place, "%s/tmp", box->root);
    if (symlink("work", place) != 0) return "linking /tmp";
    if (!make_folder(box->root, "/.old", place)) return "making folders";
    if (syscall(SYS_pivot_root, box->root, place) != 0 || chdir("/") != 0) return "changing the root";
    if (umount2("/.old", MNT_DETACH) != 0 || rmdir("/.old") != 0) return "leaving the old root";
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID, NULL) != 0) return "closing the new root";
    return chdir("/work") == 0 ? NULL : "entering the working folder";
}

static bool limit(int what, size_t value) {
    return setrlimit((__rlimit_resource_t)what, &(struct rlimit){value, value}) == 0;
}

static bool drop_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    for (int c = 0; c <= 63; c++) prctl(PR_CAPBSET_DROP, c, 0, 0, 0); /* those the kernel does not know fail */
    return syscall(SYS_capset, &header, none) == 0;
}

static const char *become_nobody(const struct box *box) {
    const struct sandbox_limits *l = &box->job->limits;
    for (int c = 0; c <= 63; c++) prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
    if (!box->own_users &&
        (syscall(SYS_setgroups, 0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0))
        return "giving up root";
    if (!drop_capabilities()) return "dropping capabilities";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return "forbidding new privileges";
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (!limit(RLIMIT_CPU, (size_t)l->cpu_seconds) || !limit(RLIMIT_AS, l->memory_bytes) || !limit(RLIMIT_FSIZE, l->folder_bytes) ||
        !limit(RLIMIT_NPROC, (size_t)l->processes) || !limit(RLIMIT_NOFILE, 64) || !limit(RLIMIT_CORE, 0))
        return "setting limits";
    return NULL;
}

static void run_program(const struct box *box) {
    static char *const environment[] = {(char *)"PATH=/usr/bin:/bin", (char *)"HOME=/work", (char *)"LANG=C.UTF-8",
                                        (char *)"TMPDIR=/work", NULL};
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    setsid();
    if (null < 0 || dup2(null, 0) < 0 || dup2(box->output[1], 1) < 0 || dup2(box->output[1], 2) < 0) _exit(125);
    if (syscall(SYS_close_range, 3, ~0u, 0) != 0)
        for (int fd = 3; fd < 4096; fd++) close(fd);
    for (int s = 1; s < 32; s++) signal(s, SIG_DFL);
    const char *failed = become_nobody(box);
    if (failed || !sandbox_filter_apply()) {
        dprintf(2, "the sandbox could not be closed: %s\n", failed ? failed : "filter of system calls");
        _exit(125);
    }
    execve(box->job->argv[0], (char *const *)(uintptr_t)box->job->argv, environment);
    _exit(127);
}

/* The first process. It ends when the program does, and with it all that the program started. */
static void first_process(const struct box *box) {
    char go;
    int status = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    close(box->report[0]);
    close(box->output[0]);
    close(box->go[1]);
    if (read(box->go[0], &go, 1) != 1) _exit(1);
    const char *failed = build_root(box);
    if (failed) {
        tell(box, failed, 0);
        _exit(1);
    }
    pid_t program = fork();
    if (program == 0) run_program(box);
    if (program < 0) {
        tell(box, "starting the program", 0);
        _exit(1);
    }
    close(box->output[1]);
    for (pid_t ended; (ended = waitpid(-1, &status, 0)) != program;)
        if (ended < 0 && errno != EINTR) break;
    tell(box, "", status);
    _exit(0);
}

/* ---- outside ------------------------------------------------------------------------------------------------------------------ */

static bool write_text(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) close(fd);
    return ok;
}

/* Inside, the caller's user is 65534 and there is no other. */
static bool map_users(pid_t child) {
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/%d/setgroups", (int)child);
    write_text(path, "deny");
    snprintf(path, sizeof path, "/proc/%d/uid_map", (int)child);
    snprintf(text, sizeof text, "%d %d 1", NOBODY, (int)getuid());
    if (!write_text(path, text)) return false;
    snprintf(path, sizeof path, "/proc/%d/gid_map", (int)child);
    snprintf(text, sizeof text, "%d %d 1", NOBODY, (int)getgid());
    return write_text(path, text);
}

static void read_output(const struct box *box, struct sandbox_result *result, double deadline) {
    char piece[4096];
    for (;;) {
        double left = deadline - clock_seconds();
        struct pollfd p = {.fd = box->output[0], .events = POLLIN};
        int ready = left > 0 ? poll(&p, 1, (int)(left * 1000) + 1) : 0;
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) {
            result->timed_out = true;
            return;
        }
        ssize_t n = read(box->output[0], piece, sizeof piece);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        size_t room = box->job->limits.output_bytes - result->output.length;
        buffer_append(&result->output, piece, (size_t)n < room ? (size_t)n : room);
    }
}

/* A program may close its output and go on: wait for its end too. */
static bool read_report(const struct box *box, struct sandbox_result *result, double deadline, struct report *report) {
    while (!result->timed_out) {
        double left = deadline - clock_seconds();
        struct pollfd p = {.fd = box->report[0], .events = POLLIN};
        int ready = left > 0 ? poll(&p, 1, (int)(left * 1000) + 1) : 0;
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) result->timed_out = true;
        else return read(box->report[0], report, sizeof *report) == (ssize_t)sizeof *report;
    }
    return false;
}

static bool fill_result(const struct report *r, struct sandbox_result *result, struct talc_error *err) {
    if (r->failed_step[0]) {
        errno = r->error;
        return talc_fail_errno(err, "the sandbox cannot be set up here: %s", r->failed_step);
    }
    result->exit_code = WIFEXITED(r->status) ? WEXITSTATUS(r->status) : -1;
    result->signal = WIFSIGNALED(r->status) ? WTERMSIG(r->status) : 0;
    if (result->exit_code == 125) return talc_fail(err, "%s", result->output.data ? result->output.data : "the sandbox could not be closed");
    return true;
}

static bool watch(struct box *box, pid_t child, struct sandbox_result *result, struct talc_error *err) {
    struct report report = {.failed_step = "starting"};
    double deadline = clock_seconds() + box->job->limits.wall_seconds;
    bool ok = !box->own_users || map_users(child) ? true : talc_fail_errno(err, "the sandbox cannot map its user");
    if (ok && write(box->go[1], "g", 1) != 1) ok = talc_fail_errno(err, "the sandbox cannot be started");
    if (ok) read_output(box, result, deadline);
    bool reported = ok && read_report(box, result, deadline, &report);
    kill(child, SIGKILL); /* and with it everything in its namespace */
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    if (!ok) return false;
    result->exit_code = -1;
    if (result->timed_out) return true;
    if (!reported) return talc_fail(err, "the sandbox ended without a word");
    return fill_result(&report, result, err);
}

static void close_pipes(struct box *box, int *which, int n) {
    (void)box;
    for (int i = 0; i < n; i++)
        if (which[i] >= 0) close(which[i]);
}

static bool start(struct box *box, struct sandbox_result *result, struct talc_error *err) {
    int *pipes[] = {box->output, box->report, box->go};
    for (int i = 0; i < 3; i++) pipes[i][0] = pipes[i][1] = -1;
    for (int i = 0; i < 3; i++)
        if (pipe2(pipes[i], O_CLOEXEC) != 0) {
            talc_fail_errno(err, "the sandbox cannot make a pipe");
            for (int k = 0; k < i; k++) close_pipes(box, pipes[k], 2);
            return false;
        }
    unsigned long flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD;
    box->own_users = geteuid() != 0;
    pid_t child = (pid_t)syscall(SYS_clone, flags | (box->own_users ? CLONE_NEWUSER : 0), NULL, NULL, NULL, NULL);
    if (child == 0) first_process(box);
    int failure = errno;
    close_pipes(box, (int[]){box->output[1], box->report[1], box->go[0]}, 3);
    errno = failure;
    bool ok = child > 0 ? watch(box, child, result, err) : talc_fail_errno(err, "this system gives no namespaces");
    close_pipes(box, (int[]){box->output[0], box->report[0], box->go[1]}, 3);
    return ok;
}

bool sandbox_run(const struct sandbox_job *job, struct sandbox_result *result, struct talc_error *err) {
    struct box box = {.job = job, .root = "/tmp/talc-sandbox.XXXXXX"};
    *result = (struct sandbox_result){0};
    if (!sandbox_filter_supported()) return talc_fail(err, "talc was built without libseccomp: generated code is not run");
    for (size_t i = 0; i < job->n_files; i++)
        if (strchr(job->files[i].name, '/') || strlen(job->files[i].name) > 64)
            return talc_fail(err, "'%s' is no plain file name", job->files[i].name);
    if (!mkdtemp(box.root)) return talc_fail_errno(err, "the sandbox cannot make a folder in /tmp");
    bool ok = start(&box, result, err);
    rmdir(box.root);
    if (!ok) buffer_free(&result->output);
    return ok;
}

bool sandbox_available(struct talc_error *why) {
    struct sandbox_result result;
    struct sandbox_job job = {.argv = (const char *const[]){"/bin/true", NULL}, .limits = sandbox_limits_defaults()};
    if (!sandbox_run(&job, &result, why)) return false;
    bool ok = result.exit_code == 0;
    buffer_free(&result.output);
    return ok ? true : talc_fail(why, "the sandbox does not even run /bin/true");
}
#else
struct sandbox_limits sandbox_limits_defaults(void) { return (struct sandbox_limits){0}; }
bool sandbox_run(const struct sandbox_job *job, struct sandbox_result *result, struct talc_error *err) {
    (void)job, (void)result;
    return talc_fail(err, "programs can be isolated on Linux only: generated code is not run");
}
bool sandbox_available(struct talc_error *why) { return sandbox_run(NULL, NULL, why); }
#endif
