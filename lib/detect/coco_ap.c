/* SPDX-License-Identifier: MIT */
/*
 * The twelve figures of COCO detection (lowbit.md 7 describes the official program).  A detection
 * is matched for 4 area ranges times 10 IoU thresholds at once: bit a * 10 + t of a word tells the
 * outcome in range a at threshold t.
 */
#include <math.h>

#include "base/error.h"
#include "detect/eval.h"

enum { AREAS = 4, IOUS = 10, RECALLS = 101, MAX_DETS = 100 };

static const double area_range[AREAS][2] = {
    {0, 1e10}, {0, 32 * 32}, {32 * 32, 96 * 96}, {96 * 96, 1e10}};

struct hit {
    float score, iou; /* iou: with the truth taken at .50, all areas */
    int rank;         /* among the detections of its class in its image */
    size_t seq;
    uint64_t match, ignore; /* neither: a false positive */
};

struct work {
    struct hit *hit; /* grouped by class, images in ascending id within */
    size_t *from;    /* [classes + 1] */
    size_t *image;   /* the images in ascending id */
    /* of the group at hand; as many as any image has truths */
    int *order[AREAS];  /* counted truths first, then the ignored ones */
    uint64_t *taken;    /* like hit.match */
    unsigned char *out; /* bit a: ignored in range a */
    double *iou;
    long (*npos)[AREAS]; /* [classes] counted truths */
    double *recall, *precision;
    double ap[AREAS][IOUS], ar[AREAS][IOUS]; /* sums over the classes, at 100 detections */
    double ar_few[2][IOUS];                  /* the same for 1 and 10 detections, all areas */
    long classes[AREAS];                     /* that have counted truths */
    double iou_sum;
};

static double iou_limit(int t)
{
    return .5 + t * ((.95 - .5) / (IOUS - 1));
}

static bool outside(double area, int a)
{
    return area < area_range[a][0] || area > area_range[a][1];
}

/* Intersection over union; a crowd counts as as large as the detection. */
static double overlap(const struct qd_eval_det *d, const struct qd_eval_truth *t)
{
    double w = fmin(d->side.r, t->side.r) - fmax(d->side.l, t->side.l);
    double h = fmin(d->side.b, t->side.b) - fmax(d->side.t, t->side.t);
    double da = (d->side.r - d->side.l) * (d->side.b - d->side.t);
    double ta = (t->side.r - t->side.l) * (t->side.b - t->side.t);

    if (!(w > 0) || !(h > 0))
        return 0;
    double all = t->difficult ? da : da + ta - w * h;
    return all > 0 ? w * h / all : 0;
}

static void work_free(struct work *w)
{
    qd_free(w->hit);
    qd_free(w->from);
    qd_free(w->image);
    for (int a = 0; a < AREAS; a++)
        qd_free(w->order[a]);
    qd_free(w->taken);
    qd_free(w->out);
    qd_free(w->iou);
    qd_free(w->npos);
    qd_free(w->recall);
    qd_free(w->precision);
}

static int work_alloc(struct work *w, const struct qd_eval *e, struct qd_error *err)
{
    size_t most = 0, classes = (size_t)e->opts.classes;

    for (size_t i = 0; i < e->nimage; i++)
        most = QD_MAX(most, e->image[i].ntruth);
    *w = (struct work){0};
    for (int a = 0; a < AREAS; a++)
        if (!(w->order[a] = qd_alloc_raw(most, sizeof(int), err)))
            goto fail;
    if ((w->hit = qd_alloc_raw(e->ndet, sizeof(*w->hit), err)) &&
        (w->from = qd_alloc(classes + 2, sizeof(*w->from), err)) &&
        (w->image = qd_alloc_raw(e->nimage, sizeof(*w->image), err)) &&
        (w->taken = qd_alloc_raw(most, sizeof(*w->taken), err)) &&
        (w->out = qd_alloc_raw(most, 1, err)) &&
        (w->iou = qd_alloc_raw(most, sizeof(*w->iou), err)) &&
        (w->npos = qd_alloc(classes, sizeof(*w->npos), err)) &&
        (w->recall = qd_alloc_raw(e->ndet, sizeof(*w->recall), err)) &&
        (w->precision = qd_alloc_raw(e->ndet, sizeof(*w->precision), err)))
        return 0;
fail:
    work_free(w);
    return -1;
}

struct id_index {
    long id;
    size_t index;
};

