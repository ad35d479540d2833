/* checkpoint.c - see checkpoint.h. */
#include "train/checkpoint.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file/atomic.h"
#include "file/json.h"
#include "file/run_folder.h"
#include "file/safetensors.h"
#include "infer/sampler.h"

/* ---- writing --------------------------------------------------------------------------------- */

/* JSON has no infinity and no NaN: they are left out, and read back as the default. */
static void set_number(json_t *object, const char *key, double x) {
    if (isfinite(x)) json_object_set_new(object, key, json_real(x));
}

/* The values, the oldest first. */
static json_t *window_json(const struct outlier_window *w) {
    json_t *values = json_array();
    for (int i = 0; i < w->n; i++)
        json_array_append_new(values, json_real(w->values[(w->next - w->n + i + OUTLIER_WINDOW) % OUTLIER_WINDOW]));
    return values;
}

static bool save_state(const char *folder, const struct trainer *t, const struct train_state *s,
                       struct talc_error *err) {
    json_t *o = json_object();
    char *path = path_join(folder, "trainer.json");
    if (!o || !path) {
        json_decref(o);
        free(path);
        return talc_fail(err, "out of memory for trainer.json");
    }
    json_object_set_new(o, "step", json_integer(s->step));
    json_object_set_new(o, "total_steps", json_integer(s->total_steps));
    json_object_set_new(o, "warmup_steps", json_integer(s->warmup_steps));
    json_object_set_new(o, "minutes", json_real(s->minutes));
    json_object_set_new(o, "turn_step", json_integer(s->turn_step));
    json_object_set_new(o, "turn_factor", json_real(s->turn_factor));
    json_object_set_new(o, "data_epoch", json_integer((json_int_t)s->position.epoch));
    json_object_set_new(o, "data_next", json_integer((json_int_t)s->position.next));
    json_object_set_new(o, "best_step", json_integer(s->best_step));
    json_object_set_new(o, "tokens", json_integer(s->tokens));
    json_object_set_new(o, "validation_due", json_boolean(s->validation_due));
    json_object_set_new(o, "dropout_counter", json_integer((json_int_t)t->run.counter));
    json_object_set_new(o, "optimizer_steps", json_integer(t->updates));
    json_object_set_new(o, "skipped_updates", json_integer(t->skipped));
    json_object_set_new(o, "loss_window", window_json(&t->losses));
    json_object_set_new(o, "norm_window", window_json(&t->norms));
    json_object_set_new(o, "seconds", json_real(s->seconds));
    set_number(o, "best_loss", s->best_loss);
    set_number(o, "train_loss", s->train_loss);
    set_number(o, "val_loss", s->val_loss);
    bool ok = json_write_file(path, o, err);
    json_decref(o);
    free(path);
    return ok;
}

enum { MOMENT_NAME = 96 };
static void moment_name(char out[MOMENT_NAME], bool second, const struct parameter *p) {
    snprintf(out, MOMENT_NAME, "%c.%s", second ? 'v' : 'm', p->name);
}

/* Streams a device vector into the file in pieces. */
static bool append_moments(struct safetensors_writer *w, const struct trainer *t, bool second, struct talc_error *err) {
    struct stream *s = t->model->stream;
    for (int i = 0; i < t->model->n_parameters; i++) {
        const struct parameter *p = &t->model->parameters[i];
        struct tensor piece = trainer_moment(t, second, p);
        if (!tensor_present(piece)) continue;
        size_t n_bytes = (size_t)(piece.rows * piece.cols) * dtype_size(piece.dtype);
        char name[MOMENT_NAME];
        moment_name(name, second, p);
        void *host = malloc(n_bytes);
        if (!host) return talc_fail(err, "out of memory for saving %s", name);
        s->backend->copy_out(s, host, piece.data, n_bytes);
        bool ok = safetensors_writer_append(w, name, host, n_bytes, err);
        free(host);
        if (!ok) return false;
    }
    return true;
}

static bool declare_moments(struct safetensors_writer *w, const struct trainer *t, bool second,
                            struct talc_error *err) {
    for (int i = 0; i < t->model->n_parameters; i++) {
        const struct parameter *p = &t->model->parameters[i];
        char name[MOMENT_NAME];
        moment_name(name, second, p);
        int64_t shape[2] = {p->value.rows, p->value.cols};
        if (tensor_present(trainer_moment(t, second, p)) &&
            !safetensors_writer_declare(w, name, t->m.dtype, 2, shape, err))
            return false;
    }
    return true;
}

/* ---- parameters that the model's folder holds less exactly: they go on from here ---- */

