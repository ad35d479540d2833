/* memory.c - memory of the fullest chip; see memory.h. */
#include "plan/memory.h"

#include "plan/host.h"

/* Driver, libraries and communication: 1113 MiB of context on a V100 (BigScience tr3m-1B3) and buffers of two or three
 * communicators. */
#define CONTEXT_BYTES (1.1e9)
#define COMMUNICATOR_BYTES (0.15e9)
/* Blocks of a caching allocator that no tensor fills, as a share of all tensors: what BigScience's table of reported
 * memory shows over what its tensors need. */
#define FRAGMENTATION 0.10
#define OPTIMIZER_BYTES 12 /* fp32 master weights and two moments a parameter */
#define GRADIENT_COPY 4    /* where gradients are summed in 16 bits, the optimizer has a copy in fp32 */

const struct plan_part plan_memory_parts[PLAN_MEMORY_PARTS] = {
    {"weights", "weights", offsetof(struct plan_memory, weights)},
    {"gradients", "gradients", offsetof(struct plan_memory, gradients)},
    {"optimizer", "optimizer", offsetof(struct plan_memory, optimizer)},
    {"activations", "activations", offsetof(struct plan_memory, activations)},
    {"logits", "logits", offsetof(struct plan_memory, logits)},
    {"buffers", "buffers", offsetof(struct plan_memory, buffers)},
    {"context", "context", offsetof(struct plan_memory, context)},
};

double plan_memory_limit(const struct plan_chip *chip) { return 0.985 * chip->memory; }

double plan_layer_activations(const struct plan_job *job, const struct plan_layout *l) {
    const struct plan_model *m = job->model;
    double tokens = (double)l->micro_batch * job->sequence / l->cp, h = m->hidden, t = l->tp;
    double shared = l->sequence_parallel ? t : 1, element = precision_bytes(job->precision);
    if (l->recompute == RECOMPUTE_FULL) return element * tokens * h / shared;
    double q = (double)m->heads * m->head_dim, kv = (double)m->kv_heads * m->head_dim;
    double keys = m->window && m->window < job->sequence ? m->window : job->sequence;
    bool fp8 = job->precision >= PRECISION_FP8, cheap = l->recompute == RECOMPUTE_SELECTIVE;
    bool again = cheap && job->software->flash; /* norms and activation functions */
    double input = fp8 ? 1 : element;           /* of a product */
    double between = h * (2 * element + (again ? 0 : 2 * input) +
                          (m->biases ? 2 : 0)); /* two norms' inputs, two products' inputs, dropout's masks */
    double width = m->experts ? (double)m->active * m->expert_ffn + m->shared_ffn : m->ffn;
    /* Low-rank attention keeps its latents, where queries, keys and values may be computed again. */
    double attention = again && m->kv_values ? element * 3 * m->kv_values : element * (q + 2 * kv);
    double gates = (m->gated ? 2 : 1) * (again && fp8 ? 1 : element); /* inputs of the activation function */
    double within = attention + element * q + (fp8 ? q : 0) + width * (gates + (again ? 0 : input));
    if (m->experts) within += input * h * m->active;
    double scores = job->software->flash ? 4.0 * m->heads : (m->biases ? 2 * element + 1 : element) * m->heads * keys;
    if (cheap && !job->software->flash) scores = 0;
    return tokens * (between / shared + (within + scores) / t);
}

double plan_layers_in_flight(const struct plan_job *job, const struct plan_layout *l, int stage) {
    int m = plan_micro_batches(job, l), layers = plan_stage_layers(job, l, stage);
    double in_flight = m < l->pp - stage ? m : l->pp - stage;
    if (l->vpp > 1) in_flight = (l->pp - stage) + (l->pp - 1.0) / l->vpp;
    return in_flight * layers;
}

