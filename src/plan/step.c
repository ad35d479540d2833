/* step.c - the time of one training step; see step.h. */
#include "plan/step.h"

#include <math.h>

#include "plan/collective.h"
#include "plan/matmul_time.h"

const struct plan_constant_note plan_constant_notes[CONSTANT_COUNT] = {
    {"matmul", "rate of large products in training, of the highest measured rate"},
    {"fill", "seconds that filling and draining a tile costs"},
    {"misaligned", "rate for each halving of a row's alignment below 16 bytes"},
    {"traffic", "memory rate of element-wise kernels, of the peak"},
    {"operands", "cost of bringing tiles their operands, of their bytes at the memory's rate"},
    {"network", "rate of collectives between islands, of the cards' peak"},
    {"hidden", "cost of communication hidden behind compute, of its time"},
    {"flash", "rate of flash attention, of large products"},
    {"fp8", "rate of FP8 products, besides `matmul`, of their highest"},
    {"jitter", "share of a step lost for each doubling of the islands that reduce together"},
    {"batched", "rate of attention's batched products, of large products"},
};

const struct plan_constants plan_fitted = {
    {0.9232, 7.773e-7, 0.09519, 0.7449, 0.07561, 0.7519, 0.2501, 0.3893, 0.997, 0.006726, 0.469}};

const struct plan_part plan_step_parts[PLAN_STEP_PARTS] = {
    {"matmul", "products", offsetof(struct plan_step, matmul)},
    {"attention", "attention", offsetof(struct plan_step, attention)},
    {"elementwise", "element-wise", offsetof(struct plan_step, elementwise)},
    {"recompute", "recompute", offsetof(struct plan_step, recompute)},
    {"tensor_parallel", "tensor parallel", offsetof(struct plan_step, tensor_comm)},
    {"pipeline_parallel", "pipeline sends", offsetof(struct plan_step, pipeline_comm)},
    {"expert_parallel", "experts", offsetof(struct plan_step, expert_comm)},
    {"context_parallel", "context parallel", offsetof(struct plan_step, context_comm)},
    {"data_parallel", "data parallel", offsetof(struct plan_step, data_comm)},
    {"bubble", "bubble", offsetof(struct plan_step, bubble)},
    {"optimizer", "optimizer", offsetof(struct plan_step, optimizer)},
    {"waiting", "waiting", offsetof(struct plan_step, waiting)},
};

/* Seconds of one layer (or of the head), for one micro-batch. */
struct pass {
    double matmul, attention, elementwise, tensor, expert, context;
};

struct step {
    const struct plan_job *job;
    const struct plan_layout *layout;
    const double *c;
    double tokens;                    /* of a micro-batch on one chip */
    double element;                   /* bytes of an activation */
    struct matmul_rates wide, narrow; /* products in the job's precision; in bf16 */
    struct comm_group tensor, data, context, expert, pipeline;
    double memory_rate;
};

/* ---- groups ---------------------------------------------------------------------------------- */

static int least(int a, int b) { return a < b ? a : b; }
static double sum(struct pass p) { return p.matmul + p.attention + p.elementwise + p.tensor + p.expert + p.context; }

/* `inside`: chips of one rank's neighbourhood that the next rank of the group is away; ranks are laid out tensor
 * parallel first, then context, data, pipeline. */
static struct comm_group group_of(const struct step *s, int ranks, int inside) {
    const struct plan_network *n = s->job->network;
    int per_island = n->island / inside;
    if (per_island < 1) per_island = 1;
    struct comm_group g = {.ranks = ranks,
                           .per_island = least(ranks, per_island),
                           .crowding = 1,
                           .latency = n->latency,
                           .scale_up_rate = s->job->chip->scale_up_rate * SCALE_UP_SHARE,
                           .network_rate = n->nic_rate * s->c[CONSTANT_NETWORK]};
    if (n->pod > 0 && (int64_t)ranks * inside > n->pod) { /* every group's ring crosses the pod's border once */
        double crossing = (double)s->job->chips / ranks * g.per_island * n->oversubscription / n->pod;
        if (crossing > 1) g.crowding = crossing;
    }
    return g;
}

