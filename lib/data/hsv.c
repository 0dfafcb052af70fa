/* SPDX-License-Identifier: MIT */
/*
 * Hue, saturation and value.  Going there and back needs no case for each sextant of the colour
 * circle: with V the largest and C the range of the channels and h the hue in sextants, 0 .. 6, a
 * channel is V - C a(h), where a rises from 0 to 1 between 1 and 2 sextants away from the channel's
 * own hue (A. R. Smith, Color gamut transform pairs, 1978, rearranged).  Without a change of hue, a
 * stays as it is, and the new channel is val (V - sat (V - channel)).  Pixels go in blocks of
 * planes, which the compiler turns into vectors.
 */
#include "data/sample.h"

#include <math.h>

enum { BLOCK = 64 };

static float clamp01(float v)
{
    v = v < 0 ? 0 : v;
    return v > 1 ? 1 : v;
}

struct planes {
    float r[BLOCK], g[BLOCK], b[BLOCK];
};

static void same_hue(const struct qd_hsv *hsv, struct planes *p)
{
    float sat = hsv->sat, val = hsv->val;

    for (int i = 0; i < BLOCK; i++) {
        float r = p->r[i], g = p->g[i], b = p->b[i];
        float v = r > g ? r : g;
        v = v > b ? v : b;
        p->r[i] = clamp01(val * (v - sat * (v - r)));
        p->g[i] = clamp01(val * (v - sat * (v - g)));
        p->b[i] = clamp01(val * (v - sat * (v - b)));
    }
}

/* The hue in sextants, 0 .. 6, the largest channel and the range.  Several loops, because choosing
 * between sums in one would be a branch. */
static void to_hue(const struct planes *p, float *restrict h, float *restrict v, float *restrict c)
{
    struct planes way; /* the hue if red, green, blue is the largest */

    for (int i = 0; i < BLOCK; i++) {
        float r = p->r[i], g = p->g[i], b = p->b[i];
        float top = r > g ? r : g, low = r < g ? r : g;
        top = top > b ? top : b;
        low = low < b ? low : b;
        float range = top - low, inv = 1 / (range + 1e-20f);
        v[i] = top;
        c[i] = range;
        way.r[i] = (g - b) * inv;
        way.g[i] = (b - r) * inv + 2;
        way.b[i] = (r - g) * inv + 4;
    }
    for (int i = 0; i < BLOCK; i++)
        h[i] = p->g[i] >= v[i] ? way.g[i] : way.b[i];
    for (int i = 0; i < BLOCK; i++)
        h[i] = p->r[i] >= v[i] ? way.r[i] : h[i];
}

/* Into 0 .. 6 from -6 .. 12, after h * mul + add. */
static void wrap(float *restrict h, float mul, float add)
{
    for (int i = 0; i < BLOCK; i++)
        h[i] = h[i] * mul + add;
    for (int i = 0; i < BLOCK; i++)
        h[i] += (h[i] < 0 ? 6.f : 0.f) - (h[i] >= 6 ? 6.f : 0.f);
}

/* out = V - C a */
static void channel(
    const float *restrict v, const float *restrict c, const float *restrict a, float *restrict out)
{
    for (int i = 0; i < BLOCK; i++)
        out[i] = clamp01(v[i] - c[i] * a[i]);
}

static void channels(const float *restrict h, const float *restrict v, const float *restrict c,
    struct planes *restrict out)
{
    struct planes a;

    for (int i = 0; i < BLOCK; i++)
        a.r[i] = clamp01(2 - fabsf(h[i] - 3));
    for (int i = 0; i < BLOCK; i++)
        a.g[i] = clamp01(fabsf(h[i] - 2) - 1);
    for (int i = 0; i < BLOCK; i++)
        a.b[i] = clamp01(fabsf(h[i] - 4) - 1);
    channel(v, c, a.r, out->r);
    channel(v, c, a.g, out->g);
    channel(v, c, a.b, out->b);
}

static void turn(const struct qd_hsv *hsv, struct planes *p)
{
    float h[BLOCK], v[BLOCK], c[BLOCK];

    to_hue(p, h, v, c);
    if (hsv->hue_mul != 1)
        wrap(h, 1, 0);
    wrap(h, hsv->hue_mul, 6 * hsv->hue_add);
    for (int i = 0; i < BLOCK; i++)
        c[i] *= hsv->sat;
    if (hsv->limit)
        for (int i = 0; i < BLOCK; i++) {
            float top = v[i] * hsv->val, s = c[i] < v[i] ? c[i] : v[i];
            top = top < 1 ? top : 1;
            c[i] = top * (s / (v[i] + 1e-20f));
            v[i] = top;
        }
    else
        for (int i = 0; i < BLOCK; i++) {
            v[i] *= hsv->val;
            c[i] *= hsv->val;
        }
    channels(h, v, c, p);
}

static void block(const struct qd_hsv *hsv, struct planes *p)
{
    if (!hsv->limit && hsv->hue_add == 0 && hsv->hue_mul == 1)
        same_hue(hsv, p);
    else
        turn(hsv, p);
}

void qd_hsv_apply(const struct qd_hsv *hsv, float *px, int n, int c, size_t stride)
{
    struct planes p = {{0}, {0}, {0}};

    if (c == 1) {
        for (int i = 0; i < n; i++, px += stride)
            *px = clamp01(*px * hsv->val);
        return;
    }
    while (n > 0) {
        int m = QD_MIN(n, BLOCK);
        const float *in = px;
        for (int i = 0; i < m; i++, in += stride) {
            p.r[i] = in[0];
            p.g[i] = in[1];
            p.b[i] = in[2];
        }
        block(hsv, &p);
        for (int i = 0; i < m; i++, px += stride) {
            px[0] = p.r[i];
            px[1] = p.g[i];
            px[2] = p.b[i];
        }
        n -= m;
    }
}
