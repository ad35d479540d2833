/* tokenizer_json.c - reading tokenizer.json, the format of Hugging Face's `tokenizers`, and vocab.json with merges.txt:
 * vocabulary, merges and added tokens. The other sections are read in tokenizer_sections.c. A vocabulary may have
 * hundreds of thousands of entries: it and the merges are read from front to back, without a tree. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "file/atomic.h"
#include "file/json.h"
#include "file/json_scan.h"
#include "text/byte_level.h"
#include "text/hash.h"
#include "text/tokenizer_parts.h"

#define MAX_FILE_BYTES ((size_t)1 << 30)

enum part { ADDED_TOKENS, NORMALIZER, PRE_TOKENIZER, POST_PROCESSOR, DECODER, N_PARTS };
static const char *const part_names[N_PARTS] = {"added_tokens", "normalizer", "pre_tokenizer", "post_processor",
                                                "decoder"};

struct range {
    size_t begin, end; /* end 0: not in the file */
};

#define ADDED_FILTER 4096

/* A file while it is read. */
struct reader {
    struct tokenizer *tok;
    const char *text;
    size_t n_bytes;
    json_t *parts[N_PARTS], *model; /* model: its options only */
    struct range vocab, merges;
    bool byte_fallback;
    struct buffer scratch[3];
    bool maybe_added[ADDED_FILTER]; /* by hash: a text whose place is false is no added token's */
};

/* Fails, naming the key, unless it is absent, null, false, 0 or "". */
static bool expect_unset(const json_t *object, const char *key, const char *where, struct talc_error *err) {
    const json_t *value = json_object_get(object, key);
    bool unset = !value || json_is_null(value) || json_is_false(value) ||
                 (json_is_number(value) && json_number_value(value) == 0) ||
                 (json_is_string(value) && json_string_length(value) == 0);
    return unset || talc_fail(err, "%s asks for %s, which is not supported", where, key);
}

static bool equals(const char *key, size_t n, const char *name) {
    return strlen(name) == n && memcmp(key, name, n) == 0;
}

/* ==== the parts of the file =================================================================== */

static bool note_range(struct json_scan *s, struct range *range, const char *name, struct talc_error *err) {
    if (range->end) return talc_fail(err, "duplicate object key \"%s\"", name);
    return json_scan_skip(s, &range->begin, &range->end, err);
}

static bool scan_model(struct reader *r, struct json_scan *s, struct talc_error *err) {
    const char *key;
    size_t n;
    bool more = true;
    if (r->model) return talc_fail(err, "duplicate object key \"model\"");
    r->model = json_object();
    if (!r->model) return talc_fail(err, "out of memory for the model");
    if (json_scan_peek(s) != '{') return talc_fail(err, "there is no \"model\": this is not a tokenizer.json");
    if (!json_scan_object(s, err)) return false;
    while (json_scan_key(s, &key, &n, &more, err) && more) {
        char name[64];
        json_t *value = NULL;
        bool ok;
        if (equals(key, n, "vocab")) {
            ok = note_range(s, &r->vocab, "vocab", err);
        } else if (equals(key, n, "merges")) {
            ok = note_range(s, &r->merges, "merges", err);
        } else {
            if (n >= sizeof name) return talc_fail(err, "a key of %zu bytes in \"model\"", n);
            memcpy(name, key, n);
            name[n] = 0;
            value = json_incref(json_object_get(r->model, name));
            ok = json_scan_parse(s, name, &value, err) && json_object_set(r->model, name, value) == 0;
            json_decref(value);
        }
        if (!ok) return false;
    }
    return !more;
}

static bool scan_file(struct reader *r, struct json_scan *s, struct talc_error *err) {
    const char *key;
    size_t n, begin, end;
    bool more = true;
    if (!json_scan_object(s, err)) return false;
    while (json_scan_key(s, &key, &n, &more, err) && more) {
        int part = 0;
        while (part < N_PARTS && !equals(key, n, part_names[part])) part++;
        bool ok = part < N_PARTS            ? json_scan_parse(s, part_names[part], &r->parts[part], err)
                  : equals(key, n, "model") ? scan_model(r, s, err)
                                            : json_scan_skip(s, &begin, &end, err);
        if (!ok) return false;
        s->first = false;
    }
    return !more && json_scan_end(s, err);
}

/* ==== the vocabulary ========================================================================== */

