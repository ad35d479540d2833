/* tokenizer.c - text to ids and back; see tokenizer.h. */
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/utf8.h"
#include "text/tokenizer_parts.h"

/* ==== lists of ids =============================================================================== */

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

/* ==== making one ================================================================================= */

struct tokenizer *tokenizer_new(struct talc_error *err) {
    struct tokenizer *tok = calloc(1, sizeof *tok);
    if (!tok) {
        talc_fail(err, "out of memory for a tokenizer");
        return NULL;
    }
    tok->unknown_id = tok->bos_id = tok->eos_id = tok->end_of_text_id = tok->pad_id = -1;
    return tok;
}

void tokenizer_free(struct tokenizer *tok) {
    if (!tok) return;
    vocabulary_free(&tok->vocabulary);
    bpe_free(&tok->bpe);
    free(tok->added);
    free(tok->chat_template);
    free(tok);
}

bool tokenizer_add_special(struct tokenizer *tok, const char *name, int64_t id, struct talc_error *err) {
    return vocabulary_add(&tok->vocabulary, id, name, strlen(name), TOKEN_SPECIAL, err);
}

static int compare_added(const void *a, const void *b, void *context) {
    const struct vocabulary *v = context;
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    uint32_t length_x = vocabulary_token(v, x)->n_bytes, length_y = vocabulary_token(v, y)->n_bytes;
    if (length_x != length_y) return length_x > length_y ? -1 : 1;
    return (x > y) - (x < y);
}

