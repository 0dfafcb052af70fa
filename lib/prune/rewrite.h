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
/* The walk over all layers, from and to what 'a' says. */
int qd_absorb_walk(
    const struct qd_graph *g, const struct qd_absorb *a, struct qd_error *err) QD_MUSTCHECK;
/*
 * Before that, where it may be necessary: give layers the parameters that they need to take up
 * these constants, which is a bias for [se].  *m is then replaced by another model that computes
 * the same, in whose cfg lines were added, and the groups are of its graph.  Where no layer needs
 * any, and on failure, nothing happens.
 */
int qd_absorb_extend(
    struct qd_model **m, struct qd_groups *g, const bool *dead, struct qd_error *err) QD_MUSTCHECK;
/*
 * Which groups cannot go because their constants could not be absorbed even so, whatever else goes:
 * why[ngroups] gets the reasons, static texts; where it has one, and for groups that can go or are
 * kept anyway, it is left alone.
 */
int qd_absorb_blocked(const struct qd_model *m, const struct qd_groups *g, const char **why,
    struct qd_error *err) QD_MUSTCHECK;

#endif