/* The added token of this text, NULL: none. */
static const struct added_token *find_added(const struct reader *r, const char *text, size_t n) {
    if (!r->maybe_added[hash_bytes(text, n) % ADDED_FILTER]) return NULL;
    for (size_t i = 0; i < r->tok->added.n_tokens; i++) {
        const struct added_token *added = &r->tok->added.tokens[i];
        if (added->n_bytes == n && memcmp(added->text, text, n) == 0) return added;
    }
    return NULL;
}

static void note_added(struct reader *r) {
    for (size_t i = 0; i < r->tok->added.n_tokens; i++) {
        const struct added_token *added = &r->tok->added.tokens[i];
        r->maybe_added[hash_bytes(added->text, added->n_bytes) % ADDED_FILTER] = true;
    }
}

static bool read_added_token(struct tokenizer *tok, const json_t *entry, struct talc_error *err) {
    struct added_token token = {0};
    const char *content;
    int64_t id;
    if (!json_is_object(entry)) return talc_fail(err, "added_tokens must hold objects");
    bool ok = json_get_string(entry, "content", "", &content, err) &&
              json_get_int(entry, "id", -1, 0, VOCABULARY_MAX_SIZE - 1, &id, err) &&
              json_get_bool(entry, "special", false, &token.special, err) &&
              json_get_bool(entry, "single_word", false, &token.single_word, err) &&
              json_get_bool(entry, "lstrip", false, &token.lstrip, err) &&
              json_get_bool(entry, "rstrip", false, &token.rstrip, err) &&
              json_get_bool(entry, "normalized", !token.special, &token.normalized, err);
    if (!ok) return talc_fail_in(err, "added_tokens");
    if (id < 0) return talc_fail(err, "the added token \"%s\" has id -1", content);
    if (tok->normalizer.n_steps == 0 && !tokenizer_marks_spaces(tok)) token.normalized = false;
    token.id = (int32_t)id;
    return tokenizer_add_token(tok, token, content, strlen(content), err);
}

static bool is_one_character(const char *text, size_t n) {
    int32_t codepoint;
    return n > 0 && (size_t)utf8_decode(text, n, &codepoint) == n;
}

/* The text of a key, as the kind of tokenizer has it; false: no text leads to it. */
static bool key_bytes(const struct reader *r, const char *key, size_t n, struct buffer *bytes) {
    if (r->tok->type == TOKENIZER_BYTE_BPE) return byte_level_bytes(key, n, bytes);
    buffer_clear(bytes);
    if (tokenizer_marks_spaces(r->tok)) return space_text(key, n, bytes) && !memchr(key, ' ', n);
    buffer_append(bytes, key, n);
    return true;
}

/* Where the added tokens list the token too, both must give it the same id. */
static bool is_added(const struct reader *r, const char *key, size_t n, int64_t id, bool *same,
                     struct talc_error *err) {
    const struct vocabulary *v = &r->tok->vocabulary;
    *same = false;
    const struct vocabulary_token *there = vocabulary_token(v, id >= 0 && id < VOCABULARY_MAX_SIZE ? (int32_t)id : -1);
    if (token_is_added(there) && there->n_bytes == n && memcmp(vocabulary_bytes(v, there), key, n) == 0) {
        *same = true;
        return true;
    }
    const struct added_token *added = find_added(r, key, n);
    return !added || talc_fail(err, "the added token \"%s\" has id %d, but the vocabulary gives it %lld", added->text,
                               (int)added->id, (long long)id);
}

static bool read_token(struct reader *r, const char *key, size_t n, int64_t id, const char *unknown,
                       struct talc_error *err) {
    struct tokenizer *tok = r->tok;
    struct buffer *bytes = &r->scratch[0];
    bool same, is_unknown = *unknown && equals(key, n, unknown);
    if (is_unknown && id >= 0 && id < VOCABULARY_MAX_SIZE) tok->unknown_id = (int32_t)id;
    if (!is_added(r, key, n, id, &same, err)) return false;
    if (same) return true;
    if (tok->type == TOKENIZER_CHARACTER) {
        if (!is_unknown && !is_one_character(key, n))
            return talc_fail(err, "without a pre_tokenizer every token must be one character, but \"%.*s\" is not",
                             n > 40 ? 40 : (int)n, key);
        return vocabulary_add(&tok->vocabulary, id, key, n, is_unknown ? TOKEN_UNUSABLE : TOKEN_TEXT, err);
    }
    int byte = r->byte_fallback ? byte_piece(key, n) : -1;
    if (byte >= 0) {
        if (id >= 0 && id < VOCABULARY_MAX_SIZE) tok->bpe.byte_ids[byte] = (int32_t)id;
        return vocabulary_add(&tok->vocabulary, id, &(char){(char)byte}, 1, TOKEN_BYTE, err);
    }
    bool usable = key_bytes(r, key, n, bytes) && !is_unknown;
    if (!buffer_ok(bytes)) return talc_fail(err, "out of memory for the vocabulary");
    return usable ? vocabulary_add(&tok->vocabulary, id, bytes->data, bytes->length, TOKEN_TEXT, err)
                  : vocabulary_add(&tok->vocabulary, id, key, n, TOKEN_UNUSABLE, err);
}

