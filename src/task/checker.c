/* checker.c - loading tests and judging answers; see checker.h. */
#include "task/checker.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/checked.h"
#include "base/utf8.h"
#include "task/primer_lines.h"

/* ---- what is compared: text with white space made one space, without its case and a final full stop  */

static struct buffer normalised(const char *text, size_t n_bytes) {
    struct buffer out = {0};
    buffer_reserve(&out, n_bytes);
    for (size_t i = 0; i < n_bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        if (!isspace(c))
            buffer_append_char(&out, (char)tolower(c));
        else if (out.length > 0 && out.data[out.length - 1] != ' ')
            buffer_append_char(&out, ' ');
    }
    while (out.length > 0 && strchr(" .", out.data[out.length - 1])) out.data[--out.length] = '\0';
    return out;
}

static bool same_text(const char *a, size_t n_a, const char *b, size_t n_b) {
    struct buffer x = normalised(a, n_a), y = normalised(b, n_b);
    bool same = buffer_ok(&x) && buffer_ok(&y) && x.length == y.length && memcmp(x.data, y.data, x.length) == 0;
    buffer_free(&x);
    buffer_free(&y);
    return same;
}

static bool is_word_char(char c) { return isalnum((unsigned char)c) || (unsigned char)c >= 128 || c == '_'; }

/* `word` occurs in `text`, spelt alike, and not inside a longer word. */
static bool has_word(const char *text, size_t n_bytes, const char *word) {
    size_t n = strlen(word);
    const char *end = text + n_bytes, *at = text;
    for (; n > 0 && (at = memmem(at, (size_t)(end - at), word, n)); at++)
        if ((at == text || !is_word_char(at[-1])) && (at + n == end || !is_word_char(at[n]))) return true;
    return false;
}

/* ---- lines ----------------------------------------------------------------------------------- */

struct line {
    const char *text;
    size_t n_bytes;
};

/* The next line that is not blank, without space around it; false at the end. */
static bool next_line(const char **rest, struct line *line) {
    while (**rest) {
        size_t n = strcspn(*rest, "\n");
        const char *start = *rest;
        *rest += n + ((*rest)[n] == '\n');
        while (n > 0 && isspace((unsigned char)*start)) start++, n--;
        while (n > 0 && isspace((unsigned char)start[n - 1])) n--;
        *line = (struct line){start, n};
        if (n > 0) return true;
    }
    return false;
}

/* Takes "- ", "* " or "12. " off the beginning; *number is 0 for a bullet. False when there is neither. */
static bool take_marker(struct line *line, int *number) {
    size_t at = 0;
    *number = 0;
    if (line->n_bytes > 0 && strchr("-*", line->text[0])) {
        at = 1;
    } else {
        while (at < line->n_bytes && at < 4 && isdigit((unsigned char)line->text[at]))
            *number = 10 * *number + (line->text[at++] - '0');
        if (at == 0 || at >= line->n_bytes || line->text[at] != '.') return false;
        at++;
    }
    if (at >= line->n_bytes || line->text[at] != ' ') return false;
    line->text += at + 1;
    line->n_bytes -= at + 1;
    return true;
}

/* ---- one checker a type ---------------------------------------------------------------------- */

struct answer {
    const struct checker_item *item;
    const char *text;
    const struct code_runner *runner;
    struct checker_result *result;
};

