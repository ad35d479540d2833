/* encode.c - from text to ids: added tokens are found, what lies between is normalised, cut into words, and each word
 * is looked up or merged. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/hash.h"
#include "text/pages.h"
#include "text/scan.h"
#include "text/tokenizer_parts.h"

#define BLOCK_BYTES ((size_t)64 << 10)  /* room for ids is made for so much text at once */
#define CHUNK_BYTES ((size_t)128 << 10) /* of text, for one task of several threads */
#define ROUND_BYTES ((size_t)4 << 20)   /* of text, for each thread between two times that they wait for each other */
#define LONGEST_WORD_BYTES 18           /* of characters of three bytes */
#define CUT_WORDS 64
#define LONG_LIST ((size_t)1 << 18)     /* ids; of shorter ones the memory was used before */
#define TOUCHED_IDS ((size_t)1 << 16)
#define MIN_READABLE 16                 /* bytes that a key is read from */

/* What a thread needs while it encodes. Kept by the tokenizer between uses: what it has learnt of words stays. */
struct encoder {
    struct bpe_scratch scratch;
    struct unigram_scratch unigram_scratch;
    struct word_cache cache;
};

struct encoding {
    const struct tokenizer *tok;
    struct encoder *encoder;
    struct token_list *out;
    struct talc_error *err;
    bool continues, goes_on; /* text is a part of a longer one, and not its beginning (its end) */
    size_t touched; /* ids of `out` whose memory the system has given */
    double score; /* TOKENIZER_UNIGRAM without a split: of the text so far */
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

/* The tokenizer is const to its users: which encoder is idle changes nothing that they can see. */
static struct encoder *encoder_take(const struct tokenizer *tok, struct talc_error *err) {
    struct encoder *_Atomic *idle = ((struct tokenizer *)tok)->idle;
    for (int i = 0; i < TOKENIZER_IDLE_ENCODERS; i++) {
        struct encoder *e = atomic_exchange(&idle[i], NULL);
        if (e) return e;
    }
    return encoder_open(err);
}

static void encoder_give(const struct tokenizer *tok, struct encoder *e) {
    struct encoder *_Atomic *idle = ((struct tokenizer *)tok)->idle;
    for (int i = 0; i < TOKENIZER_IDLE_ENCODERS; i++) {
        struct encoder *none = NULL;
        if (atomic_compare_exchange_strong(&idle[i], &none, e)) return;
    }
    encoder_close(e);
}

void encoders_free(struct tokenizer *tok) {
    for (int i = 0; i < TOKENIZER_IDLE_ENCODERS; i++) encoder_close(tok->idle[i]);
}

/* ==== words ====================================================================================== */

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

/* Room for n more ids. For long lists the system gives memory some way ahead: page by page, as each is first written to,
 * it takes as long as encoding hundreds of bytes. */
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

/* ==== ways to cut text into words ================================================================ */

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
        __builtin_prefetch(x->encoder->cache.buckets[word_bucket(w->keys[i])]);
    }
}

