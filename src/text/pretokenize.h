/* pretokenize.h - cutting text into words before BPE, as the regular expressions of well-known tokenizers do, by
 * scanners written for them. Every byte belongs to exactly one word. A byte that is not valid UTF-8 counts as a
 * character that is no letter, number or white space. */
#ifndef TALC_TEXT_PRETOKENIZE_H
#define TALC_TEXT_PRETOKENIZE_H

#include <stdbool.h>
#include <stddef.h>

enum pretokenizer {
    PRETOKENIZER_GPT2,   /* also r50k and p50k */
    PRETOKENIZER_CL100K, /* tiktoken's: white space that ends the text is one word */
    PRETOKENIZER_LLAMA3, /* cl100k as first published and in Hugging Face files: ... only after its last line end */
    PRETOKENIZER_QWEN2,  /* llama3 with digits cut one by one */
    PRETOKENIZER_COUNT,
};

/* Bytes of the first word of text[0..n_bytes); 0 only when n_bytes is 0. The cut depends on nothing before text. */
size_t pretokenize_next(enum pretokenizer pretokenizer, const char *text, size_t n_bytes);

const char *pretokenizer_name(enum pretokenizer pretokenizer);  /* "gpt2" */
const char *pretokenizer_regex(enum pretokenizer pretokenizer); /* as Hugging Face `tokenizers` (Oniguruma) reads it */
bool pretokenizer_from_name(const char *name, enum pretokenizer *out);
bool pretokenizer_from_regex(const char *regex, enum pretokenizer *out); /* the texts in use for it; false: unknown */

/* A place at or after `from` where text can be cut so that its parts give the same words as the whole, under every
 * pretokenizer: a letter before, white space behind. n_bytes when there is none. */
size_t pretokenize_safe_cut(const char *text, size_t n_bytes, size_t from);

#endif
