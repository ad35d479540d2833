/* arch.c - checks of a shape, its arithmetic, GPT-3's banded attention, and the shapes that --depth gives. */
#include "model/arch.h"

#include <math.h>
#include <stddef.h>

/* ---- checks ---------------------------------------------------------------------------------- */

/* Limits so wide that no model meets them, and so narrow that no product of them leaves 63 bits. */
static const struct size_rule {
    const char *name;
    size_t place;
    int max;
} size_rules[] = {
    {"the vocabulary", offsetof(struct arch, vocab_size), 1 << 24},
    {"the context", offsetof(struct arch, context_length), 1 << 24},
    {"the hidden size", offsetof(struct arch, hidden_size), 1 << 20},
    {"the number of layers", offsetof(struct arch, n_layers), ARCH_MAX_LAYERS},
    {"the number of heads", offsetof(struct arch, n_heads), 1 << 14},
    {"the number of key/value heads", offsetof(struct arch, n_kv_heads), 1 << 14},
    {"the size of a head", offsetof(struct arch, head_dim), MOST_HEAD_DIM},
    {"the intermediate size", offsetof(struct arch, intermediate_size), 1 << 22},
};

static bool positive(float x) { return isfinite(x) && x > 0; }

static bool check_scaling(const struct rope_scaling *s, int layer, struct talc_error *err) {
    bool stretched = s->kind != ROPE_PLAIN, two_ends = s->kind == ROPE_LLAMA3 || s->kind == ROPE_YARN;
    if (stretched && s->kind != ROPE_LONG && !positive(s->factor))
        return talc_fail(err, "the rotary factor of layer %d is %g; it must be above 0", layer, (double)s->factor);
    if ((two_ends || s->kind == ROPE_LONG) && s->original_context < 1)
        return talc_fail(err, "the original context of layer %d is %d", layer, s->original_context);
    if (two_ends && !(positive(s->low) && positive(s->high) && s->low < s->high))
        return talc_fail(err, "the rotary scaling of layer %d goes from %g to %g; both must be above 0 and rise", layer,
                         (double)s->low, (double)s->high);
    if ((s->kind == ROPE_YARN || s->kind == ROPE_LONG) && !positive(s->attention_factor))
        return talc_fail(err, "the attention factor of layer %d is %g; it must be above 0", layer,
                         (double)s->attention_factor);
    return true;
}

static bool check_long_factors(const struct arch *a, struct talc_error *err) {
    for (int i = 0; i < arch_rotary_dim(a) / 2; i++)
        if (!positive(a->rope_long.short_factor[i]) || !positive(a->rope_long.long_factor[i]))
            return talc_fail(err, "factor %d of the rotary scaling is not above 0", i);
    return true;
}

static bool check_layers(const struct arch *a, struct talc_error *err) {
    for (int l = 0; l < a->n_layers; l++) {
        float base = a->layers[l].rope_base;
        if (a->layers[l].window < 0) return talc_fail(err, "the window of layer %d is %d", l, a->layers[l].window);
        if (!a->learned_positions && !(isfinite(base) && base > 1))
            return talc_fail(err, "the rotary base of layer %d is %g; it must be above 1", l, (double)base);
        if (!a->learned_positions && !check_scaling(&a->layers[l].scaling, l, err)) return false;
        if (a->layers[l].scaling.kind == ROPE_LONG && !check_long_factors(a, err)) return false;
    }
    return true;
}

static bool check_ids(const struct arch *a, struct talc_error *err) {
    const int ids[] = {a->bos_id, a->eos_id, a->pad_id};
    static const char *const names[] = {"bos", "eos", "pad"};
    for (int i = 0; i < 3; i++)
        if (ids[i] < -1 || ids[i] >= a->vocab_size)
            return talc_fail(err, "the %s token is %d, outside the vocabulary of %d", names[i], ids[i], a->vocab_size);
    return true;
}

static bool check_cap(const char *what, float cap, struct talc_error *err) {
    if (cap == 0 || (cap >= 1e-3f && cap <= 1e6f)) return true;
    return talc_fail(err, "the soft cap of %s is %g; it must be 0.001 to 1000000", what, (double)cap);
}

