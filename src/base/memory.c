/* memory.c - reads what Linux says of its memory; see memory.h. */
#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number after `key` in a small text file, times `unit`; SIZE_MAX when there is none. A key of ""
 * is the beginning. */
static size_t read_number(const char *path, const char *key, size_t unit) {
    char text[4096];
    FILE *f = fopen(path, "re");
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

size_t memory_available(void) {
    size_t available = read_number("/proc/meminfo", "MemAvailable:", 1024);
    size_t limit = read_number("/sys/fs/cgroup/memory.max", "", 1); /* "max": none */
    size_t used = read_number("/sys/fs/cgroup/memory.current", "", 1);
    if (limit == SIZE_MAX || used == SIZE_MAX) return available;
    size_t left = limit > used ? limit - used : 0;
    return left < available ? left : available;
}
