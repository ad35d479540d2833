/* Scanners against PCRE2 on random and hostile text, broken UTF-8 included; chains of cuts and what
 * becomes of matches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "text/regex.h"
#include "text/split.h"
#include "text/unicode.h"

#ifdef HAVE_PCRE2

/* Characters of many kinds, all in Unicode for so long that every library knows them. */
static int32_t random_character(struct rng *rng) {
    static const struct {
        int32_t first, last;
    } ranges[] = {{0x20, 0x7e},       {0x20, 0x7e},       {'a', 'z'},          {'A', 'Z'},         {'0', '9'},
                  {0, 0x1f},          {0x7f, 0xa0},       {0xa1, 0x17f},       {0x1c4, 0x1cc},     {0x2b0, 0x2ff},
                  {0x300, 0x36f},     {0x391, 0x3a1},     {0x400, 0x45f},      {0x5d0, 0x5ea},     {0x610, 0x669},
                  {0x905, 0x939},     {0xe01, 0xe3a},     {0x1100, 0x11f9},    {0x2000, 0x2064},   {0x2150, 0x2182},
                  {0x2190, 0x21ff},   {0x2460, 0x24ff},   {0x3000, 0x303f},    {0x3041, 0x3096},   {0x4e00, 0x9fa5},
                  {0xac00, 0xd7a3},   {0xfe00, 0xfe0f},   {0xff01, 0xffee},    {0x1d400, 0x1d454}, {0x1f300, 0x1f5ff},
                  {0x20000, 0x20100}, {0xe0100, 0xe01ef}, {0x10fffe, 0x10ffff}};
    size_t i = rng_below(rng, sizeof ranges / sizeof *ranges);
    return ranges[i].first + (int32_t)rng_below(rng, (uint64_t)(ranges[i].last - ranges[i].first + 1));
}

static void random_text(struct rng *rng, struct buffer *text) {
    static const char *const pieces[] = {
        "'s",  "'S",   "'ll",  "'Re",          "'\xc5\xbf",        "\r\n", "\n", "  ",  "\t",      " ", "/",
        "123", "\xff", "\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", "Ab",   "aB", "ABc", "\xcc\x81"};
    buffer_clear(text);
    for (uint64_t i = rng_below(rng, 24); i-- > 0;) {
        if (rng_below(rng, 3) == 0) {
            const char *piece = pieces[rng_below(rng, sizeof pieces / sizeof *pieces)];
            for (uint64_t again = rng_below(rng, 3) + 1; again-- > 0;) buffer_append_text(text, piece);
        } else {
            char bytes[4];
            buffer_append(text, bytes, (size_t)utf8_encode(random_character(rng), bytes));
        }
    }
    buffer_append_char(text, 0); /* so that data is not NULL; not part of the text */
    text->length--;
}

/* The text as regular expressions may see it: a byte that is not UTF-8 is U+0001, of no class either. */
static void make_valid(const struct buffer *text, struct buffer *valid) {
    buffer_clear(valid);
    buffer_append(valid, text->data, text->length + 1);
    for (size_t i = 0; i < text->length;) {
        i += utf8_valid_prefix(text->data + i, text->length - i);
        if (i < text->length) valid->data[i++] = 1;
    }
}

/* Bytes up to where a word begins, 0 when one begins at once. */
static size_t skip_to_word(enum pretokenizer p, const char *text, size_t n) {
    size_t at = 0;
    for (int32_t ignored; at < n && pretokenize_next(p, text + at, n - at) == 0;)
        at += (size_t)utf8_decode(text + at, n - at, &ignored);
    return at;
}

