/* outlier.c - see outlier.h. */
#include "train/outlier.h"

#include <math.h>

double outlier_score(struct outlier_window *w, double x) {
    double mean = 0, variance = 0;
    for (int i = 0; i < w->n; i++) mean += w->values[i] / w->n;
    for (int i = 0; i < w->n; i++) variance += (w->values[i] - mean) * (w->values[i] - mean) / w->n;
    double score = w->n == OUTLIER_WINDOW && variance > 0 ? (x - mean) / sqrt(variance) : 0;
    w->values[w->next] = x;
    w->next = (w->next + 1) % OUTLIER_WINDOW;
    if (w->n < OUTLIER_WINDOW) w->n++;
    return score;
}
