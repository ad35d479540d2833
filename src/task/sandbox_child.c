/* sandbox_child.c - the inside of a sandbox. The first process of the new namespaces builds a root of its own, gives
 * up every privilege, starts the job and watches its memory until it ends. Only system calls here, no allocation: it
 * runs in a copy of a process that may have other threads.
 *
 * A step is a function that returns NULL, or the words for what failed with errno set. The order of the steps matters:
 * mounts need the privileges that are dropped next, and the job's files are written by the user who will own them. */
#if defined(__linux__) && defined(HAVE_LIBSECCOMP)

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "task/sandbox_internal.h"

#define REPORT_FD 3
#define WATCH_NANOSECONDS 10000000 /* how often the memory of the job is added up */
#define ATTR_RDONLY 1u             /* of mount_setattr(2), which C libraries before 2023 do not declare */
#define ATTR_NOSUID 2u
#define ATTR_NODEV 4u

static void report(int kind, int value, const char *what) {
    struct sandbox_report r = {.kind = kind, .value = value};
    snprintf(r.what, sizeof r.what, "%s", what);
    if (write(REPORT_FD, &r, sizeof r) != (ssize_t)sizeof r) _exit(1); /* nobody is left to hear */
}

/* ---- descriptors and signals ---- */

/* stdout and stderr are the output pipe, 3 is the report pipe, and nothing else stays open. */
static const char *keep_own_descriptors(const struct sandbox_plan *plan) {
    int output = fcntl(plan->output_fd, F_DUPFD, 16), report_to = fcntl(plan->report_fd, F_DUPFD, 16);
    /* 0 is taken too, until open_null, so that no other file lands there. */
    if (output < 0 || report_to < 0 || dup2(output, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 ||
        dup3(report_to, REPORT_FD, O_CLOEXEC) < 0)
        return "arrange descriptors";
    if (syscall(SYS_close_range, REPORT_FD + 1, ~0u, 0)) return "close inherited descriptors (Linux 5.9 or later)";
    return NULL;
}

static const char *reset_signals(void) {
    for (int s = 1; s < NSIG; s++) signal(s, SIG_DFL); /* those that cannot be set have their default anyway */
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD); /* waited for in watch() */
    if (sigprocmask(SIG_SETMASK, &child, NULL)) return "set the signal mask";
    return NULL;
}

/* ---- namespaces ---- */

static bool write_file(const char *path, int flags, const char *data, size_t n_bytes) {
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0700);
    if (fd < 0) return false;
    size_t done = 0;
    while (done < n_bytes) {
        ssize_t n = write(fd, data + done, n_bytes - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        done += (size_t)n;
    }
    int error = errno;
    if (close(fd)) return false;
    errno = error;
    return done == n_bytes;
}

static const char *enter_namespaces(const struct sandbox_plan *plan) {
    write_file("/proc/self/oom_score_adj", 0, "1000",
               4); /* the first to go if the machine runs out; no matter if not */
    if (plan->user_namespace) {
        char map[64];
        int n = snprintf(map, sizeof map, "%d %u 1", SANDBOX_NOBODY, (unsigned)plan->uid);
        if (!write_file("/proc/self/uid_map", 0, map, (size_t)n)) return "map the user";
        if (!write_file("/proc/self/setgroups", 0, "deny", 4)) return "give up setgroups";
        n = snprintf(map, sizeof map, "%d %u 1", SANDBOX_NOBODY, (unsigned)plan->gid);
        if (!write_file("/proc/self/gid_map", 0, map, (size_t)n)) return "map the group";
    }
    if (sethostname("sandbox", 7)) return "set the host name";
    if (setdomainname("", 0)) return "set the domain name";
    if (setsid() < 0) return "start a session";
    return NULL;
}

/* ---- the file system ---- */

static bool restrict_mount(const char *path, uint64_t attributes, unsigned flags) {
    struct {
        uint64_t set, clear, propagation, user_namespace;
    } change = {.set = attributes};
    return syscall(SYS_mount_setattr, AT_FDCWD, path, flags, &change, sizeof change) == 0;
}

/* /path of the system under the new root (the current folder): a link as that link, the rest mounted read-only. */
static const char *show_system(const char *path) {
    struct stat s;
    char target[256], from[64];
    snprintf(from, sizeof from, "/%s", path);
    if (lstat(from, &s)) return errno == ENOENT ? NULL : "look at the system's folders";
    if (S_ISLNK(s.st_mode)) {
        ssize_t n = readlink(from, target, sizeof target - 1);
        if (n < 0) return "read a link of the system";
        target[n] = 0;
        return symlink(target, path) ? "make a link to a system folder" : NULL;
    }
    int fd = -1;
    if (S_ISDIR(s.st_mode) ? mkdir(path, 0755) : (fd = open(path, O_CREAT | O_EXCL | O_CLOEXEC | O_WRONLY, 0644)) < 0)
        return "make a mount point";
    if (fd >= 0) close(fd);
    if (mount(from, path, NULL, MS_BIND | (S_ISDIR(s.st_mode) ? MS_REC : 0), NULL)) return "mount a system folder";
    uint64_t attributes = ATTR_RDONLY | ATTR_NOSUID | (S_ISCHR(s.st_mode) ? 0 : ATTR_NODEV);
    if (!restrict_mount(path, attributes, 0x8000 /* AT_RECURSIVE */))
        return "mount a system folder read-only (Linux 5.12 or later)";
    return NULL;
}

