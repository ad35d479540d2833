/* training.c - see training.h. */
#include "train/training.h"

#include <math.h>

#include "base/clock.h"

#define STEPS_TO_MEASURE 12 /* before the number of steps is fixed by time: the first ones are slower */

struct loop {
    struct trainer *trainer;
    const struct objective *objective;
    struct training_source *source;
    const struct tokenizer *tokenizer;
    const struct training_options *options;
    struct train_state *state;
    struct schedule schedule;
    struct metrics metrics;
    double start;        /* clock at which state->seconds was 0 */
    double measure_from; /* clock after the second step */
};

struct train_state training_state_new(void) {
    return (struct train_state){.best_loss = (double)INFINITY, .best_step = -1, .train_loss = (double)NAN,
                                .val_loss = (double)NAN};
}

bool training_validate(struct trainer *trainer, const struct objective *objective, struct training_source *source,
                       double *loss, double *bits_per_byte, struct talc_error *err) {
    double loss_sum = 0, weight_sum = 0;
    for (int64_t i = 0;; i++) {
        bool end = false;
        double l, w;
        const struct row_batch *batch = source->validation(source->context, i, &end, err);
        if (!batch && end) break;
        if (!batch || !trainer_evaluate(trainer, batch, objective, &l, &w, err)) return false;
        loss_sum += l;
        weight_sum += w;
    }
    if (weight_sum == 0) return talc_fail(err, "the validation split has no token to score");
    *loss = loss_sum / weight_sum;
    *bits_per_byte = source->validation_bytes > 0 ? loss_sum / source->validation_bytes / log(2) : (double)NAN;
    return true;
}

static bool evaluate(struct loop *l, struct metrics_line *line, struct talc_error *err) {
    struct train_state *s = l->state;
    if (!l->source->validation) return true;
    double bits;
    if (!training_validate(l->trainer, l->objective, l->source, &s->val_loss, &bits, err)) return false;
    if (s->val_loss < s->best_loss) {
        s->best_loss = s->val_loss;
        s->best_step = s->step;
    }
    line->val_loss = s->val_loss;
    line->val_bits_per_byte = bits;
    if (l->options->on_evaluation) l->options->on_evaluation(l->options->context, s, bits);
    return true;
}

static bool save(struct loop *l, struct talc_error *err) {
    l->state->seconds = clock_seconds() - l->start;
    return checkpoint_save(l->options->out, l->trainer, l->tokenizer, l->state, l->options->keep, err);
}

static bool one_step(struct loop *l, struct metrics_line *line, struct talc_error *err) {
    struct train_state *s = l->state;
    struct update_report report;
    double begin = clock_seconds(), factor = schedule_factor(&l->schedule, s->step);
    const struct row_batch *batch = l->source->next(l->source->context, &s->source_epoch, &s->source_next, err);
    if (!batch || !trainer_accumulate(l->trainer, batch, l->objective, err) ||
        !trainer_update(l->trainer, factor, &report, err))
        return false;
    int64_t tokens = (int64_t)batch->n_rows * batch->row_tokens;
    s->step++;
    s->tokens += tokens;
    s->train_loss = report.loss;
    s->seconds = clock_seconds() - l->start;
    *line = (struct metrics_line){.step = s->step,
                                  .tokens = s->tokens,
                                  .train_loss = report.loss,
                                  .val_loss = (double)NAN,
                                  .val_bits_per_byte = (double)NAN,
                                  .learning_rate_factor = factor,
                                  .gradient_norm = report.gradient_norm,
                                  .seconds = s->seconds,
                                  .tokens_per_second = (double)tokens / (clock_seconds() - begin)};
    return true;
}

/* When only a time was given: how many steps fit into what is left of it, from the pace of the last few. */
static void fix_total_steps(struct loop *l) {
    struct train_state *s = l->state;
    if (s->step == 2) l->measure_from = clock_seconds();
    if (s->total_steps > 0 || s->step < STEPS_TO_MEASURE) return;
    double pace = (clock_seconds() - l->measure_from) / (double)(s->step - 2);
    double left = l->options->minutes * 60 - (clock_seconds() - l->start);
    s->total_steps = s->step + (left > pace ? (int64_t)(left / pace) : 1);
    l->schedule.total_steps = s->total_steps;
}

static bool due(int64_t every, int64_t step) { return every > 0 && step % every == 0; }

static bool run_steps(struct loop *l, bool *stopped, struct talc_error *err) {
    const struct training_options *o = l->options;
    struct train_state *s = l->state;
    while (!*stopped && (s->total_steps == 0 || s->step < s->total_steps)) {
        struct metrics_line line;
        if (!one_step(l, &line, err)) return false;
        fix_total_steps(l);
        bool last = s->total_steps > 0 && s->step >= s->total_steps;
        *stopped = !last && o->stop && *o->stop;
        if ((last || due(o->eval_every, s->step)) && !evaluate(l, &line, err)) return false;
        if (!metrics_append(&l->metrics, &line, err)) return false;
        if (o->on_step) o->on_step(o->context, s, &line);
        if (o->on_sample && !*stopped && (last || due(o->sample_every, s->step)) && !o->on_sample(o->context, s, err))
            return false;
        /* The best weights are worth a checkpoint of their own: `best` must name what had that loss. */
        bool best = s->best_step == s->step;
        if ((last || *stopped || best || due(o->save_every, s->step)) && !save(l, err)) return false;
    }
    return true;
}

bool training_run(struct trainer *trainer, const struct objective *objective, struct training_source *source,
                  const struct tokenizer *tokenizer, const struct training_options *options, struct train_state *state,
                  bool *stopped, struct talc_error *err) {
    struct loop l = {.trainer = trainer,
                     .objective = objective,
                     .source = source,
                     .tokenizer = tokenizer,
                     .options = options,
                     .state = state,
                     .schedule = options->schedule,
                     .start = clock_seconds() - state->seconds};
    *stopped = false;
    if (state->total_steps == 0) state->total_steps = options->schedule.total_steps;
    l.schedule.total_steps = state->total_steps;
    if (!metrics_open(&l.metrics, options->out, state->step, err)) return false;
    bool ok = run_steps(&l, stopped, err);
    ok = ok && metrics_plot(&l.metrics, err);
    metrics_close(&l.metrics);
    return ok;
}