/* Parameters of a stage on one chip: those that every data-parallel rank holds, and experts. */
static void stage_params(const struct plan_job *job, const struct plan_layout *l, int stage, double *dense,
                         double *experts) {
    const struct plan_model *m = job->model;
    int layers = plan_stage_layers(job, l, stage), with = m->experts ? layers : 0;
    if (stage == 0 && m->experts) with = layers > m->dense_layers ? layers - m->dense_layers : 0;
    *dense = layers * (plan_attention_params(m) / l->tp + (m->biases ? 4.0 : 2.0) * m->hidden);
    *dense += (layers - with) * plan_ffn_params(m, m->ffn) / l->tp;
    if (m->experts)
        *dense +=
            with * ((double)m->hidden * m->experts + (m->shared_ffn ? plan_ffn_params(m, m->shared_ffn) / l->tp : 0));
    *experts =
        m->experts ? with * plan_ffn_params(m, m->expert_ffn) * m->experts / ((double)l->ep * plan_expert_tp(l)) : 0;
    double table = (double)m->vocab * m->hidden / l->tp;
    bool first = stage == 0, last = stage == l->pp - 1;
    if (first) *dense += table + (m->learned_positions ? (double)m->context * m->hidden : 0);
    if (last && (!m->tied || l->pp > 1)) *dense += table;
}

static void add_states(struct plan_memory *out, const struct plan_job *job, const struct plan_layout *l, double params,
                       double ranks) {
    double weight = precision_bytes(job->precision);
    if (job->precision >= PRECISION_FP8) weight += 2; /* copies in FP8, by rows and by columns */
    double optimizer = job->precision == PRECISION_FP32 ? 8 : OPTIMIZER_BYTES;
    double gradient = plan_gradient_bytes(job);
    bool summed_apart = job->software->fusion != FUSION_COMPILED && gradient == 4 && job->precision != PRECISION_FP32;
    if (summed_apart) gradient += 2; /* the 16-bit gradient of the product, before it is added */
    if (gradient < 4 && l->zero < 2) optimizer += GRADIENT_COPY;
    out->weights += params * weight / (l->zero >= 3 ? ranks : 1);
    out->gradients += params * gradient / (l->zero >= 2 ? ranks : 1);
    double states = params * optimizer / (l->zero >= 1 ? ranks : 1);
    if (l->offload)
        out->host += states + params * gradient / (l->zero >= 2 ? ranks : 1);
    else
        out->optimizer += states;
}

struct plan_memory plan_stage_memory(const struct plan_job *job, const struct plan_layout *l, int stage) {
    if (job->own) return host_memory(job->own, l->micro_batch, job->sequence, l->recompute == RECOMPUTE_FULL);
    const struct plan_model *m = job->model;
    struct plan_memory out = {.stage = stage};
    double dense, experts, tokens = (double)l->micro_batch * job->sequence / l->cp, ranks = (double)l->dp * l->cp;
    stage_params(job, l, stage, &dense, &experts);
    add_states(&out, job, l, dense, ranks);
    add_states(&out, job, l, experts, ranks * l->tp / ((double)l->ep * plan_expert_tp(l)));
    out.activations = plan_layer_activations(job, l) * plan_layers_in_flight(job, l, stage);
    if (l->recompute == RECOMPUTE_FULL) { /* the layer that is being recomputed */
        struct plan_layout whole = *l;
        whole.recompute = RECOMPUTE_NONE;
        out.activations += plan_layer_activations(job, &whole);
    }
    if (stage == 0 && m->biases)
        out.activations += tokens * m->hidden *
                           (l->pp < plan_micro_batches(job, l) ? l->pp : plan_micro_batches(job, l)) /
                           (l->sequence_parallel ? l->tp : 1);
    if (stage == l->pp - 1)
        out.logits = 4 * tokens * (m->hidden + (double)m->vocab) / l->tp +
                     precision_bytes(job->precision) * tokens * m->vocab / l->tp;
    if (l->zero >= 3)
        out.buffers += (2 * precision_bytes(job->precision) + plan_gradient_bytes(job)) * plan_layer_share(m, l);
    out.buffers += FRAGMENTATION * (out.weights + out.gradients + out.optimizer + out.activations + out.logits);
    int communicators = (l->tp > 1) + (l->pp > 1) + (l->dp > 1) + (l->cp > 1) + (l->ep > 1);
    out.context = CONTEXT_BYTES + communicators * COMMUNICATOR_BYTES;
    out.total = out.weights + out.gradients + out.optimizer + out.activations + out.logits + out.buffers + out.context;
    return out;
}

struct plan_memory plan_memory_of(const struct plan_job *job, const struct plan_layout *l) {
    int stages[] = {0, 1, l->pp - 1};
    struct plan_memory most = {0};
    for (int i = 0; i < 3; i++) {
        if (stages[i] >= l->pp) continue;
        struct plan_memory of_stage = plan_stage_memory(job, l, stages[i]);
        if (of_stage.total > most.total) most = of_stage;
    }
    return most;
}
