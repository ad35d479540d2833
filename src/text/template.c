/* template.c - parsing and rendering from the outside; see template.h. */
#include "text/template.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/template_eval.h"

struct chat_template *chat_template_parse(const char *source, size_t n_bytes, struct talc_error *err) {
    if (n_bytes > TEMPLATE_MAX_SOURCE) {
        talc_fail(err, "the template has %zu bytes; %zu is the most", n_bytes, TEMPLATE_MAX_SOURCE);
        return NULL;
    }
    if (utf8_valid_prefix(source, n_bytes) != n_bytes) {
        talc_fail(err, "the template is not valid UTF-8");
        return NULL;
    }
    struct chat_template *t = calloc(1, sizeof *t);
    if (!t) {
        talc_fail(err, "out of memory for a template");
        return NULL;
    }
    struct jinja_run run = {.err = err, .line = 1, .steps = TEMPLATE_MAX_STEPS, .template = t};
    bool ok = jinja_parse(&run, source, n_bytes, t);
    t->heap = run.heap;
    if (ok) return t;
    chat_template_free(t);
    return NULL;
}

void chat_template_free(struct chat_template *t) {
    if (!t) return;
    jinja_heap_free(&t->heap);
    free(t);
}

bool chat_template_has_generation(const struct chat_template *t) { return t->has_generation; }

void template_spans_free(struct template_spans *spans) {
    free(spans->items);
    *spans = (struct template_spans){0};
}

static void define_all(struct jinja_run *run, const json_t *object, uint8_t origin) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        int name = jinja_name_number(&run->template->names, key, strlen(key));
        if (name >= 0) jinja_scope_set(run, run->scope, name, jinja_from_json(run, value, origin));
    }
}

/* A role that everybody knows is no text of a user: templates write it where only they should write. */
static bool is_known_role(const struct jinja_string *s) {
    static const char *const roles[] = {"system", "developer", "user",    "assistant",
                                        "tool",   "function",  "ipython", "model"};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (jinja_string_equals(s, roles[i])) return true;
    return false;
}

static void trust_known_roles(struct jinja_run *run) {
    int name = jinja_name_number(&run->template->names, "messages", 8);
    struct jinja_value role = jinja_new_string(run, "role", 4, 0);
    const struct jinja_list *messages = NULL;
    for (size_t i = 0; i < run->scope->n_variables; i++)
        if (run->scope->variables[i].name == name && run->scope->variables[i].value.kind == JINJA_LIST)
            messages = run->scope->variables[i].value.list;
    for (size_t i = 0; messages && i < messages->n_items && role.kind == JINJA_STRING; i++) {
        struct jinja_value *found =
            messages->items[i].kind == JINJA_DICT ? jinja_dict_find(run, messages->items[i].dict, role) : NULL;
        if (found && found->kind == JINJA_STRING && is_known_role(found->string))
            *found = jinja_new_string(run, found->string->bytes, found->string->n_bytes, 0);
    }
}

static bool add_span(struct template_spans *spans, size_t *capacity, size_t begin, size_t end, unsigned origin) {
    struct template_span *last = spans->n_items ? &spans->items[spans->n_items - 1] : NULL;
    if (last && last->origin == origin) {
        last->end = end;
        return true;
    }
    if (spans->n_items == *capacity) {
        size_t more = *capacity ? 2 * *capacity : 16;
        struct template_span *items = realloc(spans->items, more * sizeof *items);
        if (!items) return false;
        spans->items = items;
        *capacity = more;
    }
    spans->items[spans->n_items++] = (struct template_span){begin, end, origin};
    return true;
}

static bool make_spans(const struct jinja_string *text, struct template_spans *spans) {
    size_t capacity = 0;
    for (size_t i = 0; i < text->n_bytes; i++)
        if (!add_span(spans, &capacity, i, i + 1, text->origins ? text->origins[i] : text->origin)) return false;
    return true;
}

static bool deliver(struct jinja_run *run, struct buffer *out, struct template_spans *spans) {
    struct jinja_value text = jinja_writer_string(run->output);
    if (run->failed || text.kind != JINJA_STRING) return false;
    if (!buffer_reserve(out, text.string->n_bytes + 1) || (spans && !make_spans(text.string, spans)))
        return talc_fail(run->err, "out of memory for the text of a template");
    buffer_append(out, text.string->bytes, text.string->n_bytes);
    return true;
}

bool chat_template_render(const struct chat_template *t, const struct template_input *input, struct buffer *out,
                          struct template_spans *spans, struct talc_error *err) {
    struct jinja_scope globals = {0};
    struct jinja_run run = {
        .err = err, .line = 1, .steps = TEMPLATE_MAX_STEPS, .now = input->now, .template = t, .scope = &globals};
    struct jinja_writer output = jinja_writer_make(&run);
    if (spans) *spans = (struct template_spans){0};
    run.output = &output;
    define_all(&run, input->variables, TEMPLATE_FROM_DATA);
    define_all(&run, input->trusted, 0);
    trust_known_roles(&run);
    if (!run.failed) jinja_run_body(&run, &t->body);
    bool ok = !run.failed && deliver(&run, out, spans);
    if (!ok && spans) template_spans_free(spans);
    jinja_heap_free(&run.heap);
    return ok;
}
