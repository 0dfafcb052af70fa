/* SPDX-License-Identifier: MIT */
/* Anchors: planted sizes are found again, scores are those of plain loops, and neither threads nor
 * the order of unrelated draws matter. */
#include <stdio.h>
#include <string.h>

#include "tap.h"
#include "base/base.h"

static float min(float a, float b)
{
    return a < b ? a : b;
}

static double iou(const struct qd_size *a, const struct qd_size *b)
{
    double both = (double)min(a->w, b->w) * (double)min(a->h, b->h);

    return both / ((double)a->w * (double)a->h + (double)b->w * (double)b->h - both);
}

/* n boxes around three sizes that lie far apart. */
static void plant(struct qd_size *box, size_t n)
{
    static const struct qd_size at[] = {{20, 60}, {80, 30}, {200, 220}};

    for (size_t i = 0; i < n; i++) {
        const struct qd_size *a = &at[tap_rand() % 3];
        box[i] = (struct qd_size){a->w * tap_randf(.9f, 1.1f), a->h * tap_randf(.9f, 1.1f)};
    }
}

static void test_planted(void)
{
    static struct qd_size box[3000];
    struct qd_size a[3];
    long count[3];
    struct qd_anchors_opts o = {3, 1, 4, 200, .2f};
    struct qd_anchors_fit fit = {.boxes = count};

    plant(box, QD_LEN(box));
    OK(qd_anchors_find(box, QD_LEN(box), &o, a, NULL) == 0, "three anchors");
    NEAR((double)a[0].w, 20, 0, .05, "narrow one");
    NEAR((double)a[0].h, 60, 0, .05, "narrow one");
    NEAR((double)a[1].w, 80, 0, .05, "flat one");
    NEAR((double)a[1].h, 30, 0, .05, "flat one");
    NEAR((double)a[2].w, 200, 0, .05, "large one");
    NEAR((double)a[2].h, 220, 0, .05, "large one");
    OK(qd_anchors_score(box, QD_LEN(box), a, 3, .2f, &fit, NULL) == 0, "their score");
    OK(fit.avg_iou > .89 && fit.avg_iou < 1, "mean IoU %.3f", fit.avg_iou);
    OK(fit.recall == 1 && fit.fitness == fit.avg_iou, "all boxes are found");
    OK(count[0] + count[1] + count[2] == 3000 && count[0] > 900 && count[1] > 900 && count[2] > 900,
        "%ld + %ld + %ld boxes", count[0], count[1], count[2]);
}

/* The score against plain loops, for anchors that were not made for the boxes. */
static void test_score(void)
{
    static struct qd_size box[5000];
    const struct qd_size a[] = {{5, 5}, {30, 10}, {10, 30}, {100, 90}, {300, 300}};
    struct qd_anchors_fit fit = {0};
    double sum = 0, fitness = 0;
    int hits = 0;

    for (size_t i = 0; i < QD_LEN(box); i++)
        box[i] = (struct qd_size){tap_randf(2, 400), tap_randf(2, 400)};
    for (size_t i = 0; i < QD_LEN(box); i++) {
        double best = 0;
        for (size_t k = 0; k < QD_LEN(a); k++)
            best = QD_MAX(best, iou(&box[i], &a[k]));
        sum += best;
        hits += best > .5;
        fitness += best > .5 ? best : 0;
    }
    OK(qd_anchors_score(box, QD_LEN(box), a, QD_LEN(a), .5f, &fit, NULL) == 0, "score");
    NEAR(fit.avg_iou, sum / QD_LEN(box), 1e-6, 0, "mean IoU of 5000 boxes");
    NEAR(fit.fitness, fitness / QD_LEN(box), 1e-3, 0,
        "fitness"); /* a box may lie on the threshold */
    NEAR(fit.recall, (double)hits / QD_LEN(box), 1e-3, 0, "recall");
}

/* Mutation improves what k-means found; more restarts never make it worse. */
static void test_improvement(void)
{
    static struct qd_size box[4000];
    struct qd_size a[6], b[6], c[6];
    struct qd_anchors_opts once = {6, 3, 1, 0, .2f}, often = {6, 3, 20, 0, .2f},
                           all = {6, 3, 1, 500, .2f};
    struct qd_anchors_fit fa = {0}, fb = {0}, fc = {0};

    for (size_t i = 0; i < QD_LEN(box); i++) {
        float s = tap_randf(2, 20);
        box[i] = (struct qd_size){s * s * tap_randf(.5f, 1), s * s * tap_randf(.3f, 1)};
    }
    bool ok = qd_anchors_find(box, QD_LEN(box), &once, a, NULL) == 0 &&
              qd_anchors_find(box, QD_LEN(box), &often, b, NULL) == 0 &&
              qd_anchors_find(box, QD_LEN(box), &all, c, NULL) == 0 &&
              qd_anchors_score(box, QD_LEN(box), a, 6, .2f, &fa, NULL) == 0 &&
              qd_anchors_score(box, QD_LEN(box), b, 6, .2f, &fb, NULL) == 0 &&
              qd_anchors_score(box, QD_LEN(box), c, 6, .2f, &fc, NULL) == 0;
    OK(ok, "three ways");
    OK(fb.avg_iou >= fa.avg_iou, "20 restarts: %.4f, one: %.4f", fb.avg_iou, fa.avg_iou);
    OK(fc.fitness > fa.fitness, "with mutation: %.4f, without: %.4f", fc.fitness, fa.fitness);
    for (int i = 1; i < 6; i++)
        OK(c[i - 1].w * c[i - 1].h <= c[i].w * c[i].h, "anchor %d is not smaller", i);
}

