/* arch_case.h - shapes from the text of a config.json, and compared. */
#ifndef TALC_TESTS_SUPPORT_ARCH_CASE_H
#define TALC_TESTS_SUPPORT_ARCH_CASE_H

#include "model/arch.h"

/* False and a message where the config is refused; text that is no JSON fails the test. */
bool arch_case_read(const char *text, struct arch *a, struct talc_error *err);
void arch_case_same(const struct arch *a, const struct arch *b);
/* Written as a config.json and read again it is the same. */
void arch_case_both_ways(const struct arch *a);

#endif
