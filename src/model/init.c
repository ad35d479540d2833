/* init.c - how a new model begins: every parameter drawn from a stream of random numbers of its own, so that neither
 * order nor threads matter. */
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "model/layout.h"

/* Standard deviation of a matrix or table. */
static double deviation_of(const struct model *m, const struct parameter *p, enum init_scheme scheme) {
    const struct block *b = p->layer < 0 ? NULL : &m->blocks[p->layer];
    bool residual = b && (p == b->out.weight || p == b->down.weight); /* what is added to the residual stream */
    if (scheme == INIT_GPT2) return residual ? 0.02 / sqrt(2.0 * m->arch.n_layers) : 0.02;
    switch (p->role) {
    case ROLE_EMBEDDING: return m->arch.tie_embeddings ? 0.02 : 1;
    case ROLE_POSITION: return 0.02;
    case ROLE_HEAD: return 0.001;
    default: return residual ? 0 : 1 / sqrt((double)p->value.cols);
    }
}

/* ---- normal numbers on all threads ----------------------------------------------------------- */

enum { TASK_FLOATS = 1 << 14 };

struct drawing {
    uint64_t seed;
    uint32_t stream;
    double deviation;
    float *out;
    int64_t n;
};

/* A counter of Philox gives four words, two pairs of uniforms (w + 1/2) / 2^32, four normals (Box & Muller 1958). */
static void draw_four(const struct drawing *d, uint64_t block, float out[4]) {
    uint32_t words[4], key[2] = {(uint32_t)d->seed, (uint32_t)(d->seed >> 32)};
    uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), d->stream, 0x696e6974u /* "init" */};
    philox4x32(counter, key, words);
    for (int i = 0; i < 4; i += 2) {
        double radius = d->deviation * sqrt(-2 * log((words[i] + 0.5) * 0x1p-32));
        double angle = 6.283185307179586 * ((words[i + 1] + 0.5) * 0x1p-32);
        out[i] = (float)(radius * cos(angle));
        out[i + 1] = (float)(radius * sin(angle));
    }
}

static void draw_task(void *context, int task, int worker) {
    const struct drawing *d = context;
    int64_t begin = (int64_t)task * TASK_FLOATS, end = begin + TASK_FLOATS < d->n ? begin + TASK_FLOATS : d->n;
    (void)worker;
    for (int64_t i = begin; i < end; i += 4) {
        float four[4];
        draw_four(d, (uint64_t)i / 4, four);
        for (int64_t k = i; k < end && k < i + 4; k++) d->out[k] = four[k - i];
    }
}

static void draw_normal(struct thread_pool *pool, struct drawing *d) {
    int n_tasks = (int)((d->n + TASK_FLOATS - 1) / TASK_FLOATS);
    if (pool) thread_pool_run(pool, n_tasks, draw_task, d);
    for (int task = 0; !pool && task < n_tasks; task++) draw_task(d, task, 0);
}

bool model_initialize(struct model *m, enum init_scheme scheme, uint64_t seed, struct talc_error *err) {
    size_t largest = 0;
    for (int i = 0; i < m->n_parameters; i++) {
        size_t n = (size_t)(m->parameters[i].value.rows * m->parameters[i].value.cols);
        if (n > largest) largest = n;
    }
    float *host = malloc(largest * sizeof *host);
    if (!host)
        return talc_fail(err, "out of memory to draw the largest parameter (%.1f MiB)", (double)largest * 4 / 1048576);
    bool ok = true;
    for (int i = 0; ok && i < m->n_parameters; i++) {
        const struct parameter *p = &m->parameters[i];
        int64_t n = p->value.rows * p->value.cols;
        if (p->role == ROLE_NORM || p->role == ROLE_BIAS) {
            for (int64_t k = 0; k < n; k++) host[k] = p->role == ROLE_NORM ? 1 : 0;
        } else {
            struct drawing d = {seed, (uint32_t)i, deviation_of(m, p, scheme), host, n};
            draw_normal(m->stream->pool, &d);
        }
        parameter_write(m, p, 0, (size_t)n, host);
        ok = stream_synchronize(m->stream, err); /* the host's copy is used again */
    }
    free(host);
    return ok;
}
