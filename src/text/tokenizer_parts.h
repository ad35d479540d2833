/* tokenizer_parts.h - what a tokenizer is made of. Only for the files that make, read and write tokenizers
 * (tokenizer*.c, tiktoken.c); everyone else uses tokenizer.h. */
#ifndef TALC_TEXT_TOKENIZER_PARTS_H
#define TALC_TEXT_TOKENIZER_PARTS_H

#include "text/bpe.h"
#include "text/pretokenize.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

enum tokenizer_type {
    TOKENIZER_BYTE_BPE,  /* words by `pretokenizer`, then BPE over their bytes */
    TOKENIZER_CHARACTER, /* one token a character; the vocabulary is a set of characters */
};

struct tokenizer {
    enum tokenizer_type type;
    enum pretokenizer pretokenizer; /* byte-level BPE only */
    bool normalize_nfc;             /* the file asks for Unicode normal form C first */
    struct vocabulary vocabulary;
    struct bpe bpe;
    int32_t *added; /* [n_added] ids of TOKEN_ADDED and TOKEN_SPECIAL, by length of their text, longest first */
    size_t n_added;
    bool added_starts[256]; /* bytes that one of them begins with */
    int32_t unknown_id;     /* character tokenizer: for characters it does not have; -1: they are an error */
    int32_t bos_id, eos_id, end_of_text_id, pad_id; /* -1: none */
    char *chat_template;
    char description[64];
    uint64_t hash;
};

/* An empty tokenizer without roles. NULL when out of memory. */
struct tokenizer *tokenizer_new(struct talc_error *err);

/* After the vocabulary and the merges are there: builds the tables and the hash. */
bool tokenizer_finish(struct tokenizer *tok, struct talc_error *err);

/* Roles that are still -1 are read off the names that families of models use. */
void tokenizer_choose_roles(struct tokenizer *tok);

/* Gives the special token `name` the id `id`. */
bool tokenizer_add_special(struct tokenizer *tok, const char *name, int64_t id, struct talc_error *err);

/* Reads a .tiktoken file: lines of base64 bytes and rank; the name of the file tells pattern and special tokens. */
bool tiktoken_read(struct tokenizer *tok, const char *path, struct talc_error *err);

/* Unicode normal form C of text (invalid bytes are kept as they are), appended to *out. */
bool normalize_nfc(const char *text, size_t n_bytes, struct buffer *out, struct talc_error *err);
bool normalize_nfc_available(void); /* false: built without utf8proc, and normalize_nfc fails */

/* ==== byte-level text: how tokenizer.json writes bytes as characters that can be printed ========= */

/* Bytes 33-126, 161-172 and 174-255 stand for themselves; the other 68, in order, are U+0100 and up. */
int32_t byte_level_character(unsigned char byte);
int byte_level_byte(int32_t character); /* -1: stands for no byte */

#endif
