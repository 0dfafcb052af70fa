/* SPDX-License-Identifier: MIT */
/*
 * The IoU family: IoU, GIoU, DIoU and CIoU of two boxes with their derivatives, once as they are
 * and once as darknet takes them.  Both begin with the derivatives by the four sides of the
 * predicted box.
 */
#include <math.h>

#include "train/loss/loss.h"

static const double PI = 3.14159265358979323846;

enum { T, B, L, R };

/* Two boxes, what they share, and the derivatives of that by the sides of the first. */
struct pair {
    double p[4], t[4]; /* sides */
    double iw, ih;     /* sides of the intersection, negative across a gap */
    double cw, ch;     /* sides of the box around both */
    double i, u, c;    /* areas of intersection, union, box around */
    double di[4], du[4], dc[4];
    bool apart;
};

static void sides(const struct qd_box *b, double s[4])
{
    s[T] = (double)b->y - (double)b->h / 2;
    s[B] = (double)b->y + (double)b->h / 2;
    s[L] = (double)b->x - (double)b->w / 2;
    s[R] = (double)b->x + (double)b->w / 2;
}

/* With 'clamp' boxes that are apart share nothing; darknet multiplies the gaps. */
static struct pair pair_of(const struct qd_box *p, const struct qd_box *t, bool clamp)
{
    struct pair g;

    sides(p, g.p);
    sides(t, g.t);
    double w = g.p[R] - g.p[L], h = g.p[B] - g.p[T];
    g.iw = fmin(g.p[R], g.t[R]) - fmax(g.p[L], g.t[L]);
    g.ih = fmin(g.p[B], g.t[B]) - fmax(g.p[T], g.t[T]);
    g.cw = fmax(g.p[R], g.t[R]) - fmin(g.p[L], g.t[L]);
    g.ch = fmax(g.p[B], g.t[B]) - fmin(g.p[T], g.t[T]);
    g.apart = g.iw <= 0 || g.ih <= 0;
    g.di[T] = g.p[T] > g.t[T] ? -g.iw : 0;
    g.di[B] = g.p[B] < g.t[B] ? g.iw : 0;
    g.di[L] = g.p[L] > g.t[L] ? -g.ih : 0;
    g.di[R] = g.p[R] < g.t[R] ? g.ih : 0;
    g.i = g.iw * g.ih;
    if (clamp && g.apart) {
        g.i = 0;
        memset(g.di, 0, sizeof(g.di));
    }
    g.u = w * h + (g.t[R] - g.t[L]) * (g.t[B] - g.t[T]) - g.i;
    g.c = g.cw * g.ch;
    g.du[T] = -w - g.di[T];
    g.du[B] = w - g.di[B];
    g.du[L] = -h - g.di[L];
    g.du[R] = h - g.di[R];
    g.dc[T] = g.p[T] < g.t[T] ? -g.cw : 0;
    g.dc[B] = g.p[B] > g.t[B] ? g.cw : 0;
    g.dc[L] = g.p[L] < g.t[L] ? -g.ch : 0;
    g.dc[R] = g.p[R] > g.t[R] ? g.ch : 0;
    return g;
}

/* d(I / U) by the sides, plus d(U / C) for GIoU. */
static void side_gradient(const struct pair *g, enum qd_iou_kind kind, double e[4])
{
    for (int k = 0; k < 4; k++) {
        e[k] = g->u > 0 ? (g->u * g->di[k] - g->i * g->du[k]) / (g->u * g->u) : 0;
        if (kind == QD_IOU_GIOU && g->c > 0)
            e[k] += (g->c * g->du[k] - g->u * g->dc[k]) / (g->c * g->c);
    }
}

/* The distance term of DIoU: s = squared distance of the centres, d = squared diagonal of the box
 * around both, dd = its derivative by x, y, w, h. */
struct distance {
    double s, d, dd[4];
};

static struct distance distance_of(
    const struct pair *g, const struct qd_box *p, const struct qd_box *t)
{
    double dx = (double)p->x - (double)t->x, dy = (double)p->y - (double)t->y;
    double l = g->p[L]<g->t[L], r = g->p[R]> g->t[R];
    double top = g->p[T]<g->t[T], b = g->p[B]> g->t[B];
    struct distance o = {.s = dx * dx + dy * dy, .d = g->cw * g->cw + g->ch * g->ch};

    o.dd[0] = 2 * g->cw * (r - l);
    o.dd[1] = 2 * g->ch * (b - top);
    o.dd[2] = g->cw * (r + l);
    o.dd[3] = g->ch * (b + top);
    return o;
}

