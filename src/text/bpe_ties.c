/* bpe_ties.c - see bpe_ties.h. Two ways to merge give the same tokens to every text if each token's own text, and the
 * text of any two neighbours of the one way, are encoded alike by the other (bpe_join.h says why). As long as what
 * merges of one rank take was made before, and what they make is merged behind them, their order can change something
 * only where they overlap, (x, y) and (y, z): so only those pairs of tokens are looked at of which the one ends as such
 * merges begin, and the other begins as they end. */
#include "text/bpe_ties.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

#define MAX_PAIRS ((size_t)1 << 22) /* so many take about a second */
#define NO_RANK UINT32_MAX

enum side { BEFORE_SEAM, BEHIND_SEAM };

struct ties {
    const struct bpe *bpe;
    const struct vocabulary *v;
    struct bpe listed;      /* the same merges, each with a rank of its own */
    unsigned char *part;    /* [v->size] of merges of one rank: 1 a left part, 2 a right part */
    uint32_t *first_merged; /* [v->size] the lowest rank of a merge that a token is part of */
    uint32_t *lowest[2];    /* [v->size] for each side of a seam: of merges that overlap there with a token as a part */
    int32_t *candidates[2]; /* tokens that end (begin) with such a part */
    size_t n_candidates[2];
    int32_t *ids; /* room for the symbols of a token */
    struct bpe_scratch scratch;
};

/* ==== merges that overlap ===================================================================== */

static void note(struct ties *t, enum side side, int32_t id, uint32_t rank) {
    if (rank < t->lowest[side][id]) t->lowest[side][id] = rank;
}

/* Of the merges [begin, end), which have one rank. */
static bool note_overlaps(struct ties *t, size_t begin, size_t end) {
    const struct bpe_merge *merges = t->bpe->merges;
    uint32_t rank = merges[begin].rank;
    bool any = false;
    for (size_t i = begin; i < end; i++) {
        t->part[merges[i].left] |= 1;
        t->part[merges[i].right] |= 2;
    }
    for (size_t i = begin; i < end; i++) {
        int32_t left = merges[i].left, right = merges[i].right;
        if (t->part[right] & 1) { /* x and y of x y z */
            note(t, BEFORE_SEAM, left, rank);
            note(t, BEFORE_SEAM, right, rank);
            note(t, BEHIND_SEAM, right, rank);
            any = true;
        }
        if (t->part[left] & 2) note(t, BEHIND_SEAM, right, rank);
    }
    for (size_t i = begin; i < end; i++) t->part[merges[i].left] = t->part[merges[i].right] = 0;
    return any;
}

/* A part of the merge is made by a higher rank, or what it makes is merged by a lower one. */
static bool is_odd(const struct ties *t, const struct bpe_merge *merge) {
    const struct bpe_split *left = &t->bpe->splits[merge->left], *right = &t->bpe->splits[merge->right];
    int32_t rank = (int32_t)merge->rank;
    return left->rank > rank || right->rank > rank || t->first_merged[merge->result] < merge->rank;
}

/* *odd: one of the merges of equal rank is. */
static bool find_overlaps(struct ties *t, bool *odd) {
    const struct bpe *bpe = t->bpe;
    bool any = false;
    for (size_t i = bpe->n_merges; i-- > 0;)
        t->first_merged[bpe->merges[i].left] = t->first_merged[bpe->merges[i].right] = bpe->merges[i].rank;
    for (size_t i = 0, end; i < bpe->n_merges; i = end) {
        for (end = i + 1; end < bpe->n_merges && bpe->merges[end].rank == bpe->merges[i].rank;) end++;
        if (end - i == 1) continue;
        for (size_t j = i; j < end; j++) *odd = *odd || is_odd(t, &bpe->merges[j]);
        any = note_overlaps(t, i, end) || any;
    }
    return any;
}

/* ==== tokens that may stand at a seam ========================================================= */

/* A token that is made in one way only, each part before what is made of it: a part of it that it ends (begins) with
 * is there until the rank of what is made of this. */
static bool simple_shows_part(const struct ties *t, int32_t id, enum side side) {
    const struct bpe_split *splits = t->bpe->splits;
    uint32_t end = NO_RANK;
    for (; splits[id].rank >= 0; id = side == BEFORE_SEAM ? splits[id].right : splits[id].left) {
        if (t->lowest[side][id] < end) return true;
        end = (uint32_t)splits[id].rank;
    }
    return t->lowest[side][id] < end;
}

