/* data_info.h - data.json: what a folder of prepared token shards was made from. */
#ifndef TALC_DATA_DATA_INFO_H
#define TALC_DATA_DATA_INFO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "file/json.h"

#define DATA_INFO_NAME "data.json"

struct split_info {
    int64_t n_tokens; /* separators included */
    int64_t n_bytes;  /* of text: loss per token x n_tokens / n_bytes / ln 2 is bits per byte */
    int64_t n_documents;
};

struct data_info {
    int64_t vocab_size;
    int64_t end_of_text;     /* the token behind each document; -1: there is none */
    int64_t text_start;      /* tokenizer_text_start_id: before each, if it is another; else end_of_text */
    char tokenizer_hash[32]; /* tokenizer_hash() in hexadecimal: a model must go with the same tokenizer */
    struct split_info train, val;
};

/* Reads FOLDER/data.json and checks every number. */
bool data_info_read(struct data_info *info, const char *folder, struct talc_error *err);

/* Writes FOLDER/data.json; `extra` (may be NULL) is an object whose keys are added. */
bool data_info_write(const struct data_info *info, const char *folder, const json_t *extra, struct talc_error *err);

#endif
