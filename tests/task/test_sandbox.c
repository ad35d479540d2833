/* The sandbox holds: each hostile program says what it managed by its exit status (0: it got through), and none does;
 * all of them end in time; the host is as it was. Benign programs run. Skipped, and said so, where programs cannot be
 * isolated. No hostile program is started before harmless ones have found the walls standing. */
#include "support/cmocka_all.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "task/sandbox.h"
#include "task/sandbox_code.h"

static struct sandbox_result run_text(const char *name, const char *text, const char *const *argv, double seconds) {
    struct sandbox_file file = {name, text, strlen(text)};
    struct sandbox_job job = {.files = &file, .n_files = 1, .argv = argv, .limits = sandbox_default_limits()};
    struct sandbox_result result;
    struct talc_error err = {0};
    job.limits.wall_seconds = seconds;
    double start = clock_seconds();
    if (!sandbox_run(&job, &result, &err)) fail_msg("%s", err.message);
    assert_true(clock_seconds() - start <
                seconds + 10); /* the rest is for a busy machine: what gets away does not end */
    return result;
}

static struct sandbox_result run_c(const char *body, double seconds) {
    char program[4096];
    snprintf(
        program, sizeof program,
        "#define _GNU_SOURCE\n#include <errno.h>\n#include <fcntl.h>\n#include <sched.h>\n#include <signal.h>\n"
        "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <sys/ioctl.h>\n#include <sys/mount.h>\n"
        "#include <sys/ptrace.h>\n#include <sys/socket.h>\n#include <sys/stat.h>\n#include <sys/syscall.h>\n"
        "#include <sys/wait.h>\n#include <linux/capability.h>\n#include <netinet/in.h>\n#include "
        "<sys/prctl.h>\n#include <sys/resource.h>\n#include "
        "<sys/mman.h>\n"
        "#include <time.h>\n#include <unistd.h>\nint main(void) { %s }\n",
        body);
    return run_text("h.c", program, (const char *const[]){"/bin/sh", "-c", "cc -w -o h h.c && exec ./h", NULL},
                    seconds);
}

static void benign_programs_run(void **state) {
    (void)state;
    struct code_outcome o;
    const char *c =
        "#include <stdio.h>\n#include <assert.h>\nint main(void) { assert(1 + 1 == 2); puts(\"hello\"); return 0; }\n";
    const char *broken = "int main(void) { return x; }\n", *python = "print('hel' + 'lo')\n",
               *wrong = "assert 1 == 2\n";
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

static void mathematics_is_linked(void **state) {
    (void)state;
    struct code_outcome o;
    const char *c = "#include <math.h>\nint printf(const char *, ...);\n"
                    "int main(int n, char **a) { (void)a; printf(\"%g\", pow(n + 1, 0.5 + n)); }\n";
    assert_true(sandbox_run_code(NULL, "c", c, strlen(c), &o, NULL));
    assert_string_equal(o.output, "2.82843");
}

/* In a mount namespace of a child's own, where a file that nobody may execute lies over each program. */
static int run_without(const char *language, const char *program) {
    struct code_outcome o;
    struct talc_error err = {0};
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) return 77;
    if (mount("/dev/null", program, NULL, MS_BIND, NULL)) return 77;
    if (!sandbox_run_code(NULL, language, "", 0, &o, &err)) return 1;
    return !(o.lacks && !o.ended_well);
}

