/* SPDX-License-Identifier: MIT */
/*
 * What the training members of the layer types share: values kept for backward, activations and
 * batch normalization there and back.
 */
#ifndef QD_LAYER_LEARN_H
#define QD_LAYER_LEARN_H

#include "net/layer/util.h"
#include "ops/block.h"

/* The operations that go with a table of gradients. */
const struct qd_ops *qd_learn_ops(const struct qd_grad_ops *g);
/* What forward gets, for train_forward of layers that do the same. */
struct qd_pass qd_learn_pass(const struct qd_train_pass *p);
/* Where the gradient of a parameter goes, or NULL: frozen, or the layer has no such parameter. */
float *qd_learn_grads(const struct qd_layer *l, const struct qd_train_pass *p, const char *name);
/* a + b, or so much that no memory is enough. */
size_t qd_learn_sum(size_t a, size_t b);
/* Floats of n images of h x w x c without a border, a multiple of 16. */
size_t qd_learn_floats(int n, int h, int w, int c);
/* Such a tensor at 'mem', of the shape of the layer's output. */
struct qd_tensor qd_learn_dense(const struct qd_layer *l, int n, float *mem);
/* Zero the interior. */
void qd_learn_clear(const struct qd_tensor *t);

/* Whether the derivative of 'act' needs what was before it, so that this must be kept. */
bool qd_learn_keeps(enum qd_act act);
/* train_need of layers whose backward looks at gradients only. */
void qd_learn_need_none(
    struct qd_layer *l, const struct qd_grad_ops *g, int n, struct qd_train_need *need);
/* For layers that end with an activation: floats of 'saved' at its start for what was before it. */
size_t qd_learn_saved(const struct qd_layer *l, enum qd_act act, int n);
/* Whether qd_learn_act_back() looks at the output. */
bool qd_learn_reads_out(enum qd_act act);
/* dout through the activation; 'saved' begins with what was before it where that is kept.  Not
 * for prelu. */
void qd_learn_act_back(const struct qd_layer *l, const struct qd_train_pass *p, enum qd_act act);
/* [sam] and [scale_channels]: out = in[0] (the gate) * in[1], dout already through the activation.
 */
void qd_learn_gate_back(const struct qd_train_pass *p, enum qd_gate kind);

/*
 * Batch normalization (Ioffe and Szegedy 2015) and activation, y = act(scale * (z - mean) /
 * sqrt(var
 * + bn_eps) + bias) with the statistics of this batch, which also move the running ones; a frozen
 * layer uses the running ones and leaves them alone.  'stats' are qd_learn_bn_floats(c) floats that
 * live until backward.  z and y may be the same tensor where nobody goes backward.
 */
size_t qd_learn_bn_floats(int c);
void qd_learn_bn(const struct qd_layer *l, const struct qd_train_pass *p, const struct qd_tensor *z,
    const struct qd_tensor *y, enum qd_act act, float *stats);
/* dy becomes dz; gradients of scales, biases and slopes are added.  'work' (64-byte aligned) holds
 * qd_learn_bn_work(c) floats. */
struct qd_learn_bn_back {
    const struct qd_tensor *z, *dy;
    enum qd_act act;
    float *stats, *work;
};
size_t qd_learn_bn_work(int c);
void qd_learn_bn_back(
    const struct qd_layer *l, const struct qd_train_pass *p, const struct qd_learn_bn_back *b);

/*
 * The same where the convolution in front goes through the batch in blocks (ops/block.h), and act
 * is one that qd_bn_lines allows; 'stats' are qd_learn_block_floats(c) floats then.
 */
size_t qd_learn_block_floats(int c);
struct qd_bn_lines qd_learn_block_lines(
    const struct qd_layer *l, const struct qd_train_pass *p, enum qd_act act, const float *stats);
/* Where the sums of qd_block_sums are kept. */
double *qd_learn_block_sums(const struct qd_layer *l, float *stats);
/* The convolution, and the statistics. */
void qd_learn_block_forward(const struct qd_layer *l, const struct qd_train_pass *p,
    const struct qd_block *b, const struct qd_tensor *z, float *stats);
/* From the sums to the gradients of scales and biases, and p and q of the lines. */
void qd_learn_block_back(const struct qd_layer *l, const struct qd_train_pass *p,
    const struct qd_tensor *z, float *stats);

#endif
