/* The floor everything stands on: pool, RNG, UTF-8, half precision, arena. */
#include <math.h>
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

#include "base/arena.h"
#include "base/dtype.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/thread_pool.h"
#include "tensor/device.h"
#include "base/utf8.h"

struct marks {
    int *hits;
};
static void mark(void *context, int i, int worker) {
    (void)worker;
    __atomic_fetch_add(&((struct marks *)context)->hits[i], 1, __ATOMIC_RELAXED);
}

static void pool_runs_every_task_once(void **state) {
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        struct thread_pool *pool = thread_pool_open(threads, NULL);
        assert_non_null(pool);
        for (int job = 0; job < 3000; job++) {
            int hits[64] = {0}, n = job % 64;
            thread_pool_run(pool, n, mark, &(struct marks){hits});
            for (int i = 0; i < 64; i++) assert_int_equal(hits[i], i < n);
        }
        thread_pool_close(pool);
    }
}

/* Known answers of the Random123 distribution (kat_vectors, philox4x32 10). */
static void philox_matches_published_vectors(void **state) {
    (void)state;
    uint32_t out[4];
    philox4x32((uint32_t[4]){0, 0, 0, 0}, (uint32_t[2]){0, 0}, out);
    assert_int_equal(out[0], 0x6627e8d5u);
    assert_int_equal(out[1], 0xe169c58du);
    assert_int_equal(out[2], 0xbc57ac4cu);
    assert_int_equal(out[3], 0x9b00dbd8u);
    philox4x32((uint32_t[4]){~0u, ~0u, ~0u, ~0u}, (uint32_t[2]){~0u, ~0u}, out);
    assert_int_equal(out[0], 0x408f276du);
}

static void rng_draws_are_uniform_and_normal(void **state) {
    (void)state;
    struct rng rng = rng_make(7, 1);
    double sum = 0, square = 0;
    int bins[10] = {0}, n = 100000;
    for (int i = 0; i < n; i++) {
        bins[rng_below(&rng, 10)]++;
        double x = rng_normal(&rng);
        sum += x;
        square += x * x;
    }
    for (int i = 0; i < 10; i++) assert_in_range(bins[i], 9500, 10500);
    assert_true(fabs(sum / n) < 0.02 && fabs(square / n - 1) < 0.03);
}

static void half_precision_round_trips(void **state) {
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        float f = f16_to_f32((uint16_t)bits), b = bf16_to_f32((uint16_t)bits);
        if (isnan(f))
            assert_true(isnan(f16_to_f32(f32_to_f16(f))));
        else
            assert_int_equal(f32_to_f16(f), bits);
        if (isnan(b))
            assert_true(isnan(bf16_to_f32(f32_to_bf16(b))));
        else
            assert_int_equal(f32_to_bf16(b), bits);
    }
    assert_int_equal(f32_to_f16(65520.0f), 0x7c00); /* rounds up to infinity */
    assert_int_equal(f32_to_f16(65519.0f), 0x7bff);
    assert_int_equal(f32_to_bf16(1.00390625f), 0x3f80); /* a tie goes to even */
}

