/* safetensors: what is written is read back, and no broken or hostile file gets past the checks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "file/atomic.h"
#include "file/safetensors.h"

static char folder[64], path[128];

static int setup(void **state) {
    (void)state;
    strcpy(folder, "/tmp/talc-safetensors-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    return folder_remove(folder, NULL) ? 0 : -1;
}

/* Writes a file with that header text and n_data bytes of data. */
static void write_raw(const char *to, const char *header, size_t n_data) {
    struct buffer b = {0};
    uint64_t n = strlen(header);
    buffer_append(&b, &n, 8);
    buffer_append_text(&b, header);
    for (size_t i = 0; i < n_data; i++) buffer_append_char(&b, (char)i);
    assert_true(atomic_write_file(to, b.data, b.length, NULL));
    buffer_free(&b);
}

/* The file must be refused with a message that names it and holds `why`. */
static void assert_refused(const char *header, size_t n_data, const char *why) {
    struct talc_error err = {0};
    write_raw(path, header, n_data);
    struct safetensors *st = safetensors_open(path, &err);
    if (st) fail_msg("accepted: %s", header);
    if (!strstr(err.message, why) || !strstr(err.message, path)) fail_msg("want \"%s\" in: %s", why, err.message);
}

static void what_is_written_is_read_back(void **state) {
    (void)state;
    float a[6] = {1, 2, 3, 4, 5, 6};
    uint16_t b[2] = {0x3f80, 0xbf80};
    double c = 2.5;
    struct safetensors_writer *w = safetensors_writer_open(path, NULL);
    assert_non_null(w);
    assert_true(safetensors_writer_metadata(w, "step", "12", NULL));
    assert_true(safetensors_writer_declare(w, "a", DTYPE_F32, 2, (int64_t[]){2, 3}, NULL));
    assert_true(safetensors_writer_declare(w, "empty", DTYPE_F32, 2, (int64_t[]){0, 3}, NULL));
    assert_true(safetensors_writer_declare(w, "b \"\xc3\xa9\"", DTYPE_BF16, 1, (int64_t[]){2}, NULL));
    assert_true(safetensors_writer_declare(w, "c", DTYPE_F64, 0, NULL, NULL));
    assert_true(safetensors_writer_append(w, "a", a, 4, NULL));
    assert_true(safetensors_writer_append(w, "a", a + 1, 20, NULL));
    assert_true(safetensors_writer_append(w, "empty", NULL, 0, NULL));
    assert_true(safetensors_writer_append(w, "b \"\xc3\xa9\"", b, 4, NULL));
    assert_true(safetensors_writer_append(w, "c", &c, 8, NULL));
    assert_false(file_exists(path));
    assert_true(safetensors_writer_commit(w, NULL));

    struct talc_error err = {0};
    struct safetensors *st = safetensors_open(path, &err);
    if (!st) fail_msg("%s", err.message);
    assert_int_equal(safetensors_count(st), 4);
    assert_string_equal(safetensors_metadata(st, "format"), "pt");
    assert_string_equal(safetensors_metadata(st, "step"), "12");
    assert_null(safetensors_metadata(st, "none"));
    const struct safetensor *t = safetensors_need(st, "a", 2, (int64_t[]){2, 3}, NULL);
    assert_memory_equal(t->data, a, sizeof a);
    assert_int_equal((uintptr_t)t->data % 8, 0);
    assert_int_equal(safetensors_find(st, "empty")->n_bytes, 0);
    float out[2];
    assert_true(safetensor_read_f32(safetensors_find(st, "b \"\xc3\xa9\""), 0, 2, out, NULL));
    assert_true(out[0] == 1 && out[1] == -1);
    assert_true(safetensor_read_f32(safetensors_find(st, "c"), 0, 1, out, NULL) && out[0] == 2.5f);
    assert_false(safetensor_read_f32(t, 5, 2, out, &err));
    safetensors_close(st);
}

/* One number of 10,000, at any place. */
static void a_number_that_is_not_finite_is_named(void **state) {
    (void)state;
    enum { N = 10000 };
    static const size_t places[] = {0, 4095, 4096, 8191, N - 1};
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static float x[N], out[N];
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
            struct talc_error err = {0};
            char number[64];
            for (int k = 0; k < N; k++) x[k] = k % 2 ? 3.4028235e38f : -1e-45f;
            x[places[i]] = bad[b];
            struct safetensors_writer *w = safetensors_writer_open(path, NULL);
            assert_true(safetensors_writer_declare(w, "x", DTYPE_F32, 1, (int64_t[]){N}, NULL) &&
                        safetensors_writer_append(w, "x", x, sizeof x, NULL) && safetensors_writer_commit(w, NULL));
            struct safetensors *st = safetensors_open(path, NULL);
            const struct safetensor *t = safetensors_find(st, "x");
            snprintf(number, sizeof number, "number %zu of tensor \"x\" is not finite", places[i]);
            assert_false(safetensor_read_f32(t, 0, N, out, &err));
            assert_non_null(strstr(err.message, number));
            assert_false(safetensor_check_finite(t, &err));
            assert_non_null(strstr(err.message, number));
            assert_true(safetensor_read_f32(t, 0, places[i], out, NULL)); /* all before it are */
            assert_true(safetensor_read_f32(t, places[i] + 1, N - 1 - places[i], out, NULL));
            safetensors_close(st);
        }
}

