/* recipe.c - see recipe.h. */
#include "train/recipe.h"

#include <math.h>
#include <string.h>

static void set_group(struct recipe *r, enum parameter_role role, double rate, double decay) {
    r->trainer.groups[role] = (struct group_options){.learning_rate = (float)rate, .weight_decay = (float)decay};
}

/* Batch of an update in tokens. Small models want many small steps: 0.8M parameters learn best from about 768 tokens
 * (at equal data 1,536 cost 0.13 nats on Tiny Shakespeare). GPT-3 gave 125M parameters (85M in blocks) half a million.
 * Between the two: a power of the size. */
static double batch_tokens(const struct arch *a) {
    double size = (double)arch_block_parameters(a) / 0.8e6;
    double tokens = 768 * pow(size < 1 ? 1 : size, log(524288.0 / 768) / log(85e6 / 0.8e6));
    return tokens > 4194304 ? 4194304 : tokens;
}

static int rows_of(const struct arch *a, double tokens) {
    double rows = floor(tokens / a->context_length + 0.5);
    return rows < 1 ? 1 : (int)rows;
}

/* Karpathy's nanoGPT: AdamW, one rate, decay 0.1 on every matrix and table, cosine to a tenth. */
static struct recipe gpt2_recipe(const struct arch *a, const char *preset) {
    bool tiny = preset && strncmp(preset, "shakespeare", 11) == 0;
    /* Brown et al. 2020, table 2.1: 6e-4 at 125M down to 0.6e-4 at 175B, nearly size^-0.32. */
    double rate = tiny ? 1e-3 : 6e-4 * pow((double)arch_parameters(a) / 125e6, -0.32);
    struct recipe r = {.init = INIT_GPT2,
                       .schedule = {.kind = SCHEDULE_COSINE, .warmup_steps = tiny ? 100 : 700, .final_factor = 0.1},
                       .trainer = {.beta1 = 0.9f, .beta2 = tiny ? 0.99f : 0.95f, .epsilon = 1e-8f, .gradient_clip = 1}};
    for (int role = 0; role < PARAMETER_ROLES; role++)
        set_group(&r, (enum parameter_role)role, rate, role == ROLE_NORM || role == ROLE_BIAS ? 0 : 0.1);
    r.rows_per_step = rows_of(a, batch_tokens(a));
    if (tiny && a->context_length == 64) r.rows_per_step = 12;
    if (tiny && a->context_length == 256) r.rows_per_step = 64;
    return r;
}

/* Rates by role. Measured at hidden 128: matrices 2e-3 (4e-3 is 0.03 nats worse), embedding 1e-2, head 4e-3; wider
 * models take less, as 1/sqrt(width) (tuned by nanochat from 768 up). Decay on matrices only. Hold, then linear to
 * zero: the decay to zero brings the last 20 to 60 points of held-out answers. */
static struct recipe modern_recipe(const struct arch *a) {
    double scale = sqrt(128.0 / a->hidden_size);
    struct recipe r = {.init = INIT_ZERO_OUT,
                       .schedule = {.kind = SCHEDULE_WSD, .warmup_steps = 50, .final_factor = 0, .decay_fraction = 0.7},
                       .trainer = {.beta1 = 0.9f, .beta2 = 0.99f, .epsilon = 1e-10f, .gradient_clip = 1}};
    set_group(&r, ROLE_EMBEDDING, 1e-2 * scale, 0);
    set_group(&r, ROLE_POSITION, 1e-2 * scale, 0);
    set_group(&r, ROLE_MATRIX, 2e-3 * scale, 0.1);
    set_group(&r, ROLE_HEAD, 4e-3 * scale, 0);
    set_group(&r, ROLE_NORM, 2e-3 * scale, 0);
    set_group(&r, ROLE_BIAS, 2e-3 * scale, 0);
    r.rows_per_step = rows_of(a, batch_tokens(a));
    return r;
}

struct recipe recipe_for(const struct arch *arch, const char *preset) {
    struct recipe r = strcmp(arch->family, "gpt2") == 0 ? gpt2_recipe(arch, preset) : modern_recipe(arch);
    r.trainer.row_tokens = arch->context_length;
    r.trainer.micro_batch_rows = r.rows_per_step;
    r.trainer.compute = DTYPE_F32;
    double step = (double)r.rows_per_step * arch->context_length;
    r.steps = (int64_t)ceil(20.0 * (double)arch_parameters(arch) / step);
    if (preset && strcmp(preset, "shakespeare-char-cpu") == 0) r.steps = 2000;
    if (preset && strcmp(preset, "shakespeare-char-gpu") == 0) r.steps = 5000;
    return r;
}

#define TUNING_BATCH_TOKENS 32768.0

/* At width 128 SFT learns best at the rates of pretraining (docs/recipes.md). Open models are tuned at one rate for all
 * parameters, some 1e-4 at 100M, 2e-5 to 5e-5 at 1B, 1e-5 at 7B, in batches of a few ten thousand tokens: the rates
 * below come to 1.4e-4, 3.1e-5 and 1.1e-5 at widths of 768, 2,048 and 4,096. Not measured here beyond width 128. */
void recipe_tune(struct recipe *r, const struct arch *arch) {
    double share = arch->hidden_size > 128 ? 128.0 / arch->hidden_size : 1;
    double matrix = (double)r->trainer.groups[ROLE_MATRIX].learning_rate;
    for (int role = 0; role < PARAMETER_ROLES; role++) {
        float *rate = &r->trainer.groups[role].learning_rate;
        *rate = (float)(matrix * share * pow((double)*rate / matrix, share));
    }
    double rows = floor(TUNING_BATCH_TOKENS / r->trainer.row_tokens);
    if (rows < 1) rows = 1;
    if (r->rows_per_step > rows) r->rows_per_step = (int)rows;
    r->trainer.micro_batch_rows = r->rows_per_step;
    r->steps = 0;
}

/* Jordan et al. 2024: 0.02 of an orthogonal step for any size of matrix, no decay; momentum rises at first. */
void recipe_use_muon(struct recipe *r) {
    r->trainer.use_muon = true;
    r->trainer.muon = (struct muon_options){.momentum = 0.95f, .warmup_steps = 200};
    set_group(r, ROLE_MATRIX, 0.02, 0);
}
