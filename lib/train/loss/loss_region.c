/* SPDX-License-Identifier: MIT */
/*
 * [region], the loss of YOLOv2 (Redmon and Farhadi 2016; spec darknet.md 5.8).  Two darknets train
 * the same cfg differently: the default one multiplies what went through a logistic function by its
 * derivative, 'pj' does not but weighs small boxes more.
 */
#include <math.h>

#include "detect/box.h"
#include "train/loss/loss.h"

enum { OBJ = 4, CLASSES };

struct region {
    const struct qd_loss_job *j;
    const struct qd_region_head *v;
    struct qd_loss_sum *sum;
    const struct qd_labels *truths;
    size_t ntruths;
    int image;
    bool pj, warm;
    float *prob; /* [classes] */
};

/* One anchor of one cell. */
struct cell {
    int x, y, w, h;
    const float *anchor; /* in cells */
    const float *e;
    float *d;
};

static struct cell cell_at(const struct region *s, int y, int x, int n)
{
    const struct qd_tensor *raw = s->j->in->raw, *grad = s->j->in->grad;
    ptrdiff_t at = (ptrdiff_t)n * (CLASSES + s->v->a.classes);

    return (struct cell){.x = x,
        .y = y,
        .w = raw->w,
        .h = raw->h,
        .anchor = s->v->a.size + 2 * (size_t)n,
        .e = qd_at(raw, s->image, y, x) + at,
        .d = qd_at(grad, s->image, y, x) + at};
}

static struct qd_box box_of(const struct cell *c)
{
    const float *e = c->e;

    return (struct qd_box){((float)c->x + qd_head_logistic(e[0])) / (float)c->w,
        ((float)c->y + qd_head_logistic(e[1])) / (float)c->h,
        expf(e[2]) * c->anchor[0] / (float)c->w, expf(e[3]) * c->anchor[1] / (float)c->h};
}

/* Derivative of the logistic function at its value p, where this darknet uses it. */
static float slope(const struct region *s, float p)
{
    return s->pj ? 1 : p * (1 - p);
}

static void box_delta(
    const struct region *s, const struct cell *c, const struct qd_box *t, float scale)
{
    const float *e = c->e;
    float x = qd_head_logistic(e[0]), y = qd_head_logistic(e[1]);

    c->d[0] = scale * (t->x * (float)c->w - (float)c->x - x) * slope(s, x);
    c->d[1] = scale * (t->y * (float)c->h - (float)c->y - y) * slope(s, y);
    c->d[2] = scale * (logf(t->w * (float)c->w / c->anchor[0]) - e[2]);
    c->d[3] = scale * (logf(t->h * (float)c->h / c->anchor[1]) - e[3]);
    for (int k = 0; k < 4; k++)
        if (!isfinite(c->d[k])) /* an anchor without area */
            c->d[k] = 0;
}

/* Returns the probability of the class. */
static float class_delta(const struct region *s, const struct cell *c, int class_id, float scale)
{
    const float *p = c->e + CLASSES;

    if (s->v->softmax) {
        qd_loss_softmax(p, s->prob, s->v->a.classes, 1);
        p = s->prob;
    }
    if (s->v->focal_loss)
        scale *= qd_loss_focal(p[class_id]);
    for (int k = 0; k < s->v->a.classes; k++)
        c->d[CLASSES + k] = scale * ((float)(k == class_id) - p[k]);
    return p[class_id];
}

static float best_overlap(
    const struct region *s, const struct cell *c, const struct qd_label **best)
{
    struct qd_box pred;
    float max = 0;

    if (!s->ntruths)
        return 0;
    pred = box_of(c);
    for (size_t i = 0; i < s->ntruths; i++) {
        const struct qd_label *t = &s->truths->label[i];
        float iou = qd_loss_usable(t) ? qd_box_iou(&pred, &t->box) : 0;
        if (iou > max) {
            max = iou;
            *best = t;
        }
    }
    return max;
}

/* Every box learns to be background unless it overlaps a truth, and at first its anchor. */
static void background(const struct region *s, const struct cell *c)
{
    const struct qd_region_head *v = s->v;
    const struct qd_label *best = NULL;
    float o = qd_head_logistic(c->e[OBJ]), iou = best_overlap(s, c, &best), want = 0;

    memset(c->d, 0, (size_t)(CLASSES + v->a.classes) * sizeof(*c->d));
    s->sum->any += (double)o;
    s->sum->anys++;
    if (v->classfix == -1 && !s->pj)
        want = iou;
    c->d[OBJ] = v->noobject_scale * (want - o) * slope(s, o);
    if (best && iou > v->thresh && (v->classfix != -1 || s->pj)) {
        c->d[OBJ] = 0;
        if (v->classfix > 0 && !s->pj) {
            float scale = v->class_scale * (v->classfix == 2 ? o : 1);
            s->sum->p += (double)class_delta(s, c, best->class_id, scale);
            s->sum->classes++;
        }
    }
    if (s->warm) {
        struct qd_box prior = {((float)c->x + .5f) / (float)c->w, ((float)c->y + .5f) / (float)c->h,
            c->anchor[0] / (float)c->w, c->anchor[1] / (float)c->h};
        box_delta(s, c, &prior, .01f);
    }
}

