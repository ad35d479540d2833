/* The cache of words: what is found is what was added, alone and with threads that share short words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/thread_pool.h"
#include "text/word_cache.h"

#define N_THREADS 4

static struct word_key key_of(const char *word) { return word_key(word, strlen(word), false); }

/* Words of a number have the number, its half and so on as ids. */
static struct word_key numbered(uint64_t number, int32_t ids[WORD_CACHE_SHORT_IDS], size_t *n_ids) {
    char word[WORD_CACHE_SHORT_BYTES + 1];
    snprintf(word, sizeof word, "w%llu", (unsigned long long)number);
    *n_ids = 1 + number % WORD_CACHE_SHORT_IDS;
    for (size_t i = 0; i < *n_ids; i++) ids[i] = (int32_t)(number >> i);
    return key_of(word);
}

static void assert_entry(const struct word_entry *entry, const int32_t *want, size_t n) {
    int32_t ids[WORD_CACHE_SHORT_IDS];
    assert_non_null(entry);
    assert_int_equal(word_entry_ids(entry, ids), n);
    assert_memory_equal(ids, want, n * sizeof *ids);
}

/* Three words of one bucket of the cache. */
static void same_bucket(const struct word_cache *cache, struct word_key keys[3]) {
    int32_t ids[WORD_CACHE_SHORT_IDS];
    size_t n_ids, count = 0;
    const struct word_entry *bucket = NULL;
    for (uint64_t number = 0; count < 3; number++) {
        struct word_key key = numbered(number, ids, &n_ids);
        if (count == 0) bucket = word_cache_bucket(cache, key);
        if (word_cache_bucket(cache, key) == bucket) keys[count++] = key;
    }
}

static void new_words_push_out_what_came_once(void **state) {
    (void)state;
    struct word_cache cache;
    struct word_key keys[3];
    assert_true(word_cache_open(&cache));
    same_bucket(&cache, keys);
    word_cache_add(&cache, keys[0], (int32_t[]){10, 11}, 2);
    assert_null(word_cache_find(&cache, keys[1]));
    assert_entry(word_cache_find(&cache, keys[0]), (int32_t[]){10, 11}, 2);
    word_cache_add(&cache, keys[1], (int32_t[]){20}, 1);
    word_cache_add(&cache, keys[2], (int32_t[]){30, 31, 32, 33}, 4);
    assert_null(word_cache_find(&cache, keys[1]));
    assert_entry(word_cache_find(&cache, keys[0]), (int32_t[]){10, 11}, 2);
    assert_entry(word_cache_find(&cache, keys[2]), (int32_t[]){30, 31, 32, 33}, 4);
    word_cache_close(&cache);
}

static void shared_words_stay_where_they_are(void **state) {
    (void)state;
    struct shared_words *words = shared_words_open();
    struct word_cache a, b;
    struct word_key keys[3];
    assert_true(words && word_cache_open(&a) && word_cache_open(&b));
    word_cache_add(&a, key_of("own"), (int32_t[]){1}, 1);
    word_cache_share(&a, words);
    word_cache_share(&b, words);
    assert_null(word_cache_find(&a, key_of("own")));
    same_bucket(&a, keys);
    for (int32_t i = 0; i < 3; i++) word_cache_add(i ? &a : &b, keys[i], &i, 1);
    assert_int_equal(shared_words_refused(words), 1);
    for (int32_t i = 0; i < 2; i++) {
        assert_entry(word_cache_find(&a, keys[i]), &i, 1);
        assert_entry(word_cache_find(&b, keys[i]), &i, 1);
    }
    assert_null(word_cache_find(&b, keys[2]));
    shared_words_clear(words);
    assert_int_equal(shared_words_refused(words), 0);
    assert_null(word_cache_find(&a, keys[0]));
    word_cache_share(&a, NULL);
    assert_entry(word_cache_find(&a, key_of("own")), (int32_t[]){1}, 1);
    word_cache_close(&a);
    word_cache_close(&b);
    shared_words_close(words);
}

struct sharing {
    struct word_cache caches[N_THREADS];
    size_t n_found[N_THREADS], n_wrong[N_THREADS];
};

/* More words than there are places, the first of them more often; all threads meet them in the same order. */
static void find_or_add(void *context, int i, int worker) {
    (void)worker;
    struct sharing *s = context;
    struct rng rng = rng_make(7, 0);
    for (int n = 0; n < 200000; n++) {
        int32_t want[WORD_CACHE_SHORT_IDS], ids[WORD_CACHE_SHORT_IDS];
        size_t n_ids;
        struct word_key key = numbered(rng_below(&rng, (uint64_t)2 << rng_below(&rng, 20)), want, &n_ids);
        const struct word_entry *entry = word_cache_find(&s->caches[i], key);
        if (!entry) {
            word_cache_add(&s->caches[i], key, want, n_ids);
            continue;
        }
        s->n_found[i]++;
        s->n_wrong[i] += word_entry_ids(entry, ids) != n_ids || memcmp(ids, want, n_ids * sizeof *ids) != 0;
    }
}

static void threads_share_words(void **state) {
    (void)state;
    struct shared_words *words = shared_words_open();
    struct thread_pool *pool = thread_pool_open(N_THREADS, NULL);
    struct sharing *s = calloc(1, sizeof *s);
    assert_true(words && pool && s);
    for (int i = 0; i < N_THREADS; i++) {
        assert_true(word_cache_open(&s->caches[i]));
        word_cache_share(&s->caches[i], words);
    }
    thread_pool_run(pool, N_THREADS, find_or_add, s);
    for (int i = 0; i < N_THREADS; i++) {
        assert_true(s->n_found[i] > 50000);
        assert_int_equal(s->n_wrong[i], 0);
        word_cache_close(&s->caches[i]);
    }
    free(s);
    thread_pool_close(pool);
    shared_words_close(words);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_words_push_out_what_came_once),
        cmocka_unit_test(shared_words_stay_where_they_are),
        cmocka_unit_test(threads_share_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
