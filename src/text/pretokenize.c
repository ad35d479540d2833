/* pretokenize.c - see pretokenize.h. The scanners walk the alternatives of each expression in order; where an
 * alternative backtracks (white space before a word, capitals before small letters), the place it backtracks to is
 * remembered while walking. */
#include "text/pretokenize.h"

#include <string.h>

#include "text/scan.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define OTHERS_AND_SPACES "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CASED_WORDS(contractions)                                                                                      \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" contractions           \
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" contractions
#define CASED_END "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* Which patterns cut ASCII by the same rules (see ascii_word). */
enum family { FAMILY_OTHER, FAMILY_GPT2, FAMILY_CL100K, FAMILY_O200K };

struct pattern {
    const char *name;
    size_t (*next)(const struct pattern *pattern, const char *text, size_t n);
    enum family family;
    int max_digits;         /* of one word; 0: any number */
    bool end_is_one_word;   /* white space up to the end of the text is not cut at line ends */
    bool contractions;      /* of a cased word: 's and the like belong to it */
    unsigned letter;        /* classes that words are made of */
    const char *regexes[3]; /* the first is written to files; \z: Oniguruma's $ would match at every line end */
};

/* ==== pieces of the patterns ================================================================== */

#define OTHER (UNICODE_LETTER | UNICODE_NUMBER | UNICODE_SPACE) /* [^\s\p{L}\p{N}] is what is none of these */

static inline bool is_line_end(char c) { return c == '\r' || c == '\n'; }

static size_t skip_line_ends(const char *text, size_t n, size_t i) {
    while (i < n && is_line_end(text[i])) i++;
    return i;
}

static size_t skip_numbers(const char *text, size_t n, int limit) {
    size_t i = 0;
    for (unsigned class; i < n && limit > 0; limit--) {
        size_t length = scan_character(text, n, i, &class);
        if (!(class & UNICODE_NUMBER)) break;
        i += length;
    }
    return i;
}

struct spaces {
    size_t end;      /* of the run */
    size_t last;     /* where its last character begins */
    size_t line_end; /* behind its last \r or \n; 0 when it has none */
};

static struct spaces scan_spaces(const char *text, size_t n) {
    struct spaces s = {0};
    for (unsigned class; s.end < n;) {
        size_t length = scan_character(text, n, s.end, &class);
        if (!(class & UNICODE_SPACE)) break;
        s.last = s.end;
        s.end += length;
        if (is_line_end(text[s.last])) s.line_end = s.end;
    }
    return s;
}

