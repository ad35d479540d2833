/* The sandbox holds: each hostile program says what it managed by its exit status (0: it got through), and none does; all of
 * them end in time; the host is as it was. Benign programs run. Skipped, and said so, where programs cannot be isolated. */
#include "support/cmocka_all.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "task/sandbox.h"
#include "task/sandbox_code.h"

static struct sandbox_result run_text(const char *name, const char *text, const char *const *argv, double seconds) {
    struct sandbox_file file = {name, text, strlen(text)};
    struct sandbox_job job = {.files = &file, .n_files = 1, .argv = argv, .limits = sandbox_limits_defaults()};
    struct sandbox_result result;
    struct talc_error err = {0};
    job.limits.wall_seconds = seconds;
    double start = clock_seconds();
    if (!sandbox_run(&job, &result, &err)) fail_msg("%s", err.message);
    assert_true(clock_seconds() - start < seconds + 3);
    return result;
}

static struct sandbox_result run_c(const char *body, double seconds) {
    char program[4096];
    snprintf(program, sizeof program,
             "#define _GNU_SOURCE\n#include <errno.h>\n#include <fcntl.h>\n#include <sched.h>\n#include <signal.h>\n"
             "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <sys/ioctl.h>\n#include <sys/mount.h>\n"
             "#include <sys/ptrace.h>\n#include <sys/socket.h>\n#include <sys/stat.h>\n#include <sys/syscall.h>\n"
             "#include <sys/wait.h>\n#include <netinet/in.h>\n#include <time.h>\n#include <unistd.h>\nint main(void) { %s }\n",
             body);
    return run_text("h.c", program, (const char *const[]){"/bin/sh", "-c", "cc -w -o h h.c && ./h", NULL}, seconds);
}

static void benign_programs_run(void **state) {
    (void)state;
    struct code_outcome o;
    const char *c = "#include <stdio.h>\n#include <assert.h>\nint main(void) { assert(1 + 1 == 2); puts(\"hello\"); return 0; }\n";
    const char *broken = "int main(void) { return x; }\n", *python = "print('hel' + 'lo')\n", *wrong = "assert 1 == 2\n";
    assert_true(sandbox_run_code(NULL, "c", c, strlen(c), &o, NULL));
    assert_true(o.ended_well);
    assert_string_equal(o.output, "hello\n");
    assert_true(sandbox_run_code(NULL, "c", broken, strlen(broken), &o, NULL));
    assert_false(o.ended_well);
    assert_non_null(strstr(o.output, "error"));
    if (access("/usr/bin/python3", X_OK) != 0) return;
    assert_true(sandbox_run_code(NULL, "python", python, strlen(python), &o, NULL));
    assert_true(o.ended_well);
    assert_string_equal(o.output, "hello\n");
    assert_true(sandbox_run_code(NULL, "python", wrong, strlen(wrong), &o, NULL));
    assert_false(o.ended_well);
    assert_non_null(strstr(o.output, "AssertionError"));
}

