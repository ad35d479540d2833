/* template_builtins.c - the filters and tests of Jinja2 that chat templates use. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/template_eval.h"

#define FILTER(name)                                                                                                   \
    static struct jinja_value name(struct jinja_run *run, struct jinja_value self, const struct jinja_arguments *a)
#define UNUSED_ARGUMENTS (void)run, (void)a

/* ---- arguments ------------------------------------------------------------------------------- */

struct jinja_value jinja_argument(const struct jinja_arguments *a, size_t i, const char *name,
                                  struct jinja_value otherwise) {
    if (i < a->n_positional) return a->positional[i];
    return name ? jinja_keyword(a, name, otherwise) : otherwise;
}

struct jinja_value jinja_keyword(const struct jinja_arguments *a, const char *name, struct jinja_value otherwise) {
    for (size_t k = 0; k < a->n_keywords; k++)
        if (jinja_string_equals(a->keywords[k].key.string, name)) return a->keywords[k].value;
    return otherwise;
}

const struct jinja_string *jinja_text_argument(struct jinja_run *run, const struct jinja_arguments *a, size_t i,
                                               const char *name) {
    struct jinja_value v = jinja_argument(a, i, name, jinja_none());
    if (v.kind == JINJA_NONE) return NULL;
    if (v.kind != JINJA_STRING) {
        jinja_fail(run, "'%s' must be a string, not a %s", name ? name : "the argument", jinja_type_name(v));
        return NULL;
    }
    return v.string;
}

static const struct jinja_string *self_text(struct jinja_run *run, struct jinja_value self) {
    struct jinja_value text = self.kind == JINJA_STRING ? self : jinja_to_string(run, self);
    return text.kind == JINJA_STRING ? text.string : NULL;
}

static const struct jinja_string no_text = {.bytes = ""}, one_space = {.bytes = " ", .n_bytes = 1};

/* ---- filters on text ------------------------------------------------------------------------- */

static struct jinja_value change_case(struct jinja_run *run, struct jinja_value self, enum jinja_case how) {
    const struct jinja_string *s = self_text(run, self);
    return s ? jinja_change_case(run, s, how) : jinja_undefined(NULL);
}
FILTER(filter_upper) {
    (void)a;
    return change_case(run, self, JINJA_UPPER);
}
FILTER(filter_lower) {
    (void)a;
    return change_case(run, self, JINJA_LOWER);
}
FILTER(filter_capitalize) {
    (void)a;
    return change_case(run, self, JINJA_CAPITALIZE);
}
FILTER(filter_title) {
    (void)a;
    return change_case(run, self, JINJA_TITLE_WORDS);
}

FILTER(filter_trim) {
    const struct jinja_string *s = self_text(run, self), *chars = jinja_text_argument(run, a, 0, "chars");
    return s ? jinja_strip(run, s, chars, JINJA_BOTH) : jinja_undefined(NULL);
}

FILTER(filter_string) {
    (void)a;
    return jinja_to_string(run, self);
}

FILTER(filter_safe) {
    (void)a;
    const struct jinja_string *s = self_text(run, self);
    struct jinja_string *copy = s ? jinja_take(run, 1, sizeof *copy) : NULL;
    if (!copy) return jinja_undefined(NULL);
    *copy = *s;
    copy->markup = true;
    return jinja_from_string(copy);
}

FILTER(filter_escape) {
    (void)a;
    const struct jinja_string *s = self_text(run, self);
    return s ? jinja_escape(run, s) : jinja_undefined(NULL);
}

FILTER(filter_replace) {
    const struct jinja_string *s = self_text(run, self), *old_text = jinja_text_argument(run, a, 0, "old");
    const struct jinja_string *new_text = jinja_text_argument(run, a, 1, "new");
    struct jinja_value count = jinja_argument(a, 2, "count", jinja_none());
    if (!s || !old_text || !new_text) return jinja_fail(run, "replace wants two strings");
    return jinja_replace(run, s, old_text, new_text, count.kind == JINJA_NONE ? -1 : jinja_as_int(run, count));
}

