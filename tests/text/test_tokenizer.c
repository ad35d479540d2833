/* Text to ids and back: the ids of `tokenizers`, every byte back, special tokens only where they are asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/thread_pool.h"
#include "file/json.h"
#include "text/tokenizer.h"
#include "text/tokenizer_train.h"

#define GOLDEN TEST_DIR "/golden/tokenizer/"

static struct tokenizer *load(const char *path) {
    struct talc_error err = {0};
    struct tokenizer *tok = tokenizer_load(path, &err);
    if (!tok) fail_msg("%s", err.message);
    return tok;
}

static json_t *read_json(const char *path) {
    struct talc_error err = {0};
    json_t *value = json_read_file(path, 0, &err);
    if (!value) fail_msg("%s", err.message);
    return value;
}

/* The strings that the goldens are about. */
static json_t *golden_texts(void) {
    json_t *root = read_json(GOLDEN "pretokenize.json"), *texts = json_incref(json_object_get(root, "texts"));
    json_decref(root);
    return texts;
}

static void encode(const struct tokenizer *tok, const char *text, size_t n, bool parse_special,
                   struct token_list *out) {
    struct talc_error err = {0};
    token_list_clear(out);
    if (!tokenizer_encode(tok, text, n, parse_special, out, &err)) fail_msg("%s", err.message);
}

/* Encodes, decodes, and sees the same bytes. */
static void assert_comes_back(const struct tokenizer *tok, const char *text, size_t n, struct token_list *ids) {
    struct buffer back = {0};
    encode(tok, text, n, false, ids);
    assert_true(tokenizer_decode(tok, ids->ids, ids->count, false, &back, NULL));
    assert_int_equal(back.length, n);
    if (n) assert_memory_equal(back.data, text, n);
    buffer_free(&back);
}

static void compare_ids(const char *tokenizer_path, const char *ids_path) {
    struct tokenizer *tok = load(tokenizer_path);
    json_t *texts = golden_texts(), *expected = read_json(ids_path), *text;
    struct token_list ids = {0};
    size_t i;
    assert_int_equal(json_array_size(texts), json_array_size(expected));
    json_array_foreach(texts, i, text) {
        const json_t *row = json_array_get(expected, i);
        encode(tok, json_string_value(text), json_string_length(text), true, &ids);
        if (ids.count != json_array_size(row))
            fail_msg("%s, text %zu \"%s\": %zu ids, expected %zu", tokenizer_path, i, json_string_value(text),
                     ids.count, json_array_size(row));
        for (size_t j = 0; j < ids.count; j++) assert_int_equal(ids.ids[j], json_integer_value(json_array_get(row, j)));
    }
    token_list_free(&ids);
    json_decref(texts);
    json_decref(expected);
    tokenizer_free(tok);
}

static void ids_are_those_of_hugging_face_gpt2_pattern(void **state) {
    (void)state;
    compare_ids(GOLDEN "gpt2.json", GOLDEN "gpt2_ids.json");
}

static void ids_are_those_of_hugging_face_qwen2_pattern(void **state) {
    (void)state;
    compare_ids(GOLDEN "qwen2.json", GOLDEN "qwen2_ids.json");
}

static void every_byte_comes_back(void **state) {
    (void)state;
    struct tokenizer *tok = load(GOLDEN "qwen2.json");
    struct rng rng = rng_make(7, 0);
    struct token_list ids = {0};
    char text[400];
    for (int round = 0; round < 3000; round++) {
        size_t n = rng_below(&rng, sizeof text + 1);
        uint64_t alphabet = round % 3 == 0 ? 256 : round % 3 == 1 ? 3 : 26; /* 3, 26: long words */
        for (size_t i = 0; i < n; i++) text[i] = (char)(rng_below(&rng, alphabet) + (alphabet < 256 ? 'a' : 0));
        assert_comes_back(tok, text, n, &ids);
    }
    token_list_free(&ids);
    tokenizer_free(tok);
}

