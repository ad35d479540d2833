/* tokenizer.c - text to ids and back; see tokenizer.h. */
#include "text/tokenizer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "text/bpe_ties.h"
#include "text/tokenizer_parts.h"

/* ==== lists of ids ============================================================================ */

bool token_list_reserve(struct token_list *list, size_t extra) {
    size_t need, n_bytes;
    if (!checked_add_size(list->count, extra, &need)) return false;
    if (need <= list->capacity) return true;
    size_t capacity = list->capacity < 64 ? 64 : list->capacity;
    while (capacity < need)
        if (!checked_mul_size(capacity, 2, &capacity)) return false;
    if (!checked_mul_size(capacity, sizeof *list->ids, &n_bytes)) return false;
    int32_t *ids = realloc(list->ids, n_bytes);
    if (!ids) return false;
    list->ids = ids;
    list->capacity = capacity;
    return true;
}

bool token_list_append(struct token_list *list, int32_t id) {
    if (!token_list_reserve(list, 1)) return false;
    list->ids[list->count++] = id;
    return true;
}

void token_list_clear(struct token_list *list) { list->count = 0; }

void token_list_free(struct token_list *list) {
    free(list->ids);
    *list = (struct token_list){0};
}

/* ==== making one ============================================================================== */

struct tokenizer *tokenizer_new(struct talc_error *err) {
    struct tokenizer *tok = calloc(1, sizeof *tok);
    if (!tok) {
        talc_fail(err, "out of memory for a tokenizer");
        return NULL;
    }
    memset(tok->bpe.byte_ids, 0xff, sizeof tok->bpe.byte_ids); /* -1 */
    tok->unknown_id = tok->bpe.unknown_id = tok->bos_id = tok->eos_id = tok->end_of_text_id = tok->pad_id = -1;
    return tok;
}

void tokenizer_free(struct tokenizer *tok) {
    if (!tok) return;
    encoders_free(tok);
    json_decref(tok->sections.normalizer);
    json_decref(tok->sections.pre_tokenizer);
    json_decref(tok->sections.post_processor);
    json_decref(tok->sections.decoder);
    normalizer_free(&tok->normalizer);
    split_free(&tok->split);
    vocabulary_free(&tok->vocabulary);
    bpe_free(&tok->bpe);
    added_list_free(&tok->added);
    free(tok->scores);
    unigram_free(&tok->unigram);
    wordpiece_free(&tok->wordpiece);
    free(tok->source);
    free(tok->chat_template);
    free(tok);
}

bool tokenizer_set_score(struct tokenizer *tok, int32_t id, double score) {
    if ((size_t)id >= tok->n_scores) {
        size_t n = tok->n_scores * 2 > (size_t)id + 1 ? tok->n_scores * 2 : (size_t)id + 1024;
        double *scores = realloc(tok->scores, n * sizeof *scores);
        if (!scores) return false;
        for (size_t i = tok->n_scores; i < n; i++) scores[i] = 0;
        tok->scores = scores;
        tok->n_scores = n;
    }
    tok->scores[id] = score;
    return true;
}

bool tokenizer_add_token(struct tokenizer *tok, struct added_token token, const char *text, size_t n_bytes,
                         struct talc_error *err) {
    if (!vocabulary_add(&tok->vocabulary, token.id, text, n_bytes, token.special ? TOKEN_SPECIAL : TOKEN_ADDED, err))
        return false;
    return added_list_add(&tok->added, token, text, n_bytes) || talc_fail(err, "out of memory for special tokens");
}

bool tokenizer_add_special(struct tokenizer *tok, const char *name, int64_t id, struct talc_error *err) {
    if (id < 0 || id >= VOCABULARY_MAX_SIZE)
        return talc_fail(err, "the special token \"%.40s\" has id %lld; ids must be between 0 and %d", name,
                         (long long)id, VOCABULARY_MAX_SIZE - 1);
    struct added_token token = {.id = (int32_t)id, .special = true};
    return tokenizer_add_token(tok, token, name, strlen(name), err);
}

