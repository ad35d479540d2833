/* Training a tokenizer: the vocabulary that `tokenizers` finds, whatever the threads and the order of texts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/rng.h"
#include "base/thread_pool.h"
#include "file/atomic.h"
#include "text/tokenizer_train.h"

#define GOLDEN TEST_DIR "/golden/tokenizer/"

static char *golden_text(size_t *n) {
    char *text = file_read(GOLDEN "text.txt", 1 << 20, n, NULL);
    assert_non_null(text);
    return text;
}

struct text {
    const char *bytes;
    size_t n_bytes;
};

static struct tokenizer *train(const struct tokenizer_train_options *options, const struct text *texts, size_t n_texts,
                               struct talc_error *err) {
    struct tokenizer_trainer *trainer = tokenizer_trainer_open(options, err);
    bool ok = trainer;
    for (size_t i = 0; ok && i < n_texts; i++)
        ok = tokenizer_trainer_add(trainer, texts[i].bytes, texts[i].n_bytes, err);
    struct tokenizer *tok = ok ? tokenizer_trainer_finish(trainer, err) : NULL;
    tokenizer_trainer_close(trainer);
    return tok;
}

static void compare_with_golden(enum pretokenizer pretokenizer, int32_t vocab_size, const char *path) {
    static const char *const chatml[] = {TOKEN_END_OF_TEXT, TOKEN_IM_START, TOKEN_IM_END};
    struct tokenizer_train_options options = tokenizer_train_defaults(false);
    struct talc_error err = {0};
    struct text text;
    char *bytes = golden_text(&text.n_bytes);
    text.bytes = bytes;
    options.pretokenizer = pretokenizer;
    options.vocab_size = vocab_size;
    options.special_tokens = chatml;
    options.n_special_tokens = 3;
    struct tokenizer *tok = train(&options, &text, 1, &err), *golden = tokenizer_load(path, &err);
    if (!tok || !golden) fail_msg("%s", err.message);
    assert_int_equal(tokenizer_vocab_size(tok), tokenizer_vocab_size(golden));
    for (int32_t id = 0; id < tokenizer_vocab_size(tok); id++) {
        size_t n, n_expected;
        const char *got = tokenizer_token_bytes(tok, id, &n);
        const char *expected = tokenizer_token_bytes(golden, id, &n_expected);
        if (n != n_expected || memcmp(got, expected, n) != 0)
            fail_msg("token %d is \"%.*s\", expected \"%.*s\"", (int)id, (int)n, got, (int)n_expected, expected);
    }
    assert_true(tokenizer_hash(tok) == tokenizer_hash(golden)); /* merges, too */
    tokenizer_free(tok);
    tokenizer_free(golden);
    free(bytes);
}

static void merges_are_those_of_hugging_face_gpt2_pattern(void **state) {
    (void)state;
    compare_with_golden(PRETOKENIZER_GPT2, 600, GOLDEN "gpt2.json");
}

static void merges_are_those_of_hugging_face_until_nothing_is_left(void **state) {
    (void)state;
    compare_with_golden(PRETOKENIZER_QWEN2, 4000, GOLDEN "qwen2.json");
}

/* Enough text for several pieces a text, and for counting before the last one. */
static void threads_and_order_do_not_matter(void **state) {
    (void)state;
    static const int threads[] = {0, 1, 2, 4};
    size_t n;
    char *text = golden_text(&n);
    struct buffer large = {0};
    while (large.length < (size_t)5 << 20) buffer_append(&large, text, n);
    struct text forward[] = {{large.data, large.length}, {"a looking glass", 15}, {text, n}};
    struct text backward[] = {forward[2], forward[1], forward[0]};
    struct tokenizer_train_options options = tokenizer_train_defaults(false);
    uint64_t hash = 0;
    options.vocab_size = 500;
    for (int i = 0; i < 4; i++) {
        options.pool = threads[i] ? thread_pool_open(threads[i], NULL) : NULL;
        struct tokenizer *tok = train(&options, i % 2 ? backward : forward, 3, NULL);
        assert_non_null(tok);
        if (i == 0) hash = tokenizer_hash(tok);
        assert_true(tokenizer_hash(tok) == hash);
        tokenizer_free(tok);
        thread_pool_close(options.pool);
    }
    buffer_free(&large);
    free(text);
}

