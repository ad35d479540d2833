/* sandbox_filter.c - the system calls that a job may make. It is a list of what is allowed: all else answers ENOSYS,
 * as on a kernel that lacks the call, so that a C library falls back where it can. Missing on purpose: sockets,
 * ptrace and process_vm_*, mounts, namespaces, keys, bpf, perf, io_uring, userfaultfd, clocks, modules, everything
 * about other users; and memfd, System V memory and shared mappings, which would escape the memory count: their pages
 * stay where they are when nobody maps them. Those that every kernel has answer EPERM, so that a program's message says
 * what happened. Calls of another architecture kill the program. */
#if defined(__linux__) && defined(HAVE_LIBSECCOMP)

#include <asm/ioctls.h>
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "task/sandbox_internal.h"

/* clang-format off */
static const char *const allowed[] = {
    /* files */
    "open", "openat", "openat2", "creat", "close", "close_range", "read", "write", "readv", "writev", "pread64",
    "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "lseek", "_llseek", "sendfile", "sendfile64", "splice", "tee",
    "copy_file_range", "stat", "stat64", "fstat", "fstat64", "lstat", "lstat64", "newfstatat", "fstatat64", "statx",
    "statfs", "statfs64", "fstatfs", "fstatfs64", "access", "faccessat", "faccessat2", "getdents", "getdents64",
    "getcwd", "chdir", "fchdir", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat",
    "link", "linkat", "symlink", "symlinkat", "readlink", "readlinkat", "chmod", "fchmod", "fchmodat", "fchmodat2",
    "truncate", "truncate64", "ftruncate", "ftruncate64", "fallocate", "fsync", "fdatasync", "umask", "utime", "utimes",
    "futimesat", "utimensat", "fcntl", "fcntl64", "flock", "dup", "dup2", "dup3", "pipe", "pipe2", "fadvise64",
    "readahead", "getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr",
    /* waiting for several things */
    "poll", "ppoll", "select", "_newselect", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait",
    "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2", "timerfd_create", "timerfd_settime", "timerfd_gettime",
    "signalfd", "signalfd4",
    /* memory */
    "brk", "munmap", "mprotect", "mremap", "madvise", "msync", "mincore",
    /* processes and threads */
    "fork", "vfork", "execve", "execveat", "exit", "exit_group", "wait4", "waitid", "waitpid", "getpid", "getppid",
    "gettid", "getpgid", "getpgrp", "setpgid", "getsid", "setsid", "getuid", "geteuid", "getgid", "getegid", "getuid32",
    "geteuid32", "getgid32", "getegid32", "getgroups", "getgroups32", "getresuid", "getresgid", "getresuid32",
    "getresgid32", "capget", "set_tid_address", "set_robust_list", "get_robust_list", "rseq", "futex", "futex_waitv",
    "membarrier", "arch_prctl", "set_thread_area", "set_tls", "sched_yield", "sched_getaffinity", "sched_getparam",
    "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min", "getpriority", "getcpu", "getrlimit",
    "ugetrlimit", "setrlimit", "getrusage", "times", "uname", "sysinfo", "getrandom",
    /* signals and time */
    "kill", "tkill", "tgkill", "rt_sigaction", "rt_sigprocmask", "rt_sigpending", "rt_sigreturn", "rt_sigsuspend",
    "rt_sigtimedwait", "sigreturn", "sigaltstack", "pause", "alarm", "restart_syscall", "getitimer", "setitimer",
    "timer_create", "timer_settime", "timer_gettime", "timer_getoverrun", "timer_delete", "clock_gettime",
    "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "clock_gettime64", "clock_nanosleep_time64",
    "futex_time64", "ppoll_time64", "pselect6_time64", "rt_sigtimedwait_time64"};
/* clang-format on */

