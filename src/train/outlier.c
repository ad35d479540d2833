/* outlier.c - see outlier.h. */
#include "train/outlier.h"

#include <math.h>

/* The oldest is 0: sums in this order come to the same bits wherever the ring begins. */
static double value(const struct outlier_window *w, int i) {
    return w->values[(w->next - w->n + i + OUTLIER_WINDOW) % OUTLIER_WINDOW];
}

double outlier_score(struct outlier_window *w, double x) {
    double mean = 0, variance = 0;
    for (int i = 0; i < w->n; i++) mean += value(w, i) / w->n;
    for (int i = 0; i < w->n; i++) variance += (value(w, i) - mean) * (value(w, i) - mean) / w->n;
    double score = w->n == OUTLIER_WINDOW && variance > 0 ? (x - mean) / sqrt(variance) : 0;
    w->values[w->next] = x;
    w->next = (w->next + 1) % OUTLIER_WINDOW;
    if (w->n < OUTLIER_WINDOW) w->n++;
    return score;
}
