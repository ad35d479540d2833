/* encode.c - from text to ids: added tokens are found, what lies between is normalised, cut into words, and each word
 * is looked up or merged. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/encoder.h"
#include "text/hash.h"
#include "text/pages.h"
#include "text/scan.h"
#include "text/tokenizer_parts.h"

#define BLOCK_BYTES ((size_t)64 << 10) /* room for ids is made for so much text at once */
#define LONGEST_WORD_BYTES 18          /* of characters of three bytes */
#define CUT_WORDS 64
#define LONG_LIST ((size_t)1 << 18) /* ids; of shorter ones the memory was used before */
#define TOUCHED_IDS ((size_t)1 << 16)
#define MIN_READABLE 16 /* bytes that a key is read from */

struct encoding {
    const struct tokenizer *tok;
    struct encoder *encoder;
    const struct marked_text *text;
    struct special_places places; /* of special tokens in the text */
    struct token_list *out;
    struct buffer *out_marks; /* NULL: none */
    struct talc_error *err;
    bool continues, goes_on; /* text is a part of a longer one, and not its beginning (its end) */
    size_t touched;          /* ids of `out` whose memory the system has given */
    double score;            /* TOKENIZER_UNIGRAM without a split: of the text so far */
};

static void encoder_close(struct encoder *e) {
    if (!e) return;
    bpe_scratch_free(&e->scratch);
    unigram_scratch_free(&e->unigram_scratch);
    word_cache_close(&e->cache);
    free(e);
}

static struct encoder *encoder_open(struct talc_error *err) {
    struct encoder *e = calloc(1, sizeof *e);
    if (e && word_cache_open(&e->cache)) return e;
    encoder_close(e);
    talc_fail(err, "out of memory for encoding");
    return NULL;
}

struct encoder *encoder_take(const struct tokenizer *tok, struct talc_error *err) {
    struct encoder *_Atomic *idle = ((struct tokenizer *)tok)->idle;
    for (int i = 0; i < TOKENIZER_IDLE_ENCODERS; i++) {
        struct encoder *e = atomic_exchange(&idle[i], NULL);
        if (e) return e;
    }
    return encoder_open(err);
}

void encoder_give(const struct tokenizer *tok, struct encoder *e) {
    struct encoder *_Atomic *idle = ((struct tokenizer *)tok)->idle;
    for (int i = 0; i < TOKENIZER_IDLE_ENCODERS; i++) {
        struct encoder *none = NULL;
        if (atomic_compare_exchange_strong(&idle[i], &none, e)) return;
    }
    encoder_close(e);
}

void encoders_free(struct tokenizer *tok) {
    for (int i = 0; i < TOKENIZER_IDLE_ENCODERS; i++) encoder_close(tok->idle[i]);
    shared_words_close(tok->idle_words);
}

/* ==== words =================================================================================== */

static bool merge_word(struct encoding *x, const char *word, size_t n, size_t *n_ids) {
    struct token_list *out = x->out;
    struct word_cache *cache = x->tok->no_cache ? NULL : &x->encoder->cache;
    if (x->tok->type == TOKENIZER_WORDPIECE)
        return wordpiece_encode(&x->tok->wordpiece, word, n, out->ids + out->count, n_ids, x->err);
    if (x->tok->type == TOKENIZER_UNIGRAM) {
        double score = 0;
        return unigram_encode(&x->tok->unigram, &x->encoder->unigram_scratch, word, n, &score, out->ids + out->count,
                              n_ids, x->err);
    }
    return bpe_encode_word(&x->tok->bpe, &x->tok->vocabulary, &x->encoder->scratch, cache, word, n,
                           out->ids + out->count, n_ids, x->err);
}

/* A word in characters from U+3000 to U+9FFF or of full width, behind a space or not: most often a sentence or half of
 * one, that does not come again. Its parts do, and bpe_join.c knows them. Signs and line ends do come again. */
