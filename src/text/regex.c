/* regex.c - see regex.h. */
#include "text/regex.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_PCRE2
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/buffer.h"

#define STACK_START ((size_t)64 << 10)
#define STACK_MAX ((size_t)64 << 20) /* of the compiled matcher; a long run of an alternative may need much */
#define MATCH_LIMIT 100000000u       /* steps of one match: hostile expressions end with an error */

struct regex {
    pcre2_code *code;
};

struct regex_matcher {
    const struct regex *regex;
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

/* ==== from the dialect of tokenizer files ===================================================== */

#define WORD_CLASSES "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}"
#if PCRE2_MAJOR > 10 || PCRE2_MINOR >= 40
#define SCRIPT_PREFIX "sc:" /* \p{Han} alone would also match characters that other scripts share */
#else
#define SCRIPT_PREFIX ""
#endif

/* The escape at p, which PCRE2 may understand otherwise; returns what is behind it. */
static const char *translate_escape(const char *p, bool in_set, struct buffer *out) {
    const char *end = p[1] == 'p' || p[1] == 'P' ? strchr(p, '}') : NULL;
    if (p[1] == 'w') {
        buffer_append_text(out, in_set ? WORD_CLASSES : "[" WORD_CLASSES "]");
        return p + 2;
    }
    if (p[1] == 'W' && !in_set) {
        buffer_append_text(out, "[^" WORD_CLASSES "]");
        return p + 2;
    }
    if (end && p[2] == '{') {
        const char *name = p[3] == '^' ? p + 4 : p + 3;
        bool is_script = end - name > 2 && !memchr(name, '=', (size_t)(end - name)) && strncmp(name, "Any}", 4) != 0 &&
                         strncmp(name, "Alphabetic}", 11) != 0;
        buffer_append(out, p, (size_t)(name - p));
        if (is_script) buffer_append_text(out, SCRIPT_PREFIX);
        buffer_append(out, name, (size_t)(end + 1 - name));
        return end + 1;
    }
    buffer_append(out, p, p[1] ? 2 : 1);
    return p + (p[1] ? 2 : 1);
}

/* Tokenizer files are written for Oniguruma, where \w includes marks and $ ends every line. */
static void translate(const char *pattern, struct buffer *out) {
    bool in_set = false;
    for (const char *p = pattern; *p;) {
        if (*p == '\\') {
            p = translate_escape(p, in_set, out);
            continue;
        }
        if (*p == '[') in_set = true;
        if (*p == ']') in_set = false;
        buffer_append_char(out, *p++);
    }
}

struct regex *regex_compile(const char *pattern, struct talc_error *err) {
    int code;
    PCRE2_SIZE offset;
    struct buffer translated = {0};
    struct regex *regex = calloc(1, sizeof *regex);
    if (!regex) {
        talc_fail(err, "out of memory for a regular expression");
        return NULL;
    }
    translate(pattern, &translated);
    if (buffer_ok(&translated))
        regex->code =
            pcre2_compile((PCRE2_SPTR)(translated.data ? translated.data : ""), translated.length,
                          PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &offset, NULL);
    bool enough_memory = buffer_ok(&translated);
    buffer_free(&translated);
    if (!enough_memory) {
        talc_fail(err, "out of memory for a regular expression");
        free(regex);
        return NULL;
    }
    if (!regex->code) {
        PCRE2_UCHAR text[256];
        pcre2_get_error_message(code, text, sizeof text);
        talc_fail(err, "the regular expression \"%.80s\" is not supported: %s (at byte %zu)", pattern, (char *)text,
                  (size_t)offset);
        free(regex);
        return NULL;
    }
    pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); /* where there is none, matching is slower */
    return regex;
}

void regex_free(struct regex *regex) {
    if (regex) pcre2_code_free(regex->code);
    free(regex);
}

struct regex_matcher *regex_matcher_open(const struct regex *regex, struct talc_error *err) {
    struct regex_matcher *m = calloc(1, sizeof *m);
    if (m) {
        m->regex = regex;
        m->data = pcre2_match_data_create_from_pattern(regex->code, NULL);
        m->context = pcre2_match_context_create(NULL);
        m->stack = pcre2_jit_stack_create(STACK_START, STACK_MAX, NULL); /* NULL where there is no JIT */
        if (m->context) {
            pcre2_set_match_limit(m->context, MATCH_LIMIT);
            if (m->stack) pcre2_jit_stack_assign(m->context, NULL, m->stack);
        }
        if (m->data && m->context) return m;
    }
    regex_matcher_close(m);
    talc_fail(err, "out of memory for a regular expression");
    return NULL;
}

void regex_matcher_close(struct regex_matcher *m) {
    if (!m) return;
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    pcre2_jit_stack_free(m->stack);
    free(m);
}

bool regex_find(struct regex_matcher *m, const char *text, size_t n, size_t from, size_t *start, size_t *end,
                struct talc_error *err) {
    while (from < n) {
        int found = pcre2_match(m->regex->code, (PCRE2_SPTR)text, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, m->data,
                                m->context);
        if (found == PCRE2_ERROR_NOMATCH) break;
        if (found < 0) {
            PCRE2_UCHAR message[256];
            pcre2_get_error_message(found, message, sizeof message);
            return talc_fail(err, "a regular expression of the tokenizer gives up at byte %zu: %s", from,
                             (char *)message);
        }
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(m->data);
        if (span[1] > span[0] && span[0] >= from) { /* \K could turn them round */
            *start = span[0];
            *end = span[1];
            return true;
        }
        from++;
        while (from < n && ((unsigned char)text[from] & 0xc0) == 0x80) from++;
    }
    *start = *end = n;
    return true;
}

#else

struct regex *regex_compile(const char *pattern, struct talc_error *err) {
    talc_fail(err,
              "the file cuts text by \"%.80s\", but this talc was built without PCRE2: install libpcre2-dev and "
              "build again",
              pattern);
    return NULL;
}

void regex_free(struct regex *regex) { (void)regex; }

struct regex_matcher *regex_matcher_open(const struct regex *regex, struct talc_error *err) {
    (void)regex;
    talc_fail(err, "this talc was built without PCRE2");
    return NULL;
}

void regex_matcher_close(struct regex_matcher *matcher) { (void)matcher; }

bool regex_find(struct regex_matcher *matcher, const char *text, size_t n, size_t from, size_t *start, size_t *end,
                struct talc_error *err) {
    (void)matcher, (void)text, (void)n, (void)from, (void)start, (void)end;
    return talc_fail(err, "this talc was built without PCRE2");
}

#endif
