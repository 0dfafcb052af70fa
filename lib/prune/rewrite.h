/* SPDX-License-Identifier: MIT */
#ifndef QD_REWRITE_H
#define QD_REWRITE_H

#include "net/model.h"
#include "prune/group.h"

/*
 * The compact model: m without the channels of the groups marked in dead[ngroups] of 'g', which are
 * those of the model's graph.  It has a copy of the cfg in which only numbers changed, and the
 * parameters that are left; what reads a channel that went finds 0 in its place.  With no group
 * marked, cfg and parameters are equal byte for byte.
 *
 * QD_EUNSUP with the place and the reason when the cut cannot be made: a group that is kept, a
 * layer without channels, a layer whose cfg cannot say it.  m is not changed.
 */
struct qd_model *qd_rewrite(const struct qd_model *m, const struct qd_groups *g, const bool *dead,
    struct qd_error *err) QD_MUSTCHECK;

/* The cfg of the compact model alone: to see how large it would be. */
struct qd_cfg *qd_rewrite_cfg(const struct qd_model *m, const struct qd_groups *g, const bool *dead,
    struct qd_error *err) QD_MUSTCHECK;

/*
 * Move the constants that dead channels still contribute into the layers that read them (spec
 * compression.md 2.3.1), and mask the parameters of the dead channels: their factors and biases
 * become 0, and the weights that read them.  What is compared with is the model in which the
 * factors of dead channels alone (the weights of layers without batch normalization) are 0; the
 * same outputs but where windows reach into zero padding.  The model's parameters are changed, but
 * not on failure.
 */
int qd_absorb(struct qd_model *m, const struct qd_groups *g, const bool *dead,
    struct qd_error *err) QD_MUSTCHECK;

#endif
