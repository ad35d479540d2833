/* chat_reader.c - telling the formats of conversations apart and turning each into messages; see chat_reader.h. */
#include "data/chat_reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "data/input_stream.h"

#define ARRAY_MAX_BYTES ((size_t)256 << 20) /* of a .json file, which is read whole */

struct chat_reader {
    char *path;
    const volatile sig_atomic_t *stop;
    struct line_reader lines;
    json_t *array; /* of a file that is one array, else NULL */
    size_t next;   /* its next element */
    json_t *root;  /* the object handed out last */
    json_t *messages;
    json_t *tools; /* of a record that has them as text, else NULL */
    struct buffer where;
    size_t counts[CHAT_FORMATS];
    uint64_t array_bytes;
};

static bool fail_here(const struct chat_reader *r, struct talc_error *err, const char *what) {
    return talc_fail(err, "%s: %s", r->where.data, what);
}

/* ---- formats --------------------------------------------------------------------------------- */

static bool check_message(const struct chat_reader *r, const json_t *message, struct talc_error *err) {
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};
    const char *role = json_string_value(json_object_get(message, "role"));
    const json_t *content = json_object_get(message, "content");
    bool known = false;
    if (!role) return fail_here(r, err, "a message has no \"role\"");
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) known |= strcmp(role, roles[i]) == 0;
    if (!known)
        return talc_fail(err, "%s: role \"%.40s\" is none of system, developer, user, assistant, tool", r->where.data,
                         role);
    if (json_is_string(content)) return true;
    if ((!content || json_is_null(content)) && json_is_array(json_object_get(message, "tool_calls"))) return true;
    return fail_here(r, err, "a message has no \"content\" that is a string");
}

static bool append_messages(struct chat_reader *r, const json_t *list, struct talc_error *err) {
    size_t i;
    json_t *message;
    json_array_foreach(list, i, message) {
        if (!check_message(r, message, err)) return false;
        if (json_array_append(r->messages, message) != 0) return fail_here(r, err, "out of memory");
    }
    return true;
}

static bool append_message(struct chat_reader *r, const char *role, const json_t *content, struct talc_error *err) {
    json_t *message = json_pack("{s:s, s:O}", "role", role, "content", content);
    return json_array_append_new(r->messages, message) == 0 || fail_here(r, err, "out of memory");
}

static bool read_messages(struct chat_reader *r, const json_t *root, struct talc_error *err) {
    const json_t *list = json_object_get(root, "messages");
    if (!json_is_array(list)) return fail_here(r, err, "\"messages\" is not a list");
    return append_messages(r, list, err);
}

/* A string becomes a message of that role; a list is one of messages already. */
static bool append_either(struct chat_reader *r, const json_t *root, const char *key, const char *role,
                          struct talc_error *err) {
    const json_t *value = json_object_get(root, key);
    if (json_is_string(value)) return append_message(r, role, value, err);
    if (json_is_array(value)) return append_messages(r, value, err);
    return talc_fail(err, "%s: has no \"%s\" that is a string", r->where.data, key);
}

static bool read_prompt_completion(struct chat_reader *r, const json_t *root, struct talc_error *err) {
    return append_either(r, root, "prompt", "user", err) && append_either(r, root, "completion", "assistant", err);
}

static bool read_question_answer(struct chat_reader *r, const json_t *root, struct talc_error *err) {
    return append_either(r, root, "question", "user", err) && append_either(r, root, "answer", "assistant", err);
}

/* The input, where there is one, follows the instruction after an empty line. */
static bool read_alpaca(struct chat_reader *r, const json_t *root, struct talc_error *err) {
    const json_t *instruction = json_object_get(root, "instruction"), *input = json_object_get(root, "input");
    if (!json_is_string(instruction)) return fail_here(r, err, "has no \"instruction\" that is a string");
    struct buffer text = {0};
    buffer_append(&text, json_string_value(instruction), json_string_length(instruction));
    if (json_is_string(input) && json_string_length(input)) {
        if (text.length) buffer_append_text(&text, "\n\n");
        buffer_append(&text, json_string_value(input), json_string_length(input));
    }
    json_t *content = buffer_ok(&text) ? json_stringn(text.data ? text.data : "", text.length) : NULL;
    bool ok = content ? append_message(r, "user", content, err) : fail_here(r, err, "out of memory");
    json_decref(content);
    buffer_free(&text);
    return ok && append_either(r, root, json_object_get(root, "output") ? "output" : "response", "assistant", err);
}

