/* training.c - see training.h. */
#include "train/training.h"

#include <math.h>

#include "base/clock.h"

/* Before the number of steps is planned by the clock, where there is time for as many: the first ones are slower. */
#define STEPS_TO_MEASURE 12
#define SLOW_STEPS 3

struct loop {
    struct trainer *trainer;
    const struct objective *objective;
    const struct training_data *data;
    struct row_batch batch; /* of a step */
    const struct tokenizer *tokenizer;
    const struct training_options *options;
    struct train_state *state;
    struct schedule schedule;
    struct metrics metrics;
    double start;        /* clock at which state->seconds was 0 */
    double begin;        /* clock when this process began its first step */
    double measure_from; /* clock after its SLOW_STEPS */
    int64_t measured_steps;
    bool planned; /* by the clock, in this process */
    struct training_intervals every;
    int64_t last_eval, last_save; /* steps */
};

struct train_state training_state_new(void) {
    return (struct train_state){.warmup_steps = -1,
                                .best_loss = (double)INFINITY,
                                .best_step = -1,
                                .train_loss = (double)NAN,
                                .val_loss = (double)NAN};
}

bool training_validate(struct trainer *trainer, const struct objective *objective, const struct training_data *data,
                       double *loss, double *bits_per_byte, struct talc_error *err) {
    double loss_sum = 0, weight_sum = 0;
    struct row_batch batch = {0};
    struct loader_state at = {0};
    bool ok = row_batch_open(&batch, trainer->options.micro_batch_rows, trainer->options.row_tokens, err);
    while (ok && at.epoch == 0) {
        double l, w;
        ok = loader_next(data->validation, &at, &batch, err) &&
             trainer_evaluate(trainer, &batch, objective, &l, &w, err);
        if (ok) loss_sum += l;
        if (ok) weight_sum += w;
    }
    row_batch_close(&batch);
    if (!ok) return false;
    if (weight_sum == 0) return talc_fail(err, "the validation split has no token to score");
    *loss = loss_sum / weight_sum;
    *bits_per_byte = data->validation_bytes > 0 ? loss_sum / data->validation_bytes / log(2) : (double)NAN;
    return true;
}

/* Updates that take as long as a validation: a forward pass is a third of forward and backward. */
static double validation_updates(const struct training_data *data, uint64_t validation_rows) {
    return (double)validation_rows / 3 / data->rows_per_step;
}

bool training_estimate(struct trainer *trainer, const struct objective *objective, const struct training_data *data,
                       const struct train_state *state, double *update_seconds, double *validation_seconds,
                       struct talc_error *err) {
    struct row_batch batch = {0};
    struct loader_state at = state->position; /* a copy: the loader's own place is not moved */
    uint64_t rows = 0;
    bool ok = row_batch_open(&batch, data->rows_per_step, trainer->options.row_tokens, err) &&
              loader_next(data->train, &at, &batch, err) &&
              trainer_measure(trainer, &batch, objective, update_seconds, err) &&
              (!data->validation || loader_count_rows(data->validation, 0, &rows, err));
    *validation_seconds = ok ? *update_seconds * validation_updates(data, rows) : 0;
    row_batch_close(&batch);
    return ok;
}

bool training_plan_intervals(const struct training_options *o, const struct training_data *data, int64_t total_steps,
                             struct training_intervals *out, struct talc_error *err) {
    const double most = 10, share = 0.05;
    uint64_t rows = 0;
    if (data->validation && !loader_count_rows(data->validation, 0, &rows, err)) return false;
    double steps = (double)total_steps, grown = batch_ramp_mean(&o->ramp, data->rows_per_step, 0, total_steps);
    double n = rows ? fmin(most, floor(share * steps * grown / validation_updates(data, rows))) : most;
    out->eval = o->eval_every >= 0 ? o->eval_every : n >= 1 ? (int64_t)ceil(steps / n) : 0;
    out->save = o->save_every >= 0 ? o->save_every : (int64_t)ceil(steps / most);
    return true;
}

/* Interrupted by a stop, it leaves the validation due. */
static bool evaluate(struct loop *l, struct metrics_line *line, struct talc_error *err) {
    struct train_state *s = l->state;
    l->last_eval = s->step;
    if (!l->data->validation) return true;
    double bits;
    s->validation_due = true;
    if (!training_validate(l->trainer, l->objective, l->data, &s->val_loss, &bits, err)) return l->trainer->interrupted;
    s->validation_due = false;
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
    l->last_save = l->state->step;
    return checkpoint_save(l->options->out, l->trainer, l->tokenizer, l->state, l->options->keep, err);
}

