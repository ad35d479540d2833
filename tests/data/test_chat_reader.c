/* Conversations: every format becomes the same messages, and what is none is named by file and line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "data/chat_reader.h"
#include "file/atomic.h"

static char folder[64];

static int setup(void **state) {
    (void)state;
    strcpy(folder, "/tmp/talc-chats-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    return folder_remove(folder, NULL) ? 0 : -1;
}

static const char *write_text(const char *name, const char *text) {
    static char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_true(atomic_write_file(path, text, strlen(text), NULL));
    return path;
}

/* Reads a file whole: "role: content|" of every message, "text|" of plain text, ";" after each record. */
static bool read_all(const char *path, char out[2000], size_t counts[CHAT_FORMATS], struct talc_error *err) {
    struct chat_reader *r = chat_reader_open(path, NULL, err);
    struct chat_record record;
    struct buffer b = {0};
    bool ok = r != NULL;
    while (ok && (ok = chat_reader_next(r, &record, err)) && record.where) {
        size_t i;
        json_t *m;
        json_array_foreach(record.messages, i, m)
            buffer_printf(&b, "%s: %s|", json_string_value(json_object_get(m, "role")),
                          json_string_value(json_object_get(m, "content")));
        if (record.text) buffer_printf(&b, "%s|", record.text);
        buffer_append_char(&b, ';');
    }
    snprintf(out, 2000, "%s", b.data ? b.data : "");
    for (int f = 0; r && counts && f < CHAT_FORMATS; f++) counts[f] = chat_reader_count(r, (enum chat_format)f);
    buffer_free(&b);
    chat_reader_close(r);
    return ok;
}

static void assert_reads(const char *path, enum chat_format format, const char *want) {
    char got[2000];
    size_t counts[CHAT_FORMATS] = {0};
    struct talc_error err = {0};
    if (!read_all(path, got, counts, &err)) fail_msg("%s", err.message);
    assert_string_equal(got, want);
    assert_true(counts[format] > 0);
}

static void every_format_becomes_messages(void **state) {
    (void)state;
    assert_reads(write_text("a.jsonl", "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\","
                                       "\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"a\"}]}\n"),
                 CHAT_MESSAGES, "system: s|user: q|assistant: a|;");
    assert_reads(write_text("a.jsonl", "{\"prompt\":\"q\",\"completion\":\"a\"}"), CHAT_PROMPT_COMPLETION,
                 "user: q|assistant: a|;");
    assert_reads(write_text("a.jsonl", "{\"prompt\":[{\"role\":\"user\",\"content\":\"q\"}],"
                                       "\"completion\":[{\"role\":\"assistant\",\"content\":\"a\"}]}"),
                 CHAT_PROMPT_COMPLETION, "user: q|assistant: a|;");
    assert_reads(write_text("a.jsonl", "{\"question\":\"q\",\"answer\":\"a\"}"), CHAT_QUESTION_ANSWER,
                 "user: q|assistant: a|;");
    assert_reads(write_text("a.jsonl", "{\"instruction\":\"do\",\"input\":\"\",\"output\":\"done\"}\n"
                                       "{\"instruction\":\"do\",\"input\":\"this\",\"response\":\"done\"}"),
                 CHAT_ALPACA, "user: do|assistant: done|;user: do\n\nthis|assistant: done|;");
    assert_reads(write_text("a.jsonl", "{\"conversations\":[{\"from\":\"system\",\"value\":\"s\"},{\"from\":\"human\","
                                       "\"value\":\"q\"},{\"from\":\"gpt\",\"value\":\"a\"}]}"),
                 CHAT_SHAREGPT, "system: s|user: q|assistant: a|;");
    assert_reads(write_text("a.jsonl", "{\"text\":\"plain\"}\n\n"), CHAT_TEXT, "plain|;");
    assert_reads(write_text("a.jsonl", "{\"id\":2,\"text\":\"\"}\n{\"text\":\"one\"}\n{\"text\":\"\"}\n"), CHAT_TEXT,
                 "one|;"); /* an empty one is none, as for talc prepare */
}

static void array_file_is_read_by_element(void **state) {
    (void)state;
    assert_reads(write_text("a.json", "\n [{\"text\":\"one\"},\n{\"prompt\":\"q\",\"completion\":\"a\"}]\n"), CHAT_TEXT,
                 "one|;user: q|assistant: a|;");
    assert_reads(write_text("a.json", "{\"text\":\"one\"}\n{\"text\":\"two\"}\n"), CHAT_TEXT, "one|;two|;");
    char got[2000];
    struct talc_error err = {0};
    assert_false(read_all(write_text("a.json", "[{\"text\":\"one\"}, 7]"), got, NULL, &err));
    assert_non_null(strstr(err.message, "a.json: element 2: is not an object"));
    assert_false(read_all(write_text("a.json", "[]"), got, NULL, &err));
    assert_non_null(strstr(err.message, "holds no chats"));
}

