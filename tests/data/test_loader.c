/* Loaders: every token as often as promised, the same order for the same seed, exact resuming, documents kept apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "data/pack.h"
#include "data/permutation.h"
#include "data/token_source.h"
#include "data/windows.h"
#include "file/atomic.h"

static char folder[64];

static int setup(void **state) {
    (void)state;
    strcpy(folder, "/tmp/talc-loader-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    return folder_remove(folder, NULL) ? 0 : -1;
}

/* Shards of that many tokens each; token i is i % modulus. */
static void write_shards(const char *split, const int *sizes, int n_shards, int modulus, uint32_t vocab_size) {
    int32_t value = 0;
    for (int s = 0; s < n_shards; s++) {
        char name[64], path[160];
        snprintf(path, sizeof path, "%s/%s", folder, token_source_name(split, (size_t)s, name));
        struct token_shard_writer w;
        assert_true(token_shard_writer_open(&w, path, vocab_size, NULL));
        for (int i = 0; i < sizes[s]; i++) {
            int32_t token = value++ % modulus;
            assert_true(token_shard_writer_append(&w, &token, 1, NULL));
        }
        assert_true(token_shard_writer_commit(&w, NULL));
    }
}

static struct token_source open_source(int64_t n_tokens, int64_t vocab_size) {
    struct token_source source;
    struct talc_error err = {0};
    struct data_info info = {.vocab_size = vocab_size, .train.n_tokens = n_tokens};
    if (!token_source_open(&source, folder, "train", &info, &err)) fail_msg("%s", err.message);
    return source;
}

static void permutation_visits_everything_once(void **state) {
    (void)state;
    static const uint64_t sizes[] = {1, 2, 3, 4, 5, 16, 17, 1000, 65536, 65537};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        uint64_t n = sizes[k];
        struct permutation p = permutation_make(n, 42, k);
        unsigned char *seen = calloc(n, 1);
        for (uint64_t i = 0; i < n; i++) {
            uint64_t x = permutation_at(&p, i);
            assert_true(x < n);
            assert_int_equal(seen[x]++, 0);
        }
        free(seen);
    }
}

/* Each of the 24 orders of 4 elements must come up about equally often. */
static void permutation_is_uniform(void **state) {
    (void)state;
    enum { TRIALS = 24000 };
    int counts[256] = {0}, kinds = 0;
    for (uint64_t t = 0; t < TRIALS; t++) {
        struct permutation p = permutation_make(4, 1, t);
        int code = 0;
        for (uint64_t i = 0; i < 4; i++) code = code * 4 + (int)permutation_at(&p, i);
        counts[code]++;
    }
    for (int i = 0; i < 256; i++) {
        if (!counts[i]) continue;
        kinds++;
        assert_in_range(counts[i], 850, 1150);
    }
    assert_int_equal(kinds, 24);
}

static void source_joins_shards(void **state) {
    (void)state;
    write_shards("train", (int[]){5, 1, 0, 7}, 4, 1000, 1000);
    struct token_source source = open_source(13, 1000);
    for (uint64_t first = 0; first <= 13; first++) {
        for (size_t n = 0; n <= 13 - first; n++) {
            int32_t out[13];
            assert_true(token_source_read(&source, first, n, out, NULL));
            for (size_t i = 0; i < n; i++) assert_int_equal(out[i], first + i);
        }
    }
    int32_t out[2];
    assert_false(token_source_read(&source, 12, 2, out, NULL));
    assert_false(token_source_read(&source, UINT64_MAX, 2, out, NULL));
    token_source_close(&source);
}

static void source_finds_missing_shards_and_foreign_tokens(void **state) {
    (void)state;
    write_shards("train", (int[]){5, 6}, 2, 1000, 1000);
    struct talc_error err = {0};
    struct token_source source;
    struct data_info info = {.vocab_size = 8, .train.n_tokens = 12};
    assert_false(token_source_open(&source, folder, "train", &info, &err));
    assert_non_null(strstr(err.message, "hold 11 tokens, but data.json says 12"));
    source = open_source(11, 8);
    int32_t out[11];
    assert_true(token_source_read(&source, 0, 8, out, NULL));
    assert_false(token_source_read(&source, 0, 11, out, &err));
    assert_non_null(strstr(err.message, "train-00001.bin: token 3 is 8, but the vocabulary has 8"));
    token_source_close(&source);
}

/* ---- windows --------------------------------------------------------------------------------- */

enum { N_TOKENS = 1003, ROW = 10 };

