/* Text is shown as soon as it is certain and never sooner: whole characters, no beginning of a stop string. */
#include "support/cmocka_all.h"

#include <string.h>

#include "infer/stream_text.h"

/* Feeds `text` byte by byte and collects what is released; true when a stop string ended it. */
static bool feed(const char *text, const char *const *stops, int n_stops, struct buffer *shown, size_t *most_held) {
    struct buffer pending = {0};
    bool stopped = false;
    *most_held = 0;
    for (size_t i = 0; text[i] && !stopped; i++) {
        size_t ready;
        buffer_append_char(&pending, text[i]);
        stopped = stream_text_ready(&pending, stops, n_stops, &ready);
        stream_text_append(shown, pending.data, ready);
        memmove(pending.data, pending.data + ready, pending.length - ready + 1);
        pending.length -= ready;
        if (!stopped && pending.length > *most_held) *most_held = pending.length;
    }
    buffer_free(&pending);
    return stopped;
}

static void expect(const char *text, const char *stop, const char *shown_text, bool stops_there) {
    struct buffer shown = {0};
    size_t held;
    assert_int_equal(feed(text, &stop, stop ? 1 : 0, &shown, &held), stops_there);
    assert_string_equal(shown.data ? shown.data : "", shown_text);
    buffer_free(&shown);
}

static void whole_characters_only(void **state) {
    (void)state;
    struct buffer shown = {0};
    size_t held;
    feed("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z", NULL, 0, &shown, &held);
    assert_string_equal(shown.data, "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z");
    assert_int_equal(held, 3);
    buffer_free(&shown);
}

static void broken_bytes_become_replacement_characters(void **state) {
    (void)state;
    expect("a\xff"
           "b\xc3(",
           NULL,
           "a\xef\xbf\xbd"
           "b\xef\xbf\xbd(",
           false);
}

static void stop_strings_end_the_text_and_are_not_shown(void **state) {
    (void)state;
    expect("one END two", "END", "one ", true);
    expect("one EN two", "END", "one EN two", false);
    expect("aaab", "aab", "a", true);
    expect("xENENDy", "END", "xEN", true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_characters_only),
        cmocka_unit_test(broken_bytes_become_replacement_characters),
        cmocka_unit_test(stop_strings_end_the_text_and_are_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