FILTER(filter_indent) {
    const struct jinja_string *s = self_text(run, self);
    struct jinja_value width = jinja_argument(a, 0, "width", jinja_int(4)),
                       first = jinja_argument(a, 1, "first", jinja_bool(false));
    struct jinja_value blank = jinja_argument(a, 2, "blank", jinja_bool(false));
    struct jinja_value pad =
        width.kind == JINJA_STRING ? width : jinja_repeat(run, &one_space, jinja_as_int(run, width));
    struct jinja_list *lines = s ? jinja_split_lines(run, s, false) : NULL;
    struct jinja_writer w = jinja_writer_make(run);
    /* what follows the last line end is a line too */
    bool ends = s && (s->n_bytes == 0 || s->bytes[s->n_bytes - 1] == '\n');
    if (!lines || pad.kind != JINJA_STRING) return jinja_undefined(NULL);
    for (size_t i = 0; i < lines->n_items + ends && !run->failed; i++) {
        size_t n = i < lines->n_items ? lines->items[i].string->n_bytes : 0;
        if (i) jinja_write_text(&w, "\n");
        if (i ? n || jinja_truthy(blank) : jinja_truthy(first)) jinja_write_string(&w, pad.string);
        if (n) jinja_write_string(&w, lines->items[i].string);
    }
    return jinja_writer_string(&w);
}

/* The order of arguments is that of transformers, not of jinja2. */
FILTER(filter_tojson) {
    struct jinja_value ascii = jinja_argument(a, 0, "ensure_ascii", jinja_bool(false));
    struct jinja_value indent = jinja_argument(a, 1, "indent", jinja_none());
    struct jinja_value separators = jinja_argument(a, 2, "separators", jinja_none());
    struct jinja_value sort = jinja_argument(a, 3, "sort_keys", jinja_bool(false));
    struct jinja_json_style style = {.ensure_ascii = jinja_truthy(ascii), .sort_keys = jinja_truthy(sort)};
    struct jinja_writer w = jinja_writer_make(run);
    if (indent.kind == JINJA_STRING)
        style.indent = indent.string;
    else if (indent.kind != JINJA_NONE)
        style.indent = jinja_repeat(run, &one_space, jinja_as_int(run, indent)).string;
    if (separators.kind == JINJA_LIST && separators.list->n_items == 2 &&
        separators.list->items[0].kind == JINJA_STRING && separators.list->items[1].kind == JINJA_STRING) {
        style.item_end = separators.list->items[0].string;
        style.key_end = separators.list->items[1].string;
    }
    if (run->failed) return jinja_undefined(NULL);
    jinja_write_json(&w, self, &style);
    return jinja_writer_string(&w);
}

/* ---- filters on collections ------------------------------------------------------------------ */

FILTER(filter_length) {
    (void)a;
    return jinja_int(jinja_length(run, self));
}

FILTER(filter_default) {
    UNUSED_ARGUMENTS;
    struct jinja_value otherwise = jinja_argument(a, 0, "default_value", jinja_from_string(&no_text));
    bool falsy_too = jinja_truthy(jinja_argument(a, 1, "boolean", jinja_bool(false)));
    return self.kind == JINJA_UNDEFINED || (falsy_too && !jinja_truthy(self)) ? otherwise : self;
}

FILTER(filter_list) {
    (void)a;
    struct jinja_list *from = jinja_iterate(run, self),
                      *to = from ? jinja_new_list(run, JINJA_PLAIN_LIST, from->n_items) : NULL;
    if (to) memcpy(to->items, from->items, from->n_items * sizeof *to->items);
    return jinja_from_list(to);
}

FILTER(filter_first) {
    (void)a;
    struct jinja_list *l = jinja_iterate(run, self);
    return l && l->n_items ? l->items[0] : jinja_undefined(NULL);
}

FILTER(filter_last) {
    (void)a;
    struct jinja_list *l = jinja_iterate(run, self);
    return l && l->n_items ? l->items[l->n_items - 1] : jinja_undefined(NULL);
}

