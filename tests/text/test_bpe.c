/* Byte pair encoding: parts put together give what merging the whole text gives, whatever the merges; long words
 * without a break take no longer a byte than ordinary text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/utf8.h"
#include "text/bpe_join.h"
#include "text/bpe_ties.h"
#include "text/tokenizer.h"
#include "text/tokenizer_train.h"

#define N_LETTERS 4
#define MAX_TOKENS 60

/* The symbols of a vocabulary. Of the last one BPE_CHARACTERS has none: such text is unknown. */
struct alphabet {
    const char *letters[N_LETTERS];
};
static const struct alphabet narrow = {{"a", "b", "c", "\xc3"}};
/* bytes of U+4E38, U+4E39, U+4E78 and U+4E79; or the first two as a whole */
static const struct alphabet wide[] = {
    [BPE_BYTES] = {{"\xe4", "\xb8", "\xb9", "a"}}, [BPE_CHARACTERS] = {{"\xe4\xb8\xb8", "\xe4\xb8\xb9", "a", "b"}}};

/* A vocabulary over a few letters, with merges in no sensible order. */
static void random_bpe(struct rng *rng, struct vocabulary *v, struct bpe *bpe, enum bpe_symbols symbols,
                       const struct alphabet *alphabet) {
    *v = (struct vocabulary){0};
    *bpe = (struct bpe){.symbols = symbols, .unknown_id = -1, .whole_words = symbols == BPE_BYTES};
    memset(bpe->byte_ids, 0xff, sizeof bpe->byte_ids);
    int32_t n = symbols == BPE_BYTES ? N_LETTERS : N_LETTERS - 1, n_ids = 0;
    for (int32_t i = 0; i < n; i++)
        assert_true(vocabulary_add(v, n_ids++, alphabet->letters[i], strlen(alphabet->letters[i]), TOKEN_TEXT, NULL));
    if (symbols == BPE_CHARACTERS) {
        assert_true(vocabulary_add(v, n_ids, "?", 1, TOKEN_SPECIAL, NULL));
        bpe->unknown_id = n_ids++;
    }
    uint32_t rank = 0;
    for (int tries = 0; tries < 200 && v->n_tokens < MAX_TOKENS; tries++) {
        int32_t left = (int32_t)rng_below(rng, (uint64_t)v->size), right = (int32_t)rng_below(rng, (uint64_t)v->size);
        const struct vocabulary_token *a = vocabulary_token(v, left), *b = vocabulary_token(v, right);
        char text[64];
        if (left == bpe->unknown_id || right == bpe->unknown_id || a->n_bytes + b->n_bytes > 12) continue;
        memcpy(text, vocabulary_bytes(v, a), a->n_bytes);
        memcpy(text + a->n_bytes, vocabulary_bytes(v, b), b->n_bytes);
        int32_t id = vocabulary_find(v, text, a->n_bytes + b->n_bytes);
        if (id < 0) {
            id = v->size;
            assert_true(vocabulary_add(v, id, text, a->n_bytes + b->n_bytes, TOKEN_TEXT, NULL));
        }
        rank += (uint32_t)rng_below(rng, 3); /* some ranks are shared */
        assert_true(bpe_add_merge(bpe, (struct bpe_merge){left, right, id, rank}));
    }
    assert_true(bpe_finish(bpe, v, NULL));
}

static void random_word(struct rng *rng, enum bpe_symbols symbols, char *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint64_t kind = rng_below(rng, 8);
        text[i] = kind < 3 ? 'a' : kind < 5 ? 'b' : kind < 7 ? 'c' : symbols == BPE_BYTES ? '\xc3' : 'd';
        if (i && rng_below(rng, 3) == 0) text[i] = text[i - 1];
    }
}