static inline bool is_sentence(const struct tokenizer *tok, const char *word, size_t n) {
    unsigned char lead = (unsigned char)word[*word == ' ' && n > 1];
    return ((lead >= 0xe3 && lead <= 0xe9) || lead == 0xef) && (word[n - 1] & 0x80) && tokenizer_merges(tok);
}

/* Sentences side by side, the first text[begin..ends[0]). */
static bool encode_sentences(struct encoding *x, const char *text, size_t begin, const size_t *ends, size_t count) {
    const struct tokenizer *tok = x->tok;
    size_t n_ids;
    if (!bpe_encode_words(&tok->bpe, &tok->vocabulary, &x->encoder->scratch, tok->no_cache ? NULL : &x->encoder->cache,
                          text, begin, ends, count, x->out->ids + x->out->count, &n_ids, x->err))
        return false;
    x->out->count += n_ids;
    return true;
}

/* A word that is no sentence and not among the short ones of the cache (the key of a longer one does not matter). `out`
 * has room for n + WORD_CACHE_SHORT_IDS more ids. */
static bool encode_other_word(struct encoding *x, const char *word, size_t n, struct word_key key) {
    struct token_list *out = x->out;
    struct word_cache *cache = &x->encoder->cache;
    uint64_t hash = 0;
    size_t n_ids = 0;
    /* a sentence without spaces (Chinese, Thai) does not come again; its parts do, and bpe_encode_word keeps them */
    bool sentence = n > LONGEST_WORD_BYTES && (unsigned char)word[*word == ' '] >= 0xe0;
    bool keep = n <= WORD_CACHE_LONG_BYTES && !sentence && !x->tok->no_cache;
    if (keep) {
        hash = hash_bytes(word, n) | 1; /* parts of words have even ones */
        n_ids = word_cache_find_long(cache, word, n, hash, out->ids + out->count);
    }
    if (n_ids == 0) {
        if (!merge_word(x, word, n, &n_ids)) return false;
        if (keep && n <= WORD_CACHE_SHORT_BYTES && n_ids <= WORD_CACHE_SHORT_IDS)
            word_cache_add(cache, key, out->ids + out->count, n_ids);
        else if (keep)
            word_cache_add_long(cache, word, n, hash, out->ids + out->count, n_ids);
    }
    out->count += n_ids;
    return true;
}

static inline bool encode_word(struct encoding *x, const char *word, size_t n, bool readable) {
    struct word_key key = {0, 0};
    if (is_sentence(x->tok, word, n)) return encode_sentences(x, word, 0, &n, 1);
    if (n <= WORD_CACHE_SHORT_BYTES && !x->tok->no_cache) {
        key = word_key(word, n, readable);
        const struct word_entry *entry = word_cache_find(&x->encoder->cache, key);
        if (entry) {
            struct token_list *out = x->out;
            out->count += word_entry_ids(entry, out->ids + out->count);
            return true;
        }
    }
    return encode_other_word(x, word, n, key);
}

/* Room for n more ids. For long lists the system gives memory some way ahead: page by page, as each is first written
 * to, it takes as long as encoding hundreds of bytes. */
static bool make_room(struct encoding *x, size_t n) {
    struct token_list *out = x->out;
    if (!token_list_reserve(out, n + WORD_CACHE_SHORT_IDS)) return talc_fail(x->err, "out of memory for tokens");
    if (out->capacity < LONG_LIST) return true;
    if (x->touched < out->count) x->touched = out->count;
    while (x->touched < out->count + TOUCHED_IDS && x->touched + TOUCHED_IDS <= out->capacity) {
        pages_touch(out->ids + x->touched, TOUCHED_IDS * sizeof *out->ids);
        x->touched += TOUCHED_IDS;
    }
    return true;
}

/* ==== ways to cut text into words ============================================================= */

/* Words are cut some at a time, so that their places in the cache are on the way from memory when they are wanted. */
struct cut_words {
    size_t begin, count;
    size_t ends[CUT_WORDS];
    struct word_key keys[CUT_WORDS]; /* of what is no short word: high 0, low 1 for a sentence */
};

