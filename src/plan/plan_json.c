/* plan_json.c - plans as JSON; see plan_json.h. */
#include "plan/plan_json.h"

#include <stdio.h>

static json_t *layout_json(const struct plan_job *job, const struct plan_layout *l) {
    return json_pack("{s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:s,s:b,s:b}", "tp", l->tp, "pp", l->pp, "vpp", l->vpp, "dp",
                     l->dp, "cp", l->cp, "ep", l->ep, "micro_batch", l->micro_batch, "micro_batches",
                     plan_micro_batches(job, l), "zero", l->zero, "recompute", recompute_names[l->recompute],
                     "sequence_parallel", l->sequence_parallel, "offload", l->offload);
}

static json_t *parts_json(const struct plan_part *parts, int n, const void *whole) {
    json_t *o = json_object();
    for (int i = 0; i < n; i++) json_object_set_new(o, parts[i].key, json_real(plan_part_value(&parts[i], whole)));
    return o;
}

static json_t *memory_json(const struct plan_memory *m) {
    json_t *o = parts_json(plan_memory_parts, PLAN_MEMORY_PARTS, m);
    json_object_set_new(o, "total", json_real(m->total));
    json_object_set_new(o, "host", json_real(m->host));
    json_object_set_new(o, "stage", json_integer(m->stage));
    return o;
}

static json_t *candidates_json(const struct plan_job *job, const struct plan_candidate *best,
                               const struct plan_candidate *list, int n, int from) {
    json_t *array = json_array();
    for (int i = from; i < n; i++) {
        char reason[160];
        plan_reason(best, &list[i], plan_memory_limit(job->chip), reason);
        json_array_append_new(array, json_pack("{s:o,s:f,s:f,s:f,s:s}", "layout", layout_json(job, &list[i].layout),
                                               "step_seconds", list[i].step.seconds, "tokens_per_second",
                                               list[i].tokens_per_second, "memory_bytes_per_gpu", list[i].memory.total,
                                               "why_not", reason));
    }
    return array;
}

/* JSON's null where a table does not say. */
static json_t *known(double value) { return value > 0 ? json_real(value) : json_null(); }

static json_t *money_json(double low, double mid, double high) {
    return json_pack("{s:f,s:f,s:f}", "low", low, "mid", mid, "high", high);
}

/* Money in dollars under `name`_usd, in the currency that is shown under `name`. */
static void set_money(json_t *o, const char *name, const double usd[3], const struct plan_prices *prices) {
    char key[64];
    double per = prices->per_usd;
    snprintf(key, sizeof key, "%s_usd", name);
    json_object_set_new(o, key, money_json(usd[0], usd[1], usd[2]));
    json_object_set_new(o, name, money_json(usd[0] * per, usd[1] * per, usd[2] * per));
}

static json_t *failures_json(const struct failure_plan *f) {
    /* JSON has no infinity: without failures the time between them is null. */
    json_t *mttf = f->mttf_seconds < 1e15 ? json_real(f->mttf_seconds) : json_null();
    return json_pack("{s:o,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f}", "mttf_seconds", mttf, "expected", f->failures, "goodput",
                     f->goodput, "goodput_young", f->young_goodput, "goodput_simulated", f->simulated_goodput,
                     "wall_days_p10", f->wall_p10 / 86400, "wall_days_p90", f->wall_p90 / 86400, "nodes", f->nodes,
                     "waits_for_spares", f->waits_for_spares);
}

