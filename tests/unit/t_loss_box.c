/* SPDX-License-Identifier: MIT */
/* IoU, GIoU, DIoU, CIoU, cross-entropies: values worked by hand, derivatives against differences.
 */
#include "loss_rig.h"

#define PI 3.14159265358979323846

static const enum qd_iou_kind kinds[] = {QD_IOU_IOU, QD_IOU_GIOU, QD_IOU_DIOU, QD_IOU_CIOU};
static const char *const names[] = {"iou", "giou", "diou", "ciou"};

static void values(void)
{
    struct qd_box a = {.5f, .5f, 1, 1}, b = {1, .5f, 1, 1}, far = {3, .5f, 1, 1};
    struct qd_box wide = {.5f, .5f, 2, .5f}, none = {.5f, .5f, 0, 0}, none2 = {.2f, .5f, 0, 0};
    struct qd_box inf = {.5f, .5f, INFINITY, 1};
    /* the aspects 1 and 4 differ by an angle of atan 1 - atan 4 */
    double v = 4 / (PI * PI) * pow(atan(1) - atan(4), 2), iou = .5 / 1.5, d[4] = {1, 1, 1, 1};

    NEAR(qd_box_measure(QD_IOU_IOU, &a, &b), 1. / 3, 1e-12, 0, "half shifted: IoU");
    NEAR(qd_box_measure(QD_IOU_GIOU, &a, &b), 1. / 3, 1e-12, 0, "the hull is the union: GIoU");
    NEAR(qd_box_measure(QD_IOU_DIOU, &a, &b), 1. / 3 - .25 / 3.25, 1e-12, 0, "DIoU");
    NEAR(qd_box_measure(QD_IOU_CIOU, &a, &b), 1. / 3 - .25 / 3.25, 1e-12, 0, "CIoU, same aspect");
    NEAR(qd_box_measure(QD_IOU_GIOU, &a, &far), -3. / 7, 1e-12, 0, "apart: 2 / 3.5 - 1");
    NEAR(qd_box_measure(QD_IOU_CIOU, &a, &wide), iou - v * v / (1 - iou + v), 1e-12, 0,
        "CIoU of a square and a bar");
    for (size_t k = 0; k < QD_LEN(kinds); k++) {
        NEAR(qd_box_measure(kinds[k], &a, &a), 1, 1e-12, 0, "%s of equal boxes", names[k]);
        OK(isfinite(qd_box_measure(kinds[k], &none, &none2)), "%s of two points", names[k]);
        OK(isfinite(qd_box_measure(kinds[k], &none, &none)), "%s of a point", names[k]);
        OK(qd_box_gradient(kinds[k], &inf, &a, d) == 0 && d[0] == 0 && d[2] == 0,
            "%s of an endless box is flat", names[k]);
    }
}

static double shifted(
    enum qd_iou_kind kind, struct qd_box p, const struct qd_box *t, int k, float h)
{
    float *v[4] = {&p.x, &p.y, &p.w, &p.h};

    *v[k] += h;
    return qd_box_measure(kind, &p, t);
}

/* Boxes whose sides are apart by more than the step: no kinks. */
static void derivatives(void)
{
    static const struct qd_box pairs[][2] = {
        {{.5f, .5f, .4f, .3f}, {.55f, .42f, .34f, .35f}}, /* overlap */
        {{.5f, .5f, .4f, .6f}, {.52f, .48f, .2f, .25f}},  /* the truth inside */
        {{.5f, .5f, .1f, .15f}, {.49f, .52f, .5f, .45f}}, /* around */
        {{.2f, .25f, .2f, .1f}, {.7f, .6f, .3f, .2f}},    /* apart in both directions */
        {{.4f, .25f, .5f, .1f}, {.5f, .6f, .26f, .2f}},   /* apart in one */
    };
    const float h = 1.f / 1024; /* exact in float next to these numbers, nearly */

    for (size_t k = 0; k < QD_LEN(kinds); k++) {
        double worst = 0;
        for (size_t i = 0; i < QD_LEN(pairs); i++) {
            const struct qd_box *p = &pairs[i][0], *t = &pairs[i][1];
            double d[4];
            (void)qd_box_gradient(kinds[k], p, t, d);
            for (int c = 0; c < 4; c++) {
                double near = shifted(kinds[k], *p, t, c, h) - shifted(kinds[k], *p, t, c, -h);
                double wide =
                    shifted(kinds[k], *p, t, c, 2 * h) - shifted(kinds[k], *p, t, c, -2 * h);
                double num = (8 * near - wide) / (12 * (double)h);
                worst = fmax(worst, fabs(num - d[c]) / (1 + fabs(num)));
            }
        }
        OK(worst < 2e-4, "%s: derivatives (off by %.2g)", names[k], worst);
    }
}

