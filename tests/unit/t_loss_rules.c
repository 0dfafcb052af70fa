/* SPDX-License-Identifier: MIT */
/* Losses at the edges: who learns what, odd truths, errors, threads, memory. */
#include "loss_rig.h"

#define NET "[net]\nwidth=96\nheight=64\nchannels=3\n"
#define CONV(n) "[convolutional]\nfilters=" n "\nsize=16\nstride=16\nactivation=linear\n"
#define YOLO NET CONV("14") "[yolo]\nclasses=2\nnum=3\nmask=0,2\nanchors=16,14, 90,90, 40,30\n"
#define REGION                                                                                     \
    NET CONV("16") "[region]\nclasses=3\nnum=2\nanchors=1,1.2, 2.5,2\nsoftmax=1\nbias_match=1\n"   \
                   "object_scale=5\nnoobject_scale=.5\nclass_scale=2\ncoord_scale=3\n"
#define GAUSSIAN NET CONV("11") "[Gaussian_yolo]\nclasses=2\nnum=1\nanchors=40,30\n"

static double sigma(double x)
{
    return 1 / (1 + exp(-x));
}

/* Entry e of anchor k (of 'entries' each) in a cell: raw value, and delta as darknet counts. */
static double raw(struct loss_rig *r, int y, int x, int at)
{
    return (double)qd_at(&r->raw, 0, y, x)[at];
}

static double delta(struct loss_rig *r, int y, int x, int at)
{
    return -(double)qd_at(&r->grad, 0, y, x)[at];
}

static int nonzero(struct loss_rig *r, int n, int entries, int from, int to)
{
    int count = 0;

    for (size_t i = 0; i < loss_size(r); i++) {
        int e = (int)(i % (size_t)entries);
        count += e >= from && e < to && *loss_at(&r->grad, n, i) != 0;
    }
    return count;
}

static void set_all(struct loss_rig *r, float x)
{
    for (int n = 0; n < r->raw.n; n++)
        for (size_t i = 0; i < loss_size(r); i++)
            *loss_at(&r->raw, n, i) = x;
}

static void no_truths(void)
{
    static const char *const text[] = {YOLO, REGION, GAUSSIAN};
    static const int entries[] = {7, 8, 11}, obj[] = {4, 4, 8};

    for (int i = 0; i < 3; i++) {
        struct loss_rig *r = loss_open(text[i], "t.cfg", 2, NULL);
        OK(loss_run(r) == 0 && r->parts.count == 0 && r->parts.iou == 0 && r->parts.box == 0,
            "%s without truths", r->l->type->section);
        OK(nonzero(r, 1, entries[i], 0, entries[i]) ==
                nonzero(r, 1, entries[i], obj[i], obj[i] + 1),
            "only objectness learns");
        OK(nonzero(r, 0, entries[i], obj[i], obj[i] + 1) * entries[i] == (int)loss_size(r),
            "of every box");
        loss_close(r);
    }
}

/* What darknet divides by zero for, or writes beside the grid for. */
static void odd_truths(void)
{
    static const struct qd_box odd[] = {{.5f, .5f, 0, .2f}, {.5f, .5f, .2f, -1}, {NAN, .5f, 1, 1},
        {.5f, .5f, INFINITY, 1}, {-.1f, .5f, .2f, .2f}, {.5f, 1.1f, .2f, .2f}};
    static const char *const text[] = {YOLO, REGION, GAUSSIAN};
    const struct qd_loss_opts ultra = {.variant = "ultralytics", .iou_t = .01f};

    for (int i = 0; i < 4; i++) {
        struct loss_rig *r = loss_open(text[i % 3], "t.cfg", 1, i == 3 ? &ultra : NULL);
        for (size_t k = 0; k < QD_LEN(odd); k++)
            loss_truth(r, 0, 0, odd[k].x, odd[k].y, odd[k].w, odd[k].h);
        OK(loss_run(r) == 0 && r->parts.count == 0 && isfinite(r->parts.cost),
            "%s: boxes without area or outside teach nothing", r->l->type->section);
        r->truths[0].n = 0;
        loss_truth(r, 0, 1, 1, 1, .35f, .4f);
        loss_truth(r, 0, 1, 0, 0, .35f, .4f);
        OK(loss_run(r) == 0 && r->parts.count >= 2 && isfinite(r->parts.cost),
            "corners of the image are in the grid");
        loss_close(r);
    }
}

