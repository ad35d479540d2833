/* sentencepiece.c - reading SentencePiece models (protobuf ModelProto of sentencepiece_model.proto) of type BPE. */
#include <stdlib.h>
#include <string.h>

#include "file/atomic.h"
#include "text/tokenizer_parts.h"

#define MAX_FILE_BYTES ((size_t)256 << 20)

/* ==== pieces in text ============================================================================= */

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

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int byte_piece(const char *piece, size_t n) {
    if (n != 6 || memcmp(piece, "<0x", 3) != 0 || piece[5] != '>') return -1;
    int high = hex_digit(piece[3]), low = hex_digit(piece[4]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* ==== SentencePiece: the order of merges is that of the scores =================================== */

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

/* ==== protobuf =================================================================================== */

struct message {
    const char *data;
    size_t n, at;
};

struct field {
    uint32_t number;
    int wire_type;         /* 0 varint, 1 eight bytes, 2 bytes, 5 four bytes */
    uint64_t value;        /* varint, or the bytes of a number */
    struct message bytes;  /* wire type 2 */
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

/* ==== the model ================================================================================== */

enum piece_type { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };
enum { MODEL_UNIGRAM = 1, MODEL_BPE = 2 };

struct model {
    uint64_t type;
    bool add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces, suffix;
    size_t n_charsmap;
    int64_t bos, eos, pad;
    size_t n_pieces, capacity; /* of tok->scores */
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
            if (f.number == 3 && g.number == 2 && g.wire_type == 2) model->n_charsmap = g.bytes.n;
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
    if (model->type != MODEL_BPE)
        return talc_fail(err, "a SentencePiece model of type %s is not supported (only BPE)",
                         model->type < 5 ? types[model->type] : "unknown");
    const char *asked = model->n_charsmap                 ? "a precompiled_charsmap"
                        : model->remove_extra_whitespaces ? "remove_extra_whitespaces"
                        : !model->escape_whitespaces      ? "spaces as they are (escape_whitespaces false)"
                        : model->suffix                   ? "treat_whitespace_as_suffix"
                                                          : NULL;
    return !asked || talc_fail(err, "the SentencePiece model asks for %s, which is not supported", asked);
}

static bool add_piece(struct tokenizer *tok, int32_t id, const char *text, size_t n, uint64_t type,
                      struct talc_error *err) {
    struct added_token token = {.id = id, .special = type != USER_DEFINED, .normalized = type == USER_DEFINED,
                                .as_written = true};
    struct buffer bytes = {0};
    if (type == UNKNOWN) tok->unknown_id = id;
    if (type == UNKNOWN || type == CONTROL || type == USER_DEFINED) return tokenizer_add_token(tok, token, text, n, err);
    if (type == UNUSED) return talc_fail(err, "piece %d is of type UNUSED, which is not supported", (int)id);
    int byte = type == BYTE ? byte_piece(text, n) : -1;
    if (byte >= 0) {
        tok->bpe.byte_ids[byte] = id;
        return vocabulary_add(&tok->vocabulary, id, &(char){(char)byte}, 1, TOKEN_BYTE, err);
    }
    bool ok = space_text(text, n, &bytes) ? vocabulary_add(&tok->vocabulary, id, bytes.data ? bytes.data : "",
                                                           bytes.length, TOKEN_TEXT, err)
                                          : talc_fail(err, "out of memory for the vocabulary");
    buffer_free(&bytes);
    return ok;
}

static bool keep_score(struct tokenizer *tok, struct model *model, uint64_t bits) {
    if (model->n_pieces == model->capacity) {
        size_t capacity = model->capacity ? model->capacity * 2 : 4096;
        float *scores = realloc(tok->scores, capacity * sizeof *scores);
        if (!scores) return false;
        tok->scores = scores;
        model->capacity = capacity;
    }
    uint32_t low = (uint32_t)bits;
    memcpy(&tok->scores[model->n_pieces++], &low, sizeof low);
    return true;
}

static bool read_pieces(struct tokenizer *tok, struct message m, struct model *model, struct talc_error *err) {
    struct field f, g;
    while (next_field(&m, &f)) {
        if (f.wire_type != 2 || f.number != 1) continue;
        struct message piece = f.bytes, text = {"", 0, 0};
        uint64_t type = NORMAL, score = 0;
        while (next_field(&piece, &g)) {
            if (g.number == 1 && g.wire_type == 2) text = g.bytes;
            if (g.number == 2 && g.wire_type == 5) score = g.value;
            if (g.number == 3 && g.wire_type == 0) type = g.value;
        }
        if (piece.at < piece.n) return talc_fail(err, "piece %zu is broken", model->n_pieces);
        if (model->n_pieces >= VOCABULARY_MAX_SIZE) return talc_fail(err, "the vocabulary is too large");
        if (!add_piece(tok, (int32_t)model->n_pieces, text.data, text.n, type, err)) return false;
        if (!keep_score(tok, model, score)) return talc_fail(err, "out of memory for the vocabulary");
    }
    return true;
}

static void set_role(const struct tokenizer *tok, int64_t id, int32_t *role) {
    if (id >= 0 && token_is_added(vocabulary_token(&tok->vocabulary, id < INT32_MAX ? (int32_t)id : -1)))
        *role = (int32_t)id;
}

bool sentencepiece_recognise(const char *head, size_t n) { return n > 2 && head[0] == 0x0a && head[2] == 0x0a; }

bool sentencepiece_read(struct tokenizer *tok, const char *path, struct talc_error *err) {
    struct model model = {.type = MODEL_UNIGRAM, .add_dummy_prefix = true, .remove_extra_whitespaces = true,
                          .escape_whitespaces = true, .bos = 1, .eos = 2, .pad = -1};
    size_t n_bytes;
    char *data = file_read(path, MAX_FILE_BYTES, &n_bytes, err);
    if (!data) return false;
    struct message whole = {data, n_bytes, 0};
    tok->bpe.symbols = BPE_CHARACTERS;
    tok->bpe.fuse_unknown = true;
    bool ok = (scan_specs(whole, &model) || talc_fail(err, "not a SentencePiece model, or damaged")) &&
              check_model(&model, err) && tokenizer_use_spaces(tok, model.add_dummy_prefix, err) &&
              read_pieces(tok, whole, &model, err);
    if (ok && model.n_pieces == 0) ok = talc_fail(err, "the SentencePiece model has no pieces");
    ok = ok && tokenizer_merges_from_scores(tok, err);
    if (ok) {
        set_role(tok, model.bos, &tok->bos_id);
        set_role(tok, model.eos, &tok->eos_id);
        set_role(tok, model.pad, &tok->pad_id);
        tok->add_bos = tok->bos_id >= 0;
    }
    free(data);
    return ok;
}