static bool wrong(const struct answer *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool wrong(const struct answer *a, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(a->result->why, sizeof a->result->why, format, arguments);
    va_end(arguments);
    a->result->why[utf8_complete_prefix(a->result->why, strlen(a->result->why))] = '\0'; /* no character is torn */
    return true;                                                                         /* the answer is judged */
}

static bool right(const struct answer *a) {
    a->result->verdict = VERDICT_RIGHT;
    return true;
}

static const char *check_text(const struct answer *a, const char *key) {
    return json_string_value(json_object_get(a->item->check, key)); /* there: checker_load has looked */
}

static bool check_sentence(const struct answer *a, struct talc_error *err) {
    (void)err;
    if (same_text(a->text, strlen(a->text), a->item->answer, strlen(a->item->answer))) return right(a);
    return wrong(a, "expected \"%s\"", a->item->answer);
}

static bool check_memory(const struct answer *a, struct talc_error *err) {
    if (!has_word(a->text, strlen(a->text), check_text(a, "name")))
        return wrong(a, "does not say \"%s\"", check_text(a, "name"));
    return check_sentence(a, err);
}

/* Nothing follows the first mark, or line, that ends a sentence. */
static bool is_one_sentence(const char *text) {
    while (isspace((unsigned char)*text)) text++;
    for (; *text; text++) {
        bool ends = *text == '\n' || (strchr(".!?", *text) && isspace((unsigned char)text[1]));
        if (ends && text[1 + strspn(text + 1, " \t\r\n")]) return false;
    }
    return true;
}

static bool check_unknown(const struct answer *a, struct talc_error *err) {
    (void)err;
    if (!a->result->refusal) return wrong(a, "does not say that it does not know");
    if (!has_word(a->text, strlen(a->text), check_text(a, "thing")))
        return wrong(a, "does not name \"%s\"", check_text(a, "thing"));
    if (!is_one_sentence(a->text)) return wrong(a, "says more than that it does not know");
    return right(a);
}

static bool check_list(const struct answer *a, struct talc_error *err) {
    (void)err;
    const json_t *items = json_object_get(a->item->check, "items"), *item;
    size_t n_found = 0, i;
    bool found[64] = {false};
    struct line line;
    int number;
    for (const char *rest = a->text; next_line(&rest, &line); n_found++) {
        if (!take_marker(&line, &number)) return wrong(a, "a line is no item: \"%.*s\"", (int)line.n_bytes, line.text);
        bool expected = false;
        json_array_foreach(items, i, item) {
            if (expected || found[i]) continue;
            expected = found[i] = same_text(line.text, line.n_bytes, json_string_value(item), json_string_length(item));
        }
        if (!expected) return wrong(a, "not an item: \"%.*s\"", (int)line.n_bytes, line.text);
    }
    if (n_found < json_array_size(items)) return wrong(a, "%zu of %zu items", n_found, json_array_size(items));
    return right(a);
}

static bool check_outline(const struct answer *a, struct talc_error *err) {
    (void)err;
    const json_t *sections = json_object_get(a->item->check, "sections"), *section;
    const char *topic = check_text(a, "topic"), *rest = a->text;
    struct line line;
    int number;
    size_t i;
    if (!next_line(&rest, &line) || line.n_bytes < 2 || memcmp(line.text, "# ", 2) != 0) return wrong(a, "no heading");
    if (!same_text(line.text + 2, line.n_bytes - 2, topic, strlen(topic)))
        return wrong(a, "the heading is not \"%s\"", topic);
    json_array_foreach(sections, i, section) {
        if (!next_line(&rest, &line)) return wrong(a, "%zu of %zu sections", i, json_array_size(sections));
        if (!take_marker(&line, &number) || number != (int)i + 1) return wrong(a, "section %zu is not numbered", i + 1);
        if (!same_text(line.text, line.n_bytes, json_string_value(section), json_string_length(section)))
            return wrong(a, "section %zu is not \"%s\"", i + 1, json_string_value(section));
    }
    if (next_line(&rest, &line)) return wrong(a, "more than %zu sections", json_array_size(sections));
    return right(a);
}

/* A fenced block of Markdown: what follows the opening marker on its line ("c"), and the lines inside. */
struct fence {
    struct line info, code;
};

/* What the line at `at` holds after blanks and list markers. */
static const char *line_content(const char *at) {
    for (;;) {
        at += strspn(at, " \t");
        size_t n_digits = strspn(at, "0123456789");
        const char *mark = at + n_digits;
        if (!*mark || !strchr(n_digits ? ".)" : "-+*", *mark) || (mark[1] != ' ' && mark[1] != '\t')) return at;
        at = mark + 1;
    }
}

/* The marker with which the line [at, end) opens a block: as CommonMark has it (4.5), at the beginning and with no
 * backtick after backticks. Backticks and a language at the end of a sentence ("Here it is: ```c") are one too. */
static bool opening_marker(const char *at, const char *end, struct line *marker) {
    const char *content = line_content(at);
    *marker = (struct line){content, strspn(content, "~")};
    if (marker->n_bytes >= 3) return true;
    const char *ticks = memmem(at, (size_t)(end - at), "```", 3);
    if (!ticks) return false;
    *marker = (struct line){ticks, strspn(ticks, "`")};
    const char *info = ticks + marker->n_bytes;
    if (memchr(info, '`', (size_t)(end - info))) return false;
    if (ticks == content) return true;
    const char *after = info;
    while (isalnum((unsigned char)*after) || (*after && strchr("+.#-", *after))) after++;
    return after > info && after + strspn(after, " \t\r") >= end;
}

/* Where a block ends whose inside begins at `code`: at a marker as long as the one that opened it and alone on its
 * line, or right behind the last line of code ("}```"). Without one, at any marker; else it goes to the end. */
static const char *closing_marker(const char *code, struct line marker) {
    for (const char *line = code, *end; *line; line = end) {
        line++;
        end = line + strcspn(line, "\n");
        const char *stop = end;
        while (stop > line && strchr(" \t\r", stop[-1])) stop--;
        const char *start = stop;
        while (start > line && start[-1] == *marker.text) start--;
        bool alone = line + strspn(line, " \t") == start;
        if ((size_t)(stop - start) >= marker.n_bytes && (alone || !strchr(" \t", start[-1]))) return start;
    }
    const char *any = strstr(code, *marker.text == '`' ? "```" : "~~~");
    return any ? any : code + strlen(code);
}

/* The next block; false when there is no more. *rest is where a line begins or ends. */
static bool next_fence(const char **rest, struct fence *fence) {
    for (const char *line = *rest, *end; *line; line = end + (*end == '\n')) {
        struct line marker;
        end = line + strcspn(line, "\n");
        if (!opening_marker(line, end, &marker)) continue;
        const char *info = marker.text + marker.n_bytes;
        info += strspn(info, " \t");
        const char *close = closing_marker(end, marker);
        fence->info = (struct line){info, strcspn(info, " \t\r\n{")};
        fence->code = (struct line){end, (size_t)(close - end)};
        *rest = close + strcspn(close, "\n");
        return true;
    }
    return false;
}

/* How well what a block says it is fits a language: 3 it is that, 2 it is a relative (C++ for C), 1 it says nothing,
 * 0 something else. A version behind the name (c11, python3.10) makes no difference. */
static int language_fit(struct line info, const char *language) {
    static const struct {
        const char *language, *name;
        int fit;
    } names[] = {{"c", "c", 3},   {"c", "cpp", 2}, {"c", "c++", 2},         {"c", "cc", 2},
                 {"c", "cxx", 2}, {"c", "h", 2},   {"python", "python", 3}, {"python", "py", 3}};
    if (info.n_bytes == 0) return 1;
    while (info.n_bytes > 0 && strchr("0123456789.", info.text[info.n_bytes - 1])) info.n_bytes--;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i].language, language) == 0 && strlen(names[i].name) == info.n_bytes &&
            strncasecmp(names[i].name, info.text, info.n_bytes) == 0)
            return names[i].fit;
    return 0;
}

