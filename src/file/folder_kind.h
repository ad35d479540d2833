/* folder_kind.h - whose a folder is: what talc writes into the folders that it makes, so that nobody's files are
 * replaced or mixed with ours by mistake, and what processes that were killed leave beside them. */
#ifndef TALC_FILE_FOLDER_KIND_H
#define TALC_FILE_FOLDER_KIND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* A kind of folder that talc writes: one is ours if a file `marker` in it holds `text` in its first MiB (others have
 * a settings.json too). `names`, patterns of fnmatch(3) up to NULL, are all that talc puts there. */
struct folder_kind {
    const char *marker, *text;
    const char *const *names;
    bool replaced; /* when it is written again, everything in it is; it holds regular files only */
};

/* Whoever writes a folder that a user names asks this first. True for one that is absent, empty (but for what a write
 * of ours that was killed left behind), or ours, and whose name is not that of a leftover; of a folder that is replaced
 * only if nothing of somebody else is in it and it is neither a mount point nor the current folder, which cannot be
 * replaced. */
bool folder_may_take(const char *path, const struct folder_kind *kind, struct talc_error *err);

/* Whether nothing is in a folder but what is of the kind, or was left behind while it was written. */
bool folder_holds_only(const char *path, const struct folder_kind *kind);

#define TEMPORARY_MARK ".talc-tmp-"     /* NAME.talc-tmp-PID, NAME.talc-tmp-PID-2, ...: being written, or removed */
#define REPLACED_MARK ".talc-replaced-" /* NAME.talc-replaced-PID: moved aside for what takes its place */

/* The process id in NAME<mark>PID or NAME<mark>PID-N, or 0 when the name is not such a one; *n_name (may be NULL): the
 * bytes of NAME. */
long leftover_pid(const char *name, const char *mark, size_t *n_name);

/* Whether the last part of a path is such a name, with either mark: nobody may choose it, since a sweep may remove it.
 */
bool is_leftover_name(const char *path);

/* Whether the first `n` bytes of `name` match one of `patterns`. */
bool name_matches(const char *const *patterns, const char *name, size_t n);

#endif
