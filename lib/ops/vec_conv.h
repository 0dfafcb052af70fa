/* SPDX-License-Identifier: MIT */
/*
 * The micro-kernel of the blocked convolution, shared by the vec_*.c files that instantiate it.
 *
 * A tile is my rows of mx output pixels times nv vectors of filters, all in registers.  Its inputs
 * lie at uniform strides, because the tensors carry their own zero border: the taps of a pixel are
 * 'ny' times 'nx' runs of 'len' floats (3 runs of 3*c for a 3x3 kernel where pixels are dense,
 * else 9 runs of c).  The weights of a panel are read in that order, nv vectors for each float.
 */
#ifndef QD_VEC_CONV_H
#define QD_VEC_CONV_H

#include "ops/kernels.h"
#include "ops/vec.h"

/* Pixels that fit into the registers beside two vectors of weights and one of input. */
enum {
    TILE_2 = VREGS == 32 ? 13 : 6,  /* with two vectors of filters */
    TILE_1 = VREGS == 32 ? 13 : 12, /* with one */
    PAIR_2 = VREGS == 32 ? 6 : 2,   /* the same for tiles of two rows, even for pooling */
    PAIR_1 = 6,
    TILE_MAX = 26,
    PANEL = 2 * VW, /* filters */
    AHEAD = 2048    /* floats by which weights are prefetched: 8 KB */
};

struct tile {
    const float *a;    /* first tap of pixel (0, 0) */
    const float *b;    /* panel: [ny][nx][len][nv * VW] */
    const float *bias; /* [nv * VW] */
    float *out;        /* pixel (0, 0), first filter of the panel */
    const float *add;  /* the same place in the tensor that is added, or NULL */
    size_t ax, ay;     /* floats from pixel to pixel and row to row: input, */
    size_t ox, oy;     /* output, */
    size_t dx, dy;     /* added tensor */
    size_t tx, ty;     /* from run to run: input */
    int nx, ny, len;
    int lanes; /* filters in the last vector */
    bool pool; /* my = 2: only the maximum of each 2x2 is written, with ox and oy its strides */
    float act, act2; /* the activation before and after the addition is max(x, act * x) */
};

typedef void tile_fn(const struct tile *t);

/* max(x, s * x): linear, leaky, relu with s = 1, .1, 0 */
QD_ALWAYS_INLINE vf vf_ramp(vf x, float s)
{
    return vf_max(vf_set(s) * x, x);
}

/* Whether 'a' is such an activation, and its s. */
static inline bool act_is_ramp(enum qd_act a, float *s)
{
    *s = a == QD_LEAKY ? 0.1f : a == QD_RELIE ? 0.01f : a == QD_RELU ? 0 : 1;
    return a == QD_LINEAR || a == QD_LEAKY || a == QD_RELIE || a == QD_RELU;
}

/* vf_store_n for inner loops: AVX2's masked store is slow on some processors. */
QD_ALWAYS_INLINE void vf_store_part(float *p, vf v, int n)
{
#if VW == 8
    __m128 x = _mm256_castps256_ps128((__m256)v);
    if (n == 4) {
        _mm_storeu_ps(p, x);
        return;
    }
    if (n & 4) {
        _mm_storeu_ps(p, x);
        x = _mm256_extractf128_ps((__m256)v, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)(void *)p, x);
        x = _mm_movehl_ps(x, x);
        p += 2;
    }
    if (n & 1)
        _mm_store_ss(p, x);
#else
    vf_storem(p, v, vmask_of(n));
#endif
}

/* Pixel (y, x): activation, addition, store. */
QD_ALWAYS_INLINE void tile_store(const struct tile *t, int y, int x, const vf *v, const int nv)
{
    float *out = t->out + (size_t)y * t->oy + (size_t)x * t->ox;
    vf r[2];

    r[0] = vf_ramp(v[0], t->act);
    if (nv > 1)
        r[1] = vf_ramp(v[1], t->act);
    if (t->add) {
        const float *add = t->add + (size_t)y * t->dy + (size_t)x * t->dx;
        r[0] = vf_ramp(r[0] + vf_load(add), t->act2);
        if (nv > 1)
            r[1] = vf_ramp(r[1] + vf_load(add + VW), t->act2);
    }
    if (nv > 1)
        vf_store(out, r[0]);
    if (t->lanes == VW)
        vf_store(out + (nv - 1) * VW, r[nv - 1]);
    else
        vf_store_part(out + (nv - 1) * VW, r[nv - 1], t->lanes);
}

/* One float of each pixel's taps times nv vectors of filters. */
QD_ALWAYS_INLINE void tile_step(const struct tile *t, const float *a, const float *b, vf (*acc)[2],
    const int my, const int mx, const int nv, const size_t ax)
{
    vf b0 = vf_load(b), b1 = nv > 1 ? vf_load(b + VW) : b0;

    UNROLL_ALL
    for (int i = 0; i < my * mx; i++) {
        vf x = vf_set((a + (size_t)(i / mx) * t->ay)[(size_t)(i % mx) * ax]);
        acc[i][0] = vf_fma(x, b0, acc[i][0]);
        if (nv > 1)
            acc[i][1] = vf_fma(x, b1, acc[i][1]);
    }
}

