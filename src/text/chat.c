/* chat.c - see chat.h. */
#include "text/chat.h"

#include <stdlib.h>
#include <string.h>

static bool has_all(const struct tokenizer *tok, const char *const *tokens) {
    for (; *tokens; tokens++)
        if (tokenizer_special_id(tok, *tokens) < 0) return false;
    return true;
}

const char *chat_template_for(const struct tokenizer *tok) {
    static const char *const own[] = {TOKEN_SYSTEM, TOKEN_USER, TOKEN_ASSISTANT, TOKEN_END, NULL};
    static const char *const chatml[] = {TOKEN_IM_START, TOKEN_IM_END, NULL};
    return has_all(tok, own) ? CHAT_TEMPLATE_TALC : has_all(tok, chatml) ? CHAT_TEMPLATE_CHATML : NULL;
}

/* ---- rendering ------------------------------------------------------------------------------- */

static void set_token(json_t *trusted, const char *key, const struct tokenizer *tok, int32_t id) {
    size_t n;
    const char *bytes = id >= 0 ? tokenizer_token_bytes(tok, id, &n) : NULL;
    if (bytes) json_object_set_new(trusted, key, json_stringn(bytes, n));
}

static bool render(const struct tokenizer *tok, const struct chat_template *t, const json_t *messages,
                   const struct chat_options *o, bool prompt, struct buffer *out, struct template_spans *spans,
                   struct talc_error *err) {
    json_t *variables = o->variables ? json_copy((json_t *)(uintptr_t)o->variables) : json_object(),
           *trusted = json_object();
    bool ok = variables && trusted;
    if (ok) {
        json_object_set(variables, "messages", (json_t *)(uintptr_t)messages);
        if (o->tools) json_object_set(variables, "tools", (json_t *)(uintptr_t)o->tools);
        json_object_set_new(variables, "add_generation_prompt", json_boolean(prompt));
        set_token(trusted, "bos_token", tok, tokenizer_bos_id(tok));
        set_token(trusted, "eos_token", tok, tokenizer_eos_id(tok));
        set_token(trusted, "pad_token", tok, tokenizer_pad_id(tok));
        struct template_input input = {.variables = variables, .trusted = trusted};
        ok = chat_template_render(t, &input, out, spans, err);
    } else {
        talc_fail(err, "out of memory for a conversation");
    }
    json_decref(variables);
    json_decref(trusted);
    return ok;
}

/* ---- what is learnt -------------------------------------------------------------------------- */

/* marks[i]: byte i of the text is to be learnt */
static void mark_generation(const struct template_spans *spans, char *marks) {
    for (size_t i = 0; i < spans->n_items; i++)
        if (spans->items[i].origin & TEMPLATE_IN_GENERATION)
            memset(marks + spans->items[i].begin, 1, spans->items[i].end - spans->items[i].begin);
}

static json_t *first_messages(const json_t *messages, size_t n) {
    json_t *some = json_array();
    for (size_t i = 0; some && i < n; i++) json_array_append(some, json_array_get(messages, i));
    return some;
}

/* The text up to message n, which must be how `whole` begins; its length in *length. */
static bool render_prefix(const struct tokenizer *tok, const struct chat_template *t, const json_t *messages, size_t n,
                          bool prompt, const struct chat_options *o, const struct buffer *whole, size_t *length,
                          struct talc_error *err) {
    json_t *some = first_messages(messages, n);
    struct buffer text = {0};
    bool ok =
        some ? render(tok, t, some, o, prompt, &text, NULL, err) : talc_fail(err, "out of memory for a conversation");
    if (ok && (text.length > whole->length || memcmp(text.data ? text.data : "", whole->data, text.length) != 0))
        ok = talc_fail(
            err, "the template renders message %zu differently once more follow: mark answers with {%% generation %%}",
            n);
    *length = text.length;
    buffer_free(&text);
    json_decref(some);
    return ok;
}

