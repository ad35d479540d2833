/* bpe_train.c - see bpe_train.h.
 *
 * Words are kept as lists of token ids, each distinct word once with its count. Every pair has a count, and every
 * candidate of the heap has a pair, the count it had when it was pushed, and the words where it came up. A merge visits
 * only those words and corrects the counts of the pairs beside it; a candidate that comes to the top with an old count
 * goes back with the new one.
 *
 * A merge can make a token that is there already ("abc" from "a" + "bc" after "ab" + "c"). Then a pair that is known
 * gets new places: they are a candidate of their own, under the pair's whole count. A merge leaves the count of its own
 * pair alone. Both are as Hugging Face's trainer has it, and decide ties in its vocabularies. */
#include "text/bpe_train.h"

#include <stdlib.h>
#include <string.h>

#include "text/hash.h"

#define MERGES_PER_PROGRESS 64

struct train_word {
    size_t start;    /* in `symbols` */
    uint32_t length; /* in tokens; shrinks */
    int64_t count;
};

struct pair_slot {
    int32_t left, right; /* left -1: empty */
    int64_t count;
    int32_t pending; /* index in `pending` while a merge is under way, else -1 */
};

/* Words where a pair came up. */
struct places {
    uint32_t *words;
    uint32_t count, capacity;
};

struct candidate {
    int64_t count;
    int32_t left, right;
    struct places places;
};

struct learner {
    int32_t *symbols;
    struct train_word *words;
    size_t n_words;
    struct pair_slot *pairs; /* hash table; n_slots is a power of two */
    size_t n_pairs, n_slots;
    struct candidate *heap; /* best first */
    size_t n_heap, heap_capacity;
    struct candidate *pending; /* pairs that came up in the merge under way; their counts are filled in at its end */
    size_t n_pending, pending_capacity;
};

static void learner_free(struct learner *l) {
    for (size_t i = 0; i < l->n_heap; i++) free(l->heap[i].places.words);
    for (size_t i = 0; i < l->n_pending; i++) free(l->pending[i].places.words);
    free(l->symbols);
    free(l->words);
    free(l->pairs);
    free(l->heap);
    free(l->pending);
}

/* Room for one more element of `size` bytes in an array of `count`. */
static bool array_reserve(void *array_pointer, size_t count, size_t *capacity, size_t size) {
    void **array = array_pointer;
    if (count < *capacity) return true;
    size_t grown = *capacity ? *capacity * 2 : 1024;
    void *memory = realloc(*array, grown * size);
    if (!memory) return false;
    *array = memory;
    *capacity = grown;
    return true;
}

/* ==== the heap of candidates ================================================================== */

static bool is_better(const struct candidate *a, const struct candidate *b) {
    if (a->count != b->count) return a->count > b->count;
    return a->left != b->left ? a->left < b->left : a->right < b->right;
}

static void sift_down(struct learner *l, size_t i) {
    struct candidate moving = l->heap[i];
    for (size_t child; (child = 2 * i + 1) < l->n_heap; i = child) {
        if (child + 1 < l->n_heap && is_better(&l->heap[child + 1], &l->heap[child])) child++;
        if (!is_better(&l->heap[child], &moving)) break;
        l->heap[i] = l->heap[child];
    }
    l->heap[i] = moving;
}

static bool heap_push(struct learner *l, struct candidate candidate) {
    if (!array_reserve(&l->heap, l->n_heap, &l->heap_capacity, sizeof *l->heap)) return false;
    size_t i = l->n_heap++;
    for (; i > 0 && is_better(&candidate, &l->heap[(i - 1) / 2]); i = (i - 1) / 2) l->heap[i] = l->heap[(i - 1) / 2];
    l->heap[i] = candidate;
    return true;
}

static struct candidate heap_pop(struct learner *l) {
    struct candidate top = l->heap[0];
    l->heap[0] = l->heap[--l->n_heap];
    if (l->n_heap) sift_down(l, 0);
    return top;
}

/* ==== counts of pairs ========================================================================= */

static size_t find_slot(const struct learner *l, int32_t left, int32_t right) {
    size_t mask = l->n_slots - 1;
    size_t i = hash_u64((uint64_t)(uint32_t)left << 32 | (uint32_t)right) & mask;
    while (l->pairs[i].left >= 0 && (l->pairs[i].left != left || l->pairs[i].right != right)) i = (i + 1) & mask;
    return i;
}