static void special_tokens_are_not_parsed_out_of_user_text(void **state) {
    (void)state;
    struct tokenizer *tok = load(GOLDEN "qwen2.json");
    json_t *texts = golden_texts(), *text;
    struct token_list ids = {0};
    size_t i, n_special = 0;
    json_array_foreach(texts, i, text) {
        assert_comes_back(tok, json_string_value(text), json_string_length(text), &ids);
        for (size_t j = 0; j < ids.count; j++) assert_false(tokenizer_is_special(tok, ids.ids[j]));
        encode(tok, json_string_value(text), json_string_length(text), true, &ids);
        for (size_t j = 0; j < ids.count; j++) n_special += tokenizer_is_special(tok, ids.ids[j]);
    }
    assert_true(n_special >= 6);
    token_list_free(&ids);
    json_decref(texts);
    tokenizer_free(tok);
}

static void special_tokens_have_names_and_roles(void **state) {
    (void)state;
    struct tokenizer *tok = load(GOLDEN "qwen2.json");
    int32_t end = tokenizer_special_id(tok, TOKEN_IM_END);
    size_t n;
    assert_int_equal(tokenizer_special_id(tok, TOKEN_END_OF_TEXT), tokenizer_vocab_size(tok) - 3);
    assert_int_equal(end, tokenizer_vocab_size(tok) - 1);
    assert_int_equal(tokenizer_special_id(tok, "<|absent|>"), -1);
    assert_int_equal(tokenizer_eos_id(tok), end);
    assert_int_equal(tokenizer_end_of_text_id(tok), tokenizer_vocab_size(tok) - 3);
    assert_true(tokenizer_is_special(tok, end));
    assert_false(tokenizer_is_special(tok, 0));
    assert_false(tokenizer_is_special(tok, -1));
    assert_memory_equal(tokenizer_token_bytes(tok, end, &n), TOKEN_IM_END, strlen(TOKEN_IM_END));
    assert_int_equal(n, strlen(TOKEN_IM_END));
    assert_null(tokenizer_token_bytes(tok, tokenizer_vocab_size(tok), &n));
    assert_null(tokenizer_token_bytes(tok, -1, &n));
    tokenizer_free(tok);
}

static void decoding_can_leave_special_tokens_out(void **state) {
    (void)state;
    struct tokenizer *tok = load(GOLDEN "qwen2.json");
    const char *text = "<|im_start|>user\nhi<|im_end|>";
    struct token_list ids = {0};
    struct buffer out = {0};
    encode(tok, text, strlen(text), true, &ids);
    assert_true(tokenizer_decode(tok, ids.ids, ids.count, true, &out, NULL));
    assert_string_equal(out.data, "user\nhi");
    buffer_clear(&out);
    assert_true(tokenizer_decode(tok, ids.ids, ids.count, false, &out, NULL));
    assert_string_equal(out.data, text);
    buffer_free(&out);
    token_list_free(&ids);
    tokenizer_free(tok);
}

static void decoding_an_unknown_id_fails(void **state) {
    (void)state;
    struct tokenizer *tok = load(GOLDEN "qwen2.json");
    struct talc_error err = {0};
    struct buffer out = {0};
    const int32_t past[] = {0, tokenizer_vocab_size(tok)}, negative[] = {-1};
    assert_false(tokenizer_decode(tok, past, 2, false, &out, &err));
    assert_non_null(strstr(err.message, "does not have"));
    assert_false(tokenizer_decode(tok, negative, 1, false, &out, &err));
    buffer_free(&out);
    tokenizer_free(tok);
}

/* Quadratic work would take many minutes. */
static void a_megabyte_without_a_break_is_quick(void **state) {
    (void)state;
    static const char *const units[] = {"a", " ", "\n", "ab", "looking", "\xff", "\xe4\xb8\xad", "'", "1"};
    const size_t n = (size_t)1 << 20;
    struct tokenizer *tok = load(GOLDEN "gpt2.json");
    struct token_list ids = {0};
    char *text = malloc(n);
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        for (size_t i = 0; i < n; i++) text[i] = units[u][i % strlen(units[u])];
        assert_comes_back(tok, text, n, &ids);
    }
    free(text);
    token_list_free(&ids);
    tokenizer_free(tok);
}

struct shared_work {
    const struct tokenizer *tok;
    const json_t *texts;
    struct token_list ids[8];
};

