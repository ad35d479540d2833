/* tokenizer_load.c - reading tokenizer.json (the format of Hugging Face's `tokenizers`) and the files beside it. What
 * is not supported exactly is refused by name: a tokenizer that is almost right gives a model that is quietly wrong. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "file/atomic.h"
#include "file/json.h"
#include "text/tokenizer_parts.h"

/* The string of a key, "" when absent, null or no string. */
static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* Fails, naming the key, unless it is absent, null, false, 0 or "". */
static bool expect_unset(const json_t *object, const char *key, const char *where, struct talc_error *err) {
    const json_t *value = json_object_get(object, key);
    bool unset = !value || json_is_null(value) || json_is_false(value) ||
                 (json_is_number(value) && json_number_value(value) == 0) ||
                 (json_is_string(value) && json_string_length(value) == 0);
    return unset || talc_fail(err, "%s asks for %s, which is not supported", where, key);
}

/* ==== how text is cut ============================================================================ */

static bool read_byte_level(const json_t *step, bool *use_regex, struct talc_error *err) {
    return expect_unset(step, "add_prefix_space", "pre_tokenizer ByteLevel", err) &&
           json_get_bool(step, "use_regex", true, use_regex, err);
}

static bool read_split(struct tokenizer *tok, const json_t *step, struct talc_error *err) {
    const char *regex = text_of(json_object_get(step, "pattern"), "Regex");
    const char *behavior = text_of(step, "behavior");
    bool invert;
    if (!json_get_bool(step, "invert", false, &invert, err)) return false;
    bool keeps_matches = (!invert && strcmp(behavior, "Isolated") == 0) || (invert && strcmp(behavior, "Removed") == 0);
    if (!keeps_matches || !*regex)
        return talc_fail(err, "pre_tokenizer Split must keep the matches of a Regex (behavior Isolated)");
    if (!pretokenizer_from_regex(regex, &tok->pretokenizer))
        return talc_fail(
            err, "the pre-tokenizer pattern is none of gpt2, cl100k, llama3, qwen2 and is not supported: %s", regex);
    return true;
}

/* [Split, ByteLevel{use_regex: false}] */
static bool read_sequence(struct tokenizer *tok, const json_t *steps, struct talc_error *err) {
    const json_t *split = json_array_get(steps, 0), *bytes = json_array_get(steps, 1);
    bool use_regex;
    if (json_array_size(steps) != 2 || strcmp(text_of(split, "type"), "Split") != 0 ||
        strcmp(text_of(bytes, "type"), "ByteLevel") != 0)
        return talc_fail(err, "pre_tokenizer Sequence must be Split, then ByteLevel; other steps are not supported");
    if (!read_split(tok, split, err) || !read_byte_level(bytes, &use_regex, err)) return false;
    return !use_regex || talc_fail(err, "pre_tokenizer ByteLevel with use_regex after a Split is not supported");
}

static bool read_pre_tokenizer(struct tokenizer *tok, const json_t *step, struct talc_error *err) {
    const char *type = text_of(step, "type");
    bool use_regex;
    if (!step || json_is_null(step)) {
        tok->type = TOKENIZER_CHARACTER;
        return true;
    }
    if (strcmp(type, "Sequence") == 0) return read_sequence(tok, json_object_get(step, "pretokenizers"), err);
    if (strcmp(type, "ByteLevel") != 0) return talc_fail(err, "pre_tokenizer \"%s\" is not supported", type);
    if (!read_byte_level(step, &use_regex, err)) return false;
    tok->pretokenizer = PRETOKENIZER_GPT2;
    return use_regex ||
           talc_fail(err, "pre_tokenizer ByteLevel without use_regex (no cutting into words) is not supported");
}

static bool read_normalizer(struct tokenizer *tok, const json_t *step, struct talc_error *err) {
    const json_t *steps = json_object_get(step, "normalizers");
    if (!step || json_is_null(step)) return true;
    if (strcmp(text_of(step, "type"), "Sequence") == 0 && json_array_size(steps) == 0) return true;
    if (json_array_size(steps) == 1) step = json_array_get(steps, 0);
    if (strcmp(text_of(step, "type"), "NFC") != 0)
        return talc_fail(err, "normalizer \"%s\" is not supported", text_of(step, "type"));
    if (!normalize_nfc_available())
        return talc_fail(err, "the file asks for the normalizer NFC, but this talc was built without utf8proc: install "
                              "libutf8proc-dev and build again");
    tok->normalize_nfc = true;
    return true;
}

