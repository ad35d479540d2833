/* base64.h - reading base64 (RFC 4648). */
#ifndef TALC_BASE_BASE64_H
#define TALC_BASE_BASE64_H

#include "base/buffer.h"

int base64_value(char c); /* 0 to 63, -1: not a character of base64 */

/* Appends what the text up to the first other character stands for; returns where it ended, behind the '='. */
const char *base64_decode(const char *text, struct buffer *out);

#endif