/* Tokens that are looked for in normalised text are normalised themselves. */
static bool finish_added(struct tokenizer *tok, struct talc_error *err) {
    for (size_t i = 0; i < tok->added.n_tokens; i++) {
        struct added_token *token = &tok->added.tokens[i];
        const char *text = token->text;
        size_t n = token->n_bytes;
        struct buffer normal = {0}, spaced = {0};
        if (!token->normalized) continue;
        bool ok = token->as_written || normalizer_apply(&tok->normalizer, 0, &text, &n, &normal, err);
        if (ok && tokenizer_marks_spaces(tok) && !tok->words_apart) {
            ok = space_text(text, n, &spaced) || talc_fail(err, "out of memory for special tokens");
            text = spaced.data;
            n = spaced.length;
        }
        char *copy = ok && n ? malloc(n + 1) : NULL;
        if (ok && !copy) ok = talc_fail(err, "the added token \"%s\" is empty when it is normalised", token->text);
        if (copy) {
            memcpy(copy, text, n);
            copy[n] = 0;
            free(token->text);
            token->text = copy;
            token->n_bytes = (uint32_t)n;
        }
        buffer_free(&normal);
        buffer_free(&spaced);
        if (!ok) return false;
    }
    added_list_finish(&tok->added);
    return true;
}

/* The first of the names that is a special token, or fallback. */
static int32_t first_special(const struct tokenizer *tok, const char *const *names, int32_t fallback) {
    for (; *names; names++) {
        int32_t id = tokenizer_special_id(tok, *names);
        if (id >= 0) return id;
    }
    return fallback;
}

bool tokenizer_is_end(const struct tokenizer *tok, int32_t id) {
    if (id < 0) return false;
    for (int i = 0; i < tok->n_ends; i++)
        if (tok->ends[i] == id) return true;
    return id == tok->eos_id || id == tok->end_of_text_id;
}

void tokenizer_add_end(struct tokenizer *tok, int64_t id) {
    bool exists = id >= 0 && id < tokenizer_vocab_size(tok);
    if (exists && !tokenizer_is_end(tok, (int32_t)id) && tok->n_ends < TOKENIZER_MOST_ENDS)
        tok->ends[tok->n_ends++] = (int32_t)id;
}

void tokenizer_choose_roles(struct tokenizer *tok) {
    static const char *const end_of_text[] = {TOKEN_END_OF_TEXT, "<|end_of_text|>", "</s>", NULL};
    static const char *const end_of_turn[] = {TOKEN_IM_END, "<|eot_id|>", "<end_of_turn>", TOKEN_END, NULL};
    if (tok->end_of_text_id < 0) tok->end_of_text_id = first_special(tok, end_of_text, tok->eos_id);
    if (tok->eos_id < 0) tok->eos_id = first_special(tok, end_of_turn, tok->end_of_text_id);
    for (const char *const *name = end_of_turn; *name; name++) tokenizer_add_end(tok, tokenizer_special_id(tok, *name));
    tokenizer_add_end(tok, tokenizer_special_id(tok, "<|eom_id|>")); /* Llama's, of a message that calls a tool */
}

/* FNV-1a, 64 bits: simple enough to stay the same for ever, as files keep this hash. */
static void hash_more(uint64_t *hash, const void *data, size_t n_bytes) {
    const unsigned char *bytes = data;
    for (size_t i = 0; i < n_bytes; i++) *hash = (*hash ^ bytes[i]) * 0x100000001b3u;
}

static void hash_number(uint64_t *hash, uint32_t x) {
    unsigned char bytes[4] = {(unsigned char)x, (unsigned char)(x >> 8), (unsigned char)(x >> 16),
                              (unsigned char)(x >> 24)};
    hash_more(hash, bytes, sizeof bytes);
}

static bool hash_section(uint64_t *hash, const json_t *section) {
    if (!section || json_is_null(section)) return true;
    char *text = json_dumps(section, JSON_COMPACT | JSON_SORT_KEYS);
    if (text) hash_more(hash, text, strlen(text));
    free(text);
    return text;
}

