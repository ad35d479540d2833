/* run_folder.c - see run_folder.h. */
#include "file/run_folder.h"

#include <stdlib.h>
#include <string.h>

#include "file/atomic.h"

static void fail_file(const char *path, struct talc_error *err) {
    char head[4];
    size_t n = 0;
    bool gguf = file_read_head(path, head, sizeof head, &n, NULL) && n == 4 && memcmp(head, "GGUF", 4) == 0;
    talc_fail(err, "%s: is a %s; a model is a folder as Hugging Face has them, with config.json and safetensors", path,
              gguf ? "GGUF file, whose weights are not read" : "file");
}

char *run_folder_find_model(const char *path, bool latest_first, struct talc_error *err) {
    static const char *const orders[2][3] = {{".", "best", "latest"}, {"latest", "best", "."}};
    for (int i = 0; i < 3; i++) {
        const char *name = orders[latest_first][i];
        char *folder = strcmp(name, ".") == 0 ? strdup(path) : path_join(path, name);
        char *config = folder ? path_join(folder, "config.json") : NULL;
        bool found = config && file_exists(config);
        bool damaged = !found && latest_first && i == 0 && folder && folder_exists(folder);
        free(config);
        if (found) return folder;
        free(folder);
        if (damaged) { /* to go on from an older one would be to lose work without a word */
            talc_fail(err, "%s/latest: the checkpoint has no config.json; mend it, or remove it and the link", path);
            return NULL;
        }
    }
    if (file_exists(path))
        fail_file(path, err);
    else if (!folder_exists(path))
        talc_fail(err, "%s: there is no such folder", path);
    else
        talc_fail(err, "%s: no model here: neither config.json, nor best/, nor latest/", path);
    return NULL;
}
