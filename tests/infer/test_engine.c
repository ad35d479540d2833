/* The engine: an answer does not depend on what else runs, on chunks or on the cache; it ends where it should, and says
 * why. */
#include "support/cmocka_all.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/engine.h"
#include "infer/stream_text.h"
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

/* ---- the text of an answer, and where it ends ------------------------------------------------ */

static bool take_text(void *context, const char *text, size_t n) {
    buffer_append(context, text, n);
    return true;
}

/* The text that these tokens are: special ones say nothing, bytes that are no UTF-8 are U+FFFD. */
static struct buffer text_of(const struct tokenizer *tok, const struct token_list *tokens) {
    struct buffer bytes = {0}, text = {0};
    for (size_t i = 0; i < tokens->count; i++) {
        size_t n;
        const char *token = tokenizer_token_bytes(tok, tokens->ids[i], &n);
        if (!tokenizer_is_special(tok, tokens->ids[i])) buffer_append(&bytes, token, n);
    }
    stream_text_append(&text, bytes.data, bytes.length);
    buffer_free(&bytes);
    return text;
}

static void the_text_is_that_of_the_tokens_and_ends_at_a_stop_string(void **state) {
    struct setup *s = *state;
    int32_t prompt[8];
    prompt_of(6, 8, prompt);
    struct engine *e = open_engine(s, 1, 0);
    int n_stopped = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct buffer seen = {0};
        struct generation whole = request(prompt, 8, seed), stopped = whole;
        whole.on_text = take_text;
        whole.context = &seen;
        assert_true(engine_generate(e, &whole, NULL));
        struct buffer want = text_of(s->tokenizer, &whole.tokens);
        assert_int_equal(whole.text.length, want.length);
        assert_memory_equal(whole.text.data, want.data, want.length);
        assert_int_equal(seen.length, want.length);
        assert_memory_equal(seen.data, want.data, want.length);
        /* two letters in a row somewhere behind the beginning: torn between tokens or not, they end it */
        for (size_t i = 3; i + 1 < want.length && !stopped.n_stops; i++) {
            char stop[3] = {want.data[i], want.data[i + 1], 0};
            if ((stop[0] | stop[1]) & 0x80 || !stop[0] || !stop[1]) continue;
            const char *const stops[] = {"never said", stop};
            size_t at = (size_t)((char *)memmem(want.data, want.length, stop, 2) - want.data);
            stopped.stops = stops;
            stopped.n_stops = 2;
            stopped.on_text = take_text;
            buffer_clear(&seen);
            stopped.context = &seen;
            assert_true(engine_generate(e, &stopped, NULL));
            assert_int_equal(stopped.finish, FINISH_STOP);
            assert_int_equal(stopped.text.length, at);
            assert_int_equal(seen.length, at);
            if (at) assert_memory_equal(seen.data, want.data, at);
            assert_true(stopped.tokens.count <= whole.tokens.count);
            n_stopped++;
        }
        buffer_free(&want);
        buffer_free(&seen);
        generation_free(&whole);
        generation_free(&stopped);
    }
    assert_true(n_stopped >= 10);
    engine_close(e);
}

static void an_end_token_ends_it_unless_it_is_ignored(void **state) {
    struct setup *s = *state;
    int32_t prompt[8], end = tokenizer_end_of_text_id(s->tokenizer);
    prompt_of(7, 8, prompt);
    assert_true(end >= 0);
    struct engine *e = open_engine(s, 1, 0);
    int n_ended = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct generation on = request(prompt, 8, seed), ended = on;
        on.max_new_tokens = ended.max_new_tokens = 0;
        ended.ignore_eos = false;
        assert_true(engine_generate(e, &on, NULL));
        assert_true(engine_generate(e, &ended, NULL));
        assert_int_equal(on.finish, FINISH_CONTEXT);
        size_t first = 0;
        while (first < on.tokens.count && !tokenizer_is_end(s->tokenizer, on.tokens.ids[first])) first++;
        assert_int_equal(ended.finish, first < on.tokens.count ? FINISH_STOP : FINISH_CONTEXT);
        assert_int_equal(ended.tokens.count, first);
        assert_memory_equal(ended.tokens.ids, on.tokens.ids, first * sizeof(int32_t));
        struct buffer want = text_of(s->tokenizer, &ended.tokens);
        assert_int_equal(ended.text.length, want.length);
        n_ended += first < on.tokens.count;
        buffer_free(&want);
        generation_free(&on);
        generation_free(&ended);
    }
    assert_true(n_ended > 0);
    engine_close(e);
}