/* The inside of the block that holds the function (if one is asked for), among such of the one that fits the language
 * best, among such of the first; all of a text that has no block. A command to compile it may thus come before it. */
static struct line fenced_code(const char *text, const char *language, const char *function) {
    struct fence fence;
    struct line code = {text, strlen(text)};
    int best = -1;
    for (const char *rest = text; next_fence(&rest, &fence);) {
        bool holds = function && has_word(fence.code.text, fence.code.n_bytes, function);
        int fit = language_fit(fence.info, language) + (holds ? 4 : 0);
        if (fit > best) code = fence.code, best = fit;
    }
    return code;
}

/* Appends code without the indentation that all its lines have: that of a list item which it stands in. */
static void append_outdented(struct line code, struct buffer *out) {
    const char *end = code.text + code.n_bytes;
    size_t common = SIZE_MAX;
    for (int pass = 0; pass < 2; pass++)
        for (const char *at = code.text, *next; at < end; at = next) {
            const char *stop = memchr(at, '\n', (size_t)(end - at));
            next = stop ? stop + 1 : end;
            size_t indent = 0, n = (size_t)(next - at);
            while (indent < n && (at[indent] == ' ' || at[indent] == '\t')) indent++;
            bool blank = indent == n || at[indent] == '\n' || at[indent] == '\r';
            if (pass == 0 && !blank && indent < common) common = indent;
            size_t cut = blank || indent < common ? indent : common;
            if (pass == 1) buffer_append(out, at + cut, n - cut);
        }
}