static bool read_vocabulary(struct reader *r, struct json_scan *s, const char *unknown, struct talc_error *err) {
    const char *key;
    size_t n;
    int64_t id;
    bool more = true;
    if (json_scan_peek(s) != '{') return talc_fail(err, "model.vocab must be an object of tokens and ids");
    if (!json_scan_object(s, err)) return false;
    while (json_scan_key(s, &key, &n, &more, err) && more) {
        if (!json_scan_integer(s, &id, NULL))
            return talc_fail(err, "the id of token \"%.*s\" is not a whole number", n > 40 ? 40 : (int)n, key);
        if (!read_token(r, key, n, id, unknown, err)) return false;
    }
    if (more) return false;
    return !*unknown || r->tok->unknown_id >= 0 ||
           talc_fail(err, "unk_token \"%.40s\" is not in the vocabulary", unknown);
}

/* ==== merges ================================================================================== */

/* The id of a token by the name that the file has for it, -1: none. */
static int32_t find_name(struct reader *r, const char *name, size_t n) {
    const struct tokenizer *tok = r->tok;
    struct buffer *bytes = &r->scratch[2];
    int32_t id = key_bytes(r, name, n, bytes) ? vocabulary_find(&tok->vocabulary, bytes->data, bytes->length) : -1;
    const struct added_token *added = id < 0 ? find_added(r, name, n) : NULL;
    return added ? added->id : id;
}

static bool add_merge(struct reader *r, const char *left, size_t n_left, const char *right, size_t n_right, size_t rank,
                      struct talc_error *err) {
    const struct {
        const char *what, *name;
        size_t n;
    } names[3] = {{"left part", left, n_left}, {"right part", right, n_right}, {"result", NULL, 0}};
    struct buffer *whole = &r->scratch[1];
    int32_t ids[3];
    buffer_clear(whole);
    buffer_append(whole, left, n_left);
    buffer_append(whole, right, n_right);
    if (!buffer_ok(whole)) return talc_fail(err, "out of memory for merges");
    for (int i = 0; i < 3; i++) {
        const char *name = i < 2 ? names[i].name : whole->data;
        size_t n = i < 2 ? names[i].n : whole->length;
        ids[i] = find_name(r, name, n);
        if (ids[i] < 0)
            return talc_fail(err, "merge %zu: its %s \"%.*s\" is not in the vocabulary", rank, names[i].what,
                             n > 40 ? 40 : (int)n, name);
    }
    if (rank >= INT32_MAX) return talc_fail(err, "there are more than 2^31 merges");
    return bpe_add_merge(&r->tok->bpe, (struct bpe_merge){ids[0], ids[1], ids[2], (uint32_t)rank}) ||
           talc_fail(err, "out of memory for merges");
}

/* "left right" */
static bool add_merge_line(struct reader *r, const char *text, size_t n, size_t rank, struct talc_error *err) {
    const char *space = memchr(text, ' ', n);
    size_t n_left = space ? (size_t)(space - text) : 0, n_right = space ? n - n_left - 1 : 0;
    if (!n_left || !n_right || memchr(space + 1, ' ', n_right))
        return talc_fail(err, "merge %zu is neither \"left right\" nor [\"left\", \"right\"]", rank);
    return add_merge(r, text, n_left, space + 1, n_right, rank, err);
}

/* ["left", "right"] */
static bool read_merge_pair(struct reader *r, struct json_scan *s, size_t rank, struct talc_error *err) {
    struct buffer *left = &r->scratch[0];
    const char *text, *right;
    size_t n, n_right;
    bool more;
    buffer_clear(left);
    bool ok =
        json_scan_array(s, NULL) && json_scan_item(s, &more, NULL) && more && json_scan_string(s, &text, &n, NULL);
    if (ok) buffer_append(left, text, n);
    ok = ok && json_scan_item(s, &more, NULL) && more && json_scan_string(s, &right, &n_right, NULL) && n && n_right &&
         json_scan_item(s, &more, NULL) && !more;
    if (!ok) return talc_fail(err, "merge %zu is neither \"left right\" nor [\"left\", \"right\"]", rank);
    return add_merge(r, left->data, left->length, right, n_right, rank, err);
}

