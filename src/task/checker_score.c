/* checker_score.c - counting verdicts, and how sure the counts are; see checker.h. */
#include <math.h>
#include <string.h>

#include "task/checker.h"

void wilson_interval(size_t passed, size_t n, double *low, double *high) {
    const double z = 1.959963984540054; /* 97.5% of the normal distribution */
    *low = 0;
    *high = 1;
    if (n == 0) return;
    double total = (double)n, share = (double)passed / total, scale = 1 + z * z / total;
    double centre = (share + z * z / (2 * total)) / scale;
    double half = z / scale * sqrt(share * (1 - share) / total + z * z / (4 * total * total));
    if (passed > 0) *low = fmax(0, centre - half);
    if (passed < n) *high = fmin(1, centre + half);
}

static struct skill_score *skill_of(struct score_table *table, const char *name) {
    for (int i = 0; i < table->n_skills; i++)
        if (strcmp(table->skills[i].name, name) == 0) return &table->skills[i];
    if (table->n_skills == MAX_SKILLS) return NULL;
    struct skill_score *score = &table->skills[table->n_skills++];
    *score = (struct skill_score){.name = name, .high = 1};
    return score;
}

bool score_table_add_skill(struct score_table *table, const char *name) { return skill_of(table, name) != NULL; }

bool score_table_add(struct score_table *table, const struct checker_item *item, const struct checker_result *result) {
    struct skill_score *score = skill_of(table, item->skill);
    if (!score) return false;
    const char *type = json_string_value(json_object_get(item->check, "type"));
    bool should_answer = !type || strcmp(type, "unknown") != 0;
    score->n += result->verdict != VERDICT_SKIPPED;
    score->skipped += result->verdict == VERDICT_SKIPPED;
    score->passed += result->verdict == VERDICT_RIGHT;
    score->refused += should_answer && result->refusal;
    wilson_interval(score->passed, score->n, &score->low, &score->high);
    return true;
}
