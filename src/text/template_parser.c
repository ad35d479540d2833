/* template_parser.c - statements of chat templates: {% if %}, {% for %}, {% set %}, {% macro %}, ... Expressions are in
 * template_expression.c. A recursive-descent parser over the lexer's tokens, with the grammar of jinja2. */
#include "text/template_parser.h"

#include <string.h>

/* ---- tools of both halves of the parser ------------------------------------------------------ */
struct jinja_node *parser_node(struct jinja_parser *p, enum jinja_node_kind kind) {
    struct jinja_node *node = jinja_take(p->run, 1, sizeof *node);
    if (!node) return &p->lost;
    *node = (struct jinja_node){.kind = kind, .line = p->token->line, .name = -1};
    return node;
}

void parser_fail(struct jinja_parser *p, const char *what) {
    static const char *const kinds[] = {
        "the end of the template", "text", "{%", "%}", "{{", "}}", "", "a constant", ""};
    const char *found = p->token->text[0] ? p->token->text : kinds[p->token->kind];
    p->run->line = p->token->line;
    jinja_fail(p->run, "expected %s, found %s%s%s", what, p->token->text[0] ? "'" : "", found,
               p->token->text[0] ? "'" : "");
}

bool parser_at_operator(const struct jinja_parser *p, const char *text) {
    return p->token->kind == JINJA_TOKEN_OPERATOR && strcmp(p->token->text, text) == 0;
}

bool parser_at_name(const struct jinja_parser *p, const char *text) {
    return p->token->kind == JINJA_TOKEN_NAME && strcmp(p->token->text, text) == 0;
}

void parser_next(struct jinja_parser *p) {
    if (p->token->kind != JINJA_TOKEN_END) p->token++;
}

bool parser_skip_operator(struct jinja_parser *p, const char *text) {
    bool here = parser_at_operator(p, text);
    if (here) parser_next(p);
    return here;
}

bool parser_skip_name(struct jinja_parser *p, const char *text) {
    bool here = parser_at_name(p, text);
    if (here) parser_next(p);
    return here;
}

void parser_expect_operator(struct jinja_parser *p, const char *text) {
    if (!parser_skip_operator(p, text)) parser_fail(p, text);
}

const char *parser_expect_name(struct jinja_parser *p) {
    const char *text = p->token->text;
    if (p->token->kind != JINJA_TOKEN_NAME)
        parser_fail(p, "a name");
    else
        parser_next(p);
    return text;
}

static void expect_kind(struct jinja_parser *p, enum jinja_token_kind kind, const char *what) {
    if (p->token->kind != kind)
        parser_fail(p, what);
    else
        parser_next(p);
}

