/* chat_reader.h - conversations from the file formats in use: JSON, one object a line (.jsonl), or one array of objects
 * (.json), either packed (.zst) or not. Every conversation comes out as a list of messages. */
#ifndef TALC_DATA_CHAT_READER_H
#define TALC_DATA_CHAT_READER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "file/json.h"

enum chat_format {
    CHAT_MESSAGES,          /* {"messages": [{"role", "content"}, ...]}; also "tools", a list or its JSON as a string */
    CHAT_PROMPT_COMPLETION, /* {"prompt", "completion"}: strings or lists of messages */
    CHAT_QUESTION_ANSWER,   /* {"question", "answer"} */
    CHAT_ALPACA,            /* {"instruction", "input", "output" or "response"} */
    CHAT_SHAREGPT,          /* {"conversations": [{"from": human|gpt|system, "value"}, ...]} */
    CHAT_TEXT,              /* {"text"}: no conversation, learnt as it stands */
    CHAT_FORMATS,
};
const char *chat_format_name(enum chat_format format); /* "messages", "Alpaca", ... */

/* What one line (or element) holds; good until the next call. */
struct chat_record {
    enum chat_format format;
    json_t *messages; /* an array that is not empty: each has a "role" (system, developer, user, assistant, tool) and a
                         "content" that is a string, or null or absent beside "tool_calls". NULL for CHAT_TEXT */
    json_t *tools;    /* an array, or NULL */
    const char *text; /* of CHAT_TEXT, not empty, may hold NUL */
    size_t n_bytes;
    const char *where; /* "chats.jsonl:17", for messages about it; NULL: there are no more records */
};

struct chat_reader;
/* `stop` as in input_stream.h. */
struct chat_reader *chat_reader_open(const char *path, const volatile sig_atomic_t *stop, struct talc_error *err);
void chat_reader_close(struct chat_reader *r); /* NULL is fine */

/* The next record; texts that are empty are passed over. What is in none of the formats fails, naming file and line; so
 * does a file without any record. */
bool chat_reader_next(struct chat_reader *r, struct chat_record *record, struct talc_error *err);

uint64_t chat_reader_position(const struct chat_reader *r); /* bytes of the file read so far, for progress */

/* How many records of a format were read so far. */
size_t chat_reader_count(const struct chat_reader *r, enum chat_format format);

#endif
