/* SPDX-License-Identifier: MIT */
/* The single-IoU rules (darknet, VOC07, VOC12) on vectors worked by hand, and what must hold for
 * every rule set: truths as detections score 1, nothing scores 0, order does not matter. */
#include "tap.h"

#include <math.h>
#include <string.h>

#include "base/base.h"

enum { MAX = 16 };
static const double TOL = 1e-12; /* the expected values are fractions */

/* Boxes as left, top, right, bottom in whole pixels that still belong to the box (VOC's way), so
 * that the width in our sense is one less. */
struct row {
    int class_id;
    float l, t, r, b;
    float score; /* truths: 1 means difficult */
};
struct picture {
    int ntruth, ndet;
    struct row truth[MAX], det[MAX];
};

static struct qd_box box(const struct row *r)
{
    return (struct qd_box){(r->l + r->r) / 2, (r->t + r->b) / 2, r->r - r->l, r->b - r->t};
}

static int add(struct qd_eval *e, const struct picture *p, long id, struct qd_error *err)
{
    struct qd_truth truth[MAX];
    struct qd_det det[MAX];

    for (int i = 0; i < p->ntruth; i++)
        truth[i] =
            (struct qd_truth){box(&p->truth[i]), p->truth[i].class_id, p->truth[i].score > 0, 0};
    for (int i = 0; i < p->ndet; i++)
        det[i] = (struct qd_det){box(&p->det[i]), p->det[i].class_id, p->det[i].score};
    struct qd_eval_input in = {id, 1, 1, truth, (size_t)p->ntruth, det, (size_t)p->ndet};
    return qd_eval_add(e, &in, err);
}

static struct qd_eval_result run(
    const struct qd_eval_opts *o, const struct picture *p, int n, struct qd_eval_class *cls)
{
    struct qd_error err = {0};
    struct qd_eval_result r = {0};
    struct qd_eval *e = qd_eval_new(o, &err);
    bool ok = e != NULL;

    for (int i = 0; ok && i < n; i++)
        ok = add(e, &p[i], i + 1, &err) == 0;
    ok = ok && qd_eval_run(e, &r, cls, &err) == 0;
    OK(ok, "evaluation runs %s", err.msg);
    qd_eval_free(e);
    return r;
}

/*
 * Four truths; in order of score the detections are right, wrong, right, wrong (a second hit), and
 * right: precision 1 1/2 2/3 1/2 3/5 at recall 1/4 1/4 2/4 2/4 3/4, its envelope 1 2/3 2/3 3/5 3/5.
 */
static const struct picture curve[] = {
    {2, 3, {{0, 10, 10, 29, 29, 0}, {0, 110, 110, 139, 139, 0}},
        {{0, 110, 110, 139, 139, .5f}, {0, 10, 10, 29, 29, .9f}, {0, 10, 10, 29, 29, .6f}}},
    {1, 1, {{0, 50, 50, 89, 99, 0}}, {{0, 200, 200, 219, 219, .8f}}},
    {1, 1, {{0, 0, 0, 49, 49, 0}}, {{0, 0, 0, 49, 49, .7f}}},
};

static void areas(void)
{
    struct qd_eval_class cls;
    const struct {
        enum qd_rules rules;
        int points;
        double ap;
    } row[] = {
        {QD_RULES_DARKNET, 0, (1 + 2. / 3 + 3. / 5) / 4},
        {QD_RULES_DARKNET, 11, (3 + 3 * 2. / 3 + 2 * 3. / 5) / 11},
        {QD_RULES_DARKNET, 101, (26 + 25 * 2. / 3 + 25 * 3. / 5) / 101},
        {QD_RULES_VOC07, 0, (3 + 3 * 2. / 3 + 2 * 3. / 5) / 11},
        {QD_RULES_VOC12, 11, (1 + 2. / 3 + 3. / 5) / 4},
    };

    for (size_t i = 0; i < QD_LEN(row); i++) {
        struct qd_eval_opts o = {row[i].rules, 1, .5f, .55f, row[i].points};
        struct qd_eval_result r = run(&o, curve, 3, &cls);
        NEAR(cls.ap, row[i].ap, TOL, 0, "row %zu: AP", i);
        NEAR(r.map, row[i].ap, TOL, 0, "row %zu: its mean over one class", i);
        OK(cls.gt == 4 && cls.tp == 2 && cls.fp == 2, "row %zu: counts above .55", i);
        NEAR(r.precision, .5, TOL, 0, "precision");
        NEAR(r.recall, .5, TOL, 0, "recall");
        NEAR(r.f1, .5, TOL, 0, "F1");
        NEAR(r.avg_iou, .5, 1e-7, 0, "two perfect hits in four");
        OK(r.gt == 4 && r.dets == 5 && r.images == 3 && r.labelled == 3, "totals");
    }
}

