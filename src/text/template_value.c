/* template_value.c - the values of chat templates: their memory, making them and asking them. */
#include "text/template_value.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/utf8.h"

/* ---- run and memory -------------------------------------------------------------------------- */
struct jinja_value jinja_fail(struct jinja_run *run, const char *format, ...) {
    if (!run->failed) {
        run->failed = true;
        char message[sizeof run->err->message];
        va_list args;
        va_start(args, format);
        vsnprintf(message, sizeof message, format, args);
        va_end(args);
        talc_fail(run->err, "chat template, line %d: %s", run->line, message);
    }
    return jinja_undefined(NULL);
}

bool jinja_spend(struct jinja_run *run, size_t n_bytes) {
    int64_t cost = (int64_t)(n_bytes / 32) + 1;
    if (run->steps < cost) {
        run->steps = 0;
        jinja_fail(run, "the template works too long (more than %lld steps); it may loop without end",
                   (long long)TEMPLATE_MAX_STEPS);
        return false;
    }
    run->steps -= cost;
    return true;
}

bool jinja_enter(struct jinja_run *run) {
    if (run->depth >= TEMPLATE_MAX_DEPTH) {
        jinja_fail(run, "more than %d levels of nesting; does a macro call itself without end?", TEMPLATE_MAX_DEPTH);
        return false;
    }
    run->depth++;
    return true;
}

#define CHUNK_SIZE ((size_t)64 << 10)
#define ALIGNMENT 16

struct jinja_chunk {
    struct jinja_chunk *next;
    size_t used, capacity;
    _Alignas(ALIGNMENT) char memory[];
};

static struct jinja_chunk *chunk_add(struct jinja_run *run, size_t n_bytes) {
    size_t capacity = n_bytes > CHUNK_SIZE ? n_bytes : CHUNK_SIZE;
    if (capacity > TEMPLATE_MAX_MEMORY - run->heap.n_bytes) {
        jinja_fail(run, "the template needs more than %zu MiB of memory", TEMPLATE_MAX_MEMORY >> 20);
        return NULL;
    }
    struct jinja_chunk *chunk = malloc(sizeof *chunk + capacity);
    if (!chunk) {
        jinja_fail(run, "out of memory");
        return NULL;
    }
    *chunk = (struct jinja_chunk){.next = run->heap.chunks, .capacity = capacity};
    run->heap.chunks = chunk;
    run->heap.n_bytes += capacity;
    return chunk;
}

void *jinja_take(struct jinja_run *run, size_t n_items, size_t item_size) {
    size_t n_bytes;
    if (!checked_mul_size(n_items, item_size, &n_bytes) || n_bytes > TEMPLATE_MAX_MEMORY) {
        jinja_fail(run, "the template needs more than %zu MiB of memory", TEMPLATE_MAX_MEMORY >> 20);
        return NULL;
    }
    if (!jinja_spend(run, n_bytes)) return NULL;
    n_bytes = round_up_size(n_bytes ? n_bytes : 1, ALIGNMENT);
    struct jinja_chunk *chunk = run->heap.chunks;
    if (!chunk || n_bytes > chunk->capacity - chunk->used) chunk = chunk_add(run, n_bytes);
    if (!chunk) return NULL;
    void *piece = chunk->memory + chunk->used;
    chunk->used += n_bytes;
    return piece;
}

void jinja_heap_free(struct jinja_heap *heap) {
    while (heap->chunks) {
        struct jinja_chunk *next = heap->chunks->next;
        free(heap->chunks);
        heap->chunks = next;
    }
    heap->n_bytes = 0;
}

/* ---- making values --------------------------------------------------------------------------- */
struct jinja_value jinja_undefined(const char *name) {
    return (struct jinja_value){.kind = JINJA_UNDEFINED, .missing_name = name};
}
struct jinja_value jinja_none(void) {
    return (struct jinja_value){.kind = JINJA_NONE};
}
struct jinja_value jinja_bool(bool b) {
    return (struct jinja_value){.kind = JINJA_BOOL, .boolean = b};
}
struct jinja_value jinja_int(int64_t i) {
    return (struct jinja_value){.kind = JINJA_INT, .integer = i};
}
struct jinja_value jinja_float(double d) {
    return (struct jinja_value){.kind = JINJA_FLOAT, .real = d};
}
struct jinja_value jinja_from_string(const struct jinja_string *s) {
    return (struct jinja_value){.kind = JINJA_STRING, .string = s};
}
struct jinja_value jinja_from_dict(struct jinja_dict *dict) {
    return dict ? (struct jinja_value){.kind = JINJA_DICT, .dict = dict} : jinja_undefined(NULL);
}
struct jinja_value jinja_from_list(struct jinja_list *list) {
    return list ? (struct jinja_value){.kind = JINJA_LIST, .list = list} : jinja_undefined(NULL);
}

