/* Tiny models of PyTorch (tests/golden/model/make_goldens.py): logits, loss and every gradient are the same, on every
 * back end; batches laid out differently give the same. */
#include "support/model_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/safetensors.h"
#include "support/cmocka_all.h"

#define FOLDER TEST_DIR "/golden/model/"

static const char *const devices[] = {"ref", "cpu", "cpu:portable"};
static const char *const names[] = {"gpt2",  "qwen3", "qwen3-tied", "llama", "llama-linear", "llama-yarn", "mistral",
                                    "qwen2", "phi3",  "phi3-whole", "gemma", "gemma2",       "gemma3"};
enum { N_DEVICES = 3, N_MODELS = sizeof names / sizeof *names };

struct golden {
    struct device_case device;
    struct model model;
    struct text_case text;
    struct run run;
    char folder[128];
};

static void open_golden(struct golden *g, const char *device, const char *name) {
    struct talc_error err = {0};
    char path[160];
    snprintf(g->folder, sizeof g->folder, FOLDER "%s", name);
    snprintf(path, sizeof path, "%s/expected.safetensors", g->folder);
    device_case_open(&g->device, device);
    if (!model_load_folder(&g->model, g->folder, &g->device.stream, &(struct model_options){.gradients = true}, &err))
        fail_msg("%s", err.message);
    text_case_read(&g->text, path);
    run_case_open(&g->run, &g->model, &g->text, true);
}

static void close_golden(struct golden *g) {
    run_close(&g->run);
    text_case_free(&g->text);
    model_close(&g->model);
    device_case_close(&g->device);
}

static float *read_expected(const struct golden *g, const char *name, size_t n) {
    char path[160];
    snprintf(path, sizeof path, "%s/expected.safetensors", g->folder);
    struct safetensors *st = safetensors_open(path, NULL);
    float *out = malloc(n * sizeof *out);
    assert_true(st && out && safetensor_read_f32(safetensors_find(st, name), 0, n, out, NULL));
    safetensors_close(st);
    return out;
}

static size_t n_logits(const struct golden *g) {
    return (size_t)g->text.batch.n_tokens * (size_t)g->model.arch.vocab_size;
}

/* Of every token. */
static float *all_logits(const struct golden *g, struct run *run) {
    struct talc_error err = {0};
    int n = g->text.batch.n_tokens;
    int32_t *rows = calloc((size_t)n, sizeof *rows);
    float *logits = malloc(n_logits(g) * sizeof *logits);
    for (int i = 0; i < n; i++) rows[i] = i;
    struct batch batch = g->text.batch;
    batch.head_rows = rows;
    batch.n_head_rows = n;
    if (!run_forward(run, &batch, &err) || !run_logits(run, logits, &err)) fail_msg("%s", err.message);
    free(rows);
    return logits;
}

static void logits_are_those_of_transformers(void **state) {
    (void)state;
    for (int d = 0; d < N_DEVICES; d++)
        for (int m = 0; m < N_MODELS; m++) {
            struct golden g;
            open_golden(&g, devices[d], names[m]);
            float *logits = all_logits(&g, &g.run), *expected = read_expected(&g, "logits", n_logits(&g));
            double error = relative_error(logits, expected, n_logits(&g));
            if (error > 1e-5) fail_msg("%s on %s: logits are off by %g", names[m], devices[d], error);
            free(logits);
            free(expected);
            close_golden(&g);
        }
}

/* All of these files are in 16 bits. */
static void weights_in_16_bits_give_the_bits_of_fp32(void **state) {
    (void)state;
    for (int d = 0; d < N_DEVICES; d++)
        for (int m = 0; m < N_MODELS; m++) {
            struct golden g;
            struct model narrow;
            struct run run;
            open_golden(&g, devices[d], names[m]);
            assert_true(model_load_folder(&narrow, g.folder, &g.device.stream, NULL, NULL));
            assert_int_equal(dtype_size(narrow.embedding->value.dtype), 2);
            run_case_open(&run, &narrow, &g.text, false);
            float *expected = all_logits(&g, &g.run), *logits = all_logits(&g, &run);
            assert_memory_equal(logits, expected, n_logits(&g) * sizeof *logits);
            free(logits);
            free(expected);
            run_close(&run);
            model_close(&narrow);
            close_golden(&g);
        }
}

