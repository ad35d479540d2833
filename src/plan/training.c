/* training.c - a whole training run: the best layout, then failures, money and energy; see training.h. */
#include "plan/training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plan/warnings.h"

#define DAY 86400.0
#define CHECKPOINT_BYTES_A_PARAMETER                                                                                   \
    12 /* fp32 weights and two moments; in lower precisions also the 16-bit weights                                    \
        */

int plan_default_batch(const struct plan_model *m, int sequence) {
    static const struct {
        double params, tokens;
    } table[] = {{1e9, 0.5e6}, {3e9, 1e6}, {50e9, 2e6}, {250e9, 3.2e6}, {INFINITY, 4e6}};
    double params = plan_model_params(m);
    int i = 0;
    while (params > table[i].params) i++;
    double batch = round(table[i].tokens / sequence);
    return batch < 1 ? 1 : (int)batch;
}

static struct plan_cost cost_of(const struct plan_request *r, int chips, double wall) {
    struct plan_cost c = {.chip_hours = chips * wall / 3600};
    c.low = c.chip_hours * r->prices.rent.low, c.mid = c.chip_hours * r->prices.rent.mid,
    c.high = c.chip_hours * r->prices.rent.high;
    c.purchase = r->job.chips * r->prices.purchase; /* also those that stay idle */
    c.mwh = c.chip_hours * r->job.chip->watts * r->energy.pue / 1e6;
    c.co2_tonnes = c.mwh * r->energy.kg_per_kwh;
    return c;
}

bool plan_training(const struct plan_request *r, struct training_plan *p, struct talc_error *err) {
    *p = (struct training_plan){0};
    if (!plan_precision_check(r->job.chip, r->job.precision, err)) return false;
    p->job = r->job;
    if (!plan_search(&p->job, &r->wish, &plan_fitted, &p->ranking, err)) return false;
    p->best = p->ranking.best[0];
    p->job.chips = p->best.chips;
    const struct plan_step *step = &p->best.step;
    double batch_tokens = (double)plan_true_batch(&p->job, &p->best.layout) * p->job.sequence;
    p->steps = ceil(r->tokens / batch_tokens);
    p->compute_seconds = p->steps * step->seconds;
    double checkpoint_bytes = CHECKPOINT_BYTES_A_PARAMETER + (r->job.precision == PRECISION_FP32 ? 0 : 2);
    p->failures = failures_plan(&r->failures, p->job.chips, p->compute_seconds,
                                checkpoint_bytes * plan_model_params(p->job.model));
    if (p->failures.goodput < 0.01) {
        training_plan_free(p);
        return talc_fail(
            err,
            "with a failure every %.0f s and %.0f s to restart the run would never end; --no-failures plans "
            "without them",
            p->failures.mttf_seconds, r->failures.restart_seconds);
    }
    p->cost = cost_of(r, p->job.chips, p->failures.wall_seconds);
    double available = step->seconds * p->job.chips * p->job.chip->peak[p->job.precision];
    p->mfu = step->model_flops / available, p->hfu = step->hardware_flops / available;
    p->mfu_causal = step->causal_flops / available, p->mfu_six_n = step->six_n_flops / available;
    plan_warn(r, p);
    return true;
}

void training_plan_free(struct training_plan *p) { plan_ranking_free(&p->ranking); }

/* Its largest loss beside the best. */
void plan_reason(const struct plan_candidate *best, const struct plan_candidate *c, double memory_limit,
                 char out[160]) {
    if (c->memory.total > memory_limit) {
        snprintf(out, 160, "out of memory by %.1f GiB a chip", (c->memory.total - memory_limit) / (1 << 30));
        return;
    }
    const struct plan_step *a = &best->step, *b = &c->step;
    const struct plan_part *worst = &plan_step_parts[0];
    double most = 0;
    for (int i = 0; i < PLAN_STEP_PARTS; i++) {
        const struct plan_part *part = &plan_step_parts[i];
        double more = plan_part_value(part, b) / b->seconds - plan_part_value(part, a) / a->seconds;
        if (more > most) most = more, worst = part;
    }
    snprintf(out, 160, "%s: %.0f%% of a step, %.0f%% in the best", worst->label,
             100 * plan_part_value(worst, b) / b->seconds, 100 * plan_part_value(worst, a) / a->seconds);
}

int plan_scaling(const struct plan_request *r, struct plan_point points[PLAN_POINTS]) {
    int n = 0;
    for (int chips = 1; chips <= 131072; chips *= 2) {
        struct plan_request at = *r;
        struct training_plan plan;
        at.job.chips = chips > 100000 ? 100000 : chips;
        at.wish.dp = 0, at.wish.pp = 0;
        points[n] = (struct plan_point){.chips = at.job.chips};
        if (plan_training(&at, &plan, NULL)) {
            points[n].chips = plan.job.chips;
            points[n].days = plan.failures.wall_seconds / DAY, points[n].cost_mid = plan.cost.mid;
            points[n].mfu = plan.mfu_six_n, points[n].layout = plan.best.layout;
            training_plan_free(&plan);
        }
        n++;
    }
    return n;
}
