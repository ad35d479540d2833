/* template_expression.c - the expression half of the template parser: jinja2's grammar and precedences, from weakest to
 * strongest: conditional, or, and, not, comparisons, + -, ~, * / // %, **, unary, postfix and filters and tests. */
#include <string.h>

#include "text/template_eval.h"
#include "text/template_parser.h"

static struct jinja_node *parse_unary(struct jinja_parser *p, bool with_filters);
static struct jinja_node *parse_postfix(struct jinja_parser *p, struct jinja_node *node);

static struct jinja_node *binary_node(struct jinja_parser *p, enum jinja_node_kind kind, struct jinja_node *left) {
    struct jinja_node *node = parser_node(p, kind);
    node->left = left;
    return node;
}

/* ---- operators ------------------------------------------------------------------------------- */
static struct jinja_node *parse_power(struct jinja_parser *p) {
    struct jinja_node *left = parse_unary(p, true);
    while (parser_at_operator(p, "**") && !p->run->failed) {
        left = binary_node(p, NODE_BINARY, left);
        left->operation = '^';
        parser_next(p);
        left->right = parse_unary(p, true);
    }
    return left;
}

static struct jinja_node *parse_product(struct jinja_parser *p) {
    static const char *const texts[] = {"*", "/", "//", "%"};
    static const char codes[] = "*/f%";
    struct jinja_node *left = parse_power(p);
    for (int i = 0; i < 4 && !p->run->failed;) {
        if (!parser_at_operator(p, texts[i])) {
            i++;
            continue;
        }
        left = binary_node(p, NODE_BINARY, left);
        left->operation = codes[i];
        parser_next(p);
        left->right = parse_power(p);
        i = 0;
    }
    return left;
}

static struct jinja_node *parse_concat(struct jinja_parser *p) {
    struct jinja_node *first = parse_product(p);
    if (!parser_at_operator(p, "~")) return first;
    struct jinja_node *node = parser_node(p, NODE_CONCAT);
    parser_add(p, &node->items, first);
    while (parser_skip_operator(p, "~") && !p->run->failed) parser_add(p, &node->items, parse_product(p));
    return node;
}

static struct jinja_node *parse_sum(struct jinja_parser *p) {
    struct jinja_node *left = parse_concat(p);
    while ((parser_at_operator(p, "+") || parser_at_operator(p, "-")) && !p->run->failed) {
        left = binary_node(p, NODE_BINARY, left);
        left->operation = p->token->text[0];
        parser_next(p);
        left->right = parse_concat(p);
    }
    return left;
}

/* Skips a comparison operator and tells which; -1: none here. */
static int skip_comparison(struct jinja_parser *p) {
    static const char *const texts[] = {"==", "!=", "<", "<=", ">", ">="};
    for (int i = 0; i < 6; i++)
        if (parser_skip_operator(p, texts[i])) return COMPARE_EQ + i;
    if (parser_skip_name(p, "in")) return COMPARE_IN;
    if (parser_at_name(p, "not") && p->token[1].kind == JINJA_TOKEN_NAME && strcmp(p->token[1].text, "in") == 0) {
        parser_next(p);
        parser_next(p);
        return COMPARE_NOT_IN;
    }
    return -1;
}

static struct jinja_node *parse_comparison(struct jinja_parser *p) {
    enum { MAX_CHAIN = 16 };
    struct jinja_node *left = parse_sum(p), *node = NULL;
    for (int operation; !p->run->failed && (operation = skip_comparison(p)) >= 0;) {
        if (!node) {
            node = binary_node(p, NODE_COMPARE, left);
            node->operations = jinja_take(p->run, MAX_CHAIN, sizeof *node->operations);
        }
        if (node->items.n_items == MAX_CHAIN) parser_fail(p, "at most 16 comparisons in a chain");
        if (p->run->failed) break;
        node->operations[node->items.n_items] = (enum jinja_comparison)operation;
        parser_add(p, &node->items, parse_sum(p));
    }
    return node ? node : left;
}

static struct jinja_node *parse_not(struct jinja_parser *p) {
    if (!parser_at_name(p, "not")) return parse_comparison(p);
    struct jinja_node *node = parser_node(p, NODE_NOT);
    parser_next(p);
    if (!parser_enter(p)) return node;
    node->left = parse_not(p);
    p->depth--;
    return node;
}

