/* text_reader.c - documents out of text and JSONL files; see text_reader.h. */
#include "data/text_reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/utf8.h"
#include "data/input_stream.h"
#include "file/json.h"
#include "text/pretokenize.h"

#define PIECE_BYTES ((size_t)1 << 20)

struct text_reader {
    char *path;
    bool allow_invalid, is_jsonl;
    bool found_any; /* a piece was handed out */
    unsigned cuts;  /* bits of enum text_cut */

    struct line_reader lines; /* of a .jsonl file */
    json_t *record;           /* the object of the line handed out last */

    struct input_stream *stream; /* of any other file */
    char *bytes;                 /* bytes[begin .. end) were read and not yet handed out */
    size_t begin, end, capacity;
    bool at_end;            /* of the file */
    struct buffer repaired; /* the piece handed out last, if it had to be repaired */
};

static bool open_text(struct text_reader *r, const volatile sig_atomic_t *stop, struct talc_error *err) {
    static const char *const not_text[] = {"gz", "zip", "parquet", "pdf", "docx", "json"};
    for (size_t i = 0; i < sizeof not_text / sizeof *not_text; i++)
        if (path_has_extension(r->path, not_text[i]))
            return talc_fail(err, "%s: .%s files are not read; give plain text, .jsonl or either as .zst", r->path,
                             not_text[i]);
    r->stream = input_stream_open(r->path, stop, err);
    r->bytes = malloc(PIECE_BYTES);
    r->capacity = PIECE_BYTES;
    return r->stream && (r->bytes || talc_fail(err, "out of memory"));
}

struct text_reader *text_reader_open(const char *path, bool allow_invalid, const volatile sig_atomic_t *stop,
                                     struct talc_error *err) {
    struct text_reader *r = calloc(1, sizeof *r);
    if (r) r->path = strdup(path);
    if (!r || !r->path) {
        talc_fail(err, "out of memory");
        text_reader_close(r);
        return NULL;
    }
    r->allow_invalid = allow_invalid;
    r->is_jsonl = path_has_extension(path, "jsonl");
    r->cuts = CUT_ANYWHERE;
    if (r->is_jsonl ? line_reader_open(&r->lines, path, stop, err) : open_text(r, stop, err)) return r;
    text_reader_close(r);
    return NULL;
}

void text_reader_close(struct text_reader *r) {
    if (!r) return;
    line_reader_close(&r->lines);
    json_decref(r->record);
    input_stream_close(r->stream);
    buffer_free(&r->repaired);
    free(r->bytes);
    free(r->path);
    free(r);
}

void text_reader_cut_at(struct text_reader *r, unsigned cuts) { r->cuts = cuts; }

static const struct input_stream *stream_of(const struct text_reader *r) {
    return r->is_jsonl ? r->lines.stream : r->stream;
}

uint64_t text_reader_position(const struct text_reader *r) { return input_stream_position(stream_of(r)); }

struct file_version text_reader_version(const struct text_reader *r) {
    return input_stream_version(stream_of(r));
}

/* ---- plain text ------------------------------------------------------------------------------ */

static bool fill_bytes(struct text_reader *r, struct talc_error *err) {
    size_t n_kept = r->end - r->begin, n;
    memmove(r->bytes, r->bytes + r->begin, n_kept);
    r->begin = 0;
    r->end = n_kept;
    if (r->at_end) return true;
    if (!input_stream_read(r->stream, r->bytes + n_kept, r->capacity - n_kept, &n, err)) return false;
    r->at_end = n < r->capacity - n_kept;
    r->end += n;
    return true;
}

/* Between two characters: the last resort for text that is no running text. */
static size_t character_cut(const char *text, size_t n) {
    size_t at = n - 1;
    while (at > n - 4 && at > 1 && (text[at] & 0xc0) == 0x80) at--;
    return at;
}

/* Reads on until the text ends or can be cut, or is as long as a piece may be. */
static bool find_piece(struct text_reader *r, size_t *n_bytes, struct talc_error *err) {
    for (;;) {
        if (!fill_bytes(r, err)) return false;
        *n_bytes = r->at_end ? r->end : pretokenize_last_cut(r->bytes, r->end, r->cuts);
        if (*n_bytes > 0 || r->at_end) return true;
        if (r->capacity == TEXT_PIECE_MAX_BYTES && r->cuts) break;
        char *bytes = r->capacity > SIZE_MAX / 2 ? NULL : realloc(r->bytes, 2 * r->capacity);
        if (!bytes) return talc_fail(err, "%s: out of memory for %zu bytes of text", r->path, 2 * r->capacity);
        r->bytes = bytes;
        r->capacity *= 2;
    }
    *n_bytes = pretokenize_last_cut(r->bytes, r->end, CUT_ANYWHERE);
    if (*n_bytes == 0) *n_bytes = character_cut(r->bytes, r->end);
    return true;
}

