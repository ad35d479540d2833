/* template_methods.c - what values offer by name: items of objects, methods of strings and lists, `loop`; and the
 * functions that every template can call. */
#include <string.h>
#include <time.h>

#include "text/template_eval.h"

#define METHOD(name)                                                                                                   \
    static struct jinja_value name(struct jinja_run *run, struct jinja_value self, const struct jinja_arguments *a)

/* ---- strings --------------------------------------------------------------------------------- */

METHOD(string_strip) { return jinja_strip(run, self.string, jinja_text_argument(run, a, 0, NULL), JINJA_BOTH); }
METHOD(string_lstrip) { return jinja_strip(run, self.string, jinja_text_argument(run, a, 0, NULL), JINJA_LEFT); }
METHOD(string_rstrip) { return jinja_strip(run, self.string, jinja_text_argument(run, a, 0, NULL), JINJA_RIGHT); }
METHOD(string_upper) {
    (void)a;
    return jinja_change_case(run, self.string, JINJA_UPPER);
}
METHOD(string_lower) {
    (void)a;
    return jinja_change_case(run, self.string, JINJA_LOWER);
}
METHOD(string_capitalize) {
    (void)a;
    return jinja_change_case(run, self.string, JINJA_CAPITALIZE);
}
METHOD(string_title) {
    (void)a;
    return jinja_change_case(run, self.string, JINJA_TITLE);
}

static struct jinja_value split(struct jinja_run *run, struct jinja_value self, const struct jinja_arguments *a,
                                bool right) {
    const struct jinja_string *separator = jinja_text_argument(run, a, 0, "sep");
    return jinja_split(run, self.string, separator, jinja_as_int(run, jinja_argument(a, 1, "maxsplit", jinja_int(-1))),
                       right);
}
METHOD(string_split) { return split(run, self, a, false); }
METHOD(string_rsplit) { return split(run, self, a, true); }
METHOD(string_splitlines) {
    bool keep_ends = jinja_truthy(jinja_argument(a, 0, "keepends", jinja_bool(false)));
    return jinja_from_list(jinja_split_lines(run, self.string, keep_ends));
}

METHOD(string_replace) {
    const struct jinja_string *old_text = jinja_text_argument(run, a, 0, NULL),
                              *new_text = jinja_text_argument(run, a, 1, NULL);
    if (!old_text || !new_text) return jinja_fail(run, "replace wants two strings");
    return jinja_replace(run, self.string, old_text, new_text,
                         jinja_as_int(run, jinja_argument(a, 2, "count", jinja_int(-1))));
}

METHOD(string_join) {
    struct jinja_list *items = jinja_iterate(run, jinja_argument(a, 0, NULL, jinja_none()));
    for (size_t i = 0; items && i < items->n_items; i++)
        if (items->items[i].kind != JINJA_STRING)
            return jinja_fail(run, "join wants strings, not a %s", jinja_type_name(items->items[i]));
    return items ? jinja_join(run, self.string, items) : jinja_undefined(NULL);
}

/* startswith and endswith take a string or a tuple of them. */
static bool has_end(const struct jinja_string *s, struct jinja_value part, bool at_end) {
    if (part.kind != JINJA_STRING || part.string->n_bytes > s->n_bytes) return false;
    return jinja_starts_with(s, part.string, at_end ? s->n_bytes - part.string->n_bytes : 0);
}
static struct jinja_value end_test(struct jinja_run *run, struct jinja_value self, const struct jinja_arguments *a,
                                   bool at_end) {
    struct jinja_value what = jinja_argument(a, 0, NULL, jinja_none());
    if (what.kind == JINJA_STRING) return jinja_bool(has_end(self.string, what, at_end));
    if (what.kind != JINJA_LIST) return jinja_fail(run, "a string is wanted, not a %s", jinja_type_name(what));
    for (size_t i = 0; i < what.list->n_items; i++)
        if (has_end(self.string, what.list->items[i], at_end)) return jinja_bool(true);
    return jinja_bool(false);
}
METHOD(string_startswith) { return end_test(run, self, a, false); }
METHOD(string_endswith) { return end_test(run, self, a, true); }

