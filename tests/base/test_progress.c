/* Progress on a terminal stays in one row of it. */
#include "support/cmocka_all.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/progress.h"

/* What progress writes to a terminal of so many columns. */
static size_t drawn_on(unsigned short columns, char *out, size_t room) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    assert_int_equal(ioctl(terminal, TIOCSWINSZ, &size), 0);
    pid_t child = fork();
    if (child == 0) {
        struct progress p;
        dup2(terminal, 2);
        setenv("TERM", "xterm", 1);
        progress_start(&p, "pretraining", "step", 0, 12345, false);
        usleep(150000);
        progress_update(&p, 1234, "loss 3.2134, 12.3k tokens/s");
        _exit(0);
    }
    waitpid(child, NULL, 0);
    ssize_t n = read(master, out, room - 1);
    close(terminal);
    close(master);
    assert_true(n > 0);
    out[n] = 0;
    return (size_t)n;
}

static void a_line_is_cut_to_the_terminal(void **state) {
    (void)state;
    char whole[512], cut[512];
    size_t n_begin = strlen("\r\033[K");
    assert_true(drawn_on(200, whole, sizeof whole) > 60 + n_begin);
    assert_non_null(strstr(whole, "pretraining: 1.23k/12.3k (10%) steps, "));
    assert_non_null(strstr(whole, "  loss 3.2134, 12.3k tokens/s"));
    assert_int_equal(drawn_on(60, cut, sizeof cut), n_begin + 59); /* the last column free */
    assert_memory_equal(cut, "\r\033[Kpretraining: 1.23k", n_begin + 18);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_line_is_cut_to_the_terminal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
