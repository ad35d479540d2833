/* weights.h - the tensors that a file of a model has, and where their numbers are in the model: the walk that every
 * file format shares (weights_folder.c is one). A parameter is one tensor of the file or several stacked by rows (q, k
 * and v; gate and up). */
#ifndef TALC_MODEL_WEIGHTS_H
#define TALC_MODEL_WEIGHTS_H

#include "model/family.h"
#include "model/layout.h"

struct file_tensor {
    char name[128];
    const struct layout_entry *entry; /* its parameter; not present: a bias that the model does not have */
    enum part part;                   /* which of its rows */
    int layer;                        /* -1 outside the blocks */
    int64_t first_row, rows;          /* of the parameter; of a vector: of its columns */
    bool vector;                      /* [n] in the file, [1, n] here */
    bool turned;                      /* [in, out] in the file */
};

/* What is done with each tensor; false stops. */
typedef bool file_tensor_visit(void *context, const struct file_tensor *t, struct talc_error *err);

/* What a file calls its tensors; see struct family, whose names are those of its folders. */
struct weight_names {
    const char *blocks;
    const struct name_rule *outer, *block;
    bool always_biases;
};

/* Visits every tensor that a model of this arch has in a file with these names, the embedding first, a parameter's
 * parts in the order of its rows. */
bool weights_visit_names(const struct arch *a, const struct weight_names *names, file_tensor_visit *visit,
                         void *context, struct talc_error *err);
/* The same with the names of its family's folders. */
bool weights_visit(const struct arch *a, file_tensor_visit *visit, void *context, struct talc_error *err);

size_t file_tensor_floats(const struct file_tensor *t);
/* Where the tensor's numbers are in the model: a parameter, from its number `first` on. */
const struct parameter *file_tensor_place(const struct model *m, const struct file_tensor *t, int64_t *first);

/* Room for the floats of the largest tensor, twice where some are transposed. */
struct weights_staging {
    size_t largest;
    float *floats, *turned;
};
bool weights_staging_open(struct weights_staging *s, const struct model *m, struct talc_error *err);
void weights_staging_close(struct weights_staging *s);

/* out[c * rows + r] = in[r * cols + c] */
void weights_transpose(const float *in, int64_t rows, int64_t cols, float *out);

/* For whoever loads: tells model_options' progress that n more numbers are there. */
struct weights_progress {
    const struct model_options *options;
    double done, total;
};
void weights_progress_add(struct weights_progress *p, int64_t n);
void weights_progress_end(const struct weights_progress *p);

/* One GGUF file, or all parts of a model: its shape; what its matrices and tables are kept in (model_stored_weights);
 * the whole. */
bool gguf_read_arch(const char *path, struct arch *arch, struct talc_error *err);
bool gguf_weights(const char *path, enum dtype *weights, struct talc_error *err);
bool gguf_load(struct model *model, const char *path, struct stream *stream, const struct model_options *options,
               struct talc_error *err);

#endif
