/* model.h - a GPT written once: parameters, forward and backward, for training and inference alike.
 *
 * A model owns its parameters (and gradients, if it is to be trained) on one device. A run owns everything that one
 * forward or backward needs besides: the batch, the activations, the workspace, the KV cache. Memory is planned, then
 * taken once, when either is opened; nothing is allocated afterwards. */
#ifndef TALC_MODEL_MODEL_H
#define TALC_MODEL_MODEL_H

#include "base/arena.h"
#include "model/arch.h"

/* ---- parameters ------------------------------------------------------------------------------ */

enum { MAX_PARTS = 3 };
enum parameter_role { ROLE_EMBEDDING, ROLE_POSITION, ROLE_MATRIX, ROLE_HEAD, ROLE_NORM, ROLE_BIAS };

struct parameter {
    char name[64]; /* "blocks.3.qkv.weight" */
    enum parameter_role role;
    int layer;                /* -1 outside the blocks */
    int shard_axis;           /* the axis tensor parallelism cuts: 0 rows, 1 columns, -1 none */
    struct tensor value;      /* [rows, cols], F32, BF16 or F16 */
    struct tensor gradient;   /* the same in F32; absent in a model that is not trained */
    int64_t offset;           /* of its gradient, in floats, in a vector of all */
    int64_t parts[MAX_PARTS]; /* rows of the matrices fused in it (q, k and v; gate and up); zeros: it is one */
};

/* The only way to multiply by weights: y = x W^T + b. What varies (adapters, quantised weights, scales)
 * is added here. */
struct linear {
    struct parameter *weight; /* [out, in] */
    struct parameter *bias;   /* [1, out] or NULL */
};

struct norm {
    struct parameter *weight, *bias; /* [1, hidden]; bias NULL for RMS */
};

struct block {
    struct norm attention_norm, mlp_norm;
    struct linear qkv;                 /* rows: heads of q, then k, then v */
    struct parameter *q_norm, *k_norm; /* [1, head_dim] or NULL */
    struct linear out;
    struct linear up; /* gated: gate rows, then up rows */
    struct linear down;
    struct norm attention_post_norm, mlp_post_norm; /* of what the branches give; NULL weights: none */
};

struct model {
    struct arch arch;
    struct stream *stream; /* borrowed */
    struct parameter *parameters;
    int n_parameters;
    struct parameter *embedding, *positions; /* positions: NULL with rope */
    struct block *blocks;
    struct norm final_norm;
    struct linear head;  /* its weight is `embedding` when tied */
    struct tensor *rope; /* per layer [context, rotary_dim]; layers alike share; absent with learned positions */
    struct tensor values,
        gradients; /* all gradients as one vector [1, n]; all parameters too (as bytes, U8, where some are BF16) */
    void *memory;
};

struct model_options {
    bool gradients;     /* to be trained */
    enum dtype weights; /* DTYPE_BF16, DTYPE_F16: matrices and tables in it (norms and biases in fp32); else all in
                           fp32. To be trained: not in F16 */
    /* Where a model is loaded: matrices and tables are kept as model_stored_weights says, whatever `weights` is. */
    bool as_stored;
    /* The same: called now and then with how many of its numbers are there; at the end, even of a
     * failure, with `total`. May be NULL. */
    void (*progress)(void *context, double done, double total);
    void *progress_context;
};
/* Takes zeroed parameters (and gradients). options NULL: as all zero. */
bool model_open(struct model *model, const struct arch *arch, struct stream *stream,
                const struct model_options *options, struct talc_error *err);
void model_close(struct model *model);

/* Numbers [first, first + n) of a parameter from floats, which are rounded to the nearest where it is kept in 16 bits
 * and must not be used until the stream is synchronized (they are overwritten then); and to floats. */
void parameter_write(struct model *model, const struct parameter *p, int64_t first, size_t n, float *floats);
void parameter_read(const struct model *model, const struct parameter *p, int64_t first, size_t n, float *floats);

