/* SPDX-License-Identifier: MIT */
/* Blur and noise: the window against its formula, what darknet's keys do to whom and how often. */
#include "augment_rig.h"

#include <math.h>
#include <string.h>

#include "data/sample.h"

/* ---- the window ------------------------------------------------------------------------------ */

static int mirror(int i, int n)
{
    while (n > 1 && (i < 0 || i >= n))
        i = i < 0 ? -i : 2 * (n - 1) - i;
    return n > 1 ? i : 0;
}

/* One value of the blurred picture, two sums of the definition. */
static double blurred(const float *px, const int hwc[3], const int yxk[3], int half)
{
    double s = .3 * (half - 1) + .8, sum = 0, weights = 0;

    for (int dy = -half; dy <= half; dy++)
        for (int dx = -half; dx <= half; dx++) {
            int y = mirror(yxk[0] + dy, hwc[0]), x = mirror(yxk[1] + dx, hwc[1]);
            double w = exp(-(dy * dy + dx * dx) / (2 * s * s));
            sum += w * (double)px[(y * hwc[1] + x) * hwc[2] + yxk[2]];
            weights += w;
        }
    return sum / weights;
}

static void windows(void)
{
    static const int cases[][4] = {{9, 7, 3, 3}, {9, 7, 1, 5}, {12, 20, 3, 17}, {3, 4, 3, 17},
        {1, 9, 3, 7}, {9, 1, 1, 7}, {2, 2, 1, 200}, {5, 5, 3, 6}};

    for (size_t i = 0; i < QD_LEN(cases); i++) {
        const int *hwc = cases[i], n = hwc[0] * hwc[1] * hwc[2];
        double worst = 0;
        for (int k = 0; k < n; k++)
            out[k] = other[k] = tap_randf(0, 1);
        OK(qd_blur(out, hwc, hwc[3], &err) == 0, "blurred");
        for (int k = 0; k < n; k++) {
            const int at[3] = {k / hwc[2] / hwc[1], k / hwc[2] % hwc[1], k % hwc[2]};
            worst = fmax(worst, fabs((double)out[k] - blurred(other, hwc, at, hwc[3] / 2)));
        }
        OK(worst < 2e-6, "%dx%dx%d, window %d: as the formula says (%.2g)", hwc[0], hwc[1], hwc[2],
            hwc[3], worst);
    }
    for (int size = 0; size < 3; size++) {
        memcpy(out, other, 75 * sizeof(float));
        OK(qd_blur(out, cases[7], size, &err) == 0 && !memcmp(out, other, 75 * sizeof(float)),
            "a window of %d changes nothing", size);
    }
    qd_alloc_fail_at(1);
    OK(qd_blur(out, cases[0], 5, &err) < 0, "no memory");
    qd_alloc_fail_at(2);
    OK(qd_blur(out, cases[0], 5, &err) < 0 && err.code == QD_ENOMEM, "nor for the second");
    qd_alloc_fail_at(0);
}

static void noises(void)
{
    struct qd_rng r = qd_rng_new(3, 4);
    int n = 60000, outside = 0;
    double sum = 0, squares = 0;

    for (int i = 0; i < n; i++)
        out[i] = .5f;
    qd_noise(out, (size_t)n, .1f, &r);
    for (int i = 0; i < n; i++) {
        sum += (double)out[i] - .5;
        squares += ((double)out[i] - .5) * ((double)out[i] - .5);
    }
    NEAR(sum / n, 0, .002, 0, "noise darkens as often as it brightens");
    NEAR(sqrt(squares / n), .1, .002, 0, "its deviation");
    qd_noise(out, (size_t)n, 3, &r);
    for (int i = 0; i < n; i++)
        outside += !(out[i] >= 0 && out[i] <= 1);
    OK(outside == 0, "values stay in 0 to 1");
}

/* ---- in pictures ----------------------------------------------------------------------------- */

enum { W = 64, H = 48, X0 = 16, X1 = 32, Y0 = 12, Y1 = 36 };

static const struct qd_label box = {1, {24.f / W, 24.f / H, 16.f / W, 24.f / H}, 1};

/* How far two pictures are apart, inside of the box and outside. */
static void apart(const float *a, const float *b, double d[2])
{
    d[0] = d[1] = 0;
    for (int i = 0; i < W * H * 3; i++) {
        int x = i / 3 % W, y = i / 3 / W;
        bool outside = x < X0 || x >= X1 || y < Y0 || y >= Y1;
        d[outside] = fmax(d[outside], fabs((double)a[i] - (double)b[i]));
    }
}