static bool pairs_reserve(struct learner *l) {
    if (l->n_pairs * 4 < l->n_slots * 3) return true; /* at most three quarters are full */
    size_t n_old = l->n_slots;
    struct pair_slot *old = l->pairs, *pairs = malloc((n_old ? n_old * 2 : 8192) * sizeof *pairs);
    if (!pairs) return false;
    l->n_slots = n_old ? n_old * 2 : 8192;
    l->pairs = pairs;
    for (size_t i = 0; i < l->n_slots; i++) pairs[i].left = -1;
    for (size_t i = 0; i < n_old; i++)
        if (old[i].left >= 0) pairs[find_slot(l, old[i].left, old[i].right)] = old[i];
    free(old);
    return true;
}

/* Notes that the pair of `slot` came up in `word`; words come in order, so that one look at the last is enough. */
static bool note_place(struct learner *l, struct pair_slot *slot, uint32_t word) {
    if (slot->pending < 0) {
        if (!array_reserve(&l->pending, l->n_pending, &l->pending_capacity, sizeof *l->pending)) return false;
        slot->pending = (int32_t)l->n_pending;
        l->pending[l->n_pending++] = (struct candidate){0, slot->left, slot->right, {0}};
    }
    struct places *places = &l->pending[slot->pending].places;
    if (places->count && places->words[places->count - 1] == word) return true;
    if (places->count == places->capacity) {
        uint32_t capacity = places->capacity ? places->capacity * 2 : 4;
        uint32_t *words = realloc(places->words, capacity * sizeof *words);
        if (!words) return false;
        places->words = words;
        places->capacity = capacity;
    }
    places->words[places->count++] = word;
    return true;
}

/* A pair occurs `change` times more (or fewer) in `word`. */
static bool change_count(struct learner *l, int32_t left, int32_t right, int change, uint32_t word) {
    if (!pairs_reserve(l)) return false;
    struct pair_slot *slot = &l->pairs[find_slot(l, left, right)];
    if (slot->left < 0) {
        *slot = (struct pair_slot){left, right, 0, -1};
        l->n_pairs++;
    }
    slot->count += change * l->words[word].count;
    return change < 0 || note_place(l, slot, word);
}

/* What came up becomes candidates. */
static bool push_pending(struct learner *l) {
    while (l->n_pending) {
        struct candidate candidate = l->pending[l->n_pending - 1];
        struct pair_slot *slot = &l->pairs[find_slot(l, candidate.left, candidate.right)];
        slot->pending = -1;
        candidate.count = slot->count;
        if (candidate.count <= 0)
            free(candidate.places.words);
        else if (!heap_push(l, candidate))
            return false;
        l->n_pending--;
    }
    return true;
}

/* ==== words =================================================================================== */

static bool load_words(struct learner *l, const struct word_counts *counts, const struct vocabulary *v,
                       struct talc_error *err) {
    size_t n_symbols = 0;
    int32_t byte_ids[256];
    for (int byte = 0; byte < 256; byte++) byte_ids[byte] = vocabulary_find(v, &(char){(char)byte}, 1);
    l->symbols = malloc((counts->bytes.length + 1) * sizeof *l->symbols);
    l->words = malloc((counts->n_words + 1) * sizeof *l->words);
    if (!l->symbols || !l->words) return talc_fail(err, "out of memory for %zu words", counts->n_words);
    for (size_t i = 0; i < counts->n_words; i++) {
        const struct counted_word *word = &counts->words[i];
        if (word->n_bytes > BPE_TRAIN_MAX_WORD_BYTES)
            return talc_fail(
                err, "the text has %u bytes without a place to cut a word; at most %zu are supported: is it text?",
                word->n_bytes, BPE_TRAIN_MAX_WORD_BYTES);
        l->words[l->n_words++] = (struct train_word){n_symbols, word->n_bytes, word->count};
        for (uint32_t j = 0; j < word->n_bytes; j++)
            l->symbols[n_symbols++] = byte_ids[(unsigned char)counts->bytes.data[word->offset + j]];
    }
    return true;
}