void parser_add(struct jinja_parser *p, struct jinja_node_list *list, struct jinja_node *node) {
    if (list->n_items == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 4;
        struct jinja_node **items = jinja_take(p->run, capacity, sizeof *items);
        if (!items) return;
        if (list->n_items) memcpy(items, list->items, list->n_items * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->n_items++] = node;
}

bool parser_enter(struct jinja_parser *p) {
    if (p->depth >= TEMPLATE_MAX_NESTING) {
        p->run->line = p->token->line;
        jinja_fail(p->run, "more than %d tags or expressions inside each other", TEMPLATE_MAX_NESTING);
    }
    if (p->run->failed) return false;
    p->depth++;
    return true;
}

const struct jinja_string *parser_string(struct jinja_parser *p, const char *text) {
    struct jinja_value v = jinja_new_string(p->run, text, strlen(text), 0);
    return v.kind == JINJA_STRING ? v.string : &p->empty;
}

int jinja_name_number(const struct jinja_names *names, const char *name, size_t n_bytes) {
    for (size_t i = 0; i < names->n_items; i++)
        if (strlen(names->items[i]) == n_bytes && memcmp(names->items[i], name, n_bytes) == 0) return (int)i;
    return -1;
}

int parser_name_number(struct jinja_parser *p, const char *name) {
    struct jinja_names *names = &p->template->names;
    jinja_spend(p->run, names->n_items);
    int number = jinja_name_number(names, name, strlen(name));
    if (number >= 0) return number;
    if (names->n_items == names->capacity) {
        size_t capacity = names->capacity ? names->capacity * 2 : 64;
        const char **items = jinja_take(p->run, capacity, sizeof *items);
        if (!items) return 0;
        if (names->n_items) memcpy(items, names->items, names->n_items * sizeof *items);
        names->items = items;
        names->capacity = capacity;
    }
    names->items[names->n_items] = name;
    return (int)names->n_items++;
}

/* ---- statements ------------------------------------------------------------------------------ */
static void parse_statements(struct jinja_parser *p, struct jinja_node_list *body, const char *const *ends);

/* The rest of an opening tag, then statements up to a tag that begins with one of `ends` (NULL-terminated), whose name
 * is left as the current token. */
static void parse_body(struct jinja_parser *p, struct jinja_node_list *body, const char *const *ends) {
    expect_kind(p, JINJA_TOKEN_BLOCK_END, "%}");
    if (!parser_enter(p)) return;
    parse_statements(p, body, ends);
    p->depth--;
}

static struct jinja_node_list *new_bodies(struct jinja_parser *p, size_t n) {
    struct jinja_node_list *bodies = jinja_take(p->run, n, sizeof *bodies);
    if (!bodies) return &p->lost_body;
    memset(bodies, 0, n * sizeof *bodies);
    return bodies;
}

/* A statement whose only body ends at `end`, which is skipped. */
static void parse_single_body(struct jinja_parser *p, struct jinja_node *node, const char *end) {
    node->bodies = new_bodies(p, 1);
    parse_body(p, &node->bodies[0], (const char *const[]){end, NULL});
    parser_next(p);
}

static struct jinja_node *parse_if(struct jinja_parser *p) {
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    struct jinja_node *node = parser_node(p, NODE_IF);
    struct jinja_node_list branches = {0}; /* one node a branch, holding its body in `otherwise` */
    do {
        parser_next(p); /* if, elif */
        parser_add(p, &node->items, parser_tuple(p, PARSE_NO_CONDITIONAL, NULL));
        struct jinja_node *branch = parser_node(p, NODE_IF);
        parse_body(p, &branch->otherwise, ends);
        parser_add(p, &branches, branch);
    } while (parser_at_name(p, "elif") && !p->run->failed);
    if (parser_skip_name(p, "else")) parse_body(p, &node->otherwise, (const char *const[]){"endif", NULL});
    parser_next(p);
    node->bodies = new_bodies(p, branches.n_items + 1);
    for (size_t i = 0; i < branches.n_items && !p->run->failed; i++) node->bodies[i] = branches.items[i]->otherwise;
    return node;
}

static struct jinja_node *parse_for(struct jinja_parser *p) {
    struct jinja_node *node = parser_node(p, NODE_FOR);
    parser_next(p);
    node->left = parser_target(p, false, "in");
    if (!parser_skip_name(p, "in")) parser_fail(p, "'in'");
    node->right = parser_tuple(p, PARSE_NO_CONDITIONAL, "recursive");
    if (parser_skip_name(p, "if")) node->third = parser_expression(p);
    if (parser_at_name(p, "recursive")) {
        parser_fail(p, "a loop that is not recursive (talc does not support recursive loops)");
        return node;
    }
    node->bodies = new_bodies(p, 1);
    p->loop_depth++;
    parse_body(p, &node->bodies[0], (const char *const[]){"endfor", "else", NULL});
    p->loop_depth--;
    if (parser_skip_name(p, "else")) parse_body(p, &node->otherwise, (const char *const[]){"endfor", NULL});
    parser_next(p);
    return node;
}

static struct jinja_node *parse_set(struct jinja_parser *p) {
    struct jinja_node *node = parser_node(p, NODE_SET);
    parser_next(p);
    node->left = parser_target(p, true, NULL);
    if (parser_skip_operator(p, "=")) {
        node->right = parser_tuple(p, PARSE_ANY, NULL);
        return node;
    }
    node->kind = NODE_SET_BLOCK;
    node->right = parser_filters(p, NULL, false);
    parse_single_body(p, node, "endset");
    return node;
}

static void parse_parameter(struct jinja_parser *p, struct jinja_macro_definition *macro) {
    struct jinja_parameter *parameter = &macro->parameters[macro->n_parameters];
    const char *name = parser_expect_name(p);
    *parameter = (struct jinja_parameter){.name = parser_name_number(p, name), .text = parser_string(p, name)};
    if (parser_skip_operator(p, "="))
        parameter->otherwise = parser_expression(p);
    else if (macro->n_parameters && macro->parameters[macro->n_parameters - 1].otherwise)
        parser_fail(p, "a default value, as the parameter before it has one,");
    macro->n_parameters++;
}

static struct jinja_node *parse_macro(struct jinja_parser *p) {
    enum { MAX_PARAMETERS = 32 };
    struct jinja_node *node = parser_node(p, NODE_MACRO);
    struct jinja_macro_definition *macro = jinja_take(p->run, 1, sizeof *macro), *outer = p->macro;
    struct jinja_parameter *parameters = jinja_take(p->run, MAX_PARAMETERS, sizeof *parameters);
    if (!macro || !parameters) return node;
    *macro = (struct jinja_macro_definition){.parameters = parameters};
    node->macro = p->macro = macro;
    parser_next(p);
    macro->name = parser_name_number(p, parser_expect_name(p));
    parser_expect_operator(p, "(");
    while (!parser_at_operator(p, ")") && !p->run->failed) {
        if (macro->n_parameters == MAX_PARAMETERS) parser_fail(p, "at most 32 parameters");
        if (macro->n_parameters) parser_expect_operator(p, ",");
        if (!p->run->failed) parse_parameter(p, macro);
    }
    parser_expect_operator(p, ")");
    int loop_depth = p->loop_depth;
    p->loop_depth = 0;
    parse_body(p, &macro->body, (const char *const[]){"endmacro", NULL});
    parser_next(p);
    p->loop_depth = loop_depth;
    p->macro = outer;
    return node;
}

static struct jinja_node *parse_filter_block(struct jinja_parser *p) {
    struct jinja_node *node = parser_node(p, NODE_FILTER_BLOCK);
    parser_next(p);
    node->right = parser_filters(p, NULL, true);
    parse_single_body(p, node, "endfilter");
    return node;
}

static struct jinja_node *parse_generation(struct jinja_parser *p) {
    struct jinja_node *node = parser_node(p, NODE_GENERATION);
    parser_next(p);
    parse_single_body(p, node, "endgeneration");
    p->template->has_generation = true;
    return node;
}

static struct jinja_node *parse_with(struct jinja_parser *p) {
    struct jinja_node *node = parser_node(p, NODE_WITH);
    parser_next(p);
    while (p->token->kind != JINJA_TOKEN_BLOCK_END && !p->run->failed) {
        if (node->items.n_items) parser_expect_operator(p, ",");
        parser_add(p, &node->items, parser_target(p, false, NULL));
        parser_expect_operator(p, "=");
        parser_add(p, &node->items, parser_expression(p));
    }
    parse_single_body(p, node, "endwith");
    return node;
}

static struct jinja_node *parse_loop_control(struct jinja_parser *p) {
    struct jinja_node *node = parser_node(p, parser_at_name(p, "break") ? NODE_BREAK : NODE_CONTINUE);
    if (p->loop_depth == 0) parser_fail(p, "a loop around it");
    parser_next(p);
    return node;
}

static struct jinja_node *parse_statement(struct jinja_parser *p) {
    static const struct {
        const char *name;
        struct jinja_node *(*parse)(struct jinja_parser *p);
    } statements[] = {
        {"if", parse_if},
        {"for", parse_for},
        {"set", parse_set},
        {"macro", parse_macro},
        {"with", parse_with},
        {"filter", parse_filter_block},
        {"break", parse_loop_control},
        {"continue", parse_loop_control},
        {"generation", parse_generation},
    };
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++)
        if (parser_at_name(p, statements[i].name)) return statements[i].parse(p);
    parser_fail(p, "if, for, set, macro, with, filter, generation, break, continue or the end of one of them");
    return &p->lost;
}