/* Characters of three bytes, mostly, and what may lie between them: letters, broken ones, others without a token. */
static size_t random_sentence(struct rng *rng, enum bpe_symbols symbols, char *text, size_t size) {
    size_t n = 0, stop = 1 + rng_below(rng, size - 3);
    while (n < stop) {
        uint64_t kind = rng_below(rng, 40);
        char second = (char)('\xb8' + (char)rng_below(rng, 2)), third = (char)('\xb8' + (char)rng_below(rng, 2));
        if (kind == 0) {
            text[n++] = 'a';
        } else if (kind == 1 && symbols == BPE_BYTES) {
            text[n++] = rng_below(rng, 2) ? '\xe4' : second;
        } else {
            memcpy(text + n, (char[]){'\xe4', second, third}, 3);
            n += 3;
        }
    }
    return n;
}

static void check_parts(struct rng *rng, const struct alphabet *alphabet, bool sentences, enum bpe_symbols symbols) {
    struct vocabulary v;
    struct bpe bpe;
    struct bpe_scratch scratch = {0};
    struct word_cache cache;
    random_bpe(rng, &v, &bpe, symbols, alphabet);
    assert_true(word_cache_open(&cache));
    for (int word = 0; word < 30; word++) {
        char text[400];
        int32_t whole[404], joined[404];
        size_t n = 1 + rng_below(rng, sizeof text - 1), n_whole, n_joined;
        if (sentences)
            n = random_sentence(rng, symbols, text, sizeof text);
        else
            random_word(rng, symbols, text, n);
        assert_true(bpe_merge_text(&bpe, &v, &scratch, text, n, whole, &n_whole, NULL));
        for (int cached = 0; cached < 2; cached++) {
            if (bpe.whole_words && vocabulary_find(&v, text, n) >= 0) continue;
            assert_true(bpe_encode_word(&bpe, &v, &scratch, cached ? &cache : NULL, text, n, joined, &n_joined, NULL));
            if (n_joined != n_whole || memcmp(whole, joined, n_whole * sizeof *whole) != 0)
                fail_msg("word %d (%zu bytes): %zu tokens, all at once %zu", word, n, n_joined, n_whole);
        }
    }
    word_cache_close(&cache);
    bpe_scratch_free(&scratch);
    bpe_free(&bpe);
    vocabulary_free(&v);
}

/* Ends of words in text: after some of its characters, and at its end. Returns how many. */
static size_t random_ends(struct rng *rng, const char *text, size_t n, size_t *ends) {
    size_t count = 0;
    for (size_t at = 0; at < n;) {
        int32_t codepoint;
        at += (size_t)utf8_decode(text + at, n - at, &codepoint);
        if (at == n || rng_below(rng, 4) == 0) ends[count++] = at;
    }
    return count;
}

static void check_words(struct rng *rng, enum bpe_symbols symbols) {
    struct vocabulary v;
    struct bpe bpe;
    struct bpe_scratch scratch = {0};
    random_bpe(rng, &v, &bpe, symbols, &wide[symbols]);
    bpe.fuse_unknown = symbols == BPE_CHARACTERS && rng_below(rng, 2);
    for (int round = 0; round < 30; round++) {
        char text[400];
        int32_t apart[404], together[404];
        size_t n = random_sentence(rng, symbols, text, sizeof text), ends[400], n_apart = 0, n_together, n_new;
        size_t count = random_ends(rng, text, n, ends), first = rng_below(rng, count);
        size_t begin = first ? ends[first - 1] : 0;
        for (size_t i = first, at = begin; i < count; at = ends[i++]) {
            assert_true(
                bpe_encode_word(&bpe, &v, &scratch, NULL, text + at, ends[i] - at, apart + n_apart, &n_new, NULL));
            n_apart += n_new;
        }
        assert_true(bpe_encode_words(&bpe, &v, &scratch, NULL, text, begin, ends + first, count - first, together,
                                     &n_together, NULL));
        if (n_apart != n_together || memcmp(apart, together, n_apart * sizeof *apart) != 0)
            fail_msg("round %d: %zu words are %zu tokens, each on its own %zu", round, count - first, n_together,
                     n_apart);
    }
    bpe_scratch_free(&scratch);
    bpe_free(&bpe);
    vocabulary_free(&v);
}

static void words_side_by_side_are_encoded_each_on_its_own(void **state) {
    (void)state;
    struct rng rng = rng_make(7, 0);
    for (int round = 0; round < 400; round++) check_words(&rng, round % 2 ? BPE_BYTES : BPE_CHARACTERS);
}

