/* memory.c - reads what Linux says of its memory; see memory.h. */
#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number after `key` in a small text file under `root`, times `unit`; SIZE_MAX when there is none. A key of ""
 * is the beginning. */
static size_t read_number(const char *root, const char *path, const char *key, size_t unit) {
    char text[4096], name[512];
    if (snprintf(name, sizeof name, "%s%s", root, path) >= (int)sizeof name) return SIZE_MAX;
    FILE *f = fopen(name, "re");
    if (!f) return SIZE_MAX;
    size_t n = fread(text, 1, sizeof text - 1, f), bytes = SIZE_MAX;
    fclose(f);
    text[n] = 0;
    const char *at = strstr(text, key);
    char *end = NULL;
    unsigned long long x = at ? strtoull(at + strlen(key), &end, 10) : 0;
    if (!at || end == at + strlen(key) || __builtin_mul_overflow((size_t)x, unit, &bytes)) return SIZE_MAX;
    return bytes;
}

/* What a control group has left of its limit, in its second version and in its first. Pages of files that nobody has
 * looked at lately count as used there, but are given up before anything is refused. */
static size_t group_available(const char *root) {
    static const struct {
        const char *limit, *used, *statistics, *reclaimable;
    } versions[] = {{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat",
                     "\ninactive_file "},
                    {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes",
                     "/sys/fs/cgroup/memory/memory.stat", "\ntotal_inactive_file "}};
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        size_t limit = read_number(root, versions[i].limit, "", 1); /* "max": none */
        size_t used = read_number(root, versions[i].used, "", 1);
        size_t reclaimable = read_number(root, versions[i].statistics, versions[i].reclaimable, 1);
        if (limit == SIZE_MAX || used == SIZE_MAX) continue;
        if (reclaimable != SIZE_MAX) used -= reclaimable < used ? reclaimable : used;
        size_t left = limit > used ? limit - used : 0;
        if (left < least) least = left;
    }
    return least;
}

size_t memory_available_under(const char *root) {
    size_t available = read_number(root, "/proc/meminfo", "MemAvailable:", 1024), left = group_available(root);
    return left < available ? left : available;
}

size_t memory_available(void) { return memory_available_under(""); }
