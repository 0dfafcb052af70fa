/* SPDX-License-Identifier: MIT */
/*
 * Collecting what an evaluation needs: truths and detections of many images in two flat arrays,
 * sorted by class within an image.  The rules that score them are in map.c (one IoU threshold) and
 * coco_ap.c.
 */
#include "detect/eval.h"

#include <limits.h>
#include <math.h>

#include "base/error.h"

enum { MAX_CLASSES = 1000000 };

struct qd_eval *qd_eval_new(const struct qd_eval_opts *opts, struct qd_error *err)
{
    if (opts->classes < 1 || opts->classes > MAX_CLASSES) {
        qd_error_set(
            err, QD_EARG, "number of classes must be 1 to %d, not %d", MAX_CLASSES, opts->classes);
        return NULL;
    }
    if (!(opts->iou >= 0 && opts->iou <= 1)) {
        qd_error_set(err, QD_EARG, "IoU threshold must be 0 to 1, not %g", (double)opts->iou);
        return NULL;
    }
    if (opts->points < 0 || opts->points == 1 || opts->points > 100000) {
        qd_error_set(err, QD_EARG, "number of recall points cannot be %d", opts->points);
        return NULL;
    }
    struct qd_eval *e = qd_alloc(1, sizeof(*e), err);
    if (e)
        e->opts = *opts;
    return e;
}

void qd_eval_free(struct qd_eval *e)
{
    if (!e)
        return;
    qd_free(e->image);
    qd_free(e->truth);
    qd_free(e->det);
    qd_free(e);
}

/* Room for 'more' items behind the n that *p holds. */
static int reserve(
    void **p, size_t *cap, size_t n, size_t more, size_t size, struct qd_error *err) QD_MUSTCHECK;
static int reserve(void **p, size_t *cap, size_t n, size_t more, size_t size, struct qd_error *err)
{
    size_t need, grown;

    if (!qd_add_size(n, more, &need) || !qd_mul_size(need, 2, &grown))
        return qd_error_nomem(err, SIZE_MAX);
    if (need <= *cap)
        return 0;
    void *q = qd_alloc_raw(grown, size, err);
    if (!q)
        return -1;
    if (n)
        memcpy(q, *p, n * size);
    qd_free(*p);
    *p = q;
    *cap = grown;
    return 0;
}