static void yolo_assignment(void)
{
    struct loss_rig *r = loss_open(YOLO "iou_normalizer=1\n", "t.cfg", 1, NULL);
    double p;

    /* 40 x 30 pixels at 50, 40: anchor 2, second of the mask; cell 3, 2 */
    loss_truth(r, 0, 1, 50.f / 96, 40.f / 64, 40.f / 96, 30.f / 64);
    OK(loss_run(r) == 0 && r->parts.count == 1, "one truth, one box");
    OK(nonzero(r, 0, 7, 0, 4) == 4 && nonzero(r, 0, 7, 5, 7) == 2, "one box learns its place");
    double scale = 2 - 40. / 96 * 30 / 64;
    NEAR(delta(r, 2, 3, 7), scale * (50. / 16 - 3 - sigma(raw(r, 2, 3, 7))), 1e-5, 0, "x");
    NEAR(delta(r, 2, 3, 9), scale * (0 - raw(r, 2, 3, 9)), 1e-5, 0, "w: the anchor fits");
    NEAR(delta(r, 2, 3, 11), 1 - sigma(raw(r, 2, 3, 11)), 1e-6, 0, "objectness");
    NEAR(delta(r, 2, 3, 12), -sigma(raw(r, 2, 3, 12)), 1e-6, 0, "the other class");
    p = sigma(raw(r, 2, 3, 13));
    NEAR(delta(r, 2, 3, 13), 1 - p, 1e-6, 0, "its class");
    NEAR(r->parts.class_prob, p, 1e-6, 0, "class probability");

    loss_truth(r, 0, 0, 50.f / 96, 40.f / 64, 40.f / 96, 30.f / 64);
    OK(loss_run(r) == 0 && r->parts.count == 2 && r->parts.rewritten == 1, "two in one box");
    NEAR(delta(r, 2, 3, 7), 2 * scale * (50. / 16 - 3 - sigma(raw(r, 2, 3, 7))), 1e-5, 0,
        "deltas of the box add up");
    NEAR(delta(r, 2, 3, 12), 1 - sigma(raw(r, 2, 3, 12)), 1e-6, 0, "both classes are right");
    NEAR(delta(r, 2, 3, 13), 1 - p, 1e-6, 0, "the first too");

    r->truths[0].n = 0; /* best is anchor 1, which another head has */
    loss_truth(r, 0, 1, .5f, .5f, 90.f / 96, 1);
    OK(loss_run(r) == 0 && r->parts.count == 0, "a truth of another head");
    loss_close(r);
}

/* With iou_thresh the deltas of two classes in one box become their mean, and more anchors learn.
 */
static void several(void)
{
    struct loss_rig *r = loss_open(YOLO "iou_normalizer=1\niou_thresh=.15\n", "t.cfg", 1, NULL);
    double scale = 2 - 40. / 96 * 30 / 64;

    loss_truth(r, 0, 1, 50.f / 96, 40.f / 64, 40.f / 96, 30.f / 64);
    loss_truth(r, 0, 0, 54.f / 96, 40.f / 64, 40.f / 96, 30.f / 64);
    OK(loss_run(r) == 0 && r->parts.count == 4, "two truths, two anchors (.187 fits too)");
    for (int k = 0; k < 14; k += 7)
        NEAR(delta(r, 2, 3, k), scale * (52. / 16 - 3 - sigma(raw(r, 2, 3, k))), 1e-5, 0,
            "mean of x in anchor %d", k / 7);
    NEAR(delta(r, 2, 3, 4), 1 - sigma(raw(r, 2, 3, 4)), 1e-6, 0, "objectness of the other anchor");
    loss_close(r);
}

