/* gguf_writer.c - see gguf_writer.h. */
#include "file/gguf_writer.h"

#include <string.h>

#include "base/little_endian.h"
#include "file/atomic.h"

#define GGUF_VERSION 3

static void put_number(struct buffer *b, uint64_t value, size_t n_bytes) {
    char bytes[8];
    little_endian_store(bytes, n_bytes, value);
    buffer_append(b, bytes, n_bytes);
}

static void put_string(struct buffer *b, const char *text, size_t n_bytes) {
    put_number(b, n_bytes, 8);
    buffer_append(b, text, n_bytes);
}

static struct buffer *put_key(struct gguf_writer *w, const char *key, enum gguf_type type) {
    put_string(&w->values, key, strlen(key));
    put_number(&w->values, type, 4);
    w->n_values++;
    return &w->values;
}

static struct buffer *put_array(struct gguf_writer *w, const char *key, enum gguf_type element_type, size_t n) {
    struct buffer *b = put_key(w, key, GGUF_ARRAY);
    put_number(b, element_type, 4);
    put_number(b, n, 8);
    return b;
}

void gguf_put_string(struct gguf_writer *w, const char *key, const char *text, size_t n_bytes) {
    put_string(put_key(w, key, GGUF_STRING), text, n_bytes);
}

void gguf_put_text(struct gguf_writer *w, const char *key, const char *text) {
    gguf_put_string(w, key, text, strlen(text));
}

void gguf_put_bool(struct gguf_writer *w, const char *key, bool value) {
    put_number(put_key(w, key, GGUF_BOOL), value, 1);
}

void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t value) {
    put_number(put_key(w, key, GGUF_U32), value, 4);
}

void gguf_put_u8s(struct gguf_writer *w, const char *key, const void *bytes, size_t n) {
    buffer_append(put_array(w, key, GGUF_U8, n), bytes, n);
}

void gguf_put_i32s(struct gguf_writer *w, const char *key, const int32_t *values, size_t n) {
    struct buffer *b = put_array(w, key, GGUF_I32, n);
    for (size_t i = 0; i < n; i++) put_number(b, (uint32_t)values[i], 4);
}

void gguf_put_f32s(struct gguf_writer *w, const char *key, const float *values, size_t n) {
    struct buffer *b = put_array(w, key, GGUF_F32, n);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        put_number(b, bits, 4);
    }
}

void gguf_put_strings(struct gguf_writer *w, const char *key, size_t n) { put_array(w, key, GGUF_STRING, n); }

void gguf_add_string(struct gguf_writer *w, const char *text, size_t n_bytes) { put_string(&w->values, text, n_bytes); }

void gguf_append_head(const struct gguf_writer *w, uint64_t n_tensors, struct buffer *out) {
    buffer_append(out, GGUF_MAGIC, 4);
    put_number(out, GGUF_VERSION, 4);
    put_number(out, n_tensors, 8);
    put_number(out, w->n_values, 8);
    buffer_append(out, w->values.data, w->values.length);
    out->failed = out->failed || !buffer_ok(&w->values);
}

bool gguf_write_metadata(const struct gguf_writer *w, const char *path, struct talc_error *err) {
    struct buffer out = {0};
    gguf_append_head(w, 0, &out);
    bool ok = buffer_ok(&out) ? atomic_write_file(path, out.data, out.length, err)
                              : talc_fail(err, "%s: out of memory", path);
    buffer_free(&out);
    return ok;
}
