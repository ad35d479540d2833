/* scan.h - walking over the characters of text by their classes: what the scanners of pretokenize.c and split.c share.
 * Runs of ASCII letters and of ideographs, most of most texts, are measured 16 bytes at a time where it can. */
#ifndef TALC_TEXT_SCAN_H
#define TALC_TEXT_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/utf8.h"
#include "text/unicode.h"

/* Bytes of the character at text[i], i < n, and its classes (0 for a byte that is not UTF-8). */
static inline size_t scan_character(const char *text, size_t n, size_t i, unsigned *class) {
    const unsigned char *t = (const unsigned char *)text + i;
    if (t[0] < 0x80) {
        *class = unicode_block_classes[unicode_block_of_page[0]][t[0]];
        return 1;
    }
    if (n - i >= 3 && t[0] > 0xe0 && t[0] < 0xf0 && t[0] != 0xed && (t[1] & 0xc0) == 0x80 && (t[2] & 0xc0) == 0x80) {
        uint32_t c = (uint32_t)(t[0] & 15) << 12 | (uint32_t)(t[1] & 63) << 6 | (t[2] & 63);
        *class = unicode_block_classes[unicode_block_of_page[c >> 8]][c & 255];
        return 3;
    }
    int32_t codepoint;
    size_t length = (size_t)utf8_decode(text + i, n - i, &codepoint);
    *class = unicode_class(codepoint);
    return length;
}

/* Bytes of the character that ends at text + end, end > 0, and its classes; 0, and none, when it is broken. */
static inline size_t scan_character_before(const char *text, size_t end, unsigned *class) {
    size_t begin = end - 1;
    while (begin > 0 && end - begin < 4 && ((unsigned char)text[begin] & 0xc0) == 0x80) begin--;
    int32_t codepoint;
    bool whole = (size_t)utf8_decode(text + begin, end - begin, &codepoint) == end - begin && codepoint >= 0;
    *class = whole ? unicode_class(codepoint) : 0;
    return whole ? end - begin : 0;
}

static inline bool scan_is_ascii_letter(char c) { return (unsigned char)((c | 32) - 'a') < 26; }

/* The end of the run of ASCII letters that begins at i. */
static inline size_t scan_ascii_letters(const char *text, size_t n, size_t i) {
#ifdef __SSE2__
    for (; n - i >= 16; i += 16) {
        __m128i c = _mm_or_si128(_mm_loadu_si128((const __m128i *)(const void *)(text + i)), _mm_set1_epi8(32));
        /* letters are moved to the 26 smallest signed bytes */
        __m128i moved = _mm_add_epi8(c, _mm_set1_epi8((char)(-128 - 'a')));
        unsigned letters = (unsigned)_mm_movemask_epi8(_mm_cmplt_epi8(moved, _mm_set1_epi8(-128 + 26)));
        if (letters != 0xffff) return i + (size_t)__builtin_ctz(~letters);
    }
#endif
    while (i < n && scan_is_ascii_letter(text[i])) i++;
    return i;
}

/* Of U+4E00 to U+9FFF all classes are these. */
#define SCAN_IDEOGRAPH (UNICODE_OTHER_LETTER | UNICODE_WORD)

static inline bool scan_is_ideograph(const char *text) {
    const unsigned char *t = (const unsigned char *)text;
    return t[0] >= 0xe4 && t[0] <= 0xe9 && (t[0] > 0xe4 || t[1] >= 0xb8) && (t[1] & 0xc0) == 0x80 &&
           (t[2] & 0xc0) == 0x80;
}

/* The end of the run of characters from U+4E00 to U+9FFF that begins at i. */
static inline size_t scan_ideographs(const char *text, size_t n, size_t i) {
#ifdef __SSE2__
    const char a = (char)0xe4, b = (char)0x80, c = (char)0xe9, d = (char)0xbf;
    const __m128i least = _mm_setr_epi8(a, b, b, a, b, b, a, b, b, a, b, b, a, b, b, 0);
    const __m128i most = _mm_setr_epi8(c, d, d, c, d, d, c, d, d, c, d, d, c, d, d, d);
    for (; n - i >= 16; i += 15) { /* five characters */
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(text + i));
        __m128i within =
            _mm_and_si128(_mm_cmpeq_epi8(_mm_max_epu8(x, least), x), _mm_cmpeq_epi8(_mm_min_epu8(x, most), x));
        /* behind e4 only b8 and more */
        __m128i lowest = _mm_cmpeq_epi8(x, _mm_set1_epi8(a));
        __m128i small = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8((char)0xb7)), x);
        unsigned other = ~(unsigned)_mm_movemask_epi8(within) |
                         ((unsigned)_mm_movemask_epi8(lowest) & (unsigned)_mm_movemask_epi8(small) >> 1);
        if (other & 0x7fff) return i + (size_t)__builtin_ctz(other) / 3 * 3;
    }
#endif
    while (n - i >= 3 && scan_is_ideograph(text + i)) i += 3;
    return i;
}

/* The end of the run of characters of any class in `wanted` that begins at i. */
static inline size_t scan_run(const char *text, size_t n, size_t i, unsigned wanted) {
    for (unsigned class; i < n;) {
        if ((wanted & SCAN_IDEOGRAPH) && n - i >= 3 && scan_is_ideograph(text + i)) {
            i = scan_ideographs(text, n, i);
            continue;
        }
        size_t length = scan_character(text, n, i, &class);
        if (!(class & wanted)) break;
        i += length;
    }
    return i;
}

/* The end of the run of letters that begins at i. */
static inline size_t scan_letters(const char *text, size_t n, size_t i) {
    for (;;) {
        i = scan_ascii_letters(text, n, i);
        if (i >= n || !(text[i] & 0x80)) return i;
        unsigned class = UNICODE_LETTER;
        while (i < n && (text[i] & 0x80)) {
            if (n - i >= 3 && scan_is_ideograph(text + i)) {
                i = scan_ideographs(text, n, i);
                continue;
            }
            size_t length = scan_character(text, n, i, &class);
            if (!(class & UNICODE_LETTER)) return i;
            i += length;
        }
    }
}

/* The end of the run of characters of no class in `unwanted` that begins at i. */
static inline size_t scan_until(const char *text, size_t n, size_t i, unsigned unwanted) {
    for (unsigned class; i < n;) {
        size_t length = scan_character(text, n, i, &class);
        if (class & unwanted) break;
        i += length;
    }
    return i;
}

#endif
