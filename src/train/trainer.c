/* trainer.c - see trainer.h. */
#include "train/trainer.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/layout.h"

#include "base/clock.h"

/* A sequence has at least one token, so a row of T tokens can hold T of them. */
static struct run_options run_options_of(const struct trainer_options *o) {
    int tokens; /* for the estimate of a batch that trainer_open will refuse: the most that there can be */
    if (__builtin_mul_overflow(o->micro_batch_rows, o->row_tokens, &tokens)) tokens = INT_MAX;
    return (struct run_options){.max_tokens = tokens,
                                .max_sequences = tokens,
                                .training = true,
                                .recompute = o->recompute,
                                .compute = o->compute};
}

static bool is_for_muon(const struct trainer_options *o, enum parameter_role role) {
    return o->use_muon && role == ROLE_MATRIX;
}

/* Of v: Muon's matrices, which are all in blocks, have none. */
static int64_t second_moment_floats(const struct arch *arch, bool use_muon) {
    struct layout_entry block[LAYOUT_BLOCK];
    int64_t matrices = 0;
    layout_block(arch, block);
    for (int i = 0; use_muon && i < LAYOUT_BLOCK; i++)
        if (block[i].present && block[i].role == ROLE_MATRIX) matrices += layout_entry_floats(&block[i]);
    return layout_floats(arch) - arch->n_layers * matrices;
}

/* Plans (an arena without memory) or takes what the optimizers need. */
static void plan_optimizers(struct trainer *t, struct arena *arena, const struct arch *arch) {
    int64_t n = layout_floats(arch);
    enum dtype moments = t->options.moments == DTYPE_BF16 ? DTYPE_BF16 : DTYPE_F32;
    t->m = tensor_view(arena_take(arena, (size_t)n * dtype_size(moments)), moments, 1, n);
    n = second_moment_floats(arch, t->options.use_muon);
    t->v = tensor_view(arena_take(arena, (size_t)n * dtype_size(moments)), moments, 1, n);
    t->rng = tensor_view(arena_take(arena, 2 * sizeof(int64_t)), DTYPE_I64, 1, 2);
    t->steps = tensor_view(arena_take(arena, PARAMETER_ROLES * UPDATE_STEP * sizeof(float)), DTYPE_F32, PARAMETER_ROLES,
                           UPDATE_STEP);
    t->norm = tensor_view(arena_take(arena, sizeof(double)), DTYPE_F64, 1, 1);
    if (t->options.use_muon) muon_workspace_take(&t->muon, arena, arch);
}

static size_t optimizer_bytes(const struct arch *arch, const struct trainer_options *options) {
    struct trainer planned = {.options = *options};
    struct arena arena = {0};
    plan_optimizers(&planned, &arena, arch);
    return arena.overflow ? SIZE_MAX : arena.used;
}

struct memory_table trainer_memory(const struct arch *arch, const struct trainer_options *options) {
    struct run_options run = run_options_of(options);
    struct memory_table table = model_memory(arch, &run, options->weights);
    if (table.total == SIZE_MAX) return table;
    size_t others = table.total - table.optimizer;
    table.optimizer = optimizer_bytes(arch, options);
    table.total = table.optimizer > SIZE_MAX - others ? SIZE_MAX : table.optimizer + others;
    return table;
}

struct tensor trainer_moment(const struct trainer *t, bool second, const struct parameter *p) {
    if (second && is_for_muon(&t->options, p->role)) return tensor_absent();
    int64_t offset = second ? t->v_offsets[p - t->model->parameters] : p->offset;
    struct tensor piece = tensor_cols(second ? t->v : t->m, offset, p->value.rows * p->value.cols);
    return tensor_view(piece.data, piece.dtype, p->value.rows, p->value.cols);
}

/* As in the gradients, but that Muon's matrices take no place. */
static void place_second_moments(struct trainer *t) {
    int64_t left_out = 0;
    const struct model *model = t->model;
    for (int i = 0; i < model->n_parameters; i++) {
        const struct parameter *p = &model->parameters[i];
        int64_t end = i + 1 < model->n_parameters ? p[1].offset : model->gradients.cols;
        t->v_offsets[i] = p->offset - left_out;
        if (is_for_muon(&t->options, p->role)) left_out += end - p->offset;
    }
}

static bool take_moments(struct trainer *t, struct talc_error *err) {
    size_t bytes = optimizer_bytes(&t->model->arch, &t->options);
    t->memory = stream_memory_take(t->model->stream, bytes, err);
    struct arena arena = {.memory = t->memory, .capacity = bytes};
    if (t->memory) plan_optimizers(t, &arena, &t->model->arch);
    return t->memory != NULL;
}