static void encode_all(void *context, int i, int worker) {
    struct shared_work *work = context;
    const json_t *text;
    size_t t;
    (void)worker;
    json_array_foreach(work->texts, t, text) {
        tokenizer_encode(work->tok, json_string_value(text), json_string_length(text), true, &work->ids[i], NULL);
    }
}

static void several_threads_may_encode_at_once(void **state) {
    (void)state;
    struct tokenizer *tok = load(GOLDEN "qwen2.json");
    struct shared_work work = {.tok = tok, .texts = golden_texts()};
    struct thread_pool *pool = thread_pool_open(4, NULL);
    thread_pool_run(pool, 8, encode_all, &work);
    for (int i = 1; i < 8; i++) {
        assert_int_equal(work.ids[i].count, work.ids[0].count);
        assert_memory_equal(work.ids[i].ids, work.ids[0].ids, work.ids[0].count * sizeof(int32_t));
    }
    for (int i = 0; i < 8; i++) token_list_free(&work.ids[i]);
    thread_pool_close(pool);
    json_decref((json_t *)work.texts);
    tokenizer_free(tok);
}

static void an_unknown_character_is_named_and_nothing_is_appended(void **state) {
    (void)state;
    struct tokenizer_train_options options = tokenizer_train_defaults(true);
    struct tokenizer_trainer *trainer = tokenizer_trainer_open(&options, NULL);
    assert_true(tokenizer_trainer_add(trainer, "h\xc3\xa9llo", 6, NULL));
    struct tokenizer *tok = tokenizer_trainer_finish(trainer, NULL);
    struct token_list ids = {0};
    struct talc_error err = {0};
    assert_comes_back(tok, "hol\xc3\xa9", 5, &ids);
    assert_int_equal(ids.count, 4);
    assert_false(tokenizer_encode(tok, "hoZ", 3, false, &ids, &err));
    assert_non_null(strstr(err.message, "\"Z\" (U+005A) at byte 2"));
    assert_false(tokenizer_encode(tok, "h\xc3", 2, false, &ids, &err));
    assert_non_null(strstr(err.message, "0xc3 at 1"));
    assert_int_equal(ids.count, 4);
    token_list_free(&ids);
    tokenizer_free(tok);
    tokenizer_trainer_close(trainer);
}

static void threads_give_the_same_ids(void **state) {
    (void)state;
    struct tokenizer *tok = load(GOLDEN "qwen2.json");
    json_t *texts = golden_texts(), *value;
    struct thread_pool *pool = thread_pool_open(2, NULL);
    struct buffer text = {0};
    struct token_list alone = {0}, together = {0};
    size_t i;
    while (text.length < 18000000) { /* more than two threads take at once */
        json_array_foreach(texts, i, value) {
            buffer_append(&text, json_string_value(value), json_string_length(value));
            buffer_append_text(&text, i % 7 ? "word word\n" : TOKEN_IM_START);
        }
    }
    for (int special = 0; special < 2; special++) {
        encode(tok, text.data, text.length, special, &alone);
        assert_true(token_list_append(&together, 7)); /* what is there already stays */
        assert_true(tokenizer_encode_parallel(tok, pool, text.data, text.length, special, &together, NULL));
        assert_int_equal(together.count, alone.count + 1);
        assert_int_equal(together.ids[0], 7);
        assert_memory_equal(together.ids + 1, alone.ids, alone.count * sizeof *alone.ids);
        token_list_clear(&together);
    }
    token_list_free(&alone);
    token_list_free(&together);
    buffer_free(&text);
    thread_pool_close(pool);
    json_decref(texts);
    tokenizer_free(tok);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_hugging_face_gpt2_pattern),
        cmocka_unit_test(ids_are_those_of_hugging_face_qwen2_pattern),
        cmocka_unit_test(every_byte_comes_back),
        cmocka_unit_test(special_tokens_are_not_parsed_out_of_user_text),
        cmocka_unit_test(special_tokens_have_names_and_roles),
        cmocka_unit_test(decoding_can_leave_special_tokens_out),
        cmocka_unit_test(decoding_an_unknown_id_fails),
        cmocka_unit_test(a_megabyte_without_a_break_is_quick),
        cmocka_unit_test(several_threads_may_encode_at_once),
        cmocka_unit_test(an_unknown_character_is_named_and_nothing_is_appended),
        cmocka_unit_test(threads_give_the_same_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
