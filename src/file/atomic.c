/* atomic.c - temporary names, fsync and rename; see atomic.h. A temporary is locked with flock by its writer: the
 * kernel drops the lock when the process dies, however it dies, so atomic_sweep can tell leftovers from work in
 * progress even where process ids repeat (containers). */
#include "file/atomic.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"

#define MAX_TEMPORARY_NAMES 1000 /* of one path in one process */
#define LOCK_ATTEMPTS 60         /* a process that was killed holds its locks until the kernel has taken it apart */
#define LOCK_PAUSE_NANOSECONDS 50000000
#define WALK_OPEN_FOLDERS 16 /* file descriptors nftw may hold */

/* ---- names ----------------------------------------------------------------------------------- */

static bool out_of_memory(struct talc_error *err) { return talc_fail(err, "out of memory"); }

char *path_join(const char *folder, const char *name) {
    size_t n = strlen(folder);
    const char *separator = n == 0 || folder[n - 1] == '/' ? "" : "/";
    char *path;
    return asprintf(&path, "%s%s%s", folder, separator, name) < 0 ? NULL : path;
}

size_t path_length(const char *path) {
    size_t n = strlen(path);
    while (n > 1 && (path[n - 1] == '/' || (path[n - 1] == '.' && path[n - 2] == '/'))) n--;
    return n;
}

static char *parent_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* PATH.talc-tmp-PID, PATH.talc-tmp-PID-2, ... */
static char *temporary_name(const char *path, int attempt) {
    char *name;
    int n = attempt == 1 ? asprintf(&name, "%s" TEMPORARY_MARK "%ld", path, (long)getpid())
                         : asprintf(&name, "%s" TEMPORARY_MARK "%ld-%d", path, (long)getpid(), attempt);
    return n < 0 ? NULL : name;
}

bool file_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool folder_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- making things durable ------------------------------------------------------------------- */

/* Some file systems cannot sync folders and say EINVAL; there is nothing better to do there. */
static bool sync_path(const char *path, bool is_folder) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (is_folder ? O_DIRECTORY : 0));
    if (fd < 0) return false;
    bool ok = fsync(fd) == 0 || (is_folder && (errno == EINVAL || errno == ENOTSUP));
    int code = errno;
    close(fd);
    errno = code;
    return ok;
}

static bool sync_parent(const char *path, struct talc_error *err) {
    char *parent = parent_of(path);
    if (!parent) return out_of_memory(err);
    int fd = open(parent, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    bool ok = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP);
    if (!ok) talc_fail_errno(err, "%s: cannot be synced to disk", parent);
    if (fd >= 0) close(fd);
    free(parent);
    return ok;
}

static int sync_visit(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)st, (void)at;
    if (type == FTW_F) return S_ISREG(st->st_mode) && !sync_path(path, false);
    if (type == FTW_DP || type == FTW_D) return !sync_path(path, true);
    return type == FTW_DNR || type == FTW_NS;
}

static int remove_visit(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)st, (void)type, (void)at;
    return remove(path) != 0 && errno != ENOENT;
}

/* Under a temporary name of `owner` first: what is half removed when the process dies must not pass for the whole. */
static bool remove_as_leftover_of(const char *owner, const char *path, struct talc_error *err) {
    struct stat st;
    if (lstat(path, &st) != 0 && errno == ENOENT) return true;
    char *going = NULL;
    bool renamed = leftover_pid(path, TEMPORARY_MARK, NULL) != 0; /* it has one */
    for (int attempt = 1; !renamed && attempt <= MAX_TEMPORARY_NAMES; attempt++) {
        free(going);
        going = temporary_name(owner, attempt);
        if (!going) return out_of_memory(err);
        renamed = rename(path, going) == 0;
        if (!renamed && errno != ENOTEMPTY && errno != EEXIST) break;
    }
    bool ok = renamed && nftw(going ? going : path, remove_visit, WALK_OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) == 0;
    if (!ok) talc_fail_errno(err, "%s: cannot be removed", path);
    free(going);
    return ok;
}

