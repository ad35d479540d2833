/* word_cache.c - see word_cache.h. */
#include "text/word_cache.h"

#include <stdlib.h>

#include "text/pages.h"

#define OWN_BYTES (WORD_CACHE_BUCKETS * sizeof(word_bucket))
#define BEING_WRITTEN 1 /* no word's key.high: its last byte, the length, is 0 */

struct shared_words {
    word_bucket buckets[SHARED_WORDS_BUCKETS];
    size_t n_refused; /* atomic */
};

bool word_cache_open(struct word_cache *cache) {
    *cache = (struct word_cache){0};
    cache->own = pages_new(OWN_BYTES);
    cache->slots = calloc(WORD_CACHE_LONG_SLOTS, sizeof *cache->slots);
    cache->store = malloc(WORD_CACHE_STORE_BYTES);
    if (!cache->own || !cache->slots || !cache->store) {
        word_cache_close(cache);
        return false;
    }
    word_cache_share(cache, NULL);
    return true;
}

void word_cache_close(struct word_cache *cache) {
    pages_free(cache->own, OWN_BYTES);
    free(cache->slots);
    free(cache->store);
    *cache = (struct word_cache){0};
}

struct shared_words *shared_words_open(void) {
    return pages_new(sizeof(struct shared_words));
}

void shared_words_close(struct shared_words *words) { pages_free(words, sizeof *words); }

size_t shared_words_refused(struct shared_words *words) { return __atomic_load_n(&words->n_refused, __ATOMIC_RELAXED); }

void shared_words_clear(struct shared_words *words) { memset(words, 0, sizeof *words); }

void word_cache_share(struct word_cache *cache, struct shared_words *words) {
    cache->buckets = words ? words->buckets : cache->own;
    cache->mask = (words ? SHARED_WORDS_BUCKETS : WORD_CACHE_BUCKETS) - 1;
    cache->shared = words;
}

static bool take_place(struct word_entry *entry) {
    uint64_t empty = 0;
    return __atomic_load_n(&entry->key.high, __ATOMIC_RELAXED) == 0 &&
           __atomic_compare_exchange_n(&entry->key.high, &empty, BEING_WRITTEN, false, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED);
}

/* Where a new word of a bucket goes, NULL when there is no place. Two threads that add the same word at once take a
 * place each: no harm. */
static struct word_entry *place_for_new(const struct word_cache *cache, struct word_entry *bucket) {
    if (!cache->shared || take_place(&bucket[1])) return &bucket[1];
    return take_place(&bucket[0]) ? &bucket[0] : NULL;
}

void word_cache_add(struct word_cache *cache, struct word_key key, const int32_t *ids, size_t n_ids) {
    struct word_entry *entry = place_for_new(cache, word_cache_bucket(cache, key));
    if (!entry) {
        __atomic_fetch_add(&cache->shared->n_refused, 1, __ATOMIC_RELAXED);
        return;
    }
    entry->key.low = key.low;
    for (size_t i = 0; i < WORD_CACHE_SHORT_IDS; i++) entry->ids[i] = i < n_ids ? (uint32_t)ids[i] : 0;
    entry->ids[0] |= (uint32_t)n_ids << 24;
    __atomic_store_n(&entry->key.high, key.high, __ATOMIC_RELEASE);
}

size_t word_cache_find_long(const struct word_cache *cache, const char *word, size_t n, uint64_t hash, int32_t *ids) {
    for (size_t i = hash % WORD_CACHE_LONG_SLOTS; cache->slots[i].hash; i = (i + 1) % WORD_CACHE_LONG_SLOTS) {
        const struct long_slot *slot = &cache->slots[i];
        const char *kept = cache->store + slot->offset;
        size_t id_bytes = slot->n_ids * sizeof *ids;
        if (slot->hash != hash || slot->n_bytes != n || memcmp(kept + id_bytes, word, n) != 0) continue;
        memcpy(ids, kept, id_bytes);
        return slot->n_ids;
    }
    return 0;
}

void word_cache_add_long(struct word_cache *cache, const char *word, size_t n, uint64_t hash, const int32_t *ids,
                         size_t n_ids) {
    size_t id_bytes = n_ids * sizeof *ids;
    if (cache->n_store + id_bytes + n > WORD_CACHE_STORE_BYTES || cache->n_slots_used * 2 >= WORD_CACHE_LONG_SLOTS) {
        memset(cache->slots, 0, WORD_CACHE_LONG_SLOTS * sizeof *cache->slots);
        cache->n_store = cache->n_slots_used = 0;
    }
    size_t i = hash % WORD_CACHE_LONG_SLOTS;
    while (cache->slots[i].hash) i = (i + 1) % WORD_CACHE_LONG_SLOTS;
    cache->slots[i] = (struct long_slot){hash, (uint32_t)cache->n_store, (uint16_t)n, (uint16_t)n_ids};
    cache->n_slots_used++;
    memcpy(cache->store + cache->n_store, ids, id_bytes);
    memcpy(cache->store + cache->n_store + id_bytes, word, n);
    cache->n_store += id_bytes + n;
}
