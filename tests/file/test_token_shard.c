/* Token files: both widths round trip, and damage is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "file/atomic.h"
#include "file/token_shard.h"

static char path[64];

static int setup(void **state) {
    (void)state;
    snprintf(path, sizeof path, "/tmp/talc-shard-%ld.bin", (long)getpid());
    return 0;
}

static int teardown(void **state) {
    (void)state;
    unlink(path);
    return 0;
}

static void write_shard(uint32_t vocab_size, const int32_t *tokens, size_t n) {
    struct token_shard_writer w;
    assert_true(token_shard_writer_open(&w, path, vocab_size, NULL));
    assert_true(token_shard_writer_append(&w, tokens, n / 2, NULL));
    assert_true(token_shard_writer_append(&w, tokens + n / 2, n - n / 2, NULL));
    assert_false(file_exists(path));
    assert_true(token_shard_writer_commit(&w, NULL));
}

static void round_trip(uint32_t vocab_size, int token_bytes) {
    enum { N = 10001 };
    int32_t *tokens = malloc(N * sizeof *tokens), *back = malloc(N * sizeof *back);
    for (int i = 0; i < N; i++) tokens[i] = (int32_t)((uint32_t)i * 2654435761u % vocab_size);
    tokens[5] = (int32_t)vocab_size - 1;
    write_shard(vocab_size, tokens, N);
    struct token_shard shard;
    assert_true(token_shard_open(&shard, path, NULL));
    assert_int_equal(shard.n_tokens, N);
    assert_int_equal(shard.token_bytes, token_bytes);
    token_shard_read(&shard, 0, N, back);
    assert_memory_equal(tokens, back, N * sizeof *tokens);
    assert_int_equal(token_shard_get(&shard, 5), vocab_size - 1);
    token_shard_close(&shard);
    free(tokens);
    free(back);
    unlink(path);
}

static void both_widths_round_trip(void **state) {
    (void)state;
    round_trip(65536, 2);
    round_trip(65537, 4);
    round_trip(151936, 4);
}

static void layout_is_that_of_llm_c(void **state) {
    (void)state;
    write_shard(50257, (int32_t[]){50256, 1, 258}, 3);
    size_t n;
    unsigned char *bytes = (unsigned char *)file_read(path, 10000, &n, NULL);
    assert_int_equal(n, 1024 + 6);
    int32_t header[3];
    memcpy(header, bytes, sizeof header);
    assert_int_equal(header[0], 20240520);
    assert_int_equal(header[1], 1);
    assert_int_equal(header[2], 3);
    assert_memory_equal(bytes + 1024, "\x50\xc4\x01\x00\x02\x01", 6);
    free(bytes);
}

static void token_outside_the_vocabulary_is_not_written(void **state) {
    (void)state;
    struct talc_error err = {0};
    struct token_shard_writer w;
    assert_true(token_shard_writer_open(&w, path, 300, NULL));
    assert_false(token_shard_writer_append(&w, (int32_t[]){300}, 1, &err));
    assert_false(token_shard_writer_append(&w, (int32_t[]){-1}, 1, &err));
    token_shard_writer_abort(&w);
}

/* Writes a file of that size with that header; it must be refused, saying why. */
static void assert_refused(int32_t magic, int32_t version, int32_t n_tokens, size_t n_bytes, const char *why) {
    int32_t bytes[400] = {magic, version, n_tokens};
    struct talc_error err = {0};
    struct token_shard shard;
    assert_true(atomic_write_file(path, bytes, n_bytes, NULL));
    assert_false(token_shard_open(&shard, path, &err));
    if (!strstr(err.message, why) || !strstr(err.message, path)) fail_msg("want \"%s\" in: %s", why, err.message);
}

static void damaged_files_are_refused(void **state) {
    (void)state;
    assert_refused(20240520, 1, 0, 0, "has 0 bytes");
    assert_refused(20240520, 1, 0, 1, "has 1 bytes");
    assert_refused(20240520, 1, 0, 1023, "has 1023 bytes");
    assert_refused(20240520, 1, 3, 1024 + 4, "its header says 3 tokens, its size 2");
    assert_refused(20240520, 1, 3, 1024 + 7, "damaged");
    assert_refused(20240520, 1, -1, 1024, "damaged");
    assert_refused(20240520, 1, INT32_MAX, 1024, "damaged");
    assert_refused(20240801, 7, 1, 1024 + 2, "damaged");
    assert_refused(20240520, 7, 0, 1024, "not a token file");
    assert_refused(0x04034b50, 1, 0, 1024, "not a token file");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(both_widths_round_trip),
        TEST(layout_is_that_of_llm_c),
        TEST(token_outside_the_vocabulary_is_not_written),
        TEST(damaged_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