bool folder_remove(const char *path, struct talc_error *err) { return remove_as_leftover_of(path, path, err); }

bool folder_create(const char *path, struct talc_error *err) {
    char *partial = strdup(path);
    if (!partial) return out_of_memory(err);
    bool ok = true;
    for (char *c = partial + (*partial == '/'); ok; c++) {
        if (*c != '/' && *c) continue;
        char end = *c;
        *c = 0;
        if (*partial && mkdir(partial, 0777) != 0 && !(errno == EEXIST && folder_exists(partial)))
            ok = talc_fail_errno(err, "%s: the folder cannot be made", partial);
        *c = end;
        if (!end) break;
    }
    free(partial);
    return ok;
}

int folder_count_missing(const char *path) {
    int n = 0;
    struct stat st;
    char *at = strdup(path);
    while (at && *at && stat(at, &st) != 0) {
        char *parent = parent_of(at);
        free(at);
        at = parent;
        n++;
    }
    free(at);
    return n;
}

void folder_remove_empty(const char *path, int n) {
    char *at = strdup(path);
    for (; at && n > 0; n--) {
        rmdir(at);
        char *parent = parent_of(at);
        free(at);
        at = parent;
    }
    free(at);
}

/* Who may read and write what is replaced may do so with what replaces it, nobody else, but that the writer needs
 * `at_least`. A file system without permissions is no reason to fail. */
