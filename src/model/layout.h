/* layout.h - the one list of a model's parameters: which there are, their shapes, their order in memory. Memory,
 * counts, files and the pointers of struct block all come from it. */
#ifndef TALC_MODEL_LAYOUT_H
#define TALC_MODEL_LAYOUT_H

#include "model/model.h"

struct layout_entry {
    const char *name; /* "qkv.weight"; inside a block "blocks.N." goes before it */
    enum parameter_role role;
    int shard_axis;
    bool present; /* in this arch; shapes are given either way */
    int64_t rows, cols;
    size_t place;             /* offset of the pointer to it in struct block, outside the blocks in struct model */
    int64_t parts[MAX_PARTS]; /* see struct parameter */
};

enum { LAYOUT_BLOCK = 18, LAYOUT_BEFORE = 2, LAYOUT_AFTER = 3 };

/* Parameters before the blocks, of every block, and after them, in the order of memory. */
void layout_before(const struct arch *arch, struct layout_entry out[LAYOUT_BEFORE]);
void layout_block(const struct arch *arch, struct layout_entry out[LAYOUT_BLOCK]);
void layout_after(const struct arch *arch, struct layout_entry out[LAYOUT_AFTER]);

/* Every parameter begins on a cache line: floats from one to the next, and of all of them. */
#define LAYOUT_ALIGN_FLOATS 32 /* 64 bytes of bf16 */
static inline int64_t layout_entry_floats(const struct layout_entry *e) {
    return (e->rows * e->cols + LAYOUT_ALIGN_FLOATS - 1) / LAYOUT_ALIGN_FLOATS * LAYOUT_ALIGN_FLOATS;
}
int64_t layout_floats(const struct arch *arch);
/* What matrices and tables are kept in where `weights` was asked for, and norms and biases always; bytes of all
 * parameters. */
enum dtype layout_dtype(enum parameter_role role, enum dtype weights);
size_t layout_entry_bytes(const struct layout_entry *e, enum dtype weights);
size_t layout_bytes(const struct arch *arch, enum dtype weights);

/* The layer whose rotary table `layer` uses: the first with its base and scaling. Floats of all tables. */
int rope_owner(const struct arch *arch, int layer);
int64_t rope_floats(const struct arch *arch);
/* Fills the tables into device memory of rope_floats and sets m->rope (rope.c). */
bool rope_make(struct model *m, float *memory, struct talc_error *err);

#endif
