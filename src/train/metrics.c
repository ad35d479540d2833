/* metrics.c - see metrics.h. */
#include "train/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "file/atomic.h"
#include "file/json.h"

#define MAX_METRICS_BYTES ((size_t)1 << 30)

/* ---- the log --------------------------------------------------------------------------------- */

/* Step of a line, or -1 for one that is torn or not ours. */
static int64_t line_step(const char *line, size_t n) {
    json_t *o = json_parse(line, n, "metrics.jsonl", NULL);
    int64_t step = -1;
    if (o && !json_get_int(o, "step", -1, -1, INT64_MAX, &step, NULL)) step = -1;
    json_decref(o);
    return step;
}

static bool drop_later_lines(const char *path, int64_t step, struct talc_error *err) {
    size_t n;
    if (!file_exists(path)) return true;
    char *text = file_read(path, MAX_METRICS_BYTES, &n, err);
    if (!text) return false;
    struct buffer kept = {0};
    for (char *line = text, *end; line < text + n; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + n - line));
        if (!end) break;
        int64_t at = line_step(line, (size_t)(end - line));
        if (at >= 0 && at <= step) buffer_append(&kept, line, (size_t)(end - line) + 1);
    }
    free(text);
    bool ok = buffer_ok(&kept) ? atomic_write_file(path, kept.data ? kept.data : "", kept.length, err)
                               : talc_fail(err, "out of memory reading %s", path);
    buffer_free(&kept);
    return ok;
}

bool metrics_open(struct metrics *m, const char *run_folder, int64_t step, struct talc_error *err) {
    *m = (struct metrics){.folder = strdup(run_folder)};
    char *path = path_join(run_folder, "metrics.jsonl");
    bool ok = m->folder && path ? drop_later_lines(path, step, err) : talc_fail(err, "out of memory for metrics");
    if (ok && !(m->file = fopen(path, "a"))) ok = talc_fail_errno(err, "cannot write %s", path);
    free(path);
    if (!ok) metrics_close(m);
    return ok;
}

void metrics_close(struct metrics *m) {
    if (m->file) fclose(m->file);
    free(m->folder);
    *m = (struct metrics){0};
}

static void append_number(struct buffer *b, const char *key, const char *format, double x) {
    if (!isfinite(x)) return;
    buffer_printf(b, ", \"%s\": ", key);
    char text[32];
    snprintf(text, sizeof text, format, x);
    buffer_append_text(b, text);
}

bool metrics_append(struct metrics *m, const struct metrics_line *l, struct talc_error *err) {
    struct buffer b = {0};
    buffer_printf(&b, "{\"step\": %" PRId64 ", \"tokens\": %" PRId64, l->step, l->tokens);
    append_number(&b, "train_loss", "%.6f", l->train_loss);
    append_number(&b, "val_loss", "%.6f", l->val_loss);
    append_number(&b, "val_bits_per_byte", "%.6f", l->val_bits_per_byte);
    append_number(&b, "learning_rate_factor", "%.6g", l->learning_rate_factor);
    append_number(&b, "gradient_norm", "%.6g", l->gradient_norm);
    append_number(&b, "seconds", "%.3f", l->seconds);
    append_number(&b, "tokens_per_second", "%.1f", l->tokens_per_second);
    if (l->skipped) buffer_append_text(&b, ", \"skipped\": true");
    buffer_append_text(&b, "}\n");
    bool ok = buffer_ok(&b) && fwrite(b.data, 1, b.length, m->file) == b.length && fflush(m->file) == 0;
    buffer_free(&b);
    return ok ? true : talc_fail_errno(err, "cannot append to %s/metrics.jsonl", m->folder);
}

/* ---- the picture ----------------------------------------------------------------------------- */

enum { PLOT_WIDTH = 720, PLOT_HEIGHT = 400, PLOT_LEFT = 56, PLOT_RIGHT = 16, PLOT_TOP = 28, PLOT_BOTTOM = 40 };

struct point {
    double step, loss;
};
struct curve {
    struct buffer points; /* struct point[] */
};

static size_t curve_length(const struct curve *c) { return c->points.length / sizeof(struct point); }

/* The i-th of at most 600 points: neighbours are averaged, or a long run would be a black band. */
static struct point curve_point(const struct curve *c, size_t i, size_t shown) {
    const struct point *p = (const struct point *)(const void *)c->points.data;
    size_t n = curve_length(c), first = i * n / shown, last = (i + 1) * n / shown;
    struct point mean = {0};
    for (size_t j = first; j < last; j++) {
        mean.step += p[j].step;
        mean.loss += p[j].loss;
    }
    mean.step /= (double)(last - first);
    mean.loss /= (double)(last - first);
    return mean;
}

