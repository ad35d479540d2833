/* A trained model of another program, with every intermediate of its forward pass: minGPT's gpt-nano that sorts six
 * digits. Runs where TALC_SHARED names a folder that has data/weights/gpt-nano-sort-model.json and -partials.json; else
 * it is skipped. */
#include "support/cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/json.h"
#include "model/run_internal.h"
#include "support/model_case.h"

#define TOLERANCE 1e-5

enum {
    ROWS = 3,
    CONTEXT = 11,
    HEADS = 3,
    HEAD_DIM = 16,
    HIDDEN = HEADS * HEAD_DIM,
    VOCAB = 3,
    LAYERS = 3,
    TOKENS = ROWS * CONTEXT
};

/* ---- the files ------------------------------------------------------------------------------- */

static json_t *read_json(const char *name) {
    char path[512];
    struct talc_error err = {0};
    snprintf(path, sizeof path, "%s/data/weights/gpt-nano-sort-%s.json", getenv("TALC_SHARED"), name);
    json_t *value = json_read_file(path, 0, &err);
    if (!value) fail_msg("%s", err.message);
    return value;
}

static int digit_of(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* The n numbers of a tensor: base64 of little-endian fp32. */
static float *numbers(const json_t *file, const char *name, size_t n) {
    const char *text = json_string_value(json_object_get(json_object_get(file, name), "data"));
    float *out = malloc(n * sizeof *out);
    unsigned char *bytes = (unsigned char *)out;
    size_t n_bytes = 0;
    uint32_t bits = 0;
    if (!text) fail_msg("the file has no %s", name);
    for (int have = 0; digit_of(*text) >= 0; text++) {
        bits = bits << 6 | (uint32_t)digit_of(*text);
        have += 6;
        if (have < 8) continue;
        have -= 8;
        if (n_bytes < n * sizeof *out) bytes[n_bytes] = (unsigned char)(bits >> have);
        n_bytes++;
    }
    if (n_bytes != n * sizeof *out) fail_msg("%s has %zu bytes, not %zu", name, n_bytes, n * sizeof *out);
    return out;
}

/* ---- the model ------------------------------------------------------------------------------- */

static const char *const outer_names[][2] = {
    {"embedding.weight", "transformer.wte.weight"},
    {"positions.weight", "transformer.wpe.weight"},
    {"final_norm.weight", "transformer.ln_f.weight"},
    {"final_norm.bias", "transformer.ln_f.bias"},
    {"head.weight", "lm_head.weight"},
};
static const char *const block_names[][2] = {
    {"attention_norm", "ln_1"}, {"qkv", "attn.c_attn"}, {"out", "attn.c_proj"},
    {"mlp_norm", "ln_2"},       {"up", "mlp.c_fc"},     {"down", "mlp.c_proj"},
};

/* minGPT stores its matrices [out, in], as we do. */
static void name_in_file(const struct parameter *p, char out[96]) {
    char ours[32], kind[16];
    int layer;
    out[0] = '\0';
    if (sscanf(p->name, "blocks.%d.%31[^.].%15s", &layer, ours, kind) == 3) {
        for (size_t i = 0; i < sizeof block_names / sizeof *block_names; i++)
            if (strcmp(block_names[i][0], ours) == 0)
                snprintf(out, 96, "transformer.h.%d.%s.%s", layer, block_names[i][1], kind);
        return;
    }
    for (size_t i = 0; i < sizeof outer_names / sizeof *outer_names; i++)
        if (strcmp(outer_names[i][0], p->name) == 0) snprintf(out, 96, "%s", outer_names[i][1]);
}

static void open_model(struct model *m, struct stream *stream) {
    const struct arch arch = {.family = "gpt2",
                              .vocab_size = VOCAB,
                              .context_length = CONTEXT,
                              .hidden_size = HIDDEN,
                              .n_layers = LAYERS,
                              .n_heads = HEADS,
                              .n_kv_heads = HEADS,
                              .head_dim = HEAD_DIM,
                              .intermediate_size = 4 * HIDDEN,
                              .norm = NORM_LAYER,
                              .norm_bias = true,
                              .norm_epsilon = 1e-5f,
                              .activation = ACTIVATION_GELU_TANH,
                              .learned_positions = true,
                              .qkv_bias = true,
                              .out_bias = true,
                              .mlp_bias = true,
                              .bos_id = -1,
                              .eos_id = -1,
                              .pad_id = -1};
    struct talc_error err = {0};
    json_t *file = read_json("model");
    if (!model_open(m, &arch, stream, &(struct model_options){.gradients = true}, &err)) fail_msg("%s", err.message);
    for (int i = 0; i < m->n_parameters; i++) {
        const struct parameter *p = &m->parameters[i];
        size_t n = (size_t)(p->value.rows * p->value.cols);
        char name[96];
        name_in_file(p, name);
        float *values = numbers(file, name, n);
        stream->backend->copy_in(stream, p->value.data, values, n * sizeof *values);
        free(values);
    }
    json_decref(file);
}

/* ---- the comparison -------------------------------------------------------------------------- */

struct sort_case {
    struct device_case device;
    struct model model;
    struct run run;
    json_t *partials;
    float logits[TOKENS * VOCAB];
};

static void open_case(struct sort_case *s, const char *device) {
    int32_t tokens[TOKENS], positions[TOKENS], rows[TOKENS], starts[ROWS + 1] = {0, CONTEXT, 2 * CONTEXT, TOKENS};
    struct talc_error err = {0};
    device_case_open(&s->device, device);
    open_model(&s->model, &s->device.stream);
    s->partials = read_json("partials");
    float *ids = numbers(s->partials, "idx", TOKENS);
    for (int i = 0; i < TOKENS; i++) {
        tokens[i] = (int32_t)ids[i];
        positions[i] = i % CONTEXT;
        rows[i] = i;
    }
    free(ids);
    struct batch batch = {.n_tokens = TOKENS,
                          .n_sequences = ROWS,
                          .tokens = tokens,
                          .positions = positions,
                          .starts = starts,
                          .head_rows = rows,
                          .n_head_rows = TOKENS};
    /* A run for training keeps what passes between the parts of a block. */
    struct run_options o = {.max_tokens = TOKENS, .max_sequences = ROWS, .training = true};
    if (!run_open(&s->run, &s->model, &o, &err) || !run_forward(&s->run, &batch, &err) ||
        !run_logits(&s->run, s->logits, &err))
        fail_msg("%s", err.message);
}

static void close_case(struct sort_case *s) {
    run_close(&s->run);
    json_decref(s->partials);
    model_close(&s->model);
    device_case_close(&s->device);
}

static void check_numbers(const struct sort_case *s, const char *name, const float *ours, const float *theirs,
                          size_t n) {
    double error = relative_error(ours, theirs, n);
    if (!(error <= TOLERANCE)) fail_msg("%s on %s is off by %g", name, s->model.stream->backend->name, error);
}

/* `heads`: stored [rows, heads, tokens, head_dim] there, [rows, tokens, heads, head_dim] here. */
static void check(struct sort_case *s, const char *name, struct tensor t, bool heads) {
    size_t n = (size_t)(t.rows * t.cols);
    float *ours = tensor_case_read(&s->device.stream, t), *theirs = numbers(s->partials, name, n), *sorted = theirs;
    if (heads) {
        sorted = malloc(n * sizeof *sorted);
        for (int i = 0; i < (int)n; i++) {
            int d = i % HEAD_DIM, head = i / HEAD_DIM % HEADS, token = i / HIDDEN % CONTEXT, row = i / HIDDEN / CONTEXT;
            sorted[i] = theirs[((row * HEADS + head) * CONTEXT + token) * HEAD_DIM + d];
        }
        free(theirs);
    }
    check_numbers(s, name, ours, sorted, n);
    free(sorted);
    free(ours);
}

/* Attention keeps no matrix, only the log of each row's sum of exponentials, [tokens, heads]: with q and k that gives
 * the scores and the probabilities back. */
static void check_attention(struct sort_case *s, struct layer_activations a) {
    enum { ENTRIES = ROWS * HEADS * CONTEXT * CONTEXT };
    float *q = tensor_case_read(&s->device.stream, a.q), *k = tensor_case_read(&s->device.stream, a.k);
    float *lse = tensor_case_read(&s->device.stream, a.lse);
    float *scores = numbers(s->partials, "att", ENTRIES), *probabilities = numbers(s->partials, "attSm", ENTRIES);
    float our_scores[ENTRIES], our_probabilities[ENTRIES];
    for (int i = 0; i < ENTRIES; i++) { /* [rows, heads, tokens, keys] */
        int key = i % CONTEXT, token = i / CONTEXT % CONTEXT, head = i / CONTEXT / CONTEXT % HEADS;
        int first = i / CONTEXT / CONTEXT / HEADS * CONTEXT; /* token of the row */
        const float *query = q + ((first + token) * HEADS + head) * HEAD_DIM;
        double dot = 0;
        for (int d = 0; d < HEAD_DIM; d++)
            dot += (double)query[d] * (double)k[((first + key) * HEADS + head) * HEAD_DIM + d];
        dot /= sqrt((double)HEAD_DIM);
        bool seen = key <= token;
        our_scores[i] = seen ? (float)dot : 0;
        our_probabilities[i] = seen ? (float)exp(dot - (double)lse[(first + token) * HEADS + head]) : 0;
        if (!seen) scores[i] = 0; /* minus infinity there */
    }
    check_numbers(s, "the scores of attention", our_scores, scores, ENTRIES);
    check_numbers(s, "the probabilities of attention", our_probabilities, probabilities, ENTRIES);
    free(probabilities);
    free(scores);
    free(lse);
    free(k);
    free(q);
}

static void check_probabilities(struct sort_case *s) {
    float *theirs = numbers(s->partials, "probs", TOKENS * VOCAB), ours[TOKENS * VOCAB];
    for (int i = 0; i < TOKENS; i++) {
        double sum = 0;
        for (int v = 0; v < VOCAB; v++) sum += exp((double)s->logits[i * VOCAB + v]);
        for (int v = 0; v < VOCAB; v++) ours[i * VOCAB + v] = (float)(exp((double)s->logits[i * VOCAB + v]) / sum);
    }
    check_numbers(s, "probs", ours, theirs, TOKENS * VOCAB);
    free(theirs);
}

/* The first block in parts, then the stream after each block, up to the probabilities. */
static void check_device(const char *device) {
    struct sort_case s;
    open_case(&s, device);
    struct layer_activations first = layer_rows(&s.run, 0);
    check(&s, "x", first.input, false);
    check(&s, "ln1", first.normed, false);
    check(&s, "q", first.q, true);
    check(&s, "k", first.k, true);
    check(&s, "v", first.v, true);
    check_attention(&s, first);
    check(&s, "y", first.attended, false);
    check(&s, "attnResid", first.middle, false);
    check(&s, "ln2", first.mlp_normed, false);
    check(&s, "fc", first.up, false);
    check(&s, "gelu", first.activated, false);
    check(&s, "block0", layer_rows(&s.run, 1).input, false);
    check(&s, "block1", layer_rows(&s.run, 2).input, false);
    check(&s, "block2", workspace_rows(&s.run, TOKENS).final_input, false);
    check(&s, "ln_f", s.run.hidden, false);
    float *logits = numbers(s.partials, "lm_head", TOKENS * VOCAB);
    check_numbers(&s, "lm_head", s.logits, logits, TOKENS * VOCAB);
    free(logits);
    check_probabilities(&s);
    close_case(&s);
}

static void every_intermediate_is_that_of_mingpt(void **state) {
    (void)state;
    if (!getenv("TALC_SHARED")) {
        print_message("skipped: TALC_SHARED does not name the folder of the trained model\n");
        return;
    }
    check_device("ref");
    check_device("cpu");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_intermediate_is_that_of_mingpt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
