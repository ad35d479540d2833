/* tokenizer_bytes.h - files of vocabularies piece by piece, as tests want them: SentencePiece models (protobuf) and the
 * metadata of GGUF. */
#ifndef TALC_TESTS_SUPPORT_TOKENIZER_BYTES_H
#define TALC_TESTS_SUPPORT_TOKENIZER_BYTES_H

#include "base/buffer.h"
#include "file/gguf.h"

/* SentencePiece: a field of bytes is its key, a length and them. */
void put_varint(struct buffer *b, uint64_t x);
void put_field(struct buffer *b, uint32_t number, const struct buffer *message);
void put_piece(struct buffer *model, const char *text, float score, int type);
/* Specs of a model: its type, and whether white space is collapsed and a space put before texts. */
void put_specs(struct buffer *model, int type, bool collapse, bool prefix);

#define MARK "\xe2\x96\x81"
/* <unk> <s> </s>, 256 bytes, then: MARK 259, a 260, b 261, ab 262, MARK ab 263, MARK MARK 264, <x> (a symbol of users)
 * 265. */
void put_pieces(struct buffer *model);

/* GGUF: a header, then keys with their values. */
void put_header(struct buffer *b, uint64_t n_values);
void put_u32(struct buffer *b, uint32_t x);
void put_u64(struct buffer *b, uint64_t x);
void put_string(struct buffer *b, const char *text);
void put_text(struct buffer *b, const char *key, const char *value);
void put_strings(struct buffer *b, const char *key, const char *const *values, size_t n);
/* Numbers of four bytes. */
void put_numbers(struct buffer *b, const char *key, enum gguf_type type, const void *values, size_t n);

/* Whole files. a b " " 1 ab " ab" 11, <end>, <think>; and <unk> <s> </s>, a line end, MARK 4, a 5, b 6, ab 7, MARK ab 8
 * of SentencePiece, with five keys. */
void byte_level_gguf(struct buffer *b, const char *pre);
void sentencepiece_gguf(struct buffer *b, const char *model);
/* <unk> a b, and ab and ba of equal scores; without a space before texts. */
void put_tied_gguf(struct buffer *b);

#endif