/* How a new model begins. Norms are 1 and biases 0; the rest is normal, with these standard deviations:
 * INIT_GPT2 (Radford et al. 2019): 0.02, the projections onto the residual stream 0.02 / sqrt(2 n_layers).
 * INIT_ZERO_OUT: embedding 1 (0.02 where the head is tied to it), positions 0.02, matrices 1/sqrt(fan_in), the
 * projections onto the residual stream 0, so that every block begins as the identity, head 0.001. */
enum init_scheme { INIT_GPT2, INIT_ZERO_OUT };
bool model_initialize(struct model *model, enum init_scheme scheme, uint64_t seed, struct talc_error *err);

/* A Hugging Face folder: config.json and model.safetensors (or its parts), of F32, F16, BF16 or F64. Every tensor that
 * the config asks for must be there with its shape; one that nobody asks for is refused by name; both before memory is
 * taken. as_stored (and options NULL): to infer, with matrices and tables kept as they are stored
 * where all of them are BF16, or all F16, which gives the bits of fp32 for half the memory; else in fp32. Writing puts
 * both files, in F32, into an existing folder (the caller makes the folder atomic). */
bool model_load_folder(struct model *model, const char *folder, struct stream *stream,
                       const struct model_options *options, struct talc_error *err);
bool model_save_folder(const struct model *model, const char *folder, struct talc_error *err);
/* Whether such a folder gives a parameter back to the bit: some families' norms it may not (family.h). */
bool model_folder_is_exact(const struct model *model, const struct parameter *p);

/* What a user names as a model (file/run_folder.h): such a folder, or a GGUF file of ggml (docs/gguf.md of ggml), of an
 * architecture in gguf_arch.c, whose numbers are unpacked; of a split model the first part. What is said of folders
 * holds for its tensors too, and a setting in its metadata that talc does not do is refused by name. Where
 * any of its matrices and tables is quantised, as_stored keeps all of them in F16, whose rounding is far below that
 * of the quantisation. model_read_arch reads the shape alone, model_stored_weights what as_stored keeps them in. */
bool model_load(struct model *model, const char *path, struct stream *stream, const struct model_options *options,
                struct talc_error *err);
bool model_read_arch(const char *path, struct arch *arch, struct talc_error *err);
bool model_stored_weights(const char *path, enum dtype *weights, struct talc_error *err);

/* ---- runs ------------------------------------------------------------------------------------ */

/* One ragged batch, in host memory: n_sequences pieces of text laid end to end. */
struct batch {
    int n_tokens, n_sequences;
    const int32_t *tokens;    /* [n_tokens] */
    const int32_t *positions; /* [n_tokens]: within the sequence */
    const int32_t *starts;    /* [n_sequences + 1] */
    const int32_t *lengths;   /* inference, [n_sequences]: keys in the cache once this batch is in; NULL: no cache */
    const int32_t *slots;     /* inference, [n_tokens]: cache row of each token */
    const int32_t *blocks;    /* inference, [n_sequences, blocks_per_sequence] */
    /* Which tokens go on to the head, ascending: what is asked of the others ends with their keys and values. */
    const int32_t *head_rows; /* [n_head_rows]; NULL: all tokens */
    int n_head_rows;
    const int32_t *targets; /* [n_head_rows]: the token after each of them; NULL when inferring */
};

struct run_options {
    int max_tokens;    /* of a batch */
    int max_sequences; /* of a batch */
    bool training;     /* keep activations for backward */
    bool recompute; /* keep only the input of each layer, and compute its activations again in backward: the same bits,
                       for about a quarter more arithmetic */
    int head_chunk; /* rows of logits at a time; 0: a good number */
    enum dtype compute; /* of matmuls: DTYPE_F32 or DTYPE_BF16 */
    /* inference: */
    int kv_block_tokens; /* tokens in a block of the cache; 0: no cache */
    int kv_blocks;       /* blocks in all */
    int blocks_per_sequence;
};

