/* Cutting text into words: the scanners against `tokenizers`' regular expressions, broken UTF-8, safe places to cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "file/json.h"
#include "base/utf8.h"
#include "text/pretokenize.h"
#include "text/scan.h"
#include "text/unicode.h"

static json_t *golden(void) {
    struct talc_error err = {0};
    json_t *root = json_read_file(TEST_DIR "/golden/tokenizer/pretokenize.json", 0, &err);
    if (!root) fail_msg("%s", err.message);
    return root;
}

static void words_are_cut_as_the_regular_expressions_cut_them(void **state) {
    (void)state;
    json_t *root = golden(), *texts = json_object_get(root, "texts");
    for (int p = 0; p < PRETOKENIZER_COUNT; p++) {
        const json_t *cuts = json_object_get(root, pretokenizer_name((enum pretokenizer)p));
        if (!cuts) continue; /* test_split.c compares these with PCRE2 */
        assert_int_equal(json_array_size(cuts), json_array_size(texts));
        for (size_t i = 0; i < json_array_size(texts); i++) {
            const char *text = json_string_value(json_array_get(texts, i));
            size_t n = json_string_length(json_array_get(texts, i));
            const json_t *lengths = json_array_get(cuts, i);
            for (size_t w = 0; n > 0; w++) {
                size_t got = pretokenize_next((enum pretokenizer)p, text, n);
                size_t expected = (size_t)json_integer_value(json_array_get(lengths, w));
                if (got != expected)
                    fail_msg("%s, text %zu, word %zu: %zu bytes, expected %zu (the text goes on with \"%.20s\")",
                             pretokenizer_name((enum pretokenizer)p), i, w, got, expected, text);
                text += got;
                n -= got;
            }
        }
    }
    json_decref(root);
}

static void regular_expressions_are_recognised_by_their_text(void **state) {
    (void)state;
    enum pretokenizer found;
    for (int p = 0; p < PRETOKENIZER_COUNT; p++) {
        assert_true(pretokenizer_from_regex(pretokenizer_regex((enum pretokenizer)p), &found));
        assert_int_equal(found, p);
        if (!pretokenizer_covers_text((enum pretokenizer)p)) continue;
        assert_true(pretokenizer_from_name(pretokenizer_name((enum pretokenizer)p), &found));
        assert_int_equal(found, p);
    }
    assert_false(pretokenizer_from_regex("\\s+|\\w+", &found));
    assert_false(pretokenizer_from_name("gpt5", &found));
}

static size_t first(enum pretokenizer p, const char *text) { return pretokenize_next(p, text, strlen(text)); }

static void broken_bytes_are_like_punctuation(void **state) {
    (void)state;
    for (int i = 0; i < PRETOKENIZER_COUNT; i++) {
        enum pretokenizer p = (enum pretokenizer)i;
        if (!pretokenizer_covers_text(p)) continue;
        assert_int_equal(first(p, "\xff\xc0!\x80 x"), 4);
        assert_int_equal(first(p, " \xff\xffx"), 3);
        assert_int_equal(first(p, "a\xc3"), 1);             /* a truncated letter */
        assert_int_equal(first(p, "\xed\xa0\x80 "), 3);     /* a surrogate: three bytes, none of them a letter */
        assert_int_equal(first(p, "1\xf4\x90\x80\x80"), 1); /* past U+10FFFF */
    }
}

static void random_bytes_are_cut_without_loss(void **state) {
    (void)state;
    struct rng rng = rng_make(1, 0);
    char text[64];
    for (int round = 0; round < 20000; round++) {
        size_t n = rng_below(&rng, sizeof text + 1);
        for (size_t i = 0; i < n; i++) text[i] = (char)rng_below(&rng, 256);
        for (int p = 0; p < PRETOKENIZER_COUNT; p++) {
            for (size_t at = 0; at < n && pretokenizer_covers_text((enum pretokenizer)p);) {
                size_t length = pretokenize_next((enum pretokenizer)p, text + at, n - at);
                assert_true(length > 0 && length <= n - at);
                at += length;
            }
        }
    }
}

