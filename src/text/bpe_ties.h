/* bpe_ties.h - merges of equal rank, as SentencePiece has them for pieces of equal score: the leftmost goes first,
 * whichever of them it is. Files that list merges cannot say that. */
#ifndef TALC_TEXT_BPE_TIES_H
#define TALC_TEXT_BPE_TIES_H

#include <stdbool.h>

#include "base/error.h"
#include "text/bpe.h"

/* Sets *matter to whether some text has other tokens when the merges of equal rank go one after the other in the order
 * of the list (bpe->merges), each everywhere before the next. True as well where that is not looked into: one of them
 * takes what a merge of higher rank makes, or makes what one of lower rank takes, or there are very many pairs to try.
 * After bpe_finish. Fails when out of memory. */
bool bpe_ties_matter(const struct bpe *bpe, const struct vocabulary *v, bool *matter, struct talc_error *err);

#endif
