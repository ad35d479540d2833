/* pack.c - planning which documents share a row, and filling rows by the plan; see pack.h. */
#include "data/pack.h"

#include <stdlib.h>
#include <string.h>

#include "data/permutation.h"

/* The rows of one epoch: row r holds documents[row_starts[r] .. row_starts[r + 1]). */
struct plan {
    bool made;
    uint64_t epoch, n_rows;
    uint32_t *documents;  /* [n_fitting] */
    uint64_t *row_starts; /* [n_fitting + 1] */
};

struct packer {
    const struct token_documents *documents;
    struct pack_options options;
    uint32_t *fitting; /* the documents that fit in a row */
    size_t n_fitting;
    struct plan plan; /* of the epoch asked for last; it follows from the epoch alone */
};

/* ---- documents ------------------------------------------------------------------------------- */

static size_t grown_capacity(size_t capacity, size_t n_needed) {
    if (n_needed <= capacity) return capacity;
    return n_needed > 2 * capacity ? n_needed : 2 * capacity;
}

static bool make_room(struct token_documents *d, size_t n_tokens, size_t n_starts) {
    size_t token_capacity = grown_capacity(d->token_capacity, n_tokens);
    size_t start_capacity = grown_capacity(d->start_capacity, n_starts);
    if (token_capacity > d->token_capacity) {
        int32_t *tokens = realloc(d->tokens, token_capacity * sizeof *tokens);
        if (tokens) d->tokens = tokens;
        uint8_t *learn = realloc(d->learn, token_capacity * sizeof *learn);
        if (learn) d->learn = learn;
        if (!tokens || !learn) return false;
        d->token_capacity = token_capacity;
    }
    if (start_capacity > d->start_capacity) {
        uint64_t *starts = realloc(d->starts, start_capacity * sizeof *starts);
        if (!starts) return false;
        d->starts = starts;
        d->start_capacity = start_capacity;
    }
    return true;
}

bool token_documents_add(struct token_documents *d, const int32_t *tokens, const uint8_t *learn, size_t n,
                         struct talc_error *err) {
    if (n < 2) return talc_fail(err, "a document has fewer than 2 tokens: there is nothing to predict");
    if (d->n_documents == UINT32_MAX) return talc_fail(err, "more than %u documents", UINT32_MAX);
    uint64_t start = d->n_documents ? d->starts[d->n_documents] : 0;
    size_t n_tokens = (size_t)start + n;
    if (!make_room(d, n_tokens, d->n_documents + 2)) return talc_fail(err, "out of memory for the documents");
    memcpy(d->tokens + start, tokens, n * sizeof *tokens);
    memcpy(d->learn + start, learn, n);
    d->starts[d->n_documents++] = start;
    d->starts[d->n_documents] = n_tokens;
    return true;
}

void token_documents_free(struct token_documents *d) {
    free(d->tokens);
    free(d->learn);
    free(d->starts);
    *d = (struct token_documents){0};
}

static uint64_t places_of(const struct packer *p, uint32_t document) {
    return p->documents->starts[document + 1] - p->documents->starts[document] - 1;
}

/* ---- the plan of an epoch -------------------------------------------------------------------- */

/* The largest of the waiting documents that fits in `room` (the oldest of equals), or n_waiting. */
static size_t best_fit(const struct packer *p, const uint32_t *waiting, size_t n_waiting, uint64_t room) {
    size_t best = n_waiting;
    uint64_t n_best = 0;
    for (size_t i = 0; i < n_waiting; i++) {
        uint64_t n = places_of(p, waiting[i]);
        if (n > room || n <= n_best) continue;
        best = i;
        n_best = n;
    }
    return best;
}

static void make_plan(struct packer *p, uint64_t epoch) {
    struct plan *plan = &p->plan;
    struct permutation order = permutation_make(p->n_fitting, p->options.seed, epoch);
    uint32_t waiting[PACK_LOOKAHEAD];
    size_t n_waiting = 0, n_taken = 0, n_placed = 0;
    uint64_t room = 0;
    plan->n_rows = 0;
    while (n_placed < p->n_fitting) {
        while (n_waiting < PACK_LOOKAHEAD && n_taken < p->n_fitting) {
            size_t next = p->options.in_order ? n_taken : (size_t)permutation_at(&order, n_taken);
            waiting[n_waiting++] = p->fitting[next];
            n_taken++;
        }
        size_t chosen = best_fit(p, waiting, n_waiting, room);
        if (chosen == n_waiting) { /* a new row, begun with the oldest so that none waits for ever */
            plan->row_starts[plan->n_rows++] = n_placed;
            room = (uint64_t)p->options.row_tokens;
            chosen = 0;
        }
        room -= places_of(p, waiting[chosen]);
        plan->documents[n_placed++] = waiting[chosen];
        n_waiting--;
        memmove(waiting + chosen, waiting + chosen + 1, (n_waiting - chosen) * sizeof *waiting);
    }
    plan->row_starts[plan->n_rows] = n_placed;
    plan->epoch = epoch;
    plan->made = true;
}

