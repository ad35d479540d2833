/* normalize.c - see normalize.h. Normal form C looks for characters that it could change (a table knows them) and works
 * only on these and the character before them. Marks are put in order by counting, not by exchanging neighbours, so
 * that a text of nothing but marks takes no longer than any other. */
#include "text/normalize.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/scan.h"

#ifdef HAVE_UTF8PROC
#include <utf8proc.h>
#endif

static void step_free(struct normalizer_step *step) {
    free(step->what);
    free(step->with);
    regex_free(step->regex);
    charsmap_free(step->charsmap);
}

bool normalizer_add(struct normalizer *normalizer, struct normalizer_step step, struct talc_error *err) {
    if (normalizer->n_steps < NORMALIZER_MAX_STEPS) {
        normalizer->steps[normalizer->n_steps++] = step;
        return true;
    }
    step_free(&step);
    return talc_fail(err, "more than %d normalizers are not supported", NORMALIZER_MAX_STEPS);
}

void normalizer_free(struct normalizer *normalizer) {
    for (int i = 0; i < normalizer->n_steps; i++) step_free(&normalizer->steps[i]);
    *normalizer = (struct normalizer){0};
}

/* ==== normal forms ============================================================================ */

#ifdef HAVE_UTF8PROC

bool normalizer_available(enum normalizer_kind kind) {
    (void)kind;
    return true;
}

/* The normal forms of Hugging Face's `tokenizers` are those of Unicode 9: what is younger stays as and where it is. */
static bool is_left_alone(int32_t codepoint) { return unicode_class(codepoint) & UNICODE_FORM_AFTER_9; }

struct codepoints {
    int32_t *values;
    size_t count, capacity;
};

static bool codepoints_reserve(struct codepoints *list, size_t extra) {
    if (list->capacity - list->count >= extra) return true;
    size_t capacity = list->capacity * 2 + extra + 64;
    int32_t *values = realloc(list->values, capacity * sizeof *values);
    if (!values) return false;
    list->values = values;
    list->capacity = capacity;
    return true;
}

static bool decompose(const char *text, size_t n, utf8proc_option_t options, struct codepoints *list) {
    int boundary = 0;
    for (size_t i = 0; i < n;) {
        int32_t codepoint;
        i += (size_t)utf8_decode(text + i, n - i, &codepoint);
        if (!codepoints_reserve(list, 32)) return false; /* no character has more than 18 */
        if (is_left_alone(codepoint)) {
            list->values[list->count++] = codepoint;
            continue;
        }
        utf8proc_ssize_t got = utf8proc_decompose_char(codepoint, list->values + list->count, 32, options, &boundary);
        if (got < 0 || got > 32) return false;
        list->count += (size_t)got;
    }
    return true;
}

static int combining_class(int32_t codepoint) {
    return is_left_alone(codepoint) ? 0 : utf8proc_get_property(codepoint)->combining_class;
}

/* Orders a run of marks by combining class; those of one class keep their order. */
static bool order_marks(int32_t *marks, size_t n) {
    if (n < 24) {
        for (size_t i = 1; i < n; i++) {
            int32_t mark = marks[i];
            size_t j = i;
            for (; j > 0 && combining_class(marks[j - 1]) > combining_class(mark); j--) marks[j] = marks[j - 1];
            marks[j] = mark;
        }
        return true;
    }
    size_t starts[257] = {0};
    int32_t *ordered = malloc(n * sizeof *ordered);
    if (!ordered) return false;
    for (size_t i = 0; i < n; i++) starts[combining_class(marks[i]) + 1]++;
    for (int i = 0; i < 256; i++) starts[i + 1] += starts[i];
    for (size_t i = 0; i < n; i++) ordered[starts[combining_class(marks[i])]++] = marks[i];
    memcpy(marks, ordered, n * sizeof *marks);
    free(ordered);
    return true;
}

static bool order_all_marks(struct codepoints *list) {
    for (size_t i = 0; i < list->count;) {
        size_t end = i;
        while (end < list->count && combining_class(list->values[end]) != 0) end++;
        if (end - i > 1 && !order_marks(list->values + i, end - i)) return false;
        i = end + 1;
    }
    return true;
}

