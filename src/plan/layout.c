/* layout.c - layouts: what they divide, and their names; see layout.h. */
#include "plan/layout.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const recompute_names[3] = {"none", "selective", "full"};

int plan_micro_batches(const struct plan_job *job, const struct plan_layout *l) {
    int64_t rows = (int64_t)(l->dp > 0 ? l->dp : 1) * (l->micro_batch > 0 ? l->micro_batch : 1);
    int64_t m = (job->batch + rows / 2) / rows;
    return m > 0 ? (int)m : 1;
}

int plan_true_batch(const struct plan_job *job, const struct plan_layout *l) {
    int64_t batch = (int64_t)plan_micro_batches(job, l) * l->dp * l->micro_batch;
    return batch < INT32_MAX ? (int)batch : INT32_MAX;
}

/* The last stage's layers when the vocabulary counts as layers; 0 where that would not help. */
static int balanced_last(const struct plan_job *job, const struct plan_layout *l) {
    const struct plan_model *m = job->model;
    double layer = plan_attention_params(m) +
                   plan_ffn_params(m, m->experts ? (double)m->active * m->expert_ffn + m->shared_ffn : m->ffn);
    double head = (double)m->vocab * m->hidden / layer;
    int each = (int)ceil((m->layers + head) / l->pp), last = each - (int)ceil(head - 0.25);
    int others = (m->layers - last + l->pp - 2) / (l->pp - 1);
    double uniform = (m->layers + l->pp - 1) / l->pp + head, balanced = others > last + head ? others : last + head;
    return last > 0 && balanced < uniform ? last : 0;
}

int plan_stage_layers(const struct plan_job *job, const struct plan_layout *l, int stage) {
    int fewer = job->software->balance && l->pp > 1 && l->vpp == 1 ? balanced_last(job, l) : 0;
    if (fewer) return stage == l->pp - 1 ? fewer : (job->model->layers - fewer + l->pp - 2) / (l->pp - 1);
    int most = (job->model->layers + l->pp - 1) / l->pp, spare = most * l->pp - job->model->layers;
    if (stage == l->pp - 1 && spare > 0) return most - 1;
    if (stage == 0 && spare > 1 && l->pp > 1) return most - 1;
    return most;
}

int plan_fullest_layers(const struct plan_job *job, const struct plan_layout *l) {
    int stages[] = {0, l->pp > 2 ? 1 : 0, l->pp - 1}, most = 0; /* those between are alike */
    for (int i = 0; i < 3; i++) {
        int layers = plan_stage_layers(job, l, stages[i]);
        if (layers > most) most = layers;
    }
    return most;
}

double plan_gradient_bytes(const struct plan_job *job) {
    return job->precision == PRECISION_FP32 ? 4 : job->software->grad_bytes;
}

int plan_expert_tp(const struct plan_layout *l) { return l->dp * l->cp % l->ep == 0 ? l->tp : 1; }

double plan_layer_share(const struct plan_model *m, const struct plan_layout *l) {
    double attention = plan_attention_params(m) / l->tp;
    if (!m->experts) return attention + plan_ffn_params(m, m->ffn) / l->tp;
    double shared = m->shared_ffn ? plan_ffn_params(m, m->shared_ffn) / l->tp : 0;
    return attention + shared + plan_ffn_params(m, m->expert_ffn) * m->experts / ((double)l->ep * plan_expert_tp(l));
}

static bool divides(int part, int whole, const char *what, struct talc_error *err) {
    return part > 0 && whole % part == 0 ? true : talc_fail(err, "%s: %d does not divide %d", what, part, whole);
}

bool plan_layout_check(const struct plan_job *job, const struct plan_layout *l, struct talc_error *err) {
    const struct plan_model *m = job->model;
    int64_t chips = (int64_t)l->tp * l->pp * l->dp * l->cp;
    if (l->tp < 1 || l->pp < 1 || l->vpp < 1 || l->dp < 1 || l->cp < 1 || l->ep < 1 || l->micro_batch < 1)
        return talc_fail(err, "every degree of parallelism must be above 0");
    if (chips != job->chips)
        return talc_fail(err, "TP %d x PP %d x DP %d x CP %d is %lld chips, not %d", l->tp, l->pp, l->dp, l->cp,
                         (long long)chips, job->chips);
    if (l->pp > m->layers) return talc_fail(err, "PP %d: there are only %d layers", l->pp, m->layers);
    if (!divides(l->tp, m->heads, "TP and heads", err) || !divides(l->cp, job->sequence, "CP and context", err))
        return false;
    if (l->vpp > 1 && (l->pp == 1 || (m->layers + l->pp - 1) / l->pp < l->vpp))
        return talc_fail(err, "%d chunks a stage need as many layers on a stage, and stages", l->vpp);
    if (l->vpp > 1 && plan_micro_batches(job, l) % l->pp)
        return talc_fail(err, "interleaving needs micro-batches in multiples of PP %d", l->pp);
    if (l->ep > 1 && (!m->experts || !divides(l->ep, m->experts, "EP and experts", err) ||
                      !divides(l->ep, l->dp * l->cp * l->tp, "EP and TP x DP", err)))
        return m->experts ? false : talc_fail(err, "EP %d: the model has no experts", l->ep);
    int batch = plan_true_batch(job, l);
    if (batch > 1.1 * job->batch || batch < 0.9 * job->batch)
        return talc_fail(err, "a batch of %d sequences is not shared out by %d replicas with micro-batches of %d",
                         job->batch, l->dp, l->micro_batch);
    return true;
}

void plan_layout_text(const struct plan_layout *l, char out[128]) {
    char *at = out, *end = out + 128;
    at += snprintf(at, (size_t)(end - at), "TP%d PP%d", l->tp, l->pp);
    if (l->vpp > 1) at += snprintf(at, (size_t)(end - at), " v%d", l->vpp);
    at += snprintf(at, (size_t)(end - at), " DP%d", l->dp);
    if (l->cp > 1) at += snprintf(at, (size_t)(end - at), " CP%d", l->cp);
    if (l->ep > 1) at += snprintf(at, (size_t)(end - at), " EP%d", l->ep);
    at += snprintf(at, (size_t)(end - at), " ZeRO-%d micro-batch %d, recompute %s", l->zero, l->micro_batch,
                   recompute_names[l->recompute]);
    if (l->offload) snprintf(at, (size_t)(end - at), ", offload");
}