/* Counts in `seen` how often each token was a target in n batches of that many rows; checks shapes on the way. */
static void take(struct loader *loader, struct loader_state *at, int n_batches, int n_rows, int *seen) {
    struct row_batch batch;
    assert_true(row_batch_open(&batch, n_rows, ROW, NULL));
    for (int b = 0; b < n_batches; b++) {
        assert_true(loader_next(loader, at, &batch, NULL));
        assert_int_equal(batch.sequence_starts[0], 0);
        assert_int_equal(batch.sequence_starts[batch.n_sequences], n_rows * ROW);
        for (int s = 0; s < batch.n_sequences; s++) {
            int begin = batch.sequence_starts[s], end = batch.sequence_starts[s + 1];
            assert_true(begin < end && begin / ROW == (end - 1) / ROW);
            for (int i = begin; i < end; i++) assert_int_equal(batch.positions[i], i - begin);
        }
        for (int i = 0; i < n_rows * ROW; i++) {
            if (batch.weights[i] == 0) continue;
            assert_int_equal(batch.targets[i], batch.tokens[i] + 1);
            seen[batch.targets[i]]++;
        }
    }
    row_batch_close(&batch);
}

static struct loader open_windows(const struct token_source *source, bool in_order) {
    struct loader loader;
    struct window_options o = {.row_tokens = ROW, .seed = 5, .text_start = -1, .in_order = in_order};
    assert_true(windows_open(&loader, source, &o, NULL));
    return loader;
}

static void epoch_takes_no_token_twice(void **state) {
    (void)state;
    write_shards("train", (int[]){500, 503}, 2, N_TOKENS, N_TOKENS);
    struct token_source source = open_source(N_TOKENS, N_TOKENS);
    struct loader loader = open_windows(&source, false);
    for (uint64_t epoch = 0; epoch < 5; epoch++) {
        int seen[N_TOKENS] = {0}, total = 0;
        uint64_t n_rows;
        struct loader_state at = {.epoch = epoch};
        assert_true(loader_count_rows(&loader, epoch, &n_rows, NULL));
        take(&loader, &at, (int)n_rows, 1, seen);
        assert_int_equal(at.epoch, epoch + 1);
        assert_int_equal(at.next, 0);
        for (int i = 0; i < N_TOKENS; i++) {
            assert_in_range(seen[i], 0, 1);
            total += seen[i];
        }
        assert_true(total > N_TOKENS - 2 * ROW); /* all but the phase and the remainder */
    }
    loader_close(&loader);
    token_source_close(&source);
}

static void epochs_begin_at_different_phases(void **state) {
    (void)state;
    write_shards("train", (int[]){N_TOKENS}, 1, N_TOKENS, N_TOKENS);
    struct token_source source = open_source(N_TOKENS, N_TOKENS);
    struct loader loader = open_windows(&source, false);
    struct row_batch batch;
    int phases[ROW] = {0}, n_phases = 0;
    assert_true(row_batch_open(&batch, 1, ROW, NULL));
    for (uint64_t epoch = 0; epoch < 100; epoch++) {
        struct loader_state at = {.epoch = epoch};
        assert_true(loader_next(&loader, &at, &batch, NULL));
        phases[batch.tokens[0] % ROW]++;
    }
    for (int i = 0; i < ROW; i++) n_phases += phases[i] > 0;
    assert_int_equal(n_phases, ROW);
    row_batch_close(&batch);
    loader_close(&loader);
    token_source_close(&source);
}

static void validation_scores_every_token_once(void **state) {
    (void)state;
    for (int n_tokens = 2; n_tokens < 50; n_tokens += 3) {
        write_shards("train", &n_tokens, 1, N_TOKENS, N_TOKENS);
        struct token_source source = open_source(n_tokens, N_TOKENS);
        struct loader loader = open_windows(&source, true);
        int seen[N_TOKENS] = {0};
        struct loader_state at = {0};
        while (at.epoch == 0) take(&loader, &at, 1, 2, seen);
        for (int i = 0; i < N_TOKENS; i++) assert_int_equal(seen[i], i > 0 && i < n_tokens);
        loader_close(&loader);
        token_source_close(&source);
    }
}

/* Concatenates the tokens of n batches of 3 rows. */
static void record(struct loader *loader, struct loader_state *at, int n_batches, int row_tokens, int32_t *out) {
    struct row_batch batch;
    assert_true(row_batch_open(&batch, 3, row_tokens, NULL));
    for (int b = 0; b < n_batches; b++) {
        assert_true(loader_next(loader, at, &batch, NULL));
        memcpy(out + b * 3 * row_tokens, batch.tokens, 3 * (size_t)row_tokens * sizeof *out);
    }
    row_batch_close(&batch);
}