static const struct plan *plan_of(struct packer *p, uint64_t epoch) {
    if (p->options.in_order) epoch = 0;
    if (!p->plan.made || p->plan.epoch != epoch) make_plan(p, epoch);
    return &p->plan;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static bool count_rows(void *context, uint64_t epoch, uint64_t *n, struct talc_error *err) {
    (void)err;
    *n = plan_of(context, epoch)->n_rows;
    return true;
}

static bool fill_row(void *context, uint64_t epoch, uint64_t index, struct row_batch *batch, int row,
                     struct talc_error *err) {
    (void)err;
    struct packer *p = context;
    const struct plan *plan = plan_of(p, epoch);
    size_t row_start = (size_t)row * (size_t)batch->row_tokens;
    int begin = 0;
    for (uint64_t i = plan->row_starts[index]; i < plan->row_starts[index + 1]; i++) {
        uint32_t document = plan->documents[i];
        size_t n = (size_t)places_of(p, document), at = row_start + (size_t)begin;
        const int32_t *tokens = p->documents->tokens + p->documents->starts[document];
        const uint8_t *learn = p->documents->learn + p->documents->starts[document];
        memcpy(batch->tokens + at, tokens, n * sizeof *tokens);
        memcpy(batch->targets + at, tokens + 1, n * sizeof *tokens);
        for (size_t k = 0; k < n; k++) batch->weights[at + k] = learn[k + 1] ? 1 : 0;
        row_batch_add_sequence(batch, row, begin, (int)n);
        begin += (int)n;
    }
    row_batch_pad(batch, row, begin);
    return true;
}

static void close_packer(void *context) {
    struct packer *p = context;
    free(p->fitting);
    free(p->plan.documents);
    free(p->plan.row_starts);
    free(p);
}

static bool choose_fitting(struct packer *p, size_t *n_skipped, struct talc_error *err) {
    const struct token_documents *d = p->documents;
    for (size_t i = 0; i < d->n_documents; i++) {
        uint64_t n = places_of(p, (uint32_t)i);
        if (n <= (uint64_t)p->options.row_tokens)
            p->fitting[p->n_fitting++] = (uint32_t)i;
        else if (!p->options.skip_long)
            return talc_fail(err, "document %zu has %llu tokens, but a row holds %d; raise the context or skip it",
                             i + 1, (unsigned long long)n + 1, p->options.row_tokens);
    }
    if (n_skipped) *n_skipped = d->n_documents - p->n_fitting;
    return p->n_fitting || talc_fail(err, "none of the %zu documents fits in a row of %d tokens", d->n_documents,
                                     p->options.row_tokens);
}

bool documents_open(struct loader *loader, const struct token_documents *documents, const struct pack_options *options,
                    size_t *n_skipped, struct talc_error *err) {
    *loader = (struct loader){0};
    if (options->row_tokens < 1) return talc_fail(err, "rows of %d tokens are not possible", options->row_tokens);
    struct packer *p = calloc(1, sizeof *p);
    if (!p) return talc_fail(err, "out of memory");
    *p = (struct packer){.documents = documents, .options = *options};
    size_t n = documents->n_documents;
    p->fitting = malloc((n + 1) * sizeof *p->fitting);
    p->plan.documents = malloc((n + 1) * sizeof *p->plan.documents);
    p->plan.row_starts = malloc((n + 1) * sizeof *p->plan.row_starts);
    bool ok = (p->fitting && p->plan.documents && p->plan.row_starts) || talc_fail(err, "out of memory");
    if (!ok || !choose_fitting(p, n_skipped, err)) {
        close_packer(p);
        return false;
    }
    *loader = (struct loader){.row_tokens = options->row_tokens,
                              .in_order = options->in_order,
                              .context = p,
                              .count_rows = count_rows,
                              .fill_row = fill_row,
                              .close = close_packer};
    return true;
}
