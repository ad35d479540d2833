/* options.c - reads options from a configuration file, the environment and the command line; writes the help. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "file/json.h"

/* In rising order: a later source overrules an earlier one. */
enum source { SOURCE_NONE, SOURCE_SETTINGS, SOURCE_CONFIG, SOURCE_ENVIRONMENT, SOURCE_ARGUMENTS };

static struct option *option_of(const struct command_line *line, const char *name) {
    for (int i = 0; i < line->n_options; i++)
        if (strcmp(line->options[i].name, name) == 0) return &line->options[i];
    return NULL;
}

bool option_given(const struct command_line *line, const char *name) {
    const struct option *o = option_of(line, name);
    return o && o->given;
}

void options_free(struct command_line *line) {
    free(line->operands);
    line->operands = NULL;
    json_decref(line->settings_root);
    json_decref(line->config_root);
    line->settings_root = line->config_root = NULL;
    for (int i = 0; i < line->n_options; i++)
        if (line->options[i].kind == OPTION_LIST) {
            struct option_list *list = line->options[i].value;
            free(list->items);
            *list = (struct option_list){0};
        }
}

/* ---- what every command has ------------------------------------------------------------------ */

enum { COMMON_CONFIG, COMMON_COLOR, COMMON_HELP, N_COMMON };

struct common {
    struct option options[N_COMMON];
    const char *config, *color;
    bool help;
};

static void common_open(struct common *c) {
    *c = (struct common){0};
    c->options[COMMON_CONFIG] = (struct option){.name = "config",
                                                .kind = OPTION_TEXT,
                                                .value = &c->config,
                                                .argument = "FILE",
                                                .help = "JSON object with options by name"};
    c->options[COMMON_COLOR] = (struct option){.name = "color",
                                               .kind = OPTION_TEXT,
                                               .value = &c->color,
                                               .argument = "WHEN",
                                               .choices = "always|never|auto",
                                               .help = "always, never or auto (default: on a terminal)"};
    c->options[COMMON_HELP] =
        (struct option){.name = "help", .letter = 'h', .kind = OPTION_FLAG, .value = &c->help, .help = "this text"};
}

/* Messages ask for the colour without knowing the command: it travels in the environment. */
static bool apply_color(const struct common *c, struct talc_error *err) {
    if (!c->color) return true;
    return setenv("TALC_COLOR", c->color, 1) == 0 ? true : talc_fail(err, "out of memory for options");
}

/* ---- help ------------------------------------------------------------------------------------ */

static void print_option(const struct option *o) {
    char text[64];
    int n = snprintf(text, sizeof text, "  %c%c%s --%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
                     o->letter ? "," : " ", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
    printf("%s%*s%s\n", text, n < 30 ? 30 - n : 2, "", o->help);
}

static void print_help(const struct command_line *line, const struct common *common) {
    printf("talc %s: %s\n\nUsage: talc %s [options]%s%s\n\nOptions:\n", line->command, line->summary, line->command,
           *line->arguments ? " " : "", line->arguments);
    for (int i = 0; i < line->n_options; i++) print_option(&line->options[i]);
    for (int i = 0; i < N_COMMON; i++) print_option(&common->options[i]);
    printf("\nA file of --config holds them as JSON ({\"threads\": 2}); the environment as TALC_THREADS=2. The command "
           "line is\n"
           "stronger than the environment, and that than the file.\n\nExample:\n  %s\n",
           line->example);
}

/* ---- values ---------------------------------------------------------------------------------- */

bool option_in_bounds(const struct option *o, double x) { return !(o->min < o->max) || (x >= o->min && x <= o->max); }

/* Whole numbers in full: 4194304, not 4.1943e+06. */
static const char *bound_text(double x, char out[32]) {
    snprintf(out, 32, x == floor(x) ? "%.0f" : "%g", x);
    return out;
}

static bool check_bounds(const struct option *o, double x, const char *text, struct talc_error *err) {
    char min[32], max[32];
    if (option_in_bounds(o, x)) return true;
    return talc_fail(err, "--%s must be %s to %s, not '%s'", o->name, bound_text(o->min, min), bound_text(o->max, max),
                     text);
}

/* An integer with an optional k, M or G (thousands), as in 300k. */
static bool parse_int(struct option *o, const char *text, struct talc_error *err) {
    char *end;
    errno = 0;
    long long x = strtoll(text, &end, 10);
    static const struct {
        char suffix;
        long long factor;
    } units[] = {{'k', 1000}, {'M', 1000000}, {'G', 1000000000}};
    for (size_t i = 0; i < 3 && end != text; i++)
        if (*end == units[i].suffix && !end[1]) {
            if (__builtin_mul_overflow(x, units[i].factor, &x)) errno = ERANGE;
            end++;
        }
    if (end == text || *end || errno) return talc_fail(err, "--%s wants a whole number, not '%s'", o->name, text);
    if (!check_bounds(o, (double)x, text, err)) return false;
    *(int64_t *)o->value = x;
    return true;
}

static bool parse_number(struct option *o, const char *text, struct talc_error *err) {
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end || !isfinite(x)) return talc_fail(err, "--%s wants a number, not '%s'", o->name, text);
    if (!check_bounds(o, x, text, err)) return false;
    *(double *)o->value = x;
    return true;
}

