/* Tokenizer files: what is saved comes back; folders of Hugging Face; hostile files are one clear error. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/rng.h"
#include "base/thread_pool.h"
#include "file/atomic.h"
#include "file/json.h"
#include "support/tokenizer_case.h"
#include "text/normalize.h"
#include "text/tokenizer_train.h"

static void copy_golden(const char *name) {
    char path[128];
    size_t n;
    snprintf(path, sizeof path, TOKENIZER_GOLDEN "%s", name);
    char *text = file_read(path, 1 << 20, &n, NULL);
    assert_non_null(text);
    put_file("tokenizer.json", text, n);
    free(text);
}

static struct tokenizer *train(bool characters, const char *text) {
    struct tokenizer_train_options options = tokenizer_train_defaults(characters);
    struct tokenizer_trainer *trainer = tokenizer_trainer_open(&options, NULL);
    assert_true(tokenizer_trainer_add(trainer, text, strlen(text), NULL));
    struct tokenizer *tok = tokenizer_trainer_finish(trainer, NULL);
    assert_non_null(tok);
    tokenizer_trainer_close(trainer);
    return tok;
}

static void what_is_saved_comes_back(void **state) {
    (void)state;
    struct tokenizer *made[] = {train(false, "a theory of the thing"), train(true, "\"quotes\" \\ and \t caf\xc3\xa9"),
                                load_tokenizer(TOKENIZER_GOLDEN "gpt2.json"),
                                load_tokenizer(TOKENIZER_GOLDEN "qwen2.json")};
    for (size_t i = 0; i < 4; i++) {
        struct talc_error err = {0};
        if (!tokenizer_save_folder(made[i], case_folder(), "{{ messages }}", &err)) fail_msg("%s", err.message);
        struct tokenizer *back = load_tokenizer(case_folder());
        assert_same_tokenizer(made[i], back);
        assert_string_equal(tokenizer_chat_template(back), "{{ messages }}");
        assert_string_equal(tokenizer_description(back), tokenizer_description(made[i]));
        tokenizer_free(back);
        tokenizer_free(made[i]);
    }
}

static void a_chat_template_stays_with_its_tokenizer(void **state) {
    (void)state;
    struct tokenizer *tok = train(false, "text");
    assert_null(tokenizer_chat_template(tok));
    assert_true(tokenizer_set_chat_template(tok, "one", NULL));
    assert_true(tokenizer_save_folder(tok, case_folder(), NULL, NULL));
    struct tokenizer *back = load_tokenizer(case_folder());
    assert_string_equal(tokenizer_chat_template(back), "one");
    tokenizer_free(back);
    put_file("chat_template.jinja", "two", 3); /* newer transformers write this file; it comes first */
    back = load_tokenizer(case_folder());
    assert_string_equal(tokenizer_chat_template(back), "two");
    assert_true(tokenizer_set_chat_template(back, NULL, NULL));
    assert_null(tokenizer_chat_template(back));
    tokenizer_free(back);
    tokenizer_free(tok);
}

static void saving_into_no_folder_fails(void **state) {
    (void)state;
    struct tokenizer *tok = train(false, "text");
    struct talc_error err = {0};
    assert_false(tokenizer_save_folder(tok, "/nowhere/at/all", NULL, &err));
    assert_non_null(strstr(err.message, "/nowhere/at/all"));
    tokenizer_free(tok);
}

static void roles_come_from_the_configuration(void **state) {
    (void)state;
    const char *config = "{\"eos_token\": {\"content\": \"<|endoftext|>\"}, \"bos_token\": \"<|im_start|>\", "
                         "\"pad_token\": null, \"chat_template\": [{\"name\": \"tools\", \"template\": \"t\"}, "
                         "{\"name\": \"default\", \"template\": \"d\"}]}";
    copy_golden("qwen2.json");
    put_file("tokenizer_config.json", config, strlen(config));
    struct tokenizer *tok = load_tokenizer(case_folder());
    assert_int_equal(tokenizer_eos_id(tok), tokenizer_special_id(tok, TOKEN_END_OF_TEXT));
    assert_int_equal(tokenizer_bos_id(tok), tokenizer_special_id(tok, TOKEN_IM_START));
    assert_int_equal(tokenizer_pad_id(tok), -1);
    assert_string_equal(tokenizer_chat_template(tok), "d");
    tokenizer_free(tok);
    put_file("tokenizer_config.json", "{\"eos_token\": \"<stop>\"}", 23);
    expect_load_failure(case_folder(), "eos_token \"<stop>\" is not among");
    put_file("tokenizer_config.json", "{", 1);
    expect_load_failure(case_folder(), "tokenizer_config.json: not valid JSON");
}

