/* SPDX-License-Identifier: MIT */
/*
 * What the files of the levels give to the tables in backend.c.  A vec_*.c file is compiled once
 * per instruction set; the suffix after the two underscores is the level's name.
 */
#ifndef QD_KERNELS_H
#define QD_KERNELS_H

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

/* ---- everything else ------------------------------------------------------------------------- */

#endif
