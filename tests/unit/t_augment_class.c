/* SPDX-License-Identifier: MIT */
/* Augmentation of classifiers: targets that say what the pixels are made of, crops, the centre. */
#include <math.h>
#include <string.h>

#include "tap.h"
#include "base/base.h"
#include "data/augment.h"
#include "augment_rig.h"

static struct qd_image *solid(int w, int h, int value)
{
    struct qd_image *img = qd_image_new(w, h, 3, NULL);

    if (img)
        memset(img->data, value, (size_t)(3 * w * h));
    return img;
}

static double mean_of(int n)
{
    double sum = 0;

    for (int i = 0; i < n; i++)
        sum += (double)out[i];
    return sum / n;
}

static void targets(void)
{
    struct qd_augment_opts o = QD_AUGMENT_OPTS_INIT;
    struct qd_image *img[4];
    struct qd_source src[4];
    struct qd_pixels d = canvas(out, 40, 40, 3);
    static const int gray[4] = {0, 51, 204, 255};
    static const enum qd_mix mixes[] = {QD_MIX_NONE, QD_MIX_MIXUP, QD_MIX_CUTMIX, QD_MIX_MOSAIC};
    float target[4];

    o.kind = QD_AUGMENT_CLASSIFY;
    for (int k = 0; k < 4; k++) {
        img[k] = solid(50, 45 + k, gray[k]);
        src[k] = source(img[k], NULL, 0);
        src[k].class_id = k;
    }
    for (size_t i = 0; i < QD_LEN(mixes); i++) {
        double worst = 0, off = 0, least = 1, most = 0;
        for (int n = 0; n < CASES; n++) {
            if (run(&o, mixes[i], src, (uint64_t)n, &d, NULL, target) < 0)
                break;
            double want = 0, sum = 0;
            for (int k = 0; k < 4; k++) {
                want += (double)target[k] * gray[k] / 255;
                sum += (double)target[k];
            }
            worst = fmax(worst, fabs(mean_of(40 * 40 * 3) - want));
            off = fmax(off, fabs(sum - 1));
            least = fmin(least, (double)target[0]);
            most = fmax(most, (double)target[0]);
        }
        OK(worst < 1e-5 && off < 1e-6, "mix %zu: the target is what the pixels are: %g", i, worst);
        OK(i < 2 ? least == most : least < .55 && most > least + .3, "mix %zu: parts vary", i);
    }
    o.label_smooth = .3f;
    OK(run(&o, QD_MIX_NONE, src + 1, 1, &d, NULL, target) == 0, "smooth");
    NEAR((double)target[1], .7, 1e-6, 0, "1 - eps");
    NEAR((double)target[3], .1, 1e-6, 0, "eps / (k - 1)");
    for (int k = 0; k < 4; k++)
        qd_image_free(img[k]);
}

/* Rotated, scaled and shifted crops are what the recovered map says. */
static void classify_geometry(void)
{
    struct qd_image *img = position_image();
    struct qd_augment_opts o = QD_AUGMENT_OPTS_INIT;
    struct qd_source s = source(img, NULL, 0);
    struct qd_pixels d = canvas(out, 64, 64, 3);
    double worst = 0, turned = 0, sizes[2] = {1e9, 0};
    int mirrored = 0, n = 4 * CASES;

    o.kind = QD_AUGMENT_CLASSIFY;
    o.angle = 12;
    o.min_crop = 80;
    o.max_crop = 120;
    for (int i = 0; i < n; i++) {
        if (run(&o, QD_MIX_NONE, &s, (uint64_t)i, &d, NULL, NULL) < 0)
            break;
        const float *p = out + (24 * 64 + 24) * 3, *q = p + 16 * 3, *r = p + 16 * 64 * 3;
        double ux = (double)(q[0] - p[0]) * 255 / 16, uy = (double)(q[1] - p[1]) * 255 / 16;
        double vx = (double)(r[0] - p[0]) * 255 / 16, vy = (double)(r[1] - p[1]) * 255 / 16;
        double len = hypot(ux, uy), side = 256 / len;
        /* the axes stay of one length and at right angles */
        worst = fmax(worst, fmax(fabs(ux * vx + uy * vy), fabs(len - hypot(vx, vy))));
        turned = fmax(turned, fabs(atan2(uy, fabs(ux))));
        sizes[0] = fmin(sizes[0], side);
        sizes[1] = fmax(sizes[1], side);
        mirrored += ux < 0;
    }
    OK(worst < 1e-3, "rotations keep shapes: %g off", worst);
    OK(turned > .15 && turned < 12 * 3.15 / 180, "by up to 12 degrees: %g", turned);
    OK(sizes[0] >= 79.5 && sizes[0] < 85 && sizes[1] > 115 && sizes[1] <= 120.5,
        "shorter sides %g to %g", sizes[0], sizes[1]);
    OK(mirrored > n / 3 && mirrored < n * 2 / 3, "half of them mirrored");
    qd_image_free(img);
}

static void centre(void)
{
    const struct qd_augment_opts o = {.kind = QD_AUGMENT_CENTRE, .saturation = 1, .exposure = 1};
    struct qd_image *img = noise(90, 60, 3);
    struct qd_source s = source(img, NULL, 0);
    struct qd_pixels d = canvas(out, 40, 40, 3), whole = canvas(other, 60, 40, 3);
    float target[4];
    bool same = true;

    s.class_id = 2;
    OK(run(&o, QD_MIX_NONE, &s, 0, &d, NULL, target) == 0 &&
            qd_resize_into(img, QD_RESAMPLE_DARKNET, &whole, &err) == 0,
        "centre crop");
    for (int y = 0; y < 40; y++)
        same &= memcmp(out + y * 120, other + (y * 60 + 10) * 3, 120 * sizeof(float)) == 0;
    OK(same, "is the middle of the image resized to 60x40");
    OK(target[2] == 1 && target[0] == 0, "one class");
    qd_image_free(img);
}

int main(void)
{
    targets();
    classify_geometry();
    centre();
    return tap_done();
}