static void resuming_continues_exactly(void **state) {
    (void)state;
    enum { N = 100, CUT = 37 }; /* three epochs */
    write_shards("train", (int[]){N_TOKENS}, 1, N_TOKENS, N_TOKENS);
    struct token_source source = open_source(N_TOKENS, N_TOKENS);
    struct loader loader = open_windows(&source, false), again = open_windows(&source, false);
    int32_t *whole = calloc(N * 3 * ROW, 4), *parts = calloc(N * 3 * ROW, 4);
    struct loader_state at = {0}, half = {0};
    record(&loader, &at, N, ROW, whole);
    record(&loader, &half, CUT, ROW, parts);
    record(&again, &half, N - CUT, ROW, parts + CUT * 3 * ROW);
    assert_memory_equal(whole, parts, N * 3 * ROW * 4);
    assert_true(at.epoch == half.epoch && at.next == half.next && at.epoch >= 2);
    assert_memory_not_equal(whole, whole + 34 * 3 * ROW, ROW * 4); /* epochs differ */
    free(whole);
    free(parts);
    loader_close(&loader);
    loader_close(&again);
    token_source_close(&source);
}

static void document_mask_starts_a_sequence_at_each_end_of_text(void **state) {
    (void)state;
    write_shards("train", (int[]){41}, 1, 7, 100); /* 0 .. 6, 0 .. 6, ...: 6 between documents */
    struct token_source source = open_source(41, 100);
    struct window_options o = {.row_tokens = 20, .document_mask = true, .text_start = 6, .in_order = true};
    struct loader loader;
    struct row_batch batch;
    struct loader_state at = {0};
    assert_true(windows_open(&loader, &source, &o, NULL));
    assert_true(row_batch_open(&batch, 2, 20, NULL));
    assert_true(loader_next(&loader, &at, &batch, NULL));
    static const int32_t starts[] = {0, 6, 13, 20, 27, 34, 40}; /* token 20 is a 6 too */
    assert_int_equal(batch.n_sequences, 6);
    assert_memory_equal(batch.sequence_starts, starts, sizeof starts);
    row_batch_close(&batch);
    loader_close(&loader);
    token_source_close(&source);
}

static void too_little_data_is_refused(void **state) {
    (void)state;
    struct talc_error err = {0};
    write_shards("train", (int[]){10}, 1, 100, 100);
    struct token_source source = open_source(10, 100);
    struct loader loader;
    struct window_options o = {.row_tokens = 10, .text_start = -1};
    assert_false(windows_open(&loader, &source, &o, &err));
    assert_non_null(strstr(err.message, "has 10 tokens, but 11 are needed for one row"));
    o.row_tokens = 9;
    assert_true(windows_open(&loader, &source, &o, NULL));
    int32_t tokens[27];
    struct loader_state at = {0};
    record(&loader, &at, 1, 9, tokens);
    assert_int_equal(at.epoch, 3);
    loader_close(&loader);
    token_source_close(&source);
}

/* ---- packed documents ------------------------------------------------------------------------ */

/* n documents of 2 to max tokens; a document's tokens are its number; every third token is not to be learnt. */
static struct token_documents some_documents(int n, int max) {
    struct token_documents d = {0};
    struct rng rng = rng_make(3, 0);
    int32_t tokens[200];
    uint8_t learn[200];
    for (int i = 0; i < n; i++) {
        size_t length = 2 + rng_below(&rng, (uint64_t)max - 1);
        for (size_t k = 0; k < length; k++) {
            tokens[k] = i + 1;
            learn[k] = k % 3 != 2;
        }
        assert_true(token_documents_add(&d, tokens, learn, length, NULL));
    }
    return d;
}

static void packed_epoch_has_each_document_whole_and_once(void **state) {
    (void)state;
    enum { N = 1000, T = 64 };
    struct token_documents d = some_documents(N, T + 1);
    struct loader loader;
    struct pack_options o = {.row_tokens = T, .seed = 9};
    size_t n_skipped = 7;
    uint64_t n_rows, n_places = 0;
    assert_true(documents_open(&loader, &d, &o, &n_skipped, NULL));
    assert_int_equal(n_skipped, 0);
    assert_true(loader_count_rows(&loader, 0, &n_rows, NULL));
    struct row_batch batch;
    assert_true(row_batch_open(&batch, 1, T, NULL));
    int seen[N + 1] = {0};
    struct loader_state at = {0};
    for (uint64_t r = 0; r < n_rows; r++) {
        assert_true(loader_next(&loader, &at, &batch, NULL));
        for (int s = 0; s < batch.n_sequences; s++) {
            int begin = batch.sequence_starts[s], n = batch.sequence_starts[s + 1] - begin, doc = batch.tokens[begin];
            if (doc == 0) continue; /* padding */
            seen[doc]++;
            n_places += (uint64_t)n;
            assert_int_equal(n, d.starts[doc] - d.starts[doc - 1] - 1);
            for (int i = 0; i < n; i++) {
                assert_int_equal(batch.tokens[begin + i], doc);
                assert_int_equal(batch.targets[begin + i], doc);
                assert_true(batch.weights[begin + i] == ((i + 1) % 3 != 2 ? 1 : 0));
                assert_int_equal(batch.positions[begin + i], i);
            }
        }
    }
    assert_int_equal(at.epoch, 1);
    for (int i = 1; i <= N; i++) assert_int_equal(seen[i], 1);
    assert_true((double)n_places / (double)(n_rows * T) > 0.95); /* best fit with lookahead leaves little room */
    row_batch_close(&batch);
    loader_close(&loader);
    token_documents_free(&d);
}