static struct step begin(const struct plan_job *job, const struct plan_layout *l,
                         const struct plan_constants *constants) {
    struct step s = {.job = job, .layout = l, .c = constants->value};
    const struct plan_chip *chip = job->chip;
    enum plan_precision p = chip->matmul[job->precision] > 0 ? job->precision : PRECISION_BF16;
    enum plan_precision narrow = p == PRECISION_FP32 ? p : PRECISION_BF16; /* of attention and the head */
    s.tokens = (double)l->micro_batch * job->sequence / l->cp;
    s.element = precision_bytes(p);
    s.memory_rate = chip->memory_rate * s.c[CONSTANT_TRAFFIC];
    s.narrow = (struct matmul_rates){.rate = chip->matmul[narrow] * s.c[CONSTANT_MATMUL],
                                     .memory_rate = chip->memory_rate,
                                     .fill = s.c[CONSTANT_FILL],
                                     .operands = s.c[CONSTANT_OPERANDS],
                                     .misaligned = s.c[CONSTANT_MISALIGNED],
                                     .units = chip->units,
                                     .bytes_in = s.element,
                                     .bytes_out = s.element};
    s.wide = s.narrow;
    s.wide.rate = chip->matmul[p] * s.c[CONSTANT_MATMUL];
    if (p >= PRECISION_FP8) {
        s.wide.rate *= s.c[CONSTANT_FP8];
        s.wide.bytes_in = 1;
    }
    s.tensor = group_of(&s, l->tp, 1);
    s.context = group_of(&s, l->cp, l->tp);
    s.data = group_of(&s, l->dp * l->cp, l->tp);
    s.expert = group_of(&s, l->ep, plan_expert_tp(l));
    s.pipeline = group_of(&s, l->pp, l->tp * l->cp * l->dp);
    s.data.one_ring = job->software->one_ring;
    return s;
}

/* What communication that runs behind `window` seconds of compute still costs. */
static double hidden(const struct step *s, double comm, double window) {
    double behind = comm < window ? comm : window;
    return comm - behind + s->c[CONSTANT_HIDDEN] * behind;
}

/* ---- one layer ------------------------------------------------------------------------------- */

/* Forward, and with `backward` the two products behind it: of the input and of the weight. */
static double product(const struct matmul_rates *r, double count, double m, double n, double k, bool backward) {
    if (!backward) return matmul_seconds(r, count, m, n, k);
    return matmul_seconds(r, count, m, k, n) + matmul_seconds(r, count, k, n, m);
}

static double layer_products(const struct step *s, bool experts, bool backward) {
    const struct plan_model *m = s->job->model;
    double t = s->layout->tp, h = m->hidden, q = (double)m->heads * m->head_dim / t;
    double kv =
        m->kv_heads < t ? m->head_dim : m->kv_heads * m->head_dim / t; /* heads that do not divide are held twice */
    double up = m->gated ? 2 : 1, seconds = 0;
    if (m->attention_params > 0) /* as one product of the same size, in whole tiles */
        seconds += product(&s->wide, 1, s->tokens, 128 * ceil(m->attention_params / t / h / 128), h, backward);
    else {
        seconds += product(&s->wide, 1, s->tokens, q + 2 * kv, h, backward);
        seconds += product(&s->wide, 1, s->tokens, h, q, backward);
    }
    double cut = experts ? plan_expert_tp(s->layout) : t; /* ranks that share an expert, or the layer */
    double widths[2] = {(experts ? m->expert_ffn : m->ffn) / cut, experts ? m->shared_ffn / t : 0};
    double counts[2] = {experts ? (double)m->experts / s->layout->ep : 1, 1};
    double rows[2] = {experts ? s->tokens * m->active * s->layout->ep / m->experts * cut / t : s->tokens, s->tokens};
    for (int i = 0; i < 2; i++) {
        if (widths[i] <= 0) continue;
        seconds += product(&s->wide, counts[i], rows[i], up * widths[i], h, backward);
        seconds += product(&s->wide, counts[i], rows[i], h, widths[i], backward);
    }
    return seconds;
}

