/* Folders: what is written is read back to the bit, other people's folders are read, and one that does not fit its
 * config.json is refused with a line that says what. */
#include "support/model_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/atomic.h"
#include "file/json.h"
#include "file/safetensors.h"
#include "support/cmocka_all.h"

#define GOLDEN TEST_DIR "/golden/model/"

static char folder[64];
static struct device_case device;

static int setup(void **state) {
    (void)state;
    strcpy(folder, "/tmp/talc-folder-XXXXXX");
    device_case_open(&device, "cpu");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    device_case_close(&device);
    return folder_remove(folder, NULL) ? 0 : -1;
}

static void open_model(struct model *m, const struct arch *a) {
    struct talc_error err = {0};
    if (!model_open(m, a, &device.stream, NULL, &err) || !model_initialize(m, INIT_GPT2, 7, &err))
        fail_msg("%s", err.message);
}

static void load(struct model *m, const char *from) {
    struct talc_error err = {0};
    if (!model_load_folder(m, from, &device.stream, &(struct model_options){0}, &err)) fail_msg("%s", err.message);
}

static void assert_same_values(const struct model *a, const struct model *b) {
    float *x = tensor_case_read(a->stream, a->values), *y = tensor_case_read(b->stream, b->values);
    assert_int_equal(a->n_parameters, b->n_parameters);
    assert_int_equal(a->values.cols, b->values.cols);
    assert_memory_equal(x, y, (size_t)a->values.cols * sizeof *x);
    free(x);
    free(y);
}

static void assert_round_trip(const struct model *m) {
    struct model back;
    struct talc_error err = {0};
    if (!model_save_folder(m, folder, &err)) fail_msg("%s", err.message);
    load(&back, folder);
    assert_same_values(m, &back);
    model_close(&back);
}

static void what_is_written_is_read_back_to_the_bit(void **state) {
    (void)state;
    static const char *const names[] = {"gpt2",       "qwen3",   "qwen3-tied", "llama", "llama-linear",
                                        "llama-yarn", "mistral", "qwen2",      "phi3",  "phi3-whole",
                                        "gemma",      "gemma2",  "gemma3"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        struct model m;
        snprintf(path, sizeof path, GOLDEN "%s", names[i]);
        load(&m, path);
        assert_round_trip(&m);
        model_close(&m);
    }
}

/* Shapes that no file of transformers has: no biases, windows, an untied GPT-2, biases in Qwen3's attention. */
static void shapes_of_our_own_go_both_ways(void **state) {
    (void)state;
    struct arch a;
    struct model m;
    assert_true(arch_preset("shakespeare-char-cpu", &a, NULL));
    arch_paper_attention(&a);
    a.tie_embeddings = false;
    open_model(&m, &a);
    assert_round_trip(&m);
    model_close(&m);
    assert_true(arch_from_depth(3, 77, &a, NULL));
    a.qkv_bias = a.out_bias = true;
    open_model(&m, &a);
    assert_round_trip(&m);
    model_close(&m);
}

/* ---- files of others ------------------------------------------------------------------------- */

struct edit {
    const char *drop;    /* a tensor that is left out */
    const char *add;     /* one that is put in ... */
    const char *copy_of; /* ... as a copy of this, or else with `shape`, full of `fill` */
    int64_t shape[2];
    int n_dims;
    float fill;
    const char *reshape; /* a matrix that is written [cols, rows] */
    const char *strip;   /* a prefix that names lose */
    enum dtype dtype;    /* DTYPE_NONE: F32 */
    const char *wide;    /* a tensor that is F32 all the same */
};

static enum dtype dtype_of(const struct edit *e, const char *name) {
    return e->dtype == DTYPE_NONE || (e->wide && strcmp(e->wide, name) == 0) ? DTYPE_F32 : e->dtype;
}

static bool dropped(const struct edit *e, const char *name) { return e->drop && strcmp(e->drop, name) == 0; }

static const char *new_name(const struct edit *e, const char *name) {
    size_t n = e->strip ? strlen(e->strip) : 0;
    return n > 0 && strncmp(name, e->strip, n) == 0 ? name + n : name;
}

