/* SPDX-License-Identifier: MIT */
/*
 * Tensors with something around them: borders, channels of other tensors, and a number that no
 * operation makes, so that whoever writes where it must not is found out.
 */
#ifndef BOX_H
#define BOX_H

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "ops/tensor.h"

static const struct layout {
    int border, more, from; /* more channels in memory, 'from' of them before ours */
} layouts[] = {{0, 0, 0}, {1, 0, 0}, {0, 5, 3}, {2, 17, 1}};

struct box {
    struct qd_tensor t;
    float *mem, *before; /* the same bytes as mem had at the beginning */
    size_t floats;
};

static inline void box_free(struct box *b)
{
    qd_free(b->mem);
    qd_free(b->before);
    *b = (struct box){0};
}

/* Memory full of a number that no operation makes, with a zero border. */
static inline void box_new(struct box *b, const int nhwc[4], const struct layout *l)
{
    int wide[4] = {nhwc[0], nhwc[1], nhwc[2], nhwc[3] + l->more};
    struct qd_tensor t;

    if (!qd_tensor_shape(&t, wide, l->border, &b->floats))
        exit(1);
    b->mem = qd_alloc_raw(b->floats, sizeof(float), NULL);
    b->before = qd_alloc_raw(b->floats, sizeof(float), NULL);
    if (!b->mem || !b->before)
        exit(1);
    for (size_t i = 0; i < b->floats; i++)
        b->mem[i] = 12345.678f;
    qd_tensor_place(&t, b->mem);
    qd_tensor_zero_border(&t);
    b->t = qd_tensor_slice(&t, l->from, nhwc[3]);
}

/* Copy the interior to (or, with put, from) dense memory. */
static inline void box_interior(const struct box *b, float *dense, bool put)
{
    size_t bytes = (size_t)b->t.c * sizeof(float);

    for (int n = 0; n < b->t.n; n++)
        for (int y = 0; y < b->t.h; y++)
            for (int x = 0; x < b->t.w; x++, dense += b->t.c) {
                float *p = qd_at(&b->t, n, y, x);
                memcpy(put ? p : dense, put ? dense : p, bytes);
            }
}

static inline void box_remember(struct box *b)
{
    memcpy(b->before, b->mem, b->floats * sizeof(float));
}

static inline bool box_unchanged(const struct box *b)
{
    return memcmp(b->before, b->mem, b->floats * sizeof(float)) == 0;
}

/* Whether nothing outside of the interior changed. */
static inline bool box_outside_unchanged(struct box *b)
{
    ptrdiff_t shift = b->before - b->mem;

    for (int n = 0; n < b->t.n; n++)
        for (int y = 0; y < b->t.h; y++)
            for (int x = 0; x < b->t.w; x++) {
                float *p = qd_at(&b->t, n, y, x);
                memcpy(p, p + shift, (size_t)b->t.c * sizeof(float));
            }
    return box_unchanged(b);
}

#endif
