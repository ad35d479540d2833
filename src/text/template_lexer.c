/* template_lexer.c - cuts a template into text and tags, trims the white space around tags, and cuts tags into names,
 * constants and operators. The rules are those of jinja2's lexer with trim_blocks and lstrip_blocks on. */
#include "text/template_lexer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/template_string.h"

struct lexer {
    struct jinja_run *run;
    const char *source; /* line ends are \n; terminated */
    size_t n_bytes, at;
    int line;
    size_t line_counted; /* `line` is the line of this byte */
    bool line_starting;  /* the tag before ended with a newline (or there was none) */
    char open_brackets[TEMPLATE_MAX_NESTING];
    int n_open;
    struct jinja_token *tokens;
    size_t n_tokens, capacity;
    struct jinja_token lost; /* written instead of a token when memory ran out */
};

static void fail_at(struct lexer *lexer, size_t at, const char *what) {
    for (; lexer->line_counted < at && lexer->line_counted < lexer->n_bytes; lexer->line_counted++)
        lexer->line += lexer->source[lexer->line_counted] == '\n';
    lexer->run->line = lexer->line;
    jinja_fail(lexer->run, "%s", what);
}

/* A token that begins at byte `at` (never before the one before it). */
static struct jinja_token *add_token(struct lexer *lexer, enum jinja_token_kind kind, size_t at) {
    if (lexer->n_tokens == lexer->capacity) {
        size_t capacity = lexer->capacity ? lexer->capacity * 2 : 256;
        struct jinja_token *tokens = jinja_take(lexer->run, capacity, sizeof *tokens);
        if (!tokens) return &lexer->lost;
        if (lexer->n_tokens) memcpy(tokens, lexer->tokens, lexer->n_tokens * sizeof *tokens);
        lexer->tokens = tokens;
        lexer->capacity = capacity;
    }
    for (; lexer->line_counted < at; lexer->line_counted++) lexer->line += lexer->source[lexer->line_counted] == '\n';
    struct jinja_token *token = &lexer->tokens[lexer->n_tokens++];
    *token = (struct jinja_token){.kind = kind, .line = lexer->line, .text = ""};
    return token;
}

static bool looking_at(const struct lexer *lexer, size_t at, const char *text) {
    size_t n = strlen(text);
    return at <= lexer->n_bytes && n <= lexer->n_bytes - at && memcmp(lexer->source + at, text, n) == 0;
}

static size_t skip_space(const struct lexer *lexer, size_t at) {
    while (at < lexer->n_bytes) {
        int32_t c;
        int n = utf8_decode(lexer->source + at, lexer->n_bytes - at, &c);
        if (!jinja_is_space(c)) break;
        at += (size_t)n;
    }
    return at;
}

/* ---- text and tags --------------------------------------------------------------------------- */
/* Adds text [begin, end) that stands before a tag with this sign ('-', '+' or 0). */
static void add_data(struct lexer *lexer, size_t begin, size_t end, char sign, bool variable) {
    struct jinja_string text = {.bytes = lexer->source + begin, .n_bytes = end - begin};
    if (sign == '-') {
        struct jinja_value kept = jinja_strip(lexer->run, &text, NULL, JINJA_RIGHT);
        if (kept.kind == JINJA_STRING) text.n_bytes = kept.string->n_bytes;
    } else if (sign != '+' && !variable) {
        size_t line_begin = text.n_bytes; /* of the last line */
        while (line_begin > 0 && text.bytes[line_begin - 1] != '\n') line_begin--;
        if ((line_begin > 0 || lexer->line_starting) && skip_space(lexer, begin + line_begin) >= end)
            text.n_bytes = line_begin;
    }
    if (text.n_bytes == 0) return;
    struct jinja_token *token = add_token(lexer, JINJA_TOKEN_DATA, begin);
    token->constant = jinja_new_string(lexer->run, text.bytes, text.n_bytes, 0);
}

static char sign_at(const struct lexer *lexer, size_t at) {
    char c = at < lexer->n_bytes ? lexer->source[at] : 0;
    return c == '-' || c == '+' ? c : 0;
}

/* Moves past the end of a tag whose closing text ends at `at`: a '-' before it takes all white space along, and a block
 * or comment takes one newline. */
static void end_tag(struct lexer *lexer, size_t at, char sign, bool trim_newline) {
    if (sign == '-')
        at = skip_space(lexer, at);
    else if (sign != '+' && trim_newline && at < lexer->n_bytes && lexer->source[at] == '\n')
        at++;
    lexer->at = at;
    lexer->line_starting = at > 0 && lexer->source[at - 1] == '\n';
}

