/* op_table.h - every operation of ops.h as a maker of random cases: shapes, strides, options. */
#ifndef TALC_TESTS_SUPPORT_OP_TABLE_H
#define TALC_TESTS_SUPPORT_OP_TABLE_H

#include "op_case.h"

struct op_maker {
    const char *op;
    int n_cases;                     /* that a test of every option needs */
    void (*make)(struct op_case *c); /* fills a case that op_case_begin began */
};

/* Those of op_table_attention.c. */
void make_qkv(struct op_case *c);
void make_attention(struct op_case *c);
void make_attention_cache(struct op_case *c);

extern const struct op_maker op_makers[]; /* ended by a NULL op */

#endif