static void sentences_are_cut_only_where_no_merge_reaches(void **state) {
    (void)state;
    struct rng rng = rng_make(4, 0);
    for (int round = 0; round < 400; round++) {
        enum bpe_symbols symbols = round % 2 ? BPE_BYTES : BPE_CHARACTERS;
        check_parts(&rng, &wide[symbols], true, symbols);
    }
}

static void a_token_whose_parts_are_merged_otherwise_is_looked_up(void **state) {
    (void)state;
    static const char *const tokens[] = {"a", "b", "c", "bc", "ab", "abc"};
    struct vocabulary v = {0};
    struct bpe bpe = {.symbols = BPE_BYTES, .unknown_id = -1, .whole_words = true};
    struct bpe_scratch scratch = {0};
    int32_t ids[3];
    size_t n_ids;
    for (int32_t id = 0; id < 6; id++)
        assert_true(vocabulary_add(&v, id, tokens[id], strlen(tokens[id]), TOKEN_TEXT, NULL));
    assert_true(bpe_add_merge(&bpe, (struct bpe_merge){1, 2, 3, 0}));
    assert_true(bpe_add_merge(&bpe, (struct bpe_merge){0, 1, 4, 1}));
    assert_true(bpe_add_merge(&bpe, (struct bpe_merge){4, 2, 5, 2}));
    assert_true(bpe_finish(&bpe, &v, NULL));
    assert_int_equal(bpe.longest_other, 3);
    assert_true(bpe_encode_word(&bpe, &v, &scratch, NULL, "abc", 3, ids, &n_ids, NULL));
    assert_int_equal(n_ids, 1);
    assert_int_equal(ids[0], 5);
    bpe_scratch_free(&scratch);
    bpe_free(&bpe);
    vocabulary_free(&v);
}

/* With ignore_merges only tokens that merges do not lead to need to be looked up. */
static void whole_words_are_looked_up_where_merges_do_not_lead_to_them(void **state) {
    (void)state;
    struct rng rng = rng_make(6, 0);
    int n_others = 0;
    for (int round = 0; round < 300; round++) {
        struct vocabulary v;
        struct bpe bpe;
        struct bpe_scratch scratch = {0};
        random_bpe(&rng, &v, &bpe, BPE_BYTES, &narrow);
        uint32_t longest = 0;
        for (int32_t id = 0; id < v.size; id++) {
            const struct vocabulary_token *token = vocabulary_token(&v, id);
            const char *text = vocabulary_bytes(&v, token);
            int32_t ids[64];
            size_t n = token->n_bytes, n_ids;
            assert_true(bpe_merge_text(&bpe, &v, &scratch, text, n, ids, &n_ids, NULL));
            if (n_ids == 1 && ids[0] == id) continue;
            if (n > longest) longest = token->n_bytes;
            assert_true(bpe_encode_word(&bpe, &v, &scratch, NULL, text, n, ids, &n_ids, NULL));
            assert_true(n_ids == 1 && ids[0] == id);
        }
        assert_true(bpe.longest_other >= longest);
        n_others += longest > 0;
        bpe_scratch_free(&scratch);
        bpe_free(&bpe);
        vocabulary_free(&v);
    }
    assert_true(n_others > 20);
}

static void parts_give_what_the_whole_gives(void **state) {
    (void)state;
    struct rng rng = rng_make(3, 0);
    for (int round = 0; round < 400; round++) check_parts(&rng, &narrow, false, round % 2 ? BPE_BYTES : BPE_CHARACTERS);
}

