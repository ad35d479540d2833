/* From text to shards: nothing lost, nothing added, divided as promised, the same for any number of threads. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#include "base/utf8.h"
#include "data/prepare.h"
#include "data/token_source.h"
#include "file/atomic.h"
#include "support/tokenizer_bytes.h"

enum { END_OF_TEXT = 256, BEGIN = 257, VOCAB = 257 };

static char folder[64], out[80];
static struct tokenizer *tokenizer;

/* A tokenizer with a token a byte (in byte order) and an end of text; also one with a token that it puts before texts.
 */
static struct tokenizer *byte_tokenizer(bool with_begin) {
    struct buffer b = {0};
    char path[128];
    buffer_append_text(&b, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,"
                           "\"added_tokens\":[{\"id\":256,\"content\":"
                           "\"<|endoftext|>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                           "\"normalized\":false,\"special\":true}");
    if (with_begin)
        buffer_append_text(&b, ",{\"id\":257,\"content\":\"<|begin|>\",\"single_word\":false,\"lstrip\":false,"
                               "\"rstrip\":false,\"normalized\":false,\"special\":true}");
    buffer_append_text(&b, "],\"normalizer\":null,"
                           "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
                           "\"trim_offsets\":true,\"use_regex\":true},\"post_processor\":");
    buffer_append_text(&b, with_begin
                               ? "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<|begin|>\","
                                 "\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[],"
                                 "\"special_tokens\":{\"<|begin|>\":{\"id\":\"<|begin|>\",\"ids\":[257],\"tokens\":"
                                 "[\"<|begin|>\"]}}}"
                               : "null");
    buffer_append_text(&b, ","
                           "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
                           "\"use_regex\":true},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                           "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
                           "\"byte_fallback\":false,\"ignore_merges\":false,\"vocab\":{");
    for (int byte = 0, other = 0; byte < 256; byte++) {
        bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
        char text[5] = {0};
        utf8_encode(itself ? byte : 256 + other++, text);
        const char *escape = byte == '"' || byte == '\\' ? "\\" : "";
        buffer_printf(&b, "%s\"%s%s\":%d", byte ? "," : "", escape, text, byte);
    }
    buffer_append_text(&b, "},\"merges\":[]}}");
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    assert_true(atomic_write_file(path, b.data, b.length, NULL));
    buffer_free(&b);
    struct talc_error err = {0};
    struct tokenizer *t = tokenizer_load(path, &err);
    if (!t) fail_msg("%s", err.message);
    return t;
}

