/* SPDX-License-Identifier: MIT */
/* The COCO figures on small cases worked by hand after the rules of the official program. */
#include "tap.h"

#include <math.h>
#include <string.h>

#include "base/base.h"

enum { AP, AP50, AP75, APS, APM, APL, AR1, AR10, AR100, ARS, ARM, ARL };
static const double TOL = 1e-12;      /* the expected values are fractions */
static const double HALF = 51. / 101; /* recall points up to .5 */

/* Boxes as COCO has them: left, top, width, height. */
struct row {
    long image;
    int class_id;
    float l, t, w, h;
    float v;    /* a detection's score, a truth's area (0: w*h) */
    bool crowd; /* truths */
};

static struct qd_box box(const struct row *r)
{
    return (struct qd_box){r->l + r->w / 2, r->t + r->h / 2, r->w, r->h};
}

/* Images are given in the order of 'ids'. */
struct set {
    long ids[3];
    int nid, ntruth, ndet;
    const struct row *truth, *det;
};

static struct qd_eval_result run(const struct set *s, struct qd_eval_class *cls)
{
    static struct qd_truth truth[300];
    static struct qd_det det[300];
    struct qd_eval_opts o = {QD_RULES_COCO, 3, .5f, .25f, 0};
    struct qd_error err = {0};
    struct qd_eval_result r = {0};
    struct qd_eval *e = qd_eval_new(&o, &err);
    bool ok = e != NULL;

    for (int i = 0; ok && i < s->nid; i++) {
        struct qd_eval_input in = {s->ids[i], 1, 1, truth, 0, det, 0};
        for (int k = 0; k < s->ntruth; k++)
            if (s->truth[k].image == s->ids[i])
                truth[in.ntruth++] = (struct qd_truth){
                    box(&s->truth[k]), s->truth[k].class_id, s->truth[k].crowd, s->truth[k].v};
        for (int k = 0; k < s->ndet; k++)
            if (s->det[k].image == s->ids[i])
                det[in.ndet++] = (struct qd_det){box(&s->det[k]), s->det[k].class_id, s->det[k].v};
        ok = qd_eval_add(e, &in, &err) == 0;
    }
    ok = ok && qd_eval_run(e, &r, cls, &err) == 0;
    OK(ok, "evaluation runs %s", err.msg);
    qd_eval_free(e);
    return r;
}

/* IoU .8546 and exactly .5. */
static void vector(void)
{
    const struct row truth[] = {{1, 0, 10, 10, 50, 50, 0, 0}, {1, 0, 100, 100, 40, 40, 0, 0}};
    const struct row det[] = {{1, 0, 12, 12, 50, 50, .9f, 0}, {1, 0, 200, 200, 10, 10, .8f, 0},
        {1, 0, 100, 100, 40, 20, .7f, 0}};
    const struct set s = {{1}, 1, 2, 3, truth, det};
    struct qd_eval_class cls[3];
    struct qd_eval_result r = run(&s, cls);
    double half_right = (51 + 50 * 2. / 3) / 101; /* precision 1 to recall .5, then 2/3 */

    NEAR(r.coco[AP50], half_right, TOL, 0, "AP50 (.834983)");
    NEAR(r.coco[AP75], HALF, TOL, 0, "AP75 (.504950)");
    NEAR(r.coco[AP], (half_right + 7 * HALF) / 10, TOL, 0, "AP (.436964)");
    NEAR(r.coco[AP], .436964, 5e-7, 0, "AP as published");
    NEAR(r.coco[APS], -1, 0, 0, "no small truth");
    NEAR(r.coco[APL], -1, 0, 0, "no large truth");
    NEAR(r.coco[ARS], -1, 0, 0, "no small truth");
    /* medium: what matches nothing is too small to count, so that .50 is perfect */
    NEAR(r.coco[APM], (1 + 7 * HALF) / 10, TOL, 0, "APm");
    NEAR(r.coco[AR1], .4, TOL, 0, "AR1: one of two at 8 thresholds");
    NEAR(r.coco[AR10], .45, TOL, 0, "AR10: and both at .50");
    NEAR(r.coco[AR100], .45, TOL, 0, "AR100");
    NEAR(r.coco[ARM], .45, TOL, 0, "ARm");
    NEAR(r.map, r.coco[AP], 0, 0, "the mean is AP");
    NEAR(cls[0].ap, r.coco[AP], 0, 0, "of the one class there is");
    OK(cls[1].ap == -1 && cls[2].ap == -1, "classes without truths are left out");
    OK(cls[0].gt == 2 && cls[0].tp == 2 && cls[0].fp == 1, "counts at .50");
    NEAR(r.avg_iou, (48. * 48 / (5000 - 48 * 48) + .5) / 3, 1e-7, 0, "IoU of the hits over all");
}

