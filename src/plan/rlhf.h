/* rlhf.h - the stages of alignment planned and priced: SFT, reward model, PPO with generation by the same weights. */
#ifndef TALC_PLAN_RLHF_H
#define TALC_PLAN_RLHF_H

#include "plan/serving.h"

struct rlhf_load {
    double sft_tokens, reward_tokens;    /* trained on in the first two stages */
    double ppo_tokens;                   /* prompts and answers together, once */
    double prompt_tokens, answer_tokens; /* of one row */
    int rows;                            /* generated before each update */
    const struct plan_model *small;      /* reward model and critic; NULL: as large as the policy */
};
/* DeepSpeed-Chat's step 3: 135M tokens, rows of 256 + 256, 1024 rows an update. */
#define RLHF_LOAD_DEFAULT ((struct rlhf_load){20e6, 20e6, 135e6, 256, 256, 1024, 0})

struct rlhf_stage {
    const char *name;
    double seconds, chip_hours, cost[3]; /* US dollars */
};
struct rlhf_plan {
    struct rlhf_stage stages[3];
    double generate_seconds, score_seconds, train_seconds, switch_seconds; /* of the third */
    int generate_chips;                                                    /* of one generating replica */
    double memory; /* bytes a chip: policy and critic in training, reference and reward model beside them */
    bool offload;  /* optimizer in the host's memory, as the models would not fit together else */
};

bool rlhf_plan(const struct plan_request *request, const struct rlhf_load *load, struct rlhf_plan *out,
               struct talc_error *err);

#endif