static inline bool key_is_sentence(struct word_key key) { return !key.high && key.low; }

static void cut_words(const struct encoding *x, enum pretokenizer scanner, const char *text, size_t n, size_t at,
                      size_t stop, struct cut_words *w) {
    w->begin = at;
    w->count = pretokenize_words(scanner, text, n, at, stop, w->ends, CUT_WORDS);
    for (size_t i = 0; i < w->count; at = w->ends[i++]) {
        size_t length = w->ends[i] - at;
        bool sentence = is_sentence(x->tok, text + at, length);
        w->keys[i] = (struct word_key){sentence, 0};
        if (length > WORD_CACHE_SHORT_BYTES || sentence) continue;
        w->keys[i] = word_key(text + at, length, n - at >= MIN_READABLE);
        __builtin_prefetch(word_cache_bucket(&x->encoder->cache, w->keys[i]));
    }
}

/* What is not found in the cache: word i, and of sentences all that follow it. Returns how many, 0 on failure. */
static size_t encode_missing(struct encoding *x, const char *text, const struct cut_words *w, size_t i) {
    size_t begin = i ? w->ends[i - 1] : w->begin, count = 1;
    if (!key_is_sentence(w->keys[i])) return encode_other_word(x, text + begin, w->ends[i] - begin, w->keys[i]);
    while (i + count < w->count && key_is_sentence(w->keys[i + count])) count++;
    return encode_sentences(x, text, begin, w->ends + i, count) ? count : 0;
}

static bool encode_cut_words(struct encoding *x, const char *text, const struct cut_words *w) {
    struct token_list *out = x->out;
    const struct word_cache *cache = x->tok->no_cache ? NULL : &x->encoder->cache;
    int32_t *ids = out->ids + out->count;
    for (size_t i = 0; i < w->count;) {
        const struct word_entry *entry = cache && w->keys[i].high ? word_cache_find(cache, w->keys[i]) : NULL;
        if (entry) {
            ids += word_entry_ids(entry, ids);
            i++;
            continue;
        }
        out->count = (size_t)(ids - out->ids);
        size_t n_words = encode_missing(x, text, w, i);
        if (!n_words) return false;
        i += n_words;
        ids = out->ids + out->count;
    }
    out->count = (size_t)(ids - out->ids);
    return true;
}

static bool encode_scanned(struct encoding *x, enum pretokenizer scanner, const char *text, size_t n) {
    struct cut_words words;
    for (size_t i = 0; i < n;) {
        size_t stop = n - i > BLOCK_BYTES ? i + BLOCK_BYTES : n;
        if (!make_room(x, stop - i)) return false;
        while (i < stop) {
            cut_words(x, scanner, text, n, i, stop, &words);
            i = words.ends[words.count - 1];
            if (i > stop && !make_room(x, i - words.begin)) return false;
            if (!encode_cut_words(x, text, &words)) return false;
        }
    }
    return true;
}

static bool encode_split(struct encoding *x, const char *text, size_t n) {
    struct split_cursor cursor;
    if (!split_cursor_open(&cursor, &x->tok->split, text, n, x->err)) return false;
    bool ok = true;
    for (size_t begin, end; ok;) {
        ok = split_cursor_next(&cursor, &begin, &end, x->err);
        if (!ok || begin == end) break;
        ok = make_room(x, end - begin) && encode_word(x, text + begin, end - begin, n - begin >= MIN_READABLE);
    }
    split_cursor_close(&cursor);
    return ok;
}

/* True when the pre-tokenizer cuts before every space (Metaspace), and does nothing else. */
static bool cuts_before_each_space(const struct tokenizer *tok) {
    const struct split_step *step = &tok->split.steps[0];
    return tok->split.n_steps == 1 && step->kind == SPLIT_TEXT && step->behavior == SPLIT_MERGED_WITH_NEXT &&
           !step->invert && strcmp(step->text, " ") == 0;
}