static int64_t found_at(struct jinja_run *run, struct jinja_value self, const struct jinja_arguments *a, bool last) {
    const struct jinja_string *part = jinja_text_argument(run, a, 0, NULL);
    if (!part) {
        jinja_fail(run, "find wants a string");
        return -1;
    }
    int64_t byte = jinja_find(run, self.string, part, 0, last);
    return byte < 0 ? -1 : jinja_char_index(self.string, (size_t)byte);
}
METHOD(string_find) { return jinja_int(found_at(run, self, a, false)); }
METHOD(string_rfind) { return jinja_int(found_at(run, self, a, true)); }
METHOD(string_index) {
    int64_t at = found_at(run, self, a, false);
    return at < 0 && !run->failed ? jinja_fail(run, "substring not found") : jinja_int(at);
}
METHOD(string_count) {
    const struct jinja_string *part = jinja_text_argument(run, a, 0, NULL);
    int64_t n = 0, at = 0;
    if (!part) return jinja_fail(run, "count wants a string");
    if (part->n_bytes == 0) return jinja_int(jinja_length(run, self) + 1);
    while ((at = jinja_find(run, self.string, part, (size_t)at, false)) >= 0) {
        at += (int64_t)part->n_bytes;
        n++;
    }
    return jinja_int(n);
}

/* ---- objects and lists ----------------------------------------------------------------------- */

METHOD(dict_get) {
    struct jinja_value *found = jinja_dict_find(run, self.dict, jinja_argument(a, 0, NULL, jinja_none()));
    return found ? *found : jinja_argument(a, 1, "default", jinja_none());
}

/* JINJA_KEYS, JINJA_VALUES or JINJA_ITEMS. */
static struct jinja_value view(struct jinja_run *run, const struct jinja_dict *dict, enum jinja_list_kind kind) {
    struct jinja_list *l = jinja_new_list(run, kind, dict->n_entries);
    for (size_t i = 0; l && i < dict->n_entries; i++) {
        const struct jinja_entry *e = &dict->entries[i];
        l->items[i] = kind == JINJA_KEYS ? e->key : kind == JINJA_VALUES ? e->value : jinja_pair(run, e->key, e->value);
    }
    return jinja_from_list(l);
}
METHOD(dict_keys) {
    (void)a;
    return view(run, self.dict, JINJA_KEYS);
}
METHOD(dict_values) {
    (void)a;
    return view(run, self.dict, JINJA_VALUES);
}
METHOD(dict_items) {
    (void)a;
    return view(run, self.dict, JINJA_ITEMS);
}

METHOD(list_index) {
    struct jinja_value what = jinja_argument(a, 0, NULL, jinja_none());
    for (size_t i = 0; i < self.list->n_items && !run->failed; i++)
        if (jinja_equal(run, self.list->items[i], what)) return jinja_int((int64_t)i);
    return jinja_fail(run, "the list does not hold it");
}
METHOD(list_count) {
    struct jinja_value what = jinja_argument(a, 0, NULL, jinja_none());
    int64_t n = 0;
    for (size_t i = 0; i < self.list->n_items && !run->failed; i++) n += jinja_equal(run, self.list->items[i], what);
    return jinja_int(n);
}

METHOD(loop_cycle) {
    if (a->n_positional == 0) return jinja_fail(run, "cycle wants values");
    return a->positional[self.loop->index % a->n_positional];
}

static const struct jinja_builtin string_methods[] =
    {
        {"capitalize", string_capitalize},
        {"count", string_count},
        {"endswith", string_endswith},
        {"find", string_find},
        {"index", string_index},
        {"join", string_join},
        {"lower", string_lower},
        {"lstrip", string_lstrip},
        {"replace", string_replace},
        {"rfind", string_rfind},
        {"rsplit", string_rsplit},
        {"rstrip", string_rstrip},
        {"split", string_split},
        {"splitlines", string_splitlines},
        {"startswith", string_startswith},
        {"strip", string_strip},
        {"title", string_title},
        {"upper", string_upper},
        {NULL, NULL},
},
                                  dict_methods[] = {{"get", dict_get},
                                                    {"items", dict_items},
                                                    {"keys", dict_keys},
                                                    {"values", dict_values},
                                                    {NULL, NULL}},
                                  list_methods[] = {{"count", list_count}, {"index", list_index}, {NULL, NULL}},
                                  loop_methods[] = {{"cycle", loop_cycle}, {NULL, NULL}};

/* ---- attributes and items -------------------------------------------------------------------- */

