/* assistant.h - a model ready to be talked to: weights, tokenizer, chat template and engine, opened from one folder or
 * file. */
#ifndef TALC_INFER_ASSISTANT_H
#define TALC_INFER_ASSISTANT_H

#include "infer/engine.h"
#include "text/chat.h"

struct assistant {
    struct model model;
    struct tokenizer *tokenizer;
    struct chat_template *chat_template; /* NULL: the model has none, and cannot chat */
    struct engine *engine;
    char *folder; /* where it was found */
};

/* `path`: a model folder, a run folder or a GGUF file; `model`: as model_load takes it. */
bool assistant_open(struct assistant *a, const char *path, struct stream *stream, const struct model_options *model,
                    const struct engine_options *options, struct talc_error *err);
void assistant_close(struct assistant *a);

/* Whether all ids of a tokenizer are ids of the model, both of which were read from `folder`. */
bool model_fits_tokenizer(const struct model *model, const struct tokenizer *tokenizer, const char *folder,
                          struct talc_error *err);

/* Whether it has a chat template. */
bool assistant_can_chat(const struct assistant *a, struct talc_error *err);

/* Ids of a conversation (array of {role, content}), with the opening of the assistant's answer at its end. */
bool assistant_encode_chat(const struct assistant *a, const json_t *messages, struct token_list *ids,
                           struct talc_error *err);

#endif
