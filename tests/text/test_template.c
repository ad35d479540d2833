/* Chat templates render as jinja2 does (goldens), refuse what is wrong in one line, and stay within bounds. */
#include "support/cmocka_all.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "file/json.h"
#include "text/template.h"

static bool render(const char *source, const json_t *variables, struct buffer *out, struct talc_error *err) {
    struct chat_template *t = chat_template_parse(source, strlen(source), err);
    struct template_input input = {.variables = variables, .now = 1700000000};
    bool ok = t && chat_template_render(t, &input, out, NULL, err);
    chat_template_free(t);
    return ok;
}

static void templates_render_as_jinja2_does(void **state) {
    (void)state;
    struct talc_error err = {0};
    json_t *goldens = json_read_file(TEST_DIR "/golden/template/goldens.json", 0, &err), *one;
    size_t i;
    int wrong = 0;
    assert_non_null(goldens);
    setenv("TZ", "UTC", 1);
    tzset();
    json_array_foreach(json_object_get(goldens, "cases"), i, one) {
        const char *source = json_string_value(json_object_get(one, "template")),
                   *expected = json_string_value(json_object_get(one, "expected"));
        struct buffer out = {0};
        err.message[0] = 0;
        bool rendered = render(source, json_object_get(goldens, "variables"), &out, &err);
        if (expected ? !rendered || strcmp(out.data ? out.data : "", expected) != 0 : rendered) {
            print_error("template: %s\nexpected: %s\ncame:     %s %s\n", source, expected ? expected : "(refused)",
                        out.data ? out.data : "", err.message);
            wrong++;
        }
        buffer_free(&out);
    }
    json_decref(goldens);
    assert_int_equal(wrong, 0);
}

static void bad_templates_are_refused_in_one_line(void **state) {
    (void)state;
    static const char *const bad[] = {
        "{% if %}",
        "{% for x in %}{% endfor %}",
        "{{ 1 + }}",
        "{{ 'open }}",
        "{% endif %}",
        "{% if true %}",
        "{{ x.y.z }}",
        "{{ f() }}",
        "{{ 1 / 0 }}",
        "{{ 1 // 0 }}",
        "{{ 9223372036854775807 + 1 }}",
        "{{ 2 ** 99 }}",
        "{{ 1e300 | int }}",
        "{{ '99999999999999999999' | int }}",
        "{{ -9223372036854775807 | round(-1) }}",
        "{{ 'x' + 1 }}",
        "{{ 1 | nofilter }}",
        "{{ 1 is notest }}",
        "{% include 'x' %}",
        "{{ raise_exception('no such role') }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ range(100000000) }}",
        "{{ 'xxxxxxxxxxxxxxxx' * 100000000 }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "\xff",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct talc_error err = {0};
        struct buffer out = {0};
        if (render(bad[i], NULL, &out, &err)) fail_msg("was not refused: %s", bad[i]);
        assert_true(err.message[0] != 0);
        assert_null(strchr(err.message, '\n'));
        assert_int_equal(out.length, 0);
        buffer_free(&out);
    }
    char deep[4001];
    memset(deep, '(', 4000);
    memcpy(deep, "{{", 2);
    deep[4000] = 0;
    struct talc_error err = {0};
    assert_null(chat_template_parse(deep, 4000, &err));
}

/* `begin`, `middle` as often as fits into the largest source, `end`. Free it. */
static char *longest_source(const char *begin, const char *middle, const char *end) {
    struct buffer b = {0};
    buffer_append_text(&b, begin);
    while (b.length + strlen(middle) + strlen(end) <= TEMPLATE_MAX_SOURCE) buffer_append_text(&b, middle);
    buffer_append_text(&b, end);
    assert_true(buffer_ok(&b));
    return b.data;
}

struct rendering {
    const char *source;
    struct talc_error err;
};

static void *render_alone(void *context) {
    struct rendering *r = context;
    struct buffer out = {0};
    if (render(r->source, NULL, &out, &r->err)) r->err.message[0] = 0;
    buffer_free(&out);
    return NULL;
}

/* With the stack that template.h asks for; a sanitizer's calls take more. */
static void render_with_little_stack(struct rendering *r) {
    size_t stack = (size_t)2 << 20;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    stack *= 8;
#endif
    pthread_attr_t attributes;
    pthread_t thread;
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstacksize(&attributes, stack), 0);
    assert_int_equal(pthread_create(&thread, &attributes, render_alone, r), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
}

static void filters_behind_filters_are_bounded(void **state) {
    (void)state;
    static const char *const parts[][3] = {
        {"{% filter e", "|e", "%}x{% endfilter %}"},
        {"{% set x | e", "|e", "%}x{% endset %}{{ x }}"},
        {"{{ 'a'", "|e", "}}"},
        {"{{ 'a' | map('map'", ",'map'", ")|list }}"},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char *source = longest_source(parts[i][0], parts[i][1], parts[i][2]);
        struct rendering r = {.source = source};
        render_with_little_stack(&r);
        assert_non_null(strstr(r.err.message, "chat template, line 1: more than"));
        free(source);
    }
    struct rendering deep = {
        .source = "{% macro f() %}{% for a in [1] %}{% if a %}{% set b %}{% filter e %}{{ [f()] | map('list') | "
                  "list }}{% endfilter %}{% endset %}{% endif %}{% endfor %}{% endmacro %}{{ f() }}"};
    render_with_little_stack(&deep);
    assert_non_null(strstr(deep.err.message, "more than 2000 levels"));
}

/* Wherever the work that a template may do runs out, that is what is said. The shift moves the place. */
static void running_out_of_steps_is_said(void **state) {
    (void)state;
    static const char *const work[] = {"x | indent", "x | tojson(indent=1)", "[x, x] | join"};
    for (size_t i = 0; i < sizeof work / sizeof *work; i++)
        for (int shift = 0; shift < 13; shift++) {
            struct buffer source = {0}, out = {0};
            struct talc_error err = {0};
            for (int s = 0; s < shift; s++) buffer_append_text(&source, "{% if n %}{% endif %}");
            buffer_printf(&source,
                          "{%% set x = 'x' %%}{%% set big = 'x' * 1048576 %%}{%% for i in range(1485) %%}{%% if big == "
                          "big %%}{%% endif %%}{%% endfor %%}"
                          "{%% for i in range(99999) %%}{%% set y = %s %%}{%% endfor %%}",
                          work[i]);
            assert_false(render(source.data, NULL, &out, &err));
            assert_non_null(strstr(err.message, "works too long"));
            buffer_free(&source);
            buffer_free(&out);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_render_as_jinja2_does),
        cmocka_unit_test(bad_templates_are_refused_in_one_line),
        cmocka_unit_test(filters_behind_filters_are_bounded),
        cmocka_unit_test(running_out_of_steps_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