static struct jinja_value loop_attribute(const struct jinja_loop *loop, const struct jinja_string *name) {
    int64_t i = (int64_t)loop->index, n = (int64_t)loop->items->n_items;
    const struct {
        const char *name;
        struct jinja_value value;
    } all[] = {
        {"index", jinja_int(i + 1)},
        {"index0", jinja_int(i)},
        {"revindex", jinja_int(n - i)},
        {"revindex0", jinja_int(n - i - 1)},
        {"first", jinja_bool(i == 0)},
        {"last", jinja_bool(i == n - 1)},
        {"length", jinja_int(n)},
        {"depth", jinja_int(1)},
        {"depth0", jinja_int(0)},
        {"previtem", i > 0 ? loop->items->items[i - 1] : jinja_undefined("loop.previtem")},
        {"nextitem", i + 1 < n ? loop->items->items[i + 1] : jinja_undefined("loop.nextitem")},
    };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (jinja_string_equals(name, all[k].name)) return all[k].value;
    return (struct jinja_value){.kind = JINJA_MISSING};
}

static struct jinja_value method_of(struct jinja_run *run, struct jinja_value of, const struct jinja_builtin *table,
                                    const struct jinja_string *name) {
    for (; table->name; table++)
        if (jinja_string_equals(name, table->name)) {
            struct jinja_method *method = jinja_take(run, 1, sizeof *method);
            if (!method) return jinja_undefined(NULL);
            *method = (struct jinja_method){of, table};
            return (struct jinja_value){.kind = JINJA_METHOD, .method = method};
        }
    return (struct jinja_value){.kind = JINJA_MISSING};
}

/* A name that lives as long as the run, for messages. */
static struct jinja_value undefined_name(struct jinja_run *run, const struct jinja_string *name) {
    char *text = jinja_take(run, name->n_bytes + 1, 1);
    if (!text) return jinja_undefined(NULL);
    memcpy(text, name->bytes, name->n_bytes);
    text[name->n_bytes] = 0;
    return jinja_undefined(text);
}

static struct jinja_value own_attribute(struct jinja_run *run, struct jinja_value of, const struct jinja_string *name) {
    struct jinja_value v = {.kind = JINJA_MISSING};
    switch (of.kind) {
    case JINJA_STRING: return method_of(run, of, string_methods, name);
    case JINJA_DICT: return method_of(run, of, dict_methods, name);
    case JINJA_LIST: return method_of(run, of, list_methods, name);
    case JINJA_LOOP:
        v = loop_attribute(of.loop, name);
        return v.kind != JINJA_MISSING ? v : method_of(run, of, loop_methods, name);
    default: return v;
    }
}

static struct jinja_value dict_item(struct jinja_run *run, struct jinja_value of, struct jinja_value key) {
    struct jinja_value *found =
        of.kind == JINJA_DICT || of.kind == JINJA_NAMESPACE ? jinja_dict_find(run, of.dict, key) : NULL;
    return found ? *found : (struct jinja_value){.kind = JINJA_MISSING};
}

static struct jinja_value fail_undefined(struct jinja_run *run, struct jinja_value of) {
    return jinja_fail(run, "'%.60s' is undefined", of.missing_name ? of.missing_name : "a value");
}

/* As jinja2: an attribute (methods, loop) first, then an item. */
struct jinja_value jinja_attribute(struct jinja_run *run, struct jinja_value of, const struct jinja_string *name) {
    if (run->failed) return jinja_undefined(NULL);
    if (of.kind == JINJA_UNDEFINED) return fail_undefined(run, of);
    struct jinja_value v = own_attribute(run, of, name);
    if (v.kind == JINJA_MISSING) v = dict_item(run, of, jinja_from_string(name));
    return v.kind != JINJA_MISSING ? v : undefined_name(run, name);
}

static struct jinja_value index_item(struct jinja_run *run, struct jinja_value of, struct jinja_value key) {
    int64_t i = jinja_as_int(run, key), n = jinja_length(run, of);
    if (i < 0) i += n;
    if (run->failed || i < 0 || i >= n) return jinja_undefined(NULL);
    if (of.kind == JINJA_LIST) return of.list->items[i];
    size_t begin = jinja_byte_index(of.string, i), end = jinja_byte_index(of.string, i + 1);
    return jinja_substring(run, of.string, begin, end);
}