static void special_tokens_come_last_and_count(void **state) {
    (void)state;
    struct tokenizer_train_options options = tokenizer_train_defaults(false);
    struct text text = {"the theory of the thing then", 28};
    options.vocab_size = 265;
    struct tokenizer *tok = train(&options, &text, 1, NULL);
    assert_int_equal(tokenizer_vocab_size(tok), 265);
    assert_int_equal(tokenizer_end_of_text_id(tok), 260);
    assert_int_equal(tokenizer_pad_id(tok), 260);
    assert_int_equal(tokenizer_special_id(tok, TOKEN_SYSTEM), 261);
    assert_int_equal(tokenizer_eos_id(tok), tokenizer_special_id(tok, TOKEN_END));
    assert_int_equal(tokenizer_eos_id(tok), 264);
    assert_int_equal(tokenizer_bos_id(tok), -1);
    tokenizer_free(tok);
}

static void rare_pairs_are_left_alone(void **state) {
    (void)state;
    struct tokenizer_train_options options = tokenizer_train_defaults(false);
    struct text text = {"abab ab xy xy qz", 16};
    options.min_count = 3;
    struct tokenizer *tok = train(&options, &text, 1, NULL);
    assert_int_equal(tokenizer_vocab_size(tok), 256 + 1 + 5); /* ab */
    tokenizer_free(tok);
}

static void characters_are_numbered_by_codepoint(void **state) {
    (void)state;
    struct tokenizer_train_options options = tokenizer_train_defaults(true);
    struct text texts[] = {{"ba\n", 3}, {"\xf0\x9f\x98\x80\xc3\xa9 ", 7}};
    static const char *const expected[] = {"\n", " ", "a", "b", "\xc3\xa9", "\xf0\x9f\x98\x80"};
    struct tokenizer *tok = train(&options, texts, 2, NULL);
    assert_int_equal(tokenizer_vocab_size(tok), 6);
    for (int32_t id = 0; id < 6; id++) {
        size_t n;
        const char *bytes = tokenizer_token_bytes(tok, id, &n);
        assert_int_equal(n, strlen(expected[id]));
        assert_memory_equal(bytes, expected[id], n);
    }
    tokenizer_free(tok);
}

static void expect_failure(const struct tokenizer_train_options *options, const char *bytes, size_t n,
                           const char *what) {
    struct talc_error err = {0};
    struct text text = {bytes, n};
    assert_null(train(options, &text, 1, &err));
    if (!strstr(err.message, what)) fail_msg("\"%s\" does not say \"%s\"", err.message, what);
}

static void what_cannot_be_trained_says_why(void **state) {
    (void)state;
    static const char *const twice[] = {"<|x|>", "<|x|>"}, *const empty[] = {""};
    struct tokenizer_train_options bpe = tokenizer_train_defaults(false), characters = tokenizer_train_defaults(true);
    expect_failure(&bpe, "", 0, "no text");
    expect_failure(&characters, "", 0, "no text");
    expect_failure(&characters, "ab\xff", 3, "0xff at 2");
    expect_failure(&characters, "a\0b", 3, "U+0000 at byte 1");
    struct tokenizer_train_options uncovered = bpe;
    uncovered.pretokenizer = PRETOKENIZER_DEEPSEEK;
    expect_failure(&uncovered, "1 a", 3, "leave some of the text out");
    uncovered.pretokenizer = PRETOKENIZER_COUNT;
    expect_failure(&uncovered, "1 a", 3, "leave some of the text out");
    bpe.vocab_size = 258;
    expect_failure(&bpe, "a", 1, "between 261");
    bpe.vocab_size = INT32_MAX;
    expect_failure(&bpe, "a", 1, "between 261");
    characters.special_tokens = twice;
    characters.n_special_tokens = 2;
    expect_failure(&characters, "a", 1, "given twice");
    characters.special_tokens = empty;
    characters.n_special_tokens = 1;
    expect_failure(&characters, "a", 1, "empty");
}

