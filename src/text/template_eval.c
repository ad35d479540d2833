/* template_eval.c - runs a parsed template: statements write to the run's output, expressions give values. */
#include "text/template_eval.h"

#include <limits.h>
#include <math.h>
#include <string.h>

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

static enum flow run_statement(struct jinja_run *run, const struct jinja_node *node);
static struct jinja_value evaluate(struct jinja_run *run, const struct jinja_node *node);

/* ---- variables ------------------------------------------------------------------------------- */

void jinja_scope_set(struct jinja_run *run, struct jinja_scope *scope, int name, struct jinja_value value) {
    for (size_t i = 0; i < scope->n_variables; i++)
        if (scope->variables[i].name == name) {
            scope->variables[i].value = value;
            return;
        }
    if (scope->n_variables == scope->capacity) {
        size_t capacity = scope->capacity ? 2 * scope->capacity : 4;
        struct jinja_variable *more = jinja_take(run, capacity, sizeof *more);
        if (!more) return;
        if (scope->n_variables) memcpy(more, scope->variables, scope->n_variables * sizeof *more);
        scope->variables = more;
        scope->capacity = capacity;
    }
    scope->variables[scope->n_variables++] = (struct jinja_variable){name, value};
}

static const struct jinja_value *find_variable(const struct jinja_run *run, int name) {
    for (const struct jinja_scope *s = run->scope; s; s = s->parent)
        for (size_t i = 0; i < s->n_variables; i++)
            if (s->variables[i].name == name) return &s->variables[i].value;
    return NULL;
}

static struct jinja_value name_value(struct jinja_run *run, const struct jinja_node *node) {
    const char *text = run->template->names.items[node->name];
    const struct jinja_value *v = find_variable(run, node->name);
    if (v) return *v;
    const struct jinja_builtin *function = jinja_find_function(text);
    if (function) return (struct jinja_value){.kind = JINJA_FUNCTION, .function = function};
    return jinja_undefined(text);
}

static struct jinja_scope *push_scope(struct jinja_run *run, struct jinja_scope *parent) {
    struct jinja_scope *scope = jinja_take(run, 1, sizeof *scope);
    if (!scope) return NULL;
    *scope = (struct jinja_scope){.parent = parent};
    run->scope = scope;
    return scope;
}

/* Names, tuples of targets, and items of a namespace. */
static void assign(struct jinja_run *run, const struct jinja_node *target, struct jinja_value value) {
    if (target->kind == NODE_NAME) {
        jinja_scope_set(run, run->scope, target->name, value);
    } else if (target->kind == NODE_NAMESPACE_ITEM) {
        const struct jinja_value *space = find_variable(run, target->name);
        if (!space || space->kind != JINJA_NAMESPACE)
            jinja_fail(run, "only a namespace's attributes can be set");
        else
            jinja_dict_set(run, space->dict, jinja_from_string(target->attribute), value);
    } else {
        struct jinja_list *items = jinja_iterate(run, value);
        if (!items) return;
        if (items->n_items != target->items.n_items) {
            jinja_fail(run, "%zu values cannot be taken apart into %zu names", items->n_items, target->items.n_items);
            return;
        }
        for (size_t i = 0; i < items->n_items; i++) assign(run, target->items.items[i], items->items[i]);
    }
}

/* ---- calls ----------------------------------------------------------------------------------- */

static struct jinja_arguments evaluate_arguments(struct jinja_run *run, const struct jinja_call *call) {
    struct jinja_arguments a = {0};
    if (!call) return a;
    a.positional = jinja_take(run, call->positional.n_items + 1, sizeof *a.positional);
    a.keywords = jinja_take(run, call->n_keywords + 1, sizeof *a.keywords);
    if (!a.positional || !a.keywords) return a;
    for (size_t i = 0; i < call->positional.n_items && !run->failed; i++)
        a.positional[a.n_positional++] = evaluate(run, call->positional.items[i]);
    for (size_t i = 0; i < call->n_keywords && !run->failed; i++)
        a.keywords[a.n_keywords++] =
            (struct jinja_entry){jinja_from_string(call->keywords[i].name), evaluate(run, call->keywords[i].value)};
    return a;
}

