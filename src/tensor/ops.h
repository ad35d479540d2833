/* ops.h - the one list of operations. Models and training are written over these alone; `ref/` does each plainly,
 * `cpu/` (and other back ends) fast, and one test walks every op x back end x instruction set against `ref/`.
 *
 * Rules
 * - Sizes and options are host arguments; what changes from step to step (positions, lengths, slots, learning rate,
 *   RNG counter) is in tensors, so that a sequence of operations can be recorded once and replayed.
 * - Operations return nothing and never read back; errors latch in the stream.
 * - "+=" in a comment means the result is added to what the tensor holds; "=" that it is overwritten.
 * - Activations, gradients and statistics are F32 unless a comment says otherwise. Index tensors are I32 [1, n].
 * - Same inputs give the same bits for any number of threads, and a row's result does not depend on the other rows in
 * the call: sums run in one canonical order (matmul over K in fused multiply-adds, ascending or in pairs, within fixed
 * blocks of K; attention over key tiles of ATTENTION_KEY_TILE counted from key 0).
 * - Letters: n tokens in the call, h hidden size, V vocabulary, f intermediate size, d head_dim, H query heads,
 *   G key/value heads.
 */
#ifndef TALC_TENSOR_OPS_H
#define TALC_TENSOR_OPS_H

#include "tensor/device.h"

enum norm_kind { NORM_RMS, NORM_LAYER };

/* x/rms(x)*w (Zhang & Sennrich 2019) or (x-mean)/std*w+b (Ba et al. 2016). */
struct norm_options {
    enum norm_kind kind;
    float epsilon;
};

enum matmul_layout {
    MATMUL_NT, /* c[m,n] = a[m,k] b[n,k]^T: activations by weights, forward */
    MATMUL_NN, /* c[m,n] = a[m,k] b[k,n]:   gradient of the activations     */
    MATMUL_TN, /* c[m,n] = a[k,m]^T b[k,n]: gradient of the weights         */
};
struct matmul_options {
    enum matmul_layout layout;
    bool accumulate; /* c += instead of c = */
    bool symmetric;  /* the caller knows that a b is symmetric (x x^T; the square of what is symmetric) and adds it to
                        nothing: half of it may be computed and copied to the other half. The same bits, as either
                        half has the same products in the same order. */
    struct tensor bias; /* F32 [1, n], added to every row; may be absent */
    enum dtype compute; /* DTYPE_F32 (or DTYPE_NONE): fp32 products; DTYPE_BF16: operands rounded to bf16 as they are
                           read, products summed in fp32. A back end without bf16 arithmetic computes the same rounding
                           in fp32; one with it may sum in another order and take numbers under 2^-126 for 0. */
};

enum activation_kind {
    ACTIVATION_GELU_TANH, /* x [n,f] -> [n,f]: x/2 (1 + tanh(sqrt(2/pi)(x + 0.044715 x^3))) (Hendrycks & Gimpel 2016) */
    ACTIVATION_SWIGLU,    /* x [n,2f], gate columns first -> [n,f]: silu(gate) * up (Shazeer 2020)                   */
    ACTIVATION_RELU2,     /* x [n,f] -> [n,f]: max(x,0)^2 (So et al. 2021)                                            */
    ACTIVATION_GEGLU,     /* x [n,2f], gate columns first -> [n,f]: the GELU above of gate, * up (Shazeer 2020)       */
};
/* Whether x has a gate beside what it gates. */
static inline bool activation_is_gated(enum activation_kind kind) {
    return kind == ACTIVATION_SWIGLU || kind == ACTIVATION_GEGLU;
}

#define MOST_HEAD_DIM 1024 /* that operations on heads take */

