/* template_value.h - the values a chat template computes with, and the memory they live in. Internal to template_*.c.
 *
 * One rendering is one `struct jinja_run`. Everything it makes comes from its heap and is freed at once. Failure
 * latches: jinja_fail records the first message, later work goes on with undefined values, and loops stop at `failed`.
 * So functions return values, and only those that need to know look at run->failed.
 *
 * Every byte of a string carries its origin (enum template_origin), so that special tokens can be told from user text
 * that looks like them after any amount of slicing, joining and replacing. */
#ifndef TALC_TEXT_TEMPLATE_VALUE_H
#define TALC_TEXT_TEMPLATE_VALUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "text/template.h"

struct jinja_heap {
    struct jinja_chunk *chunks; /* newest first */
    size_t n_bytes;             /* in all chunks */
};

struct jinja_run {
    struct jinja_heap heap;
    struct talc_error *err;
    bool failed;
    int line;      /* of the node being evaluated, for messages */
    int depth;     /* of nested evaluation */
    int64_t steps; /* left */
    int64_t now;   /* template_input.now */
    const struct chat_template *template;
    struct jinja_scope *scope;   /* innermost */
    struct jinja_writer *output; /* where statements write */
};

enum jinja_kind {
    JINJA_MISSING, /* an argument that was not given; no template sees it */
    JINJA_UNDEFINED,
    JINJA_NONE,
    JINJA_BOOL,
    JINJA_INT,
    JINJA_FLOAT,
    JINJA_STRING,
    JINJA_LIST,
    JINJA_DICT,
    JINJA_NAMESPACE, /* namespace(): the one mutable thing */
    JINJA_LOOP,
    JINJA_MACRO,
    JINJA_FUNCTION,
    JINJA_METHOD,
};

struct jinja_value {
    enum jinja_kind kind;
    union {
        const char *missing_name; /* UNDEFINED: what was looked up, or NULL */
        bool boolean;
        int64_t integer;
        double real;
        const struct jinja_string *string;
        struct jinja_list *list;
        struct jinja_dict *dict; /* DICT, NAMESPACE */
        struct jinja_loop *loop;
        const struct jinja_macro *macro;
        const struct jinja_builtin *function;
        const struct jinja_method *method;
    };
};

struct jinja_string {
    const char *bytes; /* valid UTF-8, may hold NUL, not terminated */
    size_t n_bytes;
    const uint8_t *origins; /* one a byte; NULL: all are `origin` */
    uint8_t origin;
    bool markup; /* came through `safe`: `+` escapes what is joined to it, as markupsafe does */
};

enum jinja_list_kind {
    JINJA_PLAIN_LIST,
    JINJA_TUPLE,
    JINJA_RANGE,
    JINJA_KEYS, /* of a dict, as are the next two */
    JINJA_VALUES,
    JINJA_ITEMS,
    JINJA_ITERATOR
};

struct jinja_list {
    enum jinja_list_kind kind;
    size_t n_items;
    struct jinja_value *items; /* an ITERATOR's are dropped from the front as they are used */
};

struct jinja_entry {
    struct jinja_value key, value;
};

/* In order of insertion; an index by hash once there are more than a few entries. */
struct jinja_dict {
    struct jinja_entry *entries;
    size_t n_entries, capacity;
    uint32_t *slots; /* entry + 1, 0 empty; n_slots is a power of two, or 0 */
    size_t n_slots;
};

