/* SPDX-License-Identifier: MIT */
/*
 * Non-maximum suppression.  Darknet keeps a row of class probabilities for every box and sorts all
 * boxes once for every class; here the pairs (box, class) above the threshold are one flat list,
 * sorted once by class and score, and a pair is compared with the surviving better ones only.
 */
#include "detect/nms.h"

#include <math.h>

#include "base/error.h"
#include "detect/box.h"

struct entry {
    struct qd_det det;
    size_t index; /* of the candidate: makes every comparison strict, so that qsort is stable */
};

static int compare(float a, float b)
{
    return (a > b) - (a < b);
}

static int by_class(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;

    if (a->det.class_id != b->det.class_id)
        return a->det.class_id < b->det.class_id ? -1 : 1;
    if (a->det.score != b->det.score)
        return compare(b->det.score, a->det.score);
    return a->index < b->index ? -1 : 1;
}

static int by_score(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;

    if (a->det.score != b->det.score)
        return compare(b->det.score, a->det.score);
    if (a->det.class_id != b->det.class_id)
        return a->det.class_id < b->det.class_id ? -1 : 1;
    if (a->det.box.x != b->det.box.x)
        return compare(a->det.box.x, b->det.box.x);
    return a->index < b->index ? -1 : 1;
}

static bool overlaps(const struct qd_box *a, const struct qd_box *b, const struct qd_nms_opts *o)
{
    float iou = qd_box_iou(a, b);

    if (!(iou > o->overlap)) /* the distance only ever lowers it */
        return false;
    if (o->kind == QD_NMS_IOU)
        return true;
    float exponent = o->kind == QD_NMS_GREEDY ? .6f : o->beta;
    return iou - powf(qd_box_distance(a, b), exponent) > o->overlap;
}

/* Suppress within one class: e[0..n-1] best first.  The survivors go to kept[]; returns how many
 * they are (kept may be e itself). */
static size_t suppress(
    const struct entry *e, size_t n, const struct qd_nms_opts *o, struct entry *kept)
{
    size_t k = 0;

    for (size_t i = 0; i < n; i++) {
        size_t j = 0;
        if (o->overlap < 1)
            while (j < k && !overlaps(&kept[j].det.box, &e[i].det.box, o))
                j++;
        else
            j = k;
        if (j == k)
            kept[k++] = e[i];
    }
    return k;
}

/* Candidates that may take part; 'e' has room for n. */
static size_t collect(
    const struct qd_cand *cand, size_t n, const struct qd_nms_opts *o, struct entry *e)
{
    size_t m = 0;

    for (size_t i = 0; i < n; i++) {
        const struct qd_cand *c = &cand[i];
        if (!(c->score > o->thresh) || !isfinite(c->score) || !qd_box_finite(&c->box))
            continue;
        if (e)
            e[m] = (struct entry){{c->box, c->class_id, c->score}, i};
        m++;
    }
    return m;
}

int qd_nms_run(const struct qd_cand *cand, size_t n, const struct qd_nms_opts *opts,
    struct qd_dets *out, struct qd_error *err)
{
    if (opts->kind != QD_NMS_IOU && opts->kind != QD_NMS_GREEDY && opts->kind != QD_NMS_DIOU)
        return qd_error_set(err, QD_EARG, "unknown kind of suppression: %d", (int)opts->kind);
    size_t m = collect(cand, n, opts, NULL), kept = 0;
    struct entry *e = qd_alloc_raw(m, sizeof(*e), err);
    if (!e)
        return -1;
    collect(cand, n, opts, e);
    if (opts->max_cands > 0 && m > (size_t)opts->max_cands) {
        qsort(e, m, sizeof(*e), by_score);
        m = (size_t)opts->max_cands;
    }
    qsort(e, m, sizeof(*e), by_class);
    for (size_t from = 0, to; from < m; from = to) {
        for (to = from + 1; to < m && e[to].det.class_id == e[from].det.class_id; to++)
            ;
        kept += suppress(e + from, to - from, opts, e + kept);
    }
    qsort(e, kept, sizeof(*e), by_score);
    if (opts->max_dets > 0 && kept > (size_t)opts->max_dets)
        kept = (size_t)opts->max_dets;
    struct qd_det *det = qd_alloc_raw(kept, sizeof(*det), err);
    if (det)
        for (size_t i = 0; i < kept; i++)
            det[i] = e[i].det;
    qd_free(e);
    if (!det)
        return -1;
    *out = (struct qd_dets){det, kept};
    return 0;
}

void qd_dets_free(struct qd_dets *d)
{
    if (!d)
        return;
    qd_free(d->det);
    *d = (struct qd_dets){0};
}