static void take_permissions(int fd, const char *replaced, mode_t at_least) {
    struct stat st;
    if (stat(replaced, &st) == 0) (void)!fchmod(fd, (st.st_mode & 03777) | at_least); /* a folder's group, too */
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Whether what is open as `fd` is what has that name; `flags` as of fstatat. */
static bool is_still(int fd, const char *path, int flags) {
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && fstatat(AT_FDCWD, path, &there, flags) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

/* Between making the file and locking it, a sweep may have locked or removed it: then another name is taken. Where
 * locks are not supported (some network file systems) a sweep leaves everything alone. */
static bool lock_new(int fd, const char *path) {
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
    return is_still(fd, path, AT_SYMLINK_NOFOLLOW);
}

/* The path to write; for a file that is there (perhaps through a link) its real path. What is no file is not replaced
 * by one. */
static char *file_place(const char *path, struct talc_error *err) {
    struct stat st;
    if (is_leftover_name(path)) {
        talc_fail(err, "%s: is named as talc names what it is still writing; give another name", path);
        return NULL;
    }
    if (stat(path, &st) != 0) {
        char *place = strdup(path);
        if (!place) out_of_memory(err);
        return place;
    }
    if (!S_ISREG(st.st_mode)) {
        talc_fail(err,
                  S_ISDIR(st.st_mode) ? "%s: is a folder; give the name of a file"
                                      : "%s: is not a regular file; give another name",
                  path);
        return NULL;
    }
    char *real = realpath(path, NULL);
    if (!real) talc_fail_errno(err, "%s", path);
    return real;
}

bool atomic_file_open(struct atomic_file *f, const char *path, struct talc_error *err) {
    *f = (struct atomic_file){.path = file_place(path, err)};
    if (!f->path) return false;
    int fd = -1;
    for (int attempt = 1; attempt <= MAX_TEMPORARY_NAMES; attempt++) {
        free(f->temporary);
        f->temporary = temporary_name(f->path, attempt);
        if (!f->temporary) {
            out_of_memory(err);
            goto fail;
        }
        fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno == EEXIST) continue;
        if (fd < 0 || lock_new(fd, f->temporary)) break;
        close(fd);
        fd = -1;
    }
    if (fd < 0) {
        talc_fail_errno(err, "%s: cannot be written", path);
        goto fail;
    }
    take_permissions(fd, f->path, 0);
    f->stream = fdopen(fd, "w");
    if (f->stream) return true;
    out_of_memory(err);
    close(fd);
    unlink(f->temporary);
fail:
    free(f->path);
    free(f->temporary);
    *f = (struct atomic_file){0};
    return false;
}

void atomic_file_abort(struct atomic_file *f) {
    if (f->temporary) unlink(f->temporary); /* first: the lock is held until the file is gone */
    if (f->stream) fclose(f->stream);
    free(f->path);
    free(f->temporary);
    *f = (struct atomic_file){0};
}

/* A write that failed inside stdio has left its reason behind; writing once more, to a file that will be removed
 * anyway, brings it back. */
static bool find_write_error(struct atomic_file *f) {
    if (!ferror(f->stream) && fflush(f->stream) == 0 && fsync(fileno(f->stream)) == 0) return false;
    if (ferror(f->stream)) {
        char page[4096] = {0};
        errno = EIO;
        if (lseek(fileno(f->stream), 0, SEEK_END) >= 0 && write(fileno(f->stream), page, sizeof page) >= 0) errno = EIO;
    }
    return true;
}

bool atomic_file_commit(struct atomic_file *f, struct talc_error *err) {
    if (find_write_error(f)) {
        talc_fail_errno(err, "%s: writing failed, nothing was changed", f->path);
    } else if (rename(f->temporary, f->path) != 0) {
        talc_fail_errno(err, "%s: cannot be replaced, nothing was changed", f->path);
    } else {
        free(f->temporary);
        f->temporary = NULL;
        bool ok = sync_parent(f->path, err);
        atomic_file_abort(f); /* frees; there is no temporary left to remove */
        return ok;
    }
    atomic_file_abort(f);
    return false;
}

bool atomic_write_file(const char *path, const void *data, size_t n_bytes, struct talc_error *err) {
    struct atomic_file f;
    if (!atomic_file_open(&f, path, err)) return false;
    fwrite(data, 1, n_bytes, f.stream); /* commit reports a failure */
    return atomic_file_commit(&f, err);
}

/* ---- folders --------------------------------------------------------------------------------- */

/* The path without slashes and "/." at its end; for a folder that is there (perhaps through a link) its real path. */
static char *folder_place(const char *path, struct talc_error *err) {
    struct stat st;
    if (stat(path, &st) == 0) {
        if (!S_ISDIR(st.st_mode)) {
            talc_fail(err, "%s: exists and is not a folder; remove it or choose another name", path);
            return NULL;
        }
        char *real = realpath(path, NULL);
        if (!real) talc_fail_errno(err, "%s", path);
        return real;
    }
    size_t n = path_length(path);
    char *place = n ? strndup(path, n) : NULL;
    if (!place) talc_fail(err, n ? "out of memory" : "the name of a folder is empty");
    return place;
}

static bool make_temporary_folder(struct atomic_folder *f, struct talc_error *err) {
    for (int attempt = 1; attempt <= MAX_TEMPORARY_NAMES; attempt++) {
        free(f->temporary);
        f->temporary = temporary_name(f->path, attempt);
        if (!f->temporary) return out_of_memory(err);
        if (mkdir(f->temporary, 0777) != 0) {
            if (errno == EEXIST) continue;
            break;
        }
        f->lock = open(f->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (f->lock >= 0 && lock_new(f->lock, f->temporary)) {
            take_permissions(f->lock, f->path, S_IRWXU);
            return true;
        }
        if (f->lock >= 0) close(f->lock);
        f->lock = -1;
    }
    return talc_fail_errno(err, "%s: the folder cannot be made", f->path);
}

static void release_folder(struct atomic_folder *f) {
    if (f->lock >= 0) close(f->lock);
    free(f->path);
    free(f->temporary);
    *f = (struct atomic_folder){.lock = -1};
}

/* Opens what a killed process left, and locks it; -1: it is of a process that lives, or is nothing of ours. A file
 * where `kind` is NULL, else a folder that holds nothing else than that kind does. */
static int open_leftover(const char *path, const struct folder_kind *kind) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return -1;
    /* Locked, and still what has the name: nobody's any more. What had it when it was opened may have been put in its
     * place since, and its writer may have taken the name again. */
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_still(fd, path, AT_SYMLINK_NOFOLLOW) && fstat(fd, &st) == 0 &&
        (kind ? S_ISDIR(st.st_mode) && folder_holds_only(path, kind) : S_ISREG(st.st_mode)))
        return fd;
    close(fd);
    return -1;
}

