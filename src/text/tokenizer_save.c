/* tokenizer_save.c - writing tokenizer.json, tokenizer_config.json and special_tokens_map.json, so that Hugging Face's
 * `tokenizers` and transformers read them with the same ids. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "file/atomic.h"
#include "file/json.h"
#include "text/byte_level.h"
#include "text/tokenizer_parts.h"

const char *tokenizer_written_form(const struct tokenizer *tok, const struct vocabulary_token *token,
                                   struct buffer *out) {
    const char *bytes = vocabulary_bytes(&tok->vocabulary, token);
    buffer_clear(out);
    if (token->kind == TOKEN_BYTE) {
        buffer_printf(out, "<0x%02X>", (unsigned char)*bytes);
        return buffer_ok(out) ? out->data : NULL;
    }
    bool as_it_is = tok->type == TOKENIZER_CHARACTER || tok->type == TOKENIZER_WORDPIECE;
    if (token->kind == TOKEN_UNUSABLE || token_is_added(token) || as_it_is) {
        buffer_append(out, bytes, token->n_bytes);
        return buffer_ok(out) ? out->data : NULL;
    }
    for (uint32_t i = 0; i < token->n_bytes; i++) {
        char character[4];
        if (tok->type == TOKENIZER_BYTE_BPE)
            buffer_append(out, character,
                          (size_t)utf8_encode(byte_level_character((unsigned char)bytes[i]), character));
        else if (bytes[i] == ' ')
            buffer_append_text(out, "\xe2\x96\x81");
        else
            buffer_append_char(out, bytes[i]);
    }
    return buffer_ok(out) ? out->data : NULL;
}

bool tokenizer_written_merge(const struct tokenizer *tok, const struct bpe_merge *merge, struct buffer *scratch,
                             struct buffer *out) {
    const char *part = tokenizer_written_form(tok, vocabulary_token(&tok->vocabulary, merge->left), scratch);
    buffer_clear(out);
    if (part) buffer_append_text(out, part);
    buffer_append_char(out, ' ');
    if (part) part = tokenizer_written_form(tok, vocabulary_token(&tok->vocabulary, merge->right), scratch);
    if (part) buffer_append_text(out, part);
    return part && buffer_ok(out);
}

/* The list (the object) with one more value, which it takes over; NULL, and neither is left, where there is no memory
 * for it, or was none for the list or the value. */
static json_t *with_item(json_t *list, json_t *value) {
    if (json_array_append_new(list, value) == 0) return list;
    json_decref(list);
    return NULL;
}

static json_t *with_key(json_t *object, const char *key, json_t *value) {
    if (json_object_set_new(object, key, value) == 0) return object;
    json_decref(object);
    return NULL;
}

/* The name of a token in tokenizer.json; null for -1. */
static json_t *written_json(const struct tokenizer *tok, int32_t id, struct buffer *scratch) {
    if (id < 0) return json_null();
    const char *name = tokenizer_written_form(tok, vocabulary_token(&tok->vocabulary, id), scratch);
    return name ? json_string(name) : NULL;
}

/* Readers number added tokens onward from the end of the vocabulary. Where that would not give their ids, the
 * vocabulary has to list them. */
static bool added_follow_vocabulary(const struct tokenizer *tok) {
    const struct vocabulary *v = &tok->vocabulary;
    int32_t first_added = v->n_tokens - (int32_t)tok->added.n_tokens;
    for (int32_t id = 0; id < v->size; id++) {
        if (v->tokens[id].kind == TOKEN_ABSENT || token_is_added(&v->tokens[id]) != (id >= first_added)) return false;
    }
    return true;
}

/* ==== tokenizer.json ========================================================================== */

static json_t *vocabulary_json(const struct tokenizer *tok, struct buffer *scratch) {
    const struct vocabulary *v = &tok->vocabulary;
    bool leave_out_added = added_follow_vocabulary(tok);
    json_t *vocab = json_object();
    for (int32_t id = 0; vocab && id < v->size; id++) {
        const struct vocabulary_token *token = &v->tokens[id];
        if (token->kind == TOKEN_ABSENT || (leave_out_added && token_is_added(token))) continue;
        const char *name = tokenizer_written_form(tok, token, scratch);
        vocab = with_key(vocab, name ? name : "", name ? json_integer(id) : NULL);
    }
    return vocab;
}

