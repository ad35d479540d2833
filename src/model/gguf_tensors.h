/* gguf_tensors.h - the tensors of a model in GGUF files: of one file, or of all parts of a split one. Opening checks
 * that every tensor lies in its file, in the order and without the gaps that ggml asks for, so that what a handle shows
 * can be read. */
#ifndef TALC_MODEL_GGUF_TENSORS_H
#define TALC_MODEL_GGUF_TENSORS_H

#include "file/gguf.h"
#include "tensor/blocks.h"

struct gguf_weight {
    const char *name;              /* NUL-terminated */
    const char *file;              /* path of the file that holds it, for messages */
    const struct block_type *type; /* unpack is NULL where talc does not read it */
    int n_dims;
    int64_t shape[GGUF_MAX_DIMS]; /* row-major, slowest first: the file's dims turned round */
    size_t n_elements, n_bytes;
    const unsigned char *data;  /* blocks, rows one after the other */
    const struct file_map *map; /* that it lies in */
};

struct gguf_model;

/* `path`: a file, or the first part of a split model (NAME-00001-of-0000N.gguf), whose other parts lie beside it. NULL
 * on failure. Read-only; lives until gguf_model_close (NULL is fine). */
struct gguf_model *gguf_model_open(const char *path, struct talc_error *err);
void gguf_model_close(struct gguf_model *g);

/* The file with the metadata: the first part. */
const struct gguf_file *gguf_model_metadata(const struct gguf_model *g);
const char *gguf_model_path(const struct gguf_model *g);

/* Tensors in the order of the files. */
size_t gguf_model_count(const struct gguf_model *g);
const struct gguf_weight *gguf_model_at(const struct gguf_model *g, size_t i);
const struct gguf_weight *gguf_model_find(const struct gguf_model *g, const char *name); /* or NULL */

/* Elements [first, first + n), both multiples of the type's block, as floats. A number that is not finite is damage and
 * fails, and so does a type that talc does not unpack. */
bool gguf_weight_read_f32(const struct gguf_weight *t, size_t first, size_t n, float *out, struct talc_error *err);

#endif
