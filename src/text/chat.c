/* chat.c - see chat.h. */
#include "text/chat.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

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

/* A token that is no text cannot be written by a template. False: out of memory. */
static bool set_token(json_t *trusted, const char *key, const struct tokenizer *tok, int32_t id) {
    size_t n;
    const char *bytes = id >= 0 ? tokenizer_token_bytes(tok, id, &n) : NULL;
    return !bytes || utf8_valid_prefix(bytes, n) < n || json_object_set_new(trusted, key, json_stringn(bytes, n)) == 0;
}

static bool set_variables(json_t *variables, const json_t *messages, const struct chat_options *o, bool prompt) {
    return json_object_set(variables, "messages", (json_t *)(uintptr_t)messages) == 0 &&
           (!o->tools || json_object_set(variables, "tools", (json_t *)(uintptr_t)o->tools) == 0) &&
           json_object_set_new(variables, "add_generation_prompt", json_boolean(prompt)) == 0;
}

static bool render(const struct tokenizer *tok, const struct chat_template *t, const json_t *messages,
                   const struct chat_options *o, bool prompt, struct buffer *out, struct template_spans *spans,
                   struct talc_error *err) {
    json_t *variables = o->variables ? json_copy((json_t *)(uintptr_t)o->variables) : json_object(),
           *trusted = json_object();
    bool ok = variables && trusted && set_variables(variables, messages, o, prompt) &&
              set_token(trusted, "bos_token", tok, tokenizer_bos_id(tok)) &&
              set_token(trusted, "eos_token", tok, tokenizer_eos_id(tok)) &&
              set_token(trusted, "pad_token", tok, tokenizer_pad_id(tok));
    if (ok) {
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

/* NULL: out of memory. */
static json_t *first_messages(const json_t *messages, size_t n) {
    json_t *some = json_array();
    bool ok = some != NULL;
    for (size_t i = 0; ok && i < n; i++) ok = json_array_append(some, json_array_get(messages, i)) == 0;
    if (ok) return some;
    json_decref(some);
    return NULL;
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

/* The parts that are the template's own; NULL: out of memory. */
static struct text_part *own_parts(const struct template_spans *spans, size_t *n) {
    struct text_part *parts = calloc(spans->n_items + 1, sizeof *parts);
    *n = 0;
    for (size_t i = 0; parts && i < spans->n_items; i++) {
        const struct template_span *span = &spans->items[i];
        if (span->origin & TEMPLATE_FROM_DATA) continue;
        if (*n && parts[*n - 1].end == span->begin)
            parts[*n - 1].end = span->end;
        else
            parts[(*n)++] = (struct text_part){span->begin, span->end};
    }
    return parts;
}

/* What follows the last special token of an answer (the line end of ChatML) is not said by anyone. */
static void drop_tails(const struct tokenizer *tok, const struct token_list *ids, size_t first, char *learn) {
    for (size_t i = first; i < ids->count;) {
        size_t end = i, last = 0;
        while (end < ids->count && learn[end - first]) {
            int32_t id = ids->ids[end];
            if (tokenizer_is_special(tok, id) && id != tokenizer_unknown_id(tok)) last = end + 1;
            end++;
        }
        for (size_t k = last; last && k < end; k++) learn[k - first] = 0;
        i = end + 1;
    }
}

/* marks[i] for byte i of the text: 1 when it is to be learnt. NULL: it failed. */
static char *make_marks(const struct tokenizer *tok, const struct chat_template *t, const json_t *messages,
                        const struct chat_options *o, const struct buffer *text, const struct template_spans *spans,
                        struct talc_error *err) {
    char *marks = calloc(text->length + 1, 1);
    if (!marks) {
        talc_fail(err, "out of memory for a conversation");
    } else if (chat_template_has_generation(t)) {
        mark_generation(spans, marks);
    } else if (!mark_answers(tok, t, messages, o, text, marks, err)) {
        free(marks);
        return NULL;
    }
    return marks;
}

bool chat_encode(const struct tokenizer *tok, const struct chat_template *t, const json_t *messages,
                 const struct chat_options *options, struct token_list *ids, struct buffer *learn,
                 struct talc_error *err) {
    struct buffer text = {0};
    struct template_spans spans = {0};
    size_t first = ids->count, first_mark = learn ? learn->length : 0, n_own;
    if (!render(tok, t, messages, options, options->add_generation_prompt, &text, &spans, err)) {
        buffer_free(&text);
        return false;
    }
    struct text_part *own = own_parts(&spans, &n_own);
    char *marks = learn && own ? make_marks(tok, t, messages, options, &text, &spans, err) : NULL;
    bool ok = own ? !learn || marks : talc_fail(err, "out of memory for a conversation");
    struct marked_text marked = {
        .bytes = text.data, .n_bytes = text.length, .own = own, .n_own = n_own, .marks = marks};
    ok = ok && tokenizer_encode_marked(tok, &marked, ids, learn, err);
    if (ok && learn && ids->count > first) drop_tails(tok, ids, first, learn->data + first_mark);
    template_spans_free(&spans);
    buffer_free(&text);
    free(own);
    free(marks);
    return ok;
}
