/* Reading text: documents whole whatever the size, bounded memory, and one clear line for what is no text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#include <cmocka.h>

#include "base/buffer.h"
#include "base/utf8.h"
#include "data/input_stream.h"
#include "data/text_reader.h"
#include "file/atomic.h"
#include "text/pretokenize.h"

static char folder[64];

static int setup(void **state) {
    (void)state;
    strcpy(folder, "/tmp/talc-reader-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    return folder_remove(folder, NULL) ? 0 : -1;
}

/* Writes a file in the test's folder; the path is good until the next call. */
static const char *write_file(const char *name, const char *data, size_t n) {
    static char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_true(atomic_write_file(path, data, n, NULL));
    return path;
}

static const char *write_text(const char *name, const char *text) { return write_file(name, text, strlen(text)); }

struct seen {
    struct buffer text; /* of all documents */
    int n_documents, n_pieces;
    size_t largest;
};

static bool read_all(const char *path, bool allow_invalid, struct seen *seen, struct talc_error *err) {
    *seen = (struct seen){0};
    struct text_reader *r = text_reader_open(path, allow_invalid, NULL, err);
    bool ok = r != NULL, inside = false;
    for (struct text_piece piece; ok && (ok = text_reader_next(r, &piece, err)) && piece.text;) {
        assert_int_equal(piece.starts_document, !inside);
        inside = !piece.ends_document;
        seen->n_documents += piece.starts_document;
        seen->n_pieces++;
        if (piece.n_bytes > seen->largest) seen->largest = piece.n_bytes;
        assert_int_equal(utf8_valid_prefix(piece.text, piece.n_bytes), piece.n_bytes);
        buffer_append(&seen->text, piece.text, piece.n_bytes);
    }
    if (ok) assert_false(inside);
    text_reader_close(r);
    return ok;
}

static void assert_refused(const char *path, const char *why) {
    struct talc_error err = {0};
    struct seen seen;
    assert_false(read_all(path, false, &seen, &err));
    if (!strstr(err.message, why) || !strstr(err.message, path)) fail_msg("want \"%s\" in: %s", why, err.message);
    buffer_free(&seen.text);
}

static void assert_reads(const char *path, int n_documents, const char *text) {
    struct talc_error err = {0};
    struct seen seen;
    if (!read_all(path, false, &seen, &err)) fail_msg("%s", err.message);
    assert_int_equal(seen.n_documents, n_documents);
    assert_string_equal(seen.text.data, text);
    buffer_free(&seen.text);
}

static void small_file_is_one_document(void **state) {
    (void)state;
    assert_reads(write_text("a.txt", "one\ntwo\r\n"), 1, "one\ntwo\r\n");
    assert_reads(write_text("a.md", "# x"), 1, "# x");
    assert_reads(write_text("a.txt", "x"), 1, "x");
    assert_reads(write_text("a.txt", "\xef\xbb\xbfx"), 1, "x");
}

static void empty_and_foreign_files_are_refused(void **state) {
    (void)state;
    assert_refused(write_text("a.txt", ""), "is empty");
    assert_refused(write_text("a.jsonl", ""), "is empty");
    assert_refused(write_text("a.jsonl", "\n \n\r\n"), "is empty");
    assert_refused(write_text("a.pdf", "x"), ".pdf files are not read");
    assert_refused(write_text("a.txt.gz", "x"), ".gz files are not read");
    assert_refused("/no/such/file.txt", "cannot be read: No such file");
    assert_refused(folder, "cannot be read: Is a directory");
}

static void invalid_utf8_is_placed_or_replaced(void **state) {
    (void)state;
    assert_refused(write_text("a.txt", "abc\xff"
                                       "def"),
                   "byte 3 is not UTF-8");
    assert_refused(write_text("a.txt", "\xef\xbb\xbf"
                                       "abc\xc3"),
                   "byte 6 is not UTF-8");
    assert_refused(write_text("a.txt", "\xc0\x80"), "byte 0 is not UTF-8");
    assert_refused(write_file("a.txt",
                              "\xff\xfe"
                              "a\0",
                              4),
                   "is UTF-16");
    struct seen seen;
    assert_true(read_all(write_text("a.txt", "a\xff\xc3(\xe2\x82"), true, &seen, NULL));
    assert_string_equal(seen.text.data, "a\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd");
    buffer_free(&seen.text);
}