/* A file of `text`, in which %end and %start stand for ids. */
static void put_ids(const char *name, const char *text, int32_t end, int32_t start) {
    const struct {
        const char *mark;
        int32_t id;
    } marks[] = {{"%end", end}, {"%start", start}};
    char out[256];
    int n = 0;
    while (*text) {
        size_t m = 0;
        while (m < 2 && strncmp(text, marks[m].mark, strlen(marks[m].mark)) != 0) m++;
        if (m < 2)
            n += snprintf(out + n, sizeof out - (size_t)n, "%d", marks[m].id);
        else
            out[n++] = *text;
        text += m < 2 ? strlen(marks[m].mark) : 1;
    }
    put_file(name, out, (size_t)n);
}

/* What ends an answer besides eos and the end of a text: names that models use, and what generation_config.json says,
 * or, where there is none, config.json. */
static void what_ends_an_answer_comes_from_the_files(void **state) {
    (void)state;
    const char *config = "{\"eos_token\": \"<|endoftext|>\"}";
    static const struct {
        const char *generation, *config;
        bool start, seven; /* whether <|im_start|> and token 7 end an answer */
    } cases[] = {
        {NULL, "{}", false, false},
        {NULL, "{\"eos_token_id\": %start}", true, false},
        {"{\"eos_token_id\": null}", "{\"eos_token_id\": %start}", false, false},
        {"{\"eos_token_id\": [%end, 7, 1000000, -1]}", "{\"eos_token_id\": %start}", false, true},
        {"{\"eos_token_id\": 7}", "{}", false, true},
    };
    copy_golden("qwen2.json");
    put_file("tokenizer_config.json", config, strlen(config));
    struct tokenizer *tok = load_tokenizer(case_folder());
    int32_t end = tokenizer_eos_id(tok), turn = tokenizer_special_id(tok, TOKEN_IM_END),
            start = tokenizer_special_id(tok, TOKEN_IM_START);
    tokenizer_free(tok);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].generation) put_ids("generation_config.json", cases[i].generation, end, start);
        put_ids("config.json", cases[i].config, end, start);
        tok = load_tokenizer(case_folder());
        assert_true(tokenizer_is_end(tok, end) && tokenizer_is_end(tok, turn));
        assert_int_equal(tokenizer_is_end(tok, start), cases[i].start);
        assert_int_equal(tokenizer_is_end(tok, 7), cases[i].seven);
        assert_false(tokenizer_is_end(tok, -1) || tokenizer_is_end(tok, 0) || tokenizer_is_end(tok, 1000000));
        tokenizer_free(tok);
    }
    put_ids("generation_config.json", "{\"eos_token_id\": [1, \"end\"]}", end, start);
    expect_load_failure(case_folder(), "generation_config.json: eos_token_id is neither an id nor a list of ids");
}

/* A small byte-level tokenizer: `extra` goes before the model, `vocab` and `merges` inside it. */
static const char *small(const char *extra, const char *model, const char *vocab, const char *merges) {
    static char text[4096];
    int n = snprintf(text, sizeof text,
                     "{%s\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"decoder\":{\"type\":"
                     "\"ByteLevel\"},\"model\":{%s\"type\":\"BPE\",\"vocab\":{%s},\"merges\":[%s]}}",
                     extra, model, vocab, merges);
    return put_file("tokenizer.json", text, (size_t)n);
}

