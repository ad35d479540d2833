/* primer_phrases.h - how users of the primer put their requests: tables of frames of which a fifth is held out. A word
 * that means something occurs in three phrases of its table at least, so that a held-out phrase is new,
 * not its words. */
#ifndef TALC_TASK_PRIMER_PHRASES_H
#define TALC_TASK_PRIMER_PHRASES_H

#include "task/primer_text.h"

enum phrase_table {
    PHRASES_FACT,         /* {a} the noun of an attribute, {X} a name */
    PHRASES_ACQUAINTANCE, /* {X} */
    PHRASES_LIST,         /* {L} "home town, craft and pet", {X} a name */
    PHRASES_EVERYTHING,   /* {X} */
    PHRASES_OUTLINE,      /* {k} the format, {K} with its article, {t} the topic */
    PHRASES_CODE,         /* {L} the language, {f} the name, {d} what the function does */
    PHRASES_TELLING,      /* {N} the user's name */
    PHRASES_ASKING,       /* for that name */
    /* What a function does: {o} the noun of an operation, {O} its plural; at most seven words between slots. */
    PHRASES_VALUE,
    PHRASES_SUM_TO,
    PHRASES_SUM_OF_LIST,
    PHRASES_LARGEST,
    PHRASES_EACH,
    PHRASES_SUM_OF_TWO,
    PHRASES_COUNT,
    PHRASES_DIFFERENCE,
    PHRASES_OF_LARGER,
    N_PHRASE_TABLES
};
extern const struct phrases primer_phrases[N_PHRASE_TABLES];

#endif
