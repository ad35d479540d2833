/* checker_baseline.c - the nearest training prompt's answer; see checker_baseline.h. */
#include "task/checker_baseline.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/checked.h"
#include "data/chat_reader.h"
#include "task/bm25.h"

struct baseline {
    struct bm25 *index;
    struct buffer answers; /* each ends with NUL */
    size_t *offsets;       /* of answer i */
    size_t n, capacity;
    struct buffer prompt;
};

static bool out_of_memory(struct talc_error *err) { return talc_fail(err, "out of memory for training prompts"); }

static bool keep_answer(struct baseline *b, const char *prompt, size_t n_prompt, const char *answer,
                        struct talc_error *err) {
    if (b->n == b->capacity) {
        size_t capacity = b->capacity ? 2 * b->capacity : 1024;
        size_t *offsets = checked_realloc(b->offsets, capacity, sizeof *offsets);
        if (!offsets) return out_of_memory(err);
        b->offsets = offsets;
        b->capacity = capacity;
    }
    b->offsets[b->n] = b->answers.length;
    buffer_append(&b->answers, answer, strlen(answer) + 1);
    if (!buffer_ok(&b->answers)) return out_of_memory(err);
    if (!bm25_add(b->index, prompt, n_prompt, err)) return false;
    b->n++;
    return true;
}

static bool add_dialog(struct baseline *b, const json_t *messages, struct talc_error *err) {
    const json_t *message;
    size_t i, last = 0;
    buffer_clear(&b->prompt);
    json_array_foreach(messages, i, message) {
        const char *role = json_string_value(json_object_get(message, "role"));
        const char *content = json_string_value(json_object_get(message, "content"));
        if (!role || !content) continue;
        bool answer = strcmp(role, "assistant") == 0 && i > 0;
        if (answer && !keep_answer(b, b->prompt.data, b->prompt.length, content, err)) return false;
        /* A question that came later in a conversation counts alone too. */
        if (answer && i > 1 && !keep_answer(b, b->prompt.data + last, b->prompt.length - last, content, err))
            return false;
        last = b->prompt.length;
        buffer_append_text(&b->prompt, content);
        buffer_append_char(&b->prompt, '\n');
        if (!buffer_ok(&b->prompt)) return out_of_memory(err);
    }
    return true;
}

struct baseline *baseline_open(const char *path, const volatile sig_atomic_t *stop, struct talc_error *err) {
    struct baseline *b = calloc(1, sizeof *b);
    if (!b) {
        out_of_memory(err);
        return NULL;
    }
    struct chat_reader *reader = chat_reader_open(path, stop, err);
    struct chat_record record;
    bool ok = reader && (b->index = bm25_open(err)) != NULL;
    while (ok && (ok = chat_reader_next(reader, &record, err)) && record.where)
        if (record.messages) ok = add_dialog(b, record.messages, err);
    chat_reader_close(reader);
    if (ok && bm25_build(b->index, err)) return b;
    baseline_close(b);
    return NULL;
}

void baseline_close(struct baseline *b) {
    if (!b) return;
    bm25_close(b->index);
    buffer_free(&b->answers);
    buffer_free(&b->prompt);
    free(b->offsets);
    free(b);
}

const char *baseline_answer(struct baseline *b, const json_t *messages, struct talc_error *err) {
    const json_t *message;
    size_t i;
    buffer_clear(&b->prompt);
    json_array_foreach(messages, i, message) {
        const char *content = json_string_value(json_object_get(message, "content"));
        buffer_append_text(&b->prompt, content ? content : "");
        buffer_append_char(&b->prompt, '\n');
    }
    if (!buffer_ok(&b->prompt)) {
        out_of_memory(err);
        return NULL;
    }
    int64_t best;
    if (!bm25_best(b->index, b->prompt.data ? b->prompt.data : "", b->prompt.length, &best, NULL, err)) return NULL;
    return best < 0 ? "" : b->answers.data + b->offsets[best];
}
