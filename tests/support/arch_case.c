/* arch_case.c - see arch_case.h. */
#include "arch_case.h"

#include <string.h>

#include "cmocka_all.h"
#include "file/json.h"

bool arch_case_read(const char *text, struct arch *a, struct talc_error *err) {
    json_t *config = json_parse(text, strlen(text), "config.json", err);
    if (!config) fail_msg("%s in %s", err->message, text);
    bool ok = arch_from_config(config, a, err);
    json_decref(config);
    return ok;
}

void arch_case_same(const struct arch *a, const struct arch *b) {
    assert_string_equal(a->family, b->family);
    struct arch x = *a, y = *b;
    memset(x.family, 0, sizeof x.family); /* what follows the name */
    memset(y.family, 0, sizeof y.family);
    assert_int_equal(x.n_layers, y.n_layers);
    for (int l = 0; l < x.n_layers; l++) {
        assert_int_equal(x.layers[l].window, y.layers[l].window);
        assert_true(x.learned_positions || x.layers[l].rope_base == y.layers[l].rope_base);
        const struct rope_scaling *s = &x.layers[l].scaling, *t = &y.layers[l].scaling;
        assert_true(s->kind == t->kind && s->low == t->low && s->high == t->high && s->whole == t->whole);
        assert_true(s->original_context == t->original_context && s->attention_factor == t->attention_factor);
        assert_true(s->kind == ROPE_LONG || s->factor == t->factor);
    }
    assert_memory_equal(&x.rope_long, &y.rope_long, sizeof x.rope_long);
#define SAME(field) assert_true(x.field == y.field)
    SAME(vocab_size), SAME(context_length), SAME(hidden_size), SAME(n_heads), SAME(n_kv_heads), SAME(head_dim);
    SAME(intermediate_size), SAME(norm), SAME(norm_bias), SAME(norm_epsilon), SAME(activation), SAME(learned_positions);
    SAME(rotary_dim), SAME(qkv_bias), SAME(out_bias), SAME(mlp_bias), SAME(qk_norm), SAME(tie_embeddings),
        SAME(dropout);
    SAME(post_norms), SAME(scale_embedding), SAME(query_pre_attn_scalar), SAME(attention_softcap), SAME(logit_softcap);
    SAME(bos_id), SAME(eos_id), SAME(pad_id);
#undef SAME
}

void arch_case_both_ways(const struct arch *a) {
    struct arch back;
    struct talc_error err = {0};
    json_t *config = arch_to_config(a);
    assert_non_null(config);
    if (!arch_from_config(config, &back, &err)) fail_msg("%s", err.message);
    json_decref(config);
    arch_case_same(a, &back);
}
