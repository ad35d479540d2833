/* gguf_tensors.c - see gguf_tensors.h. */
#include "model/gguf_tensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/dtype.h"
#include "file/atomic.h"

struct part {
    char *path;
    struct gguf_file file;
};

struct gguf_model {
    struct part *parts;
    size_t n_parts;
    char *names; /* of all tensors, each NUL-terminated */
    struct gguf_weight *weights;
    const struct gguf_weight **sorted; /* by name */
    size_t n_weights;
};

/* ---- one tensor ------------------------------------------------------------------------------ */

/* Shape, size and place of a tensor whose data should begin at `expected`. */
static bool place_weight(struct gguf_weight *w, const struct gguf_tensor *t, const struct gguf_file *f, size_t expected,
                         struct talc_error *err) {
    if (!(w->type = block_type_of(t->type)))
        return talc_fail(err, "has the type %u, which talc does not know", (unsigned)t->type);
    w->n_dims = t->n_dims;
    w->n_elements = 1;
    for (int i = 0; i < t->n_dims; i++) {
        w->shape[t->n_dims - 1 - i] = (int64_t)t->dims[i];
        if (t->dims[i] > INT64_MAX || !checked_mul_size(w->n_elements, (size_t)t->dims[i], &w->n_elements))
            return talc_fail(err, "has dimensions whose product cannot be addressed");
    }
    if (t->dims[0] % w->type->elements != 0)
        return talc_fail(err, "has rows of %" PRIu64 " numbers; %s has them in blocks of %zu", t->dims[0],
                         w->type->name, w->type->elements);
    if (!checked_mul_size(w->n_elements / w->type->elements, w->type->bytes, &w->n_bytes))
        return talc_fail(err, "has more bytes than can be addressed");
    if (t->offset != expected)
        return talc_fail(err, "begins at byte %" PRIu64 " of the data, not at %zu, where the one before it ends",
                         t->offset, expected);
    if (!checked_range((size_t)t->offset, w->n_bytes, f->n_data_bytes))
        return talc_fail(err, "is cut short: it needs %zu bytes from byte %" PRIu64 " of the data on, %zu are there",
                         w->n_bytes, t->offset, f->n_data_bytes);
    w->data = (const unsigned char *)f->data + t->offset;
    w->map = &f->file;
    return true;
}