static bool list_added(struct tokenizer *tok, struct talc_error *err) {
    const struct vocabulary *v = &tok->vocabulary;
    for (int32_t id = 0; id < v->size; id++) tok->n_added += token_is_added(&v->tokens[id]);
    tok->added = malloc((tok->n_added + 1) * sizeof *tok->added);
    if (!tok->added) return talc_fail(err, "out of memory for special tokens");
    size_t n = 0;
    for (int32_t id = 0; id < v->size; id++) {
        if (!token_is_added(&v->tokens[id])) continue;
        tok->added[n++] = id;
        tok->added_starts[(unsigned char)*vocabulary_bytes(v, &v->tokens[id])] = true;
    }
    qsort_r(tok->added, n, sizeof *tok->added, compare_added, &tok->vocabulary);
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

void tokenizer_choose_roles(struct tokenizer *tok) {
    static const char *const end_of_text[] = {TOKEN_END_OF_TEXT, "<|end_of_text|>", "</s>", NULL};
    static const char *const end_of_turn[] = {TOKEN_IM_END, "<|eot_id|>", "<end_of_turn>", "<|end|>", NULL};
    if (tok->end_of_text_id < 0) tok->end_of_text_id = first_special(tok, end_of_text, tok->eos_id);
    if (tok->eos_id < 0) tok->eos_id = first_special(tok, end_of_turn, tok->end_of_text_id);
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

static uint64_t compute_hash(const struct tokenizer *tok) {
    uint64_t hash = 0xcbf29ce484222325u;
    const char *pattern = tok->type == TOKENIZER_CHARACTER ? "characters" : pretokenizer_name(tok->pretokenizer);
    hash_more(&hash, pattern, strlen(pattern));
    hash_number(&hash, tok->normalize_nfc);
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
    }
    return hash;
}

bool tokenizer_finish(struct tokenizer *tok, struct talc_error *err) {
    if (tok->vocabulary.n_tokens == 0) return talc_fail(err, "the vocabulary is empty");
    if (!bpe_finish(&tok->bpe, &tok->vocabulary, err) || !list_added(tok, err)) return false;
    if (tok->type == TOKENIZER_CHARACTER)
        snprintf(tok->description, sizeof tok->description, "characters");
    else
        snprintf(tok->description, sizeof tok->description, "byte-level BPE, pattern %s%s",
                 pretokenizer_name(tok->pretokenizer), tok->normalize_nfc ? ", NFC" : "");
    tok->hash = compute_hash(tok);
    return true;
}

/* ==== encoding =================================================================================== */

static bool encode_words(const struct tokenizer *tok, const char *text, size_t n, struct token_list *out,
                         struct talc_error *err) {
    while (n > 0) {
        size_t length = pretokenize_next(tok->pretokenizer, text, n), n_ids = 0;
        if (!token_list_reserve(out, length)) return talc_fail(err, "out of memory for tokens");
        if (!bpe_encode_word(&tok->bpe, &tok->vocabulary, text, length, out->ids + out->count, &n_ids, err))
            return false;
        out->count += n_ids;
        text += length;
        n -= length;
    }
    return true;
}

static bool encode_characters(const struct tokenizer *tok, const char *text, size_t n, struct token_list *out,
                              struct talc_error *err) {
    for (size_t i = 0; i < n;) {
        int32_t codepoint;
        size_t length = (size_t)utf8_decode(text + i, n - i, &codepoint);
        int32_t id = vocabulary_find(&tok->vocabulary, text + i, length);
        if (id < 0) id = tok->unknown_id;
        if (id < 0 && codepoint < 0)
            return talc_fail(err, "byte 0x%02x at %zu is not valid UTF-8, and this tokenizer knows only characters",
                             (unsigned char)text[i], i);
        if (id < 0)
            return talc_fail(err, "the character \"%.*s\" (U+%04X) at byte %zu is not among the %d of this tokenizer",
                             (int)length, text + i, (unsigned)codepoint, i, (int)tok->vocabulary.n_tokens);
        if (!token_list_append(out, id)) return talc_fail(err, "out of memory for tokens");
        i += length;
    }
    return true;
}

/* Text without added tokens in it. */
static bool encode_text(const struct tokenizer *tok, const char *text, size_t n, struct token_list *out,
                        struct talc_error *err) {
    if (n == 0) return true;
    struct buffer normal = {0};
    if (tok->normalize_nfc) {
        if (!normalize_nfc(text, n, &normal, err)) {
            buffer_free(&normal);
            return false;
        }
        text = normal.data;
        n = normal.length;
    }
    bool ok = tok->type == TOKENIZER_CHARACTER ? encode_characters(tok, text, n, out, err)
                                               : encode_words(tok, text, n, out, err);
    buffer_free(&normal);
    return ok;
}

/* The longest added token that text begins with, -1 for none. */
static int32_t added_at(const struct tokenizer *tok, const char *text, size_t n, bool parse_special) {
    if (!tok->added_starts[(unsigned char)*text]) return -1;
    for (size_t i = 0; i < tok->n_added; i++) {
        const struct vocabulary_token *token = vocabulary_token(&tok->vocabulary, tok->added[i]);
        if (token->n_bytes > n || (token->kind == TOKEN_SPECIAL && !parse_special)) continue;
        if (memcmp(vocabulary_bytes(&tok->vocabulary, token), text, token->n_bytes) == 0) return tok->added[i];
    }
    return -1;
}

static bool encode_all(const struct tokenizer *tok, const char *text, size_t n, bool parse_special,
                       struct token_list *out, struct talc_error *err) {
    size_t start = 0;
    for (size_t i = 0; tok->n_added && i < n;) {
        int32_t id = added_at(tok, text + i, n - i, parse_special);
        if (id < 0) {
            i++;
            continue;
        }
        if (!encode_text(tok, text + start, i - start, out, err)) return false;
        if (!token_list_append(out, id)) return talc_fail(err, "out of memory for tokens");
        start = i += vocabulary_token(&tok->vocabulary, id)->n_bytes;
    }
    return encode_text(tok, text + start, n - start, out, err);
}

bool tokenizer_encode(const struct tokenizer *tok, const char *text, size_t n_bytes, bool parse_special,
                      struct token_list *out, struct talc_error *err) {
    size_t before = out->count;
    if (encode_all(tok, text, n_bytes, parse_special, out, err)) return true;
    out->count = before;
    return false;
}

/* ==== decoding and questions ===================================================================== */

bool tokenizer_decode(const struct tokenizer *tok, const int32_t *ids, size_t n, bool skip_special, struct buffer *out,
                      struct talc_error *err) {
    for (size_t i = 0; i < n; i++) {
        const struct vocabulary_token *token = vocabulary_token(&tok->vocabulary, ids[i]);
        if (token->kind == TOKEN_ABSENT)
            return talc_fail(
                err, "token %zu of the list has id %d, which this tokenizer does not have (its ids are below %d)", i,
                (int)ids[i], (int)tok->vocabulary.size);
        if (!skip_special || token->kind != TOKEN_SPECIAL)
            buffer_append(out, vocabulary_bytes(&tok->vocabulary, token), token->n_bytes);
    }
    return buffer_ok(out) || talc_fail(err, "out of memory for text");
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

int32_t tokenizer_special_id(const struct tokenizer *tok, const char *name) {
    size_t n = strlen(name);
    for (size_t i = 0; i < tok->n_added; i++) {
        const struct vocabulary_token *token = vocabulary_token(&tok->vocabulary, tok->added[i]);
        if (token->n_bytes == n && memcmp(vocabulary_bytes(&tok->vocabulary, token), name, n) == 0)
            return tok->added[i];
    }
    return -1;
}

int32_t tokenizer_bos_id(const struct tokenizer *tok) { return tok->bos_id; }
int32_t tokenizer_eos_id(const struct tokenizer *tok) { return tok->eos_id; }
int32_t tokenizer_end_of_text_id(const struct tokenizer *tok) { return tok->end_of_text_id; }
int32_t tokenizer_pad_id(const struct tokenizer *tok) { return tok->pad_id; }

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
