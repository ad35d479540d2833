/* table.c - tab-separated tables, compiled in and from files; see table.h. */
#include "plan/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "file/atomic.h"
#include "plan/tables.h"

enum { MAX_COLUMNS = 64, MAX_ROWS = 100000, MAX_FILE = 16 << 20 };

static bool is_row(const char *line) { return line[0] && line[0] != '#' && line[strspn(line, " \t\r")]; }

/* Cuts a line at its tabs; the number of cells, or -1 if there are more than `most`. */
static int cut(char *line, const char **cells, int most) {
    int n = 0;
    for (char *cell = line; cell; n++) {
        char *tab = strchr(cell, '\t');
        if (tab) *tab = 0;
        if (n == most) return -1;
        cells[n] = cell;
        cell = tab ? tab + 1 : NULL;
    }
    return n;
}

static bool add_row(struct table *t, char *line, int number, const char *where, struct talc_error *err) {
    const char *row[MAX_COLUMNS];
    int most = t->columns ? t->n_columns : MAX_COLUMNS, n = cut(line, row, most);
    if (n < 0) return talc_fail(err, "%s:%d: more than %d cells", where, number, most);
    if (!t->columns) {
        t->columns = calloc((size_t)n, sizeof *t->columns);
        if (!t->columns) return talc_fail(err, "out of memory for a table");
        memcpy(t->columns, row, (size_t)n * sizeof *row);
        t->n_columns = n;
        return true;
    }
    if (t->n_rows == MAX_ROWS) return talc_fail(err, "%s: more than %d rows", where, MAX_ROWS);
    const char **cells = realloc(t->cells, (size_t)(t->n_rows + 1) * (size_t)t->n_columns * sizeof *cells);
    if (!cells) return talc_fail(err, "out of memory for a table");
    t->cells = cells;
    for (int c = 0; c < t->n_columns; c++) cells[t->n_rows * t->n_columns + c] = c < n ? row[c] : "";
    t->n_rows++;
    return true;
}

/* Whether a line is text that every report can show: UTF-8 without control characters but tabs. */
static bool is_text(const char *line) {
    size_t n = strlen(line);
    if (utf8_valid_prefix(line, n) != n) return false;
    for (; *line; line++)
        if (((unsigned char)*line < ' ' && *line != '\t') || *line == 0x7f) return false;
    return true;
}

bool table_parse(struct table *table, const char *text, const char *where, struct talc_error *err) {
    *table = (struct table){.texts = {strdup(text)}};
    bool ok = table->texts[0] ? true : talc_fail(err, "out of memory for a table");
    int number = 1;
    for (char *line = table->texts[0]; ok && line && *line; number++) {
        char *end = strchr(line, '\n');
        if (end) *end = 0;
        size_t length = strlen(line);
        if (length && line[length - 1] == '\r') line[length - 1] = 0;
        if (is_row(line) && !is_text(line))
            ok = talc_fail(err, "%s:%d: not UTF-8 text, or with control characters", where, number);
        else if (is_row(line))
            ok = add_row(table, line, number, where, err);
        line = end ? end + 1 : NULL;
    }
    if (ok && !table->columns) ok = talc_fail(err, "%s: an empty table", where);
    if (!ok) table_free(table);
    return ok;
}

void table_free(struct table *table) {
    free(table->texts[0]);
    free(table->texts[1]);
    free(table->cells);
    free(table->columns);
    *table = (struct table){0};
}

int table_find(const struct table *table, const char *key) {
    for (int r = table->n_rows - 1; r >= 0; r--) /* a later row wins */
        if (strcasecmp(table->cells[r * table->n_columns], key) == 0) return r;
    return -1;
}

const char *table_text(const struct table *table, int row, const char *column) {
    for (int c = 0; row >= 0 && row < table->n_rows && c < table->n_columns; c++)
        if (strcmp(table->columns[c], column) == 0) return table->cells[row * table->n_columns + c];
    return "";
}

