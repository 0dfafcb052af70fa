/* SPDX-License-Identifier: MIT */
/*
 * Which box of [yolo] and [Gaussian_yolo] learns what, as darknet has it (Redmon and Farhadi 2018,
 * with the keys of later darknets; spec darknet.md 5.9.3).  First every box learns to be
 * background unless it overlaps a truth; then every truth goes to its best anchor and, with
 * iou_thresh, to all that fit.  Deltas are collected in the gradient tensor and negated at the end.
 */
#include <float.h>
#include <math.h>

#include "detect/box.h"
#include "train/loss/loss_assign.h"

struct assign {
    const struct qd_assign *a;
    const struct qd_loss_job *j;
    const struct qd_yolo_head *v;
    struct qd_loss_sum *sum;
    const struct qd_labels *truths;
    size_t ntruths;
    int image, entries;
    int net_w, net_h;
    bool exact;
};

float qd_assign_clip(float x, float max)
{
    if (!isfinite(x))
        return 0;
    return fmaxf(-max, fminf(x, max));
}

float qd_assign_slope(const struct qd_cell *c, float raw)
{
    float p = qd_head_logistic(raw);

    return c->v->new_coords ? c->v->scale_x_y : c->v->scale_x_y * p * (1 - p);
}

double qd_assign_iou(const struct qd_cell *c, const struct qd_box *pred, const struct qd_box *t,
    const int xywh[4], float g[4])
{
    const struct qd_yolo_head *v = c->v;
    const float *e = c->e;
    double d[4], loss;

    if (!c->exact) {
        qd_box_darknet(v->iou_loss, pred, t, g);
        if (!v->new_coords) {
            g[2] *= expf(e[xywh[2]]);
            g[3] *= expf(e[xywh[3]]);
        }
        return 0;
    }
    loss = 1 - qd_box_gradient(v->iou_loss, pred, t, d);
    g[0] = (float)d[0] * qd_assign_slope(c, e[xywh[0]]) / (float)c->w;
    g[1] = (float)d[1] * qd_assign_slope(c, e[xywh[1]]) / (float)c->h;
    if (v->new_coords) {
        g[2] = (float)d[2] * 8 * e[xywh[2]] * c->anchor[0] / c->net_w;
        g[3] = (float)d[3] * 8 * e[xywh[3]] * c->anchor[1] / c->net_h;
    } else {
        g[2] = (float)d[2] * pred->w;
        g[3] = (float)d[3] * pred->h;
    }
    return loss;
}

static struct qd_cell cell_at(const struct assign *s, int y, int x, int k)
{
    const struct qd_loss_in *in = s->j->in;
    struct qd_cell c = {.v = s->v,
        .x = x,
        .y = y,
        .w = in->raw->w,
        .h = in->raw->h,
        .net_w = (float)s->net_w,
        .net_h = (float)s->net_h,
        .anchor = s->v->a.size + 2 * (size_t)s->v->a.mask[k],
        .exact = s->exact};

    c.e = qd_at(in->raw, s->image, y, x) + (ptrdiff_t)k * s->entries;
    c.d = qd_at(in->grad, s->image, y, x) + (ptrdiff_t)k * s->entries;
    return c;
}

static float probability(const struct assign *s, float raw)
{
    return s->v->new_coords ? raw : qd_head_logistic(raw);
}

static float weight_of(const struct assign *s, int class_id)
{
    return s->v->class_weight ? s->v->class_weight[class_id] : 1;
}

/* Some class is above .25. */
static bool has_class(const struct assign *s, const struct qd_cell *c)
{
    const float *p = c->e + s->a->cls;
    float max = p[0];

    for (int k = 1; k < s->v->a.classes; k++)
        max = fmaxf(max, p[k]);
    return probability(s, max) > .25f;
}

/* IoU of the box with the truth that it overlaps most; *best is left alone when there is none. */
static float best_overlap(
    const struct assign *s, const struct qd_box *pred, const struct qd_label **best)
{
    float max = 0;

    for (size_t i = 0; i < s->ntruths; i++) {
        const struct qd_label *t = &s->truths->label[i];
        if (!(fabsf(pred->x - t->box.x) * 2 < pred->w + t->box.w) ||
            !(fabsf(pred->y - t->box.y) * 2 < pred->h + t->box.h) || !qd_loss_usable(t))
            continue;
        float iou = qd_box_iou(pred, &t->box);
        if (iou > max) {
            max = iou;
            *best = t;
        }
    }
    return max;
}

