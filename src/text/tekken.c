/* tekken.c - reading tekken.json, the tokenizers of Mistral since Nemo: tokens by rank as base64, a pattern, special
 * tokens. Special tokens have the first ids, so that the id of a token is its rank and their number. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "file/atomic.h"
#include "file/json.h"
#include "file/json_scan.h"
#include "text/tokenizer_parts.h"

#define MAX_FILE_BYTES ((size_t)256 << 20)

/* Of files that do not list them (mistral_common's tekken.py). */
static const char *const default_specials[] = {"<unk>",
                                               "<s>",
                                               "</s>",
                                               "[INST]",
                                               "[/INST]",
                                               "[AVAILABLE_TOOLS]",
                                               "[/AVAILABLE_TOOLS]",
                                               "[TOOL_RESULTS]",
                                               "[/TOOL_RESULTS]",
                                               "[TOOL_CALLS]",
                                               "[IMG]",
                                               "<pad>",
                                               "[IMG_BREAK]",
                                               "[IMG_END]",
                                               "[PREFIX]",
                                               "[MIDDLE]",
                                               "[SUFFIX]",
                                               "[SYSTEM_PROMPT]",
                                               "[/SYSTEM_PROMPT]",
                                               "[TOOL_CONTENT]"};

/* A file while it is read. */
struct reading {
    struct tokenizer *tok;
    const char *text;
    json_t *config, *specials;
    size_t vocab_begin, vocab_end; /* end 0: not in the file */
    int64_t n_specials, n_tokens;  /* of special tokens; of all */
    struct buffer bytes;
};

bool tekken_recognise(const char *head, size_t n) {
    size_t i = 0;
    while (i < n && strchr("{ \t\r\n", head[i]) && head[i]) i++;
    return n - i >= 8 && memcmp(head + i, "\"config\"", 8) == 0;
}

static bool scan_file(struct reading *r, struct json_scan *s, struct talc_error *err) {
    const char *key;
    size_t n, begin, end;
    bool more = true;
    if (!json_scan_object(s, err)) return false;
    while (json_scan_key(s, &key, &n, &more, err) && more) {
        bool ok;
        if (n == 6 && memcmp(key, "config", n) == 0)
            ok = json_scan_parse(s, "config", &r->config, err);
        else if (n == 14 && memcmp(key, "special_tokens", n) == 0)
            ok = json_scan_parse(s, "special_tokens", &r->specials, err);
        else if (n == 5 && memcmp(key, "vocab", n) == 0)
            ok = json_scan_skip(s, &r->vocab_begin, &r->vocab_end, err);
        else
            ok = json_scan_skip(s, &begin, &end, err);
        if (!ok) return false;
        s->first = false;
    }
    return !more && json_scan_end(s, err);
}

/* ==== tokens ================================================================================== */

/* {"rank": ..., "token_bytes": "...", "token_str": ...} */
static bool read_token(struct reading *r, struct json_scan *s, size_t place, struct talc_error *err) {
    const char *key, *text;
    size_t n, begin, end;
    int64_t rank = -1;
    bool more = true;
    buffer_clear(&r->bytes);
    if (!json_scan_object(s, err)) return false;
    while (json_scan_key(s, &key, &n, &more, err) && more) {
        bool ok;
        if (n == 4 && memcmp(key, "rank", n) == 0) {
            ok = json_scan_integer(s, &rank, err);
        } else if (n == 11 && memcmp(key, "token_bytes", n) == 0) {
            ok = json_scan_string(s, &text, &n, err);
            if (ok) buffer_append(&r->bytes, text, n);
        } else {
            ok = json_scan_skip(s, &begin, &end, err);
        }
        if (!ok) return false;
        s->first = false;
    }
    if (more) return false;
    if (rank < 0 || rank >= VOCABULARY_MAX_SIZE || r->bytes.length == 0)
        return talc_fail(err, "entry %zu of the vocabulary has no rank or no token_bytes", place);
    if (rank >= r->n_tokens - r->n_specials) return true; /* the file holds more than the model uses */
    struct buffer decoded = {0};
    const char *rest = base64_decode(r->bytes.data, &decoded);
    bool ok = *rest == 0 && decoded.length ? vocabulary_add(&r->tok->vocabulary, rank + r->n_specials, decoded.data,
                                                            decoded.length, TOKEN_TEXT, err)
                                           : talc_fail(err, "token_bytes of rank %d is not base64", (int)rank);
    buffer_free(&decoded);
    return ok;
}

