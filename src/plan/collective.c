/* collective.c - times of collectives; see collective.h. */
#include "plan/collective.h"

#include <math.h>

/* NCCL's tuner (tuning.cc), seconds: starting a collective; a hop over NVLink and what the protocol adds to one over
 * the network. */
#define START 8.4e-6
#define ISLAND_HOP 3.4e-6
#define NETWORK_HOP 8e-6

static double bus_rate(const struct comm_group *g) {
    if (g->ranks <= g->per_island) return g->scale_up_rate;
    double out = g->network_rate / g->crowding * (g->one_ring ? 1 : g->per_island);
    return out < g->scale_up_rate ? out : g->scale_up_rate;
}

static int islands(const struct comm_group *g) { return (g->ranks + g->per_island - 1) / g->per_island; }

static double ring_hops(const struct comm_group *g) {
    int out = islands(g) - 1;
    return out * (NETWORK_HOP + g->latency) + (g->ranks - 1 - out) * ISLAND_HOP;
}

static double tree_hops(const struct comm_group *g) {
    return (g->per_island - 1) * ISLAND_HOP + log2(islands(g)) * (NETWORK_HOP + g->latency);
}

double all_reduce_seconds(const struct comm_group *g, double bytes) {
    if (g->ranks < 2) return 0;
    double ring = ring_hops(g), tree = tree_hops(g), n = g->ranks;
    return START + 2 * (ring < tree ? ring : tree) + 2 * (n - 1) / n * bytes / bus_rate(g);
}

double all_gather_seconds(const struct comm_group *g, double bytes) {
    if (g->ranks < 2) return 0;
    double n = g->ranks;
    return START + ring_hops(g) + (n - 1) / n * bytes / bus_rate(g);
}

double all_to_all_seconds(const struct comm_group *g, double bytes, double copies, int once) {
    if (g->ranks < 2) return 0;
    double n = g->ranks, inside = g->per_island < g->ranks ? g->per_island : g->ranks;
    double n_islands = islands(g), crossing = (n - inside) / n;
    if (once && n_islands > 1) crossing *= n_islands * (1 - pow(1 - 1 / n_islands, copies)) / copies;
    double near = bytes * (inside - 1) / inside / g->scale_up_rate,
           far = bytes * crossing / (g->network_rate / g->crowding);
    return START + islands(g) * g->latency + (near > far ? near : far);
}

double send_seconds(const struct comm_group *g, double bytes) {
    if (g->ranks < 2) return 0;
    if (g->ranks <= g->per_island) return START + ISLAND_HOP + bytes / g->scale_up_rate;
    return START + NETWORK_HOP + g->latency + bytes / (g->network_rate / g->crowding);
}