static struct jinja_value string_around(struct jinja_run *run, struct jinja_string content) {
    struct jinja_string *s = jinja_take(run, 1, sizeof *s);
    if (!s) return jinja_undefined(NULL);
    *s = content;
    return jinja_from_string(s);
}

struct jinja_value jinja_new_string(struct jinja_run *run, const char *bytes, size_t n, uint8_t origin) {
    char *copy = jinja_take(run, n, 1);
    if (!copy) return jinja_undefined(NULL);
    if (n) memcpy(copy, bytes, n);
    return string_around(run, (struct jinja_string){.bytes = copy, .n_bytes = n, .origin = origin});
}

struct jinja_value jinja_substring(struct jinja_run *run, const struct jinja_string *s, size_t begin, size_t end) {
    if (begin > end) begin = end;
    struct jinja_string part = *s;
    part.bytes += begin;
    part.n_bytes = end - begin;
    if (part.origins) part.origins += begin;
    return string_around(run, part);
}

struct jinja_list *jinja_new_list(struct jinja_run *run, enum jinja_list_kind kind, size_t n) {
    struct jinja_list *list = jinja_take(run, 1, sizeof *list);
    struct jinja_value *items = jinja_take(run, n, sizeof *items);
    if (!list || !items) return NULL;
    for (size_t i = 0; i < n; i++) items[i] = jinja_undefined(NULL);
    *list = (struct jinja_list){.kind = kind, .n_items = n, .items = items};
    return list;
}

struct jinja_value jinja_pair(struct jinja_run *run, struct jinja_value a, struct jinja_value b) {
    struct jinja_list *pair = jinja_new_list(run, JINJA_TUPLE, 2);
    if (!pair) return jinja_undefined(NULL);
    pair->items[0] = a;
    pair->items[1] = b;
    return jinja_from_list(pair);
}

/* ---- dictionaries ---------------------------------------------------------------------------- */
#define LINEAR_ENTRIES 8 /* up to here a search is faster than hashing */

struct jinja_dict *jinja_new_dict(struct jinja_run *run) {
    struct jinja_dict *dict = jinja_take(run, 1, sizeof *dict);
    if (dict) memset(dict, 0, sizeof *dict);
    return dict;
}

/* FNV-1a. Equal keys have equal hashes: 1, 1.0 and True are one key. */
static uint32_t key_hash(struct jinja_run *run, struct jinja_value key) {
    uint32_t hash = 2166136261u;
    if (key.kind == JINJA_STRING) {
        jinja_spend(run, key.string->n_bytes);
        for (size_t i = 0; i < key.string->n_bytes; i++)
            hash = (hash ^ (unsigned char)key.string->bytes[i]) * 16777619u;
    } else if (jinja_is_number(key)) {
        double d = jinja_as_double(key);
        uint64_t bits;
        if (d == 0) d = 0; /* -0 equals 0 */
        memcpy(&bits, &d, sizeof bits);
        hash = (uint32_t)((bits * 0x9E3779B97F4A7C15ull) >> 32);
    } else {
        hash ^= (uint32_t)key.kind;
    }
    return hash;
}

/* The entry of a key, or n_entries. */
static size_t dict_search(struct jinja_run *run, const struct jinja_dict *dict, struct jinja_value key) {
    if (!dict->n_slots) {
        for (size_t i = 0; i < dict->n_entries; i++)
            if (jinja_equal(run, dict->entries[i].key, key)) return i;
        return dict->n_entries;
    }
    size_t slot = key_hash(run, key) & (dict->n_slots - 1);
    for (; dict->slots[slot]; slot = (slot + 1) & (dict->n_slots - 1)) {
        size_t entry = dict->slots[slot] - 1;
        if (jinja_equal(run, dict->entries[entry].key, key)) return entry;
        if (!jinja_spend(run, 0)) break;
    }
    return dict->n_entries;
}

