/* SPDX-License-Identifier: MIT */
/*
 * Convolution with batch normalization in training, gone through in blocks: some output rows of an
 * image at a time, so that what one operation leaves in the cache is there for the next.  A batch
 * passes through memory once where operation after operation would read and write it several times,
 * and what lies between two such convolutions need not be stored: the second makes its input from
 * the sums of the first (struct qd_lazy), there and back.
 *
 * Blocks are dealt out in at most QD_BLOCK_CHUNKS chunks with sums of their own, which are added in
 * order: results do not depend on the number of threads.
 */
#ifndef QD_BLOCK_H
#define QD_BLOCK_H

#include "ops/grad.h"

enum { QD_BLOCK_CHUNKS = 16 };

/* An input that is not stored: x = act(z * gain + add), line by line as in qd_bn_lines. */
struct qd_lazy {
    struct qd_tensor z;
    struct qd_bn_lines lines;
    double *sums; /* backward: where the sums of bn_part [3][c] over its gradient
                     go, or NULL: they are not wanted */
    bool *summed; /* set when they are there */
};

struct qd_block {
    const struct qd_conv_geom *g;
    const struct qd_conv_kernel *kernel; /* of the forward pass */
    const struct qd_grad_ops *grad;
    const struct qd_tensor *in; /* with the border that the forward pass needs; not when lazy */
    const struct qd_lazy *lazy; /* or NULL */
    const float *packed;        /* the weights: of the kernel forward, of conv_data backward */
    float *work;                /* 64-byte aligned, qd_block_work() floats */
};

/* Whether this can be done at all, and is worth it; 'data': the gradient of the input, too. */
bool qd_block_fits(const struct qd_conv_geom *g, const struct qd_conv_kernel *kernel,
    const struct qd_grad_ops *grad, bool data);
/* SIZE_MAX: more than there can be. */
size_t qd_block_work(const struct qd_conv_geom *g, const struct qd_conv_kernel *kernel,
    const struct qd_grad_ops *grad);

/* z = the convolution, without bias.  mean, var [k] as qd_grad_ops.stats gives, or both NULL. */
void qd_block_forward(const struct qd_block *b, const struct qd_tensor *z, float *mean, float *var);
/* sums [3][k] = those of bn_part. */
void qd_block_sums(const struct qd_block *b, const struct qd_bn_lines *lines,
    const struct qd_tensor *z, const struct qd_tensor *dy, double *sums);

struct qd_block_back {
    const struct qd_bn_lines *lines;
    const struct qd_tensor *z, *dy;
    float *dweight;              /* added to, or NULL */
    const struct qd_tensor *din; /* or NULL */
    bool fresh;                  /* din holds nothing yet */
};

/* From the gradient of what normalization and activation make of z to those of weights and input;
 * of a lazy input also the sums. */
void qd_block_backward(const struct qd_block *b, const struct qd_block_back *a);

#endif
