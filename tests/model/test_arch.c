/* Shapes: the presets have the published sizes, --depth gives whole shapes, config.json goes both ways, and what talc
 * does not do is refused by name. */
#include "support/arch_case.h"
#include "support/cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "file/json.h"
#include "model/layout.h"

static struct arch preset(const char *name) {
    struct arch a;
    struct talc_error err = {0};
    if (!arch_preset(name, &a, &err)) fail_msg("%s", err.message);
    return a;
}

/* Hugging Face's counts of GPT-2; for GPT-3, table 2.1 of Brown et al. (2020), rounded there and without the tables. */
static void presets_have_the_published_sizes(void **state) {
    (void)state;
    static const struct {
        const char *name;
        double millions, tolerance;
    } known[] = {{"gpt2-124m", 124.439808, 0},
                 {"gpt2-355m", 354.823168, 0},
                 {"gpt2-774m", 774.030080, 0},
                 {"gpt2-1558m", 1557.611200, 0},
                 {"gpt3-125m", 125, 0.01},
                 {"gpt3-350m", 356, 0.01},
                 {"gpt3-760m", 760, 0.01},
                 {"gpt3-1.3b", 1320, 0.01},
                 {"gpt3-2.7b", 2650, 0.01},
                 {"gpt3-6.7b", 6660, 0.01},
                 {"gpt3-13b", 12850, 0.01},
                 {"gpt3-175b", 174600, 0.001},
                 {"shakespeare-char-cpu", 0.804096, 0.0},
                 {"shakespeare-char-gpu", 10.745088, 0.0}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct arch a = preset(known[i].name);
        double millions = (double)arch_parameters(&a) / 1e6;
        if (fabs(millions - known[i].millions) > known[i].tolerance * known[i].millions + 1e-9)
            fail_msg("%s has %.6f million parameters, not %.6f", known[i].name, millions, known[i].millions);
    }
}

static void an_unknown_preset_is_refused_with_the_list(void **state) {
    (void)state;
    struct arch a;
    struct talc_error err = {0};
    assert_false(arch_preset("gpt5", &a, &err));
    assert_non_null(strstr(err.message, "gpt5"));
    assert_non_null(strstr(err.message, "shakespeare-char-gpu"));
}

/* 6 FLOPs a multiplying parameter and 6 n_layers hidden context of attention; both halved within a window. */
static void arithmetic_follows_the_formula(void **state) {
    (void)state;
    struct arch a = preset("gpt2-124m");
    double dense = 6.0 * (12 * 12.0 * 768 * 768 + 50257.0 * 768) + 6.0 * 12 * 768 * 1024;
    assert_true(fabs(arch_train_flops(&a, 1024) / dense - 1) < 1e-12);
    arch_paper_attention(&a);
    double keys = 512 - (128 - 128.0 * 128 / 2048);
    assert_true(fabs(arch_train_flops(&a, 1024) / (dense - 12.0 * 6 * 768 * keys) - 1) < 1e-12);
}

static void paper_attention_alternates(void **state) {
    (void)state;
    struct arch a = preset("gpt3-125m");
    arch_paper_attention(&a);
    for (int l = 0; l < a.n_layers; l++) assert_int_equal(a.layers[l].window > 0, l % 2);
}

static void every_depth_is_a_whole_shape(void **state) {
    (void)state;
    struct arch a;
    struct talc_error err = {0};
    int64_t last = 0;
    for (int depth = 1; depth <= 64; depth++) {
        if (!arch_from_depth(depth, 8192, &a, &err)) fail_msg("depth %d: %s", depth, err.message);
        assert_int_equal(a.n_layers, depth);
        assert_int_equal(a.n_heads % a.n_kv_heads, 0);
        assert_int_equal(a.intermediate_size % 64, 0);
        assert_int_equal(a.n_heads / a.n_kv_heads, depth < 12 ? 1 : 2);
        assert_true(arch_parameters(&a) > last);
        last = arch_parameters(&a);
    }
    assert_false(arch_from_depth(0, 8192, &a, &err));
    assert_false(arch_from_depth(100000, 8192, &a, &err));
    assert_false(arch_from_depth(4, 0, &a, &err));
}