static void append(struct safetensors_writer *w, const char *name, const float *x, size_t n, enum dtype dtype) {
    uint16_t *narrow = malloc((n + 1) * sizeof *narrow);
    for (size_t i = 0; i < n; i++) narrow[i] = dtype == DTYPE_F16 ? f32_to_f16(x[i]) : f32_to_bf16(x[i]);
    bool wide = dtype == DTYPE_F32;
    assert_true(safetensors_writer_append(w, name, wide ? (const void *)x : narrow, n * dtype_size(dtype), NULL));
    free(narrow);
}

static float *floats_of(const struct safetensors *st, const char *name, size_t *n) {
    const struct safetensor *t = safetensors_find(st, name);
    assert_non_null(t);
    *n = t->n_elements;
    float *x = malloc((*n + 1) * sizeof *x);
    assert_true(safetensor_read_f32(t, 0, *n, x, NULL));
    return x;
}

static void write_added(const struct safetensors *st, struct safetensors_writer *w, const struct edit *e,
                        enum dtype dtype) {
    size_t n = 0;
    float *x = NULL;
    if (e->copy_of) {
        x = floats_of(st, e->copy_of, &n);
    } else {
        n = (size_t)(e->shape[0] * (e->n_dims > 1 ? e->shape[1] : 1));
        x = malloc((n + 1) * sizeof *x);
        for (size_t i = 0; i < n; i++) x[i] = e->fill;
    }
    append(w, e->add, x, n, dtype);
    free(x);
}

/* Writes model.safetensors of `folder` anew, with the edit. */
static void edit_weights(const struct edit *e) {
    char path[128];
    struct talc_error err = {0};
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    struct safetensors *st = safetensors_open(path, &err);
    struct safetensors_writer *w = safetensors_writer_open(path, &err);
    assert_true(st && w);
    for (size_t i = 0; i < safetensors_count(st); i++) {
        const struct safetensor *t = safetensors_at(st, i);
        int64_t shape[SAFETENSORS_MAX_DIMS] = {0};
        bool turned = e->reshape && strcmp(e->reshape, t->name) == 0;
        for (int d = 0; d < t->n_dims; d++) shape[d] = t->shape[turned ? t->n_dims - 1 - d : d];
        if (!dropped(e, t->name))
            assert_true(
                safetensors_writer_declare(w, new_name(e, t->name), dtype_of(e, t->name), t->n_dims, shape, NULL));
    }
    const struct safetensor *original = e->copy_of ? safetensors_find(st, e->copy_of) : NULL;
    if (e->add)
        assert_true(safetensors_writer_declare(w, e->add, dtype_of(e, e->add), original ? original->n_dims : e->n_dims,
                                               original ? original->shape : e->shape, NULL));
    for (size_t i = 0; i < safetensors_count(st); i++) {
        const char *name = safetensors_at(st, i)->name;
        size_t n;
        if (dropped(e, name)) continue;
        float *x = floats_of(st, name, &n);
        append(w, new_name(e, name), x, n, dtype_of(e, name));
        free(x);
    }
    if (e->add) write_added(st, w, e, dtype_of(e, e->add));
    safetensors_close(st);
    assert_true(safetensors_writer_commit(w, NULL));
}

static void write_golden(const char *name) {
    char path[128];
    struct model m;
    snprintf(path, sizeof path, GOLDEN "%s", name);
    load(&m, path);
    assert_true(model_save_folder(&m, folder, NULL));
    model_close(&m);
}

static void a_base_model_without_prefix_is_read(void **state) {
    (void)state;
    static const struct { const char *name, *prefix; } cases[] = {{"gpt2", "transformer."}, {"qwen3-tied", "model."}};
    for (int i = 0; i < 2; i++) {
        struct model before, after;
        write_golden(cases[i].name);
        load(&before, folder);
        edit_weights(&(struct edit){.strip = cases[i].prefix});
        load(&after, folder);
        assert_same_values(&before, &after);
        model_close(&before);
        model_close(&after);
    }
}

