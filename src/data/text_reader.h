/* text_reader.h - documents from text files, in bounded memory. A .jsonl file holds one document a line,
 * {"text": "..."}; any other file (.txt, .md, source code, ...) is one document. Both may be packed (.zst). */
#ifndef TALC_DATA_TEXT_READER_H
#define TALC_DATA_TEXT_READER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "data/input_stream.h"

#define TEXT_PIECE_MAX_BYTES ((size_t)16 << 20)

/* A document, or a part of a long one: a file of more than 1 MiB is handed out in pieces that are cut where that
 * changes no tokens (text_reader_cut_at; tokenizer_encode_part gives their ids). A piece is longer where its text has
 * no such place, and only after TEXT_PIECE_MAX_BYTES without one a cut lies elsewhere: where words end, if there is
 * such a place, else between any two characters. Documents of a .jsonl file come whole. */
struct text_piece {
    const char *text; /* valid UTF-8, may hold NUL; good until the next call; NULL: no more documents */
    size_t n_bytes;
    size_t n_read; /* bytes of the file's text that it was made from: fewer where some had to be repaired */
    bool starts_document, ends_document;
};

struct text_reader;

/* allow_invalid: bytes that are not UTF-8 become U+FFFD; otherwise they fail, naming their place. `stop` as in
 * input_stream.h. */
struct text_reader *text_reader_open(const char *path, bool allow_invalid, const volatile sig_atomic_t *stop,
                                     struct talc_error *err);
void text_reader_close(struct text_reader *r); /* NULL is fine */

/* Where documents may be cut: bits of enum text_cut (pretokenize.h), as tokenizer_cuts gives them. 0: nowhere, they
 * come whole, whatever memory that takes. Before this is called: CUT_ANYWHERE. */
void text_reader_cut_at(struct text_reader *r, unsigned cuts);

/* The next piece. A file without any document fails. */
bool text_reader_next(struct text_reader *r, struct text_piece *piece, struct talc_error *err);

uint64_t text_reader_position(const struct text_reader *r);           /* bytes of the file read so far, for progress */
struct file_version text_reader_version(const struct text_reader *r); /* of the file when it was opened */

/* Reads a file once over without looking into it: how many documents (lines of .jsonl that are not blank) and bytes of
 * text (of JSON for .jsonl) it holds. */
struct text_count {
    uint64_t n_documents, n_bytes;
    struct file_version version; /* that was counted */
};
bool text_file_count(const char *path, const volatile sig_atomic_t *stop, struct text_count *count,
                     struct talc_error *err);

#endif
