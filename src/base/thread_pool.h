/* thread_pool.h - the one way to use several cores. A pool of n threads runs tasks 0..n_tasks-1 of a job; which thread
 * runs which task is unspecified, so a task must not depend on it: results are the same for any number of threads. */
#ifndef TALC_BASE_THREAD_POOL_H
#define TALC_BASE_THREAD_POOL_H

#include "base/error.h"

struct thread_pool;

/* n_threads counts the caller; 0 = one per core the process may use. */
struct thread_pool *thread_pool_open(int n_threads, struct talc_error *err);
void thread_pool_close(struct thread_pool *pool); /* NULL is fine */
int thread_pool_size(const struct thread_pool *pool);

/* Runs task(context, i, worker) for every i in [0, n_tasks) and returns when all are done. `worker` in
 * [0, thread_pool_size) names the running thread's scratch space. The caller works too. Not reentrant: a task must
 * not call it, and one thread at a time may. A thread begins with a run of neighbouring tasks, in ascending order, and
 * helps others when it is done: tasks that share data are best numbered one after the other. */
void thread_pool_run(struct thread_pool *pool, int n_tasks, void (*task)(void *context, int i, int worker),
                     void *context);

int cpu_count(void); /* cores this process may use (affinity and cgroup quota respected) */

#endif