static double mean_keys(const struct plan_model *m, int sequence) {
    return m->window && m->window < sequence ? m->window : 0.5 * sequence;
}

/* FlashAttention-2 reaches some 60% of the peak on an A100 but 35% on an H100, FlashAttention-3 65% there (2307.08691,
 * 2407.08608; means of forward and backward), here over the highest rate of products and that of an A100. */
static double flash_share(const struct plan_job *job) {
    if (!job->chip->async_mma) return 1;
    return job->software->flash3 ? 1.17 : 0.63;
}

/* The part between the products of queries, keys, values and of the output. */
static double layer_attention(const struct step *s, bool backward) {
    const struct plan_model *m = s->job->model;
    double n_heads = (double)m->heads / s->layout->tp, flops = 4 * s->tokens * n_heads * m->head_dim,
           length = s->job->sequence;
    double rate = s->narrow.rate * alignment_factor(s->c[CONSTANT_MISALIGNED], m->head_dim);
    if (s->job->software->flash)
        return flops * mean_keys(m, s->job->sequence) * (backward ? 2.5 : 1) /
               (rate * s->c[CONSTANT_FLASH] * flash_share(s->job));
    double scores = s->tokens * n_heads * length, dropout = m->biases ? 5 : 0;
    double apart = s->job->software->fusion == FUSION_NONE ? 8 : 0; /* scale and mask as kernels of their own */
    double products = flops * length * (backward ? 2 : 1) / (rate * s->c[CONSTANT_BATCHED]);
    double wide = s->element / 2;                                       /* the counts of bytes are those of 16 bits */
    double moved = scores * wide * (backward ? 8 : 4) / s->memory_rate; /* out of one product and into the other */
    return (products > moved ? products : moved) +
           scores * wide * ((backward ? 6 : 4) + dropout + apart) / s->memory_rate;
}

/* Bytes of everything between products: norms, residuals, activations, rotary angles, casts. The tables are those of 16
 * bits. */
static double layer_traffic(const struct step *s, bool experts, bool backward) {
    static const double whole[2][3] = {{48, 20, 16},
                                       {38, 22, 18}}; /* a token and hidden channel; [biases and dropout][fusion] */
    static const double inner[2][3] = {{10, 6, 6}, {8, 4, 4}}; /* a token and feed-forward channel */
    const struct plan_model *m = s->job->model;
    enum plan_fusion fusion = s->job->software->fusion;
    double t = s->layout->tp, h = m->hidden, q = (double)m->heads * m->head_dim, kv = (double)m->kv_heads * m->head_dim;
    double width = experts ? (double)m->active * m->expert_ffn + m->shared_ffn : m->ffn;
    double bytes =
        h * whole[m->biases][fusion] * (m->parallel_block ? 0.6 : 1) / (s->layout->sequence_parallel ? t : 1);
    bytes += (width * inner[m->biases][fusion] + 4 * (q + 2 * kv) * (fusion == FUSION_NONE ? 2 : 1)) / t;
    if (backward) bytes *= 2;
    bytes *= s->element / 2;
    if (s->job->precision >=
        PRECISION_FP8) { /* read in bf16, written by rows and by columns, where no kernel before it does so */
        bool alone = fusion != FUSION_COMPILED;
        double inputs = q / t + (alone ? 2 * h + width / t : 0);
        double outputs = (q + 2 * kv) / t + 2 * h + (alone ? (m->gated ? 2 : 1) * width / t : 0);
        bytes += 4 * (backward ? outputs : inputs);
    }
    if (experts) bytes += 2 * 2 * s->element * h * m->active * (backward ? 2 : 1) / t; /* permuted, and back */
    return bytes * s->tokens;
}

