/* split.c - see split.h. A level gives out segments, matches and what lies between them; the behaviour of its step
 * joins or drops them; each is then the piece of the next level. */
#include "text/split.h"

#include <stdlib.h>
#include <string.h>

#include "text/byte_level.h"
#include "text/scan.h"

bool split_add(struct split *split, struct split_step step, struct talc_error *err) {
    if (split->n_steps < SPLIT_MAX_STEPS) {
        split->steps[split->n_steps++] = step;
        return true;
    }
    free(step.text);
    regex_free(step.regex);
    return talc_fail(err, "more than %d steps that cut text are not supported", SPLIT_MAX_STEPS);
}

void split_free(struct split *split) {
    for (int i = 0; i < split->n_steps; i++) {
        free(split->steps[i].text);
        regex_free(split->steps[i].regex);
    }
    *split = (struct split){0};
}

bool split_is_scanner(const struct split *split, enum pretokenizer *scanner) {
    const struct split_step *step = &split->steps[0];
    *scanner = step->scanner;
    return split->n_steps == 1 && step->kind == SPLIT_SCANNER && step->behavior == SPLIT_ISOLATED && !step->invert &&
           pretokenizer_covers_text(step->scanner);
}

/* Before white space that follows a letter every scanner and every run of a class ends. */
bool split_cuts_anywhere(const struct split *split) {
    for (int i = 0; i < split->n_steps; i++) {
        enum split_kind kind = split->steps[i].kind;
        if (kind != SPLIT_SCANNER && kind != SPLIT_CLASS && kind != SPLIT_CJK) return false;
        if (split->steps[i].behavior != SPLIT_ISOLATED || split->steps[i].invert) return false;
    }
    return split->n_steps > 0;
}

/* ==== matches of one step ===================================================================== */

static size_t find_scanned(const struct split_step *step, const char *text, size_t end, size_t at, size_t *match_end) {
    while (at < end) {
        size_t length = pretokenize_next(step->scanner, text + at, end - at);
        if (length) {
            *match_end = at + length;
            return at;
        }
        unsigned class;
        at += scan_character(text, end, at, &class);
    }
    return *match_end = end;
}

static bool belongs(const struct split_step *step, unsigned char lead, unsigned class) {
    if (class & step->classes) return true;
    return step->ascii_signs && lead < 0x80 && (class & (UNICODE_PUNCTUATION | UNICODE_SYMBOL));
}

static size_t find_class(const struct split_step *step, const char *text, size_t end, size_t at, size_t *match_end) {
    size_t begin = end;
    uint32_t count = 0;
    while (at < end) {
        unsigned class;
        size_t length = scan_character(text, end, at, &class);
        if (step->byte_characters) {
            class = unicode_class(byte_level_character((unsigned char)text[at]));
            length = 1;
        }
        bool inside = belongs(step, (unsigned char)text[at], class);
        if (!inside && count) break;
        if (inside && count++ == 0) begin = at;
        at += length;
        if (count && count == step->max_run) break;
    }
    *match_end = at;
    return begin;
}

static bool is_cjk(int32_t c) { return (c >= 0x4e00 && c <= 0x9fa5) || (c >= 0x3040 && c <= 0x30ff); }

static size_t find_cjk(const char *text, size_t end, size_t at, size_t *match_end) {
    size_t begin = end;
    while (at < end) {
        int32_t codepoint = -1;
        size_t length = (unsigned char)text[at] < 0xe3 ? 1 : (size_t)utf8_decode(text + at, end - at, &codepoint);
        bool inside = is_cjk(codepoint);
        if (!inside && begin < end) break;
        if (inside && begin == end) begin = at;
        at += length;
    }
    *match_end = at;
    return begin;
}

/* The next match at or after `at`; match_begin is the end of the piece when there is none. */
static bool find_match(const struct split_cursor *c, const struct split_step *step, struct split_level *l,
                       struct talc_error *err) {
    switch (step->kind) {
    case SPLIT_SCANNER: l->match_begin = find_scanned(step, c->text, l->end, l->at, &l->match_end); break;
    case SPLIT_CLASS: l->match_begin = find_class(step, c->text, l->end, l->at, &l->match_end); break;
    case SPLIT_CJK: l->match_begin = find_cjk(c->text, l->end, l->at, &l->match_end); break;
    case SPLIT_TEXT: {
        size_t n = strlen(step->text);
        const char *found = memmem(c->text + l->at, l->end - l->at, step->text, n);
        l->match_begin = found ? (size_t)(found - c->text) : l->end;
        l->match_end = found ? l->match_begin + n : l->end;
        break;
    }
    case SPLIT_REGEX: {
        const char *text = (c->valid ? c->valid : c->text) + l->begin;
        if (!regex_find(l->matcher, text, l->end - l->begin, l->at - l->begin, &l->match_begin, &l->match_end, err))
            return false;
        l->match_begin += l->begin;
        l->match_end += l->begin;
    }
    }
    return true;
}

