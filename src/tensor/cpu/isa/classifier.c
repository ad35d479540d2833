/* classifier.c - soft caps and statistics of logits (log-probability, log-sum-exp, entropy), and the gradient of the
 * logits. */
#include "tensor/cpu/isa/rows.h"
#include "tensor/cpu/isa/kernels.h"
#include "tensor/cpu/isa/simd.h"

struct classifier_work {
    struct tensor stats, logits, grads, targets;
    float t;   /* inverse temperature */
    float cap; /* that the logits have been through; 0: none */
};

static void softcap_task(void *context, int task, int worker) {
    (void)worker;
    const struct classifier_work *w = context;
    int64_t n = w->logits.cols;
    for (int64_t r = task_begin(task); r < task_end(task, w->logits.rows); r++) {
        float *x = row_f32(w->logits, r);
        for (int64_t c = 0; c < n; c += VF_LANES)
            vf_store_some(x + c, n - c, vf_softcap(vf_load_some(x + c, n - c), vf_set(w->cap), vf_set(1 / w->cap)));
    }
}

void ISA_NAME(cpu_softcap)(struct stream *s, struct tensor x, float cap) {
    struct classifier_work w = {.logits = x, .cap = cap};
    cpu_run(s, row_tasks(x.rows), softcap_task, &w);
}

static float row_largest(const float *x, int64_t n) {
    vf most = vf_set(-INFINITY);
    int64_t c = 0;
    for (; c + VF_LANES <= n; c += VF_LANES) most = vf_max(most, vf_load(x + c));
    if (c < n) most = vf_max(most, vf_load_part(x + c, n - c, -INFINITY));
    return vf_largest(most);
}

/* With z = t * logit - max: lse = max + log sum e^z, entropy = log sum - sum(e^z z) / sum. */
static void stats_row(const struct classifier_work *w, int64_t r) {
    const float *x = row_f32(w->logits, r);
    float *stats = row_f32(w->stats, r), most = row_largest(x, w->logits.cols) * w->t;
    int64_t n = w->logits.cols;
    vf sum = vf_set(0), weighted = vf_set(0);
    for (int64_t c = 0; c < n; c += VF_LANES) {
        vf z =
            (n - c >= VF_LANES ? vf_load(x + c) : vf_load_part(x + c, n - c, -INFINITY)) * vf_set(w->t) - vf_set(most);
        vf e = vf_exp(z);
        sum = sum + e;
        weighted = vf_fma(e, vf_max(z, vf_set(-88)), weighted); /* e is 0 there: 0 times infinity would not be */
    }
    float total = vf_sum(sum), log_total = logf(total);
    stats[STAT_LSE] = most + log_total;
    stats[STAT_LOGP] =
        (x[vector_i32(w->targets)[r]] * w->t - most) - log_total; /* not z - lse: that loses tied logits */
    stats[STAT_ENTROPY] = log_total - vf_sum(weighted) / total;
}

static void stats_task(void *context, int task, int worker) {
    (void)worker;
    const struct classifier_work *w = context;
    for (int64_t r = task_begin(task); r < task_end(task, w->logits.rows); r++) stats_row(w, r);
}

static bool targets_fit(struct stream *s, struct tensor targets, struct tensor logits) {
    for (int64_t i = 0; !s->failed && i < logits.rows; i++)
        if (vector_i32(targets)[i] < 0 || vector_i32(targets)[i] >= logits.cols)
            stream_fail(s, "target %lld is %d, outside 0..%lld", (long long)i, vector_i32(targets)[i],
                        (long long)logits.cols - 1);
    return !s->failed;
}

void ISA_NAME(cpu_stats_forward)(struct stream *s, struct tensor stats, struct tensor logits, struct tensor targets,
                                 float inverse_temperature) {
    struct classifier_work w = {.stats = stats, .logits = logits, .targets = targets, .t = inverse_temperature};
    if (targets_fit(s, targets, logits)) cpu_run(s, row_tasks(logits.rows), stats_task, &w);
}

static void gradient_row(const struct classifier_work *w, int64_t r) {
    float *x = row_f32(w->logits, r);
    const float *stats = row_f32(w->stats, r), *grads = row_f32(w->grads, r);
    int64_t n = w->logits.cols, target = vector_i32(w->targets)[r];
    float d_logp = grads[STAT_LOGP], d_lse = grads[STAT_LSE], d_entropy = grads[STAT_ENTROPY];
    if (d_logp == 0 && d_lse == 0 && d_entropy == 0) {
        memset(x, 0, (size_t)n * sizeof *x);
        return;
    }
    vf plain = vf_set((d_lse - d_logp) * w->t), slope = vf_set(-d_entropy * w->t), lse = vf_set(stats[STAT_LSE]);
    vf entropy = vf_set(stats[STAT_ENTROPY]), inverse = vf_set(w->cap > 0 ? 1 / w->cap : 0);
    float at_target = w->cap > 0 ? vf_softcap_slope(vf_set(x[target]), inverse)[0] : 1;
    for (int64_t c = 0; c < n; c += VF_LANES) {
        int64_t left = n - c;
        vf logit = left >= VF_LANES ? vf_load(x + c) : vf_load_part(x + c, left, 0);
        vf log_p = logit * vf_set(w->t) - lse, p = vf_exp(log_p);
        vf g = p * plain;
        if (d_entropy != 0) g = vf_fma(p * slope, vf_max(log_p, vf_set(-88)) + entropy, g);
        if (w->cap > 0) g = g * vf_softcap_slope(logit, inverse);
        if (left >= VF_LANES)
            vf_store(x + c, g);
        else
            vf_store_part(x + c, left, g);
    }
    x[target] += d_logp * w->t * at_target;
}

static void gradient_task(void *context, int task, int worker) {
    (void)worker;
    const struct classifier_work *w = context;
    for (int64_t r = task_begin(task); r < task_end(task, w->logits.rows); r++) gradient_row(w, r);
}

void ISA_NAME(cpu_stats_backward)(struct stream *s, struct tensor logits, struct tensor stats, struct tensor grads,
                                  struct tensor targets, float inverse_temperature, float cap) {
    struct classifier_work w = {
        .stats = stats, .logits = logits, .grads = grads, .targets = targets, .t = inverse_temperature, .cap = cap};
    if (targets_fit(s, targets, logits)) cpu_run(s, row_tasks(logits.rows), gradient_task, &w);
}
