/* assistant.c - see assistant.h. */
#include "infer/assistant.h"

#include <stdlib.h>
#include <string.h>

#include "file/run_folder.h"

bool model_fits_tokenizer(const struct model *model, const struct tokenizer *tokenizer, const char *folder,
                          struct talc_error *err) {
    int n = tokenizer_vocab_size(tokenizer);
    return n <= model->arch.vocab_size ||
           talc_fail(err, "%s: the tokenizer has %d tokens and the model only %d", folder, n, model->arch.vocab_size);
}

static bool open_text(struct assistant *a, struct talc_error *err) {
    a->tokenizer = tokenizer_load(a->folder, err);
    if (!a->tokenizer) return false;
    if (!model_fits_tokenizer(&a->model, a->tokenizer, a->folder, err)) return false;
    const char *source = tokenizer_chat_template(a->tokenizer);
    if (source && !(a->chat_template = chat_template_parse(source, strlen(source), err)))
        return talc_fail_in(err, "%s: chat template", a->folder);
    return true;
}

bool assistant_open(struct assistant *a, const char *path, struct stream *stream, const struct model_options *model,
                    const struct engine_options *options, struct talc_error *err) {
    *a = (struct assistant){.folder = run_folder_find_model(path, false, err)};
    if (a->folder && model_load(&a->model, a->folder, stream, model, err) && open_text(a, err) &&
        (a->engine = engine_open(&a->model, a->tokenizer, options, err)))
        return true;
    assistant_close(a);
    return false;
}

void assistant_close(struct assistant *a) {
    engine_close(a->engine);
    chat_template_free(a->chat_template);
    tokenizer_free(a->tokenizer);
    if (a->model.memory) model_close(&a->model);
    free(a->folder);
    *a = (struct assistant){0};
}

bool assistant_can_chat(const struct assistant *a, struct talc_error *err) {
    return a->chat_template ||
           talc_fail(err, "%s: the model has no chat template; continue text with talc generate instead", a->folder);
}

bool assistant_encode_chat(const struct assistant *a, const json_t *messages, struct token_list *ids,
                           struct talc_error *err) {
    if (!assistant_can_chat(a, err)) return false;
    struct chat_options options = {.add_generation_prompt = true};
    return chat_encode(a->tokenizer, a->chat_template, messages, &options, ids, NULL, err);
}
