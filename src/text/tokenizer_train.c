/* tokenizer_train.c - from texts to a tokenizer; see tokenizer_train.h. Texts are collected, cut into pieces at places
 * that do not change their words, and counted by all threads; merges are learnt in bpe_train.c. */
#include "text/tokenizer_train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/bpe_train.h"
#include "text/byte_level.h"
#include "text/tokenizer_parts.h"
#include "text/word_count.h"

#define PIECE_BYTES ((size_t)64 << 10)  /* one task of counting */
#define COLLECT_BYTES ((size_t)4 << 20) /* texts are counted when so much has come together, */
#define FIRST_BYTES ((size_t)1 << 20)   /* or as much as was counted before */
#define MAX_NOTES 64
#define N_CODEPOINTS 0x110000

struct piece {
    size_t offset, n_bytes; /* in `collected` */
};

/* How many different words there were in so much text. */
struct growth {
    double n_bytes, n_words, word_bytes;
};

struct tokenizer_trainer {
    struct tokenizer_train_options options;
    struct word_counts *counts; /* [n_workers]: one table a thread; their sum does not depend on who counted what */
    bool *failed;               /* [n_workers] out of memory */
    int n_workers;
    struct buffer collected;
    struct piece *pieces;
    size_t n_pieces, pieces_capacity;
    size_t n_counted;               /* bytes of text */
    struct growth notes[MAX_NOTES]; /* one each time that the text has doubled */
    int n_notes;
    bool *seen; /* [N_CODEPOINTS] for characters */
};

struct tokenizer_train_options tokenizer_train_defaults(bool characters) {
    static const char *const chat[] = {TOKEN_END_OF_TEXT, TOKEN_SYSTEM, TOKEN_USER, TOKEN_ASSISTANT, TOKEN_END};
    struct tokenizer_train_options options = {
        .characters = characters,
        .pretokenizer = PRETOKENIZER_QWEN2,
        .vocab_size = 8192,
        .special_tokens = chat,
        .n_special_tokens = characters ? 0 : sizeof chat / sizeof *chat,
    };
    return options;
}

static bool check_options(const struct tokenizer_train_options *o, struct talc_error *err) {
    if (!o->characters &&
        ((unsigned)o->pretokenizer >= PRETOKENIZER_COUNT || !pretokenizer_covers_text(o->pretokenizer)))
        return talc_fail(err, "a tokenizer is not trained on words that leave some of the text out");
    if (o->n_special_tokens > 65536) return talc_fail(err, "%zu special tokens are too many", o->n_special_tokens);
    for (size_t i = 0; i < o->n_special_tokens; i++) {
        const char *token = o->special_tokens[i];
        if (!*token) return talc_fail(err, "a special token is empty; give its text, as <|endoftext|>");
        if (token[utf8_valid_prefix(token, strlen(token))])
            return talc_fail(err, "special token %zu is not valid UTF-8 text", i + 1);
        for (size_t j = 0; j < i; j++)
            if (strcmp(token, o->special_tokens[j]) == 0)
                return talc_fail(err, "the special token \"%s\" is given twice", token);
    }
    int32_t least = 256 + (int32_t)o->n_special_tokens;
    if (!o->characters && (o->vocab_size < least || o->vocab_size > VOCABULARY_MAX_SIZE))
        return talc_fail(err,
                         "a vocabulary of %d tokens: it must have between %d (256 bytes and %zu special tokens) and %d",
                         (int)o->vocab_size, (int)least, o->n_special_tokens, VOCABULARY_MAX_SIZE);
    return true;
}

struct tokenizer_trainer *tokenizer_trainer_open(const struct tokenizer_train_options *options,
                                                 struct talc_error *err) {
    if (!check_options(options, err)) return NULL;
    struct tokenizer_trainer *t = calloc(1, sizeof *t);
    if (t) {
        t->options = *options;
        t->n_workers = options->pool ? thread_pool_size(options->pool) : 1;
        t->counts = calloc((size_t)t->n_workers, sizeof *t->counts);
        t->failed = calloc((size_t)t->n_workers, sizeof *t->failed);
        t->seen = options->characters ? calloc(N_CODEPOINTS, sizeof *t->seen) : NULL;
        if (t->counts && t->failed && (t->seen || !options->characters)) return t;
    }
    tokenizer_trainer_close(t);
    talc_fail(err, "out of memory for training a tokenizer");
    return NULL;
}

