/* SPDX-License-Identifier: MIT */
#ifndef QD_RNG_H
#define QD_RNG_H

#include "base/base.h"

/* A seeded generator (xoshiro256**, Blackman and Vigna 2018).  Every use has a stream of its own,
 * named by a number, so that results depend on neither threads nor the order of unrelated draws. */
struct qd_rng {
    uint64_t s[4];
};

struct qd_rng qd_rng_new(uint64_t seed, uint64_t stream);
uint64_t qd_rng_u64(struct qd_rng *r);
/* Uniform in [0, n), n > 0, without bias. */
uint32_t qd_rng_below(struct qd_rng *r, uint32_t n);
/* Uniform in [0, 1) with 24 bits; uniform in [lo, hi). */
float qd_rng_float(struct qd_rng *r);
float qd_rng_range(struct qd_rng *r, float lo, float hi);
/* Normal with mean 0 and deviation 1 (Box and Muller; one draw a call, so that streams are easy
 * to reason about). */
float qd_rng_normal(struct qd_rng *r);

/* n of them at once, in pairs from one pair of uniform numbers: faster. */
void qd_rng_normals(struct qd_rng *r, float *out, size_t n);

#endif