static void what_a_language_lacks_is_said(void **state) {
    (void)state;
    static const char *const programs[][2] = {{"python", "/usr/bin/python3"}, {"c", "/usr/bin/cc"}};
    for (int i = 0; i < 2; i++) {
        if (access(programs[i][1], X_OK) != 0) continue;
        assert_null(sandbox_code_lacks(programs[i][0]));
        int status;
        pid_t child = fork();
        if (child == 0) _exit(run_without(programs[i][0], programs[i][1]));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77) skip(); /* only root may do so */
        assert_int_equal(WEXITSTATUS(status), 0);
    }
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
    "kill(1, SIGKILL); kill(1, SIGSTOP); kill(1, SIGSEGV); usleep(50000); return 1;",
    "pid_t p = fork(); if (p == 0) { pause(); _exit(0); } return kill(-1, SIGKILL) ? 1 : waitpid(p, 0, 0) == p;",
    "struct rlimit r = {0, 0}; return syscall(SYS_prlimit64, 1, RLIMIT_NOFILE, &r, 0) != 0;",
    "return getpriority(PRIO_PROCESS, 0) < 0 || setpriority(PRIO_PROCESS, 1, 19) != 0;",
    "return syscall(SYS_memfd_create, \"m\", 0) < 0;",
    "return syscall(SYS_shmget, 0, 1 << 20, 01600) < 0;",
    "return prctl(PR_SET_DUMPABLE, 1) != 0;",
    "struct rlimit r = {1 << 30, 1 << 30}; return setrlimit(RLIMIT_NPROC, &r) != 0;",
    "return open(\"/etc/alternatives/../../usr/x\", O_CREAT | O_WRONLY, 0600) < 0;",
    "return open(\"/dev/null/../../x\", O_CREAT | O_WRONLY, 0600) < 0 && mkdir(\"/etc/x\", 0700) != 0;",
    "return open(\"/dev/tty\", O_RDWR) < 0 && open(\"/dev/pts\", O_RDONLY) < 0 && open(\"/dev/shm\", O_RDONLY) < 0;",
    "return open(\"/proc/1/root/etc/shadow\", O_RDONLY) < 0 && open(\"/proc/self/exe\", O_RDONLY) < 0;",
    "struct stat s; return chmod(\"h\", 04755) != 0 || stat(\"/work\", &s) != 0 || s.st_uid == 0 ? 0 : 1;",
    "char n[32]; for (int i = 0; i < 8192; i++) { sprintf(n, \"f%d\", i); int f = open(n, O_CREAT, 0600);"
    " if (f < 0) return 1; close(f); } return 0;",
    "for (int i = 0; i < 8192; i++) if (mkdir(\"d\", 0700) || chdir(\"d\")) return 1; return 0;",
    "return mmap(0, 1l << 40, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED;",
    "return open(\"../../../etc/shadow\", O_RDONLY) < 0 && open(\"/usr/../etc/shadow\", O_RDONLY) < 0;",
    "return chmod(\"/dev/null\", 0) != 0 && chmod(\"/usr/bin\", 0777) != 0 && utimensat(0, \"/usr/bin\", 0, 0) != 0;",
    "return rename(\"/work\", \"/elsewhere\") != 0 && rmdir(\"/work\") != 0 && unlink(\"/tmp\") != 0;",
    "return link(\"/usr/bin/env\", \"env\") != 0 && mkfifo(\"/usr/f\", 0666) != 0;",
    "struct rlimit r; return getrlimit(RLIMIT_CORE, &r) != 0 || r.rlim_cur > 1 || r.rlim_max > 1 ? 0 : 1;",
    "return prctl(PR_SET_PDEATHSIG, 0) != 0 && prctl(PR_SET_SECCOMP, 1) != 0 && prctl(PR_CAPBSET_DROP, 0) != 0;",
    "return syscall(SYS_pidfd_open, 1, 0) < 0 && syscall(SYS_pidfd_send_signal, 0, 9, 0, 0) < 0;",
    "return syscall(SYS_inotify_init1, 0) < 0 && syscall(SYS_fanotify_init, 0, 0) < 0;",
    "return syscall(SYS_vmsplice, 1, 0, 0, 0) < 0 && syscall(SYS_memfd_create, \"x\", 1) < 0;",
    "cpu_set_t all; CPU_ZERO(&all); CPU_SET(0, &all); return sched_setaffinity(1, sizeof all, &all) != 0;",
    "struct sched_param p = {1}; return sched_setscheduler(0, SCHED_FIFO, &p) != 0 && nice(-5) == -1;",
    "int n = 0; timer_t t; while (n < 100000 && timer_create(CLOCK_REALTIME, 0, &t) == 0) n++; return n < 1000;",
    "int n = 0, p[2]; while (n < 100000 && pipe(p) == 0) { fcntl(p[1], F_SETPIPE_SZ, 1 << 20); n++; } return n < 100;",
    "char *p = mmap(0, 400 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0); if (p == MAP_FAILED) "
    "return 1;"
    " for (int i = 0; i < 3; i++) if (fork() == 0) { memset(p, 1, 400 << 20); pause(); } sleep(7); return 0;",
    /* pages that are shared stay where they are when they are unmapped, and are nobody's then */
    "for (int i = 0; i < 8; i++) { char *p = mmap(0, 128 << 20, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);"
    " if (p == MAP_FAILED) return 1; memset(p, 1, 128 << 20); munmap(p + 4096, (128 << 20) - 4096); } return 0;",
    "int z = open(\"/dev/zero\", O_RDWR); for (int i = 0; i < 8; i++) { char *p = mmap(0, 128 << 20, 3, MAP_SHARED, z, "
    "0);"
    " if (p == MAP_FAILED) return 1; memset(p, 1, 128 << 20); madvise(p, 128 << 20, MADV_DONTNEED); } return 0;",
    "for (int i = 0; i < 8; i++) { char *p = mmap(0, 128 << 20, 3, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0);"
    " if (p == MAP_FAILED) return 1; memset(p, 1, 128 << 20); madvise(p, 128 << 20, MADV_DONTNEED); } return 0;",
    "char st[65536]; pid_t p = clone((int (*)(void *))pause, st + 65536, CLONE_PARENT | SIGCHLD, 0);"
    " return p < 0 || kill(getppid(), SIGKILL) ? 1 : (usleep(100000), getppid() == 1);",
    "return syscall(SYS_open_by_handle_at, 0, \"\", 0) != -1 || errno != EPERM ? 0 : 1;",
    "return syscall(SYS_clone3, 0, 0) != -1 || errno != ENOSYS ? 0 : 1;",
    "return syscall(SYS_pivot_root, \".\", \".\") != -1 || errno != EPERM ? 0 : 1;",
    "return syscall(SYS_setns, 0, 0) != -1 || errno != EPERM ? 0 : 1;",
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
    "char c = 'x'; return ioctl(0, TIOCSTI, &c) != 0 && (errno == ENOSYS || errno == EPERM);",
    "for (int fd = 3; fd < 4096; fd++) if (fcntl(fd, F_GETFD) != -1) return 0; return 1;",
    "char *p = malloc(1ul << 31); if (!p) return 1; memset(p, 1, 1ul << 31); return 0;",
    "int fd = open(\"big\", O_CREAT | O_WRONLY, 0600); char b[65536] = {1}; for (int i = 0; i < 4096; i++) if "
    "(write(fd, b, sizeof b) < 0) return 1; return 0;",
    "int fd = open(\"sparse\", O_CREAT | O_WRONLY, 0600); return ftruncate(fd, 1l << 40) != 0;",
    "int n = 0; for (int i = 0; i < 200; i++) { pid_t p = fork(); if (p == 0) { pause(); _exit(0); } if (p > 0) n++; } "
    "return n < 100;",
};