void tokenizer_trainer_close(struct tokenizer_trainer *t) {
    if (!t) return;
    for (int i = 0; t->counts && i < t->n_workers; i++) word_counts_free(&t->counts[i]);
    free(t->counts);
    free(t->failed);
    free(t->seen);
    free(t->pieces);
    buffer_free(&t->collected);
    free(t);
}

/* ==== counting ================================================================================ */

static void count_piece(void *context, int i, int worker) {
    struct tokenizer_trainer *t = context;
    const struct piece *piece = &t->pieces[i];
    if (!word_counts_add_text(&t->counts[worker], t->options.pretokenizer, t->collected.data + piece->offset,
                              piece->n_bytes))
        t->failed[worker] = true;
}

/* The words of all threads in the first table. */
static bool gather_counts(struct tokenizer_trainer *t, struct talc_error *err) {
    for (int i = 1; i < t->n_workers; i++) {
        if (!word_counts_merge(&t->counts[0], &t->counts[i]))
            return talc_fail(err, "out of memory while counting words");
        word_counts_free(&t->counts[i]);
    }
    return true;
}

static struct growth growth_now(const struct tokenizer_trainer *t) {
    const struct word_counts *all = &t->counts[0];
    return (struct growth){(double)t->n_counted, (double)all->n_words, (double)all->bytes.length};
}

static bool check_memory(const struct tokenizer_trainer *t, struct talc_error *err) {
    size_t n_bytes = 0;
    for (int i = 0; i < t->n_workers; i++) n_bytes += word_counts_memory(&t->counts[i]);
    return !t->options.max_memory || n_bytes <= t->options.max_memory ||
           talc_fail(err,
                     "the different words of this text take more than the %zu MiB of memory that are allowed; "
                     "give a part of the text",
                     t->options.max_memory >> 20);
}

static bool count_collected(struct tokenizer_trainer *t, struct talc_error *err) {
    if (t->options.pool && t->n_pieces)
        thread_pool_run(t->options.pool, (int)t->n_pieces, count_piece, t);
    else
        for (size_t i = 0; i < t->n_pieces; i++) count_piece(t, (int)i, 0);
    t->n_pieces = 0;
    t->n_counted += t->collected.length;
    buffer_clear(&t->collected);
    for (int i = 0; i < t->n_workers; i++)
        if (t->failed[i]) return talc_fail(err, "out of memory while counting words");
    if (!check_memory(t, err)) return false;
    bool doubled = t->n_notes == 0 || (double)t->n_counted >= 2 * t->notes[t->n_notes - 1].n_bytes;
    if (!doubled || t->n_notes == MAX_NOTES) return true;
    if (!gather_counts(t, err)) return false;
    t->notes[t->n_notes++] = growth_now(t);
    return true;
}

static bool is_time_to_count(const struct tokenizer_trainer *t) {
    size_t enough = t->n_counted > FIRST_BYTES ? t->n_counted : FIRST_BYTES;
    return t->collected.length >= (enough < COLLECT_BYTES ? enough : COLLECT_BYTES);
}

static bool collect_piece(struct tokenizer_trainer *t, const char *text, size_t n_bytes, struct talc_error *err) {
    if (t->n_pieces == t->pieces_capacity) {
        size_t capacity = t->pieces_capacity ? t->pieces_capacity * 2 : 256;
        struct piece *pieces = realloc(t->pieces, capacity * sizeof *pieces);
        if (!pieces) return talc_fail(err, "out of memory for text");
        t->pieces = pieces;
        t->pieces_capacity = capacity;
    }
    t->pieces[t->n_pieces++] = (struct piece){t->collected.length, n_bytes};
    buffer_append(&t->collected, text, n_bytes);
    if (!buffer_ok(&t->collected)) return talc_fail(err, "out of memory for %zu bytes of text", n_bytes);
    return !is_time_to_count(t) || count_collected(t, err);
}

