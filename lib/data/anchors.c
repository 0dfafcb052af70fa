/* SPDX-License-Identifier: MIT */
/*
 * Anchors from the boxes of a data set: k-means with the distance 1 - IoU of two boxes at the same
 * place (Redmon and Farhadi 2017), begun by k-means++ (Arthur and Vassilvitskii 2007), then refined
 * by mutation (spec compression.md 5.6).  Sums are taken over blocks of boxes and added in their
 * order, so that the result does not depend on the number of threads.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/par.h"
#include "base/rng.h"

enum {
    BLOCK = 2048, /* boxes that one piece of work is */
    MAX_ANCHORS = 256,
    MAX_ROUNDS = 200, /* of k-means */
    MAX_STALE = 5,    /* rounds without progress */
};

/* What a block of boxes says about the anchors. */
struct part {
    double iou, fitness; /* sums of the best IoU, and of those above the threshold */
    long hits;           /* boxes above the threshold */
    float worst;         /* the least of the best IoUs, and whose it is */
    long worst_at;
    double *w, *h; /* [k] sums over the boxes nearest to each anchor */
    long *count;   /* [k] */
};

struct job {
    size_t n;
    float *w, *h; /* [n] sizes */
    int k, blocks;
    float thresh;
    const struct qd_size *anchor; /* [k] */
    bool members;
    struct part *part; /* [blocks] */
    struct part total;
};

/* ------------------------------------------------------------------ one pass ------------------ */

/* The IoU of n boxes with their best anchors so far, after one more. */
static void compare(const struct qd_size *a, int n, const float *restrict w,
    const float *restrict h, float *restrict best)
{
    float aw = a->w, ah = a->h, area = aw * ah;

    for (int i = 0; i < n; i++) {
        float iw = w[i] < aw ? w[i] : aw, ih = h[i] < ah ? h[i] : ah, both = iw * ih;
        float iou = both / (w[i] * h[i] + area - both);
        best[i] = best[i] < iou ? iou : best[i];
    }
}

static void clear_members(struct part *t, int k)
{
    t->worst = 2;
    memset(t->w, 0, (size_t)k * sizeof(double));
    memset(t->h, 0, (size_t)k * sizeof(double));
    memset(t->count, 0, (size_t)k * sizeof(long));
}

/* Add what is needed to move the anchors: the boxes that each is the best of. */
static void add_members(const struct job *j, long from, int n, const float *best, struct part *p)
{
    float iou[BLOCK];

    clear_members(p, j->k);
    for (int i = 0; i < n; i++)
        if (best[i] < p->worst) {
            p->worst = best[i];
            p->worst_at = from + i;
        }
    bool taken[BLOCK] = {false};
    for (int a = 0; a < j->k; a++) {
        memset(iou, 0, sizeof(iou));
        compare(&j->anchor[a], n, j->w + from, j->h + from, iou);
        for (int i = 0; i < n; i++) {
            if (iou[i] < best[i] || taken[i])
                continue;
            taken[i] = true;
            p->w[a] += (double)j->w[from + i];
            p->h[a] += (double)j->h[from + i];
            p->count[a]++;
        }
    }
}

static void one_block(void *ctx, int chunk, int thread)
{
    struct job *j = ctx;
    struct part *p = &j->part[chunk];
    long from = (long)chunk * BLOCK;
    int n = (int)QD_MIN((long)j->n - from, BLOCK);
    float best[BLOCK];

    (void)thread;
    memset(best, 0, sizeof(best));
    for (int a = 0; a < j->k; a++)
        compare(&j->anchor[a], n, j->w + from, j->h + from, best);
    p->iou = p->fitness = 0;
    p->hits = 0;
    for (int i = 0; i < n; i++) {
        bool hit = best[i] > j->thresh;
        p->iou += (double)best[i];
        p->fitness += hit ? (double)best[i] : 0;
        p->hits += hit;
    }
    if (j->members)
        add_members(j, from, n, best, p);
}

static void sum_members(struct part *t, const struct part *p, int k)
{
    if (p->worst < t->worst) {
        t->worst = p->worst;
        t->worst_at = p->worst_at;
    }
    for (int a = 0; a < k; a++) {
        t->w[a] += p->w[a];
        t->h[a] += p->h[a];
        t->count[a] += p->count[a];
    }
}

/* Compare all boxes with the anchors; j->total is the sum of the blocks.  'members': also which
 * anchor each belongs to. */
static void pass(struct job *j, const struct qd_size *anchor, bool members)
{
    struct part *t = &j->total;

    j->anchor = anchor;
    j->members = members;
    qd_par(j->blocks, one_block, j);
    t->iou = t->fitness = 0;
    t->hits = 0;
    clear_members(t, j->k);
    for (int b = 0; b < j->blocks; b++) {
        const struct part *p = &j->part[b];
        t->iou += p->iou;
        t->fitness += p->fitness;
        t->hits += p->hits;
        if (members)
            sum_members(t, p, j->k);
    }
}

