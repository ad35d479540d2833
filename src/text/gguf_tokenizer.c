/* gguf_tokenizer.c - reading the tokenizer inside a GGUF file: tokenizer.ggml.* as llama.cpp's converter writes it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "file/gguf.h"
#include "text/byte_level.h"
#include "text/gguf_pre.h"
#include "text/tokenizer_parts.h"

/* ==== tokens ================================================================================== */

struct reading {
    struct gguf_file file;
    struct tokenizer *tok;
    const struct gguf_value *tokens, *types, *scores, *merges;
    bool phi3; /* SentencePiece of Phi-3 */
    struct buffer scratch[2];
};

static enum piece_type token_type(const struct reading *r, uint64_t i) {
    return r->types ? (enum piece_type)gguf_i32_at(r->types, i) : PIECE_NORMAL;
}

/* Phi-3's marks of turns take the white space behind them, as the tokenizer.json of its folders says; of GGUF's keys
 * none can, and llama.cpp knows it of the model. */
static bool takes_space_behind(const struct reading *r, struct gguf_string text) {
    return r->phi3 && !gguf_string_is(text, "<unk>") && !gguf_string_is(text, "<s>") &&
           !gguf_string_is(text, TOKEN_END_OF_TEXT);
}

static bool add_named_token(struct reading *r, int32_t id, bool special, struct gguf_string text,
                            struct talc_error *err) {
    struct added_token token = {
        .id = id, .special = special, .as_written = true, .rstrip = takes_space_behind(r, text)};
    return tokenizer_add_token(r->tok, token, text.data, text.n_bytes, err);
}

static bool add_token(struct reading *r, int32_t id, struct gguf_string text, struct talc_error *err) {
    struct tokenizer *tok = r->tok;
    struct buffer *bytes = &r->scratch[0];
    enum piece_type type = token_type(r, (uint64_t)id);
    if (text.n_bytes == 0) return true; /* a hole */
    if (type == PIECE_UNKNOWN && tok->unknown_id < 0) tok->unknown_id = id;
    if (type == PIECE_CONTROL || type == PIECE_UNKNOWN) return add_named_token(r, id, true, text, err);
    if (type == PIECE_USER_DEFINED) return add_named_token(r, id, false, text, err);
    int byte = type == PIECE_BYTE ? byte_piece(text.data, text.n_bytes) : -1;
    if (byte >= 0) {
        tok->bpe.byte_ids[byte] = id;
        return vocabulary_add(&tok->vocabulary, id, &(char){(char)byte}, 1, TOKEN_BYTE, err);
    }
    buffer_clear(bytes);
    bool usable =
        type == PIECE_NORMAL && (tok->type == TOKENIZER_BYTE_BPE ? byte_level_bytes(text.data, text.n_bytes, bytes)
                                                                 : space_text(text.data, text.n_bytes, bytes));
    if (!buffer_ok(bytes)) return talc_fail(err, "out of memory for the vocabulary");
    usable = usable && vocabulary_find(&tok->vocabulary, bytes->data, bytes->length) < 0;
    return usable ? vocabulary_add(&tok->vocabulary, id, bytes->data, bytes->length, TOKEN_TEXT, err)
                  : vocabulary_add(&tok->vocabulary, id, text.data, text.n_bytes, TOKEN_UNUSABLE, err);
}

static bool add_tokens(struct reading *r, struct talc_error *err) {
    const char *at = r->tokens->data;
    if (r->tokens->n_elements > VOCABULARY_MAX_SIZE) return talc_fail(err, "the vocabulary is too large");
    for (int32_t id = 0; (uint64_t)id < r->tokens->n_elements; id++)
        if (!add_token(r, id, gguf_next_string(&at), err)) return false;
    return true;
}

static int32_t find_text(struct reading *r, const char *text, size_t n) {
    struct buffer *bytes = &r->scratch[0];
    if (!byte_level_bytes(text, n, bytes) || !buffer_ok(bytes) || bytes->length == 0) return -1;
    return vocabulary_find(&r->tok->vocabulary, bytes->data, bytes->length);
}

