/* bpe_join.c - see bpe_join.h. */
#include "text/bpe_join.h"

#include <string.h>

#include "text/bpe_borders.h"
#include "text/hash.h"

#define WHOLE_BYTES 40      /* ASCII words up to here are merged at once */
#define ASCII_PART_BYTES 12 /* a part is so much ASCII, */
#define RUN_PART_BYTES 128  /* or so much of one byte again and again, or one other character */
#define PART_KEY ((uint64_t)1 << 63)

struct joining {
    const struct bpe *bpe;
    const struct vocabulary *v;
    struct bpe_scratch *scratch;
    struct word_cache *cache;
    const char *text;
    size_t n;
    struct talc_error *err;
};

/* The encoding of text[begin..end). */
static bool encode_part(const struct joining *j, size_t begin, size_t end, int32_t *ids, size_t *n_ids) {
    const char *part = j->text + begin;
    size_t n = end - begin;
    struct word_key key = {0, 0};
    uint64_t hash = 0;
    bool is_short = n <= WORD_CACHE_SHORT_BYTES;
    if (j->cache && is_short) {
        key = word_key(part, n, j->n - begin >= sizeof key);
        key.high |= PART_KEY;
        const struct word_entry *entry = word_cache_find(j->cache, key);
        if (entry) {
            *n_ids = word_entry_ids(entry, ids);
            return true;
        }
    } else if (j->cache && n <= WORD_CACHE_LONG_BYTES) {
        hash = hash_bytes(part, n) & ~(uint64_t)1;
        hash = hash ? hash : 2; /* whole words have odd ones */
        *n_ids = word_cache_find_long(j->cache, part, n, hash, ids);
        if (*n_ids) return true;
    }
    if (!bpe_merge_text(j->bpe, j->v, j->scratch, part, n, ids, n_ids, j->err)) return false;
    if (!j->cache) return true;
    if (is_short && *n_ids <= WORD_CACHE_SHORT_IDS)
        word_cache_add(j->cache, key, ids, *n_ids);
    else if (hash)
        word_cache_add_long(j->cache, part, n, hash, ids, *n_ids);
    return true;
}

static size_t part_end(const char *text, size_t n, size_t at) {
    size_t end = at + 1;
    if (!(text[at] & 0x80)) {
        while (end < n && end - at < RUN_PART_BYTES && text[end] == text[at]) end++;
        while (end < n && end - at < ASCII_PART_BYTES && !(text[end] & 0x80)) end++;
        return end;
    }
    while (end < n && end - at < 4 && ((unsigned char)text[end] & 0xc0) == 0x80) end++;
    return end;
}

/* Takes tokens back, once more each time, until what remains and the encoding of the rest join. */
static bool take_back(const struct joining *j, size_t at, size_t end, int32_t *ids, size_t count, size_t *kept,
                      size_t *n_new) {
    size_t begin = at;
    for (size_t step = 1;; step = step * 3 / 2 + (step > 1)) {
        for (size_t i = 0; i < step && count > 0; i++)
            begin -= bpe_token_bytes(j->bpe, j->v, ids[--count], j->text, begin);
        if (!encode_part(j, begin, end, ids + count, n_new)) return false;
        if (count == 0 || bpe_are_neighbours(j->bpe, j->v, j->scratch, ids[count - 1], ids[count])) break;
    }
    *kept = count;
    return true;
}

/* The encoding of text[begin..end). */
static bool join_parts(const struct joining *j, size_t begin, size_t stop, int32_t *ids, size_t *n_ids) {
    size_t count = 0, n_new;
    for (size_t at = begin, end; at < stop; at = end) {
        end = part_end(j->text, stop, at);
        if (!encode_part(j, at, end, ids + count, &n_new)) return false;
        if (count && !bpe_are_neighbours(j->bpe, j->v, j->scratch, ids[count - 1], ids[count]) &&
            !take_back(j, at, end, ids, count, &count, &n_new))
            return false;
        count += n_new;
    }
    *n_ids = count;
    return true;
}