static void half_precision_is_read(void **state) {
    (void)state;
    static const enum dtype dtypes[] = {DTYPE_F16, DTYPE_BF16};
    for (int i = 0; i < 2; i++) {
        struct model before, after;
        write_golden(i == 0 ? "gpt2" : "qwen3"); /* made of values of that type: nothing is lost */
        load(&before, folder);
        edit_weights(&(struct edit){.dtype = dtypes[i]});
        load(&after, folder);
        assert_same_values(&before, &after);
        model_close(&before);
        model_close(&after);
    }
}

/* To infer, matrices and tables stay in 16 bits where all of them are; norms and biases never. */
static void weights_stay_as_they_are_stored(void **state) {
    (void)state;
    static const struct {
        struct edit edit;
        enum dtype expected;
    } cases[] = {{{.dtype = DTYPE_F16}, DTYPE_F16},
                 {{.dtype = DTYPE_BF16}, DTYPE_BF16},
                 {{.dtype = DTYPE_NONE}, DTYPE_F32},
                 {{.dtype = DTYPE_F16, .wide = "model.layers.1.mlp.up_proj.weight"}, DTYPE_F32},
                 {{.dtype = DTYPE_BF16, .wide = "model.embed_tokens.weight"}, DTYPE_F32},
                 {{.dtype = DTYPE_BF16, .wide = "model.norm.weight"}, DTYPE_BF16},
                 {{.dtype = DTYPE_F16, .wide = "model.layers.1.self_attn.v_proj.bias"}, DTYPE_F16}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model m;
        struct talc_error err = {0};
        struct run_options o = {.max_tokens = 1, .max_sequences = 1};
        enum dtype told, expected = cases[i].expected;
        write_golden("llama");
        edit_weights(&cases[i].edit);
        if (!model_load_folder(&m, folder, &device.stream, NULL, &err)) fail_msg("%s", err.message);
        assert_true(model_stored_weights(folder, &told, NULL) && told == expected);
        for (int p = 0; p < m.n_parameters; p++) {
            bool vector = m.parameters[p].role == ROLE_NORM || m.parameters[p].role == ROLE_BIAS;
            assert_int_equal(m.parameters[p].value.dtype, vector ? DTYPE_F32 : expected);
        }
        assert_int_equal(model_memory(&m.arch, &o, expected).parameters,
                         (size_t)m.values.cols * dtype_size(m.values.dtype));
        model_close(&m);
    }
}

static void masks_and_a_copy_of_a_tied_head_are_passed_over(void **state) {
    (void)state;
    struct model m;
    write_golden("gpt2");
    edit_weights(&(struct edit){.add = "transformer.h.0.attn.bias", .n_dims = 2, .shape = {24, 24}, .fill = 1});
    edit_weights(&(struct edit){.add = "lm_head.weight", .copy_of = "transformer.wte.weight"});
    load(&m, folder);
    model_close(&m);
}

static void assert_refused(const char *why) {
    struct model m;
    struct talc_error err = {0};
    if (model_load_folder(&m, folder, &device.stream, NULL, &err)) fail_msg("accepted; expected: %s", why);
    if (!strstr(err.message, why)) fail_msg("want \"%s\" in: %s", why, err.message);
    assert_null(strchr(err.message, '\n'));
    assert_null(m.memory);
}

static void weights_that_do_not_fit_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *golden;
        struct edit edit;
        const char *why;
    } cases[] = {
        {"gpt2", {.drop = "transformer.h.1.mlp.c_fc.weight"}, "\"transformer.h.1.mlp.c_fc.weight\" is missing"},
        {"gpt2", {.drop = "transformer.h.1.ln_1.bias"}, "\"transformer.h.1.ln_1.bias\" is missing"},
        {"qwen3", {.drop = "lm_head.weight"}, "\"lm_head.weight\" is missing"},
        {"qwen3", {.drop = "model.layers.0.self_attn.v_proj.weight"}, "v_proj.weight\" is missing"},
        {"gpt2", {.add = "transformer.h.2.ln_1.bias", .n_dims = 1, .shape = {32}}, "\"transformer.h.2.ln_1.bias\""},
        {"qwen3", {.add = "model.layers.0.self_attn.q_proj.bias", .n_dims = 1, .shape = {64}}, "q_proj.bias\""},
        {"gpt2", {.add = "lm_head.weight", .n_dims = 2, .shape = {53, 32}, .fill = 1}, "ties head and embedding"},
        {"gpt2", {.reshape = "transformer.h.0.mlp.c_fc.weight"}, "has shape [128, 32], but the model needs [32, 128]"},
        {"qwen3", {.reshape = "model.layers.1.mlp.up_proj.weight"}, "has shape [32, 48], but the model needs [48, 32]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_golden(cases[i].golden);
        edit_weights(&cases[i].edit);
        assert_refused(cases[i].why);
    }
}

