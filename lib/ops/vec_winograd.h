/* SPDX-License-Identifier: MIT */
/*
 * The transforms of Winograd's F(m x m, 3 x 3) (Lavin and Gray 2016) on one row or column, m = 2 or
 * 4, and their transposes, which the gradient of the filters needs.  m is a constant where they are
 * called.
 */
#ifndef QD_VEC_WINOGRAD_H
#define QD_VEC_WINOGRAD_H

#include "ops/vec.h"

/* G: 3 taps of a filter to m + 2 components. */
QD_ALWAYS_INLINE void wino_filter(const int m, const vf *w, vf *u)
{
    if (m == 2) {
        vf even = 0.5f * (w[0] + w[2]), odd = 0.5f * w[1];
        u[0] = w[0];
        u[1] = even + odd;
        u[2] = even - odd;
        u[3] = w[2];
    } else {
        vf even = (-1 / 6.f) * (w[0] + w[2]), odd = (1 / 6.f) * w[1];
        vf far = vf_fma(vf_set(1 / 24.f), w[0], (1 / 6.f) * w[2]), mid = (1 / 12.f) * w[1];
        u[0] = 0.25f * w[0];
        u[1] = even - odd;
        u[2] = even + odd;
        u[3] = far + mid;
        u[4] = far - mid;
        u[5] = w[2];
    }
}

/* B': m + 2 pixels to as many components. */
QD_ALWAYS_INLINE void wino_in(const int m, const vf *d, vf *t)
{
    if (m == 2) {
        t[0] = d[0] - d[2];
        t[1] = d[1] + d[2];
        t[2] = d[2] - d[1];
        t[3] = d[1] - d[3];
    } else {
        vf even = vf_fma(vf_set(-4), d[2], d[4]), odd = vf_fma(vf_set(-4), d[1], d[3]);
        vf near = d[4] - d[2], far = 2.0f * (d[3] - d[1]);
        t[0] = vf_fma(vf_set(4), d[0], vf_fma(vf_set(-5), d[2], d[4]));
        t[1] = even + odd;
        t[2] = even - odd;
        t[3] = near + far;
        t[4] = near - far;
        t[5] = vf_fma(vf_set(4), d[1], vf_fma(vf_set(-5), d[3], d[5]));
    }
}

/* A': m + 2 components to m outputs. */
QD_ALWAYS_INLINE void wino_out(const int m, const vf *s, vf *y)
{
    if (m == 2) {
        y[0] = s[0] + s[1] + s[2];
        y[1] = s[1] - s[2] - s[3];
    } else {
        vf add1 = s[1] + s[2], sub1 = s[1] - s[2], add2 = s[3] + s[4], sub2 = s[3] - s[4];
        y[0] = s[0] + add1 + add2;
        y[1] = vf_fma(vf_set(2), sub2, sub1);
        y[2] = vf_fma(vf_set(4), add2, add1);
        y[3] = vf_fma(vf_set(8), sub2, sub1) + s[5];
    }
}

/* A: m gradients of outputs to m + 2 components. */
QD_ALWAYS_INLINE void wino_out_back(const int m, const vf *y, vf *s)
{
    if (m == 2) {
        s[0] = y[0];
        s[1] = y[0] + y[1];
        s[2] = y[0] - y[1];
        s[3] = -y[1];
    } else {
        vf even = y[0] + y[2], odd = y[1] + y[3];
        vf far = vf_fma(vf_set(4), y[2], y[0]), odd_far = 2.0f * vf_fma(vf_set(4), y[3], y[1]);
        s[0] = y[0];
        s[1] = even + odd;
        s[2] = even - odd;
        s[3] = far + odd_far;
        s[4] = far - odd_far;
        s[5] = y[3];
    }
}

/* G': m + 2 sums to the gradients of 3 taps. */
QD_ALWAYS_INLINE void wino_filter_back(const int m, const vf *u, vf *w)
{
    if (m == 2) {
        vf even = 0.5f * (u[1] + u[2]);
        w[0] = u[0] + even;
        w[1] = 0.5f * (u[1] - u[2]);
        w[2] = even + u[3];
    } else {
        vf near = (-1 / 6.f) * (u[1] + u[2]), far = (1 / 24.f) * (u[3] + u[4]);
        w[0] = vf_fma(vf_set(0.25f), u[0], near + far);
        w[1] = vf_fma(vf_set(1 / 6.f), u[2] - u[1], (1 / 12.f) * (u[3] - u[4]));
        w[2] = vf_fma(vf_set(4), far, near) + u[5];
    }
}

#endif