static void exact_name(char out[MOMENT_NAME], const struct parameter *p) {
    snprintf(out, MOMENT_NAME, "p.%s", p->name);
}

static bool declare_exact(struct safetensors_writer *w, const struct model *m, struct talc_error *err) {
    for (int i = 0; i < m->n_parameters; i++) {
        const struct parameter *p = &m->parameters[i];
        int64_t shape[2] = {p->value.rows, p->value.cols};
        char name[MOMENT_NAME];
        exact_name(name, p);
        if (!model_folder_is_exact(m, p) && !safetensors_writer_declare(w, name, p->value.dtype, 2, shape, err))
            return false;
    }
    return true;
}

static bool append_exact(struct safetensors_writer *w, const struct model *m, struct talc_error *err) {
    bool ok = true;
    for (int i = 0; ok && i < m->n_parameters; i++) {
        const struct parameter *p = &m->parameters[i];
        size_t n_bytes = (size_t)(p->value.rows * p->value.cols) * dtype_size(p->value.dtype);
        char name[MOMENT_NAME];
        if (model_folder_is_exact(m, p)) continue;
        exact_name(name, p);
        void *host = malloc(n_bytes);
        if (!host) return talc_fail(err, "out of memory for saving %s", name);
        m->stream->backend->copy_out(m->stream, host, p->value.data, n_bytes);
        ok = safetensors_writer_append(w, name, host, n_bytes, err);
        free(host);
    }
    return ok;
}

static bool read_exact(const struct safetensors *st, struct model *m, struct talc_error *err) {
    for (int i = 0; i < m->n_parameters; i++) {
        const struct parameter *p = &m->parameters[i];
        int64_t shape[2] = {p->value.rows, p->value.cols};
        char name[MOMENT_NAME];
        if (model_folder_is_exact(m, p)) continue;
        exact_name(name, p);
        const struct safetensor *found = safetensors_need(st, name, 2, shape, err);
        if (!found || !safetensor_check_finite(found, err)) return false;
        if (found->dtype != p->value.dtype)
            return talc_fail(err, "%s: %s is %s, not %s; the file is damaged, take another checkpoint", found->file,
                             name, found->dtype_text, dtype_name(p->value.dtype));
        m->stream->backend->copy_in(m->stream, p->value.data, found->data, found->n_bytes);
    }
    return true;
}

static bool save_optimizer(const char *folder, const struct trainer *t, struct talc_error *err) {
    char *path = path_join(folder, "optimizer.safetensors");
    if (!path) return talc_fail(err, "out of memory for a path");
    struct safetensors_writer *w = safetensors_writer_open(path, err);
    free(path);
    if (!w) return false;
    if (declare_moments(w, t, false, err) && declare_moments(w, t, true, err) && declare_exact(w, t->model, err) &&
        append_moments(w, t, false, err) && append_moments(w, t, true, err) && append_exact(w, t->model, err))
        return safetensors_writer_commit(w, err);
    safetensors_writer_abort(w);
    return false;
}

/* As it is written in decimals, not what a float makes of it. */
static double decimal(float x) { return round((double)x * 1e6) / 1e6; }

/* Defaults for whoever generates with this model, those of talc; transformers reads it. */
static bool save_generation_config(const char *folder, const struct tokenizer *tokenizer, struct talc_error *err) {
    char *path = path_join(folder, "generation_config.json");
    json_t *o = json_object(), *ends = json_array();
    bool ok = path && o && ends;
    if (ok) {
        for (int32_t id = 0; id < tokenizer_vocab_size(tokenizer); id++)
            if (tokenizer_is_end(tokenizer, id)) json_array_append_new(ends, json_integer(id));
        json_object_set(o, "eos_token_id", ends);
        json_object_set_new(o, "do_sample", json_true());
        struct sampling s = sampling_defaults();
        json_object_set_new(o, "temperature", json_real(decimal(s.temperature)));
        json_object_set_new(o, "top_p", json_real(decimal(s.top_p)));
        json_object_set_new(o, "min_p", json_real(decimal(s.min_p)));
        ok = json_write_file(path, o, err);
    } else {
        talc_fail(err, "out of memory for generation_config.json");
    }
    json_decref(ends);
    json_decref(o);
    free(path);
    return ok;
}

static bool save_files(const char *folder, const struct trainer *t, const struct tokenizer *tokenizer,
                       const struct train_state *s, struct talc_error *err) {
    return model_save_folder(t->model, folder, err) && tokenizer_save_folder(tokenizer, folder, NULL, err) &&
           save_generation_config(folder, tokenizer, err) && save_optimizer(folder, t, err) &&
           save_state(folder, t, s, err);
}

