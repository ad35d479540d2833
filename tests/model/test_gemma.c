/* The files of Gemma: what they leave out, keys of both versions of transformers, a model with images, norms that are
 * kept less 1, and what is refused. */
#include "support/arch_case.h"
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
    strcpy(folder, "/tmp/talc-gemma-XXXXXX");
    device_case_open(&device, "cpu");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    device_case_close(&device);
    return folder_remove(folder, NULL) ? 0 : -1;
}

static void read_config(const char *text, struct arch *a) {
    struct talc_error err = {0};
    if (!arch_case_read(text, a, &err)) fail_msg("%s gave: %s", text, err.message);
}

/* ---- config.json ----------------------------------------------------------------------------- */

/* The text of a model with images as its makers publish it, and that of 1 billion parameters. */
#define PUBLISHED_4B                                                                                                   \
    "{\"model_type\":\"gemma3\",\"architectures\":[\"Gemma3ForConditionalGeneration\"],\"boi_token_index\":255999,"    \
    "\"eos_token_id\":[1,106],\"image_token_index\":262144,\"mm_tokens_per_image\":256,\"text_config\":{"              \
    "\"hidden_size\":2560,\"intermediate_size\":10240,\"model_type\":\"gemma3_text\",\"num_hidden_layers\":34,"        \
    "\"rope_scaling\":{\"factor\":8.0,\"rope_type\":\"linear\"},\"sliding_window\":1024},"                             \
    "\"vision_config\":{\"hidden_size\":1152,\"model_type\":\"siglip_vision_model\"}}"
#define PUBLISHED_1B                                                                                                   \
    "{\"model_type\":\"gemma3_text\",\"attention_bias\":false,\"attention_dropout\":0.0,"                              \
    "\"attn_logit_softcapping\":null,\"bos_token_id\":2,\"cache_implementation\":\"hybrid\",\"eos_token_id\":[1,106]," \
    "\"final_logit_softcapping\":null,\"head_dim\":256,\"hidden_activation\":\"gelu_pytorch_tanh\","                   \
    "\"hidden_size\":1152,\"intermediate_size\":6912,\"max_position_embeddings\":32768,\"num_attention_heads\":4,"     \
    "\"num_hidden_layers\":26,\"num_key_value_heads\":1,\"pad_token_id\":0,\"query_pre_attn_scalar\":256,"             \
    "\"rms_norm_eps\":1e-06,\"rope_local_base_freq\":10000,\"rope_scaling\":null,\"rope_theta\":1000000,"              \
    "\"sliding_window\":512,\"sliding_window_pattern\":6,\"vocab_size\":262144}"

static void published_files_give_the_published_sizes(void **state) {
    (void)state;
    struct arch a;
    read_config(PUBLISHED_1B, &a);
    assert_int_equal(arch_parameters(&a), 999885952);
    assert_int_equal(a.layers[0].window, 512);
    read_config(PUBLISHED_4B, &a);
    assert_string_equal(a.family, "gemma3_text");
    assert_int_equal(arch_parameters(&a), 3880263168); /* and 419,816,688 in the vision tower and its projector */
    assert_int_equal(a.eos_id, 1);
    assert_int_equal(a.n_heads, 8);
    assert_int_equal(a.n_kv_heads, 4);
    for (int l = 0; l < a.n_layers; l++) {
        bool full = l % 6 == 5;
        assert_int_equal(a.layers[l].window, full ? 0 : 1024);
        assert_true(a.layers[l].rope_base == (full ? 1e6f : 1e4f));
        assert_int_equal(a.layers[l].scaling.kind, full ? ROPE_LINEAR : ROPE_PLAIN);
        assert_true(!full || a.layers[l].scaling.factor == 8);
    }
    read_config("{\"model_type\":\"gemma2\"}", &a);
    assert_int_equal(arch_parameters(&a), 2614341888);
    assert_true(a.attention_softcap == 50 && a.logit_softcap == 30 && a.query_pre_attn_scalar == 256);
    for (int l = 0; l < a.n_layers; l++) assert_int_equal(a.layers[l].window, l % 2 ? 0 : 4096);
    read_config("{\"model_type\":\"gemma\",\"hidden_act\":\"gelu\"}", &a);
    assert_int_equal(arch_parameters(&a), 8537680896);
    assert_true(a.scale_embedding && !a.post_norms && a.tie_embeddings && a.layers[0].window == 0);
}

