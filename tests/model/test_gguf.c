/* Models in GGUF files (tests/golden/gguf/make_goldens.py): the logits that transformers has with the same numbers,
 * from tensors of many types; and files that are damaged, hostile or ask for what talc does not do, each refused with a
 * line that says what. */
#include "support/model_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/little_endian.h"
#include "file/atomic.h"
#include "file/safetensors.h"
#include "model/gguf_tensors.h"
#include "support/cmocka_all.h"

#define GOLDEN TEST_DIR "/golden/gguf/"

static const struct golden {
    const char *name, *file;
} goldens[] = {
    {"gpt2", "gpt2.gguf"},     {"llama", "llama.gguf"},
    {"llama3", "llama3.gguf"}, {"mistral", "mistral.gguf"},
    {"phi3", "phi3.gguf"},     {"phi3-long", "phi3-long.gguf"},
    {"qwen3", "qwen3.gguf"},   {"qwen2", "qwen2-00001-of-00003.gguf"},
    {"gemma", "gemma.gguf"},   {"gemma2", "gemma2.gguf"},
    {"gemma3", "gemma3.gguf"}, {"phi4-mini", "phi4-mini.gguf"},
};
enum { N_GOLDENS = sizeof goldens / sizeof *goldens };

static char folder[64], path[96];
static struct device_case device;

static int setup(void **state) {
    (void)state;
    strcpy(folder, "/tmp/talc-gguf-XXXXXX");
    device_case_open(&device, "cpu");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    device_case_close(&device);
    return folder_remove(folder, NULL) ? 0 : -1;
}

/* ---- what they compute ----------------------------------------------------------------------- */

static float *expected_logits(const char *file, size_t n) {
    struct safetensors *st = safetensors_open(file, NULL);
    float *out = malloc(n * sizeof *out);
    assert_true(st && out && safetensor_read_f32(safetensors_find(st, "logits"), 0, n, out, NULL));
    safetensors_close(st);
    return out;
}

/* options NULL: as for inference, in 16 bits where they are quantised. */
static void assert_logits(const struct golden *g, const char *device_name, const struct model_options *options,
                          double tolerance) {
    struct device_case own;
    struct model m;
    struct text_case text;
    struct run run;
    struct talc_error err = {0};
    char file[128], expected[128];
    snprintf(file, sizeof file, GOLDEN "%s", g->file);
    snprintf(expected, sizeof expected, GOLDEN "%s.safetensors", g->name);
    device_case_open(&own, device_name);
    if (!model_load(&m, file, &own.stream, options, &err)) fail_msg("%s", err.message);
    text_case_read(&text, expected);
    run_case_open(&run, &m, &text, false);
    size_t size = (size_t)text.batch.n_tokens * (size_t)m.arch.vocab_size;
    float *logits = malloc(size * sizeof *logits), *wanted = expected_logits(expected, size);
    text.batch.targets = NULL;
    if (!logits || !run_forward(&run, &text.batch, &err) || !run_logits(&run, logits, &err))
        fail_msg("%s", err.message);
    double error = relative_error(logits, wanted, size);
    if (error > tolerance) fail_msg("%s on %s: logits are off by %g", g->name, device_name, error);
    free(logits);
    free(wanted);
    run_close(&run);
    text_case_free(&text);
    model_close(&m);
    device_case_close(&own);
}

static void logits_are_those_of_transformers(void **state) {
    (void)state;
    for (int i = 0; i < N_GOLDENS; i++) {
        const struct model_options exact = {.weights = DTYPE_F32};
        assert_logits(&goldens[i], "cpu", &exact, 1e-5);
        assert_logits(&goldens[i], "ref", &exact, 1e-5);
        assert_logits(&goldens[i], "cpu", NULL, 5e-3);
    }
}