static struct jinja_node *parse_and(struct jinja_parser *p) {
    struct jinja_node *left = parse_not(p);
    while (parser_at_name(p, "and") && !p->run->failed) {
        left = binary_node(p, NODE_AND, left);
        parser_next(p);
        left->right = parse_not(p);
    }
    return left;
}

static struct jinja_node *parse_or(struct jinja_parser *p) {
    struct jinja_node *left = parse_and(p);
    while (parser_at_name(p, "or") && !p->run->failed) {
        left = binary_node(p, NODE_OR, left);
        parser_next(p);
        left->right = parse_and(p);
    }
    return left;
}

struct jinja_node *parser_expression(struct jinja_parser *p) {
    if (!parser_enter(p)) return &p->lost;
    struct jinja_node *node = parse_or(p);
    while (parser_at_name(p, "if") && !p->run->failed) {
        node = binary_node(p, NODE_CONDITIONAL, node);
        parser_next(p);
        node->right = parse_or(p);
        if (parser_skip_name(p, "else")) node->third = parser_expression(p);
    }
    p->depth--;
    return node;
}

/* ---- what stands alone ----------------------------------------------------------------------- */
static struct jinja_node *parse_constant(struct jinja_parser *p) {
    struct jinja_node *node = parser_node(p, NODE_CONSTANT);
    node->constant = p->token->constant;
    parser_next(p);
    if (node->constant.kind != JINJA_STRING) return node;
    while (p->token->kind == JINJA_TOKEN_CONSTANT && p->token->constant.kind == JINJA_STRING && !p->run->failed) {
        node->constant = jinja_concat(p->run, node->constant.string, p->token->constant.string);
        parser_next(p);
    }
    return node;
}

static struct jinja_node *parse_name(struct jinja_parser *p) {
    static const struct {
        const char *name;
        int value; /* 0 false, 1 true, 2 none */
    } constants[] = {{"true", 1}, {"True", 1}, {"false", 0}, {"False", 0}, {"none", 2}, {"None", 2}};
    struct jinja_node *node = parser_node(p, NODE_NAME);
    const char *name = parser_expect_name(p);
    for (int i = 0; i < 6; i++) {
        if (strcmp(name, constants[i].name) != 0) continue;
        node->kind = NODE_CONSTANT;
        node->constant = constants[i].value == 2 ? jinja_none() : jinja_bool(constants[i].value);
        return node;
    }
    node->name = parser_name_number(p, name);
    if (p->macro && strcmp(name, "varargs") == 0) p->macro->takes_varargs = true;
    if (p->macro && strcmp(name, "kwargs") == 0) p->macro->takes_kwargs = true;
    return node;
}

/* [a, b] or {a: b, c: d}. */
static struct jinja_node *parse_display(struct jinja_parser *p, enum jinja_node_kind kind, const char *close) {
    struct jinja_node *node = parser_node(p, kind);
    parser_next(p);
    while (!parser_at_operator(p, close) && !p->run->failed) {
        if (node->items.n_items) parser_expect_operator(p, ",");
        if (parser_at_operator(p, close)) break;
        parser_add(p, &node->items, parser_expression(p));
        if (kind == NODE_LIST) continue;
        parser_expect_operator(p, ":");
        parser_add(p, &node->items, parser_expression(p));
    }
    parser_expect_operator(p, close);
    return node;
}

static struct jinja_node *parse_primary(struct jinja_parser *p) {
    if (p->token->kind == JINJA_TOKEN_NAME) return parse_name(p);
    if (p->token->kind == JINJA_TOKEN_CONSTANT) return parse_constant(p);
    if (parser_at_operator(p, "[")) return parse_display(p, NODE_LIST, "]");
    if (parser_at_operator(p, "{")) return parse_display(p, NODE_DICT, "}");
    if (parser_skip_operator(p, "(")) {
        struct jinja_node *node = parser_tuple(p, PARSE_IN_PARENTHESES, NULL);
        parser_expect_operator(p, ")");
        return node;
    }
    parser_fail(p, "an expression");
    return &p->lost;
}

static bool at_tuple_end(const struct jinja_parser *p, const char *end) {
    return p->token->kind == JINJA_TOKEN_VARIABLE_END || p->token->kind == JINJA_TOKEN_BLOCK_END ||
           parser_at_operator(p, ")") || (end && parser_at_name(p, end));
}