/* The truth is 20x20 pixels in VOC's eyes and 19x19 otherwise. */
static void thresholds(void)
{
    const struct picture voc_half = {1, 1, {{0, 10, 10, 29, 29, 0}}, {{0, 10, 10, 29, 19, .9f}}};
    const struct picture less = {1, 1, {{0, 10, 10, 29, 29, 0}}, {{0, 10, 10, 29, 18.99f, .9f}}};
    const struct picture half = {1, 1, {{0, 10, 10, 30, 30, 0}}, {{0, 10, 10, 30, 20, .9f}}};
    const struct picture more = {1, 1, {{0, 10, 10, 30, 30, 0}}, {{0, 10, 10, 30, 20.01f, .9f}}};
    struct qd_eval_opts voc = {QD_RULES_VOC12, 1, .5f, 0, 0},
                        dark = {QD_RULES_DARKNET, 1, .5f, 0, 0};

    NEAR(run(&voc, &voc_half, 1, NULL).map, 1, 0, 0, "voc: 20x10 in 20x20 pixels is enough");
    NEAR(run(&voc, &less, 1, NULL).map, 0, 0, 0, "voc: a little less is not");
    NEAR(run(&dark, &voc_half, 1, NULL).map, 0, 0, 0, "darknet: 19x9 in 19x19 is not");
    NEAR(run(&dark, &half, 1, NULL).map, 0, 0, 0, "darknet: exactly half is not");
    NEAR(run(&dark, &more, 1, NULL).map, 1, 0, 0, "darknet: a little more is");
    /* 20x12 of 20x20 is .6, which is not a float */
    const struct picture six = {1, 1, {{0, 10, 10, 29, 29, 0}}, {{0, 10, 10, 29, 21, .9f}}};
    voc.iou = .6f;
    NEAR(run(&voc, &six, 1, NULL).map, 1, 0, 0, "voc: .6 reaches a threshold of .6");
    /* label files have six decimals: whole pixels come back by rounding */
    const struct picture off = {
        1, 1, {{0, 10.0004f, 9.9996f, 29.0004f, 29, 0}}, {{0, 10, 10, 29, 19, .9f}}};
    voc.iou = .5f;
    NEAR(run(&voc, &off, 1, NULL).map, 1, 0, 0, "voc: truths are whole pixels");
}

static void claims(void)
{
    /* the second detection fits A (taken) best and B well enough */
    const struct picture second = {2, 2, {{0, 0, 0, 100, 100, 0}, {0, 0, 20, 100, 120, 0}},
        {{0, 0, 0, 100, 100, .9f}, {0, 0, 1, 100, 101, .8f}}};
    struct qd_eval_opts o = {QD_RULES_DARKNET, 1, .5f, 0, 0};
    struct qd_eval_class cls;

    run(&o, &second, 1, &cls);
    OK(cls.tp == 1 && cls.fp == 1 && cls.ap == .5, "darknet: no second choice");
    o.rules = QD_RULES_VOC12;
    run(&o, &second, 1, &cls);
    OK(cls.tp == 1 && cls.fp == 1 && cls.ap == .5, "voc: no second choice");

    /* only the difficult one is hit; then both, the difficult one better */
    const struct picture hard = {2, 2, {{0, 0, 0, 100, 100, 1}, {0, 300, 0, 400, 100, 0}},
        {{0, 0, 0, 100, 100, .9f}, {0, 300, 0, 400, 100, .8f}}};
    const struct picture both = {
        2, 1, {{0, 0, 0, 100, 100, 1}, {0, 0, 10, 100, 110, 0}}, {{0, 0, 0, 100, 101, .9f}}};
    for (int rules = QD_RULES_DARKNET; rules <= QD_RULES_VOC12; rules++) {
        o.rules = (enum qd_rules)rules;
        run(&o, &hard, 1, &cls);
        OK(cls.gt == 1 && cls.tp == 1 && cls.fp == 0,
            "rules %d: a difficult hit counts for nothing", rules);
        NEAR(cls.ap, 1, TOL, 0, "rules %d: and costs nothing", rules);
        run(&o, &both, 1, &cls);
        OK(cls.tp == (rules == QD_RULES_DARKNET) && cls.fp == 0,
            "rules %d: voc takes the best overlap, darknet an ordinary truth if any fits", rules);
    }
}

