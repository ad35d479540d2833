/* serving.h - what answering takes: chips, latency and money for so many users. A replica is a model on some chips with
 * continuous batching: each decoding step reads the weights once and every sequence's keys and values; a prompt is
 * arithmetic. */
#ifndef TALC_PLAN_SERVING_H
#define TALC_PLAN_SERVING_H

#include "plan/step.h"
#include "plan/training.h"

struct serving_load {
    double users;                                       /* online at once */
    double requests_per_minute;                         /* of one user */
    double prompt_tokens, output_tokens, prefix_cached; /* prefix_cached: share of the prompt that is in the cache */
    double token_seconds;                               /* the longest mean time between tokens that is accepted */
    double first_seconds;                               /* the longest time to the first token */
    double busy;                                        /* share of its capacity that a replica is loaded to */
};
#define SERVING_LOAD_DEFAULT ((struct serving_load){0, 1, 1500, 300, 0.5, 0.05, 2, 0.7})

struct serving_replica {
    int chips, batch;                                       /* batch: sequences decoded together */
    double weight_bytes, kv_bytes_per_sequence, free_bytes; /* of all its chips; free: for keys and values */
    double kv_bytes_mean;                                   /* of a sequence while its answer grows */
    double step_seconds;                                    /* of a decoding step with that batch */
    double prefill_seconds;                                 /* of one prompt */
    double requests_per_second, tokens_per_second;          /* at full load */
};

struct serving_plan {
    struct serving_replica replica;
    int replicas, chips;
    double load; /* share of its capacity that a replica is loaded to: at most the `busy` that was asked for */
    double first_token_seconds, token_seconds, answer_seconds; /* at the planned load */
    double single_stream;                                      /* tokens/s of a user alone on a replica */
    double tokens_per_second;                                  /* of all, at the planned load */
    double cost_per_hour[3], cost_per_million_tokens[3];       /* US dollars: low, mid, high; of output tokens */
    double watts;
};

/* Times of one replica; used by serving and by rollouts. batch 0: as many as memory and token_seconds allow. False when
 * the weights do not fit. */
bool serving_replica_plan(const struct plan_job *job, int chips, int batch, const struct serving_load *load,
                          struct serving_replica *out);

/* False unless both are 1 to 1e8. */
bool serving_tokens_check(double prompt_tokens, double output_tokens, struct talc_error *err);

/* The cheapest number of chips a replica, and how many replicas. job: model, chip, network, software, precision (of the
 * weights: bf16 or fp8). */
bool serving_plan(const struct plan_job *job, const struct serving_load *load, const struct plan_prices *prices,
                  struct serving_plan *out, struct talc_error *err);

#endif
