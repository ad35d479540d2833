/* ref_backend.c - the reference as a back end: host memory, work done at once on the calling thread; the op table. */
#include "tensor/ref/ref.h"

#include <stdlib.h>

#include "base/checked.h"

#define REF_ALIGNMENT 64

struct ref_state {
    double *scratch;
    size_t capacity; /* doubles in scratch */
};

static const struct ops ref_ops = {
    .zero = ref_zero,
    .copy = ref_copy,
    .add = ref_add_tensor,
    .gather_rows = ref_gather_rows,
    .scatter_add_rows = ref_scatter_add_rows,
    .embedding_forward = ref_embedding_forward,
    .embedding_backward = ref_embedding_backward,
    .norm_forward = ref_norm_forward,
    .norm_backward = ref_norm_backward,
    .matmul = ref_matmul,
    .bias_backward = ref_bias_backward,
    .qkv_forward = ref_qkv_forward,
    .qkv_backward = ref_qkv_backward,
    .attention_forward = ref_attention_forward,
    .attention_backward = ref_attention_backward,
    .activation_forward = ref_activation_forward,
    .activation_backward = ref_activation_backward,
    .dropout = ref_dropout,
    .softcap = ref_softcap,
    .stats_forward = ref_stats_forward,
    .stats_backward = ref_stats_backward,
    .sum_of_squares = ref_sum_of_squares,
    .adamw = ref_adamw,
    .copy_rounded = ref_copy_rounded,
    .nesterov = ref_nesterov,
    .normalize = ref_normalize,
    .scale_add = ref_scale_add,
    .descend = ref_descend,
};

static bool ref_open(struct stream *stream, const char *variant, struct thread_pool *pool, struct talc_error *err) {
    if (variant) return talc_fail(err, "device 'ref' has no variant '%s': say just 'ref'", variant);
    struct ref_state *state = calloc(1, sizeof *state);
    if (!state) return talc_fail(err, "out of memory opening device 'ref'");
    *stream = (struct stream){.backend = &backend_ref, .ops = &ref_ops, .pool = pool, .state = state};
    return true;
}

static void ref_close(struct stream *stream) {
    struct ref_state *state = stream->state;
    free(state->scratch);
    free(state);
}

static const char *ref_describe(const struct stream *stream, enum dtype compute) {
    (void)stream, (void)compute;
    return "reference (plain C, sums in double, one thread)";
}

static void *ref_memory_take(struct stream *stream, size_t n_bytes, struct talc_error *err) {
    (void)stream;
    size_t padded;
    void *memory = NULL;
    if (checked_add_size(n_bytes, REF_ALIGNMENT, &padded))
        memory = aligned_alloc(REF_ALIGNMENT, padded / REF_ALIGNMENT * REF_ALIGNMENT);
    if (!memory) {
        talc_fail(err, "not enough memory for %zu MiB of tensors: take a smaller model or batch", n_bytes >> 20);
        return NULL;
    }
    return memset(memory, 0, n_bytes);
}

static void ref_memory_give(struct stream *stream, void *memory) {
    (void)stream;
    free(memory);
}

static void ref_copy_in(struct stream *stream, void *device, const void *host, size_t n_bytes) {
    if (!stream->failed && n_bytes) memcpy(device, host, n_bytes);
}

static void ref_copy_out(struct stream *stream, void *host, const void *device, size_t n_bytes) {
    if (!stream->failed && n_bytes) memcpy(host, device, n_bytes);
}

static bool ref_synchronize(struct stream *stream, struct talc_error *err) {
    return !stream->failed || talc_fail(err, "%s", stream->error.message);
}

const struct backend backend_ref = {
    .name = "ref",
    .open = ref_open,
    .close = ref_close,
    .describe = ref_describe,
    .memory_take = ref_memory_take,
    .memory_give = ref_memory_give,
    .copy_in = ref_copy_in,
    .copy_out = ref_copy_out,
    .synchronize = ref_synchronize,
};

/* ---- shared by the operations ---------------------------------------------------------------- */

int64_t ref_index(struct stream *s, struct tensor indices, int64_t i, int64_t limit, const char *what) {
    int64_t index = ref_integer(indices, i);
    if (index >= 0 && index < limit) return index;
    stream_fail(s, "%s %lld is %lld, outside 0..%lld", what, (long long)i, (long long)index, (long long)limit - 1);
    return -1;
}

double *ref_scratch(struct stream *s, size_t n) {
    struct ref_state *state = s->state;
    if (state->scratch && n <= state->capacity) return memset(state->scratch, 0, n * sizeof *state->scratch);
    free(state->scratch);
    state->scratch = calloc(n + 1, sizeof *state->scratch); /* + 1: nothing is not the same as no memory */
    state->capacity = state->scratch ? n : 0;
    if (!state->scratch) stream_fail(s, "not enough memory for %zu doubles of scratch", n);
    return state->scratch;
}

double ref_dropout_factor(struct tensor rng, double probability, uint32_t site, int64_t r, int64_t c) {
    const uint64_t *seed_and_counter = rng.data;
    uint64_t seed = seed_and_counter[0];
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, words[4];
    uint32_t counter[4] = {(uint32_t)(c / 4), (uint32_t)r, site, (uint32_t)seed_and_counter[1]};
    philox4x32(counter, key, words);
    double uniform = words[c % 4] * 0x1p-32;
    return uniform < probability ? 0.0 : 1.0 / (1.0 - probability);
}