static void quantised_weights_are_kept_in_16_bits(void **state) {
    (void)state;
    struct talc_error err = {0};
    struct model m;
    enum dtype told = DTYPE_NONE;
    if (!model_load(&m, GOLDEN "qwen3.gguf", &device.stream, NULL, &err)) fail_msg("%s", err.message);
    assert_int_equal(m.embedding->value.dtype, DTYPE_F16);
    assert_int_equal(m.blocks[1].down.weight->value.dtype, DTYPE_F16);
    assert_int_equal(m.final_norm.weight->value.dtype, DTYPE_F32);
    assert_true(model_stored_weights(GOLDEN "qwen3.gguf", &told, NULL) && told == DTYPE_F16);
    model_close(&m);
}

static void keep_last(void *context, double done, double total) {
    double *last = context;
    assert_true(done > last[0] && done <= total);
    last[0] = done;
    last[1] = total;
    last[2]++; /* calls */
}

static void loading_tells_how_far_it_is(void **state) {
    (void)state;
    struct talc_error err = {0};
    struct model m;
    double last[3] = {0, 0, 0};
    const struct model_options o = {.as_stored = true, .progress = keep_last, .progress_context = last};
    if (!model_load(&m, GOLDEN "gemma3.gguf", &device.stream, &o, &err)) fail_msg("%s", err.message);
    assert_true(last[0] == last[1] && last[1] == (double)arch_parameters(&m.arch) && last[2] > 10);
    model_close(&m);
}

/* ---- what is refused ------------------------------------------------------------------------- */

struct bytes {
    char *data;
    size_t n;
};

static struct bytes read_golden(const char *name) {
    char file[128];
    struct bytes b;
    snprintf(file, sizeof file, GOLDEN "%s", name);
    b.data = file_read(file, 1 << 20, &b.n, NULL);
    assert_non_null(b.data);
    return b;
}

static void write_bytes(const struct bytes *b) {
    snprintf(path, sizeof path, "%s/model.gguf", folder);
    assert_true(atomic_write_file(path, b->data, b->n, NULL));
}

static void assert_refused(const char *file, const char *why) {
    struct model m;
    struct talc_error err = {0};
    if (model_load(&m, file, &device.stream, NULL, &err)) fail_msg("accepted; expected: %s", why);
    if (!strstr(err.message, why)) fail_msg("want \"%s\" in: %s", why, err.message);
    assert_null(strchr(err.message, '\n'));
    assert_null(m.memory);
}

/* Behind the text, which is there once. */
static char *after(const struct bytes *b, const char *text) {
    char *at = memmem(b->data, b->n, text, strlen(text));
    assert_non_null(at);
    return at + strlen(text);
}

static void replace(const struct bytes *b, const char *text, const char *with) {
    assert_int_equal(strlen(text), strlen(with));
    memcpy(after(b, text) - strlen(text), with, strlen(with));
}

static void names_and_settings_that_do_not_fit_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *golden, *text, *with, *why;
    } cases[] = {
        {"qwen3.gguf", "blk.0.attn_q.weight", "blk.0.attn_u.weight", "\"blk.0.attn_q.weight\" is missing"},
        {"qwen3.gguf", "blk.1.attn_q.weight", "blk.0.attn_q.weight", "\"blk.0.attn_q.weight\" is there twice"},
        {"qwen3.gguf", "output_norm.weight", "output_form.weight", "\"output_norm.weight\" is missing"},
        {"qwen3.gguf", "qwen3.rope.freq_base", "qwen3.rope.freq_bass", "\"qwen3.rope.freq_bass\" is a setting"},
        {"qwen3.gguf", "qwen3.vocab_size", "qwen3.n_experts_", "\"qwen3.n_experts_\" is a setting"},
        {"qwen3.gguf", "qwen3.block_count", "qwen9.block_count", "\"qwen3.block_count\" is missing"},
        {"qwen3.gguf", "qwen3.vocab_size", "qwen3.experts.no", "is a setting that talc does not do"},
        {"gpt2.gguf", "gpt2.context_length", "gpt2.rope.freq_base", "\"gpt2.rope.freq_base\" is a setting"},
        {"gpt2.gguf", "position_embd.weight", "position_embe.weight", "\"position_embd.weight\" is missing"},
        {"gpt2.gguf", "token_embd.weight", "token_embe.weight", "\"token_embd.weight\" is missing"},
        {"gpt2.gguf", "\4\0\0\0\0\0\0\0gpt2", "\4\0\0\0\0\0\0\0gpt9", "general.architecture 'gpt9' is not supported"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes b = read_golden(cases[i].golden);
        if (cases[i].text[1] == 0) /* a length before it */
            memcpy((char *)memmem(b.data, b.n, cases[i].text, 12), cases[i].with, 12);
        else
            replace(&b, cases[i].text, cases[i].with);
        write_bytes(&b);
        assert_refused(path, cases[i].why);
        free(b.data);
    }
}

