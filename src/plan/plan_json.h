/* plan_json.h - plans as JSON objects with snake_case keys, stable once released. New references; NULL when out of
 * memory. */
#ifndef TALC_PLAN_PLAN_JSON_H
#define TALC_PLAN_PLAN_JSON_H

#include <jansson.h>

#include "plan/rlhf.h"

json_t *training_plan_json(const struct plan_request *request, const struct training_plan *plan);
json_t *serving_plan_json(const struct plan_request *request, const struct serving_load *load,
                          const struct serving_plan *plan);
json_t *rlhf_plan_json(const struct plan_request *request, const struct rlhf_plan *plan);

#endif
