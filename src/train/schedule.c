/* schedule.c - see schedule.h. */
#include "train/schedule.h"

#include <math.h>
#include <string.h>

static const char *const kind_names[] = {"constant", "cosine", "linear", "wsd"};

static double decay_start(const struct schedule *s) {
    double first = (double)s->warmup_steps, hold = (1 - s->decay_fraction) * (double)s->total_steps;
    return s->kind == SCHEDULE_WSD && hold > first ? hold : first;
}

int64_t schedule_decay_start(const struct schedule *s) { return (int64_t)ceil(decay_start(s)); }

double schedule_factor(const struct schedule *s, int64_t step) {
    if (step < s->warmup_steps) return (double)(step + 1) / (double)s->warmup_steps;
    double first = decay_start(s), span = (double)s->total_steps - first;
    if (s->kind == SCHEDULE_CONSTANT || (double)step < first || span <= 0) return 1;
    double done = ((double)step - first) / span; /* 0 at the first step of the decay, just under 1 at the last */
    if (done > 1) done = 1;
    double left = s->kind == SCHEDULE_COSINE ? 0.5 * (1 + cos(3.14159265358979323846 * done)) : 1 - done;
    return s->final_factor + (1 - s->final_factor) * left;
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