/* Split of a fused projection into queries, keys and values, with what is done to them on the way. */
struct qkv_options {
    int n_heads, n_kv_heads, head_dim;
    float norm_epsilon; /* of the per-head RMS norms */
};
struct qkv_tensors {
    struct tensor qkv;            /* [n, (H+2G)d]: the heads of q, then k, then v */
    struct tensor q_norm, k_norm; /* [1, d] weights of a per-head RMS norm (before rope); absent: no norm */
    struct tensor norm_stats; /* [n, H+G]: 1/rms of each normed head, written by forward for backward; may be absent */
    struct tensor positions;  /* I32 [1, n] */
    struct tensor rope;  /* [positions, r], r even: cos of r/2 angles, then sin of them; absent: no rotation. Halves
                            of the first r numbers of a head are rotated: (x1, x2) -> (x1 cos - x2 sin, x2 cos +
                            x1 sin), as in Hugging Face; the others stay */
    struct tensor slots; /* I32 [1, n]: the row of k and v that token i goes to; absent: row i */
};

#define ATTENTION_KEY_TILE 64

/* A ragged batch: sequence s owns query rows [starts[s], starts[s+1]) and keys 0..lengths[s]-1. Key j of sequence s is
 * row blocks[s, j / block_tokens] * block_tokens + j % block_tokens of k and v, or row starts[s] + j where `blocks` is
 * absent (training, where every sequence brings all its keys). Query row r attends to keys j <= positions[r], and,
 * where window > 0, j > positions[r] - window; a row that sees no key gets out 0 and lse -infinity. Flash attention
 * (Dao et al. 2022): scores are never stored. */
struct attention_options {
    int n_heads, n_kv_heads, head_dim;
    float scale;   /* of q k^T, usually 1/sqrt(head_dim) */
    float softcap; /* scaled scores s become softcap * tanh(s / softcap) (Gemma Team 2024); 0: they stay */
    int window;    /* 0: none */
    int n_sequences;
    int max_length;        /* no sequence has more keys */
    int block_tokens;      /* tokens in a block of the table; unused where `blocks` is absent */
    float dropout;         /* probability of dropping an attention weight; 0: none */
    uint32_t dropout_site; /* tells this layer's masks from others' */
};
struct attention_tensors {
    struct tensor q;         /* [n, Hd] */
    struct tensor k, v;      /* [slots, Gd], F32 (inference caches may be BF16 or F16) */
    struct tensor starts;    /* I32 [1, n_sequences + 1] */
    struct tensor lengths;   /* I32 [1, n_sequences] */
    struct tensor blocks;    /* I32 [n_sequences, blocks a sequence], or absent */
    struct tensor positions; /* I32 [1, n] */
    struct tensor wanted;    /* I32 [1, n]: a row with 0 sees no key, as nobody asks for it; absent: all are wanted */
    struct tensor rng;       /* I64 [1, 2]: seed, counter; absent without dropout */
    struct tensor out;       /* [n, Hd] */
    struct tensor lse; /* [n, H]: log of the sum of exponentials of the scaled (and capped) scores (dropout changes
                          nothing in it), for backward; may be absent */
};
struct attention_gradients {
    struct tensor d_out;         /* [n, Hd] */
    struct tensor d_q, d_k, d_v; /* =, shapes of q, k, v */
};

/* What an objective sees of the model, a row a token (columns of a [n, TOKEN_STATS] tensor), at inverse temperature t:
 * p = softmax(t * logits). And the gradients that it answers with, in the same columns. */
enum token_stat { STAT_LOGP, STAT_LSE, STAT_ENTROPY, STAT_VALUE, TOKEN_STATS };

/* Element (r, c) of x is dropped where uniform(r, c) < probability. The uniform is a 32-bit word / 2^32 of
 * Philox4x32-10 with key = the two halves of seed and counter words = (c / 4, r, site, low half of counter); word c
 * % 4. (Attention weights: r = query row in the call * n_heads + head, c = key position.) */
struct dropout_options {
    float probability;
    uint32_t site; /* tells the uses in one step apart */
};

/* AdamW (Loshchilov & Hutter 2019). Decay is decoupled: p -= lr * (m_hat / (sqrt(v_hat) + epsilon) +
 * weight_decay * p). */