static void hostile_programs_do_not_get_through(void **state) {
    (void)state;
    size_t n = sizeof hostile / sizeof *hostile;
    for (size_t i = 0; i < n; i++) {
        struct sandbox_result r = run_c(hostile[i], 8);
        bool held = r.end == SANDBOX_EXITED ? r.value == 1
                                            : r.end != SANDBOX_SIGNALED || r.value == SIGXCPU || r.value == SIGXFSZ;
        if (!held)
            print_error("%s\nended %d with %d\n%s\n", hostile[i], r.end, r.value, r.output.data ? r.output.data : "");
        assert_true(held);
        buffer_free(&r.output);
    }
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    assert_string_not_equal(host, "evil");
}

/* The 32-bit door into the kernel and that of x32 have other numbers, which the list does not know: they end the
 * program. */
static void calls_of_another_architecture_end_the_program(void **state) {
    (void)state;
#ifdef __x86_64__
    struct sandbox_result r = run_c("long n = 20; __asm__ volatile(\"int $0x80\" : \"+a\"(n)); return 0;", 8);
    assert_int_equal(r.end, SANDBOX_SIGNALED);
    assert_true(r.value == SIGSYS || r.value == SIGSEGV); /* SIGSEGV: this kernel has no such door */
    buffer_free(&r.output);
    r = run_c("syscall(0x40000000 | SYS_getpid); return 0;", 8);
    assert_int_equal(r.end, SANDBOX_SIGNALED);
    assert_int_equal(r.value, SIGSYS);
    buffer_free(&r.output);
#endif
}