/* A box that overlaps: ignored if some class is above .25, else background. */
static void ignoring(void)
{
    static const struct {
        const char *keys;
        float class_raw;
        double want; /* of a box with objectness .5 and IoU of 1 */
    } cases[] = {
        {"", 0, 0},
        {"", -2, -.5},
        {"objectness_smooth=1\n", 0, .5},
        {"objectness_smooth=1\n", -2, -.5},
        {"objectness_smooth=1\nobj_normalizer=.4\n", 0, .2},
        {"ignore_thresh=2\n", 0, -.5},
        {"ignore_thresh=2\ntruth_thresh=.9\nobj_normalizer=3\n", 0, 1.5},
    };

    for (size_t i = 0; i < QD_LEN(cases); i++) {
        char text[1000];
        snprintf(text, sizeof(text), YOLO "%s", cases[i].keys);
        struct loss_rig *r = loss_open(text, "t.cfg", 1, NULL);
        set_all(r, 0);
        for (int k = 0; k < 2; k++)
            qd_at(&r->raw, 0, 1, 1)[5 + k] = cases[i].class_raw;
        /* anchor 0 in cell 1, 1 has exactly this box; the truth's own box is anchor 1 */
        r->truths[0].n = 0;
        qd_at(&r->raw, 0, 1, 1)[2] = logf(60.f / 16);
        qd_at(&r->raw, 0, 1, 1)[3] = logf(60.f / 14);
        loss_truth(r, 0, 1, 24.f / 96, 24.f / 64, 60.f / 96, 60.f / 64);
        OK(loss_run(r) == 0 && r->parts.count == 0, "overlap %zu", i);
        NEAR(delta(r, 1, 1, 4), cases[i].want, 1e-4, 0, "objectness of an overlapping box");
        if (strstr(cases[i].keys, "truth_thresh"))
            NEAR(delta(r, 1, 1, 6), .5, 1e-6, 0, "it learns the class");
        else
            OK(delta(r, 1, 1, 6) == 0, "it learns no class");
        loss_close(r);
    }
}

/* Keys that scale and limit. */
static void factors(void)
{
    struct loss_rig *a = loss_open(YOLO, "t.cfg", 1, NULL), *b;
    static const char more[] = YOLO "delta_normalizer=.5\nlabel_smooth_eps=.1\nobj_normalizer=.4\n";
    static const char rare[] = YOLO "counters_per_class=10,40\nmax_delta=3\ncls_normalizer=.5\n"
                                    "focal_loss=0\niou_normalizer=1\n";

    loss_truth(a, 0, 0, .5f, .5f, 40.f / 96, 30.f / 64);
    b = loss_open(more, "t.cfg", 1, NULL);
    memcpy(b->mem[0], a->mem[0], a->raw.is * sizeof(float));
    loss_truth(b, 0, 0, .5f, .5f, 40.f / 96, 30.f / 64);
    OK(loss_run(a) == 0 && loss_run(b) == 0, "plain and with factors");
    NEAR(delta(b, 2, 3, 7), delta(a, 2, 3, 7) / 2, 1e-7, 1e-6, "delta_normalizer");
    NEAR(delta(b, 2, 3, 11), delta(a, 2, 3, 11) * .2, 1e-7, 1e-6, "obj_normalizer");
    NEAR(delta(b, 2, 3, 12), (.95 - sigma(raw(a, 2, 3, 12))) / 2, 1e-6, 0, "smoothed 1");
    NEAR(delta(b, 2, 3, 13), (.05 - sigma(raw(a, 2, 3, 13))) / 2, 1e-6, 0, "smoothed 0");
    loss_close(b);
    b = loss_open(rare, "t.cfg", 1, NULL);
    memcpy(b->mem[0], a->mem[0], a->raw.is * sizeof(float));
    loss_truth(b, 0, 0, .5f, .5f, 40.f / 96, 30.f / 64);
    OK(loss_run(b) == 0, "counters_per_class");
    NEAR(delta(b, 2, 3, 8), delta(a, 2, 3, 8) / .75 * 3, 1e-6, 1e-5, "40 / 10, at most 3: boxes");
    NEAR(delta(b, 2, 3, 11), delta(a, 2, 3, 11) * 3, 1e-6, 1e-5, "objectness");
    NEAR(delta(b, 2, 3, 12), delta(a, 2, 3, 12) * 1.5, 1e-6, 1e-5, "class, times cls_normalizer");
    NEAR(delta(b, 2, 3, 13), delta(a, 2, 3, 13), 1e-6, 1e-5, "not the other class");
    loss_close(b);
    loss_close(a);
}

/* One coordinate of the Gaussian head: half the logarithm of the likelihood, by differences. */
static double half_log(double off, double s)
{
    double q = off / s;

    return .5 * log(exp(-q * q / 2) / (sqrt(2 * 3.14159265358979323846) * (s + .3)) + 1e-9);
}