struct adamw_options {
    float beta1, beta2, epsilon, weight_decay;
};
/* Columns of an optimizer's F32 [1, UPDATE_STEP] tensor of numbers that change each step. */
enum update_step {
    STEP_LEARNING_RATE,
    STEP_CORRECTION1, /* 1/(1-beta1^t) */
    STEP_CORRECTION2,
    STEP_GRAD_SCALE,
    STEP_MOMENTUM, /* of Muon */
    UPDATE_STEP
};
/* A parameter (or a piece of one) with what steps it, of one shape. The gradient is F32, the others F32 or BF16: what
 * is kept in BF16 is computed in fp32 and rounded stochastically (rounding.h; element (r, c) is number r * cols + c).
 * Of its random word the low half rounds the parameter, the upper half m and v. */
struct adamw_part {
    struct adamw_options options;
    struct tensor parameter, gradient, m, v;
    struct tensor step; /* [1, UPDATE_STEP] */
    struct tensor rng;  /* I64 [1, 2]: seed, counter; absent where all is F32 */
    uint32_t site;      /* tells the parts of a step apart */
};

struct ops {
    /* ---- moving ---------------------------------------------------------------------------------------------- */
    void (*zero)(struct stream *s, struct tensor x);
    void (*copy)(struct stream *s, struct tensor dst, struct tensor src); /* same shape; converts F32, BF16, F16 */
    void (*add)(struct stream *s, struct tensor dst, struct tensor src);  /* dst += src */
    void (*gather_rows)(struct stream *s, struct tensor out, struct tensor x,
                        struct tensor rows); /* out[i] = x[rows[i]] */
    /* x[rows[i]] += y[i]; rows are distinct. */
    void (*scatter_add_rows)(struct stream *s, struct tensor x, struct tensor y, struct tensor rows);

    /* ---- embedding ------------------------------------------------------------------------------------------- */
    /* out[i] = scale * table[tokens[i]] (+ position_table[positions[i]] unless absent). Tables may be F32, BF16 or F16.
     * An index outside its table latches an error. */
    void (*embedding_forward)(struct stream *s, struct tensor out, struct tensor table, float scale,
                              struct tensor tokens, struct tensor position_table, struct tensor positions);
    /* d_table[tokens[i]] += scale * d_out[i], and, unscaled, for positions; rows with equal tokens are added in
     * ascending i. */
    void (*embedding_backward)(struct stream *s, struct tensor d_table, float scale, struct tensor tokens,
                               struct tensor d_position_table, struct tensor positions, struct tensor d_out);

    /* ---- normalisation --------------------------------------------------------------------------------------- */
    /* residual = x + delta (delta absent: residual = x; residual may be x itself); out = norm(residual).
     * stats [n, 2] = mean (0 for RMS), 1/std or 1/rms; may be absent. bias may be absent; weight too (then 1). */
    void (*norm_forward)(struct stream *s, struct norm_options o, struct tensor out, struct tensor residual,
                         struct tensor x, struct tensor delta, struct tensor weight, struct tensor bias,
                         struct tensor stats);
    /* d_x += gradient through the norm; d_weight +=; d_bias += (absent where the weight or bias is). x is the residual
     * that was normed. */
    void (*norm_backward)(struct stream *s, struct norm_options o, struct tensor d_x, struct tensor d_weight,
                          struct tensor d_bias, struct tensor d_out, struct tensor x, struct tensor weight,
                          struct tensor stats);

    /* ---- linear ---------------------------------------------------------------------------------------------- */
    /* Operands F32, or b BF16/F16 (stored weights). c F32. */
    void (*matmul)(struct stream *s, const struct matmul_options *o, struct tensor c, struct tensor a, struct tensor b);
    void (*bias_backward)(struct stream *s, struct tensor d_bias /* [1,m] += */, struct tensor d_out /* [n,m] */);

