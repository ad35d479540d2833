/* gguf.c - see gguf.h. A cursor that never leaves the file reads everything once; later readers trust
 * what it checked. */
#include "file/gguf.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/little_endian.h"

#define MAX_VALUES 100000
#define MAX_TENSORS 1000000
#define MAX_KEY_BYTES 65535
#define MAX_ELEMENTS ((uint64_t)1 << 30)
#define DEFAULT_ALIGNMENT 32

struct cursor {
    const char *data;
    size_t n, at;
};

/* Where n bytes begin, which are then behind the cursor; NULL when there are fewer. */
static const char *take(struct cursor *c, uint64_t n) {
    if (n > c->n - c->at) return NULL;
    const char *start = c->data + c->at;
    c->at += (size_t)n;
    return start;
}

static bool take_u32(struct cursor *c, uint32_t *out) {
    const char *p = take(c, 4);
    *out = p ? (uint32_t)little_endian_load(p, 4) : 0;
    return p;
}

static bool take_u64(struct cursor *c, uint64_t *out) {
    const char *p = take(c, 8);
    *out = p ? little_endian_load(p, 8) : 0;
    return p;
}

static bool take_string(struct cursor *c, struct gguf_string *out) {
    uint64_t n;
    if (!take_u64(c, &n) || !(out->data = take(c, n))) return false;
    out->n_bytes = (size_t)n;
    return true;
}

/* Bytes of one element; 0: strings, arrays and types that do not exist. */
static size_t type_bytes(uint32_t type) {
    static const unsigned char sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return type < sizeof sizes ? sizes[type] : 0;
}

/* ==== reading the file once =================================================================== */

static bool take_elements(struct cursor *c, uint32_t type, uint64_t n) {
    struct gguf_string ignored;
    if (type == GGUF_STRING) {
        for (uint64_t i = 0; i < n; i++)
            if (!take_string(c, &ignored)) return false;
        return true;
    }
    size_t size = type_bytes(type);
    return size && n <= SIZE_MAX / size && take(c, n * size);
}

static bool read_value(struct cursor *c, struct gguf_value *v, struct talc_error *err) {
    uint32_t type;
    if (!take_string(c, &v->key) || v->key.n_bytes > MAX_KEY_BYTES || !take_u32(c, &type))
        return talc_fail(err, "the file ends inside its metadata (byte %zu)", c->at);
    int shown = v->key.n_bytes > 80 ? 80 : (int)v->key.n_bytes;
    v->type = (enum gguf_type)type;
    v->n_elements = 1;
    uint32_t element = type;
    if (type == GGUF_ARRAY) {
        if (!take_u32(c, &element) || !take_u64(c, &v->n_elements))
            return talc_fail(err, "the file ends inside \"%.*s\"", shown, v->key.data);
        if (element == GGUF_ARRAY || v->n_elements > MAX_ELEMENTS)
            return talc_fail(err, "\"%.*s\" is an array of arrays, or too long (%" PRIu64 " elements)", shown,
                             v->key.data, v->n_elements);
        v->element_type = (enum gguf_type)element;
    }
    if (element != GGUF_STRING && !type_bytes(element))
        return talc_fail(err, "\"%.*s\" has the type %u, which does not exist", shown, v->key.data, (unsigned)element);
    v->data = c->data + c->at;
    return take_elements(c, element, v->n_elements) ||
           talc_fail(err, "the file ends inside \"%.*s\"", shown, v->key.data);
}

static bool read_tensor(struct cursor *c, struct gguf_tensor *t, struct talc_error *err) {
    uint32_t n_dims;
    bool ok = take_string(c, &t->name) && t->name.n_bytes <= MAX_KEY_BYTES && take_u32(c, &n_dims);
    if (ok && n_dims > GGUF_MAX_DIMS)
        return talc_fail(err, "tensor \"%.*s\" has %u dimensions; at most %d are possible",
                         t->name.n_bytes > 80 ? 80 : (int)t->name.n_bytes, t->name.data, (unsigned)n_dims,
                         GGUF_MAX_DIMS);
    for (int i = 0; i < GGUF_MAX_DIMS; i++) t->dims[i] = 1;
    for (uint32_t i = 0; ok && i < n_dims; i++) ok = take_u64(c, &t->dims[i]);
    ok = ok && take_u32(c, &t->type) && take_u64(c, &t->offset);
    if (ok) t->n_dims = (int)n_dims;
    return ok || talc_fail(err, "the file ends inside its list of tensors");
}

static bool read_header(struct cursor *c, struct gguf_file *f, uint64_t *n_tensors, uint64_t *n_values,
                        struct talc_error *err) {
    const char *magic = take(c, 4);
    if (!magic || memcmp(magic, GGUF_MAGIC, 4) != 0 || !take_u32(c, &f->version))
        return talc_fail(err, "not a GGUF file");
    if (f->version != 2 && f->version != 3)
        return talc_fail(err, "GGUF version %u is not supported (2 and 3 are%s)", (unsigned)f->version,
                         f->version >> 16 && !(f->version & 0xffff) ? "; this one may be big-endian" : "");
    if (!take_u64(c, n_tensors) || !take_u64(c, n_values)) return talc_fail(err, "the file ends inside its header");
    return (*n_values <= MAX_VALUES && *n_tensors <= MAX_TENSORS) ||
           talc_fail(err, "%" PRIu64 " tensors and %" PRIu64 " metadata values are too many", *n_tensors, *n_values);
}

