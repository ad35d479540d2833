/* rlhf.c - SFT, reward model and PPO, planned; see rlhf.h. */
#include "plan/rlhf.h"

#include <math.h>

/* A step of training `model` on the rows of an update: the best layout beside `resident` bytes a chip
 * of other models. */
static bool train_step(const struct plan_request *r, const struct plan_model *model, const struct rlhf_load *load,
                       double resident, bool offload, struct plan_candidate *out, struct talc_error *err) {
    struct plan_job job = r->job;
    struct plan_wish wish = r->wish;
    struct plan_ranking ranking;
    struct plan_chip left = *r->job.chip;
    left.memory -= resident;
    if (left.memory <= 0)
        return talc_fail(err, "%s: the models that do not train take all of the memory of %s", model->name, left.name);
    job.model = model, job.batch = load->rows, job.sequence = (int)(load->prompt_tokens + load->answer_tokens),
    job.chip = &left;
    if (model != r->job.model) job.own = NULL;
    wish.offload = offload, wish.all_chips = true;
    if (!plan_search(&job, &wish, &plan_fitted, &ranking, err)) return false;
    *out = ranking.best[0];
    plan_ranking_free(&ranking);
    return true;
}

static double states_of(const struct plan_candidate *c) {
    return c->memory.weights + c->memory.gradients + c->memory.optimizer;
}

static void price(const struct plan_request *r, struct rlhf_stage *stage) {
    stage->chip_hours = r->job.chips * stage->seconds / 3600;
    double rent[3] = {r->prices.rent.low, r->prices.rent.mid, r->prices.rent.high};
    for (int i = 0; i < 3; i++) stage->cost[i] = stage->chip_hours * rent[i];
}

/* Generating the rows of one update: every replica decodes its share, as many at once as memory allows beside the
 * models. */
static bool generate(const struct plan_request *r, const struct rlhf_load *load, double resident, double *seconds,
                     int *chips, struct talc_error *err) {
    struct serving_load of = {
        .prompt_tokens = load->prompt_tokens, .output_tokens = load->answer_tokens, .token_seconds = 1e9, .busy = 1};
    struct plan_job job = r->job;
    struct plan_chip left = *r->job.chip;
    left.memory = r->job.chip->memory - resident; /* the weights that generate are a copy, laid out for it */
    job.chip = &left;
    *seconds = INFINITY;
    for (int n = 1; n <= job.network->island && n <= job.chips; n *= 2) {
        struct serving_replica replica;
        double rows = ceil(load->rows / floor((double)job.chips / n));
        if (job.model->heads % n || !serving_replica_plan(&job, n, (int)rows, &of, &replica)) continue;
        double waves = ceil(rows / replica.batch);
        double time = rows * replica.prefill_seconds + waves * load->answer_tokens * replica.step_seconds;
        if (time < *seconds) *seconds = time, *chips = n;
    }
    return isfinite(*seconds) ? true : talc_fail(err, "%s: no room is left for a copy that generates", job.model->name);
}

static double forward_seconds(const struct plan_candidate *c) {
    return (c->step.matmul + c->step.attention + c->step.elementwise) / 3 + c->step.tensor_comm / 2 +
           c->step.data_comm / 2;
}

bool rlhf_plan(const struct plan_request *r, const struct rlhf_load *load, struct rlhf_plan *out,
               struct talc_error *err) {
    if (!plan_precision_check(r->job.chip, r->job.precision, err) ||
        !serving_tokens_check(load->prompt_tokens, load->answer_tokens, err))
        return false;
    const struct plan_model *policy = r->job.model, *small = load->small ? load->small : policy;
    double row_tokens = load->rows * (load->prompt_tokens + load->answer_tokens),
           updates = ceil(load->ppo_tokens / row_tokens);
    struct plan_candidate actor, critic;
    *out = (struct rlhf_plan){0};
    bool fit = false;
    /* Reference and reward model, 16-bit, shared out over all chips while they do not score. */
    double frozen = 2 * (plan_model_params(policy) + plan_model_params(small)) / r->job.chips;
    for (int offload = 0; offload <= 1 && !fit; offload++) {
        double critic_states =
            (offload ? 4 : 18) * plan_model_params(small) / r->job.chips; /* where it is shared out, at best */
        /* The policy first, beside a critic at its smallest; again beside the critic that then fits. */
        fit = train_step(r, policy, load, frozen + critic_states, offload, &actor, err) &&
              train_step(r, small, load, frozen + states_of(&actor), offload, &critic, err) &&
              train_step(r, policy, load, frozen + states_of(&critic), offload, &actor, err) &&
              train_step(r, small, load, frozen + states_of(&actor), offload, &critic, err) &&
              generate(r, load, frozen + states_of(&actor) + states_of(&critic), &out->generate_seconds,
                       &out->generate_chips, err);
        if (!fit) continue;
        out->memory = frozen + fmax(actor.memory.total + states_of(&critic), critic.memory.total + states_of(&actor));
        out->offload = offload;
        fit = out->memory <= plan_memory_limit(r->job.chip) ||
              talc_fail(err, "together they need %.1f GiB a chip", out->memory / (1 << 30));
    }
    if (!fit)
        return talc_fail_in(
            err, "PPO with policy, reference, critic and reward model, even with the optimizer in the host's memory");
    out->generate_seconds *= updates;
    out->score_seconds = updates * 2 * (forward_seconds(&actor) + forward_seconds(&critic));
    out->train_seconds = updates * (actor.step.seconds + critic.step.seconds);
    /* Weights gathered into the generating layout once an update. */
    out->switch_seconds =
        updates * 2 * plan_model_params(policy) * 2 / out->generate_chips / (0.5 * r->job.chip->scale_up_rate);
    out->stages[0] = (struct rlhf_stage){.name = "SFT", .seconds = load->sft_tokens / row_tokens * actor.step.seconds};
    out->stages[1] =
        (struct rlhf_stage){.name = "reward model", .seconds = load->reward_tokens / row_tokens * critic.step.seconds};
    out->stages[2] = (struct rlhf_stage){.name = "PPO",
                                         .seconds = out->generate_seconds + out->score_seconds + out->train_seconds +
                                                    out->switch_seconds};
    for (int i = 0; i < 3; i++) price(r, &out->stages[i]);
    return true;
}