FILTER(filter_reverse) {
    (void)a;
    if (self.kind == JINJA_STRING) return jinja_slice(run, self, jinja_none(), jinja_none(), jinja_int(-1));
    struct jinja_list *from = jinja_iterate(run, self),
                      *to = from ? jinja_new_list(run, JINJA_ITERATOR, from->n_items) : NULL;
    for (size_t i = 0; to && i < from->n_items; i++) to->items[i] = from->items[from->n_items - 1 - i];
    return jinja_from_list(to);
}

/* A part of a path: a number indexes. */
static struct jinja_value path_part(struct jinja_run *run, const struct jinja_string *path, size_t begin, size_t end) {
    int64_t number = 0;
    bool digits = end > begin;
    for (size_t i = begin; i < end && digits; i++) {
        digits = path->bytes[i] >= '0' && path->bytes[i] <= '9';
        if (digits && number < INT64_MAX / 10 - 1) number = number * 10 + (path->bytes[i] - '0');
    }
    return digits ? jinja_int(number) : jinja_substring(run, path, begin, end);
}

/* item.a.b: dots walk. `attribute` may be a number itself, or none: the item. What is not there is `otherwise`. */
static struct jinja_value walk(struct jinja_run *run, struct jinja_value v, struct jinja_value attribute,
                               struct jinja_value otherwise) {
    if (attribute.kind == JINJA_NONE) return v;
    if (attribute.kind != JINJA_STRING && attribute.kind != JINJA_INT)
        return jinja_fail(run, "an attribute must be a name or a number, not a %s", jinja_type_name(attribute));
    const struct jinja_string *path = attribute.kind == JINJA_STRING ? attribute.string : &no_text;
    size_t begin = 0;
    for (size_t i = 0; i <= path->n_bytes && !run->failed; i++) {
        if (i < path->n_bytes && path->bytes[i] != '.') continue;
        v = jinja_item(run, v, attribute.kind == JINJA_INT ? attribute : path_part(run, path, begin, i));
        if (v.kind == JINJA_UNDEFINED && otherwise.kind != JINJA_NONE) v = otherwise;
        begin = i + 1;
    }
    return v;
}

FILTER(filter_join) {
    struct jinja_list *items = jinja_iterate(run, self), *texts;
    const struct jinja_string *separator = jinja_text_argument(run, a, 0, "d");
    struct jinja_value attribute = jinja_argument(a, 1, "attribute", jinja_none());
    if (!items || !(texts = jinja_new_list(run, JINJA_PLAIN_LIST, items->n_items))) return jinja_undefined(NULL);
    for (size_t i = 0; i < items->n_items && !run->failed; i++)
        texts->items[i] = jinja_to_string(run, walk(run, items->items[i], attribute, jinja_none()));
    return run->failed ? jinja_undefined(NULL) : jinja_join(run, separator ? separator : &no_text, texts);
}

FILTER(filter_items) {
    (void)a;
    if (self.kind == JINJA_UNDEFINED) return jinja_from_list(jinja_new_list(run, JINJA_ITERATOR, 0));
    if (self.kind != JINJA_DICT) return jinja_fail(run, "items wants an object, not a %s", jinja_type_name(self));
    struct jinja_list *l = jinja_new_list(run, JINJA_ITERATOR, self.dict->n_entries);
    for (size_t i = 0; l && i < l->n_items; i++)
        l->items[i] = jinja_pair(run, self.dict->entries[i].key, self.dict->entries[i].value);
    return jinja_from_list(l);
}

/* What a list is sorted or compared by: text without regard to case, unless asked. */
static struct jinja_value sort_key(struct jinja_run *run, struct jinja_value v, bool case_sensitive) {
    return v.kind == JINJA_STRING && !case_sensitive ? jinja_change_case(run, v.string, JINJA_LOWER) : v;
}

static int by_key(struct jinja_run *run, struct jinja_value a, struct jinja_value b) {
    return jinja_compare(run, a.list->items[0], b.list->items[0]);
}

/* Sorts pairs (key, item) and gives the items. */
static struct jinja_value sort_pairs(struct jinja_run *run, struct jinja_list *pairs, bool reverse) {
    jinja_sort(run, pairs, by_key);
    struct jinja_list *sorted = jinja_new_list(run, JINJA_PLAIN_LIST, pairs->n_items);
    for (size_t i = 0; sorted && i < pairs->n_items && !run->failed; i++)
        sorted->items[i] = pairs->items[reverse ? pairs->n_items - 1 - i : i].list->items[1];
    return jinja_from_list(sorted);
}