static void hostile_vocabularies_are_one_clear_error(void **state) {
    (void)state;
    static const struct {
        const char *extra, *vocab, *merges, *what;
    } cases[] = {
        {"", "", "", "empty"},
        {"", "\"a\":0,\"b\":0", "", "two tokens have the id 0"},
        {"", "\"a\":-1", "", "id -1"},
        {"", "\"a\":4194304", "", "id 4194304"},
        {"", "\"a\":9223372036854775807", "", "id 9223372036854775807"},
        {"", "\"a\":\"0\"", "", "not a whole number"},
        {"", "\"a\":1.5", "", "not a whole number"},
        {"", "\"\":0", "", "empty"},
        {"", "\"a\":0,\"a\":1", "", "two tokens are \"a\""},
        {"", "\"a\":0", "\"a b\"", "merge 0: its right part \"b\" is not in the vocabulary"},
        {"", "\"a\":0", "\"c a\"", "merge 0: its left part"},
        {"", "\"a\":0,\"b\":1", "\"a b\"", "merge 0: its result \"ab\""},
        {"", "\"a\":0", "\"aa\"", "merge 0 is neither"},
        {"", "\"a\":0", "\"a a a\"", "merge 0 is neither"},
        {"", "\"a\":0", "[\"a\"]", "merge 0 is neither"},
        {"", "\"a\":0", "[\"a\",1]", "merge 0 is neither"},
        {"", "\"a\":0", "\" a\"", "merge 0 is neither"},
        {"", "\"a\":0", "7", "merge 0 is neither"},
        {"\"added_tokens\":[7],", "\"a\":0", "", "added_tokens must hold objects"},
        {"\"added_tokens\":{},", "\"a\":0", "", "must be an array"},
        {"\"added_tokens\":[{\"content\":\"<x>\"}],", "\"a\":0", "", "id -1"},
        {"\"added_tokens\":[{\"id\":0,\"content\":\"<x>\"}],", "\"a\":0", "", "two tokens have the id 0"},
        {"\"added_tokens\":[{\"id\":1,\"content\":\"a\"}],", "\"a\":0", "", "the vocabulary gives it 0"},
        {"\"added_tokens\":[{\"id\":1,\"content\":7}],", "\"a\":0", "", "\"content\" must be a string"},
        {"\"added_tokens\":[{\"id\":1e30,\"content\":\"<x>\"}],", "\"a\":0", "", "\"id\""},
        {"\"added_tokens\":[],\"added_tokens\":[],", "\"a\":0", "", "duplicate object key"},
        {"\"added_tokens\":[{\"id\":1,\"content\":\"<x>\",\"lstrip\":1}],", "\"a\":0", "", "\"lstrip\""},
        {"\"added_tokens\":[{\"id\":1,\"content\":\"\"}],", "\"a\":0", "", "empty"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_load_failure(small(cases[i].extra, "", cases[i].vocab, cases[i].merges), cases[i].what);
}

static void what_is_not_supported_is_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *text, *what;
    } cases[] = {
        {"[]", "an object is expected"},
        {"{\"model\":[]}", "no \"model\""},
        {"{\"model\":{},\"model\":{}}", "duplicate"},
        {"{\"model\":{\"type\":\"BPE\"}} 7", "more text behind the end"},
        {"{\"model\":{\"type\":}}", "not valid JSON"},
        {"{\"model\":{\"a\":\"\\ud800\"}}", "not valid JSON"},
        {"{\"model\":{\"dropout\":0.1}}", "dropout"},
        {"{\"model\":{\"end_of_word_suffix\":\"</w>\"}}", "end_of_word_suffix"},
        {"{\"normalizer\":{\"type\":\"Nmt\"},\"model\":{}}", "\"Nmt\""},
        {"{\"post_processor\":{\"type\":\"OtherProcessing\"},\"model\":{}}", "\"OtherProcessing\""},
        {"{}", "no \"model\""},
        {"{\"model\":{\"type\":\"WordLevel\"}}", "\"WordLevel\""},
        {"{\"decoder\":{\"type\":\"Fuse\"},\"model\":{\"byte_fallback\":true}}", "byte_fallback"},
        {"{\"model\":{\"continuing_subword_prefix\":\"##\"}}", "continuing_subword_prefix"},
        {"{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\"},\"model\":{}}", "Metaspace with \"_\""},
        {"{\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"model\":{}}", "\"BertPreTokenizer\""},
        {"{\"pre_tokenizer\":7,\"model\":{}}", "pre_tokenizer"},
        {"{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\"},{\"type\":"
         "\"ByteLevel\",\"add_prefix_space\":true}]},\"model\":{}}",
         "add_prefix_space"},
        {"{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[]},\"model\":{}}", "\"Sequence\" without"},
        {"{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
         "\"[a&&[b]]\"},\"behavior\":\"Isolated\"},{\"type\":\"ByteLevel\",\"use_regex\":false}]},\"model\":{}}",
         "sets in sets"},
        {"{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
         "\"(\"},\"behavior\":\"Isolated\"},{\"type\":\"ByteLevel\",\"use_regex\":false}]},\"model\":{}}",
         "regular expression \"(\""},
#ifdef HAVE_PCRE2
        {"{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"[a[b]]\"},\"content\":\"\"},\"model\":{}}",
         "sets in sets"},
#endif
        {"{\"normalizer\":{\"type\":\"ByteNormalizer\"},\"model\":{}}", "\"ByteNormalizer\""},
        {"{\"decoder\":{\"type\":\"WordPiece\"},\"model\":{}}", "\"WordPiece\""},
        {"{\"decoder\":{\"type\":\"Fuse\"},\"model\":{}}", "model.vocab"},
        {"{\"decoder\":{\"type\":\"Fuse\"},\"model\":{\"vocab\":{\"a\":0}}}", "model.merges"},
        {"{\"decoder\":{\"type\":\"Fuse\"},\"model\":{\"vocab\":{\"ab\":0},\"merges\":[]}}", "one character"},
        {"{\"decoder\":{\"type\":\"Fuse\"},\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}}",
         "without a byte-level"},
        {"{\"decoder\":{\"type\":\"Fuse\"},\"model\":{\"unk_token\":\"u\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         "unk_token"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_load_failure(put_file("tokenizer.json", cases[i].text, strlen(cases[i].text)), cases[i].what);
    expect_load_failure("/nowhere/tokenizer.json", "/nowhere/tokenizer.json");
}

/* Whatever a damaged file holds, it loads or fails; the sanitizers watch. */
static void damaged_files_do_no_harm(void **state) {
    (void)state;
    size_t n;
    char *text = file_read(TOKENIZER_GOLDEN "gpt2.json", 1 << 20, &n, NULL), *damaged = malloc(n);
    struct rng rng = rng_make(3, 0);
    for (int round = 0; round < 150; round++) {
        size_t length = round % 3 == 0 ? rng_below(&rng, n) : n;
        memcpy(damaged, text, n);
        for (int flips = 0; flips < round % 3 * 2; flips++)
            damaged[rng_below(&rng, n)] = "0\"{}[],:a- "[rng_below(&rng, 11)];
        struct talc_error err = {0};
        struct tokenizer *tok = tokenizer_load(put_file("tokenizer.json", damaged, length), &err);
        if (!tok) assert_true(err.message[0] != 0);
        if (tok) {
            struct token_list ids = {0};
            if (tokenizer_encode(tok, text, 500, true, &ids, NULL)) {
                struct buffer out = {0};
                assert_true(tokenizer_decode(tok, ids.ids, ids.count, false, &out, NULL));
                buffer_free(&out);
            }
            token_list_free(&ids);
        }
        tokenizer_free(tok);
    }
    free(damaged);
    free(text);
}

static void a_byte_without_a_token_is_named(void **state) {
    (void)state;
    struct tokenizer *tok = load_tokenizer(small("", "", "\"a\":0,\"b\":1,\"ab\":2", "\"a b\""));
    struct token_list ids = {0};
    struct talc_error err = {0};
    assert_true(tokenizer_encode(tok, "abba", 4, false, &ids, NULL));
    assert_int_equal(ids.count, 3);
    assert_int_equal(ids.ids[0], 2);
    assert_false(tokenizer_encode(tok, "abc", 3, false, &ids, &err));
    assert_non_null(strstr(err.message, "0x63"));
    assert_int_equal(ids.count, 3);
    token_list_free(&ids);
    tokenizer_free(tok);
}

static void whole_words_win_where_merges_are_ignored(void **state) {
    (void)state;
    const char *vocab = "\"a\":0,\"b\":1,\"c\":2,\"bc\":3,\"abc\":4";
    for (int ignore = 0; ignore < 2; ignore++) {
        struct tokenizer *tok = load_tokenizer(small("", ignore ? "\"ignore_merges\":true," : "", vocab, "\"b c\""));
        struct token_list ids = {0};
        assert_true(tokenizer_encode(tok, "abc", 3, false, &ids, NULL));
        assert_int_equal(ids.count, ignore ? 1 : 2);
        token_list_free(&ids);
        tokenizer_free(tok);
    }
}

/* GPT-2's file lists its special token in the vocabulary as well; others leave holes between the ids. */
static void added_tokens_may_be_in_the_vocabulary_or_far_behind_it(void **state) {
    (void)state;
    const char *added = "\"added_tokens\":[{\"id\":1,\"content\":\"<s>\",\"special\":true},"
                        "{\"id\":9,\"content\":\"<think>\",\"special\":false}],";
    struct tokenizer *tok = load_tokenizer(small(added, "", "\"a\":0,\"<s>\":1,\"<\":2,\"s\":3,\">\":4", ""));
    assert_int_equal(tokenizer_vocab_size(tok), 10);
    assert_true(tokenizer_save_folder(tok, case_folder(), NULL, NULL));
    struct tokenizer *back = load_tokenizer(case_folder());
    assert_same_tokenizer(tok, back);
    const int32_t without[] = {9, 2, 3, 4}, with[] = {9, 1};
    struct token_list ids = {0};
    assert_true(tokenizer_encode(back, "<think><s>", 10, false, &ids, NULL));
    assert_int_equal(ids.count, 4);
    assert_memory_equal(ids.ids, without, sizeof without);
    token_list_clear(&ids);
    assert_true(tokenizer_encode(back, "<think><s>", 10, true, &ids, NULL));
    assert_int_equal(ids.count, 2);
    assert_memory_equal(ids.ids, with, sizeof with);
    token_list_free(&ids);
    tokenizer_free(back);
    tokenizer_free(tok);
}

static void the_longest_special_token_wins(void **state) {
    (void)state;
    const char *added = "\"added_tokens\":[{\"id\":1,\"content\":\"<s\",\"special\":true},"
                        "{\"id\":2,\"content\":\"<s>\",\"special\":true}],";
    struct tokenizer *tok = load_tokenizer(small(added, "", "\"a\":0", ""));
    const int32_t expected[] = {2, 1, 0};
    struct token_list ids = {0};
    assert_true(tokenizer_encode(tok, "<s><sa", 6, true, &ids, NULL));
    assert_int_equal(ids.count, 3);
    assert_memory_equal(ids.ids, expected, sizeof expected);
    token_list_free(&ids);
    tokenizer_free(tok);
}

static void nfc_is_applied_or_refused(void **state) {
    (void)state;
    const char *extra = "\"normalizer\":{\"type\":\"NFC\"},",
               *vocab = "\"e\":0,\"\xc3\x83\":1,\"\xc2\xa9\":2,\"\xc3\xbf\":3";
    const char *path = small(extra, "", vocab, "");
#ifdef HAVE_UTF8PROC
    struct tokenizer *tok = load_tokenizer(path);
    struct token_list ids = {0};
    const int32_t expected[] = {0, 1, 2, 3, 1, 2};
    const char *text = "e"
                       "e\xcc\x81"
                       "\xff"
                       "e\xcc\x81"; /* e and U+0301 become U+00E9; a broken byte stays */
    assert_true(tokenizer_encode(tok, text, strlen(text), false, &ids, NULL));
    assert_int_equal(ids.count, 6);
    assert_memory_equal(ids.ids, expected, sizeof expected);
    token_list_free(&ids);
    tokenizer_free(tok);
#else
    expect_load_failure(path, "utf8proc");
#endif
}

#ifdef HAVE_UTF8PROC
/* U+1D15E is two characters in normal form: more ids than bytes of text. */
static void threads_give_the_same_ids_where_text_grows(void **state) {
    (void)state;
    const char *vocab = "\"\u00f0\":0,\"\u013f\":1,\"\u0127\":2,\"\u0139\":3,\"\u00a5\":4,\"\u0120\":5";
    struct tokenizer *tok = load_tokenizer(small("\"normalizer\":{\"type\":\"NFC\"},", "", vocab, ""));
    struct thread_pool *pool = thread_pool_open(2, NULL);
    struct buffer text = {0};
    struct token_list alone = {0}, together = {0};
    while (text.length < 1000000) buffer_append_text(&text, "\U0001d15e ");
    assert_true(tokenizer_encode(tok, text.data, text.length, false, &alone, NULL));
    assert_true(alone.count > text.length);
    assert_true(tokenizer_encode_parallel(tok, pool, text.data, text.length, false, &together, NULL));
    assert_int_equal(together.count, alone.count);
    assert_memory_equal(together.ids, alone.ids, alone.count * sizeof *alone.ids);
    token_list_free(&alone);
    token_list_free(&together);
    buffer_free(&text);
    thread_pool_close(pool);
    tokenizer_free(tok);
}
#endif

static void base64_encode(const char *bytes, size_t n, struct buffer *out) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t x = 0;
        for (size_t k = 0; k < 3; k++) x = x << 8 | (i + k < n ? (unsigned char)bytes[i + k] : 0);
        for (size_t k = 0; k < 4; k++) buffer_append_char(out, i + k > n ? '=' : digits[x >> (18 - 6 * k) & 63]);
    }
}

