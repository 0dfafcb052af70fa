/* SPDX-License-Identifier: MIT */
/*
 * Shapes and borders of tensors, and the way to and from darknet's planar order.
 */
#include "ops/tensor.h"

bool qd_tensor_shape(struct qd_tensor *t, const int nhwc[4], int border, size_t *floats)
{
    size_t rs, is, all;

    *t = (struct qd_tensor){
        .n = nhwc[0], .h = nhwc[1], .w = nhwc[2], .c = nhwc[3], .border = border, .ps = nhwc[3]};
    if (!qd_mul_size((size_t)t->w + (size_t)border, (size_t)t->c, &rs) ||
        !qd_mul_size((size_t)t->h + (size_t)border, rs, &is) ||
        !qd_mul_size((size_t)t->n, is, &all) ||
        !qd_add_size(all, (size_t)border * (rs + (size_t)t->c) + QD_SLACK, &all) ||
        all > PTRDIFF_MAX / sizeof(float))
        return false;
    t->rs = rs;
    t->is = is;
    *floats = all;
    return true;
}

void qd_tensor_place(struct qd_tensor *t, float *mem)
{
    t->data = mem + (size_t)t->border * (t->rs + (size_t)t->ps);
}

struct qd_tensor qd_tensor_slice(const struct qd_tensor *t, int from, int c)
{
    struct qd_tensor s = *t;

    s.data += from;
    s.c = c;
    return s;
}

void qd_tensor_zero_border(const struct qd_tensor *t)
{
    size_t b = (size_t)t->border, ps = (size_t)t->ps;

    if (!b)
        return;
    for (int n = 0; n < t->n; n++) {
        float *top = qd_at(t, n, -t->border, -t->border);
        memset(top, 0, (b * t->rs + b * ps) * sizeof(float));
        for (int y = 0; y < t->h; y++)
            memset(qd_at(t, n, y, t->w), 0, b * ps * sizeof(float));
        memset(qd_at(t, n, t->h, 0), 0, b * t->rs * sizeof(float));
    }
}

void qd_tensor_from_planar(const struct qd_tensor *t, int n, const float *planar)
{
    for (int c = 0; c < t->c; c++)
        for (int y = 0; y < t->h; y++) {
            float *row = qd_at(t, n, y, 0) + c;
            for (int x = 0; x < t->w; x++)
                row[(size_t)x * (size_t)t->ps] = *planar++;
        }
}

void qd_tensor_to_planar(const struct qd_tensor *t, int n, float *planar)
{
    for (int c = 0; c < t->c; c++)
        for (int y = 0; y < t->h; y++) {
            const float *row = qd_at(t, n, y, 0) + c;
            for (int x = 0; x < t->w; x++)
                *planar++ = row[(size_t)x * (size_t)t->ps];
        }
}