static int by_id(const void *pa, const void *pb)
{
    const struct id_index *a = pa, *b = pb;

    return (a->id > b->id) - (a->id < b->id);
}

static int sort_images(const struct qd_eval *e, struct work *w, struct qd_error *err)
{
    struct id_index *v = qd_alloc_raw(e->nimage, sizeof(*v), err);
    int ret = 0;

    if (!v)
        return -1;
    for (size_t i = 0; i < e->nimage; i++)
        v[i] = (struct id_index){e->image[i].id, i};
    qsort(v, e->nimage, sizeof(*v), by_id);
    for (size_t i = 0; i < e->nimage; i++) {
        if (i && v[i].id == v[i - 1].id)
            ret = qd_error_set(err, QD_EARG, "two images have the id %ld", v[i].id);
        w->image[i] = v[i].index;
    }
    qd_free(v);
    return ret;
}

/* Which truths of the group count, and the order in which they are tried. */
static void prepare(const struct qd_eval_group *g, struct work *w)
{
    for (size_t i = 0; i < g->ntruth; i++) {
        w->taken[i] = 0;
        w->out[i] = 0;
    }
    for (int a = 0; a < AREAS; a++) {
        size_t n = 0, counted = 0;
        for (size_t i = 0; i < g->ntruth; i++)
            if (g->truth[i].difficult || outside(g->truth[i].area, a))
                w->out[i] |= (unsigned char)(1 << a);
            else
                w->order[a][counted++] = (int)i;
        w->npos[g->class_id][a] += (long)counted;
        for (size_t i = 0; i < g->ntruth; i++)
            if (w->out[i] & 1 << a)
                w->order[a][counted + n++] = (int)i;
    }
}

/* The truth for a detection in range a at threshold t, whose overlaps are in w->iou; -1: none.  The
 * best one that is not taken; an ignored one only if no counted one fits. */
static int find(const struct qd_eval_group *g, const struct work *w, int a, int t)
{
    double best = fmin(iou_limit(t), 1 - 1e-10);
    uint64_t bit = (uint64_t)1 << (a * IOUS + t);
    int m = -1;

    for (size_t k = 0; k < g->ntruth; k++) {
        int i = w->order[a][k];
        if (w->taken[i] & bit && !g->truth[i].difficult)
            continue;
        if (m >= 0 && !(w->out[m] & 1 << a) && w->out[i] & 1 << a)
            break;
        if (w->iou[i] < best)
            continue;
        best = w->iou[i];
        m = i;
    }
    return m;
}

static void match_det(
    const struct qd_eval_group *g, const struct qd_eval_det *d, struct work *w, struct hit *h)
{
    double area = (d->side.r - d->side.l) * (d->side.b - d->side.t);

    for (size_t i = 0; i < g->ntruth; i++)
        w->iou[i] = overlap(d, &g->truth[i]);
    for (int a = 0; a < AREAS; a++) {
        for (int t = 0; t < IOUS; t++) {
            uint64_t bit = (uint64_t)1 << (a * IOUS + t);
            int m = find(g, w, a, t);
            if (m < 0) {
                h->ignore |= outside(area, a) ? bit : 0;
                continue;
            }
            w->taken[m] |= bit;
            h->match |= bit;
            h->ignore |= w->out[m] & 1 << a ? bit : 0;
            if (a == 0 && t == 0)
                h->iou = (float)w->iou[m];
        }
    }
}

/* Fill w->hit, grouped by class. */
static void match(const struct qd_eval *e, struct work *w)
{
    size_t *next = w->from + 1; /* see map.c */

    for (size_t i = 0; i < e->nimage; i++) {
        struct qd_eval_group g = {0};
        while (qd_eval_next(e, &e->image[i], &g))
            if (g.class_id + 1 < e->opts.classes)
                next[g.class_id + 1] += QD_MIN(g.ndet, (size_t)MAX_DETS);
    }
    for (int c = 1; c < e->opts.classes; c++)
        next[c] += next[c - 1];
    for (size_t i = 0; i < e->nimage; i++) {
        struct qd_eval_group g = {0};
        while (qd_eval_next(e, &e->image[w->image[i]], &g)) {
            prepare(&g, w);
            for (size_t k = 0; k < g.ndet && k < MAX_DETS; k++) {
                size_t at = next[g.class_id]++;
                w->hit[at] = (struct hit){g.det[k].score, 0, (int)k, at, 0, 0};
                match_det(&g, &g.det[k], w, &w->hit[at]);
            }
        }
    }
}