static bool encode_before_each_space(struct encoding *x, const char *text, size_t n) {
    for (size_t i = 0; i < n;) {
        const char *space = memchr(text + i + 1, ' ', n - i - 1);
        size_t end = space ? (size_t)(space - text) : n;
        if (!make_room(x, end - i) || !encode_word(x, text + i, end - i, n - i >= MIN_READABLE)) return false;
        i = end;
    }
    return true;
}

/* One unigram after the other without a split: how the sum of scores is rounded depends on what came before. */
static bool encode_on(struct encoding *x, const char *text, size_t n) {
    struct token_list *out = x->out;
    size_t n_ids;
    if (!make_room(x, n) || !unigram_encode(&x->tok->unigram, &x->encoder->unigram_scratch, text, n, &x->score,
                                            out->ids + out->count, &n_ids, x->err))
        return false;
    out->count += n_ids;
    return true;
}

/* Words are spaces and what follows them up to the next, or line ends: no merge (no piece) reaches over these. */
static bool encode_between_spaces(struct encoding *x, const char *text, size_t n) {
    bool lines = x->tok->split_at_line_ends;
    for (size_t i = 0; i < n;) {
        size_t end = i;
        if (lines && text[i] == '\n') {
            while (end < n && text[end] == '\n') end++;
        } else {
            while (end < n && text[end] == ' ') end++;
            while (end < n && text[end] != ' ' && !(lines && text[end] == '\n')) end++;
        }
        bool ok = x->tok->type == TOKENIZER_UNIGRAM
                      ? encode_on(x, text + i, end - i)
                      : make_room(x, end - i) && encode_word(x, text + i, end - i, n - i >= MIN_READABLE);
        if (!ok) return false;
        i = end;
    }
    return true;
}

static bool encode_characters(struct encoding *x, const char *text, size_t n) {
    const struct tokenizer *tok = x->tok;
    for (size_t i = 0; i < n;) {
        int32_t codepoint;
        size_t length = (size_t)utf8_decode(text + i, n - i, &codepoint);
        int32_t id = vocabulary_find(&tok->vocabulary, text + i, length);
        if (id < 0) id = tok->unknown_id;
        if (id < 0 && codepoint < 0)
            return talc_fail(x->err, "byte 0x%02x at %zu is not valid UTF-8, and this tokenizer knows only characters",
                             (unsigned char)text[i], i);
        if (id < 0)
            return talc_fail(x->err,
                             "the character \"%.*s\" (U+%04X) at byte %zu is not among the %d of this tokenizer",
                             (int)length, text + i, (unsigned)codepoint, i, (int)tok->vocabulary.n_tokens);
        if (!token_list_append(x->out, id)) return talc_fail(x->err, "out of memory for tokens");
        i += length;
    }
    return true;
}

static bool encode_words(struct encoding *x, const char *text, size_t n) {
    const struct tokenizer *tok = x->tok;
    enum pretokenizer scanner;
    if (tok->type == TOKENIZER_CHARACTER) return encode_characters(x, text, n);
    if (split_is_scanner(&tok->split, &scanner)) return encode_scanned(x, scanner, text, n);
    x->score = 0;
    if (cuts_before_each_space(tok)) return encode_before_each_space(x, text, n);
    if (tok->split.n_steps == 0 && tok->split_before_spaces) return encode_between_spaces(x, text, n);
    if (tok->split.n_steps == 0 && tok->type == TOKENIZER_UNIGRAM) return encode_on(x, text, n);
    return encode_split(x, text, n);
}

/* ==== text ==================================================================================== */

/* The words between white space, each behind a space unless it begins with U+2581, which becomes one. */
static bool words_apart(const char *text, size_t n, struct buffer *out) {
    for (size_t i = scan_run(text, n, 0, UNICODE_SPACE), end; i < n; i = scan_run(text, n, end, UNICODE_SPACE)) {
        end = scan_until(text, n, i, UNICODE_SPACE);
        if (end - i < 3 || memcmp(text + i, "\xe2\x96\x81", 3) != 0) buffer_append_char(out, ' ');
        if (!space_text(text + i, end - i, out)) return false;
    }
    return buffer_ok(out);
}

