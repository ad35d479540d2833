/* Reading tokenizers of other kinds and formats: sections of tokenizer.json against Hugging Face's ids, SentencePiece
 * models, GGUF, vocab.json with merges.txt; BOS; hostile files. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buffer.h"
#include "base/rng.h"
#include "base/thread_pool.h"
#include "file/atomic.h"
#include "file/gguf.h"
#include "file/json.h"
#include "support/tokenizer_bytes.h"
#include "support/tokenizer_case.h"
#include "text/pretokenize.h"

/* ==== sections of tokenizer.json ============================================================== */

static void compare_row(const struct tokenizer *tok, const char *name, const json_t *texts, const json_t *expected,
                        bool parse_special) {
    struct token_list ids = {0};
    const json_t *text;
    size_t i;
    json_array_foreach(texts, i, text) {
        const json_t *row = json_array_get(expected, i);
        struct talc_error err = {0};
        token_list_clear(&ids);
        if (!tokenizer_encode(tok, json_string_value(text), json_string_length(text), parse_special, &ids, &err))
            fail_msg("%s: %s", name, err.message);
        bool same = ids.count == json_array_size(row);
        for (size_t j = 0; same && j < ids.count; j++) same = ids.ids[j] == json_integer_value(json_array_get(row, j));
        if (!same) fail_msg("%s: text %zu \"%s\" has other ids", name, i, json_string_value(text));
    }
    token_list_free(&ids);
}

static json_t *read_golden(const char *path) {
    struct talc_error err = {0};
    json_t *root = json_read_file(path, 0, &err);
    if (!root) fail_msg("%s", err.message);
    return root;
}

/* The ids of a text in two parts are those of the whole, at every place where the tokenizer lets it be cut; how many
 * these are. */
static int compare_text_parts(const struct tokenizer *tok, const char *name, const char *text) {
    struct token_list whole = {0}, parts = {0};
    struct talc_error err = {0};
    size_t n = strlen(text);
    int n_cuts = 0;
    if (!tokenizer_encode(tok, text, n, false, &whole, &err)) fail_msg("%s: %s", name, err.message);
    for (unsigned kind = CUT_AT_SPACE; kind <= CUT_AT_SIGN; kind *= 2) {
        for (size_t seen = 1, last = 0; seen < n; seen++) {
            size_t cut = pretokenize_last_cut(text, seen, kind & tokenizer_cuts(tok));
            if (cut == 0 || cut == last) continue;
            token_list_clear(&parts);
            assert_true(tokenizer_encode_part(tok, text, cut, false, true, &parts, &err));
            assert_true(tokenizer_encode_part(tok, text + cut, n - cut, true, false, &parts, &err));
            if (parts.count != whole.count || memcmp(parts.ids, whole.ids, whole.count * sizeof *whole.ids) != 0)
                fail_msg("%s: other ids when it is cut before \"%s\"", name, text + cut);
            last = cut;
            n_cuts++;
        }
    }
    token_list_free(&whole);
    token_list_free(&parts);
    return n_cuts;
}

/* With all that its sections put or strip at the ends of a text. */
static void compare_parts(const struct tokenizer *tok, const char *name) {
    int n_cuts = compare_text_parts(
        tok, name,
        "  The cat sat on \xc3\x89mile's mat.  \"Two words\", (x y) a  b <mask> \xc3\xa9t\xc3\xa9 \xe4\xb8\xad "
        "\xe6\x96\x87 l'a de \xef\xac\x81 on end  \n ");
    if (tokenizer_cuts(tok) & CUT_AT_SPACE) assert_true(n_cuts > 8);
    compare_text_parts(tok, name, "\u4e2d\u6587\uff0c\u4e2d\u6587\u3002\n\u4e2d\u6587 a\nb\u300ca\u300d");
}

/* A byte-level tokenizer that knows "a ", "\na" and what reaches over the border of \u4e2d and \u300c. */
#define CUT_JSON(pre_tokenizer, added)                                                                                 \
    "{\"added_tokens\":[" added                                                                                        \
    "],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" pre_tokenizer                 \
    "]},\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,"                  \
    "\"\u0120\":2,\"\u010a\":3,\"a\u0120\":4,\"\u010aa\":5,\"\u00e4\":6,\"\u00b8\":7,\"\u0143\":8,"                    \
    "\"\u00e3\":9,\"\u0122\":10,\"\u012e\":11,\"\u0143\u00e3\":12},\"merges\":[\"a \u0120\",\"\u010a a\","             \
    "\"\u0143 \u00e3\"]}}"
#define BYTES(use_regex) "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":" use_regex "}"
#define BYTES_BEHIND_SPACE "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"use_regex\":true}"
#define SPLIT(pattern, behavior)                                                                                       \
    "{\"type\":\"Split\",\"pattern\":{" pattern "},\"behavior\":\"" behavior "\",\"invert\":false}," BYTES("false")
#define SPLIT_FIRST(regex)                                                                                             \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex                                                              \
    "\"},\"behavior\":\"Isolated\",\"invert\":false}," BYTES("true")