static void lex_comment(struct lexer *lexer, size_t content) {
    const char *close = memmem(lexer->source + content, lexer->n_bytes - content, "#}", 2);
    if (!close) {
        fail_at(lexer, content, "a comment {# is not closed with #}");
        return;
    }
    size_t end = (size_t)(close - lexer->source);
    end_tag(lexer, end + 2, end > content ? sign_at(lexer, end - 1) : 0, true);
}

/* If a tag with only the given word begins at `at`: the byte after its "%}" (or after "-%}", then *sign is '-'). 0 if
 * not. */
static size_t word_tag(const struct lexer *lexer, size_t at, const char *word, char *sign) {
    if (!looking_at(lexer, at, "{%")) return 0;
    at = skip_space(lexer, at + 2 + (sign_at(lexer, at + 2) != 0));
    if (!looking_at(lexer, at, word)) return 0;
    at = skip_space(lexer, at + strlen(word));
    *sign = sign_at(lexer, at);
    if (*sign) at++;
    return looking_at(lexer, at, "%}") ? at + 2 : 0;
}

/* {% raw %} was read up to `body`: everything up to {% endraw %} is text. */
static void lex_raw(struct lexer *lexer, size_t body) {
    for (size_t at = body; at < lexer->n_bytes; at++) {
        char sign;
        size_t end = lexer->source[at] == '{' ? word_tag(lexer, at, "endraw", &sign) : 0;
        if (!end) continue;
        add_data(lexer, body, at, sign_at(lexer, at + 2), false);
        end_tag(lexer, end, sign, true);
        return;
    }
    fail_at(lexer, body, "{% raw %} is not closed with {% endraw %}");
}

static void lex_tag(struct lexer *lexer, bool variable);

/* Text up to the next tag, and the tag. */
static void lex_text(struct lexer *lexer) {
    size_t begin = lexer->at, at = begin;
    while (at + 1 < lexer->n_bytes &&
           !(lexer->source[at] == '{' && strchr("{%#", lexer->source[at + 1]) && lexer->source[at + 1]))
        at++;
    if (at + 1 >= lexer->n_bytes) {
        add_data(lexer, begin, lexer->n_bytes, '+', false);
        lexer->at = lexer->n_bytes;
        return;
    }
    char kind = lexer->source[at + 1], sign = sign_at(lexer, at + 2), raw_sign = 0;
    add_data(lexer, begin, at, sign, kind == '{');
    size_t raw = kind == '%' ? word_tag(lexer, at, "raw", &raw_sign) : 0;
    if (raw && raw_sign != '+') {
        lexer->line_starting = false; /* a '-' took the line end, and all white space behind it */
        lex_raw(lexer, raw_sign == '-' ? skip_space(lexer, raw) : raw);
        return;
    }
    size_t content = at + 2 + (sign != 0);
    if (kind == '#') {
        lex_comment(lexer, content);
        return;
    }
    add_token(lexer, kind == '{' ? JINJA_TOKEN_VARIABLE_BEGIN : JINJA_TOKEN_BLOCK_BEGIN, at);
    lexer->at = content;
    lex_tag(lexer, kind == '{');
}

/* ---- inside tags ----------------------------------------------------------------------------- */
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Digits with single underscores between them; returns the byte after them. */
static size_t skip_digits(const struct lexer *lexer, size_t at) {
    while (at < lexer->n_bytes &&
           (is_digit(lexer->source[at]) ||
            (lexer->source[at] == '_' && at + 1 < lexer->n_bytes && is_digit(lexer->source[at + 1]))))
        at++;
    return at;
}

static int radix_at(const struct lexer *lexer, size_t at) {
    if (lexer->source[at] != '0' || at + 1 >= lexer->n_bytes) return 10;
    char c = lexer->source[at + 1] | 0x20;
    return c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 10;
}

static size_t skip_radix_digits(const struct lexer *lexer, size_t at) {
    while (at < lexer->n_bytes && (lexer->source[at] == '_' || is_digit(lexer->source[at]) ||
                                   ((lexer->source[at] | 0x20) >= 'a' && (lexer->source[at] | 0x20) <= 'f')))
        at++;
    return at;
}

