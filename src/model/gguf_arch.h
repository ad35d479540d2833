/* gguf_arch.h - the architectures of GGUF files (general.architecture): what their tensors are called, and their
 * metadata as the config.json of the same model, which arch_from_config then reads. */
#ifndef TALC_MODEL_GGUF_ARCH_H
#define TALC_MODEL_GGUF_ARCH_H

#include <jansson.h>

#include "model/gguf_tensors.h"
#include "model/weights.h"

struct gguf_arch {
    const char *name;
    const char *model_type; /* of config.json */
    struct weight_names names;
    /* The file rotates neighbours of a head (x[2i], x[2i + 1]) where Hugging Face and talc rotate halves
     * (x[i], x[i + d/2]): rows of q and k are in that order. */
    bool pairs;
    bool learned_positions;
    bool gemma; /* gemma2 and gemma3: layers with a window among those without, soft caps */
};

/* The architecture of a file, or NULL and a message with all that there are. */
const struct gguf_arch *gguf_arch_of(const struct gguf_model *g, struct talc_error *err);

/* Whether the metadata say what a tensor is for: factors of rotary frequencies, which no parameter asks for. */
bool gguf_is_rope_factors(const char *tensor_name);

/* Whether there is a head of its own: output.weight, unless it is a copy of the embedding. */
bool gguf_has_head(const struct gguf_model *g);

/* A new reference; NULL on failure. A key of the architecture that changes the arithmetic and is not understood is
 * refused by name. */
json_t *gguf_to_config(const struct gguf_model *g, const struct gguf_arch *arch, struct talc_error *err);

#endif
