/* options.c - reads options from a configuration file, the environment and the command line; writes the help. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "file/json.h"

bool option_given(const struct command_line *line, const char *name) {
    for (int i = 0; i < line->n_options; i++)
        if (strcmp(line->options[i].name, name) == 0) return line->options[i].given;
    return false;
}

void options_free(struct command_line *line) {
    free(line->operands);
    line->operands = NULL;
    json_decref(line->config_root);
    line->config_root = NULL;
    for (int i = 0; i < line->n_options; i++)
        if (line->options[i].kind == OPTION_LIST) {
            struct option_list *list = line->options[i].value;
            free(list->items);
            *list = (struct option_list){0};
        }
}

/* ---- help ------------------------------------------------------------------------------------------------------------ */

static void print_option(const struct option *o) {
    char text[64];
    int n = snprintf(text, sizeof text, "  %c%c%s --%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
                     o->letter ? "," : " ", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
    printf("%s%*s%s\n", text, n < 30 ? 30 - n : 2, "", o->help);
}

static void print_help(const struct command_line *line) {
    printf("talc %s: %s\n\nUsage: talc %s [options] %s\n\nOptions:\n", line->command, line->summary, line->command,
           line->arguments);
    for (int i = 0; i < line->n_options; i++) print_option(&line->options[i]);
    print_option(&(struct option){.name = "config", .argument = "FILE", .help = "JSON object with options by name"});
    print_option(&(struct option){.name = "help", .letter = 'h', .help = "this text"});
    printf("\nExample:\n  %s\n", line->example);
}

/* ---- values ---------------------------------------------------------------------------------------------------------- */

static bool check_bounds(const struct option *o, double x, const char *text, struct talc_error *err) {
    if (o->min < o->max && !(x >= o->min && x <= o->max))
        return talc_fail(err, "--%s must be %g to %g, not '%s'", o->name, o->min, o->max, text);
    return true;
}

/* An integer with an optional k, M or G (thousands), as in 300k. */
static bool parse_int(struct option *o, const char *text, struct talc_error *err) {
    char *end;
    errno = 0;
    long long x = strtoll(text, &end, 10);
    static const struct { char suffix; long long factor; } units[] = {{'k', 1000}, {'M', 1000000}, {'G', 1000000000}};
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

static bool append_item(struct option_list *list, const char *text, struct talc_error *err) {
    const char **items = realloc(list->items, (size_t)(list->n + 1) * sizeof *items);
    if (!items) return talc_fail(err, "out of memory for options");
    list->items = items;
    items[list->n++] = text;
    return true;
}

static bool set_option(struct option *o, const char *text, struct talc_error *err) {
    o->given = true;
    switch (o->kind) {
    case OPTION_FLAG:
        *(bool *)o->value = !text || strcmp(text, "0") != 0;
        return true;
    case OPTION_INT: return parse_int(o, text, err);
    case OPTION_NUMBER: return parse_number(o, text, err);
    case OPTION_TEXT: *(const char **)o->value = text; return true;
    case OPTION_LIST: return append_item(o->value, text, err);
    }
    return false;
}

/* ---- sources --------------------------------------------------------------------------------------------------------- */

static struct option *find_option(struct command_line *line, const char *name, size_t length) {
    for (int i = 0; i < line->n_options; i++)
        if (strncmp(line->options[i].name, name, length) == 0 && !line->options[i].name[length])
            return &line->options[i];
    return NULL;
}

static bool set_from_json(struct option *o, const json_t *value, struct talc_error *err) {
    size_t i;
    json_t *item;
    if (json_is_array(value) && o->kind == OPTION_LIST) {
        json_array_foreach(value, i, item)
            if (!json_is_string(item) || !set_option(o, json_string_value(item), err))
                return talc_fail(err, "%s: must be a list of texts", o->name);
        return true;
    }
    if (json_is_string(value)) return set_option(o, json_string_value(value), err);
    if (json_is_boolean(value)) return set_option(o, json_is_true(value) ? "1" : "0", err);
    char text[64];
    if (json_is_integer(value)) snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value)) snprintf(text, sizeof text, "%.17g", json_real_value(value));
    else return talc_fail(err, "%s: must be text, a number or true/false", o->name);
    return set_option(o, text, err);
}

