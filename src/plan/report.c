/* report.c - the HTML report; see report.h. Colours and sizes are in the page's style; every plot is an SVG with its
 * own axes. */
#include "plan/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char page_start[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" "
    "content=\"width=device-width,initial-scale=1\"><title>talc plan</title><style>"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:980px;margin:2em auto;padding:0 "
    "1em;color:#222;background:#fff}h1{font-size:1.5em}h2{font-size:1.15em;"
    "margin-top:2em}table{border-collapse:collapse;width:100%}td,th{text-align:left;"
    "padding:.25em .6em;border-bottom:1px solid #ddd;vertical-align:top}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}svg{width:100%;height:"
    "auto;background:#fafafa;border:1px solid #eee}"
    /* A phone scrolls a plot or a table sideways, not the page. */
    ".wide{overflow-x:auto}.wide svg{min-width:720px}@media(max-width:640px){body{margin:1em "
    "auto}table{display:block;overflow-x:auto}}"
    ".big{font-size:1.5em;font-weight:600}.cards{display:flex;flex-wrap:wrap;gap:1em}."
    "cards div{flex:1 1 150px;background:#f4f6f8;padding:.7em 1em;border-radius:6px}"
    ".note{color:#666;font-size:.9em}.warn{background:#fff6e0;padding:.4em "
    ".8em;border-left:4px solid #e0a000;margin:.4em 0}"
    "@media(prefers-color-scheme:dark){body{background:#181a1b;color:#ddd}svg{background:#"
    "202324;border-color:#333}.cards div{background:#242829}"
    ".warn{background:#33290f}td,th{border-color:#3a3a3a}svg text{fill:#ccc}}svg "
    "text{font:12px system-ui,sans-serif;fill:#333}</style>";

static const char *const colours[] = {"#4878a8", "#e08a3c", "#6aa56e", "#c65b5b", "#8d76b8", "#9a7b62",
                                      "#d48fc0", "#808080", "#b8b03c", "#4fb0bf", "#a8c46a", "#c8a060"};

static void escape(struct buffer *b, const char *text) {
    for (; *text; text++) {
        if (*text == '<')
            buffer_append_text(b, "&lt;");
        else if (*text == '>')
            buffer_append_text(b, "&gt;");
        else if (*text == '&')
            buffer_append_text(b, "&amp;");
        else if (*text == '"')
            buffer_append_text(b, "&quot;");
        else
            buffer_append_char(b, *text);
    }
}

