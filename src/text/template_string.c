/* template_string.c - string operations of chat templates; every byte keeps its origin. */
#include "text/template_string.h"

#include <string.h>

#ifdef HAVE_UTF8PROC
#include <utf8proc.h>
#endif

#include "base/utf8.h"

/* ---- characters ------------------------------------------------------------------------------ */
bool jinja_is_space(int32_t c) {
    return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool jinja_is_name_byte(unsigned char c, bool first) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80 ||
           (!first && c >= '0' && c <= '9');
}

#ifdef HAVE_UTF8PROC
bool jinja_is_printable(int32_t c) {
    utf8proc_category_t category = utf8proc_category(c);
    return c == ' ' || (category != UTF8PROC_CATEGORY_CN && category < UTF8PROC_CATEGORY_ZS);
}
static int32_t to_upper(int32_t c) { return utf8proc_toupper(c); }
static int32_t to_lower(int32_t c) { return utf8proc_tolower(c); }
static bool is_letter(int32_t c) {
    utf8proc_category_t category = utf8proc_category(c);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LT;
}
#else
/* Without Unicode tables: ASCII letters have case, and the characters that are not shown are the well-known ones. */
bool jinja_is_printable(int32_t c) {
    bool control = c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || (c >= 0x200b && c <= 0x200f) ||
                   (c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || (c >= 0xe000 && c <= 0xf8ff) ||
                   c == 0xfeff || (c >= 0xfff0 && c <= 0xfffb) || (c & 0xfffe) == 0xfffe || c >= 0xe0000;
    return c == ' ' || (!control && !jinja_is_space(c));
}
static int32_t to_upper(int32_t c) { return c >= 'a' && c <= 'z' ? c - 32 : c; }
static int32_t to_lower(int32_t c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }
static bool is_letter(int32_t c) { return to_upper(c) != to_lower(c); }
#endif

static bool begins_word(int32_t previous, enum jinja_case how) {
    if (how == JINJA_TITLE) return !is_letter(previous);
    return jinja_is_space(previous) || (previous > 0 && previous < 0x80 && strchr("-({[<", (int)previous));
}

struct jinja_value jinja_change_case(struct jinja_run *run, const struct jinja_string *s, enum jinja_case how) {
    struct jinja_writer w = jinja_writer_make(run);
    int32_t previous = ' ';
    for (size_t at = 0; at < s->n_bytes && !run->failed;) {
        int32_t c;
        int n = utf8_decode(s->bytes + at, s->n_bytes - at, &c);
        bool upper = how == JINJA_UPPER || (how == JINJA_CAPITALIZE && at == 0) ||
                     (how >= JINJA_TITLE && begins_word(previous, how));
        char changed[4];
        int n_changed = utf8_encode(upper ? to_upper(c) : to_lower(c), changed);
        jinja_write(&w, changed, (size_t)n_changed, s->origins ? s->origins[at] : s->origin);
        previous = c;
        at += (size_t)n;
    }
    return jinja_writer_string(&w);
}

int64_t jinja_char_index(const struct jinja_string *s, size_t byte) {
    int64_t n = 0;
    for (size_t i = 0; i < byte; i++) n += ((unsigned char)s->bytes[i] & 0xC0) != 0x80;
    return n;
}

size_t jinja_byte_index(const struct jinja_string *s, int64_t chars) {
    size_t at = 0;
    while (at < s->n_bytes && chars > 0) {
        at++;
        while (at < s->n_bytes && ((unsigned char)s->bytes[at] & 0xC0) == 0x80) at++;
        chars--;
    }
    return at;
}

/* ---- searching and cutting ------------------------------------------------------------------- */
/* The character that ends at byte `end` (> 0): where it begins. */
static size_t char_before(const struct jinja_string *s, size_t end) {
    size_t at = end - 1;
    while (at > 0 && ((unsigned char)s->bytes[at] & 0xC0) == 0x80) at--;
    return at;
}

/* True when the character at [begin, end) is in the set; NULL is white space. */
static bool in_set(const struct jinja_string *s, size_t begin, size_t end, const struct jinja_string *chars) {
    if (!chars) {
        int32_t c;
        utf8_decode(s->bytes + begin, end - begin, &c);
        return jinja_is_space(c);
    }
    return memmem(chars->bytes, chars->n_bytes, s->bytes + begin, end - begin) != NULL;
}

struct jinja_value jinja_strip(struct jinja_run *run, const struct jinja_string *s, const struct jinja_string *chars,
                               enum jinja_side side) {
    size_t begin = 0, end = s->n_bytes;
    size_t n_set = chars ? chars->n_bytes : 0;
    while ((side & JINJA_LEFT) && begin < end && jinja_spend(run, n_set)) {
        size_t next =
            begin + jinja_byte_index(&(struct jinja_string){.bytes = s->bytes + begin, .n_bytes = end - begin}, 1);
        if (!in_set(s, begin, next, chars)) break;
        begin = next;
    }
    while ((side & JINJA_RIGHT) && end > begin && jinja_spend(run, n_set)) {
        size_t before = char_before(s, end);
        if (!in_set(s, before, end, chars)) break;
        end = before;
    }
    return jinja_substring(run, s, begin, end);
}

bool jinja_starts_with(const struct jinja_string *s, const struct jinja_string *part, size_t at) {
    return at <= s->n_bytes && part->n_bytes <= s->n_bytes - at &&
           memcmp(s->bytes + at, part->bytes, part->n_bytes) == 0;
}

int64_t jinja_find(struct jinja_run *run, const struct jinja_string *s, const struct jinja_string *part, size_t from,
                   bool last) {
    if (from > s->n_bytes || part->n_bytes > s->n_bytes - from) return -1;
    if (!last) {
        if (part->n_bytes == 0) return (int64_t)from;
        const char *found = memmem(s->bytes + from, s->n_bytes - from, part->bytes, part->n_bytes);
        size_t stop = found ? (size_t)(found - s->bytes) : s->n_bytes;
        return jinja_spend(run, stop - from) && found ? (int64_t)stop : -1; /* what was looked at */
    }
    for (size_t at = s->n_bytes - part->n_bytes + 1; at > from; at--) {
        if (jinja_starts_with(s, part, at - 1)) return (int64_t)at - 1;
        if ((at % 32 == 0 || part->n_bytes > 64) && !jinja_spend(run, part->n_bytes)) return -1;
    }
    return -1;
}

/* ---- splitting ------------------------------------------------------------------------------- */
struct cut {
    size_t begin, end; /* a piece */
};
struct cuts {
    struct jinja_run *run;
    struct cut *items;
    size_t n, capacity;
};

static void add_cut(struct cuts *cuts, size_t begin, size_t end) {
    if (cuts->n == cuts->capacity) {
        size_t capacity = cuts->capacity ? cuts->capacity * 2 : 8;
        struct cut *items = jinja_take(cuts->run, capacity, sizeof *items);
        if (!items) return;
        if (cuts->n) memcpy(items, cuts->items, cuts->n * sizeof *items);
        cuts->items = items;
        cuts->capacity = capacity;
    }
    cuts->items[cuts->n++] = (struct cut){begin, end};
}

static struct jinja_list *pieces_of(const struct cuts *cuts, const struct jinja_string *s, bool backwards) {
    struct jinja_list *list = jinja_new_list(cuts->run, JINJA_PLAIN_LIST, cuts->n);
    for (size_t i = 0; list && i < cuts->n && !cuts->run->failed; i++) {
        const struct cut *cut = &cuts->items[backwards ? cuts->n - 1 - i : i];
        list->items[i] = jinja_substring(cuts->run, s, cut->begin, cut->end);
    }
    return list;
}

static void cut_at_text(struct cuts *cuts, const struct jinja_string *s, const struct jinja_string *separator,
                        int64_t max_splits) {
    size_t begin = 0;
    while ((max_splits < 0 || (int64_t)cuts->n < max_splits) && !cuts->run->failed) {
        const char *found = memmem(s->bytes + begin, s->n_bytes - begin, separator->bytes, separator->n_bytes);
        if (!found) break;
        add_cut(cuts, begin, (size_t)(found - s->bytes));
        begin = (size_t)(found - s->bytes) + separator->n_bytes;
    }
    add_cut(cuts, begin, s->n_bytes);
}

/* Pieces from the last to the first. */
static void cut_at_text_from_right(struct cuts *cuts, const struct jinja_string *s,
                                   const struct jinja_string *separator, int64_t max_splits) {
    struct jinja_string rest = *s;
    while ((max_splits < 0 || (int64_t)cuts->n < max_splits) && !cuts->run->failed) {
        int64_t found = jinja_find(cuts->run, &rest, separator, 0, true);
        if (found < 0) break;
        add_cut(cuts, (size_t)found + separator->n_bytes, rest.n_bytes);
        rest.n_bytes = (size_t)found;
    }
    add_cut(cuts, 0, rest.n_bytes);
}

static size_t skip_while(const struct jinja_string *s, size_t at, bool space, bool backwards) {
    while (backwards ? at > 0 : at < s->n_bytes) {
        size_t from = backwards ? char_before(s, at) : at;
        int32_t c;
        int n = utf8_decode(s->bytes + from, s->n_bytes - from, &c);
        if (jinja_is_space(c) != space) break;
        at = backwards ? from : at + (size_t)n;
    }
    return at;
}

/* At runs of white space; the piece that is left after max_splits keeps its inner and outer end as Python does. */
static void cut_at_space(struct cuts *cuts, const struct jinja_string *s, int64_t max_splits, bool from_right) {
    size_t at = skip_while(s, from_right ? s->n_bytes : 0, true, from_right);
    while ((from_right ? at > 0 : at < s->n_bytes) && !cuts->run->failed) {
        bool rest = max_splits >= 0 && (int64_t)cuts->n >= max_splits;
        size_t stop = rest ? (from_right ? 0 : s->n_bytes) : skip_while(s, at, false, from_right);
        add_cut(cuts, from_right ? stop : at, from_right ? at : stop);
        at = skip_while(s, stop, true, from_right);
    }
}

struct jinja_value jinja_split(struct jinja_run *run, const struct jinja_string *s,
                               const struct jinja_string *separator, int64_t max_splits, bool from_right) {
    struct cuts cuts = {.run = run};
    if (separator && separator->n_bytes == 0) return jinja_fail(run, "split: the separator is empty");
    if (!jinja_spend(run, s->n_bytes)) return jinja_undefined(NULL);
    if (!separator)
        cut_at_space(&cuts, s, max_splits, from_right);
    else if (from_right)
        cut_at_text_from_right(&cuts, s, separator, max_splits);
    else
        cut_at_text(&cuts, s, separator, max_splits);
    return jinja_from_list(pieces_of(&cuts, s, from_right));
}

static bool ends_line(int32_t c) {
    return (c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

struct jinja_list *jinja_split_lines(struct jinja_run *run, const struct jinja_string *s, bool keep_ends) {
    struct cuts cuts = {.run = run};
    size_t begin = 0;
    for (size_t at = 0; at < s->n_bytes && !run->failed;) {
        int32_t c;
        size_t next = at + (size_t)utf8_decode(s->bytes + at, s->n_bytes - at, &c);
        if (ends_line(c)) {
            if (c == '\r' && next < s->n_bytes && s->bytes[next] == '\n') next++;
            add_cut(&cuts, begin, keep_ends ? next : at);
            begin = next;
        }
        at = next;
    }
    if (begin < s->n_bytes) add_cut(&cuts, begin, s->n_bytes);
    return pieces_of(&cuts, s, false);
}

/* ---- putting together ------------------------------------------------------------------------ */
struct jinja_value jinja_replace(struct jinja_run *run, const struct jinja_string *s,
                                 const struct jinja_string *old_text, const struct jinja_string *new_text,
                                 int64_t max_count) {
    struct jinja_writer w = jinja_writer_make(run);
    size_t at = 0;
    for (int64_t n = 0; (max_count < 0 || n < max_count) && !run->failed; n++) {
        const char *found = memmem(s->bytes + at, s->n_bytes - at, old_text->bytes, old_text->n_bytes);
        if (!found) break;
        size_t place = (size_t)(found - s->bytes);
        jinja_write_part(&w, s, at, place);
        jinja_write_string(&w, new_text);
        at = place + old_text->n_bytes;
        if (old_text->n_bytes > 0) continue;
        if (at >= s->n_bytes) break; /* an empty text is found before every character and at the end */
        size_t next =
            at + jinja_byte_index(&(struct jinja_string){.bytes = s->bytes + at, .n_bytes = s->n_bytes - at}, 1);
        jinja_write_part(&w, s, at, next);
        at = next;
    }
    jinja_write_part(&w, s, at, s->n_bytes);
    jinja_spend(run, s->n_bytes);
    return jinja_writer_string(&w);
}

struct jinja_value jinja_join(struct jinja_run *run, const struct jinja_string *separator,
                              const struct jinja_list *items) {
    struct jinja_writer w = jinja_writer_make(run);
    for (size_t i = 0; i < items->n_items && jinja_spend(run, 0); i++) {
        if (i) jinja_write_string(&w, separator);
        jinja_write_str(&w, items->items[i]);
    }
    return jinja_writer_string(&w);
}

struct jinja_value jinja_repeat(struct jinja_run *run, const struct jinja_string *s, int64_t n) {
    struct jinja_writer w = jinja_writer_make(run);
    if (s->n_bytes == 0) n = 0;
    for (int64_t i = 0; i < n && jinja_spend(run, s->n_bytes); i++) jinja_write_string(&w, s);
    return jinja_writer_string(&w);
}

struct jinja_value jinja_escape(struct jinja_run *run, const struct jinja_string *s) {
    static const char from[] = "&<>'\"";
    static const char *const to[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    struct jinja_string *markup = jinja_take(run, 1, sizeof *markup);
    struct jinja_writer w = jinja_writer_make(run);
    for (size_t i = 0; i < s->n_bytes && !run->failed; i++) {
        const char *found = s->markup || !s->bytes[i] ? NULL : strchr(from, s->bytes[i]);
        const char *text = found ? to[found - from] : s->bytes + i;
        jinja_write(&w, text, found ? strlen(text) : 1, s->origins ? s->origins[i] : s->origin);
    }
    struct jinja_value escaped = jinja_writer_string(&w);
    if (run->failed) return jinja_undefined(NULL);
    *markup = *escaped.string;
    markup->markup = true;
    return jinja_from_string(markup);
}

struct jinja_value jinja_concat(struct jinja_run *run, const struct jinja_string *a, const struct jinja_string *b) {
    bool markup = a->markup || b->markup;
    struct jinja_value left = jinja_from_string(a), right = jinja_from_string(b);
    if (markup) {
        left = jinja_escape(run, a);
        right = jinja_escape(run, b);
        if (run->failed) return jinja_undefined(NULL);
    }
    struct jinja_writer w = jinja_writer_make(run);
    jinja_write_string(&w, left.string);
    jinja_write_string(&w, right.string);
    struct jinja_value joined = jinja_writer_string(&w);
    if (!markup || run->failed) return joined;
    struct jinja_string *result = jinja_take(run, 1, sizeof *result);
    if (!result) return jinja_undefined(NULL);
    *result = *joined.string;
    result->markup = true;
    return jinja_from_string(result);
}

/* ---- slices and sorting ---------------------------------------------------------------------- */
/* A slice's bound as a position in [low, high]; `none` is what an absent bound means. */
static int64_t slice_bound(struct jinja_run *run, struct jinja_value bound, int64_t length, int64_t low, int64_t high,
                           int64_t none) {
    if (bound.kind == JINJA_NONE || bound.kind == JINJA_MISSING) return none;
    int64_t i = jinja_as_int(run, bound);
    if (i < 0) i = i < -length ? low : i + length;
    return i < low ? low : i > high ? high : i;
}

static struct jinja_value slice_string(struct jinja_run *run, const struct jinja_string *s, int64_t start, int64_t n,
                                       int64_t step) {
    if (n == 0) return jinja_substring(run, s, 0, 0);
    if (step == 1) {
        size_t begin = jinja_byte_index(s, start);
        struct jinja_string rest = {.bytes = s->bytes + begin, .n_bytes = s->n_bytes - begin};
        return jinja_substring(run, s, begin, begin + jinja_byte_index(&rest, n));
    }
    struct jinja_list *chars = jinja_iterate(run, jinja_from_string(s));
    struct jinja_writer w = jinja_writer_make(run);
    for (int64_t i = 0; chars && i < n && !run->failed; i++)
        jinja_write_string(&w, chars->items[start + i * step].string);
    return jinja_writer_string(&w);
}

struct jinja_value jinja_slice(struct jinja_run *run, struct jinja_value of, struct jinja_value start_value,
                               struct jinja_value stop_value, struct jinja_value step_value) {
    bool list = of.kind == JINJA_LIST && of.list->kind <= JINJA_RANGE;
    if (of.kind != JINJA_STRING && !list) return jinja_fail(run, "a %s cannot be sliced", jinja_type_name(of));
    int64_t length = jinja_length(run, of);
    int64_t step =
        step_value.kind == JINJA_NONE || step_value.kind == JINJA_MISSING ? 1 : jinja_as_int(run, step_value);
    if (run->failed) return jinja_undefined(NULL);
    if (step == 0) return jinja_fail(run, "the step of a slice is zero");
    if (step > length + 1) step = length + 1; /* one step leaves the sequence either way; keeps the sums small */
    if (step < -length - 1) step = -length - 1;
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? length : length - 1;
    int64_t start = slice_bound(run, start_value, length, low, high, step > 0 ? 0 : length - 1);
    int64_t stop = slice_bound(run, stop_value, length, low, high, step > 0 ? length : -1);
    if (run->failed) return jinja_undefined(NULL);
    int64_t n = step > 0 ? (stop - start + step - 1) / step : (start - stop - step - 1) / -step;
    if (n < 0 || (step > 0 ? start >= stop : start <= stop)) n = 0;
    if (of.kind == JINJA_STRING) return slice_string(run, of.string, start, n, step);
    struct jinja_list *result = jinja_new_list(run, of.list->kind, (size_t)n);
    for (int64_t i = 0; result && i < n; i++) result->items[i] = of.list->items[start + i * step];
    return jinja_from_list(result);
}

void jinja_sort(struct jinja_run *run, struct jinja_list *list,
                int (*compare)(struct jinja_run *run, struct jinja_value a, struct jinja_value b)) {
    size_t n = list->n_items;
    struct jinja_value *from = list->items, *to = jinja_take(run, n, sizeof *to);
    if (!to) return;
    for (size_t width = 1; width < n && !run->failed; width *= 2) {
        for (size_t begin = 0; begin < n; begin += 2 * width) {
            size_t middle = begin + width < n ? begin + width : n, end = begin + 2 * width < n ? begin + 2 * width : n;
            size_t left = begin, right = middle;
            for (size_t i = begin; i < end; i++) {
                bool take_left = left < middle &&
                                 (right >= end || (jinja_spend(run, 0) && compare(run, from[left], from[right]) <= 0));
                to[i] = take_left ? from[left++] : right < end ? from[right++] : from[left++];
            }
        }
        struct jinja_value *swap = from;
        from = to;
        to = swap;
    }
    if (from != list->items) list->items = from;
}