static bool read_config(struct command_line *line, struct talc_error *err) {
    json_t *root = json_read_file(line->config, 1 << 20, err);
    if (!root) return false;
    line->config_root = root;
    const char *key;
    json_t *value;
    bool ok = json_is_object(root) ? true : talc_fail(err, "%s: not a JSON object", line->config);
    json_object_foreach(root, key, value) {
        struct option *o = find_option(line, key, strlen(key));
        if (ok && !o) ok = talc_fail(err, "%s: talc %s has no option '%s'", line->config, line->command, key);
        if (ok) ok = set_from_json(o, value, err);
    }
    return ok;
}

static bool read_environment(struct command_line *line, struct talc_error *err) {
    for (int i = 0; i < line->n_options; i++) {
        char name[64] = "TALC_";
        size_t n = 5;
        for (const char *c = line->options[i].name; *c && n < sizeof name - 1; c++)
            name[n++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        name[n] = 0;
        const char *text = getenv(name);
        if (text && *text && !set_option(&line->options[i], text, err)) return false;
    }
    return true;
}

static bool fail_unknown(struct command_line *line, const char *argument, struct talc_error *err) {
    const char *name = argument + strspn(argument, "-");
    for (int i = 0; i < line->n_options; i++) /* the beginning of a name is the commonest slip */
        if (strncmp(line->options[i].name, name, 3) == 0)
            return talc_fail(err, "there is no option '%s'; did you mean --%s?", argument, line->options[i].name);
    return talc_fail(err, "there is no option '%s'; talc %s --help lists them", argument, line->command);
}

/* Takes argv[*i] (an option) and, where it needs one, the argument behind it. */
static bool take_option(struct command_line *line, int argc, char **argv, int *i, struct talc_error *err) {
    char *argument = argv[*i], *equals = NULL;
    struct option *o = NULL;
    if (argument[1] == '-') {
        equals = strchr(argument, '=');
        size_t length = equals ? (size_t)(equals - argument - 2) : strlen(argument + 2);
        o = find_option(line, argument + 2, length);
    } else if (argument[1] && !argument[2]) {
        for (int k = 0; k < line->n_options; k++)
            if (line->options[k].letter == argument[1]) o = &line->options[k];
    }
    if (!o) return fail_unknown(line, argument, err);
    if (o->kind == OPTION_FLAG) return set_option(o, equals ? equals + 1 : NULL, err);
    if (equals) return set_option(o, equals + 1, err);
    if (*i + 1 >= argc) return talc_fail(err, "--%s wants %s", o->name, o->argument);
    return set_option(o, argv[++*i], err);
}

static bool read_arguments(struct command_line *line, int argc, char **argv, struct talc_error *err) {
    bool only_operands = false;
    line->operands = calloc((size_t)argc + 1, sizeof *line->operands);
    if (!line->operands) return talc_fail(err, "out of memory for arguments");
    for (int i = 0; i < argc; i++) {
        if (!only_operands && strcmp(argv[i], "--") == 0) only_operands = true;
        else if (!only_operands && strcmp(argv[i], "--config") == 0 && i + 1 < argc) i++;
        else if (only_operands || argv[i][0] != '-' || !argv[i][1]) line->operands[line->n_operands++] = argv[i];
        else if (!take_option(line, argc, argv, &i, err)) return false;
    }
    if (line->n_operands < line->min_operands) return talc_fail(err, "wants %s", line->arguments);
    if (line->max_operands >= 0 && line->n_operands > line->max_operands)
        return talc_fail(err, "does not know what to do with '%s'", line->operands[line->max_operands]);
    return true;
}

int options_parse(struct command_line *line, int argc, char **argv) {
    struct talc_error err = {0};
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(line);
            return EXIT_DONE;
        }
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) line->config = argv[i + 1];
    }
    if ((line->config && !read_config(line, &err)) || !read_environment(line, &err) ||
        !read_arguments(line, argc, argv, &err)) {
        cli_usage(line->command, "%s", err.message);
        options_free(line);
        return EXIT_USAGE;
    }
    return -1;
}