static void crowds(void)
{
    const struct row truth[] = {{1, 0, 0, 0, 400, 400, 0, 1}, {1, 0, 500, 500, 50, 50, 0, 0}};
    const struct row det[] = {{1, 0, 10, 10, 50, 50, .9f, 0}, {1, 0, 100, 10, 50, 50, .8f, 0},
        {1, 0, 10, 100, 50, 50, .7f, 0}, {1, 0, 500, 500, 50, 50, .6f, 0}};
    const struct set s = {{1}, 1, 2, 4, truth, det};
    struct qd_eval_class cls[3];
    struct qd_eval_result r = run(&s, cls);

    NEAR(r.coco[AP], 1, TOL, 0, "a crowd absorbs any number of detections");
    OK(cls[0].gt == 1 && cls[0].tp == 1 && cls[0].fp == 0, "and counts for nothing");
    const struct set only = {{1}, 1, 1, 4, truth, det};
    NEAR(run(&only, NULL).coco[AP], -1, 0, 0, "only crowds: undefined");
    /* a counted truth that fits is taken before a crowd that fits better */
    const struct row crowd_first[] = {{1, 0, 0, 0, 100, 100, 0, 1}, {1, 0, 0, 10, 100, 100, 0, 0}};
    const struct row one[] = {{1, 0, 0, 0, 100, 100, .9f, 0}};
    const struct set mixed = {{1}, 1, 2, 1, crowd_first, one};
    NEAR(run(&mixed, NULL).coco[AP50], 1, TOL, 0, "counted truths come first");
}

static void second_choice(void)
{
    const struct row truth[] = {{1, 0, 0, 0, 100, 100, 0, 0}, {1, 0, 0, 20, 100, 100, 0, 0}};
    const struct row det[] = {{1, 0, 0, 0, 100, 100, .9f, 0}, {1, 0, 0, 0, 100, 100, .8f, 0}};
    const struct set s = {{1}, 1, 2, 2, truth, det};

    /* IoU with the second truth is 2/3: right at .50 to .65 */
    NEAR(run(&s, NULL).coco[AP], (4 + 6 * HALF) / 10, TOL, 0, "the next best truth will do");
}

static void order(void)
{
    const struct row truth[] = {{7, 0, 0, 0, 100, 100, 0, 0}};
    const struct row det[] = {{9, 0, 0, 0, 50, 50, .5f, 0}, {7, 0, 0, 0, 100, 100, .5f, 0}};
    const struct set s = {{9, 7}, 2, 1, 2, truth, det};
    const struct row late[] = {{5, 0, 0, 0, 50, 50, .5f, 0}, {7, 0, 0, 0, 100, 100, .5f, 0}};
    const struct set before = {{7, 5}, 2, 1, 2, truth, late};

    NEAR(run(&s, NULL).coco[AP], 1, TOL, 0, "equal scores: ascending image id");
    NEAR(run(&before, NULL).coco[AP], .5, TOL, 0, "so that here the wrong one comes first");
    const struct row two[] = {{7, 0, 0, 0, 50, 50, .5f, 0}, {7, 0, 0, 0, 100, 100, .5f, 0}};
    const struct set within = {{7}, 1, 1, 2, truth, two};
    NEAR(run(&within, NULL).coco[AP], .5, TOL, 0, "equal scores in an image: as given");
    struct qd_eval_opts o = {QD_RULES_COCO, 3, .5f, .25f, 0};
    struct qd_error err = {0};
    struct qd_eval_result r;
    struct qd_eval *e = qd_eval_new(&o, &err);
    struct qd_eval_input in = {4, 1, 1, NULL, 0, NULL, 0};
    OK(e && qd_eval_add(e, &in, &err) == 0 && qd_eval_add(e, &in, &err) == 0 &&
            qd_eval_run(e, &r, NULL, &err) == -1,
        "an id twice");
    IS_STR(err.msg, "two images have the id 4", "message");
    qd_eval_free(e);
}

