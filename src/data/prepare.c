/* prepare.c - from text to token shards; see prepare.h. Text is gathered into batches, which are encoded in parallel
 * and written in order. */
#include "data/prepare.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/permutation.h"
#include "data/text_reader.h"
#include "data/token_source.h"
#include "file/atomic.h"
#include "file/token_shard.h"

#define DEFAULT_SHARD_TOKENS 100000000
/* With fewer documents, or fewer for validation and long ones, every document is divided instead. */
#define MIN_DOCUMENTS 20
#define MIN_VAL_DOCUMENTS 10
#define LONG_DOCUMENT_BYTES 32768 /* on average */
#define BATCH_BYTES ((size_t)4 << 20)
#define BATCH_PIECES 2048

/* One split being written. */
struct split_writer {
    const char *name;
    struct token_shard_writer shard;
    bool is_open;
    size_t n_shards;
    struct split_info info;
};

struct piece {
    size_t begin, n_bytes; /* in the batch's text */
    size_t file;           /* that it is from */
    bool starts_document, ends_document, ok;
    struct split_writer *split;
    struct token_list tokens;
};

struct preparation {
    const struct prepare_options *options;
    struct atomic_folder folder;
    struct split_writer train, val;
    struct data_info info;

    /* What the first pass over the files found. */
    struct text_count *counts; /* of each file */
    uint64_t n_documents;
    uint64_t n_text;          /* bytes of text (of JSON for .jsonl), unpacked */
    uint64_t n_total;         /* bytes of the files, for progress */
    bool divide_documents;    /* the last part of each is for validation */
    struct permutation order; /* of the documents; the first n_val_documents of it are for validation */
    uint64_t n_val_documents;

    /* Where reading is. */
    size_t file;
    uint64_t document, offset; /* number of the document, bytes of it read, before any repair */
    bool inside_train;         /* of a divided document: its training part has begun and not ended */
    uint64_t n_done;           /* bytes of the files before this one */

    struct buffer text; /* the batch */
    struct piece *pieces;
    size_t n_pieces;
};

/* ---- first pass ------------------------------------------------------------------------------ */

/* What is set apart: whole documents, unless there are only a few long ones. */
static void choose_validation(struct preparation *p) {
    double expected = (double)p->n_documents * p->options->val_fraction;
    bool are_long = p->n_text >= p->n_documents * LONG_DOCUMENT_BYTES;
    p->divide_documents = p->n_documents < MIN_DOCUMENTS || (expected < MIN_VAL_DOCUMENTS && are_long);
    if (p->divide_documents || expected == 0) return;
    p->order = permutation_make(p->n_documents, p->options->seed, 0);
    p->n_val_documents = expected < 1 ? 1 : (uint64_t)(expected + 0.5);
    if (p->n_val_documents == p->n_documents) p->n_val_documents--; /* something to train on */
}

static bool survey(struct preparation *p, struct talc_error *err) {
    const struct prepare_options *o = p->options;
    p->counts = calloc(o->n_paths, sizeof *p->counts);
    p->pieces = calloc(BATCH_PIECES, sizeof *p->pieces);
    if (!p->counts || !p->pieces) return talc_fail(err, "out of memory");
    for (size_t i = 0; i < o->n_paths; i++) {
        struct stat st;
        if (stat(o->paths[i], &st) == 0 && !S_ISREG(st.st_mode))
            return talc_fail(err,
                             S_ISDIR(st.st_mode)
                                 ? "%s: is a folder; name the files in it"
                                 : "%s: is not a regular file; text is read twice, so it cannot come through a pipe",
                             o->paths[i]);
        if (!text_file_count(o->paths[i], o->stop, &p->counts[i], err)) return false;
        p->n_documents += p->counts[i].n_documents;
        p->n_text += p->counts[i].n_bytes;
        p->n_total += p->counts[i].version.n_bytes;
    }
    choose_validation(p);
    return true;
}

/* ---- writing a split ------------------------------------------------------------------------- */

