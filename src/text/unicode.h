/* unicode.h - the character classes that tokenizers ask for: \p{L} and its kinds, \p{M}, \p{N}, \p{P}, \p{S}, \s, \w,
 * and what normal form C may change. The tables are made by make_unicode.sh from the Unicode Character Database. */
#ifndef TALC_TEXT_UNICODE_H
#define TALC_TEXT_UNICODE_H

#include <stdint.h>

enum unicode_class {
    UNICODE_UPPER = 1,         /* Lu */
    UNICODE_LOWER = 2,         /* Ll */
    UNICODE_TITLE = 4,         /* Lt */
    UNICODE_MODIFIER = 8,      /* Lm */
    UNICODE_OTHER_LETTER = 16, /* Lo */
    UNICODE_MARK = 32,         /* Mn, Mc, Me */
    UNICODE_NUMBER = 64,       /* Nd, Nl, No */
    UNICODE_SPACE = 128,       /* White_Space */
    UNICODE_PUNCTUATION = 256, /* Pc, Pd, Ps, Pe, Pi, Pf, Po */
    UNICODE_SYMBOL = 512,      /* Sm, Sc, Sk, So */
    UNICODE_NFC_MAYBE = 1024,  /* NFC_Quick_Check is not Yes, or the combining class is not 0 */
    UNICODE_WORD = 2048,       /* \w of UTS #18: Alphabetic, M, Nd, Pc, Join_Control */
    /* as of Unicode 8, which some of `tokenizers` still goes by */
    UNICODE_8_PUNCTUATION = 4096, /* Pc, Pd, Ps, Pe, Pi, Pf, Po */
    UNICODE_8_MARK = 8192,        /* Mn */
    UNICODE_8_OTHER = 16384,      /* Cc, Cf, Co */
    UNICODE_FORM_AFTER_9 = 32768, /* has a decomposition or a combining class, and is younger than Unicode 9 */
    UNICODE_LETTER = UNICODE_UPPER | UNICODE_LOWER | UNICODE_TITLE | UNICODE_MODIFIER | UNICODE_OTHER_LETTER,
};

extern const uint8_t unicode_block_of_page[4352];   /* codepoint / 256 -> block */
extern const uint16_t unicode_block_classes[][256]; /* block, codepoint % 256 -> bits of enum unicode_class */

/* The classes of a codepoint, 0 for none; a negative one (an invalid byte, as utf8_decode says it) has none. */
static inline unsigned unicode_class(int32_t codepoint) {
    uint32_t c = (uint32_t)codepoint;
    return c < 0x110000 ? unicode_block_classes[unicode_block_of_page[c >> 8]][c & 255] : 0;
}

#endif
