/* plan_text.h - plans as text on stdout, for talc plan. */
#ifndef TALC_CLI_PLAN_TEXT_H
#define TALC_CLI_PLAN_TEXT_H

#include "plan/rlhf.h"

void plan_text_training(const struct plan_request *request, const struct training_plan *plan);
void plan_text_serving(const struct plan_request *request, const struct serving_load *load,
                       const struct serving_plan *plan);
void plan_text_rlhf(const struct plan_request *request, const struct rlhf_load *load, const struct rlhf_plan *plan);

#endif
