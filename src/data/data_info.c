/* data_info.c - reading and writing data.json; see data_info.h. */
#include "data/data_info.h"

#include <stdio.h>
#include <stdlib.h>

#include "file/atomic.h"

static bool read_split(struct split_info *split, const json_t *root, const char *name, struct talc_error *err) {
    const json_t *o = json_object_get(root, name);
    if (!json_is_object(o)) return talc_fail(err, "has no \"%s\"", name);
    return json_get_int(o, "n_tokens", 0, 0, INT64_MAX, &split->n_tokens, err) &&
           json_get_int(o, "n_bytes", 0, 0, INT64_MAX, &split->n_bytes, err) &&
           json_get_int(o, "n_documents", 0, 0, INT64_MAX, &split->n_documents, err);
}

static bool read_fields(struct data_info *info, const json_t *root, struct talc_error *err) {
    const char *hash;
    if (!json_object_get(root, "vocab_size")) return talc_fail(err, "has no \"vocab_size\"");
    if (!json_get_int(root, "vocab_size", 0, 1, INT32_MAX, &info->vocab_size, err) ||
        !json_get_int(root, "end_of_text", -1, -1, info->vocab_size - 1, &info->end_of_text, err) ||
        !json_get_int(root, "text_start", info->end_of_text, -1, info->vocab_size - 1, &info->text_start, err) ||
        !json_get_string(root, "tokenizer_hash", "", &hash, err))
        return false;
    snprintf(info->tokenizer_hash, sizeof info->tokenizer_hash, "%s", hash);
    return read_split(&info->train, root, "train", err) && read_split(&info->val, root, "val", err);
}

bool data_info_read(struct data_info *info, const char *folder, struct talc_error *err) {
    *info = (struct data_info){0};
    char *path = path_join(folder, DATA_INFO_NAME);
    if (!path) return talc_fail(err, "out of memory");
    bool ok = false;
    if (!file_exists(path)) {
        talc_fail(err, "%s: has no " DATA_INFO_NAME "; make such a folder with talc prepare", folder);
    } else {
        json_t *root = json_read_file(path, 0, err);
        ok = root && (read_fields(info, root, err) || talc_fail_in(err, "%s", path));
        json_decref(root);
    }
    free(path);
    return ok;
}

static json_t *split_json(const struct split_info *split) {
    return json_pack("{s:I, s:I, s:I}", "n_tokens", (json_int_t)split->n_tokens, "n_bytes", (json_int_t)split->n_bytes,
                     "n_documents", (json_int_t)split->n_documents);
}

bool data_info_write(const struct data_info *info, const char *folder, const json_t *extra, struct talc_error *err) {
    char *path = path_join(folder, DATA_INFO_NAME);
    json_t *root =
        json_pack("{s:s, s:I, s:I, s:I, s:o, s:o}", "tokenizer_hash", info->tokenizer_hash, "vocab_size",
                  (json_int_t)info->vocab_size, "end_of_text", (json_int_t)info->end_of_text, "text_start",
                  (json_int_t)info->text_start, "train", split_json(&info->train), "val", split_json(&info->val));
    bool ok = path && root && (!extra || json_object_update((json_t *)root, (json_t *)extra) == 0);
    ok = ok ? json_write_file(path, root, err) : talc_fail(err, "%s/" DATA_INFO_NAME ": out of memory", folder);
    json_decref(root);
    free(path);
    return ok;
}