/* How text is treated: for what one scanner does its name (and NFC), else the sections as they are. */
static bool hash_treatment(uint64_t *hash, const struct tokenizer *tok) {
    enum pretokenizer scanner;
    bool nfc = tok->normalizer.n_steps == 1 && tok->normalizer.steps[0].kind == NORMALIZER_NFC;
    bool plain = (nfc || tok->normalizer.n_steps == 0) && tok->prefix_space == PREFIX_NONE;
    bool scanned = tok->type == TOKENIZER_BYTE_BPE && split_is_scanner(&tok->split, &scanner);
    const char *pattern = tok->type == TOKENIZER_CHARACTER ? "characters"
                          : scanned                        ? pretokenizer_name(scanner)
                                                           : "sections";
    hash_more(hash, pattern, strlen(pattern));
    hash_number(hash, plain && nfc);
    if (plain && (scanned || tok->type == TOKENIZER_CHARACTER)) return true;
    return hash_section(hash, tok->sections.normalizer) && hash_section(hash, tok->sections.pre_tokenizer);
}

/* Files hold hashes from before it was known what tokenizer.json cannot say: what was kept as a SentencePiece model
 * then has the same hash, as it has the same ids. */
static void hash_added(uint64_t *hash, const struct tokenizer *tok) {
    for (size_t i = 0; i < tok->added.n_tokens; i++) {
        const struct added_token *t = &tok->added.tokens[i];
        if (!t->single_word && !t->lstrip && !t->rstrip && !t->normalized) continue;
        bool kept = t->normalized && t->as_written && tok->normalizer.n_steps > 0 &&
                    !tokenizer_normalizes_as_sentencepiece(tok);
        hash_number(hash, (uint32_t)t->id);
        hash_number(hash, kept * 16u + t->single_word * 8u + t->lstrip * 4u + t->rstrip * 2u + t->normalized);
    }
}

static bool compute_hash(struct tokenizer *tok, struct talc_error *err) {
    uint64_t hash = 0xcbf29ce484222325u;
    if (!hash_treatment(&hash, tok)) return talc_fail(err, "out of memory for a tokenizer");
    hash_number(&hash, tok->bpe.whole_words);
    hash_number(&hash, (uint32_t)tok->unknown_id);
    for (int32_t id = 0; id < tok->vocabulary.size; id++) {
        const struct vocabulary_token *token = &tok->vocabulary.tokens[id];
        hash_number(&hash, token->kind);
        hash_number(&hash, token->n_bytes);
        hash_more(&hash, vocabulary_bytes(&tok->vocabulary, token), token->n_bytes);
    }
    for (size_t i = 0; i < tok->bpe.n_merges; i++) {
        hash_number(&hash, (uint32_t)tok->bpe.merges[i].left);
        hash_number(&hash, (uint32_t)tok->bpe.merges[i].right);
        if (tok->ties_matter && !tokenizer_normalizes_as_sentencepiece(tok))
            hash_number(&hash, tok->bpe.merges[i].rank);
    }
    if (tok->bpe.fuse_unknown) hash_number(&hash, 1);
    if (tok->type == TOKENIZER_WORDPIECE) {
        hash_more(&hash, tok->wordpiece.prefix, strlen(tok->wordpiece.prefix));
        hash_number(&hash, (uint32_t)tok->wordpiece.max_characters);
    }
    for (int32_t id = 0; tok->type == TOKENIZER_UNIGRAM && id < tok->vocabulary.size; id++) {
        uint64_t bits;
        memcpy(&bits, &tok->scores[id], sizeof bits);
        hash_number(&hash, (uint32_t)bits);
        hash_number(&hash, (uint32_t)(bits >> 32));
    }
    hash_added(&hash, tok);
    tok->hash = hash;
    return true;
}

static bool has_symbol(const struct tokenizer *tok, char c) {
    return vocabulary_find(&tok->vocabulary, &c, 1) >= 0 || tok->bpe.byte_ids[(unsigned char)c] >= 0;
}

