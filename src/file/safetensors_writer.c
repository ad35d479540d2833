/* safetensors_writer.c - writing safetensors files as a stream; see safetensors.h. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/checked.h"
#include "base/little_endian.h"
#include "file/atomic.h"
#include "file/json.h"
#include "file/safetensors.h"

#define DATA_ALIGNMENT 8

struct declared {
    const char *name; /* the key in the header */
    size_t n_bytes;
};

struct safetensors_writer {
    struct atomic_file file;
    json_t *header; /* grows with each declaration */
    struct declared *tensors;
    size_t n_tensors;
    size_t n_data;        /* bytes of all declared tensors */
    size_t current;       /* index of the tensor that is being written */
    size_t written;       /* bytes of it that are there */
    bool header_is_there; /* no more declarations */
};

static bool out_of_memory(struct talc_error *err) { return talc_fail(err, "out of memory"); }

struct safetensors_writer *safetensors_writer_open(const char *path, struct talc_error *err) {
    struct safetensors_writer *w = calloc(1, sizeof *w);
    if (w) w->header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    if (!w || !w->header)
        out_of_memory(err);
    else if (atomic_file_open(&w->file, path, err))
        return w;
    safetensors_writer_abort(w);
    return NULL;
}

void safetensors_writer_abort(struct safetensors_writer *w) {
    if (!w) return;
    atomic_file_abort(&w->file);
    json_decref(w->header);
    free(w->tensors);
    free(w);
}

bool safetensors_writer_metadata(struct safetensors_writer *w, const char *key, const char *value,
                                 struct talc_error *err) {
    if (w->header_is_there) return talc_fail(err, "%s: metadata comes before the data", w->file.path);
    if (json_object_set_new(json_object_get(w->header, "__metadata__"), key, json_string(value)) == 0) return true;
    return talc_fail(err, "%s: metadata \"%.200s\" is not UTF-8", w->file.path, key);
}

static bool count_bytes(enum dtype dtype, int n_dims, const int64_t *shape, size_t *n_bytes) {
    *n_bytes = dtype_size(dtype);
    if (!*n_bytes || n_dims < 0 || n_dims > SAFETENSORS_MAX_DIMS) return false;
    for (int i = 0; i < n_dims; i++)
        if (shape[i] < 0 || !checked_mul_size(*n_bytes, (size_t)shape[i], n_bytes)) return false;
    return true;
}

bool safetensors_writer_declare(struct safetensors_writer *w, const char *name, enum dtype dtype, int n_dims,
                                const int64_t *shape, struct talc_error *err) {
    size_t n_bytes, end;
    const char *path = w->file.path;
    if (w->header_is_there) return talc_fail(err, "%s: tensors are declared before the data", path);
    if (json_object_get(w->header, name)) return talc_fail(err, "%s: tensor \"%.200s\" is declared twice", path, name);
    if (!count_bytes(dtype, n_dims, shape, &n_bytes) || !checked_add_size(w->n_data, n_bytes, &end) || end > INT64_MAX)
        return talc_fail(err, "%s: tensor \"%.200s\" has an impossible type or shape", path, name);
    json_t *dims = json_array();
    for (int i = 0; i < n_dims; i++)
        if (json_array_append_new(dims, json_integer(shape[i])) != 0) return json_decref(dims), out_of_memory(err);
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_name(dtype), "shape", dims, "data_offsets",
                              (json_int_t)w->n_data, (json_int_t)end);
    if (!entry || json_object_set_new(w->header, name, entry) != 0)
        return talc_fail(err, "%s: the name of a tensor is not UTF-8", path);
    struct declared *more = realloc(w->tensors, (w->n_tensors + 1) * sizeof *more);
    if (!more) return out_of_memory(err);
    w->tensors = more;
    w->tensors[w->n_tensors++] = (struct declared){json_object_iter_key(json_object_iter_at(w->header, name)), n_bytes};
    w->n_data = end;
    return true;
}

static bool write_header(struct safetensors_writer *w, struct talc_error *err) {
    struct buffer text = {0};
    bool ok = json_append_line(&text, w->header, err);
    while (ok && text.length % DATA_ALIGNMENT) buffer_append_char(&text, ' ');
    if (ok && !buffer_ok(&text)) ok = out_of_memory(err);
    char n_bytes[8];
    little_endian_store(n_bytes, sizeof n_bytes, text.length);
    if (ok) {
        fwrite(n_bytes, sizeof n_bytes, 1, w->file.stream); /* commit reports a failure */
        fwrite(text.data, 1, text.length, w->file.stream);
    }
    buffer_free(&text);
    w->header_is_there = true;
    return ok;
}

/* Steps over tensors that are complete (also those without elements). */
static void skip_complete(struct safetensors_writer *w) {
    while (w->current < w->n_tensors && w->written == w->tensors[w->current].n_bytes) {
        w->current++;
        w->written = 0;
    }
}

bool safetensors_writer_append(struct safetensors_writer *w, const char *name, const void *data, size_t n_bytes,
                               struct talc_error *err) {
    if (!w->header_is_there && !write_header(w, err)) return false;
    if (n_bytes == 0) return true;
    skip_complete(w);
    const char *expected = w->current < w->n_tensors ? w->tensors[w->current].name : "(none)";
    if (strcmp(expected, name) != 0)
        return talc_fail(err, "%s: tensor \"%.200s\" is written where \"%.200s\" is due", w->file.path, name, expected);
    if (n_bytes > w->tensors[w->current].n_bytes - w->written)
        return talc_fail(err, "%s: tensor \"%.200s\" gets more bytes than were declared", w->file.path, name);
    if (fwrite(data, 1, n_bytes, w->file.stream) != n_bytes)
        return talc_fail_errno(err, "%s: writing failed, nothing was changed", w->file.path);
    w->written += n_bytes;
    return true;
}

bool safetensors_writer_commit(struct safetensors_writer *w, struct talc_error *err) {
    bool ok = w->header_is_there || write_header(w, err);
    skip_complete(w);
    if (ok && w->current < w->n_tensors)
        ok = talc_fail(err, "%s: tensor \"%.200s\" was not written whole", w->file.path, w->tensors[w->current].name);
    if (ok) ok = atomic_file_commit(&w->file, err);
    safetensors_writer_abort(w); /* frees */
    return ok;
}