static void lex_number(struct lexer *lexer) {
    size_t begin = lexer->at, end;
    int radix = radix_at(lexer, begin);
    bool real = false;
    if (radix != 10) {
        end = skip_radix_digits(lexer, begin + 2);
    } else {
        end = skip_digits(lexer, begin);
        bool after_dot = begin > 0 && lexer->source[begin - 1] == '.';
        if (!after_dot && end + 1 < lexer->n_bytes && lexer->source[end] == '.' && is_digit(lexer->source[end + 1])) {
            real = true;
            end = skip_digits(lexer, end + 1);
        }
        size_t exponent = end + 1;
        if (exponent < lexer->n_bytes && (lexer->source[exponent] == '+' || lexer->source[exponent] == '-')) exponent++;
        if (!after_dot && end < lexer->n_bytes && (lexer->source[end] | 0x20) == 'e' && exponent < lexer->n_bytes &&
            is_digit(lexer->source[exponent])) {
            real = true;
            end = skip_digits(lexer, exponent);
        }
    }
    char digits[64], *stop;
    size_t n = 0;
    for (size_t i = begin + (radix != 10 ? 2 : 0); i < end && n < sizeof digits - 1; i++)
        if (lexer->source[i] != '_') digits[n++] = lexer->source[i];
    digits[n] = 0;
    errno = 0;
    struct jinja_value value = real ? jinja_float(strtod(digits, &stop)) : jinja_int(strtoll(digits, &stop, radix));
    if (n == 0 || *stop || n == sizeof digits - 1 || (errno && !real)) {
        fail_at(lexer, begin, "not a number, or one that does not fit in 64 bits");
        return;
    }
    add_token(lexer, JINJA_TOKEN_CONSTANT, begin)->constant = value;
    lexer->at = end;
}

/* The character code of an escape with up to `max` digits of a radix at *at; -1 if there are none (or, for x, u and U,
 * fewer than max). */
static int32_t escape_code(const char *bytes, size_t n, size_t *at, int max, int radix) {
    uint32_t code = 0;
    int count = 0;
    for (; count < max && *at < n; count++, (*at)++) {
        char c = bytes[*at];
        int digit = is_digit(c) ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : 99;
        if (digit >= radix) break;
        code = code * (uint32_t)radix + (uint32_t)digit;
    }
    bool complete = radix == 8 ? count > 0 : count == max;
    return complete && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF) ? (int32_t)code : -1;
}

/* One escape sequence; *at is at the character after the backslash and moves past it. */
static void write_escape(struct lexer *lexer, struct jinja_writer *w, const char *bytes, size_t n, size_t *at) {
    static const char names[] = "\\'\"abfnrtv", codes[] = "\\'\"\a\b\f\n\r\t\v";
    char c = bytes[*at], out[4];
    const char *found = c ? strchr(names, c) : NULL;
    if (c == '\n') {
        (*at)++; /* a line that goes on */
    } else if (found) {
        jinja_write(w, &codes[found - names], 1, 0);
        (*at)++;
    } else if (c == 'x' || c == 'u' || c == 'U' || (c >= '0' && c <= '7')) {
        bool octal = is_digit(c);
        size_t digits = *at + (octal ? 0 : 1);
        int32_t code = escape_code(bytes, n, &digits, octal ? 3 : c == 'x' ? 2 : c == 'u' ? 4 : 8, octal ? 8 : 16);
        if (code < 0)
            fail_at(lexer, (size_t)(bytes - lexer->source) + *at, "an escape in a string names no character");
        else
            jinja_write(w, out, (size_t)utf8_encode(code, out), 0);
        *at = digits;
    } else {
        jinja_write_text(w, "\\"); /* not an escape: both characters stand for themselves */
    }
}

static void lex_string(struct lexer *lexer) {
    char quote = lexer->source[lexer->at];
    size_t begin = lexer->at + 1, end = begin;
    while (end < lexer->n_bytes && lexer->source[end] != quote) end += lexer->source[end] == '\\' ? 2 : 1;
    if (end >= lexer->n_bytes) {
        fail_at(lexer, begin, "a string is not closed");
        return;
    }
    struct jinja_writer w = jinja_writer_make(lexer->run);
    const char *bytes = lexer->source + begin;
    for (size_t at = 0; at < end - begin && !lexer->run->failed;) {
        if (bytes[at] == '\\' && at + 1 < end - begin) {
            at++;
            write_escape(lexer, &w, bytes, end - begin, &at);
        } else {
            jinja_write(&w, &bytes[at++], 1, 0);
        }
    }
    add_token(lexer, JINJA_TOKEN_CONSTANT, begin)->constant = jinja_writer_string(&w);
    lexer->at = end + 1;
}

