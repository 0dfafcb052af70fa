/* SPDX-License-Identifier: MIT */
/*
 * Windows of [maxpool] and [local_avgpool]: keys size, stride, stride_x, stride_y and padding.
 */
#ifndef QD_LAYER_POOL_H
#define QD_LAYER_POOL_H

#include "net/layer/util.h"

/* Read the keys. */
int qd_pool_geometry(struct qd_layer *l, struct qd_keys *k, struct qd_pool_geom *g) QD_MUSTCHECK;
/* Set the output's shape: (side + padding - size) / stride + 1. */
int qd_pool_shape(struct qd_layer *l, struct qd_keys *k, const struct qd_pool_geom *g) QD_MUSTCHECK;
/* "2x2/2" into l->detail. */
void qd_pool_describe(struct qd_layer *l, const struct qd_pool_geom *g);

#endif