static double overlapped(const struct step *s, double comm, double window) {
    return s->job->software->tp_overlap ? hidden(s, comm, window) : comm;
}

static struct pass layer_pass(const struct step *s, bool experts, bool backward) {
    const struct plan_model *m = s->job->model;
    struct pass p = {.matmul = layer_products(s, experts, backward),
                     .attention = layer_attention(s, backward),
                     .elementwise = layer_traffic(s, experts, backward) / s->memory_rate};
    double bytes = s->element * s->tokens * m->hidden; /* all-reduced behind each half of the block */
    /* Whole experts on every rank leave nothing to add up behind the feed-forward half, but for a shared expert. */
    bool once = m->parallel_block || (experts && !m->shared_ffn && plan_expert_tp(s->layout) < s->layout->tp);
    p.tensor = overlapped(s, (once ? 1 : 2) * all_reduce_seconds(&s->tensor, bytes), p.matmul);
    if (experts && s->layout->ep > 1) {
        double wire = s->job->precision >= PRECISION_FP8 && !backward
                          ? 1.5
                          : s->element; /* dispatched in FP8, combined in bf16 */
        p.expert = 2 * all_to_all_seconds(&s->expert, wire * s->tokens * m->active * m->hidden / s->layout->tp,
                                          m->active, s->job->software->tp_overlap);
        p.expert = overlapped(s, p.expert, p.matmul + p.attention);
    }
    if (s->layout->cp > 1) { /* keys and values go round the ring; their gradients come back */
        double kv = 2 * s->element * m->kv_heads * m->head_dim / s->layout->tp * s->tokens * s->layout->cp;
        p.context = hidden(s, (backward ? 2 : 1) * all_gather_seconds(&s->context, kv), p.attention);
    }
    return p;
}

/* ---- a stage --------------------------------------------------------------------------------- */

/* Some thirty kernels of a layer's pass at 5 to 8 microseconds each, launched from Python. */
#define HOST_LAUNCH 200e-6

struct stage {
    struct pass forward, backward;
    double recompute;
    double seconds; /* one micro-batch, forward and backward, with what the host adds */
    double host_wait;
};

static void add(struct pass *to, struct pass p, double times) {
    to->matmul += times * p.matmul, to->attention += times * p.attention, to->elementwise += times * p.elementwise;
    to->tensor += times * p.tensor, to->expert += times * p.expert, to->context += times * p.context;
}

/* The classifier: the product with the vocabulary (padded to whole tiles, as everyone does), and the loss over its
 * logits. */
static void add_head(const struct step *s, struct stage *stage) {
    const struct plan_model *m = s->job->model;
    /* Fused: logits read, their gradients written over them. Else casts to fp32, log-softmax, its gradient and a cast
     * back. */
    double bytes = s->job->software->fusion == FUSION_COMPILED ? 2.5 * s->element : 16;
    double columns = 128 * ceil((double)m->vocab / (128.0 * s->layout->tp));
    for (int backward = 0; backward < 2; backward++) {
        struct pass head = {.matmul = product(&s->narrow, 1, s->tokens, columns, m->hidden, backward),
                            .elementwise = bytes * s->tokens * columns / s->memory_rate};
        head.tensor =
            overlapped(s, all_reduce_seconds(&s->tensor, backward ? s->element * s->tokens * m->hidden : 8 * s->tokens),
                       head.matmul);
        add(backward ? &stage->backward : &stage->forward, head, 1);
    }
}

/* Adding the gradients of a micro-batch to those before: by the product itself, behind its arithmetic, where the
 * software is fused so far, else by a pass of its own. */
static double accumulation(const struct step *s, int layers) {
    double bytes = s->job->software->fusion == FUSION_COMPILED ? 0 : 2 * plan_gradient_bytes(s->job) + s->element;
    return layers * plan_layer_share(s->job->model, s->layout) * bytes /
           (s->layout->zero >= 2 ? s->layout->dp * s->layout->cp : 1) / s->memory_rate;
}