static bool count_all_pairs(struct learner *l) {
    for (size_t i = 0; i < l->n_words; i++) {
        const int32_t *symbols = l->symbols + l->words[i].start;
        for (uint32_t j = 0; j + 1 < l->words[i].length; j++)
            if (!change_count(l, symbols[j], symbols[j + 1], 1, (uint32_t)i)) return false;
    }
    return push_pending(l);
}

/* Merges (left, right) into `result` in one word, from the left. Its new form is written over the old one. */
static bool merge_in_word(struct learner *l, uint32_t index, int32_t left, int32_t right, int32_t result) {
    struct train_word *word = &l->words[index];
    int32_t *symbols = l->symbols + word->start;
    uint32_t n = word->length, kept = 0;
    bool ok = true;
    for (uint32_t i = 0; i < n; kept++) {
        if (symbols[i] != left || i + 1 >= n || symbols[i + 1] != right) {
            symbols[kept] = symbols[i++];
            continue;
        }
        if (kept > 0)
            ok = ok && change_count(l, symbols[kept - 1], left, -1, index) &&
                 change_count(l, symbols[kept - 1], result, 1, index);
        if (i + 2 < n)
            ok = ok && change_count(l, right, symbols[i + 2], -1, index) &&
                 change_count(l, result, symbols[i + 2], 1, index);
        symbols[kept] = result;
        i += 2;
    }
    word->length = kept;
    return ok;
}

/* ==== merges ================================================================================== */

/* The id of the token that left and right make: a new one, or the one that has the same bytes. */
static bool result_token(struct vocabulary *v, int32_t left, int32_t right, int32_t *id, struct talc_error *err) {
    const struct vocabulary_token *a = vocabulary_token(v, left), *b = vocabulary_token(v, right);
    struct buffer bytes = {0};
    buffer_append(&bytes, vocabulary_bytes(v, a), a->n_bytes);
    buffer_append(&bytes, vocabulary_bytes(v, b), b->n_bytes);
    bool ok = buffer_ok(&bytes) || talc_fail(err, "out of memory for the vocabulary");
    *id = ok ? vocabulary_find(v, bytes.data, bytes.length) : -1;
    if (ok && *id < 0) {
        *id = v->size;
        ok = vocabulary_add(v, *id, bytes.data, bytes.length, TOKEN_TEXT, err);
    }
    buffer_free(&bytes);
    return ok;
}

static bool merge_candidate(struct learner *l, const struct candidate *best, struct vocabulary *v, struct bpe *bpe,
                            struct talc_error *err) {
    int32_t result;
    if (!result_token(v, best->left, best->right, &result, err)) return false;
    bool ok = bpe_add_merge(bpe, (struct bpe_merge){best->left, best->right, result, (uint32_t)bpe->n_merges});
    for (uint32_t i = 0; ok && i < best->places.count; i++)
        ok = merge_in_word(l, best->places.words[i], best->left, best->right, result);
    ok = ok && push_pending(l);
    return ok || talc_fail(err, "out of memory while merging");
}

static bool learn(struct learner *l, const struct bpe_train_options *options, struct vocabulary *v, struct bpe *bpe,
                  struct talc_error *err) {
    while (v->n_tokens < options->vocab_size && l->n_heap) {
        struct candidate best = heap_pop(l);
        int64_t count = l->pairs[find_slot(l, best.left, best.right)].count;
        bool current = count == best.count, last = current && (count < 1 || count < options->min_count);
        bool ok = true;
        if (!current) { /* heap_pop left room for it */
            best.count = count;
            heap_push(l, best);
            continue;
        }
        if (!last) ok = merge_candidate(l, &best, v, bpe, err);
        free(best.places.words);
        if (last || !ok) return ok;
        if (options->progress && bpe->n_merges % MERGES_PER_PROGRESS == 0 &&
            !options->progress(options->progress_context, v->n_tokens, options->vocab_size))
            return talc_fail(err, "training the tokenizer was stopped");
    }
    return true;
}

bool bpe_train(struct word_counts *words, const struct bpe_train_options *options, struct vocabulary *v,
               struct bpe *bpe, struct talc_error *err) {
    struct learner l = {0};
    bool ok = load_words(&l, words, v, err);
    word_counts_free(words);
    ok = ok && (count_all_pairs(&l) || talc_fail(err, "out of memory for pairs")) && learn(&l, options, v, bpe, err);
    learner_free(&l);
    return ok;
}
