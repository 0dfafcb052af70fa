/* SPDX-License-Identifier: MIT */
/*
 * What the files of the levels give to the tables in backend.c.  A vec_*.c file is compiled once
 * per instruction set; the suffix after the two underscores is the level's name.
 */
#ifndef QD_KERNELS_H
#define QD_KERNELS_H

#include "ops/grad.h"
#include "ops/ops.h"

/* ---- convolutions ---------------------------------------------------------------------------- */

/* Naive loops with sums in double: the specification.  Supports everything, fuses everything. */
extern const struct qd_conv_kernel qd_conv_ref;

/* Best first, NULL at the end; the last kernel supports everything. */
extern const struct qd_conv_kernel *const qd_vec_conv_kernels__vector[];
#ifdef QD_X86
extern const struct qd_conv_kernel *const qd_vec_conv_kernels__avx2[];
extern const struct qd_conv_kernel *const qd_vec_conv_kernels__avx512[];
#endif

/* 3x3, stride 1, by Winograd's F(2x2, 3x3); to stand before the blocked kernel in those lists. */
extern const struct qd_conv_kernel qd_vec_conv_winograd__vector;
#ifdef QD_X86
extern const struct qd_conv_kernel qd_vec_conv_winograd__avx2;
extern const struct qd_conv_kernel qd_vec_conv_winograd__avx512;
#endif

/* The convolution of level blas, and NULL. */
extern const struct qd_conv_kernel *const qd_blas_conv_kernels[];

/* ---- everything else ------------------------------------------------------------------------- */

/* Each fills the entries that it has an implementation for and leaves the others alone.  The ref
 * ones together fill all but 'level' and 'conv'. */
void qd_ops_elt__ref(struct qd_ops *ops);
void qd_ops_pool__ref(struct qd_ops *ops);
void qd_ops_misc__ref(struct qd_ops *ops);
void qd_ops_elt__vector(struct qd_ops *ops);
void qd_ops_pool__vector(struct qd_ops *ops);
#ifdef QD_X86
void qd_ops_elt__avx2(struct qd_ops *ops);
void qd_ops_pool__avx2(struct qd_ops *ops);
void qd_ops_elt__avx512(struct qd_ops *ops);
void qd_ops_pool__avx512(struct qd_ops *ops);
#endif

/* ---- gradients ------------------------------------------------------------------------------- */

/* The same for the tables of grad.h; the ref ones together fill all but 'level'. */
void qd_grad_conv__ref(struct qd_grad_ops *g);
void qd_grad_conv__vector(struct qd_grad_ops *g);
#ifdef QD_X86
void qd_grad_conv__avx2(struct qd_grad_ops *g);
void qd_grad_conv__avx512(struct qd_grad_ops *g);
#endif
void qd_grad_elt__ref(struct qd_grad_ops *g);
void qd_grad_pool__ref(struct qd_grad_ops *g);
void qd_grad_elt__vector(struct qd_grad_ops *g);
void qd_grad_pool__vector(struct qd_grad_ops *g);
void qd_grad_sum__vector(struct qd_grad_ops *g);
void qd_grad_bn__vector(struct qd_grad_ops *g);
#ifdef QD_X86
void qd_grad_elt__avx2(struct qd_grad_ops *g);
void qd_grad_pool__avx2(struct qd_grad_ops *g);
void qd_grad_sum__avx2(struct qd_grad_ops *g);
void qd_grad_bn__avx2(struct qd_grad_ops *g);
void qd_grad_elt__avx512(struct qd_grad_ops *g);
void qd_grad_pool__avx512(struct qd_grad_ops *g);
void qd_grad_sum__avx512(struct qd_grad_ops *g);
void qd_grad_bn__avx512(struct qd_grad_ops *g);
#endif

/* f'(x) from y = f(x), where qd_act_from_output. */
float qd_act_grad_out_ref(enum qd_act a, float y);
/* dy[channels] of one pixel through an activation over the channels; the pre-activation is x, or x
 * normalized as b says. */
void qd_act_grad_channels(
    enum qd_act a, const float *x, const struct qd_bn *b, float *dy, int channels);
/* dx = scale * p * (dy - sum(p * dy)), n values; dx may be dy. */
void qd_softmax_grad(const float *p, const float *dy, float *dx, int n, float scale);

/* ---- OpenBLAS -------------------------------------------------------------------------------- */

/* Load it, with the environment prepared, once; false when it cannot be loaded. */
bool qd_blas_load(void);
/* The part of that which is not about the environment; not thread-safe.  check: warn when OpenBLAS
 * has chosen kernels that are older than AVX2. */
bool qd_blas_open(bool check);
/* The name of the kernels that OpenBLAS chose, and why it could not be loaded; NULL otherwise. */
const char *qd_blas_core(void);
const char *qd_blas_error(void);

#endif