/* What is not found in the cache: word i, and of sentences all that follow it. Returns how many, 0 on failure. */
static size_t encode_missing(struct encoding *x, const char *text, const struct cut_words *w, size_t i) {
    size_t begin = i ? w->ends[i - 1] : w->begin, count = 1;
    if (!key_is_sentence(w->keys[i]))
        return encode_other_word(x, text + begin, w->ends[i] - begin, w->keys[i]);
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

/* ==== text ======================================================================================= */

/* The words between white space, each behind a space unless it begins with U+2581, which becomes one. */
static bool words_apart(const char *text, size_t n, struct buffer *out) {
    for (size_t i = scan_run(text, n, 0, UNICODE_SPACE), end; i < n; i = scan_run(text, n, end, UNICODE_SPACE)) {
        end = scan_until(text, n, i, UNICODE_SPACE);
        if (end - i < 3 || memcmp(text + i, "\xe2\x96\x81", 3) != 0) buffer_append_char(out, ' ');
        if (!space_text(text + i, end - i, out)) return false;
    }
    return buffer_ok(out);
}

/* Normalised text without added tokens in it. */
static bool encode_piece(struct encoding *x, const char *text, size_t n, bool at_start) {
    const struct tokenizer *tok = x->tok;
    struct buffer copy = {0};
    if (n == 0) return true;
    if (tok->words_apart) {
        bool made = words_apart(text, n, &copy) || talc_fail(x->err, "out of memory for %zu bytes of text", n);
        bool encoded = made && (copy.length == 0 || encode_words(x, copy.data, copy.length));
        buffer_free(&copy);
        return encoded;
    }
    bool prefix = tok->prefix_space == PREFIX_ALWAYS || (tok->prefix_space == PREFIX_FIRST && at_start);
    if (at_start && x->continues) prefix = false;
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

/* Text in which only added tokens that are looked for in normalised text may be left. */
static bool encode_segment(struct encoding *x, const char *text, size_t n, bool parse_special, bool at_start,
                           bool at_end) {
    const struct tokenizer *tok = x->tok;
    struct buffer normal = {0}, spaced = {0};
    struct added_match match;
    unsigned open_ends = (at_start && x->continues ? NORMALIZER_CONTINUES : 0) |
                         (at_end && x->goes_on ? NORMALIZER_GOES_ON : 0);
    bool ok = n == 0 || normalizer_apply(&tok->normalizer, open_ends, &text, &n, &normal, x->err);
    if (ok && tokenizer_marks_spaces(tok) && !tok->words_apart && memmem(text, n, "\xe2\x96\x81", 3)) {
        if (!space_text(text, n, &spaced)) ok = talc_fail(x->err, "out of memory for %zu bytes of text", n);
        text = spaced.data;
        n = spaced.length;
    }
    size_t at = 0;
    while (ok && added_list_find(&tok->added, true, text, n, at, parse_special, &match)) {
        ok = encode_piece(x, text + at, match.begin - at, at_start && at == 0) &&
             (token_list_append(x->out, match.token->id) || talc_fail(x->err, "out of memory for tokens"));
        at = match.end;
    }
    ok = ok && encode_piece(x, text + at, n - at, at_start && at == 0);
    buffer_free(&normal);
    buffer_free(&spaced);
    return ok;
}

static bool encode_all(struct encoding *x, const char *text, size_t n, bool parse_special) {
    struct added_match match;
    size_t at = 0;
    while (added_list_find(&x->tok->added, false, text, n, at, parse_special, &match)) {
        if (!encode_segment(x, text + at, match.begin - at, parse_special, at == 0, false)) return false;
        if (!token_list_append(x->out, match.token->id)) return talc_fail(x->err, "out of memory for tokens");
        at = match.end;
    }
    return encode_segment(x, text + at, n - at, parse_special, at == 0, true);
}

static bool encode(struct encoding x, const char *text, size_t n, bool parse_special) {
    size_t before = x.out->count;
    x.encoder = encoder_take(x.tok, x.err);
    if (!x.encoder) return false;
    bool ok = encode_all(&x, text, n, parse_special);
    encoder_give(x.tok, x.encoder);
    if (!ok) x.out->count = before;
    return ok;
}

bool tokenizer_encode(const struct tokenizer *tok, const char *text, size_t n_bytes, bool parse_special,
                      struct token_list *out, struct talc_error *err) {
    return encode((struct encoding){.tok = tok, .out = out, .err = err}, text, n_bytes, parse_special);
}

bool tokenizer_encode_part(const struct tokenizer *tok, const char *text, size_t n_bytes, bool continues, bool goes_on,
                           struct token_list *out, struct talc_error *err) {
    struct encoding x = {.tok = tok, .out = out, .err = err, .continues = continues, .goes_on = goes_on};
    return encode(x, text, n_bytes, false);
}

/* ==== several threads ============================================================================ */

struct chunk {
    size_t begin, end;
    int32_t id; /* an added token, not text; -1: text */
    int worker; /* that encoded it: its ids are workers[worker].ids[first..first + count) */
    size_t first, count;
    size_t place; /* of its ids among those of the round */
    bool ok;
};

/* Some chunks are encoded, each worker appending to one list, then their ids are copied to where they belong. So the
 * lists stay short and are used again: memory that is touched for the first time costs more than the copy. */
struct parallel {
    const struct tokenizer *tok;
    const char *text;
    struct chunk *chunks;
    size_t n_chunks, capacity;
    size_t round; /* the first chunk of those at work */
    struct token_list *workers;
    int32_t *out;
};

static bool add_chunk(struct parallel *p, size_t begin, size_t end, int32_t id) {
    if (p->n_chunks == p->capacity) {
        size_t capacity = p->capacity ? p->capacity * 2 : 64;
        struct chunk *chunks = realloc(p->chunks, capacity * sizeof *chunks);
        if (!chunks) return false;
        p->chunks = chunks;
        p->capacity = capacity;
    }
    p->chunks[p->n_chunks++] = (struct chunk){.begin = begin, .end = end, .id = id};
    return true;
}

static bool add_text_chunks(struct parallel *p, size_t begin, size_t end) {
    while (begin < end) {
        size_t cut = begin + pretokenize_safe_cut(p->text + begin, end - begin, CHUNK_BYTES);
        if (!add_chunk(p, begin, cut, -1)) return false;
        begin = cut;
    }
    return true;
}

static void encode_chunk(void *context, int i, int worker) {
    struct parallel *p = context;
    struct chunk *chunk = &p->chunks[p->round + (size_t)i];
    struct token_list *ids = &p->workers[worker];
    struct encoder *encoder = chunk->id < 0 ? encoder_take(p->tok, NULL) : NULL;
    chunk->worker = worker;
    chunk->first = ids->count;
    if (encoder) {
        struct encoding x = {.tok = p->tok, .encoder = encoder, .out = ids};
        chunk->ok =
            encode_segment(&x, p->text + chunk->begin, chunk->end - chunk->begin, false, chunk->begin == 0, false);
        encoder_give(p->tok, encoder);
    } else {
        chunk->ok = chunk->id >= 0 && token_list_append(ids, chunk->id);
    }
    chunk->count = ids->count - chunk->first;
}

static void gather_chunk(void *context, int i, int worker) {
    (void)worker;
    struct parallel *p = context;
    const struct chunk *chunk = &p->chunks[p->round + (size_t)i];
    if (chunk->count)
        memcpy(p->out + chunk->place, p->workers[chunk->worker].ids + chunk->first, chunk->count * sizeof *p->out);
}

/* True when cutting at a letter before white space changes nothing. */
static bool may_cut(const struct tokenizer *tok) {
    bool nfc_only = tok->normalizer.n_steps == 0 ||
                    (tok->normalizer.n_steps == 1 && tok->normalizer.steps[0].kind == NORMALIZER_NFC);
    return tok->type == TOKENIZER_BYTE_BPE && nfc_only && tok->added.n_raw == tok->added.n_tokens &&
           tok->prefix_space == PREFIX_NONE && split_cuts_anywhere(&tok->split);
}

static bool encode_round(struct parallel *p, struct thread_pool *pool, struct token_list *out) {
    size_t n_ids = 0, begin = p->chunks[p->round].begin, count = 0;
    while (p->round + count < p->n_chunks &&
           p->chunks[p->round + count].begin - begin < ROUND_BYTES * (size_t)thread_pool_size(pool))
        count++;
    for (int i = 0; i < thread_pool_size(pool); i++) token_list_clear(&p->workers[i]);
    thread_pool_run(pool, (int)count, encode_chunk, p);
    for (size_t i = p->round; i < p->round + count; i++) {
        if (!p->chunks[i].ok) return false;
        p->chunks[i].place = n_ids;
        n_ids += p->chunks[i].count;
    }
    if (!token_list_reserve(out, n_ids)) return false;
    p->out = out->ids + out->count;
    thread_pool_run(pool, (int)count, gather_chunk, p);
    out->count += n_ids;
    p->round += count;
    return true;
}

bool tokenizer_encode_parallel(const struct tokenizer *tok, struct thread_pool *pool, const char *text, size_t n_bytes,
                               bool parse_special, struct token_list *out, struct talc_error *err) {
    if (!pool || n_bytes < 2 * CHUNK_BYTES || !may_cut(tok))
        return tokenizer_encode(tok, text, n_bytes, parse_special, out, err);
    int n_workers = thread_pool_size(pool);
    struct parallel p = {.tok = tok, .text = text, .workers = calloc((size_t)n_workers, sizeof *p.workers)};
    struct added_match match;
    size_t at = 0, before = out->count;
    bool ok = p.workers;
    while (ok && added_list_find(&tok->added, false, text, n_bytes, at, parse_special, &match)) {
        ok = add_text_chunks(&p, at, match.begin) && add_chunk(&p, match.begin, match.end, match.token->id);
        at = match.end;
    }
    ok = ok && add_text_chunks(&p, at, n_bytes);
    while (ok && p.round < p.n_chunks) ok = encode_round(&p, pool, out);
    if (!ok) out->count = before;
    for (int i = 0; p.workers && i < n_workers; i++) token_list_free(&p.workers[i]);
    free(p.workers);
    free(p.chunks);
    return ok || tokenizer_encode(tok, text, n_bytes, parse_special, out, err); /* for the message */
}
