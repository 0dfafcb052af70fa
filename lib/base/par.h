/* SPDX-License-Identifier: MIT */
#ifndef QD_PAR_H
#define QD_PAR_H

#include "base/base.h"

/*
 * Work is cut into 'chunks' pieces whose number does not depend on the number of threads; fn is
 * called once for each, in any order and on any thread (thread is 0..qd_threads()-1, for scratch
 * memory).  Results are the same for every number of threads when chunks write apart, or write
 * partial sums that the caller adds in chunk order.
 */
typedef void qd_par_fn(void *ctx, int chunk, int thread);
void qd_par(int chunks, qd_par_fn *fn, void *ctx);
/* Use at most n threads in qd_par() calls of the calling thread from now on, 0: no limit; returns
 * the limit before.  A net sets it to the number of threads that its scratch memory is for. */
int qd_par_limit(int n);
/* The half-open range of chunk i when n items are cut into 'chunks' almost equal pieces. */
static inline void qd_par_range(long n, int chunks, int i, long *from, long *to)
{
    *from = n * i / chunks;
    *to = n * (i + 1) / chunks;
}

#endif
