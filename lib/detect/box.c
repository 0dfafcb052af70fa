/* SPDX-License-Identifier: MIT */
/*
 * Box geometry.  The functions on struct qd_box compute in float as darknet does, so that the
 * decisions of non-maximum suppression are the same ones; what the VOC and COCO rules need is in
 * double, on corners.
 */
#include "detect/box.h"

#include <math.h>

bool qd_box_finite(const struct qd_box *b)
{
    return isfinite(b->x) && isfinite(b->y) && isfinite(b->w) && isfinite(b->h);
}

/* Length of the overlap of two intervals given by centre and length; negative: a gap. */
static float overlap(float x1, float w1, float x2, float w2)
{
    float lo = fmaxf(x1 - w1 / 2, x2 - w2 / 2), hi = fminf(x1 + w1 / 2, x2 + w2 / 2);

    return hi - lo;
}

float qd_box_iou(const struct qd_box *a, const struct qd_box *b)
{
    float w = overlap(a->x, a->w, b->x, b->w), h = overlap(a->y, a->h, b->y, b->h);

    if (!(w > 0) || !(h > 0))
        return 0;
    float inter = w * h, all = a->w * a->h + b->w * b->h - inter;
    if (!(all > 0) || !isfinite(all))
        return 0;
    return inter / all;
}

float qd_box_distance(const struct qd_box *a, const struct qd_box *b)
{
    float cw = fmaxf(a->x + a->w / 2, b->x + b->w / 2) - fminf(a->x - a->w / 2, b->x - b->w / 2);
    float ch = fmaxf(a->y + a->h / 2, b->y + b->h / 2) - fminf(a->y - a->h / 2, b->y - b->h / 2);
    float c = cw * cw + ch * ch;
    float dx = a->x - b->x, dy = a->y - b->y, d = dx * dx + dy * dy;

    if (!(c > 0) || !isfinite(c))
        return 0;
    return fminf(d / c, 1);
}

struct qd_corners qd_box_corners(const struct qd_box *b, double w, double h)
{
    double x = (double)b->x * w, y = (double)b->y * h;
    double bw = (double)b->w * w, bh = (double)b->h * h;

    return (struct qd_corners){x - bw / 2, y - bh / 2, x + bw / 2, y + bh / 2};
}

struct qd_box qd_corners_box(const struct qd_corners *c, double w, double h)
{
    return (struct qd_box){(float)((c->l + c->r) / 2 / w), (float)((c->t + c->b) / 2 / h),
        (float)((c->r - c->l) / w), (float)((c->b - c->t) / h)};
}

static double clamp(double x, double hi)
{
    return x > 0 ? (x < hi ? x : hi) : 0;
}

struct qd_corners qd_corners_clip(struct qd_corners c, double w, double h)
{
    return (struct qd_corners){clamp(c.l, w), clamp(c.t, h), clamp(c.r, w), clamp(c.b, h)};
}
