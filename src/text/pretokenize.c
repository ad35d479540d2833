/* pretokenize.c - see pretokenize.h. The scanners walk the alternatives of each expression in order; where an
 * alternative backtracks (white space before a word), the place it backtracks to is remembered while walking. */
#include "text/pretokenize.h"

#include <string.h>

#include "base/utf8.h"
#include "text/unicode.h"

struct pattern {
    const char *name;
    int max_digits;         /* of one word; 0: any number (and GPT-2's rules) */
    bool end_is_one_word;   /* white space up to the end of the text is not cut at line ends */
    const char *regexes[2]; /* the first is written to files; \z: Oniguruma's $ would match at every line end */
};

static const struct pattern patterns[PRETOKENIZER_COUNT] = {
    [PRETOKENIZER_GPT2] = {"gpt2",
                           0,
                           true,
                           {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"}},
    [PRETOKENIZER_CL100K] = {"cl100k",
                             3,
                             true,
                             {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
                              "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s+\\z|\\s*[\\r\\n]|\\s+(?!\\S)|\\s"}},
    [PRETOKENIZER_LLAMA3] = {"llama3",
                             3,
                             false,
                             {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
                              "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
                              "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
                              "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    [PRETOKENIZER_QWEN2] = {"qwen2",
                            1,
                            false,
                            {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
                             "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
};

const char *pretokenizer_name(enum pretokenizer pretokenizer) { return patterns[pretokenizer].name; }

const char *pretokenizer_regex(enum pretokenizer pretokenizer) { return patterns[pretokenizer].regexes[0]; }

bool pretokenizer_from_name(const char *name, enum pretokenizer *out) {
    for (int i = 0; i < PRETOKENIZER_COUNT; i++) {
        if (strcmp(name, patterns[i].name) != 0) continue;
        *out = (enum pretokenizer)i;
        return true;
    }
    return false;
}

bool pretokenizer_from_regex(const char *regex, enum pretokenizer *out) {
    for (int i = 0; i < PRETOKENIZER_COUNT; i++) {
        for (int j = 0; j < 2; j++) {
            const char *known = patterns[i].regexes[j];
            if (!known || strcmp(regex, known) != 0) continue;
            *out = (enum pretokenizer)i;
            return true;
        }
    }
    return false;
}

/* ==== walking over characters ==================================================================== */

/* Bytes of the character at text[i], i < n, and its classes. */
static inline size_t char_at(const char *text, size_t n, size_t i, unsigned *class) {
    unsigned char lead = (unsigned char)text[i];
    if (lead < 0x80) {
        *class = unicode_block_classes[unicode_block_of_page[0]][lead];
        return 1;
    }
    int32_t codepoint;
    size_t length = (size_t)utf8_decode(text + i, n - i, &codepoint);
    *class = unicode_class(codepoint);
    return length;
}

static inline bool is_letter(unsigned class) { return class & UNICODE_LETTER; }
static inline bool is_number(unsigned class) { return class & UNICODE_NUMBER; }
static inline bool is_space(unsigned class) { return class & UNICODE_SPACE; }
/* [^\s\p{L}\p{N}] */
static inline bool is_other(unsigned class) { return !(class & (UNICODE_LETTER | UNICODE_NUMBER | UNICODE_SPACE)); }

/* The end of the run of such characters that begins at i, of at most `limit` of them. */
#define DEFINE_SKIP(name, belongs)                                                                                     \
    static size_t name(const char *text, size_t n, size_t i, size_t limit) {                                           \
        for (unsigned class; i < n && limit > 0; limit--) {                                                            \
            size_t length = char_at(text, n, i, &class);                                                               \
            if (!belongs(class)) break;                                                                                \
            i += length;                                                                                               \
        }                                                                                                              \
        return i;                                                                                                      \
    }
DEFINE_SKIP(skip_letters, is_letter)
DEFINE_SKIP(skip_numbers, is_number)
DEFINE_SKIP(skip_others, is_other)
#undef DEFINE_SKIP

struct spaces {
    size_t end;      /* of the run */
    size_t last;     /* where its last character begins */
    size_t line_end; /* behind its last \r or \n; 0 when it has none */
};

static struct spaces scan_spaces(const char *text, size_t n) {
    struct spaces s = {0};
    for (unsigned class; s.end < n;) {
        size_t length = char_at(text, n, s.end, &class);
        if (!is_space(class)) break;
        s.last = s.end;
        s.end += length;
        if (text[s.last] == '\n' || text[s.last] == '\r') s.line_end = s.end;
    }
    return s;
}

/* \s+(?!\S)|\s+ : a run leaves its last character to the word that follows it, unless it has only that one. */
static size_t spaces_before_word(const struct spaces *s, size_t n) {
    return s->end == n || s->last == 0 ? s->end : s->last;
}

/* Bytes of a contraction at text ('s 't 're 've 'm 'll 'd), 0 for none. With any_case also U+017F for s, its other
 * lower-case form. */
static size_t contraction(const char *text, size_t n, bool any_case) {
    if (n < 2 || text[0] != '\'') return 0;
    char a = text[1], b = n > 2 ? text[2] : 0;
    if (any_case) {
        if (a == '\xc5' && b == '\xbf') return 3;
        if (a >= 'A' && a <= 'Z') a = (char)(a + 32);
        if (b >= 'A' && b <= 'Z') b = (char)(b + 32);
    }
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if ((a == 'l' && b == 'l') || ((a == 'v' || a == 'r') && b == 'e')) return 3;
    return 0;
}

/* ==== the patterns =============================================================================== */

static size_t next_gpt2(const char *text, size_t n) {
    size_t length = contraction(text, n, false);
    if (length) return length;
    size_t start = text[0] == ' ' && n > 1;
    unsigned class;
    char_at(text, n, start, &class);
    if (is_letter(class)) return skip_letters(text, n, start, n);
    if (is_number(class)) return skip_numbers(text, n, start, n);
    if (is_other(class)) return skip_others(text, n, start, n);
    struct spaces s = scan_spaces(text, n);
    return spaces_before_word(&s, n);
}

static size_t next_cl100k(const struct pattern *pattern, const char *text, size_t n) {
    size_t length = contraction(text, n, true);
    if (length) return length;
    unsigned class, after = 0;
    length = char_at(text, n, 0, &class);
    if (is_letter(class)) return skip_letters(text, n, 0, n);
    if (is_number(class)) return skip_numbers(text, n, 0, (size_t)pattern->max_digits);
    if (length < n) char_at(text, n, length, &after);
    if (is_letter(after) && text[0] != '\r' && text[0] != '\n') return skip_letters(text, n, length, n);
    if (is_other(class) || (text[0] == ' ' && length < n && is_other(after))) {
        size_t end = skip_others(text, n, text[0] == ' ', n);
        while (end < n && (text[end] == '\r' || text[end] == '\n')) end++;
        return end;
    }
    struct spaces s = scan_spaces(text, n);
    if (pattern->end_is_one_word && s.end == n) return n;
    return s.line_end ? s.line_end : spaces_before_word(&s, n);
}

size_t pretokenize_next(enum pretokenizer pretokenizer, const char *text, size_t n_bytes) {
    if (n_bytes == 0) return 0;
    if (pretokenizer == PRETOKENIZER_GPT2) return next_gpt2(text, n_bytes);
    return next_cl100k(&patterns[pretokenizer], text, n_bytes);
}

size_t pretokenize_safe_cut(const char *text, size_t n_bytes, size_t from) {
    for (size_t i = from; i < n_bytes; i++) {
        if ((text[i] != ' ' && text[i] != '\n') || i == 0) continue;
        size_t start = i - 1; /* of the character before: step over at most 3 continuation bytes */
        while (start > 0 && i - start < 4 && ((unsigned char)text[start] & 0xc0) == 0x80) start--;
        unsigned class;
        if (char_at(text, i, start, &class) == i - start && is_letter(class)) return i;
    }
    return n_bytes;
}
