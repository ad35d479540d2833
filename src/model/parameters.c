/* parameters.c - opens and closes a model: its parameters in one block of memory, its gradients in another beside it, the
 * rotary tables. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/layout.h"

/* ---- the list ---------------------------------------------------------------------------------------------------- */

struct filling {
    struct model *model;
    float *values, *gradients; /* where the next parameter goes; gradients NULL: none */
};

/* Adds the entries that are present; the pointers to them lie in `owner` (a struct block, or the model). */
static void add_parameters(struct filling *f, const struct layout_entry *entries, int n, int layer, void *owner) {
    for (int i = 0; i < n; i++) {
        const struct layout_entry *e = &entries[i];
        if (!e->present) continue;
        struct parameter *p = &f->model->parameters[f->model->n_parameters++];
        *p = (struct parameter){.role = e->role, .layer = layer, .shard_axis = e->shard_axis};
        if (layer < 0) snprintf(p->name, sizeof p->name, "%s", e->name);
        else snprintf(p->name, sizeof p->name, "blocks.%d.%s", layer, e->name);
        memcpy(p->parts, e->parts, sizeof p->parts);
        p->value = tensor_view(f->values, DTYPE_F32, e->rows, e->cols);
        f->values += layout_entry_floats(e);
        if (f->gradients) {
            p->gradient = tensor_view(f->gradients, DTYPE_F32, e->rows, e->cols);
            f->gradients += layout_entry_floats(e);
        }
        *(struct parameter **)((char *)owner + e->place) = p;
    }
}

static void list_parameters(struct model *m, float *values, float *gradients) {
    struct filling f = {.model = m, .values = values, .gradients = gradients};
    struct layout_entry before[LAYOUT_BEFORE], block[LAYOUT_BLOCK], after[LAYOUT_AFTER];
    layout_before(&m->arch, before);
    layout_block(&m->arch, block);
    layout_after(&m->arch, after);
    add_parameters(&f, before, LAYOUT_BEFORE, -1, m);
    for (int l = 0; l < m->arch.n_layers; l++) add_parameters(&f, block, LAYOUT_BLOCK, l, &m->blocks[l]);
    add_parameters(&f, after, LAYOUT_AFTER, -1, m);
    if (m->arch.tie_embeddings) m->head.weight = m->embedding;
}

/* ---- rotary tables ----------------------------------------------------------------------------------------------- */

/* [context, d]: cos of the d/2 angles of each position, then sin; angle i turns by base^(-2i/d) a position (Su et al. 2021).
 * Frequency and angle are rounded to float, as in the programs that trained the open models. */
static void fill_rope(float *table, int context, int d, float base) {
    for (int i = 0; i < d / 2; i++) {
        float frequency = (float)pow((double)base, -2.0 * i / d);
        for (int p = 0; p < context; p++) {
            float angle = (float)p * frequency, *row = table + (int64_t)p * d;
            row[i] = (float)cos((double)angle);
            row[d / 2 + i] = (float)sin((double)angle);
        }
    }
}

static bool make_rope(struct model *m, float *memory, struct talc_error *err) {
    const struct arch *a = &m->arch;
    int64_t size = (int64_t)a->context_length * a->head_dim;
    float *host = malloc((size_t)size * sizeof *host);
    if (!host) return talc_fail(err, "out of memory for the rotary tables");
    for (int l = 0; l < a->n_layers; l++) {
        int owner = rope_owner(a, l);
        if (owner < l) {
            m->rope[l] = m->rope[owner];
            continue;
        }
        fill_rope(host, a->context_length, a->head_dim, a->layers[l].rope_base);
        m->stream->backend->copy_in(m->stream, memory, host, (size_t)size * sizeof *host);
        m->rope[l] = tensor_view(memory, DTYPE_F32, a->context_length, a->head_dim);
        memory += size;
    }
    bool ok = stream_synchronize(m->stream, err); /* before the host's copy goes */
    free(host);
    return ok;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static bool take_lists(struct model *m, struct talc_error *err) {
    size_t layers = (size_t)m->arch.n_layers;
    m->parameters = calloc(layers * LAYOUT_BLOCK + LAYOUT_BEFORE + LAYOUT_AFTER, sizeof *m->parameters);
    m->blocks = calloc(layers, sizeof *m->blocks);
    if (!m->arch.learned_positions) m->rope = calloc(layers, sizeof *m->rope);
    if (m->parameters && m->blocks && (m->rope || m->arch.learned_positions)) return true;
    return talc_fail(err, "out of memory for the list of parameters");
}

static bool take_memory(struct model *m, bool with_gradients, struct talc_error *err) {
    int64_t n = layout_floats(&m->arch), all = n * (with_gradients ? 2 : 1) + rope_floats(&m->arch);
    m->memory = stream_memory_take(m->stream, (size_t)all * sizeof(float), err);
    if (!m->memory) return talc_fail_in(err, "a model of %.1f million parameters", (double)n / 1e6);
    float *values = m->memory, *gradients = with_gradients ? values + n : NULL;
    m->values = tensor_view(values, DTYPE_F32, 1, n);
    if (with_gradients) m->gradients = tensor_view(gradients, DTYPE_F32, 1, n);
    list_parameters(m, values, gradients);
    return !m->rope || make_rope(m, values + n * (with_gradients ? 2 : 1), err);
}

bool model_open(struct model *m, const struct arch *arch, struct stream *stream, bool with_gradients,
                struct talc_error *err) {
    *m = (struct model){.arch = *arch, .stream = stream};
    if (arch_check(arch, err) && take_lists(m, err) && take_memory(m, with_gradients, err)) return true;
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