/* The gradients of all parameters against another model's values. */
static void assert_gradients(const struct golden *g, const struct model *expected, double tolerance) {
    for (int i = 0; i < g->model.n_parameters; i++) {
        const struct parameter *p = &g->model.parameters[i], *q = &expected->parameters[i];
        assert_string_equal(p->name, q->name);
        float *a = tensor_case_read(g->model.stream, p->gradient), *b = tensor_case_read(expected->stream, q->value);
        double error = relative_error(a, b, (size_t)(p->value.rows * p->value.cols));
        if (error > tolerance)
            fail_msg("%s on %s: the gradient of %s is off by %g", g->folder, g->model.stream->backend->name, p->name,
                     error);
        free(a);
        free(b);
    }
}

static void loss_and_gradients_are_those_of_pytorch(void **state) {
    (void)state;
    for (int d = 0; d < N_DEVICES; d++)
        for (int m = 0; m < N_MODELS; m++) {
            struct golden g;
            struct model expected;
            struct talc_error err = {0};
            char folder[160];
            open_golden(&g, devices[d], names[m]);
            snprintf(folder, sizeof folder, "%s-gradients", g.folder);
            if (!model_load_folder(&expected, folder, &g.device.stream, NULL, &err)) fail_msg("%s", err.message);
            float loss = (float)run_case_step(&g.run, &g.text, g.text.batch.n_tokens);
            float *expected_loss = read_expected(&g, "loss", 1);
            double error = relative_error(&loss, expected_loss, 1);
            if (error > 1e-5)
                fail_msg("%s on %s: loss %g, expected %g", names[m], devices[d], (double)loss, (double)*expected_loss);
            assert_gradients(&g, &expected, 1e-5);
            free(expected_loss);
            model_close(&expected);
            close_golden(&g);
        }
}

/* Gradients of the whole batch as `a`, then those of the batch in pieces as `b`: documents one by one. */
static void documents_packed_or_alone_give_the_same(void **state) {
    (void)state;
    for (int d = 0; d < N_DEVICES; d++)
        for (int m = 0; m < N_MODELS; m++) {
            struct golden g;
            open_golden(&g, devices[d], names[m]);
            struct ops const *ops = g.device.stream.ops;
            double n = g.text.batch.n_tokens, whole = run_case_step(&g.run, &g.text, n), parts = 0;
            float *a = tensor_case_read(&g.device.stream, g.model.gradients);
            ops->zero(&g.device.stream, g.model.gradients);
            for (int i = 0; i < g.text.batch.n_sequences; i++) {
                struct text_case part;
                text_case_part(&part, &g.text, i, 1);
                parts += run_case_step(&g.run, &part, n);
                text_case_free(&part);
            }
            float *b = tensor_case_read(&g.device.stream, g.model.gradients);
            double error = relative_error(a, b, (size_t)g.model.gradients.cols);
            if (error > 1e-6) fail_msg("%s on %s: gradients differ by %g", names[m], devices[d], error);
            float one = (float)whole, other = (float)parts;
            assert_true(relative_error(&one, &other, 1) < 1e-6);
            free(a);
            free(b);
            close_golden(&g);
        }
}

/* Statistics first, gradients later: run_stats and run_backward do what run_stats_backward does, to the bit. */
static void backward_in_two_passes_is_backward_in_one(void **state) {
    (void)state;
    for (int m = 0; m < N_MODELS; m++) {
        struct golden g;
        struct talc_error err = {0};
        open_golden(&g, "cpu", names[m]);
        int n = g.text.batch.n_tokens;
        size_t size = (size_t)g.model.gradients.cols * sizeof(float);
        run_case_step(&g.run, &g.text, n);
        float *one = tensor_case_read(&g.device.stream, g.model.gradients);
        g.device.stream.ops->zero(&g.device.stream, g.model.gradients);
        float *stats = calloc((size_t)n * TOKEN_STATS, sizeof *stats),
              *grads = calloc((size_t)n * TOKEN_STATS, sizeof *grads);
        for (int i = 0; i < n; i++) grads[i * TOKEN_STATS + STAT_LOGP] = (float)(-1 / (double)n);
        assert_true(run_forward(&g.run, &g.text.batch, &err) && run_stats(&g.run, 1, stats, &err) &&
                    run_backward(&g.run, 1, grads, &err));
        float *two = tensor_case_read(&g.device.stream, g.model.gradients);
        assert_memory_equal(one, two, size);
        free(one);
        free(two);
        free(stats);
        free(grads);
        close_golden(&g);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_those_of_transformers),
        cmocka_unit_test(weights_in_16_bits_give_the_bits_of_fp32),
        cmocka_unit_test(loss_and_gradients_are_those_of_pytorch),
        cmocka_unit_test(documents_packed_or_alone_give_the_same),
        cmocka_unit_test(backward_in_two_passes_is_backward_in_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