bool trainer_open(struct trainer *t, struct model *model, const struct trainer_options *options,
                  struct talc_error *err) {
    *t = (struct trainer){.model = model, .options = *options};
    t->options.weights = model->embedding->value.dtype;
    if (!tensor_present(model->gradients)) return talc_fail(err, "the model was opened without gradients");
    if (options->micro_batch_rows < 1 || options->row_tokens < 1)
        return talc_fail(err, "a batch needs at least one row of one token");
    if (options->micro_batch_rows > INT_MAX / options->row_tokens - 1)
        return talc_fail(err, "%d rows of %d tokens are too many at once; give a smaller --batch or --micro-batch",
                         options->micro_batch_rows, options->row_tokens);
    struct run_options run = run_options_of(options);
    size_t floats = (size_t)run.max_tokens * TOKEN_STATS;
    t->stats = calloc(floats, sizeof *t->stats);
    t->stat_grads = calloc(floats, sizeof *t->stat_grads);
    t->head_stats = calloc(floats, sizeof *t->head_stats);
    t->micro.memory = calloc((size_t)run.max_tokens + 1, MICRO_BATCH_ARRAYS * sizeof(int32_t));
    t->parts = calloc((size_t)model->n_parameters, sizeof *t->parts);
    t->v_offsets = calloc((size_t)model->n_parameters, sizeof *t->v_offsets);
    if (!t->stats || !t->stat_grads || !t->head_stats || !t->micro.memory || !t->parts || !t->v_offsets) {
        trainer_close(t);
        return talc_fail(err, "out of memory for the statistics of %d tokens", run.max_tokens);
    }
    int32_t **const arrays[MICRO_BATCH_ARRAYS] = {&t->micro.tokens,    &t->micro.positions,   &t->micro.starts,
                                                  &t->micro.head_rows, &t->micro.head_tokens, &t->micro.targets};
    for (int i = 0; i < MICRO_BATCH_ARRAYS; i++)
        *arrays[i] = t->micro.memory + (size_t)i * ((size_t)run.max_tokens + 1);
    place_second_moments(t);
    if (!take_moments(t, err) || !run_open(&t->run, model, &run, err)) {
        trainer_close(t);
        return false;
    }
    return true;
}

void trainer_close(struct trainer *t) {
    if (t->run.model) run_close(&t->run);
    if (t->memory) t->model->stream->backend->memory_give(t->model->stream, t->memory);
    free(t->stats);
    free(t->stat_grads);
    free(t->head_stats);
    free(t->micro.memory);
    free(t->parts);
    free(t->v_offsets);
    *t = (struct trainer){0};
}

/* Rows [first, first + n) of a batch as a ragged batch of the model. A sequence ends with the last token whose loss
 * counts: none before it sees those after it. */
static struct batch micro_batch(struct trainer *t, const struct row_batch *rows, int first, int n) {
    struct micro_batch *m = &t->micro;
    int32_t begin = first * rows->row_tokens, end = begin + n * rows->row_tokens;
    struct batch batch = {.tokens = m->tokens,
                          .positions = m->positions,
                          .starts = m->starts,
                          .head_rows = m->head_rows,
                          .targets = m->targets};
    for (int s = 0; s < rows->n_sequences; s++) {
        int32_t i = rows->sequence_starts[s], last = rows->sequence_starts[s + 1] - 1;
        if (i < begin || i >= end) continue;
        while (last >= i && rows->weights[last] == 0) last--;
        if (last >= i) m->starts[batch.n_sequences++] = batch.n_tokens;
        for (; i <= last; i++, batch.n_tokens++) {
            m->tokens[batch.n_tokens] = rows->tokens[i];
            m->positions[batch.n_tokens] = rows->positions[i];
            if (rows->weights[i] == 0) continue;
            m->head_rows[batch.n_head_rows] = batch.n_tokens;
            m->head_tokens[batch.n_head_rows] = i - begin;
            m->targets[batch.n_head_rows++] = rows->targets[i];
        }
    }
    m->starts[batch.n_sequences] = batch.n_tokens;
    return batch;
}