/* What is planned for 175 billion parameters needs no memory of that size, and is what training in fp32 takes. */
static void memory_of_a_giant_is_known_without_it(void **state) {
    (void)state;
    struct arch a = preset("gpt3-175b");
    struct run_options o = {.max_tokens = 2048, .max_sequences = 1, .training = true};
    struct memory_table t = model_memory(&a, &o, DTYPE_F32);
    assert_true(t.parameters == (size_t)arch_parameters(&a) * 4 && t.gradients == t.parameters);
    assert_true(t.optimizer == 2 * t.parameters);
    assert_true(t.total ==
                t.parameters + t.gradients + t.optimizer + t.activations + t.workspace + t.logits + t.kv_cache);
    o = (struct run_options){
        .max_tokens = 512, .max_sequences = 1, .kv_block_tokens = 16, .kv_blocks = 128, .blocks_per_sequence = 128};
    assert_true(model_memory(&a, &o, DTYPE_F32).kv_cache == (size_t)2 * 96 * 2048 * 12288 * 4);
}

/* ---- config.json ----------------------------------------------------------------------------- */

static void configs_go_both_ways(void **state) {
    (void)state;
    for (const struct preset *p = presets; p->name; p++) {
        struct arch a = preset(p->name);
        arch_case_both_ways(&a);
        a.eos_id = 7;
        a.activation = ACTIVATION_RELU2;
        a.tie_embeddings = false;
        arch_paper_attention(&a);
        arch_case_both_ways(&a);
    }
    struct arch a;
    assert_true(arch_from_depth(13, 5000, &a, NULL));
    arch_case_both_ways(&a);
    a.dropout = 0.1f;
    a.qkv_bias = a.out_bias = true;
    a.layers[3].window = a.layers[7].window = 64;
    for (int l = 0; l < a.n_layers; l++) a.layers[l].rope_base = 1e6f;
    arch_case_both_ways(&a);
}

#define QWEN3                                                                                                          \
    "\"model_type\":\"qwen3\",\"vocab_size\":100,\"hidden_size\":64,\"num_hidden_layers\":2,"                          \
    "\"num_attention_heads\":4,\"intermediate_size\":128"
#define GPT2 "\"model_type\":\"gpt2\",\"n_head\":4"

#define SHAPE                                                                                                          \
    "\"vocab_size\":100,\"hidden_size\":80,\"num_hidden_layers\":3,\"num_attention_heads\":4,"                         \
    "\"intermediate_size\":128,\"rms_norm_eps\":1e-5"
#define LLAMA "\"model_type\":\"llama\"," SHAPE
#define MIXED_LAYERS "[\"full_attention\",\"sliding_attention\",\"full_attention\"]"
#define MISTRAL "\"model_type\":\"mistral\"," SHAPE
#define QWEN2 "\"model_type\":\"qwen2\"," SHAPE
#define PHI3 "\"model_type\":\"phi3\"," SHAPE
#define FACTORS(a, b) "[" a "," b "," a "," b "," a "," b "," a "]"
#define LONG(more)                                                                                                     \
    "\"partial_rotary_factor\":0.7,\"max_position_embeddings\":640,\"original_max_position_embeddings\":80,"           \
    "\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":" FACTORS("1", "1.5") ",\"long_factor\":" FACTORS(       \
        "2", "4.25") more "}"

/* What was read is written so that it is read again, and keeps what transformers needs besides. */
static void configs_of_every_family_go_both_ways(void **state) {
    (void)state;
    static const char *const configs[] = {
        "{" LLAMA ",\"num_key_value_heads\":2,\"attention_bias\":true,\"mlp_bias\":true,\"head_dim\":null}",
        "{" LLAMA ",\"head_dim\":32,\"pretraining_tp\":2,\"tie_word_embeddings\":true}",
        "{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2.5}}",
        "{" LLAMA ",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}}",
        "{" LLAMA ",\"rope_theta\":5e5,\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,"
        "\"high_freq_factor\":4,\"original_max_position_embeddings\":8192},\"max_position_embeddings\":131072}",
        "{" LLAMA ",\"rope_parameters\":{\"rope_type\":\"yarn\",\"rope_theta\":1e6,\"factor\":4,\"truncate\":false,"
        "\"original_max_position_embeddings\":512}}",
        "{" LLAMA ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4,\"mscale\":1.5,\"mscale_all_dim\":0.5,"
        "\"beta_fast\":16,\"beta_slow\":2,\"original_max_position_embeddings\":512}}",
        "{" LLAMA ",\"attention_dropout\":0.1,\"embd_pdrop\":0.1,\"resid_pdrop\":0.1}",
        "{" MISTRAL ",\"sliding_window\":null}",
        "{" MISTRAL ",\"sliding_window\":9,\"head_dim\":24}",
        "{" MISTRAL ",\"sliding_window\":9,\"layer_types\":" MIXED_LAYERS "}",
        "{" QWEN2 ",\"use_sliding_window\":true,\"sliding_window\":8,\"max_window_layers\":1}",
        "{" PHI3 "}",
        "{" PHI3 ",\"sliding_window\":2047}",
        "{" PHI3 "," LONG("") "}",
        "{" PHI3 "," LONG(",\"attention_factor\":1.25") "}",
    };
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        struct arch a;
        struct talc_error err = {0};
        if (!arch_case_read(configs[i], &a, &err)) fail_msg("%s: %s", configs[i], err.message);
        arch_case_both_ways(&a);
    }
}