#define CUT_ADDED(id, content, rule) "{\"id\":" id ",\"content\":\"" content "\"," rule "\"special\":false}"

static void documents_are_cut_only_where_no_id_changes(void **state) {
    (void)state;
    static const struct {
        const char *json;
        unsigned cuts;
    } cases[] = {
        {CUT_JSON(BYTES("true"), ""), CUT_ANYWHERE},
        {CUT_JSON(BYTES("false"), ""), 0},
        {CUT_JSON(SPLIT("\"String\":\" \"", "MergedWithPrevious"), ""), 0},
        {CUT_JSON(SPLIT("\"String\":\" \"", "MergedWithNext"), ""), CUT_AT_SPACE},
        {CUT_JSON(SPLIT("\"String\":\" \"", "Isolated"), ""), CUT_AT_SPACE},
        {CUT_JSON("{\"type\":\"Punctuation\"}," BYTES("false"), ""), 0},
        {CUT_JSON("{\"type\":\"WhitespaceSplit\"}," BYTES("false"), ""), CUT_AT_SPACE | CUT_AT_LINE_END},
        {CUT_JSON("{\"type\":\"Digits\"}," BYTES("true"), ""), CUT_ANYWHERE},
        {CUT_JSON(BYTES("true"), CUT_ADDED("13", "a b", "")), CUT_AT_LINE_END | CUT_AT_SIGN},
        {CUT_JSON(BYTES("true"), CUT_ADDED("13", "\\na", "")), CUT_AT_SPACE | CUT_AT_SIGN},
        {CUT_JSON(BYTES("true"), CUT_ADDED("13", "\u4e2d\u300c", "")), CUT_AT_SPACE | CUT_AT_LINE_END},
        {CUT_JSON(BYTES("true"), CUT_ADDED("1", "b", "\"rstrip\":true,")), CUT_AT_LINE_END | CUT_AT_SIGN},
        {CUT_JSON(BYTES("true"), CUT_ADDED("0", "a", "\"lstrip\":true,")), CUT_AT_SPACE | CUT_AT_SIGN},
        {CUT_JSON(BYTES("true"), CUT_ADDED("1", "b", "\"single_word\":true,")), CUT_AT_SPACE | CUT_AT_LINE_END},
        {CUT_JSON(BYTES("true"), CUT_ADDED("13", "\\n\\n", "") "," CUT_ADDED("14", "  ", "")), CUT_ANYWHERE},
        {CUT_JSON(BYTES("true"), CUT_ADDED("13", "\\n", "")), CUT_ANYWHERE},
        {CUT_JSON(BYTES_BEHIND_SPACE, CUT_ADDED("13", "\\n", "")), CUT_AT_SPACE | CUT_AT_SIGN},
        {CUT_JSON(BYTES_BEHIND_SPACE, CUT_ADDED("0", "a", "")), 0},
        {CUT_JSON(BYTES("true"), CUT_ADDED("13", ".", "\"rstrip\":true,\"lstrip\":true,")), CUT_ANYWHERE},
#ifdef HAVE_PCRE2
        {CUT_JSON(SPLIT("\"Regex\":\"\\\\w+ ?\"", "Isolated"), ""), 0},
        {CUT_JSON(SPLIT("\"Regex\":\"[^0-9]+\"", "Isolated"), ""), 0},
        {CUT_JSON(SPLIT("\"Regex\":\"[!-a]\"", "Isolated"), ""), 0},
        {CUT_JSON(SPLIT_FIRST("\\\\p{N}{1,3}"), ""), CUT_ANYWHERE},
        {CUT_JSON(SPLIT_FIRST("[0-9][0-9][0-9]"), ""), CUT_ANYWHERE},
        {CUT_JSON(SPLIT_FIRST("[\\\\p{P}\\\\$\\\\+<=>\\\\^~\\\\|`]+"), ""), CUT_ANYWHERE},
        {CUT_JSON(SPLIT_FIRST("[0-9 ]"), ""), 0},
        {CUT_JSON(SPLIT_FIRST("[0-9]|a"), ""), 0},
        {CUT_JSON(SPLIT_FIRST("\\\\p{N}{1"), ""), 0},
        {CUT_JSON(SPLIT_FIRST("[0-9]\\\\p{L}"), ""), 0},
        {CUT_JSON(SPLIT("\"Regex\":\" ?[^(\\\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+\"", "Isolated"), ""),
         0},
#endif
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[16];
        snprintf(name, sizeof name, "case %zu", i);
        struct tokenizer *tok = load_tokenizer(put_file("x.json", cases[i].json, strlen(cases[i].json)));
        int n = compare_text_parts(tok, name, "a b a\na b\nb a b \u4e2d\u300ca\u4e2d\u300cb a a");
        assert_int_equal(tokenizer_cuts(tok), cases[i].cuts);
        assert_true((n > 0) == (cases[i].cuts > 0));
        tokenizer_free(tok);
    }
}

