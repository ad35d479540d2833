/* windows.h - rows cut from a stream of tokens, for pretraining: windows of row_tokens tokens that do not overlap; the
 * target of a token is the one after it in the stream. Each epoch shifts the windows by a random phase and takes them
 * in a new random order. */
#ifndef TALC_DATA_WINDOWS_H
#define TALC_DATA_WINDOWS_H

#include "data/loader.h"
#include "data/token_source.h"

struct window_options {
    int row_tokens;
    uint64_t seed;
    bool document_mask; /* each document is a sequence of its own, so that it does not attend to the one before */
    /* Begins a text (tokenizer_text_start_id); -1: the stream is one document. With a mask it begins the document's
     * sequence, since a new text is generated from it; the end of the one before predicts it all the same. */
    int32_t text_start;
    bool in_order; /* windows from the first token on in their order, the last one padded: every target once */
};

/* The source must outlive the loader. Fails when it does not fill a row (in order: has no target at all). */
bool windows_open(struct loader *loader, const struct token_source *source, const struct window_options *options,
                  struct talc_error *err);

#endif
