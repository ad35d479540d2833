/* schedule.c - see schedule.h. */
#include "train/schedule.h"

#include <math.h>
#include <string.h>

static const char *const kind_names[] = {"constant", "cosine", "linear", "wsd"};

static double decay_start(const struct schedule *s) {
    double first = (double)s->warmup_steps, hold = (1 - s->decay_fraction) * (double)s->total_steps;
    return s->kind == SCHEDULE_WSD && hold > first ? hold : first;
}

double schedule_factor(const struct schedule *s, int64_t step) {
    if (step < s->warmup_steps) return (double)(step + 1) / (double)s->warmup_steps;
    bool turned = s->turn_step > 0 && step >= s->turn_step;
    double first = turned ? (double)s->turn_step : decay_start(s), span = (double)s->total_steps - first;
    double from = turned ? s->turn_factor : 1;
    if (s->kind == SCHEDULE_CONSTANT || (double)step < first || span <= 0) return from;
    double done = ((double)step - first) / span; /* 0 at the first step of the decay, just under 1 at the last */
    if (done > 1) done = 1;
    double left = s->kind == SCHEDULE_COSINE ? 0.5 * (1 + cos(3.14159265358979323846 * done)) : 1 - done;
    return s->final_factor + (from - s->final_factor) * left;
}

void schedule_replan(struct schedule *s, int64_t step, int64_t total_steps) {
    bool begun = s->turn_step > 0 || (s->total_steps > 0 && (double)step >= decay_start(s));
    if (begun && s->kind == SCHEDULE_COSINE) return;
    double factor = schedule_factor(s, step);
    s->total_steps = total_steps;
    bool falls = s->kind == SCHEDULE_LINEAR || s->kind == SCHEDULE_WSD;
    if (!falls || (!begun && (double)step < decay_start(s))) return;
    s->turn_step = step;
    s->turn_factor = factor;
}

int batch_ramp_rows(const struct batch_ramp *ramp, int rows, int64_t step, int64_t total_steps) {
    if (ramp->first_rows <= 0 || ramp->first_rows >= rows) return rows;
    double steps = ramp->share * (double)total_steps;
    if (total_steps > 0 && (double)step >= steps) return rows;
    double done = total_steps > 0 ? (double)step / steps : 0;
    return ramp->first_rows + (int)(done * (rows - ramp->first_rows));
}

double batch_ramp_mean(const struct batch_ramp *ramp, int rows, int64_t step, int64_t total_steps) {
    double left = (double)(total_steps - step), growing = ramp->share * (double)total_steps - (double)step;
    if (left <= 0 || growing <= 0) return 1;
    double missing = 1 - (double)batch_ramp_rows(ramp, rows, step, total_steps) / rows; /* a triangle over the steps */
    return 1 - missing * (growing < left ? growing : left) / 2 / left;
}

bool schedule_kind_parse(const char *name, enum schedule_kind *out) {
    for (int i = 0; i < (int)(sizeof kind_names / sizeof *kind_names); i++)
        if (strcmp(name, kind_names[i]) == 0) {
            *out = (enum schedule_kind)i;
            return true;
        }
    return false;
}

const char *schedule_kind_name(enum schedule_kind kind) { return kind_names[kind]; }
