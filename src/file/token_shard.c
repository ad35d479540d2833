/* token_shard.c - reading and writing token files; see token_shard.h. */
#include "file/token_shard.h"

#include <stdlib.h>
#include <string.h>

#include "base/little_endian.h"

#define MAX_VOCAB_16_BITS 65536

/* The two layouts: how many bytes a token has and how the header says so. */
static const struct layout {
    int32_t magic, version;
    int token_bytes;
} layouts[] = {{20240520, 1, 2}, {20240801, 7, 4}};

static const struct layout *layout_of(uint32_t vocab_size) { return &layouts[vocab_size > MAX_VOCAB_16_BITS]; }

static int32_t header_field(const char *bytes, int i) {
    return (int32_t)(uint32_t)little_endian_load(bytes + 4 * i, 4);
}

static bool read_header(struct token_shard *shard, struct talc_error *err) {
    const char *bytes = shard->map.data, *path = shard->path;
    if (shard->map.n_bytes < TOKEN_SHARD_HEADER_BYTES)
        return talc_fail(err, "%s: has %zu bytes, too few for a token file", path, shard->map.n_bytes);
    int32_t magic = header_field(bytes, 0), version = header_field(bytes, 1), n_tokens = header_field(bytes, 2);
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (magic == layouts[i].magic && version == layouts[i].version) shard->token_bytes = layouts[i].token_bytes;
    if (!shard->token_bytes)
        return talc_fail(err, "%s: is not a token file (magic %d, version %d); make one with talc prepare", path, magic,
                         version);
    size_t n_bytes = shard->map.n_bytes - TOKEN_SHARD_HEADER_BYTES;
    if (n_tokens < 0 || (size_t)n_tokens * (size_t)shard->token_bytes != n_bytes)
        return talc_fail(err, "%s: is damaged: its header says %d tokens, its size %.1f", path, n_tokens,
                         (double)n_bytes / shard->token_bytes);
    shard->n_tokens = (size_t)n_tokens;
    shard->tokens = shard->map.data;
    shard->tokens += TOKEN_SHARD_HEADER_BYTES;
    return true;
}

bool token_shard_open(struct token_shard *shard, const char *path, struct talc_error *err) {
    *shard = (struct token_shard){.path = strdup(path)};
    bool ok = shard->path != NULL || talc_fail(err, "out of memory");
    ok = ok && file_map_open(&shard->map, path, err) && read_header(shard, err);
    if (!ok) token_shard_close(shard);
    return ok;
}

void token_shard_close(struct token_shard *shard) {
    file_map_close(&shard->map);
    free(shard->path);
    *shard = (struct token_shard){0};
}

void token_shard_read(const struct token_shard *shard, size_t first, size_t n, int32_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = (int32_t)token_shard_get(shard, first + i);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_header(struct token_shard_writer *w) {
    char header[TOKEN_SHARD_HEADER_BYTES] = {0};
    const struct layout *layout = layout_of(w->vocab_size);
    little_endian_store(header, 4, (uint32_t)layout->magic);
    little_endian_store(header + 4, 4, (uint32_t)layout->version);
    little_endian_store(header + 8, 4, w->n_tokens);
    fwrite(header, sizeof header, 1, w->file.stream); /* commit reports a failure */
}

bool token_shard_writer_open(struct token_shard_writer *w, const char *path, uint32_t vocab_size,
                             struct talc_error *err) {
    *w = (struct token_shard_writer){.vocab_size = vocab_size};
    if (!atomic_file_open(&w->file, path, err)) return false;
    write_header(w);
    return true;
}

bool token_shard_writer_append(struct token_shard_writer *w, const int32_t *tokens, size_t n, struct talc_error *err) {
    enum { BATCH = 4096 };
    unsigned char bytes[BATCH * 4];
    int token_bytes = layout_of(w->vocab_size)->token_bytes;
    if (n > TOKEN_SHARD_MAX_TOKENS - w->n_tokens)
        return talc_fail(err, "%s: a token file holds at most %d tokens", w->file.path, TOKEN_SHARD_MAX_TOKENS);
    for (size_t done = 0; done < n;) {
        size_t n_now = n - done < BATCH ? n - done : BATCH;
        unsigned char *to = bytes;
        for (size_t i = 0; i < n_now; i++) {
            uint32_t token = (uint32_t)tokens[done + i];
            if (token >= w->vocab_size)
                return talc_fail(err, "%s: token %d is not in the vocabulary of %u", w->file.path, tokens[done + i],
                                 w->vocab_size);
            for (int b = 0; b < token_bytes; b++) *to++ = (unsigned char)(token >> (8 * b));
        }
        if (fwrite(bytes, (size_t)token_bytes, n_now, w->file.stream) != n_now)
            return talc_fail_errno(err, "%s: writing failed", w->file.path);
        done += n_now;
    }
    w->n_tokens += n;
    return true;
}

bool token_shard_writer_commit(struct token_shard_writer *w, struct talc_error *err) {
    if (fflush(w->file.stream) == 0 && fseek(w->file.stream, 0, SEEK_SET) == 0) write_header(w);
    return atomic_file_commit(&w->file, err); /* finds the error of a flush that failed */
}

void token_shard_writer_abort(struct token_shard_writer *w) { atomic_file_abort(&w->file); }
