/* encoder.h - what a thread needs while it encodes. The tokenizer keeps idle ones: what they have learnt of words
 * stays. A tokenizer is const to its users: which encoder is idle changes nothing that they can see. */
#ifndef TALC_TEXT_ENCODER_H
#define TALC_TEXT_ENCODER_H

#include "text/tokenizer_parts.h"

struct encoder {
    struct bpe_scratch scratch;
    struct unigram_scratch unigram_scratch;
    struct word_cache cache;
};

/* An idle encoder, or a new one; NULL when out of memory. It is used by one thread, then given back. */
struct encoder *encoder_take(const struct tokenizer *tok, struct talc_error *err);
void encoder_give(const struct tokenizer *tok, struct encoder *encoder);

/* Text in which no added token is left but those that are looked for in normalised text. */
struct segment {
    const char *text;
    size_t n_bytes;
    bool at_start;                        /* it begins the whole text */
    unsigned open_ends;                   /* NORMALIZER_CONTINUES, NORMALIZER_GOES_ON */
    struct special_places places;         /* its origin is where in the whole text the segment begins */
    const struct normal_borders *borders; /* of a longer one that begins as this does (encode.c); NULL: not known */
};

/* Appends the ids of a segment. False: no id for some of it, or out of memory. */
bool encoder_encode_segment(struct encoder *encoder, const struct tokenizer *tok, const struct segment *segment,
                            struct token_list *out, struct talc_error *err);

/* Appends the mark of each of the ids that the segment was encoded as: marks[0..n_bytes) are those of its bytes
 * (tokenizer_encode_marked). */
bool encoder_mark_segment(struct encoder *encoder, const struct tokenizer *tok, const struct segment *segment,
                          const char *marks, const int32_t *ids, size_t n_ids, struct buffer *out,
                          struct talc_error *err);

#endif