struct jinja_node *parser_tuple(struct jinja_parser *p, enum parser_tuple_mode mode, const char *end) {
    struct jinja_node *tuple = parser_node(p, NODE_TUPLE);
    bool comma = false;
    if (!parser_enter(p)) return tuple;
    while (!at_tuple_end(p, end) && !p->run->failed) {
        parser_add(p, &tuple->items, mode == PARSE_NO_CONDITIONAL ? parse_or(p) : parser_expression(p));
        if (!parser_skip_operator(p, ",")) break;
        comma = true;
    }
    p->depth--;
    if (comma) return tuple;
    if (tuple->items.n_items) return tuple->items.items[0];
    if (mode != PARSE_IN_PARENTHESES) parser_fail(p, "an expression");
    return tuple;
}

static struct jinja_node *parse_one_target(struct jinja_parser *p, bool allow_namespace) {
    if (parser_at_operator(p, "(") && parser_enter(p)) {
        parser_next(p);
        struct jinja_node *inner = parser_target(p, allow_namespace, NULL);
        parser_expect_operator(p, ")");
        p->depth--;
        return inner;
    }
    if (p->token->kind != JINJA_TOKEN_NAME) parser_fail(p, "a name to assign to");
    if (p->run->failed) return &p->lost;
    struct jinja_node *node = parse_name(p);
    if (node->kind != NODE_NAME) parser_fail(p, "a name that can be assigned to before this");
    if (allow_namespace && parser_skip_operator(p, ".")) {
        node->kind = NODE_NAMESPACE_ITEM;
        node->attribute = parser_string(p, parser_expect_name(p));
    }
    return node;
}

struct jinja_node *parser_target(struct jinja_parser *p, bool allow_namespace, const char *end) {
    struct jinja_node *tuple = parser_node(p, NODE_TUPLE);
    bool comma = false;
    while (!p->run->failed) {
        parser_add(p, &tuple->items, parse_one_target(p, allow_namespace));
        if (!parser_skip_operator(p, ",")) break;
        comma = true;
        if (at_tuple_end(p, end) || parser_at_operator(p, "=")) break;
    }
    return !comma && tuple->items.n_items ? tuple->items.items[0] : tuple;
}

/* ---- what follows: .name [item] (call) | filter, is test ------------------------------------- */
static void parse_keyword(struct jinja_parser *p, struct jinja_call *call, size_t max_keywords) {
    if (call->n_keywords == max_keywords) parser_fail(p, "at most 64 keyword arguments");
    if (!call->keywords) call->keywords = jinja_take(p->run, max_keywords, sizeof *call->keywords);
    if (p->run->failed) return;
    struct jinja_keyword *keyword = &call->keywords[call->n_keywords++];
    keyword->name = parser_string(p, p->token->text);
    parser_next(p);
    parser_next(p);
    keyword->value = parser_expression(p);
}

/* The arguments after an opening parenthesis, up to the closing one. */
static const struct jinja_call *parse_arguments(struct jinja_parser *p) {
    struct jinja_call *call = jinja_take(p->run, 1, sizeof *call);
    if (!call) return NULL;
    *call = (struct jinja_call){0};
    bool first = true;
    while (!parser_at_operator(p, ")") && !p->run->failed) {
        if (!first) parser_expect_operator(p, ",");
        if (!first && parser_at_operator(p, ")")) break;
        first = false;
        bool keyword = p->token->kind == JINJA_TOKEN_NAME && p->token[1].kind == JINJA_TOKEN_OPERATOR &&
                       strcmp(p->token[1].text, "=") == 0;
        if (parser_at_operator(p, "*") || parser_at_operator(p, "**"))
            parser_fail(p, "an argument (talc does not support *args and **kwargs in calls)");
        else if (keyword)
            parse_keyword(p, call, 64);
        else if (call->n_keywords)
            parser_fail(p, "a keyword argument after a keyword argument");
        else
            parser_add(p, &call->positional, parser_expression(p));
    }
    parser_expect_operator(p, ")");
    return call;
}

static struct jinja_node *parse_subscript(struct jinja_parser *p, struct jinja_node *of) {
    struct jinja_node *node = binary_node(p, NODE_ITEM, of);
    struct jinja_node *bounds[3] = {NULL, NULL, NULL};
    parser_next(p);
    if (!parser_at_operator(p, ":")) bounds[0] = parser_expression(p);
    if (!parser_at_operator(p, ":")) {
        node->right = bounds[0];
        parser_expect_operator(p, "]");
        return node;
    }
    node->kind = NODE_SLICE;
    for (int i = 1; i < 3 && parser_skip_operator(p, ":"); i++)
        if (!parser_at_operator(p, ":") && !parser_at_operator(p, "]")) bounds[i] = parser_expression(p);
    for (int i = 0; i < 3; i++) parser_add(p, &node->items, bounds[i]);
    parser_expect_operator(p, "]");
    return node;
}

