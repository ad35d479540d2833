/* replay.c - gives a fuzz target the files of its corpus, tests/fuzz/corpus/NAME for a program called replay_NAME: what
 * once broke it must not again. Linked with the target in libFuzzer's place. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/atomic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int replay(const char *folder) {
    DIR *d = opendir(folder);
    int n_files = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        struct talc_error err = {0};
        size_t n;
        if (e->d_name[0] == '.') continue;
        char *path = path_join(folder, e->d_name), *data = path ? file_read(path, SIZE_MAX, &n, &err) : NULL;
        printf("%s\n", path ? path : "out of memory");
        fflush(stdout); /* so that it is known which one it was */
        if (!data) return fprintf(stderr, "%s\n", err.message), 0;
        LLVMFuzzerTestOneInput((const uint8_t *)data, n);
        free(data);
        free(path);
        n_files++;
    }
    if (d) closedir(d);
    return n_files;
}

int main(int argc, char **argv) {
    static const char prefix[] = "replay_";
    const char *name = argc > 0 ? strstr(argv[0], prefix) : NULL;
    char *folder = name ? path_join("tests/fuzz/corpus", name + sizeof prefix - 1) : NULL;
    int n = folder ? replay(folder) : 0;
    if (n == 0) fprintf(stderr, "no file of a corpus was replayed\n");
    free(folder);
    return n == 0;
}
