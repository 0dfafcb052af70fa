/* SPDX-License-Identifier: MIT */
/*
 * The loss of ultralytics' YOLOv3 for [yolo] heads (spec compression.md 5.2 and 5.3): a truth goes
 * to every anchor of every head that has nearly its shape, boxes learn by GIoU, objectness and
 * classes by cross-entropy, and each part is a mean.  Gradients are exact.  Cost and gradient are
 * those of the mean over the batch times its images, as all losses here.
 */
#include <math.h>

#include "train/loss/loss.h"

static const double FOCAL_ALPHA = .25;

/* One anchor of the cell that a truth lies in. */
struct match {
    int x, y, k;         /* cell, place of the anchor in the head */
    const float *anchor; /* pixels */
};

struct ultra {
    const struct qd_loss_job *j;
    const struct qd_yolo_head *v;
    struct qd_loss_sum *sum;
    int image, net_w, net_h;
    double box, obj, cls; /* factors of one term */
    float *tobj;          /* [h][w][anchors] */
};

typedef void match_fn(const struct ultra *s, const struct qd_label *t, const struct match *m);

/* Intersection over union of sizes only. */
static double shape_iou(double w1, double h1, double w2, double h2)
{
    double inter = fmin(w1, w2) * fmin(h1, h2), all = w1 * h1 + w2 * h2 - inter;

    return all > 0 ? inter / all : 0;
}

/* Every (truth, anchor) pair that is positive, in order. */
static void each_match(const struct ultra *s, match_fn *fn)
{
    const struct qd_tensor *raw = s->j->in->raw;
    const struct qd_labels *truths = &s->j->in->truths[s->image];

    for (size_t i = 0; i < QD_MIN(truths->n, (size_t)s->v->max); i++) {
        const struct qd_label *t = &truths->label[i];
        double w = (double)t->box.w * s->net_w, h = (double)t->box.h * s->net_h;
        struct match m;
        if (!qd_loss_usable(t))
            continue;
        m.x = qd_loss_cell(t->box.x, raw->w);
        m.y = qd_loss_cell(t->box.y, raw->h);
        for (m.k = 0; m.k < s->v->a.nmask; m.k++) {
            m.anchor = s->v->a.size + 2 * (size_t)s->v->a.mask[m.k];
            if (shape_iou(w, h, (double)m.anchor[0], (double)m.anchor[1]) >
                (double)s->j->opts->iou_t)
                fn(s, t, &m);
        }
    }
}

static void count_match(const struct ultra *s, const struct qd_label *t, const struct match *m)
{
    (void)t;
    (void)m;
    s->sum->count++;
}

static double entropy(const struct ultra *s, double x, double t, double pw, double *dx)
{
    const double focus[2] = {FOCAL_ALPHA, (double)s->j->opts->fl_gamma};

    return focus[1] > 0 ? qd_bce_focal(x, t, pw, focus, dx) : qd_bce(x, t, pw, dx);
}

/* A box in cells, relative to its cell; slope: its derivative by the raw entries. */
static struct qd_box predicted(
    const struct ultra *s, const struct match *m, const float *e, double slope[4])
{
    const struct qd_tensor *raw = s->j->in->raw;
    double scale = (double)s->v->scale_x_y, v[4];
    const double cells[2] = {(double)raw->w / s->net_w, (double)raw->h / s->net_h};

    for (int i = 0; i < 2; i++) {
        double p = 1 / (1 + exp(-(double)e[i])), size = exp((double)e[2 + i]);
        v[i] = scale * p - (scale - 1) / 2;
        slope[i] = scale * p * (1 - p);
        v[2 + i] = fmin(size, 1000) * (double)m->anchor[i] * cells[i];
        slope[2 + i] = size < 1000 ? v[2 + i] : 0;
    }
    return (struct qd_box){(float)v[0], (float)v[1], (float)v[2], (float)v[3]};
}

