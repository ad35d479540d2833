/* regex.c - see regex.h. */
#include "text/regex.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* {n}, {n,}, {,m} or {n,m} at p; returns what is behind it, p when it is a text. */
static const char *interval_end(const char *p) {
    const char *q = p + 1;
    size_t low = strspn(q, "0123456789");
    q += low;
    size_t comma = *q == ',', high = 0;
    q += comma;
    if (comma) high = strspn(q, "0123456789");
    q += high;
    return *q == '}' && (low || high) ? q + 1 : p;
}

bool regex_repeats_interval(const char *pattern) {
    for (const char *p = pattern; *p; p++) {
        if (*p == '\\' && p[1])
            p++;
        else if (*p == '{' && interval_end(p) > p && *interval_end(p) == '+')
            return true;
    }
    return false;
}

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

#define MAX_GROUPS 64 /* in each other */
#define HEX_DIGITS "0-9A-Fa-f"
#define WORD_CLASSES "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}"
#if PCRE2_MAJOR > 10 || PCRE2_MINOR >= 40
#define SCRIPT_PREFIX "sc:" /* \p{Han} alone would also match characters that other scripts share */
#else
#define SCRIPT_PREFIX ""
#endif

/* An expression as PCRE2 is to read it, while it is written. */
struct translation {
    struct buffer out;
    size_t atom; /* where in `out` what a quantifier would repeat begins */
    size_t groups[MAX_GROUPS];
    int depth;           /* of groups that are open */
    const char *refused; /* what of the expression PCRE2 has no words for; NULL */
};

/* \p{Han} and the like at p, `end` its last byte. */
static void translate_property(const char *p, const char *end, struct buffer *out) {
    const char *name = p[3] == '^' ? p + 4 : p + 3;
    bool is_script = end - name > 2 && !memchr(name, '=', (size_t)(end - name)) && strncmp(name, "Any}", 4) != 0 &&
                     strncmp(name, "Alphabetic}", 11) != 0;
    buffer_append(out, p, (size_t)(name - p));
    if (is_script) buffer_append_text(out, SCRIPT_PREFIX);
    buffer_append(out, name, (size_t)(end + 1 - name));
}

/* The escape at p, which PCRE2 may understand otherwise; returns what is behind it. */
static const char *translate_escape(const char *p, bool in_set, struct translation *t) {
    static const struct {
        char letter;
        const char *set; /* what stands for it in a set; with ^ it cannot */
    } classes[] = {
        {'w', WORD_CLASSES}, {'W', "^" WORD_CLASSES}, {'h', HEX_DIGITS}, {'H', "^" HEX_DIGITS}, /* not blank space */
    };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (p[1] != classes[i].letter) continue;
        if (in_set && *classes[i].set == '^') t->refused = p[1] == 'W' ? "\\W in a set" : "\\H in a set";
        if (!in_set) buffer_append_char(&t->out, '[');
        buffer_append_text(&t->out, classes[i].set);
        if (!in_set) buffer_append_char(&t->out, ']');
        return p + 2;
    }
    const char *end = p[1] == 'p' || p[1] == 'P' ? strchr(p, '}') : NULL;
    if (end && p[2] == '{') {
        translate_property(p, end, &t->out);
        return end + 1;
    }
    buffer_append(&t->out, p, p[1] ? 2 : 1);
    return p + (p[1] ? 2 : 1);
}

/* [:name:] or [:^name:] at p in a set; returns what is behind it, p when there is none. */
static const char *translate_class(const char *p, struct translation *t) {
    static const struct {
        const char *name, *set;
    } others[] = {{"word", WORD_CLASSES}, /* what has other members to PCRE2 */
                  {"alpha", "\\p{Alphabetic}"},
                  {"alnum", "\\p{Alphabetic}\\p{Nd}"},
                  {"xdigit", HEX_DIGITS}};
    bool negated = p[0] == '[' && p[1] == ':' && p[2] == '^';
    const char *name = p + 2 + negated;
    size_t n = p[0] == '[' && p[1] == ':' ? strspn(name, "abcdefghijklmnopqrstuvwxyz") : 0;
    if (n == 0 || name[n] != ':' || name[n + 1] != ']') return p;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strlen(others[i].name) != n || memcmp(others[i].name, name, n) != 0) continue;
        if (negated) t->refused = "a class like [:^word:]";
        buffer_append_text(&t->out, others[i].set);
        return name + n + 2;
    }
    buffer_append(&t->out, p, (size_t)(name + n + 2 - p));
    return name + n + 2;
}