static json_t *merges_json(const struct tokenizer *tok, struct buffer *scratch) {
    struct buffer text = {0};
    json_t *merges = json_array();
    for (size_t i = 0; merges && i < tok->bpe.n_merges; i++) {
        bool ok = tokenizer_written_merge(tok, &tok->bpe.merges[i], scratch, &text);
        merges = with_item(merges, ok ? json_string(text.data) : NULL);
    }
    buffer_free(&text);
    return merges;
}

static bool has_byte_tokens(const struct tokenizer *tok) {
    for (int32_t id = 0; id < tok->vocabulary.size; id++)
        if (tok->vocabulary.tokens[id].kind == TOKEN_BYTE) return true;
    return false;
}

static json_t *pieces_json(const struct tokenizer *tok, struct buffer *scratch) {
    const struct vocabulary *v = &tok->vocabulary;
    json_t *pieces = json_array();
    int32_t n = v->size; /* added tokens behind the pieces are listed elsewhere */
    while (n > 0 && token_is_added(&v->tokens[n - 1]) && tok->scores[n - 1] == 0 && n - 1 != tok->unknown_id) n--;
    for (int32_t id = 0; pieces && id < n; id++) {
        const char *text = tokenizer_written_form(tok, &v->tokens[id], scratch);
        pieces = with_item(pieces, text ? json_pack("[s%, f]", text, scratch->length, tok->scores[id]) : NULL);
    }
    return pieces;
}

static json_t *model_json(const struct tokenizer *tok) {
    struct buffer scratch = {0};
    if (tok->type == TOKENIZER_UNIGRAM) {
        json_t *pieces = pieces_json(tok, &scratch);
        buffer_free(&scratch);
        return json_pack("{s:s, s:o, s:b, s:o}", "type", "Unigram", "unk_id",
                         tok->unknown_id < 0 ? json_null() : json_integer(tok->unknown_id), "byte_fallback",
                         (int)has_byte_tokens(tok), "vocab", pieces);
    }
    if (tok->type == TOKENIZER_WORDPIECE) {
        json_t *model = json_pack("{s:s, s:o, s:s, s:I}", "type", "WordPiece", "vocab", vocabulary_json(tok, &scratch),
                                  "continuing_subword_prefix", tok->wordpiece.prefix, "max_input_chars_per_word",
                                  (json_int_t)tok->wordpiece.max_characters);
        if (tok->unknown_id >= 0) model = with_key(model, "unk_token", written_json(tok, tok->unknown_id, &scratch));
        buffer_free(&scratch);
        return model;
    }
    json_t *vocab = vocabulary_json(tok, &scratch), *merges = merges_json(tok, &scratch);
    json_t *unknown = written_json(tok, tok->unknown_id, &scratch);
    buffer_free(&scratch);
    return json_pack("{s:s, s:n, s:o, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token",
                     unknown, "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", (int)tok->bpe.fuse_unknown,
                     "byte_fallback", (int)has_byte_tokens(tok), "ignore_merges", (int)tok->bpe.whole_words, "vocab",
                     vocab, "merges", merges);
}

/* {"content": ..., "special": ...}, with "id" when asked for. */
static json_t *added_token_json(const struct tokenizer *tok, const struct added_token *added, bool with_id) {
    const struct vocabulary_token *token = vocabulary_token(&tok->vocabulary, added->id);
    json_t *entry =
        json_pack("{s:s%, s:b, s:b, s:b, s:b, s:b}", "content", vocabulary_bytes(&tok->vocabulary, token),
                  (size_t)token->n_bytes, "single_word", (int)added->single_word, "lstrip", (int)added->lstrip,
                  "rstrip", (int)added->rstrip, "normalized", (int)added->normalized, "special", (int)added->special);
    return with_id ? with_key(entry, "id", json_integer(added->id)) : entry;
}

static int compare_ids(const void *a, const void *b) {
    const struct added_token *x = *(const struct added_token *const *)a, *y = *(const struct added_token *const *)b;
    return (x->id > y->id) - (x->id < y->id);
}

/* The added tokens in order of id; NULL when out of memory. */
static const struct added_token **added_by_id(const struct tokenizer *tok) {
    const struct added_token **sorted = malloc((tok->added.n_tokens + 1) * sizeof *sorted);
    if (!sorted) return NULL;
    for (size_t i = 0; i < tok->added.n_tokens; i++) sorted[i] = &tok->added.tokens[i];
    qsort(sorted, tok->added.n_tokens, sizeof *sorted, compare_ids);
    return sorted;
}