static bool balance(struct lexer *lexer, char c) {
    static const char open[] = "([{", close[] = ")]}";
    const char *found = strchr(open, c);
    if (found) {
        if (lexer->n_open == TEMPLATE_MAX_NESTING) return false;
        lexer->open_brackets[lexer->n_open++] = close[found - open];
    } else if (strchr(close, c)) {
        return lexer->n_open > 0 && lexer->open_brackets[--lexer->n_open] == c;
    }
    return true;
}

static void lex_operator(struct lexer *lexer) {
    static const char *const operators[] = {"**", "//", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                            "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        if (!looking_at(lexer, lexer->at, operators[i])) continue;
        if (!balance(lexer, operators[i][0])) {
            fail_at(lexer, lexer->at, "brackets do not match, or too many are open");
            return;
        }
        add_token(lexer, JINJA_TOKEN_OPERATOR, lexer->at)->text = operators[i];
        lexer->at += strlen(operators[i]);
        return;
    }
    fail_at(lexer, lexer->at, "a character that has no meaning in a tag");
}

static void lex_name(struct lexer *lexer) {
    size_t end = lexer->at + 1;
    while (end < lexer->n_bytes && jinja_is_name_byte((unsigned char)lexer->source[end], false)) end++;
    char *name = jinja_take(lexer->run, end - lexer->at + 1, 1);
    if (!name) return;
    memcpy(name, lexer->source + lexer->at, end - lexer->at);
    name[end - lexer->at] = 0;
    add_token(lexer, JINJA_TOKEN_NAME, lexer->at)->text = name;
    lexer->at = end;
}

/* True when the tag ends here (its end was read). */
static bool lex_tag_end(struct lexer *lexer, bool variable) {
    if (lexer->n_open) return false;
    char sign = sign_at(lexer, lexer->at);
    if (variable && sign == '+') return false;
    if (!looking_at(lexer, lexer->at + (sign != 0), variable ? "}}" : "%}")) return false;
    add_token(lexer, variable ? JINJA_TOKEN_VARIABLE_END : JINJA_TOKEN_BLOCK_END, lexer->at);
    end_tag(lexer, lexer->at + 2 + (sign != 0), sign, !variable);
    return true;
}

static void lex_tag(struct lexer *lexer, bool variable) {
    while (!lexer->run->failed) {
        lexer->at = skip_space(lexer, lexer->at);
        if (lexer->at >= lexer->n_bytes) {
            fail_at(lexer, lexer->at, variable ? "{{ is not closed with }}" : "{% is not closed with %}");
            return;
        }
        if (lex_tag_end(lexer, variable)) return;
        char c = lexer->source[lexer->at];
        if (is_digit(c))
            lex_number(lexer);
        else if (jinja_is_name_byte((unsigned char)c, true))
            lex_name(lexer);
        else if (c == '\'' || c == '"')
            lex_string(lexer);
        else
            lex_operator(lexer);
    }
}

/* A copy with \r\n and \r as \n, and without the last newline. */
static char *normalize_newlines(struct jinja_run *run, const char *source, size_t n_bytes, size_t *n_out) {
    char *copy = jinja_take(run, n_bytes + 1, 1);
    size_t n = 0;
    for (size_t i = 0; copy && i < n_bytes; i++) {
        if (source[i] == '\r' && i + 1 < n_bytes && source[i + 1] == '\n') continue;
        copy[n++] = source[i] == '\r' ? '\n' : source[i];
    }
    if (n && copy[n - 1] == '\n') n--;
    if (copy) copy[n] = 0;
    *n_out = n;
    return copy;
}

bool jinja_lex(struct jinja_run *run, const char *source, size_t n_bytes, struct jinja_token **tokens) {
    struct lexer *lexer = jinja_take(run, 1, sizeof *lexer);
    if (!lexer) return false;
    *lexer = (struct lexer){.run = run, .line = 1, .line_starting = true};
    lexer->source = normalize_newlines(run, source, n_bytes, &lexer->n_bytes);
    if (!lexer->source) return false;
    size_t valid = utf8_valid_prefix(lexer->source, lexer->n_bytes);
    if (valid < lexer->n_bytes) fail_at(lexer, valid, "the template is not valid UTF-8");
    while (lexer->at < lexer->n_bytes && !run->failed) lex_text(lexer);
    add_token(lexer, JINJA_TOKEN_END, lexer->n_bytes);
    *tokens = lexer->tokens;
    return !run->failed;
}