static bool add_characters(struct tokenizer_trainer *t, const char *text, size_t n_bytes, struct talc_error *err) {
    for (size_t i = 0; i < n_bytes;) {
        int32_t codepoint;
        size_t length = (size_t)utf8_decode(text + i, n_bytes - i, &codepoint);
        if (codepoint < 0)
            return talc_fail(err,
                             "byte 0x%02x at %zu is not valid UTF-8: tokens of characters need text; use BPE for bytes",
                             (unsigned char)text[i], i);
        if (codepoint == 0)
            return talc_fail(err, "U+0000 at byte %zu: a tokenizer of characters cannot hold it; use BPE", i);
        t->seen[codepoint] = true;
        i += length;
    }
    return true;
}

bool tokenizer_trainer_add(struct tokenizer_trainer *t, const char *text, size_t n_bytes, struct talc_error *err) {
    if (t->options.characters) return add_characters(t, text, n_bytes, err);
    while (n_bytes > 0) {
        size_t length = pretokenize_safe_cut(text, n_bytes, PIECE_BYTES);
        if (!collect_piece(t, text, length, err)) return false;
        text += length;
        n_bytes -= length;
    }
    return true;
}

/* ==== what it takes =========================================================================== */

/* Measured on English, Chinese, C and 380 languages with vocabularies of 1,024 to 131,072: within a quarter of it. */
#define BASE_MEMORY 10e6         /* of a program with its buffers */
#define MEMORY_A_BYTE 21.0       /* of the words, for 1,024 tokens, */
#define MEMORY_A_DOUBLING 3.5    /* and so much more whenever their number doubles */
#define SECONDS_A_DOUBLING 42e-9 /* a byte of the words, from 256 tokens on (AMD Zen 3) */
#define TABLE_MEMORY_A_WORD 44.0 /* while words are counted, */
#define TABLE_MEMORY_A_BYTE 1.5  /* and a byte of them */

static double table_memory(double n_words, double word_bytes) {
    return TABLE_MEMORY_A_WORD * n_words + TABLE_MEMORY_A_BYTE * word_bytes;
}

/* `now` as it would be in a text of n_bytes, if words went on growing as they did since two notes ago. */
static struct growth growth_at(const struct tokenizer_trainer *t, struct growth now, double n_bytes) {
    const struct growth *before = &t->notes[t->n_notes > 2 ? t->n_notes - 3 : 0];
    double doublings = log2(now.n_bytes / before->n_bytes), further = log2(n_bytes / now.n_bytes);
    if (doublings <= 0) return now;
    double words = exp2(log2(now.n_words / before->n_words) / doublings * further);
    double bytes = exp2(log2(now.word_bytes / before->word_bytes) / doublings * further);
    return (struct growth){n_bytes, now.n_words * words, now.word_bytes * bytes};
}

bool tokenizer_trainer_estimate(struct tokenizer_trainer *t, double n_bytes, struct tokenizer_train_estimate *estimate,
                                struct talc_error *err) {
    *estimate = (struct tokenizer_train_estimate){0};
    if (t->options.characters) return true;
    struct growth end = t->n_notes ? t->notes[t->n_notes - 1] : (struct growth){0}, each = end;
    if (n_bytes <= (double)(t->n_counted + t->collected.length)) {
        if (!count_collected(t, err) || !gather_counts(t, err)) return false;
        end = growth_now(t);
    } else if (t->n_notes < 3) {
        return true;
    } else {
        end = growth_at(t, end, n_bytes);
        each = growth_at(t, end, n_bytes / (2 * t->n_workers)); /* of a thread, since the last note */
    }
    double tokens = fmax(t->options.vocab_size, 1024);
    double learning = end.word_bytes * (MEMORY_A_BYTE + MEMORY_A_DOUBLING * log2(tokens / 1024));
    double counting =
        table_memory(end.n_words, end.word_bytes) + (t->n_workers - 1) * table_memory(each.n_words, each.word_bytes);
    *estimate = (struct tokenizer_train_estimate){
        .n_words = end.n_words,
        .word_bytes = end.word_bytes,
        .memory_bytes = BASE_MEMORY + fmax(learning, counting),
        .learning_seconds = SECONDS_A_DOUBLING * end.word_bytes * log2(tokens / 256),
    };
    return true;
}

