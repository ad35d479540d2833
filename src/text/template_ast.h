/* template_ast.h - a parsed template as a tree, and the parser that makes it. Internal to template_*.c. */
#ifndef TALC_TEXT_TEMPLATE_AST_H
#define TALC_TEXT_TEMPLATE_AST_H

#include "text/template_value.h"

enum jinja_node_kind {
    /* expressions          what the fields hold */
    NODE_CONSTANT,       /* constant */
    NODE_NAME,           /* name */
    NODE_NAMESPACE_ITEM, /* name.attribute as the target of set */
    NODE_TUPLE,          /* items */
    NODE_LIST,           /* items */
    NODE_DICT,           /* items: key, value, key, value, ... */
    NODE_ATTRIBUTE,      /* left . attribute */
    NODE_ITEM,           /* left [ right ] */
    NODE_SLICE,          /* left [ items[0] : items[1] : items[2] ], each may be NULL */
    NODE_CALL,           /* left ( call ) */
    NODE_FILTER,         /* left | builtin ( call ); left is NULL in {% filter %} and {% set x | f %} */
    NODE_TEST,           /* left is builtin ( call ) */
    NODE_NOT,            /* left */
    NODE_NEGATE,         /* left */
    NODE_PLUS,           /* left */
    NODE_AND,            /* left, right */
    NODE_OR,             /* left, right */
    NODE_BINARY,         /* left operation right: + - * / % 'f' (//) '^' (**) */
    NODE_CONCAT,         /* items, with ~ between them */
    NODE_COMPARE,        /* left, then for each i operations[i] items[i] */
    NODE_CONDITIONAL,    /* left if right else third (or undefined) */
    /* statements */
    NODE_DATA,         /* constant, a string */
    NODE_PRINT,        /* left */
    NODE_IF,           /* items[i]: condition, bodies[i]; otherwise */
    NODE_FOR,          /* for left in right if third: bodies[0]; otherwise */
    NODE_SET,          /* left = right */
    NODE_SET_BLOCK,    /* left = bodies[0] through the filters of right (may be NULL) */
    NODE_MACRO,        /* macro */
    NODE_FILTER_BLOCK, /* bodies[0] through the filters of right */
    NODE_GENERATION,   /* bodies[0] */
    NODE_WITH,         /* items: target, value, ...; bodies[0] */
    NODE_BREAK,
    NODE_CONTINUE,
};

enum jinja_comparison {
    COMPARE_EQ,
    COMPARE_NE,
    COMPARE_LT,
    COMPARE_LE,
    COMPARE_GT,
    COMPARE_GE,
    COMPARE_IN,
    COMPARE_NOT_IN
};

struct jinja_node_list {
    struct jinja_node **items;
    size_t n_items, capacity;
};

struct jinja_keyword {
    const struct jinja_string *name;
    struct jinja_node *value;
};

/* The arguments of a call as written. */
struct jinja_call {
    struct jinja_node_list positional;
    struct jinja_keyword *keywords;
    size_t n_keywords;
};

struct jinja_parameter {
    int name;
    const struct jinja_string *text; /* the name */
    struct jinja_node *otherwise;    /* default value or NULL */
};
struct jinja_macro_definition {
    int name;
    struct jinja_parameter *parameters;
    size_t n_parameters;
    bool takes_varargs, takes_kwargs; /* the body reads `varargs`, `kwargs` */
    struct jinja_node_list body;
};

struct jinja_node {
    enum jinja_node_kind kind;
    int line;
    int name; /* number of a variable's name */
    char operation;
    const struct jinja_string *attribute; /* ATTRIBUTE, NAMESPACE_ITEM; FILTER, TEST: the name */
    struct jinja_value constant;
    struct jinja_node *left, *right, *third;
    struct jinja_node_list items;
    enum jinja_comparison *operations;
    const struct jinja_call *call;       /* NULL: no arguments */
    const struct jinja_builtin *builtin; /* NULL: no such filter or test */
    struct jinja_node_list *bodies;
    struct jinja_node_list otherwise;
    const struct jinja_macro_definition *macro;
};

/* Variable names are numbered, so that scopes compare integers. */
struct jinja_names {
    const char **items;
    size_t n_items, capacity;
};

struct chat_template {
    struct jinja_heap heap; /* everything below lives here */
    struct jinja_node_list body;
    struct jinja_names names;
    bool has_generation;
};

/* Parses the source into *template, using run's heap (which the caller then moves into the template). */
bool jinja_parse(struct jinja_run *run, const char *source, size_t n_bytes, struct chat_template *template);
/* The number of a name, or -1 when the template never mentions it. */
int jinja_name_number(const struct jinja_names *names, const char *name, size_t n_bytes);

#endif