static void gaussian(void)
{
    static const char *const points[] = {"center", "left_top", "right_bottom"};
    const double h = 1e-5, tw = 50. / 96, th = 36. / 64;

    for (int i = 0; i < 3; i++) {
        char text[1000];
        snprintf(text, sizeof(text),
            GAUSSIAN "iou_normalizer=.4\nuc_normalizer=.7\nyolo_point=%s\n", points[i]);
        struct loss_rig *r = loss_open(text, "t.cfg", 1, NULL);
        double shift = i == 0 ? 0 : i == 1 ? -.5 : .5, px = (.52 + shift * tw) * 6;
        double py = (.55 + shift * th) * 4, scale = 2 - tw * th;
        int x = (int)px, y = (int)py;
        loss_truth(r, 0, 1, .52f, .55f, (float)tw, (float)th);
        OK(loss_run(r) == 0 && r->parts.count == 1, "Gaussian, %s", points[i]);
        double mu = px - x - sigma(raw(r, y, x, 0)), s = sigma(raw(r, y, x, 1));
        double d = (half_log(mu - h, s) - half_log(mu + h, s)) / (2 * h);
        NEAR(delta(r, y, x, 0), .4 * scale * d, 1e-4, 1e-4, "mean of x");
        d = (half_log(mu, s + h) - half_log(mu, s - h)) / (2 * h);
        NEAR(delta(r, y, x, 1), .7 * scale * d, 1e-4, 1e-4, "uncertainty of x");
        double w = log(50. / 40) - raw(r, y, x, 4), sw = sigma(raw(r, y, x, 5));
        d = (half_log(w - h, sw) - half_log(w + h, sw)) / (2 * h);
        NEAR(delta(r, y, x, 4), .4 * scale * d, 1e-4, 1e-4, "mean of w");
        loss_close(r);
    }
}

/* The two darknets differ by the slope of the logistic function and the weight of small boxes. */
static void region_variants(void)
{
    const struct qd_loss_opts pj = {.variant = "pj"};
    struct loss_rig *a = loss_open(REGION, "t.cfg", 1, NULL);
    struct loss_rig *b = loss_open(REGION, "t.cfg", 1, &pj);
    double x, o, weight = 2 - 42. / 96 * 30 / 64;

    memcpy(b->mem[0], a->mem[0], a->raw.is * sizeof(float));
    for (int i = 0; i < 2; i++)
        loss_truth(i ? b : a, 0, 2, 50.f / 96, 40.f / 64, 42.f / 96, 30.f / 64);
    OK(loss_run(a) == 0 && loss_run(b) == 0 && a->parts.count == 1, "both darknets' region");
    x = sigma(raw(a, 2, 3, 8));
    o = sigma(raw(a, 2, 3, 12));
    NEAR(delta(a, 2, 3, 8), 3 * (50. / 16 - 3 - x) * x * (1 - x), 1e-5, 0, "x with the slope");
    NEAR(delta(b, 2, 3, 8), 3 * weight * (50. / 16 - 3 - x), 1e-5, 0, "x, pj");
    NEAR(delta(b, 2, 3, 10), weight * delta(a, 2, 3, 10), 1e-5, 0, "w, pj");
    NEAR(delta(a, 2, 3, 12), 5 * (1 - o) * o * (1 - o), 1e-5, 0, "objectness with the slope");
    NEAR(delta(b, 2, 3, 12), 5 * (1 - o), 1e-5, 0, "objectness, pj");
    NEAR(delta(b, 2, 3, 14), delta(a, 2, 3, 14), 1e-7, 0, "classes are the same");
    o = sigma(raw(a, 0, 0, 4));
    NEAR(delta(b, 0, 0, 4), -.5 * o, 1e-6, 0, "background, pj");
    loss_close(a);
    loss_close(b);
}