/* The maximum of each 2x2 pixels. */
QD_ALWAYS_INLINE void tile_pool(const struct tile *t, vf (*acc)[2], const int mx, const int nv)
{
    UNROLL_ALL
    for (int i = 0; i < mx / 2; i++) {
        const int j = 2 * i, k = j + mx;
        vf m[2];
        m[0] = vf_max(vf_max(acc[j][0], acc[j + 1][0]), vf_max(acc[k][0], acc[k + 1][0]));
        if (nv > 1)
            m[1] = vf_max(vf_max(acc[j][1], acc[j + 1][1]), vf_max(acc[k][1], acc[k + 1][1]));
        tile_store(t, 0, i, m, nv);
    }
}

/*
 * my, mx and nv are constants where this is instantiated; len and ax of the tile are replaced by
 * klen and kax where those are not 0: with short runs at known strides no loop is left.  The loops
 * over acc are spelled so that both compilers keep it in registers.
 */
QD_ALWAYS_INLINE void tile_body(
    const struct tile *t, const int my, const int mx, const int nv, const int klen, const int kax)
{
    const size_t ax = kax ? (size_t)kax : t->ax;
    const float *b = t->b;
    vf acc[TILE_MAX][2];

    UNROLL_ALL
    for (int i = 0; i < my * mx; i++) {
        acc[i][0] = vf_load(t->bias);
        if (nv > 1)
            acc[i][1] = vf_load(t->bias + VW);
    }
    for (int iy = 0; iy < t->ny; iy++) {
        const float *a = t->a + (size_t)iy * t->ty;
        if (klen) {
            UNROLL_ALL
            for (int k = 0; k < klen; k++, b += nv * VW)
                tile_step(t, a + k, b, acc, my, mx, nv, ax);
            continue;
        }
        for (int ix = 0; ix < t->nx; ix++, a += t->tx)
            for (int k = 0; k < t->len; k++, b += nv * VW) {
                __builtin_prefetch(b + AHEAD);
                if (nv > 1 && VW == 16)
                    __builtin_prefetch(b + AHEAD + VW);
                tile_step(t, a + k, b, acc, my, mx, nv, ax);
            }
    }
    if (my == 2 && t->pool) {
        tile_pool(t, acc, mx, nv);
        return;
    }
    if (!t->add && t->lanes == VW) {
        const size_t ox = t->ox, oy = t->oy;
        float *out = t->out, act = t->act;
        UNROLL_ALL
        for (int i = 0; i < my * mx; i++) {
            float *o = out + (size_t)(i / mx) * oy + (size_t)(i % mx) * ox;
            vf_store(o, vf_ramp(acc[i][0], act));
            if (nv > 1)
                vf_store(o + VW, vf_ramp(acc[i][1], act));
        }
        return;
    }
    UNROLL_ALL
    for (int i = 0; i < my * mx; i++)
        tile_store(t, i / mx, i % mx, acc[i], nv);
}

/* ---- what the files give each other ---------------------------------------------------------- */

/* Tiles by [rows - 1][vectors - 1][pixels of a row]; NULL where there is none. */
extern tile_fn *const QD_VEC(qd_vec_tiles)[2][2][TILE_MAX + 1];
/* The same for 3x3 kernels on dense pixels of 3 channels, stride 1 and 2: [stride - 1]. */
extern tile_fn *const QD_VEC(qd_vec_tiles_rgb)[2][2][2][TILE_MAX + 1];

/*
 * Epilogues that a tile does not know.  'rows' rows of 'px' pixels with 'ch' channels, the first of
 * which is channel 'from' of the epilogue's slope, lie at 'p': activation, then the addition of
 * 'add' and its activation; the result goes to 'out', which may be p.
 */
struct finish {
    const struct qd_epilogue *e;
    const float *p;
    float *out;
    const float *add; /* or NULL */
    size_t px, py;    /* floats from pixel to pixel and row to row: p, out, add */
    size_t ox, oy;
    size_t dx, dy;
    int rows, cols, ch, from;
    bool pool; /* rows = 2: the maximum of each 2x2 of the results; no addition */
};

void QD_VEC(qd_vec_finish)(const struct finish *f);

extern const struct qd_conv_kernel QD_VEC(qd_conv_blocked);
extern const struct qd_conv_kernel QD_VEC(qd_conv_depthwise);
#ifdef QD_X86
/* For level avx512: the blocked kernel for at most 8 filters a group. */
extern const struct qd_conv_kernel qd_conv_narrow__avx2;
#endif

#endif