/* Refused either way; here for the better message. */
/* clang-format off */
static const char *const forbidden[] = {
    "socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "recvmsg", "ptrace",
    "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_open", "pidfd_getfd", "kcmp", "mount", "umount",
    "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick",
    "mount_setattr", "unshare", "setns", "keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd",
    "io_uring_setup", "io_uring_enter", "io_uring_register", "kexec_load", "kexec_file_load", "init_module",
    "finit_module", "delete_module", "reboot", "clock_settime", "clock_adjtime", "settimeofday", "adjtimex",
    "sethostname", "setdomainname", "personality", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd",
    "open_by_handle_at", "name_to_handle_at", "mknod", "mknodat", "iopl", "ioperm", "syslog", "vhangup",
    "lookup_dcookie", "nfsservctl", "fanotify_init", "fanotify_mark", "mbind", "migrate_pages", "move_pages",
    "set_mempolicy", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "setfsuid",
    "setfsgid", "seccomp", "memfd_secret", "landlock_create_ruleset", "shmget", "shmat", "msgget", "semget", "mq_open"};
/* clang-format on */

/* Calls that are allowed with one argument as stated. */
struct conditional {
    const char *name;
    unsigned argument;
    uint64_t mask, value;
};
static const struct conditional conditionals[] = {
    {"clone", 0,
     CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP, 0},
    {"mmap", 3, MAP_SHARED, 0}, /* the bit is in MAP_SHARED_VALIDATE too, and not in MAP_PRIVATE */
    {"mmap2", 3, MAP_SHARED, 0},
    {"prlimit64", 0, 0xffffffff, 0}, /* limits of oneself */
    {"prctl", 0, 0xffffffff, PR_SET_NAME},
    {"prctl", 0, 0xffffffff, PR_GET_NAME},
    {"ioctl", 1, 0xffffffff, TCGETS}, /* isatty */
    {"ioctl", 1, 0xffffffff, TIOCGWINSZ},
    {"ioctl", 1, 0xffffffff, FIONREAD},
    {"ioctl", 1, 0xffffffff, FIONBIO},
    {"ioctl", 1, 0xffffffff, FIOCLEX},
};

static int add_names(scmp_filter_ctx context, uint32_t action, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        if (number == __NR_SCMP_ERROR) continue; /* a call that this libseccomp does not know stays refused */
        int status = seccomp_rule_add(context, action, number, 0);
        if (status) return status;
    }
    return 0;
}

static int add_rules(scmp_filter_ctx context) {
    int failed = add_names(context, SCMP_ACT_ALLOW, allowed, sizeof allowed / sizeof *allowed);
    if (!failed) failed = add_names(context, SCMP_ACT_ERRNO(EPERM), forbidden, sizeof forbidden / sizeof *forbidden);
    if (failed) return failed;
    for (size_t i = 0; i < sizeof conditionals / sizeof *conditionals; i++) {
        const struct conditional *c = &conditionals[i];
        int status = seccomp_rule_add(context, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name(c->name), 1,
                                      SCMP_CMP(c->argument, SCMP_CMP_MASKED_EQ, c->mask, c->value));
        if (status) return status;
    }
    return 0;
}

/* libseccomp writes programs to a descriptor only. */
static bool export_program(scmp_filter_ctx context, struct sock_fprog *filter, struct talc_error *err) {
    int fd = memfd_create("talc-seccomp", MFD_CLOEXEC);
    if (fd < 0) return talc_fail_errno(err, "sandbox: no memory file for the filter");
    bool ok = seccomp_export_bpf(context, fd) == 0;
    off_t n_bytes = ok ? lseek(fd, 0, SEEK_END) : -1;
    ok = n_bytes > 0 && n_bytes / (off_t)sizeof(struct sock_filter) <= BPF_MAXINSNS;
    if (ok) {
        filter->len = (unsigned short)((size_t)n_bytes / sizeof(struct sock_filter));
        filter->filter = malloc((size_t)n_bytes);
        ok = filter->filter && pread(fd, filter->filter, (size_t)n_bytes, 0) == n_bytes;
    }
    close(fd);
    if (ok) return true;
    free(filter->filter);
    filter->filter = NULL;
    return talc_fail(err, "sandbox: libseccomp could not write the filter");
}

bool sandbox_filter_make(struct sock_fprog *filter, struct talc_error *err) {
    *filter = (struct sock_fprog){0};
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!context) return talc_fail(err, "sandbox: libseccomp could not start");
    int status = add_rules(context);
    bool ok = status == 0 ? export_program(context, filter, err)
                          : talc_fail(err, "sandbox: libseccomp refused a rule (error %d)", -status);
    seccomp_release(context);
    return ok;
}

#else
typedef int sandbox_filter_needs_libseccomp;
#endif