static void class_delta(const struct assign *s, const struct qd_cell *c, int class_id)
{
    const struct qd_yolo_head *v = s->v;
    const float *e = c->e + s->a->cls;
    float *d = c->d + s->a->cls, eps = v->label_smooth_eps, p = probability(s, e[class_id]);
    float factor = v->focal_loss ? qd_loss_focal(p) : 1;

    if (d[s->a->first ? 0 : class_id] != 0) { /* another truth came first: only add ours */
        d[class_id] = (1 - eps / 2 - p) * weight_of(s, class_id);
        return;
    }
    for (int k = 0; k < v->a.classes; k++) {
        float y = k == class_id;
        if (!v->focal_loss)
            y = y * (1 - eps) + eps / 2;
        d[k] = (y - probability(s, e[k])) * factor;
    }
    if (v->class_weight && !v->focal_loss)
        d[class_id] *= v->class_weight[class_id] * v->cls_normalizer;
}

static void box_delta(const struct assign *s, const struct qd_cell *c, const struct qd_box *pred,
    const struct qd_label *t)
{
    double loss = s->a->delta(c, pred, &t->box, weight_of(s, t->class_id));

    if (s->exact)
        s->sum->cost[0] += loss;
}

/* Pass 1, one box: background unless it overlaps. */
static void background(const struct assign *s, const struct qd_cell *c)
{
    const struct qd_yolo_head *v = s->v;
    float o = probability(s, c->e[s->a->obj]), iou = 0, *d = &c->d[s->a->obj];
    const struct qd_label *best = NULL;
    struct qd_box pred = {0};

    if (s->ntruths) {
        pred = s->a->box(c);
        iou = best_overlap(s, &pred, &best);
    }
    s->sum->any += (double)o;
    s->sum->anys++;
    *d = v->obj_normalizer * (0 - o);
    if (iou > v->ignore_thresh && has_class(s, c))
        *d = v->objectness_smooth ? fmaxf(*d, v->obj_normalizer * (iou - o)) : 0;
    if (best && iou > v->truth_thresh) {
        *d = v->obj_normalizer * ((v->objectness_smooth ? iou * iou : 1) - o);
        class_delta(s, c, best->class_id);
        if (v->objectness_smooth) {
            int k = s->a->cls + best->class_id;
            c->d[k] = weight_of(s, best->class_id) * (iou * iou - probability(s, c->e[k]));
        }
        box_delta(s, c, &pred, best);
    }
}

/* Pass 2, one box: it learns this truth. */
static void positive(const struct assign *s, const struct qd_cell *c, const struct qd_label *t)
{
    struct qd_loss_sum *sum = s->sum;
    struct qd_box pred = s->a->box(c);
    float o = probability(s, c->e[s->a->obj]), iou = qd_box_iou(&pred, &t->box);

    for (int k = 0; k < s->a->obj; k++)
        if (c->d[k] != 0) {
            sum->rewritten++;
            break;
        }
    box_delta(s, c, &pred, t);
    /* Also with objectness_smooth, where darknet keeps what pass 1 has set: a box that does not
     * fit yet would learn to be background for ever. */
    c->d[s->a->obj] = weight_of(s, t->class_id) * s->v->obj_normalizer * (1 - o);
    class_delta(s, c, t->class_id);
    sum->p += (double)probability(s, c->e[s->a->cls + t->class_id]);
    sum->classes++;
    sum->obj += (double)o;
    sum->iou += (double)iou;
    sum->count++;
    sum->hit50 += iou > .5f;
    sum->hit75 += iou > .75f;
    if (s->a->mean_iou && !s->exact && s->v->iou_loss != QD_IOU_MSE) {
        enum qd_iou_kind shown = s->v->iou_loss == QD_IOU_GIOU ? QD_IOU_GIOU : QD_IOU_IOU;
        sum->cost[0] += 1 - qd_box_measure(shown, &pred, &t->box);
    }
}

static struct qd_box shape(const struct assign *s, int anchor)
{
    const float *size = s->v->a.size + 2 * (size_t)anchor;

    return (struct qd_box){0, 0, size[0] / (float)s->net_w, size[1] / (float)s->net_h};
}

