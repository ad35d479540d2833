/* tokenizer_bytes.c - see tokenizer_bytes.h. */
#include "tokenizer_bytes.h"

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