json_t *training_plan_json(const struct plan_request *r, const struct training_plan *p) {
    const struct plan_job *job = &p->job;
    const struct plan_layout *l = &p->best.layout;
    json_t *warnings = json_array(), *o;
    for (int i = 0; i < p->warnings.n; i++) json_array_append_new(warnings, json_string(p->warnings.text[i]));
    int batch = plan_true_batch(job, l);
    o = json_pack("{s:s,s:s,s:i,s:s,s:s,s:s,s:f,s:i,s:f,s:i}", "model", job->model->name, "gpu", job->chip->name,
                  "gpus", job->chips, "precision", precision_names[job->precision], "network", job->network->name,
                  "software", job->software->name, "tokens", r->tokens, "batch", batch, "batch_tokens",
                  (double)batch * job->sequence, "context", job->sequence);
    if (!o) return NULL;
    const struct plan_cost *c = &p->cost;
    double per = r->prices.per_usd, rent[3] = {c->low, c->mid, c->high};
    json_object_set_new(o, "days", json_real(p->failures.wall_seconds / 86400));
    json_object_set_new(o, "compute_days", json_real(p->compute_seconds / 86400));
    json_object_set_new(o, "steps", json_real(p->steps));
    json_object_set_new(o, "gpu_hours", json_real(c->chip_hours));
    set_money(o, "cost", rent, &r->prices);
    json_object_set_new(o, "purchase_usd", known(c->purchase));
    json_object_set_new(o, "currency", json_string(r->prices.currency));
    json_object_set_new(o, "purchase", known(c->purchase * per));
    json_object_set_new(o, "price_date", json_string(r->prices.rent.month));
    json_object_set_new(o, "energy_mwh", known(c->mwh));
    json_object_set_new(o, "co2_tonnes", known(c->co2_tonnes));
    json_object_set_new(o, "step_seconds", json_real(p->best.step.seconds));
    json_object_set_new(o, "tokens_per_second", json_real(p->best.tokens_per_second));
    json_object_set_new(o, "step", parts_json(plan_step_parts, PLAN_STEP_PARTS, &p->best.step));
    json_object_set_new(o, "mfu", json_real(p->mfu));
    json_object_set_new(o, "hfu", json_real(p->hfu));
    json_object_set_new(o, "mfu_causal", json_real(p->mfu_causal));
    json_object_set_new(o, "mfu_6nd", json_real(p->mfu_six_n));
    json_object_set_new(o, "peak_flops", json_real(job->chip->peak[job->precision]));
    json_object_set_new(o, "memory_bytes_per_gpu", json_real(p->best.memory.total));
    json_object_set_new(o, "memory_limit_bytes", json_real(plan_memory_limit(job->chip)));
    json_object_set_new(o, "memory", memory_json(&p->best.memory));
    json_object_set_new(o, "layout", layout_json(job, l));
    json_object_set_new(o, "alternatives", candidates_json(job, &p->best, p->ranking.best, p->ranking.n_best, 1));
    json_object_set_new(o, "out_of_memory", candidates_json(job, &p->best, p->ranking.lost, p->ranking.n_lost, 0));
    json_object_set_new(o, "layouts_tried", json_integer(p->ranking.n_tried));
    json_object_set_new(o, "checkpoint",
                        json_pack("{s:f,s:f,s:f}", "bytes", p->failures.checkpoint_bytes, "write_seconds",
                                  p->failures.checkpoint_seconds, "interval_seconds", p->failures.interval_seconds));
    json_object_set_new(o, "failures", failures_json(&p->failures));
    json_object_set_new(o, "warnings", warnings);
    return o;
}

json_t *serving_plan_json(const struct plan_request *request, const struct serving_load *load,
                          const struct serving_plan *p) {
    const struct serving_replica *r = &p->replica;
    const struct plan_job *job = &request->job;
    json_t *o =
        json_pack("{s:s,s:s,s:s,s:f,s:i,s:i,s:i,s:i,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:s,s:o}", "model", job->model->name,
                  "gpu", job->chip->name, "precision", precision_names[job->precision], "users", load->users, "gpus",
                  p->chips, "replicas", p->replicas, "gpus_per_replica", r->chips, "batch", r->batch, "load", p->load,
                  "first_token_seconds", p->first_token_seconds, "token_seconds", p->token_seconds, "answer_seconds",
                  p->answer_seconds, "single_stream_tokens_per_second", p->single_stream, "tokens_per_second",
                  p->tokens_per_second, "capacity_tokens_per_second", r->tokens_per_second * p->replicas, "currency",
                  request->prices.currency, "watts", known(p->watts));
    set_money(o, "cost_per_million_tokens", p->cost_per_million_tokens, &request->prices);
    set_money(o, "cost_per_hour", p->cost_per_hour, &request->prices);
    return o;
}

json_t *rlhf_plan_json(const struct plan_request *r, const struct rlhf_plan *p) {
    json_t *stages = json_array();
    for (int i = 0; i < 3; i++) {
        json_t *stage = json_pack("{s:s,s:f,s:f}", "stage", p->stages[i].name, "hours", p->stages[i].seconds / 3600,
                                  "gpu_hours", p->stages[i].chip_hours);
        set_money(stage, "cost", p->stages[i].cost, &r->prices);
        json_array_append_new(stages, stage);
    }
    return json_pack("{s:s,s:s,s:i,s:s,s:o,s:{s:f,s:f,s:f,s:f},s:f,s:b,s:i}", "model", r->job.model->name, "gpu",
                     r->job.chip->name, "gpus", r->job.chips, "currency", r->prices.currency, "stages", stages,
                     "ppo_hours", "generate", p->generate_seconds / 3600, "score", p->score_seconds / 3600, "train",
                     p->train_seconds / 3600, "switch", p->switch_seconds / 3600, "memory_bytes_per_gpu", p->memory,
                     "offload", p->offload, "gpus_per_generating_replica", p->generate_chips);
}
