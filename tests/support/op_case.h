/* op_case.h - one call of one operation as data: its options, its tensors and what they hold; running it on any back
 * end between guards; comparing what came out. op_table.h makes the cases. */
#ifndef TALC_TESTS_SUPPORT_OP_CASE_H
#define TALC_TESTS_SUPPORT_OP_CASE_H

#include "base/rng.h"
#include "tensor/ops.h"

enum operand_role {
    OPERAND_IN,    /* must come back unchanged */
    OPERAND_OUT,   /* holds NaN before: what it held must not matter */
    OPERAND_INOUT, /* added to, or changed in place */
};

struct operand {
    const char *name;
    enum operand_role role;
    struct tensor view; /* data lies in `image`; absent where dtype is DTYPE_NONE */
    uint8_t *image;     /* the memory before the call: guard bytes, elements and row padding, guard bytes */
    size_t n_bytes;
    bool per_token;   /* row r (of an integer vector: element r) belongs to token r alone */
    bool by_column;   /* the error of each column is relative to the largest of that column */
    double floor;     /* ... but at least to this: the scale of terms that may cancel */
    double tolerance; /* 0: bit for bit; set from the case and the number type when the operand is made */
};

/* An input of forward and the operand where backward leaves its gradient. */
struct gradient_pair {
    int input, gradient;
    bool accumulated; /* "+=": the gradient is what was added */
};
/* An output of forward and the operand with the loss's gradient by it. */
struct output_pair {
    int output, d_output;
};

#define MAX_OPERANDS 24

struct op_case;
typedef void op_call(struct stream *s, const struct op_case *c, const struct tensor *t);

struct op_case {
    char text[256]; /* the operation, its sizes and options, for messages */
    struct rng rng; /* everything random about the case */
    int limit;      /* no size is larger */
    bool smooth;    /* made for finite differences: no rounding to 16 bits, no kinks nearby */
    double tolerance;

    op_call *forward, *backward; /* backward, run after forward, may be NULL; t[i] is operand i */
    struct operand operands[MAX_OPERANDS];
    int n_operands;
    struct gradient_pair gradients[6];
    struct output_pair outputs[3];
    int n_gradients, n_outputs;

    struct matmul_options matmul;
    struct norm_options norm;
    struct qkv_options qkv;
    struct attention_options attention;
    struct dropout_options dropout;
    struct adamw_options adamw;
    enum activation_kind activation;
    float inverse_temperature, cap, embedding_scale;
};

/* ---- making ---------------------------------------------------------------------------------- */

/* Case `number` of an operation: the same numbers give the same case. */
void op_case_begin(struct op_case *c, const char *op, uint64_t number, int limit, bool smooth);
void op_case_end(struct op_case *c);
void op_case_say(struct op_case *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

int op_case_below(struct op_case *c, int n); /* uniform in 0..n-1 */
bool op_case_coin(struct op_case *c);
int op_case_size(struct op_case *c, int most); /* 1, 2, 3, 5, 7, 17, 31, ...: at most `most` and the limit */

enum dtype op_case_float(struct op_case *c); /* F32, BF16 or F16; F32 if smooth */
float op_case_epsilon(struct op_case *c);    /* of a norm */
/* Fills x with numbers of 0..limit-1, no two equal if `distinct`. */
void op_case_indices(struct op_case *c, int32_t *x, int n, int limit, bool distinct);
static inline const char *if_so(bool option, const char *text) { return option ? text : ""; }

/* Operand `index`, normally distributed (NaN for OPERAND_OUT), a third of them with padded rows and off alignment. */
struct operand *operand_numbers(struct op_case *c, int index, const char *name, enum operand_role role,
                                enum dtype dtype, int64_t rows, int64_t cols);
/* Operand `index`, an I32 matrix for the caller to fill. */
int32_t *operand_integers(struct op_case *c, int index, const char *name, int64_t rows, int64_t cols);
/* Operand `index`, the seed and counter of dropout, I64 [1, 2]. */
void operand_rng(struct op_case *c, int index);

void op_case_gradient(struct op_case *c, int input, int gradient, bool accumulated);
void op_case_output(struct op_case *c, int output, int d_output);

/* ---- running --------------------------------------------------------------------------------- */

/* What a run left: an image an operand. */
struct op_result {
    uint8_t *images[MAX_OPERANDS];
};
void op_result_free(struct op_result *r);

/* Operand i of a result, as a tensor in host memory. */
struct tensor op_result_tensor(const struct op_case *c, const struct op_result *r, int i);

/* Runs forward (and backward, if asked) on `s`; with row >= 0, for that token alone. False, and a line on stderr, if it
 * failed, changed an input or wrote anywhere but into its outputs. Free the result either way. */
bool op_case_run(const struct op_case *c, struct stream *s, const char *device, bool backward, int64_t row,
                 struct op_result *result);

/* Compares outputs by max|got - expected| / max|expected|; a line on stderr for each that is off. */
bool op_case_compare(const struct op_case *c, const char *device, const struct op_result *expected,
                     const struct op_result *got);

/* Compares outputs bit for bit (with row >= 0: that row of those that are per token); `what` says what was varied. */
bool op_case_same_bits(const struct op_case *c, const char *device, const char *what, int64_t row,
                       const struct op_result *a, const struct op_result *b);

#endif
