/* collective.h - what messages between chips take. Volumes as NCCL counts them: all-reduce 2(n-1)/n of the bytes over
 * the slowest link, reduce-scatter, all-gather and all-to-all (n-1)/n; hops as in NCCL's tuner. */
#ifndef TALC_PLAN_COLLECTIVE_H
#define TALC_PLAN_COLLECTIVE_H

/* Of NVLink's rate in one direction: nccl-tests reach 235 of 300 GB/s on an A100 and 367 of 450 on an H200. */
#define SCALE_UP_SHARE 0.8

/* A group of ranks that talk: how many, how many of them share an island, and the rates of the two kinds of link after
 * what protocols take. */
struct comm_group {
    int ranks, per_island;
    double scale_up_rate; /* a chip, within the island */
    double network_rate;  /* a chip, out of it */
    double crowding;      /* division of network_rate where the fabric is oversubscribed; 1: none */
    double latency;       /* of one hop of the network, seconds */
    int one_ring;         /* only one chip's network card carries the ring */
};

double all_reduce_seconds(const struct comm_group *group, double bytes);
/* Reduce-scatter and all-gather, of `bytes` in all. */
double all_gather_seconds(const struct comm_group *group, double bytes);
/* `copies` of each of `bytes`/copies go to ranks at random; a copy that several ranks of one island want crosses the
 * network once where `once` (DeepSeek-V3's way: then handed on within the island). */
double all_to_all_seconds(const struct comm_group *group, double bytes, double copies, int once);
double send_seconds(const struct comm_group *group, double bytes);

#endif