static void absent_classes(void)
{
    const struct picture p = {
        1, 2, {{1, 10, 10, 29, 29, 0}}, {{1, 10, 10, 29, 29, .9f}, {0, 10, 10, 29, 29, .95f}}};
    struct qd_eval_opts o = {QD_RULES_DARKNET, 3, .5f, .25f, 0};
    struct qd_eval_class cls[3];

    struct qd_eval_result r = run(&o, &p, 1, cls);
    OK(cls[0].ap == 0 && cls[1].ap == 1 && cls[2].ap == 0, "darknet: absent classes have AP 0");
    OK(cls[0].fp == 1 && cls[0].gt == 0, "and their detections are wrong");
    NEAR(r.map, 1. / 3, TOL, 0, "darknet: mean over all classes");
    NEAR(r.map_present, 1, TOL, 0, "mean over the present ones");
    o.rules = QD_RULES_VOC07;
    r = run(&o, &p, 1, cls);
    OK(cls[0].ap == -1 && cls[1].ap == 1 && cls[2].ap == -1, "voc: absent classes have none");
    NEAR(r.map, 1, TOL, 0, "voc: mean over the present ones");
}

static void ties(void)
{
    const struct picture wrong = {0, 1, {{0}}, {{0, 0, 0, 9, 9, .5f}}};
    const struct picture right = {1, 1, {{0, 0, 0, 99, 99, 0}}, {{0, 0, 0, 99, 99, .5f}}};
    const struct picture wr[] = {wrong, right}, rw[] = {right, wrong};
    struct qd_eval_opts o = {QD_RULES_DARKNET, 1, .5f, .25f, 0};

    for (int rules = QD_RULES_DARKNET; rules <= QD_RULES_VOC12; rules++) {
        o.rules = (enum qd_rules)rules;
        NEAR(run(&o, wr, 2, NULL).map, .5, TOL, 0, "equal scores: the earlier image first");
        NEAR(run(&o, rw, 2, NULL).map, 1, TOL, 0, "equal scores: the earlier image first");
    }
    const struct picture one = {
        1, 2, {{0, 0, 0, 99, 99, 0}}, {{0, 200, 0, 209, 9, .5f}, {0, 0, 0, 99, 99, .5f}}};
    NEAR(run(&o, &one, 1, NULL).map, .5, TOL, 0, "equal scores: the earlier detection first");
}

static void invariants(void)
{
    enum { N = 20, CLASSES = 4 };
    static struct picture perfect[N], noisy[N], reversed[N];

    for (int i = 0; i < N; i++) {
        perfect[i].ntruth = 1 + (int)(tap_rand() % 8);
        for (int k = 0; k < perfect[i].ntruth; k++) {
            float x = floorf(tap_randf(0, 300)), y = floorf(tap_randf(0, 300));
            perfect[i].truth[k] = (struct row){(int)(tap_rand() % CLASSES), x, y,
                floorf(x + tap_randf(20, 200)), floorf(y + tap_randf(20, 200)), 0};
            perfect[i].det[k] = perfect[i].truth[k];
            perfect[i].det[k].score = tap_randf(.1f, 1);
        }
        perfect[i].ndet = perfect[i].ntruth;
        noisy[i] = perfect[i];
        for (int k = 0; k < noisy[i].ndet; k++) {
            noisy[i].det[k].l += tap_randf(-20, 20);
            noisy[i].det[k].b += tap_randf(-20, 20);
            noisy[i].det[k].class_id = (int)(tap_rand() % CLASSES);
        }
        reversed[i] = noisy[i];
        for (int k = 0; k < noisy[i].ndet; k++) {
            reversed[i].det[k] = noisy[i].det[noisy[i].ndet - 1 - k];
            reversed[i].truth[k] = noisy[i].truth[noisy[i].ndet - 1 - k];
        }
    }
    for (int rules = QD_RULES_DARKNET; rules <= QD_RULES_COCO; rules++) {
        struct qd_eval_opts o = {(enum qd_rules)rules, CLASSES, .5f, .25f, 0};
        NEAR(run(&o, perfect, N, NULL).map, 1, 1e-9, 0, "rules %d: truths score 1", rules);
        double a = run(&o, noisy, N, NULL).map, b = run(&o, reversed, N, NULL).map;
        OK(a > .02 && a < .95, "rules %d: noisy ones less (%g)", rules, a);
        NEAR(a, b, 0, 0, "rules %d: in any order", rules);
        for (int i = 0; i < N; i++)
            reversed[i].ndet = 0;
        struct qd_eval_result r = run(&o, reversed, N, NULL);
        OK(r.map == 0 && r.precision == 0 && r.f1 == 0 && r.avg_iou == 0, "nothing scores 0");
        for (int i = 0; i < N; i++)
            reversed[i].ndet = noisy[i].ndet;
    }
}

