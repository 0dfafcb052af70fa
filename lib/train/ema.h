/* SPDX-License-Identifier: MIT */
/* A running average of the parameters, a block of their layout. */
#ifndef QD_EMA_H
#define QD_EMA_H

#include "net/model.h"

/* avg = d avg + (1 - d) params.  Statistics: averaged too (true), or copied (false: what darknet's
 * average is, which knows weights, biases and scales only). */
void qd_ema_update(
    float *avg, const float *params, const struct qd_graph *g, double d, bool statistics);
/* The decay of update u = 1, 2 ... that rises to d: d (1 - e^(-u / 2000)) (compression.md 5.4). */
double qd_ema_decay(double d, uint64_t u);

#endif
