/* tokenizer_load.c - opening a tokenizer: which format a path holds, and the files of a Hugging Face folder that say
 * roles, chat template and what ends an answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/atomic.h"
#include "file/gguf.h"
#include "file/json.h"
#include "text/tokenizer_parts.h"

/* ==== the files beside it ===================================================================== */

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
        if (strcmp(json_text(entry, "name"), "default") == 0)
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

/* What goes around a text, which only a tokenizer.json says itself. */
static bool read_ends(struct tokenizer *tok, const char *path, struct talc_error *err) {
    if (!file_exists(path)) return true;
    json_t *config = json_read_file(path, 0, err);
    bool ok = config && ((json_get_bool(config, "add_bos_token", tok->add_bos, &tok->add_bos, err) &&
                          json_get_bool(config, "add_eos_token", tok->add_eos, &tok->add_eos, err)) ||
                         talc_fail_in(err, "%s", path));
    json_decref(config);
    return ok;
}

/* "eos_token_id": an id or several. */
static bool read_end_ids(struct tokenizer *tok, const char *path, struct talc_error *err) {
    if (!file_exists(path)) return true;
    json_t *config = json_read_file(path, 0, err);
    if (!config) return false;
    const json_t *ends = json_object_get(config, "eos_token_id"), *end;
    size_t i;
    bool ok = !ends || json_is_null(ends) || json_is_integer(ends) || json_is_array(ends);
    if (json_is_integer(ends)) tokenizer_add_end(tok, json_integer_value(ends));
    json_array_foreach(ends, i, end) {
        ok = ok && json_is_integer(end);
        tokenizer_add_end(tok, json_is_integer(end) ? json_integer_value(end) : -1);
    }
    json_decref(config);
    return ok || talc_fail(err, "%s: eos_token_id is neither an id nor a list of ids", path);
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

/* ==== formats ================================================================================= */

static bool has_suffix(const char *text, const char *suffix) {
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && strcmp(text + n - m, suffix) == 0;
}

typedef bool reader(struct tokenizer *tok, const char *path, struct talc_error *err);

/* By how the file begins, else by its name: tokenizer.model may be a .tiktoken or a SentencePiece model. */
static reader *reader_of(const char *path, struct talc_error *err) {
    char head[64];
    size_t n;
    if (!file_read_head(path, head, sizeof head, &n, err)) return NULL;
    if (n >= 4 && memcmp(head, GGUF_MAGIC, 4) == 0) return gguf_tokenizer_read;
    if (has_suffix(path, ".tiktoken") || tiktoken_recognise(head, n)) return tiktoken_read;
    if (sentencepiece_recognise(head, n)) return sentencepiece_read;
    if (tekken_recognise(head, n)) return tekken_read;
    return tokenizer_json_read;
}

static bool read_one_file(struct tokenizer *tok, const char *path, struct talc_error *err) {
    reader *read = reader_of(path, err);
    return read && ((read(tok, path, err) && tokenizer_finish(tok, err)) || talc_fail_in(err, "%s", path));
}

static bool exists_in(const char *folder, const char *name) {
    char *path = path_join(folder, name);
    bool exists = path && file_exists(path);
    free(path);
    return exists;
}

static bool read_folder(struct tokenizer *tok, const char *folder, struct talc_error *err) {
    static const char *const names[] = {"tokenizer.json", "tokenizer.model", "tekken.json"};
    bool found = false, ok = true, has_json = exists_in(folder, names[0]),
         generates = exists_in(folder, "generation_config.json");
    for (size_t i = 0; !found && i < sizeof names / sizeof *names; i++) {
        found = exists_in(folder, names[i]);
        if (found) ok = in_folder(tok, folder, names[i], read_one_file, err);
    }
    if (!found && exists_in(folder, "vocab.json"))
        ok = (vocab_merges_read(tok, folder, err) && tokenizer_finish(tok, err)) || talc_fail_in(err, "%s", folder);
    else if (!found)
        ok = talc_fail(err, "%s: there is no tokenizer.json, tokenizer.model, tekken.json or vocab.json", folder);
    return ok && in_folder(tok, folder, "chat_template.jinja", read_template_file, err) &&
           in_folder(tok, folder, "tokenizer_config.json", read_config, err) &&
           (has_json || in_folder(tok, folder, "tokenizer_config.json", read_ends, err)) &&
           in_folder(tok, folder, "special_tokens_map.json", read_config, err) &&
           in_folder(tok, folder, generates ? "generation_config.json" : "config.json", read_end_ids, err);
}

struct tokenizer *tokenizer_load(const char *path, struct talc_error *err) {
    struct tokenizer *tok = tokenizer_new(err);
    if (!tok) return NULL;
    if (!(folder_exists(path) ? read_folder(tok, path, err) : read_one_file(tok, path, err))) {
        tokenizer_free(tok);
        return NULL;
    }
    tokenizer_choose_roles(tok);
    return tok;
}
