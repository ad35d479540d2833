/* serving.c - chips, latency and money of inference; see serving.h. */
#include "plan/serving.h"

#include <limits.h>
#include <math.h>

#include "plan/collective.h"
#include "plan/matmul_time.h"
#include "plan/memory.h"

/* Of the memory's peak rate that reading weights reaches in decoding, measured by engines on A100 and H100 alike; of a
 * chip's memory that the engine gives to weights and cache; microseconds that a layer's kernels add to a step. */
#define READ_SHARE 0.8
#define MEMORY_SHARE 0.9
#define LAYER_OVERHEAD 12e-6

static double weight_size(enum plan_precision p) {
    return p >= PRECISION_FP4 ? 0.5 : p >= PRECISION_FP8 ? 1 : precision_bytes(p);
}

/* Weights that one decoding step of `batch` sequences reads: with experts, those that any of the tokens chose. */
static double read_params(const struct plan_model *m, int batch) {
    double all = plan_model_params(m);
    if (!m->experts) return all;
    double expert = plan_expert_params(m);
    return all - expert + expert * (1 - pow(1 - (double)m->active / m->experts, batch));
}

static double step_seconds(const struct plan_job *job, const struct serving_replica *r, int batch) {
    const struct plan_model *m = job->model;
    const struct plan_chip *chip = job->chip;
    double rate = chip->memory_rate * READ_SHARE * r->chips;
    double bytes = read_params(m, batch) * weight_size(job->precision) + batch * r->kv_bytes_mean;
    double flops = 2 * plan_model_active_params(m) * batch;
    double compute = flops / (r->chips * chip->matmul[job->precision] * plan_fitted.value[CONSTANT_MATMUL]);
    double read = bytes / rate, seconds = (read > compute ? read : compute) + m->layers * LAYER_OVERHEAD;
    struct comm_group g = {.ranks = r->chips,
                           .per_island = job->network->island < r->chips ? job->network->island : r->chips,
                           .crowding = 1,
                           .scale_up_rate = SCALE_UP_SHARE * chip->scale_up_rate,
                           .network_rate = job->network->nic_rate * plan_fitted.value[CONSTANT_NETWORK],
                           .latency = job->network->latency};
    return seconds + 2 * m->layers * all_reduce_seconds(&g, precision_bytes(job->precision) * batch * m->hidden);
}

static double prefill_seconds(const struct plan_job *job, const struct serving_replica *r, double tokens) {
    const struct plan_model *m = job->model;
    struct plan_layout l = {.tp = r->chips, .pp = 1, .vpp = 1, .dp = 1, .cp = 1, .ep = 1, .micro_batch = 1};
    struct plan_job one = *job;
    one.chips = r->chips, one.batch = 1, one.sequence = tokens < 1 ? 1 : (int)tokens;
    struct plan_step step = plan_step_of(&one, &l, &plan_fitted);
    double read = plan_model_params(m) * weight_size(job->precision) / (job->chip->memory_rate * READ_SHARE * r->chips);
    return step.forward > read ? step.forward : read;
}

bool serving_replica_plan(const struct plan_job *job, int chips, int batch, const struct serving_load *load,
                          struct serving_replica *out) {
    const struct plan_model *m = job->model;
    *out = (struct serving_replica){.chips = chips};
    double kv_token =
        precision_bytes(job->precision) * (m->kv_values ? m->kv_values : 2.0 * m->kv_heads * m->head_dim) * m->layers;
    out->weight_bytes = plan_model_params(m) * weight_size(job->precision);
    out->kv_bytes_per_sequence = kv_token * (load->prompt_tokens + load->output_tokens);
    out->kv_bytes_mean = kv_token * (load->prompt_tokens + load->output_tokens / 2);
    out->free_bytes = MEMORY_SHARE * job->chip->memory * chips - out->weight_bytes - chips * 1.5e9;
    int most = (int)fmin(4096, out->free_bytes / out->kv_bytes_per_sequence);
    if (out->free_bytes <= 0 || most < 1) return false;
    out->prefill_seconds = prefill_seconds(job, out, load->prompt_tokens * (1 - load->prefix_cached));
    out->batch = batch > 0 && batch < most ? batch : most;
    while (batch == 0 && out->batch > 1 && step_seconds(job, out, out->batch) > load->token_seconds)
        out->batch -= (out->batch + 15) / 16;
    out->step_seconds = step_seconds(job, out, out->batch);
    double a_request = out->prefill_seconds + load->output_tokens * out->step_seconds / out->batch;
    out->requests_per_second = 1 / a_request;
    out->tokens_per_second = load->output_tokens / a_request;
    return true;
}