static void sweep_one(const char *path, long pid, const struct folder_kind *kind) {
    struct stat st;
    int fd = open_leftover(path, kind);
    if (fd >= 0) {
        folder_remove(path, NULL);
        close(fd);
    } else if (!kind && lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) { /* cannot be locked: go by the process */
        if (kill((pid_t)pid, 0) != 0 && errno == ESRCH) unlink(path);
    }
}

static void sweep(const char *folder, const char *const *names, const struct folder_kind *kind) {
    DIR *dir = opendir(folder);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        size_t n;
        long pid = leftover_pid(entry->d_name, TEMPORARY_MARK, &n);
        char *path = pid && name_matches(names, entry->d_name, n) ? path_join(folder, entry->d_name) : NULL;
        if (path) sweep_one(path, pid, kind);
        free(path);
    }
    closedir(dir);
}

void atomic_sweep(const char *folder, const char *const *names) { sweep(folder, names, NULL); }

void atomic_sweep_folders(const char *folder, const char *const *names, const struct folder_kind *kind) {
    sweep(folder, names, kind);
}

/* A folder that was moved aside: to be removed, or put back where its process was killed before the new one came. */
static void settle_replaced(const struct atomic_folder *f, const char *aside) {
    int fd = open_leftover(aside, f->kind);
    if (fd < 0) return;
    if (folder_exists(f->path))
        remove_as_leftover_of(f->path, aside, NULL);
    else
        rename(aside, f->path);
    close(fd);
}

/* As leftover_pid, of leftovers of `name`; 0 for all others. */
static long leftover_pid_of(const char *name, const char *entry, const char *mark) {
    size_t n;
    long pid = leftover_pid(entry, mark, &n);
    return strlen(name) == n && memcmp(name, entry, n) == 0 ? pid : 0;
}

static void settle_leftovers(const struct atomic_folder *f, const char *parent) {
    const char *slash = strrchr(f->path, '/'), *name = slash ? slash + 1 : f->path;
    DIR *dir = opendir(parent);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        long pid = leftover_pid_of(name, entry->d_name, TEMPORARY_MARK);
        long aside = leftover_pid_of(name, entry->d_name, REPLACED_MARK);
        char *path = pid || aside ? path_join(parent, entry->d_name) : NULL;
        if (path && pid) sweep_one(path, pid, f->kind);
        if (path && aside) settle_replaced(f, path);
        free(path);
    }
    closedir(dir);
}

bool atomic_folder_open(struct atomic_folder *f, const char *path, const struct folder_kind *kind,
                        struct talc_error *err) {
    *f = (struct atomic_folder){.lock = -1, .path = folder_place(path, err), .kind = kind};
    char *parent = f->path ? parent_of(f->path) : NULL;
    bool ok = f->path && (parent || out_of_memory(err));
    if (ok) f->n_parents = folder_count_missing(parent);
    ok = ok && folder_create(parent, err);
    if (ok) settle_leftovers(f, parent);
    ok = ok && folder_may_take(f->path, kind, err) && make_temporary_folder(f, err);
    if (!ok && parent) folder_remove_empty(parent, f->n_parents);
    free(parent);
    if (!ok) release_folder(f);
    return ok;
}

void atomic_folder_abort(struct atomic_folder *f) {
    if (!f->path) return;
    folder_remove(f->temporary, NULL);
    char *parent = parent_of(f->path);
    if (parent) folder_remove_empty(parent, f->n_parents);
    free(parent);
    release_folder(f);
}

