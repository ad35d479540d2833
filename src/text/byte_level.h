/* byte_level.h - byte-level text: how tokenizer.json and GGUF write bytes as characters that can be printed. Bytes
 * 33-126, 161-172 and 174-255 stand for themselves; the other 68, in order, are U+0100 and up. */
#ifndef TALC_TEXT_BYTE_LEVEL_H
#define TALC_TEXT_BYTE_LEVEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

int32_t byte_level_character(unsigned char byte);
int byte_level_byte(int32_t character); /* -1: stands for no byte */

/* The bytes that a text of such characters stands for; false: it has other characters. */
bool byte_level_bytes(const char *text, size_t n, struct buffer *bytes);

#endif
