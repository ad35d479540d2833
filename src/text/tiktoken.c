/* tiktoken.c - reading OpenAI's .tiktoken files: a line is the base64 of a token's bytes, a space and its rank, which
 * is its id. Merges are implied: two tokens merge when the bytes of both together are a token, at that token's rank. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "file/atomic.h"
#include "text/tokenizer_parts.h"

#define MAX_FILE_BYTES ((size_t)64 << 20)

/* A special token; or, where there is a count, tokens of the names prefix, number, "|>" with ids that follow each
 * other. */
struct special {
    const char *name;
    int32_t id, count, first_number;
};

/* What the file does not say: the pattern and the special tokens (tiktoken's openai_public.py, the tokenizer.py of
 * Llama 3 and 4, tokenization_qwen.py). */
static const struct special r50k[] = {{TOKEN_END_OF_TEXT, 50256, 0, 0}, {0}};
static const struct special p50k_edit[] = {{TOKEN_END_OF_TEXT, 50256, 0, 0},
                                           {"<|fim_prefix|>", 50281, 0, 0},
                                           {"<|fim_middle|>", 50282, 0, 0},
                                           {"<|fim_suffix|>", 50283, 0, 0},
                                           {0}};
static const struct special cl100k[] = {{TOKEN_END_OF_TEXT, 100257, 0, 0}, {"<|fim_prefix|>", 100258, 0, 0},
                                        {"<|fim_middle|>", 100259, 0, 0},  {"<|fim_suffix|>", 100260, 0, 0},
                                        {"<|endofprompt|>", 100276, 0, 0}, {0}};
static const struct special o200k[] = {{TOKEN_END_OF_TEXT, 199999, 0, 0}, {"<|endofprompt|>", 200018, 0, 0}, {0}};
static const struct special harmony[] = {{"<|startoftext|>", 199998, 0, 0},
                                         {TOKEN_END_OF_TEXT, 199999, 0, 0},
                                         {"<|reserved_", 200000, 2, 200000},
                                         {"<|return|>", 200002, 0, 0},
                                         {"<|constrain|>", 200003, 0, 0},
                                         {"<|reserved_", 200004, 1, 200004},
                                         {"<|channel|>", 200005, 0, 0},
                                         {"<|start|>", 200006, 0, 0},
                                         {"<|end|>", 200007, 0, 0},
                                         {"<|message|>", 200008, 0, 0},
                                         {"<|reserved_", 200009, 3, 200009},
                                         {"<|call|>", 200012, 0, 0},
                                         {"<|reserved_", 200013, 5, 200013},
                                         {"<|endofprompt|>", 200018, 0, 0},
                                         {"<|reserved_", 200019, 1069, 200019},
                                         {0}};
static const struct special qwen[] = {{TOKEN_END_OF_TEXT, 151643, 0, 0},
                                      {TOKEN_IM_START, 151644, 0, 0},
                                      {TOKEN_IM_END, 151645, 0, 0},
                                      {"<|extra_", 151646, 205, 0},
                                      {0}};
static const struct special llama3[] = {{"<|begin_of_text|>", 128000, 0, 0},
                                        {"<|end_of_text|>", 128001, 0, 0},
                                        {"<|reserved_special_token_", 128002, 2, 0},
                                        {"<|finetune_right_pad_id|>", 128004, 0, 0},
                                        {"<|step_id|>", 128005, 0, 0},
                                        {"<|start_header_id|>", 128006, 0, 0},
                                        {"<|end_header_id|>", 128007, 0, 0},
                                        {"<|eom_id|>", 128008, 0, 0},
                                        {"<|eot_id|>", 128009, 0, 0},
                                        {"<|python_tag|>", 128010, 0, 0},
                                        {"<|image|>", 128011, 0, 0},
                                        {"<|reserved_special_token_", 128012, 244, 2},
                                        {0}};
static const struct special llama4[] = {{"<|begin_of_text|>", 200000, 0, 0},
                                        {"<|end_of_text|>", 200001, 0, 0},
                                        {"<|fim_prefix|>", 200002, 0, 0},
                                        {"<|fim_middle|>", 200003, 0, 0},
                                        {"<|fim_suffix|>", 200004, 0, 0},
                                        {"<|header_start|>", 200005, 0, 0},
                                        {"<|header_end|>", 200006, 0, 0},
                                        {"<|eom|>", 200007, 0, 0},
                                        {"<|eot|>", 200008, 0, 0},
                                        {"<|step|>", 200009, 0, 0},
                                        {"<|text_post_train_reserved_special_token_", 200010, 6, 0},
                                        {"<|python_start|>", 200016, 0, 0},
                                        {"<|python_end|>", 200017, 0, 0},
                                        {"<|finetune_right_pad|>", 200018, 0, 0},
                                        {"<|text_post_train_reserved_special_token_", 200019, 61, 8},
                                        {"<|image_start|>", 200080, 0, 0},
                                        {"<|image_end|>", 200081, 0, 0},
                                        {"<|vision_reserved_special_token_", 200082, 2, 0},
                                        {"<|tile_x_separator|>", 200084, 0, 0},
                                        {"<|tile_y_separator|>", 200085, 0, 0},
                                        {"<|vision_reserved_special_token_", 200086, 4, 2},
                                        {"<|image|>", 200090, 0, 0},
                                        {"<|vision_reserved_special_token_", 200091, 1, 6},
                                        {"<|patch|>", 200092, 0, 0},
                                        {"<|vision_reserved_special_token_", 200093, 1041, 7},
                                        {"<|reasoning_reserved_special_token_", 201134, 8, 0},
                                        {"<|reasoning_thinking_start|>", 201142, 0, 0},
                                        {"<|reasoning_thinking_end|>", 201143, 0, 0},
                                        {"<|reserved_special_token_", 201144, 904, 0},
                                        {0}};