static struct metrics_line line_at(const struct train_state *s) {
    const double none = (double)NAN;
    return (struct metrics_line){.step = s->step,
                                 .tokens = s->tokens,
                                 .train_loss = none,
                                 .val_loss = none,
                                 .val_bits_per_byte = none,
                                 .learning_rate_factor = none,
                                 .gradient_norm = none,
                                 .seconds = none,
                                 .tokens_per_second = none};
}

/* The gradient of the next rows. Interrupted by a stop, all is as it was before. */
static bool accumulate(struct loop *l, struct talc_error *err) {
    struct train_state *s = l->state;
    struct loader_state position = s->position;
    uint64_t counter = l->trainer->run.counter;
    if (!loader_next(l->data->train, &s->position, &l->batch, err)) return false;
    if (trainer_accumulate(l->trainer, &l->batch, l->objective, err)) return true;
    s->position = position;
    l->trainer->run.counter = counter;
    return false;
}

static bool one_step(struct loop *l, struct metrics_line *line, struct talc_error *err) {
    struct train_state *s = l->state;
    struct update_report report;
    double begin = clock_seconds(), factor = schedule_factor(&l->schedule, s->step);
    l->batch.n_rows = batch_ramp_rows(&l->options->ramp, l->data->rows_per_step, s->step, s->total_steps);
    if (!accumulate(l, err) || !trainer_update(l->trainer, factor, &report, err)) return false;
    int64_t tokens = (int64_t)l->batch.n_rows * l->batch.row_tokens;
    s->step++;
    s->tokens += tokens;
    s->train_loss = report.loss;
    s->seconds = clock_seconds() - l->start;
    *line = line_at(s);
    line->train_loss = report.loss;
    line->learning_rate_factor = factor;
    line->gradient_norm = report.gradient_norm;
    line->skipped = report.skipped;
    line->seconds = s->seconds;
    line->tokens_per_second = (double)tokens / (clock_seconds() - begin);
    return true;
}

/* Once: a run that is made longer later is not warmed up again. */
static void choose_warmup(struct loop *l) {
    struct train_state *s = l->state;
    double share = l->options->warmup_share, asked = (double)l->options->schedule.warmup_steps;
    if (share == 0)
        s->warmup_steps = l->options->schedule.warmup_steps;
    else if (s->warmup_steps < 0 && s->total_steps > 0)
        s->warmup_steps = (int64_t)fmin(asked, share * (double)s->total_steps);
    if (s->warmup_steps >= 0) l->schedule.warmup_steps = s->warmup_steps;
}

/* When only a time was given: how many steps fit into what is left of it, at the pace so far. Said anew after each
 * step, so that a machine that was busy for a while spoils neither the plan nor what is left of the time. Where that
 * does not last for the steps that are measured otherwise, those that there are must do. */
static bool plan_by_clock(struct loop *l, struct talc_error *err) {
    struct train_state *s = l->state;
    if (l->options->schedule.total_steps > 0) return true;
    double now = clock_seconds(), left = l->options->minutes * 60 - (now - l->start), pace;
    if (++l->measured_steps == SLOW_STEPS) l->measure_from = now;
    int64_t missing = STEPS_TO_MEASURE - l->measured_steps;
    pace = missing > 0 ? (now - l->begin) / (double)l->measured_steps
                       : (now - l->measure_from) / (double)(l->measured_steps - SLOW_STEPS);
    if (l->planned && s->step >= s->total_steps) return true; /* what time is left makes no step at a rate above 0 */
    l->planned = l->planned || left < (double)missing * pace || missing <= 0;
    if (!l->planned) return true;
    int64_t more = left > pace ? (int64_t)(left / pace) : 0;
    schedule_replan(&l->schedule, s->step, s->step + more);
    s->total_steps = l->schedule.total_steps;
    s->turn_step = l->schedule.turn_step;
    s->turn_factor = l->schedule.turn_factor;
    choose_warmup(l);
    return training_plan_intervals(l->options, l->data, s->total_steps, &l->every, err);
}

/* At multiples of an interval, so that a resumed run does what another would; of one that changes all the time, counted
 * from the last. */