#define SMALL "\"num_hidden_layers\":3,\"hidden_size\":64,\"head_dim\":16"
#define GEMMA "{\"model_type\":\"gemma\"," SMALL
#define GEMMA2 "{\"model_type\":\"gemma2\"," SMALL
#define GEMMA3 "{\"model_type\":\"gemma3_text\"," SMALL

static void keys_of_both_versions_of_transformers_are_read(void **state) {
    (void)state;
    struct arch a, b;
    read_config(GEMMA3 ",\"rope_theta\":5e5,\"rope_local_base_freq\":2e3,\"sliding_window_pattern\":2,"
                       "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":4}}",
                &a);
    read_config(GEMMA3 ",\"layer_types\":[\"sliding_attention\",\"full_attention\",\"sliding_attention\"],"
                       "\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"linear\",\"rope_theta\":5e5,"
                       "\"factor\":4},\"sliding_attention\":{\"rope_type\":\"default\",\"rope_theta\":2e3}}}",
                &b);
    arch_case_same(&a, &b);
    assert_true(a.layers[1].rope_base == 5e5f && a.layers[2].rope_base == 2e3f);
    read_config(GEMMA2 "}", &a);
    read_config(GEMMA2 ",\"layer_types\":[\"sliding_attention\",\"full_attention\",\"sliding_attention\"],"
                       "\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":10000}}",
                &b);
    arch_case_same(&a, &b);
}

static void shapes_go_both_ways(void **state) {
    (void)state;
    static const char *const configs[] = {
        PUBLISHED_4B,
        PUBLISHED_1B,
        GEMMA ",\"eos_token_id\":1,\"attention_bias\":true}",
        GEMMA2 ",\"attn_logit_softcapping\":null,\"final_logit_softcapping\":null,\"query_pre_attn_scalar\":144}",
        GEMMA2 ",\"tie_word_embeddings\":false,\"rope_theta\":5000,\"attn_logit_softcapping\":12.5}",
        GEMMA2 ",\"layer_types\":[\"full_attention\",\"full_attention\",\"sliding_attention\"]}",
        GEMMA3 ",\"final_logit_softcapping\":7}",
        GEMMA3 ",\"sliding_window_pattern\":1}",
        GEMMA3 ",\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\",\"rope_theta\":5e5},"
               "\"sliding_attention\":{\"rope_type\":\"linear\",\"rope_theta\":2e3,\"factor\":2.5}}}",
        GEMMA3 ",\"layer_types\":[\"full_attention\",\"full_attention\",\"sliding_attention\"],\"sliding_window\":9}",
    };
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        struct arch a;
        read_config(configs[i], &a);
        arch_case_both_ways(&a);
    }
}

/* Programs that do not know layer_types find the pattern. */
static void the_pattern_is_written(void **state) {
    (void)state;
    static const struct {
        const char *config;
        json_int_t pattern;
    } cases[] = {{PUBLISHED_1B, 6}, {GEMMA3 "}", 4}, {GEMMA3 ",\"sliding_window_pattern\":2}", 2}};
    for (int i = 0; i < 3; i++) {
        struct arch a;
        read_config(cases[i].config, &a);
        json_t *config = arch_to_config(&a);
        assert_int_equal(json_integer_value(json_object_get(config, "sliding_window_pattern")), cases[i].pattern);
        assert_int_equal(json_array_size(json_object_get(config, "layer_types")), a.n_layers);
        json_decref(config);
    }
}

/* transformers 5 does not run these families with a window of null. */
static void a_window_is_written_where_no_layer_has_one(void **state) {
    (void)state;
    const char *configs[] = {GEMMA3 ",\"sliding_window_pattern\":1}",
                             GEMMA2 ",\"layer_types\":[\"full_attention\",\"full_attention\",\"full_attention\"]}"};
    for (int i = 0; i < 2; i++) {
        struct arch a;
        read_config(configs[i], &a);
        assert_int_equal(a.layers[0].window, 0);
        json_t *config = arch_to_config(&a);
        assert_true(json_is_integer(json_object_get(config, "sliding_window")));
        json_decref(config);
    }
}

