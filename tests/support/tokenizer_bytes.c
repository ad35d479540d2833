/* tokenizer_bytes.c - see tokenizer_bytes.h. */
#include "tokenizer_bytes.h"

#include <stdio.h>
#include <string.h>

void put_varint(struct buffer *b, uint64_t x) {
    for (; x > 127; x >>= 7) buffer_append_char(b, (char)(x | 128));
    buffer_append_char(b, (char)x);
}

void put_field(struct buffer *b, uint32_t number, const struct buffer *message) {
    put_varint(b, number << 3 | 2);
    put_varint(b, message->length);
    buffer_append(b, message->data, message->length);
}

void put_piece(struct buffer *model, const char *text, float score, int type) {
    struct buffer piece = {0}, name = {0};
    buffer_append_text(&name, text);
    put_field(&piece, 1, &name);
    put_varint(&piece, 2 << 3 | 5);
    buffer_append(&piece, &score, 4);
    put_varint(&piece, 3 << 3);
    put_varint(&piece, (uint64_t)type);
    put_field(model, 1, &piece);
    buffer_free(&piece);
    buffer_free(&name);
}

void put_specs(struct buffer *model, int type, bool collapse, bool prefix) {
    struct buffer spec = {0};
    put_varint(&spec, 3 << 3);
    put_varint(&spec, (uint64_t)type);
    put_field(model, 2, &spec);
    buffer_clear(&spec);
    put_varint(&spec, 3 << 3);
    put_varint(&spec, prefix);
    put_varint(&spec, 4 << 3);
    put_varint(&spec, collapse);
    put_field(model, 3, &spec);
    buffer_free(&spec);
}

void put_u32(struct buffer *b, uint32_t x) { buffer_append(b, &x, 4); }
void put_u64(struct buffer *b, uint64_t x) { buffer_append(b, &x, 8); }
void put_string(struct buffer *b, const char *text) {
    put_u64(b, strlen(text));
    buffer_append_text(b, text);
}
void put_text(struct buffer *b, const char *key, const char *value) {
    put_string(b, key);
    put_u32(b, GGUF_STRING);
    put_string(b, value);
}
void put_strings(struct buffer *b, const char *key, const char *const *values, size_t n) {
    put_string(b, key);
    put_u32(b, GGUF_ARRAY);
    put_u32(b, GGUF_STRING);
    put_u64(b, n);
    for (size_t i = 0; i < n; i++) put_string(b, values[i]);
}
void put_numbers(struct buffer *b, const char *key, enum gguf_type type, const void *values, size_t n) {
    put_string(b, key);
    put_u32(b, GGUF_ARRAY);
    put_u32(b, type);
    put_u64(b, n);
    buffer_append(b, values, n * 4);
}

void put_header(struct buffer *b, uint64_t n_values) {
    buffer_append_text(b, "GGUF");
    put_u32(b, 3);
    put_u64(b, 0);
    put_u64(b, n_values);
}

void put_pieces(struct buffer *model) {
    char byte[8];
    put_piece(model, "<unk>", 0, 2);
    put_piece(model, "<s>", 0, 3);
    put_piece(model, "</s>", 0, 3);
    for (int i = 0; i < 256; i++) {
        snprintf(byte, sizeof byte, "<0x%02X>", i);
        put_piece(model, byte, 0, 6);
    }
    put_piece(model, MARK, -10, 1);
    put_piece(model, "a", -11, 1);
    put_piece(model, "b", -12, 1);
    put_piece(model, "ab", -1, 1);
    put_piece(model, MARK "ab", -2, 1);
    put_piece(model, MARK MARK, -3, 1);
    put_piece(model, "<x>", 0, 4);
}

void byte_level_gguf(struct buffer *b, const char *pre) {
    static const char *const tokens[] = {"a",
                                         "b",
                                         "\xc4\xa0",
                                         "1",
                                         "ab",
                                         "\xc4\xa0"
                                         "ab",
                                         "11",
                                         "<end>",
                                         "<think>"};
    static const char *const merges[] = {"a b", "\xc4\xa0 ab", "1 1"};
    static const int32_t types[] = {1, 1, 1, 1, 1, 1, 1, 3, 4};
    put_header(b, 7);
    put_text(b, "tokenizer.ggml.model", "gpt2");
    put_text(b, "tokenizer.ggml.pre", pre);
    put_strings(b, "tokenizer.ggml.tokens", tokens, 9);
    put_numbers(b, "tokenizer.ggml.token_type", GGUF_I32, types, 9);
    put_strings(b, "tokenizer.ggml.merges", merges, 3);
    put_string(b, "tokenizer.ggml.eos_token_id");
    put_u32(b, GGUF_U32);
    put_u32(b, 7);
    put_text(b, "tokenizer.chat_template", "{{ x }}");
}

void sentencepiece_gguf(struct buffer *b, const char *model) {
    static const char *const tokens[] = {"<unk>", "<s>", "</s>", "<0x0A>", MARK, "a", "b", "ab", MARK "ab"};
    static const float scores[] = {0, 0, 0, 0, -10, -11, -12, -1, -2};
    static const int32_t types[] = {2, 3, 3, 6, 1, 1, 1, 1, 1};
    put_header(b, 5);
    put_text(b, "tokenizer.ggml.model", model);
    put_strings(b, "tokenizer.ggml.tokens", tokens, 9);
    put_numbers(b, "tokenizer.ggml.scores", GGUF_F32, scores, 9);
    put_numbers(b, "tokenizer.ggml.token_type", GGUF_I32, types, 9);
    put_string(b, "tokenizer.ggml.bos_token_id");
    put_u32(b, GGUF_U32);
    put_u32(b, 1);
}

void put_tied_gguf(struct buffer *b) {
    static const char *const tokens[] = {"<unk>", "a", "b", "ab", "ba"};
    static const float scores[] = {0, -9, -9, -5, -5};
    static const int32_t types[] = {2, 1, 1, 1, 1};
    put_header(b, 5);
    put_text(b, "tokenizer.ggml.model", "llama");
    put_strings(b, "tokenizer.ggml.tokens", tokens, 5);
    put_numbers(b, "tokenizer.ggml.scores", GGUF_F32, scores, 5);
    put_numbers(b, "tokenizer.ggml.token_type", GGUF_I32, types, 5);
    put_string(b, "tokenizer.ggml.add_space_prefix");
    put_u32(b, GGUF_BOOL);
    buffer_append_char(b, 0);
}