/* By several attributes, with commas between them: a list of their values. */
static struct jinja_value sort_keys(struct jinja_run *run, struct jinja_value item, struct jinja_value attribute,
                                    bool case_sensitive) {
    const struct jinja_string *all = attribute.kind == JINJA_STRING ? attribute.string : NULL;
    static const struct jinja_string comma = {.bytes = ",", .n_bytes = 1};
    if (!all || !memchr(all->bytes, ',', all->n_bytes))
        return sort_key(run, walk(run, item, attribute, jinja_none()), case_sensitive);
    struct jinja_value keys = jinja_split(run, all, &comma, -1, false);
    for (size_t i = 0; keys.kind == JINJA_LIST && i < keys.list->n_items && !run->failed; i++)
        keys.list->items[i] = sort_key(run, walk(run, item, keys.list->items[i], jinja_none()), case_sensitive);
    return keys;
}

static struct jinja_value sort_list(struct jinja_run *run, struct jinja_list *items, struct jinja_value attribute,
                                    bool case_sensitive, bool reverse) {
    struct jinja_list *pairs = items ? jinja_new_list(run, JINJA_PLAIN_LIST, items->n_items) : NULL;
    for (size_t i = 0; pairs && i < items->n_items && !run->failed; i++)
        pairs->items[i] = jinja_pair(run, sort_keys(run, items->items[i], attribute, case_sensitive), items->items[i]);
    return pairs && !run->failed ? sort_pairs(run, pairs, reverse) : jinja_undefined(NULL);
}

FILTER(filter_sort) {
    bool reverse = jinja_truthy(jinja_argument(a, 0, "reverse", jinja_bool(false)));
    bool case_sensitive = jinja_truthy(jinja_argument(a, 1, "case_sensitive", jinja_bool(false)));
    return sort_list(run, jinja_iterate(run, self), jinja_argument(a, 2, "attribute", jinja_none()), case_sensitive,
                     reverse);
}

FILTER(filter_dictsort) {
    bool case_sensitive = jinja_truthy(jinja_argument(a, 0, "case_sensitive", jinja_bool(false)));
    const struct jinja_string *by = jinja_text_argument(run, a, 1, "by");
    bool reverse = jinja_truthy(jinja_argument(a, 2, "reverse", jinja_bool(false)));
    struct jinja_value place = jinja_int(by && jinja_string_equals(by, "value"));
    struct jinja_arguments none = {0};
    struct jinja_value pairs = filter_items(run, self, &none);
    if (run->failed || pairs.kind != JINJA_LIST) return jinja_undefined(NULL);
    return sort_list(run, pairs.list, place, case_sensitive, reverse);
}

FILTER(filter_unique) {
    (void)a;
    struct jinja_list *from = jinja_iterate(run, self),
                      *to = from ? jinja_new_list(run, JINJA_ITERATOR, from->n_items) : NULL;
    if (!to) return jinja_undefined(NULL);
    to->n_items = 0;
    for (size_t i = 0; i < from->n_items && !run->failed; i++) {
        bool seen = false;
        struct jinja_value key = sort_key(run, from->items[i], false);
        for (size_t k = 0; k < to->n_items && !seen; k++)
            seen = jinja_equal(run, key, sort_key(run, to->items[k], false));
        if (!seen) to->items[to->n_items++] = from->items[i];
        if (!jinja_spend(run, to->n_items * 32)) break;
    }
    return jinja_from_list(to);
}

FILTER(filter_sum) {
    struct jinja_list *l = jinja_iterate(run, self);
    struct jinja_value attribute = jinja_argument(a, 0, "attribute", jinja_none());
    struct jinja_value total = jinja_argument(a, 1, "start", jinja_int(0));
    if (total.kind == JINJA_STRING) return jinja_fail(run, "sum does not join strings; join does");
    for (size_t i = 0; l && i < l->n_items && !run->failed; i++)
        total = jinja_add(run, total, walk(run, l->items[i], attribute, jinja_none()));
    return total;
}

