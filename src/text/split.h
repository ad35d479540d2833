/* split.h - how a tokenizer cuts text into words: a chain of steps, each of which cuts the pieces of the one before it,
 * as the pre-tokenizers of Hugging Face's `tokenizers` do. */
#ifndef TALC_TEXT_SPLIT_H
#define TALC_TEXT_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "text/pretokenize.h"
#include "text/regex.h"

#define SPLIT_MAX_STEPS 8

enum split_kind {
    SPLIT_SCANNER, /* the words of a pretokenizer */
    SPLIT_CLASS,   /* runs of characters of some classes, up to max_run of them */
    SPLIT_CJK,     /* runs of what DeepSeek cuts out: U+4E00-U+9FA5 and U+3040-U+30FF */
    SPLIT_TEXT,    /* a fixed text */
    SPLIT_REGEX,
};

/* What becomes of the matches of a step, and of the text between them. */
enum split_behavior {
    SPLIT_ISOLATED,   /* pieces of their own */
    SPLIT_REMOVED,    /* dropped */
    SPLIT_CONTIGUOUS, /* matches side by side are one piece */
    SPLIT_MERGED_WITH_PREVIOUS,
    SPLIT_MERGED_WITH_NEXT,
};

struct split_step {
    enum split_kind kind;
    enum split_behavior behavior;
    bool invert;               /* matches are what lies between */
    enum pretokenizer scanner; /* SPLIT_SCANNER */
    unsigned classes;          /* SPLIT_CLASS: bits of enum unicode_class */
    bool ascii_signs;          /* SPLIT_CLASS: also ASCII punctuation and symbols */
    bool byte_characters;      /* SPLIT_CLASS: looks at the characters that stand for bytes in byte-level text */
    uint32_t max_run;          /* SPLIT_CLASS: 0: no bound */
    char *text;                /* SPLIT_TEXT, or the expression of SPLIT_REGEX; owned */
    struct regex *regex;       /* SPLIT_REGEX; owned */
};

struct split {
    struct split_step steps[SPLIT_MAX_STEPS];
    int n_steps; /* 0: a text is one word */
};

/* Takes over what the step owns, also when it fails (too many steps). */
bool split_add(struct split *split, struct split_step step, struct talc_error *err);
void split_free(struct split *split);

/* The scanner that does the whole work; false when it takes more than one. */
bool split_is_scanner(const struct split *split, enum pretokenizer *scanner);

/* True when pretokenize_safe_cut gives places where text can be cut without changing words. */
bool split_cuts_anywhere(const struct split *split);

/* ==== words of a text, one after the other ==================================================== */

struct split_segment {
    size_t begin, end;
    bool is_match;
};

/* One step at work on one piece. */
struct split_level {
    size_t begin, end, at;         /* of the piece; where cutting goes on */
    size_t match_begin, match_end; /* the next match, when it is known (match_end > at) */
    struct split_segment ahead;    /* read, but not given out */
    bool has_ahead, after_match;
    struct regex_matcher *matcher;
};

struct split_cursor {
    const struct split *split;
    const char *text; /* what scanners see */
    char *valid;      /* for regular expressions: bytes that are not UTF-8 are U+0001; NULL when text is valid; owned */
    size_t n;
    bool started; /* a split without steps has given out its one word */
    struct split_level levels[SPLIT_MAX_STEPS];
};

bool split_cursor_open(struct split_cursor *cursor, const struct split *split, const char *text, size_t n,
                       struct talc_error *err);
void split_cursor_close(struct split_cursor *cursor);

/* The next word, text[*begin..*end); *end == *begin: there are no more. */
bool split_cursor_next(struct split_cursor *cursor, size_t *begin, size_t *end, struct talc_error *err);

#endif