static bool add_merges(struct reading *r, struct talc_error *err) {
    const char *at = r->merges->data;
    struct buffer *whole = &r->scratch[1];
    for (uint64_t rank = 0; rank < r->merges->n_elements; rank++) {
        struct gguf_string line = gguf_next_string(&at);
        const char *space = line.n_bytes > 2 ? memchr(line.data + 1, ' ', line.n_bytes - 1) : NULL;
        if (!space)
            return talc_fail(err, "tokenizer.ggml.merges: entry %llu is not \"left right\"", (unsigned long long)rank);
        size_t n_left = (size_t)(space - line.data), n_right = line.n_bytes - n_left - 1;
        buffer_clear(whole);
        buffer_append(whole, line.data, n_left);
        buffer_append(whole, space + 1, n_right);
        if (!buffer_ok(whole)) return talc_fail(err, "out of memory for merges");
        struct bpe_merge m = {find_text(r, line.data, n_left), find_text(r, space + 1, n_right),
                              find_text(r, whole->data, whole->length), (uint32_t)rank};
        if (m.left < 0 || m.right < 0 || m.result < 0) continue; /* of tokens that text does not lead to */
        if (!bpe_add_merge(&r->tok->bpe, m)) return talc_fail(err, "out of memory for merges");
    }
    return true;
}

static bool keep_scores(struct reading *r, struct talc_error *err) {
    size_t n = (size_t)r->tokens->n_elements;
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        float score = gguf_f32_at(r->scores, i);
        if (isnan(score)) return talc_fail(err, "the score of token %zu is not a number", i);
        if (token_type(r, i) == PIECE_NORMAL && score < r->tok->lowest_score) r->tok->lowest_score = score;
        ok = tokenizer_set_score(r->tok, (int32_t)i, score);
    }
    return ok || talc_fail(err, "out of memory for the scores of %zu tokens", n);
}

/* ==== the whole =============================================================================== */

static bool read_role(struct reading *r, const char *key, int32_t *id, struct talc_error *err) {
    int64_t value;
    if (!gguf_get_int(&r->file, key, -1, &value, err)) return false;
    if (value < -1 || value >= (int64_t)r->tokens->n_elements) value = value == UINT32_MAX ? -1 : -2;
    if (value == -2) return talc_fail(err, "\"%s\" is no token of the vocabulary", key);
    if (value >= 0) *id = (int32_t)value;
    return true;
}

static bool read_roles(struct reading *r, bool add_bos, struct talc_error *err) {
    struct tokenizer *tok = r->tok;
    int32_t end_of_turn = -1, end_of_message = -1;
    struct gguf_string chat;
    if (!read_role(r, "tokenizer.ggml.bos_token_id", &tok->bos_id, err) ||
        !read_role(r, "tokenizer.ggml.eos_token_id", &tok->eos_id, err) ||
        !read_role(r, "tokenizer.ggml.eot_token_id", &end_of_turn, err) ||
        !read_role(r, "tokenizer.ggml.eom_token_id", &end_of_message, err) ||
        !read_role(r, "tokenizer.ggml.padding_token_id", &tok->pad_id, err) ||
        !gguf_get_bool(&r->file, "tokenizer.ggml.add_bos_token", add_bos, &tok->add_bos, err) ||
        !gguf_get_bool(&r->file, "tokenizer.ggml.add_eos_token", false, &tok->add_eos, err) ||
        !gguf_get_string(&r->file, "tokenizer.chat_template", (struct gguf_string){0}, &chat, err))
        return false;
    if (end_of_turn >= 0 && end_of_turn != tok->eos_id) {
        tok->end_of_text_id = tok->eos_id;
        tok->eos_id = end_of_turn;
    }
    tokenizer_add_end(tok, end_of_message);
    if (!chat.n_bytes) return true;
    char *copy = strndup(chat.data, chat.n_bytes);
    bool ok = copy ? tokenizer_set_chat_template(tok, copy, err) : talc_fail(err, "out of memory for a chat template");
    free(copy);
    return ok;
}

static bool read_byte_bpe(struct reading *r, struct talc_error *err) {
    struct gguf_string name;
    if (!gguf_get_string(&r->file, "tokenizer.ggml.pre", (struct gguf_string){"default", 7}, &name, err)) return false;
    const struct gguf_pre *pre = gguf_pre_find(name);
    if (!pre)
        return talc_fail(err, "tokenizer.ggml.pre \"%.*s\" is not supported",
                         name.n_bytes > 80 ? 80 : (int)name.n_bytes, name.data);
    if (!r->merges) return talc_fail(err, "there is no tokenizer.ggml.merges");
    r->tok->bpe.symbols = BPE_BYTES;
    return gguf_pre_use(r->tok, pre, err) && add_tokens(r, err) && add_merges(r, err) &&
           read_roles(r, pre->add_bos, err);
}