/* Cut for several threads, the first would put a space before each part, the second find no token over a border. */
static void threads_cut_no_text_that_may_not_be_cut(void **state) {
    (void)state;
    static const char *const cases[] = {
        CUT_JSON("{\"type\":\"ByteLevel\",\"add_prefix_space\":true}", ""),
#ifdef HAVE_UTF8PROC
        "{\"added_tokens\":[{\"id\":3,\"content\":\"a\\na\",\"normalized\":true,\"special\":false}],"
        "\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
        "\"decoder\":"
        "{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"\u010a\":1,\"\u0120\":2},\"merges\":"
        "[]}}",
#endif
    };
    struct thread_pool *pool = thread_pool_open(2, NULL);
    struct buffer text = {0};
    while (text.length < 1000000) buffer_append_text(&text, "a\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct token_list alone = {0}, together = {0};
        struct tokenizer *tok = load_tokenizer(put_file("x.json", cases[i], strlen(cases[i])));
        assert_true(tokenizer_encode(tok, text.data, text.length, false, &alone, NULL));
        assert_true(tokenizer_encode_parallel(tok, pool, text.data, text.length, false, &together, NULL));
        assert_int_equal(alone.count, together.count);
        assert_memory_equal(alone.ids, together.ids, alone.count * sizeof *alone.ids);
        token_list_free(&alone);
        token_list_free(&together);
        tokenizer_free(tok);
    }
    buffer_free(&text);
    thread_pool_close(pool);
}

/* What was read is written and read again with the same ids. */
static void compare_written(const struct tokenizer *tok, const char *name, const json_t *texts, const json_t *ids,
                            bool parse_special) {
    compare_row(tok, name, texts, ids, parse_special);
    assert_true(tokenizer_save_folder(tok, case_folder(), NULL, NULL));
    struct tokenizer *back = load_tokenizer(case_folder());
    compare_row(back, name, texts, ids, parse_special);
    assert_true(tokenizer_hash(tok) == tokenizer_hash(back));
    tokenizer_free(back);
}

/* decoded may be NULL. */
static void compare_decoded(const struct tokenizer *tok, const json_t *ids, const json_t *decoded) {
    const json_t *text, *id;
    size_t i, j;
    json_array_foreach(decoded, i, text) {
        struct token_list list = {0};
        json_array_foreach(json_array_get(ids, i), j, id) token_list_append(&list, (int32_t)json_integer_value(id));
        assert_text(tok, list.ids, list.count, json_string_value(text));
        token_list_free(&list);
    }
}

static void compare_tokenizers(const json_t *root) {
    const json_t *row, *texts = json_object_get(root, "texts");
    size_t i;
    json_array_foreach(json_object_get(root, "tokenizers"), i, row) {
        char path[128];
        snprintf(path, sizeof path, "%s/tokenizer.json", case_folder());
        assert_true(json_write_file(path, json_object_get(row, "tokenizer"), NULL));
        put_file("tokenizer_config.json", "{}", 2);
        put_file("special_tokens_map.json", "{}", 2);
        struct tokenizer *tok = load_tokenizer(case_folder());
        compare_written(tok, json_string_value(json_object_get(row, "name")), texts, json_object_get(row, "ids"), true);
        compare_decoded(tok, json_object_get(row, "ids"), json_object_get(row, "decoded"));
        compare_parts(tok, json_string_value(json_object_get(row, "name")));
        tokenizer_free(tok);
    }
    assert_true(i > 3);
}

static void sections_give_the_ids_of_hugging_face(void **state) {
    (void)state;
    json_t *root = read_golden(TOKENIZER_GOLDEN "sections.json");
    compare_tokenizers(root);
    json_decref(root);
}

static void wordpieces_give_the_ids_and_texts_of_hugging_face(void **state) {
    (void)state;
    json_t *root = read_golden(TOKENIZER_GOLDEN "wordpiece.json");
    compare_tokenizers(root);
    json_decref(root);
    struct tokenizer *tok = load_tokenizer(case_folder());
    struct token_list ids = {0};
    assert_true(tokenizer_encode_prompt(tok, "the", 3, false, &ids, NULL));
    assert_int_equal(ids.ids[0], 2); /* [CLS] */
    assert_int_equal(ids.ids[ids.count - 1], 3);
    token_list_free(&ids);
    tokenizer_free(tok);
}

static void unigrams_give_the_ids_of_their_makers(void **state) {
    (void)state;
    json_t *root = read_golden(TOKENIZER_GOLDEN "unigram.json");
    const json_t *row, *texts = json_object_get(root, "texts");
    size_t i;
    compare_tokenizers(root);
    json_array_foreach(json_object_get(root, "models"), i, row) {
        const char *name = json_string_value(json_object_get(row, "name"));
        struct buffer model = {0};
        base64_decode(json_string_value(json_object_get(row, "model")), &model);
        struct tokenizer *tok = load_tokenizer(put_file("x.model", model.data, model.length));
        compare_written(tok, name, texts, json_object_get(row, "ids"), false);
        compare_parts(tok, name);
        const char *path = put_file("x.gguf", "", 0);
        assert_true(tokenizer_save_gguf(tok, path, NULL));
        struct tokenizer *back = load_tokenizer(path);
        compare_row(back, name, texts, json_object_get(row, "ids"), false);
        struct talc_error err = {0};
        assert_false(tokenizer_save_folder(back, case_folder(), NULL, &err)); /* no file says the same */
        tokenizer_free(back);
        tokenizer_free(tok);
        buffer_free(&model);
    }
    assert_int_equal(i, 4);
    json_decref(root);
}