/* In order of id, as readers number them in order. */
static json_t *added_tokens_json(const struct tokenizer *tok) {
    const struct added_token **sorted = added_by_id(tok);
    json_t *list = sorted ? json_array() : NULL;
    for (size_t i = 0; list && i < tok->added.n_tokens; i++)
        list = with_item(list, added_token_json(tok, sorted[i], true));
    free(sorted);
    return list;
}

/* The text of an id as JSON, null for -1. */
static json_t *role_json(const struct tokenizer *tok, int32_t id) {
    const struct vocabulary_token *token = vocabulary_token(&tok->vocabulary, id);
    if (token->kind == TOKEN_ABSENT) return json_null();
    return json_stringn(vocabulary_bytes(&tok->vocabulary, token), token->n_bytes);
}

/* A section as it was read; null when there was none. */
static json_t *section_json(json_t *section) { return section ? json_incref(section) : json_null(); }

/* Gives a TemplateProcessing a special token before or behind the text; takes over nothing. */
static bool add_to_template(const struct tokenizer *tok, json_t *processor, int32_t id) {
    json_t *name = role_json(tok, id);
    json_t *entry = json_pack("{s:{s:O, s:i}}", "SpecialToken", "id", name, "type_id", 0);
    json_t *known = json_pack("{s:O, s:[i], s:[O]}", "id", name, "ids", (int)id, "tokens", name);
    bool ok = entry && known && json_array_append(json_object_get(processor, "single"), entry) == 0 &&
              json_array_append(json_object_get(processor, "pair"), entry) == 0 &&
              json_object_set(json_object_get(processor, "special_tokens"), json_string_value(name), known) == 0;
    json_decref(name);
    json_decref(entry);
    json_decref(known);
    return ok;
}

static bool add_sequence(json_t *processor, const char *list, const char *name, int type_id) {
    json_t *entry = json_pack("{s:{s:s, s:i}}", "Sequence", "id", name, "type_id", type_id);
    return json_array_append_new(json_object_get(processor, list), entry) == 0;
}

/* What goes around a text, of which other formats than tokenizer.json have no section. */
static json_t *post_processor_json(const struct tokenizer *tok) {
    bool bos = tokenizer_adds_bos(tok), eos = tokenizer_adds_eos(tok);
    if (tok->sections.post_processor || (!bos && !eos)) return section_json(tok->sections.post_processor);
    json_t *processor =
        json_pack("{s:s, s:[], s:[], s:{}}", "type", "TemplateProcessing", "single", "pair", "special_tokens");
    bool ok = processor && (!bos || add_to_template(tok, processor, tok->bos_id)) &&
              add_sequence(processor, "single", "A", 0) && add_sequence(processor, "pair", "A", 0) &&
              add_sequence(processor, "pair", "B", 1) && (!eos || add_to_template(tok, processor, tok->eos_id));
    if (ok) return processor;
    json_decref(processor);
    return NULL;
}

static json_t *tokenizer_json(const struct tokenizer *tok) {
    const struct tokenizer_sections *s = &tok->sections;
    return json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:o, s:o, s:o}", "version", "1.0", "truncation", "padding",
                     "added_tokens", added_tokens_json(tok), "normalizer", section_json(s->normalizer), "pre_tokenizer",
                     section_json(s->pre_tokenizer), "post_processor", post_processor_json(tok), "decoder",
                     section_json(s->decoder), "model", model_json(tok));
}

/* ==== tokenizer_config.json and special_tokens_map.json ======================================= */

static json_t *additional_json(const struct tokenizer *tok) {
    json_t *list = json_array();
    for (int32_t id = 0; list && id < tok->vocabulary.size; id++) {
        bool has_role = id == tok->bos_id || id == tok->eos_id || id == tok->pad_id || id == tok->unknown_id;
        if (tokenizer_is_special(tok, id) && !has_role) list = with_item(list, role_json(tok, id));
    }
    return list;
}

static json_t *added_decoder_json(const struct tokenizer *tok) {
    const struct added_token **sorted = added_by_id(tok);
    json_t *map = sorted ? json_object() : NULL;
    for (size_t i = 0; map && i < tok->added.n_tokens; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", (int)sorted[i]->id);
        map = with_key(map, key, added_token_json(tok, sorted[i], false));
    }
    free(sorted);
    return map;
}

