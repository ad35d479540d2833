/* tokenizer_case.c - see tokenizer_case.h. */
#include "tokenizer_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/atomic.h"

static char folder[64];

int case_folder_make(void **state) {
    (void)state;
    strcpy(folder, "/tmp/talc-tokenizer-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

int case_folder_remove(void **state) {
    (void)state;
    return folder_remove(folder, NULL) ? 0 : -1;
}

const char *case_folder(void) { return folder; }

const char *put_file(const char *name, const char *data, size_t n) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_true(atomic_write_file(path, data, n, NULL));
    return path;
}

struct tokenizer *load_tokenizer(const char *path) {
    struct talc_error err = {0};
    struct tokenizer *tok = tokenizer_load(path, &err);
    if (!tok) fail_msg("%s", err.message);
    return tok;
}

void expect_load_failure(const char *path, const char *what) {
    struct talc_error err = {0};
    struct tokenizer *tok = tokenizer_load(path, &err);
    if (tok) fail_msg("loaded, though it should say \"%s\"", what);
    if (!strstr(err.message, what)) fail_msg("\"%s\" does not say \"%s\"", err.message, what);
}

void assert_ids(const struct tokenizer *tok, const char *text, const int32_t *expected, size_t n) {
    struct token_list ids = {0};
    struct talc_error err = {0};
    if (!tokenizer_encode(tok, text, strlen(text), true, &ids, &err)) fail_msg("%s", err.message);
    for (size_t i = 0; i < ids.count && i < n; i++)
        if (ids.ids[i] != expected[i]) fail_msg("\"%s\": id %zu is %d, not %d", text, i, ids.ids[i], expected[i]);
    assert_int_equal(ids.count, n);
    token_list_free(&ids);
}

void assert_text(const struct tokenizer *tok, const int32_t *ids, size_t n, const char *expected) {
    struct buffer text = {0};
    assert_true(tokenizer_decode(tok, ids, n, false, &text, NULL));
    assert_string_equal(text.data ? text.data : "", expected);
    buffer_free(&text);
}

void assert_same_tokenizer(const struct tokenizer *a, const struct tokenizer *b) {
    assert_true(tokenizer_hash(a) == tokenizer_hash(b));
    assert_int_equal(tokenizer_vocab_size(a), tokenizer_vocab_size(b));
    assert_int_equal(tokenizer_eos_id(a), tokenizer_eos_id(b));
    assert_int_equal(tokenizer_bos_id(a), tokenizer_bos_id(b));
    assert_int_equal(tokenizer_pad_id(a), tokenizer_pad_id(b));
    assert_int_equal(tokenizer_end_of_text_id(a), tokenizer_end_of_text_id(b));
}