/* Where no token has a space behind another character, words between spaces are encoded on their own; where none has a
 * line end beside another character, so are lines. */
static void find_borders(struct tokenizer *tok) {
    const struct vocabulary *v = &tok->vocabulary;
    tok->split_before_spaces = tokenizer_marks_spaces(tok) && !tok->bpe.whole_words && has_symbol(tok, ' ');
    tok->split_at_line_ends = tok->split_before_spaces && has_symbol(tok, '\n');
    for (int32_t id = 0; tok->split_before_spaces && id < v->size; id++) {
        const struct vocabulary_token *token = &v->tokens[id];
        const char *bytes = vocabulary_bytes(v, token);
        if (token->kind != TOKEN_TEXT) continue;
        for (uint32_t i = 1; i < token->n_bytes; i++) {
            if (bytes[i] == ' ' && bytes[i - 1] != ' ') tok->split_before_spaces = false;
            if ((bytes[i] == '\n') != (bytes[i - 1] == '\n')) tok->split_at_line_ends = false;
        }
    }
}

static void describe(struct tokenizer *tok) {
    enum pretokenizer scanner;
    char cut[48];
    const char *nfc = tok->normalizer.n_steps == 1 && tok->normalizer.steps[0].kind == NORMALIZER_NFC ? ", NFC"
                      : tok->normalizer.n_steps && tok->type == TOKENIZER_BYTE_BPE                    ? ", normalised"
                                                                                                      : "";
    snprintf(cut, sizeof cut, "cut in %d steps", tok->split.n_steps);
    if (split_is_scanner(&tok->split, &scanner)) snprintf(cut, sizeof cut, "pattern %s", pretokenizer_name(scanner));
    if (tok->type == TOKENIZER_CHARACTER)
        snprintf(tok->description, sizeof tok->description, "characters");
    else if (tok->type == TOKENIZER_SPACE_BPE)
        snprintf(tok->description, sizeof tok->description, "SentencePiece BPE%s",
                 tok->bpe.byte_ids['\n'] >= 0 ? ", byte fallback" : "");
    else if (tok->type == TOKENIZER_WORDPIECE)
        snprintf(tok->description, sizeof tok->description, "WordPiece");
    else if (tok->type == TOKENIZER_UNIGRAM)
        snprintf(tok->description, sizeof tok->description, "SentencePiece unigram%s",
                 tok->bpe.byte_ids['\n'] >= 0 ? ", byte fallback" : "");
    else
        snprintf(tok->description, sizeof tok->description, "byte-level BPE, %s%s", cut, nfc);
}

static bool finish_model(struct tokenizer *tok, struct talc_error *err) {
    int32_t last = tok->vocabulary.size - 1;
    if (tok->scores && (size_t)last >= tok->n_scores && !tokenizer_set_score(tok, last, 0))
        return talc_fail(err, "out of memory for scores");
    if (tok->type == TOKENIZER_CHARACTER) return true;
    if (tok->type == TOKENIZER_WORDPIECE) {
        tok->wordpiece.unknown_id = tok->unknown_id;
        return wordpiece_build(&tok->wordpiece, &tok->vocabulary, err);
    }
    if (tok->type != TOKENIZER_UNIGRAM)
        return bpe_finish(&tok->bpe, &tok->vocabulary, err) &&
               (!tok->scores || bpe_ties_matter(&tok->bpe, &tok->vocabulary, &tok->ties_matter, err));
    if (!tok->scores) return talc_fail(err, "the pieces have no scores");
    tok->unigram.scores = tok->scores;
    tok->unigram.unknown_id = tok->unknown_id;
    tok->unigram.byte_ids = tok->bpe.byte_ids;
    return unigram_build(&tok->unigram, &tok->vocabulary, tok->lowest_score, err);
}

