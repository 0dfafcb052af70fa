/* SPDX-License-Identifier: MIT */
#ifndef QD_UNIT_H
#define QD_UNIT_H

#include "net/model.h"

/*
 * Residual units (spec compression.md 2.8): a layer that adds, and the layers between it and the
 * one whose output it passes by them.  A unit can go as a whole when without its branch the sum is
 * what it adds: who read the sum then reads layer first - 1.
 */
struct qd_unit {
    int first, sum;  /* the layers first .. sum, the last of which adds; first is 0 where 'why' says
                        that there is no such row of layers */
    int end;         /* the layer with factors that ends the branch, -1: none */
    double score;    /* mean or largest |factor| of 'end' */
    const char *why; /* why it must stay (static); NULL: it can go */
};
struct qd_units {
    int n; /* of all layers that add, in their order */
    struct qd_unit *unit;
};

/* The units of a model, judged by the largest factor instead of the mean with 'max_score'. */
int qd_units_of(struct qd_units *u, const struct qd_model *m, bool max_score,
    struct qd_error *err) QD_MUSTCHECK;
void qd_units_free(struct qd_units *u);

/*
 * Mask the units marked in take[u->n]: the factors and biases of their layers become 0, and what
 * their branches then still added, the activations of the biases at their ends, moves into the
 * layers that read the sums (spec 2.8 step 2).  What is compared with is the model in which the
 * factors of 'end' alone are 0: the same outputs but where windows reach into zero padding.  The
 * branches then add exactly 0.  QD_EUNSUP with the layer and the reason when a constant reaches an
 * output of the net or a layer that cannot take it up.  The parameters are changed, but not on
 * failure.
 */
int qd_units_absorb(struct qd_model *m, const struct qd_units *u, const bool *take,
    struct qd_error *err) QD_MUSTCHECK;

/* The model without the units marked, which can go; origin as for qd_remove().  m is not changed.
 */
struct qd_model *qd_units_remove(const struct qd_model *m, const struct qd_units *u,
    const bool *take, int *origin, struct qd_error *err) QD_MUSTCHECK;

#endif