/* A descriptor of /proc for these namespaces, mounted where nobody else can reach it. Before the change of root: in a
 * user namespace the kernel gives a new /proc only to those who see one. */
static const char *open_process_list(int *fd) {
    if (mount("proc", "work", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL)) return "mount /proc";
    *fd = open("work", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0) return "open /proc";
    return umount2("work", MNT_DETACH) ? "hide /proc" : NULL;
}

static const char *make_work_folder(const struct sandbox_plan *plan) {
    const struct sandbox_limits *limits = &plan->job->limits;
    char options[96];
    snprintf(options, sizeof options, "mode=0700,nr_inodes=4096,size=%zu", limits->disk_bytes);
    if (mount("tmpfs", "work", "tmpfs", MS_NOSUID | MS_NODEV, options)) return "mount /work";
    if (!plan->user_namespace && chown("work", plan->job_id, plan->job_id)) return "give /work to the job";
    return symlink("work", "tmp") ? "make /tmp" : NULL;
}

/* The root is a tmpfs over /tmp of a private copy of the mounts; then all else is let go. */
static const char *build_root(const struct sandbox_plan *plan, int *processes) {
    static const char *const shown[] = {
        "usr",      "bin",      "lib",        "lib32", "lib64", "libx32", "etc/alternatives", "etc/ld.so.cache",
        "dev/null", "dev/zero", "dev/urandom"};
    umask(022);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) return "make the mounts private";
    if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m,nr_inodes=256"))
        return "mount a new root";
    if (chdir("/tmp") || mkdir("etc", 0755) || mkdir("dev", 0755) || mkdir("work", 0755))
        return "make folders in the new root";
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        const char *failed = show_system(shown[i]);
        if (failed) return failed;
    }
    const char *failed = open_process_list(processes);
    if (!failed) failed = make_work_folder(plan);
    if (failed) return failed;
    if (syscall(SYS_pivot_root, ".", ".")) return "change the root";
    if (umount2(".", MNT_DETACH)) return "let go of the old root";
    if (!restrict_mount("/", ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV, 0)) return "make the root read-only";
    return chdir("/work") ? "enter /work" : NULL;
}

static const char *open_null(void) {
    int fd = open("/dev/null", O_RDONLY);
    if (fd < 0) return "open /dev/null";
    if (fd > 0 && (dup2(fd, 0) < 0 || close(fd))) return "set standard input";
    return NULL;
}

/* ---- privileges ---- */

static const char *drop_privileges(const struct sandbox_plan *plan) {
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)) return "drop a capability for good";
    if (!plan->user_namespace) {
        uid_t id = plan->job_id;
        if (syscall(SYS_setgroups, 0, NULL)) return "leave all groups";
        if (syscall(SYS_setresgid, id, id, id)) return "change the group";
        if (syscall(SYS_setresuid, id, id, id)) return "change the user";
    }
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)) return "drop ambient capabilities";
    if (syscall(SYS_capset, &header, none)) return "drop capabilities";
    if (geteuid() == 0 || getegid() == 0) {
        errno = EPERM;
        return "stop being root";
    }
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) return "hide from ptrace";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return "forbid new privileges";
    /* Set after the change of user, which clears it: the sandbox does not outlive the caller. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)) return "tie the sandbox to its caller";
    return NULL;
}

static const char *write_files(const struct sandbox_job *job) {
    umask(077);
    for (size_t i = 0; i < job->n_files; i++)
        if (!write_file(job->files[i].name, O_CREAT | O_EXCL, job->files[i].text, job->files[i].n_bytes))
            return "write a file of the job";
    return NULL;
}

static const char *install_filter(const struct sandbox_plan *plan) {
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &plan->filter) ? "filter system calls" : NULL;
}

/* ---- the job ---- */

static bool limit(int resource, rlim_t soft, rlim_t hard) {
    struct rlimit r;
    if (getrlimit((__rlimit_resource_t)resource, &r)) return false;
    if (hard < r.rlim_max) r.rlim_max = hard;
    r.rlim_cur = soft < r.rlim_max ? soft : r.rlim_max;
    return setrlimit((__rlimit_resource_t)resource, &r) == 0;
}

