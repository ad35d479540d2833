/* safetensors.c - opening and checking safetensors files and sharded folders; see safetensors.h. */
#include "file/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/little_endian.h"
#include "file/atomic.h"
#include "file/json.h"

#define MAX_HEADER_BYTES 100000000u /* the format's own limit */
#define INDEX_NAME "model.safetensors.index.json"

/* One file. Names and metadata of its tensors live in `header`. */
struct part {
    char *path;
    struct file_map map;
    json_t *header;
    struct safetensor *tensors; /* by offset */
    size_t n_tensors;
};

struct safetensors {
    struct part *parts;
    size_t n_parts;
    json_t *index;                    /* NULL for one file */
    const struct safetensor **list;   /* in the order of the data */
    const struct safetensor **sorted; /* by name */
    size_t n_tensors;
};

/* Every type of the format, in bits. */
static const struct {
    const char *name;
    unsigned n_bits;
} format_dtypes[] = {
    {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},   {"I8", 8},    {"F8_E5M2", 8},
    {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16}, {"BF16", 16}, {"I32", 32},
    {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},    {"I64", 64}, {"U64", 64},
};

static unsigned format_dtype_bits(const char *name) {
    for (size_t i = 0; i < sizeof format_dtypes / sizeof *format_dtypes; i++)
        if (strcmp(name, format_dtypes[i].name) == 0) return format_dtypes[i].n_bits;
    return 0;
}

char *shape_text(int n_dims, const int64_t *shape, char out[192]) {
    int used = snprintf(out, 192, "[");
    for (int i = 0; i < n_dims && i < SAFETENSORS_MAX_DIMS; i++)
        used += snprintf(out + used, (size_t)(192 - used), i ? ", %lld" : "%lld", (long long)shape[i]);
    snprintf(out + used, (size_t)(192 - used), "]");
    return out;
}

/* ---- one tensor of a header ------------------------------------------------------------------ */

static bool read_size(const json_t *value, size_t *out) {
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *out = (size_t)json_integer_value(value);
    return true;
}

static bool read_shape(struct safetensor *t, const json_t *shape, struct talc_error *err) {
    size_t n_dims = json_array_size(shape), n = 1;
    if (!json_is_array(shape)) return talc_fail(err, "has no \"shape\"");
    if (n_dims > SAFETENSORS_MAX_DIMS)
        return talc_fail(err, "has %zu dimensions, more than the %d that are read", n_dims, SAFETENSORS_MAX_DIMS);
    t->n_dims = (int)n_dims;
    for (size_t i = 0; i < n_dims; i++) {
        size_t dim;
        if (!read_size(json_array_get(shape, i), &dim))
            return talc_fail(err, "has a \"shape\" that is not whole numbers from 0 up");
        if (!checked_mul_size(n, dim, &n)) return talc_fail(err, "has a shape whose size overflows 64 bits");
        t->shape[i] = (int64_t)dim;
    }
    t->n_elements = n;
    return true;
}

static bool read_dtype(struct safetensor *t, const json_t *dtype, struct talc_error *err) {
    size_t n_bits;
    if (!json_is_string(dtype)) return talc_fail(err, "has no \"dtype\"");
    t->dtype_text = json_string_value(dtype);
    t->dtype = dtype_from_name(t->dtype_text);
    unsigned bits = format_dtype_bits(t->dtype_text);
    if (!bits) return talc_fail(err, "has dtype \"%.40s\", which safetensors does not know", t->dtype_text);
    if (!checked_mul_size(t->n_elements, bits, &n_bits))
        return talc_fail(err, "has a shape whose size overflows 64 bits");
    if (n_bits % 8) return talc_fail(err, "does not end at a whole byte");
    t->n_bytes = n_bits / 8;
    return true;
}

