/* recipe.h - how to train a shape well when nothing else is said. Each number has its reason beside it in recipe.c. */
#ifndef TALC_TRAIN_RECIPE_H
#define TALC_TRAIN_RECIPE_H

#include "model/model.h"
#include "train/schedule.h"
#include "train/trainer.h"

struct recipe {
    struct trainer_options trainer; /* row_tokens, rates, decay, betas, clipping; micro_batch_rows = rows_per_step */
    struct schedule schedule;       /* total_steps 0: the caller's */
    int rows_per_step;
    struct batch_ramp ramp; /* none, unless asked for */
    int64_t steps;          /* for about 20 tokens a parameter (Hoffmann et al. 2022) */
    enum init_scheme init;
};

/* GPT-2 family: one rate for all, decay on matrices, cosine. `preset` (may be NULL) may carry its own numbers. */
/* Other families: rates by role, hold, then linear to zero. */
struct recipe recipe_for(const struct arch *arch, const char *preset);

/* Makes it one for training a model further, on answers: gentler the larger the model (recipe.c). Usual are rows of at
 * most so many tokens, and so many passes over the data; steps are the caller's to set. */
#define RECIPE_TUNING_ROW_TOKENS 2048
#define RECIPE_TUNING_PASSES 3
void recipe_tune(struct recipe *recipe, const struct arch *arch);

/* The same with Muon for the matrices. */
void recipe_use_muon(struct recipe *recipe);

#endif
