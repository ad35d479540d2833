/* primer_prose.h - the texts of the first stage: what is known of the world's things, small stories, plain notes. */
#ifndef TALC_TASK_PRIMER_PROSE_H
#define TALC_TASK_PRIMER_PROSE_H

#include "task/primer_world.h"

/* What a thing is and all six facts of it, always in the same order, each in one of several wordings. */
void prose_append_bio(const struct world *world, int entity, struct rng *rng, struct buffer *out);

/* A story in five to seven parts, of a sentence or more each: two people, a beast and a thing that gets lost. */
void prose_append_story(struct rng *rng, struct buffer *out);

/* What a thing of everyday life is, what it is made of and what it is for. */
void prose_append_note(struct rng *rng, struct buffer *out);

#endif
