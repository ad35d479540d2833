/* test_table.c - the planner's tables: parsed, merged with a user's, and refused when they are not tables. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file/atomic.h"
#include "plan/catalog.h"
#include "support/cmocka_all.h"

static void cells_are_found(void **state) {
    (void)state;
    struct table t;
    double x;
    assert_true(table_parse(&t, "# a comment\nname\tvalue\tnote\r\na\t1.5\tx\n\nB\t\nb\t2e3\ty\n", "here", NULL));
    assert_int_equal(t.n_rows, 3);
    assert_int_equal(table_find(&t, "b"), 2); /* the later row, whatever the case */
    assert_true(table_number(&t, 0, "value", 7, &x, NULL) && x == 1.5);
    assert_true(table_number(&t, 1, "value", 7, &x, NULL) && x == 7);
    assert_string_equal(table_text(&t, 0, "note"), "x");
    assert_string_equal(table_text(&t, 0, "absent"), "");
    assert_int_equal(table_find(&t, "c"), -1);
    table_free(&t);
}

static void what_is_no_table_is_refused(void **state) {
    (void)state;
    struct table t;
    struct talc_error err = {0};
    double x;
    assert_false(table_parse(&t, "", "here", &err));
    assert_false(table_parse(&t, "# only a comment\n", "here", &err));
    assert_false(table_parse(&t, "a\tb\n1\t2\t3\n", "here", &err));
    assert_non_null(strstr(err.message, "here:2"));
    assert_false(table_parse(&t, "name\tv\nfine\t1\nbr\xffoken\t2\n", "here", &err));
    assert_non_null(strstr(err.message, "here:3"));
    assert_false(table_parse(&t, "name\tv\n\x1b[31mred\t2\n", "here", &err));
    char many[1000];
    memset(many, '\t', sizeof many - 1);
    many[sizeof many - 1] = 0;
    assert_false(table_parse(&t, many, "here", &err));
    assert_true(table_parse(&t, "name\tv\na\tmuch\nb\tinf\nc\t1x\n", "here", NULL));
    for (int r = 0; r < 3; r++) assert_false(table_number(&t, r, "v", 0, &x, &err));
    table_free(&t);
}

static void write_file(const char *folder, const char *name, const char *text) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_true(atomic_write_file(path, text, strlen(text), NULL));
}

static void rows_of_the_user_count(void **state) {
    (void)state;
    char folder[] = "/tmp/talc-plan-XXXXXX";
    struct catalog c;
    struct plan_chip chip;
    struct plan_price price;
    struct talc_error err = {0};
    assert_non_null(mkdtemp(folder));
    write_file(folder, "chips.tsv",
               "name\tbf16_tf\tmemory_gb\thbm_tbs\tscale_up_gbs\tnetwork\tsoftware\nmine\t50\t24\t1\t20\tpcie-"
               "8\ttalc\nh100\t1000\t100\t4\t400\tdgx-h100\ttalc\n");
    write_file(folder, "prices.tsv",
               "chip\tmonth\tlow\tmid\thigh\nmine\t2026-01\t0.1\t0.2\t0.3\nh100\t2026-09\t1\t2\t3\n");
    assert_true(catalog_open(&c, folder, &err));
    assert_true(catalog_chip(&c, "mine", &chip, &err));
    assert_float_equal(chip.peak[PRECISION_BF16], 50e12, 1);
    assert_float_equal(chip.matmul[PRECISION_BF16], MATMUL_SHARE * 50e12, 1);
    assert_true(catalog_chip(&c, "H100", &chip, &err)); /* replaced */
    assert_float_equal(chip.peak[PRECISION_BF16], 1000e12, 1);
    assert_float_equal(chip.watts, 1020, 1); /* what the row leaves out stays */
    assert_float_equal(chip.peak[PRECISION_FP8], 1979e12, 1e9);
    assert_true(catalog_chip(&c, "v100", &chip, &err)); /* still there */
    assert_true(catalog_price(&c, "mine", NULL, &price, &err) && price.mid == 0.2);
    assert_true(catalog_price(&c, "h100", NULL, &price, &err) && price.mid == 2); /* the latest of all months */
    assert_true(catalog_price(&c, "h100", "2023-06", &price, &err) && price.mid == 8);
    assert_false(catalog_price(&c, "h100", "last year", &price, &err));
    assert_false(catalog_chip(&c, "h1000", &chip, &err));
    catalog_close(&c);
    write_file(folder, "chips.tsv",
               "name\tbf16_tf\tmemory_gb\thbm_tbs\tscale_up_gbs\tnetwork\tsoftware\n"
               "a-name-that-has-more-than-31-bytes\t50\t24\t1\t20\tpcie-8\ttalc\n");
    assert_true(catalog_open(&c, folder, &err));
    assert_false(catalog_chip(&c, "a-name-that-has-more-than-31-bytes", &chip, &err));
    assert_non_null(strstr(err.message, "at most 31 bytes"));
    catalog_close(&c);
    write_file(folder, "chips.tsv", "name\tteraflops\nmine\t50\n");
    assert_false(catalog_open(&c, folder, &err));
    assert_non_null(strstr(err.message, "teraflops"));
    write_file(folder, "chips.tsv", "name\tbf16_tf\tmemory_gb\thbm_tbs\tscale_up_gbs\nmine\t-5\t24\t1\t20\n");
    assert_true(catalog_open(&c, folder, &err));
    assert_false(catalog_chip(&c, "mine", &chip, &err));
    catalog_close(&c);
    assert_true(folder_remove(folder, NULL));
}