static void dict_index(struct jinja_run *run, struct jinja_dict *dict, size_t entry) {
    size_t slot = key_hash(run, dict->entries[entry].key) & (dict->n_slots - 1);
    while (dict->slots[slot] && jinja_spend(run, 0)) slot = (slot + 1) & (dict->n_slots - 1);
    dict->slots[slot] = (uint32_t)entry + 1;
}

static bool dict_grow(struct jinja_run *run, struct jinja_dict *dict) {
    size_t capacity = dict->capacity ? dict->capacity * 2 : LINEAR_ENTRIES;
    struct jinja_entry *entries = jinja_take(run, capacity, sizeof *entries);
    if (!entries) return false;
    if (dict->n_entries) memcpy(entries, dict->entries, dict->n_entries * sizeof *entries);
    dict->entries = entries;
    dict->capacity = capacity;
    if (capacity > LINEAR_ENTRIES) {
        uint32_t *slots = jinja_take(run, capacity * 2, sizeof *slots);
        if (!slots) return false;
        memset(slots, 0, capacity * 2 * sizeof *slots);
        dict->slots = slots;
        dict->n_slots = capacity * 2;
        for (size_t i = 0; i < dict->n_entries; i++) dict_index(run, dict, i);
    }
    return true;
}

void jinja_dict_set(struct jinja_run *run, struct jinja_dict *dict, struct jinja_value key, struct jinja_value value) {
    bool hashable = key.kind == JINJA_STRING || key.kind == JINJA_NONE || jinja_is_number(key) ||
                    (key.kind == JINJA_LIST && key.list->kind == JINJA_TUPLE);
    if (!hashable) {
        jinja_fail(run, "a %s cannot be the key of a dict", jinja_type_name(key));
        return;
    }
    size_t entry = dict_search(run, dict, key);
    if (run->failed) return;
    if (entry < dict->n_entries) {
        dict->entries[entry].value = value;
        return;
    }
    if (dict->n_entries == dict->capacity && !dict_grow(run, dict)) return;
    dict->entries[dict->n_entries++] = (struct jinja_entry){key, value};
    if (dict->n_slots) dict_index(run, dict, dict->n_entries - 1);
}

struct jinja_value *jinja_dict_find(struct jinja_run *run, const struct jinja_dict *dict, struct jinja_value key) {
    size_t entry = dict_search(run, dict, key);
    return entry < dict->n_entries && !run->failed ? &dict->entries[entry].value : NULL;
}

/* ---- from JSON ------------------------------------------------------------------------------- */
static struct jinja_value object_from_json(struct jinja_run *run, const json_t *json, uint8_t origin) {
    struct jinja_dict *dict = jinja_new_dict(run);
    for (void *it = json_object_iter((json_t *)json); it && !run->failed;
         it = json_object_iter_next((json_t *)json, it)) {
        struct jinja_value key = string_around(run, (struct jinja_string){.bytes = json_object_iter_key(it),
                                                                          .n_bytes = json_object_iter_key_len(it),
                                                                          .origin = origin});
        if (!run->failed) jinja_dict_set(run, dict, key, jinja_from_json(run, json_object_iter_value(it), origin));
    }
    return jinja_from_dict(dict);
}

struct jinja_value jinja_from_json(struct jinja_run *run, const json_t *json, uint8_t origin) {
    switch (json_typeof(json)) {
    case JSON_NULL: return jinja_none();
    case JSON_TRUE: return jinja_bool(true);
    case JSON_FALSE: return jinja_bool(false);
    case JSON_INTEGER: return jinja_int(json_integer_value(json));
    case JSON_REAL: return jinja_float(json_real_value(json));
    case JSON_STRING:
        return string_around(run, (struct jinja_string){.bytes = json_string_value(json),
                                                        .n_bytes = json_string_length(json),
                                                        .origin = origin});
    default: break;
    }
    if (!jinja_enter(run)) return jinja_undefined(NULL);
    struct jinja_value result;
    if (json_is_object(json)) {
        result = object_from_json(run, json, origin);
    } else {
        struct jinja_list *list = jinja_new_list(run, JINJA_PLAIN_LIST, json_array_size(json));
        for (size_t i = 0; list && i < list->n_items && !run->failed; i++)
            list->items[i] = jinja_from_json(run, json_array_get(json, i), origin);
        result = jinja_from_list(list);
    }
    run->depth--;
    return result;
}

