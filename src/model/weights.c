/* weights.c - see weights.h. */
#include "model/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- every tensor of a file ------------------------------------------------------------------ */

static void set_rows(struct file_tensor *t, const struct arch *a, enum part part) {
    const int64_t q = (int64_t)a->n_heads * a->head_dim, kv = (int64_t)a->n_kv_heads * a->head_dim,
                  f = a->intermediate_size;
    const int64_t first[] = {0, 0, q, q + kv, 0, f};
    const int64_t count[] = {t->vector ? t->entry->cols : t->entry->rows, q, kv, kv, f, f};
    t->first_row = first[part];
    t->rows = count[part];
}

/* Visits the tensors that the names have for `entries`, of block `layer` or, with -1, outside the blocks. */
static bool visit_rules(const struct arch *a, const struct weight_names *names, const struct layout_entry *entries,
                        int n_entries, int layer, file_tensor_visit *visit, void *context, struct talc_error *err) {
    for (const struct name_rule *rules = layer < 0 ? names->outer : names->block; rules->ours; rules++)
        for (int i = 0; i < n_entries; i++) {
            const struct layout_entry *e = &entries[i];
            bool empty_bias = !e->present && names->always_biases && e->role == ROLE_BIAS;
            if (strcmp(e->name, rules->ours) != 0 || (!e->present && !empty_bias)) continue;
            struct file_tensor t = {.entry = e, .part = rules->part, .layer = layer, .turned = rules->turned};
            t.vector = e->role == ROLE_NORM || e->role == ROLE_BIAS;
            set_rows(&t, a, rules->part);
            if (layer < 0)
                snprintf(t.name, sizeof t.name, "%s", rules->theirs);
            else
                snprintf(t.name, sizeof t.name, "%s%d.%s", names->blocks, layer, rules->theirs);
            if (!visit(context, &t, err)) return false;
        }
    return true;
}

bool weights_visit_names(const struct arch *a, const struct weight_names *names, file_tensor_visit *visit,
                         void *context, struct talc_error *err) {
    struct layout_entry before[LAYOUT_BEFORE], block[LAYOUT_BLOCK], after[LAYOUT_AFTER];
    layout_before(a, before);
    layout_block(a, block);
    layout_after(a, after);
    bool ok = visit_rules(a, names, before, LAYOUT_BEFORE, -1, visit, context, err);
    for (int l = 0; ok && l < a->n_layers; l++) ok = visit_rules(a, names, block, LAYOUT_BLOCK, l, visit, context, err);
    return ok && visit_rules(a, names, after, LAYOUT_AFTER, -1, visit, context, err);
}

bool weights_visit(const struct arch *a, file_tensor_visit *visit, void *context, struct talc_error *err) {
    const struct family *f = family_find(a->family);
    if (!f) return talc_fail(err, "models of the family '%s' have no file format", a->family);
    const struct weight_names names = {f->blocks, f->outer, f->block, f->always_biases};
    return weights_visit_names(a, &names, visit, context, err);
}

size_t file_tensor_floats(const struct file_tensor *t) {
    return (size_t)(t->vector ? t->rows : t->rows * t->entry->cols);
}

const struct parameter *file_tensor_place(const struct model *m, const struct file_tensor *t, int64_t *first) {
    const char *owner = t->layer < 0 ? (const char *)m : (const char *)&m->blocks[t->layer];
    *first = t->first_row * (t->vector ? 1 : t->entry->cols);
    return *(struct parameter *const *)(const void *)(owner + t->entry->place);
}

/* ---- numbers on their way --------------------------------------------------------------------- */

/* In squares that stay in the cache. */
void weights_transpose(const float *in, int64_t rows, int64_t cols, float *out) {
    const int64_t side = 32;
    for (int64_t r0 = 0; r0 < rows; r0 += side)
        for (int64_t c0 = 0; c0 < cols; c0 += side)
            for (int64_t r = r0; r < rows && r < r0 + side; r++)
                for (int64_t c = c0; c < cols && c < c0 + side; c++) out[c * rows + r] = in[r * cols + c];
}

static bool find_largest(void *context, const struct file_tensor *t, struct talc_error *err) {
    struct weights_staging *s = context;
    (void)err;
    if (file_tensor_floats(t) > s->largest) s->largest = file_tensor_floats(t);
    return true;
}

bool weights_staging_open(struct weights_staging *s, const struct model *m, struct talc_error *err) {
    *s = (struct weights_staging){0};
    if (!weights_visit(&m->arch, find_largest, s, err)) return false;
    s->floats = malloc(s->largest * sizeof *s->floats);
    s->turned = malloc(s->largest * sizeof *s->turned);
    if (s->floats && s->turned) return true;
    return talc_fail(err, "out of memory: the largest tensor takes %.1f MiB", (double)s->largest * 4 / 1048576);
}

void weights_staging_close(struct weights_staging *s) {
    free(s->floats);
    free(s->turned);
}

void weights_progress_add(struct weights_progress *p, int64_t n) {
    p->done += (double)n;
    if (p->options->progress && p->done < p->total)
        p->options->progress(p->options->progress_context, p->done, p->total);
}

void weights_progress_end(const struct weights_progress *p) {
    if (p->options->progress) p->options->progress(p->options->progress_context, p->total, p->total);
}