static void errors(void)
{
    struct qd_error err = {0};
    struct qd_eval_opts o = {QD_RULES_DARKNET, 2, .5f, .25f, 0};
    struct qd_truth t = {{.5f, .5f, .1f, .1f}, 0, false, 0};
    struct qd_det d = {{.5f, .5f, .1f, .1f}, 0, .5f};
    struct qd_eval_input in = {1, 1, 1, &t, 1, &d, 1};
    struct qd_eval *e = qd_eval_new(&o, &err);
    struct qd_eval_result r;

    if (!OK(e != NULL, "new"))
        return;
    t.class_id = 2;
    OK(qd_eval_add(e, &in, &err) == -1, "class of a truth");
    IS_STR(err.msg, "true box of class 2, but there are 2 classes", "message");
    t.class_id = 0;
    d.class_id = -1;
    OK(qd_eval_add(e, &in, NULL) == -1, "class of a detection");
    d.class_id = 0;
    d.score = NAN;
    OK(qd_eval_add(e, &in, NULL) == -1, "a score that is no number");
    d.score = .5f;
    t.box.w = INFINITY;
    OK(qd_eval_add(e, &in, NULL) == -1, "an infinite box");
    t.box.w = .1f;
    in.w = 0;
    OK(qd_eval_add(e, &in, NULL) == -1, "an image without size");
    in.w = 1;
    OK(qd_eval_run(e, &r, NULL, NULL) == 0 && r.images == 0 && r.map == 0, "no image was added");
    OK(qd_eval_add(e, &in, NULL) == 0 && qd_eval_run(e, &r, NULL, NULL) == 0 && r.map == .5, "one");
    qd_eval_free(e);
    qd_eval_free(NULL);
    o.classes = 0;
    OK(!qd_eval_new(&o, NULL), "no classes");
    o = (struct qd_eval_opts){QD_RULES_DARKNET, 2, NAN, .25f, 0};
    OK(!qd_eval_new(&o, NULL), "no threshold");
    o = (struct qd_eval_opts){QD_RULES_DARKNET, 2, .5f, .25f, 1};
    OK(!qd_eval_new(&o, NULL), "a curve of one point");
}

static void allocations(void)
{
    for (int rules = QD_RULES_DARKNET; rules <= QD_RULES_COCO; rules++) {
        struct qd_eval_opts o = {(enum qd_rules)rules, 1, .5f, .25f, 0};
        int fails = 0, k;
        for (k = 1; k < 100; k++) {
            struct qd_error err = {0};
            struct qd_eval_result r = {0};
            qd_alloc_fail_at(k);
            struct qd_eval *e = qd_eval_new(&o, &err);
            bool ok = e && add(e, &curve[0], 1, &err) == 0 && qd_eval_run(e, &r, NULL, &err) == 0;
            qd_alloc_fail_at(0);
            qd_eval_free(e);
            if (ok)
                break;
            fails += err.code == QD_ENOMEM;
        }
        OK(fails == k - 1 && k > 6 && k < 100, "rules %d: each of %d allocations may fail", rules,
            k - 1);
    }
}

int main(void)
{
    areas();
    thresholds();
    claims();
    absent_classes();
    ties();
    invariants();
    errors();
    allocations();
    return tap_done();
}
