/* warnings.c - warnings about shapes, layouts, batches and tables; see warnings.h. */
#include "plan/warnings.h"

#include <stdarg.h>
#include <stdio.h>

static void warn(struct plan_warnings *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void warn(struct plan_warnings *w, const char *format, ...) {
    va_list args;
    if (w->n == PLAN_WARNINGS) return;
    va_start(args, format);
    vsnprintf(w->text[w->n++], sizeof w->text[0], format, args);
    va_end(args);
}

/* A shape by itself: heads, tiles, the vocabulary. */
static void warn_shape(const struct plan_model *m, int tp, struct plan_warnings *w) {
    if (m->heads * m->head_dim != m->hidden && m->attention_params == 0)
        warn(w,
             "%d heads of %d are %d, not the hidden size %d: meant so (then fine), or the table disagrees with itself",
             m->heads, m->head_dim, m->heads * m->head_dim, m->hidden);
    if (m->head_dim % 8)
        warn(w,
             "heads of %d are not whole 16-byte words: attention's products run at a tenth of their rate; take a "
             "multiple of 64",
             m->head_dim);
    else if (m->head_dim % 64)
        warn(w, "heads of %d: kernels are fastest at 64 or 128", m->head_dim);
    if (m->hidden % (128 * tp))
        warn(w, "hidden size %d is not a multiple of 128 x TP %d: the last tile of each product is not full", m->hidden,
             tp);
    int width = m->experts ? m->expert_ffn : m->ffn;
    if (width % tp)
        warn(w, "feed-forward width %d does not divide by TP %d", width, tp);
    else if (width / tp % 128)
        warn(w, "feed-forward width %d / TP %d = %d is not a multiple of 128: the last tile is not full", width, tp,
             width / tp);
    int padded = (m->vocab + 128 * tp - 1) / (128 * tp) * 128 * tp;
    if (padded != m->vocab)
        warn(w,
             "vocabulary %d: counted as padded to %d (multiples of 128 x TP); unpadded, the head's products are "
             "several times slower",
             m->vocab, padded);
    if (m->kv_heads % tp && tp % m->kv_heads) warn(w, "%d key and value heads do not divide by TP %d", m->kv_heads, tp);
}

static void warn_batch(const struct plan_request *r, struct training_plan *p) {
    struct plan_warnings *w = &p->warnings;
    const struct plan_step *s = &p->best.step;
    const struct plan_layout *l = &p->best.layout;
    double idle = (s->bubble + s->data_comm) / s->seconds;
    int batch = plan_true_batch(&p->job, l);
    if (batch != r->job.batch)
        warn(w, "the batch is %d sequences instead of %d, so that %d replicas share it evenly", batch, r->job.batch,
             l->dp);
    if (idle < 0.2) return;
    struct plan_job larger = p->job;
    struct plan_ranking ranking;
    larger.batch = 4 * r->job.batch;
    if (!plan_search(&larger, &r->wish, &plan_fitted, &ranking, NULL)) return;
    double gain = ranking.best[0].tokens_per_second / p->best.tokens_per_second;
    plan_ranking_free(&ranking);
    if (gain < 1.05) return;
    warn(w,
         "a batch of %d sequences (%.3gM tokens) cannot feed %d chips: %.0f%% of a step is bubble and gradient "
         "exchange. Four times the batch would be "
         "%.2f times as fast, but is another training run",
         batch, (double)batch * p->job.sequence / 1e6, p->job.chips, 100 * idle, gain);
}

void plan_warn(const struct plan_request *r, struct training_plan *p) {
    struct plan_warnings *w = &p->warnings;
    const struct plan_layout *l = &p->best.layout;
    const struct plan_model *m = p->job.model;
    if (r->preset_note) warn(w, "%s: %s", m->name, r->preset_note);
    if (p->job.chips < r->job.chips)
        warn(w, "%d of %d chips stay idle: no layout divides them all", r->job.chips - p->job.chips, r->job.chips);
    warn_shape(m, l->tp, w);
    warn_batch(r, p);
    if (l->tp > p->job.network->island)
        warn(w, "TP %d leaves the island of %d chips: every layer waits for the network (%.0f%% of a step)", l->tp,
             p->job.network->island, 100 * p->best.step.tensor_comm / p->best.step.seconds);
    int most = plan_fullest_layers(&p->job, l);
    if (l->pp > 1 && m->layers % l->pp && most * l->pp > m->layers + 2)
        warn(w, "%d layers on %d stages: the fullest holds %d, %.0f%% of the work of a full pipeline is missing",
             m->layers, l->pp, most, 100.0 * (most * l->pp - m->layers) / (most * l->pp));
    double limit = plan_memory_limit(p->job.chip);
    if (p->best.memory.total > 0.92 * limit)
        warn(w, "memory is tight: %.1f of %.1f GiB a chip", p->best.memory.total / (1 << 30), limit / (1 << 30));
    if (p->job.network->pod && p->job.chips > p->job.network->pod)
        warn(w, "%d chips are more than one pod of %d: above it the network has 1/%.0f of the bandwidth", p->job.chips,
             p->job.network->pod, p->job.network->oversubscription);
    if (m->context < p->job.sequence && m->learned_positions)
        warn(w, "the model's table of positions ends at %d tokens, not %d", m->context, p->job.sequence);
    if (p->failures.mttf_seconds < 4 * r->failures.restart_seconds)
        warn(w, "a failure every %.0f minutes: the run spends %.0f%% of its time on failures and checkpoints",
             p->failures.mttf_seconds / 60, 100 * (1 - p->failures.goodput));
    if (r->tokens / plan_model_params(m) < 2)
        warn(w, "%.3g tokens a parameter is very little (compute-optimal is about 20)",
             r->tokens / plan_model_params(m));
}
