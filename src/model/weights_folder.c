/* weights_folder.c - a model from and to a Hugging Face folder: config.json and safetensors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/atomic.h"
#include "file/json.h"
#include "file/safetensors.h"
#include "model/weights.h"

/* Tensors that others store beside the parameters: causal masks and rotary frequencies. */
static bool is_buffer(const char *name) {
    static const char *const ends[] = {".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (n >= strlen(ends[i]) && strcmp(name + n - strlen(ends[i]), ends[i]) == 0) return true;
    return false;
}

static bool begins_with(const char *name, const char *prefix) {
    return prefix && strncmp(name, prefix, strlen(prefix)) == 0;
}

/* Part of a model that is more than its text. */
static bool is_passed_over(const struct arch *a, const char *name) {
    const struct family *f = family_find(a->family);
    for (size_t i = 0; i < sizeof f->passed_over / sizeof *f->passed_over; i++)
        if (begins_with(name, f->passed_over[i])) return true;
    return false;
}

/* Adds what the file has its norms less by (direction 1), or takes it off (-1). */
static void shift_norm(const struct arch *a, const struct file_tensor *t, float *data, float direction) {
    if (!family_find(a->family)->norms_less_one || t->entry->role != ROLE_NORM) return;
    for (size_t i = 0; i < file_tensor_floats(t); i++) data[i] += direction;
}

bool model_folder_is_exact(const struct model *m, const struct parameter *p) {
    return !family_find(m->arch.family)->norms_less_one || p->role != ROLE_NORM;
}

/* A vector's "rows" are its columns: [n] in the file, [1, n] here. */
static int shape_of(const struct file_tensor *t, int64_t shape[2]) {
    shape[0] = t->turned ? t->entry->cols : t->rows;
    shape[1] = t->turned ? t->rows : t->entry->cols;
    return t->vector ? 1 : 2;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct reading {
    const struct arch *arch;
    const struct safetensors *file;
    const struct safetensor **used; /* tensors that were asked for */
    size_t n_used;
    enum dtype weights;  /* that all matrices and tables so far are kept in; F32 where they differ */
    struct model *model; /* once it is open */
    struct weights_staging staging;
    struct weights_progress progress;
};

/* The tensor of that name, which may be there without the family's prefix, or with another. */
static const struct safetensor *find_tensor(const struct reading *r, const char *name) {
    const struct family *f = family_find(r->arch->family);
    const struct safetensor *t = safetensors_find(r->file, name);
    if (t || !begins_with(name, f->prefix)) return t;
    const char *rest = name + strlen(f->prefix);
    t = safetensors_find(r->file, rest);
    for (size_t i = 0; !t && i < sizeof f->other_prefixes / sizeof *f->other_prefixes && f->other_prefixes[i]; i++) {
        char other[192];
        snprintf(other, sizeof other, "%s%s", f->other_prefixes[i], rest);
        t = safetensors_find(r->file, other);
    }
    return t;
}

static bool check_tensor(void *context, const struct file_tensor *t, struct talc_error *err) {
    struct reading *r = context;
    const struct safetensor *found = find_tensor(r, t->name);
    int64_t shape[2];
    int n_dims = shape_of(t, shape);
    if (!found && !t->entry->present) return true;
    found = safetensors_need(r->file, found ? found->name : t->name, n_dims, shape, err);
    if (found) r->used[r->n_used++] = found;
    return found != NULL;
}

static bool read_zeros(const struct safetensor *found, const float *floats, size_t n, struct talc_error *err) {
    for (size_t i = 0; i < n; i++)
        if (floats[i] != 0)
            return talc_fail(err, "%s: config.json has \"bias\": false, but tensor \"%s\" is not zero", found->file,
                             found->name);
    return true;
}

/* A matrix or table whose bytes are those of its place. */
static bool is_kept_as_stored(const struct model *m, const struct file_tensor *t, const struct safetensor *found) {
    int64_t first;
    return !t->vector && !t->turned && file_tensor_place(m, t, &first)->value.dtype == found->dtype;
}

static void copy_as_stored(struct model *m, const struct file_tensor *t, const struct safetensor *found) {
    int64_t first;
    char *to = file_tensor_place(m, t, &first)->value.data;
    m->stream->backend->copy_in(m->stream, to + (size_t)first * dtype_size(found->dtype), found->data, found->n_bytes);
}

static bool read_one(struct reading *r, const struct file_tensor *t, struct talc_error *err) {
    struct stream *stream = r->model->stream;
    const struct safetensor *found = find_tensor(r, t->name);
    size_t n = file_tensor_floats(t);
    float *data = r->staging.floats;
    if (!found) return true; /* a bias that neither has */
    if (is_kept_as_stored(r->model, t, found)) {
        if (!safetensor_check_finite(found, err)) return false;
        copy_as_stored(r->model, t, found);
        return stream_synchronize(stream, err);
    }
    if (!safetensor_read_f32(found, 0, n, data, err)) return false;
    if (!t->entry->present) return read_zeros(found, data, n, err);
    shift_norm(r->arch, t, data, 1);
    if (t->turned) {
        weights_transpose(data, t->entry->cols, t->rows, r->staging.turned);
        data = r->staging.turned;
    }
    int64_t first;
    const struct parameter *p = file_tensor_place(r->model, t, &first);
    parameter_write(r->model, p, first, n, data);
    return stream_synchronize(stream, err); /* before the staging is used again */
}

static bool read_tensor(void *context, const struct file_tensor *t, struct talc_error *err) {
    struct reading *r = context;
    bool ok = read_one(r, t, err);
    if (t->entry->present) weights_progress_add(&r->progress, (int64_t)file_tensor_floats(t));
    return ok;
}

/* A head that is stored although it is tied must be a copy of the embedding, which is the first tensor asked for. */
static bool check_tied_head(struct reading *r, struct talc_error *err) {
    const struct safetensor *embedding = r->used[0], *head = safetensors_find(r->file, "lm_head.weight");
    if (!head || !r->arch->tie_embeddings) return true;
    r->used[r->n_used++] = head;
    if (head->dtype == embedding->dtype && head->n_bytes == embedding->n_bytes &&
        memcmp(head->data, embedding->data, head->n_bytes) == 0)
        return true;
    return talc_fail(err, "%s: config.json ties head and embedding, but \"lm_head.weight\" differs from \"%s\"",
                     head->file, embedding->name);
}

static int compare_pointers(const void *a, const void *b) {
    const struct safetensor *x = *(const struct safetensor *const *)a, *y = *(const struct safetensor *const *)b;
    return x < y ? -1 : x > y;
}

static bool check_all_used(struct reading *r, struct talc_error *err) {
    qsort(r->used, r->n_used, sizeof *r->used, compare_pointers);
    for (size_t i = 0; i < safetensors_count(r->file); i++) {
        const struct safetensor *t = safetensors_at(r->file, i);
        if (is_buffer(t->name) || is_passed_over(r->arch, t->name) ||
            bsearch(&t, r->used, r->n_used, sizeof *r->used, compare_pointers))
            continue;
        return talc_fail(err, "%s: nothing in config.json asks for tensor \"%.100s\"", t->file, t->name);
    }
    return true;
}

/* Before memory is taken for what config.json says: the files have each tensor that it asks for, and no other. */
static bool check_tensors(struct reading *r, struct talc_error *err) {
    r->used = calloc(safetensors_count(r->file) + 1, sizeof *r->used);
    if (!r->used) return talc_fail(err, "out of memory for the list of tensors");
    bool ok = weights_visit(r->arch, check_tensor, r, err) && check_tied_head(r, err) && check_all_used(r, err);
    free(r->used);
    return ok;
}

static bool read_tensors(struct reading *r, struct model *m, struct talc_error *err) {
    r->model = m;
    bool ok = weights_staging_open(&r->staging, m, err) && weights_visit(r->arch, read_tensor, r, err);
    weights_staging_close(&r->staging);
    return ok;
}

static bool read_config(const char *folder, struct arch *arch, struct talc_error *err) {
    char *path = path_join(folder, "config.json");
    json_t *config = path ? json_read_file(path, 1 << 20, err) : NULL;
    bool ok = config && (arch_from_config(config, arch, err) || talc_fail_in(err, "%s", folder));
    json_decref(config);
    free(path);
    return ok;
}

/* ---- what the file keeps --------------------------------------------------------------------- */

static bool find_dtype(void *context, const struct file_tensor *t, struct talc_error *err) {
    struct reading *r = context;
    const struct safetensor *found = find_tensor(r, t->name);
    (void)err;
    if (t->vector || !found) return true;
    enum dtype dtype = found->dtype == DTYPE_BF16 || found->dtype == DTYPE_F16 ? found->dtype : DTYPE_F32;
    r->weights = r->weights == DTYPE_NONE || r->weights == dtype ? dtype : DTYPE_F32;
    return true;
}

static bool folder_weights(const char *folder, enum dtype *weights, struct talc_error *err) {
    struct arch arch;
    if (!read_config(folder, &arch, err)) return false;
    struct safetensors *file = safetensors_open_folder(folder, err);
    struct reading r = {.arch = &arch, .file = file};
    bool ok = file && weights_visit(&arch, find_dtype, &r, err);
    safetensors_close(file);
    *weights = r.weights;
    return ok;
}

/* ---- all of it ------------------------------------------------------------------------------- */

bool model_load_folder(struct model *m, const char *folder, struct stream *stream, const struct model_options *options,
                       struct talc_error *err) {
    struct arch arch;
    *m = (struct model){0};
    if (!read_config(folder, &arch, err)) return false;
    struct safetensors *file = safetensors_open_folder(folder, err);
    struct reading r = {.arch = &arch, .file = file};
    bool ok = file && check_tensors(&r, err) && weights_visit(&arch, find_dtype, &r, err);
    struct model_options o = options ? *options : (struct model_options){.as_stored = true};
    if (o.as_stored) o.weights = r.weights;
    r.progress = (struct weights_progress){.options = &o, .total = ok ? (double)arch_parameters(&arch) : 0};
    ok = ok && model_open(m, &arch, stream, &o, err) && read_tensors(&r, m, err);
    weights_progress_end(&r.progress);
    safetensors_close(file);
    if (!ok && m->memory) model_close(m);
    return ok;
}

bool model_read_arch(const char *path, struct arch *arch, struct talc_error *err) {
    return folder_exists(path) ? read_config(path, arch, err) : gguf_read_arch(path, arch, err);
}

bool model_stored_weights(const char *path, enum dtype *weights, struct talc_error *err) {
    return (folder_exists(path) ? folder_weights : gguf_weights)(path, weights, err);
}

bool model_load(struct model *m, const char *path, struct stream *stream, const struct model_options *options,
                struct talc_error *err) {
    return (folder_exists(path) ? model_load_folder : gguf_load)(m, path, stream, options, err);
}

/* ---- writing --------------------------------------------------------------------------------- */

struct writing {
    const struct model *model;
    struct safetensors_writer *file;
    struct weights_staging staging;
};

static bool declare_tensor(void *context, const struct file_tensor *t, struct talc_error *err) {
    struct writing *w = context;
    int64_t shape[2];
    int n_dims = shape_of(t, shape);
    return safetensors_writer_declare(w->file, t->name, DTYPE_F32, n_dims, shape, err);
}

static bool append_tensor(void *context, const struct file_tensor *t, struct talc_error *err) {
    struct writing *w = context;
    size_t n_bytes = file_tensor_floats(t) * sizeof(float);
    float *data = w->staging.floats;
    int64_t first;
    const struct parameter *p = file_tensor_place(w->model, t, &first);
    if (t->entry->present)
        parameter_read(w->model, p, first, file_tensor_floats(t), data);
    else
        memset(data, 0, n_bytes);
    shift_norm(&w->model->arch, t, data, -1);
    if (t->turned) {
        weights_transpose(data, t->rows, t->entry->cols, w->staging.turned);
        data = w->staging.turned;
    }
    return safetensors_writer_append(w->file, t->name, data, n_bytes, err);
}

static bool write_weights(const struct model *m, const char *folder, struct talc_error *err) {
    struct writing w = {.model = m};
    char *path = path_join(folder, "model.safetensors");
    if (!path) return talc_fail(err, "out of memory for a path");
    w.file = safetensors_writer_open(path, err);
    free(path);
    bool ok = w.file && weights_staging_open(&w.staging, m, err) && weights_visit(&m->arch, declare_tensor, &w, err) &&
              weights_visit(&m->arch, append_tensor, &w, err) && stream_synchronize(m->stream, err);
    weights_staging_close(&w.staging);
    if (ok) return safetensors_writer_commit(w.file, err);
    safetensors_writer_abort(w.file);
    return false;
}

bool model_save_folder(const struct model *m, const char *folder, struct talc_error *err) {
    char *path = path_join(folder, "config.json");
    json_t *config = arch_to_config(&m->arch);
    bool ok = path && config ? json_write_file(path, config, err) : talc_fail(err, "out of memory for config.json");
    json_decref(config);
    free(path);
    return ok && write_weights(m, folder, err);
}
