/* token_source.c - shards joined end to end; see token_source.h. */
#include "data/token_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *token_source_name(const char *split, size_t i, char out[64]) {
    snprintf(out, 64, "%s-%05zu.bin", split, i);
    return out;
}

static bool add_shard(struct token_source *source, const char *path, struct talc_error *err) {
    size_t n = source->n_shards;
    struct token_shard *shards = realloc(source->shards, (n + 1) * sizeof *shards);
    if (shards) source->shards = shards;
    uint64_t *starts = realloc(source->starts, (n + 2) * sizeof *starts);
    if (starts) source->starts = starts;
    if (!shards || !starts) return talc_fail(err, "out of memory");
    if (!token_shard_open(&shards[n], path, err)) return false;
    starts[n] = source->n_tokens;
    source->n_tokens += shards[n].n_tokens;
    starts[n + 1] = source->n_tokens;
    source->n_shards++;
    return true;
}

bool token_source_open(struct token_source *source, const char *folder, const char *split, const struct data_info *info,
                       struct talc_error *err) {
    *source = (struct token_source){.vocab_size = (uint32_t)info->vocab_size};
    uint64_t expected = (uint64_t)(strcmp(split, "val") == 0 ? info->val.n_tokens : info->train.n_tokens);
    bool ok = true;
    for (size_t i = 0; ok; i++) {
        char name[64];
        char *path = path_join(folder, token_source_name(split, i, name));
        bool there = path && file_exists(path);
        ok = path != NULL || talc_fail(err, "out of memory");
        if (there) ok = add_shard(source, path, err);
        free(path);
        if (!there) break;
    }
    if (ok && source->n_tokens != expected)
        ok = talc_fail(err, "%s: the %s files hold %llu tokens, but " DATA_INFO_NAME " says %llu; prepare it again",
                       folder, split, (unsigned long long)source->n_tokens, (unsigned long long)expected);
    if (!ok) token_source_close(source);
    return ok;
}

void token_source_close(struct token_source *source) {
    for (size_t i = 0; i < source->n_shards; i++) token_shard_close(&source->shards[i]);
    free(source->shards);
    free(source->starts);
    *source = (struct token_source){0};
}

/* The shard that holds token `index`. */
static size_t find_shard(const struct token_source *source, uint64_t index) {
    size_t low = 0, high = source->n_shards - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (source->starts[middle + 1] <= index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool token_source_read(const struct token_source *source, uint64_t first, size_t n, int32_t *out,
                       struct talc_error *err) {
    if (first > source->n_tokens || n > source->n_tokens - first)
        return talc_fail(err, "tokens %llu to %llu lie outside the data", (unsigned long long)first,
                         (unsigned long long)(first + n));
    for (size_t s = n ? find_shard(source, first) : 0; n; s++) {
        const struct token_shard *shard = &source->shards[s];
        size_t at = (size_t)(first - source->starts[s]), n_here = shard->n_tokens - at;
        if (n_here > n) n_here = n;
        token_shard_read(shard, at, n_here, out);
        for (size_t i = 0; i < n_here; i++)
            if ((uint32_t)out[i] >= source->vocab_size)
                return talc_fail(err, "%s: token %zu is %u, but the vocabulary has %u; prepare the data again",
                                 shard->path, at + i, (uint32_t)out[i], source->vocab_size);
        out += n_here;
        first += n_here;
        n -= n_here;
    }
    return true;
}