/* Pass 2, one truth. */
static void assign(const struct assign *s, const struct qd_label *t)
{
    const struct qd_yolo_head *v = s->v;
    const struct qd_tensor *raw = s->j->in->raw;
    struct qd_box size = {0, 0, t->box.w, t->box.h};
    float at[2], max = 0;
    int best = 0;

    s->a->point(v, &t->box, at);
    int x = qd_loss_cell(at[0], raw->w), y = qd_loss_cell(at[1], raw->h);
    for (int n = 0; n < v->a.num; n++) {
        struct qd_box anchor = shape(s, n);
        float iou = qd_box_iou(&anchor, &size);
        if (iou > max) {
            max = iou;
            best = n;
        }
    }
    for (int k = 0; k < v->a.nmask; k++)
        if (v->a.mask[k] == best) {
            struct qd_cell c = cell_at(s, y, x, k);
            positive(s, &c, t);
            break;
        }
    for (int k = 0; k < v->a.nmask && v->iou_thresh < 1; k++) {
        struct qd_box anchor = shape(s, v->a.mask[k]);
        if (v->a.mask[k] == best ||
            !(qd_box_measure(v->iou_thresh_kind, &anchor, &size) > (double)v->iou_thresh))
            continue;
        struct qd_cell c = cell_at(s, y, x, k);
        positive(s, &c, t);
    }
}

/* Box deltas that several truths were added to become their mean; darknet counts the classes. */
static void average(const struct assign *s, const struct qd_cell *c)
{
    int n = 0;

    if (c->d[s->a->obj] == 0)
        return;
    for (int k = 0; k < s->v->a.classes; k++)
        n += c->d[s->a->cls + k] > 0;
    for (int k = 0; k < s->a->obj && n > 1; k++)
        c->d[k] /= (float)n;
}

/* n deltas become gradients; returns their squares. */
static double close_part(const struct assign *s, float *d, int n)
{
    double sum = 0;
    int any = 0;

    for (int k = 0; k < n; k++)
        any |= d[k] != 0;
    for (int k = 0; k < n && any; k++) { /* most boxes learn no place and no class */
        sum += (double)d[k] * (double)d[k];
        d[k] *= -s->v->delta_normalizer;
    }
    return sum;
}

/* The squares of the deltas are darknet's cost. */
static void close_cell(const struct assign *s, const struct qd_cell *c)
{
    int obj = s->a->obj, cls = s->a->cls;

    if (s->v->iou_thresh < 1 && !s->exact)
        average(s, c);
    double box = close_part(s, c->d, obj);
    if (!s->exact && (!s->a->mean_iou || s->v->iou_loss == QD_IOU_MSE))
        s->sum->cost[0] += box;
    s->sum->cost[1] += close_part(s, c->d + obj, cls - obj);
    s->sum->cost[2] += close_part(s, c->d + cls, s->v->a.classes);
}

typedef void cell_fn(const struct assign *s, const struct qd_cell *c);

static void each_cell(const struct assign *s, cell_fn *fn)
{
    for (int y = 0; y < s->j->in->raw->h; y++)
        for (int x = 0; x < s->j->in->raw->w; x++)
            for (int k = 0; k < s->v->a.nmask; k++) {
                struct qd_cell c = cell_at(s, y, x, k);
                fn(s, &c);
            }
}

static void begin_cell(const struct assign *s, const struct qd_cell *c)
{
    memset(c->d, 0, (size_t)s->entries * sizeof(*c->d));
    background(s, c);
}

void qd_assign_image(const struct qd_assign *a, const struct qd_loss_job *j, int image, bool exact,
    struct qd_loss_sum *sum)
{
    const struct qd_yolo_head *v = j->l->priv;
    const struct qd_labels *truths = &j->in->truths[image];
    struct assign s = {.a = a,
        .j = j,
        .v = v,
        .sum = sum,
        .truths = truths,
        .ntruths = QD_MIN(truths->n, (size_t)v->max),
        .image = image,
        .entries = a->cls + v->a.classes,
        .exact = exact};

    qd_layer_net_size(j->l, &s.net_h, &s.net_w, &(int){0});
    each_cell(&s, begin_cell);
    for (size_t i = 0; i < s.ntruths; i++)
        if (qd_loss_usable(&truths->label[i]))
            assign(&s, &truths->label[i]);
    each_cell(&s, close_cell);
}

void qd_assign_finish(
    const struct qd_assign *a, const struct qd_loss_job *j, bool exact, struct qd_loss_sum *sum)
{
    const struct qd_yolo_head *v = j->l->priv;

    if (exact || !a->mean_iou || v->iou_loss == QD_IOU_MSE)
        return;
    if (sum->count)
        sum->cost[0] *= (double)v->iou_normalizer / (double)sum->count;
    sum->cost[1] *= (double)v->obj_normalizer;
    sum->cost[2] *= (double)v->obj_normalizer;
}