static struct stage stage_time(const struct step *s, int index) {
    const struct plan_layout *l = s->layout;
    const struct plan_model *m = s->job->model;
    struct stage out = {0};
    int layers = plan_stage_layers(s->job, l, index), plain = m->experts ? 0 : layers;
    if (m->experts && index == 0) plain = least(m->dense_layers, layers);
    for (int experts = 0; experts < 2; experts++) {
        int n = experts ? layers - plain : plain;
        if (n == 0) continue;
        struct pass forward = layer_pass(s, experts, false), backward = layer_pass(s, experts, true);
        add(&out.forward, forward, n);
        add(&out.backward, backward, n);
        if (l->recompute == RECOMPUTE_FULL)
            out.recompute += n * sum(forward);
        else if (l->recompute == RECOMPUTE_SELECTIVE)
            out.recompute += n * (s->job->software->flash ? forward.elementwise : forward.attention);
    }
    if (index == l->pp - 1) add_head(s, &out);
    if (plan_micro_batches(s->job, l) > 1) out.backward.elementwise += accumulation(s, layers);
    out.seconds = sum(out.forward) + sum(out.backward) + out.recompute;
    if (!s->job->software
             ->graphs) { /* the host launches one layer while the chip computes another: the slower one counts */
        double host = HOST_LAUNCH * layers * (l->recompute == RECOMPUTE_FULL ? 4 : 3);
        if (host > out.seconds) out.host_wait = host - out.seconds;
        out.seconds += out.host_wait;
    }
    return out;
}

/* ---- a step ---------------------------------------------------------------------------------- */

/* Parameters of the fullest stage on one chip. */
static double stage_parameters(const struct step *s) {
    const struct plan_layout *l = s->layout;
    const struct plan_model *m = s->job->model;
    double experts = plan_expert_params(m);
    double most = (double)plan_fullest_layers(s->job, l) / m->layers;
    double dense = plan_model_params(m) - experts;
    if (l->pp > 1) dense -= (double)m->vocab * m->hidden * (m->tied ? 1 : 2);
    return most * (dense / l->tp + experts / ((double)l->ep * plan_expert_tp(l)));
}

/* Reducing gradients and gathering weights: what of it the step waits for. */
static double data_parallel(const struct step *s, double params, const struct stage *stage) {
    const struct plan_layout *l = s->layout;
    const struct plan_software *software = s->job->software;
    double m = plan_micro_batches(s->job, l), weight = s->job->precision >= PRECISION_FP8 ? 1 : s->element,
           grads = plan_gradient_bytes(s->job);
    double forward = sum(stage->forward), backward = sum(stage->backward) + stage->recompute;
    int layers = plan_stage_layers(s->job, l, 0);
    if (l->zero == 3) { /* a layer at a time, for every micro-batch */
        double gather = layers * all_gather_seconds(&s->data, weight * params / layers);
        double reduce = layers * all_gather_seconds(&s->data, grads * params / layers);
        if (!software->dp_overlap) return m * (2 * gather + reduce);
        return m * (hidden(s, gather, forward) + hidden(s, gather + reduce, backward));
    }
    double gather = l->zero ? all_gather_seconds(&s->data, weight * params) : 0;
    double reduce =
        l->zero ? all_gather_seconds(&s->data, grads * params) : all_reduce_seconds(&s->data, grads * params);
    double times = l->zero == 2 ? m : 1;
    if (!software->dp_overlap) return times * reduce + gather;
    return times * hidden(s, reduce, backward) + hidden(s, gather, forward);
}