static void job_close(struct job *j)
{
    if (j->part)
        qd_free(j->part[0].w);
    qd_free(j->part);
    qd_free(j->w);
}

static int job_open(struct job *j, const struct qd_size *box, size_t n, int k, struct qd_error *err)
{
    j->n = n;
    j->k = k;
    j->blocks = (int)((n + BLOCK - 1) / BLOCK);
    size_t parts = (size_t)j->blocks + 1;
    j->w = qd_alloc_raw(2 * n, sizeof(float), err);
    j->part = qd_alloc(parts, sizeof(*j->part), err);
    if (!j->w || !j->part)
        return -1;
    /* one block of memory: the doubles of all parts, then their counts */
    double *sums = qd_alloc(parts * (size_t)k, 2 * sizeof(double) + sizeof(long), err);
    j->part[0].w = sums;
    if (!sums)
        return -1;
    long *counts = (long *)(void *)(sums + 2 * parts * (size_t)k);
    for (size_t b = 0; b < parts; b++) {
        struct part *p = b + 1 < parts ? &j->part[b] : &j->total;
        p->w = sums + 2 * b * (size_t)k;
        p->h = p->w + k;
        p->count = counts + b * (size_t)k;
    }
    j->h = j->w + n;
    for (size_t i = 0; i < n; i++) {
        j->w[i] = box[i].w;
        j->h[i] = box[i].h;
    }
    return 0;
}

/* ------------------------------------------------------------------ k-means ------------------- */

static float distance(const struct job *j, size_t i, const struct qd_size *a)
{
    float iw = QD_MIN(j->w[i], a->w), ih = QD_MIN(j->h[i], a->h);

    return 1 - iw * ih / (j->w[i] * j->h[i] + a->w * a->h - iw * ih);
}

/* k boxes, each drawn with the square of its distance from those before it. */
static void seed_anchors(
    const struct job *j, struct qd_rng *rng, float *far, struct qd_size *anchor)
{
    size_t at = qd_rng_below(rng, (uint32_t)QD_MIN(j->n, UINT32_MAX));

    for (size_t i = 0; i < j->n; i++)
        far[i] = 1;
    for (int a = 0;; a++) {
        double sum = 0;
        anchor[a] = (struct qd_size){j->w[at], j->h[at]};
        if (a + 1 == j->k)
            return;
        for (size_t i = 0; i < j->n; i++) {
            float d = distance(j, i, &anchor[a]);
            far[i] = d < far[i] ? d : far[i];
            sum += (double)(far[i] * far[i]);
        }
        double left = sum * (double)(qd_rng_u64(rng) >> 11) * 0x1p-53;
        for (at = 0; at + 1 < j->n; at++) {
            left -= (double)(far[at] * far[at]);
            if (left < 0)
                break;
        }
    }
}

/* Move each anchor to the mean of its boxes; one without boxes goes where the worst box is. */
static void move(const struct job *j, struct qd_size *anchor)
{
    const struct part *t = &j->total;

    for (int a = 0; a < j->k; a++)
        if (t->count[a])
            anchor[a] = (struct qd_size){
                (float)(t->w[a] / (double)t->count[a]), (float)(t->h[a] / (double)t->count[a])};
        else
            anchor[a] = (struct qd_size){j->w[t->worst_at], j->h[t->worst_at]};
}

/* One run from anchors that were seeded; the best anchors of all runs stay in 'best'. */
static void k_means(struct job *j, struct qd_size *anchor, struct qd_size *best, double *score)
{
    double here = -1;
    int stale = 0;

    /* the mean is not the exact centre for this distance, so progress is not certain */
    for (int i = 0; i < MAX_ROUNDS && stale < MAX_STALE; i++) {
        pass(j, anchor, true);
        stale++;
        if (j->total.iou > here * (1 + 1e-7)) {
            here = j->total.iou;
            stale = 0;
        }
        if (j->total.iou > *score) {
            *score = j->total.iou;
            memcpy(best, anchor, (size_t)j->k * sizeof(*best));
        }
        move(j, anchor);
    }
}

/* ------------------------------------------------------------------ mutation ------------------ */

/* Each side by a factor of 1 + U N(0, .1), but one in ten is left alone; again if all were. */
static void mutate(struct qd_rng *rng, const struct qd_size *from, struct qd_size *to, int k)
{
    bool changed = false;

    while (!changed) {
        float strength = qd_rng_float(rng) * .1f;
        for (int i = 0; i < 2 * k; i++) {
            bool keep = qd_rng_float(rng) >= .9f;
            float f = 1 + strength * qd_rng_normal(rng);
            f = keep ? 1 : QD_MIN(QD_MAX(f, .3f), 3);
            float v = f * (i & 1 ? from[i / 2].h : from[i / 2].w);
            changed = changed || !keep;
            if (i & 1)
                to[i / 2].h = QD_MAX(v, 1);
            else
                to[i / 2].w = QD_MAX(v, 1);
        }
    }
}