const char *plan_count_text(double x, char out[32]) {
    static const struct {
        double by;
        const char *unit;
    } units[] = {{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e4, "k"}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (x >= units[i].by) return snprintf(out, 32, "%.4g%s", x / (i == 3 ? 1e3 : units[i].by), units[i].unit), out;
    snprintf(out, 32, "%.4g", x);
    return out;
}

/* ---- bars ------------------------------------------------------------------------------------ */

/* One horizontal bar cut into the parts of `whole`, with a mark at `limit` (0: none), and a legend. */
static void bar(struct buffer *b, const struct plan_part *parts, int n, const void *whole, double limit,
                const char *unit, double by) {
    double total = 0, x = 20;
    for (int i = 0; i < n; i++) total += plan_part_value(&parts[i], whole);
    double most = limit > total ? limit : total, scale = 920 / most;
    buffer_printf(b, "<div class=\"wide\"><svg viewBox=\"0 0 960 %d\">", 74 + 18 * ((n + 3) / 4));
    for (int i = 0; i < n; i++) {
        double value = plan_part_value(&parts[i], whole), width = value * scale;
        buffer_printf(
            b, "<rect x=\"%.1f\" y=\"16\" width=\"%.1f\" height=\"34\" fill=\"%s\"><title>%s %.2f %s</title></rect>", x,
            width, colours[i % 12], parts[i].label, value / by, unit);
        x += width;
    }
    if (limit > 0)
        buffer_printf(b,
                      "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"8\" y2=\"58\" stroke=\"#c00\" stroke-width=\"2\"/><text "
                      "x=\"%.1f\" y=\"12\" text-anchor=\"end\">limit %.1f %s</text>",
                      20 + limit * scale, 20 + limit * scale, 16 + limit * scale, limit / by, unit);
    for (int i = 0; i < n; i++) {
        double value = plan_part_value(&parts[i], whole);
        buffer_printf(b,
                      "<rect x=\"%d\" y=\"%d\" width=\"11\" height=\"11\" fill=\"%s\"/><text x=\"%d\" y=\"%d\">%s %.2f "
                      "%s (%.0f%%)</text>",
                      20 + 235 * (i % 4), 66 + 18 * (i / 4), colours[i % 12], 36 + 235 * (i % 4), 76 + 18 * (i / 4),
                      parts[i].label, value / by, unit, 100 * value / total);
    }
    buffer_append_text(b, "</svg></div>");
}

static void memory_bar(struct buffer *b, const struct training_plan *p) {
    const struct plan_memory *m = &p->best.memory;
    buffer_printf(b, "<h2>Memory of the fullest GPU (stage %d)</h2>", m->stage);
    bar(b, plan_memory_parts, PLAN_MEMORY_PARTS, m, plan_memory_limit(p->job.chip), "GiB", 1 << 30);
}

static void step_bar(struct buffer *b, const struct training_plan *p) {
    buffer_printf(b, "<h2>One step: %.3f s</h2>", p->best.step.seconds);
    bar(b, plan_step_parts, PLAN_STEP_PARTS, &p->best.step, 0, "s", 1);
}

/* ---- the pipeline ---------------------------------------------------------------------------- */

enum { DRAWN_STAGES = 16, DRAWN_MICRO_BATCHES = 32 };

/* 1F1B over at most 16 stages and 32 micro-batches, played by its dependencies: a stage runs min(p-i, m) forwards, then
 * backward and forward in turn. */
static void timeline(struct buffer *b, const struct training_plan *p) {
    const struct plan_layout *l = &p->best.layout;
    int stages = l->pp < DRAWN_STAGES ? l->pp : DRAWN_STAGES, m = plan_micro_batches(&p->job, l);
    if (m > DRAWN_MICRO_BATCHES) m = DRAWN_MICRO_BATCHES;
    if (l->pp < 2) return;
    double f = p->best.step.forward, r = p->best.step.backward, forward_end[DRAWN_STAGES][DRAWN_MICRO_BATCHES],
           backward_end[DRAWN_STAGES][DRAWN_MICRO_BATCHES];
    double free_at[DRAWN_STAGES] = {0}, end = 0;
    int forwards[DRAWN_STAGES] = {0}, backwards[DRAWN_STAGES] = {0};
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < stages; i++) {
            int warm = stages - i < m ? stages - i : m;
            bool forward = forwards[i] < m && forwards[i] - backwards[i] < warm;
            if (forward && (i == 0 || forwards[i - 1] > forwards[i])) {
                double ready = i ? forward_end[i - 1][forwards[i]] : 0, start = ready > free_at[i] ? ready : free_at[i];
                free_at[i] = forward_end[i][forwards[i]++] = start + f, moved = true;
            } else if (!forward && backwards[i] < m && (i == stages - 1 || backwards[i + 1] > backwards[i])) {
                double ready = i < stages - 1 ? backward_end[i + 1][backwards[i]] : forward_end[i][backwards[i]];
                double start = ready > free_at[i] ? ready : free_at[i];
                free_at[i] = backward_end[i][backwards[i]++] = start + r, moved = true;
            }
            if (free_at[i] > end) end = free_at[i];
        }
    }
    buffer_printf(b,
                  "<h2>Pipeline</h2><p class=\"note\">%d of %d stages, %d of %d micro-batches, plain 1F1B%s; blue "
                  "forward, green backward.</p><div class=\"wide\"><svg viewBox=\"0 0 960 %d\">",
                  stages, l->pp, m, plan_micro_batches(&p->job, l),
                  l->vpp > 1 ? " (the plan interleaves, which shortens the ends)" : "", 20 + 20 * stages);
    for (int i = 0; i < stages; i++) {
        for (int k = 0; k < m; k++) {
            buffer_printf(b,
                          "<rect x=\"%.1f\" y=\"%d\" width=\"%.2f\" height=\"16\" fill=\"#4878a8\"><title>stage %d "
                          "forward %d</title></rect>",
                          20 + 920 * (forward_end[i][k] - f) / end, 10 + 20 * i, 920 * f / end - 0.4, i, k);
            buffer_printf(b,
                          "<rect x=\"%.1f\" y=\"%d\" width=\"%.2f\" height=\"16\" fill=\"#6aa56e\"><title>stage %d "
                          "backward %d</title></rect>",
                          20 + 920 * (backward_end[i][k] - r) / end, 10 + 20 * i, 920 * r / end - 0.4, i, k);
        }
    }
    buffer_append_text(b, "</svg></div>");
}

