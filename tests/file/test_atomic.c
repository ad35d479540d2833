/* Files and folders that are complete or absent: after success, failure, a full disk, and kill -9 at any moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "file/atomic.h"

static char folder[64]; /* a fresh one for each test */
static const char *const all[] = {"*", NULL};
static const struct folder_kind any = {"mark", "x", all, .replaced = true};

static int setup(void **state) {
    (void)state;
    strcpy(folder, "/tmp/talc-atomic-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    return folder_remove(folder, NULL) ? 0 : -1;
}

/* The path of `name` in the test's folder; good until the fourth call after. */
static const char *at(const char *name) {
    static char paths[4][256];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, 256, "%s/%s", folder, name);
    return path;
}

static void assert_content(const char *path, const char *want) {
    size_t n;
    struct talc_error err = {0};
    char *got = file_read(path, 1 << 20, &n, &err);
    if (!got) fail_msg("%s", err.message);
    assert_string_equal(got, want);
    assert_int_equal(n, strlen(want));
    free(got);
}

/* What a killed writer leaves: no name for atomic_write_file. */
static void write_leftover(const char *path) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("x", f);
    fclose(f);
}

static int count_entries(void) {
    char command[128];
    snprintf(command, sizeof command, "ls -A %s | wc -l", folder);
    FILE *p = popen(command, "r");
    int n = -1;
    assert_int_equal(fscanf(p, "%d", &n), 1);
    pclose(p);
    return n;
}

static void file_appears_only_at_commit(void **state) {
    (void)state;
    struct atomic_file f;
    assert_true(atomic_write_file(at("a"), "old", 3, NULL));
    assert_true(atomic_file_open(&f, at("a"), NULL));
    fputs("new", f.stream);
    fflush(f.stream);
    assert_content(at("a"), "old");
    assert_true(atomic_file_commit(&f, NULL));
    assert_content(at("a"), "new");
    assert_int_equal(count_entries(), 1);
}

static void abort_leaves_everything_as_it_was(void **state) {
    (void)state;
    struct atomic_file f;
    assert_true(atomic_write_file(at("a"), "old", 3, NULL));
    assert_true(atomic_file_open(&f, at("a"), NULL));
    fputs("new", f.stream);
    atomic_file_abort(&f);
    atomic_file_abort(&f);
    assert_content(at("a"), "old");
    assert_int_equal(count_entries(), 1);
}

static void two_writers_of_one_path_do_not_mix(void **state) {
    (void)state;
    struct atomic_file f, g;
    assert_true(atomic_file_open(&f, at("a"), NULL));
    assert_true(atomic_file_open(&g, at("a"), NULL));
    fputs("first", f.stream);
    fputs("second", g.stream);
    assert_true(atomic_file_commit(&f, NULL));
    assert_true(atomic_file_commit(&g, NULL));
    assert_content(at("a"), "second");
}

static void what_cannot_be_written_is_said_by_name(void **state) {
    (void)state;
    struct talc_error err = {0};
    struct atomic_file f;
    struct atomic_folder d;
    assert_false(atomic_file_open(&f, at("no/such/folder/file"), &err));
    assert_non_null(strstr(err.message, "no/such/folder/file: cannot be written: No such file"));
    assert_false(atomic_file_open(&f, folder, &err));
    assert_non_null(strstr(err.message, "is a folder"));
    assert_false(atomic_file_open(&f, at("file.talc-tmp-12"), &err)); /* a sweep would take it */
    assert_non_null(strstr(err.message, "give another name"));
    assert_false(atomic_folder_open(&d, at("run.talc-replaced-12-3/./"), &any, &err));
    assert_non_null(strstr(err.message, "choose another name"));
    assert_true(atomic_write_file(at("file"), "", 0, NULL));
    assert_false(atomic_folder_open(&d, at("file"), &any, &err));
    assert_non_null(strstr(err.message, "not a folder"));
    assert_false(atomic_folder_open(&d, at("file/sub"), &any, &err));
    assert_false(atomic_folder_open(&d, "", &any, &err));
}

