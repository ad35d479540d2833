/* fuzz_encode.c - a libFuzzer target: any bytes as text for tokenizers that are good. The bytes come back, with and
 * without the cache the ids are the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct tokenizer *load(const char *path) {
    struct tokenizer *tok = tokenizer_load(path, NULL);
    if (!tok) abort();
    return tok;
}

static void check(struct tokenizer *tok, const char *text, size_t n) {
    struct token_list ids = {0}, again = {0};
    struct buffer back = {0};
    if (!tokenizer_encode(tok, text, n, false, &ids, NULL)) abort();
    if (!tokenizer_decode(tok, ids.ids, ids.count, false, &back, NULL)) abort();
    if (back.length != n || (n && memcmp(back.data, text, n) != 0)) abort();
    tokenizer_use_cache(tok, false);
    if (!tokenizer_encode(tok, text, n, false, &again, NULL)) abort();
    tokenizer_use_cache(tok, true);
    if (ids.count != again.count || (ids.count && memcmp(ids.ids, again.ids, ids.count * sizeof *ids.ids) != 0))
        abort();
    token_list_free(&ids);
    token_list_free(&again);
    buffer_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct tokenizer *gpt2, *qwen2;
    if (!gpt2) gpt2 = load("tests/golden/tokenizer/gpt2.json");
    if (!qwen2) qwen2 = load("tests/golden/tokenizer/qwen2.json");
    check(gpt2, (const char *)data, n);
    check(qwen2, (const char *)data, n);
    return 0;
}
