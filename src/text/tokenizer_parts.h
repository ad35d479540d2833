/* tokenizer_parts.h - what a tokenizer is made of. Only for the files that make, read, write and run tokenizers;
 * everyone else uses tokenizer.h. */
#ifndef TALC_TEXT_TOKENIZER_PARTS_H
#define TALC_TEXT_TOKENIZER_PARTS_H

#include <jansson.h>

#include "text/added.h"
#include "text/bpe_join.h"
#include "text/normalize.h"
#include "text/split.h"
#include "text/tokenizer.h"
#include "text/unigram.h"
#include "text/vocabulary.h"
#include "text/word_cache.h"
#include "text/wordpiece.h"

enum tokenizer_type {
    TOKENIZER_BYTE_BPE,  /* words by `split`, then BPE over their bytes */
    TOKENIZER_CHARACTER, /* one token a character; the vocabulary is a set of characters */
    TOKENIZER_SPACE_BPE, /* SentencePiece's: spaces are characters of words (written U+2581), BPE over characters */
    TOKENIZER_UNIGRAM,   /* the same with the unigram language model */
    TOKENIZER_WORDPIECE, /* words by `split`, then WordPiece; tokens are as they are written in files */
};

/* When a space goes before text that does not begin with one. */
enum prefix_space {
    PREFIX_NONE,
    PREFIX_ALWAYS, /* also behind added tokens */
    PREFIX_FIRST,  /* only where the whole text begins */
};

/* The sections of tokenizer.json that say how text is treated. Kept to be written back as they were; NULL: null. */
struct tokenizer_sections {
    json_t *normalizer, *pre_tokenizer, *post_processor, *decoder;
};

#define TOKENIZER_IDLE_ENCODERS 16
#define TOKENIZER_MOST_ENDS 16

struct tokenizer {
    enum tokenizer_type type;
    struct tokenizer_sections sections;
    struct normalizer normalizer;
    struct split split;
    enum prefix_space prefix_space;
    bool split_before_spaces; /* TOKENIZER_SPACE_BPE: no token goes on behind a space that follows another character */
    bool split_at_line_ends;  /* ... and none has a line end beside another character */
    bool words_apart; /* TOKENIZER_UNIGRAM: text is words without the white space between them, a space before each */
    bool strip_space; /* decoding leaves out a space at the very beginning */
    bool add_bos, add_eos; /* what the file puts around a text */
    struct vocabulary vocabulary;
    double *scores; /* [n_scores] of SentencePiece's tokens, by id; NULL: not known */
    size_t n_scores;
    double lowest_score; /* TOKENIZER_UNIGRAM: of the pieces */
    struct unigram unigram;
    struct wordpiece wordpiece;
    struct bpe bpe;
    struct added_list added;
    int32_t bos_id, eos_id, end_of_text_id, pad_id, unknown_id; /* -1: none; unknown_id: for what has no token */
    int32_t ends[TOKENIZER_MOST_ENDS]; /* [n_ends] that end an answer besides eos_id and end_of_text_id */
    int n_ends;
    char *chat_template;
    bool ties_matter; /* equal scores: no list of merges says the same (bpe_ties.h) */
    char *source;     /* the SentencePiece model that it was read from; NULL */
    size_t n_source;
    char description[96];
    uint64_t hash;
    bool no_cache;                                         /* for measurements: every word is merged anew */
    struct encoder *_Atomic idle[TOKENIZER_IDLE_ENCODERS]; /* that no thread uses at the moment */
    struct shared_words *_Atomic idle_words;               /* of several threads that encoded one text; NULL: none */
};

/* True when vocabulary and words hold spaces where files hold U+2581. */
static inline bool tokenizer_marks_spaces(const struct tokenizer *tok) {
    return tok->type == TOKENIZER_SPACE_BPE || tok->type == TOKENIZER_UNIGRAM;
}

static inline bool tokenizer_normalizes_as_sentencepiece(const struct tokenizer *tok) {
    return tok->normalizer.n_steps && tok->normalizer.steps[0].kind == NORMALIZER_CHARSMAP;
}

/* True when words are encoded by merges. */
static inline bool tokenizer_merges(const struct tokenizer *tok) {
    return tok->type == TOKENIZER_BYTE_BPE || tok->type == TOKENIZER_SPACE_BPE;
}

/* False: out of memory. */
bool tokenizer_set_score(struct tokenizer *tok, int32_t id, double score);

/* An empty tokenizer without roles. NULL when out of memory. */
struct tokenizer *tokenizer_new(struct talc_error *err);

/* After the vocabulary, the merges and the added tokens are there: builds the tables and the hash. */
bool tokenizer_finish(struct tokenizer *tok, struct talc_error *err);

/* One more token that ends an answer; one that does not exist, and one more than there is room for, is left out. */
void tokenizer_add_end(struct tokenizer *tok, int64_t id);