/* Composes what lies between characters that are left alone. */
static bool compose(struct codepoints *list) {
    size_t kept = 0;
    for (size_t begin = 0, end; begin < list->count; begin = end) {
        end = begin + 1;
        while (end < list->count && !is_left_alone(list->values[begin]) && !is_left_alone(list->values[end])) end++;
        utf8proc_ssize_t count = (utf8proc_ssize_t)(end - begin);
        int32_t *part = list->values + begin;
        if (count > 1) count = utf8proc_normalize_utf32(part, count, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
        if (count < 0) return false;
        memmove(list->values + kept, part, (size_t)count * sizeof *part);
        kept += (size_t)count;
    }
    list->count = kept;
    return true;
}

/* Appends a normal form of text, which is valid UTF-8. */
static bool append_form(const char *text, size_t n, utf8proc_option_t options, struct buffer *out) {
    struct codepoints list = {0};
    bool ok = decompose(text, n, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE | (options & UTF8PROC_COMPAT), &list) &&
              order_all_marks(&list);
    if (ok && (options & UTF8PROC_COMPOSE)) ok = compose(&list);
    for (size_t i = 0; ok && i < list.count; i++) {
        char character[4];
        buffer_append(out, character, (size_t)utf8_encode(list.values[i], character));
    }
    free(list.values);
    return ok;
}

static bool apply_nfc(const char *text, size_t n, struct buffer *out) {
    size_t done = 0;
    for (size_t i = 0; i < n;) {
        unsigned class;
        if ((unsigned char)text[i] < 0xcc) { /* below U+0300 */
            i++;
            continue;
        }
        size_t length = scan_character(text, n, i, &class);
        if (!(class & UNICODE_NFC_MAYBE)) {
            i += length;
            continue;
        }
        unsigned before;
        size_t begin = i > 0 ? i - scan_character_before(text, i, &before) : 0;
        if (begin < done) begin = i;
        while (i < n) {
            length = scan_character(text, n, i, &class);
            if (!(class & UNICODE_NFC_MAYBE)) break;
            i += length;
        }
        buffer_append(out, text + done, begin - done);
        if (!append_form(text + begin, i - begin, UTF8PROC_COMPOSE, out)) return false;
        done = i;
    }
    if (done) buffer_append(out, text + done, n - done);
    return true;
}

static bool is_ascii(const char *text, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (text[i] & 0x80) return false;
    return true;
}

static bool apply_form(enum normalizer_kind kind, const char *text, size_t n, struct buffer *out) {
    if (kind == NORMALIZER_NFC) return apply_nfc(text, n, out);
    if (is_ascii(text, n)) return true;
    utf8proc_option_t options = kind == NORMALIZER_NFKC   ? UTF8PROC_COMPAT | UTF8PROC_COMPOSE
                                : kind == NORMALIZER_NFKD ? UTF8PROC_COMPAT
                                                          : 0;
    for (size_t i = 0; i < n;) {
        size_t valid = utf8_valid_prefix(text + i, n - i);
        if (!append_form(text + i, valid, options, out)) return false;
        i += valid;
        if (i < n) buffer_append_char(out, text[i++]);
    }
    return true;
}

static void apply_lowercase(const char *text, size_t n, struct buffer *out) {
    for (size_t i = 0; i < n;) {
        int32_t codepoint;
        char character[4];
        size_t length = (size_t)utf8_decode(text + i, n - i, &codepoint);
        if (codepoint < 0)
            buffer_append_char(out, text[i]);
        else if (codepoint == 0x130) /* the one character whose lower case is two */
            buffer_append(out, "i\xcc\x87", 3);
        else
            buffer_append(out, character, (size_t)utf8_encode(utf8proc_tolower(codepoint), character));
        i += length;
    }
}

/* ==== BERT ==================================================================================== */

/* The blocks of ideographs that BERT's tokenizer lists. */
static bool is_listed_ideograph(int32_t c) {
    static const int32_t ranges[][2] = {{0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xf900, 0xfaff},   {0x20000, 0x2a6df},
                                        {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf}, {0x2f800, 0x2fa1f}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1]) return true;
    return false;
}

