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
 * layers that are source 0 of a layer that adds, or are passed on to it as they are ([dropout]).
 * For ALL qd_set_all().
 */
int qd_set_sparse(struct qd_set *s, const struct qd_groups *g, enum qd_sparse kind,
    struct qd_error *err) QD_MUSTCHECK;
/*
 * All layers with factors of their own and a channel that can go, but for those whose channels all
 * get another factor before a layer mixes them: what feeds a depthwise convolution with batch
 * normalization is left out, and that convolution is in.  No layer is left out for what it feeds.
 */
int qd_set_all(struct qd_set *s, const struct qd_groups *g, struct qd_error *err) QD_MUSTCHECK;
/*
 * Layers whose channels are judged by other layers' factors: each of them gets a factor of a later
 * layer before it is mixed with others, or is multiplied by a channel of another layer, as gates
 * are.  A layer that is neither in a set nor judged keeps its channels.  judged[nlayers].
 */
void qd_set_judged(const struct qd_groups *g, bool *judged);
/* The factors of a layer's channels ("scales"), NULL: it has none of its own. */
const struct qd_param *qd_set_factors(const struct qd_layer *l);

/*
 * Residual groups (2.6): root[i] of a scaled layer i is the first scaled layer that it shares a
 * group with, directly or through others, itself when there is none; of other layers -1.  root has
 * an entry for each layer.
 */
int qd_set_roots(int *root, const struct qd_groups *g, struct qd_error *err) QD_MUSTCHECK;
/* The same among the layers of a set. */
int qd_set_roots_in(int *root, const struct qd_groups *g, const struct qd_set *s,
    struct qd_error *err) QD_MUSTCHECK;

#endif