static void what_talc_does_not_do_is_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *config, *why;
    } hostile[] = {
        {GEMMA ",\"hidden_activation\":\"silu\"}", "hidden_activation is 'silu'"},
        {GEMMA ",\"hidden_act\":\"relu\"}", "hidden_act is 'relu'"},
        {GEMMA2 ",\"hidden_activation\":\"gelu\"}", "hidden_activation is 'gelu'"},
        {GEMMA2 ",\"use_bidirectional_attention\":true}", "use_bidirectional_attention is true"},
        {GEMMA2 ",\"attn_logit_softcapping\":0}", "attn_logit_softcapping is 0"},
        {GEMMA2 ",\"attn_logit_softcapping\":-50}", "attn_logit_softcapping is -50"},
        {GEMMA2 ",\"final_logit_softcapping\":1e300}", "the soft cap of logits"},
        {GEMMA2 ",\"final_logit_softcapping\":1e-30}", "the soft cap of logits"},
        {GEMMA2 ",\"final_logit_softcapping\":\"30\"}", "final_logit_softcapping"},
        {GEMMA2 ",\"query_pre_attn_scalar\":0}", "query_pre_attn_scalar"},
        {GEMMA2 ",\"sliding_window\":0}", "sliding_window"},
        {GEMMA3 ",\"sliding_window\":null}", "sliding_window is null"},
        {GEMMA2 ",\"layer_types\":[\"full_attention\"]}", "layer_types has 1 entries for 3 layers"},
        {GEMMA2 ",\"layer_types\":7}", "layer_types"},
        {GEMMA2 ",\"layer_types\":[\"full_attention\",\"full_attention\",\"chunked_attention\"]}", "chunked_attention"},
        {GEMMA2 ",\"rope_parameters\":{\"rope_type\":\"default\",\"partial_rotary_factor\":0.5}}", "part of a head"},
        {"{\"model_type\":\"gemma2\",\"head_dim\":15}", "even"},
        {GEMMA2 ",\"num_key_value_heads\":3}", "evenly"},
        {"{\"model_type\":\"gemma2\",\"num_hidden_layers\":100000}", "100000 layers"},
        {GEMMA3 ",\"attn_logit_softcapping\":50}", "attn_logit_softcapping is set"},
        {GEMMA3 ",\"final_logit_softcapping\":0}", "final_logit_softcapping is 0"},
        {GEMMA3 ",\"partial_rotary_factor\":0.5}", "a part of a head"},
        {GEMMA3 ",\"sliding_window_pattern\":0}", "sliding_window_pattern"},
        {GEMMA3 ",\"rope_local_base_freq\":-1}", "rotary base"},
        {GEMMA3 ",\"rope_scaling\":{\"rope_type\":\"linear\"}}", "factor is missing"},
        {GEMMA3 ",\"rope_scaling\":{\"rope_type\":\"mrope\"}}", "mrope"},
        {GEMMA3 ",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4,\"truncate\":false}}", "truncate false"},
        {GEMMA3 ",\"rope_scaling\":7}", "not an object"},
        {GEMMA3 ",\"rope_parameters\":7}", "rope_parameters is not an object"},
        {GEMMA3 ",\"rope_parameters\":{\"rope_type\":\"default\"}}", "neither full_attention nor sliding_attention"},
        {GEMMA3 ",\"rope_parameters\":{\"sliding_attention\":[]}}", "sliding_attention is not an object"},
        {GEMMA3 ",\"rope_parameters\":{\"full_attention\":{\"partial_rotary_factor\":0.5}}}", "a part of a head"},
        {"{\"model_type\":\"gemma3\"}", "text_config is not an object"},
        {"{\"model_type\":\"gemma3\",\"text_config\":[]}", "text_config is not an object"},
        {"{\"model_type\":\"gemma3\",\"text_config\":{\"head_dim\":-1}}", "head_dim"},
        {"{\"model_type\":\"gemma3n\"}", "gemma3n"},
    };
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        struct arch a;
        struct talc_error err = {0};
        if (arch_case_read(hostile[i].config, &a, &err)) fail_msg("accepted: %s", hostile[i].config);
        if (!strstr(err.message, hostile[i].why) || strncmp(err.message, "config.json: ", 13) != 0)
            fail_msg("%s gave: %s", hostile[i].config, err.message);
    }
}

/* ---- tensors --------------------------------------------------------------------------------- */

static float *floats_of(const struct safetensors *st, const char *name, size_t *n) {
    const struct safetensor *t = safetensors_find(st, name);
    if (!t) fail_msg("%s is missing", name);
    *n = t->n_elements;
    float *x = malloc((*n + 1) * sizeof *x);
    assert_true(x && safetensor_read_f32(t, 0, *n, x, NULL));
    return x;
}

static void load(struct model *m, const char *from) {
    struct talc_error err = {0};
    if (!model_load_folder(m, from, &device.stream, &(struct model_options){0}, &err)) fail_msg("%s", err.message);
}