/* Each returns 0 from main when it got through. */
static const char *const hostile[] = {
    "return open(\"/etc/shadow\", O_RDONLY) < 0;",
    "return open(\"/etc/passwd\", O_RDONLY) < 0;",
    "return open(\"/root\", O_RDONLY | O_DIRECTORY) < 0;",
    "return open(\"/home\", O_RDONLY | O_DIRECTORY) < 0;",
    "return open(\"/proc/1/environ\", O_RDONLY) < 0;",
    "return open(\"/sys/kernel\", O_RDONLY) < 0;",
    "return open(\"/usr/bin/evil\", O_CREAT | O_WRONLY, 0755) < 0;",
    "return open(\"/evil\", O_CREAT | O_WRONLY, 0755) < 0;",
    "return open(\"/dev/sda\", O_RDONLY) < 0 && open(\"/dev/vda\", O_RDONLY) < 0 && open(\"/dev/mem\", O_RDONLY) < 0;",
    "return symlink(\"/etc/shadow\", \"s\") || open(\"s\", O_RDONLY) < 0;",
    "return symlink(\"../../../../root\", \"r\") || open(\"r\", O_RDONLY) < 0;",
    "return socket(AF_INET, SOCK_STREAM, 0) < 0;",
    "return socket(AF_INET, SOCK_DGRAM, 0) < 0;",
    "return socket(AF_UNIX, SOCK_STREAM, 0) < 0;",
    "return socket(AF_NETLINK, SOCK_RAW, 0) < 0;",
    "return kill(1, SIGKILL) != 0;",
    "return kill(getppid(), 9) != 0 || getppid() > 1;",
    "return ptrace(PTRACE_TRACEME, 0, 0, 0) < 0;",
    "return ptrace(PTRACE_ATTACH, 1, 0, 0) < 0;",
    "return mount(\"tmpfs\", \"/work\", \"tmpfs\", 0, 0) != 0;",
    "return umount2(\"/usr\", MNT_DETACH) != 0;",
    "return mount(0, \"/\", 0, MS_REMOUNT, 0) != 0;",
    "return unshare(CLONE_NEWUSER) != 0;",
    "return unshare(CLONE_NEWNS) != 0;",
    "char st[65536]; return clone((int (*)(void *))abort, st + 65536, CLONE_NEWUSER | SIGCHLD, 0) < 0;",
    "mkdir(\"x\", 0700); return chroot(\"x\") != 0;",
    "return setuid(0) != 0;",
    "return setgid(0) != 0;",
    "return mknod(\"d\", S_IFBLK | 0600, 0xfe00) != 0;",
    "return execl(\"/bin/su\", \"su\", \"-c\", \"id\", (char *)0) != 0 ? 1 : 1;",
    "struct timespec t = {0}; return clock_settime(CLOCK_REALTIME, &t) != 0;",
    "return sethostname(\"evil\", 4) != 0;",
    "return syscall(SYS_reboot, 0xfee1dead, 672274793, 0, 0) != 0;",
    "return syscall(SYS_init_module, 0, 0, \"\") == 0 ? 0 : errno == EPERM;",
    "return syscall(SYS_bpf, 0, 0, 0) != -1 || errno != EPERM ? 0 : 1;",
    "return syscall(SYS_perf_event_open, 0, 0, 0, 0, 0) != -1 || errno != EPERM ? 0 : 1;",
    "return syscall(SYS_io_uring_setup, 1, 0) != -1 || errno != EPERM ? 0 : 1;",
    "return syscall(SYS_userfaultfd, 0) != -1 || errno != EPERM ? 0 : 1;",
    "return syscall(SYS_keyctl, 0, -3, 1) != -1 || errno != EPERM ? 0 : 1;",
    "return syscall(SYS_personality, 0x0040000) != -1 || errno != EPERM ? 0 : 1;",
    "return syscall(SYS_process_vm_readv, 1, 0, 0, 0, 0, 0) != -1 || errno != EPERM ? 0 : 1;",
    "char c = 'x'; return ioctl(0, TIOCSTI, &c) == 0 ? 0 : errno == EPERM;",
    "for (int fd = 3; fd < 4096; fd++) if (fcntl(fd, F_GETFD) != -1) return 0; return 1;",
    "char *p = malloc(1ul << 31); if (!p) return 1; memset(p, 1, 1ul << 31); return 0;",
    "int fd = open(\"big\", O_CREAT | O_WRONLY, 0600); char b[65536] = {1}; for (int i = 0; i < 4096; i++) if (write(fd, b, sizeof b) < 0) return 1; return 0;",
    "int fd = open(\"sparse\", O_CREAT | O_WRONLY, 0600); return ftruncate(fd, 1l << 40) != 0;",
    "signal(SIGXCPU, SIG_IGN); signal(SIGTERM, SIG_IGN); for (;;) {}",
    "int n = 0; for (int i = 0; i < 200; i++) { pid_t p = fork(); if (p == 0) { pause(); _exit(0); } if (p > 0) n++; } return n < 100;",
};

static void hostile_programs_do_not_get_through(void **state) {
    (void)state;
    size_t n = sizeof hostile / sizeof *hostile;
    for (size_t i = 0; i < n; i++) {
        struct sandbox_result r = run_c(hostile[i], 8);
        if (r.exit_code == 0) print_error("got through: %s\n", hostile[i]);
        if (r.exit_code > 1) print_error("did not run (%d): %s\n%s\n", r.exit_code, hostile[i], r.output.data ? r.output.data : "");
        assert_int_not_equal(r.exit_code, 0);
        buffer_free(&r.output);
    }
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    assert_string_not_equal(host, "evil");
}

static void time_and_output_are_limited(void **state) {
    (void)state;
    const char *const shell[] = {"/bin/sh", "h.sh", NULL};
    struct sandbox_result r = run_text("h.sh", "trap '' TERM; sleep 60", shell, 1);
    assert_true(r.timed_out);
    buffer_free(&r.output);
    r = run_text("h.sh", "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done", shell, 1);
    assert_true(r.timed_out);
    assert_int_equal(r.output.length, sandbox_limits_defaults().output_bytes);
    buffer_free(&r.output);
    r = run_text("h.sh", ":(){ :|:& };:", shell, 1.5);
    assert_int_not_equal(r.exit_code, 0);
    buffer_free(&r.output);
    r = run_text("h.sh", "(sleep 30 &) ; exec >/dev/null 2>&1; exit 3", shell, 5); /* a child that stays dies with it */
    assert_false(r.timed_out && r.exit_code == 3);
    buffer_free(&r.output);
    r = run_text("h.sh", "p=.; for i in 1 2 3 4 5 6 7 8 9; do p=$p/$i; mkdir $p || exit 1; done; exit 7", shell, 5);
    assert_int_equal(r.exit_code, 7);
    buffer_free(&r.output);
}

static void nothing_is_left_behind(void **state) {
    (void)state;
    DIR *d = opendir("/tmp");
    for (struct dirent *e; (e = readdir(d));) assert_int_not_equal(strncmp(e->d_name, "talc-sandbox.", 13), 0);
    closedir(d);
}

int main(void) {
    struct talc_error why = {0};
    if (!sandbox_available(&why)) {
        printf("SKIPPED: %s\n", why.message);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(benign_programs_run),
        cmocka_unit_test(hostile_programs_do_not_get_through),
        cmocka_unit_test(time_and_output_are_limited),
        cmocka_unit_test(nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