/* What is behind a tensor's name: u32 n_dims, u64 dims[n_dims], u32 type, u64 offset. */
static void numbers_of_tensors_that_do_not_fit_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *tensor;
        size_t at, n_bytes;
        uint64_t value;
        const char *why;
    } cases[] = {
        {"blk.0.attn_q.weight", 0, 4, 5, "has 5 dimensions"},
        {"blk.0.attn_q.weight", 4, 8, 1ull << 63, "whose product cannot be addressed"},
        {"blk.0.attn_q.weight", 4, 8, UINT64_MAX, "whose product cannot be addressed"},
        {"blk.0.attn_q.weight", 4, 8, 1ull << 60, "whose product cannot be addressed"},
        {"output_norm.weight", 4, 8, 1ull << 62, "more bytes than can be addressed"},
        {"output_norm.weight", 4, 8, 1ull << 40, "is cut short"},
        {"output_norm.weight", 4, 8, 0, "\"output.weight\" begins at byte"},
        {"output_norm.weight", 4, 8, 31, "\"output_norm.weight\" has shape [31], but the model needs [32]"},
        {"output_norm.weight", 12, 4, 26, "\"output_norm.weight\" is of the type I32"},
        {"output_norm.weight", 12, 4, 4, "has the type 4, which talc does not know"},
        {"output_norm.weight", 12, 4, 0xffffffff, "has the type 4294967295"},
        {"output_norm.weight", 12, 4, 12, "has rows of 32 numbers; Q4_K has them in blocks of 256"},
        {"output_norm.weight", 16, 8, UINT64_MAX - 31, "begins at byte 18446744073709551584"},
        {"output_norm.weight", 16, 8, 0, "begins at byte 0 of the data"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes b = read_golden("qwen3.gguf");
        little_endian_store(after(&b, cases[i].tensor) + cases[i].at, cases[i].n_bytes, cases[i].value);
        write_bytes(&b);
        assert_refused(path, cases[i].why);
        free(b.data);
    }
}

/* A setting's value is behind its key and four bytes of type. */
static void settings_that_talc_does_not_do_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *key;
        uint32_t value;
        const char *why;
    } cases[] = {
        {"qwen3.attention.head_count", 0, "0 heads"},
        {"qwen3.attention.key_length", 0xffffffff, "heads of 4294967295 numbers"},
        {"qwen3.attention.value_length", 8, "values of 8 numbers for keys of 16"},
        {"qwen3.rope.dimension_count", 0, "\"qwen3.rope.dimension_count\" is 0"},
        {"qwen3.block_count", 100000, "100000"},
        {"qwen3.block_count", 3, "\"blk.2.attn_norm.weight\" is missing"},
        {"qwen3.block_count", 1, "nothing in the metadata asks for tensor \"blk.1."},
        {"qwen3.feed_forward_length", 0x7fffffff, "intermediate"},
        {"qwen3.attention.layer_norm_rms_epsilon", 0x7fc00000, "is not finite"},
        {"qwen3.rope.freq_base", 0, "base"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes b = read_golden("qwen3.gguf");
        char *at = memmem(b.data, b.n, cases[i].key, strlen(cases[i].key));
        assert_non_null(at);
        little_endian_store(at + strlen(cases[i].key) + 4, 4, cases[i].value);
        write_bytes(&b);
        assert_refused(path, cases[i].why);
        free(b.data);
    }
}