static bool stop_at_400(void *context, int32_t n_tokens, int32_t vocab_size) {
    *(int *)context += 1;
    assert_int_equal(vocab_size, 8187);
    return n_tokens < 400;
}

static void training_can_be_stopped(void **state) {
    (void)state;
    struct tokenizer_train_options options = tokenizer_train_defaults(false);
    size_t n;
    int calls = 0;
    char *text = golden_text(&n);
    options.progress = stop_at_400;
    options.progress_context = &calls;
    expect_failure(&options, text, n, "stopped");
    assert_int_equal(calls, 3);
    free(text);
}

/* About n_bytes of words by Zipf's law: the number of different ones grows as the length to the power of 0.75. */
static char *text_of_words(size_t n_bytes, size_t *n) {
    struct rng rng = rng_make(3, 0);
    struct buffer text = {0};
    while (text.length < n_bytes) {
        uint64_t word = (uint64_t)pow(rng_uniform(&rng) + 1e-6, -3);
        buffer_append_char(&text, ' ');
        for (word += 26; word > 0; word /= 26) buffer_append_char(&text, (char)('a' + word % 26));
    }
    *n = text.length;
    return text.data;
}

static void the_estimate_is_near_what_comes(void **state) {
    (void)state;
    struct tokenizer_train_options options = tokenizer_train_defaults(false);
    struct tokenizer_train_estimate early, exact;
    struct talc_error err = {0};
    struct thread_pool *pool = thread_pool_open(2, NULL);
    size_t n;
    char *text = text_of_words(20 << 20, &n);
    options.pool = pool;
    struct tokenizer_trainer *t = tokenizer_trainer_open(&options, &err);
    assert_true(tokenizer_trainer_add(t, text, 1000, &err) && tokenizer_trainer_estimate(t, 1e6, &early, &err));
    assert_true(early.n_words == 0); /* too little to judge by */
    tokenizer_trainer_close(t);
    t = tokenizer_trainer_open(&options, &err);
    assert_true(tokenizer_trainer_add(t, text, n / 4, &err) && tokenizer_trainer_estimate(t, (double)n, &early, &err));
    assert_true(tokenizer_trainer_add(t, text + n / 4, n - n / 4, &err));
    assert_true(tokenizer_trainer_estimate(t, (double)n, &exact, &err));
    assert_true(early.n_words > 0.7 * exact.n_words && early.n_words < 1.3 * exact.n_words);
    assert_true(early.memory_bytes > 0.7 * exact.memory_bytes && early.memory_bytes < 1.3 * exact.memory_bytes);
    assert_true(exact.word_bytes > 4 * exact.n_words && exact.learning_seconds > 0);
    tokenizer_trainer_close(t);

    t = tokenizer_trainer_open(&options, &err);
    assert_true(tokenizer_trainer_add(t, "one two one three two one", 25, &err));
    assert_true(tokenizer_trainer_estimate(t, 25, &exact, &err));
    assert_true(exact.n_words == 4 && exact.word_bytes == 3 + 4 + 4 + 6); /* "one" and " one" */
    tokenizer_trainer_close(t);
    thread_pool_close(pool);
    free(text);
}

static void memory_is_bounded(void **state) {
    (void)state;
    struct tokenizer_train_options options = tokenizer_train_defaults(false);
    struct talc_error err = {0};
    size_t n;
    char *text = text_of_words(8 << 20, &n);
    struct text whole = {text, n};
    options.max_memory = 1 << 20;
    assert_null(train(&options, &whole, 1, &err));
    if (!strstr(err.message, "take more than the 1 MiB of memory")) fail_msg("%s", err.message);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_are_those_of_hugging_face_gpt2_pattern),
        cmocka_unit_test(merges_are_those_of_hugging_face_until_nothing_is_left),
        cmocka_unit_test(threads_and_order_do_not_matter),
        cmocka_unit_test(special_tokens_come_last_and_count),
        cmocka_unit_test(rare_pairs_are_left_alone),
        cmocka_unit_test(characters_are_numbered_by_codepoint),
        cmocka_unit_test(what_cannot_be_trained_says_why),
        cmocka_unit_test(training_can_be_stopped),
        cmocka_unit_test(the_estimate_is_near_what_comes),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