bool arch_check(const struct arch *a, struct talc_error *err) {
    for (size_t i = 0; i < sizeof size_rules / sizeof *size_rules; i++) {
        const struct size_rule *rule = &size_rules[i];
        int size = *(const int *)(const void *)((const char *)a + rule->place);
        if (size < 1 || size > rule->max)
            return talc_fail(err, "%s is %d; it must be 1 to %d", rule->name, size, rule->max);
    }
    if (a->n_heads % a->n_kv_heads != 0)
        return talc_fail(err, "%d heads cannot share %d key/value heads evenly", a->n_heads, a->n_kv_heads);
    if (a->rotary_dim < 0 || a->rotary_dim > a->head_dim)
        return talc_fail(err, "rotary positions turn %d numbers of a head of %d", a->rotary_dim, a->head_dim);
    if (!a->learned_positions && arch_rotary_dim(a) % 2 != 0)
        return talc_fail(err, "rotary positions need an even size of a head, not %d", arch_rotary_dim(a));
    if (a->norm_bias && a->norm != NORM_LAYER) return talc_fail(err, "only LayerNorm has a bias");
    if (!(a->norm_epsilon > 0) || !isfinite(a->norm_epsilon))
        return talc_fail(err, "the norm's epsilon is %g; it must be above 0", (double)a->norm_epsilon);
    if (!(a->dropout >= 0 && a->dropout < 1))
        return talc_fail(err, "dropout is %g; it must be at least 0 and below 1", (double)a->dropout);
    if (a->query_pre_attn_scalar < 0)
        return talc_fail(err, "query_pre_attn_scalar is %d; it must be above 0", a->query_pre_attn_scalar);
    return check_cap("attention scores", a->attention_softcap, err) && check_cap("logits", a->logit_softcap, err) &&
           check_layers(a, err) && check_ids(a, err);
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

/* Mean number of keys that a token of a text of `context` tokens sees, to within half a key: half of the context; with
 * a window w, half of w for the first w tokens and w from there on. */
static double mean_keys(int window, double context) {
    double w = window;
    return window > 0 && w < context ? w - w * w / (2 * context) : context / 2;
}

double arch_train_flops(const struct arch *a, int context) {
    double matrices = (double)arch_block_parameters(a) + (double)a->vocab_size * a->hidden_size, keys = 0;
    for (int l = 0; l < a->n_layers; l++) keys += mean_keys(a->layers[l].window, context);
    return 6 * matrices + 12.0 * a->n_heads * a->head_dim * keys;
}

/* ---- shapes ---------------------------------------------------------------------------------- */

/* Every other layer is banded, the first is dense. The paper gives no width of the band; 128 is the stride of the
 * Sparse Transformer that it follows (Child et al. 2019, 5.2). */
void arch_paper_attention(struct arch *a) {
    const int band = 128;
    for (int l = 1; l < a->n_layers; l += 2) a->layers[l].window = band;
}

static int round_up(int x, int multiple) { return (x + multiple - 1) / multiple * multiple; }

bool arch_from_depth(int depth, int vocab_size, struct arch *a, struct talc_error *err) {
    if (depth < 1 || depth > ARCH_MAX_DEPTH)
        return talc_fail(err, "a depth of %d was asked for; it must be 1 to %d", depth, ARCH_MAX_DEPTH);
    bool small = depth < 8, large = depth >= 20;
    *a = (struct arch){.family = "qwen3", .vocab_size = vocab_size, .n_layers = depth};
    a->hidden_size = (small ? 32 : 64) * depth;  /* width grows with depth; a small model would be slow at 64 a layer */
    a->head_dim = small ? 32 : large ? 128 : 64; /* so that a narrow model still has several heads */
    a->n_heads = (a->hidden_size + a->head_dim - 1) / a->head_dim; /* heads as wide as the model, or a little wider */
    a->n_kv_heads = a->n_heads;
    if (depth >= 12) { /* from here on the cache is what limits serving: two heads share a key and a value */
        a->n_heads = round_up(a->n_heads, 2);
        a->n_kv_heads = a->n_heads / 2;
    }
    a->intermediate_size = round_up(a->hidden_size * 8 / 3, 64); /* three matrices of 8/3 h weigh what two of 4 h do */
    a->context_length = small ? 512 : large ? 2048 : 1024;       /* what a machine for that size can afford */
    a->norm = NORM_RMS;
    a->norm_epsilon = 1e-6f;
    a->activation = ACTIVATION_SWIGLU;
    a->qk_norm = true;
    a->bos_id = a->eos_id = a->pad_id = -1; /* the tokenizer knows */
    for (int l = 0; l < depth; l++) a->layers[l].rope_base = 10000;
    return arch_check(a, err);
}
