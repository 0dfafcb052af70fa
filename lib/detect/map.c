/* SPDX-License-Identifier: MIT */
/*
 * Average precision at one IoU threshold: the darknet, VOC 2007 and VOC 2012 rules.  Each rule set
 * is a way to find the truth that a detection claims; what follows is the same for all.  In a
 * class, detections take their truths in order of score, a truth is given once, a detection that
 * comes too late is wrong even if another truth would fit (no second choice).
 */
#include <math.h>

#include "base/error.h"
#include "detect/eval.h"

#define NOTHING SIZE_MAX       /* the detection fits no truth */
#define IGNORED (SIZE_MAX - 1) /* it fits a difficult one: neither right nor wrong */

struct hit {
    float score, iou;
    size_t truth; /* index into qd_eval.truth, or one of the above */
    size_t seq;   /* in order of images and detections */
};

/* The truth of the group that detection d claims, or one of the above; *overlap: its IoU. */
typedef size_t claim_fn(
    const struct qd_eval_group *g, const struct qd_eval_det *d, float iou, double *overlap);

/* Darknet: the best overlap above the threshold with an ordinary truth, taken or not; a detection
 * that has none is dropped when it overlaps a difficult one. */
static size_t claim_darknet(
    const struct qd_eval_group *g, const struct qd_eval_det *d, float iou, double *overlap)
{
    size_t claim = NOTHING;
    bool difficult = false;

    for (size_t i = 0; i < g->ntruth; i++) {
        float o = qd_box_iou(&d->box, &g->truth[i].box);
        if (!(o > iou))
            continue;
        if (g->truth[i].difficult) {
            difficult = true;
        } else if ((double)o > *overlap) {
            claim = i;
            *overlap = (double)o;
        }
    }
    return claim == NOTHING && difficult ? IGNORED : claim;
}

/* Overlap of boxes whose sides are numbers of pixels that still belong to them. */
static double inclusive_iou(const struct qd_corners *a, const struct qd_corners *b)
{
    double w = fmin(a->r, b->r) - fmax(a->l, b->l) + 1;
    double h = fmin(a->b, b->b) - fmax(a->t, b->t) + 1;

    if (!(w > 0) || !(h > 0))
        return 0;
    double all = (a->r - a->l + 1) * (a->b - a->t + 1) + (b->r - b->l + 1) * (b->b - b->t + 1);
    return all > w * h ? w * h / (all - w * h) : 0;
}

/* VOC development kit: the best overlap with any truth; at least the threshold. */
static size_t claim_voc(
    const struct qd_eval_group *g, const struct qd_eval_det *d, float iou, double *overlap)
{
    size_t claim = NOTHING;
    double limit = round((double)iou * 1e6) * 1e-6; /* the decimal number that was meant */

    for (size_t i = 0; i < g->ntruth; i++) {
        double o = inclusive_iou(&d->side, &g->truth[i].side);
        if (o > *overlap) {
            claim = i;
            *overlap = o;
        }
    }
    if (claim == NOTHING || *overlap < limit)
        return NOTHING;
    return g->truth[claim].difficult ? IGNORED : claim;
}

static const struct rules {
    claim_fn *claim;
    int points;  /* of the interpolated curve, 0: exact area; -1: as the options say */
    bool absent; /* a class without truths counts as 0 */
} rules[] = {
    [QD_RULES_DARKNET] = {claim_darknet, -1, true},
    [QD_RULES_VOC07] = {claim_voc, 11, false},
    [QD_RULES_VOC12] = {claim_voc, 0, false},
};

static int by_score(const void *pa, const void *pb)
{
    const struct hit *a = pa, *b = pb;

    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->seq < b->seq ? -1 : 1;
}

/* Everything that scoring needs beside the collected boxes. */
struct work {
    struct hit *hit; /* grouped by class */
    size_t *from;    /* [classes + 1] the ranges of hit */
    bool *taken;     /* [ntruth] */
    double *recall, *precision;
    double iou_sum;
};

static void work_free(struct work *w)
{
    qd_free(w->hit);
    qd_free(w->from);
    qd_free(w->taken);
    qd_free(w->recall);
    qd_free(w->precision);
}

static int work_alloc(struct work *w, const struct qd_eval *e, struct qd_error *err)
{
    *w = (struct work){0};
    if (!(w->hit = qd_alloc_raw(e->ndet, sizeof(*w->hit), err)) ||
        !(w->from = qd_alloc((size_t)e->opts.classes + 2, sizeof(*w->from), err)) ||
        !(w->taken = qd_alloc(e->ntruth, sizeof(*w->taken), err)) ||
        !(w->recall = qd_alloc_raw(e->ndet, sizeof(*w->recall), err)) ||
        !(w->precision = qd_alloc_raw(e->ndet, sizeof(*w->precision), err))) {
        work_free(w);
        return -1;
    }
    return 0;
}

