/* wordpiece.h - WordPiece (Schuster & Nakajima, "Japanese and Korean Voice Search", ICASSP 2012, as BERT uses it): a
 * word is cut from the left, each time into the longest piece there is; pieces behind the first are written with a
 * prefix ("##"). A word that cannot be cut so is one unknown token. */
#ifndef TALC_TEXT_WORDPIECE_H
#define TALC_TEXT_WORDPIECE_H

#include "base/error.h"
#include "text/trie.h"
#include "text/vocabulary.h"

struct wordpiece {
    struct trie trie;      /* of every TOKEN_TEXT as it is written */
    char *prefix;          /* of pieces behind the first; owned */
    int32_t inner;         /* the node behind the prefix, -1: there are no such pieces */
    size_t max_characters; /* longer words are unknown */
    int32_t unknown_id;
    bool cleanup; /* decoding puts no space before . ? ! , */
};

bool wordpiece_build(struct wordpiece *w, const struct vocabulary *v, struct talc_error *err);
void wordpiece_free(struct wordpiece *w);

/* The pieces of a word of n > 0 bytes: writes at most n ids to ids and their number to *n_ids. Fails when the word is
 * unknown and there is no token for that. */
bool wordpiece_encode(const struct wordpiece *w, const char *word, size_t n, int32_t *ids, size_t *n_ids,
                      struct talc_error *err);

/* How a token stands in text, behind others or first: *space tells whether a space goes before it. */
const char *wordpiece_text(const struct wordpiece *w, const char *token, size_t *n, bool *space);

#endif