static void scanners_cut_as_pcre2_does(void **state) {
    (void)state;
    struct rng rng = rng_make(7, 0);
    struct buffer text = {0}, valid = {0};
    struct talc_error err = {0};
    for (int i = 0; i < PRETOKENIZER_COUNT; i++) {
        enum pretokenizer p = (enum pretokenizer)i;
        struct regex *regex = regex_compile(pretokenizer_regex(p), &err);
        if (!regex) fail_msg("%s", err.message);
        struct regex_matcher *matcher = regex_matcher_open(regex, NULL);
        for (int round = 0; round < 20000; round++) {
            random_text(&rng, &text);
            make_valid(&text, &valid);
            for (size_t at = 0, begin, end; at < text.length; at = end) {
                assert_true(regex_find(matcher, valid.data, text.length, at, &begin, &end, NULL));
                size_t gap = skip_to_word(p, text.data + at, text.length - at);
                size_t length = pretokenize_next(p, text.data + at + gap, text.length - at - gap);
                if (at + gap != begin || begin + length != end)
                    fail_msg(
                        "%s, round %d, byte %zu: a word at %zu of %zu bytes; PCRE2 has %zu of %zu (the text goes on "
                        "with \"%.24s\")",
                        pretokenizer_name(p), round, at, at + gap, length, begin, end - begin, text.data + at);
            }
        }
        regex_matcher_close(matcher);
        regex_free(regex);
    }
    buffer_free(&text);
    buffer_free(&valid);
}

static void regular_expressions_are_read_as_oniguruma_reads_them(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *text, *match;
    } cases[] = {
        {"\\w+", "!a\xcc\x81_1!", "a\xcc\x81_1"}, /* marks are parts of words */
        {"[^\\w]+", "ab\xcc\x81-+c", "-+"},
        {"\\W+", "a\xcc\x81-+c", "-+"},
        {"\\p{Katakana}+", "\xef\xbd\xb0\xe3\x82\xab", "\xe3\x82\xab"}, /* U+FF70 is shared, and no Katakana */
        {"b$", "ab\nc", "b"},                                           /* $ ends every line */
        {"\\p{^L}+", "ab12c", "12"},
        {"\\p{N}{1,3}+", "a1234567", "1234567"}, /* a + behind an interval repeats it */
        {"a{1,2}+a", "baaaaa", "aaaaa"},
        {"(a|(b){1,2}+)c", "bbbbc", "bbbbc"},
        {"(?<n>a(?:b|[)c]){2})\\1|(?:xy|[]z]){2,}+\\d", "a xyxy]zz7", "xyxy]zz7"},
        {"\xc3\xa9{1,2}+", "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"},
        {"a{2}+", "aaaaa", "aaaa"},
        {"a{1,3}+?b|a{1,3}+?", "aaaa", "aaa"},
        {"a++b|a", "aab", "aab"},
        {"a{,2}", "aaaa", "aa"},
        {"a{,}|a{1, 3}", "aa{1, 3}", "a{1, 3}"}, /* are no intervals */
        {"\\h+", " \tcf9x", "cf9"},              /* a digit of base 16 */
        {"[\\h_]+", " \tcf_9x", "cf_9"},
        {"\\H+", "ab \tc", " \t"},
        {"[[:space:]]{2,}", "a b \n\tc", " \n\t"},
        {"[-[:^space:]x]+", " a-b c", "a-b"},
        {"[[:word:]-]+", "!a\xcc\x81-1!", "a\xcc\x81-1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct regex *regex = regex_compile(cases[i].pattern, NULL);
        assert_non_null(regex);
        struct regex_matcher *matcher = regex_matcher_open(regex, NULL);
        size_t begin, end, n = strlen(cases[i].text), n_match = strlen(cases[i].match);
        assert_true(regex_find(matcher, cases[i].text, n, 0, &begin, &end, NULL));
        if (end - begin != n_match || memcmp(cases[i].text + begin, cases[i].match, n_match) != 0)
            fail_msg("%s: matches \"%.*s\"", cases[i].pattern, (int)(end - begin), cases[i].text + begin);
        regex_matcher_close(matcher);
        regex_free(regex);
    }
    struct talc_error err = {0};
    assert_null(regex_compile("(", &err));
    assert_non_null(strstr(err.message, "\"(\""));
    static const char *const refused[][2] = {{"[a[b]]", "sets in sets"}, {"[a&&b]", "sets in sets"},
                                             {"[[:a]]", "sets in sets"}, {"[[:^word:]]", "[:^word:]"},
                                             {"[^\\H]", "\\H in a set"}, {"[\\W_]", "\\W in a set"},
                                             {"a(?im:.)", "(?m)"}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_null(regex_compile(refused[i][0], &err));
        if (!strstr(err.message, refused[i][1])) fail_msg("%s: %s", refused[i][0], err.message);
    }
}

