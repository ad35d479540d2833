/* weights.c - parameters from and to Hugging Face folders. A parameter is one tensor of the file, or several stacked (q, k and
 * v; gate and up); GPT-2's matrices are stored transposed. The mapping is a table per family. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/atomic.h"
#include "file/json.h"
#include "file/safetensors.h"
#include "model/model.h"

/* A tensor of the file and where it lies in a parameter. */
struct piece {
    char name[96];
    int64_t first_row, rows; /* of the parameter */
    bool turned;             /* stored [in, out] */
    bool vector;             /* stored with one dimension */
    bool zeros;              /* not a parameter: written as zeros */
};
#define MAX_PIECES 3

static const struct name_map {
    const char *ours, *theirs;
    bool turned;
} gpt2_names[] = {
    {"attention_norm", "ln_1", false}, {"qkv", "attn.c_attn", true}, {"out", "attn.c_proj", true},
    {"mlp_norm", "ln_2", false},       {"up", "mlp.c_fc", true},     {"down", "mlp.c_proj", true},
}, qwen3_names[] = {
    {"attention_norm", "input_layernorm", false}, {"q_norm", "self_attn.q_norm", false}, {"k_norm", "self_attn.k_norm", false},
    {"out", "self_attn.o_proj", false},           {"mlp_norm", "post_attention_layernorm", false}, {"down", "mlp.down_proj", false},
};

static bool is_gpt2(const struct arch *a) { return strcmp(a->family, "gpt2") == 0; }

static struct piece whole(const struct parameter *p, bool turned) {
    return (struct piece){.rows = p->value.rows, .turned = turned, .vector = p->role == ROLE_NORM || p->role == ROLE_BIAS};
}

/* Outside the blocks. */
static int outer_pieces(const struct arch *a, const struct parameter *p, struct piece *out) {
    const char *name = NULL;
    bool gpt2 = is_gpt2(a);
    if (p->role == ROLE_EMBEDDING) name = gpt2 ? "transformer.wte.weight" : "model.embed_tokens.weight";
    else if (p->role == ROLE_POSITION) name = "transformer.wpe.weight";
    else if (p->role == ROLE_HEAD) name = "lm_head.weight";
    else if (p->role == ROLE_BIAS) name = "transformer.ln_f.bias";
    else name = gpt2 ? "transformer.ln_f.weight" : "model.norm.weight";
    out[0] = whole(p, false);
    snprintf(out[0].name, sizeof out[0].name, "%s", name);
    return 1;
}

/* qkv and up of Qwen3: several tensors, stacked by rows. */
static int stacked_pieces(const struct arch *a, const struct parameter *p, bool qkv, struct piece *out) {
    static const char *const names[2][3] = {{"mlp.gate_proj", "mlp.up_proj", NULL}, {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}};
    int64_t q = (int64_t)a->n_heads * a->head_dim, kv = (int64_t)a->n_kv_heads * a->head_dim, f = a->intermediate_size;
    int64_t rows[2][3] = {{f, f, 0}, {q, kv, kv}}, first = 0;
    int n = qkv ? 3 : 2;
    for (int i = 0; i < n; i++) {
        out[i] = (struct piece){.first_row = first, .rows = rows[qkv][i]};
        snprintf(out[i].name, sizeof out[i].name, "model.layers.%d.%s.weight", p->layer, names[qkv][i]);
        first += rows[qkv][i];
    }
    return n;
}

/* The tensors of the file that make up a parameter. */
static int pieces_of(const struct arch *a, const struct parameter *p, struct piece out[MAX_PIECES]) {
    char ours[32], kind[16];
    if (p->layer < 0) return outer_pieces(a, p, out);
    sscanf(p->name, "blocks.%*d.%31[^.].%15s", ours, kind);
    bool gpt2 = is_gpt2(a);
    if (!gpt2 && (strcmp(ours, "qkv") == 0 || strcmp(ours, "up") == 0)) return stacked_pieces(a, p, ours[0] == 'q', out);
    const struct name_map *map = gpt2 ? gpt2_names : qwen3_names;
    for (int i = 0; i < 6; i++)
        if (strcmp(map[i].ours, ours) == 0) {
            out[0] = whole(p, map[i].turned && p->role == ROLE_MATRIX);
            snprintf(out[0].name, sizeof out[0].name, gpt2 ? "transformer.h.%d.%s.%s" : "model.layers.%d.%s.%s", p->layer,
                     map[i].theirs, kind);
        }
    return 1;
}