/* For IoU and GIoU of overlapping boxes darknet's differ by the factor 2 of w and h only. */
static void darknet(void)
{
    struct qd_box p = {.5f, .5f, .4f, .3f}, t = {.55f, .42f, .34f, .35f};
    struct qd_box apart = {.2f, .25f, .2f, .1f}, point = {.2f, .25f, 0, .1f};
    float g[4];
    double d[4];

    for (int k = 0; k < 2; k++) {
        qd_box_darknet(kinds[k], &p, &t, g);
        (void)qd_box_gradient(kinds[k], &p, &t, d);
        OK(fabs((double)g[0] - d[0]) < 1e-5 && fabs((double)g[1] - d[1]) < 1e-5 &&
                fabs((double)g[2] - 2 * d[2]) < 1e-5 && fabs((double)g[3] - 2 * d[3]) < 1e-5,
            "darknet's %s: twice the derivative of the sides", names[k]);
    }
    qd_box_darknet(QD_IOU_GIOU, &apart, &t, g);
    OK(g[0] > 0 && g[1] > 0, "no overlap: the hull pulls towards the truth");
    for (size_t k = 0; k < QD_LEN(kinds); k++) {
        qd_box_darknet(kinds[k], &point, &t, g);
        OK(isfinite(g[0]) && isfinite(g[1]) && isfinite(g[2]) && isfinite(g[3]),
            "darknet's %s of a box without width", names[k]);
    }
}

static void elements(void)
{
    static const struct {
        double x, t, want;
    } focal[] = {{0, 1, .0433217}, {0, 0, .1299651}, {2, 1, .00045089}, {2, 0, 1.23755863}};
    const double focus[2] = {.25, 2}, soft[2] = {.25, 1.5};
    double dx, unused, h = 1e-5;
    float p[3];

    for (size_t i = 0; i < QD_LEN(focal); i++)
        NEAR(qd_bce_focal(focal[i].x, focal[i].t, 1, focus, &dx), focal[i].want, 5e-8, 0,
            "focal loss of %g against %g", focal[i].x, focal[i].t);
    NEAR(qd_bce(0, 1, 3, &dx), 3 * log(2), 1e-12, 0, "cross-entropy, weighted positive");
    NEAR(qd_bce(800, 0, 1, &dx), 800, 1e-9, 0, "far off on one side");
    NEAR(qd_bce(-800, 1, 1, &dx), 800, 1e-9, 0, "far off on the other");
    for (double x = -3; x <= 3; x += 1.5)
        for (double t = 0; t <= 1; t += .25) {
            double num = (qd_bce(x + h, t, 2, &unused) - qd_bce(x - h, t, 2, &unused)) / (2 * h);
            (void)qd_bce(x, t, 2, &dx);
            NEAR(dx, num, 1e-8, 0, "derivative of the cross-entropy at %g, %g", x, t);
            num = (qd_bce_focal(x + h, t, 2, soft, &unused) -
                      qd_bce_focal(x - h, t, 2, soft, &unused)) /
                  (2 * h);
            (void)qd_bce_focal(x, t, 2, soft, &dx);
            NEAR(dx, num, 1e-8, 0, "of the focal loss");
        }
    (void)qd_bce_focal(800, 1, 1, soft, &dx);
    OK(isfinite(dx), "focal loss of a certain hit");
    /* -(1 - p)(2 p ln p + p - 1) / 2 */
    NEAR((double)qd_loss_focal(.5f), .25 * (log(2) + .5), 1e-7, 0, "darknet's focal factor");
    OK(isfinite(qd_loss_focal(0)) && fabsf(qd_loss_focal(1)) < 1e-12f, "its ends");
    qd_loss_softmax((const float[3]){1000, 999, -1000}, p, 3, 1);
    NEAR((double)p[0], 1 / (1 + exp(-1)), 1e-7, 0, "softmax of large values");
}

int main(void)
{
    values();
    derivatives();
    darknet();
    elements();
    return tap_done();
}
