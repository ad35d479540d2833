/* template_lexer.h - a template's source as tokens. Internal to template_*.c. */
#ifndef TALC_TEXT_TEMPLATE_LEXER_H
#define TALC_TEXT_TEMPLATE_LEXER_H

#include "text/template_value.h"

enum jinja_token_kind {
    TOKEN_END, /* of the source; the last token, always there */
    TOKEN_DATA,
    TOKEN_BLOCK_BEGIN,
    TOKEN_BLOCK_END,
    TOKEN_VARIABLE_BEGIN,
    TOKEN_VARIABLE_END,
    TOKEN_NAME,
    TOKEN_CONSTANT, /* a string or a number */
    TOKEN_OPERATOR,
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
