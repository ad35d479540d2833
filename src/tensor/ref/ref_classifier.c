/* ref_classifier.c - what an objective sees of the logits: statistics of a token, and their gradients.
 *
 * With z = t * logits (t the inverse temperature) and p = softmax(z): lse = log sum exp z, logp = z[target] - lse,
 * entropy H = -sum p log p. Exponentials are taken of z - max z, so that no logit is too large. */
#include "tensor/ref/ref.h"

#include <math.h>

void ref_softcap(struct stream *s, struct tensor x, float cap) {
    if (s->failed) return;
    for (int64_t r = 0; r < x.rows; r++)
        for (int64_t c = 0; c < x.cols; c++) ref_store(x, r, c, (double)cap * tanh(ref_load(x, r, c) / (double)cap));
}

struct distribution {
    double lse, entropy;
};

static struct distribution row_distribution(struct tensor logits, int64_t r, double t) {
    double max = -INFINITY, sum = 0, entropy = 0;
    for (int64_t j = 0; j < logits.cols; j++) max = fmax(max, t * ref_load(logits, r, j));
    for (int64_t j = 0; j < logits.cols; j++) sum += exp(t * ref_load(logits, r, j) - max);
    double lse = max + log(sum);
    for (int64_t j = 0; j < logits.cols; j++) {
        double log_p = t * ref_load(logits, r, j) - lse;
        if (exp(log_p) > 0) entropy -= exp(log_p) * log_p; /* p log p tends to 0 with p */
    }
    return (struct distribution){.lse = lse, .entropy = entropy};
}

void ref_stats_forward(struct stream *s, struct tensor stats, struct tensor logits, struct tensor targets,
                       float inverse_temperature) {
    double t = inverse_temperature;
    for (int64_t r = 0; r < logits.rows && !s->failed; r++) {
        int64_t target = ref_index(s, targets, r, logits.cols, "target");
        if (target < 0) return;
        struct distribution d = row_distribution(logits, r, t);
        ref_store(stats, r, STAT_LOGP, t * ref_load(logits, r, target) - d.lse);
        ref_store(stats, r, STAT_LSE, d.lse);
        ref_store(stats, r, STAT_ENTROPY, d.entropy);
    }
}

/* lse and entropy are computed again, in double, rather than read from `stats`. */
void ref_stats_backward(struct stream *s, struct tensor logits, struct tensor stats, struct tensor grads,
                        struct tensor targets, float inverse_temperature, float cap) {
    (void)stats;
    double t = inverse_temperature;
    for (int64_t r = 0; r < logits.rows && !s->failed; r++) {
        int64_t target = ref_index(s, targets, r, logits.cols, "target");
        if (target < 0) return;
        struct distribution d = row_distribution(logits, r, t);
        double d_logp = ref_load(grads, r, STAT_LOGP), d_lse = ref_load(grads, r, STAT_LSE);
        double d_entropy = ref_load(grads, r, STAT_ENTROPY);
        for (int64_t j = 0; j < logits.cols; j++) {
            double logit = ref_load(logits, r, j), log_p = t * logit - d.lse, p = exp(log_p);
            double slope = cap > 0 ? 1 - logit * logit / ((double)cap * (double)cap) : 1; /* of softcap */
            double d_z = d_logp * ((j == target) - p) + d_lse * p;
            if (p > 0) d_z -= d_entropy * p * (log_p + d.entropy);
            ref_store(logits, r, j, t * d_z * slope);
        }
    }
}
