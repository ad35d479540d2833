/* parameters.c - the parameters of a model: their list, their memory, and how a new model begins. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "model/model.h"

/* ---- the list ------------------------------------------------------------------------------------------------------------ */

/* Adds parameters one after another; offsets into the block of values grow with them. */
struct list {
    struct model *model;
    int64_t offset; /* floats so far, each parameter rounded up to ALIGN_FLOATS */
};
#define ALIGN_FLOATS 16

__attribute__((format(printf, 7, 8))) static struct parameter *add(struct list *list, enum parameter_role role, int layer,
                                                                   int64_t rows, int64_t cols, int shard_axis,
                                                                   const char *format, ...) {
    struct parameter *p = &list->model->parameters[list->model->n_parameters++];
    va_list args;
    va_start(args, format);
    vsnprintf(p->name, sizeof p->name, format, args);
    va_end(args);
    p->role = role;
    p->layer = layer;
    p->shard_axis = shard_axis;
    /* An offset until memory is taken. */
    p->value = tensor_view((void *)((uintptr_t)list->offset * sizeof(float)), DTYPE_F32, rows, cols);
    list->offset += (rows * cols + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
    return p;
}

static struct norm add_norm(struct list *list, int layer, const char *name) {
    const struct arch *a = &list->model->arch;
    char where[32] = "";
    if (layer >= 0) snprintf(where, sizeof where, "blocks.%d.", layer);
    struct norm n = {.weight = add(list, ROLE_NORM, layer, 1, a->hidden_size, -1, "%s%s.weight", where, name)};
    if (a->norm == NORM_LAYER && a->norm_bias) n.bias = add(list, ROLE_BIAS, layer, 1, a->hidden_size, -1, "%s%s.bias", where, name);
    return n;
}

static struct linear add_linear(struct list *list, int layer, const char *name, int64_t out, int64_t in, bool bias, int axis) {
    struct linear l = {.weight = add(list, ROLE_MATRIX, layer, out, in, axis, "blocks.%d.%s.weight", layer, name)};
    if (bias) l.bias = add(list, ROLE_BIAS, layer, 1, out, axis == 0 ? 1 : -1, "blocks.%d.%s.bias", layer, name);
    return l;
}

static void add_block(struct list *list, int layer) {
    const struct arch *a = &list->model->arch;
    struct block *b = &list->model->blocks[layer];
    int64_t h = a->hidden_size, q = (int64_t)a->n_heads * a->head_dim, kv = (int64_t)a->n_kv_heads * a->head_dim;
    int64_t up = (a->activation == ACTIVATION_SWIGLU ? 2 : 1) * (int64_t)a->intermediate_size;
    b->attention_norm = add_norm(list, layer, "attention_norm");
    b->qkv = add_linear(list, layer, "qkv", q + 2 * kv, h, a->qkv_bias, 0);
    if (a->qk_norm) {
        b->q_norm = add(list, ROLE_NORM, layer, 1, a->head_dim, -1, "blocks.%d.q_norm.weight", layer);
        b->k_norm = add(list, ROLE_NORM, layer, 1, a->head_dim, -1, "blocks.%d.k_norm.weight", layer);
    }
    b->out = add_linear(list, layer, "out", h, q, a->out_bias, 1);
    b->mlp_norm = add_norm(list, layer, "mlp_norm");
    b->up = add_linear(list, layer, "up", up, h, a->mlp_bias, 0);
    b->down = add_linear(list, layer, "down", h, a->intermediate_size, a->mlp_bias, 1);
}

static int64_t list_parameters(struct model *m) {
    const struct arch *a = &m->arch;
    struct list list = {.model = m};
    m->embedding = add(&list, ROLE_EMBEDDING, -1, a->vocab_size, a->hidden_size, 0, "embedding.weight");
    if (a->learned_positions) m->positions = add(&list, ROLE_POSITION, -1, a->context_length, a->hidden_size, -1, "positions.weight");
    for (int l = 0; l < a->n_layers; l++) add_block(&list, l);
    m->final_norm = add_norm(&list, -1, "final_norm");
    m->head.weight = a->tie_embeddings ? m->embedding
                                       : add(&list, ROLE_HEAD, -1, a->vocab_size, a->hidden_size, 0, "head.weight");
    return list.offset;
}

/* ---- memory --------------------------------------------------------------------------------------------------------------- */

/* [context, d]: cos of the d/2 angles of each position, then sin; angle i turns by base^(-2i/d) a position (Su et al. 2021). */
static void fill_rope(float *table, int context, int d, float base) {
    for (int p = 0; p < context; p++)
        for (int i = 0; i < d / 2; i++) {
            double angle = p * pow((double)base, -2.0 * i / d);
            table[(int64_t)p * d + i] = (float)cos(angle);
            table[(int64_t)p * d + d / 2 + i] = (float)sin(angle);
        }
}

/* Layers with the same base share a table: which layer's a layer uses. */
static int rope_owner(const struct arch *a, int layer) {
    for (int l = 0; l < layer; l++)
        if (a->layers[l].rope_base == a->layers[layer].rope_base) return l;
    return layer;
}

static bool make_rope(struct model *m, float *memory, struct talc_error *err) {
    const struct arch *a = &m->arch;
    int64_t size = (int64_t)a->context_length * a->head_dim;
    float *host = malloc((size_t)size * sizeof *host);
    if (!host) return talc_fail(err, "out of memory for rotary tables");
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
    free(host);
    return true;
}

static int64_t rope_floats(const struct arch *a) {
    int64_t tables = 0;
    if (a->learned_positions) return 0;
    for (int l = 0; l < a->n_layers; l++) tables += rope_owner(a, l) == l;
    return tables * a->context_length * a->head_dim;
}

/* Turns offsets into addresses. */
static void place(struct model *m, float *values, float *gradients, int64_t n) {
    m->values = tensor_view(values, DTYPE_F32, 1, n);
    if (gradients) m->gradients = tensor_view(gradients, DTYPE_F32, 1, n);
    for (int i = 0; i < m->n_parameters; i++) {
        struct parameter *p = &m->parameters[i];
        uintptr_t offset = (uintptr_t)p->value.data / sizeof(float);
        p->value.data = values + offset;
        if (gradients) p->gradient = tensor_view(gradients + offset, DTYPE_F32, p->value.rows, p->value.cols);
    }
}

bool model_open(struct model *m, const struct arch *arch, struct stream *stream, bool with_gradients, struct talc_error *err) {
    *m = (struct model){.arch = *arch, .stream = stream};
    if (!arch_check(arch, err)) return false;
    size_t most = (size_t)arch->n_layers * 14 + 5, layers = (size_t)arch->n_layers;
    m->parameters = calloc(most, sizeof *m->parameters);
    m->blocks = calloc(layers, sizeof *m->blocks);
    m->rope = arch->learned_positions ? NULL : calloc(layers, sizeof *m->rope);
    if (!m->parameters || !m->blocks || (!m->rope && !arch->learned_positions)) {
        model_close(m);
        return talc_fail(err, "out of memory for the list of parameters");
    }
    int64_t n = list_parameters(m), rope = rope_floats(arch);
    m->memory = stream->backend->memory_take(stream, (size_t)(n * (with_gradients ? 2 : 1) + rope) * sizeof(float), err);
    if (!m->memory) {
        model_close(m);
        return talc_fail_in(err, "a model of %.1f million parameters", (double)n / 1e6);
    }
    float *memory = m->memory;
    place(m, memory, with_gradients ? memory + n : NULL, n);
    if (m->rope && !make_rope(m, memory + n * (with_gradients ? 2 : 1), err)) {
        model_close(m);
        return false;
    }
    return true;
}

void model_close(struct model *m) {
    if (m->memory) m->stream->backend->memory_give(m->stream, m->memory);
    free(m->parameters);
    free(m->blocks);
    free(m->rope);
    *m = (struct model){0};
}

/* ---- the beginning --------------------------------------------------------------------------------------------------------- */

/* Standard deviation of a parameter's normal distribution; norms are 1 and biases 0 whatever the scheme. */
static double init_deviation(const struct model *m, const struct parameter *p, enum init_scheme scheme) {
    bool residual = strstr(p->name, ".out.") || strstr(p->name, ".down.");
    if (scheme == INIT_GPT2) return residual ? 0.02 / sqrt(2.0 * m->arch.n_layers) : 0.02;
    switch (p->role) {
    case ROLE_EMBEDDING: return m->arch.tie_embeddings ? 0.02 : 1;
    case ROLE_POSITION: return 0.02;
    case ROLE_HEAD: return 0.001;
    default: return residual ? 0 : 1 / sqrt((double)p->value.cols);
    }
}

bool model_initialize(struct model *m, enum init_scheme scheme, uint64_t seed, struct talc_error *err) {
    for (int i = 0; i < m->n_parameters; i++) {
        const struct parameter *p = &m->parameters[i];
        int64_t n = p->value.rows * p->value.cols;
        float *host = malloc((size_t)n * sizeof *host);
        if (!host) return talc_fail(err, "out of memory initialising %s", p->name);
        struct rng rng = rng_make(seed, 0x696e6974u + ((uint64_t)i << 32)); /* a stream each: order does not matter */
        double deviation = init_deviation(m, p, scheme);
        for (int64_t k = 0; k < n; k++)
            host[k] = p->role == ROLE_NORM ? 1 : p->role == ROLE_BIAS ? 0 : (float)(deviation * rng_normal(&rng));
        m->stream->backend->copy_in(m->stream, p->value.data, host, (size_t)n * sizeof *host);
        free(host);
    }
    return stream_synchronize(m->stream, err);
}