/* Each gets the other's name in one step; false where the system cannot. */
static bool exchange_names(const char *a, const char *b) {
#if defined(RENAME_EXCHANGE)
    return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0;
#elif defined(RENAME_SWAP)
    return renamex_np(a, b, RENAME_SWAP) == 0; /* macOS */
#else
    (void)a, (void)b;
    return false;
#endif
}

/* Puts the temporary in the place of an existing folder; what was there is gone when this returns true. */
static bool replace_folder(const struct atomic_folder *f, struct talc_error *err) {
    if (exchange_names(f->temporary, f->path)) {
        folder_remove(f->temporary, NULL); /* what cannot be removed now, a sweep may remove later */
        return true;
    }
    struct buffer aside = {0};
    buffer_printf(&aside, "%s" REPLACED_MARK "%ld", f->path, (long)getpid());
    bool ok = buffer_ok(&aside) || out_of_memory(err);
    int lock = ok ? open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1; /* others leave alone what is aside */
    if (lock >= 0) flock(lock, LOCK_EX | LOCK_NB);
    if (ok && rename(f->path, aside.data) != 0) {
        ok = talc_fail_errno(err, "%s: cannot be replaced, nothing was changed", f->path);
    } else if (ok && rename(f->temporary, f->path) != 0) {
        ok = talc_fail_errno(err, "%s: cannot be replaced", f->path);
        rename(aside.data, f->path);
    } else if (ok) {
        remove_as_leftover_of(f->path, aside.data, NULL);
    }
    if (lock >= 0) close(lock);
    buffer_free(&aside);
    return ok;
}

bool atomic_folder_commit(struct atomic_folder *f, struct talc_error *err) {
    bool ok = folder_may_take(f->path, f->kind, err); /* again: filling it has taken a while */
    if (ok && nftw(f->temporary, sync_visit, WALK_OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) != 0)
        ok = talc_fail_errno(err, "%s: syncing to disk failed, nothing was changed", f->path);
    if (ok && rename(f->temporary, f->path) != 0) { /* succeeds when PATH is absent or an empty folder */
        if (errno == ENOTEMPTY || errno == EEXIST)
            ok = replace_folder(f, err);
        else
            ok = talc_fail_errno(err, "%s: the folder cannot be put in place", f->path);
    }
    if (!ok) {
        atomic_folder_abort(f);
        return false;
    }
    ok = sync_parent(f->path, err);
    release_folder(f);
    return ok;
}

/* Some network file systems cannot lock; there it is left to the user. */
static bool wait_for_lock(int fd) {
    for (int attempt = 0; attempt <= LOCK_ATTEMPTS; attempt++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return true;
        nanosleep(&(struct timespec){.tv_nsec = LOCK_PAUSE_NANOSECONDS}, NULL);
    }
    return false;
}

/* Whoever held the folder may have removed it, empty, at its end: then it is made again. */
bool folder_lock(const char *path, int *fd, int *n_made, struct talc_error *err) {
    *n_made = 0;
    for (int attempt = 0; attempt <= LOCK_ATTEMPTS; attempt++) {
        int n_missing = folder_count_missing(path);
        bool made = folder_create(path, err);
        *fd = made ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (made && *fd < 0 && errno == ENOENT) continue;
        if (made && *fd < 0) talc_fail_errno(err, "%s: cannot be opened", path);
        if (*fd < 0) {
            folder_remove_empty(path, n_missing);
            return false;
        }
        bool locked = wait_for_lock(*fd);
        if (locked && is_still(*fd, path, 0)) {
            *n_made = n_missing;
            return true;
        }
        close(*fd);
        *fd = -1;
        if (!locked) break;
    }
    return talc_fail(err, "%s: another process is writing there; wait for it, or choose another folder", path);
}