/* Runs a script with /bin/sh and says how it ended. */
static struct sandbox_result run_shell(const char *script, double seconds) {
    return run_text("h.sh", script, (const char *const[]){"/bin/sh", "h.sh", NULL}, seconds);
}

static void assert_shell(const char *script, double seconds, enum sandbox_end end, int value) {
    struct sandbox_result r = run_shell(script, seconds);
    if (r.end != end || r.value != value) print_error("%s: ended %d with %d\n", script, r.end, r.value);
    assert_int_equal(r.end, end);
    assert_int_equal(r.value, value);
    buffer_free(&r.output);
}

static void time_is_limited(void **state) {
    (void)state;
    assert_shell("sleep 60", 0.5, SANDBOX_TIMED_OUT, 0);
    assert_shell("kill -STOP $$; exit 0", 0.5, SANDBOX_TIMED_OUT, 0);
    assert_shell("trap '' TERM INT HUP XCPU; while :; do :; done", 0.5, SANDBOX_TIMED_OUT, 0);
    assert_shell("exec >/dev/null 2>&1; sleep 60", 0.5, SANDBOX_TIMED_OUT, 0);
    struct sandbox_result bomb = run_shell(":(){ :|:& };:", 1); /* its shell gives up, or time does */
    assert_true(bomb.end == SANDBOX_TIMED_OUT || bomb.end == SANDBOX_EXITED);
    buffer_free(&bomb.output);
    const char *spin = "while :; do :; done";
    struct sandbox_file file = {"h.sh", spin, strlen(spin)};
    struct sandbox_job job = {.files = &file,
                              .n_files = 1,
                              .argv = (const char *const[]){"/bin/sh", "h.sh", NULL},
                              .limits = sandbox_default_limits()};
    struct sandbox_result r;
    job.limits.cpu_seconds = 1;
    assert_true(sandbox_run(&job, &r, NULL));
    assert_int_equal(r.end, SANDBOX_SIGNALED);
    assert_int_equal(r.value, SIGXCPU);
}

static void output_is_limited(void **state) {
    (void)state;
    struct sandbox_result r =
        run_shell("while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done", 8);
    assert_int_equal(r.end, SANDBOX_OVER_OUTPUT);
    assert_int_equal(r.output.length, sandbox_default_limits().output_bytes);
    buffer_free(&r.output);
    r = run_shell("head -c 1048576 /dev/zero", 8); /* just what is allowed */
    assert_int_equal(r.end, SANDBOX_EXITED);
    assert_int_equal(r.output.length, 1 << 20);
    buffer_free(&r.output);
}

/* Each process stays below the limit of one; together they do not. */
static void memory_of_all_processes_is_limited(void **state) {
    (void)state;
    struct sandbox_result r = run_c("for (int i = 0; i < 8; i++) if (fork() == 0) { char *p = malloc(200 << 20);"
                                    " if (p) memset(p, 1, 200 << 20); pause(); } sleep(20); return 0;",
                                    8);
    assert_int_equal(r.end, SANDBOX_OVER_MEMORY);
    buffer_free(&r.output);
}

static bool runs_somewhere(const char *argument) {
    bool found = false;
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[300], line[64] = "";
        snprintf(path, sizeof path, "/proc/%s/cmdline", e->d_name);
        FILE *f = fopen(path, "r");
        if (!f) continue;
        size_t n = fread(line, 1, sizeof line - 1, f);
        fclose(f);
        found |= n > 6 && memcmp(line, "sleep", 6) == 0 && strcmp(line + 6, argument) == 0;
    }
    if (d) closedir(d);
    return found;
}