/* The largest numbers, the smallest and 0 are; in 16 bits others are found by their bits. */
static void in_16_bits_too(void **state) {
    (void)state;
    enum { N = 9001 };
    static const enum dtype dtypes[] = {DTYPE_BF16, DTYPE_F16};
    static const uint16_t sound[] = {0x7f7f, 0x7bff}, bad[] = {0xff80, 0x7c01};
    static const size_t places[] = {N, 0, 4095, 4096, N - 1}; /* N: none */
    static uint16_t x[N];
    for (int d = 0; d < 2; d++)
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            struct talc_error err = {0};
            for (int k = 0; k < N; k++) x[k] = k % 3 == 0 ? sound[d] : k % 3 == 1 ? 0x8001 : 0;
            if (places[i] < N) x[places[i]] = bad[d];
            struct safetensors_writer *w = safetensors_writer_open(path, NULL);
            assert_true(safetensors_writer_declare(w, "x", dtypes[d], 1, (int64_t[]){N}, NULL) &&
                        safetensors_writer_append(w, "x", x, sizeof x, NULL) && safetensors_writer_commit(w, NULL));
            struct safetensors *st = safetensors_open(path, NULL);
            char number[64];
            snprintf(number, sizeof number, "number %zu of tensor \"x\" is not finite", places[i]);
            assert_int_equal(safetensor_check_finite(safetensors_find(st, "x"), &err), places[i] == N);
            assert_true(places[i] == N || strstr(err.message, number));
            safetensors_close(st);
        }
}

static void missing_and_misshapen_tensors_are_named(void **state) {
    (void)state;
    struct talc_error err = {0};
    write_raw(path, "{\"w\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]}}", 8);
    struct safetensors *st = safetensors_open(path, NULL);
    assert_null(safetensors_need(st, "v", 1, (int64_t[]){2}, &err));
    assert_non_null(strstr(err.message, "tensor \"v\" is missing"));
    assert_null(safetensors_need(st, "w", 2, (int64_t[]){1, 2}, &err));
    assert_non_null(strstr(err.message, "tensor \"w\" has shape [2, 1], but the model needs [1, 2]"));
    safetensors_close(st);
}

static void writer_refuses_wrong_order_and_sizes(void **state) {
    (void)state;
    struct talc_error err = {0};
    struct safetensors_writer *w = safetensors_writer_open(path, NULL);
    int64_t two[] = {2}, huge[] = {INT64_MAX, 4}, negative[] = {-1};
    assert_true(safetensors_writer_declare(w, "a", DTYPE_F32, 1, two, NULL));
    assert_true(safetensors_writer_declare(w, "b", DTYPE_F32, 1, two, NULL));
    assert_false(safetensors_writer_declare(w, "a", DTYPE_F32, 1, two, &err));
    assert_false(safetensors_writer_declare(w, "x", DTYPE_F32, 2, huge, &err));
    assert_false(safetensors_writer_declare(w, "x", DTYPE_F32, 1, negative, &err));
    assert_false(safetensors_writer_declare(w, "x", DTYPE_NONE, 1, two, &err));
    assert_false(safetensors_writer_append(w, "b", "12345678", 8, &err));
    assert_non_null(strstr(err.message, "\"b\" is written where \"a\" is due"));
    assert_false(safetensors_writer_append(w, "a", "123456789012", 12, &err));
    assert_true(safetensors_writer_append(w, "a", "12345678", 8, &err));
    assert_false(safetensors_writer_declare(w, "late", DTYPE_F32, 1, two, &err));
    assert_false(safetensors_writer_commit(w, &err));
    assert_non_null(strstr(err.message, "\"b\" was not written whole"));
    assert_false(file_exists(path));
}

#define ENTRY(name, shape, begin, end)                                                                                 \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