static bool due(const struct loop *l, int64_t asked, int64_t every, int64_t last) {
    bool moves = asked < 0 && l->options->schedule.total_steps == 0;
    return every > 0 && (moves ? l->state->step - last >= every : l->state->step % every == 0);
}
static bool eval_due(const struct loop *l) { return due(l, l->options->eval_every, l->every.eval, l->last_eval); }
static bool save_due(const struct loop *l) { return due(l, l->options->save_every, l->every.save, l->last_save); }
static bool sample_due(const struct loop *l) {
    int64_t every = l->options->sample_every;
    return every > 0 && l->state->step % every == 0;
}

/* The validation that a stop has put off: a line of its own, for a step that has one already. */
static bool catch_up(struct loop *l, bool *stopped, struct talc_error *err) {
    struct metrics_line line = line_at(l->state);
    l->state->validation_due = false; /* where there is nothing to validate on any more */
    if (!evaluate(l, &line, err)) return false;
    *stopped = l->state->validation_due;
    if (!isfinite(line.val_loss)) return true;
    return metrics_append(&l->metrics, &line, err) && save(l, err);
}

static bool run_steps(struct loop *l, bool *stopped, struct talc_error *err) {
    const struct training_options *o = l->options;
    struct train_state *s = l->state;
    if (s->validation_due && !catch_up(l, stopped, err)) return false;
    l->begin = clock_seconds();
    while (!*stopped && (s->total_steps == 0 || s->step < s->total_steps)) {
        struct metrics_line line;
        if (!one_step(l, &line, err)) {
            *stopped = l->trainer->interrupted;
            return *stopped && (s->step == 0 || save(l, err)); /* nothing was learnt, or the time that was spent */
        }
        if (!plan_by_clock(l, err)) return false;
        bool last = s->total_steps > 0 && s->step >= s->total_steps;
        if ((last || eval_due(l)) && !evaluate(l, &line, err)) return false;
        *stopped = o->stop && *o->stop && (!last || s->validation_due);
        if (!metrics_append(&l->metrics, &line, err)) return false;
        if (o->on_step) o->on_step(o->context, s, &line);
        /* The best weights are worth a checkpoint of their own: `best` must name what had that loss. */
        bool best = s->best_step == s->step;
        if ((last || *stopped || best || save_due(l)) && !save(l, err)) return false;
        if (o->on_sample && !*stopped && (last || sample_due(l)) && !o->on_sample(o->context, s, err)) return false;
    }
    return true;
}

/* A number of steps that is asked for holds, also where a resumed run had another. A run by the clock goes on with what
 * it had planned, unless it is done and has been given more time since. A new plan forgets where the old one had come
 * to. */
static void plan_total_steps(const struct training_options *o, struct train_state *s) {
    const double slack = 1.05; /* where a run by steps is given time: less than this is none */
    bool more_time = s->minutes > 0 ? o->minutes > s->minutes : o->minutes * 60 > slack * s->seconds;
    int64_t before = s->total_steps;
    if (o->schedule.total_steps > 0)
        s->total_steps = o->schedule.total_steps;
    else if (s->step >= s->total_steps && more_time)
        s->total_steps = 0;
    s->minutes = o->schedule.total_steps > 0 ? 0 : o->minutes;
    if (s->total_steps != before) s->turn_step = 0;
}

bool training_run(struct trainer *trainer, const struct objective *objective, const struct training_data *data,
                  const struct tokenizer *tokenizer, const struct training_options *options, struct train_state *state,
                  bool *stopped, struct talc_error *err) {
    struct loop l = {.trainer = trainer,
                     .objective = objective,
                     .data = data,
                     .tokenizer = tokenizer,
                     .options = options,
                     .state = state,
                     .schedule = options->schedule,
                     .start = clock_seconds() - state->seconds,
                     .last_eval = state->step,
                     .last_save = state->step};
    trainer->stop = options->stop;
    *stopped = false;
    plan_total_steps(options, state);
    l.schedule.total_steps = state->total_steps;
    l.schedule.turn_step = state->turn_step;
    l.schedule.turn_factor = state->turn_factor;
    choose_warmup(&l);
    if (!training_plan_intervals(options, data, state->total_steps, &l.every, err) ||
        !row_batch_open(&l.batch, data->rows_per_step, trainer->options.row_tokens, err))
        return false;
    bool ok = checkpoint_point_best(options->out, state, err) &&
              metrics_open(&l.metrics, options->out, state->step, err) && run_steps(&l, stopped, err) &&
              metrics_plot(&l.metrics, err);
    trainer->stop = NULL;
    metrics_close(&l.metrics);
    row_batch_close(&l.batch);
    return ok;
}