static bool read_all(struct gguf_file *f, struct talc_error *err) {
    struct cursor c = {f->map, f->n_bytes, 0};
    uint64_t n_tensors = 0, n_values = 0;
    int64_t alignment;
    if (!read_header(&c, f, &n_tensors, &n_values, err)) return false;
    f->values = calloc((size_t)n_values + 1, sizeof *f->values);
    f->tensors = calloc((size_t)n_tensors + 1, sizeof *f->tensors);
    if (!f->values || !f->tensors) return talc_fail(err, "out of memory for the metadata");
    for (; f->n_values < n_values; f->n_values++)
        if (!read_value(&c, &f->values[f->n_values], err)) return false;
    for (; f->n_tensors < n_tensors; f->n_tensors++)
        if (!read_tensor(&c, &f->tensors[f->n_tensors], err)) return false;
    if (!gguf_get_int(f, "general.alignment", DEFAULT_ALIGNMENT, &alignment, err)) return false;
    if (alignment < 1 || alignment > 1 << 20 || (alignment & (alignment - 1)))
        return talc_fail(err, "general.alignment is %" PRId64 ": it must be a power of two", alignment);
    f->alignment = (uint32_t)alignment;
    size_t start = round_up_size(c.at, f->alignment);
    f->data = f->map + (start < f->n_bytes ? start : f->n_bytes);
    f->n_data_bytes = f->n_bytes - (size_t)(f->data - f->map);
    return true;
}

bool gguf_open(struct gguf_file *f, const char *path, struct talc_error *err) {
    *f = (struct gguf_file){0};
    if (!file_map_open(&f->file, path, err)) return false;
    f->map = f->file.data;
    f->n_bytes = f->file.n_bytes;
    if (read_all(f, err)) return true;
    gguf_close(f);
    return talc_fail_in(err, "%s", path);
}

void gguf_close(struct gguf_file *f) {
    file_map_close(&f->file);
    free(f->values);
    free(f->tensors);
    *f = (struct gguf_file){0};
}

/* ==== values ================================================================================== */

const struct gguf_value *gguf_find(const struct gguf_file *f, const char *key) {
    for (size_t i = 0; i < f->n_values; i++)
        if (gguf_string_is(f->values[i].key, key)) return &f->values[i];
    return NULL;
}

bool gguf_get_int(const struct gguf_file *f, const char *key, int64_t fallback, int64_t *out, struct talc_error *err) {
    const struct gguf_value *v = gguf_find(f, key);
    *out = fallback;
    if (!v) return true;
    uint64_t x = type_bytes(v->type) ? little_endian_load(v->data, type_bytes(v->type)) : 0;
    switch (v->type) {
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32: *out = (int64_t)x; return true;
    case GGUF_I8: *out = (int8_t)x; return true;
    case GGUF_I16: *out = (int16_t)x; return true;
    case GGUF_I32: *out = (int32_t)x; return true;
    case GGUF_I64: *out = (int64_t)x; return true;
    case GGUF_U64: *out = (int64_t)x; return *out >= 0 || talc_fail(err, "\"%s\" is too large", key);
    default: return talc_fail(err, "\"%s\" must be a whole number", key);
    }
}

bool gguf_get_number(const struct gguf_file *f, const char *key, double fallback, double *out, struct talc_error *err) {
    const struct gguf_value *v = gguf_find(f, key);
    int64_t whole;
    *out = fallback;
    if (v && v->type == GGUF_F32) {
        *out = (double)gguf_f32_at(v, 0);
    } else if (v && v->type == GGUF_F64) {
        uint64_t bits = little_endian_load(v->data, sizeof bits);
        memcpy(out, &bits, sizeof bits);
    } else if (v) {
        if (!gguf_get_int(f, key, 0, &whole, NULL)) return talc_fail(err, "\"%s\" must be a number", key);
        *out = (double)whole;
    }
    return isfinite(*out) || talc_fail(err, "\"%s\" is not finite", key);
}

bool gguf_get_bool(const struct gguf_file *f, const char *key, bool fallback, bool *out, struct talc_error *err) {
    const struct gguf_value *v = gguf_find(f, key);
    *out = v && v->type == GGUF_BOOL ? *v->data != 0 : fallback;
    return !v || v->type == GGUF_BOOL || talc_fail(err, "\"%s\" must be true or false", key);
}

bool gguf_get_string(const struct gguf_file *f, const char *key, struct gguf_string fallback, struct gguf_string *out,
                     struct talc_error *err) {
    const struct gguf_value *v = gguf_find(f, key);
    *out = fallback;
    if (!v) return true;
    if (v->type != GGUF_STRING) return talc_fail(err, "\"%s\" must be a text", key);
    const char *at = v->data;
    *out = gguf_next_string(&at);
    return true;
}

bool gguf_get_array(const struct gguf_file *f, const char *key, enum gguf_type element_type,
                    const struct gguf_value **out, struct talc_error *err) {
    const struct gguf_value *v = gguf_find(f, key);
    bool fits = !v || (v->type == GGUF_ARRAY && v->element_type == element_type);
    *out = fits ? v : NULL;
    return fits || talc_fail(err, "\"%s\" is not the array that it should be", key);
}

float gguf_f32_at(const struct gguf_value *array, uint64_t i) {
    uint32_t bits = (uint32_t)little_endian_load(array->data + i * 4, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

int32_t gguf_i32_at(const struct gguf_value *array, uint64_t i) {
    return (int32_t)(uint32_t)little_endian_load(array->data + i * 4, 4);
}

struct gguf_string gguf_next_string(const char **at) {
    struct gguf_string s = {*at + 8, (size_t)little_endian_load(*at, 8)};
    *at = s.data + s.n_bytes;
    return s;
}
