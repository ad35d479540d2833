/* chat_documents.h - chat files as token documents, for talc sft. */
#ifndef TALC_CLI_CHAT_DOCUMENTS_H
#define TALC_CLI_CHAT_DOCUMENTS_H

#include "data/chat_reader.h"
#include "data/pack.h"
#include "text/chat.h"

struct chat_documents {
    const struct tokenizer *tokenizer;
    const struct chat_template *chat_template;
    int row_tokens;          /* longer ones are left out and counted */
    double validation_share; /* of the records, by hash of their number */
    struct token_documents train, validation;
    size_t n_records[CHAT_FORMATS], n_too_long, n_nothing_to_learn;
    int64_t validation_bytes;
    struct token_list ids; /* scratch */
    struct buffer learn;
};

/* Adds every record of a file. Chats teach what the assistant says; texts ({"text"}) are learnt whole, from the end-of-text
 * token that begins them to the one that ends them. `progress` (may be NULL) gets the bytes read. */
bool chat_documents_read(struct chat_documents *d, const char *path, void (*progress)(void *, double), void *context,
                         struct talc_error *err);
void chat_documents_free(struct chat_documents *d);

/* One record as tokens, into d->ids and d->learn. */
bool chat_documents_encode(struct chat_documents *d, const struct chat_record *record, struct talc_error *err);

#endif