static void message_of_tool_calls_needs_no_content(void **state) {
    (void)state;
    struct chat_record record;
    struct chat_reader *r = chat_reader_open(
        write_text("a.jsonl", "{\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[]}],"
                              "\"tools\":[{}]}"),
        NULL, NULL);
    assert_true(chat_reader_next(r, &record, NULL));
    assert_int_equal(json_array_size(record.messages), 1);
    assert_int_equal(json_array_size(record.tools), 1);
    chat_reader_close(r);
}

static void tools_may_be_the_text_of_a_list(void **state) {
    (void)state;
    static const struct {
        const char *tools;
        int n; /* -1: there are none */
    } cases[] = {{"\"[]\"", 0}, {"\"\"", -1}, {"\" [{}, {\\\"a\\\":1}] \"", 2},
                 {"\" \"", -1}, {"null", -1}, {"[{}]", 1}};
    struct buffer text = {0};
    size_t n = sizeof cases / sizeof *cases;
    for (size_t i = 0; i < n; i++)
        buffer_printf(&text, "{\"prompt\":\"q\",\"completion\":\"a\",\"tools\":%s}\n", cases[i].tools);
    struct chat_reader *r = chat_reader_open(write_text("a.jsonl", text.data), NULL, NULL);
    for (size_t i = 0; i < n; i++) {
        struct chat_record record;
        assert_true(chat_reader_next(r, &record, NULL));
        assert_int_equal(record.tools ? (int)json_array_size(record.tools) : -1, cases[i].n);
    }
    chat_reader_close(r);
    buffer_free(&text);
}

static void what_is_no_chat_names_file_and_line(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"{\"text\":\"a\"}\n\n{\"messages\":[{\"role\":\"user\"}]}", "a.jsonl:3: a message has no \"content\""},
        {"{\"messages\":[{\"content\":\"x\"}]}", "a.jsonl:1: a message has no \"role\""},
        {"{\"messages\":[{\"role\":\"boss\",\"content\":\"x\"}]}", "role \"boss\" is none of"},
        {"{\"messages\":[7]}", "no \"role\""},
        {"{\"messages\":[]}", "holds no message"},
        {"{\"messages\":{}}", "\"messages\" is not a list"},
        {"{\"prompt\":\"q\",\"completion\":7}", "no \"completion\" that is a string"},
        {"{\"completion\":\"a\"}", "no \"prompt\" that is a string"},
        {"{\"instruction\":\"q\"}", "no \"response\" that is a string"},
        {"{\"conversations\":[{\"from\":\"cat\",\"value\":\"x\"}]}", "\"cat\" is none of human"},
        {"{\"conversations\":[{\"value\":\"x\"}]}", "needs \"from\""},
        {"{\"conversations\":\"x\"}", "not a list"},
        {"{\"text\":7}", "\"text\" is not a string"},
        {"{\"chosen\":\"a\",\"rejected\":\"b\"}", "preference pair"},
        {"{\"a\":1}", "is no chat"},
        {"{\"a\":1}", "\"question\" and \"answer\""},
        {"{\"prompt\":\"q\",\"completion\":\"a\",\"tools\":\"{}\"}", "a.jsonl:1: \"tools\" is not a list"},
        {"{\"prompt\":\"q\",\"completion\":\"a\",\"tools\":\"[{\"}", "not a list, nor the JSON of one"},
        {"{\"prompt\":\"q\",\"completion\":\"a\",\"tools\":7}", "a.jsonl:1: \"tools\" is not a list"},
        {"{\"text\":\"a\"", "a.jsonl:1: not valid JSON"},
        {"{\"text\":\"\xff\"}", "a.jsonl:1: not valid JSON"},
        {"", "holds no chats"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct talc_error err = {0};
        char got[2000];
        assert_false(read_all(write_text("a.jsonl", cases[i][0]), got, NULL, &err));
        if (!strstr(err.message, cases[i][1])) fail_msg("want \"%s\" in: %s", cases[i][1], err.message);
    }
}

static void a_file_that_changes_holds_no_chats(void **state) {
    (void)state;
    enum { N = 20000 };
    struct buffer lines = {0};
    for (int i = 0; i < N; i++) buffer_append_text(&lines, "{\"prompt\":\"a\",\"completion\":\"b\"}\n");
    const char *path = write_text("a.jsonl", lines.data);
    struct chat_record record;
    struct talc_error err = {0};
    struct chat_reader *r = chat_reader_open(path, NULL, &err);
    assert_true(r && chat_reader_next(r, &record, &err));
    assert_int_equal(truncate(path, (off_t)(lines.length - lines.length / N)), 0); /* by its last line */
    bool ok;
    while ((ok = chat_reader_next(r, &record, &err)) && record.where) {
    }
    assert_false(ok);
    assert_non_null(strstr(err.message, "a.jsonl: has changed while it was read"));
    chat_reader_close(r);
    buffer_free(&lines);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_format_becomes_messages),          TEST(array_file_is_read_by_element),
        TEST(message_of_tool_calls_needs_no_content), TEST(what_is_no_chat_names_file_and_line),
        TEST(a_file_that_changes_holds_no_chats),     TEST(tools_may_be_the_text_of_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
