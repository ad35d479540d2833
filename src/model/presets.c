/* presets.c - known shapes by name: GPT-2 (Radford et al. 2019), GPT-3 (Brown et al. 2020, table 2.1), and nanoGPT's
 * two character-level models. */
#include "model/arch.h"

#include <stdio.h>
#include <string.h>

static const char xl_note[] = "the paper prints 24 heads of 128, which do not make 2048; here 16 heads of 128";
static const char b13_note[] = "the paper prints a width of 5140, which 40 heads of 128 do not make; here 5120";

const struct preset presets[] = {
    {"gpt2-124m", "GPT-2 small", NULL},
    {"gpt2-355m", "GPT-2 medium", NULL},
    {"gpt2-774m", "GPT-2 large", NULL},
    {"gpt2-1558m", "GPT-2 XL", NULL},
    {"gpt3-125m", "GPT-3 Small", NULL},
    {"gpt3-350m", "GPT-3 Medium", NULL},
    {"gpt3-760m", "GPT-3 Large", NULL},
    {"gpt3-1.3b", "GPT-3 XL", xl_note},
    {"gpt3-2.7b", "GPT-3 2.7B", NULL},
    {"gpt3-6.7b", "GPT-3 6.7B", NULL},
    {"gpt3-13b", "GPT-3 13B", b13_note},
    {"gpt3-175b", "GPT-3 175B", NULL},
    {"shakespeare-char-cpu", "nanoGPT's character model for a CPU", NULL},
    {"shakespeare-char-gpu", "nanoGPT's character model for a GPU", NULL},
    {NULL, NULL, NULL},
};

/* In the order of `presets`. Dropout is 0 where the models of the papers are trained today in one pass
 * over the text. */
static const struct {
    int layers, hidden, heads, context, vocab;
    float dropout;
    bool bias;
} shapes[] = {
    {12, 768, 12, 1024, 50257, 0, true},   /* gpt2-124m */
    {24, 1024, 16, 1024, 50257, 0, true},  /* gpt2-355m */
    {36, 1280, 20, 1024, 50257, 0, true},  /* gpt2-774m */
    {48, 1600, 25, 1024, 50257, 0, true},  /* gpt2-1558m */
    {12, 768, 12, 2048, 50257, 0, true},   /* gpt3-125m */
    {24, 1024, 16, 2048, 50257, 0, true},  /* gpt3-350m */
    {24, 1536, 16, 2048, 50257, 0, true},  /* gpt3-760m */
    {24, 2048, 16, 2048, 50257, 0, true},  /* gpt3-1.3b */
    {32, 2560, 32, 2048, 50257, 0, true},  /* gpt3-2.7b */
    {32, 4096, 32, 2048, 50257, 0, true},  /* gpt3-6.7b */
    {40, 5120, 40, 2048, 50257, 0, true},  /* gpt3-13b */
    {96, 12288, 96, 2048, 50257, 0, true}, /* gpt3-175b */
    {4, 128, 4, 64, 65, 0, false},         /* shakespeare-char-cpu */
    {6, 384, 6, 256, 65, 0.2f, false},     /* shakespeare-char-gpu */
};
_Static_assert(sizeof shapes / sizeof *shapes + 1 == sizeof presets / sizeof *presets, "a shape for every preset");

bool arch_preset(const char *name, struct arch *a, struct talc_error *err) {
    for (int i = 0; presets[i].name; i++) {
        if (strcmp(presets[i].name, name) != 0) continue;
        *a = (struct arch){.family = "gpt2",
                           .vocab_size = shapes[i].vocab,
                           .context_length = shapes[i].context,
                           .hidden_size = shapes[i].hidden,
                           .n_layers = shapes[i].layers,
                           .n_heads = shapes[i].heads,
                           .n_kv_heads = shapes[i].heads,
                           .head_dim = shapes[i].hidden / shapes[i].heads,
                           .intermediate_size = 4 * shapes[i].hidden,
                           .norm = NORM_LAYER,
                           .norm_epsilon = 1e-5f,
                           .norm_bias = shapes[i].bias,
                           .activation = ACTIVATION_GELU_TANH,
                           .learned_positions = true,
                           .qkv_bias = shapes[i].bias,
                           .out_bias = shapes[i].bias,
                           .mlp_bias = shapes[i].bias,
                           .tie_embeddings = true,
                           .dropout = shapes[i].dropout,
                           .bos_id = -1,
                           .eos_id = -1,
                           .pad_id = -1};
        return arch_check(a, err);
    }
    char names[400] = "";
    for (int i = 0; presets[i].name; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", presets[i].name);
    }
    return talc_fail(err, "there is no preset '%.40s'; there are %s", name, names);
}