static bool open_shard(struct preparation *p, struct split_writer *s, struct talc_error *err) {
    char name[64];
    char *path = path_join(p->folder.temporary, token_source_name(s->name, s->n_shards, name));
    s->is_open = path ? token_shard_writer_open(&s->shard, path, (uint32_t)p->info.vocab_size, err)
                      : talc_fail(err, "out of memory");
    free(path);
    return s->is_open;
}

static bool close_shard(struct split_writer *s, struct talc_error *err) {
    if (!s->is_open) return true;
    s->is_open = false;
    s->n_shards++;
    return token_shard_writer_commit(&s->shard, err);
}

static bool append_tokens(struct preparation *p, struct split_writer *s, const int32_t *tokens, size_t n,
                          struct talc_error *err) {
    size_t most = (size_t)(p->options->shard_tokens ? p->options->shard_tokens : DEFAULT_SHARD_TOKENS);
    while (n) {
        if (!s->is_open && !open_shard(p, s, err)) return false;
        size_t n_now = most - s->shard.n_tokens < n ? most - s->shard.n_tokens : n;
        if (!token_shard_writer_append(&s->shard, tokens, n_now, err)) return false;
        s->info.n_tokens += (int64_t)n_now;
        tokens += n_now;
        n -= n_now;
        if (s->shard.n_tokens == most && !close_shard(s, err)) return false;
    }
    return true;
}

/* ---- a batch --------------------------------------------------------------------------------- */

static bool encode(const struct preparation *p, struct piece *piece, struct talc_error *err) {
    return tokenizer_encode_part(p->options->tokenizer, p->text.data + piece->begin, piece->n_bytes,
                                 !piece->starts_document, !piece->ends_document, &piece->tokens, err);
}

static void encode_piece(void *context, int i, int worker) {
    (void)worker;
    struct preparation *p = context;
    struct piece *piece = &p->pieces[i];
    token_list_clear(&piece->tokens);
    piece->ok = encode(p, piece, NULL);
}

static bool write_piece(struct preparation *p, const struct piece *piece, struct talc_error *err) {
    struct split_writer *s = piece->split;
    int32_t end_of_text = (int32_t)p->info.end_of_text, start = (int32_t)p->info.text_start;
    bool begins = piece->starts_document && p->n_documents > 1 && start != end_of_text;
    s->info.n_bytes += (int64_t)piece->n_bytes;
    if (begins && !append_tokens(p, s, &start, 1, err)) return false;
    if (!append_tokens(p, s, piece->tokens.ids, piece->tokens.count, err)) return false;
    if (!piece->ends_document) return true;
    s->info.n_documents++;
    return p->n_documents < 2 || end_of_text < 0 || append_tokens(p, s, &end_of_text, 1, err);
}

/* Encodes and writes what was gathered. */
static bool flush_batch(struct preparation *p, struct talc_error *err) {
    if (p->options->pool)
        thread_pool_run(p->options->pool, (int)p->n_pieces, encode_piece, p);
    else
        for (size_t i = 0; i < p->n_pieces; i++) encode_piece(p, (int)i, 0);
    for (size_t i = 0; i < p->n_pieces; i++) {
        struct piece *piece = &p->pieces[i];
        if (!piece->ok) { /* once more, for the message */
            encode(p, piece, err);
            return talc_fail_in(err, "%s", p->options->paths[piece->file]);
        }
        if (!write_piece(p, piece, err)) return false;
    }
    p->n_pieces = 0;
    buffer_clear(&p->text);
    return true;
}

static bool gather(struct preparation *p, const char *text, size_t n_bytes, bool starts_document, bool ends_document,
                   struct split_writer *split, struct talc_error *err) {
    struct piece *piece = &p->pieces[p->n_pieces++];
    *piece =
        (struct piece){p->text.length, n_bytes, p->file, starts_document, ends_document, false, split, piece->tokens};
    buffer_append(&p->text, text, n_bytes);
    if (!buffer_ok(&p->text)) return talc_fail(err, "%s: out of memory", p->options->paths[p->file]);
    return (p->n_pieces < BATCH_PIECES && p->text.length < BATCH_BYTES) || flush_batch(p, err);
}

