/* What files of tokenizers may not say: each rule that stands between a broken or hostile file and the tables made of
 * it, with a file that breaks this rule alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/tokenizer_bytes.h"
#include "support/tokenizer_case.h"
#include "text/charsmap.h"
#include "text/tokenizer_parts.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))

/* ==== .tiktoken =============================================================================== */

static void lines_of_tiktoken_are_base64_and_a_rank(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t n;
        const char *what;
    } cases[] = {
        {"YQ== 0\n==== 1\n", 14, "line 2: not \"BASE64 RANK\""}, /* no bytes */
        {"YQ==x0\n", 7, "line 1: not \"BASE64 RANK\""},          /* no space */
        {"YQ== -1\n", 8, "line 1: not \"BASE64 RANK\""},         {"YQ==  1\n", 8, "line 1: not \"BASE64 RANK\""},
        {"YQ== 0x\n", 8, "line 1: not \"BASE64 RANK\""},         {"YQ== 0\n\0Yg== 1\n", 15, "NUL"},
    };
    for (size_t i = 0; i < N_OF(cases); i++)
        expect_load_failure(put_file("r50k.tiktoken", cases[i].text, cases[i].n), cases[i].what);
    tokenizer_free(load_tokenizer(put_file("r50k.tiktoken", "YQ== 0\r\nYg== 1\r\n", 16)));
}

/* ==== tekken.json ============================================================================= */

static const char *put_tekken(const char *config, const char *vocab, const char *specials) {
    char text[1024];
    int n = snprintf(text, sizeof text, "{\"config\":%s,\"vocab\":%s%s%s}", config, vocab,
                     *specials ? ",\"special_tokens\":" : "", specials);
    return put_file("tekken.json", text, (size_t)n);
}

#define SIZES(n, n_specials)                                                                                           \
    "{\"pattern\":\"\\\\s+\",\"default_vocab_size\":" n ",\"default_num_special_tokens\":" n_specials "}"
#define A "[{\"rank\":0,\"token_bytes\":\"YQ==\"}]"

static void numbers_of_tekken_fit_each_other(void **state) {
    (void)state;
    static const struct {
        const char *config, *vocab, *specials, *what;
    } cases[] = {
        {SIZES("3", "1"), "[{\"token_bytes\":\"YQ==\"}]", "[]", "entry 0 of the vocabulary has no rank"},
        {SIZES("3", "1"), "[{\"rank\":-1,\"token_bytes\":\"YQ==\"}]", "[]", "entry 0 of the vocabulary has no rank"},
        {SIZES("3", "1"), "[{\"rank\":4194304,\"token_bytes\":\"YQ==\"}]", "[]", "entry 0 of the vocabulary has no"},
        {SIZES("3", "1"), "[{\"rank\":0}]", "[]", "no token_bytes"},
        {SIZES("3", "1"), "[{\"rank\":0,\"token_bytes\":\"\"}]", "[]", "no token_bytes"},
        {SIZES("3", "1"), "[{\"rank\":0,\"token_bytes\":\"====\"}]", "[]", "rank 0 is not base64"},
        {SIZES("3", "1"), "[{\"rank\":0,\"token_bytes\":\"YQ==!\"}]", "[]", "rank 0 is not base64"},
        {SIZES("3", "1"), "[7]", "[]", "object"},
        {SIZES("3", "1"), A, "[{\"rank\":1,\"token_str\":\"<s>\"}]", "\"<s>\" has the rank 1, but there are 1"},
        {SIZES("3", "1"), A, "{}", "special_tokens must be an array"},
        {"[]", A, "[]", "no \"config\""},
        {SIZES("3", "4"), A, "[]", "does not say how many"},
        {"{\"pattern\":\"\\\\s+\",\"default_vocab_size\":3}", A, "[]", "does not say how many"},
        {"{\"pattern\":\"\\\\s+\",\"default_num_special_tokens\":0}", A, "[]", "does not say how many"},
    };
    for (size_t i = 0; i < N_OF(cases); i++)
        expect_load_failure(put_tekken(cases[i].config, cases[i].vocab, cases[i].specials), cases[i].what);
    tokenizer_free(load_tokenizer(put_tekken(SIZES("3", "1"), A, "[]")));
}

