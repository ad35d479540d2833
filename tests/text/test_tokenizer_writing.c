/* Writing tokenizers of other formats: what is written as a folder or GGUF, and read again, is the same tokenizer, or
 * is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "file/atomic.h"
#include "file/gguf.h"
#include "file/json.h"
#include "support/tokenizer_bytes.h"
#include "support/tokenizer_case.h"

/* A SentencePiece model does not say what goes around a text; the folder that it is in may. */
static void folders_say_what_goes_around_a_text(void **state) {
    (void)state;
    static const struct {
        const char *config;
        bool bos, eos;
    } cases[] = {{"{}", true, false},
                 {"{\"add_bos_token\": null}", true, false},
                 {"{\"add_bos_token\": false}", false, false},
                 {"{\"add_bos_token\": false, \"add_eos_token\": true}", false, true},
                 {"{\"add_eos_token\": true}", true, true}};
    struct buffer model = {0};
    put_pieces(&model);
    put_specs(&model, 2, false, true);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_file("tokenizer.model", model.data, model.length);
        put_file("tokenizer_config.json", cases[i].config, strlen(cases[i].config));
        struct tokenizer *tok = load_tokenizer(case_folder());
        assert_int_equal(tokenizer_adds_bos(tok), cases[i].bos);
        assert_int_equal(tokenizer_adds_eos(tok), cases[i].eos);
        assert_true(tokenizer_save_folder(tok, case_folder(), NULL, NULL));
        struct tokenizer *back = load_tokenizer(case_folder());
        assert_same_tokenizer(tok, back);
        assert_int_equal(tokenizer_adds_bos(back), cases[i].bos);
        assert_int_equal(tokenizer_adds_eos(back), cases[i].eos);
        tokenizer_free(back);
        tokenizer_free(tok);
    }
    put_file("tokenizer_config.json", "{\"add_bos_token\": 7}", 20);
    expect_load_failure(case_folder(), "add_bos_token");
    buffer_free(&model);
}

/* Of equal scores the leftmost goes first, which no list of merges can say. */
static void equal_scores_survive_writing(void **state) {
    (void)state;
    static const char *const tokens[] = {"<unk>", "a", "b", "ab", "ba"};
    static const float scores[] = {0, -9, -9, -5, -5};
    static const int32_t types[] = {2, 1, 1, 1, 1};
    struct talc_error err = {0};
    struct buffer model = {0}, gguf = {0};
    for (int i = 0; i < 5; i++) put_piece(&model, tokens[i], scores[i], types[i]);
    put_specs(&model, 2, false, false);
    struct tokenizer *tok = load_tokenizer(put_file("x.model", model.data, model.length));
    assert_ids(tok, "bab", IDS(4, 2));
    assert_ids(tok, "aba", IDS(3, 1));
    assert_true(tokenizer_save_folder(tok, case_folder(), NULL, &err));
    struct tokenizer *back = load_tokenizer(case_folder());
    assert_ids(back, "bab", IDS(4, 2));
    assert_ids(back, "aba", IDS(3, 1));
    assert_same_tokenizer(tok, back);
    tokenizer_free(back);
    put_tied_gguf(&gguf);
    back = load_tokenizer(put_file("x.gguf", gguf.data, gguf.length));
    assert_ids(back, "bab", IDS(4, 2));
    assert_true(tokenizer_hash(tok) == tokenizer_hash(back));
    assert_false(tokenizer_save_folder(back, case_folder(), NULL, &err));
    assert_non_null(strstr(err.message, "equal scores"));
    tokenizer_free(back);
    /* the same merges in a list are another tokenizer */
    const char *json =
        "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" MARK
        "\"},\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true,\"vocab\":{\"<unk>\":0,"
        "\"a\":1,\"b\":2,\"ab\":3,\"ba\":4},\"merges\":[\"a b\",\"b a\"]},\"added_tokens\":[{\"id\":0,"
        "\"content\":\"<unk>\",\"special\":true}],\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":"
        "\"Fuse\"}]}}";
    back = load_tokenizer(put_file("x.json", json, strlen(json)));
    assert_ids(back, "bab", IDS(2, 3));
    assert_true(tokenizer_hash(tok) != tokenizer_hash(back));
    tokenizer_free(back);
    tokenizer_free(tok);
    buffer_free(&model);
    buffer_free(&gguf);
}

/* 8 spaces 1, 4 spaces 2 and so on by halves, then all other numbers of them by one score, as Llama 2 has them: the
 * leftmost goes first, and it does not matter. */