/* ---- scaling --------------------------------------------------------------------------------- */

enum { PLOT_LEFT = 70, PLOT_RIGHT = 915, PLOT_TOP = 20, PLOT_BOTTOM = 290 };

/* A log-log plot of one value over the number of GPUs. */
static void plot(struct buffer *b, const struct plan_point *points, int n, bool money, double by, const char *unit) {
    double low = INFINITY, high = 0;
    for (int i = 0; i < n; i++) {
        double y = (money ? points[i].cost_mid : points[i].days) * by;
        if (points[i].days > 0) low = fmin(low, y), high = fmax(high, y);
    }
    if (high <= 0) return;
    double y0 = floor(log10(low)), y1 = fmax(ceil(log10(high)), y0 + 1), x1 = 5;
    buffer_append_text(b, "<div class=\"wide\"><svg viewBox=\"0 0 960 330\">");
    for (double d = y0; d <= y1; d++) {
        double y = PLOT_BOTTOM - (d - y0) / (y1 - y0) * (PLOT_BOTTOM - PLOT_TOP);
        buffer_printf(b,
                      "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#8884\"/><text x=\"%d\" y=\"%.1f\" "
                      "text-anchor=\"end\">%g</text>",
                      PLOT_LEFT, PLOT_RIGHT, y, y, PLOT_LEFT - 6, y + 4, pow(10, d));
    }
    for (int d = 0; d <= 5; d++) {
        double x = PLOT_LEFT + d / x1 * (PLOT_RIGHT - PLOT_LEFT);
        buffer_printf(b,
                      "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"#8884\"/><text x=\"%.1f\" y=\"%d\" "
                      "text-anchor=\"middle\">%g</text>",
                      x, x, PLOT_TOP, PLOT_BOTTOM, x, PLOT_BOTTOM + 18, pow(10, d));
    }
    buffer_append_text(b, "<polyline fill=\"none\" stroke=\"#4878a8\" stroke-width=\"2\" points=\"");
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < n; i++) {
            if (points[i].days <= 0) continue;
            double value = (money ? points[i].cost_mid : points[i].days) * by;
            double x = PLOT_LEFT + log10(points[i].chips) / x1 * (PLOT_RIGHT - PLOT_LEFT),
                   y = PLOT_BOTTOM - (log10(value) - y0) / (y1 - y0) * (PLOT_BOTTOM - PLOT_TOP);
            char layout[128];
            plan_layout_text(&points[i].layout, layout);
            if (pass == 0)
                buffer_printf(b, "%.1f,%.1f ", x, y);
            else
                buffer_printf(b,
                              "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"#4878a8\"><title>%d GPUs: %.4g %s, "
                              "%s</title></circle>",
                              x, y, points[i].chips, value, unit, layout);
        }
        if (pass == 0) buffer_append_text(b, "\"/>");
    }
    buffer_printf(
        b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">GPUs</text><text x=\"%d\" y=\"14\">%s</text></svg></div>",
        PLOT_RIGHT, PLOT_BOTTOM + 34, PLOT_LEFT, unit);
}