static void background(void)
{
    const struct row truth[] = {{1, 0, 0, 0, 100, 100, 0, 0}};
    const struct row det[] = {{1, 0, 0, 0, 100, 100, .9f, 0}, {2, 0, 0, 0, 100, 100, .95f, 0},
        {2, 1, 0, 0, 100, 100, .99f, 0}};
    const struct set s = {{1, 2, 3}, 3, 1, 3, truth, det};
    struct qd_eval_result r = run(&s, NULL);

    NEAR(r.coco[AP], .5, TOL, 0, "an image without truths makes its detections wrong");
    OK(r.images == 3 && r.labelled == 1, "three images, one labelled");
}

static void cut(void)
{
    static struct row det[202];
    const struct row truth[] = {{1, 0, 0, 0, 100, 100, 0, 0}, {1, 1, 0, 0, 100, 100, 0, 0}};
    struct set s = {{1}, 1, 1, 101, truth, det};

    for (int i = 0; i < 101; i++) {
        det[i] = (struct row){1, 0, 1000 + 100.f * (float)i, 0, 50, 50, .9f, 0};
        det[101 + i] = (struct row){1, 1, 1000 + 100.f * (float)i, 0, 50, 50, .9f, 0};
    }
    det[100] = (struct row){1, 0, 0, 0, 100, 100, .8f, 0};
    struct qd_eval_result r = run(&s, NULL);
    OK(r.coco[AP] == 0 && r.coco[AR100] == 0, "the 101st detection of an image is cut off");
    det[99].v = .7f;
    r = run(&s, NULL);
    NEAR(r.coco[AP], .01, TOL, 0, "the 100th is not");
    OK(r.coco[AR100] == 1 && r.coco[AR10] == 0, "and counts for AR100 only");
    det[99].v = .9f;
    det[100].v = .95f;
    det[201] = (struct row){1, 1, 0, 0, 100, 100, .95f, 0};
    s = (struct set){{1}, 1, 2, 202, truth, det};
    NEAR(run(&s, NULL).coco[AP], 1, TOL, 0, "the cut is per class");
}

static void sizes(void)
{
    const struct row border[] = {{1, 0, 0, 0, 32, 32, 0, 0}, {1, 1, 200, 200, 96, 96, 0, 0}};
    const struct row both[] = {{1, 0, 0, 0, 32, 32, .9f, 0}, {1, 1, 200, 200, 96, 96, .9f, 0}};
    const struct set s = {{1}, 1, 2, 2, border, both};
    struct qd_eval_result r = run(&s, NULL);

    NEAR(r.coco[APS], 1, TOL, 0, "32x32 is small");
    NEAR(r.coco[APM], 1, TOL, 0, "and medium, as 96x96 is");
    NEAR(r.coco[APL], 1, TOL, 0, "and large");
    const struct row own[] = {{1, 0, 0, 0, 50, 50, 500, 0}};
    const struct row det[] = {{1, 0, 0, 0, 50, 50, .9f, 0}};
    const struct set area = {{1}, 1, 1, 1, own, det};
    r = run(&area, NULL);
    NEAR(r.coco[APS], 1, TOL, 0, "the annotation's own area counts");
    NEAR(r.coco[APM], -1, 0, 0, "not that of its box");
}

int main(void)
{
    vector();
    crowds();
    second_choice();
    order();
    background();
    cut();
    sizes();
    return tap_done();
}