static bool check_decoder(const struct tokenizer *tok, const json_t *decoder, struct talc_error *err) {
    const char *type = text_of(decoder, "type");
    const char *expected = tok->type == TOKENIZER_CHARACTER ? "Fuse" : "ByteLevel";
    return strcmp(type, expected) == 0 ||
           talc_fail(err, "decoder \"%s\" is not supported with this pre_tokenizer (expected \"%s\")", type, expected);
}

/* ==== the vocabulary ============================================================================= */

/* One of added_tokens. Where the model's vocabulary lists the token too, both must give it the same id. */
static bool read_added_token(struct tokenizer *tok, const json_t *entry, const json_t *vocab, struct talc_error *err) {
    static const char *const options[] = {"single_word", "lstrip", "rstrip"};
    const char *content;
    int64_t id;
    bool special;
    if (!json_is_object(entry)) return talc_fail(err, "added_tokens must hold objects");
    if (!json_get_string(entry, "content", "", &content, err) ||
        !json_get_int(entry, "id", -1, 0, VOCABULARY_MAX_SIZE - 1, &id, err) ||
        !json_get_bool(entry, "special", false, &special, err))
        return talc_fail_in(err, "added_tokens");
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (json_is_true(json_object_get(entry, options[i])))
            return talc_fail(err, "the added token \"%s\" asks for %s, which is not supported", content, options[i]);
    }
    const json_t *same = json_object_get(vocab, content);
    if (json_is_integer(same) && json_integer_value(same) != id)
        return talc_fail(err, "the added token \"%s\" has id %lld, but the vocabulary gives it %lld", content,
                         (long long)id, (long long)json_integer_value(same));
    return vocabulary_add(&tok->vocabulary, id, content, strlen(content), special ? TOKEN_SPECIAL : TOKEN_ADDED, err);
}

/* The bytes that a key of a byte-level vocabulary stands for; false when it has characters outside that alphabet. */
static bool bytes_of_key(const char *key, struct buffer *bytes) {
    size_t n = strlen(key);
    buffer_clear(bytes);
    for (size_t i = 0; i < n;) {
        int32_t codepoint;
        i += (size_t)utf8_decode(key + i, n - i, &codepoint);
        int byte = byte_level_byte(codepoint);
        if (byte < 0) return false;
        buffer_append_char(bytes, (char)byte);
    }
    return true;
}

static bool is_one_character(const char *text) {
    int32_t codepoint;
    size_t n = strlen(text);
    return n > 0 && (size_t)utf8_decode(text, n, &codepoint) == n;
}

static bool read_token(struct tokenizer *tok, const char *key, const json_t *value, const char *unknown,
                       struct buffer *bytes, struct talc_error *err) {
    struct vocabulary *v = &tok->vocabulary;
    if (!json_is_integer(value)) return talc_fail(err, "the id of token \"%.40s\" is not a whole number", key);
    int64_t id = json_integer_value(value);
    const struct vocabulary_token *there = vocabulary_token(v, id >= 0 && id < VOCABULARY_MAX_SIZE ? (int32_t)id : -1);
    if (token_is_added(there) && there->n_bytes == strlen(key) &&
        memcmp(vocabulary_bytes(v, there), key, there->n_bytes) == 0)
        return true;
    if (tok->type == TOKENIZER_CHARACTER) {
        bool is_unknown = strcmp(key, unknown) == 0;
        if (!is_unknown && !is_one_character(key))
            return talc_fail(err, "without a pre_tokenizer every token must be one character, but \"%.40s\" is not",
                             key);
        return vocabulary_add(v, id, key, strlen(key), is_unknown ? TOKEN_UNUSABLE : TOKEN_TEXT, err);
    }
    if (bytes_of_key(key, bytes)) return vocabulary_add(v, id, bytes->data, bytes->length, TOKEN_TEXT, err);
    return vocabulary_add(v, id, key, strlen(key), TOKEN_UNUSABLE, err);
}

