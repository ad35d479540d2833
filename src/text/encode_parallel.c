/* encode_parallel.c - several threads encode one text: it is cut into chunks where that changes no token. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/thread_pool.h"
#include "text/encoder.h"
#include "text/pages.h"

#define CHUNK_BYTES ((size_t)128 << 10) /* of text, for one task */
#define ROUND_BYTES ((size_t)8 << 20)   /* of text, for each thread between two times that they wait for each other */
#define NO_CHUNK SIZE_MAX

struct chunk {
    size_t begin, end;
    int32_t id;          /* an added token, not text; -1: text */
    bool done;           /* encoded, and not yet copied: */
    size_t first, count; /* its ids are ids[first..first + count) of its worker */
    size_t place;        /* where they go */
    size_t next;         /* the worker's next chunk that is not copied, NO_CHUNK: none */
};

struct worker {
    struct encoder *encoder;
    struct token_list ids; /* of its chunks that are not copied */
    size_t oldest, newest; /* of these */
};

/* Each worker encodes chunk after chunk, in the order of the text. As soon as all chunks before one are encoded, where
 * its ids go is known, and they are copied there: lists stay so short that they never leave the worker's own cache. */
struct parallel {
    const struct tokenizer *tok;
    const char *text;
    struct chunk *chunks;
    size_t n_chunks, capacity;
    size_t round;        /* the first chunk of those at work */
    _Atomic size_t next; /* that nobody works on yet */
    struct worker *workers;
    int n_workers;
    struct shared_words *words; /* NULL without a cache, or memory for it */
    struct token_list *out;     /* with room for a round */
    pthread_mutex_t lock;       /* for the following, and `done` and `place` of chunks */
    size_t n_placed;            /* chunks whose place is known: all before this one */
    size_t n_ids;               /* theirs, with what was in `out` before */
    bool failed;
};

static bool add_chunk(struct parallel *p, size_t begin, size_t end, int32_t id) {
    if (p->n_chunks == p->capacity) {
        size_t capacity = p->capacity ? p->capacity * 2 : 64;
        struct chunk *chunks = checked_realloc(p->chunks, capacity, sizeof *chunks);
        if (!chunks) return false;
        p->chunks = chunks;
        p->capacity = capacity;
    }
    p->chunks[p->n_chunks++] = (struct chunk){.begin = begin, .end = end, .id = id};
    return true;
}

static bool add_text_chunks(struct parallel *p, size_t begin, size_t end) {
    while (begin < end) {
        size_t cut = begin + pretokenize_safe_cut(p->text + begin, end - begin, CHUNK_BYTES);
        if (!add_chunk(p, begin, cut, -1)) return false;
        begin = cut;
    }
    return true;
}

static bool encode_chunk(struct parallel *p, const struct chunk *chunk, struct worker *w) {
    if (chunk->id >= 0) return token_list_append(&w->ids, chunk->id);
    struct segment segment = {
        .text = p->text + chunk->begin, .n_bytes = chunk->end - chunk->begin, .at_start = chunk->begin == 0};
    return encoder_encode_segment(w->encoder, p->tok, &segment, &w->ids, NULL);
}

/* Gives places to all chunks that can have one; how many have one then. */
static size_t place_chunks(struct parallel *p, struct chunk *encoded, bool ok) {
    pthread_mutex_lock(&p->lock);
    encoded->done = true;
    p->failed = p->failed || !ok;
    for (; p->n_placed < p->n_chunks && p->chunks[p->n_placed].done && !p->failed; p->n_placed++) {
        struct chunk *chunk = &p->chunks[p->n_placed];
        chunk->place = p->n_ids;
        p->failed = chunk->count > p->out->capacity - p->n_ids;
        if (!p->failed) p->n_ids += chunk->count;
    }
    size_t n_placed = p->failed ? 0 : p->n_placed;
    pthread_mutex_unlock(&p->lock);
    return n_placed;
}

static void gather_placed(struct parallel *p, struct worker *w, size_t n_placed) {
    while (w->oldest != NO_CHUNK && w->oldest < n_placed) {
        const struct chunk *chunk = &p->chunks[w->oldest];
        size_t n_bytes = chunk->count * sizeof *w->ids.ids;
        if (n_bytes > 0) {
            pages_touch(p->out->ids + chunk->place, n_bytes);
            memcpy(p->out->ids + chunk->place, w->ids.ids + chunk->first, n_bytes);
        }
        w->oldest = chunk->next;
    }
    if (w->oldest == NO_CHUNK) token_list_clear(&w->ids);
}

/* The next chunk of the text, whichever task it is: a pool's thread begins with tasks side by side, whose ids would
 * have no place before all that come before them are encoded. */