/* A daemon that lets go of everything would hold the write end of this pipe's copy, or live on in /proc. */
static void daemons_end_with_the_job(void **state) {
    (void)state;
    double start = clock_seconds();
    assert_shell("(setsid sleep 4711 &) & (sleep 4711 >/dev/null 2>&1 &) ; exit 3", 8, SANDBOX_EXITED, 3);
    assert_true(clock_seconds() - start < 4);
    assert_false(runs_somewhere("4711"));
}

/* The caller is killed while a job runs. */
static void a_job_does_not_outlive_its_caller(void **state) {
    (void)state;
    pid_t caller = fork();
    if (caller == 0) {
        run_text("h.sh", "setsid sleep 4712 & sleep 4712", (const char *const[]){"/bin/sh", "h.sh", NULL}, 60);
        _exit(0);
    }
    double end = clock_seconds() + 10;
    while (!runs_somewhere("4712") && clock_seconds() < end) usleep(20000);
    assert_true(runs_somewhere("4712"));
    kill(caller, SIGKILL);
    waitpid(caller, NULL, 0);
    end = clock_seconds() + 10;
    while (runs_somewhere("4712") && clock_seconds() < end) usleep(20000);
    assert_false(runs_somewhere("4712"));
}

/* Whatever a job says, it is the job's end and not a failure of the sandbox. */
static void every_exit_code_is_the_jobs(void **state) {
    (void)state;
    assert_shell("exit 0", 8, SANDBOX_EXITED, 0);
    assert_shell("exit 125", 8, SANDBOX_EXITED, 125);
    assert_shell("exit 255", 8, SANDBOX_EXITED, 255);
    assert_shell("kill -SEGV $$", 8, SANDBOX_SIGNALED, SIGSEGV);
    assert_shell("p=.; for i in 1 2 3 4 5 6 7 8 9; do p=$p/$i; mkdir $p || exit 1; done; exit 7", 8, SANDBOX_EXITED, 7);
}

static void hostile_python_is_held(void **state) {
    (void)state;
    static const char *const programs[] = {
        "import socket; socket.create_connection(('127.0.0.1', 22), 1)",
        "import os; os.listdir('/root')",
        "import os; os.setuid(0)",
        "open('/etc/shadow').read()",
        "x = []\nwhile True: x.append(bytearray(1 << 24))",
        "import os, signal\nfor i in range(1000): os.fork() or signal.pause()",
        "import subprocess; subprocess.run(['/bin/mount', '-t', 'tmpfs', 'x', '/work'], check=True)",
        "def f(): f()\nimport sys; sys.setrecursionlimit(10**9); f()",
    };
    if (access("/usr/bin/python3", X_OK) != 0) return;
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        struct code_outcome o;
        assert_true(sandbox_run_code(NULL, "python", programs[i], strlen(programs[i]), &o, NULL));
        if (o.ended_well) print_error("got through: %s\n", programs[i]);
        assert_false(o.ended_well);
    }
}

/* Descriptors, environment and working folder of the caller are not the job's. */
static void nothing_is_inherited(void **state) {
    (void)state;
    setenv("TALC_TEST_SECRET", "1", 1);
    int fd = open("/etc/passwd", O_RDONLY); /* not close-on-exec */
    assert_true(fd >= 0);
    assert_shell("[ -z \"$TALC_TEST_SECRET\" ] && [ \"$PWD\" = /work ] && [ \"$(ls)\" = h.sh ] && ! read x", 8,
                 SANDBOX_EXITED, 0);
    struct sandbox_result r =
        run_c("for (int f = 3; f < 4096; f++) if (fcntl(f, F_GETFD) != -1) return 0; return 1;", 8);
    assert_int_equal(r.value, 1);
    buffer_free(&r.output);
    close(fd);
}