/* Statistics (or their gradients) of the head rows from those of all n tokens of the rows, and back. */
static void pick_head_rows(struct trainer *t, int n_head_rows, const float *all) {
    for (int i = 0; i < n_head_rows; i++)
        memcpy(t->head_stats + (size_t)i * TOKEN_STATS, all + (size_t)t->micro.head_tokens[i] * TOKEN_STATS,
               TOKEN_STATS * sizeof *all);
}
static void spread_head_rows(struct trainer *t, int n_head_rows, float *all, int n) {
    memset(all, 0, (size_t)n * TOKEN_STATS * sizeof *all);
    for (int i = 0; i < n_head_rows; i++)
        memcpy(all + (size_t)t->micro.head_tokens[i] * TOKEN_STATS, t->head_stats + (size_t)i * TOKEN_STATS,
               TOKEN_STATS * sizeof *all);
}

/* Statistics of all n tokens of the rows. */
static bool read_stats(struct trainer *t, int n_head_rows, int n, float inverse_temperature, struct talc_error *err) {
    if (!run_stats(&t->run, inverse_temperature, t->head_stats, err)) return false;
    spread_head_rows(t, n_head_rows, t->stats, n);
    return true;
}

/* Runs one micro-batch; with a denominator of 0 or more also backward. Adds to *loss. */
static bool micro_step(struct trainer *t, const struct row_batch *rows, int first, int n, const struct objective *o,
                       bool backward, double denominator, double *loss, struct talc_error *err) {
    struct batch batch = micro_batch(t, rows, first, n);
    int n_tokens = n * rows->row_tokens, n_head_rows = batch.n_head_rows;
    if (n_head_rows == 0) return true; /* nothing to learn from it */
    t->run.dropout = backward;
    t->run.fresh = !t->accumulated;
    bool ok = run_forward(&t->run, &batch, err);
    if (ok && !backward) {
        ok = read_stats(t, n_head_rows, n_tokens, o->inverse_temperature, err);
    } else if (ok && o->gradients_known) {
        o->evaluate(o, rows, first, n, NULL, denominator, t->stat_grads);
        pick_head_rows(t, n_head_rows, t->stat_grads);
        ok = run_stats_backward(&t->run, o->inverse_temperature, t->head_stats, t->head_stats, err);
        spread_head_rows(t, n_head_rows, t->stats, n_tokens);
    } else if (ok) {
        ok = read_stats(t, n_head_rows, n_tokens, o->inverse_temperature, err);
        if (ok) o->evaluate(o, rows, first, n, t->stats, denominator, t->stat_grads);
        pick_head_rows(t, n_head_rows, t->stat_grads);
        ok = ok && run_backward(&t->run, o->inverse_temperature, t->head_stats, err);
    }
    if (ok && backward) t->accumulated = true;
    if (ok) *loss += o->loss(o, rows, first, n, t->stats);
    return ok;
}

/* Ends early, as a failure, once *t->stop is set. */
static bool each_micro_batch(struct trainer *t, const struct row_batch *batch, const struct objective *o, bool backward,
                             double denominator, double *loss, struct talc_error *err) {
    if (batch->row_tokens != t->options.row_tokens)
        return talc_fail(err, "rows of %d tokens given to a trainer of %d", batch->row_tokens, t->options.row_tokens);
    for (int first = 0; first < batch->n_rows; first += t->options.micro_batch_rows) {
        int n = batch->n_rows - first;
        if (n > t->options.micro_batch_rows) n = t->options.micro_batch_rows;
        t->interrupted = t->stop && *t->stop;
        if (t->interrupted) return talc_fail(err, "stopped in the middle of a batch");
        if (backward) t->run.counter++; /* fresh dropout masks */
        if (!micro_step(t, batch, first, n, o, backward, denominator, loss, err)) return false;
    }
    return true;
}

bool trainer_accumulate(struct trainer *t, const struct row_batch *batch, const struct objective *o,
                        struct talc_error *err) {
    double weight = o->weigh(o, batch), loss = 0;
    if (!each_micro_batch(t, batch, o, true, weight, &loss, err)) {
        t->loss_sum = t->weight_sum = 0;
        t->accumulated = false;
        return false;
    }
    t->loss_sum += loss;
    t->weight_sum += weight;
    return true;
}

bool trainer_evaluate(struct trainer *t, const struct row_batch *batch, const struct objective *o, double *loss_sum,
                      double *weight_sum, struct talc_error *err) {
    *loss_sum = 0;
    *weight_sum = o->weigh(o, batch);
    return each_micro_batch(t, batch, o, false, 0, loss_sum, err);
}

/* Norm of `x` on the host. */
static bool norm_of(struct trainer *t, struct tensor x, double *norm, struct talc_error *err) {
    struct stream *s = t->model->stream;
    double sum = 0;
    s->ops->zero(s, t->norm);
    s->ops->sum_of_squares(s, t->norm, x);
    s->backend->copy_out(s, &sum, t->norm.data, sizeof sum);
    *norm = sqrt(sum);
    return stream_synchronize(s, err);
}