/* How many of 300 pictures are as they were, changed outside of the box only, and everywhere. */
static void shares(const struct qd_augment_opts *o, int count[3])
{
    struct qd_image *img = noise(W, H, 3);
    struct qd_source src = source(img, &box, 1);
    struct qd_augment_opts plain = {
        .kind = QD_AUGMENT_DARKNET, .saturation = 1, .exposure = 1, .resize = 1, .aspect = 1};
    struct qd_pixels d = canvas(out, W, H, 3), e = canvas(other, W, H, 3);

    count[0] = count[1] = count[2] = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct qd_labels a = {0}, b = {0};
        double far[2];
        OK(run(&plain, QD_MIX_NONE, &src, seed, &d, &a, NULL) == 0 &&
                run(o, QD_MIX_NONE, &src, seed, &e, &b, NULL) == 0,
            "seed %d", (int)seed);
        apart(out, other, far);
        if (a.n != 1 || b.n != 1 || memcmp(a.label, b.label, sizeof(*a.label)) != 0)
            OK(false, "the boxes are the same");
        count[far[0] > 0 ? 2 : far[1] > 0]++;
        qd_labels_free(&a);
        qd_labels_free(&b);
    }
    qd_image_free(img);
}

static void keys(void)
{
    struct qd_augment_opts o = {.kind = QD_AUGMENT_DARKNET,
        .saturation = 1,
        .exposure = 1,
        .resize = 1,
        .aspect = 1,
        .blur = 1};
    int n[3];

    shares(&o, n);
    OK(n[0] > 70 && n[0] < 130 && n[2] == 0, "blur=1: a third is sharp, the objects always are: %d",
        n[0]);
    o.blur = 9;
    shares(&o, n);
    OK(n[0] > 70 && n[1] > 70 && n[2] > 70, "blur=9: nothing, background, all: %d %d %d", n[0],
        n[1], n[2]);
    o.blur = 0;
    o.noise = 20;
    shares(&o, n);
    OK(n[0] > 115 && n[0] < 185 && n[1] == 0, "noise in half of the pictures: %d", 300 - n[0]);
    o.noise = 128;
    OK(qd_augment_check(&o, &err) < 0, "%s", err.msg);
}

/* Mosaics and mixtures: other pixels, the same boxes; gaps between pixels change nothing. */
static void mixed(enum qd_mix mix, int sources, const char *name)
{
    struct qd_augment_opts o = {.kind = QD_AUGMENT_DARKNET,
        .saturation = 1,
        .exposure = 1,
        .resize = 1,
        .aspect = 1,
        .blur = 5,
        .noise = 9};
    struct qd_image *img = noise(W, H, 3);
    struct qd_source src[4] = {
        source(img, &box, 1), source(img, &box, 1), source(img, &box, 1), source(img, &box, 1)};
    struct qd_pixels dense = canvas(out, W, H, 3), gaps = {other, W, H, 3, 4, 4 * W + 8};
    int same = 0, wrong = 0;

    OK(qd_augment_sources(mix) == sources, "sources");
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct qd_labels a = {0}, b = {0};
        if (run(&o, mix, src, seed, &dense, &a, NULL) < 0 ||
            run(&o, mix, src, seed, &gaps, &b, NULL) < 0)
            OK(false, "%s: %s", name, err.msg);
        for (int i = 0; i < W * H; i++) {
            const float *p = out + 3 * i, *q = other + i / W * (4 * W + 8) + i % W * 4;
            same += memcmp(p, q, 3 * sizeof(float)) == 0;
            for (int k = 0; k < 3; k++)
                wrong += !(p[k] >= 0 && p[k] <= 1);
        }
        OK(a.n == b.n && (!a.n || memcmp(a.label, b.label, a.n * sizeof(*a.label)) == 0),
            "%s: boxes", name);
        qd_labels_free(&a);
        qd_labels_free(&b);
    }
    OK(same == 20 * W * H && wrong == 0, "%s: gaps change nothing, all are colours", name);
    qd_image_free(img);
}

int main(void)
{
    windows();
    noises();
    keys();
    mixed(QD_MIX_NONE, 1, "one picture");
    mixed(QD_MIX_MIXUP, 2, "mixup");
    mixed(QD_MIX_MOSAIC, 4, "mosaic");
    return tap_done();
}
