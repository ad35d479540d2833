/* fuzz_template.c - a libFuzzer target: a chat template, then a NUL, then messages as JSON (none: a short chat). What
 * is refused says why in one line; what renders has spans over every byte, and tokens of which the template's own text
 * alone has special ones. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "file/json.h"
#include "text/chat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char short_chat[] =
    "[{\"role\":\"system\",\"content\":\"\"},{\"role\":\"user\",\"content\":\"a <s> <x> e\xcc\x81\"},"
    "{\"role\":\"assistant\",\"content\":\" b\\n\",\"n\":[1,-0.5,null,{\"k\":true}]}]";

static struct tokenizer *load(const char *path) {
    struct tokenizer *tok = tokenizer_load(path, NULL);
    if (!tok) abort();
    return tok;
}

/* A failure says what it is. */
static void check_message(const struct talc_error *err) {
    if (!err->message[0] || strchr(err->message, '\n')) abort();
}

static bool check_spans(const struct template_spans *spans, size_t n_bytes) {
    size_t at = 0;
    bool own = true;
    for (size_t i = 0; i < spans->n_items; i++) {
        if (spans->items[i].begin != at || spans->items[i].end <= at) abort();
        at = spans->items[i].end;
        own = own && !(spans->items[i].origin & TEMPLATE_FROM_DATA);
    }
    if (at != n_bytes) abort();
    return own;
}

static bool same_ids(const struct token_list *a, const struct token_list *b) {
    return a->count == b->count && (!a->count || memcmp(a->ids, b->ids, a->count * sizeof *a->ids) == 0);
}

static void check_chat(const struct tokenizer *tok, const struct chat_template *t, const json_t *messages) {
    struct talc_error err = {0};
    struct token_list ids = {0}, marked = {0};
    struct buffer learn = {0};
    struct chat_options o = {0};
    if (!chat_encode(tok, t, messages, &o, &ids, NULL, &err)) check_message(&err);
    err.message[0] = 0;
    if (chat_encode(tok, t, messages, &o, &marked, &learn, &err)) {
        if (!same_ids(&ids, &marked) || learn.length != ids.count) abort();
    } else {
        check_message(&err);
        if (marked.count || learn.length) abort();
    }
    buffer_free(&learn);
    token_list_free(&ids);
    token_list_free(&marked);
}

/* Text that is all the template's has the ids of a text with special tokens; text of others has those of one without.
 */
static void check_tokens(const struct tokenizer *tok, const struct buffer *text, bool own) {
    struct token_list ids = {0}, whole = {0};
    struct text_part all = {0, text->length};
    struct marked_text marked = {.bytes = text->data, .n_bytes = text->length, .own = &all, .n_own = own};
    if (tokenizer_encode(tok, text->data, text->length, own, &whole, NULL) !=
        tokenizer_encode_marked(tok, &marked, &ids, NULL, NULL))
        abort();
    if (!same_ids(&ids, &whole)) abort();
    token_list_free(&ids);
    token_list_free(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct tokenizer *toks[3];
    if (!toks[0]) toks[0] = load("tests/golden/tokenizer/qwen2.json");
    if (!toks[1]) toks[1] = load("tests/fuzz/corpus/tokenizer_file/spaces.json");
    if (!toks[2]) toks[2] = load("tests/fuzz/corpus/tokenizer_file/wordpiece.json");
    struct talc_error err = {0};
    const uint8_t *end = n ? memchr(data, 0, n) : NULL;
    size_t n_source = end ? (size_t)(end - data) : n;
    struct chat_template *t = chat_template_parse((const char *)data, n_source, &err);
    if (!t) {
        check_message(&err);
        return 0;
    }
    const char *json = end ? (const char *)end + 1 : short_chat;
    json_t *messages = json_parse(json, end ? n - n_source - 1 : sizeof short_chat - 1, "fuzz", NULL);
    json_t *variables = messages ? json_pack("{s:O,s:b}", "messages", messages, "add_generation_prompt", 1) : NULL;
    struct template_input input = {.variables = variables, .now = 1};
    struct template_spans spans = {0};
    struct buffer text = {0};
    if (variables && chat_template_render(t, &input, &text, &spans, &err)) {
        bool own = check_spans(&spans, text.length);
        for (int i = 0; i < 3; i++) {
            check_tokens(toks[i], &text, own);
            check_chat(toks[i], t, messages);
        }
    } else if (variables) {
        check_message(&err);
    }
    template_spans_free(&spans);
    buffer_free(&text);
    json_decref(variables);
    json_decref(messages);
    chat_template_free(t);
    return 0;
}
