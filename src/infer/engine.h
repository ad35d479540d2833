/* engine.h - generates for several requests at once over one model.
 *
 * A request takes a stream (a slot of the KV cache). Each engine_step runs one ragged batch: a piece of every prompt
 * that is still being read, and one token of every answer being written. Only the answers' own memory grows. A stream
 * keeps its tokens when it ends: a later request that begins with the same ones does not compute them again. Results do
 * not depend on what else runs. One thread at a time. */
#ifndef TALC_INFER_ENGINE_H
#define TALC_INFER_ENGINE_H

#include <signal.h>

#include "base/buffer.h"
#include "infer/sampler.h"
#include "model/model.h"
#include "text/tokenizer.h"

#define ENGINE_USUAL_CONTEXT 8192 /* models that were trained on 128 Ki would take gigabytes for each stream */

struct engine_options {
    int n_streams;      /* requests at a time */
    int context_length; /* tokens a stream can hold; 0: the model's, at most ENGINE_USUAL_CONTEXT */
    int batch_tokens;   /* most tokens in one step; 0: 512 */
};

enum finish_reason {
    FINISH_NONE,    /* still running */
    FINISH_STOP,    /* an end token or a stop string */
    FINISH_LENGTH,  /* max_new_tokens reached */
    FINISH_CONTEXT, /* the context is full */
    FINISH_CANCELLED,
};
const char *finish_reason_name(enum finish_reason reason); /* "stop", "length", "context", "cancelled" */

/* One request and its answer. The caller owns it, and it must stay in place until it is finished or cancelled. */
struct generation {
    /* the request */
    const int32_t *prompt; /* borrowed until finished */
    int n_prompt;
    int max_new_tokens; /* 0: to the end of the context */
    struct sampling sampling;
    const char *const *stops; /* stop strings, not part of the answer */
    int n_stops;
    bool ignore_eos;
    bool want_logprobs;
    /* Called with text as it becomes certain: whole UTF-8 characters, never part of a stop string. Broken bytes arrive
     * as U+FFFD. Returning false cancels. May be NULL. */
    bool (*on_text)(void *context, const char *text, size_t n_bytes);
    void *context;
    const volatile sig_atomic_t *stop; /* engine_generate cancels when a signal has set it; may be NULL */

    /* the answer */
    enum finish_reason finish;
    struct buffer text;       /* all that was passed to on_text */
    struct token_list tokens; /* generated; the end token is not among them */
    struct buffer logprobs;   /* float[tokens.count] when wanted */
    int n_cached;             /* prompt tokens that were in the cache */

    /* the engine's */
    int stream; /* -1: waiting */
    struct rng rng;
    struct buffer pending; /* bytes not yet certain */
};

struct engine;
/* What it takes, with the model, whose matrices and tables are kept in `weights` (model_options). */
struct memory_table engine_memory(const struct arch *arch, const struct engine_options *options, enum dtype weights);
struct engine *engine_open(struct model *model, const struct tokenizer *tokenizer, const struct engine_options *options,
                           struct talc_error *err);
void engine_close(struct engine *engine);
int engine_context_length(const struct engine *engine);

/* Whether a request can be served: a prompt that fits and is of the vocabulary, sampling within its bounds. */
bool engine_check(const struct engine *engine, const struct generation *generation, struct talc_error *err);

/* Begins a request; false when it cannot run (a prompt that is empty, too long for the context, or names unknown
 * tokens; no stream free). What a request that was submitted before has of an answer is cleared. */
bool engine_submit(struct engine *engine, struct generation *generation, struct talc_error *err);
/* One batch; *n_running is how many requests are unfinished after it. False on an error of the device, weights that are
 * damaged, or without memory for an answer; the cache is then forgotten, and requests that are cancelled can be
 * submitted again. */
bool engine_step(struct engine *engine, int *n_running, struct talc_error *err);
void engine_cancel(struct engine *engine, struct generation *generation); /* one that is not running: nothing happens */

/* Submits and steps until it is finished. */
bool engine_generate(struct engine *engine, struct generation *generation, struct talc_error *err);
void generation_free(struct generation *generation); /* the answer's memory */

#endif
