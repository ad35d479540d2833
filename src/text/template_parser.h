/* template_parser.h - what the two halves of the parser (statements, expressions) share. Internal to template_*.c.
 * Failure latches in run->failed; parsing functions then return some node that nobody looks at. */
#ifndef TALC_TEXT_TEMPLATE_PARSER_H
#define TALC_TEXT_TEMPLATE_PARSER_H

#include <stdio.h>

#include "text/template_ast.h"
#include "text/template_lexer.h"

struct jinja_parser {
    struct jinja_run *run;
    struct chat_template *template;
    struct jinja_token *token; /* current */
    int depth, loop_depth;
    struct jinja_macro_definition *macro; /* innermost being parsed, or NULL */
    struct jinja_node lost;               /* these stand in when memory ran out */
    struct jinja_node_list lost_body;
    struct jinja_string empty;
};

struct jinja_node *parser_node(struct jinja_parser *p, enum jinja_node_kind kind);
void parser_add(struct jinja_parser *p, struct jinja_node_list *list, struct jinja_node *node);
void parser_fail(struct jinja_parser *p, const char *expected); /* "expected ..., found (the current token)" */
bool parser_enter(struct jinja_parser *p);                      /* one level deeper; each true needs its p->depth-- */
bool parser_at_operator(const struct jinja_parser *p, const char *text);
bool parser_at_name(const struct jinja_parser *p, const char *text);
void parser_next(struct jinja_parser *p);
bool parser_skip_operator(struct jinja_parser *p, const char *text);
bool parser_skip_name(struct jinja_parser *p, const char *text);
void parser_expect_operator(struct jinja_parser *p, const char *text);
const char *parser_expect_name(struct jinja_parser *p);
int parser_name_number(struct jinja_parser *p, const char *name);
const struct jinja_string *parser_string(struct jinja_parser *p, const char *text);

/* ---- template_expression.c ---- */
enum parser_tuple_mode { PARSE_ANY, PARSE_NO_CONDITIONAL, PARSE_IN_PARENTHESES };
struct jinja_node *parser_expression(struct jinja_parser *p);
/* One expression, or several with commas between them as a tuple. `end`: a name that ends it, or NULL. */
struct jinja_node *parser_tuple(struct jinja_parser *p, enum parser_tuple_mode mode, const char *end);
/* What is assigned to: a name, a tuple of targets and, if allowed, namespace.attribute. */
struct jinja_node *parser_target(struct jinja_parser *p, bool allow_namespace, const char *end);
/* | filter | filter ... on `node` (NULL: on a body, the result is NULL when there is none). `inline_first`: the first
 * filter has no bar. */
struct jinja_node *parser_filters(struct jinja_parser *p, struct jinja_node *node, bool inline_first);

#endif
