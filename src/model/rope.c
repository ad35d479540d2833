/* rope.c - the rotary tables: the angles of every position (Su et al. 2021), with the frequencies stretched as
 * arch.h's rope_scaling says. */
#include <math.h>
#include <stdlib.h>

#include "model/layout.h"

static const double turn = 6.283185307179586;

/* Where in [0, 1] a frequency lies between being kept (0) and being divided by the factor (1): i of d/2. */
static double llama3_share(const struct rope_scaling *s, double frequency) {
    double turns = s->original_context * frequency / turn; /* in the original context */
    double share = (turns - (double)s->low) / ((double)s->high - (double)s->low);
    return 1 - fmin(fmax(share, 0), 1);
}

/* The i whose angle turns `turns` times in the original context. */
static double yarn_place(const struct rope_scaling *s, int d, float base, float turns) {
    return d * log(s->original_context / ((double)turns * turn)) / (2 * log((double)base));
}

static double yarn_share(const struct rope_scaling *s, int d, float base, int i) {
    double first = yarn_place(s, d, base, s->high), last = yarn_place(s, d, base, s->low);
    if (s->whole) {
        first = floor(first);
        last = ceil(last);
    }
    first = fmax(first, 0);
    last = fmin(last, d - 1);
    if (first == last) last += 0.001;
    return fmin(fmax((i - first) / (last - first), 0), 1);
}

/* Angle i turns by this a position. It is rounded to float, as in the programs that trained the open models. */
static float frequency_of(const struct arch *a, const struct layer_arch *layer, int i) {
    const struct rope_scaling *s = &layer->scaling;
    int d = arch_rotary_dim(a);
    double plain = pow((double)layer->rope_base, -2.0 * i / d), share;
    switch (s->kind) {
    case ROPE_LINEAR: return (float)(plain / (double)s->factor);
    case ROPE_LONG: return (float)(plain / (double)a->rope_long.short_factor[i]);
    case ROPE_LLAMA3: share = llama3_share(s, plain); break;
    case ROPE_YARN: share = yarn_share(s, d, layer->rope_base, i); break;
    default: return (float)plain;
    }
    return (float)(plain * (1 - share) + plain / (double)s->factor * share);
}

/* [context, d]: cos of the d/2 angles of each position, then sin. The angle is rounded to float too. */
static void fill_table(float *table, const struct arch *a, const struct layer_arch *layer) {
    int d = arch_rotary_dim(a);
    bool scaled = layer->scaling.kind == ROPE_YARN || layer->scaling.kind == ROPE_LONG;
    float factor = scaled ? layer->scaling.attention_factor : 1;
    for (int i = 0; i < d / 2; i++) {
        float frequency = frequency_of(a, layer, i);
        for (int p = 0; p < a->context_length; p++) {
            float angle = (float)p * frequency, *row = table + (int64_t)p * d;
            row[i] = (float)cos((double)angle) * factor;
            row[d / 2 + i] = (float)sin((double)angle) * factor;
        }
    }
}

bool rope_make(struct model *m, float *memory, struct talc_error *err) {
    const struct arch *a = &m->arch;
    int64_t size = (int64_t)a->context_length * arch_rotary_dim(a);
    float *host = malloc((size_t)size * sizeof *host);
    if (!host) return talc_fail(err, "out of memory for the rotary tables");
    for (int l = 0; l < a->n_layers; l++) {
        int owner = rope_owner(a, l);
        if (owner < l) {
            m->rope[l] = m->rope[owner];
            continue;
        }
        fill_table(host, a, &a->layers[l]);
        m->stream->backend->copy_in(m->stream, memory, host, (size_t)size * sizeof *host);
        m->rope[l] = tensor_view(memory, DTYPE_F32, a->context_length, arch_rotary_dim(a));
        memory += size;
    }
    bool ok = stream_synchronize(m->stream, err); /* before the host's copy goes */
    free(host);
    return ok;
}
