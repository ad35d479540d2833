/* template_string.h - what Python's str can do, on strings that keep the origin of every byte. Internal to
 * template_*.c. Positions and lengths are bytes unless they say characters. */
#ifndef TALC_TEXT_TEMPLATE_STRING_H
#define TALC_TEXT_TEMPLATE_STRING_H

#include "text/template_value.h"

/* ---- characters ---- */
bool jinja_is_space(int32_t codepoint);     /* str.isspace */
bool jinja_is_printable(int32_t codepoint); /* str.isprintable */
/* In a name: letters, digits, underscore and everything beyond ASCII. */
bool jinja_is_name_byte(unsigned char c, bool first);

enum jinja_case { JINJA_UPPER, JINJA_LOWER, JINJA_CAPITALIZE, JINJA_TITLE, JINJA_TITLE_WORDS };
/* TITLE is str.title (a word starts after any non-letter), TITLE_WORDS the title filter (after space and -({[<). */
struct jinja_value jinja_change_case(struct jinja_run *run, const struct jinja_string *s, enum jinja_case how);

enum jinja_side { JINJA_LEFT = 1, JINJA_RIGHT = 2, JINJA_BOTH = 3 };
/* Removes characters of the set `chars` (NULL: white space) at the ends. */
struct jinja_value jinja_strip(struct jinja_run *run, const struct jinja_string *s, const struct jinja_string *chars,
                               enum jinja_side side);
/* str.split / rsplit: `separator` NULL splits at runs of white space; max_splits < 0: all. */
struct jinja_value jinja_split(struct jinja_run *run, const struct jinja_string *s,
                               const struct jinja_string *separator, int64_t max_splits, bool from_right);
struct jinja_list *jinja_split_lines(struct jinja_run *run, const struct jinja_string *s, bool keep_ends);
struct jinja_value jinja_replace(struct jinja_run *run, const struct jinja_string *s,
                                 const struct jinja_string *old_text, const struct jinja_string *new_text,
                                 int64_t max_count);
struct jinja_value jinja_join(struct jinja_run *run, const struct jinja_string *separator,
                              const struct jinja_list *items);
struct jinja_value jinja_repeat(struct jinja_run *run, const struct jinja_string *s, int64_t n);
struct jinja_value jinja_concat(struct jinja_run *run, const struct jinja_string *a, const struct jinja_string *b);
/* &, <, >, ' and " as HTML, and the result is markup; markup comes back as it is. */
struct jinja_value jinja_escape(struct jinja_run *run, const struct jinja_string *s);
/* First (or last) place of `part` at or after `from`; -1: none. */
int64_t jinja_find(struct jinja_run *run, const struct jinja_string *s, const struct jinja_string *part, size_t from,
                   bool last);
bool jinja_starts_with(const struct jinja_string *s, const struct jinja_string *part, size_t at);
int64_t jinja_char_index(const struct jinja_string *s, size_t byte);  /* characters before a byte */
size_t jinja_byte_index(const struct jinja_string *s, int64_t chars); /* byte of a character; the end when past it */

/* s[start:stop:step] of a string or a list, each bound an integer or none; Python's rules. */
struct jinja_value jinja_slice(struct jinja_run *run, struct jinja_value of, struct jinja_value start,
                               struct jinja_value stop, struct jinja_value step);
/* Stable merge sort in place. `compare` may fail the run. */
void jinja_sort(struct jinja_run *run, struct jinja_list *list,
                int (*compare)(struct jinja_run *run, struct jinja_value a, struct jinja_value b));

#endif