static bool read_vocabulary(struct reading *r, struct talc_error *err) {
    struct json_scan s = {.text = r->text, .n_bytes = r->vocab_end, .at = r->vocab_begin, .first = true};
    bool more = true, ok = json_scan_array(&s, err);
    for (size_t place = 0; ok && (ok = json_scan_item(&s, &more, err)) && more; place++) {
        ok = read_token(r, &s, place, err);
        s.first = false;
    }
    json_scan_close(&s);
    return ok;
}

/* ==== special tokens ========================================================================== */

static bool add_special(struct reading *r, int64_t id, const char *name, struct talc_error *err) {
    if (id >= r->n_specials)
        return talc_fail(err, "the special token \"%s\" has the rank %lld, but there are %lld", name, (long long)id,
                         (long long)r->n_specials);
    return tokenizer_add_special(r->tok, name, id, err);
}

static bool add_listed(struct reading *r, struct talc_error *err) {
    const json_t *entry;
    size_t i;
    if (!json_is_array(r->specials)) return talc_fail(err, "special_tokens must be an array");
    json_array_foreach(r->specials, i, entry) {
        const char *name;
        int64_t rank;
        if (!json_get_string(entry, "token_str", "", &name, err) ||
            !json_get_int(entry, "rank", (int64_t)i, 0, VOCABULARY_MAX_SIZE - 1, &rank, err) ||
            !add_special(r, rank, name, err))
            return talc_fail_in(err, "special_tokens");
    }
    return true;
}

static bool add_specials(struct reading *r, struct talc_error *err) {
    bool listed = r->specials && !json_is_null(r->specials);
    bool ok = !listed || add_listed(r, err);
    for (size_t i = 0; ok && !listed && i < sizeof default_specials / sizeof *default_specials; i++)
        ok = add_special(r, (int64_t)i, default_specials[i], err);
    for (int32_t id = 0; ok && id < r->n_specials; id++) {
        char name[32];
        if (vocabulary_token(&r->tok->vocabulary, id)->kind != TOKEN_ABSENT) continue;
        snprintf(name, sizeof name, "<SPECIAL_%d>", (int)id);
        ok = add_special(r, id, name, err);
    }
    return ok;
}

/* ==== the whole =============================================================================== */

static bool read_config(struct reading *r, struct talc_error *err) {
    const char *regex;
    enum pretokenizer known;
    if (!json_is_object(r->config) || !r->vocab_end)
        return talc_fail(err, "there is no \"%s\": this is not a tekken.json", r->vocab_end ? "config" : "vocab");
    if (!json_get_string(r->config, "pattern", "", &regex, err) ||
        !json_get_int(r->config, "default_vocab_size", -1, 1, VOCABULARY_MAX_SIZE, &r->n_tokens, err) ||
        !json_get_int(r->config, "default_num_special_tokens", -1, 0, VOCABULARY_MAX_SIZE, &r->n_specials, err))
        return talc_fail_in(err, "config");
    if (r->n_specials < 0 || r->n_specials > r->n_tokens) /* as it is of those that are not said */
        return talc_fail(err, "config does not say how many tokens there are");
    if (!pretokenizer_from_regex(regex, &known) && regex_repeats_interval(regex)) /* possessive here */
        return talc_fail(err, "the pattern \"%.200s\" has {n,m}+, which is not supported in a tekken.json", regex);
    r->tok->bpe.symbols = BPE_BYTES;
    r->tok->bpe.whole_words = true;
    return pretokenizer_from_regex(regex, &known) ? tokenizer_use_pattern(r->tok, known, err)
                                                  : tokenizer_use_regexes(r->tok, &regex, 1, false, err);
}

static void choose_roles(struct tokenizer *tok) {
    tok->bos_id = tokenizer_special_id(tok, "<s>");
    tok->eos_id = tokenizer_special_id(tok, "</s>");
    tok->pad_id = tokenizer_special_id(tok, "<pad>");
    tok->add_bos = tok->bos_id >= 0;
}

bool tekken_read(struct tokenizer *tok, const char *path, struct talc_error *err) {
    struct reading r = {.tok = tok};
    struct json_scan s;
    size_t n_bytes;
    char *text = file_read(path, MAX_FILE_BYTES, &n_bytes, err);
    if (!text) return false;
    r.text = text;
    bool ok = json_scan_open(&s, text, n_bytes, err) && scan_file(&r, &s, err) && read_config(&r, err) &&
              add_specials(&r, err) && read_vocabulary(&r, err) && tokenizer_merges_from_ids(tok, err);
    if (ok) choose_roles(tok);
    json_scan_close(&s);
    json_decref(r.config);
    json_decref(r.specials);
    buffer_free(&r.bytes);
    free(text);
    return ok;
}
