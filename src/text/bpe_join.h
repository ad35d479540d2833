/* bpe_join.h - the encoding of a text from the encodings of its parts, in time linear in its length where a part
 * changes only tokens near its seam. (Where each changes all tokens before it, the square of the length is the bound.)
 *
 * Tokens t1..tn are the encoding of a text if and only if every two neighbours are the encoding of their own text:
 * before the first merge over a border all merges lie inside tokens, so it would also happen in the text of the two
 * tokens beside that border alone. So encodings of parts are the encoding of the whole where the tokens at the seams
 * are such neighbours. Where they are not, the tokens before the seam are taken back one after the other and encoded
 * together with the next part, until they are. Parts are short, and most were seen before. */
#ifndef TALC_TEXT_BPE_JOIN_H
#define TALC_TEXT_BPE_JOIN_H

#include "text/bpe.h"
#include "text/word_cache.h"

/* The ids of a word of n > 0 bytes: writes at most n of them to ids and their number to *n_ids. `cache` keeps what
 * parts of words are encoded as (marked, so that it may keep whole words too); NULL: nothing is kept. Fails when a
 * symbol has no token, or out of memory. */
bool bpe_encode_word(const struct bpe *bpe, const struct vocabulary *v, struct bpe_scratch *scratch,
                     struct word_cache *cache, const char *word, size_t n, int32_t *ids, size_t *n_ids,
                     struct talc_error *err);

/* The same for `count` > 0 words of a text side by side, the first text[begin..ends[0]), the second
 * text[ends[0]..ends[1]): quicker for those that borders fall into parts (see bpe_borders.h). */
bool bpe_encode_words(const struct bpe *bpe, const struct vocabulary *v, struct bpe_scratch *scratch,
                      struct word_cache *cache, const char *text, size_t begin, const size_t *ends, size_t count,
                      int32_t *ids, size_t *n_ids, struct talc_error *err);

#endif
