/* fuzz_tokenizer_file.c - a libFuzzer target: any bytes as a tokenizer file (tokenizer.json, GGUF, SentencePiece,
 * tiktoken are told apart by how they begin). What opens must encode, and decode what it encoded. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/atomic.h"
#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char path[64];

static void remove_file(void) { remove(path); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static const char text[] = " ab 11<x>\n\xff\xe4\xb8\xad the The's\r\n  123 e\xcc\x81 "
                               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    struct talc_error err = {0};
    if (!path[0]) {
        /* a .tiktoken file is known by its name */
        snprintf(path, sizeof path, "/tmp/r50k-fuzz-XXXXXX");
        int fd = mkstemp(path);
        if (fd < 0) abort();
        atexit(remove_file);
    }
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f) != 0) abort();
    struct tokenizer *tok = tokenizer_load(path, &err);
    if (!tok) {
        if (!err.message[0]) abort(); /* a failure says what it is */
        return 0;
    }
    struct token_list ids = {0};
    struct buffer back = {0};
    for (int special = 0; special < 2; special++) {
        token_list_clear(&ids);
        if (tokenizer_encode(tok, text, sizeof text - 1, special, &ids, NULL) &&
            !tokenizer_decode(tok, ids.ids, ids.count, special, &back, NULL))
            abort(); /* ids that were given out exist */
    }
    buffer_free(&back);
    token_list_free(&ids);
    tokenizer_free(tok);
    return 0;
}
