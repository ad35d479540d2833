/* charsmap.c - see charsmap.h. */
#include "text/charsmap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#ifdef HAVE_UTF8PROC
#include <utf8proc.h>
#endif

#define MAX_GRAPHEME_BYTES 5
#define MAX_KEY_BYTES 256 /* a broken trie may go in circles */
#define MAX_REPLACEMENT_BYTES 1024

static uint32_t unit_at(const struct charsmap *map, size_t i) {
    const unsigned char *u = (const unsigned char *)map->bytes + 4 + 4 * i;
    return (uint32_t)u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

static size_t longest_replacement(const struct charsmap *map) {
    size_t longest = 0, run = 0;
    for (size_t i = 4 + 4 * map->n_units; i < map->n_bytes; i++) {
        run = map->bytes[i] ? run + 1 : 0;
        if (run > longest) longest = run;
    }
    return longest;
}

struct charsmap *charsmap_new(const char *bytes, size_t n_bytes, struct talc_error *err) {
    struct charsmap *map = calloc(1, sizeof *map);
    char *copy = malloc(n_bytes + 1);
    if (!map || !copy) {
        free(map);
        free(copy);
        talc_fail(err, "out of memory for a precompiled_charsmap");
        return NULL;
    }
    memcpy(copy, bytes, n_bytes);
    copy[n_bytes] = 0;
    *map = (struct charsmap){copy, n_bytes, 0};
    const unsigned char *u = (const unsigned char *)copy;
    uint32_t size =
        n_bytes >= 4 ? (uint32_t)u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24 : 0;
    if (size < 4 || size % 4 != 0 || size > n_bytes - 4) {
        charsmap_free(map);
        talc_fail(err, "the precompiled_charsmap is broken");
        return NULL;
    }
    map->n_units = size / 4;
    if (longest_replacement(map) <= MAX_REPLACEMENT_BYTES) return map;
    charsmap_free(map);
    talc_fail(err, "the precompiled_charsmap has a replacement of more than %d bytes", MAX_REPLACEMENT_BYTES);
    return NULL;
}

void charsmap_free(struct charsmap *map) {
    if (!map) return;
    free(map->bytes);
    free(map);
}

/* Bytes of the longest (or shortest) string at text that is replaced, 0 for none; *with is its replacement. */
static size_t find_replaced(const struct charsmap *map, const char *text, size_t n, bool shortest, const char **with) {
    size_t found = 0, node = 0;
    if (!map) return 0;
    uint32_t unit = unit_at(map, 0);
    node ^= (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
    for (size_t i = 0; i < n && i < MAX_KEY_BYTES; i++) {
        unsigned char byte = (unsigned char)text[i];
        node ^= byte;
        if (node >= map->n_units) break;
        unit = unit_at(map, node);
        if ((unit & (1u << 31 | 0xff)) != byte) break;
        node ^= (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
        if (!(unit >> 8 & 1)) continue;
        if (node >= map->n_units) break;
        size_t value = unit_at(map, node) & 0x7fffffff, begin = 4 + 4 * map->n_units;
        if (value >= map->n_bytes - begin) break;
        *with = map->bytes + begin + value;
        found = i + 1;
        if (shortest) break;
    }
    return found;
}

bool charsmap_normalize(const struct charsmap *map, struct charsmap_spaces spaces, const char *text, size_t n,
                        struct buffer *out) {
    bool after_space = spaces.strip_left;
    for (size_t i = 0; i < n;) {
        const char *piece = text + i;
        size_t length = find_replaced(map, piece, n - i, false, &piece), n_piece = strlen(length ? piece : "");
        if (length == 0) {
            int32_t codepoint;
            length = n_piece = (size_t)utf8_decode(text + i, n - i, &codepoint);
            if (codepoint < 0) {
                piece = "\xef\xbf\xbd";
                n_piece = 3;
            }
        }
        i += length;
        while (after_space && n_piece && *piece == ' ') {
            piece++;
            n_piece--;
        }
        buffer_append(out, piece, n_piece);
        if (n_piece) after_space = spaces.collapse && piece[n_piece - 1] == ' ';
    }
    while (spaces.strip_right && out->length && out->data[out->length - 1] == ' ') out->data[--out->length] = 0;
    return buffer_ok(out);
}

/* ==== by graphemes ============================================================================ */

static void put_replaced(const struct charsmap *map, const char *text, size_t n, struct buffer *out) {
    const char *with;
    if (find_replaced(map, text, n, true, &with))
        buffer_append_text(out, with);
    else
        buffer_append(out, text, n);
}

#ifdef HAVE_UTF8PROC

static size_t grapheme_bytes(const char *text, size_t n) {
    int32_t last, next, state = 0;
    size_t end = (size_t)utf8_decode(text, n, &last);
    while (end < n) {
        size_t length = (size_t)utf8_decode(text + end, n - end, &next);
        if (last < 0 || next < 0 || utf8proc_grapheme_break_stateful(last, next, &state)) break;
        end += length;
        last = next;
    }
    return end;
}

#else

static size_t grapheme_bytes(const char *text, size_t n) {
    int32_t codepoint;
    return (size_t)utf8_decode(text, n, &codepoint);
}

#endif

bool charsmap_normalize_graphemes(const struct charsmap *map, const char *text, size_t n, struct buffer *out) {
    for (size_t i = 0, end; i < n; i = end) {
        const char *with;
        end = i + grapheme_bytes(text + i, n - i);
        if (end - i <= MAX_GRAPHEME_BYTES && find_replaced(map, text + i, end - i, true, &with)) {
            buffer_append_text(out, with);
            continue;
        }
        for (size_t length; i < end; i += length) {
            int32_t codepoint;
            length = (size_t)utf8_decode(text + i, end - i, &codepoint);
            put_replaced(map, text + i, length, out);
        }
    }
    return buffer_ok(out);
}