static struct jinja_node *parse_attribute(struct jinja_parser *p, struct jinja_node *of) {
    struct jinja_node *node = binary_node(p, NODE_ATTRIBUTE, of);
    parser_next(p);
    if (p->token->kind == JINJA_TOKEN_CONSTANT && p->token->constant.kind == JINJA_INT) {
        node->kind = NODE_ITEM;
        node->right = parse_constant(p);
    } else {
        node->attribute = parser_string(p, parser_expect_name(p));
    }
    return node;
}

static struct jinja_node *parse_call(struct jinja_parser *p, struct jinja_node *of) {
    struct jinja_node *node = binary_node(p, NODE_CALL, of);
    parser_next(p);
    node->call = parse_arguments(p);
    return node;
}

static struct jinja_node *parse_postfix(struct jinja_parser *p, struct jinja_node *node) {
    while (!p->run->failed) {
        if (parser_at_operator(p, "."))
            node = parse_attribute(p, node);
        else if (parser_at_operator(p, "["))
            node = parse_subscript(p, node);
        else if (parser_at_operator(p, "("))
            node = parse_call(p, node);
        else
            break;
    }
    return node;
}

struct jinja_node *parser_filters(struct jinja_parser *p, struct jinja_node *node, bool inline_first) {
    while ((inline_first || parser_skip_operator(p, "|")) && !p->run->failed) {
        inline_first = false;
        struct jinja_node *filter = binary_node(p, NODE_FILTER, node);
        const char *name = parser_expect_name(p);
        filter->attribute = parser_string(p, name);
        filter->builtin = jinja_find_filter(filter->attribute);
        if (parser_skip_operator(p, "(")) filter->call = parse_arguments(p);
        node = filter;
    }
    return node;
}

static bool at_test_argument(const struct jinja_parser *p) {
    if (p->token->kind == JINJA_TOKEN_NAME)
        return !parser_at_name(p, "else") && !parser_at_name(p, "or") && !parser_at_name(p, "and");
    return p->token->kind == JINJA_TOKEN_CONSTANT || parser_at_operator(p, "[") || parser_at_operator(p, "{");
}

static struct jinja_node *parse_test(struct jinja_parser *p, struct jinja_node *of) {
    struct jinja_node *test = binary_node(p, NODE_TEST, of), *negated = NULL;
    parser_next(p);
    if (parser_at_name(p, "not")) {
        negated = parser_node(p, NODE_NOT);
        negated->left = test;
        parser_next(p);
    }
    const char *name = parser_expect_name(p);
    test->attribute = parser_string(p, name);
    test->builtin = jinja_find_test(test->attribute);
    if (parser_skip_operator(p, "(")) {
        test->call = parse_arguments(p);
    } else if (at_test_argument(p) && !p->run->failed) {
        if (parser_at_name(p, "is")) parser_fail(p, "one test only");
        struct jinja_call *call = jinja_take(p->run, 1, sizeof *call);
        if (!call) return test;
        *call = (struct jinja_call){0};
        parser_add(p, &call->positional, parse_postfix(p, parse_primary(p)));
        test->call = call;
    }
    return negated ? negated : test;
}

static struct jinja_node *parse_filters_and_tests(struct jinja_parser *p, struct jinja_node *node) {
    while (!p->run->failed) {
        if (parser_at_operator(p, "|"))
            node = parser_filters(p, node, false);
        else if (parser_at_name(p, "is"))
            node = parse_test(p, node);
        else if (parser_at_operator(p, "("))
            node = parse_call(p, node);
        else
            break;
    }
    return node;
}

static struct jinja_node *parse_unary(struct jinja_parser *p, bool with_filters) {
    struct jinja_node *node;
    if (!parser_enter(p)) return &p->lost;
    if (parser_at_operator(p, "-") || parser_at_operator(p, "+")) {
        node = parser_node(p, parser_at_operator(p, "-") ? NODE_NEGATE : NODE_PLUS);
        parser_next(p);
        node->left = parse_unary(p, false);
    } else {
        node = parse_primary(p);
    }
    node = parse_postfix(p, node);
    if (with_filters) node = parse_filters_and_tests(p, node);
    p->depth--;
    return node;
}
