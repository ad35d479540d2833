/* arena.c - see arena.h. */
#include "base/arena.h"

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
