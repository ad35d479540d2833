/* normalize.h - what a tokenizer does to text before it is cut: the normalizers of Hugging Face's `tokenizers` that
 * real files use. Bytes that are not UTF-8 are kept as they are. */
#ifndef TALC_TEXT_NORMALIZE_H
#define TALC_TEXT_NORMALIZE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "text/charsmap.h"
#include "text/regex.h"

#define NORMALIZER_MAX_STEPS 8

enum normalizer_kind {
    NORMALIZER_NFC,
    NORMALIZER_NFD,
    NORMALIZER_NFKC,
    NORMALIZER_NFKD,
    NORMALIZER_LOWERCASE,
    NORMALIZER_STRIP,         /* white space at the ends, see left and right */
    NORMALIZER_STRIP_ACCENTS, /* marks */
    NORMALIZER_PREPEND,       /* `with` goes before a text that is not empty */
    NORMALIZER_REPLACE,       /* every `what` becomes `with` */
    NORMALIZER_REPLACE_REGEX,
    NORMALIZER_CHARSMAP,    /* SentencePiece's, see charsmap.h; `collapse` */
    NORMALIZER_PRECOMPILED, /* the same as `tokenizers` does it: by graphemes */
    NORMALIZER_BERT,        /* see `bert` */
};

struct normalizer_step {
    enum normalizer_kind kind;
    bool left, right, collapse;
    struct {
        bool clean;         /* control characters are dropped, white space becomes spaces */
        bool chinese;       /* spaces go around ideographs */
        bool strip_accents; /* NFD, then marks without a width are dropped */
        bool lowercase;
    } bert;
    char *what, *with;         /* owned */
    struct regex *regex;       /* owned */
    struct charsmap *charsmap; /* owned */
};

struct normalizer {
    struct normalizer_step steps[NORMALIZER_MAX_STEPS];
    int n_steps;
};

/* True when this talc can do it: the normal forms and lower case need utf8proc. */
bool normalizer_available(enum normalizer_kind kind);

/* Takes over what the step owns, also when it fails (too many steps). */
bool normalizer_add(struct normalizer *normalizer, struct normalizer_step step, struct talc_error *err);
void normalizer_free(struct normalizer *normalizer);

/* Ends of a text that are not the ends of the document it is a part of: nothing is stripped or put there. */
enum { NORMALIZER_CONTINUES = 1, NORMALIZER_GOES_ON = 2 };

/* Normalises (*text)[0..*n_bytes): afterwards both tell the result, which is in *buffer (all zero, or used before) or,
 * when nothing changes, the text itself. */
bool normalizer_apply(const struct normalizer *normalizer, unsigned open_ends, const char **text, size_t *n_bytes,
                      struct buffer *buffer, struct talc_error *err);

#endif
