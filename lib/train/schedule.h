/* SPDX-License-Identifier: MIT */
/* The learning rate of an iteration (spec darknet.md 5.2). */
#ifndef QD_SCHEDULE_H
#define QD_SCHEDULE_H

#include "net/model.h"

enum { QD_SCHEDULE_STEPS = 64 };

struct qd_schedule {
    const struct qd_policy *policy;
    double lr, lr_min; /* lr_min: of sgdr, cos, linear */
    int burn_in;
    bool straight; /* the burn-in is a straight line to the policy's rate, not a power of lr */
    double power, scale, gamma;
    int step;
    int nsteps, steps[QD_SCHEDULE_STEPS];
    float scales[QD_SCHEDULE_STEPS];
    double cycle, mult;   /* of sgdr */
    uint64_t max_batches; /* iterations of the run */
    uint64_t seed;        /* of policy=random */
};

/* Read [net]; 'iterations' are those of the run, over which poly, cos and linear go. */
int qd_schedule_read(struct qd_schedule *s, const struct qd_cfg *cfg, uint64_t iterations,
    uint64_t seed, struct qd_error *err) QD_MUSTCHECK;
/* The rate of iteration n = 1, 2 ... */
double qd_schedule_rate(const struct qd_schedule *s, uint64_t n);
/* How much of the burn-in is done in iteration n, 0 .. 1. */
double qd_schedule_burnt(const struct qd_schedule *s, uint64_t n);

#endif