static int by_score(const void *pa, const void *pb)
{
    const struct hit *a = pa, *b = pb;

    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->seq < b->seq ? -1 : 1;
}

/* The final recall when at most 'max' detections an image count. */
static double recall_at(const struct hit *h, size_t n, uint64_t bit, int max, long npos)
{
    long tp = 0;

    for (size_t i = 0; i < n; i++)
        tp += h[i].rank < max && h[i].match & bit && !(h[i].ignore & bit);
    return (double)tp / (double)npos;
}

/* AP in range a at threshold t of the class whose sorted hits are h. */
static double average(struct work *w, const struct hit *h, size_t n, uint64_t bit, long npos)
{
    double sum = 0;
    size_t m = 0, at = 0;
    long tp = 0;

    for (size_t i = 0; i < n; i++) {
        if (h[i].ignore & bit)
            continue;
        tp += (h[i].match & bit) != 0;
        w->recall[m] = (double)tp / (double)npos;
        w->precision[m] = (double)tp / ((double)(m + 1) + 0x1p-52);
        m++;
    }
    qd_eval_envelope(w->precision, m);
    for (int i = 0; i < RECALLS; i++)
        sum += qd_eval_at(w->recall, w->precision, m, i * .01, &at);
    return sum / RECALLS;
}

static void score_class(const struct qd_eval *e, struct work *w, int c, struct qd_eval_class *cls)
{
    struct hit *h = w->hit + w->from[c];
    size_t n = w->from[c + 1] - w->from[c];

    qsort(h, n, sizeof(*h), by_score);
    cls->ap = -1;
    cls->gt = (int)w->npos[c][0];
    for (int a = 0; a < AREAS; a++) {
        long npos = w->npos[c][a];
        double sum = 0;
        if (!npos)
            continue;
        w->classes[a]++;
        for (int t = 0; t < IOUS; t++) {
            uint64_t bit = (uint64_t)1 << (a * IOUS + t);
            double ap = average(w, h, n, bit, npos);
            sum += ap;
            w->ap[a][t] += ap;
            w->ar[a][t] += recall_at(h, n, bit, MAX_DETS, npos);
            if (a == 0) {
                w->ar_few[0][t] += recall_at(h, n, bit, 1, npos);
                w->ar_few[1][t] += recall_at(h, n, bit, 10, npos);
            }
        }
        if (a == 0)
            cls->ap = sum / IOUS;
    }
    for (size_t i = 0; i < n; i++) {
        if (!(h[i].score > e->opts.pr_thresh) || h[i].ignore & 1)
            continue;
        cls->tp += h[i].match & 1;
        cls->fp += !(h[i].match & 1);
        w->iou_sum += h[i].match & 1 ? (double)h[i].iou : 0;
    }
}

/* Mean of the sums of thresholds from..to-1 over the classes; -1: there is no class. */
static double mean(const double *sum, int from, int to, long classes)
{
    double s = 0;

    for (int t = from; t < to; t++)
        s += sum[t];
    return classes ? s / ((double)(to - from) * (double)classes) : -1;
}

int qd_eval_coco(
    struct qd_eval *e, struct qd_eval_result *out, struct qd_eval_class *cls, struct qd_error *err)
{
    struct work w;

    if (work_alloc(&w, e, err) < 0)
        return -1;
    if (sort_images(e, &w, err) < 0) {
        work_free(&w);
        return -1;
    }
    match(e, &w);
    for (int c = 0; c < e->opts.classes; c++)
        score_class(e, &w, c, &cls[c]);
    qd_eval_totals(cls, e->opts.classes, w.iou_sum, out);
    out->coco[0] = mean(w.ap[0], 0, IOUS, w.classes[0]);
    out->coco[1] = mean(w.ap[0], 0, 1, w.classes[0]);
    out->coco[2] = mean(w.ap[0], 5, 6, w.classes[0]);
    out->coco[6] = mean(w.ar_few[0], 0, IOUS, w.classes[0]);
    out->coco[7] = mean(w.ar_few[1], 0, IOUS, w.classes[0]);
    out->coco[8] = mean(w.ar[0], 0, IOUS, w.classes[0]);
    for (int a = 1; a < AREAS; a++) {
        out->coco[2 + a] = mean(w.ap[a], 0, IOUS, w.classes[a]);
        out->coco[8 + a] = mean(w.ar[a], 0, IOUS, w.classes[a]);
    }
    out->map = out->coco[0];
    work_free(&w);
    return 0;
}
