/* outlier.h - tells a value that stands out from those before it: a loss or a gradient norm that jumps says that a
 * batch is damaged, or that the step about to be taken would do damage. */
#ifndef TALC_TRAIN_OUTLIER_H
#define TALC_TRAIN_OUTLIER_H

#define OUTLIER_WINDOW 128

/* The last values, a ring. Starts as zero. */
struct outlier_window {
    double values[OUTLIER_WINDOW];
    int n, next; /* values seen, at most OUTLIER_WINDOW; where the next one goes */
};

/* Standard deviations by which x lies above the mean of the window; 0 until the window is full, or where all in it are
 * equal. Then x joins the window, whatever it is: a level that has changed for good stops standing out. */
double outlier_score(struct outlier_window *window, double x);

#endif