/* What transformers' configuration classes say, of keys that are absent or null. */
static void absent_keys_mean_what_they_mean_to_transformers(void **state) {
    (void)state;
    struct arch a;
    assert_true(arch_case_read("{" LLAMA "}", &a, NULL));
    assert_true(a.context_length == 2048 && a.head_dim == 20 && a.n_kv_heads == 4 && !a.tie_embeddings);
    assert_true(!a.qkv_bias && !a.out_bias && !a.mlp_bias && !a.qk_norm && a.layers[2].rope_base == 10000);
    assert_true(arch_case_read("{" MISTRAL "}", &a, NULL));
    assert_true(a.context_length == 131072 && a.layers[0].window == 4096 && a.layers[2].window == 4096);
    assert_true(arch_case_read("{" MISTRAL ",\"sliding_window\":9,\"layer_types\":" MIXED_LAYERS "}", &a, NULL));
    assert_true(a.layers[0].window == 0 && a.layers[1].window == 9 && a.layers[2].window == 0);
    assert_true(arch_case_read("{" QWEN2 ",\"use_sliding_window\":true,\"max_window_layers\":2}", &a, NULL));
    assert_true(a.qkv_bias && !a.out_bias && a.layers[1].window == 0 && a.layers[2].window == 4096);
    assert_true(arch_case_read("{" PHI3 "}", &a, NULL));
    assert_true(a.context_length == 4096 && a.layers[0].window == 0 && a.rotary_dim == 0);
}

/* Of LongRoPE's two halves talc does the first: the context ends where it does, the attention factor is that of both.
 */
static void longrope_ends_at_the_original_context(void **state) {
    (void)state;
    struct arch a;
    assert_true(arch_case_read("{" PHI3 "," LONG("") "}", &a, NULL));
    assert_int_equal(a.context_length, 80);
    assert_int_equal(a.rotary_dim, 14); /* 0.7 of 20 */
    assert_true(fabs((double)a.layers[0].scaling.attention_factor - sqrt(1 + log(8) / log(80))) < 1e-6);
    json_t *config = arch_to_config(&a), *rope = json_object_get(config, "rope_scaling");
    assert_int_equal(json_integer_value(json_object_get(config, "max_position_embeddings")), 640);
    assert_int_equal(json_object_size(rope), 3); /* transformers 4 refuses more */
    json_decref(config);
}

static void layers_share_a_rotary_table_where_all_of_it_is_the_same(void **state) {
    (void)state;
    struct arch a;
    assert_true(arch_case_read("{" LLAMA ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4}}", &a, NULL));
    struct layer_arch *last = &a.layers[2], was = *last;
    assert_int_equal(rope_owner(&a, 2), 0);
    assert_int_equal(rope_floats(&a), 2048 * 20);
    last->scaling.factor = 2;
    assert_int_equal(rope_owner(&a, 2), 2);
    assert_int_equal(rope_floats(&a), 2 * 2048 * 20);
    *last = was, last->scaling.kind = ROPE_LINEAR;
    assert_int_equal(rope_owner(&a, 2), 2);
    *last = was, last->scaling.attention_factor = 2;
    assert_int_equal(rope_owner(&a, 2), 2);
    *last = was, last->scaling.original_context = 3;
    assert_int_equal(rope_owner(&a, 2), 2);
}

static void an_unknown_family_is_refused_with_the_list(void **state) {
    (void)state;
    struct arch a;
    struct talc_error err = {0};
    assert_false(arch_case_read("{\"model_type\":\"mamba\"}", &a, &err));
    const char *names[] = {"gpt2", "llama", "mistral", "qwen2", "qwen3", "phi3"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) assert_non_null(strstr(err.message, names[i]));
}