/* Words end where the piece at `begin` ends, and those of the piece are those of the whole text. */
static void assert_words_end(enum pretokenizer p, const struct buffer *text, size_t begin, size_t end) {
    size_t at = begin;
    while (at < end) {
        size_t n = pretokenize_next(p, text->data + at, text->length - at);
        assert_int_equal(pretokenize_next(p, text->data + at, end - at), n);
        at += n;
    }
    assert_int_equal(at, end);
}

/* A text of n_bytes made by repeating `unit` must come back unchanged, in pieces that have its words. */
static void assert_long_text_survives(const char *unit, size_t n_bytes, size_t largest) {
    struct buffer text = {0};
    while (text.length < n_bytes) buffer_append_text(&text, unit);
    struct talc_error err = {0};
    struct text_reader *r = text_reader_open(write_file("long.txt", text.data, text.length), false, NULL, &err);
    struct text_piece piece;
    size_t at = 0;
    do {
        if (!r || !text_reader_next(r, &piece, &err)) fail_msg("%s", err.message);
        assert_true(piece.starts_document == (at == 0) && piece.n_bytes <= largest);
        assert_true(piece.n_bytes > 0 && at + piece.n_bytes <= text.length);
        assert_memory_equal(text.data + at, piece.text, piece.n_bytes);
        for (int p = 0; p < PRETOKENIZER_COUNT; p++)
            if (pretokenizer_covers_text((enum pretokenizer)p) && largest < TEXT_PIECE_MAX_BYTES)
                assert_words_end((enum pretokenizer)p, &text, at, at + piece.n_bytes);
        at += piece.n_bytes;
        assert_int_equal(piece.ends_document, at == text.length);
    } while (!piece.ends_document);
    assert_true(text_reader_next(r, &piece, &err) && !piece.text);
    text_reader_close(r);
    buffer_free(&text);
}

static void long_text_is_cut_where_words_are_not(void **state) {
    (void)state;
    const size_t mib = 1 << 20;
    assert_long_text_survives("a line of words\n", 3 * mib, mib);
    assert_long_text_survives("a line\n  and an indented one\n\n\n", 3 * mib + 7, mib);
    assert_long_text_survives("no line ends here, ", 2500000, mib);
    assert_long_text_survives("\xe3\x80\x80\xe3\x80\x80\xe4\xb8\xad\xe3\x80\x82\n\xe4\xb8\xad\n", 2500001, mib);
    assert_long_text_survives("word\n\n\n  (1) 'word'\r\n\r\n(2)\nword\n", 2500001, mib);
    assert_long_text_survives("\xe4\xb8\xad\xe3\x80\x82\n\n\xe4\xb8\xad\xef\xbc\x8c", 2500001, mib);
}

/* Where there is no such place a piece grows, up to a bound. */
static void text_without_a_place_to_cut_is_one_piece(void **state) {
    (void)state;
    assert_long_text_survives("x", (1 << 20) + 1, (1 << 20) + 2);
    assert_long_text_survives("\xe4\xb8\xad\xe6\x96\x87", 5000000, 5000010);
    assert_long_text_survives("\xe4\xb8\xad", TEXT_PIECE_MAX_BYTES + 5, TEXT_PIECE_MAX_BYTES);
}

