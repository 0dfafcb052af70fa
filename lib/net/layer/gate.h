/* SPDX-License-Identifier: MIT */
/*
 * A layer times another one: [sam] value by value, [scale_channels] by a factor for each channel or
 * pixel.  Input 0, the previous layer, has the factors; input 1 is what from= names.
 */
#ifndef QD_LAYER_GATE_H
#define QD_LAYER_GATE_H

#include "net/layer/learn.h"

/* What such a layer has in priv. */
struct qd_gate_layer {
    enum qd_act act;
    enum qd_gate kind;
};

/* Read from= and activation=. */
int qd_gate_setup(struct qd_layer *l, struct qd_keys *k) QD_MUSTCHECK;

/* Members of the type. */
void qd_gate_forward(struct qd_layer *l, const struct qd_pass *p);
void qd_gate_train_need(
    struct qd_layer *l, const struct qd_grad_ops *g, int n, struct qd_train_need *need);
void qd_gate_train_forward(struct qd_layer *l, const struct qd_train_pass *p);
void qd_gate_backward(struct qd_layer *l, const struct qd_train_pass *p);

#endif
