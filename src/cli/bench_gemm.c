/* bench_gemm.c - talc bench gemm: matrix products of training, beside the peak of multiply-adds. */
#include "cli/bench.h"

struct shape {
    const char *name;
    enum matmul_layout layout;
    int64_t m, n, k;
};

/* Forward (NT), gradient of the activations (NN) and of the weights (TN): of a model of hidden size 128 with 768 tokens
 * a step, and of GPT-2 124M with 256 and 1024; then single tokens, as decoding has them. */
static const struct shape shapes[] = {
    {"768x384x128 NT", MATMUL_NT, 768, 384, 128},     {"768x768x128 NT", MATMUL_NT, 768, 768, 128},
    {"768x128x384 NN", MATMUL_NN, 768, 128, 384},     {"768x128x768 NN", MATMUL_NN, 768, 128, 768},
    {"384x128x768 TN", MATMUL_TN, 384, 128, 768},     {"768x128x768 TN", MATMUL_TN, 768, 128, 768},
    {"768x1024x128 NT", MATMUL_NT, 768, 1024, 128},   {"768x128x1024 NN", MATMUL_NN, 768, 128, 1024},
    {"256x2304x768 NT", MATMUL_NT, 256, 2304, 768},   {"256x768x768 NT", MATMUL_NT, 256, 768, 768},
    {"256x3072x768 NT", MATMUL_NT, 256, 3072, 768},   {"256x768x3072 NT", MATMUL_NT, 256, 768, 3072},
    {"256x3072x768 NN", MATMUL_NN, 256, 3072, 768},   {"256x768x2304 NN", MATMUL_NN, 256, 768, 2304},
    {"3072x768x256 TN", MATMUL_TN, 3072, 768, 256},   {"2304x768x256 TN", MATMUL_TN, 2304, 768, 256},
    {"1024x2304x768 NT", MATMUL_NT, 1024, 2304, 768}, {"1024x3072x768 NT", MATMUL_NT, 1024, 3072, 768},
    {"1024x768x3072 NN", MATMUL_NN, 1024, 768, 3072}, {"3072x768x1024 TN", MATMUL_TN, 3072, 768, 1024},
    {"1x2304x768 NT", MATMUL_NT, 1, 2304, 768},       {"4x2304x768 NT", MATMUL_NT, 4, 2304, 768},
};

struct product {
    struct stream *stream;
    struct matmul_options o;
    struct tensor c, a, b;
};

static void multiply(void *context) {
    struct product *p = context;
    p->stream->ops->matmul(p->stream, &p->o, p->c, p->a, p->b);
}

bool bench_gemm(struct bench *b, struct talc_error *err) {
    struct rng rng = rng_make(1, 0);
    bool ok = true;
    double shares[sizeof shapes / sizeof *shapes];
    int n_shares = 0;
    for (size_t i = 0; ok && i < sizeof shapes / sizeof *shapes; i++) {
        const struct shape *g = &shapes[i];
        bool a_turned = g->layout == MATMUL_TN, b_turned = g->layout == MATMUL_NT;
        struct product p = {.stream = &b->opened.stream, .o = {.layout = g->layout, .compute = b->compute}};
        p.a = bench_random(b, a_turned ? g->k : g->m, a_turned ? g->m : g->k, &rng, err);
        p.b = bench_random(b, b_turned ? g->n : g->k, b_turned ? g->k : g->n, &rng, err);
        p.c = bench_random(b, g->m, g->n, &rng, err);
        ok = tensor_present(p.a) && tensor_present(p.b) && tensor_present(p.c);
        if (ok) {
            double rate, limit, flops = 2.0 * (double)g->m * (double)g->n * (double)g->k;
            bench_rate(b, b->compute, flops, multiply, &p, &rate, &limit);
            bench_row(b, g->name, rate / 1e9, "GFLOP/s", limit / 1e9);
            if (limit > 0 && g->m >= 64) shares[n_shares++] = rate / limit;
        }
        bench_give(b, p.a);
        bench_give(b, p.b);
        bench_give(b, p.c);
    }
    if (ok && n_shares) bench_row(b, "median share of the peak, m >= 64", 100 * bench_median(shares, n_shares), "%", 0);
    return ok;
}