/* ... and where no cut is allowed there is no bound; of some cuts only these are made, while there are any. */
static void text_is_cut_only_where_it_may_be(void **state) {
    (void)state;
    static const struct {
        unsigned cuts;
        size_t n_bytes, first; /* of the text; of the first piece at most */
    } cases[] = {{0, TEXT_PIECE_MAX_BYTES + 100, TEXT_PIECE_MAX_BYTES + 100},
                 {CUT_AT_SPACE, TEXT_PIECE_MAX_BYTES + 100, TEXT_PIECE_MAX_BYTES},
                 {CUT_AT_LINE_END, TEXT_PIECE_MAX_BYTES + 100, 1 << 20}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct talc_error err = {0};
        struct text_piece piece;
        char *text = malloc(cases[i].n_bytes);
        for (size_t j = 0; j < cases[i].n_bytes; j++) text[j] = "abc\n"[j % 4];
        struct text_reader *r = text_reader_open(write_file("cuts.txt", text, cases[i].n_bytes), false, NULL, &err);
        text_reader_cut_at(r, cases[i].cuts);
        if (!text_reader_next(r, &piece, &err)) fail_msg("%s", err.message);
        assert_true(piece.n_bytes <= cases[i].first && piece.n_bytes > cases[i].first - 8);
        assert_int_equal(piece.ends_document, cases[i].cuts == 0);
        assert_true(cases[i].cuts == 0 || piece.text[piece.n_bytes - 1] == '\n');
        text_reader_close(r);
        free(text);
    }
}

static void jsonl_is_a_document_a_line(void **state) {
    (void)state;
    assert_reads(write_text("a.jsonl", "{\"text\":\"one\"}\n\n{\"id\":7,\"text\":\"t\\u00e9\"}\r\n{\"text\":\"\"}\n"),
                 2, "onet\xc3\xa9");
    assert_reads(write_text("a.jsonl", "{\"text\":\"a\xe2\x80\xa8z\"}"), 1, "a\xe2\x80\xa8z"); /* U+2028 ends no line */
    struct seen seen;
    assert_true(read_all(write_text("a.jsonl", "{\"text\":\"a\\u0000b\"}"), false, &seen, NULL));
    assert_int_equal(seen.text.length, 3);
    buffer_free(&seen.text);
}

static void broken_jsonl_names_the_line(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"{\"text\":\"a\"}\n{\"text\":\n", ":2: not valid JSON"},
        {"{\"text\":\"a\"}\n\n{\"text\":\"\xff\"}\n", ":3: not valid JSON"},
        {"{\"text\":7}", ":1: has no \"text\""},
        {"[\"text\"]", ":1: has no \"text\""},
        {"\"text\"", ":1: not valid JSON"},
        {"{\"messages\":[]}", ":1: this is a chat"},
        {"{\"text\":\"a\"}{\"text\":\"b\"}", ":1: not valid JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct talc_error err = {0};
        struct seen seen;
        assert_false(read_all(write_text("bad.jsonl", cases[i][0]), false, &seen, &err));
        if (!strstr(err.message, "bad.jsonl:") || !strstr(err.message, cases[i][1]))
            fail_msg("want \"%s\" in: %s", cases[i][1], err.message);
        buffer_free(&seen.text);
    }
}

static void line_of_a_gigabyte_fails_in_bounded_memory(void **state) {
    (void)state;
    char path[160];
    snprintf(path, sizeof path, "%s/huge.jsonl", folder);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "{\"text\":\"x\"}\n", 13), 13);
    assert_int_equal(ftruncate(fd, 1 << 30), 0); /* sparse: takes no room on the disk */
    close(fd);
    struct rusage usage;
    assert_refused(path, "huge.jsonl:2: this line has more than 64 MiB");
    getrusage(RUSAGE_SELF, &usage);
    assert_true(usage.ru_maxrss < 400 * 1024);
}

static void line_of_just_the_limit_is_read(void **state) {
    (void)state;
    size_t n = LINE_MAX_BYTES;
    char *line = malloc(n + 1), *path;
    memset(line, 'x', n);
    line[n] = '\n';
    struct line_reader r;
    const char *got;
    size_t n_got;
    assert_true(asprintf(&path, "%s/lines", folder) > 0);
    for (int too_long = 0; too_long < 2; too_long++) {
        FILE *f = fopen(path, "wb");
        if (too_long) fputc('x', f);
        fwrite(line, 1, n + 1, f);
        fputs("next", f);
        fclose(f);
        assert_true(line_reader_open(&r, path, NULL, NULL));
        assert_int_equal(line_reader_next(&r, &got, &n_got, NULL), !too_long);
        if (!too_long) {
            assert_int_equal(n_got, n);
            assert_true(line_reader_next(&r, &got, &n_got, NULL));
            assert_memory_equal(got, "next", 4);
            assert_int_equal(n_got, 4);
            assert_true(line_reader_next(&r, &got, &n_got, NULL) && got == NULL);
            assert_true(line_reader_next(&r, &got, &n_got, NULL) && got == NULL);
        }
        line_reader_close(&r);
    }
    free(path);
    free(line);
}