/* ==== SentencePiece =========================================================================== */

static void sentencepiece_models_are_read(void **state) {
    (void)state;
    struct buffer model = {0};
    put_pieces(&model);
    put_specs(&model, 2, false, true);
    struct tokenizer *tok = load_tokenizer(put_file("tokenizer.model", model.data, model.length));
    assert_ids(tok, "ab", IDS(263));
    assert_ids(tok, "ab ab", IDS(263, 263));
    assert_ids(tok, "  ab", IDS(264, 263));
    assert_ids(tok, MARK "ab", IDS(259, 263));
    assert_ids(tok, "aab\n", IDS(259, 260, 262, 13));
    assert_ids(tok, "b<x>\xc3\xa9\xff", IDS(259, 261, 265, 3 + 0xc3, 3 + 0xa9, 3 + 0xff));
    assert_ids(tok, "", NULL, 0);
    assert_text(tok, IDS(263, 263, 13, 3 + 0xc3, 3 + 0xa9), "ab ab\n\xc3\xa9");
    assert_text(tok, IDS(1, 263), "<s>ab");
    assert_int_equal(tokenizer_bos_id(tok), 1);
    assert_int_equal(tokenizer_eos_id(tok), 2);
    struct token_list ids = {0};
    assert_true(tokenizer_encode(tok, "<s>", 3, false, &ids, NULL));
    assert_true(ids.count > 1); /* a user's text makes no special token */
    token_list_free(&ids);
    assert_true(tokenizer_save_folder(tok, case_folder(), NULL, NULL));
    struct tokenizer *back = load_tokenizer(case_folder()); /* tokenizer.json comes before tokenizer.model */
    assert_ids(back, "  aab", IDS(264, 259, 260, 262));
    assert_ids(back, "b<x>\xc3\xa9\xff", IDS(259, 261, 265, 3 + 0xc3, 3 + 0xa9, 3 + 0xff));
    assert_same_tokenizer(tok, back);
    assert_true(tokenizer_adds_bos(back));
    tokenizer_free(back);
    tokenizer_free(tok);
    buffer_free(&model);
}

static void symbols_of_line_ends_and_spaces_leave_cuts(void **state) {
    (void)state;
    for (int prefix = 0; prefix < 2; prefix++) {
        struct buffer model = {0};
        put_pieces(&model);
        put_piece(&model, "\n\n", 0, 4);
        put_piece(&model, MARK MARK MARK, 0, 4);
        put_specs(&model, 2, false, prefix);
        struct tokenizer *tok = load_tokenizer(put_file("tokenizer.model", model.data, model.length));
        assert_true(tokenizer_cuts(tok) & CUT_AT_SPACE);
        assert_true(tokenizer_cuts(tok) & CUT_AT_LINE_END);
        assert_int_equal(compare_text_parts(tok, "symbols", "ab ab\nab ab   ab\n\nab\na b"), 4);
        tokenizer_free(tok);
        buffer_free(&model);
    }
}

/* Data that was prepared with them has these hashes, from before equal scores and user symbols were hashed. */
static void models_kept_as_they_are_have_one_hash_for_ever(void **state) {
    (void)state;
    static const uint64_t hashes[] = {0xc3c3d15e4d77e594u, 0xebc34c8a180ad56bu}; /* unigram, BPE */
    for (int type = 1; type <= 2; type++) {
        struct buffer model = {0};
        put_pieces(&model);
        put_piece(&model, "ba", -1, 1);
        put_specs(&model, type, true, true);
        struct tokenizer *tok = load_tokenizer(put_file("tokenizer.model", model.data, model.length));
        if (tokenizer_hash(tok) != hashes[type - 1])
            fail_msg("type %d: %#llx", type, (unsigned long long)tokenizer_hash(tok));
        tokenizer_free(tok);
        buffer_free(&model);
    }
}

static void pieces_of_unknown_characters_are_never_made(void **state) {
    (void)state;
    struct buffer model = {0};
    put_piece(&model, "<unk>", 0, 2);
    put_piece(&model, "a", -1, 1);
    put_piece(&model, "az", -2, 1);
    put_piece(&model, "zaz", -3, 1);
    put_specs(&model, 2, false, false);
    struct tokenizer *tok = load_tokenizer(put_file("tokenizer.model", model.data, model.length));
    assert_ids(tok, "azaz", IDS(1, 0, 1, 0));
    tokenizer_free(tok);
    buffer_free(&model);
}

