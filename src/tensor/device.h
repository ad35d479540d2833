/* device.h - where tensors live and work is done. A back end is a table; a stream is one queue of work on one device.
 *
 * Operations (ops.h) run in the order they are given to a stream. They return nothing: an error latches in the stream
 * and comes out of stream_synchronize. A stream is used by one host thread at a time. */
#ifndef TALC_TENSOR_DEVICE_H
#define TALC_TENSOR_DEVICE_H

#include "base/error.h"
#include "base/thread_pool.h"
#include "tensor/tensor.h"

struct ops;

struct stream {
    const struct backend *backend;
    const struct ops *ops;
    struct thread_pool *pool; /* host back ends: the threads that work; borrowed */
    bool failed;              /* an operation has failed; `error` says why; later operations do nothing */
    struct talc_error error;
    void *state; /* the back end's own */
};

struct backend {
    const char *name; /* "ref", "cpu", "cuda" */
    bool own_memory;  /* it has memory of its own, as a GPU; else it takes the machine's */
    /* `variant` (may be NULL) picks an instruction set or a device: "avx2", "1". The pool is borrowed. */
    bool (*open)(struct stream *stream, const char *variant, struct thread_pool *pool, struct talc_error *err);
    void (*close)(struct stream *stream);
    /* What runs, and, for DTYPE_BF16, what multiplies bf16: "AVX-512, 16 floats at a time". */
    const char *(*describe)(const struct stream *stream, enum dtype compute);
    /* Zeroed memory on the device, 64-byte aligned; NULL and err when there is not enough. */
    void *(*memory_take)(struct stream *stream, size_t n_bytes, struct talc_error *err);
    void (*memory_give)(struct stream *stream, void *memory);
    /* Between host memory and device memory; ordered with the stream's operations. copy_out has arrived on return. */
    void (*copy_in)(struct stream *stream, void *device, const void *host, size_t n_bytes);
    void (*copy_out)(struct stream *stream, void *host, const void *device, size_t n_bytes);
    /* Waits for all work given so far; false with the latched error. */
    bool (*synchronize)(struct stream *stream, struct talc_error *err);
    /* Operations a second (a multiply-add is two) that the arithmetic units reach right now, on all threads, in
     * products of a type (matmul_options.compute), measured in some milliseconds: what kernels are compared with. NULL
     * where it is not known. */
    double (*peak_flops)(struct stream *stream, enum dtype compute);
};

/* Opens a stream on a back end by name: "cpu", "ref", or with a variant, "cpu:avx2". */
bool stream_open(struct stream *stream, const char *device, struct thread_pool *pool, struct talc_error *err);
void stream_close(struct stream *stream);
bool stream_synchronize(struct stream *stream, struct talc_error *err);

/* Memory from the back end, as its memory_take. What the machine cannot give is refused before it is touched: the
 * system would kill this process, or another. */
void *stream_memory_take(struct stream *stream, size_t n_bytes, struct talc_error *err);

/* Latches an error (for back ends): only the first is kept. */
void stream_fail(struct stream *stream, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Back ends built in, ended by NULL. */
extern const struct backend *const backends[];

#endif