static bool has_part(const struct ties *t, int32_t id, enum side side) {
    const struct vocabulary_token *token = vocabulary_token(t->v, id);
    const char *bytes = vocabulary_bytes(t->v, token);
    for (uint32_t n = 1; n <= token->n_bytes; n++) {
        int32_t part = vocabulary_find(t->v, side == BEHIND_SEAM ? bytes : bytes + token->n_bytes - n, n);
        if (part >= 0 && t->lowest[side][part] < NO_RANK) return true;
    }
    return false;
}

/* True when the token's own text is encoded as this token. */
static bool is_whole(struct ties *t, const struct bpe *bpe, int32_t id) {
    const struct vocabulary_token *token = vocabulary_token(t->v, id);
    const char *bytes = vocabulary_bytes(t->v, token);
    size_t n_ids;
    return bpe_merge_text(bpe, t->v, &t->scratch, bytes, token->n_bytes, t->ids, &n_ids, NULL) && n_ids == 1 &&
           t->ids[0] == id;
}

/* False when a token's own text is encoded in another way: that can only be of one that is not simple, as of others no
 * merge has the rank of another. */
static bool list_candidates(struct ties *t) {
    for (int32_t id = 0; id < t->v->size; id++) {
        bool simple = t->bpe->splits[id].simple;
        if (t->v->tokens[id].kind != TOKEN_TEXT || (!simple && !is_whole(t, t->bpe, id))) continue;
        if (!simple && !is_whole(t, &t->listed, id)) return false;
        for (enum side side = BEFORE_SEAM; side <= BEHIND_SEAM; side++)
            if (simple ? simple_shows_part(t, id, side) : has_part(t, id, side))
                t->candidates[side][t->n_candidates[side]++] = id;
    }
    return true;
}

/* ==== the comparison ========================================================================== */

static bool list_merges(struct ties *t, struct talc_error *err) {
    const struct bpe *bpe = t->bpe;
    t->listed = (struct bpe){.symbols = bpe->symbols, .unknown_id = bpe->unknown_id};
    memcpy(t->listed.byte_ids, bpe->byte_ids, sizeof bpe->byte_ids);
    for (size_t i = 0; i < bpe->n_merges; i++) {
        struct bpe_merge merge = bpe->merges[i];
        merge.rank = (uint32_t)i;
        if (!bpe_add_merge(&t->listed, merge)) return talc_fail(err, "out of memory for merges");
    }
    return bpe_finish(&t->listed, t->v, err);
}

static bool pairs_are_alike(struct ties *t) {
    if (t->n_candidates[0] > 0 && t->n_candidates[1] > MAX_PAIRS / t->n_candidates[0]) return false;
    for (size_t i = 0; i < t->n_candidates[0]; i++) {
        for (size_t j = 0; j < t->n_candidates[1]; j++) {
            int32_t left = t->candidates[0][i], right = t->candidates[1][j];
            if (bpe_are_neighbours(t->bpe, t->v, &t->scratch, left, right) &&
                !bpe_are_neighbours(&t->listed, t->v, &t->scratch, left, right))
                return false;
        }
    }
    return true;
}

static bool make_room(struct ties *t) {
    size_t n = (size_t)t->v->size + 1, longest = 1;
    for (int32_t id = 0; id < t->v->size; id++)
        if (t->v->tokens[id].n_bytes > longest) longest = t->v->tokens[id].n_bytes;
    t->part = calloc(n, sizeof *t->part);
    t->first_merged = checked_realloc(NULL, n, sizeof *t->first_merged);
    t->ids = checked_realloc(NULL, longest, sizeof *t->ids);
    if (t->first_merged) memset(t->first_merged, 0xff, n * sizeof *t->first_merged); /* NO_RANK */
    for (int side = 0; side < 2; side++) {
        t->lowest[side] = checked_realloc(NULL, n, sizeof *t->lowest[side]);
        t->candidates[side] = checked_realloc(NULL, n, sizeof *t->candidates[side]);
        if (!t->lowest[side] || !t->candidates[side]) return false;
        memset(t->lowest[side], 0xff, n * sizeof *t->lowest[side]);
    }
    return t->part && t->first_merged && t->ids;
}

bool bpe_ties_matter(const struct bpe *bpe, const struct vocabulary *v, bool *matter, struct talc_error *err) {
    struct ties t = {.bpe = bpe, .v = v};
    bool ok = make_room(&t) || talc_fail(err, "out of memory for merges");
    *matter = false;
    if (ok && find_overlaps(&t, matter) && !*matter) {
        ok = list_merges(&t, err);
        *matter = ok && (!list_candidates(&t) || !pairs_are_alike(&t));
    }
    bpe_free(&t.listed);
    bpe_scratch_free(&t.scratch);
    free(t.part);
    free(t.first_merged);
    free(t.ids);
    for (int side = 0; side < 2; side++) {
        free(t.lowest[side]);
        free(t.candidates[side]);
    }
    return ok;
}