static void clean_text(const struct normalizer_step *step, const char *text, size_t n, struct buffer *out) {
    for (size_t i = 0, length; i < n; i += length) {
        int32_t codepoint;
        length = (size_t)utf8_decode(text + i, n - i, &codepoint);
        unsigned class = unicode_class(codepoint);
        bool space = class & UNICODE_SPACE;
        bool line = codepoint == '\t' || codepoint == '\n' || codepoint == '\r';
        bool other = codepoint == 0 || codepoint == 0xfffd || (!line && (class & UNICODE_8_OTHER));
        bool around = step->bert.chinese && codepoint >= 0 && is_listed_ideograph(codepoint);
        if (step->bert.clean && other) continue;
        if (around) buffer_append_char(out, ' ');
        if (step->bert.clean && space)
            buffer_append_char(out, ' ');
        else
            buffer_append(out, text + i, length);
        if (around) buffer_append_char(out, ' ');
    }
}

static void drop_marks(const char *text, size_t n, struct buffer *out) {
    for (size_t i = 0, length; i < n; i += length) {
        unsigned class;
        length = scan_character(text, n, i, &class);
        if (!(class & UNICODE_8_MARK)) buffer_append(out, text + i, length);
    }
}

static bool apply_bert(const struct normalizer_step *step, const char *text, size_t n, struct buffer *out) {
    struct buffer clean = {0}, apart = {0}, bare = {0};
    const struct buffer *last = &clean;
    clean_text(step, text, n, &clean);
    bool ok = buffer_ok(&clean);
    if (ok && step->bert.strip_accents && clean.length && !is_ascii(clean.data, clean.length)) {
        ok = apply_form(NORMALIZER_NFD, clean.data, clean.length, &apart);
        if (ok) drop_marks(apart.data, apart.length, &bare);
        last = &bare;
    }
    if (ok && step->bert.lowercase)
        apply_lowercase(last->data, last->length, out);
    else if (ok && last->length)
        buffer_append(out, last->data, last->length);
    ok = ok && buffer_ok(&apart) && buffer_ok(&bare);
    buffer_free(&clean);
    buffer_free(&apart);
    buffer_free(&bare);
    return ok;
}

#else

bool normalizer_available(enum normalizer_kind kind) {
    return kind > NORMALIZER_LOWERCASE && kind != NORMALIZER_PRECOMPILED && kind != NORMALIZER_BERT;
}

static bool apply_form(enum normalizer_kind kind, const char *text, size_t n, struct buffer *out) {
    (void)kind, (void)text, (void)n, (void)out;
    return false;
}

static void apply_lowercase(const char *text, size_t n, struct buffer *out) { buffer_append(out, text, n); }

static bool apply_bert(const struct normalizer_step *step, const char *text, size_t n, struct buffer *out) {
    (void)step, (void)text, (void)n, (void)out;
    return false;
}

#endif

/* ==== the others ============================================================================== */

static void apply_strip(const struct normalizer_step *step, unsigned open_ends, const char **text, size_t *n) {
    bool left = step->left && !(open_ends & NORMALIZER_CONTINUES);
    bool right = step->right && !(open_ends & NORMALIZER_GOES_ON);
    size_t begin = left ? scan_run(*text, *n, 0, UNICODE_SPACE) : 0, end = *n;
    for (size_t at = begin, class_end; right && at < *n; at = class_end) {
        class_end = scan_until(*text, *n, at, UNICODE_SPACE);
        end = class_end;
        class_end = scan_run(*text, *n, class_end, UNICODE_SPACE);
    }
    *text += begin;
    *n = end > begin ? end - begin : 0;
}

static void apply_strip_accents(const char *text, size_t n, struct buffer *out) {
    for (size_t i = 0; i < n;) {
        size_t end = scan_until(text, n, i, UNICODE_MARK);
        buffer_append(out, text + i, end - i);
        i = scan_run(text, n, end, UNICODE_MARK);
    }
}

static void apply_replace(const struct normalizer_step *step, const char *text, size_t n, struct buffer *out) {
    size_t n_what = strlen(step->what), done = 0;
    for (const char *found; (found = memmem(text + done, n - done, step->what, n_what));) {
        size_t at = (size_t)(found - text);
        buffer_append(out, text + done, at - done);
        buffer_append_text(out, step->with);
        done = at + n_what;
    }
    if (done) buffer_append(out, text + done, n - done);
}