static int setup(void **state) {
    (void)state;
    strcpy(folder, "/tmp/talc-prepare-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(out, sizeof out, "%s/data", folder);
    tokenizer = byte_tokenizer(false);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    tokenizer_free(tokenizer);
    return folder_remove(folder, NULL) ? 0 : -1;
}

/* Writes a file in the test's folder and returns its path (owned by the caller). */
static char *write_file(const char *name, const char *data, size_t n) {
    char *path = path_join(folder, name);
    assert_true(atomic_write_file(path, data, n, NULL));
    return path;
}

/* The tokens of a split, as bytes with '|' for the end of text and '<' for its begin; the caller frees. */
static char *read_split(const char *split, size_t *n) {
    struct data_info info;
    struct token_source source;
    struct talc_error err = {0};
    if (!data_info_read(&info, out, &err) || !token_source_open(&source, out, split, &info, &err))
        fail_msg("%s", err.message);
    *n = (size_t)source.n_tokens;
    int32_t *tokens = malloc((*n + 1) * sizeof *tokens);
    char *text = malloc(*n + 1);
    assert_true(token_source_read(&source, 0, *n, tokens, NULL));
    for (size_t i = 0; i < *n; i++)
        text[i] = tokens[i] == END_OF_TEXT ? '|' : tokens[i] == BEGIN ? '<' : (char)tokens[i];
    text[*n] = 0;
    free(tokens);
    token_source_close(&source);
    return text;
}

static void assert_split(const char *split, const char *want) {
    size_t n;
    char *text = read_split(split, &n);
    assert_string_equal(text, want);
    free(text);
}

static struct data_info prepare(const char *const *paths, size_t n_paths, double val_fraction, int64_t shard_tokens) {
    struct prepare_options o = {.paths = paths,
                                .n_paths = n_paths,
                                .tokenizer = tokenizer,
                                .out = out,
                                .val_fraction = val_fraction,
                                .seed = 1,
                                .shard_tokens = shard_tokens};
    struct talc_error err = {0};
    struct data_info info;
    if (!prepare_data(&o, &info, &err)) fail_msg("%s", err.message);
    return info;
}

static void one_document_is_divided_at_its_end(void **state) {
    (void)state;
    char *path = write_file("a.txt", "0123456789abcdefghi", 19);
    struct data_info info = prepare((const char *const[]){path}, 1, 0.1, 0);
    assert_split("train", "0123456789abcdefg"); /* int(19 * 0.9) = 17 */
    assert_split("val", "hi");
    assert_int_equal(info.train.n_bytes, 17);
    assert_int_equal(info.val.n_bytes, 2);
    assert_int_equal(info.vocab_size, VOCAB);
    assert_int_equal(info.end_of_text, END_OF_TEXT);
    free(path);
}

static void a_character_is_never_divided(void **state) {
    (void)state;
    char *path = write_file("a.txt", "aaaaaaa\xe4\xb8\xad\xe6\x96\x87", 13);
    prepare((const char *const[]){path}, 1, 0.3, 0); /* int(13 * 0.7) = 9 lies inside a character */
    assert_split("train", "aaaaaaa");
    assert_split("val", "\xe4\xb8\xad\xe6\x96\x87");
    free(path);
}

/* What begins a prompt begins a document: BOS where the tokenizer adds one, else the end of the one before. */
static void documents_begin_as_prompts_do(void **state) {
    (void)state;
    static const char text[] = "{\"text\":\"abcd\"}\n{\"text\":\"efgh\"}";
    char *path = write_file("a.jsonl", text, sizeof text - 1), *one = write_file("a.txt", "abcd", 4);
    struct data_info info = prepare((const char *const[]){path}, 1, 0.5, 0);
    assert_split("train", "ab|ef|");
    assert_int_equal(info.text_start, END_OF_TEXT);
    tokenizer_free(tokenizer);
    tokenizer = byte_tokenizer(true);
    struct token_list ids = {0};
    assert_true(tokenizer_encode_prompt(tokenizer, "a", 1, false, &ids, NULL));
    assert_true(ids.count == 2 && ids.ids[0] == BEGIN);
    token_list_free(&ids);
    prepare((const char *const[]){path}, 1, 0.5, 0);
    assert_split("train", "<ab|<ef|");
    assert_split("val", "<cd|<gh|");
    assert_true(data_info_read(&info, out, NULL));
    assert_int_equal(info.text_start, BEGIN);
    assert_int_equal(info.end_of_text, END_OF_TEXT);
    assert_int_equal(info.train.n_bytes, 4);
    prepare((const char *const[]){one}, 1, 0.5, 0);
    assert_split("train", "ab");
    free(path);
    free(one);
}

static void few_documents_are_each_divided(void **state) {
    (void)state;
    char *a = write_file("a.txt", "0123456789", 10), *b = write_file("b.jsonl", "{\"text\":\"abcd\"}\n", 16);
    struct data_info info = prepare((const char *const[]){a, b}, 2, 0.5, 0);
    assert_split("train", "01234|ab|");
    assert_split("val", "56789|cd|");
    assert_int_equal(info.train.n_documents, 2);
    assert_int_equal(info.val.n_documents, 2);
    free(a);
    free(b);
}

/* n documents of `length` bytes. */
static char *write_documents(const char *name, int n, int length) {
    struct buffer lines = {0};
    for (int i = 0; i < n; i++) buffer_printf(&lines, "{\"text\":\"%0*d\"}\n", length, i);
    char *path = write_file(name, lines.data, lines.length);
    buffer_free(&lines);
    return path;
}

static void long_documents_are_divided_where_few_are_for_validation(void **state) {
    (void)state;
    enum { N = 30, BYTES = 40000 };
    char *path = write_documents("a.jsonl", N, BYTES);
    struct data_info info = prepare((const char *const[]){path}, 1, 0.25, 0);
    assert_int_equal(info.train.n_documents, N);
    assert_int_equal(info.val.n_documents, N);
    assert_int_equal(info.val.n_bytes, N * BYTES / 4);
    free(path);
}

/* Short ones stay whole: at least one is for validation, at least one for training. */
static void short_documents_stay_whole(void **state) {
    (void)state;
    enum { N = 30, BYTES = 9 };
    char *path = write_documents("a.jsonl", N, BYTES);
    const double fractions[] = {0, 0.001, 0.2, 0.99};
    const int n_val[] = {0, 1, 6, N - 1};
    for (int i = 0; i < 4; i++) {
        struct data_info info = prepare((const char *const[]){path}, 1, fractions[i], 0);
        assert_int_equal(info.val.n_documents, n_val[i]);
        assert_int_equal(info.val.n_bytes, BYTES * n_val[i]);
        assert_int_equal(info.train.n_bytes, BYTES * (N - n_val[i]));
    }
    free(path);
}

/* Training text that ends just where a piece of a long text does still ends with a separator. */
static void document_divided_between_pieces_is_ended(void **state) {
    (void)state;
    enum { PIECE = (1 << 20) - 8 }; /* the reader cuts after the last whole line in 1 MiB less a byte */
    struct buffer text = {0};
    while (text.length < 2 * PIECE) buffer_append_text(&text, "0123456\n");
    char *a = write_file("a.txt", text.data, text.length), *b = write_file("b.txt", "abcd", 4);
    prepare((const char *const[]){a, b}, 2, 0.5, 0);
    size_t n;
    char *train = read_split("train", &n);
    assert_int_equal(n, PIECE + 4);
    assert_memory_equal(train + PIECE - 2, "6\n|ab|", 6);
    free(train);
    buffer_free(&text);
    free(a);
    free(b);
}

static void without_a_fraction_all_is_for_training(void **state) {
    (void)state;
    char *a = write_file("a.txt", "01", 2), *b = write_file("b.md", "ab", 2);
    prepare((const char *const[]){a, b}, 2, 0, 0);
    assert_split("train", "01|ab|");
    assert_split("val", "");
    free(a);
    free(b);
}

static void many_documents_go_whole_to_one_side(void **state) {
    (void)state;
    struct buffer lines = {0};
    for (int i = 0; i < 1000; i++) buffer_printf(&lines, "{\"text\":\"%04d\"}\n", i);
    char *path = write_file("a.jsonl", lines.data, lines.length);
    struct data_info info = prepare((const char *const[]){path}, 1, 0.2, 0);
    int seen[1000] = {0};
    for (int split = 0; split < 2; split++) {
        size_t n;
        char *text = read_split(split ? "val" : "train", &n);
        assert_int_equal(n % 5, 0);
        for (size_t i = 0; i < n; i += 5) {
            assert_int_equal(text[i + 4], '|');
            seen[atoi(text + i)]++;
        }
        free(text);
    }
    for (int i = 0; i < 1000; i++) assert_int_equal(seen[i], 1);
    assert_int_equal(info.val.n_documents, 200);
    assert_int_equal(info.train.n_documents + info.val.n_documents, 1000);
    buffer_free(&lines);
    free(path);
}

/* Text with special tokens written out is text: it must not become a separator. */
static void special_tokens_are_not_parsed_out_of_text(void **state) {
    (void)state;
    char *path = write_file("a.txt", "x<|endoftext|>y", 15);
    prepare((const char *const[]){path}, 1, 0, 0);
    assert_split("train", "x<|endoftext|>y");
    free(path);
}

static void long_text_survives_in_many_shards_and_threads(void **state) {
    (void)state;
    struct buffer text = {0};
    for (int i = 0; text.length < 5 << 20; i++) buffer_printf(&text, "line %d of a long text\n", i);
    char *path = write_file("a.txt", text.data, text.length);
    struct thread_pool *pool = thread_pool_open(3, NULL);
    const char *paths[] = {path};
    for (int threads = 0; threads < 2; threads++) {
        struct prepare_options o = {.paths = paths,
                                    .n_paths = 1,
                                    .tokenizer = tokenizer,
                                    .out = out,
                                    .val_fraction = 0.3,
                                    .shard_tokens = 1000003,
                                    .pool = threads ? pool : NULL};
        struct talc_error err = {0};
        struct data_info info;
        if (!prepare_data(&o, &info, &err)) fail_msg("%s", err.message);
        size_t n_train, n_val;
        char *train = read_split("train", &n_train), *val = read_split("val", &n_val);
        assert_int_equal(n_train + n_val, text.length);
        assert_int_equal(n_train, (size_t)((double)text.length * (1 - 0.3)));
        assert_memory_equal(train, text.data, n_train);
        assert_memory_equal(val, text.data + n_train, n_val);
        char *fourth = path_join(out, "train-00003.bin");
        assert_true(file_exists(fourth));
        free(fourth);
        free(train);
        free(val);
    }
    thread_pool_close(pool);
    buffer_free(&text);
    free(path);
}

static void folder_holds_the_tokenizer(void **state) {
    (void)state;
    char *path = write_file("a.txt", "some text", 9);
    struct data_info info = prepare((const char *const[]){path}, 1, 0, 0);
    struct tokenizer *copy = tokenizer_load(out, NULL);
    assert_non_null(copy);
    assert_true(tokenizer_hash(copy) == tokenizer_hash(tokenizer));
    assert_true(strtoull(info.tokenizer_hash, NULL, 16) == tokenizer_hash(tokenizer));
    tokenizer_free(copy);
    free(path);
}

static void assert_refused(const struct prepare_options *o, const char *why) {
    struct talc_error err = {0};
    assert_false(prepare_data(o, NULL, &err));
    if (!strstr(err.message, why)) fail_msg("want \"%s\" in: %s", why, err.message);
}

static bool stop_at_once(void *context, uint64_t n_done, uint64_t n_total) {
    (void)context, (void)n_done, (void)n_total;
    return false;
}

static void failure_makes_no_folder(void **state) {
    (void)state;
    char *good = write_file("a.txt", "some text", 9), *empty = write_file("b.txt", "", 0);
    char *bad = write_file("c.jsonl", "{\"text\":\"a\"}\n{\"text\"", 21), *latin = write_file("d.txt", "caf\xe9", 4);
    struct prepare_options o = {
        .paths = (const char *const[]){good, empty}, .n_paths = 2, .tokenizer = tokenizer, .out = out};
    assert_refused(&o, "b.txt: is empty");
    o.paths = (const char *const[]){good, bad};
    assert_refused(&o, "c.jsonl:2: not valid JSON");
    o.paths = (const char *const[]){good, latin};
    assert_refused(&o, "d.txt: byte 3 is not UTF-8");
    o.paths = (const char *const[]){good, folder};
    assert_refused(&o, "is a folder");
    o.n_paths = 1;
    o.val_fraction = 0.01;
    assert_refused(&o, "too little text");
    o.val_fraction = 1;
    assert_refused(&o, "validation fraction");
    o.val_fraction = 0;
    o.on_progress = stop_at_once;
    assert_refused(&o, "stopped");
    o.n_paths = 0;
    assert_refused(&o, "no text files");
    assert_false(folder_exists(out));
    free(good);
    free(empty);
    free(bad);
    free(latin);
}

/* What another program does to a file while it is read. */
struct edit {
    const char *path;
    off_t n_bytes;   /* that it has then */
    time_t modified; /* if not 0 */
};

static bool edit_file(void *context, uint64_t n_done, uint64_t n_total) {
    (void)n_done, (void)n_total;
    const struct edit *edit = context;
    const struct timespec times[2] = {{edit->modified, 0}, {edit->modified, 0}};
    assert_int_equal(truncate(edit->path, edit->n_bytes), 0);
    return !edit->modified || utimensat(AT_FDCWD, edit->path, times, 0) == 0;
}

/* As a log that is written to, or a download: documents are divided by what was counted before. */
static void a_file_that_changes_is_refused(void **state) {
    (void)state;
    enum { LONG = 9 << 20, SHORT = 3000, N = 30, LINE = 22 };
    char *text = malloc(LONG), name[40];
    memset(text, 'a', LONG);
    for (size_t i = 7; i < LONG; i += 8) text[i] = '\n';
    char *first = write_file("a.txt", text, LONG), *lines = write_documents("b.jsonl", N, 10),
         *second = write_file("c.txt", text, SHORT);
    const struct edit edits[] = {{lines, N * LINE + 1, 0}, {lines, N / 2 * LINE, 0},    {second, SHORT + 800, 0},
                                 {second, SHORT / 4, 0},   {second, SHORT, 1000000000}, {first, LONG + 800, 0},
                                 {first, LONG - 800, 0}};
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        struct edit edit = edits[i];
        struct prepare_options o = {.paths = (const char *const[]){first, lines, second},
                                    .n_paths = 3,
                                    .tokenizer = tokenizer,
                                    .out = out,
                                    .val_fraction = 0.4,
                                    .seed = 1,
                                    .on_progress = edit_file,
                                    .context = &edit};
        free(write_file("a.txt", text, LONG));
        free(write_documents("b.jsonl", N, 10));
        free(write_file("c.txt", text, SHORT));
        snprintf(name, sizeof name, "%s: has changed", strrchr(edit.path, '/') + 1);
        alarm(60);
        assert_refused(&o, name);
        alarm(0);
        assert_false(folder_exists(out));
    }
    free(text);
    free(first);
    free(lines);
    free(second);
}