/* ---- asking values --------------------------------------------------------------------------- */
const char *jinja_type_name(struct jinja_value v) {
    static const char *const names[] = {"nothing", "undefined", "NoneType",  "bool", "int",   "float",    "str",
                                        "list",    "dict",      "namespace", "loop", "macro", "function", "method"};
    static const char *const lists[] = {"list", "tuple", "range", "dict_keys", "dict_values", "dict_items", "iterator"};
    return v.kind == JINJA_LIST ? lists[v.list->kind] : names[v.kind];
}

bool jinja_truthy(struct jinja_value v) {
    switch (v.kind) {
    case JINJA_MISSING:
    case JINJA_UNDEFINED:
    case JINJA_NONE: return false;
    case JINJA_BOOL: return v.boolean;
    case JINJA_INT: return v.integer != 0;
    case JINJA_FLOAT: return v.real != 0;
    case JINJA_STRING: return v.string->n_bytes > 0;
    case JINJA_LIST: return v.list->kind == JINJA_ITERATOR || v.list->n_items > 0;
    case JINJA_DICT: return v.dict->n_entries > 0;
    default: return true;
    }
}

bool jinja_is_number(struct jinja_value v) {
    return v.kind == JINJA_BOOL || v.kind == JINJA_INT || v.kind == JINJA_FLOAT;
}

double jinja_as_double(struct jinja_value v) {
    return v.kind == JINJA_FLOAT ? v.real : v.kind == JINJA_INT ? (double)v.integer : (double)v.boolean;
}

int64_t jinja_as_int(struct jinja_run *run, struct jinja_value v) {
    if (v.kind == JINJA_INT) return v.integer;
    if (v.kind == JINJA_BOOL) return v.boolean;
    jinja_fail(run, "an integer is needed here, not a %s", jinja_type_name(v));
    return 0;
}

uint8_t jinja_string_origin(const struct jinja_string *s) {
    uint8_t all = s->origins ? 0 : s->origin;
    for (size_t i = 0; s->origins && i < s->n_bytes; i++) all |= s->origins[i];
    return all;
}

bool jinja_string_equals(const struct jinja_string *s, const char *text) {
    return s->n_bytes == strlen(text) && memcmp(s->bytes, text, s->n_bytes) == 0;
}

static bool lists_equal(struct jinja_run *run, const struct jinja_list *a, const struct jinja_list *b) {
    if (a == b) return true;
    if (a->kind != b->kind || a->n_items != b->n_items || a->kind == JINJA_ITERATOR) return false;
    for (size_t i = 0; i < a->n_items; i++)
        if (!jinja_equal(run, a->items[i], b->items[i])) return false;
    return true;
}

static bool dicts_equal(struct jinja_run *run, const struct jinja_dict *a, const struct jinja_dict *b) {
    if (a == b) return true;
    if (a->n_entries != b->n_entries) return false;
    for (size_t i = 0; i < a->n_entries; i++) {
        struct jinja_value *other = jinja_dict_find(run, b, a->entries[i].key);
        if (!other || !jinja_equal(run, a->entries[i].value, *other)) return false;
    }
    return true;
}

/* Exactly: 2**53 + 1 is more than 2.0**53, which no double tells. `d` is a number (not nan). */
static int compare_int_with_double(int64_t i, double d) {
    if (d >= 0x1p63) return -1;
    if (d < -0x1p63) return 1;
    int64_t whole = (int64_t)d;
    if (i != whole) return i < whole ? -1 : 1;
    double rest = d - (double)whole;
    return (rest < 0) - (rest > 0);
}

static int64_t int_of(struct jinja_value v) { return v.kind == JINJA_BOOL ? v.boolean : v.integer; }

/* nan is like everything; who cares asks before. */
static int compare_numbers(struct jinja_value a, struct jinja_value b) {
    if (a.kind == JINJA_FLOAT && b.kind == JINJA_FLOAT) return (a.real > b.real) - (a.real < b.real);
    if (a.kind == JINJA_FLOAT) return isnan(a.real) ? 0 : -compare_int_with_double(int_of(b), a.real);
    if (b.kind == JINJA_FLOAT) return isnan(b.real) ? 0 : compare_int_with_double(int_of(a), b.real);
    return (int_of(a) > int_of(b)) - (int_of(a) < int_of(b));
}