/* ---- links and leftovers --------------------------------------------------------------------- */

bool atomic_symlink(const char *target, const char *link_path, struct talc_error *err) {
    bool made = false;
    char *temporary = NULL;
    for (int attempt = 1; !made && attempt <= MAX_TEMPORARY_NAMES; attempt++) {
        free(temporary);
        temporary = temporary_name(link_path, attempt);
        if (!temporary) return out_of_memory(err);
        made = symlink(target, temporary) == 0;
        if (!made && errno != EEXIST) break;
    }
    bool ok = made && rename(temporary, link_path) == 0;
    if (!ok) talc_fail_errno(err, "%s: the link cannot be made", link_path);
    if (!ok && made) unlink(temporary);
    free(temporary);
    return ok && sync_parent(link_path, err);
}

/* ---- reading --------------------------------------------------------------------------------- */

static int open_regular(const char *path, size_t *n_bytes, struct talc_error *err) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not wait for a writer */
    if (fd < 0 || fstat(fd, &st) != 0) {
        talc_fail_errno(err, "%s: cannot be read", path);
    } else if (S_ISREG(st.st_mode)) {
        *n_bytes = (size_t)st.st_size;
        return fd;
    } else {
        talc_fail(err, S_ISDIR(st.st_mode) ? "%s: is a folder, not a file" : "%s: is not a regular file", path);
    }
    if (fd >= 0) close(fd);
    return -1;
}

/* Reads until `capacity` bytes are there or the file ends; false: errno says why. */
static bool read_fully(int fd, char *data, size_t capacity, size_t *n_bytes) {
    ssize_t n = 0;
    *n_bytes = 0;
    while (*n_bytes < capacity && (n = read(fd, data + *n_bytes, capacity - *n_bytes)) > 0) *n_bytes += (size_t)n;
    return n >= 0;
}

bool file_read_head(const char *path, char *head, size_t capacity, size_t *n_bytes, struct talc_error *err) {
    size_t size;
    int fd = open_regular(path, &size, err);
    if (fd < 0) return false;
    bool ok = read_fully(fd, head, capacity, n_bytes) || talc_fail_errno(err, "%s: cannot be read", path);
    close(fd);
    return ok;
}

char *file_read(const char *path, size_t max_bytes, size_t *n_bytes, struct talc_error *err) {
    size_t size;
    int fd = open_regular(path, &size, err);
    if (fd < 0) return NULL;
    char *data = NULL;
    if (size > max_bytes) {
        talc_fail(err, "%s: has %zu bytes, more than the %zu that are read", path, size, max_bytes);
    } else if ((data = malloc(size + 1)) == NULL) {
        out_of_memory(err);
    } else if (!read_fully(fd, data, size, n_bytes)) {
        talc_fail_errno(err, "%s: cannot be read", path);
        free(data);
        data = NULL;
    }
    close(fd);
    if (data) data[*n_bytes] = 0;
    return data;
}

bool file_map_open(struct file_map *map, const char *path, struct talc_error *err) {
    size_t n_bytes;
    int fd = open_regular(path, &n_bytes, err);
    if (fd < 0) return false;
    void *data = n_bytes ? mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, fd, 0) : "";
    close(fd);
    if (data == MAP_FAILED) return talc_fail_errno(err, "%s: cannot be mapped into memory", path);
    *map = (struct file_map){.data = data, .n_bytes = n_bytes};
    return true;
}

void file_map_release(const struct file_map *map, const void *from, size_t n) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), first = (size_t)((const char *)from - (const char *)map->data);
    size_t begin = (first + page - 1) / page * page, end = (first + n) / page * page; /* whole pages only */
    if (begin < end) madvise((char *)(uintptr_t)map->data + begin, end - begin, MADV_DONTNEED);
}

void file_map_close(struct file_map *map) {
    if (map->n_bytes) munmap((void *)map->data, map->n_bytes);
    *map = (struct file_map){0};
}