/* A tokenizer whose words end with a space: a text of many pieces has the ids of the whole. */
static void text_is_cut_only_where_the_tokenizer_lets_it_be(void **state) {
    (void)state;
    const char *json =
        "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"String\":"
        "\" \"},\"behavior\":\"MergedWithPrevious\",\"invert\":false},{\"type\":\"ByteLevel\","
        "\"add_prefix_space\":false,\"use_regex\":false}]},\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":"
        "\"BPE\",\"vocab\":{\"a\":0,\"\u0120\":1,\"a\u0120\":2},\"merges\":[\"a \u0120\"]}}";
    const size_t n = 3 << 20;
    char *text = malloc(n), *tok_path = write_file("words.json", json, strlen(json));
    for (size_t i = 0; i < n; i++) text[i] = "a "[i % 2];
    char *path = write_file("long.txt", text, n);
    struct tokenizer *tok = tokenizer_load(tok_path, NULL);
    struct data_info info;
    struct talc_error err = {0};
    struct prepare_options o = {.paths = (const char *const[]){path}, .n_paths = 1, .tokenizer = tok, .out = out};
    assert_non_null(tok);
    if (!prepare_data(&o, &info, &err)) fail_msg("%s", err.message);
    assert_int_equal(info.train.n_tokens, n / 2);
    tokenizer_free(tok);
    free(text);
    free(path);
    free(tok_path);
}

