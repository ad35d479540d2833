/* report.h - a training plan as one HTML file: tables and plots (inline SVG), no scripts, nothing fetched. */
#ifndef TALC_PLAN_REPORT_H
#define TALC_PLAN_REPORT_H

#include "plan/training.h"

/* A number as the field says it: 213.8M, 1.5T. */
const char *plan_count_text(double x, char out[32]);

/* Appends the page. `points` are plan_scaling's; 0 of them leave its part out. Names are escaped. */
void plan_report(struct buffer *out, const struct plan_request *request, const struct training_plan *plan,
                 const struct plan_point *points, int n_points);

#endif
