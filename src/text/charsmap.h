/* charsmap.h - SentencePiece's precompiled_charsmap: which short strings are replaced by which, found in a double-array
 * trie (darts-clone). The bytes come from a file and may be anything. */
#ifndef TALC_TEXT_CHARSMAP_H
#define TALC_TEXT_CHARSMAP_H

#include "base/buffer.h"
#include "base/error.h"

struct charsmap {
    char *bytes; /* of the file: the size of the trie, the trie, replacements ending in NUL; owned */
    size_t n_bytes, n_units;
};

/* Copies the bytes. NULL on failure: they are no charsmap. */
struct charsmap *charsmap_new(const char *bytes, size_t n_bytes, struct talc_error *err);
void charsmap_free(struct charsmap *map); /* NULL is fine */

/* As SentencePiece normalises: at each place the longest string that is replaced; bytes that are not UTF-8 become
 * U+FFFD. collapse: of several spaces one is kept, and none where text begins (strip_left) or ends (strip_right). map
 * may be NULL. False: out of memory. */
struct charsmap_spaces {
    bool collapse, strip_left, strip_right;
};
bool charsmap_normalize(const struct charsmap *map, struct charsmap_spaces spaces, const char *text, size_t n,
                        struct buffer *out);

/* As `tokenizers` does: a grapheme of up to 5 bytes is replaced by what the shortest string at its beginning is
 * replaced by, and so is every character of the others. Needs utf8proc. */
bool charsmap_normalize_graphemes(const struct charsmap *map, const char *text, size_t n, struct buffer *out);

#endif
