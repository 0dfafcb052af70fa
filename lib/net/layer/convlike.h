/* SPDX-License-Identifier: MIT */
/*
 * One convolution with folded batch normalization, bias, activation and blur: what
 * [convolutional], [depthwise] and [connected] have in common once their keys are read.
 */
#ifndef QD_LAYER_CONVLIKE_H
#define QD_LAYER_CONVLIKE_H

#include "net/layer/util.h"
#include "ops/block.h"

/* What training adds; set by train_need. */
struct qd_convlike_train {
    struct qd_tensor sums;   /* shape of the convolution's output; no memory */
    struct qd_tensor dsharp; /* shape of the gradient of what the blur reads */
    size_t stats;            /* in 'saved', behind the sums */
    size_t scratch;          /* in 'work' during backward, behind dsharp */
    bool blocks;             /* the batch is gone through in blocks (ops/block.h) */
    bool summed;             /* backward: who reads the output has the sums already */
    struct qd_lazy lazy;     /* the output, for the layer that reads it when it is deferred */
};

/* The private struct of such a layer.  setup fills everything up to owner (g for n = 1). */
struct qd_convlike {
    struct qd_conv_geom g;
    bool single; /* each filter sees one channel, and goes with it */
    bool bn;
    enum qd_act act;
    struct qd_layer_blur blur;
    const struct qd_layer *owner;        /* share_index: whose parameters these are, or NULL */
    const struct qd_conv_kernel *kernel; /* set by need */
    size_t bias, slope, scale;           /* where they lie in 'packed' */
    struct qd_convlike_train train;
};

/* The members of struct qd_layer_type. */
void qd_convlike_channels(const struct qd_layer *l, const struct qd_channels *ch);
void qd_convlike_slice(const struct qd_layer *l, const struct qd_layer *less,
    const struct qd_cut *cut, const float *from, float *to);
int qd_convlike_constant(
    const struct qd_layer *l, const struct qd_absorb *a, struct qd_error *err) QD_MUSTCHECK;
uint64_t qd_convlike_macs(const struct qd_layer *l);
void qd_convlike_need(struct qd_layer *l, const struct qd_ops *ops, int n, struct qd_need *need);
void qd_convlike_pack(
    struct qd_layer *l, const struct qd_ops *ops, const float *params, float *packed);
void qd_convlike_forward(struct qd_layer *l, const struct qd_pass *p);
bool qd_convlike_absorb(
    const struct qd_layer *l, const struct qd_ops *ops, const struct qd_fuse *f);
void qd_convlike_train_need(
    struct qd_layer *l, const struct qd_grad_ops *g, int n, struct qd_train_need *need);
void qd_convlike_train_pack(
    struct qd_layer *l, const struct qd_grad_ops *g, const float *params, float *packed);
void qd_convlike_train_turn(
    struct qd_layer *l, const struct qd_grad_ops *g, const float *params, float *turned);
void qd_convlike_train_forward(struct qd_layer *l, const struct qd_train_pass *p);
void qd_convlike_backward(struct qd_layer *l, const struct qd_train_pass *p);
bool qd_convlike_blocks(const struct qd_layer *l);
const struct qd_lazy *qd_convlike_lazy(struct qd_layer *l, const struct qd_train_pass *p);

/* narrow of [convolutional] and [depthwise]. */
int qd_conv_narrow(const struct qd_layer *l, const struct qd_cut *cut, struct qd_cfg *cfg,
    struct qd_error *err) QD_MUSTCHECK;
/* setup of [convolutional] and of [depthwise] (groups = channels = filters). */
int qd_conv_setup(struct qd_layer *l, struct qd_keys *k, bool depthwise) QD_MUSTCHECK;

#endif