/* Runs a body into a string of its own. */
static struct jinja_value capture(struct jinja_run *run, const struct jinja_node_list *body) {
    struct jinja_writer own = jinja_writer_make(run), *before = run->output;
    own.mark = before->mark;
    run->output = &own;
    jinja_run_body(run, body);
    run->output = before;
    return jinja_writer_string(&own);
}

/* The keyword argument of a parameter that no positional one fills, or NULL. */
static const struct jinja_entry *keyword_of(const struct jinja_macro_definition *d, const struct jinja_arguments *a,
                                            size_t parameter) {
    const struct jinja_string *name = d->parameters[parameter].text;
    for (size_t k = 0; parameter >= a->n_positional && k < a->n_keywords; k++) {
        const struct jinja_string *key = a->keywords[k].key.string;
        if (key->n_bytes == name->n_bytes && memcmp(key->bytes, name->bytes, name->n_bytes) == 0)
            return &a->keywords[k];
    }
    return NULL;
}

/* The keyword arguments that are no parameter's, into `rest`; NULL: there must be none. */
static void take_rest(struct jinja_run *run, const struct jinja_macro_definition *d, const struct jinja_arguments *a,
                      struct jinja_dict *rest) {
    for (size_t k = 0; k < a->n_keywords && !run->failed; k++) {
        const struct jinja_string *key = a->keywords[k].key.string;
        bool known = false;
        for (size_t p = 0; p < d->n_parameters && !known; p++) known = keyword_of(d, a, p) == &a->keywords[k];
        if (known) continue;
        if (rest)
            jinja_dict_set(run, rest, a->keywords[k].key, a->keywords[k].value);
        else
            jinja_fail(run, "the macro takes no argument '%.*s' here", (int)key->n_bytes, key->bytes);
    }
}

static void bind_extra(struct jinja_run *run, const struct jinja_macro_definition *d, const struct jinja_arguments *a,
                       struct jinja_scope *scope) {
    int varargs = jinja_name_number(&run->template->names, "varargs", 7);
    int kwargs = jinja_name_number(&run->template->names, "kwargs", 6);
    if (d->takes_varargs && varargs >= 0) {
        size_t n = a->n_positional > d->n_parameters ? a->n_positional - d->n_parameters : 0;
        struct jinja_list *rest = jinja_new_list(run, JINJA_TUPLE, n);
        for (size_t i = 0; rest && i < n; i++) rest->items[i] = a->positional[d->n_parameters + i];
        jinja_scope_set(run, scope, varargs, jinja_from_list(rest));
    }
    struct jinja_dict *rest = d->takes_kwargs && kwargs >= 0 ? jinja_new_dict(run) : NULL;
    if (!run->failed) take_rest(run, d, a, rest);
    if (rest) jinja_scope_set(run, scope, kwargs, jinja_from_dict(rest));
}

static struct jinja_value call_macro(struct jinja_run *run, const struct jinja_macro *macro,
                                     const struct jinja_arguments *a) {
    const struct jinja_macro_definition *d = macro->definition;
    struct jinja_scope *caller = run->scope, *scope;
    struct jinja_value result = jinja_undefined(NULL);
    if (a->n_positional > d->n_parameters && !d->takes_varargs)
        return jinja_fail(run, "the macro takes %zu arguments, %zu were given", d->n_parameters, a->n_positional);
    if (!jinja_enter(run)) return result;
    scope = push_scope(run, macro->scope);
    for (size_t i = 0; scope && i < d->n_parameters && !run->failed; i++) {
        struct jinja_value missing = {.kind = JINJA_MISSING}, v = missing;
        const struct jinja_entry *keyword = keyword_of(d, a, i);
        if (i < a->n_positional) v = a->positional[i];
        if (keyword) v = keyword->value;
        if (v.kind == JINJA_MISSING)
            v = d->parameters[i].otherwise ? evaluate(run, d->parameters[i].otherwise)
                                           : jinja_undefined(run->template->names.items[d->parameters[i].name]);
        jinja_scope_set(run, scope, d->parameters[i].name, v);
    }
    if (scope) bind_extra(run, d, a, scope);
    if (scope && !run->failed) result = capture(run, &d->body);
    run->scope = caller;
    run->depth--;
    return result;
}

