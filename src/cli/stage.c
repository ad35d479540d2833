/* stage.c - see stage.h. */
#include "cli/stage.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/atomic.h"
#include "file/json.h"
#include "infer/engine.h"

#define SETTINGS_NAME "settings.json" /* what tells a run folder */

struct stage_values stage_values_defaults(void) {
    return (struct stage_values){.learning_rate = -1,
                                 .decay_fraction = -1,
                                 .warmup = -1,
                                 .eval_every = -1,
                                 .save_every = -1,
                                 .keep = 2,
                                 .seed = 1,
                                 .batch_ramp = 0.5,
                                 .dtype = "f32",
                                 .moments = "f32",
                                 .weights = "f32",
                                 .optimizer = "adamw"};
}

/* ---- settings -------------------------------------------------------------------------------- */

/* Whether the settings of a run hold an option. */
static bool is_kept(const struct option *o) {
    static const char *const not_kept[] = {"resume", "out", "json", "quiet", "threads", "device"};
    for (size_t i = 0; i < sizeof not_kept / sizeof *not_kept; i++)
        if (strcmp(o->name, not_kept[i]) == 0) return false;
    return true;
}

/* Settings are JSON, which holds no other text: a run could not be resumed with it. */
static bool check_kept_texts(const struct command_line *line, struct talc_error *err) {
    bool ok = true;
    for (int i = 0; ok && i < line->n_options; i++) {
        const struct option *o = &line->options[i];
        const char *text = o->kind == OPTION_TEXT ? *(const char *const *)o->value : NULL;
        struct option_list list = {.items = &text, .n = text != NULL};
        if (o->kind == OPTION_LIST) list = *(const struct option_list *)o->value;
        char what[64];
        snprintf(what, sizeof what, "--%s", o->name);
        for (int k = 0; ok && is_kept(o) && k < list.n; k++) ok = cli_check_text(what, list.items[k], err);
    }
    return ok;
}

static int parse(struct command_line *line, int argc, char **argv) {
    struct talc_error err = {0};
    int code = options_parse(line, argc, argv);
    if (code >= 0 || check_kept_texts(line, &err)) return code;
    options_free(line);
    return cli_usage(line->command, "%s; the settings of a run are kept as JSON", err.message);
}

static bool check_batch_start(const struct stage_values *v, int64_t rows, struct talc_error *err) {
    return v->batch_start <= rows ||
           talc_fail(err, "--batch-start %lld is more than the %lld rows that a batch grows to (--batch)",
                     (long long)v->batch_start, (long long)rows);
}

int stage_parse(struct command_line *line, struct stage_values *values, int argc, char **argv) {
    int code = parse(line, argc, argv);
    struct talc_error err = {0};
    if (code < 0 && values->batch_rows > 0 && !check_batch_start(values, values->batch_rows, &err)) {
        options_free(line);
        return cli_usage(line->command, "%s", err.message);
    }
    if (code >= 0 || !values->resume) return code;
    if (!values->out) {
        options_free(line);
        return cli_usage(line->command, "resume which run? give --out DIR");
    }
    char *settings = path_join(values->out, SETTINGS_NAME);
    if (!settings || !file_exists(settings)) {
        cli_usage(line->command, "%s: there is no run to resume here (no " SETTINGS_NAME ")", values->out);
        free(settings);
        options_free(line);
        return EXIT_FAILED;
    }
    options_free(line);
    line->settings = settings;
    code = parse(line, argc, argv);
    line->settings = NULL;
    free(settings);
    return code;
}

/* NULL: it was not given. */
static json_t *option_json(const struct option *o) {
    int64_t n;
    double x;
    switch (o->kind) {
    case OPTION_FLAG: return json_boolean(*(const bool *)o->value);
    case OPTION_INT: return n = *(const int64_t *)o->value, option_in_bounds(o, (double)n) ? json_integer(n) : NULL;
    case OPTION_NUMBER: return x = *(const double *)o->value, option_in_bounds(o, x) ? json_real(x) : NULL;
    case OPTION_TEXT: return *(const char *const *)o->value ? json_string(*(const char *const *)o->value) : NULL;
    case OPTION_LIST: break;
    }
    const struct option_list *list = o->value;
    json_t *items = json_array();
    for (int i = 0; i < list->n; i++) json_array_append_new(items, json_string(list->items[i]));
    return items;
}