static void a_bad_job_is_refused(void **state) {
    (void)state;
    static const char *const names[] = {"../x", "a/b", "..", ".", ""};
    struct talc_error err = {0};
    struct sandbox_result r;
    const char *const nothing[] = {"/bin/true", NULL}, *const missing[] = {"/bin/no-such-program", NULL};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct sandbox_file file = {names[i], "x", 1};
        struct sandbox_job job = {.files = &file, .n_files = 1, .argv = nothing, .limits = sandbox_default_limits()};
        assert_false(sandbox_run(&job, &r, &err));
    }
    struct sandbox_job job = {.argv = missing, .limits = sandbox_default_limits()};
    assert_false(sandbox_run(&job, &r, &err));
    assert_non_null(strstr(err.message, "No such file"));
    job = (struct sandbox_job){.argv = nothing};
    assert_false(sandbox_run(&job, &r, &err));
}

/* Harmless questions whose answers would be others without the walls; true when all of them stand. */
static bool walls_stand(void) {
    struct sandbox_result r = run_c(
        "struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0}; struct __user_cap_data_struct d[2];"
        "char host[64] = \"\"; gethostname(host, 63);"
        "return !(getuid() != 0 && geteuid() != 0 && getgid() != 0 && getppid() == 1 && access(\"/proc\", F_OK) != 0 &&"
        " access(\"/root\", F_OK) != 0 && access(\"/home\", F_OK) != 0 && strcmp(host, \"sandbox\") == 0 &&"
        " syscall(SYS_capget, &h, d) == 0 && !d[0].effective && !d[0].permitted && !d[1].effective && !d[1].permitted "
        "&&"
        " syscall(SYS_socket, -1, 0, 0) == -1 && errno == EPERM);",
        8);
    bool stand = r.end == SANDBOX_EXITED && r.value == 0;
    if (!stand) print_error("walls: ended %d with %d\n%s\n", r.end, r.value, r.output.data ? r.output.data : "");
    buffer_free(&r.output);
    return stand;
}

/* What a machine's own users get: namespaces of users too. Where root runs the tests, a child is somebody else. */
static int run_as_nobody(void) {
    struct talc_error why = {0};
    const uid_t nobody = 65534;
    int status;
    pid_t child = fork();
    if (child < 0) return 1;
    if (child > 0) return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    if (setgroups(0, NULL) || setgid(nobody) || setuid(nobody) || prctl(PR_SET_DUMPABLE, 1)) {
        perror("as nobody");
        _exit(1);
    }
    if (!sandbox_available(&why)) {
        printf("SKIPPED as nobody: %s\n", why.message);
        fflush(NULL);
        _exit(0);
    }
    if (!walls_stand()) {
        print_error("FAILED: as nobody the sandbox does not isolate; no hostile program was started\n");
        _exit(1);
    }
    const struct CMUnitTest as_nobody[] = {
        cmocka_unit_test(benign_programs_run),
        cmocka_unit_test(nothing_is_inherited),
        cmocka_unit_test(hostile_programs_do_not_get_through),
        cmocka_unit_test(memory_of_all_processes_is_limited),
    };
    int failed = cmocka_run_group_tests(as_nobody, NULL, NULL);
    fflush(NULL);
    _exit(failed);
}

int main(void) {
    struct talc_error why = {0};
    if (!sandbox_available(&why)) {
        printf("SKIPPED: %s\n", why.message);
        return 0;
    }
    if (!walls_stand()) {
        print_error("FAILED: the sandbox does not isolate; no hostile program was started\n");
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(benign_programs_run),
        cmocka_unit_test(mathematics_is_linked),
        cmocka_unit_test(what_a_language_lacks_is_said),
        cmocka_unit_test(a_bad_job_is_refused),
        cmocka_unit_test(every_exit_code_is_the_jobs),
        cmocka_unit_test(nothing_is_inherited),
        cmocka_unit_test(hostile_programs_do_not_get_through),
        cmocka_unit_test(hostile_python_is_held),
        cmocka_unit_test(time_is_limited),
        cmocka_unit_test(output_is_limited),
        cmocka_unit_test(memory_of_all_processes_is_limited),
        cmocka_unit_test(daemons_end_with_the_job),
        cmocka_unit_test(a_job_does_not_outlive_its_caller),
        cmocka_unit_test(calls_of_another_architecture_end_the_program),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fflush(NULL);
    return getuid() == 0 ? failed + run_as_nobody() : failed;
}
