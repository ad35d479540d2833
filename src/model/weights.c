/* weights.c - parameters from and to Hugging Face folders. A parameter is one tensor of the file or several stacked by
 * rows (q, k and v; gate and up); GPT-2's matrices are stored transposed. The names are a table a family. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/atomic.h"
#include "file/json.h"
#include "file/safetensors.h"
#include "model/layout.h"

/* ---- names ----------------------------------------------------------------------------------- */

/* Which rows of the parameter a tensor holds. */
enum part { ALL, PART_Q, PART_K, PART_V, PART_GATE, PART_UP };

struct name_rule {
    const char *ours, *theirs;
    enum part part;
    bool turned; /* stored [in, out] */
};

static const struct name_rule gpt2_outer[] = {
    {"embedding.weight", "transformer.wte.weight", ALL, false},
    {"positions.weight", "transformer.wpe.weight", ALL, false},
    {"final_norm.weight", "transformer.ln_f.weight", ALL, false},
    {"final_norm.bias", "transformer.ln_f.bias", ALL, false},
    {"head.weight", "lm_head.weight", ALL, false},
    {0},
};
static const struct name_rule gpt2_block[] = {
    {"attention_norm.weight", "ln_1.weight", ALL, false},
    {"attention_norm.bias", "ln_1.bias", ALL, false},
    {"qkv.weight", "attn.c_attn.weight", ALL, true},
    {"qkv.bias", "attn.c_attn.bias", ALL, false},
    {"out.weight", "attn.c_proj.weight", ALL, true},
    {"out.bias", "attn.c_proj.bias", ALL, false},
    {"mlp_norm.weight", "ln_2.weight", ALL, false},
    {"mlp_norm.bias", "ln_2.bias", ALL, false},
    {"up.weight", "mlp.c_fc.weight", ALL, true},
    {"up.bias", "mlp.c_fc.bias", ALL, false},
    {"down.weight", "mlp.c_proj.weight", ALL, true},
    {"down.bias", "mlp.c_proj.bias", ALL, false},
    {0},
};
static const struct name_rule qwen3_outer[] = {
    {"embedding.weight", "model.embed_tokens.weight", ALL, false},
    {"final_norm.weight", "model.norm.weight", ALL, false},
    {"head.weight", "lm_head.weight", ALL, false},
    {0},
};
static const struct name_rule qwen3_block[] = {
    {"attention_norm.weight", "input_layernorm.weight", ALL, false},
    {"qkv.weight", "self_attn.q_proj.weight", PART_Q, false},
    {"qkv.weight", "self_attn.k_proj.weight", PART_K, false},
    {"qkv.weight", "self_attn.v_proj.weight", PART_V, false},
    {"qkv.bias", "self_attn.q_proj.bias", PART_Q, false},
    {"qkv.bias", "self_attn.k_proj.bias", PART_K, false},
    {"qkv.bias", "self_attn.v_proj.bias", PART_V, false},
    {"q_norm.weight", "self_attn.q_norm.weight", ALL, false},
    {"k_norm.weight", "self_attn.k_norm.weight", ALL, false},
    {"out.weight", "self_attn.o_proj.weight", ALL, false},
    {"out.bias", "self_attn.o_proj.bias", ALL, false},
    {"mlp_norm.weight", "post_attention_layernorm.weight", ALL, false},
    {"up.weight", "mlp.gate_proj.weight", PART_GATE, false},
    {"up.weight", "mlp.up_proj.weight", PART_UP, false},
    {"down.weight", "mlp.down_proj.weight", ALL, false},
    {0},
};

static const struct file_family {
    const char *name, *prefix; /* of tensors outside the head; base models are saved without it */
    const char *blocks;        /* before the number of a block */
    const struct name_rule *outer, *block;
    bool always_biases; /* the format has all biases: a model without them is written with zeros */
} file_families[] = {
    {"gpt2", "transformer.", "transformer.h.", gpt2_outer, gpt2_block, true},
    {"qwen3", "model.", "model.layers.", qwen3_outer, qwen3_block, false},
};

static const struct file_family *family_of(const struct arch *a) {
    for (size_t i = 0; i < sizeof file_families / sizeof *file_families; i++)
        if (strcmp(file_families[i].name, a->family) == 0) return &file_families[i];
    return NULL;
}

