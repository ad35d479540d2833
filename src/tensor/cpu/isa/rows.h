/* rows.h - work split into runs of rows of a fixed size, so that what a task does never depends on the number of
 * threads. */
#ifndef TALC_TENSOR_CPU_ISA_ROWS_H
#define TALC_TENSOR_CPU_ISA_ROWS_H

#include "tensor/cpu/cpu.h"

#define ROWS_PER_TASK 16

static inline int row_tasks(int64_t rows) { return (int)((rows + ROWS_PER_TASK - 1) / ROWS_PER_TASK); }
static inline int64_t task_begin(int task) { return (int64_t)task * ROWS_PER_TASK; }
static inline int64_t task_end(int task, int64_t rows) {
    int64_t end = ((int64_t)task + 1) * ROWS_PER_TASK;
    return end < rows ? end : rows;
}
static inline float *row_f32(struct tensor t, int64_t r) { return (float *)t.data + r * t.stride; }
static inline const float *vector_f32(struct tensor t) { return tensor_present(t) ? t.data : NULL; }
static inline const int32_t *vector_i32(struct tensor t) { return t.data; }

#endif
