/* host.h - this machine as a chip of the planner: what its cores were just measured to do, and the memory that talc's
 * own trainer takes on it. */
#ifndef TALC_PLAN_HOST_H
#define TALC_PLAN_HOST_H

#include "plan/memory.h"
#include "tensor/device.h"

#define HOST_CHIP "this-machine"

/* Multiplies matrices and copies memory on the stream's device for some 0.2 s, and fills `out` with the rates, the
 * memory that is there and the names of the network (one machine) and software (talc) that go with it. */
bool host_measure(struct stream *stream, struct thread_pool *pool, struct plan_chip *out, struct talc_error *err);

/* Memory of training with rows of `row_tokens` tokens, `micro_batch` at a time, as trainer_memory has it. */
struct plan_memory host_memory(const struct arch *arch, int micro_batch, int row_tokens, bool recompute);

#endif
