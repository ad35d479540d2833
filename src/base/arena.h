/* arena.h - one allocation cut into pieces. Memory is planned first (the same calls on an arena without memory add
 * up the bytes), then taken once. Pieces are 64-byte aligned. Not for use from several threads at once. */
#ifndef TALC_BASE_ARENA_H
#define TALC_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena {
    char *memory;    /* borrowed, 64-byte aligned; NULL while planning: arena_take then returns NULL and only counts */
    size_t capacity; /* bytes */
    size_t used;     /* bytes handed out, alignment included */
    bool overflow;   /* a piece did not fit (or, while planning, the sum overflowed) */
};

#define ARENA_ALIGNMENT 64

/* A piece of n_bytes, or NULL when planning or when it does not fit (then `overflow` is set). */
void *arena_take(struct arena *arena, size_t n_bytes);

#endif
