/* tokenizer_case.h - what tests of tokenizers and their files share: a folder for files, opening what was put there,
 * and comparisons that say what differs. */
#ifndef TALC_TESTS_SUPPORT_TOKENIZER_CASE_H
#define TALC_TESTS_SUPPORT_TOKENIZER_CASE_H

#include "cmocka_all.h"
#include "text/tokenizer.h"

#define TOKENIZER_GOLDEN TEST_DIR "/golden/tokenizer/"

/* Set-up and tear-down of cmocka: a new folder under /tmp, whose path case_folder gives. */
int case_folder_make(void **state);
int case_folder_remove(void **state);
const char *case_folder(void);
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, case_folder_make, case_folder_remove)

/* Writes a file of the folder; returns its path, which the next call overwrites. */
const char *put_file(const char *name, const char *data, size_t n);

/* Opens what must open; what must not, saying `what`. */
struct tokenizer *load_tokenizer(const char *path);
void expect_load_failure(const char *path, const char *what);

void assert_ids(const struct tokenizer *tok, const char *text, const int32_t *expected, size_t n);
void assert_text(const struct tokenizer *tok, const int32_t *ids, size_t n, const char *expected);
#define IDS(...) (const int32_t[]){__VA_ARGS__}, sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t)

/* The same ids, and the same roles. */
void assert_same_tokenizer(const struct tokenizer *a, const struct tokenizer *b);

#endif