bool jinja_equal(struct jinja_run *run, struct jinja_value a, struct jinja_value b) {
    if (jinja_is_number(a) && jinja_is_number(b))
        return !isnan(jinja_as_double(a)) && !isnan(jinja_as_double(b)) && compare_numbers(a, b) == 0;
    if (a.kind != b.kind) return false;
    if (a.kind == JINJA_NONE || a.kind == JINJA_UNDEFINED) return true;
    if (a.kind == JINJA_STRING) {
        size_t n = a.string->n_bytes;
        return n == b.string->n_bytes && jinja_spend(run, n) && memcmp(a.string->bytes, b.string->bytes, n) == 0;
    }
    if (a.kind != JINJA_LIST && a.kind != JINJA_DICT) return a.dict == b.dict;
    if (!jinja_spend(run, 0) || !jinja_enter(run)) return false;
    bool equal = a.kind == JINJA_LIST ? lists_equal(run, a.list, b.list) : dicts_equal(run, a.dict, b.dict);
    run->depth--;
    return equal;
}

static int compare_lists(struct jinja_run *run, const struct jinja_list *a, const struct jinja_list *b) {
    size_t n = a->n_items < b->n_items ? a->n_items : b->n_items;
    for (size_t i = 0; i < n && !run->failed; i++)
        if (!jinja_equal(run, a->items[i], b->items[i])) return jinja_compare(run, a->items[i], b->items[i]);
    return (a->n_items > b->n_items) - (a->n_items < b->n_items);
}

int jinja_compare(struct jinja_run *run, struct jinja_value a, struct jinja_value b) {
    if (jinja_is_number(a) && jinja_is_number(b)) return compare_numbers(a, b);
    if (a.kind == JINJA_STRING && b.kind == JINJA_STRING) {
        size_t n = a.string->n_bytes < b.string->n_bytes ? a.string->n_bytes : b.string->n_bytes;
        jinja_spend(run, n);
        int order = memcmp(a.string->bytes, b.string->bytes, n);
        return order ? order : (a.string->n_bytes > b.string->n_bytes) - (a.string->n_bytes < b.string->n_bytes);
    }
    bool lists = a.kind == JINJA_LIST && b.kind == JINJA_LIST && a.list->kind == b.list->kind &&
                 (a.list->kind == JINJA_PLAIN_LIST || a.list->kind == JINJA_TUPLE);
    if (!lists) {
        jinja_fail(run, "a %s and a %s have no order", jinja_type_name(a), jinja_type_name(b));
        return 0;
    }
    if (!jinja_enter(run)) return 0;
    int order = compare_lists(run, a.list, b.list);
    run->depth--;
    return order;
}

bool jinja_contains(struct jinja_run *run, struct jinja_value container, struct jinja_value item) {
    if (container.kind == JINJA_STRING) {
        if (item.kind != JINJA_STRING) {
            jinja_fail(run, "'in' a string needs a string on the left, not a %s", jinja_type_name(item));
            return false;
        }
        const struct jinja_string *s = container.string, *part = item.string;
        return jinja_spend(run, s->n_bytes) &&
               (part->n_bytes == 0 || memmem(s->bytes, s->n_bytes, part->bytes, part->n_bytes));
    }
    if (container.kind == JINJA_DICT) return jinja_dict_find(run, container.dict, item) != NULL;
    struct jinja_list *list = jinja_iterate(run, container);
    for (size_t i = 0; list && i < list->n_items && jinja_spend(run, 0); i++)
        if (jinja_equal(run, list->items[i], item)) return true;
    return false;
}

static struct jinja_list *characters(struct jinja_run *run, const struct jinja_string *s) {
    struct jinja_list *list = jinja_new_list(run, JINJA_PLAIN_LIST, s->n_bytes);
    size_t n = 0;
    for (size_t at = 0; list && at < s->n_bytes && !run->failed;) {
        int32_t codepoint;
        int length = utf8_decode(s->bytes + at, s->n_bytes - at, &codepoint);
        list->items[n++] = jinja_substring(run, s, at, at + (size_t)length);
        at += (size_t)length;
    }
    if (list) list->n_items = n;
    return list;
}