static void evolve(struct job *j, struct qd_rng *rng, int generations, struct qd_size *best)
{
    struct qd_size child[MAX_ANCHORS];

    pass(j, best, false);
    double fitness = j->total.fitness;
    for (int g = 0; g < generations; g++) {
        mutate(rng, best, child, j->k);
        pass(j, child, false);
        if (j->total.fitness <= fitness)
            continue;
        fitness = j->total.fitness;
        memcpy(best, child, (size_t)j->k * sizeof(*best));
    }
}

/* ------------------------------------------------------------------ the whole ----------------- */

static int by_size(const void *a, const void *b)
{
    const struct qd_size *x = a, *y = b;

    if (x->w != y->w)
        return x->w < y->w ? -1 : 1;
    return (x->h > y->h) - (x->h < y->h);
}

static int by_area(const void *a, const void *b)
{
    const struct qd_size *x = a, *y = b;
    float p = x->w * x->h, q = y->w * y->h;

    if (p != q)
        return p < q ? -1 : 1;
    return by_size(a, b);
}

static int check(const struct qd_size *box, size_t n, int k, struct qd_error *err)
{
    if (k < 1 || k > MAX_ANCHORS)
        return qd_error_set(err, QD_EARG, "there can be 1 to %d anchors, not %d", MAX_ANCHORS, k);
    if (!n)
        return qd_error_set(err, QD_EARG, "no box to make anchors of");
    if (n > (size_t)1 << 30)
        return qd_error_set(err, QD_EARG, "%zu boxes are too many", n);
    for (size_t i = 0; i < n; i++)
        if (!(box[i].w > 0 && box[i].h > 0 && box[i].w < 1e9f && box[i].h < 1e9f))
            return qd_error_set(err, QD_EARG, "box %zu has no size", i);
    return 0;
}

/* Without k different boxes there are not k different anchors. */
static int check_distinct(const struct qd_size *box, size_t n, int k, struct qd_error *err)
{
    struct qd_size *sorted = qd_alloc_raw(n, sizeof(*sorted), err);
    int distinct = 1;

    if (!sorted)
        return -1;
    memcpy(sorted, box, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), by_size);
    for (size_t i = 1; i < n && distinct < k; i++)
        distinct += by_size(&sorted[i - 1], &sorted[i]) != 0;
    qd_free(sorted);
    if (distinct < k)
        return qd_error_set(err, QD_EARG, "%d anchors of boxes that have only %d different size%s",
            k, distinct, distinct == 1 ? "" : "s");
    return 0;
}

int qd_anchors_find(const struct qd_size *box, size_t n, const struct qd_anchors_opts *opts,
    struct qd_size *anchor, struct qd_error *err)
{
    struct job j = {.thresh = opts->thresh};
    struct qd_size trial[MAX_ANCHORS];
    double score = -1;

    if (check(box, n, opts->n, err) < 0 || check_distinct(box, n, opts->n, err) < 0)
        return -1;
    float *far = qd_alloc_raw(n, sizeof(float), err);
    int ret = far ? job_open(&j, box, n, opts->n, err) : -1;
    for (int r = 0; ret == 0 && r < QD_MAX(opts->restarts, 1); r++) {
        struct qd_rng rng = qd_rng_new(opts->seed, (uint64_t)r);
        seed_anchors(&j, &rng, far, trial);
        k_means(&j, trial, anchor, &score);
    }
    if (ret == 0) {
        struct qd_rng rng = qd_rng_new(opts->seed, UINT64_MAX);
        evolve(&j, &rng, opts->generations, anchor);
        qsort(anchor, (size_t)opts->n, sizeof(*anchor), by_area);
    }
    job_close(&j);
    qd_free(far);
    return ret;
}

int qd_anchors_score(const struct qd_size *box, size_t n, const struct qd_size *anchor, int k,
    float thresh, struct qd_anchors_fit *out, struct qd_error *err)
{
    struct job j = {.thresh = thresh};

    if (check(box, n, k, err) < 0)
        return -1;
    for (int a = 0; a < k; a++)
        if (!(anchor[a].w > 0 && anchor[a].h > 0 && anchor[a].w < 1e9f && anchor[a].h < 1e9f))
            return qd_error_set(err, QD_EARG, "anchor %d has no size", a);
    int ret = job_open(&j, box, n, k, err);
    if (ret == 0) {
        pass(&j, anchor, true);
        out->avg_iou = j.total.iou / (double)n;
        out->fitness = j.total.fitness / (double)n;
        out->recall = (double)j.total.hits / (double)n;
        for (int a = 0; a < k && out->boxes; a++)
            out->boxes[a] = j.total.count[a];
    }
    job_close(&j);
    return ret;
}
