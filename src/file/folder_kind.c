/* folder_kind.c - see folder_kind.h. */
#include "file/folder_kind.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "file/atomic.h"

#define MARKER_BYTES ((size_t)1 << 20) /* of a marker are looked at */

long leftover_pid(const char *name, const char *mark, size_t *n_name) {
    const char *last = NULL;
    if (n_name) *n_name = strlen(name);
    for (const char *at = name; (at = strstr(at, mark)) != NULL; at++) last = at;
    if (!last || last == name) return 0;
    const char *digits = last + strlen(mark);
    size_t n = strspn(digits, "0123456789");
    const char *rest = digits + n;
    if (n == 0 || n > 9) return 0;
    if (*rest == '-') rest += 1 + strspn(rest + 1, "0123456789");
    if (*rest) return 0;
    if (n_name) *n_name = (size_t)(last - name);
    return atol(digits);
}

bool is_leftover_name(const char *path) {
    size_t end = path_length(path), begin = end;
    while (begin > 0 && path[begin - 1] != '/') begin--;
    char name[NAME_MAX + 1];
    size_t n = end - begin;
    if (n > NAME_MAX) return false;
    memcpy(name, path + begin, n);
    name[n] = '\0';
    return leftover_pid(name, TEMPORARY_MARK, NULL) || leftover_pid(name, REPLACED_MARK, NULL);
}

bool name_matches(const char *const *patterns, const char *name, size_t n) {
    char begin[NAME_MAX + 1];
    if (n > NAME_MAX) return false;
    memcpy(begin, name, n);
    begin[n] = '\0';
    for (; *patterns; patterns++)
        if (fnmatch(*patterns, begin, 0) == 0) return true;
    return false;
}

static bool has_mark(const char *path, const struct folder_kind *kind) {
    size_t n;
    char *mark = path_join(path, kind->marker), *begin = malloc(MARKER_BYTES);
    bool found = mark && begin && file_read_head(mark, begin, MARKER_BYTES, &n, NULL) &&
                 memmem(begin, n, kind->text, strlen(kind->text));
    free(begin);
    free(mark);
    return found;
}

/* Whether talc has put an entry there, into a folder of that kind or one that is to be. */
static bool is_of_kind(DIR *dir, const char *entry, const struct folder_kind *kind, bool is_ours) {
    size_t n;
    struct stat st;
    long pid = leftover_pid(entry, TEMPORARY_MARK, &n);
    if (strcmp(entry, ".") == 0 || strcmp(entry, "..") == 0) return true;
    if ((!pid && !is_ours) || !name_matches(kind->names, entry, n)) return false;
    return fstatat(dirfd(dir), entry, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           (S_ISREG(st.st_mode) || (!kind->replaced && S_ISLNK(st.st_mode)));
}

/* The name of an entry that is not of the kind, which the caller frees; NULL when there is none. */
static char *find_foreign(DIR *dir, const struct folder_kind *kind, bool is_ours) {
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (!is_of_kind(dir, entry->d_name, kind, is_ours)) return strdup(entry->d_name);
    return NULL;
}

bool folder_holds_only(const char *path, const struct folder_kind *kind) {
    DIR *dir = opendir(path);
    if (!dir) return false;
    char *foreign = find_foreign(dir, kind, true);
    bool only = foreign == NULL;
    free(foreign);
    closedir(dir);
    return only;
}

static bool is_mount_point(const char *path, const struct stat *st) {
#ifdef STATX_ATTR_MOUNT_ROOT /* tells bind mounts too */
    struct statx x;
    if (statx(AT_FDCWD, path, 0, STATX_TYPE, &x) == 0 && (x.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
        return x.stx_attributes & STATX_ATTR_MOUNT_ROOT;
#endif
    struct stat parent;
    char *above = path_join(path, "..");
    bool is = above && stat(above, &parent) == 0 && (parent.st_dev != st->st_dev || parent.st_ino == st->st_ino);
    free(above);
    return is;
}

/* Whether another folder can be put in the place of this one. */
static bool can_be_replaced(const char *path, const struct stat *st, struct talc_error *err) {
    struct stat here;
    if (stat(".", &here) == 0 && here.st_dev == st->st_dev && here.st_ino == st->st_ino)
        return talc_fail(err, "%s: is the folder you are in, which cannot be replaced; name a folder inside it", path);
    if (is_mount_point(path, st))
        return talc_fail(err, "%s: is a mount point, which cannot be replaced; name a folder inside it", path);
    return true;
}

bool folder_may_take(const char *path, const struct folder_kind *kind, struct talc_error *err) {
    struct stat st;
    if (!*path) return talc_fail(err, "the name of a folder is empty");
    if (is_leftover_name(path))
        return talc_fail(err, "%s: is named as talc names what it is still writing; choose another name", path);
    if (stat(path, &st) != 0) {
        if (errno != ENOENT && errno != ENOTDIR) return talc_fail_errno(err, "%s: cannot be looked into", path);
        return lstat(path, &st) != 0 ? true : talc_fail(err, "%s: is a link that leads nowhere", path);
    }
    if (!S_ISDIR(st.st_mode))
        return talc_fail(err, "%s: exists and is not a folder; remove it or choose another name", path);
    if (kind->replaced && !can_be_replaced(path, &st, err)) return false;
    bool is_ours = has_mark(path, kind);
    if (is_ours && !kind->replaced) return true;
    DIR *dir = opendir(path);
    if (!dir) return talc_fail_errno(err, "%s: cannot be looked into", path);
    char *foreign = find_foreign(dir, kind, is_ours);
    closedir(dir);
    if (!foreign) return true;
    if (is_ours)
        talc_fail(err, "%s: holds something else too (%s), which would be lost; choose another name", path, foreign);
    else
        talc_fail(err, "%s: is a folder of something else (it has no %s as talc writes it); choose another name", path,
                  kind->marker);
    free(foreign);
    return false;
}