/* ==== segments ================================================================================ */

/* False at the end of the piece, and on failure, which sets *failed. */
static bool next_segment(const struct split_cursor *c, const struct split_step *step, struct split_level *l,
                         struct split_segment *out, bool *failed, struct talc_error *err) {
    if (l->has_ahead) {
        *out = l->ahead;
        l->has_ahead = false;
        return true;
    }
    if (l->at >= l->end) return false;
    if (l->match_end <= l->at && !find_match(c, step, l, err)) {
        *failed = true;
        return false;
    }
    bool is_match = l->match_begin <= l->at;
    *out = (struct split_segment){l->at, is_match ? l->match_end : l->match_begin, is_match != step->invert};
    l->at = out->end;
    return true;
}

/* Looks at the next segment without taking it. */
static bool peek_segment(const struct split_cursor *c, const struct split_step *step, struct split_level *l,
                         struct split_segment *out, bool *failed, struct talc_error *err) {
    if (!next_segment(c, step, l, out, failed, err)) return false;
    l->ahead = *out;
    l->has_ahead = true;
    return true;
}

/* The next piece that a level gives out, as its step's behaviour has it. */
static bool next_piece(const struct split_cursor *c, const struct split_step *step, struct split_level *l,
                       struct split_segment *out, bool *failed, struct talc_error *err) {
    struct split_segment after;
    if (!next_segment(c, step, l, out, failed, err)) return false;
    switch (step->behavior) {
    case SPLIT_ISOLATED: break;
    case SPLIT_REMOVED:
        while (out->is_match)
            if (!next_segment(c, step, l, out, failed, err)) return false;
        break;
    case SPLIT_CONTIGUOUS:
        while (peek_segment(c, step, l, &after, failed, err) && after.is_match == out->is_match) {
            l->has_ahead = false;
            out->end = after.end;
        }
        break;
    case SPLIT_MERGED_WITH_PREVIOUS:
        if (!out->is_match && peek_segment(c, step, l, &after, failed, err) && after.is_match) {
            l->has_ahead = false;
            out->end = after.end;
        }
        break;
    case SPLIT_MERGED_WITH_NEXT:
        if (out->is_match && peek_segment(c, step, l, &after, failed, err) && !after.is_match) {
            l->has_ahead = false;
            out->end = after.end;
        }
        break;
    }
    return !*failed;
}

static bool next_of_level(struct split_cursor *c, int level, struct split_segment *out, bool *failed,
                          struct talc_error *err) {
    struct split_level *l = &c->levels[level];
    while (!next_piece(c, &c->split->steps[level], l, out, failed, err)) {
        struct split_segment piece;
        if (*failed || level == 0 || !next_of_level(c, level - 1, &piece, failed, err)) return false;
        struct regex_matcher *matcher = l->matcher;
        *l = (struct split_level){.begin = piece.begin, .end = piece.end, .at = piece.begin, .matcher = matcher};
    }
    return true;
}

/* ==== the cursor ============================================================================== */

/* A copy of text in which every byte that is not UTF-8 is U+0001, which has no class either. NULL: out of memory. */
static char *make_valid(const char *text, size_t n) {
    char *copy = malloc(n + 1);
    if (!copy) return NULL;
    memcpy(copy, text, n);
    for (size_t i = 0; i < n;) {
        i += utf8_valid_prefix(text + i, n - i);
        if (i < n) copy[i++] = 1;
    }
    return copy;
}

bool split_cursor_open(struct split_cursor *c, const struct split *split, const char *text, size_t n,
                       struct talc_error *err) {
    *c = (struct split_cursor){.split = split, .text = text, .n = n};
    c->levels[0].end = n;
    bool has_regex = false, ok = true;
    for (int i = 0; ok && i < split->n_steps; i++) {
        if (split->steps[i].kind != SPLIT_REGEX) continue;
        has_regex = true;
        ok = (c->levels[i].matcher = regex_matcher_open(split->steps[i].regex, err)) != NULL;
    }
    if (ok && has_regex && utf8_valid_prefix(text, n) < n && !(c->valid = make_valid(text, n)))
        ok = talc_fail(err, "out of memory for %zu bytes of text", n);
    if (!ok) split_cursor_close(c);
    return ok;
}

void split_cursor_close(struct split_cursor *c) {
    for (int i = 0; i < SPLIT_MAX_STEPS; i++) regex_matcher_close(c->levels[i].matcher);
    free(c->valid);
    *c = (struct split_cursor){0};
}

bool split_cursor_next(struct split_cursor *c, size_t *begin, size_t *end, struct talc_error *err) {
    struct split_segment word = {0};
    bool failed = false;
    if (c->split->n_steps == 0) {
        *begin = c->started ? c->n : 0;
        *end = c->n;
        c->started = true;
        return true;
    }
    if (!next_of_level(c, c->split->n_steps - 1, &word, &failed, err)) word = (struct split_segment){0};
    *begin = word.begin;
    *end = word.end;
    return !failed;
}
