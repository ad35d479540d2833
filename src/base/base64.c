/* base64.c - see base64.h. */
#include "base/base64.h"

int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

const char *base64_decode(const char *text, struct buffer *out) {
    unsigned bits = 0;
    int n_bits = 0;
    for (int value; (value = base64_value(*text)) >= 0; text++) {
        bits = (bits << 6 | (unsigned)value) & 0xffff;
        n_bits += 6;
        if (n_bits < 8) continue;
        n_bits -= 8;
        buffer_append_char(out, (char)(bits >> n_bits));
    }
    while (*text == '=') text++;
    return text;
}