/* A character that borders are known for. */
struct wide {
    int32_t codepoint;
    uint32_t entry; /* 0: there is none */
};

static inline struct wide wide_at(const uint32_t *entries, const char *text, size_t n, size_t at) {
    int32_t codepoint = bpe_wide_at(text, n, at);
    return (struct wide){codepoint, codepoint < 0 ? 0 : entries[codepoint]};
}

/* A part that no merge leaves and that is more than one character. Apart, so that the loop over characters is small. */
static bool __attribute__((noinline)) encode_bordered(const struct joining *j, size_t begin, size_t end, int32_t *ids,
                                                      size_t *n_ids) {
    const struct bpe_borders *borders = j->bpe->borders;
    struct wide first = wide_at(borders->wide, j->text, end, begin);
    struct wide second = first.entry && end - begin == 6 ? wide_at(borders->wide, j->text, end, begin + 3) : first;
    bool two = first.entry && second.entry && end - begin == 6;
    const struct bpe_wide_pair *pair = two ? bpe_wide_pair(borders, first.codepoint, second.codepoint) : NULL;
    if (pair) {
        memcpy(ids, pair->ids, sizeof pair->ids);
        *n_ids = pair->ids[1] < 0 ? 1 : 2;
        return true;
    }
    return end - begin <= WORD_CACHE_SHORT_BYTES ? encode_part(j, begin, end, ids, n_ids)
                                                 : join_parts(j, begin, end, ids, n_ids);
}

static bool encode_between_borders(const struct joining *j, int32_t *ids, size_t *n_ids) {
    const struct bpe_borders borders = *j->bpe->borders;
    const char *text = j->text;
    const size_t n = j->n;
    struct wide here = wide_at(borders.wide, text, n, 0), next = {-1, 0};
    int32_t *out = ids;
    for (size_t begin = 0, at = 0; at < n; here = next) {
        size_t n_new;
        at += here.entry ? 3 : 1;
        next = wide_at(borders.wide, text, n, at);
        bool joined = !here.entry || !next.entry ||
                      bpe_may_merge(&borders, here.codepoint, here.entry, next.codepoint, next.entry);
        if (joined && at < n) continue;
        if (here.entry && at - begin == 3) {
            *out = BPE_WIDE_ID(here.entry);
            n_new = BPE_WIDE_IDS(here.entry);
            if (n_new > 1) memcpy(out + 1, borders.more[here.codepoint], sizeof *borders.more);
        } else if (!encode_bordered(j, begin, at, out, &n_new)) {
            return false;
        }
        out += n_new;
        begin = at;
    }
    *n_ids = (size_t)(out - ids);
    return true;
}

static bool is_wide(const char *word, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (word[i] & 0x80) return true;
    return false;
}

static size_t fuse_unknown(const struct bpe *bpe, int32_t *ids, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (ids[i] != bpe->unknown_id || kept == 0 || ids[kept - 1] != bpe->unknown_id) ids[kept++] = ids[i];
    return kept;
}

bool bpe_encode_word(const struct bpe *bpe, const struct vocabulary *v, struct bpe_scratch *scratch,
                     struct word_cache *cache, const char *word, size_t n, int32_t *ids, size_t *n_ids,
                     struct talc_error *err) {
    if (n <= bpe->longest_other && (ids[0] = vocabulary_find(v, word, n)) >= 0) {
        *n_ids = 1;
        return true;
    }
    struct joining j = {bpe, v, scratch, cache, word, n, err};
    bool at_once = bpe->other_lengths || (n <= WHOLE_BYTES && !is_wide(word, n));
    bool ok = at_once ? bpe_merge_text(bpe, v, scratch, word, n, ids, n_ids, err)
                      : encode_between_borders(&j, ids, n_ids);
    if (ok && bpe->fuse_unknown && bpe->unknown_id >= 0) *n_ids = fuse_unknown(bpe, ids, *n_ids);
    return ok;
}
