/* SPDX-License-Identifier: MIT */
/*
 * The instances of the outer-product tile: for each pixel, nv vectors of one side times each of
 * 'rows' values of the other.  Sums begin at zero and are added to memory once at the end, so that
 * rounding errors of one call do not grow with what came before.
 */
#include "ops/vec_conv_grad.h"

QD_ALWAYS_INLINE void outer_body(const struct outer *t, const int rows, const int nv)
{
    const size_t ax = t->ax, bx = t->bx;
    const int cols = t->cols;
    vf acc[OUTER_1][2];

    UNROLL_ALL
    for (int i = 0; i < rows; i++)
        acc[i][0] = acc[i][1] = vf_zero();
    for (int y = 0; y < t->rows; y++) {
        const float *a = t->a + (size_t)y * t->ay, *b = t->b + (size_t)y * t->by;
        for (int x = 0; x < cols; x++, a += ax, b += bx) {
            const vf b0 = vf_load(b), b1 = nv > 1 ? vf_load(b + VW) : b0;
            UNROLL_ALL
            for (int i = 0; i < rows; i++) {
                const vf v = vf_set(a[i]);
                acc[i][0] = vf_fma(v, b0, acc[i][0]);
                if (nv > 1)
                    acc[i][1] = vf_fma(v, b1, acc[i][1]);
            }
        }
    }
    UNROLL_ALL
    for (int i = 0; i < rows; i++) {
        float *to = t->sum + i * nv * VW;
        vf_store(to, vf_load(to) + acc[i][0]);
        if (nv > 1)
            vf_store(to + VW, vf_load(to + VW) + acc[i][1]);
    }
}

#define NAME(rows, nv) outer_##rows##_##nv
#define TILE(rows, nv)                                                                             \
    static void NAME(rows, nv)(const struct outer *t)                                              \
    {                                                                                              \
        outer_body(t, rows, nv);                                                                   \
    }
#define PUT(rows, nv) [rows] = NAME(rows, nv),

/* clang-format off */
#define FEW(X, nv) X(1, nv) X(2, nv) X(3, nv) X(4, nv) X(5, nv) X(6, nv)
#define SOME(X, nv) X(7, nv) X(8, nv) X(9, nv) X(10, nv) X(11, nv) X(12, nv)
#define MORE(X, nv) X(13, nv) X(14, nv)
#define MOST(X, nv) X(15, nv) X(16, nv) X(17, nv) X(18, nv) X(19, nv) X(20, nv) X(21, nv)          \
    X(22, nv) X(23, nv) X(24, nv) X(25, nv) X(26, nv) X(27, nv) X(28, nv)

FEW(TILE, 1) SOME(TILE, 1) FEW(TILE, 2)
#if VREGS == 32
MORE(TILE, 1) MOST(TILE, 1) SOME(TILE, 2) MORE(TILE, 2)
#endif

outer_fn *const QD_VEC(qd_vec_outer)[2][OUTER_1 + 1] = {
#if VREGS == 32
    {FEW(PUT, 1) SOME(PUT, 1) MORE(PUT, 1) MOST(PUT, 1)},
    {FEW(PUT, 2) SOME(PUT, 2) MORE(PUT, 2)},
#else
    {FEW(PUT, 1) SOME(PUT, 1)},
    {FEW(PUT, 2)},
#endif
};
/* clang-format on */