static bool mark_answers(const struct tokenizer *tok, const struct chat_template *t, const json_t *messages,
                         const struct chat_options *o, const struct buffer *whole, char *marks,
                         struct talc_error *err) {
    size_t i, begin, end;
    json_t *message;
    json_array_foreach(messages, i, message) {
        const char *role = json_string_value(json_object_get(message, "role"));
        if (!role || strcmp(role, "assistant") != 0) continue;
        if (!render_prefix(tok, t, messages, i, true, o, whole, &begin, err) ||
            !render_prefix(tok, t, messages, i + 1, false, o, whole, &end, err))
            return false;
        if (begin < end) memset(marks + begin, 1, end - begin);
    }
    return true;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

struct encoder {
    const struct tokenizer *tok;
    int32_t *special; /* ids of special tokens */
    size_t n_special;
    struct buffer plain; /* text that is not yet encoded */
    struct buffer marks; /* its bytes' marks, where learning is asked for */
    struct token_list *ids;
    struct buffer *learn;
    struct talc_error *err;
};

static bool list_special(struct encoder *e) {
    size_t n = tokenizer_added_count(e->tok);
    e->special = calloc(n + 1, sizeof *e->special);
    for (size_t i = 0; e->special && i < n; i++) {
        int32_t id = tokenizer_added_id(e->tok, i);
        if (tokenizer_is_special(e->tok, id)) e->special[e->n_special++] = id;
    }
    return e->special != NULL;
}

/* The longest special token that text begins with, or -1. */
static int32_t special_at(const struct encoder *e, const char *text, size_t n, size_t *length) {
    int32_t best = -1;
    *length = 0;
    for (size_t i = 0; i < e->n_special; i++) {
        size_t size;
        const char *bytes = tokenizer_token_bytes(e->tok, e->special[i], &size);
        if (size > *length && size <= n && memcmp(bytes, text, size) == 0) {
            best = e->special[i];
            *length = size;
        }
    }
    return best;
}

/* A token is learnt when its first byte is. */
static bool flush(struct encoder *e) {
    size_t first = e->ids->count, at = 0;
    if (e->plain.length == 0) return true;
    if (!tokenizer_encode(e->tok, e->plain.data, e->plain.length, false, e->ids, e->err)) return false;
    for (size_t i = first; e->learn && i < e->ids->count; i++) {
        size_t size;
        tokenizer_token_bytes(e->tok, e->ids->ids[i], &size);
        buffer_append_char(e->learn, e->marks.data[at < e->marks.length ? at : e->marks.length - 1]);
        at += size;
    }
    buffer_clear(&e->plain);
    buffer_clear(&e->marks);
    return true;
}

static bool add_special(struct encoder *e, int32_t id, char mark) {
    if (!flush(e)) return false;
    if (!token_list_append(e->ids, id)) return talc_fail(e->err, "out of memory for a conversation");
    if (e->learn) buffer_append_char(e->learn, mark);
    return true;
}

/* Special tokens of the template's own text cut the rest; the rest is encoded in one piece from one to the next, so
 * that its tokens do not depend on who wrote which part. */
static bool encode_spans(struct encoder *e, const struct buffer *text, const struct template_spans *spans,
                         const char *marks) {
    for (size_t s = 0; s < spans->n_items; s++) {
        bool data = spans->items[s].origin & TEMPLATE_FROM_DATA;
        size_t end = spans->items[s].end, length;
        for (size_t i = spans->items[s].begin; i < end;) {
            int32_t id = data ? -1 : special_at(e, text->data + i, end - i, &length);
            if (id >= 0) {
                if (!add_special(e, id, marks ? marks[i] : 0)) return false;
                i += length;
                continue;
            }
            buffer_append_char(&e->plain, text->data[i]);
            if (marks) buffer_append_char(&e->marks, marks[i]);
            i++;
        }
    }
    return flush(e);
}

/* What follows the last special token of an answer (the line end of ChatML) is not said by anyone. */
static void drop_tails(const struct tokenizer *tok, const struct token_list *ids, size_t first, char *learn) {
    for (size_t i = first; i < ids->count;) {
        size_t end = i, last = 0;
        while (end < ids->count && learn[end - first]) {
            if (tokenizer_is_special(tok, ids->ids[end])) last = end + 1;
            end++;
        }
        for (size_t k = last; last && k < end; k++) learn[k - first] = 0;
        i = end + 1;
    }
}

bool chat_encode(const struct tokenizer *tok, const struct chat_template *t, const json_t *messages,
                 const struct chat_options *options, struct token_list *ids, struct buffer *learn,
                 struct talc_error *err) {
    struct buffer text = {0};
    struct template_spans spans = {0};
    struct encoder e = {.tok = tok, .ids = ids, .learn = learn, .err = err};
    size_t first = ids->count, first_mark = learn ? learn->length : 0;
    char *marks = NULL;
    bool ok = render(tok, t, messages, options, options->add_generation_prompt, &text, &spans, err);
    if (ok && (!list_special(&e) || (learn && !(marks = calloc(text.length + 1, 1)))))
        ok = talc_fail(err, "out of memory for a conversation");
    if (ok && learn && chat_template_has_generation(t))
        mark_generation(&spans, marks);
    else if (ok && learn)
        ok = mark_answers(tok, t, messages, options, &text, marks, err);
    ok = ok && encode_spans(&e, &text, &spans, marks);
    if (ok && learn) drop_tails(tok, ids, first, learn->data + first_mark);
    if (ok && (!buffer_ok(&e.plain) || !buffer_ok(&e.marks) || (learn && !buffer_ok(learn))))
        ok = talc_fail(err, "out of memory for a conversation");
    if (!ok) ids->count = first;
    template_spans_free(&spans);
    buffer_free(&text);
    buffer_free(&e.plain);
    buffer_free(&e.marks);
    free(e.special);
    free(marks);
    return ok;
}