/* Normalised text without added tokens in it, of a segment. */
static bool encode_piece(struct encoding *x, const struct segment *s, const char *text, size_t n, bool first) {
    const struct tokenizer *tok = x->tok;
    struct buffer copy = {0};
    if (n == 0) return true;
    if (tok->words_apart) {
        bool made = words_apart(text, n, &copy) || talc_fail(x->err, "out of memory for %zu bytes of text", n);
        bool encoded = made && (copy.length == 0 || encode_words(x, copy.data, copy.length));
        buffer_free(&copy);
        return encoded;
    }
    bool at_start = s->at_start && first;
    bool prefix = tok->prefix_space == PREFIX_ALWAYS || (tok->prefix_space == PREFIX_FIRST && at_start);
    if (at_start && (s->open_ends & NORMALIZER_CONTINUES)) prefix = false;
    if (prefix && text[0] != ' ') {
        buffer_append_char(&copy, ' ');
        buffer_append(&copy, text, n);
        text = copy.data;
        n = copy.length;
    }
    bool ok = buffer_ok(&copy) ? encode_words(x, text, n) : talc_fail(x->err, "out of memory for %zu bytes of text", n);
    buffer_free(&copy);
    return ok;
}

/* A text as it is when words are cut: the given one, or what is in `memory`. */
struct normal_form {
    const char *text;
    size_t n_bytes;
    struct buffer memory;
};

static bool normalize(const struct encoding *x, const char *text, size_t n, unsigned open_ends,
                      struct normal_form *form) {
    const struct tokenizer *tok = x->tok;
    *form = (struct normal_form){.text = text, .n_bytes = n};
    if (n && !normalizer_apply(&tok->normalizer, open_ends, &form->text, &form->n_bytes, &form->memory, x->err))
        return false;
    if (!tokenizer_marks_spaces(tok) || tok->words_apart) return true;
    if (!memmem(form->text, form->n_bytes, "\xe2\x96\x81", 3)) return true;
    struct buffer spaced = {0};
    bool ok = space_text(form->text, form->n_bytes, &spaced);
    buffer_free(&form->memory);
    form->memory = spaced;
    form->text = spaced.data;
    form->n_bytes = spaced.length;
    return ok || talc_fail(x->err, "out of memory for %zu bytes of text", n);
}

/* Where byte `at` of a segment is in its normal form; SIZE_MAX: nowhere, as when a mark behind it made one character of
 * two. */
static bool find_in_normal_form(const struct encoding *x, const struct segment *s, const struct normal_form *whole,
                                size_t at, size_t *found) {
    struct normal_form before;
    *found = at == 0 ? 0 : whole->n_bytes;
    if (at == 0 || at >= s->n_bytes) return true;
    bool ok = normalize(x, s->text, at, s->open_ends | NORMALIZER_GOES_ON, &before);
    bool begins = before.n_bytes <= whole->n_bytes &&
                  (before.n_bytes == 0 || memcmp(before.text, whole->text, before.n_bytes) == 0);
    *found = begins ? before.n_bytes : SIZE_MAX;
    buffer_free(&before.memory);
    return ok;
}

/* Of text that begins as a segment does, the borders of the segment's parts are looked for many times. */
struct normal_borders {
    struct normal_form form; /* of the segment */
    size_t *found;           /* [2 * parts] where each begins and ends in it; SIZE_MAX: nowhere */
};

/* The parts [*first, *end) reach into the segment. */
static void find_parts(const struct segment *s, size_t *first, size_t *end) {
    const struct text_part *parts = s->places.parts;
    size_t origin = s->places.origin;
    *first = 0;
    *end = s->places.n_parts;
    while (*first < *end && parts[*first].end <= origin) ++*first;
    while (*end > *first && parts[*end - 1].begin >= origin + s->n_bytes) --*end;
}