/* Changes a number of config.json. */
static void edit_config(const char *key, json_int_t value) {
    char path[128];
    snprintf(path, sizeof path, "%s/config.json", folder);
    json_t *config = json_read_file(path, 0, NULL);
    assert_true(config && json_object_set_new(config, key, json_integer(value)) == 0);
    assert_true(json_write_file(path, config, NULL));
    json_decref(config);
}

/* A config.json that asks for terabytes is found out before memory is taken. */
static void a_config_that_does_not_fit_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *key;
        json_int_t value;
        const char *why;
    } cases[] = {{"n_layer", 3, "transformer.h.2.ln_1.weight"},
                 {"vocab_size", 54, "the model needs [54, 32]"},
                 {"n_positions", 1 << 23, "the model needs [8388608, 32]"},
                 {"n_inner", 1 << 22, "needs [32, 4194304]"},
                 {"n_layer", 1, "nothing in config.json asks for"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_golden("gpt2");
        edit_config(cases[i].key, cases[i].value);
        assert_refused(cases[i].why);
    }
}

/* Kept in 16 bits, a matrix goes to its place unlooked at, but for this. */
static void a_number_that_is_none_is_refused_in_16_bits(void **state) {
    (void)state;
    char path[128];
    static const char *const name = "model.layers.1.mlp.up_proj.weight";
    static const uint16_t bad[] = {0x7fc0, 0x7f80, 0xff80}; /* of bf16: NaN, the infinities */
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_golden("qwen3");
        edit_weights(&(struct edit){.dtype = DTYPE_BF16});
        snprintf(path, sizeof path, "%s/model.safetensors", folder);
        size_t n_bytes;
        char *bytes = file_read(path, 1 << 20, &n_bytes, NULL);
        struct safetensors *st = safetensors_open(path, NULL);
        assert_true(bytes && st);
        const struct safetensor *t = safetensors_find(st, name);
        char *at = memmem(bytes, n_bytes, t->data, t->n_bytes);
        assert_true(at && t->dtype == DTYPE_BF16);
        safetensors_close(st);
        memcpy(at + 2 * 7, &bad[i], sizeof bad[i]);
        assert_true(atomic_write_file(path, bytes, n_bytes, NULL));
        free(bytes);
        assert_refused("number 7 of tensor \"model.layers.1.mlp.up_proj.weight\" is not finite");
    }
}

static void a_bias_that_the_config_denies_must_be_zero(void **state) {
    (void)state;
    struct arch a;
    struct model m;
    assert_true(arch_preset("shakespeare-char-cpu", &a, NULL));
    open_model(&m, &a);
    assert_true(model_save_folder(&m, folder, NULL));
    model_close(&m);
    edit_weights(&(struct edit){.drop = "transformer.h.0.ln_1.bias"}); /* neither has it: fine */
    load(&m, folder);
    model_close(&m);
    edit_weights(&(struct edit){.add = "transformer.h.0.ln_1.bias", .n_dims = 1, .shape = {128}, .fill = 0.5f});
    assert_refused("\"transformer.h.0.ln_1.bias\" is not zero");
}

static void a_folder_without_files_is_refused(void **state) {
    (void)state;
    char path[128];
    write_golden("gpt2");
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_int_equal(remove(path), 0);
    assert_refused("model.safetensors");
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_true(atomic_write_file(path, "{\"model_type\":", 14, NULL));
    assert_refused("config.json");
    assert_int_equal(remove(path), 0);
    assert_refused("config.json");
}

