/* SPDX-License-Identifier: MIT */
/*
 * What the files of the gradients of convolutions give each other, and the outer-product tile of
 * backward-weights.
 *
 * A tile of the gradient is 'rows' values of one side times nv vectors of the other, all in
 * registers, added up over a rectangle of output pixels: x at the tile's taps times dz.  Which
 * side is which does not matter to the tile.
 */
#ifndef QD_VEC_CONV_GRAD_H
#define QD_VEC_CONV_GRAD_H

#include "ops/grad.h"
#include "ops/kernels.h"
#include "ops/vec.h"

enum {
    WIDE = 2 * VW, /* values of the side in vectors */
    /* the most values of the other side, with two vectors and with one */
    OUTER_2 = VREGS == 32 ? 14 : 6,
    OUTER_1 = VREGS == 32 ? 28 : 12,
};

struct outer {
    const float *a, *b;    /* first pixel: values one by one; vectors */
    size_t ax, ay, bx, by; /* floats from pixel to pixel and row to row */
    float *sum;            /* [values][nv * VW], added to */
    int rows, cols;        /* pixels */
};

typedef void outer_fn(const struct outer *t);

/* By [vectors - 1][values]. */
extern outer_fn *const QD_VEC(qd_vec_outer)[2][OUTER_1 + 1];

/* The input's gradient of depthwise 3x3 convolutions of stride 2: whether g is one; as in
 * qd_grad_ops. */
bool QD_VEC(qd_grad_halves)(const struct qd_conv_geom *g);
size_t QD_VEC(qd_grad_halves_packed)(const struct qd_conv_geom *g);
void QD_VEC(qd_grad_halves_pack)(const struct qd_conv_geom *g, const float *weight, float *to);
void QD_VEC(qd_grad_halves_data)(
    const struct qd_conv_grad *j, const float *weights, const struct qd_tensor *din, bool fresh);

/* Ways to add the gradient of weights to 'dweight', and the floats of work each needs; of two also
 * what qd_grad_ops calls weights_slot, weights_part and weights_fold. */

/* Depthwise: c = k = groups > 1. */
size_t QD_VEC(qd_wgrad_depthwise_work)(const struct qd_conv_geom *g);
void QD_VEC(qd_wgrad_depthwise)(const struct qd_conv_grad *j, float *dweight);
size_t QD_VEC(qd_wgrad_depthwise_slot)(const struct qd_conv_geom *g);
void QD_VEC(qd_wgrad_depthwise_part)(const struct qd_conv_grad *j, float *slot);
void QD_VEC(qd_wgrad_depthwise_fold)(
    const struct qd_conv_grad *j, float *slots, int n, float *dweight);
/* Few weights: sums of their own for each chunk of pixels. */
size_t QD_VEC(qd_wgrad_direct_work)(const struct qd_conv_geom *g);
void QD_VEC(qd_wgrad_direct)(const struct qd_conv_grad *j, float *dweight);
size_t QD_VEC(qd_wgrad_direct_slot)(const struct qd_conv_geom *g);
void QD_VEC(qd_wgrad_direct_part)(const struct qd_conv_grad *j, float *slot);
void QD_VEC(qd_wgrad_direct_fold)(
    const struct qd_conv_grad *j, float *slots, int n, float *dweight);
/* Many weights: x and dz copied to where they can be read without gaps. */
size_t QD_VEC(qd_wgrad_packed_work)(const struct qd_conv_geom *g);
void QD_VEC(qd_wgrad_packed)(const struct qd_conv_grad *j, float *dweight);
/* 3x3 of stride 1 on maps that are large enough: by Winograd's algorithm. */
bool QD_VEC(qd_wgrad_winograd_fits)(const struct qd_conv_geom *g);
size_t QD_VEC(qd_wgrad_winograd_work)(const struct qd_conv_geom *g, int threads);
void QD_VEC(qd_wgrad_winograd)(const struct qd_conv_grad *j, float *dweight);

#endif
