/* weights_gguf.c - a model from GGUF files. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "file/safetensors.h"
#include "model/config_keys.h"
#include "model/gguf_arch.h"

enum { MAX_TASKS = 64 }; /* that rows are shared out to */

struct reading {
    const struct arch *arch;
    const struct gguf_arch *gguf;
    const struct gguf_model *file;
    bool *used; /* of each tensor of the file */
    struct model *model;
    float *floats; /* of some rows */
    int64_t capacity;
    struct weights_progress progress;
};

/* ---- before memory is taken ------------------------------------------------------------------ */

/* [n] of a vector, which is [1, n] here. */
static int shape_of(const struct file_tensor *t, int64_t shape[2]) {
    shape[0] = t->rows;
    shape[1] = t->entry->cols;
    return t->vector ? 1 : 2;
}

static bool check_tensor(void *context, const struct file_tensor *t, struct talc_error *err) {
    struct reading *r = context;
    const struct gguf_weight *found = gguf_model_find(r->file, t->name);
    int64_t shape[2];
    int n_dims = shape_of(t, shape);
    if (!found) return talc_fail(err, "tensor \"%s\" is missing; the file's tensors do not fit its metadata", t->name);
    if (found->n_dims != n_dims || memcmp(found->shape, shape, (size_t)n_dims * sizeof *shape) != 0) {
        char has[192], needs[192];
        return talc_fail(err, "tensor \"%s\" has shape %s, but the model needs %s", t->name,
                         shape_text(found->n_dims, found->shape, has), shape_text(n_dims, shape, needs));
    }
    if (!found->type->unpack)
        return talc_fail(err, "tensor \"%s\" is of the type %s, which talc does not read", t->name, found->type->name);
    r->used[found - gguf_model_at(r->file, 0)] = true;
    return true;
}

static bool check_all_used(const struct reading *r, struct talc_error *err) {
    for (size_t i = 0; i < gguf_model_count(r->file); i++) {
        const struct gguf_weight *w = gguf_model_at(r->file, i);
        bool known = r->used[i] || (gguf_is_rope_factors(w->name) && !r->gguf->learned_positions) ||
                     (strcmp(w->name, "output.weight") == 0 && r->arch->tie_embeddings);
        if (!known) return talc_fail(err, "nothing in the metadata asks for tensor \"%.100s\"", w->name);
    }
    return true;
}

/* The file has each tensor that its metadata ask for, and no other. */
static bool check_tensors(struct reading *r, struct talc_error *err) {
    r->used = calloc(gguf_model_count(r->file) + 1, sizeof *r->used);
    if (!r->used) return talc_fail(err, "out of memory for the list of tensors");
    bool ok = weights_visit_names(r->arch, &r->gguf->names, check_tensor, r, err) && check_all_used(r, err);
    free(r->used);
    return ok;
}

/* ---- what it is kept in ---------------------------------------------------------------------- */

/* Kinds of types that matrices and tables have. */
struct kept {
    const struct gguf_model *file;
    bool bf16, f16, quantised, other;
};

static bool find_kinds(void *context, const struct file_tensor *t, struct talc_error *err) {
    struct kept *k = context;
    const struct gguf_weight *w = gguf_model_find(k->file, t->name);
    (void)err;
    if (t->vector || !w) return true;
    bool bf16 = w->type == block_type_of(BLOCK_BF16), f16 = w->type == block_type_of(BLOCK_F16);
    k->bf16 |= bf16;
    k->f16 |= f16;
    k->quantised |= w->type->elements > 1;
    k->other |= w->type->elements == 1 && !bf16 && !f16;
    return true;
}

/* What as_stored keeps matrices and tables in; model.h says what of a folder. Where any is quantised all are F16: its
 * rounding is far below that of the quantisation. */