/* What no file of a tokenizer could say is known before the work. */
static void a_tokenizer_that_cannot_be_kept_is_refused_at_once(void **state) {
    (void)state;
    struct buffer gguf = {0};
    char *missing = write_file("missing.txt", "a", 1);
    assert_int_equal(unlink(missing), 0);
    put_tied_gguf(&gguf);
    char *path = write_file("tied.gguf", gguf.data, gguf.length);
    struct tokenizer *tok = tokenizer_load(path, NULL);
    assert_non_null(tok);
    struct prepare_options o = {.paths = (const char *const[]){missing}, .n_paths = 1, .tokenizer = tok, .out = out};
    assert_refused(&o, "equal scores");
    tokenizer_free(tok);
    buffer_free(&gguf);
    free(missing);
    free(path);
}

static void folders_of_others_are_not_replaced(void **state) {
    (void)state;
    char *path = write_file("a.txt", "some text", 9);
    struct prepare_options o = {
        .paths = (const char *const[]){path}, .n_paths = 1, .tokenizer = tokenizer, .out = folder};
    assert_refused(&o, "is a folder of something else");
    assert_true(file_exists(path));
    assert_true(folder_create(out, NULL)); /* an empty one may go, and so may what prepare made */
    prepare(o.paths, 1, 0, 0);
    prepare(o.paths, 1, 0, 0);
    free(path);
}

