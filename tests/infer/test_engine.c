/* The engine: an answer does not depend on what else runs, on chunks or on the cache; it ends where it should, and says
 * why. */
#include "support/cmocka_all.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/engine.h"
#include "text/tokenizer_train.h"

enum { CONTEXT = 96 };

struct setup {
    struct thread_pool *pool;
    struct stream stream;
    struct model model;
    struct tokenizer *tokenizer;
};

static struct tokenizer *make_tokenizer(void) {
    static const char text[] = "the cat sat on the mat and the dog ran to the cat while the sun set over the hill ";
    struct tokenizer_train_options o = tokenizer_train_defaults(false);
    o.vocab_size = 280;
    struct tokenizer_trainer *trainer = tokenizer_trainer_open(&o, NULL);
    assert_true(tokenizer_trainer_add(trainer, text, strlen(text), NULL));
    struct tokenizer *tok = tokenizer_trainer_finish(trainer, NULL);
    tokenizer_trainer_close(trainer);
    return tok;
}

static int open_setup(void **state) {
    struct setup *s = calloc(1, sizeof *s);
    struct arch arch;
    struct talc_error err = {0};
    s->tokenizer = make_tokenizer();
    s->pool = thread_pool_open(2, &err);
    assert_true(stream_open(&s->stream, "cpu", s->pool, &err));
    assert_true(arch_from_depth(2, tokenizer_vocab_size(s->tokenizer), &arch, &err));
    arch.context_length = CONTEXT;
    assert_true(model_open(&s->model, &arch, &s->stream, NULL, &err));
    assert_true(model_initialize(&s->model, INIT_GPT2, 4, &err));
    *state = s;
    return 0;
}

static int close_setup(void **state) {
    struct setup *s = *state;
    model_close(&s->model);
    stream_close(&s->stream);
    thread_pool_close(s->pool);
    tokenizer_free(s->tokenizer);
    free(s);
    return 0;
}

static struct engine *open_engine(struct setup *s, int streams, int batch_tokens) {
    struct talc_error err = {0};
    struct engine *e = engine_open(&s->model, s->tokenizer,
                                   &(struct engine_options){.n_streams = streams, .batch_tokens = batch_tokens}, &err);
    assert_non_null(e);
    return e;
}

static void prompt_of(int seed, int n, int32_t *out) {
    for (int i = 0; i < n; i++) out[i] = (seed * 37 + i * 11) % 250;
}

static struct generation request(const int32_t *prompt, int n, uint64_t seed) {
    return (struct generation){.prompt = prompt,
                               .n_prompt = n,
                               .max_new_tokens = 20,
                               .ignore_eos = true,
                               .want_logprobs = true,
                               .sampling = {.temperature = 1, .top_p = 0.9f, .repetition_penalty = 1, .seed = seed}};
}

static void same_answer(const struct generation *a, const struct generation *b) {
    assert_int_equal(a->tokens.count, b->tokens.count);
    assert_memory_equal(a->tokens.ids, b->tokens.ids, a->tokens.count * sizeof(int32_t));
    assert_memory_equal(a->logprobs.data, b->logprobs.data, a->tokens.count * sizeof(float));
}

static void an_answer_does_not_depend_on_its_neighbours(void **state) {
    struct setup *s = *state;
    enum { N = 5 };
    int32_t prompts[N][40];
    struct generation alone[N], crowded[N];
    struct engine *one = open_engine(s, 1, 512), *many = open_engine(s, N, 13);
    int running;
    for (int i = 0; i < N; i++) {
        prompt_of(i, 10 + 7 * i, prompts[i]);
        alone[i] = request(prompts[i], 10 + 7 * i, (uint64_t)i);
        crowded[i] = alone[i];
        assert_true(engine_generate(one, &alone[i], NULL));
        assert_int_equal(alone[i].finish, FINISH_LENGTH);
        assert_true(engine_submit(many, &crowded[i], NULL));
        if (i % 2) assert_true(engine_step(many, &running, NULL)); /* they do not begin together */
    }
    do assert_true(engine_step(many, &running, NULL));
    while (running);
    for (int i = 0; i < N; i++) {
        same_answer(&alone[i], &crowded[i]);
        generation_free(&alone[i]);
        generation_free(&crowded[i]);
    }
    engine_close(one);
    engine_close(many);
}

static void what_is_in_the_cache_is_used_and_changes_nothing(void **state) {
    struct setup *s = *state;
    int32_t prompt[60];
    prompt_of(1, 60, prompt);
    struct engine *warm = open_engine(s, 1, 512), *cold = open_engine(s, 1, 512);
    struct generation first = request(prompt, 40, 1), again = request(prompt, 60, 2), fresh = again;
    assert_true(engine_generate(warm, &first, NULL));
    assert_true(engine_generate(warm, &again, NULL));
    assert_true(engine_generate(cold, &fresh, NULL));
    assert_int_equal(first.n_cached, 0);
    assert_true(again.n_cached >= 40);
    assert_int_equal(fresh.n_cached, 0);
    same_answer(&again, &fresh);
    generation_free(&first);
    generation_free(&again);
    generation_free(&fresh);
    engine_close(warm);
    engine_close(cold);
}