/* Roles that are still -1, and tokens that end an answer, are read off the names that families of models use. */
void tokenizer_choose_roles(struct tokenizer *tok);

/* Gives the special token `name` the id `id`. */
bool tokenizer_add_special(struct tokenizer *tok, const char *name, int64_t id, struct talc_error *err);

/* Adds a token to the vocabulary, which must not have its id yet, and to the list; `token` has its id and rules. */
bool tokenizer_add_token(struct tokenizer *tok, struct added_token token, const char *text, size_t n_bytes,
                         struct talc_error *err);

/* ==== sections (tokenizer_sections.c) ========================================================= */

/* Reads the sections of a tokenizer.json: type, normalizer, split, prefix_space, strip_space. What talc does not do is
 * refused by name. Each is borrowed or NULL. */
bool tokenizer_read_sections(struct tokenizer *tok, json_t *normalizer, json_t *pre_tokenizer, json_t *post_processor,
                             json_t *decoder, struct talc_error *err);

/* Sections of a byte-level tokenizer: a known pattern; a list of regular expressions, each cutting what the one before
 * left (n may be 0); with or without NFC. */
bool tokenizer_use_pattern(struct tokenizer *tok, enum pretokenizer pattern, struct talc_error *err);
bool tokenizer_use_regexes(struct tokenizer *tok, const char *const *regexes, size_t n, bool nfc,
                           struct talc_error *err);

/* Sections of a tokenizer of characters. */
bool tokenizer_use_characters(struct tokenizer *tok, struct talc_error *err);

/* Sections of SentencePiece BPE: with a space before every text or not. */
bool tokenizer_use_spaces(struct tokenizer *tok, bool prefix, struct talc_error *err);

/* SentencePiece's own treatment of text, where no section of tokenizer.json says the same. */
struct sentencepiece_treatment {
    const char *charsmap; /* [n_charsmap]; 0: none */
    size_t n_charsmap;
    bool prefix;   /* add_dummy_prefix */
    bool collapse; /* remove_extra_whitespaces */
};
bool tokenizer_use_sentencepiece(struct tokenizer *tok, const struct sentencepiece_treatment *t,
                                 struct talc_error *err);

/* ==== files =================================================================================== */

/* Each reads vocabulary, merges, added tokens and sections; tokenizer_finish is the caller's. */
bool tiktoken_read(struct tokenizer *tok, const char *path, struct talc_error *err);
bool sentencepiece_read(struct tokenizer *tok, const char *path, struct talc_error *err);
bool gguf_tokenizer_read(struct tokenizer *tok, const char *path, struct talc_error *err);
bool tekken_read(struct tokenizer *tok, const char *path, struct talc_error *err);
bool tokenizer_json_read(struct tokenizer *tok, const char *path, struct talc_error *err);
bool vocab_merges_read(struct tokenizer *tok, const char *folder, struct talc_error *err);

/* True when the file begins as a .tiktoken (a SentencePiece model) does: both are called tokenizer.model. */
bool tiktoken_recognise(const char *head, size_t n);
bool sentencepiece_recognise(const char *head, size_t n);
/* True when a JSON file begins as a tekken.json does. */
bool tekken_recognise(const char *head, size_t n);

/* Merges of a vocabulary whose order of merging is that of its ids (tiktoken). */
bool tokenizer_merges_from_ids(struct tokenizer *tok, struct talc_error *err);

/* Merges of a SentencePiece vocabulary by the scores of its tokens, the highest first. */
bool tokenizer_merges_from_scores(struct tokenizer *tok, struct talc_error *err);

/* A token as it is written in a file: byte-level text for what is made of bytes, U+2581 for the spaces of
 * SentencePiece, else its own text. In *out, or where that ran out of memory NULL. */
const char *tokenizer_written_form(const struct tokenizer *tok, const struct vocabulary_token *token,
                                   struct buffer *out);

/* "left right" of a merge. False: out of memory. */
bool tokenizer_written_merge(const struct tokenizer *tok, const struct bpe_merge *merge, struct buffer *scratch,
                             struct buffer *out);

/* The types of pieces in SentencePiece models, and of tokens in GGUF. */
enum piece_type { PIECE_NORMAL = 1, PIECE_UNKNOWN, PIECE_CONTROL, PIECE_USER_DEFINED, PIECE_UNUSED, PIECE_BYTE };

/* SentencePiece: a piece as it stands in text, with a space for each U+2581. False: out of memory. */
bool space_text(const char *piece, size_t n, struct buffer *out);
/* The byte that "<0x0A>" stands for, -1 for any other text. */
int byte_piece(const char *piece, size_t n);

/* ==== encoding (encode.c) ===================================================================== */

void encoders_free(struct tokenizer *tok);

#endif
