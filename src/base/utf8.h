/* utf8.h - reading UTF-8 (RFC 3629) that may be broken. */
#ifndef TALC_BASE_UTF8_H
#define TALC_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes the character at text[0..n): stores it and returns its bytes (1-4); at an invalid or truncated sequence
 * stores -1 and returns 1; returns 0 only when n is 0. Overlong forms, surrogates and > U+10FFFF are invalid. */
int utf8_decode(const char *text, size_t n, int32_t *codepoint);

/* Writes 1-4 bytes and returns how many; a codepoint that is no scalar value becomes U+FFFD. */
int utf8_encode(int32_t codepoint, char out[4]);

/* Bytes of text up to the first invalid or truncated sequence; n when all is valid. */
size_t utf8_valid_prefix(const char *text, size_t n);

/* Bytes of text that may be shown now: what is left off is a last character that more bytes could complete (at most
 * 3 bytes). Invalid bytes inside are counted as shown. */
size_t utf8_complete_prefix(const char *text, size_t n);

#endif