static bool fail_empty(const struct option *o, struct talc_error *err) {
    return talc_fail(err, "--%s is empty; it wants %s", o->name, o->argument);
}

static bool is_choice(const struct option *o, const char *text) {
    size_t n = strlen(text), length;
    for (const char *c = o->choices; *c; c += length + (c[length] == '|')) {
        length = strcspn(c, "|");
        if (length == n && memcmp(c, text, n) == 0) return true;
    }
    return false;
}

/* "--type must be a, b or c, not 'd'" */
static bool fail_choice(const struct option *o, const char *text, struct talc_error *err) {
    char all[256];
    size_t n = 0;
    for (const char *c = o->choices; *c && n + 6 < sizeof all; c++)
        if (*c != '|')
            all[n++] = *c;
        else
            n += (size_t)sprintf(all + n, "%s", strchr(c + 1, '|') ? ", " : " or ");
    return talc_fail(err, "--%s must be %.*s, not '%s'", o->name, (int)n, all, text);
}

/* Text to read may be empty; names of files and of choices not. */
static bool set_text(const struct option *o, const char *text, struct talc_error *err) {
    if (!*text && strcmp(o->argument, "TEXT") != 0) return fail_empty(o, err);
    if (o->choices && !is_choice(o, text)) return fail_choice(o, text, err);
    *(const char **)o->value = text;
    return true;
}

static bool append_item(const struct option *o, const char *text, struct talc_error *err) {
    struct option_list *list = o->value;
    if (!*text) return fail_empty(o, err);
    const char **items = realloc(list->items, (size_t)(list->n + 1) * sizeof *items);
    if (!items) return talc_fail(err, "out of memory for options");
    list->items = items;
    items[list->n++] = text;
    return true;
}

