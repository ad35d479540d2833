/* tiktoken.c - reading OpenAI's .tiktoken files: a line is the base64 of a token's bytes, a space and its rank, which
 * is its id. Merges are implied: two tokens merge when the bytes of both together are a token, at that token's rank. */
#include <stdlib.h>
#include <string.h>

#include "file/atomic.h"
#include "text/tokenizer_parts.h"

#define MAX_FILE_BYTES ((size_t)64 << 20)

struct special {
    const char *name;
    int32_t id;
};

/* What the file does not say: the pattern and the special tokens (tiktoken's openai_public.py). */
struct encoding {
    const char *name;
    enum pretokenizer pretokenizer;
    struct special specials[6];
};

static const struct encoding encodings[] = {
    {"r50k", PRETOKENIZER_GPT2, {{TOKEN_END_OF_TEXT, 50256}}},
    {"p50k", PRETOKENIZER_GPT2, {{TOKEN_END_OF_TEXT, 50256}}},
    {"gpt2", PRETOKENIZER_GPT2, {{TOKEN_END_OF_TEXT, 50256}}},
    {"cl100k",
     PRETOKENIZER_CL100K,
     {{TOKEN_END_OF_TEXT, 100257},
      {"<|fim_prefix|>", 100258},
      {"<|fim_middle|>", 100259},
      {"<|fim_suffix|>", 100260},
      {"<|endofprompt|>", 100276}}},
};

static const struct encoding *encoding_of_file(const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++)
        if (strncmp(name, encodings[i].name, strlen(encodings[i].name)) == 0) return &encodings[i];
    return NULL;
}

static int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes base64 up to the first other character, and the '=' behind it; returns where that ended. */
static const char *decode_base64(const char *text, struct buffer *out) {
    unsigned bits = 0;
    int n_bits = 0;
    for (int value; (value = base64_value(*text)) >= 0; text++) {
        bits = (bits << 6 | (unsigned)value) & 0xffff;
        n_bits += 6;
        if (n_bits < 8) continue;
        n_bits -= 8;
        buffer_append_char(out, (char)(bits >> n_bits));
    }
    while (*text == '=') text++;
    return text;
}

static bool read_line(struct tokenizer *tok, const char *line, struct buffer *bytes, struct talc_error *err) {
    buffer_clear(bytes);
    const char *rest = decode_base64(line, bytes);
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

/* Every pair of tokens that makes up a token. By rank, as ids are ranks. */
static bool imply_merges(struct tokenizer *tok, struct talc_error *err) {
    const struct vocabulary *v = &tok->vocabulary;
    for (int32_t id = 0; id < v->size; id++) {
        const struct vocabulary_token *token = &v->tokens[id];
        const char *bytes = vocabulary_bytes(v, token);
        for (uint32_t cut = 1; token->kind == TOKEN_TEXT && cut < token->n_bytes; cut++) {
            int32_t left = vocabulary_find(v, bytes, cut);
            int32_t right = left < 0 ? -1 : vocabulary_find(v, bytes + cut, token->n_bytes - cut);
            if (right < 0) continue;
            if (!bpe_add_merge(&tok->bpe, (struct bpe_merge){left, right, id, (uint32_t)id}))
                return talc_fail(err, "out of memory for merges");
        }
    }
    return true;
}

static bool add_specials(struct tokenizer *tok, const struct encoding *encoding, struct talc_error *err) {
    for (const struct special *s = encoding->specials; s->name; s++)
        if (!tokenizer_add_special(tok, s->name, s->id, err)) return false;
    return true;
}

bool tiktoken_read(struct tokenizer *tok, const char *path, struct talc_error *err) {
    const struct encoding *encoding = encoding_of_file(path);
    if (!encoding)
        return talc_fail(err, "%s: its name must begin with r50k, p50k, gpt2 or cl100k, to say how it cuts text", path);
    size_t n_bytes;
    char *text = file_read(path, MAX_FILE_BYTES, &n_bytes, err);
    if (!text) return false;
    tok->pretokenizer = encoding->pretokenizer;
    tok->bpe.whole_words = true;
    bool ok = (strlen(text) == n_bytes || talc_fail(err, "the file holds a NUL character")) &&
              read_lines(tok, text, err) && add_specials(tok, encoding, err) && imply_merges(tok, err);
    free(text);
    return ok || talc_fail_in(err, "%s", path);
}
