/* SPDX-License-Identifier: MIT */
/*
 * A team of threads that wait for work with open eyes.  Small nets have more than a hundred
 * parallel loops of some microseconds, so that waking threads through the kernel would cost as much
 * as the work; and on a busy machine a barrier that waits for a thread which has no processor costs
 * a time slice, a hundred times that.  Here nobody waits for a thread that has not begun: each
 * thread owns a range of neighbouring chunks, takes from its front, and when that is empty from the
 * back of the others'.  Workers look for work for SPIN rounds after the last, then sleep.
 */
#include "base/par.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/error.h"

enum {
    MAX_THREADS = 256,
    SPIN = 4000, /* rounds of 10 to 50 nanoseconds */
    OPEN = 1 << 30
};

/* Chunks that a thread still has to do: first in the low half, end in the high half. */
struct range {
    _Alignas(QD_ALIGN) _Atomic uint64_t left;
};

static struct team {
    struct range range[MAX_THREADS];
    /* OPEN while there is a job that workers may join, plus the number of workers inside. The
     * members after it are written while it is 0 and read by those inside. */
    _Alignas(QD_ALIGN) _Atomic int gate;
    qd_par_fn *fn;
    void *ctx;
    int threads;
    _Alignas(QD_ALIGN) _Atomic unsigned jobs; /* counts them: a change means work */
    _Alignas(QD_ALIGN) _Atomic int asleep;    /* whether workers may have to be woken */
    atomic_flag busy;                         /* one caller has the team, others work alone */
    int workers;                              /* started */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
} team = {
    .busy = ATOMIC_FLAG_INIT, .mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static _Atomic int threads;        /* 0: not set yet */
static _Thread_local int max_here; /* 0: no limit */

/* Those that this process may use; the OpenMP library knows about affinity everywhere. */
static int processors(void)
{
    return QD_MIN(omp_get_num_procs(), MAX_THREADS);
}

int qd_threads(void)
{
    int n = atomic_load_explicit(&threads, memory_order_relaxed);

    if (!n) {
        n = processors();
        atomic_store_explicit(&threads, n, memory_order_relaxed);
    }
    return n;
}

int qd_threads_set(int n, struct qd_error *err)
{
    if (n < 0 || n > MAX_THREADS)
        return qd_error_set(
            err, QD_EARG, "number of threads must be 0 to %d, not %d", MAX_THREADS, n);
    atomic_store_explicit(&threads, n ? n : processors(), memory_order_relaxed);
    return 0;
}

int qd_par_limit(int n)
{
    int before = max_here;

    max_here = n;
    return before;
}

/* Take one chunk of r, from the front or the back; -1 when it is empty. */
static int take(struct range *r, bool back)
{
    uint64_t left = atomic_load_explicit(&r->left, memory_order_relaxed), then;
    uint32_t first, end;

    do {
        first = (uint32_t)left;
        end = (uint32_t)(left >> 32);
        if (first >= end)
            return -1;
        then = back ? left - ((uint64_t)1 << 32) : left + 1;
    } while (!atomic_compare_exchange_weak_explicit(
        &r->left, &left, then, memory_order_relaxed, memory_order_relaxed));
    return (int)(back ? end - 1 : first);
}

/* Do chunks as thread t until none is left. */
static void work(int t)
{
    for (int i = 0; i < team.threads; i++) {
        struct range *r = &team.range[(t + i) % team.threads];
        for (int c = take(r, i > 0); c >= 0; c = take(r, i > 0))
            team.fn(team.ctx, c, t);
    }
}

/* Enter the job unless it is over. */
static bool join(void)
{
    int gate = atomic_load_explicit(&team.gate, memory_order_relaxed);

    while (gate & OPEN)
        if (atomic_compare_exchange_weak_explicit(
                &team.gate, &gate, gate + 1, memory_order_acquire, memory_order_relaxed))
            return true;
    return false;
}

/* Let a waiting loop use less of the processor. */
static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

/* The number of the job after 'last', as soon as there is one. */
static unsigned wait_for_job(unsigned last)
{
    unsigned job;

    for (int i = 0; i < SPIN; i++) {
        job = atomic_load_explicit(&team.jobs, memory_order_acquire);
        if (job != last)
            return job;
        relax();
    }
    pthread_mutex_lock(&team.mutex);
    for (;;) {
        /* This and the check that follows are ordered against qd_par(), which does the reverse:
         * either it sees the sleeper or this sees the job. */
        atomic_store(&team.asleep, 1);
        job = atomic_load(&team.jobs);
        if (job != last)
            break;
        pthread_cond_wait(&team.wake, &team.mutex);
    }
    pthread_mutex_unlock(&team.mutex);
    return job;
}

static void *worker(void *arg)
{
    int t = (int)(intptr_t)arg;
    unsigned job = 0;

    for (;;) {
        job = wait_for_job(job);
        if (!join())
            continue;
        if (t < team.threads)
            work(t);
        atomic_fetch_sub_explicit(&team.gate, 1, memory_order_release);
    }
    return NULL;
}

/* A child of fork() has no workers, whatever they were doing. */
static void forget_workers(void)
{
    team.workers = 0;
    team.mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    team.wake = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    atomic_store(&team.gate, 0);
    atomic_store(&team.asleep, 0);
    atomic_flag_clear(&team.busy);
}

/* Have n - 1 workers if the system gives them: with fewer the others do their chunks.  Signals are
 * for the threads of the program. */
static void start_workers(int n)
{
    static bool prepared;
    pthread_attr_t attr;
    sigset_t all, old;
    pthread_t id;

    if (team.workers >= n - 1 || pthread_attr_init(&attr))
        return;
    if (!prepared)
        prepared = pthread_atfork(NULL, NULL, forget_workers) == 0;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (team.workers < n - 1) {
        if (pthread_create(&id, &attr, worker, (void *)(intptr_t)(team.workers + 1)))
            break;
        team.workers++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
}

/* Close the job and wait for those who are still inside. */
static void finish(void)
{
    int rounds = 0;

    atomic_fetch_and_explicit(&team.gate, ~OPEN, memory_order_relaxed);
    while (atomic_load_explicit(&team.gate, memory_order_acquire)) {
        relax();
        if (++rounds > SPIN)
            sched_yield();
    }
}

void qd_par(int chunks, qd_par_fn *fn, void *ctx)
{
    int n = QD_MIN(qd_threads(), chunks);

    if (max_here)
        n = QD_MIN(n, max_here);
    if (n <= 1 || atomic_flag_test_and_set_explicit(&team.busy, memory_order_acquire)) {
        for (int i = 0; i < chunks; i++)
            fn(ctx, i, 0);
        return;
    }
    start_workers(n);
    team.fn = fn;
    team.ctx = ctx;
    team.threads = n;
    for (int t = 0; t < n; t++) {
        long from, to;
        qd_par_range(chunks, n, t, &from, &to);
        atomic_store_explicit(
            &team.range[t].left, (uint64_t)to << 32 | (uint64_t)from, memory_order_relaxed);
    }
    atomic_store_explicit(&team.gate, OPEN, memory_order_release);
    atomic_fetch_add(&team.jobs, 1);
    if (atomic_load(&team.asleep) && atomic_exchange(&team.asleep, 0)) {
        pthread_mutex_lock(&team.mutex);
        pthread_cond_broadcast(&team.wake);
        pthread_mutex_unlock(&team.mutex);
    }
    work(0);
    finish();
    atomic_flag_clear_explicit(&team.busy, memory_order_release);
}
