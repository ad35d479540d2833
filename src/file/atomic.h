/* atomic.h - files and folders that are complete or absent: written beside their place, synced, renamed. A process that
 * is killed leaves at most a temporary name behind, which atomic_sweep removes. */
#ifndef TALC_FILE_ATOMIC_H
#define TALC_FILE_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "file/folder_kind.h"

/* A file being written: bytes go to PATH.talc-tmp-PID (PATH.talc-tmp-PID-2, ... if that is taken), which is flock'ed
 * while it is written; commit flushes, fsyncs, renames it to PATH and fsyncs the folder. abort (or a commit that fails)
 * removes the temporary file. What replaces a file has its permissions. After commit or abort the struct is empty;
 * abort on an empty one does nothing. A PATH that is no regular file (a folder, a device, a pipe) is refused, and so is
 * one named as a leftover. */
struct atomic_file {
    FILE *stream;           /* write here with stdio; errors are found at commit */
    char *path, *temporary; /* owned; if PATH is there already, `path` is its real path (links are followed) */
};
bool atomic_file_open(struct atomic_file *f, const char *path, struct talc_error *err);
bool atomic_file_commit(struct atomic_file *f, struct talc_error *err);
void atomic_file_abort(struct atomic_file *f);

/* All of the above in one call. */
bool atomic_write_file(const char *path, const void *data, size_t n_bytes, struct talc_error *err);

/* A folder being filled: files go under `temporary` (a sibling, PATH.talc-tmp-PID); commit fsyncs every file in it and
 * the folder, then renames it to PATH. Missing parents of PATH are made; abort removes them again. An existing PATH is
 * replaced, with everything in it, by exchange where the system can, else it is moved aside to PATH.talc-replaced-PID,
 * replaced and removed; the new one has its permissions. Both open and commit refuse a PATH that folder_may_take
 * refuses. Opening removes what killed processes left beside PATH, if nothing but what folders of that kind hold is in
 * it; a PATH.talc-replaced-PID whose PATH is missing is put back. */
struct atomic_folder {
    char *path, *temporary; /* owned; if PATH is there already, `path` is its real path (links are followed) */
    int lock;               /* the temporary folder, flock'ed while it is filled */
    int n_parents;          /* made */
    const struct folder_kind *kind;
};
/* `kind` must outlive f. */
bool atomic_folder_open(struct atomic_folder *f, const char *path, const struct folder_kind *kind,
                        struct talc_error *err);
bool atomic_folder_commit(struct atomic_folder *f, struct talc_error *err);
void atomic_folder_abort(struct atomic_folder *f);

/* Takes a folder for this process alone, until the descriptor *fd is closed or the process ends, however it ends. Makes
 * it, with its parents, where it is missing: *n_made of them. Waits up to three seconds for one that is just ending. */
bool folder_lock(const char *path, int *fd, int *n_made, struct talc_error *err);

/* Points the symbolic link `link_path` at `target` (relative text), replacing what it pointed at, by rename. */
bool atomic_symlink(const char *target, const char *link_path, struct talc_error *err);

/* Removes leftovers in a folder: files and links NAME.talc-tmp-PID that no process holds locked, where NAME matches one
 * of `names` (as in folder_kind); the second: folders that hold nothing but what is of their kind. Quiet: failing to is
 * no error. */
void atomic_sweep(const char *folder, const char *const *names);
void atomic_sweep_folders(const char *folder, const char *const *names, const struct folder_kind *kind);

bool folder_create(const char *path, struct talc_error *err); /* with parents, like mkdir -p */
/* How many folders folder_create would make; and removes as many again, from PATH up, those that are empty. */
int folder_count_missing(const char *path);
void folder_remove_empty(const char *path, int n);
bool folder_remove(const char *path, struct talc_error *err); /* with everything in it; absent is fine. Whole or gone */
bool file_exists(const char *path);
bool folder_exists(const char *path);
size_t path_length(const char *path);                  /* bytes of a path without slashes and "/." at its end */
char *path_join(const char *folder, const char *name); /* malloc'ed; NULL when out of memory */

/* The first bytes of a regular file, at most `capacity`, to tell what it is. */
bool file_read_head(const char *path, char *head, size_t capacity, size_t *n_bytes, struct talc_error *err);
/* Reads a whole regular file of at most max_bytes; adds a NUL past the end. Caller frees. */
char *file_read(const char *path, size_t max_bytes, size_t *n_bytes, struct talc_error *err);

/* A file mapped read-only. */
struct file_map {
    const void *data;
    size_t n_bytes;
};
bool file_map_open(struct file_map *map, const char *path, struct talc_error *err);
void file_map_close(struct file_map *map);

/* What was read of it, n bytes from `from` on, need not stay in this process's memory; it can be read again. */
void file_map_release(const struct file_map *map, const void *from, size_t n);

#endif