/* False when that is more chips than there are numbers. */
static bool finish(const struct plan_job *job, const struct serving_load *load, const struct plan_prices *prices,
                   struct serving_plan *p) {
    double wanted = load->users * load->requests_per_minute / 60;
    double replicas = fmax(1, ceil(wanted / (p->replica.requests_per_second * load->busy)));
    if (!(replicas * p->replica.chips <= INT_MAX)) return false;
    p->replicas = (int)replicas;
    p->chips = p->replicas * p->replica.chips;
    p->load = wanted / (p->replicas * p->replica.requests_per_second);
    /* Prompts take their share of a replica's time from the decoding steps; a prompt waits for the one before it. */
    double per_replica = wanted / p->replicas, prompts = fmin(0.95, per_replica * p->replica.prefill_seconds);
    p->token_seconds = p->replica.step_seconds / (1 - prompts);
    p->first_token_seconds = p->replica.prefill_seconds * (1 + prompts / (2 * (1 - prompts))) + p->token_seconds;
    p->answer_seconds = p->first_token_seconds + load->output_tokens * p->token_seconds;
    p->single_stream = 1 / step_seconds(job, &p->replica, 1);
    p->tokens_per_second = wanted * load->output_tokens;
    double rent[3] = {prices->rent.low, prices->rent.mid, prices->rent.high};
    for (int i = 0; i < 3; i++) {
        p->cost_per_hour[i] = p->chips * rent[i];
        p->cost_per_million_tokens[i] = p->cost_per_hour[i] / 3600 / p->tokens_per_second * 1e6;
    }
    p->watts = p->chips * job->chip->watts;
    return true;
}

bool serving_tokens_check(double prompt, double output, struct talc_error *err) {
    bool ok = prompt >= 1 && prompt <= 1e8 && output >= 1 && output <= 1e8;
    return ok || talc_fail(err, "prompts of %g and answers of %g tokens; give 1 to 1e8 tokens each", prompt, output);
}

bool serving_plan(const struct plan_job *job, const struct serving_load *load, const struct plan_prices *prices,
                  struct serving_plan *out, struct talc_error *err) {
    bool found = false, fits = false, countless = false;
    int most = 1; /* chips that were tried */
    if (load->users <= 0) return talc_fail(err, "say how many users are online: --users N");
    if (!plan_precision_check(job->chip, job->precision, err) ||
        !serving_tokens_check(load->prompt_tokens, load->output_tokens, err))
        return false;
    for (int chips = 1; chips <= job->network->island; chips *= 2) {
        struct serving_plan p = {0};
        if (job->model->heads % chips) continue;
        most = chips;
        if (!serving_replica_plan(job, chips, 0, load, &p.replica)) continue;
        fits = true;
        /* Prompts lengthen the steps between tokens: fewer answers at once, on more replicas, keep to the limit. */
        for (int batch = p.replica.batch; batch > 0; batch -= (batch + 7) / 8) {
            serving_replica_plan(job, chips, batch, load, &p.replica);
            bool counted = finish(job, load, prices, &p);
            countless |= !counted;
            bool quick = p.token_seconds <= load->token_seconds && p.first_token_seconds <= load->first_seconds;
            if (counted && quick && (!found || p.chips < out->chips)) *out = p, found = true;
        }
    }
    if (found) return true;
    if (countless) return talc_fail(err, "%g users take more than %d x %s", load->users, INT_MAX, job->chip->name);
    if (fits)
        return talc_fail(err,
                         "no replica of up to %d x %s gives a token in %.0f ms and the first in %.1f s; allow more "
                         "(--token-ms, --first-ms) or take a faster chip",
                         most, job->chip->name, 1000 * load->token_seconds, load->first_seconds);
    return talc_fail(err,
                     "%s (%.0f GB of weights) does not fit %d x %s, the most of an island of %d that share its %d "
                     "heads; take fp8, or a larger chip",
                     job->model->name, plan_model_params(job->model) * weight_size(job->precision) / 1e9, most,
                     job->chip->name, job->network->island, job->model->heads);
}
