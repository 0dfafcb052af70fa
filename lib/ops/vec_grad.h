/* SPDX-License-Identifier: MIT */
/*
 * What the vec_grad_*.c files share: derivatives of activations on vectors, and sums over pixels.
 */
#ifndef QD_VEC_GRAD_H
#define QD_VEC_GRAD_H

#include "ops/vec.h"

#include "ops/grad.h"
#include "ops/kernels.h"

/* ---- derivatives ----------------------------------------------------------------------------- */

/* m ? a : b, numbers */
QD_ALWAYS_INLINE vf vf_pick(vi m, float a, float b)
{
    return vf_select(m, vf_set(a), vf_set(b));
}

static inline vf vf_act_grad_slow(enum qd_act a, vf x, vf slope, bool from_y)
{
    float v[VW], s[VW];

    memcpy(v, &x, sizeof(v));
    memcpy(s, &slope, sizeof(s));
    for (int i = 0; i < VW; i++)
        v[i] = from_y ? qd_act_grad_out_ref(a, v[i]) : qd_act_grad_ref(a, v[i], s[i]);
    return vf_load(v);
}

/* tanh(sp) + x * sigmoid * (1 - tanh^2); with e = e^x, n = e (e + 2): tanh(sp) = n / (n + 2) and
 * sigmoid * (1 - tanh^2) = 4 e (e + 1) / (n + 2)^2.  From 20 on the second term vanishes. */
QD_ALWAYS_INLINE vf vf_mish_grad(vf x)
{
    vf e = vf_exp(vf_min(vf_set(20.0f), x)), n = e * (e + 2.0f), r = 1.0f / (n + 2.0f);
    vf more = vf_select((vi)(x > vf_set(20.0f)), vf_zero(), x);

    return vf_fma(more, 4.0f * (e * r) * ((e + 1.0f) * r), n * r);
}

/* s (1 + x (1 - s)) */
QD_ALWAYS_INLINE vf vf_swish_grad(vf x)
{
    vf s = vf_sigmoid(x);

    return s * vf_fma(x, vf_sigmoid(-x), vf_set(1.0f));
}

/* f'(x); with a constant 'a' it folds to straight code. */
QD_ALWAYS_INLINE vf vf_act_grad(enum qd_act a, vf x, vf slope)
{
    switch (a) {
    case QD_LINEAR:
        return vf_set(1);
    case QD_LEAKY:
        return vf_pick((vi)(x > vf_zero()), 1, .1f);
    case QD_RELU:
        return vf_pick((vi)(x > vf_zero()), 1, 0);
    case QD_RELU6:
        return vf_pick((vi)(x > vf_zero()) & (vi)(x < vf_set(6)), 1, 0);
    case QD_LOGISTIC:
        return vf_sigmoid(x) * vf_sigmoid(-x);
    case QD_MISH:
        return vf_mish_grad(x);
    case QD_SWISH:
        return vf_swish_grad(x);
    case QD_HSWISH:
        return vf_select((vi)(x <= vf_set(-3)), vf_zero(),
            vf_select((vi)(x >= vf_set(3)), vf_set(1), (2.0f * x + 3.0f) * (1.0f / 6)));
    case QD_PRELU:
        return vf_select((vi)(x > vf_zero()), vf_set(1), slope);
    default:
        return vf_act_grad_slow(a, x, slope, false);
    }
}

/* f'(x) from y = f(x) */
QD_ALWAYS_INLINE vf vf_act_grad_out(enum qd_act a, vf y)
{
    switch (a) {
    case QD_LINEAR:
    case QD_LEAKY:
    case QD_RELU:
    case QD_RELU6:
        return vf_act_grad(a, y, vf_zero());
    case QD_LOGISTIC:
        return y * (1.0f - y);
    case QD_TANH:
        return (1.0f - y) * (1.0f + y);
    default:
        return vf_act_grad_slow(a, y, vf_zero(), true);
    }
}

/* An activation whose derivative costs more than storing what it makes of a gradient. */
static inline bool vf_act_costly(enum qd_act a)
{
    return a != QD_LINEAR && a != QD_LEAKY && a != QD_RELU;
}

/* ---- sums over pixels ------------------------------------------------------------------------ */

enum qd_sum_kind {
    QD_SUM_ONE,   /* a */
    QD_SUM_STATS, /* d = a - k[0], and d * d */
    QD_SUM_PROD,  /* a * b */
    QD_SUM_SLOPE, /* min(a, 0) * b */
    QD_SUM_BN,    /* du = b * act'(u), and du * d, and prelu's min(u, 0) * b, where d = a - k[0]
                     and u = d * k[1] + k[2]; b becomes du where act' is not cheap */
};

struct qd_sums {
    enum qd_sum_kind kind;
    const struct qd_tensor *a, *b; /* of the same shape; b NULL where it is not used */
    enum qd_act act;
    const float *k[4]; /* [c] each: numbers of the channels, k[3] prelu's slope; NULL: zeros */
    bool hot;          /* a and b lie in the cache */
    double *work;      /* 3 * c * 64, or NULL: the stack, and fewer chunks for many channels */
    /* Gets the sums of each channel. */
    void (*take)(void *ctx, int c, const double sum[3]);
    void *ctx;
};

/* Numbers are added in float a few at a time, else in double. */
void qd_sums__vector(const struct qd_sums *s);
/* [sums of a channel, 3 or 2 or 1][c] of all pixels, by this thread, added to 'sums'. */
void qd_sums_part__vector(const struct qd_sums *s, double *sums);
#ifdef QD_X86
void qd_sums__avx2(const struct qd_sums *s);
void qd_sums__avx512(const struct qd_sums *s);
void qd_sums_part__avx2(const struct qd_sums *s, double *sums);
void qd_sums_part__avx512(const struct qd_sums *s, double *sums);
#endif

#endif