/* The set at p; returns what is behind it. Sets in sets ([a&&[b]], [a[b]]) mean something else to PCRE2, or nothing. */
static const char *translate_set(const char *p, struct translation *t) {
    buffer_append_char(&t->out, *p++);
    if (*p == '^') buffer_append_char(&t->out, *p++);
    if (*p == ']') buffer_append_char(&t->out, *p++); /* is itself there */
    while (*p && *p != ']') {
        if (*p == '\\') {
            p = translate_escape(p, true, t);
            continue;
        }
        const char *end = translate_class(p, t);
        if (end > p) {
            p = end;
            continue;
        }
        if (*p == '[' || (*p == '&' && p[1] == '&')) t->refused = "sets in sets";
        buffer_append_char(&t->out, *p++);
    }
    if (*p) buffer_append_char(&t->out, *p++);
    return p;
}

/* X{n,m}+ repeats X{n,m}: it is not possessive, as it is to PCRE2. */
static const char *translate_brace(const char *p, struct translation *t) {
    const char *end = interval_end(p);
    if (end == p) {
        t->atom = t->out.length;
        buffer_append_text(&t->out, "\\{");
        return p + 1;
    }
    buffer_append_text(&t->out, p[1] == ',' ? "{0" : "{");
    buffer_append(&t->out, p + 1, (size_t)(end - p - 1));
    if (*end != '+' || !buffer_reserve(&t->out, 4)) return end;
    memmove(t->out.data + t->atom + 3, t->out.data + t->atom, t->out.length - t->atom);
    memcpy(t->out.data + t->atom, "(?:", 3);
    t->out.length += 3;
    buffer_append_char(&t->out, ')');
    return end;
}

static const char *translate_open(const char *p, struct translation *t) {
    size_t flags = p[1] == '?' ? strspn(p + 2, "imx-") : 0;
    if (flags && memchr(p + 2, 'm', flags) && (p[2 + flags] == ':' || p[2 + flags] == ')')) t->refused = "(?m)";
    if (t->depth == MAX_GROUPS)
        t->refused = "very many groups in groups";
    else
        t->groups[t->depth++] = t->out.length;
    buffer_append_char(&t->out, '(');
    return p + 1;
}

/* Tokenizer files are written for Oniguruma (its doc/RE), where \w includes marks, \h is a digit of base 16, an
 * interval may begin with a comma and has no possessive form, and $ ends every line. */
static void translate(const char *pattern, struct translation *t) {
    for (const char *p = pattern; *p;) {
        bool is_quantifier = strchr("{*+?", *p), continues = ((unsigned char)*p & 0xc0) == 0x80;
        if (!is_quantifier && !continues && *p != ')') t->atom = t->out.length;
        if (*p == ')' && t->depth > 0) t->atom = t->groups[--t->depth];
        if (*p == '\\')
            p = translate_escape(p, false, t);
        else if (*p == '[')
            p = translate_set(p, t);
        else if (*p == '{')
            p = translate_brace(p, t);
        else if (*p == '(')
            p = translate_open(p, t);
        else
            buffer_append_char(&t->out, *p++);
    }
}

static pcre2_code *compile(const char *pattern, struct talc_error *err) {
    int code;
    PCRE2_SIZE offset;
    struct translation t = {0};
    pcre2_code *compiled = NULL;
    translate(pattern, &t);
    if (!buffer_ok(&t.out)) {
        talc_fail(err, "out of memory for a regular expression");
    } else if (t.refused) {
        talc_fail(err, "the regular expression \"%.200s\" has %s, which is not supported", pattern, t.refused);
    } else {
        compiled =
            pcre2_compile((PCRE2_SPTR)(t.out.data ? t.out.data : ""), t.out.length,
                          PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &offset, NULL);
        if (!compiled) {
            PCRE2_UCHAR text[256];
            pcre2_get_error_message(code, text, sizeof text);
            talc_fail(err, "the regular expression \"%.80s\" is not supported: %s (at byte %zu)", pattern, (char *)text,
                      (size_t)offset);
        }
    }
    buffer_free(&t.out);
    return compiled;
}

struct regex *regex_compile(const char *pattern, struct talc_error *err) {
    pcre2_code *code = compile(pattern, err);
    struct regex *regex = code ? calloc(1, sizeof *regex) : NULL;
    if (!regex) {
        if (code) talc_fail(err, "out of memory for a regular expression");
        pcre2_code_free(code);
        return NULL;
    }
    regex->code = code;
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
