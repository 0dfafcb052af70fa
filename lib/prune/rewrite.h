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

#endif