static bool apply_replace_regex(const struct normalizer_step *step, const char *text, size_t n, struct buffer *out,
                                struct talc_error *err) {
    if (utf8_valid_prefix(text, n) < n)
        return talc_fail(err, "the tokenizer replaces text by a regular expression, which needs valid UTF-8");
    struct regex_matcher *matcher = regex_matcher_open(step->regex, err);
    bool ok = matcher != NULL;
    for (size_t done = 0, begin, end; ok && done < n; done = end) {
        ok = regex_find(matcher, text, n, done, &begin, &end, err);
        if (!ok) break;
        buffer_append(out, text + done, begin - done);
        if (begin < end) buffer_append_text(out, step->with);
    }
    regex_matcher_close(matcher);
    return ok;
}

static bool apply_charsmap(const struct normalizer_step *step, unsigned open_ends, const char *text, size_t n,
                           struct buffer *out) {
    struct charsmap_spaces spaces = {step->collapse, step->collapse && !(open_ends & NORMALIZER_CONTINUES),
                                     step->collapse && !(open_ends & NORMALIZER_GOES_ON)};
    return charsmap_normalize(step->charsmap, spaces, text, n, out);
}

/* An empty *out means that nothing changes (or that nothing is left, when *emptied). */
static bool apply_step(const struct normalizer_step *step, unsigned open_ends, const char **text, size_t *n,
                       struct buffer *out, bool *emptied, struct talc_error *err) {
    switch (step->kind) {
    case NORMALIZER_NFC:
    case NORMALIZER_NFD:
    case NORMALIZER_NFKC:
    case NORMALIZER_NFKD:
        return apply_form(step->kind, *text, *n, out) || talc_fail(err, "out of memory while normalising text");
    case NORMALIZER_LOWERCASE: apply_lowercase(*text, *n, out); break;
    case NORMALIZER_STRIP: apply_strip(step, open_ends, text, n); break;
    case NORMALIZER_STRIP_ACCENTS:
        apply_strip_accents(*text, *n, out);
        *emptied = out->length == 0;
        break;
    case NORMALIZER_PREPEND:
        if (*n == 0 || (open_ends & NORMALIZER_CONTINUES)) break;
        buffer_append_text(out, step->with);
        buffer_append(out, *text, *n);
        break;
    case NORMALIZER_REPLACE:
        apply_replace(step, *text, *n, out);
        *emptied = out->length == 0 && memmem(*text, *n, step->what, strlen(step->what));
        break;
    case NORMALIZER_REPLACE_REGEX:
        if (!apply_replace_regex(step, *text, *n, out, err)) return false;
        *emptied = out->length == 0;
        break;
    case NORMALIZER_BERT:
        if (!apply_bert(step, *text, *n, out)) return talc_fail(err, "out of memory while normalising text");
        *emptied = out->length == 0;
        break;
    case NORMALIZER_CHARSMAP: *emptied = apply_charsmap(step, open_ends, *text, *n, out) && out->length == 0; break;
    case NORMALIZER_PRECOMPILED:
        *emptied = charsmap_normalize_graphemes(step->charsmap, *text, *n, out) && out->length == 0;
        break;
    }
    return true;
}

bool normalizer_apply(const struct normalizer *normalizer, unsigned open_ends, const char **text, size_t *n_bytes,
                      struct buffer *buffer, struct talc_error *err) {
    for (int i = 0; i < normalizer->n_steps; i++) {
        struct buffer out = {0};
        bool emptied = false;
        bool ok = apply_step(&normalizer->steps[i], open_ends, text, n_bytes, &out, &emptied, err);
        if (ok && !buffer_ok(&out)) ok = talc_fail(err, "out of memory while normalising text");
        if (!ok || (out.length == 0 && !emptied)) {
            buffer_free(&out);
            if (!ok) return false;
            continue;
        }
        buffer_free(buffer);
        *buffer = out;
        *text = out.data ? out.data : "";
        *n_bytes = out.length;
    }
    return true;
}
