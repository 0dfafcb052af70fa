/* SPDX-License-Identifier: MIT */
/* Non-maximum suppression: hand-made cases of each kind, and random ones against the definition
 * written down naively (every pair, zeroing scores as darknet does). */
#include "tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "detect/box.h"
#include "detect/nms.h"

static const struct qd_nms_opts plain = {QD_NMS_IOU, 0, .45f, .25f, 0, 0};

static struct qd_dets run(const struct qd_cand *c, size_t n, struct qd_nms_opts o)
{
    struct qd_dets d = {0};
    struct qd_error err = {0};

    if (!OK(qd_nms_run(c, n, &o, &d, &err) == 0, "suppression runs: %s", err.msg))
        d = (struct qd_dets){0};
    return d;
}

static void by_hand(void)
{
    struct qd_box a = {.5f, .5f, .4f, .4f}, near_a = {.52f, .5f, .4f, .4f},
                  b = {.2f, .2f, .1f, .1f};
    struct qd_cand c[] = {{near_a, 1, .6f}, {a, 1, .9f}, {near_a, 2, .6f}, {b, 1, .6f},
        {b, 1, .25f}, {a, 1, NAN}, {{NAN, 0, 1, 1}, 1, .9f}, {a, 0, INFINITY}};
    struct qd_dets d = run(c, sizeof(c) / sizeof(*c), plain);

    OK(d.n == 3, "%zu boxes stay", d.n);
    if (d.n == 3) {
        OK(d.det[0].class_id == 1 && d.det[0].score == .9f, "the best one first");
        OK(d.det[1].class_id == 1 && d.det[1].box.x == .2f, "equal scores: the lower class first");
        OK(d.det[2].class_id == 2, "another class is not suppressed");
    }
    qd_dets_free(&d);
    struct qd_nms_opts none = plain, one = plain;
    none.overlap = 1;
    one.max_dets = 1;
    d = run(c, 4, none);
    OK(d.n == 4, "overlap 1: nothing dies");
    qd_dets_free(&d);
    d = run(c, 4, one);
    OK(d.n == 1 && d.det[0].score == .9f, "at most one");
    qd_dets_free(&d);
    d = run(c, 0, plain);
    OK(d.n == 0, "no candidates");
    qd_dets_free(&d);
    struct qd_cand twins[] = {{a, 0, .5f}, {near_a, 0, .5f}};
    d = run(twins, 2, plain);
    OK(d.n == 1 && d.det[0].box.x == .5f, "of equal scores the earlier stays");
    qd_dets_free(&d);
}

/* Two boxes of IoU 1/3 whose centres are d^2/c^2 = .25^2 / (.75^2 + .5^2) apart. */
static void kinds(void)
{
    struct qd_cand c[] = {{{.5f, .5f, .5f, .5f}, 0, .9f}, {{.75f, .5f, .5f, .5f}, 0, .8f}};
    double penalty = .0625 / .8125;
    const struct {
        struct qd_nms_opts o;
        double limit; /* the overlap at which the verdict changes */
    } row[] = {
        {{QD_NMS_IOU, .1f, 0, 0, 0, 0}, 1. / 3},
        {{QD_NMS_GREEDY, .1f, 0, 0, 0, 0}, 1. / 3 - pow(penalty, .6)},
        {{QD_NMS_DIOU, 1, 0, 0, 0, 0}, 1. / 3 - penalty},
        {{QD_NMS_DIOU, 2, 0, 0, 0, 0}, 1. / 3 - penalty * penalty},
    };

    for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
        struct qd_nms_opts above = row[i].o, below = row[i].o;
        above.overlap = (float)row[i].limit + 1e-4f;
        below.overlap = (float)row[i].limit - 1e-4f;
        struct qd_dets d = run(c, 2, above);
        OK(d.n == 2, "row %zu: both stay above the limit", i);
        qd_dets_free(&d);
        d = run(c, 2, below);
        OK(d.n == 1, "row %zu: one dies below the limit", i);
        qd_dets_free(&d);
    }
    struct qd_nms_opts bad = plain;
    struct qd_dets d = {0};
    struct qd_error err = {0};
    bad.kind = QD_NMS_MODEL;
    OK(qd_nms_run(c, 2, &bad, &d, &err) == -1 && err.code == QD_EARG, "the kind must be chosen");
}

/* What darknet does, for one class: sort, then let every living box kill the later ones. */
static size_t naive(const struct qd_cand *c, size_t n, float overlap, float *alive)
{
    size_t left = 0;
    float last = INFINITY;

    memset(alive, 0, n * sizeof(*alive));
    for (size_t i = 0; i < n; i++)
        alive[i] = c[i].score;
    for (size_t step = 0; step < n; step++) {
        size_t best = n; /* scores are all different here */
        for (size_t i = 0; i < n; i++)
            if (c[i].score < last && (best == n || c[i].score > c[best].score))
                best = i;
        last = c[best].score;
        if (alive[best] == 0)
            continue;
        left++;
        for (size_t j = 0; j < n; j++)
            if (c[j].score < c[best].score && qd_box_iou(&c[best].box, &c[j].box) > overlap)
                alive[j] = 0;
    }
    return left;
}

static void random_boxes(void)
{
    enum { N = 60 };
    struct qd_cand c[N];
    float alive[N];
    int bad = 0;

    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < N; i++)
            c[i] = (struct qd_cand){{tap_randf(.3f, .7f), tap_randf(.3f, .7f), tap_randf(.1f, .5f),
                                        tap_randf(.1f, .5f)},
                0, .3f + (float)i * .01f + tap_randf(0, .009f)};
        for (int i = N - 1; i > 0; i--) { /* shuffle */
            int j = (int)(tap_rand() % (uint32_t)(i + 1));
            struct qd_cand t = c[i];
            c[i] = c[j];
            c[j] = t;
        }
        struct qd_dets d = {0};
        if (qd_nms_run(c, N, &plain, &d, NULL) < 0) {
            bad++;
            continue;
        }
        bad += d.n != naive(c, N, .45f, alive);
        for (size_t k = 0; k < d.n; k++) {
            int found = 0;
            for (int i = 0; i < N; i++)
                found += alive[i] > 0 && c[i].score == d.det[k].score;
            bad += found != 1 || (k && d.det[k].score > d.det[k - 1].score);
        }
        qd_dets_free(&d);
    }
    OK(bad == 0, "200 random sets as by the definition (%d differences)", bad);
}

static void limits(void)
{
    enum { N = 1000 };
    struct qd_cand *c = calloc(N, sizeof(*c));
    struct qd_nms_opts o = plain;

    if (!c)
        return;
    for (int i = 0; i < N; i++)
        c[i] = (struct qd_cand){{(float)i, 0, .5f, .5f}, i % 3, .3f + (float)((i * 7) % N) * 5e-4f};
    o.max_cands = 10;
    struct qd_dets d = run(c, N, o);
    OK(d.n == 10 && d.det[9].score > .3f + 988 * 5e-4f, "only the best candidates take part");
    qd_dets_free(&d);
    for (long k = 1; k <= 2; k++) {
        struct qd_error err = {0};
        qd_alloc_fail_at(k);
        OK(qd_nms_run(c, N, &plain, &d, &err) == -1 && err.code == QD_ENOMEM, "allocation %ld", k);
    }
    qd_alloc_fail_at(0);
    free(c);
}

int main(void)
{
    by_hand();
    kinds();
    random_boxes();
    limits();
    return tap_done();
}