static void counting_agrees_with_reading(void **state) {
    (void)state;
    struct text_count count;
    assert_true(text_file_count(write_text("a.txt", "\xef\xbb\xbf"
                                                    "abc\n"),
                                NULL, &count, NULL));
    assert_true(count.n_documents == 1 && count.n_bytes == 4);
    assert_true(text_file_count(write_text("a.jsonl", "{}\n\n  \n{}\r\n{}"), NULL, &count, NULL));
    assert_true(count.n_documents == 3);
    assert_false(text_file_count(write_text("a.txt", ""), NULL, &count, NULL));
}

/* What of a file changes between two reads of it makes what was read neither the old nor the new. */
static void a_file_that_changes_is_no_text(void **state) {
    (void)state;
    const size_t n = 3 << 20;
    char *text = malloc(n), *path = strdup(write_text("a.txt", ""));
    memset(text, 'a', n);
    for (size_t i = 7; i < n; i += 8) text[i] = '\n';
    for (int by = -8; by <= 8; by += 16) {
        write_file("a.txt", text, n);
        struct text_reader *r = text_reader_open(path, false, NULL, NULL);
        struct text_piece piece = {0};
        struct talc_error err = {0};
        assert_true(text_reader_next(r, &piece, &err));
        assert_int_equal(truncate(path, (off_t)n + by), 0);
        bool ok;
        while ((ok = text_reader_next(r, &piece, &err)) && piece.text) {
        }
        assert_false(ok);
        assert_non_null(strstr(err.message, "a.txt: has changed while it was read"));
        text_reader_close(r);
    }
    free(text);
    free(path);
}

#ifdef HAVE_ZSTD
static void packed_files_are_unpacked(void **state) {
    (void)state;
    struct buffer text = {0};
    for (int i = 0; text.length < 3 << 20; i++) buffer_printf(&text, "line %d\n", i);
    size_t bound = ZSTD_compressBound(text.length);
    char *packed = malloc(2 * bound);
    size_t half = text.length / 2; /* two frames, as pzstd and cat make them */
    size_t n = ZSTD_compress(packed, bound, text.data, half, 1);
    n += ZSTD_compress(packed + n, bound, text.data + half, text.length - half, 1);
    struct seen seen;
    assert_true(read_all(write_file("a.txt.zst", packed, n), false, &seen, NULL));
    assert_int_equal(seen.text.length, text.length);
    assert_memory_equal(seen.text.data, text.data, text.length);
    assert_refused(write_file("cut.txt.zst", packed, n - 5), "is cut short");
    assert_refused(write_text("no.txt.zst", "plain text"), "cannot be unpacked");
    assert_refused(write_text("none.txt.zst", ""), "is empty");
    buffer_free(&seen.text);
    n = ZSTD_compress(packed, bound, "{\"text\":\"a\"}\n{\"text\":\"b\"}", 25, 1);
    assert_reads(write_file("a.jsonl.zst", packed, n), 2, "ab");
    free(packed);
    buffer_free(&text);
}
#else
static void packed_files_are_unpacked(void **state) {
    (void)state;
    assert_refused(write_text("a.txt.zst", "x"), "was built without zstd");
}
#endif

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(small_file_is_one_document),
        TEST(empty_and_foreign_files_are_refused),
        TEST(invalid_utf8_is_placed_or_replaced),
        TEST(long_text_is_cut_where_words_are_not),
        TEST(text_without_a_place_to_cut_is_one_piece),
        TEST(text_is_cut_only_where_it_may_be),
        TEST(jsonl_is_a_document_a_line),
        TEST(broken_jsonl_names_the_line),
        TEST(line_of_a_gigabyte_fails_in_bounded_memory),
        TEST(line_of_just_the_limit_is_read),
        TEST(counting_agrees_with_reading),
        TEST(a_file_that_changes_is_no_text),
        TEST(packed_files_are_unpacked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
