/* tiny_training.c - see tiny_training.h. */
#include "tiny_training.h"

#include <math.h>
#include <string.h>

#include "cmocka_all.h"

static struct arch tiny_arch(void) {
    struct arch arch;
    assert_true(arch_from_depth(2, TINY_VOCAB, &arch, NULL));
    arch.context_length = TINY_CONTEXT;
    return arch;
}

struct trainer_options tiny_training_options(void) {
    struct arch arch = tiny_arch();
    struct recipe r = recipe_for(&arch, NULL);
    r.trainer.micro_batch_rows = TINY_ROWS;
    return r.trainer;
}

void tiny_training_open_arch(struct tiny_training *t, const struct arch *arch, int threads,
                             const struct trainer_options *options) {
    struct talc_error err = {0};
    memset(t, 0, sizeof *t);
    t->rng = rng_make(3, 3);
    t->pool = thread_pool_open(threads, &err);
    if (!stream_open(&t->stream, "cpu", t->pool, &err) ||
        !model_open(&t->model, arch, &t->stream,
                    &(struct model_options){.gradients = true, .weights = options->weights}, &err) ||
        !model_initialize(&t->model, recipe_for(arch, NULL).init, 5, &err) ||
        !trainer_open(&t->trainer, &t->model, options, &err) ||
        !row_batch_open(&t->batch, TINY_ROWS, TINY_CONTEXT, &err))
        fail_msg("%s", err.message);
}

void tiny_training_open_as(struct tiny_training *t, int threads, const struct trainer_options *options) {
    struct arch arch = tiny_arch();
    tiny_training_open_arch(t, &arch, threads, options);
}

void tiny_training_open(struct tiny_training *t, int threads, int micro_batch_rows) {
    struct trainer_options options = tiny_training_options();
    options.micro_batch_rows = micro_batch_rows;
    tiny_training_open_as(t, threads, &options);
}

void tiny_training_close(struct tiny_training *t) {
    row_batch_close(&t->batch);
    trainer_close(&t->trainer);
    model_close(&t->model);
    stream_close(&t->stream);
    thread_pool_close(t->pool);
}

void tiny_training_fill(struct row_batch *b, struct rng *rng) {
    row_batch_begin(b);
    for (int r = 0; r < b->n_rows; r++) {
        int first = (int)rng_below(rng, TINY_VOCAB);
        for (int i = 0; i < b->row_tokens; i++) {
            int at = r * b->row_tokens + i;
            b->tokens[at] = (first + i) % TINY_VOCAB;
            b->targets[at] = (first + i + 1) % TINY_VOCAB;
            b->weights[at] = 1;
        }
        row_batch_add_sequence(b, r, 0, b->row_tokens);
    }
    row_batch_end(b);
}

void tiny_training_accumulate(struct tiny_training *t) {
    struct objective o = objective_cross_entropy("test");
    struct talc_error err = {0};
    tiny_training_fill(&t->batch, &t->rng);
    if (!trainer_accumulate(&t->trainer, &t->batch, &o, &err)) fail_msg("%s", err.message);
}

double tiny_training_run(struct tiny_training *t, int steps) {
    struct update_report report = {0};
    struct talc_error err = {0};
    for (int i = 0; i < steps; i++) {
        tiny_training_accumulate(t);
        if (!trainer_update(&t->trainer, 1, &report, &err)) fail_msg("%s", err.message);
        if (t->trainer.updates == 1)
            assert_true(fabs(report.loss - log(TINY_VOCAB)) < 0.02); /* the head begins near zero */
    }
    return report.loss;
}
