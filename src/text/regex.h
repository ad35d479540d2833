/* regex.h - regular expressions of tokenizer files, through PCRE2: for patterns without a scanner of their own.
 * Compiled once, then read-only; a matcher is for one thread. */
#ifndef TALC_TEXT_REGEX_H
#define TALC_TEXT_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct regex;
struct regex_matcher;

/* `pattern` is in Oniguruma's dialect, that of Hugging Face files; Unicode throughout (\p, \s, \d, \w and case). NULL
 * on failure: not a regular expression, something that PCRE2 has no words for, or talc was built without PCRE2. */
struct regex *regex_compile(const char *pattern, struct talc_error *err);
void regex_free(struct regex *regex); /* NULL is fine */

/* True when an expression has X{n,m}+, which is possessive in some dialects and in that one not. */
bool regex_repeats_interval(const char *pattern);

struct regex_matcher *regex_matcher_open(const struct regex *regex, struct talc_error *err);
void regex_matcher_close(struct regex_matcher *matcher); /* NULL is fine */

/* The first match of at least one byte in text[from..n), which must be valid UTF-8 (not checked): [*start, *end), or
 * *start == n when there is none. Fails when the expression needs too much memory or time. */
bool regex_find(struct regex_matcher *matcher, const char *text, size_t n, size_t from, size_t *start, size_t *end,
                struct talc_error *err);

#endif