static void utf8_accepts_exactly_scalar_values(void **state) {
    (void)state;
    for (int32_t c = 0; c < 0x110000; c++) {
        char text[4];
        int32_t back;
        int n = utf8_encode(c, text);
        assert_int_equal(utf8_decode(text, (size_t)n, &back), n);
        if (c >= 0xd800 && c <= 0xdfff)
            assert_int_equal(back, 0xfffd);
        else
            assert_int_equal(back, c);
        for (int cut = 1; cut < n; cut++) {
            assert_int_equal(utf8_decode(text, (size_t)cut, &back), 1);
            assert_int_equal(back, -1);
            assert_int_equal(utf8_complete_prefix(text, (size_t)cut), 0);
        }
    }
    const char *broken[] = {"\x80", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff", "a\xc3(b"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        assert_true(utf8_valid_prefix(broken[i], strlen(broken[i])) < strlen(broken[i]));
}

static void arena_plans_what_it_later_takes(void **state) {
    (void)state;
    struct arena arena = {0};
    for (size_t n = 0; n < 100; n++) arena_take(&arena, n * 7);
    size_t planned = arena.used;
    arena = (struct arena){.memory = aligned_alloc(ARENA_ALIGNMENT, planned), .capacity = planned};
    assert_non_null(arena.memory);
    for (size_t n = 0; n < 100; n++) {
        char *p = arena_take(&arena, n * 7);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % ARENA_ALIGNMENT, 0);
        memset(p, 1, n * 7);
    }
    assert_int_equal(arena.used, planned);
    assert_null(arena_take(&arena, 1));
    assert_true(arena.overflow);
    assert_null(arena_take(&arena, SIZE_MAX));
    free(arena.memory);
}

/* A terminal obeys controls, those of one byte and those of two; what is cut is cut at a character. */
static void messages_are_one_line_of_text(void **state) {
    (void)state;
    struct talc_error err = {0};
    talc_fail(&err, "%s",
              "a\nb\033[31mc\x7f"
              "d\xc2\x9b"
              "31me\xc2\x80"
              "f\x9b"
              "g \xc2\xa0\xc3\xa9\xe2\x82\xac");
    assert_string_equal(err.message, "a?b?[31mc?d?31me?f?g \xc2\xa0\xc3\xa9\xe2\x82\xac");
    char text[2001];
    for (int shift = 0; shift < 3; shift++) {
        for (int i = 0; i < 1000; i++) memcpy(text + 2 * i, "\xc3\xa9", 3);
        talc_fail(&err, "%.*s%s", shift, "ab", text);
        assert_int_equal(utf8_valid_prefix(err.message, strlen(err.message)), strlen(err.message));
        assert_true(strlen(err.message) > 1000);
        talc_fail_in(&err, "%.*s%s", shift, "ab", text);
        assert_int_equal(utf8_valid_prefix(err.message, strlen(err.message)), strlen(err.message));
        assert_non_null(strstr(err.message, ": "));
    }
}

static void write_text(const char *root, const char *path, const char *text) {
    char name[256];
    snprintf(name, sizeof name, "%s%s", root, path);
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* In a container its limit counts; what the page cache holds of files can be had again. */
static void a_control_group_limits_memory(void **state) {
    (void)state;
    static const char *const folders[] = {"/proc", "/sys", "/sys/fs", "/sys/fs/cgroup", "/sys/fs/cgroup/memory"};
    static const char *const files[] = {"/proc/meminfo",
                                        "/sys/fs/cgroup/memory.max",
                                        "/sys/fs/cgroup/memory.current",
                                        "/sys/fs/cgroup/memory.stat",
                                        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                                        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
                                        "/sys/fs/cgroup/memory/memory.stat"};
    char root[] = "/tmp/talc-test-memory-XXXXXX", name[256];
    assert_non_null(mkdtemp(root));
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "%s%s", root, folders[i]);
        assert_int_equal(mkdir(name, 0700), 0);
    }
    assert_true(memory_available_under(root) == SIZE_MAX);
    write_text(root, files[0], "MemTotal: 20 kB\nMemFree: 5 kB\nMemAvailable:   10000 kB\n");
    assert_int_equal(memory_available_under(root), 10240000);
    write_text(root, files[1], "max\n");
    write_text(root, files[2], "5000000\n");
    assert_int_equal(memory_available_under(root), 10240000);
    write_text(root, files[1], "6000000\n");
    assert_int_equal(memory_available_under(root), 1000000);
    write_text(root, files[3], "anon 7\nfile 3000000\ninactive_anon 5\ninactive_file 2000000\nactive_file 1000000\n");
    assert_int_equal(memory_available_under(root), 3000000);
    write_text(root, files[4], "7000000\n");
    write_text(root, files[5], "6500000\n");
    assert_int_equal(memory_available_under(root), 500000);
    write_text(root, files[6], "cache 1\ninactive_file 0\ntotal_inactive_file 1500000\n");
    assert_int_equal(memory_available_under(root), 2000000);
    write_text(root, files[5], "9000000\n");
    assert_int_equal(memory_available_under(root), 0); /* above its limit */
    for (int i = 0; i < 7; i++) {
        snprintf(name, sizeof name, "%s%s", root, files[i]);
        unlink(name);
    }
    for (int i = 4; i >= 0; i--) {
        snprintf(name, sizeof name, "%s%s", root, folders[i]);
        rmdir(name);
    }
    rmdir(root);
}

/* More than the machine has is refused, and what it has is given. */
static void memory_that_is_not_there_is_refused(void **state) {
    (void)state;
    size_t available = memory_available();
    struct talc_error err = {0};
    struct stream stream;
    struct thread_pool *pool = thread_pool_open(1, &err);
    assert_true(available > 1 << 20);
    assert_true(stream_open(&stream, "cpu", pool, &err));
    void *memory = stream_memory_take(&stream, 1 << 16, &err);
    assert_non_null(memory);
    stream.backend->memory_give(&stream, memory);
    if (available < SIZE_MAX / 4) { /* known here: twice of it would be granted by a system that overcommits */
        assert_null(stream_memory_take(&stream, 2 * available, &err));
        assert_non_null(strstr(err.message, "are free"));
    }
    stream_close(&stream);
    thread_pool_close(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool_runs_every_task_once),           cmocka_unit_test(philox_matches_published_vectors),
        cmocka_unit_test(rng_draws_are_uniform_and_normal),    cmocka_unit_test(half_precision_round_trips),
        cmocka_unit_test(utf8_accepts_exactly_scalar_values),  cmocka_unit_test(arena_plans_what_it_later_takes),
        cmocka_unit_test(messages_are_one_line_of_text),       cmocka_unit_test(a_control_group_limits_memory),
        cmocka_unit_test(memory_that_is_not_there_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