static bool read_sharegpt(struct chat_reader *r, const json_t *root, struct talc_error *err) {
    static const char *const roles[][2] = {{"human", "user"},          {"user", "user"},     {"gpt", "assistant"},
                                           {"assistant", "assistant"}, {"system", "system"}, {"tool", "tool"}};
    const json_t *list = json_object_get(root, "conversations"), *turn;
    size_t i;
    if (!json_is_array(list)) return fail_here(r, err, "\"conversations\" is not a list");
    json_array_foreach(list, i, turn) {
        const char *from = json_string_value(json_object_get(turn, "from")), *role = NULL;
        const json_t *value = json_object_get(turn, "value");
        if (!from || !json_is_string(value))
            return fail_here(r, err, "a turn needs \"from\" and \"value\", both strings");
        for (size_t k = 0; k < sizeof roles / sizeof *roles; k++)
            if (strcmp(from, roles[k][0]) == 0) role = roles[k][1];
        if (!role) return talc_fail(err, "%s: \"from\": \"%.40s\" is none of human, gpt, system", r->where.data, from);
        if (!append_message(r, role, value, err)) return false;
    }
    return true;
}

/* A format is known by its key. `read` fills r->messages; NULL for plain text. */
static const struct {
    const char *name, *key;
    bool (*read)(struct chat_reader *r, const json_t *root, struct talc_error *err);
} formats[CHAT_FORMATS] = {
    [CHAT_MESSAGES] = {"messages", "messages", read_messages},
    [CHAT_PROMPT_COMPLETION] = {"prompt and completion", "completion", read_prompt_completion},
    [CHAT_QUESTION_ANSWER] = {"question and answer", "question", read_question_answer},
    [CHAT_ALPACA] = {"Alpaca", "instruction", read_alpaca},
    [CHAT_SHAREGPT] = {"ShareGPT", "conversations", read_sharegpt},
    [CHAT_TEXT] = {"text", "text", NULL},
};

const char *chat_format_name(enum chat_format format) { return formats[format].name; }

size_t chat_reader_count(const struct chat_reader *r, enum chat_format format) { return r->counts[format]; }

/* ---- opening --------------------------------------------------------------------------------- */

/* Whether the first character that is not white space is '['. */
static bool begins_with_array(const struct chat_reader *r, bool *is_array, struct talc_error *err) {
    char begin[4096];
    size_t n = 0, at;
    struct input_stream *stream = input_stream_open(r->path, r->stop, err);
    bool ok = stream && input_stream_read(stream, begin, sizeof begin, &n, err);
    input_stream_close(stream);
    for (at = 0; at < n && strchr(" \t\r\n", begin[at]) && begin[at];) at++;
    *is_array = at < n && begin[at] == '[';
    return ok;
}

static bool load_array(struct chat_reader *r, struct talc_error *err) {
    enum { STEP = 1 << 20 };
    struct input_stream *stream = input_stream_open(r->path, r->stop, err);
    struct buffer text = {0};
    bool ok = stream != NULL;
    for (size_t n = STEP; ok && n == STEP && text.length <= ARRAY_MAX_BYTES;) {
        ok = buffer_reserve(&text, STEP) || talc_fail(err, "%s: out of memory", r->path);
        ok = ok && input_stream_read(stream, text.data + text.length, STEP, &n, err);
        if (ok) text.length += n;
    }
    if (ok && text.length > ARRAY_MAX_BYTES)
        ok = talc_fail(err, "%s: an array of more than %zu MiB; turn it into lines (jq -c '.[]')", r->path,
                       ARRAY_MAX_BYTES >> 20);
    if (ok) ok = (r->array = json_parse(text.data, text.length, r->path, err)) != NULL;
    if (stream) r->array_bytes = input_stream_position(stream);
    input_stream_close(stream);
    buffer_free(&text);
    return ok;
}

struct chat_reader *chat_reader_open(const char *path, const volatile sig_atomic_t *stop, struct talc_error *err) {
    struct chat_reader *r = calloc(1, sizeof *r);
    bool ok = r && (r->path = strdup(path)) != NULL, is_array = false;
    if (!ok) talc_fail(err, "out of memory");
    if (ok) r->stop = stop;
    if (ok && path_has_extension(path, "json")) ok = begins_with_array(r, &is_array, err);
    if (ok) ok = is_array ? load_array(r, err) : line_reader_open(&r->lines, path, stop, err);
    if (ok) return r;
    chat_reader_close(r);
    return NULL;
}

