/* encode_marks.c - which tokens of a text have which of its marks. Where a token begins cannot be read off its bytes:
 * the tokenizer may put spaces there, change characters, or have one token for all that it does not know. But where the
 * tokens of the text up to a byte are how the tokens of all the text begin, tokens meet at this byte. */
#include <stdlib.h>
#include <string.h>

#include "text/encoder.h"

#define MAX_TRIES 1024 /* to find a byte where tokens meet, on either side of a border */

struct marking {
    struct encoder *encoder;
    const struct tokenizer *tok;
    const struct segment *segment;
    const int32_t *ids;
    size_t n_ids;
    struct token_list begin; /* scratch */
    struct talc_error *err;
};

/* A byte where tokens meet: how many come before it. */
struct meeting {
    size_t at, n_ids;
};

/* True in *meet when tokens meet there. False: it failed. */
static bool try_meeting(struct marking *m, size_t at, struct meeting *meeting, bool *meet) {
    struct segment begin = *m->segment;
    begin.n_bytes = at;
    begin.open_ends |= NORMALIZER_GOES_ON;
    token_list_clear(&m->begin);
    if (!encoder_encode_segment(m->encoder, m->tok, &begin, &m->begin, m->err)) return false;
    size_t n = m->begin.count;
    *meet = n <= m->n_ids && (n == 0 || memcmp(m->begin.ids, m->ids, n * sizeof *m->ids) == 0);
    if (*meet) *meeting = (struct meeting){at, n};
    return true;
}

static bool within_character(const struct segment *s, size_t at) { return ((unsigned char)s->text[at] & 0xc0) == 0x80; }

static bool fail_to_tell(const struct marking *m, size_t border) {
    return talc_fail(m->err,
                     "which tokens begin at byte %zu of the text cannot be told: tokens of more than %d characters are "
                     "around it; a special token or a line end there would part them",
                     m->segment->places.origin + border, MAX_TRIES);
}

/* The last meeting at `border` or before it, which is *meeting (an earlier one) or behind that. */
static bool find_before(struct marking *m, size_t border, struct meeting *meeting) {
    bool meet = false;
    int tries = 0;
    for (size_t at = border; at > meeting->at && !meet; at--) {
        if (within_character(m->segment, at)) continue;
        if (tries++ == MAX_TRIES) return fail_to_tell(m, border);
        if (!try_meeting(m, at, meeting, &meet)) return false;
    }
    return true;
}

static bool find_behind(struct marking *m, size_t border, struct meeting *meeting) {
    bool meet = false;
    int tries = 0;
    for (size_t at = border + 1; at < m->segment->n_bytes && !meet; at++) {
        if (within_character(m->segment, at)) continue;
        if (tries++ == MAX_TRIES) return fail_to_tell(m, border);
        if (!try_meeting(m, at, meeting, &meet)) return false;
    }
    if (!meet) *meeting = (struct meeting){m->segment->n_bytes, m->n_ids};
    return true;
}

/* Gives ids the mark of the byte where the last meeting was, up to the next one. */
static void fill(char *id_marks, struct meeting from, struct meeting to, const char *marks) {
    if (to.n_ids > from.n_ids) memset(id_marks + from.n_ids, marks[from.at], to.n_ids - from.n_ids);
}

static bool mark_ids(struct marking *m, const char *marks, char *id_marks) {
    size_t n = m->segment->n_bytes;
    struct meeting last = {0, 0}, end = {n, m->n_ids};
    for (size_t border = 1; border < n; border++) {
        if (marks[border] == marks[border - 1] || border < last.at) continue;
        struct meeting before = last, behind;
        if (!find_before(m, border, &before)) return false;
        fill(id_marks, last, before, marks);
        last = before;
        if (last.at == border) continue;
        if (!find_behind(m, border, &behind)) return false;
        fill(id_marks, last, behind, marks);
        last = behind;
    }
    if (last.at < n) fill(id_marks, last, end, marks);
    return true;
}

bool encoder_mark_segment(struct encoder *encoder, const struct tokenizer *tok, const struct segment *segment,
                          const char *marks, const int32_t *ids, size_t n_ids, struct buffer *out,
                          struct talc_error *err) {
    struct marking m = {.encoder = encoder, .tok = tok, .segment = segment, .ids = ids, .n_ids = n_ids, .err = err};
    if (!buffer_reserve(out, n_ids)) return talc_fail(err, "out of memory for the marks of tokens");
    bool ok = mark_ids(&m, marks, out->data + out->length);
    if (ok) out->length += n_ids;
    out->data[out->length] = 0;
    token_list_free(&m.begin);
    return ok;
}