/* ---- dividing -------------------------------------------------------------------------------- */

static bool is_for_validation(const struct preparation *p, uint64_t document) {
    return p->n_val_documents > 0 && permutation_at(&p->order, document) < p->n_val_documents;
}

/* Takes a piece of a document of n_document bytes (as they were read) whose last part is for validation. In a piece
 * that was repaired the cut lies at the same share of it. */
static bool take_divided(struct preparation *p, const struct text_piece *piece, uint64_t n_document,
                         struct talc_error *err) {
    double fraction = p->options->val_fraction;
    uint64_t cut = fraction > 0 ? (uint64_t)((double)n_document * (1.0 - fraction)) : UINT64_MAX;
    size_t n = piece->n_bytes, n_train = 0;
    if (cut > p->offset) {
        uint64_t n_read = cut - p->offset;
        n_train = n_read < piece->n_read ? (size_t)((unsigned __int128)n_read * n / piece->n_read) : n;
    }
    while (n_train > 0 && n_train < n && (piece->text[n_train] & 0xc0) == 0x80) n_train--; /* a whole character */
    bool train_ends = piece->ends_document || n_train < n;
    if (n_train || (train_ends && p->inside_train)) {
        if (!gather(p, piece->text, n_train, !p->inside_train, train_ends, &p->train, err)) return false;
        p->inside_train = !train_ends;
    }
    if (n_train == n) return true;
    bool val_starts = n_train > 0 || p->offset <= cut;
    return gather(p, piece->text + n_train, n - n_train, val_starts, piece->ends_document, &p->val, err);
}

static bool take_piece(struct preparation *p, const struct text_piece *piece, struct talc_error *err) {
    if (piece->starts_document && p->document >= p->n_documents) /* it was replaced within a tick of the clock */
        return fail_file_changed(p->options->paths[p->file], err);
    if (piece->starts_document) p->offset = 0;
    bool ok;
    if (p->divide_documents) {
        bool is_whole = piece->starts_document && piece->ends_document;
        ok = take_divided(p, piece, is_whole ? piece->n_read : p->counts[p->file].n_bytes, err);
    } else {
        struct split_writer *split = is_for_validation(p, p->document) ? &p->val : &p->train;
        ok = gather(p, piece->text, piece->n_bytes, piece->starts_document, piece->ends_document, split, err);
    }
    p->offset += piece->n_read;
    p->document += piece->ends_document;
    return ok;
}

/* ---- all files ------------------------------------------------------------------------------- */

static bool report(const struct preparation *p, uint64_t n_done, struct talc_error *err) {
    const struct prepare_options *o = p->options;
    return !o->on_progress || o->on_progress(o->context, n_done, p->n_total) ||
           talc_fail(err, "stopped; %s was not made", o->out);
}

static bool take_file(struct preparation *p, struct talc_error *err) {
    const struct prepare_options *o = p->options;
    struct text_reader *reader = text_reader_open(o->paths[p->file], o->allow_invalid, o->stop, err);
    bool ok = reader != NULL;
    if (ok) {
        text_reader_cut_at(reader, tokenizer_cuts(o->tokenizer));
        struct file_version version = text_reader_version(reader);
        ok = file_version_equal(&version, &p->counts[p->file].version) || fail_file_changed(o->paths[p->file], err);
    }
    for (struct text_piece piece; ok && (ok = text_reader_next(reader, &piece, err)) && piece.text;) {
        ok = take_piece(p, &piece, err);
        if (ok && p->n_pieces == 0) ok = report(p, p->n_done + text_reader_position(reader), err);
    }
    if (reader) p->n_done += text_reader_position(reader);
    text_reader_close(reader);
    return ok;
}

static json_t *describe(const struct preparation *p) {
    const struct prepare_options *o = p->options;
    const char *val_is = p->divide_documents ? "the end of each document" : "documents";
    if (o->val_fraction == 0) val_is = "nothing";
    json_t *sources = json_array();
    for (size_t i = 0; i < o->n_paths; i++) json_array_append_new(sources, json_string(o->paths[i]));
    return json_pack("{s:s, s:f, s:s, s:I, s:o}", "tokenizer", tokenizer_description(o->tokenizer), "val_fraction",
                     o->val_fraction, "val_is", val_is, "seed", (json_int_t)o->seed, "sources", sources);
}