/* ---- run and memory -------------------------------------------------------------------------- */
struct jinja_value jinja_fail(struct jinja_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Counts work that looks at n_bytes; fails when the budget is spent. */
bool jinja_spend(struct jinja_run *run, size_t n_bytes);
/* One level deeper; false (and failed) when too deep. Each true needs its run->depth--. */
bool jinja_enter(struct jinja_run *run);
/* Memory until the end of the run, aligned for any value; NULL (and failed) when there is no more. */
void *jinja_take(struct jinja_run *run, size_t n_items, size_t item_size);
void jinja_heap_free(struct jinja_heap *heap);

/* ---- making values --------------------------------------------------------------------------- */
struct jinja_value jinja_undefined(const char *name);
struct jinja_value jinja_none(void);
struct jinja_value jinja_bool(bool b);
struct jinja_value jinja_int(int64_t i);
struct jinja_value jinja_float(double d);
struct jinja_value jinja_from_string(const struct jinja_string *s);
struct jinja_value jinja_from_dict(struct jinja_dict *dict);
/* A copy of n bytes, all of one origin. */
struct jinja_value jinja_new_string(struct jinja_run *run, const char *bytes, size_t n, uint8_t origin);
/* Bytes [begin, end) of a string, sharing its memory. */
struct jinja_value jinja_substring(struct jinja_run *run, const struct jinja_string *s, size_t begin, size_t end);
/* A list of n undefined items; NULL when out of memory. */
struct jinja_list *jinja_new_list(struct jinja_run *run, enum jinja_list_kind kind, size_t n);
struct jinja_value jinja_from_list(struct jinja_list *list); /* NULL gives undefined */
struct jinja_value jinja_pair(struct jinja_run *run, struct jinja_value a, struct jinja_value b);
struct jinja_dict *jinja_new_dict(struct jinja_run *run);
/* Inserts or replaces. Keys are strings, numbers, bools, none or tuples of them. */
void jinja_dict_set(struct jinja_run *run, struct jinja_dict *dict, struct jinja_value key, struct jinja_value value);
/* The value at key, or NULL. */
struct jinja_value *jinja_dict_find(struct jinja_run *run, const struct jinja_dict *dict, struct jinja_value key);
/* Strings of the result point into `json`, which must outlive the run. */
struct jinja_value jinja_from_json(struct jinja_run *run, const json_t *json, uint8_t origin);

/* ---- asking values --------------------------------------------------------------------------- */
const char *jinja_type_name(struct jinja_value v); /* Python's: "str", "dict", ... */
bool jinja_truthy(struct jinja_value v);
bool jinja_is_number(struct jinja_value v); /* bool, int or float */
double jinja_as_double(struct jinja_value v);
bool jinja_equal(struct jinja_run *run, struct jinja_value a, struct jinja_value b);
/* <0, 0, >0; fails when the two have no order. */
int jinja_compare(struct jinja_run *run, struct jinja_value a, struct jinja_value b);
bool jinja_contains(struct jinja_run *run, struct jinja_value container, struct jinja_value item);
/* The items one loop over v sees, in a list to be read only; uses an iterator up. NULL when failed. */
struct jinja_list *jinja_iterate(struct jinja_run *run, struct jinja_value v);
/* len(v); -1 (and failed) when it has none. */
int64_t jinja_length(struct jinja_run *run, struct jinja_value v);
/* The argument as an integer (bool counts); fails otherwise. */
int64_t jinja_as_int(struct jinja_run *run, struct jinja_value v);
uint8_t jinja_string_origin(const struct jinja_string *s); /* of all bytes together */
bool jinja_string_equals(const struct jinja_string *s, const char *text);

/* ---- writing strings ------------------------------------------------------------------------- */
struct jinja_writer {
    struct jinja_run *run;
    char *bytes;
    uint8_t *origins; /* NULL while all bytes share `origin` */
    size_t n_bytes, capacity;
    uint8_t origin;
    uint8_t mark; /* or-ed into the origin of everything written */
};
struct jinja_writer jinja_writer_make(struct jinja_run *run);
void jinja_write(struct jinja_writer *w, const char *bytes, size_t n, uint8_t origin);
void jinja_write_text(struct jinja_writer *w, const char *text); /* the template's own */
void jinja_write_string(struct jinja_writer *w, const struct jinja_string *s);
void jinja_write_part(struct jinja_writer *w, const struct jinja_string *s, size_t begin, size_t end);
struct jinja_value jinja_writer_string(struct jinja_writer *w); /* the writer is not used after this */

/* ---- template_format.c: Python's text forms -------------------------------------------------- */
void jinja_write_str(struct jinja_writer *w, struct jinja_value v);  /* str(v) */
void jinja_write_repr(struct jinja_writer *w, struct jinja_value v); /* repr(v) */
struct jinja_value jinja_to_string(struct jinja_run *run, struct jinja_value v);
struct jinja_json_style {
    bool ensure_ascii, sort_keys;
    const struct jinja_string *indent;             /* NULL: one line */
    const struct jinja_string *item_end, *key_end; /* NULL: json.dumps' own */
};
void jinja_write_json(struct jinja_writer *w, struct jinja_value v, const struct jinja_json_style *style);

#endif
