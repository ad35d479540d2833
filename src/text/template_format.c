/* template_format.c - values as text the way Python writes them: str(), repr() and json.dumps(). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/template_string.h"
#include "text/template_value.h"

/* ---- numbers --------------------------------------------------------------------------------- */
/* Python's repr of a float: the fewest digits that read back as the same number, as 1.0, 0.0001 or 1e-05. */
static void write_float(struct jinja_writer *w, double d, bool json) {
    if (isnan(d) || isinf(d)) {
        const char *name = isnan(d) ? (json ? "NaN" : "nan")
                           : d > 0  ? (json ? "Infinity" : "inf")
                                    : (json ? "-Infinity" : "-inf");
        jinja_write_text(w, name);
        return;
    }
    char digits[40], text[64];
    int precision = 0;
    do snprintf(digits, sizeof digits, "%.*e", precision, d);
    while (strtod(digits, NULL) != d && ++precision < 17);
    int exponent = atoi(strchr(digits, 'e') + 1);
    if (exponent < -4 || exponent >= 16) {
        snprintf(text, sizeof text, "%s", digits);
    } else {
        snprintf(text, sizeof text, "%.*f", precision > exponent ? precision - exponent : 0, d);
        if (!strchr(text, '.')) strcat(text, ".0");
    }
    jinja_write_text(w, text);
}

static void write_int(struct jinja_writer *w, int64_t i) {
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)i);
    jinja_write_text(w, text);
}