static void folder_appears_only_at_commit(void **state) {
    (void)state;
    struct atomic_folder d;
    assert_true(atomic_folder_open(&d, at("parent/run/"), &any, NULL));
    char *inner = path_join(d.temporary, "deep/er");
    assert_true(folder_create(inner, NULL));
    free(inner);
    char *name = path_join(d.temporary, "deep/er/file");
    assert_true(atomic_write_file(name, "x", 1, NULL));
    free(name);
    assert_false(folder_exists(at("parent/run")));
    assert_true(atomic_folder_commit(&d, NULL));
    assert_content(at("parent/run/deep/er/file"), "x");
}

static void folder_may_be_named_from_within(void **state) {
    (void)state;
    static const char *const names[] = {"run/.", "walk/./"};
    for (int i = 0; i < 2; i++) {
        struct atomic_folder d;
        struct talc_error err = {0};
        assert_true(atomic_folder_open(&d, at(names[i]), &any, &err));
        if (!atomic_folder_commit(&d, &err)) fail_msg("%s", err.message);
    }
    assert_true(folder_exists(at("run")) && folder_exists(at("walk")));
    assert_int_equal(count_entries(), 2);
}

static void write_run(const char *content) {
    struct atomic_folder d;
    assert_true(atomic_folder_open(&d, at("run"), &any, NULL));
    char *name = path_join(d.temporary, content);
    assert_true(atomic_write_file(name, content, strlen(content), NULL));
    free(name);
    name = path_join(d.temporary, "mark");
    assert_true(atomic_write_file(name, "x", 1, NULL));
    free(name);
    assert_true(atomic_folder_commit(&d, NULL));
}

static void existing_folder_is_replaced_whole(void **state) {
    (void)state;
    write_run("one");
    write_run("two");
    assert_false(file_exists(at("run/one")));
    assert_content(at("run/two"), "two");
    assert_int_equal(count_entries(), 1);
}

