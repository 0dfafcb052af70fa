/* SPDX-License-Identifier: MIT */
/* Box geometry: exact cases, symmetry, degenerate boxes. */
#include "tap.h"

#include <math.h>

#include "detect/box.h"

static void overlap(void)
{
    struct qd_box a = {.5f, .5f, .5f, .5f}, b = {.75f, .5f, .5f, .5f}, far = {3, 3, 1, 1};
    struct qd_box point = {.5f, .5f, 0, 0}, touch = {1, .5f, .5f, .5f};

    NEAR(qd_box_iou(&a, &a), 1, 0, 0, "a box with itself");
    NEAR(qd_box_iou(&a, &b), 1. / 3, 1e-7, 0, "half covered");
    NEAR(qd_box_iou(&a, &far), 0, 0, 0, "apart");
    NEAR(qd_box_iou(&a, &touch), 0, 0, 0, "touching only");
    NEAR(qd_box_iou(&point, &point), 0, 0, 0, "no union");
    NEAR(qd_box_iou(&a, &point), 0, 0, 0, "no area");
    struct qd_box huge = {0, 0, 3e38f, 3e38f};
    NEAR(qd_box_iou(&huge, &huge), 0, 0, 0, "an area beyond float gives 0, not NaN");
}

static void distance(void)
{
    struct qd_box a = {0, 0, 2, 2}, b = {2, 0, 2, 2}, p = {1, 1, 0, 0}, q = {4, 5, 0, 0};

    NEAR(qd_box_distance(&a, &a), 0, 0, 0, "same centre");
    NEAR(qd_box_distance(&a, &b), 4. / 20, 1e-7, 0, "d = 2, c^2 = 4^2 + 2^2");
    NEAR(qd_box_distance(&p, &p), 0, 0, 0, "two equal points");
    NEAR(qd_box_distance(&p, &q), 1, 1e-7, 0, "two points are a diagonal apart");
}

static void random_pairs(void)
{
    int bad = 0;

    for (int i = 0; i < 10000; i++) {
        struct qd_box a = {tap_randf(-1, 2), tap_randf(-1, 2), tap_randf(0, 2), tap_randf(0, 2)};
        struct qd_box b = {tap_randf(-1, 2), tap_randf(-1, 2), tap_randf(0, 2), tap_randf(0, 2)};
        float iou = qd_box_iou(&a, &b), dist = qd_box_distance(&a, &b);
        struct qd_corners s = qd_box_corners(&a, 640, 480);
        struct qd_box back = qd_corners_box(&s, 640, 480);
        bad += iou != qd_box_iou(&b, &a) || !(iou >= 0 && iou <= 1.000001f);
        bad += dist != qd_box_distance(&b, &a) || !(dist >= 0 && dist <= 1);
        bad += fabsf(back.x - a.x) > 1e-6f || fabsf(back.h - a.h) > 1e-6f;
    }
    OK(bad == 0, "symmetric, in range, corners and back (%d bad)", bad);
}

static void clipping(void)
{
    struct qd_corners c = qd_corners_clip((struct qd_corners){-5, 10, 700, 500}, 640, 480);
    struct qd_corners out = qd_corners_clip((struct qd_corners){700, -9, 800, -3}, 640, 480);
    struct qd_box nan = {NAN, 0, 1, 1}, inf = {0, 0, INFINITY, 1}, fine = {0, 0, 1, 1};

    OK(c.l == 0 && c.t == 10 && c.r == 640 && c.b == 480, "clip");
    OK(out.l == 640 && out.r == 640 && out.t == 0 && out.b == 0, "outside: empty on the border");
    OK(!qd_box_finite(&nan) && !qd_box_finite(&inf) && qd_box_finite(&fine), "finite");
}

int main(void)
{
    overlap();
    distance();
    random_pairs();
    clipping();
    return tap_done();
}