/* ==== SentencePiece =========================================================================== */

/* Bytes of a field of fields: those of field `number` of the model's message `message`. */
struct extra {
    uint32_t message; /* 0: the bytes stand in the model itself */
    const char *bytes;
    size_t n;
};

static const char *put_model(int type, struct extra extra, int piece_type) {
    static char path[128];
    struct buffer model = {0}, bytes = {0};
    put_piece(&model, "<unk>", 0, 2);
    put_piece(&model, "<s>", 0, 3);
    put_piece(&model, "a", -1, 1);
    put_piece(&model, "b c", -2, piece_type);
    put_specs(&model, type, false, false);
    buffer_append(&bytes, extra.bytes, extra.n);
    if (extra.message)
        put_field(&model, extra.message, &bytes);
    else
        buffer_append(&model, bytes.data, bytes.length);
    snprintf(path, sizeof path, "%s", put_file("tokenizer.model", model.data, model.length));
    buffer_free(&bytes);
    buffer_free(&model);
    return path;
}

#define BYTES(text) text, sizeof(text) - 1

static void broken_protobuf_is_refused(void **state) {
    (void)state;
    static const struct {
        struct extra extra;
        const char *what;
    } cases[] = {
        {{0, BYTES("\x80")}, "damaged"},                                                 /* ends inside a number */
        {{0, BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00")}, "damaged"}, /* of more than 64 bits */
        {{0, BYTES("\x02\x00")}, "damaged"},                                             /* field 0 */
        {{0, BYTES("\xa2\x80\x80\x80\x80\x01\x00")}, "damaged"},                         /* field 2^32 + 4 */
        {{0, BYTES("\x0a\x7f")}, "damaged"},                                             /* longer than the file */
        {{0, BYTES("\x0d\x00\x00")}, "damaged"},                                         /* half a number */
        {{0, BYTES("\x0b")}, "damaged"},                                                 /* a group */
        {{2, BYTES("\x18")}, "damaged"},
        {{3, BYTES("\x18")}, "damaged"},
        {{1, BYTES("\x0a\x7f")}, "piece 4 is broken"},
        {{2, BYTES("\x18\x07")}, "type unknown"},
        {{2, BYTES("\xc0\x01\x01")}, "treat_whitespace_as_suffix"},
        {{3, BYTES("\x28\x00")}, "escape_whitespaces"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) expect_load_failure(put_model(2, cases[i].extra, 1), cases[i].what);
    expect_load_failure(put_model(2, (struct extra){0}, 5), "piece 3 is of type UNUSED");
}

/* A field of another type than its number has is of somebody else. */
static void fields_of_other_types_say_nothing(void **state) {
    (void)state;
    static const struct extra extras[] = {
        {0, BYTES("\x08\x05")},                          /* piece */
        {0, BYTES("\x10\x05")},                          /* trainer_spec */
        {0, BYTES("\x15\x18\x07\x18\x07")},              /* ... four bytes that would say another type */
        {1, BYTES("\x0a\x01z\x08\x05")},                 /* piece.piece, again as a number */
        {1, BYTES("\x0a\x01z\x10\x80\x80\x80\xfe\x07")}, /* piece.score, not a number if it were one */
        {1, BYTES("\x0a\x01z\x1d\x05\x00\x00\x00")},     /* piece.type */
        {3, BYTES("\x15\x05\x00\x00\x00")},              /* precompiled_charsmap */
    };
    for (size_t i = 0; i < N_OF(extras); i++) {
        struct tokenizer *tok = load_tokenizer(put_model(2, extras[i], 1));
        assert_ids(tok, "a", IDS(2));
        if (extras[i].message == 1) assert_ids(tok, "az", IDS(2, 4));
        tokenizer_free(tok);
    }
}

/* Ids of roles that are no token: far too large, negative, a piece of the text. */
static void roles_of_sentencepiece_are_control_pieces(void **state) {
    (void)state;
    static const struct extra extras[] = {
        {2, BYTES("\xc8\x02\x81\x80\x80\x80\x10")},                     /* bos_id 2^32 + 1 */
        {2, BYTES("\xc8\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")}, /* -1 */
        {2, BYTES("\xc8\x02\x81\x80\x80\x80\xf0\xff\xff\xff\xff\x01")}, /* 1 - 2^32 */
        {2, BYTES("\xc8\x02\x02")},
    };
    for (size_t i = 0; i < N_OF(extras); i++) {
        struct tokenizer *tok = load_tokenizer(put_model(2, extras[i], 1));
        assert_false(tokenizer_adds_bos(tok));
        tokenizer_free(tok);
    }
    struct tokenizer *tok = load_tokenizer(put_model(2, (struct extra){0}, 1));
    assert_true(tokenizer_adds_bos(tok));
    tokenizer_free(tok);
}

static void a_symbol_with_a_space_is_never_found(void **state) {
    (void)state;
    struct tokenizer *tok = load_tokenizer(put_model(2, (struct extra){0}, 4));
    assert_ids(tok, "ab ca", IDS(2, 0, 2));
    tokenizer_free(tok);
}

static void pieces_of_bytes_are_two_large_hex_digits(void **state) {
    (void)state;
    assert_int_equal(byte_piece("<0x0A>", 6), 10);
    assert_int_equal(byte_piece("<0xFf>", 6), -1);
    assert_int_equal(byte_piece("<0xfF>", 6), -1);
    assert_int_equal(byte_piece("<0x0A", 5), -1);
    assert_int_equal(byte_piece("<0x0A>>", 7), -1);
    assert_int_equal(byte_piece("<0x0A)", 6), -1);
    assert_int_equal(byte_piece("<1x0A>", 6), -1);
}

/* ==== charsmap ================================================================================ */

/* A charsmap of `size` bytes of units, as its head says; the first units are given, the others are 0. */
static struct charsmap *charsmap_of(uint32_t size, const uint32_t *units, size_t n_units, const char *replacements,
                                    size_t n) {
    struct buffer map = {0};
    put_u32(&map, size);
    for (size_t i = 0; i < n_units; i++) put_u32(&map, units[i]);
    buffer_append(&map, replacements, n);
    char *exact = malloc(map.length); /* what is read behind it is seen */
    memcpy(exact, map.data, map.length);
    struct charsmap *charsmap = charsmap_new(exact, map.length, NULL);
    free(exact);
    buffer_free(&map);
    return charsmap;
}

static void sizes_of_charsmaps_are_checked(void **state) {
    (void)state;
    static const uint32_t units[2] = {0};
    struct charsmap *map = charsmap_of(8, units, 2, "", 0);
    assert_non_null(map);
    charsmap_free(map);
    assert_null(charsmap_new("\4\0\0", 3, NULL));
    assert_null(charsmap_of(0, units, 2, "", 0));
    assert_null(charsmap_of(6, units, 2, "", 0));
    assert_null(charsmap_of(12, units, 2, "", 0));
    assert_null(charsmap_of(0xfffffffc, units, 2, "", 0));
}

static void assert_unchanged(struct charsmap *map, const char *text) {
    struct buffer out = {0};
    assert_non_null(map);
    assert_true(charsmap_normalize(map, (struct charsmap_spaces){0}, text, strlen(text), &out));
    assert_string_equal(out.data, text);
    buffer_free(&out);
    charsmap_free(map);
}

/* In the trie 'a' is at the root's offset ^ 'a'; its unit says that it ends a string, its offset leads to a value. */
static void tries_of_charsmaps_may_lead_nowhere(void **state) {
    (void)state;
    uint32_t units[256] = {0};
    units[0] = 1u << 30; /* 'a' would be behind the end */
    assert_unchanged(charsmap_of(1024, units, 256, "x", 2), "aa");
    units[0] = 0;
    units['a'] = 1u << 30 | 1u << 8 | 'a'; /* its value would be */
    assert_unchanged(charsmap_of(1024, units, 256, "x", 2), "aa");
    units['a'] = 1u << 10 | 1u << 8 | 'a'; /* its value is at 1 ^ 'a', and not in the file */
    units['a' ^ 1] = 2;
    assert_unchanged(charsmap_of(1024, units, 256, "x", 2), "aa");
    units['a' ^ 1] = 0;
    struct charsmap *map = charsmap_of(1024, units, 256, "x", 2);
    struct buffer out = {0};
    assert_true(charsmap_normalize(map, (struct charsmap_spaces){0}, "aba", 3, &out));
    assert_string_equal(out.data, "xbx");
    buffer_free(&out);
    charsmap_free(map);
}

/* A trie may lead in circles, each of which ends a string: one of 256 bytes is the longest that is looked for. */
static void strings_of_charsmaps_are_of_bounded_length(void **state) {
    (void)state;
    uint32_t units[256] = {0};
    char text[301] = {0};
    struct buffer out = {0};
    units['a'] = (uint32_t)'a' << 10 | 1u << 8 | 'a'; /* its value is at the root, and so is what follows it */
    struct charsmap *map = charsmap_of(1024, units, 256, "x", 2);
    memset(text, 'a', 300);
    assert_true(charsmap_normalize(map, (struct charsmap_spaces){0}, text, 300, &out));
    assert_string_equal(out.data, "xx");
    buffer_free(&out);
    charsmap_free(map);
}

/* ==== Unigram ================================================================================= */

#define SPACES "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"never\",\"split\":false}"

static void a_text_that_ends_inside_a_character_is_unknown_there(void **state) {
    (void)state;
    const char *text = "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"a\",-1]]},"
                       "\"pre_tokenizer\":" SPACES ",\"decoder\":" SPACES "}";
    struct tokenizer *tok = load_tokenizer(put_file("tokenizer.json", text, strlen(text)));
    assert_ids(tok, "a\xe4", IDS(1, 0));
    assert_ids(tok, "a\xf0\x9f", IDS(1, 0));
    tokenizer_free(tok);
}

/* ==== GGUF ==================================================================================== */

/* The keys of a tokenizer, one of them other than it should be. */
struct keys {
    const char *model, *pre, *merge;
    size_t n_tokens, n_types, n_scores; /* 0: the key is left out */
    int32_t eos;
    enum gguf_type charsmap; /* of its elements; 0 (GGUF_U8): there is none */
};

static const char *put_keys(struct keys k) {
    static char path[128];
    static const char *const tokens[] = {"a", "b", "ab", "<e>", "b", ""};
    static const int32_t types[] = {1, 1, 1, 3, 1, 1, 1};
    static const float scores[] = {-1, -2, -3, 0, 0, 0, 0};
    struct buffer b = {0};
    put_header(&b, 3 + (k.merge != NULL) + (k.n_tokens > 0) + (k.n_types > 0) + (k.n_scores > 0) + (k.charsmap > 0));
    put_text(&b, "tokenizer.ggml.model", k.model);
    put_text(&b, "tokenizer.ggml.pre", k.pre);
    if (k.merge) put_strings(&b, "tokenizer.ggml.merges", &k.merge, 1);
    if (k.n_tokens) put_strings(&b, "tokenizer.ggml.tokens", tokens, k.n_tokens);
    if (k.n_types) put_numbers(&b, "tokenizer.ggml.token_type", GGUF_I32, types, k.n_types);
    if (k.n_scores) put_numbers(&b, "tokenizer.ggml.scores", GGUF_F32, scores, k.n_scores);
    if (k.charsmap) put_numbers(&b, "tokenizer.ggml.precompiled_charsmap", k.charsmap, scores, 2);
    put_string(&b, "tokenizer.ggml.eos_token_id");
    put_u32(&b, GGUF_I32);
    put_u32(&b, (uint32_t)k.eos);
    snprintf(path, sizeof path, "%s", put_file("model.gguf", b.data, b.length));
    buffer_free(&b);
    return path;
}

static void keys_of_gguf_fit_each_other(void **state) {
    (void)state;
    static const struct {
        struct keys keys;
        const char *what;
    } cases[] = {
        {{"gpt2", "gpt-2", "a b", 0, 0, 0, 3, 0}, "no tokenizer"},
        {{"gpt2", "none", "a b", 4, 4, 0, 3, 0}, "\"none\" is not supported"},
        {{"gpt2", "gpt-2", NULL, 4, 4, 0, 3, 0}, "no tokenizer.ggml.merges"},
        {{"gpt2", "gpt-2", "", 4, 4, 0, 3, 0}, "entry 0 is not \"left right\""},
        {{"gpt2", "gpt-2", "a ", 4, 4, 0, 3, 0}, "entry 0 is not \"left right\""},
        {{"gpt2", "gpt-2", "abb", 4, 4, 0, 3, 0}, "entry 0 is not \"left right\""},
        {{"gpt2", "gpt-2", "a b", 4, 3, 0, 3, 0}, "a type for every token"},
        {{"gpt2", "gpt-2", "a b", 4, 4, 0, 4, 0}, "\"tokenizer.ggml.eos_token_id\" is no token"},
        {{"gpt2", "gpt-2", "a b", 4, 4, 0, -3, 0}, "\"tokenizer.ggml.eos_token_id\" is no token"},
        {{"llama", "", NULL, 4, 4, 3, 3, 0}, "a score for every token"},
        {{"llama", "", NULL, 4, 4, 0, 3, 0}, "a score for every token"},
        {{"t5", "", NULL, 4, 4, 4, 3, GGUF_F32}, "not an array of bytes"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) expect_load_failure(put_keys(cases[i].keys), cases[i].what);
}

/* Merges of what is no token, a second token of the same text and one without text change nothing for the others. */
static void what_text_does_not_lead_to_is_left_out(void **state) {
    (void)state;
    struct tokenizer *tok = load_tokenizer(put_keys((struct keys){"gpt2", "gpt-2", "a b", 6, 6, 0, 3, 0}));
    assert_ids(tok, "abb", IDS(2, 1));
    tokenizer_free(tok);
    static const char *const merges[] = {"z b", "a z", "b b"};
    for (size_t i = 0; i < N_OF(merges); i++) {
        tok = load_tokenizer(put_keys((struct keys){"gpt2", "gpt-2", merges[i], 4, 4, 0, 3, 0}));
        assert_ids(tok, "abb", IDS(0, 1, 1));
        tokenizer_free(tok);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(lines_of_tiktoken_are_base64_and_a_rank),
        IN_FOLDER(numbers_of_tekken_fit_each_other),
        IN_FOLDER(broken_protobuf_is_refused),
        IN_FOLDER(fields_of_other_types_say_nothing),
        IN_FOLDER(roles_of_sentencepiece_are_control_pieces),
        IN_FOLDER(a_symbol_with_a_space_is_never_found),
        cmocka_unit_test(pieces_of_bytes_are_two_large_hex_digits),
        cmocka_unit_test(sizes_of_charsmaps_are_checked),
        cmocka_unit_test(tries_of_charsmaps_may_lead_nowhere),
        cmocka_unit_test(strings_of_charsmaps_are_of_bounded_length),
        IN_FOLDER(a_text_that_ends_inside_a_character_is_unknown_there),
        IN_FOLDER(keys_of_gguf_fit_each_other),
        IN_FOLDER(what_text_does_not_lead_to_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