/* An added token has its bytes as they are written: two for a byte of the text here, so that its length says nothing of
 * it. */
static void merges_may_lead_to_added_tokens(void **state) {
    (void)state;
    struct tokenizer *tok = load_tokenizer(small("\"added_tokens\":[{\"id\":2,\"content\":\"\u00c3\u00a9\"}],", "",
                                                 "\"\u00c3\":0,\"\u00a9\":1,\"\u00c3\u00a9\":2", "\"\u00c3 \u00a9\""));
    struct token_list ids = {0};
    char text[401];
    for (size_t n = 1; n <= 200; n++) {
        for (size_t i = 0; i < n; i++) memcpy(text + 2 * i, i % 3 == 2 ? "\xc3\xc3" : "\xc3\xa9", 2);
        token_list_clear(&ids);
        assert_true(tokenizer_encode(tok, text, 2 * n, false, &ids, NULL));
        assert_int_equal(ids.count, n + n / 3);
        for (size_t i = 0, id = 0; i < n; i++) {
            assert_int_equal(ids.ids[id++], i % 3 == 2 ? 0 : 2);
            if (i % 3 == 2) assert_int_equal(ids.ids[id++], 0);
        }
    }
    token_list_free(&ids);
    tokenizer_free(tok);
}

#ifdef HAVE_UTF8PROC

