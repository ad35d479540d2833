/* JSON: errors that name the place, typed fields, files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "file/atomic.h"
#include "file/json.h"

static json_t *parse(const char *text, struct talc_error *err) { return json_parse(text, strlen(text), "x.json", err); }

static void broken_json_names_file_and_place(void **state) {
    (void)state;
    struct talc_error err = {0};
    assert_null(parse("{\"a\": 1,\n \"b\": }", &err));
    assert_non_null(strstr(err.message, "x.json: not valid JSON at line 2, column "));
    assert_null(parse("", &err));
    assert_null(parse("{\"a\":1} trailing", &err));
    assert_null(parse("{\"a\":1e999}", &err));
    assert_null(json_parse("[99999999999999999999]", 20, "x.json", &err)); /* ends within the number */
    assert_null(parse("{\"a\":\"\xff\"}", &err));
}

static void duplicate_keys_are_refused(void **state) {
    (void)state;
    struct talc_error err = {0};
    assert_null(parse("{\"a\":1,\"a\":2}", &err));
    assert_non_null(strstr(err.message, "duplicate"));
}

static void deep_nesting_is_refused(void **state) {
    (void)state;
    char *deep = malloc(100001);
    memset(deep, '[', 100000);
    deep[100000] = 0;
    assert_null(parse(deep, NULL));
    free(deep);
}

static void integers_are_checked_for_type_and_range(void **state) {
    (void)state;
    struct talc_error err = {0};
    json_t *o = parse("{\"n\":12,\"real\":3.0,\"half\":2.5,\"text\":\"12\",\"null\":null}", NULL);
    int64_t n = 0;
    assert_true(json_get_int(o, "n", 0, 1, 12, &n, &err) && n == 12);
    assert_true(json_get_int(o, "real", 0, 1, 12, &n, &err) && n == 3);
    assert_true(json_get_int(o, "absent", 7, 1, 2, &n, &err) && n == 7);
    assert_true(json_get_int(o, "null", 8, 1, 2, &n, &err) && n == 8);
    assert_false(json_get_int(o, "n", 0, 1, 11, &n, &err));
    assert_string_equal(err.message, "\"n\" is 12, but must be between 1 and 11");
    assert_false(json_get_int(o, "half", 0, 0, 9, &n, &err));
    assert_false(json_get_int(o, "text", 0, 0, 99, &n, &err));
    assert_string_equal(err.message, "\"text\" must be a whole number, not a string");
    json_decref(o);
}

/* As transformers writes "model_max_length". */
static void integers_that_int64_does_not_hold_are_numbers(void **state) {
    (void)state;
    struct talc_error err = {0};
    json_t *o = parse("{\"huge\":1000000000000000019884624838656,\"text\":\"a\\\"99999999999999999999\","
                      "\"most\":9223372036854775807,\"least\":-9223372036854775808,"
                      "\"more\":9223372036854775808,\"less\":-9223372036854775809,\"list\":[99999999999999999999]}",
                      NULL);
    double x;
    int64_t n;
    assert_true(json_get_number(o, "huge", 0, &x, NULL) && x == 1000000000000000019884624838656.0);
    assert_true(json_is_integer(json_object_get(o, "most")) && json_is_integer(json_object_get(o, "least")));
    assert_true(json_get_number(o, "more", 0, &x, NULL) && x == 0x1p63);
    assert_true(json_get_number(o, "less", 0, &x, NULL) && x == -0x1p63);
    assert_string_equal(json_text(o, "text"), "a\"99999999999999999999");
    assert_true(json_number_value(json_array_get(json_object_get(o, "list"), 0)) == 1e20);
    assert_false(json_get_int(o, "huge", 0, 1, INT64_MAX, &n, &err));
    assert_non_null(strstr(err.message, "\"huge\" is 1e+30, but must be"));
    json_decref(o);
}

static void other_fields_are_checked_for_type(void **state) {
    (void)state;
    json_t *o = parse("{\"x\":1.5,\"i\":2,\"yes\":true,\"s\":\"abc\",\"nul\":\"a\\u0000b\"}", NULL);
    double x;
    bool yes;
    const char *s;
    assert_true(json_get_number(o, "x", 0, &x, NULL) && x == 1.5);
    assert_true(json_get_number(o, "i", 0, &x, NULL) && x == 2);
    assert_false(json_get_number(o, "s", 0, &x, NULL));
    assert_true(json_get_bool(o, "yes", false, &yes, NULL) && yes);
    assert_false(json_get_bool(o, "i", false, &yes, NULL));
    assert_true(json_get_string(o, "s", "", &s, NULL));
    assert_string_equal(s, "abc");
    assert_true(json_get_string(o, "none", NULL, &s, NULL) && s == NULL);
    assert_false(json_get_string(o, "x", "", &s, NULL));
    assert_false(json_get_string(o, "nul", "", &s, NULL));
    json_decref(o);
}

static void what_is_written_is_read_back(void **state) {
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/tmp/talc-json-%ld.json", (long)getpid());
    json_t *o = parse("{\"z\":[1,2.5,\"\xc3\xa9\"],\"a\":{}}", NULL);
    assert_true(json_write_file(path, o, NULL));
    json_t *again = json_read_file(path, 0, NULL);
    assert_true(json_equal(o, again));
    struct talc_error err = {0};
    assert_null(json_read_file(path, 5, &err));
    assert_non_null(strstr(err.message, path));
    struct buffer line = {0};
    assert_true(json_append_line(&line, o, NULL));
    assert_string_equal(line.data, "{\"z\":[1,2.5,\"\xc3\xa9\"],\"a\":{}}");
    buffer_free(&line);
    json_decref(o);
    json_decref(again);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_json_names_file_and_place),
        cmocka_unit_test(duplicate_keys_are_refused),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(integers_are_checked_for_type_and_range),
        cmocka_unit_test(integers_that_int64_does_not_hold_are_numbers),
        cmocka_unit_test(other_fields_are_checked_for_type),
        cmocka_unit_test(what_is_written_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
