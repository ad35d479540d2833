/* table.h - the planner's tables: tab-separated text with a line of column names, '#' for comments. The tables of the
 * program are compiled in; a file of the same name in a folder that the user names adds rows, or replaces those with
 * the same first column. Cells are borrowed from the table. */
#ifndef TALC_PLAN_TABLE_H
#define TALC_PLAN_TABLE_H

#include <stdbool.h>

#include "base/error.h"

struct table {
    char *texts[2];       /* owned: the cells are parts of these (the second: a file's) */
    const char **cells;   /* owned: n_rows x n_columns, row by row */
    const char **columns; /* owned: the names */
    int n_rows, n_columns;
};

/* Parses a text. `where` names it in errors. Rows with more cells than columns are refused; missing cells are "". */
bool table_parse(struct table *table, const char *text, const char *where, struct talc_error *err);
void table_free(struct table *table);

/* The table called `name` ("chips"): the rows compiled in, then those of folder/name.tsv where `folder` is given and
 * has that file. A later row replaces an earlier one whose first cell is the same and takes over the cells that it
 * leaves empty, unless `keep_all` (prices have many of one name). */
bool table_open(struct table *table, const char *name, const char *folder, bool keep_all, struct talc_error *err);

/* The row whose first cell is `key` (letter case aside), or -1. */
int table_find(const struct table *table, const char *key);
/* A cell; "" where there is no such column. */
const char *table_text(const struct table *table, int row, const char *column);
/* A number, the fallback where the cell is empty. What is not a finite number fails and names row and column. */
bool table_number(const struct table *table, int row, const char *column, double fallback, double *out,
                  struct talc_error *err);

#endif
