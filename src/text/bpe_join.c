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

/* Takes tokens back, one by one and then a quarter more each time, until what remains and the encoding of the rest
 * join: most often that is soon, and where it is not, what is encoded in vain is no more than some times what has to
 * be. */
static bool take_back(const struct joining *j, size_t at, size_t end, int32_t *ids, size_t count, size_t *kept,
                      size_t *n_new) {
    size_t begin = at, n_all = count;
    for (;;) {
        size_t step = (n_all - count) / 4 + 1;
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

/* ==== words in characters of three bytes ====================================================== */

/* A character that borders are known for. */
struct wide {
    int32_t codepoint;
    uint32_t ends; /* 0: there is none */
};

static inline struct wide wide_of(const struct bpe_wide *characters, int32_t codepoint) {
    return (struct wide){codepoint, codepoint < 0 ? 0 : characters[codepoint].ends};
}

/* A part that no merge leaves. Apart, so that the loop over characters is small. */
static bool __attribute__((noinline))
encode_bordered(const struct joining *j, size_t begin, size_t end, int32_t *ids, size_t *n_ids) {
    return end - begin <= WORD_CACHE_SHORT_BYTES ? encode_part(j, begin, end, ids, n_ids)
                                                 : join_parts(j, begin, end, ids, n_ids);
}

/* Words side by side that are cut where no merge reaches over, and where they end. */
struct words {
    const size_t *ends;
    size_t begin, count;
};

/* Where what begins at `at` and is no such character ends: where one begins, or a word ends. Apart, so that it is a
 * branch: else the place of the next character would wait for the ends of this one. */
static size_t __attribute__((noinline))
end_of_others(const struct bpe_wide *characters, const char *text, const size_t *word_ends, size_t at) {
    while (*word_ends <= at) word_ends++;
    for (at++; at < *word_ends; at++)
        if (wide_of(characters, bpe_wide_behind(text, *word_ends, at)).ends) break;
    return at;
}

static bool encode_between_borders(const struct joining *j, const struct words *words, int32_t *ids, size_t *n_ids) {
    const struct bpe_borders *borders = j->bpe->borders;
    const struct bpe_wide *characters = borders->wide;
    const char *text = j->text;
    const size_t n = words->ends[words->count - 1];
    const size_t *end = words->ends; /* the first that is not before `at` */
    struct wide before = {-1, 0}, here = wide_of(characters, bpe_wide_at(text, n, words->begin)), next;
    int32_t *out = ids;
    for (size_t begin = words->begin, at = begin; at < n; before = here, here = next) {
        size_t n_new;
        at = here.ends ? at + 3 : end_of_others(characters, text, end, at);
        next = wide_of(characters, bpe_wide_behind(text, n, at));
        if (!here.ends || !next.ends || bpe_may_merge(borders, here.codepoint, here.ends, next.codepoint, next.ends)) {
            while (*end < at) end++;
            if (at < *end) continue;
        }
        const struct bpe_wide_pair *pair;
        if (here.ends && at - begin == 3) {
            memcpy(out, characters[here.codepoint].ids, sizeof characters->ids);
            n_new = BPE_WIDE_IDS(here.ends);
        } else if (here.ends && before.ends && at - begin == 6 &&
                   (pair = bpe_wide_pair(borders, before.codepoint, here.codepoint))) {
            memcpy(out, pair->ids, sizeof pair->ids);
            n_new = pair->ids[1] < 0 ? 1 : 2;
        } else if (!encode_bordered(j, begin, at, out, &n_new)) {
            return false;
        }
        out += n_new;
        begin = at;
    }
    *n_ids = (size_t)(out - ids);
    return true;
}

/* ==== words =================================================================================== */

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

/* A word that is a token merges do not lead to. */
static inline bool find_other(const struct bpe *bpe, const struct vocabulary *v, const char *word, size_t n,
                              int32_t *id) {
    if (n > bpe->longest_other) return false;
    size_t bit = bpe_other_bit(word, n);
    return (bpe->others[bit / 64] >> (bit % 64) & 1) && (*id = vocabulary_find(v, word, n)) >= 0;
}

bool bpe_encode_word(const struct bpe *bpe, const struct vocabulary *v, struct bpe_scratch *scratch,
                     struct word_cache *cache, const char *word, size_t n, int32_t *ids, size_t *n_ids,
                     struct talc_error *err) {
    *n_ids = 1;
    if (find_other(bpe, v, word, n, ids)) return true;
    struct joining j = {bpe, v, scratch, cache, word, n, err};
    bool at_once = bpe->other_lengths || (n <= WHOLE_BYTES && !is_wide(word, n));
    bool ok = at_once ? bpe_merge_text(bpe, v, scratch, word, n, ids, n_ids, err)
                      : encode_between_borders(&j, &(struct words){&n, 0, 1}, ids, n_ids);
    if (ok && bpe->fuse_unknown && bpe->unknown_id >= 0) *n_ids = fuse_unknown(bpe, ids, *n_ids);
    return ok;
}

bool bpe_encode_words(const struct bpe *bpe, const struct vocabulary *v, struct bpe_scratch *scratch,
                      struct word_cache *cache, const char *text, size_t begin, const size_t *ends, size_t count,
                      int32_t *ids, size_t *n_ids, struct talc_error *err) {
    struct joining j = {bpe, v, scratch, cache, text, ends[count - 1], err};
    bool apart = bpe->other_lengths || bpe->fuse_unknown;
    struct words words = {ends, begin, 0}; /* that are not encoded yet */
    size_t n_new, n_all = 0;
    for (size_t i = 0, at = begin; i < count; at = ends[i++]) {
        int32_t other;
        if (!apart && !find_other(bpe, v, text + at, ends[i] - at, &other)) {
            words.count++;
            continue;
        }
        if (words.count) {
            if (!encode_between_borders(&j, &words, ids + n_all, &n_new)) return false;
            n_all += n_new;
        }
        if (!bpe_encode_word(bpe, v, scratch, cache, text + at, ends[i] - at, ids + n_all, &n_new, err)) return false;
        n_all += n_new;
        words = (struct words){ends + i + 1, ends[i], 0};
    }
    n_new = 0;
    if (words.count && !encode_between_borders(&j, &words, ids + n_all, &n_new)) return false;
    *n_ids = n_all + n_new;
    return true;
}
