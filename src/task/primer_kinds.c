/* primer_kinds.c - the kinds in order. */
#include "task/primer_kinds.h"

const struct kind *const primer_kinds[N_KINDS] = {[KIND_PERSON] = &primer_person,
                                                  [KIND_TOWN] = &primer_town,
                                                  [KIND_BEAST] = &primer_beast,
                                                  [KIND_PLANET] = &primer_planet,
                                                  [KIND_SHIP] = &primer_ship};