/* The lines of `expected` are the last ones of `output`, whatever stands before them. */
static bool ends_with_lines(const char *output, const char *expected) {
    struct line line, want;
    size_t n_output = 0, n_expected = 0;
    for (const char *rest = output; next_line(&rest, &line);) n_output++;
    for (const char *rest = expected; next_line(&rest, &want);) n_expected++;
    for (; n_output > n_expected; n_output--) next_line(&output, &line);
    while (next_line(&expected, &want))
        if (!next_line(&output, &line) || line.n_bytes != want.n_bytes ||
            memcmp(line.text, want.text, want.n_bytes) != 0)
            return false;
    return true;
}

static bool check_code(const struct answer *a, struct talc_error *err) {
    const char *function = check_text(a, "function");
    struct line code = fenced_code(a->text, check_text(a, "language"), function);
    if (!a->runner) {
        a->result->verdict = VERDICT_SKIPPED;
        return wrong(a, "generated code is not run here");
    }
    if (function && !has_word(code.text, code.n_bytes, function))
        return wrong(a, "there is no function \"%s\"", function);
    struct buffer program = {0};
    append_outdented(code, &program);
    buffer_printf(&program, "\n%s", check_text(a, "tests"));
    if (!buffer_ok(&program)) {
        buffer_free(&program);
        return talc_fail(err, "out of memory for a program to test");
    }
    struct code_outcome outcome = {0};
    bool ok =
        a->runner->run(a->runner->context, check_text(a, "language"), program.data, program.length, &outcome, err);
    buffer_free(&program);
    if (!ok) return false;
    if (outcome.lacks) {
        a->result->verdict = VERDICT_SKIPPED;
        return wrong(a, "not run: there is no %s", outcome.lacks);
    }
    if (!outcome.ended_well) return wrong(a, "does not compile, or does not end well");
    if (!ends_with_lines(outcome.output, check_text(a, "output"))) return wrong(a, "gives other results");
    return right(a);
}

/* `texts` are the fields of "check" that a type needs, `list` the one that is a list of texts. */
static const struct type {
    const char *name, *texts[4], *list;
    bool (*check)(const struct answer *a, struct talc_error *err);
    bool should_refuse;
} types[] = {
    {"fact", {NULL}, NULL, check_sentence, false},
    {"list", {NULL}, "items", check_list, false},
    {"outline", {"topic"}, "sections", check_outline, false},
    {"memory", {"name"}, NULL, check_memory, false},
    {"unknown", {"thing"}, NULL, check_unknown, true},
    {"code", {"language", "tests", "output"}, NULL, check_code, false},
};

static const struct type *type_of(const json_t *check) {
    const char *name = json_string_value(json_object_get(check, "type"));
    for (size_t i = 0; name && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, name) == 0) return &types[i];
    return NULL;
}

static bool is_refusal(const char *answer) {
    static const char *const signs[] = {"do not know", "don't know", "don\xe2\x80\x99t know"}; /* U+2019 */
    struct buffer text = normalised(answer, strlen(answer));
    bool refusal = false;
    for (size_t i = 0; buffer_ok(&text) && text.length > 0 && i < sizeof signs / sizeof signs[0]; i++)
        refusal |= strstr(text.data, signs[i]) != NULL;
    buffer_free(&text);
    return refusal;
}

bool checker_score(const struct checker_item *item, const char *answer, size_t n_bytes,
                   const struct code_runner *runner, struct checker_result *result, struct talc_error *err) {
    *result = (struct checker_result){.verdict = VERDICT_WRONG, .refusal = is_refusal(answer)};
    struct answer a = {item, answer, runner, result};
    if (memchr(answer, 0, n_bytes)) return wrong(&a, "holds a NUL character");
    return type_of(item->check)->check(&a, err);
}

