/* SPDX-License-Identifier: MIT */
/*
 * [yolo]: the entries x, y, w, h of a box and what they learn from a truth (spec darknet.md 5.9.2
 * and 5.9.4).  Who learns what: loss_assign.c.
 */
#include <float.h>
#include <math.h>

#include "train/loss/loss_assign.h"

/* x as the box uses it, in cells. */
static float offset(const struct qd_cell *c, float raw)
{
    float s = c->v->scale_x_y;

    return s * (c->v->new_coords ? raw : qd_head_logistic(raw)) - (s - 1) / 2;
}

static struct qd_box box(const struct qd_cell *c)
{
    const float *e = c->e;
    struct qd_box b;

    b.x = ((float)c->x + offset(c, e[0])) / (float)c->w;
    b.y = ((float)c->y + offset(c, e[1])) / (float)c->h;
    b.w = (c->v->new_coords ? 4 * e[2] * e[2] : expf(e[2])) * c->anchor[0] / c->net_w;
    b.h = (c->v->new_coords ? 4 * e[3] * e[3] : expf(e[3])) * c->anchor[1] / c->net_h;
    return b;
}

static void point(const struct qd_yolo_head *v, const struct qd_box *truth, float at[2])
{
    (void)v;
    at[0] = truth->x;
    at[1] = truth->y;
}

/* What w must be for a side of 'side' pixels. */
static float log_side(const struct qd_cell *c, float side, float anchor)
{
    return c->v->new_coords ? sqrtf(side / (4 * anchor)) : logf(side / anchor);
}

/* Squared error; returns half of it. */
static double squares(const struct qd_cell *c, const struct qd_box *t, float scale, float g[4])
{
    const float *e = c->e;
    double loss = 0;

    scale *= 2 - t->w * t->h;
    g[0] = t->x * (float)c->w - (float)c->x - offset(c, e[0]);
    g[1] = t->y * (float)c->h - (float)c->y - offset(c, e[1]);
    g[2] = log_side(c, t->w * c->net_w, c->anchor[0]) - e[2];
    g[3] = log_side(c, t->h * c->net_h, c->anchor[1]) - e[3];
    for (int k = 0; k < 4; k++) {
        loss += (double)(scale * g[k] * g[k]) / 2;
        g[k] *= scale;
    }
    if (c->exact) {
        g[0] *= qd_assign_slope(c, e[0]);
        g[1] *= qd_assign_slope(c, e[1]);
    }
    return loss;
}

static double delta(
    const struct qd_cell *c, const struct qd_box *pred, const struct qd_box *t, float scale)
{
    static const int xywh[4] = {0, 1, 2, 3};
    const struct qd_yolo_head *v = c->v;
    float g[4];
    double loss;

    scale *= v->iou_normalizer;
    if (v->iou_loss == QD_IOU_MSE) {
        loss = squares(c, t, scale, g);
        for (int k = 0; k < 4; k++)
            c->d[k] += qd_assign_clip(g[k], FLT_MAX);
        return loss;
    }
    loss = qd_assign_iou(c, pred, t, xywh, g) * (double)scale;
    for (int k = 0; k < 4; k++)
        c->d[k] += qd_assign_clip(scale * g[k], v->max_delta);
    return loss;
}

static const struct qd_assign yolo = {
    .obj = 4, .cls = 5, .mean_iou = true, .box = box, .point = point, .delta = delta};

static void image(const struct qd_loss_job *j, int n, struct qd_loss_sum *sum)
{
    qd_assign_image(&yolo, j, n, false, sum);
}

static void finish(const struct qd_loss_job *j, struct qd_loss_sum *sum)
{
    qd_assign_finish(&yolo, j, false, sum);
}

static void image_exact(const struct qd_loss_job *j, int n, struct qd_loss_sum *sum)
{
    qd_assign_image(&yolo, j, n, true, sum);
}

const struct qd_loss_type qd_loss_yolo = {
    .section = "yolo",
    .variant = "darknet",
    .image = image,
    .finish = finish,
};

const struct qd_loss_type qd_loss_yolo_exact = {
    .section = "yolo",
    .variant = "exact",
    .image = image_exact,
};
