/* gguf_writer.h - writing the metadata of GGUF files (version 3, little-endian): keys and values, gathered in memory.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
#ifndef TALC_FILE_GGUF_WRITER_H
#define TALC_FILE_GGUF_WRITER_H

#include "base/buffer.h"
#include "file/gguf.h"

/* All zero is an empty one; buffer_free(&w.values) ends it. Running out of memory shows when it is written. */
struct gguf_writer {
    struct buffer values;
    uint64_t n_values;
};

void gguf_put_string(struct gguf_writer *w, const char *key, const char *text, size_t n_bytes);
void gguf_put_text(struct gguf_writer *w, const char *key, const char *text);
void gguf_put_bool(struct gguf_writer *w, const char *key, bool value);
void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t value);
void gguf_put_u8s(struct gguf_writer *w, const char *key, const void *bytes, size_t n);
void gguf_put_i32s(struct gguf_writer *w, const char *key, const int32_t *values, size_t n);
void gguf_put_f32s(struct gguf_writer *w, const char *key, const float *values, size_t n);

/* An array of n strings: then gguf_add_string n times. */
void gguf_put_strings(struct gguf_writer *w, const char *key, size_t n);
void gguf_add_string(struct gguf_writer *w, const char *text, size_t n_bytes);

/* Appends what a file begins with: the header for so many tensors, and the metadata. */
void gguf_append_head(const struct gguf_writer *w, uint64_t n_tensors, struct buffer *out);

/* Writes a file of metadata alone, without tensors (a vocabulary). Complete or absent. */
bool gguf_write_metadata(const struct gguf_writer *w, const char *path, struct talc_error *err);

#endif