bool stage_save_settings(const struct command_line *line, const char *out, struct talc_error *err) {
    json_t *o = json_object();
    char *path = path_join(out, SETTINGS_NAME);
    for (int i = 0; i < line->n_options; i++) {
        json_t *value = is_kept(&line->options[i]) ? option_json(&line->options[i]) : NULL;
        if (value) json_object_set_new(o, line->options[i].name, value);
    }
    bool ok = o && path ? json_write_file(path, o, err) : talc_fail(err, "out of memory");
    free(path);
    json_decref(o);
    return ok;
}

static const char *const run_names[] = {SETTINGS_NAME, "metrics.jsonl", "loss.svg", "checkpoints",
                                        "latest",      "best",          NULL};

/* Whether a run is in the folder; *newest is its last checkpoint where the link to it is lost (some ways to copy a
 * folder lose links), else -1. A folder that is somebody else's fails. */
static bool look_for_run(const char *folder, bool *there, int64_t *newest, struct talc_error *err) {
    *there = false, *newest = -1;
    char *latest = path_join(folder, "latest");
    if (!latest) return talc_fail(err, "out of memory for a path");
    bool linked = folder_exists(latest);
    free(latest);
    if (!linked) *newest = checkpoint_newest(folder);
    *there = linked || *newest >= 0;
    static const struct folder_kind kind = {SETTINGS_NAME, "\"batch-ramp\":", run_names, .replaced = false};
    return *there || folder_may_take(folder, &kind, err);
}

/* Looks twice: before anything is written there, and once it is ours alone, since a run that is just ending may still
 * write. The lock is held until the process ends. */
bool stage_open_folder(struct stage_values *v, struct talc_error *err) {
    int lock;
    int64_t newest;
    bool there;
    if (!look_for_run(v->out, &there, &newest, err)) return false;
    if (!folder_lock(v->out, &lock, &v->n_folders_made, err) || !look_for_run(v->out, &there, &newest, err))
        return false;
    if (there && !v->resume)
        return talc_fail(err, "%s holds a run already; go on with it by --resume, or choose another --out", v->out);
    if (!there && v->resume) cli_say(v->quiet, "%s has no checkpoint yet: the run begins anew\n", v->out);
    if (there && !checkpoint_check_later(v->out, err)) return false;
    v->resume = there;
    atomic_sweep(v->out, run_names);
    checkpoint_sweep(v->out);
    if (newest < 0) return true;
    cli_say(v->quiet, "%s/latest points to no checkpoint: the run goes on with step %lld\n", v->out, (long long)newest);
    return checkpoint_point_latest(v->out, newest, err);
}

bool stage_goes_on(const volatile sig_atomic_t *stop, struct talc_error *err) {
    return !*stop || talc_fail(err, "stopped before the training began");
}

void stage_close_folder(const struct stage_values *v) {
    if (v->n_folders_made > 0) folder_remove_empty(v->out, v->n_folders_made);
}

struct model_options stage_model_options(const struct stage_values *v) {
    return (struct model_options){.gradients = true, .weights = cli_float_type(v->weights)};
}

bool stage_apply(const struct stage_values *v, struct recipe *r, struct talc_error *err) {
    if (v->batch_rows > 0) r->rows_per_step = (int)v->batch_rows;
    if (!check_batch_start(v, r->rows_per_step, err)) return false;
    r->ramp = (struct batch_ramp){.first_rows = (int)v->batch_start, .share = v->batch_ramp};
    r->trainer.skip_outliers = (float)v->skip_outliers;
    r->trainer.micro_batch_rows = v->micro_batch_rows > 0 ? (int)v->micro_batch_rows
                                  : v->batch_start > 0    ? (int)v->batch_start
                                                          : r->rows_per_step;
    if (r->trainer.micro_batch_rows > r->rows_per_step) r->trainer.micro_batch_rows = r->rows_per_step;
    r->trainer.recompute = v->recompute;
    if (strcmp(v->optimizer, "muon") == 0) recipe_use_muon(r);
    if (v->learning_rate >= 0) {
        double ratio = v->learning_rate / (double)r->trainer.groups[ROLE_MATRIX].learning_rate;
        for (int i = 0; i < PARAMETER_ROLES; i++)
            r->trainer.groups[i].learning_rate = (float)((double)r->trainer.groups[i].learning_rate * ratio);
    }
    if (v->schedule) schedule_kind_parse(v->schedule, &r->schedule.kind);
    if (v->decay_fraction >= 0) r->schedule.decay_fraction = v->decay_fraction;
    r->schedule.total_steps = v->steps > 0 ? v->steps : v->minutes > 0 ? 0 : r->steps;
    if (v->warmup >= 0) r->schedule.warmup_steps = v->warmup;
    r->trainer.compute = cli_float_type(v->dtype);
    r->trainer.moments = cli_float_type(v->moments);
    return true;
}