static int piece_shape(const struct parameter *p, const struct piece *piece, int64_t shape[2]) {
    int64_t cols = p->value.cols;
    shape[0] = piece->vector ? cols : piece->turned ? cols : piece->rows;
    shape[1] = piece->turned ? piece->rows : cols;
    return piece->vector ? 1 : 2;
}

/* out[c * rows + r] = in[r * cols + c] */
static void turn(const float *in, int64_t rows, int64_t cols, float *out) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) out[c * rows + r] = in[r * cols + c];
}

/* ---- reading -------------------------------------------------------------------------------------------------------------- */

/* GPT-2 files come with and without the prefix. */
static const char *name_in_file(const struct safetensors *st, const char *name) {
    size_t prefix = strlen("transformer.");
    bool plain = strncmp(name, "transformer.", prefix) == 0 && !safetensors_find(st, name) && safetensors_find(st, name + prefix);
    return plain ? name + prefix : name;
}

static bool read_piece(struct model *m, const struct safetensors *st, const struct parameter *p, const struct piece *piece,
                       struct talc_error *err) {
    int64_t shape[2], n = piece->rows * p->value.cols;
    int n_dims = piece_shape(p, piece, shape);
    const struct safetensor *t = safetensors_need(st, name_in_file(st, piece->name), n_dims, shape, err);
    if (!t) return false;
    float *host = malloc((size_t)n * sizeof *host * (piece->turned ? 2 : 1));
    if (!host) return talc_fail(err, "out of memory reading %s", piece->name);
    bool ok = safetensor_read_f32(t, 0, (size_t)n, host, err);
    float *data = host;
    if (ok && piece->turned) turn(host, p->value.cols, piece->rows, data = host + n);
    if (ok)
        m->stream->backend->copy_in(m->stream, (float *)p->value.data + piece->first_row * p->value.cols, data,
                                    (size_t)n * sizeof *data);
    free(host);
    return ok;
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Masks and tied copies that others store beside the parameters; zero biases that a model without biases is written with. */
static bool may_be_there(const struct model *m, const char *name) {
    if (ends_with(name, ".attn.bias") || ends_with(name, ".attn.masked_bias") || ends_with(name, "rotary_emb.inv_freq")) return true;
    if (m->arch.tie_embeddings && strcmp(name, "lm_head.weight") == 0) return true;
    return is_gpt2(&m->arch) && !m->arch.qkv_bias && ends_with(name, ".bias");
}

static bool asked_for(const struct model *m, const struct safetensors *st, const char *name) {
    for (int i = 0; i < m->n_parameters; i++) {
        struct piece pieces[MAX_PIECES];
        int n = pieces_of(&m->arch, &m->parameters[i], pieces);
        for (int k = 0; k < n; k++)
            if (strcmp(name_in_file(st, pieces[k].name), name) == 0) return true;
    }
    return false;
}

static bool read_weights(struct model *m, const struct safetensors *st, struct talc_error *err) {
    for (int i = 0; i < m->n_parameters; i++) {
        struct piece pieces[MAX_PIECES];
        int n = pieces_of(&m->arch, &m->parameters[i], pieces);
        for (int k = 0; k < n; k++)
            if (!read_piece(m, st, &m->parameters[i], &pieces[k], err)) return false;
    }
    for (size_t i = 0; i < safetensors_count(st); i++) {
        const struct safetensor *t = safetensors_at(st, i);
        if (!may_be_there(m, t->name) && !asked_for(m, st, t->name))
            return talc_fail(err, "%s: nothing in config.json asks for tensor '%.80s'", t->file, t->name);
    }
    return stream_synchronize(m->stream, err);
}

static bool read_config(const char *folder, struct arch *arch, struct talc_error *err) {
    char *path = path_join(folder, "config.json");
    json_t *config = path ? json_read_file(path, 1 << 20, err) : NULL;
    bool ok = config && arch_from_config(config, arch, err);
    if (config && !ok) talc_fail_in(err, "%s", folder);
    json_decref(config);
    free(path);
    return ok;
}

bool model_load_folder(struct model *m, const char *folder, struct stream *stream, bool with_gradients, struct talc_error *err) {
    struct arch arch;
    *m = (struct model){0};
    if (!read_config(folder, &arch, err)) return false;
    struct safetensors *st = safetensors_open_folder(folder, err); /* before memory is taken for what a broken file says */
    bool ok = st && model_open(m, &arch, stream, with_gradients, err) && read_weights(m, st, err);
    safetensors_close(st);
    if (!ok && m->memory) model_close(m);
    return ok;
}

/* ---- writing -------------------------------------------------------------------------------------------------------------- */

static bool write_piece(const struct model *m, struct safetensors_writer *w, const struct parameter *p,
                        const struct piece *piece, struct talc_error *err) {
    int64_t n = piece->rows * p->value.cols;
    float *host = malloc((size_t)n * sizeof *host * (piece->turned ? 2 : 1)), *data = host;
    if (!host) return talc_fail(err, "out of memory writing %s", piece->name);
    m->stream->backend->copy_out(m->stream, host, (const float *)p->value.data + piece->first_row * p->value.cols,
                                 (size_t)n * sizeof *host);
    if (piece->turned) turn(host, piece->rows, p->value.cols, data = host + n);
    bool ok = safetensors_writer_append(w, piece->name, data, (size_t)n * sizeof *data, err);
    free(host);
    return ok;
}

/* Calls `each` for every tensor of the file in order. GPT-2 without biases is written with zeros: the format has no other. */
static bool each_piece(const struct model *m, struct safetensors_writer *w,
                       bool (*each)(const struct model *, struct safetensors_writer *, const struct parameter *,
                                    const struct piece *, struct talc_error *),
                       struct talc_error *err) {
    bool zeros = is_gpt2(&m->arch) && !m->arch.qkv_bias;
    for (int i = 0; i < m->n_parameters; i++) {
        struct piece pieces[MAX_PIECES];
        const struct parameter *p = &m->parameters[i];
        int n = pieces_of(&m->arch, p, pieces);
        for (int k = 0; k < n; k++)
            if (!each(m, w, p, &pieces[k], err)) return false;
        char *end = strstr(pieces[0].name, ".weight");
        bool table = p->role == ROLE_EMBEDDING || p->role == ROLE_POSITION || p->role == ROLE_HEAD;
        if (!zeros || table || !end) continue;
        struct parameter bias = {.role = ROLE_BIAS, .value = tensor_view(NULL, DTYPE_F32, 1, p->role == ROLE_NORM ? p->value.cols : p->value.rows)};
        struct piece zero = {.rows = 1, .vector = true, .zeros = true};
        snprintf(zero.name, sizeof zero.name, "%.*s.bias", (int)(end - pieces[0].name), pieces[0].name);
        if (!each(m, w, &bias, &zero, err)) return false;
    }
    return true;
}

static bool declare(const struct model *m, struct safetensors_writer *w, const struct parameter *p, const struct piece *piece,
                    struct talc_error *err) {
    (void)m;
    int64_t shape[2];
    int n_dims = piece_shape(p, piece, shape);
    return safetensors_writer_declare(w, piece->name, DTYPE_F32, n_dims, shape, err);
}

static bool append(const struct model *m, struct safetensors_writer *w, const struct parameter *p, const struct piece *piece,
                   struct talc_error *err) {
    if (!piece->zeros) return write_piece(m, w, p, piece, err);
    float *zeros = calloc((size_t)p->value.cols, sizeof *zeros);
    bool ok = zeros ? safetensors_writer_append(w, piece->name, zeros, (size_t)p->value.cols * sizeof *zeros, err)
                    : talc_fail(err, "out of memory writing %s", piece->name);
    free(zeros);
    return ok;
}

static bool write_weights(const struct model *m, const char *folder, struct talc_error *err) {
    char *path = path_join(folder, "model.safetensors");
    struct safetensors_writer *w = path ? safetensors_writer_open(path, err) : NULL;
    free(path);
    if (!w) return false;
    if (each_piece(m, w, declare, err) && each_piece(m, w, append, err)) return safetensors_writer_commit(w, err);
    safetensors_writer_abort(w);
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