static void data_that_does_not_fit_is_refused(void **state) {
    (void)state;
    assert_refused("{" ENTRY("a", "[2]", 0, 8) "}", 7, "but the file has 7 bytes of data");
    assert_refused("{" ENTRY("a", "[2]", 0, 8) "}", 9, "1 bytes after the last tensor");
    assert_refused("{" ENTRY("a", "[2]", 4, 12) "}", 12, "hole of 4 bytes");
    assert_refused("{" ENTRY("a", "[2]", 0, 8) "," ENTRY("b", "[1]", 12, 16) "}", 16, "hole of 4 bytes");
    assert_refused("{" ENTRY("a", "[2]", 0, 8) "," ENTRY("b", "[2]", 4, 12) "}", 12, "overlap");
    assert_refused("{" ENTRY("a", "[2]", 0, 8) "," ENTRY("b", "[2]", 0, 8) "}", 8, "overlap");
    assert_refused("{" ENTRY("a", "[2]", 8, 0) "}", 8, "lies at bytes 8 to 0");
    assert_refused("{" ENTRY("a", "[3]", 0, 8) "}", 8, "has 8 bytes of data, but F32 of shape [3] needs 12");
}

static void impossible_shapes_are_refused(void **state) {
    (void)state;
    assert_refused("{" ENTRY("a", "[4294967296,4294967296]", 0, 0) "}", 0, "overflows");
    assert_refused("{" ENTRY("a", "[4611686018427387904]", 0, 0) "}", 0, "overflows");
    assert_refused("{" ENTRY("a", "[-1]", 0, 4) "}", 4, "whole numbers");
    assert_refused("{" ENTRY("a", "[1.5]", 0, 4) "}", 4, "whole numbers");
    assert_refused("{" ENTRY("a", "[99999999999999999999]", 0, 4) "}", 4, "whole numbers");
    assert_refused("{" ENTRY("a", "3", 0, 4) "}", 4, "no \"shape\"");
    assert_refused("{" ENTRY("a", "[1,1,1,1,1,1,1,1,1]", 0, 4) "}", 4, "9 dimensions");
    assert_refused("{" ENTRY("a", "[1]", -4, 0) "}", 4, "data_offsets");
}

static void entries_of_the_wrong_kind_are_refused(void **state) {
    (void)state;
    assert_refused("{\"a\":[]}", 0, "not described by an object");
    assert_refused("{\"a\":{}}", 0, "no \"shape\"");
    assert_refused("{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "no \"dtype\"");
    assert_refused("{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "does not know");
    assert_refused("{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", 1, "whole byte");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "data_offsets");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, "data_offsets");
    assert_refused("{" ENTRY("a", "[1]", 0, 4) "," ENTRY("a", "[1]", 0, 4) "}", 4, "duplicate");
    assert_refused("{\"__metadata__\":{\"a\":1}}", 0, "is not a string");
    assert_refused("{\"__metadata__\":[]}", 0, "not an object");
    assert_refused("[]", 0, "no header");
    assert_refused(" {}", 0, "no header");
    assert_refused("{\"a\":", 0, "not valid JSON");
    assert_refused("{}x", 0, "not valid JSON");
}