static void a_full_context_is_said(void **state) {
    struct setup *s = *state;
    int32_t prompt[CONTEXT];
    struct talc_error err = {0};
    prompt_of(3, CONTEXT, prompt);
    struct engine *e = open_engine(s, 1, 0);
    struct generation g = request(prompt, CONTEXT - 5, 1), too_long = request(prompt, CONTEXT, 1);
    assert_true(engine_generate(e, &g, NULL));
    assert_int_equal(g.finish, FINISH_CONTEXT);
    assert_int_equal(g.tokens.count, 5);
    assert_false(engine_submit(e, &too_long, &err));
    assert_non_null(strstr(err.message, "context holds 96"));
    generation_free(&g);
    engine_close(e);
}

static void assert_a_stream_is_free(struct engine *e, const int32_t *prompt) {
    struct generation g = request(prompt, 3, 1);
    assert_true(engine_generate(e, &g, NULL));
    assert_int_equal(g.finish, FINISH_LENGTH);
    generation_free(&g);
}

static bool stop_at_once(void *context, const char *text, size_t n) {
    (void)text, (void)n;
    ++*(int *)context;
    return false;
}

static void a_receiver_can_stop_it_and_bad_prompts_are_refused(void **state) {
    struct setup *s = *state;
    int32_t prompt[4] = {1, 2, 3, 99999};
    int calls = 0;
    struct talc_error err = {0};
    struct engine *e = open_engine(s, 1, 0);
    struct generation g = request(prompt, 3, 1), bad = request(prompt, 4, 1), empty = request(prompt, 0, 1);
    g.on_text = stop_at_once;
    g.context = &calls;
    assert_true(engine_generate(e, &g, NULL));
    assert_int_equal(g.finish, FINISH_CANCELLED);
    assert_int_equal(calls, 1);
    assert_false(engine_submit(e, &bad, &err));
    assert_non_null(strstr(err.message, "99999"));
    assert_false(engine_submit(e, &empty, &err));
    assert_a_stream_is_free(e, prompt);
    generation_free(&g);
    engine_close(e);
}

/* A signal ends it at the next step, also while the prompt is read and there is no text to refuse. */
static void a_signal_ends_it_between_steps(void **state) {
    struct setup *s = *state;
    struct talc_error err = {0};
    int32_t prompt[40];
    volatile sig_atomic_t stop = SIGINT;
    prompt_of(1, 40, prompt);
    struct engine *e = open_engine(s, 1, 8);
    struct generation g = request(prompt, 40, 1);
    g.stop = &stop;
    assert_true(engine_generate(e, &g, &err));
    assert_int_equal(g.finish, FINISH_CANCELLED);
    assert_int_equal(g.tokens.count, 0);
    assert_a_stream_is_free(e, prompt);
    generation_free(&g);
    engine_close(e);
}

/* Damaged weights must not answer. */
static void what_is_not_finite_is_no_answer(void **state) {
    struct setup *s = *state;
    struct talc_error err = {0};
    int32_t prompt[4];
    prompt_of(1, 4, prompt);
    struct engine *e = open_engine(s, 1, 0);
    float *weight = s->model.head.weight->value.data, kept = weight[7];
    weight[7] = NAN;
    struct generation g = request(prompt, 4, 1);
    assert_false(engine_generate(e, &g, &err));
    assert_non_null(strstr(err.message, "not finite"));
    assert_int_equal(g.tokens.count, 0);
    generation_free(&g);
    weight[7] = kept;
    g = request(prompt, 4, 1);
    assert_true(engine_generate(e, &g, &err));
    generation_free(&g);
    engine_close(e);
}

/* A step that failed leaves nothing in the cache that a later request could take for computed. */
static void nothing_of_a_failed_step_is_used_again(void **state) {
    struct setup *s = *state;
    int32_t prompt[40];
    prompt_of(5, 40, prompt);
    struct engine *e = open_engine(s, 1, 0), *fresh = open_engine(s, 1, 0);
    float *weight = s->model.blocks[0].qkv.weight->value.data, kept = weight[3];
    struct generation g = request(prompt, 40, 1), again = g, want = g;
    weight[3] = NAN;
    assert_false(engine_generate(e, &g, NULL));
    weight[3] = kept;
    assert_true(engine_generate(fresh, &want, NULL));
    assert_true(engine_generate(e, &again, NULL));
    same_answer(&again, &want);
    generation_free(&g);
    generation_free(&again);
    generation_free(&want);
    engine_close(e);
    engine_close(fresh);
}

static void cancelling_what_does_not_run_stops_nobody_else(void **state) {
    struct setup *s = *state;
    int32_t prompt[8];
    int running;
    prompt_of(2, 8, prompt);
    struct engine *e = open_engine(s, 1, 0);
    struct generation g = request(prompt, 8, 1), waiting = request(prompt, 8, 2);
    assert_true(engine_submit(e, &g, NULL));
    engine_cancel(e, &waiting);
    assert_true(engine_step(e, &running, NULL));
    assert_int_equal(running, 1);
    engine_cancel(e, &g);
    assert_int_equal(g.finish, FINISH_CANCELLED);
    generation_free(&g);
    engine_close(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_does_not_depend_on_its_neighbours),
        cmocka_unit_test(what_is_in_the_cache_is_used_and_changes_nothing),
        cmocka_unit_test(a_full_context_is_said),
        cmocka_unit_test(a_receiver_can_stop_it_and_bad_prompts_are_refused),
        cmocka_unit_test(a_signal_ends_it_between_steps),
        cmocka_unit_test(what_is_not_finite_is_no_answer),
        cmocka_unit_test(nothing_of_a_failed_step_is_used_again),
        cmocka_unit_test(cancelling_what_does_not_run_stops_nobody_else),
    };
    return cmocka_run_group_tests(tests, open_setup, close_setup);
}