/* Text whose characters meet in every way: few kinds of them, runs, words up to the border of what is looked at
 * together. */
static size_t hostile_text(struct rng *rng, char *text, size_t max) {
    static const char *const parts[] = {
        "a",      "Z",      "the",    " the",   "HELLO",  "Word",       " ",    "  ",    "\n",     "\r\n",
        "\t",     "'",      "'s",     "'LL",    "'re",    "1",          "123",  "45678", ".",      ",",
        "--",     "/",      "!/",     "\"",     " (",     "_",          "\x01", "\x1c",  "\x0b",   "\x7f",
        "\u00e9", "\u00a0", "\u4e2d", "\u0301", "\u2019", "\U0001f600", "\xff", "\xe4",  "\u017f", "\u0660"};
    size_t n = 0, kinds = 1 + rng_below(rng, 6), chosen[6];
    for (size_t i = 0; i < kinds; i++)
        chosen[i] = rng_below(rng, rng_below(rng, 2) ? 30 : sizeof parts / sizeof *parts);
    for (;;) {
        const char *part = parts[chosen[rng_below(rng, kinds)]];
        for (size_t repeats = rng_below(rng, 8) ? 1 : 1 + rng_below(rng, 80); repeats > 0; repeats--) {
            if (n + strlen(part) > max) return n;
            memcpy(text + n, part, strlen(part));
            n += strlen(part);
        }
    }
}

static void many_words_are_those_cut_one_by_one(void **state) {
    (void)state;
    struct rng rng = rng_make(7, 0);
    char text[400];
    size_t ends[64], n_words = 0;
    for (int round = 0; round < 20000; round++) {
        size_t n = hostile_text(&rng, text, 1 + rng_below(&rng, sizeof text)), stop = 1 + rng_below(&rng, n ? n : 1);
        size_t max = 1 + rng_below(&rng, 64);
        for (int i = 0; n && i < PRETOKENIZER_COUNT; i++) {
            enum pretokenizer p = (enum pretokenizer)i;
            if (!pretokenizer_covers_text(p)) continue;
            for (size_t at = 0; at < stop;) {
                size_t count = pretokenize_words(p, text, n, at, stop, ends, max);
                assert_true(count > 0 && count <= max);
                for (size_t w = 0; w < count; w++) {
                    assert_true(at < stop);
                    size_t length = pretokenize_next(p, text + at, n - at);
                    if (ends[w] != at + length)
                        fail_msg("%s: \"%.*s\" has a word of %zu bytes, not %zu", pretokenizer_name(p), (int)(n - at),
                                 text + at, length, ends[w] - at);
                    at = ends[w];
                    n_words++;
                }
                assert_true(count == max || at >= stop);
            }
        }
    }
    assert_true(n_words > 1000000);
}

/* True when a word of `text` begins at `cut`, and those before it are the words of text[0..cut) alone. */
static bool cut_keeps_words(enum pretokenizer p, const char *text, size_t n, size_t cut) {
    for (size_t at = 0; at < cut;) {
        size_t length = pretokenize_next(p, text + at, n - at);
        if (length == 0) { /* a character that belongs to no word */
            at++;
            continue;
        }
        if (pretokenize_next(p, text + at, cut - at) != length) return false;
        at += length;
        if (at > cut) return false;
    }
    return true;
}

static void a_safe_cut_changes_no_word(void **state) {
    (void)state;
    json_t *root = golden(), *texts = json_object_get(root, "texts"), *value;
    struct buffer all = {0};
    size_t i, n_cuts = 0;
    json_array_foreach(texts, i, value) { buffer_append(&all, json_string_value(value), json_string_length(value)); }
    for (size_t from = 0; from < all.length; n_cuts++) {
        size_t cut = pretokenize_safe_cut(all.data, all.length, from);
        assert_true(cut >= from && cut <= all.length);
        for (int p = 0; p < PRETOKENIZER_COUNT; p++)
            assert_true(cut_keeps_words((enum pretokenizer)p, all.data, all.length, cut));
        from = cut + 1;
    }
    assert_true(n_cuts > 50);
    assert_int_equal(pretokenize_safe_cut("abc", 3, 0), 3);
    buffer_free(&all);
    json_decref(root);
}

