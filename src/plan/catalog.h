/* catalog.h - what the planner plans with: a model's shape, a chip, a network, the software, prices. All come from the
 * tables (table.h) or, models, from talc's own presets. Rates are in units per second, sizes in bytes, money in US
 * dollars. */
#ifndef TALC_PLAN_CATALOG_H
#define TALC_PLAN_CATALOG_H

#include <stdint.h>

#include "model/arch.h"
#include "plan/table.h"

enum plan_precision { PRECISION_FP32, PRECISION_BF16, PRECISION_FP8, PRECISION_MXFP8, PRECISION_FP4, PRECISION_COUNT };
extern const char *const precision_names[PRECISION_COUNT]; /* "fp32", "bf16" (also fp16), "fp8", "mxfp8", "fp4" */
bool precision_find(const char *name, enum plan_precision *out, struct talc_error *err);
/* Bytes of an activation or weight as layers keep, read and send it: 4 in fp32, else 2 (a product's input may have
 * fewer). */
double precision_bytes(enum plan_precision precision);

struct plan_model {
    char name[64];
    int layers, hidden, heads, kv_heads, head_dim, ffn, vocab, context;
    bool gated; /* three matrices in the feed-forward layer */
    bool tied;  /* the head's weight is the embedding */
    bool learned_positions;
    bool biases;         /* also: LayerNorm and dropout, as in GPT-3 */
    bool parallel_block; /* attention and feed-forward read the same input (PaLM, MegaScale) */
    int window;          /* keys a token sees in every layer; 0: all */
    int experts, active, expert_ffn, shared_ffn, dense_layers; /* experts 0: dense */
    double attention_params;                                   /* of a layer; 0: the usual attention */
    int kv_values; /* cached a token and layer; 0: keys and values of every head */
};

/* Parameters: all, and those that a token uses (the same in a dense model). */
double plan_model_params(const struct plan_model *model);
double plan_model_active_params(const struct plan_model *model);
/* Of one layer: the attention's matrices; a dense feed-forward layer's; one expert's; the router's. */
double plan_attention_params(const struct plan_model *model);
double plan_ffn_params(const struct plan_model *model, double width);
double plan_expert_params(const struct plan_model *model); /* of all routed experts of all layers */

/* Floating-point operations of training on one token by each convention that papers use. */
struct plan_flops {
    double six_n;  /* 6 times the active parameters (embedding counted once) */
    double causal; /* six_n without the embedding table, plus attention over half the context */
    double full;   /* the same over the whole context: Megatron's, "model FLOPs" */
};
struct plan_flops plan_model_flops(const struct plan_model *model, int sequence);

struct plan_chip {
    char name[32], software[32], network[32];
    int units;                      /* streaming multiprocessors, or the like */
    bool async_mma;                 /* attention is fast only with kernels of FlashAttention-3's kind */
    double peak[PRECISION_COUNT];   /* dense, FLOP/s; 0: cannot */
    double matmul[PRECISION_COUNT]; /* the highest rate measured, else MATMUL_SHARE of the peak */
    double memory, memory_rate, scale_up_rate;
    double watts, purchase; /* 0: not known */
    const char *source;
};
#define MATMUL_SHARE 0.8
/* Whether the chip computes in that precision; else an error that says so. */
bool plan_precision_check(const struct plan_chip *chip, enum plan_precision precision, struct talc_error *err);

struct plan_network {
    char name[32];
    int island;      /* chips that reach one another at the chip's scale_up_rate */
    double nic_rate; /* out of the island, a chip, one direction */
    double latency;  /* seconds a hop */
    int pod;         /* chips at full bisection; 0: all */
    double oversubscription;
};

enum plan_fusion { FUSION_NONE, FUSION_HAND, FUSION_COMPILED };
struct plan_software {
    char name[32];
    bool flash, flash3, sequence_parallel, interleave, tp_overlap, dp_overlap, one_ring, graphs;
    bool balance; /* the stage with the vocabulary may hold fewer layers */
    enum plan_fusion fusion;
    int grad_bytes;
};

struct plan_price {
    double low, mid, high; /* US dollars a chip-hour */
    char month[16];
    const char *source;
};

struct plan_grid {
    double pue, kg_per_kwh; /* of the building; CO2e of its electricity */
};

struct catalog {
    struct table chips, networks, software, models, prices, currencies, failures, grids;
};
/* `folder` may hold tables of the user's (chips.tsv, ...); NULL: none. */
bool catalog_open(struct catalog *catalog, const char *folder, struct talc_error *err);
void catalog_close(struct catalog *catalog);

bool catalog_chip(const struct catalog *catalog, const char *name, struct plan_chip *out, struct talc_error *err);
bool catalog_network(const struct catalog *catalog, const char *name, struct plan_network *out, struct talc_error *err);
bool catalog_software(const struct catalog *catalog, const char *name, struct plan_software *out,
                      struct talc_error *err);
/* A row of the table (which may thus replace a preset), else a preset of talc's. */
bool catalog_model(const struct catalog *catalog, const char *name, struct plan_model *out, struct talc_error *err);
struct plan_model plan_model_of_arch(const char *name, const struct arch *arch);
bool plan_model_check(const struct plan_model *model, struct talc_error *err);
/* The price whose month is nearest to `month` ("2020-06"; NULL: the latest). */
bool catalog_price(const struct catalog *catalog, const char *chip, const char *month, struct plan_price *out,
                   struct talc_error *err);
bool catalog_currency(const struct catalog *catalog, const char *name, double *per_usd, struct talc_error *err);
bool catalog_grid(const struct catalog *catalog, const char *name, struct plan_grid *out, struct talc_error *err);
bool catalog_failures(const struct catalog *catalog, const char *name, double *per_1000_node_days,
                      struct talc_error *err);

#endif