/* ---- while it runs --------------------------------------------------------------------------- */

static void on_step(void *context, const struct train_state *s, const struct metrics_line *line) {
    struct stage *stage = context;
    char note[96], speed[32];
    stage->progress.total = (double)s->total_steps;
    snprintf(note, sizeof note, "loss %.4f, %s tokens/s", s->train_loss, format_count(line->tokens_per_second, speed));
    progress_update(&stage->progress, (double)s->step, note);
}

static void on_evaluation(void *context, const struct train_state *s, double bits_per_byte) {
    struct stage *stage = context;
    progress_clear(&stage->progress);
    cli_say(stage->values->quiet, "step %lld: validation loss %.4f", (long long)s->step, s->val_loss);
    if (isfinite(bits_per_byte)) cli_say(stage->values->quiet, ", %.4f bits per byte", bits_per_byte);
    cli_say(stage->values->quiet, "%s\n", s->best_step == s->step ? " (best so far)" : "");
}

/* A short text from the model as it is now, to look at. */
static bool on_sample(void *context, const struct train_state *s, struct talc_error *err) {
    struct stage *stage = context;
    if (stage->values->quiet || stage->sample_prompt.count == 0) return true;
    struct talc_error no_sample = {0}; /* no reason to end a run */
    struct engine_options options = {.n_streams = 1, .context_length = stage->recipe.trainer.row_tokens};
    struct engine *engine = engine_open(stage->model, stage->tokenizer, &options, &no_sample);
    if (!engine) {
        progress_clear(&stage->progress);
        cli_say(false, "no sample after step %lld: %s\n", (long long)s->step, no_sample.message);
        return true;
    }
    struct generation g = {.max_new_tokens = 100, .sampling = sampling_defaults()};
    g.sampling.seed = (uint64_t)s->step;
    g.prompt = stage->sample_prompt.ids;
    g.n_prompt = (int)stage->sample_prompt.count;
    g.stop = stage->stop;
    bool ok = engine_generate(engine, &g, err);
    progress_clear(&stage->progress);
    if (ok) {
        cli_say(false, "--- sample after step %lld ---\n", (long long)s->step);
        cli_print_text(stderr, g.text.data ? g.text.data : "", g.text.length);
        cli_say(false, "\n---\n");
    }
    generation_free(&g);
    engine_close(engine);
    return ok;
}

static void say_plan(const struct stage *stage) {
    const struct arch *a = &stage->model->arch;
    const struct recipe *r = &stage->recipe;
    char n[32], m[32], f[32], minutes[48] = "", from[32] = "";
    size_t bytes = trainer_memory(a, &r->trainer).total;
    double tokens = (double)r->rows_per_step * r->trainer.row_tokens;
    bool quiet = stage->values->quiet, bf16 = r->trainer.compute == DTYPE_BF16;
    const struct stream *s = &stage->device->stream;
    cli_say(quiet, "%s: %s parameters (%s, %d layers, hidden %d), %s%s%s\n", stage->command,
            format_count((double)arch_parameters(a), n), a->family, a->n_layers, a->hidden_size,
            s->backend->describe(s, DTYPE_F32), bf16 ? "; bf16: " : "",
            bf16 ? s->backend->describe(s, DTYPE_BF16) : "");
    if (r->schedule.total_steps > 0)
        snprintf(minutes, sizeof minutes, "%lld updates", (long long)r->schedule.total_steps);
    else
        snprintf(minutes, sizeof minutes, "as many updates as fit in %g minutes", stage->values->minutes);
    if (r->ramp.first_rows > 0) snprintf(from, sizeof from, "%d to ", r->ramp.first_rows);
    cli_say(quiet, "%s of %s%d rows x %d tokens; memory %s; %sFLOP an update\n", minutes, from, r->rows_per_step,
            r->trainer.row_tokens, format_bytes((double)bytes, m),
            format_count(tokens * arch_train_flops(a, r->trainer.row_tokens), f));
}