/* Of every norm the file has what the model has less 1, also of one that talc has made, whose norms are 1. */
static void norms_are_kept_less_one(void **state) {
    (void)state;
    struct model m;
    struct arch a;
    size_t n;
    load(&m, GOLDEN "gemma3");
    struct safetensors *st = safetensors_open(GOLDEN "gemma3/model.safetensors", NULL);
    float *file = floats_of(st, "model.layers.1.post_feedforward_layernorm.weight", &n),
          *ours = tensor_case_read(m.stream, m.blocks[1].mlp_post_norm.weight->value);
    for (size_t i = 0; i < n; i++) assert_true(ours[i] == 1 + file[i] && file[i] != 0);
    safetensors_close(st);
    free(file);
    free(ours);
    a = m.arch;
    model_close(&m);
    char path[128];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_true(model_open(&m, &a, &device.stream, NULL, NULL) && model_initialize(&m, INIT_GPT2, 7, NULL) &&
                model_save_folder(&m, folder, NULL));
    model_close(&m);
    st = safetensors_open(path, NULL);
    file = floats_of(st, "model.layers.0.self_attn.q_norm.weight", &n);
    for (size_t i = 0; i < n; i++) assert_true(file[i] == 0);
    safetensors_close(st);
    free(file);
}

/* The golden gemma3 as the text of a model with images: its config.json wrapped, other prefixes, other tensors. */
static void write_with_images(const char *prefix, const char *stranger) {
    char path[128], name[192];
    struct talc_error err = {0};
    struct safetensors *st = safetensors_open(GOLDEN "gemma3/model.safetensors", &err);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    struct safetensors_writer *w = safetensors_writer_open(path, &err);
    assert_true(st && w);
    int64_t shape[1] = {3};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < safetensors_count(st); i++) {
            const struct safetensor *t = safetensors_at(st, i);
            snprintf(name, sizeof name, "%s%s", prefix, t->name + strlen("model."));
            if (round == 0)
                assert_true(safetensors_writer_declare(w, name, t->dtype, t->n_dims, t->shape, NULL));
            else
                assert_true(safetensors_writer_append(w, name, t->data, t->n_bytes, NULL));
        }
        if (round == 0)
            assert_true(safetensors_writer_declare(w, stranger, DTYPE_F32, 1, shape, NULL));
        else
            assert_true(safetensors_writer_append(w, stranger, (const float[]){1, 2, 3}, 12, NULL));
    }
    safetensors_close(st);
    assert_true(safetensors_writer_commit(w, NULL));
    json_t *text = json_read_file(GOLDEN "gemma3/config.json", 0, NULL);
    json_t *config = json_pack("{s:s,s:o,s:{}}", "model_type", "gemma3", "text_config", text, "vision_config");
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_true(config && json_write_file(path, config, NULL));
    json_decref(config);
}

static void the_text_of_a_model_with_images_is_opened(void **state) {
    (void)state;
    static const char *const names[][2] = {
        {"language_model.model.", "vision_tower.vision_model.embeddings.patch_embedding.bias"},
        {"model.language_model.", "model.multi_modal_projector.mm_soft_emb_norm.weight"}};
    struct model m, text;
    struct talc_error err = {0};
    load(&text, GOLDEN "gemma3");
    for (int i = 0; i < 2; i++) {
        write_with_images(names[i][0], names[i][1]);
        load(&m, folder);
        float *x = tensor_case_read(m.stream, m.values), *y = tensor_case_read(text.stream, text.values);
        assert_int_equal(m.values.cols, text.values.cols);
        assert_memory_equal(x, y, (size_t)m.values.cols * sizeof *x);
        free(x);
        free(y);
        model_close(&m);
    }
    model_close(&text);
    write_with_images("language_model.model.", "audio_tower.bias");
    assert_false(model_load_folder(&m, folder, &device.stream, NULL, &err));
    assert_non_null(strstr(err.message, "nothing in config.json asks for tensor \"audio_tower.bias\""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_files_give_the_published_sizes),
        cmocka_unit_test(keys_of_both_versions_of_transformers_are_read),
        cmocka_unit_test(shapes_go_both_ways),
        cmocka_unit_test(the_pattern_is_written),
        cmocka_unit_test(a_window_is_written_where_no_layer_has_one),
        cmocka_unit_test(what_talc_does_not_do_is_refused_by_name),
        cmocka_unit_test(norms_are_kept_less_one),
        cmocka_unit_test(the_text_of_a_model_with_images_is_opened),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