static bool read_merges(struct reader *r, struct json_scan *s, struct talc_error *err) {
    const char *text;
    size_t n, rank = 0;
    bool more = true;
    if (json_scan_peek(s) != '[') return talc_fail(err, "model.merges must be an array");
    if (!json_scan_array(s, err)) return false;
    while (json_scan_item(s, &more, err) && more) {
        if (r->tok->type == TOKENIZER_CHARACTER)
            return talc_fail(err, "BPE without a byte-level pre_tokenizer is not supported");
        if (json_scan_peek(s) == '[') {
            if (!read_merge_pair(r, s, rank, err)) return false;
        } else {
            if (!json_scan_string(s, &text, &n, NULL))
                return talc_fail(err, "merge %zu is neither \"left right\" nor [\"left\", \"right\"]", rank);
            if (!add_merge_line(r, text, n, rank, err)) return false;
        }
        s->first = false;
        rank++;
    }
    return !more;
}

/* ==== tokenizer.json ========================================================================== */

/* Calls `read` on a part of the text. */
static bool read_range(struct reader *r, struct range range,
                       bool (*read)(struct reader *r, struct json_scan *s, struct talc_error *err),
                       struct talc_error *err) {
    struct json_scan s = {.text = r->text, .n_bytes = range.end, .at = range.begin, .first = true};
    bool ok = read(r, &s, err);
    json_scan_close(&s);
    return ok;
}

static bool read_vocabulary_of_model(struct reader *r, struct json_scan *s, struct talc_error *err) {
    return read_vocabulary(r, s, json_text(r->model, "unk_token"), err);
}

/* [["piece", score], ...]; ids are places. */
static bool read_piece(struct reader *r, struct json_scan *s, int32_t id, const char *unknown, struct talc_error *err) {
    struct buffer *name = &r->scratch[2];
    const char *text;
    size_t n, begin, end;
    bool more;
    buffer_clear(name);
    bool ok =
        json_scan_array(s, NULL) && json_scan_item(s, &more, NULL) && more && json_scan_string(s, &text, &n, NULL);
    if (ok) buffer_append(name, text, n);
    ok = ok && json_scan_item(s, &more, NULL) && more && json_scan_skip(s, &begin, &end, NULL);
    char *number_end = NULL;
    double score = ok ? strtod(s->text + begin, &number_end) : 0;
    ok = ok && number_end == s->text + end && isfinite(score) && json_scan_item(s, &more, NULL) && !more;
    if (!ok) return talc_fail(err, "piece %d is not [\"text\", score]", (int)id);
    if (id == 0 || score < r->tok->lowest_score) r->tok->lowest_score = score;
    return read_token(r, name->data ? name->data : "", name->length, id, unknown, err) &&
           (tokenizer_set_score(r->tok, id, score) || talc_fail(err, "out of memory for scores"));
}

static bool read_pieces(struct reader *r, struct json_scan *s, struct talc_error *err) {
    int64_t unknown;
    bool more = true;
    if (json_scan_peek(s) != '[') return talc_fail(err, "model.vocab must be an array of [piece, score]");
    if (!json_get_int(r->model, "unk_id", -1, -1, VOCABULARY_MAX_SIZE - 1, &unknown, err) || !json_scan_array(s, err))
        return false;
    r->tok->unknown_id = (int32_t)unknown;
    for (int32_t id = 0; json_scan_item(s, &more, err) && more; id++) {
        if (id == VOCABULARY_MAX_SIZE) return talc_fail(err, "the vocabulary is too large");
        if (!read_piece(r, s, id, "", err)) return false;
        s->first = false;
    }
    if (more) return false;
    return vocabulary_token(&r->tok->vocabulary, r->tok->unknown_id)->kind != TOKEN_ABSENT || unknown < 0 ||
           talc_fail(err, "unk_id %d is no piece of the vocabulary", (int)unknown);
}

