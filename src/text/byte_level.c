/* byte_level.c - GPT-2's way of writing bytes as printable characters; see byte_level.h. */
#include "text/byte_level.h"

#include "base/utf8.h"

/* The 68 bytes that are written as U+0100 + i: 0-32, 127-160 and 173. */
int32_t byte_level_character(unsigned char byte) {
    if (byte <= 32) return 256 + byte;
    if (byte >= 127 && byte <= 160) return 256 + 33 + (byte - 127);
    return byte == 173 ? 256 + 67 : byte;
}

int byte_level_byte(int32_t character) {
    if (character >= 0 && character < 256)
        return byte_level_character((unsigned char)character) == character ? character : -1;
    int moved = character - 256;
    if (moved < 0 || moved > 67) return -1;
    return moved <= 32 ? moved : moved <= 66 ? 127 + (moved - 33) : 173;
}

bool byte_level_bytes(const char *text, size_t n, struct buffer *bytes) {
    buffer_clear(bytes);
    if (!buffer_reserve(bytes, n)) return false;
    for (size_t i = 0; i < n;) {
        int32_t codepoint;
        if (text[i] > 32 && text[i] < 127) {
            bytes->data[bytes->length++] = text[i++]; /* there is room for n */
            continue;
        }
        i += (size_t)utf8_decode(text + i, n - i, &codepoint);
        int byte = byte_level_byte(codepoint);
        if (byte < 0) return false;
        bytes->data[bytes->length++] = (char)byte;
    }
    bytes->data[bytes->length] = 0;
    return true;
}
