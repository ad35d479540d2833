/* template.h - chat templates: the part of Jinja2 that the templates of language models use, rendered to the same bytes
 * as Python's jinja2 with the settings of Hugging Face transformers (trim_blocks, lstrip_blocks, loop controls, no
 * autoescape, immutable sandbox, tojson, raise_exception, strftime_now, {% generation %}).
 *
 * Template and data are both untrusted: depth, steps, memory and output are bounded (below), integers that leave 64
 * bits are an error, and templates reach nothing but their variables and the clock. A parsed template is immutable: any
 * number of threads may render it at once. Rendering wants up to 2 MiB of stack.
 *
 * Not supported, with an error that says so: include, import, extends, block, call, recursive loops, *args and **kwargs
 * in calls, printf-style formatting. Case mapping beyond ASCII needs utf8proc; numbers in text have ASCII digits.
 * Iterators (map, select, ...) are evaluated at once rather than lazily. */
#ifndef TALC_TEXT_TEMPLATE_H
#define TALC_TEXT_TEMPLATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define TEMPLATE_MAX_SOURCE ((size_t)1 << 20) /* bytes of template */
#define TEMPLATE_MAX_NESTING 200              /* tags or brackets inside each other, while parsing */
#define TEMPLATE_MAX_DEPTH 2000 /* statements, expressions, calls and lists inside each other, while rendering */
#define TEMPLATE_MAX_STEPS ((int64_t)50000000) /* nodes evaluated, and bytes looked at / 32 */
#define TEMPLATE_MAX_MEMORY ((size_t)1 << 29)  /* bytes of values of one rendering */
#define TEMPLATE_MAX_OUTPUT ((size_t)1 << 26)  /* bytes of one string, and of the output */
#define TEMPLATE_MAX_RANGE 100000              /* numbers in one range() */

struct chat_template;

/* Parses a template (UTF-8). NULL and an error that names the line when it is not valid. */
struct chat_template *chat_template_parse(const char *source, size_t n_bytes, struct talc_error *err);
void chat_template_free(struct chat_template *template); /* NULL is fine */
/* True when the template marks what the assistant says with {% generation %}. */
bool chat_template_has_generation(const struct chat_template *template);

struct template_input {
    const json_t
        *variables;        /* object: messages, tools, add_generation_prompt, ...: its strings are data. May be NULL */
    const json_t *trusted; /* object of variables whose strings count as the template's own text (bos_token, eos_token,
                            * ...); they win over `variables`. May be NULL */
    int64_t now;           /* seconds since 1970 that strftime_now tells (in local time); 0: the clock */
};

/* Where bytes of the output come from. */
enum template_origin {
    TEMPLATE_FROM_DATA = 1,     /* a string of template_input.variables (a role that names a known role is not data) */
    TEMPLATE_IN_GENERATION = 2, /* written inside {% generation %} */
};

struct template_span {
    size_t begin, end; /* bytes of the output */
    unsigned origin;   /* enum template_origin, or-ed; 0: the template's own text */
};
/* The output cut where the origin changes: adjacent, in order, covering every byte. Free with template_spans_free. */
struct template_spans {
    struct template_span *items;
    size_t n_items;
};
void template_spans_free(struct template_spans *spans);

/* Appends the rendering to `out`; spans (may be NULL; initialised by the call) count from the first byte appended.
 * A message given to raise_exception comes back in err. On failure out and spans are as before. */
bool chat_template_render(const struct chat_template *template, const struct template_input *input, struct buffer *out,
                          struct template_spans *spans, struct talc_error *err);

#endif
