/* gguf_tokenizer.c - the tokenizer inside a GGUF file: tokenizer.ggml.* as llama.cpp's converter writes it. How text is
 * cut is said by a name (.pre); a name that is not known here is refused. */
#include <stdlib.h>
#include <string.h>

#include "file/gguf.h"
#include "text/byte_level.h"
#include "text/tokenizer_parts.h"

enum gguf_token_type { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };

#define GPT2_REGEX "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define PUNCTUATION_RUNS "[\\p{P}\\$\\+<=>\\^~\\|`]+"
#define CJK_RUNS "[\xe4\xb8\x80-\xe9\xbe\xa5\xe0\xa0\x80-\xe4\xb8\x80\xea\xb0\x80-\xed\x9f\xbf]+"
#define DEEPSEEK3_CJK "[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+"

/* What a .pre stands for: a pattern, or a chain of expressions; and what else it implies. */
struct pre {
    const char *names; /* between commas */
    enum pretokenizer pattern;
    const char *regexes[6]; /* instead of the pattern, where there are any */
    bool whole_words, nfc, add_bos;
};

static const struct pre pres[] = {
    {.names = ",llama3,llama-v3,llama-bpe,falcon3,falcon-h1,pixtral,midm-2.0,lfm2,jina-v5-nano,",
     .pattern = PRETOKENIZER_LLAMA3,
     .whole_words = true,
     .add_bos = true},
    {.names = ",dbrx,smaug-bpe,glm4,chatglm-bpe,", .pattern = PRETOKENIZER_LLAMA3},
    {.names = ",qwen2,deepseek-r1-qwen,kormo,openpangu,f2llmv2,megrez,", .pattern = PRETOKENIZER_QWEN2, .nfc = true},
    {.names = ",stablelm2,hunyuan,grok-2,solar-open,", .pattern = PRETOKENIZER_QWEN2},
    {.names = ",qwen35,", .pattern = PRETOKENIZER_QWEN35, .nfc = true},
    {.names = ",gpt-2,phi-2,jina-es,jina-de,gigachat,jina-v2-es,jina-v2-de,a.x-4.0,mellum,modern-bert,jina-v1-en,"
              "jina-v2-code,roberta-bpe,mpt,olmo,jais,trillion,granite-docling,",
     .pattern = PRETOKENIZER_GPT2},
    {.names = ",gpt-4o,llama4,kanana2,minimax-m2,", .pattern = PRETOKENIZER_O200K},
    {.names = ",tekken,", .pattern = PRETOKENIZER_TEKKEN, .whole_words = true, .add_bos = true},
    {.names = ",starcoder,refact,command-r,cohere2_moe,smollm,codeshell,exaone,minerva-7b,mellum2,",
     .regexes = {"\\p{N}", GPT2_REGEX}},
    {.names = ",falcon,", .regexes = {PUNCTUATION_RUNS, GPT2_REGEX, "[0-9][0-9][0-9]"}},
    {.names = ",default,",
     .regexes = {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2_REGEX, "\\p{N}+", "[0-9][0-9][0-9]"}},
    {.names = ",deepseek-coder,", .regexes = {"[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK_RUNS, "\\p{N}"}},
    {.names = ",deepseek-llm,",
     .regexes = {"[\r\n]",
                 "\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
                 "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5"
                 "\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba"
                 "\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45"
                 "\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe"
                 "\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc"
                 "\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139"
                 "\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3"
                 "\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06"
                 "\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3"
                 "\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df"
                 "\U0001e900-\U0001e943]+",
                 "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", "\\s+$", CJK_RUNS, "\\p{N}+"}},
    {.names = ",deepseek-v3,hunyuan-dense,joyai-llm,",
     .regexes = {"\\p{N}{1,3}", DEEPSEEK3_CJK, NULL}, /* and the pattern */
     .pattern = PRETOKENIZER_DEEPSEEK},
    {.names = ",poro-chat,bloom,gpt3-finnish,",
     .regexes = {" ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"}},
    {.names = ",viking,", .regexes = {" ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+", "\\p{N}"}},
};

static const struct pre *find_pre(struct gguf_string name) {
    char key[64];
    if (name.n_bytes + 3 > sizeof key) return NULL;
    key[0] = ',';
    memcpy(key + 1, name.data, name.n_bytes);
    memcpy(key + 1 + name.n_bytes, ",", 2);
    for (size_t i = 0; i < sizeof pres / sizeof *pres; i++)
        if (strlen(key) == name.n_bytes + 2 && strstr(pres[i].names, key)) return &pres[i];
    return NULL;
}

static bool use_pre(struct tokenizer *tok, const struct pre *pre, struct talc_error *err) {
    const char *regexes[7];
    size_t n = 0;
    while (n < 6 && pre->regexes[n]) {
        regexes[n] = pre->regexes[n];
        n++;
    }
    tok->bpe.whole_words = pre->whole_words;
    if (n == 0 && !pre->nfc) return tokenizer_use_pattern(tok, pre->pattern, err);
    if (n == 0 || pre->pattern != PRETOKENIZER_GPT2) regexes[n++] = pretokenizer_regex(pre->pattern);
    return tokenizer_use_regexes(tok, regexes, n, pre->nfc, err);
}

/* ==== tokens ===================================================================================== */

struct reading {
    struct gguf_file file;
    struct tokenizer *tok;
    const struct gguf_value *tokens, *types, *scores, *merges;
    struct buffer scratch[2];
};

static enum gguf_token_type token_type(const struct reading *r, uint64_t i) {
    return r->types ? (enum gguf_token_type)gguf_i32_at(r->types, i) : NORMAL;
}

static bool add_named_token(struct reading *r, int32_t id, bool special, const char *text, size_t n,
                            struct talc_error *err) {
    struct added_token token = {.id = id, .special = special, .as_written = true};
    token.normalized = !special && r->tok->type == TOKENIZER_SPACE_BPE;
    return tokenizer_add_token(r->tok, token, text, n, err);
}

static bool add_token(struct reading *r, int32_t id, struct gguf_string text, struct talc_error *err) {
    struct tokenizer *tok = r->tok;
    struct buffer *bytes = &r->scratch[0];
    enum gguf_token_type type = token_type(r, (uint64_t)id);
    if (text.n_bytes == 0) return true; /* a hole */
    if (type == UNKNOWN) tok->unknown_id = id;
    if (type == CONTROL || type == UNKNOWN) return add_named_token(r, id, true, text.data, text.n_bytes, err);
    if (type == USER_DEFINED) return add_named_token(r, id, false, text.data, text.n_bytes, err);
    int byte = type == BYTE ? byte_piece(text.data, text.n_bytes) : -1;
    if (byte >= 0) {
        tok->bpe.byte_ids[byte] = id;
        return vocabulary_add(&tok->vocabulary, id, &(char){(char)byte}, 1, TOKEN_BYTE, err);
    }
    buffer_clear(bytes);
    bool usable = type == NORMAL && (tok->type == TOKENIZER_BYTE_BPE ? byte_level_bytes(text.data, text.n_bytes, bytes)
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
        if (!space) return talc_fail(err, "tokenizer.ggml.merges: entry %llu is not \"left right\"", (unsigned long long)rank);
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

static bool merges_from_scores(struct reading *r, struct talc_error *err) {
    size_t n = (size_t)r->tokens->n_elements;
    float *scores = calloc(n + 1, sizeof *scores);
    for (size_t i = 0; scores && i < n; i++) scores[i] = gguf_f32_at(r->scores, i);
    bool ok = scores ? tokenizer_merges_from_scores(r->tok, scores, err) : talc_fail(err, "out of memory for merges");
    free(scores);
    return ok;
}

/* ==== the whole ================================================================================== */

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
    int32_t end_of_turn = -1;
    struct gguf_string chat;
    if (!read_role(r, "tokenizer.ggml.bos_token_id", &tok->bos_id, err) ||
        !read_role(r, "tokenizer.ggml.eos_token_id", &tok->eos_id, err) ||
        !read_role(r, "tokenizer.ggml.eot_token_id", &end_of_turn, err) ||
        !read_role(r, "tokenizer.ggml.padding_token_id", &tok->pad_id, err) ||
        !gguf_get_bool(&r->file, "tokenizer.ggml.add_bos_token", add_bos, &tok->add_bos, err) ||
        !gguf_get_bool(&r->file, "tokenizer.ggml.add_eos_token", false, &tok->add_eos, err) ||
        !gguf_get_string(&r->file, "tokenizer.chat_template", (struct gguf_string){0}, &chat, err))
        return false;
    if (end_of_turn >= 0 && end_of_turn != tok->eos_id) {
        tok->end_of_text_id = tok->eos_id;
        tok->eos_id = end_of_turn;
    }
    if (!chat.n_bytes) return true;
    char *copy = strndup(chat.data, chat.n_bytes);
    bool ok = copy ? tokenizer_set_chat_template(tok, copy, err) : talc_fail(err, "out of memory for a chat template");
    free(copy);
    return ok;
}

static bool read_byte_bpe(struct reading *r, struct talc_error *err) {
    struct gguf_string name;
    if (!gguf_get_string(&r->file, "tokenizer.ggml.pre", (struct gguf_string){"default", 7}, &name, err)) return false;
    const struct pre *pre = find_pre(name);
    if (!pre)
        return talc_fail(err, "tokenizer.ggml.pre \"%.*s\" is not supported",
                         name.n_bytes > 80 ? 80 : (int)name.n_bytes, name.data);
    if (!r->merges) return talc_fail(err, "there is no tokenizer.ggml.merges");
    r->tok->bpe.symbols = BPE_BYTES;
    return use_pre(r->tok, pre, err) && add_tokens(r, err) && add_merges(r, err) && read_roles(r, pre->add_bos, err);
}

static bool read_sentencepiece(struct reading *r, struct talc_error *err) {
    bool prefix, collapse;
    const struct gguf_value *map = gguf_find(&r->file, "tokenizer.ggml.precompiled_charsmap");
    if (!gguf_get_bool(&r->file, "tokenizer.ggml.add_space_prefix", true, &prefix, err) ||
        !gguf_get_bool(&r->file, "tokenizer.ggml.remove_extra_whitespaces", false, &collapse, err))
        return false;
    if (collapse || (map && map->n_elements > 4))
        return talc_fail(err, "the tokenizer asks for %s, which is not supported",
                         collapse ? "remove_extra_whitespaces" : "precompiled_charsmap");
    if (!r->scores || r->scores->n_elements != r->tokens->n_elements)
        return talc_fail(err, "tokenizer.ggml.scores does not have a score for every token");
    r->tok->bpe.symbols = BPE_CHARACTERS;
    r->tok->bpe.fuse_unknown = true;
    return tokenizer_use_spaces(r->tok, prefix, err) && add_tokens(r, err) && merges_from_scores(r, err) &&
           read_roles(r, true, err);
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
    if (gguf_string_is(model, "llama")) return read_sentencepiece(r, err);
    return talc_fail(err, "tokenizer.ggml.model \"%.*s\" is not supported (gpt2 and llama are)",
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