/* A text of several pieces in another encoding, four of ten bytes of which become three each: its last part is a tenth
 * of what there is all the same. */
static void text_that_is_repaired_is_divided_where_it_should_be(void **state) {
    (void)state;
    enum { N = 5 << 20 };
    char *text = malloc(N);
    static const char line[] = "a\xe9"
                               "a\xe9"
                               "a\xe9"
                               "a\xe9"
                               "a\n";
    for (size_t i = 0; i < N; i++) text[i] = line[i % 10];
    char *path = write_file("a.txt", text, N);
    struct prepare_options o = {.paths = (const char *const[]){path},
                                .n_paths = 1,
                                .tokenizer = tokenizer,
                                .out = out,
                                .val_fraction = 0.1,
                                .allow_invalid = true};
    struct talc_error err = {0};
    struct data_info info;
    if (!prepare_data(&o, &info, &err)) fail_msg("%s", err.message);
    assert_int_equal(info.train.n_tokens + info.val.n_tokens, N / 10 * 18);
    double share = (double)info.val.n_tokens / (N / 10 * 18);
    if (share < 0.0999 || share > 0.1001) print_error("%g\n", share);
    assert_true(share > 0.0999 && share < 0.1001);
    free(text);
    free(path);
}

#ifdef HAVE_ZSTD
/* Whether documents are long is a matter of their text, not of how well it is packed. */
static void packed_documents_are_divided_like_plain_ones(void **state) {
    (void)state;
    enum { N = 40, LENGTH = 40000 };
    char *plain = write_documents("a.jsonl", N, LENGTH);
    size_t n = 0, n_packed;
    char *text = file_read(plain, 1 << 30, &n, NULL), *packed = malloc(ZSTD_compressBound(n));
    n_packed = ZSTD_compress(packed, ZSTD_compressBound(n), text, n, 1);
    char *path = write_file("b.jsonl.zst", packed, n_packed);
    struct data_info a = prepare((const char *const[]){plain}, 1, 0.1, 0),
                     b = prepare((const char *const[]){path}, 1, 0.1, 0);
    assert_int_equal(a.val.n_documents, N); /* of each its end */
    assert_int_equal(b.val.n_documents, N);
    assert_int_equal(a.val.n_tokens, b.val.n_tokens);
    free(text);
    free(packed);
    free(plain);
    free(path);
}
#endif