#define SPACES "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"never\",\"split\":false}"

/* A charsmap of 256 units, and `n_replacement` bytes of a replacement. Its trie leads from 'a' to itself. */
static const char *circular_charsmap(size_t n_replacement) {
    char bytes[4 + 1024] = {0};
    struct buffer map = {0}, text = {0};
    const uint32_t size = 1024, root = 1u << 10, a = 0x61u << 10 | 0x61;
    memcpy(bytes, &size, 4);
    memcpy(bytes + 4, &root, 4);
    memcpy(bytes + 4 + 4 * (1 ^ 0x61), &a, 4);
    buffer_append(&map, bytes, sizeof bytes);
    while (n_replacement-- > 0) buffer_append_char(&map, 'x');
    buffer_append_char(&map, 0);
    buffer_append_text(
        &text,
        "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"a\",-1]]},\"pre_tokenizer\":" SPACES
        ",\"decoder\":" SPACES ",\"normalizer\":"
        "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"");
    base64_encode(map.data, map.length, &text);
    buffer_append_text(&text, "\"}}");
    const char *path = put_file("tokenizer.json", text.data, text.length);
    buffer_free(&map);
    buffer_free(&text);
    return path;
}

static void a_charsmap_with_a_long_replacement_is_refused(void **state) {
    (void)state;
    tokenizer_free(load_tokenizer(circular_charsmap(3)));
    expect_load_failure(circular_charsmap(2000), "more than 1024 bytes");
}

#endif

static void costs_that_grow_with_a_file_are_bounded(void **state) {
    (void)state;
    char token[5000];
    struct buffer text = {0}, base64 = {0};
    expect_load_failure(
        put_file("tokenizer.json",
                 "{\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"max_input_chars_per_word\":5000,"
                 "\"vocab\":{\"u\":0}}}",
                 strlen("{\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"max_input_chars_per_word\":5000,"
                        "\"vocab\":{\"u\":0}}}")),
        "max_input_chars_per_word");
    memset(token, 'a', sizeof token);
    base64_encode(token, sizeof token, &base64);
    buffer_append_text(&text, "YQ== 0\n");
    buffer_append(&text, base64.data, base64.length);
    buffer_append_text(&text, " 1\n");
    expect_load_failure(put_file("r50k.tiktoken", text.data, text.length), "up to 4096");
    buffer_free(&text);
    buffer_free(&base64);
}

/* Hugging Face's normal forms are those of Unicode 9: U+11935 U+11930, one character since Unicode 13, stay two; U+1DF6
 * (Unicode 10) is not put in order; U+A7F2 (Unicode 14) has no compatible form. */
static void normal_forms_are_those_of_unicode_9(void **state) {
    (void)state;
#ifdef HAVE_UTF8PROC
    static const struct {
        enum normalizer_kind kind;
        const char *text, *form;
    } cases[] = {
        {NORMALIZER_NFC, "\U00011935\U00011930", "\U00011935\U00011930"},
        {NORMALIZER_NFC, "e\u0301\U00011935e\u0301", "\u00e9\U00011935\u00e9"},
        {NORMALIZER_NFD, "a\u1df6\u0323\u0301", "a\u1df6\u0323\u0301"},
        {NORMALIZER_NFD, "a\u0301\u0323", "a\u0323\u0301"},
        {NORMALIZER_NFKC, "\ua7f2\uff21", "\ua7f2A"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct normalizer n = {0};
        struct buffer form = {0};
        const char *text = cases[i].text;
        size_t n_bytes = strlen(text);
        assert_true(normalizer_add(&n, (struct normalizer_step){.kind = cases[i].kind}, NULL));
        assert_true(normalizer_apply(&n, 0, &text, &n_bytes, &form, NULL));
        assert_int_equal(n_bytes, strlen(cases[i].form));
        assert_memory_equal(text, cases[i].form, n_bytes);
        normalizer_free(&n);
        buffer_free(&form);
    }
#else
    skip();
#endif
}

static void tiktoken_files_imply_their_merges(void **state) {
    (void)state;
    const char *lines = "YQ== 0\nYg== 1\nYw== 2\nYmM= 3\nYWJj 4\nYWI= 5\n"; /* a b c bc abc ab */
    struct tokenizer *tok = load_tokenizer(put_file("cl100k_tiny.tiktoken", lines, strlen(lines)));
    const int32_t expected[] = {4, 5, 5};
    struct token_list ids = {0};
    assert_int_equal(tokenizer_special_id(tok, TOKEN_END_OF_TEXT), 100257);
    assert_true(tokenizer_encode(tok, "abc", 3, false, &ids, NULL)); /* bc goes first, then a + bc */
    assert_true(tokenizer_encode(tok, "abab", 4, false, &ids, NULL));
    assert_int_equal(ids.count, 3);
    assert_memory_equal(ids.ids, expected, sizeof expected);
    token_list_free(&ids);
    tokenizer_free(tok);
    expect_load_failure(put_file("mine.tiktoken", lines, strlen(lines)), "must begin with r50k");
    expect_load_failure(put_file("r50k.tiktoken", "YQ== 0\nYQ==", 11), "line 2: not \"BASE64 RANK\"");
    expect_load_failure(put_file("r50k.tiktoken", "YQ== 0\nYg== 0\n", 14), "line 2: two tokens have the id 0");
    expect_load_failure(put_file("r50k.tiktoken", "YQ== 99999999999999999999\n", 26), "line 1");
    expect_load_failure(put_file("r50k.tiktoken", "YQ== 0\nYg== 50256\n", 18), "two tokens have the id 50256");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(what_is_saved_comes_back),
        IN_FOLDER(a_chat_template_stays_with_its_tokenizer),
        IN_FOLDER(saving_into_no_folder_fails),
        IN_FOLDER(roles_come_from_the_configuration),
        IN_FOLDER(what_ends_an_answer_comes_from_the_files),
        IN_FOLDER(hostile_vocabularies_are_one_clear_error),
        IN_FOLDER(what_is_not_supported_is_refused_by_name),
        IN_FOLDER(damaged_files_do_no_harm),
        IN_FOLDER(a_byte_without_a_token_is_named),
        IN_FOLDER(whole_words_win_where_merges_are_ignored),
        IN_FOLDER(added_tokens_may_be_in_the_vocabulary_or_far_behind_it),
        IN_FOLDER(the_longest_special_token_wins),
        IN_FOLDER(nfc_is_applied_or_refused),
        cmocka_unit_test(normal_forms_are_those_of_unicode_9),
        IN_FOLDER(merges_may_lead_to_added_tokens),
        IN_FOLDER(costs_that_grow_with_a_file_are_bounded),
#ifdef HAVE_UTF8PROC
        IN_FOLDER(a_charsmap_with_a_long_replacement_is_refused),
        IN_FOLDER(threads_give_the_same_ids_where_text_grows),
#endif
        IN_FOLDER(tiktoken_files_imply_their_merges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
