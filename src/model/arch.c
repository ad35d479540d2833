/* arch.c - checks of a shape, its counts, and the shapes that --depth gives. */
#include "model/arch.h"

#include <string.h>

static bool check_size(const char *name, int64_t x, int64_t max, struct talc_error *err) {
    return x >= 1 && x <= max ? true : talc_fail(err, "%s is %lld; it must be 1 to %lld", name, (long long)x, (long long)max);
}

bool arch_check(const struct arch *a, struct talc_error *err) {
    if (!check_size("vocab_size", a->vocab_size, 1 << 24, err) || !check_size("context length", a->context_length, 1 << 24, err) ||
        !check_size("hidden_size", a->hidden_size, 1 << 20, err) || !check_size("number of layers", a->n_layers, ARCH_MAX_LAYERS, err) ||
        !check_size("number of heads", a->n_heads, 1 << 16, err) || !check_size("number of key/value heads", a->n_kv_heads, a->n_heads, err) ||
        !check_size("head_dim", a->head_dim, 1024, err) || !check_size("intermediate_size", a->intermediate_size, 1 << 22, err))
        return false;
    if (a->n_heads % a->n_kv_heads)
        return talc_fail(err, "%d heads cannot share %d key/value heads evenly", a->n_heads, a->n_kv_heads);
    if (!a->learned_positions && a->head_dim % 2) return talc_fail(err, "rotary positions need an even head_dim, not %d", a->head_dim);
    if (!(a->norm_epsilon > 0)) return talc_fail(err, "the norm's epsilon must be above 0");
    if (!(a->dropout >= 0 && a->dropout < 1)) return talc_fail(err, "dropout must be at least 0 and below 1");
    for (int l = 0; l < a->n_layers; l++)
        if (a->layers[l].window < 0 || (!a->learned_positions && !(a->layers[l].rope_base > 1)))
            return talc_fail(err, "layer %d has an impossible window or rope base", l);
    return true;
}

int64_t arch_block_parameters(const struct arch *a) {
    int64_t h = a->hidden_size, q = (int64_t)a->n_heads * a->head_dim, kv = (int64_t)a->n_kv_heads * a->head_dim;
    int64_t f = a->intermediate_size, up = a->activation == ACTIVATION_SWIGLU ? 2 * f : f;
    return a->n_layers * (h * (q + 2 * kv) + q * h + h * up + f * h);
}

int64_t arch_parameters(const struct arch *a) {
    int64_t h = a->hidden_size, q = (int64_t)a->n_heads * a->head_dim, kv = (int64_t)a->n_kv_heads * a->head_dim;
    int64_t up = (a->activation == ACTIVATION_SWIGLU ? 2 : 1) * (int64_t)a->intermediate_size;
    int64_t norms = a->norm == NORM_LAYER && a->norm_bias ? 2 * h : h;
    int64_t layer = 2 * norms + (a->qk_norm ? 2 * (int64_t)a->head_dim : 0) + (a->qkv_bias ? q + 2 * kv : 0) +
                    (a->out_bias ? h : 0) + (a->mlp_bias ? up + h : 0);
    int64_t tables = (int64_t)a->vocab_size * h * (a->tie_embeddings ? 1 : 2) + (a->learned_positions ? a->context_length * h : 0);
    return tables + arch_block_parameters(a) + a->n_layers * layer + norms;
}

double arch_train_flops(const struct arch *a, int context) {
    double multiplying = (double)arch_block_parameters(a) + (double)a->vocab_size * a->hidden_size;
    return 6 * multiplying + 6.0 * a->n_layers * a->n_heads * a->head_dim * context;
}

void arch_paper_attention(struct arch *a) {
    for (int l = 1; l < a->n_layers; l += 2) a->layers[l].window = 128 < a->context_length ? 128 : a->context_length;
}

bool arch_from_depth(int depth, int vocab_size, struct arch *a, struct talc_error *err) {
    bool small = depth < 8, large = depth >= 20;
    *a = (struct arch){.family = "qwen3",
                       .vocab_size = vocab_size,
                       .n_layers = depth,
                       .head_dim = small ? 32 : large ? 128 : 64, /* narrow models need several heads all the same */
                       .hidden_size = (small ? 32 : 64) * depth,  /* width grows with depth: 64 a layer, as in nanochat */
                       .context_length = small ? 256 : large ? 2048 : 1024,
                       .norm = NORM_RMS,
                       .norm_epsilon = 1e-6f,
                       .activation = ACTIVATION_SWIGLU,
                       .qk_norm = true,
                       .bos_id = -1,
                       .eos_id = -1,
                       .pad_id = -1};
    a->n_heads = a->hidden_size / a->head_dim > 0 ? a->hidden_size / a->head_dim : 1;
    a->n_kv_heads = depth >= 12 && a->n_heads % 2 == 0 ? a->n_heads / 2 : a->n_heads; /* the cache matters once it is large */
    a->intermediate_size = (a->hidden_size * 8 / 3 + 63) / 64 * 64; /* three matrices of 8/3 h weigh what two of 4 h do */
    if (depth < 1 || depth > ARCH_MAX_LAYERS) return talc_fail(err, "--depth must be 1 to %d, not %d", ARCH_MAX_LAYERS, depth);
    for (int l = 0; l < depth; l++) a->layers[l].rope_base = 10000;
    return arch_check(a, err);
}