/* ---- loading --------------------------------------------------------------------------------- */

static bool is_text_list(const json_t *list) {
    const json_t *item;
    size_t i;
    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > 64) return false;
    json_array_foreach(list, i, item) {
        if (!json_is_string(item)) return false;
    }
    return true;
}

static bool are_messages(const json_t *messages) {
    const json_t *message;
    size_t i;
    const char *role = NULL;
    json_array_foreach(messages, i, message) {
        role = json_string_value(json_object_get(message, "role"));
        if (!role || !json_is_string(json_object_get(message, "content"))) return false;
    }
    return role && strcmp(role, "user") == 0;
}

/* Output that is empty everything would print; of one too long the beginning would not be there to compare. */
static bool code_can_be_judged(const json_t *check, const char *where, struct talc_error *err) {
    const char *output = json_string_value(json_object_get(check, "output")),
               *language = json_string_value(json_object_get(check, "language"));
    if (strcmp(language, "c") != 0 && strcmp(language, "python") != 0)
        return talc_fail(err, "%s: \"language\" is '%.40s'; code is run in c and python", where, language);
    struct line line;
    size_t most = sizeof((struct code_outcome *)NULL)->output / 2;
    if (strlen(output) > most) return talc_fail(err, "%s: \"output\" is longer than %zu bytes", where, most);
    if (!next_line(&output, &line))
        return talc_fail(err, "%s: \"output\" is empty: every program would be right", where);
    return true;
}

static bool check_is_complete(const json_t *check, const char *where, struct talc_error *err) {
    const struct type *type = type_of(check);
    if (!type) return talc_fail(err, "%s: \"check\" has no \"type\" that is known (fact, list, outline, ...)", where);
    for (int i = 0; i < 4 && type->texts[i]; i++)
        if (!json_is_string(json_object_get(check, type->texts[i])))
            return talc_fail(err, "%s: \"check\" of type %s has no \"%s\" that is a string", where, type->name,
                             type->texts[i]);
    if (type->list && !is_text_list(json_object_get(check, type->list)))
        return talc_fail(err, "%s: \"check\" of type %s has no \"%s\" that is a list of 1 to 64 strings", where,
                         type->name, type->list);
    return type->check != check_code || code_can_be_judged(check, where, err);
}

static bool load_item(void *context, json_t *object, const char *where, struct talc_error *err) {
    struct checker *checker = context;
    struct checker_item item = {.messages = json_object_get(object, "messages"),
                                .check = json_object_get(object, "check")};
    if (!json_get_string(object, "skill", NULL, &item.skill, err) ||
        !json_get_string(object, "answer", NULL, &item.answer, err))
        return talc_fail_in(err, "%s", where);
    if (!item.skill || !item.answer) return talc_fail(err, "%s: a test needs \"skill\" and \"answer\"", where);
    if (!are_messages(item.messages))
        return talc_fail(err, "%s: \"messages\" does not end with one of the user", where);
    if (!check_is_complete(item.check, where, err)) return false;
    if (checker->n_items == checker->capacity) {
        size_t capacity = checker->capacity ? 2 * checker->capacity : 256;
        struct checker_item *items = checked_realloc(checker->items, capacity, sizeof *items);
        if (!items) return talc_fail(err, "%s: out of memory", where);
        checker->items = items;
        checker->capacity = capacity;
    }
    item.record = json_incref(object);
    checker->items[checker->n_items++] = item;
    return true;
}

bool checker_load(struct checker *checker, const char *path, const volatile sig_atomic_t *stop,
                  struct talc_error *err) {
    *checker = (struct checker){0};
    bool ok = json_lines_read(path, stop, load_item, checker, err);
    if (ok && checker->n_items == 0) ok = talc_fail(err, "%s: no tests", path);
    if (!ok) checker_free(checker);
    return ok;
}

void checker_free(struct checker *checker) {
    for (size_t i = 0; i < checker->n_items; i++) json_decref(checker->items[i].record);
    free(checker->items);
    *checker = (struct checker){0};
}