static void keys_of_both_versions_of_transformers_are_read(void **state) {
    (void)state;
    struct arch a, b;
    struct talc_error err = {0};
    assert_true(
        arch_case_read("{" QWEN3 ",\"rope_theta\":5e5,\"rope_scaling\":null,\"torch_dtype\":\"bfloat16\"}", &a, &err));
    assert_true(arch_case_read(
        "{" QWEN3 ",\"rope_parameters\":{\"rope_theta\":5e5,\"rope_type\":\"default\"},\"dtype\":\"float32\"}", &b,
        &err));
    arch_case_same(&a, &b);
    assert_true(a.layers[1].rope_base == 5e5f);
    assert_int_equal(a.n_kv_heads, 4);
    assert_int_equal(a.head_dim, 128);
}

static void a_list_of_ends_gives_its_first(void **state) {
    (void)state;
    struct arch a;
    assert_true(
        arch_case_read("{" QWEN3 ",\"eos_token_id\":[5,6],\"bos_token_id\":3,\"pad_token_id\":null}", &a, NULL));
    assert_int_equal(a.eos_id, 5);
    assert_int_equal(a.bos_id, 3);
    assert_int_equal(a.pad_id, -1);
    assert_true(arch_case_read("{" GPT2 ",\"vocab_size\":10,\"eos_token_id\":50256}", &a, NULL));
    assert_int_equal(a.eos_id, -1); /* outside the vocabulary */
}

static void older_configs_give_windows_without_layer_types(void **state) {
    (void)state;
    struct arch a;
    assert_true(arch_case_read("{" QWEN3 ",\"use_sliding_window\":true,\"sliding_window\":8,\"max_window_layers\":1}",
                               &a, NULL));
    assert_int_equal(a.layers[0].window, 0);
    assert_int_equal(a.layers[1].window, 8);
    assert_true(arch_case_read("{" QWEN3 ",\"use_sliding_window\":false,\"sliding_window\":8,\"max_window_layers\":1}",
                               &a, NULL));
    assert_int_equal(a.layers[1].window, 0);
}