static void equal_scores_that_change_nothing_are_written_as_merges(void **state) {
    (void)state;
    static const char *const json = "tokenizer.json", *const binary = "tokenizer.model";
    static const int lengths[] = {1, 2, 4, 8, 3, 5, 6, 7};
    struct buffer model = {0}, run = {0};
    put_piece(&model, "<unk>", 0, 2);
    put_piece(&model, "a", -1, 1);
    for (int i = 0; i < 8; i++) {
        buffer_clear(&run);
        for (int j = 0; j < lengths[i]; j++) buffer_append_text(&run, MARK);
        put_piece(&model, run.data, i < 4 ? (float)-i : -1e9F, 1);
    }
    put_piece(&model, MARK "a", -2.5F, 1);
    put_specs(&model, 2, false, false);
    struct tokenizer *tok = load_tokenizer(put_file("x.model", model.data, model.length));
    assert_true(tokenizer_save_folder(tok, case_folder(), NULL, NULL));
    char path[128];
    snprintf(path, sizeof path, "%s/%s", case_folder(), binary);
    assert_false(file_exists(path));
    snprintf(path, sizeof path, "%s/%s", case_folder(), json);
    assert_true(file_exists(path));
    struct tokenizer *back = load_tokenizer(case_folder());
    assert_same_tokenizer(tok, back);
    for (int n = 0; n < 70; n++) {
        struct token_list ours = {0}, theirs = {0};
        buffer_clear(&run);
        buffer_append_char(&run, 'a');
        for (int i = 0; i < n; i++) buffer_append_char(&run, ' ');
        buffer_append_char(&run, 'a');
        assert_true(tokenizer_encode(tok, run.data, run.length, false, &ours, NULL));
        assert_true(tokenizer_encode(back, run.data, run.length, false, &theirs, NULL));
        assert_int_equal(ours.count, theirs.count);
        assert_memory_equal(ours.ids, theirs.ids, ours.count * sizeof *ours.ids);
        token_list_free(&ours);
        token_list_free(&theirs);
    }
    tokenizer_free(back);
    tokenizer_free(tok);
    buffer_free(&model);
    buffer_free(&run);
}

/* What is put around a text, in a folder as in the GGUF. */
static void what_goes_around_a_text_survives_writing(void **state) {
    (void)state;
    for (int which = 0; which < 4; which++) {
        static const char *const keys[] = {"tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token"};
        struct buffer b = {0};
        struct token_list ids = {0};
        sentencepiece_gguf(&b, "llama");
        b.data[16] = 8; /* how many keys */
        put_string(&b, "tokenizer.ggml.eos_token_id");
        put_u32(&b, GGUF_U32);
        put_u32(&b, 2);
        for (int i = 0; i < 2; i++) {
            put_string(&b, keys[i]);
            put_u32(&b, GGUF_BOOL);
            buffer_append_char(&b, (char)(which >> i & 1));
        }
        struct tokenizer *tok = load_tokenizer(put_file("model.gguf", b.data, b.length));
        assert_true(tokenizer_save_folder(tok, case_folder(), NULL, NULL));
        struct tokenizer *back = load_tokenizer(case_folder());
        assert_same_tokenizer(tok, back);
        assert_int_equal(tokenizer_adds_bos(back), which & 1);
        assert_int_equal(tokenizer_adds_eos(back), which >> 1);
        assert_true(tokenizer_encode_prompt(back, "ab", 2, false, &ids, NULL));
        assert_int_equal(ids.count, 1 + (which & 1) + (which >> 1));
        token_list_clear(&ids);
        assert_true(tokenizer_encode_prompt(back, "<s>ab</s>", 9, true, &ids, NULL));
        assert_int_equal(ids.count, 3); /* never a second one */
        token_list_free(&ids);
        tokenizer_free(back);
        tokenizer_free(tok);
        buffer_free(&b);
    }
}

/* What is written as GGUF is read as the same tokenizer, from it and from what it was read from. */
static struct tokenizer *through_gguf(const struct tokenizer *tok) {
    struct talc_error err = {0};
    const char *path = put_file("written.gguf", "", 0);
    if (!tokenizer_save_gguf(tok, path, &err)) fail_msg("%s", err.message);
    struct tokenizer *back = load_tokenizer(path);
    assert_int_equal(tokenizer_adds_bos(back), tokenizer_adds_bos(tok));
    assert_int_equal(tokenizer_adds_eos(back), tokenizer_adds_eos(tok));
    const char *a = tokenizer_chat_template(tok), *b = tokenizer_chat_template(back);
    assert_string_equal(a ? a : "", b ? b : "");
    return back;
}