bool tokenizer_finish(struct tokenizer *tok, struct talc_error *err) {
    if (tok->vocabulary.n_tokens == 0) return talc_fail(err, "the vocabulary is empty");
    tok->bpe.unknown_id = tok->unknown_id;
    if (!finish_model(tok, err)) return false;
    if (!finish_added(tok, err)) return false;
    find_borders(tok);
    describe(tok);
    return compute_hash(tok, err);
}

/* ==== decoding and questions ================================================================== */

/* A token of WordPiece behind what is there already. */
static void append_wordpiece(const struct tokenizer *tok, const struct vocabulary_token *token, bool first,
                             struct buffer *out) {
    size_t n = token->n_bytes;
    bool space;
    const char *text = wordpiece_text(&tok->wordpiece, vocabulary_bytes(&tok->vocabulary, token), &n, &space);
    if (first) { /* is as it is written */
        text = vocabulary_bytes(&tok->vocabulary, token);
        n = token->n_bytes;
    } else if (space) {
        buffer_append_char(out, ' ');
    }
    buffer_append(out, text, n);
}

bool tokenizer_decode(const struct tokenizer *tok, const int32_t *ids, size_t n, bool skip_special, struct buffer *out,
                      struct talc_error *err) {
    bool strip = tok->strip_space; /* until there is text */
    bool first = true;
    for (size_t i = 0; i < n; i++) {
        const struct vocabulary_token *token = vocabulary_token(&tok->vocabulary, ids[i]);
        if (token->kind == TOKEN_ABSENT)
            return talc_fail(
                err, "token %zu of the list has id %d, which this tokenizer does not have (its ids are below %d)", i,
                (int)ids[i], (int)tok->vocabulary.size);
        if (skip_special && token->kind == TOKEN_SPECIAL) continue;
        if (tok->type == TOKENIZER_WORDPIECE) {
            append_wordpiece(tok, token, first, out);
            first = false;
            continue;
        }
        const char *bytes = vocabulary_bytes(&tok->vocabulary, token);
        bool skip = strip && *bytes == ' ';
        buffer_append(out, bytes + skip, token->n_bytes - skip);
        strip = strip && token->kind == TOKEN_SPECIAL;
    }
    return buffer_ok(out) || talc_fail(err, "out of memory for text");
}

/* Bytes of text that a token's bytes are, from the start on; SIZE_MAX when they are others. SentencePiece has a space
 * for U+2581. */
static size_t token_extent(const struct tokenizer *tok, const char *text, size_t n, const char *bytes, size_t n_token) {
    size_t at = 0;
    for (size_t i = 0; i < n_token; i++) {
        bool mark =
            tokenizer_marks_spaces(tok) && bytes[i] == ' ' && n - at >= 3 && memcmp(text + at, "\xe2\x96\x81", 3) == 0;
        if (!mark && (at >= n || text[at] != bytes[i])) return SIZE_MAX;
        at += mark ? 3 : 1;
    }
    return at;
}

bool tokenizer_offsets(const struct tokenizer *tok, const char *text, size_t n_bytes, const int32_t *ids, size_t n_ids,
                       size_t *begins, struct talc_error *err) {
    size_t at = 0;
    for (size_t i = 0; i < n_ids; i++) {
        const struct vocabulary_token *token = vocabulary_token(&tok->vocabulary, ids[i]);
        const char *bytes = vocabulary_bytes(&tok->vocabulary, token);
        size_t n = token->n_bytes, extent = token_extent(tok, text + at, n_bytes - at, bytes, n);
        bool may_prefix = (tok->strip_space || tok->prefix_space != PREFIX_NONE) && n && *bytes == ' ';
        if (extent == SIZE_MAX && may_prefix) /* the space that encoding put before the text */
            extent = token_extent(tok, text + at, n_bytes - at, bytes + 1, n - 1);
        if (extent == SIZE_MAX || token->kind == TOKEN_ABSENT)
            return talc_fail(err,
                             "token %zu of the list does not stand in the text at byte %zu: the tokenizer changed "
                             "it, or the ids are of another text",
                             i, at);
        begins[i] = at;
        at += extent;
    }
    begins[n_ids] = at;
    return at == n_bytes || talc_fail(err, "the tokens end at byte %zu of %zu", at, n_bytes);
}