static void read_point(struct curve *c, const json_t *o, const char *key) {
    double loss, step;
    if (!json_object_get(o, key) || !json_get_number(o, key, 0, &loss, NULL) ||
        !json_get_number(o, "step", 0, &step, NULL))
        return;
    struct point p = {step, loss};
    buffer_append(&c->points, &p, sizeof p);
}

static bool read_curves(const char *folder, struct curve *train, struct curve *val, struct talc_error *err) {
    size_t n = 0;
    char *path = path_join(folder, "metrics.jsonl");
    char *text = path ? file_read(path, MAX_METRICS_BYTES, &n, err) : NULL;
    free(path);
    if (!text) return false;
    for (char *line = text, *end; line < text + n; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + n - line));
        if (!end) break;
        json_t *o = json_parse(line, (size_t)(end - line), "metrics.jsonl", NULL);
        if (o) {
            read_point(train, o, "train_loss");
            read_point(val, o, "val_loss");
        }
        json_decref(o);
    }
    free(text);
    return true;
}

struct axes {
    double last_step, low, high;
};

static double plot_x(const struct axes *a, double step) {
    return PLOT_LEFT + step / a->last_step * (PLOT_WIDTH - PLOT_LEFT - PLOT_RIGHT);
}
static double plot_y(const struct axes *a, double loss) {
    return PLOT_TOP + (a->high - loss) / (a->high - a->low) * (PLOT_HEIGHT - PLOT_TOP - PLOT_BOTTOM);
}

static void widen(struct axes *a, const struct curve *c) {
    size_t n = curve_length(c), shown = n < 600 ? n : 600;
    for (size_t i = 0; i < shown; i++) {
        struct point p = curve_point(c, i, shown);
        if (p.step > a->last_step) a->last_step = p.step;
        if (p.loss < a->low) a->low = p.loss;
        if (p.loss > a->high) a->high = p.loss;
    }
}

static void draw_curve(struct buffer *svg, const struct axes *a, const struct curve *c, const char *colour) {
    size_t n = curve_length(c), shown = n < 600 ? n : 600;
    buffer_printf(svg, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" points=\"", colour);
    for (size_t i = 0; i < shown; i++) {
        struct point p = curve_point(c, i, shown);
        buffer_printf(svg, "%.1f,%.1f ", plot_x(a, p.step), plot_y(a, p.loss));
    }
    buffer_append_text(svg, "\"/>\n");
}

static void draw_axes(struct buffer *svg, const struct axes *a) {
    for (int i = 0; i <= 4; i++) {
        double loss = a->low + (a->high - a->low) * i / 4, step = a->last_step * i / 4;
        buffer_printf(svg,
                      "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>"
                      "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.2f</text>"
                      "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n",
                      PLOT_LEFT, PLOT_WIDTH - PLOT_RIGHT, plot_y(a, loss), plot_y(a, loss), PLOT_LEFT - 6,
                      plot_y(a, loss) + 4, loss, plot_x(a, step), PLOT_HEIGHT - PLOT_BOTTOM + 18, step);
    }
}

bool metrics_plot(const struct metrics *m, struct talc_error *err) {
    struct curve train = {0}, val = {0};
    struct buffer svg = {0};
    struct axes axes = {.last_step = 1, .low = (double)INFINITY, .high = (double)-INFINITY};
    bool ok = read_curves(m->folder, &train, &val, err);
    widen(&axes, &train);
    widen(&axes, &val);
    if (ok && axes.low <= axes.high) {
        if (axes.high - axes.low < 1e-6) axes.high = axes.low + 1;
        buffer_printf(&svg,
                      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
                      "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
                      "<text x=\"%d\" y=\"18\">loss over steps: <tspan fill=\"#4878cf\">training</tspan>, "
                      "<tspan fill=\"#d65f5f\">validation</tspan></text>\n",
                      PLOT_WIDTH, PLOT_HEIGHT, PLOT_LEFT);
        draw_axes(&svg, &axes);
        draw_curve(&svg, &axes, &train, "#4878cf");
        draw_curve(&svg, &axes, &val, "#d65f5f");
        buffer_append_text(&svg, "</svg>\n");
        char *path = path_join(m->folder, "loss.svg");
        ok = path && buffer_ok(&svg) ? atomic_write_file(path, svg.data, svg.length, err)
                                     : talc_fail(err, "out of memory drawing the loss");
        free(path);
    }
    buffer_free(&svg);
    buffer_free(&train.points);
    buffer_free(&val.points);
    return ok;
}