/* Any two neighbours whose text is a token merge; only the pairs that can come up are kept. */
static void implied_merges_are_all_that_are_needed(void **state) {
    (void)state;
    struct rng rng = rng_make(5, 0);
    for (int round = 0; round < 300; round++) {
        struct vocabulary v = {0};
        struct bpe pruned = {.unknown_id = -1}, full = {.unknown_id = -1};
        struct bpe_scratch scratch = {0};
        int32_t order[64];
        uint32_t ranks[64];
        size_t n = 0;
        for (int32_t id = 0; id < 3; id++) assert_true(vocabulary_add(&v, id, &"abc"[id], 1, TOKEN_TEXT, NULL));
        while (v.size < 40) {
            char text[6];
            size_t length = 2 + rng_below(&rng, 5);
            random_word(&rng, BPE_BYTES, text, length);
            for (size_t i = 0; i < length; i++) text[i] = text[i] < 0 ? 'a' : text[i];
            if (vocabulary_find(&v, text, length) >= 0) continue;
            order[n] = v.size;
            ranks[n++] = (uint32_t)v.size;
            assert_true(vocabulary_add(&v, v.size, text, length, TOKEN_TEXT, NULL));
        }
        for (size_t i = 0; i < n; i++) {
            const struct vocabulary_token *token = vocabulary_token(&v, order[i]);
            const char *bytes = vocabulary_bytes(&v, token);
            for (uint32_t cut = 1; cut < token->n_bytes; cut++) {
                int32_t left = vocabulary_find(&v, bytes, cut),
                        right = vocabulary_find(&v, bytes + cut, token->n_bytes - cut);
                if (left >= 0 && right >= 0) bpe_add_merge(&full, (struct bpe_merge){left, right, order[i], ranks[i]});
            }
        }
        assert_true(bpe_imply_merges(&pruned, &v, order, ranks, n, NULL));
        assert_true(bpe_finish(&pruned, &v, NULL) && bpe_finish(&full, &v, NULL));
        assert_true(pruned.n_merges <= full.n_merges);
        for (int word = 0; word < 50; word++) {
            char text[50];
            int32_t a[50], b[50];
            size_t n_a, n_b;
            random_word(&rng, BPE_BYTES, text, sizeof text);
            for (size_t i = 0; i < sizeof text; i++) text[i] = text[i] < 0 ? 'c' : text[i];
            assert_true(bpe_merge_text(&full, &v, &scratch, text, sizeof text, a, &n_a, NULL));
            assert_true(bpe_merge_text(&pruned, &v, &scratch, text, sizeof text, b, &n_b, NULL));
            assert_int_equal(n_a, n_b);
            assert_memory_equal(a, b, n_a * sizeof *a);
        }
        bpe_scratch_free(&scratch);
        bpe_free(&pruned);
        bpe_free(&full);
        vocabulary_free(&v);
    }
}

/* ==== worst cases ============================================================================= */

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Seconds a byte, the best of five with a new tokenizer each time: nothing of the text is known yet. */
static double seconds_a_byte(const char *path, const struct buffer *text, size_t *n_ids) {
    double best = 1e9;
    for (int i = 0; i < 5; i++) {
        struct tokenizer *tok = tokenizer_load(path, NULL);
        struct token_list ids = {0};
        assert_non_null(tok);
        double start = cpu_seconds();
        assert_true(tokenizer_encode(tok, text->data, text->length, false, &ids, NULL));
        double seconds = (cpu_seconds() - start) / (double)text->length;
        if (seconds < best) best = seconds;
        *n_ids = ids.count;
        token_list_free(&ids);
        tokenizer_free(tok);
    }
    return best;
}

/* ==== merges of equal rank ==================================================================== */

#define TIED_TOKEN_BYTES 4 /* at most: two tokens are a text of 8 letters */

static void write_letters(unsigned which, size_t n, char *text) {
    for (size_t i = 0; i < n; i++) text[i] = which >> i & 1 ? 'b' : 'a';
}

