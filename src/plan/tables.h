/* tables.h - the texts of src/plan/tables/ as compiled into the program; tables.c is made from them at build. */
#ifndef TALC_PLAN_TABLES_H
#define TALC_PLAN_TABLES_H

struct plan_table_text {
    const char *name, *text; /* "chips", the whole file */
};
extern const struct plan_table_text plan_tables[]; /* ended by a NULL name */

#endif
