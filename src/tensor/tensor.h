/* tensor.h - a view of numbers on a device: a row-major matrix. Owns nothing; passed by value.
 *
 * Row r, column c is element data[r * stride + c] of `dtype`. A vector is a matrix of one row. A tensor with dtype
 * DTYPE_NONE is "absent": operations say which arguments may be. Shapes in comments read [rows, cols]. */
#ifndef TALC_TENSOR_TENSOR_H
#define TALC_TENSOR_TENSOR_H

#include "base/dtype.h"

struct tensor {
    void *data; /* in the memory of the stream's device */
    enum dtype dtype;
    int64_t rows, cols;
    int64_t stride; /* elements from one row to the next, >= cols */
};

static inline struct tensor tensor_view(void *data, enum dtype dtype, int64_t rows, int64_t cols) {
    return (struct tensor){.data = data, .dtype = dtype, .rows = rows, .cols = cols, .stride = cols};
}
static inline struct tensor tensor_absent(void) { return (struct tensor){0}; }
static inline bool tensor_present(struct tensor t) { return t.dtype != DTYPE_NONE; }

/* Rows [first, first + n) and columns [first, first + n) of t, without copying. */
static inline struct tensor tensor_rows(struct tensor t, int64_t first, int64_t n) {
    t.data = (char *)t.data + (size_t)(first * t.stride) * dtype_size(t.dtype);
    t.rows = n;
    return t;
}
static inline struct tensor tensor_cols(struct tensor t, int64_t first, int64_t n) {
    t.data = (char *)t.data + (size_t)first * dtype_size(t.dtype);
    t.cols = n;
    return t;
}

#endif