bool table_number(const struct table *table, int row, const char *column, double fallback, double *out,
                  struct talc_error *err) {
    const char *text = table_text(table, row, column);
    char *end;
    *out = fallback;
    if (!*text || strcmp(text, "-") == 0) return true;
    double value = strtod(text, &end);
    if (*end || !isfinite(value))
        return talc_fail(err, "%s: %s is '%.40s', which is not a number", table->cells[row * table->n_columns], column,
                         text);
    *out = value;
    return true;
}

/* ---- compiled in, and from a folder ---------------------------------------------------------- */

static const char *compiled_in(const char *name) {
    for (int i = 0; plan_tables[i].name; i++)
        if (strcmp(plan_tables[i].name, name) == 0) return plan_tables[i].text;
    return NULL;
}

/* The rows of `extra` behind those of `table`, by the names of the columns. What a row that replaces another leaves out
 * stays as it was. */
static bool append_table(struct table *table, const struct table *extra, bool replaces, const char *where,
                         struct talc_error *err) {
    for (int c = 0; c < extra->n_columns; c++) {
        bool known = false;
        for (int k = 0; k < table->n_columns; k++) known |= strcmp(extra->columns[c], table->columns[k]) == 0;
        if (!known) return talc_fail(err, "%s: there is no column '%.40s'", where, extra->columns[c]);
    }
    size_t rows = (size_t)table->n_rows + (size_t)extra->n_rows;
    const char **cells = realloc(table->cells, (rows ? rows : 1) * (size_t)table->n_columns * sizeof *cells);
    if (!cells) return talc_fail(err, "out of memory for a table");
    table->cells = cells;
    for (int r = 0; r < extra->n_rows; r++, table->n_rows++) {
        int old = replaces ? table_find(table, table_text(extra, r, table->columns[0])) : -1;
        for (int c = 0; c < table->n_columns; c++) {
            const char *cell = table_text(extra, r, table->columns[c]);
            cells[table->n_rows * table->n_columns + c] = *cell || old < 0 ? cell : cells[old * table->n_columns + c];
        }
    }
    return true;
}

static void drop_replaced(struct table *t) {
    int kept = 0;
    size_t row_bytes = (size_t)t->n_columns * sizeof *t->cells;
    for (int r = 0; r < t->n_rows; r++) {
        if (table_find(t, t->cells[r * t->n_columns]) != r) continue;
        memmove(&t->cells[kept * t->n_columns], &t->cells[r * t->n_columns], row_bytes);
        kept++;
    }
    t->n_rows = kept;
}

/* Takes the rows and the text of `extra`, which is empty afterwards. */
static bool take_rows(struct table *table, struct table *extra, bool replaces, const char *where,
                      struct talc_error *err) {
    bool ok = append_table(table, extra, replaces, where, err);
    if (ok) {
        table->texts[1] = extra->texts[0];
        extra->texts[0] = NULL;
    }
    table_free(extra);
    return ok;
}

static bool add_file(struct table *table, const char *path, bool replaces, struct talc_error *err) {
    size_t n_bytes;
    struct table extra;
    char *text = file_read(path, MAX_FILE, &n_bytes, err);
    bool ok = text != NULL;
    if (ok && strlen(text) != n_bytes) ok = talc_fail(err, "%s: holds a NUL character", path);
    if (ok) ok = table_parse(&extra, text, path, err) && take_rows(table, &extra, replaces, path, err);
    free(text);
    return ok;
}

bool table_open(struct table *table, const char *name, const char *folder, bool keep_all, struct talc_error *err) {
    const char *text = compiled_in(name);
    char path[4096];
    if (!text) return talc_fail(err, "there is no table '%s'", name);
    if (!table_parse(table, text, name, err)) return false;
    if (folder && snprintf(path, sizeof path, "%s/%s.tsv", folder, name) < (int)sizeof path && file_exists(path) &&
        !add_file(table, path, !keep_all, err)) {
        table_free(table);
        return false;
    }
    if (!keep_all) drop_replaced(table);
    return true;
}