static void region_keys(void)
{
    static const char *const keys[] = {"rescore=1\n", "classfix=-1\n", "classfix=1\nthresh=.3\n",
        "classfix=2\nthresh=.3\n", "focal_loss=1\n"};

    for (int i = 0; i < (int)QD_LEN(keys); i++) {
        char text[1000];
        snprintf(text, sizeof(text), REGION "%s", keys[i]);
        struct loss_rig *r = loss_open(text, "t.cfg", 1, NULL);
        set_all(r, 0);
        /* anchor 1 in cell 3, 2 is 40 x 32 at 56, 40; anchor 1 of cell 2, 2 overlaps by 3/7 */
        loss_truth(r, 0, 1, 56.f / 96, 40.f / 64, 40.f / 96, 32.f / 64);
        OK(loss_run(r) == 0 && r->parts.count == 1, "region, %.*s", (int)strcspn(keys[i], "\n"),
            keys[i]);
        NEAR(r->parts.iou, 1, 1e-5, 0, "the box fits");
        NEAR(delta(r, 2, 3, 12), 5 * .5 * .25, 1e-5, 0, "objectness");
        NEAR(delta(r, 2, 2, 12),
            i == 1             ? .5 * (3. / 7 - .5) * .25
            : i == 2 || i == 3 ? 0
                               : .5 * -.5 * .25,
            1e-5, 0, "objectness beside it");
        NEAR(delta(r, 2, 2, 14),
            i == 2   ? 2 * 2. / 3
            : i == 3 ? 2. / 3
                     : 0,
            1e-5, 0, "class beside it");
        NEAR(delta(r, 2, 3, 14),
            2 * 2. / 3 * (i == 4 ? -.5 * 2 / 3 * (2. / 3 * log(1. / 3) - 2. / 3) : 1), 1e-5, 0,
            "class");
        loss_close(r);
    }
}

/* Every anchor of the right shape; means over them. */
static void ultralytics(void)
{
    struct qd_loss_opts opts = QD_LOSS_OPTS_INIT;
    struct loss_rig *r;

    opts.variant = "ultralytics";
    r = loss_open(YOLO, "t.cfg", 2, &opts);
    set_all(r, 0);
    OK(loss_run(r) == 0 && r->parts.count == 0 && r->parts.box == 0 && r->parts.cls == 0,
        "ultralytics without truths");
    NEAR(r->parts.obj, 2 * (double)opts.obj * log(2), 0, 1e-6, "mean objectness times two images");
    /* 30 x 20: .233 of anchor 0 and .5 of anchor 2, cell 3, 2, in its middle */
    loss_truth(r, 0, 1, 56.f / 96, 40.f / 64, 30.f / 96, 20.f / 64);
    OK(loss_run(r) == 0 && r->parts.count == 2, "one truth, two anchors");
    /* shapes of the same centre: GIoU = IoU - (hull - union) / hull */
    double i0 = 16 * 14. / 600, i2 = .5;
    NEAR(r->parts.box, 2 * (double)opts.giou * (1 - (i0 + i2) / 2), 0, 1e-5, "mean of 1 - GIoU");
    NEAR(r->parts.cls, 2 * (double)opts.cls * 2 / 80 * log(2), 0, 1e-5, "classes");
    NEAR(delta(r, 2, 3, 4), (double)opts.obj / 48 * (i0 - .5), 1e-5, 1e-5, "GIoU is learnt");
    NEAR(delta(r, 2, 3, 11), (double)opts.obj / 48 * (i2 - .5), 1e-5, 1e-5, "by both");
    NEAR(r->parts.iou, (i0 + i2) / 2, 1e-6, 0, "mean IoU");
    r->in.cold = 1;
    OK(loss_run(r) == 0, "at the beginning of a warm-up");
    NEAR(delta(r, 2, 3, 4), (double)opts.obj / 48 * (1 - .5), 1e-5, 1e-5, "presence is learnt");
    r->in.cold = .25f;
    OK(loss_run(r) == 0, "later");
    NEAR(delta(r, 2, 3, 4), (double)opts.obj / 48 * (.25 + .75 * i0 - .5), 1e-5, 1e-5,
        "then more and more GIoU");
    r->in.cold = 0;
    OK(loss_run(r) == 0, "in the end");
    qd_at(&r->raw, 0, 2, 3)[2] = 7; /* e^7 > 1000 */
    OK(loss_run(r) == 0 && delta(r, 2, 3, 2) == 0 && delta(r, 2, 3, 3) != 0,
        "a side beyond 1000 anchors has no slope");
    loss_close(r);
}