/* The anchor whose shape fits the truth, in its cell. */
static struct cell responsible(const struct region *s, const struct qd_label *t)
{
    const struct qd_tensor *raw = s->j->in->raw;
    struct qd_box size = {0, 0, t->box.w, t->box.h};
    int x = qd_loss_cell(t->box.x, raw->w), y = qd_loss_cell(t->box.y, raw->h), best = 0;
    float max = 0;

    for (int n = 0; n < s->v->a.num; n++) {
        struct cell c = cell_at(s, y, x, n);
        struct qd_box b = box_of(&c);
        b.x = b.y = 0;
        if (s->v->bias_match) {
            b.w = c.anchor[0] / (float)c.w;
            b.h = c.anchor[1] / (float)c.h;
        }
        float iou = qd_box_iou(&b, &size);
        if (iou > max) {
            max = iou;
            best = n;
        }
    }
    return cell_at(s, y, x, best);
}

static void positive(const struct region *s, const struct qd_label *t)
{
    const struct qd_region_head *v = s->v;
    struct qd_loss_sum *sum = s->sum;
    struct cell c = responsible(s, t);
    struct qd_box pred = box_of(&c);
    float o = qd_head_logistic(c.e[OBJ]), iou = qd_box_iou(&pred, &t->box);
    float scale = v->coord_scale * (s->pj ? 2 - t->box.w * t->box.h : 1);

    box_delta(s, &c, &t->box, scale);
    c.d[OBJ] = v->object_scale * ((v->rescore ? iou : 1) - o) * slope(s, o);
    sum->p += (double)class_delta(s, &c, t->class_id, v->class_scale);
    sum->classes++;
    sum->obj += (double)o;
    sum->iou += (double)iou;
    sum->count++;
    sum->hit50 += iou > .5f;
    sum->hit75 += iou > .75f;
}

static void close_cell(const struct region *s, const struct cell *c)
{
    for (int k = 0; k < CLASSES + s->v->a.classes; k++) {
        int part = k < OBJ ? 0 : k < CLASSES ? 1 : 2;
        s->sum->cost[part] += (double)c->d[k] * (double)c->d[k];
        c->d[k] = -c->d[k];
    }
}

typedef void cell_fn(const struct region *s, const struct cell *c);

static void each_cell(const struct region *s, cell_fn *fn)
{
    for (int y = 0; y < s->j->in->raw->h; y++)
        for (int x = 0; x < s->j->in->raw->w; x++)
            for (int n = 0; n < s->v->a.num; n++) {
                struct cell c = cell_at(s, y, x, n);
                fn(s, &c);
            }
}

static void run(const struct qd_loss_job *j, int image, bool pj, struct qd_loss_sum *sum)
{
    const struct qd_region_head *v = j->l->priv;
    const struct qd_labels *truths = &j->in->truths[image];
    struct region s = {.j = j,
        .v = v,
        .sum = sum,
        .truths = truths,
        .ntruths = QD_MIN(truths->n, (size_t)v->max),
        .image = image,
        .pj = pj,
        .warm = j->in->seen < 12800,
        .prob = j->work + (size_t)image * j->work_image};

    each_cell(&s, background);
    for (size_t i = 0; i < s.ntruths; i++)
        if (qd_loss_usable(&truths->label[i]))
            positive(&s, &truths->label[i]);
    each_cell(&s, close_cell);
}

static void image_darknet(const struct qd_loss_job *j, int image, struct qd_loss_sum *sum)
{
    run(j, image, false, sum);
}

static void image_pj(const struct qd_loss_job *j, int image, struct qd_loss_sum *sum)
{
    run(j, image, true, sum);
}

static size_t work(const struct qd_layer *l)
{
    const struct qd_region_head *v = l->priv;

    return (size_t)v->a.classes;
}

/* There classes without softmax are logistic, but decoding gives them as they are. */
static int check_pj(const struct qd_layer *l, const struct qd_loss_opts *o, struct qd_error *err)
{
    const struct qd_region_head *v = l->priv;

    (void)o;
    if (v->softmax)
        return 0;
    return qd_loss_fault(l, QD_EUNSUP, err, "needs softmax=1 for the loss 'pj'");
}

const struct qd_loss_type qd_loss_region = {
    .section = "region",
    .variant = "darknet",
    .work = work,
    .image = image_darknet,
};

const struct qd_loss_type qd_loss_region_pj = {
    .section = "region",
    .variant = "pj",
    .check = check_pj,
    .work = work,
    .image = image_pj,
};
