/* safetensors.h - reading and writing tensors in the safetensors format (github.com/huggingface/safetensors): 8 bytes
 * little-endian header length N, N bytes of JSON, then the data of all tensors without holes. Reading maps the files;
 * every rule of the format is checked when they are opened, so what a handle shows lies inside its file. */
#ifndef TALC_FILE_SAFETENSORS_H
#define TALC_FILE_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/error.h"

#define SAFETENSORS_MAX_DIMS 8

struct safetensor {
    const char *name;                    /* UTF-8 from the file: it may hold anything but NUL */
    const char *file;                    /* path of the file that holds it, for messages */
    const char *dtype_text;              /* "F32", "F8_E4M3", ... */
    enum dtype dtype;                    /* DTYPE_NONE where the format knows a type that talc has none for */
    int n_dims;                          /* 0: a scalar */
    int64_t shape[SAFETENSORS_MAX_DIMS]; /* row-major, slowest first */
    size_t n_elements, n_bytes;
    const void *data; /* little-endian; not aligned in files whose header was not padded, so copy rather than cast */
};

struct safetensors; /* one file, or all parts of a sharded model */

/* Opens one file, or what a Hugging Face folder holds: model.safetensors, or else model.safetensors.index.json and the
 * parts it names (tensors of a part that the index does not name are left out). NULL on failure. The handle is
 * read-only and may be used from several threads. Everything it gives out lives until safetensors_close (NULL is
 * fine). */
struct safetensors *safetensors_open(const char *path, struct talc_error *err);
struct safetensors *safetensors_open_folder(const char *folder, struct talc_error *err);
void safetensors_close(struct safetensors *st);

/* Tensors in the order of the data (part by part). */
size_t safetensors_count(const struct safetensors *st);
const struct safetensor *safetensors_at(const struct safetensors *st, size_t i);

/* The tensor of that name, or NULL. */
const struct safetensor *safetensors_find(const struct safetensors *st, const char *name);

/* The tensor of that name if it has exactly that shape; otherwise NULL and a message with both shapes. */
const struct safetensor *safetensors_need(const struct safetensors *st, const char *name, int n_dims,
                                          const int64_t *shape, struct talc_error *err);

/* A value of __metadata__ (of the first part that has the key), or NULL. */
const char *safetensors_metadata(const struct safetensors *st, const char *key);

/* Elements [first, first + n) as fp32, from F64, F32, F16 or BF16; other types fail, and so does a number that is not
 * finite: in what was trained it is damage, which would show much later or, in a row that no prompt asks for, never. */
bool safetensor_read_f32(const struct safetensor *t, size_t first, size_t n, float *out, struct talc_error *err);
/* The same check for a tensor whose bytes are taken as they are. */
bool safetensor_check_finite(const struct safetensor *t, struct talc_error *err);

/* "[2, 3]"; returns out. */
char *shape_text(int n_dims, const int64_t *shape, char out[192]);

/* Writing: declare every tensor, then append their bytes in the order of declaration, in pieces of any size. The file
 * appears, whole, at commit. The header is padded with spaces so that the data begins at a multiple of 8 bytes.
 * __metadata__ is {"format": "pt"} and what safetensors_writer_metadata adds. After a failure call abort. */
struct safetensors_writer;
struct safetensors_writer *safetensors_writer_open(const char *path, struct talc_error *err);
bool safetensors_writer_metadata(struct safetensors_writer *w, const char *key, const char *value,
                                 struct talc_error *err);
bool safetensors_writer_declare(struct safetensors_writer *w, const char *name, enum dtype dtype, int n_dims,
                                const int64_t *shape, struct talc_error *err);
bool safetensors_writer_append(struct safetensors_writer *w, const char *name, const void *data, size_t n_bytes,
                               struct talc_error *err);
bool safetensors_writer_commit(struct safetensors_writer *w, struct talc_error *err); /* frees w, also on failure */
void safetensors_writer_abort(struct safetensors_writer *w);                          /* frees w; NULL is fine */

#endif