static void scaling(struct buffer *b, const struct plan_request *r, const struct plan_point *points, int n) {
    if (n == 0) return;
    buffer_append_text(b, "<h2>Days over the number of GPUs</h2>");
    plot(b, points, n, false, 1, "days");
    buffer_append_text(b, "<h2>Rent over the number of GPUs</h2>");
    plot(b, points, n, true, r->prices.per_usd, r->prices.currency);
    buffer_printf(b,
                  "<p class=\"note\">Assumed beside: the same batch of %d sequences of %d at every size (where it "
                  "cannot feed the GPUs, more of them stop helping), the best layout "
                  "of each; failures and checkpoints counted. No point: it does not fit. ",
                  r->job.batch, r->job.sequence);
    const char *const names[] = {r->job.chip->name, r->job.network->name, r->job.software->name};
    for (int i = 0; i < 3; i++) {
        if (i) buffer_append_text(b, ", ");
        escape(b, names[i]);
    }
    buffer_printf(b,
                  "</p><table><tr><th class=\"n\">GPUs<th class=\"n\">days<th class=\"n\">rent, %s<th "
                  "class=\"n\">MFU (6ND)<th>layout",
                  r->prices.currency);
    for (int i = 0; i < n; i++) {
        char layout[128], rent[32];
        if (points[i].days <= 0) continue;
        plan_layout_text(&points[i].layout, layout);
        buffer_printf(b, "<tr><td class=\"n\">%d<td class=\"n\">%.4g<td class=\"n\">%s<td class=\"n\">%.1f%%<td>%s",
                      points[i].chips, points[i].days, plan_count_text(points[i].cost_mid * r->prices.per_usd, rent),
                      100 * points[i].mfu, layout);
    }
    buffer_append_text(b, "</table>");
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void layouts(struct buffer *b, const struct training_plan *p) {
    buffer_printf(b,
                  "<h2>Layouts</h2><p class=\"note\">%ld tried, %ld fit.</p><table><tr><th>layout<th "
                  "class=\"n\">speed<th class=\"n\">memory, GiB<th>why not",
                  p->ranking.n_tried, p->ranking.n_fit);
    for (int list = 0; list < 2; list++) {
        const struct plan_candidate *all = list ? p->ranking.lost : p->ranking.best;
        int n = list ? p->ranking.n_lost : p->ranking.n_best;
        for (int i = 0; i < n && i < (list ? 6 : 12); i++) {
            char text[128], reason[160];
            plan_layout_text(&all[i].layout, text);
            plan_reason(&p->best, &all[i], plan_memory_limit(p->job.chip), reason);
            buffer_printf(b, "<tr><td>%s<td class=\"n\">%.1f%%<td class=\"n\">%.1f<td>", text,
                          100 * all[i].tokens_per_second / p->best.tokens_per_second, all[i].memory.total / (1 << 30));
            escape(b, i || list ? reason : "the best");
        }
    }
    buffer_append_text(b, "</table>");
}

static void card(struct buffer *b, const char *what, double value, const char *unit, const char *format_note, double a,
                 double c) {
    char of[32], from[32], to[32];
    buffer_printf(b, "<div>%s<br><span class=\"big\">%s</span> %s<br><span class=\"note\">", what,
                  plan_count_text(value, of), unit);
    buffer_printf(b, "%s %s", format_note, plan_count_text(a, from));
    if (c > a) buffer_printf(b, " .. %s", plan_count_text(c, to));
    buffer_append_text(b, "</span></div>");
}

static void summary(struct buffer *b, const struct plan_request *r, const struct training_plan *p) {
    const struct plan_cost *c = &p->cost;
    char layout[128], tokens[32];
    double per = r->prices.per_usd;
    plan_layout_text(&p->best.layout, layout);
    buffer_append_text(b, "<h1>");
    escape(b, p->job.model->name);
    buffer_printf(b, " on %d &times; ", p->job.chips);
    escape(b, p->job.chip->name);
    buffer_printf(b, "</h1><p>%s tokens in %s; batch %d sequences of %d; network ", plan_count_text(r->tokens, tokens),
                  precision_names[p->job.precision], plan_true_batch(&p->job, &p->best.layout), p->job.sequence);
    escape(b, p->job.network->name);
    buffer_append_text(b, "; software ");
    escape(b, p->job.software->name);
    buffer_printf(b, ". Layout: <b>%s</b></p><div class=\"cards\">", layout);
    card(b, "time", p->failures.wall_seconds / 86400, "days", "simulated, 10 .. 90%:", p->failures.wall_p10 / 86400,
         p->failures.wall_p90 / 86400);
    card(b, "rent", c->mid * per, r->prices.currency, "low .. high:", c->low * per, c->high * per);
    card(b, "GPU-hours", c->chip_hours, "", "without failures .. with:", p->compute_seconds * p->job.chips / 3600,
         c->chip_hours);
    if (p->job.chip->watts > 0) card(b, "energy", c->mwh, "MWh", "t CO2e:", c->co2_tonnes, c->co2_tonnes);
    buffer_append_text(b, "</div>");
    for (int i = 0; i < p->warnings.n; i++) {
        buffer_append_text(b, "<p class=\"warn\">");
        escape(b, p->warnings.text[i]);
    }
}

static void assumptions(struct buffer *b, const struct plan_request *r, const struct training_plan *p) {
    buffer_printf(b,
                  "<h2>Assumptions</h2><table><tr><td>Peak<td>%.0f TFLOP/s dense; MFU %.1f%% (full attention), %.1f%% "
                  "(causal), %.1f%% (6ND), HFU %.1f%%<tr><td>Step time<td>%d "
                  "constants fitted to published runs:",
                  p->job.chip->peak[p->job.precision] / 1e12, 100 * p->mfu, 100 * p->mfu_causal, 100 * p->mfu_six_n,
                  100 * p->hfu, CONSTANT_COUNT);
    for (int k = 0; k < CONSTANT_COUNT; k++)
        buffer_printf(b, " %s %.3g;", plan_constant_notes[k].name, plan_fitted.value[k]);
    buffer_printf(b,
                  "<tr><td>Failures<td>%.2g interruptions per 1000 node-days, %.0f s to restart; checkpoint of %.3g TB "
                  "in %.3g s every %.0f s; goodput %.1f%%, simulated %.1f%%",
                  r->failures.per_1000_node_days, r->failures.restart_seconds, p->failures.checkpoint_bytes / 1e12,
                  p->failures.checkpoint_seconds, p->failures.interval_seconds, 100 * p->failures.goodput,
                  100 * p->failures.simulated_goodput);
    buffer_printf(b, "<tr><td>Prices<td>%.2f USD a GPU-hour (%s): ", r->prices.rent.mid, r->prices.rent.month);
    escape(b, r->prices.rent.source);
    buffer_printf(b,
                  "; purchase %.4g %s at an assumed %.0f USD each<tr><td>Energy<td>%.0f W a GPU with its share of the "
                  "server, PUE %.2f, %.3g kg CO2e a kWh<tr><td>Chip<td>",
                  p->cost.purchase * r->prices.per_usd, r->prices.currency, r->prices.purchase, p->job.chip->watts,
                  r->energy.pue, r->energy.kg_per_kwh);
    escape(b, p->job.chip->source);
    buffer_append_text(b, "</table>");
}

void plan_report(struct buffer *b, const struct plan_request *r, const struct training_plan *p,
                 const struct plan_point *points, int n_points) {
    buffer_append_text(b, page_start);
    summary(b, r, p);
    step_bar(b, p);
    memory_bar(b, p);
    timeline(b, p);
    scaling(b, r, points, n_points);
    layouts(b, p);
    assumptions(b, r, p);
    buffer_append_text(b, "</html>\n");
}
