/* SPDX-License-Identifier: MIT */
/*
 * [Gaussian_yolo]: each coordinate is a normal distribution; the likelihood of the truth teaches
 * mean and uncertainty (Choi et al. 2019, with darknet's constants: spec darknet.md 5.9.6).  Who
 * learns what: loss_assign.c.
 */
#include <float.h>
#include <math.h>

#include "train/loss/loss_assign.h"

/* Entries: mean and uncertainty of x, y, w, h in turn, objectness, classes. */
enum { OBJ = 8, CLASSES };

/* Place of the predicted point in its cell. */
static float offset(const struct qd_cell *c, float raw)
{
    float s = c->v->scale_x_y;

    return s * qd_head_logistic(raw) - (s - 1) / 2;
}

static struct qd_box box(const struct qd_cell *c)
{
    const float *e = c->e;
    struct qd_box b;

    b.w = expf(e[4]) * c->anchor[0] / c->net_w;
    b.h = expf(e[6]) * c->anchor[1] / c->net_h;
    b.x = ((float)c->x + offset(c, e[0])) / (float)c->w + c->v->point * b.w;
    b.y = ((float)c->y + offset(c, e[2])) / (float)c->h + c->v->point * b.h;
    return b;
}

static void point(const struct qd_yolo_head *v, const struct qd_box *truth, float at[2])
{
    at[0] = truth->x - v->point * truth->w;
    at[1] = truth->y - v->point * truth->h;
}

/* One coordinate: 'off' = target - mean, s its uncertainty; *du gets the delta of s, the delta of
 * the mean is returned. */
static double likelihood(double off, double s, double scale, double *du)
{
    double q = off / s, wide = s + .3;
    double density = exp(-q * q / 2) / (sqrt(2 * 3.14159265358979323846) * wide);
    double t = .5 * density / (density + 1e-9) * scale;

    *du = t * (q * q / s - 1 / wide);
    return t * q / s;
}

static double delta(
    const struct qd_cell *c, const struct qd_box *pred, const struct qd_box *t, float scale)
{
    static const int xywh[4] = {0, 2, 4, 6};
    const struct qd_yolo_head *v = c->v;
    const float *e = c->e;
    float at[2], g[4], off[4];
    double du[4];

    point(v, t, at);
    off[0] = at[0] * (float)c->w - (float)c->x - offset(c, e[0]);
    off[1] = at[1] * (float)c->h - (float)c->y - offset(c, e[2]);
    off[2] = logf(t->w * c->net_w / c->anchor[0]) - e[4];
    off[3] = logf(t->h * c->net_h / c->anchor[1]) - e[6];
    for (int k = 0; k < 4; k++) {
        double s = (double)qd_head_logistic(e[2 * k + 1]);
        g[k] = (float)likelihood((double)off[k], s, 2 - (double)t->w * (double)t->h, &du[k]);
    }
    if (v->iou_loss != QD_IOU_MSE)
        (void)qd_assign_iou(c, pred, t, xywh, g);
    for (int k = 0; k < 4; k++) {
        c->d[2 * k] += qd_assign_clip(g[k] * v->iou_normalizer * scale, v->max_delta);
        c->d[2 * k + 1] += qd_assign_clip((float)du[k] * v->uc_normalizer, v->max_delta);
    }
    return 0;
}

static const struct qd_assign gaussian = {
    .obj = OBJ, .cls = CLASSES, .first = true, .box = box, .point = point, .delta = delta};

static void image(const struct qd_loss_job *j, int n, struct qd_loss_sum *sum)
{
    qd_assign_image(&gaussian, j, n, false, sum);
}

const struct qd_loss_type qd_loss_gaussian = {
    .section = "Gaussian_yolo",
    .variant = "darknet",
    .image = image,
};