struct layer_activations; /* these three: run_internal.h */
struct workspace;
struct pass;

struct run {
    struct model *model;
    struct stream *stream;
    struct run_options options;
    bool dropout;           /* apply the model's dropout (training passes; not validation) */
    uint64_t seed, counter; /* of the dropout masks: counter is raised by whoever runs the steps */
    bool fresh;             /* backward overwrites the parameters' gradients; else it adds to them */
    /* Called with the layer's number: before a layer's forward and before its backward, where parameters are fetched;
     * after its backward, where gradients are sent. May be NULL. */
    void (*before_layer)(void *context, int layer);
    void (*after_layer_backward)(void *context, int layer);
    void *hook_context;

    struct arena arena; /* device memory of all tensors below */
    struct pass *pass;  /* of the current batch, on the host */
    struct tensor tokens, positions, starts, targets, lengths, slots, blocks, head_rows, wanted, rng;
    struct tensor hidden;            /* [n_head_rows, h] after the final norm */
    struct tensor logits;            /* [head_chunk, V] */
    struct tensor stats, stat_grads; /* [n_head_rows, TOKEN_STATS] */
    struct tensor *keys, *values;    /* per layer: cache rows [kv_blocks * kv_block_tokens, Gd] */
    struct layer_activations *layers;
    struct workspace *workspace;
};

/* Bytes on the device that a run would take; no model of that size is needed. */
size_t run_bytes(const struct arch *arch, const struct run_options *options);
bool run_open(struct run *run, struct model *model, const struct run_options *options, struct talc_error *err);
void run_close(struct run *run);

/* Copies a batch to the device and runs the blocks: `hidden` is then ready. False on a batch that does not fit or names
 * a token, position, slot or block that does not exist. A run with a cache takes batches with lengths, slots and
 * blocks; one without takes sequences that begin at position 0 and bring all their keys. */
bool run_forward(struct run *run, const struct batch *batch, struct talc_error *err);

/* Inference: logits of the head rows [n_head_rows, V] to host memory, head_chunk rows at a time. */
bool run_logits(struct run *run, float *logits, struct talc_error *err);

/* Training, general: statistics of the head rows to host memory ([n_head_rows, TOKEN_STATS]); then, at the same inverse
 * temperature, backward from the gradients of the statistics, adding to the parameters' gradients (or see `fresh`).
 * Logits are computed again in chunks; never stored whole. run_stats alone also serves runs that are not for training.
 */
bool run_stats(struct run *run, float inverse_temperature, float *stats, struct talc_error *err);
bool run_backward(struct run *run, float inverse_temperature, const float *stat_grads, struct talc_error *err);

/* Training where the gradients are known beforehand (pretrain, SFT: d_logp = -weight): statistics and backward with
 * each chunk of logits computed once. `stats` may be `stat_grads`. */
bool run_stats_backward(struct run *run, float inverse_temperature, const float *stat_grads, float *stats,
                        struct talc_error *err);

/* The i-th tensor that the last training pass has kept, in the order of computation, and its name
 * ("blocks.3.attention"); with `recompute` only the inputs of layers. False past the last one. For finding where a pass
 * went wrong. */
bool run_activation(const struct run *run, int i, char name[64], struct tensor *out);

/* ---- memory ---------------------------------------------------------------------------------- */

/* What training or serving a model takes, by component, in bytes: the same function feeds the printed table, `talc
 * plan` and the allocation itself. Matrices and tables are kept in `weights` (as in model_options). The rotary
 * tables are counted with the workspace; AdamW's two moments are the optimizer's. A size that cannot be addressed is
 * SIZE_MAX. */
struct memory_table {
    size_t parameters, gradients, optimizer, activations, workspace, logits, kv_cache, total;
};
struct memory_table model_memory(const struct arch *arch, const struct run_options *options, enum dtype weights);

#endif