static struct jinja_value extreme(struct jinja_run *run, struct jinja_value self, int sign) {
    struct jinja_list *l = jinja_iterate(run, self);
    if (!l || l->n_items == 0) return jinja_undefined(NULL);
    struct jinja_value best = l->items[0];
    for (size_t i = 1; i < l->n_items && !run->failed; i++)
        if (sign * jinja_compare(run, sort_key(run, l->items[i], false), sort_key(run, best, false)) > 0)
            best = l->items[i];
    return best;
}
FILTER(filter_max) {
    (void)a;
    return extreme(run, self, 1);
}
FILTER(filter_min) {
    (void)a;
    return extreme(run, self, -1);
}

/* ---- filters that take filters and tests ----------------------------------------------------- */

/* The arguments after the first n. */
static struct jinja_arguments rest_of(const struct jinja_arguments *a, size_t n) {
    struct jinja_arguments rest = *a;
    size_t skipped = n < a->n_positional ? n : a->n_positional;
    rest.positional += skipped;
    rest.n_positional -= skipped;
    return rest;
}

static const struct jinja_builtin *named(struct jinja_run *run, struct jinja_value name, bool test) {
    const char *what = test ? "test" : "filter";
    if (name.kind != JINJA_STRING) {
        jinja_fail(run, "the name of a %s is wanted, not a %s", what, jinja_type_name(name));
        return NULL;
    }
    const struct jinja_builtin *b = test ? jinja_find_test(name.string) : jinja_find_filter(name.string);
    if (!b) jinja_fail(run, "there is no %s '%.*s'", what, (int)name.string->n_bytes, name.string->bytes);
    return b;
}

/* map, select and their kin see nothing in what is false: none too. */
static struct jinja_list *items_or_nothing(struct jinja_run *run, struct jinja_value self) {
    return jinja_truthy(self) ? jinja_iterate(run, self) : jinja_new_list(run, JINJA_PLAIN_LIST, 0);
}

FILTER(filter_map) {
    struct jinja_list *from = items_or_nothing(run, self),
                      *to = from ? jinja_new_list(run, JINJA_ITERATOR, from->n_items) : NULL;
    struct jinja_value attribute = jinja_keyword(a, "attribute", jinja_none()),
                       otherwise = jinja_keyword(a, "default", jinja_none());
    bool by_attribute = attribute.kind != JINJA_NONE;
    if (!by_attribute && a->n_positional == 0) return jinja_fail(run, "map wants a filter or an attribute");
    if (!to || to->n_items == 0) return jinja_from_list(to); /* of what there is none, no name is looked at */
    const struct jinja_builtin *filter = by_attribute ? NULL : named(run, a->positional[0], false);
    struct jinja_arguments rest = rest_of(a, 1);
    for (size_t i = 0; i < from->n_items && !run->failed; i++)
        to->items[i] = by_attribute ? walk(run, from->items[i], attribute, otherwise)
                                    : jinja_call_builtin(run, filter, from->items[i], &rest);
    return jinja_from_list(to);
}

/* select, reject, selectattr, rejectattr: the attribute, if there is one, comes before the test's name. */
static struct jinja_value choose(struct jinja_run *run, struct jinja_value self, const struct jinja_arguments *a,
                                 bool by_attribute, bool keep) {
    struct jinja_list *from = items_or_nothing(run, self),
                      *to = from ? jinja_new_list(run, JINJA_ITERATOR, from->n_items) : NULL;
    struct jinja_value attribute = by_attribute && a->n_positional ? a->positional[0] : jinja_none();
    size_t skip = by_attribute;
    if (by_attribute && attribute.kind == JINJA_NONE) return jinja_fail(run, "an attribute is wanted");
    if (!to || to->n_items == 0) return jinja_from_list(to);
    const struct jinja_builtin *test = a->n_positional > skip ? named(run, a->positional[skip], true) : NULL;
    struct jinja_arguments rest = rest_of(a, skip + 1);
    to->n_items = 0;
    for (size_t i = 0; i < from->n_items && !run->failed; i++) {
        struct jinja_value v = walk(run, from->items[i], attribute, jinja_none());
        bool passes = jinja_truthy(test && !run->failed ? jinja_call_builtin(run, test, v, &rest) : v);
        if (passes == keep) to->items[to->n_items++] = from->items[i];
    }
    return jinja_from_list(to);
}
FILTER(filter_select) { return choose(run, self, a, false, true); }
FILTER(filter_reject) { return choose(run, self, a, false, false); }
FILTER(filter_selectattr) { return choose(run, self, a, true, true); }
FILTER(filter_rejectattr) { return choose(run, self, a, true, false); }

