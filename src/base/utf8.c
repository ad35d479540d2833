/* utf8.c - see utf8.h. */
#include "base/utf8.h"

#include "base/checked.h"

/* Bytes in the sequence that `lead` starts, 0 when it starts none; `low` and `high` bound the second byte. */
static int sequence_length(unsigned char lead, unsigned char *low, unsigned char *high) {
    *low = 0x80;
    *high = 0xbf;
    if (lead < 0x80) return 1;
    if (lead < 0xc2) return 0;
    if (lead < 0xe0) return 2;
    if (lead < 0xf0) {
        if (lead == 0xe0) *low = 0xa0;
        if (lead == 0xed) *high = 0x9f;
        return 3;
    }
    if (lead < 0xf5) {
        if (lead == 0xf0) *low = 0x90;
        if (lead == 0xf4) *high = 0x8f;
        return 4;
    }
    return 0;
}

/* Bytes of the sequence at text that are present and valid, and in *need how many it wants (0: invalid lead). */
static int match(const unsigned char *text, size_t n, int *need) {
    unsigned char low, high;
    *need = sequence_length(text[0], &low, &high);
    int got = 1;
    while (got < *need && (size_t)got < n && text[got] >= low && text[got] <= high) {
        low = 0x80;
        high = 0xbf;
        got++;
    }
    return got;
}

int utf8_decode(const char *text, size_t n, int32_t *codepoint) {
    if (n == 0) return 0;
    const unsigned char *t = (const unsigned char *)text;
    int need, got = match(t, n, &need);
    *codepoint = -1;
    if (need == 0 || got < need) return 1;
    static const unsigned char lead_mask[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    int32_t c = t[0] & lead_mask[need];
    for (int i = 1; i < need; i++) c = c << 6 | (t[i] & 0x3f);
    *codepoint = c;
    return need;
}

int utf8_encode(int32_t c, char out[4]) {
    if (c < 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) c = 0xfffd;
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    int n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3f));
    static const int lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(lead[n] | c);
    return n;
}

size_t utf8_valid_prefix(const char *text, size_t n) {
    size_t i = 0;
    while (i < n) {
        int32_t c;
        int step = utf8_decode(text + i, n - i, &c);
        if (c < 0) break;
        i += (size_t)step;
    }
    return i;
}

size_t utf8_complete_prefix(const char *text, size_t n) {
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        const unsigned char *t = (const unsigned char *)text + n - back;
        if (*t < 0x80) return n;
        if (*t < 0xc0) continue; /* a continuation byte: its lead is further left */
        int need, got = match(t, back, &need);
        return (size_t)got == back && need > got ? n - back : n;
    }
    return n;
}
