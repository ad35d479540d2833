/* pretokenize.h - cutting text into words before BPE, as the regular expressions of well-known tokenizers do, by
 * scanners written for them. A byte that is not valid UTF-8 counts as a character that is no letter, mark, number,
 * punctuation, symbol or white space. Chains of cuts, and regular expressions without a scanner, are in split.h. */
#ifndef TALC_TEXT_PRETOKENIZE_H
#define TALC_TEXT_PRETOKENIZE_H

#include <stdbool.h>
#include <stddef.h>

enum pretokenizer {
    PRETOKENIZER_GPT2,     /* also r50k and p50k */
    PRETOKENIZER_CL100K,   /* tiktoken's: white space that ends the text is one word */
    PRETOKENIZER_LLAMA3,   /* cl100k as first published and in Hugging Face files: ... only after its last line end */
    PRETOKENIZER_QWEN2,    /* llama3 with digits cut one by one */
    PRETOKENIZER_O200K,    /* capitals, then small letters; contractions stay with their word; also Llama 4 */
    PRETOKENIZER_TEKKEN,   /* Mistral's: o200k without contractions, digits one by one */
    PRETOKENIZER_QWEN35,   /* qwen2 whose letters include marks */
    PRETOKENIZER_NANOCHAT, /* llama3 with up to two digits */
    PRETOKENIZER_DEEPSEEK, /* the last of the three expressions of DeepSeek V3; leaves some characters unmatched */
    PRETOKENIZER_COUNT,
};

/* Bytes of the word at the start of text[0..n_bytes); 0 when n_bytes is 0, or (deepseek only) when no word begins here.
 * The cut depends on nothing before text. */
size_t pretokenize_next(enum pretokenizer pretokenizer, const char *text, size_t n_bytes);

/* The ends of the words from text[at] on: of all that begin before text[stop], at most `max`; returns how many. The
 * same words as pretokenize_next gives, for pretokenizers that cover text; ASCII is cut 16 bytes at a time where the
 * machine can. */
size_t pretokenize_words(enum pretokenizer pretokenizer, const char *text, size_t n_bytes, size_t at, size_t stop,
                         size_t *ends, size_t max);

/* True when every byte of every text belongs to a word. */
bool pretokenizer_covers_text(enum pretokenizer pretokenizer);

const char *pretokenizer_name(enum pretokenizer pretokenizer);  /* "gpt2" */
const char *pretokenizer_regex(enum pretokenizer pretokenizer); /* as Hugging Face `tokenizers` (Oniguruma) reads it */
bool pretokenizer_from_name(const char *name, enum pretokenizer *out);   /* those that cover text */
bool pretokenizer_from_regex(const char *regex, enum pretokenizer *out); /* the texts in use for it; false: unknown */

/* A place at or after `from` where text can be cut so that its parts give the same words as the whole, under every
 * pretokenizer: a letter before, white space behind. n_bytes when there is none. */
size_t pretokenize_safe_cut(const char *text, size_t n_bytes, size_t from);

/* Places where a text can be cut so that its parts give the same words as the whole, under every pretokenizer, and the
 * same text under every normal form. What else a tokenizer does may forbid some of them (tokenizer_cuts). */
enum text_cut {
    CUT_AT_SPACE = 1,    /* before a space between two letters */
    CUT_AT_LINE_END = 2, /* behind a line end with a letter behind it and no white space before it */
    CUT_AT_SIGN = 4,     /* between a letter and a sign that is not ASCII */
    CUT_ANYWHERE = CUT_AT_SPACE | CUT_AT_LINE_END | CUT_AT_SIGN,
};

/* The last such place in (0, n_bytes) of a text that may go on behind n_bytes, of the first kind of `cuts` (bits of
 * enum text_cut) that there is one of. 0: there is none. */
size_t pretokenize_last_cut(const char *text, size_t n_bytes, unsigned cuts);

#endif