static const char *limit_resources(const struct sandbox_limits *l) {
    const struct {
        int resource;
        rlim_t value;
    } limits[] = {
        {RLIMIT_FSIZE, l->file_bytes},
        {RLIMIT_NPROC, (rlim_t)l->n_processes + 1}, /* and the watcher */
        {RLIMIT_NOFILE, 64},
        {RLIMIT_STACK, 64 << 20},
        {RLIMIT_CORE, 1}, /* no file is that small; and, unlike 0, it keeps the kernel from starting a crash handler */
        {RLIMIT_MEMLOCK, 0},
        {RLIMIT_MSGQUEUE, 0},
        {RLIMIT_SIGPENDING, 256},
        {RLIMIT_NICE, 0},
        {RLIMIT_RTPRIO, 0},
        {RLIMIT_AS, l->memory_bytes},
    };
    /* SIGXCPU says why; a job that survives it is killed a second later. */
    if (!limit(RLIMIT_CPU, (rlim_t)l->cpu_seconds, (rlim_t)l->cpu_seconds + 1)) return "limit the CPU time";
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (!limit(limits[i].resource, limits[i].value, limits[i].value)) return "limit a resource";
    return NULL;
}

static _Noreturn void become_job(const struct sandbox_job *job) {
    static char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/work", "TMPDIR=/work",
                                        "LANG=C.UTF-8", NULL};
    sigset_t none;
    sigemptyset(&none);
    const char *failed = setsid() < 0 ? "start a session" : limit_resources(&job->limits);
    if (!failed && syscall(SYS_close_range, REPORT_FD + 1, ~0u, 0)) failed = "close descriptors";
    if (!failed && sigprocmask(SIG_SETMASK, &none, NULL)) failed = "set the signal mask";
    if (!failed) {
        execve(job->argv[0], (char *const *)job->argv, environment);
        failed = "run the job's program";
    }
    report(REPORT_FAILED, errno, failed);
    _exit(1);
}

/* Resident pages of process `name` ("12"), from the second number of its statm. */
static size_t resident_pages(int processes, const char *name) {
    char path[32], text[128];
    snprintf(path, sizeof path, "%.16s/statm", name);
    int fd = openat(processes, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0; /* it has just ended */
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    size_t pages = 0;
    text[n > 0 ? n : 0] = 0;
    for (const char *p = strchr(text, ' '); p && p[1] >= '0' && p[1] <= '9'; p++)
        pages = pages * 10 + (size_t)(p[1] - '0');
    return pages;
}

/* Bytes that all processes but this one hold; pages that they share count once for each. */
static size_t resident_bytes(int processes) {
    struct entry {
        uint64_t inode;
        int64_t offset;
        uint16_t length;
        uint8_t type;
        char name[];
    };
    _Alignas(struct entry) char entries[4096];
    size_t pages = 0;
    if (lseek(processes, 0, SEEK_SET) < 0) return 0;
    for (;;) {
        long n = syscall(SYS_getdents64, processes, entries, sizeof entries);
        if (n <= 0) return pages * (size_t)sysconf(_SC_PAGESIZE);
        for (long at = 0; at < n;) {
            const struct entry *e = (const struct entry *)(entries + at);
            if (e->name[0] >= '1' && e->name[0] <= '9' && strcmp(e->name, "1") != 0)
                pages += resident_pages(processes, e->name);
            at += e->length;
        }
    }
}

/* Until the job's own process ends; the kernel then ends the others, because this one is the first of its namespace. */
static _Noreturn void watch(pid_t job, int processes, size_t memory_bytes) {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    for (;;) {
        int status;
        for (pid_t ended; (ended = waitpid(-1, &status, WNOHANG)) > 0;) {
            if (ended != job) continue;
            report(REPORT_ENDED, status, "");
            _exit(0);
        }
        if (resident_bytes(processes) > memory_bytes) {
            report(REPORT_OVER_MEMORY, 0, "");
            _exit(0);
        }
        sigtimedwait(&child, NULL, &(struct timespec){.tv_nsec = WATCH_NANOSECONDS});
    }
}

_Noreturn void sandbox_child(const struct sandbox_plan *plan) {
    int processes = -1;
    const char *failed = keep_own_descriptors(plan);
    if (failed) _exit(1);
    failed = reset_signals();
    if (!failed) failed = enter_namespaces(plan);
    if (!failed) failed = build_root(plan, &processes);
    if (!failed) failed = open_null();
    if (!failed) failed = drop_privileges(plan);
    if (!failed) failed = write_files(plan->job);
    if (!failed) failed = install_filter(plan);
    pid_t job = -1;
    if (!failed) {
        report(REPORT_STARTED, 0, "");
        /* VFORK: returns when the job has become its own program, so that the caller's memory never counts as its. */
        job = (pid_t)syscall(SYS_clone, CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL);
        if (job < 0) failed = "start a process";
    }
    if (failed) {
        report(REPORT_FAILED, errno, failed);
        _exit(1);
    }
    if (job == 0) become_job(plan->job);
    watch(job, processes, plan->job->limits.memory_bytes);
}

#else
typedef int sandbox_child_needs_libseccomp;
#endif
