/* Chat files as token documents: what is set apart for validation, what is learnt, what becomes of long ones. */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/chat_documents.h"
#include "file/atomic.h"
#include "text/template.h"
#include "text/tokenizer_train.h"

enum { VOCAB = 300, ROW = 40 };

static char folder[64];
static struct tokenizer *tokenizer;
static struct chat_template *chat_template;

static int setup(void **state) {
    (void)state;
    struct tokenizer_train_options o = tokenizer_train_defaults(false);
    o.vocab_size = VOCAB;
    strcpy(folder, "/tmp/talc-documents-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    struct tokenizer_trainer *trainer = tokenizer_trainer_open(&o, NULL);
    tokenizer_trainer_add(trainer, "who sang and who slept", 22, NULL);
    tokenizer = tokenizer_trainer_finish(trainer, NULL);
    tokenizer_trainer_close(trainer);
    const char *source = chat_template_for(tokenizer);
    chat_template = source ? chat_template_parse(source, strlen(source), NULL) : NULL;
    return tokenizer && chat_template ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    chat_template_free(chat_template);
    tokenizer_free(tokenizer);
    return folder_remove(folder, NULL) ? 0 : -1;
}

/* Reads a file of n lines, of which each is printed from `format` and its number. */
static void read_lines(struct chat_documents *d, int n, const char *format, double validation_share) {
    struct buffer text = {0};
    struct talc_error err = {0};
    char path[128], line[512];
    for (int i = 0; i < n; i++) {
        snprintf(line, sizeof line, format, i);
        buffer_append_text(&text, line);
        buffer_append_text(&text, "\n");
    }
    snprintf(path, sizeof path, "%s/lines.jsonl", folder);
    assert_true(atomic_write_file(path, text.data, text.length, NULL));
    buffer_free(&text);
    if (!chat_documents_read(d, path, validation_share, NULL, NULL, &err)) fail_msg("%s", err.message);
}

static struct chat_documents documents(struct thread_pool *pool) {
    return (struct chat_documents){
        .tokenizer = tokenizer, .chat_template = chat_template, .pool = pool, .row_tokens = ROW};
}

static const char chat[] = "{\"prompt\":\"who %d\",\"completion\":\"sang\"}";

static void a_share_of_the_records_is_for_validation(void **state) {
    (void)state;
    struct thread_pool *pool = thread_pool_open(2, NULL);
    struct chat_documents d = documents(pool), none = documents(pool), longer = documents(pool);
    read_lines(&d, 600, chat, 0.25);
    assert_int_equal(d.train.n_documents + d.validation.n_documents, 600);
    assert_true(d.validation.n_documents > 110 && d.validation.n_documents < 190);
    read_lines(&none, 600, chat, 0);
    assert_int_equal(none.train.n_documents, 600);
    assert_int_equal(none.validation.n_documents, 0);
    read_lines(&longer, 900, chat, 0.25); /* its beginning is where it was */
    size_t n = (size_t)d.validation.starts[d.validation.n_documents];
    assert_true(longer.validation.n_documents > d.validation.n_documents);
    assert_memory_equal(longer.validation.tokens, d.validation.tokens, n * sizeof(int32_t));
    chat_documents_free(&d);
    chat_documents_free(&none);
    chat_documents_free(&longer);
    thread_pool_close(pool);
}

/* Chats have all their turns or are left out; of texts every token is learnt once. */
static void a_long_text_is_cut_and_a_long_chat_left_out(void **state) {
    (void)state;
    struct thread_pool *pool = thread_pool_open(1, NULL);
    struct chat_documents d = documents(pool);
    read_lines(&d, 1,
               "{\"prompt\":\"who sang and who slept and who sang %d\",\"completion\":"
               "\"xyz xyz xyz xyz xyz xyz xyz xyz xyz xyz xyz xyz xyz xyz xyz xyz xyz xyz xyz\"}",
               0);
    assert_int_equal(d.n_too_long, 1);
    assert_int_equal(d.train.n_documents, 0);
    char text[512] = "{\"text\":\"";
    for (int i = 0; i < 100; i++) strcat(text, i % 7 ? "x" : " ");
    strcat(text, "%d\"}");
    struct token_list ids = {0};
    size_t n = strlen(text);
    assert_true(tokenizer_encode(tokenizer, text + 9, n - 9 - 4, false, &ids, NULL)); /* without %d"} */
    read_lines(&d, 1, text, 0);
    size_t n_tokens = ids.count + 1 + 2; /* "0", and the end of text around it */
    assert_true(n_tokens > 2 * ROW + 2 && n_tokens < 3 * ROW);
    assert_int_equal(d.train.n_documents, 3);
    for (size_t i = 0, at = 0; i < 3; i++) {
        const int32_t *tokens = d.train.tokens + d.train.starts[i];
        size_t length = (size_t)(d.train.starts[i + 1] - d.train.starts[i]);
        assert_int_equal(length, i < 2 ? ROW + 1 : n_tokens - 2 * ROW);
        for (size_t k = 0; k < length; k++) {
            assert_true(d.train.learn[d.train.starts[i] + k]);
            size_t place = at + k; /* in the text */
            if (place == 0 || place == n_tokens - 1)
                assert_int_equal(tokens[k], tokenizer_end_of_text_id(tokenizer));
            else if (place <= ids.count)
                assert_int_equal(tokens[k], ids.ids[place - 1]);
        }
        at += length - 1;
    }
    token_list_free(&ids);
    chat_documents_free(&d);
    thread_pool_close(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_share_of_the_records_is_for_validation, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_text_is_cut_and_a_long_chat_left_out, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