static double optimizer_time(const struct step *s, double params) {
    const struct plan_layout *l = s->layout;
    double own = params / (l->zero ? l->dp * l->cp : 1);
    /* Gradient read twice (norm, update) and cleared; master, two moments read and written; a 16-bit copy written. */
    double copy = s->job->precision == PRECISION_FP32 ? 0 : 2;
    double seconds = own * (3 * plan_gradient_bytes(s->job) + 24 + copy) / s->memory_rate;
    if (l->offload) seconds += own * (4 / 12e9 + 28 / 20e9); /* PCIe both ways, the host's memory */
    return seconds;
}

/* Sends between stages that a micro-batch waits for. */
static double pipeline_sends(const struct step *s, double compute) {
    const struct plan_layout *l = s->layout;
    if (l->pp < 2) return 0;
    bool cut =
        l->sequence_parallel || s->job->software->interleave; /* each chip sends its own part of the activations */
    double bytes = s->element * s->tokens * s->job->model->hidden / (cut ? l->tp : 1);
    double seconds = 2 * l->vpp * send_seconds(&s->pipeline, bytes);
    return s->job->software->tp_overlap ? hidden(s, seconds, compute) : seconds;
}

static void count_flops(const struct plan_job *job, const struct plan_layout *l, struct plan_step *out) {
    struct plan_flops f = plan_model_flops(job->model, job->sequence);
    double tokens = (double)plan_true_batch(job, l) * job->sequence;
    const struct plan_model *m = job->model;
    double attention = 12.0 * m->layers * m->heads * m->head_dim * job->sequence; /* as 2205.05198 counts it */
    double head = 2.0 * m->vocab * m->hidden;
    out->model_flops = f.full * tokens, out->causal_flops = f.causal * tokens, out->six_n_flops = f.six_n * tokens;
    out->hardware_flops = out->model_flops;
    if (l->recompute == RECOMPUTE_FULL) out->hardware_flops += tokens * (f.full / 3 - head);
    if (l->recompute == RECOMPUTE_SELECTIVE && !job->software->flash) out->hardware_flops += tokens * attention;
}

struct plan_step plan_step_of(const struct plan_job *job, const struct plan_layout *l,
                              const struct plan_constants *constants) {
    struct step s = begin(job, l, constants);
    struct stage most = {0};
    double all = 0, m = plan_micro_batches(job, l);
    int kinds[3] = {0, 1, l->pp - 1}; /* first, middle, last */
    for (int i = 0; i < 3; i++) {
        if ((i == 1 && l->pp < 3) || (i == 2 && l->pp < 2)) continue;
        struct stage stage = stage_time(&s, kinds[i]);
        all += stage.seconds * (i == 1 ? l->pp - 2 : 1);
        if (stage.seconds > most.seconds) most = stage;
    }
    double sends = pipeline_sends(&s, most.seconds), params = stage_parameters(&s);
    struct plan_step out = {.matmul = m * (most.forward.matmul + most.backward.matmul),
                            .attention = m * (most.forward.attention + most.backward.attention),
                            .elementwise = m * (most.forward.elementwise + most.backward.elementwise),
                            .recompute = m * most.recompute,
                            .tensor_comm = m * (most.forward.tensor + most.backward.tensor),
                            .expert_comm = m * (most.forward.expert + most.backward.expert),
                            .context_comm = m * (most.forward.context + most.backward.context),
                            .pipeline_comm = m * sends,
                            .waiting = m * most.host_wait,
                            .forward = sum(most.forward),
                            .backward = most.seconds - sum(most.forward)};
    out.bubble = all / l->pp * (l->pp - 1) / l->vpp + (l->pp - 1) * sends / l->vpp;
    out.data_comm = data_parallel(&s, params, &most);
    out.optimizer = optimizer_time(&s, params);
    double islands = (double)l->tp * l->cp * l->dp / job->network->island,
           busy = m * (most.seconds + sends) + out.bubble + out.data_comm + out.optimizer;
    double jitter = islands > 1 ? s.c[CONSTANT_JITTER] * log2(islands) * busy : 0;
    out.waiting += jitter;
    out.seconds = busy + jitter;
    count_flops(job, l, &out);
    return out;
}