struct jinja_list *jinja_iterate(struct jinja_run *run, struct jinja_value v) {
    struct jinja_list *list;
    switch (v.kind) {
    case JINJA_STRING: return characters(run, v.string);
    case JINJA_UNDEFINED: return jinja_new_list(run, JINJA_PLAIN_LIST, 0);
    case JINJA_DICT:
        list = jinja_new_list(run, JINJA_PLAIN_LIST, v.dict->n_entries);
        for (size_t i = 0; list && i < list->n_items; i++) list->items[i] = v.dict->entries[i].key;
        return list;
    case JINJA_LIST:
        if (v.list->kind != JINJA_ITERATOR) return v.list;
        list = jinja_take(run, 1, sizeof *list);
        if (list) *list = *v.list;
        v.list->n_items = 0;
        return list;
    default: jinja_fail(run, "a %s cannot be looped over", jinja_type_name(v)); return NULL;
    }
}

int64_t jinja_length(struct jinja_run *run, struct jinja_value v) {
    if (v.kind == JINJA_UNDEFINED) return 0;
    if (v.kind == JINJA_DICT) return (int64_t)v.dict->n_entries;
    if (v.kind == JINJA_LIST && v.list->kind != JINJA_ITERATOR) return (int64_t)v.list->n_items;
    if (v.kind == JINJA_STRING) {
        int64_t n_chars = 0;
        jinja_spend(run, v.string->n_bytes);
        for (size_t i = 0; i < v.string->n_bytes; i++) n_chars += ((unsigned char)v.string->bytes[i] & 0xC0) != 0x80;
        return n_chars;
    }
    jinja_fail(run, "a %s has no length", jinja_type_name(v));
    return -1;
}

/* ---- writing strings ------------------------------------------------------------------------- */
struct jinja_writer jinja_writer_make(struct jinja_run *run) {
    return (struct jinja_writer){.run = run};
}

static bool writer_reserve(struct jinja_writer *w, size_t extra) {
    if (w->run->failed) return false;
    if (extra > TEMPLATE_MAX_OUTPUT - w->n_bytes) {
        jinja_fail(w->run, "the text grows beyond %zu MiB", TEMPLATE_MAX_OUTPUT >> 20);
        return false;
    }
    if (w->n_bytes + extra <= w->capacity) return true;
    size_t capacity = w->capacity ? w->capacity * 2 : 64;
    while (capacity < w->n_bytes + extra) capacity *= 2;
    char *bytes = jinja_take(w->run, capacity, 1);
    uint8_t *origins = w->origins ? jinja_take(w->run, capacity, 1) : NULL;
    if (!bytes || (w->origins && !origins)) return false;
    if (w->n_bytes) memcpy(bytes, w->bytes, w->n_bytes);
    if (w->origins) memcpy(origins, w->origins, w->n_bytes);
    w->bytes = bytes;
    w->origins = origins;
    w->capacity = capacity;
    return true;
}

/* Goes over to one origin a byte. */
static bool writer_mix(struct jinja_writer *w) {
    if (w->origins) return true;
    w->origins = jinja_take(w->run, w->capacity, 1);
    if (w->origins && w->n_bytes) memset(w->origins, w->origin, w->n_bytes);
    return w->origins != NULL;
}

void jinja_write(struct jinja_writer *w, const char *bytes, size_t n, uint8_t origin) {
    origin |= w->mark;
    if (n == 0 || !writer_reserve(w, n)) return;
    if (w->n_bytes == 0 && !w->origins) w->origin = origin;
    if (origin != w->origin && !writer_mix(w)) return;
    memcpy(w->bytes + w->n_bytes, bytes, n);
    if (w->origins) memset(w->origins + w->n_bytes, origin, n);
    w->n_bytes += n;
}

void jinja_write_text(struct jinja_writer *w, const char *text) { jinja_write(w, text, strlen(text), 0); }

void jinja_write_part(struct jinja_writer *w, const struct jinja_string *s, size_t begin, size_t end) {
    if (!s->origins) {
        jinja_write(w, s->bytes + begin, end - begin, s->origin);
        return;
    }
    for (size_t at = begin; at < end && !w->run->failed;) {
        size_t stop = at + 1;
        while (stop < end && s->origins[stop] == s->origins[at]) stop++;
        jinja_write(w, s->bytes + at, stop - at, s->origins[at]);
        at = stop;
    }
}

void jinja_write_string(struct jinja_writer *w, const struct jinja_string *s) { jinja_write_part(w, s, 0, s->n_bytes); }

struct jinja_value jinja_writer_string(struct jinja_writer *w) {
    return string_around(w->run, (struct jinja_string){.bytes = w->n_bytes ? w->bytes : "",
                                                       .n_bytes = w->n_bytes,
                                                       .origins = w->origins,
                                                       .origin = w->origin});
}