static bool fail_invalid(const struct text_reader *r, size_t at, struct talc_error *err) {
    uint64_t offset = input_stream_offset(r->stream) - (r->end - at);
    bool is_utf16 =
        offset == 0 && r->end >= 2 && (memcmp(r->bytes, "\xff\xfe", 2) == 0 || memcmp(r->bytes, "\xfe\xff", 2) == 0);
    if (is_utf16) return talc_fail(err, "%s: is UTF-16; convert it to UTF-8 (iconv -f utf-16 -t utf-8)", r->path);
    return talc_fail(err,
                     "%s: byte %llu is not UTF-8 text (convert the file, or replace such bytes with "
                     "--allow-invalid)",
                     r->path, (unsigned long long)offset);
}

/* Replaces the piece by one in which every byte that is not UTF-8 is U+FFFD. */
static bool repair(struct text_reader *r, struct text_piece *piece, struct talc_error *err) {
    buffer_clear(&r->repaired);
    for (size_t at = 0; at < piece->n_bytes;) {
        size_t n = utf8_valid_prefix(piece->text + at, piece->n_bytes - at);
        buffer_append(&r->repaired, piece->text + at, n);
        at += n;
        if (at == piece->n_bytes) break;
        buffer_append_text(&r->repaired, "\xef\xbf\xbd");
        at++;
    }
    if (!buffer_ok(&r->repaired)) return talc_fail(err, "%s: out of memory", r->path);
    piece->text = r->repaired.data;
    piece->n_bytes = r->repaired.length;
    return true;
}

static bool next_of_text(struct text_reader *r, struct text_piece *piece, struct talc_error *err) {
    size_t n_bytes;
    if (!find_piece(r, &n_bytes, err)) return false;
    *piece = (struct text_piece){.starts_document = !r->found_any, .ends_document = r->at_end};
    if (r->end == 0) return r->found_any || talc_fail(err, "%s: is empty", r->path);
    piece->text = r->bytes;
    piece->n_bytes = piece->n_read = n_bytes; /* never all of it while there may be more */
    r->begin = n_bytes;
    r->found_any = true;
    size_t n_valid = utf8_valid_prefix(piece->text, piece->n_bytes);
    if (n_valid == piece->n_bytes) return true;
    return r->allow_invalid ? repair(r, piece, err) : fail_invalid(r, n_valid, err);
}

/* ---- JSONL ----------------------------------------------------------------------------------- */

static bool read_record(struct text_reader *r, const char *line, size_t n, struct text_piece *piece,
                        struct talc_error *err) {
    struct buffer where = {0};
    buffer_printf(&where, "%s:%zu", r->path, r->lines.line);
    json_decref(r->record);
    r->record = json_parse(line, n, buffer_ok(&where) ? where.data : r->path, err);
    buffer_free(&where);
    if (!r->record) return false;
    const json_t *text = json_object_get(r->record, "text");
    if (!json_is_string(text))
        return talc_fail(err,
                         json_object_get(r->record, "messages")
                             ? "%s:%zu: this is a chat; chats are for talc sft, documents are {\"text\": ...}"
                             : "%s:%zu: has no \"text\" that is a string; documents are {\"text\": ...}",
                         r->path, r->lines.line);
    size_t n_bytes = json_string_length(text);
    *piece = (struct text_piece){json_string_value(text), n_bytes, n_bytes, true, true};
    return true;
}

static bool next_of_jsonl(struct text_reader *r, struct text_piece *piece, struct talc_error *err) {
    const char *line;
    size_t n;
    for (;;) {
        if (!line_reader_next(&r->lines, &line, &n, err)) return false;
        if (!line) break;
        if (line_is_blank(line, n)) continue;
        if (!read_record(r, line, n, piece, err)) return false;
        r->found_any = true;
        if (piece->n_bytes) return true;
    }
    *piece = (struct text_piece){0};
    return r->found_any || talc_fail(err, "%s: is empty", r->path);
}

bool text_reader_next(struct text_reader *r, struct text_piece *piece, struct talc_error *err) {
    return r->is_jsonl ? next_of_jsonl(r, piece, err) : next_of_text(r, piece, err);
}

/* ---- counting -------------------------------------------------------------------------------- */

bool text_file_count(const char *path, const volatile sig_atomic_t *stop, struct text_count *count,
                     struct talc_error *err) {
    bool is_jsonl = path_has_extension(path, "jsonl"), ok = true, in_line = false;
    char *bytes = malloc(PIECE_BYTES);
    struct input_stream *stream = bytes ? input_stream_open(path, stop, err) : NULL;
    if (!bytes) talc_fail(err, "out of memory");
    *count = (struct text_count){0};
    if (stream) count->version = input_stream_version(stream);
    for (size_t n = 1; stream && n;) {
        ok = input_stream_read(stream, bytes, PIECE_BYTES, &n, err);
        if (!ok) break;
        count->n_bytes += n;
        for (size_t i = 0; is_jsonl && i < n; i++) {
            if (bytes[i] == '\n') {
                in_line = false;
            } else if (!in_line && bytes[i] != ' ' && bytes[i] != '\t' && bytes[i] != '\r') {
                in_line = true;
                count->n_documents++;
            }
        }
    }
    if (!is_jsonl) count->n_documents = count->n_bytes > 0;
    if (stream && ok && count->n_bytes == 0) ok = talc_fail(err, "%s: is empty", path);
    ok = ok && stream;
    input_stream_close(stream);
    free(bytes);
    return ok;
}