static void what_is_written_as_gguf_comes_back(void **state) {
    (void)state;
    static const char *const pres[] = {"gpt-2", "starcoder", "llama-bpe", "qwen2", "falcon", "deepseek-v3"};
    struct buffer b = {0};
    for (size_t i = 0; i < sizeof pres / sizeof *pres; i++) {
        buffer_clear(&b);
        byte_level_gguf(&b, pres[i]);
        struct tokenizer *tok = load_tokenizer(put_file("model.gguf", b.data, b.length)), *back = through_gguf(tok);
        assert_same_tokenizer(tok, back);
        assert_ids(back, "ab<think><end>", IDS(4, 8, 7));
        tokenizer_free(back);
        tokenizer_free(tok);
    }
    buffer_clear(&b);
    sentencepiece_gguf(&b, "llama");
    struct tokenizer *tok = load_tokenizer(put_file("model.gguf", b.data, b.length)), *back = through_gguf(tok);
    assert_same_tokenizer(tok, back);
    assert_ids(back, "ab aab\nzz", IDS(8, 4, 5, 7, 3, 0));
    tokenizer_free(back);
    /* from merges of tokenizer.json, without scores */
    assert_true(tokenizer_save_folder(tok, case_folder(), NULL, NULL));
    tokenizer_free(tok);
    tok = load_tokenizer(case_folder());
    back = through_gguf(tok);
    assert_ids(back, "ab aab\nzz", IDS(8, 4, 5, 7, 3, 0));
    tokenizer_free(back);
    tokenizer_free(tok);
    buffer_free(&b);
}

static int allocations_left;

static void *allocate_until(size_t n) { return allocations_left-- > 0 ? malloc(n) : NULL; }

/* What is written, or read, while memory runs out is the same tokenizer or none. */
static void memory_that_runs_out_makes_no_other_tokenizer(void **state) {
    (void)state;
    int n_failed = 0;
    for (int spaces = 0; spaces < 2; spaces++) {
        struct buffer b = {0};
        char path[128];
        if (spaces)
            sentencepiece_gguf(&b, "llama");
        else
            byte_level_gguf(&b, "qwen2");
        snprintf(path, sizeof path, "%s", put_file("model.gguf", b.data, b.length));
        struct tokenizer *tok = load_tokenizer(path);
        bool done = false;
        for (int n = 0; !done; n += 3) {
            struct talc_error err = {0};
            allocations_left = n;
            json_set_alloc_funcs(allocate_until, free);
            struct tokenizer *back = tokenizer_load(path, &err);
            bool saved = tokenizer_save_folder(tok, case_folder(), NULL, &err);
            json_set_alloc_funcs(malloc, free);
            if (back) assert_same_tokenizer(tok, back);
            tokenizer_free(back);
            back = saved ? load_tokenizer(case_folder()) : NULL;
            if (back) assert_same_tokenizer(tok, back);
            n_failed += !saved;
            done = back && allocations_left > 0;
            tokenizer_free(back);
        }
        tokenizer_free(tok);
        buffer_free(&b);
    }
    assert_true(n_failed > 50);
}

static void expect_not_in_gguf(const char *tokenizer_json, const char *what) {
    struct talc_error err = {0};
    char path[128];
    struct tokenizer *tok = load_tokenizer(put_file("tokenizer.json", tokenizer_json, strlen(tokenizer_json)));
    snprintf(path, sizeof path, "%s/refused.gguf", case_folder());
    assert_false(tokenizer_save_gguf(tok, path, &err));
    if (!strstr(err.message, what)) fail_msg("\"%s\" does not say \"%s\"", err.message, what);
    assert_false(file_exists(path));
    tokenizer_free(tok);
}

#define BYTE_LEVEL_JSON(prefix, normalizer, added)                                                                     \
    "{\"added_tokens\":[" added "],\"normalizer\":" normalizer ",\"pre_tokenizer\":{\"type\":\"ByteLevel\","           \
    "\"add_prefix_space\":" prefix "},\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\","               \
    "\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]}}"

static void what_gguf_cannot_say_is_refused(void **state) {
    (void)state;
    expect_not_in_gguf(BYTE_LEVEL_JSON("true", "null", ""), "add_prefix_space");
    expect_not_in_gguf(BYTE_LEVEL_JSON("false", "{\"type\":\"StripAccents\"}", ""), "tokenizer.ggml.pre");
    expect_not_in_gguf(BYTE_LEVEL_JSON("false", "null", "{\"id\":2,\"content\":\"<x>\",\"rstrip\":true}"),
                       "\"<x>\" has rstrip");
    expect_not_in_gguf("{\"pre_tokenizer\":null,\"decoder\":{\"type\":\"Fuse\"},\"model\":{\"type\":\"BPE\","
                       "\"vocab\":{\"a\":0},\"merges\":[]}}",
                       "characters");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(folders_say_what_goes_around_a_text),
        IN_FOLDER(equal_scores_survive_writing),
        IN_FOLDER(equal_scores_that_change_nothing_are_written_as_merges),
        IN_FOLDER(what_goes_around_a_text_survives_writing),
        IN_FOLDER(what_is_written_as_gguf_comes_back),
        IN_FOLDER(memory_that_runs_out_makes_no_other_tokenizer),
        IN_FOLDER(what_gguf_cannot_say_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
