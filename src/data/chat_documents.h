/* chat_documents.h - chat files as token documents, for SFT. */
#ifndef TALC_DATA_CHAT_DOCUMENTS_H
#define TALC_DATA_CHAT_DOCUMENTS_H

#include "base/thread_pool.h"
#include "data/chat_reader.h"
#include "data/pack.h"
#include "text/chat.h"

struct chat_documents {
    const struct tokenizer *tokenizer;
    const struct chat_template *chat_template;
    struct thread_pool *pool;          /* that encodes; the documents are the same for any number of threads */
    const volatile sig_atomic_t *stop; /* as in input_stream.h */
    int row_tokens;                    /* chats that are longer are left out and counted, texts are cut */
    struct token_documents train, validation;
    size_t n_records[CHAT_FORMATS], n_too_long, n_nothing_to_learn;
};

/* Adds every record of a file; `validation_share` of them, by a hash of their number, to validation. Chats teach what
 * the assistant says; texts ({"text"}) are learnt whole, from the token that begins a text to the one that ends it, a
 * row at a time. `progress` (may be NULL) gets the bytes read. */
bool chat_documents_read(struct chat_documents *d, const char *path, double validation_share,
                         void (*progress)(void *, double), void *context, struct talc_error *err);
void chat_documents_free(struct chat_documents *d);

/* A record as tokens, and a byte each: 1 where it is learnt. All zero is empty; encoding anew reuses the memory. */
struct chat_document {
    struct token_list ids;
    struct buffer learn;
};
bool chat_document_encode(const struct chat_documents *d, const struct chat_record *record, struct chat_document *out,
                          struct talc_error *err);
void chat_document_free(struct chat_document *document);

#endif