static bool read_charsmap(struct reading *r, struct sentencepiece_treatment *t, struct talc_error *err) {
    const struct gguf_value *map = gguf_find(&r->file, "tokenizer.ggml.precompiled_charsmap");
    if (!map || map->n_elements == 0) return true;
    if (map->type != GGUF_ARRAY || (map->element_type != GGUF_U8 && map->element_type != GGUF_I8))
        return talc_fail(err, "tokenizer.ggml.precompiled_charsmap is not an array of bytes");
    t->charsmap = map->data;
    t->n_charsmap = (size_t)map->n_elements;
    return true;
}

static bool read_treatment(struct reading *r, bool unigram, struct talc_error *err) {
    struct sentencepiece_treatment t = {0};
    if (!gguf_get_bool(&r->file, "tokenizer.ggml.add_space_prefix", true, &t.prefix, err) ||
        !gguf_get_bool(&r->file, "tokenizer.ggml.remove_extra_whitespaces", false, &t.collapse, err) ||
        !read_charsmap(r, &t, err))
        return false;
    if (!unigram && !t.collapse && !t.n_charsmap) return tokenizer_use_spaces(r->tok, t.prefix, err);
    r->tok->type = unigram ? TOKENIZER_UNIGRAM : TOKENIZER_SPACE_BPE;
    r->tok->unigram.single_precision = true;
    return tokenizer_use_sentencepiece(r->tok, &t, err);
}

/* The type is said first: it tells what tokens are. */
static bool read_sentencepiece(struct reading *r, bool unigram, struct talc_error *err) {
    struct gguf_string architecture;
    if (!r->scores || r->scores->n_elements != r->tokens->n_elements)
        return talc_fail(err, "tokenizer.ggml.scores does not have a score for every token");
    r->tok->bpe.symbols = BPE_CHARACTERS;
    r->tok->bpe.fuse_unknown = true;
    if (!gguf_get_string(&r->file, "general.architecture", (struct gguf_string){0}, &architecture, err)) return false;
    r->phi3 = gguf_string_is(architecture, "phi3");
    if (!read_treatment(r, unigram, err) || !add_tokens(r, err) || !keep_scores(r, err) ||
        !read_role(r, "tokenizer.ggml.unknown_token_id", &r->tok->unknown_id, err) ||
        (!unigram && !tokenizer_merges_from_scores(r->tok, err)) || !read_roles(r, !unigram, err))
        return false;
    return !unigram || gguf_get_bool(&r->file, "tokenizer.ggml.add_eos_token", true, &r->tok->add_eos, err);
}

static bool read_tokenizer(struct reading *r, struct talc_error *err) {
    struct gguf_string model;
    if (!gguf_get_string(&r->file, "tokenizer.ggml.model", (struct gguf_string){0}, &model, err) ||
        !gguf_get_array(&r->file, "tokenizer.ggml.tokens", GGUF_STRING, &r->tokens, err) ||
        !gguf_get_array(&r->file, "tokenizer.ggml.token_type", GGUF_I32, &r->types, err) ||
        !gguf_get_array(&r->file, "tokenizer.ggml.scores", GGUF_F32, &r->scores, err) ||
        !gguf_get_array(&r->file, "tokenizer.ggml.merges", GGUF_STRING, &r->merges, err))
        return false;
    if (!r->tokens) return talc_fail(err, "the file has no tokenizer (tokenizer.ggml.tokens)");
    if (r->types && r->types->n_elements != r->tokens->n_elements)
        return talc_fail(err, "tokenizer.ggml.token_type does not have a type for every token");
    if (gguf_string_is(model, "gpt2")) return read_byte_bpe(r, err);
    if (gguf_string_is(model, "llama")) return read_sentencepiece(r, false, err);
    if (gguf_string_is(model, "t5")) return read_sentencepiece(r, true, err);
    return talc_fail(err, "tokenizer.ggml.model \"%.*s\" is not supported (gpt2, llama and t5 are)",
                     model.n_bytes > 80 ? 80 : (int)model.n_bytes, model.data ? model.data : "");
}

bool gguf_tokenizer_read(struct tokenizer *tok, const char *path, struct talc_error *err) {
    struct reading r = {.tok = tok};
    if (!gguf_open(&r.file, path, err)) return false;
    bool ok = read_tokenizer(&r, err);
    gguf_close(&r.file);
    buffer_free(&r.scratch[0]);
    buffer_free(&r.scratch[1]);
    return ok;
}