struct jinja_value jinja_call_builtin(struct jinja_run *run, const struct jinja_builtin *builtin,
                                      struct jinja_value self, const struct jinja_arguments *a) {
    if (!jinja_enter(run)) return jinja_undefined(NULL);
    struct jinja_value result = builtin->call(run, self, a);
    run->depth--;
    return result;
}

struct jinja_value jinja_call_value(struct jinja_run *run, struct jinja_value callee, const struct jinja_arguments *a) {
    struct jinja_value missing = {.kind = JINJA_MISSING};
    switch (callee.kind) {
    case JINJA_MACRO: return call_macro(run, callee.macro, a);
    case JINJA_FUNCTION: return jinja_call_builtin(run, callee.function, missing, a);
    case JINJA_METHOD: return jinja_call_builtin(run, callee.method->builtin, callee.method->self, a);
    case JINJA_UNDEFINED:
        return jinja_fail(run, "'%.60s' is undefined and cannot be called",
                          callee.missing_name ? callee.missing_name : "it");
    default: return jinja_fail(run, "a %s cannot be called", jinja_type_name(callee));
    }
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

static struct jinja_value floor_divide(struct jinja_run *run, int64_t a, int64_t b, bool modulo) {
    if (b == 0) return jinja_fail(run, "division by zero");
    if (b == -1)
        return modulo ? jinja_int(0) : a == INT64_MIN ? jinja_fail(run, "a number leaves 64 bits") : jinja_int(-a);
    int64_t q = a / b, r = a % b;
    if (r != 0 && (r < 0) != (b < 0)) {
        q--;
        r += b;
    }
    return jinja_int(modulo ? r : q);
}

static struct jinja_value int_power(struct jinja_run *run, int64_t base, int64_t exponent) {
    int64_t result = 1;
    if (exponent < 0) return jinja_float(pow((double)base, (double)exponent));
    if (base == 0 || base == 1) return jinja_int(exponent == 0 ? 1 : base);
    if (base == -1) return jinja_int(exponent % 2 ? -1 : 1);
    for (; exponent > 0; exponent--)
        if (__builtin_mul_overflow(result, base, &result)) return jinja_fail(run, "a number leaves 64 bits");
    return jinja_int(result);
}

static struct jinja_value int_operation(struct jinja_run *run, char operation, int64_t a, int64_t b) {
    int64_t result;
    bool overflow;
    switch (operation) {
    case '+': overflow = __builtin_add_overflow(a, b, &result); break;
    case '-': overflow = __builtin_sub_overflow(a, b, &result); break;
    case '*': overflow = __builtin_mul_overflow(a, b, &result); break;
    case '/': return b == 0 ? jinja_fail(run, "division by zero") : jinja_float((double)a / (double)b);
    case 'f': return floor_divide(run, a, b, false);
    case '%': return floor_divide(run, a, b, true);
    default: return int_power(run, a, b);
    }
    return overflow ? jinja_fail(run, "a number leaves 64 bits") : jinja_int(result);
}

static struct jinja_value float_operation(struct jinja_run *run, char operation, double a, double b) {
    if (b == 0 && (operation == '/' || operation == 'f' || operation == '%'))
        return jinja_fail(run, "division by zero");
    switch (operation) {
    case '+': return jinja_float(a + b);
    case '-': return jinja_float(a - b);
    case '*': return jinja_float(a * b);
    case '/': return jinja_float(a / b);
    case 'f': return jinja_float(floor(a / b));
    case '%': return jinja_float(a - b * floor(a / b));
    default: return jinja_float(pow(a, b));
    }
}

static struct jinja_value join_lists(struct jinja_run *run, const struct jinja_list *a, const struct jinja_list *b) {
    if (!jinja_spend(run, (a->n_items + b->n_items) * sizeof *a->items)) return jinja_undefined(NULL);
    struct jinja_list *both = jinja_new_list(run, a->kind, a->n_items + b->n_items);
    if (!both) return jinja_undefined(NULL);
    memcpy(both->items, a->items, a->n_items * sizeof *a->items);
    memcpy(both->items + a->n_items, b->items, b->n_items * sizeof *b->items);
    return jinja_from_list(both);
}

static int64_t int_of(struct jinja_value v) { return v.kind == JINJA_BOOL ? v.boolean : v.integer; }

static struct jinja_value binary_operation(struct jinja_run *run, char operation, struct jinja_value a,
                                           struct jinja_value b) {
    if (a.kind == JINJA_UNDEFINED || b.kind == JINJA_UNDEFINED) {
        const char *name = a.kind == JINJA_UNDEFINED ? a.missing_name : b.missing_name;
        return jinja_fail(run, "'%.60s' is undefined", name ? name : "a value");
    }
    if (jinja_is_number(a) && jinja_is_number(b)) {
        if (a.kind == JINJA_FLOAT || b.kind == JINJA_FLOAT)
            return float_operation(run, operation, jinja_as_double(a), jinja_as_double(b));
        return int_operation(run, operation, int_of(a), int_of(b));
    }
    if (operation == '+' && a.kind == JINJA_STRING && b.kind == JINJA_STRING)
        return jinja_concat(run, a.string, b.string);
    if (operation == '+' && a.kind == JINJA_LIST && b.kind == JINJA_LIST) return join_lists(run, a.list, b.list);
    if (operation == '*' && a.kind == JINJA_STRING && jinja_is_number(b) && b.kind != JINJA_FLOAT)
        return jinja_repeat(run, a.string, int_of(b));
    if (operation == '*' && b.kind == JINJA_STRING && jinja_is_number(a) && a.kind != JINJA_FLOAT)
        return jinja_repeat(run, b.string, int_of(a));
    return jinja_fail(run, "%s and %s cannot be combined by '%c'", jinja_type_name(a), jinja_type_name(b),
                      operation == 'f' ? '/' : operation);
}

struct jinja_value jinja_add(struct jinja_run *run, struct jinja_value a, struct jinja_value b) {
    return binary_operation(run, '+', a, b);
}

static bool is_nan(struct jinja_value v) { return v.kind == JINJA_FLOAT && isnan(v.real); }

bool jinja_holds(struct jinja_run *run, enum jinja_comparison how, struct jinja_value a, struct jinja_value b) {
    bool order = how >= COMPARE_LT && how <= COMPARE_GE;
    if (order && jinja_is_number(a) && jinja_is_number(b) && (is_nan(a) || is_nan(b))) return false;
    switch (how) {
    case COMPARE_EQ: return jinja_equal(run, a, b);
    case COMPARE_NE: return !jinja_equal(run, a, b);
    case COMPARE_LT: return jinja_compare(run, a, b) < 0;
    case COMPARE_LE: return jinja_compare(run, a, b) <= 0;
    case COMPARE_GT: return jinja_compare(run, a, b) > 0;
    case COMPARE_GE: return jinja_compare(run, a, b) >= 0;
    case COMPARE_IN: return jinja_contains(run, b, a);
    case COMPARE_NOT_IN: return !jinja_contains(run, b, a);
    }
    return false;
}

static struct jinja_value comparison_chain(struct jinja_run *run, const struct jinja_node *node) {
    struct jinja_value left = evaluate(run, node->left);
    for (size_t i = 0; i < node->items.n_items && !run->failed; i++) {
        struct jinja_value right = evaluate(run, node->items.items[i]);
        if (run->failed || !jinja_holds(run, node->operations[i], left, right)) return jinja_bool(false);
        left = right;
    }
    return jinja_bool(true);
}

static struct jinja_value negative(struct jinja_run *run, struct jinja_value v) {
    if (v.kind == JINJA_FLOAT) return jinja_float(-v.real);
    if (!jinja_is_number(v)) return jinja_fail(run, "a %s has no negative", jinja_type_name(v));
    return int_operation(run, '-', 0, int_of(v));
}

/* ---- expressions ----------------------------------------------------------------------------- */

static struct jinja_value new_list(struct jinja_run *run, const struct jinja_node *node) {
    struct jinja_list *list =
        jinja_new_list(run, node->kind == NODE_TUPLE ? JINJA_TUPLE : JINJA_PLAIN_LIST, node->items.n_items);
    for (size_t i = 0; list && i < node->items.n_items && !run->failed; i++)
        list->items[i] = evaluate(run, node->items.items[i]);
    return jinja_from_list(list);
}

static struct jinja_value new_dict(struct jinja_run *run, const struct jinja_node *node) {
    struct jinja_dict *dict = jinja_new_dict(run);
    for (size_t i = 0; dict && i + 1 < node->items.n_items && !run->failed; i += 2) {
        struct jinja_value key = evaluate(run, node->items.items[i]);
        jinja_dict_set(run, dict, key, evaluate(run, node->items.items[i + 1]));
    }
    return dict ? jinja_from_dict(dict) : jinja_undefined(NULL);
}

static struct jinja_value concat_all(struct jinja_run *run, const struct jinja_node *node) {
    struct jinja_writer w = jinja_writer_make(run);
    for (size_t i = 0; i < node->items.n_items && !run->failed; i++)
        jinja_write_str(&w, evaluate(run, node->items.items[i]));
    return jinja_writer_string(&w);
}

static struct jinja_value slice(struct jinja_run *run, const struct jinja_node *node) {
    struct jinja_value of = evaluate(run, node->left), bounds[3];
    for (size_t i = 0; i < 3; i++)
        bounds[i] =
            i < node->items.n_items && node->items.items[i] ? evaluate(run, node->items.items[i]) : jinja_none();
    return jinja_slice(run, of, bounds[0], bounds[1], bounds[2]);
}

static struct jinja_value apply(struct jinja_run *run, const struct jinja_node *node, const char *what,
                                struct jinja_value self) {
    if (!node->builtin)
        return jinja_fail(run, "there is no %s '%.*s'", what, (int)node->attribute->n_bytes, node->attribute->bytes);
    struct jinja_arguments a = evaluate_arguments(run, node->call);
    return run->failed ? jinja_undefined(NULL) : jinja_call_builtin(run, node->builtin, self, &a);
}

static struct jinja_value conditional(struct jinja_run *run, const struct jinja_node *node) {
    if (jinja_truthy(evaluate(run, node->right))) return evaluate(run, node->left);
    return node->third ? evaluate(run, node->third) : jinja_undefined(NULL);
}

static struct jinja_value evaluate_node(struct jinja_run *run, const struct jinja_node *node) {
    struct jinja_value v;
    switch (node->kind) {
    case NODE_CONSTANT: return node->constant;
    case NODE_NAME: return name_value(run, node);
    case NODE_TUPLE:
    case NODE_LIST: return new_list(run, node);
    case NODE_DICT: return new_dict(run, node);
    case NODE_ATTRIBUTE: return jinja_attribute(run, evaluate(run, node->left), node->attribute);
    case NODE_ITEM: v = evaluate(run, node->left); return jinja_item(run, v, evaluate(run, node->right));
    case NODE_SLICE: return slice(run, node);
    case NODE_CALL: {
        v = evaluate(run, node->left);
        struct jinja_arguments a = evaluate_arguments(run, node->call);
        return run->failed ? jinja_undefined(NULL) : jinja_call_value(run, v, &a);
    }
    case NODE_FILTER: return apply(run, node, "filter", evaluate(run, node->left));
    case NODE_TEST: return apply(run, node, "test", evaluate(run, node->left));
    case NODE_NOT: return jinja_bool(!jinja_truthy(evaluate(run, node->left)));
    case NODE_NEGATE: return negative(run, evaluate(run, node->left));
    case NODE_PLUS: return evaluate(run, node->left);
    case NODE_AND: v = evaluate(run, node->left); return jinja_truthy(v) ? evaluate(run, node->right) : v;
    case NODE_OR: v = evaluate(run, node->left); return jinja_truthy(v) ? v : evaluate(run, node->right);
    case NODE_BINARY:
        v = evaluate(run, node->left);
        return binary_operation(run, node->operation, v, evaluate(run, node->right));
    case NODE_CONCAT: return concat_all(run, node);
    case NODE_COMPARE: return comparison_chain(run, node);
    case NODE_CONDITIONAL: return conditional(run, node);
    default: return jinja_fail(run, "a statement stands where a value should");
    }
}

static struct jinja_value evaluate(struct jinja_run *run, const struct jinja_node *node) {
    if (run->failed || !jinja_spend(run, 1) || !jinja_enter(run)) return jinja_undefined(NULL);
    run->line = node->line;
    struct jinja_value v = evaluate_node(run, node);
    run->depth--;
    return v;
}

/* ---- statements ------------------------------------------------------------------------------ */

static enum flow run_list(struct jinja_run *run, const struct jinja_node_list *body) {
    enum flow flow = FLOW_ON;
    for (size_t i = 0; i < body->n_items && flow == FLOW_ON && !run->failed; i++)
        flow = run_statement(run, body->items[i]);
    return flow;
}

void jinja_run_body(struct jinja_run *run, const struct jinja_node_list *body) { run_list(run, body); }

static enum flow run_if(struct jinja_run *run, const struct jinja_node *node) {
    for (size_t i = 0; i < node->items.n_items && !run->failed; i++)
        if (jinja_truthy(evaluate(run, node->items.items[i])))
            return run->failed ? FLOW_ON : run_list(run, &node->bodies[i]);
    return run->failed ? FLOW_ON : run_list(run, &node->otherwise);
}

/* The items that pass the loop's own condition: `loop` counts only these. */
static struct jinja_list *loop_items(struct jinja_run *run, const struct jinja_node *node) {
    struct jinja_list *all = jinja_iterate(run, evaluate(run, node->right)), *some;
    if (!all || !node->third) return all;
    if (!(some = jinja_new_list(run, JINJA_PLAIN_LIST, all->n_items))) return NULL;
    some->n_items = 0;
    for (size_t i = 0; i < all->n_items && !run->failed; i++) {
        assign(run, node->left, all->items[i]);
        if (jinja_truthy(evaluate(run, node->third))) some->items[some->n_items++] = all->items[i];
    }
    return some;
}

static void run_for(struct jinja_run *run, const struct jinja_node *node) {
    struct jinja_scope *outer = run->scope;
    int loop_name = jinja_name_number(&run->template->names, "loop", 4);
    if (!push_scope(run, outer)) return;
    const struct jinja_list *items = loop_items(run, node);
    struct jinja_loop *loop = jinja_take(run, 1, sizeof *loop);
    for (size_t i = 0; items && loop && i < items->n_items && !run->failed; i++) {
        struct jinja_scope *scope = push_scope(run, outer);
        if (!scope) break;
        *loop = (struct jinja_loop){items, i};
        assign(run, node->left, items->items[i]);
        if (loop_name >= 0)
            jinja_scope_set(run, scope, loop_name, (struct jinja_value){.kind = JINJA_LOOP, .loop = loop});
        if (run_list(run, &node->bodies[0]) == FLOW_BREAK) break;
    }
    run->scope = outer;
    if (items && items->n_items == 0 && !run->failed) run_list(run, &node->otherwise);
}

/* A body's text through filters, whose innermost has nothing before it. */
static struct jinja_value filter_text(struct jinja_run *run, const struct jinja_node *filters,
                                      struct jinja_value text) {
    if (!filters || !jinja_enter(run)) return text;
    struct jinja_value before = filter_text(run, filters->left, text);
    struct jinja_value result = run->failed ? text : apply(run, filters, "filter", before);
    run->depth--;
    return result;
}

static void define_macro(struct jinja_run *run, const struct jinja_node *node) {
    struct jinja_macro *macro = jinja_take(run, 1, sizeof *macro);
    if (!macro) return;
    *macro = (struct jinja_macro){node->macro, run->scope};
    jinja_scope_set(run, run->scope, node->macro->name, (struct jinja_value){.kind = JINJA_MACRO, .macro = macro});
}

static enum flow run_generation(struct jinja_run *run, const struct jinja_node *node) {
    uint8_t before = run->output->mark;
    run->output->mark = before | TEMPLATE_IN_GENERATION;
    enum flow flow = run_list(run, &node->bodies[0]);
    run->output->mark = before;
    return flow;
}

static enum flow run_with(struct jinja_run *run, const struct jinja_node *node) {
    struct jinja_scope *outer = run->scope, *scope = jinja_take(run, 1, sizeof *scope);
    if (!scope) return FLOW_ON;
    *scope = (struct jinja_scope){.parent = outer};
    for (size_t i = 0; i + 1 < node->items.n_items && !run->failed; i += 2) {
        struct jinja_value v = evaluate(run, node->items.items[i + 1]); /* values see what was outside */
        run->scope = scope;
        assign(run, node->items.items[i], v);
        run->scope = outer;
    }
    run->scope = scope;
    enum flow flow = run_list(run, &node->bodies[0]);
    run->scope = outer;
    return flow;
}

static enum flow run_node(struct jinja_run *run, const struct jinja_node *node) {
    switch (node->kind) {
    case NODE_DATA: jinja_write_string(run->output, node->constant.string); return FLOW_ON;
    case NODE_PRINT: jinja_write_str(run->output, evaluate(run, node->left)); return FLOW_ON;
    case NODE_IF: return run_if(run, node);
    case NODE_FOR: run_for(run, node); return FLOW_ON;
    case NODE_SET: assign(run, node->left, evaluate(run, node->right)); return FLOW_ON;
    case NODE_SET_BLOCK:
        assign(run, node->left, filter_text(run, node->right, capture(run, &node->bodies[0])));
        return FLOW_ON;
    case NODE_MACRO: define_macro(run, node); return FLOW_ON;
    case NODE_FILTER_BLOCK:
        jinja_write_str(run->output, filter_text(run, node->right, capture(run, &node->bodies[0])));
        return FLOW_ON;
    case NODE_GENERATION: return run_generation(run, node);
    case NODE_WITH: return run_with(run, node);
    case NODE_BREAK: return FLOW_BREAK;
    case NODE_CONTINUE: return FLOW_CONTINUE;
    default: evaluate(run, node); return FLOW_ON;
    }
}

static enum flow run_statement(struct jinja_run *run, const struct jinja_node *node) {
    if (!jinja_spend(run, 1) || !jinja_enter(run)) return FLOW_ON;
    run->line = node->line;
    enum flow flow = run_node(run, node);
    run->depth--;
    return flow;
}
