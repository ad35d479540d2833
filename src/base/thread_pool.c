/* thread_pool.c - workers that spin briefly for the next job, then sleep; see thread_pool.h.
 *
 * A job is published by raising `epoch`. Its tasks are cut into one run a thread. Tasks of a run are claimed from a
 * 64-bit word that holds (epoch, next task): a worker that wakes late cannot claim a task of a job it did not see,
 * because the epoch in the word would differ. */
#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SPINS_BEFORE_SLEEP 20000 /* some tens of microseconds: longer than the gap between two operations */

/* A late worker may read these while the next job is written; its claim then fails, so what it read is never used. */
struct job {
    void (*_Atomic task)(void *, int, int);
    void *_Atomic context;
    atomic_int n_tasks;
};

/* Each in cache lines of its own: a thread that claims from its run disturbs no other. */
struct run {
    _Alignas(128) atomic_ullong claim; /* epoch << 32 | next task to hand out */
};

struct thread_pool {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    atomic_uint epoch;     /* number of the current job */
    struct run *runs;      /* [n_threads] */
    atomic_int unfinished; /* tasks of the current job that have not returned */
    struct job job;        /* written before the claims carry the new epoch */
    atomic_int sleepers;
    atomic_bool stop;
    int n_threads;
    pthread_t *threads; /* n_threads - 1 */
    int spins;
};

struct worker_start {
    struct thread_pool *pool;
    int worker;
};

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int run_begin(int n_tasks, int n_runs, int run) { return (int)((int64_t)n_tasks * run / n_runs); }

/* Claims and does tasks of a run of job `epoch` until none is left; how many. */
static int work_through(struct thread_pool *pool, unsigned epoch, int run, int worker) {
    int done = 0;
    unsigned long long claim = atomic_load(&pool->runs[run].claim);
    for (;;) {
        if ((unsigned)(claim >> 32) != epoch) return done;
        void (*task)(void *, int, int) = atomic_load(&pool->job.task);
        void *context = atomic_load(&pool->job.context);
        int i = (int)(claim & 0xffffffffu);
        if (i >= run_begin(atomic_load(&pool->job.n_tasks), pool->n_threads, run + 1)) return done;
        if (!atomic_compare_exchange_weak(&pool->runs[run].claim, &claim, claim + 1)) continue;
        task(context, i, worker);
        done++;
        claim = atomic_load(&pool->runs[run].claim);
    }
}

/* A thread's own run first, then what others have left. */
static void work(struct thread_pool *pool, unsigned epoch, int worker) {
    int done = 0;
    for (int i = 0; i < pool->n_threads; i++) done += work_through(pool, epoch, (worker + i) % pool->n_threads, worker);
    if (done) atomic_fetch_sub(&pool->unfinished, done);
}

static void *worker_main(void *argument) {
    struct worker_start start = *(struct worker_start *)argument;
    free(argument);
    struct thread_pool *pool = start.pool;
    unsigned seen = 0;
    for (;;) {
        unsigned epoch;
        int spins = 0;
        while ((epoch = atomic_load(&pool->epoch)) == seen && !atomic_load(&pool->stop)) {
            if (++spins < pool->spins) {
                relax();
                continue;
            }
            pthread_mutex_lock(&pool->mutex);
            atomic_fetch_add(&pool->sleepers, 1);
            while (atomic_load(&pool->epoch) == seen && !atomic_load(&pool->stop))
                pthread_cond_wait(&pool->wake, &pool->mutex);
            atomic_fetch_sub(&pool->sleepers, 1);
            pthread_mutex_unlock(&pool->mutex);
        }
        if (atomic_load(&pool->stop)) return NULL;
        seen = epoch;
        work(pool, epoch, start.worker);
    }
}