static bool parse_flag(struct option *o, const char *text, struct talc_error *err) {
    static const char *const words[][2] = {{"0", "1"}, {"false", "true"}, {"no", "yes"}, {"off", "on"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        for (int on = 0; on < 2; on++)
            if (strcmp(text, words[i][on]) == 0) {
                *(bool *)o->value = on;
                return true;
            }
    return talc_fail(err, "--%s is true or false, not '%s'", o->name, text);
}

/* The first value of a list from a stronger source drops those of the weaker one. */
static void note_source(struct option *o, enum source source) {
    if (o->kind == OPTION_LIST && o->source != (int)source) ((struct option_list *)o->value)->n = 0;
    o->given = true;
    o->source = (int)source;
}

static bool set_option(struct option *o, const char *text, enum source source, struct talc_error *err) {
    note_source(o, source);
    switch (o->kind) {
    case OPTION_FLAG: return parse_flag(o, text, err);
    case OPTION_INT: return parse_int(o, text, err);
    case OPTION_NUMBER: return parse_number(o, text, err);
    case OPTION_TEXT: return set_text(o, text, err);
    case OPTION_LIST: return append_item(o, text, err);
    }
    return false;
}

/* ---- files and the environment --------------------------------------------------------------- */

static struct option *find_option(struct option *options, int n, const char *name, size_t length) {
    for (int i = 0; i < n; i++)
        if (strncmp(options[i].name, name, length) == 0 && !options[i].name[length]) return &options[i];
    return NULL;
}

static bool set_from_json(struct option *o, const json_t *value, enum source source, struct talc_error *err) {
    char number[64];
    const char *text = number;
    if (json_is_string(value))
        text = json_string_value(value);
    else if (json_is_boolean(value))
        text = json_is_true(value) ? "true" : "false";
    else if (json_is_integer(value))
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(number, sizeof number, "%.17g", json_real_value(value));
    else
        return talc_fail(err, "\"%s\" must be text, a number or true/false", o->name);
    if (json_is_string(value) && strlen(text) != json_string_length(value))
        return talc_fail(err, "\"%s\" holds a NUL character", o->name);
    return set_option(o, text, source, err);
}

static bool set_list_from_json(struct option *o, const json_t *list, enum source source, struct talc_error *err) {
    size_t i;
    json_t *item;
    note_source(o, source); /* an empty one too */
    json_array_foreach(list, i, item) {
        if (!json_is_string(item)) return talc_fail(err, "\"%s\" must be a list of texts", o->name);
        if (!set_from_json(o, item, source, err)) return false;
    }
    return true;
}

static bool set_from_object(struct command_line *line, const json_t *root, enum source source, struct talc_error *err) {
    const char *key;
    json_t *value;
    if (!json_is_object(root)) return talc_fail(err, "not a JSON object");
    json_object_foreach((json_t *)root, key, value) {
        struct option *o = find_option(line->options, line->n_options, key, strlen(key));
        if (!o) return talc_fail(err, "talc %s has no option '%s'", line->command, key);
        if (json_is_array(value) && o->kind == OPTION_LIST ? !set_list_from_json(o, value, source, err)
                                                           : !set_from_json(o, value, source, err))
            return false;
    }
    return true;
}

static bool read_file(struct command_line *line, const char *path, json_t **root, enum source source,
                      struct talc_error *err) {
    if (!path) return true;
    *root = json_read_file(path, 1 << 20, err);
    return *root && (set_from_object(line, *root, source, err) || talc_fail_in(err, "%s", path));
}

static bool read_environment(struct command_line *line, struct talc_error *err) {
    for (int i = 0; i < line->n_options; i++) {
        char name[64] = "TALC_";
        size_t n = 5;
        for (const char *c = line->options[i].name; *c && n < sizeof name - 1; c++)
            name[n++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        name[n] = 0;
        const char *text = getenv(name);
        if (text && *text && !set_option(&line->options[i], text, SOURCE_ENVIRONMENT, err))
            return talc_fail_in(err, "in the environment: %s", name);
    }
    return true;
}

/* ---- arguments ------------------------------------------------------------------------------- */

static bool fail_unknown(struct command_line *line, const char *argument, struct talc_error *err) {
    const char *name = argument + strspn(argument, "-");
    for (int i = 0; i < line->n_options; i++) /* the beginning of a name is the commonest slip */
        if (strlen(name) >= 3 && strncmp(line->options[i].name, name, 3) == 0)
            return talc_fail(err, "there is no option '%s'; did you mean --%s?", argument, line->options[i].name);
    return talc_fail(err, "there is no option '%s'; talc %s --help lists them", argument, line->command);
}

/* The option that `argument` names, or NULL; *value: what stands behind '=', or NULL. */
static struct option *named_option(struct option *options, int n, const char *argument, const char **value) {
    *value = NULL;
    if (argument[1] != '-') {
        for (int i = 0; argument[1] && !argument[2] && i < n; i++)
            if (options[i].letter == argument[1]) return &options[i];
        return NULL;
    }
    const char *name = argument + 2, *equals = strchr(name, '=');
    if (equals) *value = equals + 1;
    return find_option(options, n, name, equals ? (size_t)(equals - name) : strlen(name));
}

/* The value of the option at argv[*i], which may be the argument behind it. */
static const char *value_at(const struct option *o, int argc, char **argv, int *i, const char *behind_equals,
                            struct talc_error *err) {
    if (behind_equals) return behind_equals;
    if (o->kind == OPTION_FLAG) return "true";
    if (*i + 1 < argc) return argv[++*i];
    talc_fail(err, "--%s wants %s", o->name, o->argument);
    return NULL;
}

/* Goes through the arguments twice: first for what every command has, since a configuration file is
 * read before them. */
static bool read_arguments(struct command_line *line, struct common *common, int argc, char **argv, bool only_common,
                           struct talc_error *err) {
    bool only_operands = false;
    line->n_operands = 0;
    for (int i = 0; i < argc; i++) {
        const char *value;
        if (only_operands || argv[i][0] != '-' || !argv[i][1]) {
            line->operands[line->n_operands++] = argv[i];
            continue;
        }
        if (strcmp(argv[i], "--") == 0) {
            only_operands = true;
            continue;
        }
        struct option *own = named_option(line->options, line->n_options, argv[i], &value);
        struct option *o = own ? own : named_option(common->options, N_COMMON, argv[i], &value);
        if (!o && only_common) continue;
        if (!o) return fail_unknown(line, argv[i], err);
        bool set_now = only_common == !own;
        value = value_at(o, argc, argv, &i, value, set_now ? err : NULL);
        if (set_now && (!value || !set_option(o, value, SOURCE_ARGUMENTS, err))) return false;
    }
    return true;
}

static bool check_operands(const struct command_line *line, struct talc_error *err) {
    if (line->n_operands < line->min_operands) return talc_fail(err, "wants %s", line->arguments);
    if (line->max_operands >= 0 && line->n_operands > line->max_operands)
        return talc_fail(err, "does not know what to do with '%s'", line->operands[line->max_operands]);
    for (int i = 0; i < line->n_operands; i++)
        if (!*line->operands[i]) return talc_fail(err, "wants %s, and one of these is empty", line->arguments);
    return true;
}

/* ---- options that exclude each other --------------------------------------------------------- */

static void keep_default(struct option *o) {
    if (o->has_initial) return; /* of an earlier parse */
    o->has_initial = true;
    switch (o->kind) {
    case OPTION_FLAG: o->initial.flag = *(const bool *)o->value; break;
    case OPTION_INT: o->initial.integer = *(const int64_t *)o->value; break;
    case OPTION_NUMBER: o->initial.number = *(const double *)o->value; break;
    case OPTION_TEXT: o->initial.text = *(const char *const *)o->value; break;
    case OPTION_LIST: break; /* excludes none */
    }
}

/* As if it had not been given. */
static void take_back(struct option *o) {
    switch (o->kind) {
    case OPTION_FLAG: *(bool *)o->value = o->initial.flag; break;
    case OPTION_INT: *(int64_t *)o->value = o->initial.integer; break;
    case OPTION_NUMBER: *(double *)o->value = o->initial.number; break;
    case OPTION_TEXT: *(const char **)o->value = o->initial.text; break;
    case OPTION_LIST: break;
    }
    o->given = false;
    o->source = SOURCE_NONE;
}

static bool settle_pairs(struct command_line *line, struct talc_error *err) {
    for (int i = 0; i < line->n_options; i++) {
        struct option *a = &line->options[i], *b = a->instead_of ? option_of(line, a->instead_of) : NULL;
        if (!b || a->source == SOURCE_NONE || b->source == SOURCE_NONE) continue;
        if (a->source != b->source)
            take_back(a->source < b->source ? a : b);
        else if (a->source != SOURCE_SETTINGS)
            return talc_fail(err, "give one of --%s and --%s", b->name, a->name);
    }
    return true;
}

int options_parse(struct command_line *line, int argc, char **argv) {
    struct talc_error err = {0};
    struct common common;
    common_open(&common);
    for (int i = 0; i < line->n_options; i++) {
        line->options[i].source = SOURCE_NONE;
        keep_default(&line->options[i]);
    }
    line->operands = calloc((size_t)argc + 1, sizeof *line->operands);
    bool ok = line->operands ? true : talc_fail(&err, "out of memory for arguments");
    ok = ok && read_arguments(line, &common, argc, argv, true, &err);
    if (ok && common.help) {
        print_help(line, &common);
        options_free(line);
        return EXIT_DONE;
    }
    ok = ok && apply_color(&common, &err) &&
         read_file(line, line->settings, &line->settings_root, SOURCE_SETTINGS, &err) &&
         read_file(line, common.config, &line->config_root, SOURCE_CONFIG, &err) && read_environment(line, &err) &&
         read_arguments(line, &common, argc, argv, false, &err) && check_operands(line, &err) &&
         settle_pairs(line, &err);
    if (ok) return -1;
    cli_usage(line->command, "%s", err.message);
    options_free(line);
    return EXIT_USAGE;
}
