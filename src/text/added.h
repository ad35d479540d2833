/* added.h - the tokens that a file adds to its model ("<|im_end|>", "<think>"): found whole in the text before it is
 * cut into words, as Hugging Face's `tokenizers` finds them. Read-only once finished. */
#ifndef TALC_TEXT_ADDED_H
#define TALC_TEXT_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text/tokenizer.h"

struct added_token {
    int32_t id;
    bool special;        /* only found where special tokens are asked for */
    bool single_word;    /* not beside a letter, mark, digit or _ */
    bool lstrip, rstrip; /* takes the white space before (behind) it */
    bool normalized;     /* looked for in normalised text */
    bool as_written;     /* ... and its own text is not normalised first (SentencePiece) */
    char *text;          /* what is looked for: normalised where `normalized` says so; owned */
    uint32_t n_bytes;
};

struct added_list {
    struct added_token *tokens; /* [n_tokens] once finished: the n_raw that are not `normalized`, then the others, */
    size_t n_tokens, capacity;  /* each in order of their text */
    size_t n_raw;
    bool starts[2][256]; /* [normalized]: bytes that one of them begins with */
    int only_start[2];   /* the byte that all begin with, -1: there are several */
    bool any_plain[2];   /* one of them is not special */
};

/* Copies the text (at least one byte). False: out of memory. */
bool added_list_add(struct added_list *list, struct added_token token, const char *text, size_t n_bytes);
void added_list_finish(struct added_list *list);
void added_list_free(struct added_list *list);

/* Where special tokens may be found: whole in one of these parts of a text. The text that is searched begins at the
 * byte `origin` of it. */
struct special_places {
    const struct text_part *parts; /* [n_parts], in order and apart from each other */
    size_t n_parts, origin;
};
struct special_places special_places_all(bool parse_special); /* anywhere, or nowhere */

/* The part that the byte is in, NULL for none; *end: where this part ends, or the next one begins (SIZE_MAX: none). */
const struct text_part *special_places_at(const struct special_places *places, size_t byte, size_t *end);

struct added_match {
    size_t begin, end; /* with the white space that it takes */
    size_t at;         /* of the token itself */
    const struct added_token *token;
};

/* The first match in text[from..n) among the tokens whose `normalized` is as given: of those that begin first the
 * longest. False: there is none. */
bool added_list_find(const struct added_list *list, bool normalized, const char *text, size_t n, size_t from,
                     const struct special_places *places, struct added_match *match);

#endif