/* ---- numbers --------------------------------------------------------------------------------- */

/* Python's int(): of a float what is before the point. */
static struct jinja_value whole_part(struct jinja_run *run, double x, struct jinja_value otherwise) {
    if (isnan(x)) return otherwise;
    bool fits = x >= -0x1p63 && x < 0x1p63;
    return fits ? jinja_int((int64_t)x) : jinja_fail(run, "a number leaves 64 bits");
}

FILTER(filter_int) {
    double x;
    int64_t i;
    struct jinja_value otherwise = jinja_argument(a, 0, "default", jinja_int(0));
    int64_t base = jinja_as_int(run, jinja_argument(a, 1, "base", jinja_int(10)));
    if (self.kind == JINJA_INT) return self;
    if (self.kind == JINJA_BOOL) return jinja_int(self.boolean);
    if (self.kind == JINJA_FLOAT) return whole_part(run, self.real, otherwise);
    if (jinja_parse_int(run, self, base, &i)) return jinja_int(i);
    return jinja_parse_float(run, self, &x) && !isinf(x) ? whole_part(run, x, otherwise) : otherwise;
}

FILTER(filter_float) {
    double x;
    if (jinja_is_number(self)) return jinja_float(jinja_as_double(self));
    return jinja_parse_float(run, self, &x) ? jinja_float(x) : jinja_argument(a, 0, "default", jinja_float(0));
}

FILTER(filter_abs) {
    (void)a;
    if (self.kind == JINJA_FLOAT) return jinja_float(fabs(self.real));
    int64_t i = jinja_as_int(run, self);
    return i == INT64_MIN ? jinja_fail(run, "a number leaves 64 bits") : jinja_int(i < 0 ? -i : i);
}

FILTER(filter_round) {
    int64_t digits = jinja_as_int(run, jinja_argument(a, 0, "precision", jinja_int(0)));
    const struct jinja_string *method = jinja_text_argument(run, a, 1, "method");
    return run->failed ? jinja_undefined(NULL) : jinja_round(run, self, digits, method);
}

/* ---- tests ----------------------------------------------------------------------------------- */

#define KIND_TEST(name, condition)                                                                                     \
    FILTER(name) {                                                                                                     \
        UNUSED_ARGUMENTS;                                                                                              \
        return jinja_bool(condition);                                                                                  \
    }
KIND_TEST(test_defined, self.kind != JINJA_UNDEFINED)
KIND_TEST(test_undefined, self.kind == JINJA_UNDEFINED)
KIND_TEST(test_none, self.kind == JINJA_NONE)
KIND_TEST(test_string, self.kind == JINJA_STRING)
KIND_TEST(test_mapping, self.kind == JINJA_DICT)
KIND_TEST(test_number, jinja_is_number(self))
KIND_TEST(test_integer, self.kind == JINJA_INT)
KIND_TEST(test_float, self.kind == JINJA_FLOAT)
KIND_TEST(test_boolean, self.kind == JINJA_BOOL)
KIND_TEST(test_true, self.kind == JINJA_BOOL && self.boolean)
KIND_TEST(test_false, self.kind == JINJA_BOOL && !self.boolean)
KIND_TEST(test_iterable, self.kind == JINJA_STRING || self.kind == JINJA_LIST || self.kind == JINJA_DICT ||
                             self.kind == JINJA_UNDEFINED)
