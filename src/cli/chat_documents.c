/* chat_documents.c - see chat_documents.h. */
#include "cli/chat_documents.h"

#include <string.h>

#include "base/rng.h"

static bool encode_text(struct chat_documents *d, const struct chat_record *r, struct talc_error *err) {
    int32_t end = tokenizer_end_of_text_id(d->tokenizer);
    if (end >= 0 && !token_list_append(&d->ids, end)) return talc_fail(err, "out of memory");
    if (!tokenizer_encode(d->tokenizer, r->text, r->n_bytes, false, &d->ids, err)) return false;
    if (end >= 0 && !token_list_append(&d->ids, end)) return talc_fail(err, "out of memory");
    if (!buffer_reserve(&d->learn, d->ids.count)) return talc_fail(err, "out of memory");
    memset(d->learn.data, 1, d->ids.count);
    d->learn.length = d->ids.count;
    return true;
}

bool chat_documents_encode(struct chat_documents *d, const struct chat_record *r, struct talc_error *err) {
    token_list_clear(&d->ids);
    buffer_clear(&d->learn);
    if (r->format == CHAT_TEXT) return encode_text(d, r, err);
    struct chat_options options = {.tools = r->tools};
    return chat_encode(d->tokenizer, d->chat_template, r->messages, &options, &d->ids, &d->learn, err);
}

static bool learns_something(const struct chat_documents *d) {
    return d->learn.length > 1 && memchr(d->learn.data + 1, 1, d->learn.length - 1) != NULL;
}

/* The record's own number decides: a longer file keeps its beginning where it was. */
static bool is_validation(const struct chat_documents *d, size_t n) {
    struct rng rng = rng_make(n, 0x76616c);
    return rng_uniform(&rng) < d->validation_share;
}

static bool add(struct chat_documents *d, const struct chat_record *r, size_t n, struct talc_error *err) {
    if (!chat_documents_encode(d, r, err)) return talc_fail_in(err, "%s", r->where);
    d->n_records[r->format]++;
    if (d->ids.count < 2 || !learns_something(d)) {
        d->n_nothing_to_learn++;
        return true;
    }
    if (d->ids.count - 1 > (size_t)d->row_tokens) {
        d->n_too_long++;
        return true;
    }
    struct token_documents *to = is_validation(d, n) ? &d->validation : &d->train;
    return token_documents_add(to, d->ids.ids, (const uint8_t *)d->learn.data, d->ids.count, err);
}

bool chat_documents_read(struct chat_documents *d, const char *path, void (*progress)(void *, double), void *context,
                         struct talc_error *err) {
    struct chat_reader *reader = chat_reader_open(path, err);
    struct chat_record record;
    bool ok = reader != NULL;
    for (size_t n = 0; ok && (ok = chat_reader_next(reader, &record, err)) && record.where; n++) {
        ok = add(d, &record, n, err);
        if (progress) progress(context, (double)chat_reader_position(reader));
    }
    chat_reader_close(reader);
    return ok;
}

void chat_documents_free(struct chat_documents *d) {
    token_documents_free(&d->train);
    token_documents_free(&d->validation);
    token_list_free(&d->ids);
    buffer_free(&d->learn);
}