/* A request that was cancelled, or had its answer, begins anew when it is submitted again. */
static void a_request_can_be_submitted_again(void **state) {
    struct setup *s = *state;
    int32_t prompt[8];
    int running;
    prompt_of(8, 8, prompt);
    struct engine *e = open_engine(s, 1, 0);
    struct generation g = request(prompt, 8, 3), want = g;
    assert_true(engine_generate(e, &want, NULL));
    assert_true(engine_submit(e, &g, NULL));
    for (int i = 0; i < 5; i++) assert_true(engine_step(e, &running, NULL));
    engine_cancel(e, &g);
    assert_int_equal(g.tokens.count, 5);
    for (int i = 0; i < 2; i++) {
        assert_true(engine_generate(e, &g, NULL));
        same_answer(&g, &want);
        assert_int_equal(g.text.length, want.text.length);
        assert_int_equal(g.logprobs.length, want.logprobs.length);
    }
    generation_free(&g);
    generation_free(&want);
    engine_close(e);
}

/* A model that was trained on long texts does not take gigabytes unless they are asked for. */
static void a_long_context_is_asked_for(void **state) {
    const struct setup *s = *state;
    struct arch arch = s->model.arch;
    arch.context_length = 131072;
    struct engine_options usual = {.n_streams = 1}, same = {.n_streams = 1, .context_length = ENGINE_USUAL_CONTEXT},
                          whole = {.n_streams = 1, .context_length = 131072};
    size_t bytes = engine_memory(&arch, &usual, DTYPE_F32).kv_cache;
    assert_int_equal(bytes, engine_memory(&arch, &same, DTYPE_F32).kv_cache);
    assert_int_equal(bytes * 16, engine_memory(&arch, &whole, DTYPE_F32).kv_cache);
}

/* A smaller context takes a smaller cache, and is full sooner; a larger one than the model's is refused. */
static void a_context_can_be_asked_for(void **state) {
    struct setup *s = *state;
    struct talc_error err = {0};
    struct engine_options o = {.n_streams = 2, .context_length = 64};
    int32_t prompt[64];
    prompt_of(9, 64, prompt);
    assert_int_equal(2 * engine_memory(&s->model.arch, &o, DTYPE_F32).kv_cache,
                     engine_memory(&s->model.arch, &(struct engine_options){.n_streams = 2}, DTYPE_F32).kv_cache);
    struct engine *e = engine_open(&s->model, s->tokenizer, &o, &err), *whole = open_engine(s, 1, 0);
    assert_non_null(e);
    assert_int_equal(engine_context_length(e), 64);
    struct generation g = request(prompt, 50, 1), want = g, too_long = request(prompt, 64, 1);
    g.max_new_tokens = 0;
    want.max_new_tokens = 14;
    assert_true(engine_generate(e, &g, &err));
    assert_true(engine_generate(whole, &want, &err));
    assert_int_equal(g.finish, FINISH_CONTEXT);
    same_answer(&g, &want);
    assert_false(engine_submit(e, &too_long, &err));
    assert_non_null(strstr(err.message, "context holds 64"));
    o.context_length = CONTEXT + 1;
    assert_null(engine_open(&s->model, s->tokenizer, &o, &err));
    assert_non_null(strstr(err.message, "a context of 97 tokens was asked for; the model has 96"));
    generation_free(&g);
    generation_free(&want);
    engine_close(e);
    engine_close(whole);
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
        cmocka_unit_test(the_text_is_that_of_the_tokens_and_ends_at_a_stop_string),
        cmocka_unit_test(an_end_token_ends_it_unless_it_is_ignored),
        cmocka_unit_test(a_request_can_be_submitted_again),
        cmocka_unit_test(a_context_can_be_asked_for),
        cmocka_unit_test(a_long_context_is_asked_for),
        cmocka_unit_test(cancelling_what_does_not_run_stops_nobody_else),
    };
    return cmocka_run_group_tests(tests, open_setup, close_setup);
}