static size_t border_in_segment(const struct segment *s, size_t part, bool end) {
    size_t at = end ? s->places.parts[part].end : s->places.parts[part].begin;
    return at > s->places.origin ? at - s->places.origin : 0;
}

static bool find_borders(const struct encoding *x, const struct segment *s, struct normal_borders *borders) {
    size_t first, end;
    find_parts(s, &first, &end);
    *borders = (struct normal_borders){.found = calloc(end - first + 1, 2 * sizeof *borders->found)};
    if (!borders->found) return talc_fail(x->err, "out of memory for special tokens");
    bool ok = normalize(x, s->text, s->n_bytes, s->open_ends, &borders->form);
    for (size_t i = 0; ok && i < 2 * (end - first); i++)
        ok = find_in_normal_form(x, s, &borders->form, border_in_segment(s, first + i / 2, i % 2), &borders->found[i]);
    return ok;
}

static void free_borders(struct normal_borders *borders) {
    free(borders->found);
    buffer_free(&borders->form.memory);
}

static size_t common_bytes(const struct normal_form *a, const struct normal_form *b) {
    size_t n = a->n_bytes < b->n_bytes ? a->n_bytes : b->n_bytes, i = 0;
    if (n == 0 || memcmp(a->text, b->text, n) == 0) return n;
    while (a->text[i] == b->text[i]) i++;
    return i;
}

/* Where special tokens may stand in the normal form of a segment: *places; *owned is what it takes, to be freed. */
static bool places_in_normal_form(const struct encoding *x, const struct segment *s, const struct normal_form *whole,
                                  struct special_places *places, struct text_part **owned) {
    size_t end, first, n;
    *places = s->places;
    *owned = NULL;
    bool inside = special_places_at(&s->places, 0, &end) != NULL;
    if (end >= s->n_bytes) { /* all of it is of one kind */
        *places = special_places_all(inside);
        return true;
    }
    if (whole->text == s->text && whole->n_bytes == s->n_bytes) return true;
    find_parts(s, &first, &n);
    *owned = calloc(n - first + 1, sizeof **owned);
    if (!*owned) return talc_fail(x->err, "out of memory for special tokens");
    *places = (struct special_places){.parts = *owned};
    size_t n_common = s->borders ? common_bytes(whole, &s->borders->form) : 0;
    for (size_t i = first; i < n; i++) {
        size_t there[2];
        for (int side = 0; side < 2; side++) {
            size_t at = border_in_segment(s, i, side), known = SIZE_MAX;
            if (s->borders && at < s->n_bytes) known = s->borders->found[2 * (i - first) + (size_t)side];
            there[side] = known;
            if (known <= n_common && s->borders) continue; /* the same text is before it */
            if (!find_in_normal_form(x, s, whole, at, &there[side])) return false;
        }
        if (there[0] < there[1] && there[1] != SIZE_MAX)
            (*owned)[places->n_parts++] = (struct text_part){there[0], there[1]};
    }
    return true;
}

static bool encode_normal_form(struct encoding *x, const struct segment *s, const struct normal_form *form,
                               const struct special_places *places) {
    const char *text = form->text;
    size_t n = form->n_bytes, at = 0;
    struct added_match match;
    while (added_list_find(&x->tok->added, true, text, n, at, places, &match)) {
        if (!encode_piece(x, s, text + at, match.begin - at, at == 0)) return false;
        if (!token_list_append(x->out, match.token->id)) return talc_fail(x->err, "out of memory for tokens");
        at = match.end;
    }
    return encode_piece(x, s, text + at, n - at, at == 0);
}

static bool encode_segment(struct encoding *x, const struct segment *s) {
    struct normal_form form;
    struct special_places places = s->places;
    struct text_part *owned = NULL;
    bool ok = normalize(x, s->text, s->n_bytes, s->open_ends, &form);
    if (ok && x->tok->added.n_raw < x->tok->added.n_tokens) ok = places_in_normal_form(x, s, &form, &places, &owned);
    ok = ok && encode_normal_form(x, s, &form, &places);
    buffer_free(&form.memory);
    free(owned);
    return ok;
}

