/* progress.c - see progress.h. */
#include "base/progress.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"

char *format_count(double n, char out[32]) {
    static const char suffix[] = {0, 'k', 'M', 'G', 'T', 'P', 'E'};
    int i = 0;
    while (n >= 1000 && i < 6) {
        n /= 1000;
        i++;
    }
    snprintf(out, 32, i == 0 && n == (double)(long)n ? "%.0f" : n < 10 ? "%.2f" : n < 100 ? "%.1f" : "%.0f", n);
    if (i) strncat(out, &suffix[i], 1);
    return out;
}

char *format_bytes(double n, char out[32]) {
    static const char *unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    int i = 0;
    while (n >= 1024 && i < 5) {
        n /= 1024;
        i++;
    }
    snprintf(out, 32, i == 0 ? "%.0f %s" : "%.1f %s", n, unit[i]);
    return out;
}

char *format_seconds(double seconds, char out[32]) {
    long s = seconds < 1e15 ? (long)(seconds + 0.5) : 1000000000000000;
    if (s < 0) s = 0;
    if (s < 60)
        snprintf(out, 32, "%ld s", s);
    else if (s < 3600)
        snprintf(out, 32, "%ld min %ld s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, 32, "%ld h %ld min", s / 3600, s / 60 % 60);
    else
        snprintf(out, 32, "%ld d %ld h", s / 86400, s / 3600 % 24);
    return out;
}

static bool stderr_is_terminal(void) {
    const char *term = getenv("TERM");
    return isatty(2) && !(term && strcmp(term, "dumb") == 0);
}

void progress_start(struct progress *p, const char *label, const char *unit, double done, double total, bool quiet) {
    double now = clock_seconds();
    *p = (struct progress){.label = label,
                           .unit = unit,
                           .total = total,
                           .start = now,
                           .last_drawn = now,
                           .first = done,
                           .terminal = stderr_is_terminal(),
                           .quiet = quiet};
}

/* Columns of the terminal, less the last: a line that fills it may wrap. */
static size_t terminal_columns(void) {
    struct winsize size;
    return ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? (size_t)size.ws_col - 1 : SIZE_MAX;
}

static void draw(struct progress *p, double done, const char *note) {
    double elapsed = clock_seconds() - p->start, rate = elapsed > 0 ? (done - p->first) / elapsed : 0;
    char n[32], of[32], speed[32], time[32];
    struct buffer line = {0};
    buffer_printf(&line, "%s: %s", p->label, format_count(done, n));
    if (p->total > 0) buffer_printf(&line, "/%s (%.0f%%)", format_count(p->total, of), 100 * done / p->total);
    buffer_printf(&line, " %ss, %s/s", p->unit, format_count(rate, speed));
    if (p->total > 0 && rate > 0) buffer_printf(&line, ", %s left", format_seconds((p->total - done) / rate, time));
    if (note && *note) buffer_printf(&line, "  %s", note);
    size_t most = p->terminal ? terminal_columns() : SIZE_MAX; /* a line that wraps could not be drawn over */
    if (line.data)
        fprintf(stderr, p->terminal ? "\r\033[K%.*s" : "%.*s\n", (int)(line.length < most ? line.length : most),
                line.data);
    fflush(stderr);
    buffer_free(&line);
}

void progress_update(struct progress *p, double done, const char *note) {
    double now = clock_seconds();
    if (p->quiet || now - p->last_drawn < (p->terminal ? 0.1 : 10)) return;
    p->last_drawn = now;
    draw(p, done, note);
}

void progress_clear(struct progress *p) {
    if (!p->quiet && p->terminal) fputs("\r\033[K", stderr);
}