/* Tensors that others store beside the parameters: causal masks and rotary frequencies. */
static bool is_buffer(const char *name) {
    static const char *const ends[] = {".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (n >= strlen(ends[i]) && strcmp(name + n - strlen(ends[i]), ends[i]) == 0) return true;
    return false;
}

/* ---- every tensor of the file ---------------------------------------------------------------- */

struct file_tensor {
    char name[128];
    const struct layout_entry *entry; /* its parameter; not present: a bias that the model does not have */
    int layer;
    int64_t first_row, rows; /* of the parameter */
    bool vector, turned;
};

/* What is done with each tensor; false stops. */
typedef bool file_tensor_visit(void *context, const struct file_tensor *t, struct talc_error *err);

static void set_rows(struct file_tensor *t, const struct arch *a, enum part part) {
    const int64_t q = (int64_t)a->n_heads * a->head_dim, kv = (int64_t)a->n_kv_heads * a->head_dim,
                  f = a->intermediate_size;
    const int64_t first[] = {0, 0, q, q + kv, 0, f};
    const int64_t count[] = {t->vector ? t->entry->cols : t->entry->rows, q, kv, kv, f, f};
    t->first_row = first[part];
    t->rows = count[part];
}

/* Visits the tensors that `rules` name for `entries`, of block `layer` or, with -1, outside the blocks. */
static bool visit_rules(const struct arch *a, const struct name_rule *rules, const struct layout_entry *entries,
                        int n_entries, int layer, file_tensor_visit *visit, void *context, struct talc_error *err) {
    const struct file_family *f = family_of(a);
    for (; rules->ours; rules++)
        for (int i = 0; i < n_entries; i++) {
            const struct layout_entry *e = &entries[i];
            bool empty_bias = !e->present && f->always_biases && e->role == ROLE_BIAS;
            if (strcmp(e->name, rules->ours) != 0 || (!e->present && !empty_bias)) continue;
            struct file_tensor t = {.entry = e, .layer = layer, .turned = rules->turned};
            t.vector = e->role == ROLE_NORM || e->role == ROLE_BIAS;
            set_rows(&t, a, rules->part);
            if (layer < 0)
                snprintf(t.name, sizeof t.name, "%s", rules->theirs);
            else
                snprintf(t.name, sizeof t.name, "%s%d.%s", f->blocks, layer, rules->theirs);
            if (!visit(context, &t, err)) return false;
        }
    return true;
}

static bool visit_tensors(const struct arch *a, file_tensor_visit *visit, void *context, struct talc_error *err) {
    const struct file_family *f = family_of(a);
    struct layout_entry before[LAYOUT_BEFORE], block[LAYOUT_BLOCK], after[LAYOUT_AFTER];
    if (!f) return talc_fail(err, "models of the family '%s' have no file format", a->family);
    layout_before(a, before);
    layout_block(a, block);
    layout_after(a, after);
    bool ok = visit_rules(a, f->outer, before, LAYOUT_BEFORE, -1, visit, context, err);
    for (int l = 0; ok && l < a->n_layers; l++)
        ok = visit_rules(a, f->block, block, LAYOUT_BLOCK, l, visit, context, err);
    return ok && visit_rules(a, f->outer, after, LAYOUT_AFTER, -1, visit, context, err);
}

/* A vector's "rows" are its columns: [n] in the file, [1, n] here. */
static int shape_of(const struct file_tensor *t, int64_t shape[2]) {
    shape[0] = t->turned ? t->entry->cols : t->rows;
    shape[1] = t->turned ? t->rows : t->entry->cols;
    return t->vector ? 1 : 2;
}

static size_t floats_of(const struct file_tensor *t) {
    return (size_t)(t->vector ? t->rows : t->rows * t->entry->cols);
}

/* Where the tensor's numbers are in the model: a parameter, from its number `first` on. */
static const struct parameter *place_of(const struct model *m, const struct file_tensor *t, int64_t *first) {
    const char *owner = t->layer < 0 ? (const char *)m : (const char *)&m->blocks[t->layer];
    *first = t->first_row * (t->vector ? 1 : t->entry->cols);
    return *(struct parameter *const *)(const void *)(owner + t->entry->place);
}

/* out[c * rows + r] = in[r * cols + c], in squares that stay in the cache. */
static void transpose(const float *in, int64_t rows, int64_t cols, float *out) {
    const int64_t side = 32;
    for (int64_t r0 = 0; r0 < rows; r0 += side)
        for (int64_t c0 = 0; c0 < cols; c0 += side)
            for (int64_t r = r0; r < rows && r < r0 + side; r++)
                for (int64_t c = c0; c < cols && c < c0 + side; c++) out[c * rows + r] = in[r * cols + c];
}

/* Room for the largest tensor, twice where some are transposed. */
struct staging {
    size_t largest;
    float *floats, *turned;
};

static bool find_largest(void *context, const struct file_tensor *t, struct talc_error *err) {
    struct staging *s = context;
    (void)err;
    if (floats_of(t) > s->largest) s->largest = floats_of(t);
    return true;
}

static bool staging_open(struct staging *s, const struct model *m, struct talc_error *err) {
    *s = (struct staging){0};
    if (!visit_tensors(&m->arch, find_largest, s, err)) return false;
    s->floats = malloc(s->largest * sizeof *s->floats);
    s->turned = malloc(s->largest * sizeof *s->turned);
    if (s->floats && s->turned) return true;
    return talc_fail(err, "out of memory: the largest tensor takes %.1f MiB", (double)s->largest * 4 / 1048576);
}

static void staging_close(struct staging *s) {
    free(s->floats);
    free(s->turned);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct reading {
    const struct arch *arch;
    const struct safetensors *file;
    const struct safetensor **used; /* tensors that were asked for */
    size_t n_used;
    struct model *model; /* once it is open */
    struct staging staging;
};

/* The tensor of that name, which may be there without the family's prefix. */
static const struct safetensor *find_tensor(const struct reading *r, const char *name) {
    const char *prefix = family_of(r->arch)->prefix;
    const struct safetensor *t = safetensors_find(r->file, name);
    if (t || strncmp(name, prefix, strlen(prefix)) != 0) return t;
    return safetensors_find(r->file, name + strlen(prefix));
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

static bool read_tensor(void *context, const struct file_tensor *t, struct talc_error *err) {
    struct reading *r = context;
    struct stream *stream = r->model->stream;
    const struct safetensor *found = find_tensor(r, t->name);
    size_t n = floats_of(t);
    float *data = r->staging.floats;
    if (!found) return true; /* a bias that neither has */
    if (!safetensor_read_f32(found, 0, n, data, err)) return false;
    if (!t->entry->present) return read_zeros(found, data, n, err);
    if (t->turned) {
        transpose(data, t->entry->cols, t->rows, r->staging.turned);
        data = r->staging.turned;
    }
    int64_t first;
    const struct parameter *p = place_of(r->model, t, &first);
    parameter_write(r->model, p, first, n, data);
    return stream_synchronize(stream, err); /* before the staging is used again */
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
        if (is_buffer(t->name) || bsearch(&t, r->used, r->n_used, sizeof *r->used, compare_pointers)) continue;
        return talc_fail(err, "%s: nothing in config.json asks for tensor \"%.100s\"", t->file, t->name);
    }
    return true;
}

/* Before memory is taken for what config.json says: the files have each tensor that it asks for, and no other. */
static bool check_tensors(struct reading *r, struct talc_error *err) {
    r->used = calloc(safetensors_count(r->file) + 1, sizeof *r->used);
    if (!r->used) return talc_fail(err, "out of memory for the list of tensors");
    bool ok = visit_tensors(r->arch, check_tensor, r, err) && check_tied_head(r, err) && check_all_used(r, err);
    free(r->used);
    return ok;
}

static bool read_tensors(struct reading *r, struct model *m, struct talc_error *err) {
    r->model = m;
    bool ok = staging_open(&r->staging, m, err) && visit_tensors(r->arch, read_tensor, r, err);
    staging_close(&r->staging);
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

bool model_load_folder(struct model *m, const char *folder, struct stream *stream, const struct model_options *options,
                       struct talc_error *err) {
    struct arch arch;
    *m = (struct model){0};
    if (!read_config(folder, &arch, err)) return false;
    struct safetensors *file = safetensors_open_folder(folder, err);
    struct reading r = {.arch = &arch, .file = file};
    bool ok = file && check_tensors(&r, err) && model_open(m, &arch, stream, options, err) && read_tensors(&r, m, err);
    safetensors_close(file);
    if (!ok && m->memory) model_close(m);
    return ok;
}

/* ---- writing --------------------------------------------------------------------------------- */

struct writing {
    const struct model *model;
    struct safetensors_writer *file;
    struct staging staging;
};

static bool declare_tensor(void *context, const struct file_tensor *t, struct talc_error *err) {
    struct writing *w = context;
    int64_t shape[2];
    int n_dims = shape_of(t, shape);
    return safetensors_writer_declare(w->file, t->name, DTYPE_F32, n_dims, shape, err);
}

static bool append_tensor(void *context, const struct file_tensor *t, struct talc_error *err) {
    struct writing *w = context;
    size_t n_bytes = floats_of(t) * sizeof(float);
    float *data = w->staging.floats;
    int64_t first;
    const struct parameter *p = place_of(w->model, t, &first);
    if (t->entry->present)
        parameter_read(w->model, p, first, floats_of(t), data);
    else
        memset(data, 0, n_bytes);
    if (t->turned) {
        transpose(data, t->rows, t->entry->cols, w->staging.turned);
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
    bool ok = w.file && staging_open(&w.staging, m, err) && visit_tensors(&m->arch, declare_tensor, &w, err) &&
              visit_tensors(&m->arch, append_tensor, &w, err) && stream_synchronize(m->stream, err);
    staging_close(&w.staging);
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
