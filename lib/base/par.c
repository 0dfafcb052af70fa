/* SPDX-License-Identifier: MIT */
/*
 * Threads, through OpenMP.  Chunks are dealt out statically in order: chunk i goes to thread
 * i * threads / chunks, so that neighbours share a cache.
 */
#include "base/par.h"

#include <omp.h>

#include "base/error.h"

enum { MAX_THREADS = 256 };

static int threads;                /* 0: not set yet */
static _Thread_local int max_here; /* 0: no limit */

int qd_threads(void)
{
    if (!threads)
        threads = QD_MIN(omp_get_num_procs(), MAX_THREADS);
    return threads;
}

int qd_threads_set(int n, struct qd_error *err)
{
    if (n < 0 || n > MAX_THREADS)
        return qd_error_set(
            err, QD_EARG, "number of threads must be 0 to %d, not %d", MAX_THREADS, n);
    threads = n ? n : QD_MIN(omp_get_num_procs(), MAX_THREADS);
    return 0;
}

int qd_par_limit(int n)
{
    int before = max_here;

    max_here = n;
    return before;
}

void qd_par(int chunks, qd_par_fn *fn, void *ctx)
{
    int n = QD_MIN(qd_threads(), chunks);

    if (max_here)
        n = QD_MIN(n, max_here);
    if (n <= 1) {
        for (int i = 0; i < chunks; i++)
            fn(ctx, i, 0);
        return;
    }
#pragma omp parallel num_threads(n)
    {
        int t = omp_get_thread_num(), have = omp_get_num_threads();
        long from, to;
        qd_par_range(chunks, have, t, &from, &to);
        for (long i = from; i < to; i++)
            fn(ctx, (int)i, t);
    }
}