    /* ---- attention ------------------------------------------------------------------------------------------- */
    /* Norms and rotates q and k heads; q [n, Hd] =; k, v rows [slots] =. Each may be its own columns of t->qkv. */
    void (*qkv_forward)(struct stream *s, const struct qkv_options *o, const struct qkv_tensors *t, struct tensor q,
                        struct tensor k, struct tensor v);
    /* d_qkv =; d_q_norm, d_k_norm [1, d] += (absent without norms). slots must be absent. d_q, d_k and d_v may be their
     * columns of d_qkv. */
    void (*qkv_backward)(struct stream *s, const struct qkv_options *o, const struct qkv_tensors *t,
                         struct tensor d_qkv, struct tensor d_q_norm, struct tensor d_k_norm, struct tensor d_q,
                         struct tensor d_k, struct tensor d_v);
    void (*attention_forward)(struct stream *s, const struct attention_options *o, const struct attention_tensors *t);
    /* `blocks` must be absent; out and lse are those of forward. */
    void (*attention_backward)(struct stream *s, const struct attention_options *o, const struct attention_tensors *t,
                               const struct attention_gradients *g);

    /* ---- feed-forward ---------------------------------------------------------------------------------------- */
    void (*activation_forward)(struct stream *s, enum activation_kind kind, struct tensor out, struct tensor x);
    void (*activation_backward)(struct stream *s, enum activation_kind kind, struct tensor d_x /* = */,
                                struct tensor d_out, struct tensor x);
    /* x *= mask / (1 - probability), in place; the same call on the gradient is its backward. rng I64 [1,2]. */
    void (*dropout)(struct stream *s, struct dropout_options o, struct tensor x, struct tensor rng);

    /* ---- classifier ------------------------------------------------------------------------------------------ */
    /* x = cap * tanh(x / cap), in place; cap > 0 (Gemma Team 2024). */
    void (*softcap)(struct stream *s, struct tensor x, float cap);
    /* stats [n, TOKEN_STATS]: logp of the target, log-sum-exp, entropy, at the inverse temperature;
     * STAT_VALUE is left. */
    void (*stats_forward)(struct stream *s, struct tensor stats, struct tensor logits /* [n,V] */,
                          struct tensor targets /* I32 [1,n] */, float inverse_temperature);
    /* In place, with p of the tempered logits and H the entropy:
     * logits[j] = t * (d_logp * ([j == target] - p[j]) + d_lse * p[j] - d_entropy * p[j] * (log p[j] + H)).
     * Where the logits have been through softcap, `cap` is its cap (else 0), and the gradient is that of what was
     * capped: times 1 - (logits[j] / cap)^2. */
    void (*stats_backward)(struct stream *s, struct tensor logits, struct tensor stats, struct tensor grads,
                           struct tensor targets, float inverse_temperature, float cap);

    /* ---- optimizer ------------------------------------------------------------------------------------------- */
    /* sum F64 [1,1] += sum of x^2, squared and summed in double, in a fixed order; not finite if any element is not. */
    void (*sum_of_squares)(struct stream *s, struct tensor sum, struct tensor x);
    /* One pass over all parts, which do not overlap; a gradient is multiplied by the step's scale as it is read. */
    void (*adamw)(struct stream *s, const struct adamw_part *parts, int n_parts);
    /* dst = src, BF16 from F32, rounded stochastically with the low half of each element's random word. */
    void (*copy_rounded)(struct stream *s, struct tensor dst, struct tensor src, struct tensor rng, uint32_t site);
    /* The parts of Muon (train/muon.h) that are not matrix products. Nesterov's momentum, g the scaled gradient and u
     * the momentum of the step: m = u m + (1 - u) g; out = u m + (1 - u) g. */
    void (*nesterov)(struct stream *s, struct tensor out, struct tensor gradient, struct tensor m, struct tensor step);
    void (*normalize)(struct stream *s, struct tensor x, struct tensor sum /* F64 [1,1]: of squares */, float slack,
                      float epsilon); /* x /= (1 + slack) sqrt(sum) + epsilon */
    void (*scale_add)(struct stream *s, struct tensor dst, float a, struct tensor src,
                      float b); /* dst = a dst + b src */
    /* parameter -= lr * (scale * update + weight_decay * parameter) */
    void (*descend)(struct stream *s, struct tensor parameter, struct tensor update, float scale, float weight_decay,
                    struct tensor step);
};

#endif
