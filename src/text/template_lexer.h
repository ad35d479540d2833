/* template_lexer.h - a template's source as tokens. Internal to template_*.c. */
#ifndef TALC_TEXT_TEMPLATE_LEXER_H
#define TALC_TEXT_TEMPLATE_LEXER_H

#include "text/template_value.h"

enum jinja_token_kind {
    JINJA_TOKEN_END, /* of the source; the last token, always there */
    JINJA_TOKEN_DATA,
    JINJA_TOKEN_BLOCK_BEGIN,
    JINJA_TOKEN_BLOCK_END,
    JINJA_TOKEN_VARIABLE_BEGIN,
    JINJA_TOKEN_VARIABLE_END,
    JINJA_TOKEN_NAME,
    JINJA_TOKEN_CONSTANT, /* a string or a number */
    JINJA_TOKEN_OPERATOR,
};

struct jinja_token {
    enum jinja_token_kind kind;
    int line;
    const char *text;            /* NAME, OPERATOR: as written, terminated */
    struct jinja_value constant; /* DATA (a string), CONSTANT */
};

/* Fills *tokens (from run's heap). The source is copied. White space is trimmed as jinja2 does with trim_blocks and
 * lstrip_blocks. */
bool jinja_lex(struct jinja_run *run, const char *source, size_t n_bytes, struct jinja_token **tokens);

#endif