static bool read_wordpiece(struct reader *r, struct talc_error *err) {
    struct wordpiece *w = &r->tok->wordpiece;
    const char *prefix;
    int64_t max_characters;
    if (!json_get_string(r->model, "continuing_subword_prefix", "##", &prefix, err) ||
        !json_get_int(r->model, "max_input_chars_per_word", 100, 1, 4096, &max_characters, err))
        return false;
    w->max_characters = (size_t)max_characters;
    w->prefix = strdup(prefix);
    return w->prefix || talc_fail(err, "out of memory for a tokenizer");
}

static bool read_model(struct reader *r, struct talc_error *err) {
    static const char *const unsupported[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix"};
    struct tokenizer *tok = r->tok;
    const json_t *added = r->parts[ADDED_TOKENS], *value;
    size_t i;
    if (!r->model) return talc_fail(err, "there is no \"model\": this is not a tokenizer.json");
    const char *type = json_text(r->model, "type");
    bool unigram = strcmp(type, "Unigram") == 0, wordpiece = strcmp(type, "WordPiece") == 0;
    if (*type && !unigram && !wordpiece && strcmp(type, "BPE") != 0)
        return talc_fail(err, "model type \"%s\" is not supported (BPE, Unigram and WordPiece are)", type);
    tok->type = unigram ? TOKENIZER_UNIGRAM : wordpiece ? TOKENIZER_WORDPIECE : TOKENIZER_BYTE_BPE;
    if (wordpiece && !read_wordpiece(r, err)) return false;
    for (i = 0; !wordpiece && i < sizeof unsupported / sizeof *unsupported; i++)
        if (!expect_unset(r->model, unsupported[i], "model", err)) return false;
    if (!json_get_bool(r->model, "ignore_merges", false, &tok->bpe.whole_words, err) ||
        !json_get_bool(r->model, "fuse_unk", false, &tok->bpe.fuse_unknown, err) ||
        !json_get_bool(r->model, "byte_fallback", false, &r->byte_fallback, err) ||
        !tokenizer_read_sections(tok, r->parts[NORMALIZER], r->parts[PRE_TOKENIZER], r->parts[POST_PROCESSOR],
                                 r->parts[DECODER], err))
        return false;
    if (r->byte_fallback && !tokenizer_marks_spaces(tok))
        return talc_fail(err, "model asks for byte_fallback, which is not supported with this pre_tokenizer");
    tok->bpe.symbols = tok->type == TOKENIZER_BYTE_BPE ? BPE_BYTES : BPE_CHARACTERS;
    if (added && !json_is_null(added) && !json_is_array(added)) return talc_fail(err, "added_tokens must be an array");
    json_array_foreach(added, i, value) {
        if (!read_added_token(tok, value, err)) return false;
    }
    note_added(r);
    if (!r->vocab.end) return talc_fail(err, "model.vocab must be an object of tokens and ids");
    if (unigram) return read_range(r, r->vocab, read_pieces, err);
    if (wordpiece) return read_range(r, r->vocab, read_vocabulary_of_model, err);
    if (!r->merges.end) return talc_fail(err, "model.merges must be an array");
    return read_range(r, r->vocab, read_vocabulary_of_model, err) && read_range(r, r->merges, read_merges, err);
}

static void reader_close(struct reader *r) {
    for (int i = 0; i < N_PARTS; i++) json_decref(r->parts[i]);
    for (int i = 0; i < 3; i++) buffer_free(&r->scratch[i]);
    json_decref(r->model);
}

bool tokenizer_json_read(struct tokenizer *tok, const char *path, struct talc_error *err) {
    struct reader r = {.tok = tok};
    struct json_scan s;
    char *text = file_read(path, MAX_FILE_BYTES, &r.n_bytes, err);
    if (!text) return false;
    r.text = text;
    bool ok = json_scan_open(&s, text, r.n_bytes, err) && scan_file(&r, &s, err) && read_model(&r, err);
    json_scan_close(&s);
    reader_close(&r);
    free(text);
    return ok;
}

/* ==== vocab.json and merges.txt =============================================================== */

static bool read_merge_lines(struct reader *r, const char *text, size_t n_bytes, struct talc_error *err) {
    size_t rank = 0, number = 1;
    for (size_t i = 0, end; i < n_bytes; i = end + 1, number++) {
        const char *newline = memchr(text + i, '\n', n_bytes - i);
        end = newline ? (size_t)(newline - text) : n_bytes;
        size_t n = end - i;
        if (n && text[i + n - 1] == '\r') n--;
        if (n == 0 || (number == 1 && n >= 8 && memcmp(text + i, "#version", 8) == 0)) continue;
        if (!add_merge_line(r, text + i, n, rank++, err)) return talc_fail_in(err, "merges.txt, line %zu", number);
    }
    return true;
}

static char *read_in(const char *folder, const char *name, size_t *n_bytes, struct talc_error *err) {
    char *path = path_join(folder, name);
    char *text = path ? file_read(path, MAX_FILE_BYTES, n_bytes, err) : NULL;
    if (!path) talc_fail(err, "out of memory for a path");
    free(path);
    return text;
}

/* How text is cut is not said there, but by the class in tokenizer_config.json. */
static bool read_class(struct tokenizer *tok, const char *folder, struct talc_error *err) {
    static const struct {
        const char *name;
        enum pretokenizer pattern;
        bool nfc;
    } classes[] = {{"GPT2Tokenizer", PRETOKENIZER_GPT2, false},    {"GPT2TokenizerFast", PRETOKENIZER_GPT2, false},
                   {"Qwen2Tokenizer", PRETOKENIZER_QWEN2, true},   {"Qwen2TokenizerFast", PRETOKENIZER_QWEN2, true},
                   {"CodeGenTokenizer", PRETOKENIZER_GPT2, false}, {"CodeGenTokenizerFast", PRETOKENIZER_GPT2, false}};
    char *path = path_join(folder, "tokenizer_config.json");
    json_t *config = path && file_exists(path) ? json_read_file(path, 0, err) : json_object();
    const char *name = *json_text(config, "tokenizer_class") ? json_text(config, "tokenizer_class") : "GPT2Tokenizer";
    bool ok = path && config, found = false;
    for (size_t i = 0; ok && !found && i < sizeof classes / sizeof *classes; i++) {
        const char *regex = pretokenizer_regex(classes[i].pattern);
        found = strcmp(name, classes[i].name) == 0;
        if (found)
            ok = classes[i].nfc ? tokenizer_use_regexes(tok, &regex, 1, true, err)
                                : tokenizer_use_pattern(tok, classes[i].pattern, err);
    }
    if (ok && !found)
        ok = talc_fail(err, "vocab.json and merges.txt do not say how \"%s\" cuts text: a tokenizer.json is needed",
                       name);
    const json_t *added = ok ? json_object_get(config, "added_tokens_decoder") : NULL;
    const char *key;
    json_t *entry;
    json_object_foreach((json_t *)added, key, entry) {
        json_t *with_id = json_deep_copy(entry);
        if (json_is_object(with_id)) json_object_set_new(with_id, "id", json_integer(atoll(key)));
        ok = ok && read_added_token(tok, with_id, err);
        json_decref(with_id);
    }
    json_decref(config);
    free(path);
    return ok;
}

/* GPT-2's files call its end of text only by its name. */
static bool add_end_of_text(struct reader *r, struct json_scan *s, struct talc_error *err) {
    const char *key;
    size_t n;
    int64_t id;
    bool more = true;
    if (!json_scan_object(s, err)) return false;
    while (json_scan_key(s, &key, &n, &more, err) && more) {
        if (!json_scan_integer(s, &id, err)) return false;
        if (equals(key, n, TOKEN_END_OF_TEXT)) return tokenizer_add_special(r->tok, TOKEN_END_OF_TEXT, id, err);
    }
    return !more;
}

static bool read_plain_vocabulary(struct reader *r, struct json_scan *s, struct talc_error *err) {
    return read_vocabulary(r, s, "", err);
}

bool vocab_merges_read(struct tokenizer *tok, const char *folder, struct talc_error *err) {
    struct reader r = {.tok = tok};
    struct json_scan s = {0};
    size_t n_merges = 0;
    char *text = read_in(folder, "vocab.json", &r.n_bytes, err);
    char *merges = text ? read_in(folder, "merges.txt", &n_merges, err) : NULL;
    bool ok = merges && read_class(tok, folder, err) && json_scan_open(&s, text, r.n_bytes, err);
    struct range whole = {0, r.n_bytes};
    r.text = text;
    tok->bpe.symbols = BPE_BYTES;
    ok = ok && (tok->added.n_tokens || read_range(&r, whole, add_end_of_text, err));
    note_added(&r);
    ok = ok && read_range(&r, whole, read_plain_vocabulary, err) && read_merge_lines(&r, merges, n_merges, err);
    json_scan_close(&s);
    reader_close(&r);
    free(text);
    free(merges);
    return ok;
}
