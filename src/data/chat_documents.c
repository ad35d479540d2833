/* chat_documents.c - reads records one after the other, encodes many at once; see chat_documents.h. */
#include "data/chat_documents.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

/* ---- a record -------------------------------------------------------------------------------- */

static bool encode_text(const struct chat_documents *d, const struct chat_record *r, struct chat_document *out,
                        struct talc_error *err) {
    int32_t start = tokenizer_text_start_id(d->tokenizer), end = tokenizer_end_of_text_id(d->tokenizer);
    if (start >= 0 && !token_list_append(&out->ids, start)) return talc_fail(err, "out of memory");
    if (!tokenizer_encode(d->tokenizer, r->text, r->n_bytes, false, &out->ids, err)) return false;
    if (end >= 0 && !token_list_append(&out->ids, end)) return talc_fail(err, "out of memory");
    if (!buffer_reserve(&out->learn, out->ids.count)) return talc_fail(err, "out of memory");
    memset(out->learn.data, 1, out->ids.count);
    out->learn.length = out->ids.count;
    return true;
}

bool chat_document_encode(const struct chat_documents *d, const struct chat_record *r, struct chat_document *out,
                          struct talc_error *err) {
    token_list_clear(&out->ids);
    buffer_clear(&out->learn);
    if (r->format == CHAT_TEXT) return encode_text(d, r, out, err);
    struct chat_options options = {.tools = r->tools};
    return chat_encode(d->tokenizer, d->chat_template, r->messages, &options, &out->ids, &out->learn, err);
}

void chat_document_free(struct chat_document *document) {
    token_list_free(&document->ids);
    buffer_free(&document->learn);
}

/* ---- many at once ---------------------------------------------------------------------------- */

#define RECORDS_AT_ONCE 256

/* A record that outlives the reader's next call, and what became of it. */
struct held_record {
    struct chat_record record; /* owned: messages, tools, text, where */
    struct chat_document document;
    bool encoded;
    struct talc_error error;
};

struct held_records {
    const struct chat_documents *documents;
    struct held_record items[RECORDS_AT_ONCE];
    int n;
};

static bool hold(struct held_records *held, const struct chat_record *r, struct talc_error *err) {
    char *where = strdup(r->where), *text = r->text ? malloc(r->n_bytes) : NULL;
    if (!where || (r->text && !text)) {
        free(where);
        free(text);
        return talc_fail(err, "out of memory");
    }
    if (text) memcpy(text, r->text, r->n_bytes);
    held->items[held->n++].record = (struct chat_record){.format = r->format,
                                                         .messages = json_incref(r->messages),
                                                         .tools = json_incref(r->tools),
                                                         .text = text,
                                                         .n_bytes = r->n_bytes,
                                                         .where = where};
    return true;
}

static void let_go(struct held_records *held) {
    for (int i = 0; i < held->n; i++) {
        struct chat_record *r = &held->items[i].record;
        json_decref(r->messages);
        json_decref(r->tools);
        free((char *)r->where);
        free((char *)r->text);
    }
    held->n = 0;
}

static void encode_held(void *context, int task, int worker) {
    (void)worker;
    struct held_records *held = context;
    struct held_record *h = &held->items[task];
    h->encoded = chat_document_encode(held->documents, &h->record, &h->document, &h->error);
}

/* ---- sorting --------------------------------------------------------------------------------- */

static bool learns_something(const struct chat_document *document) {
    return document->learn.length > 1 && memchr(document->learn.data + 1, 1, document->learn.length - 1) != NULL;
}

/* The record's own number decides: a longer file keeps its beginning where it was. */
static bool is_validation(double share, size_t n) {
    struct rng rng = rng_make(n, 0x76616c);
    return rng_uniform(&rng) < share;
}

/* A text as long as it is: of a piece the last token is only a target, and the first one of the next. */
static bool add_text(struct token_documents *to, const struct chat_document *document, size_t row_tokens,
                     struct talc_error *err) {
    size_t n = document->ids.count;
    for (size_t begin = 0; begin + 1 < n; begin += row_tokens) {
        size_t left = n - begin, piece = left < row_tokens + 1 ? left : row_tokens + 1;
        if (!token_documents_add(to, document->ids.ids + begin, (const uint8_t *)document->learn.data + begin, piece,
                                 err))
            return false;
    }
    return true;
}

static bool add(struct chat_documents *d, const struct held_record *h, struct token_documents *to,
                struct talc_error *err) {
    const struct chat_document *document = &h->document;
    if (!h->encoded) return talc_fail(err, "%s: %s", h->record.where, h->error.message);
    d->n_records[h->record.format]++;
    if (document->ids.count < 2 || !learns_something(document)) {
        d->n_nothing_to_learn++;
        return true;
    }
    if (h->record.format == CHAT_TEXT) return add_text(to, document, (size_t)d->row_tokens, err);
    if (document->ids.count - 1 > (size_t)d->row_tokens) {
        d->n_too_long++;
        return true;
    }
    return token_documents_add(to, document->ids.ids, (const uint8_t *)document->learn.data, document->ids.count, err);
}

/* Reads up to RECORDS_AT_ONCE; fewer are the last ones. Those before one that cannot be read are held too. */
static bool read_some(struct held_records *held, struct chat_reader *reader, struct talc_error *err) {
    struct chat_record record = {.where = ""};
    while (held->n < RECORDS_AT_ONCE && record.where)
        if (!chat_reader_next(reader, &record, err) || (record.where && !hold(held, &record, err))) return false;
    return true;
}

bool chat_documents_read(struct chat_documents *d, const char *path, double validation_share,
                         void (*progress)(void *, double), void *context, struct talc_error *err) {
    struct chat_reader *reader = chat_reader_open(path, d->stop, err);
    struct held_records *held = calloc(1, sizeof *held);
    bool ok = reader && (held || talc_fail(err, "out of memory")), more = ok;
    if (held) held->documents = d;
    for (size_t n = 0; ok && more;) {
        struct talc_error of_reading = {0};
        bool read = read_some(held, reader, &of_reading);
        more = held->n == RECORDS_AT_ONCE;
        thread_pool_run(d->pool, held->n, encode_held, held);
        for (int i = 0; ok && i < held->n; i++)
            ok = add(d, &held->items[i], is_validation(validation_share, n++) ? &d->validation : &d->train, err);
        if (ok && !read) ok = talc_fail(err, "%s", of_reading.message);
        let_go(held);
        if (ok && d->stop && *d->stop) ok = talc_fail(err, "%s: reading was stopped", path);
        if (progress) progress(context, (double)chat_reader_position(reader));
    }
    for (int i = 0; held && i < RECORDS_AT_ONCE; i++) chat_document_free(&held->items[i].document);
    free(held);
    chat_reader_close(reader);
    return ok;
}

void chat_documents_free(struct chat_documents *d) {
    token_documents_free(&d->train);
    token_documents_free(&d->validation);
}