static void classifiers(void)
{
    const float target[] = {0, 1, 0, 0, .25f, .75f};
    const struct qd_loss_opts smooth = {.label_smooth_eps = .2f};
    struct loss_rig *r = loss_open(NET "[avgpool]\n[softmax]\n", "t.cfg", 2, NULL);

    r->in.target = target;
    for (int n = 0; n < 2; n++)
        for (size_t i = 0; i < 3; i++)
            *loss_at(&r->raw, n, i) = logf((float)(i + 1)); /* p = 1/6, 2/6, 3/6 */
    OK(loss_run(r) == 0 && r->parts.count == 2, "softmax of two images");
    NEAR(r->parts.cost, log(3) + .25 * log(3) + .75 * log(2), 0, 1e-6, "cross-entropy");
    NEAR((double)*loss_at(&r->grad, 0, 1), 1. / 3 - 1, 1e-6, 0, "p - t");
    NEAR((double)*loss_at(&r->grad, 1, 1), 1. / 3 - .25, 1e-6, 0, "p - t of a mixture");
    NEAR(r->parts.correct, .5, 0, 0, "one of two is right");
    NEAR(r->parts.class_prob, (2. / 6 + 3. / 6) / 2, 1e-6, 0, "probability of the right class");
    loss_close(r);
    r = loss_open(NET "[avgpool]\n[softmax]\n", "t.cfg", 2, &smooth);
    r->in.target = target;
    set_all(r, 0);
    OK(loss_run(r) == 0, "smoothed targets");
    NEAR((double)*loss_at(&r->grad, 0, 0), 1. / 3 - .1, 1e-6, 0, "e / (k - 1)");
    NEAR((double)*loss_at(&r->grad, 0, 1), 1. / 3 - .8, 1e-6, 0, "1 - e");
    NEAR((double)*loss_at(&r->grad, 1, 1), 1. / 3 - (.25 * .8 + .75 * .1), 1e-6, 0, "of a mixture");
    loss_close(r);
}

static void wanted(void)
{
    static const struct {
        const char *text;
        bool want;
    } cases[] = {
        {NET "[avgpool]\n[softmax]\n", true},
        {NET "[avgpool]\n[softmax]\nnoloss=1\n", false},
        {NET "[avgpool]\n[softmax]\n[cost]\n", true},
        {NET "[avgpool]\n[softmax]\n[connected]\noutput=2\n", false},
        {NET "[logistic]\n", true},
        {NET "[avgpool]\n[connected]\noutput=2\n", false},
    };
    struct qd_error err = {0};

    for (size_t i = 0; i < QD_LEN(cases); i++) {
        struct qd_cfg *cfg = qd_cfg_parse(cases[i].text, strlen(cases[i].text), "t.cfg", &err);
        struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;
        if (!m)
            loss_bail(err.msg);
        const struct qd_layer *l = &m->graph->layer[m->graph->nlayers > 1 && i != 4];
        OK(qd_loss_wanted(l) == cases[i].want, "loss wanted, case %zu", i);
        qd_model_free(m);
    }
    IS_STR(qd_loss_variant("yolo", 0), "darknet", "the default of yolo");
    OK(!qd_loss_variant("yolo", 3) && !qd_loss_variant("maxpool", 0), "ends of the lists");
}