/* Difference of the angles of the diagonals. */
static double aspect(const struct qd_box *p, const struct qd_box *t)
{
    return atan2((double)t->w, (double)t->h) - atan2((double)p->w, (double)p->h);
}

double qd_box_gradient(
    enum qd_iou_kind kind, const struct qd_box *p, const struct qd_box *t, double d[4])
{
    struct pair g = pair_of(p, t, true);
    if (!(g.c < HUGE_VAL)) { /* a box that has exploded overlaps nothing */
        memset(d, 0, 4 * sizeof(*d));
        return 0;
    }
    double e[4], iou = g.u > 0 ? g.i / g.u : 0;

    side_gradient(&g, kind, e);
    d[0] = e[L] + e[R];
    d[1] = e[T] + e[B];
    d[2] = (e[R] - e[L]) / 2;
    d[3] = (e[B] - e[T]) / 2;
    if (kind == QD_IOU_GIOU)
        return g.c > 0 ? iou + g.u / g.c - 1 : iou;
    struct distance o = distance_of(&g, p, t);
    if ((kind != QD_IOU_DIOU && kind != QD_IOU_CIOU) || !(o.d > 0))
        return iou;
    const double ds[4] = {
        2 * ((double)p->x - (double)t->x), 2 * ((double)p->y - (double)t->y), 0, 0};
    double v = 0, below = 1, w = (double)p->w, h = (double)p->h, sum = w * w + h * h;
    if (kind == QD_IOU_CIOU) {
        double delta = aspect(p, t), slope = 8 / (PI * PI) * delta;
        v = 4 / (PI * PI) * delta * delta;
        below = 1 - iou + v;
        if (!(below > 0)) /* equal boxes: the term is 0 and flat */
            below = 1;
        /* v^2 / (1 - IoU + v), the trade-off factor is not held constant */
        double by_v = (2 * v * below - v * v) / (below * below), by_iou = v * v / (below * below);
        for (int k = 0; k < 4; k++)
            d[k] -= by_iou * d[k];
        if (sum > 0) {
            d[2] += by_v * slope * h / sum;
            d[3] -= by_v * slope * w / sum;
        }
    }
    for (int k = 0; k < 4; k++)
        d[k] -= (ds[k] * o.d - o.s * o.dd[k]) / (o.d * o.d);
    return iou - o.s / o.d - v * v / below;
}

double qd_box_measure(enum qd_iou_kind kind, const struct qd_box *a, const struct qd_box *b)
{
    double d[4];

    return qd_box_gradient(kind, a, b, d);
}

void qd_box_darknet(
    enum qd_iou_kind kind, const struct qd_box *pred, const struct qd_box *t, float d[4])
{
    struct qd_box p = *pred;

    if (p.w == 0) /* not NaN but a useless gradient */
        p.w = 1;
    if (p.h == 0)
        p.h = 1;
    struct pair g = pair_of(&p, t, false);
    double e[4], x[4];
    if (kind == QD_IOU_GIOU && g.apart) { /* only the second term is left */
        for (int k = 0; k < 4; k++)
            e[k] = g.c > 0 ? (g.c * g.du[k] - g.u * g.dc[k]) / (g.c * g.c) : 0;
    } else {
        side_gradient(&g, kind, e);
    }
    x[0] = e[L] + e[R];
    x[1] = e[T] + e[B];
    x[2] = e[R] - e[L];
    x[3] = e[B] - e[T];
    if (kind == QD_IOU_DIOU || kind == QD_IOU_CIOU) {
        struct distance o = distance_of(&g, &p, t);
        double dd = o.d * o.d, iou = g.u > 0 ? g.i / g.u : 0;
        if (g.apart)
            memset(x, 0, sizeof(x));
        if (o.d > 0) {
            x[0] += (2 * ((double)t->x - (double)p.x) * o.d - o.dd[0] * o.s) / dd;
            x[1] += (2 * ((double)t->y - (double)p.y) * o.d - o.dd[1] * o.s) / dd;
            x[2] += o.dd[2] * o.s / dd;
            x[3] += o.dd[3] * o.s / dd;
        }
        if (kind == QD_IOU_CIOU && o.d > 0) {
            double delta = aspect(&p, t), v = 4 / (PI * PI) * delta * delta;
            double alpha = v / (1 - iou + v + 1e-6), slope = 8 / (PI * PI) * delta;
            x[2] += alpha * slope * (double)p.h;
            x[3] -= alpha * slope * (double)p.w;
        }
    }
    for (int k = 0; k < 4; k++)
        d[k] = (float)x[k];
}