/* An item first, then an attribute. */
struct jinja_value jinja_item(struct jinja_run *run, struct jinja_value of, struct jinja_value key) {
    if (run->failed) return jinja_undefined(NULL);
    if (of.kind == JINJA_UNDEFINED) return fail_undefined(run, of);
    struct jinja_value v = dict_item(run, of, key);
    if (v.kind != JINJA_MISSING) return v;
    bool indexed = of.kind == JINJA_LIST || of.kind == JINJA_STRING;
    if (indexed && (key.kind == JINJA_INT || key.kind == JINJA_BOOL)) return index_item(run, of, key);
    if (key.kind != JINJA_STRING) return jinja_undefined(NULL);
    v = own_attribute(run, of, key.string);
    return v.kind != JINJA_MISSING ? v : undefined_name(run, key.string);
}

/* ---- functions ------------------------------------------------------------------------------- */

METHOD(function_range) {
    (void)self;
    int64_t start = 0, stop, step = 1, n = 0;
    if (a->n_positional == 0 || a->n_positional > 3) return jinja_fail(run, "range wants one to three numbers");
    stop = jinja_as_int(run, a->positional[a->n_positional > 1]);
    if (a->n_positional > 1) start = jinja_as_int(run, a->positional[0]);
    if (a->n_positional > 2) step = jinja_as_int(run, a->positional[2]);
    if (run->failed) return jinja_undefined(NULL);
    if (step == 0) return jinja_fail(run, "range cannot step by 0");
    __int128 span = step > 0 ? (__int128)stop - start : (__int128)start - stop,
             size = step > 0 ? step : -(__int128)step;
    if (span > 0) {
        __int128 count = (span + size - 1) / size;
        if (count > TEMPLATE_MAX_RANGE) return jinja_fail(run, "range of more than %d numbers", TEMPLATE_MAX_RANGE);
        n = (int64_t)count;
    }
    struct jinja_list *l = jinja_new_list(run, JINJA_RANGE, (size_t)n);
    for (int64_t i = 0; l && i < n; i++, start += i < n ? step : 0) l->items[i] = jinja_int(start);
    return jinja_from_list(l);
}

static struct jinja_value new_dict(struct jinja_run *run, const struct jinja_arguments *a, enum jinja_kind kind) {
    struct jinja_dict *dict = jinja_new_dict(run);
    if (!dict) return jinja_undefined(NULL);
    struct jinja_value from = jinja_argument(a, 0, NULL, jinja_none());
    for (size_t i = 0; from.kind == JINJA_DICT && i < from.dict->n_entries; i++)
        jinja_dict_set(run, dict, from.dict->entries[i].key, from.dict->entries[i].value);
    for (size_t i = 0; i < a->n_keywords; i++) jinja_dict_set(run, dict, a->keywords[i].key, a->keywords[i].value);
    return (struct jinja_value){.kind = kind, .dict = dict};
}
METHOD(function_dict) {
    (void)self;
    return new_dict(run, a, JINJA_DICT);
}
METHOD(function_namespace) {
    (void)self;
    return new_dict(run, a, JINJA_NAMESPACE);
}

METHOD(function_raise) {
    (void)self;
    struct jinja_value text = jinja_to_string(run, jinja_argument(a, 0, "message", jinja_none()));
    if (text.kind != JINJA_STRING) return jinja_undefined(NULL);
    return jinja_fail(run, "the template refuses: %.*s", (int)(text.string->n_bytes < 300 ? text.string->n_bytes : 300),
                      text.string->bytes);
}

METHOD(function_strftime) {
    (void)self;
    char format[128], text[512];
    struct tm local;
    const struct jinja_string *f = jinja_text_argument(run, a, 0, "format");
    time_t now = run->now ? (time_t)run->now : time(NULL);
    if (!f || f->n_bytes >= sizeof format) return jinja_fail(run, "strftime_now wants a short format");
    memcpy(format, f->bytes, f->n_bytes);
    format[f->n_bytes] = 0;
    if (!localtime_r(&now, &local)) return jinja_fail(run, "the time cannot be told");
    size_t n = strftime(text, sizeof text, format, &local);
    return jinja_new_string(run, text, n, 0);
}

static const struct jinja_builtin functions[] = {
    {"dict", function_dict},   {"namespace", function_namespace},   {"raise_exception", function_raise},
    {"range", function_range}, {"strftime_now", function_strftime}, {NULL, NULL},
};

const struct jinja_builtin *jinja_find_function(const char *name) {
    for (const struct jinja_builtin *f = functions; f->name; f++)
        if (strcmp(f->name, name) == 0) return f;
    return NULL;
}