/* The step of the run that is being made: those before it made an update or skipped it. */
static long long step_of(const struct trainer *t) { return (long long)(t->updates + t->skipped + 1); }

/* Of a weight kept in bf16, on the host: a run that has failed has time. */
static bool bf16_is_finite(struct trainer *t, struct tensor x, bool *finite, struct talc_error *err) {
    struct stream *s = t->model->stream;
    size_t n = (size_t)(x.rows * x.cols);
    uint16_t *host = malloc(n * sizeof *host);
    if (!host) return talc_fail(err, "out of memory looking for what is not finite");
    s->backend->copy_out(s, host, x.data, n * sizeof *host);
    bool ok = stream_synchronize(s, err);
    for (size_t i = 0; ok && i < n; i++) *finite = *finite && (host[i] & 0x7f80u) != 0x7f80u;
    free(host);
    return ok;
}

/* Fails, naming `name`, if that tensor is not finite. */
static bool check_finite(struct trainer *t, const char *what, const char *name, struct tensor x,
                         struct talc_error *err) {
    double norm;
    bool finite = true;
    if (x.dtype == DTYPE_BF16) {
        if (!bf16_is_finite(t, x, &finite, err)) return false;
    } else {
        if (!norm_of(t, x, &norm, err)) return false;
        finite = isfinite(norm);
    }
    return finite || talc_fail(err, "step %lld: the %s of %s is not finite; lower the learning rate or check the data",
                               step_of(t), what, name);
}

/* A loss or a gradient was not finite. Says where that comes from: a weight, else the first thing computed from the
 * weights (of the last micro-batch; it may have been an earlier one), else a gradient. Always false. */
static bool fail_not_finite(struct trainer *t, struct talc_error *err) {
    const struct parameter *p = t->model->parameters, *end = p + t->model->n_parameters;
    char name[64];
    struct tensor x;
    for (const struct parameter *i = p; i < end; i++)
        if (!check_finite(t, "value", i->name, i->value, err)) return false;
    for (int i = 0; run_activation(&t->run, i, name, &x); i++)
        if (!check_finite(t, "output", name, x, err)) return false;
    for (const struct parameter *i = p; i < end; i++)
        if (!check_finite(t, "gradient", i->name, i->gradient, err)) return false;
    return talc_fail(err, "step %lld: the loss is not finite; lower the learning rate or check the data", step_of(t));
}

/* A row of numbers for each role: of this update. */
static void write_steps(struct trainer *t, double factor, double scale) {
    const struct trainer_options *o = &t->options;
    float steps[PARAMETER_ROLES][UPDATE_STEP];
    double time = (double)t->updates;
    for (int role = 0; role < PARAMETER_ROLES; role++) {
        steps[role][STEP_LEARNING_RATE] = (float)((double)o->groups[role].learning_rate * factor);
        steps[role][STEP_CORRECTION1] = (float)(1 / (1 - pow((double)o->beta1, time)));
        steps[role][STEP_CORRECTION2] = (float)(1 / (1 - pow((double)o->beta2, time)));
        steps[role][STEP_GRAD_SCALE] = (float)scale;
        steps[role][STEP_MOMENTUM] = muon_momentum(&o->muon, t->updates);
    }
    uint64_t rng[2] = {t->run.seed, (uint64_t)t->updates};
    t->model->stream->backend->copy_in(t->model->stream, t->steps.data, steps, sizeof steps);
    t->model->stream->backend->copy_in(t->model->stream, t->rng.data, rng, sizeof rng);
}

/* Sites of rounding, apart from those of dropout (model/run_internal.h), which count from 0. */
#define ROUNDING_SITE 0x80000000u

/* All parameters by the numbers in t->steps. */
static void step_parameters(struct trainer *t, float beta1, float beta2) {
    struct stream *s = t->model->stream;
    const struct trainer_options *o = &t->options;
    int n = 0;
    struct tensor rng = o->moments == DTYPE_BF16 || o->weights == DTYPE_BF16 ? t->rng : tensor_absent();
    for (int i = 0; i < t->model->n_parameters; i++) {
        struct parameter *p = &t->model->parameters[i];
        struct tensor m = trainer_moment(t, false, p), v = trainer_moment(t, true, p);
        struct tensor step = tensor_rows(t->steps, (int64_t)p->role, 1);
        float decay = o->groups[p->role].weight_decay;
        uint32_t site = ROUNDING_SITE + (uint32_t)(i * MUON_SITES);
        if (is_for_muon(o, p->role)) {
            muon_step(&t->muon, s, p, m, &(struct muon_update){decay, step, rng, site});
        } else {
            t->parts[n++] = (struct adamw_part){.options = {beta1, beta2, o->epsilon, decay},
                                                .parameter = p->value,
                                                .gradient = p->gradient,
                                                .m = m,
                                                .v = v,
                                                .step = step,
                                                .rng = rng,
                                                .site = site};
        }
    }
    s->ops->adamw(s, t->parts, n);
}

