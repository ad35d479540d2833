/* warnings.h - what whoever plans a run should know before it starts. */
#ifndef TALC_PLAN_WARNINGS_H
#define TALC_PLAN_WARNINGS_H

#include "plan/training.h"

/* Fills plan->warnings; everything else of the plan is there. */
void plan_warn(const struct plan_request *request, struct training_plan *plan);

#endif