static void header_lengths_beyond_the_file_are_refused(void **state) {
    (void)state;
    static const struct {
        uint64_t n_header;
        size_t n_file;
        const char *why;
    } cases[] = {
        {(uint64_t)1 << 63, 100, "claims a header of 9223372036854775808 bytes"},
        {UINT64_MAX, 100, "claims"},
        {100000001, 100, "claims"},
        {100000000, 100, "cut short"},
        {93, 100, "cut short"},
        {0, 8, "no header"},
        {0, 7, "too few"},
        {0, 0, "too few"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char bytes[100] = {0};
        struct talc_error err = {0};
        memcpy(bytes, &cases[i].n_header, 8);
        memset(bytes + 8, '{', 92);
        assert_true(atomic_write_file(path, bytes, cases[i].n_file, NULL));
        assert_null(safetensors_open(path, &err));
        if (!strstr(err.message, cases[i].why)) fail_msg("want \"%s\" in: %s", cases[i].why, err.message);
    }
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    write_raw(path, "{" ENTRY("a", "[2,2]", 0, 16) "," ENTRY("b", "[1]", 16, 20) "}", 20);
    size_t n;
    char *whole = file_read(path, 1000, &n, NULL);
    for (size_t cut = 0; cut < n; cut++) {
        assert_true(atomic_write_file(path, whole, cut, NULL));
        assert_null(safetensors_open(path, NULL));
    }
    free(whole);
}

/* Any one byte changed: refused or accepted, but never a tensor outside the file. */
static void flipped_bytes_never_point_outside(void **state) {
    (void)state;
    write_raw(path, "{" ENTRY("a", "[2,2]", 0, 16) "," ENTRY("b", "[1]", 16, 20) "}", 20);
    size_t n;
    char *whole = file_read(path, 1000, &n, NULL);
    for (size_t i = 0; i < n; i++) {
        for (int bit = 0; bit < 8; bit++) {
            whole[i] ^= (char)(1 << bit);
            assert_true(truncate(path, 0) == 0);
            FILE *f = fopen(path, "wb");
            fwrite(whole, 1, n, f);
            fclose(f);
            struct safetensors *st = safetensors_open(path, NULL);
            unsigned sum = 0;
            for (size_t t = 0; st && t < safetensors_count(st); t++)
                for (size_t k = 0; k < safetensors_at(st, t)->n_bytes; k++)
                    sum += ((const unsigned char *)safetensors_at(st, t)->data)[k];
            assert_true(sum < 1 << 20);
            safetensors_close(st);
            whole[i] ^= (char)(1 << bit);
        }
    }
    free(whole);
}

static void hostile_names_stay_one_printable_line(void **state) {
    (void)state;
    struct talc_error err = {0};
    struct buffer header = {0};
    buffer_append_text(&header, "{\"\\u001b[2J%s%n");
    for (int i = 0; i < 5000; i++) buffer_append_char(&header, 'A');
    buffer_append_text(&header, "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,400]}}");
    write_raw(path, header.data, 4);
    assert_null(safetensors_open(path, &err));
    assert_null(strchr(err.message, 27));
    assert_non_null(strstr(err.message, "lies at bytes 0 to 400"));
    buffer_free(&header);
}

static void write_index(const char *text) {
    char index[160];
    snprintf(index, sizeof index, "%s/model.safetensors.index.json", folder);
    assert_true(atomic_write_file(index, text, strlen(text), NULL));
}

static void sharded_folder_is_one_set_of_tensors(void **state) {
    (void)state;
    char part[160];
    struct talc_error err = {0};
    snprintf(part, sizeof part, "%s/one.safetensors", folder);
    write_raw(part, "{" ENTRY("b", "[1]", 0, 4) "," ENTRY("extra", "[1]", 4, 8) "}", 8);
    snprintf(part, sizeof part, "%s/two.safetensors", folder);
    write_raw(part, "{\"__metadata__\":{\"k\":\"v\"}," ENTRY("a", "[2]", 0, 8) "}", 8);
    write_index("{\"metadata\":{},\"weight_map\":{\"a\":\"two.safetensors\",\"b\":\"one.safetensors\"}}");
    struct safetensors *st = safetensors_open_folder(folder, &err);
    if (!st) fail_msg("%s", err.message);
    assert_int_equal(safetensors_count(st), 2);
    assert_string_equal(safetensors_find(st, "a")->file, part);
    assert_int_equal(safetensors_find(st, "a")->n_elements, 2);
    assert_null(safetensors_find(st, "extra"));
    assert_string_equal(safetensors_metadata(st, "k"), "v");
    safetensors_close(st);

    static const char *const bad[][2] = {
        {"{\"weight_map\":{\"c\":\"one.safetensors\"}}", "has no tensor \"c\""},
        {"{\"weight_map\":{\"a\":\"one.safetensors\"}}", "has no tensor \"a\""},
        {"{\"weight_map\":{\"a\":\"three.safetensors\"}}", "No such file"},
        {"{\"weight_map\":{\"a\":\"../one.safetensors\"}}", "not the name of a file in this folder"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "not the name of a file in this folder"},
        {"{\"weight_map\":{\"a\":\"..\"}}", "not the name of a file in this folder"},
        {"{\"weight_map\":{\"a\":7}}", "not a string"},
        {"{}", "weight_map"},
        {"[", "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_index(bad[i][0]);
        assert_null(safetensors_open_folder(folder, &err));
        if (!strstr(err.message, bad[i][1])) fail_msg("want \"%s\" in: %s", bad[i][1], err.message);
    }
}

static void folder_without_weights_is_refused(void **state) {
    (void)state;
    struct talc_error err = {0};
    assert_null(safetensors_open_folder(folder, &err));
    assert_non_null(strstr(err.message, "holds no model.safetensors"));
    char pickle[160];
    snprintf(pickle, sizeof pickle, "%s/pytorch_model.bin", folder);
    assert_true(atomic_write_file(pickle, "", 0, NULL));
    assert_null(safetensors_open_folder(folder, &err));
    assert_non_null(strstr(err.message, "convert it to safetensors"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read_back),
        TEST(a_number_that_is_not_finite_is_named),
        TEST(in_16_bits_too),
        TEST(missing_and_misshapen_tensors_are_named),
        TEST(writer_refuses_wrong_order_and_sizes),
        TEST(data_that_does_not_fit_is_refused),
        TEST(impossible_shapes_are_refused),
        TEST(entries_of_the_wrong_kind_are_refused),
        TEST(header_lengths_beyond_the_file_are_refused),
        TEST(every_truncation_is_refused),
        TEST(flipped_bytes_never_point_outside),
        TEST(hostile_names_stay_one_printable_line),
        TEST(sharded_folder_is_one_set_of_tensors),
        TEST(folder_without_weights_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
