/* sandbox_filter.c - see sandbox_filter.h. Calls that reach the kernel's wider surface, other processes or the network fail with
 * EPERM; the ordinary ones of compilers and interpreters go through. Calls of another architecture kill the process. */
#include "task/sandbox_filter.h"

#ifdef HAVE_LIBSECCOMP
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>

static const char *const denied[] = {
    "socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "recvmsg", "ptrace",
    "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_open", "pidfd_getfd", "kcmp", "mount", "umount", "umount2",
    "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "unshare", "setns",
    "keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter",
    "io_uring_register", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot",
    "clock_settime", "clock_adjtime", "settimeofday", "adjtimex", "sethostname", "setdomainname", "personality", "swapon", "swapoff",
    "acct", "quotactl", "quotactl_fd", "open_by_handle_at", "name_to_handle_at", "mknod", "mknodat", "iopl", "ioperm", "syslog", "vhangup",
    "lookup_dcookie", "nfsservctl", "fanotify_init", "fanotify_mark", "mbind", "migrate_pages", "move_pages", "set_mempolicy",
    "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid", "seccomp", "memfd_secret",
    "landlock_create_ruleset", "shmget", "shmat", "msgget", "semget", "mq_open",
};

bool sandbox_filter_supported(void) { return true; }

static bool add_rules(scmp_filter_ctx filter) {
    for (size_t i = 0; i < sizeof denied / sizeof *denied; i++) {
        int call = seccomp_syscall_resolve_name(denied[i]);
        if (call != __NR_SCMP_ERROR && seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0) != 0 && call >= 0) return false;
    }
    /* The flags of clone3 lie in memory, where a filter cannot look: the C library falls back to clone. */
    if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) != 0) return false;
    static const unsigned long spaces[] = {CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, 0x02000000};
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
        if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, spaces[i], spaces[i])) != 0)
            return false;
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, TIOCSTI)) == 0;
}

bool sandbox_filter_apply(void) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    bool ok = filter && add_rules(filter) && seccomp_load(filter) == 0;
    if (filter) seccomp_release(filter);
    return ok;
}
#else
bool sandbox_filter_supported(void) { return false; }
bool sandbox_filter_apply(void) { return false; }
#endif
