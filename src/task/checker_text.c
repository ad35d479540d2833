/* checker_text.c - are the words of a text words, and does it repeat itself? See checker.h. */
#include <stdlib.h>
#include <string.h>

#include "data/chat_reader.h"
#include "task/checker.h"
#include "task/primer_words.h"

struct word_set {
    struct hash_set words;
    struct word_list scratch;
};

struct word_set *word_set_open(void) {
    return calloc(1, sizeof(struct word_set));
}

void word_set_close(struct word_set *vocabulary) {
    if (!vocabulary) return;
    hash_set_free(&vocabulary->words);
    word_list_free(&vocabulary->scratch);
    free(vocabulary);
}

bool word_set_add(struct word_set *vocabulary, const char *text, size_t n_bytes) {
    word_list_clear(&vocabulary->scratch);
    word_list_append(&vocabulary->scratch, text, n_bytes);
    for (size_t i = 0; i < vocabulary->scratch.n; i++) hash_set_add(&vocabulary->words, vocabulary->scratch.words[i]);
    return !vocabulary->scratch.failed && !vocabulary->words.failed;
}

static bool add_record(struct word_set *vocabulary, const struct chat_record *record) {
    if (!record->messages) return word_set_add(vocabulary, record->text, record->n_bytes);
    const json_t *message;
    size_t i;
    json_array_foreach(record->messages, i, message) {
        const json_t *content = json_object_get(message, "content");
        if (json_is_string(content) &&
            !word_set_add(vocabulary, json_string_value(content), json_string_length(content)))
            return false;
    }
    return true;
}

bool word_set_add_file(struct word_set *vocabulary, const char *path, const volatile sig_atomic_t *stop,
                       struct talc_error *err) {
    struct chat_reader *reader = chat_reader_open(path, stop, err);
    struct chat_record record;
    bool ok = reader != NULL;
    while (ok && (ok = chat_reader_next(reader, &record, err)) && record.where)
        if (!add_record(vocabulary, &record)) ok = talc_fail(err, "%s: out of memory for its words", path);
    chat_reader_close(reader);
    return ok;
}

bool text_quality_measure(const struct word_set *vocabulary, const char *text, size_t n_bytes, bool cut,
                          struct text_quality *out) {
    *out = (struct text_quality){0};
    while (cut && n_bytes > 0 && is_word_byte(text[n_bytes - 1])) n_bytes--;
    struct word_list words = {0};
    struct hash_set sequences = {0};
    word_list_append(&words, text, n_bytes);
    out->n_words = words.n;
    for (size_t i = 0; i < words.n; i++) out->n_known += hash_set_has(&vocabulary->words, words.words[i]);
    for (size_t i = 0; i + OVERLAP_WORDS <= words.n; i++)
        out->repeats |= !hash_set_add(&sequences, word_sequence_hash(words.words + i, OVERLAP_WORDS));
    bool ok = !words.failed && !sequences.failed;
    word_list_free(&words);
    hash_set_free(&sequences);
    return ok;
}