/* \s+(?!\S)|\s+ : a run leaves its last character to the word that follows it, unless it has only that one. */
static size_t spaces_before_word(const struct spaces *s, size_t n) {
    return s->end == n || s->last == 0 ? s->end : s->last;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t next_spaces(const char *text, size_t n) {
    struct spaces s = scan_spaces(text, n);
    return s.line_end ? s.line_end : spaces_before_word(&s, n);
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

/* ==== the patterns ============================================================================ */

static size_t next_gpt2(const struct pattern *pattern, const char *text, size_t n) {
    (void)pattern;
    size_t start = text[0] == ' ' && n > 1;
    if (scan_is_ascii_letter(text[start])) return scan_letters(text, n, start + 1);
    size_t length = contraction(text, n, false);
    if (length) return length;
    unsigned class;
    length = scan_character(text, n, start, &class);
    if (class & UNICODE_LETTER) return scan_letters(text, n, start + length);
    if (class & UNICODE_NUMBER) return scan_run(text, n, start + length, UNICODE_NUMBER);
    if (!(class & OTHER)) return scan_until(text, n, start + length, OTHER);
    struct spaces s = scan_spaces(text, n);
    return spaces_before_word(&s, n);
}

static inline size_t skip_word(const struct pattern *pattern, const char *text, size_t n, size_t i) {
    return pattern->letter == UNICODE_LETTER ? scan_letters(text, n, i) : scan_run(text, n, i, pattern->letter);
}

static size_t next_cl100k(const struct pattern *pattern, const char *text, size_t n) {
    if (text[0] == ' ' && n > 1 && scan_is_ascii_letter(text[1])) return skip_word(pattern, text, n, 2);
    size_t length = contraction(text, n, true);
    if (length) return length;
    unsigned class, after = 0;
    length = scan_character(text, n, 0, &class);
    if (class & pattern->letter) return skip_word(pattern, text, n, length);
    if (class & UNICODE_NUMBER) return skip_numbers(text, n, pattern->max_digits);
    if (length < n) scan_character(text, n, length, &after);
    if ((after & pattern->letter) && !is_line_end(text[0])) return skip_word(pattern, text, n, length);
    unsigned not_other = OTHER | pattern->letter;
    if (!(class & not_other) || (text[0] == ' ' && length < n && !(after & not_other)))
        return skip_line_ends(text, n, scan_until(text, n, text[0] == ' ', not_other));
    struct spaces s = scan_spaces(text, n);
    if (pattern->end_is_one_word && s.end == n) return n;
    return s.line_end ? s.line_end : spaces_before_word(&s, n);
}

#define BIG (UNICODE_UPPER | UNICODE_TITLE | UNICODE_MODIFIER | UNICODE_OTHER_LETTER | UNICODE_MARK)
#define SMALL (UNICODE_LOWER | UNICODE_MODIFIER | UNICODE_OTHER_LETTER | UNICODE_MARK)

/* BIG*SMALL+ from i on: its end, 0 when it does not match; *big_end is where BIG* ends before it gives back. */
static size_t cased_word(const char *text, size_t n, size_t i, size_t *big_end) {
    size_t last_both = 0;
    unsigned class = 0;
    while (i < n) {
        size_t length = scan_character(text, n, i, &class);
        if (!(class & BIG)) break;
        i += length;
        if (class == SCAN_IDEOGRAPH) i = scan_ideographs(text, n, i);
        if (class & SMALL) last_both = i;
    }
    *big_end = i;
    return i < n && (class & SMALL) ? scan_run(text, n, i, SMALL) : last_both;
}

/* The word of letters that begins with the prefix text[0..prefix); 0 for none. */
static size_t cased_word_after(const char *text, size_t n, size_t prefix, bool starts_with_mark) {
    size_t big_end = prefix, other_end;
    size_t end = prefix < n ? cased_word(text, n, prefix, &big_end) : 0;
    if (end) return end;
    if (starts_with_mark) return cased_word(text, n, 0, &other_end); /* a mark may be the prefix or the word */
    return big_end > prefix ? big_end : 0;                           /* BIG+SMALL* */
}

/* A word of ASCII letters, behind a space or not, that no other character can belong to; 0 when it is not so simple. */
static size_t ascii_cased_word(const char *text, size_t n) {
    size_t begin = text[0] == ' ', i = begin;
    while (i < n && text[i] >= 'A' && text[i] <= 'Z') i++;
    while (i < n && text[i] >= 'a' && text[i] <= 'z') i++;
    return i > begin && (i == n || !(text[i] & 0x80)) ? i : 0;
}

static size_t next_o200k(const struct pattern *pattern, const char *text, size_t n) {
    size_t simple = ascii_cased_word(text, n);
    if (simple) return simple + (pattern->contractions ? contraction(text + simple, n - simple, true) : 0);
    unsigned class, after = 0;
    size_t length = scan_character(text, n, 0, &class), end = 0;
    if (class & UNICODE_LETTER)
        end = cased_word_after(text, n, 0, false);
    else if (!(class & UNICODE_NUMBER) && !is_line_end(text[0]))
        end = cased_word_after(text, n, length, class & UNICODE_MARK);
    if (end) return end + (pattern->contractions ? contraction(text + end, n - end, true) : 0);
    if (class & UNICODE_NUMBER) return skip_numbers(text, n, pattern->max_digits);
    if (length < n) scan_character(text, n, length, &after);
    if (!(class & OTHER) || (text[0] == ' ' && length < n && !(after & OTHER))) {
        end = scan_until(text, n, text[0] == ' ', OTHER);
        while (end < n && (is_line_end(text[end]) || text[end] == '/')) end++;
        return end;
    }
    return next_spaces(text, n);
}

static size_t next_deepseek(const struct pattern *pattern, const char *text, size_t n) {
    const unsigned letter = pattern->letter, sign = UNICODE_PUNCTUATION | UNICODE_SYMBOL;
    unsigned class, after = 0;
    size_t length = scan_character(text, n, 0, &class);
    if (length < n) scan_character(text, n, length, &after);
    bool is_ascii_sign = (class & sign) && !(text[0] & 0x80);
    if (is_ascii_sign && length < n && scan_is_ascii_letter(text[1])) return scan_ascii_letters(text, n, 1);
    if (class & letter) return scan_run(text, n, length, letter);
    if (!(class & sign) && !is_line_end(text[0]) && (after & letter)) return scan_run(text, n, length, letter);
    if ((class & sign) || (text[0] == ' ' && (after & sign)))
        return skip_line_ends(text, n, scan_run(text, n, text[0] == ' ', sign));
    return class & UNICODE_SPACE ? next_spaces(text, n) : 0;
}

static const struct pattern patterns[PRETOKENIZER_COUNT] = {
    [PRETOKENIZER_GPT2] = {"gpt2",
                           next_gpt2,
                           FAMILY_GPT2,
                           0,
                           true,
                           false,
                           UNICODE_LETTER,
                           {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
                            "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"}},
    [PRETOKENIZER_CL100K] = {"cl100k",
                             next_cl100k,
                             FAMILY_CL100K,
                             3,
                             true,
                             false,
                             UNICODE_LETTER,
                             {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
                                           "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s+\\z|\\s*[\\r\\n]|\\s+(?!\\S)|\\s"}},
    [PRETOKENIZER_LLAMA3] = {"llama3",
                             next_cl100k,
                             FAMILY_CL100K,
                             3,
                             false,
                             false,
                             UNICODE_LETTER,
                             {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" OTHERS_AND_SPACES,
                              "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" OTHERS_AND_SPACES}},
    [PRETOKENIZER_QWEN2] = {"qwen2",
                            next_cl100k,
                            FAMILY_CL100K,
                            1,
                            false,
                            false,
                            UNICODE_LETTER,
                            {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" OTHERS_AND_SPACES}},
    [PRETOKENIZER_O200K] = {"o200k",
                            next_o200k,
                            FAMILY_O200K,
                            3,
                            false,
                            true,
                            UNICODE_LETTER,
                            {CASED_WORDS(CONTRACTIONS "?") "|\\p{N}{1,3}" CASED_END}},
    [PRETOKENIZER_TEKKEN] =
        {"tekken", next_o200k, FAMILY_O200K, 1, false, false, UNICODE_LETTER, {CASED_WORDS("") "|\\p{N}" CASED_END}},
    [PRETOKENIZER_QWEN35] = {"qwen35",
                             next_cl100k,
                             FAMILY_CL100K,
                             1,
                             false,
                             false,
                             UNICODE_LETTER | UNICODE_MARK,
                             {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"
                                           "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    [PRETOKENIZER_NANOCHAT] = {"nanochat",
                               next_cl100k,
                               FAMILY_CL100K,
                               2,
                               false,
                               false,
                               UNICODE_LETTER,
                               {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,2}" OTHERS_AND_SPACES,
                                "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,2}"
                                "| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}},
    [PRETOKENIZER_DEEPSEEK] = {"deepseek",
                               next_deepseek,
                               FAMILY_OTHER,
                               0,
                               false,
                               false,
                               UNICODE_LETTER | UNICODE_MARK,
                               {"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"
                                "|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*"
                                "|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
                                "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"
                                "|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*"
                                "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
};

/* ==== many words ============================================================================== */

#ifdef __SSE2__

#define BLOCK_BYTES 64 /* that are looked at together */

/* A bit for each byte of a block. */
struct ascii_block {
    uint64_t upper, lower, letter, digit, line_end, space, blank, wide; /* space: \s, blank: ' ', wide: not ASCII */
};

/* Bytes from `least` on, `count` of them. */
static inline uint64_t bytes_between(__m128i x, char least, int count) {
    __m128i moved = _mm_add_epi8(x, _mm_set1_epi8((char)(-128 - least)));
    return (unsigned)_mm_movemask_epi8(_mm_cmplt_epi8(moved, _mm_set1_epi8((char)(-128 + count))));
}

static inline uint64_t bytes_equal(__m128i x, char byte) {
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8(byte)));
}

static inline struct ascii_block classify_block(const char *text) {
    struct ascii_block b = {0};
    for (int i = 0; i < BLOCK_BYTES; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(text + i));
        b.upper |= bytes_between(x, 'A', 26) << i;
        b.lower |= bytes_between(x, 'a', 26) << i;
        b.digit |= bytes_between(x, '0', 10) << i;
        b.line_end |= (bytes_equal(x, '\n') | bytes_equal(x, '\r')) << i;
        b.space |= bytes_between(x, '\t', 5) << i;
        b.blank |= bytes_equal(x, ' ') << i;
        b.wide |= (uint64_t)(unsigned)_mm_movemask_epi8(x) << i;
    }
    b.space |= b.blank;
    b.letter = b.upper | b.lower;
    return b;
}

/* The end of the run of ones that begins at i < 64; 64 where it goes on to the end of the block. */
static inline size_t end_of_ones(uint64_t mask, size_t i) {
    uint64_t zeros = ~mask & ~(uint64_t)0 << i;
    return zeros ? (size_t)__builtin_ctzll(zeros) : BLOCK_BYTES;
}

/* 0 for an end that what follows the block, or a character that is not ASCII, might move. */
static inline size_t sure_end(const struct ascii_block *b, size_t end) {
    return end < BLOCK_BYTES && !(b->wide >> end & 1) ? end : 0;
}

/* The end of the word that begins at i in a block, where ASCII of the block alone decides; else 0. The order is that of
 * the alternatives: letters, behind a space (gpt2) or a character that is neither letter, digit nor line end; other
 * characters, behind a space, with the line ends that follow; digits; white space. */
static inline __attribute__((always_inline)) size_t ascii_word(enum family family, bool contractions, size_t max_digits,
                                                               const struct ascii_block *b, const char *block,
                                                               size_t i) {
    const uint64_t other = ~(b->letter | b->digit | b->space | b->wide);
    const uint64_t prefix = family == FAMILY_GPT2 ? b->blank : ~(b->letter | b->digit | b->line_end | b->wide);
    size_t begin = i + (prefix >> i & 1), end;
    if (begin == BLOCK_BYTES) return 0;
    if (family != FAMILY_O200K && block[i] == '\'') return 0; /* a contraction? */
    if (b->letter >> begin & 1) {
        end = family == FAMILY_O200K ? end_of_ones(b->upper, begin) : end_of_ones(b->letter, begin);
        if (family == FAMILY_O200K && end < BLOCK_BYTES) end = end_of_ones(b->lower, end);
        return contractions && end < BLOCK_BYTES && block[end] == '\'' ? 0 : sure_end(b, end);
    }
    begin = i + (b->blank >> i & 1);
    if (begin == BLOCK_BYTES) return 0;
    if (other >> begin & 1) {
        end = sure_end(b, end_of_ones(other, begin));
        if (!end || family == FAMILY_GPT2) return end;
        end = end_of_ones(b->line_end, end);
        /* they take more of these */
        return end == BLOCK_BYTES || (family == FAMILY_O200K && block[end] == '/') ? 0 : end;
    }
    if (family == FAMILY_GPT2 && (b->digit >> begin & 1)) return sure_end(b, end_of_ones(b->digit, begin));
    if (b->digit >> i & 1) {
        end = end_of_ones(b->digit, i);
        return max_digits && end - i >= max_digits ? i + max_digits : sure_end(b, end);
    }
    if (!(b->space >> i & 1)) return 0;
    end = sure_end(b, end_of_ones(b->space, i));
    if (!end) return 0;
    uint64_t line_ends = b->line_end & ~(uint64_t)0 << i & (((uint64_t)1 << end) - 1);
    if (family != FAMILY_GPT2 && line_ends) return BLOCK_BYTES - (size_t)__builtin_clzll(line_ends);
    return end - i > 1 ? end - 1 : end;
}

/* The end of the word that begins at text[at] and is ideographs, behind a sign or not, or a sign before them; 0 where
 * more decides. */
static inline size_t ideograph_word(enum family family, const char *text, size_t n, size_t at) {
    unsigned class;
    size_t i = at;
    if (n - i >= 3 && !scan_is_ideograph(text + i)) {
        i += scan_character(text, n, i, &class);
        if (class & (OTHER | UNICODE_MARK)) return 0;
    }
    if (n - i < 3 || !scan_is_ideograph(text + i)) return 0;
    if (family == FAMILY_GPT2 && i > at) return i;
    size_t end = scan_ideographs(text, n, i);
    if (end < n) scan_character(text, n, end, &class);
    return end < n && (class & (UNICODE_LETTER | UNICODE_MARK) || text[end] == '\'') ? 0 : end;
}

static inline __attribute__((always_inline)) size_t cut_family(const struct pattern *p, enum family family,
                                                               bool contractions, const char *text, size_t n, size_t at,
                                                               size_t stop, size_t *ends, size_t max) {
    const size_t max_digits = (size_t)p->max_digits;
    size_t count = 0;
    while (count < max && at < stop) {
        if (n - at < BLOCK_BYTES || (text[at] & 0x80)) {
            size_t end = text[at] & 0x80 ? ideograph_word(family, text, n, at) : 0;
            ends[count++] = at = end ? end : at + p->next(p, text + at, n - at);
            continue;
        }
        const char *block = text + at;
        const struct ascii_block b = classify_block(block);
        size_t i = 0, last = stop - at < BLOCK_BYTES ? stop - at : BLOCK_BYTES;
        while (count < max && i < last) {
            size_t end = ascii_word(family, contractions, max_digits, &b, block, i);
            if (!end) break;
            ends[count++] = at + end;
            i = end;
        }
        at += i;
        if (i < last && count < max && (i == 0 || b.wide >> i & 1 || i < BLOCK_BYTES / 2))
            ends[count++] = at += p->next(p, text + at, n - at);
    }
    return count;
}

size_t pretokenize_words(enum pretokenizer pretokenizer, const char *text, size_t n, size_t at, size_t stop,
                         size_t *ends, size_t max) {
    const struct pattern *p = &patterns[pretokenizer];
    switch (p->family) {
    case FAMILY_GPT2: return cut_family(p, FAMILY_GPT2, false, text, n, at, stop, ends, max);
    case FAMILY_CL100K: return cut_family(p, FAMILY_CL100K, false, text, n, at, stop, ends, max);
    case FAMILY_O200K:
        return p->contractions ? cut_family(p, FAMILY_O200K, true, text, n, at, stop, ends, max)
                               : cut_family(p, FAMILY_O200K, false, text, n, at, stop, ends, max);
    case FAMILY_OTHER: break;
    }
    return 0;
}

#else

size_t pretokenize_words(enum pretokenizer pretokenizer, const char *text, size_t n, size_t at, size_t stop,
                         size_t *ends, size_t max) {
    size_t count = 0;
    for (; at < stop && count < max; count++) ends[count] = at += pretokenize_next(pretokenizer, text + at, n - at);
    return count;
}

#endif

/* ==== which there are ========================================================================= */

const char *pretokenizer_name(enum pretokenizer pretokenizer) { return patterns[pretokenizer].name; }

const char *pretokenizer_regex(enum pretokenizer pretokenizer) { return patterns[pretokenizer].regexes[0]; }

bool pretokenizer_covers_text(enum pretokenizer pretokenizer) { return pretokenizer != PRETOKENIZER_DEEPSEEK; }

bool pretokenizer_from_name(const char *name, enum pretokenizer *out) {
    for (int i = 0; i < PRETOKENIZER_COUNT; i++) {
        if (strcmp(name, patterns[i].name) != 0 || !pretokenizer_covers_text((enum pretokenizer)i)) continue;
        *out = (enum pretokenizer)i;
        return true;
    }
    return false;
}

bool pretokenizer_from_regex(const char *regex, enum pretokenizer *out) {
    for (int i = 0; i < PRETOKENIZER_COUNT; i++) {
        for (int j = 0; j < 3; j++) {
            const char *known = patterns[i].regexes[j];
            if (!known || strcmp(regex, known) != 0) continue;
            *out = (enum pretokenizer)i;
            return true;
        }
    }
    return false;
}

size_t pretokenize_next(enum pretokenizer pretokenizer, const char *text, size_t n_bytes) {
    return n_bytes ? patterns[pretokenizer].next(&patterns[pretokenizer], text, n_bytes) : 0;
}

/* The classes of the character that ends at text[end], end > 0; of a broken one none. */
static unsigned class_before(const char *text, size_t end) {
    unsigned class;
    scan_character_before(text, end, &class);
    return class;
}

size_t pretokenize_safe_cut(const char *text, size_t n_bytes, size_t from) {
    for (size_t i = from > 0 ? from : 1; i < n_bytes; i++)
        if ((text[i] == ' ' || text[i] == '\n') && (class_before(text, i) & UNICODE_LETTER)) return i;
    return n_bytes;
}

static bool has_class_at(const char *text, size_t n, size_t i, unsigned wanted) {
    unsigned class;
    if (i >= n) return false;
    scan_character(text, n, i, &class);
    return class & wanted;
}

size_t pretokenize_last_cut(const char *text, size_t n_bytes, unsigned cuts) {
    for (size_t i = cuts & CUT_AT_SPACE ? n_bytes : 0; i-- > 1;)
        if (text[i] == ' ' && has_class_at(text, n_bytes, i + 1, UNICODE_LETTER) &&
            (class_before(text, i) & UNICODE_LETTER))
            return i;
    for (size_t i = cuts & CUT_AT_LINE_END ? n_bytes : 0; i-- > 2;)
        if (text[i - 1] == '\n' && has_class_at(text, n_bytes, i, UNICODE_LETTER) &&
            !(class_before(text, i - 1) & UNICODE_SPACE))
            return i;
    for (size_t i = cuts & CUT_AT_SIGN ? n_bytes : 0; i-- > 1;)
        if ((unsigned char)text[i] >= 0xc0 && has_class_at(text, n_bytes, i, UNICODE_PUNCTUATION) &&
            (class_before(text, i) & UNICODE_LETTER))
            return i;
    return 0;
}