/* says_ends: no tokenizer.json says what goes around a text. */
static json_t *config_json(const struct tokenizer *tok, const char *chat_template, bool says_ends) {
    json_t *config = json_pack(
        "{s:s, s:b, s:o, s:o, s:o, s:b, s:o, s:s, s:o, s:b, s:s, s:o}", "written_by", "talc", "add_prefix_space", 0,
        "added_tokens_decoder", added_decoder_json(tok), "additional_special_tokens", additional_json(tok), "bos_token",
        role_json(tok, tok->bos_id), "clean_up_tokenization_spaces", 0, "eos_token", role_json(tok, tok->eos_id),
        "errors", "replace", "pad_token", role_json(tok, tok->pad_id), "split_special_tokens", 0, "tokenizer_class",
        "PreTrainedTokenizerFast", "unk_token", role_json(tok, tok->unknown_id));
    if (says_ends) {
        config = with_key(config, "add_bos_token", json_boolean(tokenizer_adds_bos(tok)));
        config = with_key(config, "add_eos_token", json_boolean(tokenizer_adds_eos(tok)));
    }
    return chat_template ? with_key(config, "chat_template", json_string(chat_template)) : config;
}

static json_t *special_map_json(const struct tokenizer *tok) {
    static const char *const keys[] = {"bos_token", "eos_token", "pad_token", "unk_token"};
    const int32_t ids[] = {tok->bos_id, tok->eos_id, tok->pad_id, tok->unknown_id};
    json_t *map = json_pack("{s:o}", "additional_special_tokens", additional_json(tok));
    for (size_t i = 0; map && i < sizeof keys / sizeof *keys; i++)
        if (ids[i] >= 0) map = with_key(map, keys[i], role_json(tok, ids[i]));
    return map;
}

/* Writes `value`, which it takes over, to FOLDER/NAME. */
static bool write_file(const char *folder, const char *name, json_t *value, struct talc_error *err) {
    char *path = path_join(folder, name);
    bool ok = path && value ? json_write_file(path, value, err) : talc_fail(err, "%s/%s: out of memory", folder, name);
    free(path);
    json_decref(value);
    return ok;
}

/* tokenizer.model, which readers find where there is no tokenizer.json. */
static bool write_source(const struct tokenizer *tok, const char *folder, struct talc_error *err) {
    char *json = path_join(folder, "tokenizer.json"), *path = path_join(folder, "tokenizer.model");
    bool ok = json && path ? !file_exists(json) || remove(json) == 0 || talc_fail_errno(err, "cannot remove %s", json)
                           : talc_fail(err, "%s: out of memory", folder);
    ok = ok && atomic_write_file(path, tok->source, tok->n_source, err);
    free(json);
    free(path);
    return ok;
}

/* What tokenizer.json cannot say, NULL: it says all. A symbol of a SentencePiece user is looked for in text behind its
 * space, but has none itself: tokens of tokenizer.json are normalised as text is. */
static const char *beyond_json(const struct tokenizer *tok) {
    if (tokenizer_normalizes_as_sentencepiece(tok)) return "how SentencePiece normalises text";
    if (tok->ties_matter) return "that of merges with equal scores the leftmost goes first";
    for (size_t i = 0; tok->normalizer.n_steps && i < tok->added.n_tokens; i++)
        if (tok->added.tokens[i].normalized && tok->added.tokens[i].as_written)
            return "how SentencePiece looks for its user's symbols";
    return NULL;
}

bool tokenizer_may_save(const struct tokenizer *tok, const char *folder, struct talc_error *err) {
    const char *beyond = beyond_json(tok);
    return !beyond || tok->source ||
           talc_fail(err,
                     "%s: tokenizer.json cannot say %s, as the GGUF asks; use the tokenizer.model or tokenizer.json "
                     "that came with the model",
                     folder, beyond);
}

bool tokenizer_save_folder(const struct tokenizer *tok, const char *folder, const char *chat_template,
                           struct talc_error *err) {
    if (!chat_template) chat_template = tok->chat_template;
    if (!tokenizer_may_save(tok, folder, err)) return false;
    const char *beyond = beyond_json(tok);
    return (beyond ? write_source(tok, folder, err) : write_file(folder, "tokenizer.json", tokenizer_json(tok), err)) &&
           write_file(folder, "tokenizer_config.json", config_json(tok, chat_template, beyond), err) &&
           write_file(folder, "special_tokens_map.json", special_map_json(tok), err);
}