/* ---- str and repr ---------------------------------------------------------------------------- */
/* repr of a string: in single quotes unless it holds those and no double ones. */
static void write_string_repr(struct jinja_writer *w, const struct jinja_string *s) {
    bool single = memchr(s->bytes, '\'', s->n_bytes), twice = memchr(s->bytes, '"', s->n_bytes);
    char quote = single && !twice ? '"' : '\'';
    if (s->markup) jinja_write_text(w, "Markup(");
    jinja_write(w, &quote, 1, 0);
    for (size_t at = 0; at < s->n_bytes && !w->run->failed;) {
        int32_t c;
        int n = utf8_decode(s->bytes + at, s->n_bytes - at, &c);
        char text[16] = "";
        if (c == '\n' || c == '\r' || c == '\t') {
            snprintf(text, sizeof text, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        } else if (c == '\\' || c == quote) {
            snprintf(text, sizeof text, "\\%c", (char)c);
        } else if (!jinja_is_printable(c)) {
            snprintf(text, sizeof text, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
        }
        if (text[0])
            jinja_write_text(w, text);
        else
            jinja_write_part(w, s, at, at + (size_t)n);
        at += (size_t)n;
    }
    jinja_write(w, &quote, 1, 0);
    if (s->markup) jinja_write_text(w, ")");
}

static void write_dict_repr(struct jinja_writer *w, const struct jinja_dict *dict) {
    jinja_write_text(w, "{");
    for (size_t i = 0; i < dict->n_entries && !w->run->failed; i++) {
        if (i) jinja_write_text(w, ", ");
        jinja_write_repr(w, dict->entries[i].key);
        jinja_write_text(w, ": ");
        jinja_write_repr(w, dict->entries[i].value);
    }
    jinja_write_text(w, "}");
}

static void write_list_repr(struct jinja_writer *w, const struct jinja_list *list) {
    static const char *const begin[] = {
        "[", "(", "range(", "dict_keys([", "dict_values([", "dict_items([", "<iterator of "};
    static const char *const end[] = {"]", ")", ")", "])", "])", "])", ">"};
    jinja_write_text(w, begin[list->kind]);
    if (list->kind == JINJA_RANGE) { /* enough to tell it: a range prints its bounds */
        write_int(w, list->n_items ? list->items[0].integer : 0);
        jinja_write_text(w, ", ");
        write_int(w, list->n_items ? list->items[list->n_items - 1].integer + 1 : 0);
    } else {
        for (size_t i = 0; i < list->n_items && !w->run->failed; i++) {
            if (i) jinja_write_text(w, ", ");
            jinja_write_repr(w, list->items[i]);
        }
        if (list->kind == JINJA_TUPLE && list->n_items == 1) jinja_write_text(w, ",");
    }
    jinja_write_text(w, end[list->kind]);
}

void jinja_write_repr(struct jinja_writer *w, struct jinja_value v) {
    if (!jinja_enter(w->run)) return;
    jinja_spend(w->run, 0);
    switch (v.kind) {
    case JINJA_STRING: write_string_repr(w, v.string); break;
    case JINJA_UNDEFINED: jinja_write_text(w, "Undefined"); break;
    case JINJA_NONE: jinja_write_text(w, "None"); break;
    case JINJA_BOOL: jinja_write_text(w, v.boolean ? "True" : "False"); break;
    case JINJA_INT: write_int(w, v.integer); break;
    case JINJA_FLOAT: write_float(w, v.real, false); break;
    case JINJA_LIST: write_list_repr(w, v.list); break;
    case JINJA_DICT: write_dict_repr(w, v.dict); break;
    case JINJA_NAMESPACE:
        jinja_write_text(w, "<Namespace ");
        write_dict_repr(w, v.dict);
        jinja_write_text(w, ">");
        break;
    default:
        jinja_write_text(w, "<");
        jinja_write_text(w, jinja_type_name(v));
        jinja_write_text(w, ">");
    }
    w->run->depth--;
}

void jinja_write_str(struct jinja_writer *w, struct jinja_value v) {
    if (v.kind == JINJA_STRING)
        jinja_write_string(w, v.string);
    else if (v.kind != JINJA_UNDEFINED)
        jinja_write_repr(w, v);
}

struct jinja_value jinja_to_string(struct jinja_run *run, struct jinja_value v) {
    if (v.kind == JINJA_STRING) return v;
    struct jinja_writer w = jinja_writer_make(run);
    jinja_write_str(&w, v);
    return jinja_writer_string(&w);
}

/* ---- JSON ------------------------------------------------------------------------------------ */
static void write_json_escape(struct jinja_writer *w, int32_t c) {
    static const char short_from[] = "\"\\\n\r\t\f\b", short_to[] = "\"\\nrtfb";
    char text[16];
    const char *found = c && c < 0x80 ? strchr(short_from, (int)c) : NULL;
    if (found)
        snprintf(text, sizeof text, "\\%c", short_to[found - short_from]);
    else if (c < 0x10000)
        snprintf(text, sizeof text, "\\u%04x", (unsigned)c);
    else
        snprintf(text, sizeof text, "\\u%04x\\u%04x", 0xD7C0 + ((unsigned)c >> 10), 0xDC00 + ((unsigned)c & 0x3FF));
    jinja_write_text(w, text);
}

static void write_json_string(struct jinja_writer *w, const struct jinja_string *s, bool ensure_ascii) {
    jinja_write_text(w, "\"");
    size_t plain = 0; /* start of the part that is copied as it is */
    for (size_t at = 0; at < s->n_bytes && !w->run->failed;) {
        int32_t c;
        int n = utf8_decode(s->bytes + at, s->n_bytes - at, &c);
        if (c < 0x20 || c == '"' || c == '\\' || (ensure_ascii && c > 0x7e)) {
            jinja_write_part(w, s, plain, at);
            write_json_escape(w, c);
            plain = at + (size_t)n;
        }
        at += (size_t)n;
    }
    jinja_write_part(w, s, plain, s->n_bytes);
    jinja_write_text(w, "\"");
}

static void write_json_newline(struct jinja_writer *w, const struct jinja_json_style *style, int level) {
    if (!style->indent) return;
    jinja_write_text(w, "\n");
    for (int i = 0; i < level && !w->run->failed; i++) jinja_write_string(w, style->indent);
}

static void write_json_separator(struct jinja_writer *w, const struct jinja_string *given, const char *otherwise) {
    if (given)
        jinja_write_string(w, given);
    else
        jinja_write_text(w, otherwise);
}

static void write_json_value(struct jinja_writer *w, struct jinja_value v, const struct jinja_json_style *style,
                             int level);

static void write_json_key(struct jinja_writer *w, struct jinja_value key, const struct jinja_json_style *style) {
    if (key.kind == JINJA_LIST) {
        jinja_fail(w->run, "tojson: a %s cannot be the key of an object", jinja_type_name(key));
    } else if (key.kind == JINJA_STRING) {
        write_json_string(w, key.string, style->ensure_ascii);
    } else {
        jinja_write_text(w, "\"");
        write_json_value(w, key, style, 0);
        jinja_write_text(w, "\"");
    }
}

static int compare_entries(struct jinja_run *run, struct jinja_value a, struct jinja_value b) {
    return jinja_compare(run, a.list->items[0], b.list->items[0]);
}

/* The entries as pairs, in the order they are written. */
static struct jinja_list *json_entries(struct jinja_run *run, const struct jinja_dict *dict, bool sort) {
    struct jinja_list *list = jinja_new_list(run, JINJA_PLAIN_LIST, dict->n_entries);
    for (size_t i = 0; list && i < list->n_items && !run->failed; i++)
        list->items[i] = jinja_pair(run, dict->entries[i].key, dict->entries[i].value);
    if (sort && list && !run->failed) jinja_sort(run, list, compare_entries);
    return list;
}

static void write_json_items(struct jinja_writer *w, const struct jinja_list *list, bool object,
                             const struct jinja_json_style *style, int level) {
    jinja_write_text(w, object ? "{" : "[");
    for (size_t i = 0; i < list->n_items && !w->run->failed; i++) {
        if (i) write_json_separator(w, style->item_end, style->indent ? "," : ", ");
        write_json_newline(w, style, level + 1);
        if (object) {
            write_json_key(w, list->items[i].list->items[0], style);
            write_json_separator(w, style->key_end, ": ");
        }
        write_json_value(w, object ? list->items[i].list->items[1] : list->items[i], style, level + 1);
    }
    if (list->n_items) write_json_newline(w, style, level);
    jinja_write_text(w, object ? "}" : "]");
}

static void write_json_value(struct jinja_writer *w, struct jinja_value v, const struct jinja_json_style *style,
                             int level) {
    if (!jinja_enter(w->run)) return;
    jinja_spend(w->run, 0);
    bool list = v.kind == JINJA_LIST && (v.list->kind == JINJA_PLAIN_LIST || v.list->kind == JINJA_TUPLE);
    if (v.kind == JINJA_NONE) {
        jinja_write_text(w, "null");
    } else if (v.kind == JINJA_BOOL) {
        jinja_write_text(w, v.boolean ? "true" : "false");
    } else if (v.kind == JINJA_INT) {
        write_int(w, v.integer);
    } else if (v.kind == JINJA_FLOAT) {
        write_float(w, v.real, true);
    } else if (v.kind == JINJA_STRING) {
        write_json_string(w, v.string, style->ensure_ascii);
    } else if (list) {
        write_json_items(w, v.list, false, style, level);
    } else if (v.kind == JINJA_DICT) {
        struct jinja_list *entries = json_entries(w->run, v.dict, style->sort_keys);
        if (entries && !w->run->failed) write_json_items(w, entries, true, style, level);
    } else {
        jinja_fail(w->run, "tojson: a value of type %s is not JSON", jinja_type_name(v));
    }
    w->run->depth--;
}

void jinja_write_json(struct jinja_writer *w, struct jinja_value v, const struct jinja_json_style *style) {
    write_json_value(w, v, style, 0);
}