const char *tokenizer_token_bytes(const struct tokenizer *tok, int32_t id, size_t *n_bytes) {
    const struct vocabulary_token *token = vocabulary_token(&tok->vocabulary, id);
    *n_bytes = token->n_bytes;
    return token->kind == TOKEN_ABSENT ? NULL : vocabulary_bytes(&tok->vocabulary, token);
}

int32_t tokenizer_vocab_size(const struct tokenizer *tok) { return tok->vocabulary.size; }

bool tokenizer_is_special(const struct tokenizer *tok, int32_t id) {
    return vocabulary_token(&tok->vocabulary, id)->kind == TOKEN_SPECIAL;
}

size_t tokenizer_added_count(const struct tokenizer *tok) { return tok->added.n_tokens; }
int32_t tokenizer_added_id(const struct tokenizer *tok, size_t i) { return tok->added.tokens[i].id; }

int32_t tokenizer_special_id(const struct tokenizer *tok, const char *name) {
    size_t n = strlen(name);
    for (size_t i = 0; i < tok->added.n_tokens; i++) {
        const struct vocabulary_token *token = vocabulary_token(&tok->vocabulary, tok->added.tokens[i].id);
        if (token->n_bytes == n && memcmp(vocabulary_bytes(&tok->vocabulary, token), name, n) == 0)
            return tok->added.tokens[i].id;
    }
    return -1;
}

bool tokenizer_adds_bos(const struct tokenizer *tok) { return tok->add_bos && tok->bos_id >= 0; }
bool tokenizer_adds_eos(const struct tokenizer *tok) { return tok->add_eos && tok->eos_id >= 0; }

bool tokenizer_encode_prompt(const struct tokenizer *tok, const char *text, size_t n_bytes, bool parse_special,
                             struct token_list *out, struct talc_error *err) {
    size_t before = out->count;
    bool bos = tokenizer_adds_bos(tok), eos = tokenizer_adds_eos(tok);
    if (bos && !token_list_append(out, tok->bos_id)) return talc_fail(err, "out of memory for tokens");
    bool ok = tokenizer_encode(tok, text, n_bytes, parse_special, out, err);
    if (ok && bos && out->count > before + 1 && out->ids[before + 1] == tok->bos_id) { /* the text has its own */
        memmove(out->ids + before, out->ids + before + 1, (out->count - before - 1) * sizeof *out->ids);
        out->count--;
    }
    if (ok && eos && (out->count == before || out->ids[out->count - 1] != tok->eos_id))
        ok = token_list_append(out, tok->eos_id) || talc_fail(err, "out of memory for tokens");
    if (!ok) out->count = before;
    return ok;
}

void tokenizer_use_cache(struct tokenizer *tok, bool use) { tok->no_cache = !use; }

int32_t tokenizer_bos_id(const struct tokenizer *tok) { return tok->bos_id; }
int32_t tokenizer_eos_id(const struct tokenizer *tok) { return tok->eos_id; }
int32_t tokenizer_end_of_text_id(const struct tokenizer *tok) { return tok->end_of_text_id; }
int32_t tokenizer_pad_id(const struct tokenizer *tok) { return tok->pad_id; }
int32_t tokenizer_unknown_id(const struct tokenizer *tok) { return tok->unknown_id; }

const char *tokenizer_chat_template(const struct tokenizer *tok) { return tok->chat_template; }

bool tokenizer_set_chat_template(struct tokenizer *tok, const char *source, struct talc_error *err) {
    char *copy = source ? strdup(source) : NULL;
    if (source && !copy) return talc_fail(err, "out of memory for a chat template");
    free(tok->chat_template);
    tok->chat_template = copy;
    return true;
}

uint64_t tokenizer_hash(const struct tokenizer *tok) { return tok->hash; }

const char *tokenizer_description(const struct tokenizer *tok) { return tok->description; }