static bool at_end(const struct jinja_parser *p, const char *const *ends) {
    for (; *ends; ends++)
        if (parser_at_name(p, *ends)) return true;
    return false;
}

static void parse_statements(struct jinja_parser *p, struct jinja_node_list *body, const char *const *ends) {
    while (p->token->kind != JINJA_TOKEN_END && !p->run->failed) {
        if (p->token->kind == JINJA_TOKEN_DATA) {
            struct jinja_node *node = parser_node(p, NODE_DATA);
            node->constant = p->token->constant;
            parser_next(p);
            parser_add(p, body, node);
        } else if (p->token->kind == JINJA_TOKEN_VARIABLE_BEGIN) {
            parser_next(p);
            struct jinja_node *node = parser_node(p, NODE_PRINT);
            node->left = parser_tuple(p, PARSE_ANY, NULL);
            parser_add(p, body, node);
            expect_kind(p, JINJA_TOKEN_VARIABLE_END, "}}");
        } else {
            expect_kind(p, JINJA_TOKEN_BLOCK_BEGIN, "{%");
            if (at_end(p, ends)) return;
            parser_add(p, body, parse_statement(p));
            expect_kind(p, JINJA_TOKEN_BLOCK_END, "%}");
        }
    }
    if (ends[0] && !p->run->failed) {
        char what[64];
        int n = 0;
        for (; *ends; ends++) n += snprintf(what + n, sizeof what - (size_t)n, "%s%s", n ? " or " : "", *ends);
        parser_fail(p, what);
    }
}

bool jinja_parse(struct jinja_run *run, const char *source, size_t n_bytes, struct chat_template *template) {
    struct jinja_parser *p = jinja_take(run, 1, sizeof *p);
    if (!p) return false;
    *p = (struct jinja_parser){.run = run, .template = template, .empty.bytes = ""};
    if (!jinja_lex(run, source, n_bytes, &p->token)) return false;
    parse_statements(p, &template->body, (const char *const[]){NULL});
    return !run->failed;
}