/* Fill w->hit, grouped by class, and count the truths of each class. */
static void match(
    const struct qd_eval *e, const struct rules *r, struct work *w, struct qd_eval_class *cls)
{
    size_t *next =
        w->from + 1; /* where the next hit of a class goes; becomes the end of its range */

    for (size_t i = 0; i < e->ndet; i++)
        if (e->det[i].class_id + 1 < e->opts.classes)
            next[e->det[i].class_id + 1]++;
    for (int c = 1; c < e->opts.classes; c++)
        next[c] += next[c - 1];
    for (size_t i = 0; i < e->nimage; i++) {
        struct qd_eval_group g = {0};
        while (qd_eval_next(e, &e->image[i], &g)) {
            for (size_t k = 0; k < g.ntruth; k++)
                cls[g.class_id].gt += !g.truth[k].difficult;
            for (size_t k = 0; k < g.ndet; k++) {
                double overlap = 0;
                size_t claim = r->claim(&g, &g.det[k], e->opts.iou, &overlap);
                if (claim < IGNORED)
                    claim += e->image[i].truth + g.truth_done;
                size_t at = next[g.class_id]++;
                w->hit[at] = (struct hit){g.det[k].score, (float)overlap, claim, at};
            }
        }
    }
}

/* AP from the first n points of the curve. */
static double average(struct work *w, size_t n, int points)
{
    double sum = 0;
    size_t at = 0;

    qd_eval_envelope(w->precision, n);
    if (points == 0) {
        for (size_t i = 0; i < n; i++)
            sum += (w->recall[i] - (i ? w->recall[i - 1] : 0)) * w->precision[i];
        return sum;
    }
    for (int i = 0; i < points; i++)
        sum += qd_eval_at(w->recall, w->precision, n, (double)i / (points - 1), &at);
    return sum / points;
}

/* Deal out the truths of one class in order of score. */
static void score_class(
    struct qd_eval *e, struct work *w, int c, int points, struct qd_eval_class *cls)
{
    struct hit *h = w->hit + w->from[c];
    size_t all = w->from[c + 1] - w->from[c], n = 0;
    long tp = 0;

    qsort(h, all, sizeof(*h), by_score);
    for (size_t i = 0; i < all; i++) {
        if (h[i].truth == IGNORED)
            continue;
        bool right = h[i].truth != NOTHING && !w->taken[h[i].truth];
        if (right) {
            w->taken[h[i].truth] = true;
            tp++;
        }
        if (h[i].score > e->opts.pr_thresh) {
            cls->tp += right;
            cls->fp += !right;
            w->iou_sum += right ? (double)h[i].iou : 0;
        }
        w->recall[n] = cls->gt ? (double)tp / cls->gt : 0;
        w->precision[n] = (double)tp / (double)(n + 1);
        n++;
    }
    cls->ap = cls->gt ? average(w, n, points) : -1;
}

static int run_single(
    struct qd_eval *e, struct qd_eval_result *out, struct qd_eval_class *cls, struct qd_error *err)
{
    const struct rules *r = &rules[e->opts.rules];
    int points = r->points < 0 ? e->opts.points : r->points, classes = e->opts.classes;
    struct work w;
    double sum = 0;

    if (work_alloc(&w, e, err) < 0)
        return -1;
    match(e, r, &w, cls);
    for (int c = 0; c < classes; c++) {
        score_class(e, &w, c, points, &cls[c]);
        if (r->absent && cls[c].ap < 0)
            cls[c].ap = 0;
        sum += cls[c].ap;
    }
    qd_eval_totals(cls, classes, w.iou_sum, out);
    out->map = r->absent ? sum / classes : out->map_present;
    for (size_t i = 0; i < QD_LEN(out->coco); i++)
        out->coco[i] = -1;
    work_free(&w);
    return 0;
}

int qd_eval_run(struct qd_eval *e, struct qd_eval_result *out, struct qd_eval_class *per_class,
    struct qd_error *err)
{
    struct qd_eval_result res = {0};
    struct qd_eval_class *cls = qd_alloc((size_t)e->opts.classes, sizeof(*cls), err);

    if (!cls)
        return -1;
    int ret = e->opts.rules == QD_RULES_COCO ? qd_eval_coco(e, &res, cls, err)
                                             : run_single(e, &res, cls, err);
    if (ret == 0) {
        res.dets = (long)e->ndet;
        res.images = (long)e->nimage;
        for (size_t i = 0; i < e->nimage; i++)
            res.labelled += e->image[i].ntruth > 0;
        *out = res;
        if (per_class)
            memcpy(per_class, cls, (size_t)e->opts.classes * sizeof(*cls));
    }
    qd_free(cls);
    return ret;
}