static bool write_rest(struct preparation *p, struct talc_error *err) {
    p->info.train = p->train.info;
    p->info.val = p->val.info;
    if (p->info.train.n_tokens < 2)
        return talc_fail(err, "%s: too little text: nothing is left to train on", p->options->paths[0]);
    if (p->options->val_fraction > 0 && p->info.val.n_tokens < 2)
        return talc_fail(err, "%s: too little text to set %g of it apart for validation; give more, or a larger part",
                         p->options->paths[0], p->options->val_fraction);
    json_t *extra = describe(p);
    bool ok = extra ? data_info_write(&p->info, p->folder.temporary, extra, err) : talc_fail(err, "out of memory");
    json_decref(extra);
    return ok && tokenizer_save_folder(p->options->tokenizer, p->folder.temporary, NULL, err);
}

static bool fill_folder(struct preparation *p, struct talc_error *err) {
    for (p->file = 0; p->file < p->options->n_paths; p->file++)
        if (!take_file(p, err)) return false;
    if (!flush_batch(p, err) || !report(p, p->n_done, err)) return false;
    return close_shard(&p->train, err) && close_shard(&p->val, err) && write_rest(p, err);
}

#define FIVE_DIGITS "[0-9][0-9][0-9][0-9][0-9]"
static const char *const data_names[] = {DATA_INFO_NAME, "train-" FIVE_DIGITS ".bin", "val-" FIVE_DIGITS ".bin",
                                         TOKENIZER_FOLDER_NAMES, NULL};
static const struct folder_kind data_kind = {DATA_INFO_NAME, "\"tokenizer_hash\"", data_names, .replaced = true};

static bool check_options(const struct prepare_options *o, struct talc_error *err) {
    if (o->n_paths == 0) return talc_fail(err, "no text files were given");
    if (!(o->val_fraction >= 0 && o->val_fraction < 1))
        return talc_fail(err, "the validation fraction must be at least 0 and below 1, not %g", o->val_fraction);
    if (o->shard_tokens < 0 || o->shard_tokens > TOKEN_SHARD_MAX_TOKENS)
        return talc_fail(err, "a token file holds 1 to %d tokens, not %lld", TOKEN_SHARD_MAX_TOKENS,
                         (long long)o->shard_tokens);
    return folder_may_take(o->out, &data_kind, err) && tokenizer_may_save(o->tokenizer, o->out, err);
}

bool prepare_data(const struct prepare_options *options, struct data_info *info, struct talc_error *err) {
    struct preparation p = {.options = options, .train.name = "train", .val.name = "val"};
    if (!check_options(options, err)) return false;
    p.info.vocab_size = tokenizer_vocab_size(options->tokenizer);
    p.info.end_of_text = tokenizer_end_of_text_id(options->tokenizer);
    p.info.text_start = tokenizer_text_start_id(options->tokenizer);
    snprintf(p.info.tokenizer_hash, sizeof p.info.tokenizer_hash, "%016" PRIx64, tokenizer_hash(options->tokenizer));
    bool ok = survey(&p, err) && atomic_folder_open(&p.folder, options->out, &data_kind, err);
    if (ok) {
        ok = fill_folder(&p, err);
        if (p.train.is_open) token_shard_writer_abort(&p.train.shard);
        if (p.val.is_open) token_shard_writer_abort(&p.val.shard);
        if (ok)
            ok = atomic_folder_commit(&p.folder, err);
        else
            atomic_folder_abort(&p.folder);
    }
    if (ok && info) *info = p.info;
    for (size_t i = 0; p.pieces && i < BATCH_PIECES; i++) token_list_free(&p.pieces[i].tokens);
    free(p.pieces);
    free(p.counts);
    buffer_free(&p.text);
    return ok;
}
