/* SPDX-License-Identifier: MIT */
/* Parallel loops: every chunk once, whoever calls, however many threads there are. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "base/base.h"
#include "base/par.h"

enum { MOST = 100 };

struct count {
    _Atomic int hits[MOST];
    _Atomic int bad; /* thread numbers out of range */
    int threads, inner;
};

static void hit(void *ctx, int chunk, int thread)
{
    struct count *c = ctx;

    if (thread < 0 || thread >= c->threads || chunk < 0 || chunk >= MOST)
        atomic_fetch_add(&c->bad, 1);
    else
        atomic_fetch_add(&c->hits[chunk], 1);
}

/* Whether a loop of 'chunks' does each of them once. */
static bool once(int chunks, int threads)
{
    struct count c = {.threads = threads};
    bool ok = true;

    qd_par(chunks, hit, &c);
    for (int i = 0; i < MOST; i++)
        ok = ok && c.hits[i] == (i < chunks);
    return ok && !c.bad;
}

static bool many(int threads)
{
    for (int i = 0; i < 2000; i++)
        if (!once(i % MOST, threads))
            return false;
    return true;
}

static void outer(void *ctx, int chunk, int thread)
{
    struct count *c = ctx;

    (void)chunk;
    (void)thread;
    qd_par(c->inner, hit, c);
}

/* Three callers at a time, one of which has the team. */
static void *caller(void *arg)
{
    *(bool *)arg = many(3);
    return NULL;
}

/* ThreadSanitizer refuses threads in the child of a program that had some. */
#if defined(__SANITIZE_THREAD__)
#define FORK 0
#elif defined(__has_feature)
#define FORK !__has_feature(thread_sanitizer)
#else
#define FORK 1
#endif

static void child(void)
{
    int status = 0;
    pid_t pid;

    if (!FORK) {
        tap_skip("a child process, under ThreadSanitizer");
        return;
    }
    pid = fork();
    if (pid == 0)
        _exit(many(3) ? 0 : 1);
    OK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "in a child process");
}

int main(void)
{
    struct count c = {.threads = 3, .inner = 7};
    pthread_t id[3];
    bool ok[3] = {false, false, false}, all = true;

    for (int t = 1; t <= 5; t++)
        OK(qd_threads_set(t, NULL) == 0 && qd_threads() == t && many(t), "%d threads", t);
    OK(qd_threads_set(-1, NULL) < 0 && qd_threads_set(257, NULL) < 0 && qd_threads() == 5,
        "impossible numbers of threads are refused");
    OK(qd_par_limit(2) == 0 && many(2) && qd_par_limit(0) == 2, "a limit holds");
    OK(qd_threads_set(3, NULL) == 0, "three threads");
    qd_par(10, outer, &c);
    for (int i = 0; i < MOST; i++)
        all = all && c.hits[i] == (i < 7 ? 10 : 0);
    OK(all && !c.bad, "a loop in a loop");
    for (int i = 0; i < 3; i++)
        all = pthread_create(&id[i], NULL, caller, &ok[i]) == 0 && all;
    for (int i = 0; i < 3; i++)
        pthread_join(id[i], NULL);
    OK(all && ok[0] && ok[1] && ok[2], "three callers at a time");
    child();
    OK(many(3), "and in the parent afterwards");
    OK(qd_threads_set(0, NULL) == 0 && qd_threads() >= 1, "as many as there are processors");
    return tap_done();
}
