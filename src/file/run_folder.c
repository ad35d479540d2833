/* run_folder.c - see run_folder.h. */
#include "file/run_folder.h"

#include <stdlib.h>
#include <string.h>

#include "file/atomic.h"
#include "file/gguf.h"

static bool is_gguf(const char *path) {
    char head[sizeof GGUF_MAGIC - 1];
    size_t n = 0;
    return file_exists(path) && file_read_head(path, head, sizeof head, &n, NULL) && n == sizeof head &&
           memcmp(head, GGUF_MAGIC, n) == 0;
}

char *run_folder_find_model(const char *path, bool latest_first, struct talc_error *err) {
    if (!latest_first && is_gguf(path)) return strdup(path);
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
        talc_fail(err, "%s: is a file, and no GGUF file; a model is one, or a folder with config.json and safetensors",
                  path);
    else if (!folder_exists(path))
        talc_fail(err, "%s: there is no such folder or file", path);
    else
        talc_fail(err, "%s: no model here: neither config.json, nor best/, nor latest/", path);
    return NULL;
}