static bool read_vocabulary(struct tokenizer *tok, const json_t *root, const json_t *model, struct talc_error *err) {
    json_t *vocab = json_object_get(model, "vocab"), *added = json_object_get(root, "added_tokens"), *value;
    const char *key, *unknown = text_of(model, "unk_token");
    size_t i;
    if (!json_is_object(vocab)) return talc_fail(err, "model.vocab must be an object of tokens and ids");
    if (added && !json_is_null(added) && !json_is_array(added)) return talc_fail(err, "added_tokens must be an array");
    json_array_foreach(added, i, value) {
        if (!read_added_token(tok, value, vocab, err)) return false;
    }
    struct buffer bytes = {0};
    bool ok = true;
    json_object_foreach(vocab, key, value) {
        ok = read_token(tok, key, value, unknown, &bytes, err);
        if (!ok) break;
    }
    buffer_free(&bytes);
    if (ok && tok->type == TOKENIZER_CHARACTER && *unknown) {
        value = json_object_get(vocab, unknown);
        if (!json_is_integer(value)) return talc_fail(err, "unk_token \"%.40s\" is not in the vocabulary", unknown);
        tok->unknown_id = (int32_t)json_integer_value(value);
    }
    return ok;
}

/* ==== merges ===================================================================================== */

/* Splits "left right" (or ["left", "right"]) into two strings that live in *names. */
static bool merge_names(const json_t *entry, struct buffer *names, const char **left, const char **right) {
    const char *text = json_string_value(entry);
    buffer_clear(names);
    if (text) {
        const char *space = strchr(text, ' ');
        if (!space || strchr(space + 1, ' ')) return false;
        buffer_append(names, text, (size_t)(space - text));
        buffer_append_char(names, 0);
        buffer_append_text(names, space + 1);
    } else {
        const char *first = json_string_value(json_array_get(entry, 0)),
                   *second = json_string_value(json_array_get(entry, 1));
        if (json_array_size(entry) != 2 || !first || !second) return false;
        buffer_append(names, first, strlen(first) + 1);
        buffer_append_text(names, second);
    }
    if (!buffer_ok(names)) return false;
    *left = names->data;
    *right = names->data + strlen(names->data) + 1;
    return **left && **right;
}

static bool find_id(const json_t *vocab, const char *name, size_t rank, const char *what, int32_t *id,
                    struct talc_error *err) {
    const json_t *value = json_object_get(vocab, name);
    if (!value) return talc_fail(err, "merge %zu: its %s \"%.40s\" is not in the vocabulary", rank, what, name);
    *id = (int32_t)json_integer_value(value);
    return true;
}

static bool read_merge(struct tokenizer *tok, const json_t *vocab, const json_t *entry, size_t rank,
                       struct buffer *names, struct buffer *whole, struct talc_error *err) {
    const char *left, *right;
    if (!merge_names(entry, names, &left, &right))
        return talc_fail(err, "merge %zu is neither \"left right\" nor [\"left\", \"right\"]", rank);
    buffer_clear(whole);
    buffer_append_text(whole, left);
    buffer_append_text(whole, right);
    struct bpe_merge merge = {.rank = (uint32_t)rank};
    if (!buffer_ok(whole)) return talc_fail(err, "out of memory for merges");
    if (!find_id(vocab, left, rank, "left part", &merge.left, err) ||
        !find_id(vocab, right, rank, "right part", &merge.right, err) ||
        !find_id(vocab, whole->data, rank, "result", &merge.result, err))
        return false;
    return bpe_add_merge(&tok->bpe, merge) || talc_fail(err, "out of memory for merges");
}

static bool read_merges(struct tokenizer *tok, const json_t *model, struct talc_error *err) {
    const json_t *vocab = json_object_get(model, "vocab"), *merges = json_object_get(model, "merges"), *entry;
    size_t rank;
    if (!json_is_array(merges)) return talc_fail(err, "model.merges must be an array");
    if (tok->type == TOKENIZER_CHARACTER && json_array_size(merges) > 0)
        return talc_fail(err, "BPE without a byte-level pre_tokenizer is not supported");
    struct buffer names = {0}, whole = {0};
    bool ok = true;
    json_array_foreach(merges, rank, entry) {
        ok = read_merge(tok, vocab, entry, rank, &names, &whole, err);
        if (!ok) break;
    }
    buffer_free(&names);
    buffer_free(&whole);
    return ok;
}

static bool read_tokenizer_json(struct tokenizer *tok, const json_t *root, struct talc_error *err) {
    static const char *const unsupported[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix",
                                              "byte_fallback"};
    const json_t *model = json_object_get(root, "model");
    if (!json_is_object(model)) return talc_fail(err, "there is no \"model\": this is not a tokenizer.json");
    const char *type = text_of(model, "type");
    if (*type && strcmp(type, "BPE") != 0) return talc_fail(err, "model type \"%s\" is not supported (only BPE)", type);
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++)
        if (!expect_unset(model, unsupported[i], "model", err)) return false;
    return json_get_bool(model, "ignore_merges", false, &tok->bpe.whole_words, err) &&
           read_pre_tokenizer(tok, json_object_get(root, "pre_tokenizer"), err) &&
           read_normalizer(tok, json_object_get(root, "normalizer"), err) &&
           check_decoder(tok, json_object_get(root, "decoder"), err) && read_vocabulary(tok, root, model, err) &&
           read_merges(tok, model, err);
}

