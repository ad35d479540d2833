/* parameters.c - opens and closes a model: its parameters in one block of memory, its gradients in another beside it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/layout.h"

/* ---- the list -------------------------------------------------------------------------------- */

struct filling {
    struct model *model;
    enum dtype weights; /* of matrices and tables */
    char *values;       /* where the next parameter goes */
    float *gradients;   /* and its gradient; NULL: none */
    int64_t offset;     /* floats of gradients so far */
};

/* Adds the entries that are present; the pointers to them lie in `owner` (a struct block, or the model). */
static void add_parameters(struct filling *f, const struct layout_entry *entries, int n, int layer, void *owner) {
    for (int i = 0; i < n; i++) {
        const struct layout_entry *e = &entries[i];
        if (!e->present) continue;
        struct parameter *p = &f->model->parameters[f->model->n_parameters++];
        *p = (struct parameter){.role = e->role, .layer = layer, .shard_axis = e->shard_axis};
        if (layer < 0)
            snprintf(p->name, sizeof p->name, "%s", e->name);
        else
            snprintf(p->name, sizeof p->name, "blocks.%d.%s", layer, e->name);
        memcpy(p->parts, e->parts, sizeof p->parts);
        p->offset = f->offset;
        p->value = tensor_view(f->values, layout_dtype(e->role, f->weights), e->rows, e->cols);
        if (f->gradients) p->gradient = tensor_view(f->gradients + f->offset, DTYPE_F32, e->rows, e->cols);
        f->values += layout_entry_bytes(e, f->weights);
        f->offset += layout_entry_floats(e);
        *(struct parameter **)((char *)owner + e->place) = p;
    }
}

static void list_parameters(struct model *m, char *values, float *gradients, enum dtype weights) {
    struct filling f = {.model = m, .weights = weights, .values = values, .gradients = gradients};
    struct layout_entry before[LAYOUT_BEFORE], block[LAYOUT_BLOCK], after[LAYOUT_AFTER];
    layout_before(&m->arch, before);
    layout_block(&m->arch, block);
    layout_after(&m->arch, after);
    add_parameters(&f, before, LAYOUT_BEFORE, -1, m);
    for (int l = 0; l < m->arch.n_layers; l++) add_parameters(&f, block, LAYOUT_BLOCK, l, &m->blocks[l]);
    add_parameters(&f, after, LAYOUT_AFTER, -1, m);
    if (m->arch.tie_embeddings) m->head.weight = m->embedding;
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool take_lists(struct model *m, struct talc_error *err) {
    size_t layers = (size_t)m->arch.n_layers;
    m->parameters = calloc(layers * LAYOUT_BLOCK + LAYOUT_BEFORE + LAYOUT_AFTER, sizeof *m->parameters);
    m->blocks = calloc(layers, sizeof *m->blocks);
    if (!m->arch.learned_positions) m->rope = calloc(layers, sizeof *m->rope);
    if (m->parameters && m->blocks && (m->rope || m->arch.learned_positions)) return true;
    return talc_fail(err, "out of memory for the list of parameters");
}

static bool take_memory(struct model *m, const struct model_options *o, struct talc_error *err) {
    bool narrow = layout_dtype(ROLE_MATRIX, o->weights) != DTYPE_F32;
    int64_t n = layout_floats(&m->arch);
    size_t bytes = layout_bytes(&m->arch, o->weights);
    m->memory = stream_memory_take(
        m->stream, bytes + (size_t)((o->gradients ? n : 0) + rope_floats(&m->arch)) * sizeof(float), err);
    if (!m->memory) return talc_fail_in(err, "a model of %.1f million parameters", (double)n / 1e6);
    float *after = (float *)(void *)((char *)m->memory + bytes);
    m->values = tensor_view(m->memory, narrow ? DTYPE_U8 : DTYPE_F32, 1, narrow ? (int64_t)bytes : n);
    if (o->gradients) m->gradients = tensor_view(after, DTYPE_F32, 1, n);
    list_parameters(m, m->memory, o->gradients ? after : NULL, o->weights);
    return !m->rope || rope_make(m, after + (o->gradients ? n : 0), err);
}

bool model_open(struct model *m, const struct arch *arch, struct stream *stream, const struct model_options *options,
                struct talc_error *err) {
    static const struct model_options to_infer = {0};
    *m = (struct model){.arch = *arch, .stream = stream};
    if (arch_check(arch, err) && take_lists(m, err) && take_memory(m, options ? options : &to_infer, err)) return true;
    model_close(m);
    return false;
}

void model_close(struct model *m) {
    if (m->memory) m->stream->backend->memory_give(m->stream, m->memory);
    free(m->parameters);
    free(m->blocks);
    free(m->rope);
    *m = (struct model){0};
}

/* ---- from and to the host -------------------------------------------------------------------- */

void parameter_write(struct model *m, const struct parameter *p, int64_t first, size_t n, float *floats) {
    enum dtype dtype = p->value.dtype;
    size_t size = dtype_size(dtype);
    f32_narrow(floats, n, dtype);
    m->stream->backend->copy_in(m->stream, (char *)p->value.data + (size_t)first * size, floats, n * size);
}

void parameter_read(const struct model *m, const struct parameter *p, int64_t first, size_t n, float *floats) {
    enum dtype dtype = p->value.dtype;
    size_t size = dtype_size(dtype);
    char *to =
        (char *)(floats + n) - n * size; /* at the end of the floats, so that they can be widened from the first on */
    m->stream->backend->copy_out(m->stream, to, (const char *)p->value.data + (size_t)first * size, n * size);
    if (dtype == DTYPE_F32) return;
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, to + i * size, size);
        floats[i] = dtype == DTYPE_F16 ? f16_to_f32(half) : bf16_to_f32(half);
    }
}