void chat_reader_close(struct chat_reader *r) {
    if (!r) return;
    line_reader_close(&r->lines);
    json_decref(r->array);
    json_decref(r->root);
    json_decref(r->messages);
    json_decref(r->tools);
    buffer_free(&r->where);
    free(r->path);
    free(r);
}

uint64_t chat_reader_position(const struct chat_reader *r) {
    return r->array ? r->array_bytes : input_stream_position(r->lines.stream);
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool set_where(struct chat_reader *r, const char *separator, size_t number, struct talc_error *err) {
    buffer_clear(&r->where);
    buffer_printf(&r->where, "%s%s%zu", r->path, separator, number);
    return buffer_ok(&r->where) || talc_fail(err, "%s: out of memory", r->path);
}

/* Sets r->root to the next object, or to NULL at the end. */
static bool next_root(struct chat_reader *r, struct talc_error *err) {
    json_decref(r->root);
    r->root = NULL;
    if (r->array) {
        if (r->next == json_array_size(r->array)) return true;
        r->root = json_incref(json_array_get(r->array, r->next++));
        return set_where(r, ": element ", r->next, err);
    }
    const char *line;
    size_t n;
    do {
        if (!line_reader_next(&r->lines, &line, &n, err)) return false;
    } while (line && line_is_blank(line, n));
    if (!line) return true;
    if (!set_where(r, ":", r->lines.line, err)) return false;
    r->root = json_parse(line, n, r->where.data, err);
    return r->root != NULL;
}

static bool fail_unknown(const struct chat_reader *r, struct talc_error *err) {
    if (!json_is_object(r->root)) return fail_here(r, err, "is not an object");
    if (json_object_get(r->root, "chosen"))
        return fail_here(r, err, "is a preference pair (\"chosen\", \"rejected\"), not a chat");
    return fail_here(r, err,
                     "is no chat: needs \"messages\", \"prompt\" and \"completion\", \"question\" and \"answer\", "
                     "\"instruction\" and \"output\", \"conversations\" or \"text\"");
}

/* A list, or the text of one: data sets kept in tables have columns of text. */
static bool read_tools(struct chat_reader *r, struct chat_record *record, struct talc_error *err) {
    json_t *tools = json_object_get(r->root, "tools");
    json_decref(r->tools);
    r->tools = NULL;
    if (json_is_string(tools)) {
        const char *text = json_string_value(tools);
        size_t n = json_string_length(tools);
        if (line_is_blank(text, n)) return true;
        tools = r->tools = json_parse(text, n, r->where.data, NULL);
        if (!tools) return fail_here(r, err, "\"tools\" is not a list, nor the JSON of one");
    }
    if (!tools || json_is_null(tools)) return true;
    record->tools = tools;
    return json_is_array(tools) || fail_here(r, err, "\"tools\" is not a list");
}

static bool convert(struct chat_reader *r, enum chat_format format, struct chat_record *record,
                    struct talc_error *err) {
    *record = (struct chat_record){.format = format, .where = r->where.data};
    r->counts[format]++;
    if (format == CHAT_TEXT) {
        const json_t *text = json_object_get(r->root, "text");
        if (!json_is_string(text)) return fail_here(r, err, "\"text\" is not a string");
        record->text = json_string_value(text);
        record->n_bytes = json_string_length(text);
        return true;
    }
    json_decref(r->messages);
    r->messages = json_array();
    if (!r->messages) return fail_here(r, err, "out of memory");
    if (!formats[format].read(r, r->root, err)) return false;
    if (json_array_size(r->messages) == 0) return fail_here(r, err, "holds no message");
    record->messages = r->messages;
    return read_tools(r, record, err);
}

/* CHAT_FORMATS: none. */
static enum chat_format format_of(const json_t *root) {
    int format = 0;
    while (format < CHAT_FORMATS && !json_object_get(root, formats[format].key)) format++;
    return (enum chat_format)format;
}

static bool is_empty_text(const json_t *root) {
    const json_t *text = json_object_get(root, "text");
    return format_of(root) == CHAT_TEXT && json_is_string(text) && json_string_length(text) == 0;
}

bool chat_reader_next(struct chat_reader *r, struct chat_record *record, struct talc_error *err) {
    *record = (struct chat_record){0};
    do {
        if (!next_root(r, err)) return false;
    } while (is_empty_text(r->root));
    if (!r->root) return r->where.length || talc_fail(err, "%s: holds no chats", r->path);
    enum chat_format format = format_of(r->root);
    return format == CHAT_FORMATS ? fail_unknown(r, err) : convert(r, format, record, err);
}
