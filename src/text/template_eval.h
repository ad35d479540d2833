/* template_eval.h - what evaluation and the built-in filters, tests, functions and methods share. Internal to
 * template_*.c. */
#ifndef TALC_TEXT_TEMPLATE_EVAL_H
#define TALC_TEXT_TEMPLATE_EVAL_H

#include "text/template_ast.h"
#include "text/template_string.h"

/* The values of a call's arguments. */
struct jinja_arguments {
    struct jinja_value *positional;
    size_t n_positional;
    struct jinja_entry *keywords; /* keys are strings */
    size_t n_keywords;
};

/* A filter, test, function or method: `self` is what stands before it (missing for functions). */
struct jinja_builtin {
    const char *name;
    struct jinja_value (*call)(struct jinja_run *run, struct jinja_value self, const struct jinja_arguments *a);
};

struct jinja_method {
    struct jinja_value self;
    const struct jinja_builtin *builtin;
};

struct jinja_macro {
    const struct jinja_macro_definition *definition;
    struct jinja_scope *scope; /* where it was defined */
};

/* `loop` inside a for. */
struct jinja_loop {
    const struct jinja_list *items;
    size_t index;
};

struct jinja_variable {
    int name;
    struct jinja_value value;
};
struct jinja_scope {
    struct jinja_scope *parent;
    struct jinja_variable *variables;
    size_t n_variables, capacity;
};

/* ---- template_eval.c ---- */
void jinja_scope_set(struct jinja_run *run, struct jinja_scope *scope, int name, struct jinja_value value);
void jinja_run_body(struct jinja_run *run, const struct jinja_node_list *body);
/* A builtin may call others (map does): one level deeper. */
struct jinja_value jinja_call_builtin(struct jinja_run *run, const struct jinja_builtin *builtin,
                                      struct jinja_value self, const struct jinja_arguments *a);
/* Whether the comparison holds. No order holds of a number that is none (nan). */
bool jinja_holds(struct jinja_run *run, enum jinja_comparison how, struct jinja_value a, struct jinja_value b);
struct jinja_value jinja_add(struct jinja_run *run, struct jinja_value a, struct jinja_value b); /* a + b */
/* Calls anything that can be called. */
struct jinja_value jinja_call_value(struct jinja_run *run, struct jinja_value callee, const struct jinja_arguments *a);

/* ---- template_builtins.c, template_methods.c ---- */
const struct jinja_builtin *jinja_find_filter(const struct jinja_string *name); /* NULL: there is none */
const struct jinja_builtin *jinja_find_test(const struct jinja_string *name);
const struct jinja_builtin *jinja_find_function(const char *name);
/* value.attribute and value[key]: undefined when there is none. */
struct jinja_value jinja_attribute(struct jinja_run *run, struct jinja_value of, const struct jinja_string *name);
struct jinja_value jinja_item(struct jinja_run *run, struct jinja_value of, struct jinja_value key);

/* Argument i, or the keyword; `otherwise` when neither is given. */
struct jinja_value jinja_argument(const struct jinja_arguments *a, size_t i, const char *name,
                                  struct jinja_value otherwise);
/* An argument that has only a name. */
struct jinja_value jinja_keyword(const struct jinja_arguments *a, const char *name, struct jinja_value otherwise);
/* The same as a string; NULL when not given or none, failing when it is something else. */
const struct jinja_string *jinja_text_argument(struct jinja_run *run, const struct jinja_arguments *a, size_t i,
                                               const char *name);

/* ---- template_number.c ---- */
/* Python's int(text, base) and float(text); false when the text is no number, or too large a one (then it failed). */
bool jinja_parse_int(struct jinja_run *run, struct jinja_value text, int64_t base, int64_t *out);
bool jinja_parse_float(struct jinja_run *run, struct jinja_value text, double *out);
/* `method`: common (also NULL), ceil or floor. */
struct jinja_value jinja_round(struct jinja_run *run, struct jinja_value v, int64_t digits,
                               const struct jinja_string *method);

#endif