/* ==== the files beside it ======================================================================== */

/* The name of a token in a configuration: a string, or an object with "content". */
static const char *token_name(const json_t *config, const char *key) {
    const json_t *value = json_object_get(config, key);
    return json_is_object(value) ? json_string_value(json_object_get(value, "content")) : json_string_value(value);
}

/* chat_template is a string, or a list of {name, template} of which "default" counts. */
static const char *template_in(const json_t *config) {
    const json_t *value = json_object_get(config, "chat_template"), *entry;
    size_t i;
    json_array_foreach(value, i, entry) {
        if (strcmp(text_of(entry, "name"), "default") == 0)
            return json_string_value(json_object_get(entry, "template"));
    }
    return json_string_value(value);
}

static void set_role(const struct tokenizer *tok, const json_t *config, const char *key, int32_t *id) {
    const char *name = token_name(config, key);
    if (name && *id < 0) *id = tokenizer_special_id(tok, name);
}

static bool read_config(struct tokenizer *tok, const char *path, struct talc_error *err) {
    if (!file_exists(path)) return true;
    json_t *config = json_read_file(path, 0, err);
    if (!config) return false;
    set_role(tok, config, "bos_token", &tok->bos_id);
    set_role(tok, config, "eos_token", &tok->eos_id);
    set_role(tok, config, "pad_token", &tok->pad_id);
    const char *name = token_name(config, "eos_token"), *source = template_in(config);
    bool ok = true;
    if (name && tok->eos_id < 0)
        ok = talc_fail(err, "%s: eos_token \"%s\" is not among the added tokens of tokenizer.json", path, name);
    else if (source && !tok->chat_template)
        ok = tokenizer_set_chat_template(tok, source, err);
    json_decref(config);
    return ok;
}

static bool read_template_file(struct tokenizer *tok, const char *path, struct talc_error *err) {
    size_t n_bytes;
    if (!file_exists(path)) return true;
    char *source = file_read(path, (size_t)4 << 20, &n_bytes, err);
    if (!source) return false;
    if (strlen(source) != n_bytes) talc_fail(err, "%s holds a NUL character", path);
    bool ok = strlen(source) == n_bytes && tokenizer_set_chat_template(tok, source, err);
    free(source);
    return ok;
}

static bool in_folder(struct tokenizer *tok, const char *folder, const char *name,
                      bool (*read)(struct tokenizer *tok, const char *path, struct talc_error *err),
                      struct talc_error *err) {
    char *path = path_join(folder, name);
    bool ok = path ? read(tok, path, err) : talc_fail(err, "out of memory for a path");
    free(path);
    return ok;
}

static bool read_json_file(struct tokenizer *tok, const char *path, struct talc_error *err) {
    json_t *root = json_read_file(path, 0, err);
    if (!root) return false;
    bool ok = read_tokenizer_json(tok, root, err) && tokenizer_finish(tok, err);
    json_decref(root);
    return ok || talc_fail_in(err, "%s", path);
}

static bool read_folder(struct tokenizer *tok, const char *folder, struct talc_error *err) {
    return in_folder(tok, folder, "tokenizer.json", read_json_file, err) &&
           in_folder(tok, folder, "chat_template.jinja", read_template_file, err) &&
           in_folder(tok, folder, "tokenizer_config.json", read_config, err) &&
           in_folder(tok, folder, "special_tokens_map.json", read_config, err);
}

static bool has_suffix(const char *text, const char *suffix) {
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && strcmp(text + n - m, suffix) == 0;
}

struct tokenizer *tokenizer_load(const char *path, struct talc_error *err) {
    struct tokenizer *tok = tokenizer_new(err);
    if (!tok) return NULL;
    bool ok = folder_exists(path)             ? read_folder(tok, path, err)
              : has_suffix(path, ".tiktoken") ? tiktoken_read(tok, path, err) && tokenizer_finish(tok, err)
                                              : read_json_file(tok, path, err);
    if (!ok) {
        tokenizer_free(tok);
        return NULL;
    }
    tokenizer_choose_roles(tok);
    return tok;
}