static int truth_order(const void *pa, const void *pb)
{
    const struct qd_eval_truth *a = pa, *b = pb;

    if (a->class_id != b->class_id)
        return a->class_id < b->class_id ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static int det_order(const void *pa, const void *pb)
{
    const struct qd_eval_det *a = pa, *b = pb;

    if (a->class_id != b->class_id)
        return a->class_id < b->class_id ? -1 : 1;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static int check_truth(const struct qd_eval *e, const struct qd_truth *t, struct qd_error *err)
{
    if (t->class_id < 0 || t->class_id >= e->opts.classes)
        return qd_error_set(err, QD_EARG, "true box of class %d, but there are %d classes",
            t->class_id, e->opts.classes);
    if (!qd_box_finite(&t->box) || !isfinite(t->area))
        return qd_error_set(err, QD_EARG, "true box that is not finite");
    return 0;
}

static int check_det(const struct qd_eval *e, const struct qd_det *d, struct qd_error *err)
{
    if (d->class_id < 0 || d->class_id >= e->opts.classes)
        return qd_error_set(err, QD_EARG, "detection of class %d, but there are %d classes",
            d->class_id, e->opts.classes);
    if (!qd_box_finite(&d->box) || !isfinite(d->score))
        return qd_error_set(err, QD_EARG, "detection that is not finite");
    return 0;
}

static void put_truth(struct qd_eval *e, const struct qd_truth *t, size_t order, int w, int h)
{
    struct qd_corners s = qd_box_corners(&t->box, w, h);
    double area = (double)t->area;

    if (e->opts.rules == QD_RULES_VOC07 || e->opts.rules == QD_RULES_VOC12)
        s = (struct qd_corners){round(s.l), round(s.t), round(s.r), round(s.b)};
    if (!(area > 0))
        area = (double)t->box.w * w * ((double)t->box.h * h);
    e->truth[e->ntruth + order] =
        (struct qd_eval_truth){t->box, s, area, t->class_id, t->difficult, order};
}

int qd_eval_add(struct qd_eval *e, const struct qd_eval_input *in, struct qd_error *err)
{
    if (in->w < 1 || in->h < 1)
        return qd_error_set(err, QD_EARG, "image size %dx%d", in->w, in->h);
    for (size_t i = 0; i < in->ntruth; i++)
        if (check_truth(e, &in->truth[i], err) < 0)
            return -1;
    for (size_t i = 0; i < in->ndet; i++)
        if (check_det(e, &in->det[i], err) < 0)
            return -1;
    if (reserve((void **)&e->image, &e->image_cap, e->nimage, 1, sizeof(*e->image), err) < 0 ||
        reserve((void **)&e->truth, &e->truth_cap, e->ntruth, in->ntruth, sizeof(*e->truth), err) <
            0 ||
        reserve((void **)&e->det, &e->det_cap, e->ndet, in->ndet, sizeof(*e->det), err) < 0)
        return -1;
    for (size_t i = 0; i < in->ntruth; i++)
        put_truth(e, &in->truth[i], i, in->w, in->h);
    for (size_t i = 0; i < in->ndet; i++) {
        const struct qd_det *d = &in->det[i];
        e->det[e->ndet + i] = (struct qd_eval_det){
            d->box, qd_box_corners(&d->box, in->w, in->h), d->score, d->class_id, i};
    }
    if (in->ntruth)
        qsort(e->truth + e->ntruth, in->ntruth, sizeof(*e->truth), truth_order);
    if (in->ndet)
        qsort(e->det + e->ndet, in->ndet, sizeof(*e->det), det_order);
    e->image[e->nimage++] =
        (struct qd_eval_image){in->id, e->ntruth, in->ntruth, e->ndet, in->ndet};
    e->ntruth += in->ntruth;
    e->ndet += in->ndet;
    return 0;
}

bool qd_eval_next(const struct qd_eval *e, const struct qd_eval_image *im, struct qd_eval_group *g)
{
    size_t t = g->truth_done + g->ntruth, d = g->det_done + g->ndet;
    bool more_truth = t < im->ntruth, more_det = d < im->ndet;
    const struct qd_eval_truth *truth = more_truth ? &e->truth[im->truth + t] : NULL;
    const struct qd_eval_det *det = more_det ? &e->det[im->det + d] : NULL;

    if (!more_truth && !more_det)
        return false;
    int class_id = QD_MIN(truth ? truth->class_id : INT_MAX, det ? det->class_id : INT_MAX);
    *g = (struct qd_eval_group){class_id, truth, det, 0, 0, t, d};
    while (t + g->ntruth < im->ntruth && truth[g->ntruth].class_id == class_id)
        g->ntruth++;
    while (d + g->ndet < im->ndet && det[g->ndet].class_id == class_id)
        g->ndet++;
    return true;
}

void qd_eval_envelope(double *precision, size_t n)
{
    for (size_t i = n; i-- > 1;)
        if (precision[i - 1] < precision[i])
            precision[i - 1] = precision[i];
}

double qd_eval_at(const double *recall, const double *precision, size_t n, double r, size_t *at)
{
    while (*at < n && recall[*at] < r)
        (*at)++;
    return *at < n ? precision[*at] : 0;
}

void qd_eval_totals(
    const struct qd_eval_class *cls, int classes, double iou_sum, struct qd_eval_result *out)
{
    long tp = 0, fp = 0, gt = 0;
    int present = 0;
    double sum = 0;

    for (int c = 0; c < classes; c++) {
        tp += cls[c].tp;
        fp += cls[c].fp;
        gt += cls[c].gt;
        if (cls[c].gt) {
            sum += cls[c].ap;
            present++;
        }
    }
    out->gt = gt;
    out->map_present = present ? sum / present : -1;
    out->precision = tp + fp ? (double)tp / (double)(tp + fp) : 0;
    out->recall = gt ? (double)tp / (double)gt : 0;
    out->f1 = tp ? 2 * out->precision * out->recall / (out->precision + out->recall) : 0;
    out->avg_iou = tp + fp ? iou_sum / (double)(tp + fp) : 0;
}

/* Move the side lo..hi (centre x, length w) into 0..limit. */
static void clip_side(float *x, float *w, float limit)
{
    float lo = *x - *w / 2, hi = *x + *w / 2;

    lo = lo < 0 ? 0 : lo > limit ? limit : lo;
    hi = hi < 0 ? 0 : hi > limit ? limit : hi;
    *x = (lo + hi) / 2;
    *w = hi - lo;
}

void qd_eval_clip(
    enum qd_rules rules, struct qd_det *d, size_t n, const float size[2], const float one[2])
{
    bool voc = rules == QD_RULES_VOC07 || rules == QD_RULES_VOC12;

    if (rules == QD_RULES_DARKNET)
        return;
    for (size_t i = 0; i < n; i++) {
        clip_side(&d[i].box.x, &d[i].box.w, voc ? size[0] - one[0] : size[0]);
        clip_side(&d[i].box.y, &d[i].box.h, voc ? size[1] - one[1] : size[1]);
    }
}