/* ---- keeping the last few -------------------------------------------------------------------- */

static const char *const checkpoint_names[] = {"config.json",
                                               "generation_config.json",
                                               "model.safetensors",
                                               "optimizer.safetensors",
                                               "trainer.json",
                                               TOKENIZER_FOLDER_NAMES,
                                               NULL};
static const struct folder_kind checkpoint_folder = {"trainer.json", "\"total_steps\"", checkpoint_names,
                                                     .replaced = true};

/* Number N of a name "step-N" as it is written here, or -1. */
static int64_t step_of(const char *name) {
    char again[32];
    if (strncmp(name, "step-", 5) != 0) return -1;
    int64_t n = strtoll(name + 5, NULL, 10);
    snprintf(again, sizeof again, "step-%" PRId64, n);
    return strcmp(name, again) == 0 ? n : -1;
}

static int newest_first(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Leaves the last `keep` up to `step`, the best, and what holds something of somebody else. Later ones are of a run
 * that was killed before it could point at them, and was resumed from before. What cannot be removed stays: a
 * checkpoint too many is no reason to stop a run. */
static void remove_old(const char *checkpoints, int keep, int64_t step, int64_t best) {
    DIR *d = opendir(checkpoints);
    if (!d) return;
    int64_t steps[4096];
    size_t n = 0;
    for (struct dirent *e; (e = readdir(d)) && n < sizeof steps / sizeof *steps;)
        if (step_of(e->d_name) >= 0) steps[n++] = step_of(e->d_name);
    closedir(d);
    qsort(steps, n, sizeof *steps, newest_first);
    int kept = 0;
    for (size_t i = 0; i < n; i++) {
        char name[32];
        if (steps[i] <= step && kept++ < keep) continue;
        if (steps[i] == best) continue;
        snprintf(name, sizeof name, "step-%" PRId64, steps[i]);
        char *path = path_join(checkpoints, name);
        if (path && folder_may_take(path, &checkpoint_folder, NULL)) folder_remove(path, NULL);
        free(path);
    }
}

void checkpoint_sweep(const char *run_folder) {
    static const char *const names[] = {"step-[0-9]*", NULL};
    char *checkpoints = path_join(run_folder, "checkpoints");
    if (checkpoints) atomic_sweep_folders(checkpoints, names, &checkpoint_folder);
    free(checkpoints);
}

int64_t checkpoint_newest(const char *run_folder) {
    int64_t newest = -1;
    char *checkpoints = path_join(run_folder, "checkpoints");
    DIR *d = checkpoints ? opendir(checkpoints) : NULL;
    for (struct dirent *e; d && (e = readdir(d));)
        if (step_of(e->d_name) > newest) newest = step_of(e->d_name);
    if (d) closedir(d);
    free(checkpoints);
    return newest;
}

/* A link is replaced with every save; what is none cannot be. */
static bool check_link(const char *run_folder, const char *name, struct talc_error *err) {
    struct stat st;
    char *path = path_join(run_folder, name);
    if (!path) return talc_fail(err, "out of memory for a path");
    bool ok = lstat(path, &st) != 0 || S_ISLNK(st.st_mode);
    if (!ok)
        talc_fail(err,
                  "%s: is a %s, not a link (a copy that followed links?): remove it, and %s/%s if it is none either; "
                  "the run goes on from checkpoints/",
                  path, S_ISDIR(st.st_mode) ? "folder" : "file", run_folder,
                  strcmp(name, "latest") == 0 ? "best" : "latest");
    free(path);
    return ok;
}

bool checkpoint_check_later(const char *run_folder, struct talc_error *err) {
    if (!check_link(run_folder, "latest", err) || !check_link(run_folder, "best", err)) return false;
    char target[PATH_MAX];
    char *latest = path_join(run_folder, "latest"), *checkpoints = path_join(run_folder, "checkpoints");
    ssize_t n = latest ? readlink(latest, target, sizeof target - 1) : -1;
    target[n > 0 ? n : 0] = '\0';
    const char *slash = strrchr(target, '/');
    int64_t step = step_of(slash ? slash + 1 : target);
    DIR *d = checkpoints && step >= 0 ? opendir(checkpoints) : NULL;
    bool ok = true;
    for (struct dirent *e; ok && d && (e = readdir(d));) {
        char *path = step_of(e->d_name) > step ? path_join(checkpoints, e->d_name) : NULL;
        if (path && !folder_may_take(path, &checkpoint_folder, NULL))
            ok = talc_fail(err, "%s: is not, or not only, a checkpoint, and the run will write there; move it away",
                           path);
        free(path);
    }
    if (d) closedir(d);
    free(checkpoints);
    free(latest);
    return ok;
}

/* Makes RUN/`name` point to checkpoints/step-`step`. */
static bool point(const char *run_folder, const char *name, int64_t step, struct talc_error *err) {
    char target[64];
    snprintf(target, sizeof target, "checkpoints/step-%" PRId64, step);
    char *link = path_join(run_folder, name);
    bool ok = link ? atomic_symlink(target, link, err) : talc_fail(err, "out of memory for a path");
    free(link);
    return ok;
}

bool checkpoint_point_latest(const char *run_folder, int64_t step, struct talc_error *err) {
    return point(run_folder, "latest", step, err);
}

bool checkpoint_point_best(const char *run_folder, const struct train_state *s, struct talc_error *err) {
    char name[64];
    snprintf(name, sizeof name, "checkpoints/step-%" PRId64, s->best_step);
    char *folder = path_join(run_folder, name);
    if (!folder) return talc_fail(err, "out of memory for a path");
    bool there = s->best_step >= 0 && folder_exists(folder);
    free(folder);
    return !there || point(run_folder, "best", s->best_step, err);
}

bool checkpoint_save(const char *run_folder, const struct trainer *trainer, const struct tokenizer *tokenizer,
                     const struct train_state *state, int keep, struct talc_error *err) {
    char name[32];
    snprintf(name, sizeof name, "step-%" PRId64, state->step);
    char *checkpoints = path_join(run_folder, "checkpoints");
    char *path = checkpoints ? path_join(checkpoints, name) : NULL;
    struct atomic_folder folder = {0};
    bool ok = path ? folder_create(checkpoints, err) : talc_fail(err, "out of memory for a path");
    if (ok) {
        checkpoint_sweep(run_folder);
        ok = atomic_folder_open(&folder, path, &checkpoint_folder, err);
        if (ok && !save_files(folder.temporary, trainer, tokenizer, state, err)) {
            atomic_folder_abort(&folder);
            ok = false;
        }
        ok = ok && atomic_folder_commit(&folder, err) && checkpoint_point_best(run_folder, state, err) &&
             checkpoint_point_latest(run_folder, state->step, err);
        if (ok) remove_old(checkpoints, keep < 1 ? 1 : keep, state->step, state->best_step);
    }
    free(path);
    free(checkpoints);
    return ok;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A run of an older talc has none. */
static bool read_window(const json_t *object, const char *key, struct outlier_window *w, struct talc_error *err) {
    const json_t *values = json_object_get(object, key);
    size_t n = json_array_size(values);
    *w = (struct outlier_window){0};
    if (values && (!json_is_array(values) || n > OUTLIER_WINDOW))
        return talc_fail(err, "%s is not a list of at most %d numbers", key, OUTLIER_WINDOW);
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(values, i);
        if (!json_is_number(x)) return talc_fail(err, "%s is not a list of numbers", key);
        outlier_score(w, json_number_value(x));
    }
    return true;
}

static bool cannot_be(struct talc_error *err, const char *key, int64_t n, const char *why, int64_t limit) {
    return talc_fail(err, "\"%s\" is %lld, but %s %lld; the file is damaged, take another checkpoint", key,
                     (long long)n, why, (long long)limit);
}

/* Whether a run can have come to these numbers. */
static bool check_state(const struct train_state *s, int64_t updates, int64_t skipped, struct talc_error *err) {
    if (s->total_steps > 0 && s->step > s->total_steps)
        return cannot_be(err, "step", s->step, "the run was planned to end at", s->total_steps);
    if (s->step != updates + skipped)
        return cannot_be(err, "step", s->step, "updates made and skipped are", updates + skipped);
    if (s->best_step > s->step) return cannot_be(err, "best_step", s->best_step, "the run stands at step", s->step);
    if (s->turn_step > s->step) return cannot_be(err, "turn_step", s->turn_step, "the run stands at step", s->step);
    if (!(s->turn_factor >= 0 && s->turn_factor <= 1))
        return talc_fail(err, "\"turn_factor\" is %g, but must be between 0 and 1", s->turn_factor);
    return s->seconds >= 0 || talc_fail(err, "\"seconds\" is %g, but no time is negative", s->seconds);
}

/* What a run cannot go on without. */
static bool check_keys(const json_t *o, struct talc_error *err) {
    static const char *const needed[] = {"step", "total_steps", "data_epoch", "data_next", "optimizer_steps"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!json_is_number(json_object_get(o, needed[i])))
            return talc_fail(err, "has no \"%s\"; the file is damaged, take another checkpoint", needed[i]);
    return true;
}

static bool read_state(const char *folder, struct trainer *t, struct train_state *s, struct talc_error *err) {
    char *path = path_join(folder, "trainer.json");
    json_t *o = path ? json_read_file(path, 1 << 20, err) : NULL;
    int64_t epoch, next, counter, updates;
    bool ok = o && check_keys(o, err) && json_get_int(o, "step", -1, 0, TRAIN_MAX_STEPS, &s->step, err) &&
              json_get_int(o, "total_steps", -1, 0, TRAIN_MAX_STEPS, &s->total_steps, err) &&
              json_get_int(o, "warmup_steps", -1, -1, TRAIN_MAX_STEPS, &s->warmup_steps, err) &&
              json_get_number(o, "minutes", 0, &s->minutes, err) &&
              json_get_int(o, "turn_step", 0, 0, TRAIN_MAX_STEPS, &s->turn_step, err) &&
              json_get_number(o, "turn_factor", 1, &s->turn_factor, err) &&
              json_get_int(o, "data_epoch", -1, 0, INT64_MAX, &epoch, err) &&
              json_get_int(o, "data_next", -1, 0, INT64_MAX, &next, err) &&
              json_get_int(o, "best_step", -1, -1, TRAIN_MAX_STEPS, &s->best_step, err) &&
              json_get_int(o, "tokens", 0, 0, INT64_MAX, &s->tokens, err) &&
              json_get_bool(o, "validation_due", false, &s->validation_due, err) &&
              json_get_int(o, "dropout_counter", 0, 0, INT64_MAX, &counter, err) &&
              json_get_int(o, "optimizer_steps", -1, 0, TRAIN_MAX_STEPS, &updates, err) &&
              json_get_int(o, "skipped_updates", 0, 0, TRAIN_MAX_STEPS, &t->skipped, err) &&
              read_window(o, "loss_window", &t->losses, err) && read_window(o, "norm_window", &t->norms, err) &&
              json_get_number(o, "seconds", 0, &s->seconds, err) &&
              json_get_number(o, "best_loss", (double)INFINITY, &s->best_loss, err) &&
              json_get_number(o, "train_loss", (double)NAN, &s->train_loss, err) &&
              json_get_number(o, "val_loss", (double)NAN, &s->val_loss, err) &&
              check_state(s, updates, t->skipped, err);
    if (ok) {
        s->position.epoch = (uint64_t)epoch;
        s->position.next = (uint64_t)next;
        t->run.counter = (uint64_t)counter;
        t->updates = updates;
    } else if (o) {
        talc_fail_in(err, "%s", path);
    }
    json_decref(o);
    free(path);
    return ok;
}

static bool read_moments(const struct safetensors *st, struct trainer *t, bool second, struct talc_error *err) {
    struct stream *s = t->model->stream;
    for (int i = 0; i < t->model->n_parameters; i++) {
        const struct parameter *p = &t->model->parameters[i];
        struct tensor piece = trainer_moment(t, second, p);
        if (!tensor_present(piece)) continue;
        int64_t shape[2] = {p->value.rows, p->value.cols};
        char name[MOMENT_NAME];
        moment_name(name, second, p);
        const struct safetensor *found = safetensors_need(st, name, 2, shape, err);
        if (!found) return false;
        if (found->dtype != piece.dtype)
            return talc_fail(err, "%s: %s is %s, and moments are now kept in %s; say --moments as the run began",
                             found->file, name, found->dtype_text, dtype_name(piece.dtype));
        if (!safetensor_check_finite(found, err)) return false;
        s->backend->copy_in(s, piece.data, found->data, found->n_bytes);
    }
    return true;
}

bool checkpoint_resume(const char *run_folder, struct trainer *trainer, struct train_state *state,
                       struct talc_error *err) {
    char *folder = run_folder_find_model(run_folder, true, err);
    char *path = folder ? path_join(folder, "optimizer.safetensors") : NULL;
    struct safetensors *st = NULL;
    bool ok = path && read_state(folder, trainer, state, err) && (st = safetensors_open(path, err)) &&
              read_moments(st, trainer, false, err) && read_moments(st, trainer, true, err) &&
              read_exact(st, trainer->model, err);
    safetensors_close(st);
    free(path);
    free(folder);
    return ok;
}