static void broken_data_json_is_refused(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"{", "data.json: not valid JSON"},
        {"{}", "data.json: has no \"vocab_size\""},
        {"{\"vocab_size\":0}", "\"vocab_size\" is 0"},
        {"{\"vocab_size\":10,\"end_of_text\":10}", "\"end_of_text\" is 10, but must be between -1 and 9"},
        {"{\"vocab_size\":10,\"train\":{\"n_tokens\":-1}}", "\"n_tokens\" is -1"},
        {"{\"vocab_size\":10,\"train\":{}}", "has no \"val\""},
    };
    struct data_info info;
    struct talc_error err = {0};
    assert_false(data_info_read(&info, folder, &err));
    assert_non_null(strstr(err.message, "make such a folder with talc prepare"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        free(write_file("data.json", cases[i][0], strlen(cases[i][0])));
        assert_false(data_info_read(&info, folder, &err));
        if (!strstr(err.message, cases[i][1])) fail_msg("want \"%s\" in: %s", cases[i][1], err.message);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(one_document_is_divided_at_its_end),
        TEST(a_character_is_never_divided),
        TEST(documents_begin_as_prompts_do),
        TEST(few_documents_are_each_divided),
        TEST(long_documents_are_divided_where_few_are_for_validation),
        TEST(short_documents_stay_whole),
        TEST(document_divided_between_pieces_is_ended),
        TEST(without_a_fraction_all_is_for_training),
        TEST(many_documents_go_whole_to_one_side),
        TEST(special_tokens_are_not_parsed_out_of_text),
        TEST(long_text_survives_in_many_shards_and_threads),
        TEST(folder_holds_the_tokenizer),
        TEST(failure_makes_no_folder),
        TEST(a_file_that_changes_is_refused),
        TEST(text_is_cut_only_where_the_tokenizer_lets_it_be),
        TEST(a_tokenizer_that_cannot_be_kept_is_refused_at_once),
        TEST(folders_of_others_are_not_replaced),
        TEST(text_that_is_repaired_is_divided_where_it_should_be),
#ifdef HAVE_ZSTD
        TEST(packed_documents_are_divided_like_plain_ones),
#endif
        TEST(broken_data_json_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
