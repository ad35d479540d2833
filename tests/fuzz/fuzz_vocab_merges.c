/* fuzz_vocab_merges.c - a libFuzzer target: vocab.json, then a NUL, then merges.txt of a folder. What opens must
 * encode, and decode what it encoded. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char folder[64];

static void remove_folder(void) {
    char path[96];
    snprintf(path, sizeof path, "%s/vocab.json", folder);
    remove(path);
    snprintf(path, sizeof path, "%s/merges.txt", folder);
    remove(path);
    rmdir(folder);
}

static void put(const char *name, const uint8_t *data, size_t n) {
    char path[96];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static const char text[] = " ab 11<x>\n\xff\xe4\xb8\xad the The's\r\n  123";
    struct talc_error err = {0};
    if (!folder[0]) {
        strcpy(folder, "/tmp/talc-fuzz-XXXXXX");
        if (!mkdtemp(folder)) abort();
        atexit(remove_folder);
    }
    const uint8_t *end = n ? memchr(data, 0, n) : NULL;
    size_t n_vocab = end ? (size_t)(end - data) : n;
    put("vocab.json", data, n_vocab);
    put("merges.txt", data + n_vocab + (end != NULL), n - n_vocab - (end != NULL));
    struct tokenizer *tok = tokenizer_load(folder, &err);
    if (!tok) {
        if (!err.message[0]) abort(); /* a failure says what it is */
        return 0;
    }
    struct token_list ids = {0};
    struct buffer back = {0};
    if (tokenizer_encode(tok, text, sizeof text - 1, false, &ids, NULL) &&
        !tokenizer_decode(tok, ids.ids, ids.count, false, &back, NULL))
        abort(); /* ids that were given out exist */
    buffer_free(&back);
    token_list_free(&ids);
    tokenizer_free(tok);
    return 0;
}
