/* SPDX-License-Identifier: MIT */
/*
 * The epilogues of convolutions that are more than a ramp: curved activations, prelu, and what is
 * added after them, on sums that lie in the cache.
 */
#include "ops/vec_conv.h"

/* Any activation, in one copy. */
static QD_NOINLINE vf any_act(enum qd_act a, vf x, vf slope)
{
    return vf_act(a, x, slope);
}

/* Up to VW channels from c on of one pixel at p, with what is added to them or NULL. */
QD_ALWAYS_INLINE vf value(
    const struct finish *f, const enum qd_act a, const float *p, const float *add, const int c)
{
    const int n = QD_MIN(VW, f->ch - c);
    vf v = vf_load_n(p + c, n);

    if (a != QD_ACT_COUNT)
        v = vf_act(a, v, vf_zero());
    else if (f->e->act == QD_PRELU)
        v = any_act(QD_PRELU, v, vf_load_n(f->e->slope + f->from + c, n));
    else
        v = any_act(f->e->act, v, vf_zero());
    if (add)
        v = any_act(f->e->add_act, v + vf_load_n(add + c, n), vf_zero());
    return v;
}

/* 'a' is a constant, QD_ACT_COUNT for the ones that are rare. */
QD_ALWAYS_INLINE void plain(const struct finish *f, const enum qd_act a)
{
    for (int y = 0; y < f->rows; y++)
        for (int x = 0; x < f->cols; x++) {
            const float *p = f->p + (size_t)y * f->py + (size_t)x * f->px;
            const float *add = f->add;
            float *out = f->out + (size_t)y * f->oy + (size_t)x * f->ox;
            if (add)
                add += (size_t)y * f->dy + (size_t)x * f->dx;
            for (int c = 0; c < f->ch; c += VW)
                vf_store_n(out + c, value(f, a, p, add, c), f->ch - c);
        }
}

static void pooled(const struct finish *f)
{
    const enum qd_act a = QD_ACT_COUNT;

    for (int x = 0; x < f->cols / 2; x++)
        for (int c = 0; c < f->ch; c += VW) {
            const float *p = f->p + 2 * (size_t)x * f->px, *q = p + f->py;
            vf top = vf_max(value(f, a, p, NULL, c), value(f, a, p + f->px, NULL, c));
            vf low = vf_max(value(f, a, q, NULL, c), value(f, a, q + f->px, NULL, c));
            vf_store_n(f->out + (size_t)x * f->ox + c, vf_max(top, low), f->ch - c);
        }
}

void QD_VEC(qd_vec_finish)(const struct finish *f)
{
    if (f->pool)
        pooled(f);
    else if (f->e->act == QD_LINEAR)
        plain(f, QD_LINEAR);
    else if (f->e->act == QD_LOGISTIC)
        plain(f, QD_LOGISTIC);
    else if (f->e->act == QD_MISH)
        plain(f, QD_MISH);
    else if (f->e->act == QD_SWISH)
        plain(f, QD_SWISH);
    else if (f->e->act == QD_HSWISH)
        plain(f, QD_HSWISH);
    else
        plain(f, QD_ACT_COUNT);
}