static void other_sentencepiece_models_are_refused(void **state) {
    (void)state;
    static const struct {
        int type;
        bool collapse;
        const char *what;
    } cases[] = {{3, false, "WORD"}, {4, false, "CHAR"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer model = {0};
        put_pieces(&model);
        put_specs(&model, cases[i].type, cases[i].collapse, true);
        expect_load_failure(put_file("tokenizer.model", model.data, model.length), cases[i].what);
        buffer_free(&model);
    }
}

static void offsets_tell_the_bytes_of_each_token(void **state) {
    (void)state;
    struct buffer model = {0};
    const char *text = "ab  ab" MARK "ab\n<s>";
    static const size_t expected[] = {0, 2, 3, 6, 11, 12, 15};
    size_t begins[16];
    struct token_list ids = {0};
    put_pieces(&model);
    put_specs(&model, 2, false, true);
    struct tokenizer *tok = load_tokenizer(put_file("tokenizer.model", model.data, model.length));
    assert_true(tokenizer_encode(tok, text, strlen(text), true, &ids, NULL));
    assert_int_equal(ids.count, 6);
    assert_true(tokenizer_offsets(tok, text, strlen(text), ids.ids, ids.count, begins, NULL));
    for (size_t i = 0; i < 7; i++) assert_int_equal(begins[i], expected[i]);
    assert_false(tokenizer_offsets(tok, "ba", 2, ids.ids, ids.count, begins, NULL));
    assert_false(tokenizer_offsets(tok, text, strlen(text), ids.ids, 2, begins, NULL));
    token_list_free(&ids);
    tokenizer_free(tok);
    buffer_free(&model);
}

/* ==== GGUF ==================================================================================== */

static void byte_level_tokenizers_of_gguf_are_read(void **state) {
    (void)state;
    struct buffer b = {0};
    byte_level_gguf(&b, "gpt-2");
    struct tokenizer *tok = load_tokenizer(put_file("model.gguf", b.data, b.length));
    assert_ids(tok, "ab ab11<think><end>", IDS(4, 5, 6, 8, 7));
    assert_int_equal(tokenizer_eos_id(tok), 7);
    assert_string_equal(tokenizer_chat_template(tok), "{{ x }}");
    assert_false(tokenizer_adds_bos(tok));
    tokenizer_free(tok);
    buffer_clear(&b);
    byte_level_gguf(&b, "starcoder"); /* cuts digits one by one first */
    tok = load_tokenizer(put_file("model.gguf", b.data, b.length));
    assert_ids(tok, "ab 11", IDS(4, 2, 3, 3));
    assert_true(tokenizer_save_folder(tok, case_folder(), NULL, NULL));
    struct tokenizer *back = load_tokenizer(case_folder());
    assert_ids(back, "ab 11", IDS(4, 2, 3, 3));
    tokenizer_free(back);
    tokenizer_free(tok);
    buffer_clear(&b);
    byte_level_gguf(&b, "gpt-5");
    expect_load_failure(put_file("model.gguf", b.data, b.length), "\"gpt-5\" is not supported");
    buffer_free(&b);
}

static void sentencepiece_tokenizers_of_gguf_are_read(void **state) {
    (void)state;
    struct buffer b = {0};
    struct token_list ids = {0};
    sentencepiece_gguf(&b, "llama");
    struct tokenizer *tok = load_tokenizer(put_file("model.gguf", b.data, b.length));
    assert_ids(tok, "ab aab\nzz", IDS(8, 4, 5, 7, 3, 0)); /* unknown characters side by side are one token */
    assert_true(tokenizer_adds_bos(tok));
    assert_true(tokenizer_encode_prompt(tok, "ab", 2, true, &ids, NULL));
    assert_int_equal(ids.count, 2);
    assert_int_equal(ids.ids[0], 1);
    token_list_clear(&ids);
    assert_true(tokenizer_encode_prompt(tok, "<s>ab", 5, true, &ids, NULL)); /* never a second BOS */
    assert_int_equal(ids.count, 2);
    assert_int_equal(ids.ids[0], 1);
    token_list_free(&ids);
    tokenizer_free(tok);
    buffer_clear(&b);
    sentencepiece_gguf(&b, "rwkv");
    expect_load_failure(put_file("model.gguf", b.data, b.length), "\"rwkv\" is not supported");
    buffer_free(&b);
}

/* A model of tests/golden/gguf: eos, eot and eom end an answer. */
static void ends_of_answers_in_gguf_are_read(void **state) {
    (void)state;
    struct tokenizer *tok = load_tokenizer(TEST_DIR "/golden/gguf/llama.gguf");
    for (int32_t id = 0; id < tokenizer_vocab_size(tok); id++)
        assert_int_equal(tokenizer_is_end(tok, id), id == 2 || id == 270 || id == 271);
    assert_non_null(strstr(tokenizer_chat_template(tok), "add_generation_prompt"));
    tokenizer_free(tok);
}

/* Tokens of a user are found in the text as it is; what is before and behind them begins with a space of its own. */
static void symbols_of_users_in_gguf_stand_apart(void **state) {
    (void)state;
    static const char *const tokens[] = {"<unk>", "<s>", "</s>", "<0x0A>", MARK, "a", "b", "ab", MARK "ab", "[x]"};
    static const float scores[] = {0, 0, 0, 0, -10, -11, -12, -1, -2, 0};
    static const int32_t types[] = {2, 3, 3, 6, 1, 1, 1, 1, 1, 4};
    struct buffer b = {0};
    put_header(&b, 4);
    put_text(&b, "tokenizer.ggml.model", "llama");
    put_strings(&b, "tokenizer.ggml.tokens", tokens, 10);
    put_numbers(&b, "tokenizer.ggml.scores", GGUF_F32, scores, 10);
    put_numbers(&b, "tokenizer.ggml.token_type", GGUF_I32, types, 10);
    struct tokenizer *tok = load_tokenizer(put_file("model.gguf", b.data, b.length));
    assert_ids(tok, "[x]", IDS(9)); /* no space before it */
    assert_ids(tok, "ab[x]ab[x][x]", IDS(8, 9, 8, 9, 9));
    tokenizer_free(tok);
    buffer_free(&b);
}

/* In Phi-3's folders they take the white space behind them, but not so the tokens at the beginning and the end of a
 * text; of other models all stand as they are. */
static void marks_of_phi3_in_gguf_take_white_space(void **state) {
    (void)state;
    static const char *const tokens[] = {"<unk>", "<s>", "</s>", "<0x0A>", MARK, "a", "b", "ab", MARK "ab", "<|user|>"};
    static const float scores[] = {0, 0, 0, 0, -10, -11, -12, -1, -2, 0};
    static const int32_t types[] = {2, 3, 3, 6, 1, 1, 1, 1, 1, 3};
    for (int phi = 0; phi < 2; phi++) {
        struct buffer b = {0};
        put_header(&b, 5);
        put_text(&b, "general.architecture", phi ? "phi3" : "llama");
        put_text(&b, "tokenizer.ggml.model", "llama");
        put_strings(&b, "tokenizer.ggml.tokens", tokens, 10);
        put_numbers(&b, "tokenizer.ggml.scores", GGUF_F32, scores, 10);
        put_numbers(&b, "tokenizer.ggml.token_type", GGUF_I32, types, 10);
        struct tokenizer *tok = load_tokenizer(put_file("model.gguf", b.data, b.length));
        if (phi) {
            assert_ids(tok, "<|user|>\nab</s>\n", IDS(9, 8, 2));
            assert_ids(tok, "<s>\nab", IDS(1, 4, 3, 7));
        } else {
            assert_ids(tok, "<|user|>\nab</s>\n", IDS(9, 4, 3, 7, 2, 4, 3));
        }
        tokenizer_free(tok);
        buffer_free(&b);
    }
}

static void scores_that_are_no_numbers_are_refused(void **state) {
    (void)state;
    static const float scores[] = {0, NAN};
    static const char *const tokens[] = {"<unk>", "a"};
    static const int32_t types[] = {2, 1};
    for (int type = 1; type <= 2; type++) { /* unigram, BPE */
        struct buffer model = {0};
        put_piece(&model, "<unk>", 0, 2);
        put_piece(&model, "a", NAN, 1);
        put_specs(&model, type, type == 1, true);
        expect_load_failure(put_file("tokenizer.model", model.data, model.length), "piece 1 is not a number");
        buffer_free(&model);
    }
    struct buffer b = {0};
    put_header(&b, 4);
    put_text(&b, "tokenizer.ggml.model", "llama");
    put_strings(&b, "tokenizer.ggml.tokens", tokens, 2);
    put_numbers(&b, "tokenizer.ggml.scores", GGUF_F32, scores, 2);
    put_numbers(&b, "tokenizer.ggml.token_type", GGUF_I32, types, 2);
    expect_load_failure(put_file("model.gguf", b.data, b.length), "token 1 is not a number");
    buffer_free(&b);
}

/* A walk from each place of a text may be as long as the longest piece. */
static void pieces_longer_than_any_word_are_refused(void **state) {
    (void)state;
    char *piece = malloc(5001);
    memset(piece, 'a', 5000);
    piece[5000] = 0;
    for (int type = 1; type <= 2; type++) {
        struct buffer model = {0};
        put_piece(&model, "<unk>", 0, 2);
        put_piece(&model, "a", -1, 1);
        put_piece(&model, piece, -2, 1);
        put_specs(&model, type, type == 1, true);
        expect_load_failure(put_file("tokenizer.model", model.data, model.length),
                            type == 1 ? "at most 4096" : "up to 4096");
        buffer_free(&model);
    }
    free(piece);
}

static void a_unigram_model_without_pieces_knows_nothing(void **state) {
    (void)state;
    struct buffer model = {0};
    put_piece(&model, "<unk>", 0, 2);
    put_piece(&model, "<s>", 0, 3);
    put_specs(&model, 1, true, true);
    struct tokenizer *tok = load_tokenizer(put_file("tokenizer.model", model.data, model.length));
    assert_ids(tok, "abc", IDS(0));
    tokenizer_free(tok);
    buffer_free(&model);
}

/* Cuts, and flips bits; whatever still opens must encode. */
static void damage(const char *name, const struct buffer *whole) {
    struct rng rng = rng_make(9, 0);
    char *copy = malloc(whole->length), path[128];
    snprintf(path, sizeof path, "%s/%s", case_folder(), name);
    for (size_t round = 0; round < whole->length + 600; round++) {
        size_t n = round < whole->length ? round : whole->length;
        memcpy(copy, whole->data, n);
        for (int i = 0; round >= whole->length && i < 4; i++)
            copy[rng_below(&rng, n)] ^= (char)(1 << rng_below(&rng, 8));
        struct token_list ids = {0};
        FILE *f = fopen(path, "wb");
        assert_true(f && fwrite(copy, 1, n, f) == n && fclose(f) == 0);
        struct tokenizer *tok = tokenizer_load(path, NULL);
        if (tok) tokenizer_encode(tok, " ab 11<x>\n\xff", 12, true, &ids, NULL);
        token_list_free(&ids);
        tokenizer_free(tok);
    }
    free(copy);
}

static void damaged_files_do_no_harm(void **state) {
    (void)state;
    struct buffer b = {0};
    byte_level_gguf(&b, "llama-bpe");
    damage("model.gguf", &b);
    buffer_clear(&b);
    sentencepiece_gguf(&b, "llama");
    damage("model.gguf", &b);
    buffer_clear(&b);
    put_piece(&b, "<unk>", 0, 2);
    put_piece(&b, "a", -1, 1);
    put_piece(&b, "aa", -2, 1);
    put_specs(&b, 2, false, true);
    damage("tokenizer.model", &b);
    buffer_clear(&b);
    put_piece(&b, "<unk>", 0, 2);
    put_piece(&b, "a", -1, 1);
    put_piece(&b, "aa", -2, 1);
    put_specs(&b, 1, true, true);
    damage("tokenizer.model", &b);
    buffer_clear(&b);
    put_piece(&b, "<unk>", 0, 2);
    put_piece(&b, "", 0, 4); /* a symbol without text */
    put_specs(&b, 1, true, true);
    damage("tokenizer.model", &b);
    buffer_free(&b);
}

/* a b " " ab "ab ab", of which the model uses four, behind three special tokens */
#define TEKKEN(special, bytes)                                                                                         \
    "{\"config\":{\"pattern\":\"\\\\p{N}| ?[^\\\\s\\\\p{N}]+|\\\\s+\",\"default_vocab_size\":7,"                       \
    "\"default_num_special_tokens\":3},\"vocab\":[{\"rank\":0,\"token_bytes\":\"YQ==\",\"token_str\":\"a\"},"          \
    "{\"rank\":1,\"token_bytes\":\"Yg==\",\"token_str\":null},{\"rank\":2,\"token_bytes\":\"" bytes                    \
    "\",\"token_str\":"                                                                                                \
    "\"\\u0000\"},{\"rank\":3,\"token_bytes\":\"YWI=\"},{\"rank\":4,\"token_bytes\":\"YWIgYWI=\"}]" special "}"

static void tekken_files_are_read(void **state) {
    (void)state;
    const char *text =
        TEKKEN(",\"special_tokens\":[{\"rank\":0,\"token_str\":\"<unk>\"},{\"rank\":1,\"token_str\":\"<s>\"}]", "IA==");
    struct tokenizer *tok = load_tokenizer(put_file("tekken.json", text, strlen(text)));
    assert_ids(tok, "ab ab<s>ba<SPECIAL_2>", IDS(6, 5, 6, 1, 4, 3, 2));
    assert_true(tokenizer_adds_bos(tok));
    assert_int_equal(tokenizer_vocab_size(tok), 7);
    assert_true(tokenizer_save_folder(tok, case_folder(), NULL, NULL));
    struct tokenizer *back = load_tokenizer(case_folder()); /* tokenizer.json comes before tekken.json */
    assert_ids(back, "ab ab<s>ba<SPECIAL_2>", IDS(6, 5, 6, 1, 4, 3, 2));
    assert_true(tokenizer_adds_bos(back));
    assert_false(tokenizer_adds_eos(back));
    tokenizer_free(back);
    tokenizer_free(tok);
    text = TEKKEN("", "I!==");
    expect_load_failure(put_file("tekken.json", text, strlen(text)), "there are 3"); /* twenty by default */
    text = TEKKEN(",\"special_tokens\":[]", "I!==");
    expect_load_failure(put_file("tekken.json", text, strlen(text)), "token_bytes of rank 2 is not base64");
    text =
        "{\"config\":{\"pattern\":\"a{2}+\",\"default_vocab_size\":1,\"default_num_special_tokens\":0},\"vocab\":[]}";
    expect_load_failure(put_file("tekken.json", text, strlen(text)), "{n,m}+");
    text = "{\"config\":{}}";
    expect_load_failure(put_file("tekken.json", text, strlen(text)), "no \"vocab\"");
}

static void absurd_numbers_in_gguf_are_refused(void **state) {
    (void)state;
    struct buffer b = {0};
    put_header(&b, UINT64_MAX);
    expect_load_failure(put_file("model.gguf", b.data, b.length), "too many");
    buffer_clear(&b);
    put_header(&b, 1);
    put_u64(&b, UINT64_MAX); /* a key of so many bytes */
    expect_load_failure(put_file("model.gguf", b.data, b.length), "ends inside its metadata");
    buffer_clear(&b);
    put_header(&b, 1);
    put_string(&b, "x");
    put_u32(&b, GGUF_ARRAY);
    put_u32(&b, GGUF_F64);
    put_u64(&b, (uint64_t)1 << 29);
    expect_load_failure(put_file("model.gguf", b.data, b.length), "ends inside \"x\"");
    buffer_clear(&b);
    buffer_append_text(&b, "GGUF");
    put_u32(&b, 0x03000000);
    expect_load_failure(put_file("model.gguf", b.data, b.length), "big-endian");
    buffer_free(&b);
}

/* ==== vocab.json and merges.txt =============================================================== */

static void vocab_and_merges_are_read(void **state) {
    (void)state;
    const char *vocab = "{\"a\":0,\"b\":1,\"\xc4\xa0\":2,\"ab\":3,\"\xc4\xa0"
                        "ab\":4,\"<|endoftext|>\":5}";
    const char *merges = "#version: 0.2\na b\n\xc4\xa0 ab\n";
    put_file("vocab.json", vocab, strlen(vocab));
    put_file("merges.txt", merges, strlen(merges));
    struct tokenizer *tok = load_tokenizer(case_folder());
    assert_ids(tok, "ab ab<|endoftext|>", IDS(3, 4, 5));
    tokenizer_free(tok);
    const char *other = "{\"tokenizer_class\": \"XTokenizer\"}";
    put_file("tokenizer_config.json", other, strlen(other));
    expect_load_failure(case_folder(), "\"XTokenizer\"");
    put_file("tokenizer_config.json", "{}", 2);
    put_file("merges.txt", "a c\n", 4);
    expect_load_failure(case_folder(), "merges.txt, line 1");
}

/* A space goes before a text, and not before what continues one. */
static void no_space_goes_before_the_second_part(void **state) {
    (void)state;
    const char *json =
        "{\"added_tokens\": [], \"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, "
        "\"content\": \"\u2581\"}, \"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"\u2581\", "
        "\"prepend_scheme\": \"first\", \"split\": true}, \"decoder\": {\"type\": \"Metaspace\"}, \"model\": "
        "{\"type\": \"BPE\", \"unk_token\": \"<unk>\", \"byte_fallback\": true, \"vocab\": {\"<unk>\": 0, "
        "\"a\": 1, \"\u2581\": 2, \"\u2581a\": 3, \"<0x0A>\": 4}, \"merges\": [\"\u2581 a\"]}}";
    struct tokenizer *tok = load_tokenizer(put_file("x.json", json, strlen(json)));
    struct token_list ids = {0};
    assert_ids(tok, "a\na", IDS(3, 4, 1));
    assert_true(tokenizer_encode_part(tok, "a\n", 2, false, true, &ids, NULL));
    assert_true(tokenizer_encode_part(tok, "a", 1, true, false, &ids, NULL));
    assert_int_equal(ids.count, 3);
    assert_int_equal(ids.ids[2], 1);
    token_list_free(&ids);
    tokenizer_free(tok);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#if defined(HAVE_PCRE2) && defined(HAVE_UTF8PROC)
        IN_FOLDER(sections_give_the_ids_of_hugging_face),
        IN_FOLDER(unigrams_give_the_ids_of_their_makers),
        IN_FOLDER(wordpieces_give_the_ids_and_texts_of_hugging_face),
#endif
        IN_FOLDER(threads_cut_no_text_that_may_not_be_cut),
        IN_FOLDER(documents_are_cut_only_where_no_id_changes),
        IN_FOLDER(sentencepiece_models_are_read),
        IN_FOLDER(symbols_of_line_ends_and_spaces_leave_cuts),
        IN_FOLDER(models_kept_as_they_are_have_one_hash_for_ever),
        IN_FOLDER(pieces_of_unknown_characters_are_never_made),
        IN_FOLDER(offsets_tell_the_bytes_of_each_token),
        IN_FOLDER(other_sentencepiece_models_are_refused),
        IN_FOLDER(byte_level_tokenizers_of_gguf_are_read),
        IN_FOLDER(sentencepiece_tokenizers_of_gguf_are_read),
        IN_FOLDER(ends_of_answers_in_gguf_are_read),
        IN_FOLDER(symbols_of_users_in_gguf_stand_apart),
        IN_FOLDER(marks_of_phi3_in_gguf_take_white_space),
        IN_FOLDER(scores_that_are_no_numbers_are_refused),
        IN_FOLDER(pieces_longer_than_any_word_are_refused),
        IN_FOLDER(a_unigram_model_without_pieces_knows_nothing),
        IN_FOLDER(damaged_files_do_no_harm),
        IN_FOLDER(no_space_goes_before_the_second_part),
        IN_FOLDER(tekken_files_are_read),
        IN_FOLDER(absurd_numbers_in_gguf_are_refused),
        IN_FOLDER(vocab_and_merges_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
