/* SPDX-License-Identifier: MIT */
/*
 * Tiles for the first layer of most nets: 3x3 kernels on dense pixels of 3 channels.  A kernel row
 * is one run of 9 floats and pixels lie 3 or 6 floats apart: with both constant the loop over the
 * run is gone and inputs are displacements from one pointer.  Only the shapes that equal cuts of
 * rows of at least 14 pixels give are here; the general tiles do the others.
 */
#include "ops/vec_conv.h"

#define NAME(my, mx, nv, s) rgb_##my##_##mx##_##nv##_##s
#define TILE(my, mx, nv, s)                                                                        \
    static void NAME(my, mx, nv, s)(const struct tile *t)                                          \
    {                                                                                              \
        tile_body(t, my, mx, nv, 9, 3 * (s));                                                      \
    }
#define PUT(my, mx, nv, s) [mx] = NAME(my, mx, nv, s),

/* clang-format off */

/* X(my, mx, nv, s): one row with one and two vectors of filters, two rows with one and two. */
#if VREGS == 32
#define ROW_1(X, s) X(1, 7, 1, s) X(1, 8, 1, s) X(1, 9, 1, s) X(1, 10, 1, s) X(1, 11, 1, s)        \
    X(1, 12, 1, s) X(1, 13, 1, s)
#define ROW_2(X, s) X(1, 7, 2, s) X(1, 8, 2, s) X(1, 9, 2, s) X(1, 10, 2, s) X(1, 11, 2, s)        \
    X(1, 12, 2, s) X(1, 13, 2, s)
#define PAIR_V1(X, s) X(2, 4, 1, s) X(2, 6, 1, s)
#define PAIR_V2(X, s) X(2, 4, 2, s) X(2, 6, 2, s)
#else
#define ROW_1(X, s) X(1, 6, 1, s) X(1, 7, 1, s) X(1, 8, 1, s) X(1, 9, 1, s) X(1, 10, 1, s)         \
    X(1, 11, 1, s) X(1, 12, 1, s)
#define ROW_2(X, s) X(1, 3, 2, s) X(1, 4, 2, s) X(1, 5, 2, s) X(1, 6, 2, s)
#define PAIR_V1(X, s) X(2, 4, 1, s) X(2, 6, 1, s)
#define PAIR_V2(X, s) X(2, 2, 2, s)
#endif

ROW_1(TILE, 1) ROW_2(TILE, 1) PAIR_V1(TILE, 1) PAIR_V2(TILE, 1)
ROW_1(TILE, 2) ROW_2(TILE, 2)

tile_fn *const QD_VEC(qd_vec_tiles_rgb)[2][2][2][TILE_MAX + 1] = {
    {{{ROW_1(PUT, 1)}, {ROW_2(PUT, 1)}}, {{PAIR_V1(PUT, 1)}, {PAIR_V2(PUT, 1)}}},
    {{{ROW_1(PUT, 2)}, {ROW_2(PUT, 2)}}, {{NULL}, {NULL}}},
};
/* clang-format on */