static void files_that_end_early_are_refused(void **state) {
    (void)state;
    struct bytes whole = read_golden("qwen3.gguf");
    for (size_t n = 0; n < whole.n; n += n < 3000 ? 7 : 1009) {
        struct bytes part = {whole.data, n};
        write_bytes(&part);
        assert_refused(path, path);
    }
    whole.n -= 64; /* of the last tensor's */
    write_bytes(&whole);
    assert_refused(path, "is cut short");
    free(whole.data);
}

static void a_number_that_is_none_is_refused(void **state) {
    (void)state;
    struct bytes b = read_golden("qwen3.gguf");
    struct talc_error err = {0};
    write_bytes(&b);
    struct gguf_model *g = gguf_model_open(path, &err);
    assert_non_null(g);
    const struct gguf_weight *w = gguf_model_find(g, "output_norm.weight");
    char *first = memmem(b.data, b.n, w->data, w->n_bytes);
    assert_non_null(first);
    gguf_model_close(g);
    little_endian_store(first + 4 * 5, 4, 0x7fc00000);
    write_bytes(&b);
    assert_refused(path, "number 5 of tensor \"output_norm.weight\" is not finite");
    free(b.data);
}

/* The first block of a tensor of Q8_0: its scale, as great as a half can be, makes numbers that are too large for F16.
 */
static void a_number_that_16_bits_cannot_hold_is_refused(void **state) {
    (void)state;
    struct bytes b = read_golden("qwen3.gguf");
    write_bytes(&b);
    struct gguf_model *g = gguf_model_open(path, NULL);
    assert_non_null(g);
    size_t i = 0;
    while (strcmp(gguf_model_at(g, i)->type->name, "Q8_0") != 0) i++;
    const struct gguf_weight *w = gguf_model_at(g, i);
    char *first = memmem(b.data, b.n, w->data, w->n_bytes);
    assert_non_null(first);
    gguf_model_close(g);
    little_endian_store(first, 2, 0x7bff);
    write_bytes(&b);
    assert_refused(path, "is too large for F16");
    free(b.data);
}

/* ---- split models ---------------------------------------------------------------------------- */

static void copy_part(const char *name, const char *as) {
    struct bytes b = read_golden(name);
    char to[128];
    snprintf(to, sizeof to, "%s/%s", folder, as);
    assert_true(atomic_write_file(to, b.data, b.n, NULL));
    free(b.data);
}

static void parts_of_split_models_that_do_not_fit_are_refused(void **state) {
    (void)state;
    static const char first[] = "qwen2-00001-of-00003.gguf", second[] = "qwen2-00002-of-00003.gguf",
                      third[] = "qwen2-00003-of-00003.gguf";
    char file[128];
    assert_refused(GOLDEN "qwen2-00002-of-00003.gguf", "is part 2 of 3; give the first");
    copy_part(first, "model.gguf");
    snprintf(file, sizeof file, "%s/model.gguf", folder);
    assert_refused(file, "its name does not end in -00001-of-00003.gguf");
    copy_part(first, first);
    snprintf(file, sizeof file, "%s/%s", folder, first);
    assert_refused(file, second);
    copy_part(second, second);
    copy_part(second, third);
    assert_refused(file, "says that it is part 2 of 3");
    copy_part("qwen3.gguf", third);
    assert_refused(file, "says that it is part 1 of 1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_those_of_transformers),
        cmocka_unit_test_setup_teardown(quantised_weights_are_kept_in_16_bits, setup, teardown),
        cmocka_unit_test_setup_teardown(loading_tells_how_far_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(names_and_settings_that_do_not_fit_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_of_tensors_that_do_not_fit_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_that_talc_does_not_do_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(files_that_end_early_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_number_that_is_none_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_number_that_16_bits_cannot_hold_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(parts_of_split_models_that_do_not_fit_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