KIND_TEST(test_sequence, self.kind == JINJA_STRING || self.kind == JINJA_LIST || self.kind == JINJA_DICT ||
                             self.kind == JINJA_UNDEFINED)
KIND_TEST(test_callable, self.kind == JINJA_MACRO || self.kind == JINJA_FUNCTION || self.kind == JINJA_METHOD)

#define COMPARISON_TEST(name, how)                                                                                     \
    FILTER(name) { return jinja_bool(jinja_holds(run, how, self, jinja_argument(a, 0, NULL, jinja_none()))); }
COMPARISON_TEST(test_equal, COMPARE_EQ)
COMPARISON_TEST(test_unequal, COMPARE_NE)
COMPARISON_TEST(test_less, COMPARE_LT)
COMPARISON_TEST(test_less_equal, COMPARE_LE)
COMPARISON_TEST(test_greater, COMPARE_GT)
COMPARISON_TEST(test_greater_equal, COMPARE_GE)
COMPARISON_TEST(test_in, COMPARE_IN)
FILTER(test_odd) {
    (void)a;
    return jinja_bool(jinja_as_int(run, self) % 2 != 0);
}
FILTER(test_even) {
    (void)a;
    return jinja_bool(jinja_as_int(run, self) % 2 == 0);
}
FILTER(test_divisible) {
    int64_t by = jinja_as_int(run, jinja_argument(a, 0, NULL, jinja_int(0)));
    return by == 0 ? jinja_fail(run, "division by zero") : jinja_bool(by == -1 || jinja_as_int(run, self) % by == 0);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static const struct jinja_builtin filters[] = {
    {"abs", filter_abs},
    {"capitalize", filter_capitalize},
    {"count", filter_length},
    {"d", filter_default},
    {"default", filter_default},
    {"dictsort", filter_dictsort},
    {"e", filter_escape},
    {"escape", filter_escape},
    {"first", filter_first},
    {"float", filter_float},
    {"indent", filter_indent},
    {"int", filter_int},
    {"items", filter_items},
    {"join", filter_join},
    {"last", filter_last},
    {"length", filter_length},
    {"list", filter_list},
    {"lower", filter_lower},
    {"map", filter_map},
    {"max", filter_max},
    {"min", filter_min},
    {"reject", filter_reject},
    {"rejectattr", filter_rejectattr},
    {"replace", filter_replace},
    {"reverse", filter_reverse},
    {"round", filter_round},
    {"safe", filter_safe},
    {"select", filter_select},
    {"selectattr", filter_selectattr},
    {"sort", filter_sort},
    {"string", filter_string},
    {"sum", filter_sum},
    {"title", filter_title},
    {"tojson", filter_tojson},
    {"trim", filter_trim},
    {"unique", filter_unique},
    {"upper", filter_upper},
    {NULL, NULL},
};

static const struct jinja_builtin tests[] = {
    {"boolean", test_boolean},
    {"callable", test_callable},
    {"defined", test_defined},
    {"divisibleby", test_divisible},
    {"eq", test_equal},
    {"equalto", test_equal},
    {"==", test_equal},
    {"even", test_even},
    {"false", test_false},
    {"float", test_float},
    {"ge", test_greater_equal},
    {"greaterthan", test_greater},
    {"gt", test_greater},
    {"in", test_in},
    {"integer", test_integer},
    {"iterable", test_iterable},
    {"le", test_less_equal},
    {"lessthan", test_less},
    {"lt", test_less},
    {"mapping", test_mapping},
    {"ne", test_unequal},
    {"none", test_none},
    {"None", test_none},
    {"number", test_number},
    {"odd", test_odd},
    {"sequence", test_sequence},
    {"string", test_string},
    {"true", test_true},
    {"undefined", test_undefined},
    {NULL, NULL},
};

static const struct jinja_builtin *find(const struct jinja_builtin *table, const struct jinja_string *name) {
    for (; table->name; table++)
        if (jinja_string_equals(name, table->name)) return table;
    return NULL;
}
const struct jinja_builtin *jinja_find_filter(const struct jinja_string *name) { return find(filters, name); }
const struct jinja_builtin *jinja_find_test(const struct jinja_string *name) { return find(tests, name); }