static bool kept_in(const struct arch *a, const struct gguf_arch *gguf, const struct gguf_model *file,
                    enum dtype *weights, struct talc_error *err) {
    struct kept k = {.file = file};
    if (!weights_visit_names(a, &gguf->names, find_kinds, &k, err)) return false;
    bool halves = k.quantised || (k.f16 && !k.bf16 && !k.other), brains = k.bf16 && !k.f16 && !k.other;
    *weights = halves ? DTYPE_F16 : brains ? DTYPE_BF16 : DTYPE_F32;
    return true;
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* The row of the file that holds row r of halves: row h d + s d/2 + i is row h d + 2 i + s of pairs. */
static int64_t row_of_pairs(int64_t row, int64_t d) {
    int64_t in_head = row % d;
    return row - in_head + in_head % (d / 2) * 2 + in_head / (d / 2);
}

/* Some rows of a tensor, which the threads share out. */
struct rows {
    const struct reading *r;
    const struct file_tensor *t;
    const struct gguf_weight *w;
    enum dtype dtype; /* that they are kept in */
    int64_t first, n, n_at_once, cols;
    struct talc_error errors[MAX_TASKS];
};

static int64_t rows_of_task(const struct rows *k, int i) {
    int64_t left = k->n - i * k->n_at_once;
    return left < k->n_at_once ? left : k->n_at_once;
}

static float *floats_of_task(const struct rows *k, int i) { return k->r->floats + i * k->n_at_once * k->cols; }

/* To floats, in the order of the model. */
static bool unpack_rows(const struct rows *k, int64_t first, int64_t n, float *out, struct talc_error *err) {
    bool pairs = k->r->gguf->pairs && (k->t->part == PART_Q || k->t->part == PART_K);
    size_t cols = (size_t)k->cols;
    if (!pairs) return gguf_weight_read_f32(k->w, (size_t)first * cols, (size_t)n * cols, out, err);
    for (int64_t i = 0; i < n; i++) {
        size_t row = (size_t)row_of_pairs(first + i, k->r->arch->head_dim);
        if (!gguf_weight_read_f32(k->w, row * cols, cols, out + i * k->cols, err)) return false;
    }
    return true;
}

/* What F16 would make infinite. */
static bool check_range(const struct gguf_weight *w, const float *floats, size_t n, struct talc_error *err) {
    const float most = 65504;
    float largest = 0;
    for (size_t i = 0; i < n; i++) largest = fabsf(floats[i]) > largest ? fabsf(floats[i]) : largest;
    return largest <= most || talc_fail(err, "%s: tensor \"%.200s\" has a number of %g, which is too large for F16",
                                        w->file, w->name, (double)largest);
}

/* Unpacks the rows of a task and, in their place, rounds them to what they are kept in. */
static void read_some_rows(void *context, int i, int worker) {
    struct rows *k = context;
    struct talc_error *err = &k->errors[i];
    int64_t n = rows_of_task(k, i);
    size_t n_floats = (size_t)(n * k->cols);
    float *floats = floats_of_task(k, i);
    (void)worker;
    if (!unpack_rows(k, k->first + i * k->n_at_once, n, floats, err) ||
        (k->dtype == DTYPE_F16 && !check_range(k->w, floats, n_floats, err)))
        return;
    f32_narrow(floats, n_floats, k->dtype);
}

/* The rows, by all threads, to their place. */
static bool read_rows(struct reading *r, struct rows *k, const struct parameter *p, int64_t place,
                      struct talc_error *err) {
    struct stream *stream = r->model->stream;
    int n_tasks = (int)((k->n + k->n_at_once - 1) / k->n_at_once);
    size_t size = dtype_size(k->dtype);
    if (stream->pool)
        thread_pool_run(stream->pool, n_tasks, read_some_rows, k);
    else
        for (int i = 0; i < n_tasks; i++) read_some_rows(k, i, 0);
    for (int i = 0; i < n_tasks; i++) {
        size_t n = (size_t)(rows_of_task(k, i) * k->cols), before = (size_t)(place + i * k->n_at_once * k->cols);
        if (k->errors[i].message[0]) return talc_fail(err, "%s", k->errors[i].message);
        stream->backend->copy_in(stream, (char *)p->value.data + before * size, floats_of_task(k, i), n * size);
    }
    return stream_synchronize(stream, err); /* before the floats are used again */
}

static bool read_tensor(void *context, const struct file_tensor *t, struct talc_error *err) {
    struct reading *r = context;
    int64_t cols = t->vector ? 1 : t->entry->cols, first; /* a vector's numbers are its rows */
    const struct parameter *p = file_tensor_place(r->model, t, &first);
    int64_t at_once = r->capacity / cols;
    struct rows k = {.r = r, .t = t, .w = gguf_model_find(r->file, t->name), .dtype = p->value.dtype, .cols = cols};
    k.n_at_once = (at_once + MAX_TASKS - 1) / MAX_TASKS;
    for (k.first = 0; k.first < t->rows; k.first += at_once) {
        k.n = t->rows - k.first < at_once ? t->rows - k.first : at_once;
        if (!read_rows(r, &k, p, first + k.first * cols, err)) return false;
        weights_progress_add(&r->progress, k.n * cols);
    }
    file_map_release(k.w->map, k.w->data, k.w->n_bytes); /* or the file would stay beside the model */
    return true;
}

static bool find_longest(void *context, const struct file_tensor *t, struct talc_error *err) {
    struct reading *r = context;
    (void)err;
    int64_t n = t->vector ? t->rows : t->entry->cols;
    if (n > r->capacity) r->capacity = n;
    return true;
}

static bool read_tensors(struct reading *r, struct model *m, struct talc_error *err) {
    r->model = m;
    r->capacity = 1 << 22; /* floats at a time: 16 MiB, or a row */
    if (!weights_visit_names(r->arch, &r->gguf->names, find_longest, r, err)) return false;
    if (!(r->floats = malloc((size_t)r->capacity * sizeof *r->floats)))
        return talc_fail(err, "out of memory for a row of weights");
    bool ok = weights_visit_names(r->arch, &r->gguf->names, read_tensor, r, err);
    free(r->floats);
    return ok;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool read_arch(const struct gguf_model *file, const struct gguf_arch **gguf, struct arch *arch,
                      struct talc_error *err) {
    if (gguf_model_count(file) == 0) return talc_fail(err, "has no tensors: it holds a tokenizer, and no model");
    json_t *config = (*gguf = gguf_arch_of(file, err)) ? gguf_to_config(file, *gguf, err) : NULL;
    bool ok = config && config_to_arch(config, arch, err);
    json_decref(config);
    return ok;
}

bool gguf_read_arch(const char *path, struct arch *arch, struct talc_error *err) {
    const struct gguf_arch *gguf;
    struct gguf_model *file = gguf_model_open(path, err);
    bool ok = file && (read_arch(file, &gguf, arch, err) || talc_fail_in(err, "%s", path));
    gguf_model_close(file);
    return ok;
}

bool gguf_weights(const char *path, enum dtype *weights, struct talc_error *err) {
    const struct gguf_arch *gguf;
    struct arch arch;
    struct gguf_model *file = gguf_model_open(path, err);
    bool ok = file && ((read_arch(file, &gguf, &arch, err) && kept_in(&arch, gguf, file, weights, err)) ||
                       talc_fail_in(err, "%s", path));
    gguf_model_close(file);
    return ok;
}

bool gguf_load(struct model *m, const char *path, struct stream *stream, const struct model_options *options,
               struct talc_error *err) {
    struct arch arch;
    struct reading r = {.arch = &arch};
    *m = (struct model){0};
    struct gguf_model *file = gguf_model_open(path, err);
    r.file = file;
    if (!file) return false;
    bool ok = (read_arch(file, &r.gguf, &arch, err) && check_tensors(&r, err)) || talc_fail_in(err, "%s", path);
    struct model_options o = options ? *options : (struct model_options){.as_stored = true};
    r.progress = (struct weights_progress){.options = &o, .total = ok ? (double)arch_parameters(&arch) : 0};
    if (ok && o.as_stored) ok = kept_in(&arch, r.gguf, file, &o.weights, err);
    ok = ok && model_open(m, &arch, stream, &o, err) && read_tensors(&r, m, err);
    weights_progress_end(&r.progress);
    gguf_model_close(file);
    if (!ok && m->memory) model_close(m);
    return ok;
}