/* What ends or interrupts the program is for the thread that opened the pool: workers inherit a mask that blocks it. */
static bool start_workers(struct thread_pool *pool, struct talc_error *err) {
    bool ok = true;
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    for (int i = 1; ok && i < pool->n_threads; i++) {
        struct worker_start *start = malloc(sizeof *start);
        if (start) *start = (struct worker_start){pool, i};
        if (!start || pthread_create(&pool->threads[i - 1], NULL, worker_main, start) != 0) {
            free(start);
            pool->n_threads = i;
            ok = talc_fail(err, "cannot start thread %d; try --threads %d", i + 1, i);
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ok;
}

struct thread_pool *thread_pool_open(int n_threads, struct talc_error *err) {
    int cores = cpu_count();
    if (n_threads <= 0) n_threads = cores;
    struct thread_pool *pool = calloc(1, sizeof *pool);
    if (pool) pool->threads = calloc((size_t)n_threads, sizeof *pool->threads);
    if (pool) pool->runs = aligned_alloc(_Alignof(struct run), (size_t)n_threads * sizeof *pool->runs);
    if (!pool || !pool->threads || !pool->runs) {
        if (pool) free(pool->threads), free(pool->runs);
        free(pool);
        talc_fail(err, "out of memory for %d threads", n_threads);
        return NULL;
    }
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    for (int i = 0; i < n_threads; i++) atomic_init(&pool->runs[i].claim, 0);
    pool->n_threads = n_threads;
    pool->spins = n_threads <= cores ? SPINS_BEFORE_SLEEP : 1; /* spinning would steal the core of a worker */
    if (!start_workers(pool, err)) {
        thread_pool_close(pool);
        return NULL;
    }
    return pool;
}

void thread_pool_close(struct thread_pool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->stop, true);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 1; i < pool->n_threads; i++) pthread_join(pool->threads[i - 1], NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->threads);
    free(pool->runs);
    free(pool);
}

int thread_pool_size(const struct thread_pool *pool) { return pool->n_threads; }

void thread_pool_run(struct thread_pool *pool, int n_tasks, void (*task)(void *, int, int), void *context) {
    if (n_tasks <= 0) return;
    if (pool->n_threads == 1 || n_tasks == 1) {
        for (int i = 0; i < n_tasks; i++) task(context, i, 0);
        return;
    }
    unsigned epoch = atomic_load(&pool->epoch) + 1;
    /* Close the old job first: a late worker must not claim a task of the new one under the old number. */
    for (int i = 0; i < pool->n_threads; i++)
        atomic_store(&pool->runs[i].claim, (unsigned long long)epoch << 32 | 0x7fffffffu);
    atomic_store(&pool->job.task, task);
    atomic_store(&pool->job.context, context);
    atomic_store(&pool->job.n_tasks, n_tasks);
    atomic_store(&pool->unfinished, n_tasks);
    for (int i = 0; i < pool->n_threads; i++)
        atomic_store(&pool->runs[i].claim,
                     (unsigned long long)epoch << 32 | (unsigned)run_begin(n_tasks, pool->n_threads, i));
    atomic_store(&pool->epoch, epoch);
    if (atomic_load(&pool->sleepers)) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
    work(pool, epoch, 0);
    for (int spins = 0; atomic_load(&pool->unfinished); spins++) {
        if (spins < pool->spins)
            relax();
        else
            sched_yield();
    }
}

/* A container's quota ("max" or "quota period" in microseconds) may allow fewer cores than the affinity mask. */
static int cgroup_cpu_limit(void) {
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (!f) return 0;
    long long quota = 0, period = 0;
    int n = fscanf(f, "%lld %lld", &quota, &period);
    fclose(f);
    if (n != 2 || quota <= 0 || period <= 0) return 0;
    return (int)((quota + period - 1) / period);
}

int cpu_count(void) {
    int n = 0;
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) n = CPU_COUNT(&set);
#endif
    if (n <= 0) n = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (n <= 0) n = 1;
    int limit = cgroup_cpu_limit();
    return limit > 0 && limit < n ? limit : n;
}
