/* added.c - see added.h. The tokens are sorted: all that begin with the bytes seen so far are neighbours. */
#include "text/added.h"

#include <stdlib.h>
#include <string.h>

#include "text/scan.h"

bool added_list_add(struct added_list *list, struct added_token token, const char *text, size_t n_bytes) {
    if (list->n_tokens == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        struct added_token *tokens = realloc(list->tokens, capacity * sizeof *tokens);
        if (!tokens) return false;
        list->tokens = tokens;
        list->capacity = capacity;
    }
    token.text = malloc(n_bytes + 1);
    if (!token.text) return false;
    memcpy(token.text, text, n_bytes);
    token.text[n_bytes] = 0;
    token.n_bytes = (uint32_t)n_bytes;
    list->tokens[list->n_tokens++] = token;
    return true;
}

static int compare_tokens(const void *a, const void *b) {
    const struct added_token *x = a, *y = b;
    if (x->normalized != y->normalized) return x->normalized ? 1 : -1;
    uint32_t shorter = x->n_bytes < y->n_bytes ? x->n_bytes : y->n_bytes;
    int order = memcmp(x->text, y->text, shorter);
    if (order) return order;
    if (x->n_bytes != y->n_bytes) return x->n_bytes < y->n_bytes ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

void added_list_finish(struct added_list *list) {
    if (list->n_tokens) qsort(list->tokens, list->n_tokens, sizeof *list->tokens, compare_tokens);
    int n_starts[2] = {0, 0};
    for (size_t i = 0; i < list->n_tokens; i++) {
        const struct added_token *token = &list->tokens[i];
        if (!token->special) list->any_plain[token->normalized] = true;
        list->starts[token->normalized][(unsigned char)token->text[0]] = true;
        list->n_raw += !token->normalized;
    }
    for (int i = 0; i < 512; i++) {
        if (!list->starts[i >> 8][i & 255]) continue;
        list->only_start[i >> 8] = n_starts[i >> 8]++ ? -1 : i & 255;
    }
}

void added_list_free(struct added_list *list) {
    for (size_t i = 0; i < list->n_tokens; i++) free(list->tokens[i].text);
    free(list->tokens);
    *list = (struct added_list){0};
}

/* The first token of [low, high), whose first `depth` bytes are the same, with a byte of at least `byte` at depth;
 * those that end there come before it. */
static size_t lower_bound(const struct added_list *list, size_t low, size_t high, uint32_t depth, int byte) {
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct added_token *token = &list->tokens[middle];
        int there = depth < token->n_bytes ? (unsigned char)token->text[depth] : -1;
        if (there < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest token that text begins with, NULL for none. */
static const struct added_token *longest_at(const struct added_list *list, bool normalized, const char *text,
                                            size_t n) {
    const struct added_token *longest = NULL;
    size_t low = normalized ? list->n_raw : 0, high = normalized ? list->n_tokens : list->n_raw;
    for (uint32_t depth = 0; depth < n && low < high; depth++) {
        int byte = (unsigned char)text[depth];
        low = lower_bound(list, low, high, depth, byte);
        high = lower_bound(list, low, high, depth, byte + 1);
        if (low < high && list->tokens[low].n_bytes == depth + 1) longest = &list->tokens[low];
    }
    return longest;
}

/* ==== what the token asks of the text around it =============================================== */

static size_t space_begin(const char *text, size_t i) {
    while (i > 0) {
        size_t start = i - 1;
        unsigned class;
        while (start > 0 && i - start < 4 && ((unsigned char)text[start] & 0xc0) == 0x80) start--;
        if (scan_character(text, i, start, &class) != i - start || !(class & UNICODE_SPACE)) break;
        i = start;
    }
    return i;
}

static bool word_before(const char *text, size_t i) {
    if (i == 0) return false;
    size_t start = i - 1;
    unsigned class;
    while (start > 0 && i - start < 4 && ((unsigned char)text[start] & 0xc0) == 0x80) start--;
    return scan_character(text, i, start, &class) == i - start && (class & UNICODE_WORD);
}

static bool word_behind(const char *text, size_t n, size_t i) {
    unsigned class;
    if (i >= n) return false;
    scan_character(text, n, i, &class);
    return class & UNICODE_WORD;
}

/* Where text[i..n) has a byte that a token begins with; n: nowhere. */
static size_t next_start(const struct added_list *list, bool normalized, const char *text, size_t n, size_t i) {
    if (list->only_start[normalized] >= 0) {
        const char *found = memchr(text + i, list->only_start[normalized], n - i);
        return found ? (size_t)(found - text) : n;
    }
    while (i < n && !list->starts[normalized][(unsigned char)text[i]]) i++;
    return i;
}

struct special_places special_places_all(bool parse_special) {
    static const struct text_part whole = {0, SIZE_MAX};
    return (struct special_places){&whole, parse_special, 0};
}

const struct text_part *special_places_at(const struct special_places *places, size_t byte, size_t *end) {
    size_t at = places->origin + byte, low = 0, high = places->n_parts; /* parts before `low` begin at it or before */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (places->parts[middle].begin <= at)
            low = middle + 1;
        else
            high = middle;
    }
    const struct text_part *part = low > 0 && at < places->parts[low - 1].end ? &places->parts[low - 1] : NULL;
    size_t border = part ? part->end : low < places->n_parts ? places->parts[low].begin : SIZE_MAX;
    *end = border - places->origin;
    return part;
}

/* The longest token that text[i..n) begins with, and whether it may be one there. A special token that is partly in a
 * part and partly not is none. */
static const struct added_token *token_at(const struct added_list *list, bool normalized, const char *text, size_t n,
                                          size_t i, const struct special_places *places, bool *allowed) {
    const struct added_token *token = longest_at(list, normalized, text + i, n - i);
    *allowed = true;
    if (!token || !token->special) return token;
    size_t end;
    bool inside = special_places_at(places, i, &end) != NULL;
    if (token->n_bytes > end - i) token = longest_at(list, normalized, text + i, end - i);
    *allowed = !token || !token->special || inside;
    return token;
}

bool added_list_find(const struct added_list *list, bool normalized, const char *text, size_t n, size_t from,
                     const struct special_places *places, struct added_match *match) {
    if (normalized ? list->n_raw == list->n_tokens : list->n_raw == 0) return false;
    if (places->n_parts == 0 && !list->any_plain[normalized]) return false;
    for (size_t i = from; i < n;) {
        i = next_start(list, normalized, text, n, i);
        if (i >= n) break;
        bool allowed;
        const struct added_token *token = token_at(list, normalized, text, n, i, places, &allowed);
        if (!token) {
            i++;
            continue;
        }
        size_t end = i + token->n_bytes;
        bool alone = !token->single_word || (!word_before(text, i) && !word_behind(text, n, end));
        if (alone && allowed) {
            size_t begin = token->lstrip ? space_begin(text, i) : i;
            *match = (struct added_match){begin > from ? begin : from, end, i, token};
            if (token->rstrip) match->end = scan_run(text, n, end, UNICODE_SPACE);
            return true;
        }
        i = end;
    }
    return false;
}
