/* gguf.h - reading GGUF files (versions 2 and 3, little-endian; the format of ggml): metadata and where tensors lie.
 * The file is mapped; everything in it is checked
 * before use. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
#ifndef TALC_FILE_GGUF_H
#define TALC_FILE_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "file/atomic.h"

#define GGUF_MAGIC "GGUF"
#define GGUF_MAX_DIMS 4

enum gguf_type {
    GGUF_U8 = 0,
    GGUF_I8 = 1,
    GGUF_U16 = 2,
    GGUF_I16 = 3,
    GGUF_U32 = 4,
    GGUF_I32 = 5,
    GGUF_F32 = 6,
    GGUF_BOOL = 7,
    GGUF_STRING = 8,
    GGUF_ARRAY = 9,
    GGUF_U64 = 10,
    GGUF_I64 = 11,
    GGUF_F64 = 12,
};

/* A text in the file: not NUL-terminated. */
struct gguf_string {
    const char *data;
    size_t n_bytes;
};

struct gguf_value {
    struct gguf_string key;
    enum gguf_type type;
    enum gguf_type element_type; /* GGUF_ARRAY: never GGUF_ARRAY */
    uint64_t n_elements;         /* GGUF_ARRAY; 1 for all others */
    const char *data;            /* of the first element: little-endian, not aligned */
};

struct gguf_tensor {
    struct gguf_string name;
    int n_dims;
    uint64_t dims[GGUF_MAX_DIMS]; /* dims[0] is contiguous; 1 where there is none */
    uint32_t type;                /* of ggml: 0 F32, 1 F16, ... */
    uint64_t offset;              /* from gguf_file.data */
};

struct gguf_file {
    struct file_map file;
    const char *map; /* its bytes */
    size_t n_bytes;
    uint32_t version, alignment;
    struct gguf_value *values; /* [n_values] */
    size_t n_values;
    struct gguf_tensor *tensors; /* [n_tensors]; that their data lies in the file is for whoever knows their types */
    size_t n_tensors;
    const char *data; /* where tensor data begins */
    size_t n_data_bytes;
};

/* The file stays mapped until gguf_close; all pointers are into it. */
bool gguf_open(struct gguf_file *file, const char *path, struct talc_error *err);
void gguf_close(struct gguf_file *file);

/* The value of a key, NULL when it is not there. */
const struct gguf_value *gguf_find(const struct gguf_file *file, const char *key);

/* A value of a kind; absent gives the fallback, another kind fails and names the key. Integers of every width are read
 * as int64_t (and must fit). */
bool gguf_get_int(const struct gguf_file *file, const char *key, int64_t fallback, int64_t *out,
                  struct talc_error *err);
bool gguf_get_number(const struct gguf_file *file, const char *key, double fallback, double *out,
                     struct talc_error *err); /* of any type of numbers; it must be finite */
bool gguf_get_bool(const struct gguf_file *file, const char *key, bool fallback, bool *out, struct talc_error *err);
bool gguf_get_string(const struct gguf_file *file, const char *key, struct gguf_string fallback,
                     struct gguf_string *out, struct talc_error *err);

/* An array of one element type; absent gives NULL; anything else fails. */
bool gguf_get_array(const struct gguf_file *file, const char *key, enum gguf_type element_type,
                    const struct gguf_value **out, struct talc_error *err);

/* Element i < n_elements of an array. */
float gguf_f32_at(const struct gguf_value *array, uint64_t i);
int32_t gguf_i32_at(const struct gguf_value *array, uint64_t i);

/* Strings of an array one after the other: start with *at = array->data. */
struct gguf_string gguf_next_string(const char **at);

static inline bool gguf_string_is(struct gguf_string s, const char *text) {
    size_t i = 0;
    while (i < s.n_bytes && text[i] && s.data[i] == text[i]) i++;
    return i == s.n_bytes && text[i] == 0;
}

#endif