static void refused(const char *text, const char *variant, const char *message)
{
    struct qd_loss_opts opts = QD_LOSS_OPTS_INIT;
    struct qd_error err = {0};
    struct qd_cfg *cfg = qd_cfg_parse(text, strlen(text), "t.cfg", &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;

    if (!m)
        loss_bail(err.msg);
    opts.variant = variant;
    struct qd_loss *s = qd_loss_new(&m->graph->layer[m->graph->nlayers - 1], &opts, 1, &err);
    OK(!s, "refused");
    IS_STR(err.msg, message, "why");
    qd_loss_free(s);
    qd_model_free(m);
}

static void errors(void)
{
    struct loss_rig *r = loss_open(YOLO, "tiny.cfg", 2, NULL);

    loss_truth(r, 1, 0, .5f, .5f, .2f, .2f);
    loss_truth(r, 1, 2, .5f, .5f, .2f, .2f);
    OK(loss_run(r) < 0 && r->err.code == QD_EFORMAT, "class out of range");
    IS_STR(r->err.msg,
        "tiny.cfg:10: [yolo] (layer 1) has classes 0 to 1 but image 1 of the batch has one of "
        "class 2 (line 2 of its labels)",
        "its message");
    r->label[1][1].class_id = -1;
    OK(loss_run(r) < 0 && r->err.code == QD_EFORMAT, "class below 0");
    r->truths[1].n = 1;
    qd_at(&r->raw, 1, 2, 3)[5] = NAN;
    OK(loss_run(r) < 0 && r->err.code == QD_EDIVERGED, "not a number");
    IS_STR(r->err.msg,
        "tiny.cfg:10: [yolo] (layer 1) gets a value that is not finite for image 1 of the batch",
        "its message");
    qd_at(&r->raw, 1, 2, 3)[5] = -INFINITY;
    OK(loss_run(r) < 0 && r->err.code == QD_EDIVERGED, "infinity");
    qd_at(&r->raw, 1, 2, 3)[5] = 0;
    set_all(r, 1e30f);
    OK(loss_run(r) == 0 && !isnan(r->parts.cost), "huge is not infinite");
    r->raw.n = 3;
    OK(loss_run(r) < 0 && r->err.code == QD_EARG, "too many images");
    r->raw.n = 2;
    r->in.truths = NULL;
    OK(loss_run(r) < 0 && r->err.code == QD_EARG, "no truth");
    loss_close(r);
    refused(YOLO, "pj",
        "t.cfg:10: [yolo] (layer 1) has no loss 'pj', only darknet, exact, ultralytics");
    refused(YOLO "new_coords=1\n", "ultralytics",
        "t.cfg:10: [yolo] (layer 1) has new_coords=1, which 'ultralytics' cannot learn");
    refused(NET CONV("16") "[region]\nclasses=3\nnum=2\nanchors=1,1.2, 2.5,2\n", "pj",
        "t.cfg:10: [region] (layer 1) needs softmax=1 for the loss 'pj'");
    refused(NET "[maxpool]\n", NULL, "t.cfg:5: [maxpool] (layer 0) has no loss");
}

/* The same bytes on any number of threads, and nothing allocated. */
static void threads(void)
{
    static const char *const text[] = {YOLO "iou_loss=ciou\n", REGION, GAUSSIAN, YOLO};
    const struct qd_loss_opts ultra = {.variant = "ultralytics", .iou_t = .1f, .giou = 1, .obj = 1};

    for (int i = 0; i < 4; i++) {
        struct loss_rig *r = loss_open(text[i], "t.cfg", 4, i == 3 ? &ultra : NULL);
        struct qd_loss_parts one;
        size_t bytes = r->grad.is * 4 * sizeof(float);
        float *first = malloc(bytes);
        long before;
        for (int n = 0; n < 4; n++)
            for (int k = 0; k < 5; k++)
                loss_truth(r, n, k % 2, tap_randf(0, 1), tap_randf(0, 1), tap_randf(.05f, .5f),
                    tap_randf(.05f, .5f));
        if (!first || qd_threads_set(1, &r->err) < 0 || loss_run(r) < 0)
            loss_bail(r->err.msg);
        one = r->parts;
        memcpy(first, r->grad.data, bytes);
        (void)!qd_threads_set(3, NULL);
        before = qd_alloc_count();
        OK(loss_run(r) == 0 && qd_alloc_count() == before, "nothing is allocated");
        OK(memcmp(&one, &r->parts, sizeof(one)) == 0 && memcmp(first, r->grad.data, bytes) == 0,
            "%s: 1 thread = 3 threads", r->l->type->section);
        (void)!qd_threads_set(0, NULL);
        free(first);
        loss_close(r);
    }
}

/* An allocation that fails is an error, and nothing leaks. */
static void memory(void)
{
    struct loss_rig *r = loss_open(REGION, "t.cfg", 1, NULL);
    struct qd_loss *s = NULL;
    int failed = 0;

    for (int n = 1; !s && n < 20; n++) {
        struct qd_error err = {0};
        qd_alloc_fail_at(n);
        s = qd_loss_new(r->l, NULL, 3, &err);
        qd_alloc_fail_at(0);
        failed += !s && err.code == QD_ENOMEM;
    }
    OK(s && failed == 4, "each of %d allocations may fail", failed);
    qd_loss_free(s);
    loss_close(r);
}

int main(void)
{
    no_truths();
    odd_truths();
    yolo_assignment();
    several();
    ignoring();
    factors();
    gaussian();
    region_variants();
    region_keys();
    ultralytics();
    classifiers();
    wanted();
    errors();
    threads();
    memory();
    return tap_done();
}
