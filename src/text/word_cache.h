/* word_cache.h - the ids of words that were encoded before. Texts repeat their words: most are found here. Bounded: new
 * words push out old ones. For one thread, but for the buckets of short words, which several caches may share.
 *
 * Words of up to 15 bytes that are up to 4 tokens lie in buckets of two entries, one cache line: a new word
 * replaces the second, and a word that comes again moves to the first. In shared buckets an entry is written once and
 * then stays: nobody waits, and a word is merged by the thread that meets it first. Longer words lie in a store that is
 * emptied when it is full. */
#ifndef TALC_TEXT_WORD_CACHE_H
#define TALC_TEXT_WORD_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define WORD_CACHE_SHORT_BYTES 15
#define WORD_CACHE_SHORT_IDS 4
#define WORD_CACHE_LONG_BYTES 256
#define WORD_CACHE_BUCKETS 131072   /* 8 MiB */
#define SHARED_WORDS_BUCKETS 262144 /* 16 MiB */
#define SHARED_WORDS_PLACES (2 * SHARED_WORDS_BUCKETS)
#define WORD_CACHE_LONG_SLOTS 16384 /* at most half of them are used */
#define WORD_CACHE_STORE_BYTES ((size_t)1 << 20)

struct word_key {
    uint64_t low, high; /* the bytes, then zeros; the last byte is their number */
};

struct word_entry {
    struct word_key key;
    uint32_t ids[WORD_CACHE_SHORT_IDS]; /* ids[0]: their number in the top byte */
};

struct long_slot {
    uint64_t hash; /* 0: empty */
    uint32_t offset;
    uint16_t n_bytes, n_ids;
};

typedef struct word_entry word_bucket[2];

/* Of short words, for the caches of several threads. */
struct shared_words;

struct word_cache {
    word_bucket *buckets;        /* its own, or shared ones */
    size_t mask;                 /* their number - 1 */
    struct shared_words *shared; /* whose buckets they are; NULL: its own. Borrowed */
    word_bucket *own;
    struct long_slot *slots;
    char *store; /* of long words: ids, then bytes */
    size_t n_store, n_slots_used;
};

/* False: out of memory. Memory that is never used is never touched. */
bool word_cache_open(struct word_cache *cache);
void word_cache_close(struct word_cache *cache);

/* NULL: out of memory. Memory that is never used is never touched. */
struct shared_words *shared_words_open(void);
void shared_words_close(struct shared_words *words); /* NULL is fine */
/* How many words there was no place for since it was opened or cleared; and to forget all, while nobody uses them. */
size_t shared_words_refused(struct shared_words *words);
void shared_words_clear(struct shared_words *words);

/* Short words are looked for in `words` and added to them; NULL: in the cache's own buckets again. */
void word_cache_share(struct word_cache *cache, struct shared_words *words);

/* The key of a word of 1 to 15 bytes; `readable`: 16 bytes from its start on may be read. */
static inline struct word_key word_key(const char *word, size_t n, bool readable) {
    struct word_key key = {0, 0};
    if (readable) {
#ifdef __SSE2__
        const __m128i places = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        __m128i bytes = _mm_and_si128(_mm_loadu_si128((const __m128i *)(const void *)word),
                                      _mm_cmplt_epi8(places, _mm_set1_epi8((char)n)));
        _mm_storeu_si128((__m128i *)(void *)&key, bytes);
#else
        memcpy(&key, word, sizeof key);
        if (n >= 8) {
            key.high &= ((uint64_t)1 << (n - 8) * 8) - 1;
        } else {
            key.low &= ((uint64_t)1 << n * 8) - 1;
            key.high = 0;
        }
#endif
    } else {
        memcpy(&key, word, n);
    }
    key.high |= (uint64_t)n << 56;
    return key;
}

static inline struct word_entry *word_cache_bucket(const struct word_cache *cache, struct word_key key) {
    uint64_t h = (key.low ^ (key.high * 0x9e3779b97f4a7c15u)) * 0xff51afd7ed558ccdu;
    return cache->buckets[(size_t)(h >> 40) & cache->mask];
}

/* `high` is what a thread writes last: who reads it (acquire) reads the rest of that entry. */
static inline bool word_entry_is(const struct word_entry *entry, struct word_key key) {
    return __atomic_load_n(&entry->key.high, __ATOMIC_ACQUIRE) == key.high && entry->key.low == key.low;
}

/* The entry of a short word, NULL when it is not there. What is found in the second place of a bucket, where new words
 * come in and go out again, moves to the first. */
static inline const struct word_entry *word_cache_find(const struct word_cache *cache, struct word_key key) {
    struct word_entry *entry = word_cache_bucket(cache, key);
    if (word_entry_is(&entry[0], key)) return &entry[0];
    if (!word_entry_is(&entry[1], key)) return NULL;
    if (cache->shared) return &entry[1];
    struct word_entry found = entry[1];
    entry[1] = entry[0];
    entry[0] = found;
    return &entry[0];
}

/* Copies the ids of an entry, WORD_CACHE_SHORT_IDS places, and returns how many count. */
static inline size_t word_entry_ids(const struct word_entry *entry, int32_t *ids) {
    memcpy(ids, entry->ids, sizeof entry->ids);
    ids[0] &= 0xffffff;
    return entry->ids[0] >> 24;
}

/* Keeps a short word of 1 to 4 ids. */
void word_cache_add(struct word_cache *cache, struct word_key key, const int32_t *ids, size_t n_ids);

/* Copies the ids of a longer word (16 to 256 bytes, or more than 4 ids) to ids; 0 when it is not there. */
size_t word_cache_find_long(const struct word_cache *cache, const char *word, size_t n, uint64_t hash, int32_t *ids);
void word_cache_add_long(struct word_cache *cache, const char *word, size_t n, uint64_t hash, const int32_t *ids,
                         size_t n_ids);

#endif