static void make_update(struct trainer *t, double factor, double scale) {
    t->updates++;
    write_steps(t, factor, scale);
    step_parameters(t, t->options.beta1, t->options.beta2);
}

/* A micro-batch; t->run.counter is not raised, so the next step has the dropout masks that it would have had. */
static bool time_micro_batch(struct trainer *t, const struct row_batch *batch, const struct objective *o, int n,
                             double *seconds, struct talc_error *err) {
    double start = clock_seconds(), loss = 0;
    bool ok = micro_step(t, batch, 0, n, o, true, o->weigh(o, batch), &loss, err) &&
              stream_synchronize(t->model->stream, err);
    *seconds = clock_seconds() - start;
    t->accumulated = false;
    return ok;
}

/* An update of no gradient, at rate 0, that keeps the moments as they are. */
static bool time_update(struct trainer *t, double *seconds, struct talc_error *err) {
    struct stream *s = t->model->stream;
    float steps[PARAMETER_ROLES][UPDATE_STEP];
    uint64_t rng[2] = {0, 0};
    double norm;
    for (int role = 0; role < PARAMETER_ROLES; role++)
        memcpy(steps[role], (float[UPDATE_STEP]){[STEP_CORRECTION1] = 1, [STEP_CORRECTION2] = 1, [STEP_MOMENTUM] = 1},
               sizeof steps[role]);
    s->ops->zero(s, t->model->gradients);
    s->backend->copy_in(s, t->steps.data, steps, sizeof steps);
    s->backend->copy_in(s, t->rng.data, rng, sizeof rng);
    double start = clock_seconds();
    bool ok = norm_of(t, t->model->gradients, &norm, err);
    step_parameters(t, 1, 1);
    ok = ok && stream_synchronize(s, err);
    *seconds = clock_seconds() - start;
    return ok;
}

bool trainer_measure(struct trainer *t, const struct row_batch *batch, const struct objective *o, double *seconds,
                     struct talc_error *err) {
    int n = batch->n_rows < t->options.micro_batch_rows ? batch->n_rows : t->options.micro_batch_rows;
    double micro, again, update;
    if (!time_micro_batch(t, batch, o, n, &micro, err)) return false;
    if (micro < 2) { /* the first one fills the caches */
        if (!time_micro_batch(t, batch, o, n, &again, err)) return false;
        if (again < micro) micro = again;
    }
    if (!time_update(t, &update, err)) return false;
    *seconds = micro * (double)batch->n_rows / n + update;
    return true;
}

/* Both windows see every update. */
static bool is_outlier(struct trainer *t, double loss, double norm) {
    double limit = (double)t->options.skip_outliers;
    if (!(limit > 0)) return false;
    bool by_loss = outlier_score(&t->losses, loss) > limit, by_norm = outlier_score(&t->norms, norm) > limit;
    return by_loss || by_norm;
}

bool trainer_update(struct trainer *t, double factor, struct update_report *report, struct talc_error *err) {
    struct stream *s = t->model->stream;
    double norm, scale = 1, loss = t->weight_sum > 0 ? t->loss_sum / t->weight_sum : 0;
    if (!t->accumulated) s->ops->zero(s, t->model->gradients); /* nothing was learnt from */
    t->loss_sum = t->weight_sum = 0;
    t->accumulated = false;
    if (!isfinite(loss)) return fail_not_finite(t, err);
    if (!norm_of(t, t->model->gradients, &norm, err)) return false;
    if (!isfinite(norm)) return fail_not_finite(t, err);
    if (t->options.gradient_clip > 0 && norm > (double)t->options.gradient_clip)
        scale = (double)t->options.gradient_clip / norm;
    bool skipped = is_outlier(t, loss, norm);
    if (skipped)
        t->skipped++;
    else
        make_update(t, factor, scale);
    if (report) *report = (struct update_report){.loss = loss, .gradient_norm = norm, .skipped = skipped};
    return stream_synchronize(s, err);
}