static bool print_result(const struct stage *stage, const struct train_state *s, int64_t skipped, bool stopped,
                         struct talc_error *err) {
    const char *out = stage->values->out;
    char time[32];
    if (!stage->values->json) {
        printf("%s after %lld steps, %s", stopped ? "stopped" : "done", (long long)s->step,
               format_seconds(s->seconds, time));
        if (isfinite(s->train_loss)) printf(": training loss %.4f", s->train_loss);
        if (isfinite(s->best_loss))
            printf(", best validation loss %.4f at step %lld", s->best_loss, (long long)s->best_step);
        if (skipped > 0) printf("; %lld updates skipped as outliers", (long long)skipped);
        printf("; in %s%s\n", out, stopped ? " (go on with --resume)" : "");
        return true;
    }
    json_t *o = json_pack("{s:I,s:o,s:o,s:o,s:o,s:I,s:b,s:o,s:o,s:s}", "step", (json_int_t)s->step, "train_loss",
                          cli_json_number(s->train_loss), "val_loss", cli_json_number(s->val_loss), "best_loss",
                          cli_json_number(s->best_loss), "best_step",
                          s->best_step >= 0 ? json_integer(s->best_step) : json_null(), "skipped", (json_int_t)skipped,
                          "stopped", stopped, "seconds", cli_json_number(s->seconds), "tokens_per_second",
                          cli_json_number(s->seconds > 0 ? (double)s->tokens / s->seconds : 0), "out", out);
    return cli_print_json(stdout, o, err);
}

/* How long it will take, from what this machine needs for the first update. */
static bool say_estimate(const struct stage *stage, struct trainer *trainer, const struct train_state *state,
                         const struct training_options *o, struct talc_error *err) {
    double update, validation;
    char time[32], each[32], n[32];
    bool quiet = stage->values->quiet;
    int64_t steps = o->schedule.total_steps > 0 ? o->schedule.total_steps : state->total_steps;
    if (quiet || (steps > 0 && state->step >= steps)) return true;
    if (!training_estimate(trainer, &stage->objective, &stage->data, state, &update, &validation, err)) return false;
    snprintf(each, sizeof each, update < 1 ? "%.0f ms" : "%.1f s", update < 1 ? 1000 * update : update);
    if (steps == 0) {
        cli_say(quiet, "an update takes %s here: about %s updates\n", each,
                format_count((o->minutes * 60 - state->seconds) / update, n));
        return true;
    }
    double grown = batch_ramp_mean(&o->ramp, stage->data.rows_per_step, state->step, steps);
    struct training_intervals every;
    if (!training_plan_intervals(o, &stage->data, steps, &every, err)) return false;
    double left = (double)(steps - state->step), validations = every.eval > 0 ? ceil(left / (double)every.eval) : 1;
    cli_say(quiet, "an update takes %s here: about %s in all\n", each,
            format_seconds(left * update * grown + validations * validation, time));
    return true;
}

int stage_run(struct stage *stage, struct talc_error *err) {
    const struct stage_values *v = stage->values;
    struct trainer trainer;
    struct train_state state = training_state_new();
    bool stopped = false;
    stage->recipe.trainer.weights = stage->model->embedding->value.dtype;
    say_plan(stage);
    if (!trainer_open(&trainer, stage->model, &stage->recipe.trainer, err)) return cli_fail(stage->command, err);
    trainer.run.seed = (uint64_t)v->seed;
    struct training_options o = {.out = v->out,
                                 .schedule = stage->recipe.schedule,
                                 .warmup_share = v->warmup >= 0 ? 0 : 0.1,
                                 .ramp = stage->recipe.ramp,
                                 .minutes = v->minutes,
                                 .eval_every = v->eval_every,
                                 .save_every = v->save_every,
                                 .sample_every = v->sample_every,
                                 .keep = (int)v->keep,
                                 .stop = stage->stop,
                                 .on_step = on_step,
                                 .on_evaluation = on_evaluation,
                                 .on_sample = on_sample,
                                 .context = stage};
    bool ok = !v->resume || checkpoint_resume(v->out, &trainer, &state, err);
    ok = ok && say_estimate(stage, &trainer, &state, &o, err);
    progress_start(&stage->progress, stage->command, "step", (double)state.step, (double)state.total_steps, v->quiet);
    ok = ok && training_run(&trainer, &stage->objective, &stage->data, stage->tokenizer, &o, &state, &stopped, err);
    int64_t skipped = trainer.skipped;
    trainer_close(&trainer);
    progress_clear(&stage->progress);
    if (!ok || !print_result(stage, &state, skipped, stopped, err)) return cli_fail(stage->command, err);
    return stopped ? EXIT_INTERRUPTED : EXIT_DONE;
}