static void folder_behind_a_link_is_replaced_there(void **state) {
    (void)state;
    assert_true(folder_create(at("elsewhere"), NULL));
    assert_true(atomic_write_file(at("elsewhere/mark"), "x", 1, NULL));
    assert_true(atomic_symlink("elsewhere", at("run"), NULL));
    write_run("two");
    assert_content(at("elsewhere/two"), "two");
    struct stat st;
    assert_int_equal(lstat(at("run"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
}

static void file_behind_a_link_is_replaced_there(void **state) {
    (void)state;
    struct stat st;
    assert_true(folder_create(at("elsewhere"), NULL));
    assert_true(atomic_write_file(at("elsewhere/file"), "old", 3, NULL));
    assert_int_equal(symlink("elsewhere/file", at("link")), 0);
    assert_true(atomic_write_file(at("link"), "new", 3, NULL));
    assert_content(at("elsewhere/file"), "new");
    assert_int_equal(lstat(at("link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
}

/* A link to a device stays one: root could replace /dev/stdout. */
static unsigned permissions(const char *path) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static void what_replaces_something_has_its_permissions(void **state) {
    (void)state;
    struct talc_error err;
    assert_true(atomic_write_file(at("secret"), "a", 1, &err));
    assert_int_equal(chmod(at("secret"), 0600), 0);
    assert_true(atomic_write_file(at("secret"), "b", 1, &err));
    assert_int_equal(permissions(at("secret")), 0600);
    write_run("a");
    assert_int_equal(chmod(at("run"), 0750), 0);
    write_run("b");
    assert_int_equal(permissions(at("run")), 0750);
}

static void what_is_no_file_is_not_replaced_by_one(void **state) {
    (void)state;
    struct talc_error err = {0};
    struct stat st;
    assert_int_equal(mkfifo(at("pipe"), 0600), 0);
    assert_int_equal(symlink("pipe", at("link")), 0);
    assert_int_equal(symlink("/dev/null", at("null")), 0);
    const char *const names[] = {"pipe", "link", "null"};
    for (int i = 0; i < 3; i++) {
        assert_false(atomic_write_file(at(names[i]), "x", 1, &err));
        assert_non_null(strstr(err.message, "not a regular file"));
        assert_int_equal(lstat(at(names[i]), &st), 0);
        assert_false(S_ISREG(st.st_mode));
    }
    assert_int_equal(count_entries(), 3);
}

enum { FILES_TO_REMOVE = 300 };

static int count_files(const char *path) {
    int n = 0;
    for (int i = 0; i < FILES_TO_REMOVE; i++) {
        char name[300];
        snprintf(name, sizeof name, "%s/%d", path, i);
        n += file_exists(name);
    }
    return n;
}

static void what_is_removed_is_whole_or_gone(void **state) {
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 20; round++) {
        const char *path = at("step-1");
        assert_true(folder_create(path, NULL));
        for (int i = 0; i < FILES_TO_REMOVE; i++) {
            char name[300];
            snprintf(name, sizeof name, "%s/%d", path, i);
            fclose(fopen(name, "w"));
        }
        pid_t child = fork();
        if (child == 0) {
            folder_remove(path, NULL);
            _exit(0);
        }
        usleep((useconds_t)(rand_r(&seed) % 3000));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        if (folder_exists(path)) assert_int_equal(count_files(path), FILES_TO_REMOVE);
        atomic_sweep_folders(folder, all, &any);
        assert_int_equal(count_entries(), folder_exists(path));
        assert_true(folder_remove(path, NULL));
    }
}

static void link_is_swapped(void **state) {
    (void)state;
    assert_true(atomic_write_file(at("a"), "A", 1, NULL));
    assert_true(atomic_write_file(at("b"), "B", 1, NULL));
    assert_true(atomic_symlink("a", at("latest"), NULL));
    assert_content(at("latest"), "A");
    assert_true(atomic_symlink("b", at("latest"), NULL));
    assert_content(at("latest"), "B");
    assert_true(folder_create(at("real"), NULL));
    assert_true(atomic_write_file(at("real/x"), "", 0, NULL));
    assert_false(atomic_symlink("a", at("real"), NULL));
    assert_int_equal(count_entries(), 4);
}

static void sweep_removes_leftovers_and_nothing_else(void **state) {
    (void)state;
    write_leftover(at("model.talc-tmp-12345")); /* a dead writer's, its lock is gone */
    assert_true(folder_create(at("step-1.talc-tmp-1-2"), NULL));
    assert_true(atomic_write_file(at("step-1.talc-tmp-1-2/mark"), "", 0, NULL));
    assert_true(folder_create(at("step-2.talc-tmp-7/sub"), NULL)); /* no folder of ours holds a folder */
    assert_int_equal(symlink("x", at("latest.talc-tmp-999999999")), 0);
    write_leftover(at("notes.talc-tmp-x"));
    write_leftover(at("a.talc-tmp-12.txt"));
    struct atomic_file f;
    struct atomic_folder d;
    assert_true(atomic_file_open(&f, at("busy"), NULL));
    assert_true(atomic_folder_open(&d, at("busy2"), &any, NULL));
    atomic_sweep(folder, all);
    assert_int_equal(count_entries(), 6);
    atomic_sweep_folders(folder, all, &any);
    assert_int_equal(count_entries(), 5);
    assert_true(folder_exists(at("step-2.talc-tmp-7/sub")));
    assert_true(atomic_file_commit(&f, NULL));
    assert_true(atomic_folder_commit(&d, NULL));
    atomic_sweep("/no/such/folder", all);
}

static void what_a_killed_writer_of_a_folder_left_goes_with_the_next(void **state) {
    (void)state;
    struct atomic_folder f;
    assert_true(folder_create(at("data.talc-tmp-4194305"), NULL));
    assert_true(folder_create(at("data.talc-tmp-4194305-2"), NULL));
    assert_true(folder_create(at("other.talc-tmp-4194305"), NULL));
    assert_true(atomic_folder_open(&f, at("data"), &any, NULL));
    assert_false(folder_exists(at("data.talc-tmp-4194305")) || folder_exists(at("data.talc-tmp-4194305-2")));
    assert_true(folder_exists(at("other.talc-tmp-4194305")) && folder_exists(f.temporary));
    assert_true(atomic_folder_commit(&f, NULL));
}

static void what_a_user_has_under_such_a_name_stays(void **state) {
    (void)state;
    static const char *const names[] = {"mark", NULL};
    static const struct folder_kind kind = {"mark", "x", names, .replaced = true};
    struct atomic_folder f;
    assert_true(folder_create(at("data.talc-tmp-2024"), NULL));
    assert_true(atomic_write_file(at("data.talc-tmp-2024/mark"), "x", 1, NULL));
    assert_true(atomic_write_file(at("data.talc-tmp-2024/essay"), "x", 1, NULL));
    assert_true(folder_create(at("data.talc-replaced-2024"), NULL));
    assert_true(atomic_write_file(at("data.talc-replaced-2024/essay"), "x", 1, NULL));
    write_leftover(at("data.talc-tmp-2025")); /* a file: not of a folder's writer */
    assert_true(atomic_folder_open(&f, at("data"), &kind, NULL));
    atomic_folder_abort(&f);
    assert_true(file_exists(at("data.talc-tmp-2024/essay")) && file_exists(at("data.talc-replaced-2024/essay")));
    assert_true(file_exists(at("data.talc-tmp-2025")));
    assert_int_equal(count_entries(), 3);
}

/* Killed between the two renames where names cannot be exchanged. */
static void what_was_moved_aside_is_put_back_or_goes(void **state) {
    (void)state;
    struct atomic_folder f;
    write_run("one");
    assert_int_equal(rename(at("run"), at("run.talc-replaced-4194305")), 0);
    assert_true(atomic_folder_open(&f, at("run"), &any, NULL));
    assert_content(at("run/one"), "one");
    atomic_folder_abort(&f);
    assert_int_equal(rename(at("run"), at("run.talc-replaced-4194305")), 0);
    assert_true(folder_create(at("run"), NULL));
    write_run("two");
    assert_content(at("run/two"), "two");
    assert_int_equal(count_entries(), 1);
}

static void parents_that_an_aborted_writer_made_go(void **state) {
    (void)state;
    struct atomic_folder f;
    assert_true(folder_create(at("a"), NULL));
    assert_true(atomic_folder_open(&f, at("a/b/c/d"), &any, NULL));
    assert_true(folder_exists(at("a/b/c")));
    atomic_folder_abort(&f);
    assert_true(folder_exists(at("a")) && !folder_exists(at("a/b")));
}

/* A sweep beside a writer takes nothing from it, at whatever moment it comes. */
static void sweep_leaves_a_busy_writer_alone(void **state) {
    (void)state;
    pid_t sweeper = fork();
    if (sweeper == 0)
        for (;;) atomic_sweep(folder, all);
    struct talc_error err = {0};
    bool opened = true, there = true;
    for (int i = 0; opened && there && i < 4000; i++) {
        struct atomic_file f;
        opened = atomic_file_open(&f, at("file"), &err);
        usleep(20);
        there = opened && file_exists(f.temporary);
        atomic_file_abort(&f);
    }
    kill(sweeper, SIGKILL);
    waitpid(sweeper, NULL, 0);
    if (!opened) fail_msg("%s", err.message);
    if (!there) fail_msg("a sweep has removed what was being written");
}

/* Replaces the folder and the file over and over, until killed. */
static void write_for_ever(void) {
    for (int i = 0;; i++) {
        struct atomic_folder d;
        char text[20];
        int n = snprintf(text, sizeof text, "%d", i);
        if (!atomic_folder_open(&d, at("run"), &any, NULL)) _exit(1);
        for (int k = 0; k < 3; k++) {
            char name[300];
            snprintf(name, sizeof name, "%s/%d", d.temporary, k);
            if (!atomic_write_file(name, text, (size_t)n, NULL)) _exit(1);
        }
        char mark[300];
        snprintf(mark, sizeof mark, "%s/mark", d.temporary);
        if (!atomic_write_file(mark, "x", 1, NULL)) _exit(1);
        if (!atomic_folder_commit(&d, NULL) || !atomic_write_file(at("file"), text, (size_t)n, NULL)) _exit(1);
    }
}

static void killed_writer_leaves_old_or_new_never_a_mix(void **state) {
    (void)state;
    write_run("0");
    unsigned seed = 1;
    for (int round = 0; round < 40; round++) {
        pid_t child = fork();
        if (child == 0) write_for_ever();
        usleep(300 + (useconds_t)(rand_r(&seed) % 12000));
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        assert_true(folder_exists(at("run")));
        if (!file_exists(at("run/1"))) continue; /* still the first one */
        size_t n;
        char *first = file_read(at("run/0"), 100, &n, NULL);
        assert_non_null(first);
        assert_content(at("run/1"), first);
        assert_content(at("run/2"), first);
        free(first);
    }
    atomic_sweep(folder, all);
    atomic_sweep_folders(folder, all, &any);
    assert_int_equal(count_entries(), file_exists(at("file")) ? 2 : 1);
}

static void full_disk_fails_and_leaves_the_old_file(void **state) {
    (void)state;
    if (mount("tmpfs", folder, "tmpfs", 0, "size=64k") != 0) skip();
    struct talc_error err = {0};
    bool wrote_small = atomic_write_file(at("a"), "old", 3, &err);
    size_t n_big = 1 << 20;
    char *big = calloc(n_big, 1);
    bool wrote_big = atomic_write_file(at("a"), big, n_big, &err);
    size_t n = 0;
    char *kept = file_read(at("a"), n_big, &n, NULL);
    int entries = count_entries();
    umount2(folder, MNT_DETACH);
    free(big);
    assert_true(wrote_small);
    assert_false(wrote_big);
    assert_non_null(strstr(err.message, "No space left on device"));
    assert_non_null(kept);
    assert_string_equal(kept, "old");
    assert_int_equal(entries, 1);
    free(kept);
}

static void reading_refuses_what_is_no_regular_file(void **state) {
    (void)state;
    struct talc_error err = {0};
    struct file_map map;
    size_t n;
    assert_int_equal(mkfifo(at("pipe"), 0600), 0);
    assert_null(file_read(at("pipe"), 10, &n, &err));
    assert_non_null(strstr(err.message, "not a regular file"));
    assert_null(file_read(folder, 10, &n, &err));
    assert_null(file_read(at("absent"), 10, &n, &err));
    assert_non_null(strstr(err.message, "absent: cannot be read: No such file"));
    assert_false(file_map_open(&map, folder, &err));
}

static void map_shows_the_bytes_even_when_there_are_none(void **state) {
    (void)state;
    struct file_map map;
    assert_true(atomic_write_file(at("empty"), "", 0, NULL));
    assert_true(file_map_open(&map, at("empty"), NULL));
    assert_int_equal(map.n_bytes, 0);
    file_map_close(&map);
    assert_true(atomic_write_file(at("some"), "abc", 3, NULL));
    assert_true(file_map_open(&map, at("some"), NULL));
    assert_int_equal(map.n_bytes, 3);
    assert_memory_equal(map.data, "abc", 3);
    file_map_close(&map);
}

static void only_free_or_own_folders_may_be_taken(void **state) {
    (void)state;
    struct talc_error err = {0};
    static const char *const names[] = {"mark", "part-*", NULL};
    const struct folder_kind kind = {"mark", "x", names, .replaced = true},
                             others = {"mark", "y", names, .replaced = true},
                             kept = {"mark", "x", names, .replaced = false};
    char *absent = path_join(folder, "absent"), *own = path_join(folder, "own"), *mark = path_join(own, "mark");
    char *leftover = path_join(own, "mark.talc-tmp-123456"), *foreign = path_join(own, "thesis.talc-tmp-2024");
    assert_true(folder_may_take(absent, &kind, &err));
    assert_true(folder_create(own, &err));
    assert_true(folder_may_take(own, &kind, &err));
    write_leftover(leftover);
    assert_true(folder_may_take(own, &kind, &err));
    write_leftover(foreign);
    assert_false(folder_may_take(own, &kind, &err));
    assert_false(folder_may_take(own, &kept, &err));
    assert_int_equal(unlink(foreign), 0);
    assert_true(atomic_write_file(mark, "x", 1, &err));
    assert_true(atomic_write_file(at("own/part-7"), "x", 1, &err));
    assert_true(folder_may_take(own, &kind, &err));
    assert_false(folder_may_take(own, &others, &err)); /* of that name, but somebody else's */
    assert_non_null(strstr(err.message, "it has no mark"));
    assert_true(folder_create(at("own/part-8"), &err)); /* ours are regular files */
    assert_false(folder_may_take(own, &kind, &err));
    assert_int_equal(rmdir(at("own/part-8")), 0);
    assert_int_equal(symlink("mark", at("own/part-8")), 0);
    assert_false(folder_may_take(own, &kind, &err));
    assert_int_equal(unlink(at("own/part-8")), 0);
    assert_true(folder_may_take(own, &kind, &err));
    assert_true(atomic_write_file(at("own/notes"), "x", 1, &err));
    assert_false(folder_may_take(own, &kind, &err));
    assert_non_null(strstr(err.message, "notes"));
    assert_true(folder_may_take(own, &kept, &err));
    free(foreign);
    free(absent);
    free(own);
    free(mark);
    free(leftover);
}

static void what_cannot_be_replaced_is_told_before_the_work(void **state) {
    (void)state;
    struct talc_error err = {0};
    static const struct folder_kind run = {"mark", "x", all, .replaced = false};
    char before[1024];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder), 0);
    bool taken = folder_may_take(folder, &any, &err), kept = folder_may_take(".", &run, NULL);
    assert_int_equal(chdir(before), 0);
    assert_true(!taken && kept);
    assert_non_null(strstr(err.message, "is the folder you are in"));
    assert_true(atomic_write_file(at("file"), "", 0, NULL));
    assert_false(folder_may_take(at("file"), &any, &err));
    assert_non_null(strstr(err.message, "is not a folder"));
    assert_int_equal(symlink("nowhere", at("link")), 0);
    assert_false(folder_may_take(at("link"), &run, &err));
    assert_non_null(strstr(err.message, "leads nowhere"));
    assert_false(folder_may_take("", &run, &err));
    assert_false(folder_may_take("/", &any, &err));
    assert_non_null(strstr(err.message, "is a mount point"));
}

/* Another process holds it until it ends, however it ends. */
static void a_locked_folder_is_for_one_process(void **state) {
    (void)state;
    struct talc_error err = {0};
    int ready[2], fd = -1, n_made;
    char c;
    assert_int_equal(pipe(ready), 0);
    pid_t holder = fork();
    if (holder == 0) {
        bool ok = folder_lock(folder, &fd, &n_made, &err);
        if (write(ready[1], ok ? "y" : "n", 1) != 1) _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    assert_false(folder_lock(folder, &fd, &n_made, &err));
    assert_non_null(strstr(err.message, "another process"));
    kill(holder, SIGKILL);
    assert_true(folder_lock(folder, &fd, &n_made, &err)); /* waits for the kernel to take the holder apart */
    close(fd);
    waitpid(holder, NULL, 0);
    close(ready[0]);
    close(ready[1]);
}

/* Who waited must not be left with a folder that has no name any more. */
static void a_folder_that_its_holder_removes_is_made_again(void **state) {
    (void)state;
    struct talc_error err = {0};
    int ready[2], fd = -1, n_made = -1;
    char c;
    assert_int_equal(pipe(ready), 0);
    pid_t holder = fork();
    if (holder == 0) {
        bool ok = folder_lock(at("a/run"), &fd, &n_made, &err) && n_made == 2;
        if (write(ready[1], ok ? "y" : "n", 1) != 1) _exit(1);
        usleep(300000);
        folder_remove_empty(at("a/run"), n_made);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    bool locked = folder_lock(at("a/run"), &fd, &n_made, &err);
    waitpid(holder, NULL, 0);
    assert_true(locked);
    assert_true(folder_exists(at("a/run")));
    assert_int_equal(n_made, 2);
    close(fd);
    close(ready[0]);
    close(ready[1]);
}

/* What another has made and holds is not ours to remove. */
static void who_does_not_get_a_folder_has_made_none(void **state) {
    (void)state;
    struct talc_error err = {0};
    int held = -1, fd = -1, n_made = -1;
    assert_true(folder_lock(at("run"), &held, &n_made, &err));
    assert_int_equal(n_made, 1);
    assert_false(folder_lock(at("run"), &fd, &n_made, &err));
    assert_int_equal(n_made, 0);
    assert_true(atomic_write_file(at("file"), "", 0, NULL));
    assert_false(folder_lock(at("file/run"), &fd, &n_made, &err));
    assert_int_equal(n_made, 0);
    close(held);
}

/* KiB of this process that are pages of files; -1 where the system does not tell. */
static long shared_kib(void) {
    long total, resident, shared;
    FILE *f = fopen("/proc/self/statm", "r");
    bool told = f && fscanf(f, "%ld %ld %ld", &total, &resident, &shared) == 3;
    if (f) fclose(f);
    return told ? shared * (sysconf(_SC_PAGESIZE) / 1024) : -1;
}

static void what_is_released_of_a_mapped_file_takes_no_memory(void **state) {
    (void)state;
    const size_t n = (size_t)8 << 20;
    struct file_map map;
    char *bytes = malloc(n);
    assert_non_null(bytes);
    memset(bytes, 'x', n);
    assert_true(atomic_write_file(at("large"), bytes, n, NULL));
    assert_true(file_map_open(&map, at("large"), NULL));
    assert_memory_equal(map.data, bytes, n);
    long before = shared_kib();
    file_map_release(&map, (const char *)map.data + 100, n - 200);
    if (before >= 0) assert_true(before - shared_kib() > 7 << 10);
    assert_memory_equal(map.data, bytes, n);
    file_map_release(&map, map.data, 0);
    file_map_close(&map);
    free(bytes);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(file_appears_only_at_commit),
        TEST(abort_leaves_everything_as_it_was),
        TEST(two_writers_of_one_path_do_not_mix),
        TEST(what_cannot_be_written_is_said_by_name),
        TEST(folder_appears_only_at_commit),
        TEST(folder_may_be_named_from_within),
        TEST(existing_folder_is_replaced_whole),
        TEST(folder_behind_a_link_is_replaced_there),
        TEST(file_behind_a_link_is_replaced_there),
        TEST(what_replaces_something_has_its_permissions),
        TEST(what_is_no_file_is_not_replaced_by_one),
        TEST(what_is_removed_is_whole_or_gone),
        TEST(link_is_swapped),
        TEST(sweep_removes_leftovers_and_nothing_else),
        TEST(what_a_user_has_under_such_a_name_stays),
        TEST(what_was_moved_aside_is_put_back_or_goes),
        TEST(parents_that_an_aborted_writer_made_go),
        TEST(what_cannot_be_replaced_is_told_before_the_work),
        TEST(sweep_leaves_a_busy_writer_alone),
        TEST(what_a_killed_writer_of_a_folder_left_goes_with_the_next),
        TEST(killed_writer_leaves_old_or_new_never_a_mix),
        TEST(full_disk_fails_and_leaves_the_old_file),
        TEST(reading_refuses_what_is_no_regular_file),
        TEST(map_shows_the_bytes_even_when_there_are_none),
        TEST(only_free_or_own_folders_may_be_taken),
        TEST(a_locked_folder_is_for_one_process),
        TEST(a_folder_that_its_holder_removes_is_made_again),
        TEST(who_does_not_get_a_folder_has_made_none),
        TEST(what_is_released_of_a_mapped_file_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
