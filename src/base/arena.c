/* arena.c - see arena.h. */
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

void *arena_take(struct arena *arena, size_t n_bytes) {
    size_t end;
    if (!checked_add_size(n_bytes, ARENA_ALIGNMENT - 1, &end) ||
        !checked_add_size(arena->used, end / ARENA_ALIGNMENT * ARENA_ALIGNMENT, &end)) {
        arena->overflow = true;
        return NULL;
    }
    void *piece = NULL;
    if (arena->memory) {
        if (end > arena->capacity) {
            arena->overflow = true;
            return NULL;
        }
        piece = arena->memory + arena->used;
    }
    arena->used = end;
    return piece;
}

bool arena_open(struct arena *arena, size_t capacity, const char *what, struct talc_error *err) {
    *arena = (struct arena){0};
    size_t bytes = round_up_size(capacity ? capacity : 1, ARENA_ALIGNMENT);
    if (bytes < capacity) return talc_fail(err, "%s needs more memory than can be addressed", what);
    void *memory = aligned_alloc(ARENA_ALIGNMENT, bytes);
    if (!memory)
        return talc_fail(err, "out of memory: %s needs %.1f MiB; use a smaller model, batch or context", what,
                         (double)capacity / 1048576.0);
    memset(memory, 0, bytes);
    *arena = (struct arena){.memory = memory, .capacity = bytes};
    return true;
}

void arena_close(struct arena *arena) {
    free(arena->memory);
    *arena = (struct arena){0};
}
