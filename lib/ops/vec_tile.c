/* SPDX-License-Identifier: MIT */
/*
 * The instances of the micro-kernel: one function for each shape of tile that the registers allow.
 */
#include "ops/vec_conv.h"

#define NAME(my, mx, nv) tile_##my##_##mx##_##nv
#define TILE(my, mx, nv)                                                                           \
    static void NAME(my, mx, nv)(const struct tile *t)                                             \
    {                                                                                              \
        tile_body(t, my, mx, nv, 0, 0);                                                            \
    }

/* clang-format off */
TILE(1, 1, 1) TILE(1, 2, 1) TILE(1, 3, 1) TILE(1, 4, 1) TILE(1, 5, 1) TILE(1, 6, 1)
TILE(1, 7, 1) TILE(1, 8, 1) TILE(1, 9, 1) TILE(1, 10, 1) TILE(1, 11, 1) TILE(1, 12, 1)
TILE(1, 1, 2) TILE(1, 2, 2) TILE(1, 3, 2) TILE(1, 4, 2) TILE(1, 5, 2) TILE(1, 6, 2)
TILE(2, 2, 1) TILE(2, 4, 1) TILE(2, 6, 1)
TILE(2, 2, 2)
#if VREGS == 32
TILE(1, 13, 1)
TILE(1, 7, 2) TILE(1, 8, 2) TILE(1, 9, 2) TILE(1, 10, 2) TILE(1, 11, 2) TILE(1, 12, 2)
TILE(1, 13, 2)
TILE(2, 4, 2) TILE(2, 6, 2)
#endif

tile_fn *const QD_VEC(qd_vec_tiles)[2][2][TILE_MAX + 1] = {
    {
        {NULL, NAME(1, 1, 1), NAME(1, 2, 1), NAME(1, 3, 1), NAME(1, 4, 1), NAME(1, 5, 1),
         NAME(1, 6, 1), NAME(1, 7, 1), NAME(1, 8, 1), NAME(1, 9, 1), NAME(1, 10, 1),
         NAME(1, 11, 1), NAME(1, 12, 1),
#if VREGS == 32
         NAME(1, 13, 1),
#endif
        },
        {NULL, NAME(1, 1, 2), NAME(1, 2, 2), NAME(1, 3, 2), NAME(1, 4, 2), NAME(1, 5, 2),
         NAME(1, 6, 2),
#if VREGS == 32
         NAME(1, 7, 2), NAME(1, 8, 2), NAME(1, 9, 2), NAME(1, 10, 2), NAME(1, 11, 2),
         NAME(1, 12, 2), NAME(1, 13, 2),
#endif
        },
    },
    {
        {NULL, NULL, NAME(2, 2, 1), NULL, NAME(2, 4, 1), NULL, NAME(2, 6, 1)},
        {NULL, NULL, NAME(2, 2, 2),
#if VREGS == 32
         NULL, NAME(2, 4, 2), NULL, NAME(2, 6, 2),
#endif
        },
    },
};
/* clang-format on */