/* Rates and prices that no one can have are refused when they are asked for, with the row and the column. */
static void absurd_numbers_are_refused(void **state) {
    (void)state;
    char folder[] = "/tmp/talc-plan-XXXXXX";
    struct catalog c;
    struct plan_price price;
    struct plan_grid grid;
    struct talc_error err = {0};
    double rate;
    assert_non_null(mkdtemp(folder));
    write_file(folder, "grids.tsv", "name\tkg_per_kwh\tpue\nminus\t-3\t1.1\nfree\t0.1\t0\ngood\t0.1\t1.2\n");
    write_file(folder, "failures.tsv", "name\tper_1000_node_days\nnever\t-1\n");
    write_file(folder, "currencies.tsv", "currency\tper_usd\nNEG\t-3\nHUGE\t1e308\n");
    write_file(
        folder, "prices.tsv",
        "chip\tmonth\tlow\tmid\thigh\nh100\t2030-01\t5\t2\t1\nh200\t2030-13\t1\t2\t3\nb200\t2030-01\t-1\t2\t3\n");
    assert_true(catalog_open(&c, folder, &err));
    assert_false(catalog_grid(&c, "minus", &grid, &err));
    assert_non_null(strstr(err.message, "kg_per_kwh"));
    assert_false(catalog_grid(&c, "free", &grid, &err));
    assert_true(catalog_grid(&c, "good", &grid, &err) && grid.pue == 1.2);
    assert_false(catalog_failures(&c, "never", &rate, &err));
    assert_false(catalog_currency(&c, "NEG", &rate, &err));
    assert_false(catalog_currency(&c, "HUGE", &rate, &err));
    assert_false(catalog_price(&c, "h100", NULL, &price, &err));
    assert_non_null(strstr(err.message, "order"));
    assert_false(catalog_price(&c, "h200", NULL, &price, &err));
    assert_non_null(strstr(err.message, "2030-13"));
    assert_false(catalog_price(&c, "b200", NULL, &price, &err));
    assert_false(catalog_price(&c, "v100-32", "2020-99", &price, &err));
    catalog_close(&c);
    assert_true(folder_remove(folder, NULL));
}

static void every_row_is_usable(void **state) {
    (void)state;
    struct catalog c;
    struct talc_error err = {0};
    assert_true(catalog_open(&c, NULL, &err));
    for (int r = 0; r < c.chips.n_rows; r++) {
        struct plan_chip chip;
        struct plan_network network;
        struct plan_software software;
        struct plan_price price;
        const char *name = table_text(&c.chips, r, "name");
        assert_true(catalog_chip(&c, name, &chip, &err) && catalog_network(&c, chip.network, &network, &err) &&
                    catalog_software(&c, chip.software, &software, &err));
        assert_true(catalog_price(&c, name, NULL, &price, &err));
        assert_true(price.low <= price.mid && price.mid <= price.high && chip.watts > 0 && chip.purchase > 0);
        assert_true(chip.matmul[PRECISION_BF16] <= chip.peak[PRECISION_BF16] && *chip.source);
    }
    static const struct {
        const char *name;
        double params;
    } known[] = {{"llama2-70b", 68.98e9},  {"llama3-8b", 8.03e9},     {"llama3-405b", 405.9e9},
                 {"opt-175b", 174.6e9},    {"bloom-176b", 176.2e9},   {"gpt3-175b", 174.6e9},
                 {"mixtral-8x7b", 46.7e9}, {"gpt-oss-120b", 116.8e9}, {"qwen3-235b-a22b", 235e9},
                 {"qwen3-30b-a3b", 30.5e9}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct plan_model m;
        assert_true(catalog_model(&c, known[i].name, &m, &err));
        assert_float_equal(plan_model_params(&m) / known[i].params, 1, 0.01);
    }
    for (int r = 0; r < c.models.n_rows; r++) {
        struct plan_model m;
        assert_true(catalog_model(&c, table_text(&c.models, r, "name"), &m, &err));
        assert_int_equal(m.parallel_block, strcmp(m.name, "palm-540b") == 0); /* 2204.02311, section 2 */
    }
    catalog_close(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_are_found),        cmocka_unit_test(what_is_no_table_is_refused),
        cmocka_unit_test(rows_of_the_user_count), cmocka_unit_test(absurd_numbers_are_refused),
        cmocka_unit_test(every_row_is_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
