/* fuzz_config.c - a libFuzzer target: a config.json. What is refused says why in one line; what is accepted is written
 * so that it is read as the same model. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "file/json.h"
#include "model/arch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Of ROPE_LONG the factor went into the attention factor. */
static void check_layer(const struct layer_arch *a, const struct layer_arch *b) {
    const struct rope_scaling *x = &a->scaling, *y = &b->scaling;
    if (a->window != b->window || a->rope_base != b->rope_base || x->kind != y->kind) abort();
    if (x->kind != ROPE_LONG && x->factor != y->factor) abort();
    if (x->low != y->low || x->high != y->high || x->whole != y->whole) abort();
    if (x->original_context != y->original_context || x->attention_factor != y->attention_factor) abort();
}

static void check_same(const struct arch *a, const struct arch *b) {
    if (strcmp(a->family, b->family) != 0 || arch_parameters(a) != arch_parameters(b)) abort();
    if (a->context_length != b->context_length || a->rotary_dim != b->rotary_dim) abort();
    if (a->head_dim != b->head_dim || a->n_kv_heads != b->n_kv_heads || a->activation != b->activation) abort();
    if (a->norm_epsilon != b->norm_epsilon || a->dropout != b->dropout || a->eos_id != b->eos_id) abort();
    if (memcmp(&a->rope_long, &b->rope_long, sizeof a->rope_long) != 0) abort();
    for (int l = 0; l < a->n_layers; l++) check_layer(&a->layers[l], &b->layers[l]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct talc_error err = {0};
    struct arch arch, back;
    json_t *config = json_parse((const char *)data, n, "config.json", &err);
    if (!config) return 0;
    if (!arch_from_config(config, &arch, &err)) {
        if (!err.message[0] || strchr(err.message, '\n')) abort();
    } else {
        json_t *written = arch_to_config(&arch);
        if (!written || !arch_from_config(written, &back, &err)) abort();
        check_same(&arch, &back);
        json_decref(written);
    }
    json_decref(config);
    return 0;
}
