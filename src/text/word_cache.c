/* word_cache.c - see word_cache.h. */
#include "text/word_cache.h"

#include <stdlib.h>

#include "text/pages.h"

#define BUCKET_BYTES (WORD_CACHE_BUCKETS * sizeof(struct word_entry[2]))

bool word_cache_open(struct word_cache *cache) {
    *cache = (struct word_cache){0};
    cache->buckets = pages_new(BUCKET_BYTES);
    cache->slots = calloc(WORD_CACHE_LONG_SLOTS, sizeof *cache->slots);
    cache->store = malloc(WORD_CACHE_STORE_BYTES);
    if (!cache->buckets || !cache->slots || !cache->store) {
        word_cache_close(cache);
        return false;
    }
    return true;
}

void word_cache_close(struct word_cache *cache) {
    pages_free(cache->buckets, BUCKET_BYTES);
    free(cache->slots);
    free(cache->store);
    *cache = (struct word_cache){0};
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
