/* fuzz_model_file.c - a libFuzzer target: any bytes as a GGUF file of a model. What opens can be run on a token. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char path[64];

static void remove_file(void) { remove(path); }

static void run_one_token(struct model *m) {
    struct run run;
    const int32_t zero = 0, starts[2] = {0, 1};
    const struct batch batch = {.n_tokens = 1,
                                .n_sequences = 1,
                                .tokens = &zero,
                                .positions = &zero,
                                .starts = starts,
                                .head_rows = &zero,
                                .n_head_rows = 1};
    const struct run_options o = {.max_tokens = 1, .max_sequences = 1};
    struct talc_error err = {0};
    if (!run_open(&run, m, &o, &err)) return;
    if (!run_forward(&run, &batch, &err)) abort();
    run_close(&run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    enum { LONGEST = 4096 }; /* contexts: their tables are not what is looked at */
    struct talc_error err = {0};
    struct stream stream;
    struct arch arch;
    struct model m;
    if (!path[0]) {
        snprintf(path, sizeof path, "/tmp/model-fuzz-XXXXXX");
        int fd = mkstemp(path);
        if (fd < 0) abort();
        atexit(remove_file);
    }
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f) != 0) abort();
    struct thread_pool *pool = thread_pool_open(1, NULL);
    if (!pool || !stream_open(&stream, "cpu", pool, NULL)) abort();
    bool ok = model_read_arch(path, &arch, &err);
    if (ok && arch.context_length <= LONGEST) {
        ok = model_load(&m, path, &stream, NULL, &err);
        if (ok) run_one_token(&m);
        if (ok) model_close(&m);
    }
    if (!ok && !err.message[0]) abort(); /* a failure says what it is */
    stream_close(&stream);
    thread_pool_close(pool);
    return 0;
}
