/* gguf_pre.h - how GGUF files say by a name (tokenizer.ggml.pre) how byte-level text is cut, as llama.cpp knows the
 * names. For the files that read and write tokenizers in GGUF. */
#ifndef TALC_TEXT_GGUF_PRE_H
#define TALC_TEXT_GGUF_PRE_H

#include "file/gguf_writer.h"
#include "text/tokenizer_parts.h"

/* What a .pre stands for: a pattern, or a chain of expressions; and what else it implies. */
struct gguf_pre {
    const char *names; /* between commas */
    enum pretokenizer pattern;
    const char *regexes[6]; /* instead of the pattern, where there are any */
    bool whole_words, nfc, add_bos;
};

/* NULL: the name is not known. */
const struct gguf_pre *gguf_pre_find(struct gguf_string name);

/* Gives the tokenizer its sections, and ignore_merges where the name implies it. */
bool gguf_pre_use(struct tokenizer *tok, const struct gguf_pre *pre, struct talc_error *err);

/* The name under which readers cut text as this tokenizer does, copied to name[64]. Fails when there is none. */
bool gguf_pre_of(const struct tokenizer *tok, char *name, struct talc_error *err);

#endif
