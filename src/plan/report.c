#include "plan/report.h"
void plan_report(struct buffer *out, const struct plan_request *request, const struct training_plan *plan, const struct plan_point *points, int n_points) {
    (void)out, (void)request, (void)plan, (void)points, (void)n_points;
}