/* ==== the tokenizer =========================================================================== */

/* Bytes in the order of the characters that stand for them in tokenizer.json: the ids that GPT-2 has, too. */
static bool add_bytes(struct vocabulary *v, struct talc_error *err) {
    int32_t id = 0;
    for (int32_t character = 0; character < 512; character++) {
        int byte = byte_level_byte(character);
        if (byte >= 0 && !vocabulary_add(v, id++, &(char){(char)byte}, 1, TOKEN_TEXT, err)) return false;
    }
    return true;
}

static bool learn_bpe(struct tokenizer_trainer *t, struct tokenizer *tok, struct talc_error *err) {
    struct word_counts *all = &t->counts[0];
    struct bpe_train_options options = {
        .vocab_size = t->options.vocab_size - (int32_t)t->options.n_special_tokens,
        .min_count = t->options.min_count,
        .progress = t->options.progress,
        .progress_context = t->options.progress_context,
    };
    if (!count_collected(t, err) || !gather_counts(t, err)) return false;
    word_counts_sort(all);
    if (all->n_words == 0) return talc_fail(err, "there is no text to learn a tokenizer from");
    return tokenizer_use_pattern(tok, t->options.pretokenizer, err) && add_bytes(&tok->vocabulary, err) &&
           bpe_train(all, &options, &tok->vocabulary, &tok->bpe, err);
}

static bool list_characters(struct tokenizer_trainer *t, struct tokenizer *tok, struct talc_error *err) {
    int32_t id = 0;
    if (!tokenizer_use_characters(tok, err)) return false;
    for (int32_t codepoint = 0; codepoint < N_CODEPOINTS; codepoint++) {
        char bytes[4];
        if (!t->seen[codepoint]) continue;
        int n_bytes = utf8_encode(codepoint, bytes);
        if (!vocabulary_add(&tok->vocabulary, id++, bytes, (size_t)n_bytes, TOKEN_TEXT, err)) return false;
    }
    return id > 0 || talc_fail(err, "there is no text to learn a tokenizer from");
}

/* True when a file would hold both by one name: the special token and a token of the text, as files write that one. */
static bool is_written_as(const struct tokenizer *tok, const char *special) {
    struct buffer bytes = {0};
    size_t n = strlen(special);
    bool found = vocabulary_find(&tok->vocabulary, special, n) >= 0;
    if (tok->type == TOKENIZER_BYTE_BPE && byte_level_bytes(special, n, &bytes))
        found = found || vocabulary_find(&tok->vocabulary, bytes.data, bytes.length) >= 0;
    buffer_free(&bytes);
    return found;
}

static bool add_specials(const struct tokenizer_train_options *options, struct tokenizer *tok, struct talc_error *err) {
    for (size_t i = 0; i < options->n_special_tokens; i++) {
        const char *token = options->special_tokens[i];
        if (is_written_as(tok, token))
            return talc_fail(
                err,
                "the special token \"%s\" is a token of the text too, as files write it; choose one that is "
                "in no text, as <|%s|>",
                token, token);
        if (!tokenizer_add_special(tok, token, tok->vocabulary.size, err)) return false;
    }
    return true;
}

struct tokenizer *tokenizer_trainer_finish(struct tokenizer_trainer *t, struct talc_error *err) {
    struct tokenizer *tok = tokenizer_new(err);
    if (!tok) return NULL;
    bool ok = (t->options.characters ? list_characters(t, tok, err) : learn_bpe(t, tok, err)) &&
              add_specials(&t->options, tok, err) && tokenizer_finish(tok, err);
    if (!ok) {
        tokenizer_free(tok);
        return NULL;
    }
    tokenizer_choose_roles(tok);
    tok->pad_id = tokenizer_special_id(tok, TOKEN_END_OF_TEXT);
    return tok;
}
