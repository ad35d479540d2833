/* sentencepiece.c - reading SentencePiece models (protobuf ModelProto of sentencepiece_model.proto) of the types BPE
 * and UNIGRAM. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "file/atomic.h"
#include "text/hash.h"
#include "text/tokenizer_parts.h"

#define MAX_FILE_BYTES ((size_t)256 << 20)

/* ==== pieces in text ========================================================================== */

bool space_text(const char *piece, size_t n, struct buffer *out) {
    for (size_t i = 0; i < n;) {
        const char *mark = memmem(piece + i, n - i, "\xe2\x96\x81", 3);
        size_t end = mark ? (size_t)(mark - piece) : n;
        buffer_append(out, piece + i, end - i);
        if (mark) buffer_append_char(out, ' ');
        i = mark ? end + 3 : n;
    }
    return buffer_ok(out);
}

static int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

int byte_piece(const char *piece, size_t n) {
    if (n != 6 || memcmp(piece, "<0x", 3) != 0 || piece[5] != '>') return -1;
    int high = hex_digit(piece[3]), low = hex_digit(piece[4]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* ==== SentencePiece: the order of merges is that of the scores ================================ */

struct scored {
    int32_t id;
    float score;
};

static int compare_scored(const void *a, const void *b) {
    const struct scored *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

bool tokenizer_merges_from_scores(struct tokenizer *tok, struct talc_error *err) {
    const struct vocabulary *v = &tok->vocabulary;
    struct scored *sorted = malloc(((size_t)v->size + 1) * sizeof *sorted);
    int32_t *order = malloc(((size_t)v->size + 1) * sizeof *order);
    uint32_t *ranks = malloc(((size_t)v->size + 1) * sizeof *ranks);
    size_t n = 0;
    bool ok = sorted && order && ranks;
    for (int32_t id = 0; ok && id < v->size; id++)
        if (v->tokens[id].kind == TOKEN_TEXT) sorted[n++] = (struct scored){id, tok->scores[id]};
    if (ok) qsort(sorted, n, sizeof *sorted, compare_scored);
    for (size_t i = 0; ok && i < n; i++) {
        order[i] = sorted[i].id;
        ranks[i] = i && sorted[i].score == sorted[i - 1].score ? ranks[i - 1] : (uint32_t)i;
    }
    ok = ok ? bpe_imply_merges(&tok->bpe, v, order, ranks, n, err) : talc_fail(err, "out of memory for merges");
    free(sorted);
    free(order);
    free(ranks);
    return ok;
}

/* ==== protobuf ================================================================================ */

struct message {
    const char *data;
    size_t n, at;
};

struct field {
    uint32_t number;
    int wire_type;        /* 0 varint, 1 eight bytes, 2 bytes, 5 four bytes */
    uint64_t value;       /* varint, or the bytes of a number */
    struct message bytes; /* wire type 2 */
};

static bool take_varint(struct message *m, uint64_t *out) {
    *out = 0;
    for (int shift = 0; shift < 64 && m->at < m->n; shift += 7) {
        unsigned char byte = (unsigned char)m->data[m->at++];
        *out |= (uint64_t)(byte & 127) << shift;
        if (!(byte & 128)) return true;
    }
    return false;
}

/* The next field; false at the end of the message and where it is broken (then at < n stays). */
static bool next_field(struct message *m, struct field *f) {
    size_t start = m->at;
    uint64_t key, n = 0;
    bool ok = m->at < m->n && take_varint(m, &key) && key >> 3 > 0 && key >> 3 < 1u << 29;
    if (ok) {
        f->number = (uint32_t)(key >> 3);
        f->wire_type = (int)(key & 7);
        f->value = 0;
        f->bytes = (struct message){0};
        if (f->wire_type == 0) {
            ok = take_varint(m, &f->value);
        } else {
            ok = f->wire_type == 2 ? take_varint(m, &n) : f->wire_type == 1 || f->wire_type == 5;
            if (f->wire_type != 2) n = f->wire_type == 1 ? 8 : 4;
            ok = ok && n <= m->n - m->at;
            if (ok) {
                f->bytes = (struct message){m->data + m->at, (size_t)n, 0};
                for (size_t i = 0; f->wire_type != 2 && i < n; i++)
                    f->value |= (uint64_t)(unsigned char)m->data[m->at + i] << 8 * i;
                m->at += (size_t)n;
            }
        }
    }
    if (!ok) m->at = start;
    return ok;
}

/* ==== the model =============================================================================== */

enum { MODEL_UNIGRAM = 1, MODEL_BPE = 2 };

struct model {
    uint64_t type;
    bool add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces, suffix;
    struct message charsmap;
    int64_t bos, eos, pad;
    size_t n_pieces;
};

static bool scan_specs(struct message m, struct model *model) {
    struct field f, g;
    while (next_field(&m, &f)) {
        if (f.wire_type != 2 || (f.number != 2 && f.number != 3)) continue;
        struct message spec = f.bytes;
        while (next_field(&spec, &g)) {
            if (f.number == 2 && g.number == 3) model->type = g.value;
            if (f.number == 2 && g.number == 24) model->suffix = g.value;
            if (f.number == 2 && g.number == 41) model->bos = (int64_t)g.value;
            if (f.number == 2 && g.number == 42) model->eos = (int64_t)g.value;
            if (f.number == 2 && g.number == 43) model->pad = (int64_t)g.value;
            if (f.number == 3 && g.number == 2 && g.wire_type == 2) model->charsmap = g.bytes;
            if (f.number == 3 && g.number == 3) model->add_dummy_prefix = g.value;
            if (f.number == 3 && g.number == 4) model->remove_extra_whitespaces = g.value;
            if (f.number == 3 && g.number == 5) model->escape_whitespaces = g.value;
        }
        if (spec.at < spec.n) return false;
    }
    return m.at == m.n;
}

static bool check_model(const struct model *model, struct talc_error *err) {
    static const char *const types[] = {"", "UNIGRAM", "BPE", "WORD", "CHAR"};
    if (model->type != MODEL_BPE && model->type != MODEL_UNIGRAM)
        return talc_fail(err, "a SentencePiece model of type %s is not supported (only BPE and UNIGRAM)",
                         model->type < 5 ? types[model->type] : "unknown");
    const char *asked = !model->escape_whitespaces ? "spaces as they are (escape_whitespaces false)"
                        : model->suffix            ? "treat_whitespace_as_suffix"
                                                   : NULL;
    return !asked || talc_fail(err, "the SentencePiece model asks for %s, which is not supported", asked);
}

/* SentencePiece keeps its user's symbols from being normalised; here text is normalised first. */
static bool add_symbol(struct tokenizer *tok, struct added_token token, const char *text, size_t n,
                       struct talc_error *err) {
    const struct normalizer_step *step = &tok->normalizer.steps[0];
    struct buffer normal = {0};
    bool ok = true;
    /* a space is U+2581 when symbols are looked for: one with a space is never found */
    if (memchr(text, ' ', n)) return vocabulary_add(&tok->vocabulary, token.id, text, n, TOKEN_UNUSABLE, err);
    if (tok->normalizer.n_steps && step->kind == NORMALIZER_CHARSMAP) {
        ok = charsmap_normalize(step->charsmap, (struct charsmap_spaces){0}, text, n, &normal) && normal.length == n &&
             (n == 0 || memcmp(normal.data, text, n) == 0);
        if (!ok)
            talc_fail(err, "the symbol \"%.*s\", which its own charsmap changes, is not supported",
                      n > 40 ? 40 : (int)n, text);
    }
    buffer_free(&normal);
    return ok && tokenizer_add_token(tok, token, text, n, err);
}

static bool add_piece(struct tokenizer *tok, int32_t id, const char *text, size_t n, uint64_t type,
                      struct talc_error *err) {
    struct added_token token = {
        .id = id, .special = type != PIECE_USER_DEFINED, .normalized = type == PIECE_USER_DEFINED, .as_written = true};
    struct buffer bytes = {0};
    if (type == PIECE_UNKNOWN) tok->unknown_id = id;
    if (type == PIECE_USER_DEFINED) return add_symbol(tok, token, text, n, err);
    if (type == PIECE_UNKNOWN || type == PIECE_CONTROL) return tokenizer_add_token(tok, token, text, n, err);
    if (type == PIECE_UNUSED && tok->type != TOKENIZER_UNIGRAM)
        return talc_fail(err, "piece %d is of type UNUSED, which is not supported", (int)id);
    int byte = type == PIECE_BYTE ? byte_piece(text, n) : -1;
    if (byte >= 0) {
        tok->bpe.byte_ids[byte] = id;
        return vocabulary_add(&tok->vocabulary, id, &(char){(char)byte}, 1, TOKEN_BYTE, err);
    }
    enum token_kind kind = type == PIECE_UNUSED ? TOKEN_UNUSABLE : TOKEN_TEXT;
    bool ok = space_text(text, n, &bytes)
                  ? vocabulary_add(&tok->vocabulary, id, bytes.data ? bytes.data : "", bytes.length, kind, err)
                  : talc_fail(err, "out of memory for the vocabulary");
    buffer_free(&bytes);
    return ok;
}

static bool keep_score(struct tokenizer *tok, int32_t id, uint64_t bits, uint64_t type, struct talc_error *err) {
    uint32_t low = (uint32_t)bits;
    float score;
    memcpy(&score, &low, sizeof score);
    if (isnan(score)) return talc_fail(err, "the score of piece %d is not a number", (int)id);
    if (type == PIECE_NORMAL && score < tok->lowest_score) tok->lowest_score = score;
    return tokenizer_set_score(tok, id, score) || talc_fail(err, "out of memory for the vocabulary");
}

static bool read_pieces(struct tokenizer *tok, struct message m, struct model *model, struct talc_error *err) {
    struct field f, g;
    while (next_field(&m, &f)) {
        if (f.wire_type != 2 || f.number != 1) continue;
        struct message piece = f.bytes, text = {"", 0, 0};
        uint64_t type = PIECE_NORMAL, score = 0;
        while (next_field(&piece, &g)) {
            if (g.number == 1 && g.wire_type == 2) text = g.bytes;
            if (g.number == 2 && g.wire_type == 5) score = g.value;
            if (g.number == 3 && g.wire_type == 0) type = g.value;
        }
        if (piece.at < piece.n) return talc_fail(err, "piece %zu is broken", model->n_pieces);
        if (model->n_pieces >= VOCABULARY_MAX_SIZE) return talc_fail(err, "the vocabulary is too large");
        int32_t id = (int32_t)model->n_pieces++;
        if (!add_piece(tok, id, text.data, text.n, type, err)) return false;
        if (!keep_score(tok, id, score, type, err)) return false;
    }
    return true;
}

static void set_role(const struct tokenizer *tok, int64_t id, int32_t *role) {
    if (id >= 0 && token_is_added(vocabulary_token(&tok->vocabulary, id < INT32_MAX ? (int32_t)id : -1)))
        *role = (int32_t)id;
}

bool tokenizer_use_sentencepiece(struct tokenizer *tok, const struct sentencepiece_treatment *t,
                                 struct talc_error *err) {
    bool has_map = t->n_charsmap > 0;
    struct normalizer_step step = {.kind = NORMALIZER_CHARSMAP, .collapse = t->collapse};
    if (has_map && !(step.charsmap = charsmap_new(t->charsmap, t->n_charsmap, err))) return false;
    if (!normalizer_add(&tok->normalizer, step, err)) return false;
    struct normalizer_step prepend = {.kind = NORMALIZER_PREPEND, .with = t->prefix ? strdup(" ") : NULL};
    if (t->prefix && !normalizer_add(&tok->normalizer, prepend, err)) return false;
    tok->strip_space = t->prefix || t->collapse;
    tok->sections.normalizer =
        json_pack("{s:s, s:b, s:b, s:I}", "type", "SentencePiece", "collapse", (int)t->collapse, "prefix",
                  (int)t->prefix, "charsmap", (json_int_t)(has_map ? hash_bytes(t->charsmap, t->n_charsmap) >> 1 : 0));
    return (tok->sections.normalizer && (!t->prefix || prepend.with)) ||
           talc_fail(err, "out of memory for a tokenizer");
}

/* What `tokenizers` does the same way gets its sections, so that it can be written as tokenizer.json. */
static bool use_treatment(struct tokenizer *tok, const struct model *model, struct talc_error *err) {
    struct sentencepiece_treatment t = {model->charsmap.data, model->charsmap.n, model->add_dummy_prefix,
                                        model->remove_extra_whitespaces};
    if (model->type == MODEL_BPE && !t.n_charsmap && !t.collapse) return tokenizer_use_spaces(tok, t.prefix, err);
    tok->type = model->type == MODEL_BPE ? TOKENIZER_SPACE_BPE : TOKENIZER_UNIGRAM;
    tok->unigram.single_precision = true;
    return tokenizer_use_sentencepiece(tok, &t, err);
}

bool sentencepiece_recognise(const char *head, size_t n) { return n > 2 && head[0] == 0x0a && head[2] == 0x0a; }

bool sentencepiece_read(struct tokenizer *tok, const char *path, struct talc_error *err) {
    struct model model = {.type = MODEL_UNIGRAM,
                          .add_dummy_prefix = true,
                          .remove_extra_whitespaces = true,
                          .escape_whitespaces = true,
                          .bos = 1,
                          .eos = 2,
                          .pad = -1};
    tok->source = file_read(path, MAX_FILE_BYTES, &tok->n_source, err); /* to be written as it was, if need be */
    if (!tok->source) return false;
    struct message whole = {tok->source, tok->n_source, 0};
    tok->bpe.symbols = BPE_CHARACTERS;
    tok->bpe.fuse_unknown = true;
    bool ok = (scan_specs(whole, &model) || talc_fail(err, "not a SentencePiece model, or damaged")) &&
              check_model(&model, err) && use_treatment(tok, &model, err) && read_pieces(tok, whole, &model, err);
    ok = ok && (tok->type == TOKENIZER_UNIGRAM || tokenizer_merges_from_scores(tok, err));
    if (ok) {
        set_role(tok, model.bos, &tok->bos_id);
        set_role(tok, model.eos, &tok->eos_id);
        set_role(tok, model.pad, &tok->pad_id);
        tok->add_bos = tok->bos_id >= 0 && tok->type == TOKENIZER_SPACE_BPE;
        tok->add_eos =
            tok->bos_id < 0 && tok->type == TOKENIZER_UNIGRAM; /* T5; others say it in their tokenizer.json */
    }
    return ok;
}