static void work_on_chunk(void *context, int task, int worker) {
    (void)task;
    struct parallel *p = context;
    struct worker *w = &p->workers[worker];
    size_t at = atomic_fetch_add(&p->next, 1);
    struct chunk *chunk = &p->chunks[at];
    chunk->first = w->ids.count;
    bool ok = encode_chunk(p, chunk, w);
    chunk->count = w->ids.count - chunk->first;
    chunk->next = NO_CHUNK;
    if (w->oldest == NO_CHUNK)
        w->oldest = at;
    else
        p->chunks[w->newest].next = at;
    w->newest = at;
    gather_placed(p, w, place_chunks(p, chunk, ok));
}

/* True when cutting at a letter before white space changes nothing. */
static bool may_cut(const struct tokenizer *tok) {
    bool nfc_only = tok->normalizer.n_steps == 0 ||
                    (tok->normalizer.n_steps == 1 && tok->normalizer.steps[0].kind == NORMALIZER_NFC);
    return tok->type == TOKENIZER_BYTE_BPE && nfc_only && tok->added.n_raw == tok->added.n_tokens &&
           tok->prefix_space == PREFIX_NONE && split_cuts_anywhere(&tok->split);
}

/* NULL: each has its own. */
static void share_words(struct parallel *p, struct shared_words *words) {
    for (int i = 0; i < p->n_workers; i++) word_cache_share(&p->workers[i].encoder->cache, words);
}

/* How many chunks are of the round that begins. */
static size_t round_length(const struct parallel *p) {
    size_t begin = p->chunks[p->round].begin, n_bytes = ROUND_BYTES * (size_t)p->n_workers, n = 1;
    while (p->round + n < p->n_chunks && p->chunks[p->round + n].end - begin <= n_bytes) n++;
    return n;
}

/* No byte of text has more than one id, unless a normalizer makes text longer: more than fits is a failure. */
static bool encode_round(struct parallel *p, struct thread_pool *pool) {
    size_t n = round_length(p), n_bytes = p->chunks[p->round + n - 1].end - p->chunks[p->round].begin;
    if (!token_list_reserve(p->out, n_bytes)) return false;
    /* Once as many words were refused as there are places, those that lie there are of another text. */
    if (p->words && shared_words_refused(p->words) >= SHARED_WORDS_PLACES) shared_words_clear(p->words);
    p->n_ids = p->out->count;
    atomic_store(&p->next, p->round);
    thread_pool_run(pool, (int)n, work_on_chunk, p);
    if (p->failed) return false;
    for (int i = 0; i < p->n_workers; i++) gather_placed(p, &p->workers[i], p->n_placed);
    p->out->count = p->n_ids;
    p->round += n;
    return true;
}

static bool workers_open(struct parallel *p, int n) {
    struct tokenizer *tok = (struct tokenizer *)p->tok;
    p->workers = calloc((size_t)n, sizeof *p->workers);
    if (!p->workers) return false;
    for (; p->n_workers < n; p->n_workers++) {
        struct encoder *encoder = encoder_take(tok, NULL);
        if (!encoder) return false;
        p->workers[p->n_workers] = (struct worker){.encoder = encoder, .oldest = NO_CHUNK};
    }
    p->words = atomic_exchange(&tok->idle_words, NULL);
    if (!p->words && !tok->no_cache) p->words = shared_words_open();
    share_words(p, p->words);
    return true;
}

static void workers_close(struct parallel *p) {
    share_words(p, NULL);
    for (int i = 0; i < p->n_workers; i++) {
        encoder_give(p->tok, p->workers[i].encoder);
        token_list_free(&p->workers[i].ids);
    }
    free(p->workers);
    shared_words_close(atomic_exchange(&((struct tokenizer *)p->tok)->idle_words, p->words));
}

bool tokenizer_encode_parallel(const struct tokenizer *tok, struct thread_pool *pool, const char *text, size_t n_bytes,
                               bool parse_special, struct token_list *out, struct talc_error *err) {
    if (!pool || n_bytes < 2 * CHUNK_BYTES || !may_cut(tok))
        return tokenizer_encode(tok, text, n_bytes, parse_special, out, err);
    struct parallel p = {.tok = tok, .text = text, .out = out, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct special_places places = special_places_all(parse_special);
    struct added_match match;
    size_t at = 0, before = out->count;
    bool ok = workers_open(&p, thread_pool_size(pool));
    while (ok && added_list_find(&tok->added, false, text, n_bytes, at, &places, &match)) {
        ok = add_text_chunks(&p, at, match.begin) && add_chunk(&p, match.begin, match.end, match.token->id);
        at = match.end;
    }
    ok = ok && add_text_chunks(&p, at, n_bytes);
    while (ok && p.round < p.n_chunks) ok = encode_round(&p, pool);
    if (!ok) out->count = before;
    workers_close(&p);
    free(p.chunks);
    pthread_mutex_destroy(&p.lock);
    /* alone: where a normal form gives more ids than there was room for, and for the message */
    return ok || tokenizer_encode(tok, text, n_bytes, parse_special, out, err);
}
