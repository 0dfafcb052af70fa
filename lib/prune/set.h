/* SPDX-License-Identifier: MIT */
#ifndef QD_SET_H
#define QD_SET_H

#include "prune/group.h"

/*
 * All layers that scale each of their own channels by a trained factor: convolutions with batch
 * normalization, but for those that only pass channels on ([depthwise], [batchnorm]).
 */
int qd_set_scaled(struct qd_set *s, const struct qd_groups *g, struct qd_error *err) QD_MUSTCHECK;
/*
 * The layers whose factors get the sparsity term.  For NORMAL and SHORTCUT, of the scaled layers
 * those that have a channel that can go and none whose group
 *   - holds two channels of one layer (it feeds an SPP block or a grouped route or convolution),
 *   - passes weights that are not its maker's (the expansion in front of a depthwise convolution, a
 *     convolution whose parameters are shared),
 *   - is enlarged (it feeds [upsample]);
 * for NORMAL also none whose group has another maker, a scaled layer or not.  For LAYER the scaled
 * layers that are source 0 of a layer that adds.  For ALL the scaled layers that have a channel
 * that can go.
 */
int qd_set_sparse(struct qd_set *s, const struct qd_groups *g, enum qd_sparse kind,
    struct qd_error *err) QD_MUSTCHECK;

/*
 * Residual groups (2.6): root[i] of a scaled layer i is the first scaled layer that it shares a
 * group with, directly or through others, itself when there is none; of other layers -1.  root has
 * an entry for each layer.
 */
int qd_set_roots(int *root, const struct qd_groups *g, struct qd_error *err) QD_MUSTCHECK;

#endif