/* ---- the beginning --------------------------------------------------------------------------- */

static double deviation(const struct parameter *p, struct stream *stream) {
    size_t n = (size_t)(p->value.rows * p->value.cols);
    float *x = tensor_case_read(stream, p->value);
    double sum = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i];
        square += (double)x[i] * (double)x[i];
    }
    free(x);
    assert_true(fabs(sum / (double)n) < 0.05 * sqrt(square / (double)n) + 1e-12);
    return sqrt(square / (double)n);
}

static void assert_deviation(const struct parameter *p, double expected) {
    double found = deviation(p, &device.stream);
    if (fabs(found - expected) > 0.03 * expected) fail_msg("%s: deviation %g, expected %g", p->name, found, expected);
}

static void new_models_begin_as_they_should(void **state) {
    (void)state;
    struct arch a;
    struct model m;
    assert_true(arch_from_depth(4, 300, &a, NULL));
    assert_true(model_open(&m, &a, &device.stream, NULL, NULL));
    assert_true(model_initialize(&m, INIT_ZERO_OUT, 3, NULL));
    assert_deviation(m.embedding, 1);
    assert_deviation(m.head.weight, 0.001);
    assert_deviation(m.blocks[1].qkv.weight, 1 / sqrt(128));
    assert_deviation(m.blocks[3].down.weight, 0);
    assert_deviation(m.blocks[0].out.weight, 0);
    assert_true(model_initialize(&m, INIT_GPT2, 3, NULL));
    assert_deviation(m.blocks[1].up.weight, 0.02);
    assert_deviation(m.blocks[1].down.weight, 0.02 / sqrt(8));
    float *ones = tensor_case_read(&device.stream, m.blocks[2].q_norm->value);
    for (int i = 0; i < a.head_dim; i++) assert_true(ones[i] == 1);
    free(ones);
    model_close(&m);
}

static void the_beginning_is_the_seeds_and_not_the_threads(void **state) {
    (void)state;
    struct arch a;
    struct model m[3];
    struct device_case plain;
    device_case_open(&plain, "ref");
    assert_true(arch_preset("shakespeare-char-cpu", &a, NULL));
    for (int i = 0; i < 3; i++) {
        struct stream *stream = i == 1 ? &plain.stream : &device.stream;
        struct thread_pool *pool = plain.stream.pool;
        plain.stream.pool = NULL; /* no threads at all */
        assert_true(model_open(&m[i], &a, stream, NULL, NULL) &&
                    model_initialize(&m[i], INIT_GPT2, i == 2 ? 6 : 5, NULL));
        plain.stream.pool = pool;
    }
    assert_same_values(&m[0], &m[1]);
    float *x = tensor_case_read(m[0].stream, m[0].values), *y = tensor_case_read(m[2].stream, m[2].values);
    assert_memory_not_equal(x, y, 4096);
    free(x);
    free(y);
    for (int i = 0; i < 3; i++) model_close(&m[i]);
    device_case_close(&plain);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back_to_the_bit),
        cmocka_unit_test(shapes_of_our_own_go_both_ways),
        cmocka_unit_test(a_base_model_without_prefix_is_read),
        cmocka_unit_test(half_precision_is_read),
        cmocka_unit_test(weights_stay_as_they_are_stored),
        cmocka_unit_test(masks_and_a_copy_of_a_tied_head_are_passed_over),
        cmocka_unit_test(weights_that_do_not_fit_are_refused),
        cmocka_unit_test(a_config_that_does_not_fit_is_refused),
        cmocka_unit_test(a_number_that_is_none_is_refused_in_16_bits),
        cmocka_unit_test(a_bias_that_the_config_denies_must_be_zero),
        cmocka_unit_test(a_folder_without_files_is_refused),
        cmocka_unit_test(new_models_begin_as_they_should),
        cmocka_unit_test(the_beginning_is_the_seeds_and_not_the_threads),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