static void positive(const struct ultra *s, const struct qd_label *t, const struct match *m)
{
    const struct qd_tensor *raw = s->j->in->raw;
    int classes = s->v->a.classes;
    ptrdiff_t at = (ptrdiff_t)m->k * (5 + classes);
    const float *e = qd_at(raw, s->image, m->y, m->x) + at;
    float *g = qd_at(s->j->in->grad, s->image, m->y, m->x) + at;
    struct qd_box want = {t->box.x * (float)raw->w - (float)m->x,
        t->box.y * (float)raw->h - (float)m->y, t->box.w * (float)raw->w, t->box.h * (float)raw->h};
    double slope[4], d[4], dx, gr = (double)s->j->opts->gr * (1 - (double)s->j->in->cold);
    struct qd_box pred = predicted(s, m, e, slope);
    double giou = qd_box_gradient(QD_IOU_GIOU, &pred, &want, d);
    double iou = qd_box_measure(QD_IOU_IOU, &pred, &want);

    for (int k = 0; k < 4; k++)
        g[k] -= (float)(s->box * d[k] * slope[k]);
    s->sum->cost[0] += s->box * (1 - giou);
    s->tobj[((ptrdiff_t)m->y * raw->w + m->x) * s->v->a.nmask + m->k] =
        (float)(1 - gr + gr * fmax(giou, 0));
    for (int k = 0; k < classes && classes > 1; k++) {
        s->sum->cost[2] += s->cls * entropy(s, (double)e[5 + k], k == t->class_id,
                                        (double)s->j->opts->cls_pw, &dx);
        g[5 + k] += (float)(s->cls * dx);
    }
    s->sum->p += (double)qd_head_logistic(e[5 + t->class_id]);
    s->sum->classes++;
    s->sum->obj += (double)qd_head_logistic(e[4]);
    s->sum->iou += iou;
    s->sum->count++;
    s->sum->hit50 += iou > .5;
    s->sum->hit75 += iou > .75;
}

static struct ultra open_image(const struct qd_loss_job *j, int image, struct qd_loss_sum *sum)
{
    struct ultra s = {.j = j, .v = j->l->priv, .sum = sum, .image = image};

    qd_layer_net_size(j->l, &s.net_h, &s.net_w, &(int){0});
    return s;
}

static void count(const struct qd_loss_job *j, int image, struct qd_loss_sum *sum)
{
    struct ultra s = open_image(j, image, sum);

    each_match(&s, count_match);
}

static void objectness(const struct ultra *s, int y, int x)
{
    const float *e = qd_at(s->j->in->raw, s->image, y, x) + 4;
    float *g = qd_at(s->j->in->grad, s->image, y, x) + 4;
    const float *t = s->tobj + ((ptrdiff_t)y * s->j->in->raw->w + x) * s->v->a.nmask;
    double dx;

    for (int k = 0; k < s->v->a.nmask; k++, e += 5 + s->v->a.classes, g += 5 + s->v->a.classes) {
        s->sum->cost[1] +=
            s->obj * entropy(s, (double)*e, (double)t[k], (double)s->j->opts->obj_pw, &dx);
        *g = (float)(s->obj * dx);
        s->sum->any += (double)qd_head_logistic(*e);
        s->sum->anys++;
    }
}

static void image(const struct qd_loss_job *j, int n, struct qd_loss_sum *sum)
{
    struct ultra s = open_image(j, n, sum);
    const struct qd_tensor *raw = j->in->raw, *grad = j->in->grad;
    const struct qd_loss_opts *o = j->opts;
    double images = raw->n, positives = (double)QD_MAX(j->before.count, 1L);

    /* the mean over classes cancels the number of classes in the factor, nc / 80 */
    s.box = (double)o->giou * images / positives;
    s.cls = (double)o->cls / 80 * images / positives;
    s.obj = (double)o->obj * (double)o->balance / ((double)raw->h * raw->w * s.v->a.nmask);
    s.tobj = j->work + (size_t)n * j->work_image;
    memset(s.tobj, 0, j->work_image * sizeof(float));
    for (int y = 0; y < raw->h; y++)
        for (int x = 0; x < raw->w; x++)
            memset(qd_at(grad, n, y, x), 0, (size_t)grad->c * sizeof(float));
    each_match(&s, positive);
    for (int y = 0; y < raw->h; y++)
        for (int x = 0; x < raw->w; x++)
            objectness(&s, y, x);
}

static size_t work(const struct qd_layer *l)
{
    const struct qd_yolo_head *v = l->priv;

    return (size_t)l->h * (size_t)l->w * (size_t)v->a.nmask;
}

static int check(const struct qd_layer *l, const struct qd_loss_opts *o, struct qd_error *err)
{
    const struct qd_yolo_head *v = l->priv;

    (void)o;
    if (!v->new_coords)
        return 0;
    return qd_loss_fault(l, QD_EUNSUP, err, "has new_coords=1, which 'ultralytics' cannot learn");
}

const struct qd_loss_type qd_loss_ultralytics = {
    .section = "yolo",
    .variant = "ultralytics",
    .check = check,
    .work = work,
    .count = count,
    .image = image,
};