static void characters_have_their_classes(void **state) {
    (void)state;
    static const struct {
        int32_t codepoint;
        unsigned class;
    } cases[] = {
        {'A', UNICODE_UPPER | UNICODE_WORD},
        {'z', UNICODE_LOWER | UNICODE_WORD},
        {0x1c5, UNICODE_TITLE | UNICODE_WORD},
        {0x2b0, UNICODE_MODIFIER | UNICODE_WORD},
        {0x4e2d, UNICODE_OTHER_LETTER | UNICODE_WORD},
        {0x9fff, UNICODE_OTHER_LETTER | UNICODE_WORD},
        {0xd7a3, UNICODE_OTHER_LETTER | UNICODE_WORD},
        {0x301, UNICODE_MARK | UNICODE_NFC_MAYBE | UNICODE_WORD | UNICODE_8_MARK},
        {'7', UNICODE_NUMBER | UNICODE_WORD},
        {0xbd, UNICODE_NUMBER},
        {0x2167, UNICODE_NUMBER | UNICODE_WORD},
        {' ', UNICODE_SPACE},
        {0x85, UNICODE_SPACE | UNICODE_8_OTHER},
        {0x3000, UNICODE_SPACE},
        {0x1c, UNICODE_8_OTHER},
        {0x200b, UNICODE_8_OTHER},
        {'_', UNICODE_PUNCTUATION | UNICODE_WORD | UNICODE_8_PUNCTUATION},
        {0x61d, UNICODE_PUNCTUATION}, /* younger than Unicode 8 */
        {0x166d, UNICODE_SYMBOL | UNICODE_8_PUNCTUATION},
        {'+', UNICODE_SYMBOL},
        {0x1f600, UNICODE_SYMBOL},
        {0x344, UNICODE_MARK | UNICODE_NFC_MAYBE | UNICODE_WORD | UNICODE_8_MARK},
        {0x10ffff, 0},
        {0x110000, 0},
        {-1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(unicode_class(cases[i].codepoint), cases[i].class);
}

/* Ideographs are measured many at a time, others one by one. */
static void runs_of_ideographs_end_where_the_first_other_character_is(void **state) {
    (void)state;
    static const char *const others[] = {"\xe4\xb7\xbf", "\xea\x80\x80", "\xe4\xb8", "\xe5",
                                         "\xb8",         "\xe3\x81\x82", "a",        "\xe4\xb8 "};
    struct rng rng = rng_make(8, 0);
    for (int32_t codepoint = 0x4e00; codepoint <= 0x9fff; codepoint++)
        assert_int_equal(unicode_class(codepoint), SCAN_IDEOGRAPH);
    for (int round = 0; round < 20000; round++) {
        char text[128];
        size_t n_run = 0, n;
        for (uint64_t i = rng_below(&rng, 25); i > 0; i--)
            n_run += (size_t)utf8_encode(0x4e00 + (int32_t)rng_below(&rng, 0x5200), text + n_run);
        n = n_run;
        for (int i = 0; i < 20; i++) {
            const char *other = others[rng_below(&rng, i ? 8 : 7)];
            memcpy(text + n, other, strlen(other));
            n += strlen(other);
            if (i == 0 && *other == '\xe4' && !other[2]) text[n++] = 'x'; /* what follows must not complete it */
            if (i == 0 && *other == '\xe5') text[n++] = 'x';
        }
        assert_int_equal(scan_ideographs(text, n, 0), n_run);
        assert_int_equal(scan_ideographs(text, n_run, 0), n_run);
    }
}

/* The words of text[at..end), read in a text of n bytes, must be those of text[at..end) alone. */
static void assert_same_words(enum pretokenizer p, const char *text, size_t n, size_t at, size_t end) {
    while (at < end) {
        size_t in_whole = pretokenize_next(p, text + at, n - at), in_part = pretokenize_next(p, text + at, end - at);
        if (in_whole != in_part)
            fail_msg("%s: \"%.*s\" cut at %zu: the word at %zu has %zu bytes, %zu in the whole", pretokenizer_name(p),
                     (int)n, text, end, at, in_part, in_whole);
        at += in_whole ? in_whole : 1;
    }
    assert_int_equal(at, end);
}

static void the_last_cut_changes_no_word(void **state) {
    (void)state;
    static const char *const parts[] = {" ",
                                        "\n",
                                        " ",
                                        "a",
                                        "b",
                                        "Z",
                                        "'",
                                        "s",
                                        "/",
                                        ".",
                                        "7",
                                        "\r",
                                        "\t",
                                        "  ",
                                        "\xcc\x81",
                                        "\xe4\xb8\xad",
                                        "\xe3\x80\x82",
                                        "\xe3\x80\x80",
                                        "\xc2\xa0",
                                        "\xff",
                                        "\xc3\xa9",
                                        "\xe4",
                                        "+",
                                        "\xf0\x9f\x98\x80"};
    struct rng rng = rng_make(11, 0);
    int n_before_space = 0, n_behind_line = 0, n_before_sign = 0;
    for (int round = 0; round < 40000; round++) {
        char text[96];
        size_t n = 0;
        for (uint64_t left = 2 + rng_below(&rng, 14); left > 0; left--) {
            const char *part = parts[rng_below(&rng, round % 2 ? 10 : sizeof parts / sizeof *parts)];
            memcpy(text + n, part, strlen(part));
            n += strlen(part);
        }
        size_t seen = 1 + (size_t)rng_below(&rng, n); /* what was read when the cut was looked for */
        size_t cut = pretokenize_last_cut(text, seen, CUT_ANYWHERE);
        if (cut == 0) continue;
        assert_true(cut < seen);
        n_before_space += text[cut] == ' ';
        n_behind_line += text[cut - 1] == '\n';
        n_before_sign += text[cut] != ' ' && text[cut - 1] != '\n';
        for (int p = 0; p < PRETOKENIZER_COUNT; p++) {
            assert_same_words((enum pretokenizer)p, text, n, 0, cut);
            assert_same_words((enum pretokenizer)p, text, n, cut, n);
        }
    }
    assert_true(n_before_space > 1000 && n_behind_line > 1000 && n_before_sign > 200);
    assert_int_equal(pretokenize_last_cut("abc", 3, CUT_ANYWHERE), 0);
    assert_int_equal(pretokenize_last_cut("", 0, CUT_ANYWHERE), 0);
    assert_int_equal(pretokenize_last_cut("a b c. d", 8, CUT_ANYWHERE), 3);
    assert_int_equal(pretokenize_last_cut("1\na 2", 5, CUT_ANYWHERE), 2);
    assert_int_equal(pretokenize_last_cut("a b\nc", 5, CUT_ANYWHERE), 1);
    assert_int_equal(pretokenize_last_cut("a b\nc", 5, CUT_AT_LINE_END), 4);
    assert_int_equal(pretokenize_last_cut("a b\nc", 5, CUT_AT_SIGN), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_cut_as_the_regular_expressions_cut_them),
        cmocka_unit_test(regular_expressions_are_recognised_by_their_text),
        cmocka_unit_test(broken_bytes_are_like_punctuation),
        cmocka_unit_test(random_bytes_are_cut_without_loss),
        cmocka_unit_test(many_words_are_those_cut_one_by_one),
        cmocka_unit_test(a_safe_cut_changes_no_word),
        cmocka_unit_test(the_last_cut_changes_no_word),
        cmocka_unit_test(characters_have_their_classes),
        cmocka_unit_test(runs_of_ideographs_end_where_the_first_other_character_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