static const struct {
    const char *config, *why;
} hostile[] = {
    {"[1]", "not a JSON object"},
    {"{}", "model_type"},
    {"{\"model_type\":\"mamba\"}", "mamba"},
    {"{\"model_type\":\"qwen3\"}", "vocab_size is missing"},
    {"{" QWEN3 ",\"hidden_act\":\"relu\"}", "hidden_act"},
    {"{" QWEN3 ",\"rope_scaling\":{\"type\":\"mrope\",\"mrope_section\":[1]}}", "mrope"},
    {"{" QWEN3 ",\"rope_scaling\":7,\"rope_parameters\":7}", "rope_parameters is not an object"},
    {"{" QWEN3 ",\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":1e4}}", "factor is missing"},
    {"{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\"}}", "factor is missing"},
    {"{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":-2}}", "factor"},
    {"{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":\"2\"}}", "factor"},
    {"{" LLAMA ",\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4}}",
     "from 4 to 4"},
    {"{" LLAMA ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4,\"original_max_position_embeddings\":-4}}",
     "original_max_position_embeddings"},
    {"{" LLAMA ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4,\"beta_slow\":64}}", "from 64 to 32"},
    {"{" LLAMA ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4,\"attention_factor\":0}}", "attention factor"},
    {"{" LLAMA ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":1e300}}", "factor"},
    {"{" LLAMA ",\"partial_rotary_factor\":0.5}", "partial_rotary_factor"},
    {"{" LLAMA ",\"hidden_act\":\"gelu\"}", "hidden_act is 'gelu'"},
    {"{\"model_type\":\"llama\",\"vocab_size\":9,\"hidden_size\":80,\"num_hidden_layers\":1,\"num_attention_"
     "heads\":7,"
     "\"intermediate_size\":9}",
     "hidden_size 80 is not a multiple"},
    {"{" MISTRAL ",\"sliding_window\":0}", "sliding_window"},
    {"{" MISTRAL ",\"sliding_window\":null,\"layer_types\":" MIXED_LAYERS "}", "layer 1 has sliding_attention"},
    {"{" PHI3 ",\"partial_rotary_factor\":0.75}", "turns 15 numbers"},
    {"{" PHI3 ",\"partial_rotary_factor\":1.5}", "above 0, to 1"},
    {"{" PHI3 ",\"partial_rotary_factor\":0}", "above 0, to 1"},
    {"{" PHI3 ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}", "longrope"},
    {"{" PHI3 ",\"rope_scaling\":{\"type\":\"longrope\"}}", "short_factor is not a list of 10"},
    {"{" PHI3 ",\"rope_scaling\":{\"type\":\"su\",\"short_factor\":[1,2],\"long_factor\":[1,2]}}", "list of 10"},
    {"{" PHI3 "," LONG(",\"attention_factor\":-1") "}", "attention factor"},
    {"{" PHI3 ",\"head_dim\":1000000," LONG("") "}", "a head turns 700000"},
    {"{" PHI3 ",\"head_dim\":4,\"rope_scaling\":{\"type\":\"su\",\"short_factor\":[1,0],\"long_factor\":[1,2]}}",
     "factor 1 of the rotary scaling"},
    {"{" PHI3 ",\"head_dim\":4,\"rope_scaling\":{\"type\":\"su\",\"short_factor\":[1,[]],\"long_factor\":[1,2]}}",
     "short_factor[1]"},
    {"{" PHI3 ",\"resid_pdrop\":0.1}", "resid_pdrop"},
    {"{" QWEN3 ",\"rope_parameters\":{\"full_attention\":{\"rope_theta\":1e4}}}", "layer to layer"},
    {"{" QWEN3 ",\"rope_theta\":-1}", "rotary base"},
    {"{" QWEN3 ",\"quantization_config\":{\"bits\":4}}", "quantization_config"},
    {"{" QWEN3 ",\"num_key_value_heads\":3}", "evenly"},
    {"{" QWEN3 ",\"head_dim\":15}", "even"},
    {"{" QWEN3 ",\"head_dim\":1026}", "size of a head"},
    {"{" QWEN3 ",\"layer_types\":[\"full_attention\"]}", "layer_types has 1"},
    {"{" QWEN3 ",\"layer_types\":[\"full_attention\",\"linear_attention\"]}", "linear_attention"},
    {"{" QWEN3 ",\"layer_types\":[\"full_attention\",\"sliding_attention\"]}", "no window"},
    {"{" QWEN3 ",\"attention_dropout\":0.1}", "dropout"},
    {"{" QWEN3 ",\"rms_norm_eps\":0}", "epsilon"},
    {"{" QWEN3 ",\"eos_token_id\":\"</s>\"}", "eos_token_id"},
    {"{" GPT2 ",\"activation_function\":\"gelu\"}", "'gelu'"},
    {"{" GPT2 ",\"n_layer\":513}", "513 layers"},
    {"{" GPT2 ",\"n_layer\":0}", "n_layer"},
    {"{" GPT2 ",\"n_layer\":1e300}", "n_layer"},
    {"{" GPT2 ",\"n_layer\":\"12\"}", "n_layer"},
    {"{" GPT2 ",\"n_embd\":65}", "multiple"},
    {"{" GPT2 ",\"scale_attn_weights\":false}", "scale_attn_weights"},
    {"{" GPT2 ",\"scale_attn_by_inverse_layer_idx\":true}", "inverse_layer_idx"},
    {"{" GPT2 ",\"add_cross_attention\":true}", "add_cross_attention"},
    {"{" GPT2 ",\"resid_pdrop\":0.5}", "resid_pdrop"},
    {"{" GPT2 ",\"attn_pdrop\":1,\"resid_pdrop\":1,\"embd_pdrop\":1}", "dropout"},
};

static void what_talc_does_not_do_is_refused_by_name(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        struct arch a;
        struct talc_error err = {0};
        if (arch_case_read(hostile[i].config, &a, &err)) fail_msg("accepted: %s", hostile[i].config);
        if (!strstr(err.message, hostile[i].why) || strncmp(err.message, "config.json: ", 13) != 0)
            fail_msg("%s gave: %s", hostile[i].config, err.message);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets_have_the_published_sizes),
        cmocka_unit_test(an_unknown_preset_is_refused_with_the_list),
        cmocka_unit_test(arithmetic_follows_the_formula),
        cmocka_unit_test(paper_attention_alternates),
        cmocka_unit_test(every_depth_is_a_whole_shape),
        cmocka_unit_test(memory_of_a_giant_is_known_without_it),
        cmocka_unit_test(configs_go_both_ways),
        cmocka_unit_test(configs_of_every_family_go_both_ways),
        cmocka_unit_test(absent_keys_mean_what_they_mean_to_transformers),
        cmocka_unit_test(longrope_ends_at_the_original_context),
        cmocka_unit_test(layers_share_a_rotary_table_where_all_of_it_is_the_same),
        cmocka_unit_test(an_unknown_family_is_refused_with_the_list),
        cmocka_unit_test(keys_of_both_versions_of_transformers_are_read),
        cmocka_unit_test(a_list_of_ends_gives_its_first),
        cmocka_unit_test(older_configs_give_windows_without_layer_types),
        cmocka_unit_test(what_talc_does_not_do_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