/* Words of a and b, whose ranks are few. */
static void tied_bpe(struct rng *rng, struct vocabulary *v, struct bpe *bpe) {
    int32_t order[64], n_ids = 0;
    uint32_t ranks[64], rank = 0;
    size_t n = 0;
    *v = (struct vocabulary){0};
    *bpe = (struct bpe){.symbols = BPE_BYTES, .unknown_id = -1};
    for (size_t length = 1; length <= TIED_TOKEN_BYTES; length++) {
        for (unsigned which = 0; which < 1u << length; which++) {
            char text[TIED_TOKEN_BYTES + 1];
            if (length > 1 && rng_below(rng, 3)) continue;
            write_letters(which, length, text);
            assert_true(vocabulary_add(v, n_ids, text, length, TOKEN_TEXT, NULL));
            order[n++] = n_ids++;
        }
    }
    for (size_t i = n - 1; i > 2; i--) { /* the letters come first, as they are */
        size_t other = 2 + rng_below(rng, i - 1);
        int32_t id = order[i];
        order[i] = order[other];
        order[other] = id;
    }
    for (size_t i = 0; i < n; i++) ranks[i] = rank += (uint32_t)rng_below(rng, 3) > 0;
    assert_true(bpe_imply_merges(bpe, v, order, ranks, n, NULL));
    assert_true(bpe_finish(bpe, v, NULL));
}

/* Every text of up to two tokens: others give no other answer (bpe_join.h). */
static bool some_text_differs(const struct bpe *a, const struct bpe *b, const struct vocabulary *v) {
    struct bpe_scratch scratch = {0};
    for (size_t n = 1; n <= 2 * TIED_TOKEN_BYTES; n++) {
        for (unsigned which = 0; which < 1u << n; which++) {
            char text[1 + 2 * TIED_TOKEN_BYTES];
            int32_t ids[2][2 * TIED_TOKEN_BYTES];
            size_t n_ids[2];
            write_letters(which, n, text);
            assert_true(bpe_merge_text(a, v, &scratch, text, n, ids[0], &n_ids[0], NULL));
            assert_true(bpe_merge_text(b, v, &scratch, text, n, ids[1], &n_ids[1], NULL));
            if (n_ids[0] != n_ids[1] || memcmp(ids[0], ids[1], n_ids[0] * sizeof *ids[0]) != 0) return true;
        }
    }
    return false;
}

static void ties_matter_where_a_text_differs(void **state) {
    (void)state;
    struct rng rng = rng_make(77, 0);
    int n_matter = 0, n_differ = 0, n_tied = 0;
    for (int round = 0; round < 600; round++) {
        struct vocabulary v;
        struct bpe bpe, listed = {.symbols = BPE_BYTES, .unknown_id = -1};
        bool matter, tied = false;
        tied_bpe(&rng, &v, &bpe);
        for (size_t i = 0; i < bpe.n_merges; i++) {
            struct bpe_merge merge = bpe.merges[i];
            tied = tied || (i > 0 && merge.rank == bpe.merges[i - 1].rank);
            merge.rank = (uint32_t)i;
            assert_true(bpe_add_merge(&listed, merge));
        }
        assert_true(bpe_finish(&listed, &v, NULL));
        assert_true(bpe_ties_matter(&bpe, &v, &matter, NULL));
        bool differs = some_text_differs(&bpe, &listed, &v);
        if (differs && !matter) fail_msg("round %d: ties matter", round);
        n_matter += matter;
        n_differ += differs;
        n_tied += tied;
        bpe_free(&bpe);
        bpe_free(&listed);
        vocabulary_free(&v);
    }
    assert_true(n_differ > 50 && n_tied - n_matter > 50);
}

/* ==== long words ============================================================================== */

static void repeat(struct buffer *text, const char *piece, size_t n_bytes) {
    buffer_clear(text);
    while (text->length < n_bytes) buffer_append_text(text, piece);
}

/* Words as frequent as those of a language: the k-th of them 1/k as often as the first. */
static void ordinary_text(struct buffer *text, size_t n_bytes) {
    struct rng rng = rng_make(11, 0);
    while (text->length < n_bytes) {
        uint64_t word = rng_below(&rng, 1 + rng_below(&rng, 1 + rng_below(&rng, 60000)));
        struct rng spelling = rng_make(word, 1);
        for (uint64_t i = 2 + rng_below(&spelling, 8); i-- > 0;)
            buffer_append_char(text, (char)('a' + rng_below(&spelling, 1 + rng_below(&spelling, 26))));
        buffer_append_text(text, rng_below(&rng, 12) ? " " : ".\n");
    }
}