/* Checks one header entry against the n_data bytes of the file's data; errors are the end of a sentence. */
static bool read_entry(struct safetensor *t, const json_t *entry, const char *data, size_t n_data,
                       struct talc_error *err) {
    if (!json_is_object(entry)) return talc_fail(err, "is not described by an object");
    if (!read_shape(t, json_object_get(entry, "shape"), err)) return false;
    if (!read_dtype(t, json_object_get(entry, "dtype"), err)) return false;
    const json_t *offsets = json_object_get(entry, "data_offsets");
    size_t begin, end;
    if (json_array_size(offsets) != 2 || !read_size(json_array_get(offsets, 0), &begin) ||
        !read_size(json_array_get(offsets, 1), &end))
        return talc_fail(err, "has no \"data_offsets\" of two whole numbers");
    if (begin > end || end > n_data)
        return talc_fail(err, "lies at bytes %zu to %zu, but the file has %zu bytes of data", begin, end, n_data);
    if (end - begin != t->n_bytes) {
        char text[192];
        return talc_fail(err, "has %zu bytes of data, but %s of shape %s needs %zu", end - begin, t->dtype_text,
                         shape_text(t->n_dims, t->shape, text), t->n_bytes);
    }
    t->data = data + begin;
    return true;
}

/* ---- one file -------------------------------------------------------------------------------- */

static int compare_offsets(const void *a, const void *b) {
    const struct safetensor *x = a, *y = b;
    if (x->data != y->data) return (const char *)x->data < (const char *)y->data ? -1 : 1;
    return (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes); /* an empty tensor comes before its neighbour */
}

static bool check_no_gaps(const struct part *part, const char *data, size_t n_data, struct talc_error *err) {
    const char *at = data;
    for (size_t i = 0; i < part->n_tensors; i++) {
        const struct safetensor *t = &part->tensors[i];
        if ((const char *)t->data < at)
            return talc_fail(err, "%s: tensors \"%.200s\" and \"%.200s\" overlap; the file is damaged", part->path,
                             part->tensors[i - 1].name, t->name);
        if ((const char *)t->data > at)
            return talc_fail(err, "%s: there is a hole of %zu bytes before tensor \"%.200s\"; the file is damaged",
                             part->path, (size_t)((const char *)t->data - at), t->name);
        at += t->n_bytes;
    }
    size_t rest = n_data - (size_t)(at - data);
    return rest == 0 ||
           talc_fail(err, "%s: %zu bytes after the last tensor belong to none; the file is damaged", part->path, rest);
}

static bool check_metadata(const json_t *metadata, const char *path, struct talc_error *err) {
    const char *key;
    json_t *value;
    if (metadata && !json_is_object(metadata)) return talc_fail(err, "%s: __metadata__ is not an object", path);
    json_object_foreach((json_t *)metadata, key, value) if (!json_is_string(value)) return talc_fail(
        err, "%s: __metadata__ \"%.200s\" is not a string", path, key);
    return true;
}

static bool read_entries(struct part *part, const char *data, size_t n_data, struct talc_error *err) {
    const char *name;
    json_t *entry;
    if (!check_metadata(json_object_get(part->header, "__metadata__"), part->path, err)) return false;
    part->tensors = calloc(json_object_size(part->header) + 1, sizeof *part->tensors);
    if (!part->tensors) return talc_fail(err, "%s: out of memory", part->path);
    json_object_foreach(part->header, name, entry) {
        if (strcmp(name, "__metadata__") == 0) continue;
        struct safetensor *t = &part->tensors[part->n_tensors++];
        *t = (struct safetensor){.name = name, .file = part->path};
        struct talc_error why = {0};
        if (!read_entry(t, entry, data, n_data, &why))
            return talc_fail(err, "%s: tensor \"%.200s\" %s", part->path, name, why.message);
    }
    qsort(part->tensors, part->n_tensors, sizeof *part->tensors, compare_offsets);
    return check_no_gaps(part, data, n_data, err);
}

