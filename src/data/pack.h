/* pack.h - rows packed from whole documents (chats), which are never cut: of the next PACK_LOOKAHEAD documents of a
 * shuffled order, a row takes the oldest and then, again and again, the largest that still fits (best fit: it leaves
 * far less padding than first fit). What is left of a row is padding. */
#ifndef TALC_DATA_PACK_H
#define TALC_DATA_PACK_H

#include <stddef.h>

#include "data/loader.h"

#define PACK_LOOKAHEAD 256

/* Documents already turned into tokens. All zero is an empty list. */
struct token_documents {
    int32_t *tokens;  /* of all documents, one after another */
    uint8_t *learn;   /* of each token: 1 when predicting it is to be learnt */
    uint64_t *starts; /* [n_documents + 1] */
    size_t n_documents, token_capacity, start_capacity;
};
/* Copies a document of n >= 2 tokens. */
bool token_documents_add(struct token_documents *d, const int32_t *tokens, const uint8_t *learn, size_t n,
                         struct talc_error *err);
void token_documents_free(struct token_documents *d);

struct pack_options {
    int row_tokens;
    uint64_t seed;
    bool skip_long; /* leave out documents that do not fit in a row; otherwise they fail */
    bool in_order;  /* not shuffled, for validation: every document once */
};

/* A document of n tokens takes n - 1 places of a row: its last token is only a target. The documents must outlive the
 * loader. *n_skipped (may be NULL) counts those left out. */
bool documents_open(struct loader *loader, const struct token_documents *documents, const struct pack_options *options,
                    size_t *n_skipped, struct talc_error *err);

#endif