static void test_threads(void)
{
    static struct qd_size box[30000];
    struct qd_size a[9], b[9], c[9];
    struct qd_anchors_opts o = {9, 7, 3, 60, .2f};

    for (size_t i = 0; i < QD_LEN(box); i++)
        box[i] = (struct qd_size){tap_randf(2, 400), tap_randf(2, 400)};
    (void)!qd_threads_set(1, NULL);
    bool ok = qd_anchors_find(box, QD_LEN(box), &o, a, NULL) == 0;
    (void)!qd_threads_set(5, NULL);
    ok = ok && qd_anchors_find(box, QD_LEN(box), &o, b, NULL) == 0;
    (void)!qd_threads_set(0, NULL);
    o.seed = 8;
    ok = ok && qd_anchors_find(box, QD_LEN(box), &o, c, NULL) == 0;
    OK(ok && memcmp(a, b, sizeof(a)) == 0, "the same bytes with 1 and 5 threads");
    OK(memcmp(a, c, sizeof(a)) != 0, "other ones with another seed");
}

static void fails(const struct qd_size *box, size_t n, int k, const char *want)
{
    struct qd_anchors_opts o = {k, 1, 1, 0, .2f};
    struct qd_size a[4];
    struct qd_error err = {0};

    OK(qd_anchors_find(box, n, &o, a, &err) < 0, "fails: %s", want);
    IS_STR(err.msg, want, "message");
}

static void test_edges(void)
{
    struct qd_size box[] = {{10, 10}, {20, 20}, {10, 10}, {40, 40}, {20, 20}}, a[3];
    struct qd_anchors_opts o = {3, 1, 3, 0, .2f};
    struct qd_anchors_fit fit = {0};
    struct qd_error err = {0};

    OK(qd_anchors_find(box, 5, &o, a, NULL) == 0, "as many anchors as sizes");
    OK(qd_anchors_score(box, 5, a, 3, .2f, &fit, NULL) == 0 && fit.avg_iou == 1,
        "fit exactly (%.3f)", fit.avg_iou);
    o.n = 1;
    OK(qd_anchors_find(box, 1, &o, a, NULL) == 0 && a[0].w == 10 && a[0].h == 10, "one of one");
    fails(box, 5, 4, "4 anchors of boxes that have only 3 different sizes");
    fails(box, 1, 2, "2 anchors of boxes that have only 1 different size");
    fails(box, 0, 1, "no box to make anchors of");
    fails(box, 5, 0, "there can be 1 to 256 anchors, not 0");
    fails(box, 5, 257, "there can be 1 to 256 anchors, not 257");
    box[1].h = 0;
    fails(box, 5, 1, "box 1 has no size");
    box[1].h = 1;
    box[2].w /= box[2].h - 10; /* infinite */
    fails(box, 5, 1, "box 2 has no size");
    a[0].w = -1;
    OK(qd_anchors_score(box, 1, a, 1, .2f, &fit, &err) < 0, "a negative anchor");
    IS_STR(err.msg, "anchor 0 has no size", "message");
}

static void test_no_memory(void)
{
    struct qd_size box[] = {{10, 10}, {20, 20}, {40, 40}}, a[2];
    struct qd_anchors_opts o = {2, 1, 1, 5, .2f};
    struct qd_anchors_fit fit = {0};
    bool ok = true;
    long n = 0;

    for (int ret = -1; ret < 0 && n < 100; n++) {
        struct qd_error err = {0};
        qd_alloc_fail_at(n + 1);
        ret = qd_anchors_find(box, 3, &o, a, &err);
        if (ret == 0)
            ret = qd_anchors_score(box, 3, a, 2, .2f, &fit, &err);
        qd_alloc_fail_at(0);
        ok = ok && (ret == 0 || err.code == QD_ENOMEM);
    }
    OK(ok && n > 5 && n < 100, "each of %ld allocations may fail", n - 1);
}

int main(void)
{
    test_planted();
    test_score();
    test_improvement();
    test_threads();
    test_edges();
    test_no_memory();
    return tap_done();
}