static bool part_open(struct part *part, const char *path, struct talc_error *err) {
    *part = (struct part){.path = strdup(path)};
    if (!part->path) return talc_fail(err, "out of memory");
    if (!file_map_open(&part->map, path, err)) return false;
    const char *bytes = part->map.data;
    size_t n_bytes = part->map.n_bytes;
    enum { LENGTH_BYTES = 8 };
    if (n_bytes < LENGTH_BYTES)
        return talc_fail(err, "%s: has %zu bytes, too few for a safetensors file", path, n_bytes);
    uint64_t n_header = little_endian_load(bytes, LENGTH_BYTES);
    if (n_header > MAX_HEADER_BYTES)
        return talc_fail(err, "%s: is not a safetensors file (it claims a header of %llu bytes)", path,
                         (unsigned long long)n_header);
    if (n_header > n_bytes - sizeof n_header)
        return talc_fail(err, "%s: is cut short: its header needs %zu bytes, %zu are there", path, (size_t)n_header,
                         n_bytes - sizeof n_header);
    const char *header = bytes + sizeof n_header, *data = header + n_header;
    if (n_header < 2 || header[0] != '{') return talc_fail(err, "%s: is not a safetensors file (no header)", path);
    part->header = json_parse(header, (size_t)n_header, path, err);
    return part->header && read_entries(part, data, n_bytes - sizeof n_header - (size_t)n_header, err);
}

static void part_close(struct part *part) {
    file_map_close(&part->map);
    json_decref(part->header);
    free(part->tensors);
    free(part->path);
}

/* ---- one file or many behind one handle ------------------------------------------------------ */