static void a_hostile_expression_gives_up_with_an_error(void **state) {
    (void)state;
    struct talc_error err = {0};
    char text[40];
    struct regex *regex = regex_compile("(a|a)*\\d", &err);
    struct regex_matcher *matcher = regex_matcher_open(regex, NULL);
    size_t begin, end;
    memset(text, 'a', sizeof text);
    assert_false(regex_find(matcher, text, sizeof text, 0, &begin, &end, &err));
    assert_non_null(strstr(err.message, "gives up at byte 0"));
    regex_matcher_close(matcher);
    regex_free(regex);
}

#endif

/* The words of a split with bars between them. */
static void assert_words(const struct split *split, const char *text, const char *expected) {
    struct split_cursor cursor;
    struct buffer words = {0};
    struct talc_error err = {0};
    if (!split_cursor_open(&cursor, split, text, strlen(text), &err)) fail_msg("%s", err.message);
    for (size_t begin, end;;) {
        if (!split_cursor_next(&cursor, &begin, &end, &err)) fail_msg("%s", err.message);
        if (begin == end) break;
        if (words.length) buffer_append_char(&words, '|');
        buffer_append(&words, text + begin, end - begin);
    }
    assert_string_equal(words.data ? words.data : "", expected);
    split_cursor_close(&cursor);
    buffer_free(&words);
}

static void matches_are_kept_dropped_or_joined(void **state) {
    (void)state;
    static const struct {
        enum split_behavior behavior;
        bool invert;
        const char *expected;
    } cases[] = {
        {SPLIT_ISOLATED, false, "-|-|a|-|b"},       {SPLIT_REMOVED, false, "a|b"},
        {SPLIT_CONTIGUOUS, false, "--|a|-|b"},      {SPLIT_MERGED_WITH_PREVIOUS, false, "-|-|a-|b"},
        {SPLIT_MERGED_WITH_NEXT, false, "-|-a|-b"}, {SPLIT_REMOVED, true, "-|-|-"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct split split = {0};
        struct split_step step = {.kind = SPLIT_TEXT, .behavior = cases[i].behavior, .invert = cases[i].invert};
        step.text = strdup("-");
        assert_true(split_add(&split, step, NULL));
        assert_words(&split, "--a-b", cases[i].expected);
        assert_words(&split, "", "");
        split_free(&split);
    }
}

static void steps_cut_what_the_one_before_left(void **state) {
    (void)state;
    struct split split = {0};
    assert_words(&split, "one word", "one word");
    split_add(&split, (struct split_step){.kind = SPLIT_CLASS, .classes = UNICODE_NUMBER, .max_run = 3}, NULL);
    split_add(&split, (struct split_step){.kind = SPLIT_CJK}, NULL);
    split_add(&split, (struct split_step){.kind = SPLIT_SCANNER, .scanner = PRETOKENIZER_DEEPSEEK}, NULL);
    assert_words(&split, "abc 12345\xe4\xb8\xad\xe6\x96\x87x\x01\x02 y",
                 "abc| |123|45|\xe4\xb8\xad\xe6\x96\x87|x|\x01\x02| y");
    assert_true(split_cuts_anywhere(&split));
    split_free(&split);
    struct split_step text = {.kind = SPLIT_TEXT};
    text.text = strdup("x");
    split_add(&split, text, NULL);
    assert_false(split_cuts_anywhere(&split));
    while (split.n_steps < SPLIT_MAX_STEPS) split_add(&split, (struct split_step){.kind = SPLIT_CJK}, NULL);
    text.text = strdup("y");
    struct talc_error err = {0};
    assert_false(split_add(&split, text, &err));
    assert_non_null(strstr(err.message, "steps"));
    split_free(&split);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#ifdef HAVE_PCRE2
        cmocka_unit_test(scanners_cut_as_pcre2_does),
        cmocka_unit_test(regular_expressions_are_read_as_oniguruma_reads_them),
        cmocka_unit_test(a_hostile_expression_gives_up_with_an_error),
#endif
        cmocka_unit_test(matches_are_kept_dropped_or_joined),
        cmocka_unit_test(steps_cut_what_the_one_before_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