static void padding_has_no_weight(void **state) {
    (void)state;
    struct token_documents d = {0};
    assert_true(token_documents_add(&d, (int32_t[]){1, 2, 3}, (uint8_t[]){1, 1, 1}, 3, NULL));
    struct loader loader;
    struct row_batch batch;
    struct loader_state at = {0};
    assert_true(documents_open(&loader, &d, &(struct pack_options){.row_tokens = 5, .in_order = true}, NULL, NULL));
    assert_true(row_batch_open(&batch, 2, 5, NULL));
    for (int i = 0; i < 10; i++) batch.weights[i] = batch.tokens[i] = 9;
    assert_true(loader_next(&loader, &at, &batch, NULL));
    static const float weights[10] = {1, 1};
    static const int32_t starts[] = {0, 2, 5, 10}, tokens[10] = {1, 2}, positions[10] = {0, 1, 0, 1, 2, 0, 1, 2, 3, 4};
    assert_memory_equal(batch.weights, weights, sizeof weights);
    assert_memory_equal(batch.tokens, tokens, sizeof tokens);
    assert_memory_equal(batch.positions, positions, sizeof positions);
    assert_int_equal(batch.n_sequences, 3);
    assert_memory_equal(batch.sequence_starts, starts, sizeof starts);
    row_batch_close(&batch);
    loader_close(&loader);
    token_documents_free(&d);
}

static void packed_resuming_continues_exactly(void **state) {
    (void)state;
    enum { DOCUMENTS = 400, T = 64, N = 150, CUT = 61 };
    struct token_documents d = some_documents(DOCUMENTS, T);
    struct pack_options o = {.row_tokens = T, .seed = 2};
    struct loader loader, again;
    assert_true(documents_open(&loader, &d, &o, NULL, NULL));
    assert_true(documents_open(&again, &d, &o, NULL, NULL));
    int32_t *whole = calloc(N * 3 * T, 4), *parts = calloc(N * 3 * T, 4);
    struct loader_state at = {0}, half = {0};
    record(&loader, &at, N, T, whole);
    record(&again, &half, CUT, T, parts);
    loader_close(&again);
    assert_true(documents_open(&again, &d, &o, NULL, NULL));
    record(&again, &half, N - CUT, T, parts + CUT * 3 * T);
    assert_memory_equal(whole, parts, N * 3 * T * 4);
    assert_true(at.epoch == half.epoch && at.next == half.next && at.epoch >= 2);
    free(whole);
    free(parts);
    loader_close(&loader);
    loader_close(&again);
    token_documents_free(&d);
}

static void long_documents_are_refused_or_counted(void **state) {
    (void)state;
    struct talc_error err = {0};
    struct token_documents d = {0};
    struct loader loader;
    int32_t tokens[7] = {1, 2, 3, 4, 5, 6, 7};
    uint8_t learn[7] = {0};
    size_t n_skipped;
    assert_false(token_documents_add(&d, tokens, learn, 1, &err));
    assert_true(token_documents_add(&d, tokens, learn, 6, NULL));
    assert_true(token_documents_add(&d, tokens, learn, 7, NULL));
    struct pack_options o = {.row_tokens = 5};
    assert_false(documents_open(&loader, &d, &o, &n_skipped, &err));
    assert_non_null(strstr(err.message, "document 2 has 7 tokens, but a row holds 5"));
    o.skip_long = true;
    assert_true(documents_open(&loader, &d, &o, &n_skipped, NULL));
    assert_int_equal(n_skipped, 1);
    loader_close(&loader);
    o.row_tokens = 4;
    assert_false(documents_open(&loader, &d, &o, &n_skipped, &err));
    token_documents_free(&d);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permutation_visits_everything_once),
        cmocka_unit_test(permutation_is_uniform),
        TEST(source_joins_shards),
        TEST(source_finds_missing_shards_and_foreign_tokens),
        TEST(epoch_takes_no_token_twice),
        TEST(epochs_begin_at_different_phases),
        TEST(validation_scores_every_token_once),
        TEST(resuming_continues_exactly),
        TEST(document_mask_starts_a_sequence_at_each_end_of_text),
        TEST(too_little_data_is_refused),
        cmocka_unit_test(packed_epoch_has_each_document_whole_and_once),
        cmocka_unit_test(padding_has_no_weight),
        cmocka_unit_test(packed_resuming_continues_exactly),
        cmocka_unit_test(long_documents_are_refused_or_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