static void long_words_take_no_longer_than_ordinary_text(void **state) {
    (void)state;
    static const struct {
        const char *name, *piece;
    } cases[] = {
        {"one letter", "a"},
        {"spaces", " "},
        {"exclamation marks", "!"},
        {"one Chinese character", "\xe4\xb8\xad"},
        {"an emoji chain", "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7\xe2\x80\x8d"},
        {"combining marks", "\xcc\x81"},
        {"marks out of order", "\xcc\x81\xcc\xa3"}};
    const char *path = TEST_DIR "/golden/tokenizer/qwen2.json";
    struct buffer text = {0};
    size_t n_ids;
    ordinary_text(&text, 1000000);
    double ordinary = seconds_a_byte(path, &text, &n_ids);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        repeat(&text, cases[i].piece, 1000000);
        double seconds = seconds_a_byte(path, &text, &n_ids);
        assert_true(n_ids > 1000);
        if (seconds > 3 * ordinary)
            fail_msg("1 MB of %s: %.1f ns a byte, ordinary text %.1f", cases[i].name, seconds * 1e9, ordinary * 1e9);
    }
    buffer_free(&text);
}

/* Characters each of which merges with the next, the later the sooner: one more at the end makes all tokens others.
 * Each is then encoded a few times what it takes to encode the whole up to there, not once more for every token. */
static void tokens_that_all_change_are_not_taken_back_one_by_one(void **state) {
    (void)state;
    enum { N = 600 };
    struct vocabulary v = {0};
    struct bpe bpe = {.symbols = BPE_CHARACTERS, .unknown_id = -1};
    struct bpe_scratch scratch = {0};
    struct buffer text = {0};
    memset(bpe.byte_ids, 0xff, sizeof bpe.byte_ids);
    for (int i = 0; i < N; i++) {
        char bytes[4];
        size_t n = (size_t)utf8_encode(0x4e00 + i, bytes);
        assert_true(vocabulary_add(&v, i, bytes, n, TOKEN_TEXT, NULL));
        buffer_append(&text, bytes, n);
    }
    for (int i = 0; i + 1 < N; i++) assert_true(vocabulary_add(&v, N + i, text.data + 3 * i, 6, TOKEN_TEXT, NULL));
    for (int i = N - 1; i-- > 0;) /* the last pair first */
        assert_true(bpe_add_merge(&bpe, (struct bpe_merge){i, i + 1, N + i, (uint32_t)(N - i)}));
    assert_true(bpe_finish(&bpe, &v, NULL));
    int32_t *ids = malloc(text.length * sizeof *ids), *joined = malloc(text.length * sizeof *joined);
    size_t n_ids, n_joined;
    double start = cpu_seconds();
    for (size_t n = 3; n <= text.length; n += 3)
        assert_true(bpe_merge_text(&bpe, &v, &scratch, text.data, n, ids, &n_ids, NULL));
    double whole = cpu_seconds() - start;
    start = cpu_seconds();
    assert_true(bpe_encode_word(&bpe, &v, &scratch, NULL, text.data, text.length, joined, &n_joined, NULL));
    double parts = cpu_seconds() - start;
    assert_int_equal(n_ids, n_joined);
    assert_memory_equal(ids, joined, n_ids * sizeof *ids);
    if (parts > 12 * whole) fail_msg("%.1f ms, and %.1f ms for every beginning as a whole", parts * 1e3, whole * 1e3);
    free(ids);
    free(joined);
    bpe_scratch_free(&scratch);
    bpe_free(&bpe);
    vocabulary_free(&v);
    buffer_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_give_what_the_whole_gives),
        cmocka_unit_test(sentences_are_cut_only_where_no_merge_reaches),
        cmocka_unit_test(a_token_whose_parts_are_merged_otherwise_is_looked_up),
        cmocka_unit_test(words_side_by_side_are_encoded_each_on_its_own),
        cmocka_unit_test(whole_words_are_looked_up_where_merges_do_not_lead_to_them),
        cmocka_unit_test(implied_merges_are_all_that_are_needed),
        cmocka_unit_test(ties_matter_where_a_text_differs),
        cmocka_unit_test(tokens_that_all_change_are_not_taken_back_one_by_one),
        cmocka_unit_test(long_words_take_no_longer_than_ordinary_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