struct encoding {
    const char *name; /* a file's name begins so */
    int32_t n_tokens; /* or it has so many */
    enum pretokenizer pretokenizer;
    bool nfc;
    const struct special *specials;
};

static const struct encoding encodings[] = {
    {"r50k", 50256, PRETOKENIZER_GPT2, false, r50k},
    {"p50k_edit", 50280, PRETOKENIZER_GPT2, false, p50k_edit},
    {"p50k", 50280, PRETOKENIZER_GPT2, false, r50k},
    {"gpt2", 50256, PRETOKENIZER_GPT2, false, r50k},
    {"cl100k", 100256, PRETOKENIZER_CL100K, false, cl100k},
    {"o200k_harmony", 199998, PRETOKENIZER_O200K, false, harmony},
    {"o200k", 199998, PRETOKENIZER_O200K, false, o200k},
    {"qwen", 151643, PRETOKENIZER_QWEN2, true, qwen},
    {"llama3", 128000, PRETOKENIZER_LLAMA3, false, llama3},
    {"llama4", 200000, PRETOKENIZER_O200K, false, llama4},
};

/* By the name of the file, else by the number of its tokens. */
static const struct encoding *encoding_of_file(const char *path, int32_t n_tokens) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = sizeof encodings / sizeof *encodings;
    for (size_t i = 0; i < n; i++)
        if (strncmp(name, encodings[i].name, strlen(encodings[i].name)) == 0) return &encodings[i];
    for (size_t i = n; i-- > 0;) /* the last of a number is the one without additions */
        if (encodings[i].n_tokens == n_tokens) return &encodings[i];
    return NULL;
}

static bool read_line(struct tokenizer *tok, const char *line, struct buffer *bytes, struct talc_error *err) {
    buffer_clear(bytes);
    const char *rest = base64_decode(line, bytes);
    char *end;
    if (bytes->length == 0 || *rest != ' ' || rest[1] < '0' || rest[1] > '9')
        return talc_fail(err, "not \"BASE64 RANK\"");
    long long rank = strtoll(rest + 1, &end, 10);
    if (*end && strcmp(end, "\r") != 0) return talc_fail(err, "not \"BASE64 RANK\"");
    return vocabulary_add(&tok->vocabulary, rank, bytes->data, bytes->length, TOKEN_TEXT, err);
}

static bool read_lines(struct tokenizer *tok, char *text, struct talc_error *err) {
    struct buffer bytes = {0};
    bool ok = true;
    size_t number = 1;
    for (char *line = text; ok && *line; number++) {
        char *end = strchr(line, '\n');
        if (end) *end = 0;
        if (*line && !read_line(tok, line, &bytes, err)) ok = talc_fail_in(err, "line %zu", number);
        line = end ? end + 1 : line + strlen(line);
    }
    buffer_free(&bytes);
    return ok;
}

bool tokenizer_merges_from_ids(struct tokenizer *tok, struct talc_error *err) {
    const struct vocabulary *v = &tok->vocabulary;
    int32_t *order = malloc((size_t)v->size * sizeof *order);
    uint32_t *ranks = malloc((size_t)v->size * sizeof *ranks);
    size_t n = 0;
    for (int32_t id = 0; order && ranks && id < v->size; id++) {
        if (v->tokens[id].kind != TOKEN_TEXT || v->tokens[id].n_bytes < 2) continue;
        order[n] = id;
        ranks[n++] = (uint32_t)id;
    }
    bool ok = order && ranks ? bpe_imply_merges(&tok->bpe, v, order, ranks, n, err)
                             : talc_fail(err, "out of memory for merges");
    free(order);
    free(ranks);
    return ok;
}

static bool add_specials(struct tokenizer *tok, const struct special *special, struct talc_error *err) {
    for (; special->name; special++) {
        for (int32_t i = 0; i < (special->count ? special->count : 1); i++) {
            char name[80];
            snprintf(name, sizeof name, "%s%d|>", special->name, (int)(special->first_number + i));
            if (!tokenizer_add_special(tok, special->count ? name : special->name, special->id + i, err)) return false;
        }
    }
    return true;
}

bool tiktoken_recognise(const char *head, size_t n) {
    size_t i = 0;
    while (i < n && base64_value(head[i]) >= 0) i++;
    while (i < n && head[i] == '=') i++;
    return i > 0 && i + 1 < n && head[i] == ' ' && head[i + 1] >= '0' && head[i + 1] <= '9';
}

bool tiktoken_read(struct tokenizer *tok, const char *path, struct talc_error *err) {
    size_t n_bytes;
    char *text = file_read(path, MAX_FILE_BYTES, &n_bytes, err);
    if (!text) return false;
    bool ok =
        (strlen(text) == n_bytes || talc_fail(err, "the file holds a NUL character")) && read_lines(tok, text, err);
    free(text);
    if (!ok) return false;
    const struct encoding *e = encoding_of_file(path, tok->vocabulary.n_tokens);
    if (!e)
        return talc_fail(
            err,
            "its name must begin with r50k, p50k, gpt2, cl100k, o200k, qwen, llama3 or llama4, to say how it "
            "cuts text (%d tokens are not known)",
            (int)tok->vocabulary.n_tokens);
    const char *regex = pretokenizer_regex(e->pretokenizer);
    tok->bpe.whole_words = true;
    return (e->nfc ? tokenizer_use_regexes(tok, &regex, 1, true, err)
                   : tokenizer_use_pattern(tok, e->pretokenizer, err)) &&
           add_specials(tok, e->specials, err) && tokenizer_merges_from_ids(tok, err);
}
