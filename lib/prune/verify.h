/* SPDX-License-Identifier: MIT */
#ifndef QD_VERIFY_H
#define QD_VERIFY_H

#include "net/model.h"

/*
 * Whether two models of the same outputs compute the same: both run on one image of random pixels
 * (0 to 1, from 'seed') of w x h (0: the model's size), and every output that no other layer reads
 * may differ by at most 1e-4 of its largest value.  The layer and the difference when one differs
 * more (QD_EUNSUP) or is no number (QD_EDIVERGED); both have as many layers (else QD_EARG).  'far',
 * when not NULL, gets the largest relative difference.
 */
int qd_verify(const struct qd_model *a, const struct qd_model *b, const int wh[2], uint64_t seed,
    double *far, struct qd_error *err) QD_MUSTCHECK;

#endif