/* The name as a C string, which goes to `at`. */
static bool copy_name(struct gguf_weight *w, struct gguf_string name, char *at, struct talc_error *err) {
    memcpy(at, name.data, name.n_bytes);
    at[name.n_bytes] = 0;
    w->name = at;
    return strlen(at) == name.n_bytes || talc_fail(err, "%s: the name of a tensor holds a NUL character", w->file);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static bool add_part(struct gguf_model *g, const struct part *part, char **names, struct talc_error *err) {
    const struct gguf_file *f = &part->file;
    size_t expected = 0;
    for (size_t i = 0; i < f->n_tensors; i++) {
        struct gguf_weight *w = &g->weights[g->n_weights];
        struct talc_error why = {0};
        w->file = part->path;
        if (!copy_name(w, f->tensors[i].name, *names, err)) return false;
        if (!place_weight(w, &f->tensors[i], f, expected, &why))
            return talc_fail(err, "%s: tensor \"%.200s\" %s", part->path, w->name, why.message);
        expected = (size_t)(w->data - (const unsigned char *)f->data) + round_up_size(w->n_bytes, f->alignment);
        *names += f->tensors[i].name.n_bytes + 1;
        g->n_weights++;
    }
    return true;
}

static int compare_names(const void *a, const void *b) {
    const struct gguf_weight *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static bool sort_names(struct gguf_model *g, struct talc_error *err) {
    for (size_t i = 0; i < g->n_weights; i++) g->sorted[i] = &g->weights[i];
    qsort(g->sorted, g->n_weights, sizeof *g->sorted, compare_names);
    for (size_t i = 1; i < g->n_weights; i++)
        if (strcmp(g->sorted[i - 1]->name, g->sorted[i]->name) == 0)
            return talc_fail(err, "%s: tensor \"%.200s\" is there twice; the file is damaged", g->sorted[i]->file,
                             g->sorted[i]->name);
    return true;
}

static bool list_weights(struct gguf_model *g, struct talc_error *err) {
    size_t n = 0, n_name_bytes = 0; /* names are parts of the files: their sum can be addressed */
    for (size_t p = 0; p < g->n_parts; p++) {
        const struct gguf_file *f = &g->parts[p].file;
        n += f->n_tensors;
        for (size_t i = 0; i < f->n_tensors; i++) n_name_bytes += f->tensors[i].name.n_bytes + 1;
    }
    g->weights = calloc(n + 1, sizeof *g->weights);
    g->sorted = calloc(n + 1, sizeof(void *));
    g->names = malloc(n_name_bytes + 1);
    if (!g->weights || !g->sorted || !g->names) return talc_fail(err, "out of memory for the list of tensors");
    char *names = g->names;
    for (size_t p = 0; p < g->n_parts; p++)
        if (!add_part(g, &g->parts[p], &names, err)) return false;
    return sort_names(g, err);
}

/* ---- parts ----------------------------------------------------------------------------------- */

static bool open_part(struct gguf_model *g, const char *path, struct talc_error *err) {
    struct part *more = checked_realloc(g->parts, g->n_parts + 1, sizeof *more);
    if (!more) return talc_fail(err, "out of memory");
    g->parts = more;
    struct part *part = &more[g->n_parts];
    *part = (struct part){.path = strdup(path)};
    if (!part->path) return talc_fail(err, "out of memory");
    g->n_parts++;
    return gguf_open(&part->file, path, err);
}

static bool read_split(const struct part *part, int64_t *number, int64_t *count, struct talc_error *err) {
    return (gguf_get_int(&part->file, "split.no", 0, number, err) &&
            gguf_get_int(&part->file, "split.count", 1, count, err)) ||
           talc_fail_in(err, "%s", part->path);
}

/* The path up to the numbers of a part's name, as "%05d-of-%05d.gguf" gives them. */
static bool split_prefix(const char *path, int64_t count, char **prefix, struct talc_error *err) {
    char end[64];
    snprintf(end, sizeof end, "-00001-of-%05" PRId64 ".gguf", count);
    size_t n = strlen(path), m = strlen(end);
    if (n < m || strcmp(path + n - m, end) != 0)
        return talc_fail(err, "%s: is the first of %" PRId64 " parts, but its name does not end in %s", path, count,
                         end);
    *prefix = strndup(path, n - m);
    return *prefix || talc_fail(err, "out of memory for a path");
}

static bool open_split_part(struct gguf_model *g, const char *prefix, int64_t i, int64_t count,
                            struct talc_error *err) {
    int64_t number, n;
    size_t size = strlen(prefix) + 64;
    char *path = malloc(size);
    if (!path) return talc_fail(err, "out of memory for a path");
    snprintf(path, size, "%s-%05" PRId64 "-of-%05" PRId64 ".gguf", prefix, i + 1, count);
    bool ok = open_part(g, path, err) && read_split(&g->parts[i], &number, &n, err);
    if (ok && (number != i || n != count))
        ok = talc_fail(err, "%s: says that it is part %" PRId64 " of %" PRId64, path, number + 1, n);
    free(path);
    return ok;
}

static bool open_parts(struct gguf_model *g, const char *path, struct talc_error *err) {
    const int64_t most_parts = 99999;
    int64_t number, count, n_tensors, n = 0;
    char *prefix = NULL;
    if (!open_part(g, path, err) || !read_split(&g->parts[0], &number, &count, err)) return false;
    if (count <= 1) return true;
    if (count > most_parts) return talc_fail(err, "%s: %" PRId64 " parts are too many", path, count);
    if (number != 0)
        return talc_fail(err, "%s: is part %" PRId64 " of %" PRId64 "; give the first", path, number + 1, count);
    bool ok = split_prefix(path, count, &prefix, err);
    for (int64_t i = 1; ok && i < count; i++) ok = open_split_part(g, prefix, i, count, err);
    free(prefix);
    for (size_t p = 0; p < g->n_parts; p++) n += (int64_t)g->parts[p].file.n_tensors;
    if (!ok || !gguf_get_int(&g->parts[0].file, "split.tensors.count", n, &n_tensors, err)) return false;
    return n_tensors == n ||
           talc_fail(err, "%s: the parts have %" PRId64 " tensors and should have %" PRId64, path, n, n_tensors);
}

struct gguf_model *gguf_model_open(const char *path, struct talc_error *err) {
    struct gguf_model *g = calloc(1, sizeof *g);
    if (!g)
        talc_fail(err, "out of memory");
    else if (open_parts(g, path, err) && list_weights(g, err))
        return g;
    gguf_model_close(g);
    return NULL;
}

void gguf_model_close(struct gguf_model *g) {
    if (!g) return;
    for (size_t p = 0; p < g->n_parts; p++) {
        gguf_close(&g->parts[p].file);
        free(g->parts[p].path);
    }
    free(g->parts);
    free(g->names);
    free(g->weights);
    free(g->sorted);
    free(g);
}

/* ---- looking --------------------------------------------------------------------------------- */

const struct gguf_file *gguf_model_metadata(const struct gguf_model *g) { return &g->parts[0].file; }

const char *gguf_model_path(const struct gguf_model *g) { return g->parts[0].path; }

size_t gguf_model_count(const struct gguf_model *g) { return g->n_weights; }

const struct gguf_weight *gguf_model_at(const struct gguf_model *g, size_t i) { return &g->weights[i]; }

const struct gguf_weight *gguf_model_find(const struct gguf_model *g, const char *name) {
    const struct gguf_weight key = {.name = name}, *want = &key;
    const struct gguf_weight *const *found = NULL;
    if (g->n_weights) found = bsearch(&want, g->sorted, g->n_weights, sizeof(void *), compare_names);
    return found ? *found : NULL;
}

/* In pieces that are looked at while they are in the cache. */
bool gguf_weight_read_f32(const struct gguf_weight *t, size_t first, size_t n, float *out, struct talc_error *err) {
    const size_t piece = 16 * BLOCK_MAX_ELEMENTS, block = t->type->elements;
    if (!t->type->unpack)
        return talc_fail(err, "%s: tensor \"%.200s\" is of the type %s, which talc does not read", t->file, t->name,
                         t->type->name);
    if (!checked_range(first, n, t->n_elements) || first % block != 0 || n % block != 0)
        return talc_fail(err, "%s: tensor \"%.200s\" has %zu elements; %zu were asked for from %zu", t->file, t->name,
                         t->n_elements, n, first);
    for (size_t at = 0; at < n; at += piece) {
        size_t now = n - at < piece ? n - at : piece;
        blocks_unpack(t->type, t->data + (first + at) / block * t->type->bytes, now / block, out + at);
        size_t good = f32_finite_prefix(out + at, now);
        if (good < now)
            return talc_fail(err,
                             "%s: number %zu of tensor \"%.200s\" is not finite (%g); the file is damaged, take "
                             "another copy",
                             t->file, first + at + good, t->name, (double)out[at + good]);
    }
    return true;
}