static int compare_names(const void *a, const void *b) {
    const struct safetensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Lists the tensors of all parts: those the index names, or all of them without one. */
static bool list_tensors(struct safetensors *st, const json_t *weight_map, struct talc_error *err) {
    size_t n = 0;
    for (size_t p = 0; p < st->n_parts; p++) n += st->parts[p].n_tensors;
    st->list = calloc(n + 1, sizeof(void *));
    st->sorted = calloc(n + 1, sizeof(void *));
    if (!st->list || !st->sorted) return talc_fail(err, "out of memory");
    for (size_t p = 0; p < st->n_parts; p++) {
        const struct part *part = &st->parts[p];
        const char *file = strrchr(part->path, '/') ? strrchr(part->path, '/') + 1 : part->path;
        for (size_t i = 0; i < part->n_tensors; i++) {
            const char *place = json_string_value(json_object_get(weight_map, part->tensors[i].name));
            if (weight_map && (!place || strcmp(place, file) != 0)) continue;
            st->list[st->n_tensors++] = &part->tensors[i];
        }
    }
    if (st->n_tensors) memcpy(st->sorted, st->list, st->n_tensors * sizeof(void *));
    qsort(st->sorted, st->n_tensors, sizeof(void *), compare_names);
    return true;
}

struct safetensors *safetensors_open(const char *path, struct talc_error *err) {
    struct safetensors *st = calloc(1, sizeof *st);
    if (st) st->parts = calloc(1, sizeof *st->parts);
    if (!st || !st->parts) {
        talc_fail(err, "out of memory");
    } else {
        st->n_parts = 1;
        if (part_open(&st->parts[0], path, err) && list_tensors(st, NULL, err)) return st;
    }
    safetensors_close(st);
    return NULL;
}

/* Opens the part called `file` unless it is open already. The name comes from the index: it must stay in the folder. */
static bool open_named_part(struct safetensors *st, const char *folder, const char *file, struct talc_error *err) {
    if (!*file || strchr(file, '/') || strcmp(file, ".") == 0 || strcmp(file, "..") == 0)
        return talc_fail(err, "%s/" INDEX_NAME ": \"%.200s\" is not the name of a file in this folder", folder, file);
    char *path = path_join(folder, file);
    if (!path) return talc_fail(err, "out of memory");
    bool ok = true, is_open = false;
    for (size_t p = st->n_parts; p-- > 0 && !is_open;) is_open = strcmp(st->parts[p].path, path) == 0;
    if (!is_open) {
        struct part *more = realloc(st->parts, (st->n_parts + 1) * sizeof *more);
        ok = more != NULL || talc_fail(err, "out of memory");
        if (more) st->parts = more;
        if (ok) ok = part_open(&st->parts[st->n_parts++], path, err);
    }
    free(path);
    return ok;
}

static bool open_parts(struct safetensors *st, const char *folder, struct talc_error *err) {
    const json_t *weight_map = json_object_get(st->index, "weight_map");
    const char *name;
    json_t *file;
    if (!json_is_object(weight_map)) return talc_fail(err, "%s/" INDEX_NAME ": has no \"weight_map\"", folder);
    json_object_foreach((json_t *)weight_map, name, file) {
        if (!json_is_string(file) || strlen(json_string_value(file)) != json_string_length(file))
            return talc_fail(err, "%s/" INDEX_NAME ": the file of \"%.200s\" is not a string", folder, name);
        if (!open_named_part(st, folder, json_string_value(file), err)) return false;
    }
    if (!list_tensors(st, weight_map, err)) return false;
    json_object_foreach((json_t *)weight_map, name, file) if (!safetensors_find(st, name)) return talc_fail(
        err, "%s/%.200s: has no tensor \"%.200s\", which " INDEX_NAME " says it has", folder, json_string_value(file),
        name);
    return true;
}

static struct safetensors *open_sharded(const char *folder, const char *index_path, struct talc_error *err) {
    struct safetensors *st = calloc(1, sizeof *st);
    if (!st)
        talc_fail(err, "out of memory");
    else if ((st->index = json_read_file(index_path, 0, err)) != NULL && open_parts(st, folder, err))
        return st;
    safetensors_close(st);
    return NULL;
}

struct safetensors *safetensors_open_folder(const char *folder, struct talc_error *err) {
    struct safetensors *st = NULL;
    char *whole = path_join(folder, "model.safetensors"), *index = path_join(folder, INDEX_NAME);
    char *pickle = path_join(folder, "pytorch_model.bin");
    if (!whole || !index || !pickle)
        talc_fail(err, "out of memory");
    else if (file_exists(whole))
        st = safetensors_open(whole, err);
    else if (file_exists(index))
        st = open_sharded(folder, index, err);
    else if (file_exists(pickle))
        talc_fail(err, "%s: pytorch_model.bin is not read, as such files can run code; convert it to safetensors",
                  folder);
    else
        talc_fail(err, "%s: holds no model.safetensors", folder);
    free(whole);
    free(index);
    free(pickle);
    return st;
}

void safetensors_close(struct safetensors *st) {
    if (!st) return;
    for (size_t p = 0; p < st->n_parts; p++) part_close(&st->parts[p]);
    json_decref(st->index);
    free(st->parts);
    free(st->list);
    free(st->sorted);
    free(st);
}

/* ---- looking at tensors ---------------------------------------------------------------------- */

size_t safetensors_count(const struct safetensors *st) { return st->n_tensors; }

const struct safetensor *safetensors_at(const struct safetensors *st, size_t i) { return st->list[i]; }

const struct safetensor *safetensors_find(const struct safetensors *st, const char *name) {
    const struct safetensor key = {.name = name}, *want = &key;
    const struct safetensor *const *found = NULL;
    if (st->n_tensors) found = bsearch(&want, st->sorted, st->n_tensors, sizeof(void *), compare_names);
    return found ? *found : NULL;
}

const struct safetensor *safetensors_need(const struct safetensors *st, const char *name, int n_dims,
                                          const int64_t *shape, struct talc_error *err) {
    const struct safetensor *t = safetensors_find(st, name);
    const char *where = t ? t->file : st->n_parts ? st->parts[0].path : "the model";
    if (!t) {
        talc_fail(err, "%s: tensor \"%s\" is missing; the file does not fit its config.json", where, name);
        return NULL;
    }
    size_t n_bytes = (size_t)n_dims * sizeof *shape;
    if (t->n_dims == n_dims && (n_dims == 0 || memcmp(t->shape, shape, n_bytes) == 0)) return t;
    char has[192], needs[192];
    talc_fail(err, "%s: tensor \"%s\" has shape %s, but the model needs %s", where, name,
              shape_text(t->n_dims, t->shape, has), shape_text(n_dims, shape, needs));
    return NULL;
}

const char *safetensors_metadata(const struct safetensors *st, const char *key) {
    for (size_t p = 0; p < st->n_parts; p++) {
        const json_t *metadata = json_object_get(st->parts[p].header, "__metadata__");
        const char *value = json_string_value(json_object_get(metadata, key));
        if (value) return value;
    }
    return NULL;
}

/* A number at a time, n from number `first` on; false: the dtype has none that are read. */
static bool widen(const struct safetensor *t, size_t first, size_t n, float *out) {
    size_t size = dtype_size(t->dtype);
    const char *from = (const char *)t->data + first * size;
    uint16_t half;
    double wide;
    switch (t->dtype) {
    case DTYPE_F32:
        if (n) memcpy(out, from, n * size);
        return true;
    case DTYPE_F64:
        for (size_t i = 0; i < n; i++) out[i] = (float)*(double *)memcpy(&wide, from + i * size, size);
        return true;
    case DTYPE_F16:
        for (size_t i = 0; i < n; i++) out[i] = f16_to_f32(*(uint16_t *)memcpy(&half, from + i * size, size));
        return true;
    case DTYPE_BF16:
        for (size_t i = 0; i < n; i++) out[i] = bf16_to_f32(*(uint16_t *)memcpy(&half, from + i * size, size));
        return true;
    default: return false;
    }
}

/* In blocks that are looked at while they are in the cache. */
static bool read_block(const struct safetensor *t, size_t first, size_t n, float *out, struct talc_error *err) {
    if (!widen(t, first, n, out))
        return talc_fail(err, "%s: tensor \"%.200s\" has dtype %s, which cannot be read as numbers of a model", t->file,
                         t->name, t->dtype_text);
    size_t at = f32_finite_prefix(out, n);
    return at == n ||
           talc_fail(err,
                     "%s: number %zu of tensor \"%.200s\" is not finite (%g); the file is damaged, take another copy",
                     t->file, first + at, t->name, (double)out[at]);
}

enum { BLOCK = 4096 };

static size_t block_of(size_t n_left) { return n_left < BLOCK ? n_left : BLOCK; }

bool safetensor_read_f32(const struct safetensor *t, size_t first, size_t n, float *out, struct talc_error *err) {
    if (!checked_range(first, n, t->n_elements))
        return talc_fail(err, "%s: tensor \"%.200s\" has %zu elements; %zu were asked for from %zu", t->file, t->name,
                         t->n_elements, n, first);
    for (size_t at = 0; at < n; at += BLOCK)
        if (!read_block(t, first + at, block_of(n - at), out + at, err)) return false;
    return true;
}

/* Of 16 bits: whether all exponents are below the greatest, which infinities and NaN have. */
static bool halves_are_finite(const struct safetensor *t, uint16_t exponent) {
    const char *from = t->data;
    unsigned bad = 0;
    for (size_t i = 0; i < t->n_elements; i++) {
        uint16_t half;
        memcpy(&half, from + i * sizeof half, sizeof half);
        bad |= (half & exponent) == exponent;
    }
    return !bad;
}

bool safetensor_check_finite(const struct safetensor *t, struct talc_error *err) {
    if (t->dtype == DTYPE_BF16 && halves_are_finite(t, 0x7f80)) return true;
    if (t->dtype == DTYPE_F16 && halves_are_finite(t, 0x7c00)) return true;
    float block[BLOCK];
    for (size_t at = 0; at < t->n_elements; at += BLOCK)
        if (!read_block(t, at, block_of(t->n_elements - at), block, err)) return false;
    return true;
}