/* The segment of the text at [at, end), and its marks. */
static bool encode_between(struct encoding *x, size_t at, size_t end) {
    const struct marked_text *t = x->text;
    size_t before = x->out->count;
    struct segment s = {.text = t->bytes + at, .n_bytes = end - at, .at_start = at == 0, .places = x->places};
    s.places.origin = at;
    if (at == 0 && x->continues) s.open_ends |= NORMALIZER_CONTINUES;
    if (end == t->n_bytes && x->goes_on) s.open_ends |= NORMALIZER_GOES_ON;
    if (!encode_segment(x, &s)) return false;
    if (!t->marks || x->out->count == before) return true;
    struct normal_borders borders = {0};
    bool ok = true;
    if (x->tok->added.n_raw < x->tok->added.n_tokens) {
        ok = find_borders(x, &s, &borders);
        s.borders = &borders;
    }
    ok = ok && encoder_mark_segment(x->encoder, x->tok, &s, t->marks + at, x->out->ids + before, x->out->count - before,
                                    x->out_marks, x->err);
    free_borders(&borders);
    return ok;
}

static bool encode_all(struct encoding *x) {
    const struct marked_text *t = x->text;
    struct added_match match;
    size_t at = 0;
    while (added_list_find(&x->tok->added, false, t->bytes, t->n_bytes, at, &x->places, &match)) {
        if (!encode_between(x, at, match.begin)) return false;
        if (!token_list_append(x->out, match.token->id)) return talc_fail(x->err, "out of memory for tokens");
        if (t->marks) buffer_append_char(x->out_marks, t->marks[match.at]);
        at = match.end;
    }
    return encode_between(x, at, t->n_bytes);
}

static bool encode(struct encoding x) {
    size_t before = x.out->count, marks_before = x.out_marks ? x.out_marks->length : 0;
    x.encoder = encoder_take(x.tok, x.err);
    if (!x.encoder) return false;
    bool ok = encode_all(&x);
    if (ok && x.out_marks && !buffer_ok(x.out_marks)) ok = talc_fail(x.err, "out of memory for the marks of tokens");
    encoder_give(x.tok, x.encoder);
    if (!ok) x.out->count = before;
    if (!ok && x.out_marks) x.out_marks->length = marks_before;
    return ok;
}

bool encoder_encode_segment(struct encoder *encoder, const struct tokenizer *tok, const struct segment *segment,
                            struct token_list *out, struct talc_error *err) {
    struct encoding x = {.tok = tok, .encoder = encoder, .out = out, .err = err};
    return encode_segment(&x, segment);
}

bool tokenizer_encode(const struct tokenizer *tok, const char *text, size_t n_bytes, bool parse_special,
                      struct token_list *out, struct talc_error *err) {
    struct marked_text t = {.bytes = text, .n_bytes = n_bytes};
    return encode(
        (struct encoding){.tok = tok, .text = &t, .places = special_places_all(parse_special), .out = out, .err = err});
}

bool tokenizer_encode_part(const struct tokenizer *tok, const char *text, size_t n_bytes, bool continues, bool goes_on,
                           struct token_list *out, struct talc_error *err) {
    struct marked_text t = {.bytes = text, .n_bytes = n_bytes};
    return encode((struct encoding){.tok = tok,
                                    .text = &t,
                                    .places = special_places_all(false),
                                    .out = out,
                                    .err = err,
                                    .continues = continues,
                                    .goes_on = goes_on});
}

bool tokenizer_encode_marked(const struct tokenizer *tok, const struct marked_text *text, struct token_list *out,
                             struct buffer *marks, struct talc_error *err) {
    struct special_places places = {.parts = text->own, .n_parts = text->n_own};
    return encode(
        (struct encoding){.tok = tok, .text = text, .places = places, .out = out, .out_marks = marks, .err = err});
}
